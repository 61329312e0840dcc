"""
Certificates for tests, each as good or as bad as wanted.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support import DAY, NOW
from txsslstream.chainchecks import Criteria

#: An extension and whether it is critical.
Extension = tuple[x509.ExtensionType, bool]

SHA256 = hashes.SHA256()

#: What a path has to meet unless more is asked for.
NOTHING_MORE = Criteria(time=NOW)


@dataclass(frozen=True)
class Issued:
    """
    A certificate and the private key to its public one.
    """

    certificate: x509.Certificate
    key: Any


@lru_cache(maxsize=256)
def ecKey(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """
    One of some P-256 keys, always the same for a number.
    """
    return ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    """
    A name of nothing but a common name; one of nothing for "".
    """
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def ca(pathLength: int | None = None) -> Extension:
    """
    The extension of an authority.
    """
    return x509.BasicConstraints(True, pathLength), True


def keyUsage(*usages: str) -> Extension:
    """
    @param usages: C{key_cert_sign} and so on.
    """
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: each in usages for each in every}), True


def alternatives(*names: x509.GeneralName) -> Extension:
    """
    The extension for these names.
    """
    return x509.SubjectAlternativeName(names), False


def hosts(*names: str) -> Extension:
    """
    The extension for these DNS names.
    """
    return alternatives(*map(x509.DNSName, names))


def permitting(*names: x509.GeneralName) -> Extension:
    """
    The extension that permits these names alone, of their kinds.
    """
    return x509.NameConstraints(names, None), True


def excluding(*names: x509.GeneralName) -> Extension:
    """
    The extension that permits all but these names.
    """
    return x509.NameConstraints(None, names), True


def certificate(
    subject: str | x509.Name,
    issuer: Issued | None = None,
    key: Any = None,
    extensions: Iterable[Extension] = (),
    *,
    serial: int | None = None,
    notBefore: datetime.datetime = NOW - DAY,
    notAfter: datetime.datetime = NOW + DAY,
    digest: Any = SHA256,
    issuerName: str | x509.Name | None = None,
    padding: Any = None,
) -> Issued:
    """
    Issue a certificate with these extensions and no others.

    @param subject: the common name, or the whole.
    @param issuer: L{None} for a self-signed one.
    @param key: a private key, or a public one.
    @param digest: what is signed with; of no importance for Edwards curves.
    @param issuerName: what is called the issuer, if not the issuer's subject.
    @param padding: for RSA, if not PKCS #1 v1.5.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    by = Issued(None, key) if issuer is None else issuer  # type: ignore[arg-type]
    whole = name(subject) if isinstance(subject, str) else subject
    if issuerName is None:
        issuerName = whole if issuer is None else issuer.certificate.subject
    builder = x509.CertificateBuilder(
        name(issuerName) if isinstance(issuerName, str) else issuerName,
        whole,
        key.public_key() if hasattr(key, "public_key") else key,
        serial or x509.random_serial_number(),
        notBefore,
        notAfter,
    )
    for extension, isCritical in extensions:
        builder = builder.add_extension(extension, isCritical)
    isEdwards = isinstance(by.key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
    signed = builder.sign(by.key, None if isEdwards else digest, rsa_padding=padding)
    return Issued(signed, key)


def authority(
    subject: str | x509.Name,
    issuer: Issued | None = None,
    key: Any = None,
    extensions: Iterable[Extension] = (),
    *,
    pathLength: int | None = None,
    **arguments: Any,
) -> Issued:
    """
    Issue an authority's certificate.

    @param arguments: of L{certificate}.
    """
    return certificate(subject, issuer, key, (ca(pathLength), *extensions), **arguments)


def line(*issued: Issued) -> tuple[x509.Certificate, ...]:
    """
    The certificates alone.
    """
    return tuple(each.certificate for each in issued)


def patched(issued: Issued, *changes: tuple[bytes, bytes]) -> Issued:
    """
    A certificate with other bytes of the same number.  Its signature is no
    longer valid.

    @param changes: what each is, and what it becomes, wherever it is.
    """
    der = issued.certificate.public_bytes(Encoding.DER)
    for old, new in changes:
        if len(old) != len(new) or old not in der:
            raise ValueError(f"{old.hex()} cannot become {new.hex()}")
        der = der.replace(old, new)
    return Issued(x509.load_der_x509_certificate(der), issued.key)
