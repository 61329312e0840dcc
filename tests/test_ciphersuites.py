"""
Tests for L{txsslstream.ciphersuites}.
"""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

from OpenSSL._util import ffi, lib
from OpenSSL.SSL import TLS_METHOD, Connection, Context
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.ciphersuites import CipherSuiteProperties, TlsCipherSuite, propertiesOf
from txsslstream.enums import CipherAlgorithmType as Cipher
from txsslstream.enums import ExchangeAlgorithmType as Exchange
from txsslstream.enums import HashAlgorithmType as Hash

# One or two of each registration: the RFC's own value, or .NET's.
KNOWN = {
    "TLS_NULL_WITH_NULL_NULL": 0x0000,
    "TLS_RSA_WITH_RC4_128_MD5": 0x0004,
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": 0x000A,
    "TLS_DH_anon_WITH_3DES_EDE_CBC_SHA": 0x001B,
    "TLS_KRB5_WITH_DES_CBC_SHA": 0x001E,
    "TLS_KRB5_EXPORT_WITH_RC4_40_MD5": 0x002B,
    "TLS_RSA_WITH_AES_128_CBC_SHA": 0x002F,
    "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA": 0x0041,
    "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256": 0x0067,
    "TLS_PSK_WITH_RC4_128_SHA": 0x008A,
    "TLS_RSA_WITH_SEED_CBC_SHA": 0x0096,
    "TLS_RSA_WITH_AES_128_GCM_SHA256": 0x009C,
    "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384": 0x009F,
    "TLS_RSA_PSK_WITH_NULL_SHA384": 0x00B9,
    "TLS_DH_anon_WITH_CAMELLIA_256_CBC_SHA256": 0x00C5,
    "TLS_SM4_GCM_SM3": 0x00C6,
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "TLS_AES_128_CCM_SHA256": 0x1304,
    "TLS_AES_128_CCM_8_SHA256": 0x1305,
    "TLS_AEGIS_256_SHA512": 0x1306,
    "TLS_AEGIS_128L_SHA256": 0x1307,
    "TLS_ECDH_ECDSA_WITH_NULL_SHA": 0xC001,
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": 0xC013,
    "TLS_SRP_SHA_WITH_3DES_EDE_CBC_SHA": 0xC01A,
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": 0xC02B,
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": 0xC030,
    "TLS_RSA_WITH_ARIA_128_CBC_SHA256": 0xC03C,
    "TLS_ECDHE_PSK_WITH_CAMELLIA_256_CBC_SHA384": 0xC09B,
    "TLS_RSA_WITH_AES_128_CCM": 0xC09C,
    "TLS_PSK_DHE_WITH_AES_128_CCM_8": 0xC0AA,
    "TLS_ECCPWD_WITH_AES_128_GCM_SHA256": 0xC0B0,
    "TLS_SHA384_SHA384": 0xC0B5,
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": 0xCCA8,
    "TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256": 0xCCAE,
    "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256": 0xD001,
    "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256": 0xD005,
}

# First and last code point of each gapless run in IANA's registry.
RUNS = [
    (0x0000, 0x001B),
    (0x001E, 0x0046),
    (0x0067, 0x006D),
    (0x0084, 0x00C7),
    (0x1301, 0x1307),
    (0xC001, 0xC0B5),
    (0xCCA8, 0xCCAE),
    (0xD001, 0xD003),
    (0xD005, 0xD005),
]

DH, RSA, NONE = Exchange.DiffieHellman, Exchange.RsaKeyX, Exchange.None_

