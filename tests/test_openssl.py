"""
Tests for L{txsslstream._openssl}: contexts, every cipher suite, OpenSSL's
questions and what becomes of the answers, and the record path.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherAlgorithmType,
    EncryptionPolicy,
    InvalidOperationError,
    NotSupportedError,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStreamCertificateContext,
    TlsAlert,
    TlsCipherSuite,
    X509ChainStatusFlags,
    _openssl,
)
from txsslstream._openssl import TlsEngine, contextFor
from txsslstream.crossing import Finding, PeerChain, Received, Step
from txsslstream.parameters import TlsParameters
from txsslstream.serverflight import ServerFlight

from .files import FilesMixin
from .support import (
    AUTHORITY,
    CLIENT,
    SERVER,
    VERSIONS,
    Authority,
    Pair,
    clientOptions,
    onlySuite,
    rsaKey,
    serverOptions,
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
    return TlsParameters(**{"isServer": False, "trust": AUTHORITY.trust, **changes})


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


class Contexts(FilesMixin, SynchronousTestCase):
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
            forServer(trust=Authority().trust),
            forServer(trust=replace(AUTHORITY.trust, sendTrustInHandshake=True)),
            forServer(certificate=RSA_SERVER),
            forServer(asksForCertificate=True),
            forServer(asksForCertificate=True, insistsOnCertificate=True),
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

    def test_systemTrust(self) -> None:
        """
        The platform's roots are those that OpenSSL's environment variables
        name, at the time of the call, however often and in between.
        """
        pem = self.file(AUTHORITY.certificate.public_bytes(Encoding.PEM))
        before = os.environ.get("SSL_CERT_FILE")

        def setPlace(value: str | None) -> None:
            if value is None:
                os.environ.pop("SSL_CERT_FILE", None)
            else:
                os.environ["SSL_CERT_FILE"] = value

        self.addCleanup(setPlace, before)
        for _ in range(2):
            setPlace(before)
            # The store must not depend on the context that has loaded it.
            gc.collect()
            self.assertEqual(
                self.judged(SslCertificateTrust.system()), X509ChainStatusFlags.PartialChain
            )
            setPlace(str(pem))
            gc.collect()
            self.assertEqual(
                self.judged(SslCertificateTrust.system()), X509ChainStatusFlags.NoError
            )

    def judged(self, trust: SslCertificateTrust) -> X509ChainStatusFlags:
        """
        @return: what a client with that trust finds wrong with L{SERVER}.
        """
        decisions = Answers()
        shake(TlsEngine(forClient(trust=trust), decisions), TlsEngine(forServer(), Answers()))
        [chain] = decisions.chains
        flags = X509ChainStatusFlags.NoError
        for finding in chain.findings:
            flags |= finding.status
        return flags


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
                pair, client, server = self.negotiate(suite, certificate, version)
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

    @ivar chains: what was presented.
    """

    def __init__(
        self,
        verdict: Callable[[], TlsAlert | None] = lambda: None,
        acceptsNobody: bool = False,
        wanted: TlsParameters | TlsAlert | None = None,
    ) -> None:
        self.verdict = verdict
        self.acceptsNobody = acceptsNobody
        self.wanted = wanted
        self.chains: list[PeerChain] = []

    def peerPresented(self, chain: PeerChain) -> TlsAlert | None:
        self.chains.append(chain)
        return self.verdict()

    def peerPresentedNothing(self) -> bool:
        return self.acceptsNobody

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        return self.wanted


