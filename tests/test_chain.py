"""
Tests for L{txsslstream.chain}: the chain of a certificate with all that is wrong
with it, by itself and where a validation callback builds it anew.

What is found in chains of every kind is L{tests.test_corpus}' business.
"""

from __future__ import annotations

import datetime
import unittest.mock
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from itertools import combinations
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import ssl as twistedSsl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.applications import ProtocolMixin
from tests.corpus import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Issuer,
    damaged,
    isAuthority,
    leaf,
    sending,
    usages,
    with_,
)
from tests.files import HomeMixin
from tests.support import AUTHORITY, CLIENT, SERVER
from tests.test_authentication import Conversation
from txsslstream import SslCertificateTrust, chain, crossing, stores
from txsslstream._cache import RevocationCache
from txsslstream.chain import (
    REFUSALS,
    X509Chain,
    X509ChainElement,
    X509ChainStatus,
    alertFor,
    joinedFlags,
)
from txsslstream.crossing import Finding
from txsslstream.enums import (
    SslPolicyErrors,
    StoreLocation,
    StoreName,
    TlsAlert,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationMode,
    X509VerificationFlags,
)
from txsslstream.errors import (
    AuthenticationError,
    CertificateError,
    HandshakeCancelled,
    HandshakeInterrupted,
    RetrievalError,
)
from txsslstream.interfaces import IRetriever
from txsslstream.knownpaths import knownPaths
from txsslstream.paths import Path
from txsslstream.policy import X509ChainPolicy
from txsslstream.stores import X509Store
from txsslstream.testing import DAY, NOW, Authority, Side, perVersion, rsaKey
from txsslstream.testing.issuing import keyUsage
from txsslstream.testing.revocations import access, crl, crlBytes, distribution

S = X509ChainStatusFlags
V = X509VerificationFlags

ROOT = Issuer("Root")
MIDDLE = Issuer("Middle", ROOT)
STRANGER = Issuer("Stranger")
#: With its intermediate.
PRESENTED = leaf(MIDDLE)
LEAF = PRESENTED.certificate
WHOLE = (LEAF, MIDDLE.certificate, ROOT.certificate)

UNKNOWN = S.RevocationStatusUnknown | S.OfflineRevocation

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


def custom(*roots: Any, **parts: Any) -> X509ChainPolicy:
    """
    @param roots: in any accepted form.
    @return: a policy that trusts them alone.
    """
    return X509ChainPolicy(
        trustMode=X509ChainTrustMode.CustomRootTrust, customTrustStore=roots, **parts
    )


def pem(*certificates: x509.Certificate) -> bytes:
    """
    @return: the certificates as PEM.
    """
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


