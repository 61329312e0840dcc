# -*- test-case-name: tests.test_testing_applications -*-
"""
Applications that write down what they are told, and two of them over TLS in
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from ..protocol import SslStreamFactory
from .wire import MemoryTransport, Segments, Wire


@implementer(IHandshakeListener)
class Application(Protocol):
    """
    A protocol that writes down what it is told.

    @ivar events: what was called, in order.
    @ivar received: all data.
    @ivar reason: why the connection ended.
    @ivar reactions: what to do when something is called, by its name in
        C{events}.
    """

    transport: Any

    def __init__(self, **reactions: Callable[[Any], object]) -> None:
        """
        @param reactions: see the attribute; each is called with this protocol.
        """
        self.events: list[str] = []
        self.received = bytearray()
        self.reason: BaseException | None = None
        self.reactions = reactions

    def _happened(self, event: str) -> None:
        self.events.append(event)
        if event in self.reactions:
            self.reactions[event](self)

    def connectionMade(self) -> None:
        """
        Note C{made}.
        """
        self._happened("made")

    def handshakeCompleted(self) -> None:
        """
        Note C{handshake}.
        """
        self._happened("handshake")

    def dataReceived(self, data: bytes) -> None:
        """
        Note C{data}, and keep it.
        """
        self.received += data
        self._happened("data")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Note C{lost}, and keep the reason.
        """
        self.reason = reason.value
        self._happened("lost")


@implementer(IHalfCloseableProtocol)
class HalfCloseableApplication(Application):
    """
    One that can be closed by halves.
    """

    def readConnectionLost(self) -> None:
        """
        Note C{end}.
        """
        self._happened("end")

    def writeConnectionLost(self) -> None:
        """
        Never called by a TLS protocol.
        """


class Side(NamedTuple):
    """
    One end of a connection.

    @ivar tls: the protocol under test.
    @ivar inner: what is below it.
    """

    application: Any
    tls: Any
    inner: MemoryTransport


class Link:
    """
    Two applications over TLS in memory, seen from one side.

    @ivar near: the side that the test looks at.
    @ivar far: the other.
    """

    def __init__(
        self,
        nearIsServer: bool,
        client: tuple[Any, Protocol],
        server: tuple[Any, Protocol],
        segment: Segments = 0,
        factories: tuple[type[TLSMemoryBIOFactory], type[TLSMemoryBIOFactory]] = (
            SslStreamFactory,
            SslStreamFactory,
        ),
        keepsSessions: bool = False,
    ) -> None:
        """
        @param nearIsServer: whether the server is what the test looks at.
        @param client: the client's options, or whatever else the factory takes
            for them, and its application.
        @param server: the same.
        @param segment: see L{Wire}.
        @param factories: what makes the TLS protocols of client and server.
        @param keepsSessions: see L{Wire.__init__}.
        """
        self.wire = Wire(segment, keepsSessions)
        self.clock = self.wire.clock
        self.client = self._side(factories[0], True, *client, self.wire.client)
        self.server = self._side(factories[1], False, *server, self.wire.server)
        self.near, self.far = (
            (self.server, self.client) if nearIsServer else (self.client, self.server)
        )
        self.wire.connect(self.client.tls, self.server.tls)

    def _side(
        self,
        factoryClass: type[TLSMemoryBIOFactory],
        isClient: bool,
        creator: Any,
        application: Protocol,
        inner: MemoryTransport,
    ) -> Side:
        wrapped = Factory.forProtocol(lambda: application)
        factory = factoryClass(creator, isClient, wrapped, self.clock)
        return Side(application, factory.buildProtocol(None), inner)

    def stepUntil(self, condition: Callable[[], object]) -> None:
        """
        Go on until something is so.
        """
        while not condition():
            assert self.wire.step(), "nothing moves any more"
