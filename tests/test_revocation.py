"""
Tests for L{txsslstream.revocation}: who is asked about which certificate, and
what comes of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import X509ChainStatusFlags, X509RevocationFlag, X509RevocationMode
from txsslstream.crossing import Finding
from txsslstream.errors import RetrievalError
from txsslstream.revocation import RevocationChecker
from txsslstream.revocationdata import CRL_LIMIT, OCSP_LIMIT, ocspRequest
from txsslstream.sources import MOST_RETRIEVALS
from txsslstream.testing import DAY, MUST_STAPLE, NOW, Authority, MemoryWeb
from txsslstream.testing.damage import patched
from txsslstream.testing.issuing import Issued
from txsslstream.testing.revocations import (
    REVOKED,
    UNKNOWN,
    access,
    crl,
    crlBytes,
    distribution,
    ocspResponse,
)

HOUR = datetime.timedelta(hours=1)
TIMEOUT = 15

OFFLINE = X509ChainStatusFlags.RevocationStatusUnknown | X509ChainStatusFlags.OfflineRevocation
DOUBTFUL = X509ChainStatusFlags.RevocationStatusUnknown
WITHDRAWN = X509ChainStatusFlags.Revoked

OCSP = "http://ocsp.example"
SECOND_OCSP = "http://ocsp2.example"
CRL = "http://crl.example/1.crl"
SECOND_CRL = "http://crl.example/2.crl"

ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT, extensions=[distribution("http://crl.example/root.crl")])
LEAF = MIDDLE.issue("localhost", extensions=[access([OCSP]), distribution(CRL)]).certificate
PLAIN = MIDDLE.issue("plain.example").certificate

Answer = Any


def path(leaf: x509.Certificate = LEAF) -> tuple[x509.Certificate, ...]:
    """
    The chain of a certificate of L{MIDDLE}.
    """
    return (leaf, MIDDLE.certificate, ROOT.certificate)


class Memory:
    """
    A cache that forgets nothing.

    @ivar kept: data and end of validity by key.
    """

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, datetime.datetime]] = {}

    def get(self, key: str, now: datetime.datetime) -> bytes | None:
        return self.kept.get(key, (None, None))[0]

    def put(
        self, key: str, data: bytes, expires: datetime.datetime, now: datetime.datetime
    ) -> None:
        self.kept[key] = (data, expires)


def good(certificate: x509.Certificate = LEAF, authority: Authority = MIDDLE, **more: Any) -> bytes:
    """
    A response that the certificate is good, and what else is said.
    """
    return ocspResponse(authority, certificate, **more)


def revoked(
    certificate: x509.Certificate = LEAF, authority: Authority = MIDDLE, **more: Any
) -> bytes:
    """
    A response that the certificate is revoked.
    """
    return ocspResponse(
        authority,
        certificate,
        status=REVOKED,
        reason=x509.ReasonFlags.key_compromise,
        **more,
    )


def nonceOf(request: bytes) -> bytes | None:
    """
    The nonce of an OCSP request.
    """
    for each in ocsp.load_der_ocsp_request(request).extensions:
        if isinstance(each.value, x509.OCSPNonce):
            return each.value.nonce
    return None


class Checking(SynchronousTestCase):
    """
    What is checked with.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.cache = Memory()

    def start(
        self,
        web: MemoryWeb | None = None,
        chain: tuple[x509.Certificate, ...] | None = None,
        *,
        mode: X509RevocationMode = X509RevocationMode.Online,
        flag: X509RevocationFlag = X509RevocationFlag.EndCertificateOnly,
        lists: Sequence[Any] = (),
        staple: bytes | None = None,
        expectsStaple: bool = False,
        now: datetime.datetime = NOW,
    ) -> Deferred[tuple[Finding, ...]]:
        """
        Check a chain; L{LEAF}'s unless given, and of it the first certificate.
        """
        checker = RevocationChecker(
            mode=mode,
            flag=flag,
            revocationLists=lists,
            retriever=web or MemoryWeb(),
            cache=self.cache,
            clock=self.clock,
            now=now,
            timeout=TIMEOUT,
        )
        return checker.check(chain or path(), staple, expectsStaple)

    def check(self, *arguments: Any, **more: Any) -> list[tuple[int, X509ChainStatusFlags]]:
        """
        @return: what is found at which depth.
        """
        found = self.successResultOf(self.start(*arguments, **more))
        self.words = " | ".join(each.information for each in found)
        for each in found:
            self.assertLessEqual(len(each.information), 500)
            self.assertTrue(each.information.isprintable(), each.information)
        return [(each.depth, each.status) for each in found]

    def assertWords(self, *words: str) -> None:
        """
        All of that was said by the last check, in this order.
        """
        place = 0
        for each in words:
            self.assertIn(each, self.words[place:])
            place = self.words.index(each, place) + len(each)


