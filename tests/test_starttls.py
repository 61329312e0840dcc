"""
Tests for L{txsslstream.starttls}: TLS that begins in the middle of a protocol's
conversation.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import ProcessEndpoint
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHandshakeListener,
    ISSLTransport,
    IStreamClientEndpoint,
    ITLSTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.mail import imap4, smtp
from twisted.mail.pop3 import AdvancedPOP3Client as POP3Client
from twisted.protocols.basic import LineOnlyReceiver, LineReceiver
from twisted.protocols.policies import TimeoutFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from tests.garbage import withoutCollector
from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    ISslStream,
    SslProtocols,
    SslStream,
    SslStreamFactory,
    SslStreamProtocol,
    StartTLSFactory,
    startTLS,
)
from txsslstream.testing import Bystander, MemoryTransport, Wire, failureOf, perVersion

from .processes import Spawner
from .support import clientOptions, serverOptions

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


class _Talking(Protocol):
    """
    What both kinds of line protocols do.

    @ivar events: what has happened, in order: lines, and whatever else.
    @ivar reason: why the connection ended.
    @ivar onSTARTTLS: called when it is time to start TLS.
    """

    transport: Any
    delimiter: bytes

    def __init__(self, onSTARTTLS: Callable[[Any], object]) -> None:
        self.events: list[str] = []
        self.reason: BaseException | None = None
        self.onSTARTTLS = onSTARTTLS

    def connectionMade(self) -> None:
        self.events.append("made")

    def lineReceived(self, line: bytes) -> None:
        """
        Go over to TLS when it is time, else write it down.
        """
        if line == b"STARTTLS":
            self.say(b"OK")
        if line in (b"STARTTLS", b"OK"):
            self.onSTARTTLS(self)
        else:
            self.events.append(line.decode())

    def handshakeCompleted(self) -> None:
        self.events.append("handshake")

    def say(self, line: bytes) -> None:
        """
        Send a line.
        """
        self.transport.write(line + self.delimiter)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append("lost")
        self.reason = reason.value


@implementer(IHandshakeListener)
class Talker(_Talking, LineReceiver):
    """
    One that can be kept from reading on.
    """


class Reader(_Talking, LineOnlyReceiver):
    """
    One that cannot.
    """


class Ready(Factory):
    """
    Has one protocol ready, which keeps its own factory.
    """

    noisy = False

    def __init__(self, made: Any) -> None:
        self._made = made

    def buildProtocol(self, addr: object) -> Any:
        return self._made


class StartTLSMixin(_Mixin):
    """
    For test cases made by L{perVersion}.
    """

    version: SslProtocols
    segment: int

    failure = staticmethod(failureOf)


class Conversation:
    """
    A client and a server that are about to start TLS.

    @ivar authenticated: what C{startTLS} returned on either side.
    """

    def __init__(self, test: StartTLSMixin, client: dict[str, Any], server: dict[str, Any]) -> None:
        self.wire = Wire(test.segment)
        self.clock = self.wire.clock
        self.authenticated: dict[str, Deferred[SslStreamProtocol]] = {}
        self.client: Any = Talker(self.starter("client", clientOptions(test.version, **client)))
        self.server: Any = Talker(self.starter("server", serverOptions(test.version, **server)))

    def starter(self, name: str, options: Any) -> Callable[[Any], None]:
        """
        What starts TLS for a protocol.
        """

        def start(protocol: Any) -> None:
            self.authenticated[name] = startTLS(protocol, options, clock=self.clock)

        return start

    def begin(self) -> None:
        """
        Connect, and have the client ask for TLS.
        """
        self.wire.connect(self.client, self.server)
        self.client.say(b"hello")
        self.client.say(b"STARTTLS")
        self.wire.flush()


@perVersion()
class FunctionTests(StartTLSMixin):
    """
    Tests for L{startTLS}.
    """

    def begun(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> Conversation:
        """
        Both have started TLS.
        """
        conversation = Conversation(self, client or {}, server or {})
        conversation.begin()
        return conversation

    def assertTalking(self, talk: Conversation) -> None:
        """
        The conversation goes on in TLS, in both directions.
        """
        before = len(talk.wire.client.everWritten), len(talk.wire.server.everWritten)
        talk.client.say(b"from the client")
        talk.server.say(b"from the server")
        talk.wire.flush()
        self.assertEqual(talk.server.events[-1], "from the client")
        self.assertEqual(talk.client.events[-1], "from the server")
        for transport, start in zip((talk.wire.client, talk.wire.server), before, strict=True):
            self.assertGreater(len(transport.everWritten), start)
            self.assertNotIn(b"from the", transport.everWritten)

    def test_conversation(self) -> None:
        """
        The protocols go on in TLS, with transports that are inspectable and can
        do all that ours can; they are not connected again.
        """
        talk = self.begun()
        for name, protocol in (("client", talk.client), ("server", talk.server)):
            transport: Any = self.successResultOf(talk.authenticated[name])
            self.assertIs(protocol.transport, transport)
            verifyObject(ISslStream, transport)
            self.assertIs(transport.sslProtocol, self.version)
            self.assertIs(transport.isServer, name == "server")
            self.assertEqual(protocol.events.count("made"), 1)
            self.assertEqual(protocol.events[-1], "handshake")
        self.assertTalking(talk)
        talk.client.transport.loseConnection()
        talk.wire.flush()
        for protocol in (talk.client, talk.server):
            self.assertEqual(protocol.events.count("made"), 1)
            self.assertEqual(protocol.events.count("lost"), 1)
            self.assertIsInstance(protocol.reason, ConnectionDone)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_queued(self) -> None:
        """
        What is written before the peer is authenticated arrives then, in order,
        and not in the clear.
        """
        talk = Conversation(self, {}, {})
        start = talk.client.onSTARTTLS

        def startAndWrite(protocol: Any) -> None:
            start(protocol)
            for line in (b"one", b"two"):
                protocol.say(line)

        talk.client.onSTARTTLS = startAndWrite
        talk.begin()
        self.assertEqual(talk.server.events[-3:], ["handshake", "one", "two"])
        self.assertNotIn(b"two", talk.wire.client.everWritten)

    def test_queuedFirst(self) -> None:
        """
        Nothing overtakes it: neither what is not to wait, nor what is too much
        to be gathered.
        """
        many = [b"%05d" % number for number in range(10_000)]
        for how, lines in (("writeNow", [b"last"]), ("write", many)):
            talk = Conversation(self, {}, {})
            start = talk.client.onSTARTTLS

            def startAndWrite(protocol: Any, start: Callable[[Any], None] = start) -> None:
                start(protocol)
                protocol.say(b"first")

            def goOn(talk: Any = talk, how: str = how, lines: list[bytes] = lines) -> None:
                getattr(talk.client.transport, how)(b"".join(line + b"\r\n" for line in lines))

            talk.client.onSTARTTLS = startAndWrite
            talk.client.handshakeCompleted = goOn
            talk.begin()
            self.assertEqual(
                talk.server.events[-len(lines) - 1 :],
                ["first", *(line.decode() for line in lines)],
            )

    def test_queuedThenClosed(self) -> None:
        """
        Nor does the end, whether all or the writing side alone is closed.
        """
        for how in ("loseConnection", "loseWriteConnection"):
            talk = Conversation(self, {}, {})
            start = talk.client.onSTARTTLS

            def startAndWrite(protocol: Any, start: Callable[[Any], None] = start) -> None:
                start(protocol)
                protocol.say(b"first")

            def close(talk: Any = talk, how: str = how) -> None:
                getattr(talk.client.transport, how)()

            talk.client.onSTARTTLS = startAndWrite
            talk.client.handshakeCompleted = close
            talk.begin()
            self.assertEqual(talk.server.events[-2:], ["first", "lost"])
            self.assertIsInstance(talk.server.reason, ConnectionDone)
            self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """
        If the authentication fails, the Deferred does, the connection is closed
        and the protocol hears once of the same error.
        """
        talk = self.begun(client={"targetHost": "elsewhere.example"})
        for name, protocol in (("client", talk.client), ("server", talk.server)):
            error = self.failure(talk.authenticated[name], AuthenticationError)
            self.assertIs(protocol.reason, error)
            self.assertEqual(protocol.events.count("lost"), 1)
            self.assertNotIn("handshake", protocol.events)
        self.assertFalse(talk.wire.client.connected)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """
        A connection that is lost meanwhile has interrupted the handshake.
        """
        talk = Conversation(self, {}, {})
        talk.wire.connect(talk.client, talk.server)
        talk.server.lineReceived(b"STARTTLS")
        talk.wire.cut()
        error = self.failure(talk.authenticated["server"], HandshakeInterrupted)
        self.assertIs(talk.server.reason, error)
        self.assertEqual(talk.server.events, ["made", "lost"])

    def test_timeout(self) -> None:
        """
        The handshake takes as long as the options allow.
        """
        talk = Conversation(self, {}, {"handshakeTimeout": 3})
        talk.wire.connect(Bystander(), talk.server)
        talk.server.lineReceived(b"STARTTLS")
        talk.clock.advance(2.9)
        self.assertNoResult(talk.authenticated["server"])
        talk.clock.advance(0.1)
        error = self.failure(talk.authenticated["server"], HandshakeTimeout)
        talk.wire.flush()
        self.assertIs(talk.server.reason, error)

    def test_cancelled(self) -> None:
        """
        Cancelled, the authentication is given up and the connection closed.
        """
        talk = Conversation(self, {}, {})
        talk.wire.connect(Bystander(), talk.server)
        talk.server.lineReceived(b"STARTTLS")
        talk.authenticated["server"].cancel()
        error = self.failure(talk.authenticated["server"], HandshakeCancelled)
        talk.wire.flush()
        self.assertIs(talk.server.reason, error)
        self.assertFalse(talk.wire.server.connected)

    def test_cancelledTooLate(self) -> None:
        """
        Cancelled from within C{handshakeCompleted}, the connection is given up,
        and nobody complains.
        """
        talk = Conversation(self, {}, {})
        alsoProvides(talk.client, IHandshakeListener)
        talk.client.handshakeCompleted = lambda: talk.authenticated["client"].cancel()
        talk.begin()
        self.failure(talk.authenticated["client"], CancelledError)
        # In TLS 1.3 it does not know yet.
        talk.authenticated["server"].addErrback(lambda _: None)
        self.assertIsInstance(talk.client.reason, ConnectionAborted)
        self.assertFalse(talk.wire.client.connected)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_injectedCommand(self) -> None:
        """
        What somebody has put behind the command in the clear never reaches the
        protocol: it fails the handshake, be it whole lines or not, together
        with the command or a little later.
        """
        for behind in (b"EVIL\r\n", b"EVIL", b"EVIL\r\nEVIL"):
            talk = Conversation(self, {}, {})
            talk.wire.connect(talk.client, talk.server)
            talk.wire.client.write(b"STARTTLS\r\n" + behind)
            talk.wire.client.protocol = Bystander()
            talk.wire.flush()
            if talk.wire.server.connected:
                # It may be the beginning of a record as yet.
                talk.clock.advance(30)
                talk.wire.flush()
            self.failureResultOf(talk.authenticated["server"], AuthenticationError)
            self.assertEqual(talk.server.events, ["made", "lost"])
            self.assertNotIn(b"EVIL", talk.server.clearLineBuffer())

    def test_injectedResponse(self) -> None:
        """
        The same holds for what is behind the response that a client waits for.
        """
        talk = Conversation(self, {}, {})
        talk.wire.connect(talk.client, talk.server)
        talk.wire.server.write(b"OK\r\nEVIL RESPONSE\r\n")
        talk.wire.server.protocol = Bystander()
        talk.wire.flush()
        self.failureResultOf(talk.authenticated["client"], AuthenticationError)
        self.assertEqual(talk.client.events, ["made", "lost"])

    def test_impatientClient(self) -> None:
        """
        A client that sends its hello right behind the command is understood.
        """
        talk = Conversation(self, {}, {})
        talk.wire.connect(talk.client, talk.server)
        talk.server.say = lambda _: None
        talk.client.say(b"STARTTLS")
        talk.client.onSTARTTLS(talk.client)
        talk.wire.flush()
        for each in talk.authenticated.values():
            self.successResultOf(each)
        del talk.server.say
        self.assertTalking(talk)

    def test_received(self) -> None:
        """
        A protocol with a buffer of its own hands over what is in it.
        """

        class Raw(Protocol):
            authenticated: Deferred[SslStreamProtocol]
            received = b""

            def dataReceived(self, data: bytes) -> None:
                self.received += data
                _, end, rest = self.received.partition(b"!")
                if end and not hasattr(self, "authenticated"):
                    self.received = b""
                    self.authenticated = startTLS(
                        self, serverOptions(), received=rest, clock=wire.clock
                    )

        wire = Wire(self.segment)
        raw = Raw()
        former = Bystander()
        wire.connect(former, raw)
        wire.client.write(b"TLS!")
        client = SslStream(wire.client, clock=wire.clock)
        authenticated = client.authenticateAsClient(clientOptions(self.version))
        wire.flush()
        self.successResultOf(authenticated)
        self.successResultOf(raw.authenticated)
        client.write(b"message")
        wire.flush()
        self.assertEqual(raw.received, b"message")
        client.abort()

    def test_throughWrappers(self) -> None:
        """
        It works above wrappers, which still see what is below, in TLS.
        """
        talk = Conversation(self, {}, {})
        below: Any = TimeoutFactory(Ready(talk.server), 100)
        below.callLater = talk.clock.callLater
        wrapper = below.buildProtocol(None)
        talk.wire.connect(talk.client, wrapper)
        talk.client.say(b"STARTTLS")
        talk.wire.flush()
        transport: Any = self.successResultOf(talk.authenticated["server"])
        self.assertIs(transport.transport, wrapper)
        self.assertTalking(talk)
        talk.clock.advance(99)
        talk.client.say(b"still there")
        talk.wire.flush()
        talk.clock.advance(99)
        talk.wire.flush()
        self.assertTrue(talk.wire.server.connected)
        talk.client.transport.abortConnection()
        talk.wire.flush()
        self.assertEqual(talk.server.events.count("lost"), 1)

    def test_throughEndpoint(self) -> None:
        """
        It works for a client's protocol behind the one that an endpoint puts in
        between.
        """
        from twisted.internet.endpoints import _WrappingProtocol

        talk = Conversation(self, {}, {})
        between = _WrappingProtocol(Deferred(), talk.client)
        talk.wire.connect(between, talk.server)
        talk.client.say(b"STARTTLS")
        talk.wire.flush()
        transport = self.successResultOf(talk.authenticated["client"])
        self.assertIs(talk.client.transport, transport)
        self.assertIs(between.transport, transport)
        self.assertEqual(talk.client.events, ["made", "handshake"])
        self.assertTalking(talk)

    def test_inTLS(self) -> None:
        """
        In TLS already, it puts TLS in TLS.
        """
        talk = Conversation(self, {}, {})
        sides = (
            (clientOptions(self.version), True, talk.client),
            (serverOptions(self.version), False, talk.server),
        )
        outer: list[Any] = [
            SslStreamFactory(options, isClient, Ready(protocol), talk.clock).buildProtocol(None)
            for options, isClient, protocol in sides
        ]
        talk.wire.connect(*outer)
        talk.wire.flush()
        talk.client.say(b"STARTTLS")
        talk.wire.flush()
        for name, below in zip(("client", "server"), outer, strict=True):
            transport: Any = self.successResultOf(talk.authenticated[name])
            self.assertIs(transport.transport, below)
        self.assertTalking(talk)
        for protocol in outer:
            self.assertRaises(InvalidOperationError, protocol.startTLS, serverOptions())
        self.assertTalking(talk)
        talk.client.transport.loseConnection()
        talk.wire.flush()
        self.assertFalse(talk.wire.client.connected)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_process(self) -> None:
        """
        It works with a process, whose protocol hears once of the end.
        """
        talk = Conversation(self, {}, {})
        spawner = Spawner(talk.clock, talk.wire.client)
        endpoint: Any = ProcessEndpoint(spawner, "/bin/program")
        talk.wire.server.protocol = talk.server
        talk.server.makeConnection(talk.wire.server)
        self.successResultOf(endpoint.connect(Ready(talk.client)))
        self.assertTrue(IStreamClientEndpoint.providedBy(endpoint))
        talk.client.say(b"STARTTLS")
        talk.wire.flush()
        for each in talk.authenticated.values():
            self.successResultOf(each)
        self.assertTalking(talk)
        talk.wire.cut()
        self.assertEqual(talk.client.events.count("lost"), 1)

    def test_nothingLeft(self) -> None:
        """
        Nothing is left of it once the connection is gone, without the help of
        the garbage collector, whether the peer was authenticated or not.
        """
        references: list[weakref.ref[Any]] = []

        def live(targetHost: str) -> None:
            talk = self.begun(client={"targetHost": targetHost})
            for each in talk.authenticated.values():
                each.addErrback(lambda _: None)
            for protocol in (talk.client, talk.server):
                references.extend(map(weakref.ref, (protocol, protocol.transport)))
            talk.client.transport.loseConnection()
            talk.wire.flush()
            # A lost transport in memory keeps its protocol.
            talk.wire.client.protocol = talk.wire.server.protocol = None
            talk.authenticated.clear()
            for protocol in (talk.client, talk.server):
                protocol.onSTARTTLS = None
                protocol.reason = None

        withoutCollector(self)
        for targetHost in ("localhost", "elsewhere"):
            live(targetHost)
        alive = [each() for each in references if each() is not None]
        self.assertEqual(alive, [])
        self.assertEqual(len(references), 8)


class RefusalTests(SynchronousTestCase):
    """
    Tests for what L{startTLS} refuses.
    """

    def setUp(self) -> None:
        """
        A connected protocol.
        """
        self.transport = MemoryTransport("ours")
        self.protocol = Talker(print)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def assertRefused(self, kind: type[Exception], said: str, protocol: Any = None) -> None:
        """
        It is refused, and everything is as before.
        """
        protocol = protocol or self.protocol
        before = protocol.transport, self.transport.protocol
        error = self.assertRaises(kind, startTLS, protocol, serverOptions(), clock=Clock())
        self.assertIn(said, str(error))
        self.assertEqual((protocol.transport, self.transport.protocol), before)
        self.assertEqual(self.transport.everWritten, b"")

    def test_options(self) -> None:
        """
        Options that are not ours are refused, Twisted's, too.
        """
        wrong: Any
        for wrong in (CertificateOptions(), None, "options"):
            error = self.assertRaises(TypeError, startTLS, self.protocol, wrong)
            self.assertIn(type(wrong).__name__, str(error))
        self.assertIs(self.transport.protocol, self.protocol)

    def test_notConnected(self) -> None:
        """
        A protocol without a transport is refused.
        """
        self.assertRefused(TypeError, "not a connected transport: None", Talker(print))
        wrong: Any = "text"
        self.assertRaises(TypeError, startTLS, self.protocol, serverOptions(), received=wrong)
        self.assertRaises(TypeError, startTLS, object(), serverOptions())

    def test_producer(self) -> None:
        """
        A transport with a producer is refused.
        """
        self.transport.registerProducer(object(), True)
        self.assertRefused(InvalidOperationError, "unregister it first")

    def test_stream(self) -> None:
        """
        A transport that a stream has is refused.
        """
        SslStream(self.transport, clock=Clock())
        self.assertRefused(InvalidOperationError, "another stream has the transport")

    def test_ownStartTLS(self) -> None:
        """
        A transport that starts TLS itself is refused until it has done so.
        """
        wrapper = StartTLSFactory(Ready(self.protocol), clock=Clock()).buildProtocol(None)
        wrapper.makeConnection(self.transport)
        self.transport.protocol = wrapper
        self.assertRefused(InvalidOperationError, "call its own startTLS")
        wrapper.startTLS(serverOptions())
        startTLS(self.protocol, serverOptions(), clock=Clock()).addErrback(lambda _: None)
        self.assertIs(self.protocol.transport.transport, wrapper.transport)
        wrapper.abortConnection()

    def test_readsOn(self) -> None:
        """
        A protocol that cannot be kept from reading the lines behind the command
        is refused, and told what to do.
        """
        reader = Reader(print)
        reader.makeConnection(self.transport)
        self.transport.protocol = reader
        self.assertRefused(InvalidOperationError, "use StartTLSFactory", reader)


class Pieces(Protocol):
    """
    Writes down the pieces that it gets, and reacts to some.

    @ivar reactions: what to do at which piece.
    """

    transport: Any

    def __init__(self, **reactions: Callable[[Pieces], object]) -> None:
        self.pieces: list[bytes] = []
        self.reactions = reactions
        self.reason: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        reaction = self.reactions.get(data.strip().decode())
        if reaction is not None:
            reaction(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value


class PlainTests(SynchronousTestCase):
    """
    Tests for the transports of L{StartTLSFactory} before TLS has begun.
    """

    def connected(
        self, lineEnd: bytes = b"\n", **reactions: Callable[[Pieces], object]
    ) -> tuple[Pieces, MemoryTransport]:
        """
        A protocol on such a transport, and what is below.
        """
        transport = MemoryTransport("ours")
        pieces = Pieces(**reactions)
        self.factory = StartTLSFactory(Ready(pieces), lineEnd=lineEnd, clock=Clock())
        protocol = self.factory.buildProtocol(None)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return pieces, transport

    def test_lines(self) -> None:
        """
        A protocol gets the end of one line at a time, and everything in the
        end.
        """
        pieces, transport = self.connected()
        for data in (b"a\r\nb\r\nc", b"d", b"\n\ne\n"):
            transport.protocol.dataReceived(data)
        self.assertEqual(pieces.pieces, [b"a\r\n", b"b\r\n", b"c", b"d", b"\n", b"\n", b"e\n"])

    def test_lineEnd(self) -> None:
        """
        Whatever ends a command may end a piece.
        """
        pieces, transport = self.connected(b">")
        transport.protocol.dataReceived(b"<stream><starttls/><evil>\n<")
        self.assertEqual(pieces.pieces, [b"<stream>", b"<starttls/>", b"<evil>", b"\n<"])
        for wrong in (b"", b"\r\n"):
            self.assertRaises(ValueError, StartTLSFactory, Factory(), lineEnd=wrong)

    def test_writing(self) -> None:
        """
        What is written goes out in the clear.
        """
        pieces, transport = self.connected()
        pieces.transport.write(b"a")
        pieces.transport.writeSequence([b"b", b"c"])
        self.assertEqual(transport.written, b"abc")
        self.assertEqual(pieces.transport.getPeer(), transport.getPeer())

    def test_interfaces(self) -> None:
        """
        The transport says that TLS may be started, besides all that it says
        anyway.
        """
        pieces, _ = self.connected()
        self.assertTrue(ITLSTransport.providedBy(pieces.transport))
        self.assertFalse(ISSLTransport.providedBy(pieces.transport))
        self.assertFalse(ISslStream.providedBy(pieces.transport))

    def test_paused(self) -> None:
        """
        A paused protocol gets nothing, not even what has come already, until it
        resumes; then all, in order.
        """
        pieces, transport = self.connected(stop=lambda each: each.transport.pauseProducing())
        transport.protocol.dataReceived(b"stop\na\nb\n")
        self.assertTrue(transport.isPaused)
        self.assertEqual(pieces.pieces, [b"stop\n"])
        transport.protocol.dataReceived(b"c\n")
        pieces.transport.resumeProducing()
        self.assertFalse(transport.isPaused)
        self.assertEqual(pieces.pieces, [b"stop\n", b"a\n", b"b\n", b"c\n"])

    def test_resumedAtOnce(self) -> None:
        """
        Resuming while something is delivered does not deliver inside of that.
        """
        depths: list[int] = []
        depth = 0

        def hold(each: Pieces) -> None:
            nonlocal depth
            depth += 1
            depths.append(depth)
            each.transport.pauseProducing()
            each.transport.resumeProducing()
            depth -= 1

        pieces, transport = self.connected(a=hold, b=hold)
        transport.protocol.dataReceived(b"a\nb\na\n")
        self.assertEqual(pieces.pieces, [b"a\n", b"b\n", b"a\n"])
        self.assertEqual(depths, [1, 1, 1])

    def test_closed(self) -> None:
        """
        A protocol that closes the connection gets nothing more, and nothing of
        it is kept.
        """
        pieces, transport = self.connected(bye=lambda each: each.transport.loseConnection())
        transport.protocol.dataReceived(b"bye\nmore\n")
        self.assertIsNotNone(transport.closing)
        for _ in range(10):
            transport.protocol.dataReceived(b"and more\n")
        self.assertEqual(pieces.pieces, [b"bye\n"])
        self.assertLess(len(transport.protocol._undelivered), 2)

    def test_raising(self) -> None:
        """
        An error of the protocol's goes where it would without us, and does not
        keep the next piece from it.
        """

        def fail(_: Pieces) -> None:
            raise ZeroDivisionError

        pieces, transport = self.connected(fail=fail)
        self.assertRaises(ZeroDivisionError, transport.protocol.dataReceived, b"fail\nmore\n")
        transport.protocol.dataReceived(b"again\n")
        self.assertEqual(pieces.pieces, [b"fail\n", b"more\n", b"again\n"])

    def test_lost(self) -> None:
        """
        The protocol hears of the end once, and nothing is delivered any more.
        """
        pieces, transport = self.connected(stop=lambda each: each.transport.pauseProducing())
        transport.protocol.dataReceived(b"stop\nmore\n")
        self.assertEqual(len(self.factory.protocols), 1)
        transport.lost(ConnectionLost())
        self.assertIsInstance(pieces.reason, ConnectionLost)
        self.assertEqual(len(self.factory.protocols), 0)
        pieces.transport.resumeProducing()
        self.assertEqual(pieces.pieces, [b"stop\n"])

    def test_noProtocol(self) -> None:
        """
        Where the factory refuses, there is nothing.
        """

        class Refusing(Factory):
            def buildProtocol(self, addr: object) -> None:
                return None

        self.assertIsNone(StartTLSFactory(Refusing()).buildProtocol(None))

    def test_refused(self) -> None:
        """
        Twisted's options, and a transport with a producer, are refused; TLS can
        still be started then.
        """
        pieces, transport = self.connected()
        start = pieces.transport.startTLS
        for wrong in (CertificateOptions(), None):
            self.assertRaises(TypeError, start, wrong)
        pieces.transport.registerProducer(object(), True)
        self.assertRaises(InvalidOperationError, start, serverOptions())
        pieces.transport.unregisterProducer()
        transport.protocol.dataReceived(b"in the clear\n")
        self.assertEqual(pieces.pieces, [b"in the clear\n"])
        start(serverOptions())
        self.assertRaises(InvalidOperationError, start, serverOptions())
        pieces.transport.abortConnection()


@perVersion()
class FactoryTests(StartTLSMixin):
    """
    Tests for L{StartTLSFactory} and protocols that do not know of it.
    """

    def setUp(self) -> None:
        """
        A client and a server, which cannot be kept from reading on.
        """
        self.wire = Wire(self.segment)
        self.client: Any = Reader(
            lambda each: each.transport.startTLS(clientOptions(self.version, **self.options))
        )
        self.server: Any = Reader(lambda each: each.transport.startTLS(serverOptions(self.version)))
        self.options: dict[str, Any] = {}

    def connect(self) -> None:
        """
        Connect both.
        """
        self.factories = [
            StartTLSFactory(Ready(protocol), clock=self.wire.clock)
            for protocol in (self.client, self.server)
        ]
        self.wire.connect(*(each.buildProtocol(None) for each in self.factories))

    def sides(self) -> Iterator[tuple[Any, MemoryTransport]]:
        """
        Both, with what is below.
        """
        yield self.client, self.wire.client
        yield self.server, self.wire.server

    def test_conversation(self) -> None:
        """
        The protocols go on in TLS, on the transports that they had, which are
        ours now; whoever else has kept one does not write in the clear.
        """
        self.connect()
        kept = [protocol.transport for protocol, _ in self.sides()]
        self.client.say(b"hello")
        self.client.say(b"STARTTLS")
        self.wire.flush()
        for (protocol, below), transport in zip(self.sides(), kept, strict=True):
            self.assertIs(protocol.transport, transport)
            verifyObject(ISslStream, transport)
            self.assertTrue(ISSLTransport.providedBy(transport))
            self.assertFalse(ITLSTransport.providedBy(transport))
            self.assertIs(transport.sslProtocol, self.version)
            self.assertEqual(transport.getPeer(), below.getPeer())
            transport.write(b"secret\r\n")
        self.wire.flush()
        self.assertEqual(self.server.events, ["made", "hello", "secret"])
        self.assertEqual(self.client.events, ["made", "secret"])
        for _, below in self.sides():
            self.assertNotIn(b"secret", below.everWritten)
        self.client.transport.loseConnection()
        self.wire.flush()
        for protocol, _ in self.sides():
            self.assertEqual(protocol.events[-1], "lost")
            self.assertIsInstance(protocol.reason, ConnectionDone)
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])
        for factory in self.factories:
            self.assertEqual(factory.protocols, {})

    def test_queued(self) -> None:
        """
        What is written right after is sent once the peer is authenticated.
        """
        start = self.client.onSTARTTLS

        def startAndWrite(protocol: Any) -> None:
            start(protocol)
            protocol.say(b"secret")

        self.client.onSTARTTLS = startAndWrite
        self.connect()
        self.client.say(b"STARTTLS")
        self.wire.flush()
        self.assertEqual(self.server.events, ["made", "secret"])
        self.assertNotIn(b"secret", self.wire.client.everWritten)

    def test_refused(self) -> None:
        """
        If the authentication fails, the protocol hears of why as the reason of
        the end, and what it has written was not sent.
        """
        self.options = {"targetHost": "elsewhere.example"}
        self.connect()
        self.client.say(b"STARTTLS")
        self.wire.flush()
        for protocol, below in self.sides():
            self.assertEqual(protocol.events, ["made", "lost"])
            self.assertIs(type(protocol.reason), AuthenticationError)
            self.assertFalse(below.connected)
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_injected(self) -> None:
        """
        What somebody has put behind the command, or the response, never reaches
        the protocol, neither now nor in front of what is authenticated: it
        fails the handshake.
        """
        for behind in (b"EVIL\r\n", b"EVIL", b"EVIL\r\nEVIL"):
            for isServer in (False, True):
                self.setUp()
                self.connect()
                victim, attacker = (
                    (self.server, self.wire.client) if isServer else (self.client, self.wire.server)
                )
                attacker.protocol = Bystander()
                attacker.write((b"STARTTLS" if isServer else b"OK") + b"\r\n" + behind)
                self.wire.flush()
                if attacker.connected:
                    # It may be the beginning of a record as yet.
                    self.wire.clock.advance(30)
                    self.wire.flush()
                self.assertEqual(victim.events, ["made", "lost"])
                self.assertIsInstance(victim.reason, AuthenticationError)
                self.assertEqual(victim._buffer, b"")

    def test_decidedLater(self) -> None:
        """
        A protocol that has to ask somebody before it starts TLS pauses its
        transport: what is behind the command does not reach it either.
        """
        start = self.server.onSTARTTLS
        self.server.onSTARTTLS = lambda each: each.transport.pauseProducing()
        self.connect()
        self.wire.client.protocol = Bystander()
        self.wire.client.write(b"STARTTLS\r\nEVIL\r\n")
        self.wire.flush()
        start(self.server)
        self.server.transport.resumeProducing()
        self.wire.flush()
        self.assertEqual(self.server.events, ["made", "lost"])
        self.assertIsInstance(self.server.reason, AuthenticationError)

    def test_unpause(self) -> None:
        """
        Once TLS has begun, pausing and resuming are the transport's own.
        """
        self.connect()
        self.client.say(b"STARTTLS")
        self.wire.flush()
        self.server.transport.pauseProducing()
        self.assertTrue(self.wire.server.isPaused)
        self.server.transport.resumeProducing()
        self.assertFalse(self.wire.server.isPaused)
        self.client.say(b"message")
        self.wire.flush()
        self.assertEqual(self.server.events[-1], "message")

    def test_stream(self) -> None:
        """
        A stream may be put on the transport then: TLS in TLS.
        """
        self.connect()
        self.client.say(b"STARTTLS")
        self.wire.flush()
        streams = [
            SslStream(protocol.transport, clock=self.wire.clock) for protocol, _ in self.sides()
        ]
        both = (
            streams[1].authenticateAsServer(serverOptions(self.version)),
            streams[0].authenticateAsClient(clientOptions(self.version)),
        )
        self.wire.flush()
        for each in both:
            self.successResultOf(each)
        reading = streams[1].readExactly(7)
        streams[0].write(b"message")
        self.wire.flush()
        self.assertEqual(self.successResultOf(reading), b"message")
        streams[0].abort()
        self.wire.flush()


@implementer(smtp.IMessageDelivery)
class Postbox:
    """
    Takes no message, but knows for whom there was one.

    @ivar recipients: those, and whether it was said over TLS.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.recipients: list[tuple[str, bool]] = []
        server.delivery = self

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        """
        What is put in front.
        """
        return b"Received: here"

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        """
        Anybody may send.
        """
        return origin

    def validateTo(self, user: Any) -> Callable[[], Any]:
        """
        Nobody is here.
        """
        isSecure = ISslStream.providedBy(self._server.transport)
        self.recipients.append((str(user), isSecure))
        raise smtp.SMTPBadRcpt(user)


