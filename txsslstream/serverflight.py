# -*- test-case-name: tests.test_serverflight -*-
"""
What a server says in the clear before TLS 1.2 encrypts (RFC 5246 sections 6.2
and 7.4), for what OpenSSL does not tell in time or at all: the cipher suite and
the stapled OCSP response while the server's certificate is being judged, and
the size of a finite-field Diffie-Hellman group.

No I/O, bounded, and it never raises: what cannot be read is L{None}.
"""

from __future__ import annotations

from .records import HANDSHAKE, RecordBoundary

_SERVER_HELLO = 2
_SERVER_KEY_EXCHANGE = 12
_SERVER_HELLO_DONE = 14
_CERTIFICATE_STATUS = 22
_KEPT = frozenset({_SERVER_HELLO, _SERVER_KEY_EXCHANGE, _SERVER_HELLO_DONE, _CERTIFICATE_STATUS})
_OCSP = 1
_RANDOM_SIZE = 32

#: Where a HelloRetryRequest has a random number (RFC 8446 section 4.1.3).
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


class ServerFlight:
    """
    Reads the server's first bytes.  However they are cut, each is looked at
    once, and not before somebody asks: most often nobody does.
    """

    #: More than OpenSSL itself accepts for a certificate list, in bytes.
    LIMIT = 128 * 1024

    __slots__ = ("_bodies", "_isOver", "_records", "_room", "_unread", "_unseen")

    def __init__(self) -> None:
        self._room = self.LIMIT
        # The records that nobody has looked at.
        self._unseen = bytearray()
        self._records: RecordBoundary | None = None
        # The messages from the first incomplete one on.
        self._unread = bytearray()
        # The first of each kind.
        self._bodies: dict[int, bytes] = {}
        self._isOver = False

    def feed(self, data: bytes) -> None:
        """
        Add bytes that the server sent.  What exceeds L{LIMIT} is ignored.
        """
        if self._room and not self._isOver:
            before = len(self._unseen)
            self._unseen += data if len(data) <= self._room else data[: self._room]
            self._room -= len(self._unseen) - before

    def _look(self) -> None:
        if not self._unseen:
            return
        data = bytes(self._unseen)
        self._unseen.clear()
        records = self._records = self._records or RecordBoundary()
        for start, end in records.contents(data):
            # Nothing behind another kind of record is of interest.
            self._isOver = records.header[0] != HANDSHAKE
            if self._isOver:
                break
            self._unread += data[start:end]
        self._readMessages()

    def _readMessages(self) -> None:
        while len(self._unread) >= 4:
            end = 4 + int.from_bytes(self._unread[1:4], "big")
            if len(self._unread) < end:
                return
            kind = self._unread[0]
            if kind in _KEPT:
                self._bodies.setdefault(kind, bytes(self._unread[4:end]))
            del self._unread[:end]

    def _message(self, wanted: int) -> bytes:
        self._look()
        return self._bodies.get(wanted, b"")

    def cipherSuite(self) -> int | None:
        """
        @return: the code point of the suite in ServerHello.
        """
        hello = self._message(_SERVER_HELLO)
        if len(hello) < 2 + _RANDOM_SIZE + 1:
            return None
        start = 2 + _RANDOM_SIZE + 1 + hello[2 + _RANDOM_SIZE]
        code = hello[start : start + 2]
        return int.from_bytes(code, "big") if len(code) == 2 else None

    def dhePrimeBits(self) -> int | None:
        """
        @return: the size in bits of the prime in a finite-field
            ServerKeyExchange; only meaningful if the suite is a DHE one.
        """
        body = self._message(_SERVER_KEY_EXCHANGE)
        size = int.from_bytes(body[:2], "big")
        prime = body[2 : 2 + size]
        return int.from_bytes(prime, "big").bit_length() if size and len(prime) == size else None

    def staple(self) -> bytes | None:
        """
        @return: the OCSP response in CertificateStatus (RFC 6066 section 8).
        """
        body = self._message(_CERTIFICATE_STATUS)
        size = int.from_bytes(body[1:4], "big")
        response = body[4:]
        return response if body[:1] == bytes((_OCSP,)) and 0 < len(response) == size else None

    @property
    def isComplete(self) -> bool:
        """
        Whether nothing more in the clear is to be expected: the flight is
        complete or too long, or something else than the handshake goes on,
        which in TLS 1.3 is so from the second record, unless the client has to
        begin anew first.
        """
        self._look()
        return (
            self._isOver
            or not self._room
            or _SERVER_HELLO_DONE in self._bodies
            or self._message(_SERVER_HELLO)[2 : 2 + _RANDOM_SIZE] == _RETRY
        )
