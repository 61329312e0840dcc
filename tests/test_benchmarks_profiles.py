"""
Tests for L{tests.benchmarks.profiling} and L{tests.benchmarks.profiles}; nothing is timed.
"""

from __future__ import annotations

import contextlib
import io
import os
import pstats
from collections.abc import Mapping
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from .benchmarks import command, profiles
from .benchmarks.children import PROFILED, Watch
from .benchmarks.contestants import byName
from .benchmarks.figures import chanceOfLess
from .benchmarks.issuing import write
from .benchmarks.memory.runs import run
from .benchmarks.profiles import merged, scaled
from .benchmarks.profiling import REST, begun, partOf, parts
from .benchmarks.results import Result, Results
from .benchmarks.workloads import MIB, WORKLOADS
from .programs import temporaryDirectory

SEND = WORKLOADS["memory-send-64k"]
SITE = "/a/venv/lib/python3.11/site-packages"


def resultsOf(cpu: float, parts: Mapping[str, float] | None) -> Results:
    """
    @return: those of a round in which both have taken so long for a MiB.
    """
    results = Results("a machine")
    for who in ("stock", "ours"):
        found = None if parts is None else dict(parts)
        results.add(SEND.name, who, Result(MIB, cpu, cpu, parts=found))
    return results


class PartTests(SynchronousTestCase):
    """
    What belongs to what.
    """

    def test_partOf(self) -> None:
        """
        Functions of OpenSSL's and of the kernel have a part each, Python's that of
        their file; what is built in belongs to whoever calls it.
        """
        for file, name, part in (
            ("~", "<built-in method _openssl.SSL_do_handshake>", "OpenSSL: SSL_do_handshake"),
            ("~", "<method 'send' of '_socket.socket' objects>", "kernel: send"),
            ("~", "<method 'poll' of 'select.epoll' objects>", "kernel: poll"),
            ("~", "<method 'fileno' of '_socket.socket' objects>", ""),
            ("~", "<built-in method builtins.len>", ""),
            (f"{SITE}/twisted/protocols/tls.py", "write", "twisted/protocols/tls.py"),
            (f"{SITE}/OpenSSL/SSL.py", "send", "OpenSSL/SSL.py"),
            (f"{SITE}/txsslstream/protocol.py", "write", "txsslstream/protocol.py"),
            ("/anywhere/txsslstream/protocol.py", "write", "txsslstream/protocol.py"),
            ("/anywhere/tests/benchmarks/memory/ends.py", "turn", "tests/benchmarks"),
            ("/usr/lib/python3.11/weakref.py", "get", ""),
        ):
            self.assertEqual(partOf((file, 1, name)), part, name)

    def test_measured(self) -> None:
        """
        A process that is told to tells what the time of the workload goes to, and
        another does not.
        """
        credentials = write(temporaryDirectory(self))
        workload = WORKLOADS["memory-handshake-server-ec"].scaled(0.1)
        found = {}
        for isProfiled in ("", "1"):
            with patch.dict(os.environ, {PROFILED: isProfiled}):
                found[isProfiled] = run("ours", workload, credentials)
        self.assertIsNone(found[""].parts)
        measured = found["1"].parts
        assert measured is not None
        self.assertGreater(measured["OpenSSL: SSL_do_handshake"], 0)
        self.assertGreater(measured["txsslstream/authentication.py"], 0)
        self.assertLess(sum(measured.values()), found["1"].cpu)
        # The peer's part is not measured, and so is not in it.
        self.assertNotIn("OpenSSL: SSL_connect", measured)

    def test_callers(self) -> None:
        """
        What is built in is counted where it is called, and nothing is left out.
        """
        profile = begun()
        profile.enable()
        chanceOfLess([1.1, 0.9] * 10)
        profile.disable()
        found = parts(profile)
        self.assertGreater(found["tests/benchmarks"], 0)
        whole = pstats.Stats(profile).total_tt  # type: ignore[attr-defined]
        self.assertAlmostEqual(sum(found.values()), whole)

    def test_notMeasured(self) -> None:
        """
        What is done outside of a L{Watch} is not in its profile.
        """
        with patch.dict(os.environ, {PROFILED: "1"}):
            watch = Watch()
            with watch:
                pass
            sum(range(1_000_000))
        self.assertLess(sum((watch.result(1).parts or {}).values()), 0.01)


