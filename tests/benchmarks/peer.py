"""
The peer of whatever is tested over sockets: a program in C.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from typing_extensions import Self

from .credentials import Credentials
from .settings import Settings
from .workloads import Workload

_SOURCE = Path(__file__).parent / "sockets" / "peer.c"

#: What the peer does when the tested side does that.
_ROLES = {"send": "receive", "receive": "send"}


class PeerFailed(Exception):
    """
    The peer could not be made, or found fault with the tested side.
    """


def _flags(settings: Settings, package: str) -> str:
    """
    @param package: whose TLS is tested.
    @return: see the source.
    """
    return "-" + "p" * (package == "tcp") + "o" * (package == "mono") + "r" * settings.resumes


class Peer:
    """
    Makes the program, and runs it.
    """

    def __init__(self, directory: Path) -> None:
        """
        @param directory: where it may be put.
        """
        self._directory = directory

    @staticmethod
    def compiler() -> str | None:
        """
        @return: what can make it, if there is anything.
        """
        return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)

    @property
    def program(self) -> str:
        """
        The path of the program.
        """
        return str(self._directory / "peer")

    def compile(self) -> None:
        """
        Make the program.

        @raise PeerFailed: that cannot be done.
        """
        compiler = self.compiler()
        if compiler is None:
            raise PeerFailed("there is no C compiler for the peer")
        command = [compiler, "-O2", "-o", self.program, str(_SOURCE), "-lssl", "-lcrypto"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerFailed(f"the peer cannot be compiled: {done.stderr.strip()}")

    def can(self, workload: Workload, package: str) -> bool:
        """
        @param package: whose TLS is tested.
        @return: whether it can take part in that.
        """
        return True

    def start(
        self, workload: Workload, amount: int, port: int, credentials: Credentials, package: str
    ) -> Client:
        """
        @param amount: how much there is to do.
        @param package: whose TLS is tested.
        @return: the peer of a server, at work.
        """
        role = _ROLES.get(workload.kind, workload.kind)
        numbers = (workload.size, amount, workload.connections)
        return Client(
            self,
            *("client", role, str(port), str(credentials.root)),
            *(*map(str, numbers), _flags(workload.settings, package)),
        )

    def run(
        self, workload: Workload, amount: int, port: int, credentials: Credentials, package: str
    ) -> None:
        """
        Do all the work of the peer of a server; see L{start}.

        @raise PeerFailed: it found fault with the server.
        """
        with self.start(workload, amount, port, credentials, package) as client:
            client.wait()


class _Running:
    """
    The program at work.
    """

    def __init__(self, peer: Peer, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [peer.program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait(self) -> None:
        """
        Wait for its end.

        @raise PeerFailed: it found fault with the tested side.
        """
        _, errors = self._process.communicate()
        if self._process.returncode:
            raise PeerFailed(errors.strip())

    def line(self) -> str:
        """
        @return: what it says next.
        @raise PeerFailed: nothing, it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.wait()
            raise PeerFailed("the peer has ended early")
        return line.strip()


class Client(_Running):
    """
    The peer of a server.
    """

    def open(self, count: int) -> None:
        """
        Have it open so many connections more, and return when it has.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        assert self.line() == "open"


class Server(_Running):
    """
    The peer of a client.

    @ivar port: where it listens.
    """

    def __init__(
        self, peer: Peer, credentials: Credentials, settings: Settings, package: str
    ) -> None:
        pem = str(credentials.server(settings.key))
        super().__init__(peer, "server", pem, _flags(settings, package))
        self.port = int(self.line())
