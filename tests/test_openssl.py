"""
Tests for L{txsslstream._openssl}: contexts, every cipher suite, OpenSSL's
questions and what becomes of the answers, and the record path.
"""

from __future__ import annotations

import contextlib
import os
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NoReturn
from unittest import SkipTest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib
from twisted.trial.unittest import SynchronousTestCase

from tests.garbage import withoutCollector
from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherAlgorithmType,
    CipherSuitesPolicy,
    EncryptionPolicy,
    InvalidOperationError,
    NotSupportedError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamCertificateContext,
    TlsAlert,
    TlsCipherSuite,
    X509ChainStatusFlags,
    _openssl,
    crossing,
    suitability,
)
from txsslstream._openssl import TlsEngine, contextFor
from txsslstream.algorithms import (
    GROUPS,
    SIGNATURE_ALGORITHMS,
    KeyExchangeGroup,
    SignatureAlgorithm,
    groupNamed,
    signatureNamed,
)
from txsslstream.crossing import Presented, Received, Step, presentedOf
from txsslstream.options import _sharedParameters
from txsslstream.parameters import TlsParameters
from txsslstream.security import certificatesOf
from txsslstream.serverflight import ServerFlight
from txsslstream.testing import (
    DAY,
    NOW,
    VERSIONS,
    Authority,
    StreamPair,
    certificatePEM,
    keyPEM,
    onlySuite,
    rsaKey,
)
from txsslstream.testing.damage import ofUnknownVersion, withBadTime
from txsslstream.testing.revocations import ocspResponse

from .files import FilesMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

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
    return AUTHORITY.issue("localhost", key=rsaKey(bits=1024))


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


def codesOf(data: bytes) -> list[int]:
    """
    @return: the numbers of two bytes that a list has, behind its length.
    """
    size = int.from_bytes(data[:2], "big")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(2, 2 + size, 2)]


def helloOf(parameters: TlsParameters) -> tuple[list[int], dict[int, bytes]]:
    """
    @return: the suites that a client really offers, and its extensions.
    """
    engine = TlsEngine(parameters, Answers())
    engine.handshake()
    # The headers of the record and the message, the version, the random.
    hello = engine.output()[5 + 4 + 2 + 32 :]
    behindSession = hello[1 + hello[0] :]
    suites = codesOf(behindSession)
    rest = behindSession[2 + 2 * len(suites) :]
    rest = rest[1 + rest[0] + 2 :]
    extensions = {}
    while rest:
        kind, size = (int.from_bytes(rest[at : at + 2], "big") for at in (0, 2))
        extensions[kind] = rest[4 : 4 + size]
        rest = rest[4 + size :]
    return suites, extensions


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


class Owned:
    """
    What is gone when its owner is.
    """


