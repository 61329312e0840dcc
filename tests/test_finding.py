"""
Tests for L{txsslstream.finding}: certificates are found by what they say, as
.NET finds them.
"""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.enums import X509FindType, X509KeyUsageFlags
from txsslstream.errors import NotSupportedError
from txsslstream.finding import findIn, thumbprintOf
from txsslstream.storefiles import withoutWarnings
from txsslstream.testing import DAY, NOW, Authority, newKey
from txsslstream.testing.issuing import certificate

_F = X509FindType
POLICY = "1.3.6.1.4.1.99999.1"

KEY = newKey()
NAME = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
        x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Bern"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Company"),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, "me@example.com"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Full Example"),
    ]
)


def made(serialNumber: int, *extensions: x509.ExtensionType) -> x509.Certificate:
    """
    @return: a certificate with a long name and these extensions alone.
    """
    every = [(each, False) for each in extensions]
    return certificate(NAME, None, KEY, every, serial=serialNumber).certificate


def usage(**usages: bool) -> x509.KeyUsage:
    """
    @return: the extension with these usages.
    """
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment "
        "key_agreement key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: usages.get(name, False) for name in names.split()})


AUTHORITY = Authority("Find Authority")
LEAF = AUTHORITY.issue("leaf.example", usages=[ExtendedKeyUsageOID.CLIENT_AUTH]).certificate
EXPIRED = AUTHORITY.issue(
    "old.example", notBefore=NOW - 9 * DAY, notAfter=NOW - 8 * DAY
).certificate
FUTURE = AUTHORITY.issue("new.example", notBefore=NOW + 8 * DAY, notAfter=NOW + 9 * DAY).certificate
#: Says nothing by extensions.  Its number is decimal 16, or hexadecimal 10.
BARE = made(16)
POLICIED = made(
    0xABCDEF,
    x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(POLICY), None)]),
    usage(digital_signature=True, key_agreement=True, encipher_only=True),
)
with withoutWarnings():
    #: Its number is 0.
    ZERO = x509.load_der_x509_certificate(
        BARE.public_bytes(Encoding.DER).replace(b"\x02\x01\x10", b"\x02\x01\x00", 1)
    )
EVERYTHING = (LEAF, EXPIRED, FUTURE, BARE, POLICIED)


