"""
Tests for L{txsslstream._serve} and its plugin: what C{sslstream serve} and C{twistd sslserve}
take, when they refuse to start, how they run and how they end.
"""

from __future__ import annotations

import errno
import inspect
import io
import os
import re
import shlex
import signal
import socket
import ssl
import struct
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from txsslstream import (
    CipherSuitesPolicy,
    ReloadingCertificate,
    SslApplicationProtocol,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStreamClientEndpoint,
    TlsCipherSuite,
    TruncationError,
    _forwarding,
    forward,
)
from txsslstream._attended import StartError
from txsslstream._forwarding import LINGER
from txsslstream._proxied import AcceptingFactory
from txsslstream._serve import ForwardService, Options, makeService, serviceFor
from txsslstream._workers import Workers
from txsslstream.access import AccessRule
from txsslstream.forward import Forwarder
from txsslstream.suitability import RECOMMENDED_SUITES
from txsslstream.testing import certificatePEM, keyPEM

from .interop._tools import LOOPBACK, background
from .programs import LISTEN, environment, runSslstream, runTwistd, serveProcess, temporaryDirectory
from .support import AUTHORITY, SERVER, clientOptions
from .test_tap import Files, occupied
from .watching import openFiles

DOCUMENT = (Path(__file__).parents[1] / "docs" / "serve.md").read_text()

ENDPOINTS = ("--listen", LISTEN, "--connect", f"tcp:{LOOPBACK}:80")


def optionsFor(*arguments: str) -> Options:
    """
    What the program makes of a command line.
    """
    options = Options()
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    """
    Tests for L{Options}.
    """

    def test_defaults(self) -> None:
        """
        Without options there are limits to everything, both versions of TLS, and
        nobody is let in by name.
        """
        options = optionsFor()
        self.assertEqual(
            {
                name: options[name]
                for name in (
                    *("handshake-timeout", "connect-timeout", "idle-timeout"),
                    *("grace", "drain", "health"),
                )
            },
            {
                "handshake-timeout": 30,
                "connect-timeout": 10,
                "idle-timeout": 43200,
                "grace": 0,
                "drain": 30,
                "health": None,
            },
        )
        self.assertEqual(options["max-connections"], 500)
        self.assertFalse(options.rule())
        for flag in (
            *("originate", "proxy-protocol", "proxy-protocol-v2", "accept-proxy"),
            *("unsafe-plaintext", "quiet"),
        ):
            self.assertFalse(options[flag], flag)
        self.assertEqual(
            options.common(),
            {
                "trust": None,
                "applicationProtocols": [],
                "enabledSslProtocols": SslProtocols.None_,
                "cipherSuitesPolicy": None,
                "handshakeTimeout": 30,
            },
        )

    def test_values(self) -> None:
        """
        Lists are separated by commas, and what may be repeated is collected; no
        two command lines share it.
        """
        options = optionsFor(
            *("--tls", "1.3", "--ciphers", "TLS_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256"),
            *("--alpn", "h2", "--alpn", "http/1.1", "--handshake-timeout", "2.5"),
            *("--idle-timeout", "0", "--drain", "0", "--max-connections", "1"),
            *("--allow-cn", "a", "--allow-cn", "b", "--allow-ou", "c"),
            *("--allow-dns", "d.example.com", "--allow-uri", "e://f"),
        )
        self.assertEqual(
            options.common(),
            {
                "trust": None,
                "applicationProtocols": ["h2", "http/1.1"],
                "enabledSslProtocols": SslProtocols.Tls13,
                "cipherSuitesPolicy": CipherSuitesPolicy(
                    [TlsCipherSuite.TLS_AES_256_GCM_SHA384, TlsCipherSuite.TLS_AES_128_GCM_SHA256]
                ),
                "handshakeTimeout": 2.5,
            },
        )
        self.assertEqual(
            options.rule(), AccessRule(["a", "b"], ["c"], ["d.example.com"], ["e://f"])
        )
        self.assertEqual((options["idle-timeout"], options["drain"]), (0, 0))
        both = optionsFor("--tls", "1.2,1.3")
        self.assertEqual(both["tls"], SslProtocols.Tls12 | SslProtocols.Tls13)
        self.assertFalse(both.rule())

    def test_usage(self) -> None:
        """
        Unknown options, arguments, and values that make no sense are wrong usage.
        """
        for arguments in (
            "--nonsense",
            "8443",
            "--tls 1.1",
            "--tls 1.2,",
            "--ciphers nonsense",
            "--ciphers TLS_AES_128_GCM_SHA256,",
            "--handshake-timeout 0",
            "--handshake-timeout soon",
            "--connect-timeout -1",
            "--connect-timeout nan",
            "--idle-timeout -1",
            "--idle-timeout inf",
            "--drain nan",
            "--grace -1",
            "--max-connections 0",
            "--max-connections many",
            "--max-handshakes 0",
            "--max-handshakes-per-address -1",
        ):
            error = self.assertRaises(UsageError, optionsFor, *arguments.split())
            option, *value = arguments.split()
            if value:
                self.assertTrue(str(error).startswith(f"{option}: "), error)

    def test_completion(self) -> None:
        """
        Shells complete the options, and the values of those that have some.
        """
        completions = io.BytesIO()
        self.patch(Options, "_shellCompFile", completions)
        with self.assertRaises(SystemExit):
            optionsFor("--", "--_shell-completion", "zsh:1")
        lines = completions.getvalue().decode().splitlines()
        for option, how in (
            ("certificate", "PEM file"),
            ("trust", "PEM file or directory"),
            ("tls", "1.2 1.3"),
            ("ciphers", " TLS_AES_256_GCM_SHA384 "),
            ("servername", "_hosts"),
        ):
            self.assertTrue(any(f"--{option}=" in each and how in each for each in lines), option)
        # It may be repeated.
        self.assertTrue(any(each.startswith("'*--allow-cn=") for each in lines))


