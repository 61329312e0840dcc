"""
Tests for L{txsslstream.proxyheader}: what is a header of the PROXY protocol, and what is none.
"""

from __future__ import annotations

import ipaddress
from random import Random

from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.proxyheader import (
    LINE_LIMIT,
    SIGNATURE,
    NoProxyHeader,
    Place,
    ProxyHeader,
    readHeader,
)


def place(address: str, port: int) -> Place:
    """
    @return: an address with its port.
    """
    return ipaddress.ip_address(address), port


FOUR = ProxyHeader(place("192.0.2.1", 56324), place("198.51.100.7", 443))
SIX = ProxyHeader(place("2001:db8::1", 1), place("2001:db8::2", 65535))
MIXED = ProxyHeader(place("192.0.2.1", 1), place("2001:db8::2", 2))
UNIX = ProxyHeader(b"/run/client", b"/run/server")

#: Headers as other programs write them, what they say, and both versions' worst.
VECTORS: tuple[tuple[bytes, ProxyHeader], ...] = (
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", FOUR),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", SIX),
    (b"PROXY UNKNOWN\r\n", ProxyHeader()),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ProxyHeader()),
    (b"PROXY UNKNOWN " + b"x" * (LINE_LIMIT - 16) + b"\r\n", ProxyHeader()),
    (
        SIGNATURE + bytes.fromhex("2111000cc0000201c6336407dc0401bb"),
        FOUR,
    ),
    (
        SIGNATURE
        + bytes.fromhex("21210024")
        + bytes.fromhex("20010db8000000000000000000000001")
        + bytes.fromhex("20010db8000000000000000000000002")
        + bytes.fromhex("0001ffff"),
        SIX,
    ),
    # With values behind the addresses.
    (SIGNATURE + bytes.fromhex("21110010c0000201c6336407dc0401bb04000100"), FOUR),
    # HAProxy's health checks, with and without addresses.
    (SIGNATURE + bytes.fromhex("20000000"), ProxyHeader(isLocal=True)),
    (SIGNATURE + bytes.fromhex("2011000cc0000201c6336407dc0401bb"), ProxyHeader(isLocal=True)),
    # Whose addresses nobody knows.
    (SIGNATURE + bytes.fromhex("21000000"), ProxyHeader()),
    (SIGNATURE + bytes.fromhex("21000003040000"), ProxyHeader()),
    (
        SIGNATURE
        + bytes.fromhex("213100d8")
        + b"/run/client".ljust(108, b"\0")
        + b"/run/server".ljust(108, b"\0"),
        UNIX,
    ),
    (SIGNATURE + bytes.fromhex("2100ffff") + b"x" * 0xFFFF, ProxyHeader()),
)

#: What is none, why, and of how many bytes that shows, if not of all.
BAD: tuple[tuple[bytes, str, int | None], ...] = (
    (b"\x16\x03\x01\x00\x05", "does not begin", 1),
    (b"GET / HTTP/1.0\r\n\r\n", "does not begin", 1),
    (b"PROXIED", "does not begin", 5),
    (b"\r\n\r\n\0\r\nQUIT\r", "does not begin", 12),
    (b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "malformed", None),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "malformed", None),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 x\r\n", "malformed", None),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "malformed", None),
    (b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "malformed", None),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 123456\r\n", "malformed", None),
    (b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "malformed", None),
    (b"PROXY UNKNOWNX\r\n", "malformed", None),
    (b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "no address", None),
    (b"PROXY TCP4 192.0.2.1 :: 1 2\r\n", "another kind", None),
    (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "another kind", None),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "another kind", None),
    (b"PROXY " + b"x" * (LINE_LIMIT - 6), "no end", None),
    (b"PROXY UNKNOWN " + b"x" * (LINE_LIMIT - 15) + b"\r\n", "no end", LINE_LIMIT),
    (SIGNATURE + bytes.fromhex("1111000c"), "version or command", None),
    (SIGNATURE + bytes.fromhex("2211000c"), "version or command", None),
    # UDP, and families that there are not.
    (SIGNATURE + bytes.fromhex("2112000c"), "about a stream", None),
    (SIGNATURE + bytes.fromhex("2141000c"), "about a stream", None),
    (SIGNATURE + bytes.fromhex("2111000b"), "too short", None),
    (SIGNATURE + bytes.fromhex("21210023"), "too short", None),
    (SIGNATURE + bytes.fromhex("213100d7"), "too short", None),
)


