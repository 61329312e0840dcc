"""
Tests for L{txsslstream.names}: which certificate is which host's.
"""

from __future__ import annotations

import ipaddress
from random import Random
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from twisted.trial.unittest import SynchronousTestCase

from tests.chains import withLongSignature
from tests.support import AUTHORITY
from txsslstream import names as module
from txsslstream.names import (
    asciiHostName,
    certificateMatchesHost,
    nameProblem,
    serverNameFor,
    unicodeHostName,
)

UNICODE = "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"
ALABEL = "xn--bcher-kva.example"

#: Names in certificates, a host that is one of them, and hosts that are not.
MATCHES: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    # Exactly that name, in any case.
    (
        ("www.example.com",),
        ("www.example.com", "WWW.Example.COM", "www.example.com."),
        (
            "example.com",
            "ww.example.com",
            "a.www.example.com",
            "www.example.co",
            "www.example.com.evil.example",
            "xwww.example.com",
            "www-example.com",
            "www.example.com..",
        ),
    ),
    (("WWW.EXAMPLE.COM",), ("www.example.com",), ("example.com",)),
    (("localhost",), ("localhost", "LOCALHOST", "localhost."), ("local", "localhost.example")),
    # One of several.
    (
        ("one.example", "two.example", "192.0.2.1"),
        ("one.example", "two.example", "192.0.2.1"),
        ("three.example", "192.0.2.2"),
    ),
    # A wildcard stands for the first label and for one only.
    (
        ("*.example.com",),
        (
            "www.example.com",
            "a-b.EXAMPLE.com",
            "www.example.com.",
            # An international one, too.
            "xn--bcher-kva.example.com",
            "XN--BCHER-KVA.example.com",
            f"{UNICODE}.com",
        ),
        ("example.com", ".example.com", "a.b.example.com", "www.example.org", "*.example.com"),
    ),
    (("*.b.example.com",), ("a.b.example.com",), ("a.c.example.com", "a.a.b.example.com")),
    # It stands for whole labels, and never for another than the first.
    (("w*.example.com",), (), ("www.example.com", "w.example.com", "w*.example.com")),
    (("*w.example.com",), (), ("www.example.com",)),
    (("w*w.example.com",), (), ("www.example.com",)),
    (("www.*.com",), (), ("www.example.com",)),
    (("*.*.com",), (), ("www.example.com",)),
    (("example.*",), (), ("example.com",)),
    (("*.com",), (), ("example.com", "www.example.com")),
    (("*",), (), ("localhost", "example.com")),
    (("xn--*.example.com",), (), ("xn--bcher-kva.example.com",)),
    ((f"*.{ALABEL}",), (f"www.{UNICODE}", f"{UNICODE[:6]}.{ALABEL}"), (UNICODE,)),
    # It does not stand for what different people register.
    (("*.co.uk",), (), ("example.co.uk", "co.uk", "www.example.co.uk")),
    (("*.CO.UK",), (), ("example.co.uk", "example.CO.UK")),
    (("*.xn--55qx5d.cn",), (), ("example.xn--55qx5d.cn",)),
    (("*.co.uk", "www.example.co.uk"), ("www.example.co.uk",), ("ww.example.co.uk",)),
    (("*.example.co.uk",), ("www.example.co.uk",), ("example.co.uk", "other.co.uk")),
    # What a company lists for its customers' sake is the company's.
    (("*.github.io",), ("somebody.github.io",), ("github.io", "a.somebody.github.io")),
    # International names, as Unicode or as A-labels.
    (
        (ALABEL,),
        (UNICODE, ALABEL, UNICODE.upper(), ALABEL.upper(), f"{UNICODE}."),
        ("bucher.example", "b.example"),
    ),
    # Addresses by their value, not by their spelling.
    (
        ("192.0.2.1",),
        ("192.0.2.1",),
        ("192.0.2.2", "192.0.2.10", "192.0.2.1%eth0", "192.0.2.1.", "::ffff:192.0.2.1"),
    ),
    (
        ("2001:db8::1",),
        ("2001:db8::1", "2001:DB8:0:0::1", "2001:db8::0.0.0.1"),
        ("2001:db8::2", "[2001:db8::1]"),
    ),
    (("fe80::1",), ("fe80::1", "fe80::1%eth0", "FE80::1%25"), ("fe80::2%eth0", "fe80::10")),
    # What is no host's name is nobody's.
    (("user@example.com",), (), ("example.com", "user@example.com")),
    # Nobody is not somebody.
    (("localhost", "127.0.0.1"), (), ("", ".", " ", "*", "%", "localhost ", "local\0host")),
)