class ServiceForTests(SynchronousTestCase):
    """
    Tests for L{serviceFor}.
    """

    def setUp(self) -> None:
        """
        Files.
        """
        self.files = Files(self)
        self.own = ("--certificate", self.files.both)

    def service(self, *arguments: str) -> ForwardService:
        """
        The service for a command line.
        """
        service = serviceFor(MemoryReactorClock(), optionsFor(*arguments), "program")
        assert isinstance(service, ForwardService)
        return service

    def refusal(self, *arguments: str) -> str:
        """
        @return: what the user reads who gave these options: one line.
        """
        error = self.assertRaises(StartError, self.service, *arguments)
        line = str(error)
        self.assertEqual(line.splitlines(), [line])
        self.assertEqual(line[:9], "program: ")
        return line[9:]

    def server(self, *arguments: str) -> SslServerAuthenticationOptions:
        """
        @return: how clients are authenticated by the service for a command line.
        """
        captured: list[SslServerAuthenticationOptions] = []
        secured = Forwarder.secured

        def capture(forwarder: Forwarder, options: Any) -> Any:
            captured.append(options)
            return secured(forwarder, options)

        with patch.object(Forwarder, "secured", capture):
            self.service(*ENDPOINTS, *self.own, *arguments)
        (options,) = captured
        return options

    def test_suites(self) -> None:
        """
        Servers take no suites without forward secrecy or authenticated encryption,
        unless they are asked for.
        """
        only = TlsCipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA
        for arguments, expected in (
            ((), RECOMMENDED_SUITES),
            (("--tls", "1.2"), RECOMMENDED_SUITES),
            (("--ciphers", only.name), CipherSuitesPolicy([only])),
        ):
            self.assertEqual(self.server(*arguments).cipherSuitesPolicy, expected)

    def client(self, *arguments: str) -> SslClientAuthenticationOptions:
        """
        @return: how the target is authenticated by the service for a command
            line.
        """
        endpoint: Any = self.service("--originate", *arguments).forwarder._target
        self.assertIsInstance(endpoint, SslStreamClientEndpoint)
        options: SslClientAuthenticationOptions = endpoint._options
        return options

    def test_missing(self) -> None:
        """
        Where to listen and what to connect to have to be said, and a certificate
        is needed to listen with.
        """
        self.assertEqual(self.refusal(*self.own), "--listen is needed")
        self.assertEqual(self.refusal(*self.own, *ENDPOINTS[:2]), "--connect is needed")
        self.assertEqual(
            self.refusal(*ENDPOINTS),
            "a certificate is needed: --certificate or --pfx, or --originate",
        )

    def test_contradictions(self) -> None:
        """
        What has no effect, or not that which one would think, is refused.
        """
        trust = ("--trust", self.files.root)
        originate = ("--originate", "--servername", "localhost")
        noCertificates = "--originate: clients without TLS have no certificates to require or allow"
        needsTrust = "clients' certificates need --trust: every authority of the system would do"
        for arguments, line in (
            ((*originate, "--require-client-certificate"), noCertificates),
            ((*originate, "--allow-cn", "a"), noCertificates),
            (
                (*originate, "--proxy-protocol"),
                "--originate: --proxy-protocol would be inside of TLS",
            ),
            (
                (*originate, "--proxy-protocol-v2"),
                "--originate: --proxy-protocol would be inside of TLS",
            ),
            (
                (*originate, "--accept-proxy"),
                "--originate: --accept-proxy is for clients with TLS",
            ),
            (
                (*self.own, "--proxy-protocol", "--proxy-protocol-v2"),
                "--proxy-protocol: give it in one version",
            ),
            ((*self.own, "--servername", "localhost"), "--servername needs --originate"),
            ((*self.own, "--require-client-certificate"), needsTrust),
            ((*self.own, "--allow-uri", "a"), needsTrust),
            (
                (*self.own, *trust),
                "--trust is for clients' certificates: --require-client-certificate or --allow-...",
            ),
            (
                ("--pfx", self.files.pfx, *self.own),
                "give either --pfx or --certificate and --private-key",
            ),
        ):
            self.assertEqual(self.refusal(*ENDPOINTS, *arguments), line)

    def test_badFiles(self) -> None:
        """
        A file that cannot be used is named, and so is a value.
        """
        files = self.files
        missing = f"{files.missing}: No such file or directory"
        for arguments, line in (
            (("--certificate", files.missing), missing),
            ((*self.own, "--trust", files.missing, "--allow-cn", "a"), missing),
            (("--originate", "--trust", files.missing), missing),
            (("--originate", "--certificate", files.missing), missing),
            (
                (*self.own, "--trust", files.root, "--allow-dns", "*.example.com"),
                "not a host name: '*.example.com'",
            ),
            (("--originate", "--servername", "a..b"), "not a host name: 'a..b'"),
            ((*self.own, "--alpn", ""), "an application protocol has 1 to 255 bytes"),
        ):
            self.assertEqual(self.refusal(*ENDPOINTS, *arguments), line)

    def test_badDescriptions(self) -> None:
        """
        A description of no endpoint is refused with the description.
        """
        for name, others in (("listen", ENDPOINTS[2:]), ("connect", ENDPOINTS[:2])):
            for description in ("nonsense", "tcp", "tcp:x", "tcp:1:nonsense=1"):
                line = self.refusal(*self.own, *others, f"--{name}", description)
                begin = f"--{name} {description}: "
                self.assertEqual(line[: len(begin)], begin)

    def test_plainTarget(self) -> None:
        """
        What TLS protects does not leave the machine without, unless that is asked
        for.
        """
        for description, isHere in (
            ("tcp:127.0.0.1:80", True),
            ("tcp:127.1.2.3:80", True),
            ("tcp:localhost:80", True),
            ("TCP:localhost:80", True),
            ("tcp:host=localhost:port=80", True),
            ("tcp:port=80:host=localhost", True),
            ("tcp:host=localhost:80", True),
            (r"tcp:\:\:1:80", True),
            (r"tcp:host=\:\:1:port=80", True),
            ("unix:/run/app.sock", True),
            ("UNIX:/run/app.sock", True),
            ("tcp:192.0.2.1:80", False),
            ("tcp:example.com:80", False),
            ("tcp:host=example.com:port=80:bindAddress=127.0.0.1", False),
            ("tcp:localhost.example.com:80", False),
            (r"tcp:2001\:db8\:\:1:80", False),
            ("tcp:0.0.0.0:80", False),
        ):
            arguments = (*self.own, *ENDPOINTS[:2], "--connect", description)
            if isHere:
                self.service(*arguments)
            else:
                self.assertEqual(
                    self.refusal(*arguments),
                    f"--connect {description}: what TLS protects would leave this machine "
                    "without: use TLS there as well, or say --unsafe-plaintext",
                )
                self.service(*arguments, "--unsafe-plaintext")

    def test_secureTarget(self) -> None:
        """
        A target that is authenticated may be anywhere.
        """
        arguments = (*self.own, *ENDPOINTS[:2], "--connect", "tls:example.com:443")
        self.service(*arguments)

    def test_serverName(self) -> None:
        """
        In originate mode the target's name is the host to connect to, unless
        another is given; without either it is refused.
        """
        for arguments, name in (
            (("--connect", "tcp:example.com:443"), "example.com"),
            (("--connect", "tcp:host=example.com:port=443"), "example.com"),
            (("--connect", "tcp:port=443:host=192.0.2.1"), "192.0.2.1"),
            (("--connect", r"tcp:host=2001\:db8\:\:1:port=443"), "2001:db8::1"),
            (("--connect", "tcp:192.0.2.1:443", "--servername", "example.com"), "example.com"),
            (("--connect", "unix:/run/app.sock", "--servername", "example.com"), "example.com"),
        ):
            self.assertEqual(self.client(*ENDPOINTS[:2], *arguments).targetHost, name)
        self.assertEqual(
            self.refusal("--originate", *ENDPOINTS[:2], "--connect", "unix:/run/app.sock"),
            "--originate needs --servername: there is no host in --connect",
        )

    def test_tls(self) -> None:
        """
        What is said about TLS is for the side that speaks it.
        """
        arguments = (
            *("--tls", "1.3", "--ciphers", "TLS_AES_256_GCM_SHA384", "--alpn", "h2"),
            *("--handshake-timeout", "7"),
        )
        trust = SslCertificateTrust.fromPEM(self.files.root)
        server = self.server(*arguments, "--trust", self.files.root, "--allow-cn", "a")
        client = self.client(*ENDPOINTS, *self.own, *arguments, "--trust", self.files.root)
        for options in (server, client):
            self.assertEqual(options.enabledSslProtocols, SslProtocols.Tls13)
            self.assertEqual(options.applicationProtocols, (SslApplicationProtocol.Http2,))
            self.assertEqual(options.handshakeTimeout, 7)
            self.assertEqual(options.trust, trust)
            suites = CipherSuitesPolicy([TlsCipherSuite.TLS_AES_256_GCM_SHA384])
            self.assertEqual(options.cipherSuitesPolicy, suites)
        for source in (server.serverCertificateContext, client.clientCertificateContext):
            self.assertIsInstance(source, ReloadingCertificate)
            assert source is not None
            self.assertEqual(source.current, SERVER)

    def test_clients(self) -> None:
        """
        Clients are asked for a certificate if that is required, or if some are
        let in by name.
        """
        trust = ("--trust", self.files.root)
        options = self.server()
        self.assertFalse(options.clientCertificateRequired)
        self.assertIsNone(options.remoteCertificateValidationCallback)
        options = self.server(*trust, "--require-client-certificate")
        self.assertTrue(options.clientCertificateRequired)
        self.assertIsNone(options.remoteCertificateValidationCallback)
        for kind in ("cn", "ou", "dns", "uri"):
            options = self.server(*trust, f"--allow-{kind}", "a")
            self.assertTrue(options.clientCertificateRequired)
            rule = options.remoteCertificateValidationCallback
            assert isinstance(rule, AccessRule)
            self.assertTrue(rule)

    def test_limits(self) -> None:
        """
        Limits are the forwarder's; no seconds of idleness are no limit.
        """
        forwarder = self.service(
            *ENDPOINTS,
            *self.own,
            *("--connect-timeout", "1", "--idle-timeout", "2", "--max-connections", "3"),
            *("--proxy-protocol", "--quiet"),
        ).forwarder
        self.assertEqual(
            (forwarder.connectTimeout, forwarder.idleTimeout, forwarder.mostConnections),
            (1, 2, 3),
        )
        self.assertEqual((forwarder.proxyVersion, forwarder.isQuiet), (1, True))
        forwarder = self.service(*ENDPOINTS, *self.own, "--idle-timeout", "0").forwarder
        self.assertIsNone(forwarder.idleTimeout)
        self.assertEqual((forwarder.proxyVersion, forwarder.isQuiet), (0, False))
        forwarder = self.service(*ENDPOINTS, *self.own, "--proxy-protocol-v2").forwarder
        self.assertEqual(forwarder.proxyVersion, 2)

    def test_twistedsProxy(self) -> None:
        """
        Behind Twisted's own C{haproxy:} who says nothing has until the end of the
        time for handshakes, and who begins otherwise is closed, both with a line.
        """
        for data in (b"", b"\x16\x03\x01\x00\x05hello"):
            reactor: Any = MemoryReactorClock()
            arguments = ("--listen", "haproxy:tcp:1", *ENDPOINTS[2:], *self.own)
            options = optionsFor(*arguments, "--handshake-timeout", "3")
            service = serviceFor(reactor, options, "program")
            service.privilegedStartService()
            ((_, factory, _, _),) = reactor.tcpServers
            protocol = factory.buildProtocol(IPv4Address("TCP", LOOPBACK, 1))
            transport = StringTransportWithDisconnection()
            transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
            transport.protocol = protocol
            with capturedLogs() as logged:
                protocol.makeConnection(transport)
                if data:
                    protocol.dataReceived(data)
                else:
                    reactor.advance(2.9)
                    self.assertTrue(transport.connected)
                    reactor.advance(0.1)
            self.assertFalse(transport.connected)
            lines = [str(formatEvent(each)) for each in logged]
            self.assertEqual(sum(": refused: " in line for line in lines), 1, lines)
            self.assertEqual(reactor.getDelayedCalls(), [])

    def test_acceptProxy(self) -> None:
        """
        Whoever has to begin with a PROXY header is asked for it in front of all
        else.
        """
        limited = ("--max-handshakes", "1")
        for options in ((), limited):
            plain = self.service(*ENDPOINTS, *self.own, *options)._listener
            proxied = self.service(*ENDPOINTS, *self.own, *options, "--accept-proxy")._listener
            assert isinstance(proxied, AcceptingFactory)
            self.assertIsInstance(proxied.wrappedFactory, type(plain))

    def test_makeService(self) -> None:
        """
        C{twistd} gets the same service, and its own name in what it refuses.
        """
        self.assertIsInstance(makeService(optionsFor(*ENDPOINTS, *self.own)), ForwardService)
        error = self.assertRaises(StartError, makeService, optionsFor(*ENDPOINTS))
        self.assertEqual(str(error).partition(": ")[0], "twistd sslserve")


