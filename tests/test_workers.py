"""
Tests for L{txsslstream._workers}: several processes behind one socket, and who comes in the
place of one that dies.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import ssl
import struct
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.application.service import Service
from twisted.internet import unix
from twisted.internet.defer import succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import _workers
from txsslstream._workers import (
    _KINDS,
    EARLY,
    FIRST_DELAY,
    GRACE,
    LONGEST_DELAY,
    SharedEndpoint,
    Workers,
    _adopted,
    _Lifeline,
    checkShareable,
)

from .interop._tools import LOOPBACK, Background, background, freePort, opensslClient, runTool
from .programs import (
    LISTEN,
    TWISTD,
    authorityPath,
    environment,
    runPython,
    runSslstream,
    runTwistd,
    sampleServerProcess,
    serveProcess,
    temporaryDirectory,
)
from .test_examples import isListenedOn
from .test_serve import _ACTIVATOR, DOCUMENT
from .test_tap import Files, occupied

DRAIN = 20.0


class CheckTests(SynchronousTestCase):
    """
    Tests for L{checkShareable}.
    """

    def test_kinds(self) -> None:
        """
        What a socket of ours or of systemd's listens at can be shared, in either
        case; what does more than listen cannot, and is named.
        """
        for description in ("tcp:1", "TCP:1", "tcp6:1:interface=\\:\\:1", "unix:/x", "systemd:y"):
            checkShareable(description)
        for description, kind in (("ssl:1:privateKey=x", "ssl"), ("sslstream:tcp:1", "sslstream")):
            error = self.assertRaises(ValueError, checkShareable, description)
            self.assertIn(f", not {kind}:", str(error))

    def test_noFork(self) -> None:
        """
        Where no process can be forked there is one alone.
        """
        self.patch(_workers, "os", object())
        error = self.assertRaises(ValueError, checkShareable, "tcp:1")
        self.assertIn("fork", str(error))


class DocumentationTests(SynchronousTestCase):
    """
    What docs/serve.md says of processes.
    """

    def test_figures(self) -> None:
        """
        The times are right.
        """
        text = " ".join(DOCUMENT.split("## Several processes")[1].split("\n## ")[0].split())
        self.assertIn(f"after {FIRST_DELAY:.0f} to {LONGEST_DELAY:.0f} seconds", text)
        self.assertIn(f"worked for less than {EARLY:.0f}.", text)
        self.assertIn(f"{GRACE:.0f} seconds after `--drain`", text)
        for kind in _KINDS:
            self.assertIn(f"`{kind}:`", text)


class _Reactor(MemoryReactorClock):
    """
    Connects workers in memory.

    @ivar channels: what each has been connected to, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.channels: list[Any] = []

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        """
        See C{IReactorSocket}.
        """
        protocol = factory.buildProtocol(None)
        self.channels.append(protocol)
        protocol.makeConnection(StringTransport())

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        """
        See C{IReactorFromThreads}.
        """
        function(*arguments)


class _Port:
    """
    Listens nowhere.
    """

    isOpen = True

    def stopListening(self) -> Any:
        """
        Listen no more.
        """
        self.isOpen = False
        return succeed(None)


class _Front(Service):
    """
    What opens the sockets.
    """

    isOpen = False
    unable: Any = None

    def privilegedStartService(self) -> None:
        """
        Open them.
        """
        self.isOpen = True


