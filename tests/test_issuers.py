"""
Tests for L{txsslstream.issuers}: certificates that a peer forgot to send.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY
from txsslstream import (
    AuthenticationError,
    HandshakeTimeout,
    SslStreamCertificateContext,
    TlsAlert,
    X509Chain,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationMode,
    _waiting,
    chain,
)
from txsslstream._cache import RevocationCache
from txsslstream.issuers import LIMIT, MOST_ANSWERS, MOST_CERTIFICATES, certificatesIn
from txsslstream.testing import VERSIONS, Authority, MemoryWeb, StreamPair
from txsslstream.testing.revocations import access

S = X509ChainStatusFlags

URL = "http://ca.example/middle"
ROOT = AUTHORITY
MIDDLE = Authority("Middle", ROOT)


def der(certificate: x509.Certificate) -> bytes:
    """
    @return: it in DER.
    """
    return certificate.public_bytes(Encoding.DER)


def pem(*certificates: x509.Certificate) -> bytes:
    """
    @return: them in PEM.
    """
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def bundle(*certificates: x509.Certificate) -> bytes:
    """
    @return: them in PKCS #7.
    """
    return pkcs7.serialize_certificates(list(certificates), Encoding.DER)


def alone(context: SslStreamCertificateContext) -> SslStreamCertificateContext:
    """
    @return: it without what has to be sent along.
    """
    return SslStreamCertificateContext(context.certificate, context.privateKey)


class CertificatesInTests(SynchronousTestCase):
    """
    Tests for L{certificatesIn}.
    """

    def test_forms(self) -> None:
        """
        A certificate is read in DER and PEM, several in PEM and PKCS #7.
        """
        both = [MIDDLE.certificate, ROOT.certificate]
        self.assertEqual(certificatesIn(der(MIDDLE.certificate)), both[:1])
        self.assertEqual(certificatesIn(pem(MIDDLE.certificate)), both[:1])
        self.assertEqual(certificatesIn(pem(*both)), both)
        self.assertEqual(set(certificatesIn(bundle(*both))), set(both))

    def test_garbage(self) -> None:
        """
        In what is nothing of the kind, there is none.
        """
        whole = der(MIDDLE.certificate)
        for data in (b"", b"<html>", whole[:-1], whole + b"\0", b"\x30\x80", bytes(LIMIT)):
            self.assertEqual(certificatesIn(data), [], data[:10])
        for data in (bundle(MIDDLE.certificate), pem(MIDDLE.certificate)):
            for size in range(0, len(data) - 40, 7):
                self.assertEqual(certificatesIn(data[:size]), [])

    def test_many(self) -> None:
        """
        Of very many only the first are taken.
        """
        many = [Authority(f"Authority {number}").certificate for number in range(20)]
        self.assertEqual(certificatesIn(pem(*many)), many[:MOST_CERTIFICATES])
        self.assertEqual(len(certificatesIn(bundle(*many))), MOST_CERTIFICATES)


class Fetching(SynchronousTestCase):
    """
    What is fetched with.
    """

    def setUp(self) -> None:
        self.web = MemoryWeb()
        self.clock = Clock()
        self.patch(chain, "userIntermediates", lambda: ())
        self.patch(chain, "defaultCache", lambda: RevocationCache(None))
        self.leaf = MIDDLE.issue("localhost", extensions=[access(issuerUrls=[URL])])

    def policy(self, **more: Any) -> X509ChainPolicy:
        """
        @return: a policy that permits fetching.
        """
        return X509ChainPolicy(
            **{
                "trustMode": X509ChainTrustMode.CustomRootTrust,
                "customTrustStore": [ROOT.certificate],
                "disableCertificateDownloads": False,
                "retriever": self.web,
                **more,
            }
        )

    def build(
        self, certificate: x509.Certificate | None = None, **policy: Any
    ) -> tuple[X509Chain, Deferred[Any]]:
        """
        @return: the chain of L{leaf}, or of another certificate, and when it is
            built.
        """
        made = X509Chain(self.policy(**policy), clock=self.clock)
        return made, made.build(certificate or self.leaf.certificate)

    def check(self, made: tuple[X509Chain, Deferred[Any]], *expected: x509.Certificate) -> None:
        """
        The chain is built and faultless.
        """
        self.assertTrue(self.successResultOf(made[1]), made[0].problems)
        self.assertEqual(tuple(each.certificate for each in made[0].chainElements), expected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def checkPartial(self, made: tuple[X509Chain, Deferred[Any]]) -> None:
        """
        The chain is built, and leads nowhere.
        """
        self.assertFalse(self.successResultOf(made[1]))
        self.assertTrue(made[0].flags & (S.PartialChain | S.UntrustedRoot), made[0].flags)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FetchIssuersTests(Fetching):
    """
    Chains that need something fetched.
    """

    def test_forms(self) -> None:
        """
        A missing issuer is fetched, in whichever form, within bounds.
        """
        middle = MIDDLE.certificate
        for data in (der(middle), pem(middle), bundle(middle), bundle(ROOT.certificate, middle)):
            self.web.answers[URL] = data
            self.check(self.build(), self.leaf.certificate, middle, ROOT.certificate)
        self.assertEqual(self.web.asked, [("GET", URL)] * 4)
        for arguments in self.web.arguments:
            self.assertEqual(arguments["limit"], LIMIT)
            self.assertTrue(0 < arguments["timeout"] <= 15)

    def test_notUnlessAsked(self) -> None:
        """
        Unless it is asked for, nothing is fetched.
        """
        self.web.answers[URL] = der(MIDDLE.certificate)
        self.checkPartial(self.build(disableCertificateDownloads=True))
        self.assertEqual(self.web.asked, [])

    def test_notUnlessNeeded(self) -> None:
        """
        Where nothing is missing, nothing is fetched.
        """
        path = (self.leaf.certificate, MIDDLE.certificate, ROOT.certificate)
        self.check(self.build(extraStore=[MIDDLE.certificate]), *path)
        self.assertEqual(self.web.asked, [])

    def test_useless(self) -> None:
        """
        A retriever that fails, raises, or brings what is of no use leaves the
        chain as it was.
        """
        for answer in (
            OSError("connection refused"),
            ZeroDivisionError,
            b"",
            b"<html>",
            None,
            der(Authority("Stranger").certificate),
            # The name is right and the key is not.
            der(Authority("Middle", ROOT).certificate),
            der(self.leaf.certificate),
        ):
            self.web.answers[URL] = answer
            self.checkPartialOrBroken(self.build())

    def checkPartialOrBroken(self, made: tuple[X509Chain, Deferred[Any]]) -> None:
        """
        The chain is built, and not good.
        """
        self.assertFalse(self.successResultOf(made[1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_severalPlaces(self) -> None:
        """
        If one place has nothing of use, the next one is asked.
        """
        urls = ["http://one.example/", "http://two.example/", URL]
        leaf = MIDDLE.issue("localhost", extensions=[access(issuerUrls=urls)]).certificate
        self.web.answers = {urls[1]: b"?", URL: der(MIDDLE.certificate)}
        self.check(self.build(leaf), leaf, MIDDLE.certificate, ROOT.certificate)
        self.assertEqual(self.web.asked, [("GET", each) for each in urls])

    def test_severalSteps(self) -> None:
        """
        What was fetched says where its own issuer is.
        """
        lower = Authority("Lower", MIDDLE, extensions=[access(issuerUrls=[URL])])
        place = "http://ca.example/lower"
        leaf = lower.issue("localhost", extensions=[access(issuerUrls=[place])]).certificate
        self.web.answers = {place: der(lower.certificate), URL: der(MIDDLE.certificate)}
        self.check(self.build(leaf), leaf, lower.certificate, MIDDLE.certificate, ROOT.certificate)
        self.assertEqual([each for _, each in self.web.asked], [place, URL])

    def test_bounds(self) -> None:
        """
        However long a chain may get, there are only so many answers.
        """
        authority, places = ROOT, []
        for number in range(MOST_ANSWERS + 2):
            places.append(f"http://ca.example/{number}")
            naming = access(issuerUrls=places[-1:])
            self.web.answers[places[-1]] = der(authority.certificate)
            authority = Authority(f"Authority {number}", authority, extensions=[naming])
        self.checkPartial(self.build(authority.certificate, applicationPolicy=[]))
        self.assertEqual(len(self.web.asked), MOST_ANSWERS)

    def test_loop(self) -> None:
        """
        A place is asked once, wherever it is named.
        """
        circular = Authority("Stranger", extensions=[access(issuerUrls=[URL])])
        leaf = circular.issue("localhost", extensions=[access(issuerUrls=[URL])])
        self.web.answers[URL] = der(circular.certificate)
        self.checkPartial(self.build(leaf.certificate))
        self.assertEqual(self.web.asked, [("GET", URL)])

    def test_cancel(self) -> None:
        """
        Cancelling ends the retrieval, and nothing else is asked.
        """
        urls = [URL, "http://two.example/"]
        leaf = MIDDLE.issue("localhost", extensions=[access(issuerUrls=urls)]).certificate
        cancelled: list[object] = []
        self.web.answers[URL] = Deferred(cancelled.append)
        _, built = self.build(leaf)
        built.cancel()
        self.failureResultOf(built, CancelledError)
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.web.asked, [("GET", URL)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_neverAnswers(self) -> None:
        """
        A retriever that never answers is given up in time.
        """
        cancelled: list[object] = []
        self.web.answers[URL] = Deferred(cancelled.append)
        made = self.build(urlRetrievalTimeout=7)
        self.clock.advance(6.5)
        self.assertNoResult(made[1])
        self.clock.advance(0.5)
        self.checkPartial(made)
        self.assertEqual(len(cancelled), 1)

    def test_strangersAreNotChecked(self) -> None:
        """
        A certificate that leads to no trusted root has nothing fetched about
        its revocation; one that does has.
        """
        responder = "http://ocsp.example/"
        naming = access(ocspUrls=[responder], issuerUrls=[URL])
        for issuer in (Authority("Stranger"), MIDDLE):
            leaf = issuer.issue("localhost", extensions=[naming]).certificate
            self.web.asked.clear()
            self.web.answers[URL] = der(issuer.certificate)
            made, built = self.build(leaf, revocationMode=X509RevocationMode.Online)
            self.assertFalse(self.successResultOf(built))
            self.assertTrue(made.flags & S.RevocationStatusUnknown)
            asksResponder = any(each.startswith(responder) for _, each in self.web.asked)
            self.assertEqual(asksResponder, issuer is MIDDLE)


class HandshakeTests(Fetching):
    """
    Handshakes in which something is missing.
    """

    def start(self, version: Any, **client: Any) -> None:
        """
        Begin one with a server that sends its own certificate only.
        """
        self.pair = StreamPair()
        self.sides = self.pair.authenticate(
            version,
            {"certificateChainPolicy": self.policy(), **client},
            {"serverCertificate": alone(self.leaf)},
        )

    def end(self) -> None:
        """
        Nothing is left.
        """
        self.pair.wire.cut()
        self.assertEqual(self.pair.clock.getDelayedCalls(), [])
        self.assertEqual(_waiting._parked, set())

    def test_waits(self) -> None:
        """
        The peer waits while the issuer is fetched, and is accepted then.
        """
        for version in VERSIONS:
            answer: Deferred[bytes] = Deferred()
            self.web.answers[URL] = answer
            self.start(version)
            self.assertNoResult(self.sides[0])
            answer.callback(der(MIDDLE.certificate))
            self.pair.wire.flush()
            for each in self.sides:
                self.successResultOf(each)
            built = self.pair.client.remoteChain
            assert built is not None
            self.assertEqual(len(built.chainElements), 3)
            self.end()

    def test_failure(self) -> None:
        """
        If it cannot be had, the peer is refused, as without.
        """
        for version in VERSIONS:
            self.start(version)
            error = self.failureResultOf(self.sides[0], AuthenticationError).value
            self.assertEqual(error.chainStatus, S.PartialChain)
            self.assertEqual(error.alertSent, TlsAlert.unknown_ca)
            self.failureResultOf(self.sides[1], AuthenticationError)
            self.end()

    def test_timeout(self) -> None:
        """
        A handshake that takes too long meanwhile ends the retrieval.
        """
        for version in VERSIONS:
            cancelled: list[object] = []
            self.web.answers[URL] = Deferred(cancelled.append)
            self.start(version, handshakeTimeout=3)
            self.pair.clock.advance(3)
            self.failureResultOf(self.sides[0], HandshakeTimeout)
            self.pair.wire.flush()
            self.failureResultOf(self.sides[1], AuthenticationError)
            self.assertEqual(len(cancelled), 1)
            self.end()
