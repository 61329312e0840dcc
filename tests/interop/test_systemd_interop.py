"""
The units of systemd that the documentation has: what C{systemd-analyze} says of
them, and their command with a socket that was there before it.

Debian: C{systemd}.
"""

from __future__ import annotations

import shlex
import socket
import ssl
import sys
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import certificatePEM, keyPEM

from ..programs import ROOT, TWISTD, environment, temporaryDirectory
from ..support import AUTHORITY, SERVER
from ._tools import LOOPBACK, background, freePort, runTool
from .test_interop import ToolCase

UNITS = ROOT / "docs" / "examples" / "howto-systemd"

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


def setting(unit: str, name: str) -> str:
    """
    @return: what a unit says of something.
    """
    lines = (UNITS / unit).read_text().replace("\\\n", " ").splitlines()
    [value] = [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]
    return value


class UnitTests(ToolCase, SynchronousTestCase):
    """
    Units as systemd reads them.
    """

    tools: ClassVar[tuple[str, ...]] = ("systemd-analyze",)

    def verified(self, old: str = "", new: str = "") -> str:
        """
        @return: what there is to say against the units.
        """
        place = temporaryDirectory(self)
        for path in UNITS.glob("site.*"):
            # The program has to be there.
            text = path.read_text().replace("/opt/site/bin/twistd", sys.executable)
            (place / path.name).write_text(text.replace(old, new))
        units = [place / "site.service", place / "site.socket"]
        done = runTool(["systemd-analyze", "verify", *units])
        said = done.stdout + done.stderr
        return "".join(line for line in said.splitlines(True) if "site." in line)

    def test_verified(self) -> None:
        """
        There is nothing to say against them; a misspelt setting is noticed.
        """
        self.assertEqual(self.verified(), "")
        self.assertIn("ProtectSystems", self.verified("ProtectSystem", "ProtectSystems"))


class ActivationTests(SynchronousTestCase):
    """
    Services whose socket was there before them.
    """

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

    def fetch(self) -> bytes:
        """
        @return: what the server has, which is authenticated.
        """
        context = ssl.create_default_context(cafile=str(self.home / "authority.pem"))
        received = b""
        with (
            socket.create_connection((LOOPBACK, self.port), timeout=30) as plain,
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
