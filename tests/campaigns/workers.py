"""
What a worker does, and what two do behind HAProxy: C{python -m tests.campaigns.workers}.

Workers are C{twistd} with F{workers.tac}, which echoes; clients are the benchmarks'
peer, in C, which counts the sessions that have gone on.  All of them, and HAProxy,
share the processors of this machine, and with whatever else runs there; so the
workers' own processor time is told beside what comes of it in a second.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..benchmarks.peer import Peer, PeerFailed
from ..programs import TWISTD, environment
from ._common import HOST, Campaign, NotHad, end, main, program
from ._tables import table

_TAC = Path(__file__).parent / "workers.tac"

#: How many clients run at once, and how many connections each of them has for
#: messages.
CLIENTS = 4
CONNECTIONS = 8

#: Of so many measurements the best one counts: others have disturbed it least.
ROUNDS = 3

#: In bytes: a message.
SIZE = 64

_WENT_ON = re.compile(r"^(\d+) of (\d+) sessions went on$", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")

_HAPROXY = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    balance {balance}
listen workers
    bind {host}:{port} backlog 4096
    default-server send-proxy-v2
{servers}
"""


@dataclass(frozen=True)
class SetUp:
    """
    Who serves.

    @ivar name: what it is called in the results.
    @ivar workers: how many processes.
    @ivar isProxied: whether HAProxy is in front of them.
    @ivar forks: whether they are one C{twistd sslserve --processes}, in front of an
        application that echoes, which has a process of its own.
    """

    name: str
    workers: int
    isProxied: bool
    forks: bool = False


SET_UPS = (
    SetUp("one worker", 1, False),
    SetUp("one worker behind HAProxy", 1, True),
    SetUp("two workers behind HAProxy", 2, True),
    SetUp("sslserve --processes 2 behind HAProxy", 2, True, forks=True),
)


def freePort() -> int:
    """
    @return: a port on which nobody listens.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], log: Path, more: Mapping[str, str]) -> Iterator[int]:
    """
    Run a program for as long as the C{with} block takes.

    @return: a context manager whose value is the process's number.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **more},
        )
    try:
        yield process.pid
    finally:
        end(process)


def awaitPort(port: int) -> None:
    """
    Wait until somebody listens.

    @raise NotHad: nobody does.
    """
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise NotHad(f"nobody listens on {port}")


def childrenOf(pid: int, count: int) -> list[int]:
    """
    @return: the processes that a process has started, once they are so many.
    @raise NotHad: they are fewer for long.
    """
    for _ in range(600):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        if len(found) == count:
            return [int(each) for each in found]
        time.sleep(0.05)
    raise NotHad(f"{pid} has {len(found)} workers and not {count}")


def processorTime(pids: Iterable[int]) -> float:
    """
    @return: how much these processes have used, in seconds.
    """
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def memory(pid: int) -> int:
    """
    @return: what a process has in memory, in bytes.
    """
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return 1024 * int(re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[0])