class WhichTests(Checking):
    """
    Which certificates are checked.
    """

    def test_flags(self) -> None:
        """
        The flag says which certificates are checked, and without information
        the status of each of them is not known.
        """
        flags = X509RevocationFlag
        rootless = path()[:2]
        single = (ROOT.certificate,)
        rollover = Authority("root", ROOT).certificate
        for flag, chain, depths in (
            (flags.EndCertificateOnly, path(), [0]),
            (flags.EndCertificateOnly, single, [0]),
            (flags.ExcludeRoot, path(), [0, 1]),
            (flags.ExcludeRoot, single, []),
            (flags.EntireChain, path(), [0, 1, 2]),
            (flags.EntireChain, single, [0]),
            # What is not self-issued is no root.
            (flags.ExcludeRoot, rootless, [0, 1]),
            (flags.EntireChain, rootless, [0, 1]),
            # Neither is what others come after.
            (flags.ExcludeRoot, (LEAF, rollover, ROOT.certificate), [0, 1]),
        ):
            found = self.check(chain=chain, flag=flag)
            self.assertEqual([depth for depth, _ in found], depths)

    def test_noCheck(self) -> None:
        """
        Without checking nothing is found, however bad it is.
        """
        web = MemoryWeb()
        subject = MIDDLE.issue("x", extensions=[MUST_STAPLE]).certificate
        for flag in X509RevocationFlag:
            found = self.check(
                web,
                path(subject),
                mode=X509RevocationMode.NoCheck,
                flag=flag,
                lists=[crl(MIDDLE, subject)],
                staple=revoked(subject),
                expectsStaple=True,
            )
            self.assertEqual(found, [])
        self.assertEqual(web.asked, [])

    def test_emptyPath(self) -> None:
        """
        Nothing is found in an empty path.
        """
        checker = RevocationChecker(
            mode=X509RevocationMode.Online,
            flag=X509RevocationFlag.EntireChain,
            revocationLists=(),
            retriever=MemoryWeb(),
            cache=self.cache,
            clock=self.clock,
            now=NOW,
            timeout=TIMEOUT,
        )
        self.assertEqual(self.successResultOf(checker.check((), None, True)), ())

    def test_missingIssuer(self) -> None:
        """
        The status of a certificate whose issuer is not there is not known, and
        nobody is asked.
        """
        web = MemoryWeb()
        found = self.check(web, (LEAF,), staple=good(), lists=[crl(MIDDLE, LEAF)])
        self.assertEqual(found, [(0, DOUBTFUL)])
        self.assertWords("its issuer is missing")
        self.assertEqual(web.asked, [])

    def test_unreadableIssuer(self) -> None:
        """
        Neither is that of a certificate whose issuer's name cannot be read,
        wherever in the path it is.
        """
        web = MemoryWeb()
        unreadable = patched(Issued(LEAF, None), (b"middle", b"\xff\xfeddle")).certificate
        for chain, depth in (
            ((unreadable, MIDDLE.certificate), 0),
            ((PLAIN, unreadable, MIDDLE.certificate), 1),
        ):
            found = self.check(
                web,
                chain,
                flag=X509RevocationFlag.ExcludeRoot,
                staple=good(),
                lists=[crl(MIDDLE, LEAF), crl(ROOT)],
            )
            self.assertIn((depth, DOUBTFUL), found)
            self.assertWords("its issuer's name is unreadable")
        self.assertEqual(web.asked, [])

    def test_everyCertificate(self) -> None:
        """
        Every certificate is checked with its own issuer.
        """
        lists = [crl(MIDDLE), crl(ROOT)]
        everything = X509RevocationFlag.EntireChain
        self.assertEqual(self.check(lists=lists, flag=everything), [])
        for bad, depth in ((LEAF, 0), (MIDDLE.certificate, 1), (ROOT.certificate, 2)):
            lists = [
                crl(MIDDLE, *([LEAF] if depth == 0 else [])),
                crl(ROOT, *([bad] if depth else [])),
            ]
            self.assertEqual(self.check(lists=lists, flag=everything), [(depth, WITHDRAWN)])
        lists = [crl(MIDDLE, LEAF), crl(ROOT, MIDDLE.certificate, ROOT.certificate)]
        self.assertEqual(
            self.check(lists=lists, flag=everything),
            [(0, WITHDRAWN), (1, WITHDRAWN), (2, WITHDRAWN)],
        )

    def test_root(self) -> None:
        """
        A root is looked up in its own CRL, and its responder is not asked.
        """
        root = Authority("rooted", extensions=[access([OCSP]), distribution(CRL)])
        chain = (root.issue("x").certificate, root.certificate)
        for made, expected in (
            (crl(root), [(0, OFFLINE)]),
            (crl(root, root.certificate), [(0, OFFLINE), (1, WITHDRAWN)]),
        ):
            web = MemoryWeb({CRL: crlBytes(made)})
            self.cache = Memory()
            found = self.check(web, chain, flag=X509RevocationFlag.EntireChain)
            self.assertEqual(found, expected)
            self.assertEqual(web.asked, [("GET", CRL)])


