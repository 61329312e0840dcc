# -*- test-case-name: tests.test_certificatepolicies -*-
"""
Certificate policies (RFC 5280 section 6.1): whether a path is valid for any
policy, where an issuer insists, or for one that we insist on.

The RFC's tree grows exponentially for a hostile path.  Without policy mappings,
which are not supported (critical ones refuse, others make no policy valid), all
that decides is which policies are still valid, and a set holds that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID

from .certificatefacts import CertificateFacts, factsOf

_ANY = CertificatePoliciesOID.ANY_POLICY

_Policies = frozenset[x509.ObjectIdentifier]

_NONE_VALID = "has no certificate policy that is valid for the whole path, as an issuer insists"
_NONE_WANTED = "is valid for none of the certificate policies that are asked for"


def _narrowed(valid: _Policies, facts: CertificateFacts, allowsAny: bool) -> _Policies:
    """
    @param allowsAny: whether "any policy" in this certificate counts.
    @return: what is left of the valid policies below this certificate.
    """
    extension = facts.get(x509.CertificatePolicies)
    if extension is None:
        return frozenset()
    named = frozenset(each.policy_identifier for each in extension)
    if _ANY in named and allowsAny:
        return valid | (named if _ANY in valid else frozenset())
    named -= {_ANY}
    return named if _ANY in valid else named & valid


def policyProblem(
    path: Sequence[x509.Certificate], wanted: Collection[x509.ObjectIdentifier]
) -> str | None:
    """
    @param path: the certificates, the first one's issuer second, and so on; the
        last is the anchor, whose own policies count only if it is the first.
    @param wanted: the policies of which one must be valid; empty if any will
        do, and none unless an issuer insists.
    @return: what is wrong, or L{None}.
    """
    below = [factsOf(each) for each in path[:-1] or path]
    problem = _NONE_WANTED if wanted else _NONE_VALID
    # How many certificates may still come before each rule applies.
    explicit = 0 if wanted else len(below) + 1
    inhibit = len(below) + 1
    valid: _Policies = frozenset({_ANY})
    for depth in range(len(below) - 1, -1, -1):
        facts = below[depth]
        isExempt = depth > 0 and facts.isSelfIssued
        valid = _narrowed(valid, facts, isExempt or inhibit > 0)
        if depth and facts.mapsPolicies:
            valid = frozenset()
        if not isExempt:
            explicit = max(0, explicit - 1)
            inhibit = max(0, inhibit - 1)
        constraints = facts.get(x509.PolicyConstraints)
        if constraints is not None and constraints.require_explicit_policy is not None:
            explicit = min(explicit, constraints.require_explicit_policy)
        inhibition = facts.get(x509.InhibitAnyPolicy)
        if inhibition is not None:
            inhibit = min(inhibit, inhibition.skip_certs)
    if not explicit and not valid:
        return problem
    if wanted and not {*wanted, _ANY} & valid and _ANY not in wanted:
        return problem
    return None
