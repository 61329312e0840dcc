# -*- test-case-name: tests.test_unwrapping -*-
"""
The way from a stream back to the transport below it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from ._deferreds import Occurrence, again, forgetFrames
from ._inner import InnerStream
from ._patience import Patience
from ._readwrite import ReadWrite
from ._transports import abort, unsentBytes
from .errors import InvalidOperationError, ShutdownTimeout, TruncationError
from .protocol import SslStreamProtocol


class Unwrapping:
    """
    Waits until both sides have ended the stream, for as long as there is
    progress.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float | None,
        remaining: Callable[[], int],
        giveUp: Callable[[], None],
    ) -> None:
        """
        @param seconds: how long there may be no progress, or L{None}.
        @param remaining: tells how much there is to do; less is progress.
        @param giveUp: called when that has taken too long.
        """
        self._outcome: Occurrence[tuple[Any, bytes]] = Occurrence()

        def timedOut() -> None:
            giveUp()
            self.failed(ShutdownTimeout(f"the peer has not ended its side within {seconds} s"))

        self._patience: Patience | None = Patience(clock, seconds, remaining, timedOut)

    def when(self) -> Deferred[tuple[Any, bytes]]:
        """
        @return: a new Deferred that fires with the outcome.
        """
        return self._outcome.when()

    def succeeded(self, innerTransport: Any, trailing: bytes) -> None:
        """
        The transport is free.

        @param trailing: what the peer has sent behind its C{close_notify}.
        """
        self._end()
        self._outcome.happened((innerTransport, trailing))

    def failed(self, error: BaseException) -> None:
        """
        There is no transport to go on with.
        """
        self._end()
        self._outcome.failed(error)
        forgetFrames(error)

    def _end(self) -> None:
        # It is part of a cycle.
        patience, self._patience = self._patience, None
        if patience is not None:
            patience.end()


class Unwrappable(ReadWrite):
    """
    A stream that gives its inner transport back.
    """

    _clock: IReactorTime
    _inner: InnerStream
    _innerStream: Any
    _leaveInnerStreamOpen: bool
    _protocol: SslStreamProtocol | None
    _shutdownTimeout: float | None
    _isClosing: bool
    _closed: Occurrence[None]
    _unwrapping: Unwrapping | None = None

    def _shutDownWhenWritten(self) -> None:
        """
        Send C{close_notify} behind what was written.
        """
        raise NotImplementedError

    def unwrap(self) -> Deferred[tuple[Any, bytes]]:
        """
        End the stream and have the inner transport back: write what is still to
        be written, send C{close_notify} and await the peer's (RFC 8446 section
        6.1).  Reading goes on meanwhile, and also afterwards, up to the peer's
        C{close_notify}: as long as too much is unread, that does not come.

        @return: a Deferred that fires with the C{innerStream} that this stream
            was made with, and the bytes that the peer has sent behind its
            C{close_notify}, which nobody else gets.  The transport has its
            former protocol again, which hears of all that follows, or may be
            another stream's.  The Deferred fails with L{InvalidOperationError}
            before authentication, if the inner stream is not to be left open or
            another stream uses this one; L{StreamClosedError} once it is
            closed; L{TruncationError} if the connection ends without the peer's
            C{close_notify}, L{TlsError} if it breaks, and L{ShutdownTimeout} if
            there is no progress for C{shutdownTimeout} seconds: then it is
            aborted, for nobody knows what comes next.  Called again, it waits
            for the same outcome; cancelled, only the waiting ends.
        """
        unwrapping = self._unwrapping
        if unwrapping is None:
            error = self._unusable()
            if not self._leaveInnerStreamOpen:
                error = InvalidOperationError("the inner stream is not to be left open")
            elif error is None and self._closed.hasHappened:
                error = self._loss()
            if error is not None:
                return fail(again(error))
            self._unwrapping = unwrapping = Unwrapping(
                self._clock,
                self._shutdownTimeout,
                lambda: self._writer.rest + unsentBytes(self._protocol) - self._reader.total,
                lambda: abort(self._inner.inner),
            )
            self._inner.keepTrailing(self._unwrapped, lambda: self._isClosing or self._isOver)
            self._inner.letGo()
            self._shutDownWhenWritten()
        return unwrapping.when()

    @property
    def _isOver(self) -> bool:
        return self._protocol is not None and self._protocol.isOver

    def _unwrapped(self, trailing: bytes | None) -> None:
        """
        The inner transport has been given back, with what is left over, or lost.
        """
        assert self._unwrapping is not None
        if trailing is not None and self._isOver:
            self._unwrapping.succeeded(self._innerStream, trailing)
        else:
            self._unwrapping.failed(self._loss())

    def _loss(self) -> BaseException:
        """
        Why there is no transport to be had.
        """
        what = "before the transport was free" if self._isOver else "without close_notify"
        return (
            self._unusable()
            or self._reader.error
            or TruncationError(f"the connection ended {what}")
        )
