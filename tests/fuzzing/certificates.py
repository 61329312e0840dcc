"""
What is read of certificates that a peer has sent, or that were fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from txsslstream._report import _certificate
from txsslstream.access import AccessRule, subjectOf
from txsslstream.certificatefacts import CertificateFacts, factsOf, readableName
from txsslstream.certificatepolicies import policyProblem
from txsslstream.chain import X509Chain
from txsslstream.enums import X509ChainTrustMode
from txsslstream.issuers import MOST_CERTIFICATES, certificatesIn
from txsslstream.nameconstraints import Comparison, nameFindings
from txsslstream.names import certificateMatchesHost, hostsOf, nameProblem
from txsslstream.policy import X509ChainPolicy
from txsslstream.revocationdata import crlUrls, issuerUrls, ocspUrls
from txsslstream.security import _certificateLine, plain
from txsslstream.storefiles import withoutWarnings
from txsslstream.testing import certificatePEM, newKey, rsaKey
from txsslstream.testing.issuing import (
    alternatives,
    ca,
    excluding,
    keyUsage,
    permitting,
    unknownExtension,
)

from .signed import MOMENT, hasSigned, issued, signed, theAuthority, theServer
from .target import Target, chosen, require

_RULE = AccessRule(("server",), ("unit",), ("localhost",), ("spiffe://a/b",))
_POLICY = x509.ObjectIdentifier("1.2.3.4")


def _certificates(data: bytes) -> str:
    kind, rest = chosen(data)
    isSigned = bool(kind & 1)
    with withoutWarnings():
        found = certificatesIn(signed(rest) if isSigned else rest)
        if not found:
            return "none"
        require(len(found) <= MOST_CERTIFICATES, "too many certificates")
        for each in found:
            _look(each)
        isAccepted = _judge(found, bool(kind & 2))
    return "accepted" if isAccepted else "refused"


def _look(certificate: x509.Certificate) -> None:
    facts = factsOf(certificate)
    for name, value in vars(CertificateFacts).items():
        if isinstance(value, property):
            getattr(facts, name)
    require(len(readableName(certificate)) <= 64, "a long name")
    require(subjectOf(certificate).isprintable(), "a name that controls terminals")
    hostsOf(certificate)
    for host in ("localhost", "127.0.0.1", "x.a.example", "bücher.a.example"):
        isIt = certificateMatchesHost(certificate, host)
        require(isIt == (not nameProblem(certificate, host)), "two answers about a name")
    _RULE.permits(certificate)
    for each in (*ocspUrls(certificate), *crlUrls(certificate), *issuerUrls(certificate)):
        require(each.lower().startswith("http://") and each.isascii(), "a strange URL")
    json.dumps(plain(certificate))
    json.dumps(_certificate(certificate, MOMENT))
    _certificateLine("Remote", certificate)


def _judge(found: list[x509.Certificate], isForPolicy: bool) -> bool:
    authority = theAuthority().certificate
    first, *others = found
    path = [*found, authority]
    nameFindings(path, Comparison())
    policyProblem(path, (_POLICY,) if isForPolicy else ())
    policy = X509ChainPolicy()
    policy.trustMode = X509ChainTrustMode.CustomRootTrust
    policy.customTrustStore = (authority,)
    policy.extraStore = others
    policy.verificationTime = MOMENT
    if isForPolicy:
        policy.certificatePolicy = (_POLICY,)
    chain = X509Chain()
    chain.chainPolicy = policy
    isAccepted = chain.buildAtOnce(first)
    require(isAccepted is not None, "no answer at once")
    require(bool(chain.chainStatus) != isAccepted, "an answer without a reason")
    for problem in chain.problems:
        require(problem.isprintable(), "a problem that controls terminals")
    isOurs = hasSigned(first.signature, first.tbs_certificate_bytes) or bool(others)
    require(isOurs or not isAccepted, "a certificate is accepted, changed")
    return bool(isAccepted)


@cache
def _samples() -> tuple[x509.Certificate, ...]:
    everything = issued(
        "everything",
        alternatives("localhost", "10.0.0.1", "http://a.example/", "x@a.example"),
        ca(0),
        keyUsage("key_cert_sign"),
        (x509.CertificatePolicies([x509.PolicyInformation(_POLICY, None)]), True),
        (x509.PolicyConstraints(0, None), True),
        (x509.InhibitAnyPolicy(0), True),
        (x509.SubjectKeyIdentifier(b"1"), False),
        unknownExtension(False),
        serial=3,
    )
    permitted = [x509.DNSName("a.example"), x509.RFC822Name(".a.example")]
    excluded = [x509.UniformResourceIdentifier("b.example"), x509.DNSName("")]
    return tuple(
        each.certificate
        for each in (
            theServer(),
            theAuthority(),
            everything,
            issued("permitting", ca(), permitting(*permitted), serial=4),
            issued("excluding", ca(), excluding(*excluded), serial=5),
            issued("feature", (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)),
            issued("critical", unknownExtension(), serial=6),
        )
    )


def _certificateSeeds() -> Iterator[bytes]:
    for each in _samples():
        for kind in (b"\0", b"\2"):
            yield kind + each.public_bytes(Encoding.DER)
        for kind in (b"\1", b"\3"):
            yield kind + each.tbs_certificate_bytes
    yield b"\0" + pkcs7.serialize_certificates(list(_samples()[:3]), Encoding.DER)
    yield b"\0" + certificatePEM(*_samples()[:2])
    for number, key in enumerate((rsaKey(), newKey("EC"), newKey("Ed448")), 7):
        yield b"\1" + issued("other", key=key, serial=number).certificate.tbs_certificate_bytes


TARGETS = (
    Target(
        "certificates",
        "certificates in DER, PEM and PKCS #7, and ones that the authority has signed: facts, "
        "names, constraints, policies, chains",
        _certificates,
        _certificateSeeds,
        longest=1500,
        largest=1 << 17,
        seconds=0.4,
        perByte=2e-5,
        memory=8 << 20,
        memoryPerByte=400,
        share=12,
    ),
)
