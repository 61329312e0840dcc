"""
Tests for L{txsslstream._inner}: a stream on a transport that has a life of its
own, and on another stream.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    InvalidOperationError,
    NotSupportedError,
    SslPolicyErrors,
    SslStream,
    StreamClosedError,
    TlsAlert,
    TruncationError,
)
from txsslstream._inner import InnerStream
from txsslstream.testing import Bystander, MemoryTransport, StreamPair, Wire, perVersion

from .streams import Opened, StreamMixin
from .support import AUTHORITY, clientOptions, serverOptions


class Target(Bystander):
    """
    Whom an inner stream is connected to.
    """

    trailing = b""
    isReadingOver = False
    isOver = False

    def takeTrailing(self) -> bytes:
        """
        What is left over.
        """
        return self.trailing


class Producer:
    """
    Notes that it was stopped.
    """

    isStopped = False

    def stopProducing(self) -> None:
        """
        Note it.
        """
        self.isStopped = True


class InnerStreamTests(SynchronousTestCase):
    """
    Tests for L{InnerStream}.
    """

    def setUp(self) -> None:
        """
        A connected transport.
        """
        self.clock = Clock()
        self.transport = MemoryTransport("ours")
        self.original = Bystander()
        self.transport.protocol = self.original
        self.lost: list[Failure] = []

    def makeInner(self, leaveOpen: bool = False) -> InnerStream:
        """
        Take the transport over.
        """
        return InnerStream(self.transport, leaveOpen, self.clock, self.lost.append)

    def test_notConnected(self) -> None:
        """
        What has no protocol to take the place of is refused.
        """
        self.transport.protocol = None
        for wrong in (object(), None, b"", Protocol(), self.transport):
            error = self.assertRaises(TypeError, InnerStream, wrong, False, self.clock, print)
            self.assertEqual(str(error), f"not a connected transport: {wrong!r}")

    def test_secondStream(self) -> None:
        """
        A transport that one stream has is refused to another, which leaves the
        first as it was.
        """
        inner = self.makeInner()
        error = self.assertRaises(InvalidOperationError, self.makeInner)
        self.assertEqual(str(error), "another stream has the transport")
        self.assertIs(self.transport.protocol, inner)

    def test_foreignProducer(self) -> None:
        """
        A transport whose producer somebody has registered is refused, before
        anything is taken over.
        """
        self.transport.registerProducer(object(), True)
        error = self.assertRaises(InvalidOperationError, self.makeInner)
        self.assertIn("unregister it first", str(error))
        self.assertIs(self.transport.protocol, self.original)

    def test_startedTLS(self) -> None:
        """
        After Twisted's C{startTLS} a transport writes through its protocol: the
        stream takes the place of what that wraps.
        """
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), self.original)
        wrapper.makeConnection(self.transport)
        self.transport.protocol = wrapper
        self.transport.TLS = True  # type: ignore[attr-defined]
        inner = self.makeInner()
        self.assertIs(inner.inner, wrapper)
        self.assertIs(self.transport.protocol, wrapper)
        self.assertIs(wrapper.wrappedProtocol, inner)

    def test_early(self) -> None:
        """
        What comes before a protocol is connected is kept and delivered then,
        behind what was fed, and the former protocol gets nothing of it.
        """
        inner = self.makeInner()
        inner.feed(b"ab")
        inner.dataReceived(b"cd")
        target = Target()
        inner.connectTo(target)
        self.assertIs(target.transport, self.transport)
        inner.dataReceived(b"ef")
        self.assertEqual(target.received, b"abcdef")
        self.assertEqual(self.original.received, b"")

    def test_tooEarly(self) -> None:
        """
        When too much comes before a protocol is connected the transport is
        paused until one is.
        """
        inner = self.makeInner()
        inner.dataReceived(bytes(InnerStream.LIMIT - 1))
        self.assertFalse(self.transport.isPaused)
        inner.dataReceived(b"x")
        self.assertTrue(self.transport.isPaused)
        inner.connectTo(Target())
        self.assertFalse(self.transport.isPaused)

    def test_pausedByTarget(self) -> None:
        """
        A protocol that pauses the transport over what came early keeps it
        paused.
        """

        class Slow(Target):
            def dataReceived(self, data: bytes) -> None:
                self.transport.pauseProducing()  # type: ignore[union-attr]

        inner = self.makeInner()
        inner.dataReceived(bytes(InnerStream.LIMIT))
        inner.connectTo(Slow())
        self.assertTrue(self.transport.isPaused)

    def test_connectionLost(self) -> None:
        """
        Of the connection's end hear the connected protocol, the stream, and the
        protocol that was there before, each once and in this order.
        """
        heard: list[str] = []

        class Hearing(Target):
            def __init__(self, name: str) -> None:
                self.name = name

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                super().connectionLost(reason)
                heard.append(self.name)

        original, target = Hearing("original"), Hearing("target")
        self.transport.protocol = original
        inner = InnerStream(self.transport, False, self.clock, lambda _: heard.append("stream"))
        inner.connectTo(target)
        reason = Failure(ConnectionLost())
        inner.connectionLost(reason)
        inner.connectionLost(reason)
        self.assertEqual(heard, ["target", "stream", "original"])
        self.assertIs(target.lost, reason)
        self.assertIs(original.lost, reason)

    def test_close(self) -> None:
        """
        Closing closes the transport, and aborting aborts it.
        """
        self.makeInner().close()
        self.assertIsInstance(self.transport.closing, ConnectionDone)
        self.setUp()
        inner = self.makeInner()
        self.transport.write(b"unsent")
        inner.abort()
        self.assertEqual(self.transport.written, b"")

    def test_giveBack(self) -> None:
        """
        Given back, in a turn of its own, the transport is the former protocol's
        again; nobody but the stream and its protocol hear of an end.
        """
        inner = self.makeInner(leaveOpen=True)
        target = Target()
        inner.connectTo(target)
        target.transport.loseConnection()  # type: ignore[union-attr]
        target.transport.abortConnection()  # type: ignore[union-attr]
        self.assertEqual(self.lost, [])
        self.clock.advance(0)
        self.assertIs(self.transport.protocol, self.original)
        self.assertIsNone(self.original.lost)
        self.assertIsNone(self.transport.closing)
        for reason in (target.lost, *self.lost):
            assert reason is not None
            self.assertTrue(reason.check(ConnectionDone))
        self.assertEqual(len(self.lost), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_giveBackUnused(self) -> None:
        """
        A transport that nobody was connected to is given back with all that has
        come, and not paused.
        """
        for end in (InnerStream.close, InnerStream.abort):
            self.original.received = b""
            inner = self.makeInner(leaveOpen=True)
            inner.dataReceived(bytes(InnerStream.LIMIT))
            end(inner)
            inner.dataReceived(b"more")
            self.assertEqual(self.original.received, b"")
            self.clock.advance(0)
            self.assertEqual(self.original.received, bytes(InnerStream.LIMIT) + b"more")
            self.assertFalse(self.transport.isPaused)

    def test_giveBackTrailing(self) -> None:
        """
        What the connected protocol has left over, and what comes behind it
        until the transport is given back, is delivered to the former protocol.
        """
        inner = self.makeInner(leaveOpen=True)
        target = Target()
        inner.connectTo(target)
        target.trailing = b"ab"
        inner.close()
        inner.dataReceived(b"cd")
        self.clock.advance(0)
        self.assertEqual(target.received, b"")
        self.assertEqual(self.original.received, b"abcd")

    def test_givenBackToAnother(self) -> None:
        """
        Left-over bytes go to whoever has taken the transport over when the
        stream's end was told.
        """
        another: list[InnerStream] = []
        inner = InnerStream(
            self.transport, True, self.clock, lambda _: another.append(self.makeInner())
        )
        inner.dataReceived(b"abc")
        inner.close()
        self.clock.advance(0)
        self.assertEqual(self.original.received, b"")
        target = Target()
        another[0].connectTo(target)
        self.assertEqual(target.received, b"abc")

    def test_lostWhenGivenBack(self) -> None:
        """
        When the connection is lost before the transport is given back, everyone
        hears of that, once.
        """
        inner = self.makeInner(leaveOpen=True)
        target = Target()
        inner.connectTo(target)
        inner.close()
        reason = Failure(ConnectionLost())
        inner.connectionLost(reason)
        self.clock.advance(0)
        self.assertEqual(self.lost, [reason])
        self.assertIs(target.lost, reason)
        self.assertIs(self.original.lost, reason)

    def test_producer(self) -> None:
        """
        A transport is given back without a producer, and the one that is still
        there is stopped.
        """
        for unregisters in (False, True):
            inner = self.makeInner(leaveOpen=True)
            target = Target()
            inner.connectTo(target)
            transport: Any = target.transport
            producer = Producer()
            transport.registerProducer(producer, True)
            self.assertIs(self.transport.producer, producer)
            if unregisters:
                transport.unregisterProducer()
                self.assertIsNone(self.transport.producer)
            inner.close()
            self.clock.advance(0)
            self.assertIsNone(self.transport.producer)
            self.assertIs(producer.isStopped, not unregisters)

    def test_everythingElse(self) -> None:
        """
        But for its end, a transport that is to be left open is the transport
        itself.
        """
        inner = self.makeInner(leaveOpen=True)
        target = Target()
        inner.connectTo(target)
        transport: Any = target.transport
        transport.write(b"abc")
        self.assertEqual(self.transport.written, b"abc")
        self.assertEqual(transport.getPeer(), self.transport.getPeer())

    def test_wrapper(self) -> None:
        """
        Of a protocol wrapper it is the wrapped protocol's place that is taken,
        and given back.
        """
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), self.original)
        wrapper.makeConnection(self.transport)
        inner = InnerStream(wrapper, True, self.clock, self.lost.append)
        target = Target()
        inner.connectTo(target)
        wrapper.dataReceived(b"abc")
        self.assertEqual(target.received, b"abc")
        inner.close()
        self.clock.advance(0)
        wrapper.dataReceived(b"def")
        self.assertEqual(self.original.received, b"def")


class Upgrading(Bystander):
    """
    A protocol that goes over to TLS at the word of command, out of
    C{dataReceived}.

    @ivar stream: then, the stream on its transport.
    @ivar authenticated: and its authentication.
    """

    stream: SslStream
    authenticated: Deferred[SslStream]
    transport: Any

    def __init__(self, clock: Clock, options: Any, leaveInnerStreamOpen: bool) -> None:
        self._clock = clock
        self._options = options
        self._leaveInnerStreamOpen = leaveInnerStreamOpen

    def dataReceived(self, data: bytes) -> None:
        """
        A client asks, a server consents.
        """
        super().dataReceived(data)
        if self.received == b"STARTTLS\n":
            self._upgrade()
            self.transport.write(b"OK\n")
            self.authenticated = self.stream.authenticateAsServer(self._options)
        elif self.received == b"OK\n":
            self._upgrade()
            self.authenticated = self.stream.authenticateAsClient(self._options)

    def _upgrade(self) -> None:
        self.stream = SslStream(self.transport, self._leaveInnerStreamOpen, clock=self._clock)


class UpgradingLines(LineReceiver):
    """
    A server that goes over to TLS at the word of command, with whatever it has
    got behind that.

    @ivar lines: what else it was told.
    """

    authenticated: Deferred[SslStream]
    transport: Any

    def __init__(self, clock: Clock, options: Any) -> None:
        self._clock = clock
        self._options = options
        self.lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        """
        Obey.
        """
        if line == b"STARTTLS":
            rest = self.clearLineBuffer()
            stream = SslStream(self.transport, received=rest, clock=self._clock)
            self.authenticated = stream.authenticateAsServer(self._options)
        else:
            self.lines.append(line)


@perVersion()
class UpgradeTests(StreamMixin):
    """
    Tests for streams on a transport that has been in use.
    """

    def upgraded(
        self, leaveInnerStreamOpen: bool = False, **server: Any
    ) -> tuple[Wire, Upgrading, Upgrading]:
        """
        A client and a server that have gone over to TLS.
        """
        wire = Wire(self.segment)
        client = Upgrading(wire.clock, clientOptions(self.version), leaveInnerStreamOpen)
        options = serverOptions(self.version, **server)
        both = client, Upgrading(wire.clock, options, leaveInnerStreamOpen)
        wire.connect(*both)
        client.transport.write(b"STARTTLS\n")
        wire.flush()
        return wire, *both

    def test_inMidLife(self) -> None:
        """
        A stream made while its transport delivers gets all that comes from then
        on; the former protocols get none of it and hear of the end.
        """
        wire, client, server = self.upgraded()
        for one, other in ((client, server), (server, client)):
            self.successResultOf(one.authenticated)
            self.successResultOf(one.stream.write(b"message"))
            wire.flush()
            self.assertEqual(self.successResultOf(other.stream.readExactly(7)), b"message")
        closing = [client.stream.close(), server.stream.close()]
        wire.flush()
        for each, closed in zip((client, server), closing, strict=True):
            self.successResultOf(closed)
            assert each.lost is not None
            self.assertTrue(each.lost.check(ConnectionDone))
        self.assertEqual((client.received, server.received), (b"OK\n", b"STARTTLS\n"))
        self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_leftOpen(self) -> None:
        """
        A transport that is to be left open goes on in the clear, with what
        comes right behind C{close_notify}, and can go over to TLS again.
        """
        wire, client, server = self.upgraded(leaveInnerStreamOpen=True)
        client.stream.close()
        wire.flush()
        client.received = b""
        server.stream.close().addCallback(lambda _: server.transport.write(b"in the clear"))
        wire.flush()
        self.assertEqual(client.received, b"in the clear")
        before = client.stream, server.stream
        client.received = server.received = b""
        client.transport.write(b"STARTTLS\n")
        wire.flush()
        for each, former in zip((client, server), before, strict=True):
            self.assertIsNot(each.stream, former)
            self.assertIs(self.successResultOf(each.authenticated), each.stream)
            self.assertIsNone(each.lost)
        self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_leftOpenByOne(self) -> None:
        """
        A transport that is to be left open is given back after
        C{shutdownTimeout} if the peer does not answer C{close_notify}.
        """
        wire, client, _ = self.upgraded(leaveInnerStreamOpen=True)
        closing = client.stream.close()
        wire.flush()
        wire.clock.advance(4.9)
        self.assertNoResult(closing)
        wire.clock.advance(0.1)
        wire.clock.advance(0)
        self.successResultOf(closing)
        self.assertIs(wire.client.protocol, client)
        self.assertIsNone(client.lost)

    def test_leftOpenAborted(self) -> None:
        """
        A transport that is to be left open is given back, and nothing more
        written to it, when the stream is aborted in the middle of a write.
        """
        for isClosing in (False, True):
            wire, client, _ = self.upgraded(leaveInnerStreamOpen=True)
            wire.server.isPaused = True
            writing = client.stream.write(bytes(1 << 20))
            before = len(wire.client.everWritten)
            if isClosing:
                client.stream.close()
            client.stream.abort()
            wire.clock.advance(0)
            self.failure(writing, StreamClosedError)
            self.successResultOf(client.stream.whenClosed())
            self.assertIs(wire.client.protocol, client)
            self.assertIsNone(wire.client.producer)
            self.assertEqual(len(wire.client.everWritten), before)

    def test_leftOpenRefused(self) -> None:
        """
        A transport that is to be left open is given back on both sides when the
        authentication fails, the alert having been sent.
        """
        wire, client, server = self.upgraded(
            leaveInnerStreamOpen=True, serverCertificate=AUTHORITY.issue("elsewhere.example")
        )
        error = self.failure(client.authenticated, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNameMismatch)
        self.assertIs(error.alertSent, TlsAlert.bad_certificate)
        error = self.failure(server.authenticated, AuthenticationError)
        self.assertIs(error.alert, TlsAlert.bad_certificate)
        for each, transport in ((client, wire.client), (server, wire.server)):
            self.assertIs(transport.protocol, each)
            self.assertIsNone(each.lost)
        self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_injected(self) -> None:
        """
        What somebody has put behind the command in the clear fails the
        handshake, if the protocol hands over what it has got: it reaches neither
        the protocol nor whoever reads the stream.
        """
        for behind in (b"EVIL\r\n", b"EVIL"):
            wire = Wire(self.segment)
            server = UpgradingLines(wire.clock, serverOptions(self.version))
            wire.connect(Bystander(), server)
            wire.client.write(b"STARTTLS\r\n" + behind)
            wire.flush()
            if wire.server.connected:
                # It may be the beginning of a record as yet.
                wire.clock.advance(30)
                wire.flush()
            self.failureResultOf(server.authenticated, AuthenticationError)
            self.assertEqual(server.lines, [])

    def test_impatientClient(self) -> None:
        """
        A hello that came together with the command is heard.
        """
        wire = Wire(self.segment)
        server = UpgradingLines(wire.clock, serverOptions(self.version))
        wire.connect(Bystander(), server)
        wire.client.write(b"STARTTLS\r\n")
        client = SslStream(wire.client, clock=wire.clock)
        authenticated = client.authenticateAsClient(clientOptions(self.version))
        wire.flush()
        self.successResultOf(authenticated)
        accepted = self.successResultOf(server.authenticated)
        client.write(b"message")
        wire.flush()
        self.assertEqual(self.successResultOf(accepted.read()), b"message")
        client.abort()

    def test_wrongReceived(self) -> None:
        """
        What is no bytes was not received: nothing is taken over then.
        """
        wire = Wire()
        former = Bystander()
        wire.connect(former, Bystander())
        wrong: Any
        for wrong in ("text", 5, None):
            self.assertRaises(TypeError, SslStream, wire.client, received=wrong)
        self.assertIs(wire.client.protocol, former)

    def test_lateServer(self) -> None:
        """
        A stream keeps what comes until it is authenticated.
        """
        pair = StreamPair(self.segment)
        client = pair.client.authenticateAsClient(clientOptions(self.version))
        pair.wire.flush()
        server = pair.server.authenticateAsServer(serverOptions(self.version))
        pair.wire.flush()
        self.successResultOf(client)
        self.successResultOf(server)


class NestedMixin(StreamMixin):
    """
    For tests of streams on streams.
    """

    def nested(self, opened: Opened, leaveInnerStreamOpen: bool = False) -> Opened:
        """
        An authenticated pair of streams over another.
        """
        pair = opened.pair
        pair.client, pair.server = (
            SslStream(outer, leaveInnerStreamOpen) for outer in (pair.client, pair.server)
        )
        for authenticated in pair.authenticate(self.version):
            self.successResultOf(authenticated)
        ours, theirs = pair.client, pair.server
        if opened.ours.isServer:
            ours, theirs = theirs, ours
        return opened._replace(ours=ours, theirs=theirs)


@perVersion()
class NestedTests(NestedMixin):
    """
    Tests for streams on streams.
    """

    def test_closing(self) -> None:
        """
        Closing the inner streams closes the outer ones and the transports, all
        in order.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer)
            self.successResultOf(inner.ours.write(b"message"))
            closing = inner.ours.close()
            outer.pair.wire.flush()
            self.assertEqual(self.successResultOf(inner.theirs.read()), b"message")
            self.assertEqual(self.successResultOf(inner.theirs.read()), b"")
            self.assertNoResult(closing)
            inner.theirs.close()
            outer.pair.wire.flush()
            self.successResultOf(closing)
            for stream in (inner.ours, inner.theirs, outer.ours, outer.theirs):
                self.successResultOf(stream.whenClosed())
            for stream in (outer.ours, outer.theirs):
                self.assertEqual(self.successResultOf(stream.read()), b"")
            assert outer.ourOriginal.lost is not None
            self.assertTrue(outer.ourOriginal.lost.check(ConnectionDone))

    def test_bothShutDown(self) -> None:
        """
        When both inner streams are shut down everything is closed.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer)
            for one, other in ((inner.ours, inner.theirs), (inner.theirs, inner.ours)):
                self.successResultOf(one.shutdown())
                outer.pair.wire.flush()
                self.assertEqual(self.successResultOf(other.read()), b"")
            for stream in (inner.ours, inner.theirs, outer.ours, outer.theirs):
                self.successResultOf(stream.whenClosed())

    def test_truncated(self) -> None:
        """
        When the transport is lost the inner stream is truncated, and so is the
        outer one, whatever was not read being read first.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer)
            self.successResultOf(inner.theirs.write(b"message"))
            outer.pair.wire.flush()
            outer.pair.wire.cut()
            self.assertEqual(self.successResultOf(inner.ours.read()), b"message")
            self.failure(inner.ours.read(), TruncationError)
            self.failure(outer.ours.read(), TruncationError)

    def test_outerEnds(self) -> None:
        """
        When the peer closes the outer stream in good order without closing the
        inner one, the inner one is truncated.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer)
            reading = inner.ours.read()
            outer.theirs.close()
            outer.pair.wire.flush()
            self.failure(reading, TruncationError)

    def test_outerClosed(self) -> None:
        """
        Closing or aborting an outer stream below the inner one truncates the
        inner streams on both sides, also where it was to be left open.
        """
        for end in (SslStream.close, SslStream.abort):
            for isLeftOpen in (False, True):
                for outer in self.bothRoles():
                    inner = self.nested(outer, isLeftOpen)
                    reading = [inner.ours.read(), inner.theirs.read()]
                    end(outer.ours)
                    outer.flush()
                    for each in reading:
                        self.failure(each, TruncationError)
                    for stream in (inner.ours, inner.theirs, outer.ours, outer.theirs):
                        self.successResultOf(stream.whenClosed())

    def test_closedTogether(self) -> None:
        """
        Closing the inner stream and, at once, the outer one that was to be left
        open ends everything.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer, leaveInnerStreamOpen=True)
            inner.theirs.shutdown()
            outer.flush()
            inner.ours.close()
            outer.ours.close()
            outer.theirs.close()
            outer.flush()
            for stream in (inner.ours, inner.theirs, outer.ours, outer.theirs):
                self.successResultOf(stream.whenClosed())
            self.assertFalse(outer.ourTransport.connected)

    def test_unread(self) -> None:
        """
        What the outer stream has received before the inner one is made reaches
        that.
        """
        outer = self.opened()
        client = SslStream(outer.ours)
        authenticated = client.authenticateAsClient(clientOptions(self.version))
        outer.pair.wire.flush()
        server = SslStream(outer.theirs)
        accepted = server.authenticateAsServer(serverOptions(self.version))
        outer.pair.wire.flush()
        self.assertIs(self.successResultOf(authenticated), client)
        self.assertIs(self.successResultOf(accepted), server)

    def test_lent(self) -> None:
        """
        While a stream is another's transport, nothing else can be done with it.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer)
            stream = outer.ours
            for deferred in (
                stream.read(),
                stream.readExactly(1),
                stream.readUntil(b"x"),
                stream.write(b"x"),
                stream.flush(),
                stream.shutdown(),
                stream.authenticateAsServer(serverOptions()),
            ):
                self.failure(deferred, InvalidOperationError)
            self.assertRaises(InvalidOperationError, SslStream, stream)
            self.successResultOf(inner.ours.write(b"message"))
            outer.pair.wire.flush()
            self.assertEqual(self.successResultOf(inner.theirs.read()), b"message")

    def test_leftOpen(self) -> None:
        """
        An outer stream that is to be left open is used again once the inner one
        has ended, and held back as before.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer, leaveInnerStreamOpen=True)
            inner.ours.close()
            outer.pair.wire.flush()
            closing = inner.theirs.close()
            outer.pair.wire.flush()
            self.successResultOf(closing)
            for one, other in ((outer.ours, outer.theirs), (outer.theirs, outer.ours)):
                self.successResultOf(one.write(b"message"))
                outer.pair.wire.flush()
                self.assertEqual(self.successResultOf(other.read()), b"message")
            outer.theirTransport.isPaused = True
            writing = outer.ours.write(bytes(1 << 17))
            self.assertNoResult(writing)
            writing.addErrback(lambda _: None)
            outer.ours.abort()

    def test_leftOpenHeldBack(self) -> None:
        """
        An outer stream that was held back when it was lent is not any more when
        it is used again.
        """
        for outer in self.bothRoles():
            outer.theirTransport.isPaused = True
            writing = outer.ours.write(bytes(1 << 16))
            writing.cancel()
            self.failure(writing, CancelledError)
            outer.theirTransport.isPaused = False
            outer.pair.wire.segment = 0
            reading = outer.theirs.readExactly(1 << 16)
            inner = SslStream(outer.ours, leaveInnerStreamOpen=True)
            outer.flush()
            self.successResultOf(reading)
            inner.close()
            outer.flush()
            self.assertUsable(outer)

    def test_notNow(self) -> None:
        """
        A stream on which one could not read and write at the moment cannot be
        another's transport, and is unharmed.
        """
        for outer in self.bothRoles():
            reading = outer.ours.read()
            self.assertRaises(NotSupportedError, SslStream, outer.ours)
            outer.theirs.write(b"message")
            outer.pair.wire.flush()
            self.assertEqual(self.successResultOf(reading), b"message")
            outer.theirTransport.isPaused = True
            writing = outer.ours.write(bytes(1000))
            if writing.called:
                writing = outer.ours.write(bytes(1 << 17))
            self.assertRaises(NotSupportedError, SslStream, outer.ours)
            outer.theirTransport.isPaused = False
            outer.pair.wire.segment = 0
            reading = outer.theirs.readExactly(1000 + (1 << 17))
            outer.pair.wire.flush()
            self.successResultOf(writing)
            self.successResultOf(reading)

    def test_notAnyMore(self) -> None:
        """
        A stream of which a side has ended, or that is closed or lost, cannot be
        another's transport.
        """
        for outer in self.bothRoles():
            outer.ours.shutdown()
            self.assertRaises(InvalidOperationError, SslStream, outer.ours)
            outer.pair.wire.flush()
            self.assertRaises(InvalidOperationError, SslStream, outer.theirs)
            outer.pair.wire.cut()
            self.assertRaises(TruncationError, SslStream, outer.ours)
            outer.ours.close()
            self.assertRaises(StreamClosedError, SslStream, outer.ours)

    def test_neverAuthenticated(self) -> None:
        """
        A stream that is not authenticated cannot be another's transport, and
        repeats the error if that has failed.
        """
        pair = StreamPair()
        self.assertRaises(InvalidOperationError, SslStream, pair.client)
        both = pair.authenticate(self.version, client={"targetHost": "elsewhere"})
        for stream, authenticated in zip((pair.client, pair.server), both, strict=True):
            error = self.failure(authenticated, AuthenticationError)
            raised = self.assertRaises(AuthenticationError, SslStream, stream)
            self.assertEqual((str(raised), vars(raised)), (str(error), vars(error)))


