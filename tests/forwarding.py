"""
What the tests of forwarding have in common: a network in memory where
connections can be closed by halves, as sockets can, and a forwarder in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from zope.interface import implementer

from txsslstream import (
    SslProtocols,
    SslStreamClientEndpoint,
    SslStreamFactory,
)
from txsslstream.forward import Forwarder
from txsslstream.sessions import sessions
from txsslstream.testing import HalfCloseableApplication, MemoryTransport, Wire

from .support import clientOptions, serverOptions


class PipeTransport(MemoryTransport):
    """
    One end of a L{SocketWire}, which cannot be closed by halves.

    @ivar isShut: whether it is to tell the end of what it sends.
    @ivar hasTold: whether the other end has got that.
    """

    isShut = False
    hasTold = False

    @property
    def dataBuffer(self) -> bytearray:
        """
        What is not sent, by the name that it has in sockets' transports.
        """
        return self.written

    def write(self, data: bytes) -> None:
        if not self.isShut:
            super().write(data)


class SocketTransport(PipeTransport):
    """
    One that can.

    @ivar keepsAlive: whether the system sees to it that it is noticed when the
        peer vanishes.
    @ivar isUndelayed: whether what is written is sent at once.
    """

    keepsAlive = False
    isUndelayed = False

    def loseWriteConnection(self) -> None:
        self.isShut = True

    def setTcpKeepAlive(self, isKept: bool) -> None:
        self.keepsAlive = isKept

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.isUndelayed = enabled


class SocketWire(Wire):
    """
    A wire that tells the end of each direction by itself, and where writing to
    somebody who is gone is answered by a reset.
    """

    client: Any
    server: Any

    def __init__(
        self,
        clock: Clock,
        segment: int = 0,
        transportClass: type[PipeTransport] = SocketTransport,
    ) -> None:
        self._transportClass = transportClass
        super().__init__(segment, keepsSessions=True, clock=clock)

    def makeEnds(self, clock: Clock) -> tuple[Any, Any]:
        return self._transportClass("client", clock), self._transportClass("server", clock)

    def deliver(self, source: MemoryTransport, target: MemoryTransport) -> bool:
        if source.written and source.connected and not target.connected:
            source.lost(ConnectionLost("reset"))
            return True
        return super().deliver(source, target)

    def close(self, one: Any, other: Any) -> bool:
        if one.written:
            return False
        if isinstance(one.closing, ConnectionAborted):
            if one.connected:
                one.lost(one.closing)
                return True
            if other.connected and not other.isPaused:
                other.lost(ConnectionLost("reset"))
                return True
            return False
        if one.producer is not None:
            # It might have more to send.
            return False
        if one.connected and one.closing is not None:
            one.isShut = True
            one.lost(one.closing)
            return True
        if one.isShut and not one.hasTold and other.connected and not other.isPaused:
            one.hasTold = True
            if IHalfCloseableProtocol.providedBy(other.protocol):
                other.protocol.readConnectionLost()
            else:
                other.lost(ConnectionDone("closed by the peer"))
            return True
        return False


@implementer(IStreamClientEndpoint)
class Target:
    """
    An endpoint that connects to applications in memory.

    @ivar mode: C{"at once"}, C{"later"} (when L{connectNow} is called) or
        C{"refused"}.
    @ivar isSilent: whether it says nothing, not even what TLS wants.
    @ivar transportClass: of the connections.
    @ivar wires: the connections.
    @ivar applications: what is at the other side of each.
    @ivar waiting: the attempts that wait.
    @ivar cancelled: how many attempts were given up.
    """

    def __init__(self, clock: Clock, listening: Any, segment: int) -> None:
        self.mode = "at once"
        self.isSilent = False
        self.transportClass: type[PipeTransport] = SocketTransport
        self.wires: list[SocketWire] = []
        self.applications: list[Any] = []
        self.cancelled = 0
        self._clock = clock
        self._listening = listening
        self._segment = segment
        self.waiting: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.
        """
        if self.mode == "refused":
            return fail(ConnectionRefusedError())
        if self.mode == "later":
            connecting: Deferred[IProtocol] = Deferred(self._cancelled)
            self.waiting.append((protocolFactory, connecting))
            return connecting
        return succeed(self._connect(protocolFactory))

    def _cancelled(self, connecting: Deferred[IProtocol]) -> None:
        self.cancelled += 1

    def connectNow(self) -> None:
        """
        Make the connections that wait, even those that were given up.
        """
        waiting, self.waiting = self.waiting, []
        for factory, connecting in waiting:
            protocol = self._connect(factory)
            if not connecting.called:
                connecting.callback(protocol)

    def _connect(self, factory: IProtocolFactory) -> IProtocol:
        wire = SocketWire(self._clock, self._segment, self.transportClass)
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 80))
        assert protocol is not None
        listening: Any = Protocol() if self.isSilent else self._listening.buildProtocol(None)
        self.applications.append(getattr(listening, "wrappedProtocol", listening))
        self.wires.append(wire)
        wire.connect(protocol, listening)
        return protocol


