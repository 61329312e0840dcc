"""
Tests for L{txsslstream.policy}: what a chain is judged by.
"""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import ssl
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.files import FilesMixin
from txsslstream.enums import (
    X509ChainTrustMode,
    X509RevocationFlag,
    X509RevocationMode,
    X509VerificationFlags,
)
from txsslstream.errors import CertificateError, InvalidOperationError
from txsslstream.interfaces import IRetriever
from txsslstream.policy import (
    X509CertificateCollection,
    X509ChainPolicy,
    conclusionOf,
    keepConclusion,
)
from txsslstream.testing import NOW, Authority
from txsslstream.testing.issuing import Issued, authority, ecKey
from txsslstream.testing.revocations import crl

ONE = authority("One", key=ecKey()).certificate
OTHER = authority("Other", key=ecKey(1)).certificate
PEM = ONE.public_bytes(Encoding.PEM)
#: The same as pyOpenSSL has it.
FOREIGN = ssl.Certificate.loadPEM(PEM)


#: A list of nothing.
CRL = crl(Issued(ONE, ecKey()))


@implementer(IRetriever)
class Retriever:
    """
    Something that says that it can fetch.
    """

    def retrieve(self, *arguments: Any, **keywords: Any) -> Any:
        """
        Fetch nothing.
        """


RETRIEVER: Any = Retriever()

#: Everything that can be asked for, other than as it is by default, and what it
#: becomes.
PARTS: dict[str, tuple[Any, Any]] = {
    "trustMode": (1, X509ChainTrustMode.CustomRootTrust),
    "customTrustStore": (ONE, [ONE]),
    "extraStore": ((FOREIGN, OTHER), [ONE, OTHER]),
    "applicationPolicy": ("1.2.3", [x509.ObjectIdentifier("1.2.3")]),
    "certificatePolicy": (
        (x509.ObjectIdentifier("1.2.3"), "1.2.4"),
        [x509.ObjectIdentifier("1.2.3"), x509.ObjectIdentifier("1.2.4")],
    ),
    "revocationMode": (X509RevocationMode.Online, X509RevocationMode.Online),
    "revocationFlag": (X509RevocationFlag.EntireChain, X509RevocationFlag.EntireChain),
    "verificationFlags": (
        X509VerificationFlags.IgnoreWrongUsage,
        X509VerificationFlags.IgnoreWrongUsage,
    ),
    "verificationTime": (NOW, NOW),
    "urlRetrievalTimeout": (0.5, 0.5),
    "disableCertificateDownloads": (0, False),
    "revocationLists": (CRL, [CRL]),
    "maximumDepth": (0, 0),
    "retriever": (RETRIEVER, RETRIEVER),
}

#: What makes no sense: the part, the value, the error and its words.
SENSELESS: tuple[tuple[str, Any, type[Exception], str], ...] = (
    ("trustMode", 7, ValueError, "7"),
    ("revocationMode", 7, ValueError, "7"),
    ("revocationFlag", 7, ValueError, "7"),
    ("customTrustStore", "/nowhere.pem", CertificateError, "nowhere.pem"),
    ("extraStore", PEM, TypeError, "not a certificate: bytes"),
    ("applicationPolicy", "serverAuth", ValueError, ""),
    ("certificatePolicy", (7,), TypeError, ""),
    ("verificationTime", 7, TypeError, "verificationTime is a datetime, not int"),
    ("urlRetrievalTimeout", True, TypeError, "is a number of seconds, not True"),
    ("urlRetrievalTimeout", "1", TypeError, "is a number of seconds, not '1'"),
    ("urlRetrievalTimeout", 0, ValueError, "is a positive number of seconds, not 0"),
    ("urlRetrievalTimeout", -1.5, ValueError, "is a positive number of seconds, not -1.5"),
    ("urlRetrievalTimeout", float("nan"), ValueError, "is a positive number of seconds, not nan"),
    ("maximumDepth", -1, ValueError, "is a number of certificates or None, not -1"),
    ("maximumDepth", True, ValueError, "is a number of certificates or None, not True"),
    ("maximumDepth", 1.5, ValueError, "is a number of certificates or None, not 1.5"),
    ("revocationLists", (ONE,), TypeError, "x509.CertificateRevocationLists, not Certificate"),
    ("retriever", ONE, TypeError, "retriever must provide IRetriever: Certificate"),
)


