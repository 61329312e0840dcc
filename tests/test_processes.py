"""
Tests for L{txsslstream._processes}: streams with child processes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ProcessDone,
    ProcessTerminated,
)
from twisted.internet.interfaces import IConsumer, IProcessTransport, IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from txsslstream import (
    HandshakeInterrupted,
    InvalidOperationError,
    SslStream,
    SslStreamClientEndpoint,
    TruncationError,
)
from txsslstream._processes import ProcessAddress, isProcess, wireTo
from txsslstream.testing import Application, Bystander, MemoryTransport, Wire, perVersion

from .processes import MemoryProcess, Parent, Spawner
from .streams import Opened, StreamMixin
from .support import clientOptions, serverOptions


class WireTests(SynchronousTestCase):
    """
    Tests for L{txsslstream._processes.ProcessWire}.
    """

    def setUp(self) -> None:
        """
        A process, and the connection with it in somebody's hands.
        """
        self.clock = Clock()
        self.pipe = MemoryTransport("pipes")
        self.parent = Parent()
        self.process = MemoryProcess(self.parent, self.clock, self.pipe)
        self.wire = wireTo(self.process)
        self.protocol = Bystander()

    def take(self) -> None:
        """
        Take the connection over.
        """
        self.wire.protocol = self.protocol

    def assertLost(self, kind: type[Exception]) -> None:
        """
        The protocol has heard of the end, for a reason of exactly this kind.
        """
        assert self.protocol.lost is not None
        self.assertIs(type(self.protocol.lost.value), kind)

    def test_interfaces(self) -> None:
        """
        It is a transport with flow control, and no process itself.
        """
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.wire)
        self.assertTrue(isProcess(self.process))
        self.assertFalse(isProcess(self.wire))
        self.assertFalse(isProcess(self.pipe))

    def test_once(self) -> None:
        """
        There is one per process.
        """
        self.assertIs(wireTo(self.process), self.wire)
        self.assertIs(self.process.proto, self.wire)

    def test_wrapped(self) -> None:
        """
        What wraps a process is a transport like others.
        """
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
        wrapper.makeConnection(self.process)
        self.assertTrue(IProcessTransport.providedBy(wrapper))
        self.assertFalse(isProcess(wrapper))

    def test_transparent(self) -> None:
        """
        As long as nobody has taken it, everything is as if it were not there.
        """
        process: Any = self.process.proto
        for childFD in (1, 2, 5):
            process.childDataReceived(childFD, b"data")
        self.assertEqual(self.parent.received, dict.fromkeys((1, 2, 5), b"data"))
        self.process.end(3)
        self.assertEqual(self.parent.events, ["lost 0", "lost 1", "lost 2", "exited", "ended 3"])

    def test_data(self) -> None:
        """
        Standard output is what is received, all other descriptors are none of
        it.
        """
        self.take()
        process: Any = self.process.proto
        for childFD, data in ((1, b"a"), (2, b"error"), (1, b"b")):
            process.childDataReceived(childFD, data)
        self.assertEqual(self.protocol.received, b"ab")
        self.assertEqual(self.parent.received, {2: b"error"})

    def test_writing(self) -> None:
        """
        What is written goes to its standard input.
        """
        self.wire.write(b"ab")
        self.wire.writeSequence([b"c", b"d"])
        self.assertEqual(self.pipe.written, b"abcd")

    def test_ended(self) -> None:
        """
        The connection ends with the process, and for its reason; whoever started
        it hears of everything.
        """
        for status, kind in ((0, ProcessDone), (7, ProcessTerminated)):
            self.setUp()
            self.take()
            self.process.lost(1)
            self.assertIsNotNone(self.pipe.closing)
            self.process.end(status)
            self.assertLost(kind)
            self.assertEqual(
                self.parent.events, ["lost 1", "lost 0", "lost 2", "exited", f"ended {status}"]
            )
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lingering(self) -> None:
        """
        A process that closes its standard output and lives on has ended the
        connection a second later; its end is no second one.
        """
        self.take()
        self.process.lost(1)
        self.assertIsNotNone(self.pipe.closing)
        self.clock.advance(0.9)
        self.assertIsNone(self.protocol.lost)
        self.clock.advance(0.1)
        self.assertLost(ConnectionDone)
        self.protocol.lost = None
        self.process.end(7)
        self.assertIsNone(self.protocol.lost)
        self.assertEqual(self.parent.events[-1], "ended 7")

    def test_abortLingering(self) -> None:
        """
        Aborted meanwhile, it has ended it at once.
        """
        self.take()
        self.process.lost(1)
        self.wire.abortConnection()
        self.assertIsNone(self.protocol.lost)
        self.clock.advance(0)
        self.assertLost(ConnectionAborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_endedAtOnce(self) -> None:
        """
        It ends with the process where nothing was said of its pipes.
        """
        self.take()
        self.process.pipes.clear()
        self.process.end(1)
        self.assertLost(ProcessTerminated)
        self.assertEqual(self.parent.events, ["exited", "ended 1"])

    def test_late(self) -> None:
        """
        What comes behind the end is nobody's.
        """
        self.take()
        self.process.lost(1)
        self.clock.advance(1)
        self.wire.childDataReceived(1, b"late")
        self.assertEqual(self.protocol.received, b"")
        self.assertEqual(self.parent.received, {})

    def test_stdinClosed(self) -> None:
        """
        A process that does not read any more may go on writing.
        """
        self.take()
        self.process.lost(0)
        self.assertIsNone(self.protocol.lost)
        self.wire.childDataReceived(1, b"data")
        self.assertEqual(self.protocol.received, b"data")
        self.wire.loseConnection()
        self.clock.advance(1)
        self.assertLost(ConnectionDone)

    def test_close(self) -> None:
        """
        Closed, everything is written to its standard input, and the process may
        come to its end in peace.
        """
        self.take()
        self.wire.write(b"unsent")
        for close in (self.wire.loseConnection, self.wire.stopProducing):
            close()
        self.assertTrue(self.wire.disconnecting)
        self.clock.advance(60)
        self.assertIsNone(self.protocol.lost)
        self.assertEqual(self.pipe.written, b"unsent")
        self.process.lost(0)
        self.clock.advance(0.9)
        self.assertIn(1, self.process.pipes)
        self.assertIsNone(self.protocol.lost)
        self.process.end()
        self.assertLost(ProcessDone)
        self.assertEqual(self.process.signals, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closedLingering(self) -> None:
        """
        A process that does not end a second after that does not hear of us any
        more: its standard output is closed, too.
        """
        self.take()
        self.wire.loseConnection()
        self.process.lost(0)
        self.clock.pump([1, 0])
        self.assertLost(ConnectionDone)
        self.assertEqual(sorted(self.process.pipes), [2])
        self.assertEqual(self.process.signals, [])

    def test_abort(self) -> None:
        """
        Aborted, before or after it was closed, nothing more is written, and the
        process is not killed.
        """
        for isClosing in (False, True):
            self.setUp()
            self.take()
            self.wire.write(b"unsent")
            if isClosing:
                self.wire.loseConnection()
            self.wire.abortConnection()
            self.wire.abortConnection()
            self.assertIsNone(self.protocol.lost)
            self.clock.pump([0, 0, 0])
            self.assertEqual(self.pipe.written, b"")
            self.assertLost(ConnectionAborted)
            self.assertEqual(self.process.signals, [])
            self.assertEqual(sorted(self.process.pipes), [2])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abortWithoutInput(self) -> None:
        """
        Aborted when the process has closed its standard input, its standard
        output is closed.
        """
        self.take()
        self.process.lost(0)
        self.wire.abortConnection()
        self.clock.pump([0, 0])
        self.assertLost(ConnectionAborted)

    def test_flowControl(self) -> None:
        """
        Nothing but the standard output is paused, and whoever produces for the
        standard input is known.
        """
        self.wire.pauseProducing()
        self.assertEqual(
            [self.process.pipes[each].isPaused for each in range(3)], [False, True, False]
        )
        self.wire.resumeProducing()
        self.assertFalse(self.process.pipes[1].isPaused)
        producer = object()
        self.assertIsNone(self.wire.producer)
        self.wire.registerProducer(producer, True)
        self.assertIs(self.wire.producer, producer)
        self.assertIs(self.pipe.producer, producer)
        self.wire.unregisterProducer()
        self.assertIsNone(self.wire.producer)
        self.process.end()
        self.assertIsNone(self.wire.producer)

    def test_otherPlatform(self) -> None:
        """
        Where a process does not show its pipes, it is paused as a whole.
        """

        class Process:
            proto = Parent()
            calls: list[str]

            def pauseProducing(self) -> None:
                self.calls.append("pause")

            def resumeProducing(self) -> None:
                self.calls.append("resume")

            def closeStdin(self) -> None:
                self.calls.append("stdin")

            def closeStdout(self) -> None:
                self.calls.append("stdout")

        process = Process()
        process.calls = []
        wire = wireTo(process)
        wire.pauseProducing()
        wire.resumeProducing()
        wire.loseConnection()
        self.assertEqual(process.calls, ["pause", "resume", "stdin"])
        wire._clock = clock = Clock()
        wire.abortConnection()
        wire.childConnectionLost(0)
        clock.advance(0)
        self.assertEqual(process.calls[3:], ["stdout"])
        self.assertIsNone(wire.producer)

    def test_addresses(self) -> None:
        """
        Both ends have the process as their address, for as long as it lives.
        """
        self.assertEqual(self.wire.getPeer(), ProcessAddress(4711))
        self.assertEqual(self.wire.getHost(), ProcessAddress(4711))
        self.process.end()
        self.assertEqual(self.wire.getPeer(), ProcessAddress(None))

    def test_everythingElse(self) -> None:
        """
        In everything else it is the process.
        """
        self.assertEqual(self.wire.pid, 4711)
        self.wire.signalProcess("TERM")
        self.assertEqual(self.process.signals, ["TERM"])
        self.assertRaises(AttributeError, getattr, self.wire, "nothing")

    def test_noConnection(self) -> None:
        """
        A process that has ended, one without one of the pipes, and a terminal
        are refused.
        """
        lacking = []
        for childFD in (0, 1):
            self.setUp()
            self.process.proto = self.parent
            del self.process.pipes[childFD]
            lacking.append(self.process)
        self.setUp()
        self.process.end()
        terminal: Any = FileDescriptor(MemoryReactorClock())
        directlyProvides(terminal, IProcessTransport)
        terminal.proto = self.parent
        for wrong in (*lacking, self.process, terminal):
            self.assertRaises(TypeError, wireTo, wrong)
            error = self.assertRaises(TypeError, SslStream, wrong, clock=self.clock)
            self.assertIn("pipes to its standard input and output", str(error))


class EndpointTests(SynchronousTestCase):
    """
    Tests for processes of a C{ProcessEndpoint}.
    """

    def setUp(self) -> None:
        """
        A protocol that is connected to a process.
        """
        self.clock = Clock()
        self.pipe = MemoryTransport("pipes")
        self.spawner = Spawner(self.clock, self.pipe)
        self.protocol: Any = self.successResultOf(
            self.spawner.endpoint().connect(Factory.forProtocol(Bystander))
        )
        self.wire = wireTo(self.protocol.transport)

    def test_protocol(self) -> None:
        """
        The connection is the protocol's at first, and it hears of its end once.
        """
        self.assertTrue(isProcess(self.protocol.transport))
        self.assertIs(self.wire.protocol, self.protocol)
        self.assertIs(wireTo(self.protocol.transport), self.wire)
        process = self.spawner.process
        process.proto.childDataReceived(1, b"data")
        self.assertEqual(self.protocol.received, b"data")
        process.lost(1)
        self.assertIsNone(self.protocol.lost)
        process.end(1)
        lost = self.protocol.lost
        self.assertTrue(lost.check(ProcessTerminated))
        self.clock.advance(60)
        self.assertIs(self.protocol.lost, lost)

    def test_terminated(self) -> None:
        """
        If the process ends first, it hears of that.
        """
        self.spawner.process.pipes.clear()
        self.spawner.process.end(1)
        self.assertTrue(self.protocol.lost.check(ProcessTerminated))

    def test_standardError(self) -> None:
        """
        What the process writes to its standard error is still logged.
        """
        logged: list[Any] = []
        from twisted.python import log

        log.addObserver(logged.append)
        self.addCleanup(log.removeObserver, logged.append)
        self.spawner.process.proto.childDataReceived(2, b"oh dear")
        self.assertEqual([each["data"] for each in logged], [b"oh dear"])
        self.assertEqual(self.protocol.received, b"")


@perVersion()
class StreamTests(StreamMixin):
    """
    Tests for streams on processes.
    """

    def spawned(self, leaveInnerStreamOpen: bool = False) -> tuple[Opened, MemoryProcess, Parent]:
        """
        A client that has a server as its child, authenticated.
        """
        wire = Wire(self.segment)
        parent = Parent()
        process = MemoryProcess(parent, wire.clock, wire.client)
        child = Bystander()
        wire.server.protocol = child
        child.makeConnection(wire.server)
        client = SslStream(process, leaveInnerStreamOpen, clock=wire.clock)
        server = SslStream(wire.server, leaveInnerStreamOpen, clock=wire.clock)
        accepting = server.authenticateAsServer(serverOptions(self.version))
        connecting = client.authenticateAsClient(clientOptions(self.version))
        wire.flush()
        self.assertIs(self.successResultOf(connecting), client)
        self.assertIs(self.successResultOf(accepting), server)
        pair: Any = None
        opened = Opened(pair, client, server, wire.client, wire.server, child, child)
        self.wire = wire
        return opened, process, parent

    def test_conversation(self) -> None:
        """
        A stream works with a process, and closing it closes both pipes.
        """
        opened, process, parent = self.spawned()
        for one, other in ((opened.ours, opened.theirs), (opened.theirs, opened.ours)):
            self.successResultOf(one.write(b"message"))
            self.wire.flush()
            self.assertEqual(self.successResultOf(other.readExactly(7)), b"message")
        self.assertEqual(opened.ours.getPeer(), ProcessAddress(4711))
        closing = [opened.ours.close(), opened.theirs.close()]
        self.wire.flush()
        for each in closing:
            self.successResultOf(each)
        self.assertEqual(parent.events[-1], "ended 0")
        self.assertEqual(parent.received, {})
        self.assertEqual(process.pipes, {})
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_much(self) -> None:
        """
        1 MiB goes each way, with flow control.
        """
        opened, _, _ = self.spawned()
        self.wire.segment = 0
        data = bytes(1 << 20)
        for one, other in ((opened.ours, opened.theirs), (opened.theirs, opened.ours)):
            writing = one.write(data)
            self.wire.flush()
            self.assertNoResult(writing)
            reading = other.readExactly(len(data))
            self.wire.flush()
            self.assertEqual(self.successResultOf(reading), data)
            self.successResultOf(writing)

    def test_killed(self) -> None:
        """
        A process that ends without ending the stream has truncated it.
        """
        opened, _, parent = self.spawned()
        reading = opened.ours.read()
        self.wire.cut()
        self.failure(reading, TruncationError)
        self.assertEqual(parent.events[-1], "ended 1")

    def test_lingering(self) -> None:
        """
        A process that neither reads nor ends does not keep a stream from being
        closed in bounded time.
        """
        opened, process, _ = self.spawned()
        self.wire.segment = 0
        opened.theirTransport.isPaused = True
        writing = opened.ours.write(bytes(1 << 20))
        closing = opened.ours.close()
        self.wire.flush()
        self.assertNoResult(closing)
        self.wire.clock.pump([5, 0, 0, 0])
        self.successResultOf(closing)
        self.failureResultOf(writing)
        self.assertEqual(process.pid, 4711)
        self.assertEqual(sorted(process.pipes), [2])
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_handshakeInterrupted(self) -> None:
        """
        A process that ends before the handshake has done so interrupts it.
        """
        wire = Wire(self.segment)
        process = MemoryProcess(Parent(), wire.clock, wire.client)
        client = SslStream(process, clock=wire.clock)
        connecting = client.authenticateAsClient(clientOptions(self.version))
        process.end(127)
        error = self.failure(connecting, HandshakeInterrupted)
        assert isinstance(error.__cause__, ProcessTerminated)
        self.assertEqual(error.__cause__.exitCode, 127)
        self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_unwrap(self) -> None:
        """
        Unwrapped, the process itself is given back, and what it writes from
        then on is its parent's again.
        """
        opened, process, parent = self.spawned(leaveInnerStreamOpen=True)
        unwrapping = opened.ours.unwrap()
        opened.theirs.shutdown()
        self.wire.flush()
        self.assertEqual(self.successResultOf(unwrapping), (process, b""))
        process.proto.childDataReceived(1, b"in the clear")
        self.assertEqual(parent.received, {1: b"in the clear"})
        SslStream(process, clock=self.wire.clock).abort()

    def test_leftOpen(self) -> None:
        """
        Closed and left open, what is left over is delivered to the parent.
        """
        opened, process, parent = self.spawned(leaveInnerStreamOpen=True)
        opened.theirs.shutdown()
        opened.theirTransport.write(b"in the clear")
        self.wire.flush()
        self.assertEqual(parent.received, {})
        closing = opened.ours.close()
        self.wire.clock.advance(0)
        self.successResultOf(closing)
        self.assertEqual(parent.received, {1: b"in the clear"})
        process.end()

    def test_producer(self) -> None:
        """
        A process that somebody produces for is refused.
        """
        process = MemoryProcess(Parent(), Clock(), MemoryTransport("pipes"))
        process.registerProducer(object(), True)
        self.assertRaises(InvalidOperationError, SslStream, process)


@perVersion()
class ProcessEndpointTests(StreamMixin):
    """
    Tests for our endpoint on a C{ProcessEndpoint}.
    """

    def setUp(self) -> None:
        """
        A child that waits to be a server.
        """
        self.wire = Wire(self.segment)
        self.spawner = Spawner(self.wire.clock, self.wire.client)
        self.wire.server.protocol = Bystander()
        self.endpoint = SslStreamClientEndpoint(
            self.spawner.endpoint(), clientOptions(self.version), self.wire.clock
        )

    def accept(self) -> SslStream:
        """
        Be the server.
        """
        server = SslStream(self.wire.server, clock=self.wire.clock)
        accepting = server.authenticateAsServer(serverOptions(self.version))
        self.wire.flush()
        return self.successResultOf(accepting)

    def test_protocol(self) -> None:
        """
        A protocol is connected to it, knows the process, and hears once of the
        end.
        """
        connecting = self.endpoint.connect(Factory.forProtocol(Application))
        server = self.accept()
        application: Any = self.successResultOf(connecting)
        self.assertEqual(application.transport.getPeer(), ProcessAddress(4711))
        application.transport.signalProcess("HUP")
        self.assertEqual(self.spawner.process.signals, ["HUP"])
        server.write(b"message")
        self.wire.flush()
        self.assertEqual(application.received, b"message")
        application.transport.loseConnection()
        server.close()
        self.wire.flush()
        self.assertEqual(application.events.count("lost"), 1)
        self.assertIsInstance(application.reason, ConnectionDone)
        self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_lingering(self) -> None:
        """
        A process that goes on after the end does not keep its protocol from
        hearing of it.
        """
        connecting = self.endpoint.connect(Factory.forProtocol(Application))
        self.accept()
        application: Any = self.successResultOf(connecting)
        self.wire.server.isPaused = True
        application.transport.loseConnection()
        self.wire.clock.pump([5, 0, 0, 0])
        self.assertEqual(application.events.count("lost"), 1)
        self.assertEqual(self.spawner.process.pid, 4711)

    def test_refused(self) -> None:
        """
        A process that is not authenticated is refused, and its protocol never
        connected.
        """
        self.endpoint = SslStreamClientEndpoint(
            self.spawner.endpoint(), clientOptions(targetHost="elsewhere"), self.wire.clock
        )
        made: list[Application] = []

        def make() -> Application:
            made.append(Application())
            return made[-1]

        connecting = self.endpoint.connect(Factory.forProtocol(make))
        server = SslStream(self.wire.server, clock=self.wire.clock)
        accepting = server.authenticateAsServer(serverOptions(self.version))
        self.wire.flush()
        self.failureResultOf(connecting)
        self.failureResultOf(accepting)
        self.assertEqual([each.events for each in made], [[]])

    def test_stream(self) -> None:
        """
        C{connectStream} makes a stream of it.
        """
        connecting = self.endpoint.connectStream()
        server = self.accept()
        stream = self.successResultOf(connecting)
        server.write(b"message")
        self.wire.flush()
        self.assertEqual(self.successResultOf(stream.read()), b"message")
        stream.abort()
        self.wire.flush()

    def test_terminal(self) -> None:
        """
        Where there is no process with pipes, connecting fails.
        """

        def spawn(protocol: Any, *_: object) -> Any:
            terminal: Any = FileDescriptor(MemoryReactorClock())
            directlyProvides(terminal, IProcessTransport)
            terminal.proto = protocol
            terminal.pid = 4711
            protocol.makeConnection(terminal)
            terminal.proto = None
            protocol.processEnded(Failure(ProcessTerminated(1)))

        self.spawner.spawnProcess = spawn  # type: ignore[method-assign]
        endpoint = SslStreamClientEndpoint(
            self.spawner.endpoint(), clientOptions(), self.wire.clock
        )
        self.failureResultOf(
            endpoint.connect(Factory.forProtocol(Application)), InvalidOperationError
        )
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
