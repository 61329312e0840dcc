"""
Tests for L{txsslstream._transports}: what every transport is asked, whether it
knows it or not.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsslstream._transports import abort, defaultClock, unsentBytes
from txsslstream.testing import Bystander, MemoryTransport


def wrapped(transport: Any) -> ProtocolWrapper:
    """
    A protocol wrapper on a transport.
    """
    wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapper.makeConnection(transport)
    return wrapper


class ClockTests(SynchronousTestCase):
    """
    Tests for L{defaultClock}.
    """

    def test_reactor(self) -> None:
        """
        A transport's own reactor is its clock, else the global one is.
        """
        transport: Any = MemoryTransport("ours")
        self.assertIs(defaultClock(transport), IReactorTime(reactor))
        transport.reactor = Clock()
        self.assertIs(defaultClock(transport), transport.reactor)


class UnsentTests(SynchronousTestCase):
    """
    Tests for L{unsentBytes}.
    """

    def test_socket(self) -> None:
        """
        A transport of Twisted's tells what it has still to send, also through
        wrappers, and anything else tells nothing.
        """

        class Transport(FileDescriptor):
            connected = 1

            def writeSomeData(self, data: bytes) -> int:
                return min(len(data), 300)

            def startWriting(self) -> None:
                pass

        transport = Transport(MemoryReactorClock())
        wrapper = wrapped(transport)
        for part in (b"a" * 500, b"b" * 500):
            transport.write(part)
        for unsent in (1000, 700, 400):
            self.assertEqual(unsentBytes(transport), unsent)
            self.assertEqual(unsentBytes(wrapper), unsent)
            transport.doWrite()
        transport.write(b"c" * 50)
        self.assertEqual(unsentBytes(transport), 150)
        for other in (object(), None):
            self.assertEqual(unsentBytes(other), 0)


class AbortTests(SynchronousTestCase):
    """
    Tests for L{abort}.
    """

    def test_quick(self) -> None:
        """
        What can be aborted is.
        """
        transport = MemoryTransport("ours")
        abort(transport)
        self.assertIsInstance(transport.closing, ConnectionAborted)

    def test_plain(self) -> None:
        """
        What cannot be aborted is closed.
        """

        class Plain:
            isClosed = False

            def loseConnection(self) -> None:
                self.isClosed = True

        plain = Plain()
        abort(plain)
        self.assertTrue(plain.isClosed)


class StandardIOTests(SynchronousTestCase):
    """
    Tests for L{abort} and L{unsentBytes} with C{StandardIO}.
    """

    def setUp(self) -> None:
        """
        Standard input and output, with nobody at the other end who reads.
        """
        self.reactor = MemoryReactorClock()
        self.stdin, theirOutput = os.pipe()
        self.theirInput, stdout = os.pipe()
        for descriptor in (self.stdin, theirOutput, self.theirInput, stdout):
            self.addCleanup(os.close, descriptor)
        self.protocol = Bystander()
        # The type is that of another platform's.
        make: Any = StandardIO
        self.transport = make(self.protocol, self.stdin, stdout, self.reactor)

    def test_unsent(self) -> None:
        """
        It tells what it has still to send, also through wrappers.
        """
        self.transport.write(bytes(1000))
        self.assertEqual(unsentBytes(self.transport), 1000)
        self.assertEqual(unsentBytes(wrapped(self.transport)), 1000)

    def test_abort(self) -> None:
        """
        It is aborted although it would go on writing, in a turn of its own, also
        through wrappers, and its protocol hears of it once.
        """
        for through in (lambda transport: transport, wrapped):
            self.setUp()
            end = through(self.transport)
            self.transport.protocol = self.protocol
            self.transport.write(bytes(1 << 20))
            abort(end)
            abort(end)
            self.assertIsNone(self.protocol.lost)
            self.reactor.advance(0)
            assert self.protocol.lost is not None
            self.assertTrue(self.protocol.lost.check(ConnectionAborted))
            self.assertTrue(self.transport.disconnected)
            self.assertEqual(self.reactor.getReaders() + self.reactor.getWriters(), [])

    def test_abortUnread(self) -> None:
        """
        It is aborted when nobody reads it any more, although it does not end by
        being closed then.
        """
        self.transport.childConnectionLost("write", Failure(ConnectionLost()))
        self.transport.loseConnection()
        self.reactor.advance(0)
        self.assertIsNone(self.protocol.lost)
        abort(self.transport)
        self.reactor.advance(0)
        assert self.protocol.lost is not None
        self.assertTrue(self.protocol.lost.check(ConnectionAborted))

    def test_abortClosing(self) -> None:
        """
        It is aborted when it was closed before, and nothing happens when it has
        ended meanwhile.
        """
        self.transport.write(bytes(1 << 20))
        self.transport.loseConnection()
        abort(self.transport)
        self.reactor.advance(0)
        assert self.protocol.lost is not None
        before = self.protocol.lost
        abort(self.transport)
        self.reactor.advance(0)
        self.assertIs(self.protocol.lost, before)
