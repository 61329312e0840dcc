"""
Tests for L{txsslstream.stapling}: which OCSP responses a server keeps, when it
asks for them, and what a client makes of them.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from OpenSSL._util import lib
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY, CLIENT, serverOptions
from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    SslProtocols,
    SslStreamCertificateContext,
    TlsAlert,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationFlag,
    X509RevocationMode,
    _waiting,
    chain,
    stapling,
)
from txsslstream._cache import RevocationCache
from txsslstream._openssl import contextFor
from txsslstream.certificatefacts import isSignedBy
from txsslstream.errors import CertificateError
from txsslstream.records import ALERT, CHANGE_CIPHER_SPEC
from txsslstream.serverflight import ServerFlight
from txsslstream.stapling import (
    LIMIT,
    LONGEST_USE,
    MARGIN,
    PATIENCE,
    PAUSE,
    TIMEOUT,
    Stapler,
    staplerOf,
)
from txsslstream.testing import (
    DAY,
    MUST_STAPLE,
    NOW,
    Authority,
    MemoryWeb,
    StreamPair,
    perVersion,
    rsaKey,
)
from txsslstream.testing.messages import record
from txsslstream.testing.revocations import (
    REVOKED,
    UNKNOWN,
    access,
    assembled,
    crl,
    ocspResponse,
    single,
)

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    # What perVersion makes of a mixin is a test case; the mixin itself is none.
    _Mixin = object

S = X509ChainStatusFlags

URL = "http://ocsp.example/"
OTHER_URL = "http://other.example/"
ROOT = AUTHORITY
MIDDLE = Authority("Middle", ROOT)
HOUR = datetime.timedelta(hours=1)
SECOND = datetime.timedelta(seconds=1)


def issue(
    web: MemoryWeb,
    *extensions: tuple[x509.ExtensionType, bool],
    urls: tuple[str, ...] = (URL,),
    offline: bool = False,
    intermediates: tuple[x509.Certificate, ...] | None = None,
) -> SslStreamCertificateContext:
    """
    @return: a new certificate of a server that fetches from C{web}.
    """
    issued = MIDDLE.issue("localhost", extensions=[access(urls), *extensions])
    return SslStreamCertificateContext(
        issued.certificate,
        issued.privateKey,
        issued.intermediates if intermediates is None else intermediates,
        offline=offline,
        retriever=web,
    )


def response(context: SslStreamCertificateContext, **arguments: Any) -> bytes:
    """
    @return: what the issuer says of a context's certificate: that it is good,
        unless something else is asked for.
    """
    return ocspResponse(MIDDLE, context.certificate, **arguments)


class Surroundings(_Mixin):
    """
    What all tests here have in common: a time that they set, a cache of their
    own, and a look at what is left behind.
    """

    def setUp(self) -> None:
        self.now = NOW
        self.cache = RevocationCache(None)
        self.clock = Clock()
        self.clock.advance(1000)
        self.patch(stapling, "_now", lambda: self.now)
        self.patch(stapling, "defaultCache", lambda: self.cache)
        # What a server knows its client has to learn from it.
        self.patch(chain, "defaultCache", lambda: RevocationCache(None))
        self.addCleanup(self.checkParked)

    def checkParked(self) -> None:
        """
        No handshake is left standing.
        """
        self.assertEqual(_waiting._parked, set())

    def move(self, time: datetime.timedelta) -> None:
        """
        Let time pass.
        """
        self.now += time
        self.clock.advance(time.total_seconds())

    @contextmanager
    def logs(self, *warnings: str) -> Any:
        """
        Exactly these warnings are logged, each a regular expression.
        """
        with capturedLogs() as events:
            yield
        self.assertEqual([each["log_level"] for each in events], [LogLevel.warn] * len(warnings))
        for event, wanted in zip(events, warnings, strict=True):
            said = event["log_format"].format(**event)
            self.assertRegex(said, f"^no OCSP response for localhost: .*{wanted}")

    def silence(self) -> AbstractContextManager[None]:
        """
        Nothing is logged.
        """
        return self.logs()


class StaplingCase(Surroundings, SynchronousTestCase):
    """
    Handshakes as a stapler sees them.
    """

    def prepare(self, stapler: Stapler) -> None:
        """
        A handshake begins that need not wait.
        """
        self.assertIsNone(self.successResultOf(stapler.prepare(self.clock)))


class FetchingTests(StaplingCase):
    """
    Whom a stapler asks.
    """

    def test_fetches(self) -> None:
        """
        The responder is asked once, within bounds, without a word in the log;
        what it says is shown from then on, and nobody is waiting any more.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context)
        stapler = staplerOf(context)
        self.assertIsNone(stapler.current())
        with self.silence():
            self.prepare(stapler)
            self.move(HOUR)
            self.prepare(stapler)
        self.assertEqual(stapler.current(), web.answers[URL])
        self.assertEqual(web.asked, [("GET", URL)])
        (arguments,) = web.arguments
        self.assertEqual(arguments["limit"], LIMIT)
        self.assertTrue(0 < arguments["timeout"] <= TIMEOUT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_post(self) -> None:
        """
        A responder whose answer to GET is of no use is asked again by POST, and
        that it needs this is not worth a word.
        """
        web = MemoryWeb()
        context = issue(web)
        good = response(context)
        for useless in (b"?", OSError("405"), response(context, nextUpdate=NOW - SECOND)):
            web.answers[URL] = {"GET": useless, "POST": good}
            web.asked.clear()
            stapler = Stapler(context)
            self.cache = RevocationCache(None)
            with self.silence():
                self.prepare(stapler)
            self.assertEqual(stapler.current(), good)
            self.assertEqual(web.asked, [("GET", URL), ("POST", URL)])
            types = [each["contentType"] for each in web.arguments[-2:]]
            self.assertEqual(types, [None, "application/ocsp-request"])

    def test_longUrl(self) -> None:
        """
        Where GET would be too long, there is only POST.
        """
        web = MemoryWeb()
        url = URL + "x" * 200
        context = issue(web, urls=(url,))
        web.answers[url] = response(context)
        with self.silence():
            self.prepare(staplerOf(context))
        self.assertEqual(web.asked, [("POST", url)])

    def test_secondResponder(self) -> None:
        """
        If one responder fails, the next one is asked, and nothing is logged.
        """
        web = MemoryWeb()
        context = issue(web, urls=(OTHER_URL, URL))
        web.answers[URL] = response(context)
        with self.silence():
            self.prepare(staplerOf(context))
        self.assertEqual(staplerOf(context).current(), web.answers[URL])
        hosts = [place.split("/")[2] for _, place in web.asked]
        self.assertEqual(hosts, ["other.example"] * 2 + ["ocsp.example"])

    def test_nobodyToAsk(self) -> None:
        """
        Nobody is asked if the certificate names nobody, if the answer could not
        be checked, for want of the issuer or because it is another of the same
        name, or if it was said that nothing is to be fetched.
        """
        web = MemoryWeb()
        namesake = Authority("Middle", ROOT)
        named = issue(web)
        issued = MIDDLE.issue("localhost")
        without = SslStreamCertificateContext(
            issued.certificate, issued.privateKey, issued.intermediates, retriever=web
        )
        for context in (
            without,
            issue(web, intermediates=()),
            issue(web, intermediates=(namesake.certificate, ROOT.certificate)),
            issue(web, offline=True),
            issue(web, MUST_STAPLE, offline=True),
            issue(web, urls=("https://ocsp.example/", "ldap://ocsp.example/")),
        ):
            stapler = staplerOf(context)
            self.assertFalse(stapler.canFetch)
            with self.silence():
                self.prepare(stapler)
            self.assertIsNone(stapler.current())
        self.assertEqual(web.asked, [])
        self.assertTrue(staplerOf(named).canFetch)

    def test_issuerAmongIntermediates(self) -> None:
        """
        The issuer is found wherever it is among the intermediates.
        """
        web = MemoryWeb()
        others = (ROOT.certificate, Authority("Middle", ROOT).certificate)
        context = issue(web, intermediates=(*others, MIDDLE.certificate))
        web.answers[URL] = response(context)
        self.prepare(staplerOf(context))
        self.assertEqual(staplerOf(context).current(), web.answers[URL])

    def test_issuerInFile(self) -> None:
        """
        The issuer may be a root that came in the same file, which is not sent,
        or one that a store has.
        """
        web = MemoryWeb()
        issued = ROOT.issue("localhost", extensions=[access((URL,))])
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = Path(directory.name) / "server.pem"
        path.write_bytes(
            b"".join(
                each.public_bytes(Encoding.PEM) for each in (issued.certificate, ROOT.certificate)
            )
            + issued.privateKey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context = SslStreamCertificateContext.create(path, retriever=web)
        self.assertEqual(context.intermediates, ())
        self.assertEqual(context.roots, (ROOT.certificate,))
        web.answers[URL] = ocspResponse(ROOT, context.certificate)
        self.prepare(staplerOf(context))
        self.assertEqual(staplerOf(context).current(), web.answers[URL])
        alone = SslStreamCertificateContext(issued.certificate, issued.privateKey, retriever=web)
        self.assertFalse(staplerOf(alone).canFetch)
        for source in ("systemRoots", "userIntermediates"):
            self.patch(stapling, source, lambda: (ROOT.certificate,))
            self.assertTrue(Stapler(alone).canFetch)
            self.patch(stapling, source, lambda: ())

    def broken(self, *names: str) -> list[str]:
        """
        Have stores that cannot be used.

        @return: those that were asked.
        """
        asked: list[str] = []

        def source(name: str) -> Callable[[], tuple[x509.Certificate, ...]]:
            def call() -> tuple[x509.Certificate, ...]:
                asked.append(name)
                raise CertificateError(f"{name}: Not a directory")

            return call

        for name in names:
            self.patch(stapling, name, source(name))
        return asked

    def test_storesNotNeeded(self) -> None:
        """
        The stores are not asked where nothing will ever be fetched, nor if the
        issuer came along.
        """
        asked = self.broken("systemRoots", "userIntermediates")
        web = MemoryWeb()
        issued = MIDDLE.issue("localhost")
        silent = SslStreamCertificateContext(issued.certificate, issued.privateKey, retriever=web)
        with self.silence():
            for context in (silent, issue(web, offline=True, intermediates=())):
                self.assertFalse(staplerOf(context).canFetch)
            self.assertTrue(staplerOf(issue(web)).canFetch)
        self.assertEqual(asked, [])

    def test_brokenStore(self) -> None:
        """
        A store that cannot be used is a reason to go without a response, which
        is logged once for each certificate, and no reason to fail.
        """
        web = MemoryWeb()
        self.patch(stapling, "userIntermediates", lambda: ())
        for name in ("systemRoots", "userIntermediates"):
            asked = self.broken(name)
            context = issue(web, intermediates=(ROOT.certificate,))
            with self.logs(f"{name}: Not a directory"):
                for _ in range(3):
                    self.assertFalse(staplerOf(context).canFetch)
                    self.prepare(staplerOf(context))
            self.assertIsNone(staplerOf(context).current())
            self.assertEqual(asked, [name])
        self.assertEqual(web.asked, [])

    def test_brokenStoreInHandshake(self) -> None:
        """
        Handshakes succeed with such a store, in both versions.
        """
        self.broken("systemRoots", "userIntermediates")
        issued = ROOT.issue("localhost", extensions=[access((URL,))])
        for version in (SslProtocols.Tls12, SslProtocols.Tls13):
            # Each with a stapler of its own.
            context = SslStreamCertificateContext(
                issued.certificate, issued.privateKey, retriever=MemoryWeb()
            )
            with self.logs("userIntermediates: Not a directory"):
                sides = StreamPair().authenticate(version, {}, {"serverCertificate": context})
                for each in sides:
                    self.successResultOf(each)

    def test_onlyNamesakes(self) -> None:
        """
        Of all certificates in the stores, only the signatures by those with the
        issuer's name are verified; a name that cannot be read is another.
        """
        compared: list[x509.Certificate] = []

        def compare(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
            compared.append(issuer)
            return isSignedBy(certificate, issuer)

        class Unreadable:
            """
            A certificate that somebody has damaged.
            """

            @property
            def subject(self) -> x509.Name:
                """
                Nothing to read.
                """
                raise self.error

            def __init__(self, error: Exception) -> None:
                self.error = error

        namesake = Authority("Middle", ROOT).certificate
        others = tuple(Authority(f"Root {number}").certificate for number in range(3))
        unreadable = [Unreadable(error("damaged")) for error in (ValueError, TypeError)]
        stored: Any = (*unreadable, *others, namesake, MIDDLE.certificate)
        self.patch(stapling, "isSignedBy", compare)
        self.patch(stapling, "systemRoots", lambda: stored)
        context = issue(MemoryWeb(), intermediates=())
        self.assertTrue(Stapler(context).canFetch)
        self.assertEqual(compared, [namesake, MIDDLE.certificate])

    def test_delegated(self) -> None:
        """
        A response by a responder whom the issuer has entitled is shown.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context, responder=MIDDLE.responder())
        with self.silence():
            self.prepare(staplerOf(context))
        self.assertEqual(staplerOf(context).current(), web.answers[URL])

    def test_revoked(self) -> None:
        """
        That the certificate is revoked is shown as well: it is true.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context, status=REVOKED)
        with self.silence():
            self.prepare(staplerOf(context))
        self.assertEqual(staplerOf(context).current(), web.answers[URL])

    def test_useless(self) -> None:
        """
        A response that does not prove that the certificate is good or revoked
        is never shown, and there is one warning that says what is wrong.
        """
        web = MemoryWeb()
        context = issue(web)
        certificate = context.certificate
        tampered = bytearray(response(context))
        tampered[-1] ^= 1
        sibling = MIDDLE.issue("localhost").certificate
        impostor = Authority("Middle", ROOT)
        for data, problem in (
            (response(context, thisUpdate=NOW - 2 * DAY, nextUpdate=NOW - SECOND), "expired"),
            (response(context, thisUpdate=NOW + HOUR), "is not valid before"),
            (ocspResponse(MIDDLE, sibling), "is about another certificate"),
            (ocspResponse(impostor, certificate), "another certificate"),
            (assembled(impostor, single(MIDDLE, certificate)), "responder"),
            (response(context, responder=MIDDLE.issue(subject="nobody")), "is signed by"),
            (response(context, responder=ROOT.responder()), "is signed by"),
            (bytes(tampered), "signature"),
            (response(context, status=UNKNOWN), "does not know it"),
            (b"\x30\x03\x0a\x01\x06", "unauthorized"),
            (b"\x30\x03\x0a\x01\x03", "tryLater"),
            (b"<html>", "unreadable"),
            (b"", "unreadable"),
            (bytes(LIMIT + 1), "more than"),
            (None, ""),
            ("text", ""),
            (OSError("connection refused"), "connection refused"),
            (ZeroDivisionError, "raised"),
        ):
            web.answers[URL] = data
            stapler = Stapler(context)
            with self.logs(problem):
                self.prepare(stapler)
            self.assertIsNone(stapler.current(), problem)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noRetriever(self) -> None:
        """
        Without a retriever in the context, the process's own one is taken, when
        something is fetched and no earlier.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context)
        taken = []

        def default() -> MemoryWeb:
            taken.append(web)
            return web

        self.patch(stapling, "defaultRetriever", default)
        plain = SslStreamCertificateContext(
            context.certificate, context.privateKey, context.intermediates
        )
        stapler = staplerOf(plain)
        self.assertEqual(taken, [])
        self.prepare(stapler)
        self.assertEqual(stapler.current(), web.answers[URL])
        self.assertEqual(len(taken), 1)

    def test_shared(self) -> None:
        """
        Equal contexts share what was fetched; those with another retriever or
        other intermediates do not.
        """
        web = MemoryWeb()
        context = issue(web)
        parts = (context.certificate, context.privateKey)
        again = SslStreamCertificateContext(*parts, context.intermediates, retriever=web)
        self.assertIs(staplerOf(context), staplerOf(again))
        for other in (
            SslStreamCertificateContext(*parts, context.intermediates, retriever=MemoryWeb()),
            SslStreamCertificateContext(*parts, context.intermediates, offline=True, retriever=web),
            SslStreamCertificateContext(*parts, (ROOT.certificate,), retriever=web),
        ):
            self.assertIsNot(staplerOf(context), staplerOf(other))

    def test_cache(self) -> None:
        """
        What another process has fetched is taken without asking, as long as it
        is valid and proves something.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context, nextUpdate=NOW + HOUR)
        self.prepare(Stapler(context))
        self.assertEqual(len(web.asked), 1)
        second = Stapler(context)
        with self.silence():
            self.prepare(second)
        self.assertEqual(second.current(), web.answers[URL])
        self.assertEqual(len(web.asked), 1)
        self.move(2 * HOUR)
        web.answers[URL] = response(context, thisUpdate=self.now, nextUpdate=self.now + HOUR)
        third = Stapler(context)
        self.prepare(third)
        self.assertEqual(third.current(), web.answers[URL])
        self.assertEqual(len(web.asked), 2)

    def test_spoiledCache(self) -> None:
        """
        What is no good in the cache is as if it was not there.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context)
        self.patch(RevocationCache, "get", lambda *_: b"spoiled")
        stapler = Stapler(context)
        with self.silence():
            self.prepare(stapler)
        self.assertEqual(stapler.current(), web.answers[URL])


class RefreshingTests(StaplingCase):
    """
    When a stapler asks.
    """

    def setUp(self) -> None:
        super().setUp()
        self.web = MemoryWeb()
        self.context = issue(self.web)
        self.stapler = staplerOf(self.context)

    def shown(self, lifetime: datetime.timedelta) -> bytes:
        """
        @return: the response, valid for so long from now on, that is shown now.
        """
        self.web.answers[URL] = made = self.made(lifetime)
        with self.silence():
            self.prepare(self.stapler)
        self.assertEqual(self.stapler.current(), made)
        self.web.asked.clear()
        return made

    def made(self, lifetime: datetime.timedelta) -> bytes:
        """
        @return: a response that is valid for so long from now on.
        """
        return response(self.context, thisUpdate=self.now - HOUR, nextUpdate=self.now + lifetime)

    def checkDue(self, at: datetime.timedelta) -> None:
        """
        There is nothing to ask before C{at} from now on, and then there is.
        """
        self.move(at - SECOND)
        self.prepare(self.stapler)
        self.assertEqual(self.web.asked, [])
        self.move(SECOND)
        self.prepare(self.stapler)
        self.assertNotEqual(self.web.asked, [])

    def test_beforeTheEnd(self) -> None:
        """
        A new response is asked for before the old one ends; the old one is
        shown until the new one is there, and no handshake waits for that.
        """
        old = self.shown(2 * HOUR)
        waiting: Deferred[bytes] = Deferred()
        self.web.answers[URL] = waiting
        self.checkDue(2 * HOUR - MARGIN)
        self.assertEqual(self.stapler.current(), old)
        new = self.made(2 * HOUR)
        with self.silence():
            waiting.callback(new)
        self.assertEqual(self.stapler.current(), new)
        self.web.asked.clear()
        self.checkDue(2 * HOUR - MARGIN)

    def test_everyDay(self) -> None:
        """
        However long a response is valid, a new one is asked for after a day.
        """
        self.shown(7 * DAY)
        self.web.answers[URL] = {"GET": b"", "POST": b""}
        with self.logs("unreadable"):
            self.checkDue(LONGEST_USE)

    def test_learnsRevocation(self) -> None:
        """
        That the certificate was revoked meanwhile is shown after a day, though
        the older response is still valid and in the cache.
        """
        self.shown(7 * DAY)
        self.web.answers[URL] = revoked = response(
            self.context, status=REVOKED, nextUpdate=NOW + 7 * DAY
        )
        self.move(LONGEST_USE)
        self.prepare(self.stapler)
        self.assertEqual(self.stapler.current(), revoked)

    def test_shortLived(self) -> None:
        """
        A response that ends very soon is shown until then, and the responder is
        not asked in every handshake.
        """
        self.shown(MARGIN - SECOND)
        self.checkDue(MARGIN - SECOND)

    def test_end(self) -> None:
        """
        While new ones cannot be had, the old response is shown up to its end,
        and not at it.
        """
        old = self.shown(2 * HOUR)
        self.web.answers[URL] = OSError("connection refused")
        self.move(2 * HOUR - SECOND)
        with self.logs("connection refused"):
            self.prepare(self.stapler)
        self.assertEqual(self.stapler.current(), old)
        self.move(SECOND)
        self.assertIsNone(self.stapler.current())

    def test_worseResponse(self) -> None:
        """
        A new response of no use leaves the old one in its place.
        """
        old = self.shown(2 * HOUR)
        self.web.answers[URL] = response(self.context, status=UNKNOWN)
        self.move(2 * HOUR - MARGIN)
        with self.logs("does not know it"):
            self.prepare(self.stapler)
        self.assertEqual(self.stapler.current(), old)

    def test_pause(self) -> None:
        """
        After a failure, nobody is asked for a while; each failure is one
        warning.
        """
        with self.logs("refused"):
            self.prepare(self.stapler)
            asked = len(self.web.asked)
            self.clock.advance(PAUSE - 1)
            self.prepare(self.stapler)
            self.assertEqual(len(self.web.asked), asked)
        self.clock.advance(1)
        with self.logs("refused"):
            self.prepare(self.stapler)
        self.assertEqual(len(self.web.asked), 2 * asked)

    def test_oneAtATime(self) -> None:
        """
        Handshakes that begin while the responder is being asked do not ask, nor
        wait.
        """
        waiting: Deferred[bytes] = Deferred()
        self.web.answers[URL] = waiting
        for _ in range(3):
            self.prepare(self.stapler)
            self.clock.advance(1)
        self.assertEqual(self.web.asked, [("GET", URL)])
        self.assertIsNone(self.stapler.current())
        waiting.callback(response(self.context))
        self.assertIsNotNone(self.stapler.current())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_neverAnswers(self) -> None:
        """
        A retriever that never answers is given up in time, with a warning, and
        asked anew after the pause.
        """
        cancelled: list[Deferred[bytes]] = []
        self.web.answers[URL] = Deferred(cancelled.append)
        with self.logs("no answer in time"):
            self.prepare(self.stapler)
            self.clock.pump([TIMEOUT, TIMEOUT])
        self.assertNotEqual(cancelled, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(PAUSE)
        self.web.answers[URL] = response(self.context)
        with self.silence():
            self.prepare(self.stapler)
        self.assertIsNotNone(self.stapler.current())


class MustStapleTests(StaplingCase):
    """
    Certificates that require a response (RFC 7633).
    """

    def setUp(self) -> None:
        super().setUp()
        self.web = MemoryWeb()
        self.context = issue(self.web, MUST_STAPLE)
        self.stapler = staplerOf(self.context)
        self.answer: Deferred[bytes] = Deferred()
        self.web.answers[URL] = self.answer

    def test_waits(self) -> None:
        """
        All handshakes wait for the first response, and none once it is there.
        """
        waiting = [self.stapler.prepare(self.clock) for _ in range(3)]
        self.clock.advance(PATIENCE - 1)
        for each in waiting:
            self.assertNoResult(each)
        self.answer.callback(response(self.context))
        for each in waiting:
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual(self.web.asked, [("GET", URL)])
        self.prepare(self.stapler)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_patience(self) -> None:
        """
        No handshake waits for longer than it has patience; the response that
        comes later is for the next one.
        """
        waiting = self.stapler.prepare(self.clock)
        self.clock.advance(PATIENCE - 1)
        self.assertNoResult(waiting)
        later = self.stapler.prepare(self.clock)
        self.clock.advance(1)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertNoResult(later)
        self.assertIsNone(self.stapler.current())
        self.answer.callback(response(self.context))
        self.assertIsNone(self.successResultOf(later))
        self.assertIsNotNone(self.stapler.current())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """
        When the attempt fails, those who wait go on without, as do those who
        come in the pause.
        """
        waiting = self.stapler.prepare(self.clock)
        self.web.answers[URL] = OSError("connection refused")
        with self.logs("connection refused"):
            self.answer.errback(OSError("broken"))
            self.prepare(self.stapler)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refreshing(self) -> None:
        """
        Nobody waits while there is a response that is being refreshed.
        """
        self.answer.callback(response(self.context))
        self.prepare(self.stapler)
        self.now = NOW + DAY - MARGIN
        refreshed: Deferred[bytes] = Deferred()
        self.web.answers[URL] = refreshed
        self.clock.advance(PAUSE)
        self.prepare(self.stapler)
        self.assertEqual(len(self.web.asked), 2)
        refreshed.callback(response(self.context, nextUpdate=NOW + 2 * DAY))

    def test_cancel(self) -> None:
        """
        Whoever does not wait any more concerns nobody else, and leaves nothing
        behind.
        """
        one, other = (self.stapler.prepare(self.clock) for _ in range(2))
        before = len(self.clock.getDelayedCalls())
        one.cancel()
        self.assertIsNone(self.successResultOf(one))
        self.assertEqual(len(self.clock.getDelayedCalls()), before - 1)
        self.assertNoResult(other)
        self.answer.callback(response(self.context))
        self.assertIsNone(self.successResultOf(other))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Handshakes(Surroundings):
    """
    Handshakes in which staples matter.
    """

    version: SslProtocols
    segment: int

    def policy(self, **more: Any) -> X509ChainPolicy:
        """
        @return: a policy that looks at the server's certificate alone, and
            fetches nothing.
        """
        return X509ChainPolicy(
            **{
                "trustMode": X509ChainTrustMode.CustomRootTrust,
                "customTrustStore": [ROOT.certificate],
                "revocationMode": X509RevocationMode.Offline,
                "revocationFlag": X509RevocationFlag.EndCertificateOnly,
                **more,
            }
        )

    def start(
        self,
        context: SslStreamCertificateContext | None,
        policy: X509ChainPolicy | None = None,
        server: dict[str, Any] | None = None,
        select: Callable[..., Any] | None = None,
        **client: Any,
    ) -> None:
        """
        Begin a handshake, and let it go as far as it goes.

        @param context: the server's.
        @param policy: the client's; L{policy} unless given.
        @param server: more options of the server's.
        @param select: chooses the server's certificate.
        @param client: more options of the client's.
        """
        streams: dict[str, Any] = (
            {} if select is None else {"localCertificateSelectionCallback": select}
        )
        self.pair = pair = StreamPair(self.segment, **streams)
        self.sides = pair.authenticate(
            self.version,
            client={"certificateChainPolicy": policy or self.policy(), **client},
            server={
                "serverCertificateContext": context,
                "serverCertificate": None,
                **(server or {}),
            },
        )

    def accepted(self) -> bytes | None:
        """
        Both sides have accepted the other.

        @return: what was stapled.
        """
        for each in self.sides:
            self.successResultOf(each)
        built = self.pair.client.remoteChain
        assert built is not None
        self.close()
        return built.stapledResponse

    def refused(self, flags: X509ChainStatusFlags, alert: TlsAlert) -> AuthenticationError:
        """
        The client has refused the server for this, and both know.

        @return: the client's error.
        """
        client, server = (self.failureResultOf(each, AuthenticationError) for each in self.sides)
        self.assertEqual(client.value.chainStatus, flags)
        self.assertEqual((client.value.alertSent, server.value.alert), (alert, alert))
        self.close()
        error: AuthenticationError = client.value
        return error

    def close(self) -> None:
        """
        End it; nothing is left of it.
        """
        self.pair.wire.cut()
        self.pair.wire.flush()
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])
        self.checkParked()


@perVersion()
class HandshakeTests(Handshakes):
    """
    A server that staples and a client that needs it.
    """

    def test_staple(self) -> None:
        """
        A client that looks for revocation, and fetches nothing, accepts the
        server for its staple, which its callback gets to see; the second
        handshake asks nobody.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = good = response(context)
        seen: list[tuple[Any, ...]] = []

        def callback(_: object, certificate: object, chain: Any, errors: object) -> bool:
            seen.append((certificate, chain.stapledResponse, int(errors)))  # type: ignore[call-overload]
            return True

        for _ in range(2):
            with self.silence():
                self.start(context, remoteCertificateValidationCallback=callback)
                self.assertEqual(self.accepted(), good)
            self.start(context)
            self.assertEqual(self.accepted(), good)
        self.assertEqual(seen, [(context.certificate, good, 0)] * 2)
        self.assertEqual(web.asked, [("GET", URL)])

    def test_withoutStaple(self) -> None:
        """
        Without the staple, the same client refuses the same server, as nothing
        is known of its certificate.
        """
        self.start(issue(MemoryWeb(), offline=True))
        flags = S.RevocationStatusUnknown | S.OfflineRevocation
        self.refused(flags, TlsAlert.certificate_unknown)

    def test_revoked(self) -> None:
        """
        A staple that says that the certificate is revoked has it refused for
        that.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context, status=REVOKED)
        self.start(context)
        self.refused(S.Revoked, TlsAlert.certificate_revoked)

    def test_notAsked(self) -> None:
        """
        A client that does not look for revocation gets no staple.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context)
        self.start(context, self.policy(revocationMode=X509RevocationMode.NoCheck))
        flight = bytes(self.pair.wire.server.everWritten)
        self.assertIsNone(self.accepted())
        self.assertNotIn(web.answers[URL], flight)

    def test_visible(self) -> None:
        """
        In TLS 1.2 the staple of a client that asks can be seen on the wire, so
        that the test above does not look in vain.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context)
        self.start(context)
        isSeen = web.answers[URL] in bytes(self.pair.wire.server.everWritten)
        self.assertEqual(isSeen, self.version is SslProtocols.Tls12)
        self.accepted()

    def test_firstWithout(self) -> None:
        """
        The handshake that has the responder asked does not wait for it; once it
        has answered, the next one has the staple.
        """
        web = MemoryWeb()
        context = issue(web)
        answer: Deferred[bytes] = Deferred()
        web.answers[URL] = answer
        self.start(context)
        self.assertEqual(len(web.asked), 1)
        for each in self.sides:
            self.failureResultOf(each, AuthenticationError)
        clock = self.pair.clock
        self.pair.wire.cut()
        good = response(context)
        answer.callback(good)
        self.assertEqual(clock.getDelayedCalls(), [])
        self.start(context)
        self.assertEqual(self.accepted(), good)

    def test_selected(self) -> None:
        """
        A callback's certificate is shown with a response about itself, whether
        it was chosen by name or among what there is, and even if that is what
        would have been shown anyway.
        """
        web, other = MemoryWeb(), MemoryWeb()
        context, configured = issue(web), issue(other)
        web.answers[URL] = response(context)
        other.answers[URL] = response(configured)
        self.start(None, server={"serverCertificateSelectionCallback": lambda *_: context})
        self.assertEqual(self.accepted(), web.answers[URL])
        self.assertEqual(other.asked, [])
        for chosen, answer in ((context, web), (configured, other)):
            self.start(
                configured,
                select=lambda *said, chosen=chosen: chosen if said[0].isServer else None,
            )
            self.assertEqual(self.accepted(), answer.answers[URL])

    def test_selectedPlain(self) -> None:
        """
        A certificate that was not made a context of is shown without a staple,
        and nobody is asked, whether a callback has chosen it or not.
        """
        self.patch(stapling, "defaultRetriever", self.fail)
        issued = MIDDLE.issue("localhost", extensions=[access([URL])])
        chain = (issued.certificate, issued.privateKey)
        policy = self.policy(extraStore=[MIDDLE.certificate], revocationLists=[crl(MIDDLE)])
        for options in (
            {"serverCertificate": chain},
            {"serverCertificateSelectionCallback": lambda *_: chain},
        ):
            self.start(None, policy, server=options)
            self.assertIsNone(self.accepted())

    def test_failingRetriever(self) -> None:
        """
        A retriever that raises or fails costs the staple, not the handshake.
        """
        policy = self.policy(revocationLists=[crl(MIDDLE)])
        for problem in (ZeroDivisionError, OSError("connection refused")):
            web = MemoryWeb({URL: problem})
            with self.logs("raised|refused"):
                self.start(issue(web), policy)
            self.assertIsNone(self.accepted())
            self.assertNotEqual(web.asked, [])

    def test_clientCertificate(self) -> None:
        """
        The staple arrives as well where both sides show a certificate.
        """
        web = MemoryWeb()
        context = issue(web)
        web.answers[URL] = response(context)
        self.start(context, server={"clientCertificateRequired": True}, clientCertificates=[CLIENT])
        self.assertEqual(self.pair.server.remoteCertificate, CLIENT.certificate)
        self.assertEqual(self.accepted(), web.answers[URL])

    def test_digests(self) -> None:
        """
        It does not matter what digest the responder names the certificate with.
        """
        for algorithm in (hashes.SHA1(), hashes.SHA256(), hashes.SHA512()):
            web = MemoryWeb()
            context = issue(web)
            web.answers[URL] = response(context, algorithm=algorithm)
            self.start(context)
            self.assertEqual(self.accepted(), web.answers[URL], algorithm.name)

    def test_largest(self) -> None:
        """
        The largest staple that is shown is accepted; by one byte more it is
        not shown, for OpenSSL's clients would break off.
        """
        web = MemoryWeb()
        context = issue(web)

        # The size of an ECDSA signature varies.
        signer = MIDDLE.responder(key=rsaKey())

        def padded(size: int) -> bytes:
            content = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(size))
            return response(context, responder=signer, extensions=[(content, False)])

        size = LIMIT - len(padded(LIMIT // 2)) + LIMIT // 2
        largest, tooLarge = padded(size), padded(size + 1)
        self.assertEqual((len(largest), len(tooLarge)), (LIMIT, LIMIT + 1))
        web.answers[URL] = largest
        self.start(context)
        self.assertEqual(self.accepted(), largest)
        web.answers[URL] = tooLarge
        self.move(HOUR)
        stapler = Stapler(context)
        self.cache = RevocationCache(None)
        with self.logs("more than"):
            self.successResultOf(stapler.prepare(self.clock))
        self.assertIsNone(stapler.current())


@perVersion()
class RequiredStapleTests(Handshakes):
    """
    Certificates that require a staple (RFC 7633).
    """

    def setUp(self) -> None:
        super().setUp()
        self.web = MemoryWeb()
        self.context = issue(self.web, MUST_STAPLE)
        # Without this there would be another reason to refuse it.
        self.elsewhere = self.policy(revocationLists=[crl(MIDDLE)])

    def test_good(self) -> None:
        """
        With it, the certificate is accepted.
        """
        self.web.answers[URL] = response(self.context)
        for policy in (self.policy(), self.elsewhere):
            self.start(self.context, policy)
            self.assertEqual(self.accepted(), self.web.answers[URL])

    def test_missing(self) -> None:
        """
        Without it, the certificate is refused, though a CRL says that it is
        good.
        """
        offline = SslStreamCertificateContext(
            self.context.certificate,
            self.context.privateKey,
            self.context.intermediates,
            offline=True,
        )
        self.start(offline, self.elsewhere)
        error = self.refused(S.RevocationStatusUnknown, TlsAlert.certificate_unknown)
        self.assertIn("requires a stapled OCSP response, and none was sent", str(error))

    def test_notRequired(self) -> None:
        """
        A certificate that does not require it is accepted without.
        """
        self.start(issue(MemoryWeb(), offline=True), self.elsewhere)
        self.assertIsNone(self.accepted())

    def test_useless(self) -> None:
        """
        One that does not prove anything is as good as none.
        """
        expired = response(self.context, thisUpdate=NOW - 2 * DAY, nextUpdate=NOW - HOUR)
        self.patch(Stapler, "current", lambda _: expired)
        self.start(self.context, self.elsewhere)
        error = self.refused(S.RevocationStatusUnknown, TlsAlert.certificate_unknown)
        self.assertIn("it is of no use: stapled OCSP response expired", str(error))

    def test_notLooked(self) -> None:
        """
        A client that does not look for revocation does not look for it, nor
        does a server with its clients, which cannot staple.
        """
        policy = self.policy(revocationMode=X509RevocationMode.NoCheck)
        self.start(self.context, policy)
        self.pair.clock.advance(PATIENCE)
        self.pair.wire.flush()
        self.assertIsNone(self.accepted())
        client = MIDDLE.issue("client@example.com", extensions=[MUST_STAPLE])
        self.start(
            MIDDLE.issue("localhost"),
            self.elsewhere,
            {"clientCertificateRequired": True, "certificateChainPolicy": self.elsewhere},
            clientCertificates=[client],
        )
        self.assertEqual(self.pair.server.remoteCertificate, client.certificate)
        self.accepted()

    def wait(self, **server: Any) -> Deferred[bytes]:
        """
        Begin a handshake that has to wait.

        @return: the answer that it waits for.
        """
        answer: Deferred[bytes] = Deferred()
        self.web.answers[URL] = answer
        self.start(self.context, self.elsewhere, server)
        self.pair.clock.advance(PATIENCE - 1)
        self.pair.wire.flush()
        for each in self.sides:
            self.assertNoResult(each)
        return answer

    def test_waits(self) -> None:
        """
        The handshake waits for the first response, and goes on with it.
        """
        answer = self.wait()
        good = response(self.context)
        answer.callback(good)
        self.pair.wire.flush()
        self.assertEqual(self.accepted(), good)

    def test_waitsNoLonger(self) -> None:
        """
        After five seconds it goes on without, which the client does not accept.
        """
        answer = self.wait()
        self.assertEqual(PATIENCE, 5)
        self.pair.clock.advance(1)
        self.pair.wire.flush()
        answer.callback(response(self.context))
        self.refused(S.RevocationStatusUnknown, TlsAlert.certificate_unknown)

    def test_timeout(self) -> None:
        """
        A handshake that takes too long meanwhile ends there and then; the
        responder's answer is for the next one.
        """
        answer = self.wait(handshakeTimeout=PATIENCE - 0.5)
        self.pair.clock.advance(0.5)
        self.failureResultOf(self.sides[1], HandshakeTimeout)
        self.endEarly(answer)

    def test_cancel(self) -> None:
        """
        So does one that is cancelled.
        """
        answer = self.wait()
        self.sides[1].cancel()
        self.failureResultOf(self.sides[1], HandshakeCancelled)
        self.endEarly(answer)

    def test_lost(self) -> None:
        """
        So does one whose connection is lost.
        """
        answer = self.wait()
        self.pair.wire.cut()
        self.failureResultOf(self.sides[1], HandshakeInterrupted)
        self.endEarly(answer)

    def endEarly(self, answer: Deferred[bytes]) -> None:
        """
        The server has ended it; the client learns of that, and nothing is left.
        """
        self.checkParked()
        self.pair.wire.flush()
        self.failureResultOf(self.sides[0], AuthenticationError)
        good = response(self.context)
        with self.silence():
            answer.callback(good)
        self.close()
        self.start(self.context, self.elsewhere)
        self.assertEqual(self.accepted(), good)


#: What asks for a staple in TLS 1.2.
_ASKING = X509ChainPolicy(
    trustMode=X509ChainTrustMode.CustomRootTrust,
    customTrustStore=[ROOT.certificate],
    revocationMode=X509RevocationMode.Offline,
    revocationFlag=X509RevocationFlag.EndCertificateOnly,
    revocationLists=[crl(MIDDLE)],
)


class HeldFlightTests(Surroundings, SynchronousTestCase):
    """
    A client that waits for the staple holds back the server's first flight of
    TLS 1.2: what comes instead of it, and what does not come.
    """

    def start(
        self,
        version: SslProtocols = SslProtocols.Tls12,
        client: dict[str, Any] | None = None,
        **server: Any,
    ) -> bytes:
        """
        Begin a handshake.

        @return: the server's first flight, which has not left yet.
        """
        self.pair = pair = StreamPair()
        options = {"certificateChainPolicy": _ASKING, **(client or {})}
        self.sides = pair.authenticate(
            version, options, {"serverCertificate": MIDDLE.issue("localhost"), **server}, False
        )
        pair.wire.client.pauseProducing()
        pair.wire.flush()
        flight = bytes(pair.wire.server.written)
        pair.wire.server.written.clear()
        pair.wire.client.resumeProducing()
        return flight

    def send(self, *pieces: bytes) -> None:
        """
        Send this to the client, piece by piece.
        """
        for piece in pieces:
            self.pair.wire.server.write(piece)
            self.pair.wire.flush()

    def accepted(self) -> None:
        """
        Both sides have accepted the other.
        """
        for each in self.sides:
            self.successResultOf(each)
        self.end()

    def refused(self, kind: type[AuthenticationError] = AuthenticationError) -> AuthenticationError:
        """
        @return: why the client has given up.
        """
        error: AuthenticationError = self.failureResultOf(self.sides[0], kind).value
        self.end()
        return error

    def end(self) -> None:
        """
        The connection is gone, and all that was made for it.
        """
        self.pair.wire.cut()
        self.pair.wire.flush()
        for each in self.sides:
            each.addErrback(lambda failure: failure.trap(AuthenticationError))
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])
        self.checkParked()

    def test_everyByte(self) -> None:
        """
        The flight is judged as soon as its last byte is there, and not before.
        """
        asked: list[object] = []

        def callback(*arguments: object) -> bool:
            asked.append(arguments)
            return True

        flight = self.start(client={"remoteCertificateValidationCallback": callback})
        self.send(*(flight[at : at + 1] for at in range(len(flight) - 1)))
        self.assertEqual((asked, bytes(self.pair.wire.client.written)), ([], b""))
        self.send(flight[-1:])
        self.assertEqual(len(asked), 1)
        self.accepted()

    def test_withoutStatus(self) -> None:
        """
        A server that sends no staple is judged without, in both versions.
        """
        for version in (SslProtocols.Tls12, SslProtocols.Tls13):
            self.send(self.start(version))
            built = self.pair.client.remoteChain
            assert built is not None
            self.assertIsNone(built.stapledResponse)
            self.accepted()

    def test_clientCertificate(self) -> None:
        """
        That a certificate of the client is asked for in the same flight, and
        that somebody takes time to decide, changes nothing.
        """
        verdict: Deferred[bool] = Deferred()
        flight = self.start(
            client={
                "clientCertificates": [CLIENT],
                "remoteCertificateValidationCallback": lambda *_: verdict,
            },
            clientCertificateRequired=True,
        )
        self.send(flight)
        self.assertNoResult(self.sides[0])
        verdict.callback(True)
        self.pair.wire.flush()
        self.assertEqual(self.pair.server.remoteCertificate, CLIENT.certificate)
        self.accepted()

    def test_alertInstead(self) -> None:
        """
        An alert instead of the flight, or in the middle of it, is heard at
        once.
        """
        flight = self.start()
        self.end()
        first = 5 + int.from_bytes(flight[3:5], "big")
        self.assertLess(first, len(flight))
        for size in (0, first):
            flight = self.start()
            self.send(flight[:size], record(ALERT, b"\x02\x28"))
            self.assertEqual(self.refused().alert, TlsAlert.handshake_failure)

    def test_warning(self) -> None:
        """
        A warning before the flight does not disturb.
        """
        flight = self.start()
        # unrecognized_name, which servers do send (RFC 6066 section 3).
        self.send(record(ALERT, b"\x01\x70"), flight)
        self.accepted()

    def test_garbage(self) -> None:
        """
        What is no TLS is recognized as such from the first byte on.
        """
        for garbage in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"):
            self.start()
            self.send(garbage)
            self.assertIn("does not speak TLS", str(self.refused()))

    def test_garbageInRecords(self) -> None:
        """
        What looks like a handshake and is none ends in an error once it is as
        long as it says, or in time.
        """
        self.start()
        self.send(record(22, b"\x02\x00\x00\x00" + b"\x0e\x00\x00\x00"))
        self.assertIn("the handshake failed", str(self.refused()))
        self.start()
        self.send(record(22, b"\xff" * 100))
        self.assertNoResult(self.sides[0])
        self.pair.clock.advance(30)
        self.refused(HandshakeTimeout)

    def test_neverComplete(self) -> None:
        """
        A flight of which a byte is missing for ever ends in a time-out, which
        the server is told.
        """
        flight = self.start()
        self.send(flight[:-1])
        self.pair.clock.advance(29)
        self.assertNoResult(self.sides[0])
        self.pair.clock.advance(1)
        error = self.refused(HandshakeTimeout)
        self.assertEqual(error.alertSent, TlsAlert.user_canceled)

    def test_lost(self) -> None:
        """
        A connection that is lost in the flight is noticed.
        """
        flight = self.start()
        self.send(flight[:-1])
        self.pair.wire.cut()
        self.refused(HandshakeInterrupted)

    def test_tooLong(self) -> None:
        """
        A flight without end ends in an error: no more than the limit is held
        back.
        """
        self.start()
        endless = b"".join(record(22, bytes(1 << 14)) for _ in range(9))
        self.send(b"".join((record(22, b"\x0b\xff\xff\xff"), endless))[: ServerFlight.LIMIT - 1])
        self.assertNoResult(self.sides[0])
        self.send(b"\0")
        self.assertIn("the handshake failed", str(self.refused()))

    def test_helloRetry(self) -> None:
        """
        A server of TLS 1.3 that wants another group first does not have to wait
        for an answer, whether or not it goes on as if it was TLS 1.2 (RFC 8446
        appendix D.4).
        """
        for isCompatible in (True, False):
            context = MIDDLE.issue("localhost")
            options = serverOptions(SslProtocols.Tls13, serverCertificate=context)
            # A group of which no client sends a share at once.
            lib.SSL_CTX_set1_curves_list(contextFor(options.parameters)._context, b"P-521")
            flight = self.start(SslProtocols.Tls13, serverCertificate=context)
            size = 5 + int.from_bytes(flight[3:5], "big")
            self.assertEqual(flight[size:], record(CHANGE_CIPHER_SPEC, b"\1"))
            self.send(flight if isCompatible else flight[:size])
            self.assertIn(self.pair.client.keyExchangeGroup, ("secp521r1", "SECP521R1", "P-521"))
            self.accepted()