@implementer(IListeningPort)
class Port:
    """
    Listens somewhere.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self.isListening = True

    def startListening(self) -> None:
        """
        It listens already.
        """

    def stopListening(self) -> None:
        """
        Listen no more.
        """
        self.isListening = False

    def getHost(self) -> Any:
        """
        @return: where.
        """
        return self._host


class ListeningTests(SynchronousTestCase):
    """
    Where L{ForwardService} listens.
    """

    def service(self, *arguments: str) -> tuple[ForwardService, Deferred[IListeningPort]]:
        """
        A service in originate mode, which gets its port when the test says so.
        """
        command = ("--originate", "--servername", "localhost", *ENDPOINTS, *arguments)
        service = serviceFor(MemoryReactorClock(), optionsFor(*command), "program")
        assert isinstance(service, ForwardService)
        listening: Deferred[IListeningPort] = Deferred()
        endpoint: Any = service._endpoint
        endpoint.listen = lambda factory: listening
        return service, listening

    def test_plain(self) -> None:
        """
        Who comes without TLS comes from this machine, unless another is asked for.
        """
        for host, isHere in (
            (IPv4Address("TCP", "127.0.0.1", 1), True),
            (IPv6Address("TCP", "::1", 1), True),
            (UNIXAddress("/run/x"), True),
            (IPv4Address("TCP", "0.0.0.0", 1), False),
            (IPv4Address("TCP", "192.0.2.1", 1), False),
            (IPv6Address("TCP", "::", 1), False),
            ("somewhere", False),
        ):
            for arguments in ((), ("--unsafe-plaintext",)):
                service, listening = self.service(*arguments)
                port = Port(host)
                listening.callback(port)
                if isHere or arguments:
                    service.privilegedStartService()
                    self.assertTrue(port.isListening)
                else:
                    error = self.assertRaises(StartError, service.privilegedStartService)
                    begin = f"program: cannot listen on {LISTEN}: what TLS protects would come "
                    self.assertEqual(str(error)[: len(begin)], begin)
                    self.assertFalse(port.isListening)

    def test_late(self) -> None:
        """
        An endpoint may take its time; if it fails in the end, the log tells.
        """
        service, listening = self.service()
        service.privilegedStartService()
        with capturedLogs() as logged:
            listening.callback(Port(IPv4Address("TCP", "127.0.0.1", 1)))
        self.assertEqual(
            [formatEvent(event) for event in logged],
            [f"Listening on 127.0.0.1:1, forwarding to tcp:{LOOPBACK}:80"],
        )
        service, listening = self.service()
        service.privilegedStartService()
        with capturedLogs() as logged:
            listening.errback(CannotListenError("::", 1, OSError("no {luck}")))
        (event,) = logged
        self.assertIs(event["log_level"], LogLevel.error)
        begin = f"program: cannot listen on {LISTEN}: Couldn't listen on :::1: no {{luck}}"
        self.assertEqual(str(formatEvent(event))[: len(begin)], begin)


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    """
    The target: sends back what it gets, and has the last word.
    """

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        self.transport.write(b"Goodbye")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass


class RunningTests(TestCase):
    """
    Tests for L{ForwardService} on the reactor.
    """

    def setUp(self) -> None:
        """
        Files.
        """
        self.files = Files(self)

    async def target(self) -> str:
        """
        Start a target.

        @return: how to connect to it.
        """
        endpoint = TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK)
        factory = Factory.forProtocol(Echo)
        factory.noisy = False
        port = await endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        return f"tcp:{LOOPBACK}:{port.getHost().port}"

    async def start(self, *arguments: str) -> tuple[ForwardService, SslStreamClientEndpoint]:
        """
        Start a service in front of a target.

        @return: it, and how to reach it.
        """
        service = makeService(
            optionsFor(
                *("--listen", LISTEN, "--connect", await self.target()),
                *("--certificate", self.files.both, *arguments),
            )
        )
        assert isinstance(service, ForwardService)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(self.stop, service)
        port: Any = service._port
        tcp = TCP4ClientEndpoint(reactor, LOOPBACK, port.getHost().port)
        return service, SslStreamClientEndpoint(tcp, clientOptions())

    async def stop(self, service: ForwardService) -> None:
        """
        Stop a service if it runs.
        """
        if service.running:
            await service.stopService()

    async def test_conversation(self) -> None:
        """
        A client that comes by TLS talks to the target, and both may end.
        """
        _, endpoint = await self.start()
        for _ in range(2):
            stream = await endpoint.connectStream()
            await stream.write(b"Hello")
            self.assertEqual(await stream.readExactly(5), b"Hello")
            await stream.shutdown()
            self.assertEqual(await stream.readExactly(7), b"Goodbye")
            self.assertEqual(await stream.read(), b"")
            await stream.close()

    async def test_large(self) -> None:
        """
        However much it is, everything comes back in order.
        """
        _, endpoint = await self.start()
        stream = await endpoint.connectStream()
        data = bytes(range(251)) * 10_000
        writing = stream.write(data)
        self.assertEqual(await stream.readExactly(len(data)), data)
        await writing
        await stream.close()

    async def test_stop(self) -> None:
        """
        A service that is stopped listens no more, lets connections end in peace,
        and tells in the end how many there were.
        """
        service, endpoint = await self.start()
        stream = await endpoint.connectStream()
        await stream.write(b"Hello")
        self.assertEqual(await stream.readExactly(5), b"Hello")
        with capturedLogs() as logged:
            stopped = service.stopService()
            with self.assertRaises(ConnectionRefusedError):
                await endpoint.connectStream()
            await stream.write(b"still")
            self.assertEqual(await stream.readExactly(5), b"still")
            self.assertFalse(stopped.called)
            await stream.close()
            await stopped
        self.assertFalse(service.running)
        lines = [formatEvent(event) for event in logged]
        self.assertIn("1 connections are left to end, for at most 30.0 s", lines)
        self.assertEqual(
            lines[-1], "1 clients were let in (0 did not end well), 0 refused, 0 too many"
        )

    async def test_grace(self) -> None:
        """
        A service that has some time to be told to be ending lets clients in until
        it is over.
        """
        service, endpoint = await self.start("--grace", "5")
        clock = Clock()
        service._reactor = clock
        stopped = service.stopService()
        stream = await endpoint.connectStream()
        await stream.write(b"Hello")
        self.assertEqual(await stream.readExactly(5), b"Hello")
        clock.advance(4.9)
        await (await endpoint.connectStream()).close()
        clock.advance(0.1)
        with self.assertRaises(ConnectionRefusedError):
            await endpoint.connectStream()
        self.assertFalse(stopped.called)
        await stream.close()
        await stopped

    async def test_descriptors(self) -> None:
        """
        However connections have ended, nothing of them is left open.
        """
        service, endpoint = await self.start()
        before = self.sockets()
        for number in range(9):
            stream = await endpoint.connectStream()
            await stream.write(b"Hello")
            self.assertEqual(await stream.readExactly(5), b"Hello")
            if number % 3 == 0:
                stream.abort()
            elif number % 3 == 1:
                await stream.shutdown()
            await stream.close()
        while service.forwarder.connections:
            await deferLater(reactor, 0.01)
        self.assertEqual(service.forwarder.accepted, 9)
        self.assertEqual(service.forwarder.failed, 3)
        while self.sockets() > before:
            await deferLater(reactor, 0.01)

    def sockets(self) -> int:
        """
        @return: how many this process has open.
        """
        return len(openFiles("socket:"))

    async def test_stopAtOnce(self) -> None:
        """
        Without time to end connections are cut off.
        """
        service, endpoint = await self.start("--drain", "0")
        stream = await endpoint.connectStream()
        await stream.write(b"Hello")
        self.assertEqual(await stream.readExactly(5), b"Hello")
        await service.stopService()
        with self.assertRaises(TruncationError):
            await stream.read()

    async def test_stopUnstarted(self) -> None:
        """
        A service that never listened can be stopped.
        """
        arguments = (*ENDPOINTS, "--certificate", self.files.both)
        await makeService(optionsFor(*arguments)).stopService()

    async def test_reload(self) -> None:
        """
        At SIGHUP the certificate is read again, and what is wrong with it goes to
        the log; connections go on.
        """
        before = signal.getsignal(signal.SIGHUP)
        service, endpoint = await self.start()
        streams = [await endpoint.connectStream()]
        renewed = AUTHORITY.issue("localhost")
        for data, serial, line in (
            (
                keyPEM(renewed) + certificatePEM(renewed),
                renewed.certificate.serial_number,
                f"{self.files.both}: now serving localhost, ",
            ),
            (
                b"nonsense",
                renewed.certificate.serial_number,
                f"{self.files.both}: not used, localhost stays in service: no certificate in it",
            ),
            (
                keyPEM(renewed) + certificatePEM(renewed),
                renewed.certificate.serial_number,
                f"{self.files.both}: in order again, localhost stays in service",
            ),
            (
                keyPEM(renewed) + certificatePEM(renewed),
                renewed.certificate.serial_number,
                "SIGHUP: the certificate is the same",
            ),
        ):
            self.files.store("both.pem", data)
            with capturedLogs() as logged:
                os.kill(os.getpid(), signal.SIGHUP)
                # Not in the midst of something else.
                self.assertEqual(logged, [])
                while not any(line in str(formatEvent(event)) for event in logged):
                    await deferLater(reactor, 0.01)
            streams.append(await endpoint.connectStream())
            certificate = streams[-1].remoteCertificate
            assert certificate is not None
            self.assertEqual(certificate.serial_number, serial)
        for stream in streams:
            await stream.write(b"Hello")
            self.assertEqual(await stream.readExactly(5), b"Hello")
            await stream.close()
        await service.stopService()
        self.assertIs(signal.getsignal(signal.SIGHUP), before)

    async def test_nothingToReload(self) -> None:
        """
        Where there is no certificate SIGHUP does nothing.
        """
        service = makeService(optionsFor("--originate", "--servername", "localhost", *ENDPOINTS))
        service.privilegedStartService()
        service.startService()
        os.kill(os.getpid(), signal.SIGHUP)
        await deferLater(reactor, 0.01)
        await service.stopService()

    def test_portInUse(self) -> None:
        """
        An address that cannot be had is told in one line.
        """
        listen = f"tcp:{occupied(self)}:interface={LOOPBACK}"
        arguments = ("--listen", listen, *ENDPOINTS[2:], "--certificate", self.files.both)
        service = makeService(optionsFor(*arguments))
        error = self.assertRaises(StartError, service.privilegedStartService)
        begin = f"twistd sslserve: cannot listen on {listen}: "
        self.assertEqual(str(error)[: len(begin)], begin)
        self.assertIn(f"[Errno {errno.EADDRINUSE}]", str(error))


#: What systemd does: it listens, and hands that over as file descriptor 3.
_ACTIVATOR = """
import os, socket, sys
os.dup2(socket.create_server(("127.0.0.1", 0)).detach(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="tls")
os.execv(sys.argv[1], sys.argv[1:])
"""

#: A command line in the documentation.
_COMMAND = re.compile(r"(?:sslstream serve|twistd .*sslserve) +(--.*)$", re.MULTILINE)


class ProcessTests(SynchronousTestCase):
    """
    Tests for C{sslstream serve} and C{twistd sslserve} as users run them.
    """

    def setUp(self) -> None:
        """
        Files, and a target that waits for connections.
        """
        self.files = Files(self)
        self.home = temporaryDirectory(self)
        self.listening = socket.create_server((LOOPBACK, 0))
        self.listening.settimeout(10)
        self.addCleanup(self.listening.close)
        self.options = (
            *("--connect", f"tcp:{LOOPBACK}:{self.listening.getsockname()[1]}"),
            *("--certificate", self.files.both),
        )

    def joined(self, port: int) -> tuple[ssl.SSLSocket, socket.socket]:
        """
        Connect.

        @return: the client's end and the target's.
        """
        plain = socket.create_connection((LOOPBACK, port), timeout=10)
        self.addCleanup(plain.close)
        context = ssl.create_default_context(cafile=self.files.root)
        client = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        self.addCleanup(client.close)
        target, _ = self.listening.accept()
        target.settimeout(10)
        self.addCleanup(target.close)
        return client, target

    def test_terminated(self) -> None:
        """
        At SIGTERM nobody else can come, connections go on until they have ended,
        and then the process ends; C{sslstream serve} with status 0.
        """
        for isTwistd, status in ((False, 0), (True, -signal.SIGTERM)):
            with serveProcess(self.home, *self.options, isTwistd=isTwistd) as tool:
                port = int(tool.match[1])
                client, target = self.joined(port)
                tool.terminate()
                tool.waitFor("1 connections are left to end")
                self.assertRaises(OSError, socket.create_connection, (LOOPBACK, port), 10)
                client.sendall(b"still there")
                self.assertEqual(target.recv(100), b"still there")
                target.sendall(b"so am I")
                target.close()
                self.assertEqual(client.recv(100), b"so am I")
                self.assertEqual(client.recv(100), b"")
                client.unwrap().close()
                self.assertEqual(tool.wait(timeout=10), status)
                self.assertIn("1 clients were let in (0 did not end well)", tool.output())
                self.assertNotIn("Traceback", tool.output())

    def test_truncated(self) -> None:
        """
        What is cut off at one side is cut off at the other, and not ended.
        """
        with serveProcess(self.home, *self.options) as tool:
            for isClient in (False, True):
                client, target = self.joined(int(tool.match[1]))
                client.sendall(b"not all")
                self.assertEqual(target.recv(100), b"not all")
                target.sendall(b"nor this")
                self.assertEqual(client.recv(100), b"nor this")
                if isClient:
                    # FIN, but no close_notify.
                    client.close()
                    self.assertRaises(ConnectionResetError, target.recv, 100)
                else:
                    target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    target.close()
                    self.assertRaises((ConnectionResetError, ssl.SSLError), client.recv, 100)
            tool.waitFor("; the target: Connection to the other side was lost")
            tool.waitFor("; the client: the connection ended without close_notify")

    def test_activated(self) -> None:
        """
        The socket may come from whoever has started the process, as from systemd.
        """
        command = [
            *(sys.executable, "-c", _ACTIVATOR, sys.executable, "-m", "txsslstream", "serve"),
            *("--listen", "systemd:domain=INET:index=0", *self.options),
        ]
        ready = r"Listening on \S+:(\d+), forwarding"
        with background(command, ready, environment=environment(self.home)) as tool:
            client, target = self.joined(int(tool.match[1]))
            client.sendall(b"Hello")
            self.assertEqual(target.recv(100), b"Hello")

    def test_impatient(self) -> None:
        """
        Who interrupts twice need not wait for connections to end.
        """
        with serveProcess(self.home, *self.options) as tool:
            self.joined(int(tool.match[1]))
            tool.signal(signal.SIGINT)
            tool.waitFor("1 connections are left to end")
            tool.signal(signal.SIGINT)
            self.assertEqual(tool.wait(timeout=10), -signal.SIGINT)

    def test_refused(self) -> None:
        """
        What is wrong makes one line on standard error, and exit status 1.
        """
        listen = f"tcp:{occupied(self)}:interface={LOOPBACK}"
        for arguments, line in (
            (("--listen", LISTEN), "sslstream serve: --connect is needed"),
            (
                ("--listen", LISTEN, *self.options, "--trust", self.files.missing),
                "sslstream serve: --trust is for clients' certificates: "
                "--require-client-certificate or --allow-...",
            ),
        ):
            ran = runSslstream("serve", *arguments)
            self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (1, "", f"{line}\n"))
        ran = runSslstream("serve", "--listen", listen, *self.options)
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertRegex(
            ran.stderr.splitlines()[-1],
            f"^sslstream serve: cannot listen on {listen}: .*Address already in use",
        )
        self.assertNotIn("Traceback", ran.stderr)

    def test_refusedByTwistd(self) -> None:
        """
        C{twistd} does not start then.
        """
        ran = runTwistd(self.home, "--pidfile=", "-n", "sslserve", "--listen", LISTEN)
        self.assertEqual(
            (ran.returncode, ran.stdout, ran.stderr),
            (1, "", "twistd sslserve: --connect is needed\n"),
        )

    def test_help(self) -> None:
        """
        Both have help with examples, C{sslstream} and C{twistd} list them, and
        what is wrong usage of the options leads there.
        """
        for ran in (
            runSslstream("serve", "--help"),
            runTwistd(self.home, "sslserve", "--help"),
        ):
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))
            for option in ("--listen=", "--connect=", "--originate", "--allow-cn=", "--alpn="):
                self.assertIn(f" {option} ", ran.stdout)
            self.assertIn("\nExamples:\n", ran.stdout)
            for line in ran.stdout.splitlines()[1:]:
                self.assertLessEqual(len(line), 80)
        ran = runSslstream("--help")
        self.assertRegex(ran.stdout, r"serve +Put TLS in front of any endpoint\.")
        ran = runTwistd(self.home, "--help")
        self.assertRegex(ran.stdout, r"\n    sslserve +TLS in front of any endpoint\.\n")
        ran = runSslstream("serve", "--tls", "1.1")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("--tls: '1.1' is neither 1.2 nor 1.3\nTry ", ran.stderr)


class DocumentationTests(SynchronousTestCase):
    """
    Tests for F{docs/serve.md}, and for the examples in the help.
    """

    def setUp(self) -> None:
        """
        A directory with all files that are named.
        """
        files = Files(self)
        for name in ("server", "db", "reporting", "me", "rsa"):
            files.store(f"{name}.pem", certificatePEM(SERVER) + keyPEM(SERVER))
        files.store("fullchain.pem", certificatePEM(SERVER))
        files.store("privkey.pem", keyPEM(SERVER))
        for name in ("ca", "clients-ca", "servers-ca"):
            files.store(f"{name}.pem", certificatePEM(AUTHORITY.certificate))
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(files.directory)

    def test_examples(self) -> None:
        """
        Every command makes a service.
        """
        joined = f"{DOCUMENT}\n{Options()}".replace("\\\n", " ").replace("/etc/app/", "")
        commands = _COMMAND.findall(joined)
        self.assertEqual(len(commands), 16)
        for command in commands:
            options = optionsFor(*shlex.split(command))
            if options["listen"].startswith("systemd:"):
                # Which is not there.
                options["listen"] = LISTEN
            service = serviceFor(MemoryReactorClock(), options, "program")
            kind = ForwardService if options["processes"] == 1 else Workers
            self.assertIsInstance(service, kind)

    def test_options(self) -> None:
        """
        Every option is explained with its default, and no other.
        """
        section = DOCUMENT.split("## Options")[1].split("\n### ")[0]
        rows = re.findall(
            r"^\| ((?:`--[a-z0-9-]+`(?:, )?)+) \|.*\| (?:(.*) )?\|$", section, re.MULTILINE
        )
        explained = {
            name: default for names, default in rows for name in re.findall("`--(.*?)`", names)
        }
        options = optionsFor()
        known = {name.removesuffix("=") for name in options.longOpt} - {"help", "version"}
        self.assertEqual(set(explained), known)
        numbers = {
            name: value
            for name, value in options.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value
        }
        documented = {name: text for name, text in explained.items() if text.isdecimal()}
        self.assertEqual({name: float(text) for name, text in documented.items()}, numbers)

    def test_figures(self) -> None:
        """
        What is said of times is so.
        """
        self.assertIn(f"has {LINGER} seconds to end itself", DOCUMENT)
        self.assertIn(f"has {forward.LAST_HANDSHAKES:g} seconds to finish the handshake", DOCUMENT)
        self.assertIn(f"closing takes {LINGER} seconds without progress", DOCUMENT)

    def test_log(self) -> None:
        """
        What is said of the log is what the code says.
        """
        sources = inspect.getsource(forward) + inspect.getsource(_forwarding)
        for words in (
            "its names are not let in",
            "it has shown no certificate",
            "does not take what is left",
            "no connection to the target: ",
            "cut off by the shutdown",
            "idle for ",
            "ended by the ",
        ):
            self.assertIn(words, sources)
            self.assertIn(words.strip(), DOCUMENT)
