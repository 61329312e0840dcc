"""
The sides that are tested in memory, all used alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import classImplements, implementedBy, implementer

from tests.benchmarks.credentials import Credentials
from tests.benchmarks.memory.bare import PIECE, BareEnd, context
from tests.benchmarks.settings import FactoryMaker, Settings, ourFactories, stockFactories


class End(Protocol):
    """
    One side of one connection.
    """

    @property
    def isOpen(self) -> bool:
        """
        Whether its handshake is over.
        """

    def start(self) -> None:
        """
        Begin.
        """

    def feed(self, data: bytes) -> None:
        """
        Take bytes from the peer.
        """

    def write(self, data: bytes) -> None:
        """
        Send something.
        """

    def turn(self) -> None:
        """
        Do what a reactor would do in its next turn.
        """

    def take(self) -> bytes:
        """
        @return: what goes to the peer.
        """

    def drop(self) -> int:
        """
        Throw away what would go to the peer.

        @return: how many bytes.
        """

    def lost(self) -> None:
        """
        Hear that the connection is gone.
        """


#: Makes an end; what it receives it sends back if so told.
EndMaker = Callable[[bool], End]


class _Wire:
    """
    What a TLS protocol has in place of a socket.
    """

    disconnecting = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.write = self.pieces.append
        self.writeSequence = self.pieces.extend

    def loseConnection(self) -> None:
        self.disconnecting = True

    abortConnection = loseConnection

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """
        It never pauses one.
        """

    def unregisterProducer(self) -> None:
        """
        Nor does it remember any.
        """

    pauseProducing = resumeProducing = unregisterProducer

    def getPeer(self) -> Any:
        return "peer"

    getHost = getPeer


# A TLS protocol declares all that the transport below does, which takes time: so
# this one has to declare what a socket does.
classImplements(_Wire, implementedBy(tcp.Server))  # type: ignore[misc]


def _emptied(pieces: list[bytes]) -> bytes:
    data = b"".join(pieces)
    pieces.clear()
    return data


def _dropped(pieces: list[bytes]) -> int:
    size = sum(map(len, pieces))
    pieces.clear()
    return size


@implementer(IHandshakeListener)
class _Application(TwistedProtocol):
    isOpen = False

    def handshakeCompleted(self) -> None:
        self.isOpen = True


class _Echo(_Application):
    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data)


class TwistedEnd:
    """
    A TLS protocol of Twisted's kind.
    """

    def __init__(self, factory: Any, clock: Clock) -> None:
        self._protocol = factory.buildProtocol(None)
        self._wire = _Wire()
        self._clock = clock
        self.feed = self._protocol.dataReceived
        self.write = self._protocol.write

    @property
    def isOpen(self) -> bool:
        return bool(self._protocol.wrappedProtocol.isOpen)

    def start(self) -> None:
        self._protocol.makeConnection(self._wire)

    def turn(self) -> None:
        self._clock.advance(0)

    def take(self) -> bytes:
        return _emptied(self._wire.pieces)

    def drop(self) -> int:
        return _dropped(self._wire.pieces)

    def lost(self) -> None:
        self._protocol.connectionLost(Failure(ConnectionDone()))


class LimitEnd:
    """
    OpenSSL called in the way that costs least.
    """

    def __init__(self, context: Any, settings: Settings, echoes: bool, sessions: list[Any]) -> None:
        """
        @param sessions: what a client goes on with.
        """
        self._bare = BareEnd(context, settings.isServer, self.write if echoes else len)
        self._settings = settings
        self._sessions = sessions
        if sessions:
            self._bare.connection.set_session(sessions.pop())
        self._waiting: list[bytes] = []
        self._size = 0
        self._pieces: list[bytes] = []
        self.feed = self._handshake

    @property
    def isOpen(self) -> bool:
        return self._bare.isOpen

    def start(self) -> None:
        if not self._settings.isServer:
            self._pieces.append(self._bare.start())

    def _handshake(self, data: bytes) -> None:
        self._pieces.append(self._bare.handshake(data))
        if self._bare.isOpen:
            self.feed = self._bare.feed

    def write(self, data: bytes) -> None:
        # Small ones are best encrypted together.
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= PIECE:
            self.turn()

    def turn(self) -> None:
        if self._size:
            waiting = self._waiting
            data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            self._waiting = []
            self._size = 0
            for start in range(0, len(data), PIECE):
                self._pieces.append(self._bare.encrypt(data[start : start + PIECE]))

    def take(self) -> bytes:
        return _emptied(self._pieces)

    def drop(self) -> int:
        return _dropped(self._pieces)

    def lost(self) -> None:
        if self._settings.resumes and not self._settings.isServer:
            self._sessions.append(self._bare.session())
        self._bare.close()


def endsOf(contestant: str, settings: Settings, credentials: Credentials) -> EndMaker:
    """
    @param contestant: C{stock}, C{ours} or C{bare}.
    @return: makes its ends.
    """
    if contestant == "bare":
        shared = context(settings, credentials)
        sessions: list[Any] = []
        return lambda echoes: LimitEnd(shared, settings, echoes, sessions)
    clock = Clock()
    factories: FactoryMaker = (ourFactories if contestant == "ours" else stockFactories)(
        settings, credentials, clock
    )
    kinds = (_Application, _Echo)
    made = [factories(Factory.forProtocol(kind)) for kind in kinds]
    if settings.trustsPlatform:
        return lambda echoes: TwistedEnd(factories(Factory.forProtocol(kinds[echoes])), clock)
    return lambda echoes: TwistedEnd(made[echoes], clock)
