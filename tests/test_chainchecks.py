"""
Tests for L{txsslstream.chainchecks}: everything that is wrong with each
certificate of a path.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, padding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from tests.chains import NOTHING_MORE
from txsslstream.chainchecks import Criteria, certificateFindings
from txsslstream.crossing import Finding
from txsslstream.enums import X509ChainStatusFlags
from txsslstream.nameconstraints import Comparison
from txsslstream.testing import DAY, NOW, rsaKey
from txsslstream.testing.damage import (
    ECDSA_SHA256,
    ECDSA_UNKNOWN,
    patched,
    unreadable,
    weaklySigned,
    withSerial,
)
from txsslstream.testing.issuing import (
    Extension,
    Issued,
    authority,
    certificate,
    distinguishedName,
    ecKey,
    enormous,
    excluding,
    hosts,
    keyUsage,
    line,
    permitting,
)

S = X509ChainStatusFlags
USAGE = ExtendedKeyUsageOID
SECOND = datetime.timedelta(seconds=1)

ROOT = authority("Root", key=ecKey())
MIDDLE = authority("Middle", ROOT, ecKey(1))
LEAF = certificate("leaf", MIDDLE, ecKey(2))
WEAK: tuple[tuple[Literal["sha1", "md5"], str], ...] = (("sha1", "SHA-1"), ("md5", "MD5"))
RSA_ROOT = authority("RSA Root", key=rsaKey())

IDENTIFIED = (x509.SubjectKeyIdentifier(b"i" * 20), False)
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True)

SERIAL = "has no positive serial number of at most 20 bytes"


def usages(*identifiers: x509.ObjectIdentifier) -> Extension:
    """
    The extension for these extended key usages.
    """
    return x509.ExtendedKeyUsage(identifiers), False


def asking(**criteria: Any) -> Criteria:
    """
    What a path has to meet.
    """
    return dataclasses.replace(NOTHING_MORE, **criteria)


class ChecksTests(SynchronousTestCase):
    """
    Tests for L{certificateFindings}.
    """

    def check(
        self,
        path: tuple[Issued, ...],
        *expected: tuple[int, S, str],
        criteria: Criteria = NOTHING_MORE,
        isAnchored: bool = True,
    ) -> None:
        """
        Compare what is found with what is expected, in order.
        """
        self.assertEqual(
            certificateFindings(line(*path), criteria, isAnchored),
            [Finding(*each) for each in expected],
        )

    def checkEverywhere(self, expected: tuple[S, str], extension: Extension) -> None:
        """
        The same is wrong with a leaf, an intermediate and an anchor that have
        this extension.
        """
        self.check((certificate("leaf", ROOT, extensions=[extension]), ROOT), (0, *expected))
        middle = authority("Middle", ROOT, extensions=[extension])
        self.check((certificate("leaf", middle), middle, ROOT), (1, *expected))
        root = authority("Root", extensions=[extension])
        self.check((certificate("leaf", root), root), (1, *expected))

    def test_good(self) -> None:
        """
        There is nothing wrong with certificates that say little: no key
        identifiers, no key usage, no names.
        """
        self.check((LEAF, MIDDLE, ROOT))
        self.check((LEAF, MIDDLE), isAnchored=False)
        self.check((ROOT,))
        self.check((LEAF,))

    # Time.

    def test_time(self) -> None:
        """
        A certificate is valid from its first second to the end of its last one
        (RFC 5280 section 4.1.2.5).
        """
        leaf = certificate("leaf", ROOT, notBefore=NOW - SECOND, notAfter=NOW + SECOND)
        almost = datetime.timedelta(microseconds=999_999)
        early = (0, S.NotTimeValid, f"is not valid before {NOW - SECOND:%Y-%m-%d %H:%M:%S} UTC")
        late = (0, S.NotTimeValid, f"expired {NOW + SECOND:%Y-%m-%d %H:%M:%S} UTC")
        for moment, expected in (
            (NOW - SECOND, []),
            (NOW - SECOND - SECOND + almost, [early]),
            (NOW + SECOND, []),
            (NOW + SECOND + almost, []),
            (NOW + SECOND + SECOND, [late]),
        ):
            self.check((leaf, ROOT), *expected, criteria=asking(time=moment))

    def test_midnight(self) -> None:
        """
        A whole day is said without its time.
        """
        day = datetime.datetime(2020, 2, 29, tzinfo=datetime.timezone.utc)
        leaf = certificate("leaf", ROOT, notBefore=day - DAY, notAfter=day)
        self.check((leaf, ROOT), (0, S.NotTimeValid, "expired 2020-02-29"))
        root = authority("Root", key=ecKey(), notBefore=day)
        leaf = certificate("leaf", root, notBefore=day)
        expected = "is not valid before 2020-02-29"
        self.check(
            (leaf, root),
            (0, S.NotTimeValid, expected),
            (1, S.NotTimeValid, expected),
            criteria=asking(time=day - SECOND),
        )

    def test_timeEverywhere(self) -> None:
        """
        No certificate is exempt, not even an anchor.
        """
        old: dict[str, Any] = {"notBefore": NOW - 3 * DAY, "notAfter": NOW - DAY}
        words = f"expired {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC"
        middle = authority("Middle", ROOT, **old)
        self.check((certificate("leaf", middle), middle, ROOT), (1, S.NotTimeValid, words))
        root = authority("Root", **old)
        self.check((certificate("leaf", root), root), (1, S.NotTimeValid, words))
        self.check((root,), (0, S.NotTimeValid, words))

    # Form.

    def test_unreadable(self) -> None:
        """
        A certificate that cannot be read is no good anywhere, and nothing is
        said of what it might have said.
        """
        leaf = unreadable(certificate("leaf", ROOT, extensions=[IDENTIFIED]))
        [first, second] = certificateFindings(line(leaf, ROOT), NOTHING_MORE, True)
        self.assertEqual((first.depth, first.status), (0, S.InvalidExtension))
        self.assertTrue(first.information.startswith("cannot be read: error parsing asn1 value"))
        self.assertEqual(second.status, S.NotSignatureValid)
        root = unreadable(authority("Root", key=ecKey(), extensions=[IDENTIFIED]))
        [finding] = certificateFindings(line(certificate("leaf", root), root), NOTHING_MORE, True)
        self.assertEqual((finding.depth, finding.status), (1, S.InvalidExtension))
        nameless = unreadable(certificate("", extensions=[IDENTIFIED]))
        found = certificateFindings(line(nameless), NOTHING_MORE, True)
        self.assertEqual(
            [each.information[:16] for each in found], ["cannot be read: ", "has no issuer's "]
        )

    def test_unreadableNames(self) -> None:
        """
        Nor is one with a damaged name.
        """
        leaf = certificate("Leafname", ROOT)
        for old, new in ((b"Leafname", b"\xff\xfeafname"), (b"Root", b"\xff\xfeot")):
            self.check(
                (patched(leaf, (old, new)), ROOT),
                (0, S.InvalidExtension, "cannot be read: a name is damaged"),
                (0, S.NotSignatureValid, "is not signed with the key of certificate 2"),
            )

    def test_unknownCritical(self) -> None:
        """
        Each critical extension that is not understood is said, of every
        certificate; if it is not critical it does not matter.
        """
        words = "has a critical extension that is not supported: 1.2.3"
        self.checkEverywhere((S.HasNotSupportedCriticalExtension, words), UNKNOWN)
        self.check((certificate("leaf", ROOT, extensions=[(UNKNOWN[0], False)]), ROOT))
        other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.4"), b"\x05\x00")
        two = certificate("leaf", ROOT, extensions=[UNKNOWN, (other, True)])
        self.check(
            (two, ROOT),
            (0, S.HasNotSupportedCriticalExtension, words),
            (0, S.HasNotSupportedCriticalExtension, words[:-1] + "4"),
        )

    def test_serial(self) -> None:
        """
        Serial numbers are positive and of at most 20 bytes; a root's may be any,
        and that of one that is trusted by itself may be 0 or long.
        """
        words = (S.InvalidExtension, SERIAL)
        given = certificate("leaf", ROOT, ecKey(2))
        for serial, isGood, isGoodAnchor in (
            (b"\x01", True, True),
            (b"\x7f" + b"\xff" * 19, True, True),
            (b"\x00" + b"\xff" * 20, True, True),
            (b"\x01" + b"\x00" * 20, False, True),
            (b"\x00", False, True),
            (b"\xff", False, False),
            (b"\x80" + b"\x00" * 19, False, False),
        ):
            leaf = withSerial(given, ROOT, serial)
            self.check((leaf, ROOT), *([] if isGood else [(0, *words)]))
            self.check((leaf,), *([] if isGoodAnchor else [(0, *words)]))
            root = withSerial(ROOT, ROOT, serial)
            self.check((certificate("leaf", root), root))
        # What there is to say, cryptography says as well.
        self.flushWarnings()

    def test_noNames(self) -> None:
        """
        Without a subject the alternative name must be critical; there is always
        an issuer.
        """
        critical = (hosts("a.example")[0], True)
        words = "has neither a subject nor a critical subjectAltName"
        self.check((certificate("", ROOT, extensions=[critical]), ROOT))
        for extensions in ([], [hosts("a.example")]):
            self.check(
                (certificate("", ROOT, extensions=extensions), ROOT),
                (0, S.InvalidExtension, words),
            )
        nameless = authority("", ROOT)
        self.check(
            (certificate("leaf", nameless), nameless, ROOT),
            (0, S.InvalidExtension, "has no issuer's name"),
            (1, S.InvalidExtension, words),
        )

    def test_criticalIdentifiers(self) -> None:
        """
        Key identifiers are not critical (RFC 5280 sections 4.2.1.1, 4.2.1.2).
        """
        key = x509.AuthorityKeyIdentifier(b"i", None, None)
        for extension, word in ((key, "authority"), (x509.SubjectKeyIdentifier(b"i"), "subject")):
            self.checkEverywhere(
                (S.InvalidExtension, f"has a critical {word}KeyIdentifier, which must not be"),
                (extension, True),
            )
            self.check((certificate("leaf", ROOT, extensions=[(extension, False)]), ROOT))

    def test_emptyIdentifier(self) -> None:
        """
        An identifier of the issuer's key identifies something.
        """
        general = [x509.DirectoryName(distinguishedName("Root"))]
        self.checkEverywhere(
            (S.InvalidExtension, "has an authorityKeyIdentifier that identifies nothing"),
            (x509.AuthorityKeyIdentifier(None, None, None), False),
        )
        for good in (
            x509.AuthorityKeyIdentifier(b"i", None, None),
            x509.AuthorityKeyIdentifier(None, general, 1),
        ):
            self.check((certificate("leaf", ROOT, extensions=[(good, False)]), ROOT))

    def test_contradiction(self) -> None:
        """
        A self-signed certificate names its own key if it names any; one that is
        self-issued alone may name another.
        """
        identifiers = [IDENTIFIED, (x509.AuthorityKeyIdentifier(b"x", None, None), False)]
        words = "is self-signed, but names another key as its issuer's"
        signed = authority("Root", key=ecKey(), extensions=identifiers)
        self.check((signed,), (0, S.InvalidExtension, words))
        issued = authority("Root", ROOT, ecKey(3), identifiers)
        self.check((certificate("leaf", issued), issued, ROOT))
        for extensions in (
            identifiers[:1],
            identifiers[1:],
            [IDENTIFIED, (x509.AuthorityKeyIdentifier(b"i" * 20, None, None), False)],
        ):
            self.check((authority("Root", key=ecKey(), extensions=extensions),))

    def test_version1(self) -> None:
        """
        A certificate without any extension is good for a leaf, but issues
        nothing.
        """
        old = certificate("Old", ROOT)
        self.check((old, ROOT))
        self.check((certificate("Old"),))
        self.check(
            (certificate("leaf", old), old, ROOT),
            (1, S.InvalidBasicConstraints, "is no certificate of an authority, but issued one"),
        )

    # Strength.

    def test_keys(self) -> None:
        """
        A weak or odd key is weak anywhere.
        """
        for bits, words in (
            (1024, "has an RSA key of 1024 bits, less than 2048"),
            (2047, "has an RSA key of 2047 bits, less than 2048"),
            (2052, "has an RSA key of 2052 bits, no whole bytes"),
            (16400, "has an RSA key of 16400 bits, more than 16384"),
        ):
            key = enormous(bits)
            weak = (S.HasWeakSignature, words)
            self.check((certificate("leaf", ROOT, key), ROOT), (0, *weak))
            self.check((authority("Middle", ROOT, key),), (0, *weak))
            middle = authority("Middle", ROOT, key)
            self.check(
                (certificate("leaf", Issued(middle.certificate, ecKey())), middle, ROOT),
                (0, S.NotSignatureValid, "is not signed with the key of certificate 2"),
                (1, *weak),
            )
        for bits in (2048, 2056, 16384):
            self.check((certificate("leaf", ROOT, enormous(bits)), ROOT))

    def test_otherKeys(self) -> None:
        """
        Edwards curves and RSASSA-PSS with any salt are good.
        """
        for key in (ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()):
            root = authority("Root", key=key)
            self.check((certificate("leaf", root, key), root))
        for salt in (0, 32, 222):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
            self.check((certificate("leaf", RSA_ROOT, padding=pss), RSA_ROOT))

    def test_digests(self) -> None:
        """
        Weak digests are found, but for who is trusted, or would have to be,
        without a signature; unknown ones are no signatures, either.
        """
        unsigned = (S.NotSignatureValid, "is not signed with the key of certificate 2")
        leaf = certificate("leaf", RSA_ROOT)
        for digest, words in WEAK:
            weak = weaklySigned(leaf, rsaKey(), digest)
            expected = (S.HasWeakSignature, f"is signed with {words}")
            self.check((weak, RSA_ROOT), (0, *expected))
            # The last, but not an issuer of its own.
            self.check((weak,), (0, *expected), isAnchored=False)
            self.check((weak,))
            root = weaklySigned(RSA_ROOT, rsaKey(), digest)
            self.check((certificate("leaf", Issued(root.certificate, rsaKey())), root))
            self.check((root,), isAnchored=False)
        # Self-issued, but not the last.
        renewed = authority("RSA Root", RSA_ROOT, rsaKey())
        weak = weaklySigned(renewed, rsaKey(), "sha1")
        self.check(
            (certificate("leaf", renewed), weak, RSA_ROOT),
            (1, S.HasWeakSignature, "is signed with SHA-1"),
        )
        strange = patched(certificate("leaf", ROOT), (ECDSA_SHA256, ECDSA_UNKNOWN))
        algorithm = "is signed with an unknown algorithm: 1.2.840.10045.4.3.127"
        self.check((strange, ROOT), (0, S.HasWeakSignature, algorithm), (0, *unsigned))

    def test_signature(self) -> None:
        """
        Every certificate is signed with the key of the next.
        """
        liar = authority("Root", key=ecKey(9))
        self.check(
            (LEAF, MIDDLE, liar),
            (1, S.NotSignatureValid, "is not signed with the key of certificate 3"),
        )
        self.check(
            (certificate("leaf", Issued(MIDDLE.certificate, ecKey(9))), MIDDLE, ROOT),
            (0, S.NotSignatureValid, "is not signed with the key of certificate 2"),
        )

    # Authorities.

    def test_authority(self) -> None:
        """
        An issuer says that it is an authority, critically or not; the anchor is
        not exempt.
        """
        words = "is no certificate of an authority, but issued one"
        wrong = (S.InvalidBasicConstraints, words)
        denied = (x509.BasicConstraints(False, None), True)
        said = (x509.BasicConstraints(True, None), False)
        for extensions in ([], [denied]):
            middle = certificate("Middle", ROOT, extensions=extensions)
            self.check((certificate("leaf", middle), middle, ROOT), (1, *wrong))
            root = certificate("Root", extensions=extensions)
            self.check((certificate("leaf", root), root), (1, *wrong))
            self.check((root,))
        middle = certificate("Middle", ROOT, extensions=[said])
        self.check((certificate("leaf", middle), middle, ROOT))

    def test_pathLength(self) -> None:
        """
        An authority may limit how many authorities are below, of which the
        self-issued and the first certificate are none.
        """

        def chain(limit: int, *names: str) -> tuple[Issued, ...]:
            issued = [authority("Root", key=ecKey(), pathLength=limit)]
            for each in names:
                issued.append(authority(each, issued[-1], ecKey()))
            return (certificate("leaf", issued[-1]), *reversed(issued))

        def wrong(depth: int, limit: int, count: int) -> tuple[int, S, str]:
            words = f"permits at most {limit} authorities below it, not {count}"
            return depth, S.InvalidBasicConstraints, words

        self.check(chain(0))
        self.check(chain(0, "A"), wrong(2, 0, 1))
        self.check(chain(1, "A"))
        self.check(chain(1, "A", "B"), wrong(3, 1, 2))
        self.check(chain(2, "A", "B"))
        self.check(chain(0, "Root"))
        self.check(chain(1, "A", "A"))
        self.check(chain(0, "A", "A"), wrong(3, 0, 1))
        # The first may be an authority itself.
        root = authority("Root", pathLength=0)
        self.check((authority("leaf", root), root))
        middle = authority("Middle", ROOT, pathLength=0)
        below = authority("Below", middle)
        self.check((certificate("leaf", below), below, middle, ROOT), wrong(2, 0, 1))

    def test_keyUsageOfAuthority(self) -> None:
        """
        The key of an issuer is for signing certificates, if it says for what.
        """
        words = "has a key that is not for signing certificates"
        for usage, expected in (
            (keyUsage("key_cert_sign"), []),
            (keyUsage("crl_sign", "digital_signature"), [(1, S.InvalidBasicConstraints, words)]),
        ):
            for top in (
                authority("Middle", ROOT, extensions=[usage]),
                authority("Middle", extensions=[usage]),
            ):
                path = (certificate("leaf", top), top, ROOT)
                self.check(
                    path[: 3 if top.certificate.issuer == distinguishedName("Root") else 2],
                    *expected,
                )

    # The first.

    def test_keyUsageOfLeaf(self) -> None:
        """
        Whether it signs certificates and whether it is an authority's go
        together, unless it has issued itself.
        """
        signing = keyUsage("key_cert_sign", "digital_signature")
        other = keyUsage("digital_signature")
        self.check((certificate("leaf", ROOT, extensions=[other]), ROOT))
        self.check((authority("leaf", ROOT, extensions=[signing]), ROOT))
        self.check(
            (certificate("leaf", ROOT, extensions=[signing]), ROOT),
            (
                0,
                S.InvalidBasicConstraints,
                "has a key for signing certificates, but is no authority's",
            ),
        )
        self.check(
            (authority("leaf", ROOT, extensions=[other]), ROOT),
            (
                0,
                S.InvalidBasicConstraints,
                "is an authority's, but has no key for signing certificates",
            ),
        )
        for alone in (
            certificate("leaf", extensions=[signing]),
            authority("leaf", extensions=[other]),
        ):
            self.check((alone,))

    def test_handshakes(self) -> None:
        """
        A key signs handshakes or decrypts secrets only if it says so, where it
        says what it does and anybody asks.
        """
        asked = asking(signsHandshakes=True)
        for criteria, good, words in (
            (asked, "digital_signature", "signing handshakes"),
            (asking(decryptsSecrets=True), "key_encipherment", "decrypting secrets"),
        ):
            right = certificate("leaf", ROOT, extensions=[keyUsage(good)])
            self.check((right, ROOT), criteria=criteria)
            others = {"digital_signature", "key_encipherment", "key_agreement"} - {good}
            wrong = certificate("leaf", ROOT, extensions=[keyUsage(*others)])
            self.check((wrong, ROOT))
            self.check(
                (wrong, ROOT),
                (0, S.NotValidForUsage, f"has a key that is not for {words}"),
                criteria=criteria,
            )
        self.check((LEAF, MIDDLE, ROOT), criteria=asked)
        only = authority("leaf", extensions=[keyUsage("key_cert_sign")])
        self.check((certificate("leaf", only), only), criteria=asked)

    def test_constrainingLeaf(self) -> None:
        """
        Whoever constrains names is an authority.
        """
        constraint = permitting(x509.DNSName("a.example"))
        self.check((authority("leaf", ROOT, extensions=[constraint]), ROOT))
        self.check(
            (certificate("leaf", ROOT, extensions=[constraint]), ROOT),
            (0, S.InvalidNameConstraints, "constrains names, but is no authority's"),
        )

    # Usage.

    def test_usage(self) -> None:
        """
        A certificate is good for every usage if it names none, and for those
        that it names otherwise; a peer's must be named.
        """
        other = x509.ObjectIdentifier("1.2.3")
        server, client, anything = (
            USAGE.SERVER_AUTH,
            USAGE.CLIENT_AUTH,
            USAGE.ANY_EXTENDED_KEY_USAGE,
        )
        words = {
            server: "is not for server authentication",
            client: "is not for client authentication",
            other: "is not for 1.2.3",
        }
        for named, wanted, missing, missingOfAuthority in (
            ([server], [], [], []),
            ([server], [server], [], []),
            ([client, server], [server], [], []),
            ([client], [server], [server], [server]),
            ([server], [client], [client], [client]),
            ([server], [server, client], [client], [client]),
            ([other], [server, client], [server, client], [server, client]),
            ([server], [other], [other], [other]),
            ([anything], [server], [server], []),
            ([anything, server], [server], [], []),
        ):
            asked = asking(usages=tuple(wanted))
            self.check(
                (certificate("leaf", ROOT, extensions=[usages(*named)]), ROOT),
                *[(0, S.NotValidForUsage, words[each]) for each in missing],
                criteria=asked,
            )
            middle = authority("Middle", ROOT, extensions=[usages(*named)])
            self.check(
                (certificate("leaf", middle), middle, ROOT),
                *[(1, S.NotValidForUsage, words[each]) for each in missingOfAuthority],
                criteria=asked,
            )

    def test_usageOfAnchor(self) -> None:
        """
        An anchor is trusted for every usage, unless it is the peer's own; who
        is no anchor is not exempt.
        """
        root = authority("Root", extensions=[usages(USAGE.CLIENT_AUTH)])
        asked = asking(usages=(USAGE.SERVER_AUTH,))
        words = "is not for server authentication"
        leaf = certificate("leaf", root)
        self.check((leaf, root), criteria=asked)
        self.check((leaf, root), (1, S.NotValidForUsage, words), criteria=asked, isAnchored=False)
        self.check((root,), (0, S.NotValidForUsage, words), criteria=asked)

    # The rest.

    def test_disallowed(self) -> None:
        """
        A certificate that is disallowed is, wherever it is.
        """
        path = (LEAF, MIDDLE, ROOT)
        for depth, each in enumerate(path):
            fingerprint = each.certificate.fingerprint(hashes.SHA256())
            self.check(
                path,
                (depth, S.ExplicitDistrust, "is disallowed"),
                criteria=asking(disallowed={fingerprint}),
            )
        self.check(path, criteria=asking(disallowed={b"\x00" * 32}))

    def test_names(self) -> None:
        """
        The names are compared with the constraints of the issuers.
        """
        root = authority("Root", extensions=[excluding(x509.DNSName("a.example"))])
        path = (certificate("leaf", root, extensions=[hosts("a.example")]), root)
        wrong = "has the name 'a.example', which is excluded by certificate 2"
        self.check(path, (0, S.HasExcludedNameConstraint, wrong))
        [finding] = certificateFindings(line(*path), NOTHING_MORE, True, Comparison(0))
        self.assertEqual(finding.information, "has too many names and constraints to compare")

    def test_policies(self) -> None:
        """
        A missing policy is another problem for those who ask for one than for
        those who put up with an issuer that does.
        """
        policy = x509.ObjectIdentifier("1.2.3")
        insisting = authority("Middle", ROOT, extensions=[(x509.PolicyConstraints(0, None), True)])
        path = (certificate("leaf", insisting), insisting, ROOT)
        self.check(
            path,
            (
                0,
                S.InvalidPolicyConstraints,
                "has no certificate policy that is valid for the whole path, as an issuer insists",
            ),
        )
        wanted = (
            0,
            S.NoIssuanceChainPolicy,
            "is valid for none of the certificate policies that are asked for",
        )
        for each in (path, (LEAF, MIDDLE, ROOT), (ROOT,)):
            self.check(each, wanted, criteria=asking(policies=(policy,)))
        named = (x509.CertificatePolicies([x509.PolicyInformation(policy, None)]), False)
        self.check(
            (certificate("leaf", ROOT, extensions=[named]), ROOT),
            criteria=asking(policies=(policy,)),
        )

    def test_everything(self) -> None:
        """
        Whatever is wrong is found at once.
        """
        old: dict[str, Any] = {"notBefore": NOW - 3 * DAY, "notAfter": NOW - DAY}
        root = authority(
            "Root", key=rsaKey(), extensions=[excluding(x509.DNSName("a.example"))], **old
        )
        leaf = certificate(
            "leaf",
            Issued(root.certificate, rsaKey()),
            enormous(1024),
            [hosts("a.example"), usages(USAGE.CLIENT_AUTH), keyUsage("key_cert_sign"), UNKNOWN],
            **old,
        )
        path = (weaklySigned(leaf, rsaKey(1), "sha1"), root)
        criteria = asking(
            usages=(USAGE.SERVER_AUTH,),
            signsHandshakes=True,
            policies=(x509.ObjectIdentifier("1.2.3"),),
            disallowed={path[0].certificate.fingerprint(hashes.SHA256())},
        )
        found = certificateFindings(line(*path), criteria, False)
        self.assertEqual(
            [(each.depth, each.status) for each in found],
            [
                (0, S.NotTimeValid),
                (0, S.HasNotSupportedCriticalExtension),
                (0, S.HasWeakSignature),
                (0, S.HasWeakSignature),
                (0, S.NotValidForUsage),
                (0, S.InvalidBasicConstraints),
                (0, S.NotValidForUsage),
                (0, S.NotSignatureValid),
                (0, S.ExplicitDistrust),
                (1, S.NotTimeValid),
                (0, S.HasExcludedNameConstraint),
                (0, S.NoIssuanceChainPolicy),
            ],
        )
