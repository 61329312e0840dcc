"""
Who may come, and which certificate is shown: callbacks of all kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred, succeed

from txsslstream import (
    ISslStream,
    ReloadingCertificate,
    SslClientHelloInfo,
    SslPolicyErrors,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    X509Chain,
)


def nameOf(certificate: x509.Certificate) -> str:
    """
    @return: the common name, or an empty text.
    """
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


class Members:
    """
    Who has an account, as a database would tell.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def isMember(self, name: str) -> Deferred[bool]:
        """
        Ask the database, which takes its time.
        """
        return succeed(name in self._names)

    async def admit(
        self,
        stream: object,
        certificate: x509.Certificate | None,
        chain: X509Chain | None,
        sslPolicyErrors: SslPolicyErrors,
    ) -> bool:
        """
        A C{remoteCertificateValidationCallback} that is a coroutine.
        """
        if sslPolicyErrors or certificate is None:
            return False
        return await self.isMember(nameOf(certificate))

    def admitLater(
        self,
        stream: ISslStream,
        certificate: x509.Certificate | None,
        chain: X509Chain | None,
        sslPolicyErrors: SslPolicyErrors,
    ) -> bool | Deferred[bool]:
        """
        One that answers at once or with a Deferred.
        """
        if sslPolicyErrors or certificate is None:
            return False
        return self.isMember(nameOf(certificate))


@dataclass(frozen=True)
class Pin:
    """
    A C{remoteCertificateValidationCallback} that answers at once: the one
    certificate that a client knows is acceptable, and no other is.

    @ivar fingerprint: its SHA-256 digest.
    """

    fingerprint: bytes

    def __call__(
        self,
        stream: object,
        certificate: x509.Certificate | None,
        chain: X509Chain | None,
        sslPolicyErrors: SslPolicyErrors,
    ) -> bool:
        return certificate is not None and (
            certificate.fingerprint(hashes.SHA256()) == self.fingerprint
        )


def firstFitting(
    stream: object,
    targetHost: str,
    localCertificates: tuple[SslStreamCertificateContext, ...],
    remoteCertificate: x509.Certificate | None,
    acceptableIssuers: tuple[str, ...],
) -> SslStreamCertificateContext | None:
    """
    A C{localCertificateSelectionCallback}: a certificate from one of the issuers
    that the server names.
    """
    for each in localCertificates:
        issuer = each.certificate.issuer.rfc4514_string()
        if not acceptableIssuers or issuer in acceptableIssuers:
            return each
    return None


class SelectBy:
    """
    A C{serverCertificateSelectionCallback} that answers with a Deferred.
    """

    def __init__(self, certificates: Mapping[str, ReloadingCertificate]) -> None:
        self._certificates = certificates

    def __call__(self, stream: object, hostName: str) -> Deferred[ReloadingCertificate | None]:
        return succeed(self._certificates.get(hostName))


async def optionsFor(
    stream: object,
    hello: SslClientHelloInfo,
    state: Mapping[str, SslServerAuthenticationOptions],
) -> SslServerAuthenticationOptions | None:
    """
    A C{serverOptionsSelectionCallback} that is a coroutine: other hosts have
    other rules.
    """
    return state.get(hello.serverName)