def shake(client: TlsEngine, server: TlsEngine) -> tuple[Step, Step]:
    """
    Let two engines shake hands until neither has anything to say.

    @return: how far each has come.
    """
    while True:
        steps = client.handshake(), server.handshake()
        said = client.output(), server.output()
        if not any(said):
            return steps
        for engine, words in zip((server, client), said, strict=True):
            if words:
                engine.feed(words)


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
        The client is asked once, with the chain and nothing wrong with it.
        """
        for version in VERSIONS:
            answers = Answers()
            client, server = self.engines(version, answers)
            self.assertEqual(shake(client, server), (Step.complete, Step.complete))
            [chain] = answers.chains
            self.assertEqual(chain.built, (SERVER.certificate, AUTHORITY.certificate))
            self.assertEqual((chain.presented, chain.findings), ((SERVER.certificate,), ()))
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
            self.assertEqual(answers.chains[0].built[0], RSA_SERVER.certificate)
            self.assertEqual(server.parameters, wanted)
            refused = Answers(wanted=TlsAlert.unrecognized_name)
            client, server = self.engines(version, server=refused)
            self.assertEqual(shake(client, server)[1], Step.failed)

    def test_lateFinding(self) -> None:
        """
        A problem that nobody was asked about refuses, although the peer was
        accepted.
        """
        constrained = Authority(
            "Middle",
            AUTHORITY,
            [(x509.NameConstraints([x509.DNSName("elsewhere.example")], None), True)],
        )
        self.patch(_openssl, "_lateFindings", lambda built: [])
        for version in VERSIONS:
            answers = Answers()
            client, server = self.engines(
                version, answers, serverChanges={"certificate": constrained.issue("localhost")}
            )
            self.assertEqual(shake(client, server), (Step.failed, Step.failed))
            self.assertEqual([chain.findings for chain in answers.chains], [()])
            self.assertEqual(
                client.lateFindings,
                [
                    Finding(
                        0,
                        X509ChainStatusFlags.HasNotPermittedNameConstraint,
                        "permitted subtree violation",
                    )
                ],
            )
            self.assertIsNotNone(client.alertSent)

    def test_findings(self) -> None:
        """
        Every verification error that the bindings name has a status of its own
        but for those that only checks can bring that nobody asks for; these and
        unknown ones are told as something wrong, too.
        """
        named = {name for name in dir(lib) if name.startswith("X509_V_ERR_")}
        unmapped = {name for name in named if getattr(lib, name) not in _openssl._STATUSES}
        neverAskedFor = re.compile(
            # Revocation lists, names, proxies and their extensions.
            "CRL|HOSTNAME|EMAIL|IP_ADDRESS|PROXY|UNNESTED|"
            # Only steps of the search for an issuer.
            "AKID|SUBJECT_ISSUER|"
            # What they are called is what they are told as.
            "INVALID_EXTENSION|UNSUPPORTED_EXTENSION_FEATURE|"
            # Ours, and OpenSSL's own trouble.
            "APPLICATION_VERIFICATION|OUT_OF_MEM"
        )
        self.assertEqual({name for name in unmapped if not neverAskedFor.search(name)}, set())
        for code in (*(getattr(lib, name) for name in unmapped), 12345):
            finding = _openssl._finding(0, code)
            self.assertEqual(finding.status, X509ChainStatusFlags.InvalidExtension)
            self.assertEqual(finding.information, _openssl.certificateError(code))
        self.assertNotIn(X509ChainStatusFlags.NoError, _openssl._STATUSES.values())

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

    def shake(self, client: SSL.Connection, server: SSL.Connection) -> None:
        """
        Let both shake hands.
        """
        for _ in range(5):
            for one, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    one.do_handshake()
                if words := _openssl.takeOutput(one):
                    other.bio_write(words)

    def assertRefused(self, client: SSL.Connection, server: SSL.Connection, words: str) -> None:
        """
        A handshake fails for that reason.
        """
        error = self.assertRaises(SSL.Error, self.shake, client, server)
        self.assertIn(words, str(error))

    def test_good(self) -> None:
        """
        As long as nothing of ours is asked they succeed.
        """
        for version in VERSIONS:
            client, server = self.connections(version)
            self.shake(client, server)
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
        The certificates of any connection are told, with its role.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            theirs = _openssl.certificatesOf(client)
            self.assertEqual((theirs.isServer, theirs.local), (False, None))
            self.assertEqual(theirs.remote, SERVER.certificate)
            self.assertEqual(theirs.verified, (SERVER.certificate, AUTHORITY.certificate))
            ours = _openssl.certificatesOf(server)
            self.assertEqual(
                (ours.isServer, ours.local, ours.remote, ours.verified),
                (True, SERVER.certificate, None, ()),
            )
