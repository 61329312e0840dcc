"""
The callbacks of an end in L{tests.campaigns.interleavings}.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import AlreadyCalledError, CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from ._interleaving_material import CLIENT, identity, serverIdentity
from ._interleaving_plan import Behaviour, EndPlan, Plan


class Raised(Exception):
    """
    What a callback raises.
    """


class RaisedBase(BaseException):
    """
    The same, of the kind that C{except Exception} lets pass.
    """


class Decision:
    """
    What a callback has been asked, and not answered yet.

    @ivar behaviour: how it will be.
    @ivar isWanted: whether somebody waits for the answer.
    @ivar hasResisted: whether it has raised as it was cancelled.
    @ivar written: how much had been written at that moment.
    """

    def __init__(
        self, what: str, behaviour: Behaviour, written: int, dismissed: Callable[[], object]
    ) -> None:
        self.what = what
        self.behaviour = behaviour
        self.written = written
        self.isWanted = True
        self.hasResisted = False
        self._dismissed: Callable[[], object] | None = dismissed
        self.deferred: Deferred[Any] = Deferred(self._cancelled)

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        self.isWanted = False
        dismissed, self._dismissed = self._dismissed, None
        if dismissed is not None:
            dismissed()
        if self.behaviour.when == "unfriendly":
            self.hasResisted = True
            raise Raised("cannot be cancelled")
        deferred.errback(CancelledError())

    def answer(self, value: Any) -> None:
        """
        Answer, whether or not somebody still waits, and once more.
        """
        self._dismissed = None
        if not self.isWanted:
            return
        self.isWanted = False
        for _ in range(2):
            # Whoever answers twice deserves that.
            with suppress(AlreadyCalledError):
                if isinstance(value, BaseException):
                    self.deferred.errback(Failure(value))
                else:
                    self.deferred.callback(value)


class Callbacks:
    """
    What an end is asked, and what it answers.

    @ivar decisions: what was not answered yet, oldest first.
    @ivar objections: what should keep this end from being authenticated.
    @ivar accepted: whether the validation callback's last answer was yes.
    @ivar hasResisted: whether a question could not be cancelled.
    """

    def __init__(
        self,
        side: str,
        plan: Plan,
        written: Callable[[], int],
        presented: Callable[[Any, Any], object],
        happened: Callable[[str], object],
    ) -> None:
        """
        @param written: how many bytes this end has written.
        @param presented: told what the peer has shown, and what is wrong with it.
        @param happened: told of each question.
        """
        self.decisions: list[Decision] = []
        self.objections: list[str] = []
        self.accepted = False
        self.hasResisted = False
        self.asked = 0
        self.options: Any = None
        self._all: list[Decision] = []
        self._side = side
        self._plan = plan
        self._own: EndPlan = plan.end(side)
        self._written = written
        self._presented = presented
        self._happened: Callable[[str], object] | None = happened

    def release(self) -> None:
        """
        Forget what leads back to the run.
        """
        self._happened = self.options = None
        self.decisions.clear()
        for decision in self._all:
            self.hasResisted = self.hasResisted or decision.hasResisted
            # One that could not be cancelled is part of a cycle.
            del decision.deferred

    def named(self, what: str) -> Any:
        """
        @return: the callback, or L{None} if there is none.
        """
        return getattr(self, f"_{what}") if what in self._own.asks else None

    def _validation(self, stream: Any, certificate: Any, _: object, errors: Any) -> Any:
        self._presented(certificate, errors)
        return self._ask("validation", stream)

    def _selection(self, stream: Any, *_: object) -> Any:
        return self._ask("selection", stream)

    def _options(self, stream: Any, *_: object) -> Any:
        return self._ask("options", stream)

    def _ask(self, what: str, stream: Any) -> Any:
        behaviour = self._own.behaviours[self.asked % len(self._own.behaviours)]
        self.asked += 1
        if what == "validation":
            self.accepted = False
        if behaviour.when in ("later", "never", "unfriendly"):
            decision = Decision(what, behaviour, self._written(), lambda: self._tell("dismissed"))
            # First, for it may be dismissed from within.
            self.decisions.append(decision)
            self._all.append(decision)
            self._tell(what)
            return decision.deferred
        self._tell(what)
        value = self.value(what, behaviour)
        if isinstance(value, BaseException):
            try:
                raise value
            finally:
                # Its frames hold this one.
                del value
        if behaviour.when == "fired":
            return succeed(value)
        return _coroutine(value) if behaviour.when == "coroutine" else value

    def _tell(self, event: str) -> None:
        if self._happened is not None:
            self._happened(event)

    def answerOldest(self) -> bool:
        """
        Answer the oldest question that is to be answered.

        @return: whether there was one.
        """
        for decision in self.decisions:
            if decision.behaviour.when != "never":
                self.decisions.remove(decision)
                value = self.value(decision.what, decision.behaviour, decision.isWanted)
                decision.answer(value)
                return True
        return False

    def value(self, what: str, behaviour: Behaviour, isWanted: bool = True) -> Any:
        """
        @return: the answer, or what is raised.
        """
        answer = behaviour.answer
        isNobody = what == "selection" and self._side == "client"
        isObjection = answer != "accept" and not (isNobody and answer in ("refuse", "nothing"))
        if isWanted and isObjection:
            self.objections.append(f"{what}: {answer}")
        if isWanted and what == "validation":
            self.accepted = answer == "accept"
        if answer == "raise":
            return Raised("of a callback's own")
        if answer == "base":
            return RaisedBase("of a callback's own")
        if answer == "wrong":
            return 17
        isRefusal = answer != "accept"
        if what == "validation":
            return None if answer == "nothing" else not isRefusal
        if isRefusal:
            return None
        if what == "options":
            return self.options
        if self._side == "server":
            return serverIdentity(self._plan)
        return identity(CLIENT) if self._plan.hasIdentity else None


async def _coroutine(value: Any) -> Any:
    return value
