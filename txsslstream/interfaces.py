# -*- test-case-name: tests.test_interfaces -*-
"""
What applications may check for.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from .enums import SslProtocols
from .errors import HandshakeFailureReason


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

    isAuthenticated = Attribute("Whether the peer was authenticated, as L{bool}.")
    isMutuallyAuthenticated = Attribute("Whether both sides showed a certificate.")
    isEncrypted = Attribute("Whether data is encrypted.")
    isSigned = Attribute("Whether data is protected against changes.")
    isServer = Attribute("Whether this is the server's side.")
    sslProtocol = Attribute("The version, as L{txsslstream.SslProtocols}.")
    negotiatedCipherSuite = Attribute("The suite, as L{txsslstream.TlsCipherSuite}.")
    negotiatedApplicationProtocol = Attribute("The ALPN protocol, or L{None}.")
    cipherAlgorithm = Attribute("L{txsslstream.CipherAlgorithmType}.")
    cipherStrength = Attribute("Bits.")
    hashAlgorithm = Attribute("L{txsslstream.HashAlgorithmType}.")
    hashStrength = Attribute("Bits of the MAC; 0 where the cipher authenticates.")
    keyExchangeAlgorithm = Attribute("L{txsslstream.ExchangeAlgorithmType}.")
    keyExchangeStrength = Attribute("Bits of the group or of the RSA key.")
    keyExchangeGroup = Attribute("The group's name (RFC 8446 section 4.2.7), or L{None}.")
    checkCertRevocationStatus = Attribute("Whether revocation was to be checked.")
    localCertificate = Attribute("What the peer got from us, or L{None}.")
    remoteCertificate = Attribute("What we got from the peer, or L{None}.")
    remoteChain = Attribute("The built L{txsslstream.X509Chain}, or L{None}.")
    targetHostName = Attribute("The name that the client asked for, or an empty text.")
    isResumed = Attribute("Whether an earlier session went on.")
    canRead = Attribute("Whether reading makes sense.")
    canWrite = Attribute("Whether writing makes sense.")
    canSeek = Attribute("L{False}.")
    canTimeout = Attribute("Whether operations can time out.")
    leaveInnerStreamOpen = Attribute("Whether closing leaves the inner transport open.")
    security = Attribute("All of it as a L{txsslstream.SecurityInfo}.")
    transportContext = Attribute(
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


class IRetriever(Interface):
    """
    Fetches CRLs, OCSP responses and issuer certificates while a handshake waits.
    What it brings is not trusted: whoever asked checks the signatures.
    """

    def retrieve(
        url: str,
        *,
        body: bytes | None = None,
        contentType: str | None = None,
        limit: int,
        timeout: float,
    ) -> Deferred[bytes]:
        """
        @param url: where from; it comes from a certificate and may be anything.
        @param body: what to send with a POST; L{None}: it is a GET.
        @param contentType: the media type of C{body}.
        @param limit: how many bytes the answer may have at most.
        @param timeout: how many seconds all of it may take, redirects included.
        @return: a Deferred that fires with the body of a 200 answer or fails
            with L{RetrievalError<txsslstream.errors.RetrievalError>}.
            Cancelling it ends the retrieval.
        """


class IHandshakeObserver(Interface):
    """
    Is told how the connections of this process fare (.NET: the events and
    counters of C{System.Net.Security}); see
    L{addObserver<txsslstream.metrics.addObserver>}.

    Of each connection it hears C{handshakeStarted}, then one of
    C{handshakeCompleted} and C{handshakeFailed}, and after
    C{handshakeCompleted}, in the end, C{connectionClosed}; each once, in the
    reactor's thread, before the application hears of it.  It never hears who the
    peer is or what was said: what it gets can be counted.
    """

    def handshakeStarted(isServer: bool) -> None:
        """
        An authentication has begun.

        @param isServer: our role, here and below.
        """

    def handshakeCompleted(
        isServer: bool, protocol: SslProtocols, isResumed: bool, seconds: float
    ) -> None:
        """
        It has succeeded, for this side.

        @param protocol: the version: one.
        @param isResumed: whether an earlier session went on.
        @param seconds: how long it took, with all callbacks.
        """

    def handshakeFailed(isServer: bool, reason: HandshakeFailureReason, seconds: float) -> None:
        """
        It has failed, or was given up.

        @param seconds: how long it took.
        """

    def connectionClosed(isServer: bool, protocol: SslProtocols) -> None:
        """
        A connection whose handshake was completed is gone, for whatever reason.
        """
