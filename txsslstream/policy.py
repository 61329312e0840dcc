# -*- test-case-name: tests.test_policy -*-
"""
What a chain is judged by.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from cryptography import x509
from typing_extensions import Self

from .certificates import SomeCertificate, loadCertificates
from .enums import (
    X509ChainTrustMode,
    X509RevocationFlag,
    X509RevocationMode,
    X509VerificationFlags,
)
from .errors import InvalidOperationError
from .interfaces import IRetriever


class X509CertificateCollection(list[x509.Certificate]):
    """
    Certificates in an order (.NET: C{X509Certificate2Collection}).
    """

    def __init__(self, certificates: SomeCertificate | Iterable[SomeCertificate] = ()) -> None:
        """
        @param certificates: certificates in any accepted form, or a single one.
        @raise CertificateError: a file cannot be read or is damaged.
        """
        super().__init__(_loaded(certificates))

    def add(self, certificate: SomeCertificate) -> None:
        """
        Append a certificate in any accepted form; a path may hold several.
        """
        self.extend(loadCertificates(certificate))


def _loaded(certificates: Any) -> list[x509.Certificate]:
    isMany = isinstance(certificates, Iterable) and not isinstance(certificates, (str, bytes))
    some = certificates if isMany else (certificates,)
    return [each for one in some for each in loadCertificates(one)]


def _checkedTime(moment: object) -> datetime.datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime.datetime):
        raise TypeError(f"verificationTime is a datetime, not {type(moment).__name__}")
    # As everywhere in Python and .NET, a time without a zone is local.
    return moment.astimezone(datetime.timezone.utc)


def _checkedSeconds(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"urlRetrievalTimeout is a number of seconds, not {seconds!r}")
    if not seconds > 0:
        raise ValueError(f"urlRetrievalTimeout is a positive number of seconds, not {seconds!r}")
    return seconds


def _checkedDepth(depth: object) -> int | None:
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"maximumDepth is a number of certificates or None, not {depth!r}")
    return depth


def _identifiers(values: Any) -> list[x509.ObjectIdentifier]:
    isOne = isinstance(values, (str, x509.ObjectIdentifier))
    return [
        each if isinstance(each, x509.ObjectIdentifier) else x509.ObjectIdentifier(each)
        for each in ((values,) if isOne else values)
    ]


def _checkedRetriever(retriever: Any) -> IRetriever | None:
    if retriever is not None and not IRetriever.providedBy(retriever):
        raise TypeError(f"retriever must provide IRetriever: {type(retriever).__name__}")
    checked: IRetriever | None = retriever
    return checked


def _lists(values: Any) -> list[x509.CertificateRevocationList]:
    if isinstance(values, x509.CertificateRevocationList):
        values = (values,)
    lists = list(values)
    for each in lists:
        if not isinstance(each, x509.CertificateRevocationList):
            raise TypeError(
                f"revocationLists are x509.CertificateRevocationLists, not {type(each).__name__}"
            )
    return lists


#: How each part is brought into its form.
_NORMALIZE: dict[str, Any] = {
    "trustMode": X509ChainTrustMode,
    "customTrustStore": X509CertificateCollection,
    "extraStore": X509CertificateCollection,
    "applicationPolicy": _identifiers,
    "certificatePolicy": _identifiers,
    "revocationMode": X509RevocationMode,
    "revocationFlag": X509RevocationFlag,
    "verificationFlags": X509VerificationFlags,
    "verificationTime": _checkedTime,
    "urlRetrievalTimeout": _checkedSeconds,
    "disableCertificateDownloads": bool,
    "revocationLists": _lists,
    "maximumDepth": _checkedDepth,
    "retriever": _checkedRetriever,
}


class X509ChainPolicy:
    """
    What a chain is judged by (.NET: C{X509ChainPolicy}).  Options keep a frozen
    copy; the chain that a validation callback gets has a copy that can be
    changed.  Policies are equal if they ask for the same.

    @ivar trustMode: whether the system's roots are trusted, or
        C{customTrustStore} alone.
    @ivar customTrustStore: what is trusted with C{CustomRootTrust}, in any
        accepted form.
    @ivar extraStore: certificates that may be needed on the way to a root.
    @ivar applicationPolicy: the extended key usages, as object identifiers,
        that the certificate must all be good for.  Empty in options: server
        authentication of servers, client authentication of clients.
    @ivar certificatePolicy: the certificate policies of which the chain must be
        valid for one (RFC 5280 section 6.1.1 (c)); empty: for any.
    @ivar revocationMode: where revocation information may come from.
    @ivar revocationFlag: which certificates are checked for revocation.
    @ivar verificationFlags: which problems do not count.
    @ivar verificationTime: the time to judge for; L{None}: now.  One without a
        time zone is local.
    @ivar urlRetrievalTimeout: seconds for the issuers that are fetched for one
        chain, and as many for revocation.
    @ivar disableCertificateDownloads: whether missing issuers are not fetched
        from where certificates say they are.  Other than in .NET they are not
        fetched unless asked.
    @ivar revocationLists: CRLs to look into.
    @ivar maximumDepth: how many certificates may be between the first and the
        root; L{None}: 8.
    @ivar retriever: an L{IRetriever<txsslstream.interfaces.IRetriever>} that
        fetches; L{None}: plain http, from anywhere.
    """

    trustMode: X509ChainTrustMode
    customTrustStore: Sequence[x509.Certificate]
    extraStore: Sequence[x509.Certificate]
    applicationPolicy: Sequence[x509.ObjectIdentifier]
    certificatePolicy: Sequence[x509.ObjectIdentifier]
    revocationMode: X509RevocationMode
    revocationFlag: X509RevocationFlag
    verificationFlags: X509VerificationFlags
    verificationTime: datetime.datetime | None
    urlRetrievalTimeout: float
    disableCertificateDownloads: bool
    revocationLists: Sequence[x509.CertificateRevocationList]
    maximumDepth: int | None
    retriever: IRetriever | None

    _isFrozen = False
    _hash: int | None = None
    # What L{extended} has returned last, and to what.
    _extension: tuple[object, object, Self] | None = None
    # What somebody has come to by it last.
    _conclusion: object = None

    def __init__(
        self,
        *,
        trustMode: X509ChainTrustMode = X509ChainTrustMode.System,
        customTrustStore: SomeCertificate | Iterable[SomeCertificate] = (),
        extraStore: SomeCertificate | Iterable[SomeCertificate] = (),
        applicationPolicy: Iterable[x509.ObjectIdentifier | str] = (),
        certificatePolicy: Iterable[x509.ObjectIdentifier | str] = (),
        revocationMode: X509RevocationMode = X509RevocationMode.NoCheck,
        revocationFlag: X509RevocationFlag = X509RevocationFlag.ExcludeRoot,
        verificationFlags: X509VerificationFlags = X509VerificationFlags.NoFlag,
        verificationTime: datetime.datetime | None = None,
        urlRetrievalTimeout: float = 15,
        disableCertificateDownloads: bool = True,
        revocationLists: Iterable[x509.CertificateRevocationList] = (),
        maximumDepth: int | None = None,
        retriever: IRetriever | None = None,
    ) -> None:
        """
        @raise CertificateError: a certificate's file cannot be read.
        @raise ValueError: a value makes no sense.
        @raise TypeError: a value is of the wrong kind.
        """
        given = locals()
        for name in _NORMALIZE:
            setattr(self, name, given[name])

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _NORMALIZE:
            raise AttributeError(f"X509ChainPolicy has no {name}")
        if self._isFrozen:
            raise InvalidOperationError(
                "this policy belongs to options and cannot be changed; change its clone()"
            )
        object.__setattr__(self, name, _NORMALIZE[name](value))

    def clone(self) -> Self:
        """
        @return: a policy that asks for the same and can be changed.
        """
        return type(self)(**{name: getattr(self, name) for name in _NORMALIZE})

    def frozen(self) -> Self:
        """
        @return: a policy that asks for the same and can be a part of options.
        """
        if self._isFrozen:
            return self
        policy = self.clone()
        for name, value in vars(policy).items():
            if isinstance(value, list):
                object.__setattr__(policy, name, tuple(value))
        object.__setattr__(policy, "_isFrozen", True)
        return policy

    def extended(
        self,
        presented: tuple[x509.Certificate, ...],
        applicationPolicy: tuple[x509.ObjectIdentifier, ...],
        isKept: bool,
    ) -> Self:
        """
        @param presented: what a peer has shown: others than the first may be on
            the way.
        @param applicationPolicy: what counts if none is asked for.
        @param isKept: whether the same answer may be kept for the same
            certificates.
        @return: a frozen policy that asks for the same, else; made for each
            connection, so that nothing is brought into form again.
        """
        frozen = self.frozen()
        kept = frozen._extension
        if kept is not None and kept[0] is presented and kept[1] is applicationPolicy:
            return kept[2]
        policy = type(self).__new__(type(self))
        vars(policy).update(
            {name: getattr(frozen, name) for name in _NORMALIZE},
            extraStore=(*self.extraStore, *presented[1:]),
            applicationPolicy=tuple(self.applicationPolicy) or applicationPolicy,
            _isFrozen=True,
        )
        if isKept:
            object.__setattr__(frozen, "_extension", (presented, applicationPolicy, policy))
        return policy

    def _parts(self) -> tuple[object, ...]:
        values = (getattr(self, name) for name in _NORMALIZE)
        return tuple(tuple(each) if isinstance(each, list) else each for each in values)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, X509ChainPolicy) and self._parts() == other._parts()

    def __hash__(self) -> int:
        if not self._isFrozen:
            raise TypeError("a policy that can be changed is not hashable: take frozen()")
        if self._hash is None:
            # Revocation lists have no hash.
            parts = tuple(part for part in self._parts() if not _isOfLists(part))
            object.__setattr__(self, "_hash", hash(parts))
        known: int = self._hash  # type: ignore[assignment]
        return known

    def __repr__(self) -> str:
        return (
            f"<X509ChainPolicy {self.trustMode.name}, {len(self.customTrustStore)} roots, "
            f"{self.revocationMode.name}>"
        )


def _isOfLists(part: object) -> bool:
    return isinstance(part, tuple) and any(
        isinstance(each, x509.CertificateRevocationList) for each in part
    )


def checksRevocation(policy: X509ChainPolicy) -> bool:
    """
    Whether certificates that are judged by a policy may be found revoked.
    """
    return policy.revocationMode is not X509RevocationMode.NoCheck


def conclusionOf(policy: X509ChainPolicy) -> object:
    """
    @return: what was kept last with L{keepConclusion}; L{None} if nothing was.
    """
    return policy._conclusion


def keepConclusion(policy: X509ChainPolicy, conclusion: object) -> None:
    """
    Keep what was concluded by a frozen policy for as long as it is there.
    """
    object.__setattr__(policy, "_conclusion", conclusion)
