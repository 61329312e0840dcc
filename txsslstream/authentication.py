# -*- test-case-name: tests.test_authentication -*-
"""
From the first byte to the verdict.

An L{Authentication} drives one handshake: it feeds the engine, passes its
questions to the L{Judgement}, keeps everything back while somebody decides, and
ends with exactly one outcome.

The server's side of a connection without a client certificate is judged too,
although OpenSSL never asks about it.  That happens when everything is
negotiated but nothing of it has left: in TLS 1.3 before the server's first
flight, in TLS 1.2 before its last.  Up to there an alert may go in the clear,
so that a refusal still reaches the client as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ._deadline import Deadline
from ._deferreds import Decision, forgetFrames
from ._openssl import TlsEngine
from ._waiting import PausableCall, pause
from .certificates import SslStreamCertificateContext
from .clienthello import HelloState
from .crossing import Negotiated, Presented, Step
from .enums import SslProtocols, TlsAlert
from .errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
)
from .failures import handshakeError, notTls
from .hello import Choice, ChoiceRefused, HelloPhase, helloPhase, judgeHello
from .judgement import UNCHANGED, Reason, verdict
from .metrics import UNWATCHED, Watch, reasonOf
from .names import serverNameFor
from .options import (
    AuthenticationOptions,
    LocalCertificateSelectionCallback,
    ServerOptionsSelection,
    SslClientAuthenticationOptions,
)
from .outcome import Outcome
from .parameters import TlsParameters
from .policy import checksRevocation
from .records import APPLICATION_DATA, alertRecord, recordKinds
from .resumption import resumptionFor
from .stapling import Stapler, staplerOf
from .states import WireState


@dataclass
class Owner:
    """
    Whom an authentication works for.

    @ivar write: takes bytes for the peer.  It also sends what the engine has not
        put out when the handshake has succeeded.
    @ivar equipped: told when options have been chosen and the engine is there,
        with all that the peer has sent before.
    @ivar changed: told of each new state.
    @ivar finished: told of the end, with the error or L{None}.
    """

    write: Callable[[bytes], None]
    equipped: Callable[[bytes], None]
    changed: Callable[[WireState], None]
    finished: Callable[[AuthenticationError | None], None]


class Authentication(Outcome):
    """
    One handshake with its verdict.

    @ivar handshakeTimeout: seconds, or L{None}.
    @ivar watch: tells observers.
    """

    #: More than this, in bytes, is not taken from a peer while somebody decides.
    WITHHELD_LIMIT = 64 * 1024

    watch = UNWATCHED
    _deadline: Deadline | None = None
    # What the peer is told if there is no engine.
    _alertSent: TlsAlert | None = None
    _owner: Owner | None = None
    _call: PausableCall[Step] | None = None
    _held: tuple[bytes, Step] | None = None
    _withheld: bytes | bytearray = b""
    # Whether the peer has said something while somebody decided.
    _hasFed = False
    # Whether the hello that a client begins with is still being held back.
    _isSilent = False
    # Whether OpenSSL's questions are answered without asking anybody.
    _asksNobody = False
    _stapler: Stapler | None = None
    _tellsPeer = True
    _alert: TlsAlert | None = None

    def __init__(
        self,
        options: AuthenticationOptions | ServerOptionsSelection,
        sender: object,
        clock: IReactorTime,
        *,
        handshakeTimeout: tuple[float | None] | None = None,
        localCertificateSelectionCallback: LocalCertificateSelectionCallback | None = None,
    ) -> None:
        """
        @param sender: the stream, as callbacks get it.
        @param handshakeTimeout: a time-out, in a tuple, to use instead of that
            of the options.
        @param localCertificateSelectionCallback: a server's, if it has one.
        """
        self.isServer = not isinstance(options, SslClientAuthenticationOptions)
        self._sender = sender
        self._clock = clock
        self.reason = Reason()
        self._givenTimeout = handshakeTimeout
        self.handshakeTimeout = self._timeoutOf(options)
        self.hello = helloPhase(options, sender, localCertificateSelectionCallback)
        self._decision = Decision()
        if self.hello is None and not isinstance(options, ServerOptionsSelection):
            self._equip(options, options.parameters)

    def _timeoutOf(self, options: AuthenticationOptions | ServerOptionsSelection) -> float | None:
        return self._givenTimeout[0] if self._givenTimeout else options.handshakeTimeout

    def _equip(self, options: AuthenticationOptions, parameters: TlsParameters) -> None:
        """
        Make what works with options.
        """
        self.options = options
        name = None
        wantsStaple = False
        if isinstance(options, SslClientAuthenticationOptions):
            name = serverNameFor(options.targetHost)
            wantsStaple = checksRevocation(options.chainPolicy)
            # As in .NET: whoever has something to show.
            self._offersLater = bool(
                options.clientCertificates
                or options.clientCertificateContext
                or options.localCertificateSelectionCallback
            )
        keyLog = None if options.keyLog is None else partial(options.keyLog, self._clock)
        if self.isServer:
            isAsking = parameters.asksForCertificate or options.remoteCertificateValidationCallback
            self._asksNobody = not isAsking and not self._staplesFor(parameters)
        self.engine = TlsEngine(
            parameters, self, name, wantsStaple, self._offersLater, keyLog, self._asksNobody
        )
        if isinstance(options, SslClientAuthenticationOptions):
            self._resumption = resumptionFor(options, self.engine)
        if not self.isServer:
            self._asksNobody = self.judgement.isAtOnce and not self.judgement.hasChoice

    # The way through

    def begin(self, owner: Owner) -> None:
        """
        Send what comes first and start the clock.
        """
        self._owner = owner
        self.watch = Watch.started(self.isServer, self._clock)
        self._deadline = deadline = Deadline(self._clock)
        deadline.begin(self.handshakeTimeout, self._timedOut)
        if self.hello is not None:
            self._changed(WireState.hello)
        elif not self.isServer and self.judgement.asksBeforeHello:
            self._isSilent = True
            self._changed(WireState.handshaking)
            self._await(
                maybeDeferred(self.judgement.chooseBeforeHello), self._preselected, self._fail
            )
        else:
            self._greet(None)

    def _readHello(self, hello: HelloPhase, data: bytes) -> None:
        state = hello.feed(data)
        if state is HelloState.complete:
            self._await(maybeDeferred(hello.choose), self._chosen, self._fail)
        elif state is HelloState.invalid:
            self.reason.note(notTls(hello.reader.reason, hello.reader.received))
            output, self._alertSent = judgeHello(hello.reader.received)
            self._write(output)
            self._fail()

    def _chosen(self, choice: Choice) -> None:
        """
        A server's options and its certificate have been chosen.
        """
        assert self.hello is not None
        received = self.hello.reader.received + self._takeWithheld()
        self.hello = None
        self._equip(choice.options, choice.parameters)
        self.handshakeTimeout = self._timeoutOf(choice.options)
        if self._deadline is not None:
            self._deadline.change(self.handshakeTimeout, self._timedOut)
        if self._owner is not None:
            self._owner.equipped(received)
        self.engine.feed(received)
        self._proceed()

    def _takeWithheld(self) -> bytes:
        data, self._withheld = bytes(self._withheld), b""
        return data

    def _preselected(self, answer: object) -> None:
        """
        A client's callback has answered before the hello.  What it has chosen
        matters for whether an earlier session can go on; otherwise it is asked
        again by who wants to see it.
        """
        if isinstance(answer, TlsAlert):
            self._fail()
        else:
            self._greet(answer.certificate if isinstance(answer, TlsParameters) else None)

    def _greet(self, choice: SslStreamCertificateContext | None) -> None:
        if self._resumption is not None:
            self._resumption.offer(choice)
        if self.isServer:
            # It is the client that begins.
            self._changed(WireState.handshaking)
        else:
            self._proceed()

    @property
    def isWaiting(self) -> bool:
        """
        Whether somebody is deciding.
        """
        return (
            self._isSilent
            or self._call is not None
            or self._held is not None
            or self._decision.isAwaited
        )

    @property
    def isFinished(self) -> bool:
        """
        Whether there is an outcome.
        """
        return self._owner is None

    def feed(self, data: bytes) -> bool:
        """
        Take bytes from the peer.

        @return: whether more are welcome at the moment.
        """
        if self.isWaiting:
            self._withheld = self._withheld or bytearray()
            self._withheld += data
            return len(self._withheld) < self.WITHHELD_LIMIT
        if self.hello is not None:
            self._readHello(self.hello, data)
        else:
            self.engine.feed(data)
            self._proceed()
        return True

    def _proceed(self) -> None:
        self._isSilent = False
        self._changed(WireState.handshaking)
        if self._asksNobody:
            # Should it be asked all the same, the answer is a refusal.
            self._stepped(self.engine.handshake())
            return
        self._call = PausableCall(self.engine.handshake, self._asked, self._stepped, None)
        self._call.start()

    def _changed(self, state: WireState) -> None:
        if self._owner is not None:
            self._owner.changed(state)

    def _asked(self, question: Callable[[], Deferred[Any]]) -> None:
        call = self._call
        assert call is not None
        self._await(maybeDeferred(question), call.answer, call.refuse)

    def _await(
        self,
        decision: Deferred[Any],
        answer: Callable[[Any], None],
        refuse: Callable[[], None],
    ) -> None:
        """
        Stand still until a decision is there.
        """

        def decided(result: Any) -> None:
            self._changed(WireState.handshaking)
            self._hasFed = bool(self._withheld and self.hello is None)
            if self._hasFed:
                self.engine.feed(self._takeWithheld())
            if isinstance(result, Failure):
                self._decisionFailed(result)
                refuse()
            else:
                answer(result)

        if self.isFinished:
            # The question itself has made an end of it.
            self._decision.dismiss(decision)
            return
        self._decision.expect(decision, decided, self.broke)
        if self._decision.isAwaited:
            self._changed(WireState.waiting)

    def _decisionFailed(self, failure: Failure) -> None:
        error = failure.value
        # A Deferred that has run another one's callbacks is among the frames, and
        # has the Failure itself.
        failure.tb = None
        if self.hello is None:
            self.reason.note(AuthenticationError("deciding about the connection failed"), error)
            return
        if isinstance(error, ChoiceRefused):
            forgetFrames(error)
            self.reason.note(AuthenticationError(str(error)))
            alert = error.alert
        else:
            alert = self.reason.callbackFailed(failure)
        self._write(self._plainAlert(alert))

    def _stepped(self, step: Step) -> None:
        """
        OpenSSL has come to the end of what it had, or of the handshake.
        """
        self._call = None
        if step is Step.failed:
            wasEncrypting = self.engine.isEncrypting
            output = self.engine.output()
            if self._alert is not None and not wasEncrypting:
                output = self._plainAlert(self._alert)
            self._write(output)
            self._fail()
            return
        isOver = step is Step.complete
        # Where a server asks nobody, there is nothing to judge.
        isSettled = (self._asksNobody and self.isServer) or self.judgement.isMade
        if isSettled and isOver:
            # Together with what the application says first.
            self._finish(None)
            return
        output = self.engine.output()
        if not isSettled and self._mayJudge(isOver, output):
            self._held = (output, step)
            if self.judgement.isAboutNobody:
                self._letGo(self.judgement.ofNobodyAtOnce())
            else:
                judged = maybeDeferred(self.judgement.ofUnasked, isOver)
                self._await(judged, self._letGo, self._refuseHeld)
            return
        self._write(output)

    def _mayJudge(self, isOver: bool, output: bytes) -> bool:
        """
        Whether all is negotiated, and OpenSSL will not ask about the peer.
        """
        # On a client OpenSSL itself asks, about a session that goes on as well.
        if isOver or not self.isServer:
            return isOver
        if self.engine.isResumed:
            return True
        isAsking = self.engine.parameters.asksForCertificate
        return not isAsking and APPLICATION_DATA in recordKinds(output)

    def _letGo(self, refusal: TlsAlert | None) -> None:
        """
        A connection without a certificate of the peer has been judged.
        """
        if refusal is not None:
            self._refuseHeld(refusal)
        elif self._held is not None:
            (output, step), self._held = self._held, None
            self._write(output)
            if step is Step.complete:
                self._finish(None)
            elif self._hasFed:
                self._proceed()

    def _refuseHeld(self, alert: TlsAlert = TlsAlert.internal_error) -> None:
        self._held = None
        if self.isServer:
            # The flight that was held back is what would have begun encryption.
            self._write(self._plainAlert(alert))
        self._fail()

    def _plainAlert(self, alert: TlsAlert) -> bytes:
        self._alertSent = alert
        return alertRecord(alert)

    def _write(self, data: bytes) -> None:
        if data and self._owner is not None and self._tellsPeer:
            self._owner.write(data)

    # The outcome

    def _fail(self) -> None:
        error = self.reason.error or handshakeError(self.engine)
        if self._isEquipped:
            error.alert = self.engine.alertReceived
            self._alertSent = self._alertSent or self.engine.alertSent
        error.alertSent = self._alertSent if self._tellsPeer else None
        error.reason = reasonOf(error)
        self._finish(error)

    def _finish(self, error: AuthenticationError | None) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.end()
        owner, self._owner = self._owner, None
        self._call = None
        self._sender = None
        if self.hello is not None:
            self.hello.release()
            self.hello = None
        try:
            if self._isEquipped:
                self._settle(error)
            if owner is not None:
                if self.watch.isHeard:
                    self.watch.ended(error, self.facts)
                owner.changed(WireState.open if error is None else WireState.failed)
                owner.finished(error)
        except BaseException:
            # Nothing is accepted by halves: it is still to be given up.
            self.isAccepted = False
            self._owner = owner
            raise

    def _settle(self, error: AuthenticationError | None) -> None:
        self.isAccepted = isAccepted = error is None
        self._isModern = self.engine.protocol is SslProtocols.Tls13
        if isAccepted and not self._isModern:
            # Another handshake may change them, and more of them are known now.
            self.facts = self.engine.negotiated()
        if self._judgement is not None and not self.mayBeAsked:
            self._judgement.release()
        if isAccepted:
            self.engine.hasNews = False
            if not self._isModern:
                self.keepSession()
        self.engine.release()

    # Giving up

    def _timedOut(self) -> None:
        what = " while a callback was deciding" if self.isWaiting else ""
        why = f"no end of the handshake within {self.handshakeTimeout} s{what}"
        try:
            self._giveUp(HandshakeTimeout(why))
        except BaseException as e:
            # Nobody else would end it.
            self.broke(e)

    def cancel(self, why: str = "the authentication was cancelled", tellsPeer: bool = True) -> None:
        """
        End it, unless it has ended.

        @param tellsPeer: whether an alert is still sent.
        """
        self._tellsPeer = tellsPeer
        self._giveUp(HandshakeCancelled(why))

    def broke(self, error: BaseException) -> None:
        """
        End it, unless it has ended: what nobody has decided has failed, such as for
        lack of memory.  The peer is told nothing.
        """
        self._tellsPeer = False
        self._giveUp(AuthenticationError("the handshake could not go on"), error)

    def connectionLost(self, reason: Failure) -> None:
        """
        End it, unless it has ended, because the peer is gone.
        """
        self._tellsPeer = False
        self._giveUp(HandshakeInterrupted("the connection was lost in the handshake"), reason.value)

    def _giveUp(self, error: AuthenticationError, cause: BaseException | None = None) -> None:
        if self.isFinished:
            return
        self.reason.note(error, cause)
        decision, call = self._decision.release(), self._call
        if call is not None and call.isParked:
            call.refuse()
        elif self._held is not None:
            self._refuseHeld(TlsAlert.user_canceled)
        else:
            isEncrypting = self.hello is None and self.engine.isEncrypting
            if not (self._isSilent or isEncrypting):
                isChoosing = self.hello is not None and self.hello.isChoosing
                alert = TlsAlert.internal_error if isChoosing else TlsAlert.user_canceled
                self._write(self._plainAlert(alert))
            self._fail()
        self._decision.dismiss(decision)

    # The questions of OpenSSL

    def peerPresented(self, presented: Presented) -> TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        refusal = self.judgement.verdictOn(presented)
        if refusal is None:
            self._presented = presented
        return refusal

    def peerPresentedNothing(self) -> bool:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return verdict(self.judgement.ofNobody) is None

    def certificateWantedAgain(self) -> TlsParameters | TlsAlert | None:
        """
        The same in mid-conversation, where a server shows what it has shown.
        """
        if self.isServer:
            return None
        # Whoever went on with this session would be known without being asked.
        self._resumption = None
        self.judgement.reopen()
        return self.certificateWanted()

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        if self._asksNobody:
            return None
        judgement = self.judgement
        answer: object = pause(judgement.choose, None) if judgement.hasChoice else UNCHANGED
        chosen = answer if isinstance(answer, TlsParameters) else None
        if chosen is not None or answer is UNCHANGED:
            if self._isStapleReady(chosen or self.engine.parameters):
                return chosen
            answer = None
        self._alert = answer if isinstance(answer, TlsAlert) else TlsAlert.internal_error
        return self._alert

    def _isStapleReady(self, parameters: TlsParameters) -> bool:
        """
        @return: whether the handshake may go on; if not, it is being given up.
        """
        if not self.isServer or not self._staplesFor(parameters):
            return True
        stapler = self._stapler
        assert stapler is not None
        return verdict(lambda: stapler.prepare(self._clock)) is None

    def _staplesFor(self, parameters: TlsParameters) -> bool:
        """
        Whether there may be something to fetch for our certificate.
        """
        certificate = parameters.certificate
        hasNone = certificate is None or certificate.offline
        self._stapler = stapler = None if hasNone else staplerOf(certificate)
        return stapler is not None and stapler.canFetch

    def stapleWanted(self) -> bytes | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return None if self._stapler is None else self._stapler.current()

    # What came of it

    @property
    def factsSoFar(self) -> Negotiated | None:
        """
        What is negotiated; L{None} while nobody decides about it, and after a
        failure.
        """
        isKnown = self.isWaiting and not self._isSilent and self._isEquipped
        return self.engine.negotiated() if self.facts is None and isKnown else self.facts