class Served:
    """
    A set-up that runs.

    @ivar port: where clients come.
    @ivar pids: of the workers.
    @ivar balancer: of HAProxy, if it is there.
    """

    def __init__(self, campaign: Campaign, peer: Peer, setUp: SetUp, stack: ExitStack) -> None:
        self._home = campaign.home
        self._peer = peer
        self._trust = str(campaign.trust)
        self._environment = environment(campaign.home)
        certificate = f"{campaign.home}/server-EC.pem"
        ports = [freePort() for _ in range(1 if setUp.forks else setUp.workers)]
        if setUp.forks:
            target = self._echoing(stack)
            pid = self._run(
                stack,
                *("sslserve", "--quiet", "--processes", str(setUp.workers), "--accept-proxy"),
                *("--listen", f"tcp:{ports[0]}:interface={HOST}:backlog=1024"),
                *("--connect", f"tcp:{HOST}:{target}", "--certificate", certificate),
            )
            self.pids = childrenOf(pid, setUp.workers)
        else:
            self.pids = []
            for port in ports:
                accepts = "yes" if setUp.isProxied else "no"
                listen = f"sslstream:port={port}:interface={HOST}:backlog=1024"
                listen += f":acceptProxy={accepts}:certificate={certificate}"
                self.pids.append(self._run(stack, "--python", str(_TAC), LISTEN=listen))
                awaitPort(port)
        self.balancer: list[int] = []
        self.port = self._proxied(stack, ports) if setUp.isProxied else ports[0]
        awaitPort(self.port)

    def _run(self, stack: ExitStack, *arguments: str, **more: str) -> int:
        command = [*TWISTD, "--nodaemon", "--pidfile=", *arguments]
        log = self._home / f"worker-{freePort()}.log"
        return stack.enter_context(running(command, log, {**self._environment, **more}))

    def _echoing(self, stack: ExitStack) -> int:
        port = freePort()
        self._run(
            stack,
            *("--python", str(_TAC)),
            LISTEN=f"tcp:{port}:interface={HOST}:backlog=1024",
        )
        awaitPort(port)
        return port

    def _proxied(self, stack: ExitStack, ports: Sequence[int]) -> int:
        port = freePort()
        servers = "\n".join(f"    server worker{each} {HOST}:{each}" for each in ports)
        path = self._home / f"haproxy-{port}.cfg"
        path.write_text(
            _HAPROXY.format(balance="roundrobin", host=HOST, port=port, servers=servers)
        )
        command = [program("haproxy"), "-db", "-f", str(path)]
        self.balancer.append(stack.enter_context(running(command, path.with_suffix(".log"), {})))
        return port

    def peers(self, role: str, amount: int, flags: str) -> list[subprocess.Popen[str]]:
        """
        @return: clients that do so much together.
        """
        each = str(max(1, amount // CLIENTS))
        command = [
            *(self._peer.program, "client", role, str(self.port), self._trust, str(SIZE)),
            *(each, str(CONNECTIONS), flags),
        ]
        return [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(CLIENTS)
        ]

    def measured(self, role: str, amount: int, flags: str = "-") -> dict[str, Any]:
        """
        Have clients do something so often, and more than once.

        @return: how often it was done in a second, and how much processor time the
            workers and HAProxy have used for each, in milliseconds, at best; how
            many sessions have gone on in all.
        """
        rounds = [self._round(role, amount, flags) for _ in range(ROUNDS)]
        found: dict[str, Any] = {
            kind: min(each[kind] for each in rounds)
            for kind in ("processorMilliseconds", "balancerMilliseconds")
        }
        found["perSecond"] = max(each["perSecond"] for each in rounds)
        for kind in ("amount", "wentOn"):
            found[kind] = sum(each[kind] for each in rounds)
        found["failures"] = [each for one in rounds for each in one["failures"]]
        return found

    def _round(self, role: str, amount: int, flags: str) -> dict[str, Any]:
        amount = amount // (CLIENTS * CONNECTIONS) * CLIENTS * CONNECTIONS
        began = time.monotonic()
        before, balancers = processorTime(self.pids), processorTime(self.balancer)
        failures, wentOn = [], 0
        for peer in self.peers(role, amount, flags):
            _, said = peer.communicate(timeout=600)
            found = _WENT_ON.search(said)
            if found:
                wentOn += int(found[1])
            elif peer.returncode:
                failures.append(said)
            elif "r" in flags:
                wentOn += amount // CLIENTS
        seconds = time.monotonic() - began
        used = processorTime(self.pids) - before
        balancing = processorTime(self.balancer) - balancers
        return {
            "amount": amount,
            "perSecond": round(amount / seconds),
            "processorMilliseconds": round(1000 * used / amount, 3),
            "balancerMilliseconds": round(1000 * balancing / amount, 3),
            "wentOn": wentOn,
            "failures": failures,
        }

    def idle(self, count: int) -> dict[str, Any]:
        """
        Have so many connections open.

        @return: what they take in the memory of the first worker, in bytes.
        """
        (peer, *others) = self.peers("rest", CLIENTS, "-")
        for other in others:
            other.communicate("")
        asks, tells = peer.stdin, peer.stdout
        assert asks is not None
        assert tells is not None

        def more(number: int) -> int:
            asks.write(f"{number}\n")
            asks.flush()
            if tells.readline() != "open\n":
                raise NotHad("no connections for the measurement of memory")
            return memory(self.pids[0])

        # What the first ones need is not for them alone.
        before = more(100)
        after = more(count)
        peer.communicate()
        return {"connections": count, "bytes": after - before}


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    Measure each set-up.
    """
    program("haproxy")
    peer = Peer(campaign.home)
    try:
        peer.compile()
    except PeerFailed as e:
        raise NotHad(str(e)) from None
    factor = 20 if campaign.isShort else 1
    load = round(os.getloadavg()[0], 1)
    rows = []
    for setUp in SET_UPS:
        with ExitStack() as stack:
            served = Served(campaign, peer, setUp, stack)
            # Caches are filled.
            served.measured("handshake", 32)
            row: dict[str, Any] = {"name": setUp.name, "workers": setUp.workers}
            row["full"] = served.measured("handshake", 1600 // factor)
            row["resumed"] = served.measured("handshake", 1600 // factor, "r")
            row["echo"] = served.measured("echo", 16000 // factor)
            if setUp.workers == 1:
                row["idle"] = served.idle(1000 // factor)
            rows.append(row)
            print(row)
    isAsExpected = all(map(_isAsExpected, rows))
    return {"setUps": rows, "processors": os.cpu_count(), "load": load}, isAsExpected


def _isAsExpected(row: Mapping[str, Any]) -> bool:
    resumed = row["resumed"]
    share = resumed["wentOn"] / resumed["amount"]
    # Of workers that are strangers to each other the next one has no use for a
    # ticket, and gives another.
    isAlone = row["name"] == "two workers behind HAProxy"
    return (
        not any(row[kind]["failures"] for kind in ("full", "resumed", "echo"))
        and row["full"]["wentOn"] == 0
        and (share < 0.9 if isAlone else share >= 0.9)
    )


def summary(results: Mapping[str, Any]) -> str:
    """
    @return: what one worker behind HAProxy needs, in one sentence.
    """
    (row,) = [each for each in results["setUps"] if each["name"] == SET_UPS[1].name]
    full, resumed, echo = (
        row[kind]["processorMilliseconds"] for kind in ("full", "resumed", "echo")
    )
    size = row["idle"]["bytes"] / row["idle"]["connections"] * 1000 / (1 << 20)
    return (
        f"{full:.2f} ms of its processor for a full handshake with an EC certificate (at most "
        f"{round(1000 / full, -2):,.0f} a second), "
        f"{resumed:.2f} ms for one that goes on with a session, {echo:.3f} ms for a small message "
        f"and its answer, and {size:.0f} MiB of memory for 1,000 connections with nothing to do; "
        f"HAProxy {row['full']['balancerMilliseconds']:.2f} ms of its own for a connection, and "
        f"{row['echo']['balancerMilliseconds']:.3f} ms for a message"
    )


def section(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @return: the lines of the page of campaigns.
    """
    yield (
        f"{CLIENTS} clients in C, HAProxy and the workers shared the {results['processors']} "
        "processors of one machine, whose load average was "
        f"{results['load']} before they began. So what came of it in a second is less, and with "
        "two workers much less, than workers with processors of their own make of it; the "
        "processor time that the workers have used for each is what to calculate with. "
        f"Each is the best of {ROUNDS} measurements. Certificates have EC "
        f"keys (P-256), connections are TLS 1.3, messages have {SIZE} bytes."
    )
    yield ""
    rows = []
    for row in results["setUps"]:
        cells = [
            f"{row[kind]['perSecond']:,}/s, {row[kind]['processorMilliseconds']} ms"
            for kind in ("full", "resumed", "echo")
        ]
        share = row["resumed"]["wentOn"] / row["resumed"]["amount"]
        cells.insert(2, f"{share:.0%}")
        rows.append((row["name"], *cells))
    head = ("set-up", "full handshakes", "with tickets", "of these went on", "messages echoed")
    yield from table(head, rows)
    yield "Connections with nothing to do, in the memory of a worker:"
    yield ""
    sizes = [
        (
            row["name"],
            f"{row['idle']['bytes'] / row['idle']['connections'] * 1000 / (1 << 20):.1f} MiB",
        )
        for row in results["setUps"]
        if "idle" in row
    ]
    yield from table(("set-up", "1,000 connections"), sizes)


if __name__ == "__main__":
    sys.exit(main("workers", __doc__ or "", conduct))
