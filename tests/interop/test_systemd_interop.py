"""
The units of systemd that the documentation has: what C{systemd-analyze} says of
them, and their command with a socket that was there before it.

Debian: C{systemd}.
"""

from __future__ import annotations

import re
import shlex
import socket
import ssl
import sys
from pathlib import Path
from typing import ClassVar
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from txsslstream._workers import GRACE
from txsslstream.testing import certificatePEM, keyPEM

from ..programs import ROOT, TWISTD, environment, temporaryDirectory
from ..support import AUTHORITY, SERVER
from ._tools import LOOPBACK, background, freePort, runTool
from .test_interop import ToolCase

UNITS = ROOT / "docs" / "examples" / "howto-systemd"
WORKERS = ROOT / "docs" / "examples" / "howto-haproxy"

#: Does as systemd: the descriptor, and who it is for, and how it is called.
LAUNCH = """
import os, socket, sys
port, name, *command = sys.argv[1:]
listening = socket.create_server(("127.0.0.1", int(port)))
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=name)
os.execv(command[0], command)
"""

#: The same again and again, with one socket that stays: when it is told to, by a
#: line, it ends the program and starts it anew once that has ended.
RESTART = """
import os, signal, socket, subprocess, sys
port, name, *command = sys.argv[1:]
listening = socket.create_server(("127.0.0.1", int(port)), backlog=512)

def adopt():
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=name)

while True:
    process = subprocess.Popen(command, preexec_fn=adopt, close_fds=False)
    if not sys.stdin.readline():
        break
    process.terminate()
    print("ended:", process.wait(), flush=True)
process.terminate()
process.wait()
"""


def setting(unit: str, name: str, units: Path = UNITS) -> str:
    """
    @return: what a unit says of something.
    """
    lines = (units / unit).read_text().replace("\\\n", " ").splitlines()
    [value] = [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]
    return value


class UnitTests(ToolCase, SynchronousTestCase):
    """
    Units as systemd reads them.
    """

    tools: ClassVar[tuple[str, ...]] = ("systemd-analyze",)

    def verified(self, units: Path, name: str, old: str = "", new: str = "") -> str:
        """
        @return: what there is to say against a service and its socket.
        """
        place = temporaryDirectory(self)
        for path in units.glob("site*.s*"):
            # The program has to be there.
            text = path.read_text().replace("/opt/site/bin/twistd", sys.executable)
            (place / path.name).write_text(text.replace(old, new))
        both = [place / f"{name}.service", place / f"{name}.socket"]
        done = runTool(["systemd-analyze", "verify", *both])
        said = done.stdout + done.stderr
        return "".join(line for line in said.splitlines(True) if "site" in line)

    def test_verified(self) -> None:
        """
        There is nothing to say against them; a misspelt setting is noticed.
        """
        for units, name in ((UNITS, "site"), (WORKERS, "site@1")):
            self.assertEqual(self.verified(units, name), "")
            misspelt = self.verified(units, name, "ProtectSystem", "ProtectSystems")
            self.assertIn("ProtectSystems", misspelt)

    def exposure(self, old: str = "", new: str = "") -> float:
        """
        @return: how exposed the workers are, from 0 to 10.
        """
        unit = temporaryDirectory(self) / "site@.service"
        text = (WORKERS / unit.name).read_text()
        unit.write_text(text.replace(old, new))
        done = runTool(["systemd-analyze", "security", "--offline=true", "--no-pager", unit])
        found = re.search(r"Overall exposure level for .*: (\d+\.\d) ", done.stdout)
        assert found is not None, done
        return float(found[1])

    def test_exposure(self) -> None:
        """
        Workers are as little exposed as is said; without one of the settings they
        are more so.
        """
        exposure = self.exposure()
        self.assertIn(f"**{exposure}**", (ROOT / "docs" / "howto" / "haproxy.md").read_text())
        self.assertLess(exposure, 1.5)
        self.assertGreater(self.exposure("RestrictNamespaces=yes\n"), exposure)

    def test_patience(self) -> None:
        """
        Workers are not killed before they have had the time that they give, and
        have descriptors for the clients that they take.
        """
        command = shlex.split(setting("site@.service", "ExecStart", WORKERS))
        given = {
            name: float(value)
            for name, _, value in (each.partition("=") for each in command)
            if name in ("--grace", "--drain", "--max-connections")
        }
        patience = float(setting("site@.service", "TimeoutStopSec", WORKERS))
        self.assertGreaterEqual(patience, given["--grace"] + given["--drain"] + GRACE)
        most = float(setting("site@.service", "LimitNOFILE", WORKERS))
        self.assertGreater(most, 2 * given["--max-connections"] + 100)


