"""
Tests for L{txsslstream.forward} and L{txsslstream._forwarding}: whole connections in memory, with
TLS at the client's end or at the target's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import ref

from OpenSSL.crypto import X509, PKey
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import AuthenticationError, SslProtocols, TlsAlert
from txsslstream._forwarding import LINGER, nameOf
from txsslstream._proxied import headerOf, ownHeader
from txsslstream._waiting import _parked
from txsslstream.access import AccessRule
from txsslstream.forward import LAST_HANDSHAKES, Forwarder
from txsslstream.testing import Application, Authority, HalfCloseableApplication, perVersion

from .forwarding import Network, PipeTransport, SocketWire, Target, Visit
from .garbage import withoutCollector
from .support import AUTHORITY, CLIENT, SERVER

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object

#: More than any buffer holds.
MUCH = bytes(range(251)) * 17_000

#: What may be under way between a peer that sends and one that takes nothing, in
#: bytes: a transport's buffer, what was read at once, what TLS adds to that, and
#: what it keeps back to send together.
BOUND = (1 << 16) + (1 << 16) + (1 << 13) + 64_000


class ForwardingMixin(_Mixin):
    """
    For test cases made by L{perVersion}.

    @cvar isOriginating: whether TLS is spoken with the target.
    """

    version: SslProtocols
    segment: int
    isOriginating: bool

    def network(self, **settings: Any) -> Network:
        """
        A network, with nobody in it yet.
        """
        return Network(self.version, self.segment, self.isOriginating, **settings)

    def joined(self, **settings: Any) -> Joined:
        """
        A network with one client that is connected to the target.
        """
        network = self.network(**settings)
        with capturedLogs() as logged:
            joined = Joined(network, network.visit())
        self.assertEqual(logged, [])
        self.assertEqual(network.forwarder.connections, 1)
        return joined

    def bothWays(self, **settings: Any) -> Iterator[Joined]:
        """
        The same, seen from each of its sides; it is checked that each is over in
        the end, and has left nothing behind.
        """
        for isReversed in (False, True):
            joined = self.joined(**settings)
            yield joined.reversed() if isReversed else joined
            self.assertOver(joined.network)

    def assertOver(self, network: Network) -> None:
        """
        Nobody is connected, no timer runs, and no handshake is parked.
        """
        network.flush()
        self.assertEqual(network.forwarder.connections, 0)
        for wire in (*(visit.wire for visit in network.visits), *network.target.wires):
            for transport in (wire.client, wire.server):
                if transport.connected:
                    # It was told the end, and is at leisure to end itself.
                    transport.lost(ConnectionDone())
        self.assertEqual(network.clock.getDelayedCalls(), [])
        self.assertEqual(_parked, set())


def bothModes(mixin: type) -> type:
    """
    Run a test case with TLS at either side, for each version and segmentation: a
    class decorator.
    """
    for mode in ("terminate", "originate"):
        settings = {
            "isOriginating": mode == "originate",
            "__module__": mixin.__module__,
            "__doc__": mixin.__doc__,
        }
        perVersion()(type(f"{mixin.__name__}_{mode}", (mixin,), settings))
    return mixin


class Joined:
    """
    A client and its target, seen from one of them.

    @ivar near: the application that the test looks at.
    @ivar far: the other.
    @ivar nearWire: between the near one and the forwarder; the forwarder's end is
        C{nearEnd}.
    """

    def __init__(self, network: Network, visit: Visit) -> None:
        self.network = network
        self.near: Any = visit.application
        self.far: Any = network.target.applications[-1]
        self.nearName, self.farName = "client", "target"
        self.nearOuter, self.nearEnd = visit.wire.client, visit.wire.server
        self.farEnd, self.farOuter = (
            network.target.wires[-1].client,
            network.target.wires[-1].server,
        )

    def reversed(self) -> Joined:
        """
        The same, seen from the other side.
        """
        other = Joined.__new__(Joined)
        other.network = self.network
        for one, another in (
            ("near", "far"),
            ("nearName", "farName"),
            ("nearOuter", "farOuter"),
            ("nearEnd", "farEnd"),
        ):
            setattr(other, one, getattr(self, another))
            setattr(other, another, getattr(self, one))
        return other

    def flush(self) -> None:
        """
        See L{Network.flush}.
        """
        self.network.flush()

    def endBoth(self) -> None:
        """
        Let both sides say that they send no more.
        """
        self.near.transport.loseWriteConnection()
        self.flush()
        self.far.transport.loseWriteConnection()
        self.flush()


def linesOf(logged: Any) -> list[str]:
    """
    @return: what was logged, as people read it.
    """
    return [str(formatEvent(event)) for event in logged]


@bothModes
class DataTests(ForwardingMixin):
    """
    Data on its way.
    """

    def test_bothDirections(self) -> None:
        """
        What either side sends the other gets, in order, and each is counted.
        """
        for joined in self.bothWays():
            for number in range(5):
                joined.near.transport.write(b"question %d" % number)
                joined.flush()
                joined.far.transport.write(b"answer %d" % number)
                joined.flush()
            self.assertEqual(joined.far.received, b"".join(b"question %d" % n for n in range(5)))
            self.assertEqual(joined.near.received, b"".join(b"answer %d" % n for n in range(5)))
            with capturedLogs() as logged:
                joined.endBoth()
            sent, back = (50, 40) if joined.nearName == "client" else (40, 50)
            self.assertEqual(
                linesOf(logged),
                [
                    f"peer of server: {sent} bytes to the target, {back} back, 0.0 s; "
                    f"ended by the {joined.nearName}"
                ],
            )
            self.assertEqual(logged[0]["log_level"], LogLevel.info)

    def test_atOnce(self) -> None:
        """
        Both sides may send at once.
        """
        for joined in self.bothWays():
            joined.near.transport.write(MUCH[:3000])
            joined.far.transport.write(MUCH[3000:6000])
            joined.flush()
            self.assertEqual(joined.far.received, MUCH[:3000])
            self.assertEqual(joined.near.received, MUCH[3000:6000])
            joined.endBoth()

    def test_early(self) -> None:
        """
        What a client sends before there is a connection to the target is held
        back, and arrives.
        """
        network = self.network()
        network.target.mode = "later"
        visit = network.visit()
        visit.application.transport.write(b"early")
        network.flush()
        self.assertTrue(visit.wire.server.isPaused)
        self.assertEqual(visit.application.received, b"")
        network.target.connectNow()
        network.flush()
        self.assertEqual(network.target.applications[0].received, b"early")
        self.assertFalse(visit.wire.server.isPaused)
        Joined(network, visit).endBoth()
        self.assertOver(network)

    def test_earlyEnd(self) -> None:
        """
        A client may have sent all, and its end, before there is a connection to
        the target, and gets the answer.
        """
        network = self.network(
            makeClient=lambda: HalfCloseableApplication(
                made=lambda each: _writesAll(each, b"early")
            )
        )
        network.target.mode = "later"
        visit = network.visit()
        network.target.connectNow()
        network.flush()
        target = network.target.applications[0]
        self.assertEqual(target.received, b"early")
        self.assertEqual(target.events[-1], "end")
        _writesAll(target, b"answer")
        network.flush()
        self.assertEqual(visit.application.received, b"answer")
        self.assertIn("end", visit.application.events)
        self.assertOver(network)

    def test_settings(self) -> None:
        """
        Both connections are kept alive, so that it is noticed when a peer has
        vanished, and send at once what they have, however little that is.
        """
        joined = self.joined()
        for end in (joined.nearEnd, joined.farEnd):
            self.assertTrue(end.keepsAlive)
            self.assertTrue(end.isUndelayed)
        joined.endBoth()


def _writesAll(application: Any, data: bytes) -> None:
    application.transport.write(data)
    application.transport.loseWriteConnection()


@bothModes
class PressureTests(ForwardingMixin):
    """
    Whoever is slow holds the other side back.
    """

    def test_bounded(self) -> None:
        """
        While one side takes nothing, little more than a buffer is taken from the
        other; when it takes again it gets everything.
        """
        for joined in self.bothWays():
            for transport in (joined.nearOuter, joined.farEnd):
                self.assertIsNotNone(transport)
            joined.farOuter.isPaused = True
            _segment(joined, 1 << 16)
            joined.near.transport.write(MUCH)
            joined.flush()
            self.assertTrue(joined.nearEnd.isPaused)
            taken = len(joined.nearOuter.everWritten) - len(joined.nearOuter.written)
            self.assertGreater(taken, 0)
            self.assertLess(taken, BOUND)
            self.assertLess(len(joined.farEnd.written), BOUND)
            # The other direction is not held back.
            joined.far.transport.write(b"meanwhile")
            joined.flush()
            self.assertEqual(joined.near.received, b"meanwhile")
            joined.farOuter.isPaused = False
            joined.flush()
            self.assertEqual(joined.far.received, MUCH)
            self.assertFalse(joined.nearEnd.isPaused)
            joined.endBoth()

    def test_ended(self) -> None:
        """
        The end that comes behind much is not told before all of it was taken.
        """
        for joined in self.bothWays():
            joined.farOuter.isPaused = True
            _segment(joined, 1 << 16)
            _writesAll(joined.near, MUCH)
            joined.flush()
            self.assertNotIn("end", joined.far.events)
            joined.farOuter.isPaused = False
            joined.flush()
            self.assertEqual(joined.far.received, MUCH)
            self.assertEqual(joined.far.events[-1], "end")
            joined.far.transport.loseWriteConnection()

    def test_early(self) -> None:
        """
        As long as there is no connection to the target no more is kept than what
        was read at once.
        """
        network = self.network()
        network.target.mode = "later"
        visit = network.visit()
        visit.wire.segment = 1 << 16
        visit.application.transport.write(MUCH)
        network.flush()
        outer = visit.wire.client
        self.assertLess(len(outer.everWritten) - len(outer.written), BOUND)
        network.target.connectNow()
        for wire in network.target.wires:
            wire.segment = 1 << 16
        network.flush()
        self.assertEqual(network.target.applications[0].received, MUCH)
        Joined(network, visit).endBoth()
        self.assertOver(network)


def _segment(joined: Joined, size: int) -> None:
    for visit in joined.network.visits:
        visit.wire.segment = size
    for wire in joined.network.target.wires:
        wire.segment = size


@bothModes
class EndTests(ForwardingMixin):
    """
    How the end of one side becomes the end of the other.
    """

    def test_halves(self) -> None:
        """
        A side that sends no more can still receive, whichever it is; when the
        other sends no more either, both connections are closed.
        """
        for joined in self.bothWays():
            _writesAll(joined.near, b"question")
            joined.flush()
            self.assertEqual(joined.far.received, b"question")
            self.assertEqual(joined.far.events[-1], "end")
            self.assertNotIn("end", joined.near.events)
            joined.far.transport.write(b"answer")
            joined.flush()
            self.assertEqual(joined.near.received, b"answer")
            joined.far.transport.loseWriteConnection()
            joined.flush()
            self.assertIn("end", joined.near.events)
            for application in (joined.near, joined.far):
                if "lost" in application.events:
                    self.assertIsInstance(application.reason, ConnectionDone)
            self.assertFalse(joined.nearEnd.connected)
            self.assertFalse(joined.farEnd.connected)
            self.assertEqual(joined.network.forwarder.failed, 0)

    def test_closed(self) -> None:
        """
        Where a side closes altogether, the other gets what it had sent and the
        end, and then is closed, too.
        """
        for joined in self.bothWays():
            joined.near.transport.write(b"all")
            joined.near.transport.loseConnection()
            joined.flush()
            self.assertEqual(joined.far.received, b"all")
            self.assertEqual(joined.far.events[-1], "end")
            with capturedLogs() as logged:
                joined.far.transport.loseConnection()
                joined.flush()
            self.assertIsInstance(joined.near.reason, ConnectionDone)
            self.assertIsInstance(joined.far.reason, ConnectionDone)
            if logged:
                self.assertIn(f"; ended by the {joined.nearName}", linesOf(logged)[0])
            self.assertEqual(joined.network.forwarder.failed, 0)

    def test_truncated(self) -> None:
        """
        A side whose connection is lost before it has said that it sends no more
        makes the other's one that is cut off as well, and never its orderly end;
        the log says why.
        """
        for isReset in (False, True):
            for joined in self.bothWays():
                isTls = self.isTls(joined)
                if not isTls and not isReset:
                    # FIN is all the end that there is.
                    joined.endBoth()
                    continue
                joined.near.transport.write(b"not all")
                joined.flush()
                with capturedLogs() as logged:
                    if isReset:
                        joined.nearOuter.abortConnection()
                    else:
                        joined.nearOuter.loseConnection()
                    joined.flush()
                self.assertEqual(joined.far.received, b"not all")
                self.assertNotIn("end", joined.far.events)
                self.assertEqual(joined.far.events[-1], "lost")
                self.assertIsInstance(joined.far.reason, ConnectionLost)
                self.assertNotIsInstance(joined.far.reason, ConnectionDone)
                told = "the connection ended without close_notify" if isTls else "Connection"
                self.assertEqual(len(logged), 1, linesOf(logged))
                self.assertIn(f"; the {joined.nearName}: {told}", linesOf(logged)[0])
                self.assertEqual(joined.network.forwarder.failed, 1)

    def test_truncatedWithUnsent(self) -> None:
        """
        What was not sent yet of something that is cut off is not sent any more.
        """
        for joined in self.bothWays():
            joined.farOuter.isPaused = True
            joined.near.transport.write(b"not all")
            joined.flush()
            joined.nearOuter.abortConnection()
            joined.flush()
            joined.farOuter.isPaused = False
            joined.flush()
            self.assertNotIn("end", joined.far.events)
            self.assertIsInstance(joined.far.reason, ConnectionLost)

    def test_resetAfterEnd(self) -> None:
        """
        What a side has sent with its end arrives whole, even if its connection
        is reset after that, as happens where what it was sent is left unread.
        """
        for joined in self.bothWays():
            joined.farOuter.isPaused = True
            _segment(joined, 1 << 16)
            _writesAll(joined.near, MUCH[:50_000])
            joined.flush()
            self.assertEqual(joined.far.received, b"")
            joined.nearOuter.abortConnection()
            joined.flush()
            joined.farOuter.isPaused = False
            joined.flush()
            self.assertEqual(joined.far.received, MUCH[:50_000])
            self.assertEqual(joined.far.events[-1], "end")
            joined.far.transport.loseConnection()

    def test_truncatedAfterOthersEnd(self) -> None:
        """
        A side that has not said that it sends no more may not break off, even
        if the other has.
        """
        for joined in self.bothWays():
            joined.far.transport.loseWriteConnection()
            joined.flush()
            joined.nearOuter.abortConnection()
            joined.flush()
            self.assertNotIn("end", joined.far.events)
            self.assertIsInstance(joined.far.reason, ConnectionLost)
            self.assertEqual(joined.network.forwarder.failed, 1)

    def test_garbage(self) -> None:
        """
        What is no TLS where there should be some ends both, and the other side is
        cut off.
        """
        joined = self.joined()
        if self.isOriginating:
            joined = joined.reversed()
        joined.nearEnd.protocol.dataReceived(b"\x17\x03\x03\x00\x20" + b"?" * 32)
        joined.flush()
        self.assertNotIn("end", joined.far.events)
        self.assertIsInstance(joined.far.reason, ConnectionLost)
        self.assertOver(joined.network)

    def test_lingering(self) -> None:
        """
        A side whose counterpart has gone is told the end and gets the time to
        end itself; what it still sends is discarded, and when it makes no
        progress it is cut off.
        """
        for joined in self.bothWays():
            joined.near.transport.loseWriteConnection()
            joined.flush()
            self.assertEqual(joined.far.events[-1], "end")
            joined.nearOuter.loseConnection()
            joined.flush()
            joined.far.transport.write(MUCH[:1000])
            joined.flush()
            self.assertFalse(joined.nearEnd.connected)
            self.assertEqual(joined.network.forwarder.connections, 1)
            joined.network.clock.advance(LINGER - 0.1)
            self.assertEqual(joined.network.forwarder.connections, 1)
            with capturedLogs() as logged:
                joined.network.clock.advance(0.1)
                joined.flush()
            self.assertIsInstance(joined.far.reason, ConnectionLost)
            (line,) = linesOf(logged)
            if self.isTls(joined):
                self.assertIn(f"; the {joined.farName} does not take what is left", line)
            else:
                # It has answered with a reset, so that the answer has not arrived.
                self.assertIn(f"; the {joined.nearName}: Connection to the other side", line)

    def isTls(self, joined: Joined) -> bool:
        """
        Whether the near side speaks TLS.
        """
        return (joined.nearName == "client") is not self.isOriginating

    def test_slowEnd(self) -> None:
        """
        Whoever takes what is left gets all of it, however slowly.
        """
        for joined in self.bothWays():
            joined.farOuter.isPaused = True
            _segment(joined, 1 << 16)
            _writesAll(joined.near, MUCH[:50_000])
            joined.flush()
            joined.nearOuter.loseConnection()
            joined.flush()
            _segment(joined, 8000)
            for _ in range(7):
                joined.farOuter.isPaused = False
                joined.network.step()
                joined.farOuter.isPaused = True
                joined.network.clock.advance(LINGER - 1)
            joined.farOuter.isPaused = False
            joined.flush()
            self.assertEqual(joined.far.received, MUCH[:50_000])
            self.assertEqual(joined.far.events[-1], "end")
            joined.far.transport.loseConnection()

    def test_pausedAtTheEnd(self) -> None:
        """
        A side that has ended while it was held back is noticed when it goes.
        """
        joined = self.joined()
        if self.isOriginating:
            joined = joined.reversed()
        joined.farOuter.isPaused = True
        _segment(joined, 0)
        # More than a buffer and the end, in one segment.
        _writesAll(joined.near, MUCH[: 1 << 17])
        joined.flush()
        joined.nearOuter.abortConnection()
        joined.flush()
        self.assertFalse(joined.nearEnd.connected)
        joined.farOuter.isPaused = False
        joined.flush()
        self.assertEqual(joined.far.received, MUCH[: 1 << 17])
        joined.far.transport.loseConnection()
        self.assertOver(joined.network)


@bothModes
class TargetTests(ForwardingMixin):
    """
    Targets that cannot be reached.
    """

    def assertEndedCleanly(self, visit: Visit) -> None:
        """
        A client was told the end, and nothing else.
        """
        self.assertEqual(visit.application.received, b"")
        self.assertIn("end", visit.application.events)
        if visit.application.reason is not None:
            self.assertIsInstance(visit.application.reason, ConnectionDone)

    def test_refused(self) -> None:
        """
        Where the target refuses, the client's connection is ended in order, and
        the log says why.
        """
        network = self.network(connectTimeout=100)
        network.target.mode = "refused"
        with capturedLogs() as logged:
            visit = network.visit()
            for timer in network.clock.getDelayedCalls():
                self.assertLessEqual(timer.getTime(), LINGER)
            visit.application.transport.write(b"unheard")
            network.flush()
            visit.application.transport.loseConnection()
            network.flush()
        self.assertEndedCleanly(visit)
        self.assertEqual(
            linesOf(logged),
            [
                "peer of server: 0 bytes to the target, 0 back, 0.0 s; no connection to the "
                "target: Connection was refused by other side."
            ],
        )
        self.assertEqual(network.forwarder.failed, 1)
        self.assertOver(network)

    def test_timedOut(self) -> None:
        """
        Where there is no connection to the target in time the attempt is given
        up, and the client's connection ended in order.
        """
        network = self.network(connectTimeout=7)
        network.target.mode = "later"
        visit = network.visit()
        network.clock.advance(6.9)
        self.assertEqual(network.target.cancelled, 0)
        network.clock.advance(0.1)
        self.assertEqual(network.target.cancelled, 1)
        with capturedLogs() as logged:
            network.flush()
            visit.application.transport.loseConnection()
            network.flush()
        self.assertEndedCleanly(visit)
        self.assertIn("; no connection to the target within 7 s", linesOf(logged)[0])
        self.assertOver(network)

    def test_looked(self) -> None:
        """
        Whether the target is there is found out by a connection to it, in which
        nothing is said but that it is nobody's, where there is a way to say that.
        """
        for version, header in (
            (0, b""),
            (1, b"PROXY UNKNOWN\r\n"),
            (2, ownHeader(2)),
        ):
            network = self.network(proxyVersion=version)
            looked = network.forwarder.unable()
            network.flush()
            self.assertEqual(self.successResultOf(looked), "")
            (application,) = network.target.applications
            self.assertEqual(application.received, header)
            self.assertIn("end", application.events)
            self.assertOver(network)
            self.assertEqual(network.forwarder.accepted, 0)

    def test_lookedForNobody(self) -> None:
        """
        Why it is not there is told; who says nothing is not waited for longer than
        for a client.
        """
        network = self.network()
        network.target.mode = "refused"
        why = self.successResultOf(network.forwarder.unable())
        self.assertIn("no connection to the target: Connection was refused", why)
        network = self.network(connectTimeout=3)
        network.target.mode = "later"
        looked = network.forwarder.unable()
        network.clock.advance(2.9)
        self.assertNoResult(looked)
        network.clock.advance(0.1)
        self.assertIn("no connection to the target within 3 s", self.successResultOf(looked))
        self.assertOver(network)

    def test_clientLeaves(self) -> None:
        """
        Where the client goes before there is a connection to the target the
        attempt is given up.
        """
        network = self.network()
        network.target.mode = "later"
        visit = network.visit()
        with capturedLogs() as logged:
            visit.wire.cut()
            network.flush()
        self.assertEqual(network.target.cancelled, 1)
        self.assertIn("; the client: ", linesOf(logged)[0])
        self.assertEqual(network.forwarder.failed, 1)
        self.assertOver(network)

    def test_clientLeavesInOrder(self) -> None:
        """
        That is no failure if the client has ended in order.
        """
        network = self.network()
        network.target.mode = "later"
        visit = network.visit()
        visit.application.transport.loseWriteConnection()
        network.flush()
        with capturedLogs() as logged:
            visit.wire.cut(ConnectionDone)
            network.flush()
        self.assertEqual(network.target.cancelled, 1)
        if self.isOriginating:
            # A socket's transport that is held back does not tell of the end.
            self.assertIn("; ended by the client", linesOf(logged)[0])
            self.assertEqual(network.forwarder.failed, 0)
        self.assertOver(network)

    def test_connectedTooLate(self) -> None:
        """
        A connection to the target that is there when nobody wants it any more is
        cut off.
        """
        network = self.network()
        network.target.mode = "later"
        visit = network.visit()
        visit.wire.cut()
        network.target.connectNow()
        network.flush()
        self.assertFalse(network.target.wires[0].client.connected)
        self.assertOver(network)


@bothModes
class LimitTests(ForwardingMixin):
    """
    Limits of time and number.
    """

    def test_idle(self) -> None:
        """
        When nothing has come from either side for so long, both are cut off.
        """
        for joined in self.bothWays(idleTimeout=60):
            clock = joined.network.clock
            for _ in range(3):
                clock.advance(59)
                joined.near.transport.write(b"x")
                joined.flush()
                clock.advance(59)
                joined.far.transport.write(b"x")
                joined.flush()
            self.assertEqual(joined.network.forwarder.connections, 1)
            clock.advance(59.9)
            joined.flush()
            self.assertEqual(joined.network.forwarder.connections, 1)
            with capturedLogs() as logged:
                clock.advance(0.1)
                joined.flush()
            for application in (joined.near, joined.far):
                self.assertNotIn("end", application.events)
                self.assertIsInstance(application.reason, ConnectionLost)
            self.assertIn("; idle for 60 s", linesOf(logged)[0])

    def test_idleSinceConnected(self) -> None:
        """
        The time begins with the connection to the target.
        """
        network = self.network(idleTimeout=10, connectTimeout=20)
        network.target.mode = "later"
        visit = network.visit()
        network.clock.advance(9)
        network.target.connectNow()
        network.flush()
        network.clock.advance(9)
        network.flush()
        joined = Joined(network, visit)
        joined.near.transport.write(b"in time")
        joined.flush()
        self.assertEqual(joined.far.received, b"in time")
        joined.endBoth()
        self.assertOver(network)

    def test_halfIdle(self) -> None:
        """
        That counts as well when one side has ended.
        """
        for joined in self.bothWays(idleTimeout=60):
            joined.near.transport.loseWriteConnection()
            joined.flush()
            joined.network.clock.advance(60)
            joined.flush()
            self.assertNotIn("end", joined.near.events)
            self.assertIsInstance(joined.near.reason, ConnectionLost)

    def test_neverIdle(self) -> None:
        """
        Without a limit a forwarding may be idle for ever, and no timer runs.
        """
        for joined in self.bothWays():
            self.assertEqual(joined.network.clock.getDelayedCalls(), [])
            joined.endBoth()

    def test_most(self) -> None:
        """
        No more clients are let in than is said, which the log tells once; when
        one has gone there is room for another.
        """
        network = self.network(mostConnections=2)
        visits = [network.visit() for _ in range(2)]
        with capturedLogs() as logged:
            for _ in range(3):
                network.visit()
        (warning,) = [each for each in logged if each["log_level"] is LogLevel.warn]
        self.assertEqual(formatEvent(warning), "2 clients: no more are let in")
        self.assertEqual((network.forwarder.accepted, network.forwarder.turnedAway), (2, 3))
        self.assertEqual(len(network.target.wires), 2)
        Joined(network, visits[1]).endBoth()
        visits[1].wire.cut()
        network.flush()
        visits.append(network.visit())
        self.assertEqual(len(network.target.wires), 3)
        for visit in visits:
            if visit.wire.client.connected:
                visit.wire.cut()
        network.flush()
        self.assertOver(network)

    def test_quiet(self) -> None:
        """
        A quiet forwarder tells of nothing but what has gone wrong.
        """
        for isCut in (False, True):
            joined = self.joined(isQuiet=True)
            with capturedLogs() as logged:
                if isCut:
                    joined.nearOuter.abortConnection()
                    joined.flush()
                else:
                    joined.endBoth()
            self.assertEqual(len(logged), int(isCut))
            self.assertOver(joined.network)


@bothModes
class DrainTests(ForwardingMixin):
    """
    The end of a forwarder.
    """

    def test_nobody(self) -> None:
        """
        Where nobody is there it is over at once; nobody is let in any more.
        """
        network = self.network()
        with capturedLogs() as logged:
            self.successResultOf(network.forwarder.drain(10))
        self.assertEqual(logged, [])
        network.visit()
        self.assertEqual((network.forwarder.accepted, network.visits), (0, []))
        self.assertOver(network)

    def test_inPeace(self) -> None:
        """
        Those who are there have their conversations, and it is over when the
        last has ended.
        """
        network = self.network()
        pairs = [Joined(network, network.visit()) for _ in range(2)]
        with capturedLogs() as logged:
            drained = network.forwarder.drain(10)
        self.assertEqual(linesOf(logged), ["2 connections are left to end, for at most 10 s"])
        for joined in pairs:
            self.assertNoResult(drained)
            joined.near.transport.write(b"still")
            joined.flush()
            self.assertEqual(joined.far.received, b"still")
            joined.endBoth()
        self.successResultOf(drained)
        self.successResultOf(network.forwarder.drain(10))
        self.assertOver(network)

    def test_cutOff(self) -> None:
        """
        Those who are there too long are cut off.
        """
        for joined in self.bothWays():
            drained = joined.network.forwarder.drain(10)
            joined.network.clock.advance(9.9)
            joined.flush()
            self.assertNoResult(drained)
            with capturedLogs() as logged:
                joined.network.clock.advance(0.1)
                joined.flush()
            self.successResultOf(drained)
            for application in (joined.near, joined.far):
                self.assertNotIn("end", application.events)
                self.assertIsInstance(application.reason, ConnectionLost)
            self.assertIn("; cut off by the shutdown", linesOf(logged)[0])

    def test_connecting(self) -> None:
        """
        A client that waits for the target is cut off then, too.
        """
        network = self.network(connectTimeout=60)
        network.target.mode = "later"
        network.visit()
        drained = network.forwarder.drain(10)
        self.assertNoResult(drained)
        network.clock.advance(10)
        network.flush()
        self.successResultOf(drained)
        self.assertEqual(network.target.cancelled, 1)
        self.assertOver(network)


@bothModes
class LeakTests(ForwardingMixin):
    """
    Nothing is left of a forwarding that is over.
    """

    def test_freed(self) -> None:
        """
        Without the help of the garbage collector, whatever way it has ended.
        """

        def ended(joined: Joined) -> None:
            joined.endBoth()

        def cut(joined: Joined) -> None:
            joined.nearOuter.abortConnection()

        def idle(joined: Joined) -> None:
            joined.network.clock.advance(60)

        def lingering(joined: Joined) -> None:
            joined.near.transport.loseConnection()
            joined.flush()
            joined.network.clock.advance(LINGER)

        for end in (ended, cut, idle, lingering):
            self.assertFreed(end)

    def assertFreed(self, end: Callable[[Joined], None]) -> None:
        """
        Nothing is left after this end.
        """
        withoutCollector(self)
        joined = self.joined(idleTimeout=60)
        network = joined.network
        left = self.parts(network)
        with capturedLogs():
            end(joined)
            joined.flush()
        for wire in (*(visit.wire for visit in network.visits), *network.target.wires):
            for transport in (wire.client, wire.server):
                if transport.connected:
                    transport.lost(ConnectionDone())
                # A socket's lets go of it itself.
                transport.protocol = None
        del joined, wire, transport
        network.visits.clear()
        network.target.wires.clear()
        network.target.applications.clear()
        self.assertEqual([each() for each in left], [None] * 3, end)

    def test_unreachable(self) -> None:
        """
        The same where there was no target.
        """
        for mode in ("refused", "later"):
            withoutCollector(self)
            network = self.network()
            network.target.mode = mode
            with capturedLogs():
                visit = network.visit()
                left = self.parts(network)
                network.clock.advance(10)
                network.flush()
                visit.wire.cut()
            visit.wire.server.protocol = None
            network.target.waiting.clear()
            self.assertEqual([each() for each in left], [None] * 3, mode)

    def parts(self, network: Network) -> list[Callable[[], object]]:
        """
        @return: weak references to what the only forwarding consists of.
        """
        (forwarding,) = network.forwarder._forwardings
        return [ref(forwarding), ref(forwarding.client), ref(forwarding.target)]


@perVersion()
class ClientTests(ForwardingMixin):
    """
    Clients that are authenticated, or not.
    """

    isOriginating = False

    def asking(self, *names: str, **client: Any) -> Network:
        """
        A network where clients have to show a certificate with such a common
        name.

        @param client: their options.
        """
        server = {
            "clientCertificateRequired": True,
            "remoteCertificateValidationCallback": AccessRule(names) if names else None,
        }
        return self.network(client=client, server=server)

    def assertRefused(self, network: Network, line: str, alert: TlsAlert | None) -> None:
        """
        A client is refused, nobody connects to the target for it, the log has one
        line about that, and the client hears why.
        """
        with capturedLogs() as logged:
            visit = network.visit()
            network.flush()
        self.assertEqual(_toldBy(Forwarder, logged), [f"peer of server{line}"])
        self.assertEqual((network.forwarder.refused, network.forwarder.accepted), (1, 0))
        self.assertEqual(network.target.wires, [])
        if alert is not None:
            tls = visit.wire.client.protocol
            error: Any = visit.application.reason
            if self.version is SslProtocols.Tls12:
                error = self.failureResultOf(tls.whenAuthenticated()).value
            self.assertIsInstance(error, AuthenticationError)
            self.assertIs(error.alert, alert)
        self.assertOver(network)

    def test_letIn(self) -> None:
        """
        A client that a rule lets in is forwarded, and the log names its subject.
        """
        network = self.asking("client@example.com", clientCertificateContext=CLIENT)
        joined = Joined(network, network.visit())
        with capturedLogs() as logged:
            joined.endBoth()
        self.assertEqual(
            linesOf(logged)[0].partition(": ")[0], "peer of server (CN=client@example.com)"
        )
        self.assertEqual((network.forwarder.refused, network.forwarder.accepted), (0, 1))
        self.assertOver(network)

    def test_notLetIn(self) -> None:
        """
        A client whose certificate is in order, but has no name that is let in,
        gets the alert bad_certificate, and the log names its subject.
        """
        self.assertRefused(
            self.asking("somebody else", clientCertificateContext=CLIENT),
            " (CN=client@example.com): refused: its names are not let in",
            TlsAlert.bad_certificate,
        )

    def test_untrusted(self) -> None:
        """
        A client whose certificate nobody vouches for is refused whatever its
        names, which the log tells with everything else.
        """
        stranger = Authority("Stranger").issue("client@example.com")
        for names in ((), ("client@example.com",)):
            network = self.asking(*names, clientCertificateContext=stranger)
            with capturedLogs() as logged:
                network.visit()
            (line,) = _toldBy(Forwarder, logged)
            self.assertIn("peer of server (CN=client@example.com): refused: the remote", line)
            self.assertIn("; RemoteCertificateChainErrors; ", line)
            self.assertIn("; alert sent: unknown_ca", line)
            self.assertOver(network)

    def test_noCertificate(self) -> None:
        """
        A client without certificate is refused with the fitting alert, with a rule
        and without.
        """
        alerts = {
            SslProtocols.Tls12: TlsAlert.handshake_failure,
            SslProtocols.Tls13: TlsAlert.certificate_required,
        }
        for names in ((), ("client@example.com",)):
            network = self.asking(*names)
            line = ": refused: it has shown no certificate"
            self.assertRefused(network, line, alerts[self.version])

    def test_resumed(self) -> None:
        """
        A session that goes on goes on for those alone who are let in.
        """
        network = self.asking("client@example.com", clientCertificateContext=CLIENT)
        for isResumed in (False, True):
            joined = Joined(network, network.visit())
            self.assertIs(joined.near.transport.isResumed, isResumed)
            with capturedLogs() as logged:
                joined.endBoth()
            self.assertIn("(CN=client@example.com)", linesOf(logged)[0])
        self.assertOver(network)

    def test_silent(self) -> None:
        """
        A client that does not authenticate itself in time is refused.
        """
        network = self.network(server={"handshakeTimeout": 3})
        wire = network.silentVisit()
        network.clock.advance(2.9)
        self.assertTrue(wire.server.connected)
        with capturedLogs() as logged:
            network.clock.advance(0.1)
            network.flush()
        (line,) = _toldBy(Forwarder, logged)
        self.assertIn("refused: no end of the handshake within 3 s", line)
        self.assertFalse(wire.server.connected)
        self.assertOver(network)

    def test_silentAtTheEnd(self) -> None:
        """
        When everything ends nobody waits for long for the handshakes of clients, and
        not longer than for anything else.
        """
        for seconds, patience in ((10.0, LAST_HANDSHAKES), (3.0, 3.0), (0.0, 0.0)):
            network = self.network()
            wire = network.silentVisit()
            with capturedLogs() as logged:
                drained = network.forwarder.drain(seconds)
                network.clock.advance(max(0, patience - 0.1))
                network.flush()
                if patience:
                    self.assertNoResult(drained)
                network.clock.advance(0.1)
                network.flush()
            self.successResultOf(drained)
            self.assertIn(
                f"1 connections are left to end, for at most {seconds} s", linesOf(logged)
            )
            self.assertFalse(wire.server.connected)
            self.assertOver(network)

    def test_lastHandshake(self) -> None:
        """
        Who is in the handshake when everything ends is served like those who are
        there already, and has as long as they.
        """
        for isCutOff in (False, True):
            network = self.network()
            visit = network.visit(flush=False)
            drained = network.forwarder.drain(10)
            network.flush()
            joined = Joined(network, visit)
            network.clock.advance(LAST_HANDSHAKES)
            joined.near.transport.write(b"still")
            joined.flush()
            self.assertEqual(joined.far.received, b"still")
            self.assertNoResult(drained)
            if isCutOff:
                network.clock.advance(10 - LAST_HANDSHAKES)
                joined.flush()
            else:
                joined.endBoth()
            self.successResultOf(drained)
            self.assertEqual(network.forwarder.failed, int(isCutOff))
            self.assertOver(network)

    def test_silentAreClients(self) -> None:
        """
        Clients in their handshakes count as those that are let in do.
        """
        network = self.network(mostConnections=2)
        wires = [network.silentVisit() for _ in range(2)]
        with capturedLogs() as logged:
            network.visit()
        self.assertEqual(_toldBy(Forwarder, logged), ["2 clients: no more are let in"])
        self.assertEqual(network.forwarder.turnedAway, 1)
        wires[0].cut()
        network.visit()
        self.assertEqual(network.forwarder.accepted, 1)
        for wire in (wires[1], network.visits[-1].wire):
            wire.cut()
        self.assertOver(network)

    def test_header(self) -> None:
        """
        If asked to, a forwarder tells the target the client's address before
        anything else.
        """
        network = self.network(proxyVersion=1)
        joined = Joined(network, network.visit())
        joined.near.transport.write(b"data")
        joined.flush()
        self.assertEqual(joined.far.received, b"PROXY UNKNOWN\r\ndata")
        joined.endBoth()
        self.assertOver(network)


@perVersion()
class SecureTargetTests(ForwardingMixin):
    """
    Targets that are authenticated, or not.
    """

    isOriginating = True

    def assertUnreachable(self, network: Network, visit: Visit, what: str) -> None:
        """
        The client's connection has ended in order, and the log says why.
        """
        with capturedLogs() as logged:
            visit.application.transport.loseConnection()
            network.flush()
        self.assertEqual(visit.application.received, b"")
        self.assertIn("end", visit.application.events)
        (line,) = _toldBy(Forwarder, logged)
        self.assertIn(f"; {what}", line)
        self.assertEqual(network.forwarder.failed, 1)
        self.assertOver(network)

    def test_wrongName(self) -> None:
        """
        Nothing is sent to a target that is not the one that was meant.
        """
        network = self.network(client={"targetHost": "example.com"})
        with capturedLogs():
            visit = network.visit()
            visit.application.transport.write(b"secret")
            network.flush()
        self.assertEqual(network.target.applications[0].received, b"")
        self.assertUnreachable(
            network,
            visit,
            "no connection to the target: the remote certificate is invalid; "
            "RemoteCertificateNameMismatch",
        )

    def test_silent(self) -> None:
        """
        A target that does not authenticate itself is given up with the time-out
        of the connection.
        """
        network = self.network(connectTimeout=7, client={"handshakeTimeout": None})
        network.target.isSilent = True
        visit = network.visit()
        network.clock.advance(6.9)
        self.assertTrue(network.target.wires[0].client.connected)
        network.clock.advance(0.1)
        with capturedLogs():
            network.flush()
        self.assertFalse(network.target.wires[0].client.connected)
        self.assertUnreachable(network, visit, "no connection to the target within 7 s")

    def test_certificate(self) -> None:
        """
        The target is shown our certificate; if it refuses that, the client is cut
        off where it might take it for the end of an answer, and the log says why.
        """
        rules = (AccessRule(["client@example.com"]), AccessRule(["nobody"]))
        for rule, isPermitted in zip(rules, (True, False), strict=True):
            server = {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": rule,
            }
            network = self.network(client={"clientCertificateContext": CLIENT}, server=server)
            with capturedLogs() as logged:
                visit = network.visit()
                if isPermitted:
                    Joined(network, visit).endBoth()
                visit.wire.cut()
                network.flush()
            (line,) = _toldBy(Forwarder, logged)
            refusal = "bad_certificate" in line
            self.assertIs(refusal, not isPermitted)
            self.assertEqual(network.forwarder.failed, int(not isPermitted))
            self.assertOver(network)


class TransportTests(SynchronousTestCase):
    """
    Transports whose ends cannot be told by halves.
    """

    def forwarded(self, endpoint: Any, clock: Any) -> tuple[SocketWire, HalfCloseableApplication]:
        """
        Let a client come to a forwarder.

        @return: its wire and what is at its other end.
        """
        forwarder = Forwarder(endpoint, clock)
        wire = SocketWire(clock)
        client = HalfCloseableApplication()
        end = forwarder.buildProtocol(None)
        assert end is not None
        wire.connect(client, end)
        self.forwarder = forwarder
        return wire, client

    def test_twistedTls(self) -> None:
        """
        A target that is reached through Twisted's own TLS is not told the end of
        what the client sends as long as it could miss C{close_notify}; its answer
        arrives, and in the end it gets an orderly one.
        """
        clock = Clock()
        key: Any = SERVER.privateKey
        own = CertificateOptions(
            privateKey=PKey.from_cryptography_key(key),
            certificate=X509.from_cryptography(SERVER.certificate),
        )
        root = Certificate(X509.from_cryptography(AUTHORITY.certificate))
        roots = trustRootFromCertificates([root])
        applications: Any = Factory.forProtocol(Application)
        listening = TLSMemoryBIOFactory(own, False, applications, clock)
        target = Target(clock, listening, 0)
        creator = optionsForClientTLS("localhost", trustRoot=roots)
        wire, client = self.forwarded(wrapClientTLS(creator, target, clock), clock)
        _writesAll(client, b"question")
        self.flush(wire, target)
        answering = target.applications[0]
        self.assertEqual(answering.received, b"question")
        self.assertNotIn("lost", answering.events)
        answering.transport.write(b"answer")
        answering.transport.loseConnection()
        self.flush(wire, target)
        self.assertEqual(client.received, b"answer")
        self.assertIn("end", client.events)
        self.assertIsInstance(answering.reason, ConnectionDone)
        self.assertEqual(self.forwarder.connections, 0)

    def test_unhalvable(self) -> None:
        """
        Nor is a target whose transport cannot do that at all, such as a process:
        it is closed when the client goes.
        """
        clock = Clock()
        target = Target(clock, Factory.forProtocol(Application), 0)
        target.transportClass = PipeTransport
        wire, client = self.forwarded(target, clock)
        _writesAll(client, b"question")
        self.flush(wire, target)
        answering = target.applications[0]
        self.assertEqual(answering.received, b"question")
        answering.transport.write(b"answer")
        self.flush(wire, target)
        self.assertEqual(client.received, b"answer")
        wire.cut(ConnectionDone)
        self.flush(wire, target)
        self.assertIsInstance(answering.reason, ConnectionDone)
        self.assertEqual(self.forwarder.connections, 0)
        self.assertEqual(clock.getDelayedCalls(), [])

    def flush(self, wire: SocketWire, target: Target) -> None:
        """
        Go on until nothing moves any more.
        """
        while True:
            moved = [each.step() for each in (wire, *target.wires)]
            if not any(moved):
                return


@perVersion()
class SecureTests(_Mixin):
    """
    TLS at both sides, where somebody else authenticates the clients.
    """

    version: SslProtocols
    segment: int

    def network(self, **settings: Any) -> Network:
        """
        A network, with nobody in it yet.
        """
        return Network(self.version, self.segment, isOriginating=True, isSecure=True, **settings)

    def test_conversation(self) -> None:
        """
        What either side sends the other gets, and each gets an end in order,
        though it may itself be lazy once it was told that.
        """
        network = self.network()
        joined = Joined(network, network.visit())
        joined.near.transport.write(b"question")
        joined.flush()
        self.assertEqual(joined.far.received, b"question")
        joined.far.transport.write(b"answer")
        joined.far.transport.loseWriteConnection()
        joined.flush()
        self.assertEqual(joined.near.received, b"answer")
        self.assertIn("end", joined.near.events)
        # It has nothing more to lose.
        joined.farOuter.loseConnection()
        joined.flush()
        with capturedLogs() as logged:
            joined.nearOuter.loseConnection()
            joined.flush()
        self.assertEqual(network.forwarder.failed, 0)
        self.assertIn("; ended by the target", linesOf(logged)[-1])
        self.assertEqual(network.clock.getDelayedCalls(), [])

    def test_most(self) -> None:
        """
        Clients that were let into the handshake when there was room, and are too
        many when they are authenticated, are cut off; the target never hears of
        them.
        """
        network = self.network(mostConnections=1)
        visits = [network.visit(flush=False) for _ in range(3)]
        with capturedLogs() as logged:
            network.flush()
        self.assertEqual(_toldBy(Forwarder, logged), [])
        forwarder = network.forwarder
        self.assertEqual((forwarder.accepted, forwarder.turnedAway, forwarder.failed), (1, 2, 0))
        self.assertEqual(len(network.target.wires), 1)
        (left,) = [visit.wire for visit in visits if visit.wire.server.connected]
        left.cut()
        network.flush()
        self.assertEqual(forwarder.connections, 0)

    def test_drained(self) -> None:
        """
        So are those that are authenticated when everything ends.
        """
        network = self.network()
        visit = network.visit(flush=False)
        self.successResultOf(network.forwarder.drain(10))
        with capturedLogs() as logged:
            network.flush()
        self.assertEqual(_toldBy(Forwarder, logged), [])
        self.assertEqual((network.forwarder.accepted, network.target.wires), (0, []))
        self.assertFalse(visit.wire.server.connected)


class AddressTests(SynchronousTestCase):
    """
    Tests for L{headerOf} and L{nameOf}.
    """

    def test_header(self) -> None:
        """
        The header has the addresses and ports of both ends, if they are Internet
        addresses of one kind (PROXY protocol, version 1).
        """
        four = (IPv4Address("TCP", "192.0.2.1", 5), IPv4Address("TCP", "127.0.0.1", 443))
        six = (
            IPv6Address("TCP", "fe80::1%eth0", 56324, scopeID=2),
            IPv6Address("TCP", "2001:db8::2", 443),
        )
        for peer, host, header in (
            (*four, b"PROXY TCP4 192.0.2.1 127.0.0.1 5 443\r\n"),
            (*six, b"PROXY TCP6 fe80::1 2001:db8::2 56324 443\r\n"),
            (four[0], six[1], b"PROXY UNKNOWN\r\n"),
            (UNIXAddress(""), UNIXAddress("/run/x"), b"PROXY UNKNOWN\r\n"),
        ):
            self.assertEqual(headerOf(StringTransport(host, peer), 1), header)

    def test_name(self) -> None:
        """
        Addresses are logged as people write them.
        """
        for address, name in (
            (IPv4Address("TCP", "192.0.2.1", 5), "192.0.2.1:5"),
            (IPv6Address("TCP", "2001:db8::1", 5), "[2001:db8::1]:5"),
            (UNIXAddress(b"/run/x"), "unix:/run/x"),
            (UNIXAddress(""), "unix"),
            (UNIXAddress(None), "unix"),
        ):
            self.assertEqual(nameOf(address), name)


def _toldBy(who: type, logged: Any) -> list[str]:
    """
    @return: what was logged by somebody.
    """
    namespace = f"{who.__module__}.{who.__qualname__}"
    return linesOf(each for each in logged if each["log_namespace"] == namespace)
