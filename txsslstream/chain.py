# -*- test-case-name: tests.test_chain -*-
"""
The chain of a certificate with everything that is wrong with it.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from typing_extensions import Self

from ._cache import defaultCache
from ._fetching import NothingForStrangers, defaultClock, defaultRetriever
from .certificatefacts import factsOf, readableName
from .certificates import SomeCertificate, loadCertificates
from .chainchecks import DEFAULT_DEPTH, Criteria
from .crossing import Finding
from .enums import (
    TlsAlert,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509VerificationFlags,
)
from .interfaces import IRetriever
from .issuers import fetchIssuers
from .knownpaths import knownPaths
from .paths import Path, anchorsOf
from .policy import X509ChainPolicy, checksRevocation, conclusionOf, keepConclusion
from .revocation import RevocationChecker
from .sources import Retrievals
from .stores import Stores, storesNow, userIntermediates

_S = X509ChainStatusFlags
_V = X509VerificationFlags


@dataclass(frozen=True)
class X509ChainStatus:
    """
    One problem (.NET: C{X509ChainStatus}).

    @ivar status: the problem, as one flag or several that always come together.
    @ivar statusInformation: the same in words, as the end of a sentence that
        begins with the certificate.
    """

    status: X509ChainStatusFlags
    statusInformation: str


@dataclass(frozen=True)
class X509ChainElement:
    """
    One certificate of a chain (.NET: C{X509ChainElement}).

    @ivar chainElementStatus: what is wrong with it, as a tuple; empty if
        nothing is.
    """

    certificate: x509.Certificate
    chainElementStatus: tuple[X509ChainStatus, ...]


#: What each of the flags about verification excuses.
_EXCUSED: dict[X509VerificationFlags, X509ChainStatusFlags] = {
    _V.IgnoreNotTimeValid: _S.NotTimeValid,
    _V.IgnoreCtlNotTimeValid: _S.CtlNotTimeValid,
    _V.IgnoreNotTimeNested: _S.NotTimeNested,
    _V.IgnoreInvalidBasicConstraints: _S.InvalidBasicConstraints,
    _V.AllowUnknownCertificateAuthority: _S.UntrustedRoot | _S.PartialChain,
    _V.IgnoreWrongUsage: _S.NotValidForUsage | _S.CtlNotValidForUsage,
    _V.IgnoreInvalidName: (
        _S.InvalidNameConstraints
        | _S.HasNotSupportedNameConstraint
        | _S.HasNotDefinedNameConstraint
        | _S.HasNotPermittedNameConstraint
        | _S.HasExcludedNameConstraint
    ),
    _V.IgnoreInvalidPolicy: _S.NoIssuanceChainPolicy | _S.InvalidPolicyConstraints,
}
#: What an authority may have issued all the same.
_HARMLESS = frozenset({_S.NotTimeValid, _S.NotValidForUsage, _S.HasWeakSignature})
_UNKNOWN_REVOCATION = _S.RevocationStatusUnknown | _S.OfflineRevocation


@dataclass
class _Conclusion:
    """
    A chain, without a fault if its path is steady.
    """

    asked: tuple[object, ...]
    path: Path
    elements: tuple[X509ChainElement, ...]


class X509Chain:
    """
    The chain of a certificate up to a trusted root (.NET: C{X509Chain}).

    @ivar chainElements: the certificate itself first, the root last; empty
        before L{build}.
    @ivar presentedCertificates: what the peer sent, in its order, if a peer
        did.
    @ivar stapledResponse: the OCSP response that a server stapled, in DER.
    @ivar expectsStaple: whether the certificate is that of a server that was
        asked to staple, so that what it says about that counts (RFC 7633).
    @ivar signsHandshakes: whether the certificate's key has to be good for
        signing TLS handshakes, so that its key usage counts (RFC 8446 section
        4.4.2.2).
    @ivar decryptsSecrets: the same for decrypting the secrets that clients send
        with RSA key transport (RFC 5246 section 7.4.2).
    """

    def __init__(
        self, chainPolicy: X509ChainPolicy | None = None, *, clock: IReactorTime | None = None
    ) -> None:
        """
        @param chainPolicy: L{None} for one with .NET's defaults, but without
            revocation.
        @param clock: measures time where something is fetched; L{None}: the
            reactor.
        """
        self._policy = X509ChainPolicy() if chainPolicy is None else chainPolicy
        self._isShared = False
        self.chainElements: tuple[X509ChainElement, ...] = ()
        self.presentedCertificates: tuple[x509.Certificate, ...] = ()
        self.stapledResponse: bytes | None = None
        self.expectsStaple = False
        self.signsHandshakes = False
        self.decryptsSecrets = False
        self._clock = clock
        # What the elements were built with, whatever becomes of the policy.
        self._flags = _V.NoFlag

    @classmethod
    def judging(cls, policy: X509ChainPolicy, clock: IReactorTime) -> Self:
        """
        @param policy: frozen; whoever looks at the chain's policy gets a copy
            that can be changed.
        """
        chain = cls(policy, clock=clock)
        chain._isShared = True
        return chain

    @property
    def chainPolicy(self) -> X509ChainPolicy:
        """
        What L{build} judges by; it may be changed or replaced.
        """
        if self._isShared:
            self._isShared = False
            self._policy = self._policy.clone()
        return self._policy

    @chainPolicy.setter
    def chainPolicy(self, policy: X509ChainPolicy) -> None:
        self._isShared = False
        self._policy = policy

    @classmethod
    def found(cls, certificates: Iterable[x509.Certificate]) -> Self:
        """
        @param certificates: what somebody else has built and found faultless.
        """
        chain = cls()
        chain.chainElements = tuple(X509ChainElement(each, ()) for each in certificates)
        return chain

    @property
    def chainStatus(self) -> tuple[X509ChainStatus, ...]:
        """
        Every problem of every element, each once.
        """
        return tuple(
            dict.fromkeys(
                status for element in self.chainElements for status in element.chainElementStatus
            )
        )

    @property
    def flags(self) -> X509ChainStatusFlags:
        """
        All problems joined.
        """
        return joinedFlags(self.chainStatus)

    @property
    def problems(self) -> tuple[str, ...]:
        """
        The problems that count, each as a sentence that says which certificate
        it is about.
        """
        return tuple(
            f"certificate {depth + 1} of {len(self.chainElements)} "
            f"{readableName(element.certificate)!r} {status.statusInformation}"
            for depth, element in enumerate(self.chainElements)
            for status in element.chainElementStatus
            if self._counts(depth, status)
        )

    @property
    def countingFlags(self) -> X509ChainStatusFlags:
        """
        All problems that count, joined.
        """
        return joinedFlags(
            status
            for depth, element in enumerate(self.chainElements)
            for status in element.chainElementStatus
            if self._counts(depth, status)
        )

    def _counts(self, depth: int, status: X509ChainStatus) -> bool:
        """
        Whether the flags of the policy do not excuse it.
        """
        flags = self._flags
        excused = _S.NoError
        for flag, statuses in _EXCUSED.items():
            if flag & flags:
                excused |= statuses
        last = len(self.chainElements) - 1
        isRoot = depth == last and factsOf(self.chainElements[last].certificate).isSelfIssued
        unknown = (
            _V.IgnoreEndRevocationUnknown
            if not depth
            else _V.IgnoreRootRevocationUnknown
            if isRoot
            else _V.IgnoreCertificateAuthorityRevocationUnknown
        )
        if unknown & flags:
            excused |= _UNKNOWN_REVOCATION
        return bool(status.status & ~excused)

    def build(self, certificate: SomeCertificate) -> Deferred[bool]:
        """
        Find the best way from a certificate to a trusted root, and everything
        that is wrong with it (.NET: C{X509Chain.Build}).

        @param certificate: in any accepted form; others in the same file may be
            on the way.
        @return: a Deferred of whether nothing that counts is wrong, as a
            L{bool}.  It can be cancelled.  Until it fires, the elements are
            those of before.  It fails with L{CertificateError} if a file or a
            store cannot be read.
        """
        return maybeDeferred(self._build, certificate, self._policy.frozen())

    def buildAtOnce(self, certificate: x509.Certificate) -> bool | None:
        """
        The same where nothing may have to be fetched.

        @return: what L{build} would fire with; L{None} if L{build} has to be
            called.
        @raise CertificateError: a store cannot be read.
        """
        policy = self._policy.frozen()
        if not isAtOnce(policy):
            return None
        stores = storesNow()
        # All that it depends on but the time.
        asked = (certificate, stores, self.signsHandshakes, self.decryptsSecrets)
        last = conclusionOf(policy)
        if (
            isinstance(last, _Conclusion)
            and last.asked == asked
            and last.path.isSteadyAt(_timeOf(policy))
        ):
            self.chainElements = last.elements
            self._flags = policy.verificationFlags
            return True
        others = [*policy.extraStore, *stores.intermediates]
        path = self._find(certificate, others, policy, stores)
        isFaultless = self._checked(path, (), policy)
        keepConclusion(policy, _Conclusion(asked, path, self.chainElements))
        return isFaultless

    def _build(self, certificate: SomeCertificate, policy: X509ChainPolicy) -> Deferred[bool]:
        first, *more = loadCertificates(certificate)
        others = [*more, *policy.extraStore, *userIntermediates()]

        def find(others: list[x509.Certificate]) -> Path:
            return self._find(first, others, policy, Stores())

        def found(path: Path) -> bool | Deferred[bool]:
            if not checksRevocation(policy):
                return self._checked(path, (), policy)
            return self._revocation(path, policy).addCallback(
                lambda findings: self._checked(path, findings, policy)
            )

        path = find(others)
        if path.isAnchored or policy.disableCertificateDownloads:
            return succeed(path).addCallback(found)
        retrievals = Retrievals(_retrieverOf(policy), self._time, policy.urlRetrievalTimeout)
        fetched: Deferred[Path] = fetchIssuers(path, others, find, retrievals)
        return fetched.addCallback(found)

    def _find(
        self,
        certificate: x509.Certificate,
        others: list[x509.Certificate],
        policy: X509ChainPolicy,
        stores: Stores,
    ) -> Path:
        isCustom = policy.trustMode is X509ChainTrustMode.CustomRootTrust
        anchors = anchorsOf(tuple(policy.customTrustStore) if isCustom else stores.roots)
        criteria = Criteria(
            time=_timeOf(policy),
            usages=tuple(policy.applicationPolicy),
            signsHandshakes=self.signsHandshakes,
            decryptsSecrets=self.decryptsSecrets,
            policies=tuple(policy.certificatePolicy),
            maximumDepth=DEFAULT_DEPTH if policy.maximumDepth is None else policy.maximumDepth,
            disallowed=stores.disallowed,
        )
        return knownPaths.find(certificate, others, anchors, criteria)

    def _checked(self, path: Path, findings: Collection[Finding], policy: X509ChainPolicy) -> bool:
        """
        Note what was found.

        @return: whether nothing that counts is wrong.
        """
        findings = (*path.findings, *findings)
        self.chainElements = tuple(
            X509ChainElement(
                each,
                tuple(
                    X509ChainStatus(finding.status, finding.information)
                    for finding in findings
                    if finding.depth == depth
                ),
            )
            for depth, each in enumerate(path.certificates)
        )
        self._flags = policy.verificationFlags
        return not findings or not self.countingFlags

    @property
    def _time(self) -> IReactorTime:
        """
        What measures time where something is fetched.
        """
        return defaultClock() if self._clock is None else self._clock

    def _revocation(self, path: Path, policy: X509ChainPolicy) -> Deferred[tuple[Finding, ...]]:
        checker = RevocationChecker(
            mode=policy.revocationMode,
            flag=policy.revocationFlag,
            revocationLists=policy.revocationLists,
            retriever=_retrieverOf(policy) if _isKnown(path) else NothingForStrangers(),
            cache=defaultCache(),
            clock=self._time,
            now=_timeOf(policy),
            timeout=policy.urlRetrievalTimeout,
        )
        return checker.check(
            path.certificates, self.stapledResponse, self.expectsStaple, path.isAnchored
        )

    def __repr__(self) -> str:
        names = " < ".join(readableName(each.certificate) for each in self.chainElements)
        return f"<X509Chain {names or 'not built'}>"


def _isKnown(path: Path) -> bool:
    """
    Whether certificates come from who they say, so that what they name may be
    fetched.
    """
    return path.isAnchored and all(each.status in _HARMLESS for each in path.findings)


def isAtOnce(policy: X509ChainPolicy) -> bool:
    """
    Whether nothing ever has to be fetched to judge by a policy.
    """
    return policy.disableCertificateDownloads and not checksRevocation(policy)


def _timeOf(policy: X509ChainPolicy) -> datetime.datetime:
    return policy.verificationTime or datetime.datetime.now(datetime.timezone.utc)


def _retrieverOf(policy: X509ChainPolicy) -> IRetriever:
    return defaultRetriever() if policy.retriever is None else policy.retriever


def joinedFlags(statuses: Iterable[X509ChainStatus]) -> X509ChainStatusFlags:
    """
    @return: all flags of these statuses in one.
    """
    flags = _S.NoError
    for each in statuses:
        flags |= each.status
    return flags


#: Which alert tells the peer of which problem; the first that applies.
ALERTS: tuple[tuple[X509ChainStatusFlags, TlsAlert], ...] = (
    (_S.UntrustedRoot | _S.PartialChain | _S.Cyclic, TlsAlert.unknown_ca),
    (_S.Revoked, TlsAlert.certificate_revoked),
    (_S.NotTimeValid | _S.NotTimeNested, TlsAlert.certificate_expired),
    (_S.NotValidForUsage, TlsAlert.unsupported_certificate),
    (_S.RevocationStatusUnknown | _S.OfflineRevocation, TlsAlert.certificate_unknown),
)


#: All that a peer may say of our certificate, or of its absence.
REFUSALS = frozenset(
    {
        TlsAlert.handshake_failure,
        TlsAlert.bad_certificate,
        TlsAlert.unsupported_certificate,
        TlsAlert.certificate_revoked,
        TlsAlert.certificate_expired,
        TlsAlert.certificate_unknown,
        TlsAlert.unknown_ca,
        TlsAlert.access_denied,
        TlsAlert.certificate_required,
        TlsAlert.internal_error,
    }
)


def alertFor(flags: X509ChainStatusFlags) -> TlsAlert:
    """
    The alert that tells a peer why its certificate was refused (RFC 8446
    section 6.2).  Problems of the chain come before the name.
    """
    return next((alert for cause, alert in ALERTS if flags & cause), TlsAlert.bad_certificate)