class OrderTests(Checking):
    """
    Who is asked, in which order.
    """

    def test_staple(self) -> None:
        """
        A good staple is enough, and a revoking one as well.
        """
        web = MemoryWeb()
        self.assertEqual(self.check(web, staple=good()), [])
        self.assertEqual(self.check(web, staple=good(), lists=[crl(MIDDLE)]), [])
        self.assertEqual(self.check(web, staple=revoked(), lists=[crl(MIDDLE)]), [(0, WITHDRAWN)])
        self.assertEqual(
            self.words, "was revoked 2026-01-02 (keyCompromise), says stapled OCSP response"
        )
        self.assertEqual(web.asked, [])

    def test_revokedAtHand(self) -> None:
        """
        What is known to be revoked stays so, whatever good there is to hear as
        well: a good staple can be shown again until it expires.
        """
        web = MemoryWeb()
        blank, full = crl(MIDDLE), crl(MIDDLE, LEAF)
        answer = f"{OCSP} {ocspRequest(LEAF, MIDDLE.certificate, None).hex()}"
        kept = {answer: (good(), NOW + DAY), CRL: (crlBytes(blank), NOW + DAY)}
        revokedAnswer = {**kept, answer: (revoked(), NOW + DAY)}
        fullList = {**kept, CRL: (crlBytes(full), NOW + DAY)}
        for mode in (X509RevocationMode.Online, X509RevocationMode.Offline):
            for self.cache.kept, staple, lists, source in (
                (kept, revoked(), [blank], "stapled OCSP response"),
                (kept, good(), [full], "given CRL"),
                (revokedAnswer, good(), [blank], f"OCSP responder {OCSP}"),
                (fullList, good(), [blank], f"CRL {CRL}"),
                (fullList, None, [], f"CRL {CRL}"),
            ):
                found = self.check(web, mode=mode, staple=staple, lists=lists)
                self.assertEqual(found, [(0, WITHDRAWN)])
                self.assertTrue(self.words.endswith(f"says {source}"), self.words)
            self.cache.kept = kept
            self.assertEqual(self.check(web, mode=mode, staple=good(), lists=[blank]), [])
        self.assertEqual(web.asked, [])

    def test_stapleIsForTheLeaf(self) -> None:
        """
        A staple says nothing of other certificates.
        """
        staple = ocspResponse(ROOT, MIDDLE.certificate)
        found = self.check(flag=X509RevocationFlag.ExcludeRoot, staple=staple)
        self.assertEqual(found, [(0, OFFLINE), (1, OFFLINE)])
        self.assertWords("stapled OCSP response is about another certificate")

    def test_uselessStaple(self) -> None:
        """
        A staple that proves nothing does not count, and its problem is told.
        """
        for staple, problem in (
            (b"junk", "is unreadable"),
            (b"", "is unreadable"),
            (good(nextUpdate=NOW - HOUR), "expired"),
            (good(PLAIN), "is about another certificate"),
            (good(authority=Authority("middle")), "is about another certificate"),
            (
                revoked(responder=Authority("middle").responder()),
                "has no certificate of the issuer",
            ),
            (good(status=UNKNOWN), "the responder does not know it"),
        ):
            self.check(staple=staple)
            self.assertWords("stapled OCSP response", problem, OCSP, CRL)
            self.assertEqual(self.check(staple=staple, lists=[crl(MIDDLE)]), [])
            self.assertEqual(self.check(staple=staple, lists=[crl(MIDDLE, LEAF)]), [(0, WITHDRAWN)])

    def test_givenLists(self) -> None:
        """
        Given lists are looked into before anybody is asked, in every form; one
        that revokes counts more than one that does not.
        """
        web = MemoryWeb({OCSP: revoked()})
        blank, full = crl(MIDDLE), crl(MIDDLE, LEAF)
        pem = full.public_bytes(serialization.Encoding.PEM)
        for lists, expected in (
            ([blank], []),
            ([crlBytes(blank)], []),
            ([full], [(0, WITHDRAWN)]),
            ([crlBytes(full)], [(0, WITHDRAWN)]),
            ([pem], [(0, WITHDRAWN)]),
            ([blank, full], [(0, WITHDRAWN)]),
            ([full, blank], [(0, WITHDRAWN)]),
            ([crl(ROOT), full], [(0, WITHDRAWN)]),
            ([crl(MIDDLE, nextUpdate=NOW - HOUR), blank], []),
            ([blank, crl(MIDDLE, nextUpdate=NOW - HOUR)], []),
        ):
            for mode in (X509RevocationMode.Online, X509RevocationMode.Offline):
                self.assertEqual(self.check(web, lists=lists, mode=mode), expected)
        self.assertEqual(web.asked, [])
        self.check(lists=[full])
        self.assertEqual(self.words, "was revoked 2026-01-02, says given CRL")

    def test_uselessLists(self) -> None:
        """
        A given list of another issuer is passed over; what is wrong with one of
        the right issuer is told.
        """
        found = self.check(lists=[crl(ROOT), crl(Authority("other"), LEAF)])
        self.assertEqual(found, [(0, OFFLINE)])
        self.assertNotIn("given CRL", self.words)
        for each, problem in (
            (crl(MIDDLE, LEAF, nextUpdate=NOW - HOUR), "given CRL expired"),
            (crl(Authority("middle"), LEAF), "given CRL has a wrong signature"),
            (b"junk", "given CRL is unreadable"),
        ):
            self.assertEqual(self.check(lists=[each]), [(0, OFFLINE)])
            self.assertWords(problem)

    def test_offline(self) -> None:
        """
        Offline nobody is asked.
        """
        web = MemoryWeb({OCSP: good(), CRL: crlBytes(crl(MIDDLE))})
        found = self.check(web, mode=X509RevocationMode.Offline)
        self.assertEqual(found, [(0, OFFLINE)])
        self.assertWords("nothing is fetched offline")
        self.assertEqual(web.asked, [])
        self.assertEqual(self.check(web), [])

    def test_online(self) -> None:
        """
        Responders are asked before lists, in the certificate's order, until one
        knows.
        """
        subject = MIDDLE.issue(
            "x", extensions=[access([OCSP, SECOND_OCSP]), distribution(CRL, SECOND_CRL)]
        ).certificate
        both = [OCSP, OCSP]
        every = [*both, SECOND_OCSP, SECOND_OCSP, CRL, SECOND_CRL]
        yes, no = good(subject), revoked(subject)
        full = crlBytes(crl(MIDDLE, subject))
        blank = crlBytes(crl(MIDDLE))
        useless = crlBytes(crl(ROOT))
        for answers, expected, asked in (
            ({OCSP: yes, SECOND_OCSP: no, CRL: full}, [], [OCSP]),
            ({OCSP: no, SECOND_OCSP: yes, CRL: blank}, [(0, WITHDRAWN)], [OCSP]),
            ({SECOND_OCSP: yes, CRL: full}, [], [*both, SECOND_OCSP]),
            ({SECOND_OCSP: no, CRL: blank}, [(0, WITHDRAWN)], [*both, SECOND_OCSP]),
            ({CRL: blank, SECOND_CRL: full}, [], every[:-1]),
            ({CRL: full, SECOND_CRL: blank}, [(0, WITHDRAWN)], every[:-1]),
            ({SECOND_CRL: blank}, [], every),
            ({CRL: useless, SECOND_CRL: full}, [(0, WITHDRAWN)], every),
            ({}, [(0, OFFLINE)], every),
            ({OCSP: good(PLAIN), CRL: useless}, [(0, OFFLINE)], every),
        ):
            self.cache = Memory()
            web = MemoryWeb(answers)
            self.assertEqual(self.check(web, path(subject)), expected)
            self.assertEqual([place.removesuffix("/") for _, place in _places(web)], asked)
        self.assertWords(
            f"OCSP responder {OCSP} is about another certificate; "
            f"OCSP responder {SECOND_OCSP}: connection refused; "
            f"CRL {CRL} is another issuer's; CRL {SECOND_CRL}: connection refused"
        )

    def test_whoSaysSo(self) -> None:
        """
        Who has revoked a certificate is told.
        """
        self.check(MemoryWeb({OCSP: revoked()}))
        self.assertEqual(
            self.words, f"was revoked 2026-01-02 (keyCompromise), says OCSP responder {OCSP}"
        )
        self.cache = Memory()
        self.check(MemoryWeb({CRL: crlBytes(crl(MIDDLE, LEAF))}))
        self.assertEqual(self.words, f"was revoked 2026-01-02, says CRL {CRL}")

    def test_unknown(self) -> None:
        """
        A responder that does not know is no proof, and others are asked; if
        they cannot tell either, the status is unknown, which is not offline.
        """
        doubt = good(status=UNKNOWN)
        self.assertEqual(self.check(MemoryWeb({OCSP: doubt})), [(0, DOUBTFUL)])
        self.assertWords(f"OCSP responder {OCSP}: the responder does not know it; CRL {CRL}")
        self.assertEqual(self.check(staple=doubt), [(0, DOUBTFUL)])
        web = MemoryWeb({OCSP: doubt, CRL: crlBytes(crl(MIDDLE, LEAF))})
        self.assertEqual(self.check(web), [(0, WITHDRAWN)])
        # It has answered: there is no need to ask in another way.
        self.assertEqual(web.asked, [("GET", OCSP), ("GET", CRL)])

    def test_nobody(self) -> None:
        """
        That a certificate names nobody to ask is told.
        """
        web = MemoryWeb()
        self.assertEqual(self.check(web, path(PLAIN)), [(0, OFFLINE)])
        self.assertEqual(
            self.words, "cannot be checked for revocation: it names no OCSP responder and no CRL"
        )
        self.assertEqual(web.asked, [])


