"""
Tests for L{txsslstream._patience}: who is waited for, and for how long.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream._patience import Patience


class PatienceTests(SynchronousTestCase):
    """
    Tests for L{Patience}.
    """

    def setUp(self) -> None:
        """
        Something of which ten parts remain.
        """
        self.clock = Clock()
        self.remaining = 10
        self.givenUp: list[float] = []

    def patience(self, seconds: float | None = 5) -> Patience:
        """
        Be patient for so long.
        """
        return Patience(
            self.clock,
            seconds,
            lambda: self.remaining,
            lambda: self.givenUp.append(self.clock.seconds()),
        )

    def test_noProgress(self) -> None:
        """
        Without progress it gives up when the time is over, once.
        """
        self.patience()
        self.clock.pump([4.9, 0.1, 50])
        self.assertEqual(self.givenUp, [5])

    def test_oneTimer(self) -> None:
        """
        There is one timer at a time, and none at the end.
        """
        patience = self.patience()
        for _ in range(12):
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(0.5)
            self.remaining -= 1
        patience.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_progress(self) -> None:
        """
        After progress the time starts anew; more work than before is none.
        """
        self.patience()
        self.clock.advance(1)
        self.remaining = 9
        self.clock.advance(4)
        self.remaining = 1
        self.clock.advance(5)
        self.remaining = 2
        self.clock.pump([4.9, 0.1])
        self.assertEqual(self.givenUp, [15])

    def test_justWritten(self) -> None:
        """
        What a transport sends right after it was written, because that is when
        transports send, is no progress of the peer's.
        """
        self.patience()
        self.remaining = 0
        self.clock.pump([0.5, 4.4])
        self.assertEqual(self.givenUp, [])
        self.clock.advance(0.1)
        self.assertEqual(self.givenUp, [5])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end(self) -> None:
        """
        Ended, before or after, it leaves no timer and gives nobody up.
        """
        patience = self.patience()
        patience.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        patience.end()
        late = self.patience()
        self.clock.advance(5)
        late.end()
        self.assertEqual(self.givenUp, [5])

    def test_endless(self) -> None:
        """
        It may be endless.
        """
        patience = self.patience(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        patience.end()
