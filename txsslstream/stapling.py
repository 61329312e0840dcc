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
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from cryptography import x509
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ._cache import defaultCache
from ._deferreds import Occurrence
from ._fetching import defaultRetriever
from .certificatefacts import factsOf, isSignedBy, readableName
from .certificates import SslStreamCertificateContext
from .errors import CertificateError
from .revocationdata import RevocationDataError, Statement, ocspUrls
from .sources import Hearing, Retrievals, responderAt
from .stores import systemRoots, userIntermediates

#: Bytes of a response.  OpenSSL's clients break off over a CertificateStatus that
#: does not fit into one record, whose first four bytes are others.
LIMIT = (1 << 14) - 4
#: Seconds: for one attempt, between attempts that fail, and how long a handshake
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


def _possibleIssuers(context: SslStreamCertificateContext) -> Iterator[x509.Certificate]:
    """
    @raise CertificateError: the issuer did not come along, and a store cannot
        be used.
    """
    yield from context.intermediates
    yield from context.roots
    yield from userIntermediates()
    yield from systemRoots()


def _isNamed(certificate: x509.Certificate, name: x509.Name | None) -> bool:
    try:
        return certificate.subject == name
    except Exception:
        # As in certificatefacts, whose caches are not for all of these.
        return False


class Stapler:
    """
    Keeps the OCSP response for one certificate.
    """

    _log = Logger()

    def __init__(self, context: SslStreamCertificateContext) -> None:
        self._certificate = context.certificate
        self._retriever = context.retriever
        self._urls = () if context.offline else ocspUrls(context.certificate)
        self._issuer = self._issuerFor(context) if self._urls else None
        self._response: bytes | None = None
        self._statement: Statement | None = None
        self._refreshAt: datetime.datetime | None = None
        self._nextAttempt: float | None = None
        self._fetching: Occurrence[None] | None = None

    def _issuerFor(self, context: SslStreamCertificateContext) -> x509.Certificate | None:
        certificate = context.certificate
        name = factsOf(certificate).issuer
        try:
            for each in _possibleIssuers(context):
                # What has another name is not worth a place in the caches of
                # what certificates say and who has signed them.
                if _isNamed(each, name) and isSignedBy(certificate, each):
                    return each
        except CertificateError as e:
            self._warn(str(e))
        return None

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

        fetched = Deferred.fromCoroutine(self._fetch(clock))
        fetched.addErrback(lambda failure: self._warn(failure.getErrorMessage()))
        fetched.addBoth(ended)

    def _warn(self, reason: str) -> None:
        self._log.warn(
            "no OCSP response for {name}: {reason}",
            name=readableName(self._certificate),
            reason=reason,
        )

    async def _fetch(self, clock: IReactorTime) -> None:
        """
        @raise RevocationDataError: nothing of use was to be had.
        """
        issuer = self._issuer
        assert issuer is not None
        now = _now()
        hearing = Hearing(defaultCache(), now)
        retrievals = Retrievals(self._retriever or defaultRetriever(), clock, TIMEOUT)
        for url in self._urls:
            source = replace(
                responderAt(url, self._certificate, issuer, now, nonce=None), limit=LIMIT
            )
            # What is being refreshed is itself what the cache has.
            heard = hearing.remembered(source) if self._statement is None else None
            heard = heard or await hearing.fetched(source, retrievals)
            if heard is not None:
                self._take(*heard)
                return
        raise RevocationDataError("; ".join(dict.fromkeys(hearing.said)))

    def _take(self, statement: Statement, response: bytes) -> None:
        now = _now()
        self._statement = statement
        self._response = response
        ends = statement.validUntil - MARGIN
        self._refreshAt = min(now + LONGEST_USE, ends) if ends > now else statement.validUntil


@lru_cache(maxsize=256)
def staplerOf(context: SslStreamCertificateContext) -> Stapler:
    """
    @return: equal contexts share one.
    """
    return Stapler(context)
