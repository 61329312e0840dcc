# -*- test-case-name: tests.test_suitability -*-
"""
What goes together: suites, policies, keys, groups and signature algorithms, by
the rules of TLS and not by what OpenSSL happens to do.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from .algorithms import SignatureAlgorithm, groupNamed
from .ciphersuites import TlsCipherSuite, propertiesOf
from .enums import CipherAlgorithmType, EncryptionPolicy, SslProtocols
from .errors import InvalidOperationError
from .parameters import CipherSuitesPolicy, TlsParameters

#: The versions in which signature algorithms are not negotiated.
UNNEGOTIATED = SslProtocols.Tls | SslProtocols.Tls11

#: All that there are, one by one.
_NEGOTIABLE = (SslProtocols.Tls, SslProtocols.Tls11, SslProtocols.Tls12, SslProtocols.Tls13)


#: The suites of TLS 1.2 that are offered unless a policy names others, in
#: OpenSSL's words: forward secrecy and authenticated encryption first, nothing
#: anonymous.
DEFAULT_SUITES = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:"
    "RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS:!MD5:!AESCCM8"
)

#: What servers that everybody can reach need at most: forward secrecy and
#: authenticated encryption (RFC 9325 section 4.2).
RECOMMENDED_SUITES = CipherSuitesPolicy(
    (
        TlsCipherSuite.TLS_AES_256_GCM_SHA384,
        TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256,
        TlsCipherSuite.TLS_AES_128_GCM_SHA256,
        TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsCipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsCipherSuite.TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
        TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
        TlsCipherSuite.TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    )
)


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


def agreeOnGroups(
    parameters: TlsParameters, versions: SslProtocols, ciphers: str, heedsGroupsOfDhe: bool
) -> tuple[SslProtocols, str, str]:
    """
    Exchange keys in the chosen groups only.

    @param ciphers: the suites before TLS 1.3, in OpenSSL's words.
    @param heedsGroupsOfDhe: whether that is so for a server's DHE before TLS
        1.3, too (RFC 7919).
    @return: the versions that are left to negotiate, their suites, and the
        groups in OpenSSL's words.
    @raise InvalidOperationError: nothing is left.
    """
    groups = [groupNamed(name) for name in parameters.keyExchangeGroups]
    modern = [group for group in groups if group.versions & SslProtocols.Tls13]
    # The best one, and the best that everybody knows, are tried at once, as by
    # default; and a server's order decides even if that takes another round
    # trip.  Before OpenSSL 3.5 neither could be said.
    tried = {*modern[:1], *[group for group in modern if group.exchange != "KEM"][:1]}
    ordered = "/".join(f"{'*' * (group in tried)}{group.name}" for group in groups)
    # Before TLS 1.3 a server that uses DHE chooses any prime it likes, and
    # OpenSSL's client does not compare.
    bound = {"ECDHE", "DHE"} if parameters.isServer and heedsGroupsOfDhe else {"ECDHE"}
    usable = bound & {group.exchange for group in groups if group.versions & SslProtocols.Tls12}
    if parameters.cipherSuites is None:
        isPossible = bool(usable)
        excluded = "".join(f":!k{each}" for each in ("ECDHE", "DHE", "RSA") if each not in usable)
    else:
        # What is bound to no group was asked for by name.
        needed = {exchangeOf(suite) for suite in parameters.cipherSuites if "_WITH_" in suite.name}
        isPossible = bool(needed & usable or needed - bound)
        excluded = ""
    if not isPossible:
        versions &= SslProtocols.Tls13
    if not modern:
        versions &= ~SslProtocols.Tls13
    if not versions:
        raise InvalidOperationError(
            "the key exchange groups, the cipher suites and the enabled protocols "
            "exclude each other"
        )
    return versions, ciphers + excluded if isPossible else ciphers, ordered


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


def versionsSigned(
    parameters: TlsParameters, algorithms: list[SignatureAlgorithm], versions: SslProtocols
) -> SslProtocols:
    """
    @return: the versions in which a signature is possible with these algorithms.
    @raise InvalidOperationError: there is none, or they are chosen for one that
        does not heed them.
    """
    isFixed = parameters.signatureAlgorithms or not parameters.allowRsaPkcs1Padding
    if isFixed and versions & UNNEGOTIATED:
        raise InvalidOperationError(
            "before TLS 1.2 signatures are made with MD5, SHA-1 and PKCS #1, whatever is chosen"
        )
    for version in (SslProtocols.Tls12, SslProtocols.Tls13):
        if all(each.keyIn(version) is None for each in algorithms):
            versions &= ~version
    if not versions:
        raise InvalidOperationError(
            "the signature algorithms and the enabled protocols exclude each other"
        )
    return versions


def versionsOfKey(
    parameters: TlsParameters,
    algorithms: list[SignatureAlgorithm] | None,
    versions: SslProtocols,
    kinds: set[str],
) -> SslProtocols:
    """
    @param kinds: of the key of the chosen certificate.
    @return: the versions that are left: a server signs in all of them.
    @raise InvalidOperationError: the key can sign in none.
    """
    assert parameters.certificate is not None
    signing = [
        version
        for version in _NEGOTIABLE
        if version & versions and canSign(parameters, algorithms, version, kinds)
    ]
    if not signing:
        raise InvalidOperationError(
            f"the key of {parameters.certificate.certificate.subject.rfc4514_string()} cannot "
            "sign with the signature algorithms, the key exchange groups and the enabled "
            "protocols that are allowed"
        )
    return versions & reduce(or_, signing) if parameters.isServer else versions
