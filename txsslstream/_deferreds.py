# -*- test-case-name: tests.test_deferreds -*-
"""
Small tools for Deferreds.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

_T = TypeVar("_T")


class Occurrence(Generic[_T]):
    """
    Something that happens once, for any number of observers, early or late.
    """

    def __init__(self) -> None:
        self._waiting: list[Deferred[_T]] = []
        self._outcome: tuple[_T] | Failure | None = None

    @property
    def hasHappened(self) -> bool:
        """
        Whether it has.
        """
        return self._outcome is not None

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
        if isinstance(self._outcome, Failure):
            return fail(self._outcome.value)
        if self._outcome is not None:
            return succeed(self._outcome[0])
        deferred: Deferred[_T] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def happened(self, result: _T) -> None:
        """
        Tell everybody.
        """
        self._outcome = (result,)
        # One at a time: an observer may cancel another.
        while self._waiting:
            self._waiting.pop(0).callback(result)

    def failed(self, error: BaseException | Failure) -> None:
        """
        Tell everybody that it will never happen.
        """
        outcome = error if isinstance(error, Failure) else Failure(error)
        self._outcome = outcome
        while self._waiting:
            self._waiting.pop(0).errback(Failure(outcome.value))

    @property
    def error(self) -> BaseException | None:
        """
        Why it will never happen, if so.
        """
        return self._outcome.value if isinstance(self._outcome, Failure) else None
