"""
Certificates that peers present, in handshakes: OpenSSL has read them before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from twisted.internet.protocol import Protocol

from txsslstream import AuthenticationError, SslCertificateTrust, SslProtocols, SslStream
from txsslstream.testing import sharedAuthority, streamFacing
from txsslstream.testing.issuing import (
    Issued,
    alternatives,
    certificate,
    newKey,
    permitting,
    unknownExtension,
)

from .signed import AFTER, BEFORE, signed, theAuthority
from .target import Target, chosen, require

_VERSIONS = (SslProtocols.Tls12, SslProtocols.Tls13)


class _Peer(Protocol):
    """
    A peer that is nothing but OpenSSL.
    """

    def __init__(self, connection: SSL.Connection, isServer: bool) -> None:
        self._connection = connection
        if isServer:
            connection.set_accept_state()
        else:
            connection.set_connect_state()

    def connectionMade(self) -> None:
        """
        Begin.
        """
        self._pump()

    def dataReceived(self, data: bytes) -> None:
        """
        Go on.
        """
        self._connection.bio_write(data)
        self._pump()

    def _pump(self) -> None:
        transport: Any = self.transport
        try:
            self._connection.do_handshake()
            self._connection.recv(1 << 14)
        except SSL.WantReadError:
            pass
        except SSL.Error:
            transport.loseConnection()
        try:
            while True:
                transport.write(self._connection.bio_read(1 << 15))
        except SSL.Error:
            pass


@cache
def _leaf(kind: int) -> Issued:
    # The key is of this process; the certificate has it wherever it is said.
    return certificate(
        "server",
        theAuthority(),
        newKey("EC"),
        [alternatives("localhost"), *_MORE[kind]],
        serial=kind + 1,
        notBefore=BEFORE,
        notAfter=AFTER,
    )


_MORE: tuple[tuple[Any, ...], ...] = (
    (),
    (unknownExtension(),),
    ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),),
    ((x509.TLSFeature([x509.TLSFeatureType.status_request]), False),),
    (permitting(x509.DNSName("a.example")),),
)

#: Where the key of the certificate is to be put into an input.
_KEY = b"\xfe" * 65


@cache
def _key() -> tuple[Any, bytes]:
    key = newKey("EC")
    return key, _pointOf(key)


def _pointOf(key: Any) -> bytes:
    point: bytes = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point


def _presented(data: bytes) -> str:
    kind, rest = chosen(data)
    isServer = bool(kind & 1)
    key, point = _key()
    whole = signed(rest.replace(_KEY, point))
    try:
        shown = crypto.load_certificate(crypto.FILETYPE_ASN1, whole)
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(shown)
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))
    except (crypto.Error, SSL.Error):
        return "not presented"
    if kind & 4:
        context.add_extra_chain_cert(shown)
    peer = _Peer(SSL.Connection(context, None), not isServer)
    facing = streamFacing(peer, isServer)
    trust = SslCertificateTrust.fromCertificates([theAuthority().certificate])
    version = _VERSIONS[kind >> 1 & 1]
    results: list[Any] = []
    if isServer:
        waiting = facing.stream.authenticateAsServer(
            sharedAuthority().serverOptions(version, trust=trust, clientCertificateRequired=True)
        )
    else:
        waiting = facing.stream.authenticateAsClient(
            sharedAuthority().clientOptions(version, trust=trust)
        )
    waiting.addBoth(results.append)
    facing.flush()
    if results and isinstance(results[0], SslStream):
        str(facing.stream.security)
        facing.stream.security.asdict()
    facing.wire.cut()
    facing.stream.close()
    facing.advance(1000)
    require(len(results) == 1, "no end of the authentication")
    require(not facing.clock.getDelayedCalls(), "a timer is left")
    (result,) = results
    if isinstance(result, SslStream):
        return "accepted"
    result.raiseException()
    raise AssertionError


def _presentedSeeds() -> Iterator[bytes]:
    for kind in range(len(_MORE)):
        content = _leaf(kind).certificate.tbs_certificate_bytes
        own = _pointOf(_leaf(kind).key)
        for number in range(4):
            yield bytes((number,)) + content.replace(own, _KEY)
    yield b"\4" + content.replace(own, _KEY)


TARGETS = (
    Target(
        "presented",
        "certificates that peers present in handshakes, with the authority's signature",
        _presented,
        _presentedSeeds,
        (AuthenticationError,),
        longest=900,
        largest=1 << 14,
        seconds=0.5,
        perByte=2e-5,
        memory=8 << 20,
        memoryPerByte=400,
        sampled=200,
        share=2,
    ),
)
