# -*- test-case-name: tests.test_protocol -*-
"""
TLS as a protocol around a protocol.

L{SslStreamProtocol} is Twisted's own TLS protocol with two lives.  Given one of
this package's options it authenticates first: the wrapped protocol is connected
once the peer is accepted and hears nothing of a connection that was refused,
records take a path without exceptions, closing is bounded, and truncation is
told from an orderly end.  Given any of Twisted's own connection creators it
behaves like C{twisted.protocols.tls}, method for method, and adds the security
properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import classImplements, providedBy
from zope.interface.declarations import Provides

from ._deferreds import forgetFrames
from ._negotiation import NoConnectionYet, negotiating
from ._openssl import (
    hasUnread,
    keepResumable,
    receive,
    sendCloseNotify,
    takeOutput,
)
from ._processes import isProcess, wireTo
from ._traffic import LARGE
from ._transports import abort
from .admission import Admission
from .asking import AskingProtocol
from .authentication import Authentication, Owner
from .chain import REFUSALS
from .crossing import Received
from .errors import (
    AuthenticationError,
    InvalidOperationError,
    TlsError,
    TruncationError,
)
from .options import (
    AuthenticationOptions,
    LocalCertificateSelectionCallback,
    ServerOptionsSelection,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)
from .records import RecordBoundary
from .states import WIRE_TRANSITIONS, WireState, checkedTransition

if TYPE_CHECKING:
    from twisted.protocols._tls_legacy import SomeConnectionCreator

classImplements(SslClientAuthenticationOptions, IOpenSSLClientConnectionCreator)
classImplements(SslServerAuthenticationOptions, IOpenSSLServerConnectionCreator)
classImplements(ServerOptionsSelection, IOpenSSLServerConnectionCreator)


#: What a transport reads at once, in bytes, until there is much to read.
_READ_SIZE = 1 << 16

_STARVED = Received.starved


class SslStreamProtocol(AskingProtocol):
    """
    A TLS connection around C{wrappedProtocol}, and its transport.

    @ivar admission: is released when the connection is authenticated or gone.
    @ivar handshakeTimeoutOverride: a time-out, in a tuple, to use instead of
        that of the options.
    @ivar localCertificateSelectionCallback: a server's; see
        L{Authentication.__init__}.
    """

    admission: Admission | None = None
    handshakeTimeoutOverride: tuple[float | None] | None = None
    localCertificateSelectionCallback: LocalCertificateSelectionCallback | None = None

    _log = Logger()
    _isWrappedConnected = True
    _boundary: RecordBoundary | None = None

    # Connecting

    def connectionFromOptions(self, options: AuthenticationOptions | ServerOptionsSelection) -> Any:
        """
        Choose the life that authenticates.  Called through the options by the
        factory, before there is a transport.

        @return: the OpenSSL connection for the base class, or something in its
            place if there is something to choose first.
        """
        options = negotiating(options, self.factory.wrappedFactory)
        self._authentication = Authentication(
            options,
            self.callbackSender or self,
            self.factory._clock,
            handshakeTimeout=self.handshakeTimeoutOverride,
            localCertificateSelectionCallback=self.localCertificateSelectionCallback,
        )
        self._isWrappedConnected = not self._connectWrapped
        self._connectWrapped = False
        if self._authentication.hello is not None:
            return NoConnectionYet()
        self._equipped(b"")
        return self._tlsConnection

    def _equipped(self, received: bytes) -> None:
        assert self._authentication is not None
        if not self._authentication.options.requireCloseNotify:
            self._boundary = RecordBoundary()
            self._boundary.feed(received)
        self._tlsConnection = self._authentication.engine.connection

    def makeConnection(self, transport: Any) -> None:
        """
        Begin.  A connection creator that raises ends the connection.
        """
        try:
            transport = wireTo(transport) if isProcess(transport) else transport
            self._tlsConnection = self.factory._creatorCallable(self)
        except BaseException:
            self._log.failure("no TLS connection could be made")
            self._isWrappedConnected = False
            self._fail(InvalidOperationError("no TLS connection could be made: see the log"))
            abort(transport)
            return
        try:
            self._connect(transport)
        except BaseException as e:
            if self._authentication is None:
                raise
            # Such as for lack of memory: no time-out would end it.
            self._log.failure("no handshake could be begun")
            self._authentication.broke(e)
            self._fail(e)
            abort(transport)

    def _connect(self, transport: Any) -> None:
        self._appSendBuffer: list[bytes] = []
        # All at once: one after the other, as Twisted's own does it, each takes
        # the place of the one before.  As directlyProvides(), but known at once.
        self.__provides__ = Provides(type(self), providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)
        if self._connectWrapped:
            self.wrappedProtocol.makeConnection(self)
        self._checkHandshakeStatus()

    def _checkHandshakeStatus(self) -> None:
        if self._authentication is None:
            super()._checkHandshakeStatus()
            if self._handshakeDone and not self._authenticated.hasHappened:
                self._release()
                self._authenticated.happened(None)
        elif self._state is WireState.fresh:
            if self._authentication.hello is not None:
                self._tlsConnection = None
            self._findSocket()
            self._authentication.begin(
                Owner(self._handOver, self._equipped, self._moved, self._authenticationFinished)
            )

    def _moved(self, state: WireState) -> None:
        if state is not self._state:
            self._state = checkedTransition(WIRE_TRANSITIONS, self._state, state)

    def _release(self) -> None:
        if self.admission is not None:
            self.admission.release()

    def _authenticationFinished(self, error: AuthenticationError | None) -> None:
        try:
            self._conclude(error)
        except BaseException as e:
            # This may run in the Deferred of a decision, where nobody would
            # hear of it and nothing would end the connection.
            self._log.failure("the application failed as it was connected")
            self._fail(error or e)
            self._authenticated.failed(error or e)
            self.abortConnection()

    def _conclude(self, error: AuthenticationError | None) -> None:
        self._release()
        if self._hasPausedTransport:
            self._hasPausedTransport = False
            self.transport.resumeProducing()
        if error is not None:
            if not self._authenticated.isObserved:
                # By the class: a log event may be kept, and with it its source.
                said = {"peer": self.transport.getPeer(), "error": str(error)}
                SslStreamProtocol._log.info("TLS with {peer} failed: {error}", **said)
            self._fail(error)
            self._tlsShutdownFinished(None)
            # Last, for whoever hears of it may close or abort at once.
            self._authenticated.failed(error)
            return
        self._handshakeDone = True
        self._beginTraffic()
        if self._authentication is not None and self._authentication.mayBeAsked:
            self._expectQuestions(self._authentication)
        # What waits is sent first: to whom that matters need not be the fastest.
        self._isFlowing = not (self._reauthentication or self._boundary or self._appSendBuffer)
        outgoing = self._aggregator
        outgoing.isAwaited = True
        self._connectApplication()
        self._wakeUpEnds(outgoing)

    def _connectApplication(self) -> None:
        if not self._isWrappedConnected:
            self._isWrappedConnected = True
            self.wrappedProtocol.makeConnection(self)
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.handshakeCompleted()
        self._authenticated.happened(None)
        if self._tlsConnection is not None and not self._aborted:
            # Not in vain: a producer is resumed by that, whoever has paused it.
            self._sendWaiting()
            if self._authentication is None or hasUnread(self._tlsConnection):
                self._flushReceiveBIO()

    # Receiving

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the transport.
        """
        isFlowing = self._isFlowing
        if not isFlowing and not self._isRead(data):
            return
        if len(data) >= LARGE:
            self._grown()
            if len(data) >= _READ_SIZE:
                self._muchComes()
        outgoing = self._aggregator
        outgoing.isAwaited = True
        try:
            if isFlowing or self._reauthentication is None:
                self._read(*receive(self._tlsConnection, data))
            else:
                self._takeDeciding(data)
        finally:
            if not self._isFlowing:
                self._wakeUpEnds(outgoing)
            else:
                outgoing.sleep()
                output = b"" if outgoing.flush() else takeOutput(self._tlsConnection)
                if output:
                    self._handOver(output)

    def _wakeUpEnds(self, outgoing: Any) -> None:
        """
        The application has had its say.

        @param outgoing: what has gathered it.
        """
        outgoing.sleep()
        if not self._aborted and not outgoing.flush() and not self._lostTLSConnection:
            # There may be something to say without the application.
            self._flushUnlessDeciding()

    def _isRead(self, data: bytes) -> bool:
        """
        @return: whether these bytes are of a conversation that goes on; those
            for the handshake are used here.
        """
        if self._authentication is None or not self._handshakeDone:
            self._receiveEarly(data)
            return False
        if self._boundary is not None:
            self._boundary.feed(data)
        # What comes behind close_notify nobody will read.
        return not (self._isReadingOver or self._lostTLSConnection)

    def _receiveEarly(self, data: bytes) -> None:
        authentication = self._authentication
        if self._tlsConnection is None and authentication is None:
            # None could be made, and the transport has yet to notice its end.
            return
        if self._boundary is not None:
            self._boundary.feed(data)
        if authentication is None:
            super().dataReceived(data)
        elif not authentication.isFinished and not authentication.feed(data):
            self._hasPausedTransport = True
            self.transport.pauseProducing()

    def _flushReceiveBIO(self) -> None:
        if self._authentication is None:
            super()._flushReceiveBIO()
            return
        if self._lostTLSConnection:
            return
        if self._reauthentication is not None:
            self._reauthentication.receive()
        else:
            self._read(*receive(self._tlsConnection))
            # There may be an answer to what came.
            self._flushSendBIO()

    def _read(self, data: bytes, why: Received, reasons: str) -> None:
        authentication = self._authentication
        if authentication is not None:
            if authentication.engine.hasNews:
                authentication.keepSession()
            if authentication.engine.idleMessages and self._isStormy(authentication.engine, data):
                return
        if data and (self._isFlowing or not (self._isReadingOver or self._aborted)):
            self._hasReceivedData = True
            self.wrappedProtocol.dataReceived(data)
        # The application may have ended it all meanwhile.
        if why is _STARVED or self._lostTLSConnection or self._tlsConnection is None:
            return
        if why is Received.ended:
            self._peerEnded()
        else:
            self._broke(reasons)

    def _peerEnded(self) -> None:
        """
        The peer has sent C{close_notify}.
        """
        if self._isReadingOver:
            return
        self._isReadingOver = True
        self._isFlowing = False
        if self._reauthentication is not None:
            self._reauthentication.withdraw()
        wrapped = self.wrappedProtocol
        if not self.disconnecting and IHalfCloseableProtocol.providedBy(wrapped):
            wrapped.readConnectionLost()
            if not self._isWritingOver:
                return
        self._aggregator.flush()
        self._shutdownTLS()
        self._tlsShutdownFinished(None)

    def _broke(self, reasons: str) -> None:
        """
        The peer sent a fatal alert, or bytes that OpenSSL refuses.
        """
        assert self._authentication is not None
        engine = self._authentication.engine
        error: Exception | None = None
        if self._reauthentication is not None:
            error = self._reauthentication.error
        if error is not None:
            pass
        elif not self.isServer and not self._hasReceivedData and engine.alertReceived in REFUSALS:
            error = AuthenticationError(
                "the server refused this client", alert=engine.alertReceived
            )
        else:
            error = TlsError(
                f"the connection broke: {reasons}",
                alert=engine.alertReceived,
                alertSent=engine.alertSent,
            )
        self._fail(error)
        self._tlsShutdownFinished(None)

    def startTLS(self, *_: object) -> None:
        """
        C{ITLSTransport.startTLS} would reach the transport below.

        @raise InvalidOperationError: always.
        """
        raise InvalidOperationError(
            "there is TLS already: for TLS in TLS use txsslstream.startTLS() or SslStream"
        )

    # Closing

    def loseWriteConnection(self) -> None:
        """
        Send C{close_notify} behind what was written; reading goes on.
        """
        self._aggregator.flush()
        if self._authentication is None:
            self.transport.loseWriteConnection()
        elif self._handshakeDone and not self._isWritingOver:
            if not self._isDeciding:
                self._giveUpQuestions("the writing side was shut down")
            self._shutdownTLS()

    def loseConnection(self) -> None:
        """
        Send C{close_notify} behind what was written, and close the inner
        transport once the peer has answered, or after C{shutdownTimeout}
        without progress.  Before authentication it is given up.
        """
        authentication = self._authentication
        if authentication is not None and not authentication.isFinished:
            authentication.cancel("the connection was closed before it was authenticated")
            return
        if authentication is not None:
            self._giveUpQuestions("the connection was closed")
            if self._lostTLSConnection:
                return
            if self._state is WireState.open:
                self._moved(WireState.closing)
        super().loseConnection()
        if self._reauthentication is not None and self._appSendBuffer and self._producer is None:
            # Another handshake has to end before it can be sent.
            self._awaitShutdown()

    def _shutdownTLS(self) -> None:
        if self._authentication is None:
            super()._shutdownTLS()
            return
        if self._tlsConnection is None or self._lostTLSConnection:
            return
        isComplete = None if self._isSilent else sendCloseNotify(self._tlsConnection)
        self._closesLater = isComplete is None
        if self._closesLater:
            self._takeNoMore()
        self._isWritingOver = self._isWritingOver or not self._closesLater
        self._flushSendBIO()
        if isComplete or self._isReadingOver:
            self.transport.loseConnection()
        if self.disconnecting and self.connected:
            self._awaitShutdown()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        if self._authentication is None:
            super()._tlsShutdownFinished(reason)
            return
        self._isFlowing = False
        producer, self._producer = self._producer, None
        if producer is not None:
            # The inner transport would wait for it before it closes.
            self.transport.unregisterProducer()
        super()._tlsShutdownFinished(None)
        if self.connected:
            self._awaitShutdown()
        if producer is not None:
            producer.stopProducing()

    def abortConnection(self) -> None:
        """
        End it at once.  The peer is told nothing, so that it does not take what
        it got for all there was.
        """
        authentication = self._authentication
        if authentication is None:
            super().abortConnection()
            return
        self._aborted = True
        self.disconnecting = True
        try:
            self._giveUpQuestions("the connection was aborted", tellsPeer=False)
            authentication.cancel("the connection was aborted before it was authenticated", False)
        finally:
            if self.connected:
                abort(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The inner transport is gone.
        """
        authentication = self._authentication
        self._release()
        self._questionsLost(reason)
        if authentication is not None:
            self._noteEnd(authentication, reason)
            if self._handshakeDone and not isinstance(self._failure, TlsError):
                keepResumable(self._tlsConnection)
            authentication.watch.closed()
            self._lostTLSConnection = True
            self._isFlowing = False
        elif self._handshakeDone:
            self._securitySoFar()
        # Last, for a handshake that ends now has started it.
        if self._patience is not None:
            self._patience.end()
        if not self._authenticated.hasHappened:
            self._authenticated.failed(self._reason or reason)
        if self in self.factory.protocols:
            if not self._isWrappedConnected:
                self.wrappedProtocol = Protocol()
            super().connectionLost(reason)
        # These would be part of a cycle.
        self._producer = None
        self.callbackSender = None
        forgetFrames(self._failure)
        self._closed.happened(None)

    def _noteEnd(self, authentication: Authentication, reason: Failure) -> None:
        if not authentication.isFinished:
            authentication.connectionLost(reason)
        elif self._state is WireState.open and not self._aborted and not self._isReadingOver:
            isInside = self._boundary is not None and self._boundary.isInside
            if (
                authentication.options.requireCloseNotify
                or isInside
                or not reason.check(ConnectionDone)
            ):
                what = "inside a record" if isInside else "without close_notify"
                self._fail(TruncationError(f"the connection ended {what}"))
        if self._state in (WireState.open, WireState.closing):
            self._moved(WireState.closed if self._failure is None else WireState.failed)


class SslStreamFactory(TLSMemoryBIOFactory):
    """
    Makes an L{SslStreamProtocol} around each protocol of another factory.

    Its first argument may be L{SslClientAuthenticationOptions} (with C{isClient}
    true), L{SslServerAuthenticationOptions} or L{ServerOptionsSelection} (with
    C{isClient} false), or anything that C{TLSMemoryBIOFactory} takes.
    """

    protocol = SslStreamProtocol

    if TYPE_CHECKING:
        # Not at run time: Twisted tells its caller by the depth of the stack
        # where a deprecated creator came from.
        def __init__(
            self,
            contextFactory: (
                SomeConnectionCreator | AuthenticationOptions | ServerOptionsSelection
            ),
            isClient: bool,
            wrappedFactory: IProtocolFactory,
            clock: IReactorTime | None = None,
        ) -> None: ...

    def buildProtocol(self, addr: Any) -> SslStreamProtocol | None:  # type: ignore[override]
        """
        @return: the protocol, or L{None} if the wrapped factory refuses.
        """
        wrapped = self.wrappedFactory.buildProtocol(addr)
        return None if wrapped is None else self.protocol(self, wrapped)
