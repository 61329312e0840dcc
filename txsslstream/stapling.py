# -*- test-case-name: tests.test_stapling -*-
"""
The OCSP responses that a server shows with its certificate (RFC 6066 section 8).

They are fetched when a handshake needs them and refreshed long before they
expire, in the background of the handshakes: a server that nobody talks to asks
nobody, and there is no timer to be cleaned up.  What is not valid now is never
shown.
"""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ._cache import defaultCache
from ._deferreds import Occurrence
from ._fetching import defaultRetriever
from .certificatefacts import factsOf, isSignedBy, readableName
from .certificates import SslStreamCertificateContext
from .revocationdata import (
    RevocationDataError,
    Standing,
    Statement,
    checkOcsp,
    ocspGetUrl,
    ocspRequest,
    ocspUrls,
)

#: Bytes of a response.  OpenSSL's clients break off over a CertificateStatus that
#: does not fit into one record, whose first four bytes are others.
LIMIT = (1 << 14) - 4
#: Seconds: for one answer, between attempts that fail, and how long a handshake
#: waits for the first response for a certificate that requires one.
TIMEOUT = 15.0
PAUSE = 5.0
PATIENCE = 5.0
#: No response is shown for longer without asking anew, and a new one is asked
#: for that long before the old one ends (.NET's figures).
LONGEST_USE = datetime.timedelta(days=1)
MARGIN = datetime.timedelta(minutes=5)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


class Stapler:
    """
    Keeps the OCSP response for one certificate.
    """

    _log = Logger()

    def __init__(self, context: SslStreamCertificateContext) -> None:
        self._certificate = context.certificate
        self._issuer = next(
            (each for each in context.intermediates if isSignedBy(context.certificate, each)),
            None,
        )
        self._retriever = context.retriever
        self._urls = () if context.offline else ocspUrls(context.certificate)
        self._response: bytes | None = None
        self._statement: Statement | None = None
        self._refreshAt: datetime.datetime | None = None
        self._nextAttempt: float | None = None
        self._fetching: Occurrence[None] | None = None

    @property
    def canFetch(self) -> bool:
        """
        Whether there is anybody to ask, and whether it can be checked what they
        say.
        """
        return bool(self._urls) and self._issuer is not None

    def current(self) -> bytes | None:
        """
        @return: a response that is valid now, in DER, if there is one.
        """
        if self._statement is None or self._statement.validUntil <= _now():
            return None
        return self._response

    def prepare(self, clock: IReactorTime) -> Deferred[None]:
        """
        Fetch a response if it is time to.

        @return: a Deferred that fires with L{None} once the handshake may go
            on: at once, unless the certificate requires a response (RFC 7633)
            and there is none.
        """
        if not self.canFetch:
            return succeed(None)
        isDue = self._refreshAt is None or self._refreshAt <= _now()
        mayTry = self._nextAttempt is None or self._nextAttempt <= clock.seconds()
        if isDue and mayTry and self._fetching is None:
            self._begin(clock)
        if (
            self._fetching is None
            or self.current() is not None
            or not factsOf(self._certificate).requiresStaple
        ):
            return succeed(None)
        waiting = self._fetching.when()
        waiting.addTimeout(PATIENCE, clock)
        return waiting.addErrback(lambda _: None)

    def _begin(self, clock: IReactorTime) -> None:
        fetching = self._fetching = Occurrence()

        def ended(_: object) -> None:
            self._nextAttempt = clock.seconds() + PAUSE
            self._fetching = None
            fetching.happened(None)

        self._fetch().addErrback(self._failed).addBoth(ended)

    def _failed(self, failure: Any) -> None:
        self._log.warn(
            "no OCSP response for {name}: {reason}",
            name=readableName(self._certificate),
            reason=failure.getErrorMessage(),
        )

    @inlineCallbacks
    def _fetch(self) -> Any:
        issuer = self._issuer
        assert issuer is not None
        request = ocspRequest(self._certificate, issuer, None)
        problem: Exception = RevocationDataError("nobody was asked")
        for url in self._urls:
            # What is being refreshed is itself what the cache has.
            isFirst = self._statement is None
            cached = defaultCache().get(_key(url, request), _now()) if isFirst else None
            if cached is not None and self._take(cached, url, issuer) is None:
                return
            get = ocspGetUrl(url, request)
            for target, body in ((get, None), (url, request)):
                if target is None:
                    continue
                try:
                    data = yield maybeDeferred(
                        (self._retriever or defaultRetriever()).retrieve,
                        target,
                        body=body,
                        contentType=None if body is None else "application/ocsp-request",
                        limit=LIMIT,
                        timeout=TIMEOUT,
                    )
                    refusal = self._take(data, url, issuer)
                except Exception as e:
                    refusal = e
                if refusal is None:
                    assert self._statement is not None
                    expires = self._statement.validUntil
                    defaultCache().put(_key(url, request), data, expires, _now())
                    return
                problem = refusal
        raise problem

    def _take(self, data: bytes, url: str, issuer: x509.Certificate) -> Exception | None:
        """
        @return: why the response is of no use; L{None} if it is the new one.
        """
        now = _now()
        if len(data) > LIMIT:
            return RevocationDataError(f"{url} has {len(data)} bytes, more than {LIMIT}")
        try:
            statement = checkOcsp(data, self._certificate, issuer, now, nonce=None, source=url)
        except RevocationDataError as e:
            return e
        if statement.standing is Standing.unknown:
            return RevocationDataError(f"{url}: {statement.information}")
        self._response = data
        self._statement = statement
        ends = statement.validUntil - MARGIN
        self._refreshAt = min(now + LONGEST_USE, ends) if ends > now else statement.validUntil
        return None


def _key(url: str, request: bytes) -> str:
    return f"staple {url} {request.hex()}"


@lru_cache(maxsize=256)
def staplerOf(context: SslStreamCertificateContext) -> Stapler:
    """
    @return: equal contexts share one.
    """
    return Stapler(context)
