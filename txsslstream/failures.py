# -*- test-case-name: tests.test_authentication -*-
"""
What a handshake has failed for, if nobody here has refused it.
"""

from __future__ import annotations

from ._openssl import TlsEngine
from .enums import SslPolicyErrors, X509ChainStatusFlags
from .errors import AuthenticationError, HandshakeFailureReason
from .plaintext import OPENING_SIZE, spokenBy

#: What OpenSSL says about bytes that are no TLS.
_NOT_TLS = (
    "wrong version number",
    "http request",
    "https proxy request",
    "unknown protocol",
    "packet length too long",
    "invalid alert",
)


def handshakeError(engine: TlsEngine) -> AuthenticationError:
    """
    @return: the error that tells of an engine's failure, in OpenSSL's words.
    """
    reasons = ", ".join(engine.reasons) or "no reason given"
    if engine.isPeerUnreadable:
        return AuthenticationError(
            "the remote certificate cannot be read",
            sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
            chainStatus=X509ChainStatusFlags.InvalidExtension,
        )
    if engine.alertReceived is not None:
        return AuthenticationError(f"the peer refused the handshake: {reasons}")
    if any(reason in _NOT_TLS for reason in engine.reasons):
        return notTls(reasons, engine.opening)
    errors = SslPolicyErrors.None_
    if "peer did not return a certificate" in engine.reasons:
        errors = SslPolicyErrors.RemoteCertificateNotAvailable
    return AuthenticationError(f"the handshake failed: {reasons}", sslPolicyErrors=errors)


def notTls(reason: str, opening: bytes) -> AuthenticationError:
    """
    @param opening: what the peer has begun with.
    @return: the error that tells of bytes that are no TLS, and of what they are
        if that is known.
    """
    spoken = spokenBy(opening[:OPENING_SIZE])
    what = "TLS" if spoken is None else f"TLS but {spoken}"
    return AuthenticationError(
        f"the peer does not speak {what}: {reason}", reason=HandshakeFailureReason.notTls
    )