class Sharing(FilesMixin, SynchronousTestCase):
    """
    How many OpenSSL contexts are made, and how long they live.
    """

    def setUp(self) -> None:
        """
        Count from nothing.
        """
        super().setUp()
        # What is known of OpenSSL is found out once, with a context.
        _openssl._suiteNames()
        _openssl._defaultSignatures()
        self.patch(_openssl, "_contexts", weakref.WeakValueDictionary())
        for shared in (_openssl._sharedContext, _sharedParameters):
            shared.cache_clear()
            self.addCleanup(shared.cache_clear)
        self.made = 0
        initialize = SSL.Context.__init__

        def counting(context: SSL.Context, method: int) -> None:
            self.made += 1
            initialize(context, method)

        self.patch(SSL.Context, "__init__", counting)

    def equalOptions(
        self,
    ) -> tuple[SslClientAuthenticationOptions, SslServerAuthenticationOptions]:
        """
        @return: a client's and a server's options of which nothing is shared
            with those made before: the certificates are read from files.
        """
        path = self.file(certificatePEM(SERVER) + keyPEM(SERVER))
        roots = self.file(certificatePEM(AUTHORITY.certificate), "roots.pem")
        trust = SslCertificateTrust.fromPEM(roots, sendTrustInHandshake=True)
        common: dict[str, Any] = {
            "trust": trust,
            "applicationProtocols": iter(["h2"]),
            "cipherSuitesPolicy": CipherSuitesPolicy([STRONG, STRONG_13]),
            "keyExchangeGroups": iter(["x25519"]),
            "signatureAlgorithms": ["ecdsa_secp256r1_sha256"],
        }
        context = SslStreamCertificateContext.fromPEM(path)
        return (
            SslClientAuthenticationOptions("localhost", clientCertificateContext=context, **common),
            SslServerAuthenticationOptions(context, clientCertificateRequired=True, **common),
        )

    def test_manyConnections(self) -> None:
        """
        However many connections there are with equal options, each built for
        one of them, one context is made for each role.
        """
        for _ in range(100):
            for options in self.equalOptions():
                TlsEngine(options.parameters, Answers())
        self.assertEqual(self.made, 2)

    def test_handshakes(self) -> None:
        """
        Nor do whole conversations make more, with a certificate for either
        side.
        """
        for _ in range(5):
            client, server = self.equalOptions()
            pair = StreamPair()
            sides = (
                pair.server.authenticateAsServer(server),
                pair.client.authenticateAsClient(client),
            )
            pair.wire.flush()
            for side in sides:
                self.successResultOf(side)
        self.assertEqual(self.made, 2)

    def test_chosenCertificates(self) -> None:
        """
        A certificate that a callback chooses has one context, however often it
        is chosen.
        """
        for _ in range(5):
            for side in StreamPair().authenticate(
                client={"localCertificateSelectionCallback": lambda *_: CLIENT},
                server={
                    "serverCertificateSelectionCallback": lambda *_: SERVER,
                    "clientCertificateRequired": True,
                },
            ):
                self.successResultOf(side)
        # With and without certificate, for the client and the server.
        self.assertEqual(self.made, 4)

    def test_different(self) -> None:
        """
        Parameters that differ have contexts of their own, and are only made
        once.
        """
        different = [forClient(applicationProtocols=(b"%d" % number,)) for number in range(20)]
        for _ in range(3):
            for parameters in different:
                contextFor(parameters)
        self.assertEqual(self.made, 20)

    def test_manyOptions(self) -> None:
        """
        As long as options live, so do their contexts, and equal options have
        the same, however many others there are and in whichever order they are
        used.
        """

        def each() -> list[TlsParameters]:
            return [forClient(applicationProtocols=(b"%d" % number,)) for number in range(400)]

        living = each()
        contexts = [contextFor(parameters) for parameters in living]
        for _ in range(2):
            self.assertEqual([contextFor(parameters) for parameters in living], contexts)
            self.assertEqual([contextFor(parameters) for parameters in each()], contexts)
        self.assertEqual(self.made, 400)

    def test_forgotten(self) -> None:
        """
        The contexts that were asked for last stay when nobody has them any
        more; those before are forgotten at once, and with them the private
        key.
        """
        withoutCollector(self)
        # It goes when its certificate and key do, which have no weak references.
        owned: Any = Owned()
        parameters = forServer(
            certificate=SslStreamCertificateContext(
                SERVER.certificate, SERVER.privateKey, retriever=owned
            )
        )
        context = weakref.ref(contextFor(parameters))
        certificate = weakref.ref(owned)
        del parameters, owned
        self.assertIsNotNone(context())
        most = _openssl._sharedContext.cache_parameters()["maxsize"]
        self.assertEqual(most, 256)
        for number in range(most - 1):
            contextFor(forClient(applicationProtocols=(b"%d" % number,)))
        self.assertIsNotNone(context())
        self.assertEqual(len(_openssl._contexts), most)
        contextFor(forClient())
        self.assertIsNone(context())
        self.assertIsNone(certificate())
        self.assertEqual(len(_openssl._contexts), most)

    def test_notHashed(self) -> None:
        """
        For a connection with options that have been used before nothing is
        hashed or compared, though they hold any number of certificates.
        """
        issuers = tuple(Authority(f"{number}").certificate for number in range(3))
        parameters = forServer(asksForCertificate=True, acceptableIssuers=issuers)
        context = contextFor(parameters)

        def never(*_: object) -> NoReturn:
            raise AssertionError("hashed or compared")

        self.patch(TlsParameters, "__hash__", never)
        self.patch(TlsParameters, "__eq__", never)
        self.assertIs(contextFor(parameters), context)
        TlsEngine(parameters, Answers())
        self.assertRaises(AssertionError, contextFor, replace(parameters))


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
    ) -> tuple[StreamPair, Any, Any]:
        """
        @return: a pair that knows one suite and version only, and the Deferreds
            of the client and of the server.
        """
        policy = onlySuite(suite)
        pair = StreamPair()
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

    def test_policy(self) -> None:
        """
        A client offers what its policy says, in that order and nothing else,
        and no version that none of it is for.
        """
        old, new = VERSIONS
        other = TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        other13 = TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256
        for suites, left in (
            ((other13, STRONG_13, other, STRONG), {old, new}),
            ((STRONG_13, other13, STRONG, other), {old, new}),
            ((STRONG, other), {old}),
            ((STRONG_13,), {new}),
        ):
            parameters = forClient(cipherSuites=suites)
            self.assertEqual(self.offered(parameters), list(suites))
            self.assertEqual(versionsLeft(parameters), left)
            self.assertEqual(versionsLeft(forServer(cipherSuites=suites)), left)

    def test_serverDecides(self) -> None:
        """
        Of the suites that both sides permit, the one that is best for the
        server is negotiated.
        """
        for version, suites in (
            (
                SslProtocols.Tls12,
                (STRONG, TlsCipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
            ),
            (SslProtocols.Tls13, (STRONG_13, TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256)),
        ):
            for ours, theirs in ((suites, suites[::-1]), (suites[::-1], suites)):
                pair = StreamPair()
                for side in pair.authenticate(
                    version,
                    {"cipherSuitesPolicy": CipherSuitesPolicy(ours)},
                    {
                        "cipherSuitesPolicy": CipherSuitesPolicy(theirs),
                        "serverCertificate": RSA_SERVER,
                    },
                ):
                    self.successResultOf(side)
                self.assertIs(pair.server.negotiatedCipherSuite, theirs[0])

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
        # The rest are signals.
        return [TlsCipherSuite(code) for code in helloOf(parameters)[0] if code in ALL_NUMBERS]

    def test_oldVersions(self) -> None:
        """
        TLS 1.0 and 1.1 work where both sides enable them, and nowhere else.
        """
        for version in (SslProtocols.Tls, SslProtocols.Tls11):
            pair = StreamPair()
            client, server = pair.authenticate(version)
            self.assertIs(self.successResultOf(client), pair.client)
            self.assertIs(self.successResultOf(server), pair.server)
            self.assertIs(pair.client.sslProtocol, version)
            self.assertIs(pair.server.sslProtocol, version)
            for ours, theirs in ((version, SslProtocols.None_), (SslProtocols.None_, version)):
                client, server = StreamPair().authenticate(
                    client={"enabledSslProtocols": ours}, server={"enabledSslProtocols": theirs}
                )
                error = self.failureResultOf(server, AuthenticationError).value
                self.assertEqual(error.alertSent, TlsAlert.protocol_version)
                told = self.failureResultOf(client, AuthenticationError).value
                self.assertEqual(told.alert, TlsAlert.protocol_version)


SUPPORTED_VERSIONS = 43
SUPPORTED_GROUPS = 10
SIGNATURE_ALGORITHMS_EXTENSION = 13
KEY_SHARE = 51

#: The numbers of groups (IANA "TLS Supported Groups").
CODES = {
    "secp256r1": 0x0017,
    "x25519": 0x001D,
    "ffdhe2048": 0x0100,
    "X25519MLKEM768": 0x11EC,
    "SecP256r1MLKEM768": 0x11EB,
}
HYBRID = "X25519MLKEM768"


def bare(isServer: bool, version: SslProtocols, group: str) -> SSL.Connection | None:
    """
    @return: a connection of pyOpenSSL's for one version that exchanges keys in
        one group or not at all; L{None} if OpenSSL does not know the group.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD if isServer else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_openssl._VERSIONS[version])
    context.set_max_proto_version(_openssl._VERSIONS[version])
    context.set_cipher_list(b"ECDHE+AESGCM:DHE+AESGCM")
    if isServer:
        context.use_certificate(RSA_SERVER.certificate)
        context.use_privatekey(RSA_SERVER.privateKey)  # type: ignore[arg-type]
    if lib.SSL_CTX_set1_curves_list(context._context, group.encode()) != 1:
        lib.ERR_clear_error()
        return None
    connection = SSL.Connection(context, None)
    if isServer:
        connection.set_accept_state()
    else:
        connection.set_connect_state()
    return connection


class Groups(SynchronousTestCase):
    """
    The groups that keys are exchanged in.
    """

    def known(self) -> Iterator[KeyExchangeGroup]:
        """
        @return: the groups that this OpenSSL knows.
        """
        for group in GROUPS:
            if bare(False, SslProtocols.Tls13, group.name) is not None:
                yield group

    def failed(self, client: Any, server: Any, alert: TlsAlert) -> None:
        """
        Check that the server has refused the client, and both know how.
        """
        refusal = self.failureResultOf(server, AuthenticationError).value
        told = self.failureResultOf(client, AuthenticationError).value
        self.assertEqual((refusal.alertSent, told.alert), (alert, alert))

    def test_versions(self) -> None:
        """
        The table says which version has which group, as OpenSSL does.
        """
        count = 0
        for group in self.known():
            for version in VERSIONS:
                client = bare(False, version, group.name)
                server = bare(True, version, group.name)
                assert client is not None
                assert server is not None
                try:
                    shakeForeign(client, server)
                except SSL.Error:
                    isPossible = False
                    lib.ERR_clear_error()
                else:
                    isPossible = True
                    count += 1
                self.assertEqual(isPossible, bool(group.versions & version), (group, version))
        self.assertGreaterEqual(count, 25)

    def test_reported(self) -> None:
        """
        Each group is negotiated where both sides have chosen it, in each version
        that has it, and it is what both sides report.
        """
        for group in self.known():
            for version in VERSIONS:
                if not group.versions & version:
                    continue
                chosen = {"keyExchangeGroups": group.name}
                server = {"serverCertificate": RSA_SERVER, **chosen}
                # Before TLS 1.3 a client does not offer DHE by itself.
                isNamed = version is SslProtocols.Tls12 and group.exchange == "DHE"
                suite = TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256
                client = {**chosen, **(onlySuite(suite) if isNamed else {})}
                pair = StreamPair()
                for side in pair.authenticate(version, client, server):
                    self.successResultOf(side)
                for stream in (pair.client, pair.server):
                    if isNamed:
                        self.assertEqual(stream.keyExchangeStrength, int(group.name[-4:]))
                    else:
                        self.assertEqual(stream.keyExchangeGroup, group.name)

    def test_default(self) -> None:
        """
        Unless told otherwise, and where OpenSSL has it, keys are safe from
        quantum computers in TLS 1.3, whatever else is offered; in TLS 1.2 they
        are exchanged on a curve.
        """
        if bare(False, SslProtocols.Tls13, HYBRID) is None:
            raise SkipTest(f"this OpenSSL has no {HYBRID}")
        for ours, expected in (
            ({}, HYBRID),
            ({"enabledSslProtocols": SslProtocols.Tls13}, HYBRID),
            ({"enabledSslProtocols": SslProtocols.Tls12}, "x25519"),
        ):
            for client, server in ((ours, {}), ({}, ours), (ours, ours)):
                pair = StreamPair()
                for side in pair.authenticate(client=client, server=server):
                    self.successResultOf(side)
                for stream in (pair.client, pair.server):
                    self.assertEqual(stream.keyExchangeGroup, expected)

    def test_offered(self) -> None:
        """
        A client offers what was chosen in that order, nothing else, and tries
        the best, and the best of those that every server knows, at once.
        """
        for names, shares in (
            (("secp256r1", "x25519"), ("secp256r1",)),
            (("x25519", HYBRID, "secp256r1"), ("x25519",)),
            ((HYBRID, "secp256r1", "x25519"), (HYBRID, "secp256r1")),
            ((HYBRID, "SecP256r1MLKEM768"), (HYBRID,)),
            ((HYBRID,), (HYBRID,)),
        ):
            _, extensions = helloOf(forClient(keyExchangeGroups=names))
            offered = codesOf(extensions[SUPPORTED_GROUPS])
            self.assertEqual(offered, [CODES[name] for name in names])
            tried = []
            rest = extensions[KEY_SHARE][2:]
            while rest:
                tried.append(int.from_bytes(rest[:2], "big"))
                rest = rest[4 + int.from_bytes(rest[2:4], "big") :]
            self.assertEqual(tried, [CODES[name] for name in shares])

    def test_serverDecides(self) -> None:
        """
        The server's order decides, also if the client has to begin anew for
        that.
        """
        for version in VERSIONS:
            for ours, theirs in (
                (("x25519", "secp256r1"), ("secp256r1", "x25519")),
                (("secp256r1", "x25519"), ("x25519", "secp256r1")),
                (("x25519", "secp384r1"), ("secp521r1", "secp384r1", "x25519")),
            ):
                pair = StreamPair()
                for side in pair.authenticate(
                    version,
                    {"keyExchangeGroups": ours},
                    {"keyExchangeGroups": theirs, "serverCertificate": RSA_SERVER},
                ):
                    self.successResultOf(side)
                best = next(name for name in theirs if name in ours)
                for stream in (pair.client, pair.server):
                    self.assertEqual(stream.keyExchangeGroup, best)

    def test_hybridPreferred(self) -> None:
        """
        A server that prefers to be safe from quantum computers is, where the
        client can be, whatever that tries first.
        """
        pair = StreamPair()
        for side in pair.authenticate(
            client={"keyExchangeGroups": ["x25519", HYBRID]},
            server={"keyExchangeGroups": [HYBRID, "x25519"]},
        ):
            self.successResultOf(side)
        self.assertEqual(pair.server.keyExchangeGroup, HYBRID)

    def test_nothingInCommon(self) -> None:
        """
        Without a common group there is no connection, not even one that would
        exchange keys in no group.
        """
        for version in VERSIONS:
            for certificate in (RSA_SERVER, SERVER):
                sides = StreamPair().authenticate(
                    version,
                    {"keyExchangeGroups": ["secp256r1"]},
                    {"keyExchangeGroups": ["x25519"], "serverCertificate": certificate},
                )
                self.failed(*sides, TlsAlert.handshake_failure)

    def test_otherExchanges(self) -> None:
        """
        With groups chosen, no suite is offered that exchanges keys in another
        group or in none: to a client, DHE before TLS 1.3 is that.
        """
        suites = Suites()
        everything = suites.offered(forClient())
        self.assertIn(TlsCipherSuite.TLS_RSA_WITH_AES_128_GCM_SHA256, everything)
        self.assertIn(TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256, everything)
        for names in (("x25519",), ("x25519", "ffdhe2048"), ("ffdhe2048", "x25519")):
            offered = suites.offered(forClient(keyExchangeGroups=names))
            self.assertEqual(
                offered,
                [
                    suite
                    for suite in everything
                    if "_WITH_" not in suite.name or "_ECDHE_" in suite.name
                ],
            )
        for policy in (EncryptionPolicy.NoEncryption, EncryptionPolicy.AllowNoEncryption):
            offered = suites.offered(
                forClient(keyExchangeGroups=("x25519",), encryptionPolicy=policy)
            )
            self.assertIn(TlsCipherSuite.TLS_ECDHE_RSA_WITH_NULL_SHA, offered)
            for suite in offered:
                self.assertTrue("_WITH_" not in suite.name or "_ECDHE_" in suite.name, suite)

    def serverPermits(self, suite: TlsCipherSuite, **server: Any) -> bool:
        """
        Whether a server lets a client in that can do one suite only.
        """
        sides = StreamPair().authenticate(
            SslProtocols.Tls12, onlySuite(suite), {"serverCertificate": RSA_SERVER, **server}
        )
        if isinstance(sides[1].result, SslStream):
            return True
        self.failed(*sides, TlsAlert.handshake_failure)
        return False

    def test_serversExchanges(self) -> None:
        """
        A server exchanges keys in no other group than those chosen, and in some
        group, unless another suite was asked for by name.
        """
        rsa = TlsCipherSuite.TLS_RSA_WITH_AES_128_GCM_SHA256
        dhe = TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256
        ecdhe = TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        for suite in (rsa, dhe, ecdhe):
            self.assertTrue(self.serverPermits(suite))
            for names, permitted in (
                (("x25519",), (ecdhe,)),
                (("ffdhe2048",), (dhe,)),
                (("x25519", "ffdhe2048"), (ecdhe, dhe)),
                # It is too large for what is negotiated with this key.
                (("ffdhe8192", "x25519"), (ecdhe,)),
            ):
                isPermitted = self.serverPermits(suite, keyExchangeGroups=names)
                self.assertEqual(isPermitted, suite in permitted, (suite, names))
        named = {"cipherSuitesPolicy": CipherSuitesPolicy([rsa])}
        self.assertTrue(self.serverPermits(rsa, keyExchangeGroups="x25519", **named))

    def test_olderServer(self) -> None:
        """
        A server does not use DHE before TLS 1.3 with an OpenSSL that would
        choose the group by itself.
        """
        self.patch(_openssl, "_HEEDS_GROUPS_OF_DHE", False)
        dhe = TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256
        # Such a context is not shared with other tests.
        own = {"applicationProtocols": ["test_olderServer"]}
        self.assertFalse(self.serverPermits(dhe, keyExchangeGroups=["ffdhe2048", "x25519"], **own))

    def test_olderOpenSSL(self) -> None:
        """
        An OpenSSL that takes nothing but plain lists gets one.
        """
        told: list[bytes] = []

        class Older:
            def __getattr__(self, name: str) -> Any:
                return getattr(lib, name)

            def SSL_CTX_set1_curves_list(self, context: Any, names: bytes) -> int:
                told.append(names)
                if b"/" in names or b"*" in names:
                    # Leaves an error behind.
                    return int(lib.SSL_CTX_set_cipher_list(context, b"nonsense"))
                return int(lib.SSL_CTX_set1_curves_list(context, names))

        self.patch(_openssl, "lib", Older())
        context = _openssl._newContext(forClient(keyExchangeGroups=("x25519", "secp256r1")))
        self.assertEqual(told, [b"x25519", b"secp256r1", b"*x25519/secp256r1", b"x25519:secp256r1"])
        self.assertEqual(_openssl._drainErrors(), [])
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        self.assertRaises(SSL.WantReadError, connection.do_handshake)

    def test_unknown(self) -> None:
        """
        A group that this OpenSSL does not have is told at once, by name.
        """
        exotic = KeyExchangeGroup("kyber9000", 0x2000, 9000, "KEM", SslProtocols.Tls13)
        self.patch(
            suitability,
            "groupNamed",
            lambda name: exotic if name == exotic.name else groupNamed(name),
        )
        for make in (forClient, forServer):
            error = self.assertRaises(
                NotSupportedError, contextFor, make(keyExchangeGroups=("x25519", "kyber9000"))
            )
            self.assertEqual(str(error), "this OpenSSL does not know kyber9000")
            # Nothing of it is left for others to stumble over.
            self.assertEqual(_openssl._drainErrors(), [])

    def test_versionsLeft(self) -> None:
        """
        A version that has none of the groups is not negotiated.
        """
        old, new = VERSIONS
        for names, protocols, left in (
            ((HYBRID,), LAX, {new}),
            ((HYBRID,), SslProtocols.None_, {new}),
            (("brainpoolP256r1tls13",), SslProtocols.None_, {new}),
            (("brainpoolP256r1",), SslProtocols.None_, {old}),
            (("brainpoolP256r1", HYBRID), SslProtocols.None_, {old, new}),
            (("x25519",), SslProtocols.None_, {old, new}),
        ):
            for make in (forClient, forServer):
                parameters = make(keyExchangeGroups=names, protocols=protocols)
                self.assertEqual(versionsLeft(parameters), left, parameters)

    def test_clashes(self) -> None:
        """
        Groups that do not go with the versions or the suites are told at once.
        """
        ecdhe = (TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,)
        dhe = (TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,)
        rsa = (TlsCipherSuite.TLS_RSA_WITH_AES_128_GCM_SHA256,)
        both = (forClient, forServer)
        for makers, names, changes, isPossible in (
            (both, (HYBRID,), {"protocols": SslProtocols.Tls12}, False),
            (both, ("MLKEM768", HYBRID), {"protocols": SslProtocols.Tls12}, False),
            (both, (HYBRID, "x25519"), {"protocols": SslProtocols.Tls12}, True),
            (both, ("brainpoolP256r1",), {"protocols": SslProtocols.Tls13}, False),
            (both, ("brainpoolP256r1", HYBRID), {"protocols": SslProtocols.Tls13}, True),
            (both, ("brainpoolP256r1",), {"cipherSuites": (STRONG_13,)}, False),
            (both, (HYBRID,), {"cipherSuites": ecdhe}, False),
            (both, (HYBRID,), {"cipherSuites": (*ecdhe, STRONG_13)}, True),
            (both, ("ffdhe2048",), {"cipherSuites": ecdhe}, False),
            (both, ("x25519",), {"cipherSuites": ecdhe}, True),
            ((forServer,), ("x25519",), {"cipherSuites": dhe}, False),
            # Whatever its groups: a server may choose another.
            ((forClient,), ("x25519",), {"cipherSuites": dhe}, True),
            (both, ("ffdhe2048",), {"cipherSuites": dhe}, True),
            (both, ("x25519",), {"cipherSuites": rsa}, True),
            (both, (HYBRID,), {"cipherSuites": rsa, "protocols": SslProtocols.Tls12}, True),
            (both, (HYBRID,), {"encryptionPolicy": EncryptionPolicy.NoEncryption}, False),
            ((forClient,), ("ffdhe2048",), {"protocols": SslProtocols.Tls12}, False),
            ((forServer,), ("ffdhe2048",), {"protocols": SslProtocols.Tls12}, True),
        ):
            for make in makers:
                parameters = make(keyExchangeGroups=names, **changes)
                if isPossible:
                    contextFor(parameters)
                    continue
                error = self.assertRaises(InvalidOperationError, contextFor, parameters)
                self.assertEqual(
                    str(error),
                    "the key exchange groups, the cipher suites and the enabled protocols "
                    "exclude each other",
                )
        error = self.assertRaises(
            InvalidOperationError,
            contextFor,
            forServer(
                keyExchangeGroups=("ffdhe2048",), encryptionPolicy=EncryptionPolicy.NoEncryption
            ),
        )
        self.assertEqual(
            str(error), "the encryption policy and the key exchange groups exclude each other"
        )

    def test_curvesOfCertificates(self) -> None:
        """
        In TLS 1.2 the groups are also the curves that certificates may be on: a
        server's by the client's choice, a client's by that of either.  In TLS
        1.3 they are not.
        """
        old, new = VERSIONS
        only = {"keyExchangeGroups": ["x25519"]}
        asks: dict[str, Any] = {"clientCertificateRequired": True, "serverCertificate": RSA_SERVER}
        shows = {"clientCertificateContext": CLIENT}
        for version, client, server, isPossible in (
            (old, only, {}, False),
            (old, {}, only, True),
            (old, {"keyExchangeGroups": ["x25519", "secp256r1"]}, {}, True),
            (old, only, {"serverCertificate": RSA_SERVER}, True),
            (old, shows, {**asks, **only}, False),
            (old, {**shows, "keyExchangeGroups": ["x25519", "secp256r1"]}, asks, True),
            (new, only, {}, True),
            (new, shows, {**asks, **only}, True),
            (new, {**shows, **only}, asks, True),
        ):
            sides = StreamPair().authenticate(version, client, server)
            if isPossible:
                for side in sides:
                    self.successResultOf(side)
            else:
                for side in sides:
                    self.failureResultOf(side, AuthenticationError)

    def test_ownCurve(self) -> None:
        """
        A client that can show its certificate in no enabled version, since its
        curve is none of the groups, is told at once.
        """
        for protocols, names, isPossible in (
            (SslProtocols.Tls12, ("x25519",), False),
            (SslProtocols.Tls12, ("x25519", "secp384r1"), False),
            (SslProtocols.Tls12, ("x25519", "secp256r1"), True),
            (SslProtocols.None_, ("x25519",), True),
            (SslProtocols.Tls13, ("x25519",), True),
        ):
            parameters = forClient(protocols=protocols, keyExchangeGroups=names, certificate=CLIENT)
            if isPossible:
                # The server may not ask.
                self.assertEqual(
                    versionsLeft(parameters), versionsLeft(forClient(protocols=protocols))
                )
            else:
                error = self.assertRaises(InvalidOperationError, contextFor, parameters)
                self.assertIn("the key of CN=client@example.com cannot sign", str(error))
            contextFor(replace(parameters, certificate=RSA_SERVER))
            contextFor(forServer(protocols=protocols, keyExchangeGroups=names))


def signaturesOffered(parameters: TlsParameters) -> list[int]:
    """
    @return: the numbers of the signature algorithms that a client really offers.
    """
    return codesOf(helloOf(parameters)[1][SIGNATURE_ALGORITHMS_EXTENSION])


#: The numbers of what RSA keys sign with, in either form.
PSS = frozenset({0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B})
PKCS1 = frozenset({0x0201, 0x0301, 0x0401, 0x0501, 0x0601})


class Signatures(SynchronousTestCase):
    """
    The algorithms that handshakes are signed with.
    """

    #: What works in TLS 1.2 and 1.3, and with which key.
    GOOD: tuple[tuple[str, SslStreamCertificateContext], ...] = (
        ("ecdsa_secp256r1_sha256", SERVER),
        ("rsa_pss_rsae_sha256", RSA_SERVER),
        ("rsa_pss_rsae_sha512", RSA_SERVER),
        ("ed25519", AUTHORITY.issue("localhost", key=ed25519.Ed25519PrivateKey.generate())),
        ("ed448", AUTHORITY.issue("localhost", key=ed448.Ed448PrivateKey.generate())),
    )

    def test_codes(self) -> None:
        """
        Each algorithm that this OpenSSL knows is offered by the number in the
        table, and in no version that does not have it.
        """
        count = 0
        for algorithm in SIGNATURE_ALGORITHMS:
            for version in VERSIONS:
                parameters = forClient(signatureAlgorithms=(algorithm.name,), protocols=version)
                try:
                    contextFor(parameters)
                except NotSupportedError:
                    continue
                except InvalidOperationError:
                    self.assertIsNone(algorithm.keyIn(version), (algorithm, version))
                    continue
                self.assertEqual(signaturesOffered(parameters), [algorithm.code])
                count += 1
        self.assertGreaterEqual(count, 20)

    def test_order(self) -> None:
        """
        They are offered in the order in which they were chosen.
        """
        names = ("ed25519", "rsa_pss_rsae_sha512", "ecdsa_secp256r1_sha256", "rsa_pkcs1_sha256")
        for version in VERSIONS:
            offered = signaturesOffered(forClient(signatureAlgorithms=names, protocols=version))
            self.assertEqual(offered, [signatureNamed(name).code for name in names])

    def test_default(self) -> None:
        """
        OpenSSL's default is found out once, by name; what has no name was
        reserved for DSA and SHA-224.
        """
        offered = signaturesOffered(forClient())
        found = [signatureNamed(name).code for name in _openssl._defaultSignatures()]
        self.assertGreater(len(found), 10)
        self.assertEqual(found, [code for code in offered if code in found])
        for code in set(offered) - set(found):
            self.assertTrue(code >> 8 == 3 or code & 0xFF == 2, hex(code))
        self.patch(_openssl, "takeOutput", None)
        self.assertEqual(len(_openssl._defaultSignatures()), len(found))

    def test_paddings(self) -> None:
        """
        A padding that is not allowed is not offered; the rest of the default
        is, in its order.
        """
        everything = [signatureNamed(name).code for name in _openssl._defaultSignatures()]
        # The tests say something about this OpenSSL.
        self.assertEqual(PSS - set(everything), set())
        self.assertLess(PKCS1 - set(everything), PKCS1)
        for changes, without in (
            ({"allowRsaPssPadding": False}, PSS),
            ({"allowRsaPkcs1Padding": False}, PKCS1),
            ({"allowRsaPssPadding": False, "allowRsaPkcs1Padding": False}, PSS | PKCS1),
        ):
            self.assertEqual(
                signaturesOffered(forClient(**changes)),
                [code for code in everything if code not in without],
            )
            names = ("rsa_pkcs1_sha256", "ed25519", "rsa_pss_rsae_sha256", "rsa_pss_pss_sha384")
            self.assertEqual(
                signaturesOffered(forClient(signatureAlgorithms=names, **changes)),
                [
                    code
                    for code in (signatureNamed(name).code for name in names)
                    if code not in without
                ],
            )

    def test_paddingsOfRequest(self) -> None:
        """
        A server that allows one padding only asks clients for that.
        """
        for version in VERSIONS:
            for changes, isPossible in (
                ({"allowRsaPkcs1Padding": False}, True),
                ({"allowRsaPssPadding": False}, version is SslProtocols.Tls12),
                ({"allowRsaPssPadding": False, "allowRsaPkcs1Padding": False}, False),
            ):
                sides = StreamPair().authenticate(
                    version,
                    {"clientCertificateContext": RSA_SERVER},
                    {"clientCertificateRequired": True, **changes},
                )
                if isPossible:
                    for side in sides:
                        self.successResultOf(side)
                else:
                    error = self.failureResultOf(sides[1], AuthenticationError).value
                    self.assertEqual(
                        error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNotAvailable
                    )
                    sides[0].addErrback(lambda _: None)

    def test_used(self) -> None:
        """
        Each algorithm alone is enough for a handshake, chosen by either side.
        """
        for version in VERSIONS:
            for name, certificate in self.GOOD:
                chosen = {"signatureAlgorithms": name}
                server = {"serverCertificate": certificate}
                for sides in (
                    StreamPair().authenticate(version, chosen, server),
                    StreamPair().authenticate(version, {}, {**server, **chosen}),
                    StreamPair().authenticate(version, chosen, {**server, **chosen}),
                ):
                    for side in sides:
                        self.successResultOf(side)

    def test_clientsUsed(self) -> None:
        """
        The same for a client's certificate.
        """
        for version in VERSIONS:
            for name, certificate in self.GOOD:
                # The server signs, too.
                names = [name, "ecdsa_secp256r1_sha256"]
                chosen = {"signatureAlgorithms": names}
                for shows in (
                    {"clientCertificateContext": certificate},
                    {"clientCertificates": [certificate]},
                ):
                    for client, server in ((chosen, {}), ({}, chosen), (chosen, chosen)):
                        pair = StreamPair()
                        for side in pair.authenticate(
                            version,
                            {**shows, **client},
                            {"clientCertificateRequired": True, **server},
                        ):
                            self.successResultOf(side)
                        self.assertEqual(pair.server.remoteCertificate, certificate.certificate)

    def test_nothingInCommon(self) -> None:
        """
        Without a common algorithm there is no connection.
        """
        for version in VERSIONS:
            for ours, certificate, theirs in (
                (["rsa_pss_rsae_sha256"], SERVER, []),
                (["ecdsa_secp256r1_sha256"], RSA_SERVER, []),
                (["rsa_pss_rsae_sha256"], RSA_SERVER, ["rsa_pss_rsae_sha384"]),
            ):
                client, server = StreamPair().authenticate(
                    version,
                    {"signatureAlgorithms": ours},
                    {"signatureAlgorithms": theirs, "serverCertificate": certificate},
                )
                refusal = self.failureResultOf(server, AuthenticationError).value
                self.assertEqual(refusal.alertSent, TlsAlert.handshake_failure)
                told = self.failureResultOf(client, AuthenticationError).value
                self.assertEqual(told.alert, TlsAlert.handshake_failure)

    def test_choice(self) -> None:
        """
        Of several certificates a client shows one that it may sign with; if
        there is none, none.
        """
        new = SslProtocols.Tls13
        old = SslProtocols.Tls12
        for version, changes, shown in (
            (new, {}, RSA_SERVER),
            (new, {"allowRsaPssPadding": False}, CLIENT),
            (old, {"allowRsaPssPadding": False}, RSA_SERVER),
            (
                new,
                {"signatureAlgorithms": ["rsa_pkcs1_sha256", "ecdsa_secp256r1_sha256"]},
                CLIENT,
            ),
            (
                old,
                {"signatureAlgorithms": ["rsa_pkcs1_sha256", "ecdsa_secp256r1_sha256"]},
                RSA_SERVER,
            ),
        ):
            pair = StreamPair()
            for side in pair.authenticate(
                client={
                    "clientCertificates": [RSA_SERVER, CLIENT],
                    # The context has to fit both.
                    "enabledSslProtocols": old | new,
                    **changes,
                },
                server={"clientCertificateRequired": True, "enabledSslProtocols": version},
            ):
                self.successResultOf(side)
            self.assertEqual(pair.server.remoteCertificate, shown.certificate)
        pair = StreamPair()
        client, server = pair.authenticate(
            client={"clientCertificates": [RSA_SERVER], "allowRsaPssPadding": False},
            server={"clientCertificateRequired": True, "enabledSslProtocols": new},
        )
        error = self.failureResultOf(server, AuthenticationError).value
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNotAvailable)
        self.assertEqual(error.alertSent, TlsAlert.certificate_required)
        # It has finished before that.
        self.successResultOf(client)

    def test_versionsLeft(self) -> None:
        """
        A version is not negotiated if none of the algorithms is for it, or if a
        server's key makes none of them there.
        """
        old, new = VERSIONS
        for make, changes, left in (
            (forClient, {"signatureAlgorithms": ("rsa_pkcs1_sha256",)}, {old}),
            (forClient, {"signatureAlgorithms": ("mldsa65",)}, {new}),
            (forClient, {"signatureAlgorithms": ("rsa_pkcs1_sha256", "ed25519")}, {old, new}),
            (forClient, {"allowRsaPssPadding": False}, {old, new}),
            (forClient, {"allowRsaPssPadding": False, "certificate": RSA_SERVER}, {old, new}),
            (forServer, {"allowRsaPssPadding": False, "certificate": RSA_SERVER}, {old}),
            (forServer, {"allowRsaPkcs1Padding": False, "certificate": RSA_SERVER}, {old, new}),
            (forServer, {"allowRsaPssPadding": False}, {old, new}),
            (forServer, {"allowRsaPssPadding": False, "allowRsaPkcs1Padding": False}, {old, new}),
            (forServer, {"allowRsaPssPadding": False, "certificate": None}, {old, new}),
            (forServer, {"signatureAlgorithms": ("ecdsa_secp384r1_sha384",)}, {old}),
            (forServer, {"signatureAlgorithms": ("ecdsa_secp256r1_sha256",)}, {old, new}),
        ):
            self.assertEqual(versionsLeft(make(**changes)), left, changes)

    def test_clashes(self) -> None:
        """
        Algorithms that do not go with the versions are told at once.
        """
        old, new = VERSIONS
        fixed = "before TLS 1.2 signatures are made with MD5, SHA-1 and PKCS #1, whatever is chosen"
        exclude = "the signature algorithms and the enabled protocols exclude each other"
        for changes, words in (
            ({"signatureAlgorithms": ("rsa_pkcs1_sha256",), "protocols": new}, exclude),
            ({"signatureAlgorithms": ("rsa_pkcs1_sha1", "ecdsa_sha1"), "protocols": new}, exclude),
            ({"signatureAlgorithms": ("mldsa65",), "protocols": old}, exclude),
            (
                {"signatureAlgorithms": ("rsa_pss_rsae_sha256",), "allowRsaPssPadding": False},
                exclude,
            ),
            (
                {"signatureAlgorithms": ("rsa_pkcs1_sha256",), "allowRsaPkcs1Padding": False},
                exclude,
            ),
            ({"signatureAlgorithms": ("rsa_pkcs1_sha256",), "protocols": LAX}, fixed),
            ({"allowRsaPkcs1Padding": False, "protocols": LAX}, fixed),
            ({"signatureAlgorithms": ("ecdsa_sha1",), "protocols": SslProtocols.Tls}, fixed),
            ({"allowRsaPssPadding": False, "protocols": LAX}, None),
            ({"allowRsaPssPadding": False, "protocols": SslProtocols.Tls11}, None),
        ):
            for make in (forClient, forServer):
                parameters = make(**changes)
                if words is None:
                    contextFor(parameters)
                    continue
                error = self.assertRaises(InvalidOperationError, contextFor, parameters)
                self.assertEqual(str(error), words)

    def test_ownKey(self) -> None:
        """
        A certificate whose key can sign in no enabled version is told at once,
        a client's as a server's.
        """
        old, new = VERSIONS
        both = {"allowRsaPssPadding": False, "allowRsaPkcs1Padding": False}
        for certificate, changes, isPossible in (
            (RSA_SERVER, both, False),
            (SERVER, both, True),
            (RSA_SERVER, {"allowRsaPssPadding": False, "protocols": new}, False),
            (RSA_SERVER, {"allowRsaPssPadding": False, "protocols": old}, True),
            (RSA_SERVER, {"allowRsaPssPadding": False}, True),
            (RSA_SERVER, {"allowRsaPkcs1Padding": False, "protocols": new}, True),
            (RSA_SERVER, {"signatureAlgorithms": ("ecdsa_secp256r1_sha256", "ed25519")}, False),
            (SERVER, {"signatureAlgorithms": ("rsa_pss_rsae_sha256", "ed25519")}, False),
            (SERVER, {"signatureAlgorithms": ("ecdsa_secp384r1_sha384",)}, True),
            (SERVER, {"signatureAlgorithms": ("ecdsa_secp384r1_sha384",), "protocols": new}, False),
            # They are for keys that cannot do anything else.
            (RSA_SERVER, {"signatureAlgorithms": ("rsa_pss_pss_sha256",)}, False),
        ):
            for isServer in (False, True):
                parameters = TlsParameters(isServer=isServer, certificate=certificate, **changes)
                if isPossible:
                    contextFor(parameters)
                    continue
                error = self.assertRaises(InvalidOperationError, contextFor, parameters)
                self.assertEqual(
                    str(error),
                    "the key of CN=localhost cannot sign with the signature algorithms, the key "
                    "exchange groups and the enabled protocols that are allowed",
                )

    def test_chosenLater(self) -> None:
        """
        A certificate that a callback chooses has to go with the algorithms as
        well; if it does not, that side refuses and says why.
        """
        words = "the key of CN=localhost cannot sign"
        restricted: dict[str, Any] = {"signatureAlgorithms": ["ecdsa_secp256r1_sha256"]}
        for version in VERSIONS:
            client, server = StreamPair().authenticate(
                version,
                server={
                    "serverCertificateSelectionCallback": lambda *_: RSA_SERVER,
                    **restricted,
                },
            )
            refusal = self.failureResultOf(server, AuthenticationError).value
            told = self.failureResultOf(client, AuthenticationError).value
            self.assertIsInstance(refusal.__cause__, InvalidOperationError)
            self.assertIn(words, str(refusal))
            self.assertEqual(told.alert, TlsAlert.internal_error)
            client, server = StreamPair().authenticate(
                version,
                {"localCertificateSelectionCallback": lambda *_: RSA_SERVER, **restricted},
                {"clientCertificateRequired": True},
            )
            refusal = self.failureResultOf(client, AuthenticationError).value
            self.assertIsInstance(refusal.__cause__, InvalidOperationError)
            self.assertIn(words, str(refusal))
            self.failureResultOf(server, AuthenticationError)

    def test_unknown(self) -> None:
        """
        An algorithm that this OpenSSL does not have is told at once, by name.
        """
        exotic = SignatureAlgorithm("falcon512", 0xFE0B, "", "")
        self.patch(
            _openssl,
            "signatureNamed",
            lambda name: exotic if name == exotic.name else signatureNamed(name),
        )
        for make in (forClient, forServer):
            parameters = make(signatureAlgorithms=("ecdsa_secp256r1_sha256", "falcon512"))
            error = self.assertRaises(NotSupportedError, contextFor, parameters)
            self.assertEqual(str(error), "this OpenSSL does not know falcon512")
            self.assertEqual(_openssl._drainErrors(), [])

    def test_securityLevel(self) -> None:
        """
        Whoever names SHA-1 gets it, at the price of OpenSSL's demands on keys;
        nothing else that is chosen has that price.
        """
        sha1 = ("rsa_pkcs1_sha1", "rsa_pkcs1_sha256")
        parameters = forClient(signatureAlgorithms=sha1, protocols=SslProtocols.Tls12)
        self.assertEqual(signaturesOffered(parameters), [0x0201, 0x0401])
        contextFor(forServer(certificate=weakServer(), signatureAlgorithms=sha1))
        for changes in (
            {"signatureAlgorithms": sha1[1:]},
            {"allowRsaPssPadding": False},
            {"keyExchangeGroups": ("x25519",)},
        ):
            strict = forServer(certificate=weakServer(), **changes)
            error = self.assertRaises(CertificateError, contextFor, strict)
            self.assertIn("ee key too small", str(error))

    def test_unusableKey(self) -> None:
        """
        A key of a kind that OpenSSL's bindings do not know is refused by name.
        """
        certificate = AUTHORITY.issue("localhost", key=mldsa.MLDSA65PrivateKey.generate())
        for make in (forClient, forServer):
            error = self.assertRaises(CertificateError, contextFor, make(certificate=certificate))
            self.assertEqual(str(error), "OpenSSL refuses CN=localhost: Unsupported key type")


def versionsLeft(parameters: TlsParameters) -> set[SslProtocols]:
    """
    @return: which of TLS 1.2 and 1.3 somebody with these parameters negotiates.
    """
    if parameters.isServer:
        left = set()
        for version in VERSIONS:
            client = TlsEngine(forClient(protocols=version), Answers())
            shake(client, TlsEngine(parameters, Answers()))
            if client.alertReceived is not TlsAlert.protocol_version:
                left.add(version)
        return left
    # Without TLS 1.3 there is no such extension (RFC 8446 section 4.2.1).
    _, extensions = helloOf(parameters)
    content = extensions.get(SUPPORTED_VERSIONS, b"\2\3\3")
    return {
        version
        for version, code in zip(VERSIONS, (b"\3\3", b"\3\4"), strict=True)
        if code in (content[at : at + 2] for at in range(1, len(content), 2))
    }


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


def certificateDER() -> bytes:
    """
    The encoded certificate of L{SERVER}.
    """
    return SERVER.certificate.public_bytes(Encoding.DER)


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
            self.assertEqual((client.reasons, server.reasons), ((), ()))

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

    def test_heeded(self) -> None:
        """
        What OpenSSL itself thinks of a server's certificate matters, but for the
        one call in which the server is accepted: it does before, behind, and as
        soon as the server is refused.  Of a client's it always does.
        """
        modes: list[int] = []
        heeded: list[bool] = []
        heed = TlsEngine._heedOpenSSL

        def note(engine: TlsEngine, isHeeded: bool) -> None:
            heeded.append(isHeeded)
            heed(engine, isHeeded)

        self.patch(TlsEngine, "_heedOpenSSL", note)
        for version in VERSIONS:
            heeded.clear()
            client, server = self.engines(version)
            clientSsl = client.connection._ssl
            self.assertEqual(lib.SSL_get_verify_mode(clientSsl), SSL.VERIFY_PEER)
            self.assertEqual(shake(client, server), (Step.complete, Step.complete))
            self.assertEqual(heeded, [False, True])
            self.assertEqual(lib.SSL_get_verify_mode(clientSsl), SSL.VERIFY_PEER)
            client._verdict = lib.X509_V_OK
            client._heedOpenSSL(False)
            client._noteBeginning()
            self.assertEqual(lib.SSL_get_verify_mode(clientSsl), SSL.VERIFY_PEER)
            client._heedOpenSSL(False)
            client._verdict = lib.X509_V_ERR_CERT_REVOKED
            context = lib.X509_STORE_CTX_new()
            self.assertEqual(client._verify(context), 0)
            self.assertEqual(lib.X509_STORE_CTX_get_error(context), lib.X509_V_ERR_CERT_REVOKED)
            lib.X509_STORE_CTX_free(context)
            self.assertEqual(lib.SSL_get_verify_mode(clientSsl), SSL.VERIFY_PEER)
            client, server = self.engines(
                version,
                clientChanges={"certificate": CLIENT},
                serverChanges={"asksForCertificate": True},
            )
            serverSsl = server.connection._ssl
            modes.append(lib.SSL_get_verify_mode(serverSsl))
            self.assertEqual(shake(client, server), (Step.complete, Step.complete))
            modes.append(lib.SSL_get_verify_mode(serverSsl))
        self.assertEqual(modes, [SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE] * 4)

    def test_later(self) -> None:
        """
        Once the handshake is over, a ticket is news to a client and data is not,
        be it in the same call; nothing of that is work for nothing, or another
        handshake.
        """
        resumes = {"resumes": True}
        client, server = self.engines(
            SslProtocols.Tls13, clientChanges=resumes, serverChanges=resumes
        )
        self.assertEqual(shake(client, server), (Step.complete, Step.complete))
        for engine in (client, server):
            self.assertEqual(engine.opening[:2], b"\x16\x03")
            engine.release()
            self.assertEqual(engine.opening, b"")
        heard: list[bool] = []
        for _ in range(2):
            output, *_ = _openssl.send(server.connection, b"data")
            client.feed(output)
            self.assertEqual(_openssl.receive(client.connection)[0], b"data")
            heard.append(client.hasNews)
            client.hasNews = False
        self.assertEqual(heard, [True, False])
        output, *_ = _openssl.send(client.connection, b"data")
        server.feed(output)
        self.assertEqual(_openssl.receive(server.connection)[0], b"data")
        for engine in (client, server):
            self.assertEqual((engine.hasNews, engine.idleMessages), (False, 0))
            self.assertFalse(engine.isRenegotiating)

    def test_another(self) -> None:
        """
        Another handshake is noted as it begins, and by none but those whom it
        concerns.
        """
        client, server = self.engines(
            SslProtocols.Tls12,
            clientChanges={"renegotiates": True},
            serverChanges={"renegotiates": True},
        )
        others = self.engines(SslProtocols.Tls12)
        for one, other in ((client, server), others):
            self.assertEqual(shake(one, other), (Step.complete, Step.complete))
            one.release()
            other.release()
        noted = [engine.isRenegotiating for engine in (client, server, *others)]
        self.assertEqual(noted, [False] * 4)
        self.assertEqual(_openssl.beginHandshake(client.connection), [])
        self.assertEqual((client.isRenegotiating, server.isRenegotiating), (True, False))
        server.decisions = Answers()
        server.feed(_openssl.takeOutput(client.connection))
        self.assertEqual(_openssl.receive(server.connection), (b"", Received.starved, ""))
        self.assertTrue(server.isRenegotiating)
        self.assertEqual([each.isRenegotiating for each in others], [False] * 2)

    def test_parsedOnce(self) -> None:
        """
        Who comes again shows the same objects; what is large is not kept, and
        says so.
        """

        def shown() -> Presented:
            return presentedOf((bytes(bytearray(certificateDER())), b"nonsense"))

        one, other = shown(), shown()
        self.assertIs(one.certificates, other.certificates)
        self.assertEqual(one, Presented((SERVER.certificate,)))
        self.assertTrue(one.isSmall)
        inOther = presentedOf((certificateDER(), certificateDER())).certificates
        self.assertIs(inOther[0], one.certificates[0])
        self.patch(crossing, "_SMALL_CHAIN_BYTES", 10)
        large = shown()
        self.assertFalse(large.isSmall)
        self.assertIsNot(large.certificates, one.certificates)
        self.assertIs(large.certificates[0], one.certificates[0])
        self.patch(crossing, "_SMALL_BYTES", 10)
        self.assertIsNot(shown().certificates[0], one.certificates[0])
        self.assertRaises(ValueError, presentedOf, (b"nonsense", certificateDER()))

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

    def test_presentedAnotherList(self) -> None:
        """
        The same goes for a client, if the server's list were not the one that
        begins with that certificate.
        """
        others = self.engines(
            SslProtocols.Tls13, serverChanges={"certificate": AUTHORITY.issue("other")}
        )
        self.assertEqual(shake(*others), (Step.complete, Step.complete))
        stack = lib.SSL_get_peer_cert_chain(others[0].connection._ssl)

        class Lib:
            """
            OpenSSL, but for that.
            """

            def __getattr__(self, name: str) -> Any:
                return getattr(lib, name)

            def SSL_get_peer_cert_chain(self, _: Any) -> Any:
                return stack

        for isOther in (False, True):
            if isOther:
                self.patch(_openssl, "lib", Lib())
            for version in VERSIONS:
                answers = Answers()
                client, server = self.engines(version, answers)
                steps = shake(client, server)
                self.assertIs(steps[0], Step.failed if isOther else Step.complete)
                self.assertEqual(len(answers.presented), not isOther)
                self.assertIs(client.isPeerUnreadable, isOther)

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
                server.connection.set_context(
                    foreignContext(damage(SERVER.certificate, AUTHORITY.key))
                )
                self.assertEqual(shake(client, server), (Step.failed, Step.failed))
                self.assertEqual(answers.presented, [])
                self.assertTrue(client.isPeerUnreadable)
                self.assertEqual(client.alertSent, TlsAlert.bad_certificate)
                client, server = self.engines(version, answers)
                good = SERVER.certificate.public_bytes(Encoding.DER)
                server.connection.set_context(
                    foreignContext(good, damage(CLIENT.certificate, AUTHORITY.key))
                )
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


class _Wrapper:
    """
    Stands in front of a connection, and notes what is asked of it.
    """

    def __init__(self, connection: SSL.Connection) -> None:
        self._wrapped = connection
        self.calls: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.calls.add(name)
        return getattr(self._wrapped, name)


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
        return client, server

    def test_settled(self) -> None:
        """
        A server whose certificate is settled shows it and asks nobody; others ask.
        """
        for version in VERSIONS:
            for isSettled, times in ((True, 0), (False, 1)):
                client = TlsEngine(forClient(protocols=version), Answers())
                answers = Answers()
                server = TlsEngine(forServer(protocols=version), answers, isSettled=isSettled)
                self.assertEqual(shake(client, server), (Step.complete, Step.complete))
                self.assertEqual(client.peerCertificate(), SERVER.certificate)
                self.assertEqual(answers.timesWanted, times)

    def sent(self, connection: SSL.Connection, data: bytes | memoryview) -> bytes:
        """
        Send successfully.
        """
        output, isSent, reasons = _openssl.send(connection, data)
        self.assertEqual((isSent, reasons), (True, ""))
        return output

    def test_data(self) -> None:
        """
        What is sent is received, whether less than a record, many records, or
        more than one call takes.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            for size in (1, 1 << 14, 1 << 16):
                data = os.urandom(size)
                for given in (data, memoryview(data)):
                    records = self.sent(client, given)
                    self.assertEqual(
                        _openssl.receive(server, records), (data, Received.starved, "")
                    )
            pieces = [os.urandom(1 << 16) for _ in range(6)]
            records = b"".join([self.sent(client, piece) for piece in pieces])
            self.assertEqual(
                _openssl.receive(server, records), (b"".join(pieces), Received.starved, "")
            )
            self.assertEqual(_openssl.takeOutput(client), b"")

    def test_partialRecord(self) -> None:
        """
        A record counts when it is complete.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            record = self.sent(client, b"one")
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
            words = self.sent(client, b"last words")
            self.assertFalse(_openssl.sendCloseNotify(client))
            server.bio_write(words + _openssl.takeOutput(client) + b"in the clear")
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
            whole = self.sent(client, b"one")
            record = bytearray(self.sent(client, b"two"))
            record[-1] ^= 1
            server.bio_write(whole + bytes(record))
            data, why, reasons = _openssl.receive(server)
            self.assertEqual((data, why), (b"one", Received.broken))
            self.assertIn("bad record mac", reasons)
            self.assertEqual(self.engines[1].alertSent, TlsAlert.bad_record_mac)
            client.bio_write(_openssl.takeOutput(server))
            self.assertIs(_openssl.receive(client)[1], Received.broken)
            self.assertEqual(self.engines[0].alertReceived, TlsAlert.bad_record_mac)
            output, isSent, reasons = _openssl.send(server, b"x")
            self.assertEqual((output, isSent), (b"", False))
            self.assertNotEqual(reasons, "")

    def test_early(self) -> None:
        """
        What is to be sent before the handshake's end waits for it.
        """
        engine = TlsEngine(forClient(), Answers())
        self.assertEqual(_openssl.send(engine.connection, b"x"), (b"", False, ""))

    def test_offered(self) -> None:
        """
        Whoever is offered what is encrypted gets it first; only what it does
        not take is left, in order.
        """
        client, server = self.connected(SslProtocols.Tls13)
        data = os.urandom(1 << 16)
        for share in (0.0, 0.3, 1.0):
            offered: list[bytes] = []

            def take(view: memoryview, share: float = share, offered: Any = offered) -> int:
                offered.append(bytes(view[: int(len(view) * share)]))
                return len(offered[-1])

            rest, isSent, _ = _openssl.send(client, data, take)
            self.assertTrue(isSent)
            self.assertEqual(len(offered), 1)
            self.assertEqual(len(rest) == 0, share == 1)
            self.assertEqual(_openssl.receive(server, offered[0] + rest)[0], data)

    def test_scratchIsShared(self) -> None:
        """
        What one call has returned stays as it is when others go on.
        """
        client, server = self.connected(SslProtocols.Tls13)
        first = self.sent(client, b"a" * 40000)
        copy = bytes(bytearray(first))
        second = self.sent(client, b"b" * 40000)
        self.assertEqual(first, copy)
        one = _openssl.receive(server, first)[0]
        two = _openssl.receive(server, second)[0]
        self.assertEqual((one, two), (b"a" * 40000, b"b" * 40000))

    def test_renewed(self) -> None:
        """
        Buffers are renewed when nothing is in them, also in the middle of a
        record, and never while something is.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            record = self.sent(client, b"one")
            self.assertEqual(_openssl.receive(server, record[:9])[0], b"")
            before = server._into_ssl, server._from_ssl
            server.bio_write(record[9:])
            _openssl.renewBuffers(server)
            self.assertEqual((server._into_ssl, server._from_ssl), before)
            self.assertEqual(_openssl.receive(server)[0], b"one")
            record = self.sent(client, b"two")
            self.assertEqual(_openssl.receive(server, record[:9])[0], b"")
            _openssl.renewBuffers(server)
            self.assertNotEqual(server._into_ssl, before[0])
            self.assertNotEqual(server._from_ssl, before[1])
            self.assertEqual(_openssl.receive(server, record[9:])[0], b"two")
            self.assertEqual(_openssl.receive(client, self.sent(server, b"three"))[0], b"three")

    def test_grown(self) -> None:
        """
        The peer hears nothing of what makes buffers grow or keeps them, and what
        waits for it meanwhile stays as it is.
        """
        for version in VERSIONS:
            client, server = self.connected(version)
            client.send(b"one")
            for connection in (client, server):
                _openssl.growOutput(connection)
                _openssl.keepBuffer(connection)
            record = _openssl.takeOutput(client)
            self.assertEqual(_openssl.receive(server, record)[0], b"one")
            self.assertEqual(_openssl.takeOutput(server), b"")
            record = self.sent(server, b"two")
            client.bio_write(record[:9])
            _openssl.renewBuffers(client, isKept=True)
            client.bio_write(record[9:])
            _openssl.renewBuffers(client, isKept=True)
            self.assertEqual(_openssl.receive(client)[0], b"two")

    def test_notRenewedInside(self) -> None:
        """
        Nor are they while OpenSSL waits for a decision about the connection.
        """
        held: list[bool] = []

        class Meddler(Answers):
            def peerPresented(self, presented: Presented) -> TlsAlert | None:
                connection = engines[0].connection
                before = connection._into_ssl
                _openssl.renewBuffers(connection)
                held.append(connection._into_ssl == before)
                return super().peerPresented(presented)

        engines = (TlsEngine(forClient(), Meddler()), TlsEngine(forServer(), Answers()))
        client, server = engines
        client.handshake()
        server.feed(client.output())
        server.handshake()
        for octet in server.output():
            # One by one, so that nothing else keeps them from being renewed.
            client.feed(bytes((octet,)))
            client.handshake()
        self.assertEqual(held, [True])
        client.output()
        before = engines[0].connection._into_ssl
        _openssl.renewBuffers(engines[0].connection)
        self.assertNotEqual(engines[0].connection._into_ssl, before)

    def replaced(self, version: SslProtocols) -> tuple[Any, Any]:
        """
        As L{connected}, with something in front of them.
        """
        client, server = self.connected(version)
        return _Wrapper(client), _Wrapper(server)

    def test_replaced(self) -> None:
        """
        A connection that is not pyOpenSSL's own, such as one that somebody has
        wrapped, is used by its public methods only, with the same outcomes.
        """
        for version in VERSIONS:
            client, server = self.replaced(version)
            self.assertEqual(
                _openssl.receive(server, self.sent(client, b"one" * 9999)),
                (b"one" * 9999, Received.starved, ""),
            )
            self.assertEqual(_openssl.receive(server), (b"", Received.starved, ""))
            _openssl.keepBuffer(server)
            _openssl.growOutput(server)
            _openssl.renewBuffers(server, isKept=True)
            self.assertEqual(_openssl.takeOutput(client), b"")
            record = bytearray(self.sent(client, memoryview(b"two")))
            record[-1] ^= 1
            data, why, reasons = _openssl.receive(server, bytes(record))
            self.assertEqual((data, why), (b"", Received.broken))
            self.assertIn("bad record mac", reasons)
            self.assertEqual(server.calls & {"_ssl", "_into_ssl", "_from_ssl"}, set())
            self.assertLessEqual({"recv", "bio_write"}, server.calls)
            client, server = self.replaced(version)
            server.shutdown()
            self.assertIs(_openssl.receive(client, _openssl.takeOutput(server))[1], Received.ended)
        early: Any = _Wrapper(TlsEngine(forClient(), Answers()).connection)
        self.assertEqual(_openssl.send(early, b"x")[1:], (False, ""))

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
            theirs = certificatesOf(client)
            self.assertEqual((theirs.isServer, theirs.local), (False, None))
            self.assertEqual(theirs.remote, SERVER.certificate)
            self.assertEqual(theirs.verified, (SERVER.certificate, AUTHORITY.certificate))
            ours = certificatesOf(server)
            self.assertEqual(
                (ours.isServer, ours.local, ours.remote, ours.verified),
                (True, SERVER.certificate, None, ()),
            )
