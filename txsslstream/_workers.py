# -*- test-case-name: tests.test_workers -*-
"""
A server in several processes, for handshakes are work for more than one core.

The parent opens the listening sockets, once, and forks; what the workers share
is what it had made before: the sockets with their one queue, and the options
with their OpenSSL contexts, so that a ticket of one worker is good for all.
The parent itself lets nobody in.  It tells what the workers tell, puts another
in the place of one that dies, and ends them when it is ended.

One queue, and not a socket for each (C{SO_REUSEPORT}): whoever has time takes the
next client, and nobody is refused who was in the queue of a worker that died.

A reactor does not survive a fork: its descriptors, such as that of epoll, would
be shared.  A worker begins with one of the same kind of its own, and leaves that
of the parent alone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from twisted.application.service import Service
from twisted.internet import fdesc, tcp, unix
from twisted.internet.defer import Deferred, DeferredList, execute, maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.main import installReactor
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    globalLogPublisher,
)
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from ._deferreds import Occurrence

#: The kinds of descriptions whose sockets can be shared.
_KINDS = ("tcp", "tcp6", "unix", "systemd")

#: In seconds: how long a worker that ended early is not replaced, at first and at
#: most, and how long one has to live for that to begin anew.
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
EARLY = 10.0

#: In seconds: how long workers may take to end beyond what they were given, and
#: how often one is looked after that has no more to say.
GRACE = 5.0
_REAP_INTERVAL = 0.05

#: The longest text that a worker tells at once, in bytes.
_MOST_TEXT = 64 * 1024

#: Makes the service of one process, for a reactor, an endpoint, and whether it
#: says where it listens.
MakeService = Callable[[Any, IStreamServerEndpoint, bool], Service]


def checkShareable(description: str) -> None:
    """
    @param description: of where to listen.
    @raise ValueError: several processes cannot do that.
    """
    if not hasattr(os, "fork"):
        raise ValueError("--processes: this system has no fork()")
    kind = description.partition(":")[0].lower()
    if kind not in _KINDS:
        raise ValueError(
            f"--processes needs an address that can be shared ({', '.join(_KINDS)}), not {kind}:"
        )


class OpeningReactor:
    """
    A reactor for an endpoint of the parent: sockets are opened, and nobody is let
    in.

    @ivar ports: what was opened.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.ports: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def _opened(self, port: Any) -> Any:
        port.startListening()
        self.ports.append(port)
        return port

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        See C{IReactorTCP}.
        """
        return self._opened(_SharedTCPPort(port, factory, backlog, interface, self))

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Any:
        """
        See C{IReactorUNIX}.
        """
        return self._opened(_OpenedUNIXPort(address, factory, backlog, mode, self, wantPID))

    def adoptStreamPort(self, descriptor: int, family: int, factory: Any) -> Any:
        """
        See C{IReactorSocket}.
        """
        return self._opened(_adopted(self, descriptor, family, factory))

    def addReader(self, reader: object) -> None:
        """
        Whoever waits is the workers'.
        """

    removeReader = removeWriter = addReader


def _adopted(reactor: Any, descriptor: int, family: int, factory: Any) -> Any:
    if family == socket.AF_UNIX:
        return _SharedUNIXPort._fromListeningDescriptor(reactor, descriptor, factory)
    return _SharedTCPPort._fromListeningDescriptor(reactor, descriptor, family, factory)


class _Shared:
    """
    A port whose socket other processes have as well.
    """

    #: Closing must not end it for the others.
    _shouldShutdown = False

    @property
    def numberAccepts(self) -> int:
        """
        One client at a time: the next may be another worker's.
        """
        return 1

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        pass


class _SharedTCPPort(_Shared, tcp.Port):
    pass


class _OpenedUNIXPort(_Shared, unix.Port):
    pass


class _SharedUNIXPort(_Shared, unix.Port):
    """
    The file is somebody else's: it is neither for us to say who may use it, nor to
    remove it.
    """

    def startListening(self) -> None:
        factory: Any = self.factory
        factory.doStart()
        opened: Any = self._preexistingSocket
        self._preexistingSocket = None
        self.socket = opened
        self.fileno: Any = opened.fileno
        self.connected = True
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        tcp.Port.connectionLost(self, reason)


@implementer(IStreamServerEndpoint)
class SharedEndpoint:
    """
    Listens with a socket that the parent has opened.
    """

    def __init__(self, reactor: Any, opened: socket.socket) -> None:
        self._reactor = reactor
        self._socket = opened

    def listen(self, factory: Any) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}.
        """
        return execute(self._listen, factory)

    def _listen(self, factory: Any) -> Any:
        port = _adopted(self._reactor, self._socket.fileno(), self._socket.family, factory)
        port.startListening()
        return port


