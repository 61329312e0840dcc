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

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ._openssl import TlsEngine
from ._waiting import PausableCall, pause
from .crossing import Negotiated, Presented, Step
from .enums import SslPolicyErrors, TlsAlert, X509ChainStatusFlags, X509RevocationMode
from .errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
)
from .judgement import UNCHANGED, Judgement
from .names import serverNameFor
from .options import (
    AuthenticationOptions,
    LocalCertificateSelectionCallback,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)
from .parameters import TlsParameters
from .records import APPLICATION_DATA, alertRecord, recordKinds
from .security import SecurityInfo, securityInfo
from .stapling import Stapler, staplerOf
from .states import WireState

#: What OpenSSL says about bytes that are no TLS.
_NOT_TLS = (
    "wrong version number",
    "http request",
    "https proxy request",
    "unknown protocol",
    "packet length too long",
    "invalid alert",
)


@dataclass
class Owner:
    """
    Whom an authentication works for.

    @ivar write: takes bytes for the peer.
    @ivar changed: told of each new state.
    @ivar finished: told of the end, with the error or L{None}.
    """

    write: Callable[[bytes], None]
    changed: Callable[[WireState], None]
    finished: Callable[[AuthenticationError | None], None]


#: An answer unlike L{None}, which a question gets that nobody will answer.
_ACCEPTED = object()


