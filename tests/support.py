"""
What the tests have in common: an authority for good and bad certificates, a
wire in memory that obeys, and pairs of streams on it.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txsslstream import (
    CipherAlgorithmType,
    CipherSuitesPolicy,
    EncryptionPolicy,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamCertificateContext,
    TlsCipherSuite,
)
from txsslstream.ciphersuites import propertiesOf
from txsslstream.sessions import sessions

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

#: The versions that every behaviour is tested for.
VERSIONS = (SslProtocols.Tls12, SslProtocols.Tls13)


@cache
def rsaKey(number: int = 0) -> rsa.RSAPrivateKey:
    """
    An RSA key of 2048 bits; they are slow to make.
    """
    return rsa.generate_private_key(65537, 2048)


def generalName(name: str) -> x509.GeneralName:
    """
    A name as a certificate has it: an IP address, an e-mail address or a host.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


class Authority:
    """
    A certificate authority.

    @ivar certificate: its own certificate.
    @ivar trust: the trust in it alone.
    """

    certificate: x509.Certificate

    def __init__(
        self,
        name: str = "Test Authority",
        issuer: Authority | None = None,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        notBefore: datetime.datetime = NOW - 10 * DAY,
        notAfter: datetime.datetime = NOW + 100 * DAY,
        isAuthority: bool = True,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._issuer = issuer
        self.certificate = (issuer or self)._sign(
            self.key.public_key(),
            _name(name),
            _name(name) if issuer is None else issuer.certificate.subject,
            [(x509.BasicConstraints(isAuthority, None), True), (_CERT_SIGN, True), *extensions],
            notBefore,
            notAfter,
        )

    @property
    def trust(self) -> SslCertificateTrust:
        return SslCertificateTrust.fromCertificates([self.certificate])

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """
        What has to be sent behind a certificate of this authority.
        """
        return () if self._issuer is None else (self.certificate, *self._issuer.chain)

    def issue(
        self,
        *names: str,
        subject: str | None = None,
        usages: Iterable[x509.ObjectIdentifier] = (
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
        ),
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        notBefore: datetime.datetime = NOW - DAY,
        notAfter: datetime.datetime = NOW + 10 * DAY,
        key: Any = None,
        claimed: Authority | None = None,
    ) -> SslStreamCertificateContext:
        """
        Issue a certificate for these names.

        @param claimed: whose key the certificate says it was signed with.
        @param extensions: more of them, with whether each is critical.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        all: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(False, None), True)]
        if names:
            all.append((x509.SubjectAlternativeName(map(generalName, names)), False))
        usages = list(usages)
        if usages:
            all.append((x509.ExtendedKeyUsage(usages), False))
        certificate = self._sign(
            key.public_key(),
            _name(subject or (names[0] if names else "nobody")),
            self.certificate.subject,
            [*all, *extensions],
            notBefore,
            notAfter,
            claimed,
        )
        return SslStreamCertificateContext(certificate, key, self.chain)

    def _sign(
        self,
        publicKey: Any,
        subject: x509.Name,
        issuer: x509.Name,
        extensions: Iterable[tuple[x509.ExtensionType, bool]],
        notBefore: datetime.datetime,
        notAfter: datetime.datetime,
        claimed: Authority | None = None,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer, subject, publicKey, x509.random_serial_number(), notBefore, notAfter
        )
        # Strict verifiers, such as Python 3.13's, insist on these two.
        identifiers: list[tuple[x509.ExtensionType, bool]] = [
            (x509.SubjectKeyIdentifier.from_public_key(publicKey), False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    (claimed or self).key.public_key()
                ),
                False,
            ),
        ]
        for extension, isCritical in (*identifiers, *extensions):
            builder = builder.add_extension(extension, isCritical)
        return builder.sign(self.key, hashes.SHA256())


#: What the key of an authority is for.
_CERT_SIGN = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(commonName: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, commonName)])


@implementer(ITransport)
class MemoryTransport:
    """
    One end of a L{Wire}.  Like a socket's, its buffer pauses a producer above
    64 KiB, closing waits for the buffer, and everything that its protocol is
    told it is told by L{Wire.step}, never from within a call.

    @ivar isPaused: whether its protocol wants no data.
    @ivar closing: what its protocol will be told when it is closed, if so.
    """

    bufferSize = 1 << 16
    disconnecting = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.protocol: Any = None
        self.connected = True
        self.isPaused = False
        self.written = bytearray()
        self.everWritten = bytearray()
        self.closing: Exception | None = None
        self.producer: Any = None
        self.producerPaused = False

    def __repr__(self) -> str:
        return f"<MemoryTransport {self.name}>"

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"bytes, not {type(data).__name__}")
        if not self.connected or self.closing is not None:
            return
        self.written += data
        self.everWritten += data
        if self.producer is not None and len(self.written) > self.bufferSize:
            self._pauseProducer()

    def _pauseProducer(self) -> None:
        if not self.producerPaused:
            self.producerPaused = True
            self.producer.pauseProducing()

    def drained(self) -> None:
        """
        The buffer has been sent.
        """
        if self.producer is not None and self.producerPaused and not self.written:
            self.producerPaused = False
            self.producer.resumeProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self.closing is None:
            self.closing = ConnectionDone("closed")

    def abortConnection(self) -> None:
        self.written.clear()
        self.closing = ConnectionAborted()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if self.producer is not None:
            raise RuntimeError("there is a producer")
        self.producer = producer
        self.producerPaused = False
        if not self.connected:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.isPaused = True

    def resumeProducing(self) -> None:
        self.isPaused = False

    def stopProducing(self) -> None:
        self.loseConnection()

    def lost(self, reason: Exception) -> None:
        """
        The connection is gone.
        """
        self.connected = False
        self.written.clear()
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))

    def setTcpNoDelay(self, enabled: bool) -> None:
        # Some applications insist on being able to say so.
        pass

    def getPeer(self) -> Any:
        return f"peer of {self.name}"

    def getHost(self) -> Any:
        return self.name


class Wire:
    """
    Two transports in memory.

    @ivar client: the one end.
    @ivar server: the other.
    @ivar segment: how many bytes are delivered at a time; 0 for all.
    @ivar clock: for everything on this wire.
    """

    def __init__(self, segment: int = 0, keepsSessions: bool = False) -> None:
        """
        @param keepsSessions: whether a client on this wire may go on with a
            session that began on another.
        """
        if not keepsSessions:
            sessions.clear()
        self.clock = Clock()
        self.client = MemoryTransport("client")
        self.server = MemoryTransport("server")
        self.segment = segment

    def connect(self, client: Any, server: Any) -> None:
        """
        Connect two protocols.
        """
        self.client.protocol = client
        self.server.protocol = server
        server.makeConnection(self.server)
        client.makeConnection(self.client)

    def step(self) -> bool:
        """
        Let the clock do what is due, and move one segment each way.

        @return: whether anything moved.
        """
        self.clock.advance(0)
        ends = ((self.client, self.server), (self.server, self.client))
        moved = [self._deliver(one, other) for one, other in ends]
        moved += [self._close(one, other) for one, other in ends]
        return any(moved)

    def _deliver(self, source: MemoryTransport, target: MemoryTransport) -> bool:
        if not source.written or target.isPaused or not target.connected:
            if source.written and not target.connected:
                source.written.clear()
            return False
        size = self.segment or len(source.written)
        data = bytes(source.written[:size])
        del source.written[:size]
        target.protocol.dataReceived(data)
        source.drained()
        return True

    def _close(self, one: MemoryTransport, other: MemoryTransport) -> bool:
        if not one.connected or one.closing is None or one.written:
            return False
        reason = one.closing
        one.lost(reason)
        if other.connected and not other.isPaused:
            self._lose(other, reason)
        elif other.connected:
            other.closing = other.closing or ConnectionDone("the other end closed")
        return True

    def _lose(self, end: MemoryTransport, reason: Exception) -> None:
        isReset = isinstance(reason, ConnectionAborted)
        end.lost(ConnectionLost("reset") if isReset else ConnectionDone("closed by the peer"))

    def cut(self, reason: type[Exception] = ConnectionLost) -> None:
        """
        Lose the connection at both ends at once, with all that is under way.
        """
        for end in (self.client, self.server):
            if end.connected:
                end.lost(reason())

    def flush(self, limit: int = 10_000_000) -> None:
        """
        Go on until nothing moves any more.
        """
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the wire does not come to rest")


class Bystander(Protocol):
    """
    The protocol that a transport had before a stream took it over.

    @ivar lost: why its connection ended.
    """

    lost: Failure | None = None
    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


AUTHORITY = Authority()
SERVER = AUTHORITY.issue("localhost", "127.0.0.1")
CLIENT = AUTHORITY.issue("client@example.com")


def _der(tag: int, content: bytes) -> bytes:
    """
    @return: a value of more than 127 and less than 65,536 bytes in DER.
    """
    return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content


def resigned(content: bytes, key: ec.EllipticCurvePrivateKey = AUTHORITY.key) -> bytes:
    """
    @return: the certificate that an authority with that key makes of the part
        that is signed.
    """
    signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
    ecdsaWithSha256 = bytes.fromhex("300a06082a8648ce3d040302")
    bits = bytes((3, len(signature) + 1, 0)) + signature
    return _der(0x30, content + ecdsaWithSha256 + bits)


def ofUnknownVersion(certificate: x509.Certificate) -> bytes:
    """
    @return: the certificate as one of a version that there is not.
    """
    version = bytes.fromhex("a0030201")
    content = certificate.tbs_certificate_bytes
    assert version + b"\2" in content
    return resigned(content.replace(version + b"\2", version + b"\7", 1))


def withBadTime(certificate: x509.Certificate) -> bytes:
    """
    @return: the certificate with a time that is none.
    """
    content = certificate.tbs_certificate_bytes
    return resigned(re.sub(rb"(\x17\x0d\d{12})Z", rb"\1+", content, count=1))


class Pair:
    """
    A client's and a server's stream in memory, not yet authenticated.
    """

    wireClass: type[Wire] = Wire

    def __init__(self, segment: int = 0, keepsSessions: bool = False, **arguments: Any) -> None:
        """
        @param keepsSessions: see L{Wire.__init__}.
        """
        self.wire = self.wireClass(segment, keepsSessions)
        self.bystanders = (Bystander(), Bystander())
        self.wire.connect(*self.bystanders)
        self.clock = self.wire.clock
        self.client = SslStream(self.wire.client, clock=self.clock, **arguments)
        self.server = SslStream(self.wire.server, clock=self.clock, **arguments)

    def authenticate(
        self,
        version: SslProtocols = SslProtocols.None_,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        flush: bool = True,
    ) -> tuple[Any, Any]:
        """
        Authenticate both.

        @return: the Deferreds of the client and of the server.
        """
        serverSide = self.server.authenticateAsServer(serverOptions(version, **(server or {})))
        clientSide = self.client.authenticateAsClient(clientOptions(version, **(client or {})))
        if flush:
            self.wire.flush()
        return clientSide, serverSide


def onlySuite(suite: TlsCipherSuite) -> dict[str, Any]:
    """
    Options that permit one suite, even one that does not encrypt.
    """
    isNull = propertiesOf(suite).cipherAlgorithm is CipherAlgorithmType.Null
    policy = EncryptionPolicy.NoEncryption if isNull else EncryptionPolicy.RequireEncryption
    return {"cipherSuitesPolicy": CipherSuitesPolicy([suite]), "encryptionPolicy": policy}


def clientOptions(
    version: SslProtocols = SslProtocols.None_, **options: Any
) -> SslClientAuthenticationOptions:
    """
    Options that accept L{SERVER}, with changes.
    """
    return SslClientAuthenticationOptions(
        **{
            "targetHost": "localhost",
            "trust": AUTHORITY.trust,
            "enabledSslProtocols": version,
            **options,
        }
    )


def serverOptions(
    version: SslProtocols = SslProtocols.None_, **options: Any
) -> SslServerAuthenticationOptions:
    """
    Options that present L{SERVER} and trust L{AUTHORITY}, with changes.
    """
    if "serverCertificateSelectionCallback" not in options:
        options.setdefault("serverCertificate", SERVER)
    return SslServerAuthenticationOptions(
        **{"trust": AUTHORITY.trust, "enabledSslProtocols": version, **options}
    )


def perVersion(*, segments: tuple[int, ...] = (0, 1)) -> Callable[[type], type]:
    """
    Run a test case for TLS 1.2 and 1.3 and each segmentation: a class decorator
    that replaces a mixin by one test case for each, with C{version} and
    C{segment} set, in the mixin's module.
    """

    def decorate(mixin: type) -> type:
        import sys

        from twisted.trial.unittest import SynchronousTestCase

        module = sys.modules[mixin.__module__]
        for version in VERSIONS:
            for segment in segments:
                name = f"{mixin.__name__}_{version.name}_{segment or 'whole'}"
                made = type(
                    name,
                    (mixin, SynchronousTestCase),
                    {
                        "version": version,
                        "segment": segment,
                        "__module__": mixin.__module__,
                        "__doc__": mixin.__doc__,
                    },
                )
                setattr(module, name, made)
        return mixin

    return decorate
