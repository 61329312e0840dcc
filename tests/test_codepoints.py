"""
Tests for L{txsslstream.codepoints}: registered numbers and names.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.test_certificatemessages import SCHEMES
from txsslstream.codepoints import groupName, groupNamed, isGrease, signatureName

#: Those that have no registered name.
NAMELESS = frozenset({"dsa_sha1", "dsa_sha256", "rsa_md5", "grease"})


class GroupTests(SynchronousTestCase):
    """
    Tests for L{groupNamed} and L{groupName}.  That the table is right, for all
    groups that OpenSSL has, L{tests.test_security} and
    L{tests.test_clienthello} show.
    """

    def test_names(self) -> None:
        """
        A group is found by each of OpenSSL's names, in any case.
        """
        for name in ("secp256r1", "SECP256R1", "prime256v1", "P-256"):
            self.assertEqual(groupNamed(name), ("secp256r1", 256), name)
        self.assertEqual(groupNamed("SM2"), ("curveSM2", 256))
        self.assertEqual(groupNamed("x25519mlkem768"), ("X25519MLKEM768", 255))

    def test_unknownName(self) -> None:
        """
        A group that came after this package keeps OpenSSL's name; its size is
        not made up.
        """
        self.assertEqual(groupNamed("kyber2048"), ("kyber2048", 0))
        self.assertEqual(groupNamed(None), (None, 0))

    def test_code(self) -> None:
        """
        A number has its registered name, or stays a number.
        """
        self.assertEqual(groupName(0x001D), "x25519")
        self.assertEqual(groupName(0x11EC), "X25519MLKEM768")
        for code in (0, 1, 0x6399, 0xFFFF):
            self.assertIs(type(groupName(code)), int)
            self.assertEqual(groupName(code), code)


class SignatureNameTests(SynchronousTestCase):
    """
    Tests for L{signatureName}.
    """

    def test_names(self) -> None:
        """
        A scheme has its registered name, or stays a number.
        """
        for name, code, *_ in SCHEMES:
            self.assertEqual(signatureName(code), code if name in NAMELESS else name)
        self.assertEqual(signatureName(0x080B), "rsa_pss_pss_sha512")
        self.assertEqual(signatureName(0xFE00), 0xFE00)


class IsGreaseTests(SynchronousTestCase):
    """
    Tests for L{isGrease}.
    """

    def test_all(self) -> None:
        """
        Those are the sixteen of RFC 8701 section 2, and no others.
        """
        expected = [int(f"{digit:x}a" * 2, 16) for digit in range(16)]
        self.assertEqual(list(filter(isGrease, range(1 << 16))), expected)
