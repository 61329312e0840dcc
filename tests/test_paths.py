"""
Tests for L{txsslstream.paths}: the way from a certificate to a trusted root.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding
from twisted.trial.unittest import SynchronousTestCase

from tests.chains import NOTHING_MORE
from txsslstream import paths
from txsslstream.crossing import Finding
from txsslstream.enums import X509ChainStatusFlags
from txsslstream.paths import MOST_CERTIFICATES, MOST_LENGTH, Anchors, Path, anchorsOf, bestPath
from txsslstream.testing import DAY, NOW, rsaKey
from txsslstream.testing.damage import patched
from txsslstream.testing.issuing import (
    Extension,
    Issued,
    alternatives,
    authority,
    certificate,
    ecKey,
    enormous,
    hosts,
    line,
    permitting,
)

S = X509ChainStatusFlags

ROOT = authority("Root", key=ecKey())
MIDDLE = authority("Middle", ROOT, ecKey(1))
LEAF = certificate("leaf", MIDDLE, ecKey(2))

NOT_AT_HAND = (S.PartialChain, "was issued by a certificate that is not at hand")
UNTRUSTED = (S.UntrustedRoot, "is a root that is not trusted")
EXPIRED: dict[str, Any] = {"notBefore": NOW - 3 * DAY, "notAfter": NOW - DAY}


def find(
    leaf: Issued,
    others: Iterable[Issued] = (),
    anchors: Iterable[Issued] = (ROOT,),
    **criteria: Any,
) -> Path:
    """
    @return: the best path.
    """
    return bestPath(
        leaf.certificate,
        line(*others),
        Anchors(line(*anchors)),
        dataclasses.replace(NOTHING_MORE, **criteria),
    )


def keyIdentifier(identifier: bytes) -> Extension:
    """
    The extension for one's own key.
    """
    return x509.SubjectKeyIdentifier(identifier), False


def issuerIdentifier(identifier: bytes) -> Extension:
    """
    The extension for the issuer's key.
    """
    return x509.AuthorityKeyIdentifier(identifier, None, None), False


def ladder(length: int, top: Issued = ROOT) -> list[Issued]:
    """
    @return: a leaf and so many intermediates, the leaf first.
    """
    issued = [top]
    for each in range(length):
        issued.append(authority(f"CA {each}", issued[-1], ecKey(each % 4)))
    issued.append(certificate("leaf", issued[-1], ecKey()))
    return issued[:0:-1]


class _Case(SynchronousTestCase):
    def check(
        self, path: Path, certificates: Iterable[Issued], *expected: tuple[int, S, str]
    ) -> None:
        """
        Compare a path and what is wrong with it with what is expected.
        """
        self.assertEqual(path.certificates, line(*certificates))
        self.assertEqual(path.findings, tuple(Finding(*each) for each in expected))

    def checkBounded(self, search: Callable[[], Path], seconds: float = 5) -> Path:
        """
        @return: what a search finds in so many seconds of this process at most.
        """
        begin = time.process_time()
        found = search()
        self.assertLess(time.process_time() - begin, seconds)
        return found


class GoodTests(_Case):
    """
    Tests for what leads to a trusted certificate.
    """

    def test_order(self) -> None:
        """
        Certificates may be in any order, with others among them, and several
        times.
        """
        other = authority("Other")
        for others in (
            [MIDDLE],
            [MIDDLE, ROOT],
            [ROOT, other, MIDDLE, MIDDLE, LEAF],
        ):
            found = find(LEAF, others)
            self.check(found, [LEAF, MIDDLE, ROOT])
            self.assertTrue(found.isAnchored)

    def test_alone(self) -> None:
        """
        A certificate that is itself trusted needs no other, whoever has issued
        it.
        """
        selfSigned = certificate("leaf")
        for leaf in (selfSigned, LEAF, ROOT, MIDDLE):
            found = find(leaf, [MIDDLE], [leaf])
            self.check(found, [leaf])
            self.assertTrue(found.isAnchored)
        found = find(selfSigned, [], [ROOT])
        self.check(found, [selfSigned], (0, *UNTRUSTED))
        self.assertFalse(found.isAnchored)

    def test_aloneExpired(self) -> None:
        """
        That it is trusted does not excuse what else is wrong.
        """
        leaf = certificate("leaf", **EXPIRED)
        found = find(leaf, [], [leaf])
        self.assertTrue(found.isAnchored)
        self.check(found, [leaf], (0, S.NotTimeValid, f"expired {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC"))

    def test_intermediateAsAnchor(self) -> None:
        """
        An intermediate may be trusted, without its root or with it: the path
        ends there.
        """
        for anchors in ([MIDDLE], [MIDDLE, ROOT]):
            for others in ([], [MIDDLE, ROOT]):
                found = find(LEAF, others, anchors)
                self.check(found, [LEAF, MIDDLE])
                self.assertTrue(found.isAnchored)

    def test_anchorsOf(self) -> None:
        """
        The same certificates share what is prepared.
        """
        one = anchorsOf((ROOT.certificate,))
        self.assertIs(anchorsOf((ROOT.certificate,)), one)
        self.assertIsNot(anchorsOf((MIDDLE.certificate,)), one)
        self.assertIn(ROOT.certificate, one)
        self.assertNotIn(MIDDLE.certificate, one)
        self.assertIs(one.store, one.store)


class ChoiceTests(_Case):
    """
    Tests for which of several ways is taken.
    """

    def test_crossSigned(self) -> None:
        """
        An authority may have two issuers; the one that is trusted is found,
        whichever comes first.
        """
        key = ecKey(5)
        old, new = authority("Old"), authority("New", key=key)
        cross = authority("New", old, key)
        leaf = certificate("leaf", new)
        for others in ([new, cross], [cross, new]):
            self.check(find(leaf, others, [old]), [leaf, cross, old])
            self.check(find(leaf, others, [new]), [leaf, new])
            self.check(find(leaf, others, [old, new]), [leaf, new])

    def test_expiredFirst(self) -> None:
        """
        One issuer has expired and its renewal has not; an expired way is
        reported only if there is no other.
        """
        expired = authority("Middle", ROOT, ecKey(1), **EXPIRED)
        wrong = (1, S.NotTimeValid, f"expired {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC")
        for others in ([expired, MIDDLE], [MIDDLE, expired]):
            self.check(find(LEAF, others), [LEAF, MIDDLE, ROOT])
        self.check(find(LEAF, [expired]), [LEAF, expired, ROOT], wrong)
        root = authority("Root", key=ecKey(), **EXPIRED)
        for anchors in ([root, ROOT], [ROOT, root]):
            self.check(find(LEAF, [MIDDLE], anchors), [LEAF, MIDDLE, ROOT])
        self.check(find(LEAF, [MIDDLE], [root]), [LEAF, MIDDLE, root], (2, *wrong[1:]))

    def test_expiredRootBehindCross(self) -> None:
        """
        If the direct way has expired, a detour is taken.
        """
        key = ecKey(5)
        expired = authority("New", key=key, **EXPIRED)
        cross = authority("New", ROOT, key)
        leaf = certificate("leaf", cross)
        self.check(find(leaf, [cross], [expired, ROOT]), [leaf, cross, ROOT])

    def test_sameName(self) -> None:
        """
        Of two authorities of the same name, the one with the key counts.
        """
        twin = authority("Middle", ROOT, ecKey(6))
        for others in ([twin, MIDDLE], [MIDDLE, twin]):
            self.check(find(LEAF, others), [LEAF, MIDDLE, ROOT])
        rootTwin = authority("Root", key=ecKey(6))
        for anchors in ([rootTwin, ROOT], [ROOT, rootTwin]):
            self.check(find(LEAF, [MIDDLE], anchors), [LEAF, MIDDLE, ROOT])

    def test_leastWrong(self) -> None:
        """
        Without a good way: signatures that are invalid are worst, then what is
        not trusted, then the number of problems.
        """

        def path(isAnchored: bool, *statuses: S) -> Path:
            found = tuple(Finding(0, each, "") for each in statuses)
            return Path((), isAnchored, found)

        best = [
            path(True),
            path(True, S.Revoked),
            path(True, S.Revoked, S.NotTimeValid),
            path(False),
            path(False, S.PartialChain),
            path(True, S.NotSignatureValid),
            path(False, S.NotSignatureValid),
            path(False, S.NotSignatureValid, S.Revoked),
        ]
        for index, one in enumerate(best):
            self.assertTrue(one.isBetterThan(None))
            for other, two in enumerate(best):
                self.assertEqual(one.isBetterThan(two), index < other, (index, other))

    def test_usableFirst(self) -> None:
        """
        A way that one certificate rules out is not taken, though it leads to a
        trusted root.
        """
        narrow = authority("Middle", ROOT, ecKey(1), [permitting(x509.DNSName("a.example"))])
        leaf = certificate("leaf", narrow, extensions=[hosts("b.example")])
        for others in ([narrow, MIDDLE], [MIDDLE, narrow]):
            self.check(find(leaf, others), [leaf, MIDDLE, ROOT])
        found = find(leaf, [narrow])
        self.assertEqual(
            [each.status for each in found.findings], [S.HasNotPermittedNameConstraint]
        )

    def test_preference(self) -> None:
        """
        The issuer that is looked at first is one with the key that is named,
        then one that is valid, then one that is trusted, then the one that was
        given first; another key than the named one is no obstacle.
        """
        key = ecKey(7)
        other = authority("Issuer", ROOT, key, [keyIdentifier(b"other")])
        named = authority("Issuer", ROOT, key, [keyIdentifier(b"named")])
        silent = authority("Issuer", ROOT, key)
        expired = authority("Issuer", ROOT, key, [keyIdentifier(b"named")], **EXPIRED)
        early = authority("Issuer", ROOT, key, notBefore=NOW + DAY / 2)
        leaf = certificate("leaf", named, extensions=[issuerIdentifier(b"named")])
        plain = certificate("leaf", named)

        def first(leaf: Issued, others: Iterable[Issued], *anchors: Issued) -> x509.Certificate:
            search = paths._Search(line(*others), Anchors(line(*anchors)), NOTHING_MORE)
            return search._issuersOf(leaf.certificate)[0]

        for leafOf, others, anchors, expected in (
            (leaf, [other, named], [], named),
            (leaf, [other, silent], [], silent),
            (leaf, [other, expired], [], expired),
            (leaf, [expired, named], [], named),
            (leaf, [silent, named], [], silent),
            (leaf, [named, silent], [], named),
            (leaf, [named], [other], named),
            (leaf, [named], [silent], silent),
            (leaf, [early, silent], [], silent),
            (plain, [expired, other], [], other),
            (plain, [silent], [expired], silent),
            (plain, [silent], [other], other),
            (plain, [other, silent], [], other),
        ):
            self.assertEqual(first(leafOf, others, *anchors), expected.certificate)
        self.check(find(leaf, [other]), [leaf, other, ROOT])

    def test_boundaries(self) -> None:
        """
        An issuer that begins or ends now is valid now.
        """
        key = ecKey(7)
        begins = authority("Issuer", ROOT, key, notBefore=NOW)
        ends = authority("Issuer", ROOT, key, notAfter=NOW)
        expired = authority("Issuer", ROOT, key, **EXPIRED)
        leaf = certificate("leaf", begins)
        for good in (begins, ends):
            self.check(find(leaf, [expired, good]), [leaf, good, ROOT])
            search = paths._Search(line(expired, good), Anchors(()), NOTHING_MORE)
            self.assertEqual(search._issuersOf(leaf.certificate)[0], good.certificate)


class DeadEndTests(_Case):
    """
    Tests for ways that lead nowhere.
    """

    def test_partial(self) -> None:
        """
        If an issuer is missing, the path goes as far as it can.
        """
        self.check(find(LEAF, [MIDDLE], []), [LEAF, MIDDLE], (1, *NOT_AT_HAND))
        self.check(find(LEAF, [ROOT]), [LEAF], (0, *NOT_AT_HAND))
        self.check(find(LEAF, [], []), [LEAF], (0, *NOT_AT_HAND))

    def test_untrusted(self) -> None:
        """
        A path to a root that is not trusted ends with it.
        """
        found = find(LEAF, [MIDDLE, ROOT], [authority("Other")])
        self.check(found, [LEAF, MIDDLE, ROOT], (2, *UNTRUSTED))
        self.assertFalse(found.isAnchored)

    def test_impostor(self) -> None:
        """
        A root with a trusted one's name is not trusted.
        """
        liar = authority("Root", key=ecKey(8))
        leaf = certificate("leaf", liar)
        self.check(find(leaf, [liar]), [leaf, liar], (1, *UNTRUSTED))
        self.check(find(liar, []), [liar], (0, *UNTRUSTED))

    def test_wrongSignature(self) -> None:
        """
        Who uses an issuer's name without its key has no valid signature; that
        the issuer is trusted does not help.
        """
        unsigned = (S.NotSignatureValid, "is not signed with the key of certificate {}")
        leaf = certificate("leaf", Issued(ROOT.certificate, ecKey(8)))
        self.check(find(leaf), [leaf, ROOT], (0, unsigned[0], unsigned[1].format(2)))
        damaged = patched(LEAF, (b"leaf", b"lead"))
        self.check(
            find(damaged, [MIDDLE]),
            [damaged, MIDDLE, ROOT],
            (0, unsigned[0], unsigned[1].format(2)),
        )
        # Whoever has another key than the one that is named is somebody else.
        named = certificate("leaf", ROOT, extensions=[issuerIdentifier(b"real")])
        for key, ending in ((b"real", unsigned[1].format(2)), (b"other", None)):
            namesake = authority("Root", key=ecKey(8), extensions=[keyIdentifier(key)])
            found = find(named, [], [namesake])
            said = [(each.depth, each.status, each.information) for each in found.findings]
            wrong = NOT_AT_HAND if ending is None else (unsigned[0], ending)
            self.assertEqual(said, [(0, *wrong)])
        middle = authority("Middle", Issued(ROOT.certificate, ecKey(8)), ecKey(1))
        self.check(
            find(LEAF, [middle]), [LEAF, middle, ROOT], (1, unsigned[0], unsigned[1].format(3))
        )
        # A good way is preferred.
        self.check(find(LEAF, [middle, MIDDLE]), [LEAF, MIDDLE, ROOT])

    def test_selfIssuedNotSigned(self) -> None:
        """
        Whoever calls itself its issuer without having signed itself is no root.
        """
        liar = certificate("leaf", Issued(ROOT.certificate, ecKey(8)), issuerName="leaf")
        for others in ([], [liar]):
            self.check(find(liar, others), [liar], (0, *NOT_AT_HAND))

    def test_cycle(self) -> None:
        """
        Authorities that have issued each other lead nowhere, but past a way
        out.
        """
        one, two = ecKey(5), ecKey(6)
        first = authority("One", Issued(authority("Two", key=two).certificate, two), one)
        second = authority("Two", Issued(first.certificate, one), two)
        leaf = certificate("leaf", first)
        self.check(
            find(leaf, [first, second]),
            [leaf, first, second],
            (2, *NOT_AT_HAND),
            (2, S.Cyclic, "was issued by a certificate that it issued"),
        )
        out = authority("One", ROOT, one)
        for others in ([first, second, out], [out, second, first]):
            self.check(find(leaf, others), [leaf, out, ROOT])
        outOfTwo = authority("Two", ROOT, two)
        self.check(find(leaf, [first, second, outOfTwo]), [leaf, first, outOfTwo, ROOT])

    def test_nobodyIsTrusted(self) -> None:
        """
        Without trust in anybody nothing is good.
        """
        self.check(find(LEAF, [MIDDLE, ROOT], []), [LEAF, MIDDLE, ROOT], (2, *UNTRUSTED))

    def test_unreadable(self) -> None:
        """
        Certificates whose names cannot be read lead nowhere and do no harm.
        """
        bad = patched(MIDDLE, (b"Middle", b"\xff\xfeddle"))
        worse = patched(MIDDLE, (b"Root", b"\xff\xfeot"))
        self.check(find(LEAF, [bad, MIDDLE]), [LEAF, MIDDLE, ROOT])
        self.check(find(LEAF, [bad]), [LEAF], (0, *NOT_AT_HAND))
        wrong = (S.InvalidExtension, "cannot be read: a name is damaged")
        self.check(find(worse, [bad]), [worse], (0, *wrong), (0, *NOT_AT_HAND))
        unsigned = (S.NotSignatureValid, "is not signed with the key of certificate 2")
        self.check(find(bad), [bad, ROOT], (0, *wrong), (0, *unsigned))

    def test_nameless(self) -> None:
        """
        Empty names are compared like others.
        """
        nameless = authority("", ROOT, ecKey(5))
        leaf = certificate("leaf", nameless)
        found = find(leaf, [nameless])
        self.assertEqual(found.certificates, line(leaf, nameless, ROOT))
        self.assertEqual({each.status for each in found.findings}, {S.InvalidExtension})

    def test_everything(self) -> None:
        """
        All problems of a path are reported: expired, untrusted, for another
        use, weak.
        """
        usage = (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        root = authority("Other", **EXPIRED)
        leaf = certificate("leaf", root, enormous(1024), [usage], **EXPIRED)
        late = f"expired {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC"
        self.check(
            find(leaf, [root], usages=(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,)),
            [leaf, root],
            (0, S.NotTimeValid, late),
            (0, S.HasWeakSignature, "has an RSA key of 1024 bits, less than 2048"),
            (0, S.NotValidForUsage, "is not for server authentication"),
            (1, S.NotTimeValid, late),
            (1, *UNTRUSTED),
        )


class DepthTests(_Case):
    """
    Tests for the limit of intermediates.
    """

    def test_depth(self) -> None:
        """
        There may be as many intermediates as the limit says, 8 by default, and
        not one more.
        """
        self.assertEqual(NOTHING_MORE.maximumDepth, 8)
        for limit in (0, 1, 2, 8):
            good = ladder(limit)
            self.check(find(good[0], good[1:], maximumDepth=limit), [*good, ROOT])
            long = ladder(limit + 1)
            words = f"leads further than {limit} intermediates"
            self.check(
                find(long[0], long[1:], maximumDepth=limit),
                long[:-1],
                (limit, S.PartialChain, words),
            )

    def test_uncounted(self) -> None:
        """
        Neither the anchor nor who is self-issued is counted.
        """
        key = ecKey(5)
        renewed = authority("Root", ROOT, key)
        leaf = certificate("leaf", renewed)
        self.check(find(leaf, [renewed], maximumDepth=0), [leaf, renewed, ROOT])
        self.check(find(LEAF, [], [MIDDLE], maximumDepth=0), [LEAF, MIDDLE])

    def test_shorter(self) -> None:
        """
        A way within the limit is found behind one beyond it.
        """
        cross = authority("Middle", authority("Far", ROOT, ecKey(5)), ecKey(1))
        far = authority("Far", ROOT, ecKey(5))
        for others in ([far, cross, MIDDLE], [MIDDLE, cross, far]):
            self.check(find(LEAF, others, maximumDepth=1), [LEAF, MIDDLE, ROOT])
        self.check(find(LEAF, [far, cross], maximumDepth=2), [LEAF, cross, far, ROOT])

    def test_long(self) -> None:
        """
        A hundred certificates are as many, if the limit allows it.
        """
        issued = ladder(100)
        for limit, isGood in ((100, True), (99, False)):
            search = partial(find, issued[0], issued[1:], maximumDepth=limit)
            found = self.checkBounded(search)
            self.assertEqual(not found.findings, isGood)
            self.assertEqual(found.isAnchored, isGood)

    def test_endless(self) -> None:
        """
        Without a limit there is one still, and whoever is not counted takes
        bounded time.
        """
        issued = ladder(300)
        found = self.checkBounded(lambda: find(issued[0], issued[1:], maximumDepth=400))
        self.assertEqual([each.status for each in found.findings], [S.PartialChain])
        self.assertEqual(len(found.certificates), MOST_LENGTH + 1)
        issued = [authority("Same", key=ecKey())]
        for each in range(300):
            issued.append(authority("Same", issued[-1], ecKey(each + 300)))
        leaf = certificate("leaf", issued[-1])
        found = self.checkBounded(lambda: find(leaf, reversed(issued), issued[:1]))
        self.assertTrue(found.findings)


class EffortTests(_Case):
    """
    Tests for searches that somebody makes as long as possible.
    """

    def test_junk(self) -> None:
        """
        Hundreds of certificates that have nothing to do with it are no
        obstacle; beyond the limit they are not looked at.
        """
        junk = [certificate(f"junk {each}", ROOT, ecKey(3)) for each in range(MOST_CERTIFICATES)]
        found = self.checkBounded(lambda: find(LEAF, [*junk[1:], MIDDLE]))
        self.check(found, [LEAF, MIDDLE, ROOT])
        found = self.checkBounded(lambda: find(LEAF, [*junk, MIDDLE]))
        self.check(found, [LEAF], (0, *NOT_AT_HAND))

    def test_junkOfTheName(self) -> None:
        """
        Certificates with the issuer's name and other keys are no obstacle if
        the key is named; otherwise they may hide the issuer, but take bounded
        time.
        """
        real = authority("Middle", ROOT, ecKey(1), [keyIdentifier(b"real")])
        leaf = certificate("leaf", real, extensions=[issuerIdentifier(b"real")])
        junk = [
            authority("Middle", ROOT, ecKey(3), [keyIdentifier(b"%d" % each)])
            for each in range(MOST_CERTIFICATES - 1)
        ]
        found = self.checkBounded(lambda: find(leaf, [*junk, real]))
        self.check(found, [leaf, real, ROOT])
        plain = certificate("leaf", real)
        found = self.checkBounded(lambda: find(plain, [*junk[:100], real]))
        self.check(found, [plain, real, ROOT])
        found = self.checkBounded(lambda: find(plain, [*junk, real]))
        self.assertTrue(found.findings)

    def mesh(self, count: int, name: str | None = None) -> list[Issued]:
        """
        @return: authorities that have all issued one another, of one name or of
            different ones.
        """
        tops = [authority(name or f"CA {each}", key=ecKey(each + 20)) for each in range(count)]
        return [
            authority(subject.certificate.subject, issuer, subject.key)
            for subject in tops
            for issuer in tops
            if subject is not issuer
        ]

    def test_mesh(self) -> None:
        """
        The number of ways among authorities that have issued one another is no
        matter, be they of one name or of many.
        """
        for each in (self.mesh(30, "Same"), self.mesh(30)):
            leaf = certificate("leaf", each[0])
            for isShuffled in (False, True):
                others = random.Random(1).sample(each, len(each)) if isShuffled else each
                found = self.checkBounded(partial(find, leaf, others))
                self.assertFalse(found.isAnchored)
                self.assertIn(S.PartialChain, {finding.status for finding in found.findings})

    def test_meshWithExit(self) -> None:
        """
        A small one is searched through.
        """
        around = self.mesh(3)
        out = authority(around[2].certificate.subject, ROOT, around[2].key)
        leaf = certificate("leaf", around[0])
        found = self.checkBounded(lambda: find(leaf, [*around, out]))
        self.assertTrue(found.isAnchored)
        self.assertEqual(found.findings, ())
        self.assertEqual(found.certificates[-2:], line(out, ROOT))

    def test_names(self) -> None:
        """
        Nor do names and constraints make it long.
        """
        constraint = permitting(*(x509.DNSName(f"{each}.org") for each in range(500)))
        around = [
            authority(each.certificate.subject, None, each.key, [constraint], issuerName=issuer)
            for each in self.mesh(4)
            for issuer in [each.certificate.issuer]
        ]
        signed = [
            authority(
                each.certificate.subject,
                Issued(around[0].certificate, ecKey(20 + int(number[-1]))),
                each.key,
                [constraint],
                issuerName=each.certificate.issuer,
            )
            for each in around
            for number in [each.certificate.issuer.rfc4514_string()]
        ]
        names = hosts(*(f"{each}.example" for each in range(500)))
        leaf = certificate("leaf", signed[0], extensions=[names])
        found = self.checkBounded(lambda: find(leaf, signed))
        self.assertFalse(found.isAnchored)


class VerifierTests(_Case):
    """
    Tests for C{cryptography}'s opinion.
    """

    def test_veto(self) -> None:
        """
        If it objects to a path with which nothing is wrong, the path is
        refused.
        """
        asked = []

        def object(*arguments: Any) -> str:
            asked.append(arguments)
            return "no such luck"

        self.check(find(LEAF, [MIDDLE]), [LEAF, MIDDLE, ROOT])
        self.patch(paths, "_objection", object)
        anchors = anchorsOf(line(ROOT))
        path = line(LEAF, MIDDLE, ROOT)
        self.check(
            bestPath(path[0], path[1:2], anchors, NOTHING_MORE),
            [LEAF, MIDDLE, ROOT],
            (2, S.InvalidExtension, "is at the end of an invalid path: no such luck"),
        )
        self.assertEqual(asked, [(path, anchors, NOTHING_MORE)])

    def test_vetoOfOne(self) -> None:
        """
        Another path is looked for then.
        """
        twin = authority("Middle", ROOT, ecKey(1))
        bad = twin.certificate
        self.patch(paths, "_objection", lambda path, *_: "no such luck" if bad in path else None)
        for others in ([twin, MIDDLE], [MIDDLE, twin]):
            self.check(find(LEAF, others), [LEAF, MIDDLE, ROOT])

    def test_notAsked(self) -> None:
        """
        It is asked neither of a certificate that is itself trusted nor where
        something is wrong anyway.
        """
        self.patch(paths, "_objection", lambda *_: self.fail("asked"))
        leaf = certificate("leaf")
        self.check(find(leaf, [], [leaf]), [leaf])
        self.check(find(LEAF, []), [LEAF], (0, *NOT_AT_HAND))

    def test_words(self) -> None:
        """
        It says what it objects to, and whatever it raises is an objection.
        """

        class Builder:
            def __getattr__(self, name: str) -> Any:
                return lambda *_, **__: self

            def verify(self, *_: Any) -> Any:
                raise RuntimeError("broken")

        given = (line(LEAF, ROOT), Anchors(line(ROOT)), NOTHING_MORE)
        self.assertIn("validation failed", paths._objection(*given) or "")
        self.assertIsNone(paths._objection(line(LEAF, MIDDLE, ROOT), *given[1:]))
        self.patch(paths, "PolicyBuilder", Builder)
        self.assertEqual(paths._objection(*given), "RuntimeError: broken")

    def test_itRefuses(self) -> None:
        """
        What its profile excludes and ours does not is good.
        """
        sha224: dict[str, Any] = {"digest": hashes.SHA224()}
        pss: dict[str, Any] = {"padding": padding.PSS(padding.MGF1(hashes.SHA256()), 222)}
        rsaRoot = authority("RSA Root", key=rsaKey())
        policy = x509.ObjectIdentifier("1.2.3")
        point = x509.DistributionPoint(
            [x509.UniformResourceIdentifier("http://a.example/")], None, None, None
        )
        cases: list[tuple[str, tuple[Issued, ...]]] = []
        for curve in (ec.SECP224R1(), ec.SECP256K1(), ec.BrainpoolP256R1()):
            root = authority("Root", key=ec.generate_private_key(curve))
            cases.append((curve.name, (certificate("leaf", root), root)))
        for key in (ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()):
            root = authority("Root", key=key)
            middle = authority("Middle", root)
            cases.append((type(key).__name__, (certificate("leaf", root), root)))
            cases.append((type(key).__name__, (certificate("leaf", middle), middle, root)))
        cases.append(("SHA-224", (certificate("leaf", ROOT, **sha224), ROOT)))
        cases.append(("PSS", (certificate("leaf", rsaRoot, **pss), rsaRoot)))
        for critical in (
            x509.CertificatePolicies([x509.PolicyInformation(policy, None)]),
            x509.PolicyConstraints(9, None),
            x509.InhibitAnyPolicy(0),
            x509.TLSFeature([x509.TLSFeatureType.status_request]),
            x509.IssuerAlternativeName([x509.DNSName("a.example")]),
            x509.CRLDistributionPoints([point]),
        ):
            leaf = certificate("leaf", ROOT, extensions=[(critical, True)])
            cases.append((type(critical).__name__, (leaf, ROOT)))
            middle = authority("Middle", ROOT, extensions=[(critical, True)])
            cases.append((type(critical).__name__, (certificate("leaf", middle), middle, ROOT)))
        for base in (
            x509.UniformResourceIdentifier("a.example"),
            x509.DirectoryName(LEAF.certificate.subject),
        ):
            root = authority("Root", extensions=[permitting(base)])
            uri = x509.UniformResourceIdentifier("https://a.example/")
            leaf = certificate("leaf", root, extensions=[alternatives(uri)])
            cases.append((type(base).__name__, (leaf, root)))
        for label, path in cases:
            objection = paths._objection(line(*path), Anchors(line(path[-1])), NOTHING_MORE)
            self.assertIsNotNone(objection, label)
            found = find(path[0], path[1:-1], path[-1:])
            self.assertEqual((found.certificates, found.findings), (line(*path), ()), label)

    def test_itCountsSelfIssued(self) -> None:
        """
        It counts the self-issued among the intermediates; we do not.
        """
        renewed = authority("Root", ROOT, ecKey(5))
        leaf = certificate("leaf", renewed)
        criteria = dataclasses.replace(NOTHING_MORE, maximumDepth=0)
        path = line(leaf, renewed, ROOT)
        self.assertIsNotNone(paths._objection(path, Anchors(path[2:]), criteria))
        self.check(find(leaf, [renewed], maximumDepth=0), [leaf, renewed, ROOT])

    def test_weRefuse(self) -> None:
        """
        What it lets pass and we do not is no good.
        """
        usage = (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        middle = authority("Middle", ROOT, ecKey(1), [(x509.PolicyConstraints(0, None), False)])
        empty = (x509.AuthorityKeyIdentifier(None, None, None), False)
        for path, expected in (
            ((certificate("leaf", ROOT, enormous(1024)), ROOT), S.HasWeakSignature),
            ((certificate("leaf", ROOT, extensions=[usage]), ROOT), S.NotValidForUsage),
            ((certificate("leaf", middle), middle, ROOT), S.InvalidPolicyConstraints),
            ((certificate("leaf", ROOT, extensions=[empty]), ROOT), S.InvalidExtension),
        ):
            anchors = Anchors(line(ROOT))
            self.assertIsNone(paths._objection(line(*path), anchors, NOTHING_MORE), expected)
            found = find(path[0], path[1:-1], usages=(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,))
            self.assertEqual([each.status for each in found.findings], [expected])
