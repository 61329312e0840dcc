# -*- test-case-name: tests.test_devcert -*-
"""
A certificate for C{localhost} for those who have none yet.

A development authority is made once per user and kept in the user's data
directory; the certificate that it signs is made anew before it ends.  Only the
user can read what is private.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import platformdirs
import trustme
from cryptography import x509

from .certificates import SslStreamCertificateContext
from .errors import CertificateError
from .storefiles import writePrivately

#: How long a certificate is valid, and how long before its end it is replaced.
VALIDITY = datetime.timedelta(days=90)
RENEWAL = datetime.timedelta(days=30)

_NAMES = ("localhost", "127.0.0.1", "::1")


def defaultDirectory() -> Path:
    """
    @return: where the files are kept, by the platform's custom.
    """
    return Path(platformdirs.user_data_path("txsslstream", appauthor=False)) / "development"


class DevelopmentCertificate:
    """
    The files of a development certificate.

    @ivar authorityPath: the authority's certificate, for clients to trust.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """
        @param directory: where they are; L{defaultDirectory} unless given.
        """
        self._directory = defaultDirectory() if directory is None else directory
        self.authorityPath = self._directory / "authority.pem"
        self._authorityKeyPath = self._directory / "authority-private.pem"
        self._certificatePath = self._directory / "localhost.pem"

    def load(self, now: datetime.datetime | None = None) -> SslStreamCertificateContext:
        """
        Get the certificate; make what is missing or about to end.

        @param now: the time, if it is not that of the system's clock.
        @raise CertificateError: the files cannot be read or written.
        """
        moment = now or datetime.datetime.now(datetime.timezone.utc)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            authority = self._authority()
            if not self._isGood(authority, moment):
                leaf = authority.issue_cert(
                    *_NAMES,
                    common_name=_NAMES[0],
                    organization_name="txsslstream development",
                    not_before=moment - datetime.timedelta(days=1),
                    not_after=moment + VALIDITY,
                )
                self._write(self._certificatePath, leaf.private_key_and_cert_chain_pem.bytes())
        except OSError as e:
            raise CertificateError(f"{e.filename or self._directory}: {e.strerror or e}") from e
        except CertificateError:
            raise
        except Exception as e:
            # What somebody else has put there may be anything that can be parsed.
            raise CertificateError(
                f"{self._authorityKeyPath}: no authority to issue certificates: {e}"
            ) from e
        return SslStreamCertificateContext.fromPEM(self._certificatePath)

    def _authority(self) -> trustme.CA:
        if not self._authorityKeyPath.exists():
            made = trustme.CA(organization_name="txsslstream development authority")
            self._write(
                self._authorityKeyPath, made.private_key_pem.bytes() + made.cert_pem.bytes()
            )
        kept = SslStreamCertificateContext.fromPEM(self._authorityKeyPath)
        blob = self._authorityKeyPath.read_bytes()
        authority = trustme.CA.from_pem(blob, blob)
        public = authority.cert_pem.bytes()
        if x509.load_pem_x509_certificate(public) != kept.certificate:
            raise CertificateError(f"{self._authorityKeyPath}: a strange certificate comes first")
        # Last, so that the public half never lacks its private one.
        if not self.authorityPath.exists() or self.authorityPath.read_bytes() != public:
            self._write(self.authorityPath, public)
        return authority

    def _isGood(self, authority: trustme.CA, moment: datetime.datetime) -> bool:
        """
        Whether the certificate is there, is the authority's, and has time left.
        """
        try:
            certificate = SslStreamCertificateContext.fromPEM(self._certificatePath).certificate
            issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
            certificate.verify_directly_issued_by(issuer)
        except Exception:
            # Whatever is wrong with it, a new one is the answer.
            return False
        return (
            certificate.not_valid_before_utc <= moment
            and moment + RENEWAL < certificate.not_valid_after_utc
        )

    def _write(self, path: Path, data: bytes) -> None:
        """
        Put a file in place, whole, and for the user alone.
        """
        try:
            writePrivately(path, data)
        except OSError as e:
            # The user knows nothing of the temporary file.
            raise CertificateError(f"{path}: {e.strerror or e}") from e
