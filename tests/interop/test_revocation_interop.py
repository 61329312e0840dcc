"""
Revocation with real responders: C{openssl ocsp}, lists and issuers on a web
server, and what OpenSSL, GnuTLS and our own server staple.

What is ours runs in processes that share no cache with each other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslStreamCertificateContext, X509ChainStatusFlags
from txsslstream.testing import DAY, MUST_STAPLE, NOW, Authority, certificatePEM
from txsslstream.testing.encoding import SEQUENCE, der
from txsslstream.testing.revocations import (
    GOOD,
    REVOKED,
    UNKNOWN,
    access,
    crl,
    crlBytes,
    distribution,
    ocspResponse,
)

from ._authority import (
    ForeignCase,
    Identity,
    derOf,
    identity,
    methods,
    newHome,
    ocspResponder,
    opensslBundle,
    opensslList,
    ours,
    ourServer,
    rootFile,
    stored,
    web,
)
from ._ours import Outcome
from ._tools import (
    ANSWER,
    CLIENT_MESSAGE,
    GNUTLS_SERVER_READY,
    LOOPBACK,
    OPENSSL_SERVER_READY,
    SERVER_MESSAGE,
    Background,
    background,
    freePort,
    gnutlsClient,
    gnutlsServer,
    opensslClient,
    opensslServer,
    runTool,
)

S = X509ChainStatusFlags
#: Nobody could be asked, or nobody said anything usable.
NOT_KNOWN = S.RevocationStatusUnknown | S.OfflineRevocation
VERSIONS = ("1.2", "1.3")

ROOT = Authority("Interop Root")
SUB = Authority("Interop Authority", ROOT)


class RevocationCase(ForeignCase):
    """
    A test case with what foreign tools say about certificates.
    """

    tools: ClassVar[tuple[str, ...]] = ("openssl",)

    def opensslServer(self, shown: Identity, *extra: str) -> tuple[Background, int]:
        """
        Run C{openssl s_server}.

        @return: it, and its port.
        """
        command = opensslServer(shown.pem, shown.pem, extra=extra)
        tool = self.during(background(command, OPENSSL_SERVER_READY, answers=ANSWER))
        return tool, int(tool.match[1])

    def assertGood(self, outcome: Outcome) -> None:
        """
        Nothing is wrong with it.
        """
        self.assertTrue(outcome.isAccepted, outcome)
        self.assertEqual(set(outcome.flags) | {0}, {0}, outcome)

    def assertBad(
        self, outcome: Outcome, flags: S, words: str = "", alert: str = "", depth: int = 0
    ) -> None:
        """
        It is refused for this, and for nothing else.

        @param words: a part of the only problem.
        @param alert: what was sent, if it was a peer's.
        @param depth: whose problem it is.
        """
        self.assertFalse(outcome.isAccepted, outcome)
        expected = [S.NoError] * len(outcome.flags)
        expected[depth] = flags
        self.assertEqual(list(map(S, outcome.flags)), expected, outcome)
        self.assertEqual(len(outcome.problems), 1, outcome)
        self.assertIn(words, outcome.problems[0])
        self.assertEqual(outcome.sent, alert, outcome)


class ResponderTests(RevocationCase, SynchronousTestCase):
    """
    C{X509Chain} and our client with C{openssl ocsp}.
    """

    def setUp(self) -> None:
        """
        Choose where the responder is.
        """
        super().setUp()
        self.port = freePort()
        self.url = f"http://{LOOPBACK}:{self.port}/"

    def issue(self, url: str = "", **arguments: Any) -> Identity:
        """
        Issue a certificate that names a responder, this one unless told.
        """
        extensions = [access([url or self.url])]
        return identity(ROOT.issue("localhost", extensions=extensions, **arguments))

    def responder(self, **arguments: Any) -> Background:
        """
        Run the responder.
        """
        tool: Background = self.during(ocspResponder(ROOT, self.port, **arguments))
        return tool

    def case(self, shown: Identity, **more: Any) -> Mapping[str, Any]:
        """
        @return: what L{ours} is to judge.
        """
        case = {"root": rootFile(ROOT), "mode": "Online", "certificate": shown.pem}
        return {**case, **more}

    def test_standings(self) -> None:
        """
        What the responder says is good is good; what it has revoked is revoked,
        with the reason and the date; what it does not know is of unknown status,
        although somebody was there to say so.
        """
        good, revoked, unknown = (self.issue() for _ in range(3))
        self.responder(good=[good.certificate], revoked=[revoked.certificate])
        outcomes = ours(*map(self.case, (good, revoked, unknown)))
        self.assertGood(outcomes[0])
        self.assertBad(outcomes[1], S.Revoked, "revoked 2026-01-02 (keyCompromise)")
        self.assertBad(outcomes[2], S.RevocationStatusUnknown, "the responder does not know it")

    def test_peers(self) -> None:
        """
        While it asks, our client's handshake waits: it goes on with a server that
        is good, and a server that is revoked gets that for an alert, one that
        nobody knows certificate_unknown.
        """
        good, revoked, unknown = (self.issue() for _ in range(3))
        self.responder(good=[good.certificate], revoked=[revoked.certificate])
        servers = [self.opensslServer(each) for each in (good, revoked, unknown)]
        for version in VERSIONS:
            outcomes = ours(*(self.case(good, port=port, version=version) for _, port in servers))
            self.assertGood(outcomes[0])
            self.assertTrue(outcomes[0].isAnswered)
            self.assertBad(outcomes[1], S.Revoked, alert="certificate_revoked")
            self.assertBad(outcomes[2], S.RevocationStatusUnknown, alert="certificate_unknown")
        # Once for each version.
        for (server, _), number in zip(servers[1:], (44, 46), strict=True):
            server.waitFor(rf"(?s)SSL alert number {number}$.*SSL alert number {number}$")

    def test_clients(self) -> None:
        """
        Our server, too, waits in the handshake while it asks about a client's
        certificate, and tells the client that it is revoked, or that nobody
        knows.
        """
        good, revoked, unknown = (self.issue() for _ in range(3))
        silent = self.issue(web().place("silent"))
        self.responder(good=[good.certificate], revoked=[revoked.certificate])
        case = {**self.case(good), "timeout": 1}
        server = self.during(ourServer(**case))
        for shown, number in ((good, None), (revoked, 44), (unknown, 46), (silent, 46)):
            for version in VERSIONS:
                command = opensslClient(
                    int(server.match[1]),
                    rootFile(ROOT),
                    certificate=shown.pem,
                    privateKey=shown.pem,
                    version=version,
                )
                client = runTool(command, CLIENT_MESSAGE)
                if number is None:
                    self.assertEqual(client.returncode, 0, client)
                    self.assertIn(SERVER_MESSAGE, client.stdout)
                else:
                    self.assertEqual(client.returncode, 1, client)
                    self.assertIn(f"SSL alert number {number}\n", client.stderr)

    def test_cached(self) -> None:
        """
        One answer is enough for a process, and for the next one; somebody who
        does not share the directory asks again.
        """
        good = self.issue()
        responder = self.responder(good=[good.certificate])
        home = newHome()
        for where, times in ((home, 1), (home, 1), (None, 2)):
            for outcome in ours(self.case(good), self.case(good), home=where):
                self.assertGood(outcome)
            self.assertEqual(len(methods(responder)), times)

    def test_stale(self) -> None:
        """
        An answer is believed up to its end, and not behind it.
        """
        good = self.issue()
        self.responder(good=[good.certificate], minutes=1)
        late, now = ours(self.case(good, later=300), self.case(good))
        self.assertBad(late, NOT_KNOWN, "expired ")
        self.assertGood(now)

    def test_unreachable(self) -> None:
        """
        Where nobody listens, revocation is not known; the server is told
        certificate_unknown.
        """
        shown = self.issue()
        server, port = self.opensslServer(shown)
        outcomes = ours(self.case(shown), self.case(shown, port=port))
        self.assertBad(outcomes[0], NOT_KNOWN, "refused")
        self.assertBad(outcomes[1], NOT_KNOWN, "refused", "certificate_unknown")
        server.waitFor("SSL alert number 46$")
        self.responder(good=[shown.certificate])
        self.assertGood(ours(self.case(shown))[0])

    def test_silent(self) -> None:
        """
        A responder that never answers is waited for as long as the policy says,
        and its connection is gone then.
        """
        shown = self.issue(web().place("silent"))
        _, port = self.opensslServer(shown)
        start = len(web().tool.output())
        for outcome, alert in zip(
            ours(
                self.case(shown, timeout=0.7),
                self.case(shown, timeout=0.7, port=port),
            ),
            ("", "certificate_unknown"),
            strict=True,
        ):
            self.assertBad(outcome, NOT_KNOWN, alert=alert)
            self.assertLess(0.6, outcome.seconds)
            self.assertLess(outcome.seconds, 8)
        web().tool.waitFor("(?s)^given up on$.*^given up on$", 10, start)

    def test_delegated(self) -> None:
        """
        A responder that the authority has entitled is believed; one that has only
        some certificate of the authority is not, nor one that another authority
        has entitled.
        """
        shown = self.issue()
        entitled = identity(ROOT.responder())
        mere = identity(ROOT.issue("responder"))
        foreign = identity(Authority("Another Authority").responder())
        for signer, words in (
            (entitled, ""),
            (mere, "no certificate for OCSP signing"),
            (foreign, "no certificate of the issuer"),
        ):
            with ocspResponder(ROOT, self.port, [shown.certificate], signer=signer):
                (outcome,) = ours(self.case(shown))
            if words:
                self.assertBad(outcome, NOT_KNOWN, words)
            else:
                self.assertGood(outcome)

    def test_methods(self) -> None:
        """
        Asking is by GET, where the URL lets us, and by POST where it does not.
        """
        byGet, byPost = self.issue(), self.issue(f"{self.url}?responder")
        responder = self.responder(good=[byGet.certificate, byPost.certificate])
        for shown in (byGet, byPost):
            self.assertGood(ours(self.case(shown))[0])
        self.assertEqual(methods(responder), ["GET", "POST"])

    def test_postOnly(self) -> None:
        """
        A responder that does not know GET is asked by POST; its answer, good or
        bad, counts.
        """
        combinations = list(product((GOOD, REVOKED), ("answer", "post")))
        urls, cases = [], []
        for status, place in combinations:
            # The response is about a certificate that names its URL.
            url = web().publish(b"", place)
            shown = self.issue(url)
            web().replace(url, ocspResponse(ROOT, shown.certificate, status=status))
            urls.append(url)
            cases.append(self.case(shown))
        outcomes = ours(*cases)
        for outcome, url, (status, place) in zip(outcomes, urls, combinations, strict=True):
            if status is GOOD:
                self.assertGood(outcome)
            else:
                self.assertBad(outcome, S.Revoked)
            expected = ["GET"] if place == "answer" else ["GET", "POST"]
            self.assertEqual(web().requests(url), expected)

    def test_useless(self) -> None:
        """
        Answers that prove nothing leave it unknown, each with the reason: one
        about another certificate, one that is over, a stranger's, one that says
        no more than to try later, garbage, nothing, an endless redirect, a flood,
        and none.
        """
        other = ROOT.issue("localhost").certificate
        stranger = Authority("Interop Root")
        later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        cases = []
        for words, made in (
            ("is about another certificate", lambda _: ocspResponse(ROOT, other)),
            (
                "expired ",
                lambda shown: ocspResponse(
                    ROOT, shown, thisUpdate=NOW - 2 * DAY, nextUpdate=NOW - DAY
                ),
            ),
            # As for the name, it is the authority: the key is another one.
            ("another certificate", lambda shown: ocspResponse(stranger, shown)),
            ("tryLater", lambda _: later.public_bytes(serialization.Encoding.DER)),
            ("is unreadable", lambda _: b"garbage"),
            ("is unreadable", lambda _: b""),
        ):
            url = web().publish(b"", "answer")
            shown = self.issue(url)
            web().replace(url, made(shown.certificate))
            cases.append((words, shown))
        for words, place in (
            ("redirects", "loop"),
            ("more than 131072 bytes", "flood"),
            ("404 Not Found", "nothing"),
        ):
            cases.append((words, self.issue(web().place(place))))
        for outcome, (words, _) in zip(
            ours(*(self.case(shown) for _, shown in cases)), cases, strict=True
        ):
            self.assertBad(outcome, NOT_KNOWN, words)


class ListTests(RevocationCase, SynchronousTestCase):
    """
    CRLs from the web server.
    """

    def issue(self, *urls: str) -> Identity:
        """
        Issue a certificate that names these lists.
        """
        return identity(ROOT.issue("localhost", extensions=[distribution(*urls)]))

    def published(self, *revoked: x509.Certificate, **arguments: Any) -> str:
        """
        @return: the URL of a new list.
        """
        return web().publish(crlBytes(crl(ROOT, *revoked, **arguments)))

    def case(self, shown: Identity, **more: Any) -> Mapping[str, Any]:
        """
        @return: what L{ours} is to judge.
        """
        return {"root": rootFile(ROOT), "mode": "Online", "certificate": shown.pem, **more}

    def test_standings(self) -> None:
        """
        What is not on the list is good, what is on it is revoked; a server with
        such a certificate is told so.
        """
        url = web().publish(b"")
        good, revoked = self.issue(url), self.issue(url)
        web().replace(url, crlBytes(crl(ROOT, revoked.certificate)))
        servers = [self.opensslServer(each) for each in (good, revoked)]
        outcomes = ours(*(self.case(good, port=port) for _, port in servers), self.case(revoked))
        self.assertGood(outcomes[0])
        self.assertTrue(outcomes[0].isAnswered)
        self.assertBad(outcomes[1], S.Revoked, "revoked 2026-01-02", "certificate_revoked")
        self.assertBad(outcomes[2], S.Revoked, "revoked 2026-01-02")
        servers[1][0].waitFor("SSL alert number 44$")
        # One list is for all its certificates.
        self.assertEqual(web().requests(url), ["GET"])

    def test_intermediate(self) -> None:
        """
        An authority that is on the root's list is revoked, whatever its own list
        says; one that is not is good.
        """
        revoked, good = web().publish(b""), web().publish(b"")
        for url in (revoked, good):
            below = Authority("Interop Authority", ROOT, [distribution(url)])
            own = web().publish(crlBytes(crl(below)))
            shown = identity(below.issue("localhost", extensions=[distribution(own)]))
            listed = (below.certificate,) if url == revoked else ()
            web().replace(url, crlBytes(crl(ROOT, *listed)))
            (outcome,) = ours(self.case(shown))
            if url == revoked:
                self.assertBad(outcome, S.Revoked, "certificate 2 of 3", depth=1)
            else:
                self.assertGood(outcome)
            self.assertEqual(len(outcome.names), 3)

    def test_openssl(self) -> None:
        """
        A list that C{openssl ca} has made, in PEM, is understood.
        """
        url = web().publish(b"")
        good, revoked = self.issue(url), self.issue(url)
        web().replace(url, opensslList(ROOT, [revoked.certificate]))
        outcomes = ours(self.case(good), self.case(revoked))
        self.assertGood(outcomes[0])
        self.assertBad(outcomes[1], S.Revoked, "(keyCompromise)")

    def test_useless(self) -> None:
        """
        A list that proves nothing leaves it unknown, each with the reason: one
        that is over, another issuer's, one with another key, garbage, an empty
        one, and none.
        """
        other, impostor = Authority("Another Authority"), Authority("Interop Root")
        cases = (
            (self.published(thisUpdate=NOW - 2 * DAY, nextUpdate=NOW - DAY), "expired "),
            (web().publish(crlBytes(crl(other))), "is another issuer's"),
            (web().publish(crlBytes(crl(impostor))), "has a wrong signature"),
            (web().publish(b"garbage"), "is unreadable"),
            (web().publish(b""), "is unreadable"),
            (web().place("nothing"), "404 Not Found"),
        )
        outcomes = ours(*(self.case(self.issue(url)) for url, _ in cases))
        for outcome, (_, words) in zip(outcomes, cases, strict=True):
            self.assertBad(outcome, NOT_KNOWN, words)

    def test_second(self) -> None:
        """
        Where one list is of no use the next one counts.
        """
        url = web().publish(b"")
        useless = web().publish(b"garbage")
        good, revoked = self.issue(useless, url), self.issue(useless, url)
        web().replace(url, crlBytes(crl(ROOT, revoked.certificate)))
        outcomes = ours(self.case(good), self.case(revoked))
        self.assertGood(outcomes[0])
        self.assertBad(outcomes[1], S.Revoked)

    def test_loop(self) -> None:
        """
        An endless redirect is left after a few.
        """
        url = web().place("loop")
        (outcome,) = ours(self.case(self.issue(url)))
        self.assertBad(outcome, NOT_KNOWN, "redirects")
        self.assertEqual(len(web().requests(url)), 4)
        self.assertLess(outcome.seconds, 8)

    def test_flood(self) -> None:
        """
        A list of 50 MB is not read to its end: it costs neither more memory nor
        more time than the limit of 20 MiB does.
        """
        start = len(web().tool.output())
        (outcome,) = ours(self.case(self.issue(web().place("flood"))))
        self.assertBad(outcome, NOT_KNOWN, "more than 20971520 bytes")
        self.assertLess(outcome.seconds, 8)
        # It may have to be moved while it grows.
        self.assertLess(outcome.growth, 40 << 20)
        ended = web().tool.waitFor(r"^flood ended after (\d+) bytes$", 10, start)
        self.assertLess(int(ended[1]), 32 << 20)

    def test_silent(self) -> None:
        """
        A server that never answers is waited for as long as the policy says.
        """
        (outcome,) = ours(self.case(self.issue(web().place("silent")), timeout=0.7))
        self.assertBad(outcome, NOT_KNOWN)
        self.assertLess(0.6, outcome.seconds)
        self.assertLess(outcome.seconds, 8)

    def test_offline(self) -> None:
        """
        Nothing is fetched where nothing may be.
        """
        url = self.published()
        shown = self.issue(url)
        (outcome,) = ours(self.case(shown, mode="Offline"))
        self.assertBad(outcome, NOT_KNOWN, "nothing is fetched offline")
        self.assertEqual(web().requests(url), [])
        self.assertGood(ours(self.case(shown))[0])

    def test_stranger(self) -> None:
        """
        What a stranger's certificate names is not fetched; what a known
        authority's names is.
        """
        url = self.published()
        stranger = Authority("Stranger")
        shown = identity(stranger.issue("localhost", extensions=[distribution(url)]))
        known = self.issue(url)
        # Whose list it would be is known.
        _, port = self.opensslServer(shown, "-cert_chain", str(rootFile(stranger)))
        (outcome,) = ours(self.case(known, port=port))
        self.assertEqual(outcome.names, ["localhost", "Stranger"])
        self.assertEqual(outcome.sent, "unknown_ca")
        self.assertEqual(web().requests(url), [])
        self.assertGood(ours(self.case(known))[0])
        self.assertEqual(web().requests(url), ["GET"])


class IssuerTests(RevocationCase, SynchronousTestCase):
    """
    Certificates of issuers that a server forgot to send, from the web server.
    """

    def issue(self, url: str) -> Identity:
        """
        Issue a certificate that names where its issuer's is, and leave that out.
        """
        context = SUB.issue("localhost", extensions=[access([], [url])])
        return identity(SslStreamCertificateContext(context.certificate, context.privateKey))

    def case(self, shown: Identity, **more: Any) -> Mapping[str, Any]:
        """
        @return: what L{ours} is to judge.
        """
        return {"root": rootFile(ROOT), "certificate": shown.pem, **more}

    def test_permitted(self) -> None:
        """
        The issuer is fetched while the handshake waits if the policy permits
        that, and nothing is otherwise.
        """
        url = web().publish(derOf(SUB.certificate))
        shown = self.issue(url)
        server, port = self.opensslServer(shown)
        for version in VERSIONS:
            refused, accepted = ours(
                self.case(shown, port=port, version=version),
                self.case(shown, port=port, version=version, downloads=True),
            )
            self.assertBad(refused, S.PartialChain, "not at hand", "unknown_ca")
            server.waitFor("SSL alert number 48$")
            self.assertGood(accepted)
            self.assertTrue(accepted.isAnswered)
        self.assertEqual(web().requests(url), ["GET", "GET"])

    def test_forms(self) -> None:
        """
        It may be in DER, in PEM, and in the PKCS #7 that C{openssl} makes.
        """
        pem = certificatePEM(SUB.certificate)
        forms = (derOf(SUB.certificate), pem, opensslBundle(SUB))
        shown = [self.issue(web().publish(data)) for data in forms]
        for outcome in ours(*(self.case(each, downloads=True) for each in shown)):
            self.assertGood(outcome)
            self.assertEqual(outcome.names, ["localhost", "Interop Authority", "Interop Root"])

    def test_useless(self) -> None:
        """
        What is no certificate of the issuer leads nowhere: garbage, an endless
        redirect, a flood, silence.
        """
        urls = [web().place(each) for each in ("loop", "flood", "silent")]
        shown = [self.issue(url) for url in (web().publish(b"garbage"), *urls)]
        for outcome in ours(*(self.case(each, downloads=True, timeout=0.7) for each in shown)):
            self.assertBad(outcome, S.PartialChain)
            self.assertLess(outcome.seconds, 8)

    def test_impostor(self) -> None:
        """
        A certificate that has the issuer's name and not its key is none of the
        issuer.
        """
        impostor = Authority("Interop Authority", ROOT)
        url = web().publish(derOf(impostor.certificate))
        (outcome,) = ours(self.case(self.issue(url), downloads=True))
        self.assertFalse(outcome.isAccepted)
        self.assertEqual(outcome.names, ["localhost"])
        self.assertEqual(S(outcome.flags[0]), S.PartialChain)


class StapleToUsTests(RevocationCase, SynchronousTestCase):
    """
    What foreign servers staple, to a client of ours that asks nobody.
    """

    tools: ClassVar[tuple[str, ...]] = ("openssl", "gnutls-serv")

    def issue(self, *extensions: Any) -> Identity:
        """
        Issue a certificate.
        """
        return identity(ROOT.issue("localhost", extensions=extensions))

    def staple(self, shown: Identity, **arguments: Any) -> bytes:
        """
        @return: what the authority says of a certificate.
        """
        return ocspResponse(ROOT, shown.certificate, **arguments)

    def gnutlsServer(self, shown: Identity, *extra: str) -> tuple[Background, int]:
        """
        Run C{gnutls-serv}.

        @return: it, and its port.
        """
        port = freePort()
        command = gnutlsServer(shown.pem, shown.pem, port=port, extra=extra)
        return self.during(background(command, GNUTLS_SERVER_READY)), port

    def cases(self, port: int, mode: str = "Offline") -> list[Mapping[str, Any]]:
        """
        @return: what L{ours} is to do, for each version.
        """
        case = {"root": rootFile(ROOT), "mode": mode, "port": port}
        return [{**case, "version": version} for version in VERSIONS]

    def assertAlerts(self, server: Background, number: int) -> None:
        """
        C{openssl s_server} was told why, in each version.
        """
        alert = f"SSL alert number {number}$"
        server.waitFor(f"(?s){alert}.*{alert}")

    def stapler(self, shown: Identity, staple: bytes | None) -> tuple[Background, int]:
        """
        Run C{openssl s_server}, which staples what it is given.

        @return: it, and its port.
        """
        extra = () if staple is None else ("-status_file", str(stored(staple)))
        return self.opensslServer(shown, *extra)

    def stapled(self, shown: Identity, staple: bytes | None) -> tuple[Background, list[Outcome]]:
        """
        Have our client talk to it.
        """
        server, port = self.stapler(shown, staple)
        return server, ours(*self.cases(port))

    def test_good(self) -> None:
        """
        A staple proves that a certificate is not revoked; without one that is not
        known.
        """
        shown = self.issue()
        _, outcomes = self.stapled(shown, self.staple(shown))
        for outcome in outcomes:
            self.assertGood(outcome)
            self.assertTrue(outcome.isAnswered)
        server, outcomes = self.stapled(shown, None)
        for outcome in outcomes:
            self.assertBad(outcome, NOT_KNOWN, "names no OCSP", "certificate_unknown")
        self.assertAlerts(server, 46)

    def test_openssl(self) -> None:
        """
        The same with a staple that C{openssl ocsp} has made.
        """
        shown = self.issue()
        port, path = freePort(), stored(b"")
        with ocspResponder(ROOT, port, [shown.certificate]):
            asked = runTool(
                [
                    *("openssl", "ocsp", "-issuer", str(rootFile(ROOT)), "-cert", str(shown.pem)),
                    *("-url", f"http://{LOOPBACK}:{port}/", "-no_nonce", "-noverify"),
                    *("-respout", str(path)),
                ]
            )
        self.assertEqual(asked.returncode, 0, asked)
        for outcome in self.stapled(shown, path.read_bytes())[1]:
            self.assertGood(outcome)

    def test_revoked(self) -> None:
        """
        A staple proves that a certificate is revoked.
        """
        shown = self.issue()
        server, outcomes = self.stapled(shown, self.staple(shown, status=REVOKED))
        for outcome in outcomes:
            self.assertBad(outcome, S.Revoked, "stapled OCSP response", "certificate_revoked")
        self.assertAlerts(server, 44)

    def test_useless(self) -> None:
        """
        A staple that proves nothing is as none, each with the reason: one that is
        over, another certificate's, a stranger's, one that says to try later,
        and garbage; one in which the responder does not know the certificate is
        an answer.
        """
        shown, other = self.issue(), self.issue()
        stranger = Authority("Another Authority").responder()
        later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        kind = bytes.fromhex("06092b0601050507300101")
        staples = (
            (
                self.staple(shown, thisUpdate=NOW - 2 * DAY, nextUpdate=NOW - DAY),
                "expired ",
                NOT_KNOWN,
            ),
            (self.staple(other), "is about another certificate", NOT_KNOWN),
            (self.staple(shown, responder=stranger), "no certificate of the issuer", NOT_KNOWN),
            (later.public_bytes(serialization.Encoding.DER), "says only tryLater", NOT_KNOWN),
            # OpenSSL reads as far as this.
            (
                der(
                    SEQUENCE,
                    der(0x0A, b"\x00"),
                    der(0xA0, der(SEQUENCE, kind, der(0x04, b"garbage"))),
                ),
                "is unreadable",
                NOT_KNOWN,
            ),
            (
                self.staple(shown, status=UNKNOWN),
                "the responder does not know it",
                S.RevocationStatusUnknown,
            ),
        )
        servers = [self.stapler(shown, staple) for staple, _, _ in staples]
        outcomes = iter(ours(*(case for _, port in servers for case in self.cases(port))))
        for (_, words, flags), (server, _) in zip(staples, servers, strict=True):
            for _ in VERSIONS:
                self.assertBad(next(outcomes), flags, words, "certificate_unknown")
            self.assertAlerts(server, 46)

    def test_gnutls(self) -> None:
        """
        What C{gnutls-serv} staples counts as well.
        """
        for status in (GOOD, REVOKED):
            shown = self.issue()
            staple = stored(self.staple(shown, status=status))
            extra = (f"--ocsp-response={staple}", "--ignore-ocsp-response-errors")
            _, port = self.gnutlsServer(shown, *extra)
            for outcome in ours(*self.cases(port)):
                if status is GOOD:
                    self.assertGood(outcome)
                    self.assertTrue(outcome.isAnswered)
                else:
                    self.assertBad(outcome, S.Revoked, alert="certificate_revoked")

    def test_required(self) -> None:
        """
        A certificate that requires a staple is refused without one, also where a
        responder could be asked and says that it is good.
        """
        port = freePort()
        url = f"http://{LOOPBACK}:{port}/"
        shown = self.issue(MUST_STAPLE, access([url]))
        self.during(ocspResponder(ROOT, port, [shown.certificate]))
        _, stapling = self.stapler(shown, self.staple(shown))
        server, silent = self.stapler(shown, None)
        outcomes = ours(*self.cases(stapling, "Online"), *self.cases(silent, "Online"))
        for outcome in outcomes[:2]:
            self.assertGood(outcome)
        for outcome in outcomes[2:]:
            self.assertBad(
                outcome,
                S.RevocationStatusUnknown,
                "requires a stapled OCSP response, and none was sent",
                "certificate_unknown",
            )
        self.assertAlerts(server, 46)


class StapleOfOursTests(RevocationCase, SynchronousTestCase):
    """
    What our server staples, seen by foreign clients.  Mono's C{SslStream} has no
    means to ask for it.
    """

    tools: ClassVar[tuple[str, ...]] = ("openssl", "gnutls-cli")

    def setUp(self) -> None:
        """
        Choose where the responder is.
        """
        super().setUp()
        self.port = freePort()
        self.url = f"http://{LOOPBACK}:{self.port}/"

    def issue(self, *extensions: Any, url: str = "") -> Identity:
        """
        Issue a certificate that names a responder, this one unless told.
        """
        named = access([url or self.url])
        return identity(SUB.issue("localhost", extensions=[named, *extensions]))

    def server(self, shown: Identity, offline: bool = False) -> int:
        """
        Run our server.

        @return: its port.
        """
        case = {"certificate": shown.pem, "offline": offline}
        return int(self.during(ourServer(**case)).match[1])

    def openssl(self, port: int, version: str, *extra: str) -> str:
        """
        Have C{openssl s_client} talk to our server.

        @return: what it writes.
        """
        command = opensslClient(port, rootFile(ROOT), version=version, extra=extra)
        # That leaves out the staple.
        command.remove("-brief")
        client = runTool(command, CLIENT_MESSAGE)
        self.assertEqual(client.returncode, 0, client)
        self.assertIn(SERVER_MESSAGE, client.stdout)
        return client.stdout

    def gnutls(self, port: int, version: str) -> tuple[Any, Path]:
        """
        Have C{gnutls-cli} talk to our server.

        @return: it, and the file in which it keeps the staple.
        """
        kept = stored(b"")
        extra = (f"--save-ocsp={kept}",)
        client = gnutlsClient(port, rootFile(ROOT), version=version, extra=extra)
        return runTool(client, CLIENT_MESSAGE), kept

    def settled(self, port: int) -> None:
        """
        Have our server ask the responder, which it does for the first client,
        and wait until it staples the answer.
        """
        for _ in range(20):
            if "no response sent" not in self.openssl(port, "1.3", "-status"):
                break

    def test_stapled(self) -> None:
        """
        Our server asks the responder once, and shows everybody who asks what it
        said; who does not ask does not get it.
        """
        shown = self.issue()
        responder = self.during(ocspResponder(SUB, self.port, [shown.certificate]))
        port = self.server(shown)
        self.settled(port)
        for version in VERSIONS:
            said = self.openssl(port, version, "-status")
            self.assertIn("OCSP Response Status: successful (0x0)", said)
            self.assertIn("Cert Status: good", said)
            self.assertNotIn("OCSP", self.openssl(port, version))
        self.assertEqual(methods(responder), ["GET"])

    def test_gnutls(self) -> None:
        """
        C{gnutls-cli} is content with it, and C{openssl ocsp} with what that has
        kept.
        """
        shown = self.issue()
        self.during(ocspResponder(SUB, self.port, [shown.certificate]))
        port = self.server(shown)
        self.settled(port)
        for version in VERSIONS:
            client, kept = self.gnutls(port, version)
            self.assertEqual(client.returncode, 0, client)
            self.assertIn("OCSP status request", client.stderr + client.stdout)
            checked = runTool(
                [
                    *("openssl", "ocsp", "-respin", str(kept), "-CAfile", str(rootFile(ROOT))),
                    *("-issuer", str(rootFile(SUB)), "-cert", str(shown.pem)),
                ]
            )
            self.assertIn("Response verify OK", checked.stderr)
            self.assertIn(": good", checked.stdout)

    def test_required(self) -> None:
        """
        For a certificate that requires a staple already the first client gets
        one, and C{gnutls-cli} insists on it: a server that asks nobody it
        refuses.
        """
        for version in VERSIONS:
            shown = self.issue(MUST_STAPLE)
            with ocspResponder(SUB, self.port, [shown.certificate]):
                client, kept = self.gnutls(self.server(shown), version)
            self.assertEqual(client.returncode, 0, client)
            self.assertIn(SERVER_MESSAGE, client.stdout)
            self.assertNotEqual(kept.read_bytes(), b"")
            client, kept = self.gnutls(self.server(shown, offline=True), version)
            self.assertEqual(client.returncode, 1, client)
            self.assertIn("the OCSP status is missing", client.stdout + client.stderr)
            self.assertEqual(kept.read_bytes(), b"")

    def test_patience(self) -> None:
        """
        A responder that never answers delays a handshake for a certificate that
        requires a staple by 5 seconds, and no other handshake.
        """
        for extensions, least, most in (((MUST_STAPLE,), 4.5, 15), ((), 0, 4.5)):
            port = self.server(self.issue(*extensions, url=web().place("silent")))
            started = time.monotonic()
            said = self.openssl(port, "1.3", "-status")
            took = time.monotonic() - started
            self.assertIn("OCSP response: no response sent", said)
            self.assertLessEqual(least, took)
            self.assertLess(took, most)

    def test_none(self) -> None:
        """
        Without an answer nothing is stapled, and the conversation is had: nobody
        listens there, nobody answers, or it may not be asked.
        """
        reachable = self.issue()
        self.during(ocspResponder(SUB, self.port, [reachable.certificate]))
        for shown, offline in (
            (self.issue(url=f"http://{LOOPBACK}:{freePort()}/"), False),
            (self.issue(url=web().place("silent")), False),
            (reachable, True),
        ):
            port = self.server(shown, offline)
            for version in VERSIONS:
                said = self.openssl(port, version, "-status")
                self.assertIn("OCSP response: no response sent", said)

    def test_revoked(self) -> None:
        """
        That a certificate is revoked is shown: it is what the client wants to
        know.
        """
        shown = self.issue()
        self.during(ocspResponder(SUB, self.port, revoked=[shown.certificate]))
        port = self.server(shown)
        self.settled(port)
        for version in VERSIONS:
            said = self.openssl(port, version, "-status")
            self.assertIn("Cert Status: revoked", said)
        case = {"root": rootFile(ROOT), "mode": "Offline", "port": port}
        (outcome,) = ours(case)
        self.assertFalse(outcome.isAccepted)
        self.assertEqual(outcome.sent, "certificate_revoked")

    def test_useless(self) -> None:
        """
        A response that proves nothing is never shown: one that is over, another
        certificate's, or one in which the responder does not know it.
        """
        other = SUB.issue("localhost").certificate
        for make in (
            lambda shown: ocspResponse(SUB, shown, thisUpdate=NOW - 2 * DAY, nextUpdate=NOW - DAY),
            lambda _: ocspResponse(SUB, other),
            lambda shown: ocspResponse(SUB, shown, status=UNKNOWN),
        ):
            url = web().publish(b"", "answer")
            shown = self.issue(url=url)
            web().replace(url, make(shown.certificate))
            port = self.server(shown)
            for _ in range(2):
                said = self.openssl(port, "1.3", "-status")
                self.assertIn("OCSP response: no response sent", said)
            self.assertEqual(web().requests(url)[0], "GET")
