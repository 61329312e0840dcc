# -*- test-case-name: tests.test_sides -*-
"""
The two sides of a stream: who waits to read, who waits to write, and what is
kept meanwhile.  They know nothing of TLS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ._deferreds import Occurrence, again
from .errors import (
    IncompleteReadError,
    InvalidOperationError,
    LimitExceededError,
    NotSupportedError,
    ReadTimeout,
    StreamClosedError,
    WriteTimeout,
)
from .states import (
    READER_TRANSITIONS,
    WRITER_TRANSITIONS,
    ReaderState,
    WriterState,
    checkedTransition,
)


class _Operation:
    """
    One pending read or write, with its time-out.
    """

    def __init__(
        self,
        clock: IReactorTime,
        timeout: float | None,
        timedOut: Callable[[], None],
        cancelled: Callable[[], None],
    ) -> None:
        self.deferred: Deferred[Any] = Deferred(lambda _: cancelled())
        self._timer: IDelayedCall | None = None
        if timeout is not None:
            self._timer = clock.callLater(timeout, timedOut)

    def end(self, result: object) -> None:
        """
        Fire, with a result, a Failure or an exception.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if isinstance(result, BaseException):
            result = again(result)
        self.deferred.callback(result)


#: Takes the result of a read from the buffer.
_Take: TypeAlias = "Callable[[], bytes | BaseException | None]"