class Visit:
    """
    One client of a L{Network}.

    @ivar wire: between it and the forwarder.
    @ivar application: the client's.
    """

    def __init__(self, wire: SocketWire, application: Any) -> None:
        self.wire = wire
        self.application = application


class Network:
    """
    Clients, a forwarder and a target.

    @ivar visits: the clients.
    """

    def __init__(
        self,
        version: SslProtocols = SslProtocols.None_,
        segment: int = 0,
        isOriginating: bool = False,
        isSecure: bool = False,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        makeClient: Callable[[], Protocol] = HalfCloseableApplication,
        makeTarget: Callable[[], Protocol] = HalfCloseableApplication,
        **settings: Any,
    ) -> None:
        """
        @param isOriginating: whether TLS is spoken with the target; else it is
            with clients.
        @param isSecure: whether it is spoken with clients as well, but not by the
            forwarder.
        @param client: options of the side that is the client of TLS.
        @param server: options of the other.
        @param settings: for L{Forwarder}.
        """
        sessions.clear()
        self.clock = Clock()
        self.segment = segment
        self.visits: list[Visit] = []
        self._makeClient = makeClient
        clientSide = clientOptions(version, **(client or {}))
        serverSide = serverOptions(version, **(server or {}))
        applications = Factory.forProtocol(makeTarget)
        endpoint: Any
        if isOriginating:
            listening = SslStreamFactory(serverSide, False, applications, self.clock)
            self.target = Target(self.clock, listening, segment)
            endpoint = SslStreamClientEndpoint(self.target, clientSide, self.clock)
        else:
            self.target = endpoint = Target(self.clock, applications, segment)
        self.forwarder = Forwarder(endpoint, self.clock, **settings)
        self._clientSide = clientSide if isSecure or not isOriginating else None
        self._listener: Any
        if isSecure:
            self._listener = SslStreamFactory(serverSide, False, self.forwarder, self.clock)
        elif isOriginating:
            self._listener = self.forwarder
        else:
            self._listener = self.forwarder.secured(serverSide)

    def visit(self, flush: bool = True) -> Visit:
        """
        Let a client come.
        """
        wire = SocketWire(self.clock, self.segment)
        application = self._makeClient()
        outer: Any = application
        if self._clientSide is not None:
            wrapped = Factory.forProtocol(lambda: application)
            factory = SslStreamFactory(self._clientSide, True, wrapped, self.clock)
            outer = factory.buildProtocol(None)
        visit = self._comes(wire, outer, Visit(wire, application))
        if flush:
            self.flush()
        return visit

    def silentVisit(self) -> SocketWire:
        """
        Let a client come that says nothing.
        """
        wire, nobody = SocketWire(self.clock), Protocol()
        return self._comes(wire, nobody, Visit(wire, nobody)).wire

    def _comes(self, wire: SocketWire, outer: Any, visit: Visit) -> Visit:
        end = self._listener.buildProtocol(wire.server.getPeer())
        if end is None:
            wire.client.protocol = outer
            outer.makeConnection(wire.client)
            wire.client.lost(ConnectionDone("closed by the peer"))
        else:
            self.visits.append(visit)
            wire.connect(outer, end)
        return visit

    def step(self) -> bool:
        """
        See L{Wire.step}.
        """
        wires = [*(visit.wire for visit in self.visits), *self.target.wires]
        moved = [wire.step() for wire in wires]
        return any(moved)

    def flush(self, limit: int = 10_000_000) -> None:
        """
        Go on until nothing moves any more.
        """
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the network does not come to rest")
