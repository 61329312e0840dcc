"""
What is read of CRLs and OCSP responses, which come from the network or from a
peer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from twisted.internet.task import Clock

from txsslstream import stapling
from txsslstream._cache import RevocationCache
from txsslstream.certificates import SslStreamCertificateContext
from txsslstream.revocationdata import RevocationDataError, checkCrl, checkOcsp
from txsslstream.stapling import LIMIT, Stapler
from txsslstream.storefiles import withoutWarnings
from txsslstream.testing import MemoryWeb
from txsslstream.testing.encoding import BIT_STRING, OCTET_STRING, SEQUENCE, der
from txsslstream.testing.issuing import unknownExtension
from txsslstream.testing.revocations import GOOD, REVOKED, UNKNOWN, crl, entry, ocspResponse

from .signed import (
    AFTER,
    BEFORE,
    LIST,
    MOMENT,
    RESPONDER,
    hasSigned,
    key,
    signed,
    theAuthority,
    theServer,
)
from .target import Target, chosen, require

_NONCE = bytes(16)


def _crl(data: bytes) -> str:
    kind, rest = chosen(data)
    authority, server = theAuthority().certificate, theServer().certificate
    whole = signed(rest) if kind & 1 else rest
    with withoutWarnings():
        statement = checkCrl(whole, server, authority, MOMENT, source="list")
        isPEM = b"-----BEGIN" in whole
        found = x509.load_pem_x509_crl(whole) if isPEM else x509.load_der_x509_crl(whole)
    require(hasSigned(found.signature, found.tbs_certlist_bytes), "a CRL counts, changed")
    require(statement.validUntil >= MOMENT, "an old CRL counts")
    require(statement.information.isprintable(), "information that controls terminals")
    return statement.standing.name


def _ocsp(data: bytes) -> str:
    kind, rest = chosen(data)
    whole = _response(rest) if kind & 1 else rest
    if kind & 8:
        return _stapled(whole)
    authority, server = theAuthority().certificate, theServer().certificate
    nonce = _NONCE if kind & 4 else None
    with withoutWarnings():
        statement = checkOcsp(whole, server, authority, MOMENT, nonce=nonce, source="responder")
        found = ocsp.load_der_ocsp_response(whole)
    require(hasSigned(found.signature, found.tbs_response_bytes), "a response counts, changed")
    require(statement.validUntil >= MOMENT, "an old response counts")
    require(statement.information.isprintable(), "information that controls terminals")
    return statement.standing.name


def _stapled(whole: bytes) -> str:
    """
    What is fetched to be stapled.
    """
    context = SslStreamCertificateContext(
        theServer().certificate,
        key(2),
        [theAuthority().certificate],
        retriever=MemoryWeb({RESPONDER: whole}),
    )
    stapler = Stapler(context)
    # What others were told is not remembered.
    cache = patch.object(stapling, "defaultCache", lambda: RevocationCache(None))
    with cache, withoutWarnings():
        stapler.prepare(Clock())
    shown = stapler.current()
    require(shown is None or (shown == whole and len(shown) <= LIMIT), "another is shown")
    return "shown" if shown else "not shown"


def _response(content: bytes) -> bytes:
    """
    @param content: what is signed in a response.
    @return: the response.
    """
    algorithm = bytes.fromhex("300506032b6570")
    basic = der(SEQUENCE, content, algorithm, der(BIT_STRING, b"\0", key(1).sign(content)))
    kind = bytes.fromhex("06092b0601050507300101")
    inner = der(0xA0, der(SEQUENCE, kind, der(OCTET_STRING, basic)))
    return der(SEQUENCE, der(0x0A, b"\0"), inner)


def _list(*revoked: Any, **arguments: Any) -> x509.CertificateRevocationList:
    return crl(
        theAuthority(), *revoked, thisUpdate=BEFORE, nextUpdate=AFTER, digest=None, **arguments
    )


def _scope(**changes: Any) -> tuple[x509.ExtensionType, bool]:
    values: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
        **changes,
    }
    return x509.IssuingDistributionPoint(**values), True


@cache
def _lists() -> tuple[x509.CertificateRevocationList, ...]:
    server = theServer().certificate
    name = theAuthority().certificate.subject
    return (
        _list(),
        _list(server),
        _list(entry(server, x509.ReasonFlags.key_compromise)),
        _list(entry(server, x509.ReasonFlags.remove_from_crl)),
        _list(
            entry(
                server,
                extensions=[
                    (x509.CertificateIssuer([x509.DirectoryName(name)]), True),
                    (x509.InvalidityDate(BEFORE.replace(tzinfo=None)), False),
                ],
            ),
            extensions=[_scope(indirect_crl=True)],
        ),
        _list(extensions=[(x509.CRLNumber(1), False), (x509.DeltaCRLIndicator(1), True)]),
        _list(extensions=[_scope(full_name=[x509.UniformResourceIdentifier(LIST)])]),
        _list(
            extensions=[
                _scope(
                    only_contains_user_certs=True,
                    only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}),
                )
            ]
        ),
        _list(extensions=[unknownExtension()]),
        _list(issuer=theServer().certificate.subject),
    )


def _crlSeeds() -> Iterator[bytes]:
    for each in _lists():
        yield b"\0" + each.public_bytes(Encoding.DER)
        yield b"\1" + each.tbs_certlist_bytes
    yield b"\0" + _lists()[0].public_bytes(Encoding.PEM)


@cache
def _responses() -> tuple[bytes, ...]:
    server = theServer().certificate

    def response(**arguments: Any) -> bytes:
        return ocspResponse(
            theAuthority(),
            server,
            **{"thisUpdate": BEFORE, "nextUpdate": AFTER, "digest": None, **arguments},
        )

    return (
        response(),
        response(status=REVOKED, reason=x509.ReasonFlags.key_compromise),
        response(status=UNKNOWN),
        response(nonce=_NONCE, encoding=ocsp.OCSPResponderEncoding.NAME),
        response(nonce=bytes(8)),
        response(algorithm=hashes.SHA256(), status=GOOD),
        response(certificates=[server]),
        response(extensions=[unknownExtension()]),
        response(nextUpdate=None, thisUpdate=MOMENT),
        ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
            Encoding.DER
        ),
    )


def _contents() -> Iterator[bytes]:
    for each in _responses():
        response = ocsp.load_der_ocsp_response(each)
        if response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL:
            yield response.tbs_response_bytes


def _ocspSeeds() -> Iterator[bytes]:
    for each in _responses():
        for kind in (b"\0", b"\4", b"\x08"):
            yield kind + each
    for content in _contents():
        for kind in (b"\1", b"\5"):
            yield kind + content


TARGETS = (
    Target(
        "crl",
        "CRLs, as they come and with the authority's signature: nothing that was changed counts",
        _crl,
        _crlSeeds,
        (RevocationDataError,),
        longest=1200,
        largest=1 << 18,
        memory=8 << 20,
        memoryPerByte=200,
        share=30,
    ),
    Target(
        "ocsp",
        "OCSP responses, likewise, and those that are fetched to be stapled",
        _ocsp,
        _ocspSeeds,
        (RevocationDataError,),
        longest=1200,
        largest=1 << 17,
        memory=8 << 20,
        memoryPerByte=200,
        share=20,
    ),
)
