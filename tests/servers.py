"""
Servers in memory, behind an endpoint, for what connects by itself and more than once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from zope.interface import implementer

from txsslstream import SslServerAuthenticationOptions, SslStreamFactory
from txsslstream.sessions import sessions

from .support import Wire


class Recorder(Protocol):
    """
    An application that only listens.
    """

    def __init__(self, received: list[bytes], greeting: bytes) -> None:
        self._received = received
        self._greeting = greeting

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if self._greeting:
            transport.write(self._greeting)

    def dataReceived(self, data: bytes) -> None:
        self._received.append(data)


class Script(Protocol):
    """
    A server that says something, and then something for each thing it hears.

    @ivar received: all that it has heard.
    """

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)
        self.received = b""

    def connectionMade(self) -> None:
        self._say()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._say()

    def _say(self) -> None:
        transport: Any = self.transport
        if self._lines:
            line = self._lines.pop(0)
            if line:
                transport.write(line)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    Leads to a server in memory.

    @ivar clock: for everything.
    @ivar wires: the connections so far.
    @ivar received: what the applications of the servers have received.
    @ivar error: what connecting fails with, if it does; L{None} in a tuple: it
        never ends.
    """

    ADDRESS = IPv4Address("TCP", "192.0.2.1", 443)

    def __init__(self, build: Callable[[], Protocol]) -> None:
        """
        @param build: makes a server for a connection.
        """
        sessions.clear()
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.received: list[bytes] = []
        self.error: Exception | tuple[None] | None = None
        self._build = build

    @classmethod
    def authenticating(
        cls,
        options: SslServerAuthenticationOptions,
        greeting: bytes = b"",
        application: Callable[[], Protocol] | None = None,
    ) -> MemoryEndpoint:
        """
        @param greeting: what the server says once it is authenticated.
        @return: an endpoint that leads to a server with these options.
        """

        def build() -> Any:
            inner = application or (lambda: Recorder(endpoint.received, greeting))
            factory = SslStreamFactory(options, False, Factory.forProtocol(inner), endpoint.clock)
            return factory.buildProtocol(None)

        endpoint = cls(build)
        return endpoint

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        See C{IStreamClientEndpoint}.
        """
        if isinstance(self.error, tuple):
            return Deferred()
        if self.error is not None:
            return fail(self.error)
        wire = Wire(keepsSessions=True)
        wire.clock = self.clock
        wire.client.getPeer = lambda: self.ADDRESS  # type: ignore[method-assign]
        protocol = protocolFactory.buildProtocol(self.ADDRESS)
        wire.connect(protocol, self._build())
        self.wires.append(wire)
        return succeed(protocol)

    def flush(self) -> None:
        """
        Go on until nothing moves on any connection, and no new one is made.
        """
        moves = [True]
        while any(moves):
            moves = [wire.step() for wire in self.wires]
