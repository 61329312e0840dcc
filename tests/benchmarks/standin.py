"""
A peer where none can be compiled: C{openssl s_client}, for what one connection
at a time can show.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from .credentials import HOST, Credentials
from .peer import Peer, PeerFailed
from .settings import SUITE, Settings
from .workloads import MEMORY, MIB, Workload


class StandIn(Peer):
    """
    The program C{openssl}.
    """

    def can(self, workload: Workload, package: str) -> bool:
        """
        See L{Peer.can}.
        """
        return workload.medium == MEMORY or (
            package not in ("tcp", "mono")
            and workload.kind != "rest"
            and workload.connections == 1
            and workload.settings == Settings(key=workload.settings.key)
            and shutil.which("openssl") is not None
        )

    def run(
        self, workload: Workload, amount: int, port: int, credentials: Credentials, package: str
    ) -> None:
        """
        See L{Peer.run}.
        """
        command = [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", HOST),
            *("-CAfile", str(credentials.root), "-verify_return_error", "-tls1_3"),
            *("-ciphersuites", SUITE, "-quiet", "-no_ign_eof"),
        ]
        for _ in range(amount if workload.kind == "handshake" else 1):
            with subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as process:
                _ROLES[workload.kind](process, workload, amount)
                process.communicate()
            if process.returncode:
                raise PeerFailed(f"openssl s_client has ended with {process.returncode}")


def _put(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    while data:
        data = data[process.stdin.write(data) :]


def _get(process: subprocess.Popen[bytes], size: int) -> None:
    assert process.stdout is not None
    while size > 0:
        data = process.stdout.read(min(size, MIB))
        if not data:
            raise PeerFailed("openssl s_client has ended early")
        size -= len(data)


def _sink(process: subprocess.Popen[bytes], workload: Workload, amount: int) -> None:
    _put(process, b"x")
    _get(process, amount)
    _put(process, b"x")


def _source(process: subprocess.Popen[bytes], workload: Workload, amount: int) -> None:
    chunk = bytes(workload.size)
    for _ in range(amount // workload.size):
        _put(process, chunk)
    _get(process, 1)


def _echo(process: subprocess.Popen[bytes], workload: Workload, amount: int) -> None:
    chunk = bytes(workload.size)
    for _ in range(amount):
        _put(process, chunk)
        _get(process, workload.size)


def _once(process: subprocess.Popen[bytes], workload: Workload, amount: int) -> None:
    _put(process, b"x")
    _get(process, 1)


_ROLES: dict[str, Callable[[subprocess.Popen[bytes], Workload, int], None]] = {
    "send": _sink,
    "receive": _source,
    "echo": _echo,
    "handshake": _once,
}


def peerIn(directory: Path, tell: Callable[[str], object]) -> Peer:
    """
    @param directory: where a program may be put.
    @param tell: is told why it is only the stand-in, if so.
    @return: the best peer that there is.
    """
    peer = Peer(directory)
    try:
        peer.compile()
    except PeerFailed as e:
        tell(f"{e}; openssl s_client does what it can")
        return StandIn(directory)
    return peer
