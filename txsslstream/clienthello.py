# -*- test-case-name: tests.test_clienthello -*-
"""
What a client asks for, read before OpenSSL sees a byte (RFC 8446 section 4.1.2;
.NET: C{SslClientHelloInfo}).

A hello may be cut anywhere, into segments and into records (RFC 8446 section
5.1).  It is only read here, not judged: OpenSSL gets the same bytes afterwards,
and refuses what is malformed inside.  Of such a hello, what comes before the
fault is used, as .NET does.

Only the first hello of a connection is read, not the one that answers a
HelloRetryRequest.

No I/O, bounded, and it never raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from hashlib import sha256
from itertools import takewhile
from typing import NamedTuple

from typing_extensions import Self

from .ciphersuites import TlsCipherSuite
from .codepoints import groupName, isGrease, signatureName
from .enums import SslProtocols
from .names import serverNameFor, unicodeHostName
from .parameters import SslApplicationProtocol
from .records import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_SIZE,
    RecordBoundary,
)
from .vectors import codePoints, firstVector, labelled, vectors

_CLIENT_HELLO = 1
_MESSAGE_HEADER = 4
_LARGEST_RECORD = 1 << 14
_RECORDS = frozenset({CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA})

#: How requests of HTTP begin, as far as the header of a record would go; the
#: last is HTTP/2 (RFC 9113 section 3.4).
_HTTP = (
    b"GET ",
    b"PUT ",
    b"HEAD ",
    b"POST ",
    b"PATCH",
    b"TRACE",
    b"DELET",
    b"CONNE",
    b"OPTIO",
    b"PRI *",
)
_SSL2_VERSIONS = (b"\0\2", b"\3")

# Extensions (IANA "TLS ExtensionType Values").
_SERVER_NAME = 0
_SUPPORTED_GROUPS = 10
_SIGNATURE_ALGORITHMS = 13
_APPLICATION_PROTOCOLS = 16
_SUPPORTED_VERSIONS = 43
_KEY_SHARE = 51

_HOST_NAME = b"\0"

_TLS12 = 0x0303
_VERSIONS = {
    0x0300: SslProtocols.Ssl3,
    0x0301: SslProtocols.Tls,
    0x0302: SslProtocols.Tls11,
    _TLS12: SslProtocols.Tls12,
    0x0304: SslProtocols.Tls13,
}
_SUITES = {int(suite): suite for suite in TlsCipherSuite}

#: What JA4 calls the versions, and what is not there.
_JA4_VERSIONS = {
    0x0002: "s2",
    0x0300: "s3",
    0x0301: "10",
    0x0302: "11",
    _TLS12: "12",
    0x0304: "13",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
_JA4_UNKNOWN = "00"
_JA4_NOTHING = "0" * 12


class _Hello(NamedTuple):
    """
    A hello's parts, in its order and without GREASE.

    @ivar version: C{legacy_version}; 0 if there is none.
    """

    version: int
    cipherSuites: list[int]
    extensions: list[tuple[int, bytes]]

    def extension(self, wanted: int) -> bytes | None:
        """
        @return: the content of the first extension of a type.
        """
        return next((content for kind, content in self.extensions if kind == wanted), None)

    def codes(self, wanted: int, width: int = 2) -> list[int]:
        """
        @param width: bytes of the length of the list.
        @return: the list in an extension.
        """
        return _meaningful(codePoints(firstVector(self.extension(wanted) or b"", width)[0]))

    @property
    def versions(self) -> list[int] | None:
        """
        The list of versions; L{None} if there is none, which is not the same as
        an empty one.
        """
        if self.extension(_SUPPORTED_VERSIONS) is None:
            return None
        return self.codes(_SUPPORTED_VERSIONS, 1)

    @property
    def protocols(self) -> list[bytes]:
        """
        The names in ALPN.
        """
        names, _ = firstVector(self.extension(_APPLICATION_PROTOCOLS) or b"", 2)
        return list(vectors(names, 1))


def _meaningful(codes: Iterable[int]) -> list[int]:
    return [code for code in codes if not isGrease(code)]


def _parts(raw: bytes) -> _Hello:
    body = raw[_MESSAGE_HEADER:]
    # Behind the version there are a random number, the identifier of a session,
    # the suites, the methods of compression, and the extensions.
    _, rest = firstVector(body[2 + 32 :], 1)
    suites, rest = firstVector(rest, 2)
    _, rest = firstVector(rest, 1)
    extensions, _ = firstVector(rest, 2)
    return _Hello(
        int.from_bytes(body[:2], "big"),
        _meaningful(codePoints(suites)),
        [each for each in labelled(extensions) if not isGrease(each[0])],
    )


def _serverName(content: bytes) -> str:
    """
    @param content: of the extension (RFC 6066 section 3).
    """
    names, behindNames = firstVector(content, 2)
    name, behindName = firstVector(names[1:], 2)
    if names[:1] != _HOST_NAME or behindName or behindNames:
        return ""
    try:
        text = name.decode("ascii")
        isHost = serverNameFor(text) is not None
    except ValueError:
        return ""
    return unicodeHostName(text) if isHost else ""


def _protocols(hello: _Hello) -> SslProtocols:
    versions = hello.versions
    if versions is None:
        # Whatever is above TLS 1.2 cannot be had that way (RFC 8446 section
        # 4.2.1), and nobody means SSL by it unless it is said.
        best = min(hello.version, _TLS12)
        versions = [best, *(each for each in _VERSIONS if 0x0301 <= each < best)]
    offered = SslProtocols.None_
    for each in versions:
        offered |= _VERSIONS.get(each, SslProtocols.None_)
    return offered


def _ja4(hello: _Hello) -> str:
    versions = [hello.version] if hello.versions is None else hello.versions
    kinds = [kind for kind, _ in hello.extensions]
    first = hello.protocols[0] if hello.protocols else b""
    ends = first[:1] + first[-1:]
    if not ends:
        alpn = _JA4_UNKNOWN
    elif ends.isalnum():
        alpn = ends.decode("ascii")
    else:
        alpn = first.hex()[0] + first.hex()[-1]
    hashed = _hexadecimal(
        sorted(kind for kind in kinds if kind not in (_SERVER_NAME, _APPLICATION_PROTOCOLS))
    )
    schemes = _hexadecimal(hello.codes(_SIGNATURE_ALGORITHMS))
    return "_".join(
        (
            f"t{_JA4_VERSIONS.get(max(versions, default=0), _JA4_UNKNOWN)}"
            f"{'d' if _SERVER_NAME in kinds else 'i'}"
            f"{min(len(hello.cipherSuites), 99):02}{min(len(kinds), 99):02}{alpn}",
            _digest(_hexadecimal(sorted(hello.cipherSuites))),
            _digest(f"{hashed}_{schemes}" if schemes else hashed),
        )
    )


def _hexadecimal(codes: Iterable[int]) -> str:
    return ",".join(f"{code:04x}" for code in codes)


def _digest(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12] if text else _JA4_NOTHING


@dataclass(frozen=True)
class SslClientHelloInfo:
    """
    What a client asks for (.NET: C{SslClientHelloInfo}).  Lists have the
    client's order; values that mean nothing (GREASE, RFC 8701) are left out.

    @ivar serverName: the server's name in Unicode; empty if the client gave
        none, or anything else than one host name (RFC 6066 section 3).
    @ivar sslProtocols: the versions that it offers: those that it lists, or else
        (before TLS 1.3) its C{legacy_version} and the versions of TLS below it.
        .NET adds C{legacy_version} and the record's version to a list, although
        a client that lists TLS 1.3 alone takes no other.
    @ivar applicationProtocols: the ALPN protocols, best first.
    @ivar cipherSuites: the suites, best first.  A number is one that
        L{TlsCipherSuite} does not know; that may be a mere signal, as
        C{0x00ff} for secure renegotiation (RFC 5746) and C{0x5600} for a
        fallback (RFC 7507).
    @ivar groups: the groups for the exchange of keys, best first, by their
        registered names (C{"x25519"}) or as numbers.
    @ivar keyShares: the groups for which it has sent a key at once (RFC 8446
        section 4.2.8).
    @ivar signatureAlgorithms: the signatures that it takes, best first, by
        their registered names (C{"ecdsa_secp256r1_sha256"}) or as numbers.
    @ivar extensions: the types of all extensions, as numbers.
    @ivar raw: the message, with its header of four bytes and without those of
        records.
    """

    serverName: str = ""
    sslProtocols: SslProtocols = SslProtocols.None_
    applicationProtocols: tuple[SslApplicationProtocol, ...] = ()
    cipherSuites: tuple[TlsCipherSuite | int, ...] = ()
    groups: tuple[str | int, ...] = ()
    keyShares: tuple[str | int, ...] = ()
    signatureAlgorithms: tuple[str | int, ...] = ()
    extensions: tuple[int, ...] = ()
    raw: bytes = field(default=b"", repr=False)

    @classmethod
    def fromMessage(cls, raw: bytes) -> Self:
        """
        Read a hello.

        @param raw: the message, with its header of four bytes.
        """
        hello = _parts(raw)
        shares, _ = firstVector(hello.extension(_KEY_SHARE) or b"", 2)
        return cls(
            serverName=_serverName(hello.extension(_SERVER_NAME) or b""),
            sslProtocols=_protocols(hello),
            applicationProtocols=tuple(
                # An empty name is a fault (RFC 7301 section 3.1).
                map(SslApplicationProtocol, takewhile(len, hello.protocols))
            ),
            cipherSuites=tuple(_SUITES.get(code, code) for code in hello.cipherSuites),
            groups=tuple(map(groupName, hello.codes(_SUPPORTED_GROUPS))),
            keyShares=tuple(map(groupName, _meaningful(code for code, _ in labelled(shares)))),
            signatureAlgorithms=tuple(map(signatureName, hello.codes(_SIGNATURE_ALGORITHMS))),
            extensions=tuple(kind for kind, _ in hello.extensions),
            raw=raw,
        )

    @cached_property
    def ja4(self) -> str:
        """
        The fingerprint JA4 of the client (by FoxIO), for TLS over TCP: what is
        special about the hello of one program, such as
        C{"t13d1516h2_8daaf6152771_e5627efa2ab1"}.  It is no proof of anything.
        """
        return _ja4(_parts(self.raw))


class HelloState(Enum):
    """
    How far a L{ClientHelloReader} is.
    """

    #: More has to come.
    incomplete = "incomplete"
    #: The hello is there.
    complete = "complete"
    #: No hello will be.
    invalid = "invalid"


class ClientHelloReader:
    """
    Reads a client's first bytes, however they are cut.  Each is looked at a few
    times at most.

    @ivar state: how far it is.
    @ivar reason: why no hello will be there, in words; empty if it is not so.
    @ivar info: the hello, once and as long as it is L{HelloState.complete}.
    """

    #: How many bytes are kept, whatever they are; from a client that sends more
    #: before it is answered no hello is taken.  OpenSSL's limit is about that.
    LIMIT = 128 * 1024

    __slots__ = ("_header", "_kept", "_records", "_size", "info", "reason", "state")

    def __init__(self) -> None:
        self.state = HelloState.incomplete
        self.reason = ""
        self.info: SslClientHelloInfo | None = None
        self._kept = bytearray()
        self._records = RecordBoundary()
        # The message's: its header, and how much of it has come.
        self._header = bytearray()
        self._size = 0

    @property
    def received(self) -> bytes:
        """
        All bytes that were fed, up to L{LIMIT}: for OpenSSL.
        """
        return bytes(self._kept)

    def feed(self, data: bytes) -> None:
        """
        Add bytes that the client sent.
        """
        room = self.LIMIT - len(self._kept)
        self._kept += data[:room]
        if self.state is HelloState.incomplete:
            self._read(data[:room])
        if len(data) > room:
            self._refuse(f"more than {self.LIMIT} bytes before any answer")

    def _read(self, data: bytes) -> None:
        for start, end in self._records.contents(data):
            header = self._records.header
            if start < end:
                self._add(data[start:end])
            elif len(header) == HEADER_SIZE:
                self._refuse(_faultOf(header))
            if self.state is not HelloState.incomplete:
                return

    def _add(self, content: bytes) -> None:
        self._header += content[: _MESSAGE_HEADER - len(self._header)]
        self._size += len(content)
        kind = self._header[0]
        size = _MESSAGE_HEADER + int.from_bytes(self._header[1:], "big")
        if kind != _CLIENT_HELLO:
            self._refuse(f"a handshake message of type {kind} instead of a ClientHello")
        elif len(self._header) < _MESSAGE_HEADER:
            return
        elif size > self.LIMIT:
            self._refuse(f"a ClientHello of {size} bytes, of which at most {self.LIMIT} are read")
        elif size <= self._size:
            received = self.received
            spans = RecordBoundary().contents(received)
            message = b"".join(received[start:end] for start, end in spans)[:size]
            self.info = SslClientHelloInfo.fromMessage(message)
            self.state = HelloState.complete

    def _refuse(self, reason: str) -> None:
        """
        Give up, if there is a reason; the first one stays.
        """
        if reason and not self.reason:
            self.state = HelloState.invalid
            self.reason = reason
            self.info = None


def _faultOf(header: bytes) -> str:
    """
    @return: what is wrong with a record, if it is to hold a part of a hello.
    """
    if header.startswith(_HTTP):
        return "plain-text HTTP instead of TLS"
    if header[0] & 0x80 and header[2] == _CLIENT_HELLO and header[3:].startswith(_SSL2_VERSIONS):
        return "a hello of SSL 2.0"
    if header[0] not in _RECORDS or header[1] != 3:
        return f"no record of TLS: {header!r}"
    if header[0] != HANDSHAKE:
        return f"a record of type {header[0]} instead of a ClientHello"
    size = int.from_bytes(header[3:], "big")
    if not 0 < size <= _LARGEST_RECORD:
        return f"a record of {size} bytes, not 1 to {_LARGEST_RECORD}"
    return ""
