"""
The server of a soak, a process of its own: C{python -m tests.campaigns.soaking.serving HOME}.

Its application protocol has requests of one line, C{verb start size}, about the
data that both sides know; see L{tests.campaigns.soaking.material}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    HandshakeLimit,
    ReloadingCertificate,
    ServerOptionsSelection,
    SslApplicationProtocol,
    SslPolicyErrors,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamServerEndpoint,
    startTLS,
)
from txsslstream.testing import MisbehavingPeer

from .material import Material, data, expect
from .member import EXPECTED_WORDS, run, settled

#: Seconds that clients of the impatient have for their handshake.
HASTE = 0.4
#: Seconds that a callback takes that waits.
PAUSE = 0.01


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    """
    Sends everything back, to the end.
    """

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """
        Send it back.
        """
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        """
        The client has said everything.
        """
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Never mind.
        """


class Upgrading(LineReceiver):
    """
    Echoes lines, once TLS is there.
    """

    delimiter = b"\n"

    def __init__(self, options: SslServerAuthenticationOptions) -> None:
        self._options: SslServerAuthenticationOptions | None = options

    def lineReceived(self, line: bytes) -> None:
        """
        Send it back, or start TLS.
        """
        options, self._options = self._options, None
        if options is None:
            self.sendLine(line)
            return
        self.sendLine(b"go ahead")
        # A refusal reaches the protocol as the end of the connection.
        startTLS(self, options).addErrback(lambda f: f.trap(AuthenticationError) and None)


class Impolite(MisbehavingPeer):
    """
    One that keeps nothing of a connection that is over.
    """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Forget it.
        """
        super().connectionLost(reason)
        self.application.reactions.clear()
        self.application.transport = self.application.factory = self._tls = None


async def converse(stream: SslStream) -> None:
    """
    Answer requests, to the end.
    """
    while True:
        # A Deferred that has failed before it is awaited would be part of a cycle
        # (Twisted's): the end is no failure here.
        first = await stream.read(1)
        if not first:
            return
        line = first + await stream.readUntil(b"\n", 100)
        verb, start, size = line.split()
        await VERBS[verb](stream, int(start), int(size))


async def _both(stream: SslStream, start: int, size: int) -> None:
    await gatherResults(
        [
            Deferred.fromCoroutine(expect(stream, start, size)),
            Deferred.fromCoroutine(_down(stream, start, size)),
        ],
        consumeErrors=True,
    )


async def _down(stream: SslStream, start: int, size: int) -> None:
    await stream.write(data(start, size))


async def _up(stream: SslStream, start: int, size: int) -> None:
    await expect(stream, start, size)
    await stream.write(b"all\n")


async def _echo(stream: SslStream, start: int, size: int) -> None:
    await expect(stream, start, size)
    await stream.write(data(start, size))


async def _half(stream: SslStream, start: int, size: int) -> None:
    await expect(stream, start, size)
    if await stream.read():
        raise AssertionError("there is more than was said")
    await stream.write(data(start, size))


async def _ask(stream: SslStream, start: int, size: int) -> None:
    await stream.negotiateClientCertificateAsync()
    certificate = stream.remoteCertificate
    name = b"nobody" if certificate is None else certificate.subject.rfc4514_string().encode()
    await stream.write(name + b"\n")


VERBS: Mapping[bytes, Callable[[SslStream, int, int], Awaitable[None]]] = {
    b"both": _both,
    b"down": _down,
    b"up": _up,
    b"echo": _echo,
    b"half": _half,
    b"ask": _ask,
}


class Servers:
    """
    All that listens.
    """

    def __init__(self, reactor: Any, home: Path) -> None:
        self._reactor = reactor
        self._material = Material(home)
        self._limit = HandshakeLimit(500)
        self._decided = count()
        self._certificate = ReloadingCertificate.fromPEM(
            home / "server.pem", interval=2, reactor=reactor
        )

    def _options(self, **options: Any) -> SslServerAuthenticationOptions:
        return SslServerAuthenticationOptions(
            **{
                "serverCertificate": self._certificate,
                "trust": self._material.trust,
                "handshakeTimeout": 120,
                **options,
            }
        )

    def _waits(self, *arguments: Any) -> Deferred[bool]:
        # Not a coroutine: one that is cancelled is part of a cycle (Twisted's).
        waiting: Deferred[None] = deferLater(self._reactor, PAUSE)
        return waiting.addCallback(lambda _: arguments[-1] == SslPolicyErrors.None_)

    def _refuses(self, *_: object) -> bool:
        if next(self._decided) % 2:
            raise ValueError(EXPECTED_WORDS)
        return False

    async def _chosen(self, _: object, hello: Any, state: object) -> SslServerAuthenticationOptions:
        await deferLater(self._reactor, PAUSE)
        # New options each time, equal to others or not.
        some = SslApplicationProtocol.Http2 if next(self._decided) % 2 else b"soak"
        return self._options(applicationProtocols=[some])

    def _served(self) -> dict[str, Any]:
        asks = {"clientCertificateRequired": True}
        return {
            "main": self._options(),
            "mutual": self._options(
                **asks,
                allowTlsResume=False,
                trust=None,
                certificateChainPolicy=self._material.policy,
                remoteCertificateValidationCallback=self._waits,
            ),
            "strict": self._options(**asks),
            "refusing": self._options(remoteCertificateValidationCallback=self._refuses),
            "chosen": ServerOptionsSelection(self._chosen),
            "hasty": self._options(handshakeTimeout=HASTE),
            "revoked": self._options(serverCertificate=self._material.revoked),
        }

    def _endpoint(self) -> TCP4ServerEndpoint:
        return TCP4ServerEndpoint(self._reactor, 0, backlog=200, interface="127.0.0.1")

    def _guarded(self, options: Any) -> SslStreamServerEndpoint:
        return SslStreamServerEndpoint(self._endpoint(), options, handshakeLimit=self._limit)

    async def _listen(self, factory: Factory[Any]) -> int:
        port: Any = await self._endpoint().listen(factory)
        return int(port.getHost().port)

    async def ports(self) -> dict[str, int]:
        """
        Listen.

        @return: where what is.
        """
        ports = {}
        for name, options in self._served().items():
            port: Any = await self._guarded(options).listenStreams(converse)
            ports[name] = port.getHost().port
        options = self._options()
        port = await self._guarded(options).listen(Factory.forProtocol(Echo))
        ports["push"] = port.getHost().port
        dropping = Factory.forProtocol(lambda: Impolite.drops(options, b"half of"))
        breaking = Factory.forProtocol(lambda: Impolite.truncatesAfter(options, 1, 20))
        ports["starttls"] = await self._listen(Factory.forProtocol(lambda: Upgrading(options)))
        ports["silent"] = await self._listen(Factory.forProtocol(Protocol))
        ports["dropping"] = await self._listen(dropping)
        ports["breaking"] = await self._listen(breaking)
        return ports

    async def reload(self) -> None:
        """
        Take the certificate that is there now.
        """
        self._certificate.reload()

    async def rest(self, remaining: int) -> int:
        """
        Wait for the ends of all connections but so many.

        @return: how many there are.
        """
        return await settled(
            self._reactor,
            Server,
            lambda count: count <= remaining and not self._limit.unauthenticated,
        )


def begin(reactor: Any, home: Path) -> Mapping[str, Callable[..., Awaitable[Any]]]:
    """
    Make what answers the conductor.
    """
    Factory.noisy = False
    servers = Servers(reactor, home)
    return {"ports": servers.ports, "reload": servers.reload, "rest": servers.rest}


if __name__ == "__main__":
    run(begin)