# Cipher, its bits, hash, its bits, key exchange, AEAD, TLS 1.3.
PROPERTIES = {
    # TLS 1.3
    "TLS_AES_128_GCM_SHA256": (Cipher.Aes128, 128, Hash.Sha256, 0, DH, 1, 1),
    "TLS_AES_256_GCM_SHA384": (Cipher.Aes256, 256, Hash.Sha384, 0, DH, 1, 1),
    "TLS_CHACHA20_POLY1305_SHA256": (Cipher.None_, 256, Hash.Sha256, 0, DH, 1, 1),
    "TLS_AES_128_CCM_SHA256": (Cipher.Aes128, 128, Hash.Sha256, 0, DH, 1, 1),
    "TLS_AES_128_CCM_8_SHA256": (Cipher.Aes128, 128, Hash.Sha256, 0, DH, 1, 1),
    "TLS_AEGIS_256_SHA512": (Cipher.None_, 256, Hash.Sha512, 0, DH, 1, 1),
    "TLS_AEGIS_128L_SHA256": (Cipher.None_, 128, Hash.Sha256, 0, DH, 1, 1),
    "TLS_SM4_CCM_SM3": (Cipher.None_, 128, Hash.None_, 0, DH, 1, 1),
    "TLS_SHA384_SHA384": (Cipher.Null, 0, Hash.Sha384, 384, DH, 0, 1),
    # AEAD before TLS 1.3
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": (Cipher.Aes256, 256, Hash.Sha384, 0, DH, 1, 0),
    "TLS_RSA_WITH_AES_128_GCM_SHA256": (Cipher.Aes128, 128, Hash.Sha256, 0, RSA, 1, 0),
    "TLS_RSA_WITH_AES_256_CCM": (Cipher.Aes256, 256, Hash.Sha256, 0, RSA, 1, 0),
    "TLS_PSK_DHE_WITH_AES_128_CCM_8": (Cipher.Aes128, 128, Hash.Sha256, 0, DH, 1, 0),
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": (Cipher.None_, 256, Hash.Sha256, 0, DH, 1, 0),
    "TLS_DH_DSS_WITH_ARIA_256_GCM_SHA384": (Cipher.None_, 256, Hash.Sha384, 0, DH, 1, 0),
    "TLS_ECCPWD_WITH_AES_256_CCM_SHA384": (Cipher.Aes256, 256, Hash.Sha384, 0, DH, 1, 0),
    # block and stream ciphers, each with its MAC
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": (Cipher.Aes128, 128, Hash.Sha1, 160, DH, 0, 0),
    "TLS_RSA_WITH_AES_256_CBC_SHA256": (Cipher.Aes256, 256, Hash.Sha256, 256, RSA, 0, 0),
    "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA384": (Cipher.Aes256, 256, Hash.Sha384, 384, DH, 0, 0),
    "TLS_DH_anon_WITH_CAMELLIA_128_CBC_SHA256": (Cipher.None_, 128, Hash.Sha256, 256, DH, 0, 0),
    "TLS_RSA_WITH_ARIA_128_CBC_SHA256": (Cipher.None_, 128, Hash.Sha256, 256, RSA, 0, 0),
    "TLS_DHE_DSS_WITH_SEED_CBC_SHA": (Cipher.None_, 128, Hash.Sha1, 160, DH, 0, 0),
    "TLS_RSA_WITH_IDEA_CBC_SHA": (Cipher.None_, 128, Hash.Sha1, 160, RSA, 0, 0),
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": (Cipher.TripleDes, 168, Hash.Sha1, 160, RSA, 0, 0),
    "TLS_DHE_RSA_WITH_DES_CBC_SHA": (Cipher.Des, 56, Hash.Sha1, 160, DH, 0, 0),
    "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA": (Cipher.Des, 40, Hash.Sha1, 160, RSA, 0, 0),
    "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5": (Cipher.Rc2, 40, Hash.Md5, 128, RSA, 0, 0),
    "TLS_RSA_EXPORT_WITH_RC4_40_MD5": (Cipher.Rc4, 40, Hash.Md5, 128, RSA, 0, 0),
    "TLS_RSA_WITH_RC4_128_MD5": (Cipher.Rc4, 128, Hash.Md5, 128, RSA, 0, 0),
    "TLS_KRB5_WITH_DES_CBC_MD5": (Cipher.Des, 56, Hash.Md5, 128, NONE, 0, 0),
    "TLS_KRB5_EXPORT_WITH_DES_CBC_40_SHA": (Cipher.Des, 40, Hash.Sha1, 160, NONE, 0, 0),
    "TLS_SRP_SHA_RSA_WITH_AES_128_CBC_SHA": (Cipher.Aes128, 128, Hash.Sha1, 160, NONE, 0, 0),
    "TLS_PSK_WITH_AES_256_CBC_SHA384": (Cipher.Aes256, 256, Hash.Sha384, 384, NONE, 0, 0),
    "TLS_RSA_PSK_WITH_AES_128_CBC_SHA": (Cipher.Aes128, 128, Hash.Sha1, 160, RSA, 0, 0),
    "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA": (Cipher.Aes128, 128, Hash.Sha1, 160, DH, 0, 0),
    # no encryption
    "TLS_RSA_WITH_NULL_MD5": (Cipher.Null, 0, Hash.Md5, 128, RSA, 0, 0),
    "TLS_DHE_PSK_WITH_NULL_SHA384": (Cipher.Null, 0, Hash.Sha384, 384, DH, 0, 0),
    "TLS_NULL_WITH_NULL_NULL": (Cipher.Null, 0, Hash.None_, 0, NONE, 0, 0),
}


# What OpenSSL's own names have in common with IANA's.
WORDS = ["ECDHE", "ECDSA", "DHE", "DSS", "PSK", "SRP", "128", "AES", "CAMELLIA", "ARIA", "SEED"]
WORDS += ["IDEA", "SM4", "CHACHA20", "NULL", "GCM", "CCM", "CCM8", "MD5"]


class TlsCipherSuiteTests(SynchronousTestCase):
    """
    Tests for L{TlsCipherSuite}.
    """

    def test_knownCodePoints(self) -> None:
        """
        Members have the code points that the RFCs and .NET give them.
        """
        self.assertEqual({name: TlsCipherSuite[name].value for name in KNOWN}, KNOWN)

    def test_complete(self) -> None:
        """
        The members are exactly the code points that IANA has registered for
        suites, without signalling values, GREASE and GOST.
        """
        registered = {code for first, last in RUNS for code in range(first, last + 1)}
        self.assertEqual({suite.value for suite in TlsCipherSuite}, registered)

    def test_noAliases(self) -> None:
        """
        Every name has a code point of its own.
        """
        members = TlsCipherSuite.__members__
        self.assertEqual([suite.name for suite in members.values()], list(members))
        self.assertEqual(len(set(members.values())), len(members))

    def test_unregistered(self) -> None:
        """
        A number that is no cipher suite, such as a signalling value, has no
        member.
        """
        for code in (0x00FF, 0x5600, 0x0A0A, 0x001C):
            self.assertRaises(ValueError, TlsCipherSuite, code)


