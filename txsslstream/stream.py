# -*- test-case-name: tests.test_stream -*-
"""
L{SslStream}: TLS as a stream of Deferreds.

The stream is the application of an L{SslStreamProtocol}: what that delivers is
kept until somebody reads, and the inner transport is paused when too much is
unread; what is written goes to it as long as the inner transport takes more,
and a write ends when that is so.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, overload

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from typing_extensions import Self
from zope.interface import implementer

from ._arguments import GivenToStream
from ._deferreds import Occurrence, again, anew, cancellable, forgetFrames
from ._inner import InnerStream
from ._patience import Patience
from ._transports import defaultClock, unsentBytes
from ._unwrapping import Unwrappable
from .certificates import SomeIdentities, SomeIdentity
from .channelbinding import Bindable, Channel
from .enums import EncryptionPolicy, SslProtocols
from .errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    InvalidOperationError,
    NotSupportedError,
    StreamClosedError,
    TlsError,
    TruncationError,
)
from .inspectable import ISslStream
from .options import (
    LocalCertificateSelectionCallback,
    RemoteCertificateValidationCallback,
    ServerOptions,
    ServerOptionsSelectionCallback,
    SslClientAuthenticationOptions,
    checkedTimeout,
)
from .protocol import SslStreamFactory, SslStreamProtocol
from .security import SecurityInfo, SecurityProperties


@implementer(IHalfCloseableProtocol)
class _Application(Protocol):
    """
    The protocol inside of the TLS protocol.  It is its producer, too.
    """

    def __init__(self, stream: SslStream) -> None:
        self._stream: SslStream | None = stream

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream._reader.received(data)

    def readConnectionLost(self) -> None:
        if self._stream is not None:
            self._stream._reader.ended(None)

    def writeConnectionLost(self) -> None:
        """
        Never called by a TLS protocol.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream._applicationLost(reason)

    def pauseProducing(self) -> None:
        if self._stream is not None:
            self._stream._writer.heldBack(True)

    def resumeProducing(self) -> None:
        if self._stream is not None:
            self._stream._writer.heldBack(False)

    def stopProducing(self) -> None:
        """
        The end is told by C{connectionLost}.
        """


