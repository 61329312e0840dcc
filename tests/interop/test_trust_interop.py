"""
Why a peer is refused, as the alert tells foreign peers, in both roles; and whom
a request for a client's certificate names, in both directions.

What is ours runs in processes of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ClassVar, NamedTuple

from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslPolicyErrors, TlsAlert, X509ChainStatusFlags
from txsslstream.testing import DAY, NOW, Authority, certificatePEM, rsaKey
from txsslstream.testing.revocations import crl, crlBytes

from ._authority import (
    ForeignCase,
    Identity,
    identity,
    opensslIssued,
    ours,
    ourServer,
    rootFile,
    stored,
)
from ._ours import Outcome
from ._tools import (
    ANSWER,
    CLIENT_MESSAGE,
    GNUTLS_SERVER_READY,
    OPENSSL_SERVER_READY,
    SERVER_MESSAGE,
    Background,
    background,
    freePort,
    gnutlsClient,
    gnutlsServer,
    opensslClient,
    opensslServer,
    sampleClient,
)
from .test_interop import PASSWORD, compiled, run

S = X509ChainStatusFlags
VERSIONS = ("1.2", "1.3")

ROOT = Authority("Interop Root")
SUB = Authority("Interop Authority", ROOT)
#: Trusted as well, but nobody says which of its certificates are revoked.
OTHER = Authority("Another Root")
STRANGER = Authority("Stranger")
#: Has the root's name, and not its key.
IMPOSTOR = Authority("Interop Root")

EXPIRED: Any = {"notBefore": NOW - 5 * DAY, "notAfter": NOW - DAY}


class Row(NamedTuple):
    """
    One reason to refuse a certificate.

    @ivar shown: the certificate.
    @ivar flags: what is wrong with it.
    @ivar alert: what its owner is told.
    @ivar name: whose name it ought to have.
    @ivar mode: whether revocation is checked.
    """

    shown: Identity
    flags: S
    alert: TlsAlert
    name: str = "localhost"
    mode: str = "NoCheck"


@cache
def roots() -> Path:
    """
    @return: what our side trusts.
    """
    return stored(certificatePEM(ROOT.certificate, OTHER.certificate), "pem")


@cache
def revokedServer() -> Identity:
    """
    @return: a server's certificate that is on L{revocationList}.
    """
    return identity(ROOT.issue("localhost"))


@cache
def revokedClient() -> Identity:
    """
    @return: a client's certificate that is on L{revocationList}.
    """
    return identity(ROOT.issue("client@example.com"))


@cache
def revocationList() -> Path:
    """
    @return: the root's list.
    """
    revoked = (revokedServer().certificate, revokedClient().certificate)
    return stored(crlBytes(crl(ROOT, *revoked)))


@cache
def servers() -> dict[str, Row]:
    """
    @return: every reason to refuse a server.
    """
    weakKey = rsaKey(bits=1024)
    own = identity(ROOT.issue("localhost"))
    forClients: Any = {"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)}
    expired = identity(ROOT.issue("localhost", **EXPIRED))
    return {
        "unknown authority": Row(
            identity(STRANGER.issue("localhost")), S.PartialChain, TlsAlert.unknown_ca
        ),
        "expired": Row(expired, S.NotTimeValid, TlsAlert.certificate_expired),
        "premature": Row(
            identity(ROOT.issue("localhost", notBefore=NOW + DAY)),
            S.NotTimeValid,
            TlsAlert.certificate_expired,
        ),
        "wrong usage": Row(
            identity(ROOT.issue("localhost", **forClients)),
            S.NotValidForUsage,
            TlsAlert.unsupported_certificate,
        ),
        "revoked": Row(revokedServer(), S.Revoked, TlsAlert.certificate_revoked, mode="Offline"),
        "unknown revocation": Row(
            identity(OTHER.issue("localhost")),
            S.RevocationStatusUnknown | S.OfflineRevocation,
            TlsAlert.certificate_unknown,
            mode="Offline",
        ),
        "wrong name": Row(own, S.NoError, TlsAlert.bad_certificate, "example.com"),
        "wrong signature": Row(
            identity(IMPOSTOR.issue("localhost", claimed=ROOT)),
            S.NotSignatureValid,
            TlsAlert.bad_certificate,
        ),
        "weak key": Row(
            identity(ROOT.issue("localhost", key=weakKey)),
            S.HasWeakSignature,
            TlsAlert.bad_certificate,
        ),
        "weak signature": Row(
            opensslIssued(ROOT, "sha1"),
            S.HasWeakSignature,
            TlsAlert.bad_certificate,
        ),
        "expired, wrong usage": Row(
            identity(ROOT.issue("localhost", **forClients, **EXPIRED)),
            S.NotTimeValid | S.NotValidForUsage,
            TlsAlert.certificate_expired,
        ),
        "expired, unknown authority": Row(
            identity(STRANGER.issue("localhost", **EXPIRED)),
            S.NotTimeValid | S.PartialChain,
            TlsAlert.unknown_ca,
        ),
        "expired, wrong name": Row(
            expired, S.NotTimeValid, TlsAlert.certificate_expired, "example.com"
        ),
    }


class OurClientCase(ForeignCase):
    """
    Our client with foreign servers.
    """

    def server(self, shown: Identity, isWeak: bool) -> tuple[Background, int]:
        """
        Run the server.

        @param isWeak: whether it would not use such a certificate by itself.
        @return: it, and its port.
        """
        raise NotImplementedError

    def told(self, version: str, alert: TlsAlert) -> str:
        """
        @return: how the server shows an alert that it got, as a regular
            expression.
        """
        raise NotImplementedError

    def case(self, row: Row, port: int, version: str) -> dict[str, Any]:
        """
        @return: what L{ours} is to do.
        """
        case = {"root": roots(), "name": row.name, "port": port, "version": version}
        return {**case, "mode": row.mode, "lists": [revocationList()]}

    def assertRefused(self, reason: str, row: Row, outcome: Outcome) -> None:
        """
        Our client has refused it for this reason, and says what it has sent.
        """
        self.assertFalse(outcome.isAccepted, reason)
        self.assertEqual(S(outcome.flags[0]), row.flags, reason)
        errors = SslPolicyErrors.None_
        if row.flags:
            errors |= SslPolicyErrors.RemoteCertificateChainErrors
        if row.name != "localhost":
            errors |= SslPolicyErrors.RemoteCertificateNameMismatch
        self.assertEqual(SslPolicyErrors(outcome.policyErrors), errors, reason)
        self.assertEqual(outcome.sent, row.alert.name, reason)

    def refused(self, reasons: Sequence[str]) -> None:
        """
        Have our client refuse servers in each version, and see that they know
        why.
        """
        combinations = [
            (reason, servers()[reason], version) for reason in reasons for version in VERSIONS
        ]
        tools = {
            reason: self.server(servers()[reason].shown, reason.startswith("weak"))
            for reason in reasons
        }
        outcomes = ours(
            *(self.case(row, tools[reason][1], version) for reason, row, version in combinations)
        )
        ends = dict.fromkeys(reasons, 0)
        for (reason, row, version), outcome in zip(combinations, outcomes, strict=True):
            self.assertRefused(reason, row, outcome)
            told = self.told(version, row.alert)
            ends[reason] = tools[reason][0].waitFor(told, 10, ends[reason]).end()

    def test_accepted(self) -> None:
        """
        A server with which nothing is wrong is accepted, with the same
        revocation list; also one whose certificate is C{openssl}'s.
        """
        for shown in (identity(ROOT.issue("localhost")), opensslIssued(ROOT, "sha256")):
            row = Row(shown, S.NoError, TlsAlert.close_notify, mode="Offline")
            server, port = self.server(shown, False)
            for outcome in ours(*(self.case(row, port, version) for version in VERSIONS)):
                self.assertTrue(outcome.isAccepted, outcome)
                self.assertTrue(outcome.isAnswered, outcome)
            self.assertNotRegex(server.output(), r"SSL alert|Error in handshake|Alert\[2")

    def test_refused(self) -> None:
        """
        A server that is refused is told why: its authority is unknown, it has
        expired, is not valid yet, is not for servers, is revoked, may be revoked,
        has another name, another's signature, a weak key or a weak signature.
        """
        self.refused([each for each in servers() if "," not in each])

    def test_several(self) -> None:
        """
        Of several reasons the first one in the table is told: an unknown
        authority before the time, the time before the usage, and all of them
        before the name.
        """
        self.refused([each for each in servers() if "," in each])


class OpenSSLServerTests(OurClientCase, SynchronousTestCase):
    """
    Our client with C{openssl s_server}.
    """

    tools = ("openssl",)

    def server(self, shown: Identity, isWeak: bool) -> tuple[Background, int]:
        """
        See L{OurClientCase.server}.
        """
        extra = ("-cipher", "ALL:@SECLEVEL=0") if isWeak else ()
        command = opensslServer(shown.pem, shown.pem, extra=extra)
        tool = self.during(background(command, OPENSSL_SERVER_READY, answers=ANSWER))
        return tool, int(tool.match[1])

    def told(self, version: str, alert: TlsAlert) -> str:
        """
        See L{OurClientCase.told}.
        """
        return f"SSL alert number {alert.value}$"


class GnuTLSServerTests(OurClientCase, SynchronousTestCase):
    """
    Our client with C{gnutls-serv}.
    """

    # The second one issues certificates.
    tools = ("gnutls-serv", "openssl")

    def server(self, shown: Identity, isWeak: bool) -> tuple[Background, int]:
        """
        See L{OurClientCase.server}.
        """
        port = freePort()
        # Less would not name the alert.
        command = gnutlsServer(shown.pem, shown.pem, port=port, extra=("--debug=5",))
        return self.during(background(command, GNUTLS_SERVER_READY)), port

    def told(self, version: str, alert: TlsAlert) -> str:
        """
        See L{OurClientCase.told}.
        """
        if version == "1.2":
            return rf"Alert\[2\|{alert.value}\] - .* was received$"
        # OpenSSL refuses in the clear, and GnuTLS cannot read that.
        return r"^Error in handshake: Decryption has failed\.$"


@cache
def clients() -> dict[str, tuple[Identity, TlsAlert]]:
    """
    @return: every reason to refuse a client, with what it is told.
    """
    name = "client@example.com"
    return {
        "unknown authority": (identity(STRANGER.issue(name)), TlsAlert.unknown_ca),
        "expired": (identity(ROOT.issue(name, **EXPIRED)), TlsAlert.certificate_expired),
        "wrong usage": (
            identity(ROOT.issue(name, usages=(ExtendedKeyUsageOID.SERVER_AUTH,))),
            TlsAlert.unsupported_certificate,
        ),
        "revoked": (revokedClient(), TlsAlert.certificate_revoked),
        "unknown revocation": (identity(OTHER.issue(name)), TlsAlert.certificate_unknown),
        "wrong signature": (
            identity(IMPOSTOR.issue(name, claimed=ROOT)),
            TlsAlert.bad_certificate,
        ),
    }


class OurServerCase(ForeignCase):
    """
    Our server with foreign clients.

    @cvar versions: those that the client speaks.
    """

    versions: ClassVar[tuple[str, ...]] = VERSIONS

    def command(self, version: str, port: int, shown: Identity) -> list[str]:
        """
        @return: the command that runs the client.
        """
        raise NotImplementedError

    def told(self, alert: TlsAlert) -> str:
        """
        @return: how the client shows an alert that it got.
        """
        raise NotImplementedError

    def named(self, names: Sequence[str]) -> str:
        """
        @return: how the client shows whom the server names, as a regular
            expression.
        """
        raise NotImplementedError

    def server(self, sendsTrust: bool = False) -> Background:
        """
        Run our server, which wants certificates that are on no list.
        """
        return self.during(
            ourServer(
                certificate=identity(ROOT.issue("localhost")).pem,
                root=roots(),
                mode="Offline",
                lists=[revocationList()],
                sendsTrust=sendsTrust,
            )
        )

    def converse(self, server: Background, version: str, shown: Identity) -> CompletedProcess[str]:
        """
        Have the client talk to it.
        """
        return run(self.command(version, int(server.match[1]), shown), CLIENT_MESSAGE)

    def test_accepted(self) -> None:
        """
        A client with which nothing is wrong is accepted; it is told whom our
        server trusts if it is to be told, and nobody otherwise.
        """
        shown = identity(ROOT.issue("client@example.com"))
        for sendsTrust in (True, False):
            names = ["Interop Root", "Another Root"] if sendsTrust else []
            server = self.server(sendsTrust)
            for version in self.versions:
                client = self.converse(server, version, shown)
                self.assertEqual(client.returncode, 0, client)
                self.assertIn(SERVER_MESSAGE, client.stdout)
                self.assertRegex(client.stdout + client.stderr, self.named(names))

    def test_refused(self) -> None:
        """
        A client that is refused is told why: its authority is unknown, it has
        expired, its certificate is not for clients, is revoked, may be revoked,
        or has another's signature.
        """
        server = self.server()
        start = 0
        for shown, alert in clients().values():
            for version in self.versions:
                client = self.converse(server, version, shown)
                self.assertEqual(client.returncode, 1, client)
                self.assertNotIn(SERVER_MESSAGE, client.stdout)
                self.assertIn(self.told(alert), client.stdout + client.stderr)
                start = server.waitFor(rf"; alert sent: {alert.name}$", 10, start).end()


class OpenSSLClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with C{openssl s_client}.
    """

    tools = ("openssl",)

    def command(self, version: str, port: int, shown: Identity) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        command = opensslClient(
            port, rootFile(ROOT), certificate=shown.pem, privateKey=shown.pem, version=version
        )
        # That leaves out the names.
        command.remove("-brief")
        return command

    def told(self, alert: TlsAlert) -> str:
        """
        See L{OurServerCase.told}.
        """
        return f"SSL alert number {alert.value}\n"

    def named(self, names: Sequence[str]) -> str:
        """
        See L{OurServerCase.named}.
        """
        if not names:
            return "(?m)^No client certificate CA names sent$"
        return "(?m)^Acceptable client certificate CA names\n" + "".join(
            f"CN = {each}\n" for each in names
        )


class GnuTLSClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with C{gnutls-cli}.
    """

    tools = ("gnutls-cli",)

    def command(self, version: str, port: int, shown: Identity) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        return gnutlsClient(
            port,
            rootFile(ROOT),
            certificate=shown.pem,
            privateKey=shown.pem,
            version=version,
            extra=("--verbose",),
        )

    def told(self, alert: TlsAlert) -> str:
        """
        See L{OurServerCase.told}.
        """
        return f"*** Received alert [{alert.value}]"

    def named(self, names: Sequence[str]) -> str:
        """
        See L{OurServerCase.named}.
        """
        if not names:
            return "(?m)^- Server did not send us any trusted authorities names.$"
        return r"(?m)^- Server's trusted authorities:\n" + "".join(
            rf"   \[{number}\]: CN={each}\n" for number, each in enumerate(names)
        )


class MonoClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with the C{SslStream} of Mono.
    """

    tools = ("mono", "mcs")
    versions = ("1.2",)

    def command(self, version: str, port: int, shown: Identity) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        program = compiled("SampleClient")
        return sampleClient(program, port, rootFile(ROOT), pfxFile=shown.pfx, password=PASSWORD)

    def told(self, alert: TlsAlert) -> str:
        """
        See L{OurServerCase.told}.
        """
        # As BoringSSL calls them.
        protocol = "TLSV1" if alert is TlsAlert.unknown_ca else "SSLV3"
        return f"{protocol}_ALERT_{alert.name.upper()}"

    def named(self, names: Sequence[str]) -> str:
        """
        See L{OurServerCase.named}.  This is what its callback gets.
        """
        issuers = "".join(f"Acceptable issuer: CN={each}\n" for each in names)
        return f"(?m)^Client is selecting a local certificate\\.\n{issuers}(?!Acceptable issuer: )"


