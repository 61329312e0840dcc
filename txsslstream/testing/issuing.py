# -*- test-case-name: tests.test_testing_certificates -*-
"""
Keys, extensions and certificates for tests, each with nothing but what is asked
for.  L{Authority<txsslstream.testing.authority.Authority>} is more convenient;
this is for what has to be exact.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)

#: When this process began to make certificates; one moment for all, so that
#: what was made at different times fits together.
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

#: An extension and whether it is critical.
Extension = tuple[x509.ExtensionType, bool]

SHA256 = hashes.SHA256()


class Signer(Protocol):
    """
    Whoever can sign: an L{Issued}, or an
    L{Authority<txsslstream.testing.authority.Authority>}.
    """

    @property
    def certificate(self) -> x509.Certificate:
        """
        Its own certificate.
        """

    @property
    def key(self) -> Any:
        """
        Its private key.
        """


@dataclass(frozen=True)
class Issued:
    """
    A certificate and the private key to its public one.
    """

    certificate: x509.Certificate
    key: Any


# Keys.


@cache
def rsaKey(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """
    One of some RSA keys, always the same for a number: they are slow to make.
    """
    return rsa.generate_private_key(65537, bits)


@cache
def ecKey(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """
    One of some P-256 keys, always the same for a number.
    """
    return ec.generate_private_key(ec.SECP256R1())


def newKey(kind: str = "EC") -> Any:
    """
    @param kind: C{"EC"} (P-256), C{"RSA"} (2048 bits), C{"RSA-1024"}, which is
        too weak, C{"Ed25519"} or C{"Ed448"}.
    @return: a private key; the same RSA key each time: see L{rsaKey}.
    @raise ValueError: there is no such kind.
    """
    if kind not in _KINDS:
        raise ValueError(f"a key is one of {', '.join(_KINDS)}, not {kind!r}")
    return _KINDS[kind]()


_KINDS: Mapping[str, Callable[[], Any]] = {
    "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": rsaKey,
    "RSA-1024": lambda: rsaKey(bits=1024),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


@cache
def enormous(bits: int) -> rsa.RSAPublicKey:
    """
    A public RSA key of this size that nobody has the private one to.
    """
    return rsa.RSAPublicNumbers(65537, 1 << (bits - 1) | 0x1234567).public_key()


# Names.


def generalName(name: str) -> x509.GeneralName:
    """
    @return: a name as a certificate has it: an IP address, an e-mail address, a
        URI or a host.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def distinguishedName(commonName: str) -> x509.Name:
    """
    A name of nothing but a common name; one of nothing for "".
    """
    named = [x509.NameAttribute(NameOID.COMMON_NAME, commonName)] if commonName else []
    return x509.Name(named)


# Extensions.


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


def alternatives(*names: str | x509.GeneralName, isCritical: bool = False) -> Extension:
    """
    The extension for these names, which may be as for L{generalName}.
    """
    every = [generalName(each) if isinstance(each, str) else each for each in names]
    return x509.SubjectAlternativeName(every), isCritical


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


def unknownExtension(isCritical: bool = True, identifier: str = "1.2.3.4") -> Extension:
    """
    An extension that nobody knows.
    """
    oid = x509.ObjectIdentifier(identifier)
    return x509.UnrecognizedExtension(oid, b"\x05\x00"), isCritical


#: The extension with which a certificate demands a staple (RFC 7633).
MUST_STAPLE: Extension = (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)


# Certificates.


def certificate(
    subject: str | x509.Name,
    issuer: Signer | None = None,
    key: Any = None,
    extensions: Iterable[Extension] = (),
    *,
    serial: int | None = None,
    notBefore: datetime.datetime = NOW - DAY,
    notAfter: datetime.datetime = NOW + DAY,
    digest: Any = SHA256,
    issuerName: str | x509.Name | None = None,
    signingKey: Any = None,
    padding: Any = None,
) -> Issued:
    """
    Issue a certificate with these extensions and no others.

    @param subject: the common name, or the whole.
    @param issuer: L{None} for a self-signed one.
    @param key: a private key, or a public one; a new one unless given.
    @param digest: what is signed with; of no importance for Edwards curves.
    @param serial: a random one unless given.
    @param issuerName: what is called the issuer, if not the issuer's subject.
    @param signingKey: what it is signed with, if not the issuer's key.
    @param padding: for RSA, if not PKCS #1 v1.5.
    """
    key = key or newKey()
    if signingKey is None:
        signingKey = key if issuer is None else issuer.key
    whole = distinguishedName(subject) if isinstance(subject, str) else subject
    if issuerName is None:
        issuerName = whole if issuer is None else issuer.certificate.subject
    builder = x509.CertificateBuilder(
        distinguishedName(issuerName) if isinstance(issuerName, str) else issuerName,
        whole,
        key.public_key() if hasattr(key, "public_key") else key,
        serial or x509.random_serial_number(),
        notBefore,
        notAfter,
    )
    for extension, isCritical in extensions:
        builder = builder.add_extension(extension, isCritical)
    isEdwards = isinstance(signingKey, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey))
    signed = builder.sign(signingKey, None if isEdwards else digest, rsa_padding=padding)
    return Issued(signed, key)


def authority(
    subject: str | x509.Name,
    issuer: Signer | None = None,
    key: Any = None,
    extensions: Iterable[Extension] = (),
    *,
    pathLength: int | None = None,
    **arguments: Any,
) -> Issued:
    """
    Issue an authority's certificate.

    @param pathLength: how many authorities there may be below it.
    @param arguments: of L{certificate}.
    """
    return certificate(subject, issuer, key, (ca(pathLength), *extensions), **arguments)


def line(*issued: Issued) -> tuple[x509.Certificate, ...]:
    """
    The certificates alone.
    """
    return tuple(each.certificate for each in issued)
