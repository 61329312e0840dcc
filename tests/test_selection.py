"""
Tests for L{txsslstream.selection}: which of its certificates a client shows.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY
from txsslstream import SslStreamCertificateContext, _openssl, selection
from txsslstream.selection import bestCandidate
from txsslstream.testing import DAY, NOW, VERSIONS, Authority, StreamPair, newKey, rsaKey

MIDDLE = Authority("Middle", AUTHORITY)
LOWER = Authority("Lower", MIDDLE)
OTHER = Authority("Other")
USER = "client@example.com"

KEYS: dict[str, Any] = {
    "RSA": rsaKey(),
    "ECDSA": newKey(),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
}
GOOD = AUTHORITY.issue(USER)
EXPIRED = AUTHORITY.issue(USER, notBefore=NOW - 3 * DAY, notAfter=NOW - DAY)
FUTURE = AUTHORITY.issue(USER, notBefore=NOW + DAY, notAfter=NOW + 3 * DAY)
SERVERS_ONLY = AUTHORITY.issue(USER, usages=[ExtendedKeyUsageOID.SERVER_AUTH])
FOR_ALL = AUTHORITY.issue(USER, usages=[])
HOPELESS = AUTHORITY.issue(
    USER,
    usages=[ExtendedKeyUsageOID.SERVER_AUTH],
    notBefore=NOW - 3 * DAY,
    notAfter=NOW - DAY,
)


def name(authority: Authority) -> x509.Name:
    """
    @return: an authority's name.
    """
    return authority.certificate.subject


class BestCandidateTests(SynchronousTestCase):
    """
    Tests for L{bestCandidate}.
    """

    def setUp(self) -> None:
        self.stored: list[x509.Certificate] = []
        self.patch(selection, "userIntermediates", lambda: tuple(self.stored))

    def test_none(self) -> None:
        """
        Of nothing, nothing is chosen.
        """
        self.assertIsNone(bestCandidate([], [], None))

    def test_first(self) -> None:
        """
        Of equally good ones, the first is chosen.
        """
        others = [AUTHORITY.issue(USER) for _ in range(3)]
        for each in (GOOD, FOR_ALL):
            self.assertIs(bestCandidate([each, *others], [], None), each)
            self.assertIs(bestCandidate([EXPIRED, each, *others], [], None), each)

    def test_keys(self) -> None:
        """
        Only one with a key of a kind that the server is content with is chosen.
        """
        candidates = [AUTHORITY.issue(USER, key=key) for key in KEYS.values()]
        for kind, expected in zip(KEYS, candidates, strict=True):
            self.assertIs(bestCandidate(candidates, [], {kind}), expected)
            rest = [each for each in candidates if each is not expected]
            self.assertIsNone(bestCandidate(rest, [], {kind}))
            self.assertIs(bestCandidate(rest, [], set(KEYS)), rest[0])
        self.assertIsNone(bestCandidate(candidates, [], frozenset()))
        self.assertIs(bestCandidate(candidates, [], None), candidates[0])

    def test_curves(self) -> None:
        """
        Where a kind names a curve, as in TLS 1.3, one of another curve is not
        chosen; where it does not, every curve will do.
        """
        curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.BrainpoolP256R1())
        for curve in curves:
            candidate = AUTHORITY.issue(USER, key=ec.generate_private_key(curve))
            self.assertIs(bestCandidate([candidate], [], {"ECDSA"}), candidate)
            self.assertIs(bestCandidate([candidate], [], {f"ECDSA {curve.name}"}), candidate)
            others = {f"ECDSA {each.name}" for each in curves if each is not curve}
            self.assertIsNone(bestCandidate([candidate], [], {*others, "RSA"}))

    def test_issuers(self) -> None:
        """
        Only one that comes from an issuer that the server names is chosen,
        whether directly or by way of what is sent along.
        """
        foreign, direct, indirect = OTHER.issue(USER), AUTHORITY.issue(USER), LOWER.issue(USER)
        candidates = [foreign, indirect, direct]
        for issuers, expected in (
            ([], foreign),
            ([name(OTHER)], foreign),
            ([name(AUTHORITY)], indirect),
            ([name(MIDDLE)], indirect),
            ([name(LOWER)], indirect),
            ([name(AUTHORITY), name(OTHER)], foreign),
            ([x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nobody")])], None),
        ):
            self.assertIs(bestCandidate(candidates, issuers, None), expected)
        self.assertIsNone(bestCandidate([foreign], [name(AUTHORITY)], None))

    def test_ownName(self) -> None:
        """
        Its own name is not its issuer's.
        """
        self.assertIsNone(bestCandidate([GOOD], [GOOD.certificate.subject], None))

    def test_store(self) -> None:
        """
        What is missing on the way is taken from the user's intermediates.
        """
        full = LOWER.issue(USER)
        bare = SslStreamCertificateContext(full.certificate, full.privateKey)
        self.assertIsNone(bestCandidate([bare], [name(AUTHORITY)], None))
        self.stored = [LOWER.certificate]
        self.assertIsNone(bestCandidate([bare], [name(AUTHORITY)], None))
        self.stored = [MIDDLE.certificate, LOWER.certificate]
        self.assertIs(bestCandidate([bare], [name(AUTHORITY)], None), bare)

    def test_circle(self) -> None:
        """
        Issuers that issue each other end the search, as does a root.
        """
        one = Authority("One")
        two = Authority("Two", one)
        back = Authority("One", two)
        issued = two.issue(USER)
        circular = SslStreamCertificateContext(
            issued.certificate, issued.privateKey, [two.certificate, back.certificate]
        )
        rooted = SslStreamCertificateContext(
            issued.certificate, issued.privateKey, [two.certificate, one.certificate]
        )
        for each in (circular, rooted):
            self.assertIsNone(bestCandidate([each], [name(OTHER)], None))
            self.assertIs(bestCandidate([each], [name(one)], None), each)

    def test_doubts(self) -> None:
        """
        One that is valid now and meant for clients comes before others, one
        doubt before two; but a doubtful one is better than none.
        """
        for doubtful in (EXPIRED, FUTURE, SERVERS_ONLY, HOPELESS):
            self.assertIs(bestCandidate([doubtful, GOOD], [], None), GOOD)
            self.assertIs(bestCandidate([doubtful, FOR_ALL], [], None), FOR_ALL)
            self.assertIs(bestCandidate([doubtful], [], None), doubtful)
        for doubtful in (EXPIRED, FUTURE, SERVERS_ONLY):
            self.assertIs(bestCandidate([HOPELESS, doubtful], [], None), doubtful)

    def test_fittingFirst(self) -> None:
        """
        A doubtful one that fits is chosen, and a good one that does not is not.
        """
        good = OTHER.issue(USER)
        self.assertIs(bestCandidate([good, EXPIRED], [name(AUTHORITY)], None), EXPIRED)
        rsa = AUTHORITY.issue(USER, key=KEYS["RSA"], notBefore=NOW + DAY)
        self.assertIs(bestCandidate([GOOD, rsa], [], {"RSA"}), rsa)


class HandshakeTests(SynchronousTestCase):
    """
    What servers get to see.
    """

    def shown(self, version: Any, *candidates: SslStreamCertificateContext) -> object:
        """
        @return: the certificate that a server of L{AUTHORITY}'s gets, which
            names its authority.
        """
        pair = StreamPair()
        authorities = AUTHORITY.trust.certificates or ()
        trust = type(AUTHORITY.trust).fromCertificates(authorities, sendTrustInHandshake=True)
        for each in pair.authenticate(
            version,
            {"clientCertificates": candidates},
            {
                "trust": trust,
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": lambda *_: True,
            },
        ):
            self.successResultOf(each)
        return pair.server.remoteCertificate

    def test_chosen(self) -> None:
        """
        A server gets the best of those that come from an authority that it
        names, or none.
        """
        foreign, indirect = OTHER.issue(USER), LOWER.issue(USER)
        for version in VERSIONS:
            self.assertEqual(self.shown(version, foreign, EXPIRED, GOOD), GOOD.certificate)
            self.assertEqual(self.shown(version, foreign, indirect), indirect.certificate)
            self.assertIsNone(self.shown(version, foreign))

    def test_unofferedCurve(self) -> None:
        """
        In TLS 1.3, a server that verifies no P-384 gets a certificate of
        another curve; in TLS 1.2 a curve is bound to no signature, and it gets
        the first.
        """
        original = _openssl.TlsEngine._noteMessage

        def without(engine: Any, kind: int, body: bytes) -> None:
            # ecdsa_secp384r1_sha384 becomes ecdsa_secp256r1_sha256, but not
            # where a certificate happens to have the same two bytes.
            if kind == _openssl._CERTIFICATE_REQUEST:
                body = body.replace(b"\x05\x03", b"\x04\x03", 1)
            original(engine, kind, body)

        self.patch(_openssl.TlsEngine, "_noteMessage", without)
        large = AUTHORITY.issue(USER, key=ec.generate_private_key(ec.SECP384R1()))
        small = AUTHORITY.issue(USER, key=KEYS["ECDSA"])
        for version, expected in zip(VERSIONS, (large, small), strict=True):
            self.assertEqual(self.shown(version, large, small), expected.certificate)

    def test_everyKey(self) -> None:
        """
        Certificates with keys of all kinds can be shown.
        """
        more = (ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP521R1()))
        for version in VERSIONS:
            for key in (*KEYS.values(), *more):
                candidate = AUTHORITY.issue(USER, key=key)
                self.assertEqual(self.shown(version, candidate), candidate.certificate)