class CollectionTests(FilesMixin, SynchronousTestCase):
    """
    Tests for L{X509CertificateCollection}.
    """

    def test_forms(self) -> None:
        """
        Certificates come in any accepted form, one or several, and keep their
        order.
        """
        path = self.file(PEM + OTHER.public_bytes(Encoding.PEM))
        forms: tuple[tuple[Any, list[x509.Certificate]], ...] = (
            ((), []),
            (ONE, [ONE]),
            (FOREIGN, [ONE]),
            (path, [ONE, OTHER]),
            (str(path), [ONE, OTHER]),
            ([OTHER, FOREIGN], [OTHER, ONE]),
            (iter([OTHER, path]), [OTHER, ONE, OTHER]),
        )
        for given, expected in forms:
            self.assertEqual(X509CertificateCollection(given), expected)

    def test_add(self) -> None:
        """
        What is added comes last, all of a file's certificates.
        """
        collection = X509CertificateCollection(OTHER)
        collection.add(ONE)
        collection.add(self.file(OTHER.public_bytes(Encoding.PEM) + PEM))
        self.assertEqual(collection, [OTHER, ONE, OTHER, ONE])

    def test_damaged(self) -> None:
        """
        A file that is none of certificates is refused, and nothing is added.
        """
        collection = X509CertificateCollection(ONE)
        path = self.file(b"nothing")
        self.assertRaises(CertificateError, collection.add, path)
        self.assertRaises(CertificateError, X509CertificateCollection, [ONE, path])
        self.assertEqual(collection, [ONE])


