# -*- test-case-name: tests.test_errors -*-
"""
Everything that an operation on an SslStream can fail with.

Each error names its .NET counterpart.  What went wrong while authenticating is
always an L{AuthenticationError}; where Twisted has a type of its own for the
occasion (a time-out, a cancellation, a lost connection) the error is of that
type as well, so that both habits of catching work.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost, TimeoutError

from .enums import SslPolicyErrors, TlsAlert, X509ChainStatusFlags


class InvalidOperationError(Exception):
    """
    The operation does not fit the stream's state, or options contradict each
    other (.NET: C{InvalidOperationException}).
    """


class NotSupportedError(Exception):
    """
    A second concurrent read or write, seeking, or what this OpenSSL cannot do
    (.NET: C{NotSupportedException}).
    """


class StreamClosedError(Exception):
    """
    The stream was used after it was closed (.NET: C{ObjectDisposedException}).
    """


class CertificateError(ValueError):
    """
    A certificate, private key or file of them cannot be used.  The message
    names the file and the reason, never a key.
    """


class TlsError(ConnectionLost):
    """
    The authenticated connection broke: a fatal alert or a record that does not
    decrypt (.NET: C{IOException}).

    @ivar alert: the alert that the peer sent, or L{None}.
    @ivar alertSent: the alert that we sent, or L{None}.
    """

    def __init__(
        self,
        message: str,
        *,
        alert: TlsAlert | None = None,
        alertSent: TlsAlert | None = None,
    ) -> None:
        super().__init__(message)
        self.alert = alert
        self.alertSent = alertSent

    def __str__(self) -> str:
        return str(self.args[0])


class TruncationError(ConnectionLost):
    """
    The connection ended without C{close_notify}, or inside a record, so that
    data may be missing (RFC 8446 section 6.1; .NET: C{IOException}).
    """

    def __str__(self) -> str:
        return str(self.args[0])


class IncompleteReadError(Exception):
    """
    The stream ended cleanly before a whole item could be read (.NET:
    C{EndOfStreamException}).

    @ivar partial: the bytes that did arrive.
    """

    def __init__(self, message: str, partial: bytes) -> None:
        super().__init__(message)
        self.partial = partial


class LimitExceededError(Exception):
    """
    No separator within the permitted number of bytes.  Nothing was consumed.
    """


class _OperationTimeout(TimeoutError):
    """
    A time-out of one operation.  Twisted's own class takes an errno first.
    """

    osError = None

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)

    def __str__(self) -> str:
        return str(self.args[0])


class ReadTimeout(_OperationTimeout):
    """
    Nothing arrived within C{readTimeout} seconds.  The stream stays usable.
    """


class WriteTimeout(_OperationTimeout):
    """
    The peer did not take the data within C{writeTimeout} seconds.  If a part of
    it was not sent yet, the connection has been aborted.
    """


class HandshakeFailureReason(Enum):
    """
    Why a handshake failed, in one word, for those who count failures: one of
    few, whatever a peer does.
    """

    #: It took longer than C{handshakeTimeout}.
    timeout = "timeout"
    #: We gave it up: it was cancelled, or the stream closed or aborted.
    cancelled = "cancelled"
    #: The peer, or the network, was gone before the end.
    connectionLost = "connectionLost"
    #: C{remoteCertificateValidationCallback} refused a peer that has no fault.
    callbackRefused = "callbackRefused"
    #: What the peer sent is no TLS.
    notTls = "notTls"
    #: A callback failed, or we did: the log or the error's cause tells more.
    internalError = "internalError"
    #: The peer has shown no certificate where one was needed.
    certificateMissing = "certificateMissing"
    #: It does not lead to a trusted root.
    certificateUntrusted = "certificateUntrusted"
    #: It, or one of its issuers', is revoked.
    certificateRevoked = "certificateRevoked"
    #: One has expired, or is not valid yet.
    certificateExpired = "certificateExpired"
    #: Whether one is revoked could not be found out.
    revocationUnknown = "revocationUnknown"
    #: Anything else is wrong with one, such as a signature or a constraint.
    certificateInvalid = "certificateInvalid"
    #: It is good, but for somebody else.
    certificateNameMismatch = "certificateNameMismatch"
    #: The peer refused, and said so.
    alertReceived = "alertReceived"
    #: The client wants a server of which there is no certificate.
    serverNameUnknown = "serverNameUnknown"
    #: No version, suite or application protocol in common, or the peer does not
    #: keep to the rules.
    protocolError = "protocolError"


class ShutdownTimeout(_OperationTimeout):
    """
    The peer did not end its side of a stream that was to be unwrapped for
    C{shutdownTimeout} seconds.  The connection has been aborted.
    """


class AuthenticationError(Exception):
    """
    The handshake failed or its result was refused (.NET:
    C{AuthenticationException}).  It is sticky: later calls on the stream repeat
    it.  A user's callback that raised is its C{__cause__}.

    @ivar sslPolicyErrors: what was wrong with the peer's certificate.
    @ivar chainStatus: all problems of the peer's chain, joined.
    @ivar chainElements: the peer's chain, a tuple of
        L{txsslstream.X509ChainElement}, each with its problems.
    @ivar problems: what is wrong with the peer, a sentence each.
    @ivar alert: the alert that the peer sent, or L{None}.
    @ivar alertSent: the alert that we sent, or L{None}.
    @ivar reason: in one word why the handshake failed; L{None} if it has not
        failed, for one side may be done when the other refuses it.
    """

    reason: HandshakeFailureReason | None = None

    def __init__(
        self,
        message: str,
        *,
        sslPolicyErrors: SslPolicyErrors = SslPolicyErrors.None_,
        chainStatus: X509ChainStatusFlags = X509ChainStatusFlags.NoError,
        chainElements: tuple[Any, ...] = (),
        problems: tuple[str, ...] = (),
        alert: TlsAlert | None = None,
        alertSent: TlsAlert | None = None,
        reason: HandshakeFailureReason | None = None,
    ) -> None:
        """
        @param reason: where nothing else tells it; see
            L{txsslstream.metrics.reasonOf}.
        """
        # The bases that Twisted contributes to the subclasses have
        # constructors of their own kind; none of them does anything else.
        Exception.__init__(self, message)
        self.sslPolicyErrors = sslPolicyErrors
        self.chainStatus = chainStatus
        self.chainElements = chainElements
        self.problems = problems
        self.alert = alert
        self.alertSent = alertSent
        if reason is not None:
            self.reason = reason

    def __str__(self) -> str:
        details = [str(self.args[0])]
        if self.alert is not None:
            details.append(f"alert received: {self.alert.name}")
        if self.alertSent is not None:
            details.append(f"alert sent: {self.alertSent.name}")
        return "; ".join(details)


class HandshakeTimeout(AuthenticationError, TimeoutError):
    """
    The handshake, including every callback, did not end within
    C{handshakeTimeout} seconds.
    """

    osError = None
    reason = HandshakeFailureReason.timeout


class HandshakeCancelled(AuthenticationError, CancelledError):
    """
    The Deferred of an authentication was cancelled, or the stream was closed or
    aborted meanwhile.
    """

    reason = HandshakeFailureReason.cancelled


class HandshakeInterrupted(AuthenticationError, TruncationError):
    """
    The connection was lost before the handshake ended.
    """

    reason = HandshakeFailureReason.connectionLost


class RetrievalError(Exception):
    """
    Nothing could be fetched from there.  The message names the URL and the
    reason, both in printable ASCII and shortened: a peer may have chosen them.

    @ivar url: the URL, as the message has it.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = printable(url)
        super().__init__(f"{self.url}: {printable(reason, 400)}")


_UNPRINTABLE = re.compile(r"[^ -~]")


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def printable(text: str, most: int = 200) -> str:
    """
    @param text: what somebody else may have chosen.
    @param most: how many characters to give at most.
    @return: it, in one line of printable ASCII; the same, if it is that already.
    """
    # Whatever the escaping makes of a character, it is not less than one.
    escaped = _UNPRINTABLE.sub(_escaped, text[: most + 1])
    return escaped if len(escaped) <= most else f"{escaped[: most - 3]}..."
