# -*- test-case-name: tests.test_revocation -*-
"""
Is a certificate of this chain revoked?  Whoever may know is asked, one after the
other, until one proves it either way.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from .certificatefacts import factsOf
from .crossing import Finding
from .enums import X509ChainStatusFlags, X509RevocationFlag, X509RevocationMode
from .errors import RetrievalError, printable
from .interfaces import IRetriever
from .revocationdata import (
    CRL_LIMIT,
    OCSP_LIMIT,
    OtherIssuerError,
    RevocationDataError,
    Standing,
    Statement,
    checkCrl,
    checkOcsp,
    crlUrls,
    ocspGetUrl,
    ocspRequest,
    ocspUrls,
)

_S = X509ChainStatusFlags

#: How often one check fetches something, for all certificates together.
MOST_RETRIEVALS = 12

#: The longest text of a finding.
_MOST_WORDS = 500

#: Bytes (RFC 9654 section 2.1).
_NONCE_SIZE = 32

_STAPLE = "stapled OCSP response"
_GIVEN = "given CRL"


class Cache(Protocol):
    """
    Where fetched data is kept as long as it is valid.
    """

    def get(self, key: str, now: datetime, /) -> bytes | None:
        """
        @return: what was put there, if it is still valid.
        """

    def put(self, key: str, data: bytes, expires: datetime, now: datetime, /) -> None:
        """
        Keep data.
        """


class _NotFetchedError(Exception):
    """
    Nothing was fetched; the message says why.
    """


class _Retrievals:
    """
    What one check fetches: limited in number and time, and cancelled together.

    @ivar isCancelled: whether nobody waits for the check any more.
    """

    def __init__(self, retriever: IRetriever, clock: IReactorTime, timeout: float) -> None:
        """
        @param timeout: seconds, from now on.
        """
        self.isCancelled = False
        self._retriever = retriever
        self._clock = clock
        self._deadline = clock.seconds() + timeout
        self._left = MOST_RETRIEVALS
        self._started: list[Deferred[Any]] = []

    async def fetch(self, url: str, limit: int, body: bytes | None) -> bytes:
        """
        @param limit: bytes.
        @param body: an OCSP request to send; L{None} to get.
        @raise Exception: whatever the retriever fails with, or
            L{_NotFetchedError}.
        """
        seconds = self._deadline - self._clock.seconds()
        if self.isCancelled or seconds <= 0:
            raise _NotFetchedError("not asked, as no time is left")
        if self._left == 0:
            raise _NotFetchedError(f"not asked, as {MOST_RETRIEVALS} retrievals are the limit")
        self._left -= 1
        deferred: Deferred[Any] = maybeDeferred(
            self._retriever.retrieve,
            url,
            body=body,
            contentType=None if body is None else "application/ocsp-request",
            limit=limit,
            timeout=seconds,
        )
        deferred.addTimeout(seconds, self._clock, _tooLate)
        self._started.append(deferred)
        data = await deferred
        if not isinstance(data, bytes):
            raise _NotFetchedError(f"no bytes, but {type(data).__name__}")
        return data

    def cancel(self) -> None:
        """
        Fetch nothing any more.
        """
        self.isCancelled = True
        for each in self._started:
            each.cancel()


def _tooLate(result: object, seconds: float) -> Any:
    raise _NotFetchedError("no answer in time")


@dataclass(frozen=True)
class _Source:
    """
    Somebody who can be asked about one certificate.

    @ivar name: in words.
    @ivar key: of the cache.
    @ivar limit: bytes of an answer.
    @ivar requests: the URL, the body and the nonce in it of each way to ask, to
        be tried until there is a usable answer.  Without a body it is a GET.
    @ivar judge: reads an answer; called with it and the nonce.
    """

    name: str
    key: str
    limit: int
    requests: tuple[tuple[str, bytes | None, bytes | None], ...]
    judge: Callable[[bytes, bytes | None], Statement]


def _responderAt(
    url: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> _Source:
    name = f"OCSP responder {url}"
    # An answer to GET may come from a cache on the way (RFC 5019 section 6), so
    # it is asked for without nonce.
    plain = ocspRequest(certificate, issuer, None)
    getUrl = ocspGetUrl(url, plain)
    nonce = secrets.token_bytes(_NONCE_SIZE)
    post = (url, ocspRequest(certificate, issuer, nonce), nonce)
    return _Source(
        name,
        f"{url} {plain.hex()}",
        OCSP_LIMIT,
        (post,) if getUrl is None else ((getUrl, None, None), post),
        lambda data, nonce: checkOcsp(data, certificate, issuer, now, nonce=nonce, source=name),
    )


def _listAt(
    url: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> _Source:
    name = f"CRL {url}"
    return _Source(
        name,
        url,
        CRL_LIMIT,
        ((url, None, None),),
        lambda data, _: checkCrl(data, certificate, issuer, now, source=name),
    )


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
    ) -> Deferred[tuple[Finding, ...]]:
        """
        Check a chain.

        @param path: the peer's own certificate first, each followed by its
            issuer.
        @param staple: the OCSP response that the peer has sent, in DER.
        @param expectsStaple: whether the peer could have sent one, so that a
            certificate that demands it (RFC 7633) is no good without.
        @return: a Deferred that fires with what was found, in the path's order:
            nothing for certificates that are good, C{Revoked},
            C{RevocationStatusUnknown} where a responder does not know or the
            issuer is not in the path, and C{RevocationStatusUnknown |
            OfflineRevocation} where nothing usable was to be had.  It fails
            with what the cache fails with.  Cancelling it cancels all
            retrievals.
        """
        retrievals = _Retrievals(self._retriever, self._clock, self._timeout)
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
            if self._isChecked(path, depth)
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

    def _isChecked(self, path: tuple[x509.Certificate, ...], depth: int) -> bool:
        if self._mode is X509RevocationMode.NoCheck:
            return False
        if self._flag is X509RevocationFlag.EndCertificateOnly:
            return depth == 0
        isRoot = depth == len(path) - 1 and _itself(path[depth]) is not None
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
        retrievals: _Retrievals,
    ) -> None:
        self.depth = depth
        self._certificate = certificate
        self._issuer = issuer
        self._now = now
        self._staple = staple
        self._lists = lists
        self._cache = cache
        self._retrievals = retrievals
        # What became of the sources that decided nothing.
        self._said: list[str] = []
        self._isUnknown = False
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
        decision = await self._decision(self._issuer, isOnline)
        if decision is None:
            # GET and POST often come to the same.
            words = f"cannot be checked for revocation: {'; '.join(dict.fromkeys(self._said))}"
            offline = _S.NoError if self._isUnknown else _S.OfflineRevocation
            return (self._finding(_S.RevocationStatusUnknown | offline, words),)
        if decision.standing is Standing.revoked:
            words = f"was {decision.information}, says {decision.source}"
            return (self._finding(_S.Revoked, words),)
        return ()

    def _finding(self, status: X509ChainStatusFlags, words: str) -> Finding:
        return Finding(self.depth, status, printable(words, _MOST_WORDS))

    async def _decision(self, issuer: x509.Certificate, isOnline: bool) -> Statement | None:
        """
        @return: the first proof that the certificate is good or revoked; L{None}
            if nobody has one.
        """
        subject = (self._certificate, issuer, self._now)
        # A root does not vouch for itself, but it may revoke itself.
        responders = () if issuer == self._certificate else ocspUrls(self._certificate)
        sources = [
            *(_responderAt(url, *subject) for url in responders),
            *(_listAt(url, *subject) for url in crlUrls(self._certificate)),
        ]
        decision = self._fromStaple(issuer) or self._fromLists(issuer) or self._fromCache(sources)
        if decision is not None:
            return decision
        if not sources:
            self._said.append("it names no OCSP responder and no CRL")
        elif not isOnline:
            self._said.append("nothing is fetched offline")
        else:
            for source in sources:
                decision = await self._fetched(source)
                if decision is not None:
                    break
        return decision

    def _fromStaple(self, issuer: x509.Certificate) -> Statement | None:
        staple = self._staple
        if staple is None:
            return None
        subject = (self._certificate, issuer, self._now)
        judge = partial(checkOcsp, staple, *subject, nonce=None, source=_STAPLE)
        decision = _decisive(self._weighed(_STAPLE, judge))
        self._stapleProblem = f"it is of no use: {self._said[-1]}" if decision is None else None
        return decision

    def _fromLists(self, issuer: x509.Certificate) -> Statement | None:
        best = None
        for each in self._lists:
            judge = partial(checkCrl, each, self._certificate, issuer, self._now, source=_GIVEN)
            statement = self._weighed(_GIVEN, judge, OtherIssuerError)
            # An older list may not have it yet.
            if best is None or best.standing is Standing.good:
                best = statement or best
        return best

    def _fromCache(self, sources: Sequence[_Source]) -> Statement | None:
        for source in sources:
            data = self._cache.get(source.key, self._now)
            if data is not None:
                # What is no good any more is fetched anew.
                with suppress(RevocationDataError):
                    decision = _decisive(source.judge(data, None))
                    if decision is not None:
                        return decision
        return None

    async def _fetched(self, source: _Source) -> Statement | None:
        for url, body, nonce in source.requests:
            try:
                data = await self._retrievals.fetch(url, source.limit, body)
            except Exception as e:
                # The application's retriever may fail with anything.
                self._said.append(f"{source.name}: {_problem(e)}")
                continue
            statement = self._weighed(source.name, partial(source.judge, data, nonce))
            if statement is not None:
                decision = _decisive(statement)
                if decision is not None:
                    self._cache.put(source.key, data, decision.validUntil, self._now)
                return decision
        return None

    def _weighed(
        self,
        name: str,
        judge: Callable[[], Statement],
        ignored: type[RevocationDataError] | tuple[()] = (),
    ) -> Statement | None:
        """
        @param ignored: what is not worth a word.
        @return: what a source says, if it proves anything.
        """
        try:
            statement = judge()
        except ignored:
            return None
        except RevocationDataError as e:
            self._said.append(f"{name} {e}")
            return None
        if statement.standing is Standing.unknown:
            self._isUnknown = True
            self._said.append(f"{name}: {statement.information}")
        return statement


def _decisive(statement: Statement | None) -> Statement | None:
    isUndecided = statement is None or statement.standing is Standing.unknown
    return None if isUndecided else statement


def _problem(error: Exception) -> str:
    if isinstance(error, RetrievalError):
        # The source is named already.
        return str(error).removeprefix(f"{error.url}: ")
    if isinstance(error, CancelledError):
        return "cancelled"
    return str(error) or type(error).__name__
