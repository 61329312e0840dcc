"""
STARTTLS between ours and others, as the documentation shows it: mail servers of
C{twisted.mail} with foreign clients, and our client with Dovecot.
"""

from __future__ import annotations

import imaplib
import smtplib
import socket
import ssl
from contextlib import AbstractContextManager
from subprocess import CompletedProcess
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority, certificatePEM, keyPEM

from ._pages import Place, place
from ._services import dovecotWithMail
from ._tools import LOOPBACK, Background, freePort, opensslClient, runTool
from .test_interop import VERSIONS, ToolCase


class PageCase(ToolCase):
    """
    A test case with programs on the page.

    @cvar program: the server that runs.
    """

    tools: ClassVar[tuple[str, ...]] = ()
    program: str

    def setUp(self) -> None:
        """
        Skip what cannot be run here, and start the server.
        """
        super().setUp()
        page = place("inplace.md")
        self.place: Place = page.__enter__()
        self.addCleanup(page.__exit__, None, None, None)
        serving = self.place.serving(self.program)
        self.server: Background = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)

    def context(self) -> ssl.SSLContext:
        """
        For Python's clients.
        """
        return ssl.create_default_context(cafile=str(self.place.path("authority.pem")))


class SmtpServerCase(PageCase):
    """
    The server of C{twisted.mail} on the page.
    """

    program = "smtpserver.py"


class OpenSSLTests(SmtpServerCase, SynchronousTestCase):
    """
    C{openssl s_client -starttls smtp}.
    """

    tools = ("openssl",)

    def talk(self, version: str, serverName: str = "localhost") -> CompletedProcess[str]:
        """
        Go over to TLS, and say something.
        """
        command = opensslClient(
            self.place.port,
            self.place.path("authority.pem"),
            serverName=serverName,
            version=version,
            extra=("-starttls", "smtp", "-crlf"),
        )
        return runTool(command, "EHLO client.example\nNOOP\nQUIT\n")

    def test_conversation(self) -> None:
        """
        It goes over to TLS, and is not told again that it may.
        """
        for version in VERSIONS:
            done = self.talk(version)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn(f"Protocol version: TLSv{version}", done.stderr)
            self.assertIn("Verification: OK", done.stderr)
            self.assertIn("nice to meet you", done.stdout)
            self.assertIn("221 See you later", done.stdout)
            self.assertNotIn("STARTTLS", done.stdout)

    def test_refused(self) -> None:
        """
        It refuses a server with another name, and the server lives on.
        """
        for version in VERSIONS:
            done = self.talk(version, "elsewhere.example")
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("hostname mismatch", done.stderr)
        self.assertEqual(self.talk("1.3").returncode, 0)


class CurlTests(SmtpServerCase, SynchronousTestCase):
    """
    C{curl --ssl-reqd}.
    """

    tools = ("curl",)

    def test_message(self) -> None:
        """
        It delivers a message in TLS, of many lines.
        """
        lines = [f"Line {number} of the message." for number in range(5000)]
        message = self.place.path("message")
        message.write_text("\r\n".join(["Subject: Greetings", "", *lines, ""]))
        command = ["curl", "--silent", "--show-error", "--max-time", "20", "--ssl-reqd", "--ipv4"]
        command += ["--noproxy", "*", "--cacert", str(self.place.path("authority.pem"))]
        command += ["--mail-from", "from@example.com", "--mail-rcpt", "to@example.com"]
        url = f"smtp://localhost:{self.place.port}/client.example"
        done = runTool([*command, "--upload-file", str(message), url])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.server.waitFor(r"^Line 4999 of the message\.$")
        received = self.server.output()
        self.assertIn("Received: from client.example with ESMTPS", received)
        self.assertEqual(received.count(" of the message."), len(lines))
        self.assertNotIn("ended early", received)