class Reader:
    """
    The reading side: what has come and was not read, and who waits for it.
    """

    #: With more than this unread, in bytes, the peer is held back.
    HIGH_WATER = 64 * 1024

    def __init__(self, clock: IReactorTime, pause: Callable[[bool], None]) -> None:
        """
        @param pause: told whether to hold the peer back.
        """
        #: How many bytes have come, read or not.
        self.total = 0
        self.timeout: float | None = None
        self.error: BaseException | None = None
        self._clock = clock
        self._pause = pause
        self._isPaused = False
        self._state = ReaderState.idle
        # What is unread is the buffer from here on: one delivery, which needs no
        # copy, or more than one, joined.
        self._buffer: bytes | bytearray = b""
        self._start = 0
        self._take: _Take | None = None
        self._operation: _Operation | None = None

    def _moved(self, state: ReaderState) -> None:
        self._state = checkedTransition(READER_TRANSITIONS, self._state, state)

    def request(self, take: _Take) -> Deferred[bytes]:
        """
        Read.

        @param take: takes the result from the buffer, or returns why there is
            none, or L{None} if there is none yet.
        """
        if self._operation is not None:
            return fail(NotSupportedError("another read is in progress"))
        if self._state is ReaderState.closed:
            return fail(StreamClosedError("the stream is closed"))
        result = take()
        if result is not None:
            self._regulate()
            return succeed(result) if isinstance(result, bytes) else fail(again(result))
        operation = _Operation(self._clock, self.timeout, self._timedOut, self._forget)
        self._moved(ReaderState.reading)
        self._take, self._operation = take, operation
        self._regulate()
        return operation.deferred

    def upTo(self, size: int) -> bytes | BaseException | None:
        """
        At least one byte; at the end, none.
        """
        if self._buffer:
            return self._cut(size)
        return self._atEnd(b"")

    def exactly(self, size: int) -> bytes | BaseException | None:
        """
        So many bytes.
        """
        if self._size >= size:
            return self._cut(size)
        if self._state is ReaderState.ended and self.error is None:
            partial = self._cut(size)
            return IncompleteReadError(
                f"the stream ended after {len(partial)} of {size} bytes", partial
            )
        return self._atEnd(b"")

    def until(
        self, separator: bytes, limit: int, searched: list[int]
    ) -> bytes | BaseException | None:
        """
        All up to a separator, and that.

        @param searched: one number: where no separator begins any more.
        """
        size = self._size
        found = self._buffer.find(separator, self._start + searched[0])
        end = found + len(separator) - self._start
        if found >= 0 and end <= limit:
            return self._cut(end)
        if found >= 0 or size >= limit:
            return LimitExceededError(f"no {separator!r} within {limit} bytes")
        searched[0] = max(0, size - len(separator) + 1)
        if self._state is ReaderState.ended and self.error is None:
            partial = self._cut(size)
            return IncompleteReadError(f"the stream ended before {separator!r}", partial)
        return self._atEnd(b"")

    def _atEnd(self, clean: bytes) -> bytes | BaseException | None:
        if self._state is not ReaderState.ended:
            return None
        return clean if self.error is None else self.error

    @property
    def _size(self) -> int:
        return len(self._buffer) - self._start

    def _cut(self, size: int) -> bytes:
        data, start = self._buffer, self._start
        end = start + size
        if end < len(data):
            self._start = end
        else:
            self._buffer, self._start = b"", 0
        return data[start:end] if isinstance(data, bytes) else bytes(memoryview(data)[start:end])

    def received(self, data: bytes) -> None:
        """
        Take plaintext.
        """
        if self._state in (ReaderState.idle, ReaderState.reading):
            self.total += len(data)
            if not self._buffer:
                self._buffer = data
            else:
                if self._start or isinstance(self._buffer, bytes):
                    self._buffer = bytearray(memoryview(self._buffer)[self._start :])
                    self._start = 0
                self._buffer += data
            self._serve()

    def ended(self, error: BaseException | None) -> None:
        """
        Nothing more comes.

        @param error: why, or L{None} for a clean end.
        """
        if self._state in (ReaderState.ended, ReaderState.closed):
            return
        self.error = error
        wasReading = self._state is ReaderState.reading
        self._state = checkedTransition(READER_TRANSITIONS, self._state, ReaderState.ended)
        if wasReading:
            self._serve()

    def _serve(self) -> None:
        """
        Try again to give the waiting reader what it wants.
        """
        result = None if self._take is None else self._take()
        if result is not None:
            self._finish(result)
        else:
            self._regulate()

    def _finish(self, result: object) -> None:
        operation = self._operation
        assert operation is not None
        if self._state is ReaderState.reading:
            self._moved(ReaderState.idle)
        self._operation = self._take = None
        try:
            self._regulate()
        finally:
            # Whatever happens: nobody else has it any more.
            operation.end(result)

    def _forget(self) -> None:
        """
        The reader has lost interest; nothing was consumed.
        """
        self._finish(CancelledError())

    def _timedOut(self) -> None:
        self._finish(ReadTimeout(f"nothing was read within {self.timeout} s"))

    def _regulate(self) -> None:
        isFull = self._operation is None and self._size > self.HIGH_WATER
        if isFull is not self._isPaused:
            self._isPaused = isFull
            self._pause(isFull)

    @property
    def isBusy(self) -> bool:
        """
        Whether a read is waiting.
        """
        return self._operation is not None

    @property
    def isFilled(self) -> bool:
        """
        Whether something is unread.
        """
        return bool(self._buffer)

    def takeAll(self) -> bytes:
        """
        @return: all that is unread.
        """
        data = self._cut(self._size)
        self._regulate()
        return data

    def release(self) -> None:
        """
        The transport is gone, or somebody else's.
        """
        if self._operation is not None:
            # It could not be told of the end, such as for lack of memory.
            self._finish(self.error or StreamClosedError("the stream is closed"))
        if self._isPaused:
            self._pause(False)
        self._pause = _nobody

    def close(self, error: BaseException) -> None:
        """
        Whatever is there or comes is discarded.

        @param error: what a waiting reader gets.
        """
        if self._state is ReaderState.closed:
            return
        self._moved(ReaderState.closed)
        self._buffer, self._start = b"", 0
        if self._operation is None:
            self._regulate()
        else:
            self._finish(error)


