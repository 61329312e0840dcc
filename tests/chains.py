"""
Certificates for tests, each as good or as bad as wanted.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.revocations import SEQUENCE, der
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


@cache
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


def unreadable(issued: Issued) -> Issued:
    """
    A certificate whose subjectKeyIdentifier, which it must have, is damaged.
    """
    identifier = bytes.fromhex("0603551d0e0416")
    return patched(issued, (identifier + b"\x04\x14", identifier + b"\x05\x14"))


#: ecdsa-with-SHA256, and what it can be patched to.
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
ECDSA_UNKNOWN = bytes.fromhex("06082a8648ce3d04037f")
#: The same for sha256WithRSAEncryption.
RSA_SHA256 = bytes.fromhex("06092a864886f70d01010b")
RSA_SHA1 = bytes.fromhex("06092a864886f70d010105")
RSA_MD5 = bytes.fromhex("06092a864886f70d010104")


def withSerial(issued: Issued, issuer: Issued, serial: bytes) -> Issued:
    """
    A certificate with these bytes for its serial number, signed again.

    @param issuer: one with an EC key.
    """
    tbs = issued.certificate.tbs_certificate_bytes
    number = issued.certificate.serial_number
    old = der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))
    rest = tbs[tbs.index(old) + len(old) :]
    changed = der(SEQUENCE, bytes.fromhex("a003020102"), der(0x02, serial), rest)
    signature = issuer.key.sign(changed, ec.ECDSA(SHA256))
    algorithm = der(SEQUENCE, ECDSA_SHA256)
    whole = der(SEQUENCE, changed, algorithm, der(0x03, b"\x00" + signature))
    return Issued(x509.load_der_x509_certificate(whole), issued.key)


def withLongSignature(certificate: x509.Certificate, size: int) -> x509.Certificate:
    """
    The certificate with a signature of that many bytes, which is none.
    """
    algorithm = der(SEQUENCE, ECDSA_SHA256)
    signature = der(0x03, bytes(size + 1))
    whole = der(SEQUENCE, certificate.tbs_certificate_bytes, algorithm, signature)
    return x509.load_der_x509_certificate(whole)


@cache
def enormous(bits: int) -> rsa.RSAPublicKey:
    """
    A public RSA key of this size that nobody has the private one to.
    """
    return rsa.RSAPublicNumbers(65537, 1 << (bits - 1) | 0x1234567).public_key()


#: What is signed with PKCS #1 v1.5 in place of a digest, up to the digest.
_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "md5": bytes.fromhex("3020300c06082a864886f70d020505000410"),
}


def weaklySigned(issued: Issued, key: rsa.RSAPrivateKey, digest: str, oid: bytes) -> Issued:
    """
    A certificate validly signed again with a digest that C{cryptography} does
    not sign with.

    @param issued: one signed with RSA and SHA-256.
    @param oid: of the algorithm, in DER.
    """
    old = issued.certificate.signature
    changed = patched(issued, (RSA_SHA256, oid)).certificate
    info = _DIGEST_INFO[digest] + hashlib.new(digest, changed.tbs_certificate_bytes).digest()
    size = len(old)
    block = b"\x00\x01" + b"\xff" * (size - 3 - len(info)) + b"\x00" + info
    numbers = key.private_numbers()
    signed = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    return patched(Issued(changed, issued.key), (old, signed.to_bytes(size, "big")))
