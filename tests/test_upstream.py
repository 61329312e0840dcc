"""
Twisted's own TLS tests pass with this package's classes in place of the stock
ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent

#: Seconds after which a suite counts as hanging.
LIMIT = 120


class Run:
    """
    One suite, run in a process of its own.

    @ivar exitStatus: trial's.
    @ivar output: all it printed.
    @ivar counts: trial's summary, and how many connections our class was C{made}
        for and how many it has C{handshaken}, by name.
    @ivar exceptions: the tests that did not just pass, by what trial calls it.
    """

    def __init__(self, *arguments: str) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "tests.upstream", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        self.exitStatus = finished.returncode
        self.output = finished.stdout
        ran, summary, carried = re.findall(
            r"^(?:Ran (?=\d)|PASSED|FAILED|carried: ).*", self.output, re.MULTILINE
        )[-3:]
        self.counts = {
            name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", summary + carried)
        }
        self.ran = int(ran.split()[1])
        self.exceptions: dict[str, set[str]] = {}
        for section in re.split(r"^={79}$|^-{79}$", self.output, flags=re.MULTILINE):
            title = re.match(r"\n\[([A-Z]+)\]\n", section)
            if title is not None:
                tests = re.findall(r"^twisted\.[\w.]+$", section, re.MULTILINE)
                self.exceptions.setdefault(title[1], set()).update(tests)


class UpstreamTests(SynchronousTestCase):
    """
    One of Twisted's suites each.
    """

    def suite(self, module: str, leastHandshaken: int) -> None:
        """
        Check that one suite passes on our classes.

        @param leastHandshaken: how many finished handshakes of ours it takes
            for the suite to have shown anything.
        """
        ours = Run(module)
        self.assertGreater(ours.counts["successes"], 0)
        self.assertGreaterEqual(ours.counts["handshaken"], leastHandshaken, ours.output)
        self.assertGreaterEqual(ours.counts["made"], ours.counts["handshaken"])
        exceptions = sum(map(len, ours.exceptions.values()))
        self.assertEqual(ours.ran, ours.counts["successes"] + exceptions, ours.output)
        self.assertEqual(ours.exitStatus, 0, ours.output)
        self.assertLessEqual(set(ours.exceptions), {"SKIPPED"})
        if ours.exceptions:
            stock = Run("--stock", module)
            self.assertEqual(stock.counts["made"], 0)
            self.assertEqual((ours.ran, ours.exceptions), (stock.ran, stock.exceptions))

    def test_protocol(self) -> None:
        """
        C{twisted.protocols.test.test_tls} passes.
        """
        self.suite("twisted.protocols.test.test_tls", 40)

    def test_verification(self) -> None:
        """
        C{twisted.test.test_sslverify} passes.
        """
        self.suite("twisted.test.test_sslverify", 40)

    def test_reactors(self) -> None:
        """
        C{twisted.internet.test.test_tls} passes on every reactor, and skips
        what it skips without us.
        """
        self.suite("twisted.internet.test.test_tls", 100)

    def test_startTLS(self) -> None:
        """
        C{twisted.internet.test.test_newtls} passes on every reactor, and skips
        what it skips without us.
        """
        self.suite("twisted.internet.test.test_newtls", 15)

    def test_reactorSSL(self) -> None:
        """
        C{twisted.test.test_ssl} passes.
        """
        self.suite("twisted.test.test_ssl", 12)

    def test_endpoints(self) -> None:
        """
        C{twisted.internet.test.test_endpoints} passes.
        """
        self.suite("twisted.internet.test.test_endpoints", 6)


class RunTests(SynchronousTestCase):
    """
    The run of a suite tells failure from success.
    """

    def test_failure(self) -> None:
        """
        A module that cannot be imported is an error and a non-zero exit.
        """
        run = Run("twisted.nosuchmodule")
        self.assertNotEqual(run.exitStatus, 0)
        self.assertEqual(run.counts["errors"], 1)
        self.assertEqual(run.counts["made"], 0)

    def test_stock(self) -> None:
        """
        Without the replacement our class carries nothing, so that what it
        carries with it is due to the replacement.
        """
        run = Run("--stock", "twisted.internet.test.test_newtls")
        self.assertEqual(run.exitStatus, 0)
        self.assertGreater(run.counts["successes"], 0)
        self.assertEqual((run.counts["made"], run.counts["handshaken"]), (0, 0))
