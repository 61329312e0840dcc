"""
Certificates that are asked for in mid-conversation, by ours and of ours.

What is ours runs in processes of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from ..support import Authority
from ._authority import ForeignCase, Identity, identity, ours, ourServer, rootFile
from ._ours import Outcome
from ._tools import (
    CLIENT_MESSAGE,
    OPENSSL_SERVER_READY,
    SERVER_MESSAGE,
    Background,
    background,
    gnutlsClient,
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


class GnuTLSTests(ForeignCase, SynchronousTestCase):
    """
    Our server asks C{gnutls-cli}.
    """

    tools = ("gnutls-cli",)

    def test_shown(self) -> None:
        """
        It gets the certificate in TLS 1.3.
        """
        server = self.during(
            ourServer(certificate=SERVER.pem, root=str(rootFile(ROOT)), asksLater=True)
        )
        command = gnutlsClient(
            int(server.match[1]),
            rootFile(ROOT),
            version="1.3",
            certificate=CLIENT.pem,
            privateKey=CLIENT.pem,
            extra=("--post-handshake-auth",),
        )
        client = self.during(background(command, ""))
        client.send(CLIENT_MESSAGE)
        self.assertEqual(server.waitFor(r"^Shown: (.*)$")[1], "CN=client@example.com")
        client.waitFor(re.escape(SERVER_MESSAGE))


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
        self.assertEqual(outcome.shown, "")
        self.assertNotIn("client@example.com", output)
