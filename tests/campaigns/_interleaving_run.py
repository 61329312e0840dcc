"""
One run of L{tests.campaigns.interleavings}.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from zope.interface import implementer

from txsslstream import SslProtocols, TlsAlert
from txsslstream._openssl import beginHandshake

from ._interleaving_calls import End
from ._interleaving_material import haveSession
from ._interleaving_oracles import Judge
from ._interleaving_plan import Plan, Step
from ._interleaving_wire import MOST_IDLE, TURN, FaultyWire, Relay, SeededClock

#: So deep may applications call from within calls.
_DEEPEST = 6

#: No time-out of a plan takes longer, in seconds.
_PATIENCE = 40

_TIMES = {"turn": 0.0, "wait": 0.001, "waitLong": 0.001}
_FAULTS = ("cut", "reset", "corrupt", "drop", "garbage", "alert", "hold", "release")
_SECRETS = ("rekey", "idle", "secretAlert", "secretClose")


@implementer(ILogObserver)
class Run:
    """
    One run.

    @ivar disturbances: what may keep something from arriving.
    @ivar isImpersonated: whether somebody has said C{close_notify} for an end.
    @ivar counts: what was done and what came of it.
    @ivar lines: what has happened, if that is to be kept.
    """

    def __init__(self, plan: Plan, isVerbose: bool = False) -> None:
        self.plan = plan
        self.lines: list[str] | None = [] if isVerbose else None
        self.counts: Counter[str] = Counter()
        self.disturbances: list[str] = []
        self.isImpersonated = False
        self._depth = 0
        self.judge = Judge(self)
        self.clock = SeededClock(plan.seed)
        haveSession(plan)
        self.wire = FaultyWire(plan.seed, self.clock)
        if plan.rekeyed:
            transport = getattr(self.wire, plan.rekeyed)
            transport.relay = Relay(plan.rekeyed == "server")
        self.client = End("client", plan, self, self.wire.client)
        self.server = End("server", plan, self, self.wire.server)

    @property
    def ends(self) -> tuple[End, End]:
        """
        Both.
        """
        return self.client, self.server

    def other(self, end: End) -> End:
        """
        @return: the other end.
        """
        return self.server if end is self.client else self.client

    def note(self, line: str) -> None:
        """
        Keep a line of what happens.
        """
        if self.lines is not None:
            self.lines.append(line)

    def disturbed(self, what: str) -> None:
        """
        Something may keep something from arriving.
        """
        self.note(f"  disturbed: {what}")
        self.disturbances.append(what)

    def __call__(self, event: dict[str, Any]) -> None:
        """
        See C{ILogObserver}.
        """
        level = event.get("log_level")
        if event.get("isError") or level in (LogLevel.error, LogLevel.critical):
            self.judge.logged(event)

    # Steps.

    def perform(self, step: Step) -> None:
        """
        Do a step of the plan.
        """
        if self._depth >= _DEEPEST:
            return
        self._depth += 1
        self.note(f"{'  ' * (self._depth - 1)}{step}")
        try:
            self._do(step)
        except BaseException as e:
            if isinstance(e, KeyboardInterrupt):
                raise
            self.judge.complain(f"{step.what} raised {type(e).__name__}: {e}")
        finally:
            self._depth -= 1

    def _do(self, step: Step) -> None:
        where, what, number = step
        self.counts[what] += 1
        if where == "clock":
            self._pass(what, number)
            return
        end: End = getattr(self, where)
        if what == "move":
            self.wire.move(end.transport, number)
        elif what == "moveAll":
            self.wire.move(end.transport, 0)
        elif what == "end":
            self.wire.end(end.transport)
        elif what in _FAULTS:
            self.disturbed(what)
            self.wire.fault(end.transport, what, number)
        elif what in _SECRETS:
            self._betray(end, what, number)
        elif what == "handshake":
            self._handshake(end)
        else:
            getattr(end, f"do{what[0].upper()}{what[1:]}")(number)

    def _pass(self, what: str, number: int) -> None:
        if what == "pump":
            self.wire.pump()
            return
        if what == "waitLong":
            self.disturbed("much time passes")
        self.clock.advance(TURN + number * _TIMES[what])
        if self.clock.seconds() > 0.9 and "time passes" not in self.disturbances:
            self.disturbed("time passes")

    def _betray(self, end: End, what: str, number: int) -> None:
        relay = end.transport.relay
        if relay is None or end.transport.closing is not None:
            return
        said = relay.said(what, number)
        if not said:
            return
        end.transport.inject(said)
        isAlertOfEnd = what == "secretAlert" and number % len(TlsAlert) == 0
        if what == "secretClose" or isAlertOfEnd:
            self.isImpersonated = True
        if what in ("secretAlert", "secretClose") or relay.idle > MOST_IDLE:
            self.disturbed(what)

    def _handshake(self, end: End) -> None:
        """
        Begin another handshake under the keys of an end (TLS 1.2).
        """
        if end.protocol is not None and end.outcome == "authenticated" and not end.losses:
            self.disturbed("another handshake")
            handle = end.protocol.getHandle()
            isOld = self.plan.version is SslProtocols.Tls12
            if isOld and handle is not None and not end.transport.losses:
                beginHandshake(handle)

    # The end.

    def conduct(self) -> list[str]:
        """
        Do it all.

        @return: what is not as it has to be.
        """
        globalLogPublisher.addObserver(self)
        try:
            for step in self.plan.steps:
                self.perform(step)
            self.note(f"finale: {self.plan.finale}")
            try:
                getattr(self, f"_{self.plan.finale}")()
                self._finish()
            except Exception as e:
                self.judge.complain(f"the finale raised {type(e).__name__}: {e}")
            self.judge.over()
            for end in self.ends:
                self.counts[f"{end.side}: {getattr(end.outcome, '__name__', end.outcome)}"] += 1
        finally:
            globalLogPublisher.removeObserver(self)
        return self.judge.complaints

    def _settle(self) -> None:
        """
        Let everything arrive, and every question be answered that will be.
        """
        self.wire.pump()
        isOver = False
        while not isOver:
            answered = [end.answer() for end in self.ends]
            isOver = not any(answered)
            self.wire.pump()

    def _orderly(self) -> None:
        for end in self.ends:
            end.transport.isHeldUp = False
            if not end.hasBegun:
                self.perform(Step(end.side, "authenticate"))
        self._settle()
        self.judge.settled()
        for end in self.ends:
            end.doResume(0)
            end.drain()
        self._settle()
        for end in self.ends:
            self.perform(Step(end.side, "shutdown" if end.plan.isHalfCloseable else "close"))
            self._settle()
            end.drain()
        self._settle()
        self.judge.heardAll()
        for end in self.ends:
            self.perform(Step(end.side, "close"))
        self._settle()
        self._wait("closed")

    def _cut(self) -> None:
        self.disturbed("cut")
        self.wire.lose()
        self.clock.advance(TURN)

    def _abort(self) -> None:
        ends = self.ends if self.plan.seed % 2 else self.ends[::-1]
        for end in ends:
            self.perform(Step(end.side, "abort"))
            self.wire.pump()

    def _vanish(self) -> None:
        self.disturbed("vanish")
        for end in self.ends:
            end.transport.isHeldUp = True
            if self.plan.seed % 3:
                self.perform(Step(end.side, "close"))
        self._wait("given up")

    def _wait(self, why: str) -> None:
        """
        Let all time-outs pass: whoever has closed is closed then, and a
        handshake is over.
        """
        for _ in range(6):
            self.clock.advance(_PATIENCE / 4)
            self.wire.pump()
        for end in self.ends:
            isOpen = end.transport.connected and end.transport.protocol is not end.bystander
            hasPatience = end.protocol is not None and end.plan.shutdownTimeout is not None
            if end.hasClosed and hasPatience and isOpen:
                self.judge.complain(f"{end.side}: is not {why} after all time-outs")
            limit = end.plan.handshakeTimeout
            for operation in end.operations:
                isLate = operation.name == "authenticate" and operation.deferred is not None
                if isLate and limit is not None:
                    self.judge.complain(f"{end.side}: the handshake has no end")

    def _finish(self) -> None:
        """
        Whatever is still there is aborted, and then it is gone.
        """
        for end in self.ends:
            end.doFinish(1)
            self.perform(Step(end.side, "abort"))
        self.wire.pump()
        for end in self.ends:
            if end.transport.protocol is end.bystander and end.transport.connected:
                # It was given back, and is ours to close.
                end.transport.abortConnection()
            elif end.transport.connected and end.stream is None:
                # Nobody has got as far as to have something to close.
                self.wire.lose()
        self.wire.pump()
        for end in self.ends:
            self.perform(Step(end.side, "whenClosed"))

    def release(self) -> dict[str, Any]:
        """
        Forget everything.

        @return: weak references to what has to be gone then.
        """
        references: dict[str, Any] = {}
        for end in self.ends:
            end.release()
            end.transport.protocol = None
            if not end.callbacks.hasResisted:
                references.update(
                    (f"{end.side}'s {name}", each) for name, each in end.references.items()
                )
        self.judge.release()
        return references


def conducted(plan: Plan, isVerbose: bool = False) -> tuple[list[str], Run]:
    """
    Conduct a run.

    @return: what is not as it has to be, and the run, of which little is left.
    """
    run = Run(plan, isVerbose)
    complaints = run.conduct()
    references = run.release()
    alive = [name for name, reference in references.items() if reference() is not None]
    if alive:
        complaints.append(f"still there: {', '.join(alive)}")
    return complaints, run


def shrunk(plan: Plan, complaint: str) -> Plan:
    """
    @return: the plan without steps that it does not need to fail in this way.
    """
    size = max(1, len(plan.steps) // 2)
    while size:
        start = 0
        while start < len(plan.steps):
            less = plan.without(start, start + size)
            if complaint in conducted(less)[0]:
                plan = less
            else:
                start += size
        size //= 2
    return plan
