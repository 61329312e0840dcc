"""
Tests for L{txsslstream._report}: the document, its text, and that neither lets a server write on
somebody's terminal.
"""

from __future__ import annotations

import datetime
import json
import textwrap
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    TlsAlert,
    TlsCipherSuite,
    X509Chain,
    X509ChainPolicy,
    X509ChainTrustMode,
)
from txsslstream._probe import Inspection, Plan, Sight, Verdict
from txsslstream._report import coloured, document, statusOf, text
from txsslstream.crossing import Negotiated
from txsslstream.security import securityInfo
from txsslstream.storefiles import withoutWarnings
from txsslstream.testing import DAY, NOW, Authority
from txsslstream.testing.damage import withSerial
from txsslstream.testing.issuing import Issued, authority, certificate, distinguishedName, hosts
from txsslstream.testing.revocations import GOOD, REVOKED, UNKNOWN, ocspResponse

from .support import AUTHORITY

MOMENT = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.timezone.utc)
LONG_AGO = datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
NOT_YET = datetime.datetime(2026, 7, 1, 13, tzinfo=datetime.timezone.utc)

NEGOTIATED = Negotiated(
    protocol=SslProtocols.Tls13,
    cipherSuite=TlsCipherSuite.TLS_AES_256_GCM_SHA384,
    applicationProtocol=b"h2",
    group="x25519",
    dhePrimeBits=None,
    serverName="",
    isResumed=False,
)

ACCEPTABLE = Verdict(SslPolicyErrors.None_, (), None)

ROOT = authority(
    "Example Root",
    key=ec.derive_private_key(1, ec.SECP384R1()),
    notBefore=LONG_AGO,
    notAfter=NOT_YET,
)
LEAF = certificate(
    "example.com",
    ROOT,
    ec.derive_private_key(2, ec.SECP256R1()),
    (hosts("example.com", "www.example.com"),),
    notBefore=LONG_AGO,
    notAfter=NOT_YET,
)


def plan(host: str = "example.com", port: int = 443, serverName: str | None = None) -> Plan:
    """
    What is looked at.
    """
    options = SslClientAuthenticationOptions(host if serverName is None else serverName)
    return Plan(host, port, options, None, 10)


def chainOf(
    test: SynchronousTestCase,
    *issued: x509.Certificate | Issued,
    trusted: tuple[x509.Certificate, ...] = (ROOT.certificate,),
    moment: datetime.datetime = MOMENT,
) -> X509Chain:
    """
    @return: the chain for certificates that a server has sent.
    """
    sent = [each.certificate if isinstance(each, Issued) else each for each in issued]
    chain = X509Chain(
        X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=trusted,
            extraStore=sent[1:],
            verificationTime=moment,
        )
    )
    chain.presentedCertificates = tuple(sent)
    test.successResultOf(chain.build(sent[0]))
    return chain


def inspection(
    chain: X509Chain | None,
    *,
    given: Plan | None = None,
    verdict: Verdict | None = ACCEPTABLE,
    negotiated: Negotiated | None = NEGOTIATED,
    isResumed: bool | None = True,
    moment: datetime.datetime = MOMENT,
    **sight: Any,
) -> Inspection:
    """
    What may be found out.
    """
    security = None
    if negotiated is not None:
        security = securityInfo(
            negotiated,
            isAuthenticated=True,
            isServer=False,
            checkCertRevocationStatus=False,
            localCertificate=None,
            remoteCertificate=None,
            remoteChain=chain,
            targetHostName="",
        )
    leaf = None if chain is None else chain.chainElements[0].certificate
    seen = Sight("192.0.2.1", leaf, chain, security=security, **sight)
    return Inspection(given or plan(), moment, None, seen, verdict, isResumed)