@implementer(ISslStream)
class SslStream(Unwrappable, SecurityProperties, Bindable):
    """
    A TLS stream on any connected transport (.NET: C{SslStream}).

    Create it, authenticate it as one side or the other, then read and write.
    Every method that waits returns a Deferred, which may be awaited and
    cancelled.  One read and one write may be under way at a time.

    From the moment of its creation the stream owns what the transport receives.
    """

    def __init__(
        self,
        innerStream: Any,
        leaveInnerStreamOpen: bool = False,
        remoteCertificateValidationCallback: RemoteCertificateValidationCallback | None = None,
        localCertificateSelectionCallback: LocalCertificateSelectionCallback | None = None,
        encryptionPolicy: EncryptionPolicy = EncryptionPolicy.RequireEncryption,
        *,
        received: bytes = b"",
        clock: IReactorTime | None = None,
    ) -> None:
        """
        @param innerStream: a connected transport, also a child process, or
            another authenticated L{SslStream}.
        @param leaveInnerStreamOpen: whether closing the stream gives the
            transport back to the protocol that had it, instead of closing it.
        @param remoteCertificateValidationCallback: decides about the peer; see
            L{SslClientAuthenticationOptions}.
        @param localCertificateSelectionCallback: chooses our certificate.
        @param encryptionPolicy: whether the connection may go unencrypted.
        @param received: what the former protocol has received and not used.  It
            is taken as the beginning of the peer's TLS: whatever was put behind
            the command to start TLS in the clear fails the handshake.
        @param clock: for time-outs; by default the transport's reactor.

        @raise TypeError: C{innerStream} is not connected to a protocol.
        @raise Exception: it is an L{SslStream} on which one could not read and
            write now, for the reason why.
        """
        # First, for nothing may be taken over in vain.
        self._given = GivenToStream(
            remoteCertificateValidationCallback,
            localCertificateSelectionCallback,
            EncryptionPolicy(encryptionPolicy),
        )
        received = bytes(memoryview(received))
        unread = b""
        self._outer: SslStream | None = None
        self._innerStream = innerStream
        if isinstance(innerStream, SslStream):
            self._outer = innerStream
            clock = clock or innerStream._clock
            innerStream, unread = innerStream._lend()
        self._clock: IReactorTime = clock or defaultClock(innerStream)
        self._inner = InnerStream(innerStream, leaveInnerStreamOpen, self._clock, self._innerLost)
        self._inner.feed(unread + received)
        self._leaveInnerStreamOpen = leaveInnerStreamOpen
        self._protocol: SslStreamProtocol | None = None
        self._handshakeTimeout: tuple[float | None] | None = None
        self._shutdownTimeout: float | None = 5
        self._authenticated: Occurrence[None] = Occurrence()
        self._closed: Occurrence[None] = Occurrence()
        super().__init__(self._clock)
        self._isClosing = False
        self._brokenBy: BaseException | None = None
        self._isLent = False

    # Authentication

    def authenticateAsClient(
        self,
        targetHost: str | SslClientAuthenticationOptions,
        clientCertificates: SomeIdentities = (),
        enabledSslProtocols: SslProtocols = SslProtocols.None_,
        checkCertificateRevocation: bool = False,
    ) -> Deferred[SslStream]:
        """
        Authenticate as the client, and the server (RFC 8446 section 2; .NET:
        C{AuthenticateAsClientAsync}).

        In TLS 1.3 a client has finished before the server has judged its
        certificate: a refusal is then what the first read fails with.

        @param targetHost: the server's name or IP address, or all options.
        @param clientCertificates: what to show if the server asks.
        @param enabledSslProtocols: the permitted versions.
        @param checkCertificateRevocation: whether an unknown status refuses.

        @return: a Deferred that fires with this stream, or fails with
            L{AuthenticationError} (also after a lost connection, a time-out or
            a cancellation, by subclasses), L{InvalidOperationError},
            L{NotSupportedError} or L{ValueError}.
        """
        return self._authenticate(
            lambda: self._given.client(
                targetHost, clientCertificates, enabledSslProtocols, checkCertificateRevocation
            )
        )

    @overload
    def authenticateAsServer(
        self,
        serverCertificate: SomeIdentity | ServerOptions,
        clientCertificateRequired: bool = False,
        enabledSslProtocols: SslProtocols = SslProtocols.None_,
        checkCertificateRevocation: bool = False,
    ) -> Deferred[SslStream]: ...

    @overload
    def authenticateAsServer(
        self, serverOptionsSelectionCallback: ServerOptionsSelectionCallback, state: Any = None
    ) -> Deferred[SslStream]: ...

    def authenticateAsServer(self, *arguments: Any, **named: Any) -> Deferred[SslStream]:
        """
        Authenticate as the server, and perhaps the client (.NET:
        C{AuthenticateAsServerAsync}): with a certificate, with all options, or
        with a callback that chooses the options by the client's hello.

        @keyword serverCertificate: what to present, with its key, or all options.
        @keyword clientCertificateRequired: whether to ask the client for one.
        @keyword enabledSslProtocols: the permitted versions.
        @keyword checkCertificateRevocation: whether an unknown status of a
            client's certificate refuses.
        @keyword serverOptionsSelectionCallback: see
            L{txsslstream.ServerOptionsSelection}.
        @keyword state: what the callback is to get as its third argument.

        @return: as for L{authenticateAsClient}.
        """
        return self._authenticate(lambda: self._given.server(*arguments, **named))

    def _authenticate(
        self, makeOptions: Callable[[], SslClientAuthenticationOptions | ServerOptions]
    ) -> Deferred[SslStream]:
        if self._isClosing:
            return fail(StreamClosedError("the stream is closed"))
        if self._authenticated.error is not None:
            return fail(again(self._authenticated.error))
        if self._protocol is not None:
            return fail(InvalidOperationError("the stream has been authenticated before"))
        try:
            options = makeOptions()
        except Exception as e:
            return fail(e)
        isClient = isinstance(options, SslClientAuthenticationOptions)
        factory = SslStreamFactory(options, isClient, Factory(), self._clock)
        protocol = SslStreamProtocol(factory, _Application(self))
        protocol.callbackSender = self
        protocol.handshakeTimeoutOverride = self._handshakeTimeout
        protocol.localCertificateSelectionCallback = self._given.selection
        protocol.leaveInnerStreamOpen = self._leaveInnerStreamOpen
        protocol.shutdownTimeout = self._shutdownTimeout
        self._protocol = protocol
        protocol.whenAuthenticated().addCallback(
            lambda _: self._authenticated.happened(None)
        ).addErrback(self._authenticated.failed)
        authenticated = cancellable(self.whenAuthenticated, protocol.cancelAuthentication)
        self._inner.connectTo(protocol)
        return authenticated

    def negotiateClientCertificateAsync(self) -> Deferred[None]:
        """
        Ask the client for its certificate in mid-conversation (.NET:
        C{NegotiateClientCertificateAsync}).  Until that is over there is no
        reading and no writing.

        @return: see
            L{txsslstream.SslStreamProtocol.negotiateClientCertificateAsync}; it
            fails with L{NotSupportedError} as well while a read or a write is in
            progress.
        """
        if self._protocol is not None and self._protocol.isAsking:
            return fail(InvalidOperationError("the client is being asked"))
        error = self._unusable()
        if error is not None or self._protocol is None:
            return fail(again(error or InvalidOperationError("there is no connection")))
        if self._reader.isBusy or self._writer.isBusy:
            return fail(NotSupportedError("a read or a write is in progress"))
        if self._reader.isFilled:
            return fail(InvalidOperationError("read first what the client has sent"))
        return self._protocol.negotiateClientCertificateAsync()

    def whenAuthenticated(self) -> Deferred[SslStream]:
        """
        See L{ISslStream.whenAuthenticated}.
        """
        # Kept as the outcome, this stream would be part of a cycle.
        return self._authenticated.when().addCallback(lambda _: self)

    # Time-outs

    @property
    def handshakeTimeout(self) -> float | None:
        """
        Seconds for the whole handshake, or L{None}; if it was set, instead of
        what the options say.
        """
        if self._handshakeTimeout is not None:
            return self._handshakeTimeout[0]
        return 30 if self._protocol is None else self._protocol.handshakeTimeout

    @handshakeTimeout.setter
    def handshakeTimeout(self, seconds: float | None) -> None:
        self._handshakeTimeout = (checkedTimeout(seconds, "handshakeTimeout"),)

    @property
    def shutdownTimeout(self) -> float | None:
        """
        Seconds that the peer may take to answer our C{close_notify}, or L{None}.
        """
        return self._shutdownTimeout

    @shutdownTimeout.setter
    def shutdownTimeout(self, seconds: float | None) -> None:
        self._shutdownTimeout = checkedTimeout(seconds, "shutdownTimeout")
        if self._protocol is not None:
            self._protocol.shutdownTimeout = self._shutdownTimeout

    # For reading and writing

    def _unusable(self) -> BaseException | None:
        if self._isClosing:
            return StreamClosedError("the stream is closed")
        if self._brokenBy is not None:
            return self._brokenBy
        if not self._authenticated.hasHappened:
            return InvalidOperationError("the stream must be authenticated first")
        if self._isLent:
            return InvalidOperationError("another stream uses this one")
        if self._protocol is not None and self._protocol.isAsking:
            return NotSupportedError("the client's certificate is awaited")
        return self._authenticated.error

    def _send(self, data: bytes | memoryview) -> None:
        if self._protocol is not None:
            self._protocol.writeNow(data)

    def _holdPeerBack(self, isFull: bool) -> None:
        transport = self._inner.inner
        if isFull:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    # The end

    def shutdown(self) -> Deferred[None]:
        """
        Send C{close_notify} behind what was written: the peer reads the end
        (RFC 8446 section 6.1; .NET: C{ShutdownAsync}).  Reading goes on.  When
        the peer has ended its side, too, the inner transport is closed, unless
        it is to be left open: then call C{unwrap} or L{close}.

        @return: a Deferred that fires with L{None} once that is so.
        """
        error = self._unusable()
        if error is not None:
            return fail(again(error))
        self._shutDownWhenWritten()
        return self._writer.whenFinished()

    def _shutDownWhenWritten(self) -> None:
        self._writer.shut()
        # Whoever loses patience with the peer does not change what is sent.
        self._writer.whenFinished().addCallbacks(self._shutDown, lambda _: None)

    def _shutDown(self, _: None) -> None:
        if self._protocol is not None and self._protocol.connected:
            self._protocol.loseWriteConnection()

    def close(self) -> Deferred[None]:
        """
        Write what is still to be written, send C{close_notify}, await the
        peer's for at most C{shutdownTimeout} seconds, and close the inner
        transport, or give it back if it is to be left open, with whatever came
        behind the peer's C{close_notify}.  Before the end of the authentication
        that is given up.

        @return: a Deferred that fires with L{None} once the connection is gone.
            It never fails.
        """
        if not self._isClosing:
            self._isClosing = True
            self._inner.letGo()
            self._reader.close(StreamClosedError("the stream is closed"))
            self._writer.shut()
            if self._protocol is None:
                self._authenticated.failed(HandshakeCancelled("the stream is closed"))
                self._inner.close()
            else:
                self._closeWhenWritten(self._protocol)
        return self._closed.when()

    def _closeWhenWritten(self, protocol: SslStreamProtocol) -> None:
        def finished(result: object) -> None:
            patience.end()
            # A write that was given up has ended the connection.
            if protocol.connected and not isinstance(result, Failure):
                try:
                    protocol.unregisterProducer()
                    protocol.loseConnection()
                except BaseException:
                    # Such as for lack of memory: nobody else would end it.
                    self.abort()
                    raise

        patience = Patience(
            self._clock,
            self._shutdownTimeout,
            lambda: self._writer.rest + unsentBytes(protocol),
            self.abort,
        )
        self._writer.whenFinished().addBoth(finished)

    def abort(self) -> None:
        """
        End the connection at once.  The peer is not told, and reads a
        truncation.
        """
        self._isClosing = True
        self._inner.letGo()
        error = StreamClosedError("the stream was aborted")
        self._reader.close(error)
        if self._protocol is None:
            self._authenticated.failed(HandshakeCancelled("the stream was aborted"))
            self._inner.abort()
        else:
            self._protocol.abortConnection()
        self._writer.broke(error)

    def _breakOff(self, error: BaseException) -> None:
        """
        A write was given up half-way: the peer must not take what it got for
        all there was.
        """
        self._brokenBy = error
        self._reader.close(error)
        if self._protocol is not None:
            self._protocol.abortConnection()

    def whenClosed(self) -> Deferred[None]:
        """
        See L{ISslStream.whenClosed}.
        """
        return self._closed.when()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _applicationLost(self, reason: Failure) -> None:
        """
        An authenticated connection has ended.
        """
        error: Any = reason.value
        # No news where the peer had sent close_notify, or we have closed.
        self._reader.ended(None if isinstance(error, ConnectionDone) else error)
        if not isinstance(error, (TlsError, TruncationError, AuthenticationError)):
            error = TlsError("the connection is closed")
        self._writer.broke(error)

    def _innerLost(self, reason: Failure) -> None:
        try:
            if not self._authenticated.hasHappened or self._authenticated.isObserved:
                error = HandshakeInterrupted("the connection was lost before the handshake")
                error.__cause__ = reason.value
                self._authenticated.failed(error)
            self._reader.release()
            self._writer.release()
            for kept in (self._authenticated.error, self._reader.error, self._writer.error):
                forgetFrames(kept)
            outer, self._outer = self._outer, None
            if outer is not None:
                outer._takeBack()
        finally:
            self._closed.happened(None)

    def _lend(self) -> tuple[Any, bytes]:
        """
        Leave the connection to another stream, until that has ended.

        @return: the transport, and what was not read.
        """
        error = self._unusable() or self._reader.error or self._writer.error
        if error is not None:
            raise anew(error)
        if self._reader.isBusy or self._writer.isBusy:
            raise NotSupportedError("a read or a write is in progress")
        if not self.canRead or not self.canWrite:
            raise InvalidOperationError("one side of the stream has ended")
        assert self._protocol is not None
        self._isLent = True
        self._protocol.unregisterProducer()
        return self._protocol, self._reader.takeAll()

    def _takeBack(self) -> None:
        self._isLent = False
        if self._protocol is not None and self._protocol.connected:
            self._writer.heldBack(False)
            self._protocol.registerProducer(self._protocol.wrappedProtocol, True)

    # Inspection

    @property
    def security(self) -> SecurityInfo:
        if self._protocol is None:
            raise InvalidOperationError("the stream must be authenticated first")
        return self._protocol.security

    def _securitySoFar(self) -> SecurityInfo | None:
        return None if self._protocol is None else self._protocol._securitySoFar()

    def _channel(self) -> Channel:
        if self._protocol is None:
            raise InvalidOperationError("the stream must be authenticated first")
        channel = self._protocol._channel()
        if self._isClosing:
            raise StreamClosedError("the stream is closed")
        return channel

    @property
    def isServer(self) -> bool:
        return self._protocol is not None and self._protocol.isServer

    @property
    def checkCertRevocationStatus(self) -> bool:
        return self._protocol is not None and self._protocol.checkCertRevocationStatus

    @property
    def targetHostName(self) -> str:
        return "" if self._protocol is None else self._protocol.targetHostName

    @property
    def leaveInnerStreamOpen(self) -> bool:
        return self._leaveInnerStreamOpen

    def getPeer(self) -> Any:
        """
        @return: the address of the other end, as the inner transport has it.
        """
        return self._inner.inner.getPeer()

    def getHost(self) -> Any:
        """
        @return: the address of this end, as the inner transport has it.
        """
        return self._inner.inner.getHost()

    def __repr__(self) -> str:
        state = "unauthenticated" if self._protocol is None else self._protocol.wireState.value
        return f"<SslStream {state}>"
