"""
What the conversations of a soak are made of, for clients.  Everything that is not as
it should be is an error.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Protocol

from txsslstream import (
    AuthenticationError,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamClientEndpoint,
)

from .material import Material, data, expect

HOST = "127.0.0.1"
#: Bytes of what is bulk and what is little.
BULK, LITTLE = 1 << 20, 300
#: Seconds for everything that is not to take long: machines stand still at times.
PATIENCE = 120
#: The streams of a conversation.
opened: ContextVar[list[SslStream] | None] = ContextVar("opened", default=None)
#: So many names are asked for: more than a client keeps sessions for.
NAMES = 600


class Asker:
    """
    What conversations are made of.

    @ivar opened: how many connections were opened.
    @ivar resumed: how many of them went on with an earlier session.
    @ivar serials: of the certificates that the server has shown.
    """

    def __init__(self, reactor: Any, material: Material, ports: Mapping[str, int]) -> None:
        self.reactor = reactor
        self.material = material
        self.ports = ports
        self.random = Random(7)
        self.opened = 0
        self.resumed = 0
        self.serials: set[int] = set()
        self.turn = DeferredLock()
        self.pythonContext = ssl.create_default_context(cafile=str(material.home / "trust.pem"))

    def options(self, **options: Any) -> SslClientAuthenticationOptions:
        return SslClientAuthenticationOptions(
            **{
                "targetHost": "localhost",
                "trust": self.material.trust,
                "handshakeTimeout": PATIENCE,
                "enabledSslProtocols": self.random.choice((SslProtocols.Tls12, SslProtocols.Tls13)),
                **options,
            }
        )

    def endpoint(self, name: str) -> TCP4ClientEndpoint:
        self.opened += 1
        return TCP4ClientEndpoint(self.reactor, HOST, self.ports[name], timeout=PATIENCE)

    async def connect(self, name: str, **options: Any) -> SslStream:
        endpoint = SslStreamClientEndpoint(self.endpoint(name), self.options(**options))
        stream = await endpoint.connectStream()
        stream.readTimeout = stream.writeTimeout = PATIENCE
        streams = opened.get()
        if streams is not None:
            streams.append(stream)
        self.resumed += stream.isResumed
        assert stream.remoteCertificate is not None
        self.serials.add(stream.remoteCertificate.serial_number)
        return stream

    async def request(self, stream: SslStream, verb: str, size: int) -> int:
        start = self.random.randrange(1 << 20)
        await stream.write(f"{verb} {start} {size}\n".encode())
        return start

    async def echoed(self, stream: SslStream, size: int = LITTLE) -> None:
        start = await self.request(stream, "echo", size)
        await stream.write(data(start, size))
        await expect(stream, start, size)

    async def conversation(self, name: str, **options: Any) -> None:
        stream = await self.connect(name, **options)
        await self.echoed(stream)
        await stream.close()

    async def refused(self, name: str, errors: SslPolicyErrors | None, **options: Any) -> None:
        """
        Have a conversation that is refused, on either side.
        """
        try:
            stream = await self.connect(name, **options)
            try:
                # In TLS 1.3 a server judges when the client is done.
                await self.echoed(stream)
            finally:
                stream.abort()
        except AuthenticationError as e:
            if errors is not None and e.sslPolicyErrors != errors:
                raise AssertionError(f"{e.sslPolicyErrors}, not {errors}") from e
            return
        raise AssertionError("it was not refused")


class Raw(Protocol):
    """
    Somebody without TLS.

    @ivar ended: fires when the connection is gone.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self._said: Deferred[bytes] = Deferred()

    def said(self) -> Deferred[bytes]:
        """
        @return: fires with what comes first.
        """
        return self._said

    def dataReceived(self, data: bytes) -> None:
        """
        Tell it.
        """
        said, self._said = self._said, Deferred()
        said.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        """
        Tell it.
        """
        self.ended.callback(None)
