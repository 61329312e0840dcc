"""
Tests for the wires of L{txsslstream.testing.conformance}, and for what else its
cases are made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Client, Server
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txsslstream import (
    AuthenticationError,
    HandshakeTimeout,
    SslStream,
    SslStreamProtocol,
    TlsAlert,
)
from txsslstream.testing import MisbehavingPeer
from txsslstream.testing.conformance import (
    Conformance,
    ITestWire,
    MemoryTestWire,
    TCPTestWire,
    TLSTestWire,
    UNIXTestWire,
    behaviour,
    behavioursOf,
    oneByOne,
)
from txsslstream.testing.conforming import (
    expect,
    expectRaises,
    expectWaiting,
    troubleOf,
)
from txsslstream.testing.sockets import PumpedReactor
from txsslstream.testing.transferring import recordSizes
from txsslstream.testing.wires import Listener

from .support import clientOptions, serverOptions
from .watching import openFiles


class WireTests(SynchronousTestCase):
    """
    What every wire does.
    """

    def wires(self) -> Iterator[Any]:
        """
        One of each kind.
        """
        for make in (
            MemoryTestWire,
            lambda: MemoryTestWire(1),
            TCPTestWire,
            lambda: TCPTestWire(1),
            UNIXTestWire,
            lambda: UNIXTestWire(1),
            TLSTestWire,
        ):
            wire = make()
            yield wire
            wire.close()
            self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_interface(self) -> None:
        """
        Each is what it should be, and its clock is one.
        """
        for wire in self.wires():
            verifyObject(ITestWire, wire)
            self.assertTrue(IReactorTime.providedBy(wire.clock))
            wire.connect(Listener(), Listener())

    def test_carried(self) -> None:
        """
        What an end sends arrives at the other when it is let, behind what it has
        sent before; how much it was is known.
        """
        for wire in self.wires():
            client, server = Listener(), Listener()
            wire.connect(client, server)
            self.assertTrue(wire.isConnected(False) and wire.isConnected(True))
            for isServer, one, other in ((False, client, server), (True, server, client)):
                transport: Any = one.transport
                before = wire.sent(isServer)
                transport.write(b"one, ")
                self.assertEqual(other.received, b"")
                wire.inject(isServer, b"two")
                wire.flush()
                self.assertEqual(other.received, b"one, two")
                self.assertGreaterEqual(wire.sent(isServer) - before, 8)
                sent = wire.everSent(isServer)
                self.assertIn(sent, (None, b"one, two"))

    def test_heard(self) -> None:
        """
        What comes to nobody's stream is heard, and why the connection ended.
        """
        for wire in self.wires():
            client, server = wire.transports()
            self.assertIsNot(client, server)
            wire.inject(False, b"in the clear")
            wire.flush()
            self.assertEqual(wire.heard(True), b"in the clear")
            self.assertEqual(wire.heard(False), b"")
            self.assertEqual((wire.losses(False), wire.losses(True)), ([], []))
            wire.reset(False)
            wire.flush()
            for isServer in (False, True):
                (reason,) = wire.losses(isServer)
                self.assertTrue(reason.check(ConnectionDone, ConnectionLost))

    def test_stalled(self) -> None:
        """
        What is stalled does not arrive, and the end neither, until it is
        released; the other direction goes on.
        """
        for wire in self.wires():
            client, server = Listener(), Listener()
            wire.connect(client, server)
            wire.stall(False)
            wire.inject(False, b"stalled")
            wire.inject(True, b"not stalled")
            wire.flush()
            self.assertEqual((client.received, server.received), (b"not stalled", b""))
            wire.end(False)
            wire.flush()
            self.assertEqual(server.losses, [])
            wire.release(False)
            wire.flush()
            self.assertEqual(server.received, b"stalled")
            self.assertEqual(len(server.losses), 1)

    def test_ends(self) -> None:
        """
        Both ends hear of an end once, and whether it was in order if that can be
        told.
        """
        for isServer in (False, True):
            for isReset in (False, True):
                for wire in self.wires():
                    both = Listener(), Listener()
                    wire.connect(*both)
                    wire.inject(isServer, b"last words")
                    if not isReset:
                        wire.end(isServer)
                        wire.flush()
                        self.assertEqual(both[not isServer].received, b"last words")
                    else:
                        wire.reset(isServer)
                        wire.flush()
                    self.assertFalse(wire.isConnected(isServer) or wire.isConnected(not isServer))
                    self.assertEqual([len(each.losses) for each in both], [1, 1])
                    if wire.hasResets:
                        isLost = both[not isServer].losses[0].check(ConnectionLost) is not None
                        self.assertEqual(isLost, isReset, wire)

    def test_time(self) -> None:
        """
        Time passes when it is told, with everything at its moment.
        """
        for wire in self.wires():
            wire.connect(Listener(), Listener())
            start = wire.clock.seconds()
            seen: list[float] = []
            for seconds in (2, 1, 0, 3):
                wire.clock.callLater(
                    seconds, lambda it=wire, seen=seen: seen.append(it.clock.seconds())
                )
            wire.flush()
            self.assertEqual(seen, [start])
            wire.advance(2.5)
            self.assertEqual(seen, [start, start + 1, start + 2])
            self.assertEqual(wire.clock.seconds(), start + 2.5)
            wire.advance(10)
            self.assertEqual(seen[3:], [start + 3])

    def test_much(self) -> None:
        """
        Nothing is lost of what is more than sockets take.
        """
        for wire in (MemoryTestWire(), TCPTestWire(), UNIXTestWire(), TLSTestWire()):
            client, server = Listener(), Listener()
            wire.connect(client, server)
            data = os.urandom(1 << 20) * 10
            wire.stall(True)
            wire.inject(True, data)
            wire.flush()
            self.assertEqual(client.received, b"")
            wire.release(True)
            wire.flush()
            self.assertTrue(client.received == data)
            wire.close()


class SocketTests(SynchronousTestCase):
    """
    What is particular to sockets.
    """

    def test_real(self) -> None:
        """
        TCP's are Twisted's very own transports, so that streams treat them as
        such.
        """
        wire = TCPTestWire()
        client, server = wire.transports()
        self.assertEqual((type(client), type(server)), (Client, Server))
        self.assertEqual(client.getPeer().port, server.getHost().port)
        self.assertEqual(client.getPeer().host, "127.0.0.1")
        wire.close()

    def test_nothingLeft(self) -> None:
        """
        A wire that is closed leaves neither descriptors nor files.
        """
        for kind in (TCPTestWire, UNIXTestWire):
            before = openFiles("socket:")
            wire = kind()
            wire.transports()
            self.assertEqual(len(openFiles("socket:")), len(before) + 2)
            path = wire._directory.name if isinstance(wire, UNIXTestWire) else None
            wire.close()
            self.assertEqual(openFiles("socket:"), before)
            self.assertFalse(path is not None and os.path.exists(path))

    def test_lostOnTheWay(self) -> None:
        """
        What does not arrive is an error, and not waited for for ever.
        """
        wire = TCPTestWire()
        wire.PATIENCE = 0
        wire.transports()
        wire._taps[0].sent += b"never"
        with self.assertRaisesRegex(AssertionError, "what was sent does not arrive"):
            wire.flush()
        wire._taps[0].sent.clear()
        wire.close()

    def test_notConnected(self) -> None:
        """
        Nor is a connection that does not come about.
        """

        class Deaf(TCPTestWire):
            PATIENCE = 0

            def dial(self, client: Any, server: Any) -> Any:
                return self.clock.listenTCP(0, server, interface="127.0.0.1")

        wire = Deaf()
        with self.assertRaisesRegex(AssertionError, "nobody is connected"):
            wire.transports()
        for reader in wire.clock.removeAll():
            reader.connectionLost(Failure(ConnectionDone()))

    def test_segments(self) -> None:
        """
        What comes is read in pieces of the size that was asked for.
        """
        for kind in (TCPTestWire, UNIXTestWire):
            sizes: list[int] = []
            wire = kind(iter([2, 3]))
            client, server = Listener(), Listener()
            server.dataReceived = lambda data: sizes.append(len(data))  # type: ignore[method-assign]  # noqa: B023
            wire.connect(client, server)
            wire.inject(False, b"0123456789")
            wire.flush()
            self.assertEqual(sizes, [2, 3, 5])
            wire.close()

    def test_hold(self) -> None:
        """
        A transport that does not want to be read is not, when it is let go.
        """
        wire = TCPTestWire()
        client, server = Listener(), Listener()
        wire.connect(client, server)
        transport: Any = server.transport
        for want in (True, False):
            wire.stall(False)
            transport.pauseProducing()
            if want:
                transport.resumeProducing()
            wire.inject(False, b"x")
            wire.flush()
            self.assertEqual(server.received, b"" if want else b"x")
            wire.release(False)
            wire.flush()
            self.assertEqual(server.received, b"x")
        transport.resumeProducing()
        wire.flush()
        self.assertEqual(server.received, b"xx")
        wire.close()

    def test_noReactor(self) -> None:
        """
        A pumped reactor is nobody else's: it has a time of its own, and is not
        installed.
        """
        from twisted.internet import reactor

        pumped = PumpedReactor()
        self.assertIsNot(pumped, reactor)
        self.assertEqual(pumped.seconds(), 0)
        self.assertEqual(pumped.getReaders(), [])
        called: list[float] = []
        pumped.callLater(5, lambda: called.append(pumped.seconds()))
        pumped.turn()
        self.assertEqual(called, [])
        pumped.advance(5, pumped.turn)
        self.assertEqual(called, [5])


class TLSTests(SynchronousTestCase):
    """
    What is particular to another TLS.
    """

    def test_layers(self) -> None:
        """
        Streams are made on authenticated streams, and protocols get the
        transport of any application.
        """
        wire = TLSTestWire()
        for each in wire.transports():
            self.assertIs(type(each), SslStream)
            self.assertTrue(each.isAuthenticated)
        wire.close()
        wire = TLSTestWire()
        both = Listener(), Listener()
        wire.connect(*both)
        for listener in both:
            self.assertIs(type(listener.transport), SslStreamProtocol)
        wire.inject(False, b"secret")
        wire.flush()
        self.assertEqual(both[1].received, b"secret")
        self.assertNotIn(b"secret", bytes(wire.ends[0].everWritten))
        wire.close()


class ExpectationTests(SynchronousTestCase):
    """
    How the suite complains.
    """

    def test_expect(self) -> None:
        """
        What is not as it should be is said, with no more words than needed.
        """
        expect(5, 5)
        with self.assertRaisesRegex(AssertionError, "^b'ab', and not b'abc'$"):
            expect(b"ab", b"abc")
        with self.assertRaises(AssertionError) as raised:
            expect(bytes(100_000), b"")
        self.assertLess(len(str(raised.exception)), 500)

    def test_waiting(self) -> None:
        """
        A Deferred waits, or has fired.
        """
        expectWaiting(Deferred(), Deferred())
        self.assertRaises(AssertionError, expectWaiting, Deferred(), succeed(None))

    def test_raises(self) -> None:
        """
        A call raises what it should, or else that is an error.
        """
        expectRaises(ZeroDivisionError, lambda: 1 / 0)
        self.assertRaises(ZeroDivisionError, expectRaises, KeyError, lambda: 1 / 0)
        self.assertRaises(AssertionError, expectRaises, KeyError, lambda: 1)

    def test_trouble(self) -> None:
        """
        An authentication's error of any kind is returned; anything else is an
        error.
        """
        error = HandshakeTimeout("too long")
        self.assertIs(troubleOf(fail(error)), error)
        for other in (Deferred(), succeed(None), fail(ZeroDivisionError())):
            self.assertRaises(AssertionError, troubleOf, other)
            other.addErrback(lambda _: None)

    def test_records(self) -> None:
        """
        The sizes of records are told with their headers.
        """
        self.assertEqual(recordSizes(b""), [])
        self.assertEqual(recordSizes(b"\x17\3\3\0\2ab\x15\3\3\0\0"), [7, 5])

    def test_oneByOne(self) -> None:
        """
        The first deliveries are of one byte each, the others are not.
        """
        segment: Any = oneByOne(3, 50)
        self.assertEqual([next(segment) for _ in range(5)], [1, 1, 1, 50, 50])

    def test_behaviours(self) -> None:
        """
        A test says which behaviours it shows, and more than one may show one.
        """

        class Case:
            @behaviour(1, 2)
            def test_one(self) -> None: ...

            @behaviour(2)
            def test_two(self) -> None: ...

            def test_none(self) -> None: ...

        self.assertEqual(behavioursOf(Case), {1: ["test_one"], 2: ["test_one", "test_two"]})

    def test_leftovers(self) -> None:
        """
        A case whose stream leaves a timer running fails when it is torn down,
        and its wires are closed.
        """
        for isLeft in (True, False):
            case = Conformance()
            case.setUp()
            talk = case.opened()
            if isLeft:
                talk.wire.clock.callLater(1, lambda: None)
                self.assertRaises(AssertionError, case.tearDown)
            else:
                case.tearDown()
            self.assertFalse(talk.wire.isConnected(False))


class PeerTests(SynchronousTestCase):
    """
    The peers that misbehave, on real sockets.
    """

    def test_refusal(self) -> None:
        """
        An alert, and silence, are what they are in memory.
        """
        case = Conformance()
        case.makeWire = TCPTestWire  # type: ignore[method-assign]
        for isServer in (False, True):
            case.isServer = isServer
            case.setUp()
            options: Any = serverOptions() if isServer else clientOptions()
            talk = case.alone(MisbehavingPeer.sendsAlert(TlsAlert.internal_error))
            authenticated = case.authenticate(talk.ours, options)
            if isServer:
                talk.wire.inject(False, b"\x15\3\3\0\2\2P")
            talk.flush()
            self.assertIsInstance(troubleOf(authenticated), AuthenticationError)
            case.tearDown()