class TextTests(SynchronousTestCase):
    """
    Tests for L{text}.
    """

    def told(self, found: Inspection, **arguments: Any) -> str:
        """
        @return: the text, made from what has been JSON.
        """
        return text(json.loads(json.dumps(document(found))), **arguments)

    def test_whole(self) -> None:
        """
        A report tells all there is to tell, in this order and form.
        """
        told = self.told(inspection(chainOf(self, LEAF)))
        leaf, root = LEAF.certificate, ROOT.certificate
        told = told.replace(f"{leaf.serial_number:x}", "01").replace(
            f"{root.serial_number:x}", "02"
        )
        for digest in document(inspection(chainOf(self, LEAF)))["certificates"]:
            told = told.replace(digest["sha256"], "aa").replace(digest["sha1"], "bb")
        self.assertEqual(
            told,
            textwrap.dedent(
                """\
                example.com:443 (192.0.2.1)

                Connection
                  Protocol            TLS 1.3
                  Cipher suite        TLS_AES_256_GCM_SHA384
                  Key exchange        x25519, 255 bits
                  ALPN                h2
                  Resumption          a session goes on in another connection
                  OCSP staple         none
                  Client certificate  not asked for

                Certificates
                  CN=example.com
                  │  for     example.com, www.example.com
                  │  valid   2020-01-02 03:04 to 2026-07-01 13:00 (30 days left)
                  │  key     ECDSA secp256r1, 256 bits; signed with sha256
                  │  serial  01
                  │  sha256  aa
                  │  sha1    bb
                  └─ CN=Example Root (trusted, not sent)
                        valid   2020-01-02 03:04 to 2026-07-01 13:00 (30 days left)
                        key     ECDSA secp384r1, 384 bits; signed with sha256
                        serial  02
                        sha256  aa
                        sha1    bb

                Verdict
                  ✓ A default client would accept this server.
                """
            ),
        )

    def test_refused(self) -> None:
        """
        Each finding stands with its certificate, and the verdict has them all
        with the errors and the alert.
        """
        moment = NOT_YET + 3.5 * DAY
        given = plan("example.org")
        chain = chainOf(self, LEAF, trusted=(AUTHORITY.certificate,), moment=moment)
        errors = SslPolicyErrors.RemoteCertificateChainErrors
        errors |= SslPolicyErrors.RemoteCertificateNameMismatch
        verdict = Verdict(errors, ("one is bad", "so is another"), TlsAlert.unknown_ca)
        lines = self.told(
            inspection(chain, given=given, verdict=verdict, moment=moment)
        ).splitlines()
        start = lines.index("  CN=example.com")
        self.assertEqual(
            [each for each in lines[start:] if "✗" in each],
            [
                "     ✗ expired 2026-07-01 13:00:00 UTC (NotTimeValid)",
                "     ✗ was issued by a certificate that is not at hand (PartialChain)",
                "     ✗ is for example.com, www.example.com, not for 'example.org' "
                "(RemoteCertificateNameMismatch)",
                "  ✗ A default client would refuse this server: "
                "RemoteCertificateNameMismatch, RemoteCertificateChainErrors",
            ],
        )
        self.assertIn("     valid   2020-01-02 03:04 to 2026-07-01 13:00 (3 days ago)", lines)
        self.assertEqual(
            lines[-3:],
            ["    one is bad", "    so is another", "    It would send the alert unknown_ca."],
        )
        self.assertNotIn("✓", "".join(lines))

    def test_failed(self) -> None:
        """
        Of a handshake that failed there is what was seen until then, and why.
        """
        error = AuthenticationError("no", alert=TlsAlert.handshake_failure)
        told = self.told(
            inspection(
                chainOf(self, LEAF),
                negotiated=None,
                failure=error,
                isAsked=True,
                acceptableIssuers=("CN=One", "CN=Two"),
            )
        )
        self.assertIn(
            "Client certificate  asked for\n                      from CN=One\n"
            "                      from CN=Two\n",
            told,
        )
        self.assertNotIn("Protocol", told)
        self.assertTrue(
            told.endswith(
                "Verdict\n  ✗ There is no connection: no; alert received: handshake_failure\n"
            )
        )

    def test_nothing(self) -> None:
        """
        Where nothing was found out, there is why.
        """
        found = Inspection(plan("::1", 8443), MOMENT, "nobody is there")
        self.assertEqual(self.told(found), "[::1]:8443\n\nnobody is there\n")

    def test_target(self) -> None:
        """
        The first line has the address and the name only where they tell
        something.
        """
        for given, line in (
            (plan("192.0.2.1"), "192.0.2.1:443"),
            (plan("example.com", 8443), "example.com:8443 (192.0.2.1)"),
            (plan("example.com", 1, "other.example"), "example.com:1 (192.0.2.1) as other.example"),
            (plan("example.com", 1, ""), "example.com:1 (192.0.2.1) as nobody"),
        ):
            self.assertEqual(self.told(inspection(None, given=given)).splitlines()[0], line)
        found = inspection(None, given=plan("2001:db8::1"))
        found.sight.address = "[2001:db8::1]"
        self.assertEqual(self.told(found).splitlines()[0], "[2001:db8::1]:443")

    def test_resumption(self) -> None:
        """
        What became of resumption is told.
        """
        for isResumed, words in (
            (True, "a session goes on in another connection"),
            (False, "each connection begins anew"),
            (None, "could not be tried"),
        ):
            told = self.told(inspection(None, isResumed=isResumed))
            self.assertIn(f"  Resumption          {words}\n", told)

    def test_tree(self) -> None:
        """
        Each issuer stands below what it has issued, and what is of no use apart.
        """
        first, second = Authority("First", AUTHORITY), Authority("Second")
        middle = Authority("Middle", first)
        leaf = middle.issue("example.com").certificate
        sent = (leaf, *middle.chain, second.certificate)
        chain = chainOf(self, *sent, trusted=(AUTHORITY.certificate,), moment=NOW)
        lines = self.told(inspection(chain, moment=NOW)).splitlines()
        self.assertEqual(
            [each for each in lines if "CN=" in each],
            [
                "  CN=example.com",
                "  └─ CN=Middle",
                "     └─ CN=First",
                "        └─ CN=Test Authority (trusted, not sent)",
                "  CN=Second",
            ],
        )
        self.assertEqual(lines[lines.index("  CN=Second") - 1], "Sent as well, but of no use")

    def test_issuer(self) -> None:
        """
        The issuer's name is told where it has no place in the tree.
        """
        chain = chainOf(self, LEAF, trusted=(AUTHORITY.certificate,))
        lines = self.told(inspection(chain)).splitlines()
        self.assertEqual(lines[lines.index("  CN=example.com") + 1], "     issuer  CN=Example Root")
        self.assertNotIn("issuer", self.told(inspection(chainOf(self, LEAF))))

    def test_days(self) -> None:
        """
        The days until and since the end are counted in full.
        """
        for after, words, style in (
            (datetime.timedelta(days=-40), "(40 days left)", "good"),
            (datetime.timedelta(days=-30), "(30 days left)", "good"),
            (datetime.timedelta(days=-29, hours=-23), "(29 days left)", "warning"),
            (datetime.timedelta(days=-1), "(1 day left)", "warning"),
            (datetime.timedelta(hours=-1), "(0 days left)", "warning"),
            (datetime.timedelta(hours=1), "(0 days ago)", "bad"),
            (datetime.timedelta(hours=25), "(1 day ago)", "bad"),
            (datetime.timedelta(hours=50), "(2 days ago)", "bad"),
        ):
            found = inspection(chainOf(self, LEAF), moment=NOT_YET + after)
            self.assertIn(f" {coloured(style, words)}\n", self.told(found, paint=coloured))

    def test_notYet(self) -> None:
        """
        Of a certificate whose time has not come the days are not counted.
        """
        early = LONG_AGO - datetime.timedelta(days=3)
        found = inspection(chainOf(self, LEAF, moment=early), moment=early)
        self.assertIn(f" {coloured('bad', '(not yet)')}\n", self.told(found, paint=coloured))
        self.assertNotIn("left)", self.told(found))

    def test_many(self) -> None:
        """
        Of many names and issuers the first are told; the document has all.
        """
        names = [f"{number}.example.com" for number in range(25)]
        leaf = certificate("many", ROOT, extensions=(hosts(*names),))
        issuers = tuple(f"CN={number}" for number in range(25))
        found = inspection(
            chainOf(self, leaf, moment=NOW), moment=NOW, isAsked=True, acceptableIssuers=issuers
        )
        told = self.told(found)
        self.assertIn(" 18.example.com, 19.example.com, and 5 more\n", told)
        self.assertIn("from CN=19\n                      and 5 more\n", told)
        everything = document(found)
        self.assertEqual(everything["certificates"][0]["names"], names)
        self.assertEqual(everything["clientCertificate"]["acceptableIssuers"], list(issuers))

    def test_harmless(self) -> None:
        """
        Nothing that a server may choose controls the terminal or the direction
        of writing.
        """
        evil = "\x1b[2J\r\n\x07\u202e\u0085\x9b"
        leaf = certificate(
            distinguishedName(f"Ünïcode {evil}"), ROOT, extensions=(hosts("example.com"),)
        )
        chain = chainOf(self, leaf, moment=NOW)
        found = inspection(
            chain,
            moment=NOW,
            isAsked=True,
            acceptableIssuers=(f"CN={evil}",),
            verdict=Verdict(SslPolicyErrors.RemoteCertificateChainErrors, (evil,), None),
            failure=AuthenticationError(evil),
            negotiated=replace(NEGOTIATED, applicationProtocol=evil.encode()),
        )
        found.sight.address = evil
        for told in (self.told(found), text(document(Inspection(plan(), MOMENT, evil)))):
            # The ends of the lines are ours.
            self.assertTrue(told.replace("\n", "").isprintable(), ascii(told))
        self.assertIn("Ünïcode ?[2J", self.told(found))

    def test_colours(self) -> None:
        """
        Colours change nothing but the colour.
        """
        for verdict in (ACCEPTABLE, Verdict(SslPolicyErrors(4), ("bad",), TlsAlert.unknown_ca)):
            found = inspection(chainOf(self, LEAF), verdict=verdict)
            painted: list[tuple[str, str]] = []
            paint = partial(_noted, painted)
            told = self.told(found, paint=paint)
            for style, words in painted:
                told = told.replace(coloured(style, words), words, 1)
            self.assertEqual(told, self.told(found))
            self.assertLessEqual({"bold", "dim"}, {style for style, _ in painted})
        self.assertEqual(coloured("bad", "x"), "\x1b[31mx\x1b[0m")


