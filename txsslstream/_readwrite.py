# -*- test-case-name: tests.test_stream -*-
"""
The reading and writing of a stream, as its users see it: what the two sides
(L{txsslstream._sides}) do, with arguments checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from typing_extensions import Self

from ._deferreds import again
from ._sides import Reader, Writer
from .errors import NotSupportedError
from .options import checkedTimeout


class ReadWrite:
    """
    Something to read from and to write to.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._reader = Reader(clock, self._holdPeerBack)
        self._writer = Writer(clock, self._send, self._breakOff)

    def _holdPeerBack(self, isFull: bool) -> None:
        """
        Too much is unread, or not any more.
        """
        raise NotImplementedError

    def _send(self, data: bytes | memoryview) -> None:
        """
        Take what is written.
        """
        raise NotImplementedError

    def _breakOff(self, error: BaseException) -> None:
        """
        A write was given up half-way.
        """
        raise NotImplementedError

    def _unusable(self) -> BaseException | None:
        """
        Why there is nothing to read or write on.
        """
        raise NotImplementedError

    @property
    def readTimeout(self) -> float | None:
        """
        Seconds that a read may take, or L{None}; for the reads that begin
        after it was set.
        """
        return self._reader.timeout

    @readTimeout.setter
    def readTimeout(self, seconds: float | None) -> None:
        self._reader.timeout = checkedTimeout(seconds, "readTimeout")

    @property
    def writeTimeout(self) -> float | None:
        """
        Seconds that a write may take, or L{None}; for the writes that begin
        after it was set.
        """
        return self._writer.timeout

    @writeTimeout.setter
    def writeTimeout(self, seconds: float | None) -> None:
        self._writer.timeout = checkedTimeout(seconds, "writeTimeout")

    def _read(self, take: Callable[[], bytes | BaseException | None]) -> Deferred[bytes]:
        error = self._unusable()
        return self._reader.request(take) if error is None else fail(again(error))

    def read(self, n: int = 65536) -> Deferred[bytes]:
        """
        Read what is there, or wait until something is.

        @param n: the most bytes to read; positive.
        @return: a Deferred that fires with 1 to C{n} bytes, or none at the
            clean end of the stream.  It fails with L{TruncationError},
            L{TlsError}, L{ReadTimeout}, L{StreamClosedError},
            L{NotSupportedError} if another read is in progress,
            L{InvalidOperationError} before authentication, the
            L{AuthenticationError} after a failed one, or the L{WriteTimeout} of
            a write that has ended the connection half-way.  Cancelled, nothing
            is lost.
        """
        if not _isCount(n) or n < 1:
            return fail(ValueError(f"read 1 byte or more, not {n!r}"))
        return self._read(lambda: self._reader.upTo(n))

    def readExactly(self, n: int) -> Deferred[bytes]:
        """
        Read so many bytes.

        @return: as for L{read}, but it fires with exactly C{n} bytes, and fails
            with L{IncompleteReadError} if the stream ends cleanly before.
        """
        if not _isCount(n) or n < 0:
            return fail(ValueError(f"read 0 bytes or more, not {n!r}"))
        return self._read(lambda: self._reader.exactly(n))

    def readUntil(
        self, separator: bytes | bytearray | memoryview, limit: int = 65536
    ) -> Deferred[bytes]:
        """
        Read up to a separator.

        @param limit: the most bytes to read, with the separator.
        @return: as for L{read}, but it fires with all bytes up to and with the
            separator, fails with L{IncompleteReadError} if the stream ends
            cleanly before, and with L{LimitExceededError}, with nothing
            consumed, if there is no separator within the limit.
        """
        try:
            wanted = bytes(memoryview(separator))
        except TypeError as e:
            return fail(e)
        if not wanted:
            return fail(ValueError("an empty separator separates nothing"))
        if not _isCount(limit) or limit < len(wanted):
            return fail(ValueError(f"the limit must have room for {wanted!r}, not {limit!r}"))
        searched = [0]
        return self._read(lambda: self._reader.until(wanted, limit, searched))

    def write(self, data: bytes | bytearray | memoryview) -> Deferred[None]:
        """
        Write all of C{data}.

        @return: a Deferred that fires with L{None} once the inner transport
            would take more.  It fails with L{TlsError}, L{TruncationError},
            L{WriteTimeout}, L{StreamClosedError}, L{NotSupportedError} if
            another write is in progress, L{InvalidOperationError} before
            authentication and after L{shutdown}, or the L{AuthenticationError}
            after a failed one.  Cancelled or timed out while a part was not yet
            handed over, the connection is aborted.
        """
        try:
            octets = data if type(data) is bytes else bytes(memoryview(data))
        except TypeError as e:
            return fail(e)
        error = self._unusable()
        return self._writer.request(octets) if error is None else fail(again(error))

    def flush(self) -> Deferred[None]:
        """
        @return: a Deferred that fires with L{None} once everything written has
            been handed over to the inner transport.
        """
        error = self._unusable()
        return self._writer.whenFinished() if error is None else fail(again(error))

    # What only files can.

    @property
    def length(self) -> NoReturn:
        """
        How many bytes will have come in the end: nobody knows (.NET: C{Length}).

        @raise NotSupportedError: always.
        """
        raise NotSupportedError("a connection has no length")

    def setLength(self, length: int) -> NoReturn:
        """
        Not possible (.NET: C{SetLength}).

        @raise NotSupportedError: always.
        """
        raise NotSupportedError("a connection has no length")

    @property
    def position(self) -> NoReturn:
        """
        Where the next byte is: nowhere (.NET: C{Position}).

        @raise NotSupportedError: always, also when it is set.
        """
        raise NotSupportedError("a connection has no position")

    @position.setter
    def position(self, position: int) -> NoReturn:
        raise NotSupportedError("a connection has no position")

    def seek(self, offset: int, origin: int = 0) -> NoReturn:
        """
        Not possible (.NET: C{Seek}).

        @raise NotSupportedError: always.
        """
        raise NotSupportedError("a connection cannot be sought in")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data


def _isCount(n: object) -> bool:
    return isinstance(n, int) and not isinstance(n, bool)