class _Worker(Int32StringReceiver):
    """
    A worker, as the parent knows it.  What comes from it are the lines of its log.

    @ivar name: what it is called in the log; who comes in its place has the same.
    @ivar began: when, in the reactor's time.
    """

    MAX_LENGTH = _MOST_TEXT + 1

    def __init__(self, number: int, pid: int, began: float, workers: Workers) -> None:
        self.number = number
        self.pid = pid
        self.began = began
        self.name = f"worker {number}"
        self._workers: Workers | None = workers

    def stringReceived(self, string: bytes) -> None:
        """
        It says something.
        """
        level = _LEVELS[min(string[0], len(_LEVELS) - 1)] if string else LogLevel.info
        text = string[1:].decode("utf-8", "replace")
        Workers._log.emit(level, "{name}: {text}", name=self.name, text=text)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It has ended, or is about to.
        """
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.silenced(self)


_LEVELS = tuple(LogLevel.iterconstants())


@implementer(IReadDescriptor, ILogObserver)
class _Lifeline:
    """
    A worker's end of what ties it to the parent: what is logged goes there, and
    its end is the parent's.
    """

    def __init__(self, line: socket.socket, cut: Callable[[], None]) -> None:
        self._socket = line
        self._cut = cut

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "worker"

    def doRead(self) -> None:
        # The parent says nothing: this is the end.
        self._cut()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor lets it go.
        """

    def __call__(self, event: LogEvent) -> None:
        """
        See C{ILogObserver}.
        """
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        level = _LEVELS.index(event.get("log_level", LogLevel.info))
        data = bytes((level,)) + text.encode("utf-8", "replace")[:_MOST_TEXT]
        # If that fails there is nobody to tell.
        with suppress(OSError):
            self._socket.sendall(len(data).to_bytes(4, "big") + data)


