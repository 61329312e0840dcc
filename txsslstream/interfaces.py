# -*- test-case-name: tests.test_interfaces -*-
"""
What applications may provide, or check for; L{txsslstream.ISslStream} is
another one.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface

from .enums import SslProtocols
from .errors import HandshakeFailureReason


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


class IAdmissionObserver(Interface):
    """
    An L{IHandshakeObserver} that is told as well of the clients whom a
    L{HandshakeLimit<txsslstream.admission.HandshakeLimit>} turns away.
    """

    def clientTurnedAway() -> None:
        """
        A client was one too many; no handshake has begun.
        """
