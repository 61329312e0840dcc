# -*- test-case-name: tests.test_authentication -*-
"""
What is thought of the peer, and what the peer is shown of us.

Findings are collected completely, then judged once, by the default policy or by
the user's callback.  The verdict, the error and the alert are decided together,
here and nowhere else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ._deferreds import forgetFrames
from ._openssl import TlsEngine, contextFor
from .chain import X509Chain, alertFor
from .ciphersuites import propertiesOf
from .crossing import Negotiated, Presented
from .enums import (
    ExchangeAlgorithmType,
    SslPolicyErrors,
    TlsAlert,
    X509ChainStatusFlags,
    X509VerificationFlags,
)
from .errors import AuthenticationError, printable
from .names import certificateMatchesHost, hostsOf, unicodeHostName
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

#: How much of a peer's names and problems an error's message tells.
_MOST_NAMES = 10
_MOST_PROBLEMS = 10


class Judgement:
    """
    One judgement of one peer.

    @ivar remoteCertificate: the peer's certificate, once it was presented.
    @ivar remoteChain: the chain that was judged.
    @ivar sslPolicyErrors: what was found wrong.
    @ivar isMade: whether the peer has been judged, with or without certificate.
    @ivar error: why the connection is refused, if so.
    """

    def __init__(
        self,
        options: AuthenticationOptions,
        engine: TlsEngine,
        sender: object,
        clock: IReactorTime,
        localSelection: LocalCertificateSelectionCallback | None,
    ) -> None:
        """
        @param sender: the stream, as callbacks get it.
        @param clock: measures time where something is fetched.
        """
        self.remoteCertificate: x509.Certificate | None = None
        self.remoteChain: X509Chain | None = None
        self.sslPolicyErrors = SslPolicyErrors.None_
        self.isMade = False
        self.error: AuthenticationError | None = None
        self._options = options
        self._engine = engine
        self._sender: object = sender
        self._clock = clock
        self._localSelection = localSelection
        self._isChosen = False
        self._isServer = isinstance(options, SslServerAuthenticationOptions)

    def release(self) -> None:
        """
        Forget what leads back to the stream: nobody will be asked any more.
        """
        self._sender = None
        self._localSelection = None

    def refuse(self, error: AuthenticationError, cause: BaseException | None = None) -> None:
        """
        Note why the connection is refused; the first reason stays.
        """
        if self.error is None:
            error.__cause__ = cause
            self.error = error

    def of(self, peer: Presented) -> Deferred[TlsAlert | None]:
        """
        Judge a peer by its certificates.

        @return: a Deferred of L{None} for acceptance or of the alert.
        """
        certificate, *others = peer.certificates
        policy = self._options.chainPolicy.clone()
        policy.extraStore = [*policy.extraStore, *others]
        policy.applicationPolicy = policy.applicationPolicy or [
            ExtendedKeyUsageOID.CLIENT_AUTH if self._isServer else ExtendedKeyUsageOID.SERVER_AUTH
        ]
        chain = X509Chain(policy, clock=self._clock)
        chain.presentedCertificates = peer.certificates
        chain.stapledResponse = peer.staple
        chain.expectsStaple = not self._isServer
        suite = self._engine.negotiated().cipherSuite
        chain.decryptsSecrets = (
            not self._isServer
            and suite is not None
            and propertiesOf(suite).keyExchangeAlgorithm is ExchangeAlgorithmType.RsaKeyX
        )
        chain.signsHandshakes = not chain.decryptsSecrets
        self.remoteCertificate = certificate
        self.remoteChain = chain
        return chain.build(certificate).addCallbacks(self._built, self._chainFailed)

    def _built(self, isFaultless: bool) -> Deferred[TlsAlert | None]:
        errors = SslPolicyErrors.None_
        if not isFaultless:
            errors |= SslPolicyErrors.RemoteCertificateChainErrors
        if self._nameProblem():
            errors |= SslPolicyErrors.RemoteCertificateNameMismatch
        return self._decide(errors)

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
            or certificateMatchesHost(certificate, self._options.targetHost)
        ):
            return ""
        hosts = hostsOf(certificate)
        named = ", ".join(map(printable, hosts[:_MOST_NAMES]))
        if len(hosts) > _MOST_NAMES:
            named += ", …"
        return f"the certificate is for {named or 'no host'}, not for {self._options.targetHost!r}"

    def ofNobody(self) -> Deferred[TlsAlert | None]:
        """
        Judge a peer that has shown no certificate.

        @return: as L{of}.
        """
        errors = SslPolicyErrors.None_
        if not self._isServer or self._engine.parameters.asksForCertificate:
            errors = SslPolicyErrors.RemoteCertificateNotAvailable
        return self._decide(errors)

    def _decide(self, errors: SslPolicyErrors) -> Deferred[TlsAlert | None]:
        """
        @return: a Deferred of L{None} for acceptance or of the alert.
        """
        self.isMade = True
        self.sslPolicyErrors = errors
        callback = self._options.remoteCertificateValidationCallback
        if callback is None:
            return succeed(self._refusal("is invalid") if errors else None)
        answer = maybeDeferred(
            callback, self._sender, self.remoteCertificate, self.remoteChain, errors
        )
        return answer.addCallbacks(self._verdict, self._callbackFailed)

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
            problems.append(self._nameProblem())
        details = [
            *(str(error.name) for error in SslPolicyErrors if error & self.sslPolicyErrors),
            *problems[:_MOST_PROBLEMS],
        ]
        if len(problems) > _MOST_PROBLEMS:
            details.append(f"and {len(problems) - _MOST_PROBLEMS} problems more")
        flags = X509ChainStatusFlags.NoError if chain is None else chain.flags
        self.refuse(
            AuthenticationError(
                f"the remote certificate {what}" + "".join(f"; {each}" for each in details),
                sslPolicyErrors=self.sslPolicyErrors,
                chainStatus=flags,
                chainElements=() if chain is None else chain.chainElements,
                problems=tuple(problems),
            )
        )
        if chain is None:
            return TlsAlert.handshake_failure
        return alertFor(chain.countingFlags)

    def _chainFailed(self, failure: Failure) -> TlsAlert:
        if self.error is not None:
            # Nobody waits any more, and the frames would hold one another.
            forgetFrames(failure.value)
            failure.tb = None
            return TlsAlert.internal_error
        self.refuse(
            AuthenticationError(
                f"the remote certificate could not be judged: {failure.getErrorMessage()}",
                sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
            ),
            failure.value,
        )
        return TlsAlert.internal_error

    def _callbackFailed(self, failure: Failure) -> TlsAlert:
        self.refuse(
            AuthenticationError(
                f"a callback failed: {type(failure.value).__name__}: {failure.getErrorMessage()}",
                sslPolicyErrors=self.sslPolicyErrors,
            ),
            failure.value,
        )
        return TlsAlert.internal_error

    @property
    def hasChoice(self) -> bool:
        """
        Whether which certificate we show is still to be chosen.  The choice
        stands when OpenSSL asks again, for the hello that answers a
        HelloRetryRequest.
        """
        if self._isChosen:
            return False
        if isinstance(self._options, SslServerAuthenticationOptions):
            return bool(self._options.serverCertificateSelectionCallback or self._localSelection)
        return self._localSelection is not None or bool(self._options.clientCertificates)

    @property
    def asksBeforeHello(self) -> bool:
        """
        Whether a client's callback is asked before anything is known of the
        server (.NET does so, too).
        """
        return not self._isServer and self._localSelection is not None

    def choose(self) -> Deferred[object]:
        """
        Choose it.

        @return: a Deferred of parameters, L{UNCHANGED}, or the alert of a
            refusal.
        """
        if isinstance(self._options, SslServerAuthenticationOptions):
            select = self._options.serverCertificateSelectionCallback
            if select is not None:
                answer = maybeDeferred(
                    select, self._sender, self.targetHost(self._engine.negotiated())
                )
            else:
                assert self._localSelection is not None
                configured = self._engine.parameters.certificate
                answer = maybeDeferred(
                    self._localSelection,
                    self._sender,
                    "",
                    () if configured is None else (configured,),
                    None,
                    (),
                )
        elif self._localSelection is None:
            chosen = bestCandidate(
                self._options.candidates, self._engine.acceptableIssuers(), self._engine.keyTypes
            )
            return succeed(self._chosen(chosen))
        else:
            issuers = tuple(name.rfc4514_string() for name in self._engine.acceptableIssuers())
            return self._askClient(self._engine.peerCertificate(), issuers)
        return answer.addCallback(self._chosen).addErrback(self._callbackFailed)

    def chooseBeforeHello(self) -> Deferred[object]:
        """
        Choose without knowing anything of the server.

        @return: as L{choose}.
        """

        def remains(answer: object) -> object:
            self._isChosen = False
            return answer

        return self._askClient(None, ()).addCallback(remains)

    def _askClient(
        self, remoteCertificate: x509.Certificate | None, issuers: tuple[str, ...]
    ) -> Deferred[object]:
        options = self._options
        assert isinstance(options, SslClientAuthenticationOptions)
        assert self._localSelection is not None
        answer = maybeDeferred(
            self._localSelection,
            self._sender,
            options.targetHost,
            options.candidates,
            remoteCertificate,
            issuers,
        )
        return answer.addCallback(self._chosen).addErrback(self._callbackFailed)

    def _chosen(self, certificate: Any) -> object:
        self._isChosen = True
        if certificate is None and self._isServer:
            name = self.targetHost(self._engine.negotiated())
            self.refuse(AuthenticationError(f"no certificate for the server name {name!r}"))
            return TlsAlert.unrecognized_name
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
