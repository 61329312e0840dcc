"""
Sessions that go on between ours and other implementations.

What is ours runs in processes of its own; a client's cases share one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority

from ..programs import temporaryDirectory
from ._authority import ForeignCase, Identity, identity, ours, ourServer, rootFile
from ._ours import Outcome
from ._tools import (
    ANSWER,
    CLIENT_MESSAGE,
    GNUTLS_SERVER_READY,
    OPENSSL_SERVER_READY,
    SERVER_MESSAGE,
    background,
    freePort,
    gnutlsClient,
    gnutlsServer,
    opensslClient,
    opensslServer,
)
from .test_interop import run

ROOT = Authority("Resumption Root")
LOWER = Authority("Resumption Intermediate", ROOT)
SERVER = identity(ROOT.issue("localhost"))
CLIENT = identity(LOWER.issue("client@example.com"))
VERSIONS = ("1.2", "1.3")


class ResumptionCase(ForeignCase):
    """
    Conversations one after the other.
    """

    def conversations(self, port: int, version: str, *certificates: Identity) -> list[Outcome]:
        """
        Have our client talk to a server three times, and once with a trust of
        its own.
        """
        case = {"port": port, "root": rootFile(ROOT), "version": version}
        case["certificates"] = [each.pem for each in certificates]
        # It judges by the same root, but says so in other words.
        other = {**case, "root": SERVER.pem, "options": {"handshakeTimeout": 20}}
        return ours(case, case, case, other)

    def assertGoneOn(self, outcomes: Sequence[Outcome]) -> None:
        """
        All but the first of the like ones have gone on with a session, and been
        judged and shown the same.
        """
        first, *others, stranger = outcomes
        self.assertEqual([each.isResumed for each in (first, *others)], [False, True, True])
        for each in (first, *others):
            self.assertTrue(each.isAccepted, each)
            self.assertTrue(each.isAnswered, each)
            self.assertEqual(each.shown, first.shown)
        self.assertFalse(stranger.isResumed, stranger)


class OpenSSLTests(ResumptionCase, SynchronousTestCase):
    """
    With C{openssl}.
    """

    tools = ("openssl",)

    def server(self, *extra: str, clientCA: Path | None = None) -> int:
        """
        @return: the port of its server.
        """
        command = opensslServer(SERVER.pem, SERVER.pem, clientCA=clientCA, extra=extra)
        return int(self.during(background(command, OPENSSL_SERVER_READY, answers=ANSWER)).match[1])

    def test_ourClient(self) -> None:
        """
        Our client goes on with sessions of its server's.
        """
        for version in VERSIONS:
            self.assertGoneOn(self.conversations(self.server(), version))

    def test_ourClientShown(self) -> None:
        """
        The same with a certificate of the client's.
        """
        for version in VERSIONS:
            port = self.server(clientCA=rootFile(ROOT))
            outcomes = self.conversations(port, version, CLIENT)
            self.assertGoneOn(outcomes)
            self.assertEqual(outcomes[-2].shown, "Resumption Intermediate")

    def test_noTickets(self) -> None:
        """
        The same with a server that remembers sessions itself.
        """
        for version in VERSIONS:
            self.assertGoneOn(self.conversations(self.server("-no_ticket"), version))

    def test_noSessions(self) -> None:
        """
        With a server that lets none go on, each conversation begins anew.
        """
        outcomes = self.conversations(self.server("-no_ticket", "-no_cache"), "1.2")
        self.assertEqual([each.isResumed for each in outcomes], [False] * 4)
        self.assertTrue(all(each.isAnswered for each in outcomes[:3]), outcomes)

    def client(self, port: int, version: str, *extra: str, shown: Identity | None = None) -> str:
        """
        Have its client talk to a server of ours.

        @return: what it says.
        """
        command = opensslClient(
            port,
            rootFile(ROOT),
            version=version,
            extra=extra,
            certificate=shown and shown.pem,
            privateKey=shown and shown.pem,
            chain=shown and rootFile(LOWER),
        )
        # That leaves out whether a session went on.
        command.remove("-brief")
        done = run(command, CLIENT_MESSAGE)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def gone(
        self, shown: Identity | None, versions: Sequence[str] = VERSIONS, **server: object
    ) -> list[tuple[bool, str]]:
        """
        Have its client keep a session, and go on with it.

        @return: for each version, whether its client says that the session went
            on, and what our server says.
        """
        results = []
        for version in versions:
            session = str(temporaryDirectory(self) / "session.pem")
            tool = self.during(ourServer(certificate=SERVER.pem, **server))
            port = int(tool.match[1])
            first = self.client(port, version, "-sess_out", session, shown=shown)
            self.assertIn(SERVER_MESSAGE, first)
            self.assertIn("New, TLSv", first)
            said = tool.waitFor(r"^Resumed: (\w+)$")
            self.assertEqual(said[1], "False")
            if not Path(session).read_bytes():
                raise FileNotFoundError(session)
            second = self.client(port, version, "-sess_in", session, shown=shown)
            self.assertIn(SERVER_MESSAGE, second)
            said = tool.waitFor(r"^Resumed: (\w+)$", start=said.end())
            results.append(("Reused, TLSv" in second, said[1]))
        return results

    def test_ourServer(self) -> None:
        """
        Our server goes on with sessions that its client has kept.
        """
        self.assertEqual(self.gone(None), [(True, "True")] * 2)

    def test_ourServerAsks(self) -> None:
        """
        So it does where it has asked for the client's certificate, with its
        intermediate.
        """
        outcomes = self.gone(CLIENT, root=str(rootFile(ROOT)))
        self.assertEqual(outcomes, [(True, "True")] * 2)

    def test_ourServerDoesNot(self) -> None:
        """
        It does not if it is told not to; in TLS 1.2 there is nothing to keep.
        """
        off = {"allowTlsResume": False}
        self.assertEqual(self.gone(None, versions=("1.3",), options=off), [(False, "False")])
        self.assertRaises(FileNotFoundError, self.gone, None, versions=("1.2",), options=off)

    def test_reconnect(self) -> None:
        """
        C{s_client -reconnect} goes on with one session five times.
        """
        tool = self.during(ourServer(certificate=SERVER.pem))
        said = self.client(int(tool.match[1]), "1.2", "-reconnect")
        self.assertEqual(len(re.findall("^Reused, TLSv1.2", said, re.MULTILINE)), 5, said)
        self.assertEqual(len(re.findall("^New, TLSv1.2", said, re.MULTILINE)), 1, said)


class GnuTLSTests(ResumptionCase, SynchronousTestCase):
    """
    With GnuTLS.
    """

    tools = ("gnutls-cli", "gnutls-serv")

    def test_ourClient(self) -> None:
        """
        Our client goes on with sessions of its server's.
        """
        for version in VERSIONS:
            port = freePort()
            command = gnutlsServer(SERVER.pem, SERVER.pem, port=port, version=version)
            self.during(background(command, GNUTLS_SERVER_READY))
            self.assertGoneOn(self.conversations(port, version))

    def test_ourServer(self) -> None:
        """
        Our server goes on with sessions of its client's.
        """
        for version in VERSIONS:
            tool = self.during(ourServer(certificate=SERVER.pem))
            command = gnutlsClient(
                int(tool.match[1]),
                rootFile(ROOT),
                version=version,
                # In TLS 1.3 it has to wait for a ticket.
                extra=("--resume", "--waitresumption"),
            )
            client = self.during(background(command, ""))
            # It says what it sees when it ends.
            tool.waitFor(r"^Resumed: True$")
            client.send(CLIENT_MESSAGE)
            client.waitFor("This is a resumed session")
            client.waitFor(re.escape(SERVER_MESSAGE))
