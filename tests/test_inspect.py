"""
Tests for L{txsslstream.inspect}: what C{sslstream inspect} takes, what it prints where, and its
exit status.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from subprocess import CompletedProcess
from typing import TextIO

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslClientAuthenticationOptions, SslProtocols, X509RevocationMode
from txsslstream.__main__ import Options, main
from txsslstream._dialogues import SERVICES
from txsslstream.inspect import (
    EXAMPLES,
    HTTPS_PROTOCOLS,
    InspectOptions,
    endpointFor,
    isColourful,
    runInspect,
    targetOf,
)
from txsslstream.testing import Authority, certificatePEM, keyPEM, pfx

from .interop._tools import LOOPBACK, freePort, runTool
from .programs import (
    environment,
    runSslstream,
    sharedDirectory,
    sharedFile,
    sharedServerProcess,
    temporaryDirectory,
)
from .servers import Script, ServedEndpoint
from .support import AUTHORITY, CLIENT, SERVER, serverOptions


def optionsFor(*arguments: str) -> InspectOptions:
    """
    What the command makes of a command line.
    """
    options = InspectOptions()
    options.parseOptions(arguments)
    return options


class OptionsTests(SynchronousTestCase):
    """
    Tests for L{InspectOptions}.
    """

    def test_defaults(self) -> None:
        """
        A host is enough: a client with the defaults goes to port 443, and offers
        what browsers do.
        """
        plan = optionsFor("example.com").plan
        self.assertEqual((plan.host, plan.port, plan.service, plan.timeout), EXAMPLE)
        expected = SslClientAuthenticationOptions(
            "example.com", applicationProtocols=("h2", "http/1.1"), handshakeTimeout=10
        )
        self.assertEqual(plan.options, expected)

    def test_targets(self) -> None:
        """
        Where to connect to may be a name, in any script, or an address, with a
        port or without.
        """
        for argument, target in (
            ("example.com", ("example.com", None)),
            ("example.com:1", ("example.com", 1)),
            ("bücher.example:8443", ("bücher.example", 8443)),
            ("example.com.", ("example.com.", None)),
            ("192.0.2.1", ("192.0.2.1", None)),
            ("192.0.2.1:65535", ("192.0.2.1", 65535)),
            ("::1", ("::1", None)),
            ("[::1]", ("::1", None)),
            ("[::1]:443", ("::1", 443)),
            ("[fe80::1%eth0]:443", ("fe80::1%eth0", 443)),
            ("2001:db8::1:443", ("2001:db8::1:443", None)),
        ):
            self.assertEqual(targetOf(argument), target)

    def test_badTargets(self) -> None:
        """
        Everything else is wrong usage.
        """
        for argument in (
            *("", ":443", "[::1", "[::1]443", "[::1]:", "[]:443", "[example.com]:443", "[1.2.3.4]"),
            *("example.com:", "example.com:http", "example.com:0", "example.com:65536"),
            *("example.com:1:2", "not..a.name", "https://example.com/", "a b", "-\x00"),
        ):
            self.assertRaises(ValueError, targetOf, argument)
            self.assertRaises(UsageError, optionsFor, "--", argument)

    def test_badUsage(self) -> None:
        """
        Missing, superfluous and unknown arguments are wrong usage, and so are
        values that are none of those there are.
        """
        for arguments in (
            "",
            "one two",
            "host --nonsense",
            "host --starttls telnet",
            "host --starttls",
            "host --tls 1.1",
            "host --revocation always",
            "host --timeout soon",
        ):
            self.assertRaises(UsageError, optionsFor, *arguments.split())
        error = self.assertRaises(SystemExit, main, ["inspect", "host", "--tls", "1.4"])
        self.assertEqual(
            error.code,
            "sslstream inspect: --tls: '1.4' is none of 1.2, 1.3\nTry sslstream inspect --help.",
        )

    def test_options(self) -> None:
        """
        What a client may want is told by options, before and behind the target.
        """
        directory = temporaryDirectory(self)
        root, own = directory / "root.pem", directory / "own.pem"
        root.write_bytes(certificatePEM(AUTHORITY.certificate))
        own.write_bytes(certificatePEM(CLIENT) + keyPEM(CLIENT))
        plan = optionsFor(
            *("--servername", "other.example", "--tls", "1.3", "127.0.0.1:1"),
            *("--revocation", "online", "--trust", str(root), "--certificate", str(own)),
            *("-t", "2.5", "--alpn", "a,b"),
        ).plan
        options = plan.options
        self.assertEqual((plan.host, plan.port, plan.timeout), ("127.0.0.1", 1, 2.5))
        self.assertEqual(options.targetHost, "other.example")
        self.assertIs(options.enabledSslProtocols, SslProtocols.Tls13)
        self.assertIs(options.certificateRevocationCheckMode, X509RevocationMode.Online)
        assert options.trust is not None
        self.assertEqual(options.trust.certificates, (AUTHORITY.certificate,))
        self.assertEqual(options.clientCertificates, (CLIENT,))
        self.assertEqual(options.applicationProtocols, (b"a", b"b"))
        self.assertEqual(options.handshakeTimeout, 2.5)
        offline = optionsFor("host", "--revocation", "offline", "--tls", "1.2").plan.options
        self.assertIs(offline.certificateRevocationCheckMode, X509RevocationMode.Offline)
        self.assertIs(offline.enabledSslProtocols, SslProtocols.Tls12)
        self.assertEqual(optionsFor("host", "--servername", "").plan.options.targetHost, "")
        self.assertEqual(optionsFor("host", "--alpn", "").plan.options.applicationProtocols, ())

    def test_pfx(self) -> None:
        """
        A client's certificate may come from a PKCS#12 file.
        """
        directory = temporaryDirectory(self)
        (directory / "own.pfx").write_bytes(pfx(CLIENT, b"secret"))
        (directory / "password").write_bytes(b"secret\n")
        plan = optionsFor(
            *("host", "--pfx", str(directory / "own.pfx")),
            *("--password-file", str(directory / "password")),
        ).plan
        self.assertEqual(plan.options.clientCertificates, (CLIENT,))

    def test_services(self) -> None:
        """
        A service has its own port and its own application protocols, unless
        others are given.
        """
        for name, service in SERVICES.items():
            plan = optionsFor("host", "--starttls", name).plan
            self.assertIs(plan.service, service)
            self.assertEqual(plan.port, service.port)
            offered = tuple(map(bytes.decode, plan.options.applicationProtocols))  # type: ignore[arg-type]
            self.assertEqual(offered, service.applicationProtocols)
        plan = optionsFor("host:1", "--starttls", "imap", "--alpn", "x").plan
        self.assertEqual((plan.port, plan.options.applicationProtocols), (1, (b"x",)))

    def test_badValues(self) -> None:
        """
        What cannot be used is told in one line, and exits with status 1.
        """
        missing = str(temporaryDirectory(self) / "missing")
        for arguments, line in (
            (("--trust", missing), f"{missing}: No such file or directory"),
            (("--certificate", missing), f"{missing}: No such file or directory"),
            (("--private-key", missing), "--private-key needs --certificate"),
            (("--timeout", "0"), "timeout is a positive number of seconds or None, not 0.0"),
            (("--servername", "not..a.name"), "not a host name: 'not..a.name'"),
        ):
            error = self.assertRaises(SystemExit, optionsFor, "localhost", *arguments)
            self.assertEqual(error.code, f"sslstream inspect: {line}")

    def test_endpoint(self) -> None:
        """
        Addresses are connected to, and names looked up as they are on the wire.
        """
        for argument, host in (
            ("192.0.2.1:1", "192.0.2.1"),
            ("[2001:db8::1]:1", "[2001:db8::1]"),
            ("bücher.example:1", "xn--bcher-kva.example"),
            ("BÜCHER.example:1", "xn--bcher-kva.example"),
        ):
            endpoint = endpointFor(MemoryReactorClock(), optionsFor(argument).plan)
            self.assertEqual(repr(endpoint), f"<HostnameEndpoint {host}:1>")

    def test_completion(self) -> None:
        """
        Shells complete the options, and the values of those that have some.
        """
        completions = io.BytesIO()
        self.patch(Options, "_shellCompFile", completions)
        words = ["inspect", "--", "--_shell-completion", "zsh:3"]
        self.assertRaises(SystemExit, Options().parseOptions, words)
        said = completions.getvalue().decode()
        for option in ("servername", "starttls", "alpn", "tls", "revocation", "json", "trust"):
            self.assertIn(f"--{option}", said)
        self.assertIn(f"({' '.join(SERVICES)})", said)
        self.assertIn("_hosts", said)

    def test_help(self) -> None:
        """
        The help ends with examples, each a command line that is understood.
        """
        usage = InspectOptions().getUsage(80)
        self.assertTrue(usage.endswith(EXAMPLES))
        lines = [each.partition("|")[0] for each in EXAMPLES.splitlines() if "sslstream" in each]
        self.assertEqual(len(lines), 6)
        own = sharedFile("me.pem", certificatePEM(CLIENT) + keyPEM(CLIENT))
        root = sharedFile("roots.pem", certificatePEM(AUTHORITY.certificate))
        for line in lines:
            words = line.replace("me.pem", own).replace("roots.pem", root).replace("'", "").split()
            self.assertEqual(words[:2], ["sslstream", "inspect"])
            optionsFor(*words[2:])


#: What C{example.com} alone means.
EXAMPLE = ("example.com", 443, None, 10.0)


class _Terminal(io.StringIO):
    """
    A terminal.
    """

    def isatty(self) -> bool:
        return True


class RunTests(SynchronousTestCase):
    """
    Tests for L{runInspect} with servers in memory.
    """

    def run_(
        self,
        endpoint: ServedEndpoint,
        *arguments: str,
        output: TextIO | None = None,
        status: int = 0,
    ) -> tuple[str, str]:
        """
        Inspect localhost.

        @return: what was printed, on standard output and on standard error.
        """
        root = sharedFile("root.pem", certificatePEM(AUTHORITY.certificate))
        options = optionsFor("localhost", "--trust", root, *arguments)
        out = io.StringIO() if output is None else output
        err = io.StringIO()
        running = runInspect(endpoint.clock, options, endpoint, out, err)
        finished = Deferred.fromCoroutine(running)
        endpoint.flush()
        self.assertEqual(self.successResultOf(finished), status)
        printed = out.getvalue() if isinstance(out, io.StringIO) else ""
        return printed, err.getvalue()

    def good(self) -> ServedEndpoint:
        """
        @return: where a good server is.
        """
        return ServedEndpoint.authenticating(serverOptions(applicationProtocols=("h2",)))

    def bad(self) -> ServedEndpoint:
        """
        @return: where a server is that nobody trusts.
        """
        certificate = Authority("Stranger").issue("localhost")
        return ServedEndpoint.authenticating(serverOptions(serverCertificate=certificate))

    def absent(self) -> ServedEndpoint:
        """
        @return: where nobody is.
        """
        endpoint = ServedEndpoint(Script)
        endpoint.error = ConnectionRefusedError()
        return endpoint

    def test_text(self) -> None:
        """
        The report goes to standard output, and the status is that of the
        verdict.
        """
        printed, complaints = self.run_(self.good())
        self.assertEqual(complaints, "")
        self.assertTrue(printed.startswith("localhost:443 (192.0.2.1)\n\nConnection\n"))
        self.assertIn("  ALPN                h2\n", printed)
        self.assertTrue(printed.endswith("  ✓ A default client would accept this server.\n"))
        printed, complaints = self.run_(self.bad(), status=1)
        self.assertEqual(complaints, "")
        self.assertTrue(printed.endswith("    It would send the alert unknown_ca.\n"))

    def test_absent(self) -> None:
        """
        Of a server that cannot be reached one line on standard error tells.
        """
        printed, complaints = self.run_(self.absent(), status=2)
        self.assertEqual(printed, "")
        self.assertEqual(
            complaints, "sslstream inspect: localhost:443: Connection was refused by other side.\n"
        )
        endpoint, err = self.absent(), io.StringIO()
        running = runInspect(endpoint.clock, optionsFor("::1"), endpoint, io.StringIO(), err)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(running)), 2)
        self.assertTrue(err.getvalue().startswith("sslstream inspect: [::1]:443: "))

    def test_json(self) -> None:
        """
        JSON is all that is printed, whatever was found out, and is plain ASCII.
        """
        for endpoint, status in ((self.good(), 0), (self.bad(), 1), (self.absent(), 2)):
            printed, complaints = self.run_(endpoint, "--json", status=status)
            self.assertEqual(complaints, "")
            self.assertTrue(printed.isascii())
            told = json.loads(printed)
            self.assertEqual((told["status"], told["host"]), (status, "localhost"))
            self.assertEqual(printed, json.dumps(told, indent=2) + "\n")

    def test_colours(self) -> None:
        """
        Terminals get colours, unless they or the user do without; nothing else
        does.
        """
        files, terminal = io.StringIO(), _Terminal()
        for output, variables, isWanted in (
            (terminal, {}, True),
            (terminal, {"TERM": "xterm", "NO_COLOR": ""}, True),
            (terminal, {"NO_COLOR": "1"}, False),
            (terminal, {"NO_COLOR": "0"}, False),
            (terminal, {"TERM": "dumb"}, False),
            (files, {}, False),
        ):
            self.assertIs(isColourful(output, variables), isWanted, variables)
        self.patch(__import__("os"), "environ", {})
        self.run_(self.good(), output=terminal)
        self.assertIn("\x1b[32m", terminal.getvalue())
        terminal = _Terminal()
        self.run_(self.good(), "--json", output=terminal)
        self.assertNotIn("\x1b", terminal.getvalue())
        self.assertNotIn("\x1b", self.run_(self.good())[0])

    def test_encoding(self) -> None:
        """
        What an output cannot print is escaped, and changes nothing else.
        """
        for encoding in ("ascii", "latin-1"):
            raw = io.BytesIO()
            output = io.TextIOWrapper(raw, encoding=encoding)
            self.run_(self.good(), output=output)
            output.flush()
            self.assertIn(b"\n  \\u2713 A default client would accept", raw.getvalue())

    def test_progress(self) -> None:
        """
        After a second there is a line on standard error about what takes so
        long.
        """
        for arguments in ((), ("--json",)):
            endpoint = ServedEndpoint(Script)
            out, err = io.StringIO(), io.StringIO()
            options = optionsFor("localhost", "-t", "3", *arguments)
            running = runInspect(endpoint.clock, options, endpoint, out, err)
            finished = Deferred.fromCoroutine(running)
            endpoint.clock.advance(0.9)
            self.assertEqual(err.getvalue(), "")
            endpoint.clock.advance(0.1)
            self.assertEqual(err.getvalue(), "sslstream inspect: authenticating ...\n")
            endpoint.clock.advance(2)
            self.assertEqual(self.successResultOf(finished), 2)
            self.assertEqual(bool(out.getvalue()), bool(arguments))


class ProcessTests(SynchronousTestCase):
    """
    Tests for C{python -m txsslstream inspect}, with a server in another process.
    """

    def setUp(self) -> None:
        """
        A server, and what to trust.
        """
        both = certificatePEM(SERVER) + keyPEM(SERVER)
        self.root = sharedFile("root.pem", certificatePEM(AUTHORITY.certificate))
        # Not the one whose lines other tests read.
        self.server = sharedServerProcess("--echo", "--certificate", sharedFile("server.pem", both))

    def inspect(self, host: str, *arguments: str) -> CompletedProcess[str]:
        """
        Inspect the server.
        """
        return runSslstream("inspect", f"{host}:{self.server.port}", *arguments)

    def test_statuses(self) -> None:
        """
        Scripts see by the status what is to be thought of a server.
        """
        for arguments, status in (
            (("localhost", "--trust", self.root), 0),
            ((LOOPBACK, "--trust", self.root), 0),
            ((LOOPBACK, "--trust", self.root, "--servername", "localhost"), 0),
            (("localhost", "--trust", self.root, "--servername", "example.com"), 1),
            (("localhost",), 1),
        ):
            done = self.inspect(*arguments)
            self.assertEqual((done.returncode, done.stderr), (status, ""), done)
            self.assertIn(f"Verdict\n  {'✗' if status else '✓'}", done.stdout)

    def test_json(self) -> None:
        """
        Scripts can read what was found out.
        """
        done = self.inspect("localhost", "--trust", self.root, "--json")
        told = json.loads(done.stdout)
        self.assertEqual(told["address"], LOOPBACK)
        self.assertEqual(told["connection"]["isResumed"], True)
        self.assertEqual(told["certificates"][0]["names"], ["localhost", LOOPBACK])

    def test_unreachable(self) -> None:
        """
        A server that is not there, and one that does not speak TLS, make status
        2 and one line.
        """
        done = runSslstream("inspect", f"{LOOPBACK}:{freePort()}")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(
            done.stderr, rf"\Asslstream inspect: {LOOPBACK}:\d+: Connection was refused .*\n\Z"
        )
        with socket.create_server((LOOPBACK, 0)) as listening:
            port = listening.getsockname()[1]
            done = runSslstream("inspect", f"{LOOPBACK}:{port}", "--timeout", "0.2")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("no end of the handshake within 0.2 s", done.stderr)

    def test_closed(self) -> None:
        """
        Whoever does not want to read it all, or all of the help, has the status
        and no complaint.
        """
        # That takes less time than our beginning.
        script = '{ "$@"; echo $? >&2; } | true'
        for word, status in ((f"localhost:{self.server.port}", 1), ("--help", 0)):
            command = [sys.executable, "-m", "txsslstream", "inspect", word]
            done = runTool(
                ["sh", "-c", script, "sh", *command], environment=environment(sharedDirectory())
            )
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", f"{status}\n"))

    def test_usage(self) -> None:
        """
        Wrong usage is told, and help given.
        """
        done = runSslstream("inspect")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        line, way = done.stderr.splitlines()
        self.assertEqual(line, "sslstream inspect: one HOST[:PORT] is needed, not 0")
        self.assertEqual(way, "Try sslstream inspect --help.")
        done = runSslstream("inspect", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("inspect [options] HOST[:PORT]\n", done.stdout)
        self.assertIn(EXAMPLES, done.stdout)

    def test_alpn(self) -> None:
        """
        What browsers offer is offered.
        """
        self.assertEqual(HTTPS_PROTOCOLS, ("h2", "http/1.1"))
