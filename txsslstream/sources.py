# -*- test-case-name: tests.test_revocation -*-
"""
Who may know whether a certificate is revoked, and how they are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ._deferreds import forgetFrames
from .errors import RetrievalError
from .interfaces import IRetriever
from .revocationdata import (
    CRL_LIMIT,
    OCSP_LIMIT,
    RevocationDataError,
    Standing,
    Statement,
    checkCrl,
    checkOcsp,
    ocspGetUrl,
    ocspRequest,
)

#: How often something is fetched for one purpose.
MOST_RETRIEVALS = 12


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


class NotFetchedError(Exception):
    """
    Nothing was fetched; the message says why.
    """


@dataclass(frozen=True)
class _Failed:
    """
    @ivar why: in words; L{None} for a cancellation.
    """

    why: str | None


def _asValue(failure: Failure) -> _Failed:
    # The application's retriever may fail with anything.
    error: Any = failure.value
    forgetFrames(error)
    failure.tb = None
    if isinstance(error, CancelledError):
        return _Failed(None)
    if isinstance(error, RetrievalError):
        # The source is named already.
        return _Failed(str(error).removeprefix(f"{error.url}: "))
    return _Failed(str(error) or type(error).__name__)


class Retrievals:
    """
    What is fetched for one purpose: limited in number and time, and cancelled
    together.

    @ivar isCancelled: whether nobody waits for it any more.
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
        @raise NotFetchedError: nothing usable was fetched; the message says why.
        @raise CancelledError: nobody waits any more.
        """
        seconds = self._deadline - self._clock.seconds()
        if self.isCancelled or seconds <= 0:
            raise NotFetchedError("not asked, as no time is left")
        if self._left == 0:
            raise NotFetchedError(f"not asked, as {MOST_RETRIEVALS} retrievals are the limit")
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
        # A Failure that is thrown into a coroutine is part of a cycle.
        data = await deferred.addErrback(_asValue)
        if isinstance(data, _Failed):
            raise CancelledError if data.why is None else NotFetchedError(data.why)
        if not isinstance(data, bytes):
            raise NotFetchedError(f"no bytes, but {type(data).__name__}")
        if len(data) > limit:
            raise NotFetchedError(f"more than {limit} bytes")
        return data

    def cancel(self) -> None:
        """
        Fetch nothing any more.
        """
        self.isCancelled = True
        for each in self._started:
            each.cancel()


def _tooLate(result: object, seconds: float) -> Any:
    raise NotFetchedError("no answer in time")


@dataclass(frozen=True)
class Source:
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


def responderAt(
    url: str,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
    nonce: bytes | None,
) -> Source:
    """
    @param nonce: what a POST asks the responder to repeat.
    @return: an OCSP responder.
    """
    name = f"OCSP responder {url}"
    # An answer to GET may come from a cache on the way (RFC 5019 section 6), so
    # it is asked for without nonce.
    plain = ocspRequest(certificate, issuer, None)
    getUrl = ocspGetUrl(url, plain)
    post = (url, ocspRequest(certificate, issuer, nonce), nonce)
    return Source(
        name,
        f"{url} {plain.hex()}",
        OCSP_LIMIT,
        (post,) if getUrl is None else ((getUrl, None, None), post),
        lambda data, nonce: checkOcsp(data, certificate, issuer, now, nonce=nonce, source=name),
    )


def listAt(
    url: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Source:
    """
    @return: a CRL.
    """
    name = f"CRL {url}"
    return Source(
        name,
        url,
        CRL_LIMIT,
        ((url, None, None),),
        lambda data, _: checkCrl(data, certificate, issuer, now, source=name),
    )


class Hearing:
    """
    What is heard about one certificate.

    @ivar said: what became of those who decided nothing, in words.
    @ivar isUnknown: whether somebody has said that he does not know.
    """

    def __init__(self, cache: Cache, now: datetime) -> None:
        """
        @param now: the time to judge for, with time zone.
        """
        self.said: list[str] = []
        self.isUnknown = False
        self._cache = cache
        self._now = now

    def weigh(
        self,
        name: str,
        judge: Callable[[], Statement],
        ignored: type[RevocationDataError] | tuple[()] = (),
    ) -> Statement | None:
        """
        @param name: who says it.
        @param judge: reads it.
        @param ignored: what is not worth a word.
        @return: what it proves, if anything.
        """
        try:
            statement = judge()
        except ignored:
            return None
        except RevocationDataError as e:
            self.said.append(f"{name} {e}")
            return None
        if statement.standing is Standing.unknown:
            self.isUnknown = True
            self.said.append(f"{name}: {statement.information}")
        return statement

    def remembered(self, source: Source) -> tuple[Statement, bytes] | None:
        """
        @return: what a source has said before, and the proof, if it decides.
        """
        data = self._cache.get(source.key, self._now)
        if data is not None and len(data) <= source.limit:
            # What is no good any more is fetched anew.
            with suppress(RevocationDataError):
                statement = decisive(source.judge(data, None))
                if statement is not None:
                    return statement, data
        return None

    async def fetched(
        self, source: Source, retrievals: Retrievals
    ) -> tuple[Statement, bytes] | None:
        """
        Ask a source.

        @return: what it says, and the proof, if it decides.
        """
        for url, body, nonce in source.requests:
            try:
                data = await retrievals.fetch(url, source.limit, body)
            except (NotFetchedError, CancelledError) as e:
                self.said.append(f"{source.name}: {str(e) or 'cancelled'}")
                continue
            statement = self.weigh(source.name, partial(source.judge, data, nonce))
            if statement is not None:
                if decisive(statement) is None:
                    return None
                self._cache.put(source.key, data, statement.validUntil, self._now)
                return statement, data
        return None


def decisive(statement: Statement | None) -> Statement | None:
    """
    @return: it, if it says that the certificate is good or revoked.
    """
    isUndecided = statement is None or statement.standing is Standing.unknown
    return None if isUndecided else statement
