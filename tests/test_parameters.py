"""
Tests for L{txsslstream.parameters}: the small values that options are made of.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY, CLIENT, SERVER
from txsslstream import SslStreamCertificateContext
from txsslstream.ciphersuites import TlsCipherSuite
from txsslstream.enums import EncryptionPolicy, SslProtocols
from txsslstream.parameters import CipherSuitesPolicy, SslApplicationProtocol, TlsParameters

AES = TlsCipherSuite.TLS_AES_128_GCM_SHA256
CHACHA = TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256
CLASSIC = TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256

#: For each field of L{TlsParameters}, a value that is not its default.
OTHERS: dict[str, Any] = {
    "isServer": True,
    "protocols": SslProtocols.Tls13,
    "cipherSuites": (AES,),
    "encryptionPolicy": EncryptionPolicy.AllowNoEncryption,
    "applicationProtocols": (b"h2",),
    "certificate": SERVER,
    "choosesCertificate": True,
    "asksForCertificate": True,
    "insistsOnCertificate": True,
    "acceptableIssuers": (AUTHORITY.certificate,),
    "renegotiates": True,
    "resumes": True,
    "sessionScope": "a policy",
    "logsSecrets": True,
    "keyExchangeGroups": ("x25519",),
    "signatureAlgorithms": ("ed25519",),
    "allowRsaPssPadding": False,
    "allowRsaPkcs1Padding": False,
}


class SslApplicationProtocolTests(SynchronousTestCase):
    """
    Tests for L{SslApplicationProtocol}.
    """

    def test_names(self) -> None:
        """
        The usual protocols have the names that IANA has registered.
        """
        for protocol, name in (
            (SslApplicationProtocol.Http11, b"http/1.1"),
            (SslApplicationProtocol.Http2, b"h2"),
            (SslApplicationProtocol.Http3, b"h3"),
        ):
            self.assertEqual(protocol, name)
            self.assertIsInstance(protocol, SslApplicationProtocol)

    def test_forms(self) -> None:
        """
        Bytes, whatever holds bytes, and text in UTF-8 make the same protocol.
        """
        name = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
        encoded = name.encode()
        forms: tuple[Any, ...] = (name, encoded, bytearray(encoded), memoryview(encoded))
        for form in (*forms, SslApplicationProtocol(name)):
            protocol = SslApplicationProtocol(form)
            self.assertEqual(protocol, encoded)
            self.assertEqual(hash(protocol), hash(encoded))
            self.assertIs(type(protocol.protocol), bytes)
            self.assertEqual(protocol.protocol, encoded)
            self.assertEqual(str(protocol), name)

    def test_notText(self) -> None:
        """
        A name that is no UTF-8 can be shown all the same.
        """
        self.assertEqual(str(SslApplicationProtocol(b"\xffh2")), "\\xffh2")

    def test_size(self) -> None:
        """
        A protocol has 1 to 255 bytes, counted in UTF-8.
        """
        for name in (b"h", b"h" * 255, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 127):
            SslApplicationProtocol(name)
        for name in (b"", "", b"h" * 256, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 128):
            error = self.assertRaises(ValueError, SslApplicationProtocol, name)
            self.assertEqual(str(error), "an application protocol has 1 to 255 bytes")

    def test_types(self) -> None:
        """
        A number, which C{bytes} would take for a length, and what else is no
        bytes are refused.
        """
        for value in (2, [104, 50], None):
            self.assertRaises(TypeError, SslApplicationProtocol, value)


class CipherSuitesPolicyTests(SynchronousTestCase):
    """
    Tests for L{CipherSuitesPolicy}.
    """

    def test_order(self) -> None:
        """
        The suites are kept in their order, each once.
        """
        policy = CipherSuitesPolicy(iter([CHACHA, AES, CHACHA, CLASSIC]))
        self.assertEqual(policy.allowedCipherSuites, (CHACHA, AES, CLASSIC))

    def test_numbers(self) -> None:
        """
        Code points name suites.
        """
        policy = CipherSuitesPolicy([0x1301, 0xC02F])  # type: ignore[list-item]
        self.assertEqual(policy.allowedCipherSuites, (AES, CLASSIC))
        for suite in policy.allowedCipherSuites:
            self.assertIsInstance(suite, TlsCipherSuite)

    def test_empty(self) -> None:
        """
        A policy that allows nothing is refused.
        """
        error = self.assertRaises(ValueError, CipherSuitesPolicy, [])
        self.assertEqual(str(error), "a policy without cipher suites allows no connection")

    def test_unknown(self) -> None:
        """
        A number that is no suite is refused, though others be.
        """
        self.assertRaises(ValueError, CipherSuitesPolicy, [AES, 0x0A0A])

    def test_value(self) -> None:
        """
        Policies with the same suites in the same order are equal and have the
        same hash; with another order they differ.
        """
        one = CipherSuitesPolicy([AES, CHACHA])
        self.assertEqual(one, CipherSuitesPolicy((AES, CHACHA, AES)))
        self.assertEqual(hash(one), hash(CipherSuitesPolicy((AES, CHACHA, AES))))
        self.assertNotEqual(one, CipherSuitesPolicy([CHACHA, AES]))

    def test_frozen(self) -> None:
        """
        A policy cannot be changed.
        """
        policy = CipherSuitesPolicy([AES])
        with self.assertRaises(FrozenInstanceError):
            policy.allowedCipherSuites = ()  # type: ignore[misc]


class TlsParametersTests(SynchronousTestCase):
    """
    Tests for L{TlsParameters}.
    """

    def test_defaults(self) -> None:
        """
        Unless told otherwise, a context encrypts, has no certificate and chooses
        none, and asks nobody for one.
        """
        parameters = TlsParameters(isServer=False)
        self.assertEqual(parameters.encryptionPolicy, EncryptionPolicy.RequireEncryption)
        self.assertIsNone(parameters.certificate)
        self.assertFalse(parameters.choosesCertificate)
        self.assertFalse(parameters.asksForCertificate)
        self.assertEqual(parameters.acceptableIssuers, ())

    def test_equality(self) -> None:
        """
        Parameters made of equal values are equal and have the same hash.
        """

        def made() -> TlsParameters:
            certificate = SslStreamCertificateContext(
                SERVER.certificate, SERVER.privateKey, SERVER.intermediates
            )
            issuer = AUTHORITY.certificate.public_bytes(Encoding.DER)
            return TlsParameters(
                **{
                    **OTHERS,
                    "certificate": certificate,
                    "acceptableIssuers": (x509.load_der_x509_certificate(issuer),),
                }
            )

        self.assertIsNot(made(), made())
        self.assertEqual(made(), made())
        self.assertEqual(hash(made()), hash(made()))

    def test_everyFieldCounts(self) -> None:
        """
        Parameters that differ in any one field are different.
        """
        default = TlsParameters(isServer=False)
        self.assertEqual({field.name for field in fields(default)}, {*OTHERS, "context"})
        different = {default} | {
            replace(default, **{name: value}) for name, value in OTHERS.items()
        }
        self.assertEqual(len(different), 1 + len(OTHERS))
        self.assertNotEqual(
            replace(default, certificate=SERVER), replace(default, certificate=CLIENT)
        )

    def test_context(self) -> None:
        """
        The OpenSSL context that parameters hold is no part of the value: it is
        not compared, shown or copied, and cannot be given.
        """
        parameters = TlsParameters(isServer=False)
        before = hash(parameters)
        object.__setattr__(parameters, "context", object())
        self.assertEqual(parameters, TlsParameters(isServer=False))
        self.assertEqual(hash(parameters), before)
        self.assertNotIn("context", repr(parameters))
        self.assertIsNone(replace(parameters, isServer=True).context)
        arguments: dict[str, Any] = {"isServer": False, "context": None}
        self.assertRaises(TypeError, TlsParameters, **arguments)

    def test_frozen(self) -> None:
        """
        Parameters cannot be changed.
        """
        parameters = TlsParameters(isServer=False)
        with self.assertRaises(FrozenInstanceError):
            parameters.isServer = True  # type: ignore[misc]
