# -*- test-case-name: tests.test_revocationdata -*-
"""
What an OCSP response or a CRL says about one certificate, and whether it proves
it (RFC 6960, RFC 5019, RFC 5280 section 6.3).

Nothing here fetches.  Data that proves nothing is a L{RevocationDataError} with
the reason, never a statement.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509 import ocsp
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    ExtensionOID,
    ObjectIdentifier,
    SignatureAlgorithmOID,
)

from .certificatefacts import factsOf, isSignedBy
from .errors import printable

#: In bytes.
OCSP_LIMIT = 128 * 1024
CRL_LIMIT = 20 * 1024 * 1024

#: How far the clock of whoever signs may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)

#: How long data that names no end is believed (RFC 6960 section 4.2.2.1: newer
#: information is available all the time; RFC 5280 demands an end of CRLs).
OCSP_LIFETIME = timedelta(hours=1)
CRL_LIFETIME = timedelta(days=1)

#: How many URLs of one kind a certificate may name; the rest is ignored.
MOST_URLS = 4

#: The longest URL of a GET request (RFC 5019 section 5).
_LONGEST_GET = 255

#: How many certificates of an OCSP response are looked at.
_MOST_RESPONDERS = 8

_WEAK_DIGESTS = {"md5": "MD5", "sha1": "SHA-1"}

#: What is heeded, or asks nothing of whoever reads, where it is critical.
_RESPONSE_EXTENSIONS = frozenset({x509.OCSPNonce.oid})
_SINGLE_EXTENSIONS = frozenset(
    {
        ExtensionOID.SIGNED_CERTIFICATE_TIMESTAMPS,
        x509.CRLReason.oid,
        x509.InvalidityDate.oid,
    }
)
#: A CRL's number must not be critical (RFC 5280 section 5.2.3).
_LIST_EXTENSIONS = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME,
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
    }
)
_ENTRY_EXTENSIONS = frozenset(
    {x509.CRLReason.oid, x509.InvalidityDate.oid, x509.CertificateIssuer.oid}
)

#: Every extension that is critical has this in it: BOOLEAN TRUE in DER.
_TRUE = b"\x01\x01\xff"

_HTTP_URL = re.compile(r"http://[!-~]{1,2000}", re.IGNORECASE)


class Standing(Enum):
    """
    What is said of a certificate.
    """

    good = "good"
    revoked = "revoked"
    unknown = "unknown"


_GRAVITY = (Standing.good, Standing.unknown, Standing.revoked)


@dataclass(frozen=True)
class Statement:
    """
    What is proven of a certificate.

    @ivar information: the same in words, such as C{"revoked 2026-01-02
        (keyCompromise)"}.
    @ivar validUntil: how long this may be repeated.
    @ivar source: who says so.
    """

    standing: Standing
    information: str
    validUntil: datetime
    source: str


class RevocationDataError(ValueError):
    """
    The data proves nothing; the message says why.
    """


class OtherIssuerError(RevocationDataError):
    """
    The CRL is another issuer's.
    """


@contextmanager
def _reading() -> Iterator[None]:
    """
    Whatever goes wrong while reading foreign data proves nothing.
    """
    try:
        yield
    except RevocationDataError:
        raise
    except Exception as e:
        # cryptography parses lazily and raises ValueError, TypeError,
        # UnsupportedAlgorithm, DuplicateExtension, InvalidVersion and more.
        words = printable(str(e)) or type(e).__name__
        raise RevocationDataError(f"is unreadable: {words}") from e


# What a certificate names.


def _httpUrls(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    urls = (each.value for each in names if isinstance(each, x509.UniformResourceIdentifier))
    return tuple(dict.fromkeys(filter(_HTTP_URL.fullmatch, urls)))[:MOST_URLS]


def _accessUrls(certificate: x509.Certificate, method: ObjectIdentifier) -> tuple[str, ...]:
    access = factsOf(certificate).get(x509.AuthorityInformationAccess) or ()
    return _httpUrls(each.access_location for each in access if each.access_method == method)


def ocspUrls(certificate: x509.Certificate) -> tuple[str, ...]:
    """
    @return: where the certificate's OCSP responders are: at most L{MOST_URLS}
        plain http URLs, each once, in its order; none if its extensions cannot
        be read.
    """
    return _accessUrls(certificate, AuthorityInformationAccessOID.OCSP)


def issuerUrls(certificate: x509.Certificate) -> tuple[str, ...]:
    """
    @return: where the certificate's issuer can be fetched from, as in
        L{ocspUrls}.
    """
    return _accessUrls(certificate, AuthorityInformationAccessOID.CA_ISSUERS)


def _distributionPoints(certificate: x509.Certificate) -> tuple[x509.DistributionPoint, ...]:
    return tuple(factsOf(certificate).get(x509.CRLDistributionPoints) or ())


def crlUrls(certificate: x509.Certificate) -> tuple[str, ...]:
    """
    @return: where CRLs of the certificate's issuer can be fetched from, as in
        L{ocspUrls}; none if the issuer's name cannot be read.
    """
    issuer = factsOf(certificate).issuer
    if issuer is None:
        return ()
    own = x509.DirectoryName(issuer)
    return _httpUrls(
        name
        for point in _distributionPoints(certificate)
        # Another issuer's CRL proves nothing here.
        if not point.crl_issuer or own in point.crl_issuer
        for name in point.full_name or ()
    )


# What both kinds of data have.


def _checkWindow(
    thisUpdate: datetime, nextUpdate: datetime | None, lifetime: timedelta, now: datetime
) -> datetime:
    """
    @return: until when the data is valid.
    @raise RevocationDataError: it is not valid now.
    """
    if thisUpdate > now + CLOCK_SKEW:
        raise RevocationDataError(f"is not valid before {thisUpdate:%Y-%m-%d %H:%M} UTC")
    validUntil = thisUpdate + lifetime if nextUpdate is None else nextUpdate
    if now > validUntil:
        raise RevocationDataError(f"expired {validUntil:%Y-%m-%d %H:%M} UTC")
    return validUntil


def _checkCritical(extensions: x509.Extensions, understood: frozenset[ObjectIdentifier]) -> None:
    for each in extensions:
        if each.critical and each.oid not in understood:
            raise RevocationDataError(
                f"has a critical extension that must not be: {each.oid.dotted_string}"
            )


def _checkDigest(digest: hashes.HashAlgorithm | None) -> None:
    if digest is not None and digest.name in _WEAK_DIGESTS:
        raise RevocationDataError(f"is signed with {_WEAK_DIGESTS[digest.name]}")


def _keyOf(issuer: x509.Certificate) -> PublicKeyTypes:
    key = factsOf(issuer).verifyingKey
    if key is None:
        raise RevocationDataError("cannot be verified: the issuer's key is unusable")
    return key


def _revoked(
    moment: datetime, reason: x509.ReasonFlags | None, validUntil: datetime, source: str
) -> Statement:
    why = "" if reason is None else f" ({reason.value})"
    return Statement(Standing.revoked, f"revoked {moment:%Y-%m-%d}{why}", validUntil, source)


# OCSP.


def ocspRequest(
    certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes | None
) -> bytes:
    """
    @param nonce: for an answer that is made for this request alone (RFC 9654);
        L{None} for one that may have been made before.
    @return: the request in DER, about this certificate alone, naming it by
        SHA-1, which is the one that all responders know (RFC 5019 section
        2.1.1).
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def ocspGetUrl(url: str, request: bytes) -> str | None:
    """
    @param url: the responder's.
    @param request: in DER.
    @return: the URL that asks the same by GET (RFC 6960 appendix A.1); L{None}
        if that is too long (RFC 5019 section 5), or the responder's URL has a
        query.
    """
    if "?" in url or "#" in url:
        return None
    whole = f"{url.removesuffix('/')}/{quote(base64.b64encode(request), safe='')}"
    return whole if len(whole) <= _LONGEST_GET else None


def checkOcsp(
    data: bytes,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
    *,
    nonce: bytes | None,
    source: str,
) -> Statement:
    """
    Read an OCSP response.

    @param data: in DER; nothing that is in it makes this raise anything else.
    @param issuer: who has issued C{certificate}.
    @param now: with time zone.
    @param nonce: what the request had.  A response without one is believed all
        the same: most are made in advance (RFC 9654 section 2.1).
    @param source: for the statement.
    @raise RevocationDataError: it proves nothing.
    """
    if len(data) > OCSP_LIMIT:
        raise RevocationDataError(f"has {len(data)} bytes, more than {OCSP_LIMIT}")
    with _reading():
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            first, *words = response.response_status.name.lower().split("_")
            raise RevocationDataError(f"says only {''.join([first, *map(str.title, words)])}")
        matches = _matches(response, certificate, issuer)
        _checkResponseExtensions(response, nonce)
        _checkOcspSignature(response, issuer, now)
        statements = [_statementOf(each, now, source) for each in matches]
    # Should it say several things of one certificate, the worst counts.
    return max(statements, key=lambda each: _GRAVITY.index(each.standing))


def _matches(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> list[ocsp.OCSPSingleResponse]:
    """
    @return: what the response says of exactly this certificate.
    """
    singles = list(response.responses)
    serialNumber = certificate.serial_number
    matches = [
        each
        for each in singles
        if each.serial_number == serialNumber and _isIssuer(each, certificate, issuer)
    ]
    if not matches:
        raise RevocationDataError("is about another certificate")
    if len(singles) == 1:
        _checkCritical(response.single_extensions, _SINGLE_EXTENSIONS)
    elif _TRUE in response.tbs_response_bytes:
        # cryptography shows the extensions of a lone one only.  By chance a number
        # or a digest has these bytes as well: one in 100,000 is refused for that.
        raise RevocationDataError("has several parts, and perhaps unknown critical extensions")
    return matches


def _isIssuer(
    single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> bool:
    wanted = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, issuer, single.hash_algorithm)
        .build()
    )
    return (
        single.issuer_name_hash == wanted.issuer_name_hash
        and single.issuer_key_hash == wanted.issuer_key_hash
    )


def _checkResponseExtensions(response: ocsp.OCSPResponse, nonce: bytes | None) -> None:
    extensions = response.extensions
    _checkCritical(extensions, _RESPONSE_EXTENSIONS)
    if nonce is not None:
        for each in extensions:
            if isinstance(each.value, x509.OCSPNonce) and each.value.nonce != nonce:
                raise RevocationDataError("answers another request: its nonce differs")


def _statementOf(single: ocsp.OCSPSingleResponse, now: datetime, source: str) -> Statement:
    validUntil = _checkWindow(single.this_update_utc, single.next_update_utc, OCSP_LIFETIME, now)
    moment = single.revocation_time_utc
    if moment is not None:
        return _revoked(moment, single.revocation_reason, validUntil, source)
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return Statement(Standing.good, "good", validUntil, source)
    return Statement(Standing.unknown, "the responder does not know it", validUntil, source)


def _checkOcspSignature(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime
) -> None:
    """
    The issuer has signed the response, or somebody whom it has entitled to
    (RFC 6960 section 4.2.2.2).
    """
    candidates = [issuer, *response.certificates[:_MOST_RESPONDERS]]
    named = [each for each in candidates if _isNamed(response, each)]
    if not named:
        raise RevocationDataError("does not contain the certificate of the responder it names")
    problem = "has a wrong signature"
    for responder in named:
        if responder != issuer:
            entitled = _entitlementProblem(responder, issuer, now)
            if entitled is not None:
                problem = f"is signed by a responder that {entitled}"
                continue
        if _hasSigned(_keyOf(responder), response):
            return
    raise RevocationDataError(problem)


def _isNamed(response: ocsp.OCSPResponse, responder: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == responder.subject
    key = factsOf(responder).key
    # The same SHA-1 digest of the key's bits that a key identifier is.
    return (
        key is not None
        and response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key).digest  # type: ignore[arg-type]
    )


def _entitlementProblem(
    responder: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> str | None:
    """
    Whether the responder itself is revoked is not asked, with the extension
    id-pkix-ocsp-nocheck or without it: its certificate is short-lived, or the
    answer would come from the same responder (RFC 6960 section 4.2.2.2.1).

    @return: why a responder must not speak for the issuer, or L{None}.
    """
    facts = factsOf(responder)
    if facts.problem is not None or facts.unknownCritical:
        return "has an unreadable certificate"
    if facts.keyProblem is not None:
        return facts.keyProblem
    if facts.signatureProblem is not None:
        return f"has a certificate that {facts.signatureProblem}"
    if not isSignedBy(responder, issuer):
        return "has no certificate of the issuer"
    usages = facts.get(x509.ExtendedKeyUsage)
    if usages is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usages:
        return "has no certificate for OCSP signing"
    usage = facts.get(x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        return "has no certificate for digital signatures"
    if not responder.not_valid_before_utc <= now <= responder.not_valid_after_utc:
        return "has a certificate that is not valid now"
    return None


def _hasSigned(key: Any, response: ocsp.OCSPResponse) -> bool:
    for arguments in _verifications(key, response):
        with suppress(InvalidSignature):
            key.verify(response.signature, response.tbs_response_bytes, *arguments)
            return True
    return False


def _verifications(key: Any, response: ocsp.OCSPResponse) -> list[tuple[Any, ...]]:
    """
    @return: what to verify the signature with; more than one where cryptography
        does not tell the parameters, which is so for RSA-PSS.
    """
    if response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
        return [
            (padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)
            for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
        ]
    digest = response.signature_hash_algorithm
    _checkDigest(digest)
    if digest is None:
        return [()] if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)) else []
    if isinstance(key, rsa.RSAPublicKey):
        return [(padding.PKCS1v15(), digest)]
    return [(ec.ECDSA(digest),)] if isinstance(key, ec.EllipticCurvePublicKey) else []


# CRLs.


def _loadCrl(data: bytes) -> x509.CertificateRevocationList:
    """
    @param data: in DER or PEM.
    @raise RevocationDataError: it is none, or larger than L{CRL_LIMIT}.
    """
    if len(data) > CRL_LIMIT:
        raise RevocationDataError(f"has {len(data)} bytes, more than {CRL_LIMIT}")
    with _reading():
        isPem = b"-----BEGIN X509 CRL-----" in data
        return x509.load_pem_x509_crl(data) if isPem else x509.load_der_x509_crl(data)


def checkCrl(
    data: bytes | x509.CertificateRevocationList,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
    *,
    source: str,
) -> Statement:
    """
    Read a certificate revocation list.

    @param data: in DER or PEM; nothing that is in it makes this raise anything
        else.
    @param issuer: who has issued C{certificate}.
    @param now: with time zone.
    @param source: for the statement.
    @raise OtherIssuerError: it is another issuer's.
    @raise RevocationDataError: it proves nothing.
    """
    crl = _loadCrl(data) if isinstance(data, bytes) else data
    name = factsOf(certificate).issuer
    if name is None:
        raise RevocationDataError("cannot be checked: the issuer's name is unreadable")
    with _reading():
        if crl.issuer != name:
            raise OtherIssuerError("is another issuer's")
        validUntil = _checkWindow(crl.last_update_utc, crl.next_update_utc, CRL_LIFETIME, now)
        extensions = crl.extensions
        if any(isinstance(each.value, x509.DeltaCRLIndicator) for each in extensions):
            raise RevocationDataError("is a delta CRL, which is of no use alone")
        _checkCritical(extensions, _LIST_EXTENSIONS)
        scope = next(
            (
                each.value
                for each in extensions
                if isinstance(each.value, x509.IssuingDistributionPoint)
            ),
            None,
        )
        if scope is not None:
            _checkScope(scope, certificate, name)
        _checkCrlSignature(crl, issuer)
        # A linear search, but not in Python: 20 ms for 200,000 entries.
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            return _entryStatement(entry, scope, name, validUntil, source)
    isPartial = scope is not None and scope.only_some_reasons is not None
    if isPartial or any(each.reasons is not None for each in _distributionPoints(certificate)):
        raise RevocationDataError("does not have it, but is for some reasons only")
    return Statement(Standing.good, "good", validUntil, source)


def _checkScope(
    scope: x509.IssuingDistributionPoint, certificate: x509.Certificate, issuer: x509.Name
) -> None:
    """
    The CRL covers the certificate (RFC 5280 section 6.3.3 (b)).
    """
    facts = factsOf(certificate)
    if facts.problem is not None:
        raise RevocationDataError("may not cover the certificate, whose extensions are unreadable")
    if scope.only_contains_attribute_certs:
        raise RevocationDataError("covers attribute certificates only")
    if scope.only_contains_user_certs and facts.isAuthority:
        raise RevocationDataError("does not cover authorities")
    if scope.only_contains_ca_certs and not facts.isAuthority:
        raise RevocationDataError("covers authorities only")
    if scope.relative_name is not None:
        raise RevocationDataError("is for a distribution point with a relative name")
    if scope.full_name is not None:
        # A certificate that names none has its issuer for one.
        names = {x509.DirectoryName(issuer)}.union(
            *(point.full_name or () for point in _distributionPoints(certificate))
        )
        if names.isdisjoint(scope.full_name):
            raise RevocationDataError("is for another distribution point")


def _checkCrlSignature(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    _checkDigest(crl.signature_hash_algorithm)
    facts = factsOf(issuer)
    usage = facts.get(x509.KeyUsage)
    if facts.problem is not None or (usage is not None and not usage.crl_sign):
        raise RevocationDataError("is signed by an issuer that must not sign CRLs")
    if not crl.is_signature_valid(_keyOf(issuer)):  # type: ignore[arg-type]
        raise RevocationDataError("has a wrong signature")


def _entryStatement(
    entry: x509.RevokedCertificate,
    scope: x509.IssuingDistributionPoint | None,
    issuer: x509.Name,
    validUntil: datetime,
    source: str,
) -> Statement:
    # That no other entry has an unknown critical extension is not checked: it
    # would need a walk through all of them, and they are not about this one.
    extensions = entry.extensions
    _checkCritical(extensions, _ENTRY_EXTENSIONS)
    values = {type(each.value): each.value for each in extensions}
    owner = values.get(x509.CertificateIssuer)
    isShared = scope is not None and scope.indirect_crl
    isOwn = isinstance(owner, x509.CertificateIssuer) and (
        x509.DirectoryName(issuer) in list(owner)
    )
    if (isShared or owner is not None) and not isOwn:
        # Without an owner it is that of an entry before (RFC 5280 section
        # 5.3.3), and there may be a second entry with this number.
        raise RevocationDataError("has its number, perhaps of another issuer")
    stated = values.get(x509.CRLReason)
    reason = stated.reason if isinstance(stated, x509.CRLReason) else None
    if reason is x509.ReasonFlags.remove_from_crl:
        return Statement(Standing.good, "good: removed from the list", validUntil, source)
    return _revoked(entry.revocation_date_utc, reason, validUntil, source)
