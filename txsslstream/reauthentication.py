# -*- test-case-name: tests.test_reauthentication -*-
"""
What is asked in mid-conversation.

A server may ask for a client's certificate when it has seen what the client
wants: in TLS 1.3 by a request that the client answers as it reads (RFC 8446
section 4.6.2), before by another handshake (RFC 5246 section 7.4.1.1).  On
either side OpenSSL then asks its questions while it reads, so that reading may
have to wait.  A L{Reauthentication} is what reads in connections where that can
happen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ._deadline import Deadline
from ._deferreds import Decision
from ._waiting import PausableCall, pause
from .authentication import Authentication
from .crossing import Presented, Received
from .enums import SslPolicyErrors, TlsAlert
from .errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    NotSupportedError,
)
from .judgement import Judgement, Reason, acceptance, refusalIn
from .parameters import TlsParameters

#: What reading came to: the plaintext, why there is no more, and OpenSSL's words.
Outcome = tuple[bytes, Received, str]


class Reauthentication:
    """
    Reads for a connection, and answers OpenSSL's questions meanwhile.

    @ivar isAsking: whether the client's certificate has been asked for, and the
        answer is not judged yet.
    @ivar error: why the connection is refused, if so.
    """

    #: More than this, in bytes, is not taken from a peer while somebody decides.
    WITHHELD_LIMIT = Authentication.WITHHELD_LIMIT

    def __init__(
        self,
        authentication: Authentication,
        sender: object,
        clock: IReactorTime,
        received: Callable[[bytes, Received, str], None],
        abort: Callable[[Exception], None],
    ) -> None:
        """
        @param authentication: how the conversation began.
        @param sender: the stream, as callbacks get it.
        @param received: told what reading came to, when nobody decides any more.
        @param abort: ends the connection for a reason.
        """
        self.isAsking = False
        self._authentication = authentication
        self._engine = authentication.engine
        self._sender: object = sender
        self._clock = clock
        self._received: Callable[[bytes, Received, str], None] | None = received
        self._abort: Callable[[Exception], None] | None = abort
        self._reason = Reason()
        self._judgement: Judgement | None = None
        self._answered: Deferred[None] | None = None
        self._call: PausableCall[Outcome] | None = None
        self._held: Outcome | None = None
        self._decision = Decision()
        self._deadline = Deadline(clock)
        self._engine.decisions = self

    @property
    def error(self) -> AuthenticationError | None:
        """
        Why the connection is refused, if so.
        """
        return self._reason.error

    # Reading

    @property
    def isWaiting(self) -> bool:
        """
        Whether somebody is deciding: nothing may be read or written.
        """
        return self._call is not None or self._held is not None

    def receive(self) -> None:
        """
        Read what is there, and tell; later, if there is something to decide.
        """
        isPatient = not self.isAsking
        self._call = PausableCall(
            lambda: self._engine.receive(isPatient), self._asked, self._read, None
        )
        self._call.start()

    def _asked(self, question: Callable[[], Deferred[Any]]) -> None:
        if not self.isAsking:
            self._deadline.begin(self._authentication.handshakeTimeout, self._timedOut)
        self._decision.expect(maybeDeferred(question), self._decided)

    def _decided(self, answer: Any) -> None:
        call = self._call
        if not self.isAsking:
            self._deadline.end()
        if call is None:
            return
        if isinstance(answer, Failure):
            self._reason.note(
                AuthenticationError("deciding about the connection failed"), answer.value
            )
            call.refuse()
        else:
            call.answer(answer)

    def _read(self, outcome: Outcome) -> None:
        self._call = None
        if not self.isAsking:
            self._tell(outcome)
        elif self._isSettled(outcome):
            self._tellFirst(outcome)

    def _tell(self, outcome: Outcome) -> None:
        if self._received is not None:
            self._received(*outcome)

    def _tellFirst(self, outcome: Outcome) -> None:
        """
        Tell what is only the first of what there is to read.
        """
        self._tell(outcome)
        if outcome[0] and self._received is not None and not self.isWaiting:
            self.receive()

    # Asking

    def ask(self) -> Deferred[None]:
        """
        Ask the client for its certificate.

        @return: a Deferred that fires with L{None} once the answer is accepted,
            be it a certificate or none.  It fails with L{AuthenticationError},
            L{NotSupportedError} if the client cannot be asked, or
            L{InvalidOperationError} if it says something else before it answers.
        """
        options = self._authentication.options
        reasons = self._engine.requestCertificate(
            options.remoteCertificateValidationCallback is None
        )
        if reasons:
            raise NotSupportedError(f"the client cannot be asked: {', '.join(reasons)}")
        self.isAsking = True
        self._judgement = Judgement(options, self._engine, self._sender, self._clock, self._reason)
        self._judgement.isExpected = True
        self._answered = Deferred(lambda _: self.cancel("the authentication was cancelled"))
        self._deadline.begin(self._authentication.handshakeTimeout, self._timedOut)
        return self._answered

    def _isSettled(self, outcome: Outcome) -> bool:
        """
        @return: whether there is nothing more to decide before it is told what
            was read.
        """
        data, why, reasons = outcome
        judgement = self._judgement
        assert judgement is not None
        if why is Received.broken:
            error = self.error or AuthenticationError(
                f"the client was not authenticated: {reasons}",
                sslPolicyErrors=(
                    SslPolicyErrors.RemoteCertificateNotAvailable
                    if not judgement.isMade
                    else judgement.sslPolicyErrors
                ),
            )
            error.alert = self._engine.alertReceived
            error.alertSent = self._engine.alertSent
            self._reason.note(error)
            self._settle(error)
        elif self._engine.hasAnswered:
            if self.error is None and judgement.isMade:
                self._authentication.judgedAgain(judgement)
                self._settle(None)
                return True
            # The client has shown nothing: OpenSSL is content with that.
            self._held = outcome
            decision = succeed(None) if self.error else judgement.ofNobody()
            self._decision.expect(decision.addCallback(acceptance), self._judgedNobody)
            return False
        elif data or why is Received.ended:
            self._settle(InvalidOperationError("the client said something else first: read it"))
        return True

    def _judgedNobody(self, answer: Any) -> None:
        outcome, self._held = self._held, None
        assert outcome is not None
        assert self._judgement is not None
        if refusalIn(None if isinstance(answer, Failure) else answer) is None:
            self._authentication.judgedAgain(self._judgement)
            self._settle(None)
            self._tellFirst(outcome)
            return
        # A refusal needs an alert, which only OpenSSL can send: ask again, and
        # let it insist.
        reasons = self._engine.requestCertificate(True)
        if reasons:
            self._end(self.error or AuthenticationError(", ".join(reasons)))
        else:
            self._tellFirst(outcome)

    def _settle(self, error: Exception | None) -> None:
        """
        The question for the client's certificate has come to its end.
        """
        self.isAsking = False
        self._deadline.end()
        if self._judgement is not None:
            self._judgement.release()
        answered, self._answered = self._answered, None
        if answered is None:
            return
        if error is None:
            answered.callback(None)
        else:
            answered.errback(Failure(error))

    # Giving up

    def _timedOut(self) -> None:
        seconds = self._authentication.handshakeTimeout
        self._giveUp(HandshakeTimeout(f"no end of the authentication within {seconds} s"))

    def cancel(self, why: str) -> None:
        """
        Give up what is being decided, if anything is, and with it the
        connection.
        """
        if self.isAsking or self.isWaiting:
            self._giveUp(HandshakeCancelled(why))

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone.
        """
        self._received = self._abort = None
        if self.isAsking or self.isWaiting:
            self._giveUp(HandshakeInterrupted("the connection was lost"), reason.value)
        self._engine.decisions = None
        self._authentication.judgement.release()
        self._sender = None

    def _giveUp(self, error: AuthenticationError, cause: BaseException | None = None) -> None:
        self._reason.note(error, cause)
        self._held = None
        decision = self._decision.release()
        if self._call is not None:
            # OpenSSL tells the peer, and the connection ends with that.
            self._call.refuse()
        else:
            self._end(error)
        self._decision.dismiss(decision)

    def _end(self, error: Exception) -> None:
        self._settle(self.error)
        if self._abort is not None:
            self._abort(self.error or error)

    # The questions of OpenSSL

    def peerPresented(self, presented: Presented) -> TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        judgement = self._judgement
        if self.error is not None:
            return TlsAlert.handshake_failure
        if not self.isAsking or judgement is None:
            # In a handshake that nobody here has asked for, everybody has to stay
            # who they are.
            known = self._authentication.judgement.remoteCertificate
            isSame = known == presented.certificates[0]
            return None if isSame else TlsAlert.bad_certificate
        return refusalIn(pause(lambda: judgement.of(presented).addCallback(acceptance), None))

    def peerPresentedNothing(self) -> bool:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        judgement = self._judgement
        if not self.isAsking or judgement is None:
            return False
        return refusalIn(pause(lambda: judgement.ofNobody().addCallback(acceptance), None)) is None

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return self._authentication.certificateWantedAgain()

    def stapleWanted(self) -> bytes | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return self._authentication.stapleWanted()