@implementer(IRetriever)
class Retriever:
    """
    Fetches from nowhere.

    @ivar asked: the URLs, in order.
    @ivar answers: the Deferreds.
    @ivar cancelled: the URLs that nobody waits for any more.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[Deferred[bytes]] = []
        self.cancelled: list[str] = []

    def retrieve(
        self,
        url: str,
        *,
        body: bytes | None = None,
        contentType: str | None = None,
        limit: int,
        timeout: float,
    ) -> Deferred[bytes]:
        self.asked.append(url)
        self.answers.append(Deferred(lambda _: self.cancelled.append(url)))
        return self.answers[-1]


class ChainTestCase(HomeMixin, SynchronousTestCase):
    """
    What all tests of chains need.
    """

    def assertBuilt(
        self,
        policy: X509ChainPolicy | None,
        expected: bool,
        path: tuple[x509.Certificate, ...] = WHOLE,
        certificate: Any = PRESENTED,
    ) -> X509Chain:
        """
        Building ends at once, with this verdict and these certificates.
        """
        made = X509Chain(policy)
        self.assertIs(self.successResultOf(made.build(certificate)), expected, made.problems)
        self.assertEqual(tuple(each.certificate for each in made.chainElements), path)
        return made

    def statuses(self, made: X509Chain) -> list[list[X509ChainStatusFlags]]:
        """
        @return: the flags of each element's problems.
        """
        return [
            [status.status for status in element.chainElementStatus]
            for element in made.chainElements
        ]

    def put(self, store: X509Store, *certificates: x509.Certificate) -> None:
        """
        Put certificates in a store.
        """
        for each in certificates:
            store.add(each)


class ValueTests(SynchronousTestCase):
    """
    Tests for what a chain consists of.
    """

    def test_beforeBuild(self) -> None:
        """
        Before it is built, a chain has no elements, no problems, and a policy
        with .NET's defaults but for revocation.
        """
        made = X509Chain()
        self.assertEqual(made.chainElements, ())
        self.assertEqual(made.chainStatus, ())
        self.assertEqual(made.problems, ())
        self.assertIs(made.flags, S.NoError)
        self.assertIs(made.countingFlags, S.NoError)
        self.assertEqual(made.chainPolicy, X509ChainPolicy())
        self.assertIs(made.chainPolicy.revocationMode, X509RevocationMode.NoCheck)
        self.assertEqual(made.presentedCertificates, ())
        self.assertIsNone(made.stapledResponse)
        self.assertIs(made.expectsStaple, False)
        self.assertIs(made.signsHandshakes, False)
        self.assertEqual(repr(made), "<X509Chain not built>")

    def test_ownPolicy(self) -> None:
        """
        The policy that is given is the chain's own, not a copy.
        """
        policy = X509ChainPolicy()
        self.assertIs(X509Chain(policy).chainPolicy, policy)
        self.assertIsNot(X509Chain().chainPolicy, X509Chain().chainPolicy)

    def test_found(self) -> None:
        """
        A chain that somebody else has built has their certificates and no
        problems.
        """
        made = X509Chain.found(iter(WHOLE))
        self.assertEqual(made.chainElements, tuple(X509ChainElement(each, ()) for each in WHOLE))
        self.assertEqual((made.chainStatus, made.problems), ((), ()))
        self.assertEqual(repr(made), "<X509Chain localhost < Middle < Root>")

    def test_frozen(self) -> None:
        """
        Elements and statuses cannot be changed.
        """
        status = X509ChainStatus(S.Revoked, "is revoked")
        for target, name in (
            (X509ChainElement(LEAF, (status,)), "certificate"),
            (status, "status"),
            (status, "statusInformation"),
        ):
            with self.assertRaises(FrozenInstanceError):
                setattr(target, name, None)


class BuildTests(ChainTestCase):
    """
    Tests for L{X509Chain.build}: what it builds from and what it trusts.
    """

    def test_forms(self) -> None:
        """
        A certificate comes in any accepted form, and what comes with it may be
        on the way.
        """
        self.file(pem(LEAF, MIDDLE.certificate), "both.pem")
        self.file(pem(LEAF), "one.pem")
        self.file(LEAF.public_bytes(Encoding.DER), "one.der")
        twisted = twistedSsl.Certificate.loadPEM(pem(LEAF))
        both = self.directory / "both.pem"
        for some in (PRESENTED, both, str(both)):
            self.assertBuilt(custom(ROOT.certificate), True, certificate=some)
        alone: tuple[Any, ...] = (
            LEAF,
            twisted,
            self.directory / "one.pem",
            self.directory / "one.der",
        )
        for each in alone:
            self.assertBuilt(custom(ROOT.certificate), False, (LEAF,), each)

    def test_formsOfTrust(self) -> None:
        """
        The stores of a policy take every form, too.
        """
        root = self.file(pem(ROOT.certificate), "root.pem")
        middle = twistedSsl.Certificate.loadPEM(pem(MIDDLE.certificate))
        self.assertBuilt(custom(root, extraStore=[middle]), True, certificate=LEAF)

    def test_badFile(self) -> None:
        """
        A file that is missing or damaged fails the Deferred and leaves the
        elements of before.
        """
        made = self.assertBuilt(custom(ROOT.certificate), True)
        before = made.chainElements
        damaged = self.file(b"-----BEGIN CERTIFICATE-----\nAAAA\n", "damaged.pem")
        for each in (damaged, self.directory / "none.pem"):
            failure = self.failureResultOf(made.build(each), CertificateError)
            self.assertIn(str(each), str(failure.value))
        self.failureResultOf(made.build(5), TypeError)  # type: ignore[arg-type]
        self.assertIs(made.chainElements, before)

    def test_systemFile(self) -> None:
        """
        The system's roots are trusted, and no others, and what else is there is
        on the way.
        """
        self.assertBuilt(None, False, (LEAF, MIDDLE.certificate))
        self.bundle.write_bytes(pem(STRANGER.certificate, ROOT.certificate))
        self.assertBuilt(None, True)
        self.bundle.write_bytes(pem(ROOT.certificate, MIDDLE.certificate))
        self.assertBuilt(None, True, certificate=LEAF)

    def test_usersRoots(self) -> None:
        """
        What the user has in the store C{Root} is trusted, from the next build
        on, and not any more once it is removed.
        """
        made = self.assertBuilt(None, False, (LEAF, MIDDLE.certificate))
        store = X509Store(StoreName.Root)
        self.put(store, ROOT.certificate)
        self.assertIs(self.successResultOf(made.build(PRESENTED)), True)
        store.remove(ROOT.certificate)
        self.assertIs(self.successResultOf(made.build(PRESENTED)), False)

    def test_usersIntermediates(self) -> None:
        """
        What the user has in the store C{CA} is on the way, and is not trusted.
        """
        self.put(X509Store(StoreName.CertificateAuthority), MIDDLE.certificate, ROOT.certificate)
        self.assertBuilt(custom(ROOT.certificate), True, certificate=LEAF)
        made = self.assertBuilt(None, False, certificate=LEAF)
        self.assertEqual(self.statuses(made), [[], [], [S.UntrustedRoot]])

    def test_trustModes(self) -> None:
        """
        With C{CustomRootTrust} the system's roots are not trusted, and with
        C{System} those of the policy are not.
        """
        self.put(X509Store(StoreName.Root), ROOT.certificate)
        self.assertBuilt(custom(STRANGER.certificate), False, (LEAF, MIDDLE.certificate))
        self.assertBuilt(custom(), False, (LEAF, MIDDLE.certificate))
        theirs = leaf(STRANGER)
        policy = X509ChainPolicy(customTrustStore=[STRANGER.certificate])
        self.assertBuilt(policy, False, (theirs.certificate,), theirs)
        self.assertBuilt(policy, True)

    def test_extraStore(self) -> None:
        """
        What is in the extra store is on the way, and is not trusted.
        """
        extra = [MIDDLE.certificate, ROOT.certificate]
        self.assertBuilt(custom(ROOT.certificate, extraStore=extra), True, certificate=LEAF)
        made = self.assertBuilt(
            custom(STRANGER.certificate, extraStore=extra), False, certificate=LEAF
        )
        self.assertEqual(self.statuses(made), [[], [], [S.UntrustedRoot]])

    def test_verificationTime(self) -> None:
        """
        The chain is judged for the given time, with the last second inclusive.
        """
        end = LEAF.not_valid_after_utc
        second = datetime.timedelta(seconds=1)
        for time, expected in (
            (end, True),
            (end + second, False),
            (LEAF.not_valid_before_utc, True),
            (LEAF.not_valid_before_utc - second, False),
        ):
            made = self.assertBuilt(custom(ROOT.certificate, verificationTime=time), expected)
            self.assertEqual(self.statuses(made)[0], [] if expected else [S.NotTimeValid])

    def test_applicationPolicy(self) -> None:
        """
        The certificate must be good for all that the policy asks for.
        """
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        self.assertBuilt(custom(ROOT.certificate, applicationPolicy=both), True)
        more = [*both, ExtendedKeyUsageOID.EMAIL_PROTECTION]
        made = self.assertBuilt(custom(ROOT.certificate, applicationPolicy=more), False)
        self.assertEqual(self.statuses(made), [[S.NotValidForUsage], [], []])

    def test_signsHandshakes(self) -> None:
        """
        The key usage counts where handshakes are to be signed.
        """
        made = X509Chain(custom(ROOT.certificate))
        presented = leaf(MIDDLE, keyUsage("crl_sign"))
        self.assertIs(self.successResultOf(made.build(presented)), True)
        made.signsHandshakes = True
        self.assertIs(self.successResultOf(made.build(presented)), False)
        self.assertEqual(self.statuses(made), [[S.NotValidForUsage], [], []])

    def test_policies(self) -> None:
        """
        The certificate policies that are asked for are heeded, and the maximum
        depth is.
        """
        made = self.assertBuilt(custom(ROOT.certificate, certificatePolicy=["1.2.3"]), False)
        self.assertEqual(self.statuses(made)[0], [S.NoIssuanceChainPolicy])
        made = self.assertBuilt(custom(ROOT.certificate, maximumDepth=0), False, (LEAF,))
        self.assertEqual(self.statuses(made), [[S.PartialChain]])
        self.assertBuilt(custom(ROOT.certificate, maximumDepth=1), True)

    def test_rebuilt(self) -> None:
        """
        After a change of the policy, or with another, the next build is by
        that.
        """
        made = self.assertBuilt(custom(STRANGER.certificate), False, (LEAF, MIDDLE.certificate))
        store: Any = made.chainPolicy.customTrustStore
        store.append(ROOT.certificate)
        self.assertIs(self.successResultOf(made.build(PRESENTED)), True)
        self.assertEqual(made.problems, ())
        made.chainPolicy.verificationTime = NOW + 1000 * DAY
        self.assertIs(self.successResultOf(made.build(PRESENTED)), False)
        self.assertEqual(self.statuses(made), [[S.NotTimeValid]] * 3)
        made.chainPolicy = custom(ROOT.certificate)
        self.assertIs(self.successResultOf(made.build(PRESENTED)), True)

    def test_policyAfterwards(self) -> None:
        """
        A change of the policy changes nothing about what was built.
        """
        made = self.assertBuilt(custom(ROOT.certificate, verificationTime=NOW + 1000 * DAY), False)
        problems = made.problems
        made.chainPolicy.verificationFlags = V.AllFlags
        self.assertEqual(len(problems), 3)
        self.assertEqual(made.problems, problems)
        self.assertEqual(made.countingFlags, S.NotTimeValid)
        self.assertIs(self.successResultOf(made.build(PRESENTED)), True)
        made.chainPolicy = custom()
        self.assertEqual(made.problems, ())

    def test_clearTrust(self) -> None:
        """
        Nothing stays trusted when the policy does not trust it any more.
        """
        made = self.assertBuilt(custom(ROOT.certificate), True)
        made.chainPolicy.customTrustStore = []
        self.assertIs(self.successResultOf(made.build(PRESENTED)), False)
        self.assertEqual(self.statuses(made), [[], [S.PartialChain]])


class KnownTests(ChainTestCase):
    """
    Whoever was faultless is so again without a search, as long as nothing has
    changed that it depends on.
    """

    def setUp(self) -> None:
        """
        Count the searches.
        """
        super().setUp()
        self.searches = 0
        find = knownPaths.find

        def counting(*arguments: Any) -> Path:
            self.searches += 1
            return find(*arguments)

        self.patch(knownPaths, "find", counting)
        self.patch(stores, "monotonic", lambda: 100.0)
        self.policy = custom(ROOT.certificate, extraStore=[MIDDLE.certificate]).frozen()

    def judge(
        self, expected: bool, certificate: x509.Certificate = LEAF, **parts: Any
    ) -> X509Chain:
        """
        Judge a certificate at once, with this verdict.
        """
        made = X509Chain.judging(self.policy, Clock())
        for name, value in parts.items():
            setattr(made, name, value)
        self.assertIs(made.buildAtOnce(certificate), expected)
        return made

    def test_same(self) -> None:
        """
        The same comes to the same.
        """
        first, again = self.judge(True), self.judge(True)
        self.assertEqual(self.searches, 1)
        self.assertIs(again.chainElements, first.chainElements)
        self.assertEqual(tuple(each.certificate for each in again.chainElements), WHOLE)
        self.assertEqual((again.flags, again.problems), (S.NoError, ()))

    def test_time(self) -> None:
        """
        It does until a certificate expires, and not any more then.
        """
        last = LEAF.not_valid_after_utc
        self.judge(True)
        for moment, expected, searches in ((last, True, 1), (last + DAY, False, 2)):
            with unittest.mock.patch.object(chain, "_timeOf", lambda _, at=moment: at):
                made = self.judge(expected)
            self.assertEqual(self.searches, searches)
        self.assertEqual(made.flags, S.NotTimeValid)

    def test_otherCertificate(self) -> None:
        """
        Another certificate is another one.
        """
        self.judge(True)
        self.judge(False, leaf(STRANGER).certificate)
        self.judge(True)
        self.assertEqual(self.searches, 3)

    def test_otherUse(self) -> None:
        """
        What it is used for counts.
        """
        signing = leaf(MIDDLE, keyUsage("digital_signature"), key=rsaKey()).certificate
        self.judge(True, signing, signsHandshakes=True)
        made = self.judge(False, signing, decryptsSecrets=True)
        self.assertEqual(made.flags, S.NotValidForUsage)
        self.judge(True, signing, signsHandshakes=True)
        self.judge(True, signing)
        self.judge(False, signing, decryptsSecrets=True)
        wrapping = leaf(MIDDLE, keyUsage("key_encipherment"), key=rsaKey()).certificate
        self.judge(True, wrapping, decryptsSecrets=True)
        self.judge(False, wrapping, decryptsSecrets=True, signsHandshakes=True)

    def test_stores(self) -> None:
        """
        What is put into a store counts from then on.
        """
        self.judge(True)
        self.put(X509Store(StoreName.Disallowed), LEAF)
        self.assertEqual(self.judge(False).flags, S.ExplicitDistrust)
        X509Store(StoreName.Disallowed).remove(LEAF)
        self.judge(True)

    def test_faults(self) -> None:
        """
        What is wrong is found anew each time.
        """
        self.policy = custom(STRANGER.certificate).frozen()
        for searches in (1, 2):
            made = self.judge(False)
            self.assertEqual(made.flags, S.PartialChain)
            self.assertEqual(self.searches, searches)

    def test_flags(self) -> None:
        """
        Nor is what the policy excuses kept for faultless.
        """
        flags = V.AllowUnknownCertificateAuthority
        self.policy = custom(STRANGER.certificate, verificationFlags=flags).frozen()
        for searches in (1, 2):
            made = self.judge(True)
            self.assertEqual((made.flags, made.problems), (S.PartialChain, ()))
            self.assertEqual(self.searches, searches)


@perVersion(segments=(0,))
class SharedPolicyTests(ProtocolMixin):
    """
    One policy, and so what was concluded by it last, may be that of clients and
    of servers, for any names.
    """

    def setUp(self) -> None:
        """
        A policy that both sides take as it is.
        """
        super().setUp()
        self.policy = custom(AUTHORITY.certificate).frozen()

    def flagsOf(self, side: Side) -> tuple[SslPolicyErrors, S] | None:
        """
        @return: what one side has against the other, if anything.
        """
        authenticated = side.tls.whenAuthenticated()
        if side.tls.isAuthenticated:
            self.successResultOf(authenticated)
            return None
        error = self.failure(authenticated, AuthenticationError)
        return error.sslPolicyErrors, error.chainStatus

    def judged(self, server: Any, client: Any, targetHost: str = "localhost") -> list[Any]:
        """
        @return: what the client and the server think of each other.
        """
        policy = {"certificateChainPolicy": self.policy}
        link = self.link(
            True,
            client={**policy, "clientCertificates": [client], "targetHost": targetHost},
            server={**policy, "serverCertificate": server, "clientCertificateRequired": True},
        )
        self.assertIs(link.client.tls._authentication.options.chainPolicy, self.policy)
        self.assertIs(link.server.tls._authentication.options.chainPolicy, self.policy)
        link.wire.flush()
        found = [self.flagsOf(link.client), self.flagsOf(link.server)]
        link.wire.cut()
        self.assertNothingLeft(link)
        return found

    def test_roles(self) -> None:
        """
        Who is good for one role is not for the other, whoever was judged before.
        """
        misused = (SslPolicyErrors.RemoteCertificateChainErrors, S.NotValidForUsage)
        forServers, forClients = (
            leaf(AUTHORITY, usages(each)) for each in (SERVER_AUTH, CLIENT_AUTH)
        )
        for _ in range(2):
            self.assertEqual(self.judged(forServers, forClients), [None, None])
            self.assertEqual(self.judged(forServers, forServers)[1], misused)
            self.assertEqual(self.judged(forClients, forClients)[0], misused)

    def test_names(self) -> None:
        """
        Who has one name has not another, whoever was judged before.
        """
        misnamed = (SslPolicyErrors.RemoteCertificateNameMismatch, S.NoError)
        for _ in range(2):
            self.assertEqual(self.judged(SERVER, CLIENT), [None, None])
            self.assertEqual(self.judged(SERVER, CLIENT, "elsewhere.example")[0], misnamed)

    def test_clients(self) -> None:
        """
        Of many clients each is judged by what it has shown itself.
        """
        strangers = Authority("Strangers").clientCertificate
        untrusted = (SslPolicyErrors.RemoteCertificateChainErrors, S.PartialChain)
        for _ in range(2):
            self.assertEqual(self.judged(SERVER, CLIENT), [None, None])
            self.assertEqual(self.judged(SERVER, strangers)[1], untrusted)

    def test_large(self) -> None:
        """
        What is large is not kept with the policy, for peers choose it.
        """
        with unittest.mock.patch.object(crossing, "_SMALL_CHAIN_BYTES", 10):
            self.assertEqual(self.judged(SERVER, CLIENT), [None, None])
        self.assertIsNone(self.policy._extension)
        self.assertEqual(self.judged(SERVER, CLIENT), [None, None])
        self.assertIsNotNone(self.policy._extension)


class StoreFailureTests(ChainTestCase):
    """
    A store that cannot be read fails the Deferred.
    """

    def assertFails(self, policy: X509ChainPolicy | None, words: str) -> None:
        """
        Building fails with this in its words, and leaves no elements.
        """
        made = X509Chain(policy)
        failure = self.failureResultOf(made.build(PRESENTED), CertificateError)
        self.assertIn(words, str(failure.value))
        self.assertEqual(made.chainElements, ())

    def test_disallowed(self) -> None:
        """
        What is disallowed must be known, whatever is trusted.
        """
        for path in (
            X509Store(StoreName.Disallowed).path,
            X509Store(StoreName.Disallowed, StoreLocation.LocalMachine).path,
        ):
            path.mkdir(parents=True)
            bad = path / "bad.pem"
            bad.write_bytes(b"garbage")
            self.assertFails(custom(ROOT.certificate), str(bad))
            self.assertFails(None, str(bad))
            bad.unlink()
            self.assertBuilt(custom(ROOT.certificate), True)

    def test_notDirectory(self) -> None:
        """
        A store of the user's that is no directory fails the Deferred.
        """
        path = X509Store(StoreName.CertificateAuthority).path
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        self.assertFails(custom(ROOT.certificate), str(path))

    def test_roots(self) -> None:
        """
        The user's roots have to be readable where the system's are trusted, and
        only there.
        """
        path = X509Store(StoreName.Root).path
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        self.assertFails(None, str(path))
        self.assertBuilt(custom(ROOT.certificate), True)


class ProblemTests(ChainTestCase):
    """
    Tests for what a chain tells of its problems.
    """

    def test_words(self) -> None:
        """
        A problem is a sentence with the certificate's place, its name, and what
        is wrong.
        """
        early = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        end = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
        between = Issuer("Middle", ROOT, notBefore=early, notAfter=end)
        presented = leaf(between)
        made = self.assertBuilt(
            custom(ROOT.certificate),
            False,
            (presented.certificate, between.certificate, ROOT.certificate),
            presented,
        )
        self.assertEqual(made.problems, ("certificate 2 of 3 'Middle' expired 2026-01-02",))
        self.assertEqual(made.chainStatus, (X509ChainStatus(S.NotTimeValid, "expired 2026-01-02"),))
        self.assertEqual(made.chainElements[1].chainElementStatus, made.chainStatus)
        self.assertEqual(repr(made), "<X509Chain localhost < Middle < Root>")

    def test_everyStatus(self) -> None:
        """
        The chain has the problems of all elements, each once, and all their
        flags.
        """
        presented = sending(leaf(MIDDLE, notAfter=NOW - DAY / 2), MIDDLE, ROOT)
        policy = custom(
            STRANGER.certificate,
            applicationPolicy=[ExtendedKeyUsageOID.CODE_SIGNING],
            revocationMode=X509RevocationMode.Offline,
        )
        path = (presented.certificate, *WHOLE[1:])
        made = self.assertBuilt(policy, False, path, presented)
        self.assertEqual(
            self.statuses(made),
            [[S.NotTimeValid, S.NotValidForUsage, UNKNOWN], [UNKNOWN], [S.UntrustedRoot]],
        )
        # That nothing is known of two certificates, and why, is the same.
        self.assertEqual(
            [each.status for each in made.chainStatus],
            [S.NotTimeValid, S.NotValidForUsage, UNKNOWN, S.UntrustedRoot],
        )
        everything = S.NotTimeValid | S.NotValidForUsage | UNKNOWN | S.UntrustedRoot
        self.assertEqual((made.flags, made.countingFlags), (everything, everything))
        self.assertEqual(len(made.problems), 5)
        self.assertEqual(
            [each.split("'")[0] for each in made.problems],
            ["certificate 1 of 3 "] * 3 + ["certificate 2 of 3 ", "certificate 3 of 3 "],
        )

    def test_otherWords(self) -> None:
        """
        Problems that share a flag but not the words are two.
        """
        between = Issuer("Middle", ROOT, notAfter=NOW - DAY)
        presented = leaf(between, notBefore=NOW + DAY)
        path = (presented.certificate, between.certificate, ROOT.certificate)
        made = self.assertBuilt(custom(ROOT.certificate), False, path, presented)
        self.assertEqual([each.status for each in made.chainStatus], [S.NotTimeValid] * 2)
        self.assertEqual(made.flags, S.NotTimeValid)

    def test_excused(self) -> None:
        """
        What is excused is listed, and counts neither for the verdict nor among
        the problems.
        """
        presented = sending(leaf(MIDDLE, notAfter=NOW - DAY / 2), MIDDLE, ROOT)
        path = (presented.certificate, *WHOLE[1:])
        policy = custom(STRANGER.certificate, verificationFlags=V.IgnoreNotTimeValid)
        made = self.assertBuilt(policy, False, path, presented)
        self.assertEqual(made.flags, S.NotTimeValid | S.UntrustedRoot)
        self.assertEqual(made.countingFlags, S.UntrustedRoot)
        self.assertEqual(
            made.problems, ("certificate 3 of 3 'Root' is a root that is not trusted",)
        )
        policy.verificationFlags |= V.AllowUnknownCertificateAuthority
        made = self.assertBuilt(policy, True, path, presented)
        self.assertEqual(made.flags, S.NotTimeValid | S.UntrustedRoot)
        self.assertEqual((made.countingFlags, made.problems), (S.NoError, ()))

    def test_strangeName(self) -> None:
        """
        A name is told in one line of at most 64 characters.
        """
        name = "Evil\n\x1b[31m" + "x" * 50
        own = Issuer(name, notAfter=NOW - DAY)
        made = self.assertBuilt(custom(own.certificate), False, (own.certificate,), own.certificate)
        (problem,) = made.problems
        self.assertTrue(problem.startswith("certificate 1 of 1 'Evil??[31mxxx"), problem)
        self.assertTrue(problem.isprintable())


#: What each flag excuses, wherever it is found.
EXCUSED = {
    V.IgnoreNotTimeValid: S.NotTimeValid,
    V.IgnoreCtlNotTimeValid: S.CtlNotTimeValid,
    V.IgnoreNotTimeNested: S.NotTimeNested,
    V.IgnoreInvalidBasicConstraints: S.InvalidBasicConstraints,
    V.AllowUnknownCertificateAuthority: S.UntrustedRoot | S.PartialChain,
    V.IgnoreWrongUsage: S.NotValidForUsage | S.CtlNotValidForUsage,
    V.IgnoreInvalidName: (
        S.InvalidNameConstraints
        | S.HasNotSupportedNameConstraint
        | S.HasNotDefinedNameConstraint
        | S.HasNotPermittedNameConstraint
        | S.HasExcludedNameConstraint
    ),
    V.IgnoreInvalidPolicy: S.NoIssuanceChainPolicy | S.InvalidPolicyConstraints,
}
#: Which flag excuses that revocation is unknown, of each certificate of three.
EXCUSED_UNKNOWN = (
    V.IgnoreEndRevocationUnknown,
    V.IgnoreCertificateAuthorityRevocationUnknown,
    V.IgnoreRootRevocationUnknown,
)


class ExcuseTests(ChainTestCase):
    """
    What the verification flags excuse.
    """

    def counting(
        self, flags: X509VerificationFlags, depth: int, status: X509ChainStatusFlags
    ) -> X509ChainStatusFlags:
        """
        @return: what counts of a status that one certificate has.
        """
        path = Path(WHOLE, True, (Finding(depth, status, "is wrong"),))
        self.patch(knownPaths, "find", lambda *_: path)
        made = self.assertBuilt(
            custom(verificationFlags=flags), not self.isCounted(flags, depth, status)
        )
        self.assertEqual(made.flags, status)
        self.assertEqual(len(made.problems), bool(made.countingFlags))
        return made.countingFlags

    def isCounted(
        self, flags: X509VerificationFlags, depth: int, status: X509ChainStatusFlags
    ) -> bool:
        """
        @return: whether a status counts, by the tables above.
        """
        excused = UNKNOWN if EXCUSED_UNKNOWN[depth] & flags else S.NoError
        for flag, statuses in EXCUSED.items():
            excused |= statuses if flag & flags else S.NoError
        return bool(status & ~excused)

    def test_single(self) -> None:
        """
        Each flag excuses its own statuses and no others.
        """
        for flag in V.__members__.values():
            for depth in range(len(WHOLE)):
                for status in FLAGS:
                    expected = status if self.isCounted(flag, depth, status) else S.NoError
                    self.assertEqual(self.counting(flag, depth, status), expected)

    def test_joined(self) -> None:
        """
        A problem of several statuses counts as long as one of them does.
        """
        both = S.NotTimeValid | S.NotValidForUsage
        self.assertEqual(self.counting(V.IgnoreNotTimeValid, 0, both), both)
        self.assertEqual(
            self.counting(V.IgnoreNotTimeValid | V.IgnoreWrongUsage, 0, both), S.NoError
        )
        self.assertEqual(
            self.counting(V.AllFlags, 0, S.NotTimeValid | S.Revoked), S.NotTimeValid | S.Revoked
        )

    def test_inexcusable(self) -> None:
        """
        Nothing excuses a wrong signature, revocation, distrust, weakness or what
        is not understood.
        """
        for status in (
            S.NotSignatureValid,
            S.Revoked,
            S.ExplicitDistrust,
            S.HasWeakSignature,
            S.InvalidExtension,
            S.HasNotSupportedCriticalExtension,
            S.Cyclic,
            S.CtlNotSignatureValid,
        ):
            self.assertEqual(self.counting(V.AllFlags, 0, status), status)


class FetchingTests(ChainTestCase):
    """
    A chain that waits for what is fetched.
    """

    def setUp(self) -> None:
        """
        Fetch from nowhere, and remember nothing.
        """
        super().setUp()
        cache = RevocationCache(None)
        self.patch(chain, "defaultCache", lambda: cache)
        self.retriever = Retriever()
        self.presented = leaf(ROOT, distribution("http://crl.example/"))
        self.path = (self.presented.certificate, ROOT.certificate)

    def online(self, *roots: x509.Certificate, **parts: Any) -> X509ChainPolicy:
        """
        @return: a policy that asks for revocation.
        """
        return custom(
            *roots,
            revocationMode=X509RevocationMode.Online,
            retriever=self.retriever,
            **parts,
        )

    def test_waits(self) -> None:
        """
        Until the Deferred fires, the elements are those of before.
        """
        made = X509Chain(self.online(ROOT.certificate), clock=Clock())
        self.successResultOf(made.build(STRANGER.certificate))
        before = made.chainElements
        built = made.build(self.presented)
        self.assertNoResult(built)
        self.assertEqual(self.retriever.asked, ["http://crl.example/"])
        self.assertIs(made.chainElements, before)
        self.retriever.answers[0].callback(crlBytes(crl(ROOT)))
        self.assertIs(self.successResultOf(built), True)
        self.assertEqual(tuple(each.certificate for each in made.chainElements), self.path)
        self.assertEqual(made.problems, ())

    def test_revoked(self) -> None:
        """
        What is fetched counts.
        """
        made = X509Chain(self.online(ROOT.certificate), clock=Clock())
        built = made.build(self.presented)
        self.retriever.answers[0].callback(crlBytes(crl(ROOT, self.presented.certificate)))
        self.assertIs(self.successResultOf(built), False)
        self.assertEqual(self.statuses(made), [[S.Revoked], []])

    def test_policyMeanwhile(self) -> None:
        """
        A change of the policy while it waits is for the next build.
        """
        made = X509Chain(self.online(ROOT.certificate), clock=Clock())
        built = made.build(self.presented)
        made.chainPolicy.verificationFlags = V.AllFlags
        made.chainPolicy.customTrustStore = []
        self.retriever.answers[0].errback(RetrievalError("http://crl.example/", "is gone"))
        self.assertIs(self.successResultOf(built), False)
        self.assertEqual(self.statuses(made), [[UNKNOWN], []])
        self.assertIn("is gone", made.problems[0])

    def test_cancelled(self) -> None:
        """
        Cancelling ends what is under way, and leaves the elements of before.
        """
        clock = Clock()
        made = X509Chain(self.online(ROOT.certificate), clock=clock)
        built = made.build(self.presented)
        built.cancel()
        self.failureResultOf(built, CancelledError)
        self.assertEqual(self.retriever.cancelled, self.retriever.asked)
        self.assertEqual(made.chainElements, ())
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_timeout(self) -> None:
        """
        Nobody waits for longer than the policy says, by the given clock.
        """
        clock = Clock()
        made = X509Chain(self.online(ROOT.certificate, urlRetrievalTimeout=5), clock=clock)
        built = made.build(self.presented)
        clock.advance(4.9)
        self.assertNoResult(built)
        clock.advance(0.2)
        self.assertIs(self.successResultOf(built), False)
        self.assertEqual(self.statuses(made), [[UNKNOWN], []])

    def test_untrusted(self) -> None:
        """
        For a certificate that leads to no trusted root nothing is fetched, even
        if its issuer is at hand.
        """
        policy = self.online(STRANGER.certificate)
        made = self.assertBuilt(policy, False, self.path, sending(self.presented, ROOT))
        self.assertEqual(self.retriever.asked, [])
        self.assertEqual(self.statuses(made), [[UNKNOWN], [S.UntrustedRoot]])

    def test_forged(self) -> None:
        """
        Nor for one that only says that a trusted root has issued it, or that
        somebody has who is no authority.
        """
        url = distribution("http://crl.example/")
        presented = leaf(ROOT, url)
        forged = with_(presented, damaged(presented.certificate))
        # A customer of the root's, who goes on with the certificate.
        customer = Issuer("Customer", ROOT, isAuthority(False))
        issued = sending(leaf(customer, url), customer)
        for presented in (forged, issued):
            made = X509Chain(self.online(ROOT.certificate), clock=Clock())
            self.assertIs(self.successResultOf(made.build(presented)), False)
            self.assertEqual(self.retriever.asked, [])
            self.assertIn("nothing is fetched for an untrusted chain", " ".join(made.problems))

    def test_offline(self) -> None:
        """
        Offline, nothing is fetched, but the given lists count.
        """
        policy = self.online(ROOT.certificate, revocationLists=[crl(ROOT)])
        policy.revocationMode = X509RevocationMode.Offline
        self.assertBuilt(policy, True, self.path, self.presented)
        policy.revocationLists = []
        made = self.assertBuilt(policy, False, self.path, self.presented)
        self.assertEqual(self.statuses(made), [[UNKNOWN], []])
        self.assertEqual(self.retriever.asked, [])

    def test_notFetchedUnasked(self) -> None:
        """
        A missing issuer is not fetched unless that is asked for.
        """
        presented = sending(leaf(MIDDLE, access(issuerUrls=["http://ca.example/"])))
        policy = custom(ROOT.certificate, retriever=self.retriever)
        self.assertBuilt(policy, False, (presented.certificate,), presented)
        self.assertEqual(self.retriever.asked, [])

    def test_issuerFetched(self) -> None:
        """
        A missing issuer is fetched if that is asked for.
        """
        presented = sending(leaf(MIDDLE, access(issuerUrls=["http://ca.example/"])))
        policy = custom(
            ROOT.certificate, retriever=self.retriever, disableCertificateDownloads=False
        )
        made = X509Chain(policy, clock=Clock())
        built = made.build(presented)
        self.assertNoResult(built)
        self.assertEqual(self.retriever.asked, ["http://ca.example/"])
        self.retriever.answers[0].callback(pem(MIDDLE.certificate))
        self.assertIs(self.successResultOf(built), True)
        self.assertEqual(
            tuple(each.certificate for each in made.chainElements),
            (presented.certificate, *WHOLE[1:]),
        )

    def test_issuerCancelled(self) -> None:
        """
        Cancelling while an issuer is fetched fetches no other.
        """
        urls = ["http://one.example/", "http://two.example/"]
        presented = sending(leaf(MIDDLE, access(issuerUrls=urls)))
        policy = custom(
            ROOT.certificate, retriever=self.retriever, disableCertificateDownloads=False
        )
        made = X509Chain(policy, clock=Clock())
        built = made.build(presented)
        built.cancel()
        self.failureResultOf(built, CancelledError)
        self.assertEqual(self.retriever.asked, urls[:1])
        self.assertEqual(self.retriever.cancelled, urls[:1])
        self.assertEqual(made.chainElements, ())


class JoinedFlagsTests(SynchronousTestCase):
    """
    Tests for L{joinedFlags}.
    """

    def test_joined(self) -> None:
        """
        The flags of all statuses are in it, and no others.
        """
        self.assertIs(joinedFlags([]), S.NoError)
        expired = X509ChainStatus(S.NotTimeValid, "expired")
        unknown = X509ChainStatus(UNKNOWN, "is not known")
        self.assertEqual(joinedFlags(iter([expired, unknown, expired])), S.NotTimeValid | UNKNOWN)


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

    def test_refusals(self) -> None:
        """
        What a peer may say of our certificate is each of these alerts, and what
        is said of a missing one, of a denied one, and of a mishap.
        """
        self.assertEqual(
            REFUSALS,
            {
                *(alertFor(flag) for flag in FLAGS),
                TlsAlert.handshake_failure,
                TlsAlert.access_denied,
                TlsAlert.certificate_required,
                TlsAlert.internal_error,
            },
        )


class Rebuilding(HomeMixin, Conversation):
    """
    A validation callback that changes the policy and builds the chain anew.

    @ivar judge: the side whose callback it is.
    """

    judge: str

    def setUp(self) -> None:
        """
        Remember nothing.
        """
        super().setUp()
        cache = RevocationCache(None)
        self.patch(chain, "defaultCache", lambda: cache)
        self.retriever = Retriever()
        self.chains: list[X509Chain] = []
        self.errors: list[SslPolicyErrors] = []

    def rebuild(
        self,
        change: Callable[[X509Chain], object],
        presented: Any = PRESENTED,
        **judging: Any,
    ) -> None:
        """
        Authenticate as far as it goes.

        @param change: what the callback does with the chain.
        @param presented: the certificate that is judged.
        @param judging: options of whoever judges.
        """

        async def callback(_: Any, certificate: Any, made: X509Chain, errors: Any) -> bool:
            self.chains.append(made)
            self.errors.append(errors)
            change(made)
            answer: bool = await made.build(certificate)
            return answer

        judging["remoteCertificateValidationCallback"] = callback
        if self.judge == "client":
            self.begin(judging, {"serverCertificate": presented})
        else:
            self.begin(
                {"clientCertificateContext": presented},
                {"clientCertificateRequired": True, **judging},
            )

    @property
    def judged(self) -> str:
        """
        The other side.
        """
        return "server" if self.judge == "client" else "client"

    def trustRoot(self, made: X509Chain) -> None:
        """
        Trust the root in this chain.
        """
        store: Any = made.chainPolicy.customTrustStore
        store.add(ROOT.certificate)

    def assertPath(self, *path: x509.Certificate) -> None:
        """
        The last chain has these certificates, for the stream as well.
        """
        self.assertEqual(tuple(each.certificate for each in self.chains[-1].chainElements), path)
        stream = getattr(self.pair, self.judge)
        self.assertIs(stream.remoteChain, self.chains[-1])

    def assertRefusedAsBuilt(
        self, status: X509ChainStatusFlags, alert: TlsAlert, problem: str
    ) -> None:
        """
        The judge has refused for the reasons of the chain that was built anew.
        """
        error = self.assertRefused(
            self.judge, SslPolicyErrors.RemoteCertificateChainErrors, status, alert
        )
        self.assertEqual(error.chainElements, self.chains[-1].chainElements)
        self.assertEqual(len(error.problems), 1)
        self.assertIn(problem, error.problems[0])

    def test_addedRoot(self) -> None:
        """
        A root that a callback adds is trusted for this connection, and for no
        other with the same options.
        """
        policy = custom(STRANGER.certificate)
        for change, isTrusted in ((self.trustRoot, True), (lambda _: None, False)):
            self.rebuild(change, certificateChainPolicy=policy)
            self.assertEqual(self.errors[-1], SslPolicyErrors.RemoteCertificateChainErrors)
            if isTrusted:
                self.assertAuthenticated()
                self.assertPath(*WHOLE)
                self.assertEqual(self.chains[-1].problems, ())
            else:
                self.assertRefusedAsBuilt(S.PartialChain, TlsAlert.unknown_ca, "not at hand")
        self.assertEqual(policy, custom(STRANGER.certificate))

    def test_addedToTrust(self) -> None:
        """
        The same with the option C{trust}.
        """
        trust = SslCertificateTrust.fromCertificates(STRANGER.certificate)
        for change, isTrusted in ((self.trustRoot, True), (lambda _: None, False)):
            self.rebuild(change, trust=trust)
            self.assertIs(self.chains[-1].chainPolicy.trustMode, X509ChainTrustMode.CustomRootTrust)
            if isTrusted:
                self.assertAuthenticated()
                self.assertPath(*WHOLE)
            else:
                self.assertRefusedAsBuilt(S.PartialChain, TlsAlert.unknown_ca, "not at hand")
        self.assertEqual(trust.certificates, (STRANGER.certificate,))

    def test_addedIntermediates(self) -> None:
        """
        An intermediate that a callback adds is on the way, and the next
        connection lacks it again.
        """
        policy = custom(ROOT.certificate)

        def add(made: X509Chain) -> None:
            store: Any = made.chainPolicy.extraStore
            store.add(MIDDLE.certificate)

        self.rebuild(add, sending(PRESENTED), certificateChainPolicy=policy)
        self.assertAuthenticated()
        self.assertPath(*WHOLE)
        self.rebuild(lambda _: None, sending(PRESENTED), certificateChainPolicy=policy)
        self.assertRefusedAsBuilt(S.PartialChain, TlsAlert.unknown_ca, "not at hand")
        self.assertEqual(policy, custom(ROOT.certificate))

    def test_frozen(self) -> None:
        """
        The policy of the options is not the one that a callback may change.
        """
        policy = custom(ROOT.certificate)
        self.rebuild(lambda _: None, certificateChainPolicy=policy)
        self.assertAuthenticated()
        theirs = self.chains[-1].chainPolicy
        self.assertIsNot(theirs, policy)
        wanted = {
            "client": ExtendedKeyUsageOID.SERVER_AUTH,
            "server": ExtendedKeyUsageOID.CLIENT_AUTH,
        }
        self.assertEqual(list(theirs.applicationPolicy), [wanted[self.judge]])
        self.assertEqual(list(theirs.extraStore), [MIDDLE.certificate])
        self.assertEqual(self.chains[-1].presentedCertificates, (LEAF, MIDDLE.certificate))
        self.assertEqual((policy.applicationPolicy, policy.extraStore), ([], []))

    def wait(self) -> None:
        """
        Authenticate until a callback waits for a list.
        """

        def ask(made: X509Chain) -> None:
            self.trustRoot(made)
            made.chainPolicy.revocationMode = X509RevocationMode.Online
            made.chainPolicy.retriever = self.retriever

        presented = leaf(ROOT, distribution("http://crl.example/"))
        self.rebuild(ask, presented, certificateChainPolicy=custom(STRANGER.certificate))
        self.assertEqual(self.retriever.asked, ["http://crl.example/"])
        self.assertNoResult(self.sides[self.judge])
        self.theirs = presented.certificate

    def test_waits(self) -> None:
        """
        The handshake waits until the chain is built, and then goes on.
        """
        self.wait()
        self.assertFalse(getattr(self.pair, self.judge).isAuthenticated)
        self.retriever.answers[0].callback(crlBytes(crl(ROOT)))
        self.pair.wire.flush()
        self.assertAuthenticated()
        self.assertPath(self.theirs, ROOT.certificate)

    def test_waitsForRefusal(self) -> None:
        """
        The handshake waits until the chain is built, and fails if that is bad.
        """
        self.wait()
        self.retriever.answers[0].callback(crlBytes(crl(ROOT, self.theirs)))
        self.pair.wire.flush()
        self.assertRefusedAsBuilt(S.Revoked, TlsAlert.certificate_revoked, "revoked")

    def test_givenUp(self) -> None:
        """
        A handshake that is given up ends what the chain waits for.
        """
        self.wait()
        getattr(self.pair, self.judge).abort()
        self.pair.wire.flush()
        self.assertEqual(self.retriever.cancelled, self.retriever.asked)
        self.failureOf(self.judge, HandshakeCancelled)
        if not self.isLate(self.judge):
            self.failureOf(self.judged, HandshakeInterrupted)

    def test_otherProblem(self) -> None:
        """
        The alert and the error tell what is wrong with the chain that was built
        anew, not with the first one.
        """
        presented = leaf(MIDDLE, notAfter=NOW - DAY / 2)
        self.rebuild(self.trustRoot, presented, certificateChainPolicy=custom(STRANGER.certificate))
        self.assertRefusedAsBuilt(S.NotTimeValid, TlsAlert.certificate_expired, "expired")

    def test_keyUsageStays(self) -> None:
        """
        The key must be good for handshakes in a chain that was built anew, too.
        """
        presented = leaf(MIDDLE, keyUsage("crl_sign"), key=rsaKey())
        self.rebuild(self.trustRoot, presented, certificateChainPolicy=custom(STRANGER.certificate))
        self.assertRefusedAsBuilt(
            S.NotValidForUsage, TlsAlert.unsupported_certificate, "not for signing handshakes"
        )

    def damage(self) -> None:
        """
        Make a store unreadable.
        """
        path = X509Store(StoreName.Disallowed).path
        path.mkdir(parents=True)
        (path / "bad.pem").write_bytes(b"garbage")

    def assertMishap(self) -> AuthenticationError:
        """
        The handshake has failed because a store cannot be read.
        """
        error = self.failureOf(self.judge)
        self.assertIsInstance(error.__cause__, CertificateError)
        self.assertIs(error.alertSent, TlsAlert.internal_error)
        verdict = self.verdictOn(self.judged, self.isLate(self.judge))
        self.assertIs(verdict.alert, TlsAlert.internal_error)
        return error

    def test_failing(self) -> None:
        """
        A store that cannot be read any more fails the handshake.
        """
        self.rebuild(lambda _: self.damage(), certificateChainPolicy=custom(ROOT.certificate))
        self.assertIs(self.assertMishap().sslPolicyErrors, SslPolicyErrors.None_)

    def test_failingAtOnce(self) -> None:
        """
        Without a chain nobody is accepted.
        """

        def accept(*_: Any) -> bool:
            self.damage()
            return True

        self.patch(stores, "MOMENT", 0)
        policy = custom(ROOT.certificate)
        if self.judge == "client":
            self.damage()
            self.begin({"certificateChainPolicy": policy}, {"serverCertificate": PRESENTED})
        else:
            # The client judges first.
            self.begin(
                {
                    "clientCertificateContext": PRESENTED,
                    "remoteCertificateValidationCallback": accept,
                },
                {"clientCertificateRequired": True, "certificateChainPolicy": policy},
            )
        error = self.assertMishap()
        self.assertIs(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertIn("bad.pem", str(error))


@perVersion(segments=(0,))
class ServerRebuilt(Rebuilding):
    """
    A client's callback builds a server's chain anew.
    """

    judge = "client"


@perVersion(segments=(0,))
class ClientRebuilt(Rebuilding):
    """
    A server's callback builds a client's chain anew.
    """

    judge = "server"
