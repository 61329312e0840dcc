"""
Tests for L{txsslstream._tap} and the plugin: what C{twistd sslecho} takes, when it refuses to
start, how it runs and how it ends.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import ssl
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txsslstream import SslStreamClientEndpoint
from txsslstream._attended import StartError
from txsslstream._tap import Options, SampleService, makeService
from txsslstream.echo import converse
from txsslstream.suitability import RECOMMENDED_SUITES
from txsslstream.testing import Authority, certificatePEM, keyPEM, pfx

from .interop._tools import LOOPBACK
from .programs import (
    LISTEN,
    authorityPath,
    runSslstream,
    runTwistd,
    sampleServerProcess,
    temporaryDirectory,
)
from .support import AUTHORITY, CLIENT, SERVER, clientOptions

PASSWORD = b"correct horse"


def optionsFor(*arguments: str) -> Options:
    """
    What C{twistd} makes of a command line.
    """
    options = Options()
    options.parseOptions(list(arguments))
    return options


def occupied(test: Any) -> int:
    """
    @return: the number of a port that is in use as long as a test runs.
    """
    listening = socket.create_server((LOOPBACK, 0))
    test.addCleanup(listening.close)
    port: int = listening.getsockname()[1]
    return port


class Files:
    """
    What a user may have on disk, and paths where there is nothing.
    """

    def __init__(self, test: Any) -> None:
        self.directory = temporaryDirectory(test)
        self.certificate = self.store("certificate.pem", certificatePEM(SERVER))
        self.key = self.store("key.pem", keyPEM(SERVER))
        self.both = self.store("both.pem", keyPEM(SERVER) + certificatePEM(SERVER))
        self.encrypted = self.store("encrypted.pem", keyPEM(SERVER, PASSWORD))
        self.pfx = self.store("both.pfx", pfx(SERVER, PASSWORD))
        self.password = self.store("password", PASSWORD + b"\r\nno more\n")
        self.wrongPassword = self.store("wrong-password", b"battery staple\n")
        self.root = self.store("root.crt", certificatePEM(AUTHORITY.certificate))
        self.missing = str(self.directory / "missing.pem")

    def store(self, name: str, data: bytes) -> str:
        """
        @return: the path of a file with this data.
        """
        path = self.directory / name
        path.write_bytes(data)
        return str(path)


class OptionsTests(SynchronousTestCase):
    """
    Tests for L{Options}.
    """

    def setUp(self) -> None:
        """
        Files.
        """
        self.files = Files(self)

    def test_defaults(self) -> None:
        """
        Without options the server listens on port 8080, names no certificate,
        trusts the system's roots, requires no certificate and does not echo.
        """
        options = optionsFor()
        self.assertEqual(options["listen"], "tcp:8080")
        self.assertIsNone(options.certificateContext())
        self.assertIsNone(options.trusted())
        for flag in ("echo", "require-client-certificate", "verbose"):
            self.assertFalse(options[flag], flag)

    def test_certificate(self) -> None:
        """
        A certificate with its key comes from one PEM file, from two, or from a
        PKCS#12 file; a password is the first line of its file.
        """
        files = self.files
        forms = (
            ("--certificate", files.both),
            ("--certificate", files.certificate, "--private-key", files.key),
            (
                *("--certificate", files.certificate, "--private-key", files.encrypted),
                *("--password-file", files.password),
            ),
            ("--pfx", files.pfx, "--password-file", files.password),
        )
        for form in forms:
            self.assertEqual(optionsFor(*form).certificateContext(), SERVER, form)

    def test_trust(self) -> None:
        """
        The roots to trust come from a file or from those of a directory.
        """
        directory = self.files.directory / "roots"
        directory.mkdir()
        (directory / "one.pem").write_bytes(certificatePEM(AUTHORITY.certificate))
        for path in (self.files.root, str(directory)):
            trust = optionsFor("--trust", path).trusted()
            assert trust is not None
            self.assertEqual(trust.certificates, (AUTHORITY.certificate,))

    def test_usage(self) -> None:
        """
        Unknown options and arguments are wrong usage.
        """
        for arguments in (["--nonsense"], ["8080"]):
            self.assertRaises(UsageError, optionsFor, *arguments)


class MakeServiceTests(SynchronousTestCase):
    """
    Tests for L{makeService}.
    """

    def setUp(self) -> None:
        """
        Files, and a data directory of the test's own.
        """
        self.files = Files(self)
        self.home = temporaryDirectory(self)
        environment = patch.dict(os.environ, XDG_DATA_HOME=str(self.home / "data"))
        environment.start()
        self.addCleanup(environment.stop)

    def refusal(self, *arguments: str) -> str:
        """
        @return: what the user reads who gave these options: one line.
        """
        error = self.assertRaises(StartError, makeService, optionsFor(*arguments))
        line = str(error)
        self.assertEqual(line.splitlines(), [line])
        # What SystemExit makes of a text: the text on standard error, status 1.
        self.assertEqual(error.code, line)
        # What twistd tidies up after.
        self.assertIsInstance(error, Exception)
        prefix = "twistd sslecho: "
        self.assertEqual(line[: len(prefix)], prefix)
        return line[len(prefix) :]

    def test_service(self) -> None:
        """
        Good options make a service.
        """
        service = makeService(optionsFor("--certificate", self.files.both, "--listen", LISTEN))
        self.assertIsInstance(service, SampleService)

    def test_echoToTheEnd(self) -> None:
        """
        What is echoed ends with the client's connection, in whatever way; a
        message that is cut off is a truncation.
        """
        for arguments, isStrict in (((), True), (("--echo",), False)):
            service = makeService(optionsFor("--certificate", self.files.both, *arguments))
            assert isinstance(service, SampleService)
            self.assertIs(service._server._options.requireCloseNotify, isStrict)

    def test_suites(self) -> None:
        """
        Suites without forward secrecy or authenticated encryption are not taken.
        """
        service = makeService(optionsFor("--certificate", self.files.both))
        assert isinstance(service, SampleService)
        suites = service._server._options.cipherSuitesPolicy
        self.assertEqual(suites, RECOMMENDED_SUITES)

    def test_badFiles(self) -> None:
        """
        A file that is missing, or holds something else, is named.
        """
        files = self.files
        missing = f"{files.missing}: No such file or directory"
        directory = str(files.directory)
        nonsense = files.store("nonsense", b"nonsense")
        nothing = f"{files.key}: no certificate in it"
        empty = files.store("empty", b"")
        for arguments, line in (
            (("--certificate", files.missing), missing),
            (("--certificate", files.certificate, "--private-key", files.missing), missing),
            (("--pfx", files.missing), missing),
            (("--pfx", files.pfx, "--password-file", files.missing), missing),
            (
                ("--pfx", files.pfx, "--password-file", empty),
                f"{empty}: no password in the first line",
            ),
            (("--certificate", files.both, "--trust", files.missing), missing),
            (("--certificate", directory), f"{directory}: Is a directory"),
            (("--certificate", nonsense), f"{nonsense}: no certificate in it"),
            (("--certificate", files.key), nothing),
            (("--certificate", files.certificate), f"{files.certificate}: no private key in it"),
            (("--certificate", files.both, "--trust", files.key), nothing),
            (
                ("--certificate", files.both, "--trust", str(self.home)),
                f"{self.home}: no .pem or .crt file in it",
            ),
            (
                ("--pfx", nonsense),
                f"{nonsense}: not a PKCS#12 file, or the password is wrong",
            ),
        ):
            self.assertEqual(self.refusal(*arguments), line)

    def test_otherKey(self) -> None:
        """
        A key that does not fit the certificate is told with both files.
        """
        other = self.files.store("other.pem", keyPEM(CLIENT))
        line = self.refusal("--certificate", self.files.certificate, "--private-key", other)
        begin = f"{self.files.certificate}: no certificate belongs to the private key of {other}: "
        self.assertEqual(line[: len(begin)], begin)

    def test_passwords(self) -> None:
        """
        A missing, wrong or needless password is told with the file it is for.
        """
        files = self.files
        key = ("--certificate", files.certificate, "--private-key", files.encrypted)
        wrong = ("--password-file", files.wrongPassword)
        for arguments, line in (
            (key, f"{files.encrypted}: the private key is encrypted: a password is needed"),
            (
                (*key, *wrong),
                f"{files.encrypted}: the private key is damaged or the password is wrong",
            ),
            (
                ("--pfx", files.pfx, *wrong),
                f"{files.pfx}: not a PKCS#12 file, or the password is wrong",
            ),
            (("--pfx", files.pfx), f"{files.pfx}: not a PKCS#12 file, or the password is wrong"),
            (
                ("--certificate", files.both, *wrong),
                f"{files.both}: the private key is not encrypted: no password must be given",
            ),
        ):
            self.assertEqual(self.refusal(*arguments), line)

    def test_contradictions(self) -> None:
        """
        Options that contradict each other, or lack one another, are refused.
        """
        files = self.files
        either = "give either --pfx or --certificate and --private-key"
        for arguments, line in (
            (("--pfx", files.pfx, "--certificate", files.both), either),
            (("--pfx", files.pfx, "--private-key", files.key), either),
            (("--private-key", files.key), "--private-key needs --certificate"),
        ):
            self.assertEqual(self.refusal(*arguments), line)

    def test_badDescription(self) -> None:
        """
        A description of no endpoint is refused with the description.
        """
        for description in (
            "nonsense",
            "",
            "tcp",
            "tcp:x",
            "tcp:1:nonsense=1",
            "systemd:domain=INET:index=0",
        ):
            line = self.refusal("--certificate", self.files.both, "--listen", description)
            begin = f"--listen {description}: "
            self.assertEqual(line[: len(begin)], begin)

    def test_badDataDirectory(self) -> None:
        """
        Without a certificate, a development certificate that cannot be stored
        is told with the file.
        """
        path = self.home / "data"
        path.write_bytes(b"")
        self.assertEqual(self.refusal(), f"{path / 'txsslstream' / 'development'}: Not a directory")

    def test_ownCertificate(self) -> None:
        """
        No development certificate is made for those who have one.
        """
        makeService(optionsFor("--certificate", self.files.both))
        self.assertEqual(os.listdir(self.home), [])


class ServiceTests(TestCase):
    """
    Tests for L{SampleService} on the reactor.
    """

    def setUp(self) -> None:
        """
        A certificate.
        """
        self.both = Files(self).both

    def service(self, *options: str, listen: str = LISTEN) -> SampleService:
        """
        A service, not yet started.
        """
        service = makeService(optionsFor("--certificate", self.both, "--listen", listen, *options))
        assert isinstance(service, SampleService)
        return service

    def start(self, *options: str) -> tuple[SampleService, SslStreamClientEndpoint]:
        """
        Start a service.

        @return: it, and how to reach it.
        """
        service = self.service(*options)
        with capturedLogs() as logged:
            service.privilegedStartService()
            service.startService()
        self.addCleanup(service.stopService)
        lines = [event["line"] for event in logged if "line" in event]
        self.assertEqual(len(lines), 1)
        port = re.fullmatch(r"Waiting for a client to connect to .*port=(\d+)\)\.\.\.", lines[0])
        assert port is not None, lines
        tcp = TCP4ClientEndpoint(reactor, LOOPBACK, int(port[1]))
        return service, SslStreamClientEndpoint(tcp, clientOptions())

    async def test_conversation(self) -> None:
        """
        A started service has the sample's conversation with its clients.
        """
        _, endpoint = self.start()
        for _ in range(2):
            stream = await endpoint.connectStream()
            self.assertTrue(await converse(stream, "Hello", lambda line: None))
            self.assertEqual(await stream.read(), b"")
            await stream.close()

    async def test_stop(self) -> None:
        """
        A service that is stopped listens no more and closes its connections
        cleanly, and its Deferred fires when they are gone.
        """
        service, endpoint = self.start("--echo")
        streams = [await endpoint.connectStream() for _ in range(3)]
        for stream in streams:
            # A client of TLS 1.3 is authenticated before the server is.
            await stream.write(b"x")
            self.assertEqual(await stream.readExactly(1), b"x")
        stopped = service.stopService()
        with self.assertRaises(ConnectionRefusedError):
            await endpoint.connectStream()
        for stream in streams:
            self.assertEqual(await stream.read(), b"")
            self.assertFalse(stopped.called)
            await stream.close()
        await stopped
        self.assertFalse(service.running)

    async def test_drain(self) -> None:
        """
        With a grace clients are let in until it is over; with a time to drain
        those who are there go on until it is over, and are closed cleanly then.
        """
        for isPatient in (False, True):
            service, endpoint = self.start("--echo", "--grace", "3", "--drain", "7")
            clock = service._clock = Clock()
            stopped = service.stopService()
            stream = await endpoint.connectStream()
            await stream.write(b"x")
            self.assertEqual(await stream.readExactly(1), b"x")
            clock.advance(2.9)
            await (await endpoint.connectStream()).close()
            clock.advance(0.1)
            with self.assertRaises(ConnectionRefusedError):
                await endpoint.connectStream()
            clock.advance(6.9)
            await stream.write(b"y")
            self.assertEqual(await stream.readExactly(1), b"y")
            if isPatient:
                clock.advance(0.1)
                # close_notify: otherwise this would be a TruncationError.
                self.assertEqual(await stream.read(), b"")
            self.assertFalse(stopped.called)
            await stream.close()
            await stopped
            self.assertEqual(clock.getDelayedCalls(), [])
            # It is stopped once more, when the test ends.
            service._grace = 0

    async def test_nobodyToDrain(self) -> None:
        """
        Without clients there is nothing to wait for.
        """
        service, _ = self.start("--drain", "7")
        service._clock = Clock()
        await service.stopService()

    def test_portInUse(self) -> None:
        """
        An address that cannot be had is told in one line.
        """
        port = occupied(self)
        service = self.service(listen=f"tcp:{port}:interface={LOOPBACK}")
        error = self.assertRaises(StartError, service.privilegedStartService)
        self.assertEqual(
            str(error),
            f"twistd sslecho: cannot listen on tcp:{port}:interface=127.0.0.1: Couldn't listen "
            f"on 127.0.0.1:{port}: [Errno {errno.EADDRINUSE}] Address already in use.",
        )

    async def test_stopUnstarted(self) -> None:
        """
        A service that never listened can be stopped.
        """
        await self.service().stopService()


class ProcessTests(SynchronousTestCase):
    """
    Tests for C{twistd sslecho} as users run it.
    """

    def setUp(self) -> None:
        """
        Files, and a home of the test's own.
        """
        self.files = Files(self)
        self.home = temporaryDirectory(self)
        self.pidFile = self.home / "twistd.pid"

    def connected(self, port: int, root: str) -> ssl.SSLSocket:
        """
        @return: a connection of Python's own.
        """
        plain = socket.create_connection((LOOPBACK, port), timeout=10)
        self.addCleanup(plain.close)
        secure = ssl.create_default_context(cafile=root).wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        )
        self.addCleanup(secure.close)
        return secure

    def assertRefused(self, *arguments: str) -> tuple[str, str]:
        """
        C{twistd} does not start.

        @return: what it has written to standard output and standard error.
        """
        run = runTwistd(self.home, f"--pidfile={self.pidFile}", *arguments)
        self.assertEqual(run.returncode, 1, run)
        self.assertNotIn("Traceback", run.stdout + run.stderr)
        self.assertFalse(self.pidFile.exists())
        return run.stdout, run.stderr

    def test_listed(self) -> None:
        """
        C{twistd --help} lists the server, and the server has help of its own.
        """
        run = runTwistd(self.home, "--help")
        self.assertRegex(run.stdout, r"\n    sslecho +The secure sample server of SslStream\.\n")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        run = runTwistd(self.home, "sslecho", "--help")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        for option in ("--listen=", "--certificate=", "--pfx=", "--trust=", "--echo", "--verbose"):
            self.assertIn(f" {option} ", run.stdout)
        self.assertNotIn("  ", run.stdout.partition("\n\n")[2].strip())

    def test_authority(self) -> None:
        """
        Without options the server makes itself a certificate and says which
        file to trust; whoever trusts it is authenticated and answered.
        """
        authority = authorityPath(self.home)
        with sampleServerProcess(self.home) as server:
            self.assertEqual(
                server.said("Clients may trust .*"),
                [f"Clients may trust the development authority in {authority}"],
            )
            client = runSslstream(
                "client", "localhost", "--port", str(server.port), "--trust", str(authority)
            )
            self.assertEqual(client.returncode, 0, client)
            said = server.said("Sending hello message.")
            self.assertIn("Received: Hello from the client.<EOF>", said)
        # The next one has the same authority.
        before = authority.read_bytes()
        with sampleServerProcess(self.home):
            self.assertEqual(authority.read_bytes(), before)

    def test_clientCertificate(self) -> None:
        """
        C{--require-client-certificate} refuses clients with no certificate or
        with one that C{--trust} does not lead to, and they hear why.
        """
        own = ("--certificate", self.files.both, "--require-client-certificate")
        stranger = Authority("Another Authority").issue("stranger@example.com")
        strangers = self.files.store("stranger.pem", keyPEM(stranger) + certificatePEM(stranger))
        clients = self.files.store("client.pem", keyPEM(CLIENT) + certificatePEM(CLIENT))
        failed = "Authentication failed - closing the connection."
        with sampleServerProcess(self.home, *own, "--trust", self.files.root) as server:
            for certificate, status, alert in (
                (("--certificate", clients), 0, None),
                ((), 1, "certificate_required"),
                (("--certificate", strangers), 1, "unknown_ca"),
            ):
                client = runSslstream(
                    *("client", "localhost", "--port", str(server.port)),
                    *("--trust", self.files.root, *certificate),
                )
                self.assertEqual(client.returncode, status, client)
                said = server.said(failed if status else "Sending hello message.")
                if alert is None:
                    self.assertIn(
                        "Remote cert was issued to CN=client@example.com", "\n".join(said)
                    )
                else:
                    self.assertIn(
                        "Exception: the server refused this client; "
                        f"alert received: {alert}\n{failed}\n",
                        client.stdout,
                    )
                    self.assertEqual(said[0].partition("; alert sent: ")[2], alert)

    def test_pfx(self) -> None:
        """
        C{--pfx} serves the certificate of a PKCS#12 file, C{--verbose} tells
        more of each connection, and nobody is told of a development authority.
        """
        pfx = ("--pfx", self.files.pfx, "--password-file", self.files.password)
        with sampleServerProcess(self.home, *pfx, "--verbose") as server:
            secure = self.connected(server.port, self.files.root)
            certificate = secure.getpeercert(binary_form=True)
            secure.sendall(b"<EOF>")
            said = server.said("Sending hello message.")
        self.assertEqual(certificate, SERVER.certificate.public_bytes(Encoding.DER))
        self.assertIn("Server name: localhost", said)
        self.assertNotIn("authority", "\n".join(said))
        self.assertFalse(authorityPath(self.home).exists())

    def test_echo(self) -> None:
        """
        C{--echo} sends back whatever comes, and closes when the client does.
        """
        with sampleServerProcess(self.home, "--certificate", self.files.both, "--echo") as server:
            secure = self.connected(server.port, self.files.root)
            for data in (b"a", b"Hello<EOF>", bytes(range(256)) * 4096):
                secure.sendall(data)
                heard = b""
                while len(heard) < len(data):
                    heard += secure.recv(65536)
                self.assertEqual(heard, data)
            # Sends close_notify and waits for the server's.
            secure.unwrap().close()

    def test_terminated(self) -> None:
        """
        At SIGTERM every connection gets a clean end, and the process ends soon.
        """
        with sampleServerProcess(self.home, "--certificate", self.files.both) as server:
            secure = self.connected(server.port, self.files.root)
            server.said("Waiting for client message...")
            server.tool.terminate()
            # Without a close_notify this would raise.
            self.assertEqual(secure.recv(1), b"")
            secure.unwrap().close()
            # What twistd makes of its end by a signal.
            self.assertEqual(server.tool.wait(timeout=5), -signal.SIGTERM)
            self.assertIn("Server Shut Down.", server.tool.output())

    def test_badPath(self) -> None:
        """
        A path where nothing is makes one line on standard error and exit
        status 1.
        """
        stdout, stderr = self.assertRefused("-n", "sslecho", "--certificate", self.files.missing)
        self.assertEqual(stdout, "")
        self.assertEqual(
            stderr, f"twistd sslecho: {self.files.missing}: No such file or directory\n"
        )

    def test_portInUse(self) -> None:
        """
        A port in use makes one line and exit status 1, and leaves no pidfile.
        """
        listen = f"tcp:{occupied(self)}:interface={LOOPBACK}"
        stdout, stderr = self.assertRefused(
            "-n", "sslecho", "--certificate", self.files.both, "--listen", listen
        )
        self.assertEqual(stderr, "")
        lines = [line for line in stdout.splitlines() if "twistd sslecho: " in line]
        self.assertEqual(len(lines), 1, stdout)
        self.assertRegex(lines[0], f"cannot listen on {listen}: .*Address already in use")