class Writer:
    """
    The writing side: what was not yet handed over, and who waits for that.
    """

    #: As much as is handed over before the inner transport is asked whether it
    #: takes more, in bytes.
    CHUNK = 64 * 1024

    def __init__(
        self,
        clock: IReactorTime,
        write: Callable[[bytes | memoryview], None],
        breakOff: Callable[[BaseException], None],
    ) -> None:
        """
        @param write: hands over.
        @param breakOff: ends the connection in the middle of something.
        """
        self.timeout: float | None = None
        self.error: BaseException | None = None
        self._clock = clock
        self._write = write
        self._breakOff = breakOff
        self._isHeldBack = False
        self._state = WriterState.idle
        self._data = b""
        self._handedOver = 0
        self._operation: _Operation | None = None
        self._finished: Occurrence[None] | None = None

    def _moved(self, state: WriterState) -> None:
        self._state = checkedTransition(WRITER_TRANSITIONS, self._state, state)

    def request(self, data: bytes) -> Deferred[None]:
        """
        Write.
        """
        if self._operation is not None:
            return fail(NotSupportedError("another write is in progress"))
        if self.error is not None:
            return fail(again(self.error))
        if self._state is WriterState.shut:
            return fail(InvalidOperationError("the writing side was shut down"))
        self._data = data
        self._handedOver = 0
        broken = self._pump()
        if broken is not None:
            return fail(broken)
        if not self.rest and not self._isHeldBack:
            return succeed(None)
        self._moved(WriterState.writing)
        operation = _Operation(self._clock, self.timeout, self._timedOut, self._cancelled)
        self._operation = operation
        self._finished = Occurrence()
        return operation.deferred

    @property
    def isBusy(self) -> bool:
        """
        Whether a write is waiting.
        """
        return self._operation is not None

    def whenFinished(self) -> Deferred[None]:
        """
        @return: a Deferred that fires once nothing is being written.  It fails
            if that was given up.
        """
        if self._finished is not None:
            return self._finished.when()
        return succeed(None) if self.error is None else fail(again(self.error))

    @property
    def rest(self) -> int:
        """
        How many bytes of what is being written were not yet handed over.
        """
        return len(self._data) - self._handedOver

    def _pump(self) -> BaseException | None:
        """
        Hand over what the inner transport takes.

        @return: what came out as broken meanwhile, or L{None}.
        """
        while self.rest and not self._isHeldBack:
            chunk: bytes | memoryview = self._data
            if len(chunk) > self.CHUNK:
                chunk = memoryview(chunk)[self._handedOver : self._handedOver + self.CHUNK]
            self._handedOver += len(chunk)
            self._write(chunk)
        if not self.rest:
            self._forgetData()
        return self.error

    def _forgetData(self) -> None:
        self._data = b""
        self._handedOver = 0

    def heldBack(self, isHeldBack: bool) -> None:
        """
        The inner transport takes no more, or does again.
        """
        self._isHeldBack = isHeldBack
        if not isHeldBack and self._operation is not None:
            self._pump()
            if not self.rest and not self._isHeldBack:
                self._end(None)

    def _end(self, result: object, incomplete: BaseException | None = None) -> None:
        """
        @param incomplete: why not all was handed over, if so.
        """
        self._forgetData()
        operation, finished = self._operation, self._finished
        if operation is not None and finished is not None:
            if self._state is WriterState.writing:
                self._moved(WriterState.idle)
            self._operation = self._finished = None
            try:
                if incomplete is None:
                    finished.happened(None)
                else:
                    finished.failed(incomplete)
            finally:
                # Whatever happens: nobody else has it any more.
                operation.end(result)

    def _cancelled(self) -> None:
        self._giveUp(CancelledError(), StreamClosedError("a write was cancelled half-way"))

    def _timedOut(self) -> None:
        error = WriteTimeout(f"the peer did not take the data within {self.timeout} s")
        self._giveUp(error, error)

    def _giveUp(self, error: BaseException, incomplete: BaseException) -> None:
        """
        The writer has lost patience.  If the peer would miss a part, it must
        not get what comes behind it, least of all an orderly end.
        """
        if self.rest:
            # Who hears of the end may cancel it again.
            if self._state is not WriterState.broken:
                self._moved(WriterState.broken)
                self.error = incomplete
                self._breakOff(incomplete)
            self._end(error, self.error)
        else:
            self._end(error)

    def shut(self) -> None:
        """
        Take no more.
        """
        if self._state in (WriterState.idle, WriterState.writing):
            self._moved(WriterState.shut)

    def broke(self, error: BaseException) -> None:
        """
        Nothing can be written any more.
        """
        if self._state is WriterState.broken or self._hasEnded:
            return
        self._moved(WriterState.broken)
        self.error = error
        self._end(error, error)

    @property
    def _hasEnded(self) -> bool:
        """
        Whether everything was handed over that ever will be.
        """
        return self._state is WriterState.shut and self._operation is None

    def release(self) -> None:
        """
        The transport is gone.
        """
        if self._operation is not None:
            # It could not be told of the end, such as for lack of memory.
            error = self.error or StreamClosedError("the stream is closed")
            self._end(error, error)
        self._write = self._breakOff = _nobody


def _nobody(*_: object) -> None:
    """
    Stands for whom a side no longer has.
    """
