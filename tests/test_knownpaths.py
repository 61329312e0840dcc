"""
Tests for L{txsslstream.knownpaths}: a way to a root is found once, and nothing that has become
wrong with it since is passed over.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import X509Chain, X509ChainPolicy, X509ChainStatusFlags, X509ChainTrustMode
from txsslstream import knownpaths as module
from txsslstream.chainchecks import Criteria
from txsslstream.crossing import Finding
from txsslstream.knownpaths import KnownPaths, knownPaths
from txsslstream.paths import Anchors, Path, bestPath
from txsslstream.testing import DAY, NOW
from txsslstream.testing.issuing import Issued, authority, certificate, ecKey, hosts, line

from .chains import NOTHING_MORE, withLongSignature

S = X509ChainStatusFlags
SECOND = datetime.timedelta(seconds=1)
MOMENT = datetime.timedelta.resolution

ROOT = authority("Root", key=ecKey(), notBefore=NOW - 9 * DAY, notAfter=NOW + 9 * DAY)
MIDDLE = authority("Middle", ROOT, ecKey(1), notBefore=NOW - 5 * DAY, notAfter=NOW + 5 * DAY)
LEAF = certificate("leaf", MIDDLE, ecKey(2), notBefore=NOW - DAY, notAfter=NOW + DAY)
#: Another authority with the same name and key, which becomes valid later.
LATER = authority("Middle", ROOT, ecKey(1), notBefore=NOW + DAY / 2, notAfter=NOW + 8 * DAY)

ANCHORS = Anchors(line(ROOT))


class KnownPathsTests(SynchronousTestCase):
    """
    Tests for L{KnownPaths}.
    """

    def setUp(self) -> None:
        """
        Count the searches.
        """
        self.known = KnownPaths()
        self.searches = 0

        def search(*arguments: Any) -> Path:
            self.searches += 1
            return bestPath(*arguments)

        self.patch(module, "bestPath", search)

    def find(
        self,
        leaf: Issued = LEAF,
        others: tuple[Issued, ...] = (MIDDLE,),
        anchors: Anchors = ANCHORS,
        **criteria: Any,
    ) -> Path:
        """
        @return: what is found, which is what a search finds.
        """
        given = (
            leaf.certificate,
            line(*others),
            anchors,
            dataclasses.replace(NOTHING_MORE, **criteria),
        )
        found = self.known.find(*given)
        self.assertEqual(found, bestPath(*given))
        return found

    def assertAnew(self, *arguments: Any, **named: Any) -> Path:
        """
        Check that with these a search is made, which was not needed before.
        """
        self.find()
        before = self.searches
        self.find()
        self.assertEqual(self.searches, before)
        path = self.find(*arguments, **named)
        self.assertEqual(self.searches, before + 1)
        return path

    def test_once(self) -> None:
        """
        Who comes again is not searched for again, with equal certificates that
        are other objects.
        """
        path = self.find()
        self.assertEqual(path.certificates, line(LEAF, MIDDLE, ROOT))
        self.assertEqual(path.findings, ())
        der = LEAF.certificate.public_bytes(Encoding.DER)
        again = Issued(x509.load_der_x509_certificate(der), None)
        self.assertIsNot(again.certificate, LEAF.certificate)
        self.assertIs(self.find(again), path)
        self.assertEqual(self.searches, 1)

    def test_expired(self) -> None:
        """
        A certificate that has expired since is found out, to the second.
        """
        last = LEAF.certificate.not_valid_after_utc
        for time in (last + SECOND, NOW + 2 * DAY, NOW + 6 * DAY, NOW + 10 * DAY):
            path = self.assertAnew(time=time)
            self.assertIn(S.NotTimeValid, [each.status for each in path.findings])
        for time in (last, last + SECOND - MOMENT):
            self.assertEqual(self.find(time=time).findings, ())

    def test_expiredAbove(self) -> None:
        """
        So it is with an intermediate and a root.
        """
        for issuer, root in (
            (authority("M", ROOT, ecKey(1), notAfter=NOW + SECOND), ROOT),
            (
                authority("M", ROOT, ecKey(1)),
                authority("Root", key=ecKey(), notAfter=NOW + SECOND),
            ),
        ):
            leaf = certificate("leaf", issuer, ecKey(2))
            anchors = Anchors(line(root))
            self.assertEqual(self.find(leaf, (issuer,), anchors).findings, ())
            path = self.find(leaf, (issuer,), anchors, time=NOW + 2 * SECOND)
            self.assertEqual([each.status for each in path.findings], [S.NotTimeValid])

    def test_notYet(self) -> None:
        """
        The clock may be set back: what is not valid yet is found out.
        """
        path = self.assertAnew(time=LEAF.certificate.not_valid_before_utc - MOMENT)
        self.assertEqual([each.status for each in path.findings], [S.NotTimeValid])

    def test_everyMoment(self) -> None:
        """
        In whichever order moments come, each finds what a search finds.
        """
        edges = [
            moment
            for each in line(LEAF, MIDDLE, ROOT, LATER)
            for moment in (each.not_valid_before_utc, each.not_valid_after_utc)
        ]
        moments = [
            edge + step
            for edge in edges
            for step in (-MOMENT, 0 * SECOND, MOMENT, SECOND - MOMENT, SECOND, SECOND + MOMENT)
        ]
        always = certificate(
            "leaf", MIDDLE, ecKey(2), notBefore=NOW - 9 * DAY, notAfter=NOW + 9 * DAY
        )
        for time in (*moments, *reversed(moments), *sorted(moments)):
            self.find(always, (MIDDLE, LATER), time=time)
            self.find(always, (LATER, MIDDLE), time=time)
            self.find(others=(MIDDLE, LATER), time=time)
            self.find(others=(LATER, MIDDLE), time=time)
            self.find(time=time)

    def test_betterLater(self) -> None:
        """
        A certificate that becomes valid changes which way is tried first.
        """
        leaf = certificate("leaf", MIDDLE, ecKey(2), notAfter=NOW + 9 * DAY)
        before = self.find(leaf, (LATER, MIDDLE))
        after = self.find(leaf, (LATER, MIDDLE), time=NOW + DAY)
        self.assertEqual(before.certificates, line(leaf, MIDDLE, ROOT))
        self.assertEqual(after.certificates, line(leaf, LATER, ROOT))

    def test_forEver(self) -> None:
        """
        What is valid for ever (RFC 5280 section 4.1.2.5) is remembered.
        """
        never = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
        root = authority("Root", key=ecKey(), notAfter=never)
        leaf = certificate("leaf", root, ecKey(2), notAfter=never)
        anchors = Anchors(line(root))
        for time in (NOW, NOW, never - SECOND):
            self.assertEqual(self.find(leaf, (), anchors, time=time).findings, ())
        self.assertEqual(self.searches, 1)

    def test_trust(self) -> None:
        """
        With another trust a certificate is judged anew: whose root is trusted no
        more, is refused.
        """
        path = self.assertAnew(anchors=Anchors(line(LATER)))
        self.assertEqual(path.certificates[-1], LATER.certificate)
        path = self.assertAnew(anchors=Anchors(()))
        self.assertEqual([each.status for each in path.findings], [S.PartialChain])

    def test_disallowed(self) -> None:
        """
        A certificate that is disallowed now is refused.
        """
        for each in (LEAF, MIDDLE, ROOT):
            fingerprint = each.certificate.fingerprint(SHA256())
            path = self.assertAnew(disallowed=frozenset({fingerprint}))
            self.assertEqual([found.status for found in path.findings], [S.ExplicitDistrust])

    def test_criteria(self) -> None:
        """
        All that a path has to meet counts, but the time.
        """
        changed = {
            "usages": (ExtendedKeyUsageOID.SERVER_AUTH,),
            "signsHandshakes": True,
            "decryptsSecrets": True,
            "policies": (x509.ObjectIdentifier("1.2.3"),),
            "maximumDepth": 0,
            "disallowed": frozenset({b"another"}),
        }
        names = {each.name for each in dataclasses.fields(Criteria)}
        self.assertEqual({*changed, "time"}, names)
        for name, value in changed.items():
            self.assertAnew(**{name: value})
        later = dataclasses.replace(NOTHING_MORE, time=NOW + SECOND)
        self.assertEqual(later.timeless, NOTHING_MORE.timeless)

    def test_others(self) -> None:
        """
        Without the certificate in between there is no way, whatever there was
        before; and another leaf is another's.
        """
        path = self.assertAnew(others=())
        self.assertEqual([each.status for each in path.findings], [S.PartialChain])
        forged = certificate("leaf", Issued(MIDDLE.certificate, ecKey(3)), ecKey(2))
        path = self.assertAnew(forged)
        self.assertIn(S.NotSignatureValid, [each.status for each in path.findings])

    def test_faults(self) -> None:
        """
        Nothing is remembered with which anything is wrong.
        """
        for _ in range(3):
            self.find(others=())
            self.find(time=NOW + 2 * DAY)
        self.assertEqual(self.searches, 6)
        self.assertEqual(self.known._paths, {})

    def test_steadiness(self) -> None:
        """
        A way with a fault, or to nowhere, is never steady, nor is one about which
        nobody has found that out, or with a certificate that is not valid.
        """
        steady = (NOW - 9 * DAY, NOW + 9 * DAY)
        good = Path(line(LEAF, ROOT), True, (), steady)
        self.assertTrue(good.isSteadyAt(NOW))
        fault = Finding(0, S.NotSignatureValid, "is forged")
        for changed in ({"findings": (fault,)}, {"isAnchored": False}, {"steady": None}):
            self.assertFalse(dataclasses.replace(good, **changed).isSteadyAt(NOW), changed)
        self.assertFalse(good.isSteadyAt(NOW + 2 * DAY))

    def test_large(self) -> None:
        """
        Nor is what is large.
        """
        names = [f"{number}.{'x' * 60}.example.com" for number in range(self.known.SIZE // 70)]
        large = certificate("leaf", MIDDLE, ecKey(2), (hosts(*names),))
        small = certificate("leaf", MIDDLE, ecKey(2), (hosts(*names[:9]),))
        signed = withLongSignature(LEAF.certificate, self.known.SIZE)
        for leaf, others, searches in (
            (large, (MIDDLE,), 2),
            (small, (MIDDLE,), 1),
            (LEAF, (MIDDLE, large), 2),
            (LEAF, (MIDDLE, Issued(signed, LEAF.key)), 2),
        ):
            self.searches = 0
            self.assertEqual(self.find(leaf, others).findings, ())
            self.find(leaf, others)
            self.assertEqual(self.searches, searches)

    def test_limit(self) -> None:
        """
        Those stay that were used last.
        """
        self.patch(KnownPaths, "LIMIT", 3)
        leaves = [certificate(f"leaf {number}", MIDDLE, ecKey(2)) for number in range(4)]
        for each in (*leaves[:3], leaves[0], leaves[3]):
            self.find(each)
        self.assertEqual(len(self.known._paths), 3)
        self.searches = 0
        for each in (leaves[0], leaves[2], leaves[3]):
            self.find(each)
        self.assertEqual(self.searches, 0)
        self.find(leaves[1])
        self.assertEqual(self.searches, 1)
        self.known.clear()
        self.find(leaves[1])
        self.assertEqual(self.searches, 2)


class ChainTests(SynchronousTestCase):
    """
    What is remembered, in L{X509Chain}.
    """

    def built(self, **policy: Any) -> X509ChainStatusFlags:
        """
        @return: what is wrong.
        """
        chain = X509Chain(
            X509ChainPolicy(
                **{
                    "trustMode": X509ChainTrustMode.CustomRootTrust,
                    "customTrustStore": [ROOT.certificate],
                    "extraStore": [MIDDLE.certificate],
                    "verificationTime": NOW,
                    **policy,
                }
            )
        )
        self.successResultOf(chain.build(LEAF.certificate))
        return chain.flags

    def test_judgedAnew(self) -> None:
        """
        A chain that was good before is not, if the time, the trust or the policy
        is another.
        """
        knownPaths.clear()
        self.addCleanup(knownPaths.clear)
        for policy, flags in (
            ({"verificationTime": NOW + 2 * DAY}, S.NotTimeValid),
            ({"customTrustStore": [LATER.certificate]}, S.NotTimeValid),
            ({"extraStore": []}, S.PartialChain),
            ({"maximumDepth": 0}, S.PartialChain),
            ({"certificatePolicy": ["1.2.3"]}, S.NoIssuanceChainPolicy),
        ):
            self.assertEqual(self.built(), S.NoError)
            self.assertEqual(self.built(**policy), flags, policy)