class ActivationTests(SynchronousTestCase):
    """
    Services whose socket was there before them.

    @ivar header: what is in front of TLS.
    """

    header = b""

    def setUp(self) -> None:
        """
        Write what they need.
        """
        self.home = temporaryDirectory(self)
        self.certificate = self.home / "server.pem"
        self.certificate.write_bytes(certificatePEM(SERVER) + keyPEM(SERVER))
        (self.home / "authority.pem").write_bytes(certificatePEM(AUTHORITY.certificate))
        (self.home / "index.html").write_text("Hello from systemd.\n")
        self.port = freePort()

    def launched(self, *command: str, name: str = "https") -> list[str]:
        """
        @return: what runs a command with the socket.
        """
        return [sys.executable, "-c", LAUNCH, str(self.port), name, *command]

    def unit(self) -> list[str]:
        """
        @return: the command of the unit, for this place.
        """
        program, *arguments = shlex.split(setting("site.service", "ExecStart"))
        self.assertEqual(Path(program).name, "twistd")
        replaced = [
            each.replace("/etc/site/server.pem", str(self.certificate)).replace(
                "/srv/site", str(self.home)
            )
            for each in arguments
        ]
        self.assertNotEqual(replaced, arguments)
        return [*TWISTD, *replaced]

    def test_worker(self) -> None:
        """
        A worker's command serves on its socket, behind a PROXY header, and tells
        how it is; while it is ended and started anew nobody is refused, for the
        socket stays.
        """
        site = [*TWISTD, "-n", "--pidfile=", "web", f"--path={self.home}"]
        # An application that reads the header of version 2.
        application = self.home / "app.sock"
        site.append(f"--listen=haproxy:unix:{application}")
        health = freePort()
        arguments = shlex.split(setting("site@.service", "ExecStart", WORKERS))[1:]
        replaced = " ".join(arguments)
        for old, new in (
            ("/etc/site/server.pem", str(self.certificate)),
            ("/run/app/app.sock", str(application)),
            ("tcp:946%i:", f"tcp:{health}:"),
            ("--grace=5", "--grace=0"),
        ):
            self.assertIn(old, replaced)
            replaced = replaced.replace(old, new)
        command = [sys.executable, "-c", RESTART, str(self.port), "site@1.socket", *TWISTD]
        ready = r"Listening on \S+, forwarding to"
        self.header = b"PROXY TCP4 192.0.2.7 127.0.0.1 5 443\r\n"
        with (
            background(site, "Starting factory", environment=environment(self.home)),
            background(
                [*command, *replaced.split()], ready, environment=environment(self.home)
            ) as tool,
        ):
            self.assertIn(b"Hello from systemd.", self.fetch())
            with urlopen(f"http://{LOOPBACK}:{health}/", timeout=30) as answer:
                self.assertEqual(answer.read(), b"ready\n")
            tool.waitFor(r"192\.0\.2\.7:5: ")
            seen = len(tool.output())
            tool.send("again\n")
            # They come while it ends, and while it begins.
            for _ in range(20):
                self.assertIn(b"Hello from systemd.", self.fetch())
            tool.waitFor("ended: ", start=seen)
            self.assertIn(b"Hello from systemd.", self.fetch())
            tool.closeInput()
            tool.wait()

    def connected(self) -> socket.socket:
        """
        @return: a connection on which TLS may begin.
        """
        plain = socket.create_connection((LOOPBACK, self.port), timeout=30)
        plain.sendall(self.header)
        return plain

    def fetch(self) -> bytes:
        """
        @return: what the server has, which is authenticated.
        """
        context = ssl.create_default_context(cafile=str(self.home / "authority.pem"))
        received = b""
        with (
            self.connected() as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
            while data := secure.recv(65536):
                received += data
        return received

    def assertServed(self, command: list[str], ready: str) -> None:
        """
        A command serves with the socket.
        """
        with background(command, ready, environment=environment(self.home)) as tool:
            self.assertIn(b"Hello from systemd.", self.fetch())
            tool.terminate()
            tool.wait()

    def test_unit(self) -> None:
        """
        The unit's command serves on the socket that has the name of the
        socket's unit.
        """
        name = setting("site.socket", "FileDescriptorName")
        self.assertServed(self.launched(*self.unit(), name=name), "Starting factory")

    def test_otherName(self) -> None:
        """
        It does not start with another socket.
        """
        done = runTool(self.launched(*self.unit(), name="http"), environment=environment(self.home))
        self.assertEqual(done.returncode, 1)
        self.assertIn("endpoint: systemd: ", done.stdout + done.stderr)

    def test_index(self) -> None:
        """
        A socket may be named by its number, with the inner description quoted.
        """
        listen = rf"sslstream:endpoint=systemd\:domain=INET\:index=0:certificate={self.certificate}"
        command = [*TWISTD, "-n", "--pidfile=", "web", f"--path={self.home}", f"--listen={listen}"]
        self.assertServed(self.launched(*command), "Starting factory")

    def test_sslserve(self) -> None:
        """
        C{twistd sslserve} takes such a socket as well.
        """
        site = [*TWISTD, "-n", "--pidfile=", "web", f"--path={self.home}"]
        inner = freePort()
        site.append(f"--listen=tcp:{inner}:interface={LOOPBACK}")
        command = [*TWISTD, "-n", "--pidfile=", "sslserve", f"--certificate={self.certificate}"]
        command += ["--listen=systemd:domain=INET:index=0", f"--connect=tcp:{LOOPBACK}:{inner}"]
        with background(site, "Starting factory", environment=environment(self.home)):
            self.assertServed(self.launched(*command), "Listening on")
