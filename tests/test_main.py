"""
Tests for L{txsslstream.__main__}: how the commands are used, what the sample's client prints, and
its exit status.
"""

from __future__ import annotations

import io
import socket
from contextlib import redirect_stdout
from subprocess import CompletedProcess

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslClientAuthenticationOptions
from txsslstream.__main__ import ClientOptions, main
from txsslstream.echo import MESSAGE_LIMIT
from txsslstream.testing import certificatePEM, keyPEM

from .interop._tools import LOOPBACK, freePort
from .programs import runSslstream, sharedFile, sharedServerProcess, temporaryDirectory
from .support import AUTHORITY, CLIENT, SERVER

ANSWERED = "Sending hello message."
REFUSED = "Authentication failed - closing the connection."


def optionsFor(*arguments: str) -> ClientOptions:
    """
    What the client makes of a command line.
    """
    options = ClientOptions()
    options.parseOptions(arguments)
    return options


class ClientOptionsTests(SynchronousTestCase):
    """
    Tests for L{ClientOptions}.
    """

    def test_defaults(self) -> None:
        """
        A host is enough: its name is looked for in the certificate, on port
        8080, with the sample's message.
        """
        options = optionsFor("example.com")
        self.assertEqual(
            (options["host"], options["port"], options["message"], options["timeout"]),
            ("example.com", 8080, "Hello from the client.", 30.0),
        )
        self.assertFalse(options["verbose"])
        self.assertEqual(options["authentication"], SslClientAuthenticationOptions("example.com"))

    def test_anyOrder(self) -> None:
        """
        Options may come before, between and behind the other arguments, long,
        short or abbreviated.
        """
        for arguments in (
            "--port 1 --message two -v --timeout 3 127.0.0.1 localhost",
            "127.0.0.1 localhost --port 1 --message two -v --timeout 3",
            "--port=1 127.0.0.1 -v --message=two localhost --timeout=3.0",
            "127.0.0.1 -p1 -mtwo localhost -vt3",
            "-p 1 127.0.0.1 --mess two --verb -t 3 -- localhost",
        ):
            options = optionsFor(*arguments.split())
            self.assertEqual(
                {name: options[name] for name in ("host", "port", "message", "timeout")},
                {"host": "127.0.0.1", "port": 1, "message": "two", "timeout": 3.0},
                arguments,
            )
            self.assertTrue(options["verbose"])
            self.assertEqual(options["authentication"].targetHost, "localhost")
            self.assertEqual(options["authentication"].handshakeTimeout, 3.0)

    def test_valuesLikeOptions(self) -> None:
        """
        A value may look like an option, and an argument behind two dashes, too.
        """
        self.assertEqual(optionsFor("--message", "--port", "host")["message"], "--port")
        self.assertEqual(optionsFor("host", "-m", "-v")["message"], "-v")
        self.assertEqual(optionsFor("--message=", "host")["message"], "")
        self.assertEqual(optionsFor("--", "-v")["host"], "-v")

    def test_files(self) -> None:
        """
        The certificate and the roots are read at once.
        """
        directory = temporaryDirectory(self)
        root, own = directory / "root.pem", directory / "own.pem"
        root.write_bytes(certificatePEM(AUTHORITY.certificate))
        own.write_bytes(certificatePEM(CLIENT) + keyPEM(CLIENT))
        options = optionsFor("localhost", "--trust", str(root), "--certificate", str(own))
        self.assertEqual(options["authentication"].clientCertificateContext, CLIENT)
        trust = options["authentication"].trust
        self.assertEqual(trust.certificates, (AUTHORITY.certificate,))

    def test_badValues(self) -> None:
        """
        What cannot be used is told in one line, and exits with status 1.
        """
        missing = str(temporaryDirectory(self) / "missing")
        for arguments, line in (
            (("--trust", missing), f"{missing}: No such file or directory"),
            (("--certificate", missing), f"{missing}: No such file or directory"),
            (("--private-key", missing), "--private-key needs --certificate"),
            (
                ("--timeout", "0"),
                "handshakeTimeout is a positive number of seconds or None, not 0.0",
            ),
            (("not..a.name",), "not a host name: 'not..a.name'"),
        ):
            error = self.assertRaises(SystemExit, optionsFor, "localhost", *arguments)
            self.assertEqual(error.code, f"sslstream client: {line}")

    def test_badUsage(self) -> None:
        """
        Missing, superfluous and unknown arguments, and numbers that are no port,
        are wrong usage.
        """
        for arguments in (
            "",
            "one two three",
            "localhost --nonsense",
            "localhost --port",
            "localhost --port http",
            "localhost --port 0",
            "localhost --port -1",
            "localhost --port 65536",
            "localhost --timeout soon",
        ):
            self.assertRaises(UsageError, optionsFor, *arguments.split())
        self.assertEqual(optionsFor("localhost", "--port", "65535")["port"], 65535)


