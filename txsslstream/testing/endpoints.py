# -*- test-case-name: tests.test_testing_endpoints -*-
"""
Endpoints in memory: for what listens and connects by itself, and more than once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from zope.interface import implementer

from ..sessions import sessions
from .wire import Segments, Wire, passTime


@implementer(IListeningPort)
class MemoryPort:
    """
    What somebody listens at, from the beginning.
    """

    def __init__(self, endpoint: MemoryEndpoint, factory: Any) -> None:
        """
        @param endpoint: whose it is.
        @param factory: who listens.
        """
        self._endpoint = endpoint
        self._factory = factory
        self._isListening = False
        self.startListening()

    def startListening(self) -> None:
        """
        See C{IListeningPort}.
        """
        self._isListening = True
        self._factory.doStart()
        self._endpoint.build = self._build

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}.
        """
        if self._isListening:
            self._isListening = False
            self._endpoint.build = None
            self._factory.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        """
        See C{IListeningPort}.
        """
        return self._endpoint.ADDRESS

    def _build(self) -> Any:
        return self._factory.buildProtocol(self._endpoint.CLIENT_ADDRESS)


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class MemoryEndpoint:
    """
    Leads from clients to a server, both in memory.  Wrapped in
    L{SslStreamServerEndpoint<txsslstream.SslStreamServerEndpoint>} and
    L{SslStreamClientEndpoint<txsslstream.SslStreamClientEndpoint>}, or in
    whatever an application has, it stands for a port of a machine.

    @cvar ADDRESS: of the server.
    @cvar CLIENT_ADDRESS: of every client.
    @ivar clock: for everything.
    @ivar segment: see L{Wire}; of the connections that are made from now on.
    @ivar build: makes the server's protocol for a connection; L{None}: nobody
        listens.
    @ivar wires: the connections so far.
    @ivar error: what connecting fails with, if it does.
    @ivar hangs: whether connecting never ends.
    """

    ADDRESS = IPv4Address("TCP", "192.0.2.1", 443)
    CLIENT_ADDRESS = IPv4Address("TCP", "192.0.2.2", 50000)

    def __init__(
        self,
        build: Callable[[], Any] | None = None,
        *,
        segment: Segments = 0,
        clock: Clock | None = None,
    ) -> None:
        """
        @param build: see the attribute; L{listen} sets it, too.
        @param segment: see L{Wire}.
        @param clock: a new one unless given.
        """
        sessions.clear()
        self.clock = clock or Clock()
        self.segment = segment
        self.build = build
        self.wires: list[Wire] = []
        self.error: Exception | None = None
        self.hangs = False

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}.
        """
        if self.build is not None:
            return fail(CannotListenError(None, self.ADDRESS.port, OSError("address in use")))
        return succeed(MemoryPort(self, protocolFactory))

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        See C{IStreamClientEndpoint}.
        """
        if self.hangs:
            return Deferred()
        if self.error is not None:
            return fail(self.error)
        if self.build is None:
            return fail(ConnectionRefusedError())
        wire = Wire(self.segment, keepsSessions=True, clock=self.clock)
        wire.client.host = wire.server.peer = self.CLIENT_ADDRESS
        wire.client.peer = wire.server.host = self.ADDRESS
        server = self.build()
        protocol = protocolFactory.buildProtocol(self.ADDRESS)
        if server is None:
            # Taken and closed, as by a port of a reactor's.
            server = Protocol()
            wire.server.loseConnection()
        wire.connect(protocol, server)
        self.wires.append(wire)
        return succeed(protocol)

    def flush(self) -> None:
        """
        Go on until nothing moves on any connection, and no new one is made.
        """
        moves = [True]
        while any(moves):
            moves = [wire.step() for wire in self.wires]

    def advance(self, seconds: float) -> None:
        """
        Let so much time pass, and everything happen at its time.
        """
        self.flush()
        ends = [end for wire in self.wires for end in wire.ends]
        passTime(self.clock, seconds, ends, self.flush)
