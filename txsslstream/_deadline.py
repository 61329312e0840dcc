# -*- test-case-name: tests.test_deadline -*-
"""
A limit for something that takes time.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """
    So many seconds, from a beginning on.
    """

    __slots__ = ("_began", "_clock", "_timer")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._began = 0.0
        self._timer: IDelayedCall | None = None

    def begin(self, seconds: float | None, expired: Callable[[], None]) -> None:
        """
        Begin now.

        @param seconds: until then, or L{None} for ever.
        @param expired: called once when they are over.
        """
        self._began = self._clock.seconds()
        if seconds is not None:
            self._timer = self._clock.callLater(max(seconds, 0), self._over, expired)

    def change(self, seconds: float | None, expired: Callable[[], None]) -> None:
        """
        Have other seconds, from the same beginning on.
        """
        self.end()
        if seconds is not None:
            left = self._began + seconds - self._clock.seconds()
            # Only the timer knows whom to call: else there would be a cycle.
            self._timer = self._clock.callLater(max(left, 0), self._over, expired)

    def _over(self, expired: Callable[[], None]) -> None:
        self._timer = None
        expired()

    def end(self) -> None:
        """
        It is not needed any more.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
