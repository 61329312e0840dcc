"""
What is read of the records of a peer before anybody knows who that is.
"""

from __future__ import annotations

from collections.abc import Iterator

from txsslstream.certificatemessages import certificateList, keyTypes
from txsslstream.clienthello import ClientHelloReader, HelloState, SslClientHelloInfo
from txsslstream.enums import SslProtocols
from txsslstream.names import serverNameFor
from txsslstream.plaintext import OPENING_SIZE, spokenBy
from txsslstream.records import HANDSHAKE, RecordBoundary, recordKinds
from txsslstream.serverflight import ServerFlight
from txsslstream.servernames import ServerNames
from txsslstream.testing.messages import (
    applicationProtocols,
    clientHello,
    codes,
    inRecords,
    message,
    record,
    serverName,
    supportedVersions,
    vector,
)
from txsslstream.vectors import codePoints, firstVector, labelled, vectors

from .target import Target, chosen, pieces, require

#: How data is cut; the first is not at all.
_SIZES = (0, 1, 2, 5, 7, 64, 1000, 4096)

_SERVERS = ServerNames({"*.example.com": 1, "example.com": 2, "bücher.example": 3}, 4)


def _read(data: bytes, size: int) -> ClientHelloReader:
    reader = ClientHelloReader()
    for piece in pieces(data, size):
        reader.feed(piece)
    return reader


def _hello(data: bytes) -> str:
    kind, rest = chosen(data)
    if kind & 0x80:
        _look(SslClientHelloInfo.fromMessage(rest))
        return "message"
    whole, cut = _read(rest, 0), _read(rest, _SIZES[kind % len(_SIZES)])
    require(whole.received == rest[: whole.LIMIT] == cut.received, "bytes are lost")
    for reader in (whole, cut):
        isComplete = reader.state is HelloState.complete
        require((reader.info is not None) == isComplete, "a hello without being complete")
        require(bool(reader.reason) == (reader.state is HelloState.invalid), "no reason")
    if len(rest) <= whole.LIMIT:
        same = (whole.state, whole.info, whole.reason) == (cut.state, cut.info, cut.reason)
        require(same, "another hello where it is cut")
    if whole.info is not None:
        _look(whole.info)
    return whole.state.name


def _look(info: SslClientHelloInfo) -> None:
    require(len(info.ja4) == 36, "no JA4")
    repr(info)
    if info.serverName:
        serverNameFor(info.serverName)
    _SERVERS.lookup(info.serverName)
    for protocol in info.applicationProtocols:
        str(protocol)


def _helloSeeds() -> Iterator[bytes]:
    hello = clientHello(
        serverName(b"www.example.com"),
        supportedVersions(0x0A0A, 0x0304, 0x0303),
        applicationProtocols(b"h2", b"http/1.1"),
        (10, codes(0x0A0A, 29, 23)),
        (13, codes(0x0804, 0x0403)),
        (51, vector(bytes.fromhex("001d") + vector(bytes(32), 2), 2)),
        suites=(0x1301, 0xC02F, 0x00FF),
    )
    old = clientHello(serverName(b"xn--bcher-kva.example"), suites=(0xC02F,), session=bytes(32))
    for each in (hello, old, clientHello(), clientHello(version=0x0301)):
        yield b"\x80" + each
        for kind, size in enumerate((1 << 14, 3, 40)):
            yield bytes((kind,)) + inRecords(each, size)
    yield b"\0GET / HTTP/1.1\r\n"
    yield b"\0" + bytes.fromhex("802e0100020015000000100100800200800300800400800500800700c0")
    yield b"\x01" + record(21, b"\2\x28")
    yield b"\0" + record(HANDSHAKE, b"\1\x01\xff\xfa")


def _flight(data: bytes) -> str:
    kind, rest = chosen(data)
    whole, cut = ServerFlight(), ServerFlight()
    whole.feed(rest)
    for number, piece in enumerate(pieces(rest, _SIZES[kind % len(_SIZES)])):
        cut.feed(piece)
        if kind & 0x80 and number < 50:
            cut.isComplete  # noqa: B018
            cut.staple()
    said = [
        (each.cipherSuite(), each.dhePrimeBits(), each.staple(), each.isComplete)
        for each in (whole, cut)
    ]
    require(said[0] == said[1], f"another flight where it is cut: {said}")
    return "complete" if whole.isComplete else "incomplete"


