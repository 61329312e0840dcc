"""
Servers in memory, behind an endpoint, for what connects by itself and more than once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from txsslstream import SslServerAuthenticationOptions, SslStreamFactory
from txsslstream.testing import MemoryEndpoint


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


class ServedEndpoint(MemoryEndpoint):
    """
    Leads to a server in memory.

    @ivar received: what the applications of the servers have received.
    """

    def __init__(self, build: Callable[[], Protocol]) -> None:
        """
        @param build: makes a server for a connection.
        """
        super().__init__(build)
        self.received: list[bytes] = []

    @classmethod
    def authenticating(
        cls,
        options: SslServerAuthenticationOptions,
        greeting: bytes = b"",
        application: Callable[[], Protocol] | None = None,
    ) -> ServedEndpoint:
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
