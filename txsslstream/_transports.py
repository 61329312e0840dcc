# -*- test-case-name: tests.test_transports -*-
"""
What is asked of transports of any kind, although not every one knows it.
"""

from __future__ import annotations

from typing import Any, cast

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
