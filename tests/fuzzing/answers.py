"""
What web servers answer of whom something is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from txsslstream.errors import RetrievalError
from txsslstream.retrieval import MOST_HEADER_BYTES, HttpRetriever

from .target import Target, chosen, pieces, require

_SIZES = (0, 1, 20, 1000)
_LIMIT = 5000
_TIMEOUT = 10

#: At addresses, so that no name has to be looked up.
_URL = "http://127.0.0.1/a"


def _answer(data: bytes) -> str:
    kind, rest = chosen(data)
    reactor = MemoryReactorClock()
    body = b"request" if kind & 4 else None
    results: list[Any] = []
    HttpRetriever(reactor=reactor).retrieve(
        _URL,
        body=body,
        contentType=None if body is None else "application/ocsp-request",
        limit=_LIMIT,
        timeout=_TIMEOUT,
    ).addBoth(results.append)
    answered = 0
    # Each of several connections gets what follows: redirects lead to others.
    parts = rest.split(b"\0\0\0\0")
    while len(reactor.tcpClients) > answered and answered < len(parts):
        host, _, factory, _, _ = reactor.tcpClients[answered]
        _speak(reactor, factory.buildProtocol(IPv4Address("TCP", host, 80)), parts[answered], kind)
        answered += 1
    reactor.advance(_TIMEOUT + 1)
    require(len(results) == 1, "no end of the retrieval")
    require(not reactor.getDelayedCalls(), "a timer is left")
    (result,) = results
    if isinstance(result, bytes):
        require(len(result) <= _LIMIT, "more than the limit")
        return "fetched"
    require(str(result.value).isprintable(), "words that control terminals")
    result.raiseException()
    raise AssertionError


def _speak(reactor: Any, protocol: Any, said: bytes, kind: int) -> None:
    if protocol is None:
        return
    transport = StringTransport()
    protocol.makeConnection(transport)
    taken = 0
    for piece in pieces(said, _SIZES[kind & 3]):
        if transport.disconnecting or transport.disconnected:
            break
        taken += len(piece)
        protocol.dataReceived(piece)
    most = MOST_HEADER_BYTES + 4 * _LIMIT + 2 * max(_SIZES)
    require(
        not _SIZES[kind & 3] or taken <= max(most, 16 * _LIMIT), "it is listened to for too long"
    )
    protocol.connectionLost(Failure(ConnectionDone()))


def _answerSeeds() -> Iterator[bytes]:
    ok = b"HTTP/1.1 200 OK\r\n"
    whole = ok + b"Content-Length: 4\r\n\r\nbody"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
    elsewhere = (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:81/b?c\r\nContent-Length: 0\r\n\r\n"
    )
    for kind in range(8):
        start = bytes((kind,))
        yield start + whole
        yield start + chunked
        yield start + elsewhere + b"\0\0\0\0" + whole
    yield b"\0" + ok + b"Content-Length: 9999\r\n\r\n"
    yield b"\0" + ok + b"\r\nuntil the end"
    yield b"\0" + ok + b"Content-Encoding: gzip\r\n\r\nbody"
    yield b"\4" + elsewhere.replace(b"302", b"308") + b"\0\0\0\0" + whole
    yield b"\0" + b"HTTP/1.1 100 Continue\r\n\r\n" + whole
    yield b"\0" + b"HTTP/1.0 404 Nothing\r\nContent-Length: 0\r\n\r\n"
    yield b"\0" + elsewhere.replace(b"127.0.0.2:81", b"169.254.169.254")
    yield b"\0" + elsewhere.replace(b"http:", b"https:")


TARGETS = (
    Target(
        "answers",
        "what web servers answer from which CRLs, OCSP responses and issuers are fetched",
        _answer,
        _answerSeeds,
        (RetrievalError,),
        words=(
            *("HTTP/1.1 200 OK\r\n", "HTTP/1.1 302 Found\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
            *("Content-Length: ", "Transfer-Encoding: chunked\r\n", "Location: ", "\r\n\r\n"),
            *("Content-Encoding: identity\r\n", "http://127.0.0.2/", "//", "0\r\n\r\n"),
        ),
        longest=500,
        largest=1 << 17,
        seconds=0.5,
        perByte=4e-5,
        memory=4 << 20,
        memoryPerByte=100,
        sampled=500,
        share=6,
    ),
)
