# -*- test-case-name: tests -*-
"""
.NET's C{SslStream} for Twisted: authenticated TLS streams, callbacks that may
wait, and the truth about what was negotiated.
"""

from .certificates import SslStreamCertificateContext
from .chain import X509Chain, X509ChainElement, X509ChainStatus
from .ciphersuites import TlsCipherSuite
from .endpoints import SslStreamClientEndpoint, SslStreamServerEndpoint
from .enums import (
    CipherAlgorithmType,
    EncryptionPolicy,
    ExchangeAlgorithmType,
    HashAlgorithmType,
    SslPolicyErrors,
    SslProtocols,
    TlsAlert,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationFlag,
    X509RevocationMode,
)
from .errors import (
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
    StreamClosedError,
    TlsError,
    TruncationError,
    WriteTimeout,
)
from .interfaces import ISslStream
from .names import certificateMatchesHost
from .options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from .parameters import CipherSuitesPolicy, SslApplicationProtocol
from .protocol import SslStreamFactory, SslStreamProtocol
from .security import SecurityInfo
from .stream import SslStream
from .trust import SslCertificateTrust

__all__ = [
    "AuthenticationError",
    "CertificateError",
    "CipherAlgorithmType",
    "CipherSuitesPolicy",
    "EncryptionPolicy",
    "ExchangeAlgorithmType",
    "HandshakeCancelled",
    "HandshakeInterrupted",
    "HandshakeTimeout",
    "HashAlgorithmType",
    "ISslStream",
    "IncompleteReadError",
    "InvalidOperationError",
    "LimitExceededError",
    "NotSupportedError",
    "ReadTimeout",
    "SecurityInfo",
    "SslApplicationProtocol",
    "SslCertificateTrust",
    "SslClientAuthenticationOptions",
    "SslPolicyErrors",
    "SslProtocols",
    "SslServerAuthenticationOptions",
    "SslStream",
    "SslStreamCertificateContext",
    "SslStreamClientEndpoint",
    "SslStreamFactory",
    "SslStreamProtocol",
    "SslStreamServerEndpoint",
    "StreamClosedError",
    "TlsAlert",
    "TlsCipherSuite",
    "TlsError",
    "TruncationError",
    "WriteTimeout",
    "X509Chain",
    "X509ChainElement",
    "X509ChainStatus",
    "X509ChainStatusFlags",
    "X509ChainTrustMode",
    "X509RevocationFlag",
    "X509RevocationMode",
    "certificateMatchesHost",
]
