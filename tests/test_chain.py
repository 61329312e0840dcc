"""
Tests for L{txsslstream.chain}: the peer's chain with all that is wrong with it.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import combinations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.support import Authority
from txsslstream.chain import X509Chain, X509ChainStatus, alertFor, chainOf, joinedFlags
from txsslstream.crossing import Finding, PeerChain
from txsslstream.enums import TlsAlert, X509ChainStatusFlags, X509RevocationMode

S = X509ChainStatusFlags

_ROOT = Authority("Root")
_MIDDLE = Authority("Middle", _ROOT)
ROOT = _ROOT.certificate
MIDDLE = _MIDDLE.certificate
LEAF = _MIDDLE.issue("localhost").certificate

EXPIRED = Finding(0, S.NotTimeValid, "certificate has expired")
WEAK = Finding(1, S.HasWeakSignature, "CA key too small")
UNTRUSTED = Finding(2, S.UntrustedRoot, "self-signed certificate in certificate chain")

UNCHECKED = X509ChainStatus(
    S.RevocationStatusUnknown | S.OfflineRevocation, "no revocation information is at hand"
)

CHECKING_MODES = (X509RevocationMode.Online, X509RevocationMode.Offline)

#: Which alert tells of which problem, the most telling first; all others are
#: C{bad_certificate}.
ALERTS = (
    ((S.UntrustedRoot, S.PartialChain, S.Cyclic), TlsAlert.unknown_ca),
    ((S.Revoked,), TlsAlert.certificate_revoked),
    ((S.NotTimeValid, S.NotTimeNested), TlsAlert.certificate_expired),
    ((S.NotValidForUsage,), TlsAlert.unsupported_certificate),
    ((S.RevocationStatusUnknown, S.OfflineRevocation), TlsAlert.certificate_unknown),
)
FLAGS = [flag for flag in S.__members__.values() if flag]


def chain(
    *findings: Finding,
    mode: X509RevocationMode = X509RevocationMode.NoCheck,
    built: tuple[x509.Certificate, ...] = (LEAF, MIDDLE, ROOT),
) -> X509Chain:
    """
    @return: the chain of what OpenSSL found.
    """
    return chainOf(PeerChain(built, (LEAF, MIDDLE), findings), mode)


def statuses(made: X509Chain) -> list[tuple[X509ChainStatus, ...]]:
    """
    @return: what is wrong with each of a chain's elements.
    """
    return [element.chainElementStatus for element in made.chainElements]


def status(finding: Finding) -> X509ChainStatus:
    """
    @return: what a finding is for a chain's element.
    """
    return X509ChainStatus(finding.status, finding.information)


class ChainOfTests(SynchronousTestCase):
    """
    Tests for L{chainOf} and L{X509Chain}.
    """

    def test_faultless(self) -> None:
        """
        A chain with nothing wrong has its certificates in order, what the peer
        sent, and no status anywhere.
        """
        made = chain()
        self.assertEqual(
            [element.certificate for element in made.chainElements], [LEAF, MIDDLE, ROOT]
        )
        self.assertEqual(made.presentedCertificates, (LEAF, MIDDLE))
        self.assertEqual(statuses(made), [(), (), ()])
        self.assertEqual(made.chainStatus, ())
        self.assertIs(made.flags, S.NoError)

    def test_everyFinding(self) -> None:
        """
        Every finding is a status of the certificate that it is about, in the
        words of OpenSSL.
        """
        made = chain(UNTRUSTED, WEAK, EXPIRED)
        self.assertEqual(
            statuses(made), [(status(EXPIRED),), (status(WEAK),), (status(UNTRUSTED),)]
        )
        self.assertEqual(made.chainElements[0].chainElementStatus[0].status, S.NotTimeValid)
        self.assertEqual(
            made.chainElements[0].chainElementStatus[0].statusInformation,
            "certificate has expired",
        )

    def test_severalOfOne(self) -> None:
        """
        A certificate can have several problems, in the order of finding.
        """
        usage = Finding(0, S.NotValidForUsage, "unsuitable certificate purpose")
        self.assertEqual(
            statuses(chain(usage, EXPIRED)), [(status(usage), status(EXPIRED)), (), ()]
        )

    def test_chainStatus(self) -> None:
        """
        The chain has every problem of its elements, each once.
        """
        again = Finding(1, EXPIRED.status, EXPIRED.information)
        made = chain(UNTRUSTED, again, EXPIRED)
        self.assertEqual(made.chainStatus, (status(EXPIRED), status(UNTRUSTED)))
        self.assertEqual(made.flags, S.NotTimeValid | S.UntrustedRoot)

    def test_sameFlagInOtherWords(self) -> None:
        """
        Problems that share a flag but not the words are two.
        """
        early = Finding(1, S.NotTimeValid, "certificate is not yet valid")
        made = chain(EXPIRED, early)
        self.assertEqual(made.chainStatus, (status(EXPIRED), status(early)))
        self.assertEqual(made.flags, S.NotTimeValid)

    def test_nothingIsLost(self) -> None:
        """
        A finding about a certificate that the chain does not have is the last
        one's.
        """
        beyond = Finding(7, S.PartialChain, "certificate chain too long")
        self.assertEqual(statuses(chain(beyond)), [(), (), (status(beyond),)])
        self.assertEqual(statuses(chain(beyond, built=(LEAF,))), [(status(beyond),)])

    def test_revocationNotAsked(self) -> None:
        """
        Without being asked for, revocation leaves no status.
        """
        self.assertEqual(chain(mode=X509RevocationMode.NoCheck).chainStatus, ())

    def test_revocationAsked(self) -> None:
        """
        Asked for revocation, in either mode, every certificate but the root is
        of unknown status.
        """
        for mode in CHECKING_MODES:
            made = chain(mode=mode)
            self.assertEqual(statuses(made), [(UNCHECKED,), (UNCHECKED,), ()])
            self.assertEqual(made.chainStatus, (UNCHECKED,))
            self.assertEqual(made.flags, S.RevocationStatusUnknown | S.OfflineRevocation)

    def test_revocationWithoutIntermediate(self) -> None:
        """
        A root that has signed the peer's certificate itself is exempt as well.
        """
        self.assertEqual(
            statuses(chain(mode=X509RevocationMode.Online, built=(LEAF, ROOT))), [(UNCHECKED,), ()]
        )

    def test_revocationBesideFindings(self) -> None:
        """
        That the status is unknown comes after whatever else was found.
        """
        made = chain(EXPIRED, UNTRUSTED, mode=X509RevocationMode.Online)
        self.assertEqual(
            statuses(made), [(status(EXPIRED), UNCHECKED), (UNCHECKED,), (status(UNTRUSTED),)]
        )

    def test_revocationWithoutRoot(self) -> None:
        """
        The last certificate of a chain that ends before its root is no root,
        and of unknown status like the others.
        """
        for mode in CHECKING_MODES:
            self.assertEqual(
                statuses(chain(mode=mode, built=(LEAF, MIDDLE))), [(UNCHECKED,), (UNCHECKED,)]
            )

    def test_revocationOfSelfSigned(self) -> None:
        """
        A peer whose own certificate is its root is not exempt.
        """
        for mode in CHECKING_MODES:
            self.assertEqual(statuses(chain(mode=mode, built=(ROOT,))), [(UNCHECKED,)])

    def test_value(self) -> None:
        """
        Chains with the same content are equal, have the same hash and cannot be
        changed.
        """
        self.assertEqual(chain(EXPIRED), chain(EXPIRED))
        self.assertEqual(hash(chain(EXPIRED)), hash(chain(EXPIRED)))
        self.assertNotEqual(chain(EXPIRED), chain())
        self.assertNotEqual(chain(built=(LEAF, ROOT)), chain())
        made = chain(EXPIRED)
        for target, name in (
            (made, "chainElements"),
            (made.chainElements[0], "certificate"),
            (made.chainStatus[0], "status"),
        ):
            with self.assertRaises(FrozenInstanceError):
                setattr(target, name, None)


class JoinedFlagsTests(SynchronousTestCase):
    """
    Tests for L{joinedFlags}.
    """

    def test_joined(self) -> None:
        """
        The flags of all statuses are in it, and no others.
        """
        self.assertIs(joinedFlags([]), S.NoError)
        self.assertEqual(
            joinedFlags(iter([status(EXPIRED), UNCHECKED, status(EXPIRED)])),
            S.NotTimeValid | S.RevocationStatusUnknown | S.OfflineRevocation,
        )


class AlertForTests(SynchronousTestCase):
    """
    Tests for L{alertFor}.
    """

    def expected(self, flag: X509ChainStatusFlags) -> tuple[int, TlsAlert]:
        """
        @return: the rank and the alert of a problem.
        """
        for rank, (flags, alert) in enumerate(ALERTS):
            if flag in flags:
                return rank, alert
        return len(ALERTS), TlsAlert.bad_certificate

    def test_single(self) -> None:
        """
        Each problem alone has its alert.
        """
        for flag in FLAGS:
            self.assertIs(alertFor(flag), self.expected(flag)[1], flag)

    def test_none(self) -> None:
        """
        Without a problem of the chain, it was the name: C{bad_certificate}.
        """
        self.assertIs(alertFor(S.NoError), TlsAlert.bad_certificate)

    def test_precedence(self) -> None:
        """
        Of several problems the most telling one decides.
        """
        for one, other in combinations(FLAGS, 2):
            expected = min(self.expected(one), self.expected(other))[1]
            self.assertIs(alertFor(one | other), expected, (one, other))

    def test_all(self) -> None:
        """
        Whoever has every problem is told of the authority.
        """
        everything = S.NoError
        for flag in FLAGS:
            everything |= flag
        self.assertIs(alertFor(everything), TlsAlert.unknown_ca)
