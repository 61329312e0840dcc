"""
Tests for L{txsslstream._trimming}: memory that is given back.
"""

from __future__ import annotations

import gc
import weakref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream._trimming import Trimmer, trimmerOf


class Thing:
    """
    Something that grows.

    @ivar trimmed: how often it became small again.
    """

    notedIn: object = None
    trimmedIn: object = None

    def __init__(self, trimmer: Trimmer) -> None:
        self.trimmer = trimmer
        self.trimmed = 0

    def grow(self) -> None:
        """
        As a connection does with a large chunk.
        """
        if self.notedIn is not self.trimmer.round:
            self.trimmer.note(self)

    def trim(self) -> None:
        """
        Become small again.
        """
        self.trimmed += 1


class TrimmerTests(SynchronousTestCase):
    """
    Tests for L{Trimmer}.
    """

    def setUp(self) -> None:
        """
        As many things as may stay large.
        """
        self.clock = Clock()
        self.trimmer = Trimmer(self.clock)
        self.few = [self.grown() for _ in range(Trimmer.FEW)]

    def grown(self) -> Thing:
        """
        @return: another thing, which has grown.
        """
        thing = Thing(self.trimmer)
        thing.grow()
        return thing

    def test_few(self) -> None:
        """
        As long as there are few, nothing is trimmed, and there is no timer.
        """
        for each in self.few:
            each.grow()
        self.assertEqual(sum(each.trimmed for each in self.few), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_more(self) -> None:
        """
        With one more, the one that has been quiet for the longest time is
        trimmed at once, without a timer.
        """
        more = [self.grown(), self.grown()]
        self.assertEqual([each.trimmed for each in self.few], [1, 1] + [0] * (Trimmer.FEW - 2))
        self.assertEqual([each.trimmed for each in more], [0, 0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_busy(self) -> None:
        """
        One that grows again soon after it was trimmed is left alone until it
        has been quiet for a while; then there is a timer, and none afterwards.
        """
        for isBusyAgain in (False, True):
            self.setUp()
            first = self.few[0]
            self.grown()
            self.assertEqual(first.trimmed, 1)
            first.grow()
            for _ in range(Trimmer.FEW + 1):
                self.grown()
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(Trimmer.INTERVAL)
            if isBusyAgain:
                first.grow()
            self.assertEqual(first.trimmed, 1)
            self.clock.advance(Trimmer.INTERVAL)
            self.assertEqual(first.trimmed, 1 if isBusyAgain else 2)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_order(self) -> None:
        """
        What has grown again since others were trimmed is the last to be so.
        """
        self.grown()
        self.few[0].grow()
        self.clock.advance(Trimmer.INTERVAL)
        self.few[1].grow()
        self.grown()
        self.assertEqual([each.trimmed for each in self.few[1:4]], [0, 1, 0])

    def test_forgotten(self) -> None:
        """
        What is gone is not trimmed, makes room for others, and stops the timer
        when it was the last to need one.
        """
        first = self.few[0]
        self.trimmer.forget(self.few[1])
        self.grown()
        self.assertEqual(first.trimmed, 0)
        self.grown()
        self.assertEqual((first.trimmed, self.few[1].trimmed), (1, 0))
        first.grow()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.trimmer.forget(self.few[5])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.trimmer.forget(first)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_collected(self) -> None:
        """
        Nothing is kept alive, neither what has grown nor the clock, and nothing
        that is gone stands in anybody's way.
        """
        things = [weakref.ref(each) for each in self.few]
        clock = weakref.ref(self.clock)
        self.assertIs(trimmerOf(self.clock), trimmerOf(self.clock))
        self.assertIsNot(trimmerOf(self.clock), trimmerOf(Clock()))
        self.few = []
        gc.collect()
        self.assertEqual([each() for each in things], [None] * Trimmer.FEW)
        kept = [self.grown() for _ in range(Trimmer.FEW)]
        self.assertEqual(sum(each.trimmed for each in kept), 0)
        self.clock = Clock()
        gc.collect()
        self.assertIsNone(clock())
