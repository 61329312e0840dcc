"""
Tests for L{txsslstream.certificatefacts}: what a certificate says of itself.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, x25519
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from tests.chains import withLongSignature
from tests.corpus import changed
from txsslstream import certificatefacts
from txsslstream.certificatefacts import (
    CertificateFacts,
    comesFrom,
    factsOf,
    isSignedBy,
    keyTypesOf,
    readableName,
)
from txsslstream.testing import newKey, rsaKey
from txsslstream.testing.damage import (
    ECDSA_SHA256,
    ECDSA_UNKNOWN,
    RSA_MD5,
    RSA_SHA1,
    RSA_SHA256,
    patched,
    unreadable,
    weaklySigned,
)
from txsslstream.testing.issuing import (
    Issued,
    authority,
    certificate,
    distinguishedName,
    ecKey,
    enormous,
    hosts,
    keyUsage,
)

ROOT = authority("Root", key=ecKey())
RSA_ROOT = authority("RSA Root", key=rsaKey())

IDENTIFIED = (x509.SubjectKeyIdentifier(b"i" * 20), False)
PUBLIC_DSA = dsa.DSAPublicNumbers(
    3, dsa.DSAParameterNumbers(1 << 2047 | 1, 1 << 255 | 1, 2)
).public_key()


def facts(
    subject: str | x509.Name = "leaf", issuer: Issued = ROOT, key: Any = None, **arguments: Any
) -> CertificateFacts:
    """
    What such a certificate says of itself.

    @param arguments: of L{certificate}.
    """
    return factsOf(certificate(subject, issuer, key, **arguments).certificate)


class ExtensionTests(SynchronousTestCase):
    """
    Tests for the extensions.
    """

    def test_none(self) -> None:
        """
        A certificate without extensions says nothing, and there is nothing
        wrong with that.
        """
        said = facts()
        self.assertEqual(
            (said.problem, said.extensions, said.unknownCritical, said.mapsPolicies),
            (None, {}, (), False),
        )
        self.assertIsNone(said.get(x509.BasicConstraints))
        self.assertFalse(said.isCritical(x509.BasicConstraints))
        self.assertFalse(said.isAuthority)
        self.assertIsNone(said.subjectKeyIdentifier)
        self.assertIsNone(said.authorityKeyIdentifier)
        self.assertFalse(said.requiresStaple)

    def test_read(self) -> None:
        """
        Each extension can be had by its type, with whether it is critical.
        """
        constraints = x509.BasicConstraints(True, 3)
        said = facts(
            extensions=[
                (constraints, True),
                (x509.SubjectKeyIdentifier(b"subject"), False),
                (x509.AuthorityKeyIdentifier(b"issuer", None, None), False),
                (x509.TLSFeature([x509.TLSFeatureType.status_request]), False),
            ]
        )
        self.assertEqual(said.get(x509.BasicConstraints), constraints)
        self.assertTrue(said.isCritical(x509.BasicConstraints))
        self.assertFalse(said.isCritical(x509.TLSFeature))
        self.assertTrue(said.isAuthority)
        self.assertEqual(said.subjectKeyIdentifier, b"subject")
        self.assertEqual(said.authorityKeyIdentifier, b"issuer")
        self.assertTrue(said.requiresStaple)

    def test_denied(self) -> None:
        """
        What says that it is no authority's is none; an identifier of the issuer
        by name and number is none of its key; another TLS feature requires no
        staple.
        """
        said = facts(
            extensions=[
                (x509.BasicConstraints(False, None), True),
                (
                    x509.AuthorityKeyIdentifier(
                        None, [x509.DirectoryName(distinguishedName("x"))], 1
                    ),
                    False,
                ),
                (x509.TLSFeature([x509.TLSFeatureType.status_request_v2]), False),
            ]
        )
        self.assertFalse(said.isAuthority)
        self.assertIsNone(said.authorityKeyIdentifier)
        self.assertFalse(said.requiresStaple)

    def test_unknownCritical(self) -> None:
        """
        Critical extensions that are not understood are listed, others are not.
        """
        unknown = [
            (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.{n}"), b"\x05\x00"), n < 5)
            for n in (3, 4, 5)
        ]
        said = facts(extensions=[*unknown, hosts("a.example")])
        self.assertEqual(said.unknownCritical, ("1.2.3", "1.2.4"))
        self.assertIsNone(said.problem)
        self.assertIsNotNone(said.get(x509.SubjectAlternativeName))

    def test_understoodCritical(self) -> None:
        """
        Every extension that is heeded, or asks nothing, may be critical; one
        that is read but not heeded may not.
        """
        point = x509.DistributionPoint(
            [x509.UniformResourceIdentifier("http://a.example/")], None, None, None
        )
        policy = x509.ObjectIdentifier("1.2.3")
        understood: list[x509.ExtensionType] = [
            x509.BasicConstraints(False, None),
            keyUsage("digital_signature")[0],
            x509.ExtendedKeyUsage([policy]),
            x509.SubjectAlternativeName([x509.DNSName("a.example")]),
            x509.NameConstraints([x509.DNSName("a.example")], None),
            x509.CertificatePolicies([x509.PolicyInformation(policy, None)]),
            x509.PolicyConstraints(0, None),
            x509.InhibitAnyPolicy(0),
            x509.AuthorityKeyIdentifier(b"i", None, None),
            x509.SubjectKeyIdentifier(b"s"),
            x509.IssuerAlternativeName([x509.DNSName("a.example")]),
            x509.CRLDistributionPoints([point]),
            x509.TLSFeature([x509.TLSFeatureType.status_request]),
        ]
        said = facts(extensions=[(each, True) for each in understood])
        self.assertEqual(said.unknownCritical, ())
        self.assertEqual(len(said.extensions), len(understood))
        for other in (
            x509.FreshestCRL([point]),
            x509.OCSPNoCheck(),
            x509.PrecertPoison(),
            x509.AuthorityInformationAccess(
                [x509.AccessDescription(policy, x509.DNSName("a.example"))]
            ),
        ):
            said = facts(extensions=[(other, True)])
            self.assertEqual(said.unknownCritical, (other.oid.dotted_string,))

    def test_mapsPolicies(self) -> None:
        """
        That policies are mapped is noted.
        """
        mappings = x509.ObjectIdentifier("2.5.29.33")
        said = facts(extensions=[(x509.UnrecognizedExtension(mappings, b"\x30\x00"), False)])
        self.assertTrue(said.mapsPolicies)
        self.assertEqual(said.unknownCritical, ())

    def test_unreadable(self) -> None:
        """
        If one extension is damaged, none is believed, and the reason is said.
        """
        good = certificate("leaf", ROOT, extensions=[IDENTIFIED, hosts("a.example")])
        self.assertIsNone(factsOf(good.certificate).problem)
        said = factsOf(unreadable(good).certificate)
        self.assertIn("error parsing asn1 value", said.problem or "")
        self.assertEqual(said.extensions, {})
        self.assertIsNone(said.keyProblem)

    def test_duplicate(self) -> None:
        """
        Two extensions of a kind are none that could be believed.
        """
        one, other = (x509.ObjectIdentifier(f"1.2.{each}") for each in (3, 4))
        twice = certificate(
            "leaf",
            ROOT,
            extensions=[
                (x509.UnrecognizedExtension(one, b"\x05\x00"), False),
                (x509.UnrecognizedExtension(other, b"\x05\x00"), False),
            ],
        )
        self.assertIsNone(factsOf(twice.certificate).problem)
        said = factsOf(patched(twice, (b"\x06\x02\x2a\x04", b"\x06\x02\x2a\x03")).certificate)
        self.assertIn("Duplicate 1.2.3 extension found", said.problem or "")

    def test_anyException(self) -> None:
        """
        Whatever reading the extensions raises is a reason of at most 200
        characters in one line.
        """

        class Damaged:
            serial_number = 1
            signature_hash_algorithm = hashes.SHA256()
            subject = issuer = distinguishedName("x")
            error: Exception = TypeError("a\n  b" * 100)

            @property
            def extensions(self) -> None:
                raise self.error

            def public_key(self) -> None:
                raise self.error

            def public_bytes(self, _: object) -> bytes:
                return b""

        damaged: Any = Damaged()
        said = factsOf(damaged)
        self.assertTrue((said.problem or "").startswith("a ba b"))
        self.assertEqual(len(said.problem or ""), 200)
        self.assertTrue((said.keyProblem or "").startswith("has an unreadable key: a ba b"))
        self.assertIsNone(said.key)
        empty: Any = Damaged()
        empty.error = RuntimeError()
        self.assertEqual(factsOf(empty).problem, "RuntimeError")


class NameTests(SynchronousTestCase):
    """
    Tests for names.
    """

    def test_selfIssued(self) -> None:
        """
        Whoever calls itself the issuer is self-issued, signed or not.
        """
        self.assertTrue(factsOf(ROOT.certificate).isSelfIssued)
        self.assertTrue(facts("leaf", issuerName="leaf").isSelfIssued)
        self.assertFalse(facts("leaf").isSelfIssued)
        self.assertFalse(facts("root").isSelfIssued)

    def test_unreadable(self) -> None:
        """
        A damaged name is a fact, the other name and the key remain.
        """
        leaf = certificate("Leafname", ROOT, ecKey(1), [hosts("a.example")])
        said = factsOf(patched(leaf, (b"Leafname", b"\xff\xfeafname")).certificate)
        self.assertEqual(said.problem, "a name is damaged")
        self.assertEqual((said.subject, said.issuer), (None, distinguishedName("Root")))
        self.assertFalse(said.isSelfIssued)
        self.assertIsNotNone(said.key)
        self.assertEqual(said.name, "with an unreadable name")
        said = factsOf(patched(leaf, (b"Root", b"\xff\xfeot")).certificate)
        self.assertEqual(said.problem, "a name is damaged")
        self.assertEqual((said.subject, said.issuer), (distinguishedName("Leafname"), None))
        both = patched(
            certificate("Sames", issuerName="Sames"), (b"Sames", b"\xff\xfemes")
        ).certificate
        self.assertFalse(factsOf(both).isSelfIssued)

    def test_bitString(self) -> None:
        """
        A name in which a bit string is where only text can be is damaged, too.
        """
        leaf = certificate("\0name", issuerName="\0other")
        for text, whose in ((b"\0name", "subject"), (b"\0other", "issuer")):
            head = bytes((len(text),)) + text
            said = factsOf(patched(leaf, (b"\x0c" + head, b"\x03" + head)).certificate)
            self.assertEqual(said.problem, "a name is damaged")
            self.assertIsNone(getattr(said, whose))
            self.assertEqual(said.name == "with an unreadable name", whose == "subject")

    def test_readable(self) -> None:
        """
        Somebody is called by the last common name, or by the whole subject.
        """
        attributes = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Inc"),
            x509.NameAttribute(NameOID.COMMON_NAME, "first"),
            x509.NameAttribute(NameOID.COMMON_NAME, "last"),
        ]
        for subject, expected in (
            (x509.Name(attributes), "last"),
            (x509.Name(attributes[:1]), "O=Inc"),
            (x509.Name([]), ""),
            (distinguishedName("a\x1b[31m\nb\u202ec"), "a?[31m?b?c"),
            (distinguishedName("x" * 64), "x" * 64),
            (distinguishedName("é" * 32), "é" * 32),
        ):
            self.assertEqual(
                readableName(certificate(subject, ROOT, ecKey(1)).certificate), expected
            )

    def test_long(self) -> None:
        """
        More than 64 characters are shortened to 64.
        """
        subject = x509.Name([x509.NameAttribute(NameOID.STREET_ADDRESS, "x" * 65)])
        readable = readableName(certificate(subject, ROOT, ecKey(1)).certificate)
        self.assertEqual(len(readable), 64)
        self.assertTrue(readable.endswith("x…"))


class KeyTests(SynchronousTestCase):
    """
    Tests for keys.
    """

    def problem(self, key: Any) -> str | None:
        """
        @return: what is wrong with a key.
        """
        return facts(key=key).keyProblem

    def test_rsa(self) -> None:
        """
        RSA keys have 2048 to 16384 bits.
        """
        for bits, expected in (
            (1024, "has an RSA key of 1024 bits, less than 2048"),
            (2047, "has an RSA key of 2047 bits, less than 2048"),
            (2048, None),
            (2052, None),
            (16384, None),
            (16385, "has an RSA key of 16385 bits, more than 16384"),
            (16400, "has an RSA key of 16400 bits, more than 16384"),
        ):
            self.assertEqual(self.problem(enormous(bits)), expected)

    def test_ec(self) -> None:
        """
        EC keys have at least 224 bits.
        """
        self.assertEqual(
            self.problem(ec.generate_private_key(ec.SECP192R1())),
            "has an EC key of 192 bits, less than 224",
        )
        for curve in (ec.SECP224R1(), ec.SECP256R1(), ec.SECP521R1(), ec.BrainpoolP256R1()):
            self.assertIsNone(self.problem(ec.generate_private_key(curve)))

    def test_others(self) -> None:
        """
        Edwards curves are good; DSA and keys that only agree are not.
        """
        self.assertIsNone(self.problem(ed25519.Ed25519PrivateKey.generate()))
        self.assertIsNone(self.problem(ed448.Ed448PrivateKey.generate()))
        self.assertEqual(self.problem(PUBLIC_DSA), "has a DSA key, which TLS has no use for")
        self.assertEqual(
            self.problem(x25519.X25519PrivateKey.generate()),
            "has a key that cannot sign: X25519PublicKey",
        )

    def test_unreadable(self) -> None:
        """
        A point that is on no curve is no key.
        """
        leaf = certificate("leaf", ROOT, ecKey(1))
        numbers = ecKey(1).public_key().public_numbers()
        point = b"\x04" + numbers.x.to_bytes(32, "big")
        said = factsOf(patched(leaf, (point, b"\x04" + b"\x00" * 31 + b"\x07")).certificate)
        self.assertIsNone(said.key)
        self.assertIsNone(said.verifyingKey)
        self.assertTrue((said.keyProblem or "").startswith("has an unreadable key: "))

    def test_verifyingKey(self) -> None:
        """
        A key verifies unless it is enormous; weakness is no obstacle.
        """
        for bits, verifies in ((1024, True), (16384, True), (16385, False)):
            said = facts(key=enormous(bits))
            self.assertIsNotNone(said.key)
            self.assertEqual(said.verifyingKey is not None, verifies)


class SignatureTests(SynchronousTestCase):
    """
    Tests for signatures and their algorithms.
    """

    def test_good(self) -> None:
        """
        SHA-2 and SHA-3 are good, with whatever padding, and so is what has no
        digest.
        """
        for digest in (hashes.SHA224(), hashes.SHA256(), hashes.SHA512(), hashes.SHA3_256()):
            said = facts(digest=digest)
            self.assertEqual((said.digest, said.signatureProblem), (digest.name, None))
        pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
        said = facts(issuer=RSA_ROOT, digest=hashes.SHA384(), padding=pss)
        self.assertEqual((said.digest, said.signatureProblem), ("sha384", None))
        for key in (ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()):
            said = facts(issuer=authority("Edwards", key=key))
            self.assertEqual((said.digest, said.signatureProblem), ("", None))

    def test_weak(self) -> None:
        """
        SHA-1 and MD5 are not.
        """
        leaf = certificate("leaf", RSA_ROOT)
        for oid, expected in ((RSA_SHA1, "SHA-1"), (RSA_MD5, "MD5")):
            said = factsOf(patched(leaf, (RSA_SHA256, oid)).certificate)
            self.assertEqual(said.signatureProblem, f"is signed with {expected}")

    def test_unknown(self) -> None:
        """
        An algorithm that nobody knows is no good.
        """
        leaf = patched(certificate("leaf", ROOT), (ECDSA_SHA256, ECDSA_UNKNOWN))
        said = factsOf(leaf.certificate)
        self.assertIsNone(said.digest)
        self.assertEqual(
            said.signatureProblem, "is signed with an unknown algorithm: 1.2.840.10045.4.3.127"
        )

    def test_isSignedBy(self) -> None:
        """
        A signature is that of one key, whatever the algorithm.
        """
        for key in (
            ecKey(1),
            rsaKey(),
            ed25519.Ed25519PrivateKey.generate(),
            ed448.Ed448PrivateKey.generate(),
        ):
            issuer = authority("Issuer", key=key)
            twin = authority("Issuer", key=ecKey(2))
            leaf = certificate("leaf", issuer).certificate
            self.assertTrue(isSignedBy(leaf, issuer.certificate))
            self.assertTrue(isSignedBy(issuer.certificate, issuer.certificate))
            self.assertFalse(isSignedBy(leaf, twin.certificate))

    def test_isSignedByPadded(self) -> None:
        """
        A signature with RSASSA-PSS is one, with a salt of any length.
        """
        for salt in (0, 32, 222):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
            leaf = certificate("leaf", RSA_ROOT, padding=pss)
            self.assertTrue(isSignedBy(leaf.certificate, RSA_ROOT.certificate))
            damaged = patched(leaf, (b"leaf", b"lead"))
            self.assertFalse(isSignedBy(damaged.certificate, RSA_ROOT.certificate))

    def test_isSignedByWeak(self) -> None:
        """
        A signature with a weak digest is none, though it is that of the key.
        """
        for digest in ("sha1", "md5"):
            leaf = weaklySigned(certificate("leaf", RSA_ROOT), rsaKey(), digest)
            self.assertFalse(isSignedBy(leaf.certificate, RSA_ROOT.certificate), digest)

    def test_comesFrom(self) -> None:
        """
        But it shows where the certificate comes from, to which the name
        belongs, too.
        """
        namesake = authority("RSA Root", key=rsaKey(1))
        stranger = authority("Stranger", key=rsaKey())
        plain = certificate("leaf", RSA_ROOT)
        weak = [weaklySigned(plain, rsaKey(), digest) for digest in ("sha1", "md5")]
        for leaf in (plain, *weak):
            self.assertTrue(comesFrom(leaf.certificate, RSA_ROOT.certificate))
            for other in (namesake, stranger, authority("RSA Root", key=ecKey(1))):
                self.assertFalse(comesFrom(leaf.certificate, other.certificate))
        damaged = patched(weak[0], (b"leaf", b"lead"))
        self.assertFalse(comesFrom(damaged.certificate, RSA_ROOT.certificate))
        enormous_ = authority("RSA Root", ROOT, enormous(16385))
        self.assertFalse(comesFrom(weak[0].certificate, enormous_.certificate))
        old = changed(
            certificate("leaf", ROOT).certificate,
            ROOT.key,
            bytes.fromhex("300a06082a8648ce3d040302"),
            bytes.fromhex("300906072a8648ce3d0401"),
            hashes.SHA1(),
        )
        self.assertFalse(isSignedBy(old, ROOT.certificate))
        self.assertTrue(comesFrom(old, ROOT.certificate))
        self.assertFalse(comesFrom(old, authority("Root", key=ecKey(9)).certificate))

    def test_isNotSignedBy(self) -> None:
        """
        Damage, another algorithm, a key that cannot verify or be read: none of
        this is a signature, and none raises.
        """
        issuer = authority("Issuer", key=ecKey(3))
        leaf = certificate("leaf", issuer)
        for wrong in (
            patched(leaf, (b"leaf", b"lead")),
            patched(leaf, (ECDSA_SHA256, ECDSA_UNKNOWN)),
            certificate("leaf", Issued(issuer.certificate, rsaKey())),
        ):
            self.assertFalse(isSignedBy(wrong.certificate, issuer.certificate))
        for key in (PUBLIC_DSA, x25519.X25519PrivateKey.generate().public_key(), enormous(2048)):
            twin = authority("Issuer", ROOT, key)
            self.assertFalse(isSignedBy(leaf.certificate, twin.certificate))

    def test_remembered(self) -> None:
        """
        What was verified is remembered, a bounded number of times, but not the
        certificates; of certificates, few, and of large ones fewer.
        """
        compared = []

        def compare(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
            compared.append((certificate, issuer))
            return True

        remembering = certificatefacts._remembering(compare)
        self.patch(certificatefacts, "_MOST_SIGNATURES", 2)
        one, two, three = (authority(each, key=ecKey(1)).certificate for each in "123")
        pairs = [(one, two), (one, two), (two, one), (one, two), (one, three), (one, two)]
        for pair in pairs:
            self.assertTrue(remembering(*pair))
        self.assertEqual(compared, [(one, two), (two, one), (one, three)])
        self.assertTrue(remembering(two, one))
        self.assertEqual(len(compared), 4)
        named = [hosts(*(f"{number}.{'a' * 60}" for number in range(100)))]
        for _ in range(certificatefacts._MOST_LARGE + 1):
            issued = certificate("leaf", ROOT, extensions=named).certificate
            self.assertIs(factsOf(issued), factsOf(issued))
        after = certificatefacts._readLarge.cache_info()
        self.assertEqual(after.currsize, certificatefacts._MOST_LARGE)
        factsOf(withLongSignature(one, certificatefacts._SMALL_BYTES))
        self.assertEqual(certificatefacts._readLarge.cache_info().misses, after.misses + 1)

    def test_enormous(self) -> None:
        """
        An enormous key verifies nothing, without being tried.
        """
        tried = []

        class Leaf:
            def fingerprint(self, digest: hashes.HashAlgorithm) -> bytes:
                return b"leaf"

            def verify_directly_issued_by(self, issuer: x509.Certificate) -> None:
                tried.append(issuer)

        issuers = [authority("Issuer", ROOT, enormous(bits)).certificate for bits in (16384, 16385)]
        leaf: Any = Leaf()
        self.assertEqual(
            [isSignedBy(leaf, each) for each in issuers],
            [True, False],
        )
        self.assertEqual(tried, issuers[:1])


class KeyTypesTests(SynchronousTestCase):
    """
    Tests for L{keyTypesOf}.
    """

    def test_kinds(self) -> None:
        """
        A key is of the kind that signs; on a curve of ECDSA's, of that curve as
        well.
        """
        for key, kinds in (
            (rsaKey(), {"RSA"}),
            (newKey(), {"ECDSA", "ECDSA secp256r1"}),
            (ec.generate_private_key(ec.SECP521R1()), {"ECDSA", "ECDSA secp521r1"}),
            (ec.generate_private_key(ec.BrainpoolP384R1()), {"ECDSA", "ECDSA brainpoolP384r1"}),
            (ed25519.Ed25519PrivateKey.generate(), {"Ed25519"}),
            (ed448.Ed448PrivateKey.generate(), {"Ed448"}),
        ):
            self.assertEqual(keyTypesOf(certificate("leaf", ROOT, key).certificate), kinds)

    def test_others(self) -> None:
        """
        Of the keys that are not for TLS nothing is said.
        """
        for key in (PUBLIC_DSA, x25519.X25519PrivateKey.generate().public_key()):
            self.assertEqual(keyTypesOf(certificate("leaf", ROOT, key).certificate), set())
