"""
What an auditor asks: certificates in stores, their chains, and connections.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from cryptography import x509

from txsslstream import (
    ISslStream,
    SecurityInfo,
    SslCertificateTrust,
    StoreLocation,
    StoreName,
    TlsCipherSuite,
    X509Chain,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509FindType,
    X509Store,
    certificateMatchesHost,
)


def expired() -> tuple[x509.Certificate, ...]:
    """
    @return: what is of no use in the user's own store.
    """
    store = X509Store(StoreName.My, StoreLocation.CurrentUser)
    return store.find(X509FindType.FindByTimeExpired, datetime.datetime.now())


async def problems(
    certificate: x509.Certificate, host: str, trust: SslCertificateTrust
) -> list[str]:
    """
    @return: everything that is wrong with a server's certificate.
    """
    policy = X509ChainPolicy(
        trustMode=X509ChainTrustMode.CustomRootTrust, customTrustStore=trust.certificates or ()
    )
    chain = X509Chain(policy)
    isGood: bool = await chain.build(certificate)
    found = [] if isGood else list(_words(chain))
    if not certificateMatchesHost(certificate, host):
        found.append(f"it is not for {host}")
    return found


def _words(chain: X509Chain) -> Iterator[str]:
    for element in chain.chainElements:
        for each in element.chainElementStatus:
            flag: X509ChainStatusFlags = each.status
            yield f"{flag.name}: {each.statusInformation}"


def report(stream: ISslStream) -> dict[str, object]:
    """
    @return: what goes into the journal about a connection.
    """
    security: SecurityInfo = stream.security
    suite: TlsCipherSuite | None = stream.negotiatedCipherSuite
    return {
        "suite": None if suite is None else suite.name,
        "bits": security.cipherStrength,
        "group": security.keyExchangeGroup or "none",
        **security.asdict(),
    }
