"""
The conversations of a soak, as clients have them.  Each opens one connection or
a few, and everything that is not as it should be is an error.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from txsslstream import (
    AuthenticationError,
    HandshakeTimeout,
    SslApplicationProtocol,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamClientEndpoint,
    TruncationError,
)

from .material import DOMAIN, Material, data
from .member import EXPECTED_WORDS
from .serving import HASTE, PAUSE, expect

HOST = "127.0.0.1"
#: Bytes of what is bulk and what is little.
BULK, LITTLE = 1 << 20, 300
#: Seconds for everything that is not to take long: machines stand still at times.
PATIENCE = 120
#: The streams of a conversation.
opened: ContextVar[list[SslStream] | None] = ContextVar("opened", default=None)
#: So many names are asked for: more than a client keeps sessions for.
NAMES = 600


class Asking:
    """
    Somebody who has all these conversations.

    @ivar opened: how many connections were opened.
    @ivar resumed: how many of them went on with an earlier session.
    @ivar serials: of the certificates that the server has shown.
    """

    def __init__(self, reactor: Any, material: Material, ports: Mapping[str, int]) -> None:
        self._reactor = reactor
        self._material = material
        self._ports = ports
        self._random = Random(7)
        self.opened = 0
        self.resumed = 0
        self.serials: set[int] = set()
        self._turn = DeferredLock()
        self._python = ssl.create_default_context(cafile=str(material.home / "trust.pem"))

    # What conversations are made of.

    def _options(self, **options: Any) -> SslClientAuthenticationOptions:
        return SslClientAuthenticationOptions(
            **{
                "targetHost": "localhost",
                "trust": self._material.trust,
                "handshakeTimeout": PATIENCE,
                "enabledSslProtocols": self._random.choice(
                    (SslProtocols.Tls12, SslProtocols.Tls13)
                ),
                **options,
            }
        )

    def _endpoint(self, name: str) -> TCP4ClientEndpoint:
        self.opened += 1
        return TCP4ClientEndpoint(self._reactor, HOST, self._ports[name], timeout=PATIENCE)

    async def connect(self, name: str, **options: Any) -> SslStream:
        endpoint = SslStreamClientEndpoint(self._endpoint(name), self._options(**options))
        stream = await endpoint.connectStream()
        stream.readTimeout = stream.writeTimeout = PATIENCE
        streams = opened.get()
        if streams is not None:
            streams.append(stream)
        self.resumed += stream.isResumed
        assert stream.remoteCertificate is not None
        self.serials.add(stream.remoteCertificate.serial_number)
        return stream

    async def _request(self, stream: SslStream, verb: str, size: int) -> int:
        start = self._random.randrange(1 << 20)
        await stream.write(f"{verb} {start} {size}\n".encode())
        return start

    async def echoed(self, stream: SslStream, size: int = LITTLE) -> None:
        start = await self._request(stream, "echo", size)
        await stream.write(data(start, size))
        await expect(stream, start, size)

    async def conversation(self, name: str, **options: Any) -> None:
        stream = await self.connect(name, **options)
        await self.echoed(stream)
        await stream.close()

    async def _refused(self, name: str, errors: SslPolicyErrors | None, **options: Any) -> None:
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

    # What goes well.

    async def full(self) -> None:
        """
        A full handshake and little data.
        """
        await self.conversation("main", allowTlsResume=False)

    async def resuming(self) -> None:
        """
        The same, with an earlier session if there is one.
        """
        await self.conversation("main")

    async def named(self) -> None:
        """
        The same for one of many names.
        """
        await self.conversation("main", targetHost=f"n{self._random.randrange(NAMES)}.{DOMAIN}")

    async def mutual(self) -> None:
        """
        Both have certificates, both are looked up in a CRL, and both decide slowly.
        """

        async def waits(*arguments: Any) -> bool:
            await deferLater(self._reactor, PAUSE)
            return bool(arguments[-1] == SslPolicyErrors.None_)

        await self.conversation(
            "mutual",
            trust=None,
            certificateChainPolicy=self._material.policy,
            clientCertificates=[self._material.client],
            remoteCertificateValidationCallback=waits,
        )

    async def mutualResuming(self) -> None:
        """
        Both have certificates, and sessions go on.
        """
        await self.conversation("strict", clientCertificates=[self._material.client])

    async def chosen(self) -> None:
        """
        The server chooses among options by the hello.
        """
        offered = [b"soak", SslApplicationProtocol.Http2]
        await self.conversation("chosen", applicationProtocols=offered)

    async def asked(self) -> None:
        """
        The server asks for a certificate in mid-conversation.
        """
        stream = await self.connect(
            "main",
            enabledSslProtocols=SslProtocols.Tls13,
            clientCertificates=[self._material.client],
            allowTlsResume=False,
        )
        await self.echoed(stream)
        await self._request(stream, "ask", 0)
        name = await stream.readUntil(b"\n")
        assert name == b"CN=client@example.com\n", name
        await self.echoed(stream)
        await stream.close()

    async def upgraded(self) -> None:
        """
        TLS begins in mid-conversation.
        """
        protocol: Any = await self._endpoint("starttls").connect(Factory.forProtocol(Raw))
        protocol.transport.write(b"start\n")
        assert await protocol.said() == b"go ahead\n"
        stream = SslStream(protocol.transport)
        await stream.authenticateAsClient(self._options())
        await stream.write(b"one more\n")
        assert await stream.readUntil(b"\n") == b"one more\n"
        await stream.close()

    async def pushed(self) -> None:
        """
        An application protocol sends everything back, and both sides end in turn.
        """
        stream = await self.connect("push")
        size = self._random.randrange(1, 1 << 17)
        await stream.write(data(0, size))
        await stream.shutdown()
        await expect(stream, 0, size)
        assert await stream.read() == b""
        await stream.close()

    async def halfClosed(self) -> None:
        """
        The client ends its side, and reads on.
        """
        stream = await self.connect("main")
        start = await self._request(stream, "half", LITTLE)
        await stream.write(data(start, LITTLE))
        await stream.shutdown()
        await expect(stream, start, LITTLE)
        assert await stream.read() == b""
        await stream.close()

    async def bulk(self) -> None:
        """
        Much data in either direction, then in both at once.
        """
        stream = await self.connect("main")
        start = await self._request(stream, "up", BULK)
        await stream.write(data(start, BULK))
        assert await stream.readExactly(4) == b"all\n"
        start = await self._request(stream, "down", BULK)
        await expect(stream, start, BULK)
        start = await self._request(stream, "both", BULK)
        reading = Deferred.fromCoroutine(expect(stream, start, BULK))
        await gatherResults([reading, stream.write(data(start, BULK))], consumeErrors=True)
        await stream.close()

    async def python(self) -> None:
        """
        Python's own client.
        """
        self.opened += 1
        port = self._ports["main"]
        assert await deferToThread(_pythonEcho, self._python, port) == data(0, LITTLE)

    async def openssl(self) -> None:
        """
        OpenSSL's own client.
        """
        self.opened += 1
        trust = self._material.home / "trust.pem"
        said = await deferToThread(_opensslEcho, f"{HOST}:{self._ports['push']}", str(trust))
        assert said == b"said and heard\n", said

    async def foreign(self) -> None:
        """
        OpenSSL's own server, which turns lines round, and has one client at a time.
        """
        await self._turn.acquire()
        try:
            stream = await self.connect("foreign")
            await stream.write(b"a line\n")
            assert await stream.readUntil(b"\n") == b"enil a\n"
            await stream.close()
        finally:
            self._turn.release()

    # What does not.

    async def distrusting(self) -> None:
        """
        The client does not trust the server's authority.
        """
        await self._refused(
            "main",
            SslPolicyErrors.RemoteCertificateChainErrors,
            trust=self._material.strangers,
        )

    async def elsewhere(self) -> None:
        """
        The server has another name.
        """
        await self._refused(
            "main", SslPolicyErrors.RemoteCertificateNameMismatch, targetHost="other.example"
        )

    async def revoked(self) -> None:
        """
        The server's certificate is revoked, says the CRL.
        """
        await self._refused(
            "revoked",
            SslPolicyErrors.RemoteCertificateChainErrors,
            trust=None,
            certificateChainPolicy=self._material.policy,
        )

    async def saidNo(self) -> None:
        """
        The client's callback says no, or raises an error.
        """

        def refuses(*_: object) -> bool:
            if self._random.random() < 0.5:
                raise ValueError(EXPECTED_WORDS)
            return False

        await self._refused("main", None, remoteCertificateValidationCallback=refuses)

    async def heardNo(self) -> None:
        """
        The server's callback does so.
        """
        await self._refused("refusing", None)

    async def stranger(self) -> None:
        """
        The server does not know the client.
        """
        await self._refused("strict", None, clientCertificates=[self._material.stranger])

    async def silentServer(self) -> None:
        """
        The server never says anything.
        """
        try:
            await self.connect("silent", handshakeTimeout=HASTE)
        except HandshakeTimeout:
            return
        raise AssertionError("there was no time-out")

    async def silentClient(self) -> None:
        """
        The client never says anything.
        """
        protocol: Any = await self._endpoint("hasty").connect(Factory.forProtocol(Raw))
        await protocol.ended

    async def cancelled(self) -> None:
        """
        The client gives up in mid-handshake.
        """
        endpoint = SslStreamClientEndpoint(self._endpoint("mutual"), self._options())
        connecting = endpoint.connectStream()
        self._reactor.callLater(self._random.random() / 50, connecting.cancel)
        with suppress(AuthenticationError, ConnectingCancelledError):
            stream = await connecting
            stream.abort()

    async def aborted(self) -> None:
        """
        The client ends the connection in the middle of the server's data.
        """
        stream = await self.connect("main")
        start = await self._request(stream, "down", BULK)
        await expect(stream, start, 1 << 16)
        stream.abort()
        await stream.whenClosed()

    async def truncated(self) -> None:
        """
        The server ends the connection without saying so.
        """
        stream = await self.connect("dropping")
        assert await stream.readExactly(7) == b"half of"
        try:
            await stream.read()
        except TruncationError:
            await stream.close()
            return
        raise AssertionError("that it was truncated did not show")

    async def broken(self) -> None:
        """
        The server ends the connection in the middle of a record of the handshake.
        """
        await self._refused("breaking", None)


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


def _pythonEcho(context: ssl.SSLContext, port: int) -> bytes:
    import socket

    with (
        socket.create_connection((HOST, port), PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        tls.sendall(f"echo 0 {LITTLE}\n".encode() + data(0, LITTLE))
        received = b""
        while len(received) < LITTLE:
            received += tls.recv(LITTLE)
        return received


def _opensslEcho(place: str, trust: str) -> bytes:
    command = ["openssl", "s_client", "-quiet", "-verify_quiet", "-verify_return_error"]
    command += ["-CAfile", trust, "-servername", "localhost", "-connect", place, "-no_ign_eof"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"said and heard\n")
        process.stdin.flush()
        # It stays as long as its input.
        return process.stdout.readline()


#: The conversations, and how many of each there are in a round.
ROUND: Mapping[Callable[[Asking], Awaitable[None]], int] = {
    Asking.full: 10,
    Asking.resuming: 10,
    Asking.named: 6,
    Asking.mutual: 6,
    Asking.mutualResuming: 4,
    Asking.chosen: 6,
    Asking.asked: 4,
    Asking.upgraded: 4,
    Asking.pushed: 4,
    Asking.halfClosed: 4,
    Asking.bulk: 3,
    Asking.python: 3,
    Asking.distrusting: 3,
    Asking.elsewhere: 3,
    Asking.revoked: 3,
    Asking.saidNo: 4,
    Asking.heardNo: 4,
    Asking.stranger: 4,
    Asking.silentServer: 3,
    Asking.silentClient: 3,
    Asking.cancelled: 5,
    Asking.aborted: 4,
    Asking.truncated: 4,
    Asking.broken: 4,
    Asking.foreign: 2,
    Asking.openssl: 1,
}
