"""
Tests for L{txsslstream.testing.wire}.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txsslstream.sessions import sessions
from txsslstream.testing import MemoryTransport, Wire, randomSegments


class Listener(Protocol):
    """
    Keeps what it is given, and when.
    """

    transport: Any

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heard: list[tuple[float, bytes]] = []
        self.lost: tuple[float, Exception] | None = None

    @property
    def pieces(self) -> list[bytes]:
        return [data for _, data in self.heard]

    def dataReceived(self, data: bytes) -> None:
        self.heard.append((self._clock.seconds(), data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        value: Any = reason.value
        self.lost = (self._clock.seconds(), value)


class WireCase(SynchronousTestCase):
    """
    A wire between two listeners.
    """

    def setUp(self) -> None:
        self.connect()

    def connect(self, *arguments: Any) -> None:
        """
        Begin anew.
        """
        self.wire = Wire(*arguments)
        self.clock = self.wire.clock
        self.client, self.server = Listener(self.clock), Listener(self.clock)
        self.wire.connect(self.client, self.server)

    def assertLost(self, listener: Listener, kind: type[Exception], time: float = 0) -> None:
        """
        The connection was lost, at this time and for this kind of reason.
        """
        assert listener.lost is not None
        self.assertEqual((listener.lost[0], type(listener.lost[1])), (time, kind))


class SegmentTests(WireCase):
    """
    How it cuts what it carries.
    """

    def pieces(self, segment: Any) -> list[bytes]:
        """
        @return: how it delivers seven bytes.
        """
        self.connect(segment)
        self.client.transport.write(b"abc")
        self.client.transport.writeSequence([b"de", b"fg"])
        self.wire.flush()
        self.assertEqual(self.wire.client.everWritten, b"abcdefg")
        self.assertEqual(self.wire.client.delivered, 7)
        return self.server.pieces

    def test_sizes(self) -> None:
        """
        It delivers whole what was written, or so many bytes at a time, or as many
        as an iterator says, and the rest whole.
        """
        self.assertEqual(self.pieces(0), [b"abcdefg"])
        self.assertEqual(self.pieces(3), [b"abc", b"def", b"g"])
        self.assertEqual(self.pieces(1), [bytes((each,)) for each in b"abcdefg"])
        self.assertEqual(self.pieces(iter([2, 1])), [b"ab", b"c", b"defg"])
        self.assertEqual(self.pieces(iter([2, 0, 1])), [b"ab", b"cdefg"])

    def test_random(self) -> None:
        """
        Random sizes are the same for a seed, within bounds, and others for
        another.
        """
        sizes = [list(islice(randomSegments(seed, 100), 50)) for seed in (1, 1, 2)]
        self.assertEqual(sizes[0], sizes[1])
        self.assertNotEqual(sizes[0], sizes[2])
        self.assertTrue(all(1 <= each <= 100 for each in sizes[0]))
        self.assertEqual(b"".join(self.pieces(randomSegments(1))), b"abcdefg")

    def test_bothWays(self) -> None:
        """
        A step moves one segment each way, and says whether it did.
        """
        self.connect(1)
        self.client.transport.write(b"ab")
        self.server.transport.write(b"c")
        self.assertTrue(self.wire.step())
        self.assertEqual((self.client.pieces, self.server.pieces), ([b"c"], [b"a"]))
        self.assertTrue(self.wire.step())
        self.assertFalse(self.wire.step())

    def test_observer(self) -> None:
        """
        An observer sees what is delivered, and from where.
        """
        seen: list[tuple[str, bytes]] = []
        self.wire.observer = lambda end, data: seen.append((end.name, data))
        self.client.transport.write(b"question")
        self.wire.flush()
        self.server.transport.write(b"answer")
        self.wire.flush()
        self.assertEqual(seen, [("client", b"question"), ("server", b"answer")])

    def test_endless(self) -> None:
        """
        Two that never stop talking are told.
        """
        self.client.dataReceived = self.client.transport.write  # type: ignore[method-assign]
        self.server.dataReceived = self.server.transport.write  # type: ignore[method-assign]
        self.wire.flush(10)
        self.client.transport.write(b"ping")
        with self.assertRaisesRegex(AssertionError, "does not come to rest"):
            self.wire.flush(10)


class LossTests(WireCase):
    """
    Where it breaks, stalls and damages.
    """

    def test_lost(self) -> None:
        """
        The connection is lost at both ends once so many bytes have been
        delivered, and what was behind them with it.
        """
        self.wire.client.loseAt(3)
        self.client.transport.write(b"ab")
        self.wire.flush()
        self.assertIsNone(self.server.lost)
        self.client.transport.write(b"cdef")
        self.server.transport.write(b"x")
        self.wire.flush()
        self.assertEqual(b"".join(self.server.pieces), b"abc")
        self.assertLost(self.server, ConnectionLost)
        self.assertLost(self.client, ConnectionLost)

    def test_notLost(self) -> None:
        """
        A connection over which less was sent stays.
        """
        self.wire.client.loseAt(3)
        self.client.transport.write(b"ab")
        self.server.transport.write(b"much more than that")
        self.wire.flush()
        self.assertIsNone(self.server.lost)
        self.assertEqual(self.client.pieces, [b"much more than that"])

    def test_reason(self) -> None:
        """
        Both are told the reason that was chosen; without any byte, too.
        """
        self.wire.server.loseAt(0, ConnectionDone)
        self.wire.flush()
        self.assertLost(self.client, ConnectionDone)
        self.assertLost(self.server, ConnectionDone)

    def test_damage(self) -> None:
        """
        The byte at an offset arrives changed, and no other, however it is cut.
        """
        for segment in (0, 1, 3):
            self.connect(segment)
            self.wire.client.damageAt(4)
            self.wire.client.damageAt(6, 0x20)
            self.client.transport.write(b"abcdefg")
            self.server.transport.write(b"abcdefg")
            self.wire.flush()
            self.assertEqual(b"".join(self.server.pieces), b"abcddfG")
            self.assertEqual(b"".join(self.client.pieces), b"abcdefg")

    def test_stall(self) -> None:
        """
        No more than so many bytes arrive until it is released.
        """
        self.wire.client.stallAt(3)
        self.client.transport.write(b"abcdef")
        self.wire.flush()
        self.assertEqual(self.server.pieces, [b"abc"])
        self.wire.client.release()
        self.wire.flush()
        self.assertEqual(self.server.pieces, [b"abc", b"def"])

    def test_hold(self) -> None:
        """
        Nothing arrives while it is held, not even the end; then all does.
        """
        self.wire.client.hold()
        self.client.transport.write(b"abc")
        self.server.transport.write(b"x")
        self.wire.flush()
        self.assertEqual((self.server.pieces, self.client.pieces), ([], [b"x"]))
        self.wire.client.written.clear()
        self.client.transport.loseConnection()
        self.wire.flush()
        self.assertIsNone(self.server.lost)
        self.wire.client.release()
        self.wire.flush()
        self.assertLost(self.server, ConnectionDone)

    def test_cut(self) -> None:
        """
        It can be cut at any time, for any reason.
        """
        self.client.transport.write(b"abc")
        self.wire.cut(ConnectionAborted)
        self.wire.flush()
        self.assertEqual(self.server.pieces, [])
        self.assertLost(self.server, ConnectionAborted)
        self.assertLost(self.client, ConnectionAborted)


class DelayTests(WireCase):
    """
    When things arrive.
    """

    def test_delay(self) -> None:
        """
        What is written arrives so many seconds later, in order, and the other
        direction knows nothing of that.
        """
        self.wire.client.delay = 2
        self.client.transport.write(b"a")
        self.wire.advance(1)
        self.client.transport.write(b"b")
        self.server.transport.write(b"x")
        self.wire.advance(5)
        self.assertEqual(self.server.heard, [(2, b"a"), (3, b"b")])
        self.assertEqual(self.client.heard, [(1, b"x")])

    def test_notBefore(self) -> None:
        """
        It is not there a moment before.
        """
        self.wire.client.delay = 2
        self.client.transport.write(b"a")
        self.wire.flush()
        self.wire.advance(1.999)
        self.assertEqual(self.server.heard, [])
        self.wire.advance(0.001)
        self.assertEqual(self.server.pieces, [b"a"])

    def test_shortened(self) -> None:
        """
        What is written with less delay does not overtake.
        """
        self.wire.client.delay = 2
        self.client.transport.write(b"a")
        self.wire.client.delay = 0
        self.client.transport.write(b"b")
        self.wire.flush()
        self.assertEqual(self.server.pieces, [])
        self.wire.advance(2)
        self.assertEqual(b"".join(self.server.pieces), b"ab")

    def test_queue(self) -> None:
        """
        Nor does what is written with another delay.
        """
        for delay, data in ((2, b"a"), (1, b"b"), (3, b"c")):
            self.wire.client.delay = delay
            self.client.transport.write(data)
        self.wire.advance(5)
        self.assertEqual(self.server.heard, [(2, b"ab"), (3, b"c")])

    def test_answers(self) -> None:
        """
        A question and its answer take the time of both ways, in one go; and what
        the clock has to do happens in between, at its time.
        """
        self.wire.client.delay, self.wire.server.delay = 1, 0.5
        self.server.dataReceived = (  # type: ignore[method-assign]
            lambda data: self.server.transport.write(data.upper())
        )
        times: list[float] = []
        self.clock.callLater(1.25, lambda: times.append(self.clock.seconds()))
        self.client.transport.write(b"abc")
        self.wire.advance(10)
        self.assertEqual(self.client.heard, [(1.5, b"ABC")])
        self.assertEqual(times, [1.25])
        self.assertEqual(self.clock.seconds(), 10)

    def test_end(self) -> None:
        """
        The end of the connection takes its time as well, behind the data; and so
        does a reset.
        """
        self.wire.client.delay = 2
        self.client.transport.write(b"a")
        self.client.transport.loseConnection()
        self.wire.advance(1)
        self.assertIsNone(self.server.lost)
        self.wire.advance(4)
        self.assertEqual(self.server.heard, [(2, b"a")])
        self.assertLost(self.server, ConnectionDone, 2)
        self.connect()
        self.wire.server.delay = 3
        self.server.transport.write(b"never")
        self.server.transport.abortConnection()
        self.wire.advance(5)
        self.assertEqual(self.client.heard, [])
        self.assertLost(self.client, ConnectionLost, 3)
        self.assertLost(self.server, ConnectionAborted, 3)


class TransportTests(WireCase):
    """
    Its ends, as transports.
    """

    def test_interface(self) -> None:
        """
        They are transports, and insist on bytes.
        """
        verifyObject(ITransport, self.wire.client)
        self.assertRaises(TypeError, self.client.transport.write, "text")
        self.assertEqual(self.wire.client.getPeer(), "peer of client")
        self.wire.client.host = "somewhere"
        self.assertEqual(self.wire.client.getHost(), "somewhere")

    def test_close(self) -> None:
        """
        Closing waits for what was written; a reset does not.
        """
        self.client.transport.write(b"abc")
        self.client.transport.loseConnection()
        self.client.transport.write(b"too late")
        self.wire.flush()
        self.assertEqual(self.server.pieces, [b"abc"])
        self.assertLost(self.server, ConnectionDone)
        self.connect()
        self.client.transport.write(b"abc")
        self.client.transport.abortConnection()
        self.wire.flush()
        self.assertEqual(self.server.pieces, [])
        self.assertLost(self.server, ConnectionLost)

    def test_paused(self) -> None:
        """
        Who wants no data gets none until it does.
        """
        self.server.transport.pauseProducing()
        self.client.transport.write(b"abc")
        self.wire.flush()
        self.assertEqual(self.server.pieces, [])
        self.server.transport.resumeProducing()
        self.wire.flush()
        self.assertEqual(self.server.pieces, [b"abc"])

    def test_producer(self) -> None:
        """
        A producer is paused above 64 KiB, and resumed when all is sent.
        """
        calls: list[str] = []

        class Producer:
            pauseProducing = staticmethod(lambda: calls.append("pause"))
            resumeProducing = staticmethod(lambda: calls.append("resume"))
            stopProducing = staticmethod(lambda: calls.append("stop"))

        transport = self.client.transport
        transport.registerProducer(Producer(), True)
        self.assertRaises(RuntimeError, transport.registerProducer, Producer(), True)
        transport.write(bytes(1 << 16))
        self.assertEqual(calls, [])
        transport.write(b"x")
        self.assertEqual(calls, ["pause"])
        self.wire.flush()
        self.assertEqual(calls, ["pause", "resume"])
        self.wire.cut()
        self.assertEqual(calls, ["pause", "resume", "stop"])

    def test_ownEnds(self) -> None:
        """
        A wire of one's own may have ends of one's own, and one's own clock.
        """

        class Named(MemoryTransport):
            pass

        class NamedWire(Wire):
            def makeEnds(self, clock: Clock) -> tuple[MemoryTransport, MemoryTransport]:
                return Named("left", clock), Named("right", clock)

        clock = Clock()
        wire = NamedWire(clock=clock)
        self.assertEqual([each.name for each in wire.ends], ["left", "right"])
        self.assertIs(wire.client.clock, clock)
        wire.clock = other = Clock()
        self.assertIs(wire.server.clock, other)

    def test_sessions(self) -> None:
        """
        A new wire begins without sessions, unless it is told to keep them.
        """
        before = sessions._sessions.copy()
        self.addCleanup(sessions._sessions.update, before)
        key: Any = ("a purpose",)
        session: Any = object()
        sessions.keep(key, session)
        Wire(keepsSessions=True)
        self.assertIs(sessions.take(key), session)
        sessions.keep(key, session)
        Wire()
        self.assertIsNone(sessions.take(key))
