# -*- test-case-name: tests.test_testing_certificates -*-
"""
Certificates as files, for programs under test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ..certificates import SomeCertificate, SslStreamCertificateContext, loadCertificates
from ..storefiles import writePrivately


def certificatePEM(*certificates: SomeCertificate) -> bytes:
    """
    @return: certificates, each with its intermediates if it has any.
    """
    return b"".join(
        each.public_bytes(serialization.Encoding.PEM)
        for some in certificates
        for each in loadCertificates(some)
    )


def keyPEM(context: SslStreamCertificateContext, password: bytes | None = None) -> bytes:
    """
    @return: a certificate's private key, PKCS #8.
    """
    return context.privateKey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        _encryption(password),
    )


def _encryption(password: bytes | None) -> serialization.KeySerializationEncryption:
    if password is None:
        return serialization.NoEncryption()
    return serialization.BestAvailableEncryption(password)


def pfx(
    context: SslStreamCertificateContext,
    password: bytes | None,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    """
    @param encryption: how, if not as well as possible with the password.
    @return: a certificate, its intermediates and its key as PKCS #12.
    """
    key: Any = context.privateKey
    return pkcs12.serialize_key_and_certificates(
        b"test",
        key,
        context.certificate,
        context.intermediates or None,
        encryption or _encryption(password),
    )


def writePEM(
    path: str | os.PathLike[str],
    certificate: SomeCertificate,
    password: bytes | None = None,
) -> Path:
    """
    Write a certificate, its intermediates and, if it has one, its private key.
    Only the user can read a file with a private key.

    @param certificate: what L{Authority.issue<txsslstream.testing.Authority.issue>}
        returns, or a certificate alone.
    @param password: what the private key is encrypted with.
    @return: the path.
    """
    if isinstance(certificate, SslStreamCertificateContext):
        data = certificatePEM(certificate) + keyPEM(certificate, password)
    else:
        data = certificatePEM(certificate)
    return _written(path, data)


def writePFX(
    path: str | os.PathLike[str],
    certificate: SslStreamCertificateContext,
    password: bytes | None = None,
) -> Path:
    """
    The same as PKCS #12.
    """
    return _written(path, pfx(certificate, password))


def _written(path: str | os.PathLike[str], data: bytes) -> Path:
    place = Path(path)
    writePrivately(place, data, isDurable=False)
    return place
