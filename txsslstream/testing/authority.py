"""
A certificate authority for tests, which issues good certificates and every kind
of bad ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache, cached_property
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from ..certificates import SslStreamCertificateContext
from ..enums import SslProtocols
from ..options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from ..trust import SslCertificateTrust
from . import revocations
from .damage import signedAgain, unreadable, weaklySigned
from .issuing import (
    DAY,
    MUST_STAPLE,
    NOW,
    Extension,
    Issued,
    Signer,
    alternatives,
    certificate,
    distinguishedName,
    excluding,
    generalName,
    keyUsage,
    newKey,
    unknownExtension,
)
from .web import MemoryWeb

#: Where the OCSP responder of L{Authority.issueStapled} is.
RESPONDER = "http://ocsp.example/"


class Flaw(Enum):
    """
    What can be wrong with a certificate that L{Authority.issueBad} issues; the
    value says it in words.
    """

    Expired = "its time is over"
    NotYetValid = "its time has not come"
    WrongName = "it is for elsewhere.example"
    WithoutNames = "it has no subjectAltName, only a common name"
    WrongUsage = "it is for signing code"
    UnknownCriticalExtension = "it has a critical extension that nobody knows"
    WeakKey = "it has an RSA key of 1024 bits"
    WeakSignature = "it is signed with SHA-1"
    InvalidSignature = "it says that the authority's key has signed it, and another has"
    UnknownIssuer = "it is from an authority of the same name, with another key"
    SelfSigned = "it is signed with its own key"
    ExcludedName = "it is from an intermediate that may not issue for that name"
    NotAnAuthority = "it is from somebody who is no authority"
    Unreadable = "it has a damaged extension"
    WithoutStaple = "it demands a stapled OCSP response, and none is there"
    Revoked = "the authority has revoked it"


class Authority:
    """
    A certificate authority.

    @ivar certificate: its own certificate.
    @ivar key: its private key.
    @ivar now: what it takes for the present.
    @ivar issuer: who has issued its certificate; L{None}: itself.
    @ivar revoked: what it has revoked so far, certificates and lines of CRLs.
    """

    certificate: x509.Certificate

    def __init__(
        self,
        name: str | x509.Name = "Test Authority",
        issuer: Authority | None = None,
        extensions: Iterable[Extension] = (),
        notBefore: datetime.datetime | None = None,
        notAfter: datetime.datetime | None = None,
        isAuthority: bool = True,
        *,
        key: Any = None,
        pathLength: int | None = None,
        now: datetime.datetime | None = None,
    ) -> None:
        """
        @param name: its common name, or the whole.
        @param issuer: who issues its certificate, if not itself.
        @param extensions: more of them, with whether each is critical.
        @param notBefore: 10 days before now unless given.
        @param notAfter: in 100 days unless given.
        @param isAuthority: whether its certificate says so.
        @param key: its private key, or the kind of a new one: see
            L{newKey<txsslstream.testing.issuing.newKey>}; L{None}: P-256.
        @param pathLength: how many authorities there may be below it.
        @param now: what all its dates are relative to: by default the issuer's
            present, or L{NOW<txsslstream.testing.issuing.NOW>}.
        """
        self.key = _keyFrom(key)
        self.now: datetime.datetime = now or (NOW if issuer is None else issuer.now)
        self.issuer = issuer
        self.revoked: list[x509.Certificate | x509.RevokedCertificate] = []
        whole = distinguishedName(name) if isinstance(name, str) else name
        self.certificate = _signed(
            whole,
            issuer,
            self.key,
            [
                (x509.BasicConstraints(isAuthority, pathLength if isAuthority else None), True),
                keyUsage("digital_signature", "key_cert_sign", "crl_sign"),
                *extensions,
            ],
            self.now - 10 * DAY if notBefore is None else notBefore,
            self.now + 100 * DAY if notAfter is None else notAfter,
        ).certificate

    # What others have to know.

    @property
    def trust(self) -> SslCertificateTrust:
        """
        The trust in it alone.
        """
        return SslCertificateTrust.fromCertificates([self.certificate])

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """
        What has to be sent behind a certificate of this authority: itself and
        its issuers, without the root.
        """
        return () if self.issuer is None else (self.certificate, *self.issuer.chain)

    @property
    def root(self) -> Authority:
        """
        Who is at the top: this one, or its issuer's root.
        """
        return self if self.issuer is None else self.issuer.root

    @cached_property
    def serverCertificate(self) -> SslStreamCertificateContext:
        """
        One for C{localhost} and 127.0.0.1, always the same.
        """
        return self.issue("localhost", "127.0.0.1")

    @cached_property
    def clientCertificate(self) -> SslStreamCertificateContext:
        """
        One for C{client@example.com}, always the same.
        """
        return self.issue("client@example.com")

    def clientOptions(
        self, version: SslProtocols = SslProtocols.None_, **options: Any
    ) -> SslClientAuthenticationOptions:
        """
        @param version: the only one; L{SslProtocols.None_}: the usual ones.
        @param options: others of L{SslClientAuthenticationOptions}, or instead.
        @return: options of a client that wants C{localhost} and trusts this
            authority's root alone.
        """
        return SslClientAuthenticationOptions(
            **{
                "targetHost": "localhost",
                "trust": self.root.trust,
                "enabledSslProtocols": version,
                **options,
            }
        )

    def serverOptions(
        self, version: SslProtocols = SslProtocols.None_, **options: Any
    ) -> SslServerAuthenticationOptions:
        """
        @param version: the only one; L{SslProtocols.None_}: the usual ones.
        @param options: others of L{SslServerAuthenticationOptions}, or instead.
        @return: options of a server that presents L{serverCertificate} and
            trusts this authority's root alone.
        """
        if "serverCertificateSelectionCallback" not in options:
            options.setdefault("serverCertificate", self.serverCertificate)
        return SslServerAuthenticationOptions(
            **{"trust": self.root.trust, "enabledSslProtocols": version, **options}
        )

    # Issuing.

    def intermediate(self, name: str = "Test Intermediate", **arguments: Any) -> Authority:
        """
        @param arguments: of the constructor.
        @return: a new authority below this one.
        """
        return Authority(name, self, **arguments)

    def issue(
        self,
        *names: str,
        subject: str | x509.Name | None = None,
        usages: Iterable[x509.ObjectIdentifier] = (
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
        ),
        extensions: Iterable[Extension] = (),
        notBefore: datetime.datetime | None = None,
        notAfter: datetime.datetime | None = None,
        key: Any = None,
        claimed: Authority | None = None,
        **context: Any,
    ) -> SslStreamCertificateContext:
        """
        Issue a certificate.

        @param names: hosts, IP addresses, e-mail addresses and URIs.
        @param subject: the common name, or the whole; the first name unless
            given.
        @param usages: the extended key usages; none: there is no such extension.
        @param extensions: more of them, with whether each is critical.
        @param notBefore: yesterday unless given.
        @param notAfter: in 10 days unless given.
        @param key: its private key, or the kind of a new one: see
            L{newKey<txsslstream.testing.issuing.newKey>}; L{None}: P-256.
        @param claimed: whose key the certificate says it was signed with.
        @param context: more for L{SslStreamCertificateContext}, such as
            C{retriever}.
        @return: it, with its key and L{chain}.
        """
        every: list[Extension] = [(x509.BasicConstraints(False, None), True)]
        if names:
            every.append(alternatives(*names))
        usages = list(usages)
        if usages:
            every.append((x509.ExtendedKeyUsage(usages), False))
        if subject is None:
            subject = names[0] if names else "nobody"
        issued = _signed(
            subject,
            self,
            _keyFrom(key),
            [*every, *extensions],
            self.now - DAY if notBefore is None else notBefore,
            self.now + 10 * DAY if notAfter is None else notAfter,
            None if claimed is None else claimed.key,
        )
        return self._contextOf(issued, **context)

    def _contextOf(self, issued: Issued, **context: Any) -> SslStreamCertificateContext:
        return SslStreamCertificateContext(issued.certificate, issued.key, self.chain, **context)

    def issueBad(self, flaw: Flaw, *names: str, **arguments: Any) -> SslStreamCertificateContext:
        """
        Issue a certificate that is good but for one flaw.

        @param names: as for L{issue}; C{localhost} unless given.
        @param arguments: of L{issue}.
        """
        return _MAKERS[flaw](self, names or ("localhost",), arguments)

    def issueStapled(
        self, *names: str, mustStaple: bool = False, response: bytes | None = None, **arguments: Any
    ) -> SslStreamCertificateContext:
        """
        Issue a certificate with which a server staples an OCSP response (RFC
        6066 section 8), which it gets from this authority without a network.

        @param mustStaple: whether the certificate demands it (RFC 7633).
        @param response: in DER; what L{ocspResponse} says when it is asked for
            unless given.
        @param arguments: of L{issue}.
        """
        web = MemoryWeb()
        extensions = [*arguments.pop("extensions", ()), revocations.access([RESPONDER])]
        if mustStaple:
            extensions.append(MUST_STAPLE)
        issued = self.issue(
            *names,
            extensions=extensions,
            retriever=web,
            # The server checks who has signed it before it shows it.
            roots=(self.certificate,),
            **arguments,
        )
        web.answers[RESPONDER] = lambda _: (
            self.ocspResponse(issued.certificate) if response is None else response
        )
        return issued

    def responder(self, **arguments: Any) -> SslStreamCertificateContext:
        """
        @param arguments: of L{issue}.
        @return: the certificate of somebody whom this authority has entitled to
            sign OCSP responses.
        """
        return self.issue(
            **{
                "subject": "responder",
                "usages": (ExtendedKeyUsageOID.OCSP_SIGNING,),
                **arguments,
            }
        )

    # Revocation.

    def revoke(self, *certificates: SslStreamCertificateContext | x509.Certificate) -> None:
        """
        Revoke certificates: L{crl} and L{ocspResponse} tell so from now on.
        """
        self.revoked += [
            each if isinstance(each, x509.Certificate) else each.certificate
            for each in certificates
        ]

    def crl(
        self, *revoked: x509.Certificate | x509.RevokedCertificate, **arguments: Any
    ) -> x509.CertificateRevocationList:
        """
        @param revoked: more than L{revoke} was told.
        @param arguments: of L{revocations.crl<txsslstream.testing.revocations.crl>}.
        @return: the authority's CRL, a day old and valid for another.
        """
        return revocations.crl(self, *self.revoked, *revoked, **{**self._dates, **arguments})

    def ocspResponse(self, certificate: x509.Certificate, **arguments: Any) -> bytes:
        """
        @param arguments: of
            L{revocations.ocspResponse<txsslstream.testing.revocations.ocspResponse>};
            the status is whether L{revoke} was told, unless given.
        @return: what the authority says of a certificate, in DER, a day old and
            valid for another.
        """
        status = revocations.REVOKED if certificate in self.revoked else revocations.GOOD
        return revocations.ocspResponse(
            self, certificate, **{"status": status, **self._dates, **arguments}
        )

    @property
    def _dates(self) -> dict[str, Any]:
        return {
            "thisUpdate": self.now - DAY,
            "nextUpdate": self.now + DAY,
            "revokedAt": self.now - 2 * DAY,
        }


def _keyFrom(key: Any) -> Any:
    """
    @param key: a private key, the kind of a new one, or L{None}.
    """
    if key is None:
        return newKey()
    return newKey(key) if isinstance(key, str) else key


@cache
def sharedAuthority() -> Authority:
    """
    @return: one authority for all who do not need one of their own.
    """
    return Authority()


def _signed(
    subject: str | x509.Name,
    issuer: Signer | None,
    key: Any,
    extensions: Iterable[Extension],
    notBefore: datetime.datetime,
    notAfter: datetime.datetime,
    claimed: Any = None,
) -> Issued:
    """
    A certificate with key identifiers, which strict verifiers, such as Python
    3.13's, insist on.

    @param claimed: whose key it says it was signed with, if not the issuer's.
    """
    claimed = claimed or (key if issuer is None else issuer.key)
    identifiers: list[Extension] = [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(claimed.public_key()), False),
    ]
    return certificate(
        subject,
        issuer,
        key,
        [*identifiers, *extensions],
        notBefore=notBefore,
        notAfter=notAfter,
    )


# What is wrong with each certificate.

_Arguments = dict[str, Any]
_Maker = Callable[[Authority, tuple[str, ...], _Arguments], SslStreamCertificateContext]


def _with(changes: Callable[[Authority], _Arguments]) -> _Maker:
    """
    One that is issued with these arguments.
    """
    return lambda authority, names, given: authority.issue(
        *names, **{**changes(authority), **given}
    )


def _extended(extension: Extension) -> _Maker:
    """
    One with another extension.
    """
    return lambda authority, names, given: authority.issue(
        *names, **{**given, "extensions": [*given.get("extensions", ()), extension]}
    )


def _below(changes: Callable[[tuple[str, ...]], _Arguments]) -> _Maker:
    """
    One of an intermediate authority with which something is wrong.
    """
    return lambda authority, names, given: authority.intermediate(**changes(names)).issue(
        *names, **given
    )


def _changed(change: Callable[[Authority, Issued], Issued]) -> _Maker:
    """
    A good one that is changed.
    """

    def make(
        authority: Authority, names: tuple[str, ...], given: _Arguments
    ) -> SslStreamCertificateContext:
        good = authority.issue(*names, **given)
        changed = change(authority, Issued(good.certificate, good.privateKey))
        return SslStreamCertificateContext(
            changed.certificate,
            changed.key,
            good.intermediates,
            offline=good.offline,
            retriever=good.retriever,
        )

    return make


def _reissued(known: Issued, issuer: Issued | None, claimed: Any) -> Issued:
    """
    The same certificate from somebody else.
    """
    identifiers = (
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    )
    return _signed(
        known.certificate.subject,
        issuer,
        known.key,
        [
            (each.value, each.critical)
            for each in known.certificate.extensions
            if each.oid not in identifiers
        ],
        known.certificate.not_valid_before_utc,
        known.certificate.not_valid_after_utc,
        claimed,
    )


def _revoked(
    authority: Authority, names: tuple[str, ...], given: _Arguments
) -> SslStreamCertificateContext:
    issued = authority.issue(*names, **given)
    authority.revoke(issued)
    return issued


_MAKERS: Mapping[Flaw, _Maker] = {
    Flaw.Expired: _with(
        lambda by: {"notBefore": by.now - 5 * DAY, "notAfter": by.now - DAY},
    ),
    Flaw.NotYetValid: _with(
        lambda by: {"notBefore": by.now + DAY, "notAfter": by.now + 5 * DAY},
    ),
    Flaw.WrongName: lambda by, _, given: by.issue("elsewhere.example", **given),
    Flaw.WithoutNames: lambda by, names, given: by.issue(**{"subject": names[0], **given}),
    Flaw.WrongUsage: _with(lambda _: {"usages": [ExtendedKeyUsageOID.CODE_SIGNING]}),
    Flaw.UnknownCriticalExtension: _extended(unknownExtension()),
    Flaw.WeakKey: _with(lambda _: {"key": "RSA-1024"}),
    Flaw.WeakSignature: _changed(lambda by, known: weaklySigned(known, by.key)),
    Flaw.InvalidSignature: _changed(
        lambda by, known: _reissued(known, Issued(by.certificate, newKey()), by.key)
    ),
    Flaw.UnknownIssuer: _changed(
        lambda by, known: _reissued(known, Issued(by.certificate, newKey()), None)
    ),
    Flaw.SelfSigned: _changed(lambda _, known: _reissued(known, None, None)),
    Flaw.ExcludedName: _below(
        lambda names: {"extensions": [excluding(*map(generalName, names))]},
    ),
    Flaw.NotAnAuthority: _below(lambda _: {"isAuthority": False}),
    Flaw.Unreadable: _changed(lambda by, known: signedAgain(unreadable(known), by.key)),
    Flaw.WithoutStaple: _extended(MUST_STAPLE),
    Flaw.Revoked: _revoked,
}
