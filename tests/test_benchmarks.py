"""
Tests for L{tests.benchmarks}: its statistics, its tables and its command line;
nothing is timed.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from math import log
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from .benchmarks import check, command, standin, tables
from .benchmarks.children import Watch
from .benchmarks.contestants import CONTESTANTS, Contestant, byName
from .benchmarks.figures import Summary, chanceOfLess, isSlower, ratios
from .benchmarks.issuing import write
from .benchmarks.memory.runs import run as runInMemory
from .benchmarks.peer import Peer
from .benchmarks.plots import SHOWN, panels
from .benchmarks.processes import Turn
from .benchmarks.results import Result, Results
from .benchmarks.rounds import run
from .benchmarks.sockets import jobs
from .benchmarks.targets import TARGETS, Ceiling, Target
from .benchmarks.workloads import MEMORY, MIB, SOCKETS, WARM_UP, WORKLOADS, Workload
from .programs import temporaryDirectory

SEND = WORKLOADS["memory-send-64k"]
OURS = byName("ours")
STOCK = byName("stock")


def resultsOf(*rounds: tuple[str, str, Sequence[float]]) -> Results:
    """
    @param rounds: a workload, a contestant, and the seconds that each round took.
    """
    results = Results("a machine")
    for workload, contestant, all in rounds:
        for seconds in all:
            results.add(workload, contestant, Result(MIB, seconds, 2 * seconds, 3 * 1024))
    return results


class StatisticsTests(SynchronousTestCase):
    """
    Tests for L{tests.benchmarks.figures}.
    """

    def test_summary(self) -> None:
        """
        A summary is the median and the quartiles; one figure is all of them.
        """
        self.assertEqual(Summary.of([5, 1, 4, 2, 3]), Summary(3, 2, 4))
        self.assertEqual(Summary.of([7]), Summary(7, 7, 7))

    def test_summaryOfNothing(self) -> None:
        """
        There is none of no figures.
        """
        with self.assertRaises(ValueError) as caught:
            Summary.of([])
        self.assertEqual(str(caught.exception), "nothing was measured")

    def test_ratios(self) -> None:
        """
        Ratios are those of the rounds: more than one if the tested side is
        cheaper.
        """
        self.assertEqual(ratios([2, 3], [1, 6]), [2, 0.5])

    def test_ratiosOfDifferentRounds(self) -> None:
        """
        Different numbers of rounds cannot be paired.
        """
        with self.assertRaises(ValueError) as caught:
            ratios([1, 2], [1])
        self.assertEqual(str(caught.exception), "2 rounds are not 1")

    def test_chanceOfExtremes(self) -> None:
        """
        Eleven rounds below one are one of all 2048 choices of signs; eleven above
        are the likeliest end.
        """
        below = [0.9 - each / 100 for each in range(11)]
        self.assertEqual(chanceOfLess(below), 1 / 2048)
        self.assertEqual(chanceOfLess([1 / each for each in below]), 1)

    def test_chanceAsCounted(self) -> None:
        """
        The chance is what counting all choices of signs gives, with ties, too.
        """
        for figures in ([0.5, 2, 0.7, 1.1, 0.9], [0.5, 2, 0.5, 1.5, 0.8, 1.25], [0.9, 1, 0.8]):
            self.assertAlmostEqual(chanceOfLess(figures), _counted(figures))

    def test_chanceOfNoDifference(self) -> None:
        """
        Where nothing differs nothing is improbable.
        """
        self.assertEqual(chanceOfLess([1, 1, 1]), 1)

    def test_slower(self) -> None:
        """
        A side that is slower in each of many rounds is slower by more than
        chance; in as many rounds one that is slower in half of them is not, nor
        one that is faster.
        """
        slow = [0.95, 0.9, 0.97, 0.93, 0.96, 0.91, 0.94, 0.92, 0.98, 0.89, 0.88]
        self.assertTrue(isSlower(slow, 20))
        mixed = [each if index % 2 else 1 / each for index, each in enumerate(slow)]
        self.assertFalse(isSlower(mixed, 20))
        self.assertFalse(isSlower([1 / each for each in slow], 20))

    def test_tooFewRounds(self) -> None:
        """
        Three rounds prove nothing, however slow they are, and the more
        comparisons there are the more it takes.
        """
        self.assertFalse(isSlower([0.1, 0.1, 0.1]))
        slow = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
        self.assertTrue(isSlower(slow))
        self.assertFalse(isSlower(slow, 2))


def _counted(figures: Iterable[float]) -> float:
    """
    Wilcoxon's chance, by trying all signs.
    """
    sizes = [abs(log(each)) for each in figures if each != 1]
    isAbove = [each > 1 for each in figures if each != 1]
    ranks = []
    for size in sizes:
        less = sum(other < size - 1e-12 for other in sizes)
        same = sum(abs(other - size) <= 1e-12 for other in sizes)
        ranks.append(less + (same + 1) / 2)
    observed = sum(rank for rank, above in zip(ranks, isAbove, strict=True) if above)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in product((0, 1), repeat=len(ranks))
    ]
    return sum(each <= observed for each in sums) / len(sums)


class ResultsTests(SynchronousTestCase):
    """
    Tests for L{Results}.
    """

    def test_file(self) -> None:
        """
        What was written is read again, and files add up.
        """
        path = temporaryDirectory(self) / "results"
        results = resultsOf((SEND.name, "ours", [1, 2]))
        results.skipped["trio"] = "not installed: trio"
        results.write(path)
        self.assertEqual(json.loads(path.read_text())["machine"], "a machine")
        again = Results()
        again.read(path)
        self.assertEqual(again, results)
        again.read(path)
        self.assertEqual(again.costs(SEND, "ours"), [1024, 2048] * 2)

    def test_ratios(self) -> None:
        """
        Contestants are compared round by round; there is nothing to compare if
        one of them has not run.
        """
        results = resultsOf((SEND.name, "stock", [4, 9]), (SEND.name, "ours", [2, 3]))
        self.assertEqual(results.ratios((SEND, "stock"), (SEND, "ours")), [2, 3])
        self.assertEqual(results.ratios((SEND, "bare"), (SEND, "ours")), [])

    def test_units(self) -> None:
        """
        Costs are seconds for a GiB, microseconds for a message or a handshake, and
        KiB for a connection.
        """
        result = Result(1000, 0.5, 0.6)
        costs = {
            name: (WORKLOADS[name].cost(result), WORKLOADS[name].unit)
            for name in ("memory-echo-1k", "handshake-server-ec")
        }
        self.assertEqual(
            costs,
            {
                "memory-echo-1k": (500, "µs/message"),
                "handshake-server-ec": (500, "µs/handshake"),
            },
        )
        self.assertEqual(SEND.cost(Result(1 << 29, 0.5, 0.6)), 1)
        rest = WORKLOADS["rest-64k"]
        self.assertEqual((rest.cost(replace(result, memory=30.5)), rest.unit[:3]), (30.5, "KiB"))


class WorkloadTests(SynchronousTestCase):
    """
    Tests for L{tests.benchmarks.workloads} and who does them.
    """

    def test_scaled(self) -> None:
        """
        There is always something to do, and it can be shared out among
        connections.
        """
        self.assertEqual(SEND.scaled(0).amount, MIB)
        self.assertEqual(SEND.scaled(0.5).amount, SEND.amount // 2)
        self.assertEqual(WORKLOADS["echo-100b-x1000"].scaled(0.1).amount % 1000, 0)
        self.assertEqual(WORKLOADS["rest-64k"].scaled(9), WORKLOADS["rest-64k"])

    def test_everybodyIsUseful(self) -> None:
        """
        Each workload is done by somebody of ours, each contestant does one, and
        whoever it is compared with is a contestant.
        """
        ours = [each for each in CONTESTANTS if each.package == "ours"]
        for workload in WORKLOADS.values():
            self.assertTrue(any(each.takesPart(workload) for each in ours), workload.name)
        for each in CONTESTANTS:
            self.assertTrue(any(map(each.takesPart, WORKLOADS.values())), each.name)
            self.assertIn(byName(each.base).medium, each.medium)

    def test_sameReactor(self) -> None:
        """
        Ours is compared with Twisted's own on the same reactor, others with that
        on epoll, and a twin with itself.
        """
        bases = {each.name: each.base for each in CONTESTANTS}
        self.assertEqual(bases["ours-uvloop"], "stock-uvloop")
        self.assertEqual(bases["ours"], "stock")
        self.assertEqual(bases["trio"], "stock-epoll")
        self.assertEqual(replace(OURS, name="ours*").base, "ours")

    def test_whoCannot(self) -> None:
        """
        Nobody but us has a callback that waits, or clients that resume by
        themselves; without TLS there is one kind of handshake only.
        """

        def who(name: str) -> set[str]:
            return {each.package for each in CONTESTANTS if each.takesPart(WORKLOADS[name])}

        self.assertEqual(who("handshake-client-ec-waiting"), {"ours"})
        self.assertEqual(who("memory-handshake-client-ec-resumed"), {"ours", "bare"})
        self.assertEqual(who("handshake-client-platform"), {"ours", "stock"})
        self.assertIn("tcp", who("handshake-server-ec"))
        self.assertNotIn("tcp", who("handshake-server-rsa"))

    def test_watch(self) -> None:
        """
        A handicap makes a process need that much more of its processor, and the
        peak of its memory is told.
        """
        watch = Watch()
        self.assertEqual((watch.cpu, watch.wall), (0, 0))
        with watch:
            pass
        result = watch.result(5)
        self.assertEqual(result.amount, 5)
        self.assertGreater(result.peak, 1024)


class JobTests(SynchronousTestCase):
    """
    Tests for L{Job}.
    """

    def setUp(self) -> None:
        """
        Keep what is reported.
        """
        self.reports: list[tuple[str, Result]] = []
        self.patch(jobs, "report", lambda *words: self.reports.append(words))

    def test_receive(self) -> None:
        """
        Receiving is over when all has come: that is reported once, and answered
        with a byte.
        """
        workload = replace(WORKLOADS["receive-64k"], amount=100)
        job = jobs.Job(workload)
        self.assertEqual([job.received(size) for size in (60, 39)], [b"", b""])
        self.assertEqual(self.reports, [])
        self.assertFalse(job.sends or job.echoes)
        self.assertEqual(job.received(1), b"x")
        [(name, result)] = self.reports
        self.assertEqual((name, result.amount), ("receive-64k", 100))

    def test_send(self) -> None:
        """
        Sending begins with the peer's first byte, and is over with its second.
        """
        job = jobs.Job(WORKLOADS["send-16k"])
        self.assertEqual(len(job.chunk), 16 * 1024)
        self.assertTrue(job.sends)
        self.assertEqual(job.received(1), b"")
        self.assertFalse(job.sends)
        self.assertEqual(self.reports, [])
        self.assertEqual(job.received(1), b"")
        self.assertEqual(len(self.reports), 1)

    def test_handshake(self) -> None:
        """
        The first handshakes are not counted, and whoever waits for the end is
        told.
        """
        finished: list[str] = []
        workload = replace(WORKLOADS["handshake-client-ec"], amount=3)
        job = jobs.Job(workload, lambda: finished.append("finished"))
        for _ in range(WARM_UP + 2):
            job.received(1)
        self.assertEqual(finished, [])
        job.received(1)
        self.assertEqual(finished, ["finished"])
        self.assertEqual(self.reports[0][1].amount, 3)

    def test_echo(self) -> None:
        """
        An echo is over with the last byte of the last message.
        """
        job = jobs.Job(replace(WORKLOADS["echo-1k-x10"], amount=2))
        self.assertTrue(job.echoes)
        job.received(2047)
        self.assertEqual(self.reports, [])
        self.assertEqual(job.received(1), b"")
        self.assertEqual(len(self.reports), 1)


class StandInTests(SynchronousTestCase):
    """
    Tests for L{StandIn}.
    """

    def test_can(self) -> None:
        """
        Without a compiler there is still what one connection at a time can show,
        and all that happens in memory.
        """
        self.patch(standin.shutil, "which", lambda name: name)  # type: ignore[attr-defined]
        peer = standin.StandIn(Path("nowhere"))
        able = {name for name, each in WORKLOADS.items() if peer.can(each, "ours")}
        self.assertLessEqual({"send-64k", "echo-1k-x1", "handshake-server-rsa", SEND.name}, able)
        unable = {"rest-fresh", "echo-1k-x10", "handshake-client-ec", "handshake-server-ec-resumed"}
        self.assertFalse(able & unable)
        self.assertFalse(peer.can(WORKLOADS["send-64k"], "tcp"))

    def test_nothing(self) -> None:
        """
        Without OpenSSL's program there is only memory.
        """
        self.patch(standin.shutil, "which", lambda name: None)  # type: ignore[attr-defined]
        peer = standin.StandIn(Path("nowhere"))
        media = {each.medium for each in WORKLOADS.values() if peer.can(each, "ours")}
        self.assertEqual(media, {MEMORY})

    def test_noCompiler(self) -> None:
        """
        It stands in where there is no compiler, and that is told.
        """
        lines: list[str] = []
        # Not trial's patch, which leaves a function in the place of a static method.
        with patch.object(Peer, "compiler", lambda _: None):
            peer = standin.peerIn(Path("nowhere"), lines.append)
        self.assertIsInstance(peer, standin.StandIn)
        self.assertEqual(
            lines,
            ["there is no C compiler for the peer; openssl s_client does what it can"],
        )


class InMemoryTests(SynchronousTestCase):
    """
    Tests for L{tests.benchmarks.memory}.
    """

    def test_everyone(self) -> None:
        """
        Each workload in memory is done, by each contestant that can do it, and
        each checks what it gets.
        """
        credentials = write(temporaryDirectory(self))
        for workload in WORKLOADS.values():
            if workload.medium != MEMORY or workload.settings.trustsPlatform:
                # The platform does not know our root unless it is told so
                # before the process begins.
                continue
            little = workload.scaled(0)
            if workload.kind == "handshake":
                little = replace(little, amount=2)
            for each in CONTESTANTS:
                if each.takesPart(workload):
                    result = runInMemory(each.name, little, credentials)
                    self.assertEqual(result.amount, little.amount)
                    self.assertGreater(result.cpu, 0)


class FakeTurn:
    """
    A contestant that measures nothing.
    """

    def __init__(self, log: list[tuple[str, str]], contestant: Contestant) -> None:
        self._log = log
        self._contestant = contestant

    def measure(self, workload: Workload) -> Result:
        """
        Note it.
        """
        self._log.append((workload.name, self._contestant.name))
        return Result(workload.amount, self._contestant.handicap, 1.0)


class RoundsTests(SynchronousTestCase):
    """
    Tests for L{run}.
    """

    def peerCan(self, workload: Workload) -> bool:
        """
        A peer that can do everything.
        """
        return True

    def runFakes(
        self, contestants: Sequence[Contestant], rounds: int = 2
    ) -> tuple[Results, list[tuple[str, str]], list[str]]:
        """
        Run two workloads.
        """
        log: list[tuple[str, str]] = []
        lines: list[str] = []
        workloads = [SEND, WORKLOADS["memory-echo-1k"]]

        def start(contestant: Contestant, own: Sequence[Workload], stack: ExitStack) -> Turn:
            self.assertEqual(own, [each for each in workloads if self.peerCan(each)])
            return FakeTurn(log, contestant)

        def can(workload: Workload, package: str) -> bool:
            return self.peerCan(workload)

        return run(workloads, contestants, rounds, start, can, lines.append), log, lines

    def test_interleaved(self) -> None:
        """
        In a round each workload is done by all before the next, and who was first
        is last in the next round.
        """
        results, log, lines = self.runFakes([STOCK, OURS])
        send, echo = SEND.name, "memory-echo-1k"
        first = [(send, "stock"), (send, "ours"), (echo, "stock"), (echo, "ours")]
        second = [(send, "ours"), (send, "stock"), (echo, "ours"), (echo, "stock")]
        self.assertEqual(log, first + second)
        self.assertEqual(len(results.rounds(send, "ours")), 2)
        self.assertEqual(lines, ["round 1 of 2", "round 2 of 2"])

    def test_skipped(self) -> None:
        """
        Who is not installed is skipped, with a line that says so.
        """
        missing = replace(OURS, needs=("there_is_no_such_module",))
        results, log, lines = self.runFakes([STOCK, missing], 1)
        self.assertEqual({name for _, name in log}, {"stock"})
        self.assertEqual(results.skipped, {"ours": "not installed: there_is_no_such_module"})
        self.assertEqual(lines[0], "ours is skipped, not installed: there_is_no_such_module")

    def test_noPeer(self) -> None:
        """
        A workload that there is no peer for is skipped, with a line that says so.
        """
        self.patch(self, "peerCan", lambda workload: workload is not SEND)
        results, log, lines = self.runFakes([STOCK], 1)
        self.assertEqual(log, [("memory-echo-1k", "stock")])
        self.assertEqual(lines[0], "memory-send-64k is skipped: nobody can do it")
        self.assertEqual(results.rounds(SEND.name, "stock"), [])


class TablesTests(SynchronousTestCase):
    """
    Tests for L{tables}.
    """

    def test_figures(self) -> None:
        """
        Figures have three digits, or as many as they have before the point.
        """
        figures = [tables.figure(each) for each in (0.12345, 12.345, 123.45, 12345.6)]
        self.assertEqual(figures, ["0.123", "12.3", "123", "12346"])

    def test_costs(self) -> None:
        """
        Each contestant has a line: its cost, its rate by the clock, its ratio and
        its peak.
        """
        results = resultsOf((SEND.name, "stock", [2, 2]), (SEND.name, "ours", [1, 1]))
        lines = tables.costs(results, [SEND], [STOCK, OURS]).splitlines()
        self.assertEqual(
            lines[2:],
            [
                "| memory-send-64k | stock | 2048 (2048-2048) | s/GiB | 0.262 MB/s |  | 3 |",
                "| memory-send-64k | ours | 1024 (1024-1024) | s/GiB | 0.524 MB/s | 2 (2-2) | 3 |",
            ],
        )

    def test_groups(self) -> None:
        """
        Workloads of a kind are beside each other; who did none has no line.
        """
        other = WORKLOADS["memory-send-1k"]
        results = resultsOf(
            (SEND.name, "stock", [2]), (SEND.name, "ours", [1]), (other.name, "stock", [4])
        )
        self.assertEqual(
            tables.groups(results, [other, SEND], CONTESTANTS),
            "| bulk send (in memory), s/GiB | 1k | 64k |\n"
            "| --- | ---: | ---: |\n"
            "| stock | 4096 | 2048 |\n"
            "| ours |  | 1024 (2.00x) |\n",
        )

    def test_rounds(self) -> None:
        """
        A page tells how many rounds there were.
        """
        results = resultsOf((SEND.name, "stock", [1] * 9), (SEND.name, "ours", [1] * 9))
        self.assertIn("a machine; 9 rounds.", tables.page(results, [SEND], CONTESTANTS, ()))
        results.add("rest-64k", "trio", Result(1, 0, 0, memory=1))
        page = tables.page(results, [SEND], CONTESTANTS, ())
        self.assertIn("a machine; 1 to 9 rounds.", page)
        self.assertNotIn("to be reached", page)

    def test_panels(self) -> None:
        """
        What the picture shows is a workload each, with the best last; what was
        not measured is not there.
        """
        name = SHOWN[0]
        results = resultsOf((name, "ours-epoll", [1]), (name, "stock-epoll", [2]))
        [panel] = panels(results, CONTESTANTS)
        self.assertEqual((panel.title, panel.unit), (name, "s/GiB"))
        self.assertEqual([each for each, _ in panel.bars], ["stock-epoll", "ours-epoll"])
        self.assertLessEqual(set(SHOWN), set(WORKLOADS))


class TargetsTests(SynchronousTestCase):
    """
    Tests for L{TARGETS}.
    """

    def test_existing(self) -> None:
        """
        Each is about contestants that do that workload.
        """
        for each in TARGETS:
            self.assertTrue(byName(each.tested).takesPart(WORKLOADS[each.workload]), each)
            if isinstance(each, Target):
                against = WORKLOADS[each.baseWorkload or each.workload]
                self.assertTrue(byName(each.base).takesPart(against), each)

    def test_both(self) -> None:
        """
        There are some for either medium.
        """
        media = {WORKLOADS[each.workload].medium for each in TARGETS}
        self.assertEqual(media, {MEMORY, SOCKETS})

    def test_reached(self) -> None:
        """
        A target is reached when the median of the ratios is its limit, and not
        when it is below.
        """
        target = Target(SEND.name, "ours", "stock", 2.0)
        for seconds, word in (([4.0, 4.0, 1.0], "reached"), ([4.0, 3.9, 1.0], "**not reached**")):
            results = resultsOf((SEND.name, "stock", seconds), (SEND.name, "ours", [2, 2, 2]))
            self.assertIn(f"| {word} |", tables.reached(results, [target]))

    def test_otherWorkload(self) -> None:
        """
        What goes on with a session is compared with what does not.
        """
        target = Target("memory-handshake-client-ec-resumed", "ours", "ours", 2.2, SEND.name)
        results = resultsOf(
            ("memory-handshake-client-ec-resumed", "ours", [MIB / 1e6]), (SEND.name, "ours", [2])
        )
        measured = target.measured(results)
        assert measured is not None
        self.assertEqual(measured.median, 2048)

    def test_ceiling(self) -> None:
        """
        A ceiling is kept by what is at most as high.
        """
        ceiling = Ceiling("rest-64k", "ours-epoll", 30)
        for memory, word in ((30.0, "reached"), (30.1, "**not reached**")):
            results = Results()
            results.add("rest-64k", "ours-epoll", Result(1000, 0, 1, memory=memory))
            row = tables.reached(results, [ceiling]).splitlines()[-1]
            self.assertIn("≤ 30 KiB/connection", row)
            self.assertTrue(row.endswith(f"| {word} |"), row)

    def test_notMeasured(self) -> None:
        """
        What was not measured is neither.
        """
        report = tables.reached(Results(), TARGETS)
        self.assertEqual(report.count("not measured"), len(TARGETS))
        self.assertNotIn("reached", report)


class CheckTests(SynchronousTestCase):
    """
    Tests for L{check}.
    """

    def verdictsOf(self, slowdown: float) -> list[check.Verdict]:
        """
        @param slowdown: what ours takes for each second of Twisted's own.
        """
        noise = [1.0, 1.03, 0.98, 1.01, 0.99, 1.02, 0.97, 1.0, 1.04, 0.96, 1.01]
        results = resultsOf(
            (SEND.name, "stock", noise),
            (SEND.name, "ours", [each * slowdown for each in reversed(noise)]),
        )
        return check.verdicts(results, [SEND, WORKLOADS["memory-echo-1k"]], [STOCK, OURS])

    def test_slower(self) -> None:
        """
        Ours that is a fifth slower than Twisted's own is found out; one that is as
        fast or faster is not.  What was not measured has no verdict.
        """
        [verdict] = self.verdictsOf(1.2)
        self.assertTrue(verdict.isSlower)
        self.assertEqual((verdict.workload, verdict.base), (SEND.name, "stock"))
        self.assertIn("**slower**", check.report([verdict]))
        for slowdown in (1.0, 0.8):
            [verdict] = self.verdictsOf(slowdown)
            self.assertFalse(verdict.isSlower)
            self.assertNotIn("**slower**", check.report([verdict]))

    def test_owing(self) -> None:
        """
        What is known to be slower may not be still slower than it is known for, and
        nothing that is not measured is excused.
        """
        self.assertLessEqual(set(check.OWING), set(check.WORKLOADS.split(",")))
        for workload, limit in check.OWING.items():
            for ratio, expected in ((limit * 1.05, False), (limit * 0.95, True)):
                verdict = check.Verdict.of(workload, "ours", "stock", [ratio] * check.ROUNDS, 12)
                self.assertIs(verdict.isSlower, expected)
                self.assertIn(f" {limit:.2f} ", check.report([verdict]))

    def test_enoughRounds(self) -> None:
        """
        What is checked can fail: all rounds that go one way are less probable
        than what so many comparisons allow.
        """
        comparisons = len(check.WORKLOADS.split(","))
        self.assertTrue(isSlower([0.9] * check.ROUNDS, comparisons))


class CommandTests(SynchronousTestCase):
    """
    Tests for L{command}.
    """

    def runCommand(self, *arguments: str) -> tuple[int, str]:
        """
        @return: its exit status and what it prints.
        """
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                status = command.main(arguments)
            except SystemExit as e:
                status = cast("int", e.code)
        return status, output.getvalue()

    def completed(self, *arguments: str) -> tuple[Any, list[str], list[str]]:
        """
        @return: the options, the workloads' names and the contestants'.
        """
        options = command.parser().parse_args(arguments)
        workloads, contestants = command.complete(options)
        return options, [each.name for each in workloads], [each.name for each in contestants]

    def test_everything(self) -> None:
        """
        By default all is measured by all nine times, but what takes long.
        """
        options, workloads, contestants = self.completed()
        self.assertEqual((options.rounds, options.scale), (9, 1))
        self.assertEqual(contestants, [each.name for each in CONTESTANTS])
        isLong = [name for name in WORKLOADS if name not in workloads]
        self.assertEqual(isLong, [each.name for each in WORKLOADS.values() if each.isLong])
        self.assertTrue(isLong)
        self.assertEqual(self.completed("--long")[1], list(WORKLOADS))
        self.assertEqual(self.completed("-w", "rest-fresh-10000")[1], ["rest-fresh-10000"])

    def test_patterns(self) -> None:
        """
        Workloads and contestants are chosen by patterns.
        """
        _, workloads, contestants = self.completed("-w", "send-*k,echo-64k", "-c", "ours*")
        self.assertEqual(workloads, ["send-1k", "send-16k", "send-64k", "echo-64k"])
        self.assertEqual(contestants, ["ours", "ours-epoll", "ours-asyncio", "ours-uvloop"])

    def test_unknown(self) -> None:
        """
        A pattern that matches nothing is an error, and so is no round at all.
        """
        status, output = self.runCommand("-w", "seend-*")
        self.assertEqual(status, 2)
        self.assertIn("there is no seend-*: see --list", output)
        self.assertEqual(self.runCommand("-r", "0")[0], 2)

    def test_check(self) -> None:
        """
        A check is quick: few workloads, less of them, ours and Twisted's own.
        """
        options, workloads, contestants = self.completed("--check")
        self.assertEqual((options.rounds, options.scale), (check.ROUNDS, check.SCALE))
        self.assertEqual(",".join(sorted(contestants)), "ours,ours-epoll,stock,stock-epoll")
        self.assertEqual(set(workloads), set(check.WORKLOADS.split(",")))

    def test_twin(self) -> None:
        """
        A twin is the same once more, slower if that is wanted.
        """
        options = command.parser().parse_args(["--twin", "stock", "--handicap", "1.5"])
        _, [one, other] = command.complete(options)
        self.assertEqual((one, one.handicap), (STOCK, 1))
        self.assertEqual((other.program, other.base, other.handicap), ("stock", "stock", 1.5))

    def test_documented(self) -> None:
        """
        The documentation has every option, and no other.
        """
        page = Path(__file__).parent.parent / "docs" / "performance.md"
        told = {
            each.split()[0]
            for row in page.read_text().splitlines()
            if row.startswith("| `-")
            for each in re.findall("`(--?[^`]+)`", row.split("|")[1])
        }
        actions = command.parser()._actions
        known = {each for action in actions for each in action.option_strings}
        self.assertEqual(told, known - {"-h", "--help", "--list"})

    def test_list(self) -> None:
        """
        All workloads and contestants are listed.
        """
        status, output = self.runCommand("--list")
        self.assertEqual(status, 0)
        names = [line.split()[0] for line in output.splitlines()]
        self.assertEqual(names, [*WORKLOADS, *(each.name for each in CONTESTANTS)])

    def test_failingCheck(self) -> None:
        """
        The command fails if ours is slower than Twisted's own, and only then.
        """
        for slowdown, expected in ((1.3, 1), (0.7, 0)):
            results = resultsOf(
                (SEND.name, "stock", [1] * 11), (SEND.name, "ours", [slowdown] * 11)
            )
            path = temporaryDirectory(self) / "results"
            results.write(path)
            status, output = self.runCommand("--check", "--from-json", str(path))
            self.assertEqual(status, expected, output)
            self.assertIn("memory-send-64k", output)

    def test_files(self) -> None:
        """
        The results go to a file each, and come from files.
        """
        directory = temporaryDirectory(self)
        path, again, page = (directory / name for name in ("one", "other", "page"))
        resultsOf((SEND.name, "stock", [1]), (SEND.name, "ours", [0.5])).write(path)
        status, output = self.runCommand(
            *("--from-json", str(path), "--json", str(again), "--markdown", str(page), "--targets")
        )
        self.assertEqual(status, 0, output)
        self.assertEqual(again.read_text(), path.read_text())
        text = page.read_text()
        self.assertIn("Measured with a machine; 1 round.\n", text)
        self.assertIn("\n\n| bulk send (in memory), s/GiB | 64k |\n", text)
        self.assertIn("| memory-send-64k | ours | stock | ≥ 2.00 | 2 (2-2) | reached |", text)
        self.assertIn("| memory-send-64k | ours | 512 (512-512) |", output)
