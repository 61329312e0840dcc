# -*- test-case-name: tests.test_patience -*-
"""
Patience with a peer that takes what is sent to it, however slowly, and with no
other.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Patience:
    """
    Gives a peer up that makes no progress.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float | None,
        remaining: Callable[[], int],
        giveUp: Callable[[], None],
    ) -> None:
        """
        @param seconds: how long the peer may take to make progress, or L{None}.
        @param remaining: tells how much there is to do; less is progress.
        @param giveUp: called once if there is none.
        """
        self._clock = clock
        self._seconds = seconds
        self._remaining = remaining
        self._giveUp = giveUp
        self._timer: IDelayedCall | None = None
        self._before = 0
        if seconds is not None:
            # What has just been written the transport sends in a later turn,
            # whatever the peer does: that is no progress of the peer's.
            self._timer = clock.callLater(seconds / 10, self._begin, clock.seconds() + seconds)

    def _begin(self, end: float) -> None:
        self._note()
        self._timer = self._clock.callLater(max(0, end - self._clock.seconds()), self._look)

    def _wait(self) -> None:
        self._note()
        if self._seconds is not None:
            self._timer = self._clock.callLater(self._seconds, self._look)

    def _note(self) -> None:
        self._before = self._remaining()

    def _look(self) -> None:
        self._timer = None
        if self._remaining() < self._before:
            self._wait()
        else:
            self._giveUp()

    def end(self) -> None:
        """
        It is not needed any more.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
