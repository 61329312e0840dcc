"""
Tests for L{txsslstream.nameconstraints}: which names an authority may give.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.crossing import Finding
from txsslstream.enums import X509ChainStatusFlags
from txsslstream.nameconstraints import MOST_COMPARISONS, Comparison, nameFindings
from txsslstream.testing.damage import patched, unreadable
from txsslstream.testing.issuing import (
    Extension,
    Issued,
    alternatives,
    authority,
    certificate,
    ecKey,
    excluding,
    hosts,
    line,
    permitting,
)

S = X509ChainStatusFlags

DNS = x509.DNSName
MAIL = x509.RFC822Name
URI = x509.UniformResourceIdentifier
DIRECTORY = x509.DirectoryName

#: What becomes of a name.
FINE = None
OUT = S.HasNotPermittedNameConstraint
MALFORMED = S.InvalidNameConstraints


def address(text: str) -> x509.IPAddress:
    """
    @return: an address, or a network.
    """
    if "/" in text:
        return x509.IPAddress(ipaddress.ip_network(text))
    return x509.IPAddress(ipaddress.ip_address(text))


def directory(*parts: str) -> x509.DirectoryName:
    """
    @return: a name of these organization and units.
    """
    oids = [NameOID.ORGANIZATION_NAME, *[NameOID.ORGANIZATIONAL_UNIT_NAME] * len(parts)]
    return DIRECTORY(
        x509.Name([x509.NameAttribute(*each) for each in zip(oids, parts, strict=False)])
    )


def path(
    names: Iterable[x509.GeneralName], *constraints: Extension, subject: x509.Name | str = ""
) -> tuple[x509.Certificate, ...]:
    """
    @return: a leaf with these names below an authority with these constraints.
    """
    root = authority("Root", key=ecKey(), extensions=constraints)
    extensions = [alternatives(*names)] if names else []
    return line(certificate(subject, root, ecKey(1), extensions), root)


def findings(*arguments: Iterable[x509.Certificate]) -> list[Finding]:
    """
    @return: what is wrong with a path's names.
    """
    return nameFindings(tuple(*arguments), Comparison())


def statuses(*arguments: Iterable[x509.Certificate]) -> list[S]:
    """
    @return: the flags alone.
    """
    return [each.status for each in findings(*arguments)]


class MatchingTests(SynchronousTestCase):
    """
    Tests for what is within a constraint.
    """

    def check(
        self,
        kind: Callable[[str], x509.GeneralName],
        cases: Iterable[tuple[str, str, S | None, bool]],
    ) -> None:
        """
        Compare every name with its constraint, as one that permits and as one
        that excludes.
        """
        for given, constraint, whenPermitted, isExcluded in cases:
            one, base = kind(given), kind(constraint)
            label = (given, constraint)
            expected = [] if whenPermitted is FINE else [whenPermitted]
            self.assertEqual(statuses(path([one], permitting(base))), expected, label)
            if whenPermitted is not MALFORMED:
                expected = [S.HasExcludedNameConstraint] if isExcluded else []
            self.assertEqual(statuses(path([one], excluding(base))), expected, label)

    def test_dns(self) -> None:
        """
        A DNS constraint stands for itself and all below, whatever the case.
        """
        self.check(
            DNS,
            [
                ("example.com", "example.com", FINE, True),
                ("a.b.example.com", "example.com", FINE, True),
                ("A.EXAMPLE.com", "eXample.COM", FINE, True),
                ("a_b.example.com", "example.com", FINE, True),
                ("badexample.com", "example.com", OUT, False),
                ("example.com.org", "example.com", OUT, False),
                ("com", "example.com", OUT, False),
                ("example.com", "", FINE, True),
                ("a" * 63 + ".com", "com", FINE, True),
                (".".join(["a" * 63] * 3 + ["a" * 57, "com"]), "com", FINE, True),
            ],
        )

    def test_dnsWildcard(self) -> None:
        """
        A wildcard is permitted if all that it stands for is, and excluded if
        anything that it stands for is.
        """
        self.check(
            DNS,
            [
                ("*.example.com", "example.com", FINE, True),
                ("*.example.com", "com", FINE, True),
                ("*.example.com", "", FINE, True),
                ("*.example.com", "a.example.com", OUT, True),
                ("*.example.com", "A.Example.COM", OUT, True),
                ("*.example.com", "b.a.example.com", OUT, False),
                ("*.example.com", "a.example.org", OUT, False),
                ("*.example.com", "example.org", OUT, False),
                ("*.com", "example.com", OUT, True),
            ],
        )

    def test_dnsMalformed(self) -> None:
        """
        What is no DNS name is neither permitted nor let through where it might
        be excluded, not even where everything is permitted.
        """
        long = ".".join(["a" * 63] * 3 + ["a" * 58, "com"])
        names = (".example.com", "example.com.", "a..com", "-a.com", "a.-b.com", "*", "*.*.com")
        more = ("f*.com", "a.*.com", "a b.com", "a\n.com", "", "a" * 64 + ".com", long, "xn--é.com")
        for each in (*names, *more[:-1]):
            for base in ("com", ""):
                self.check(DNS, [(each, base, MALFORMED, True)])

    def test_dnsMalformedConstraint(self) -> None:
        """
        A constraint that is no DNS name lets no DNS name through; one with a
        leading dot is none (RFC 5280 section 4.2.1.10).
        """
        for base in (".example.com", "example.com.", "a b"):
            self.check(DNS, [("a.example.com", base, MALFORMED, True)])

    def test_address(self) -> None:
        """
        An address is in a network of its version or is not.
        """
        self.check(
            address,
            [
                ("192.0.2.0", "192.0.2.0/25", FINE, True),
                ("192.0.2.127", "192.0.2.0/25", FINE, True),
                ("192.0.2.128", "192.0.2.0/25", OUT, False),
                ("192.0.1.255", "192.0.2.0/25", OUT, False),
                ("192.0.2.1", "192.0.2.1/32", FINE, True),
                ("192.0.2.1", "0.0.0.0/0", FINE, True),
                ("2001:db8::1", "2001:db8::/32", FINE, True),
                ("2001:db9::1", "2001:db8::/32", OUT, False),
                ("2001:db8::1", "::/0", FINE, True),
                # What is excluded is so in any spelling.
                ("::ffff:192.0.2.1", "192.0.2.0/24", OUT, True),
                ("::ffff:192.0.3.1", "192.0.2.0/24", OUT, False),
                ("192.0.2.1", "::/0", OUT, False),
                ("::1", "0.0.0.0/0", OUT, False),
            ],
        )

    def test_addressMalformed(self) -> None:
        """
        A network is no certificate's address, an address no constraint.
        """
        wrong = x509.NameConstraints.__new__(x509.NameConstraints)
        wrong._permitted_subtrees = [address("192.0.2.1")]
        wrong._excluded_subtrees = None
        comparison = Comparison()
        for given, base, words in (
            ("192.0.2.1", "192.0.2.1", "a constraint for addresses that is no network"),
            ("192.0.2.0/24", "192.0.2.0/24", "a network for an address"),
        ):
            subtrees: dict[type, Any] = {x509.IPAddress: ([address(base)], [])}
            violation = comparison.violation(address(given), subtrees)
            assert violation is not None
            self.assertIs(violation[0], MALFORMED)
            self.assertIn(words, violation[1])

    def test_mail(self) -> None:
        """
        A constraint for mail is an address, whose local part is compared
        exactly, a host, or with a leading dot all hosts below.
        """
        self.check(
            MAIL,
            [
                ("me@example.com", "me@example.com", FINE, True),
                ("me@EXAMPLE.com", "me@example.COM", FINE, True),
                ("Me@example.com", "me@example.com", OUT, False),
                ("you@example.com", "me@example.com", OUT, False),
                ("me@a.example.com", "me@example.com", OUT, False),
                ("me@example.com", "example.com", FINE, True),
                ("me@Example.com", "eXample.com", FINE, True),
                ("me@a.example.com", "example.com", OUT, False),
                ("me@a.example.com", ".example.com", FINE, True),
                ("me@a.b.example.com", ".example.com", FINE, True),
                ("me@example.com", ".example.com", OUT, False),
                ("me@badexample.com", ".example.com", OUT, False),
                ('"a@b"@example.com', "example.com", FINE, True),
                ('"a@b"@example.com', "b", OUT, False),
            ],
        )

    def test_mailMalformed(self) -> None:
        """
        What is no address is not let through, nor anything where the constraint
        is nothing that there is.
        """
        # As it is where it is read.
        unchecked = MAIL._init_without_validation
        for given in ("example.com", "@example.com", "a@b@example.com", "me@", "me@a..b", "me@.b"):
            for base in ("example.com", "me@example.com"):
                self.check(unchecked, [(given, base, MALFORMED, True)])
        for base in ("", ".", "a b", "..com"):
            self.check(unchecked, [("me@example.com", base, MALFORMED, True)])

    def test_uri(self) -> None:
        """
        A constraint for URIs is a host, or with a leading dot all hosts below.
        """
        self.check(
            URI,
            [
                ("https://example.com/path", "example.com", FINE, True),
                ("https://me:word@EXAMPLE.com:8443/", "Example.com", FINE, True),
                ("https://a.example.com/", "example.com", OUT, False),
                ("https://a.example.com/", ".example.com", FINE, True),
                ("https://a.b.example.com", ".example.com", FINE, True),
                ("https://example.com/", ".example.com", OUT, False),
                ("https://example.org/example.com", "example.com", OUT, False),
                ("spiffe://example.com/service", "example.com", FINE, True),
            ],
        )

    def test_uriMalformed(self) -> None:
        """
        A URI without a host that has a name is not let through (RFC 5280
        section 4.2.1.10), nor anything where the constraint is no host.
        """
        for given in (
            "urn:example.com",
            "/example.com",
            "https:///example.com",
            "https://192.0.2.1/",
            "https://[2001:db8::1]/",
            "https://[example.com/",
            "https://a..example.com/",
            "http://example.org\\@example.com/",
            "https://example.com/a b",
        ):
            self.check(URI, [(given, "example.com", MALFORMED, True)])
        for base in ("", "https://example.com", "a b"):
            self.check(URI, [("https://example.com/", base, MALFORMED, True)])

    def test_directory(self) -> None:
        """
        A directory name begins with what it is within, without regard to case
        and spaces (RFC 5280 section 7.1).
        """
        base = directory("Some  Inc", "Unit")
        for given, isWithin in (
            (directory("Some  Inc", "Unit"), True),
            (directory(" sOME INC ", "UNIT", "more"), True),
            (directory("So\u00adme Inc", "\uff35nit"), True),
            (directory("Some Inc"), False),
            (directory("SomeInc", "Unit"), False),
            (directory("Some Inc", "Other"), False),
            (directory("More", "Some Inc", "Unit"), False),
        ):
            self.assertEqual(statuses(path([given], permitting(base))), [] if isWithin else [OUT])
            self.assertEqual(
                statuses(path([given], excluding(base))),
                [S.HasExcludedNameConstraint] if isWithin else [],
            )

    def test_directoryParts(self) -> None:
        """
        The parts of one relative name have no order; the kind of an attribute
        counts; the empty name is everybody's.
        """
        one = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Inc")
        other = x509.NameAttribute(NameOID.LOCALITY_NAME, "Town")
        swapped = x509.NameAttribute(NameOID.LOCALITY_NAME, "Inc")
        raw = x509.NameAttribute(
            NameOID.X500_UNIQUE_IDENTIFIER, b"\x00\x01", x509.name._ASN1Type.BitString
        )

        def named(*attributes: x509.NameAttribute[Any]) -> x509.DirectoryName:
            return DIRECTORY(x509.Name([x509.RelativeDistinguishedName(attributes)]))

        for given, base, expected in (
            (named(one, other), named(other, one), []),
            (named(one, other), named(one), [OUT]),
            (named(swapped), named(one), [OUT]),
            (named(one), DIRECTORY(x509.Name([])), []),
            (named(raw), named(raw), []),
            (named(one), named(raw), [OUT]),
        ):
            self.assertEqual(statuses(path([given], permitting(base))), expected)


class WhichNamesTests(SynchronousTestCase):
    """
    Tests for the names that are constrained.
    """

    def test_words(self) -> None:
        """
        It is said which name of which certificate is wrong, and by whose word.
        """
        leaf = [DNS("b.example"), address("192.0.2.1")]
        self.assertEqual(
            findings(path(leaf, permitting(DNS("a.example")))),
            [
                Finding(
                    0,
                    OUT,
                    "has the name 'b.example', which is not among those permitted by certificate 2",
                )
            ],
        )
        self.assertEqual(
            findings(path(leaf, excluding(address("192.0.2.0/24")))),
            [
                Finding(
                    0,
                    S.HasExcludedNameConstraint,
                    "has the name '192.0.2.1', which is excluded by certificate 2",
                )
            ],
        )
        self.assertEqual(
            findings(path([DNS("a..b")], excluding(DNS("a.example")))),
            [
                Finding(
                    0,
                    MALFORMED,
                    "has the name 'a..b', which cannot be compared (malformed DNS name 'a..b') "
                    "with what is constrained by certificate 2",
                )
            ],
        )
        subject = directory("x" * 64, "y" * 64).value
        [finding] = findings(path([], excluding(DIRECTORY(x509.Name([]))), subject=subject))
        shown = "OU=" + "y" * 64 + ",O=" + "x" * 10
        self.assertEqual(
            finding.information, f"has the name '{shown}', which is excluded by certificate 2"
        )

    def test_otherKinds(self) -> None:
        """
        Constraints of one kind do not bind names of another; nor does the
        absence of constraints.
        """
        names = [
            DNS("a.example"),
            address("192.0.2.1"),
            MAIL("me@a.example"),
            URI("http://a.example"),
        ]
        for bound in names:
            base = address("192.0.2.0/24") if bound is names[1] else bound
            if bound is names[3]:
                base = URI("a.example")
            others = [each for each in names if each is not bound]
            self.assertEqual(findings(path(others, permitting(base))), [])
            self.assertEqual(findings(path(others, excluding(base))), [])
            self.assertEqual(findings(path([*others, bound], permitting(base))), [])
            self.assertEqual(
                statuses(path([*others, bound], excluding(base))), [S.HasExcludedNameConstraint]
            )
        self.assertEqual(findings(path(names)), [])

    def test_uncheckable(self) -> None:
        """
        Names of a kind that cannot be compared are refused where that kind is
        constrained, and only there.
        """
        other = x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
        registered = x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))
        for bound, free, kind in (
            (other, registered, "OtherName"),
            (registered, other, "RegisteredID"),
        ):
            for constraint in (permitting(bound), excluding(bound)):
                self.assertEqual(findings(path([free, DNS("a.example")], constraint)), [])
                self.assertEqual(
                    findings(path([bound], constraint)),
                    [
                        Finding(
                            0,
                            S.HasNotSupportedNameConstraint,
                            f"has a name of a kind ({kind}) whose constraints cannot be checked by "
                            "certificate 2",
                        )
                    ],
                )

    def test_every(self) -> None:
        """
        Every name counts, not the first alone; one of several constraints is
        enough.
        """
        bases = [DNS("a.example"), DNS("b.example")]
        good = [DNS("a.example"), DNS("x.b.example")]
        self.assertEqual(findings(path(good, permitting(*bases))), [])
        self.assertEqual(statuses(path([*good, DNS("c.example")], permitting(*bases))), [OUT])
        # Of several wrong names, the first is said.
        [wrong] = findings(path([DNS("c.example"), DNS("d.example")], permitting(*bases)))
        self.assertIn("'c.example'", wrong.information)
        self.assertEqual(findings(path([DNS("c.example")], excluding(*bases))), [])
        self.assertEqual(
            statuses(path([DNS("c.example"), DNS("b.example")], excluding(*bases))),
            [S.HasExcludedNameConstraint],
        )

    def test_excludedFromPermitted(self) -> None:
        """
        What is excluded stays so where more is permitted.
        """
        both = (x509.NameConstraints([DNS("example")], [DNS("a.example")]), True)
        self.assertEqual(findings(path([DNS("b.example")], both)), [])
        self.assertEqual(statuses(path([DNS("x.a.example")], both)), [S.HasExcludedNameConstraint])
        self.assertEqual(statuses(path([DNS("b.org")], both)), [OUT])

    def test_subject(self) -> None:
        """
        The subject is a directory name, unless it is empty.
        """
        constraint = permitting(directory("Inc"))
        good = directory("Inc", "Unit").value
        self.assertEqual(findings(path([DNS("a")], constraint, subject=good)), [])
        self.assertEqual(statuses(path([DNS("a")], constraint, subject="a")), [OUT])
        self.assertEqual(findings(path([DNS("a")], constraint, subject="")), [])

    def test_subjectMail(self) -> None:
        """
        A mail address in the subject counts where there are no alternative
        names (RFC 5280 section 4.2.1.10), a common name never.
        """
        subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "me@a.example")])
        self.assertEqual(findings(path([], permitting(MAIL("a.example")), subject=subject)), [])
        self.assertEqual(statuses(path([], permitting(MAIL("b.example")), subject=subject)), [OUT])
        names = [DNS("a.example")]
        self.assertEqual(findings(path(names, permitting(MAIL("b.example")), subject=subject)), [])
        self.assertEqual(findings(path([], permitting(DNS("a")), subject="b.example")), [])

    def test_unreadableSubject(self) -> None:
        """
        A subject that cannot be read is passed over; that is a problem of its
        own.
        """
        leaf = certificate("Leafname", extensions=[hosts("a.example")])
        bad = patched(leaf, (b"Leafname", b"\xff\xfeafname"))
        root = authority("Root", extensions=[permitting(directory("Inc"), DNS("b.example"))])
        self.assertEqual(statuses(line(bad, root)), [OUT])
        root = authority("Root", extensions=[permitting(directory("Inc"), DNS("a.example"))])
        self.assertEqual(findings(line(bad, root)), [])


class WhoseConstraintsTests(SynchronousTestCase):
    """
    Tests for the certificates that constrain and that are constrained.
    """

    def chain(self, *constraints: Extension | None, middle: str = "Middle") -> tuple[Issued, ...]:
        """
        @param constraints: of the leaf, the intermediate and the root.
        """
        own = [[] if each is None else [each] for each in constraints]
        root = authority("Root", extensions=own[2])
        between = authority(middle, root, extensions=[hosts("middle.example"), *own[1]])
        leaf = certificate("leaf", between, extensions=[hosts("leaf.example"), *own[0]])
        return leaf, between, root

    def test_everyIssuer(self) -> None:
        """
        The constraints of every issuer count, the root's too, for all
        certificates below; a certificate's own do not bind itself.
        """
        none = excluding(DNS("other.example"))
        allButLeaf = excluding(DNS("leaf.example"))
        allButMiddle = excluding(DNS("middle.example"))
        for constraints, expected in (
            ((None, None, None), []),
            ((None, none, none), []),
            ((allButLeaf, None, None), []),
            ((None, allButLeaf, None), [(0, 2)]),
            ((None, allButMiddle, None), []),
            ((None, None, allButLeaf), [(0, 3)]),
            ((None, None, allButMiddle), [(1, 3)]),
            ((None, allButLeaf, allButLeaf), [(0, 2), (0, 3)]),
            ((None, allButLeaf, allButMiddle), [(0, 2), (1, 3)]),
        ):
            found = findings(line(*self.chain(*constraints)))
            self.assertEqual([(each.depth, int(each.information[-1])) for each in found], expected)
            self.assertEqual({each.status for each in found} - {S.HasExcludedNameConstraint}, set())

    def test_selfIssued(self) -> None:
        """
        A self-issued certificate is not bound between first and last, but binds
        those below; as the first it is bound.
        """
        allButMiddle = excluding(DNS("middle.example"))
        leaf, between, root = self.chain(None, None, allButMiddle, middle="Root")
        self.assertEqual(findings(line(leaf, between, root)), [])
        self.assertEqual(statuses(line(between, root)), [S.HasExcludedNameConstraint])
        binding = self.chain(None, excluding(DNS("leaf.example")), None, middle="Root")
        self.assertEqual(statuses(line(*binding)), [S.HasExcludedNameConstraint])

    def test_alone(self) -> None:
        """
        A path of one is bound by nobody, a path of none even less.
        """
        alone = authority("Root", extensions=[hosts("a.example"), excluding(DNS("a.example"))])
        self.assertEqual(findings(line(alone)), [])
        self.assertEqual(findings(()), [])

    def test_notCritical(self) -> None:
        """
        Constraints count whether critical or not.
        """
        constraint = (excluding(DNS("a.example"))[0], False)
        self.assertEqual(
            statuses(path([DNS("a.example")], constraint)), [S.HasExcludedNameConstraint]
        )

    def test_unreadable(self) -> None:
        """
        Who cannot be read neither binds nor is bound here; that is a problem of
        its own.
        """
        identified = (x509.SubjectKeyIdentifier(b"i" * 20), False)
        root = authority("Root", extensions=[identified, excluding(DNS("a.example"))])
        leaf = certificate("leaf", root, extensions=[identified, hosts("a.example")])
        self.assertEqual(statuses(line(leaf, root)), [S.HasExcludedNameConstraint])
        self.assertEqual(findings(line(leaf, unreadable(root))), [])
        self.assertEqual(findings(line(unreadable(leaf), root)), [])


class EffortTests(SynchronousTestCase):
    """
    Tests for the limit.
    """

    TOO_MANY = Finding(0, MALFORMED, "has too many names and constraints to compare")

    def test_limit(self) -> None:
        """
        As many names are looked at and compared as is left, and not one more.
        """
        names = [DNS(f"{each}.example") for each in range(4)]
        long = path(names, permitting(*(DNS(f"{each}.org") for each in range(4)), DNS("example")))
        # Four names, with five constraints each.
        self.assertEqual(nameFindings(long, Comparison(24)), [])
        self.assertEqual(nameFindings(long, Comparison(23)), [self.TOO_MANY])
        self.assertEqual(Comparison().left, MOST_COMPARISONS)

    def test_shared(self) -> None:
        """
        Paths that share a comparison share its limit.
        """
        once = path([DNS("a.example")], permitting(DNS("a.example")))
        comparison = Comparison(4)
        for expected in ([], [], [self.TOO_MANY], [self.TOO_MANY]):
            self.assertEqual(nameFindings(once, comparison), expected)

    def test_otherKind(self) -> None:
        """
        Names and constraints of different kinds take as little time.
        """
        uri = x509.UniformResourceIdentifier("a")
        root = authority("Root", extensions=[excluding(*[uri] * 5000)])
        leaf = certificate("leaf", root, extensions=[hosts(*["a.example"] * 5000)])
        begin = time.process_time()
        comparison = Comparison()
        for _ in range(50):
            nameFindings(line(leaf, root), comparison)
        self.assertLess(time.process_time() - begin, 2)
        self.assertLess(comparison.left, 0)

    def test_large(self) -> None:
        """
        Names that nobody has are not compared; those of many parts count as
        many.
        """
        large = directory(*["x" * 60] * 40)
        found = nameFindings(path([large], excluding(large)), Comparison())
        self.assertEqual([each.status for each in found], [MALFORMED])
        parts = directory(*"abcdefghij")
        comparison = Comparison()
        nameFindings(path([parts], excluding(parts)), comparison)
        self.assertEqual(comparison.left, MOST_COMPARISONS - 12)

    def test_time(self) -> None:
        """
        Thousands of names and constraints are refused in bounded time, with
        what was found before.
        """
        names = [DNS(f"{each}.example") for each in range(3000)]
        constraint = excluding(*(DNS(f"{each}.org") for each in range(3000)))
        root = authority("Root", extensions=[constraint])
        between = authority("Middle", root, extensions=[hosts(*(each.value for each in names))])
        leaf = certificate("leaf", between, extensions=[hosts("0.org")])
        begin = time.process_time()
        found = findings(line(leaf, between, root))
        self.assertLess(time.process_time() - begin, 5)
        self.assertEqual([each.status for each in found], [S.HasExcludedNameConstraint, MALFORMED])
        self.assertEqual(found[1], self.TOO_MANY)
