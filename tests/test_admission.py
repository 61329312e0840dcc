"""
Tests for L{txsslstream.admission}: who is one too many, what that costs, and who is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    HandshakeLimit,
    SslProtocols,
    SslStreamFactory,
    SslStreamMetrics,
    SslStreamServerEndpoint,
    _attended,
    _serve,
    _tap,
)
from txsslstream.admission import LOG_INTERVAL
from txsslstream.echo import SampleServer
from txsslstream.metrics import addObserver, removeObserver
from txsslstream.testing import Wire, perVersion, writePEM

from .programs import temporaryDirectory
from .support import SERVER, clientOptions, serverOptions

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


def address(host: str) -> Any:
    """
    @return: a client's, at this host.
    """
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, 40000)


class LimitTests(SynchronousTestCase):
    """
    The counting.
    """

    def setUp(self) -> None:
        """
        Have a clock, and keep what is logged.
        """
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def limit(self, *limits: int | None) -> HandshakeLimit:
        """
        @return: a limit in the time of our clock.
        """
        return HandshakeLimit(*limits, seconds=self.clock.seconds)

    def warnings(self) -> list[tuple[int, str]]:
        """
        @return: how many were turned away in each warning, and the last of them.
        """
        told = [each for each in self.events if each["log_level"] is LogLevel.warn]
        self.events.clear()
        return [(each["n"], each["peer"].host) for each in told]

    def test_inAll(self) -> None:
        """
        No more are admitted than the maximum, from wherever they come, until one
        of them is released; releasing one twice makes room for one.
        """
        limit = self.limit(2)
        first, second = (limit.admit(address(f"192.0.2.{n}")) for n in (1, 2))
        assert first is not None
        assert second is not None
        self.assertIsNone(limit.admit(address("192.0.2.3")))
        self.assertEqual((limit.unauthenticated, limit.turnedAway), (2, 1))
        first.release()
        first.release()
        self.assertIsNotNone(limit.admit(address("192.0.2.3")))
        self.assertIsNone(limit.admit(address("192.0.2.4")))
        self.assertEqual((limit.unauthenticated, limit.turnedAway), (2, 2))

    def test_perAddress(self) -> None:
        """
        One IPv4 address, mapped into IPv6 or not, and one IPv6 network of 64 bits
        have as many as each may; others are not concerned.
        """
        for one, same, other in (
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
            ("fe80::1%eth0", "fe80::2%eth1", "2001:db8::1"),
        ):
            limit = self.limit(None, 1)
            admission = limit.admit(address(one))
            assert admission is not None
            self.assertIsNone(limit.admit(address(same)))
            self.assertIsNotNone(limit.admit(address(other)))
            admission.release()
            self.assertIsNotNone(limit.admit(address(same)))

    def test_withoutAddress(self) -> None:
        """
        Clients without an address count for the maximum alone.
        """
        limit = self.limit(3, 1)
        clients = [UNIXAddress(b"/run/socket"), None, object()]
        self.assertNotIn(None, [limit.admit(each) for each in clients])
        self.assertIsNone(limit.admit(None))

    def test_nobodyIsRemembered(self) -> None:
        """
        Of clients that are gone nothing is kept.
        """
        limit = self.limit(None, 5)
        for n in range(1000):
            admission = limit.admit(address(f"10.0.{n // 256}.{n % 256}"))
            assert admission is not None
            admission.release()
        self.assertEqual((len(limit._perClient), limit.unauthenticated), (0, 0))

    def test_log(self) -> None:
        """
        The first that is turned away is told of at once, others together, every
        few seconds at most, and each once.
        """
        limit = self.limit(1)
        limit.admit(address("192.0.2.1"))
        for n in range(2, 50):
            limit.admit(address(f"192.0.2.{n}"))
        self.assertEqual(self.warnings(), [(1, "192.0.2.2")])
        self.clock.advance(LOG_INTERVAL - 0.1)
        limit.admit(address("192.0.2.50"))
        self.assertEqual(self.warnings(), [])
        self.clock.advance(0.1)
        limit.admit(address("192.0.2.51"))
        self.assertEqual(self.warnings(), [(49, "192.0.2.51")])
        self.assertEqual(limit.turnedAway, 50)

    def test_metric(self) -> None:
        """
        Observers that want to know hear of each that is turned away, and others
        are not bothered.
        """
        metrics = SslStreamMetrics()
        addObserver(metrics)
        self.addCleanup(removeObserver, metrics)
        limit = self.limit(1)
        for _ in range(3):
            limit.admit(None)
        self.assertEqual(metrics.turnedAway, 2)
        self.assertEqual(metrics.asdict()["turnedAway"], 2)
        self.assertEqual(metrics.totalHandshakes + metrics.currentHandshakes, 0)

    def test_nonsense(self) -> None:
        """
        A limit of nobody is refused.
        """
        for limits in ((0,), (-1,), (None, 0)):
            with self.assertRaisesRegex(ValueError, "must be at least 1"):
                self.limit(*limits)


class _Listening:
    """
    An endpoint that keeps the factory.
    """

    factory: Any = None

    def listen(self, factory: Any) -> Deferred[Any]:
        """
        See C{IStreamServerEndpoint}.
        """
        self.factory = factory
        return Deferred()


@perVersion(segments=(0,))
class GuardTests(Case):
    """
    What listens under a limit of one.
    """

    version: SslProtocols

    def setUp(self) -> None:
        """
        Have a limit, and nobody connected.
        """
        self.limit = HandshakeLimit(1)
        self.clock = Clock()

    def listeners(self) -> Iterator[tuple[str, Any]]:
        """
        @return: the factories of all that listens, by name.
        """
        options = serverOptions(self.version)

        def endpoint() -> Any:
            return SslStreamServerEndpoint(
                listening, options, self.clock, handshakeLimit=self.limit
            )

        listening: Any = _Listening()
        endpoint().listen(Factory.forProtocol(Protocol))
        yield "a protocol", listening.factory
        listening = _Listening()
        endpoint().listenStreams(lambda stream: Deferred())
        yield "streams", listening.factory
        lines: list[str] = []
        sample = SampleServer(options, lines.append, self.clock, handshakeLimit=self.limit)
        yield "the sample server", sample.listener
        factory = SslStreamFactory(options, False, Factory.forProtocol(Protocol), self.clock)
        yield "a factory", self.limit.guard(factory)

    def connect(self, factory: Any) -> Wire:
        """
        @return: a client that has connected, and nothing more.
        """
        wire = Wire()
        wire.client.protocol = Protocol()
        wire.server.protocol = factory.buildProtocol(address("192.0.2.1"))
        wire.server.protocol.makeConnection(wire.server)
        # A coroutine that waits for ever would be found by another test.
        self.addCleanup(wire.cut)
        return wire

    def authenticate(self, wire: Wire) -> None:
        """
        Have the client authenticate.
        """
        client = SslStreamFactory(
            clientOptions(self.version), True, Factory.forProtocol(Protocol), self.clock
        ).buildProtocol(None)
        wire.client.protocol = client
        assert client is not None
        client.makeConnection(wire.client)
        wire.flush()
        self.assertTrue(client.isAuthenticated)

    def test_oneTooMany(self) -> None:
        """
        Who is one too many is aborted at once, without an answer and without a
        handshake; who came before is not concerned.
        """
        for name, factory in self.listeners():
            metrics = SslStreamMetrics()
            addObserver(metrics)
            self.addCleanup(removeObserver, metrics)
            first, second = self.connect(factory), self.connect(factory)
            self.assertIsInstance(second.server.closing, ConnectionAborted, name)
            second.flush()
            self.assertEqual(bytes(second.server.everWritten), b"", name)
            self.assertEqual(metrics.server.currentHandshakes, 1, name)
            self.authenticate(first)
            self.assertEqual(metrics.server.totalHandshakes, 1, name)
            self.assertEqual(self.limit.unauthenticated, 0, name)
            removeObserver(metrics)

    def test_authenticated(self) -> None:
        """
        Who is authenticated makes room, and does not count a second time when
        the connection ends.
        """
        for name, factory in self.listeners():
            wires = [self.connect(factory)]
            self.authenticate(wires[0])
            wires.append(self.connect(factory))
            self.assertIsNone(wires[1].server.closing, name)
            wires[0].cut()
            self.assertEqual(self.limit.unauthenticated, 1, name)
            self.assertIsNotNone(self.connect(factory).server.closing, name)
            self.authenticate(wires[1])
            wires[1].cut()
            self.assertEqual(self.limit.unauthenticated, 0, name)

    def test_gone(self) -> None:
        """
        Who leaves without a word, speaks something else or takes too long makes
        room.
        """
        ends: dict[str, Callable[[Wire], object]] = {
            "left": lambda wire: wire.cut(),
            "speaks HTTP": lambda wire: wire.client.write(b"GET / HTTP/1.1\r\n\r\n"),
            "takes too long": lambda wire: self.clock.advance(31),
        }
        for end, make in ends.items():
            for name, factory in self.listeners():
                wire = self.connect(factory)
                self.assertEqual(self.limit.unauthenticated, 1, name)
                make(wire)
                wire.flush()
                self.assertEqual(self.limit.unauthenticated, 0, f"{name}: {end}")

    def test_refusedByFactory(self) -> None:
        """
        Whom the factory itself does not want does not count.
        """
        inner = Factory()
        inner.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        factory = self.limit.guard(
            SslStreamFactory(serverOptions(self.version), False, inner, self.clock)
        )
        self.assertIsNone(factory.buildProtocol(address("192.0.2.1")))
        self.assertEqual(self.limit.unauthenticated, 0)

    def test_unlimited(self) -> None:
        """
        Without a limit nobody is turned away.
        """
        listening: Any = _Listening()
        endpoint = SslStreamServerEndpoint(listening, serverOptions(self.version), self.clock)
        endpoint.listen(Factory.forProtocol(Protocol))
        for _ in range(100):
            self.assertIsNone(self.connect(listening.factory).server.closing)

    def test_startAndStop(self) -> None:
        """
        The factory is told when a port begins and ends to listen with it.
        """
        told = []
        inner: Any = Factory.forProtocol(Protocol)
        inner.doStart = lambda: told.append("start")
        inner.doStop = lambda: told.append("stop")
        guarded = self.limit.guard(inner)
        guarded.doStart()
        guarded.doStop()
        self.assertEqual(told, ["start", "stop"])


class CommandTests(SynchronousTestCase):
    """
    The options of commands.
    """

    def test_limit(self) -> None:
        """
        The commands that listen have options for both limits, and have no limit
        without.
        """
        for kind, needed in (
            (_tap.Options, ()),
            (_serve.Options, ("--listen", "tcp:1", "--connect", "tcp:2")),
        ):
            for arguments, expected in (
                (("--max-handshakes", "2"), (2, None)),
                (("--max-handshakes-per-address", "3"), (None, 3)),
            ):
                options: Any = kind()
                options.parseOptions([*needed, *arguments])
                limit = _tap.handshakeLimit(options)
                assert limit is not None
                self.assertEqual((limit.maximum, limit.maximumPerAddress), expected)
            options = kind()
            options.parseOptions(needed)
            self.assertIsNone(_tap.handshakeLimit(options))

    def test_originate(self) -> None:
        """
        Where clients speak no TLS there is nothing to limit, and that is said.
        """
        options: Any = _serve.Options()
        arguments = "--originate --listen tcp:1 --connect tcp:2 --max-handshakes 2"
        options.parseOptions(arguments.split())
        error = self.assertRaises(
            _attended.StartError,
            _serve.serviceFor,
            MemoryReactorClock(),
            options,
            "sslstream serve",
        )
        self.assertIn("clients without TLS have no handshakes to limit", str(error))

    def test_serve(self) -> None:
        """
        A service listens under its limit.
        """
        path = temporaryDirectory(self) / "server.pem"
        writePEM(path, SERVER)
        reactor: Any = MemoryReactorClock()
        options: Any = _serve.Options()
        arguments = "--listen tcp:1 --connect tcp:127.0.0.1:2 --max-handshakes 1 --certificate"
        options.parseOptions([*arguments.split(), str(path)])
        service: Any = _serve.serviceFor(reactor, options, "sslstream serve")
        service.privilegedStartService()
        ((_, factory, _, _),) = reactor.tcpServers
        built = [factory.buildProtocol(address("192.0.2.1")) for _ in range(2)]
        self.assertEqual([hasattr(each, "admission") for each in built], [True, False])