class ReadTests(SynchronousTestCase):
    """
    Tests for L{readHeader}.
    """

    def test_whole(self) -> None:
        """
        A header is read with all that may be behind it, and nothing of that is
        taken; of a part of it nothing is said yet.
        """
        for data, header in VECTORS:
            self.assertEqual(readHeader(data), (header, len(data)))
            self.assertEqual(readHeader(data + b"\x16\x03\x01"), (header, len(data)))
            for size in {*range(min(len(data), 120)), len(data) - 1}:
                self.assertIsNone(readHeader(data[:size]), data[:size])

    def test_none(self) -> None:
        """
        What is none is refused as soon as that shows, and not before.
        """
        for data, why, size in BAD:
            for behind in (b"", b"behind"):
                error = self.assertRaises(NoProxyHeader, readHeader, data + behind)
                self.assertIn(why, str(error))
            size = size or len(data)
            self.assertRaises(NoProxyHeader, readHeader, data[:size])
            self.assertIsNone(readHeader(data[: size - 1]), data)

    def test_anything(self) -> None:
        """
        Whatever comes is a header, the beginning of one, or none.
        """
        random = Random(20)
        for _ in range(5_000):
            data = bytearray(random.choice(VECTORS)[0][:300])
            for _ in range(random.randrange(4)):
                data[random.randrange(len(data))] = random.randrange(256)
            del data[random.randrange(len(data) + 1) :]
            try:
                found = readHeader(bytes(data))
            except NoProxyHeader:
                continue
            if found is not None:
                self.assertLessEqual(found[1], len(data))


class WriteTests(SynchronousTestCase):
    """
    Tests for L{ProxyHeader.version1} and L{ProxyHeader.version2}.
    """

    def test_vectors(self) -> None:
        """
        What is written is what others write.
        """
        self.assertEqual(FOUR.version1(), VECTORS[0][0])
        self.assertEqual(SIX.version1(), VECTORS[1][0])
        self.assertEqual(FOUR.version2(), VECTORS[5][0])
        self.assertEqual(SIX.version2(), VECTORS[6][0])
        self.assertEqual(FOUR.version2([(4, b"\0")]), VECTORS[7][0])
        self.assertEqual(ProxyHeader(isLocal=True).version2(), VECTORS[8][0])
        self.assertEqual(ProxyHeader().version2([(4, b"")]), VECTORS[11][0])

    def test_unknown(self) -> None:
        """
        Addresses of two kinds, of one end, or of UNIX sockets are not told.
        """
        for header in (MIXED, UNIX, ProxyHeader(FOUR.source), ProxyHeader(None, FOUR.source)):
            self.assertEqual(header.version1(), b"PROXY UNKNOWN\r\n")
            self.assertEqual(header.version2(), VECTORS[10][0])

    def test_twisted(self) -> None:
        """
        Twisted reads what is written.
        """
        for header in (FOUR, SIX):
            for info, rest in (
                V1Parser().feed(header.version1() + b"rest"),
                V2Parser().feed(header.version2([(32, b"x")]) + b"rest"),
            ):
                assert info is not None
                self.assertEqual(rest, b"rest")
                for place, address in (
                    (header.source, info.source),
                    (header.destination, info.destination),
                ):
                    assert isinstance(place, tuple)
                    self.assertEqual(
                        (ipaddress.ip_address(address.host), address.port),  # type: ignore[union-attr]
                        place,
                    )