#: How hosts are sent.
SERVER_NAMES = (
    ("example.com", b"example.com"),
    ("example.com.", b"example.com"),
    ("Example.COM", b"Example.COM"),
    ("localhost", b"localhost"),
    ("a_b.example", b"a_b.example"),
    ("a" * 63 + ".example", b"a" * 63 + b".example"),
    (".".join(["a" * 49] * 5) + ".abc", b".".join([b"a" * 49] * 5) + b".abc"),
    (UNICODE, ALABEL.encode()),
    (f"{UNICODE}.", ALABEL.encode()),
    (f"{UNICODE}\N{IDEOGRAPHIC FULL STOP}", ALABEL.encode()),
    ("B\N{LATIN CAPITAL LETTER U WITH DIAERESIS}CHER.example", ALABEL.encode()),
    # IDNA 2008, not 2003: the sharp s is a letter of its own.
    ("fa\N{LATIN SMALL LETTER SHARP S}.example", b"xn--fa-hia.example"),
    # No name is sent for nobody and for addresses.
    ("", None),
    ("127.0.0.1", None),
    ("::1", None),
    ("fe80::1%eth0", None),
)

NO_HOSTS = (
    ".",
    "..",
    ".example.com",
    "example.com..",
    "a..b",
    " ",
    "a b",
    "example.com\n",
    "a\0b",
    "a\tb",
    "*.example.com",
    "example.com:443",
    "https://example.com",
    "user@example.com",
    "[::1]",
    "127.0.0.1%eth0",
    "fe80::g%eth0",
    "fe80::1%\0",
    "fe80::1%eth0\n",
    "a" * 64,
    ".".join(["a" * 49] * 5) + ".abcd",
    "\N{SOFT HYPHEN}",
    "a\N{SNOWMAN}.example",
    f"{UNICODE} ",
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 60,
)


def withNames(*names: x509.GeneralName) -> x509.Certificate:
    """
    @return: a certificate with these subject alternative names.
    """
    extension = x509.SubjectAlternativeName(names)
    return AUTHORITY.issue(extensions=[(extension, False)]).certificate


def withExtension(encoded: bytes) -> x509.Certificate:
    """
    @return: a certificate whose subject alternative names are these bytes.
    """
    extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, encoded)
    return AUTHORITY.issue(subject="localhost", extensions=[(extension, False)]).certificate


class RememberedTests(SynchronousTestCase):
    """
    Names that were looked at before.
    """

    def setUp(self) -> None:
        """
        Count how often a certificate is read.
        """
        self.read: list[x509.Certificate] = []
        module._requireHost.cache_clear()
        module._matching.clear()
        patterns = module._patterns

        def reading(certificate: x509.Certificate) -> Any:
            self.read.append(certificate)
            return patterns(certificate)

        self.patch(module, "_patterns", reading)

    def test_once(self) -> None:
        """
        That a certificate is a host's is found out once for each host; that it is
        another's is found out each time.
        """
        certificate = AUTHORITY.issue("one.example", "two.example").certificate
        for host, matches, times in (
            ("one.example", True, 1),
            ("one.example", True, 0),
            ("two.example", True, 1),
            ("one.example", True, 0),
            ("three.example", False, 1),
            ("three.example", False, 1),
            ("one.example", True, 0),
        ):
            self.read.clear()
            self.assertIs(certificateMatchesHost(certificate, host), matches)
            self.assertEqual(len(self.read), times, host)
        other = AUTHORITY.issue("three.example").certificate
        self.assertFalse(certificateMatchesHost(other, "one.example"))

    def test_large(self) -> None:
        """
        A large certificate is not kept.
        """
        name = f"7.{'x' * 60}"
        certificate = AUTHORITY.issue("one", *(f"{n}.{'x' * 60}" for n in range(99))).certificate
        signed = withLongSignature(AUTHORITY.issue(name).certificate, 5000)
        for each in (certificate, certificate, signed, signed):
            self.assertTrue(certificateMatchesHost(each, name))
        self.assertEqual(len(self.read), 4)
        self.assertEqual(module._requireHost.cache_info().currsize, 0)
        self.assertEqual(module._matching, {})

    def test_limit(self) -> None:
        """
        No more are kept than there is room for, and none is taken for another.
        """
        self.patch(module, "_MOST_MATCHES", 3)
        certificates = [AUTHORITY.issue(f"{n}.example").certificate for n in range(9)]
        for _ in range(2):
            for number, each in enumerate(certificates):
                for n in range(9):
                    self.assertIs(certificateMatchesHost(each, f"{n}.example"), n == number)
                self.assertLessEqual(len(module._matching), 3)


