# -*- test-case-name: tests.test_trust -*-
"""
Which roots are trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from .certificates import SomeCertificate
from .errors import CertificateError
from .policy import X509CertificateCollection
from .stores import X509Store


@dataclass(frozen=True)
class SslCertificateTrust:
    """
    A set of trusted roots (.NET: C{SslCertificateTrust}).  Made by L{system},
    L{fromPEM} or L{fromCertificates}.

    @ivar certificates: the roots, or L{None} for those that the platform's
        OpenSSL directories hold.
    @ivar sendTrustInHandshake: whether a server names them to clients when it
        asks for a certificate (RFC 8446 section 4.2.4).
    """

    certificates: tuple[x509.Certificate, ...] | None
    sendTrustInHandshake: bool = False

    def __post_init__(self) -> None:
        if self.certificates is not None and not self.certificates:
            raise CertificateError("an empty trust would refuse everybody: name a root")

    @classmethod
    def system(cls) -> SslCertificateTrust:
        """
        The platform's roots (C{SSL_CERT_FILE} and C{SSL_CERT_DIR} are heeded).
        """
        return cls(None)

    @classmethod
    def fromCertificates(
        cls,
        certificates: SomeCertificate | Iterable[SomeCertificate],
        sendTrustInHandshake: bool = False,
    ) -> SslCertificateTrust:
        """
        Trust these roots, or this one, and no others (.NET:
        C{CreateForX509Collection}).
        """
        return cls(tuple(X509CertificateCollection(certificates)), sendTrustInHandshake)

    @classmethod
    def fromPEM(
        cls, path: str | os.PathLike[str], sendTrustInHandshake: bool = False
    ) -> SslCertificateTrust:
        """
        Trust the roots in a PEM file, or in every C{*.pem} and C{*.crt} file of
        a directory, and no others.

        @raise CertificateError: a file cannot be read, or there is no
            certificate.
        """
        place = Path(path)
        # Unlike Path's, it has no error of its own for what cannot be looked at:
        # that is told when it is read.
        if not os.path.isdir(place):
            return cls.fromCertificates([place], sendTrustInHandshake)
        try:
            files = sorted(each for each in place.iterdir() if each.suffix in (".pem", ".crt"))
        except OSError as e:
            raise CertificateError(f"{place}: {e.strerror or e}") from e
        if not files:
            raise CertificateError(f"{place}: no .pem or .crt file in it")
        return cls.fromCertificates(files, sendTrustInHandshake)

    @classmethod
    def fromStore(cls, store: X509Store, sendTrustInHandshake: bool = False) -> SslCertificateTrust:
        """
        Trust what is in a store now, and nothing else (.NET:
        C{CreateForX509Store}).

        @raise CertificateError: the store is empty or cannot be read.
        """
        return cls(store.certificates, sendTrustInHandshake)

    def __repr__(self) -> str:
        what = "system" if self.certificates is None else f"{len(self.certificates)} certificates"
        return f"<SslCertificateTrust {what}>"
