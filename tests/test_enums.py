"""
Tests for L{txsslstream.enums}: names and values are .NET's and the RFCs' own.
"""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import enums
from txsslstream.enums import (
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
    X509KeyUsageFlags,
    X509RevocationFlag,
    X509RevocationMode,
    X509VerificationFlags,
)

#: As .NET's documentation lists them; C{None} is a Python keyword.
DOTNET: dict[type[Enum], str] = {
    SslProtocols: "None 0 Ssl2 12 Ssl3 48 Tls 192 Default 240 Tls11 768 Tls12 3072 Tls13 12288",
    SslPolicyErrors: (
        "None 0 RemoteCertificateNotAvailable 1 RemoteCertificateNameMismatch 2 "
        "RemoteCertificateChainErrors 4"
    ),
    EncryptionPolicy: "RequireEncryption 0 AllowNoEncryption 1 NoEncryption 2",
    CipherAlgorithmType: (
        "None 0 Null 24576 Des 26113 Rc2 26114 TripleDes 26115 Aes128 26126 Aes192 26127 "
        "Aes256 26128 Aes 26129 Rc4 26625"
    ),
    HashAlgorithmType: "None 0 Md5 32771 Sha1 32772 Sha256 32780 Sha384 32781 Sha512 32782",
    ExchangeAlgorithmType: "None 0 RsaSign 9216 RsaKeyX 41984 DiffieHellman 43522",
    X509RevocationMode: "NoCheck 0 Online 1 Offline 2",
    X509RevocationFlag: "EndCertificateOnly 0 EntireChain 1 ExcludeRoot 2",
    X509ChainTrustMode: "System 0 CustomRootTrust 1",
    X509ChainStatusFlags: (
        "NoError 0 NotTimeValid 1 NotTimeNested 2 Revoked 4 NotSignatureValid 8 "
        "NotValidForUsage 16 UntrustedRoot 32 RevocationStatusUnknown 64 Cyclic 128 "
        "InvalidExtension 256 InvalidPolicyConstraints 512 InvalidBasicConstraints 1024 "
        "InvalidNameConstraints 2048 HasNotSupportedNameConstraint 4096 "
        "HasNotDefinedNameConstraint 8192 HasNotPermittedNameConstraint 16384 "
        "HasExcludedNameConstraint 32768 PartialChain 65536 CtlNotTimeValid 131072 "
        "CtlNotSignatureValid 262144 CtlNotValidForUsage 524288 HasWeakSignature 1048576 "
        "OfflineRevocation 16777216 NoIssuanceChainPolicy 33554432 ExplicitDistrust 67108864 "
        "HasNotSupportedCriticalExtension 134217728"
    ),
    X509VerificationFlags: (
        "NoFlag 0 IgnoreNotTimeValid 1 IgnoreCtlNotTimeValid 2 IgnoreNotTimeNested 4 "
        "IgnoreInvalidBasicConstraints 8 AllowUnknownCertificateAuthority 16 IgnoreWrongUsage 32 "
        "IgnoreInvalidName 64 IgnoreInvalidPolicy 128 IgnoreEndRevocationUnknown 256 "
        "IgnoreCtlSignerRevocationUnknown 512 IgnoreCertificateAuthorityRevocationUnknown 1024 "
        "IgnoreRootRevocationUnknown 2048 AllFlags 4095"
    ),
    StoreName: (
        "AddressBook 1 AuthRoot 2 CertificateAuthority 3 Disallowed 4 My 5 Root 6 "
        "TrustedPeople 7 TrustedPublisher 8"
    ),
    # The last one is ours.
    ChannelBindingKind: "Unknown 0 Unique 25 Endpoint 26 Exporter 27",
    StoreLocation: "CurrentUser 1 LocalMachine 2",
    X509FindType: (
        "FindByThumbprint 0 FindBySubjectName 1 FindBySubjectDistinguishedName 2 "
        "FindByIssuerName 3 FindByIssuerDistinguishedName 4 FindBySerialNumber 5 "
        "FindByTimeValid 6 FindByTimeNotYetValid 7 FindByTimeExpired 8 FindByTemplateName 9 "
        "FindByApplicationPolicy 10 FindByCertificatePolicy 11 FindByExtension 12 "
        "FindByKeyUsage 13 FindBySubjectKeyIdentifier 14"
    ),
    X509KeyUsageFlags: (
        "None 0 EncipherOnly 1 CrlSign 2 KeyCertSign 4 KeyAgreement 8 DataEncipherment 16 "
        "KeyEncipherment 32 NonRepudiation 64 DigitalSignature 128 DecipherOnly 32768"
    ),
}

