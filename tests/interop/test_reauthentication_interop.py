"""
Certificates that are asked for in mid-conversation, by ours and of ours.

What is ours runs in processes of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority

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
from .test_interop import run

ROOT = Authority("Later Root")
LOWER = Authority("Later Intermediate", ROOT)
STRANGERS = Authority("Strange Root")
SERVER = identity(ROOT.issue("localhost"))
CLIENT = identity(LOWER.issue("client@example.com"))
STRANGER = identity(STRANGERS.issue("stranger@example.com"))


class OurServerTests(ForeignCase, SynchronousTestCase):
    """
    Our server asks C{openssl s_client} when that has said what it wants.
    """

    tools = ("openssl",)

    def server(self) -> Background:
        """
        @return: our server.
        """
        return self.during(
            ourServer(certificate=SERVER.pem, root=str(rootFile(ROOT)), asksLater=True)
        )

    def answered(self, version: str, shown: Identity | None, *extra: str) -> tuple[str, str, int]:
        """
        @return: what our server says of the client, and what the client says,
            with its exit status.
        """
        server = self.server()
        command = opensslClient(
            int(server.match[1]),
            rootFile(ROOT),
            version=version,
            certificate=shown and shown.pem,
            privateKey=shown and shown.pem,
            chain=shown and rootFile(LOWER),
            extra=extra,
        )
        client = run(command, CLIENT_MESSAGE)
        said = server.waitFor(r"^(Shown|Exception): (.*)$")
        return f"{said[1]}: {said[2]}", client.stdout + client.stderr, client.returncode

    def test_shown(self) -> None:
        """
        It gets the certificate, with its intermediate: in TLS 1.3 after the
        handshake, before by another one.
        """
        for version, extra in (("1.3", ["-enable_pha"]), ("1.2", [])):
            said, output, status = self.answered(version, CLIENT, *extra)
            self.assertEqual(said, "Shown: CN=client@example.com")
            self.assertIn(SERVER_MESSAGE, output)
            self.assertEqual(status, 0, output)

    def test_refused(self) -> None:
        """
        One whose certificate is nobody's, or who has none, is told so.
        """
        for version, extra in (("1.3", ["-enable_pha"]), ("1.2", [])):
            missing = "certificate required" if version == "1.3" else "handshake failure"
            for shown, alert in ((STRANGER, "unknown ca"), (None, missing)):
                said, output, status = self.answered(version, shown, *extra)
                self.assertIn("Exception: ", said)
                self.assertIn(f"alert {alert}", output)
                self.assertNotIn(SERVER_MESSAGE, output)
                self.assertNotEqual(status, 0)

    def test_notOffered(self) -> None:
        """
        Who has not offered it in TLS 1.3 cannot be asked.
        """
        said, output, _ = self.answered("1.3", CLIENT)
        self.assertIn("the client cannot be asked", said)
        self.assertNotIn(SERVER_MESSAGE, output)

    def test_noRenegotiation(self) -> None:
        """
        Before, one that does not renegotiate says so, which is an error at once.
        """
        said, output, _ = self.answered("1.2", CLIENT, "-no_renegotiation")
        self.assertIn("the peer refused the handshake: no renegotiation", said)
        self.assertIn("alert received: no_renegotiation", said)
        self.assertNotIn(SERVER_MESSAGE, output)


class GnuTLSTests(ForeignCase, SynchronousTestCase):
    """
    Our server asks C{gnutls-cli}.
    """

    tools = ("gnutls-cli",)

    def asked(self, version: str, shown: Identity | None, *extra: str) -> tuple[str, Background]:
        """
        @return: what our server says of the client, and that.
        """
        server = self.during(
            ourServer(certificate=SERVER.pem, root=str(rootFile(ROOT)), asksLater=True)
        )
        command = gnutlsClient(
            int(server.match[1]),
            rootFile(ROOT),
            version=version,
            certificate=shown and shown.pem,
            privateKey=shown and shown.pem,
            extra=extra,
        )
        if version == "1.2":
            # With a ticket from the first handshake it insists on one from the
            # second, too (3.7.9).
            (index,) = (i for i, each in enumerate(command) if each.startswith("--priority"))
            command[index] += ":%NO_TICKETS"
        client = self.during(background(command, ""))
        client.send(f"{CLIENT_MESSAGE}\n")
        said = server.waitFor(r"^(Shown|Exception): (.*)$")
        return f"{said[1]}: {said[2]}", client

    def test_shown(self) -> None:
        """
        It gets the certificate, and the conversation goes on.
        """
        for version, extra in (("1.3", ["--post-handshake-auth"]), ("1.2", [])):
            said, client = self.asked(version, CLIENT, *extra)
            self.assertEqual(said, "Shown: CN=client@example.com")
            client.waitFor(re.escape(SERVER_MESSAGE))

    def test_refused(self) -> None:
        """
        One whose certificate is nobody's, or who has none, is told so.
        """
        for version, extra in (("1.3", ["--post-handshake-auth"]), ("1.2", [])):
            missing = "Certificate is required" if version == "1.3" else "Handshake failed"
            for shown, alert in ((STRANGER, "CA is unknown"), (None, missing)):
                said, client = self.asked(version, shown, *extra)
                self.assertIn("Exception: ", said)
                client.waitFor(alert)
                self.assertNotIn(SERVER_MESSAGE, client.output())

    def test_notOffered(self) -> None:
        """
        Who has not offered it in TLS 1.3 cannot be asked.
        """
        said, _ = self.asked("1.3", CLIENT)
        self.assertIn("the client cannot be asked", said)


class RenegotiationTests(ForeignCase, SynchronousTestCase):
    """
    C{openssl s_client} renegotiates with our server (TLS 1.2).
    """

    tools = ("openssl",)

    def renegotiating(self, isAllowed: bool) -> Background:
        """
        @return: the client, which has begun another handshake.
        """
        server = self.during(
            ourServer(certificate=SERVER.pem, options={"allowRenegotiation": isAllowed})
        )
        command = opensslClient(
            int(server.match[1]), rootFile(ROOT), version="1.2", ignoreEOF=False
        )
        client = self.during(background(command, "^CONNECTION ESTABLISHED$"))
        client.send("R\n")
        client.waitFor("^RENEGOTIATING$")
        return client

    def test_allowed(self) -> None:
        """
        It may if that is allowed, and the conversation goes on.
        """
        client = self.renegotiating(True)
        client.send(f"{CLIENT_MESSAGE}\n")
        client.waitFor(re.escape(SERVER_MESSAGE))

    def test_refused(self) -> None:
        """
        By default it may not, and is told.
        """
        self.renegotiating(False).waitFor("no renegotiation")


class OurClientTests(ForeignCase, SynchronousTestCase):
    """
    C{openssl s_server} asks our client when that has said something.
    """

    tools = ("openssl",)

    def answered(
        self,
        version: str,
        command: str,
        *certificates: Identity,
        more: Sequence[str] = (),
        options: Mapping[str, object] | None = None,
    ) -> tuple[Outcome, str]:
        """
        @param command: of C{s_server}, by which it asks.
        @param more: options of its.
        @param options: more options of our client's.
        @return: what became of our client, and what the server says.
        """
        tool = self.during(
            background(
                opensslServer(
                    SERVER.pem,
                    SERVER.pem,
                    version=version,
                    extra=(
                        *("-CAfile", str(rootFile(ROOT)), "-no-CApath", "-no-CAstore"),
                        # A session that goes on would show nothing new.
                        "-no_resumption_on_reneg",
                        *more,
                    ),
                ),
                OPENSSL_SERVER_READY,
                answers=(
                    (re.escape(CLIENT_MESSAGE), f"{command}\n"),
                    # It has got what it wants, or cannot ask.
                    (
                        rf"{re.escape(CLIENT_MESSAGE)}(?s:.*?)(?:depth=0 |extension not received)",
                        f"{SERVER_MESSAGE}\n",
                    ),
                ),
            )
        )
        case = {"port": int(tool.match[1]), "root": rootFile(ROOT), "version": version}
        case["certificates"] = [each.pem for each in certificates]
        (outcome,) = ours({**case, "options": options or {}})
        return outcome, tool.output()

    def test_shown(self) -> None:
        """
        It shows its certificate.
        """
        for version, command, options in (
            ("1.3", "c", {}),
            ("1.2", "R", {"allowRenegotiation": True}),
        ):
            outcome, output = self.answered(version, command, CLIENT, options=options)
            self.assertTrue(outcome.isAnswered, outcome)
            self.assertEqual(outcome.shown, "Later Intermediate")
            self.assertIn("depth=0 CN = client@example.com", output)

    def test_again(self) -> None:
        """
        It shows it again to a server that has asked at first.
        """
        outcome, output = self.answered("1.3", "c", CLIENT, more=("-Verify", "5"))
        self.assertTrue(outcome.isAnswered, outcome)
        self.assertEqual(output.count("depth=0 CN = client@example.com"), 2)

    def test_nothingToShow(self) -> None:
        """
        A client without certificates cannot be asked in TLS 1.3, and goes on.
        """
        outcome, output = self.answered("1.3", "c")
        self.assertIn("extension not received", output)
        self.assertTrue(outcome.isAnswered, outcome)
        self.assertEqual(outcome.shown, "")

    def test_noRenegotiation(self) -> None:
        """
        In TLS 1.2 one that does not allow renegotiation shows nothing, and the
        server is told.
        """
        outcome, output = self.answered("1.2", "R", CLIENT)
        self.assertEqual((outcome.shown, outcome.received), ("", "handshake_failure"))
        self.assertNotIn("client@example.com", output)
        self.assertIn("no renegotiation", output)

    def test_refused(self) -> None:
        """
        A server that does not like what it is shown says so.
        """
        # Servers name their authorities; this one has the name of one.
        impostor = identity(Authority("Later Root").issue("client@example.com"))
        for version, command in (("1.3", "c"), ("1.2", "R")):
            outcome, output = self.answered(
                version,
                command,
                impostor,
                more=("-verify_return_error",),
                options={"allowRenegotiation": True},
            )
            self.assertFalse(outcome.isAnswered, outcome)
            self.assertEqual((outcome.received, outcome.sent), ("unknown_ca", ""))
            self.assertIn("verify error", output)


class GnuTLSServerTests(ForeignCase, SynchronousTestCase):
    """
    C{gnutls-serv} asks our client when that commands it to (TLS 1.3).  Its
    renegotiation in TLS 1.2 does not work with C{gnutls-cli} either.
    """

    tools = ("gnutls-serv",)

    def asked(self, *certificates: Identity) -> Outcome:
        """
        @return: what became of our client.
        """
        port = freePort()
        command = gnutlsServer(SERVER.pem, SERVER.pem, port=port, version="1.3")
        self.during(background(command, GNUTLS_SERVER_READY))
        (outcome,) = ours(
            {
                "port": port,
                "root": rootFile(ROOT),
                "version": "1.3",
                "certificates": [each.pem for each in certificates],
                "command": "**REAUTH**\n",
            }
        )
        return outcome

    def test_shown(self) -> None:
        """
        It shows its certificate.
        """
        outcome = self.asked(CLIENT)
        self.assertTrue(outcome.isAnswered, outcome)
        self.assertEqual(outcome.shown, "Later Intermediate")

    def test_nothingToShow(self) -> None:
        """
        A client without certificates cannot be asked, which this server does not
        expect.
        """
        outcome = self.asked()
        self.assertTrue(outcome.isAccepted, outcome)
        self.assertFalse(outcome.isAnswered, outcome)
        self.assertEqual((outcome.shown, outcome.received), ("", "internal_error"))
