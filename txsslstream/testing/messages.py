# -*- test-case-name: tests.test_testing_peers -*-
"""
Records and handshake messages, made by hand (RFC 8446 sections 4 and 5).
"""

from __future__ import annotations

from collections.abc import Iterable

from ..records import HANDSHAKE

CLIENT_HELLO = 1


def vector(content: bytes, width: int) -> bytes:
    """
    @return: it, behind its length.
    """
    return len(content).to_bytes(width, "big") + content


def codes(*numbers: int) -> bytes:
    """
    @return: a list of code points, behind its length.
    """
    return vector(b"".join(each.to_bytes(2, "big") for each in numbers), 2)


def record(kind: int, content: bytes) -> bytes:
    """
    @return: one record.
    """
    return bytes((kind, 3, 3)) + len(content).to_bytes(2, "big") + content


def message(kind: int, body: bytes) -> bytes:
    """
    @return: one handshake message.
    """
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def inBytes(data: bytes) -> list[bytes]:
    """
    @return: each byte on its own.
    """
    return [data[index : index + 1] for index in range(len(data))]


def inRecords(content: bytes, size: int = 1 << 14) -> bytes:
    """
    @return: it in handshake records that are no longer than this.
    """
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    return b"".join(record(HANDSHAKE, piece) for piece in pieces)


def clientHello(
    *extensions: tuple[int, bytes],
    version: int = 0x0303,
    suites: Iterable[int] = (0x1301,),
    session: bytes = b"",
) -> bytes:
    """
    @return: a ClientHello, without a record.
    """
    body = version.to_bytes(2, "big") + bytes(32) + vector(session, 1) + codes(*suites)
    block = b"".join(kind.to_bytes(2, "big") + vector(content, 2) for kind, content in extensions)
    return message(CLIENT_HELLO, body + vector(b"\0", 1) + vector(block, 2))


def serverName(name: bytes) -> tuple[int, bytes]:
    """
    @return: the extension that asks for a host.
    """
    return 0, vector(b"\0" + vector(name, 2), 2)


def applicationProtocols(*names: bytes) -> tuple[int, bytes]:
    """
    @return: the extension ALPN.
    """
    return 16, vector(b"".join(vector(name, 1) for name in names), 2)


def supportedVersions(*versions: int) -> tuple[int, bytes]:
    """
    @return: the extension that lists versions.
    """
    return 43, vector(codes(*versions)[2:], 1)
