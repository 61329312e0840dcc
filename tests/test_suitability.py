"""
Tests for L{txsslstream.suitability}: what goes together.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    EncryptionPolicy,
    InvalidOperationError,
    SslProtocols,
    TlsCipherSuite,
)
from txsslstream.algorithms import signatureNamed
from txsslstream.parameters import TlsParameters
from txsslstream.suitability import agreeOnEncryption, canSign, exchangeOf

SECRET = TlsCipherSuite.TLS_AES_128_GCM_SHA256
OPEN = TlsCipherSuite.TLS_RSA_WITH_NULL_SHA256


class SuitabilityTests(SynchronousTestCase):
    """
    Tests for suites, policies and keys.
    """

    def test_encryption(self) -> None:
        """
        A policy that requires encryption has no suite without, one that forbids
        it none with, and one that permits both takes both.
        """
        agreeOnEncryption((SECRET,), EncryptionPolicy.RequireEncryption)
        agreeOnEncryption((OPEN,), EncryptionPolicy.NoEncryption)
        agreeOnEncryption((OPEN, SECRET), EncryptionPolicy.AllowNoEncryption)
        for suite, policy in (
            (OPEN, EncryptionPolicy.RequireEncryption),
            (SECRET, EncryptionPolicy.NoEncryption),
        ):
            self.assertRaises(InvalidOperationError, agreeOnEncryption, (suite,), policy)

    def test_exchange(self) -> None:
        """
        The exchange of keys is told by the suite's name, before TLS 1.3.
        """
        for suite, exchange in (
            (TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE"),
            (TlsCipherSuite.TLS_DHE_RSA_WITH_AES_128_GCM_SHA256, "DHE"),
            (TlsCipherSuite.TLS_RSA_WITH_AES_128_GCM_SHA256, ""),
            (SECRET, ""),
        ):
            self.assertEqual(exchangeOf(suite), exchange)

    def test_signing(self) -> None:
        """
        A key signs with an algorithm of its kind; a client's before TLS 1.3 on
        one of its groups only, a server's on any.
        """
        kinds = {"ECDSA", "ECDSA secp256r1"}
        fitting = [signatureNamed("ecdsa_secp256r1_sha256")]
        other = [signatureNamed("ed25519")]
        for isServer in (False, True):
            for version in (SslProtocols.Tls12, SslProtocols.Tls13):
                isBound = not isServer and version is SslProtocols.Tls12
                for group, isFree in (("secp256r1", True), ("x25519", not isBound)):
                    parameters = TlsParameters(isServer=isServer, keyExchangeGroups=(group,))
                    self.assertEqual(canSign(parameters, fitting, version, kinds), isFree)
                    self.assertEqual(canSign(parameters, None, version, kinds), isFree)
                    self.assertFalse(canSign(parameters, other, version, kinds))
        self.assertTrue(canSign(TlsParameters(isServer=True), other, SslProtocols.Tls11, kinds))
