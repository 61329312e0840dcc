# -*- test-case-name: tests.test_openssl -*-
"""
What crosses the fence around OpenSSL: plain values, and the questions that it
asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from cryptography import x509

from .certificates import SslStreamCertificateContext
from .ciphersuites import TlsCipherSuite
from .enums import SslProtocols, TlsAlert, X509ChainStatusFlags
from .parameters import TlsParameters

#: Told one secret of a connection at a time, as a line in NSS' format without
#: its end.  It must not raise.
KeyLog: TypeAlias = Callable[[bytes], None]


class Step(Enum):
    """
    How far a call took the handshake.
    """

    complete = "complete"
    incomplete = "incomplete"
    failed = "failed"


class Received(Enum):
    """
    Why there is nothing more to read.
    """

    #: More has to come from the peer.
    starved = "starved"
    #: OpenSSL has a question first, and will put it again where one can wait.
    asking = "asking"
    #: The peer sent C{close_notify}.
    ended = "ended"
    #: The connection is broken.
    broken = "broken"


@dataclass(frozen=True)
class Finding:
    """
    One problem of one certificate of a chain.

    @ivar depth: its place in the chain; 0 is the peer's own certificate.
    @ivar information: what is wrong, as the end of a sentence that begins with
        the certificate.
    """

    depth: int
    status: X509ChainStatusFlags
    information: str


@dataclass(frozen=True)
class Presented:
    """
    What the peer has shown of itself.

    @ivar certificates: the certificates in its order, its own first.
    @ivar staple: an OCSP response for its own (RFC 6066 section 8).
    @ivar isSmall: whether it may be kept: for as long as L{presentedOf} does,
        equal certificates are the same tuple then.
    """

    certificates: tuple[x509.Certificate, ...]
    staple: bytes | None = None
    isSmall: bool = field(default=False, compare=False)


#: Peers choose them, and parsed they take more.
_SMALL_BYTES, _SMALL_CHAIN_BYTES = 4096, 16 * 1024


def presentedOf(ders: tuple[bytes, ...], staple: bytes | None = None) -> Presented:
    """
    @param ders: certificates in DER, the peer's own first.
    @raise ValueError: that one cannot be read.  Without others that cannot be
        read the chain may do.
    """
    isSmall = sum(map(len, ders)) <= _SMALL_CHAIN_BYTES
    certificates = (_parsedChain if isSmall else _parsedChain.__wrapped__)(ders)
    return Presented(certificates, staple, isSmall)


def _readable(der: bytes) -> x509.Certificate | None:
    try:
        return _parsed(der)
    except (ValueError, x509.InvalidVersion):
        return None


def _parsed(der: bytes) -> x509.Certificate:
    return (_parsedSmall if len(der) <= _SMALL_BYTES else x509.load_der_x509_certificate)(der)


# Whoever comes again shows the same ones, and others of the same authority some
# of them.
_parsedSmall = lru_cache(maxsize=128)(x509.load_der_x509_certificate)


@lru_cache(maxsize=64)
def _parsedChain(ders: tuple[bytes, ...]) -> tuple[x509.Certificate, ...]:
    own, *others = ders
    readable = (_readable(each) for each in others)
    return _parsed(own), *(each for each in readable if each is not None)


@dataclass(frozen=True)
class ResumableSession:
    """
    What a client needs to go on with an earlier session.

    @ivar handle: OpenSSL's session, with its secrets.
    @ivar presented: what the server showed when the session began.
    @ivar shown: what was shown to it.
    """

    handle: Any = field(repr=False, compare=False)
    presented: Presented
    shown: SslStreamCertificateContext | None


@dataclass(frozen=True)
class Negotiated:
    """
    What a connection has agreed on, as far as it has.

    @ivar group: OpenSSL's name of the key exchange group.
    @ivar dhePrimeBits: the size of a group that has no name.
    @ivar serverName: what the client asked for.
    """

    protocol: SslProtocols
    cipherSuite: TlsCipherSuite | None
    applicationProtocol: bytes | None
    group: str | None
    dhePrimeBits: int | None
    serverName: str
    isResumed: bool


@lru_cache(maxsize=64)
def shared(facts: Negotiated) -> Negotiated:
    """
    Most connections have the same in common.
    """
    return facts


@dataclass(frozen=True)
class Certificates:
    """
    The certificates of a connection that somebody else has set up.
    """

    isServer: bool
    local: x509.Certificate | None
    remote: x509.Certificate | None
    verified: tuple[x509.Certificate, ...]


class Decisions(Protocol):
    """
    Who answers OpenSSL's questions.  Each method is called inside a C
    callback; it may park the handshake (L{txsslstream._waiting}).
    """

    def peerPresented(self, presented: Presented) -> TlsAlert | None:
        """
        @return: L{None} to accept the peer, or the alert to refuse it with.
        """

    def peerPresentedNothing(self) -> bool:
        """
        @return: whether a client that was asked for a certificate may go
            without one.
        """

    def certificateWanted(self) -> TlsParameters | TlsAlert | None:
        """
        @return: parameters with the certificate to present; L{None} to leave
            everything as it is; or an alert to refuse the peer with.
        """

    def stapleWanted(self) -> bytes | None:
        """
        @return: the OCSP response to show with our certificate, in DER.
        """
