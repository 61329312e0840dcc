"""
What a connection says about its own security: the values, when they can be
read, and the report.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from txsslstream import (
    AuthenticationError,
    CipherAlgorithmType,
    CipherSuitesPolicy,
    EncryptionPolicy,
    ExchangeAlgorithmType,
    HandshakeTimeout,
    HashAlgorithmType,
    InvalidOperationError,
    ISslStream,
    SecurityInfo,
    SslApplicationProtocol,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamFactory,
    TlsAlert,
    TlsCipherSuite,
    X509ChainStatusFlags,
    X509RevocationMode,
)
from txsslstream.testing import DAY, NOW, Bystander, StreamPair, Wire, onlySuite, perVersion, rsaKey

RSA_SERVER = AUTHORITY.issue("localhost", key=rsaKey())

#: The booleans and texts that can be read at any time.
ALWAYS = (
    "isAuthenticated",
    "isMutuallyAuthenticated",
    "isEncrypted",
    "isSigned",
    "isServer",
    "canRead",
    "canWrite",
    "canSeek",
    "canTimeout",
    "leaveInnerStreamOpen",
    "checkCertRevocationStatus",
    "targetHostName",
)
CERTIFICATES = ("localCertificate", "remoteCertificate", "remoteChain")
NEGOTIATED = (
    "sslProtocol",
    "negotiatedCipherSuite",
    "negotiatedApplicationProtocol",
    "cipherAlgorithm",
    "cipherStrength",
    "hashAlgorithm",
    "hashStrength",
    "keyExchangeAlgorithm",
    "keyExchangeStrength",
    "keyExchangeGroup",
    "isResumed",
)

_Cipher, _Hash, _Exchange = CipherAlgorithmType, HashAlgorithmType, ExchangeAlgorithmType

#: What a suite must report, but for the key exchange's size: the cipher and its
#: bits, the hash and its bits, the key exchange, and whether it encrypts.
_Facts = tuple[CipherAlgorithmType, int, HashAlgorithmType, int, ExchangeAlgorithmType, bool]


def _facts(
    cipher: CipherAlgorithmType,
    bits: int,
    digest: HashAlgorithmType,
    macBits: int,
    exchange: ExchangeAlgorithmType = _Exchange.DiffieHellman,
) -> _Facts:
    return (cipher, bits, digest, macBits, exchange, cipher is not _Cipher.Null)


SUITES_OF_TLS_1_2: dict[str, _Facts] = {
    "ECDHE_RSA_WITH_AES_128_GCM_SHA256": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 0),
    "ECDHE_RSA_WITH_AES_256_GCM_SHA384": _facts(_Cipher.Aes256, 256, _Hash.Sha384, 0),
    "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": _facts(_Cipher.None_, 256, _Hash.Sha256, 0),
    "ECDHE_RSA_WITH_AES_128_CBC_SHA": _facts(_Cipher.Aes128, 128, _Hash.Sha1, 160),
    "ECDHE_RSA_WITH_AES_256_CBC_SHA384": _facts(_Cipher.Aes256, 256, _Hash.Sha384, 384),
    "ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384": _facts(_Cipher.None_, 256, _Hash.Sha384, 384),
    "ECDHE_RSA_WITH_ARIA_128_GCM_SHA256": _facts(_Cipher.None_, 128, _Hash.Sha256, 0),
    "ECDHE_RSA_WITH_NULL_SHA": _facts(_Cipher.Null, 0, _Hash.Sha1, 160),
    "DHE_RSA_WITH_AES_128_CBC_SHA256": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 256),
    "DHE_RSA_WITH_AES_256_GCM_SHA384": _facts(_Cipher.Aes256, 256, _Hash.Sha384, 0),
    "DHE_RSA_WITH_AES_128_CCM": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 0),
    "DHE_RSA_WITH_AES_256_CCM_8": _facts(_Cipher.Aes256, 256, _Hash.Sha256, 0),
    "DHE_RSA_WITH_CHACHA20_POLY1305_SHA256": _facts(_Cipher.None_, 256, _Hash.Sha256, 0),
    "RSA_WITH_AES_128_CBC_SHA": _facts(_Cipher.Aes128, 128, _Hash.Sha1, 160, _Exchange.RsaKeyX),
    "RSA_WITH_AES_256_GCM_SHA384": _facts(_Cipher.Aes256, 256, _Hash.Sha384, 0, _Exchange.RsaKeyX),
    "RSA_WITH_AES_128_CCM_8": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 0, _Exchange.RsaKeyX),
    "RSA_WITH_NULL_MD5": _facts(_Cipher.Null, 0, _Hash.Md5, 128, _Exchange.RsaKeyX),
}
SUITES_OF_TLS_1_3: dict[str, _Facts] = {
    "AES_128_GCM_SHA256": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 0),
    "AES_256_GCM_SHA384": _facts(_Cipher.Aes256, 256, _Hash.Sha384, 0),
    "CHACHA20_POLY1305_SHA256": _facts(_Cipher.None_, 256, _Hash.Sha256, 0),
    "AES_128_CCM_SHA256": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 0),
    "AES_128_CCM_8_SHA256": _facts(_Cipher.Aes128, 128, _Hash.Sha256, 0),
}

#: The groups that OpenSSL agrees on unless it is told otherwise, with their
#: sizes; first those that TLS 1.2 has, too.
COMMON_GROUPS = {"x25519": 255, "secp256r1": 256, "x448": 448, "secp384r1": 384, "secp521r1": 521}
DEFAULT_GROUPS = {**COMMON_GROUPS, "X25519MLKEM768": 255, "ffdhe2048": 2048, "ffdhe3072": 3072}

#: All others that it knows in TLS 1.3.
OTHER_GROUPS = {
    "ffdhe4096": 4096,
    "ffdhe6144": 6144,
    "ffdhe8192": 8192,
    "brainpoolP256r1tls13": 256,
    "brainpoolP384r1tls13": 384,
    "brainpoolP512r1tls13": 512,
    "SecP256r1MLKEM768": 256,
    "SecP384r1MLKEM1024": 384,
    "curveSM2": 256,
    "curveSM2MLKEM768": 256,
    "MLKEM512": 512,
    "MLKEM768": 768,
    "MLKEM1024": 1024,
}


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class OpenSSLPeer:
    """
    A peer with settings that our options do not offer.
    """

    def __init__(self, groups: str, version: SslProtocols, suites: bytes = b"ALL") -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        number = SSL.TLS1_3_VERSION if version is SslProtocols.Tls13 else SSL.TLS1_2_VERSION
        self.context.set_min_proto_version(number)
        self.context.set_max_proto_version(number)
        self.context.set_cipher_list(suites + b":!aNULL:@SECLEVEL=0")
        self.context.use_certificate(RSA_SERVER.certificate)
        self.context.use_privatekey(rsaKey())
        assert lib.SSL_CTX_set1_curves_list(self.context._context, groups.encode()) == 1, groups

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """
        As a client.
        """
        return SSL.Connection(self.context, None)

    serverConnectionForTLS = clientConnectionForTLS


def foreign(wire: Wire, peer: OpenSSLPeer, isClient: bool) -> Any:
    """
    @return: the protocol of a connection that others have set up.
    """
    factory = SslStreamFactory(peer, isClient, Factory.forProtocol(Protocol), wire.clock)
    return factory.buildProtocol(None)


if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


class SecurityMixin(_Mixin):
    """
    What these tests share.
    """

    def connected(self, version: SslProtocols, **options: Any) -> StreamPair:
        """
        An authenticated pair.

        @param options: C{client}, C{server} or for L{StreamPair}.
        """
        sides = {side: options.pop(side, None) for side in ("client", "server")}
        pair = StreamPair(**options)
        for authenticated in pair.authenticate(version, **sides):
            self.successResultOf(authenticated)
        return pair

    def against(self, peer: OpenSSLPeer, isServer: bool) -> SecurityInfo:
        """
        Authenticate one of our streams against such a peer.
        """
        wire = Wire()
        other = foreign(wire, peer, isServer)
        wire.connect(*((other, Bystander()) if isServer else (Bystander(), other)))
        stream = SslStream(wire.server if isServer else wire.client, clock=wire.clock)
        authenticated = (
            stream.authenticateAsServer(serverOptions(serverCertificate=RSA_SERVER))
            if isServer
            else stream.authenticateAsClient(clientOptions())
        )
        wire.flush()
        self.assertIs(self.successResultOf(authenticated), stream)
        return stream.security


class SuiteTests(SecurityMixin, SynchronousTestCase):
    """
    The algorithms and strengths of each kind of suite, on both sides.
    """

    def suites(self, version: SslProtocols, table: dict[str, _Facts], bits: dict[str, int]) -> None:
        """
        Connect with each suite of a table.

        @param bits: the sizes of the key exchanges by how the name begins.
        """
        for name, facts in table.items():
            suite = TlsCipherSuite[f"TLS_{name}"]
            policy = onlySuite(suite)
            pair = self.connected(
                version, client=policy, server={**policy, "serverCertificate": RSA_SERVER}
            )
            size = next(size for start, size in bits.items() if name.startswith(start))
            for stream in (pair.client, pair.server):
                found = (
                    stream.cipherAlgorithm,
                    stream.cipherStrength,
                    stream.hashAlgorithm,
                    stream.hashStrength,
                    stream.keyExchangeAlgorithm,
                    stream.isEncrypted,
                )
                self.assertEqual(found, facts, name)
                self.assertIs(stream.negotiatedCipherSuite, suite)
                self.assertEqual(stream.keyExchangeStrength, size, name)
                self.assertIs(stream.sslProtocol, version)
                self.assertTrue(stream.isSigned)

    def test_tls12(self) -> None:
        """
        In TLS 1.2 the suite's name tells everything but the size of the key
        exchange: that of the curve, of the finite field, or of the server's RSA
        key.
        """
        sizes = {"ECDHE": 255, "DHE": 2048, "RSA": 2048}
        self.suites(SslProtocols.Tls12, SUITES_OF_TLS_1_2, sizes)

    def test_tls13(self) -> None:
        """
        In TLS 1.3 every suite goes with a Diffie-Hellman exchange, whose group
        is told.
        """
        self.suites(SslProtocols.Tls13, SUITES_OF_TLS_1_3, {"": 255})

    def test_oldVersions(self) -> None:
        """
        TLS 1.0 and 1.1 report the truth, too, where somebody enables them.
        """
        for version in (SslProtocols.Tls, SslProtocols.Tls11):
            pair = self.connected(version)
            for stream in (pair.client, pair.server):
                self.assertIs(stream.sslProtocol, version)
                self.assertEqual(
                    (stream.cipherAlgorithm, stream.cipherStrength), (_Cipher.Aes256, 256)
                )
                self.assertEqual((stream.hashAlgorithm, stream.hashStrength), (_Hash.Sha1, 160))
                self.assertEqual(stream.keyExchangeAlgorithm, _Exchange.DiffieHellman)
                self.assertEqual(
                    (stream.keyExchangeGroup, stream.keyExchangeStrength), ("x25519", 255)
                )

    def test_oldVersionsAreNotMeant(self) -> None:
        """
        Without being enabled they are refused, by either side.
        """
        old, new = SslProtocols.Tls11, SslProtocols.None_
        for clientVersion, serverVersion in ((old, new), (new, old)):
            pair = StreamPair()
            server = pair.server.authenticateAsServer(serverOptions(serverVersion))
            client = pair.client.authenticateAsClient(clientOptions(clientVersion))
            pair.wire.flush()
            for refused in (client, server):
                self.failureResultOf(refused, AuthenticationError)
            self.assertFalse(pair.client.isAuthenticated or pair.server.isAuthenticated)

    def test_rsaKeySize(self) -> None:
        """
        RSA key transport is as strong as the server's key, whatever key the
        client has, and has no group.
        """
        suite = CipherSuitesPolicy([TlsCipherSuite.TLS_RSA_WITH_AES_128_GCM_SHA256])
        for size in (2048, 3072):
            server = AUTHORITY.issue("localhost", key=rsaKey(bits=size))
            client = AUTHORITY.issue(key=rsaKey())
            pair = self.connected(
                SslProtocols.Tls12,
                client={"cipherSuitesPolicy": suite, "clientCertificates": [client]},
                server={
                    "cipherSuitesPolicy": suite,
                    "serverCertificate": server,
                    "clientCertificateRequired": True,
                },
            )
            for stream in (pair.client, pair.server):
                self.assertTrue(stream.isMutuallyAuthenticated)
                self.assertIs(stream.keyExchangeAlgorithm, _Exchange.RsaKeyX)
                self.assertEqual(stream.keyExchangeStrength, size)
                self.assertIsNone(stream.keyExchangeGroup)

    def test_noEncryption(self) -> None:
        """
        C{NoEncryption} agrees on a null cipher, which is said of the connection;
        the data is protected against changes all the same.
        """
        policy = {"encryptionPolicy": EncryptionPolicy.NoEncryption}
        pair = self.connected(SslProtocols.Tls12, client=policy, server=policy)
        for stream in (pair.client, pair.server):
            self.assertIs(stream.cipherAlgorithm, _Cipher.Null)
            self.assertEqual(stream.cipherStrength, 0)
            self.assertFalse(stream.isEncrypted)
            self.assertTrue(stream.isSigned)
            self.assertTrue(stream.isAuthenticated)
            self.assertIn("Is Encrypted: False", str(stream.security))

    def test_encryptionWanted(self) -> None:
        """
        C{AllowNoEncryption} and C{RequireEncryption} encrypt, and a peer that
        wants no encryption is refused by one that requires it.
        """
        allow = {"encryptionPolicy": EncryptionPolicy.AllowNoEncryption}
        pair = self.connected(SslProtocols.Tls12, client=allow, server=allow)
        self.assertTrue(pair.client.isEncrypted)
        self.assertTrue(self.connected(SslProtocols.Tls12).client.isEncrypted)
        pair = StreamPair()
        none = {"encryptionPolicy": EncryptionPolicy.NoEncryption}
        client, server = pair.authenticate(SslProtocols.Tls12, client=none)
        refusal = self.failureResultOf(server, AuthenticationError).value
        self.assertIs(refusal.alertSent, TlsAlert.handshake_failure)
        self.assertIs(
            self.failureResultOf(client, AuthenticationError).value.alert,
            TlsAlert.handshake_failure,
        )


class GroupTests(SecurityMixin, SynchronousTestCase):
    """
    The group of the key exchange and its size.
    """

    def test_tls13(self) -> None:
        """
        Of every group that OpenSSL agrees on by itself, the hybrid one among
        them, both sides tell the registered name and the size.
        """
        for isServer in (False, True):
            for name, bits in DEFAULT_GROUPS.items():
                info = self.against(OpenSSLPeer(name, SslProtocols.Tls13), isServer)
                self.assertEqual(info.sslProtocol, SslProtocols.Tls13)
                self.assertEqual((info.keyExchangeGroup, info.keyExchangeStrength), (name, bits))
                self.assertIs(info.keyExchangeAlgorithm, _Exchange.DiffieHellman)

    def test_tls12(self) -> None:
        """
        The same holds for the curves of TLS 1.2.
        """
        for isServer in (False, True):
            for name, bits in COMMON_GROUPS.items():
                peer = OpenSSLPeer(name, SslProtocols.Tls12, b"ECDHE")
                info = self.against(peer, isServer)
                self.assertEqual(info.sslProtocol, SslProtocols.Tls12)
                self.assertEqual((info.keyExchangeGroup, info.keyExchangeStrength), (name, bits))

    def test_finiteField(self) -> None:
        """
        A finite field of TLS 1.2 is measured, on both sides.
        """
        for isServer in (False, True):
            for name in ("ffdhe2048", "ffdhe3072"):
                info = self.against(OpenSSLPeer(name, SslProtocols.Tls12, b"DHE"), isServer)
                self.assertEqual(info.keyExchangeStrength, DEFAULT_GROUPS[name])
                self.assertIs(info.keyExchangeAlgorithm, _Exchange.DiffieHellman)

    def test_all(self) -> None:
        """
        Also of the groups that must be asked for, name and size are known.
        """
        for name, bits in {**DEFAULT_GROUPS, **OTHER_GROUPS}.items():
            wire = Wire()
            peer = OpenSSLPeer(name, SslProtocols.Tls13)
            client, server = foreign(wire, peer, True), foreign(wire, peer, False)
            wire.connect(client, server)
            wire.flush()
            for side in (client, server):
                self.assertEqual((side.keyExchangeGroup, side.keyExchangeStrength), (name, bits))


@perVersion()
class CertificatePropertiesTests(SecurityMixin):
    """
    Whose certificates were shown, and who is authenticated by that.
    """

    version: SslProtocols
    segment: int

    def pair(self, client: dict[str, Any] | None = None, **server: Any) -> StreamPair:
        """
        An authenticated pair.

        @param client: the client's options.
        @param server: the server's options.
        """
        return self.connected(self.version, client=client, server=server, segment=self.segment)

    def test_serverAlone(self) -> None:
        """
        If the server does not ask, the client's certificate is not shown, and
        nobody says it was.
        """
        pair = self.pair({"clientCertificates": [CLIENT]})
        self.assertEqual(pair.client.remoteCertificate, SERVER.certificate)
        self.assertIsNone(pair.client.localCertificate)
        self.assertEqual(pair.server.localCertificate, SERVER.certificate)
        self.assertIsNone(pair.server.remoteCertificate)
        self.assertIsNone(pair.server.remoteChain)
        for stream in (pair.client, pair.server):
            self.assertTrue(stream.isAuthenticated)
            self.assertFalse(stream.isMutuallyAuthenticated)

    def test_both(self) -> None:
        """
        If the server asks and gets one, both sides are authenticated and each
        has the other's chain up to the root.
        """
        pair = self.pair({"clientCertificates": [CLIENT]}, clientCertificateRequired=True)
        sides = ((pair.client, CLIENT, SERVER), (pair.server, SERVER, CLIENT))
        for stream, ours, theirs in sides:
            self.assertTrue(stream.isMutuallyAuthenticated)
            self.assertEqual(stream.localCertificate, ours.certificate)
            self.assertEqual(stream.remoteCertificate, theirs.certificate)
            assert stream.remoteChain is not None
            self.assertEqual(
                [element.certificate for element in stream.remoteChain.chainElements],
                [theirs.certificate, AUTHORITY.certificate],
            )

    def test_askedInVain(self) -> None:
        """
        If the server asks and gets none, and takes that, nobody is mutually
        authenticated.
        """
        pair = self.pair(
            clientCertificateRequired=True,
            remoteCertificateValidationCallback=lambda *_: True,
        )
        self.assertIsNone(pair.client.localCertificate)
        self.assertIsNone(pair.server.remoteCertificate)
        self.assertFalse(pair.client.isMutuallyAuthenticated)
        self.assertFalse(pair.server.isMutuallyAuthenticated)

    def test_selected(self) -> None:
        """
        The local certificate is the one that was selected in the handshake.
        """
        other = AUTHORITY.issue("localhost")
        pair = self.pair(
            {"localCertificateSelectionCallback": lambda *_: CLIENT},
            clientCertificateRequired=True,
            serverCertificateSelectionCallback=lambda stream, name: other,
        )
        self.assertEqual(pair.client.localCertificate, CLIENT.certificate)
        self.assertEqual(pair.server.localCertificate, other.certificate)
        self.assertEqual(pair.client.remoteCertificate, other.certificate)

    def test_revocation(self) -> None:
        """
        Whether revocation was to be checked is each side's own business.
        """
        pair = self.pair(
            {
                "certificateRevocationCheckMode": X509RevocationMode.Offline,
                "remoteCertificateValidationCallback": lambda *_: True,
            }
        )
        self.assertTrue(pair.client.checkCertRevocationStatus)
        self.assertFalse(pair.server.checkCertRevocationStatus)

    def test_applicationProtocol(self) -> None:
        """
        Both sides tell the ALPN protocol, or that there is none.
        """
        h2 = SslApplicationProtocol.Http2
        both = {"applicationProtocols": [h2, SslApplicationProtocol.Http11]}
        agreed = self.pair(both, applicationProtocols=[h2])
        alone = self.pair(both)
        for stream in (agreed.client, agreed.server):
            self.assertEqual(stream.negotiatedApplicationProtocol, h2)
            self.assertIsInstance(stream.negotiatedApplicationProtocol, SslApplicationProtocol)
        for stream in (alone.client, alone.server):
            self.assertIsNone(stream.negotiatedApplicationProtocol)

    def test_targetHostName(self) -> None:
        """
        Both sides tell the name that the client asked for, an international one
        in Unicode; an address is not sent.
        """
        server = AUTHORITY.issue("localhost", "xn--bcher-kva.example", "127.0.0.1")
        names = {
            "localhost": "localhost",
            "bücher.example": "bücher.example",
            "127.0.0.1": "",
        }
        for name, sent in names.items():
            pair = self.pair({"targetHost": name}, serverCertificate=server)
            self.assertEqual((pair.client.targetHostName, pair.server.targetHostName), (name, sent))

    def test_noTargetHostName(self) -> None:
        """
        A client that was given no name tells and sends none.
        """
        pair = self.pair({"targetHost": "", "remoteCertificateValidationCallback": lambda *_: True})
        self.assertEqual((pair.client.targetHostName, pair.server.targetHostName), ("", ""))


@perVersion(segments=(0,))
class ReadingTests(SecurityMixin):
    """
    What can be read when.
    """

    version: SslProtocols
    segment: int

    def assertGated(
        self, stream: SslStream, names: tuple[str, ...], kind: type[Exception]
    ) -> set[str]:
        """
        Each of these properties raises.

        @return: what they say.
        """
        return {str(self.assertRaises(kind, getattr, stream, name)) for name in names}

    def assertDefaults(self, stream: SslStream, **exceptions: object) -> None:
        """
        The properties that can always be read have their values of a stream
        without a peer.
        """
        wanted: dict[str, object] = dict.fromkeys(ALWAYS, False)
        wanted.update({"canTimeout": True, "targetHostName": ""}, **exceptions)
        self.assertEqual({name: getattr(stream, name) for name in ALWAYS}, wanted)

    def test_tables(self) -> None:
        """
        The names that these tests know are those of the interface.
        """
        known = {*ALWAYS, *CERTIFICATES, *NEGOTIATED}
        others = {"security", "transportContext"}
        methods = {"whenAuthenticated", "whenClosed", "exportKeyingMaterial"}
        self.assertEqual(known | others | methods, set(ISslStream.names()))

    def test_before(self) -> None:
        """
        Before the handshake has brought anything, what it brings cannot be
        read, and the rest says no.
        """
        pair = StreamPair()
        gated = (*NEGOTIATED, *CERTIFICATES, "security")
        for stream in (pair.client, pair.server):
            self.assertDefaults(stream)
            self.assertGated(stream, gated, InvalidOperationError)
        pair.authenticate(self.version, flush=False)
        for stream, role in (
            (pair.client, {"targetHostName": "localhost"}),
            (pair.server, {"isServer": True}),
        ):
            self.assertDefaults(stream, **role)
            self.assertGated(stream, gated, InvalidOperationError)
        pair.wire.flush()
        self.assertTrue(pair.client.isAuthenticated)

    def test_meanwhile(self) -> None:
        """
        While a callback is deciding, what was negotiated can be read, but
        nothing is authenticated or encrypted yet, and no certificate is told.
        """
        for isServer in (False, True):
            decision: Deferred[bool] = Deferred()
            asked: list[SslStream] = []

            def decide(
                stream: SslStream,
                *_: object,
                asked: list[SslStream] = asked,
                decision: Deferred[bool] = decision,
            ) -> Deferred[bool]:
                asked.append(stream)
                return decision

            pair = StreamPair()
            callback = {"remoteCertificateValidationCallback": decide}
            pair.authenticate(
                self.version,
                client={"clientCertificates": [CLIENT], **({} if isServer else callback)},
                server={"clientCertificateRequired": True, **(callback if isServer else {})},
            )
            stream = pair.server if isServer else pair.client
            self.assertEqual(asked, [stream])
            self.assertDefaults(stream, isServer=isServer, targetHostName="localhost")
            self.assertGated(stream, CERTIFICATES, InvalidOperationError)
            self.assertFalse(stream.security.isAuthenticated)
            self.assertEqual({getattr(stream.security, name) for name in CERTIFICATES}, {None})
            early = {
                name: getattr(stream, name)
                for name in ("sslProtocol", "negotiatedCipherSuite", "cipherStrength")
            }
            decision.callback(True)
            pair.wire.flush()
            self.assertTrue(stream.isAuthenticated)
            self.assertEqual(early, {name: getattr(stream, name) for name in early})
            self.assertIs(stream.sslProtocol, self.version)

    def test_open(self) -> None:
        """
        Once authenticated the booleans say so, each side knows its role, and
        nothing was resumed.
        """
        pair = self.connected(self.version, leaveInnerStreamOpen=True)
        for stream in (pair.client, pair.server):
            self.assertDefaults(
                stream,
                isAuthenticated=True,
                isEncrypted=True,
                isSigned=True,
                isServer=stream is pair.server,
                canRead=True,
                canWrite=True,
                leaveInnerStreamOpen=True,
                targetHostName="localhost",
            )
            self.assertFalse(stream.isResumed)

    def test_afterRefusal(self) -> None:
        """
        After a failed authentication every gated property repeats that error,
        and the booleans say no.
        """
        pair = StreamPair()
        client, server = pair.authenticate(self.version, client={"targetHost": "wrong.example"})
        error = self.failureResultOf(client, AuthenticationError).value
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNameMismatch)
        self.assertEqual(error.chainStatus, X509ChainStatusFlags.NoError)
        self.assertIs(error.alertSent, TlsAlert.bad_certificate)
        refused = self.failureResultOf(server, AuthenticationError).value
        self.assertIs(refused.alert, TlsAlert.bad_certificate)
        gated = (*NEGOTIATED, *CERTIFICATES, "security")
        self.assertEqual(self.assertGated(pair.client, gated, AuthenticationError), {str(error)})
        self.assertDefaults(pair.client, targetHostName="wrong.example")
        self.assertEqual(self.assertGated(pair.server, gated, AuthenticationError), {str(refused)})
        self.assertDefaults(pair.server, isServer=True, targetHostName="wrong.example")

    def test_afterTimeout(self) -> None:
        """
        The same holds for a handshake that took too long.
        """
        pair = StreamPair()
        server = pair.server.authenticateAsServer(serverOptions(self.version, handshakeTimeout=3))
        pair.clock.advance(3)
        error = self.failureResultOf(server, HandshakeTimeout).value
        gated = (*NEGOTIATED, *CERTIFICATES, "security")
        self.assertEqual(self.assertGated(pair.server, gated, HandshakeTimeout), {str(error)})
        self.assertDefaults(pair.server, isServer=True)

    def test_halves(self) -> None:
        """
        C{canRead} and C{canWrite} end with their own direction.
        """
        pair = self.connected(self.version)
        self.successResultOf(pair.client.shutdown())
        pair.wire.flush()
        self.assertEqual((pair.client.canRead, pair.client.canWrite), (True, False))
        self.assertEqual((pair.server.canRead, pair.server.canWrite), (False, True))
        self.assertTrue(pair.client.isAuthenticated)
        self.assertTrue(pair.server.isEncrypted)

    def test_afterClose(self) -> None:
        """
        After the connection has ended all of it can still be read, but nothing
        can be read from it or written to it.
        """
        pair = self.connected(
            self.version,
            client={"clientCertificates": [CLIENT]},
            server={"clientCertificateRequired": True},
        )
        before = [stream.security for stream in (pair.client, pair.server)]
        closed = [pair.client.close(), pair.server.close()]
        pair.wire.flush()
        for each in closed:
            self.successResultOf(each)
        for info, stream in zip(before, (pair.client, pair.server), strict=True):
            ended = dataclasses.replace(info, canRead=False, canWrite=False)
            self.assertEqual(stream.security, ended)
            self.assertEqual(stream.remoteCertificate, info.remoteCertificate)
            self.assertTrue(info.canRead)


class ReportTests(SecurityMixin, SynchronousTestCase):
    """
    L{SecurityInfo} as a value, as text and as data.
    """

    def info(self, **client: Any) -> tuple[SecurityInfo, SecurityInfo]:
        """
        @return: the client's and the server's.
        """
        start = datetime.datetime(2024, 2, 29, 23, 59, 58, tzinfo=datetime.timezone.utc)
        end = NOW.replace(microsecond=0) + 400 * DAY
        server = AUTHORITY.issue("localhost", subject="The Server", notBefore=start, notAfter=end)
        self.end = f"{end:%Y-%m-%d %H:%M:%S} UTC"
        pair = self.connected(
            SslProtocols.Tls12,
            client={
                "cipherSuitesPolicy": CipherSuitesPolicy(
                    [TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]
                ),
                **client,
            },
            server={"serverCertificate": server},
        )
        return pair.client.security, pair.server.security

    def test_client(self) -> None:
        """
        The client's text is the sample's report, line by line.
        """
        client, _ = self.info()
        self.assertEqual(
            str(client).splitlines(),
            [
                "Cipher: Aes128 strength 128",
                "Hash: Sha1 strength 160",
                "Key exchange: DiffieHellman strength 255",
                "Protocol: Tls12",
                "Is authenticated: True as server? False",
                "IsSigned: True",
                "Is Encrypted: True",
                "Can read: True, write True",
                "Can timeout: True",
                "Certificate revocation list checked: False",
                "Local certificate is null.",
                "Remote cert was issued to CN=The Server and is valid from "
                f"2024-02-29 23:59:58 UTC until {self.end}.",
            ],
        )

    def test_server(self) -> None:
        """
        So is the server's, with its own certificate and none of the client.
        """
        _, server = self.info()
        self.assertEqual(
            str(server).splitlines()[4:5] + str(server).splitlines()[-2:],
            [
                "Is authenticated: True as server? True",
                "Local cert was issued to CN=The Server and is valid from "
                f"2024-02-29 23:59:58 UTC until {self.end}.",
                "Remote certificate is null.",
            ],
        )

    def test_otherValues(self) -> None:
        """
        The report follows the values; C{None_} is printed as .NET does.
        """
        client, _ = self.info()
        changed = dataclasses.replace(
            client,
            cipherAlgorithm=_Cipher.None_,
            cipherStrength=256,
            hashAlgorithm=_Hash.Sha384,
            hashStrength=0,
            keyExchangeAlgorithm=_Exchange.RsaKeyX,
            keyExchangeStrength=4096,
            sslProtocol=SslProtocols.Tls13,
            isAuthenticated=False,
            isServer=True,
            isSigned=False,
            isEncrypted=False,
            canRead=False,
            canWrite=True,
            canTimeout=False,
            checkCertRevocationStatus=True,
            remoteCertificate=None,
        )
        self.assertEqual(
            str(changed).splitlines(),
            [
                "Cipher: None strength 256",
                "Hash: Sha384 strength 0",
                "Key exchange: RsaKeyX strength 4096",
                "Protocol: Tls13",
                "Is authenticated: False as server? True",
                "IsSigned: False",
                "Is Encrypted: False",
                "Can read: False, write True",
                "Can timeout: False",
                "Certificate revocation list checked: True",
                "Local certificate is null.",
                "Remote certificate is null.",
            ],
        )

    def test_frozen(self) -> None:
        """
        The value cannot be changed, and equal connections have equal values.
        """
        client, server = self.info()
        for field in dataclasses.fields(client):
            self.assertRaises(dataclasses.FrozenInstanceError, setattr, client, field.name, None)
        self.assertEqual(client, dataclasses.replace(client))
        self.assertNotEqual(client, server)
        self.assertEqual(len({client, dataclasses.replace(client), server}), 2)

    def test_dictionary(self) -> None:
        """
        C{asdict} has everything that the interface names, survives JSON, and
        names enums and certificates.
        """
        client, server = self.info(
            applicationProtocols=[SslApplicationProtocol.Http11],
            certificateRevocationCheckMode=X509RevocationMode.Offline,
            remoteCertificateValidationCallback=lambda *_: True,
        )
        asdict = client.asdict()
        self.assertEqual(json.loads(json.dumps(asdict)), asdict)
        self.assertEqual(json.loads(json.dumps(server.asdict())), server.asdict())
        self.assertEqual(set(asdict), {*ALWAYS, *CERTIFICATES, *NEGOTIATED})
        certificate = client.remoteCertificate
        assert certificate is not None
        remote = {
            "subject": "CN=The Server",
            "issuer": "CN=Test Authority",
            "serialNumber": f"{certificate.serial_number:x}",
            "notBefore": "2024-02-29T23:59:58+00:00",
            "notAfter": certificate.not_valid_after_utc.isoformat(),
            "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        }
        chain = asdict.pop("remoteChain")
        self.assertEqual(
            asdict,
            {
                "isAuthenticated": True,
                "isMutuallyAuthenticated": False,
                "isEncrypted": True,
                "isSigned": True,
                "isServer": False,
                "canRead": True,
                "canWrite": True,
                "canSeek": False,
                "canTimeout": True,
                "leaveInnerStreamOpen": False,
                "checkCertRevocationStatus": True,
                "targetHostName": "localhost",
                "localCertificate": None,
                "remoteCertificate": remote,
                "sslProtocol": "Tls12",
                "negotiatedCipherSuite": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
                "negotiatedApplicationProtocol": None,
                "cipherAlgorithm": "Aes128",
                "cipherStrength": 128,
                "hashAlgorithm": "Sha1",
                "hashStrength": 160,
                "keyExchangeAlgorithm": "DiffieHellman",
                "keyExchangeStrength": 255,
                "keyExchangeGroup": "x25519",
                "isResumed": False,
            },
        )
        self.assertEqual(chain[0]["certificate"], remote)
        self.assertEqual(
            [[each["status"] for each in element["status"]] for element in chain],
            [[["RevocationStatusUnknown", "OfflineRevocation"]], []],
        )

    def test_dictionaryOfProtocol(self) -> None:
        """
        In C{asdict} an ALPN protocol is text, and so is one that is no text.
        """
        client, _ = self.info()
        for name, text in ((b"h2", "h2"), (b"\xff", "\\xff")):
            changed = dataclasses.replace(
                client, negotiatedApplicationProtocol=SslApplicationProtocol(name)
            )
            self.assertEqual(changed.asdict()["negotiatedApplicationProtocol"], text)
