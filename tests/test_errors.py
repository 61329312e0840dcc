"""
Tests for L{txsslstream.errors}: what each error is, says and carries.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectionClosed, ConnectionLost, TimeoutError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY
from txsslstream import X509ChainElement, X509ChainStatus
from txsslstream.enums import SslPolicyErrors, TlsAlert, X509ChainStatusFlags
from txsslstream.errors import (
    AuthenticationError,
    CertificateError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    IncompleteReadError,
    InvalidOperationError,
    LimitExceededError,
    NotSupportedError,
    ReadTimeout,
    ShutdownTimeout,
    StreamClosedError,
    TlsError,
    TruncationError,
    WriteTimeout,
)

#: Everything that each error can be caught as, of these types and our own.
BASES: dict[type[Exception], set[type[Exception]]] = {
    InvalidOperationError: set(),
    NotSupportedError: set(),
    StreamClosedError: set(),
    LimitExceededError: set(),
    IncompleteReadError: set(),
    CertificateError: {ValueError},
    TlsError: {ConnectionLost, ConnectionClosed},
    TruncationError: {ConnectionLost, ConnectionClosed},
    ReadTimeout: {TimeoutError},
    WriteTimeout: {TimeoutError},
    ShutdownTimeout: {TimeoutError},
    AuthenticationError: set(),
    HandshakeTimeout: {AuthenticationError, TimeoutError},
    HandshakeCancelled: {AuthenticationError, CancelledError},
    HandshakeInterrupted: {
        AuthenticationError,
        TruncationError,
        ConnectionLost,
        ConnectionClosed,
    },
}
FOREIGN = {CancelledError, ConnectionClosed, ConnectionLost, TimeoutError, ValueError}

#: How to make one of each that says "why".
SAMPLES: dict[type[Exception], Callable[[], Exception]] = {
    **{error: lambda error=error: error("why") for error in BASES},  # type: ignore[misc]
    IncompleteReadError: lambda: IncompleteReadError("why", b"half"),
}

AUTHENTICATION_ERRORS = (
    AuthenticationError,
    HandshakeTimeout,
    HandshakeCancelled,
    HandshakeInterrupted,
)


def throw(error: Exception) -> None:
    """
    Raise it.
    """
    raise error


class HierarchyTests(SynchronousTestCase):
    """
    What the errors are caught as.
    """

    def test_bases(self) -> None:
        """
        Each error is of the types that it is documented as, and of no other
        type of ours or Twisted's.
        """
        for error, bases in BASES.items():
            for other in {*BASES, *FOREIGN} - {error}:
                self.assertEqual(issubclass(error, other), other in bases, (error, other))

    def test_caughtBothWays(self) -> None:
        """
        An error that belongs to two habits is caught by either, raised or from
        a Deferred.
        """
        for error, bases in BASES.items():
            for habit in {error, *bases}:
                raised = SAMPLES[error]()
                self.assertIs(self.assertRaises(habit, throw, raised), raised)
                trapped: list[object] = []
                deferred: Deferred[None] = fail(Failure(raised))
                deferred.addErrback(Failure.trap, habit)
                deferred.addCallback(trapped.append)
                self.assertEqual(trapped, [habit])

    def test_uncaught(self) -> None:
        """
        A refusal is no time-out and no cancellation, and a time-out of one
        operation is no failed authentication.
        """
        refused = Failure(AuthenticationError("why"))
        self.assertIsNone(refused.check(TimeoutError, CancelledError, ConnectionLost))
        self.assertIsNone(Failure(ReadTimeout("why")).check(AuthenticationError))


class TextTests(SynchronousTestCase):
    """
    What the errors say.
    """

    def test_message(self) -> None:
        """
        Each error's text is the message alone: Twisted's bases add none of
        theirs.
        """
        for error, make in SAMPLES.items():
            self.assertEqual(str(make()), "why", error)

    def test_alerts(self) -> None:
        """
        The text of a failed authentication names the alerts that were
        exchanged.
        """
        for error in AUTHENTICATION_ERRORS:
            self.assertEqual(
                str(error("why", alert=TlsAlert.unknown_ca)), "why; alert received: unknown_ca"
            )
            self.assertEqual(
                str(error("why", alertSent=TlsAlert.handshake_failure)),
                "why; alert sent: handshake_failure",
            )
            both = error("why", alert=TlsAlert.unknown_ca, alertSent=TlsAlert.decode_error)
            self.assertEqual(str(both), "why; alert received: unknown_ca; alert sent: decode_error")

    def test_alertOfNumberZero(self) -> None:
        """
        C{close_notify}, whose number is zero, is named like every other alert.
        """
        error = AuthenticationError("why", alert=TlsAlert.close_notify)
        self.assertEqual(str(error), "why; alert received: close_notify")


class AttributeTests(SynchronousTestCase):
    """
    What the errors carry.
    """

    def test_authenticationDefaults(self) -> None:
        """
        Unless told, a failed authentication blames no certificate and knows of
        no alert.
        """
        for error in AUTHENTICATION_ERRORS:
            made = error("why")
            self.assertIs(made.sslPolicyErrors, SslPolicyErrors.None_)
            self.assertIs(made.chainStatus, X509ChainStatusFlags.NoError)
            self.assertEqual((made.chainElements, made.problems), ((), ()))
            self.assertIsNone(made.alert)
            self.assertIsNone(made.alertSent)

    def test_authenticationDetails(self) -> None:
        """
        A failed authentication has what it was told.
        """
        status = X509ChainStatus(X509ChainStatusFlags.Revoked, "was revoked")
        element = X509ChainElement(AUTHORITY.certificate, (status,))
        for error in AUTHENTICATION_ERRORS:
            made = error(
                "why",
                sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
                chainStatus=X509ChainStatusFlags.Revoked,
                chainElements=(element,),
                problems=("certificate 1 of 1 was revoked",),
                alert=TlsAlert.unknown_ca,
                alertSent=TlsAlert.certificate_revoked,
            )
            self.assertEqual(made.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
            self.assertEqual(made.chainStatus, X509ChainStatusFlags.Revoked)
            self.assertEqual(made.chainElements, (element,))
            self.assertEqual(made.problems, ("certificate 1 of 1 was revoked",))
            self.assertEqual(made.alert, TlsAlert.unknown_ca)
            self.assertEqual(made.alertSent, TlsAlert.certificate_revoked)

    def test_tlsError(self) -> None:
        """
        A broken connection has the alerts, if there were any.
        """
        self.assertIsNone(TlsError("why").alert)
        self.assertIsNone(TlsError("why").alertSent)
        error = TlsError("why", alert=TlsAlert.decode_error, alertSent=TlsAlert.bad_record_mac)
        self.assertEqual(error.alert, TlsAlert.decode_error)
        self.assertEqual(error.alertSent, TlsAlert.bad_record_mac)

    def test_partial(self) -> None:
        """
        An incomplete read has the bytes that did arrive.
        """
        self.assertEqual(IncompleteReadError("why", b"half").partial, b"half")

    def test_osError(self) -> None:
        """
        A time-out answers Twisted's question for an C{errno} with L{None}.
        """
        for error in (HandshakeTimeout, ReadTimeout, WriteTimeout, ShutdownTimeout):
            self.assertIsNone(error("why").osError)
