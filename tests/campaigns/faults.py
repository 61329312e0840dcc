"""
Faults with real processes: C{python -m tests.campaigns.faults}.

Descriptors, memory and disks run out, workers are killed, and a server is ended while a thousand
handshakes wait.  Afterwards as before: who was connected still is, nobody is let in who should not
be, and nothing is left behind.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from twisted.logger import globalLogPublisher

from txsslstream import SslProtocols

from ..programs import LISTEN, TWISTD, environment
from ..shortage import CONVERSATIONS, Shortage
from ._common import HOST, Campaign, NotHad, main

#: In seconds: for one answer, and for a program to do something at all.
PROMPT, PATIENCE = 5.0, 30.0

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)

SSLECHO = (*TWISTD, "--pidfile=", "-n", "sslecho", "--listen", LISTEN, "--echo")
SERVE = (sys.executable, "-m", "txsslstream", "serve", "--listen", LISTEN)
WAITING = (sys.executable, "-m", "tests.campaigns.waiting")

_READY = re.compile(r"port=(\d+)\)|Listening on (?:port |\S+:)(\d+)")


def wait(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """
    @return: what a condition comes to as soon as that is true, or in the end.
    """
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def isAlive(pid: int) -> bool:
    """
    @return: whether there is such a process, and more than its grave.
    """
    try:
        return not Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].startswith(" Z")
    except FileNotFoundError:
        return False


class Server:
    """
    A running server.

    @ivar port: where it listens.
    @ivar pid: its process.
    """

    def __init__(self, campaign: Campaign, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid
        found = wait(lambda: process.poll() is not None or _READY.search(self.said()))
        if not isinstance(found, re.Match):
            raise NotHad(f"the server did not start:\n{self.said()}")
        self.port = int(found[1] or found[2])
        self._trust = ssl.create_default_context(cafile=str(campaign.trust))

    def said(self) -> str:
        """
        @return: its log.
        """
        return self._log.read_text("utf-8", "replace")

    def plain(self) -> socket.socket:
        """
        @return: a connection without TLS.
        """
        return socket.create_connection((HOST, self.port), PROMPT)

    def client(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """
        @return: a client that is connected.
        @raise OSError: it is not let in.
        """
        plain = self.plain()
        try:
            return (context or self._trust).wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def begun(self) -> ssl.SSLSocket:
        """
        @return: a client that has said hello.
        """
        client = self._trust.wrap_socket(
            self.plain(), server_hostname="localhost", do_handshake_on_connect=False
        )
        client.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        return client

    def echoes(self, client: ssl.SSLSocket, data: bytes = b"Is anybody there?") -> bool:
        """
        @return: whether a client gets back what it sends.
        """
        try:
            client.sendall(data)
            got = b""
            while len(got) < len(data):
                more = client.recv(65536)
                if not more:
                    return False
                got += more
        except OSError:
            return False
        return got == data

    def serves(self, context: ssl.SSLContext | None = None) -> bool:
        """
        @return: whether a new client is let in, and served.
        """
        try:
            with self.client(context) as client:
                return self.echoes(client)
        except OSError:
            return False

    def status(self) -> int | None:
        """
        @return: its exit status, if it has ended.
        """
        return self._process.poll()

    def processorTime(self) -> float:
        """
        @return: how many seconds of a processor it has taken.
        """
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """
        @return: how many it has open.
        """
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def size(self) -> int:
        """
        @return: its address space, in bytes.
        """
        pages = Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[0]
        return int(pages) * resource.getpagesize()

    def tell(self, number: signal.Signals) -> bool:
        """
        @return: whether it was there to be sent a signal.
        """
        self._process.send_signal(number)
        return self.status() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int | None, float]:
        """
        @return: its exit status, L{None} if it does not end, and how long that took.
        """
        began = time.monotonic()
        self._process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        return self._process.poll(), time.monotonic() - began


@contextmanager
def running(campaign: Campaign, *command: str, descriptors: int | None = None) -> Iterator[Server]:
    """
    Run a server for as long as the C{with} block takes.

    @param descriptors: how many it may have.
    """
    name = f"fault-{len(list(campaign.home.glob('fault-*')))}.log"
    log = campaign.home / name
    limit = () if descriptors is None else ("prlimit", f"--nofile={descriptors}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*limit, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], **environment(campaign.home)},
        )
    try:
        yield Server(campaign, process, log)
    finally:
        process.kill()
        process.wait()


class Fault:
    """
    What has come of one.

    @ivar figures: measured.
    @ivar wrong: what is not as it should be.
    """

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self.wrong: list[str] = []

    def expect(self, isSo: object, what: str) -> None:
        """
        Note if something is not so.
        """
        if not isSo:
            self.wrong.append(what)


def _certificate(campaign: Campaign) -> tuple[str, str]:
    return "--certificate", str(campaign.home / "server-EC.pem")


def descriptors(campaign: Campaign, fault: Fault) -> None:
    """
    More clients than descriptors at C{twistd sslecho}.
    """
    few, most = 10, 40
    with (
        running(campaign, *SSLECHO, *_certificate(campaign), descriptors=most) as server,
        ExitStack() as stack,
    ):
        old = [stack.enter_context(server.client()) for _ in range(few)]
        others = [stack.enter_context(server.plain()) for _ in range(2 * most)]
        wait(lambda: "EMFILE" in server.said())
        time.sleep(0.5)
        before = server.processorTime()
        time.sleep(1)
        busy = server.processorTime() - before
        fault.figures = {
            "descriptors": most,
            "clients": few + 2 * most,
            "processorTime": round(busy, 2),
            "open": server.descriptors(),
            "logLines": len(server.said().splitlines()),
        }
        fault.expect(busy < 0.5, "it is busy while it has no descriptor")
        fault.expect("EMFILE encountered" in server.said(), "nothing is in the log")
        fault.expect(all(map(server.echoes, old)), "who was connected is not served any more")
        for each in others:
            each.close()
        fault.expect(wait(server.serves, PROMPT), "nobody is let in after some have gone")
        fault.expect(all(map(server.echoes, old)), "who was connected is not served afterwards")
        fault.expect("Traceback" not in server.said(), "a traceback is in the log")


def descriptorsOfForwarder(campaign: Campaign, fault: Fault) -> None:
    """
    No descriptor for the connection to the target of C{sslstream serve}.
    """
    most = 40
    with ExitStack() as stack:
        backend = stack.enter_context(socket.create_server((HOST, 0), backlog=200))
        target = f"tcp:{HOST}:{backend.getsockname()[1]}"
        options = ("--connect", target, *_certificate(campaign))
        server = stack.enter_context(
            running(campaign, *SERVE, *options, descriptors=most),
        )
        first = stack.enter_context(server.client())
        connected, _ = backend.accept()
        stack.enter_context(connected)
        clients, ended = [], 0
        for _ in range(most):
            with suppress(OSError):
                clients.append(stack.enter_context(server.client()))
        refused = most - len(clients)
        wait(lambda: "no connection to the target" in server.said(), PROMPT)
        for each in clients:
            each.settimeout(0.1)
            with suppress(OSError):
                ended += each.recv(1) == b""
        first.sendall(b"still there")
        connected.settimeout(PROMPT)
        fault.figures = {
            "descriptors": most,
            "clients": 1 + most,
            "closed": ended,
            "refused": refused,
        }
        fault.expect(ended, "nobody was closed in order for want of a connection to the target")
        why = re.search("no connection to the target: .*Too many open files", server.said())
        fault.expect(why, "the log does not say why")
        fault.expect(connected.recv(100) == b"still there", "who was connected is not forwarded")
        for each in clients:
            each.close()

        def isForwarded() -> bool:
            with suppress(OSError), server.client() as client:
                client.sendall(b"anew")
                backend.settimeout(PROMPT)
                while True:
                    # Others may have got as far as here.
                    accepted, _ = backend.accept()
                    with accepted:
                        accepted.settimeout(PROMPT)
                        if accepted.recv(100) == b"anew":
                            return True
            return False

        fault.expect(wait(isForwarded, PROMPT), "nobody is forwarded after some have gone")
        fault.expect("Traceback" not in server.said(), "a traceback is in the log")


def memory(campaign: Campaign, fault: Fault) -> None:
    """
    A flood of clients with 8 MiB left of the address space, or 2 for fewer.
    """
    left, count = (2 << 20, 60) if campaign.isShort else (8 << 20, 400)
    options = ("--require-client-certificate", "--trust", str(campaign.trust))
    known = ssl.create_default_context(cafile=str(campaign.trust))
    known.load_cert_chain(campaign.home / "client-EC.pem", campaign.home / "client-EC.key")
    with (
        running(campaign, *SSLECHO, *_certificate(campaign), *options) as server,
        ExitStack() as stack,
    ):
        fault.expect(server.serves(known), "nobody is served at first")
        limit = server.size() + left
        resource.prlimit(server.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        clients = []
        for number in range(count):
            with suppress(OSError):
                client = stack.enter_context(server.client(known))
                client.settimeout(PROMPT)
                data = b"%06d" % number * 20_000
                client.sendall(data)
                clients.append((client, data))
        whole = corrupt = 0
        for client, data in clients:
            got = b""
            with suppress(OSError):
                while len(got) < len(data) and (more := client.recv(65536)):
                    got += more
            whole += got == data
            corrupt += not data.startswith(got)
        strangers = sum(server.serves() for _ in range(10))
        fault.figures = {
            "left": left,
            "clients": count,
            "refused": count - len(clients),
            "served": whole,
            "broken": len(clients) - whole,
            "corrupt": corrupt,
            "strangersLetIn": strangers,
            "memoryErrors": server.said().count("builtins.MemoryError"),
        }
        fault.expect(not corrupt, "somebody has got something else than he has sent")
        fault.expect(not strangers, "somebody without certificate was let in")
        fault.expect(whole, "nobody was served")
        fault.expect("MemoryError" in server.said(), "memory has not run out")
        for client, _ in clients:
            client.close()
        fault.expect(
            wait(lambda: server.serves(known), PROMPT), "nobody is served after some have gone"
        )
        fault.expect(server.end()[0] == -signal.SIGTERM, "it does not end in order")


def memoryOfWaiting(campaign: Campaign, fault: Fault) -> None:
    """
    Handshakes that wait with 4 MiB left of the address space.
    """
    left, count = 4 << 20, 100 if campaign.isShort else 600
    with running(campaign, *WAITING, *_certificate(campaign)) as server, ExitStack() as stack:
        limit = server.size() + left
        resource.prlimit(server.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        for _ in range(count):
            with suppress(OSError):
                stack.enter_context(server.begun())
        hasRunOut = wait(lambda: "MemoryError" in server.said(), PROMPT)
        fault.expect(hasRunOut, "memory has not run out")
        fault.figures = {"clients": count, "left": left, "waiting": _waitingAt(server)}
        stack.close()
        isLetIn = wait(lambda: server.status() is not None or _isLetIn(server), PROMPT)
        status = server.status()
        if status is None:
            # Python's own way out takes some, and the reactor's turns do: without any
            # it can do nothing until there is some again.
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(server.pid, resource.RLIMIT_AS, unlimited)
            fault.figures["stoodStill"] = not isLetIn
            fault.expect(wait(lambda: _isLetIn(server)), "nobody is let in afterwards")
            fault.expect(wait(lambda: _waitingAt(server) == 0), "handshakes wait for nobody")
            status, _ = server.end()
        # Where there is none for the reactor either: with an error, not a crash.  (Or
        # killed by our question, when there was nobody left to take it.)
        isCrash = status is None or -status in CRASHES
        fault.expect(not isCrash, f"it has ended with {status}")
        fault.figures["exitStatus"] = status


def _waitingAt(server: Server) -> int:
    """
    @return: how many handshakes wait; -1 if it does not say.
    """
    before = server.said().count("waiting:")
    if server.tell(signal.SIGUSR1):
        wait(
            lambda: server.said().count("waiting:") > before or server.status() is not None, PROMPT
        )
    told = re.findall(r"waiting: (\d+)", server.said())[before:]
    return int(told[-1]) if told else -1


def _isLetIn(server: Server) -> bool:
    with suppress(OSError), server.begun() as client:
        if wait(lambda: _waitingAt(server) == 1, 1) and server.tell(signal.SIGUSR2):
            client.settimeout(PROMPT)
            client.do_handshake()
            return server.echoes(client)
    return False


def stopped(campaign: Campaign, fault: Fault) -> None:
    """
    The end of a server in which 1,000 handshakes wait.
    """
    count = 200 if campaign.isShort else 1000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * count + 100), most))
    with (
        running(campaign, *WAITING, *_certificate(campaign), descriptors=2 * count + 100) as server,
        ExitStack() as stack,
    ):
        for _ in range(count):
            stack.enter_context(server.begun())
        fault.expect(wait(lambda: _waitingAt(server) == count, PATIENCE), "not all handshakes wait")
        before = len(server.said())
        status, seconds = server.end()
        fault.figures = {"waiting": count, "exitStatus": status, "seconds": round(seconds, 2)}
        fault.expect(status == 0, f"it has ended with {status}")
        fault.expect(seconds < 20, "it has taken long to end")
        fault.expect(not server.said()[before:], f"it has said {server.said()[before:][:200]!r}")


def killedWorkers(campaign: Campaign, fault: Fault) -> None:
    """
    SIGKILL for workers of C{sslecho --processes 3}, in handshakes and conversations, and for
    the parent.
    """
    rounds = 1 if campaign.isShort else 5
    with (
        running(campaign, *SSLECHO, *_certificate(campaign), "--processes", "3") as server,
        ExitStack() as stack,
    ):
        pids = wait(lambda: _workers(server) if len(_workers(server)) == 3 else None)
        clients = [stack.enter_context(server.client()) for _ in range(30)]
        fault.expect(all(map(server.echoes, clients)), "not everybody is served at first")
        lost = refused = 0
        for number in range(rounds):
            begun = [stack.enter_context(server.begun()) for _ in range(30)]
            victim = pids[f"worker {number % 3 + 1}"]
            theirs = _peersOf(victim, server.port)
            os.kill(victim, signal.SIGKILL)
            refused += sum(not server.serves() for _ in range(10))
            pids = wait(partial(_replaced, server, victim))
            fault.expect(pids, "a worker was not replaced")
            if not pids:
                break
            served = []
            for each in clients:
                isTheirs = each.getsockname()[1] in theirs
                if server.echoes(each):
                    served.append(each)
                    fault.expect(not isTheirs, "somebody is served by a dead worker")
                else:
                    lost += 1
                    fault.expect(isTheirs, "a connection of another worker was lost")
            for each in begun:
                each.close()
            fresh = [stack.enter_context(server.client()) for _ in range(30 - len(served))]
            clients = served + fresh
        fault.figures = {"killed": rounds, "connectionsLost": lost, "refusedMeanwhile": refused}
        fault.expect(not refused, "somebody was refused while a worker was replaced")
        alive = list(_workers(server).values())
        os.kill(server.pid, signal.SIGKILL)
        fault.expect(
            wait(lambda: not any(map(isAlive, alive)), PATIENCE), "workers live without the parent"
        )
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ConnectionRefusedError), server.plain():
            fault.wrong.append("somebody still listens")


def _workers(server: Server) -> dict[str, int]:
    told = re.findall(r"(worker \d) begins: process (\d+)", server.said())
    return {name: int(pid) for name, pid in told}


def _replaced(server: Server, gone: int) -> dict[str, int] | None:
    pids = _workers(server)
    return None if gone in pids.values() or not all(map(isAlive, pids.values())) else pids


def _peersOf(pid: int, port: int) -> set[int]:
    """
    @return: the ports of the clients of a process.
    """
    links = Path(f"/proc/{pid}/fd").iterdir()
    inodes = {
        os.readlink(each).removeprefix("socket:[").removesuffix("]")
        for each in links
        if each.is_symlink()
    }
    peers = set()
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes and int(fields[1].rpartition(":")[2], 16) == port:
            peers.add(int(fields[2].rpartition(":")[2], 16))
    return peers


_FILL = """
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from txsslstream import X509Store
from txsslstream._cache import RevocationCache

