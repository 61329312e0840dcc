# -*- test-case-name: tests.test_revocation -*-
"""
Is a certificate of this chain revoked?  Whoever may know is asked, one after the
other, until one proves it either way.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from .certificatefacts import factsOf
from .crossing import Finding
from .enums import X509ChainStatusFlags, X509RevocationFlag, X509RevocationMode
from .errors import printable
from .interfaces import IRetriever
from .revocationdata import (
    OtherIssuerError,
    Standing,
    Statement,
    checkCrl,
    checkOcsp,
    crlUrls,
    ocspUrls,
)
from .sources import Cache, Hearing, Retrievals, Source, decisive, listAt, responderAt

_S = X509ChainStatusFlags

#: The longest text of a finding.
_MOST_WORDS = 500

#: Bytes (RFC 9654 section 2.1).
_NONCE_SIZE = 32

_STAPLE = "stapled OCSP response"
_GIVEN = "given CRL"


class RevocationChecker:
    """
    Checks chains for revocation, as a policy says.
    """

    def __init__(
        self,
        *,
        mode: X509RevocationMode,
        flag: X509RevocationFlag,
        revocationLists: Sequence[x509.CertificateRevocationList | bytes],
        retriever: IRetriever,
        cache: Cache,
        clock: IReactorTime,
        now: datetime,
        timeout: float,
    ) -> None:
        """
        @param mode: whether to check, and whether anything may be fetched.
        @param flag: which certificates are checked.
        @param revocationLists: CRLs to look into; as bytes, in DER or PEM.
        @param retriever: what fetches.
        @param cache: where the fetched data is kept as long as it is valid.
        @param now: the time to judge for, with time zone.
        @param timeout: seconds for all that is fetched in one check.
        """
        self._mode = mode
        self._flag = flag
        self._lists = tuple(revocationLists)
        self._retriever = retriever
        self._cache = cache
        self._clock = clock
        self._now = now
        self._timeout = timeout

    def check(
        self,
        path: tuple[x509.Certificate, ...],
        staple: bytes | None = None,
        expectsStaple: bool = False,
        isAnchored: bool = False,
    ) -> Deferred[tuple[Finding, ...]]:
        """
        Check a chain.

        @param path: the peer's own certificate first, each followed by its
            issuer.
        @param staple: the OCSP response that the peer has sent, in DER.
        @param expectsStaple: whether the peer could have sent one, so that a
            certificate that demands it (RFC 7633) is no good without.
        @param isAnchored: whether the last one is trusted, and so a root though
            somebody else has issued it.
        @return: a Deferred that fires with what was found, in the path's order:
            nothing for certificates that are good, C{Revoked},
            C{RevocationStatusUnknown} where a responder does not know or the
            issuer is not in the path, and C{RevocationStatusUnknown |
            OfflineRevocation} where nothing usable was to be had.  It fails
            with what the cache fails with.  Cancelling it cancels all
            retrievals.
        """
        retrievals = Retrievals(self._retriever, self._clock, self._timeout)
        outcome: Deferred[tuple[Finding, ...]] = Deferred(lambda _: retrievals.cancel())

        def done(found: list[tuple[Finding, ...]]) -> None:
            if not retrievals.isCancelled:
                outcome.callback(tuple(finding for each in found for finding in each))

        def failed(failure: Failure) -> None:
            if not retrievals.isCancelled:
                error: Any = failure.value
                outcome.errback(error.subFailure)

        inquiries = [
            _Inquiry(
                depth,
                certificate,
                path[depth + 1] if depth + 1 < len(path) else _itself(certificate),
                self._now,
                staple if depth == 0 else None,
                self._lists,
                self._cache,
                retrievals,
            )
            for depth, certificate in enumerate(path)
            if self._isChecked(path, depth, isAnchored)
        ]
        isOnline = self._mode is X509RevocationMode.Online
        gatherResults(
            [
                Deferred.fromCoroutine(each.findings(isOnline, expectsStaple and each.depth == 0))
                for each in inquiries
            ],
            consumeErrors=True,
        ).addCallbacks(done, failed)
        return outcome

    def _isChecked(self, path: tuple[x509.Certificate, ...], depth: int, isAnchored: bool) -> bool:
        if self._mode is X509RevocationMode.NoCheck:
            return False
        if self._flag is X509RevocationFlag.EndCertificateOnly:
            return depth == 0
        isRoot = depth == len(path) - 1 and (isAnchored or _itself(path[depth]) is not None)
        return self._flag is X509RevocationFlag.EntireChain or not isRoot


def _itself(certificate: x509.Certificate) -> x509.Certificate | None:
    """
    @return: the issuer of the last certificate of a path, if it is a root.
    """
    return certificate if factsOf(certificate).isSelfIssued else None


class _Inquiry:
    """
    What is to be learned about one certificate.

    @ivar depth: its place in the path.
    """

    def __init__(
        self,
        depth: int,
        certificate: x509.Certificate,
        issuer: x509.Certificate | None,
        now: datetime,
        staple: bytes | None,
        lists: Sequence[x509.CertificateRevocationList | bytes],
        cache: Cache,
        retrievals: Retrievals,
    ) -> None:
        self.depth = depth
        self._certificate = certificate
        self._issuer = issuer
        self._now = now
        self._staple = staple
        self._lists = lists
        self._retrievals = retrievals
        self._hearing = Hearing(cache, now)
        self._stapleProblem: str | None = (
            "none was sent" if staple is None else "it cannot be checked"
        )

    async def findings(self, isOnline: bool, expectsStaple: bool) -> tuple[Finding, ...]:
        """
        @return: what is wrong; nothing if the certificate is good.
        """
        found = await self._status(isOnline)
        isWanting = expectsStaple and self._stapleProblem is not None
        if isWanting and factsOf(self._certificate).requiresStaple:
            words = f"requires a stapled OCSP response, and {self._stapleProblem}"
            found += (self._finding(_S.RevocationStatusUnknown, words),)
        return found

    async def _status(self, isOnline: bool) -> tuple[Finding, ...]:
        if self._issuer is None:
            words = "cannot be checked for revocation: its issuer is missing"
            return (self._finding(_S.RevocationStatusUnknown, words),)
        if factsOf(self._certificate).issuer is None:
            words = "cannot be checked for revocation: its issuer's name is unreadable"
            return (self._finding(_S.RevocationStatusUnknown, words),)
        decision = await self._decision(self._issuer, isOnline)
        if decision is None:
            # GET and POST often come to the same.
            words = (
                f"cannot be checked for revocation: {'; '.join(dict.fromkeys(self._hearing.said))}"
            )
            offline = _S.NoError if self._hearing.isUnknown else _S.OfflineRevocation
            return (self._finding(_S.RevocationStatusUnknown | offline, words),)
        if decision.standing is Standing.revoked:
            words = f"was {decision.information}, says {decision.source}"
            return (self._finding(_S.Revoked, words),)
        return ()

    def _finding(self, status: X509ChainStatusFlags, words: str) -> Finding:
        return Finding(self.depth, status, printable(words, _MOST_WORDS))

    async def _decision(self, issuer: x509.Certificate, isOnline: bool) -> Statement | None:
        """
        @return: a proof that the certificate is good or revoked; L{None} if
            nobody has one.
        """
        subject = (self._certificate, issuer, self._now)
        # A root does not vouch for itself, but it may revoke itself.
        responders = () if issuer == self._certificate else ocspUrls(self._certificate)
        sources = [
            *(responderAt(url, *subject, secrets.token_bytes(_NONCE_SIZE)) for url in responders),
            *(listAt(url, *subject) for url in crlUrls(self._certificate)),
        ]
        decision: Statement | None = None
        for decision in self._atHand(issuer, sources):
            # A good one may be older: the peer shows its staple until that expires.
            if decision.standing is Standing.revoked:
                break
        if decision is not None:
            return decision
        if not sources:
            self._hearing.said.append("it names no OCSP responder and no CRL")
        elif not isOnline:
            self._hearing.said.append("nothing is fetched offline")
        else:
            for source in sources:
                heard = await self._hearing.fetched(source, self._retrievals)
                if heard is not None:
                    return heard[0]
        return None

    def _atHand(self, issuer: x509.Certificate, sources: Sequence[Source]) -> Iterator[Statement]:
        """
        @return: all proofs that are there without asking anybody.
        """
        staple = self._fromStaple(issuer)
        if staple is not None:
            yield staple
        for each in self._lists:
            judge = partial(checkCrl, each, self._certificate, issuer, self._now, source=_GIVEN)
            statement = decisive(self._hearing.weigh(_GIVEN, judge, OtherIssuerError))
            if statement is not None:
                yield statement
        for source in sources:
            heard = self._hearing.remembered(source)
            if heard is not None:
                yield heard[0]

    def _fromStaple(self, issuer: x509.Certificate) -> Statement | None:
        staple = self._staple
        if staple is None:
            return None
        subject = (self._certificate, issuer, self._now)
        judge = partial(checkOcsp, staple, *subject, nonce=None, source=_STAPLE)
        decision = decisive(self._hearing.weigh(_STAPLE, judge))
        self._stapleProblem = (
            f"it is of no use: {self._hearing.said[-1]}" if decision is None else None
        )
        return decision