class OcspRequestTests(Checking):
    """
    How responders are asked.
    """

    def test_get(self) -> None:
        """
        The first request is a GET without nonce, which caches can answer.
        """
        asked = []

        def answer(request: bytes) -> bytes:
            asked.append(request)
            return good()

        web = MemoryWeb({OCSP: answer})
        self.assertEqual(self.check(web), [])
        self.assertEqual(asked, [ocspRequest(LEAF, MIDDLE.certificate, None)])
        self.assertEqual(web.asked, [("GET", OCSP)])
        self.assertIsNone(web.arguments[0]["contentType"])
        self.assertEqual(web.arguments[0]["limit"], OCSP_LIMIT)
        self.assertEqual(web.arguments[0]["timeout"], TIMEOUT)

    def test_post(self) -> None:
        """
        Whatever is wrong with the answer to GET, it is asked again by POST,
        with a nonce that is another one each time.
        """
        nonces = set()

        def answer(request: bytes) -> bytes:
            nonce = nonceOf(request)
            nonces.add(nonce)
            return good(nonce=nonce)

        useless: list[Answer] = [
            OSError("404"),
            ValueError,
            b"junk",
            good(nextUpdate=NOW - HOUR),
            good(PLAIN),
            ocsp.OCSPResponseBuilder.build_unsuccessful(
                ocsp.OCSPResponseStatus.TRY_LATER
            ).public_bytes(serialization.Encoding.DER),
        ]
        for each in useless:
            self.cache = Memory()
            web = MemoryWeb({OCSP: {"GET": each, "POST": answer}})
            self.assertEqual(self.check(web), [])
            self.assertEqual(web.asked, [("GET", OCSP), ("POST", OCSP)])
            self.assertEqual(web.arguments[1]["contentType"], "application/ocsp-request")
            self.assertEqual(web.arguments[1]["url"], OCSP)
        self.assertEqual(len(nonces), len(useless))
        self.assertEqual({len(each or b"") for each in nonces}, {32})

    def test_wrongNonce(self) -> None:
        """
        An answer to somebody else's POST proves nothing.
        """
        web = MemoryWeb({OCSP: {"GET": OSError("404"), "POST": good(nonce=b"x" * 32)}})
        self.assertEqual(self.check(web), [(0, OFFLINE)])
        self.assertWords("its nonce differs")

    def test_longUrl(self) -> None:
        """
        A responder with a long URL is asked by POST at once.
        """
        place = f"{OCSP}/{'a' * 200}"
        subject = MIDDLE.issue("x", extensions=[access([place])]).certificate
        web = MemoryWeb({place: good(subject)})
        self.assertEqual(self.check(web, path(subject)), [])
        self.assertEqual(web.asked, [("POST", place)])

    def test_list(self) -> None:
        """
        A list is fetched by GET.
        """
        subject = MIDDLE.issue("x", extensions=[distribution(CRL)]).certificate
        web = MemoryWeb({CRL: crlBytes(crl(MIDDLE))})
        self.assertEqual(self.check(web, path(subject)), [])
        self.assertEqual(
            web.arguments,
            [{"url": CRL, "contentType": None, "limit": CRL_LIMIT, "timeout": TIMEOUT}],
        )


