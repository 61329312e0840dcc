"""
Tests for L{txsslstream._openssl}: contexts, every cipher suite, OpenSSL's
questions and what becomes of the answers, and the record path.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherAlgorithmType,
    EncryptionPolicy,
    InvalidOperationError,
    NotSupportedError,
    SslPolicyErrors,
    SslProtocols,
    SslStreamCertificateContext,
    TlsAlert,
    TlsCipherSuite,
    X509ChainStatusFlags,
    _openssl,
)
from txsslstream._openssl import TlsEngine, contextFor
from txsslstream.crossing import Presented, Received, Step
from txsslstream.parameters import TlsParameters
from txsslstream.serverflight import ServerFlight

from .revocations import ocspResponse
from .support import (
    AUTHORITY,
    CLIENT,
    DAY,
    NOW,
    SERVER,
    VERSIONS,
    Authority,
    Pair,
    clientOptions,
    ofUnknownVersion,
    onlySuite,
    rsaKey,
    serverOptions,
    withBadTime,
)

RSA_SERVER = AUTHORITY.issue("localhost", key=rsaKey())


@cache
def dsaServer() -> SslStreamCertificateContext:
    """
    @return: a certificate with a DSA key; they are slow to make.
    """
    return AUTHORITY.issue("localhost", key=dsa.generate_private_key(2048))


@cache
def weakServer() -> SslStreamCertificateContext:
    """
    @return: a certificate that OpenSSL presents at its lowest security level
        only.
    """
    return AUTHORITY.issue("localhost", key=rsa.generate_private_key(65537, 1024))


def forClient(**changes: Any) -> TlsParameters:
    """
    @return: what a client's context is built from, with changes.
    """
    return TlsParameters(**{"isServer": False, **changes})


def forServer(**changes: Any) -> TlsParameters:
    """
    @return: what a server's context is built from, with changes.
    """
    return forClient(**{"isServer": True, "certificate": SERVER, **changes})


STRONG = TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
STRONG_13 = TlsCipherSuite.TLS_AES_128_GCM_SHA256
#: Its authentication is too short.
WEAK = TlsCipherSuite.TLS_RSA_WITH_AES_128_CCM_8
WEAK_13 = TlsCipherSuite.TLS_AES_128_CCM_8_SHA256
ANONYMOUS = TlsCipherSuite.TLS_ECDH_anon_WITH_AES_128_CBC_SHA
#: Not in OpenSSL.
UNKNOWN = TlsCipherSuite.TLS_RSA_WITH_RC4_128_MD5


ALL_NUMBERS = frozenset(TlsCipherSuite)
LAX = SslProtocols.Tls11 | SslProtocols.Tls12 | SslProtocols.Tls13


class Contexts(SynchronousTestCase):
    """
    OpenSSL contexts from parameters.
    """

    def test_shared(self) -> None:
        """
        Equal parameters share one context, whoever has made them.
        """
        for make in (forClient, forServer):
            self.assertIs(
                contextFor(make(applicationProtocols=(b"h2",))),
                contextFor(make(applicationProtocols=(b"h2",))),
            )
        for options in (clientOptions, serverOptions):
            self.assertIs(
                contextFor(options(SslProtocols.Tls12).parameters),
                contextFor(options(SslProtocols.Tls12, handshakeTimeout=1).parameters),
            )

    def test_notShared(self) -> None:
        """
        Every difference makes a context of its own.
        """
        parameters = [
            forServer(),
            forClient(),
            forServer(protocols=SslProtocols.Tls12),
            forServer(cipherSuites=(STRONG,)),
            forServer(encryptionPolicy=EncryptionPolicy.AllowNoEncryption),
            forServer(applicationProtocols=(b"h2",)),
            forServer(certificate=RSA_SERVER),
            forServer(asksForCertificate=True),
            forServer(asksForCertificate=True, acceptableIssuers=(AUTHORITY.certificate,)),
            forServer(asksForCertificate=True, insistsOnCertificate=True),
            forClient(choosesCertificate=True),
        ]
        self.assertEqual(len(set(map(contextFor, parameters))), len(parameters))

    def test_contradictions(self) -> None:
        """
        What contradicts itself, and what this OpenSSL does not know, is told at
        once.
        """
        strange: list[tuple[type[Exception], str, dict[str, Any]]] = [
            (NotSupportedError, "SSL 3", {"protocols": SslProtocols.Ssl3 | SslProtocols.Tls12}),
            (NotSupportedError, "SSL 2", {"protocols": SslProtocols.Ssl2}),
            (NotSupportedError, UNKNOWN.name, {"cipherSuites": (STRONG, UNKNOWN)}),
            (
                InvalidOperationError,
                "exclude each other",
                {"cipherSuites": (STRONG_13,), "protocols": SslProtocols.Tls12},
            ),
            (
                InvalidOperationError,
                "exclude each other",
                {"cipherSuites": (STRONG,), "protocols": SslProtocols.Tls13},
            ),
            (
                InvalidOperationError,
                "goes against NoEncryption",
                {"cipherSuites": (STRONG,), "encryptionPolicy": EncryptionPolicy.NoEncryption},
            ),
            (
                InvalidOperationError,
                "unencrypted",
                {
                    "protocols": SslProtocols.Tls13,
                    "encryptionPolicy": EncryptionPolicy.NoEncryption,
                },
            ),
        ]
        for error, words, changes in strange:
            for make in (forClient, forServer):
                raised = self.assertRaises(error, contextFor, make(**changes))
                self.assertIn(words, str(raised))

    def test_securityLevel(self) -> None:
        """
        OpenSSL's demands on keys are given up only with a version or a cipher
        suite that would not work otherwise, and not because suites were chosen.
        """
        strict: list[dict[str, Any]] = [
            {},
            {"protocols": SslProtocols.Tls12},
            {"cipherSuites": (STRONG,)},
            {"cipherSuites": (STRONG_13,)},
            {"cipherSuites": (STRONG, STRONG_13)},
        ]
        for changes in strict:
            parameters = forServer(certificate=weakServer(), **changes)
            error = self.assertRaises(CertificateError, contextFor, parameters)
            self.assertIn("CN=localhost: ee key too small", str(error))
        lax: list[dict[str, Any]] = [
            {"protocols": SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12},
            {"protocols": SslProtocols.Tls11},
            {"cipherSuites": (WEAK,)},
            {"cipherSuites": (STRONG, WEAK)},
            {"cipherSuites": (WEAK_13,)},
            {"cipherSuites": (ANONYMOUS,)},
            {"encryptionPolicy": EncryptionPolicy.AllowNoEncryption},
            {"encryptionPolicy": EncryptionPolicy.NoEncryption},
        ]
        for changes in lax:
            contextFor(forServer(certificate=weakServer(), **changes))


#: What no connection with certificates can negotiate: the keys are shared
#: before (PSK), or come from a password (SRP), or nobody is authenticated.
LEFT_OUT = re.compile("_PSK_|_SRP_|_anon_")


def certificatesFor(suite: TlsCipherSuite) -> Iterator[SslStreamCertificateContext]:
    """
    @return: certificates with which a suite works.
    """
    isModern = "_WITH_" not in suite.name
    if isModern or "_ECDSA_" in suite.name:
        yield SERVER
    if isModern or re.search("_RSA_", suite.name):
        yield RSA_SERVER
    if "_DSS_" in suite.name:
        yield dsaServer()


def versionFor(suite: TlsCipherSuite) -> SslProtocols:
    """
    @return: the newest version that a suite works in.
    """
    if "_WITH_" not in suite.name:
        return SslProtocols.Tls13
    # RFC 5469 removes it from TLS 1.2.
    return SslProtocols.Tls11 if "IDEA" in suite.name else SslProtocols.Tls12


class Suites(SynchronousTestCase):
    """
    Every cipher suite of this OpenSSL that authenticates by certificate.
    """

    def negotiate(
        self,
        suite: TlsCipherSuite,
        certificate: SslStreamCertificateContext,
        version: SslProtocols,
        **client: Any,
    ) -> tuple[Pair, Any, Any]:
        """
        @return: a pair that knows one suite and version only, and the Deferreds
            of the client and of the server.
        """
        policy = onlySuite(suite)
        pair = Pair()
        sides = pair.authenticate(
            version, {**policy, **client}, {**policy, "serverCertificate": certificate}
        )
        return (pair, *sides)

    def test_reported(self) -> None:
        """
        Each one is negotiated and reported by both sides, and it is the one
        that is on the wire.
        """
        count = 0
        for suite in _openssl._suiteNames():
            if LEFT_OUT.search(suite.name):
                continue
            version = versionFor(suite)
            for certificate in certificatesFor(suite):
                # Its keys are judged to be no good, which is not what this is about.
                judge = (lambda *_: True) if "_DSS_" in suite.name else None
                pair, client, server = self.negotiate(
                    suite, certificate, version, remoteCertificateValidationCallback=judge
                )
                self.assertIs(self.successResultOf(client), pair.client, suite.name)
                self.assertIs(self.successResultOf(server), pair.server, suite.name)
                for stream in (pair.client, pair.server):
                    self.assertIs(stream.negotiatedCipherSuite, suite)
                    self.assertIs(stream.sslProtocol, version)
                    isNull = stream.cipherAlgorithm is CipherAlgorithmType.Null
                    self.assertIs(stream.isEncrypted, not isNull)
                flight = ServerFlight()
                flight.feed(bytes(pair.wire.server.everWritten))
                self.assertEqual(flight.cipherSuite(), suite)
                count += 1
        self.assertGreaterEqual(count, 75)

    def test_otherCertificate(self) -> None:
        """
        A suite that demands another kind of key than the server has is not
        negotiated.
        """
        for suite, certificate in (
            (TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, RSA_SERVER),
            (TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, SERVER),
            (TlsCipherSuite.TLS_DHE_DSS_WITH_AES_128_GCM_SHA256, RSA_SERVER),
        ):
            _, client, server = self.negotiate(suite, certificate, SslProtocols.Tls12)
            error = self.failureResultOf(server, AuthenticationError).value
            self.assertEqual(error.alertSent, TlsAlert.handshake_failure)
            told = self.failureResultOf(client, AuthenticationError).value
            self.assertEqual(told.alert, TlsAlert.handshake_failure)

    def test_dsa(self) -> None:
        """
        A client that allows suites with DSA keys still refuses such a key.
        """
        suite = TlsCipherSuite.TLS_DHE_DSS_WITH_AES_128_GCM_SHA256
        _, client, server = self.negotiate(suite, dsaServer(), SslProtocols.Tls12)
        error = self.failureResultOf(client, AuthenticationError).value
        self.assertEqual(error.chainStatus, X509ChainStatusFlags.HasWeakSignature)
        self.assertEqual(
            error.problems,
            ("certificate 1 of 2 'localhost' has a DSA key, which TLS has no use for",),
        )
        told = self.failureResultOf(server, AuthenticationError).value
        self.assertEqual(told.alert, TlsAlert.bad_certificate)

    def test_anonymous(self) -> None:
        """
        A client that allows suites without authentication still refuses an
        unauthenticated server, unless its callback says otherwise.
        """
        anonymous = [suite for suite in _openssl._suiteNames() if "_anon_" in suite.name]
        self.assertNotEqual(anonymous, [])
        nobody = SslPolicyErrors.RemoteCertificateNotAvailable
        for suite in anonymous:
            pair, client, _ = self.negotiate(suite, SERVER, SslProtocols.Tls12)
            error = self.failureResultOf(client, AuthenticationError).value
            self.assertEqual(error.sslPolicyErrors, nobody)
            self.assertFalse(pair.client.isAuthenticated)
            self.assertIsNotNone(pair.bystanders[0].lost)
            asked: list[object] = []

            def callback(*arguments: object, asked: list[object] = asked) -> bool:
                asked.extend(arguments[1:])
                return True

            pair, client, server = self.negotiate(
                suite, SERVER, SslProtocols.Tls12, remoteCertificateValidationCallback=callback
            )
            self.assertIs(self.successResultOf(client), pair.client)
            self.successResultOf(server)
            self.assertEqual(asked, [None, None, nobody])
            self.assertIsNone(pair.client.remoteCertificate)

    def test_notOffered(self) -> None:
        """
        Nothing anonymous, unencrypted or weak is offered unless somebody asks
        for it, not even with an old version.
        """
        for protocols in (SslProtocols.None_, SslProtocols.Tls, LAX):
            offered = self.offered(forClient(protocols=protocols))
            self.assertNotEqual(offered, [])
            self.assertEqual([suite for suite in offered if _openssl._isWeak(suite)], [])
            self.assertEqual([suite for suite in offered if LEFT_OUT.search(suite.name)], [])
        self.assertEqual(self.offered(forClient(cipherSuites=(WEAK,))), [WEAK])

    def offered(self, parameters: TlsParameters) -> list[TlsCipherSuite]:
        """
        @return: what a client really offers.
        """
        engine = TlsEngine(parameters, Answers())
        engine.handshake()
        # The headers of the record and the message, the version, the random.
        hello = engine.output()[5 + 4 + 2 + 32 :]
        behindSession = hello[1 + hello[0] :]
        size = int.from_bytes(behindSession[:2], "big")
        numbers = [
            int.from_bytes(behindSession[start : start + 2], "big")
            for start in range(2, 2 + size, 2)
        ]
        # The rest are signals.
        return [TlsCipherSuite(number) for number in numbers if number in ALL_NUMBERS]

    def test_oldVersions(self) -> None:
        """
        TLS 1.0 and 1.1 work where both sides enable them, and nowhere else.
        """
        for version in (SslProtocols.Tls, SslProtocols.Tls11):
            pair = Pair()
            client, server = pair.authenticate(version)
            self.assertIs(self.successResultOf(client), pair.client)
            self.assertIs(self.successResultOf(server), pair.server)
            self.assertIs(pair.client.sslProtocol, version)
            self.assertIs(pair.server.sslProtocol, version)
            for ours, theirs in ((version, SslProtocols.None_), (SslProtocols.None_, version)):
                client, server = Pair().authenticate(
                    client={"enabledSslProtocols": ours}, server={"enabledSslProtocols": theirs}
                )
                error = self.failureResultOf(server, AuthenticationError).value
                self.assertEqual(error.alertSent, TlsAlert.protocol_version)
                told = self.failureResultOf(client, AuthenticationError).value
                self.assertEqual(told.alert, TlsAlert.protocol_version)


class Answers:
    """
    Answers to OpenSSL's questions.

    @ivar presented: what the peer has shown of itself, at each question.
    @ivar timesWanted: how often a certificate was.
    """

    def __init__(
        self,
        verdict: Callable[[], TlsAlert | None] = lambda: None,
        acceptsNobody: bool = False,
        wanted: TlsParameters | TlsAlert | None = None,
        staple: bytes | None = None,
    ) -> None:
        self.verdict = verdict
        self.acceptsNobody = acceptsNobody
        self.wanted = wanted
        self.staple = staple
        self.presented: list[Presented] = []
        self.timesWanted = 0

    def peerPresented(self, presented: Presented) -> TlsAlert | None:
        self.presented.append(presented)
        return self.verdict()

    def peerPresentedNothing(self) -> bool:
        return self.acceptsNobody

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        self.timesWanted += 1
        return self.wanted

    def stapleWanted(self) -> bytes | None:
        return self.staple


def foreignContext(certificate: bytes, *others: bytes) -> SSL.Context:
    """
    @return: a context of pyOpenSSL's with L{SERVER}'s key that presents these,
        whatever they are.
    """
    key: Any = SERVER.privateKey
    context = SSL.Context(SSL.TLS_METHOD)
    first, *rest = (
        crypto.load_certificate(crypto.FILETYPE_ASN1, each) for each in (certificate, *others)
    )
    context.use_privatekey(crypto.PKey.from_cryptography_key(key))
    context.use_certificate(first)
    for each in rest:
        context.add_extra_chain_cert(each)
    return context


def shake(client: TlsEngine, server: TlsEngine, segment: int = 1 << 20) -> tuple[Step, Step]:
    """
    Let two engines shake hands until neither has anything to say.

    @param segment: how many bytes they hear at a time.
    @return: how far each has come.
    """
    while True:
        steps = client.handshake(), server.handshake()
        said = client.output(), server.output()
        if not any(said):
            return steps
        for engine, words in zip((server, client), said, strict=True):
            for start in range(0, len(words), segment):
                engine.feed(words[start : start + segment])
                engine.handshake()


class Questions(SynchronousTestCase):
    """
    What OpenSSL asks, and what becomes of the answers.
    """

    def engines(
        self,
        version: SslProtocols,
        client: Answers | None = None,
        server: Answers | None = None,
        clientChanges: dict[str, Any] | None = None,
        serverChanges: dict[str, Any] | None = None,
    ) -> tuple[TlsEngine, TlsEngine]:
        """
        @return: a client and a server of one version.
        """
        return (
            TlsEngine(forClient(protocols=version, **(clientChanges or {})), client or Answers()),
            TlsEngine(forServer(protocols=version, **(serverChanges or {})), server or Answers()),
        )

    def test_accepted(self) -> None:
        """
        The client is asked once, with what the server has shown.
        """
        for version in VERSIONS:
            answers = Answers()
            client, server = self.engines(version, answers)
            self.assertEqual(shake(client, server), (Step.complete, Step.complete))
            self.assertEqual(answers.presented, [Presented((SERVER.certificate,))])
            self.assertEqual(client.presented(), answers.presented[0])
            self.assertIsNone(server.presented())
            self.assertEqual(client.peerCertificate(), SERVER.certificate)
            self.assertEqual((client.alertSent, client.alertReceived), (None, None))
            self.assertEqual((client.reasons, server.reasons), ([], []))

    def test_alerts(self) -> None:
        """
        Whatever alert a verdict names is the one that the peer gets, from a
        client as from a server.
        """
        for version in VERSIONS:
            for alert in _openssl._ERROR_FOR_ALERT:
                refuses = Answers(lambda alert=alert: alert)  # type: ignore[misc]
                client, server = self.engines(version, refuses)
                self.assertEqual(shake(client, server)[0], Step.failed)
                self.assertEqual((client.alertSent, server.alertReceived), (alert, alert))
                client, server = self.engines(
                    version,
                    server=refuses,
                    clientChanges={"certificate": CLIENT},
                    serverChanges={"asksForCertificate": True},
                )
                self.assertEqual(shake(client, server)[1], Step.failed)
                if version is SslProtocols.Tls13:
                    # It has finished, and reads the refusal.
                    self.assertIs(_openssl.receive(client.connection)[1], Received.broken)
                self.assertEqual((server.alertSent, client.alertReceived), (alert, alert))

    def test_raises(self) -> None:
        """
        A decision that raises refuses, and is logged.
        """

        def verdict() -> None:
            raise ZeroDivisionError("while deciding")

        for version in VERSIONS:
            client, server = self.engines(version, Answers(verdict))
            self.assertEqual(shake(client, server), (Step.failed, Step.failed))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertIsNotNone(client.alertSent)

    def test_released(self) -> None:
        """
        Once nobody decides any more everything is refused.
        """
        for version in VERSIONS:
            client, server = self.engines(version)
            client.release()
            self.assertEqual(shake(client, server), (Step.failed, Step.failed))
            client, server = self.engines(version)
            server.release()
            self.assertEqual(shake(client, server), (Step.failed, Step.failed))
            client, server = self.engines(
                version,
                server=Answers(acceptsNobody=True),
                serverChanges={"asksForCertificate": True},
            )
            client.handshake()
            server.feed(client.output())
            server.handshake()
            client.feed(server.output())
            server.release()
            self.assertIs(shake(client, server)[1], Step.failed)

    def test_nobody(self) -> None:
        """
        A client that shows no certificate is let through if the decision says
        so, and refused by default.
        """
        for version in VERSIONS:
            for accepts, step in ((True, Step.complete), (False, Step.failed)):
                client, server = self.engines(
                    version,
                    server=Answers(acceptsNobody=accepts),
                    serverChanges={"asksForCertificate": True},
                )
                self.assertIs(shake(client, server)[1], step)
                self.assertIsNone(server.peerCertificate())
                self.assertTrue(client.wasAskedForCertificate)

    def test_wanted(self) -> None:
        """
        The certificate of the answer is presented, and an alert for an answer
        presents none.
        """
        for version in VERSIONS:
            answers = Answers()
            wanted = forServer(protocols=version, certificate=RSA_SERVER)
            client, server = self.engines(version, answers, Answers(wanted=wanted))
            self.assertEqual(shake(client, server), (Step.complete, Step.complete))
            self.assertEqual(answers.presented, [Presented((RSA_SERVER.certificate,))])
            self.assertEqual(server.parameters, wanted)
            refused = Answers(wanted=TlsAlert.unrecognized_name)
            client, server = self.engines(version, server=refused)
            self.assertEqual(shake(client, server)[1], Step.failed)

    def test_presented(self) -> None:
        """
        Either side is shown all certificates that the other sends, in their
        order, whether or not they belong to a chain.
        """
        leaf = Authority("Lower", Authority("Upper", AUTHORITY)).issue("localhost")
        sent = (Authority("Stray").certificate, *leaf.intermediates[::-1])
        certificate = SslStreamCertificateContext(leaf.certificate, leaf.privateKey, sent)
        shown = [Presented((leaf.certificate, *sent))]
        for version in VERSIONS:
            answers = Answers(), Answers()
            client, server = self.engines(
                version,
                *answers,
                clientChanges={"certificate": certificate},
                serverChanges={"certificate": certificate, "asksForCertificate": True},
            )
            self.assertEqual(shake(client, server), (Step.complete, Step.complete))
            self.assertEqual([each.presented for each in answers], [shown, shown])

    def test_presentedAnother(self) -> None:
        """
        What is judged is the certificate whose key OpenSSL goes by: if a message
        were read differently here, nobody would be let in.
        """
        other = AUTHORITY.issue("other").certificate.public_bytes(Encoding.DER)
        self.patch(_openssl, "certificateList", lambda body, isTls13: [other])
        for version in VERSIONS:
            answers = Answers()
            client, server = self.engines(
                version,
                server=answers,
                clientChanges={"certificate": CLIENT},
                serverChanges={"asksForCertificate": True},
            )
            self.assertIs(shake(client, server)[1], Step.failed)
            self.assertEqual(answers.presented, [])
            self.assertTrue(server.isPeerUnreadable)
            self.assertIs(server.alertSent, TlsAlert.bad_certificate)

    def test_judgesNothing(self) -> None:
        """
        OpenSSL's own opinion of a certificate is not heard: each is asked about
        once, whatever is wrong with it, and the answer decides.
        """
        old: dict[str, Any] = {"notBefore": NOW - 3 * DAY, "notAfter": NOW - DAY}
        constraint = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
        for certificate in (
            SERVER,
            AUTHORITY.issue("localhost", **old),
            Authority("Stranger").issue("localhost"),
            Authority("Lower", Authority("Upper", Authority("Stranger"))).issue("localhost", **old),
            Authority("Middle", AUTHORITY, [(constraint, True)]).issue("localhost", usages=()),
            Authority("Impostor", AUTHORITY, isAuthority=False).issue("localhost"),
        ):
            for version in VERSIONS:
                for alert, step in (
                    (None, Step.complete),
                    (TlsAlert.certificate_revoked, Step.failed),
                ):
                    answers = Answers(lambda alert=alert: alert)  # type: ignore[misc]
                    client, server = self.engines(
                        version, answers, serverChanges={"certificate": certificate}
                    )
                    self.assertIs(shake(client, server)[0], step)
                    shown = (certificate.certificate, *certificate.intermediates)
                    self.assertEqual(answers.presented, [Presented(shown)])
                    self.assertEqual((client.alertSent, server.alertReceived), (alert, alert))

    def test_unreadable(self) -> None:
        """
        A peer whose own certificate cannot be read is refused without a
        question, and that is told apart; one that is not its own is passed
        over.
        """
        for damage in (ofUnknownVersion, withBadTime):
            for version in VERSIONS:
                answers = Answers()
                client, server = self.engines(version, answers)
                server.connection.set_context(foreignContext(damage(SERVER.certificate)))
                self.assertEqual(shake(client, server), (Step.failed, Step.failed))
                self.assertEqual(answers.presented, [])
                self.assertTrue(client.isPeerUnreadable)
                self.assertEqual(client.alertSent, TlsAlert.bad_certificate)
                client, server = self.engines(version, answers)
                good = SERVER.certificate.public_bytes(Encoding.DER)
                server.connection.set_context(foreignContext(good, damage(CLIENT.certificate)))
                self.assertEqual(shake(client, server), (Step.complete, Step.complete))
                self.assertEqual(answers.presented, [Presented((SERVER.certificate,))])
                self.assertFalse(client.isPeerUnreadable)

    def test_keyTypes(self) -> None:
        """
        A client that has to choose knows which kinds of keys a server that asks
        is content with; nothing is known before, nor if it does not ask.
        """
        for version in VERSIONS:
            for asks in (True, False):
                client, server = self.engines(
                    version,
                    server=Answers(acceptsNobody=True),
                    clientChanges={"choosesCertificate": True},
                    serverChanges={"asksForCertificate": asks},
                )
                self.assertIsNone(client.keyTypes)
                self.assertEqual(shake(client, server), (Step.complete, Step.complete))
                if asks:
                    assert client.keyTypes is not None
                    ecdsa = "ECDSA secp256r1" if version is SslProtocols.Tls13 else "ECDSA"
                    self.assertLessEqual({"RSA", ecdsa, "Ed25519"}, client.keyTypes)
                else:
                    self.assertIsNone(client.keyTypes)

    def test_presentedBeforeHello(self) -> None:
        """
        A client that has chosen a certificate before its hello is still asked
        once when the server wants one, and the last choice is shown.
        """
        for version in VERSIONS:
            ours = forClient(protocols=version, certificate=RSA_SERVER)
            last = forClient(protocols=version, certificate=CLIENT)
            for wanted, expected in ((None, RSA_SERVER), (last, CLIENT)):
                asked, judge = Answers(wanted=wanted), Answers()
                client, server = self.engines(
                    version, asked, judge, serverChanges={"asksForCertificate": True}
                )
                client.present(ours)
                self.assertEqual(shake(client, server), (Step.complete, Step.complete))
                self.assertEqual(asked.timesWanted, 1)
                self.assertTrue(client.wasAskedForCertificate)
                self.assertEqual(judge.presented, [Presented((expected.certificate,))])

    def test_staple(self) -> None:
        """
        A client that wants it is shown the server's OCSP response together with
        the certificate, in either version and however it arrives; one that
        does not is not.
        """
        good = ocspResponse(AUTHORITY, SERVER.certificate)
        # OpenSSL takes no more than 16 KiB.
        large = ocspResponse(
            AUTHORITY, SERVER.certificate, certificates=[AUTHORITY.certificate] * 30
        )
        self.assertGreater(len(large), 10_000)
        for version in VERSIONS:
            for staple in (good, large, None):
                for wants, segment in ((True, 1 << 20), (True, 100), (False, 1 << 20)):
                    answers = Answers()
                    client = TlsEngine(
                        forClient(protocols=version), answers, b"localhost", wantsStaple=wants
                    )
                    server = TlsEngine(forServer(protocols=version), Answers(staple=staple))
                    steps = shake(client, server, segment)
                    self.assertEqual(steps, (Step.complete, Step.complete))
                    expected = Presented((SERVER.certificate,), staple if wants else None)
                    self.assertEqual(answers.presented, [expected])

    def test_negotiated(self) -> None:
        """
        What was agreed on is told alike by both sides, and by any connection of
        pyOpenSSL's.
        """
        for version in VERSIONS:
            both = {"applicationProtocols": (b"h2",)}
            client, server = self.engines(version, clientChanges=both, serverChanges=both)
            shake(client, server)
            ours = client.negotiated()
            self.assertEqual(ours, server.negotiated())
            self.assertEqual((ours.protocol, ours.applicationProtocol), (version, b"h2"))
            self.assertEqual(_openssl.describe(client.connection), ours)


def shakeForeign(client: SSL.Connection, server: SSL.Connection) -> None:
    """
    Let two of pyOpenSSL's connections shake hands.
    """
    for _ in range(5):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            if words := _openssl.takeOutput(one):
                other.bio_write(words)


class Strangers(SynchronousTestCase):
    """
    Connections that no engine knows.
    """

    def connections(
        self, version: SslProtocols, **server: Any
    ) -> tuple[SSL.Connection, SSL.Connection]:
        """
        @return: a client and a server of pyOpenSSL's.
        """
        made = (
            SSL.Connection(contextFor(forClient(protocols=version)), None),
            SSL.Connection(contextFor(forServer(protocols=version, **server)), None),
        )
        made[0].set_connect_state()
        made[1].set_accept_state()
        return made

    def assertRefused(self, client: SSL.Connection, server: SSL.Connection, words: str) -> None:
        """
        A handshake fails for that reason.
        """
        error = self.assertRaises(SSL.Error, shakeForeign, client, server)
        self.assertIn(words, str(error))

    def test_good(self) -> None:
        """
        As long as nothing of ours is asked they succeed.
        """
        for version in VERSIONS:
            client, server = self.connections(version)
            shakeForeign(client, server)
            self.assertEqual(client.get_peer_certificate(as_cryptography=True), SERVER.certificate)

    def test_verify(self) -> None:
        """
        No unknown connection has its peer accepted.
        """
        for version in VERSIONS:
            client, server = self.connections(version)
            lib.SSL_set_verify(client._ssl, SSL.VERIFY_PEER, _openssl._verifyCallback)
            self.assertRefused(client, server, "certificate verify failed")

    def test_certificate(self) -> None:
        """
        No unknown connection gets a certificate.
        """
        for version in VERSIONS:
            client, server = self.connections(version)
            lib.SSL_set_cert_cb(server._ssl, _openssl._certificateCallback, ffi.NULL)
            self.assertRefused(client, server, "cert cb error")

    def test_applicationProtocol(self) -> None:
        """
        No unknown connection gets an application protocol.
        """
        for version in VERSIONS:
            client, server = self.connections(version, applicationProtocols=(b"h2",))
            client.set_alpn_protos([b"h2"])
            self.assertRefused(client, server, "no application protocol")

    def test_keyLog(self) -> None:
        """
        No unknown connection's secrets are told to anybody, while an engine's
        with the same context are.
        """
        lines: list[bytes] = []
        self.addCleanup(_openssl.logAllSecrets, None)
        for version in VERSIONS:
            other, known = self.connections(version, logsSecrets=True)
            _openssl.logAllSecrets(lines.append)
            engine = TlsEngine(forServer(protocols=version), Answers())
            shakeForeign(other, known)
            self.assertEqual(lines, [])
            self.assertIs(engine.connection.get_context(), known.get_context())
            client, _ = self.connections(version)
            shakeForeign(client, engine.connection)
            self.assertNotEqual(lines, [])
            lines.clear()

    def test_nothingToExport(self) -> None:
        """
        Before the handshake nothing can be exported, and nobody has finished.
        """
        for version in VERSIONS:
            client, server = self.connections(version)
            for connection in (client, server):
                for isServer in (False, True):
                    self.assertRaises(
                        NotSupportedError, _openssl.firstFinished, connection, isServer
                    )
                self.assertRaises(
                    NotSupportedError,
                    _openssl.exportKeyingMaterial,
                    connection,
                    b"EXPORTER-test",
                    8,
                    None,
                )
            shakeForeign(client, server)
            one, other = (
                _openssl.exportKeyingMaterial(each, b"EXPORTER-test", 8, None)
                for each in (client, server)
            )
            self.assertEqual(one, other)

    def test_forgotten(self) -> None:
        """
        An engine that is gone is not asked; its connection's peer is refused.
        """
        for version in VERSIONS:
            client = TlsEngine(forClient(protocols=version), Answers()).connection
            _, server = self.connections(version)
            self.assertRefused(client, server, "certificate verify failed")


class Records(SynchronousTestCase):
    """
    The record path.
    """

    def connected(self, version: SslProtocols) -> tuple[SSL.Connection, SSL.Connection]:
        """
        @return: a client and a server after their handshake.
        """
        engines = (
            TlsEngine(forClient(protocols=version), Answers()),
            TlsEngine(forServer(protocols=version), Answers()),
        )
        self.assertEqual(shake(*engines), (Step.complete, Step.complete))
        client, server = (engine.connection for engine in engines)
        self.engines = engines
        _openssl.enableWholeWrites(client)
        return client, server

    def test_data(self) -> None:
        """
        What is sent is received, whether less than a record, many records, or
        more than one call takes.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            for size in (1, 1 << 14, 1 << 16):
                data = os.urandom(size)
                self.assertEqual(_openssl.send(client, data), (True, ""))
                server.bio_write(_openssl.takeOutput(client))
                self.assertEqual(_openssl.receive(server), (data, Received.starved, ""))
            pieces = [os.urandom(1 << 16) for _ in range(6)]
            for piece in pieces:
                _openssl.send(client, piece)
            server.bio_write(_openssl.takeOutput(client))
            self.assertEqual(_openssl.receive(server), (b"".join(pieces), Received.starved, ""))
            self.assertEqual(_openssl.takeOutput(client), b"")

    def test_partialRecord(self) -> None:
        """
        A record counts when it is complete.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            _openssl.send(client, b"one")
            record = _openssl.takeOutput(client)
            server.bio_write(record[:-1])
            self.assertEqual(_openssl.receive(server), (b"", Received.starved, ""))
            server.bio_write(record[-1:])
            self.assertEqual(_openssl.receive(server), (b"one", Received.starved, ""))

    def test_ended(self) -> None:
        """
        A C{close_notify} ends the stream behind what was sent before; what
        comes after it is not the stream's.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            _openssl.send(client, b"last words")
            self.assertFalse(_openssl.sendCloseNotify(client))
            server.bio_write(_openssl.takeOutput(client) + b"in the clear")
            self.assertEqual(_openssl.receive(server), (b"last words", Received.ended, ""))
            self.assertEqual(_openssl.receive(server), (b"", Received.ended, ""))
            self.assertEqual(_openssl.takeUnread(server), b"in the clear")
            self.assertTrue(_openssl.sendCloseNotify(server))
            client.bio_write(_openssl.takeOutput(server))
            self.assertEqual(_openssl.receive(client), (b"", Received.ended, ""))

    def test_broken(self) -> None:
        """
        A record that was changed under way breaks the connection for good; the
        peer is told.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            _openssl.send(client, b"one")
            whole = _openssl.takeOutput(client)
            _openssl.send(client, b"two")
            record = bytearray(_openssl.takeOutput(client))
            record[-1] ^= 1
            server.bio_write(whole + bytes(record))
            data, why, reasons = _openssl.receive(server)
            self.assertEqual((data, why), (b"one", Received.broken))
            self.assertIn("bad record mac", reasons)
            self.assertEqual(self.engines[1].alertSent, TlsAlert.bad_record_mac)
            client.bio_write(_openssl.takeOutput(server))
            self.assertIs(_openssl.receive(client)[1], Received.broken)
            self.assertEqual(self.engines[0].alertReceived, TlsAlert.bad_record_mac)
            isSent, reasons = _openssl.send(server, b"x")
            self.assertFalse(isSent)
            self.assertNotEqual(reasons, "")

    def test_early(self) -> None:
        """
        What is to be sent before the handshake's end waits for it.
        """
        engine = TlsEngine(forClient(), Answers())
        self.assertEqual(_openssl.send(engine.connection, b"x"), (False, ""))

    def test_foreignCertificates(self) -> None:
        """
        The certificates of any connection are told, with its role, also of one
        that verifies them for itself.
        """
        trusting = SSL.Context(SSL.TLS_CLIENT_METHOD)
        store = trusting.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(AUTHORITY.certificate))
        trusting.set_verify(SSL.VERIFY_PEER, lambda *arguments: bool(arguments[4]))
        for version in VERSIONS:
            client = SSL.Connection(trusting, None)
            client.set_connect_state()
            server = SSL.Connection(contextFor(forServer(protocols=version)), None)
            server.set_accept_state()
            shakeForeign(client, server)
            theirs = _openssl.certificatesOf(client)
            self.assertEqual((theirs.isServer, theirs.local), (False, None))
            self.assertEqual(theirs.remote, SERVER.certificate)
            self.assertEqual(theirs.verified, (SERVER.certificate, AUTHORITY.certificate))
            ours = _openssl.certificatesOf(server)
            self.assertEqual(
                (ours.isServer, ours.local, ours.remote, ours.verified),
                (True, SERVER.certificate, None, ()),
            )
