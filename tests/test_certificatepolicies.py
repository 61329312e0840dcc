"""
Tests for L{txsslstream.certificatepolicies}: RFC 5280 section 6.1, by hand.

The comments name the section's variables: n certificates below the anchor, and
what C{explicit_policy} and C{inhibit_anyPolicy} come to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.certificatepolicies import policyProblem
from txsslstream.testing.issuing import Extension, Issued, authority, certificate, ecKey, line

A, B, C = (x509.ObjectIdentifier(f"1.2.3.{each}") for each in range(3))
ANY = x509.ObjectIdentifier("2.5.29.32.0")

INSISTED = "has no certificate policy that is valid for the whole path, as an issuer insists"
WANTED = "is valid for none of the certificate policies that are asked for"


def policies(*identifiers: x509.ObjectIdentifier) -> Extension:
    """
    The extension that names these policies.
    """
    return x509.CertificatePolicies(
        [x509.PolicyInformation(each, None) for each in identifiers]
    ), False


def require(count: int) -> Extension:
    """
    The extension that requires a policy after so many certificates.
    """
    return x509.PolicyConstraints(count, None), True


def inhibit(count: int) -> Extension:
    """
    The extension that inhibits anyPolicy after so many certificates.
    """
    return x509.InhibitAnyPolicy(count), True


INHIBIT_MAPPING: Extension = (x509.PolicyConstraints(None, 0), True)
MAPPING: Extension = (
    x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), b"\x30\x00"),
    False,
)


class PolicyProblemTests(SynchronousTestCase):
    """
    Tests for L{policyProblem}.
    """

    def path(
        self,
        *below: Iterable[Extension],
        root: Iterable[Extension] = (),
        selfIssued: tuple[int, ...] = (),
    ) -> tuple[x509.Certificate, ...]:
        """
        @param below: the extensions of each certificate below the root, the
            first one's last.
        @param selfIssued: which of these are self-issued, from the root on.
        """
        issued: list[Issued] = [authority("CA 0", key=ecKey(), extensions=root)]
        subject = "CA 0"
        for index, extensions in enumerate(below):
            if index not in selfIssued:
                subject = f"CA {index + 1}"
            issued.append(certificate(subject, issued[-1], ecKey(), extensions))
        return line(*reversed(issued))

    def check(
        self,
        expected: str | None,
        *below: Iterable[Extension],
        wanted: Iterable[x509.ObjectIdentifier] = (),
        root: Iterable[Extension] = (),
        selfIssued: tuple[int, ...] = (),
    ) -> None:
        """
        Compare what is said of a path.
        """
        path = self.path(*below, root=root, selfIssued=selfIssued)
        self.assertEqual(policyProblem(path, tuple(wanted)), expected)

    def test_nobodyInsists(self) -> None:
        """
        If nobody asks for a policy, none need be valid.
        """
        self.check(None, [], [])
        self.check(None, [policies(A)], [policies(B)])
        self.check(None, [policies(A)], [])
        self.check(None)

    def test_require(self) -> None:
        """
        An issuer that insists at once has every certificate below it name a
        policy that is valid from the top.
        """
        for expected, *below in (
            (None, [policies(A), require(0)], [policies(A)]),
            (None, [policies(A, B), require(0)], [policies(B, C)]),
            (INSISTED, [policies(A), require(0)], [policies(B)]),
            (INSISTED, [policies(A), require(0)], []),
            (INSISTED, [require(0)], [policies(A)]),
            (None, [policies(A, B, C), require(0)], [policies(A, B)], [policies(B)]),
            (INSISTED, [policies(A, B), require(0)], [policies(A)], [policies(B)]),
            (INSISTED, [policies(A), require(0)], [], [policies(A)]),
            (None, [policies(A)], [policies(A), require(0)], [policies(A)]),
            (INSISTED, [], [policies(A), require(0)], [policies(A)]),
            (INSISTED, [policies(B)], [policies(A), require(0)], [policies(A)]),
        ):
            self.check(expected, *below)

    def test_requireLater(self) -> None:
        """
        The count is of certificates that are still exempt: in this path,
        explicit_policy reaches 0 at the leaf for 2 and less, as wrapping up
        subtracts once more (6.1.5 (a)).
        """
        for count, expected in ((0, INSISTED), (1, INSISTED), (2, INSISTED), (3, None)):
            # Exempt are: the intermediate, the leaf, and wrapping up.
            self.check(expected, [require(count)], [], [])
        # The smallest count of all rules.
        self.check(INSISTED, [require(9)], [require(0)], [])
        self.check(INSISTED, [require(1)], [require(9)], [])
        self.check(None, [require(9)], [require(9)], [])

    def test_requireOfLast(self) -> None:
        """
        The first certificate itself can insist on a policy with 0 alone (6.1.5
        (b)).
        """
        self.check(INSISTED, [], [require(0)])
        self.check(INSISTED, [policies(A)], [policies(B), require(0)])
        self.check(None, [policies(A)], [policies(A), require(0)])
        self.check(None, [], [require(1)])

    def test_mappingAlone(self) -> None:
        """
        A rule about mapping alone requires no policy.
        """
        self.check(None, [INHIBIT_MAPPING], [])

    def test_requireSelfIssued(self) -> None:
        """
        The self-issued do not count (6.1.4 (h)), unless they come last, but
        their policies do.
        """
        for count, expected in ((2, INSISTED), (3, None)):
            self.check(expected, [require(count)], [], [], [], selfIssued=(1,))
        self.check(INSISTED, [policies(A), require(0)], [], [policies(A)], selfIssued=(1,))
        # Wrapping up counts the last in any case.
        for count, expected in ((1, INSISTED), (2, None)):
            self.check(expected, [require(count)], [], selfIssued=(1,))

    def test_requireOfRoot(self) -> None:
        """
        What the anchor says does not count, neither for nor against.
        """
        self.check(None, [], [], root=[require(0)])
        self.check(None, [policies(A)], [policies(A)], root=[policies(B)], wanted=[A])
        self.check(WANTED, [policies(A)], [policies(A)], root=[policies(B)], wanted=[B])
        self.check(None, [policies(ANY)], [policies(A)], root=[inhibit(0)], wanted=[A])

    def test_any(self) -> None:
        """
        anyPolicy keeps whatever has been valid.
        """
        for expected, *below in (
            (None, [policies(ANY), require(0)], [policies(A)]),
            (None, [policies(A), require(0)], [policies(ANY)]),
            (None, [policies(ANY), require(0)], [policies(ANY)]),
            (None, [policies(ANY), require(0)], [policies(ANY)], [policies(A)]),
            (None, [policies(A), require(0)], [policies(ANY)], [policies(A)]),
            (INSISTED, [policies(A), require(0)], [policies(ANY)], [policies(B)]),
            (INSISTED, [policies(A), require(0)], [policies(ANY, B)], [policies(B)]),
            (None, [policies(A), require(0)], [policies(ANY, B)], [policies(A)]),
            (None, [policies(ANY, A), require(0)], [policies(B)]),
        ):
            self.check(expected, *below)

    def test_inhibit(self) -> None:
        """
        Where anyPolicy is inhibited it says nothing; what is named beside it
        still counts.
        """
        for expected, *below in (
            (INSISTED, [policies(A), require(0), inhibit(0)], [policies(ANY)]),
            (None, [policies(A), require(0), inhibit(0)], [policies(ANY, A)]),
            (INSISTED, [policies(A), require(0), inhibit(0)], [policies(ANY, B)]),
            (None, [policies(ANY), require(0), inhibit(0)], [policies(A)]),
            (INSISTED, [policies(ANY), require(0), inhibit(0)], [policies(ANY)]),
            # inhibit_anyPolicy is 1 for the intermediate, 0 for the leaf.
            (None, [policies(A), require(0), inhibit(1)], [policies(ANY)], [policies(A)]),
            (INSISTED, [policies(A), require(0), inhibit(1)], [policies(A)], [policies(ANY)]),
            (None, [policies(A), require(0), inhibit(2)], [policies(A)], [policies(ANY)]),
            # The smallest of all.
            (
                INSISTED,
                [policies(A), require(0), inhibit(9)],
                [policies(A), inhibit(0)],
                [policies(ANY)],
            ),
            (
                INSISTED,
                [policies(A), require(0), inhibit(0)],
                [policies(A), inhibit(9)],
                [policies(ANY)],
            ),
        ):
            self.check(expected, *below)

    def test_inhibitSelfIssued(self) -> None:
        """
        anyPolicy in a self-issued certificate counts even where it is inhibited
        (6.1.3 (d) (2)), unless it is the last.
        """
        top = [policies(A), require(0), inhibit(0)]
        self.check(None, top, [policies(ANY)], [policies(A)], selfIssued=(1,))
        self.check(INSISTED, top, [policies(ANY)], [policies(A)])
        self.check(INSISTED, top, [policies(ANY)], selfIssued=(1,))
        # A self-issued one is not counted for inhibit_anyPolicy either.
        once = [policies(A), require(0), inhibit(1)]
        self.check(None, once, [policies(A)], [policies(ANY)], [policies(A)], selfIssued=(1,))
        self.check(INSISTED, once, [policies(A)], [policies(ANY)], [policies(A)])

    def test_wanted(self) -> None:
        """
        One of the policies that are asked for must be valid for all
        certificates below the anchor (6.1.5 (g)).
        """
        for expected, wanted, *below in (
            (None, [A], [policies(A)], [policies(A)]),
            (None, [A, B], [policies(A, B)], [policies(C, B)]),
            (WANTED, [B], [policies(A)], [policies(A)]),
            (WANTED, [A], [policies(A)], [policies(B)]),
            (WANTED, [A], [policies(A)], []),
            (WANTED, [A], [], [policies(A)]),
            (WANTED, [A], [], []),
            (None, [A], [policies(ANY)], [policies(A)]),
            (None, [A], [policies(A)], [policies(ANY)]),
            (None, [A], [policies(ANY)], [policies(ANY)]),
            (WANTED, [B], [policies(A)], [policies(ANY)]),
            (WANTED, [B], [policies(ANY)], [policies(A)]),
            (WANTED, [A], [policies(A), inhibit(0)], [policies(ANY)]),
        ):
            self.check(expected, *below, wanted=wanted)

    def test_wantedAny(self) -> None:
        """
        Asking for anyPolicy is asking for a policy, whichever.
        """
        self.check(None, [policies(A)], [policies(A)], wanted=[ANY])
        self.check(None, [policies(A)], [policies(A)], wanted=[B, ANY])
        self.check(WANTED, [policies(A)], [policies(B)], wanted=[ANY])
        self.check(WANTED, [], [], wanted=[ANY])

    def test_alone(self) -> None:
        """
        A certificate that is itself the anchor is asked for its own policies.
        """
        self.check(None, root=[policies(A)], wanted=[A])
        self.check(None, root=[policies(ANY)], wanted=[A])
        self.check(WANTED, root=[policies(B)], wanted=[A])
        self.check(WANTED, wanted=[A])
        self.check(None, root=[policies(A)])

    def test_mappings(self) -> None:
        """
        Where policies are mapped none is valid below, which matters if somebody
        insists; what the first certificate maps is nobody's concern.
        """
        self.check(None, [policies(A), MAPPING], [policies(A)])
        self.check(INSISTED, [policies(A), MAPPING, require(0)], [policies(A)])
        self.check(INSISTED, [policies(A), MAPPING, require(0)], [policies(ANY)])
        self.check(WANTED, [policies(A), MAPPING], [policies(A)], wanted=[A])
        self.check(WANTED, [policies(ANY), MAPPING], [policies(A)], wanted=[A])
        self.check(None, [policies(A)], [policies(A), MAPPING], wanted=[A])

    def test_time(self) -> None:
        """
        Many policies in many certificates take no time: the RFC's tree would
        have 200 to the power of 20 nodes.
        """
        many = policies(*(x509.ObjectIdentifier(f"1.2.4.{each}") for each in range(200)), ANY)
        path = self.path(*[[many]] * 20, [policies(A)])
        begin = time.process_time()
        self.assertIsNone(policyProblem(path, (A,)))
        self.assertEqual(policyProblem(path, (B,)), WANTED)
        self.assertLess(time.process_time() - begin, 5)
