"""
Endpoints that are connected when they are authenticated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    INegotiated,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.applications import ProtocolMixin
from tests.support import CLIENT, clientOptions, serverOptions
from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    ServerOptionsSelection,
    SslClientHelloInfo,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamClientEndpoint,
    SslStreamServerEndpoint,
    TlsAlert,
    TruncationError,
)
from txsslstream._waiting import _parked
from txsslstream.testing import Application, Authority, Wire, perVersion


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class WireEndpoint:
    """
    Both ends of a L{Wire}.

    @ivar port: what listening on it is answered with.
    @ivar gaveUp: whether the connecting was cancelled.
    """

    def __init__(self, segment: int = 0) -> None:
        self.wire = Wire(segment)
        self.port = object()
        self.gaveUp = False
        self.connecting: Deferred[Any] = Deferred(self._cancelled)

    def _cancelled(self, _: object) -> None:
        self.gaveUp = True

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self._clientFactory = protocolFactory
        return self.connecting

    def listen(self, protocolFactory: Any) -> Deferred[Any]:
        self._serverFactory = protocolFactory
        return succeed(self.port)

    def establish(self) -> None:
        """
        The connection is there.
        """
        client = self._clientFactory.buildProtocol(None)
        self.wire.connect(client, self._serverFactory.buildProtocol(None))
        self.connecting.callback(client)


class EndpointMixin(ProtocolMixin):
    """
    Endpoints on a wire.
    """

    def setUp(self) -> None:
        """
        Make the wire, and both applications.
        """
        self.endpoint = WireEndpoint(self.segment)
        self.wire = self.endpoint.wire
        self.client = Application()
        self.server = Application()
        self.events = EventLoggingObserver()
        globalLogPublisher.addObserver(self.events)
        self.addCleanup(globalLogPublisher.removeObserver, self.events)

    def tearDown(self) -> None:
        """
        Nothing is left behind.
        """
        self.wire.flush()
        if self.wire.client.protocol is not None:
            self.wire.cut()
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])
        self.assertEqual(_parked, set())

    def logged(self) -> list[tuple[Any, str]]:
        """
        @return: the level and format of what the package has logged.
        """
        return [
            (event["log_level"], event["log_format"])
            for event in self.events
            if event["log_namespace"].startswith("txsslstream")
        ]

    def clientEndpoint(self, **options: Any) -> SslStreamClientEndpoint:
        """
        One that connects to the wire.
        """
        return SslStreamClientEndpoint(
            self.endpoint, clientOptions(self.version, **options), self.wire.clock
        )

    def serverEndpoint(self, **options: Any) -> SslStreamServerEndpoint:
        """
        One that listens on the wire.
        """
        return SslStreamServerEndpoint(
            self.endpoint, serverOptions(self.version, **options), self.wire.clock
        )

    def listen(self, **options: Any) -> None:
        """
        Listen with the server's application.
        """
        listening = self.serverEndpoint(**options).listen(Factory.forProtocol(lambda: self.server))
        self.assertIs(self.successResultOf(listening), self.endpoint.port)

    def connect(self, **options: Any) -> Deferred[Any]:
        """
        Connect with the client's application.
        """
        return self.clientEndpoint(**options).connect(Factory.forProtocol(lambda: self.client))


class Raising(Protocol):
    """
    An application with a defect.
    """

    def connectionMade(self) -> None:
        """
        Fail.
        """
        raise RuntimeError("a defect")


@perVersion()
class ConnectTests(EndpointMixin):
    """
    Connecting with a protocol.
    """

    def test_raisingApplication(self) -> None:
        """
        An application that fails as it is connected ends the connection, and
        C{connect} fails for its reason, on which stack the verdict ever came.
        """
        verdict: Deferred[bool] = Deferred()
        for callback in (None, lambda *_: verdict):
            self.setUp()
            self.listen()
            endpoint = self.clientEndpoint(remoteCertificateValidationCallback=callback)
            connecting = endpoint.connect(Factory.forProtocol(Raising))
            self.endpoint.establish()
            self.wire.flush()
            if callback is not None:
                self.assertNoResult(connecting)
                verdict.callback(True)
                self.wire.flush()
            self.assertEqual(str(self.failureResultOf(connecting, RuntimeError).value), "a defect")
            self.assertFalse(self.wire.client.connected)
            self.assertFalse(self.wire.server.connected)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_connected(self) -> None:
        """
        C{connect} fires with the application's protocol, once that has been
        connected to an authenticated transport.
        """
        self.listen()
        connecting = self.connect()
        self.assertNoResult(connecting)
        self.endpoint.establish()
        while not self.client.events:
            self.assertNoResult(connecting)
            self.assertTrue(self.wire.step())
        self.assertIs(self.successResultOf(connecting), self.client)
        self.assertEqual(self.client.events, ["made", "handshake"])
        self.assertTrue(self.client.transport.isAuthenticated)
        self.wire.flush()
        self.assertEqual(self.server.events, ["made", "handshake"])
        self.client.transport.write(b"hello")
        self.wire.flush()
        self.assertEqual(self.server.received, b"hello")
        self.assertEqual(self.logged(), [])

    def test_refused(self) -> None:
        """
        A server that is refused fails it with the L{AuthenticationError}, and
        neither application hears of the connection.
        """
        self.listen()
        connecting = self.connect(targetHost="wrong.example")
        self.endpoint.establish()
        self.wire.flush()
        error = self.failure(connecting, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNameMismatch)
        self.assertIs(error.alertSent, TlsAlert.bad_certificate)
        self.assertEqual((self.client.events, self.server.events), ([], []))
        self.assertFalse(self.wire.client.connected)
        # The server's side has nobody else to tell.
        self.assertEqual(self.logged(), [(LogLevel.info, "TLS with {peer} failed: {error}")])

    def test_clientRefused(self) -> None:
        """
        A client that is refused hears of that by C{connect} in TLS 1.2, and in
        TLS 1.3, where it has finished by then, as the reason of the end.
        """
        self.listen(clientCertificateRequired=True)
        stranger = Authority("Stranger").issue("somebody@example.com")
        connecting = self.connect(clientCertificates=[stranger])
        self.endpoint.establish()
        self.wire.flush()
        if self.version is SslProtocols.Tls13:
            self.assertIs(self.successResultOf(connecting), self.client)
            error: Any = self.client.reason
        else:
            error = self.failureResultOf(connecting).value
            self.assertEqual(self.client.events, [])
        self.assertIs(type(error), AuthenticationError)
        self.assertIs(error.alert, TlsAlert.unknown_ca)
        self.assertEqual(self.server.events, [])

    def test_late(self) -> None:
        """
        It waits as long as the validation callback does.
        """
        for answer in (True, False):
            self.setUp()
            decision: Deferred[bool] = Deferred()
            self.listen()
            connecting = self.connect(
                remoteCertificateValidationCallback=lambda *_, decision=decision: decision
            )
            self.endpoint.establish()
            self.wire.flush()
            self.assertNoResult(connecting)
            decision.callback(answer)
            self.wire.flush()
            if answer:
                self.assertIs(self.successResultOf(connecting), self.client)
            else:
                self.failure(connecting, AuthenticationError)
                self.assertEqual(self.client.events, [])
            self.tearDown()

    def test_cancelledEarly(self) -> None:
        """
        Cancelled before there is a connection, the wrapped endpoint gives up.
        """
        connecting = self.connect()
        connecting.cancel()
        self.failure(connecting, CancelledError)
        self.assertTrue(self.endpoint.gaveUp)
        self.assertEqual(self.client.events, [])

    def test_cancelledLate(self) -> None:
        """
        Cancelled in the handshake, that is given up, and the connection ends.
        """
        self.listen()
        connecting = self.connect()
        self.endpoint.establish()
        connecting.cancel()
        error = self.failure(connecting, HandshakeCancelled)
        self.assertIsInstance(error, CancelledError)
        self.assertFalse(self.endpoint.gaveUp)
        self.wire.flush()
        self.assertEqual((self.client.events, self.server.events), ([], []))
        self.assertFalse(self.wire.client.connected)

    def test_nothingWritten(self) -> None:
        """
        An application that writes nothing as it is connected does not keep the end
        of its handshake from the peer.
        """
        for end in ("client", "server"):
            self.setUp()
            setattr(self, end, Application(made=lambda each: each.transport.write(b"")))
            self.listen()
            connecting = self.connect()
            self.endpoint.establish()
            self.wire.flush()
            self.successResultOf(connecting)
            for each in (self.client, self.server):
                self.assertEqual(each.events, ["made", "handshake"])

    def test_cancelledTooLate(self) -> None:
        """
        Cancelled from within C{connectionMade}, the connection is given up, which
        the application hears, and nobody complains.
        """
        self.listen()
        self.client = Application(made=lambda _: connecting.cancel())
        connecting = self.connect()
        self.endpoint.establish()
        self.wire.flush()
        self.failure(connecting, CancelledError)
        self.assertEqual(self.client.events, ["made", "handshake", "lost"])
        self.assertIsInstance(self.client.reason, ConnectionAborted)
        self.assertFalse(self.wire.client.connected)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_lost(self) -> None:
        """
        A connection that is lost in the handshake fails it.
        """
        self.listen()
        connecting = self.connect()
        self.endpoint.establish()
        self.wire.cut()
        error = self.failure(connecting, HandshakeInterrupted)
        self.assertIsInstance(error, ConnectionLost)
        self.assertEqual(self.client.events, [])

    def test_timedOut(self) -> None:
        """
        So does one on which nothing happens, after C{handshakeTimeout} of the
        endpoint's clock; as with a stream.
        """
        patient = {"handshakeTimeout": 7}
        for connect in (
            lambda: self.connect(**patient),
            lambda: self.clientEndpoint(**patient).connectStream(),
        ):
            self.setUp()
            self.listen(handshakeTimeout=None)
            connecting: Deferred[Any] = connect()
            self.wire.server.isPaused = True
            self.endpoint.establish()
            self.wire.clock.advance(6.9)
            self.assertNoResult(connecting)
            self.wire.clock.advance(0.1)
            self.failure(connecting, HandshakeTimeout)
            self.wire.server.isPaused = False
            self.tearDown()

    def test_unreachable(self) -> None:
        """
        The wrapped endpoint's own failure is passed on.
        """
        self.endpoint.connecting = fail(ConnectionRefusedError())
        self.failure(self.connect(), ConnectionRefusedError)
        self.endpoint.connecting = fail(ConnectionRefusedError())
        self.failure(self.clientEndpoint().connectStream(), ConnectionRefusedError)


@perVersion()
class ListenTests(EndpointMixin):
    """
    Listening with protocols.
    """

    def test_unauthenticated(self) -> None:
        """
        An application is not connected to a client without a certificate, if
        one is required, and the log has the reason.
        """
        self.listen(clientCertificateRequired=True)
        connecting = self.connect()
        self.endpoint.establish()
        self.wire.flush()
        self.assertEqual(self.server.events, [])
        self.assertIn((LogLevel.info, "TLS with {peer} failed: {error}"), self.logged())
        self.assertEqual({level for level, _ in self.logged()}, {LogLevel.info})
        connecting.addErrback(lambda _: None)

    def test_authenticated(self) -> None:
        """
        One with a certificate is served.
        """
        self.listen(clientCertificateRequired=True)
        connecting = self.connect(clientCertificates=[CLIENT])
        self.endpoint.establish()
        self.wire.flush()
        self.successResultOf(connecting)
        self.assertEqual(self.server.events, ["made", "handshake"])
        self.assertEqual(self.server.transport.remoteCertificate, CLIENT.certificate)


@perVersion()
class SelectionTests(EndpointMixin):
    """
    Listening with options that are chosen for each client.
    """

    def select(self, stream: Any, info: SslClientHelloInfo, state: object) -> Any:
        """
        Choose.
        """
        self.asked = (info.serverName, state)
        return serverOptions(self.version)

    def selections(self) -> list[Any]:
        """
        @return: a selection in each form.
        """
        return [self.select, ServerOptionsSelection(self.select, "a state")]

    def test_protocols(self) -> None:
        """
        An application is connected to a client with the options for it.
        """
        for selection, state in zip(self.selections(), (None, "a state"), strict=True):
            self.setUp()
            endpoint = SslStreamServerEndpoint(self.endpoint, selection, self.wire.clock)
            endpoint.listen(Factory.forProtocol(lambda: self.server))
            connecting = self.connect()
            self.endpoint.establish()
            self.wire.flush()
            self.successResultOf(connecting)
            self.assertEqual(self.server.events, ["made", "handshake"])
            self.assertEqual(self.asked, ("localhost", state))
            self.tearDown()

    def test_streams(self) -> None:
        """
        So is a handler.
        """
        for selection in self.selections():
            self.setUp()
            streams: list[SslStream] = []
            endpoint = SslStreamServerEndpoint(self.endpoint, selection, self.wire.clock)
            endpoint.listenStreams(streams.append)
            connecting = self.connect()
            self.endpoint.establish()
            self.wire.flush()
            self.successResultOf(connecting)
            self.assertEqual([stream.targetHostName for stream in streams], ["localhost"])
            self.tearDown()

    def test_refused(self) -> None:
        """
        A client for whom there is nothing never reaches the application.
        """
        endpoint = SslStreamServerEndpoint(self.endpoint, lambda *_: None, self.wire.clock)
        endpoint.listen(Factory.forProtocol(lambda: self.server))
        connecting = self.connect()
        self.endpoint.establish()
        self.wire.flush()
        error = self.failure(connecting, AuthenticationError)
        self.assertIs(error.alert, TlsAlert.unrecognized_name)
        self.assertEqual(self.server.events, [])
        self.assertIn((LogLevel.info, "TLS with {peer} failed: {error}"), self.logged())


@perVersion()
class StreamTests(EndpointMixin):
    """
    The same for streams.
    """

    def connectStream(self, **options: Any) -> Deferred[SslStream]:
        """
        Connect to who listens.
        """
        connecting = self.clientEndpoint(**options).connectStream()
        self.endpoint.establish()
        return connecting

    def served(self, handler: Callable[[SslStream], Any]) -> SslStream:
        """
        Serve one connection.

        @return: the client's stream.
        """
        listening = self.serverEndpoint().listenStreams(handler)
        self.assertIs(self.successResultOf(listening), self.endpoint.port)
        connecting = self.connectStream()
        self.wire.flush()
        return self.successResultOf(connecting)

    def test_coroutine(self) -> None:
        """
        A handler may be a coroutine function; it gets an authenticated stream,
        which is closed when it is done.
        """
        seen: list[tuple[bool, bool]] = []

        async def handler(stream: SslStream) -> None:
            seen.append((stream.isAuthenticated, stream.isServer))
            await stream.write(b"Hello, " + await stream.readUntil(b"\n"))

        stream = self.served(handler)
        self.assertTrue(stream.isAuthenticated)
        self.assertEqual(seen, [(True, True)])
        self.successResultOf(stream.write(b"world\n"))
        self.wire.flush()
        self.assertEqual(self.successResultOf(stream.readExactly(13)), b"Hello, world\n")
        self.assertEqual(self.successResultOf(stream.read()), b"")
        closed = stream.close()
        self.wire.flush()
        self.successResultOf(closed)
        self.assertEqual(self.logged(), [])

    def test_deferred(self) -> None:
        """
        It may return a Deferred; the stream stays open until that fires.
        """
        done: Deferred[None] = Deferred()
        stream = self.served(lambda stream: done)
        reading = stream.read()
        self.wire.flush()
        self.assertNoResult(reading)
        done.callback(None)
        self.wire.flush()
        self.assertEqual(self.successResultOf(reading), b"")

    def test_plain(self) -> None:
        """
        One that returns nothing is done at once.
        """
        stream = self.served(lambda stream: None)
        self.assertEqual(self.successResultOf(stream.read()), b"")

    def test_failing(self) -> None:
        """
        If it fails, however, the stream is aborted, so that the client does not
        take what it got for all there was, and the error is logged.
        """

        async def failing(stream: SslStream) -> None:
            await stream.write(await stream.read())
            raise ZeroDivisionError("a mistake")

        def alsoFailing(stream: SslStream) -> Deferred[float]:
            return stream.read().addCallback(lambda data: len(data) / 0)

        for handler in (failing, alsoFailing):
            self.setUp()
            stream = self.served(handler)
            self.successResultOf(stream.write(b"!"))
            self.wire.flush()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertIn((LogLevel.critical, "the handler of a stream failed"), self.logged())
            self.failure(stream.readExactly(100), TruncationError)
            self.tearDown()

    def test_raising(self) -> None:
        """
        One that cannot even be called ends the connection, too.
        """

        def raising(stream: SslStream) -> None:
            raise ZeroDivisionError("a mistake")

        self.serverEndpoint().listenStreams(raising)
        self.connectStream().addErrback(lambda _: None)
        self.wire.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(self.wire.server.connected)
        self.assertFalse(self.wire.client.connected)

    def test_misfortune(self) -> None:
        """
        A handler that fails because of the client is no mistake: the log gets
        a line and no traceback.
        """

        async def handler(stream: SslStream) -> None:
            await stream.readExactly(100)

        stream = self.served(handler)
        stream.abort()
        self.wire.flush()
        self.assertEqual(self.logged(), [(LogLevel.info, "TLS with {peer} ended early: {error}")])

    def test_refused(self) -> None:
        """
        The handler is not called for a client that is refused, and the log has
        the reason.
        """
        called: list[SslStream] = []
        self.serverEndpoint(clientCertificateRequired=True).listenStreams(called.append)
        self.connectStream().addErrback(lambda _: None)
        self.wire.flush()
        self.assertEqual(called, [])
        self.assertEqual(self.logged(), [(LogLevel.info, "TLS with {peer} failed: {error}")])
        self.assertFalse(self.wire.server.connected)

    def test_timedOut(self) -> None:
        """
        Nor is it called for one that says nothing for C{handshakeTimeout} of
        the endpoint's clock.
        """
        called: list[SslStream] = []
        self.serverEndpoint(handshakeTimeout=7).listenStreams(called.append)
        self.wire.client.isPaused = self.wire.server.isPaused = True
        connecting = self.connectStream(handshakeTimeout=None)
        self.wire.clock.advance(6.9)
        self.assertEqual(self.logged(), [])
        self.wire.clock.advance(0.1)
        self.assertEqual(self.logged(), [(LogLevel.info, "TLS with {peer} failed: {error}")])
        self.assertEqual(called, [])
        connecting.addErrback(lambda _: None)
        self.wire.client.isPaused = self.wire.server.isPaused = False

    def test_clientRefuses(self) -> None:
        """
        C{connectStream} fails with the L{AuthenticationError}.
        """
        self.serverEndpoint().listenStreams(lambda _: None)
        connecting = self.connectStream(targetHost="wrong.example")
        self.wire.flush()
        error = self.failure(connecting, AuthenticationError)
        self.assertIs(error.alertSent, TlsAlert.bad_certificate)
        self.assertFalse(self.wire.client.connected)

    def test_cancelled(self) -> None:
        """
        C{connectStream} can be cancelled before and after the connection is
        there.
        """
        early = self.clientEndpoint().connectStream()
        early.cancel()
        self.failure(early, CancelledError)
        self.assertTrue(self.endpoint.gaveUp)
        self.setUp()
        self.serverEndpoint().listenStreams(lambda _: None)
        late = self.connectStream()
        late.cancel()
        self.failure(late, HandshakeCancelled)
        self.wire.flush()
        self.assertFalse(self.wire.client.connected)


class OptionsTests(SynchronousTestCase):
    """
    What endpoints take.
    """

    def test_wrongRole(self) -> None:
        """
        Options of the other role, or none at all, are refused when the endpoint
        is made.
        """
        wrapped = WireEndpoint()
        for client in (serverOptions(), None):
            self.assertRaises(TypeError, SslStreamClientEndpoint, wrapped, client)
        for server in (clientOptions(), None):
            self.assertRaises(TypeError, SslStreamServerEndpoint, wrapped, server)

    def test_noProtocol(self) -> None:
        """
        A client factory that builds no protocol fails the connecting, as it
        does with Twisted's own endpoints.
        """

        class Refusing(Factory):
            def buildProtocol(self, addr: object) -> None:
                """
                No, thank you.
                """

        memory: Any = MemoryReactorClock()
        endpoint = SslStreamClientEndpoint(
            TCP4ClientEndpoint(memory, "localhost", 1), clientOptions(), memory
        )
        connecting = endpoint.connect(Refusing())
        self.assertIsNone(memory.tcpClients[0][2].buildProtocol(None))
        self.failureResultOf(connecting, NoProtocol)


class StartedFactory(Factory):
    """
    Counts.
    """

    starts = 0
    stops = 0

    def startFactory(self) -> None:
        self.starts += 1

    def stopFactory(self) -> None:
        self.stops += 1


class TCPTests(TestCase):
    """
    On real sockets.
    """

    timeout = 10

    async def listening(
        self, listen: Callable[[SslStreamServerEndpoint], Awaitable[Any]]
    ) -> SslStreamClientEndpoint:
        """
        Listen on a free port, until the test ends.

        @return: how to connect to it.
        """
        server = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await listen(SslStreamServerEndpoint(server, serverOptions()))
        self.addCleanup(port.stopListening)
        client = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        return SslStreamClientEndpoint(client, clientOptions(targetHost="127.0.0.1"))

    async def test_protocols(self) -> None:
        """
        Two protocols connect, talk and part; their factories are started and
        stopped, and the transport is all that a TLS transport on TCP is.
        """
        ended: Deferred[None] = Deferred()
        echo, factory = StartedFactory(), StartedFactory()
        echo.protocol = lambda: Application(
            data=lambda each: each.transport.write(bytes(each.received))
        )
        application = Application(
            data=lambda each: each.transport.loseConnection(), lost=lambda _: ended.callback(None)
        )
        factory.protocol = lambda: application
        endpoint = await self.listening(lambda server: server.listen(echo))
        self.assertEqual((echo.starts, echo.stops), (1, 0))
        self.assertIs(await endpoint.connect(factory), application)
        self.assertEqual(factory.starts, 1)
        self.assertTrue(verifyObject(INegotiated, application.transport))
        application.transport.write(b"over the wire")
        await ended
        self.assertEqual(application.received, b"over the wire")
        self.assertIs(type(application.reason), ConnectionDone)
        await deferLater(reactor, 0, lambda: None)
        self.assertEqual(factory.stops, 1)

    async def test_streams(self) -> None:
        """
        Two streams do, with a megabyte each way.
        """
        size = 1 << 20

        async def echo(stream: SslStream) -> None:
            await stream.write(await stream.readExactly(size))

        endpoint = await self.listening(lambda server: server.listenStreams(echo))
        async with await endpoint.connectStream() as stream:
            writing = stream.write(b"m" * size)
            self.assertEqual(await stream.readExactly(size), b"m" * size)
            await writing
            self.assertEqual(await stream.read(), b"")

    async def test_refused(self) -> None:
        """
        A port that nobody listens on refuses, and a server with another name is
        refused.
        """
        endpoint = await self.listening(lambda server: server.listenStreams(lambda _: None))
        wrapped = endpoint._wrapped
        stranger = SslStreamClientEndpoint(wrapped, clientOptions(targetHost="wrong.example"))
        with self.assertRaises(AuthenticationError):
            await stranger.connectStream()
        with self.assertRaises(AuthenticationError):
            await stranger.connect(Factory.forProtocol(Application))
        nobody = TCP4ClientEndpoint(reactor, "127.0.0.1", 1)
        with self.assertRaises(ConnectionRefusedError):
            await SslStreamClientEndpoint(nobody, clientOptions()).connectStream()