class ParentTests(SynchronousTestCase):
    """
    Tests for L{Workers}, in a system that this test plays.
    """

    def setUp(self) -> None:
        """
        Two workers.
        """
        self.reactor = _Reactor()
        self.front = _Front()
        self.signals: list[tuple[int, int]] = []
        self.statuses: dict[int, int] = {}
        self.pids = iter(range(1001, 2000))
        self.patch(os, "fork", lambda: next(self.pids))
        self.patch(os, "kill", lambda pid, what: self.signals.append((pid, what)))
        self.patch(os, "waitpid", self.waited)
        self.workers = Workers(self.reactor, 2, lambda reactor: None, lambda *_: self.front, DRAIN)
        self.port = _Port()
        self.workers._opening.ports.append(self.port)
        self.workers.privilegedStartService()
        self.assertTrue(self.front.isOpen)
        self.assertEqual(self.reactor.channels, [])
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(lambda: self.assertIs(signal.getsignal(signal.SIGHUP), before))
        self.addCleanup(self.end)
        self.workers.startService()

    def waited(self, pid: int, flags: int) -> tuple[int, int]:
        """
        C{os.waitpid}.
        """
        self.assertEqual(flags, os.WNOHANG)
        return (pid, self.statuses.pop(pid)) if pid in self.statuses else (0, 0)

    def end(self) -> None:
        """
        End what there still is.
        """
        self.workers.stopService()
        for worker in tuple(self.workers.workers):
            self.die(worker, 0)

    def die(self, worker: Any, status: int) -> None:
        """
        Have a worker end.
        """
        self.statuses[worker.pid] = status
        worker.connectionLost()

    def pidsNow(self) -> list[int]:
        """
        @return: whom the parent knows to live.
        """
        return sorted(each.pid for each in self.workers.workers)

    def test_begun(self) -> None:
        """
        As many are forked as were asked for, when there is a socket.
        """
        self.assertEqual(self.pidsNow(), [1001, 1002])
        self.assertEqual([each.name for each in self.reactor.channels], ["worker 1", "worker 2"])

    def test_replaced(self) -> None:
        """
        In the place of a worker that has worked for a while another begins at
        once, with its name; and the log has why.
        """
        self.reactor.advance(EARLY)
        with capturedLogs() as events:
            self.die(self.reactor.channels[0], signal.SIGSEGV)
            self.assertEqual(self.pidsNow(), [1002])
            self.reactor.advance(0)
        self.assertEqual(self.pidsNow(), [1002, 1003])
        self.assertEqual(self.reactor.channels[-1].name, "worker 1")
        said = [formatEvent(each) for each in events]
        self.assertIn(
            "worker 1 (process 1001) has ended with signal 11; another begins in 0.0 s", said
        )
        self.assertIs(events[0]["log_level"], LogLevel.error)

    def test_early(self) -> None:
        """
        One that dies early is replaced later, and later still if that goes on, up
        to a limit; once it has worked for a while that is forgotten.
        """
        delays = [1, 2, 4, 8, 16, 32, LONGEST_DELAY, LONGEST_DELAY]
        for delay in delays:
            self.die(self.reactor.channels[-1], 256)
            begun = len(self.reactor.channels)
            self.reactor.advance(delay - 0.001)
            self.assertEqual(len(self.reactor.channels), begun, delay)
            self.reactor.advance(0.001)
            self.assertEqual(len(self.reactor.channels), begun + 1, delay)
        self.reactor.advance(EARLY)
        self.die(self.reactor.channels[-1], 256)
        self.reactor.advance(0)
        self.assertEqual(len(self.pidsNow()), 2)
        self.die(self.reactor.channels[-1], 256)
        self.reactor.advance(1)
        self.assertEqual(len(self.pidsNow()), 2)

    def test_apart(self) -> None:
        """
        The one's misfortune does not delay the other's replacement.
        """
        one, other = self.reactor.channels
        self.die(one, 256)
        self.reactor.advance(EARLY)
        self.die(other, 256)
        self.reactor.advance(0)
        self.assertEqual(len(self.pidsNow()), 2)

    def test_endAtBirth(self) -> None:
        """
        A worker that is told to end as it begins is not told through the parent's
        handler, which it has as long: the signal waits, and for nothing else.
        """

        def blocked() -> set[Any]:
            return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

        before = blocked()
        within: list[set[Any]] = []

        def fork() -> int:
            within.append(blocked())
            return 1500

        self.patch(os, "fork", fork)
        self.reactor.advance(EARLY)
        self.die(self.reactor.channels[0], 256)
        self.reactor.advance(0)
        self.assertEqual(within, [before | {signal.SIGTERM}])
        self.assertEqual(blocked(), before)

    def test_noFork(self) -> None:
        """
        If the system has no room for another process now, it is asked again.
        """

        def refuse() -> int:
            raise OSError(errno.EAGAIN, "no room")

        self.patch(os, "fork", refuse)
        self.reactor.advance(EARLY)
        with capturedLogs() as events:
            self.die(self.reactor.channels[0], 256)
            self.reactor.advance(0)
        self.assertIn("worker 1 cannot begin: [Errno 11] no room", map(formatEvent, events))
        self.patch(os, "fork", lambda: 1500)
        self.reactor.advance(LONGEST_DELAY)
        self.assertEqual(self.pidsNow(), [1002, 1500])

    def test_noDescriptors(self) -> None:
        """
        The same if it has no more descriptors.
        """

        def refuse() -> Any:
            raise OSError(errno.EMFILE, "too many")

        patch = self.patch(socket, "socketpair", refuse)
        self.reactor.advance(EARLY)
        with capturedLogs() as events:
            self.die(self.reactor.channels[0], 256)
            self.reactor.advance(0)
        self.assertIn("worker 1 cannot begin: [Errno 24] too many", map(formatEvent, events))
        patch.restore()
        self.reactor.advance(LONGEST_DELAY)
        self.assertEqual(self.pidsNow(), [1002, 1003])

    def test_unheard(self) -> None:
        """
        A worker to which the line cannot be kept, for want of descriptors, ends, and
        another comes in its place.
        """

        def refuse(*_: object) -> Any:
            raise OSError(errno.EMFILE, "too many")

        patch = self.patch(self.reactor, "adoptStreamConnection", refuse)
        self.reactor.advance(EARLY)
        with capturedLogs() as events:
            self.die(self.reactor.channels[0], 256)
            self.reactor.advance(0)
        self.assertIn("worker 1 cannot be heard: [Errno 24] too many", map(formatEvent, events))
        self.assertEqual(self.pidsNow(), [1002, 1003])
        patch.restore()
        self.statuses[1003] = 256
        self.reactor.pump([_workers._REAP_INTERVAL, FIRST_DELAY])
        self.assertEqual(self.pidsNow(), [1002, 1004])

    def test_letGo(self) -> None:
        """
        A new worker closes the sockets that are the parent's alone, such as what
        ties the others to it.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            line: Any = StringTransport()
            line.socket = ours
            self.reactor.addReader(line)
            # What wakes the reactor has no socket.
            self.reactor.addReader(cast(Any, StringTransport()))
            self.workers._letGo()
            self.assertEqual(ours.fileno(), -1)

    def test_reapedLater(self) -> None:
        """
        One that says nothing any more is waited for until it has ended.
        """
        worker = self.reactor.channels[0]
        worker.connectionLost()
        self.assertEqual(self.pidsNow(), [1001, 1002])
        self.reactor.pump([0.05] * 3)
        self.assertEqual(self.pidsNow(), [1001, 1002])
        self.statuses[worker.pid] = 0
        self.reactor.advance(0.05)
        self.assertEqual(self.pidsNow(), [1002])

    def test_stopped(self) -> None:
        """
        At the end the sockets are closed, all workers told, and waited for; then
        nothing is left.
        """
        stopped = self.workers.stopService()
        self.assertFalse(self.port.isOpen)
        self.assertEqual(sorted(self.signals), [(1001, signal.SIGTERM), (1002, signal.SIGTERM)])
        for worker in tuple(self.reactor.channels):
            self.assertNoResult(stopped)
            self.die(worker, 0)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(len(self.reactor.channels), 2)

    def test_grace(self) -> None:
        """
        Where workers go on for a while the sockets stay open as long, and who asks
        hears of the workers.
        """
        self.front.unable = lambda: "as the front says"
        self.assertEqual(self.workers.unable(), "as the front says")
        self.workers._grace = 5
        stopped = self.workers.stopService()
        expected = [(pid, signal.SIGTERM) for pid in self.pidsNow()]
        self.assertEqual(sorted(self.signals), expected)
        self.reactor.advance(4.9)
        self.assertTrue(self.port.isOpen)
        self.reactor.advance(0.1)
        self.assertFalse(self.port.isOpen)
        for worker in tuple(self.workers.workers):
            self.assertNoResult(stopped)
            self.die(worker, 0)
        self.assertEqual(self.workers.unable(), "no worker is there")
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_killed(self) -> None:
        """
        Who does not end within the time for that is killed.
        """
        stopped = self.workers.stopService()
        self.die(self.reactor.channels[0], 0)
        self.signals.clear()
        self.reactor.advance(DRAIN + GRACE - 0.001)
        self.assertEqual(self.signals, [])
        self.reactor.advance(0.001)
        self.assertEqual(self.signals, [(1002, signal.SIGKILL)])
        with capturedLogs() as events:
            self.die(self.reactor.channels[1], signal.SIGKILL)
        self.successResultOf(stopped)
        self.assertEqual(
            [formatEvent(each) for each in events], ["worker 2 has ended with signal 9"]
        )

    def test_stoppedWhileOneIsMissing(self) -> None:
        """
        Nobody begins any more in the place of one that had died before.
        """
        self.die(self.reactor.channels[0], 256)
        stopped = self.workers.stopService()
        self.die(self.reactor.channels[1], 0)
        self.successResultOf(stopped)
        self.reactor.advance(LONGEST_DELAY)
        self.assertEqual(len(self.reactor.channels), 2)

    def test_hangup(self) -> None:
        """
        SIGHUP is the workers' business, too.
        """
        handler: Any = signal.getsignal(signal.SIGHUP)
        handler(signal.SIGHUP, None)
        self.assertEqual(sorted(self.signals), [(1001, signal.SIGHUP), (1002, signal.SIGHUP)])

    def test_log(self) -> None:
        """
        What a worker logs the parent logs, with the worker's name and at the same
        level, whatever is in it.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs, capturedLogs() as events:
            lifeline = _Lifeline(theirs, lambda: None)
            for level, text in ((LogLevel.info, "a{b}\nc"), (LogLevel.critical, "\udc80" * 9)):
                lifeline({"log_format": "{text}", "text": text, "log_level": level})
            lifeline({"log_format": "x" * 100_000})
            theirs.shutdown(socket.SHUT_WR)
            while data := ours.recv(1 << 16):
                self.reactor.channels[1].dataReceived(data)
        said = [formatEvent(each) for each in events]
        self.assertEqual(said[:2], ["worker 2: a{b}\nc", f"worker 2: {'?' * 9}"])
        self.assertEqual(len(said[2]), len("worker 2: ") + 64 * 1024)
        levels = [each["log_level"] for each in events]
        self.assertEqual(levels, [LogLevel.info, LogLevel.critical, LogLevel.info])

    def test_nobodyHears(self) -> None:
        """
        A worker whose parent is gone logs into the void, and is told of it.
        """
        ours, theirs = socket.socketpair()
        told: list[None] = []
        with theirs:
            lifeline = _Lifeline(theirs, lambda: told.append(None))
            ours.close()
            lifeline({"log_format": "anybody?"})
            lifeline.doRead()
        self.assertEqual(told, [None])