class CacheTests(Checking):
    """
    What is kept.
    """

    twin = MIDDLE.issue("twin", extensions=[access([OCSP]), distribution(CRL)]).certificate

    def test_kept(self) -> None:
        """
        What proves something is kept as long as it is valid, and used without
        asking again, offline too.
        """
        online, offline = X509RevocationMode.Online, X509RevocationMode.Offline
        for place, data, expected in (
            (OCSP, good(nextUpdate=NOW + HOUR), []),
            (OCSP, revoked(nextUpdate=NOW + HOUR), [(0, WITHDRAWN)]),
            (CRL, crlBytes(crl(MIDDLE, nextUpdate=NOW + HOUR)), []),
            (CRL, crlBytes(crl(MIDDLE, LEAF, nextUpdate=NOW + HOUR)), [(0, WITHDRAWN)]),
        ):
            self.cache = Memory()
            self.assertEqual(self.check(MemoryWeb({place: data})), expected)
            self.assertEqual(list(self.cache.kept.values()), [(data, NOW + HOUR)])
            for mode in (online, offline):
                web = MemoryWeb()
                self.assertEqual(self.check(web, mode=mode), expected)
                self.assertEqual(web.asked, [])

    def test_keys(self) -> None:
        """
        Answers are kept by responder and certificate, lists by URL.
        """
        self.check(MemoryWeb({OCSP: good()}))
        self.check(MemoryWeb({CRL: crlBytes(crl(MIDDLE))}), path(self.twin))
        request = ocspRequest(LEAF, MIDDLE.certificate, None).hex()
        self.assertEqual(set(self.cache.kept), {f"{OCSP} {request}", CRL})
        # The list is for both, the answer is not.
        web = MemoryWeb()
        self.assertEqual(self.check(web, path(self.twin)), [])
        self.assertEqual(web.asked, [])

    def test_order(self) -> None:
        """
        Whoever has revoked it is told in this order: the staple, given lists,
        kept answers, kept lists.
        """
        self.check(MemoryWeb({OCSP: revoked()}))
        (answer,) = self.cache.kept
        self.cache.kept[CRL] = (crlBytes(crl(MIDDLE, LEAF)), NOW + DAY)
        lists = [crl(MIDDLE, LEAF)]
        self.assertEqual(self.check(staple=revoked(), lists=lists), [(0, WITHDRAWN)])
        self.assertWords("says stapled OCSP response")
        self.assertEqual(self.check(staple=good(), lists=lists), [(0, WITHDRAWN)])
        self.assertWords("says given CRL")
        self.assertEqual(self.check(staple=good()), [(0, WITHDRAWN)])
        self.assertWords("says OCSP responder")
        del self.cache.kept[answer]
        self.assertEqual(self.check(staple=good()), [(0, WITHDRAWN)])
        self.assertWords(f"says CRL {CRL}")

    def test_notKept(self) -> None:
        """
        What proves nothing is not kept.
        """
        web = MemoryWeb({OCSP: good(status=UNKNOWN), CRL: crlBytes(crl(Authority("middle")))})
        self.assertEqual(self.check(web), [(0, DOUBTFUL)])
        web = MemoryWeb({OCSP: b"junk", CRL: crlBytes(crl(MIDDLE, nextUpdate=NOW - HOUR))})
        self.assertEqual(self.check(web), [(0, OFFLINE)])
        self.check(staple=good())
        self.assertEqual(self.cache.kept, {})

    def test_damaged(self) -> None:
        """
        What is kept is judged again; if it proves nothing it is fetched anew,
        and not spoken of.
        """
        key = f"{OCSP} {ocspRequest(LEAF, MIDDLE.certificate, None).hex()}"
        forged = crlBytes(crl(Authority("middle")))
        for data in (b"", b"junk", good(PLAIN), good(nextUpdate=NOW - HOUR), good(status=UNKNOWN)):
            self.cache.kept = {key: (data, NOW + DAY), CRL: (forged, NOW + DAY)}
            self.assertEqual(self.check(), [(0, OFFLINE)])
            self.assertEqual(
                self.words,
                f"cannot be checked for revocation: OCSP responder {OCSP}: connection refused; "
                f"CRL {CRL}: connection refused",
            )
            fresh = revoked()
            self.assertEqual(self.check(MemoryWeb({OCSP: fresh})), [(0, WITHDRAWN)])
            self.assertEqual(self.cache.kept[key], (fresh, NOW + DAY))

    def test_broken(self) -> None:
        """
        What the cache fails with, the check fails with.
        """

        def broken(*arguments: object) -> None:
            raise OSError("disk full")

        for name in ("get", "put"):
            self.cache = Memory()
            setattr(self.cache, name, broken)
            for flag in X509RevocationFlag:
                checking = self.start(MemoryWeb({OCSP: good()}), flag=flag)
                self.assertEqual(str(self.failureResultOf(checking, OSError).value), "disk full")


