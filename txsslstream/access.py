# -*- test-case-name: tests.test_access -*-
"""
Who may come in, of those whose certificates are in order.

That a certificate leads to a trusted root says who has vouched for a name, and
not that whoever has the name may do anything.  L{AccessRule} says the latter, by
the names in the certificate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from .certificatefacts import factsOf
from .enums import SslPolicyErrors
from .errors import printable
from .names import asciiHostName


@dataclass(frozen=True)
class AccessRule:
    """
    Lets in who has one of these names in the certificate; without names, nobody.
    It is a C{remoteCertificateValidationCallback}: whoever has no certificate, or
    one with which anything is wrong, is refused as well.

    Everything is compared as a whole, names of hosts in either case, all else
    exactly.  A wildcard in a certificate is no name of anybody's.

    @ivar commonNames: common names of the subject.
    @ivar organizationalUnits: organizational units of the subject.
    @ivar dnsNames: subject alternative names that are hosts'.
    @ivar uris: subject alternative names that are URIs, such as SPIFFE's.
    """

    commonNames: Iterable[str] = ()
    organizationalUnits: Iterable[str] = ()
    dnsNames: Iterable[str] = ()
    uris: Iterable[str] = ()

    def __post_init__(self) -> None:
        """
        @raise ValueError: one of C{dnsNames} is no name of a host.
        @raise TypeError: what should be several texts is one.
        """
        for name in ("commonNames", "organizationalUnits", "dnsNames", "uris"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} are several texts, not one")
        hosts = frozenset(asciiHostName(name).lower() for name in self.dnsNames)
        object.__setattr__(self, "commonNames", frozenset(self.commonNames))
        object.__setattr__(self, "organizationalUnits", frozenset(self.organizationalUnits))
        object.__setattr__(self, "dnsNames", hosts)
        object.__setattr__(self, "uris", frozenset(self.uris))

    def __bool__(self) -> bool:
        """
        Whether it could let anybody in.
        """
        return any((self.commonNames, self.organizationalUnits, self.dnsNames, self.uris))

    def permits(self, certificate: x509.Certificate) -> bool:
        """
        @return: whether one of the names is in the certificate.
        """
        names = factsOf(certificate).get(x509.SubjectAlternativeName)
        hosts = [] if names is None else names.get_values_for_type(x509.DNSName)
        uris = [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)
        return not (
            _texts(certificate, NameOID.COMMON_NAME).isdisjoint(self.commonNames)
            and _texts(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME).isdisjoint(
                self.organizationalUnits
            )
            and {name.lower() for name in hosts}.isdisjoint(self.dnsNames)
            and set(uris).isdisjoint(self.uris)
        )

    def __call__(
        self,
        stream: object,
        certificate: x509.Certificate | None,
        chain: object,
        sslPolicyErrors: SslPolicyErrors,
    ) -> bool:
        """
        See L{txsslstream.options.RemoteCertificateValidationCallback}.
        """
        return not sslPolicyErrors and certificate is not None and self.permits(certificate)


def _texts(certificate: x509.Certificate, kind: x509.ObjectIdentifier) -> set[str | bytes]:
    subject = factsOf(certificate).subject
    return set() if subject is None else {e.value for e in subject.get_attributes_for_oid(kind)}


def subjectOf(certificate: x509.Certificate) -> str:
    """
    @return: who a certificate is of, in one printable line: its subject, or what
        other names it has if that is empty.
    """
    facts = factsOf(certificate)
    if facts.subject is None:
        return "with an unreadable name"
    subject = facts.subject.rfc4514_string()
    if not subject:
        names = facts.get(x509.SubjectAlternativeName) or ()
        subject = ",".join(str(each.value) for each in names)
    return printable(subject) or "without a name"
