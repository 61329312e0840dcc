# -*- test-case-name: tests.test_issuers -*-
"""
Certificates of issuers that a peer forgot to send, from where certificates say
they are (RFC 5280 section 4.2.2.1).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from twisted.internet.defer import Deferred, inlineCallbacks

from .paths import Path
from .revocationdata import issuerUrls
from .sources import NotFetchedError, Retrievals

#: Bounds: bytes of one answer, certificates in it, answers for one path.
LIMIT = 128 * 1024
MOST_CERTIFICATES = 16
MOST_ANSWERS = 4


def certificatesIn(data: bytes) -> list[x509.Certificate]:
    """
    @param data: a certificate in DER or PEM, or a list of them (RFC 5280: in
        PKCS #7).
    @return: at most L{MOST_CERTIFICATES} of them; none if it is nothing of the
        kind.
    """
    readers: tuple[Callable[[bytes], list[x509.Certificate]], ...] = (
        lambda der: [x509.load_der_x509_certificate(der)],
        pkcs7.load_der_pkcs7_certificates,
        x509.load_pem_x509_certificates,
    )
    for read in readers:
        # Each has errors of its own for what is of another kind.
        with suppress(Exception):
            return read(data)[:MOST_CERTIFICATES]
    return []


@inlineCallbacks
def fetchIssuers(
    path: Path,
    others: list[x509.Certificate],
    find: Callable[[list[x509.Certificate]], Path],
    retrievals: Retrievals,
) -> Any:
    """
    Complete a path that leads nowhere.

    @param others: what there was to find a path from.
    @param find: finds the best path with what there is.
    @param retrievals: what fetches.
    @return: a Deferred of the best path; it fails only if it is cancelled.
    """
    asked: set[str] = set()
    while not path.isAnchored:
        urls = [each for each in issuerUrls(path.certificates[-1]) if each not in asked]
        if not urls or len(asked) >= MOST_ANSWERS:
            break
        asked.add(urls[0])
        try:
            data = yield Deferred.fromCoroutine(retrievals.fetch(urls[0], LIMIT, None))
        except NotFetchedError:
            # What cannot be had is not there: the path says so.
            continue
        more = certificatesIn(data)
        if more:
            others = [*others, *more]
            path = find(others)
    return path
