# -*- test-case-name: tests.test_traffic -*-
"""
How a TLS protocol gets records to its transport, and what it keeps meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ._gathering import Gatherer, NoMore, Octets
from ._openssl import growOutput, keepBuffer, renewBuffers, send, takeOutput, takeUnread
from ._patience import Patience
from ._transports import Socket, abort, socketOf, unsentBytes
from ._trimming import Trimmer, trimmerOf
from .inspection import InspectableProtocol

#: Chunks of this size, in bytes, make what OpenSSL reads from and writes to grow.
LARGE = 1 << 12

#: What of a connection is large.
_READING, _WRITING = 1, 2

#: Chunks of more than this make what it writes to grow more than once.
_SMALL_WRITE = 1 << 14

#: As much as OpenSSL gets at once, in bytes.
_WRITE_SIZE = 1 << 16


class TrafficProtocol(InspectableProtocol):
    """
    A TLS protocol that sends.

    @ivar handsOverDirectly: whether what is encrypted goes straight to the
        socket of a TCP connection of Twisted's own when nothing waits in front
        of it, instead of in another turn of the reactor.
    @ivar shutdownTimeout: how long the peer may take to answer
        C{close_notify}, in seconds, or L{None}.  The time starts anew as long
        as it still takes data that was written before.
    @ivar _isFlowing: whether nothing has to be looked at before data goes in or
        out: L{true<bool>} from the authentication until anything of the end
        begins, if nobody can be asked in between.  Looking at one attribute
        instead of at five is much less for small messages: C{__getattr__}, which
        Twisted's wrappers have, makes each of them slow.
    """

    handsOverDirectly: bool = True
    shutdownTimeout: float | None = 5

    #: What L{txsslstream._trimming} knows of it.
    notedIn: object = None
    trimmedIn: object = None

    transport: Any
    _isFlowing = False
    _large = 0
    _reauthentication: Any = None
    _offer: Callable[[memoryview], int] | None = None
    _socket: Socket | None = None
    _trimmer: Trimmer | None = None
    _patience: Patience | None = None

    def __init__(self, factory: Any, wrappedProtocol: Any, _connectWrapped: bool = True) -> None:
        super().__init__(factory, wrappedProtocol, _connectWrapped)
        self._aggregator: Any = Gatherer(self._sendGathered, factory._clock, self._abortFor)
        self.write = self._aggregator.write  # type: ignore[method-assign]

    def _takeNoMore(self) -> None:
        """
        The application has ended its side, though that cannot be said yet.
        """
        self._aggregator = NoMore(self._sendGathered, self.factory._clock, self._abortFor)
        self.write = self._aggregator.write  # type: ignore[method-assign]

    def _findSocket(self) -> None:
        """
        There is a transport.
        """
        self._socket = socketOf(self.transport)
        if self._socket is not None and self.handsOverDirectly and self.transport.connected:
            # Or what is handed over would wait in the kernel until the peer has
            # acknowledged what was before.
            self.transport.setTcpNoDelay(True)
            self._offer = self._socket.offer

    def _beginTraffic(self) -> None:
        """
        From now on there is data to send and to receive.
        """
        self._trimmer = trimmerOf(self.factory._clock)
        # What only later ones have, Python's objects of a class do not share: it
        # would be 1.3 KiB for each.
        self._large = 0
        # The handshake has left something behind, too.
        self._grown()

    def _grown(self) -> None:
        trimmer = self._trimmer
        if trimmer is not None and trimmer.round is not self.notedIn:
            trimmer.note(self)

    def _muchComes(self) -> None:
        """
        A whole read of the transport's has come.
        """
        if not self._large & _READING:
            self._large |= _READING
            keepBuffer(self._tlsConnection)
            if self._socket is not None:
                self._socket.readMuch()

    def trim(self) -> None:
        """
        Give back what memory is only used for much traffic.
        """
        if self._tlsConnection is not None:
            renewBuffers(self._tlsConnection, bool(self._large & _READING))
        if self._socket is not None:
            self._socket.readLittle()
        self._large = 0

    def takeTrailing(self) -> bytes:
        """
        @return: what came behind the peer's C{close_notify}, which is not TLS
            any more.
        """
        if self._isReadingOver and self._tlsConnection is not None:
            return takeUnread(self._tlsConnection)
        return b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The inner transport is gone.
        """
        if self._trimmer is not None:
            self._trimmer.forget(self)
        super().connectionLost(reason)

    def _awaitShutdown(self) -> None:
        if self._patience is None:
            transport = self.transport
            self._patience = Patience(
                self.factory._clock,
                self.shutdownTimeout,
                lambda: unsentBytes(transport),
                lambda: abort(transport),
            )

    def flush(self) -> None:
        """
        Hand over to the inner transport what is kept back to be sent together,
        and what OpenSSL has to say.
        """
        if not self._aggregator.flush():
            self._flushSendBIO()

    def writeNow(self, data: Octets) -> None:
        """
        Write, and do not wait for more.
        """
        if not self._lostTLSConnection:
            self._aggregator.writeNow(data)

    def _abortFor(self, error: BaseException) -> None:
        """
        End it at once, and tell the application why.
        """
        self._fail(error)
        self.abortConnection()

    @property
    def _isSilent(self) -> bool:
        """
        Whether nothing of the application's may be sent, or not yet.
        """
        raise NotImplementedError

    def _broke(self, reasons: str) -> None:
        """
        Nothing can be sent any more.

        @param reasons: OpenSSL's words.
        """
        raise NotImplementedError

    def _sendGathered(self, data: Octets) -> None:
        size = len(data)
        if size >= LARGE:
            self._grown()
            if size > _SMALL_WRITE and not self._large & _WRITING:
                self._large |= _WRITING
                growOutput(self._tlsConnection)
        if self._isFlowing and size <= _WRITE_SIZE:
            self._sendPiece(data, data)
        # As Twisted's write(), which would be another call.
        elif not self.disconnecting or self._producer is not None:
            self._write(data)
        else:
            self._flushSendBIO()

    def _write(self, data: Octets) -> None:
        if self._authentication is None:
            super()._write(bytes(data))
            return
        isFree = self._reauthentication is None and not self._appSendBuffer
        if not self._handshakeDone or (not isFree and self._isSilent):
            self._bufferedWrite(bytes(data))
            return
        while data and not self._lostTLSConnection and not self._isWritingOver:
            isLast = len(data) <= _WRITE_SIZE
            piece = data if isLast else memoryview(data)[:_WRITE_SIZE]
            if not self._sendPiece(piece, data) or isLast:
                return
            data = memoryview(data)[_WRITE_SIZE:]

    def _sendPiece(self, piece: Octets, data: Octets) -> bool:
        """
        Send as much as OpenSSL gets at once.

        @param data: what begins with it, and is kept for later if it cannot be
            sent now.
        @return: whether to go on.
        """
        output, isSent, reasons = send(self._tlsConnection, piece, self._offer)
        if output:
            self.transport.write(output)
        if reasons:
            self._broke(reasons)
        elif not isSent:
            self._bufferedWrite(bytes(data))
        return isSent

    def _flushSendBIO(self) -> None:
        if self._authentication is None:
            super()._flushSendBIO()
        elif self._tlsConnection is not None:
            data = takeOutput(self._tlsConnection)
            if data:
                self._handOver(data)

    def _handOver(self, data: bytes) -> None:
        """
        Send what OpenSSL has to say.  That nobody waits for a turn of the reactor
        makes handshakes faster, and an alert is out even if the process ends at
        once.
        """
        # Where the peer has ended, a turn is waited for all the same: then the
        # transport closes.
        offer = None if self._isReadingOver else self._offer
        taken = 0 if offer is None else offer(memoryview(data))
        if taken < len(data):
            self.transport.write(data[taken:])
