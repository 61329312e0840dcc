# -*- test-case-name: tests.test_vectors -*-
"""
What handshake messages are made of: vectors, lists of code points, extensions
(RFC 8446 sections 3.4 and 4.2).

No I/O, and nothing is raised: what is not whole is left out, and so is what
comes behind it.
"""

from __future__ import annotations

from collections.abc import Iterator


def firstVector(data: bytes, width: int) -> tuple[bytes, bytes]:
    """
    @param width: bytes of the length.
    @return: the vector that C{data} begins with, and what is behind it; nothing
        of both if it is not whole.
    """
    end = width + int.from_bytes(data[:width], "big")
    return (data[width:end], data[end:]) if end <= len(data) else (b"", b"")


def vectors(data: bytes, width: int, trailer: int = 0) -> Iterator[bytes]:
    """
    @param width: bytes of each length.
    @param trailer: bytes of the length of what follows each, which is skipped.
    @return: the vectors of which all of C{data} consists, as far as it does.
    """
    position = 0
    while position + width <= len(data):
        start = position + width
        position = start + int.from_bytes(data[position:start], "big")
        if position > len(data):
            return
        yield data[start:position]
        if trailer:
            position += trailer + int.from_bytes(data[position : position + trailer], "big")


def codePoints(data: bytes) -> list[int]:
    """
    @return: the numbers of two bytes each of which C{data} consists.
    """
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2)]


def labelled(data: bytes) -> Iterator[tuple[int, bytes]]:
    """
    @return: the pairs of a code point and a vector of which all of C{data}
        consists, as far as it does: extensions, or shares of keys.
    """
    position = 0
    while position + 4 <= len(data):
        start = position + 4
        label = int.from_bytes(data[position : position + 2], "big")
        position = start + int.from_bytes(data[position + 2 : start], "big")
        if position > len(data):
            return
        yield label, data[start:position]
