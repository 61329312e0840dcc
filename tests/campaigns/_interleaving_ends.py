"""
What the two ends in L{tests.campaigns.interleavings} write down of what comes of
their calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    IncompleteReadError,
    InvalidOperationError,
    LimitExceededError,
    NotSupportedError,
    ReadTimeout,
    ShutdownTimeout,
    SslStream,
    StreamClosedError,
    TlsError,
    TruncationError,
    WriteTimeout,
)
from txsslstream.testing import Bystander

from ._interleaving_callbacks import Callbacks
from ._interleaving_plan import Hook, Plan

_REFUSED = (AuthenticationError, HandshakeCancelled, HandshakeInterrupted, HandshakeTimeout)
# The last: once a write was given up half-way.
_BROKEN = (*_REFUSED, TruncationError, TlsError, StreamClosedError, WriteTimeout)
_MISUSED = (InvalidOperationError, NotSupportedError)

#: What operations may fail with, as their documentation says; besides, with
#: C{CancelledError} if they are cancelled.
ERRORS: Mapping[str, tuple[type[BaseException], ...]] = {
    "authenticate": (*_REFUSED, InvalidOperationError, StreamClosedError),
    "whenAuthenticated": _REFUSED,
    "read": (*_BROKEN, *_MISUSED, ReadTimeout),
    "readExactly": (*_BROKEN, *_MISUSED, ReadTimeout, IncompleteReadError),
    "readUntil": (*_BROKEN, *_MISUSED, ReadTimeout, IncompleteReadError, LimitExceededError),
    "write": (*_BROKEN, *_MISUSED),
    "flush": (*_BROKEN, *_MISUSED),
    "shutdown": (*_BROKEN, *_MISUSED),
    "negotiate": (*_BROKEN, *_MISUSED),
    "unwrap": (*_BROKEN, *_MISUSED, ShutdownTimeout),
    "close": (),
    "whenClosed": (),
}


class Operation:
    """
    Something that an end waits for.

    @ivar deferred: as long as it has not fired.
    @ivar firings: how often it has.
    @ivar error: what it has failed with: the type.
    """

    def __init__(self, name: str, began: float, deferred: Deferred[Any]) -> None:
        self.name = name
        self.began = began
        self.deferred: Deferred[Any] | None = deferred
        self.firings = 0
        self.error: type[BaseException] | None = None
        self.isCancelled = False


class Witness:
    """
    One end, as far as it listens.

    @ivar operations: what was called, in order.
    @ivar outcome: C{"authenticated"}, or the type of what has failed.
    @ivar error: what the authentication has failed with.
    @ivar began: when the authentication was begun.
    @ivar said: how much was written that has to arrive if everything does.
    @ivar heard: how much was read.
    @ivar isCleanlyEnded: whether the end of what is to be heard was said to be
        one without anything missing.
    @ivar hasClosed: whether this end has closed the connection by itself.
    @ivar references: to what has to be gone when all is over.
    """

    def __init__(self, side: str, plan: Plan, run: Any, transport: Any) -> None:
        self.side = side
        self.plan = plan.end(side)
        self.transport = transport
        self.stream: Any = None
        self.protocol: Any = None
        self.operations: list[Operation] = []
        self.outcome: Any = None
        self.error: Any = None
        self.said = 0
        self.heard = 0
        self.isCleanlyEnded = False
        self.lastError: Any = None
        self.hasBegun = False
        self.began = 0.0
        self.hasClosed = False
        self.hasShut = False
        self.isDraining = False
        self.negotiations = 0
        self.references: dict[str, Any] = {}
        self.bystander = Bystander()
        self.losses = 0
        self.handled: Deferred[None] | None = None
        self._run = run
        self._plan = plan
        self._hooks: list[list[Any]] = [[hook.event, hook.skips, hook] for hook in self.plan.hooks]
        self.callbacks = Callbacks(
            side, plan, lambda: len(transport.everWritten), self.presented, self.happened
        )
        if self.plan.kind == "stream":
            transport.protocol = self.bystander
            self.bystander.makeConnection(transport)
            self.has(
                SslStream(transport, leaveInnerStreamOpen=self.plan.leavesOpen, clock=run.clock)
            )

    @property
    def isServer(self) -> bool:
        """
        Whether it is the server.
        """
        return self.side == "server"

    def has(self, stream: Any) -> None:
        """
        There is a stream, or a TLS protocol.
        """
        self.stream = stream
        self.references["stream"] = ref(stream)
        stream.shutdownTimeout = self.plan.shutdownTimeout
        if self.plan.kind != "push":
            stream.readTimeout = self.plan.readTimeout
            stream.writeTimeout = self.plan.writeTimeout

    def hasProtocol(self, protocol: Any) -> None:
        """
        There is a TLS protocol.
        """
        self.protocol = protocol
        authentication = protocol._authentication
        for name, value in (("protocol", protocol), ("authentication", authentication)):
            self.references[name] = ref(value)

    def release(self) -> None:
        """
        Forget all that leads to the run, and that the run leads to.
        """
        engine = getattr(getattr(self.protocol, "_authentication", None), "engine", None)
        if engine is not None:
            self.references["engine"] = ref(engine)
            self.references["connection"] = ref(engine.connection)
        self.callbacks.release()
        self.stream = self.protocol = self.handled = self._run = self.error = None
        self.bystander.transport = None
        self.operations.clear()
        self._hooks.clear()

    def presented(self, certificate: Any, errors: Any) -> None:
        """
        The validation callback is asked.
        """
        self._run.judge.presented(self, certificate, errors)

    def happened(self, event: str) -> None:
        """
        The application is told something: it may do something at once.
        """
        run = self._run
        if run is None:
            return
        run.note(f"  {self.side}: {event}")
        for waiting in self._hooks:
            if waiting[0] == event:
                waiting[1] -= 1
                if waiting[1] < 0:
                    self._hooks.remove(waiting)
                    hook: Hook = waiting[2]
                    run.perform(hook.step)
                    return

    # What comes of it.

    def wait(self, name: str, deferred: Deferred[Any]) -> Operation:
        """
        Wait for something.
        """
        operation = Operation(name, self._run.clock.seconds(), deferred)
        self.operations.append(operation)
        deferred.addCallbacks(
            self._succeeded, self._failed, callbackArgs=(operation,), errbackArgs=(operation,)
        )
        return operation

    def _fired(self, operation: Operation) -> None:
        operation.firings += 1
        operation.deferred = None

    def _succeeded(self, result: Any, operation: Operation) -> None:
        self._fired(operation)
        name = operation.name
        if name in ("authenticate", "whenAuthenticated"):
            self.authenticated(result)
        elif name in ("read", "readExactly", "readUntil"):
            self.arrived(result, isEnd=name == "read" and not result)
            if self.isDraining and result:
                self.happened(name)
                self.drain()
                return
        elif name == "unwrap":
            self._run.counts["unwrapped"] += 1
        self.happened(name)

    def _failed(self, failure: Failure, operation: Operation) -> None:
        self._fired(operation)
        error: Any = failure.value
        operation.error = kind = type(error)
        name = operation.name
        self._run.counts[f"{name}: {kind.__name__}"] += 1
        self._run.note(f"  {self.side}: {name} failed: {kind.__name__}: {error}")
        self._run.judge.failed(self, operation, error)
        if kind is IncompleteReadError:
            self.arrived(error.partial, isEnd=True)
        elif name.startswith("read") and kind not in (
            ReadTimeout,
            CancelledError,
            LimitExceededError,
            *_MISUSED,
        ):
            self.lastError = (kind, getattr(error, "alert", None))
        if name == "authenticate" and issubclass(kind, AuthenticationError):
            self.refused(error)
        self.happened(f"{name}Failed")

    def authenticated(self, stream: Any) -> None:
        """
        Somebody was told that this end is authenticated.
        """
        if self.outcome is None:
            self.outcome = "authenticated"
            self._run.judge.authenticated(self)
        if stream is not None and stream is not self.stream:
            self._run.judge.complain(f"{self.side}: another stream was authenticated")
        self._run.judge.inspect(self)
        self.happened("authenticated")

    def refused(self, error: Any) -> None:
        """
        The authentication has failed.
        """
        if self.outcome is None:
            self.outcome = type(error)
            self.error = (error.alert, error.alertSent)
            self.happened("refused")
        elif self.outcome == "authenticated":
            self._run.judge.complain(f"{self.side}: refused after it was authenticated")

    def arrived(self, data: bytes, isEnd: bool = False) -> None:
        """
        Something was read.
        """
        if data:
            self._run.judge.heard(self, data)
            self.heard += len(data)
        if isEnd:
            self.isCleanlyEnded = True
            self._run.judge.ended(self)

    def drain(self) -> None:
        """
        Read until the end.
        """
        self.isDraining = True
        isBusy = any(
            each.deferred is not None and each.name.startswith("read") for each in self.operations
        )
        if self.plan.kind == "push" or self.outcome != "authenticated" or isBusy:
            return
        if not self.isCleanlyEnded and not self.hasClosed and self.lastError is None:
            self.stream.readTimeout = None
            self.wait("read", self.stream.read())
