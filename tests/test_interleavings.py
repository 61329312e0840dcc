"""
Tests for L{tests.campaigns.interleavings}: a sample of its runs, that they are the
same each time, and that it finds what is wrong.

All of it is up to who wants it: C{python -m tests.campaigns.interleavings}.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import subprocess
import sys
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import TlsAlert
from txsslstream._deadline import Deadline
from txsslstream._deferreds import Occurrence
from txsslstream._sides import Reader
from txsslstream.authentication import Authentication
from txsslstream.judgement import Judgement
from txsslstream.protocol import SslStreamProtocol
from txsslstream.stream import SslStream

from .campaigns import interleavings
from .campaigns._interleaving_callbacks import Raised
from .campaigns._interleaving_plan import PROFILES, planFor
from .campaigns._interleaving_run import Run, conducted, shrunk

#: What is run here: every change has others in L{interleavings.SHORT}.
SAMPLE = 300


class PlanTests(SynchronousTestCase):
    """
    What a seed leads to.
    """

    def test_same(self) -> None:
        """
        A seed is the same plan each time, and another seed another one.
        """
        for seed in range(50):
            self.assertEqual(planFor(seed), planFor(seed))
            self.assertNotEqual(str(planFor(seed)), str(planFor(seed + 1)))

    def test_complete(self) -> None:
        """
        Among the first plans there are all profiles, both versions, every kind of
        end, every callback, every answer and every way to end.
        """
        plans = [planFor(seed) for seed in range(SAMPLE)]
        ends = [end for plan in plans for end in (plan.client, plan.server)]
        found: dict[str, set[Any]] = {
            "profiles": {plan.profile for plan in plans},
            "versions": {plan.version.name for plan in plans},
            "finales": {plan.finale for plan in plans},
            "kinds": {end.kind for end in ends},
            "callbacks": {each for end in ends for each in end.asks},
            "answers": {each.answer for end in ends for each in end.behaviours},
            "times": {each.when for end in ends for each in end.behaviours},
            "steps": {step.what for plan in plans for step in plan.steps},
        }
        self.assertEqual(found["profiles"], set(PROFILES))
        self.assertEqual(found["versions"], {"Tls12", "Tls13"})
        self.assertEqual(found["finales"], {"orderly", "cut", "abort", "vanish"})
        self.assertEqual(found["kinds"], {"stream", "connected", "push"})
        self.assertEqual(found["callbacks"], {"validation", "selection", "options"})
        self.assertEqual(
            found["answers"], {"accept", "refuse", "nothing", "wrong", "raise", "base"}
        )
        self.assertEqual(
            found["times"], {"now", "fired", "coroutine", "later", "unfriendly", "never"}
        )
        self.assertGreaterEqual(
            found["steps"], {name for steps in PROFILES.values() for name in steps}
        )


class RunTests(SynchronousTestCase):
    """
    The runs.
    """

    def test_sample(self) -> None:
        """
        A few hundred interleavings are as they have to be.
        """
        tally = interleavings.campaign(0, SAMPLE)
        self.assertEqual((tally.runs, tally.failed), (SAMPLE, []))
        for name in ("client: authenticated", "server: authenticated", "read", "write"):
            self.assertGreater(tally.counts[name], SAMPLE // 4, name)
        for name in ("judged: authentication", "judged: everything arrived"):
            self.assertGreater(tally.counts[name], SAMPLE // 8, name)
        # Some callbacks' Deferreds raise when they are cancelled, on purpose.
        self.flushLoggedErrors(Raised)

    def test_same(self) -> None:
        """
        A run happens the same way each time, in another process with other
        hashes, too.
        """
        program = (
            "from tests.campaigns._interleaving_plan import planFor\n"
            "from tests.campaigns._interleaving_run import conducted\n"
            "for seed in range(12):\n"
            "    print(*conducted(planFor(seed), True)[1].lines, sep='\\n')\n"
        )
        lines: list[str] = []
        for seed in range(12):
            lines += conducted(planFor(seed), True)[1].lines or ()
        self.assertGreater(len(lines), 500)
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.decode()
        self.assertEqual(printed.splitlines(), "\n".join(lines).splitlines())
        self.flushLoggedErrors()


class OracleTests(SynchronousTestCase):
    """
    That what is wrong is found.
    """

    def assertFinds(self, words: str, target: type, name: str, instead: Any) -> None:
        """
        Some of the first runs say this when something of the package is otherwise.
        """
        with patch.object(target, name, instead):
            for seed in range(400):
                complaints, _ = conducted(planFor(seed))
                self.flushLoggedErrors()
                if any(words in each for each in complaints):
                    return
        self.fail(f"no run has found it: {words}")

    def test_refusal(self) -> None:
        """
        A refusal that is ignored is found.
        """
        words = "authenticated in spite of"
        self.assertFinds(words, Judgement, "_verdict", lambda *_: None)

    def test_silence(self) -> None:
        """
        A peer that is not told by an alert is found.
        """

        def plainAlert(authentication: Any, alert: TlsAlert) -> bytes:
            authentication._alertSent = alert
            return b""

        self.assertFinds("was not told", Authentication, "_plainAlert", plainAlert)

    def test_timer(self) -> None:
        """
        A timer that is left is found.
        """
        self.assertFinds("a timer is left", Deadline, "end", lambda _: None)

    def test_truncation(self) -> None:
        """
        A truncation that is taken for an orderly end is found.
        """

        def ended(reader: Any, _: object, original: Any = Reader.ended) -> None:
            original(reader, None)

        self.assertFinds("a clean end after", Reader, "ended", ended)

    def test_loss(self) -> None:
        """
        Data that is lost is found.
        """

        def received(reader: Any, data: bytes, original: Any = Reader.received) -> None:
            original(reader, data[1:] or data)

        words = "something else was delivered than was written"
        self.assertFinds(words, Reader, "received", received)

    def test_hanging(self) -> None:
        """
        An operation that never ends is found.
        """
        self.assertFinds("has fired 0 times", Occurrence, "failed", lambda *_: None)

    def test_raising(self) -> None:
        """
        An error that goes to the transport is found.
        """

        def dataReceived(protocol: Any, data: bytes) -> None:
            raise ZeroDivisionError("a mistake")

        words = "raised ZeroDivisionError"
        self.assertFinds(words, SslStreamProtocol, "dataReceived", dataReceived)

    def test_cycle(self) -> None:
        """
        A reference cycle is found.
        """

        def release(judgement: Any) -> None:
            judgement.itself = judgement

        self.assertFinds("still there", Judgement, "release", release)


class ProgramTests(SynchronousTestCase):
    """
    What the program says.
    """

    def test_failure(self) -> None:
        """
        A failure is told with its seed, its steps, a plan with fewer of them, and
        the command that repeats it; the others go on.
        """
        output = io.StringIO()
        with patch.object(Deadline, "end", lambda _: None), contextlib.redirect_stdout(output):
            failed = interleavings.campaign(0, 20, most=1).failed
        self.flushLoggedErrors()
        self.assertGreater(len(failed), 1)
        said = output.getvalue()
        self.assertIn(f"seed {failed[0]} fails:\n  a timer is left", said)
        self.assertIn(str(planFor(failed[0])), said)
        self.assertIn(f"again: python -m tests.campaigns.interleavings --seed {failed[0]}\n", said)
        less = said.partition("less of it:\n")[2]
        self.assertLess(len(less.splitlines()), len(str(planFor(failed[0])).splitlines()))
        self.assertTrue(gc.isenabled())

    def test_shrunk(self) -> None:
        """
        A plan is made smaller as long as it fails in the same way.
        """

        def resumeNever(reader: Any) -> None:
            raise ZeroDivisionError("a mistake")

        plan = planFor(0)
        with patch.object(SslStream, "whenClosed", resumeNever):
            complaint = "whenClosed raised ZeroDivisionError: a mistake"
            self.assertIn(complaint, conducted(plan)[0])
            less = shrunk(plan, complaint)
        self.assertEqual(less.steps, ())
        self.assertEqual(less.client, plan.client)
        self.flushLoggedErrors()

    def test_interrupted(self) -> None:
        """
        A campaign can end before its end, with what was done.
        """
        ends = iter((False, False, True))
        tally = interleavings.campaign(0, 10, isOver=lambda: next(ends))
        self.assertEqual(tally.runs, 2)
        self.flushLoggedErrors()

    def test_verbose(self) -> None:
        """
        One run is told with all that happens; by default nothing of it is kept.
        """
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertTrue(interleavings.one(1))
        self.flushLoggedErrors()
        self.assertTrue(output.getvalue().startswith(str(planFor(1))))
        self.assertTrue(output.getvalue().endswith("as it has to be\n"))
        self.assertIsNone(Run(planFor(1)).lines)
