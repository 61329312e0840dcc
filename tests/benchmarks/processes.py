"""
The processes of contestants, as their parent sees them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from typing import Any, Protocol

from typing_extensions import Self

from .children import HANDICAP, PROFILED, memory
from .contestants import Contestant
from .credentials import Credentials
from .peer import Peer, Server
from .results import Result
from .workloads import MEMORY, WARM_UP, Workload

_ROOT = Path(__file__).parent.parent.parent

#: So long may a measurement take, in seconds.
PATIENCE = 120.0

#: Memory has come to rest when it has not changed for so long, in seconds.
_SETTLED = 2.0

#: So many connections are open before memory is measured.
_FIRST = 100


class MeasurementFailed(Exception):
    """
    A process has ended before it told what was asked of it.
    """


class Child:
    """
    The process of a contestant.
    """

    def __init__(self, contestant: Contestant, credentials: Credentials, *arguments: str) -> None:
        """
        @param arguments: a module of this package to run, and what to tell it.
        """
        environment = {
            **os.environ,
            HANDICAP: str(contestant.handicap),
            PROFILED: "1" if contestant.isProfiled else "",
            "SSL_CERT_FILE": str(credentials.platform),
        }
        module, *more = arguments
        command = [
            *(sys.executable, "-W", "ignore", "-m", f"tests.benchmarks.{module}"),
            *(contestant.program, str(credentials.directory), *more),
        ]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, line: str) -> None:
        """
        Send it a line.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """
        @return: what it says next.
        @raise MeasurementFailed: it ends instead, or says nothing for
            L{PATIENCE}.
        """
        assert self._process.stdout is not None
        impatience = Timer(PATIENCE, self._process.kill)
        impatience.start()
        line = self._process.stdout.readline()
        impatience.cancel()
        if not line:
            raise MeasurementFailed(f"{self._process.args!r} ended")
        return json.loads(line)

    def result(self) -> Result:
        """
        @return: what it has measured.
        """
        return Result(**self.hear()["result"])

    def settled(self) -> int:
        """
        @return: how much memory it has, in KiB, once that does not change.
        """
        since, last = time.monotonic(), memory("VmRSS", self._process.pid)
        while time.monotonic() - since < _SETTLED:
            time.sleep(0.1)
            now = memory("VmRSS", self._process.pid)
            if now != last:
                since, last = time.monotonic(), now
        return last

    def peak(self) -> int:
        """
        @return: the most memory that it had, in KiB.
        """
        return memory("VmHWM", self._process.pid)


class Turn(Protocol):
    """
    A contestant in one round.
    """

    def measure(self, workload: Workload) -> Result:
        """
        Do one of its workloads.
        """


class MemoryTurn:
    """
    One that works in memory, in one process.
    """

    def __init__(
        self, contestant: Contestant, credentials: Credentials, factor: float, stack: ExitStack
    ) -> None:
        """
        @param factor: how many times the usual amount is to be done.
        @param stack: ends what it starts.
        """
        self._factor = factor
        self._child = stack.enter_context(Child(contestant, credentials, "memory"))

    def measure(self, workload: Workload) -> Result:
        """
        See L{Turn}.
        """
        self._child.tell(f"{workload.name} {self._factor}")
        return self._child.result()


class SocketsTurn:
    """
    One that works over sockets.  Its servers share a process, unless it is about
    how much memory they need; its clients have one each.
    """

    def __init__(
        self,
        contestant: Contestant,
        workloads: Sequence[Workload],
        credentials: Credentials,
        peer: Peer,
        factor: float,
        stack: ExitStack,
    ) -> None:
        """
        @param workloads: those that it will do.
        @param factor: how many times the usual amount is to be done.
        @param stack: ends what it starts.
        """
        self._contestant = contestant
        self._credentials = credentials
        self._peer = peer
        self._factor = factor
        self._package = contestant.package
        names = [each.name for each in workloads if each.settings.isServer and not _isAlone(each)]
        if names:
            self._servers = stack.enter_context(self._child(0, *names))
            self._ports = dict(zip(names, self._servers.hear(), strict=True))

    def _child(self, port: int, *names: str) -> Child:
        arguments = (str(self._factor), str(port), *names)
        return Child(self._contestant, self._credentials, "sockets", *arguments)

    def measure(self, workload: Workload) -> Result:
        """
        See L{Turn}.
        """
        if not workload.settings.isServer:
            return self._asClient(workload)
        if not _isAlone(workload):
            self._meet(workload, self._ports[workload.name])
            return self._servers.result()
        with self._child(0, workload.name) as server:
            [port] = server.hear()
            if workload.kind == "rest":
                return self._rest(workload, port, server)
            self._meet(workload, port)
            return server.result()

    def _asClient(self, workload: Workload) -> Result:
        with (
            Server(self._peer, self._credentials, workload.settings, self._package) as server,
            self._child(server.port, workload.name) as client,
        ):
            return client.result()

    def _meet(self, workload: Workload, port: int) -> None:
        scaled = workload.scaled(self._factor)
        amount = scaled.amount + (WARM_UP if workload.kind == "handshake" else 0)
        self._peer.run(scaled, amount, port, self._credentials, self._package)

    def _rest(self, workload: Workload, port: int, server: Child) -> Result:
        with self._peer.start(workload, 0, port, self._credentials, self._package) as opener:
            opener.open(_FIRST)
            before = server.settled()
            started = time.perf_counter()
            opener.open(workload.amount)
            wall = time.perf_counter() - started
            grown = server.settled() - before
            return Result(workload.amount, 0.0, wall, server.peak(), memory=grown / workload.amount)


def _isAlone(workload: Workload) -> bool:
    return workload.isLong or workload.kind == "rest"


def turn(
    contestant: Contestant,
    workloads: Sequence[Workload],
    credentials: Credentials,
    peer: Peer,
    factor: float,
    stack: ExitStack,
) -> Turn:
    """
    @return: that of a contestant in the next round.
    """
    if contestant.medium == MEMORY:
        return MemoryTurn(contestant, credentials, factor, stack)
    return SocketsTurn(contestant, workloads, credentials, peer, factor, stack)
