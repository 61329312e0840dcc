# -*- test-case-name: tests.test_patience -*-
"""
Patience with a peer that takes what is sent to it, however slowly, and with no
other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime


def unsentBytes(transport: Any) -> int:
    """
    @return: how many bytes a transport still has to send, as far as it tells;
        only good to see progress.
    """
    size: int = getattr(transport, "_tempDataLen", 0) - getattr(transport, "offset", 0)
    return size + len(getattr(transport, "dataBuffer", b""))


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
        self._wait()

    def _wait(self) -> None:
        if self._seconds is not None:
            self._timer = self._clock.callLater(self._seconds, self._look, self._remaining())

    def _look(self, before: int) -> None:
        self._timer = None
        if self._remaining() < before:
            self._wait()
        else:
            self._giveUp()

    def end(self) -> None:
        """
        It is not needed any more.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
