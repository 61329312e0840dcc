"""
Tests for F{docs/testing.md} and for the programs that it shows.
"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslPolicyErrors, X509ChainStatusFlags
from txsslstream.testing import Flaw, MemoryTransport, MisbehavingPeer

from .interop._tools import runTool
from .programs import ROOT, environment, temporaryDirectory
from .test_testing_certificates import FINDINGS

DOCS = ROOT / "docs"
PAGE = (DOCS / "testing.md").read_text()
EXAMPLES = DOCS / "examples" / "testing"

#: How each is run, and how it ends when all is well.
RUNS = {
    "test_trial_example": ((sys.executable, "-m", "twisted.trial"), r"PASSED \(successes=9\)"),
    "test_pytest_twisted_example.py": (
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "^5 passed",
    ),
    "test_asyncio_example": ((sys.executable, "-m", "unittest"), "^Ran 3 tests(.|\n)*^OK$"),
}


def runIn(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """
    Run a program in a directory, to its end.
    """
    return runTool(["env", "-C", str(directory), *command], environment=environment(directory))


class ExampleTests(SynchronousTestCase):
    """
    The examples, as separate programs.
    """

    def setUp(self) -> None:
        self.directory = temporaryDirectory(self) / "examples"
        shutil.copytree(EXAMPLES, self.directory)

    def run_(self, name: str) -> subprocess.CompletedProcess[str]:
        """
        Run an example.
        """
        command, _ = RUNS[name]
        return runIn(self.directory, *command, name)

    def said(self, done: subprocess.CompletedProcess[str]) -> str:
        """
        @return: all that it said.
        """
        return done.stdout + done.stderr

    def test_good(self) -> None:
        """
        Each passes, and complains of nothing.
        """
        for name, (_, ending) in RUNS.items():
            done = self.run_(name)
            self.assertEqual(done.returncode, 0, self.said(done))
            self.assertRegex(self.said(done), re.compile(ending, re.MULTILINE))
            self.assertNotRegex(self.said(done), "Warning|Exception ignored|Traceback")

    def test_bad(self) -> None:
        """
        Each fails if the program under test is wrong.
        """
        program = self.directory / "greeter.py"
        program.write_text(program.read_text().replace("rfc4514_string()", "public_bytes().hex()"))
        for name in RUNS:
            self.assertNotEqual(self.run_(name).returncode, 0, name)

    def test_all(self) -> None:
        """
        There is no example that is not run, and the page shows every one.
        """
        names = {path.name for path in EXAMPLES.glob("*.py")}
        self.assertEqual(names, {"greeter.py", *(f"{Path(name).stem}.py" for name in RUNS)})
        shown = re.findall(r"^```\{literalinclude\} examples/testing/(\S+)$", PAGE, re.MULTILINE)
        self.assertEqual(set(shown), names)


class PageTests(SynchronousTestCase):
    """
    What the page says.
    """

    def test_programs(self) -> None:
        """
        The programs on the page run, and say what they should.
        """
        programs = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        expected = [
            "b'good morning' <Name(CN=client@example.com)>\n",
            "",
            "Tls13 b'half a mess'\nthe connection ended without close_notify",
        ]
        self.assertEqual(len(programs), len(expected))
        directory = temporaryDirectory(self)
        for program, words in zip(programs, expected, strict=True):
            done = runIn(directory, sys.executable, "-c", program)
            self.assertEqual((done.returncode, done.stderr), (0, ""), program)
            self.assertTrue(done.stdout.startswith(words), done.stdout)
        self.assertEqual(
            sorted(path.name for path in directory.glob("*.pem")), ["authority.pem", "server.pem"]
        )

    def test_flaws(self) -> None:
        """
        The table has every flaw, in its words, and what a client says of it.
        """
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
        self.assertEqual(
            [(name, words) for name, words, _ in rows], [(flaw.name, flaw.value) for flaw in Flaw]
        )
        for name, _, findings in rows:
            errors, status, _ = FINDINGS[Flaw[name]]
            said = [each.name for each in X509ChainStatusFlags if each and each in status]
            said += [each.name for each in SslPolicyErrors if each and each in errors]
            said = [each for each in said if each != "RemoteCertificateChainErrors"]
            self.assertEqual(re.findall(r"`(\w+)`", findings), said, name)

    def test_peers(self) -> None:
        """
        The tables have everything that a peer can do wrong, with its parameters.
        """
        rows = re.findall(r"^\| `(\w+)\(([^`]*)\)` \|", PAGE, re.MULTILINE)
        classMethods = {
            name for name, value in vars(MisbehavingPeer).items() if isinstance(value, classmethod)
        }
        described = dict(rows)
        for name in ("loseAt", "damageAt"):
            del described[name]
        self.assertEqual(set(described), classMethods)
        for name, parameters in described.items():
            known = inspect.signature(getattr(MisbehavingPeer, name)).parameters
            said = [each.partition("=")[0] for each in parameters.split(", ") if each]
            self.assertEqual(said, list(known)[: len(said)], name)

    def test_wire(self) -> None:
        """
        What can be done to an end of a wire is there, by its name.
        """
        heading = r"on `pair\.wire\.client`, on `pair\.wire\.server` \|.*\n\|.*\n((?:\|.*\n)+)"
        table = re.findall(heading, PAGE)[0]
        names = re.findall(r"`(\w+)[^`]*`(?=.*\|.*\|)", table)
        self.assertEqual(len(names), 8)
        for name in names:
            self.assertTrue(hasattr(MemoryTransport("x"), name), name)
