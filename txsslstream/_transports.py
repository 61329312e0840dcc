# -*- test-case-name: tests.test_transports -*-
"""
What is asked of transports of any kind, although not every one knows it.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure


def defaultClock(transport: Any) -> IReactorTime:
    """
    @return: the reactor that serves a transport.
    """
    clock = getattr(transport, "reactor", None)
    if clock is None:
        from twisted.internet import reactor as clock
    return cast(IReactorTime, clock)


def unsentBytes(transport: Any) -> int:
    """
    @return: how many bytes a transport still has to send, as far as it tells;
        only good to see progress.
    """
    pipe = _pipe(transport)
    outgoing = transport if pipe is None else pipe
    size: int = getattr(outgoing, "_tempDataLen", 0) - getattr(outgoing, "offset", 0)
    return size + len(getattr(outgoing, "dataBuffer", b""))


def abort(transport: Any) -> None:
    """
    Abort a transport, or close it if it knows nothing faster.
    """
    if hasattr(transport, "abortConnection"):
        transport.abortConnection()
        return
    # Without its writer, C{StandardIO} does not end when it is closed.
    pipe = _pipe(transport) or getattr(transport, "_reader", None)
    transport.loseConnection()
    if pipe is not None:
        cut(pipe)


def cut(pipe: Any) -> None:
    """
    Close, in a turn of its own, a pipe that would wait for somebody to read
    what was written to it.
    """

    def lose() -> None:
        if pipe.connected:
            pipe.connectionLost(Failure(ConnectionAborted()))

    defaultClock(pipe).callLater(0, lose)


def _pipe(transport: Any) -> Any:
    """
    @return: what is written to, if a transport consists of two pipes
        (C{StandardIO}).
    """
    return getattr(transport, "_writer", None)


class Socket:
    """
    A TCP connection of Twisted's very own: what is known of no other transport,
    nor of a class that is made from it.
    """

    #: As much as L{offer} takes, in bytes, before the reactor has had a turn for
    #: others.
    BUDGET = 512 * 1024

    #: As much as is read at once, in bytes, where much is read: more than this
    #: the C library would give back to the system after every read.
    BULK = 124 * 1024

    __slots__ = ("_left", "_transport")

    def __init__(self, transport: tcp.Connection) -> None:
        self._transport = transport
        self._left = self.BUDGET

    def offer(self, data: memoryview) -> int:
        """
        Send at once, unless something else has to be sent first or it is the
        turn of others.

        @return: how many bytes were taken; the others are to be written, which
            also tells of whatever went wrong here.
        """
        transport: Any = self._transport
        if (
            transport.dataBuffer
            or transport._tempDataLen
            or not transport.connected
            or transport._aborting
            or transport._writeDisconnected
            or transport.TLS
        ):
            return 0
        if self._left <= 0:
            # What is written now will be sent by the reactor, and until then
            # nothing is taken here.
            self._left = self.BUDGET
            return 0
        taken = transport.writeSomeData(data)
        if not isinstance(taken, int):
            return 0
        self._left -= taken
        return taken

    def readMuch(self) -> None:
        """
        Read more at once.  This is as well how much may be unsent before a
        producer is paused.
        """
        self._transport.bufferSize = self.BULK

    def readLittle(self) -> None:
        """
        Read as much at once as others do.
        """
        self._transport.bufferSize = type(self._transport).bufferSize


def socketOf(transport: object) -> Socket | None:
    """
    @return: L{None} for anything but exactly Twisted's own.
    """
    return Socket(transport) if type(transport) in (tcp.Client, tcp.Server) else None  # type: ignore[arg-type]
