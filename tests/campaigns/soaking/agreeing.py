"""
The conversations of a soak that go well, as clients have them.
"""

from __future__ import annotations

import ssl
import subprocess
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from txsslstream import (
    SslApplicationProtocol,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
)

from .asking import BULK, HOST, LITTLE, NAMES, PATIENCE, Asker, Raw
from .material import DOMAIN, data, expect
from .serving import PAUSE


class Agreeing(Asker):
    """
    Somebody who has them.
    """

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
        await self.conversation("main", targetHost=f"n{self.random.randrange(NAMES)}.{DOMAIN}")

    async def mutual(self) -> None:
        """
        Both have certificates, both are looked up in a CRL, and both decide slowly.
        """

        async def waits(*arguments: Any) -> bool:
            await deferLater(self.reactor, PAUSE)
            return bool(arguments[-1] == SslPolicyErrors.None_)

        await self.conversation(
            "mutual",
            trust=None,
            certificateChainPolicy=self.material.policy,
            clientCertificates=[self.material.client],
            remoteCertificateValidationCallback=waits,
        )

    async def mutualResuming(self) -> None:
        """
        Both have certificates, and sessions go on.
        """
        await self.conversation("strict", clientCertificates=[self.material.client])

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
            clientCertificates=[self.material.client],
            allowTlsResume=False,
        )
        await self.echoed(stream)
        await self.request(stream, "ask", 0)
        name = await stream.readUntil(b"\n")
        assert name == b"CN=client@example.com\n", name
        await self.echoed(stream)
        await stream.close()

    async def upgraded(self) -> None:
        """
        TLS begins in mid-conversation.
        """
        protocol: Any = await self.endpoint("starttls").connect(Factory.forProtocol(Raw))
        protocol.transport.write(b"start\n")
        assert await protocol.said() == b"go ahead\n"
        stream = SslStream(protocol.transport)
        await stream.authenticateAsClient(self.options())
        await stream.write(b"one more\n")
        assert await stream.readUntil(b"\n") == b"one more\n"
        await stream.close()

    async def pushed(self) -> None:
        """
        An application protocol sends everything back, and both sides end in turn.
        """
        stream = await self.connect("push")
        size = self.random.randrange(1, 1 << 17)
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
        start = await self.request(stream, "half", LITTLE)
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
        start = await self.request(stream, "up", BULK)
        await stream.write(data(start, BULK))
        assert await stream.readExactly(4) == b"all\n"
        start = await self.request(stream, "down", BULK)
        await expect(stream, start, BULK)
        start = await self.request(stream, "both", BULK)
        reading = Deferred.fromCoroutine(expect(stream, start, BULK))
        await gatherResults([reading, stream.write(data(start, BULK))], consumeErrors=True)
        await stream.close()

    async def python(self) -> None:
        """
        Python's own client.
        """
        self.opened += 1
        port = self.ports["main"]
        assert await deferToThread(_pythonEcho, self.pythonContext, port) == data(0, LITTLE)

    async def openssl(self) -> None:
        """
        OpenSSL's own client.
        """
        self.opened += 1
        trust = self.material.home / "trust.pem"
        said = await deferToThread(_opensslEcho, f"{HOST}:{self.ports['push']}", str(trust))
        assert said == b"said and heard\n", said

    async def foreign(self) -> None:
        """
        OpenSSL's own server, which turns lines round, and has one client at a time.
        """
        await self.turn.acquire()
        try:
            stream = await self.connect("foreign")
            await stream.write(b"a line\n")
            assert await stream.readUntil(b"\n") == b"enil a\n"
            await stream.close()
        finally:
            self.turn.release()


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
