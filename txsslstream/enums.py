# -*- test-case-name: tests.test_enums -*-
"""
The vocabulary that .NET's C{System.Net.Security} and
C{System.Security.Cryptography.X509Certificates} give to a TLS connection.

Member names and numeric values are .NET's own, so that logged numbers, samples
and habits carry over; a name that is a Python keyword takes a trailing
underscore (C{None_}).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class SslProtocols(IntFlag):
    """
    Versions of SSL and TLS, as a set (C{System.Security.Authentication.SslProtocols}).

    C{None_} as an option means "what this OpenSSL regards as safe", that is
    TLS 1.2 and 1.3.  SSL 2 and 3 exist as names only.
    """

    None_ = 0
    Ssl2 = 12
    Ssl3 = 48
    Tls = 192
    Default = 240
    Tls11 = 768
    Tls12 = 3072
    Tls13 = 12288


class SslPolicyErrors(IntFlag):
    """
    What is wrong with a peer's certificate, in one word
    (C{System.Net.Security.SslPolicyErrors}).
    """

    None_ = 0
    RemoteCertificateNotAvailable = 1
    RemoteCertificateNameMismatch = 2
    RemoteCertificateChainErrors = 4


class EncryptionPolicy(IntEnum):
    """
    Whether a connection may go unencrypted
    (C{System.Net.Security.EncryptionPolicy}).
    """

    RequireEncryption = 0
    AllowNoEncryption = 1
    NoEncryption = 2


class CipherAlgorithmType(IntEnum):
    """
    Bulk ciphers (C{System.Security.Authentication.CipherAlgorithmType}).
    Ciphers that .NET has no number for (ChaCha20, Camellia, ARIA) are C{None_}
    with their true strength.
    """

    None_ = 0
    Null = 24576
    Des = 26113
    Rc2 = 26114
    TripleDes = 26115
    Aes128 = 26126
    Aes192 = 26127
    Aes256 = 26128
    Aes = 26129
    Rc4 = 26625


class HashAlgorithmType(IntEnum):
    """
    Message digests (C{System.Security.Authentication.HashAlgorithmType}).
    """

    None_ = 0
    Md5 = 32771
    Sha1 = 32772
    Sha256 = 32780
    Sha384 = 32781
    Sha512 = 32782


class ExchangeAlgorithmType(IntEnum):
    """
    Key exchanges (C{System.Security.Authentication.ExchangeAlgorithmType}).
    """

    None_ = 0
    RsaSign = 9216
    RsaKeyX = 41984
    DiffieHellman = 43522


class X509RevocationMode(IntEnum):
    """
    Where revocation information may come from
    (C{X509Certificates.X509RevocationMode}).
    """

    NoCheck = 0
    Online = 1
    Offline = 2


class X509RevocationFlag(IntEnum):
    """
    Which certificates of a chain are checked for revocation
    (C{X509Certificates.X509RevocationFlag}).
    """

    EndCertificateOnly = 0
    EntireChain = 1
    ExcludeRoot = 2


class X509ChainTrustMode(IntEnum):
    """
    Which roots are trusted (C{X509Certificates.X509ChainTrustMode}).
    """

    System = 0
    CustomRootTrust = 1


class X509VerificationFlags(IntFlag):
    """
    Which problems of a chain do not count
    (C{X509Certificates.X509VerificationFlags}).  They are listed all the same.
    """

    NoFlag = 0
    IgnoreNotTimeValid = 1
    IgnoreCtlNotTimeValid = 2
    IgnoreNotTimeNested = 4
    IgnoreInvalidBasicConstraints = 8
    AllowUnknownCertificateAuthority = 16
    IgnoreWrongUsage = 32
    IgnoreInvalidName = 64
    IgnoreInvalidPolicy = 128
    IgnoreEndRevocationUnknown = 256
    IgnoreCtlSignerRevocationUnknown = 512
    IgnoreCertificateAuthorityRevocationUnknown = 1024
    IgnoreRootRevocationUnknown = 2048
    AllFlags = 4095


class X509ChainStatusFlags(IntFlag):
    """
    Everything that can be wrong with a certificate in a chain
    (C{X509Certificates.X509ChainStatusFlags}).
    """

    NoError = 0
    NotTimeValid = 1
    NotTimeNested = 2
    Revoked = 4
    NotSignatureValid = 8
    NotValidForUsage = 16
    UntrustedRoot = 32
    RevocationStatusUnknown = 64
    Cyclic = 128
    InvalidExtension = 256
    InvalidPolicyConstraints = 512
    InvalidBasicConstraints = 1024
    InvalidNameConstraints = 2048
    HasNotSupportedNameConstraint = 4096
    HasNotDefinedNameConstraint = 8192
    HasNotPermittedNameConstraint = 16384
    HasExcludedNameConstraint = 32768
    PartialChain = 65536
    CtlNotTimeValid = 131072
    CtlNotSignatureValid = 262144
    CtlNotValidForUsage = 524288
    HasWeakSignature = 1048576
    OfflineRevocation = 16777216
    NoIssuanceChainPolicy = 33554432
    ExplicitDistrust = 67108864
    HasNotSupportedCriticalExtension = 134217728


class ChannelBindingKind(IntEnum):
    """
    What ties an authentication to the connection below it
    (C{System.Security.Authentication.ExtendedProtection.ChannelBindingKind}).
    C{Exporter} is unknown to .NET; its number is the next one.

    @cvar Unique: C{tls-unique} (RFC 5929 section 3).
    @cvar Endpoint: C{tls-server-end-point} (RFC 5929 section 4).
    @cvar Exporter: C{tls-exporter} (RFC 9266).
    """

    Unknown = 0
    Unique = 25
    Endpoint = 26
    Exporter = 27


class TlsAlert(IntEnum):
    """
    Alert descriptions (RFC 8446 section 6, and the older ones that TLS 1.2
    peers still send).
    """

    close_notify = 0
    unexpected_message = 10
    bad_record_mac = 20
    decryption_failed = 21
    record_overflow = 22
    decompression_failure = 30
    handshake_failure = 40
    no_certificate = 41
    bad_certificate = 42
    unsupported_certificate = 43
    certificate_revoked = 44
    certificate_expired = 45
    certificate_unknown = 46
    illegal_parameter = 47
    unknown_ca = 48
    access_denied = 49
    decode_error = 50
    decrypt_error = 51
    export_restriction = 60
    protocol_version = 70
    insufficient_security = 71
    internal_error = 80
    inappropriate_fallback = 86
    user_canceled = 90
    no_renegotiation = 100
    missing_extension = 109
    unsupported_extension = 110
    certificate_unobtainable = 111
    unrecognized_name = 112
    bad_certificate_status_response = 113
    bad_certificate_hash_value = 114
    unknown_psk_identity = 115
    certificate_required = 116
    no_application_protocol = 120
    ech_required = 121


class StoreName(IntEnum):
    """
    Certificate stores by their purpose (C{X509Certificates.StoreName}).
    """

    AddressBook = 1
    AuthRoot = 2
    CertificateAuthority = 3
    Disallowed = 4
    My = 5
    Root = 6
    TrustedPeople = 7
    TrustedPublisher = 8


class StoreLocation(IntEnum):
    """
    Whose certificate store it is (C{X509Certificates.StoreLocation}).
    """

    CurrentUser = 1
    LocalMachine = 2


class X509FindType(IntEnum):
    """
    What certificates are looked for by (C{X509Certificates.X509FindType}).
    """

    FindByThumbprint = 0
    FindBySubjectName = 1
    FindBySubjectDistinguishedName = 2
    FindByIssuerName = 3
    FindByIssuerDistinguishedName = 4
    FindBySerialNumber = 5
    FindByTimeValid = 6
    FindByTimeNotYetValid = 7
    FindByTimeExpired = 8
    FindByTemplateName = 9
    FindByApplicationPolicy = 10
    FindByCertificatePolicy = 11
    FindByExtension = 12
    FindByKeyUsage = 13
    FindBySubjectKeyIdentifier = 14


class X509KeyUsageFlags(IntFlag):
    """
    What a certificate's key may be used for
    (C{X509Certificates.X509KeyUsageFlags}).
    """

    None_ = 0
    EncipherOnly = 1
    CrlSign = 2
    KeyCertSign = 4
    KeyAgreement = 8
    DataEncipherment = 16
    KeyEncipherment = 32
    NonRepudiation = 64
    DigitalSignature = 128
    DecipherOnly = 32768