class CertificateMatchesHostTests(SynchronousTestCase):
    """
    Tests for L{certificateMatchesHost}.
    """

    def test_table(self) -> None:
        """
        A certificate is the host's if one of its names is, and nobody else's.
        """
        for names, matching, others in MATCHES:
            certificate = AUTHORITY.issue(*names).certificate
            for host in matching:
                self.assertIs(certificateMatchesHost(certificate, host), True, (names, host))
            for host in others:
                self.assertIs(certificateMatchesHost(certificate, host), False, (names, host))

    def test_addressAsName(self) -> None:
        """
        An address that a certificate has as a DNS name is no address, and a
        network is none of its addresses.
        """
        network = x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))
        for name in (x509.DNSName("192.0.2.1"), network):
            self.assertFalse(certificateMatchesHost(withNames(name), "192.0.2.1"))

    def test_noNames(self) -> None:
        """
        A certificate without subject alternative names is nobody's: the common
        name is not looked at.
        """
        for subject in ("localhost", "127.0.0.1"):
            certificate = AUTHORITY.issue(subject=subject).certificate
            self.assertFalse(certificateMatchesHost(certificate, subject))

    def test_commonNameBeside(self) -> None:
        """
        The common name is not looked at beside other names either.
        """
        for name in ("other.example", "user@localhost", "127.0.0.1"):
            certificate = AUTHORITY.issue(name, subject="localhost").certificate
            self.assertFalse(certificateMatchesHost(certificate, "localhost"))

    def test_otherKindsOfNames(self) -> None:
        """
        A host that appears in another kind of name only is not matched.
        """
        for name in (
            x509.RFC822Name("localhost"),
            x509.UniformResourceIdentifier("https://localhost"),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.DirectoryName(AUTHORITY.certificate.subject),
            x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), b"\x16\x0a_localhost"),
            x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x16\x09localhost"),
        ):
            self.assertFalse(certificateMatchesHost(withNames(name), "localhost"), name)

    def test_oddNamesBeside(self) -> None:
        """
        A name that cannot be a host's, or is none, takes nothing from another
        name that is the host's, whatever their order.
        """
        good = x509.DNSName("www.example.com")
        for odd in (
            x509.DNSName("*.com"),
            x509.DNSName("a.*.com"),
            x509.DNSName("192.0.2.1"),
            x509.DNSName(""),
            x509.UniformResourceIdentifier("urn:example:device"),
            x509.UniformResourceIdentifier("https://example.com:8443/"),
            x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), b"\x04\x04junk"),
            x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
        ):
            for names in ((odd, good), (good, odd)):
                certificate = withNames(*names)
                self.assertTrue(certificateMatchesHost(certificate, "www.example.com"), odd)
                for host in ("example.com", "a.com", "192.0.2.1", ""):
                    self.assertFalse(certificateMatchesHost(certificate, host), (odd, host))

    def test_undecodable(self) -> None:
        """
        A certificate whose names cannot be decoded is nobody's, even where one
        of them could be.
        """
        for encoded in (
            b"",
            b"junk",
            b"\x30\x00",
            # The right name, then: one that ends too early, one that is no
            # ASCII, an address of three bytes.
            b"\x30\x0d\x82\x09localhost\x82\x09",
            b"\x30\x0e\x82\x09localhost\x82\x01\xff",
            b"\x30\x10\x82\x09localhost\x87\x03\x7f\x00\x00",
        ):
            certificate = withExtension(encoded)
            self.assertFalse(certificateMatchesHost(certificate, "localhost"), encoded)
        self.assertTrue(
            certificateMatchesHost(withExtension(b"\x30\x0b\x82\x09localhost"), "localhost")
        )

    def test_nul(self) -> None:
        """
        A name with a zero byte in it is not cut there.
        """
        certificate = withExtension(b"\x30\x10\x82\x0elocalhost\0evil")
        self.assertFalse(certificateMatchesHost(certificate, "localhost"))