def _serverHello(random: bytes = bytes(32), suite: int = 0xC02F) -> bytes:
    return message(2, b"\3\3" + random + b"\0" + suite.to_bytes(2, "big") + b"\0")


def _flightSeeds() -> Iterator[bytes]:
    certificates = message(11, vector(vector(b"certificate", 3), 3))
    exchange = message(12, vector(b"\xff" * 256, 2) + vector(b"\2", 2) + vector(b"\3", 2))
    status = message(22, b"\1" + vector(b"staple", 3))
    whole = b"".join((_serverHello(), certificates, status, exchange, message(14, b"")))
    yield b"\0" + record(HANDSHAKE, whole)
    yield b"\x81" + inRecords(whole, 50)
    yield b"\0" + record(HANDSHAKE, _serverHello(suite=0x1301)) + record(20, b"\1")
    retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    yield b"\x82" + record(HANDSHAKE, _serverHello(retry, 0x1301))


def _messages(data: bytes) -> str:
    kind, rest = chosen(data)
    for isTls13 in (False, True):
        size = sum(map(len, certificateList(rest, isTls13)))
        require(size <= len(rest), "more certificates than there are bytes")
    for protocol in (SslProtocols.Tls11, SslProtocols.Tls12, SslProtocols.Tls13):
        keyTypes(rest, protocol)
    width, trailer = 1 + kind % 4, kind // 4 % 3
    one, behind = firstVector(rest, width)
    promised = int.from_bytes(rest[:width], "big")
    isWhole = len(one) == promised and width + len(one) + len(behind) == len(rest)
    require(not (one or behind) or isWhole, "what is not whole is taken")
    require(sum(map(len, vectors(rest, width, trailer))) <= len(rest), "bytes are made")
    require(len(codePoints(rest)) == len(rest) // 2, "code points are lost")
    require(sum(len(each) + 4 for _, each in labelled(rest)) <= len(rest), "bytes are made")
    spokenBy(rest[:OPENING_SIZE])
    recordKinds(rest)
    boundary, ends = RecordBoundary(), 0
    for start, end in boundary.contents(rest):
        require(start >= ends and end >= start, "records overlap")
        ends = end
    require(ends == len(rest), "bytes are lost")
    cut = RecordBoundary()
    for piece in pieces(rest, _SIZES[kind % len(_SIZES)]):
        cut.feed(piece)
    require(
        (cut.header, cut.isInside) == (boundary.header, boundary.isInside),
        "another end where it is cut",
    )
    return "inside" if cut.isInside else "between"


def _messageSeeds() -> Iterator[bytes]:
    one, two = vector(b"one", 3), vector(b"two", 3)
    yield b"\0" + vector(one + two, 3)
    yield b"\0\0" + vector(one + b"\0\0" + two + vector(b"\0\5\0\1x", 2), 3)
    yield b"\2\2\1\x40" + codes(0x0403, 0x0804) + vector(b"", 2)
    yield b"\1\0" + vector(bytes.fromhex("000d") + vector(codes(0x0403, 0x0807), 2), 2)
    yield b"\0" + record(22, b"hello") + record(23, b"") + record(21, b"\2\0")
    for opening in (b"PRI *", b"PROXY", b"SSH-", b"\x80\x2e\1\0\2", b"\3\0\0\x13"):
        yield b"\0" + opening


TARGETS = (
    Target(
        "hello",
        "a client's hello: however it is cut it is the same, and nothing is raised",
        _hello,
        _helloSeeds,
        longest=700,
        largest=1 << 18,
        share=100,
    ),
    Target(
        "flight",
        "a server's first flight: the same, however it is cut",
        _flight,
        _flightSeeds,
        longest=600,
        largest=1 << 18,
        share=100,
    ),
    Target(
        "messages",
        "messages about certificates, vectors, records, and who speaks no TLS",
        _messages,
        _messageSeeds,
        longest=300,
        largest=1 << 18,
        share=350,
    ),
)
