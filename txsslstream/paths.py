# -*- test-case-name: tests.test_paths -*-
"""
The way from a certificate to a trusted root.

There may be several: roots are cross-signed, authorities renew certificates,
peers send what is not needed.  All ways are tried within bounds, the most
promising first, and the one with the least wrong is what is reported.

A path is good if nothing is wrong with it B{and} C{cryptography}'s verifier
agrees.  Where that cannot have an opinion (a key or a critical extension that
its profile excludes and ours does not), its silence is no objection.
"""

from __future__ import annotations

import datetime
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from .certificatefacts import comesFrom, factsOf
from .chainchecks import Criteria, certificateFindings
from .crossing import Finding
from .enums import X509ChainStatusFlags
from .nameconstraints import Comparison

_S = X509ChainStatusFlags

#: Bounds of one search: certificates considered, steps taken, signatures
#: verified (those of large RSA keys count for more), paths judged.
MOST_CERTIFICATES = 1000
MOST_STEPS = 2000
MOST_SIGNATURES = 500
MOST_PATHS = 64
#: How long a path is at most, with the self-issued, which no depth counts.
MOST_LENGTH = 128


class Anchors:
    """
    Trusted certificates, ready to be looked up.
    """

    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        self.certificates = dict.fromkeys(certificates)
        self.bySubject = _bySubject(self.certificates)

    def __contains__(self, certificate: object) -> bool:
        return certificate in self.certificates

    @cached_property
    def store(self) -> Store:
        """
        The same for C{cryptography}.

        @raise ValueError: nothing is trusted.
        """
        return Store(list(self.certificates))


@lru_cache(maxsize=64)
def _equalAnchors(certificates: tuple[x509.Certificate, ...]) -> Anchors:
    return Anchors(certificates)


#: The last collections that were asked for, by their addresses: to tell whether
#: hundreds of certificates are equal takes as long as a handshake.
_sameAnchors: OrderedDict[int, tuple[tuple[x509.Certificate, ...], Anchors]] = OrderedDict()
_MOST_SAME = 64


def anchorsOf(certificates: tuple[x509.Certificate, ...]) -> Anchors:
    """
    @return: equal certificates share one.
    """
    address = id(certificates)
    if address in _sameAnchors:
        # It is kept, so that nothing else can have this address.
        return _sameAnchors[address][1]
    anchors = _equalAnchors(certificates)
    _sameAnchors[address] = certificates, anchors
    if len(_sameAnchors) > _MOST_SAME:
        _sameAnchors.popitem(last=False)
    return anchors


@dataclass(frozen=True)
class Path:
    """
    @ivar certificates: the first one's issuer second, and so on.
    @ivar isAnchored: whether the last one is trusted.
    @ivar findings: everything that is wrong.
    @ivar steady: from when until when nothing about it changes, the end
        excluded; L{None} if nobody has looked.
    """

    certificates: tuple[x509.Certificate, ...]
    isAnchored: bool
    findings: tuple[Finding, ...]
    steady: tuple[datetime.datetime, datetime.datetime] | None = field(default=None, compare=False)

    def isSteadyAt(self, time: datetime.datetime) -> bool:
        """
        @return: whether a search for that moment comes to the same, without a
            fault.
        """
        if self.steady is None or self.findings or not self.isAnchored:
            return False
        begins, ends = self.steady
        return begins <= time < ends and self._isValidAt(time)

    def _isValidAt(self, time: datetime.datetime) -> bool:
        """
        @return: whether L{timeProblems} of all certificates come to nothing.
        """
        begins, ends = self._validity
        return begins <= time and time.replace(microsecond=0) <= ends

    @cached_property
    def _validity(self) -> tuple[datetime.datetime, datetime.datetime]:
        return (
            max(each.not_valid_before_utc for each in self.certificates),
            min(each.not_valid_after_utc for each in self.certificates),
        )

    @property
    def _badness(self) -> tuple[bool, bool, int]:
        broken = any(each.status is _S.NotSignatureValid for each in self.findings)
        return broken, not self.isAnchored, len(self.findings)

    def isBetterThan(self, other: Path | None) -> bool:
        """
        @return: whether there is less wrong with it.
        """
        return other is None or self._badness < other._badness


def _bySubject(
    certificates: Iterable[x509.Certificate],
) -> dict[bytes, list[x509.Certificate]]:
    found = defaultdict(list)
    for each in certificates:
        found[_encoded(factsOf(each).subject)].append(each)
    return dict(found)


def _encoded(name: x509.Name | None) -> bytes:
    # A name that cannot be read is nobody's: no issuer's is empty.
    return b"" if name is None else name.public_bytes()