@perVersion(segments=(0,))
class NestedTransferTests(NestedMixin):
    """
    Tests for much data in streams on streams.
    """

    def test_bothWays(self) -> None:
        """
        1 MiB goes each way at once.
        """
        outer = self.opened()
        inner = self.nested(outer)
        data = bytes(range(256)) * 4096
        reading = [stream.readExactly(len(data)) for stream in (inner.ours, inner.theirs)]
        writing = [stream.write(data) for stream in (inner.ours, inner.theirs)]
        outer.pair.wire.flush()
        for written in writing:
            self.successResultOf(written)
        for read in reading:
            self.assertEqual(self.successResultOf(read), data)

    def test_slowPeer(self) -> None:
        """
        A peer that does not read the inner stream holds back the write to the
        other one, with bounded buffers, until it does.
        """
        for outer in self.bothRoles():
            inner = self.nested(outer)
            writing = inner.ours.write(bytes(1 << 20))
            outer.pair.wire.flush()
            self.assertNoResult(writing)
            self.assertTrue(outer.theirTransport.isPaused)
            self.assertLess(len(outer.ourTransport.written), 1 << 18)
            self.assertLess(len(inner.theirs._reader._buffer), 1 << 18)
            reading = inner.theirs.readExactly(1 << 20)
            outer.pair.wire.flush()
            self.successResultOf(writing)
            self.successResultOf(reading)
