# -*- test-case-name: tests.test_inner -*-
"""
Taking over a connected transport in mid-life, and giving it back.

A stream may be put on a transport that somebody else's protocol has been using:
from then on the bytes are the stream's, and the protocol hears only of the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure


def defaultClock(transport: Any) -> IReactorTime:
    """
    @return: the reactor that serves a transport.
    """
    clock = getattr(transport, "reactor", None)
    if clock is None:
        from twisted.internet import reactor as clock
    return cast(IReactorTime, clock)


class InnerStream(Protocol):
    """
    Stands where the transport's protocol was.  Bytes that come before anybody
    wants them are kept; beyond a limit the transport is paused.

    @ivar inner: the transport.
    @ivar isLost: why it is gone, or L{None}.
    """

    #: Bytes kept before the transport is paused.
    LIMIT = 64 * 1024

    def __init__(
        self,
        transport: Any,
        leaveOpen: bool,
        clock: IReactorTime,
        lost: Callable[[Failure], None],
    ) -> None:
        """
        @param lost: told of the end, after the protocol that L{connectTo} got.

        @raise TypeError: the transport has no protocol to take the place of.
        """
        # A protocol wrapper delivers to what it wraps, whatever else it has.
        self._slot = "wrappedProtocol" if isinstance(transport, ProtocolWrapper) else "protocol"
        if getattr(transport, self._slot, None) is None:
            raise TypeError(f"not a connected transport: {transport!r}")
        self.inner = transport
        self.isLost: Failure | None = None
        self._leaveOpen = leaveOpen
        self._clock = clock
        self._lost: Callable[[Failure], None] | None = lost
        self._early = bytearray()
        self._isPaused = False
        self._target: Any = None
        self._original = getattr(transport, self._slot)
        setattr(transport, self._slot, self)

    def connectTo(self, target: Any) -> None:
        """
        Let a protocol have the transport, with what has come so far.
        """
        self._target = target
        transport = _LeftOpen(self) if self._leaveOpen else self.inner
        target.makeConnection(transport)
        early, self._early = bytes(self._early), bytearray()
        if early:
            target.dataReceived(early)
        if self._isPaused:
            self._isPaused = False
            self.inner.resumeProducing()

    def feed(self, data: bytes) -> None:
        """
        Put bytes in front that came before the stream was there.
        """
        self._early += data

    def dataReceived(self, data: bytes) -> None:
        """
        Pass bytes on, or keep them.
        """
        if self._target is not None:
            self._target.dataReceived(data)
            return
        self._early += data
        if len(self._early) >= self.LIMIT and not self._isPaused:
            self._isPaused = True
            self.inner.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The transport is gone: tell the stream and the protocol whose transport
        it was.
        """
        self.isLost = reason
        original, self._original = self._original, None
        self._lose(reason)
        if original is not None:
            original.connectionLost(reason)

    def _lose(self, reason: Failure) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.connectionLost(reason)
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(reason)

    def giveBack(self) -> None:
        """
        The stream has come to its end, the transport goes on without it.  As
        with a transport that is closed, that is told in a turn of its own.
        """
        if self._original is not None:
            setattr(self.inner, self._slot, self._original)
            self._original = None
            self.isLost = Failure(ConnectionDone("the stream was closed"))
            self._clock.callLater(0, self._lose, self.isLost)

    def close(self) -> None:
        """
        End it without anybody having been connected.
        """
        if self._leaveOpen:
            self.giveBack()
        else:
            self.inner.loseConnection()

    def abort(self) -> None:
        """
        The same at once.
        """
        if self._leaveOpen:
            self.giveBack()
        else:
            abort(self.inner)


def abort(transport: Any) -> None:
    """
    Abort a transport, or close it if it knows nothing faster.
    """
    getattr(transport, "abortConnection", transport.loseConnection)()


class _LeftOpen:
    """
    A transport that is not closed but given back.
    """

    def __init__(self, stream: InnerStream) -> None:
        self._stream = stream

    def loseConnection(self) -> None:
        self._stream.giveBack()

    def abortConnection(self) -> None:
        self._stream.giveBack()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream.inner, name)
