# -*- test-case-name: tests.test_security -*-
"""
What was negotiated, as one frozen value, and the properties that read it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ._openssl import describe
from .certificatefacts import factsOf
from .chain import X509Chain
from .ciphersuites import TlsCipherSuite, propertiesOf
from .codepoints import groupNamed
from .crossing import Certificates, Negotiated
from .enums import (
    CipherAlgorithmType,
    ExchangeAlgorithmType,
    HashAlgorithmType,
    SslProtocols,
)
from .errors import InvalidOperationError
from .parameters import SslApplicationProtocol


@dataclasses.dataclass(frozen=True)
class SecurityInfo:
    """
    All security properties of a connection at one moment; see
    L{txsslstream.ISslStream} for each.
    """

    isAuthenticated: bool
    isMutuallyAuthenticated: bool
    isEncrypted: bool
    isSigned: bool
    isServer: bool
    sslProtocol: SslProtocols
    negotiatedCipherSuite: TlsCipherSuite | None
    negotiatedApplicationProtocol: SslApplicationProtocol | None
    cipherAlgorithm: CipherAlgorithmType
    cipherStrength: int
    hashAlgorithm: HashAlgorithmType
    hashStrength: int
    keyExchangeAlgorithm: ExchangeAlgorithmType
    keyExchangeStrength: int
    keyExchangeGroup: str | None
    checkCertRevocationStatus: bool
    localCertificate: x509.Certificate | None
    remoteCertificate: x509.Certificate | None
    remoteChain: X509Chain | None
    targetHostName: str
    isResumed: bool
    canRead: bool
    canWrite: bool
    canSeek: bool
    canTimeout: bool
    leaveInnerStreamOpen: bool

    def __str__(self) -> str:
        """
        The report of the class's classic sample, in its words and order.
        """
        return "\n".join(
            (
                f"Cipher: {_name(self.cipherAlgorithm)} strength {self.cipherStrength}",
                f"Hash: {_name(self.hashAlgorithm)} strength {self.hashStrength}",
                f"Key exchange: {_name(self.keyExchangeAlgorithm)} "
                f"strength {self.keyExchangeStrength}",
                f"Protocol: {_name(self.sslProtocol)}",
                f"Is authenticated: {self.isAuthenticated} as server? {self.isServer}",
                f"IsSigned: {self.isSigned}",
                f"Is Encrypted: {self.isEncrypted}",
                f"Can read: {self.canRead}, write {self.canWrite}",
                f"Can timeout: {self.canTimeout}",
                f"Certificate revocation list checked: {self.checkCertRevocationStatus}",
                _certificateLine("Local", self.localCertificate),
                _certificateLine("Remote", self.remoteCertificate),
            )
        )

    def asdict(self) -> dict[str, Any]:
        """
        @return: all of it in what JSON knows: enums by name, certificates as
            dicts, bytes as text.
        """
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _name(value: Any) -> str:
    """
    @return: .NET's name of an enum's member.
    """
    name = value.name or repr(value)
    return str(name).rstrip("_")


def _certificateLine(whose: str, certificate: x509.Certificate | None) -> str:
    if certificate is None:
        return f"{whose} certificate is null."
    start, end = (
        f"{moment:%Y-%m-%d %H:%M:%S} UTC"
        for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    return (
        f"{whose} cert was issued to {_nameOf(factsOf(certificate).subject)} "
        f"and is valid from {start} until {end}."
    )


def _nameOf(name: x509.Name | None) -> str:
    # A callback may have accepted a certificate that nobody can read.
    return "an unreadable name" if name is None else name.rfc4514_string()


def plain(value: Any) -> Any:
    """
    @param value: a property of L{SecurityInfo}, or a certificate.
    @return: it in what JSON knows, see L{SecurityInfo.asdict}.
    """
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, X509Chain):
        return [
            {
                "certificate": plain(element.certificate),
                "status": [
                    {"status": flagNames(each.status), "information": each.statusInformation}
                    for each in element.chainElementStatus
                ],
            }
            for element in value.chainElements
        ]
    if isinstance(value, x509.Certificate):
        return {
            "subject": _nameOf(factsOf(value).subject),
            "issuer": _nameOf(factsOf(value).issuer),
            "serialNumber": f"{factsOf(value).serialNumber:x}",
            "notBefore": value.not_valid_before_utc.isoformat(),
            "notAfter": value.not_valid_after_utc.isoformat(),
            "sha256": value.fingerprint(hashes.SHA256()).hex(),
        }
    if isinstance(value, bytes):
        return str(value)
    return _name(value) if hasattr(value, "name") else value


def flagNames(flags: Any) -> list[str]:
    """
    @return: the names of those that are set.
    """
    return [flag.name for flag in type(flags) if flag and flag in flags]


def securityInfo(
    negotiated: Negotiated,
    *,
    isAuthenticated: bool,
    isServer: bool,
    checkCertRevocationStatus: bool,
    localCertificate: x509.Certificate | None,
    remoteCertificate: x509.Certificate | None,
    remoteChain: X509Chain | None,
    targetHostName: str,
    leaveInnerStreamOpen: bool = False,
) -> SecurityInfo:
    """
    Derive every property from what was negotiated.
    """
    suite = negotiated.cipherSuite
    properties = None if suite is None else propertiesOf(suite)
    exchange = ExchangeAlgorithmType.None_
    group: str | None = None
    bits = 0
    if properties is not None:
        exchange = properties.keyExchangeAlgorithm
        if exchange is ExchangeAlgorithmType.RsaKeyX:
            serverCertificate = localCertificate if isServer else remoteCertificate
            key = None if serverCertificate is None else serverCertificate.public_key()
            bits = getattr(key, "key_size", 0)
        elif exchange is ExchangeAlgorithmType.DiffieHellman:
            group, bits = groupNamed(negotiated.group)
            bits = bits or negotiated.dhePrimeBits or 0
    protocol = negotiated.applicationProtocol
    isNull = properties is not None and properties.cipherAlgorithm is CipherAlgorithmType.Null
    return SecurityInfo(
        isAuthenticated=isAuthenticated,
        isMutuallyAuthenticated=isAuthenticated
        and localCertificate is not None
        and remoteCertificate is not None,
        isEncrypted=isAuthenticated and not isNull,
        isSigned=isAuthenticated,
        isServer=isServer,
        sslProtocol=negotiated.protocol,
        negotiatedCipherSuite=suite,
        negotiatedApplicationProtocol=SslApplicationProtocol(protocol) if protocol else None,
        cipherAlgorithm=(
            CipherAlgorithmType.None_ if properties is None else properties.cipherAlgorithm
        ),
        cipherStrength=0 if properties is None else properties.cipherStrength,
        hashAlgorithm=HashAlgorithmType.None_ if properties is None else properties.hashAlgorithm,
        hashStrength=0 if properties is None else properties.hashStrength,
        keyExchangeAlgorithm=exchange,
        keyExchangeStrength=bits,
        keyExchangeGroup=group,
        checkCertRevocationStatus=checkCertRevocationStatus,
        localCertificate=localCertificate,
        remoteCertificate=remoteCertificate,
        remoteChain=remoteChain,
        targetHostName=targetHostName,
        isResumed=negotiated.isResumed,
        canRead=isAuthenticated,
        canWrite=isAuthenticated,
        canSeek=False,
        canTimeout=True,
        leaveInnerStreamOpen=leaveInnerStreamOpen,
    )


def certificatesOf(connection: Any) -> Certificates:
    """
    @param connection: any pyOpenSSL connection after its handshake.
    """
    remote = connection.get_peer_certificate(as_cryptography=True)
    presented = connection.get_peer_cert_chain(as_cryptography=True)
    return Certificates(
        # OpenSSL does not tell the role; a server's list of the peer's
        # certificates lacks the peer's own one.
        isServer=remote is None or not presented or presented[0] != remote,
        local=connection.get_certificate(as_cryptography=True),
        remote=remote,
        verified=tuple(connection.get_verified_chain(as_cryptography=True) or ()),
    )


def describeForeign(connection: Any) -> SecurityInfo:
    """
    @param connection: a pyOpenSSL connection that was set up by somebody else,
        after its handshake.
    """
    facts = describe(connection)
    certificates = certificatesOf(connection)
    return securityInfo(
        facts,
        isAuthenticated=True,
        isServer=certificates.isServer,
        checkCertRevocationStatus=False,
        localCertificate=certificates.local,
        remoteCertificate=certificates.remote,
        remoteChain=X509Chain.found(certificates.verified) if certificates.verified else None,
        targetHostName=facts.serverName,
    )


class SecurityProperties:
    """
    The properties of L{txsslstream.ISslStream}, read from one L{SecurityInfo}.
    """

    @property
    def security(self) -> SecurityInfo:
        """
        All properties as one value.

        @raise InvalidOperationError: nothing is negotiated yet.
        @raise AuthenticationError: the authentication failed; the same error
            each time.
        """
        raise NotImplementedError

    def _securitySoFar(self) -> SecurityInfo | None:
        """
        The properties, or L{None} as long as there is nothing to tell.
        """
        raise NotImplementedError

    def _certified(self) -> SecurityInfo:
        """
        The properties once certificates may be read.
        """
        security = self.security
        if not security.isAuthenticated:
            raise InvalidOperationError("certificates can be read once authenticated")
        return security

    @property
    def isAuthenticated(self) -> bool:
        security = self._securitySoFar()
        return security is not None and security.isAuthenticated

    @property
    def isMutuallyAuthenticated(self) -> bool:
        security = self._securitySoFar()
        return security is not None and security.isMutuallyAuthenticated

    @property
    def isEncrypted(self) -> bool:
        security = self._securitySoFar()
        return security is not None and security.isEncrypted

    @property
    def isSigned(self) -> bool:
        security = self._securitySoFar()
        return security is not None and security.isSigned

    @property
    def canRead(self) -> bool:
        security = self._securitySoFar()
        return security is not None and security.canRead

    @property
    def canWrite(self) -> bool:
        security = self._securitySoFar()
        return security is not None and security.canWrite

    @property
    def canSeek(self) -> bool:
        return False

    @property
    def canTimeout(self) -> bool:
        return True

    @property
    def sslProtocol(self) -> SslProtocols:
        return self.security.sslProtocol

    @property
    def negotiatedCipherSuite(self) -> TlsCipherSuite | None:
        return self.security.negotiatedCipherSuite

    @property
    def negotiatedApplicationProtocol(self) -> SslApplicationProtocol | None:
        return self.security.negotiatedApplicationProtocol

    @property
    def cipherAlgorithm(self) -> CipherAlgorithmType:
        return self.security.cipherAlgorithm

    @property
    def cipherStrength(self) -> int:
        return self.security.cipherStrength

    @property
    def hashAlgorithm(self) -> HashAlgorithmType:
        return self.security.hashAlgorithm

    @property
    def hashStrength(self) -> int:
        return self.security.hashStrength

    @property
    def keyExchangeAlgorithm(self) -> ExchangeAlgorithmType:
        return self.security.keyExchangeAlgorithm

    @property
    def keyExchangeStrength(self) -> int:
        return self.security.keyExchangeStrength

    @property
    def keyExchangeGroup(self) -> str | None:
        return self.security.keyExchangeGroup

    @property
    def isResumed(self) -> bool:
        return self.security.isResumed

    @property
    def localCertificate(self) -> x509.Certificate | None:
        return self._certified().localCertificate

    @property
    def remoteCertificate(self) -> x509.Certificate | None:
        return self._certified().remoteCertificate

    @property
    def remoteChain(self) -> X509Chain | None:
        return self._certified().remoteChain