def _identity(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """
    Certificates that differ in neither lead from one to the other for ever.
    """
    facts = factsOf(certificate)
    key = facts.key
    if key is None:
        return _encoded(facts.subject), certificate.public_bytes(Encoding.DER)
    return (
        _encoded(facts.subject),
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def _effort(issuer: x509.Certificate) -> int:
    """
    @return: how much longer than usual verifying with that key takes.
    """
    key = factsOf(issuer).key
    return max(1, (key.key_size // 2048) ** 2) if isinstance(key, rsa.RSAPublicKey) else 1


def _isContradicted(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """
    Whether the certificate names another key than that of an issuer.
    """
    wanted = factsOf(certificate).authorityKeyIdentifier
    has = factsOf(issuer).subjectKeyIdentifier
    return None not in (wanted, has) and wanted != has


class _Search:
    """
    All ways from one certificate, the most promising first.
    """

    def __init__(
        self, others: Iterable[x509.Certificate], anchors: Anchors, criteria: Criteria
    ) -> None:
        self._others = _bySubject(list(dict.fromkeys(others))[:MOST_CERTIFICATES])
        self._anchors = anchors
        self._criteria = criteria
        self._steps = 0
        self._effort = 0
        self._signed: dict[tuple[x509.Certificate, x509.Certificate], bool] = {}
        # All whose validity mattered.
        self.considered: set[x509.Certificate] = set()

    def from_(
        self, path: tuple[x509.Certificate, ...], between: int = 0
    ) -> Iterator[tuple[tuple[x509.Certificate, ...], tuple[_Ending, ...]]]:
        """
        @param between: how many certificates of the path count for its depth.
        @return: paths with what is wrong with where they end.
        """
        top = path[-1]
        if top in self._anchors:
            yield path, ()
            return
        seen = {_identity(each) for each in path}
        ahead = self._issuersOf(top)
        new = [each for each in ahead if _identity(each) not in seen]
        # One after the other: with a good way found, the rest is not tried.
        hasIssuer = False
        for issuer in new:
            if self._isSigned(top, issuer):
                hasIssuer = True
                yield from self._onward(path, issuer, between)
        if hasIssuer:
            return
        if factsOf(top).isSelfIssued and comesFrom(top, top):
            yield path, ((_S.UntrustedRoot, "is a root that is not trusted"),)
            return
        # Somebody may use an issuer's name without having its key: what else is
        # wrong with that way is told all the same.
        namesakes = [] if self._isExhausted else self._named(top, new)
        for issuer in namesakes:
            yield from self._onward(path, issuer, between)
        if namesakes:
            return
        if ahead and not new and not factsOf(top).isSelfIssued:
            yield path, (_NO_ISSUER, (_S.Cyclic, "was issued by a certificate that it issued"))
        else:
            yield path, (_NO_ISSUER,)

    def _onward(
        self, path: tuple[x509.Certificate, ...], issuer: x509.Certificate, between: int
    ) -> Iterator[tuple[tuple[x509.Certificate, ...], tuple[_Ending, ...]]]:
        self._steps += 1
        if self._steps > MOST_STEPS:
            return
        isCounted = issuer not in self._anchors and not factsOf(issuer).isSelfIssued
        limit = min(self._criteria.maximumDepth, MOST_LENGTH)
        if between + isCounted > limit or len(path) > MOST_LENGTH:
            yield path, ((_S.PartialChain, f"leads further than {limit} intermediates"),)
        else:
            yield from self.from_((*path, issuer), between + isCounted)

    def _named(
        self, certificate: x509.Certificate, issuers: Sequence[x509.Certificate]
    ) -> list[x509.Certificate]:
        """
        @return: the most likely of the issuers by name, unless it has another
            key than the one that the certificate names: then it is another.
        """
        return [each for each in issuers[:1] if not _isContradicted(certificate, each)]

    @property
    def _isExhausted(self) -> bool:
        return self._effort >= MOST_SIGNATURES

    def _isSigned(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        pair = (certificate, issuer)
        if pair not in self._signed:
            self._signed[pair] = not self._isExhausted and comesFrom(*pair)
            self._effort += _effort(issuer)
        return self._signed[pair]

    def _issuersOf(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        name = _encoded(factsOf(certificate).issuer)
        if not name:
            return []
        found = dict.fromkeys([*self._anchors.bySubject.get(name, ()), *self._others.get(name, ())])
        self.considered.update(found)
        time = self._criteria.time

        # Among equals, the anchors stay first.
        def unlikeliness(issuer: x509.Certificate) -> tuple[bool, bool]:
            return (
                _isContradicted(certificate, issuer),
                not issuer.not_valid_before_utc <= time <= issuer.not_valid_after_utc,
            )

        return sorted(found, key=unlikeliness)


_Ending = tuple[X509ChainStatusFlags, str]

_NO_ISSUER: _Ending = (_S.PartialChain, "was issued by a certificate that is not at hand")


def bestPath(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Anchors,
    criteria: Criteria,
) -> Path:
    """
    Find the best way from a certificate to a trusted one.

    @param others: certificates that may be on the way, in any order.
    @return: a path without findings if there is one, or else the one with the
        least wrong.
    """
    comparison = Comparison()
    best: Path | None = None
    search = _Search(others, anchors, criteria)
    for certificates, ends in islice(search.from_((certificate,)), MOST_PATHS):
        isAnchored = certificates[-1] in anchors
        path = _judged(certificates, ends, isAnchored, criteria, comparison)
        if not path.findings and _isInProfile(certificates):
            objection = _objection(certificates, anchors, criteria)
            if objection is not None:
                ends = ((_S.InvalidExtension, f"is at the end of an invalid path: {objection}"),)
                path = _judged(certificates, ends, True, criteria, comparison)
        if path.isBetterThan(best):
            best = path
        if not path.findings:
            considered = search.considered.union(certificates)
            return replace(path, steady=_steadiness(considered, criteria.time))
    if best is None:
        best = _judged((certificate,), (_NO_ISSUER,), False, criteria, comparison)
    return best


#: What is valid up to it is valid for ever (RFC 5280 section 4.1.2.5).
_LAST_SECOND = datetime.datetime.max.replace(microsecond=0, tzinfo=datetime.timezone.utc)
_FOR_EVER = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
_RESOLUTIONS = (datetime.timedelta.resolution, datetime.timedelta(seconds=1))


def _steadiness(
    certificates: Collection[x509.Certificate], time: datetime.datetime
) -> tuple[datetime.datetime, datetime.datetime]:
    """
    @return: the moments around that one at which another of the certificates
        becomes valid or expires.  C{cryptography}'s verifier has looked at none
        but these, and what it says changes then, too.
    """
    moments = {each.not_valid_before_utc for each in certificates}
    for each in certificates:
        # The last second is a whole one where faults are looked for, and a
        # moment where it is only about what to try first.
        last = each.not_valid_after_utc
        moments |= {last + resolution for resolution in _RESOLUTIONS if last < _LAST_SECOND}
    return (
        max((each for each in moments if each <= time), default=time),
        min((each for each in moments if each > time), default=_FOR_EVER),
    )


def _judged(
    certificates: tuple[x509.Certificate, ...],
    ends: tuple[_Ending, ...],
    isAnchored: bool,
    criteria: Criteria,
    comparison: Comparison,
) -> Path:
    last = len(certificates) - 1
    findings = certificateFindings(certificates, criteria, isAnchored, comparison)
    findings += [Finding(last, status, what) for status, what in ends]
    return Path(certificates, isAnchored, tuple(findings))


_PERMITTED = ExtensionPolicy.permit_all()
#: It insists on this one.
_AUTHORITIES = _PERMITTED.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)


def _objection(
    path: Sequence[x509.Certificate], anchors: Anchors, criteria: Criteria
) -> str | None:
    """
    @return: why C{cryptography} finds no way along these certificates, or
        L{None}.
    """
    verifier = (
        PolicyBuilder()
        .store(anchors.store)
        .time(criteria.time)
        .max_chain_depth(min(criteria.maximumDepth, 255))
        .extension_policies(ca_policy=_AUTHORITIES, ee_policy=_PERMITTED)
        .build_client_verifier()
    )
    try:
        verifier.verify(path[0], list(path[1:-1]))
    except VerificationError as e:
        return str(e)
    except Exception as e:
        # A name or an extension that it does not even read.
        return f"{type(e).__name__}: {e}"
    return None


_PROFILE_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_PROFILE_DIGESTS = ("", "sha256", "sha384", "sha512")
_PROFILE_CRITICAL: tuple[type[x509.ExtensionType], ...] = (
    x509.CertificatePolicies,
    x509.PolicyConstraints,
    x509.InhibitAnyPolicy,
    x509.TLSFeature,
    x509.IssuerAlternativeName,
    x509.CRLDistributionPoints,
)
_PROFILE_NAMES = (x509.DNSName, x509.IPAddress, x509.RFC822Name)


def _isInProfile(path: Sequence[x509.Certificate]) -> bool:
    """
    Whether there is nothing about a path that C{cryptography} excludes, for
    lack of support or for the public web's sake.  It counts the self-issued for
    the depth, and takes no certificate for its own root.
    """
    between = any(factsOf(each).isSelfIssued for each in path[1:-1])
    return (
        len(path) > 1
        and not between
        and all(map(_isReadable, path))
        and all(map(_isUsualIssuer, path[1:]))
    )


def _isReadable(certificate: x509.Certificate) -> bool:
    facts = factsOf(certificate)
    return (
        facts.digest in _PROFILE_DIGESTS
        # Of the lengths that a salt can have, it knows one.
        and not isinstance(certificate.signature_algorithm_parameters, padding.PSS)
        and not any(facts.isCritical(kind) for kind in _PROFILE_CRITICAL)
    )


def _isUsualIssuer(certificate: x509.Certificate) -> bool:
    facts = factsOf(certificate)
    constraints = facts.get(x509.NameConstraints)
    if constraints is not None:
        names = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
        if not all(isinstance(each, _PROFILE_NAMES) for each in names):
            return False
    return isinstance(facts.key, rsa.RSAPublicKey) or (
        isinstance(facts.key, ec.EllipticCurvePublicKey) and facts.key.curve.name in _PROFILE_CURVES
    )
