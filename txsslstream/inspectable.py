# -*- test-case-name: tests.test_interfaces -*-
"""
What every connection of ours provides, to be checked for by applications.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from .chain import X509Chain
from .channelbinding import TransportContext
from .ciphersuites import TlsCipherSuite
from .enums import (
    CipherAlgorithmType,
    ExchangeAlgorithmType,
    HashAlgorithmType,
    SslProtocols,
)
from .parameters import SslApplicationProtocol
from .security import SecurityInfo


class ISslStream(Interface):
    """
    A connection whose security can be inspected (.NET: the properties of
    C{SslStream}).  Provided by L{txsslstream.SslStream} and by the transport of
    an application protocol that runs over TLS.

    The negotiated values and certificates raise
    L{txsslstream.InvalidOperationError} before authentication and repeat an
    L{txsslstream.AuthenticationError} after a failed one; the booleans, the
    target's name and C{checkCertRevocationStatus} can always be read.
    """

    isAuthenticated: bool = Attribute("Whether the peer was authenticated, as L{bool}.")
    isMutuallyAuthenticated: bool = Attribute("Whether both sides showed a certificate.")
    isEncrypted: bool = Attribute("Whether data is encrypted.")
    isSigned: bool = Attribute("Whether data is protected against changes.")
    isServer: bool = Attribute("Whether this is the server's side.")
    sslProtocol: SslProtocols = Attribute("The version, as L{txsslstream.SslProtocols}.")
    negotiatedCipherSuite: TlsCipherSuite | None = Attribute(
        "The suite, as L{txsslstream.TlsCipherSuite}."
    )
    negotiatedApplicationProtocol: SslApplicationProtocol | None = Attribute(
        "The ALPN protocol, or L{None}."
    )
    cipherAlgorithm: CipherAlgorithmType = Attribute("L{txsslstream.CipherAlgorithmType}.")
    cipherStrength: int = Attribute("Bits.")
    hashAlgorithm: HashAlgorithmType = Attribute("L{txsslstream.HashAlgorithmType}.")
    hashStrength: int = Attribute("Bits of the MAC; 0 where the cipher authenticates.")
    keyExchangeAlgorithm: ExchangeAlgorithmType = Attribute("L{txsslstream.ExchangeAlgorithmType}.")
    keyExchangeStrength: int = Attribute("Bits of the group or of the RSA key.")
    keyExchangeGroup: str | None = Attribute(
        "The group's name (RFC 8446 section 4.2.7), or L{None}."
    )
    checkCertRevocationStatus: bool = Attribute("Whether revocation was to be checked.")
    localCertificate: x509.Certificate | None = Attribute("What the peer got from us, or L{None}.")
    remoteCertificate: x509.Certificate | None = Attribute("What we got from the peer, or L{None}.")
    remoteChain: X509Chain | None = Attribute("The built L{txsslstream.X509Chain}, or L{None}.")
    targetHostName: str = Attribute("The name that the client asked for, or an empty text.")
    isResumed: bool = Attribute("Whether an earlier session went on.")
    canRead: bool = Attribute("Whether reading makes sense.")
    canWrite: bool = Attribute("Whether writing makes sense.")
    canSeek: bool = Attribute("L{False}.")
    canTimeout: bool = Attribute("Whether operations can time out.")
    leaveInnerStreamOpen: bool = Attribute("Whether closing leaves the inner transport open.")
    security: SecurityInfo = Attribute("All of it as a L{txsslstream.SecurityInfo}.")
    transportContext: TransportContext = Attribute(
        "Gives channel bindings, as L{txsslstream.TransportContext}; it can always be read."
    )

    def exportKeyingMaterial(
        label: str | bytes, length: int, context: bytes | None = None
    ) -> bytes:
        """
        Derive a key that the two ends of this connection have in common (RFC
        5705, RFC 8446 section 7.5).

        @param label: what it is for, 1 to 249 ASCII characters; it should begin
            with C{EXPORTER} and be registered.
        @param length: how many bytes, 1 to 8160.
        @param context: up to 65,535 bytes that both ends know.  L{None} and
            no bytes give the same in TLS 1.3, and not before.
        @return: that many bytes.
        @raise NotSupportedError: a connection before TLS 1.3 has no extended
            master secret (RFC 7627).
        @raise InvalidOperationError: it is not authenticated yet, or another
            handshake is under way.
        @raise AuthenticationError: the authentication failed; the same error
            each time.
        @raise StreamClosedError: the connection is gone.
        @raise ValueError: an argument is out of its bounds, or TLS itself uses
            the label.
        """

    def whenAuthenticated() -> Deferred[Any]:
        """
        @return: a Deferred that fires with the stream once it is authenticated,
            or fails with the reason why it never will be.
        """

    def whenClosed() -> Deferred[None]:
        """
        @return: a Deferred that fires with L{None} once the connection is gone,
            for whatever reason.
        """