class PropertiesOfTests(SynchronousTestCase):
    """
    Tests for L{propertiesOf}.
    """

    def test_properties(self) -> None:
        """
        A suite of every kind reports the algorithms and strengths of its name.
        """
        for name, (cipher, cipherBits, hash, hashBits, exchange, aead, tls13) in PROPERTIES.items():
            self.assertEqual(
                propertiesOf(TlsCipherSuite[name]),
                CipherSuiteProperties(
                    cipherAlgorithm=cipher,
                    cipherStrength=cipherBits,
                    hashAlgorithm=hash,
                    hashStrength=hashBits,
                    keyExchangeAlgorithm=exchange,
                    isAead=bool(aead),
                    isTls13=bool(tls13),
                ),
                name,
            )

    def test_everySuite(self) -> None:
        """
        Every member's name can be read, and what it says is consistent: a
        cipher that .NET has no number for still has its strength, and no AEAD
        suite has a MAC.
        """
        for suite in TlsCipherSuite:
            properties = propertiesOf(suite)
            encrypts = properties.cipherAlgorithm != Cipher.Null
            self.assertEqual(properties.cipherStrength > 0, encrypts, suite.name)
            if suite != TlsCipherSuite.TLS_NULL_WITH_NULL_NULL:
                self.assertEqual(properties.hashStrength == 0, properties.isAead, suite.name)
            self.assertEqual(properties.isTls13, "_WITH_" not in suite.name, suite.name)

    def test_cachedAndFrozen(self) -> None:
        """
        A suite's properties are computed once, and nobody can change them.
        """
        suite = TlsCipherSuite.TLS_AES_128_GCM_SHA256
        properties = propertiesOf(suite)
        self.assertIs(propertiesOf(suite), properties)
        with self.assertRaises(FrozenInstanceError):
            properties.cipherStrength = 1  # type: ignore[misc]


class OpenSSLTests(SynchronousTestCase):
    """
    L{TlsCipherSuite} and L{propertiesOf} against the OpenSSL that connections
    are made with.
    """

    def setUp(self) -> None:
        """
        Make a connection that offers every suite, and look all members up.
        """
        context = Context(TLS_METHOD)
        context.set_cipher_list(b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        tls13 = [suite.name for suite in TlsCipherSuite if propertiesOf(suite).isTls13]
        # By default only three of TLS 1.3's are offered; OpenSSL skips the names it doesn't know.
        context.set_tls13_ciphersuites(":".join(tls13).encode("ascii"))
        self.connection = Connection(context, None)
        self.known = {}
        for suite in TlsCipherSuite:
            code = ffi.new("unsigned char[]", suite.to_bytes(2, "big"))
            cipher = lib.SSL_CIPHER_find(self.connection._ssl, code)
            if cipher != ffi.NULL:
                self.known[suite] = cipher

    def nameOf(self, suite: TlsCipherSuite) -> str:
        """
        @return: OpenSSL's own name for the code point of C{suite}.
        """
        name: bytes = ffi.string(lib.SSL_CIPHER_get_name(self.known[suite]))
        return name.decode("ascii")

    def test_everyOfferedSuiteIsMember(self) -> None:
        """
        Whatever OpenSSL may negotiate has a member.
        """
        offered = set(self.connection.get_cipher_list())
        self.assertGreater(len(offered), 20)
        self.assertEqual(offered - {self.nameOf(suite) for suite in self.known}, set())

    def test_strength(self) -> None:
        """
        The cipher's strength is the key length that OpenSSL reports.
        """
        # The return value is the strength against the best attack, which is less than the key's
        # length: 64 bits for CCM_8 with its short tag, 112 for 3DES.  It is 0 for suites that only
        # authenticate, while for those of RFC 9150 the length is the MAC key's.
        length = ffi.new("int *")
        for suite, cipher in self.known.items():
            strength = lib.SSL_CIPHER_get_bits(cipher, length)
            expected = length[0] if strength else 0
            self.assertEqual(propertiesOf(suite).cipherStrength, expected, suite.name)

    def test_sameAlgorithms(self) -> None:
        """
        A member's name speaks of the same algorithms as OpenSSL's name for its
        code point.
        """
        for suite in self.known:
            ours, theirs = (
                name.replace("CCM_8", "CCM8") for name in (suite.name, self.nameOf(suite))
            )
            for word in WORDS:
                self.assertEqual(word in ours, word in theirs, f"{word}: {ours} and {theirs}")
            # The hash ends both names, except that OpenSSL leaves ChaCha20's out.
            self.assertIn(re.split("[-_]", theirs)[-1], ours.split("_"), suite.name)
