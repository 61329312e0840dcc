"""
A peer that knows its keys, and says anything under them.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.error import ConnectionDone, ConnectionLost

from txsslstream.records import APPLICATION_DATA

from ..forging import Forged
from .conversations import BROKEN, LONG, VERSIONS, segments
from .target import Target, chosen, require

#: How the connection of an application that is told everything may end.
_LOST = (*BROKEN, ConnectionDone, ConnectionLost)


def _sealed(data: bytes) -> str:
    kind, rest = chosen(data)
    forged = Forged(VERSIONS[kind & 1], bool(kind & 2), segments(kind >> 2, len(rest)))
    told = b""
    isOver = False
    for _ in range(40):
        if len(rest) < 3:
            break
        inner, padding, size = rest[:3]
        content, rest = rest[3 : 3 + size], rest[3 + size :]
        forged.send(forged.forger.record(inner, content, padding if kind & 1 else 0))
        isOver = isOver or inner != APPLICATION_DATA or forged.link.near.inner.closing is not None
        if not isOver:
            told += content
    heard = bytes(forged.application.received)
    require(heard.startswith(told), "what was said is not heard")
    reason = forged.failure()
    require(isinstance(reason, _LOST), f"a strange end: {reason!r}")
    wire = forged.link.wire
    wire.advance(LONG)
    require(not wire.clock.getDelayedCalls(), "a timer is left")
    return type(reason).__name__


def _sealedSeeds() -> Iterator[bytes]:
    def said(inner: int, content: bytes, padding: int = 0) -> bytes:
        return bytes((inner, padding, len(content))) + content

    for kind in range(4):
        start = bytes((kind,))
        yield start + said(23, b"data") + said(23, b"") + said(23, b"more", 9)
        yield start + said(21, b"\1\0")
        yield start + said(21, b"\2\x28")
        yield start + said(22, b"\x18\0\0\1\1") * 3
        yield start + said(22, b"\x18\0\0\1\2")
        yield start + said(22, b"\4\0\0\x0a" + bytes(10))
        yield start + said(22, bytes(4)) + said(22, b"\1\0\0\2ab")
        yield start + said(20, b"\1") + said(24, b"\1\0\x40")
        yield start + said(22, b"\x0d\0\0\4") + said(23, b"in between")


TARGETS = (
    Target(
        "sealed",
        "records behind a handshake, under the right keys, of any type and content",
        _sealed,
        _sealedSeeds,
        longest=1000,
        largest=1 << 14,
        seconds=1.0,
        perByte=2e-5,
        memory=16 << 20,
        sampled=200,
        share=2,
    ),
)