class PolicyTests(SynchronousTestCase):
    """
    Tests for L{X509ChainPolicy}.
    """

    def test_defaults(self) -> None:
        """
        Nothing asked for is .NET's default, but without revocation and without
        downloads.
        """
        policy = X509ChainPolicy()
        self.assertEqual(
            {name: getattr(policy, name) for name in PARTS},
            {
                "trustMode": X509ChainTrustMode.System,
                "customTrustStore": [],
                "extraStore": [],
                "applicationPolicy": [],
                "certificatePolicy": [],
                "revocationMode": X509RevocationMode.NoCheck,
                "revocationFlag": X509RevocationFlag.ExcludeRoot,
                "verificationFlags": X509VerificationFlags.NoFlag,
                "verificationTime": None,
                "urlRetrievalTimeout": 15,
                "disableCertificateDownloads": True,
                "revocationLists": [],
                "maximumDepth": None,
                "retriever": None,
            },
        )

    def test_normalized(self) -> None:
        """
        Each part is brought into its form, when the policy is made and when it
        is changed.
        """
        for name, (value, expected) in PARTS.items():
            changed = X509ChainPolicy()
            setattr(changed, name, value)
            for policy in (X509ChainPolicy(**{name: value}), changed):
                self.assertEqual(getattr(policy, name), expected, name)
        self.assertIsInstance(X509ChainPolicy().customTrustStore, X509CertificateCollection)
        given: dict[str, Any] = {"trustMode": 1, "disableCertificateDownloads": 0}
        policy = X509ChainPolicy(**given)
        self.assertIs(policy.trustMode, X509ChainTrustMode.CustomRootTrust)
        self.assertIs(policy.disableCertificateDownloads, False)

    def test_senseless(self) -> None:
        """
        What makes no sense is refused in words, when the policy is made and
        when it is changed, which it then is not.
        """
        for name, value, error, words in SENSELESS:
            policy = X509ChainPolicy()
            before = getattr(policy, name)
            for refused in (
                self.assertRaises(error, X509ChainPolicy, **{name: value}),
                self.assertRaises(error, setattr, policy, name, value),
            ):
                self.assertIn(words, str(refused))
            self.assertEqual(getattr(policy, name), before)

    def test_none(self) -> None:
        """
        L{None} takes back a time, a depth and a retriever.
        """
        for name in ("verificationTime", "maximumDepth", "retriever"):
            policy = X509ChainPolicy(**{name: PARTS[name][0]})
            setattr(policy, name, None)
            self.assertEqual(policy, X509ChainPolicy())

    def test_localTime(self) -> None:
        """
        A time is kept in UTC; one without a zone is local.
        """
        local = NOW.astimezone()
        zone = datetime.timezone(datetime.timedelta(hours=5))
        for given in (local, local.replace(tzinfo=None), NOW.astimezone(zone)):
            time = X509ChainPolicy(verificationTime=given).verificationTime
            assert time is not None
            self.assertEqual(time, NOW)
            self.assertIs(time.tzinfo, datetime.timezone.utc)

    def test_unknownPart(self) -> None:
        """
        There is nothing else to ask for.
        """
        policy = X509ChainPolicy()
        refused = self.assertRaises(AttributeError, setattr, policy, "trust", 1)
        self.assertEqual(str(refused), "X509ChainPolicy has no trust")

    def test_own(self) -> None:
        """
        A policy has collections of its own: neither what it was made from nor a
        clone changes with it.
        """
        given = [ONE]
        policy = X509ChainPolicy(customTrustStore=given)
        clone = policy.clone()
        assert isinstance(policy.customTrustStore, X509CertificateCollection)
        policy.customTrustStore.add(OTHER)
        self.assertEqual(given, [ONE])
        self.assertEqual(clone.customTrustStore, [ONE])
        self.assertEqual(policy.customTrustStore, [ONE, OTHER])

    def test_clone(self) -> None:
        """
        A clone asks for the same in every part and can be changed, that of a
        frozen one as well.
        """
        policy = X509ChainPolicy(**{name: given for name, (given, _) in PARTS.items()})
        for source in (policy, policy.frozen()):
            clone = source.clone()
            self.assertEqual(clone, policy)
            self.assertEqual(
                {name: getattr(clone, name) for name in PARTS},
                {name: expected for name, (_, expected) in PARTS.items()},
            )
            clone.maximumDepth = 3
            self.assertNotEqual(clone, policy)

    def test_frozen(self) -> None:
        """
        A frozen policy asks for the same, cannot be changed in any way, and
        freezes to itself; what it was made from stays as it is.
        """
        policy = X509ChainPolicy(**{name: given for name, (given, _) in PARTS.items()})
        frozen = policy.frozen()
        self.assertEqual(frozen, policy)
        self.assertIs(frozen.frozen(), frozen)
        for name, (given, _) in PARTS.items():
            refused = self.assertRaises(InvalidOperationError, setattr, frozen, name, given)
            self.assertEqual(
                str(refused),
                "this policy belongs to options and cannot be changed; change its clone()",
            )
            self.assertNotIsInstance(getattr(frozen, name), list)
        policy.customTrustStore = ()
        self.assertEqual(frozen.customTrustStore, (ONE,))

    def test_equality(self) -> None:
        """
        Policies that ask for the same are equal and, frozen, have the same
        hash; a difference in any part makes them differ.
        """
        self.assertEqual(X509ChainPolicy(), X509ChainPolicy())
        self.assertNotEqual(X509ChainPolicy(), "a policy")
        for name, (given, _) in PARTS.items():
            one, other = X509ChainPolicy(**{name: given}), X509ChainPolicy(**{name: given})
            self.assertEqual(one, other, name)
            self.assertEqual(hash(one.frozen()), hash(other.frozen()), name)
            self.assertNotEqual(one, X509ChainPolicy(), name)
            self.assertNotEqual(hash(one.frozen()), hash(X509ChainPolicy().frozen()), name)

    def test_hash(self) -> None:
        """
        What can be changed has no hash.
        """
        refused = self.assertRaises(TypeError, hash, X509ChainPolicy())
        self.assertIn("take frozen()", str(refused))

    def test_extended(self) -> None:
        """
        What a peer has shown, but for its own certificate, may be on the way,
        and counts for this peer alone; what the policy itself asks for stays.
        """
        usages = (ExtendedKeyUsageOID.SERVER_AUTH,)
        policy = X509ChainPolicy(**{name: given for name, (given, _) in PARTS.items()}).frozen()
        extended = policy.extended((ONE, OTHER), usages, isKept=False)
        expected = {name: getattr(policy, name) for name in PARTS}
        expected["extraStore"] = (*policy.extraStore, OTHER)
        self.assertEqual({name: getattr(extended, name) for name in PARTS}, expected)
        self.assertIs(extended.frozen(), extended)
        self.assertRaises(InvalidOperationError, setattr, extended, "maximumDepth", 3)
        bare = X509ChainPolicy().extended((ONE,), usages, isKept=False)
        self.assertEqual((bare.extraStore, bare.applicationPolicy), ((), usages))
        self.assertNotEqual(hash(extended), hash(policy))

    def test_extendedAgain(self) -> None:
        """
        For the very same certificates and usages, if they may be kept, it is the
        same object; it knows nothing that was concluded by the other policy.
        """
        policy = X509ChainPolicy().frozen()
        keepConclusion(policy, "all is well")
        shown = (ONE, OTHER)
        usages = (ExtendedKeyUsageOID.SERVER_AUTH,)
        others = (ExtendedKeyUsageOID.CLIENT_AUTH,)
        kept = policy.extended(shown, usages, isKept=True)
        self.assertIs(policy.extended(shown, usages, isKept=True), kept)
        self.assertIsNone(conclusionOf(kept))
        keepConclusion(kept, "this too")
        equal = (ONE, *shown[1:])
        for other in (
            policy.extended(equal, usages, isKept=False),
            policy.extended(shown, others, isKept=False),
            X509ChainPolicy().extended(shown, usages, isKept=False),
        ):
            self.assertIsNot(other, kept)
            self.assertIsNone(conclusionOf(other))
        self.assertIs(policy.extended(shown, usages, isKept=True), kept)
        self.assertEqual(conclusionOf(kept), "this too")
        unkept = X509ChainPolicy().frozen()
        first = unkept.extended(shown, usages, isKept=False)
        self.assertIsNot(unkept.extended(shown, usages, isKept=False), first)

    def test_repr(self) -> None:
        """
        The representation is short.
        """
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust, customTrustStore=Authority().certificate
        )
        self.assertEqual(repr(policy), "<X509ChainPolicy CustomRootTrust, 1 roots, NoCheck>")
