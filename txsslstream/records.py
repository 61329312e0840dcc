# -*- test-case-name: tests.test_records -*-
"""
TLS records from the outside: their headers, which are never encrypted (RFC 8446
section 5.1).  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator

from .enums import TlsAlert

CHANGE_CIPHER_SPEC = 20
ALERT = 21
HANDSHAKE = 22
APPLICATION_DATA = 23

#: In bytes.
HEADER_SIZE = 5

#: What nobody may send: a heartbeat (RFC 6520) in the clear, and what is no end of
#: any record that has begun.  It has room for what OpenSSL wants to check, or
#: older ones call it an error of their own.
FORBIDDEN = b"\x18\x03\x03\0\x40" + bytes(1 << 15)


def recordKinds(data: bytes) -> set[int]:
    """
    @param data: whole records.
    @return: their content types.
    """
    kinds = set()
    position = 0
    while position + HEADER_SIZE <= len(data):
        kinds.add(data[position])
        position += HEADER_SIZE + int.from_bytes(data[position + 3 : position + 5], "big")
    return kinds


def alertRecord(alert: TlsAlert) -> bytes:
    """
    @return: a fatal alert as it looks before encryption begins (RFC 8446
        section 6.2).
    """
    return bytes((ALERT, 3, 3, 0, 2, 2, alert))


class RecordBoundary:
    """
    Watches a stream of records, however it is cut: what is inside of which, and
    whether it has stopped inside of one.

    @ivar header: the header of the latest record, as far as it has come.
    """

    __slots__ = ("_missing", "header")

    def __init__(self) -> None:
        self.header = b""
        self._missing = 0

    def feed(self, data: bytes) -> None:
        """
        Watch more bytes.
        """
        for _ in self.contents(data):
            pass

    def contents(self, data: bytes) -> Iterator[tuple[int, int]]:
        """
        Watch more bytes, as far as this is iterated.

        @return: where in them the content of the record with L{header} begins
            and ends; both are the same where the header itself went on.
        """
        position = 0
        while position < len(data):
            start = position
            if self._missing:
                position = min(start + self._missing, len(data))
                self._missing -= position - start
            else:
                if len(self.header) == HEADER_SIZE:
                    self.header = b""
                position = min(start + HEADER_SIZE - len(self.header), len(data))
                self.header += data[start:position]
                start = position
                if len(self.header) == HEADER_SIZE:
                    self._missing = int.from_bytes(self.header[3:], "big")
            yield start, position

    @property
    def isInside(self) -> bool:
        """
        Whether the last byte was not the last of a record.
        """
        return bool(self._missing or len(self.header) % HEADER_SIZE)
