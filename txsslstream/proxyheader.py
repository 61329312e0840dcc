# -*- test-case-name: tests.test_proxyheader -*-
"""
The header of the PROXY protocol: what whoever forwards a connection tells first
of all, from where to where that is, in one of two versions.

See U{https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt}, sections 2.1
and 2.2.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

#: The longest line of version 1, in bytes.
LINE_LIMIT = 107

#: What version 2 begins with.
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_NAME = b"PROXY "

#: Behind the signature: version and command, family and protocol, and how many
#: bytes follow.
_FIXED = struct.Struct("!BBH")
_SIZE = len(SIGNATURE) + _FIXED.size

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED = 0x00
#: Families over a stream, and their addresses.
_FORMATS = {
    0x11: struct.Struct("!4s4sHH"),
    0x21: struct.Struct("!16s16sHH"),
    0x31: struct.Struct("!108s108s"),
}
_FAMILIES = {4: 0x11, 6: 0x21}

_LINE = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5})\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")

#: An address with its port.
Place = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]


class NoProxyHeader(ValueError):
    """
    It begins otherwise than with a header, or the header makes no sense.
    """


@dataclass(frozen=True)
class ProxyHeader:
    """
    A header, of either version.

    @ivar source: where the client is, or the path of its UNIX socket; L{None} if
        that is not told.
    @ivar destination: what the client has connected to, in the same way.
    @ivar isLocal: whether the connection is the proxy's own, such as a check
        whether somebody is there; version 2 alone can say so.
    """

    source: Place | bytes | None = None
    destination: Place | bytes | None = None
    isLocal: bool = False

    def _places(self) -> tuple[Place, Place] | None:
        source, destination = self.source, self.destination
        if not isinstance(source, tuple) or not isinstance(destination, tuple):
            return None
        if source[0].version != destination[0].version:
            return None
        return source, destination

    def version1(self) -> bytes:
        """
        @return: the line of version 1.
        """
        places = self._places()
        if places is None:
            return b"PROXY UNKNOWN\r\n"
        (source, port), (destination, listening) = places
        line = f"PROXY TCP{source.version} {source} {destination} {port} {listening}\r\n"
        return line.encode("ascii")

    def version2(self, values: Iterable[tuple[int, bytes]] = ()) -> bytes:
        """
        @param values: what else there is to tell: types, as section 2.2 numbers
            them, and values.
        @return: the header of version 2.
        """
        places = self._places()
        family, addresses = _UNSPECIFIED, b""
        if places is not None:
            (source, port), (destination, listening) = places
            family = _FAMILIES[source.version]
            addresses = _FORMATS[family].pack(source.packed, destination.packed, port, listening)
        rest = addresses + encoded(values)
        command = _LOCAL if self.isLocal else _PROXY
        return SIGNATURE + _FIXED.pack(command, family, len(rest)) + rest


def encoded(values: Iterable[tuple[int, bytes]]) -> bytes:
    """
    @param values: types and values.
    @return: them one behind the other, as version 2 has them.
    """
    return b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in values)


def readHeader(data: bytes) -> tuple[ProxyHeader, int] | None:
    """
    @param data: all that has come so far.
    @return: the header and how many bytes it has; L{None} if more has to come.
    @raise NoProxyHeader: there is none.
    """
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _version2(data)
    if _NAME.startswith(data[: len(_NAME)]):
        return _version1(data)
    raise NoProxyHeader("it does not begin with a PROXY header")


def _version1(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, LINE_LIMIT) + 2
    if end < 2:
        if len(data) >= LINE_LIMIT:
            raise NoProxyHeader("its PROXY header has no end")
        return None
    line = data[:end]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(), end
    match = _LINE.fullmatch(line)
    if match is None:
        raise NoProxyHeader("its PROXY header is malformed")
    version, source, destination, port, listening = match.groups()
    return (
        ProxyHeader(_place(version, source, port), _place(version, destination, listening)),
        end,
    )


def _place(version: bytes, address: bytes, port: bytes) -> Place:
    try:
        parsed = ipaddress.ip_address(address.decode("ascii"))
    except ValueError:
        raise NoProxyHeader("its PROXY header has no address") from None
    if parsed.version != int(version) or int(port) > 0xFFFF:
        raise NoProxyHeader("its PROXY header has another kind of address")
    return parsed, int(port)


def _version2(data: bytes) -> tuple[ProxyHeader, int] | None:
    if len(data) < _SIZE:
        return None
    command, family, length = _FIXED.unpack_from(data, len(SIGNATURE))
    if command not in (_LOCAL, _PROXY):
        raise NoProxyHeader("its PROXY header has another version or command")
    if command == _PROXY and family != _UNSPECIFIED:
        if family not in _FORMATS:
            raise NoProxyHeader("its PROXY header is not about a stream")
        if length < _FORMATS[family].size:
            raise NoProxyHeader("its PROXY header is too short")
    size = _SIZE + length
    if len(data) < size:
        return None
    if command == _LOCAL:
        return ProxyHeader(isLocal=True), size
    if family == _UNSPECIFIED:
        return ProxyHeader(), size
    fields = _FORMATS[family].unpack_from(data, _SIZE)
    if len(fields) == 2:
        source, destination = (bytes(field).rstrip(b"\0") for field in fields)
        return ProxyHeader(source, destination), size
    addresses = [ipaddress.ip_address(bytes(field)) for field in fields[:2]]
    return ProxyHeader((addresses[0], fields[2]), (addresses[1], fields[3])), size
