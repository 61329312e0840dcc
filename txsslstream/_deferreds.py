# -*- test-case-name: tests.test_deferreds -*-
"""
Small tools for Deferreds.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

_T = TypeVar("_T")
_E = TypeVar("_E", bound=BaseException)


def again(error: BaseException) -> Failure:
    """
    @param error: one that is kept to be told more than once.
    @return: it, without the frames that it has been raised through before, which
        would pile up.
    """
    error.__traceback__ = None
    return Failure(error)


def anew(error: _E) -> _E:
    """
    @param error: one that is kept, and is to be raised by whoever keeps it.
    @return: one like it.  The frames that it is raised through hold whom was
        asked: if the one that is kept had them, that would be a cycle.
    """
    twin = copy(error)
    twin.__cause__ = error.__cause__
    return twin


def forgetFrames(error: BaseException | None) -> None:
    """
    Let go of all frames that an error and its causes have been raised through.
    They hold whoever has waited for it, who holds us, who keep the error.
    """
    seen: set[int] = set()
    # An error can be its own cause.
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__


def _swallow(failure: Failure) -> None:
    """
    Let a failure be nothing to anybody, also not to the frames that it has come
    from: a Deferred that has run another one's callbacks is among them, and has
    the Failure.
    """
    forgetFrames(failure.value)
    failure.tb = None


def cancellable(when: Callable[[], Deferred[_T]], cancel: Callable[[], None]) -> Deferred[_T]:
    """
    @param when: gives a new Deferred of an outcome.
    @param cancel: brings about a bad one, unless there is one already.
    @return: a Deferred of the outcome.  Whoever cancels it too late, for others
        have heard of the outcome first, gets that.
    """

    def cancelled(waiting: Deferred[_T]) -> None:
        cancel()
        when().addBoth(_tell, waiting)

    waiting: Deferred[_T] = Deferred(cancelled)
    when().addBoth(_tell, waiting)
    return waiting


def _tell(outcome: Any, waiting: Deferred[Any]) -> None:
    if not waiting.called:
        waiting.callback(outcome)


class Decision:
    """
    What somebody is deciding, one thing at a time.
    """

    __slots__ = ("_awaited",)

    _log = Logger()

    def __init__(self) -> None:
        self._awaited: Deferred[Any] | None = None

    @property
    def isAwaited(self) -> bool:
        """
        Whether somebody is deciding.
        """
        return self._awaited is not None

    def expect(
        self,
        decision: Deferred[Any],
        decided: Callable[[Any], None],
        broke: Callable[[BaseException], None],
    ) -> None:
        """
        Wait for a decision.

        @param decided: called with the result or a Failure, unless it is given up
            before.
        @param broke: called with what that raises, which is logged: in a Deferred
            nobody else would hear of it.
        """

        def done(result: Any) -> None:
            if self._awaited is decision:
                self._awaited = None
                try:
                    decided(result)
                except BaseException as e:
                    self._log.failure("what a decision has led to failed")
                    broke(e)

        self._awaited = decision
        decision.addBoth(done)

    def release(self) -> Deferred[Any] | None:
        """
        Wait no more.

        @return: what was waited for, to be dismissed.
        """
        decision, self._awaited = self._awaited, None
        return decision

    def dismiss(self, decision: Deferred[Any] | None) -> None:
        """
        Cancel a decision that nobody waits for; its outcome is ours to swallow.
        """
        if decision is None:
            return
        decision.addErrback(_swallow)
        try:
            decision.cancel()
        except BaseException:
            self._log.failure("a callback's Deferred failed to be cancelled")


def unless(isOver: bool, answer: Deferred[_T]) -> Deferred[_T]:
    """
    Whoever is asked may make an end of what they are asked for.  Behind the answer
    of another callback, whose Deferred is under way, nobody else could give up what
    they have begun.

    @param isOver: whether there is nothing left to decide.
    @param answer: theirs, given or not.
    @return: the same; cancelled if that is so.
    """
    if isOver:
        Decision().dismiss(answer)
    return answer


#: The outcome of most: shared.
_NOTHING: tuple[Any] = (None,)


class Occurrence(Generic[_T]):
    """
    Something that happens once, for any number of observers, early or late.
    """

    __slots__ = ("_error", "_outcome", "_waiting")

    def __init__(self) -> None:
        # There are many of these for which nobody waits.
        self._waiting: list[Deferred[_T]] | None = None
        self._outcome: tuple[_T] | None = None
        self._error: BaseException | None = None

    @property
    def hasHappened(self) -> bool:
        """
        Whether it has.
        """
        return self._outcome is not None or self._error is not None

    @property
    def isObserved(self) -> bool:
        """
        Whether somebody waits for it.
        """
        return bool(self._waiting)

    def when(self) -> Deferred[_T]:
        """
        @return: a new Deferred that fires with the outcome; cancelling it
            concerns nobody else.
        """
        if self._error is not None:
            return fail(again(self._error))
        if self._outcome is not None:
            return succeed(self._outcome[0])
        if self._waiting is None:
            self._waiting = []
        deferred: Deferred[_T] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def happened(self, result: _T) -> None:
        """
        Tell everybody.  The first outcome stays.
        """
        if self.hasHappened:
            return
        self._outcome = (result,) if result is not None else _NOTHING
        # One at a time: an observer may cancel another.
        while self._waiting:
            self._waiting.pop(0).callback(result)

    def failed(self, error: BaseException | Failure) -> None:
        """
        Tell everybody that it will never happen.  The first outcome stays.
        """
        if self._outcome is not None:
            return
        kept = self._error or (error.value if isinstance(error, Failure) else error)
        assert kept is not None
        self._error = kept
        while self._waiting:
            # Before anything is taken: what fails here can be told later.
            failure = again(kept)
            self._waiting.pop(0).errback(failure)

    @property
    def error(self) -> BaseException | None:
        """
        Why it will never happen, if so.
        """
        return self._error
