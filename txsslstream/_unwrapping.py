# -*- test-case-name: tests.test_unwrapping -*-
"""
The way from a stream back to the transport below it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ._deferreds import Occurrence, forgetFrames
from ._patience import Patience
from .errors import ShutdownTimeout


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
