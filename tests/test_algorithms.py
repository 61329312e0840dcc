"""
Tests for L{txsslstream.algorithms}: the names of groups and signature
algorithms.  What they stand for on the wire is seen in the tests of
L{txsslstream._openssl}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.algorithms import GROUPS, SIGNATURE_ALGORITHMS, groupNamed, signatureNamed
from txsslstream.enums import SslProtocols


class NameTests(SynchronousTestCase):
    """
    Tests for L{groupNamed} and L{signatureNamed}.
    """

    TABLES: tuple[tuple[Any, Any, str], ...] = (
        (GROUPS, groupNamed, "key exchange group"),
        (SIGNATURE_ALGORITHMS, signatureNamed, "signature algorithm"),
    )

    def test_found(self) -> None:
        """
        Everything is found by its name, in whichever case, and no two things
        have one name.
        """
        for table, find, _ in self.TABLES:
            for each in table:
                for name in (each.name, each.name.upper(), each.name.lower()):
                    self.assertIs(find(name), each)

    def test_unknown(self) -> None:
        """
        What is no name is refused; nor is a list, or what only OpenSSL
        understands, a name.
        """
        for table, find, kind in self.TABLES:
            both = ":".join(each.name for each in table[:2])
            for name in ("", "nonsense", both, f"*{table[0].name}", f"?{table[0].name}", "P-256"):
                error = self.assertRaises(ValueError, find, name)
                self.assertEqual(str(error), f"not a {kind}: {name!r}")

    def test_types(self) -> None:
        """
        A name is a text.
        """
        for _, find, _ in self.TABLES:
            for value, kind in ((b"x25519", "bytes"), (29, "int"), (None, "NoneType")):
                error = self.assertRaises(TypeError, find, value)
                self.assertEqual(str(error), f"the name of an algorithm is a str, not {kind}")


class SignatureTests(SynchronousTestCase):
    """
    Tests for L{SIGNATURE_ALGORITHMS}; L{tests.test_certificatemessages} has the
    table of RFC 8446.
    """

    def test_codes(self) -> None:
        """
        No two have one number.
        """
        self.assertEqual(
            len({each.code for each in SIGNATURE_ALGORITHMS}), len(SIGNATURE_ALGORITHMS)
        )

    def test_keyIn(self) -> None:
        """
        The kind of key is told apart by version where it matters.
        """
        for name, in12, in13 in (
            ("rsa_pkcs1_sha256", "RSA", None),
            ("rsa_pss_rsae_sha256", "RSA", "RSA"),
            ("ecdsa_secp384r1_sha384", "ECDSA", "ECDSA secp384r1"),
            ("ecdsa_brainpoolP256r1tls13_sha256", None, "ECDSA brainpoolP256r1"),
            # Of no use with the keys that are known here.
            ("rsa_pss_pss_sha256", "", ""),
        ):
            algorithm = signatureNamed(name)
            self.assertEqual(algorithm.keyIn(SslProtocols.Tls12), in12)
            self.assertEqual(algorithm.keyIn(SslProtocols.Tls13), in13)