class FindTests(SynchronousTestCase):
    """
    Tests for L{findIn}.
    """

    def found(
        self,
        findType: X509FindType,
        value: Any,
        *expected: x509.Certificate,
        validOnly: bool = False,
    ) -> None:
        """
        Check what is found among L{EVERYTHING}.
        """
        self.assertEqual(
            findIn(EVERYTHING, findType, value, validOnly), expected, f"{findType.name} {value!r}"
        )

    def test_thumbprint(self) -> None:
        """
        A thumbprint is the SHA-1 in hexadecimal, however it is written, and
        whole.
        """
        text = LEAF.fingerprint(hashes.SHA1()).hex()
        spaced = " ".join(text[each : each + 2] for each in range(0, 40, 2))
        for value in (
            text,
            text.upper(),
            spaced,
            spaced.replace(" ", ":"),
            f"\u200e{text}",
            f"{text}\n",
        ):
            self.found(_F.FindByThumbprint, value, LEAF)
        for value in (
            "",
            text[:-2],
            text[:-1],
            text + "00",
            "x" * 40,
            BARE.subject.rfc4514_string(),
        ):
            self.found(_F.FindByThumbprint, value)
        self.assertEqual(thumbprintOf(LEAF).hex(), text)

    def test_names(self) -> None:
        """
        A part of the name's values will do, in either case, but not its types.
        """
        self.found(_F.FindBySubjectName, "LEAF.exam", LEAF)
        self.found(_F.FindBySubjectName, ".example", LEAF, EXPIRED, FUTURE)
        self.found(_F.FindBySubjectName, "Company, me@example.com", BARE, POLICIED)
        self.found(_F.FindBySubjectName, "CN=leaf")
        self.found(_F.FindBySubjectName, "Find Authority")
        self.found(_F.FindByIssuerName, "find auth", LEAF, EXPIRED, FUTURE)
        self.found(_F.FindByIssuerName, "leaf.example")

    def test_distinguishedNames(self) -> None:
        """
        A distinguished name is the whole name, as .NET and RFC 4514 write it.
        """
        dotNet = "CN=Full Example, E=me@example.com, O=Company, S=Bern, C=CH"
        for value in (dotNet, dotNet.upper(), dotNet.replace(", ", ","), NAME.rfc4514_string()):
            self.found(_F.FindBySubjectDistinguishedName, value, BARE, POLICIED)
            self.found(_F.FindByIssuerDistinguishedName, value, BARE, POLICIED)
        self.found(_F.FindBySubjectDistinguishedName, "CN=Full Example")
        self.found(_F.FindBySubjectDistinguishedName, "CN=leaf.example", LEAF)
        self.found(_F.FindByIssuerDistinguishedName, "CN=leaf.example")
        self.found(_F.FindByIssuerDistinguishedName, "cn=find authority", LEAF, EXPIRED, FUTURE)

    def test_serialNumber(self) -> None:
        """
        A serial number is hexadecimal or decimal.
        """
        for value in ("16", "10", "0x10", " 1 0 ", "00:10"):
            self.found(_F.FindBySerialNumber, value, BARE)
        self.found(_F.FindBySerialNumber, "ABcdEF", POLICIED)
        self.found(_F.FindBySerialNumber, str(0xABCDEF), POLICIED)
        for value in ("", "11", "serial", "9" * 5000):
            self.found(_F.FindBySerialNumber, value)

    def test_times(self) -> None:
        """
        A certificate is not valid yet, valid with both its ends, or expired.
        """
        self.found(_F.FindByTimeValid, NOW, LEAF, BARE, POLICIED)
        self.found(_F.FindByTimeNotYetValid, NOW, FUTURE)
        self.found(_F.FindByTimeExpired, NOW, EXPIRED)
        second = datetime.timedelta(seconds=1)
        start, end = NOW + 8 * DAY, NOW + 9 * DAY
        for moment, findType in (
            (start - second, _F.FindByTimeNotYetValid),
            (start, _F.FindByTimeValid),
            (end, _F.FindByTimeValid),
            (end + second, _F.FindByTimeExpired),
        ):
            for each in (_F.FindByTimeNotYetValid, _F.FindByTimeValid, _F.FindByTimeExpired):
                found = FUTURE in findIn(EVERYTHING, each, moment, False)
                self.assertEqual(found, each is findType, f"{moment} {each.name}")

    def test_localTime(self) -> None:
        """
        A time without time zone is local time.
        """
        local = (NOW + 8 * DAY).astimezone().replace(tzinfo=None)
        self.assertIn(FUTURE, findIn(EVERYTHING, _F.FindByTimeValid, local, False))
        before = local - datetime.timedelta(seconds=1)
        self.assertNotIn(FUTURE, findIn(EVERYTHING, _F.FindByTimeValid, before, False))

    def test_applicationPolicy(self) -> None:
        """
        Who names no application policy has each, who names some has those.
        """
        client = ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string
        server = ExtendedKeyUsageOID.SERVER_AUTH.dotted_string
        self.found(_F.FindByApplicationPolicy, client, *EVERYTHING)
        self.found(_F.FindByApplicationPolicy, server, EXPIRED, FUTURE, BARE, POLICIED)

    def test_certificatePolicy(self) -> None:
        """
        Who names no certificate policy has none.
        """
        self.found(_F.FindByCertificatePolicy, POLICY, POLICIED)
        self.found(_F.FindByCertificatePolicy, f"{POLICY}.1")

    def test_extension(self) -> None:
        """
        Certificates are found by the extensions they have.
        """
        names = x509.SubjectAlternativeName.oid.dotted_string
        self.found(_F.FindByExtension, names, LEAF, EXPIRED, FUTURE)
        self.found(_F.FindByExtension, x509.KeyUsage.oid.dotted_string, POLICIED)

    def test_keyUsage(self) -> None:
        """
        All usages wanted have to be there; who names none has each.
        """
        K = X509KeyUsageFlags
        silent = (LEAF, EXPIRED, FUTURE, BARE)
        everyone = (*silent, POLICIED)
        for value in (
            K.DigitalSignature,
            K.DigitalSignature | K.KeyAgreement | K.EncipherOnly,
            128,
            "digitalSIGNATURE",
            K.None_,
        ):
            self.found(_F.FindByKeyUsage, value, *everyone)
        for value in (K.CrlSign, K.DigitalSignature | K.DecipherOnly, "KeyCertSign"):
            self.found(_F.FindByKeyUsage, value, *silent)

    def test_everyKeyUsage(self) -> None:
        """
        Each flag is the usage of its name.
        """
        attributes = {
            X509KeyUsageFlags.DigitalSignature: "digital_signature",
            X509KeyUsageFlags.NonRepudiation: "content_commitment",
            X509KeyUsageFlags.KeyEncipherment: "key_encipherment",
            X509KeyUsageFlags.DataEncipherment: "data_encipherment",
            X509KeyUsageFlags.KeyCertSign: "key_cert_sign",
            X509KeyUsageFlags.CrlSign: "crl_sign",
        }
        for flag, attribute in attributes.items():
            certificate = made(1, usage(**{attribute: True}))
            for other in X509KeyUsageFlags:
                if other:
                    found = findIn([certificate], _F.FindByKeyUsage, other, False)
                    self.assertEqual(bool(found), other is flag, f"{flag!r} {other!r}")

    def test_subjectKeyIdentifier(self) -> None:
        """
        The identifier of the extension counts, or else the SHA-1 of the whole
        public key.
        """
        extension = LEAF.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        self.found(_F.FindBySubjectKeyIdentifier, extension.value.digest.hex(" "), LEAF)
        digest = hashes.Hash(hashes.SHA1())
        digest.update(
            KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        value = digest.finalize().hex().upper()
        self.found(_F.FindBySubjectKeyIdentifier, value, BARE, POLICIED)
        self.found(_F.FindBySubjectKeyIdentifier, value[:-2])

    def test_validOnly(self) -> None:
        """
        On demand, only what is valid now is found.
        """
        self.found(_F.FindBySubjectName, ".example", LEAF, validOnly=True)
        self.found(_F.FindByTimeExpired, NOW, validOnly=True)

    def test_wrongValues(self) -> None:
        """
        A value of the wrong type, or that is no such thing, is an error.
        """
        for findType in X509FindType:
            if findType is not _F.FindByTemplateName:
                wrong = "now" if "Time" in findType.name else 1.5
                error = self.assertRaises(TypeError, findIn, EVERYTHING, findType, wrong, False)
                self.assertIn(findType.name, str(error))
        for findType in (
            _F.FindByApplicationPolicy,
            _F.FindByCertificatePolicy,
            _F.FindByExtension,
            _F.FindByKeyUsage,
        ):
            self.assertRaises(ValueError, findIn, EVERYTHING, findType, "no such thing", False)
        self.assertRaises(ValueError, findIn, EVERYTHING, 77, "", False)

    def test_template(self) -> None:
        """
        Windows' templates are not supported, and not found missing either.
        """
        self.assertRaises(
            NotSupportedError, findIn, EVERYTHING, _F.FindByTemplateName, "User", False
        )

    def test_unreadable(self) -> None:
        """
        What cannot be read in one certificate does not match, and does not keep
        others from being found.
        """
        der = LEAF.public_bytes(Encoding.DER)
        # The type of the common name's text: a number instead.
        place = der.rindex(b"\x0c\x0cleaf.example")
        damaged = x509.load_der_x509_certificate(der[:place] + b"\x02" + der[place + 1 :])
        self.assertEqual(findIn([damaged, LEAF], _F.FindBySubjectName, "leaf", False), (LEAF,))

    def test_warnings(self) -> None:
        """
        No warning about a certificate escapes, and none hides it: here, of the
        serial number 0, which some roots have.
        """
        self.assertEqual(findIn([ZERO], _F.FindBySerialNumber, "0", False), (ZERO,))
        self.assertEqual(self.flushWarnings(), [])