class SocketTests(SynchronousTestCase):
    """
    What listens.
    """

    def setUp(self) -> None:
        """
        A reactor that does nothing.
        """
        self.reactor = MemoryReactorClock()
        self.opening = _workers.OpeningReactor(self.reactor)

    def opened(self, description: str) -> Any:
        """
        @return: the parent's port.
        """
        factory = Factory()
        factory.noisy = False
        port = self.successResultOf(serverFromString(self.opening, description).listen(factory))
        self.addCleanup(lambda: port.connected and port.connectionLost(None))
        self.assertEqual(self.opening.ports, [port])
        self.assertEqual(self.reactor.getReaders(), [])
        return port

    def shared(self, port: Any) -> Any:
        """
        @return: a worker's port.
        """
        factory = Factory()
        factory.noisy = False
        return self.successResultOf(SharedEndpoint(self.reactor, port.socket).listen(factory))

    def test_shared(self) -> None:
        """
        A worker listens with the parent's socket, for one client at a time, and
        when it ends the socket goes on; so it is with sockets in the file system,
        whose file is the parent's.
        """
        path = str(temporaryDirectory(self) / "socket")
        for description, connect in (
            (LISTEN, lambda port: socket.create_connection((LOOPBACK, port.getHost().port), 5)),
            (f"unix:{path}", self.connectUNIX),
        ):
            self.opening.ports.clear()
            port = self.opened(description)
            worker = self.shared(port)
            self.assertEqual(worker.getHost(), port.getHost())
            self.assertEqual(self.reactor.getReaders(), [worker])
            worker.numberAccepts = 100
            self.assertEqual(worker.numberAccepts, 1)
            worker.stopReading()
            worker.connectionLost(None)
            with connect(port) as client:
                accepted, _ = port.socket.accept()
                accepted.close()
                self.assertEqual(client.recv(1), b"")

    def connectUNIX(self, port: Any) -> socket.socket:
        """
        @return: a connection.
        """
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(port.getHost().name)
        return client

    def test_adopted(self) -> None:
        """
        The parent may have been given its socket.
        """
        with socket.create_server((LOOPBACK, 0)) as given:
            given.setblocking(False)
            factory = Factory()
            factory.noisy = False
            port = self.opening.adoptStreamPort(given.fileno(), given.family, factory)
            self.assertEqual(port.getHost().port, given.getsockname()[1])
            self.assertEqual(self.opening.ports, [port])
            port.connectionLost(None)

    def test_upstream(self) -> None:
        """
        Twisted's own adopted port of a UNIX socket would end it for all.
        """
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(temporaryDirectory(self) / "socket"))
            listening.listen()
            factory = Factory()
            factory.noisy = False
            descriptor = listening.fileno()
            ours = _adopted(self.reactor, descriptor, listening.family, factory)
            theirs = unix.Port._fromListeningDescriptor(self.reactor, descriptor, factory)
            self.assertFalse(ours._shouldShutdown)
            self.assertTrue(theirs._shouldShutdown)
            for port in (ours, theirs):
                port._preexistingSocket.close()


