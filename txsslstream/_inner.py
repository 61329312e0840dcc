# -*- test-case-name: tests.test_inner -*-
"""
Taking over a connected transport in mid-life, and giving it back.

A stream may be put on a transport that somebody else's protocol has been using:
from then on the bytes are the stream's, and the protocol hears only of the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ._slots import Slot
from ._transports import abort
from .errors import InvalidOperationError


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
        self._slot = slot = Slot(transport)
        if isinstance(slot.occupant, InnerStream):
            raise InvalidOperationError("another stream has the transport")
        slot.requireNoProducer()
        self.inner = slot.transport
        self._leftOpen = _LeftOpen(slot.transport, self._ended) if leaveOpen else None
        self._clock = clock
        self._lost: Callable[[Failure], None] | None = lost
        self._early = bytearray()
        self._isPaused = False
        self._isGoingBack = False
        self._isLetGo = False
        self._target: Any = None
        self._keep: Callable[[bytes | None], None] | None = None
        self._mayGiveBack: Callable[[], bool] | None = None
        self._original = slot.occupant
        slot.occupant = self

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
        target = self._target
        if target is not None and not self._isGoingBack:
            if not target.isReadingOver:
                target.dataReceived(data)
                return
            if self._leftOpen is None:
                # Nobody will ever want it.
                return
        self._early += data
        if len(self._early) >= self.LIMIT:
            # Again, if somebody has resumed it meanwhile.
            self._isPaused = True
            self.inner.pauseProducing()

    def keepTrailing(
        self, keep: Callable[[bytes | None], None], mayGiveBack: Callable[[], bool]
    ) -> None:
        """
        Do not deliver what is left over when the transport is given back.

        @param keep: called instead, after everybody else has heard of the end;
            with L{None} if the transport was not given back.
        @param mayGiveBack: asked whether it may be; otherwise it is aborted.
        """
        self._keep = keep
        self._mayGiveBack = mayGiveBack

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The transport is gone: tell the stream and the protocol whose transport
        it was.
        """
        original, self._original = self._original, None
        self._lose(reason)
        if original is not None:
            original.connectionLost(reason)
        self._leave(None)

    def _lose(self, reason: Failure) -> None:
        target, self._target = self._target, None
        try:
            if target is not None:
                target.connectionLost(reason)
        finally:
            lost, self._lost = self._lost, None
            if lost is not None:
                lost(reason)
        if self._leftOpen is not None:
            self._leftOpen.release()

    def _leave(self, trailing: bytes | None) -> bool:
        """
        @return: whether somebody has what is left over.
        """
        keep, self._keep, self._mayGiveBack = self._keep, None, None
        if keep is not None:
            keep(trailing)
        return keep is not None

    def letGo(self) -> None:
        """
        The stream's owner is done with it, too: a transport that is to be left
        open is given back as soon as the stream has ended.
        """
        self._isLetGo = True
        if self._leftOpen is not None and self._isOver:
            self.giveBack()

    def _ended(self) -> None:
        """
        The stream has ended.  If both sides have agreed on that, its owner may
        not know yet, and may want to have what comes behind it.
        """
        if self._isLetGo or not self._isOver:
            self.giveBack()

    @property
    def _isOver(self) -> bool:
        return self._target is not None and self._target.isOver

    def giveBack(self) -> None:
        """
        The transport goes on without the stream.  As with a transport that is
        closed, that is told in a turn of its own.
        """
        if not self._isGoingBack:
            self._isGoingBack = True
            self._clock.callLater(0, self._handBack)

    def _handBack(self) -> None:
        if self._original is None:
            # It was lost meanwhile.
            return
        if self._mayGiveBack is not None and not self._mayGiveBack():
            abort(self.inner)
            return
        trailing = b"" if self._target is None else self._target.takeTrailing()
        trailing += self._takeEarly()
        if self._leftOpen is not None:
            self._leftOpen.stopProducer()
        self._slot.occupant, self._original = self._original, None
        self._lose(Failure(ConnectionDone("the stream was closed")))
        if not self._leave(trailing) and trailing:
            # By now the transport may be another stream's.
            self._slot.occupant.dataReceived(trailing)

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


class _LeftOpen:
    """
    A transport that is not closed but given back.
    """

    def __init__(self, inner: Any, giveBack: Callable[[], None]) -> None:
        self._inner = inner
        self._giveBack: Callable[[], None] | None = giveBack
        self._producer: Any = None

    def loseConnection(self) -> None:
        if self._giveBack is not None:
            self._giveBack()

    abortConnection = loseConnection

    def release(self) -> None:
        """
        It is somebody else's, or lost.
        """
        self._giveBack = self._producer = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._inner.registerProducer(producer, streaming)
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        self._inner.unregisterProducer()

    def stopProducer(self) -> None:
        """
        Do what a transport does at its end.
        """
        producer = self._producer
        if producer is not None:
            self.unregisterProducer()
            producer.stopProducing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