class Workers(Service):
    """
    The parent.

    @ivar workers: those that live.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        count: int,
        endpoint: Callable[[Any], Any],
        make: MakeService,
        drain: float,
        grace: float = 0,
    ) -> None:
        """
        @param count: how many workers.
        @param endpoint: makes the endpoint that opens the sockets, for a reactor.
        @param make: makes what each worker does.
        @param drain: how many seconds a worker may take to end.
        @param grace: how many seconds of these it goes on letting clients in.
        """
        self.workers: set[_Worker] = set()
        self._reactor = reactor
        self._count = count
        self._opening = OpeningReactor(reactor)
        self._front: Any = make(self._opening, endpoint(self._opening), True)
        self._make = make
        self._drain = drain
        self._grace = grace
        self._delays = dict.fromkeys(range(1, count + 1), 0.0)
        self._timers: set[IDelayedCall] = set()
        self._isStopping = False
        self._ended: Occurrence[None] = Occurrence()
        self._restoreSignal: Callable[[], object] | None = None

    def privilegedStartService(self) -> None:
        """
        Open the sockets.
        """
        super().privilegedStartService()
        self._front.privilegedStartService()

    def startService(self) -> None:
        """
        Fork.
        """
        super().startService()
        before = signal.signal(signal.SIGHUP, self._hungUp)
        self._restoreSignal = lambda: signal.signal(signal.SIGHUP, before)
        for number in self._delays:
            self._begin(number)

    def _hungUp(self, *signalAndFrame: object) -> None:
        self._reactor.callFromThread(self._tellAll, signal.SIGHUP)

    def _tellAll(self, what: signal.Signals) -> None:
        for worker in self.workers:
            os.kill(worker.pid, what)

    def _begin(self, number: int) -> None:
        line: tuple[socket.socket, ...] = ()
        try:
            ours, theirs = line = socket.socketpair()
            # Until it is nobody's but the worker's: the parent's handler would take
            # what ends the worker for itself.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            try:
                pid = os.fork()
                if not pid:
                    self._work(ours, theirs, mask)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except OSError as e:
            for each in line:
                each.close()
            self._log.error("worker {number} cannot begin: {e}", number=number, e=str(e))
            self._replaceLater(number, LONGEST_DELAY)
            return
        theirs.close()
        worker = _Worker(number, pid, self._reactor.seconds(), self)
        self.workers.add(worker)
        try:
            with ours:
                fdesc.setNonBlocking(ours.fileno())
                self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, _Known(worker))
        except OSError as e:
            # Without the line it ends by itself, and nobody else tells us.
            self._log.error("{name} cannot be heard: {e}", name=worker.name, e=str(e))
            worker.connectionLost()
            return
        self._log.info("{name} begins: process {pid}", name=worker.name, pid=pid)

    # What becomes of the workers

    def silenced(self, worker: _Worker) -> None:
        """
        A worker says nothing any more.
        """
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if not pid:
            # It will not be long.
            self._reactor.callLater(_REAP_INTERVAL, self.silenced, worker)
            return
        self.workers.discard(worker)
        code = os.waitstatus_to_exitcode(status)
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        if self._isStopping:
            if code:
                self._log.warn("{name} has ended with {how}", name=worker.name, how=how)
            self._noteEnd()
            return
        delay = self._delayAfter(worker)
        self._log.error(
            "{name} (process {pid}) has ended with {how}; another begins in {delay} s",
            name=worker.name,
            pid=worker.pid,
            how=how,
            delay=delay,
        )
        self._replaceLater(worker.number, delay)

    def _delayAfter(self, worker: _Worker) -> float:
        isEarly = self._reactor.seconds() - worker.began < EARLY
        last = self._delays[worker.number]
        delay = min(max(last * 2, FIRST_DELAY), LONGEST_DELAY) if isEarly else 0.0
        self._delays[worker.number] = delay
        return delay

    def _replaceLater(self, number: int, delay: float) -> None:
        def replace() -> None:
            self._timers.discard(timer)
            self._begin(number)

        timer = self._reactor.callLater(delay, replace)
        self._timers.add(timer)

    def stopService(self) -> Deferred[Any]:
        """
        End all: close the sockets, have the workers end in peace, and kill those
        that do not in time.

        @return: a Deferred that fires with L{None} once they have ended.
        """
        super().stopService()
        self._isStopping = True
        restore, self._restoreSignal = self._restoreSignal, None
        if restore is not None:
            restore()
        while self._timers:
            self._timers.pop().cancel()
        closed = (
            deferLater(self._reactor, self._grace, self._close) if self._grace else self._close()
        )
        self._tellAll(signal.SIGTERM)
        timer = self._reactor.callLater(self._drain + GRACE, self._tellAll, signal.SIGKILL)
        self._noteEnd()

        def ended(_: object) -> None:
            if timer.active():
                timer.cancel()

        everything = DeferredList([closed, self._ended.when()], consumeErrors=True)
        return everything.addCallback(ended)

    def _close(self) -> Deferred[Any]:
        closing = [maybeDeferred(port.stopListening) for port in self._opening.ports]
        return DeferredList(closing, consumeErrors=True)

    def unable(self) -> Any:
        """
        @return: see L{Attended<txsslstream._attended.Attended>}.
        """
        return self._front.unable() if self.workers else "no worker is there"

    def _noteEnd(self) -> None:
        if self._isStopping and not self.workers:
            self._ended.happened(None)

    # What a worker does

    def _work(
        self, parents: socket.socket, line: socket.socket, mask: set[int | signal.Signals]
    ) -> NoReturn:
        """
        Be a worker; this never returns.

        @param parents: the parent's end of the line.
        @param mask: which signals are to be blocked.
        """
        status = 1
        try:
            parents.close()
            self._forgetParent()
            reactor = freshReactor(self._reactor)
            self._run(reactor, line, mask)
            status = 0
        except BaseException:
            self._log.failure("the worker could not go on")
        finally:
            os._exit(status)

    def _forgetParent(self) -> None:
        for each in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(each, signal.SIG_DFL)
        # An interrupt from the keyboard comes to all, and the parent tells the
        # workers; a hangup may come before there is something to read again.
        for each in (signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._letGo()
        for observer in tuple(globalLogPublisher._observers):
            globalLogPublisher.removeObserver(observer)

    def _letGo(self) -> None:
        """
        Close what is the parent's alone: what ties other workers to it, or they
        would not notice its end, and where it is asked how it is.
        """
        for each in self._reactor.getReaders():
            opened = getattr(each, "socket", None)
            if opened is not None:
                opened.close()

    def _run(self, reactor: Any, line: socket.socket, mask: set[int | signal.Signals]) -> None:
        def cut() -> None:
            reactor.removeReader(lifeline)
            _end(reactor)

        def heed() -> None:
            signal.signal(signal.SIGTERM, lambda *_: _stopSoon(reactor))
            # Whoever was to end before, too, lets clients in for as long as it is given.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        lifeline = _Lifeline(line, cut)
        globalLogPublisher.addObserver(lifeline)
        reactor.addReader(lifeline)
        for port in self._opening.ports:
            service = self._make(reactor, SharedEndpoint(reactor, port.socket), False)
            service.privilegedStartService()
            # It listens by another descriptor, and when that is closed nobody is to
            # come into a queue that only this one keeps.
            port.socket.close()
            service.startService()
            reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
        reactor.callWhenRunning(heed)
        reactor.run()


def _stopSoon(reactor: Any) -> None:
    """
    We are to end: whoever tells that to all processes tells it a second time
    through the parent.
    """

    def stop() -> None:
        with suppress(ReactorNotRunning):
            reactor.stop()

    reactor.callFromThread(stop)


def freshReactor(parents: Any) -> Any:
    """
    @param parents: the reactor of the process that this one was forked from.
    @return: another of its kind, installed in its place.
    """
    if "twisted.internet.asyncioreactor" in sys.modules:
        import asyncio

        # This reactor has asyncio's loop, which is the parent's.
        asyncio.set_event_loop(asyncio.new_event_loop())
    reactor = type(parents)()
    del sys.modules["twisted.internet.reactor"]
    installReactor(reactor)
    return reactor


def _end(reactor: Any) -> None:
    """
    The parent is gone.
    """
    try:
        reactor.stop()
    except ReactorNotRunning:
        # We were to end in peace, and somebody has lost patience.
        os._exit(1)


class _Known(Factory):
    """
    Has one worker connected.
    """

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker

    def buildProtocol(self, addr: object) -> _Worker:
        return self._worker
