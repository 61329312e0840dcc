"""
C{sslstream serve} in front of nginx and of PostgreSQL, with curl, OpenSSL and psql as clients.

Debian: C{nginx-light}, C{postgresql}.  Both run as private instances: all that they read and write
is in a directory of their own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import serveProcess
from tests.support import AUTHORITY
from txsslstream.testing import Authority, certificatePEM, keyPEM

from ._authority import ForeignCase, newHome, rootFile, stored
from ._services import absent, plainNginx, plainPostgres
from ._tools import LOOPBACK, Background, background, freePort, opensslClient, runTool

#: What nginx serves as C{/large}.
LARGE = "".join(f"{number}\n" for number in range(300_000))


def identityFile(authority: Authority = AUTHORITY, *names: str, uri: str = "") -> str:
    """
    @param uri: its only alternative name, if not C{names}.
    @return: the path of a new certificate with its key.
    """
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if uri:
        name = x509.UniformResourceIdentifier(uri)
        extensions.append((x509.SubjectAlternativeName([name]), False))
    context = authority.issue(*names, extensions=extensions)
    return str(stored(certificatePEM(context) + keyPEM(context), "pem"))


class ServeCase(ForeignCase):
    """
    C{sslstream serve} beside the test.
    """

    def serve(self, *options: str, isTwistd: bool = False) -> Background:
        """
        Run it.
        """
        return self.during(serveProcess(newHome(), *options, isTwistd=isTwistd))

    def terminating(self, target: str, *options: str, isTwistd: bool = False) -> Background:
        """
        Run it with a certificate for C{localhost}.
        """
        own = ("--certificate", identityFile(AUTHORITY, "localhost"))
        return self.serve("--connect", target, *own, *options, isTwistd=isTwistd)

    def told(self, tool: Background, start: int = 0) -> str:
        """
        @return: what it told, in one line, of the next connection.
        """
        pattern = r"\[txsslstream\.forward\.Forwarder#info\] (.*)\n"
        return tool.waitFor(pattern, timeout=15, start=start)[1]


class NginxTests(ServeCase, SynchronousTestCase):
    """
    nginx behind it, and curl in front.
    """

    skip = absent("nginx")
    tools = ("curl", "openssl")

    def setUp(self) -> None:
        """
        Run nginx.
        """
        super().setUp()
        self.port, self.proxied = self.during(plainNginx(LARGE))
        self.target = f"tcp:{LOOPBACK}:{self.port}"

    def curl(self, tool: Background, *arguments: str) -> subprocess.CompletedProcess[str]:
        """
        Fetch something.

        @param arguments: options, and paths, each behind an equals sign.
        """
        return runTool(
            [
                *("curl", "-q", "--noproxy", "*", "-sS", "--max-time", "20"),
                *("--resolve", f"localhost:{tool.match[1]}:{LOOPBACK}"),
                *("--cacert", str(rootFile(AUTHORITY))),
                *(re.sub("^=", f"https://localhost:{tool.match[1]}", each) for each in arguments),
            ]
        )

    def test_fetched(self) -> None:
        """
        What nginx serves arrives whole in either version of TLS, by several
        requests in one connection, too, and the log has a line about that.
        """
        for isTwistd in (False, True):
            tool = self.terminating(self.target, "--alpn", "http/1.1", isTwistd=isTwistd)
            seen = tool.match.end()
            for version in self.versions:
                versions = ("--http1.1", f"--tlsv{version}", "--tls-max", version)
                fetched = self.curl(tool, *versions, "=/large", "=/large")
                self.assertEqual((fetched.returncode, fetched.stderr), (0, ""))
                self.assertTrue(fetched.stdout == 2 * LARGE, len(fetched.stdout))
                line = self.told(tool, seen)
                seen = tool.output().index(line) + len(line)
                told = re.fullmatch(
                    rf"{LOOPBACK}:\d+: \d+ bytes to the target, (\d+) back, \d+\.\d s; "
                    "ended by the client",
                    line,
                )
                assert told is not None, line
                self.assertGreater(int(told[1]), 2 * len(LARGE))

    def test_versions(self) -> None:
        """
        A version that is not permitted is refused, and so is an application
        protocol that is not offered.
        """
        tool = self.terminating(self.target, "--tls", "1.3", "--alpn", "http/1.1")
        fetched = self.curl(tool, "--tls-max", "1.2", "=/who")
        self.assertEqual(fetched.returncode, 35, fetched)
        self.assertIn("alert protocol version", fetched.stderr)
        tool.waitFor(r"refused: .*; alert sent: protocol_version")
        seen = len(tool.output())
        client = opensslClient(int(tool.match[1]), rootFile(AUTHORITY), extra=("-alpn", "h2"))
        self.assertIn("alert no application protocol", runTool(client).stderr)
        tool.waitFor(r"refused: .*; alert sent: no_application_protocol", start=seen)

    def test_address(self) -> None:
        """
        nginx is told who the client is, if it is to be.
        """
        for port, options, isTold in (
            (self.port, (), False),
            (self.proxied, ("--proxy-protocol",), True),
        ):
            tool = self.terminating(f"tcp:{LOOPBACK}:{port}", *options)
            fetched = self.curl(tool, "-w", "%{local_ip} %{local_port}", "=/who")
            self.assertEqual(fetched.returncode, 0, fetched)
            told, own = fetched.stdout.splitlines()
            self.assertIs(told == own, isTold, fetched.stdout)

    def test_letIn(self) -> None:
        """
        Clients are let in by the names in their certificates, each by its kind;
        any other gets the alert bad_certificate, and the log names it.
        """
        spiffe = "spiffe://example.com/web"
        own = {
            "alice": identityFile(AUTHORITY, "alice"),
            "web": identityFile(AUTHORITY, uri=spiffe),
            "host": identityFile(AUTHORITY, "client.example.com"),
        }
        trust = ("--trust", str(rootFile(AUTHORITY)))
        for rule, names in (
            (("--allow-cn", "alice"), {"alice"}),
            (("--allow-dns", "client.example.com"), {"host"}),
            (("--allow-uri", spiffe), {"web"}),
            (("--allow-cn", "alice", "--allow-uri", spiffe), {"alice", "web"}),
            (("--require-client-certificate",), {"alice", "web", "host"}),
        ):
            tool = self.terminating(self.target, *trust, *rule)
            for name, path in own.items():
                seen = len(tool.output())
                fetched = self.curl(tool, "--cert", path, "=/who")
                line = self.told(tool, seen)
                self.assertRegex(line, rf"^{LOOPBACK}:\d+ \(CN=\S+\): ")
                if name in names:
                    self.assertEqual(fetched.returncode, 0, fetched)
                    self.assertIn("ended by the", line)
                else:
                    self.assertNotEqual(fetched.returncode, 0)
                    self.assertEqual(fetched.stdout, "")
                    self.assertIn("alert bad certificate", fetched.stderr)
                    self.assertIn("): refused: its names are not let in", line)

    def test_notAuthenticated(self) -> None:
        """
        Whoever has no certificate, or one of another authority, is refused
        whatever its names.
        """
        trust = ("--trust", str(rootFile(AUTHORITY)), "--allow-cn", "alice")
        tool = self.terminating(self.target, *trust)
        stranger = identityFile(Authority("Stranger"), "alice")
        for options, alert, told in (
            ((), "alert certificate required", ": refused: it has shown no certificate"),
            (("--cert", stranger), "alert unknown ca", r" \(CN=alice\): refused: .*unknown_ca"),
        ):
            seen = len(tool.output())
            fetched = self.curl(tool, *options, "=/who")
            self.assertNotEqual(fetched.returncode, 0)
            self.assertEqual(fetched.stdout, "")
            self.assertIn(alert, fetched.stderr)
            self.assertRegex(self.told(tool, seen), told)

    def test_unreachable(self) -> None:
        """
        Where nginx does not run, clients get an end in order and nothing else.
        """
        tool = self.terminating(f"tcp:{LOOPBACK}:{freePort()}")
        fetched = self.curl(tool, "=/who")
        self.assertEqual((fetched.returncode, fetched.stdout), (52, ""), fetched)
        self.assertIn("; no connection to the target: Connection was refused", self.told(tool))

    def open(self, tool: Background) -> Background:
        """
        @return: a client that is connected, and has asked for nothing yet.
        """
        command = opensslClient(int(tool.match[1]), rootFile(AUTHORITY))
        return self.during(background(command, "^Verification: OK"))

    def assertAnswered(self, client: Background) -> None:
        """
        nginx answers, and the connection ends in order.
        """
        client.send("GET /who HTTP/1.0\r\n\r\n")
        client.waitFor(rf"^{LOOPBACK} \d+$")
        self.assertEqual(client.wait(), 0)

    def issuer(self, tool: Background, authority: Authority) -> bool:
        """
        @return: whether the certificate that is served is an authority's.
        """
        root = ("--cacert", str(rootFile(authority)))
        return self.curl(tool, *root, "=/who").returncode == 0

    def test_renewed(self) -> None:
        """
        A certificate that is renewed on disk is served from then on, by itself or
        at SIGHUP; connections that are open go on.
        """
        renewed = Authority("Renewed")
        own = identityFile(AUTHORITY, "localhost")
        for isAsked in (False, True):
            shown = str(stored(Path(own).read_bytes(), "pem"))
            tool = self.serve("--connect", self.target, "--certificate", shown)
            before = self.open(tool)
            self.assertTrue(self.issuer(tool, AUTHORITY))
            os.replace(identityFile(renewed, "localhost"), shown)
            if isAsked:
                tool.signal(signal.SIGHUP)
            tool.waitFor(f"{shown}: now serving localhost, valid until ")
            self.assertTrue(self.issuer(tool, renewed))
            self.assertFalse(self.issuer(tool, AUTHORITY))
            self.assertAnswered(before)

    def test_terminated(self) -> None:
        """
        At SIGTERM nobody else can come; who is there gets the answers, and then
        the process ends with status 0.
        """
        tool = self.terminating(self.target)
        before = self.open(tool)
        tool.terminate()
        tool.waitFor("1 connections are left to end, for at most 30.0 s")
        self.assertEqual(self.curl(tool, "=/who").returncode, 7)
        self.assertAnswered(before)
        self.assertEqual(tool.wait(10), 0)

    def test_cutOff(self) -> None:
        """
        Who stays too long is cut off, and can tell.
        """
        tool = self.terminating(self.target, "--drain", "0.5")
        before = self.open(tool)
        tool.terminate()
        self.assertEqual(tool.wait(10), 0)
        self.assertIn("; cut off by the shutdown", tool.output())
        self.assertNotEqual(before.wait(), 0)

    def test_idle(self) -> None:
        """
        Who says nothing for too long is cut off as well.
        """
        tool = self.terminating(self.target, "--idle-timeout", "0.5")
        before = self.open(tool)
        self.assertIn("; idle for 0.5 s", self.told(tool))
        self.assertNotEqual(before.wait(), 0)


class PostgresTests(ServeCase, SynchronousTestCase):
    """
    psql, which speaks no TLS then, through one that originates and one that
    terminates TLS, to PostgreSQL.
    """

    skip = absent("initdb", "postgres")
    tools = ("psql",)

    def setUp(self) -> None:
        """
        Run all but psql.
        """
        super().setUp()
        self.socket = self.during(plainPostgres())
        self.database = self.terminating(
            f"unix:{self.socket}",
            *("--trust", str(rootFile(AUTHORITY)), "--allow-cn", "alice", "--tls", "1.3"),
            isTwistd=True,
        )

    def originating(self, name: str) -> Background:
        """
        Run what psql connects to.

        @param name: in its certificate.
        """
        return self.serve(
            *("--originate", "--connect", f"tcp:{LOOPBACK}:{self.database.match[1]}"),
            *("--servername", "localhost", "--trust", str(rootFile(AUTHORITY))),
            *("--certificate", identityFile(AUTHORITY, name)),
        )

    def psql(
        self, tool: Background, *commands: str, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """
        Run commands.
        """
        return runTool(
            [
                *("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"),
                f"host={LOOPBACK} port={tool.match[1]} user=test dbname=postgres "
                "sslmode=disable gssencmode=disable connect_timeout=10",
                *(each for command in commands for each in ("-c", command)),
            ],
            input,
        )

    def test_queries(self) -> None:
        """
        A database is filled and read, much of it in either direction, in one
        connection after the other.
        """
        tool = self.originating("alice")
        rows = "".join(f"{number}\t{'x' * 80}\n" for number in range(20_000))
        made = self.psql(
            tool,
            "create table t (n integer, s text)",
            "copy t from stdin",
            "select count(*), sum(n) from t",
            input=rows,
        )
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        self.assertEqual(made.stdout, "20000|199990000\n")
        read = self.psql(tool, "copy (select * from t order by n) to stdout")
        self.assertEqual((read.returncode, read.stderr), (0, ""))
        self.assertTrue(read.stdout == rows, len(read.stdout))
        # The database's one knows who it was; the other, who has no TLS, does not.
        seen = self.database.match.end()
        self.assertIn(" (CN=alice): ", self.told(self.database, seen))
        self.assertIn(f"{LOOPBACK}:", self.told(tool))

    def test_notLetIn(self) -> None:
        """
        Whoever's certificate is not let in has no database, and psql has no
        connection.
        """
        tool = self.originating("mallory")
        read = self.psql(tool, "select 1")
        self.assertEqual((read.returncode, read.stdout), (2, ""))
        self.assertIn(" (CN=mallory): refused: its names are not let in", self.told(self.database))
        self.assertIn("alert received: bad_certificate", self.told(tool))

    def test_dies(self) -> None:
        """
        A query that is under way when its backend dies fails, as it would
        without anything in between.
        """
        tool = self.originating("alice")
        read = self.psql(tool, "select pg_terminate_backend(pg_backend_pid())")
        self.assertEqual((read.returncode, read.stdout), (2, ""))
        self.assertIn("terminating connection due to administrator command", read.stderr)