class PythonTests(SmtpServerCase, SynchronousTestCase):
    """
    Python's C{smtplib}, and somebody on the way.
    """

    def test_message(self) -> None:
        """
        It delivers a message in TLS.
        """
        with smtplib.SMTP(LOOPBACK, self.place.port, "client.example", timeout=20) as client:
            client._host = "localhost"  # type: ignore[attr-defined]
            client.starttls(context=self.context())
            client.sendmail("from@example.com", "to@example.com", "Subject: Hello\n\nMessage.\n")
        self.server.waitFor(r"^Message\.$")
        self.assertIn("with ESMTPS", self.server.output())

    def test_injected(self) -> None:
        """
        Commands in the segment behind STARTTLS are not obeyed: the connection
        ends, and nothing was delivered.
        """
        commands = ("EHLO x", "STARTTLS", "MAIL FROM:<e@x>", "RCPT TO:<y@z>", "DATA", "EVIL", ".")
        with socket.create_connection((LOOPBACK, self.place.port), timeout=20) as client:
            client.sendall("".join(f"{each}\r\n" for each in commands).encode())
            received = b""
            while data := client.recv(65536):
                received += data
        said, end, behind = received.partition(b"220 Begin TLS negotiation now\r\n")
        self.assertIn(b"nice to meet you", said)
        self.assertNotEqual(end, b"")
        self.assertNotIn(b"250", behind)
        self.assertNotIn("EVIL", self.server.output())


class GreeterCase(PageCase):
    """
    One of the servers on the page that greet.
    """

    def greeted(self, pipelined: bytes = b"") -> bytes:
        """
        Python's C{ssl} goes over to TLS and is greeted.

        @param pipelined: what somebody has put behind the command.
        """
        with socket.create_connection((LOOPBACK, self.place.port), timeout=20) as plain:
            plain.sendall(b"hello\r\n")
            self.assertEqual(plain.recv(100), b"Say STARTTLS first.\r\n")
            plain.sendall(b"STARTTLS\r\n" + pipelined)
            self.assertEqual(plain.recv(11, socket.MSG_WAITALL), b"Go ahead.\r\n")
            with self.context().wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(b"world\r\n")
                return secure.recv(100)

    def test_greeting(self) -> None:
        """
        It greets in TLS.
        """
        self.assertEqual(self.greeted(), b"Hello world\r\n")

    def test_injected(self) -> None:
        """
        What is behind the command fails the handshake, and the server lives on.
        """
        self.assertRaises(OSError, self.greeted, b"evil\r\n")
        self.assertEqual(self.greeted(), b"Hello world\r\n")
        self.assertNotIn("Traceback", self.server.output())


class StreamServerTests(GreeterCase, SynchronousTestCase):
    """
    The server with a stream.
    """

    program = "streamserver.py"


class ProtocolServerTests(GreeterCase, SynchronousTestCase):
    """
    The server with a protocol.
    """

    program = "protocolserver.py"


def dovecotAt(place: Place, port: int) -> AbstractContextManager[Background]:
    """
    Run Dovecot with the page's certificate as long as the C{with} block takes.
    """
    return dovecotWithMail(place.directory, port, place.path("server.pem"))


class DovecotTests(ToolCase, SynchronousTestCase):
    """
    Our client with Dovecot.
    """

    tools = ("dovecot",)

    def test_login(self) -> None:
        """
        The client on the page goes over to TLS, logs in and lists mailboxes.
        """
        port = freePort()
        with place("inplace.md", **{"8143": str(port)}) as here, dovecotAt(here, port) as server:
            done = here.run("imapclient.py")
            self.assertEqual((done.returncode, done.stderr), (0, ""), server.output())
            first, second = done.stdout.splitlines()
            self.assertEqual(first, "Tls13 <Name(CN=localhost)>")
            self.assertIn("INBOX", second)
            self.assertRegex(server.output(), r"Login: user=<user>.* TLS")

    def test_refused(self) -> None:
        """
        The client refuses a server of another authority before it says who it
        is, and the server gets the alert.
        """
        port = freePort()
        stranger = Authority("Stranger").issue("localhost")
        with place("inplace.md", **{"8143": str(port)}) as here:
            here.path("server.pem").write_bytes(certificatePEM(stranger) + keyPEM(stranger))
            with dovecotAt(here, port) as server:
                done = here.run("imapclient.py")
                self.assertEqual(done.returncode, 1)
                self.assertIn("AuthenticationError", done.stderr)
                server.waitFor("SSL alert number 48|unknown ca")
                self.assertNotIn("user=<user>", server.output())

    def test_private(self) -> None:
        """
        Dovecot does as Python's C{imaplib} expects, too.
        """
        port = freePort()
        with place("inplace.md") as here, dovecotAt(here, port):
            context = ssl.create_default_context(cafile=str(here.path("authority.pem")))
            with imaplib.IMAP4("localhost", port, timeout=20) as client:
                client.starttls(context)
                self.assertEqual(client.login("user", "password")[0], "OK")
