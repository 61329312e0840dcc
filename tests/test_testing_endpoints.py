"""
Tests for L{txsslstream.testing.endpoints}.
"""

from __future__ import annotations

from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txsslstream import (
    AuthenticationError,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamClientEndpoint,
    SslStreamServerEndpoint,
    TlsAlert,
)
from txsslstream.testing import (
    VERSIONS,
    Application,
    Authority,
    MemoryEndpoint,
    MisbehavingPeer,
    failureOf,
    refusalOf,
    resultOf,
)


class Echo(Protocol):
    """
    Sends everything back.
    """

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class EndpointTests(SynchronousTestCase):
    """
    L{MemoryEndpoint}, without TLS.
    """

    def setUp(self) -> None:
        self.endpoint = MemoryEndpoint()

    def connect(self) -> Any:
        """
        @return: an application that is connected.
        """
        return resultOf(self.endpoint.connect(Factory.forProtocol(Application)))

    def test_interfaces(self) -> None:
        """
        It is an endpoint of either kind.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint)
        verifyObject(IStreamServerEndpoint, self.endpoint)
        port: Any = resultOf(self.endpoint.listen(Factory.forProtocol(Echo)))
        verifyObject(IListeningPort, port)
        self.assertEqual(port.getHost(), self.endpoint.ADDRESS)

    def test_connected(self) -> None:
        """
        Clients and servers meet, as often as they like, and know each other's
        addresses.
        """
        self.endpoint.listen(Factory.forProtocol(Echo))
        for number in range(2):
            application = self.connect()
            application.transport.write(b"hello")
            self.endpoint.flush()
            self.assertEqual(application.received, b"hello")
            self.assertEqual(application.transport.getPeer(), self.endpoint.ADDRESS)
            wire = self.endpoint.wires[number]
            self.assertEqual(wire.server.getPeer(), self.endpoint.CLIENT_ADDRESS)
            self.assertEqual(wire.server.getHost(), self.endpoint.ADDRESS)

    def test_nobody(self) -> None:
        """
        Connecting is refused where nobody listens, yet or any more.
        """
        failureOf(self.endpoint.connect(Factory.forProtocol(Echo)), ConnectionRefusedError)
        port: Any = resultOf(self.endpoint.listen(Factory.forProtocol(Echo)))
        self.connect()
        resultOf(port.stopListening())
        failureOf(self.endpoint.connect(Factory.forProtocol(Echo)), ConnectionRefusedError)
        port.startListening()
        self.connect()

    def test_listening(self) -> None:
        """
        One at a time listens, and its factory is told when.
        """
        factory = Factory.forProtocol(Echo)
        port: Any = resultOf(self.endpoint.listen(factory))
        self.assertEqual(factory.numPorts, 1)
        failureOf(self.endpoint.listen(Factory.forProtocol(Echo)), CannotListenError)
        resultOf(port.stopListening())
        resultOf(port.stopListening())
        self.assertEqual(factory.numPorts, 0)
        resultOf(self.endpoint.listen(Factory.forProtocol(Echo)))

    def test_error(self) -> None:
        """
        It fails as it is told, or never ends.
        """
        self.endpoint.listen(Factory.forProtocol(Echo))
        self.endpoint.error = ConnectionLost()
        failureOf(self.endpoint.connect(Factory.forProtocol(Echo)), ConnectionLost)
        self.endpoint.error = None
        self.endpoint.hangs = True
        self.assertNoResult(self.endpoint.connect(Factory.forProtocol(Echo)))
        self.endpoint.hangs = False
        self.connect()

    def test_unwanted(self) -> None:
        """
        A server's factory that wants no connection closes it.
        """
        factory = Factory()
        factory.buildProtocol = lambda _: None  # type: ignore[method-assign,assignment]
        self.endpoint.listen(factory)
        application = self.connect()
        self.endpoint.flush()
        self.assertIsInstance(application.reason, ConnectionDone)

    def test_segments(self) -> None:
        """
        Connections are cut as it says.
        """
        endpoint = MemoryEndpoint(Application, segment=2)
        application: Any = resultOf(endpoint.connect(Factory.forProtocol(Application)))
        application.transport.write(b"abcde")
        endpoint.flush()
        server: Any = endpoint.wires[0].server.protocol
        self.assertEqual(server.events, ["made", "data", "data", "data"])

    def test_advance(self) -> None:
        """
        Time passes for all connections at once.
        """
        clock = Clock()
        endpoint = MemoryEndpoint(Echo, clock=clock)
        applications: list[Any] = []
        for delay in (1, 2):
            applications.append(resultOf(endpoint.connect(Factory.forProtocol(Application))))
            endpoint.wires[-1].client.delay = delay
            applications[-1].transport.write(b"x")
        endpoint.advance(1.5)
        self.assertEqual([bytes(each.received) for each in applications], [b"x", b""])
        endpoint.advance(1.5)
        self.assertEqual([bytes(each.received) for each in applications], [b"x", b"x"])
        self.assertEqual(clock.seconds(), 3)


class TlsEndpointTests(SynchronousTestCase):
    """
    L{MemoryEndpoint} below the package's own endpoints.
    """

    def setUp(self) -> None:
        self.authority = Authority()
        self.endpoint = MemoryEndpoint()
        # Their time-outs are the clock's, as well.
        self.endpoint.clock.advance(1)

    def client(self, version: SslProtocols = SslProtocols.None_, **options: Any) -> Any:
        """
        @return: a client's endpoint.
        """
        return SslStreamClientEndpoint(
            self.endpoint,
            self.authority.clientOptions(version, **options),
            clock=self.endpoint.clock,
        )

    def server(self, **options: Any) -> Any:
        """
        @return: a server's endpoint.
        """
        return SslStreamServerEndpoint(
            self.endpoint, self.authority.serverOptions(**options), clock=self.endpoint.clock
        )

    def test_protocols(self) -> None:
        """
        Applications are connected once they are authenticated.
        """
        resultOf(self.server().listen(Factory.forProtocol(Echo)))
        for version in VERSIONS:
            connecting = self.client(version).connect(Factory.forProtocol(Application))
            self.assertNoResult(connecting)
            self.endpoint.flush()
            application = resultOf(connecting)
            application.transport.write(b"hello")
            self.endpoint.flush()
            self.assertEqual(application.received, b"hello")
            self.assertIs(application.transport.sslProtocol, version)

    def test_refused(self) -> None:
        """
        The error of an authentication arrives at whoever connects.
        """
        resultOf(self.server().listen(Factory.forProtocol(Echo)))
        connecting = self.client(targetHost="elsewhere.example").connect(
            Factory.forProtocol(Application)
        )
        self.endpoint.flush()
        refusalOf(
            connecting,
            sslPolicyErrors=SslPolicyErrors.RemoteCertificateNameMismatch,
            alertSent=TlsAlert.bad_certificate,
        )

    def test_streams(self) -> None:
        """
        So are handlers with streams.
        """
        heard: list[bytes] = []

        async def handle(stream: SslStream) -> None:
            heard.append(await stream.readUntil(b"\n"))
            await stream.write(b"goodbye")
            await stream.close()

        resultOf(self.server().listenStreams(handle))
        connecting = self.client().connectStream()
        self.endpoint.flush()
        stream = resultOf(connecting)
        stream.write(b"hello\n")
        self.endpoint.flush()
        self.assertEqual((heard, resultOf(stream.readExactly(7))), ([b"hello\n"], b"goodbye"))

    def test_misbehaving(self) -> None:
        """
        Somebody who misbehaves can be what a client gets to.
        """
        self.endpoint.build = MisbehavingPeer.says
        connecting = self.client().connect(Factory.forProtocol(Application))
        self.endpoint.flush()
        error = failureOf(connecting, AuthenticationError)
        self.assertIn("does not speak TLS", str(error))

    def test_service(self) -> None:
        """
        A client that connects again and again finds what is there.
        """
        service = ClientService(
            self.client(), Factory.forProtocol(Application), lambda _: 1, clock=self.endpoint.clock
        )
        service.startService()
        waiting: Deferred[Any] = service.whenConnected()
        self.endpoint.advance(0.5)
        self.assertNoResult(waiting)
        resultOf(self.server().listen(Factory.forProtocol(Echo)))
        self.endpoint.advance(1)
        self.assertEqual(resultOf(waiting).events, ["made", "handshake"])
        service.stopService()
        self.endpoint.flush()
        self.endpoint.advance(10)