def _noted(painted: list[tuple[str, str]], style: str, words: str) -> str:
    painted.append((style, words))
    return coloured(style, words)


class DocumentTests(SynchronousTestCase):
    """
    Tests for L{document} and L{statusOf}.
    """

    def test_status(self) -> None:
        """
        The status is 0 only where both sides would accept, and 2 only where
        there is no TLS.
        """
        refused = Verdict(SslPolicyErrors(2), ("bad",), TlsAlert.bad_certificate)
        for found, status in (
            (inspection(None), 0),
            (inspection(None, verdict=refused), 1),
            (inspection(None, failure=AuthenticationError("no")), 1),
            (inspection(None, verdict=None), 1),
            (inspection(None, verdict=None, failure=AuthenticationError("no")), 1),
            (Inspection(plan(), MOMENT, "nobody is there"), 2),
        ):
            self.assertEqual(statusOf(found), status)
            told = document(found)
            self.assertEqual(told["status"], status)
            if status == 2:
                self.assertIsNone(told["verdict"])
            else:
                self.assertIs(told["verdict"]["isAccepted"], status == 0)

    def test_keys(self) -> None:
        """
        Keys and signatures of every kind are told, unreadable ones as unknown.
        """
        edwards = certificate("a", key=ed25519.Ed25519PrivateKey.generate())
        for issued, key, digest in (
            (LEAF, {"kind": "ECDSA secp256r1", "bits": 256}, "sha256"),
            (edwards, {"kind": "Ed25519", "bits": None}, None),
        ):
            told = document(inspection(chainOf(self, issued, moment=NOW)))["certificates"][0]
            self.assertEqual((told["key"], told["signatureHash"]), (key, digest))

    def test_serial(self) -> None:
        """
        A serial number may be any.
        """
        with withoutWarnings():
            issued = withSerial(LEAF, ROOT, b"\x80")
        told = document(inspection(chainOf(self, issued)))["certificates"][0]
        self.assertEqual(told["serialNumber"], "-80")

    def staple(self, data: bytes, issuers: bool = True) -> Any:
        """
        @param issuers: whether the issuer is at hand.
        @return: what is told of a staple, in both forms.
        """
        context = STAPLED
        trusted = AUTHORITY if issuers else Authority("Stranger")
        chain = chainOf(self, context.certificate, trusted=(trusted.certificate,), moment=NOW)
        chain.stapledResponse = data
        told = document(inspection(chain, moment=NOW))
        line = next(each for each in text(told).splitlines() if "OCSP staple" in each)
        return told["staple"], line.removeprefix("  OCSP staple         ")

    def test_staple(self) -> None:
        """
        A staple is told with its status and its times.
        """
        leaf = STAPLED.certificate
        start, end = NOW - DAY, NOW + DAY
        for status, word in ((GOOD, "good"), (REVOKED, "revoked"), (UNKNOWN, "unknown")):
            told, line = self.staple(ocspResponse(AUTHORITY, leaf, status=status))
            self.assertEqual(
                told,
                {
                    "status": word,
                    "thisUpdate": start.isoformat(),
                    "nextUpdate": end.isoformat(),
                    "problem": None,
                },
            )
            self.assertEqual(line, f"{word} from {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M}")
        told, line = self.staple(ocspResponse(AUTHORITY, leaf, nextUpdate=None))
        self.assertIsNone(told["nextUpdate"])
        self.assertTrue(line.startswith(f"good from {start:%Y-%m-%d %H:%M}"))

    def test_badStaple(self) -> None:
        """
        One that proves nothing is told with the reason, whatever it is.
        """
        leaf = STAPLED.certificate
        other = Authority("Test Authority")
        forged, line = self.staple(ocspResponse(other, leaf))
        self.assertEqual(forged["status"], "good")
        self.assertEqual(forged["problem"], "is about another certificate")
        self.assertTrue(line.endswith("; it is about another certificate"), line)
        another = ocspResponse(AUTHORITY, AUTHORITY.issue("a").certificate)
        for data, issuers, problem in (
            (another, True, "is about another certificate"),
            (b"\x00", True, "is unreadable: "),
            (b"", True, "is unreadable: "),
            (ocspResponse(AUTHORITY, leaf), False, "cannot be checked: the issuer is missing"),
        ):
            told, line = self.staple(data, issuers)
            self.assertTrue(told["problem"].startswith(problem), told)
            if issuers:
                self.assertIsNone(told["status"])
                self.assertTrue(line.startswith("no answer; it "), line)

    def test_noSurprise(self) -> None:
        """
        All of it is what JSON knows, and stays the same as JSON.
        """
        for found in (
            inspection(chainOf(self, LEAF)),
            inspection(None, negotiated=None, failure=AuthenticationError("no")),
            Inspection(plan(), MOMENT, "nobody is there"),
        ):
            told = document(found)
            self.assertEqual(json.loads(json.dumps(told)), told)
            self.assertEqual(set(told), KEYS)


STAPLED = AUTHORITY.issue("example.com")

KEYS = {
    "format",
    "moment",
    "host",
    "port",
    "address",
    "serverName",
    "status",
    "error",
    "connection",
    "clientCertificate",
    "certificates",
    "unused",
    "staple",
    "verdict",
}
