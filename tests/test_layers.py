"""
Tests for TLS among other layers: three of ours on each other, Twisted's TLS
above and below, and Twisted's protocol wrappers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.policies import TimeoutFactory, TrafficLoggingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    HandshakeInterrupted,
    SslProtocols,
    SslStream,
    SslStreamFactory,
    SslStreamServerEndpoint,
    TruncationError,
)
from txsslstream.testing import (
    Application,
    Bystander,
    MemoryTransport,
    Wire,
    certificatePEM,
    failureOf,
    keyPEM,
    perVersion,
)

from .support import AUTHORITY, SERVER, clientOptions, serverOptions

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object

#: 1 MiB.
MUCH = bytes(range(256)) * 4096

LAYERS = 3


class LayersMixin(_Mixin):
    """
    For test cases made by L{perVersion}.
    """

    version: SslProtocols
    segment: int

    failure = staticmethod(failureOf)


class Stack:
    """
    Streams on streams.

    @ivar client: the client's, the lowest first.
    @ivar server: the server's.
    """

    def __init__(self, test: LayersMixin, leaveInnerStreamOpen: bool = False) -> None:
        self.wire = Wire(test.segment)
        self.clock = self.wire.clock
        self.bystanders = Bystander(), Bystander()
        self.wire.connect(*self.bystanders)
        self.client: list[SslStream] = []
        self.server: list[SslStream] = []
        for _ in range(LAYERS):
            for side, below in ((self.client, self.wire.client), (self.server, self.wire.server)):
                side.append(
                    SslStream(side[-1] if side else below, leaveInnerStreamOpen, clock=self.clock)
                )
            both: tuple[Deferred[SslStream], Deferred[SslStream]] = (
                self.server[-1].authenticateAsServer(serverOptions(test.version)),
                self.client[-1].authenticateAsClient(clientOptions(test.version)),
            )
            self.wire.flush()
            for authenticated in both:
                test.successResultOf(authenticated)

    def sides(self, isServer: bool) -> tuple[list[SslStream], list[SslStream]]:
        """
        Those of one side, and of the other.
        """
        return (self.server, self.client) if isServer else (self.client, self.server)


@perVersion()
class StreamTests(LayersMixin):
    """
    Tests for streams on streams on streams.
    """

    def stacks(self, **arguments: Any) -> Iterator[tuple[Stack, list[SslStream], list[SslStream]]]:
        """
        One for each role of the side that the test looks at.  It is checked that
        no timer is left.
        """
        for isServer in (False, True):
            stack = Stack(self, **arguments)
            yield stack, *stack.sides(isServer)
            stack.wire.flush()
            if not stack.wire.client.connected:
                self.assertEqual(stack.clock.getDelayedCalls(), [])

    def assertClosed(self, stack: Stack) -> None:
        """
        Every layer is gone, and the transport.
        """
        for stream in (*stack.client, *stack.server):
            self.successResultOf(stream.whenClosed())
        self.assertFalse(stack.wire.client.connected)
        for each in stack.bystanders:
            self.assertIsNotNone(each.lost)

    def test_conversation(self) -> None:
        """
        Data goes both ways through all of them, and each knows its peer.
        """
        for stack, ours, theirs in self.stacks():
            for one, other in ((ours, theirs), (theirs, ours)):
                self.successResultOf(one[-1].write(b"message"))
                stack.wire.flush()
                self.assertEqual(self.successResultOf(other[-1].readExactly(7)), b"message")
            for stream in (*ours, *theirs):
                self.assertTrue(stream.isAuthenticated)
            ours[-1].abort()

    def test_closeUppermost(self) -> None:
        """
        Closing the uppermost closes all of them in order, and the transport.
        """
        for stack, ours, theirs in self.stacks():
            reading = theirs[-1].read()
            closing = ours[-1].close()
            stack.wire.flush()
            self.assertEqual(self.successResultOf(reading), b"")
            theirs[-1].close()
            stack.wire.flush()
            self.successResultOf(closing)
            self.assertClosed(stack)
            for stream in (*ours[:-1], *theirs[:-1]):
                self.assertEqual(self.successResultOf(stream.read()), b"")

    def test_closeOneByOne(self) -> None:
        """
        Left open, one after the other can be closed and the next one used.
        """
        for stack, ours, theirs in self.stacks(leaveInnerStreamOpen=True):
            for number in reversed(range(LAYERS)):
                self.successResultOf(ours[number].write(b"message"))
                stack.wire.flush()
                self.assertEqual(self.successResultOf(theirs[number].read()), b"message")
                closing = [ours[number].close(), theirs[number].close()]
                stack.wire.flush()
                for each in closing:
                    self.successResultOf(each)
            self.assertIs(stack.wire.client.protocol, stack.bystanders[0])
            self.assertIs(stack.wire.server.protocol, stack.bystanders[1])
            self.assertEqual(stack.clock.getDelayedCalls(), [])

    def test_unwrapOneByOne(self) -> None:
        """
        One after the other can be unwrapped.
        """
        for stack, ours, theirs in self.stacks(leaveInnerStreamOpen=True):
            for number in reversed(range(LAYERS)):
                both = ours[number].unwrap(), theirs[number].unwrap()
                stack.wire.flush()
                for side, unwrapping in zip((ours, theirs), both, strict=True):
                    inner, trailing = self.successResultOf(unwrapping)
                    self.assertEqual(trailing, b"")
                    if number:
                        self.assertIs(inner, side[number - 1])

    def test_closedBelow(self) -> None:
        """
        When one below is closed, in order or not, or the transport lost, all
        above are truncated, on both sides; whatever was not read can be read
        before.
        """
        for end in (SslStream.close, SslStream.abort):
            for number in range(LAYERS - 1):
                for stack, ours, theirs in self.stacks():
                    self.successResultOf(theirs[-1].write(b"message"))
                    stack.wire.flush()
                    end(theirs[number])
                    stack.wire.flush()
                    self.assertEqual(self.successResultOf(ours[-1].read()), b"message")
                    self.failure(ours[-1].read(), TruncationError)
                    for above in ours[number + 1 : -1]:
                        self.failure(above.read(), TruncationError)
                    if end is SslStream.close:
                        self.assertEqual(self.successResultOf(ours[number].read()), b"")
                    else:
                        self.failure(ours[number].read(), TruncationError)
                    self.assertClosed(stack)

    def test_truncated(self) -> None:
        """
        When the transport is lost every layer is truncated.
        """
        for stack, ours, theirs in self.stacks():
            reading = ours[-1].read()
            stack.wire.cut()
            self.failure(reading, TruncationError)
            for stream in (*ours, *theirs):
                self.failure(stream.read(), TruncationError)
            self.assertClosed(stack)


@perVersion(segments=(0,))
class TransferTests(LayersMixin):
    """
    Tests for much data in three layers.
    """

    def test_streams(self) -> None:
        """
        1 MiB goes each way at once through streams.
        """
        stack = Stack(self)
        tops = stack.client[-1], stack.server[-1]
        reading = [stream.readExactly(len(MUCH)) for stream in tops]
        writing = [stream.write(MUCH) for stream in tops]
        stack.wire.flush()
        for written in writing:
            self.successResultOf(written)
        for read in reading:
            self.assertEqual(self.successResultOf(read), MUCH)
        tops[0].abort()
        stack.wire.flush()

    def test_slowPeer(self) -> None:
        """
        A peer that does not read holds the writer back, through all of them.
        """
        stack = Stack(self)
        writing = stack.client[-1].write(MUCH)
        stack.wire.flush()
        self.assertNoResult(writing)
        self.assertTrue(stack.wire.server.isPaused)
        self.assertLess(len(stack.wire.client.written), 1 << 18)
        reading = stack.server[-1].readExactly(len(MUCH))
        stack.wire.flush()
        self.successResultOf(writing)
        self.assertEqual(self.successResultOf(reading), MUCH)
        stack.client[-1].abort()
        stack.wire.flush()

    def test_protocols(self) -> None:
        """
        1 MiB goes each way at once through protocols.
        """
        wire, client, server = stacked(self)
        for application in (client, server):
            application.transport.write(MUCH)
        wire.flush()
        for application in (client, server):
            self.assertEqual(application.received, MUCH)


def stacked(test: LayersMixin) -> tuple[Wire, Any, Any]:
    """
    Two applications on three layers of protocols.
    """
    wire = Wire(test.segment)
    applications: list[Any] = [Application(), Application()]
    ends = []
    for isClient, application in zip((True, False), applications, strict=True):
        factory: Any = Factory.forProtocol(lambda made=application: made)  # type: ignore[misc]
        options: Any = (clientOptions if isClient else serverOptions)(test.version)
        for _ in range(LAYERS):
            factory = SslStreamFactory(options, isClient, factory, wire.clock)
        ends.append(factory.buildProtocol(None))
    wire.connect(*ends)
    wire.flush()
    return wire, *applications


@perVersion()
class ProtocolTests(LayersMixin):
    """
    Tests for protocols on protocols on protocols.
    """

    def test_conversation(self) -> None:
        """
        The application is connected when all are authenticated, once.
        """
        wire, client, server = stacked(self)
        for one, other in ((client, server), (server, client)):
            self.assertEqual(one.events[:2], ["made", "handshake"])
            one.transport.write(b"message")
            wire.flush()
            self.assertEqual(other.received, b"message")
            self.assertTrue(one.transport.isAuthenticated)
            self.assertTrue(one.transport.transport.transport.isAuthenticated)
        self.assertNotIn(b"message", wire.client.everWritten)

    def test_close(self) -> None:
        """
        Closing closes all of them in order, and the transport.
        """
        for isServer in (False, True):
            wire, client, server = stacked(self)
            (server if isServer else client).transport.loseConnection()
            wire.flush()
            for application in (client, server):
                self.assertEqual(application.events[-1], "lost")
                self.assertIsInstance(application.reason, ConnectionDone)
            self.assertFalse(wire.client.connected)
            self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_truncated(self) -> None:
        """
        When one below is closed or aborted, or the transport lost, the
        application hears of a truncation.
        """
        for depth in range(1, LAYERS):
            for end in ("loseConnection", "abortConnection"):
                wire, client, server = stacked(self)
                below = server.transport
                for _ in range(depth):
                    below = below.transport
                getattr(below, end)()
                wire.flush()
                self.assertEqual(client.events.count("lost"), 1)
                self.assertIs(type(client.reason), TruncationError)
                self.assertEqual(server.events.count("lost"), 1)
                self.assertEqual(wire.clock.getDelayedCalls(), [])
        wire, client, server = stacked(self)
        wire.cut()
        for application in (client, server):
            self.assertIs(type(application.reason), TruncationError)


def twisted(isClient: bool, application: Any, clock: Any) -> Any:
    """
    Twisted's TLS around what a factory makes.
    """
    options: Any
    if isClient:
        options = optionsForClientTLS(
            "localhost", trustRootFromCertificates([certificate(AUTHORITY.certificate)])
        )
    else:
        pem = certificatePEM(SERVER) + keyPEM(SERVER)
        options = PrivateCertificate.loadPEM(pem).options()
    return TLSMemoryBIOFactory(options, isClient, application, clock)


def certificate(wanted: Any) -> Any:
    """
    The certificate as Twisted has them.
    """
    from twisted.internet.ssl import Certificate

    return Certificate.loadPEM(certificatePEM(wanted))


@perVersion()
class TwistedTests(LayersMixin):
    """
    Tests for Twisted's TLS below and above ours.
    """

    def connected(self, make: Callable[[bool, Any, Any], Any]) -> tuple[Wire, Any, Any]:
        """
        Two applications on whatever is made.

        @param make: makes a factory for the client's side or the server's.
        """
        wire = Wire(self.segment)
        applications: list[Any] = [Application(), Application()]
        ends = []
        for isClient, application in zip((True, False), applications, strict=True):
            inner: Any = Factory.forProtocol(lambda made=application: made)  # type: ignore[misc]
            ends.append(make(isClient, inner, wire.clock).buildProtocol(None))
        wire.connect(*ends)
        wire.flush()
        return wire, *applications

    def ours(self, isClient: bool, factory: Any, clock: Any) -> Any:
        """
        Our TLS around what a factory makes.
        """
        options: Any = (clientOptions if isClient else serverOptions)(self.version)
        return SslStreamFactory(options, isClient, factory, clock)

    def assertTalking(self, wire: Wire, client: Any, server: Any) -> None:
        """
        Data goes both ways, and closing closes everything in order.
        """
        for one, other in ((client, server), (server, client)):
            one.transport.write(b"message")
            wire.flush()
            self.assertEqual(other.received, b"message")
        client.transport.loseConnection()
        wire.flush()
        for application in (client, server):
            self.assertEqual(application.events.count("lost"), 1)
            self.assertIsInstance(application.reason, ConnectionDone)
        self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_oursInside(self) -> None:
        """
        Ours works inside Twisted's.
        """
        wire, client, server = self.connected(
            lambda isClient, factory, clock: twisted(
                isClient, self.ours(isClient, factory, clock), clock
            )
        )
        self.assertIs(client.transport.sslProtocol, self.version)
        self.assertTalking(wire, client, server)

    def test_twistedInside(self) -> None:
        """
        Twisted's works inside ours.
        """
        wire, client, server = self.connected(
            lambda isClient, factory, clock: self.ours(
                isClient, twisted(isClient, factory, clock), clock
            )
        )
        self.assertIs(client.transport.transport.sslProtocol, self.version)
        self.assertTalking(wire, client, server)

    def test_streamInside(self) -> None:
        """
        A stream works on the transport of a protocol that has Twisted's TLS.
        """
        wire, client, server = self.connected(twisted)
        streams = [SslStream(each.transport, clock=wire.clock) for each in (client, server)]
        both = (
            streams[0].authenticateAsClient(clientOptions(self.version)),
            streams[1].authenticateAsServer(serverOptions(self.version)),
        )
        wire.flush()
        for each in both:
            self.successResultOf(each)
        streams[0].write(b"message")
        wire.flush()
        self.assertEqual(self.successResultOf(streams[1].read()), b"message")
        closing = [stream.close() for stream in streams]
        wire.flush()
        for done in closing:
            self.successResultOf(done)
        self.assertFalse(wire.client.connected)


class Address(MemoryTransport):
    """
    A transport with an address as TCP has it.
    """

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 5000)

    getHost = getPeer


@perVersion(segments=(0,))
class ProxyTests(LayersMixin):
    """
    Tests for servers behind a proxy that says whom it connects with
    (C{haproxy:}).
    """

    headers = (
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4321 443\r\n",
        bytes.fromhex("0d0a0d0a000d0a515549540a2111000c c0000201 c6336402 10e1 01bb"),
    )

    def setUp(self) -> None:
        """
        A wire.
        """
        self.wire = Wire(self.segment)
        self.wire.server = Address("server")

    def connect(self, factory: Any, header: bytes) -> Deferred[SslStream]:
        """
        A client connects to what a factory makes, through a proxy.
        """
        protocol = HAProxyWrappingFactory(factory).buildProtocol(None)
        former = Bystander()
        self.wire.connect(former, protocol)
        # The hello comes together with it.
        self.wire.client.write(header)
        client = SslStream(self.wire.client, clock=self.wire.clock)
        authenticated = client.authenticateAsClient(clientOptions(self.version))
        self.wire.flush()
        return authenticated

    def assertFromClient(self, transport: Any) -> None:
        """
        The addresses are those of the header.
        """
        self.assertEqual(transport.getPeer(), IPv4Address("TCP", "192.0.2.1", 4321))
        self.assertEqual(transport.getHost(), IPv4Address("TCP", "198.51.100.2", 443))

    def test_protocol(self) -> None:
        """
        An application knows the client's address.
        """
        for header in self.headers:
            self.setUp()
            application: Any = Application()
            factory = Factory.forProtocol(lambda made=application: made)  # type: ignore[misc]
            client = self.successResultOf(
                self.connect(
                    SslStreamFactory(serverOptions(self.version), False, factory, self.wire.clock),
                    header,
                )
            )
            self.assertFromClient(application.transport)
            client.write(b"message")
            self.wire.flush()
            self.assertEqual(application.received, b"message")
            client.abort()
            self.wire.flush()

    def test_streams(self) -> None:
        """
        The handler of C{listenStreams} knows it, from the stream.
        """
        handled: list[SslStream] = []
        done: Deferred[None] = Deferred()

        def handle(stream: SslStream) -> Deferred[None]:
            handled.append(stream)
            return done

        class Endpoint:
            def listen(self, factory: Any) -> Deferred[Any]:
                self.factory = factory
                return Deferred()

        endpoint: Any = Endpoint()
        SslStreamServerEndpoint(
            endpoint, serverOptions(self.version), self.wire.clock
        ).listenStreams(handle)
        client = self.successResultOf(self.connect(endpoint.factory, self.headers[0]))
        self.assertFromClient(handled[0])
        self.assertEqual(client.getPeer(), self.wire.client.getPeer())
        self.assertEqual(client.getHost(), self.wire.client.getHost())
        done.callback(None)
        client.close()
        self.wire.flush()

    def test_noHeader(self) -> None:
        """
        A client that comes without a header is refused, and no application
        connected.
        """
        application = Application()
        factory = SslStreamFactory(
            serverOptions(self.version),
            False,
            Factory.forProtocol(lambda: application),
            self.wire.clock,
        )
        self.failure(self.connect(factory, b""), HandshakeInterrupted)
        self.assertEqual(application.events, [])
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])


@perVersion()
class PolicyTests(LayersMixin):
    """
    Tests for Twisted's policies below and above our TLS.
    """

    def connected(self, make: Callable[[Any], Any]) -> tuple[Wire, Any, SslStream]:
        """
        A server's application on whatever is made, with a client.

        @param make: makes a factory from one that makes the application.
        """
        self.wire = wire = Wire(self.segment)
        application: Any = Application()
        protocol = make(Factory.forProtocol(lambda: application)).buildProtocol(None)
        wire.connect(Bystander(), protocol)
        client = SslStream(wire.client, clock=wire.clock)
        authenticated = client.authenticateAsClient(clientOptions(self.version))
        wire.flush()
        self.successResultOf(authenticated)
        return wire, application, client

    def tls(self, factory: Any) -> SslStreamFactory:
        """
        Our TLS around what a factory makes.
        """
        return SslStreamFactory(serverOptions(self.version), False, factory, self.wire.clock)

    def timing(self, factory: Any) -> Any:
        """
        A time-out around what a factory makes.
        """
        timing: Any = TimeoutFactory(factory, 60)
        timing.callLater = lambda *call: self.wire.clock.callLater(*call)
        return timing

    def test_timeout(self) -> None:
        """
        A connection that is idle for too long is closed: in order where the
        time-out is above TLS, and truncated where it is below.
        """
        for isAbove in (False, True):
            wire, application, client = self.connected(
                lambda factory, isAbove=isAbove: (  # type: ignore[misc]
                    self.tls(self.timing(factory)) if isAbove else self.timing(self.tls(factory))
                )
            )
            wire.clock.advance(59)
            client.write(b"message")
            wire.flush()
            self.assertEqual(application.received, b"message")
            wire.clock.advance(59)
            wire.flush()
            reading = client.read()
            self.assertNoResult(reading)
            wire.clock.advance(1)
            wire.flush()
            if isAbove:
                self.assertEqual(self.successResultOf(reading), b"")
            else:
                self.failure(reading, TruncationError)
            client.close()
            wire.flush()
            expected = ConnectionDone if isAbove else TruncationError
            self.assertIs(type(application.reason), expected)
            self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_logging(self) -> None:
        """
        Traffic is logged in the clear above TLS, and encrypted below.
        """
        for isAbove in (False, True):
            logged = StringIO()

            def logging(factory: Any, logged: StringIO = logged) -> Any:
                made: Any = TrafficLoggingFactory(factory, "traffic")
                made.open = lambda _: logged
                return made

            def make(
                factory: Any, isAbove: bool = isAbove, logging: Callable[[Any], Any] = logging
            ) -> Any:
                return self.tls(logging(factory)) if isAbove else logging(self.tls(factory))

            wire, application, client = self.connected(make)
            client.write(b"question")
            application.transport.write(b"answer")
            wire.flush()
            self.assertEqual(application.received, b"question")
            self.assertEqual(self.successResultOf(client.readExactly(6)), b"answer")
            text = logged.getvalue()
            self.assertIs("answer" in text, isAbove)
            self.assertGreater(len(text), 0)
            client.abort()
            wire.flush()

    def test_refused(self) -> None:
        """
        Below and above them, too, an application whose peer is refused is never
        connected.
        """
        for isAbove in (False, True):
            self.wire = wire = Wire(self.segment)
            application = Application()
            inner: Any = Factory.forProtocol(lambda made=application: made)  # type: ignore[misc]
            factory: Any = self.tls(self.timing(inner)) if isAbove else self.timing(self.tls(inner))
            wire.connect(Bystander(), factory.buildProtocol(None))
            client = SslStream(wire.client, clock=wire.clock)
            authenticated = client.authenticateAsClient(
                clientOptions(self.version, targetHost="elsewhere")
            )
            wire.flush()
            self.failure(authenticated, AuthenticationError)
            self.assertEqual(application.events, [])
