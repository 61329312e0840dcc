# -*- test-case-name: tests.test_chain -*-
"""
The chain of the peer's certificates with everything that is wrong with it, as a
validation callback gets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509

from .crossing import Finding, PeerChain
from .enums import TlsAlert, X509ChainStatusFlags, X509RevocationMode

_S = X509ChainStatusFlags


@dataclass(frozen=True)
class X509ChainStatus:
    """
    One problem (.NET: C{X509ChainStatus}).

    @ivar status: the problem, as one flag or several that always come together.
    @ivar statusInformation: the same in words.
    """

    status: X509ChainStatusFlags
    statusInformation: str


@dataclass(frozen=True)
class X509ChainElement:
    """
    One certificate of a chain (.NET: C{X509ChainElement}).

    @ivar chainElementStatus: what is wrong with it, as a tuple; empty if
        nothing is.
    """

    certificate: x509.Certificate
    chainElementStatus: tuple[X509ChainStatus, ...]


@dataclass(frozen=True)
class X509Chain:
    """
    A built chain (.NET: C{X509Chain}).

    @ivar chainElements: the peer's own certificate first, the root last.
    @ivar presentedCertificates: what the peer sent, in its order.
    """

    chainElements: tuple[X509ChainElement, ...]
    presentedCertificates: tuple[x509.Certificate, ...] = ()

    @property
    def chainStatus(self) -> tuple[X509ChainStatus, ...]:
        """
        Every problem of every element, each once.
        """
        return tuple(
            dict.fromkeys(
                status for element in self.chainElements for status in element.chainElementStatus
            )
        )

    @property
    def flags(self) -> X509ChainStatusFlags:
        """
        All problems joined.
        """
        return joinedFlags(self.chainStatus)


def joinedFlags(statuses: Iterable[X509ChainStatus]) -> X509ChainStatusFlags:
    """
    @return: all flags of these statuses in one.
    """
    flags = _S.NoError
    for each in statuses:
        flags |= each.status
    return flags


_UNCHECKED = X509ChainStatus(
    _S.RevocationStatusUnknown | _S.OfflineRevocation,
    "no revocation information is at hand",
)


def chainOf(peer: PeerChain, revocationMode: X509RevocationMode) -> X509Chain:
    """
    Make a chain of what OpenSSL found.

    Asked for revocation, every certificate but the root is of unknown status.
    """

    last = len(peer.built) - 1

    def statuses(depth: int, certificate: x509.Certificate) -> tuple[X509ChainStatus, ...]:
        # What concerns a certificate that is not there must not get lost.
        found = [_status(each) for each in peer.findings if min(each.depth, last) == depth]
        isRoot = 0 < depth == last and certificate.subject == certificate.issuer
        if revocationMode is not X509RevocationMode.NoCheck and not isRoot:
            found.append(_UNCHECKED)
        return tuple(found)

    return X509Chain(
        tuple(
            X509ChainElement(certificate, statuses(depth, certificate))
            for depth, certificate in enumerate(peer.built)
        ),
        peer.presented,
    )


def _status(finding: Finding) -> X509ChainStatus:
    return X509ChainStatus(finding.status, finding.information)


#: Which alert tells the peer of which problem; the first that applies.
_ALERTS: tuple[tuple[X509ChainStatusFlags, TlsAlert], ...] = (
    (_S.UntrustedRoot | _S.PartialChain | _S.Cyclic, TlsAlert.unknown_ca),
    (_S.Revoked, TlsAlert.certificate_revoked),
    (_S.NotTimeValid | _S.NotTimeNested, TlsAlert.certificate_expired),
    (_S.NotValidForUsage, TlsAlert.unsupported_certificate),
    (_S.RevocationStatusUnknown | _S.OfflineRevocation, TlsAlert.certificate_unknown),
)


#: All that a peer may say of our certificate, or of its absence.
REFUSALS = frozenset(
    {
        TlsAlert.handshake_failure,
        TlsAlert.bad_certificate,
        TlsAlert.unsupported_certificate,
        TlsAlert.certificate_revoked,
        TlsAlert.certificate_expired,
        TlsAlert.certificate_unknown,
        TlsAlert.unknown_ca,
        TlsAlert.access_denied,
        TlsAlert.certificate_required,
        TlsAlert.internal_error,
    }
)


def alertFor(flags: X509ChainStatusFlags) -> TlsAlert:
    """
    The alert that tells a peer why its certificate was refused (RFC 8446
    section 6.2).  Problems of the chain come before the name.
    """
    return next((alert for cause, alert in _ALERTS if flags & cause), TlsAlert.bad_certificate)