class AsciiHostNameTests(SynchronousTestCase):
    """
    Tests for L{asciiHostName} and L{serverNameFor}.
    """

    def test_serverName(self) -> None:
        """
        A host is sent as A-labels without a final dot, and an address not at
        all.
        """
        for host, expected in SERVER_NAMES:
            self.assertEqual(serverNameFor(host), expected, host)

    def test_same(self) -> None:
        """
        What is sent is the name's form on the wire.
        """
        for host, expected in SERVER_NAMES:
            if expected is not None:
                self.assertEqual(asciiHostName(host), expected.decode(), host)

    def test_noHosts(self) -> None:
        """
        What is no host name is refused.
        """
        for host in NO_HOSTS:
            self.assertRaises(ValueError, serverNameFor, host)
            self.assertRaises(ValueError, asciiHostName, host)


class NameProblemTests(SynchronousTestCase):
    """
    Tests for L{nameProblem}.
    """

    def test_none(self) -> None:
        """
        There is none where the names match.
        """
        self.assertEqual(nameProblem(withNames(x509.DNSName("localhost")), "localhost"), "")

    def test_told(self) -> None:
        """
        The names that there are, the first ten of them, and the one that is
        wanted are told, in what no terminal minds.
        """
        many = [x509.DNSName(f"{number}.example") for number in range(11)]
        ten = ", ".join(each.value for each in many[:10])
        for names, words in (
            ([x509.DNSName("example.com")], "is for example.com, not for 'localhost'"),
            (
                many[:10],
                f"is for {ten}, not for 'localhost'",
            ),
            (many, f"is for {ten}, …, not for 'localhost'"),
            ([x509.RFC822Name("a@example.com")], "is for no host, not for 'localhost'"),
            ([x509.DNSName("a\x1b[2J")], "is for a\\x1b[2J, not for 'localhost'"),
        ):
            self.assertEqual(nameProblem(withNames(*names), "localhost"), words)


class UnicodeHostNameTests(SynchronousTestCase):
    """
    Tests for L{unicodeHostName}.
    """

    def test_decoded(self) -> None:
        """
        A-labels are shown as what they stand for, in whatever case they come.
        """
        for name in (ALABEL, ALABEL.upper(), ALABEL.title()):
            self.assertEqual(unicodeHostName(name), UNICODE)
        self.assertEqual(unicodeHostName(f"www.{ALABEL}"), f"www.{UNICODE}")

    def test_unchanged(self) -> None:
        """
        Any other name stays as it came, and so does one that is no IDNA.
        """
        for name in ("", "localhost", "WWW.Example.com", "a_b", "xn--", "xn--\ufffd", "a..xn--b"):
            self.assertEqual(unicodeHostName(name), name)

    def test_roundTrip(self) -> None:
        """
        What was sent for a name is shown as the name.
        """
        for host, expected in SERVER_NAMES:
            if expected is not None and not host.isascii():
                shown = unicodeHostName(expected.decode())
                self.assertEqual(asciiHostName(shown), expected.decode())
                self.assertFalse(shown.isascii())

    def test_noise(self) -> None:
        """
        Whatever a client sends as name, nothing is raised.
        """
        random = Random(2026)
        pieces = ["xn--", "XN--", "a", "-", ".", "9", "\ufffd", "\0", " ", "kva", "bcher", "z" * 70]
        for _ in range(3000):
            name = "".join(random.choice(pieces) for _ in range(random.randrange(9)))
            self.assertIsInstance(unicodeHostName(name), str)
