"""
TLS over real processes, standard input and output, UNIX sockets and behind a
proxy, as the documentation shows it, and in the TLS of a foreign tool.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import ProcessEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txsslstream import SslStream, SslStreamClientEndpoint, SslStreamServerEndpoint, startTLS
from txsslstream.testing import VERSIONS, Application, certificatePEM

from ..processes import Parent
from ..programs import sharedFile
from ..support import AUTHORITY, clientOptions, serverOptions
from ._pages import place
from ._tools import LOOPBACK, background, opensslClient
from .test_interop import ToolCase

#: 256 KiB.
MUCH = bytes(range(256)) * 1024


class ProcessTests(SynchronousTestCase):
    """
    The programs with processes.
    """

    def test_conversation(self) -> None:
        """
        A client has a server as its child, and hears of its end.
        """
        with place("inplace.md") as here:
            done = here.run("processclient.py")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "Hello world\n\nEnded: 0\n")

    def test_standardError(self) -> None:
        """
        A child that does something else fails the handshake, and what it has to
        say is heard.
        """
        with place("inplace.md", **{'stdioserver.py"]': 'nothing.py"]'}) as here:
            done = here.run("processclient.py")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Error:", done.stdout)
        self.assertIn("nothing.py", done.stdout)
        self.assertIn("HandshakeInterrupted", done.stderr)


class UnixTests(ToolCase, SynchronousTestCase):
    """
    The server on a UNIX socket.
    """

    tools: ClassVar[tuple[str, ...]] = ("openssl",)

    def test_openssl(self) -> None:
        """
        C{openssl s_client -unix} talks to it.
        """
        with place("inplace.md") as here:
            path = here.path("server.socket")
            with here.serving("unixserver.py", path):
                for version in ("-tls1_2", "-tls1_3"):
                    command = ["openssl", "s_client", "-unix", str(path), "-quiet", version]
                    command += ["-CAfile", str(here.path("authority.pem")), "-verify_return_error"]
                    with background(command, "") as client:
                        client.send("Hello.\n")
                        client.waitFor(r"^Hello\.$")


class ProxyTests(SynchronousTestCase):
    """
    The server behind a proxy.
    """

    def test_header(self) -> None:
        """
        It knows who the client is.
        """
        headers = (
            b"PROXY TCP4 192.0.2.1 198.51.100.2 4321 443\r\n",
            bytes.fromhex("0d0a0d0a000d0a515549540a2111000cc0000201c633640210e101bb"),
        )
        with place("inplace.md") as here, here.serving("proxiedserver.py"):
            context = ssl.create_default_context(cafile=str(here.path("authority.pem")))
            for header in headers:
                with socket.create_connection((LOOPBACK, here.port), timeout=20) as plain:
                    plain.sendall(header)
                    with context.wrap_socket(plain, server_hostname="localhost") as secure:
                        self.assertEqual(secure.recv(100), b"Hello 192.0.2.1.\n")


class InForeignTLSTests(ToolCase, TestCase):
    """
    Our TLS through the standard input and output of C{openssl s_client}, in its
    TLS.
    """

    tools: ClassVar[tuple[str, ...]] = ("openssl",)

    async def serve(self, outer: SslStream) -> None:
        """
        The server's side: TLS in TLS, and an echo in that.
        """
        async with SslStream(outer) as inner:
            await inner.authenticateAsServer(serverOptions())
            async for data in inner:
                await inner.write(data)

    async def command(self) -> list[str]:
        """
        @return: the command that is the way to the server.
        """
        endpoint = TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK)
        server = SslStreamServerEndpoint(endpoint, serverOptions())
        port: Any = await server.listenStreams(
            lambda outer: Deferred.fromCoroutine(self.serve(outer))
        )
        self.addCleanup(port.stopListening)
        root: Any = sharedFile("root.pem", certificatePEM(AUTHORITY.certificate))
        return opensslClient(port.getHost().port, root, extra=("-quiet",))

    async def spawned(self) -> None:
        """
        See L{test_spawned}.
        """
        command = await self.command()
        for version in VERSIONS:
            parent = Parent()
            ended: Deferred[None] = Deferred()
            parent.processEnded = lambda _, ended=ended: ended.callback(None)  # type: ignore[method-assign,misc]
            process: Any = reactor.spawnProcess(parent, command[0], command, env=None)
            async with SslStream(process) as stream:
                await stream.authenticateAsClient(clientOptions(version))
                reading = stream.readExactly(len(MUCH))
                await stream.write(MUCH)
                self.assertEqual(await reading, MUCH)
                await stream.shutdown()
                self.assertEqual(await stream.read(), b"")
            await ended
            self.assertNotIn(1, parent.received)

    def test_spawned(self) -> Deferred[None]:
        """
        A stream on what C{spawnProcess} returns.
        """
        return Deferred.fromCoroutine(self.spawned())

    async def connected(self) -> None:
        """
        See L{test_connected}.
        """
        command = await self.command()
        endpoint = ProcessEndpoint(reactor, command[0], command, env=None)
        for version in VERSIONS:
            application: Any = await SslStreamClientEndpoint(
                endpoint, clientOptions(version)
            ).connect(Factory.forProtocol(Application))
            await self.echo(application)

    async def echo(self, application: Any) -> None:
        """
        A protocol has the conversation.
        """
        answered: Deferred[None] = Deferred()
        lost: Deferred[None] = Deferred()
        application.reactions["data"] = lambda each: (
            answered.callback(None) if len(each.received) == len(MUCH) else None
        )
        application.reactions["lost"] = lambda _: lost.callback(None)
        application.transport.write(MUCH)
        await answered
        self.assertEqual(application.received, MUCH)
        application.transport.loseConnection()
        await lost
        self.assertEqual(application.events.count("made"), 1)

    def test_connected(self) -> Deferred[None]:
        """
        A protocol on our endpoint on a C{ProcessEndpoint}.
        """
        return Deferred.fromCoroutine(self.connected())

    async def started(self) -> None:
        """
        See L{test_started}.
        """
        command = await self.command()
        endpoint = ProcessEndpoint(reactor, command[0], command, env=None)
        for version in VERSIONS:
            application: Any = await endpoint.connect(Factory.forProtocol(Application))
            await startTLS(application, clientOptions(version))
            await self.echo(application)

    def test_started(self) -> Deferred[None]:
        """
        A protocol of a C{ProcessEndpoint} that starts TLS.
        """
        return Deferred.fromCoroutine(self.started())