class IssuersTests(ForeignCase, SynchronousTestCase):
    """
    Our client chooses among its certificates by whom C{openssl s_server} names.
    """

    tools = ("openssl",)

    def shown(
        self, named: Authority, *certificates: Identity, isRequired: bool = True
    ) -> list[Outcome]:
        """
        Have our client talk to a server that names an authority.

        @return: what became of it in each version.
        """
        server = identity(ROOT.issue("localhost"))
        command = opensslServer(server.pem, server.pem, clientCA=rootFile(named))
        if not isRequired:
            command[command.index("-Verify")] = "-verify"
        tool = self.during(background(command, OPENSSL_SERVER_READY, answers=ANSWER))
        case = {"root": rootFile(ROOT), "port": int(tool.match[1])}
        case["certificates"] = [each.pem for each in certificates]
        return ours(*({**case, "version": version} for version in VERSIONS))

    def test_chosen(self) -> None:
        """
        Of two certificates that one is shown whose authority is named, whichever
        comes first.
        """
        of = {each: identity(each.issue("client@example.com")) for each in (ROOT, OTHER)}
        for named, first, second in (
            (ROOT, ROOT, OTHER),
            (ROOT, OTHER, ROOT),
            (OTHER, ROOT, OTHER),
        ):
            for outcome in self.shown(named, of[first], of[second]):
                self.assertTrue(outcome.isAnswered, outcome)
                self.assertEqual(
                    outcome.shown, named.certificate.subject.rfc4514_string()[len("CN=") :]
                )

    def test_intermediate(self) -> None:
        """
        The authority that is named may be further up.
        """
        other = identity(OTHER.issue("client@example.com"))
        further = identity(SUB.issue("client@example.com"))
        for outcome in self.shown(ROOT, other, further):
            self.assertTrue(outcome.isAnswered, outcome)
            self.assertEqual(outcome.shown, "Interop Authority")

    def test_none(self) -> None:
        """
        Where none of them comes from whom is named none is shown: a server that
        does not insist goes on, and one that does refuses us.
        """
        both = [identity(each.issue("client@example.com")) for each in (ROOT, OTHER)]
        for outcome in self.shown(STRANGER, *both, isRequired=False):
            self.assertTrue(outcome.isAnswered, outcome)
            self.assertEqual(outcome.shown, "")
        for outcome, alert in zip(
            self.shown(STRANGER, *both),
            (TlsAlert.handshake_failure, TlsAlert.certificate_required),
            strict=True,
        ):
            self.assertFalse(outcome.isAnswered, outcome)
            self.assertEqual(outcome.received, alert.name)
