# -*- test-case-name: tests.test_nameconstraints -*-
"""
Which names an authority may give (RFC 5280 section 4.2.1.10).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from .certificatefacts import CertificateFacts, factsOf
from .crossing import Finding
from .enums import X509ChainStatusFlags

_S = X509ChainStatusFlags

#: How often a name is looked at or compared with a constraint while one path is
#: looked for, and how many characters of one are compared.
MOST_COMPARISONS = 100_000
MOST_CHARACTERS = 2048

_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII | re.IGNORECASE)


_DUBIOUS = re.compile(r"[\\\s\x00-\x1f\x7f]")


class _Malformed(ValueError):
    """
    A name or a constraint that is none.
    """


class _TooMany(Exception):
    """
    Comparing would take too long.
    """


def _labels(name: str) -> list[str]:
    if len(name) > 253 or _LABELS.fullmatch(name) is None:
        raise _Malformed(f"malformed DNS name {name[:80]!r}")
    return name.lower().split(".")


def _isWithin(labels: list[str], base: list[str]) -> bool:
    return labels[-len(base) :] == base


def _dnsMatches(name: str, base: str, isExclusion: bool) -> bool:
    wanted = _labels(base) if base else []
    if name.startswith("*."):
        labels = _labels(name[2:])
        # One of the names that it stands for is enough to be excluded; to be
        # permitted, all of them must be.
        if isExclusion and wanted[1:] == labels:
            return True
    else:
        labels = _labels(name)
    return not wanted or _isWithin(labels, wanted)


def _hostMatches(host: str, base: str) -> bool:
    """
    A base with a leading dot stands for all that is below, one without for
    itself.
    """
    labels = _labels(host)
    if base.startswith("."):
        below = _labels(base[1:])
        return len(labels) > len(below) and _isWithin(labels, below)
    return labels == _labels(base)


def _mailMatches(address: str, base: str, _: bool) -> bool:
    local, at, host = address.rpartition("@")
    if not at or not local or ("@" in local and not local.startswith('"')):
        raise _Malformed(f"malformed e-mail address {address[:80]!r}")
    _labels(host)
    wantedLocal, at, wantedHost = base.rpartition("@")
    if at:
        return local == wantedLocal and host.lower() == wantedHost.lower()
    return _hostMatches(host, base)


def _uriMatches(uri: str, base: str, _: bool) -> bool:
    try:
        # Programs do not agree on which host a backslash leads to.
        host = None if _DUBIOUS.search(uri) else urlsplit(uri).hostname
    except ValueError:
        host = None
    if not host:
        raise _Malformed(f"a URI without a host: {uri[:80]!r}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _hostMatches(host, base)
    raise _Malformed(f"a URI with an address for a host: {uri[:80]!r}")


def _addressMatches(address: Any, network: Any, isExclusion: bool) -> bool:
    if not isinstance(network, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        raise _Malformed("a constraint for addresses that is no network")
    if isinstance(address, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        raise _Malformed("a network for an address")
    # Whoever is not to be reached is not to be reached by another spelling.
    mapped = getattr(address, "ipv4_mapped", None)
    return address in network or (isExclusion and mapped is not None and mapped in network)


def _folded(text: str) -> str:
    # As RFC 4518 prepares what is compared: without regard to case, to spaces
    # and to how characters are composed, and without invisible ones.
    visible = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).split()).casefold()


def _canonical(rdn: x509.RelativeDistinguishedName) -> frozenset[tuple[str, Any]]:
    return frozenset(
        (
            each.oid.dotted_string,
            _folded(each.value) if isinstance(each.value, str) else each.value,
        )
        for each in rdn
    )


def _directoryMatches(name: x509.Name, base: x509.Name, _: bool) -> bool:
    wanted = [_canonical(rdn) for rdn in base.rdns]
    return [_canonical(rdn) for rdn in name.rdns[: len(wanted)]] == wanted


_MATCHERS: dict[type[x509.GeneralName], Callable[[Any, Any, bool], bool]] = {
    x509.DNSName: _dnsMatches,
    x509.RFC822Name: _mailMatches,
    x509.UniformResourceIdentifier: _uriMatches,
    x509.IPAddress: _addressMatches,
    x509.DirectoryName: _directoryMatches,
}


def _namesOf(facts: CertificateFacts) -> Iterator[x509.GeneralName]:
    alternatives = facts.get(x509.SubjectAlternativeName)
    yield from alternatives or ()
    subject = facts.subject
    if subject is None:
        return
    if subject.rdns:
        yield x509.DirectoryName(subject)
    if alternatives is None:
        for each in subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS):
            yield x509.RFC822Name(str(each.value))


def _shown(name: x509.GeneralName) -> str:
    value = name.value
    text = value.rfc4514_string() if isinstance(value, x509.Name) else str(value)
    return repr(text[:80])


#: The subtrees of one kind that are permitted and that are excluded.
_Subtrees = tuple[list[x509.GeneralName], list[x509.GeneralName]]


def _size(name: x509.GeneralName) -> int:
    """
    @return: how many characters there are to compare.
    """
    value = name.value
    if isinstance(value, x509.Name):
        return sum(len(each.value) for each in value)
    return len(value) if isinstance(value, str) else 0


@dataclass
class Comparison:
    """
    Compares, as long as there is time, for all paths of one search.

    @ivar left: how often it can still look at something.
    """

    left: int = MOST_COMPARISONS
    _subtrees: dict[x509.Certificate, dict[type, _Subtrees]] = field(default_factory=dict)

    def _spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _TooMany

    def subtreesOf(self, issuer: CertificateFacts) -> dict[type, _Subtrees]:
        """
        @return: an issuer's constraints by the kind of names.
        """
        found = self._subtrees.get(issuer.certificate)
        if found is None:
            found = self._subtrees[issuer.certificate] = {}
            constraints = issuer.get(x509.NameConstraints)
            if constraints is not None:
                both = (constraints.permitted_subtrees, constraints.excluded_subtrees)
                for place, subtrees in enumerate(both):
                    for each in subtrees or ():
                        found.setdefault(type(each), ([], []))[place].append(each)
        return found

    def violation(
        self, name: x509.GeneralName, constraints: dict[type, _Subtrees]
    ) -> tuple[X509ChainStatusFlags, str] | None:
        """
        @return: how a name violates constraints, if it does.
        """
        self._spend(1)
        kind = type(name)
        permitted, excluded = constraints.get(kind, ([], []))
        if not permitted and not excluded:
            return None
        if kind not in _MATCHERS:
            return (
                _S.HasNotSupportedNameConstraint,
                f"has a name of a kind ({kind.__name__}) whose constraints cannot be checked",
            )
        try:
            if self._matches(name, excluded, True):
                return (
                    _S.HasExcludedNameConstraint,
                    f"has the name {_shown(name)}, which is excluded",
                )
            if permitted and not self._matches(name, permitted, False):
                return (
                    _S.HasNotPermittedNameConstraint,
                    f"has the name {_shown(name)}, which is not among those permitted",
                )
        except _Malformed as e:
            return (
                _S.InvalidNameConstraints,
                f"has the name {_shown(name)}, which cannot be compared ({e}) "
                "with what is constrained",
            )
        return None

    def _matches(
        self, name: x509.GeneralName, bases: Iterable[x509.GeneralName], isExclusion: bool
    ) -> bool:
        for base in bases:
            self._spend(1 + len(base.value.rdns) if isinstance(base.value, x509.Name) else 1)
            if max(_size(name), _size(base)) > MOST_CHARACTERS:
                raise _Malformed(f"more than {MOST_CHARACTERS} characters")
            if _MATCHERS[type(name)](name.value, base.value, isExclusion):
                return True
        return False


def nameFindings(path: Sequence[x509.Certificate], comparison: Comparison) -> list[Finding]:
    """
    @param path: the certificates, the first one's issuer second, and so on.
    @return: the names that an issuer above was not allowed to give.  Between
        first and last, a certificate that is self-issued is not bound.
    """
    everything = [factsOf(each) for each in path]
    findings = []
    try:
        for depth, facts in enumerate(everything[:-1]):
            if depth and facts.isSelfIssued:
                continue
            for above, issuer in enumerate(everything[depth + 1 :], depth + 1):
                constraints = comparison.subtreesOf(issuer)
                for name in _namesOf(facts) if constraints else ():
                    violation = comparison.violation(name, constraints)
                    if violation is not None:
                        status, what = violation
                        findings.append(
                            Finding(depth, status, f"{what} by certificate {above + 1}")
                        )
                        break
    except _TooMany:
        findings.append(
            Finding(0, _S.InvalidNameConstraints, "has too many names and constraints to compare")
        )
    return findings