class Authentication:
    """
    One handshake with its verdict.

    @ivar engine: OpenSSL's side of it.
    @ivar judgement: what is thought of the peer.
    @ivar facts: what was negotiated, once it has succeeded.
    @ivar handshakeTimeout: seconds, or L{None}.
    """

    #: More than this, in bytes, is not taken from a peer while somebody decides.
    WITHHELD_LIMIT = 64 * 1024

    _log = Logger()

    def __init__(
        self,
        options: AuthenticationOptions,
        sender: object,
        clock: IReactorTime,
        *,
        handshakeTimeout: float | None,
        localCertificateSelectionCallback: LocalCertificateSelectionCallback | None = None,
    ) -> None:
        """
        @param sender: the stream, as callbacks get it.
        @param localCertificateSelectionCallback: a server's, if it has one.
        """
        self.options = options
        self.isServer = isinstance(options, SslServerAuthenticationOptions)
        name = None
        if isinstance(options, SslClientAuthenticationOptions):
            name = serverNameFor(options.targetHost)
            localCertificateSelectionCallback = options.localCertificateSelectionCallback
        wantsStaple = (
            not self.isServer
            and options.chainPolicy.revocationMode is not X509RevocationMode.NoCheck
        )
        keyLog = None if options.keyLog is None else partial(options.keyLog, clock)
        self.engine = TlsEngine(options.parameters, self, name, wantsStaple, keyLog)
        self.judgement = Judgement(
            options, self.engine, sender, clock, localCertificateSelectionCallback
        )
        self._clock = clock
        self.handshakeTimeout = handshakeTimeout
        self._timer: IDelayedCall | None = None
        self._owner: Owner | None = None
        self._call: PausableCall[Step] | None = None
        self._decision: Deferred[Any] | None = None
        self._held: tuple[bytes, Step] | None = None
        self._withheld = bytearray()
        # Whether the hello that a client begins with is still being held back.
        self._isSilent = False
        self.facts: Negotiated | None = None
        self._stapler: Stapler | None = None
        self._tellsPeer = True
        self._alert: TlsAlert | None = None

    # The way through

    def begin(self, owner: Owner) -> None:
        """
        Send what comes first and start the clock.
        """
        self._owner = owner
        if self.handshakeTimeout is not None:
            self._timer = self._clock.callLater(self.handshakeTimeout, self._timedOut)
        if self.judgement.asksBeforeHello:
            self._isSilent = True
            self._changed(WireState.handshaking)
            self._await(
                maybeDeferred(self.judgement.chooseBeforeHello), self._preselected, self._fail
            )
        else:
            self._proceed()

    def _preselected(self, answer: object) -> None:
        """
        A client's callback has answered before the hello.  What it has chosen
        does not matter: it is asked again by who wants to see it.
        """
        if isinstance(answer, TlsAlert):
            self._fail()
        else:
            self._proceed()

    @property
    def isWaiting(self) -> bool:
        """
        Whether somebody is deciding.
        """
        return self._isSilent or self._call is not None or self._held is not None

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
            self._withheld += data
            return len(self._withheld) < self.WITHHELD_LIMIT
        self.engine.feed(data)
        self._proceed()
        return True

    def _proceed(self) -> None:
        self._isSilent = False
        self._changed(WireState.handshaking)
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
            if self._decision is not decision:
                return
            self._decision = None
            self._changed(WireState.handshaking)
            if self._withheld:
                self.engine.feed(bytes(self._withheld))
                self._withheld.clear()
            if isinstance(result, Failure):
                self.judgement.refuse(
                    AuthenticationError("deciding about the connection failed"), result.value
                )
                refuse()
            else:
                answer(result)

        if self.isFinished:
            # The question itself has made an end of it.
            self._dismiss(decision)
            return
        self._decision = decision
        decision.addBoth(decided)
        if self._decision is decision:
            self._changed(WireState.waiting)

    def _stepped(self, step: Step) -> None:
        """
        OpenSSL has come to the end of what it had, or of the handshake.
        """
        self._call = None
        wasEncrypting = self.engine.isEncrypting
        output = self.engine.output()
        if step is Step.failed:
            if self._alert is not None and not wasEncrypting:
                output = self._plainAlert(self._alert)
            self._write(output)
            self._fail()
            return
        isFlight = step is Step.complete or APPLICATION_DATA in recordKinds(output)
        if isFlight and not self.judgement.isMade and self._nobodyIsExpected(step):
            self._held = (output, step)
            self._await(maybeDeferred(self._judgeUnasked, step), self._letGo, self._refuseHeld)
            return
        self._write(output)
        if step is Step.complete:
            self._finish(None)

    def _nobodyIsExpected(self, step: Step) -> bool:
        """
        Whether no certificate of the peer will come any more.
        """
        return step is Step.complete or not self.engine.parameters.asksForCertificate

    def _judgeUnasked(self, step: Step) -> Deferred[TlsAlert | None]:
        """
        Judge a peer about which OpenSSL does not ask: one without certificate,
        or one whose session goes on.
        """
        known = self.engine.presented() if step is Step.complete else None
        return self.judgement.ofNobody() if known is None else self.judgement.of(known)

    def _letGo(self, refusal: TlsAlert | None) -> None:
        """
        A connection without a certificate of the peer has been judged.
        """
        if refusal is not None:
            self._refuseHeld(refusal)
        elif self._held is not None:
            output, step = self._held
            self._held = None
            self._write(output)
            if step is Step.complete:
                self._finish(None)
            else:
                self._proceed()

    def _refuseHeld(self, alert: TlsAlert = TlsAlert.internal_error) -> None:
        self._held = None
        if self.isServer:
            # The flight that was held back is what would have begun encryption.
            self._write(self._plainAlert(alert))
        self._fail()

    def _plainAlert(self, alert: TlsAlert) -> bytes:
        self.engine.alertSent = alert
        return alertRecord(alert)

    def _write(self, data: bytes) -> None:
        if data and self._owner is not None and self._tellsPeer:
            self._owner.write(data)

    # The outcome

    def _fail(self) -> None:
        error = self.judgement.error or self._engineError()
        error.alert = self.engine.alertReceived
        error.alertSent = self.engine.alertSent if self._tellsPeer else None
        self._finish(error)

    def _engineError(self) -> AuthenticationError:
        reasons = ", ".join(self.engine.reasons) or "no reason given"
        if self.engine.isPeerUnreadable:
            return AuthenticationError(
                "the remote certificate cannot be read",
                sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
                chainStatus=X509ChainStatusFlags.InvalidExtension,
            )
        if self.engine.alertReceived is not None:
            return AuthenticationError(f"the peer refused the handshake: {reasons}")
        if any(reason in _NOT_TLS for reason in self.engine.reasons):
            return AuthenticationError(f"the peer does not speak TLS: {reasons}")
        errors = SslPolicyErrors.None_
        if "peer did not return a certificate" in self.engine.reasons:
            errors = SslPolicyErrors.RemoteCertificateNotAvailable
        return AuthenticationError(f"the handshake failed: {reasons}", sslPolicyErrors=errors)

    def _finish(self, error: AuthenticationError | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        owner, self._owner = self._owner, None
        self._call = None
        self.judgement.release()
        if error is None:
            self.facts = self.engine.negotiated()
        self.engine.release()
        if owner is not None:
            owner.changed(WireState.open if error is None else WireState.failed)
            owner.finished(error)

    # Giving up

    def _timedOut(self) -> None:
        self._timer = None
        what = " while a callback was deciding" if self.isWaiting else ""
        self._giveUp(
            HandshakeTimeout(f"no end of the handshake within {self.handshakeTimeout} s{what}")
        )

    def cancel(self, why: str = "the authentication was cancelled", tellsPeer: bool = True) -> None:
        """
        End it, unless it has ended.

        @param tellsPeer: whether an alert is still sent.
        """
        self._tellsPeer = tellsPeer
        self._giveUp(HandshakeCancelled(why))

    def connectionLost(self, reason: Failure) -> None:
        """
        End it, unless it has ended, because the peer is gone.
        """
        self._tellsPeer = False
        self._giveUp(HandshakeInterrupted("the connection was lost in the handshake"), reason.value)

    def _giveUp(self, error: AuthenticationError, cause: BaseException | None = None) -> None:
        if self.isFinished:
            return
        self.judgement.refuse(error, cause)
        decision, self._decision = self._decision, None
        call = self._call
        if call is not None:
            call.refuse()
        elif self._held is not None:
            self._refuseHeld(TlsAlert.user_canceled)
        else:
            if not (self._isSilent or self.engine.isEncrypting):
                self._write(self._plainAlert(TlsAlert.user_canceled))
            self._fail()
        if decision is not None:
            self._dismiss(decision)

    def _dismiss(self, decision: Deferred[Any]) -> None:
        """
        Cancel a decision that nobody waits for any more; its outcome is ours to
        swallow.
        """
        decision.addErrback(lambda _: None)
        try:
            decision.cancel()
        except Exception:
            self._log.failure("a callback's Deferred failed to be cancelled")

    # The questions of OpenSSL

    def peerPresented(self, presented: Presented) -> TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        answer = pause(lambda: self.judgement.of(presented).addCallback(_acceptance), None)
        if answer is _ACCEPTED:
            return None
        return answer if isinstance(answer, TlsAlert) else TlsAlert.certificate_unknown

    def peerPresentedNothing(self) -> bool:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return pause(lambda: self.judgement.ofNobody().addCallback(_acceptance), None) is _ACCEPTED

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        answer: object = UNCHANGED
        if self.judgement.hasChoice:
            answer = pause(self.judgement.choose, None)
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
        certificate = parameters.certificate
        if not self.isServer or certificate is None:
            return True
        self._stapler = stapler = staplerOf(certificate)
        if not stapler.canFetch:
            return True
        answer = pause(lambda: stapler.prepare(self._clock).addCallback(_acceptance), None)
        return answer is _ACCEPTED

    def stapleWanted(self) -> bytes | None:
        """
        See L{txsslstream.crossing.Decisions}.
        """
        return None if self._stapler is None else self._stapler.current()

    # What came of it

    @property
    def targetHostName(self) -> str:
        """
        The server's name: what a client asked for, in Unicode; empty if it
        asked for none.
        """
        return self.judgement.targetHost(self.facts or self.engine.negotiated())

    @property
    def checksRevocation(self) -> bool:
        """
        Whether the peer's certificate was to be checked for revocation.
        """
        return self.options.certificateRevocationCheckMode is not X509RevocationMode.NoCheck

    @property
    def localCertificate(self) -> x509.Certificate | None:
        """
        Our certificate, if the peer was shown one.
        """
        chosen = self.engine.parameters.certificate
        isShown = self.isServer or self.engine.wasAskedForCertificate
        return chosen.certificate if chosen is not None and isShown else None

    def describe(self, leaveInnerStreamOpen: bool) -> SecurityInfo | None:
        """
        @return: the properties; without certificates while somebody decides
            about them, and L{None} before that and after a failure.
        """
        facts = self.facts
        isAuthenticated = facts is not None
        if facts is None:
            if self._isSilent or not self.isWaiting:
                return None
            facts = self.engine.negotiated()
        return securityInfo(
            facts,
            isAuthenticated=isAuthenticated,
            isServer=self.isServer,
            checkCertRevocationStatus=self.checksRevocation,
            localCertificate=self.localCertificate if isAuthenticated else None,
            remoteCertificate=self.judgement.remoteCertificate if isAuthenticated else None,
            remoteChain=self.judgement.remoteChain if isAuthenticated else None,
            targetHostName=self.targetHostName,
            leaveInnerStreamOpen=leaveInnerStreamOpen,
        )


def _acceptance(refusal: TlsAlert | None) -> object:
    return _ACCEPTED if refusal is None else refusal
