"""
Endpoint strings as they are used: servers of Twisted's own that listen so with
C{curl}, and a client that connects so with them and with C{openssl}.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import ClassVar

from twisted.internet.endpoints import quoteStringArgument
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority

from ..programs import TWISTD, environment, temporaryDirectory
from ._authority import ForeignCase, identity, rootFile
from ._tools import (
    LOOPBACK,
    OPENSSL_SERVER_READY,
    Background,
    background,
    opensslServer,
    runTool,
)

ROOT = Authority("Strings Root")
SERVER = identity(ROOT.issue("localhost"))
CLIENT = identity(ROOT.issue("client@example.com"))
OTHER = identity(ROOT.issue("other.example"))
STRANGER = identity(Authority("Stranger").issue("stranger@example.com"))

CONTENT = "What is served."

#: As Twisted logs that something listens; group 1 is the port.
LISTENS = r" starting on (\d+)$"

#: What curl makes of a refused certificate, and of an alert in TLS 1.3.
UNTRUSTED = 60
REFUSED = 56

#: Asks a web server for C{/}, in the oldest way, and prints the answer, or why
#: there is none.
ASK = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import react


class Asking(Protocol):
    def __init__(self):
        self.answered = Deferred()
        self.received = b""

    def connectionMade(self):
        self.transport.write(b"GET / HTTP/1.0\\r\\n\\r\\n")

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.answered.callback(reason.value)


async def main(reactor):
    asking = Asking()
    try:
        await connectProtocol(clientFromString(reactor, sys.argv[1]), asking)
        reason = await asking.answered
    except Exception as error:
        reason = error
    print(asking.received.decode(), type(reason).__name__, reason)


react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


def described(*parts: str, **options: object) -> str:
    """
    @return: a description with these options.
    """
    named = [f"{name}={quoteStringArgument(str(text))}" for name, text in options.items()]
    return ":".join(["sslstream", *parts, *named])


class WebCase(ForeignCase):
    """
    A web server with a page.

    @ivar home: where it is.
    """

    tools: ClassVar[tuple[str, ...]] = ("curl",)

    def setUp(self) -> None:
        """
        Write the page.
        """
        super().setUp()
        self.home = temporaryDirectory(self)
        self.pages = self.home / "pages"
        self.pages.mkdir()
        (self.pages / "index.html").write_text(CONTENT)

    def twistd(self, description: str) -> Background:
        """
        Have C{twistd web} listen.

        @return: the process; group 1 of its match is the port.
        """
        command = [*TWISTD, "--pidfile=", "-n", "web", "--path", str(self.pages)]
        return self.listening([*command, "--listen", description])

    def listening(self, command: list[str]) -> Background:
        """
        @return: a process that has said that it listens.
        """
        return self.during(background(command, LISTENS, environment=environment(self.home)))

    def curl(
        self, server: Background, *options: str | Path, host: str = "localhost"
    ) -> CompletedProcess[str]:
        """
        Have C{curl} fetch the page.
        """
        port = server.match[1]
        return runTool(
            [
                *("curl", "-q", "--noproxy", "*", "-sS", "--http1.1", "--max-time", "20"),
                *("--resolve", f"{host}:{port}:{LOOPBACK}", *options),
                f"https://{host}:{port}/index.html",
            ]
        )

    def assertFetched(self, client: CompletedProcess[str]) -> None:
        """
        The page is there.
        """
        self.assertEqual((client.returncode, client.stdout), (0, CONTENT), client)

    def ask(self, description: str) -> str:
        """
        @return: what a client of ours gets.
        """
        client = runTool(
            [sys.executable, "-c", ASK, description], environment=environment(self.home)
        )
        self.assertEqual((client.returncode, client.stderr), (0, ""), client)
        return client.stdout


class ServerTests(WebCase, SynchronousTestCase):
    """
    Servers that listen as a string says.
    """

    def test_twistd(self) -> None:
        """
        C{curl} fetches a page from C{twistd web} in TLS 1.2 and 1.3, if it trusts
        the authority.
        """
        server = self.twistd(
            described(port=0, interface=LOOPBACK, certificate=SERVER.pem, alpn="http/1.1")
        )
        trust = ("--cacert", rootFile(ROOT))
        for version in self.versions:
            self.assertFetched(self.curl(server, *trust, f"--tlsv{version}", "--tls-max", version))
        self.assertEqual(self.curl(server, "--cacert", STRANGER.pem).returncode, UNTRUSTED)

    def test_http2(self) -> None:
        """
        They speak HTTP/2 if the string offers it, and else what both know.
        """
        for offered, spoken in (("h2,http/1.1", "2"), ("http/1.1", "1.1")):
            server = self.twistd(
                described(port=0, interface=LOOPBACK, certificate=SERVER.pem, alpn=offered)
            )
            options = ("--http2", "--write-out", "%{http_version}", "--cacert", rootFile(ROOT))
            client = self.curl(server, *options)
            self.assertEqual((client.returncode, client.stdout), (0, CONTENT + spoken), client)

    def test_twist(self) -> None:
        """
        So it does from C{twist web}, over an endpoint that is described in front.
        """
        inner = described("tcp", "0", interface=LOOPBACK, certificate=SERVER.pem)
        command = [sys.executable, "-m", "twisted", "--log-format=text", "web"]
        server = self.listening([*command, "--path", str(self.pages), "--listen", inner])
        self.assertFetched(self.curl(server, "--cacert", rootFile(ROOT)))

    def test_clientCertificate(self) -> None:
        """
        A server that requires certificates serves those who have one, and one
        that does not insist those without, too.
        """
        for text in ("required", "optional"):
            server = self.twistd(
                described(
                    port=0,
                    interface=LOOPBACK,
                    certificate=SERVER.pem,
                    clientCertificate=text,
                    trustRoots=rootFile(ROOT),
                )
            )
            trust = ("--cacert", rootFile(ROOT))
            self.assertFetched(self.curl(server, *trust, "--cert", CLIENT.pem))
            self.assertEqual(self.curl(server, *trust, "--cert", STRANGER.pem).returncode, REFUSED)
            without = self.curl(server, *trust)
            if text == "optional":
                self.assertFetched(without)
            else:
                self.assertEqual(without.returncode, REFUSED)

    def test_directory(self) -> None:
        """
        A server with a directory serves each host, and one whose file comes later
        soon after that; the log tells of it.
        """
        directory = self.home / "certificates"
        directory.mkdir()
        (directory / "localhost.pem").write_bytes(SERVER.pem.read_bytes())
        server = self.twistd(described(port=0, interface=LOOPBACK, certificates=directory))
        trust = ("--cacert", rootFile(ROOT))
        self.assertFetched(self.curl(server, *trust))
        unknown = self.curl(server, *trust, host="other.example")
        self.assertIn("unrecognized name", unknown.stderr)
        (directory / "new").write_bytes(OTHER.pem.read_bytes())
        os.rename(directory / "new", directory / "other.pem")
        deadline = time.monotonic() + 20
        while self.curl(server, *trust, host="other.example").returncode:
            self.assertLess(time.monotonic(), deadline, server.output())
            time.sleep(0.5)
        server.waitFor(f"{directory}/other.pem: now serving other.example$")
        self.assertFetched(self.curl(server, *trust))

    def test_refused(self) -> None:
        """
        A string that makes no sense keeps C{twistd} from starting, and the last
        line says why.
        """
        missing = self.home / "missing.pem"
        command = [*TWISTD, "--pidfile=", "-n", "web", "--path", str(self.pages), "--listen"]
        done = runTool(
            [*command, described(port=0, certificate=missing)],
            environment=environment(self.home),
        )
        self.assertEqual(done.returncode, 1, done)
        last = (done.stdout + done.stderr).splitlines()[-1]
        self.assertEqual(last, f"ValueError: certificate: {missing}: No such file or directory")


class ClientTests(WebCase, SynchronousTestCase):
    """
    A client that connects as a string says.
    """

    tools = ("openssl",)

    def test_twistd(self) -> None:
        """
        It gets a page from C{twistd web} and is shown to be another one by its
        certificate; a server with another name is refused.
        """
        server = self.twistd(
            described(
                port=0,
                interface=LOOPBACK,
                certificate=SERVER.pem,
                clientCertificate="required",
                trustRoots=rootFile(ROOT),
            )
        )
        address = {"host": LOOPBACK, "port": server.match[1], "trustRoots": rootFile(ROOT)}
        with_ = {"certificate": CLIENT.pem}
        said = self.ask(described(**address, serverName="localhost", **with_))
        self.assertIn(CONTENT, said)
        self.assertIn(" ConnectionDone ", said)
        self.assertIn(
            "certificate_required", self.ask(described(**address, serverName="localhost"))
        )
        said = self.ask(described(**address, serverName="other.example", **with_))
        self.assertIn("AuthenticationError", said)
        self.assertIn("not for 'other.example'", said)

    def test_openssl(self) -> None:
        """
        It gets a page from C{openssl s_server}, which requires its certificate,
        through an endpoint that is described with it.
        """
        for version in self.versions:
            command = opensslServer(
                SERVER.pem,
                SERVER.pem,
                clientCA=rootFile(ROOT),
                version=version,
                extra=("-www",),
            )
            server = self.during(background(command, OPENSSL_SERVER_READY))
            said = self.ask(
                described(
                    endpoint=f"tcp:{LOOPBACK}:{server.match[1]}",
                    host="localhost",
                    trustRoots=rootFile(ROOT),
                    certificate=CLIENT.pem,
                )
            )
            self.assertIn(f"Protocol  : TLSv{version}", said)
            self.assertIn("CN=client@example.com", said.replace("CN = ", "CN="))