home = Path(sys.argv[1])
now = datetime.now(timezone.utc)
cache = RevocationCache(home / "cache")
for number in range(100):
    cache.put(str(number), bytes(5000), now + timedelta(1), now)
assert all(cache.get(str(number), now) == bytes(5000) for number in range(100))
store = X509Store("Test", path=home / "store")
try:
    for name in sys.argv[2:]:
        store.add(name)
except Exception as e:
    print(type(e).__name__, e)
for number in range(100):
    data = RevocationCache(home / "cache").get(str(number), now)
    assert data in (None, bytes(5000))
print(len(store.certificates), "in the store")
"""


def disk(campaign: Campaign, fault: Fault) -> None:
    """
    A file system of 256 KiB that gets full.
    """
    place = campaign.home / "small"
    place.mkdir()
    status, said = campaign.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(place)], 10
    )
    if status:
        fault.figures = {"notTried": said.strip()}
        return
    try:
        names = [str(campaign.home / f"server-{kind}.pem") for kind in ("RSA", "EC", "Ed25519")]
        status, said = campaign.run([sys.executable, "-c", _FILL, str(place), *names], PATIENCE)
        files = [each for each in place.rglob("*") if each.is_file()]
        temporary = [each.name for each in files if each.name.startswith(".")]
        fault.expect(status == 0, f"the cache and the store: {said[-300:]}")
        fault.expect("No space left on device" in said, "the store does not say why")
        fault.expect("0 in the store" in said, "a certificate is in the store all the same")
        fault.expect(not temporary, f"left behind: {temporary}")
        fault.figures = {"filesOfCache": len(files)}
        command = [*SSLECHO]
        home = {"PATH": os.environ["PATH"], **environment(place)}
        ended = subprocess.run(
            command, env=home, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        said = ended.stdout + ended.stderr
        fault.expect(ended.returncode, "sslecho without a certificate says nothing")
        fault.expect("No space left on device" in said, "sslecho does not say why")
        fault.expect("Traceback" not in said, "sslecho has a traceback")
        development = [each for each in (place / "data").rglob("*") if each.is_file()]
        fault.expect(not development, f"left behind: {development}")
    finally:
        campaign.run(["umount", str(place)], 10)


def allocations(campaign: Campaign, fault: Fault) -> None:
    """
    C{MemoryError} at one call of five that the package makes, one after the other, in memory.
    """
    observers = list(globalLogPublisher._observers)
    for each in observers:
        globalLogPublisher.removeObserver(each)
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    stride = 500 if campaign.isShort else 5
    tried = 0
    try:
        for name, make in CONVERSATIONS.items():
            for version in (SslProtocols.Tls12, SslProtocols.Tls13):
                for isGood in (True, False):
                    for number in range(-1, 10_000, stride):
                        conversation = make(version, isGood)
                        shortage = Shortage(number)
                        with shortage:
                            conversation.hold()
                        problems = conversation.problems(shortage.where)
                        fault.expect(not problems, f"{name}, {shortage.where}: {problems}")
                        if number >= 0 and not shortage.where:
                            break
                        tried += 1
    finally:
        sys.unraisablehook = hook
        for each in observers:
            globalLogPublisher.addObserver(each)
    fault.figures = {"conversations": 4 * len(CONVERSATIONS), "calls": tried}


#: By the names that results have.
FAULTS: Mapping[str, Callable[[Campaign, Fault], None]] = {
    "descriptors": descriptors,
    "descriptorsOfForwarder": descriptorsOfForwarder,
    "memory": memory,
    "memoryOfWaiting": memoryOfWaiting,
    "stopped": stopped,
    "killedWorkers": killedWorkers,
    "disk": disk,
    "allocations": allocations,
}


def conduct(
    campaign: Campaign, names: Sequence[str] = tuple(FAULTS)
) -> tuple[Mapping[str, Any], bool]:
    """
    Have all of them, or some.
    """
    results = []
    for name in names:
        fault = Fault()
        began = time.monotonic()
        FAULTS[name](campaign, fault)
        seconds = round(time.monotonic() - began, 1)
        print(f"{name}: {fault.figures} in {seconds} s {fault.wrong or ''}", flush=True)
        results.append({"name": name, "figures": fault.figures, "wrong": fault.wrong})
    return {"faults": results}, not any(each["wrong"] for each in results)


if __name__ == "__main__":
    sys.exit(main("faults", str(__doc__).strip(), conduct))
