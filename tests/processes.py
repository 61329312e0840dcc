"""
Child processes in memory, for the tests of streams with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.endpoints import ProcessEndpoint
from twisted.internet.error import ConnectionDone, ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txsslstream.testing import MemoryTransport


class Pipe:
    """
    Our end of one of a process's pipes.

    @ivar isPaused: whether nothing is wanted from it.
    """

    producer: Any = None
    isPaused = False
    connected = True

    def __init__(self, process: MemoryProcess, childFD: int) -> None:
        self.reactor = process.clock
        self._process = process
        self._childFD = childFD

    def pauseProducing(self) -> None:
        """
        Want nothing.
        """
        self.isPaused = True
        self._process.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Want something.
        """
        self.isPaused = False
        self._process.transport.resumeProducing()

    def connectionLost(self, reason: Failure) -> None:
        """
        It is gone.
        """
        assert self.connected
        if self._childFD == 0:
            self._process.transport.abortConnection()
        self._process.lost(self._childFD)


class _Output(Protocol):
    """
    What the process writes to its standard output.
    """

    def __init__(self, process: MemoryProcess) -> None:
        self._process = process

    def dataReceived(self, data: bytes) -> None:
        self._process.proto.childDataReceived(1, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._process.end(0 if reason.check(ConnectionDone) else 1)


@implementer(IProcessTransport)
class MemoryProcess:
    """
    A child process, told what happens to it by the test, as Twisted's C{Process}
    is by the system.

    @ivar proto: who is told.
    @ivar pipes: those that are open.
    @ivar transport: the connection that stands for its standard input and
        output.
    @ivar signals: what was sent to it.
    """

    def __init__(self, proto: Any, clock: Clock, transport: MemoryTransport) -> None:
        self.pid: int | None = 4711
        self.proto = proto
        self.clock = clock
        self.transport = transport
        self.signals: list[object] = []
        self.pipes = {childFD: Pipe(self, childFD) for childFD in range(3)}
        transport.protocol = _Output(self)
        proto.makeConnection(self)

    def lost(self, childFD: int) -> None:
        """
        A pipe is closed, by whomever.
        """
        pipe = self.pipes.pop(childFD, None)
        if pipe is not None:
            pipe.connected = False
            self.proto.childConnectionLost(childFD)

    def end(self, status: int = 0) -> None:
        """
        The process ends.
        """
        for childFD in list(self.pipes):
            self.lost(childFD)
        reason = ProcessTerminated(status) if status else ProcessDone(0)
        self.pid = None
        self.proto.processExited(Failure(reason))
        proto, self.proto = self.proto, None
        proto.processEnded(Failure(reason))

    def write(self, data: bytes) -> None:
        """
        Write to its standard input.
        """
        if 0 in self.pipes:
            self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        The same.
        """
        self.write(b"".join(data))

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """
        Write to any of its descriptors.
        """
        assert childFD == 0
        self.write(data)

    def loseConnection(self) -> None:
        """
        Close all pipes.
        """
        for childFD in range(3):
            self.closeChildFD(childFD)

    def closeChildFD(self, descriptor: int) -> None:
        """
        Close any of its descriptors.
        """
        (self.closeStdin, self.closeStdout, self.closeStderr)[descriptor]()

    def closeStderr(self) -> None:
        """
        Close it in a turn of its own.
        """
        if 2 in self.pipes:
            self.clock.callLater(0, self.lost, 2)

    def closeStdin(self) -> None:
        """
        Close it once everything is written.
        """
        if 0 in self.pipes:
            self.transport.loseConnection()

    def closeStdout(self) -> None:
        """
        Close it in a turn of its own.
        """
        if 1 in self.pipes:
            self.clock.callLater(0, self.lost, 1)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Have somebody write to its standard input.
        """
        if 0 in self.pipes:
            self.pipes[0].producer = producer
            self.transport.registerProducer(producer, streaming)
        else:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """
        Do not any more.
        """
        if 0 in self.pipes:
            self.pipes[0].producer = None
            self.transport.unregisterProducer()

    def signalProcess(self, signalID: str | int) -> None:
        """
        Note a signal.
        """
        self.signals.append(signalID)

    def getPeer(self) -> Any:
        """
        As Twisted's.
        """
        raise NotImplementedError

    getHost = getPeer


class Parent(ProcessProtocol):
    """
    Writes down what it is told of a process.

    @ivar events: what was called, in order.
    @ivar received: what came from which descriptor.
    """

    transport: Any

    def __init__(self) -> None:
        self.events: list[str] = []
        self.received: dict[int, bytes] = {}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.received[childFD] = self.received.get(childFD, b"") + data

    def childConnectionLost(self, childFD: int) -> None:
        self.events.append(f"lost {childFD}")

    def processExited(self, reason: Failure) -> None:
        self.events.append("exited")

    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value
        self.events.append(f"ended {error.exitCode}")


class Spawner:
    """
    A reactor that has processes.

    @ivar process: the one that it has made.
    """

    process: MemoryProcess

    def __init__(self, clock: Clock, transport: MemoryTransport) -> None:
        self._clock = clock
        self._transport = transport

    def spawnProcess(self, protocol: Any, *_: object) -> MemoryProcess:
        """
        Make one.
        """
        self.process = MemoryProcess(protocol, self._clock, self._transport)
        return self.process

    def endpoint(self) -> ProcessEndpoint:
        """
        An endpoint that makes one.
        """
        return ProcessEndpoint(self, "/bin/program")