class MainTests(SynchronousTestCase):
    """
    Tests for L{main}.
    """

    def test_badUsage(self) -> None:
        """
        Wrong usage is told with the way to help, and exits with status 1.
        """
        for arguments, program, line in (
            ([], "sslstream", "a command is needed"),
            (["nonsense"], "sslstream", "Unknown command: nonsense"),
            (["--nonsense", "client"], "sslstream", "option --nonsense not recognized"),
            (
                ["client"],
                "sslstream client",
                "HOST is needed, or HOST and SERVERNAME, not 0",
            ),
            (
                ["client", "localhost", "--timeout", "soon"],
                "sslstream client",
                "--timeout: could not convert string to float: 'soon'",
            ),
            (
                ["client", "localhost", "-p", "0"],
                "sslstream client",
                "--port: 0 is no port",
            ),
            (["inspect"], "sslstream inspect", "one HOST[:PORT] is needed, not 0"),
            (["inspect", "a", "b"], "sslstream inspect", "one HOST[:PORT] is needed, not 2"),
            (["serve", "--drain", "-1"], "sslstream serve", "--drain: -1 is no number of seconds"),
        ):
            error = self.assertRaises(SystemExit, main, arguments)
            self.assertEqual(error.code, f"{program}: {line}\nTry {program} --help.")

    def test_help(self) -> None:
        """
        Each help says how that is called, with the program's name.
        """
        for arguments, synopsis in (
            ([], "Usage: sslstream COMMAND [options]"),
            (["client"], "Usage: sslstream client [options] HOST [SERVERNAME]"),
            (["inspect"], "Usage: sslstream inspect [options] HOST[:PORT]"),
            (
                ["serve"],
                "Usage: sslstream serve [options] --listen ENDPOINT --connect ENDPOINT",
            ),
        ):
            self.assertEqual(self.said(*arguments, "--help").splitlines()[0], synopsis)

    def test_version(self) -> None:
        """
        Each command tells the versions of all that matters in a report.
        """
        for arguments in ((), ("client",), ("inspect",), ("serve",)):
            said = self.said(*arguments, "--version").split(", ")
            names = ["txsslstream", "Twisted", "pyOpenSSL", "cryptography", "OpenSSL"]
            self.assertEqual([each.partition(" ")[0] for each in said], names)
            self.assertRegex(said[-1], r"^OpenSSL \d+\.\d+\.\d+ .*\n$")

    def said(self, *arguments: str) -> str:
        """
        @return: what the program prints and then exits well.
        """
        out = io.StringIO()
        with redirect_stdout(out):
            error = self.assertRaises(SystemExit, main, [*arguments])
        self.assertFalse(error.code)
        return out.getvalue()


