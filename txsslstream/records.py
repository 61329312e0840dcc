# -*- test-case-name: tests.test_records -*-
"""
TLS records from the outside: their headers, which are never encrypted (RFC 8446
section 5.1).  No I/O.
"""

from __future__ import annotations

from .enums import TlsAlert

CHANGE_CIPHER_SPEC = 20
ALERT = 21
HANDSHAKE = 22
APPLICATION_DATA = 23

_HEADER = 5


def recordKinds(data: bytes) -> set[int]:
    """
    @param data: whole records.
    @return: their content types.
    """
    kinds = set()
    position = 0
    while position + _HEADER <= len(data):
        kinds.add(data[position])
        position += _HEADER + int.from_bytes(data[position + 3 : position + 5], "big")
    return kinds


def alertRecord(alert: TlsAlert) -> bytes:
    """
    @return: a fatal alert as it looks before encryption begins (RFC 8446
        section 6.2).
    """
    return bytes((ALERT, 3, 3, 0, 2, 2, alert))


class RecordBoundary:
    """
    Watches a stream of records for whether it has stopped inside of one.
    """

    __slots__ = ("_header", "_missing")

    def __init__(self) -> None:
        self._header = b""
        self._missing = 0

    def feed(self, data: bytes) -> None:
        """
        Watch more bytes.
        """
        position = 0
        while position < len(data):
            if self._missing:
                step = min(self._missing, len(data) - position)
                self._missing -= step
            else:
                step = min(_HEADER - len(self._header), len(data) - position)
                self._header += data[position : position + step]
                if len(self._header) == _HEADER:
                    self._missing = int.from_bytes(self._header[3:], "big")
                    self._header = b""
            position += step

    @property
    def isInside(self) -> bool:
        """
        Whether the last byte was not the last of a record.
        """
        return bool(self._header or self._missing)
