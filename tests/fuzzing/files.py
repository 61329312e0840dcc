"""
What is read of files: certificates, keys, stores.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from twisted.internet.task import Clock

from txsslstream.certdir import CertificateDirectory
from txsslstream.certificates import (
    SslStreamCertificateContext,
    certificatesFromPEM,
    passwordFrom,
)
from txsslstream.devcert import DevelopmentCertificate
from txsslstream.errors import CertificateError
from txsslstream.reload import ReloadingCertificate
from txsslstream.storefiles import MAXIMUM_BUNDLE, _attempt, _loadBundle
from txsslstream.stores import X509Store
from txsslstream.testing import certificatePEM, newKey, rsaKey
from txsslstream.trust import SslCertificateTrust

from ..programs import sharedDirectory
from .signed import issued, key, theAuthority, theServer
from .target import Target, chosen, require

_PASSWORD = b"secret"
_LABELS = ("CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY")


@cache
def _directory(name: str) -> Path:
    path = sharedDirectory() / name
    path.mkdir(mode=0o700)
    return path


def _written(data: bytes, directory: str = "files", name: str = "a.pem") -> Path:
    path = _directory(directory) / name
    path.write_bytes(data)
    return path


def _usable(context: SslStreamCertificateContext) -> None:
    repr(context)
    hash(context)
    ours = context.certificate.public_key().public_bytes(
        Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    theirs = context.privateKey.public_key().public_bytes(
        Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    require(ours == theirs, "a certificate with another's key")


def _certificates(data: bytes) -> None:
    require(certificatesFromPEM(data), "no certificate, and no error")


def _one(data: bytes) -> None:
    _usable(SslStreamCertificateContext.fromPEM(_written(data)))


def _locked(data: bytes) -> None:
    _usable(SslStreamCertificateContext.fromPEM(_written(data), password=_PASSWORD))


def _asked(data: bytes) -> None:
    path = _written(data)
    _usable(SslStreamCertificateContext.fromPEM(path, password=lambda source: _PASSWORD))


def _keyAlone(data: bytes) -> None:
    certificate = _written(certificatePEM(theServer().certificate), name="certificate.pem")
    _usable(SslStreamCertificateContext.fromPEM(certificate, _written(data)))


def _created(data: bytes) -> None:
    _usable(SslStreamCertificateContext.create(str(_written(data))))


def _trusted(data: bytes) -> None:
    require(SslCertificateTrust.fromPEM(_written(data)).certificates, "nothing is trusted")


def _store(data: bytes, name: str = "a.pem") -> None:
    path = _written(data, "store", name)
    store = X509Store(path=path.parent)
    found = store.certificates
    require(found or store.skipped, "a file is passed over without a word")
    for context in store.contexts:
        _usable(context)
    path.unlink()


def _bundle(data: bytes) -> None:
    file = _attempt(_loadBundle, _written(data))
    require(file.certificates or file.problem, "a file is passed over without a word")


@cache
def _renewed() -> ReloadingCertificate:
    path = _written(_pem(theServer().certificate, key(2)), "reloaded")
    return ReloadingCertificate.fromPEM(path, clock=Clock())


def _reloaded(data: bytes) -> None:
    certificate = _renewed()
    before = certificate.current
    _written(data, "reloaded")
    isChanged = certificate.reload()
    require(isChanged or certificate.current == before, "changed without a word")
    _usable(certificate.current)


def _several(data: bytes) -> None:
    path = _written(data, "several")
    directory = CertificateDirectory(path.parent, clock=Clock())
    isUsed = directory(None, "localhost") is not None or not directory.problems
    require(isUsed or directory.problems, "a file is passed over without a word")


def _authority(data: bytes) -> None:
    path = _written(data, "authority", "authority-private.pem")
    for name in ("localhost.pem", "authority.pem"):
        (path.parent / name).unlink(missing_ok=True)
    _usable(DevelopmentCertificate(path.parent).load())


def _development(data: bytes) -> None:
    path = _written(data, "development", "localhost.pem")
    # Whatever was there, there is a good one then.
    try:
        _usable(DevelopmentCertificate(path.parent).load())
    except CertificateError as e:
        raise AssertionError("the old one is in the way") from e


def _password(data: bytes) -> None:
    require(passwordFrom(_written(data)), "an empty password")


_PEM: tuple[Callable[[bytes], None], ...] = (
    *(_certificates, _one, _locked, _asked, _keyAlone, _created, _trusted, _store, _bundle),
    *(_reloaded, _several, _password, _authority, _development),
)


def _readPEM(data: bytes) -> str:
    kind, rest = chosen(data)
    # cryptography's, about what it will not read one day.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _PEM[kind % len(_PEM)](rest)
    return "read"


def _pem(certificate: Any, private: Any, password: bytes | None = None) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    text = private.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return certificatePEM(certificate) + bytes(text)


def _pemSeeds() -> Iterator[bytes]:
    server, authority = theServer().certificate, theAuthority().certificate
    private = key(2)
    whole = _pem(server, private) + certificatePEM(authority)
    for kind in range(len(_PEM)):
        yield bytes((kind,)) + whole
    for kind in (2, 3, 12):
        yield bytes((kind,)) + _pem(server, private, _PASSWORD)
    for number, other in enumerate((rsaKey(), newKey("EC"), newKey("Ed448")), 20):
        yield b"\1" + _pem(issued("other", key=other, serial=number).certificate, other)
    yield b"\6" + certificatePEM(server, authority)
    yield b"\7" + authority.public_bytes(Encoding.DER)
    yield b"\x08" + authority.public_bytes(Encoding.DER)
    yield b"\x08" + certificatePEM(authority, server) + b"-----BEGIN CERTIFICATE-----\nAA==\n"
    yield b"\x0b" + b"secret\nmore"


# PKCS #12.


def _withoutPassword(data: bytes) -> None:
    _usable(SslStreamCertificateContext.fromPFX(_written(data, name="a.pfx")))


def _withPassword(data: bytes) -> None:
    _usable(SslStreamCertificateContext.fromPFX(_written(data, name="a.pfx"), _PASSWORD))


def _withCallback(data: bytes) -> None:
    path = _written(data, name="a.pfx")
    _usable(SslStreamCertificateContext.fromPFX(path, lambda source: _PASSWORD))


def _inStore(data: bytes) -> None:
    _store(data, "a.pfx")


_PFX: tuple[Callable[[bytes], None], ...] = (
    *(_withoutPassword, _withPassword, _withCallback, _inStore, _created, _trusted),
)


def _readPFX(data: bytes) -> str:
    kind, rest = chosen(data)
    # cryptography's, about what it will not read one day.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _PFX[kind % len(_PFX)](rest)
    return "read"


def _pfx(password: bytes | None, *others: Any) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(1).build(password)
        )
    certificate = theServer().certificate
    return pkcs12.serialize_key_and_certificates(
        b"a", key(2), certificate, list(others), encryption
    )


def _pfxSeeds() -> Iterator[bytes]:
    authority = theAuthority().certificate
    for kind in range(len(_PFX)):
        yield bytes((kind,)) + _pfx(None, authority)
    for kind in (1, 2, 3):
        yield bytes((kind,)) + _pfx(_PASSWORD, authority)
    yield b"\3" + pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(authority, b"a")], serialization.NoEncryption()
    )


TARGETS = (
    Target(
        "pem",
        "files in PEM: certificates with keys, roots, stores, bundles, directories, the "
        "development certificate, passwords",
        _readPEM,
        _pemSeeds,
        (CertificateError,),
        words=(
            *(f"-----{what} {of}-----" for what in ("BEGIN", "END") for of in _LABELS),
            *("Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,", "\r\n"),
        ),
        longest=3000,
        largest=1 << 18,
        seconds=0.5,
        perByte=1e-5,
        # What may be read of a bundle is set aside at once.
        memory=MAXIMUM_BUNDLE + (8 << 20),
        memoryPerByte=100,
        sampled=500,
        share=10,
    ),
    Target(
        "pfx",
        "files in PKCS #12: contexts, stores, roots",
        _readPFX,
        _pfxSeeds,
        (CertificateError,),
        longest=1500,
        largest=1 << 17,
        seconds=0.5,
        perByte=1e-5,
        memory=8 << 20,
        memoryPerByte=100,
        sampled=500,
        share=12,
    ),
)
