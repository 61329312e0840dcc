# -*- test-case-name: tests.test_conformance -*-
"""
What the tests of L{txsslstream.testing.conformance} are made of.

They say what is wrong by C{AssertionError}, so that any runner can run them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from ..enums import SslProtocols
from ..errors import AuthenticationError
from ..options import SslClientAuthenticationOptions
from ..protocol import SslStreamFactory
from ..sessions import sessions
from ..stream import SslStream
from .applications import Application
from .authority import Authority, sharedAuthority
from .outcomes import failureOf, resultOf
from .wires import Listener, MemoryTestWire

F = TypeVar("F", bound=Callable[..., Any])

#: A record of a connection that nobody has encrypted (RFC 8446 section 5.2).
GARBAGE = b"\x17\x03\x03\x00\x20" + bytes(32)


def behaviour(*numbers: int) -> Callable[[F], F]:
    """
    @param numbers: which behaviours a test shows, as the documentation numbers
        them.
    """

    def mark(test: F) -> F:
        test.behaviours = numbers  # type: ignore[attr-defined]
        return test

    return mark


def behavioursOf(case: type) -> dict[int, list[str]]:
    """
    @return: the names of the tests of a case that show each behaviour.
    """
    found: dict[int, list[str]] = {}
    for name in dir(case):
        for number in getattr(getattr(case, name), "behaviours", ()):
            found.setdefault(number, []).append(name)
    return found


def expect(found: object, wanted: object) -> None:
    """
    @raise AssertionError: one is not equal to the other.
    """
    if found != wanted:
        raise AssertionError(f"{_short(found)}, and not {_short(wanted)}")


def _short(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 200 else f"{words[:200]}… ({len(words)} characters)"


def expectWaiting(*deferreds: Deferred[Any]) -> None:
    """
    @raise AssertionError: something has come of one of them.
    """
    for each in deferreds:
        if each.called:
            raise AssertionError(f"it should wait: {each!r}")


def expectRaises(kind: type[BaseException], function: Callable[..., Any], *arguments: Any) -> None:
    """
    @raise AssertionError: calling the function does not raise this.
    """
    try:
        result = function(*arguments)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}, but {result!r}")


def forget(deferred: Deferred[Any]) -> Deferred[Any]:
    """
    @return: the same Deferred; if it fails, that is as it should be.
    """
    return deferred.addErrback(lambda _: None)


def everything(stream: Any) -> list[Deferred[Any]]:
    """
    @return: what comes of all that a stream can be asked to read and to write, be it
        nothing.
    """
    return [
        stream.read(),
        stream.readExactly(0),
        stream.write(b""),
        stream.flush(),
        stream.shutdown(),
    ]


def troubleOf(deferred: Deferred[Any]) -> AuthenticationError:
    """
    @return: the error, of any kind that is an L{AuthenticationError}, that a
        Deferred has failed with.
    """
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    if not failures or not failures[0].check(AuthenticationError):
        raise AssertionError(f"no AuthenticationError: {deferred!r}, {failures}")
    return cast(AuthenticationError, failures[0].value)


def patterned(size: int, seed: int = 0) -> bytes:
    """
    @return: so many bytes, in which a piece that is missing, doubled or
        misplaced is noticed.
    """
    return Random(seed).randbytes(size)


@cache
def stranger() -> Authority:
    """
    @return: an authority whom nobody trusts, always the same.
    """
    return Authority("Stranger")


@dataclass
class Talk:
    """
    Two ends of a connection, streams or applications, seen from one.

    @ivar wire: what is between them.
    @ivar near: C{isServer} of the end under test, for the wire's methods.
    @ivar ours: the end under test.
    @ivar theirs: the other end.
    """

    wire: Any
    near: bool
    ours: Any
    theirs: Any

    @property
    def far(self) -> bool:
        """
        C{isServer} of the other end.
        """
        return not self.near

    @property
    def client(self) -> Any:
        """
        The client, whichever that is.
        """
        return self.theirs if self.near else self.ours

    @property
    def server(self) -> Any:
        """
        The server, whichever that is.
        """
        return self.ours if self.near else self.theirs

    def flush(self) -> None:
        """
        Let everything that is under way arrive.
        """
        self.wire.flush()

    def say(self, one: Any, other: Any, data: bytes = b"message") -> None:
        """
        Something arrives from one stream at the other.
        """
        writing = one.write(data)
        self.flush()
        expect(resultOf(writing), None)
        expect(resultOf(other.readExactly(len(data))), data)

    def expectUsable(self) -> None:
        """
        Data arrives in both directions.
        """
        self.say(self.ours, self.theirs)
        self.say(self.theirs, self.ours)

    def expectGone(self) -> None:
        """
        The connection is, for both.
        """
        self.flush()
        expect([self.wire.isConnected(end) for end in (False, True)], [False, False])


class ConformanceCase:
    """
    The base of all: who the ends are, and what is between them.  Override the
    methods C{make…} to put something else to the test.

    @cvar version: of TLS.
    @cvar isServer: the role of the end under test.
    @cvar much: how many bytes are a lot for the wire: more than half a MiB, so
        that a stream holds its peer back.
    """

    version = SslProtocols.Tls13
    isServer = False
    much = 1 << 20

    def makeWire(self) -> Any:
        """
        @return: a new L{ITestWire<txsslstream.testing.wires.ITestWire>}.
        """
        return MemoryTestWire()

    def makeStream(self, transport: Any, clock: Any, **arguments: Any) -> Any:
        """
        @param arguments: of L{SslStream}.
        @return: a stream under test; the other end's is always one of ours.
        """
        return SslStream(transport, clock=clock, **arguments)

    def makeProtocol(self, options: Any, isClient: bool, application: Any, clock: Any) -> Any:
        """
        @return: a protocol under test that has this application; the other end's
            is always one of ours.
        """
        # Once, and then it is nobody's.
        applications = Factory.forProtocol([application].pop)
        return SslStreamFactory(options, isClient, applications, clock).buildProtocol(None)

    def setUp(self) -> None:
        """
        Nobody knows anybody.
        """
        sessions.clear()
        self._wires: list[Any] = []

    def tearDown(self) -> None:
        """
        When the connections are gone nothing waits for the time any more.
        """
        for wire in self._wires:
            wire.close()
            expect(wire.clock.getDelayedCalls(), [])

    def wire(self) -> Any:
        """
        @return: a wire that is closed when the test is over.
        """
        wire = self.makeWire()
        self._wires.append(wire)
        return wire

    # Options.

    def options(self, isServer: bool, changes: dict[str, Any] | None = None) -> Any:
        """
        @return: options of L{sharedAuthority} for one side.
        """
        authority = sharedAuthority()
        make = authority.serverOptions if isServer else authority.clientOptions
        return make(self.version, **(changes or {}))

    def authenticate(self, stream: Any, options: Any) -> Deferred[Any]:
        """
        Begin, as the side that the options are for.
        """
        if isinstance(options, SslClientAuthenticationOptions):
            return cast(Deferred[Any], stream.authenticateAsClient(options))
        return cast(Deferred[Any], stream.authenticateAsServer(options))

    # Streams.

    def pair(self, received: bytes = b"", **arguments: Any) -> Talk:
        """
        Two streams, not authenticated.

        @param received: what has come before our stream was there.
        @param arguments: of L{SslStream}, for both.
        """
        wire = self.wire()
        transports = wire.transports()
        early = {"received": received} if received else {}
        ours = self.makeStream(transports[self.isServer], wire.clock, **early, **arguments)
        theirs = SslStream(transports[not self.isServer], clock=wire.clock, **arguments)
        return Talk(wire, self.isServer, ours, theirs)

    def begun(
        self,
        ours: Any = None,
        theirs: Any = None,
        **arguments: Any,
    ) -> tuple[Talk, Deferred[Any], Deferred[Any]]:
        """
        Two streams that begin to authenticate each other.

        @param ours: changes to our options, or what else there is to
            authenticate with.
        @param theirs: the same for the other end.
        @param arguments: see L{pair}.
        @return: both, and what waits for each.
        """
        talk = self.pair(**arguments)
        given = [
            self.options(isServer, each) if each is None or isinstance(each, dict) else each
            for isServer, each in ((talk.near, ours), (talk.far, theirs))
        ]
        return (
            talk,
            self.authenticate(talk.ours, given[0]),
            self.authenticate(talk.theirs, given[1]),
        )

    def opened(self, ours: Any = None, theirs: Any = None, **arguments: Any) -> Talk:
        """
        Two streams that have.
        """
        talk, one, other = self.begun(ours, theirs, **arguments)
        talk.flush()
        expect(resultOf(one), talk.ours)
        expect(resultOf(other), talk.theirs)
        return talk

    def filled(self, talk: Talk) -> tuple[bytes, Deferred[None]]:
        """
        Write, to a peer that takes nothing, until a write waits.

        @return: all that was written, and that write.
        """
        talk.wire.stall(talk.near)
        data = patterned(self.much)
        for times in range(1, 100):
            writing = talk.ours.write(data)
            talk.flush()
            if not writing.called:
                return data * times, writing
            expect(resultOf(writing), None)
        raise AssertionError("it is never held back")

    def drained(self, talk: Talk, data: bytes) -> None:
        """
        The peer takes all of this.
        """
        talk.wire.release(talk.near)
        reading = talk.theirs.readExactly(len(data))
        talk.flush()
        expect(resultOf(reading) == data, True)

    def alone(self, peer: Any, **arguments: Any) -> Talk:
        """
        A stream, not authenticated, and a protocol at the other end, or nobody.
        """
        wire = self.wire()
        listener = Listener()
        ends = (peer, listener) if self.isServer else (listener, peer)
        wire.connect(*ends)
        stream = self.makeStream(listener.transport, wire.clock, **arguments)
        return Talk(wire, self.isServer, stream, peer)

    def hears(self, talk: Talk, theirs: Deferred[Any]) -> AuthenticationError:
        """
        @param theirs: the other end's authentication, which we have refused.
        @return: what it hears of that, which may be after its handshake: a
            client of TLS 1.3 is done before it is judged.
        """
        heard = theirs
        if self.isServer and self.version is SslProtocols.Tls13:
            heard = theirs.addCallback(lambda stream: stream.read())
        return failureOf(heard, AuthenticationError)

    # Applications.

    def applications(
        self,
        ours: dict[str, Any] | None = None,
        theirs: dict[str, Any] | None = None,
        near: Any = None,
        far: Any = None,
    ) -> Talk:
        """
        Two protocols that have been connected; nothing has been moved.

        @param ours: changes to our options.
        @param theirs: to the other end's.
        @param near: our application.
        @param far: the other end's.
        """
        wire = self.wire()
        near, far = near or Application(), far or Application()
        mine = self.makeProtocol(
            self.options(self.isServer, ours), not self.isServer, near, wire.clock
        )
        other = ConformanceCase.makeProtocol(
            self, self.options(not self.isServer, theirs), self.isServer, far, wire.clock
        )
        self.tls = mine, other
        wire.connect(*((other, mine) if self.isServer else (mine, other)))
        return Talk(wire, self.isServer, near, far)

    def connected(self, **arguments: Any) -> Talk:
        """
        Two applications that have been told so.
        """
        talk = self.applications(**arguments)
        talk.flush()
        for each in (talk.ours, talk.theirs):
            expect(each.events[:2], ["made", "handshake"])
        return talk

    def lost(self, talk: Talk, application: Application, *kinds: type[BaseException]) -> None:
        """
        The application has heard of the end, once, and of nothing afterwards.

        @param kinds: as what.
        """
        expect((application.events.count("lost"), application.events[-1]), (1, "lost"))
        isClean = talk.wire.hasResets or ConnectionDone not in kinds
        expect(type(application.reason) in (kinds if isClean else (*kinds, ConnectionLost)), True)
