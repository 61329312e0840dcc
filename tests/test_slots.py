"""
Tests for L{txsslstream._slots}: where transports have their protocols.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import InvalidOperationError, StartTLSFactory
from txsslstream._processes import ProcessWire
from txsslstream._slots import Slot
from txsslstream.testing import Bystander, MemoryTransport

from .processes import MemoryProcess, Parent
from .support import serverOptions


class SlotTests(SynchronousTestCase):
    """
    Tests for L{Slot}.
    """

    def setUp(self) -> None:
        """
        A transport that is connected to a protocol.
        """
        self.transport = MemoryTransport("ours")
        self.protocol = Bystander()
        self.protocol.makeConnection(self.transport)
        self.transport.protocol = self.protocol

    def wrapper(self, wrapped: Protocol | None = None) -> ProtocolWrapper:
        """
        A wrapper between the transport and a protocol.
        """
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), wrapped or self.protocol)
        wrapper.makeConnection(self.transport)
        self.transport.protocol = wrapper
        return wrapper

    def assertTakes(self, slot: Slot, transport: Any, former: Any) -> None:
        """
        That is where a protocol is, and where another gets what comes.
        """
        self.assertIs(slot.transport, transport)
        self.assertIs(slot.occupant, former)
        other = Bystander()
        slot.occupant = other
        self.transport.protocol.dataReceived(b"data")
        self.assertEqual(other.received, b"data")
        self.assertEqual(self.protocol.received, b"")
        slot.occupant = former
        self.transport.protocol.dataReceived(b"data")
        self.assertEqual(self.protocol.received, b"data")

    def test_transport(self) -> None:
        """
        A transport has its protocol.
        """
        self.assertTakes(Slot(self.transport), self.transport, self.protocol)

    def test_wrapper(self) -> None:
        """
        A wrapper has what it wraps.
        """
        wrapper = self.wrapper()
        self.assertTakes(Slot(wrapper), wrapper, self.protocol)

    def test_startedTLS(self) -> None:
        """
        After Twisted's C{startTLS} it is the transport's protocol that has it,
        but for somebody with a wrapper above that it is the wrapper.
        """
        above = ProtocolWrapper(WrappingFactory(Factory()), self.protocol)
        below = self.wrapper(above)
        self.transport.TLS = True  # type: ignore[attr-defined]
        self.assertIs(Slot(self.transport).transport, below)
        self.assertIs(Slot(self.transport).occupant, above)
        self.assertTakes(Slot(above), above, self.protocol)

    def test_ourStartTLS(self) -> None:
        """
        A transport of L{StartTLSFactory} has its protocol before TLS has begun,
        and then it is the TLS protocol that has it.
        """
        factory = StartTLSFactory(Factory.forProtocol(lambda: self.protocol), clock=Clock())
        upgradable = factory.buildProtocol(None)
        upgradable.makeConnection(self.transport)
        self.transport.protocol = upgradable
        self.assertTakes(Slot(upgradable), upgradable, self.protocol)
        upgradable.startTLS(serverOptions())
        tls = upgradable.transport
        self.assertIs(Slot(upgradable).transport, tls)
        self.assertIs(Slot(upgradable).occupant, self.protocol)

    def test_process(self) -> None:
        """
        A process has a connection that has it.
        """
        parent = Parent()
        process = MemoryProcess(parent, Clock(), self.transport)
        slot = Slot(process)
        self.assertIsInstance(slot.transport, ProcessWire)
        slot.occupant = other = Bystander()
        process.proto.childDataReceived(1, b"data")
        self.assertEqual(other.received, b"data")

    def test_notConnected(self) -> None:
        """
        What is not connected to a protocol is refused.
        """
        lost = self.wrapper()
        lost.wrappedProtocol = None  # type: ignore[assignment]
        self.transport.protocol = None
        unconnected = ProtocolWrapper(WrappingFactory(Factory()), None)  # type: ignore[arg-type]
        for wrong in (self.transport, lost, unconnected, object(), None, Protocol()):
            error = self.assertRaises(TypeError, Slot, wrong)
            self.assertEqual(str(error), f"not a connected transport: {wrong!r}")

    def test_producer(self) -> None:
        """
        It is told whether somebody produces for the transport, also below a
        wrapper.
        """
        for transport in (self.transport, self.wrapper()):
            slot = Slot(transport)
            slot.requireNoProducer()
            transport.registerProducer(object(), True)
            error = self.assertRaises(InvalidOperationError, slot.requireNoProducer)
            self.assertIn("unregister it first", str(error))
            transport.unregisterProducer()
            slot.requireNoProducer()
