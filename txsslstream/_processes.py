# -*- test-case-name: tests.test_processes -*-
"""
A child process as a connection.

What it reads from its standard input is what we send, and what it writes to its
standard output is what we receive.  Everything else about the process stays the
business of whoever has started it: its other descriptors, and its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IProcessTransport,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from ._transports import cut, defaultClock

_STDIN, _STDOUT = 0, 1


@implementer(IAddress)
@dataclass(frozen=True)
class ProcessAddress:
    """
    Where a connection with a child process leads.

    @ivar pid: the process, or L{None} once it has ended.
    """

    pid: int | None


class _Former(Protocol):
    """
    Stands for a C{ProcessProtocol} where a connection has its protocol: that
    hears of the process's end from the process.
    """

    def __init__(self, processProtocol: Any) -> None:
        self._processProtocol = processProtocol

    def dataReceived(self, data: bytes) -> None:
        self._processProtocol.childDataReceived(_STDOUT, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See above.
        """


def isProcess(transport: object) -> bool:
    """
    @return: whether a transport is a process, and not what wraps one.
    """
    return IProcessTransport.providedBy(transport) and not isinstance(transport, ProtocolWrapper)


def wireTo(transport: Any) -> ProcessWire:
    """
    @param transport: a process, or what C{ProcessEndpoint} makes of it.
    @return: the connection with it, which is made at the first time.
    @raise TypeError: it has ended, lacks one of the pipes, or has a terminal
        instead, which would change what goes through.
    """
    process = getattr(transport, "_process", transport)
    former = getattr(process, "proto", None)
    pipes = getattr(process, "pipes", (_STDIN, _STDOUT))
    hasBoth = _STDIN in pipes and _STDOUT in pipes
    if former is None or not hasBoth or isinstance(process, FileDescriptor):
        raise TypeError(f"not a process with pipes to its standard input and output: {process!r}")
    if isinstance(former, ProcessWire):
        return former
    return ProcessWire(process, process is not transport)


@implementer(ITransport, IConsumer, IPushProducer)
class ProcessWire:
    """
    The connection with a process, and to the process, its protocol.

    The connection is over when the process has ended, for its reason.  It is
    closed by closing the process's standard input, once everything was written
    to it.  If then, or when it has closed its standard output, the process does
    not end, the connection is over without that, and what the process does is
    up to it.

    @ivar protocol: whose the connection is.
    """

    #: How long a process may take to end, in seconds.
    LINGERING = 1

    disconnecting = False
    connected = True

    def __init__(self, process: Any, isFromEndpoint: bool) -> None:
        """
        @param isFromEndpoint: whether its protocol is an adapter of
            C{ProcessEndpoint}: what that adapts is the protocol of the
            connection then, and hears of that's end instead of the process's.
        """
        self._process = process
        self._former = process.proto
        self._isFromEndpoint = isFromEndpoint
        self._clock = defaultClock(self._pipe(_STDOUT))
        self._lingering: IDelayedCall | None = None
        self._isAborted = False
        self._hasStdin = True
        self.protocol: Any = self._former.protocol if isFromEndpoint else _Former(self._former)
        process.proto = self

    def __getattr__(self, name: str) -> Any:
        # Such as C{pid} and C{signalProcess}.
        return getattr(self._process, name)

    # What the process tells

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """
        See C{IProcessProtocol}.
        """
        if childFD != _STDOUT:
            self._former.childDataReceived(childFD, data)
        elif self.connected:
            self.protocol.dataReceived(data)

    def childConnectionLost(self, childFD: int) -> None:
        """
        See C{IProcessProtocol}.
        """
        if childFD == _STDIN:
            self._hasStdin = False
            if self.disconnecting:
                self._linger()
        elif childFD == _STDOUT:
            self._process.closeStdin()
            self._linger()
        self._former.childConnectionLost(childFD)

    def processExited(self, reason: Failure) -> None:
        """
        See C{IProcessProtocol}.
        """
        self._former.processExited(reason)

    def processEnded(self, reason: Failure) -> None:
        """
        See C{IProcessProtocol}.
        """
        self._lose(reason)
        if not self._isFromEndpoint:
            self._former.processEnded(reason)

    def _linger(self) -> None:
        """
        One of the directions has ended: the process may be about to end.
        """
        if self.connected and self._lingering is None:
            seconds = 0 if self._isAborted else self.LINGERING
            self._lingering = self._clock.callLater(seconds, self._goOnWithout)

    def _goOnWithout(self) -> None:
        self._process.closeStdout()
        self._lose(Failure(ConnectionDone("the pipes to the process are closed")))

    def _lose(self, reason: Failure) -> None:
        lingering, self._lingering = self._lingering, None
        if lingering is not None and lingering.active():
            lingering.cancel()
        if self.connected:
            self.connected = False
            protocol, self.protocol = self.protocol, _Former(self._former)
            protocol.connectionLost(Failure(ConnectionAborted()) if self._isAborted else reason)

    # What is told to the process

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        self._process.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        See C{ITransport}.
        """
        self._process.writeSequence(data)

    @property
    def _writer(self) -> Any:
        return self._pipe(_STDIN)

    def _pipe(self, childFD: int) -> Any:
        return getattr(self._process, "pipes", {}).get(childFD)

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        if not self.disconnecting:
            self.disconnecting = True
            self._process.closeStdin()
            if not self._hasStdin:
                self._linger()

    def abortConnection(self) -> None:
        """
        Close the pipes at once; what is unwritten is lost.  The process is not
        killed.
        """
        self._isAborted = True
        self.loseConnection()
        if self._writer is not None:
            cut(self._writer)
        if self._lingering is not None:
            self._lingering.reset(0)

    def getPeer(self) -> ProcessAddress:
        """
        See C{ITransport}.
        """
        return ProcessAddress(self._process.pid)

    def getHost(self) -> ProcessAddress:
        """
        See C{ITransport}.
        """
        return self.getPeer()

    # Producing and consuming

    @property
    def producer(self) -> Any:
        """
        Who writes to the process, as C{FileDescriptor} tells it.
        """
        return getattr(self._writer, "producer", None)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        See C{IConsumer}.
        """
        self._process.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self._process.unregisterProducer()

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.  Nothing but the standard output is paused.
        """
        self._producing("pauseProducing")

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._producing("resumeProducing")

    def _producing(self, what: str) -> None:
        reader = self._pipe(_STDOUT)
        getattr(self._process if reader is None else reader, what)()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.loseConnection()
