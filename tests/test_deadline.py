"""
Tests for L{txsslstream._deadline}: limits in time.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream._deadline import Deadline


class DeadlineTests(SynchronousTestCase):
    """
    Tests for L{Deadline}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.expired: list[float] = []
        self.deadline = Deadline(self.clock)

    def expire(self) -> None:
        """
        What is to happen at the end.
        """
        self.expired.append(self.clock.seconds())

    def advance(self, seconds: float) -> None:
        """
        Let time pass, in small steps.
        """
        self.clock.pump([0.5] * int(seconds * 2))

    def test_expires(self) -> None:
        """
        It expires once, when its time is over.
        """
        self.advance(10)
        self.deadline.begin(3, self.expire)
        self.advance(2.5)
        self.assertEqual(self.expired, [])
        self.advance(10)
        self.assertEqual(self.expired, [13])
        self.deadline.end()

    def test_never(self) -> None:
        """
        Without a limit it never does.
        """
        self.deadline.begin(None, self.expire)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_change(self) -> None:
        """
        Another limit counts from the same beginning, even if that is past.
        """
        for limit, end in ((5, 5), (1, 2.5), (None, None)):
            self.setUp()
            self.deadline.begin(3, self.expire)
            self.advance(2)
            self.deadline.change(limit, self.expire)
            self.advance(10)
            self.assertEqual(self.expired[:1], [end] if end else [], limit)

    def test_end(self) -> None:
        """
        What has ended does not expire, and leaves no timer.
        """
        self.deadline.begin(3, self.expire)
        self.deadline.end()
        self.deadline.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.advance(10)
        self.assertEqual(self.expired, [])