#: RFC 8446 section 6.
ALERTS = (
    "close_notify 0 unexpected_message 10 bad_record_mac 20 record_overflow 22 "
    "handshake_failure 40 bad_certificate 42 unsupported_certificate 43 certificate_revoked 44 "
    "certificate_expired 45 certificate_unknown 46 illegal_parameter 47 unknown_ca 48 "
    "access_denied 49 decode_error 50 decrypt_error 51 protocol_version 70 "
    "insufficient_security 71 internal_error 80 inappropriate_fallback 86 user_canceled 90 "
    "missing_extension 109 unsupported_extension 110 unrecognized_name 112 "
    "bad_certificate_status_response 113 unknown_psk_identity 115 certificate_required 116 "
    "no_application_protocol 120"
)

#: RFC 5246 section 7.2, RFC 6066 section 9, and RFC 9849 section 11.2.
OTHER_ALERTS = (
    "decryption_failed 21 decompression_failure 30 no_certificate 41 export_restriction 60 "
    "no_renegotiation 100 certificate_unobtainable 111 bad_certificate_hash_value 114 "
    "ech_required 121"
)


def parsed(table: str) -> dict[str, int]:
    """
    @return: the names of a table, as Python can have them, with their values.
    """
    words = table.split()
    return {
        name.replace("None", "None_"): int(value)
        for name, value in zip(words[::2], words[1::2], strict=True)
    }


def membersOf(enum: type[Enum]) -> dict[str, int]:
    """
    @return: an enum's names, aliases among them, with their values.
    """
    return {name: member.value for name, member in enum.__members__.items()}


class EnumTests(SynchronousTestCase):
    """
    Tests for the enums.
    """

    def test_dotNet(self) -> None:
        """
        Each enum has .NET's members with .NET's values and no others.
        """
        for enum, table in DOTNET.items():
            self.assertEqual(membersOf(enum), parsed(table), enum.__name__)

    def test_everyEnum(self) -> None:
        """
        There are no other enums than these and the alerts.
        """
        classes = {each for each in vars(enums).values() if isinstance(each, type)}
        there = {each for each in classes if issubclass(each, Enum)} - {Enum, IntEnum, IntFlag}
        self.assertEqual(there, {*DOTNET, TlsAlert})

    def test_alerts(self) -> None:
        """
        Alerts have the names and numbers that TLS gives them.
        """
        self.assertEqual(membersOf(TlsAlert), parsed(f"{ALERTS} {OTHER_ALERTS}"))

    def test_numbers(self) -> None:
        """
        A member is its number, so that it compares, hashes and formats as one.
        """
        self.assertEqual(SslProtocols.Tls13, 12288)
        self.assertEqual({TlsAlert.unknown_ca: 1}[48], 1)  # type: ignore[index]
        self.assertEqual(bytes((TlsAlert.unknown_ca,)), b"\x30")

    def test_flags(self) -> None:
        """
        What .NET combines can be combined, and what it does not cannot.
        """
        flags = {enum for enum in DOTNET if issubclass(enum, IntFlag)}
        self.assertEqual(
            flags,
            {
                SslProtocols,
                SslPolicyErrors,
                X509ChainStatusFlags,
                X509VerificationFlags,
                X509KeyUsageFlags,
            },
        )
        both = SslProtocols.Tls12 | SslProtocols.Tls13
        self.assertIsInstance(both, SslProtocols)
        self.assertIn(SslProtocols.Tls13, both)
        self.assertNotIn(SslProtocols.Tls11, both)
        self.assertEqual(SslProtocols.Ssl3 | SslProtocols.Tls, SslProtocols.Default)

    def test_unknown(self) -> None:
        """
        A number that is no member of a plain enum is refused.
        """
        every: list[type[Enum]] = [*DOTNET, TlsAlert]
        for enum in every:
            if not issubclass(enum, IntFlag):
                self.assertRaises(ValueError, enum, 77)