class MustStapleTests(Checking):
    """
    Certificates that demand a staple.
    """

    subject = MIDDLE.issue(
        "stapled", extensions=[MUST_STAPLE, access([OCSP]), distribution(CRL)]
    ).certificate

    def test_missing(self) -> None:
        """
        Without a staple that proves something such a certificate is doubtful,
        whoever else says that it is good.
        """
        for staple, words in (
            (None, "requires a stapled OCSP response, and none was sent"),
            (
                b"junk",
                "requires a stapled OCSP response, and it is of no use: "
                "stapled OCSP response is unreadable",
            ),
            (good(self.subject, status=UNKNOWN), "of no use: stapled OCSP response: the responder"),
            (good(self.subject, nextUpdate=NOW - HOUR), "of no use: stapled OCSP response expired"),
        ):
            self.cache = Memory()
            web = MemoryWeb({OCSP: good(self.subject)})
            found = self.check(web, path(self.subject), staple=staple, expectsStaple=True)
            self.assertEqual(found, [(0, DOUBTFUL)])
            self.assertWords(words)
            found = self.check(
                chain=path(self.subject),
                lists=[crl(MIDDLE, self.subject)],
                staple=staple,
                expectsStaple=True,
            )
            self.assertEqual(found, [(0, WITHDRAWN), (0, DOUBTFUL)])

    def test_there(self) -> None:
        """
        A staple that proves something is what it demands.
        """
        for staple, expected in (
            (good(self.subject), []),
            (revoked(self.subject), [(0, WITHDRAWN)]),
        ):
            found = self.check(chain=path(self.subject), staple=staple, expectsStaple=True)
            self.assertEqual(found, expected)

    def test_notExpected(self) -> None:
        """
        Where no staple can be sent none is missed, and neither is it for
        certificates that demand none.
        """
        lists = [crl(MIDDLE)]
        self.assertEqual(self.check(chain=path(self.subject), lists=lists), [])
        self.assertEqual(self.check(lists=lists, expectsStaple=True), [])

    def test_authorities(self) -> None:
        """
        The staple is missed for the peer's own certificate only.
        """
        demanding = Authority("demanding", ROOT, extensions=[MUST_STAPLE])
        leaf = demanding.issue("x").certificate
        found = self.check(
            chain=(leaf, demanding.certificate, ROOT.certificate),
            flag=X509RevocationFlag.ExcludeRoot,
            lists=[crl(demanding), crl(ROOT)],
            expectsStaple=True,
        )
        self.assertEqual(found, [])

    def test_missingIssuer(self) -> None:
        """
        A staple that cannot be checked is not there.
        """
        found = self.check(chain=(self.subject,), staple=good(self.subject), expectsStaple=True)
        self.assertEqual(found, [(0, DOUBTFUL), (0, DOUBTFUL)])
        self.assertWords("requires a stapled OCSP response, and it cannot be checked")


