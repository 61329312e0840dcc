# -*- test-case-name: tests.test_reauthentication -*-
"""
What is asked in mid-conversation.

A server may ask for a client's certificate when it has seen what the client
wants: in TLS 1.3 by a request that the client answers as it reads (RFC 8446
section 4.6.2), before by another handshake (RFC 5246 section 7.4.1.1).  On
either side OpenSSL then asks its questions while it reads, so that reading may
have to wait.  A L{Reauthentication} is what reads in connections where that can
happen.

OpenSSL does not ask about a client that answers with no certificate, and there
is no other way to end a connection with an alert: if somebody refuses such a
client, it is asked once more, and then OpenSSL insists.  Whatever the refused
client says meanwhile is nothing to anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ._deadline import Deadline
from ._deferreds import Decision, again
from ._openssl import isSecretUnique
from ._waiting import PausableCall
from .authentication import Authentication
from .crossing import Presented, Received
from .enums import SslProtocols, TlsAlert
from .errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    NotSupportedError,
)
from .failures import handshakeError
from .judgement import Judgement, acceptance, refusalIn, verdict
from .metrics import reasonOf
from .parameters import TlsParameters

#: What reading came to: the plaintext, why there is no more, and OpenSSL's words.
Outcome = tuple[bytes, Received, str]

_NOTHING: Outcome = (b"", Received.starved, "")


class Reauthentication:
    """
    Reads for a connection, and answers OpenSSL's questions meanwhile.

    @ivar wasAsked: whether a client has been asked for its certificate.
    """

    #: More than this, in bytes, is not taken from a peer while somebody decides.
    WITHHELD_LIMIT = Authentication.WITHHELD_LIMIT

    def __init__(
        self,
        authentication: Authentication,
        sender: object,
        clock: IReactorTime,
        received: Callable[[bytes, Received, str], None],
        abort: Callable[[BaseException], None],
    ) -> None:
        """
        @param authentication: how the conversation began.
        @param sender: the stream, as callbacks get it.
        @param received: told what reading came to, when nobody decides any more.
        @param abort: ends the connection for a reason.
        """
        self.wasAsked = False
        self._authentication = authentication
        self._engine = authentication.engine
        self._sender: object = sender
        self._clock = clock
        self._received: Callable[[bytes, Received, str], None] | None = received
        self._abort: Callable[[BaseException], None] | None = abort
        self._reason = authentication.reason
        self._judgement: Judgement | None = None
        self._answered: Deferred[None] | None = None
        self._call: PausableCall[tuple[Received, str]] | None = None
        self._held: Outcome | None = None
        self._decision = Decision()
        self._tellsPeer = True
        self._deadline = Deadline(clock)
        self._engine.decisions = self
        facts = authentication.facts
        self._isModern = facts is not None and facts.protocol is SslProtocols.Tls13
        self._engine.isPuttingOff = self._isModern

    @property
    def error(self) -> AuthenticationError | None:
        """
        Why the connection is refused, if so.
        """
        return self._reason.error

    @property
    def isAsking(self) -> bool:
        """
        Whether the client's certificate has been asked for, and the answer is not
        judged yet.
        """
        return self._answered is not None

    @property
    def isWaiting(self) -> bool:
        """
        Whether somebody is deciding: nothing may be read.
        """
        return self._call is not None or self._held is not None

    @property
    def isQuiet(self) -> bool:
        """
        Whether reading needs nobody who can wait: in TLS 1.3 OpenSSL has but one
        question to a client, which it puts again, and none to a server that has
        not asked.
        """
        return (
            self._isModern
            and self._answered is None
            and not self.isWaiting
            and self._reason.error is None
        )

    # Reading

    def dismissNews(self) -> None:
        """
        What the peer has sent besides data is of no interest.
        """
        self._engine.hasNews = False

    def receive(self) -> None:
        """
        Read what is there, and tell; later, if there is something to decide.
        """
        # What comes before the answer is to be told from what comes behind.
        isPatient = not self.isAsking or self.error is not None
        self._engine.isPuttingOff = False
        pieces: list[bytes] = []
        self._call = PausableCall(
            lambda: self._engine.receive(pieces, isPatient),
            lambda question: self._asked(question, pieces),
            lambda end: self._read((b"".join(pieces), *end)),
            None,
        )
        self._call.start()

    def _asked(self, question: Callable[[], Deferred[Any]], pieces: list[bytes]) -> None:
        call = self._call
        if pieces:
            # What came before the question does not wait for the answer.
            early = b"".join(pieces)
            pieces.clear()
            self._tell((early, Received.starved, ""))
            if self._call is not call:
                return
        if not self.isAsking:
            self._deadline.begin(self._authentication.handshakeTimeout, self._timedOut)
        self._expect(maybeDeferred(question), self._decided, lambda: self._call is call)

    def _expect(
        self,
        decision: Deferred[Any],
        decided: Callable[[Any], None],
        isWanted: Callable[[], bool],
    ) -> None:
        """
        Wait for a decision, unless the question itself has made an end of it.
        """
        if isWanted():
            self._decision.expect(decision, decided, self._broke)
        else:
            self._decision.dismiss(decision)

    def _broke(self, error: BaseException) -> None:
        if self._abort is not None:
            self._abort(error)

    def _decided(self, answer: Any) -> None:
        call = self._call
        assert call is not None
        if self._isFailure(answer):
            call.refuse()
        else:
            call.answer(answer)

    def _isFailure(self, answer: Any) -> bool:
        if isinstance(answer, Failure):
            self._reason.note(
                AuthenticationError("deciding about the connection failed"), answer.value
            )
        return isinstance(answer, Failure)

    def _read(self, outcome: Outcome) -> None:
        self._call = None
        self._engine.isPuttingOff = self._isModern
        if outcome[1] is Received.broken:
            self._noteEnd(outcome[2])
        elif self._engine.isRenegotiating:
            self._noteHandshake()
        if self.isAsking:
            self._readAnswer(outcome)
        else:
            self._deadline.end()
            self._tell(outcome)

    def _noteEnd(self, reasons: str) -> None:
        engine = self._engine
        if self.isAsking:
            engine.reasons = reasons.split(", ")
            self._reason.note(handshakeError(engine))
        error = self.error
        if error is not None:
            error.alert = engine.alertReceived
            error.alertSent = engine.alertSent if self._tellsPeer else None
            error.reason = reasonOf(error)

    def _noteHandshake(self) -> None:
        """
        Another handshake has begun (before TLS 1.3); if it is over, learn what it
        has led to.
        """
        facts = self._authentication.facts
        if facts is not None and isSecretUnique(self._engine.connection) is not None:
            self._engine.isRenegotiating = False
            now = self._engine.negotiated()
            self._authentication.facts = replace(
                facts, cipherSuite=now.cipherSuite, group=now.group
            )

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
            be it a certificate or none.  It fails with L{AuthenticationError}, or
            with L{InvalidOperationError} if the client says something else before
            it answers.
        @raise NotSupportedError: the client cannot be asked.
        """
        options = self._authentication.options
        reasons = self._engine.requestCertificate(
            options.remoteCertificateValidationCallback is None
        )
        if reasons:
            raise NotSupportedError(f"the client cannot be asked: {', '.join(reasons)}")
        self._judgement = Judgement(options, self._engine, self._sender, self._clock, self._reason)
        self._judgement.isExpected = True
        self._answered = Deferred(
            lambda _: self._giveUp(HandshakeCancelled("the authentication was cancelled"))
        )
        self._deadline.begin(self._authentication.handshakeTimeout, self._timedOut)
        return self._answered

    def _readAnswer(self, outcome: Outcome) -> None:
        data, why, _ = outcome
        judgement = self._judgement
        assert judgement is not None
        if why is Received.broken:
            # First, for whoever hears of it may close or abort at once.
            self._tell(outcome)
            self._settle(self.error)
            return
        if self.error is not None:
            # Refused: it is only to answer once more.
            if why is Received.ended:
                self._end()
            else:
                self._tell(_NOTHING)
            return
        if self._engine.hasAnswered:
            if not judgement.isMade:
                self._judgeNobody(judgement, outcome)
                return
            self._accept(judgement)
        elif data:
            self.withdraw()
        self._tellFirst(outcome)

    def withdraw(self) -> None:
        """
        The client says something else, or nothing more: its answer, if it still
        comes, is nothing to anybody.
        """
        if self.isAsking:
            self._settle(
                InvalidOperationError("the client did not answer first: read what it says")
            )

    def _judgeNobody(self, judgement: Judgement, outcome: Outcome) -> None:
        """
        The client has shown nothing, and OpenSSL is content with that.
        """
        self._held = outcome
        decision = judgement.ofNobody().addCallback(acceptance)
        self._expect(decision, self._judgedNobody, lambda: self._held is not None)

    def _judgedNobody(self, answer: Any) -> None:
        outcome, self._held = self._held, None
        judgement = self._judgement
        assert outcome is not None
        assert judgement is not None
        if not self._isFailure(answer) and refusalIn(answer) is None:
            self._accept(judgement)
            self._tellFirst(outcome)
            return
        if outcome[1] is Received.ended or self._engine.requestCertificate(True):
            self._end()
        else:
            self._tell(_NOTHING)
            if self.isAsking:
                self.receive()

    def _accept(self, judgement: Judgement) -> None:
        self._authentication.judgement = judgement
        self._settle(None)

    def _settle(self, error: Exception | None) -> None:
        """
        The question for the client's certificate has come to its end.
        """
        self._deadline.end()
        answered, self._answered = self._answered, None
        if answered is None or self._judgement is None:
            return
        try:
            self._engine.requestNothing()
            self._judgement.release()
            outcome = None if error is None else again(error)
        except BaseException as e:
            # Such as for lack of memory.
            answered.errback(Failure(e))
            raise
        answered.callback(outcome)

    # Giving up

    def _timedOut(self) -> None:
        seconds = self._authentication.handshakeTimeout
        self._giveUp(HandshakeTimeout(f"no end of the authentication within {seconds} s"))

    def close(self, why: str, tellsPeer: bool = True) -> None:
        """
        The connection is being closed here.  With what somebody is deciding it
        comes to a bad end; a client that was merely asked is awaited no more.

        @param tellsPeer: whether an alert is still sent.
        """
        self._tellsPeer = tellsPeer
        if self.isWaiting or (self.isAsking and self.error is not None):
            self._giveUp(HandshakeCancelled(why))
        elif self.isAsking:
            self._settle(HandshakeCancelled(why))

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone.
        """
        self._received = self._abort = None
        self._tellsPeer = False
        if self.isAsking or self.isWaiting:
            self._giveUp(HandshakeInterrupted("the connection was lost"), reason.value)
        self._engine.decisions = None
        self._authentication.judgement.release()
        self._sender = None

    def _giveUp(self, error: AuthenticationError, cause: BaseException | None = None) -> None:
        self._reason.note(error, cause)
        call, self._held = self._call, None
        decision = self._decision.release()
        if call is not None and call.isParked:
            # OpenSSL tells the peer, and the connection ends with that.
            call.refuse()
        else:
            self._call = None
            self._end()
        self._decision.dismiss(decision)

    def _end(self) -> None:
        assert self.error is not None
        self._settle(self.error)
        if self._abort is not None:
            self._abort(self.error)

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
            # who they are; a client that has answered too late, nobody.
            known = self._authentication.judgement.remoteCertificate
            isNobody = self._authentication.isServer and known is None
            isSame = isNobody or known == presented.certificates[0]
            return None if isSame else TlsAlert.bad_certificate
        return verdict(lambda: judgement.of(presented))

    def peerPresentedNothing(self) -> bool:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        judgement = self._judgement
        if not self.isAsking or judgement is None:
            return self._authentication.judgement.remoteCertificate is None
        return verdict(judgement.ofNobody) is None

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        self.wasAsked = not self._authentication.isServer
        return self._authentication.certificateWantedAgain()

    def stapleWanted(self) -> bytes | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return self._authentication.stapleWanted()
