# -*- test-case-name: tests -*-
"""
.NET's C{SslStream} for Twisted: authenticated TLS streams, callbacks that may
wait, and the truth about what was negotiated.
"""

from .admission import HandshakeLimit
from .certdir import CertificateDirectory
from .certificates import SslStreamCertificateContext
from .chain import X509Chain, X509ChainElement, X509ChainStatus
from .channelbinding import ChannelBinding, TransportContext
from .ciphersuites import TlsCipherSuite
from .clienthello import SslClientHelloInfo
from .endpoints import SslStreamClientEndpoint, SslStreamServerEndpoint
from .enums import (
    ChannelBindingKind,
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
    HandshakeFailureReason,
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
from .inspectable import ISslStream
from .interfaces import IAdmissionObserver, IHandshakeObserver, IRetriever
from .metrics import SslStreamMetrics
from .names import certificateMatchesHost
from .options import (
    ServerOptionsSelection,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)
from .parameters import CipherSuitesPolicy, SslApplicationProtocol
from .policy import X509CertificateCollection, X509ChainPolicy
from .protocol import SslStreamFactory, SslStreamProtocol
from .reload import ReloadingCertificate
from .retrieval import HttpRetriever
from .security import SecurityInfo
from .servernames import ServerNames
from .starttls import StartTLSFactory, startTLS
from .stores import X509Store
from .stream import SslStream
from .trust import SslCertificateTrust

__all__ = [
    "AuthenticationError",
    "CertificateDirectory",
    "CertificateError",
    "ChannelBinding",
    "ChannelBindingKind",
    "CipherAlgorithmType",
    "CipherSuitesPolicy",
    "EncryptionPolicy",
    "ExchangeAlgorithmType",
    "HandshakeCancelled",
    "HandshakeFailureReason",
    "HandshakeInterrupted",
    "HandshakeLimit",
    "HandshakeTimeout",
    "HashAlgorithmType",
    "HttpRetriever",
    "IAdmissionObserver",
    "IHandshakeObserver",
    "IRetriever",
    "ISslStream",
    "IncompleteReadError",
    "InvalidOperationError",
    "LimitExceededError",
    "NotSupportedError",
    "ReadTimeout",
    "ReloadingCertificate",
    "RetrievalError",
    "SecurityInfo",
    "ServerNames",
    "ServerOptionsSelection",
    "ShutdownTimeout",
    "SslApplicationProtocol",
    "SslCertificateTrust",
    "SslClientAuthenticationOptions",
    "SslClientHelloInfo",
    "SslPolicyErrors",
    "SslProtocols",
    "SslServerAuthenticationOptions",
    "SslStream",
    "SslStreamCertificateContext",
    "SslStreamClientEndpoint",
    "SslStreamFactory",
    "SslStreamMetrics",
    "SslStreamProtocol",
    "SslStreamServerEndpoint",
    "StartTLSFactory",
    "StoreLocation",
    "StoreName",
    "StreamClosedError",
    "TlsAlert",
    "TlsCipherSuite",
    "TlsError",
    "TransportContext",
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
