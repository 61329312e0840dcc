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
    StoreLocation,
    StoreName,
    TlsAlert,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509FindType,
    X509RevocationFlag,
    X509RevocationMode,
    X509VerificationFlags,
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
    RetrievalError,
    ShutdownTimeout,
    StreamClosedError,
    TlsError,
    TruncationError,
    WriteTimeout,
)
from .interfaces import IRetriever, ISslStream
from .names import certificateMatchesHost
from .options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from .parameters import CipherSuitesPolicy, SslApplicationProtocol
from .policy import X509CertificateCollection, X509ChainPolicy
from .protocol import SslStreamFactory, SslStreamProtocol
from .retrieval import HttpRetriever
from .security import SecurityInfo
from .starttls import StartTLSFactory, startTLS
from .stores import X509Store
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
    "HttpRetriever",
    "IRetriever",
    "ISslStream",
    "IncompleteReadError",
    "InvalidOperationError",
    "LimitExceededError",
    "NotSupportedError",
    "ReadTimeout",
    "RetrievalError",
    "SecurityInfo",
    "ShutdownTimeout",
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
    "StartTLSFactory",
    "StoreLocation",
    "StoreName",
    "StreamClosedError",
    "TlsAlert",
    "TlsCipherSuite",
    "TlsError",
    "TruncationError",
    "WriteTimeout",
    "X509CertificateCollection",
    "X509Chain",
    "X509ChainElement",
    "X509ChainPolicy",
    "X509ChainStatus",
    "X509ChainStatusFlags",
    "X509ChainTrustMode",
    "X509FindType",
    "X509RevocationFlag",
    "X509RevocationMode",
    "X509Store",
    "X509VerificationFlags",
    "certificateMatchesHost",
    "startTLS",
]
