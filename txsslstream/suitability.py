# -*- test-case-name: tests.test_suitability -*-
"""
What goes together: suites, policies, keys, groups and signature algorithms, by
the rules of TLS and not by what OpenSSL happens to do.
"""

from __future__ import annotations

from .algorithms import SignatureAlgorithm
from .ciphersuites import TlsCipherSuite, propertiesOf
from .enums import CipherAlgorithmType, EncryptionPolicy, SslProtocols
from .errors import InvalidOperationError
from .parameters import TlsParameters

#: The versions in which signature algorithms are not negotiated.
UNNEGOTIATED = SslProtocols.Tls | SslProtocols.Tls11


def agreeOnEncryption(suites: tuple[TlsCipherSuite, ...], policy: EncryptionPolicy) -> None:
    """
    @raise InvalidOperationError: a suite encrypts, or does not, against the
        policy.
    """
    for suite in suites:
        isNull = propertiesOf(suite).cipherAlgorithm is CipherAlgorithmType.Null
        if policy is (
            EncryptionPolicy.RequireEncryption if isNull else EncryptionPolicy.NoEncryption
        ):
            raise InvalidOperationError(f"{suite.name} goes against {policy.name}")


def exchangeOf(suite: TlsCipherSuite) -> str:
    """
    @return: C{"ECDHE"} or C{"DHE"} if a suite before TLS 1.3 exchanges keys in
        a group, or else nothing.
    """
    keys, _, _ = suite.name.partition("_WITH_")
    return "ECDHE" if "_ECDH" in keys else "DHE" if "_DH" in keys else ""


def canSign(
    parameters: TlsParameters,
    algorithms: list[SignatureAlgorithm] | None,
    version: SslProtocols,
    kinds: set[str],
) -> bool:
    """
    Whether a key of these kinds makes an allowed signature in a version.
    """
    # Before TLS 1.3 a client's own curve has to be one of its groups, too (RFC
    # 8422 section 5.1).
    isBound = "ECDSA" in kinds and not parameters.isServer and version is not SslProtocols.Tls13
    groups = {f"ECDSA {group}" for group in parameters.keyExchangeGroups}
    if isBound and groups and kinds.isdisjoint(groups):
        return False
    if algorithms is None or version & UNNEGOTIATED:
        return True
    return any(each.keyIn(version) in kinds for each in algorithms)
