# -*- test-case-name: tests.test_selection -*-
"""
Which of several certificates a client shows, as a browser would choose.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from .certificatefacts import factsOf, keyTypesOf
from .certificates import SslStreamCertificateContext
from .stores import userIntermediates


def bestCandidate(
    candidates: Sequence[SslStreamCertificateContext],
    issuers: Collection[x509.Name],
    keyTypes: Collection[str] | None,
) -> SslStreamCertificateContext | None:
    """
    @param issuers: the authorities that the server names; empty if it names
        none, and any will do.
    @param keyTypes: the kinds of keys that it is content with, as
        L{txsslstream.certificatemessages.keyTypes} names them; L{None} for any.
    @return: the first candidate that comes from one of the issuers and is of
        one of the kinds, those first that are valid now and for client
        authentication; L{None} if there is none.
    """
    fitting = [
        each
        for each in candidates
        if (keyTypes is None or not keyTypesOf(each.certificate).isdisjoint(keyTypes))
        and (not issuers or _comesFrom(each, issuers))
    ]
    # Sorting keeps the order of what is equally good.
    return min(fitting, key=_doubts, default=None)


def _comesFrom(candidate: SslStreamCertificateContext, issuers: Collection[x509.Name]) -> bool:
    known = {each.subject: each for each in (*userIntermediates(), *candidate.intermediates)}
    certificate: x509.Certificate | None = candidate.certificate
    seen = set()
    while certificate is not None and certificate not in seen:
        if certificate.issuer in issuers:
            return True
        seen.add(certificate)
        certificate = known.get(certificate.issuer)
    return False


def _doubts(candidate: SslStreamCertificateContext) -> int:
    certificate = candidate.certificate
    now = datetime.datetime.now(datetime.timezone.utc)
    usages = factsOf(certificate).get(x509.ExtendedKeyUsage)
    isValid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    return (not isValid) + (usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages)
