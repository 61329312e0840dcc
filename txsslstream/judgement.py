# -*- test-case-name: tests.test_authentication -*-
"""
What is thought of the peer, and what the peer is shown of us.

Findings are collected completely, then judged once, by the default policy or by
the user's callback.  The verdict, the error and the alert are decided together,
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ._deferreds import forgetFrames, unless
from ._openssl import TlsEngine, contextFor
from ._waiting import pause
from .chain import X509Chain, alertFor, isAtOnce
from .ciphersuites import propertiesOf
from .crossing import Negotiated, Presented
from .enums import (
    ExchangeAlgorithmType,
    SslPolicyErrors,
    TlsAlert,
    X509ChainStatusFlags,
    X509VerificationFlags,
)
from .errors import AuthenticationError, HandshakeFailureReason
from .names import nameProblem, unicodeHostName
from .options import (
    AuthenticationOptions,
    LocalCertificateSelectionCallback,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    contextWithKey,
)
from .selection import bestCandidate

#: The answer of L{Judgement.choose} that everything is to stay as it is.
UNCHANGED = object()

_SERVER_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH,)
_CLIENT_USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH,)

#: How many of a peer's problems an error's message tells.
_MOST_PROBLEMS = 10


#: An answer unlike L{None}, which a question gets that nobody will answer.
_ACCEPTED = object()


def acceptance(refusal: TlsAlert | None) -> object:
    """
    @param refusal: what L{Judgement.of} and L{Judgement.ofNobody} say.
    @return: the same as an answer that a question gets only from somebody.
    """
    return _ACCEPTED if refusal is None else refusal


def refusalIn(answer: object) -> TlsAlert | None:
    """
    @param answer: an L{acceptance}, or L{None} if nobody has answered.
    @return: the alert of a refusal.
    """
    if answer is _ACCEPTED:
        return None
    return answer if isinstance(answer, TlsAlert) else TlsAlert.certificate_unknown


def verdict(judge: Callable[[], Deferred[Any]]) -> TlsAlert | None:
    """
    Have a peer judged while OpenSSL waits for that.

    @param judge: L{Judgement.of}, L{Judgement.ofNobody} or the like.
    @return: L{None} for acceptance, which nobody but the judge can give, or the
        alert of a refusal.
    """
    return refusalIn(pause(lambda: judge().addCallback(acceptance), None))


class Reason:
    """
    Why a connection is refused.

    @ivar error: the error that tells it, if so.
    """

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: AuthenticationError | None = None

    def note(self, error: AuthenticationError, cause: BaseException | None = None) -> None:
        """
        Note a reason; the first one stays.
        """
        if self.error is None:
            error.__cause__ = cause
            self.error = error

    def callbackFailed(
        self, failure: Failure, errors: SslPolicyErrors = SslPolicyErrors.None_
    ) -> TlsAlert:
        """
        Note that a callback has raised, or given an answer that is none.

        @return: the alert for that.
        """
        what = f"{type(failure.value).__name__}: {failure.getErrorMessage()}"
        error = AuthenticationError(f"a callback failed: {what}", sslPolicyErrors=errors)
        self.note(error, failure.value)
        return TlsAlert.internal_error


class Judgement:
    """
    One judgement of one peer.

    @ivar remoteCertificate: the peer's certificate, once it was presented.
    @ivar remoteChain: the chain that was judged.
    @ivar sslPolicyErrors: what was found wrong.
    @ivar isExpected: whether a client was asked for a certificate in
        mid-conversation.
    @ivar isMade: whether the peer has been judged, with or without certificate.
    """

    def __init__(
        self,
        options: AuthenticationOptions,
        engine: TlsEngine,
        sender: object,
        clock: IReactorTime,
        reason: Reason,
    ) -> None:
        """
        @param sender: the stream, as callbacks get it.
        @param reason: where to note why the connection is refused.
        @param clock: measures time where something is fetched.
        """
        self.remoteCertificate: x509.Certificate | None = None
        self.remoteChain: X509Chain | None = None
        self.sslPolicyErrors = SslPolicyErrors.None_
        self.isExpected = False
        self.isMade = False
        self._reason = reason
        self._options = options
        self._engine = engine
        self._sender: object = sender
        self._clock = clock
        self._isOver = False
        self._localSelection: LocalCertificateSelectionCallback | None = None
        if isinstance(options, SslClientAuthenticationOptions):
            self._localSelection = options.localCertificateSelectionCallback
        self._isChosen = False
        self._isServer = isinstance(options, SslServerAuthenticationOptions)

    def release(self) -> None:
        """
        Forget what leads back to the stream: nobody will be asked any more.
        """
        self._isOver = True
        self._sender = None
        self._localSelection = None

    @property
    def isAtOnce(self) -> bool:
        """
        Whether a peer is judged without asking anybody and fetching anything.
        """
        options = self._options
        policy = options.chainPolicy
        return options.remoteCertificateValidationCallback is None and isAtOnce(policy)

    def of(self, peer: Presented) -> Deferred[TlsAlert | None]:
        """
        Judge a peer by its certificates.

        @return: a Deferred of L{None} for acceptance or of the alert.
        """
        chain = self._begin(peer)
        return chain.build(peer.certificates[0]).addCallbacks(self._built, self._chainFailed)

    def verdictOn(self, peer: Presented) -> TlsAlert | None:
        """
        Judge a peer while OpenSSL waits for that.

        @return: as L{verdict}.
        """
        try:
            answer = self.atOnce(peer)
        except Exception:
            # Our own fault, and told so.
            return self._reason.callbackFailed(Failure())
        return verdict(lambda: self.of(peer)) if answer is None else refusalIn(answer)

    def atOnce(self, peer: Presented) -> TlsAlert | object | None:
        """
        The same where nobody has to be asked, and nothing to be fetched.

        @return: an L{acceptance}; L{None} if it is to be asked with L{of}.
        """
        if self._options.remoteCertificateValidationCallback is not None:
            return None
        chain = self._begin(peer)
        try:
            isFaultless = chain.buildAtOnce(peer.certificates[0])
        except Exception:
            return self._chainFailed(Failure())
        if isFaultless is None:
            return None
        return acceptance(self._conclude(self._errorsIn(isFaultless)))

    def _begin(self, peer: Presented) -> X509Chain:
        policy = self._options.chainPolicy.extended(
            peer.certificates,
            _CLIENT_USAGES if self._isServer else _SERVER_USAGES,
            isKept=peer.isSmall,
        )
        chain = X509Chain.judging(policy, self._clock)
        chain.presentedCertificates = peer.certificates
        chain.stapledResponse = peer.staple
        chain.expectsStaple = not self._isServer
        suite = self._engine.cipherSuite()
        chain.decryptsSecrets = (
            not self._isServer
            and suite is not None
            and propertiesOf(suite).keyExchangeAlgorithm is ExchangeAlgorithmType.RsaKeyX
        )
        chain.signsHandshakes = not chain.decryptsSecrets
        self.remoteCertificate = peer.certificates[0]
        self.remoteChain = chain
        return chain

    def _built(self, isFaultless: bool) -> Deferred[TlsAlert | None]:
        return self._decide(self._errorsIn(isFaultless))

    def _errorsIn(self, isFaultless: bool) -> SslPolicyErrors:
        errors = SslPolicyErrors.None_
        if not isFaultless:
            errors |= SslPolicyErrors.RemoteCertificateChainErrors
        if self._nameProblem():
            errors |= SslPolicyErrors.RemoteCertificateNameMismatch
        return errors

    def _nameProblem(self) -> str:
        """
        @return: what is wrong with the names of a server's certificate, if
            they count.
        """
        flags = self._options.chainPolicy.verificationFlags
        certificate = self.remoteCertificate
        if (
            not isinstance(self._options, SslClientAuthenticationOptions)
            or certificate is None
            or flags & X509VerificationFlags.IgnoreInvalidName
        ):
            return ""
        return nameProblem(certificate, self._options.targetHost)

    def ofNobody(self) -> Deferred[TlsAlert | None]:
        """
        Judge a peer that has shown no certificate.

        @return: as L{of}.
        """
        return self._decide(self._errorsOfNobody())

    def ofNobodyAtOnce(self) -> TlsAlert | None:
        """
        The same if L{isAboutNobody}.
        """
        return self._conclude(self._errorsOfNobody())

    @property
    def isAboutNobody(self) -> bool:
        """
        Whether a server neither asks clients for certificates nor anybody about
        clients.
        """
        callback = self._options.remoteCertificateValidationCallback
        asks = self._engine.parameters.asksForCertificate
        return callback is None and self._isServer and not asks

    def ofUnasked(self, isOver: bool) -> Deferred[TlsAlert | None]:
        """
        Judge a peer about which OpenSSL does not ask: one without certificate,
        or a client whose session goes on.

        @param isOver: whether the handshake is.
        @return: as L{of}.
        """
        isKnown = isOver or self._engine.isResumed
        # Who was asked later, in mid-conversation, is nobody in another one.
        wasAsked = not self._isServer or self._engine.parameters.asksForCertificate
        known = self._engine.presented() if isKnown and wasAsked else None
        return self.ofNobody() if known is None else self.of(known)

    def _errorsOfNobody(self) -> SslPolicyErrors:
        self.remoteCertificate = self.remoteChain = None
        if not self._isServer or self.isExpected or self._engine.parameters.asksForCertificate:
            return SslPolicyErrors.RemoteCertificateNotAvailable
        return SslPolicyErrors.None_

    def _decide(self, errors: SslPolicyErrors) -> Deferred[TlsAlert | None]:
        """
        @return: a Deferred of L{None} for acceptance or of the alert.
        """
        callback = self._options.remoteCertificateValidationCallback
        if callback is None:
            return succeed(self._conclude(errors))
        self._note(errors)
        answer: Deferred[Any] = maybeDeferred(
            callback, self._sender, self.remoteCertificate, self.remoteChain, errors
        )
        return unless(self._isOver, answer).addCallbacks(self._verdict, self._callbackFailed)

    def _note(self, errors: SslPolicyErrors) -> None:
        self.isMade = True
        self.sslPolicyErrors = errors

    def _conclude(self, errors: SslPolicyErrors) -> TlsAlert | None:
        """
        Judge without anybody's opinion.
        """
        self._note(errors)
        return self._refusal("is invalid") if errors else None

    def _verdict(self, answer: object) -> TlsAlert | None:
        if answer is True:
            return None
        if answer is False:
            return self._refusal("was refused by remoteCertificateValidationCallback")
        return self._callbackFailed(
            Failure(TypeError(f"the answer must be True or False, not {type(answer).__name__}"))
        )

    def _refusal(self, what: str) -> TlsAlert:
        chain = self.remoteChain
        problems = list(chain.problems) if chain is not None else []
        if self.sslPolicyErrors & SslPolicyErrors.RemoteCertificateNameMismatch:
            problems.append(f"the certificate {self._nameProblem()}")
        details = [
            *(str(error.name) for error in SslPolicyErrors if error & self.sslPolicyErrors),
            *problems[:_MOST_PROBLEMS],
        ]
        if len(problems) > _MOST_PROBLEMS:
            details.append(f"and {len(problems) - _MOST_PROBLEMS} problems more")
        flags = X509ChainStatusFlags.NoError if chain is None else chain.flags
        self._reason.note(
            AuthenticationError(
                f"the remote certificate {what}" + "".join(f"; {each}" for each in details),
                sslPolicyErrors=self.sslPolicyErrors,
                chainStatus=flags,
                chainElements=() if chain is None else chain.chainElements,
                problems=tuple(problems),
                # Nobody else objects to a peer without a fault.
                reason=None if self.sslPolicyErrors else HandshakeFailureReason.callbackRefused,
            )
        )
        if chain is None:
            return TlsAlert.handshake_failure
        return alertFor(chain.countingFlags)

    def _chainFailed(self, failure: Failure) -> TlsAlert:
        if self._reason.error is not None:
            # Nobody waits any more, and the frames would hold one another.
            forgetFrames(failure.value)
            failure.tb = None
            return TlsAlert.internal_error
        self._reason.note(
            AuthenticationError(
                f"the remote certificate could not be judged: {failure.getErrorMessage()}",
                sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
            ),
            failure.value,
        )
        return TlsAlert.internal_error

    def _callbackFailed(self, failure: Failure) -> TlsAlert:
        return self._reason.callbackFailed(failure, self.sslPolicyErrors)

    @property
    def hasChoice(self) -> bool:
        """
        Whether which certificate a client shows is still to be chosen.
        """
        options = self._options
        if self._isChosen or not isinstance(options, SslClientAuthenticationOptions):
            return False
        return self._localSelection is not None or bool(options.clientCertificates)

    def reopen(self) -> None:
        """
        What is shown is to be chosen once more.
        """
        self._isChosen = False

    @property
    def asksBeforeHello(self) -> bool:
        """
        Whether a client's callback is asked before anything is known of the
        server (.NET does so, too).
        """
        return self._localSelection is not None

    def choose(self) -> Deferred[object]:
        """
        Choose it.

        @return: a Deferred of parameters, L{UNCHANGED}, or the alert of a
            refusal.
        """
        options = self._options
        assert isinstance(options, SslClientAuthenticationOptions)
        if self._localSelection is None:
            chosen = bestCandidate(
                options.candidates, self._engine.acceptableIssuers(), self._engine.keyTypes
            )
            return succeed(self._chosen(chosen))
        issuers = tuple(name.rfc4514_string() for name in self._engine.acceptableIssuers())
        return self._ask(self._engine.peerCertificate(), issuers)

    def chooseBeforeHello(self) -> Deferred[object]:
        """
        Choose without knowing anything of the server.

        @return: as L{choose}.
        """

        def remains(answer: object) -> object:
            self.reopen()
            return answer

        return self._ask(None, ()).addCallback(remains)

    def _ask(
        self, remoteCertificate: x509.Certificate | None, issuers: tuple[str, ...]
    ) -> Deferred[object]:
        options = self._options
        assert isinstance(options, SslClientAuthenticationOptions)
        assert self._localSelection is not None
        select: Callable[..., object] = self._localSelection
        answer: Deferred[Any] = maybeDeferred(
            select,
            self._sender,
            options.targetHost,
            options.candidates,
            remoteCertificate,
            issuers,
        )
        answer = unless(self._isOver, answer)
        return answer.addCallback(self._chosen).addErrback(self._callbackFailed)

    def _chosen(self, certificate: Any) -> object:
        self._isChosen = True
        chosen = None if certificate is None else contextWithKey(certificate).current
        parameters = replace(self._engine.parameters, certificate=chosen)
        if parameters == self._engine.parameters:
            return UNCHANGED
        # Whatever OpenSSL has against it must show now, not in its callback.
        contextFor(parameters)
        return parameters

    def targetHost(self, facts: Negotiated) -> str:
        """
        @return: the server's name: what a client asked for, in Unicode; empty
            if it asked for none.
        """
        if isinstance(self._options, SslClientAuthenticationOptions):
            return self._options.targetHost
        return unicodeHostName(facts.serverName)
