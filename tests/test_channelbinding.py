"""
Tests for L{txsslstream.channelbinding}: that both ends have the same, that it
is what the RFCs say, and when there is none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet import ssl
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    CertificateError,
    ChannelBinding,
    ChannelBindingKind,
    InvalidOperationError,
    NotSupportedError,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    SslStreamFactory,
    StreamClosedError,
    TransportContext,
)
from txsslstream.ciphersuites import propertiesOf
from txsslstream.enums import HashAlgorithmType
from txsslstream.insecure import withKeyLog
from txsslstream.testing import (
    Bystander,
    StreamPair,
    Wire,
    certificatePEM,
    keyPEM,
    newKey,
    perVersion,
    rsaKey,
)
from txsslstream.testing.foreign import PythonPeer, pythonContext
from txsslstream.testing.issuing import certificate

from .streams import Opened, StreamMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

Unknown, Unique, Endpoint, Exporter = ChannelBindingKind
Tls12, Tls13 = SslProtocols.Tls12, SslProtocols.Tls13

OTHER_SERVER = AUTHORITY.issue("localhost", key=rsaKey())

#: RFC 9266 section 2.
EXPORTER_LABEL = "EXPORTER-Channel-Binding"

#: OpenSSL's option, which is not among pyOpenSSL's names.
_OP_NO_EXTENDED_MASTER_SECRET = 1

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


def digestOf(context: SslStreamCertificateContext, name: str = "sha256") -> bytes:
    """
    @return: the hash of a certificate.
    """
    return hashlib.new(name, context.certificate.public_bytes(Encoding.DER)).digest()


def exportedBy(stream: Any) -> bytes | type[BaseException]:
    """
    @return: a key, or the kind of error that asking for it raises.
    """
    try:
        key: bytes = stream.exportKeyingMaterial(EXPORTER_LABEL, 32)
    except Exception as e:
        return type(e)
    return key


def bindings(
    kind: ChannelBindingKind, *streams: Any
) -> list[ChannelBinding | type[BaseException] | None]:
    """
    @return: what each has of a kind, or the kind of error that it raises.
    """

    def ask(stream: Any) -> Any:
        try:
            return stream.transportContext.getChannelBinding(kind)
        except Exception as e:
            return type(e)

    return [ask(stream) for stream in streams]


class BindingMixin(StreamMixin):
    """
    Channel bindings of our streams.
    """

    def test_endpoint(self) -> None:
        """
        Both ends have the hash of the server's certificate, and not of the
        client's.
        """
        for opened in self.bothRoles():
            expected = digestOf(SERVER)
            found = bindings(Endpoint, opened.ours, opened.theirs)
            self.assertEqual(found, [expected, expected])
        pair = StreamPair()
        pair.authenticate(
            self.version,
            client={"clientCertificateContext": CLIENT},
            server={"clientCertificateRequired": True},
        )
        self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate)
        self.assertEqual(bindings(Endpoint, pair.client, pair.server), [expected, expected])

    def test_chosenCertificate(self) -> None:
        """
        It is the hash of the certificate that a server's callback has chosen.
        """
        other = self.opened(
            True,
            ours={"serverCertificateSelectionCallback": lambda stream, name: OTHER_SERVER},
        )
        expected = digestOf(OTHER_SERVER)
        self.assertEqual(bindings(Endpoint, other.ours, other.theirs), [expected, expected])

    def test_exporter(self) -> None:
        """
        Both ends have the same 32 bytes, which are the exported key of that
        name, and another connection has others.
        """
        seen = set()
        for opened in self.bothRoles():
            one, other = bindings(Exporter, opened.ours, opened.theirs)
            self.assertIsInstance(one, ChannelBinding)
            self.assertEqual(one, other)
            self.assertEqual(one, opened.ours.exportKeyingMaterial(EXPORTER_LABEL, 32, b""))
            seen.add(one)
        self.assertEqual([len(each) for each in seen], [32, 32])  # type: ignore[arg-type]

    def test_unique(self) -> None:
        """
        In TLS 1.2 both ends have the same 12 bytes, and another connection has
        others; in TLS 1.3 there is nothing of the kind.
        """
        seen = set()
        for opened in self.bothRoles():
            one, other = bindings(Unique, opened.ours, opened.theirs)
            self.assertEqual(one, other)
            seen.add(one)
        if self.version is Tls13:
            self.assertEqual(seen, {NotSupportedError})
        else:
            self.assertEqual([len(each) for each in seen], [12, 12])  # type: ignore[arg-type]

    def test_unknown(self) -> None:
        """
        There is no data of an unknown kind, and a number that is no kind is
        refused.
        """
        for opened in self.bothRoles():
            self.assertEqual(bindings(Unknown, opened.ours), [None])
            context = opened.ours.transportContext
            self.assertRaises(ValueError, context.getChannelBinding, 5)
            self.assertEqual(context.getChannelBinding(26), digestOf(SERVER))  # type: ignore[arg-type]

    def test_tooEarly(self) -> None:
        """
        Nothing can be had before the peer is authenticated, not even in the
        callbacks; the context can.
        """
        pair = StreamPair(self.segment)
        answers = []

        def decide(stream: SslStream, *_: object) -> bool:
            answers.append(self.everything(stream))
            return True

        def select(stream: SslStream, *_: object) -> None:
            answers.append(self.everything(stream))

        for stream in (pair.client, pair.server):
            self.assertIsInstance(stream.transportContext, TransportContext)
            answers.append(self.everything(stream))
        outcomes = pair.authenticate(
            self.version,
            client={
                "remoteCertificateValidationCallback": decide,
                "localCertificateSelectionCallback": select,
            },
            server={
                "remoteCertificateValidationCallback": decide,
                "clientCertificateRequired": True,
            },
            flush=False,
        )
        answers += map(self.everything, (pair.client, pair.server))
        pair.wire.flush()
        for outcome in outcomes:
            self.successResultOf(outcome)
        self.assertEqual(len(answers), 8)
        for answer in answers:
            self.assertEqual(answer, [InvalidOperationError] * 5)

    def everything(self, stream: Any) -> list[object]:
        """
        @return: what comes of asking a stream for all there is.
        """
        found = [each for kind in ChannelBindingKind for each in bindings(kind, stream)]
        return [*found, exportedBy(stream)]

    def test_failed(self) -> None:
        """
        Once the authentication has failed, everything repeats its error.
        """
        pair = StreamPair(self.segment)
        refused = pair.authenticate(self.version, client={"targetHost": "example.com"})
        for stream, deferred in zip((pair.client, pair.server), refused, strict=True):
            error = self.failure(deferred, AuthenticationError)
            context = stream.transportContext
            for _ in range(2):
                for ask in (
                    lambda context=context: context.getChannelBinding(Endpoint),
                    lambda stream=stream: stream.exportKeyingMaterial(EXPORTER_LABEL, 32),
                ):
                    raised = self.assertRaises(AuthenticationError, ask)
                    self.assertEqual((str(raised), vars(raised)), (str(error), vars(error)))
                self.successResultOf(stream.close())

    def test_closing(self) -> None:
        """
        After a half-close everything is there; after C{close}, C{abort} or the
        end of the connection nothing is, on a stream and on the transport of an
        application alike.
        """
        ends: tuple[Callable[[Opened], object], ...] = (
            lambda opened: opened.ours.close(),
            lambda opened: opened.ours.abort(),
            lambda opened: opened.theirs.abort(),
            lambda opened: opened.pair.wire.cut(),
        )
        for end in ends:
            for opened in self.bothRoles(ours={"requireCloseNotify": False}):
                self.successResultOf(opened.ours.shutdown())
                self.assertEqual(bindings(Endpoint, opened.ours), [digestOf(SERVER)])
                protocol = opened.ourTransport.protocol._target
                end(opened)
                opened.flush()
                opened.pair.clock.advance(5)
                opened.flush()
                for stream in (opened.ours, protocol):
                    self.assertEqual(self.everything(stream), [StreamClosedError] * 5)
                self.assertTrue(opened.ours.isAuthenticated)

    def test_closingAtOnce(self) -> None:
        """
        Nothing can be had from the moment in which a stream is closed.
        """
        for opened in self.bothRoles():
            opened.ours.close()
            self.assertEqual(self.everything(opened.ours), [StreamClosedError] * 5)

    def test_notShown(self) -> None:
        """
        Neither the report nor the dictionary nor a binding itself shows data
        that comes from the secrets.
        """
        kind = Exporter if self.version is Tls13 else Unique
        for opened in self.bothRoles():
            (binding,) = bindings(kind, opened.ours)
            assert isinstance(binding, ChannelBinding)
            shown = (
                str(opened.ours.security),
                repr(opened.ours.security),
                json.dumps(opened.ours.security.asdict()),
                f"{binding} {binding!r} {binding!s}",
                repr(opened.ours.transportContext),
            )
            for text in shown:
                for secret in (binding.hex(), bytes.__repr__(binding)[2:-1]):
                    self.assertNotIn(secret, text)

    def test_applications(self) -> None:
        """
        The transports of application protocols have the same as streams do.
        """
        wire = Wire()
        ends = [
            SslStreamFactory(options, isClient, Factory.forProtocol(Protocol), wire.clock)
            for options, isClient in (
                (clientOptions(self.version), True),
                (serverOptions(self.version), False),
            )
        ]
        client, server = (each.buildProtocol(None) for each in ends)
        assert client is not None
        assert server is not None
        wire.connect(client, server)
        self.assertEqual(self.everything(client), [InvalidOperationError] * 5)
        wire.flush()
        applications: list[Any] = [client.wrappedProtocol, server.wrappedProtocol]
        transports = [each.transport for each in applications]
        self.assertEqual(bindings(Endpoint, *transports), [digestOf(SERVER)] * 2)
        one, other = (each.exportKeyingMaterial("EXPORTER-test", 16) for each in transports)
        self.assertEqual(one, other)
        self.assertEqual(self.everything(client), self.everything(server))
        wire.cut()
        self.assertEqual(self.everything(client), [StreamClosedError] * 5)


perVersion(segments=(0,))(BindingMixin)


class KeyMixin(StreamMixin):
    """
    Exported keys.
    """

    def pair(self, **options: Any) -> tuple[Any, Any]:
        """
        @return: two authenticated streams.
        """
        opened = self.opened(**options)
        return opened.ours, opened.theirs

    def test_equal(self) -> None:
        """
        Both ends derive the same key; another label, context, length or
        connection gives another.
        """
        one, other = self.pair()
        stranger, _ = self.pair()
        seen = set()
        for arguments in (
            ("EXPORTER-one", 32),
            ("EXPORTER-two", 32),
            ("EXPORTER-one", 32, b"context"),
            ("EXPORTER-one", 32, b"another"),
        ):
            key = one.exportKeyingMaterial(*arguments)
            self.assertEqual(key, other.exportKeyingMaterial(*arguments))
            self.assertEqual(len(key), 32)
            seen |= {key, stranger.exportKeyingMaterial(*arguments)}
        self.assertEqual(len(seen), 8)

    def test_noContext(self) -> None:
        """
        No context and an empty one give the same key in TLS 1.3, and in TLS 1.2
        they do not.
        """
        for stream in self.pair():
            none = stream.exportKeyingMaterial("EXPORTER-test", 32)
            empty = stream.exportKeyingMaterial("EXPORTER-test", 32, b"")
            self.assertEqual(none == empty, self.version is Tls13)

    def test_known(self) -> None:
        """
        Keys are what the RFCs compute from the connection's secret.
        """
        lines: list[bytes] = []
        pair = StreamPair()
        pair.server.authenticateAsServer(serverOptions(self.version))
        pair.client.authenticateAsClient(withKeyLog(clientOptions(self.version), lines.append))
        pair.wire.flush()
        suite = pair.client.negotiatedCipherSuite
        assert suite is not None
        isLong = propertiesOf(suite).hashAlgorithm is HashAlgorithmType.Sha384
        compute = exported13 if self.version is Tls13 else exported12
        for label, length, context in (
            (b"EXPORTER-test", 16, None),
            (b"EXPORTER-test", 100, b""),
            (b"EXPORTER: 1", 1, b"\0\xff" * 300),
        ):
            expected = compute(
                "sha384" if isLong else "sha256", lines, pair, label, length, context
            )
            for stream in (pair.client, pair.server):
                self.assertEqual(stream.exportKeyingMaterial(label, length, context), expected)

    def test_forms(self) -> None:
        """
        A label may be a text or bytes, a context any bytes.
        """
        for stream in self.pair():
            expected = stream.exportKeyingMaterial("EXPORTER-test", 8, b"context")
            for label in (b"EXPORTER-test", bytearray(b"EXPORTER-test")):
                for context in (bytearray(b"context"), memoryview(b"context")):
                    self.assertEqual(stream.exportKeyingMaterial(label, 8, context), expected)
            self.assertRaises(TypeError, stream.exportKeyingMaterial, None, 8)
            self.assertRaises(TypeError, stream.exportKeyingMaterial, "EXPORTER-test", "8")
            self.assertRaises(TypeError, stream.exportKeyingMaterial, "EXPORTER-test", 8.0)
            self.assertRaises(TypeError, stream.exportKeyingMaterial, "EXPORTER-test", 8, "text")

    def test_bounds(self) -> None:
        """
        Label, length and context have bounds, the same in every version; what
        is just within them is possible, what is beyond them is refused.
        """
        for stream in self.pair():
            export = stream.exportKeyingMaterial
            self.assertEqual(len(export("E" * 249, 8160, b"c" * 65535)), 8160)
            self.assertEqual(len(export("E", 1, b"")), 1)
            for label in ("", "E" * 250, "EXPORTER-é", b"EXPORTER-\xe9"):
                self.assertIn(
                    "1 to 249 ASCII characters",
                    str(self.assertRaises(ValueError, export, label, 8)),
                )
            for length in (0, -1, 8161, 1 << 64):
                self.assertIn(
                    "1 to 8160 bytes", str(self.assertRaises(ValueError, export, "E", length))
                )
            error = self.assertRaises(ValueError, export, "E", 8, b"c" * 65536)
            self.assertIn("up to 65535 bytes", str(error))

    def test_reserved(self) -> None:
        """
        Labels that begin like those of TLS itself are refused in every version,
        and those that only contain them are not.
        """
        for stream in self.pair():
            export = stream.exportKeyingMaterial
            for label in (
                "client finished",
                "server finished",
                "master secret",
                "extended master secret",
                "key expansion",
            ):
                for each in (label, f"{label} of mine"):
                    error = self.assertRaises(ValueError, export, each, 8)
                    self.assertEqual(str(error), f"TLS itself uses the label {each!r}")
                self.assertEqual(len(export(f"EXPORTER {label}", 8)), 8)


perVersion(segments=(0,))(KeyMixin)


def secretsOf(lines: list[bytes]) -> dict[bytes, bytes]:
    """
    @return: the secrets of one connection by their names.
    """
    parts = [line.split() for line in lines]
    return {name: bytes.fromhex(secret.decode("ascii")) for name, _, secret in parts}


def exported12(
    name: str,
    lines: list[bytes],
    pair: StreamPair,
    label: bytes,
    length: int,
    context: bytes | None,
) -> bytes:
    """
    RFC 5705 section 4 and RFC 5246 section 5.
    """
    # The randoms come behind the headers of record and message and the version.
    seed = bytes(pair.wire.client.everWritten[11:43] + pair.wire.server.everWritten[11:43])
    if context is not None:
        seed += len(context).to_bytes(2, "big") + context
    master = secretsOf(lines)[b"CLIENT_RANDOM"]
    chain = seed = label + seed
    key = b""
    while len(key) < length:
        chain = hmac.digest(master, chain, name)
        key += hmac.digest(master, chain + seed, name)
    return key[:length]


def exported13(
    name: str,
    lines: list[bytes],
    pair: StreamPair,
    label: bytes,
    length: int,
    context: bytes | None,
) -> bytes:
    """
    RFC 8446 sections 7.1 and 7.5, and RFC 5869 section 2.3.
    """

    def expandLabel(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big")
        for part in (label, context):
            info += bytes((len(part),)) + part
        block = key = b""
        for number in range(1, 256):
            block = hmac.digest(secret, block + info + bytes((number,)), name)
            key += block
        return key[:length]

    def digest(data: bytes) -> bytes:
        return hashlib.new(name, data).digest()

    secret = secretsOf(lines)[b"EXPORTER_SECRET"]
    derived = expandLabel(secret, label, digest(b""), len(digest(b"")))
    return expandLabel(derived, b"exporter", digest(context or b""), length)


class ValueTests(SynchronousTestCase):
    """
    Tests for L{ChannelBinding}.
    """

    def test_forms(self) -> None:
        """
        It is its data, and knows its kind, what that is called, and how GSS-API
        wants it.
        """
        for kind, name in (
            (Unique, "tls-unique"),
            (Endpoint, "tls-server-end-point"),
            (Exporter, "tls-exporter"),
        ):
            binding = ChannelBinding(b"finding", kind)
            self.assertEqual(binding, b"finding")
            self.assertEqual(hash(binding), hash(b"finding"))
            self.assertEqual(bytes(binding), b"finding")
            self.assertIs(binding.kind, kind)
            self.assertEqual(binding.registeredName, name)
            self.assertEqual(binding.prefixed, name.encode("ascii") + b":finding")
            self.assertIs(type(binding.prefixed), bytes)
            self.assertEqual(str(binding), f"<ChannelBinding {name}, 7 bytes>")
            self.assertEqual(repr(binding), str(binding))

    def test_frozen(self) -> None:
        """
        Neither its kind nor its names can be changed.
        """
        binding = ChannelBinding(b"finding", Unique)
        for name in ("kind", "registeredName", "prefixed"):
            self.assertRaises(AttributeError, setattr, binding, name, Exporter)


def selfSigned(
    key: Any, algorithm: Any, change: Callable[[bytes], bytes] = bytes, **more: Any
) -> SslStreamCertificateContext:
    """
    @param change: what is to happen to its encoding.
    @return: a certificate for C{localhost}.
    """
    signed = certificate("localhost", None, key, digest=algorithm, **more).certificate
    changed = x509.load_der_x509_certificate(change(signed.public_bytes(Encoding.DER)))
    return SslStreamCertificateContext(changed, key)


_EC = newKey()
#: sha256WithRSAEncryption, but for its last byte.
_WITH_RSA = bytes.fromhex("2a864886f70d0101")


def signedWith(number: int) -> SslStreamCertificateContext:
    """
    @return: a certificate that says it is signed with another algorithm of PKCS
        #1.
    """

    def change(encoded: bytes) -> bytes:
        assert encoded.count(_WITH_RSA + b"\x0b") == 2
        return encoded.replace(_WITH_RSA + b"\x0b", _WITH_RSA + bytes((number,)))

    return selfSigned(rsaKey(), hashes.SHA256(), change)


class CertificateMixin(StreamMixin):
    """
    The hash function of C{tls-server-end-point}.
    """

    def found(self, context: SslStreamCertificateContext) -> Iterator[Any]:
        """
        @return: what both ends have where the server shows this.
        """
        pair = StreamPair()
        outcomes = pair.authenticate(
            self.version,
            client={"remoteCertificateValidationCallback": lambda *_: True},
            server={"serverCertificateContext": context, "serverCertificate": None},
        )
        for outcome in outcomes:
            self.successResultOf(outcome)
        self.assertEqual(pair.client.remoteCertificate, context.certificate)
        return iter(bindings(Endpoint, pair.client, pair.server))

    def test_hashes(self) -> None:
        """
        It is the one of the certificate's signature, whatever the key in it;
        instead of MD5 and SHA-1 it is SHA-256.
        """
        pss = padding.PSS(padding.MGF1(hashes.SHA512()), 32)
        for context, name in (
            (selfSigned(rsaKey(), hashes.SHA256()), "sha256"),
            (selfSigned(rsaKey(), hashes.SHA384()), "sha384"),
            (selfSigned(rsaKey(), hashes.SHA512()), "sha512"),
            (selfSigned(rsaKey(), hashes.SHA512(), padding=pss), "sha512"),
            (selfSigned(_EC, hashes.SHA256()), "sha256"),
            (selfSigned(_EC, hashes.SHA384()), "sha384"),
            (signedWith(4), "sha256"),
            (signedWith(5), "sha256"),
            (AUTHORITY.issue("localhost", key=ed25519.Ed25519PrivateKey.generate()), "sha256"),
        ):
            self.assertEqual(list(self.found(context)), [digestOf(context, name)] * 2, name)

    def test_noHash(self) -> None:
        """
        A signature that has no hash function, or an unknown one, leaves the
        kind undefined.
        """
        for context in (
            selfSigned(ed25519.Ed25519PrivateKey.generate(), None),
            selfSigned(ed448.Ed448PrivateKey.generate(), None),
        ):
            self.assertEqual(list(self.found(context)), [NotSupportedError] * 2)
        try:
            found = list(self.found(signedWith(0x7F)))
        except CertificateError as e:
            # Some releases of OpenSSL do not take such a certificate at all.
            self.assertIn("md too weak", str(e))
        else:
            self.assertEqual(found, [NotSupportedError] * 2)


perVersion(segments=(0,))(CertificateMixin)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class OpenSSLPeer:
    """
    A connection creator that is not ours.

    @ivar context: its context, to be changed before the first connection.
    """

    def __init__(self, version: SslProtocols = Tls12, options: int = 0) -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        number = SSL.TLS1_3_VERSION if version is Tls13 else SSL.TLS1_2_VERSION
        self.context.set_min_proto_version(number)
        self.context.set_max_proto_version(number)
        self.context.set_options(options)
        self.context.set_session_id(b"tests")
        self.context.set_session_cache_mode(SSL.SESS_CACHE_BOTH)
        self.context.use_certificate(SERVER.certificate)
        self.context.use_privatekey(SERVER.privateKey)  # type: ignore[arg-type]
        self.session: SSL.Session | None = None

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """
        Go on with the session, if there is one.
        """
        connection = SSL.Connection(self.context, None)
        connection.set_connect_state()
        if self.session is not None:
            connection.set_session(self.session)
        return connection

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """
        Begin.
        """
        connection = SSL.Connection(self.context, None)
        connection.set_accept_state()
        return connection


def protocolOf(creator: Any, isClient: bool, wire: Wire) -> Any:
    """
    @return: a protocol of ours around connections that others have set up.
    """
    factory = SslStreamFactory(creator, isClient, Factory.forProtocol(Protocol), wire.clock)
    return factory.buildProtocol(None)


class ForeignTests(SynchronousTestCase):
    """
    Channel bindings of connections that others have set up, of those with
    others, and before TLS 1.3 without the extended master secret.
    """

    def connected(self, client: Any, server: Any) -> tuple[Any, Any]:
        """
        Connect our protocols around these creators.
        """
        wire = Wire()
        ends = protocolOf(client, True, wire), protocolOf(server, False, wire)
        wire.connect(*ends)
        wire.flush()
        for end in ends:
            self.successResultOf(end.whenAuthenticated())
        return ends

    def against(self, peer: Any, isServer: bool, version: SslProtocols = Tls12) -> SslStream:
        """
        Authenticate a stream.

        @param peer: the other end's protocol.
        """
        wire = Wire()
        wire.connect(*((peer, Bystander()) if isServer else (Bystander(), peer)))
        stream = SslStream(wire.server if isServer else wire.client, clock=wire.clock)
        authenticated = (
            stream.authenticateAsServer(serverOptions(version))
            if isServer
            else stream.authenticateAsClient(clientOptions(version))
        )
        wire.flush()
        self.successResultOf(authenticated)
        return stream

    def test_python(self) -> None:
        """
        Python's own C{ssl} has the same C{tls-unique} as we, on either side.
        """
        for isServer in (False, True):
            peer = PythonPeer(pythonContext(AUTHORITY, Tls12, not isServer), not isServer)
            stream = self.against(peer, isServer)
            self.assertIsNotNone(peer.unique)
            self.assertEqual(bindings(Unique, stream), [peer.unique])

    def test_pythonResumed(self) -> None:
        """
        It has the same where an earlier session goes on, whose Finished
        messages come in the other order.
        """
        context, creator = pythonContext(AUTHORITY, Tls12, False), OpenSSLPeer()
        session = None
        seen = set()
        for isResumed in (False, True):
            wire = Wire()
            peer, server = PythonPeer(context, False, session), protocolOf(creator, False, wire)
            wire.connect(peer, server)
            wire.flush()
            self.assertEqual((peer.tls.session_reused, server.isResumed), (isResumed, isResumed))
            self.assertEqual(bindings(Unique, server), [peer.unique])
            session = peer.tls.session
            seen.add(peer.unique)
        self.assertEqual(len(seen), 2)

    def test_pythonServerResumes(self) -> None:
        """
        It has the same where it is the server.
        """
        context, creator = pythonContext(AUTHORITY, Tls12, True), OpenSSLPeer()
        # The session of one that is garbage does not go on.
        clients = []
        for isResumed in (False, True):
            wire = Wire()
            peer, client = PythonPeer(context, True), protocolOf(creator, True, wire)
            clients.append(client)
            wire.connect(client, peer)
            wire.flush()
            self.assertEqual(client.isResumed, isResumed)
            self.assertEqual(bindings(Unique, client), [peer.unique])
            creator.session = client.getHandle().get_session()

    def test_twisted(self) -> None:
        """
        Around Twisted's own creators both ends have the same; there is no
        C{Exporter} before TLS 1.3, since they allow renegotiation.
        """
        root = ssl.Certificate.loadPEM(certificatePEM(AUTHORITY.certificate))
        for version, limits in (
            (Tls12, {"lowerMaximumSecurityTo": ssl.TLSVersion.TLSv1_2}),
            (Tls13, {"raiseMinimumTo": ssl.TLSVersion.TLSv1_3}),
        ):
            if version is Tls12:
                limits["insecurelyLowerMinimumTo"] = ssl.TLSVersion.TLSv1_2
            own = ssl.PrivateCertificate.loadPEM(certificatePEM(SERVER) + keyPEM(SERVER))
            client, server = self.connected(
                ssl.optionsForClientTLS("localhost", root, extraCertificateOptions=limits),
                own.options(),
            )
            self.assertEqual((client.sslProtocol, server.sslProtocol), (version, version))
            self.assertEqual((client.isServer, server.isServer), (False, True))
            self.assertEqual(bindings(Endpoint, client, server), [digestOf(SERVER)] * 2)
            for kind, only in ((Unique, Tls12), (Exporter, Tls13)):
                one, other = bindings(kind, client, server)
                self.assertEqual(one, other)
                self.assertEqual(one is not NotSupportedError, version is only)
            self.assertEqual(exportedBy(client), exportedBy(server))
            self.assertIsInstance(exportedBy(client), bytes)
            client.transport.lost(ConnectionDone())
            self.assertEqual(bindings(Endpoint, client), [StreamClosedError])

    def test_renegotiationForbidden(self) -> None:
        """
        With creators that forbid renegotiation there is C{Exporter} in TLS 1.2.
        """
        creators = [OpenSSLPeer(options=SSL.OP_NO_RENEGOTIATION) for _ in range(2)]
        client, server = self.connected(*creators)
        one, other = bindings(Exporter, client, server)
        self.assertIsInstance(one, ChannelBinding)
        self.assertEqual(one, other)

    def test_noExtendedMasterSecret(self) -> None:
        """
        Before TLS 1.3, where the other end does not know the extended master
        secret, nothing that comes from the secrets can be had, on either side;
        in TLS 1.3 it does not matter.
        """
        for version, options, isThere in (
            (Tls12, _OP_NO_EXTENDED_MASTER_SECRET, False),
            (Tls12, 0, True),
            (Tls13, _OP_NO_EXTENDED_MASTER_SECRET, True),
        ):
            for isServer in (False, True):
                creator = OpenSSLPeer(version, options | SSL.OP_NO_RENEGOTIATION)
                peer = protocolOf(creator, isServer, Wire())
                stream = self.against(peer, isServer, version)
                kinds = [Exporter, Unique][: 1 + (version is Tls12)]
                for kind in kinds:
                    for end in (stream, peer):
                        (found,) = bindings(kind, end)
                        self.assertEqual(isinstance(found, ChannelBinding), isThere)
                        self.assertEqual(found is NotSupportedError, not isThere)
                self.assertEqual(bindings(Endpoint, stream, peer), [digestOf(SERVER)] * 2)
                for end in (stream, peer):
                    self.assertEqual(exportedBy(end) is NotSupportedError, not isThere)
                    self.assertEqual(isinstance(exportedBy(end), bytes), isThere)

    def test_renegotiated(self) -> None:
        """
        After a renegotiation both ends have the C{tls-unique} of the latest
        handshake; as long as that is under way there is none.
        """
        wire = Wire()
        client, server = (
            protocolOf(OpenSSLPeer(), True, wire),
            protocolOf(OpenSSLPeer(), False, wire),
        )
        wire.connect(client, server)
        wire.flush()
        before: set[object] = set()
        meanwhile: set[object] = set()
        for _ in range(3):
            one, other = bindings(Unique, client, server)
            self.assertIsInstance(one, ChannelBinding)
            self.assertEqual(one, other)
            key = exportedBy(client)
            self.assertEqual(key, exportedBy(server))
            self.assertEqual(before & {one, key}, set())
            if before:
                self.assertIn(InvalidOperationError, meanwhile)
                # Not anything half-way.
                self.assertLessEqual(meanwhile, before | {InvalidOperationError, one, key})
            before = {one, key}
            meanwhile = set()
            connection = server.getHandle()
            self.assertTrue(connection.renegotiate())
            connection.do_handshake()
            server._flushSendBIO()
            while wire.step():
                meanwhile |= {*bindings(Unique, client, server)}
                meanwhile |= {exportedBy(client), exportedBy(server)}