class TableTests(SynchronousTestCase):
    """
    What is told of it.
    """

    def test_scaled(self) -> None:
        """
        What is outside Python is as it is, and the rest of the total is shared
        in proportion; nothing is left where that is all.
        """
        found = {"OpenSSL: SSL_read": 4.0, "kernel: recv": 1.0, "a.py": 6.0, "b.py": 2.0}
        expected = {"OpenSSL: SSL_read": 4.0, "kernel: recv": 1.0, "a.py": 3.0, "b.py": 1.0}
        self.assertEqual(scaled(found, 9.0), expected)
        self.assertEqual(scaled(found, 3.0), {**expected, "a.py": 0.0, "b.py": 0.0})
        self.assertEqual(scaled({"kernel: recv": 1.0}, 2.0), {"kernel: recv": 1.0})

    def test_merged(self) -> None:
        """
        What is small for everybody is told together, and what is outside Python
        first.
        """
        costs = {
            "one": {"txsslstream/a.py": 60.0, "txsslstream/b.py": 1.0, "txsslstream/c.py": 0.5},
            "other": {
                "kernel: recv": 30.0,
                "kernel: close": 1.0,
                "OpenSSL: SSL_read": 50.0,
                "twisted/protocols/tls.py": 1.0,
                "OpenSSL/SSL.py": 1.0,
                REST: 1.0,
                "txsslstream/b.py": 40.0,
                "tests/benchmarks": 1.0,
            },
        }
        self.assertEqual(
            merged(costs),
            {
                "OpenSSL: SSL_read": {"other": 50.0},
                "kernel: recv": {"other": 30.0},
                "kernel: others": {"other": 1.0},
                "txsslstream/a.py": {"one": 60.0},
                "txsslstream/b.py": {"one": 1.0, "other": 40.0},
                "Twisted, other files": {"other": 1.0},
                "pyOpenSSL": {"other": 1.0},
                "txsslstream, other files": {"one": 0.5},
                REST: {"other": 2.0},
            },
        )

    def test_page(self) -> None:
        """
        There is a table for each workload that has a profile, in its unit, whatever
        the profile has taken.
        """
        cpu = 2.0 / 1024
        profiled = resultsOf(2 * cpu, {"OpenSSL: SSL_write": cpu / 2, "a.py": 3 * cpu / 2})
        contestants = [byName("stock"), byName("ours")]
        workloads = [SEND, WORKLOADS["memory-send-1k"]]
        text = profiles.page(workloads, resultsOf(cpu, None), profiled, contestants)
        self.assertIn("Measured with a machine.\n", text)
        self.assertTrue(
            text.endswith(
                "\n\n| memory-send-64k, s/GiB | stock | ours |\n| --- | ---: | ---: |\n"
                "| altogether | 2 | 2 |\n| OpenSSL: SSL_write | 1 | 1 |\n| a.py | 1 | 1 |\n"
            ),
            text,
        )

    def test_command(self) -> None:
        """
        The command measures twice, and writes the page; it cannot be had from
        results.
        """
        path = temporaryDirectory(self) / "page"
        printed = io.StringIO()
        arguments = ["-w", "memory-handshake-server-ec", "-c", "ours", "-r", "1", "--scale", "0.1"]
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self.assertEqual(command.main([*arguments, "--profile", str(path)]), 0)
            self.assertRaises(
                SystemExit, command.main, ["--from-json", "x", "--profile", str(path)]
            )
        self.assertIn("\n| OpenSSL: SSL_do_handshake | ", path.read_text())
        self.assertIn("round 1 of 1\nround 1 of 1\n", printed.getvalue())
        self.assertIn("--profile has to measure", printed.getvalue())
