# -*- test-case-name: tests.test_testing_certificates -*-
"""
OCSP responses and CRLs for tests, good ones and every kind of bad ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from ..certificates import SslStreamCertificateContext
from .encoding import BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, der
from .issuing import DAY, NOW, SHA256, Extension, Signer

GOOD = ocsp.OCSPCertStatus.GOOD
REVOKED = ocsp.OCSPCertStatus.REVOKED
UNKNOWN = ocsp.OCSPCertStatus.UNKNOWN

#: When everything that is revoked here was.
REVOKED_AT = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)

# What certificates name.


def access(ocspUrls: Iterable[str] = (), issuerUrls: Iterable[str] = ()) -> Extension:
    """
    An extension that names OCSP responders and places of the issuer's
    certificate, for C{extensions} of
    L{Authority.issue<txsslstream.testing.authority.Authority.issue>}.
    """
    oid = AuthorityInformationAccessOID
    named = [(oid.OCSP, url) for url in ocspUrls]
    named += [(oid.CA_ISSUERS, url) for url in issuerUrls]
    return (
        x509.AuthorityInformationAccess(
            x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
            for method, url in named
        ),
        False,
    )


def distributionPoint(
    *urls: str,
    reasons: Iterable[x509.ReasonFlags] | None = None,
    issuer: x509.Name | None = None,
) -> x509.DistributionPoint:
    """
    One place of a CRL.
    """
    return x509.DistributionPoint(
        [x509.UniformResourceIdentifier(url) for url in urls],
        None,
        None if reasons is None else frozenset(reasons),
        None if issuer is None else [x509.DirectoryName(issuer)],
    )


def distribution(*urls: str) -> Extension:
    """
    An extension that names these CRLs.
    """
    return x509.CRLDistributionPoints(distributionPoint(url) for url in urls), False


# OCSP.


def ocspResponse(
    authority: Signer,
    certificate: x509.Certificate,
    *,
    status: ocsp.OCSPCertStatus = GOOD,
    reason: x509.ReasonFlags | None = None,
    thisUpdate: datetime.datetime = NOW - DAY,
    nextUpdate: datetime.datetime | None = NOW + DAY,
    revokedAt: datetime.datetime = REVOKED_AT,
    responder: SslStreamCertificateContext | None = None,
    nonce: bytes | None = None,
    encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
    certificates: Sequence[x509.Certificate] | None = None,
    algorithm: hashes.HashAlgorithm = hashes.SHA1(),  # noqa: B008
    digest: hashes.HashAlgorithm | None = SHA256,
    extensions: Iterable[Extension] = (),
) -> bytes:
    """
    What an authority's OCSP responder says of a certificate, in DER.

    @param authority: who has issued it.
    @param reason: why it was revoked, if it was.
    @param revokedAt: when it was revoked, if it was.
    @param responder: who signs, if not the authority itself.
    @param encoding: how the signer is named.
    @param certificates: what is sent along; the responder's own unless given.
    @param algorithm: what the certificate is named with.
    @param digest: what is signed with.
    @param extensions: of the response, with whether each is critical.
    """
    isRevoked = status is REVOKED
    signer = authority.certificate if responder is None else responder.certificate
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            certificate,
            authority.certificate,
            algorithm,
            status,
            thisUpdate,
            nextUpdate,
            revokedAt if isRevoked else None,
            reason if isRevoked else None,
        )
        .responder_id(encoding, signer)
    )
    if certificates is None:
        certificates = () if responder is None else (signer,)
    if certificates:
        builder = builder.certificates(certificates)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    for extension, isCritical in extensions:
        builder = builder.add_extension(extension, isCritical)
    key: Any = authority.key if responder is None else responder.privateKey
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


#: RSASSA-PSS with SHA-256 and a salt of 32 bytes.
PSS_SHA256 = bytes.fromhex(
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
    "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
)
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def unknownExtensionInDER(isCritical: bool) -> bytes:
    """
    An extension that nobody knows, in DER.
    """
    flag = b"\x01\x01\xff" if isCritical else b""
    return der(
        SEQUENCE, der(OBJECT_IDENTIFIER, b"\x2a\x03\x04"), flag, der(OCTET_STRING, b"\x05\x00")
    )


def single(
    authority: Signer,
    certificate: x509.Certificate,
    *extensions: bytes,
    status: ocsp.OCSPCertStatus = GOOD,
) -> bytes:
    """
    What a response says of one certificate, in DER, for L{assembled}; as of
    now, for a day.

    @param extensions: in DER.
    """
    stated = {GOOD: der(0x80), REVOKED: der(0xA1, _time(REVOKED_AT)), UNKNOWN: der(0x82)}
    request = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, authority.certificate, hashes.SHA1())
        .build()
    )
    serial = certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return der(
        SEQUENCE,
        der(
            SEQUENCE,
            bytes.fromhex("300906052b0e03021a0500"),
            der(OCTET_STRING, request.issuer_name_hash),
            der(OCTET_STRING, request.issuer_key_hash),
            der(INTEGER, number),
        ),
        stated[status],
        _time(NOW),
        der(0xA0, _time(NOW + DAY)),
        *([der(0xA1, der(SEQUENCE, *extensions))] if extensions else []),
    )


def _time(moment: datetime.datetime) -> bytes:
    return der(0x18, f"{moment:%Y%m%d%H%M%SZ}".encode())


def assembled(
    signer: SslStreamCertificateContext | Signer, *singles: bytes, isPss: bool = False
) -> bytes:
    """
    A response such as cryptography does not make: about several certificates,
    with extensions, or signed with RSASSA-PSS.

    @param singles: made by L{single}.
    @param isPss: sign with RSASSA-PSS; otherwise the signer's key is for ECDSA.
    """
    key: Any = signer.privateKey if isinstance(signer, SslStreamCertificateContext) else signer.key
    certificate = signer.certificate
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    signed = der(
        SEQUENCE, der(0xA2, der(OCTET_STRING, identifier)), _time(NOW), der(SEQUENCE, *singles)
    )
    if isPss:
        signature = key.sign(signed, padding.PSS(padding.MGF1(SHA256), 32), SHA256)
    else:
        signature = key.sign(signed, ec.ECDSA(SHA256))
    basic = der(
        SEQUENCE,
        signed,
        PSS_SHA256 if isPss else ECDSA_SHA256,
        der(BIT_STRING, b"\x00", signature),
        der(0xA0, der(SEQUENCE, certificate.public_bytes(serialization.Encoding.DER))),
    )
    kind = bytes.fromhex("06092b0601050507300101")
    return der(
        SEQUENCE, der(0x0A, b"\x00"), der(0xA0, der(SEQUENCE, kind, der(OCTET_STRING, basic)))
    )


# CRLs.


def entry(
    certificate: x509.Certificate,
    reason: x509.ReasonFlags | None = None,
    extensions: Iterable[Extension] = (),
    revokedAt: datetime.datetime = REVOKED_AT,
) -> x509.RevokedCertificate:
    """
    One line of a CRL.
    """
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(certificate.serial_number)
        .revocation_date(revokedAt)
    )
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), False)
    for extension, isCritical in extensions:
        builder = builder.add_extension(extension, isCritical)
    return builder.build()


def crl(
    authority: Signer,
    *revoked: x509.Certificate | x509.RevokedCertificate,
    thisUpdate: datetime.datetime = NOW - DAY,
    nextUpdate: datetime.datetime = NOW + DAY,
    revokedAt: datetime.datetime = REVOKED_AT,
    extensions: Iterable[Extension] = (),
    issuer: x509.Name | None = None,
    key: Any = None,
    digest: Any = SHA256,
    padding: padding.PSS | None = None,
) -> x509.CertificateRevocationList:
    """
    An authority's CRL.

    @param revoked: certificates, and lines made by L{entry}.
    @param revokedAt: when the certificates were revoked.
    @param issuer: whose it says it is, if not the authority's.
    @param key: what it is signed with, if not the authority's.
    @param digest: what is signed with.
    @param padding: for RSA.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer or authority.certificate.subject)
        .last_update(thisUpdate)
        .next_update(nextUpdate)
    )
    for each in revoked:
        builder = builder.add_revoked_certificate(
            entry(each, revokedAt=revokedAt) if isinstance(each, x509.Certificate) else each
        )
    for extension, isCritical in extensions:
        builder = builder.add_extension(extension, isCritical)
    return builder.sign(key or authority.key, digest, rsa_padding=padding)


def crlBytes(crl: x509.CertificateRevocationList) -> bytes:
    """
    A CRL in DER.
    """
    return crl.public_bytes(serialization.Encoding.DER)
