# -*- test-case-name: tests.test_finding -*-
"""
Finding certificates by what they say (.NET: C{X509Certificate2Collection.Find},
that is C{FindPal} and C{ManagedCertificateFinder}).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from .enums import X509FindType, X509KeyUsageFlags
from .errors import NotSupportedError
from .storefiles import withoutWarnings

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_Predicate = Callable[[x509.Certificate], bool]


def findIn(
    certificates: Iterable[x509.Certificate], findType: X509FindType, value: Any, validOnly: bool
) -> tuple[x509.Certificate, ...]:
    """
    @param findType: as for L{txsslstream.stores.X509Store.find}.
    @param value: the same.
    @param validOnly: the same.
    @return: the certificates to which the value applies.
    """
    predicates = [_predicateFor(X509FindType(findType), value)]
    if validOnly:
        predicates.append(_byTimeValid(datetime.now(timezone.utc)))
    with withoutWarnings():
        return tuple(
            each
            for each in certificates
            if all(_holds(predicate, each) for predicate in predicates)
        )


def _holds(predicate: _Predicate, certificate: x509.Certificate) -> bool:
    try:
        return predicate(certificate)
    except Exception:
        # cryptography raises more than ValueError for what it cannot read.
        return False


def _predicateFor(findType: X509FindType, value: Any) -> _Predicate:
    if findType not in _FINDERS:
        raise NotSupportedError(f"{findType.name}: templates of certificates are Windows' own")
    finder, *kinds = _FINDERS[findType]
    if not isinstance(value, tuple(kinds)):
        expected = " or ".join(each.__name__ for each in kinds)
        raise TypeError(f"{findType.name} takes {expected}, not {type(value).__name__}")
    predicate: _Predicate = finder(value)
    return predicate


def thumbprintOf(certificate: x509.Certificate) -> bytes:
    """
    @return: what .NET calls the thumbprint: the SHA-1 of the certificate.
    """
    return certificate.fingerprint(hashes.SHA1())


def _digits(text: str) -> str:
    # The mark of direction comes with what is copied from Windows' dialogs.
    return re.sub("[\\s:\u200e]", "", text)


def _octets(text: str) -> bytes | None:
    try:
        return bytes.fromhex(_digits(text))
    except ValueError:
        return None


def _byThumbprint(value: str) -> _Predicate:
    wanted = _octets(value)
    return lambda certificate: thumbprintOf(certificate) == wanted


def _bySerialNumber(value: str) -> _Predicate:
    wanted = set()
    for base in (10, 16):
        with suppress(ValueError):
            wanted.add(int(_digits(value), base))
    return lambda certificate: certificate.serial_number in wanted


def _valuesOf(name: x509.Name) -> str:
    # As X500DistinguishedNameDecode has it: without the types.
    return ", ".join(
        " + ".join(str(attribute.value) for attribute in part) for part in name.rdns
    ).casefold()


def _bySubjectName(value: str) -> _Predicate:
    return lambda certificate: value.casefold() in _valuesOf(certificate.subject)


def _byIssuerName(value: str) -> _Predicate:
    return lambda certificate: value.casefold() in _valuesOf(certificate.issuer)


_DOTNET_TYPES = {NameOID.EMAIL_ADDRESS: "E", NameOID.STATE_OR_PROVINCE_NAME: "S"}


def _formsOf(name: x509.Name) -> set[str]:
    return {
        separator.join(part.rfc4514_string(types) for part in reversed(name.rdns)).casefold()
        for separator in (",", ", ")
        for types in (None, _DOTNET_TYPES)
    }


def _bySubject(value: str) -> _Predicate:
    return lambda certificate: value.casefold() in _formsOf(certificate.subject)


def _byIssuer(value: str) -> _Predicate:
    return lambda certificate: value.casefold() in _formsOf(certificate.issuer)


def _byTimeValid(value: datetime) -> _Predicate:
    moment = value.astimezone(timezone.utc)
    return lambda certificate: (
        certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc
    )


def _byTimeNotYetValid(value: datetime) -> _Predicate:
    moment = value.astimezone(timezone.utc)
    return lambda certificate: moment < certificate.not_valid_before_utc


def _byTimeExpired(value: datetime) -> _Predicate:
    moment = value.astimezone(timezone.utc)
    return lambda certificate: certificate.not_valid_after_utc < moment


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _byApplicationPolicy(value: str) -> _Predicate:
    wanted = x509.ObjectIdentifier(value)

    def hasPolicy(certificate: x509.Certificate) -> bool:
        usages = _extension(certificate, x509.ExtendedKeyUsage)
        return usages is None or wanted in usages

    return hasPolicy


def _byCertificatePolicy(value: str) -> _Predicate:
    wanted = x509.ObjectIdentifier(value)
    return lambda certificate: any(
        each.policy_identifier == wanted
        for each in _extension(certificate, x509.CertificatePolicies) or ()
    )


def _byExtension(value: str) -> _Predicate:
    wanted = x509.ObjectIdentifier(value)
    return lambda certificate: any(each.oid == wanted for each in certificate.extensions)


_USAGES = {
    X509KeyUsageFlags.DigitalSignature: "digital_signature",
    X509KeyUsageFlags.NonRepudiation: "content_commitment",
    X509KeyUsageFlags.KeyEncipherment: "key_encipherment",
    X509KeyUsageFlags.DataEncipherment: "data_encipherment",
    X509KeyUsageFlags.KeyAgreement: "key_agreement",
    X509KeyUsageFlags.KeyCertSign: "key_cert_sign",
    X509KeyUsageFlags.CrlSign: "crl_sign",
    X509KeyUsageFlags.EncipherOnly: "encipher_only",
    X509KeyUsageFlags.DecipherOnly: "decipher_only",
}


def _byKeyUsage(value: int | str) -> _Predicate:
    if isinstance(value, str):
        named = {flag.name.lower(): flag for flag in _USAGES if flag.name}
        if value.lower() not in named:
            raise ValueError(f"not a key usage: {value!r}")
        value = named[value.lower()]
    wanted = [attribute for flag, attribute in _USAGES.items() if flag & value]

    def hasUsages(certificate: x509.Certificate) -> bool:
        usage = _extension(certificate, x509.KeyUsage)
        # The last two have no value, but an error, without key agreement: then
        # they do not hold either.
        return usage is None or all(getattr(usage, attribute) for attribute in wanted)

    return hasUsages


def _bySubjectKeyIdentifier(value: str) -> _Predicate:
    wanted = _octets(value)

    def hasIdentifier(certificate: x509.Certificate) -> bool:
        identifier = _extension(certificate, x509.SubjectKeyIdentifier)
        if identifier is not None:
            return identifier.digest == wanted
        # What Windows takes in its place.
        key = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha1(key, usedforsecurity=False).digest() == wanted

    return hasIdentifier


_FINDERS: Mapping[X509FindType, Any] = {
    X509FindType.FindByThumbprint: (_byThumbprint, str),
    X509FindType.FindBySubjectName: (_bySubjectName, str),
    X509FindType.FindBySubjectDistinguishedName: (_bySubject, str),
    X509FindType.FindByIssuerName: (_byIssuerName, str),
    X509FindType.FindByIssuerDistinguishedName: (_byIssuer, str),
    X509FindType.FindBySerialNumber: (_bySerialNumber, str),
    X509FindType.FindByTimeValid: (_byTimeValid, datetime),
    X509FindType.FindByTimeNotYetValid: (_byTimeNotYetValid, datetime),
    X509FindType.FindByTimeExpired: (_byTimeExpired, datetime),
    X509FindType.FindByApplicationPolicy: (_byApplicationPolicy, str),
    X509FindType.FindByCertificatePolicy: (_byCertificatePolicy, str),
    X509FindType.FindByExtension: (_byExtension, str),
    X509FindType.FindByKeyUsage: (_byKeyUsage, int, str),
    X509FindType.FindBySubjectKeyIdentifier: (_bySubjectKeyIdentifier, str),
}