class Address:
    """
    Where a client is, for mail servers.
    """

    host = "client.example"


@perVersion()
class MailTests(StartTLSMixin):
    """
    Tests for the protocols of C{twisted.mail}, which get our options where they
    take a context factory.
    """

    def connect(self, client: Any, server: Any) -> None:
        """
        Connect both, on transports that know our C{startTLS}.
        """
        self.wire = wire = Wire(self.segment)
        for end in (wire.client, wire.server):
            end.getPeer = Address  # type: ignore[method-assign]
        both = []
        for protocol in (client, server):
            protocol.callLater = wire.clock.callLater
            both.append(StartTLSFactory(Ready(protocol), clock=wire.clock).buildProtocol(None))
        wire.connect(*both)
        wire.flush()

    def assertSecret(self, command: bytes) -> None:
        """
        After the command nothing was in the clear.
        """
        for transport in (self.wire.client, self.wire.server):
            self.assertIn(command, transport.everWritten)
            self.assertNotIn(b"secret", transport.everWritten)

    def sent(self, **options: Any) -> tuple[Postbox, Deferred[Any], Any]:
        """
        An SMTP client that insists on TLS sends a message.

        @param options: the client's.
        @return: what the server has got, the client's result, and the client.
        """
        server: Any = smtp.ESMTP(contextFactory=serverOptions(self.version))
        postbox = Postbox(server)
        result: Deferred[Any] = Deferred()
        factory: Any = smtp.ESMTPSenderFactory(
            *(None, None, "from@example.com", "secret@example.com"),
            BytesIO(b"message\n"),
            result,
            retries=0,
            contextFactory=clientOptions(self.version, **options),
            requireAuthentication=False,
            hostname="localhost",
        )
        client = factory.buildProtocol(None)
        self.connect(client, server)
        return postbox, result, client

    def test_smtp(self) -> None:
        """
        C{ESMTP} and C{ESMTPSender} go on in TLS.
        """
        postbox, result, client = self.sent()
        self.assertEqual(postbox.recipients, [("secret@example.com", True)])
        error: Any = self.failureResultOf(result, smtp.SMTPDeliveryError).value
        self.assertEqual(error.code, 550)
        self.assertTrue(client.transport.isAuthenticated)
        self.assertSecret(b"STARTTLS")

    def test_smtpRefused(self) -> None:
        """
        Nothing is sent to a server that is not authenticated.
        """
        postbox, _, client = self.sent(targetHost="elsewhere")
        self.assertEqual(postbox.recipients, [])
        self.assertFalse(client.transport.isAuthenticated)
        self.assertFalse(self.wire.client.connected)
        self.assertSecret(b"STARTTLS")

    def test_smtpInjected(self) -> None:
        """
        Commands that somebody has put behind STARTTLS are not obeyed.
        """
        server: Any = smtp.ESMTP(contextFactory=serverOptions(self.version))
        postbox = Postbox(server)
        self.connect(Bystander(), server)
        commands = (b"EHLO x", b"STARTTLS", b"MAIL FROM:<evil@example.com>", b"RCPT TO:<you>", b"")
        self.wire.client.write(b"\r\n".join(commands))
        self.wire.flush()
        self.assertIsNone(server._from)
        self.assertEqual(postbox.recipients, [])
        self.assertFalse(self.wire.server.connected)

    def test_imap(self) -> None:
        """
        C{IMAP4Client} logs in to C{IMAP4Server} in TLS.
        """
        server: Any = imap4.IMAP4Server(contextFactory=serverOptions(self.version))
        logins: list[Any] = []

        def refuse(*login: bytes) -> Deferred[Any]:
            logins.append(login)
            return fail(UnauthorizedLogin())

        server.authenticateLogin = refuse
        client: Any = imap4.IMAP4Client(clientOptions(self.version))
        self.connect(client, server)
        started = client.getCapabilities().addCallback(lambda _: client.startTLS())
        self.wire.flush()
        self.assertNotIn(b"LOGINDISABLED", self.successResultOf(started))
        login = client.login(b"user", b"secret")
        self.wire.flush()
        self.failureResultOf(login, imap4.IMAP4Exception)
        self.assertEqual(logins, [(b"user", b"secret")])
        self.assertSecret(b"STARTTLS")
        self.assertTrue(client.transport.isAuthenticated)
        client.transport.abortConnection()
        self.wire.flush()

    def test_pop3(self) -> None:
        """
        C{POP3Client} asks for TLS and goes on in it.
        """
        server = Reader(lambda each: each.transport.startTLS(serverOptions(self.version)))
        server.connectionMade = lambda: server.say(b"+OK hello")  # type: ignore[method-assign]
        answers = {b"CAPA": b"+OK\r\nSTLS\r\n.", b"STLS": b"+OK begin"}

        def obey(line: bytes) -> None:
            server.say(answers.get(line, b"+OK secret"))
            if line == b"STLS":
                server.onSTARTTLS(server)

        server.lineReceived = obey  # type: ignore[method-assign]
        client: Any = POP3Client()
        client.startedTLS = False
        self.connect(client, server)
        started = client.startTLS(clientOptions(self.version))
        self.wire.flush()
        self.successResultOf(started)
        noop = client.noop()
        self.wire.flush()
        self.assertEqual(self.successResultOf(noop), b"secret")
        self.assertSecret(b"ST")
        client.transport.abortConnection()
        self.wire.flush()
