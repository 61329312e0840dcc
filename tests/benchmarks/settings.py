"""
What a tested side is set up with, and Twisted's own and our TLS set up so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from .credentials import HOST, Credentials

#: What everybody speaks, in TLS 1.3; the peer of the tested side sees to that.
SUITE = "TLS_AES_128_GCM_SHA256"

#: How a validation callback of ours answers: at once, or with a Deferred that
#: fires in the next turn of the reactor.
PLAIN = "plain"
WAITING = "waiting"


@dataclass(frozen=True)
class Settings:
    """
    @ivar isServer: which side is tested.
    @ivar key: what key the server has; one of L{credentials.KEYS}.
    @ivar resumes: whether sessions go on.
    @ivar callback: C{""}, L{PLAIN} or L{WAITING}.
    @ivar trustsPlatform: whether a client trusts the platform's roots, and has
        options of its own for each connection.
    """

    isServer: bool = True
    key: str = "ec"
    resumes: bool = False
    callback: str = ""
    trustsPlatform: bool = False


#: Makes the factory of a TLS connection around that of an application.
FactoryMaker = Callable[[Any], Any]


def stockFactories(settings: Settings, credentials: Credentials, clock: Any) -> FactoryMaker:
    """
    @return: for Twisted's own TLS.
    """
    from twisted.internet import ssl
    from twisted.protocols.tls import TLSMemoryBIOFactory

    creator: Any
    if settings.isServer:
        key, leaf, *chain = _keyAndCertificates(credentials.server(settings.key).read_bytes())
        creator = ssl.CertificateOptions(
            privateKey=key,
            certificate=leaf,
            extraCertChain=chain,
            enableSessions=settings.resumes,
            enableSessionTickets=settings.resumes,
        )
    elif not settings.trustsPlatform:
        root = ssl.Certificate.loadPEM(credentials.root.read_bytes())
        creator = ssl.optionsForClientTLS(HOST, ssl.trustRootFromCertificates([root]))
    else:
        return lambda application: TLSMemoryBIOFactory(
            ssl.optionsForClientTLS(HOST), True, application, clock
        )
    return lambda application: TLSMemoryBIOFactory(
        creator, not settings.isServer, application, clock
    )


def _keyAndCertificates(content: bytes) -> list[Any]:
    """
    @return: pyOpenSSL's objects for what is in a PEM file.
    """
    from OpenSSL import crypto

    certificates = x509.load_pem_x509_certificates(content)
    return [
        crypto.load_privatekey(crypto.FILETYPE_PEM, content),
        *map(crypto.X509.from_cryptography, certificates),
    ]


def ourFactories(settings: Settings, credentials: Credentials, clock: Any) -> FactoryMaker:
    """
    @return: for this package.
    """
    from twisted.internet.defer import Deferred

    from txsslstream import (
        SslCertificateTrust,
        SslClientAuthenticationOptions,
        SslServerAuthenticationOptions,
        SslStreamCertificateContext,
        SslStreamFactory,
    )

    def later(*_: object) -> Deferred[bool]:
        answer: Deferred[bool] = Deferred()
        clock.callLater(0, answer.callback, True)
        return answer

    more: dict[str, Any] = {"allowTlsResume": settings.resumes}
    if settings.callback:
        more["remoteCertificateValidationCallback"] = (
            later if settings.callback == WAITING else lambda *_: True
        )
    options: Any
    if settings.isServer:
        context = SslStreamCertificateContext.fromPEM(credentials.server(settings.key))
        options = SslServerAuthenticationOptions(context, **more)
    elif not settings.trustsPlatform:
        trust = SslCertificateTrust.fromPEM(credentials.root)
        options = SslClientAuthenticationOptions(HOST, trust=trust, **more)
    else:
        return lambda application: SslStreamFactory(
            SslClientAuthenticationOptions(HOST, **more), True, application, clock
        )
    return lambda application: SslStreamFactory(options, not settings.isServer, application, clock)
