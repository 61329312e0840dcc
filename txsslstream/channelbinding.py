# -*- test-case-name: tests.test_channelbinding -*-
"""
What ties an authentication above TLS to the connection below it: channel
bindings (RFC 5056), and keys that nobody but the two ends can derive.

Such a value is worth something if no other connection can have the same.
Before TLS 1.3 that takes the extended master secret (RFC 7627): without it, an
attacker in the middle can bring both of his connections to the same secrets,
and to the same Finished messages when a session goes on.  Whatever comes from
the secrets is refused without it, even where no session has gone on: what works
on a first connection should not fail on the next.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from typing_extensions import Self

from ._openssl import exportKeyingMaterial, firstFinished, isRenegotiable, isSecretUnique
from .enums import ChannelBindingKind, SslProtocols
from .errors import InvalidOperationError, NotSupportedError
from .security import SecurityInfo

#: IANA "Channel-Binding Types".
_NAMES = {
    ChannelBindingKind.Unique: "tls-unique",
    ChannelBindingKind.Endpoint: "tls-server-end-point",
    ChannelBindingKind.Exporter: "tls-exporter",
}

#: What TLS itself derives keys with (RFC 5705 section 4, RFC 7627 section 4).
_RESERVED = (
    b"client finished",
    b"server finished",
    b"master secret",
    b"extended master secret",
    b"key expansion",
)

#: Bytes.  As much as TLS 1.3 takes, and can give with the shortest of its
#: hashes (RFC 8446 section 7.1, RFC 5869 section 2.3), in all versions.
LONGEST_LABEL = 249
LONGEST_EXPORT = 255 * 32
#: Bytes (RFC 5705 section 4).
LONGEST_CONTEXT = 0xFFFF


class Channel(NamedTuple):
    """
    An authenticated connection that is still there.

    @ivar connection: pyOpenSSL's object.
    @ivar security: what was negotiated.
    """

    connection: Any
    security: SecurityInfo


class ChannelBinding(bytes):
    """
    The channel binding data of one kind: bytes, as SASL's mechanisms want them
    (.NET's C{ChannelBinding} is L{prefixed}).  It does not show them when it is
    printed.
    """

    _kind: ChannelBindingKind

    def __new__(cls, data: bytes, kind: ChannelBindingKind) -> Self:
        """
        @param kind: any but C{Unknown}.
        """
        self = super().__new__(cls, data)
        self._kind = kind
        return self

    @property
    def kind(self) -> ChannelBindingKind:
        """
        What it is.
        """
        return self._kind

    @property
    def registeredName(self) -> str:
        """
        What that is called on the wire, such as C{"tls-unique"}: IANA's
        "Channel-Binding Types".
        """
        return _NAMES[self._kind]

    @property
    def prefixed(self) -> bytes:
        """
        The data behind the name and a colon (RFC 5056 section 2.1): what GSS-API
        mechanisms want.
        """
        return self.registeredName.encode("ascii") + b":" + self

    def __repr__(self) -> str:
        return f"<ChannelBinding {self.registeredName}, {len(self)} bytes>"

    __str__ = __repr__


class Bindable:
    """
    The part of L{txsslstream.ISslStream} that ties what is above to the
    connection.
    """

    def _channel(self) -> Channel:
        """
        @return: the connection.
        @raise InvalidOperationError: it is not authenticated yet.
        @raise AuthenticationError: the authentication failed; the same error
            each time.
        @raise StreamClosedError: it is gone.
        """
        raise NotImplementedError

    @property
    def transportContext(self) -> TransportContext:
        return TransportContext(self)

    def exportKeyingMaterial(
        self, label: str | bytes, length: int, context: bytes | None = None
    ) -> bytes:
        """
        See L{txsslstream.ISslStream.exportKeyingMaterial}.
        """
        channel = self._channel()
        octets = label.encode("utf-8") if isinstance(label, str) else bytes(memoryview(label))
        if not octets.isascii() or not 1 <= len(octets) <= LONGEST_LABEL:
            raise ValueError(f"a label has 1 to {LONGEST_LABEL} ASCII characters")
        if octets.startswith(_RESERVED):
            raise ValueError(f"TLS itself uses the label {octets.decode('ascii')!r}")
        if not 1 <= length <= LONGEST_EXPORT:
            raise ValueError(f"1 to {LONGEST_EXPORT} bytes can be had, not {length}")
        if context is not None:
            context = bytes(memoryview(context))
            if len(context) > LONGEST_CONTEXT:
                raise ValueError(f"a context has up to {LONGEST_CONTEXT} bytes")
        _demandUniqueSecret(channel)
        return exportKeyingMaterial(channel.connection, octets, length, context)


class TransportContext:
    """
    What is known of a connection's transport (.NET: C{TransportContext}).
    """

    def __init__(self, stream: Bindable) -> None:
        self._stream = stream

    def getChannelBinding(self, kind: ChannelBindingKind) -> ChannelBinding | None:
        """
        What both ends of this connection, and nobody else, have in common (.NET:
        C{GetChannelBinding}).

          - C{Unique}: the first Finished message of the latest handshake, 12
            bytes (RFC 5929 section 3.1).  Not in TLS 1.3.
          - C{Endpoint}: the hash of the server's certificate, on the server its
            own (RFC 5929 section 4.1).
          - C{Exporter}: 32 bytes (RFC 9266 section 2).

        @return: the data; L{None} for C{Unknown}.
        @raise NotSupportedError: this connection has nothing of the kind.  For
            C{Unique}, it is one of TLS 1.3; for C{Exporter}, it may be
            renegotiated; for both, a connection before TLS 1.3 has no extended
            master secret.  For C{Endpoint}, the signature of the certificate has
            no hash function of its own, as with Ed25519, or there is none.
        @raise InvalidOperationError: it is not authenticated yet, or another
            handshake is under way.
        @raise AuthenticationError: the authentication failed; the same error
            each time.
        @raise StreamClosedError: the connection is gone.
        @raise ValueError: there is no such kind.
        """
        kind = ChannelBindingKind(kind)
        channel = self._stream._channel()
        if kind is ChannelBindingKind.Unknown:
            return None
        return ChannelBinding(_SOURCES[kind](channel), kind)


def _demandUniqueSecret(channel: Channel) -> None:
    isUnique = isSecretUnique(channel.connection)
    if isUnique is None:
        raise InvalidOperationError("another handshake is under way")
    if not isUnique:
        raise NotSupportedError(
            "without the extended master secret (RFC 7627) another connection can have the same"
        )


def _unique(channel: Channel) -> bytes:
    if channel.security.sslProtocol is SslProtocols.Tls13:
        raise NotSupportedError("TLS 1.3 has no tls-unique: use Exporter (RFC 9266)")
    _demandUniqueSecret(channel)
    return firstFinished(channel.connection, channel.security.isServer)


def _exported(channel: Channel) -> bytes:
    if isRenegotiable(channel.connection):
        raise NotSupportedError("there is no tls-exporter where renegotiation is allowed")
    _demandUniqueSecret(channel)
    return exportKeyingMaterial(channel.connection, b"EXPORTER-Channel-Binding", 32, b"")


def _endpoint(channel: Channel) -> bytes:
    security = channel.security
    certificate = security.localCertificate if security.isServer else security.remoteCertificate
    if certificate is None:
        raise NotSupportedError("there is no certificate of the server")
    try:
        digest = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        digest = None
    if digest is None:
        raise NotSupportedError(
            "RFC 5929 defines no tls-server-end-point for certificates with signatures of "
            f"{certificate.signature_algorithm_oid.dotted_string}, which have no hash function"
        )
    if isinstance(digest, (hashes.MD5, hashes.SHA1)):
        digest = hashes.SHA256()
    return certificate.fingerprint(digest)


_SOURCES = {
    ChannelBindingKind.Unique: _unique,
    ChannelBindingKind.Endpoint: _endpoint,
    ChannelBindingKind.Exporter: _exported,
}
