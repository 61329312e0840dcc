"""
Memory that runs out, at any one point of what the package does.

Every call that the package's code makes, of its own functions or of C's (OpenSSL's among them),
is where C{MemoryError} may come from.  L{Shortage} counts them, and has one of them fail.  What
is around behaves as a reactor does: it logs what is raised, ends the connection that a transport
was reading for, and goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from twisted.internet.defer import AlreadyCalledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from typing_extensions import Self

import txsslstream
from txsslstream import SslProtocols, SslStream, SslStreamFactory, _openssl, _waiting
from txsslstream.testing import Application, Bystander, Wire

from .support import AUTHORITY, CLIENT, SERVER

_PACKAGE = os.path.dirname(txsslstream.__file__) + os.sep
_TESTING = os.path.join(_PACKAGE, "testing") + os.sep


def _isOurs(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(_PACKAGE) and not name.startswith(_TESTING)


#: C functions that need no memory.
_CERTAIN = frozenset(
    {"append", "discard", "get", "getcurrent", "hasattr", "isinstance", "len", "pop", "setprofile"}
)


#: What tells somebody the end: if that cannot even be called, he does not hear of
#: it.
_TELLING = frozenset(
    {
        "_deferreds._tell",
        "_deferreds.again",
        "_deferreds.happened",
        "_deferreds.hasHappened",
        "_inner._lose",
        "_inner.connectionLost",
        "_sides.end",
        "protocol.makeConnection",
        "stream._innerLost",
    }
)


class Shortage:
    """
    Lets one call fail.

    @ivar count: how many calls there were.
    @ivar where: which one has failed; empty if none has.
    """

    def __init__(self, at: int | str) -> None:
        """
        @param at: the number of the call that fails, from 0; or the room and the
            name of a function, and which call of that fails, from 1: C{"room.name#2"}.
        """
        self.count = 0
        self.where = ""
        self._at = at
        self._name, _, which = str(at).partition("#")
        self._which = int(which or 1)
        self._seen = 0

    def _called(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            # A profile function is not asked about what it calls itself.
            name = getattr(called, "__name__", "")
        elif event == "call":
            name = frame.f_code.co_name
        else:
            return
        if not _isOurs(frame) or name in _CERTAIN:
            return
        number, self.count = self.count, self.count + 1
        room = os.path.basename(frame.f_code.co_filename).removesuffix(".py")
        isNamed = f"{room}.{name}" == self._name
        self._seen += isNamed
        if number == self._at or (isNamed and self._seen == self._which):
            self.where = f"{room}.{name}"
            raise MemoryError(self.where)

    def __enter__(self) -> Self:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


class ForgivingClock(Clock):
    """
    A clock that goes on whatever is raised.

    @ivar raised: that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.raised: list[BaseException] = []

    def callLater(self, delay: float, callable: Any, *arguments: object, **named: object) -> Any:
        """
        See C{IReactorTime}.
        """

        def call() -> None:
            try:
                callable(*arguments, **named)
            except BaseException as e:
                self.raised.append(e)

        return super().callLater(delay, call)


