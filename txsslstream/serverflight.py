# -*- test-case-name: tests.test_serverflight -*-
"""
What a server says in the clear before TLS 1.2 encrypts (RFC 5246 sections 6.2
and 7.4), for what OpenSSL does not tell in time or at all: the cipher suite and
the stapled OCSP response while the server's certificate is being judged, and
the size of a finite-field Diffie-Hellman group.

No I/O, bounded, and it never raises: what cannot be read is L{None}.
"""

from __future__ import annotations

from collections.abc import Iterator

from .records import HANDSHAKE

_SERVER_HELLO = 2
_SERVER_KEY_EXCHANGE = 12
_SERVER_HELLO_DONE = 14
_CERTIFICATE_STATUS = 22
_OCSP = 1
_RANDOM_SIZE = 32


class ServerFlight:
    """
    Collects the server's first bytes.
    """

    #: More than OpenSSL itself accepts for a certificate list, in bytes.
    LIMIT = 128 * 1024

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """
        Add bytes that the server sent.  What exceeds L{LIMIT} is ignored.
        """
        self._bytes += data[: max(0, self.LIMIT - len(self._bytes))]

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        """
        The handshake messages, as type and body, up to the first record that
        holds something else.
        """
        stream = bytearray()
        position = 0
        while position + 5 <= len(self._bytes) and self._bytes[position] == HANDSHAKE:
            end = position + 5 + int.from_bytes(self._bytes[position + 3 : position + 5], "big")
            stream += self._bytes[position + 5 : end]
            position = end
        while len(stream) >= 4:
            end = 4 + int.from_bytes(stream[1:4], "big")
            if len(stream) < end:
                return
            yield stream[0], bytes(stream[4:end])
            del stream[:end]

    def _message(self, wanted: int) -> bytes:
        return next((body for kind, body in self._messages() if kind == wanted), b"")

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
        return response if body[:1] == bytes((_OCSP,)) and len(response) == size else None

    @property
    def isComplete(self) -> bool:
        """
        Whether nothing more in the clear is to be expected: the flight is
        complete or too long, or something else than the handshake goes on,
        which in TLS 1.3 is so from the second record.
        """
        if len(self._bytes) >= self.LIMIT or any(
            kind == _SERVER_HELLO_DONE for kind, _ in self._messages()
        ):
            return True
        position = 0
        while position < len(self._bytes):
            if self._bytes[position] != HANDSHAKE:
                return True
            position += 5 + int.from_bytes(self._bytes[position + 3 : position + 5], "big")
        return False