class ProcessTests(SynchronousTestCase):
    """
    Tests for C{python -m txsslstream}, with a server in another process.
    """

    def setUp(self) -> None:
        """
        A server that requires nothing of its clients, and what to trust.
        """
        both = certificatePEM(SERVER) + keyPEM(SERVER)
        self.root = sharedFile("root.pem", certificatePEM(AUTHORITY.certificate))
        self.server = sharedServerProcess("--certificate", sharedFile("server.pem", both))

    def client(self, *arguments: str) -> CompletedProcess[str]:
        """
        Run the client, with the server's port.
        """
        return runSslstream("client", *arguments, "--port", str(self.server.port))

    def assertRan(
        self, client: CompletedProcess[str], status: int, lines: list[str], error: str = ""
    ) -> None:
        """
        The client has ended as it should.

        @param lines: its last lines.
        @param error: its lines on standard error.
        """
        self.assertEqual((client.returncode, client.stderr), (status, error), client)
        self.assertEqual(client.stdout.splitlines()[-len(lines) :], lines)

    def test_answered(self) -> None:
        """
        A client that was answered by the authenticated server prints the report
        between its own lines, and exits with status 0.
        """
        client = self.client("localhost", "--trust", self.root, "--message", "Grüße")
        certificate = SERVER.certificate
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        lines = [
            "Client connected.",
            "Cipher: Aes256 strength 256",
            "Hash: Sha384 strength 0",
            "Key exchange: DiffieHellman strength 255",
            "Protocol: Tls13",
            "Is authenticated: True as server? False",
            "IsSigned: True",
            "Is Encrypted: True",
            "Can read: True, write True",
            "Can timeout: True",
            "Certificate revocation list checked: False",
            "Local certificate is null.",
            f"Remote cert was issued to CN=localhost and is valid from {start:%Y-%m-%d %H:%M:%S} "
            f"UTC until {end:%Y-%m-%d %H:%M:%S} UTC.",
            "Server says: Hello from the server.<EOF>",
            "Client closed.",
        ]
        self.assertRan(client, 0, lines)
        self.assertEqual(len(client.stdout.splitlines()), len(lines))
        self.assertIn("Received: Grüße<EOF>", self.server.said(ANSWERED))

    def test_serverName(self) -> None:
        """
        The server's name may be given apart from where to connect to, before
        and behind the options; a wrong one is refused.
        """
        for arguments, name in (
            (["--trust", self.root, "-v", LOOPBACK, "localhost"], "localhost"),
            ([LOOPBACK, "--trust", self.root, "localhost", "-v"], "localhost"),
            # An address is not sent.
            ([LOOPBACK, "-v", "--trust", self.root], LOOPBACK),
        ):
            client = self.client(*arguments)
            self.assertEqual(client.returncode, 0, client)
            self.assertIn(f"Server name: {name}\n", client.stdout)
            self.server.said(ANSWERED)
        client = self.client(LOOPBACK, "example.com", "--trust", self.root)
        self.assertRan(
            client,
            1,
            [
                "Client connected.",
                "Exception: the remote certificate is invalid; RemoteCertificateNameMismatch; "
                "the certificate is for localhost, 127.0.0.1, not for 'example.com'; "
                "alert sent: bad_certificate",
                REFUSED,
                "Client closed.",
            ],
        )
        self.assertIn("alert received: bad_certificate", self.server.said(REFUSED)[0])

    def test_untrusted(self) -> None:
        """
        A server that nobody has told to trust is refused: exit status 1.
        """
        client = self.client("localhost")
        self.assertRan(client, 1, [REFUSED, "Client closed."])
        self.assertRegex(
            client.stdout.splitlines()[1],
            "^Exception: the remote certificate is invalid; RemoteCertificateChainErrors; "
            ".*; alert sent: unknown_ca$",
        )
        self.assertNotIn("Cipher", client.stdout)
        self.assertIn("alert received: unknown_ca", self.server.said(REFUSED)[0])

    def test_unanswered(self) -> None:
        """
        A server that closes without an answer makes exit status 1.
        """
        client = self.client("localhost", "--trust", self.root, "-m", "x" * MESSAGE_LIMIT)
        self.assertRan(client, 1, ["Server says: ", "Client closed."])
        self.server.said("Exception: no <EOF> within 65536 bytes")

    def test_unreachable(self) -> None:
        """
        A server that cannot be reached makes one line and exit status 2.
        """
        port = freePort()
        client = runSslstream("client", LOOPBACK, "--port", str(port))
        self.assertEqual((client.returncode, client.stdout), (2, ""))
        self.assertRegex(
            client.stderr,
            rf"\Asslstream client: {LOOPBACK}:{port}: Connection was refused .*\n\Z",
        )

    def test_silent(self) -> None:
        """
        A server that does not authenticate is left after the time-out: exit
        status 1.
        """
        with socket.create_server((LOOPBACK, 0)) as listening:
            port = str(listening.getsockname()[1])
            client = runSslstream("client", LOOPBACK, "--port", port, "--timeout", "0.2")
        self.assertRan(client, 1, [REFUSED, "Client closed."])
        self.assertRegex(
            client.stdout.splitlines()[1], "^Exception: no end of the handshake within 0.2 s"
        )

    def test_help(self) -> None:
        """
        The command and the client have help.
        """
        for arguments, text in (
            (["--help"], "client       Talk to the secure sample server."),
            (["--help"], "inspect      Show what there is to know of a server."),
            (["client", "--help"], "client [options] HOST [SERVERNAME]"),
        ):
            helped = runSslstream(*arguments)
            self.assertEqual((helped.returncode, helped.stderr), (0, ""))
            self.assertIn(text, helped.stdout)
            self.assertNotIn("C{", helped.stdout)
