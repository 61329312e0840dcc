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
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from ._openssl import TlsEngine, contextFor
from .certificates import SslStreamCertificateContext
from .chain import X509Chain, alertFor, chainOf
from .crossing import Negotiated, PeerChain
from .enums import SslPolicyErrors, TlsAlert, X509ChainStatusFlags
from .errors import AuthenticationError
from .names import certificateMatchesHost, unicodeHostName
from .options import (
    AuthenticationOptions,
    LocalCertificateSelectionCallback,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)

#: The answer of L{Judgement.choose} that everything is to stay as it is.
UNCHANGED = object()


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
        localSelection: LocalCertificateSelectionCallback | None,
    ) -> None:
        """
        @param sender: the stream, as callbacks get it.
        """
        self.remoteCertificate: x509.Certificate | None = None
        self.remoteChain: X509Chain | None = None
        self.sslPolicyErrors = SslPolicyErrors.None_
        self.isMade = False
        self.error: AuthenticationError | None = None
        self._options = options
        self._engine = engine
        self._sender: object = sender
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

    def of(self, peer: PeerChain) -> Deferred[TlsAlert | None]:
        """
        Judge a peer by its certificates.

        @return: a Deferred of L{None} for acceptance or of the alert.
        """
        chain = chainOf(peer, self._options.certificateRevocationCheckMode)
        certificate = peer.built[0]
        errors = SslPolicyErrors.None_
        if chain.chainStatus:
            errors |= SslPolicyErrors.RemoteCertificateChainErrors
        if isinstance(self._options, SslClientAuthenticationOptions) and not certificateMatchesHost(
            certificate, self._options.targetHost
        ):
            errors |= SslPolicyErrors.RemoteCertificateNameMismatch
        self.remoteChain = chain
        self.remoteCertificate = certificate
        return self._decide(errors)

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
        flags = X509ChainStatusFlags.NoError if self.remoteChain is None else self.remoteChain.flags
        details = [
            str(error.name).rstrip("_")
            for error in SslPolicyErrors
            if (error and error in self.sslPolicyErrors)
        ]
        if self.remoteChain is not None:
            details += [status.statusInformation for status in self.remoteChain.chainStatus]
        self.refuse(
            AuthenticationError(
                f"the remote certificate {what}" + "".join(f"; {each}" for each in details),
                sslPolicyErrors=self.sslPolicyErrors,
                chainStatus=flags,
            )
        )
        if self.remoteCertificate is None:
            return TlsAlert.handshake_failure
        return alertFor(flags)

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
        return self._localSelection is not None or len(self._options.candidates) > 1

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
                configured = self._options.parameters.certificate
                answer = maybeDeferred(
                    self._localSelection,
                    self._sender,
                    "",
                    () if configured is None else (configured,),
                    None,
                    (),
                )
        else:
            issuers = tuple(name.rfc4514_string() for name in self._engine.acceptableIssuers())
            candidates = self._options.candidates
            if self._localSelection is None:
                return succeed(self._chosen(_issuedByOneOf(issuers, candidates)))
            answer = maybeDeferred(
                self._localSelection,
                self._sender,
                self._options.targetHost,
                candidates,
                self._engine.peerCertificate(),
                issuers,
            )
        return answer.addCallback(self._chosen).addErrback(self._callbackFailed)

    def _chosen(self, certificate: Any) -> object:
        self._isChosen = True
        if certificate is not None:
            chosen = SslStreamCertificateContext.create(certificate)
            parameters = replace(self._engine.parameters, certificate=chosen)
            # Whatever OpenSSL has against it must show now, not in its callback.
            contextFor(parameters)
            return parameters
        if not self._isServer:
            return UNCHANGED
        self.refuse(
            AuthenticationError(
                f"no certificate for the server name {self.targetHost(self._engine.negotiated())!r}"
            )
        )
        return TlsAlert.unrecognized_name

    def targetHost(self, facts: Negotiated) -> str:
        """
        @return: the server's name: what a client asked for, in Unicode; empty
            if it asked for none.
        """
        if isinstance(self._options, SslClientAuthenticationOptions):
            return self._options.targetHost
        return unicodeHostName(facts.serverName)


def _issuedByOneOf(
    issuers: tuple[str, ...], candidates: tuple[SslStreamCertificateContext, ...]
) -> SslStreamCertificateContext:
    """
    @return: the first certificate that comes from one of the issuers a server
        named, or else the first.
    """
    for candidate in candidates:
        chain = (candidate.certificate, *candidate.intermediates)
        if any(each.issuer.rfc4514_string() in issuers for each in chain):
            return candidate
    return candidates[0]
