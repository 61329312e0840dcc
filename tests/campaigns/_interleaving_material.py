"""
What the two ends in L{tests.campaigns.interleavings} have: certificates, always of
the same length, options, and what they say to each other.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from txsslstream import (
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
)
from txsslstream._openssl import contextFor
from txsslstream.insecure import withKeyLog
from txsslstream.sessions import sessions
from txsslstream.testing import connectedStreams
from txsslstream.testing.issuing import Issued, alternatives, authority, certificate, keyUsage

from ._interleaving_plan import EndPlan, Plan

#: What both say, from different places on; no part of it is like another.
_SAID = Random(1).randbytes(1 << 20)
_STARTS = {"client": 0, "server": 500_009}


def said(side: str, start: int, size: int) -> bytes:
    """
    @return: what an end says from a place on.
    """
    begin = (_STARTS[side] + start) % len(_SAID)
    data = _SAID[begin : begin + size]
    return data + _SAID[: size - len(data)]


def _key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes((number,)) * 32)


@cache
def _root() -> Issued:
    key = _key(1)
    identifiers = (
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        keyUsage("key_cert_sign"),
    )
    return authority("Interleavings", key=key, extensions=identifiers, serial=1 << 100)


@cache
def identity(name: str) -> SslStreamCertificateContext:
    """
    @return: the certificate for a name.
    """
    root = _root()
    key = _key(2 + len(name))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issued = certificate(
        name,
        root,
        key,
        (
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), False),
            (x509.BasicConstraints(False, None), True),
            (x509.ExtendedKeyUsage(usages), False),
            alternatives(name),
        ),
        serial=(1 << 100) + len(name),
    )
    return SslStreamCertificateContext(issued.certificate, issued.key)


@cache
def _trust() -> SslCertificateTrust:
    return SslCertificateTrust.fromCertificates([_root().certificate])


SERVER, ELSEWHERE, CLIENT = "localhost", "elsewhere.example", "client@example.com"

#: Contexts are shared as long as somebody has them.
_kept: dict[Any, Any] = {}


def _keep(options: Any) -> Any:
    if options.parameters not in _kept:
        _kept[options.parameters] = contextFor(options.parameters)
    return options


def _common(plan: Plan, end: EndPlan) -> dict[str, Any]:
    return {
        "trust": _trust(),
        "enabledSslProtocols": plan.version,
        "allowTlsResume": plan.isResumed,
        "allowRenegotiation": plan.renegotiates,
        "handshakeTimeout": end.handshakeTimeout,
        "requireCloseNotify": end.requiresCloseNotify,
        "keyExchangeGroups": ("x25519",),
    }


def clientOptions(plan: Plan, validate: Any, select: Any, keyLog: Any = None) -> Any:
    """
    @param validate: the callback, or L{None}.
    @param select: the same.
    """
    options = SslClientAuthenticationOptions(
        SERVER,
        clientCertificates=(identity(CLIENT),) if plan.hasIdentity else (),
        remoteCertificateValidationCallback=validate,
        localCertificateSelectionCallback=select,
        **_common(plan, plan.client),
    )
    return _keep(options if keyLog is None else withKeyLog(options, keyLog))


def serverIdentity(plan: Plan) -> SslStreamCertificateContext:
    """
    @return: what the server shows.
    """
    return identity(ELSEWHERE if plan.isBad else SERVER)


def serverOptions(plan: Plan, validate: Any, select: Any) -> Any:
    """
    @param validate: the callback, or L{None}.
    @param select: the same.
    """
    return _keep(
        SslServerAuthenticationOptions(
            serverCertificate=None if select else serverIdentity(plan),
            serverCertificateSelectionCallback=select,
            clientCertificateRequired=plan.isMutual,
            remoteCertificateValidationCallback=validate,
            **_common(plan, plan.server),
        )
    )


def haveSession(plan: Plan) -> None:
    """
    Have a session that the client of a plan can go on with, if that is planned.
    """
    sessions.clear()
    if not plan.isResumed:
        return

    def accept(*_: object) -> bool:
        return True

    def asks(side: str, what: str) -> bool:
        return what in plan.end(side).asks

    select = (
        (lambda *_: identity(CLIENT) if plan.hasIdentity else None)
        if (asks("client", "selection"))
        else None
    )
    present = (lambda *_: serverIdentity(plan)) if asks("server", "selection") else None
    # Who it is matters for sessions, who decides does not.
    pair = connectedStreams(
        clientOptions(plan, accept, select), serverOptions(plan, accept, present)
    )
    pair.client.close()
    pair.server.close()
    pair.flush()