class ForgivingWire(Wire):
    """
    A wire that loses a connection whose protocol raises.

    @ivar raised: what was raised.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.raised: list[BaseException] = []

    def deliver(self, source: Any, target: Any) -> bool:
        """
        See L{Wire.deliver}.
        """
        try:
            return super().deliver(source, target)
        except BaseException as e:
            self._broke(target, source, e)
            return True

    def close(self, one: Any, other: Any) -> bool:
        """
        See L{Wire.close}.
        """
        try:
            return super().close(one, other)
        except BaseException as e:
            self.raised.append(e)
            if other.connected:
                self._lost(other, ConnectionDone() if one.closing is None else ConnectionLost())
            return True

    def _broke(self, end: Any, other: Any, error: BaseException) -> None:
        self.raised.append(error)
        end.written.clear()
        if end.connected:
            self._lost(end, error)
        if other.connected:
            self._lost(other, ConnectionAborted())

    def _lost(self, end: Any, reason: BaseException) -> None:
        try:
            end.lost(reason)
        except BaseException as e:
            self.raised.append(e)


#: What a server sends in a conversation.
MESSAGES = (b"a" * 10, b"b" * 70_000, b"c" * 5)
_WHOLE = b"".join(MESSAGES)


class Conversation:
    """
    A handshake, some data and an orderly end in memory, and what it has come to.

    @ivar raised: what the calls of the application have raised.
    @ivar outcomes: what has become of each Deferred, by names.
    @ivar received: what the client has got.
    """

    def __init__(self, isAcceptable: bool) -> None:
        """
        @param isAcceptable: whether each side ought to accept the other.
        """
        self.isAcceptable = isAcceptable
        self.clock = ForgivingClock()
        self.wire = ForgivingWire(clock=self.clock, keepsSessions=True)
        self.raised: list[BaseException] = []
        self.outcomes: dict[str, Any] = {}
        self.received: list[bytes] = []
        self.wanted: list[str] = []
        self.waiting: list[tuple[Deferred[Any], object]] = []

    def later(self, answer: object) -> Callable[..., Deferred[Any]]:
        """
        @return: a callback that answers when it is told to.
        """

        def ask(*_: object) -> Deferred[Any]:
            deferred: Deferred[Any] = Deferred()
            self.waiting.append((deferred, answer))
            return deferred

        return ask

    def attempt(self, name: str, call: Callable[[], Any]) -> bool:
        """
        Call something, and note what becomes of the Deferred.

        @return: whether it did not raise.
        """
        self.wanted.append(name)
        try:
            deferred = call()
        except BaseException as e:
            self.raised.append(e)
            self.outcomes[name] = e
            return False
        if isinstance(deferred, Deferred):
            deferred.addBoth(self._note, name)
        else:
            self.outcomes[name] = deferred
        return True

    def _note(self, result: Any, name: str) -> None:
        self.outcomes[name] = result.value if isinstance(result, Failure) else result

    def flush(self) -> None:
        """
        Let everything arrive, and answer whoever has asked.
        """
        while True:
            try:
                self.wire.flush()
            except BaseException as e:
                self.raised.append(e)
            if not self.waiting:
                return
            deferred, answer = self.waiting.pop(0)
            # It may have been given up.
            with suppress(AlreadyCalledError):
                deferred.callback(answer)

    def hold(self) -> None:
        """
        Do what is to be done while memory may run out.
        """
        raise NotImplementedError

    def isOpen(self, *names: str) -> bool:
        """
        @return: whether these have come to something good.
        """
        return all(
            name in self.outcomes and not isinstance(self.outcomes[name], BaseException)
            for name in names
        )

    def isAuthenticated(self) -> bool:
        """
        @return: whether somebody believes in who is not acceptable.
        """
        raise NotImplementedError

    def problems(self, where: str = "") -> list[str]:
        """
        Let time pass, and lose what is left.

        @param where: which call has failed, if one has.
        @return: everything that must not be.
        """
        found: list[str] = []
        for _ in range(3):
            self._goOn(found, self.wire.advance, 40)
        pending = [name for name in self.wanted if name not in self.outcomes]
        # Who has heard that he could not end it has to abort it, and nobody else.
        isTold = any(isinstance(each, MemoryError) for each in self.outcomes.values())
        if pending and where not in _TELLING and not isTold:
            found.append(f"pending after all time-outs: {pending}")
        self._goOn(found, self.wire.cut)
        self._goOn(found, self.wire.advance, 40)
        if where not in _TELLING:
            found += [f"never fires: {name}" for name in self.wanted if name not in self.outcomes]
        if not self.isAcceptable and self.isAuthenticated():
            found.append("somebody was let in")
        data = b"".join(self.received)
        if not _WHOLE.startswith(data):
            found.append("corrupt data")
        if self.outcomes.get("end") == b"" and data != _WHOLE and not self.raised:
            found.append("a part was taken for the whole")
        if _waiting._parked or _openssl._occupied:
            found.append("a handshake is parked still")
        found += [f"a timer is left: {each}" for each in self.clock.getDelayedCalls()]
        return found

    def _goOn(self, found: list[str], go: Callable[..., object], *arguments: object) -> None:
        try:
            go(*arguments)
        except Exception as e:
            found.append(f"{type(e).__name__}: {e}")


class Streams(Conversation):
    """
    One between two streams.
    """

    def __init__(
        self,
        version: SslProtocols,
        isAcceptable: bool,
        client: Callable[[Conversation], dict[str, Any]],
        server: Callable[[Conversation], dict[str, Any]],
        asksLater: bool = False,
    ) -> None:
        """
        @param client: makes the client's options.
        @param server: makes the server's.
        @param asksLater: whether the server asks for the client's certificate in
            mid-conversation.
        """
        super().__init__(isAcceptable)
        self._version = version
        self._asksLater = asksLater
        self.clientOptions = AUTHORITY.clientOptions(version, **client(self))
        self.serverOptions = AUTHORITY.serverOptions(version, **server(self))
        self.wire.connect(Bystander(), Bystander())
        self.client = SslStream(self.wire.client, clock=self.clock)
        self.server = SslStream(self.wire.server, clock=self.clock)

    def isAuthenticated(self) -> bool:
        """
        See L{Conversation.isAuthenticated}.
        """
        # In TLS 1.3 a client is done before the server has judged it.
        last = "asked" if self._asksLater else "server"
        if self.serverOptions.remoteCertificateValidationCallback is None:
            last = "client"
        return self.isOpen(last)

    def hold(self) -> None:
        """
        See L{Conversation.hold}.
        """
        if not self.attempt("server", lambda: self.server.authenticateAsServer(self.serverOptions)):
            return
        if not self.attempt("client", lambda: self.client.authenticateAsClient(self.clientOptions)):
            return
        self.flush()
        if not self.isOpen("client", "server"):
            return
        if not self.attempt("end", self._read):
            return
        if self._asksLater:
            if not self.attempt("asked", self.server.negotiateClientCertificateAsync):
                self.attempt("abort", self.server.abort)
                return
            self.flush()
        for number, message in enumerate(MESSAGES):
            name = f"write {number}"
            self.attempt(name, partial(self.server.write, message))
            self.flush()
            if not self.isOpen(name):
                # Whoever hears of it does not end as if nothing had happened.
                self.attempt("abort", self.server.abort)
                break
        self.attempt("close", self.server.close)
        self.flush()

    def _read(self) -> Deferred[bytes]:
        def more(data: bytes) -> bytes | Deferred[bytes]:
            self.received.append(data)
            return self._read() if data else data

        return self.client.read().addCallback(more)


class Protocols(Conversation):
    """
    One between two protocols over TLS.
    """

    def __init__(self, version: SslProtocols, isAcceptable: bool) -> None:
        super().__init__(isAcceptable)
        self._left = list(MESSAGES)
        answer = self.later(isAcceptable)
        given = {"remoteCertificateValidationCallback": answer}
        self._sides = [
            self._side(
                True, AUTHORITY.clientOptions(version, **given), Application(lost=self._lost)
            ),
            self._side(False, AUTHORITY.serverOptions(version), Application(made=self._say)),
        ]

    def _side(self, isClient: bool, options: Any, application: Application) -> Any:
        wrapped: Any = Factory.forProtocol(lambda: application)
        return SslStreamFactory(options, isClient, wrapped, self.clock).buildProtocol(None)

    def _say(self, application: Application) -> None:
        if self._left:
            application.transport.write(self._left.pop(0))
            self.clock.callLater(0, self._say, application)
        else:
            application.transport.loseConnection()

    def _lost(self, application: Application) -> None:
        self.received = [bytes(application.received)]
        isDone = isinstance(application.reason, ConnectionDone)
        self.outcomes["end"] = b"" if isDone else application.reason

    def hold(self) -> None:
        """
        See L{Conversation.hold}.
        """
        for name, side in zip(("client", "server"), self._sides, strict=True):
            self.attempt(name, side.whenAuthenticated)
        try:
            self.wire.connect(*self._sides)
        except BaseException as e:
            self.raised.append(e)
        self.flush()

    def isAuthenticated(self) -> bool:
        """
        See L{Conversation.isAuthenticated}.
        """
        return self.isOpen("client")


def _clientsCertificate(_: Conversation) -> dict[str, Any]:
    return {"clientCertificates": (CLIENT,)}


def _onlyNobody(conversation: Conversation, isGood: bool) -> Callable[..., Any]:
    """
    @return: a callback that lets in who shows nothing, and others perhaps.
    """
    ask = conversation.later(isGood)

    def judge(_: object, certificate: object, *__: object) -> bool | Deferred[bool]:
        return True if certificate is None else ask()

    return judge


#: Makes a conversation of a version of TLS in which who ought to be refused, or
#: ought not.
CONVERSATIONS: dict[str, Callable[[SslProtocols, bool], Conversation]] = {
    "a client's certificate is judged by a callback": lambda version, isGood: Streams(
        version,
        isGood,
        _clientsCertificate,
        lambda each: {
            "clientCertificateRequired": True,
            "remoteCertificateValidationCallback": each.later(isGood),
        },
    ),
    "a server's is judged by what there is": lambda version, isGood: Streams(
        version,
        isGood,
        lambda _: {"targetHost": "localhost" if isGood else "other.example"},
        lambda each: {"serverCertificateSelectionCallback": each.later(SERVER)},
    ),
    "a client is asked later": lambda version, isGood: Streams(
        version,
        isGood,
        lambda each: {
            "localCertificateSelectionCallback": each.later(CLIENT),
            "allowRenegotiation": True,
        },
        lambda each: {
            "allowRenegotiation": True,
            "remoteCertificateValidationCallback": _onlyNobody(each, isGood),
        },
        asksLater=True,
    ),
    "protocols that are pushed their data": Protocols,
}