def isAlive(pid: int) -> bool:
    """
    Whether there is a process with that number that has not ended.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def heeds(pid: int, what: signal.Signals) -> bool:
    """
    Whether a process has a handler for a signal.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    assert caught is not None
    return bool(int(caught[1], 16) & 1 << (what - 1))


def wait(condition: Any, seconds: float = 10) -> None:
    """
    Wait until something is so.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.01)


#: A worker that is told to end by its own service, as that begins.
_EARLY_END = """
import os
import signal

from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from txsslstream._workers import Workers


class Early(Service):
    def __init__(self, endpoint):
        self.endpoint = endpoint

    def privilegedStartService(self):
        self.endpoint.listen(Factory())

    def startService(self):
        os.write(1, b"begins\\n")
        os.kill(os.getpid(), signal.SIGTERM)

    def stopService(self):
        os.write(1, b"ends in peace\\n")


def place(reactor):
    return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")


def look():
    if not workers.workers and reactor.running:
        looking.stop()
        workers.stopService().addCallback(lambda _: reactor.stop())


workers = Workers(reactor, 1, place, lambda _, endpoint, isParents: Early(endpoint), 20)
workers.privilegedStartService()
looking = LoopingCall(look)
reactor.callWhenRunning(workers.startService)
reactor.callWhenRunning(looking.start, 0.05, False)
reactor.run()
"""


class ProcessTests(SynchronousTestCase):
    """
    Real processes.
    """

    def setUp(self) -> None:
        """
        A place, and files.
        """
        self.home = temporaryDirectory(self)
        self.files = Files(self)

    def pidsOf(self, tool: Background, count: int = 2) -> dict[str, int]:
        """
        @return: the processes of the workers that have begun last.
        """
        pattern = r"(worker \d) begins: process (\d+)"
        wait(lambda: len(re.findall(pattern, tool.output())) >= count)
        return {name: int(pid) for name, pid in re.findall(pattern, tool.output())}

    def converse(self, port: int) -> str:
        """
        Have the sample's conversation with a server.

        @return: what it says.
        """
        command = opensslClient(port, authorityPath(self.home))
        ended = runTool(command, "Hi!<EOF>")
        self.assertEqual(ended.returncode, 0, ended)
        return ended.stdout

    def test_echo(self) -> None:
        """
        C{twistd sslecho --processes 2}: both workers serve, with the log of the
        parent; what dies is replaced while nobody is refused; SIGTERM ends all.
        """
        with sampleServerProcess(self.home, "--processes", "2") as server:
            tool = server.tool
            pids = self.pidsOf(tool)
            self.assertIn("Hello from the server.", self.converse(server.port))
            wait(lambda: re.search(r"worker \d: Received: Hi!<EOF>", tool.output()))
            self.assertEqual(len(re.findall("Waiting for a client to connect", tool.output())), 1)
            os.kill(pids["worker 1"], signal.SIGKILL)
            # In its place the other one serves, or the next in the queue.
            for _ in range(4):
                self.assertIn("Hello from the server.", self.converse(server.port))
            after = self.pidsOf(tool, 3)
            self.assertIn(
                f"worker 1 (process {pids['worker 1']}) has ended with signal 9", tool.output()
            )
            tool.signal(signal.SIGTERM)
            self.assertEqual(tool.wait(timeout=10), -signal.SIGTERM)
            self.assertFalse(any(map(isAlive, after.values())))
            self.assertNotIn("Traceback", tool.output())
            with (
                contextlib.suppress(ConnectionRefusedError),
                socket.create_connection((LOOPBACK, server.port), 1),
            ):
                self.fail("somebody still listens")

    def test_resumed(self) -> None:
        """
        A session of one worker goes on in all, in both versions.
        """
        with sampleServerProcess(self.home, "--processes", "3") as server:
            # Those that still begin would let one serve all.
            pids = self.pidsOf(server.tool, 3).values()
            wait(lambda: all(heeds(each, signal.SIGTERM) for each in pids))
            for version, reused in (("1.2", "Reused, TLSv1.2"), ("1.3", "Reused, TLSv1.3")):
                session = str(self.home / "session.pem")

                def client(*extra: str, version: str = version) -> str:
                    command = opensslClient(
                        server.port, authorityPath(self.home), version=version, extra=extra
                    )
                    command.remove("-brief")
                    ended = runTool(command, "Hi!<EOF>")
                    self.assertEqual(ended.returncode, 0, ended)
                    return ended.stdout

                self.assertNotIn(reused, client("-sess_out", session))
                before = len(server.tool.output())
                for _ in range(12):
                    self.assertIn(reused, client("-sess_in", session))
                said = server.tool.output()[before:]
                served = set(re.findall(r"(worker \d): Received: Hi", said))
                self.assertGreater(len(served), 1, "one worker has served all")

    def served(self, tool: Background) -> None:
        """
        Have two clients forwarded.
        """
        trusting = ssl.create_default_context(cafile=self.files.root)
        for _ in range(2):
            plain = socket.create_connection((LOOPBACK, int(tool.match[1])), 10)
            with trusting.wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(b"Hello")
                accepted, _address = self.target.accept()
                with accepted:
                    accepted.settimeout(10)
                    self.assertEqual(accepted.recv(100), b"Hello")

    def options(self) -> list[str]:
        """
        @return: options of C{serve}, with a target.
        """
        self.target = socket.create_server((LOOPBACK, 0))
        self.addCleanup(self.target.close)
        self.target.settimeout(10)
        port = self.target.getsockname()[1]
        return [
            *("--connect", f"tcp:{LOOPBACK}:{port}", "--certificate", self.files.both),
            *("--processes", "2", "--drain", "0"),
        ]

    def test_drained(self) -> None:
        """
        C{twistd sslserve --processes 2} says that it is about to end, lets clients
        in for a while, and those who are there go on until they are done.
        """
        health = freePort()
        address = ("--health", f"tcp:{health}:interface={LOOPBACK}")
        options = [*self.options(), *address, "--grace", "5", "--drain", "30"]

        def status() -> int:
            try:
                with urlopen(f"http://{LOOPBACK}:{health}/", timeout=10) as answer:
                    return int(answer.status)
            except HTTPError as e:
                with e:
                    return e.code

        with serveProcess(self.home, *options, isTwistd=True) as tool, ExitStack() as stack:
            self.pidsOf(tool)
            self.assertEqual(status(), 200)
            # That was a connection to the target, of the parent's.
            self.target.accept()[0].close()
            tool.signal(signal.SIGTERM)
            wait(lambda: status() == 503)
            plain = stack.enter_context(
                socket.create_connection((LOOPBACK, int(tool.match[1])), 10)
            )
            trusting = ssl.create_default_context(cafile=self.files.root)
            client = stack.enter_context(trusting.wrap_socket(plain, server_hostname="localhost"))
            client.sendall(b"Hello")
            accepted = stack.enter_context(self.target.accept()[0])
            accepted.settimeout(10)
            self.assertEqual(accepted.recv(5), b"Hello")
            tool.waitFor(r"worker \d: 1 connections are left to end")
            accepted.sendall(b"still")
            self.assertEqual(client.recv(5), b"still")
            # The others may have closed it a little later.
            wait(lambda: not isListenedOn(int(tool.match[1])))
            self.assertTrue(tool.isRunning())
            accepted.close()
            client.unwrap()
            self.assertEqual(tool.wait(), -signal.SIGTERM)
            self.assertNotIn("Traceback", tool.output())

    def test_serve(self) -> None:
        """
        C{sslstream serve} and C{twistd sslserve} do so, too; they say once where
        they listen, read the certificate again at SIGHUP, and an interrupt ends
        them.
        """
        for isTwistd in (False, True):
            with serveProcess(self.home, *self.options(), isTwistd=isTwistd) as tool:
                pids = self.pidsOf(tool)
                self.served(tool)
                self.assertEqual(len(re.findall("Listening on", tool.output())), 1)
                for pid in pids.values():
                    wait(partial(heeds, pid, signal.SIGHUP))
                tool.signal(signal.SIGHUP)
                wait(partial(self.isReadAgain, tool))
                self.served(tool)
                tool.signal(signal.SIGINT)
                self.assertEqual(tool.wait(timeout=10), -signal.SIGINT if isTwistd else 0)
                self.assertFalse(any(map(isAlive, pids.values())))
                self.assertNotIn("Traceback", tool.output())

    def isReadAgain(self, tool: Background) -> bool:
        """
        Whether both workers have read the certificate again.
        """
        return tool.output().count("SIGHUP: the certificate is the same") == 2

    def test_orphans(self) -> None:
        """
        Without the parent the workers end.
        """
        with serveProcess(self.home, *self.options()) as tool:
            pids = self.pidsOf(tool)
            self.served(tool)
            tool.signal(signal.SIGKILL)
            wait(lambda: not any(map(isAlive, pids.values())))

    def test_reactors(self) -> None:
        """
        Other reactors begin anew in each worker as well.
        """
        for name in ("asyncio", "select", "poll"):
            home = temporaryDirectory(self)
            command = [
                *(*TWISTD, f"--reactor={name}", "--pidfile=", "-n", "sslecho"),
                *("--listen", LISTEN, "--processes", "2"),
            ]
            ready = r"Waiting for a client to connect to .*port=(\d+)"
            with background(command, ready, environment=environment(home)) as tool:
                self.home = home
                for _ in range(3):
                    self.assertIn("Hello from", self.converse(int(tool.match[1])))
                tool.signal(signal.SIGTERM)
                self.assertEqual(tool.wait(timeout=10), -signal.SIGTERM)
                self.assertNotIn("Traceback", tool.output())

    def test_activated(self) -> None:
        """
        The socket may come from systemd.
        """
        command = [
            *(sys.executable, "-c", _ACTIVATOR, sys.executable, "-m", "txsslstream", "serve"),
            *("--listen", "systemd:domain=INET:index=0", *self.options()),
        ]
        ready = r"Listening on \S+:(\d+), forwarding"
        with background(command, ready, environment=environment(self.home)) as tool:
            self.served(tool)

    def test_endsAsItBegins(self) -> None:
        """
        A worker that is told to end before it listens to that ends in peace all the
        same.
        """
        self.assertEqual(runPython(_EARLY_END), "begins\nends in peace\n")

    def test_fileSystem(self) -> None:
        """
        A socket in the file system is shared as well; it survives a worker that
        ends in peace, and is gone in the end.
        """
        path = self.home / "socket"
        command = [
            *(sys.executable, "-m", "txsslstream", "serve", "--listen", f"unix:{path}"),
            *self.options(),
        ]
        with background(
            command, r"Listening on (\S+), forwarding", environment=environment(self.home)
        ) as tool:
            pids = self.pidsOf(tool)
            wait(lambda: heeds(pids["worker 1"], signal.SIGTERM))
            os.kill(pids["worker 1"], signal.SIGTERM)
            self.pidsOf(tool, 3)
            for _ in range(3):
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(5)
                    client.connect(str(path))
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            tool.signal(signal.SIGTERM)
            tool.wait(timeout=10)
            self.assertFalse(path.exists())

    def test_refused(self) -> None:
        """
        What is wrong is told once, by the parent, before anybody is forked.
        """
        port = occupied(self)
        twistd = ("--pidfile=", "-n", "sslecho", "--processes", "2", "--listen")
        serve = ("serve", *self.options(), "--listen")
        for run, listen, expected in (
            (runTwistd, f"tcp:{port}:interface={LOOPBACK}", "cannot listen on"),
            (runTwistd, "ssl:0:privateKey=x", "not ssl:"),
            (runSslstream, f"tcp:{port}:interface={LOOPBACK}", "cannot listen on"),
            (runSslstream, "haproxy:tcp:0", "not haproxy:"),
        ):
            arguments = (self.home, *twistd) if run is runTwistd else serve
            done: Any = run(*arguments, listen)
            self.assertEqual(done.returncode, 1, done)
            said = done.stdout + done.stderr
            self.assertEqual(len(re.findall(re.escape(expected), said)), 1, said)
            self.assertNotIn("begins: process", said)
        done = runSslstream("serve", "--processes", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("must be at least 1", done.stdout + done.stderr)
