"""
C{sslstream inspect} with foreign servers: C{openssl}, and those of Debian's packages, with
certificates that are good and bad in every way that operators know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslStreamCertificateContext
from txsslstream.testing import DAY, MUST_STAPLE, NOW, Authority, rsaKey
from txsslstream.testing.issuing import certificate, hosts
from txsslstream.testing.revocations import REVOKED, ocspResponse

from ..programs import runSslstream
from ._authority import ForeignCase, identity, rootFile, stored
from ._services import (
    absent,
    absentFile,
    dovecot,
    nginx,
    output,
    postfix,
    postgres,
    postgresData,
    proftpd,
    prosody,
    slapd,
)
from ._tools import OPENSSL_SERVER_READY, background, opensslServer

ROOT = Authority("Inspection Root")
SUB = Authority("Inspection Intermediate", ROOT)


class Situation(NamedTuple):
    """
    A server's certificate, and what is to be found out about it.

    @ivar context: the certificate.
    @ivar errors: the C{SslPolicyErrors}.
    @ivar alert: what a client tells the server.
    @ivar names: the subjects of the chain.
    @ivar findings: what is wrong with the first certificate.
    """

    context: SslStreamCertificateContext
    errors: list[str]
    alert: str | None
    names: list[str]
    findings: list[str]


_BY_CHAIN = ["RemoteCertificateChainErrors"]
_LOCALHOST = "CN=localhost"
_ROOT = "CN=Inspection Root"
_SUB = "CN=Inspection Intermediate"


@cache
def situations() -> dict[str, Situation]:
    """
    @return: all of them, by their names.
    """
    own = certificate("localhost", extensions=(hosts("localhost"),))
    indirect = SUB.issue("localhost")
    mismatch = "RemoteCertificateNameMismatch"
    return {
        "good": Situation(SUB.issue("localhost"), [], None, [_LOCALHOST, _SUB, _ROOT], []),
        "self-signed": Situation(
            SslStreamCertificateContext(own.certificate, own.key),
            *(_BY_CHAIN, "unknown_ca", [_LOCALHOST], ["UntrustedRoot"]),
        ),
        "expired": Situation(
            ROOT.issue("localhost", notBefore=NOW - 5 * DAY, notAfter=NOW - DAY),
            *(_BY_CHAIN, "certificate_expired", [_LOCALHOST, _ROOT], ["NotTimeValid"]),
        ),
        "wrong name": Situation(
            ROOT.issue("www.example.com"),
            *([mismatch], "bad_certificate", ["CN=www.example.com", _ROOT], [mismatch]),
        ),
        "missing intermediate": Situation(
            SslStreamCertificateContext(indirect.certificate, indirect.privateKey),
            *(_BY_CHAIN, "unknown_ca", [_LOCALHOST], ["PartialChain"]),
        ),
    }


@cache
def pems() -> dict[str, Path]:
    """
    @return: the files of the certificates with their keys.
    """
    return {name: identity(each.context).pem for name, each in situations().items()}


class InspectCase(ForeignCase):
    """
    Inspections, with the answers as data.
    """

    # Where they are is known to L{absent}.
    tools: ClassVar[tuple[str, ...]] = ()

    def inspect(
        self, port: int, *arguments: object, status: int = 0, host: str = "localhost"
    ) -> dict[str, Any]:
        """
        Inspect a server that ought to be localhost.

        @return: the document.
        """
        done = runSslstream(
            *("inspect", f"{host}:{port}", "--json", "--servername", "localhost"),
            *("--trust", str(rootFile(ROOT)), *map(str, arguments)),
        )
        self.assertEqual(done.returncode, status, done)
        told: dict[str, Any] = json.loads(done.stdout)
        self.assertEqual(told["status"], status)
        return told

    def assertFound(self, name: str, port: int, *arguments: str, host: str = "localhost") -> None:
        """
        What is to be found out in a situation is.
        """
        situation = situations()[name]
        status = 1 if situation.errors else 0
        told = self.inspect(port, *arguments, status=status, host=host)
        verdict = told["verdict"]
        self.assertEqual(verdict["sslPolicyErrors"], situation.errors, name)
        self.assertEqual(verdict["alert"], situation.alert, name)
        self.assertIsNone(verdict["failure"], name)
        self.assertIs(verdict["isAccepted"], not situation.errors, name)
        self.assertIn(told["connection"]["sslProtocol"], ("Tls12", "Tls13"), name)
        leaf, *others = told["certificates"]
        self.assertEqual([each["subject"] for each in (leaf, *others)], situation.names, name)
        found = [status for each in leaf["findings"] for status in each["status"]]
        self.assertEqual(found, situation.findings, name)
        self.assertEqual([each for one in others for each in one["findings"]], [], name)


class OpenSSLTests(InspectCase, SynchronousTestCase):
    """
    With C{openssl s_server}.
    """

    tools = ("openssl",)

    def server(self, pem: Path, *extra: str, **options: Any) -> int:
        """
        @return: the port of a server with this certificate.
        """
        command = opensslServer(pem, pem, extra=extra, **options)
        return int(self.during(background(command, OPENSSL_SERVER_READY)).match[1])

    def test_situations(self) -> None:
        """
        Everything that may be wrong is found out.
        """
        for name, pem in pems().items():
            chain = rootFile(SUB) if name == "good" else None
            self.assertFound(name, self.server(pem, chain=chain))

    def test_negotiated(self) -> None:
        """
        What is told of the connection is what the server was told to do.
        """
        for version, suite in (("1.2", "ECDHE-ECDSA-AES128-SHA256"), ("1.3", "")):
            extra = ("-cipher", suite) if suite else ("-ciphersuites", "TLS_AES_128_GCM_SHA256")
            port = self.server(
                *(pems()["expired"], *extra, "-groups", "P-384", "-alpn", "http/1.1"),
                version=version,
            )
            facts = self.inspect(port, status=1)["connection"]
            self.assertEqual(facts["sslProtocol"], f"Tls{version.replace('.', '')}")
            self.assertIn("AES_128", facts["negotiatedCipherSuite"])
            self.assertEqual((facts["keyExchangeGroup"], facts["keyExchangeStrength"]), GROUP)
            self.assertEqual(facts["negotiatedApplicationProtocol"], "http/1.1")
            self.assertIs(facts["isResumed"], True)

    def test_version(self) -> None:
        """
        A version may be asked for; a server that does not have it is refused by
        status 1, since it speaks TLS.
        """
        pem = pems()["self-signed"]
        told = self.inspect(self.server(pem), "--tls", "1.2", status=1)
        self.assertEqual(told["connection"]["sslProtocol"], "Tls12")
        told = self.inspect(self.server(pem, version="1.2"), "--tls", "1.3", status=1)
        self.assertEqual(told["verdict"]["alertReceived"], "protocol_version")
        self.assertEqual((told["connection"], told["certificates"]), (None, []))

    def test_noResumption(self) -> None:
        """
        A server that lets no session go on is found out.
        """
        port = self.server(pems()["self-signed"], "-no_ticket", "-no_cache", version="1.2")
        self.assertIs(self.inspect(port, status=1)["connection"]["isResumed"], False)

    def test_weak(self) -> None:
        """
        A server with a key that nobody accepts any more is shown all the same.
        """
        weak = ROOT.issue("localhost", key=rsaKey(bits=1024))
        # It takes some persuasion.
        port = self.server(identity(weak).pem, "-cipher", "DEFAULT@SECLEVEL=0")
        leaf = self.inspect(port, status=1)["certificates"][0]
        self.assertEqual(leaf["key"], {"kind": "RSA", "bits": 1024})
        self.assertEqual([each["status"] for each in leaf["findings"]], [["HasWeakSignature"]])

    def test_clientCertificate(self) -> None:
        """
        Where the server wants a certificate it is told from whom, in both
        versions, and whether it does without or accepts the one that is there.
        """
        own = identity(ROOT.issue("client@example.com"))
        pem = identity(ROOT.issue("localhost")).pem
        wanted = {"isAsked": True, "acceptableIssuers": [_ROOT]}
        for version, alert in (("1.2", "handshake_failure"), ("1.3", "certificate_required")):
            port = self.server(pem, clientCA=rootFile(ROOT), version=version)
            told = self.inspect(port, status=1)
            self.assertEqual(told["clientCertificate"], wanted)
            self.assertEqual(told["verdict"]["alertReceived"], alert)
            self.assertEqual(told["verdict"]["sslPolicyErrors"], [])
            self.assertEqual(told["certificates"][0]["findings"], [])
            told = self.inspect(port, "--certificate", own.pem)
            self.assertEqual(told["clientCertificate"], wanted)
            self.assertIs(told["connection"]["isResumed"], True)

    def test_staple(self) -> None:
        """
        A stapled response is shown, and counts where revocation is checked.
        """
        context = ROOT.issue("localhost", extensions=[MUST_STAPLE])
        pem = identity(context).pem
        revoked = stored(ocspResponse(ROOT, context.certificate, status=REVOKED))
        good = stored(ocspResponse(ROOT, context.certificate))
        for version in ("1.2", "1.3"):
            port = self.server(pem, "-status_file", str(good), version=version)
            staple = self.inspect(port, "--revocation", "offline")["staple"]
            self.assertEqual((staple["status"], staple["problem"]), ("good", None))
            self.assertEqual(staple["thisUpdate"], (NOW - DAY).isoformat())
            self.assertEqual(staple["nextUpdate"], (NOW + DAY).isoformat())
            port = self.server(pem, "-status_file", str(revoked), version=version)
            # A client that does not check does not know.
            self.assertEqual(self.inspect(port)["staple"]["status"], "revoked")
            told = self.inspect(port, "--revocation", "offline", status=1)
            self.assertEqual(told["verdict"]["alert"], "certificate_revoked")

    def test_unused(self) -> None:
        """
        Certificates that are sent in vain are told.
        """
        port = self.server(pems()["expired"], chain=rootFile(SUB))
        told = self.inspect(port, status=1)
        self.assertEqual([each["subject"] for each in told["unused"]], [_SUB])


#: The only group of a test, and its bits.
GROUP = ("secp384r1", 384)


class NginxTests(InspectCase, SynchronousTestCase):
    """
    With nginx.
    """

    skip = absent("nginx")

    def test_situations(self) -> None:
        """
        Everything that may be wrong is found out.
        """
        ports = self.during(nginx(pems()))
        for name, port in ports.items():
            self.assertFound(name, port)

    def test_details(self) -> None:
        """
        Its application protocol, its staple, and its wish for a certificate are
        told.
        """
        context = ROOT.issue("localhost")
        staple = stored(ocspResponse(ROOT, context.certificate))
        ports = self.during(
            nginx(
                {"only": identity(context).pem},
                f"ssl_stapling on; ssl_stapling_file {staple}; "
                f"ssl_protocols TLSv1.3; ssl_verify_client optional; "
                f"ssl_client_certificate {rootFile(ROOT)};",
            )
        )
        told = self.inspect(ports["only"])
        self.assertEqual(told["connection"]["negotiatedApplicationProtocol"], "h2")
        self.assertEqual(told["connection"]["sslProtocol"], "Tls13")
        self.assertEqual((told["staple"]["status"], told["staple"]["problem"]), ("good", None))
        self.assertEqual(told["clientCertificate"]["acceptableIssuers"], [_ROOT])
        told = self.inspect(ports["only"], "--alpn", "http/1.1")
        self.assertEqual(told["connection"]["negotiatedApplicationProtocol"], "http/1.1")


class PostfixTests(InspectCase, SynchronousTestCase):
    """
    With Postfix.
    """

    skip = absent("postfix", root=True)

    def test_situations(self) -> None:
        """
        Everything that may be wrong is found out, behind C{STARTTLS}.
        """
        ports = self.during(postfix(pems()))
        for name, port in ports.items():
            self.assertFound(name, port, "--starttls", "smtp")


class DovecotTests(InspectCase, SynchronousTestCase):
    """
    With Dovecot.
    """

    skip = absent("dovecot", root=True) or absentFile("/usr/lib/dovecot/pop3-login")

    def setUp(self) -> None:
        """
        Later ones have other settings.
        """
        super().setUp()
        if not output("dovecot", "--version").startswith("2.3."):
            raise SkipTest("not installed: Dovecot 2.3")

    def test_situations(self) -> None:
        """
        Everything that may be wrong is found out, behind IMAP's C{STARTTLS}, and
        behind POP3's C{STLS} as well.
        """
        addresses, imap, pop3 = self.during(dovecot(pems()))
        for name, address in addresses.items():
            self.assertFound(name, imap, "--starttls", "imap", host=address)
        for name in ("good", "expired"):
            self.assertFound(name, pop3, "--starttls", "pop3", host=addresses[name])


class PostgresTests(InspectCase, SynchronousTestCase):
    """
    With PostgreSQL.
    """

    skip = absent("initdb", "postgres")

    def test_situations(self) -> None:
        """
        Everything that may be wrong is found out, behind C{SSLRequest}.
        """
        place = self.during(postgresData())
        for name, pem in pems().items():
            with postgres(place, pem) as port:
                self.assertFound(name, port, "--starttls", "postgres")


class OtherTests(InspectCase, SynchronousTestCase):
    """
    With the other services that begin in plain text.
    """

    def both(self) -> Iterator[tuple[str, Path]]:
        """
        A good situation and a bad one.
        """
        for name in ("good", "expired"):
            yield name, pems()[name]

    def test_ldap(self) -> None:
        """
        OpenLDAP begins TLS.
        """
        for name, pem in self.both():
            with slapd(pem, rootFile(SUB)) as port:
                self.assertFound(name, port, "--starttls", "ldap")

    test_ldap.skip = absent("slapd")  # type: ignore[attr-defined]

    def test_ftp(self) -> None:
        """
        ProFTPD begins TLS, and agrees to its name in ALPN.
        """
        for name, pem in self.both():
            with proftpd(pem, rootFile(SUB)) as port:
                self.assertFound(name, port, "--starttls", "ftp")

    test_ftp.skip = (  # type: ignore[attr-defined]
        absent("proftpd", root=True) or absentFile("/usr/lib/proftpd/mod_tls.so")
    )

    def test_xmpp(self) -> None:
        """
        Prosody begins TLS.
        """
        for name, pem in self.both():
            with prosody(pem) as port:
                self.assertFound(name, port, "--starttls", "xmpp")

    test_xmpp.skip = absent("prosody", root=True)  # type: ignore[attr-defined]
