# -*- test-case-name: tests.test_chainchecks -*-
"""
Everything that is wrong with each certificate of a path (RFC 5280 section 6.1),
all of it and not the first alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from .certificatefacts import CertificateFacts, comesFrom, factsOf
from .certificatepolicies import policyProblem
from .crossing import Finding
from .enums import X509ChainStatusFlags
from .nameconstraints import Comparison, nameFindings

_S = X509ChainStatusFlags

_Problem = tuple[X509ChainStatusFlags, str]

#: How many certificates may be between the first and the root.
DEFAULT_DEPTH = 8

_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server authentication",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client authentication",
}


_EMPTY = x509.AuthorityKeyIdentifier(None, None, None)


@dataclass(frozen=True)
class Criteria:
    """
    What a path has to meet.

    @ivar time: the moment to judge for, in UTC.
    @ivar usages: the extended key usages that it must be good for.
    @ivar signsHandshakes: whether the first one's key must be for that (RFC
        8446 section 4.4.2.2).
    @ivar decryptsSecrets: whether it must be for that (RFC 5246 section 7.4.2).
    @ivar policies: the certificate policies of which one must be valid.
    @ivar maximumDepth: certificates between the first and the root.
    @ivar disallowed: SHA-256 fingerprints of certificates that are never
        trusted.
    """

    time: datetime.datetime
    usages: tuple[x509.ObjectIdentifier, ...] = ()
    signsHandshakes: bool = False
    decryptsSecrets: bool = False
    policies: tuple[x509.ObjectIdentifier, ...] = ()
    maximumDepth: int = DEFAULT_DEPTH
    disallowed: Collection[bytes] = field(default=frozenset(), compare=False)

    @property
    def timeless(self) -> Hashable:
        """
        All of it but the time.
        """
        return tuple(value for name, value in vars(self).items() if name != "time")


def _day(moment: datetime.datetime) -> str:
    isMidnight = moment.time() == datetime.time()
    return moment.strftime("%Y-%m-%d" if isMidnight else "%Y-%m-%d %H:%M:%S UTC")


def timeProblems(certificate: x509.Certificate, time: datetime.datetime) -> Iterator[_Problem]:
    """
    @param time: the moment to judge for, in UTC.
    @return: that the certificate has expired or is not valid yet, if so.
    """
    # Certificates know no fractions: the last second is a whole one (RFC 5280
    # section 4.1.2.5).
    if time < certificate.not_valid_before_utc:
        yield _S.NotTimeValid, f"is not valid before {_day(certificate.not_valid_before_utc)}"
    if time.replace(microsecond=0) > certificate.not_valid_after_utc:
        yield _S.NotTimeValid, f"expired {_day(certificate.not_valid_after_utc)}"


def _formProblems(facts: CertificateFacts, isAnchor: bool, depth: int) -> Iterator[_Problem]:
    certificate = facts.certificate
    if facts.problem is not None:
        yield _S.InvalidExtension, f"cannot be read: {facts.problem}"
    for identifier in facts.unknownCritical:
        yield (
            _S.HasNotSupportedCriticalExtension,
            f"has a critical extension that is not supported: {identifier}",
        )
    serial = facts.serialNumber
    # Old roots have other numbers, and it does not matter there.
    isExcused = isAnchor and (depth > 0 or serial >= 0)
    if not (0 < serial < 1 << 160 or isExcused):
        yield _S.InvalidExtension, "has no positive serial number of at most 20 bytes"
    if facts.issuer is not None and not facts.issuer.rdns:
        yield _S.InvalidExtension, "has no issuer's name"
    for kind in (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier):
        if facts.isCritical(kind):
            yield _S.InvalidExtension, f"has a critical {kind.oid._name}, which must not be"
    if (
        facts.problem is None
        and facts.subject is not None
        and not facts.subject.rdns
        and not facts.isCritical(x509.SubjectAlternativeName)
    ):
        yield _S.InvalidExtension, "has neither a subject nor a critical subjectAltName"
    if facts.get(x509.AuthorityKeyIdentifier) == _EMPTY:
        yield _S.InvalidExtension, "has an authorityKeyIdentifier that identifies nothing"
    if (
        facts.isSelfIssued
        and None not in (facts.authorityKeyIdentifier, facts.subjectKeyIdentifier)
        and facts.authorityKeyIdentifier != facts.subjectKeyIdentifier
        and comesFrom(certificate, certificate)
    ):
        yield _S.InvalidExtension, "is self-signed, but names another key as its issuer's"


def _strengthProblems(facts: CertificateFacts, isAnchor: bool) -> Iterator[_Problem]:
    if facts.keyProblem is not None:
        yield _S.HasWeakSignature, facts.keyProblem
    elif isinstance(facts.key, rsa.RSAPublicKey) and facts.key.key_size % 8:
        yield _S.HasWeakSignature, f"has an RSA key of {facts.key.key_size} bits, no whole bytes"
    # What an anchor is signed with proves nothing, and nothing relies on it.
    if facts.signatureProblem is not None and not isAnchor:
        yield _S.HasWeakSignature, facts.signatureProblem


def _authorityProblems(facts: CertificateFacts, below: int) -> Iterator[_Problem]:
    """
    @param below: how many certificates that are not self-issued are between
        this one and the first.
    """
    if facts.problem is not None:
        return
    constraints = facts.get(x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        yield _S.InvalidBasicConstraints, "is no certificate of an authority, but issued one"
    elif constraints.path_length is not None and below > constraints.path_length:
        yield (
            _S.InvalidBasicConstraints,
            f"permits at most {constraints.path_length} authorities below it, not {below}",
        )
    usage = facts.get(x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        yield _S.InvalidBasicConstraints, "has a key that is not for signing certificates"


def _leafProblems(facts: CertificateFacts, criteria: Criteria, isAlone: bool) -> Iterator[_Problem]:
    """
    @param isAlone: whether it is its own issuer.
    """
    usage = facts.get(x509.KeyUsage)
    if usage is not None:
        if usage.key_cert_sign != facts.isAuthority and not isAlone:
            yield (
                _S.InvalidBasicConstraints,
                "has a key for signing certificates, but is no authority's"
                if usage.key_cert_sign
                else "is an authority's, but has no key for signing certificates",
            )
        if criteria.signsHandshakes and not usage.digital_signature:
            yield _S.NotValidForUsage, "has a key that is not for signing handshakes"
        if criteria.decryptsSecrets and not usage.key_encipherment:
            yield _S.NotValidForUsage, "has a key that is not for decrypting secrets"
    if facts.get(x509.NameConstraints) is not None and not facts.isAuthority:
        yield _S.InvalidNameConstraints, "constrains names, but is no authority's"


def _usageProblems(facts: CertificateFacts, criteria: Criteria, depth: int) -> Iterator[_Problem]:
    usages = facts.get(x509.ExtendedKeyUsage)
    if usages is None:
        return
    for wanted in criteria.usages:
        isGood = wanted in usages
        # An authority may stand for any usage; that of a peer must be named.
        if not isGood and not (depth and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages):
            name = _PURPOSES.get(wanted, wanted.dotted_string)
            yield _S.NotValidForUsage, f"is not for {name}"


def certificateFindings(
    path: Sequence[x509.Certificate],
    criteria: Criteria,
    isAnchored: bool,
    comparison: Comparison | None = None,
) -> list[Finding]:
    """
    Check everything but whether the path leads anywhere.

    @param path: the certificates, the first one's issuer second, and so on.
    @param isAnchored: whether the last is trusted.
    @param comparison: compares names with constraints; several paths share one.
    """
    findings = []
    last = len(path) - 1
    below = 0
    for depth, certificate in enumerate(path):
        facts = factsOf(certificate)
        isAnchor = isAnchored and depth == last
        problems = [
            *timeProblems(certificate, criteria.time),
            *_formProblems(facts, isAnchor, depth),
            *_strengthProblems(facts, isAnchor or (depth == last and facts.isSelfIssued)),
            *(() if isAnchor and depth else _usageProblems(facts, criteria, depth)),
        ]
        if depth:
            problems += _authorityProblems(facts, below)
            below += not facts.isSelfIssued
        else:
            problems += _leafProblems(facts, criteria, not last)
        if depth < last and not comesFrom(certificate, path[depth + 1]):
            problems.append(
                (_S.NotSignatureValid, f"is not signed with the key of certificate {depth + 2}")
            )
        if criteria.disallowed and certificate.fingerprint(hashes.SHA256()) in criteria.disallowed:
            problems.append((_S.ExplicitDistrust, "is disallowed"))
        findings += [Finding(depth, status, what) for status, what in problems]
    findings += nameFindings(path, comparison or Comparison())
    policy = policyProblem(path, criteria.policies)
    if policy is not None:
        status = _S.NoIssuanceChainPolicy if criteria.policies else _S.InvalidPolicyConstraints
        findings.append(Finding(0, status, policy))
    return findings
