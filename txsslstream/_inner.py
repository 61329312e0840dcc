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

from .errors import InvalidOperationError


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
        @raise InvalidOperationError: it has a stream or a producer.
        """
        if getattr(transport, "TLS", False) and isinstance(transport.protocol, ProtocolWrapper):
            # After Twisted's startTLS the transport writes through its protocol.
            transport = transport.protocol
        # A protocol wrapper delivers to what it wraps, whatever else it has.
        self._slot = "wrappedProtocol" if isinstance(transport, ProtocolWrapper) else "protocol"
        if getattr(transport, self._slot, None) is None:
            raise TypeError(f"not a connected transport: {transport!r}")
        if isinstance(getattr(transport, self._slot), InnerStream):
            raise InvalidOperationError("another stream has the transport")
        if getattr(transport, "producer", None) is not None:
            raise InvalidOperationError("the transport has a producer: unregister it first")
        self.inner = transport
        self._leftOpen = _LeftOpen(self) if leaveOpen else None
        self._clock = clock
        self._lost: Callable[[Failure], None] | None = lost
        self._early = bytearray()
        self._isPaused = False
        self._isGoingBack = False
        self._target: Any = None
        self._original = getattr(transport, self._slot)
        setattr(transport, self._slot, self)

    def connectTo(self, target: Any) -> None:
        """
        Let a protocol have the transport, with what has come so far.
        """
        self._target = target
        target.makeConnection(self._leftOpen or self.inner)
        early = self._takeEarly()
        if early:
            target.dataReceived(early)

    def _takeEarly(self) -> bytes:
        early, self._early = bytes(self._early), bytearray()
        if self._isPaused:
            self._isPaused = False
            self.inner.resumeProducing()
        return early

    def feed(self, data: bytes) -> None:
        """
        Put bytes in front that came before the stream was there.
        """
        self._early += data

    def dataReceived(self, data: bytes) -> None:
        """
        Pass bytes on, or keep them.
        """
        if self._target is not None and not self._isGoingBack:
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
        if not self._isGoingBack:
            self._isGoingBack = True
            self._clock.callLater(0, self._handBack)

    def _handBack(self) -> None:
        if self._original is None:
            # It was lost meanwhile.
            return
        trailing = b"" if self._target is None else self._target.takeTrailing()
        trailing += self._takeEarly()
        if self._leftOpen is not None:
            self._leftOpen.stopProducer()
        setattr(self.inner, self._slot, self._original)
        self._original = None
        self._lose(Failure(ConnectionDone("the stream was closed")))
        if trailing:
            # By now the transport may be another stream's.
            getattr(self.inner, self._slot).dataReceived(trailing)

    def close(self) -> None:
        """
        End it without anybody having been connected.
        """
        (self._leftOpen or self.inner).loseConnection()

    def abort(self) -> None:
        """
        The same at once.
        """
        abort(self._leftOpen or self.inner)


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
        self._producer: Any = None

    def loseConnection(self) -> None:
        self._stream.giveBack()

    def abortConnection(self) -> None:
        self._stream.giveBack()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._stream.inner.registerProducer(producer, streaming)
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        self._stream.inner.unregisterProducer()

    def stopProducer(self) -> None:
        """
        Do what a transport does at its end.
        """
        producer = self._producer
        if producer is not None:
            self.unregisterProducer()
            producer.stopProducing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream.inner, name)