class LimitTests(Checking):
    """
    What one check may cost.
    """

    def test_together(self) -> None:
        """
        All certificates are asked about at once; what is found is in the
        chain's order.
        """
        first: Deferred[bytes] = Deferred()
        second: Deferred[bytes] = Deferred()
        web = MemoryWeb({OCSP: first, "http://crl.example/root.crl": second})
        checking = self.start(web, flag=X509RevocationFlag.ExcludeRoot)
        self.assertEqual(len(web.asked), 2)
        second.callback(crlBytes(crl(ROOT, MIDDLE.certificate)))
        self.assertNoResult(checking)
        first.callback(revoked())
        found = self.successResultOf(checking)
        self.assertEqual([each.depth for each in found], [0, 1])

    def test_retrievals(self) -> None:
        """
        After 12 retrievals for all certificates together nothing is fetched any
        more, and that is told.
        """
        four = [f"http://{each}.example" for each in range(4)]
        extensions = [access(four), distribution(*(f"{each}/crl" for each in four))]
        upper = Authority("upper", ROOT, extensions=extensions)
        leaf = upper.issue("x", extensions=extensions).certificate
        web = MemoryWeb()
        found = self.check(
            web,
            (leaf, upper.certificate, ROOT.certificate),
            flag=X509RevocationFlag.ExcludeRoot,
        )
        self.assertEqual(found, [(0, OFFLINE), (1, OFFLINE)])
        self.assertEqual(len(web.asked), MOST_RETRIEVALS)
        self.assertWords("not asked, as 12 retrievals are the limit")

    def test_timeout(self) -> None:
        """
        When the time is over everything pending is cancelled and nothing more
        is asked.
        """
        cancelled: list[object] = []
        slow: Deferred[bytes] = Deferred(cancelled.append)
        web = MemoryWeb({OCSP: {"GET": OSError("404"), "POST": slow}, CRL: crlBytes(crl(MIDDLE))})
        checking = self.start(web)
        self.clock.advance(TIMEOUT - 1)
        self.assertNoResult(checking)
        self.assertEqual(cancelled, [])
        self.clock.advance(1)
        (finding,) = self.successResultOf(checking)
        self.assertEqual(finding.status, OFFLINE)
        self.assertIn(f"OCSP responder {OCSP}: no answer in time", finding.information)
        self.assertIn(f"CRL {CRL}: not asked, as no time is left", finding.information)
        self.assertEqual(cancelled, [slow])
        self.assertEqual(web.asked, [("GET", OCSP), ("POST", OCSP)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timeIsForAll(self) -> None:
        """
        The time that one source takes is not there for the next.
        """
        slow: Deferred[bytes] = Deferred()
        slower: Deferred[bytes] = Deferred()
        web = MemoryWeb({OCSP: {"GET": slow, "POST": slower}, CRL: Deferred()})
        checking = self.start(web)
        self.clock.advance(9)
        slow.errback(OSError("reset"))
        self.clock.advance(2)
        slower.errback(OSError("reset"))
        self.assertEqual([each["timeout"] for each in web.arguments], [15, 6, 4])
        self.clock.advance(3)
        self.assertNoResult(checking)
        self.clock.advance(1)
        self.assertEqual(len(self.successResultOf(checking)), 1)

    def test_othersWhenTimeIsOver(self) -> None:
        """
        What one certificate's source has said before the time is over counts.
        """
        web = MemoryWeb({OCSP: Deferred(), "http://crl.example/root.crl": crlBytes(crl(ROOT))})
        checking = self.start(web, flag=X509RevocationFlag.ExcludeRoot)
        self.assertNoResult(checking)
        self.clock.advance(TIMEOUT)
        found = self.successResultOf(checking)
        self.assertEqual([each.depth for each in found], [0])

    def test_cancel(self) -> None:
        """
        Cancelling a check cancels what is being fetched, and nothing else is
        asked.
        """
        cancelled: list[object] = []
        web = MemoryWeb(
            {
                OCSP: Deferred(cancelled.append),
                "http://crl.example/root.crl": Deferred(cancelled.append),
            }
        )
        checking = self.start(web, flag=X509RevocationFlag.ExcludeRoot)
        checking.cancel()
        checking.cancel()
        self.failureResultOf(checking, CancelledError)
        self.assertEqual(len(cancelled), 2)
        self.assertEqual(len(web.asked), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_retrieverFails(self) -> None:
        """
        However a retriever fails, it is a source that says nothing, and the
        next is asked.
        """
        for bad, words in (
            (ValueError, "raised"),
            (OSError("no route"), "no route"),
            (CancelledError(), "cancelled"),
            (RuntimeError(), "RuntimeError"),
            (OSError("a\r\nb\x00c"), "a\\r\\nb\\x00c"),
            (RetrievalError(OCSP, "404 Not Found"), "404 Not Found; "),
            (succeed(None), "no bytes, but NoneType"),
            (succeed("text"), "no bytes, but str"),
        ):
            web = MemoryWeb(
                {OCSP: {"GET": bad, "POST": OSError("x")}, CRL: crlBytes(crl(MIDDLE, LEAF))}
            )
            self.cache = Memory()
            self.assertEqual(self.check(web), [(0, WITHDRAWN)])
            self.cache = Memory()
            if isinstance(bad, Deferred):
                continue
            del web.answers[CRL]
            self.assertEqual(self.check(web), [(0, OFFLINE)])
            self.assertWords(f"OCSP responder {OCSP}: {words}")

    def test_words(self) -> None:
        """
        However much there is to tell, it is told in 500 characters.
        """
        self.check(MemoryWeb({OCSP: OSError("x" * 10_000)}))
        self.assertEqual(len(self.words), 500)
        self.assertTrue(self.words.endswith("x..."))


def _places(web: MemoryWeb) -> list[tuple[str, str]]:
    """
    What was asked where, without what a GET request ends in.
    """
    return [
        (
            method,
            next(each for each in (OCSP, SECOND_OCSP, CRL, SECOND_CRL) if place.startswith(each)),
        )
        for method, place in web.asked
    ]
