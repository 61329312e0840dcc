# -*- test-case-name: tests.test_trimming -*-
"""
Gives back the memory that traffic leaves behind.

What OpenSSL reads from and writes to grows with the largest chunk, and never
shrinks.  Many connections that have been busy once would hold much memory that
way.  New buffers are cheap, but not for every chunk.  So only a few connections
keep theirs: those that were busy last.  When there are more, the one that has
been quiet for the longest time becomes small again.  One that is busy again soon
after that is left alone for a while; only then is there a timer, one for all.
"""

from __future__ import annotations

from collections.abc import MutableSet
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet, ref

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Grown(Protocol):
    """
    Something that grows.

    @ivar notedIn: the L{Trimmer.round} in which it was last noted, or L{None}.
    @ivar trimmedIn: the one in which it was last trimmed, or L{None}.
    """

    notedIn: object
    trimmedIn: object

    def trim(self) -> None:
        """
        Become small again.
        """


class Trimmer:
    """
    Trims what has grown.

    @ivar round: another object whenever what grows has to be noted again.
    """

    #: So many may stay as large as they are.
    FEW = 16

    #: In seconds; what has been trimmed in vain is left alone for so long.
    INTERVAL = 1.0

    def __init__(self, clock: IReactorTime) -> None:
        self.round = object()
        # It is known by its clock, which would never go.
        self._clock = ref(clock)
        # The one that was busy last is the last.
        self._few: dict[ref[Grown], None] = {}
        self._busy: MutableSet[Grown] = WeakSet()
        self._idle: MutableSet[Grown] = WeakSet()
        self._timer: IDelayedCall | None = None

    def note(self, grown: Grown) -> None:
        """
        It grows.
        """
        grown.notedIn = self.round
        if grown.trimmedIn is not None:
            self._idle.discard(grown)
        if grown.trimmedIn is self.round:
            self._busy.add(grown)
            if self._timer is None:
                self._wait()
            return
        key = ref(grown)
        self._few.pop(key, None)
        self._few[key] = None
        if len(self._few) > self.FEW:
            oldest = next(iter(self._few))
            del self._few[oldest]
            self._trim(oldest())

    def forget(self, grown: Grown) -> None:
        """
        It is gone.
        """
        self._few.pop(ref(grown), None)
        if grown.trimmedIn is None:
            # It has never been anything else.
            return
        self._idle.discard(grown)
        self._busy.discard(grown)
        if self._timer is not None and not self._busy and not self._idle:
            self._timer.cancel()
            self._timer = None

    def _trim(self, grown: Grown | None) -> None:
        if grown is not None:
            grown.notedIn = None
            grown.trimmedIn = self.round
            grown.trim()

    def _wait(self) -> None:
        clock = self._clock()
        if clock is not None:
            self._timer = clock.callLater(self.INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        idle, self._idle, self._busy = self._idle, self._busy, WeakSet()
        self.round = object()
        for each in idle:
            self._trim(each)
        if self._idle:
            self._wait()


_trimmers: WeakKeyDictionary[IReactorTime, Trimmer] = WeakKeyDictionary()


def trimmerOf(clock: IReactorTime) -> Trimmer:
    """
    @return: the one that all share that have this clock.
    """
    trimmer = _trimmers.get(clock)
    if trimmer is None:
        trimmer = _trimmers[clock] = Trimmer(clock)
    return trimmer
