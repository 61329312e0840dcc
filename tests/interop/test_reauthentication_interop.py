"""
Certificates that are asked for in mid-conversation, and renegotiation, between
ours and other implementations.

What is ours runs in processes of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ..support import Authority
from ._authority import ForeignCase, Identity, identity, ours, ourServer, rootFile
from ._ours import Outcome
from ._tools import (
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
)

ROOT = Authority("Asking Root")
LOWER = Authority("Asking Intermediate", ROOT)
SERVER = identity(ROOT.issue("localhost"))
CLIENT = identity(LOWER.issue("client@example.com"))
#: By an authority that only has the same name: servers name theirs.
STRANGER = identity(Authority("Asking Root").issue("stranger@example.com"))
VERSIONS = ("1.2", "1.3")

#: How C{openssl} and GnuTLS show the alerts that they get.
UNKNOWN_CA = r"alert unknown ca|CA is unknown"
NO_CERTIFICATE = {
    "1.2": r"alert handshake failure|Handshake failed",
    "1.3": r"alert certificate required|Certificate is required",
}


class OurServerCase(ForeignCase):
    """
    A foreign client that our server asks.
    """

    def client(
        self, port: int, version: str, shown: Identity | None, isAskable: bool = True
    ) -> list[str]:
        """
        @param shown: what it has to show.
        @param isAskable: whether it lets itself be asked.
        @return: the client, which keeps its side open.
        """
        raise NotImplementedError

    def conversation(
        self, version: str, shown: Identity | None, isAskable: bool = True, **server: Any
    ) -> tuple[Background, Background]:
        """
        @return: our server and the client, which has said what it wants.
        """
        tool = self.during(
            ourServer(asks=True, certificate=SERVER.pem, root=rootFile(ROOT), **server)
        )
        command = self.client(int(tool.match[1]), version, shown, isAskable)
        client = self.during(background(command, ""))
        client.send(f"{CLIENT_MESSAGE}\n")
        tool.waitFor(re.escape(f"Received: {CLIENT_MESSAGE}"))
        return tool, client

    def test_asked(self) -> None:
        """
        It shows its certificate with the intermediate, and the conversation goes
        on.
        """
        for version in VERSIONS:
            tool, client = self.conversation(version, CLIENT)
            self.assertEqual(tool.waitFor(r"^Asked: (.*)$")[1], "CN=client@example.com")
            client.waitFor(re.escape(SERVER_MESSAGE))

    def test_stranger(self) -> None:
        """
        A certificate of another authority is refused, and the client is told.
        """
        for version in VERSIONS:
            tool, client = self.conversation(version, STRANGER)
            said = tool.waitFor(r"^Exception: (.*)$")[1]
            self.assertIn("the remote certificate is invalid", said)
            self.assertIn("alert sent: unknown_ca", said)
            client.waitFor(UNKNOWN_CA)
            self.assertNotIn(SERVER_MESSAGE, client.output())

    def test_nothing(self) -> None:
        """
        So is a client that has nothing to show.
        """
        for version in VERSIONS:
            tool, client = self.conversation(version, None)
            said = tool.waitFor(r"^Exception: (.*)$")[1]
            self.assertIn("peer did not return a certificate", said)
            client.waitFor(NO_CERTIFICATE[version])
            self.assertNotIn(SERVER_MESSAGE, client.output())

    def test_notAskable(self) -> None:
        """
        In TLS 1.3, one that does not let itself be asked is not, and the
        conversation goes on.
        """
        tool, client = self.conversation("1.3", CLIENT, False)
        said = tool.waitFor(r"^Asked: (.*)$")[1]
        self.assertIn("NotSupportedError: the client cannot be asked", said)
        client.waitFor(re.escape(SERVER_MESSAGE))


class OpenSSLClientTests(OurServerCase, SynchronousTestCase):
    """
    C{openssl s_client}.
    """

    tools = ("openssl",)

    def client(
        self, port: int, version: str, shown: Identity | None, isAskable: bool = True
    ) -> list[str]:
        """
        See L{OurServerCase}.
        """
        extra = {
            ("1.2", True): (),
            ("1.2", False): ("-no_renegotiation",),
            ("1.3", True): ("-enable_pha",),
            ("1.3", False): (),
        }[version, isAskable]
        return opensslClient(
            port,
            rootFile(ROOT),
            version=version,
            certificate=shown and shown.pem,
            privateKey=shown and shown.pem,
            chain=shown and rootFile(LOWER),
            extra=extra,
        )

    def test_noRenegotiation(self) -> None:
        """
        Before TLS 1.3, a client that does not renegotiate says so, which is an
        error at once.
        """
        tool, client = self.conversation("1.2", CLIENT, False)
        said = tool.waitFor(r"^Exception: (.*)$")[1]
        self.assertIn("the peer refused the handshake: no renegotiation", said)
        self.assertIn("alert received: no_renegotiation", said)
        client.waitFor("alert handshake failure")

    def renegotiating(self, isAllowed: bool) -> tuple[Background, Background]:
        """
        @return: our server and the client, which has begun another handshake.
        """
        tool = self.during(
            ourServer(certificate=SERVER.pem, options={"allowRenegotiation": isAllowed})
        )
        # With standard input open, this is about the commands.
        command = opensslClient(int(tool.match[1]), rootFile(ROOT), version="1.2", ignoreEOF=False)
        client = self.during(background(command, "^CONNECTION ESTABLISHED$"))
        client.send("R\n")
        client.waitFor("^RENEGOTIATING$")
        return tool, client

    def test_clientRenegotiates(self) -> None:
        """
        A client that renegotiates may, if it may.
        """
        tool, client = self.renegotiating(True)
        client.send(f"{CLIENT_MESSAGE}\n")
        client.waitFor(re.escape(SERVER_MESSAGE))
        tool.waitFor(re.escape(f"Received: {CLIENT_MESSAGE}"))

    def test_clientMayNotRenegotiate(self) -> None:
        """
        If not, it is told.
        """
        _, client = self.renegotiating(False)
        client.waitFor("no renegotiation")


class GnuTLSClientTests(OurServerCase, SynchronousTestCase):
    """
    C{gnutls-cli}.
    """

    tools = ("gnutls-cli",)

    def client(
        self, port: int, version: str, shown: Identity | None, isAskable: bool = True
    ) -> list[str]:
        """
        See L{OurServerCase}.
        """
        command = gnutlsClient(
            port,
            rootFile(ROOT),
            version=version,
            certificate=shown and shown.pem,
            privateKey=shown and shown.pem,
            extra=("--post-handshake-auth",) if isAskable and version == "1.3" else (),
        )
        # A client of GnuTLS' that has got a ticket in the first handshake believes
        # that it will get one in the second, too.
        return [
            f"{each}:%NO_TICKETS" if each.startswith("--priority") and version == "1.2" else each
            for each in command
        ]


class OurClientCase(ForeignCase):
    """
    A foreign server that asks our client.
    """

    def outcome(
        self, port: int, version: str, shown: Sequence[Identity] = (), **case: Any
    ) -> Outcome:
        """
        Have our client talk to it.
        """
        (outcome,) = ours(
            {
                "port": port,
                "root": rootFile(ROOT),
                "version": version,
                "certificates": [each.pem for each in shown],
                **case,
            }
        )
        return outcome

    def assertShown(self, outcome: Outcome, issuer: str) -> None:
        """
        The conversation was had, and at the end of it, but not before, a
        certificate by this issuer was shown.
        """
        self.assertTrue(outcome.isAccepted, outcome)
        self.assertTrue(outcome.isAnswered, outcome)
        self.assertEqual((outcome.shown, outcome.shownLater), ("", issuer))


class OpenSSLServerTests(OurClientCase, SynchronousTestCase):
    """
    C{openssl s_server}, with its commands.
    """

    tools = ("openssl",)

    def server(self, command: str, *extra: str) -> tuple[Background, int]:
        """
        @param command: what it does when it has heard the client.
        @return: the server, and its port.
        """
        options = ("-no-CApath", "-no-CAstore", "-CAfile", str(rootFile(ROOT)))
        tool = self.during(
            background(
                opensslServer(
                    SERVER.pem, SERVER.pem, extra=(*options, "-verify_return_error", *extra)
                ),
                OPENSSL_SERVER_READY,
                answers=(
                    (re.escape(CLIENT_MESSAGE), f"{command}\n"),
                    # When it knows the client, or knows that it will not.
                    (r"^depth=0 .*\nverify return:1$", f"{SERVER_MESSAGE}\n"),
                    ("extension not received", f"{SERVER_MESSAGE}\n"),
                ),
            )
        )
        return tool, int(tool.match[1])

    def test_postHandshake(self) -> None:
        """
        In TLS 1.3 our client shows its certificate when it is asked (C{c}).
        """
        tool, port = self.server("c")
        self.assertShown(self.outcome(port, "1.3", [CLIENT]), "Asking Intermediate")
        tool.waitFor(r"^depth=0 CN = client@example.com$")

    def test_notOffered(self) -> None:
        """
        One that has nothing to show has not offered to be asked.
        """
        _, port = self.server("c")
        self.assertShown(self.outcome(port, "1.3"), "")

    def test_renegotiation(self) -> None:
        """
        In TLS 1.2 it does so in another handshake (C{R}), if that is allowed.
        """
        tool, port = self.server("R", "-no_resumption_on_reneg")
        outcome = self.outcome(port, "1.2", [CLIENT], options={"allowRenegotiation": True})
        self.assertShown(outcome, "Asking Intermediate")
        tool.waitFor(r"^depth=0 CN = client@example.com$")

    def test_noRenegotiation(self) -> None:
        """
        By default it is not, and the server is told.
        """
        tool, port = self.server("R", "-no_resumption_on_reneg")
        outcome = self.outcome(port, "1.2", [CLIENT])
        self.assertTrue(outcome.isAccepted, outcome)
        self.assertFalse(outcome.isAnswered, outcome)
        self.assertEqual((outcome.shownLater, outcome.received), ("", "handshake_failure"))
        tool.waitFor("no renegotiation")

    def test_refused(self) -> None:
        """
        A server that does not like what it is shown says so.
        """
        for version, command in (("1.3", "c"), ("1.2", "R")):
            _, port = self.server(command, "-no_resumption_on_reneg")
            outcome = self.outcome(port, version, [STRANGER], options={"allowRenegotiation": True})
            self.assertTrue(outcome.isAccepted, outcome)
            self.assertFalse(outcome.isAnswered, outcome)
            self.assertEqual((outcome.received, outcome.sent), ("unknown_ca", ""))


class GnuTLSServerTests(OurClientCase, SynchronousTestCase):
    """
    C{gnutls-serv}, whose clients may command it.  (Its renegotiation in TLS 1.2
    does not work with its own client either.)
    """

    tools = ("gnutls-serv",)

    def reauthenticated(self, *shown: Identity) -> Outcome:
        """
        Have it ask our client.
        """
        port = freePort()
        command = gnutlsServer(SERVER.pem, SERVER.pem, port=port, version="1.3")
        self.during(background(command, GNUTLS_SERVER_READY))
        return self.outcome(port, "1.3", shown, first="**REAUTH**\n")

    def test_postHandshake(self) -> None:
        """
        Our client shows its certificate when it is asked.
        """
        self.assertShown(self.reauthenticated(CLIENT), "Asking Intermediate")

    def test_notOffered(self) -> None:
        """
        One that has nothing to show has not offered to be asked, which this server
        does not expect.
        """
        outcome = self.reauthenticated()
        self.assertTrue(outcome.isAccepted, outcome)
        self.assertFalse(outcome.isAnswered, outcome)
        self.assertEqual((outcome.shownLater, outcome.received), ("", "internal_error"))
