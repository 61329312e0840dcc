"""
Tests for L{txsslstream._proxied}: servers that are told by the PROXY protocol who their
clients are, and what we tell others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from txsslstream import (
    HandshakeLimit,
    ISslStream,
    SslApplicationProtocol,
    SslProtocols,
    SslStreamFactory,
    SslStreamServerEndpoint,
)
from txsslstream._proxied import (
    HEADER_TIMEOUT,
    AcceptingFactory,
    Proxied,
    headerOf,
    ownHeader,
)
from txsslstream.echo import SampleServer
from txsslstream.proxyheader import readHeader
from txsslstream.testing import Bystander, Wire, perVersion, writePEM

from .programs import temporaryDirectory
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from .test_proxyheader import BAD, FOUR, SIX, UNIX, VECTORS

PROXY = IPv4Address("TCP", "10.0.0.1", 5000)
HERE = IPv4Address("TCP", "10.0.0.2", 8443)
CLIENT_ADDRESS = IPv4Address("TCP", "192.0.2.1", 56324)
SERVER_ADDRESS = IPv4Address("TCP", "198.51.100.7", 443)


class Transport(StringTransport):
    """
    Between the load balancer and us.
    """

    isAborted = False
    isUndelayed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        See C{ITCPTransport}.
        """
        self.isUndelayed = enabled

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        self.isAborted = True
        self.connected = False


class Application(Factory):
    """
    Writes down for whom protocols were built.

    @ivar addresses: theirs.
    @ivar built: the protocols.
    @ivar isFull: whether none is built.
    """

    isFull = False

    def __init__(self) -> None:
        self.addresses: list[object] = []
        self.built: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.addresses.append(addr)
        if self.isFull:
            return None
        protocol = Bystander()
        self.built.append(protocol)
        return protocol


