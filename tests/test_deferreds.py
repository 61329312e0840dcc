"""
Tests for L{txsslstream._deferreds}: what happens once, for everybody.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.garbage import withoutCollector
from txsslstream import AuthenticationError, TlsAlert, _deferreds
from txsslstream._deferreds import (
    Decision,
    Occurrence,
    again,
    anew,
    cancellable,
    forgetFrames,
)


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """
    @return: the error after it has been raised and caught.
    """
    try:
        raise error from cause
    except BaseException as caught:
        return caught


class FrameTests(SynchronousTestCase):
    """
    Tests for L{again}, L{anew} and L{forgetFrames}.
    """

    def test_again(self) -> None:
        """
        An error that is told again is the same, without the frames of the time
        before.
        """
        error = raised(KeyError("why"))
        self.assertIsNotNone(error.__traceback__)
        failure = again(error)
        self.assertIs(failure.value, error)
        self.assertIsNone(error.__traceback__)
        self.assertIsNone(failure.getTracebackObject())

    def test_anew(self) -> None:
        """
        An error that is made anew says the same, and has the same cause; raised,
        it leaves nothing in the one that is kept.
        """
        cause = KeyError("cause")
        kept = AuthenticationError("why", alert=TlsAlert.bad_certificate)
        kept.__cause__ = cause
        error = raised(anew(kept), cause)
        self.assertIsNotNone(error.__traceback__)
        self.assertIsNone(kept.__traceback__)
        self.assertIsNot(error, kept)
        self.assertEqual((type(error), str(error)), (type(kept), str(kept)))
        self.assertEqual(vars(error), vars(kept))
        self.assertIs(anew(kept).__cause__, cause)

    def test_forgetFrames(self) -> None:
        """
        The frames of an error and of all its causes are let go, also behind one
        that has none.
        """
        first = raised(KeyError("first"))
        second = ValueError("never raised")
        second.__cause__ = first
        third = raised(TypeError("third"), second)
        for error in (first, third):
            self.assertIsNotNone(error.__traceback__)
        forgetFrames(third)
        for each in (first, second, third):
            self.assertIsNone(each.__traceback__)
        self.assertIs(third.__cause__, second)

    def test_forgetNothing(self) -> None:
        """
        Where there is no error there are no frames.
        """
        forgetFrames(None)

    def test_causesInCircle(self) -> None:
        """
        Errors that are each other's cause, or their own, come to an end.
        """
        first, second, own = (raised(KeyError(number)) for number in range(3))
        first.__cause__, second.__cause__, own.__cause__ = second, first, own
        for error in (first, own):
            forgetFrames(error)
        for error in (first, second, own):
            self.assertIsNone(error.__traceback__)


class OccurrenceTests(SynchronousTestCase):
    """
    Tests for L{Occurrence}.
    """

    def setUp(self) -> None:
        """
        Make one that has not happened.
        """
        self.occurrence: Occurrence[object] = Occurrence()

    def tell(self, result: object, told: list[tuple[int, object]], number: int) -> None:
        """
        Take the outcome as an observer with a number.
        """
        told.append((number, result))

    def cancel(self, outcome: object, deferred: Deferred[object]) -> None:
        """
        Take the outcome as an observer that cancels another.
        """
        deferred.cancel()

    def test_firstStays(self) -> None:
        """
        What has happened stays, whatever is told afterwards.
        """
        self.occurrence.failed(ValueError("first"))
        self.occurrence.failed(ValueError("second"))
        self.occurrence.happened(None)
        self.assertEqual(str(self.failureResultOf(self.occurrence.when()).value), "first")
        other: Occurrence[str] = Occurrence()
        other.happened("first")
        other.failed(ValueError("second"))
        self.assertEqual(self.successResultOf(other.when()), "first")

    def test_toldLater(self) -> None:
        """
        Who could not be told of a failure, such as for lack of memory, is told when
        it is told again.
        """
        observers = [self.occurrence.when() for _ in range(2)]
        with patch.object(_deferreds, "again", side_effect=MemoryError):
            self.assertRaises(MemoryError, self.occurrence.failed, ValueError("first"))
        self.assertTrue(self.occurrence.isObserved)
        self.occurrence.failed(ValueError("second"))
        for each in observers:
            self.assertEqual(str(self.failureResultOf(each).value), "first")

    def test_pending(self) -> None:
        """
        Before it happens nobody is told, and nothing is known.
        """
        self.assertNoResult(self.occurrence.when())
        self.assertFalse(self.occurrence.hasHappened)
        self.assertIsNone(self.occurrence.error)

    def test_early(self) -> None:
        """
        Everybody who has waited is told, in the order of asking.
        """
        told: list[tuple[int, object]] = []
        for number in range(3):
            self.occurrence.when().addCallback(self.tell, told, number)
        self.occurrence.happened("it")
        self.assertEqual(told, [(0, "it"), (1, "it"), (2, "it")])
        self.assertTrue(self.occurrence.hasHappened)

    def test_late(self) -> None:
        """
        Who asks afterwards is told at once, any number of times, whatever the
        outcome is.
        """
        for outcome in ("it", None, False):
            occurrence: Occurrence[object] = Occurrence()
            occurrence.happened(outcome)
            self.assertTrue(occurrence.hasHappened)
            for _ in range(3):
                self.assertIs(self.successResultOf(occurrence.when()), outcome)

    def test_independent(self) -> None:
        """
        What one observer makes of the outcome is nobody else's.
        """
        first, second = self.occurrence.when(), self.occurrence.when()
        first.addCallback(lambda result: "changed")
        self.occurrence.happened("it")
        self.assertEqual(self.successResultOf(first), "changed")
        self.assertEqual(self.successResultOf(second), "it")
        self.assertEqual(self.successResultOf(self.occurrence.when()), "it")

    def test_failed(self) -> None:
        """
        If it never will happen, everybody early and late gets the same error.
        """
        early = [self.occurrence.when() for _ in range(2)]
        error = KeyError("why")
        self.occurrence.failed(error)
        self.assertTrue(self.occurrence.hasHappened)
        self.assertIs(self.occurrence.error, error)
        for deferred in (*early, self.occurrence.when(), self.occurrence.when()):
            self.assertIs(self.failureResultOf(deferred, KeyError).value, error)

    def test_failedWithFailure(self) -> None:
        """
        The error may come as a L{Failure}; every observer gets one of its own.
        """
        deferreds = [self.occurrence.when() for _ in range(2)]
        failure = Failure(KeyError("why"))
        self.occurrence.failed(failure)
        self.assertIs(self.occurrence.error, failure.value)
        deferreds.append(self.occurrence.when())
        failures = [self.failureResultOf(deferred, KeyError) for deferred in deferreds]
        self.assertEqual([each.value for each in failures], [failure.value] * 3)
        self.assertEqual(len({id(each) for each in (*failures, failure)}), 4)

    def test_failedUnobserved(self) -> None:
        """
        An error that nobody waits for is not logged as unhandled.
        """
        self.occurrence.failed(KeyError("why"))
        del self.occurrence
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_error(self) -> None:
        """
        What has happened has no error.
        """
        self.occurrence.happened("it")
        self.assertIsNone(self.occurrence.error)

    def test_isObserved(self) -> None:
        """
        It is observed as long as somebody waits for it.
        """
        self.assertFalse(self.occurrence.isObserved)
        first, second = self.occurrence.when(), self.occurrence.when()
        self.assertTrue(self.occurrence.isObserved)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertTrue(self.occurrence.isObserved)
        self.occurrence.happened("it")
        self.assertEqual(self.successResultOf(second), "it")
        self.assertFalse(self.occurrence.isObserved)
        self.successResultOf(self.occurrence.when())
        self.assertFalse(self.occurrence.isObserved)

    def test_cancel(self) -> None:
        """
        Who cancels is told so at once, and nobody else is concerned.
        """
        first, second = self.occurrence.when(), self.occurrence.when()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.assertFalse(self.occurrence.hasHappened)
        self.occurrence.happened("it")
        self.assertEqual(self.successResultOf(second), "it")

    def test_cancelWhileToldOf(self) -> None:
        """
        An observer that cancels another while being told, of success or
        failure, cancels it.
        """
        outcomes: tuple[Callable[[Occurrence[object]], None], ...] = (
            lambda occurrence: occurrence.happened("it"),
            lambda occurrence: occurrence.failed(KeyError("why")),
        )
        for settle in outcomes:
            occurrence: Occurrence[object] = Occurrence()
            first, second, third = (occurrence.when() for _ in range(3))
            first.addBoth(self.cancel, second)
            third.addErrback(lambda failure: failure.trap(KeyError))
            settle(occurrence)
            self.assertIsNone(self.successResultOf(first))
            self.failureResultOf(second, CancelledError)
            self.successResultOf(third)

    def test_askedWhileTold(self) -> None:
        """
        Who asks while somebody else is being told is told at once.
        """
        late: list[Deferred[object]] = []
        self.occurrence.when().addCallback(lambda _: late.append(self.occurrence.when()))
        self.occurrence.happened("it")
        self.assertEqual(self.successResultOf(late[0]), "it")


class CancellableTests(SynchronousTestCase):
    """
    Tests for L{cancellable}.
    """

    def setUp(self) -> None:
        """
        Make something that can happen, and what makes it fail.
        """
        self.occurrence: Occurrence[int] = Occurrence()
        self.cancelled = 0

    def cancel(self) -> None:
        """
        Give it up, unless it is over.
        """
        self.cancelled += 1
        self.occurrence.failed(KeyError("given up"))

    def waiting(self) -> Deferred[int]:
        """
        @return: the Deferred under test.
        """
        return cancellable(self.occurrence.when, self.cancel)

    def test_outcomes(self) -> None:
        """
        Without cancellation it is the outcome, good or bad.
        """
        waiting = self.waiting()
        self.assertNoResult(waiting)
        self.occurrence.happened(3)
        self.assertEqual(self.successResultOf(waiting), 3)
        self.assertEqual(self.successResultOf(self.waiting()), 3)
        self.setUp()
        waiting = self.waiting()
        self.occurrence.failed(ValueError("why"))
        self.failureResultOf(waiting, ValueError)
        self.assertEqual(self.cancelled, 0)

    def test_cancelled(self) -> None:
        """
        Cancelled, it is what cancelling leads to.
        """
        waiting = self.waiting()
        waiting.cancel()
        self.failureResultOf(waiting, KeyError)
        self.assertEqual(self.cancelled, 1)

    def test_tooLate(self) -> None:
        """
        Cancelled by somebody who has heard of the outcome before, it is that,
        once, and nobody complains.
        """
        pending: list[Deferred[Any]] = []
        for isGood in (True, False):
            self.setUp()
            self.occurrence.when().addBoth(lambda _: pending[-1].cancel())
            pending.append(self.waiting())
            if isGood:
                self.occurrence.happened(3)
                self.assertEqual(self.successResultOf(pending[-1]), 3)
            else:
                self.occurrence.failed(ValueError("why"))
                self.failureResultOf(pending[-1], ValueError)
            self.assertEqual(self.cancelled, 1)
        self.assertEqual(self.flushLoggedErrors(), [])


class DismissalTests(SynchronousTestCase):
    """
    Tests for what is left of decisions that nobody waits for.
    """

    def test_frames(self) -> None:
        """
        A decision that fails when it has been dismissed leaves nothing, without
        the garbage collector, although its frames hold a Deferred that holds the
        failure.
        """

        class Held:
            pass

        def fails(_: object) -> Deferred[object]:
            def raises(_: object) -> None:
                raise KeyError("why")

            return succeed(None).addCallback(raises)

        def live() -> weakref.ref[Held]:
            held = Held()
            decision: Deferred[object] = succeed(held).addCallback(fails)
            Decision().dismiss(decision)
            return weakref.ref(held)

        withoutCollector(self)
        self.assertIsNone(live()())
