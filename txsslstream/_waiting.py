# -*- test-case-name: tests.test_waiting -*-
"""
A handshake that can wait.

OpenSSL asks for verdicts and certificates in C callbacks and wants the answer
as their return value; on a server it has no other way.  Our users answer with
Deferreds.  So the call into OpenSSL runs in a greenlet, and a callback that
needs an answer switches out of it: the C stack stays parked, with the question
handed to whoever started the call, until L{PausableCall.answer} switches back
in.  The thread goes on with other connections meanwhile.

Rules that keep this sound:

  - a parked call is resumed exactly once per question: a second answer is
    ignored;
  - a parked call is never collected, which would raise C{GreenletExit} inside
    a C callback: L{_parked} holds it, and the process's exit answers what is
    left;
  - user code never runs in the greenlet, only in the caller's context.

A greenlet's first frame costs as much as a signature of OpenSSL's (CPython maps
memory for it), so that one whose call is over is used for the next.

Nothing here knows OpenSSL, TLS or Deferreds.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from threading import local
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

_T = TypeVar("_T")

_parked: set[PausableCall[Any]] = set()


#: How many greenlets of a thread wait for another call at most.
_MOST_IDLE = 8


class _Idle(local):
    """
    The greenlets that wait for another call.  Each belongs to its thread.
    """

    def __init__(self) -> None:
        self.greenlets: list[_CallGreenlet] = []


_idle = _Idle()


class _CallGreenlet(greenlet):
    """
    Runs calls, one after the other.  (The class tells ours from those that an
    application runs us in.)

    @ivar isOver: whether what it has switched out with is a call's result.
    """

    isOver = True

    def rest(self) -> None:
        """
        A call is over: wait for another, and keep nothing of it.  One greenlet
        too many ends with the last reference to it.
        """
        # What its callbacks have set is not the next one's to see.
        self.gr_context = None
        # It keeps whom it has switched to: if not the thread's own, an
        # application's greenlet.
        isOurs = getcurrent().parent is None
        if isOurs and len(_idle.greenlets) < _MOST_IDLE:
            _idle.greenlets.append(self)


def _runCalls() -> None:
    """
    Run the functions that the greenlet is switched to with.
    """
    # What it is first switched to with is kept as long as it runs.
    outcome: list[Any] = [None]
    while True:
        # While it waits it does not refer to itself: it would outlive its thread.
        function = _switchBack(outcome.pop())
        _setOver(False)
        outcome.append(function())
        # Nothing of it is kept.
        del function
        _setOver(True)


def _switchBack(result: object) -> Any:
    parent = getcurrent().parent
    assert parent is not None
    return parent.switch(result)


def _setOver(isOver: bool) -> None:
    runner = getcurrent()
    assert isinstance(runner, _CallGreenlet)
    runner.isOver = isOver


def _runner() -> _CallGreenlet:
    """
    @return: a greenlet that waits for a function.
    """
    if _idle.greenlets:
        return _idle.greenlets.pop()
    runner = _CallGreenlet(_runCalls)
    runner.switch()
    return runner


class PausableCall(Generic[_T]):
    """
    One call of a function that may stop in the middle to ask something.

    @ivar isParked: whether a question is open.
    """

    def __init__(
        self,
        function: Callable[[], _T],
        asked: Callable[[Any], None],
        finished: Callable[[_T], None],
        refusal: object,
    ) -> None:
        """
        @param function: what to run; it must not raise.
        @param asked: called with each question, outside of the function's
            stack; it calls L{answer} at once or later.
        @param finished: called with the function's result.
        @param refusal: the answer for a question that nobody will answer.
        """
        self._function = function
        self._greenlet: _CallGreenlet | None = None
        self._asked = asked
        self._finished = finished
        self._refusal = refusal
        self.isParked = False

    def start(self) -> None:
        """
        Run until the end or to the first question.
        """
        self._greenlet = _runner()
        self._step(self._greenlet, self._function)

    def answer(self, answer: object) -> None:
        """
        Go on with the answer to the open question, to the end or to the next
        question.  Without an open question nothing happens.
        """
        if self.isParked and self._greenlet is not None:
            self.isParked = False
            _parked.discard(self)
            try:
                self._step(self._greenlet, answer)
            except BaseException:
                # Such as for lack of memory.  If it has not got so far as to go on,
                # it still waits.
                runner = self._greenlet
                if runner is not None and not runner.dead and not runner.isOver:
                    self.isParked = True
                    _parked.add(self)
                raise

    def refuse(self) -> None:
        """
        Answer the open question, if any, with the refusal.
        """
        self.answer(self._refusal)

    def _step(self, runner: _CallGreenlet, argument: object) -> None:
        # The answer may come from any stack, so the way back leads there.
        runner.parent = getcurrent()
        outcome = runner.switch(argument)
        if runner.isOver:
            self._greenlet = None
            runner.rest()
            del runner
            self._finished(outcome)
        else:
            self.isParked = True
            _parked.add(self)
            self._asked(outcome)


def pause(question: object, refusal: object) -> Any:
    """
    Ask from inside a L{PausableCall}'s function; the call is parked until it is
    answered.

    @param refusal: returned at once where there is nobody to ask, because the
        function was not called through L{PausableCall}.
    """
    current = getcurrent()
    if not isinstance(current, _CallGreenlet) or current.parent is None:
        return refusal
    return current.parent.switch(question)


def _refuseParked() -> None:
    """
    The process ends: nobody will answer any more.
    """
    while _parked:
        _parked.pop().refuse()


atexit.register(_refuseParked)