class AcceptingTests(SynchronousTestCase):
    """
    Tests for L{AcceptingFactory} around an application, without TLS.
    """

    def setUp(self) -> None:
        """
        An application behind a load balancer.
        """
        self.clock = Clock()
        self.application = Application()
        self.factory = AcceptingFactory(self.application, self.clock)

    def connected(self) -> tuple[Proxied, Transport]:
        """
        @return: a new connection.
        """
        protocol = self.factory.buildProtocol(PROXY)
        transport = Transport(HERE, PROXY)
        protocol.makeConnection(transport)
        return protocol, transport

    def assertNothing(self) -> None:
        """
        No timer runs, and no connection is known.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.factory.protocols, {})

    def test_told(self) -> None:
        """
        The application's protocol is built for the client's address once the
        header is there, in whatever pieces, and gets what is behind it; the
        transport has the addresses of the header.
        """
        for (data, header), size in ((each, size) for each in VECTORS[:13] for size in (1, 7, 999)):
            protocol, transport = self.connected()
            whole = data + b"behind"
            for start in range(0, len(whole), size):
                protocol.dataReceived(whole[start : start + size])
            (built,) = self.application.built
            self.assertEqual(built.received, b"behind")
            source, destination = {
                FOUR: (CLIENT_ADDRESS, SERVER_ADDRESS),
                SIX: (
                    IPv6Address("TCP", "2001:db8::1", 1),
                    IPv6Address("TCP", "2001:db8::2", 65535),
                ),
                UNIX: (UNIXAddress(b"/run/client"), UNIXAddress(b"/run/server")),
            }.get(header, (PROXY, HERE))
            self.assertEqual(self.application.addresses, [source])
            self.assertEqual(built.transport.getPeer(), source)
            self.assertEqual(built.transport.getHost(), destination)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertTrue(transport.isUndelayed)
            built.transport.write(b"answer")
            self.assertEqual(transport.value(), b"answer")
            protocol.connectionLost(Failure(ConnectionError()))
            self.assertIsNotNone(built.lost)
            self.assertNothing()
            self.application.addresses.clear()
            self.application.built.clear()

    def test_refused(self) -> None:
        """
        Who begins otherwise is aborted, nothing is built for it, and one line in
        the log says who that was and why.
        """
        for data, why, _ in BAD:
            for size in (1, 999):
                protocol, transport = self.connected()
                with capturedLogs() as logged:
                    for start in range(0, len(data), size):
                        protocol.dataReceived(data[start : start + size])
                    protocol.dataReceived(b"more")
                    self.assertTrue(transport.isAborted)
                    protocol.connectionLost(Failure(ConnectionError()))
                (event,) = logged
                self.assertIs(event["log_level"], LogLevel.warn)
                line = str(formatEvent(event))
                self.assertEqual(line[: len(str(PROXY))], str(PROXY))
                self.assertIn(why, line)
                self.assertNothing()
        self.assertEqual(self.application.addresses, [])

    def test_spoken(self) -> None:
        """
        What it speaks instead is told, if that is known.
        """
        for data, words in (
            (b"\x16\x03\x01\x02\x00\x01", ", but speaks TLS"),
            (b"GET / HTTP/1.0\r\n\r\n", ", but speaks plain HTTP"),
            (b"xyz", "with a PROXY header"),
            (b"PROXY TCP4\r\n", "its PROXY header is malformed"),
        ):
            protocol, _ = self.connected()
            with capturedLogs() as logged:
                protocol.dataReceived(data)
            self.assertTrue(str(formatEvent(logged[0])).endswith(words), logged)
            protocol.connectionLost(Failure(ConnectionError()))

    def test_silent(self) -> None:
        """
        Who has sent no whole header in time is aborted, with a line in the log,
        however often there was a piece of it.
        """
        for pieces in ((), (b"PROXY", b" TCP4")):
            protocol, transport = self.connected()
            with capturedLogs() as logged:
                for piece in pieces:
                    protocol.dataReceived(piece)
                    self.clock.advance(HEADER_TIMEOUT / 4)
                left = HEADER_TIMEOUT - len(pieces) * HEADER_TIMEOUT / 4
                self.clock.advance(left - 0.1)
                self.assertFalse(transport.isAborted)
                self.clock.advance(0.1)
                self.assertTrue(transport.isAborted)
            (event,) = logged
            self.assertIn("no whole PROXY header within 10 s", str(formatEvent(event)))
            protocol.connectionLost(Failure(ConnectionError()))
            self.assertNothing()
        self.assertEqual(self.application.addresses, [])

    def test_check(self) -> None:
        """
        A connection of the load balancer's own with nothing behind its header is
        nobody's, and nothing to log; one that stays for long is aborted.
        """
        with capturedLogs() as logged:
            for data in (ownHeader(2), b""):
                protocol, transport = self.connected()
                protocol.dataReceived(data)
                protocol.connectionLost(Failure(ConnectionError()))
                self.assertFalse(transport.isAborted)
                self.assertNothing()
        self.assertEqual(logged, [])
        protocol, transport = self.connected()
        protocol.dataReceived(ownHeader(2))
        with capturedLogs() as logged:
            self.clock.advance(HEADER_TIMEOUT)
        self.assertTrue(transport.isAborted)
        self.assertIn("only a PROXY header of its own", str(formatEvent(logged[0])))
        protocol.connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.application.addresses, [])

    def test_cutOff(self) -> None:
        """
        A header that is cut off is a line in the log.
        """
        protocol, _ = self.connected()
        protocol.dataReceived(b"PROXY TCP4 ")
        with capturedLogs() as logged:
            protocol.connectionLost(Failure(ConnectionError()))
        self.assertIn("its PROXY header is cut off", str(formatEvent(logged[0])))
        self.assertNothing()

    def test_full(self) -> None:
        """
        An application that builds no protocol has the connection aborted.
        """
        self.application.isFull = True
        protocol, transport = self.connected()
        protocol.dataReceived(FOUR.version2() + b"behind")
        protocol.dataReceived(b"more")
        self.assertTrue(transport.isAborted)
        self.assertEqual(self.application.addresses, [CLIENT_ADDRESS])
        protocol.connectionLost(Failure(ConnectionError()))
        self.assertNothing()

    def test_endedAtOnce(self) -> None:
        """
        A protocol that ends as it is connected gets no data.
        """
        protocol, _ = self.connected()

        class Ending(Bystander):
            def connectionMade(self) -> None:
                protocol.connectionLost(Failure(ConnectionError()))

        ending = Ending()
        self.factory.wrappedFactory = Factory.forProtocol(lambda: ending)
        protocol.dataReceived(FOUR.version2() + b"behind")
        self.assertEqual(ending.received, b"")
        self.assertNothing()

    def test_clock(self) -> None:
        """
        Without a clock the time is the transport's reactor's.
        """
        self.factory.clock = None
        protocol = self.factory.buildProtocol(PROXY)
        transport: Any = Transport(HERE, PROXY)
        transport.reactor = self.clock
        protocol.makeConnection(transport)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        protocol.connectionLost(Failure(ConnectionError()))


@perVersion()
class SecureMixin:
    """
    TLS behind the header.
    """

    version: SslProtocols
    segment: int

    def visits(self: Any, factory: Any, header: bytes) -> tuple[Wire, Any, Any]:
        """
        Have a client come through a load balancer.

        @return: the wire, and the client's and the server's protocol.
        """
        wire = Wire(self.segment)
        client = SslStreamFactory(
            clientOptions(enabledSslProtocols=self.version),
            True,
            Factory.forProtocol(Bystander),
            wire.clock,
        ).buildProtocol(HERE)
        server = AcceptingFactory(factory, wire.clock).buildProtocol(PROXY)
        # It passes on what comes, behind its header.
        wire.client.write(header)
        wire.connect(client, server)
        wire.flush()
        return wire, client, server

    def test_conversation(self: Any) -> None:
        """
        The handshake follows the header, and the application on the stream is told
        the client's address.
        """
        factory = SslStreamFactory(serverOptions(), False, Factory.forProtocol(Bystander), Clock())
        for version in (1, 2):
            header = FOUR.version1() if version == 1 else FOUR.version2()
            wire, client, server = self.visits(factory, header)
            application = server.wrappedProtocol.wrappedProtocol
            self.assertEqual(application.transport.getPeer(), CLIENT_ADDRESS)
            self.assertEqual(application.transport.getHost(), SERVER_ADDRESS)
            client.wrappedProtocol.transport.write(b"Hello")
            wire.flush()
            self.assertEqual(application.received, b"Hello")
            client.wrappedProtocol.transport.loseConnection()
            wire.flush()
            self.assertEqual(wire.clock.getDelayedCalls(), [])

    def test_none(self: Any) -> None:
        """
        Without a header there is no handshake, and the log says why.
        """
        factory = SslStreamFactory(serverOptions(), False, Factory.forProtocol(Bystander), Clock())
        with capturedLogs() as logged:
            _, client, server = self.visits(factory, b"")
        self.assertIsNone(server.wrappedProtocol)
        self.failureResultOf(client.whenAuthenticated())
        lines = [str(formatEvent(event)) for event in logged]
        # Of one byte nobody can tell.
        what = ", but speaks TLS" if self.segment != 1 else ""
        self.assertTrue(lines[0].endswith(f"begin with a PROXY header{what}"), lines)


class LimitTests(SynchronousTestCase):
    """
    Limits behind a load balancer.
    """

    def test_perAddress(self) -> None:
        """
        A limit for each address counts clients, and not their load balancer.
        """
        limit = HandshakeLimit(maximumPerAddress=1)
        reactor: Any = MemoryReactorClock()
        endpoint = SslStreamServerEndpoint(
            serverFromString(reactor, "tcp:1"),
            serverOptions(),
            reactor,
            handshakeLimit=limit,
            acceptProxy=True,
        )
        endpoint.listen(Factory.forProtocol(Bystander))
        ((_, factory, _, _),) = reactor.tcpServers
        transports = []
        for header in (FOUR, SIX, FOUR):
            protocol = factory.buildProtocol(PROXY)
            transport = Transport(HERE, PROXY)
            transports.append((protocol, transport))
            protocol.makeConnection(transport)
            # The first byte of TLS.
            protocol.dataReceived(header.version2() + b"\x16")
        self.assertEqual([each.isAborted for _, each in transports], [False, False, True])
        self.assertEqual((limit.unauthenticated, limit.turnedAway), (2, 1))
        for protocol, _ in transports:
            protocol.connectionLost(Failure(ConnectionError()))
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_strings(self) -> None:
        """
        C{acceptProxy=yes} asks for it in a description, C{no} and nothing do not.
        """
        path = temporaryDirectory(self) / "server.pem"
        writePEM(path, SERVER)
        for option, isAccepting in (
            (":acceptProxy=yes", True),
            (":acceptProxy=no", False),
            ("", False),
        ):
            reactor: Any = MemoryReactorClock()
            description = f"sslstream:port=8443:certificate={path}{option}"
            serverFromString(reactor, description).listen(Factory.forProtocol(Bystander))
            ((_, factory, _, _),) = reactor.tcpServers
            self.assertEqual(isinstance(factory, AcceptingFactory), isAccepting)
        error = self.assertRaises(
            ValueError, serverFromString, reactor, f"{description}:acceptProxy=on"
        )
        self.assertTrue(str(error).startswith("acceptProxy: "))

    def test_sample(self) -> None:
        """
        The sample server does so, if it is asked to.
        """
        for isAccepting in (True, False):
            server = SampleServer(serverOptions(), lambda line: None, acceptProxy=isAccepting)
            self.assertEqual(isinstance(server.listener, AcceptingFactory), isAccepting)


def valuesOf(data: bytes) -> Iterator[tuple[int, bytes]]:
    """
    @return: the types and values in a piece of a header of version 2.
    """
    while data:
        kind, length = struct.unpack_from("!BH", data)
        yield kind, data[3 : 3 + length]
        data = data[3 + length :]


class Secured(Transport):
    """
    A transport with TLS, as far as it is told to others.
    """

    negotiatedApplicationProtocol: SslApplicationProtocol | None = None
    targetHostName = ""
    sslProtocol = SslProtocols.Tls13
    remoteCertificate: x509.Certificate | None = None
    isResumed = False


class ToldTests(SynchronousTestCase):
    """
    Tests for L{headerOf}, in version 2.
    """

    def told(self, **facts: Any) -> dict[int, bytes]:
        """
        @return: the values in the header for a client of ours.
        """
        transport = Secured(SERVER_ADDRESS, CLIENT_ADDRESS)
        directlyProvides(transport, ISslStream)
        for name, value in facts.items():
            setattr(transport, name, value)
        data = headerOf(transport, 2)
        self.assertEqual(readHeader(data), (FOUR, len(data)))
        return dict(valuesOf(data[28:]))

    def test_plain(self) -> None:
        """
        Of a client without TLS there are addresses alone.
        """
        self.assertEqual(headerOf(Transport(SERVER_ADDRESS, CLIENT_ADDRESS), 2), FOUR.version2())

    def test_version(self) -> None:
        """
        Of one without a certificate the version is told, and that nothing is
        verified.
        """
        for version, name in ((SslProtocols.Tls12, b"TLSv1.2"), (SslProtocols.Tls13, b"TLSv1.3")):
            self.assertEqual(
                self.told(sslProtocol=version), {0x20: b"\x01\0\0\0\x01\x21\0\x07" + name}
            )

    def test_names(self) -> None:
        """
        So are the application protocol and the name that was asked for.
        """
        told = self.told(
            negotiatedApplicationProtocol=SslApplicationProtocol.Http2,
            targetHostName="www.example.com",
        )
        self.assertEqual((told[1], told[2]), (b"h2", b"www.example.com"))

    def test_certificate(self) -> None:
        """
        Of a client that has shown a certificate its common name is told, whether
        in this connection or in an earlier one of the session.
        """
        for isResumed, bits in ((False, b"\x07"), (True, b"\x05")):
            known = self.told(remoteCertificate=CLIENT.certificate, isResumed=isResumed)[0x20]
            self.assertEqual(known[:5], bits + b"\0\0\0\0")
            names = CLIENT.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            self.assertEqual(
                dict(valuesOf(known[5:])),
                {0x21: b"TLSv1.3", 0x22: str(names[0].value).encode()},
            )

    def test_noName(self) -> None:
        """
        Who has no common name, or one that cannot be read, has none here.
        """
        nameless = AUTHORITY.issue("nameless.example.com", subject=x509.Name([])).certificate

        class Unreadable:
            @property
            def subject(self) -> object:
                raise ValueError

        for certificate in (nameless, Unreadable()):
            known = self.told(remoteCertificate=certificate)[0x20]
            self.assertEqual(dict(valuesOf(known[5:])), {0x21: b"TLSv1.3"})
