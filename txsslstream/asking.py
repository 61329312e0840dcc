# -*- test-case-name: tests.test_reauthentication -*-
"""
What a TLS protocol does when there is something to decide in mid-conversation
(L{txsslstream.reauthentication}): it asks, it keeps back what comes and what is
to go, and goes on.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from ._deferreds import again
from ._openssl import TlsEngine, hasUnread, isSecretUnique, receive
from ._traffic import TrafficProtocol
from .authentication import Authentication
from .crossing import Received
from .errors import InvalidOperationError, NotSupportedError
from .reauthentication import Reauthentication
from .records import FORBIDDEN
from .states import WireState

#: So many new keys and refused renegotiations in a row, without any data; more
#: would be for nothing but the work (BoringSSL has the same for new keys).
MOST_IDLE_MESSAGES = 32


class AskingProtocol(TrafficProtocol):
    """
    A TLS protocol in whose conversation somebody may have to decide.

    @ivar callbackSender: what callbacks get as stream; L{None} for the protocol
        itself.
    """

    callbackSender: object = None

    _hasPausedTransport = False
    _hasReceivedData = False
    _withheld: bytes = b""
    _hasAsked = False
    _closesLater = False
    _reauthentication: Reauthentication | None = None

    def _expectQuestions(self, authentication: Authentication) -> Reauthentication:
        reauthentication = Reauthentication(
            authentication,
            self.callbackSender or self,
            self.factory._clock,
            self._readAgain,
            self._abortFor,
        )
        self._reauthentication = reauthentication
        self._isFlowing = False
        return reauthentication

    def _forgetSecurity(self, _: None) -> None:
        """
        Find out anew what is known of the connection.
        """
        self._security = None

    # Asking

    def negotiateClientCertificateAsync(self) -> Deferred[None]:
        """
        Ask the client for its certificate in mid-conversation (.NET:
        C{NegotiateClientCertificateAsync}): in TLS 1.3 by post-handshake
        authentication (RFC 8446 section 4.6.2), before by another handshake.
        Once for a connection, and when nothing is on its way: what the client
        says before it answers makes this fail.

        @return: a Deferred that fires with L{None} once the client has answered
            and is accepted, with a certificate or without one.  It fails with
            L{InvalidOperationError} if this is no authenticated server, it has
            the client's certificate, one side has ended, there is something to
            read, or it was called before; with L{NotSupportedError} if the
            client cannot be asked (in TLS 1.3 it has to offer it); or with
            L{AuthenticationError}, and the connection with it, if the client is
            refused or does not answer in time.  After the others the connection
            goes on; after a failed connection it is that error.
        """
        authentication = self._authentication
        if self._failure is not None:
            return fail(again(self._failure))
        problem = ""
        if authentication is None or self._state is not WireState.open:
            problem = "the connection must be authenticated, and open"
        elif not self.isServer:
            problem = "only a server asks for certificates"
        elif self._hasAsked:
            problem = "the client has been asked before"
        elif self.remoteCertificate is not None:
            problem = "the client has shown its certificate"
        elif self._isReadingOver or self._isWritingOver:
            problem = "one side of the connection has ended"
        elif hasUnread(self._tlsConnection):
            problem = "read first what the client has sent"
        elif isSecretUnique(self._tlsConnection) is None:
            problem = "another handshake is under way"
        if problem or authentication is None:
            return fail(InvalidOperationError(problem))
        if self.isResumed and not isSecretUnique(self._tlsConnection):
            # What was said before may have been said by somebody else, who has
            # two connections with the same secrets (RFC 7627 section 1).
            return fail(
                NotSupportedError(
                    "the client cannot be asked: the session was resumed without the extended "
                    "master secret"
                )
            )
        self.flush()
        reauthentication = self._reauthentication or self._expectQuestions(authentication)
        try:
            answered = reauthentication.ask()
        except NotSupportedError as e:
            return fail(e)
        self._hasAsked = True
        self._flushSendBIO()
        # Whoever hears of it looks who it is.
        return answered.addCallback(self._forgetSecurity)

    @property
    def isAsking(self) -> bool:
        """
        Whether the client's certificate was asked for in mid-conversation and is
        awaited.
        """
        return self._reauthentication is not None and self._reauthentication.isAsking

    # What is kept back

    @property
    def _isDeciding(self) -> bool:
        """
        Whether somebody decides in mid-conversation.
        """
        return self._reauthentication is not None and self._reauthentication.isWaiting

    @property
    def _isSilent(self) -> bool:
        """
        Whether nothing of the application's may be sent, or not yet.
        """
        # Nothing overtakes what had to wait.
        return bool(self._appSendBuffer) or (
            self._reauthentication is not None
            and bool(self._reauthentication.isWaiting or self._reauthentication.error)
        )

    def _sendWaiting(self) -> None:
        """
        Send what had to wait, and the end if that had to.
        """
        if self._appSendBuffer:
            self._unbufferPendingWrites()
        if self._closesLater:
            self._shutdownTLS()

    def _flushUnlessDeciding(self) -> None:
        reauthentication = self._reauthentication
        if reauthentication is None or not reauthentication.isWaiting:
            self._flushSendBIO()

    def _takeDeciding(self, data: bytes) -> None:
        """
        Take bytes from the transport, unless somebody is deciding.
        """
        if not self._isDeciding:
            self._take(data)
            return
        self._withheld += data
        if len(self._withheld) >= Reauthentication.WITHHELD_LIMIT:
            self._hasPausedTransport = True
            self.transport.pauseProducing()

    def _take(self, data: bytes) -> None:
        """
        Read what came.  Unlike Twisted's, this writes nothing before: OpenSSL
        would ask from there, where nobody can wait.
        """
        reauthentication = self._reauthentication
        assert reauthentication is not None
        if not reauthentication.isQuiet:
            self._tlsConnection.bio_write(data)
            self._flushReceiveBIO()
            return
        plain, why, reasons = receive(self._tlsConnection, data)
        if why is Received.asking:
            # The question is no news of a session that may be kept.
            reauthentication.dismissNews()
            # What came before it does not wait for the answer.
            self._read(plain, Received.starved, "")
            if reauthentication.isQuiet:
                self._flushReceiveBIO()
        else:
            self._read(plain, why, reasons)

    def _readAgain(self, data: bytes, why: Received, reasons: str) -> None:
        """
        What was read where OpenSSL may have had to ask.
        """
        # What is shown of us may be another certificate now.
        self._forgetSecurity(None)
        if why is not Received.broken:
            self._sendWaiting()
        # An answer to what came, such as to a renegotiation, goes first.
        self._flushSendBIO()
        self._read(data, why, reasons)
        if self._isDeciding or self._reauthentication is None:
            return
        if self._reauthentication.wasAsked:
            # It may be refused now for what it has shown, as at the beginning.
            self._reauthentication.wasAsked = self._hasReceivedData = False
        withheld, self._withheld = self._withheld, b""
        if withheld and not self._lostTLSConnection and self._tlsConnection is not None:
            if self._hasPausedTransport:
                self._hasPausedTransport = False
                self.transport.resumeProducing()
            self._take(withheld)

    def _read(self, data: bytes, why: Received, reasons: str) -> None:
        """
        What was read.
        """
        raise NotImplementedError

    def _isStormy(self, engine: TlsEngine, data: bytes) -> bool:
        """
        @return: whether that was too much for nothing, and the end of it.
        """
        if engine.idleMessages <= MOST_IDLE_MESSAGES:
            if data:
                engine.idleMessages = 0
            return False
        # OpenSSL has no alert to spend but for what it is fed.
        receive(self._tlsConnection, FORBIDDEN)
        self._flushSendBIO()
        self._broke(f"more than {MOST_IDLE_MESSAGES} messages in a row asked for nothing but work")
        return True

    def _broke(self, reasons: str) -> None:
        """
        The connection has broken.
        """
        raise NotImplementedError

    # Giving up

    def cancelAuthentication(self) -> None:
        """
        Give up an authentication that is under way, or the connection if the
        application is just being connected.
        """
        if self._authentication is not None:
            self._authentication.cancel()
            if self._handshakeDone and not self._authenticated.hasHappened:
                self.abortConnection()

    def _giveUpQuestions(self, why: str, tellsPeer: bool = True) -> None:
        """
        The end begins.
        """
        self._isFlowing = False
        if self._reauthentication is not None:
            self._reauthentication.close(why, tellsPeer)

    def _questionsLost(self, reason: Failure) -> None:
        """
        The inner transport is gone.
        """
        if self._reauthentication is not None:
            self._reauthentication.connectionLost(reason)
            if self._reauthentication.error is not None:
                self._fail(self._reauthentication.error)
