"""
Tests for L{txsslstream.access}: who is let in by the names in a certificate.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslPolicyErrors, SslServerAuthenticationOptions
from txsslstream.access import AccessRule, subjectOf
from txsslstream.testing import issuing
from txsslstream.testing.damage import patched

from .support import SERVER

_NAMES = {"CN": NameOID.COMMON_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


def certified(subject: str = "", *names: x509.GeneralName) -> x509.Certificate:
    """
    @param subject: what it has in its subject, such as C{CN=a,OU=b}.
    @param names: its alternative names.
    @return: a certificate with these names, signed by nobody that matters.
    """
    parts = [each.split("=", 1) for each in subject.split(",") if each]
    name = x509.Name([x509.NameAttribute(_NAMES[kind], value) for kind, value in parts])
    return issuing.certificate(
        name, extensions=[issuing.alternatives(*names)] if names else ()
    ).certificate


ALICE = certified("CN=alice,OU=engineers,OU=staff")
HOST = certified("", x509.DNSName("Client.Example.com"), x509.DNSName("*.example.org"))
SPIFFE = certified("", x509.UniformResourceIdentifier("spiffe://example.com/web"))


class AccessRuleTests(SynchronousTestCase):
    """
    Tests for L{AccessRule}.
    """

    def test_names(self) -> None:
        """
        One name of any kind lets in, compared as a whole, hosts' in either case
        and all else exactly.
        """
        for certificate, rule, isPermitted in (
            (ALICE, AccessRule(commonNames=["alice"]), True),
            (ALICE, AccessRule(commonNames=["bob", "alice"]), True),
            (ALICE, AccessRule(commonNames=["Alice"]), False),
            (ALICE, AccessRule(commonNames=["alic"]), False),
            (ALICE, AccessRule(commonNames=["alice "]), False),
            (ALICE, AccessRule(commonNames=["engineers"]), False),
            (ALICE, AccessRule(organizationalUnits=["engineers"]), True),
            (ALICE, AccessRule(organizationalUnits=["staff"]), True),
            (ALICE, AccessRule(organizationalUnits=["alice"]), False),
            (ALICE, AccessRule(commonNames=["bob"], organizationalUnits=["staff"]), True),
            (ALICE, AccessRule(dnsNames=["alice"], uris=["alice"]), False),
            (HOST, AccessRule(dnsNames=["client.example.com"]), True),
            (HOST, AccessRule(dnsNames=["CLIENT.example.com."]), True),
            (HOST, AccessRule(dnsNames=["example.com"]), False),
            (HOST, AccessRule(dnsNames=["www.example.org"]), False),
            (HOST, AccessRule(commonNames=["client.example.com"]), False),
            (HOST, AccessRule(uris=["client.example.com"]), False),
            (SPIFFE, AccessRule(uris=["spiffe://example.com/web"]), True),
            (SPIFFE, AccessRule(uris=["spiffe://example.com/"]), False),
            (SPIFFE, AccessRule(uris=["spiffe://EXAMPLE.com/web"]), False),
        ):
            self.assertIs(rule.permits(certificate), isPermitted, (certificate.subject, rule))

    def test_international(self) -> None:
        """
        The name of a host may be given in Unicode.
        """
        certificate = certified("", x509.DNSName("xn--bcher-kva.example"))
        self.assertTrue(AccessRule(dnsNames=["bücher.example"]).permits(certificate))

    def test_nobody(self) -> None:
        """
        A rule without names lets nobody in, and is false.
        """
        self.assertFalse(AccessRule())
        for certificate in (ALICE, HOST, SPIFFE, certified()):
            self.assertIs(AccessRule().permits(certificate), False)
        for name in ("commonNames", "organizationalUnits", "dnsNames", "uris"):
            self.assertTrue(AccessRule(**{name: ["x"]}))

    def test_noNames(self) -> None:
        """
        A certificate without names is nobody's.
        """
        rule = AccessRule([""], [""], ["localhost"], [""])
        self.assertIs(rule.permits(certified()), False)

    def test_unreadable(self) -> None:
        """
        A certificate with an alternative name that cannot be read lets nobody in
        by it.
        """
        good = certified("", x509.UniformResourceIdentifier("a://b")).public_bytes(
            serialization.Encoding.DER
        )
        bad = x509.load_der_x509_certificate(good.replace(b"\x86\x05a://b", b"\x87\x05a://b"))
        self.assertIs(AccessRule(uris=["a://b"]).permits(bad), False)

    def test_unreadableSubject(self) -> None:
        """
        A certificate with a subject that cannot be read lets nobody in by it, and
        has no name for the log.
        """
        good = issuing.certificate("\0name", extensions=[issuing.hosts("localhost")])
        for damage in (b"\x03\5\0name", b"\x0c\5\0nam\xff"):
            bad = patched(good, (b"\x0c\5\0name", damage)).certificate
            self.assertIs(AccessRule(["\0name"], ["\0name"]).permits(bad), False)
            self.assertIs(AccessRule(dnsNames=["localhost"]).permits(bad), True)
            self.assertEqual(subjectOf(bad), "with an unreadable name")

    def test_callback(self) -> None:
        """
        As a validation callback it refuses whoever has no certificate, or one
        with which anything is wrong, whatever its names.
        """
        rule = AccessRule(commonNames=["alice"])
        for certificate, errors, isPermitted in (
            (ALICE, SslPolicyErrors.None_, True),
            (HOST, SslPolicyErrors.None_, False),
            (None, SslPolicyErrors.None_, False),
            (None, SslPolicyErrors.RemoteCertificateNotAvailable, False),
            (ALICE, SslPolicyErrors.RemoteCertificateChainErrors, False),
            (ALICE, SslPolicyErrors.RemoteCertificateNameMismatch, False),
        ):
            self.assertIs(rule(None, certificate, None, errors), isPermitted)

    def test_value(self) -> None:
        """
        Equal rules are equal, and make equal options.
        """
        one = AccessRule(["a", "b"], dnsNames=["LOCALHOST"])
        other = AccessRule(("b", "a", "a"), dnsNames=iter(["localhost"]))
        self.assertEqual(one, other)
        self.assertEqual(hash(one), hash(other))
        self.assertNotEqual(one, AccessRule(["a"], dnsNames=["localhost"]))
        options = [
            SslServerAuthenticationOptions(
                SERVER, clientCertificateRequired=True, remoteCertificateValidationCallback=rule
            )
            for rule in (one, other)
        ]
        self.assertEqual(*options)

    def test_badValues(self) -> None:
        """
        One text where there should be several, and what is no name of a host, is
        refused.
        """
        for name in ("commonNames", "organizationalUnits", "dnsNames", "uris"):
            self.assertRaises(TypeError, AccessRule, **{name: "text"})
        for host in ("", "*.example.com", "a b", "a..b"):
            self.assertRaises(ValueError, AccessRule, dnsNames=[host])


class SubjectTests(SynchronousTestCase):
    """
    Tests for L{subjectOf}.
    """

    def test_subject(self) -> None:
        """
        Whoever a certificate is of is told by its subject, or else by its other
        names, in one printable line that is not too long.
        """
        for certificate, name in (
            (ALICE, "OU=staff,OU=engineers,CN=alice"),
            (HOST, "Client.Example.com,*.example.org"),
            (SPIFFE, "spiffe://example.com/web"),
            (certified(), "without a name"),
            (certified("CN=a\nb\x1b[1m"), "CN=a\\nb\\x1b[1m"),
        ):
            self.assertEqual(subjectOf(certificate), name)
        long = certified("CN=" + "x" * 64 + ",OU=" + "y" * 64 + ",OU=" + "z" * 64 + ",CN=w")
        self.assertLessEqual(len(subjectOf(long)), 200)
