"""
Tests for L{tests.campaigns.soak}: that connections leave nothing behind, and that a soak sees what
grows.

The traffic itself takes minutes; see the commands on the page.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.testing import StringTransport
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslStream
from txsslstream._deadline import Deadline
from txsslstream.sessions import SessionCache, sessions

from .campaigns import _soak_page, leaks
from .campaigns.soaking import leaving, sampling
from .campaigns.soaking.forms import FORMS
from .campaigns.soaking.material import data
from .campaigns.soaking.member import Complaints, Member
from .campaigns.soaking.rounds import ROUND
from .campaigns.soaking.trend import (
    LIMITS,
    Sample,
    growing,
    newcomers,
    slope,
    tooMany,
    trends,
)
from .files import FilesMixin
from .programs import ROOT
from .watching import ReadingClock


class LeavingTests(SynchronousTestCase):
    """
    Connections while the garbage collector is disabled.
    """

    def test_nothing(self) -> None:
        """
        They leave nothing, however they end.
        """
        found = leaving.inMemory(330)
        self.assertEqual(found["left"], {})
        self.assertEqual(set(found["connections"]), {each.__name__ for each in FORMS})
        self.assertEqual(sum(found["connections"].values()), 330)

    def test_kept(self) -> None:
        """
        Streams that somebody keeps are found, and so is all that they keep.
        """
        kept: list[SslStream] = []
        original = SslStream.__init__

        def keep(stream: SslStream, *arguments: Any, **named: Any) -> None:
            original(stream, *arguments, **named)
            kept.append(stream)

        self.patch(SslStream, "__init__", keep)
        left = leaving.inMemory(22)["left"]
        self.assertEqual(left["txsslstream.stream.SslStream"], 44)
        self.assertEqual(left["SslStream of success"], 4)
        self.assertEqual(left["OpenSSL.SSL.Connection"], 44)

    def test_timers(self) -> None:
        """
        Timers that nobody cancels are found.
        """
        self.patch(leaving, "_timers", [])
        self.patch(Deadline, "end", lambda _: None)
        left = leaving.inMemory(22)["left"]
        self.assertEqual(left["timer of success"], 4)

    def test_cycles(self) -> None:
        """
        What only the collector would find is found.
        """
        original = SslStream._innerLost

        def lost(stream: Any, reason: Any) -> None:
            original(stream, reason)
            stream._outer = stream

        self.patch(SslStream, "_innerLost", lost)
        found = leaving.inMemory(22)
        self.assertEqual(found["left"]["SslStream of truncated"], 4)
        self.assertGreater(found["collected"], 44)


def went(*values: float, name: str = "streams") -> list[Sample]:
    """
    @return: samples of one figure, 10 seconds and 1000 connections apart.
    """
    return [Sample(at * 10, at * 1000, {name: value}) for at, value in enumerate(values)]


class TrendTests(SynchronousTestCase):
    """
    What is flat.
    """

    def test_slope(self) -> None:
        """
        The slope is the median of all slopes: one outlier does not change it.
        """
        self.assertEqual(slope([(0, 1), (1, 3), (2, 5), (3, 7)]), 2)
        self.assertEqual(slope([(0, 1), (1, 3), (2, 99), (3, 7), (4, 9)]), 2)

    def test_noise(self) -> None:
        """
        What goes up and down is flat, and so is what has grown in the warm-up.
        """
        random = Random(1)
        noise = [100 + random.gauss(0, 3) for _ in range(100)]
        found = trends(went(*noise, name="timers"))
        self.assertTrue(found["timers"].isFlat)
        self.assertEqual(growing(found), [])
        grown = trends(went(*range(20), *[20] * 80))["streams"]
        self.assertEqual((grown.start, grown.end, grown.growth), (20, 20, 0))

    def test_growth(self) -> None:
        """
        What grows is told with its slopes: one in a thousand connections, below
        noise that is greater.
        """
        random = Random(1)
        found = trends(went(*(at + random.gauss(0, 3) for at in range(100)), name="timers"))
        self.assertFalse(found["timers"].isFlat)
        self.assertEqual(round(found["timers"].perTenThousand), 10)
        self.assertEqual(round(found["timers"].perHour / 360, 1), 1)
        (line,) = growing(found)
        self.assertRegex(line, r"^timers grows by 7\d\.\d, from .* per 10,000 connections, limit 8")

    def test_limits(self) -> None:
        """
        Each limit is one of a figure that there is, and at it a figure is not flat.
        """
        figures, _ = sampling.sample(ReadingClock())
        self.assertLessEqual(set(LIMITS), set(figures))
        for growth, isFlat in ((7.9, True), (8.1, False)):
            found = trends(went(*(at * growth / 79 for at in range(100)), name="timers"))
            self.assertEqual(found["timers"].isFlat, isFlat)

    def test_ceilings(self) -> None:
        """
        What does not grow and is too much is told, too.
        """
        found = trends(went(*[13] * 10))
        padding = dict.fromkeys(figures(), found["streams"])
        self.assertNotIn("streams", " ".join(tooMany(padding, 13)))
        self.assertIn("streams: 13, more than 0 at rest with 12 connections", tooMany(padding, 12))

    def test_newcomers(self) -> None:
        """
        The types of which there are more are told, those with most first.
        """
        self.assertEqual(
            newcomers({"a": 1, "b": 5, "c": 9}, {"a": 2, "b": 9, "c": 3, "d": 2}),
            [("b", 4), ("d", 2), ("a", 1)],
        )


def figures() -> set[str]:
    """
    @return: the names of all figures.
    """
    return set(sampling.sample(ReadingClock())[0])


class SamplingTests(SynchronousTestCase):
    """
    What is counted.
    """

    def test_counted(self) -> None:
        """
        Each type whose objects are counted is there.
        """
        for name in sampling.COUNTED:
            module, _, kind = name.rpartition(".")
            self.assertTrue(hasattr(__import__(module, fromlist=[kind]), kind), name)

    def test_timers(self) -> None:
        """
        A timer more is one more.
        """
        clock = ReadingClock()
        before, _ = sampling.sample(clock)
        clock.callLater(1, len, "")
        after, _ = sampling.sample(clock)
        self.assertEqual(after["timers"] - before["timers"], 1)
        self.assertGreater(after["resident memory, MiB"], 1)
        self.assertGreater(after["objects known to the collector"], 1000)

    def test_overLimit(self) -> None:
        """
        A cache that holds more than it may is told.
        """
        self.addCleanup(sessions.clear)
        sessions.clear()
        nothing: Any = None
        for number in range(SessionCache.LIMIT):
            sessions.keep(number, nothing)
        self.assertEqual(sampling.overLimit(), [])
        self.patch(SessionCache, "LIMIT", 1000)
        sessions.keep("one more", nothing)
        self.patch(SessionCache, "LIMIT", 500)
        self.assertEqual(sampling.overLimit(), ["sessions for 501 purposes, more than 500"])


class MemberTests(SynchronousTestCase):
    """
    A process that is asked.
    """

    def test_complaints(self) -> None:
        """
        Warnings and errors are kept, and counted; information and what is done on
        purpose are not.
        """
        complaints = Complaints()
        self.addCleanup(complaints.close)
        log = Logger()
        log.info("never mind")
        log.error("raised on purpose")
        for _ in range(2):
            log.warn("a {thing}", thing="surprise")
        self.assertEqual(complaints.counts, {"a surprise": 2})

    def test_asked(self) -> None:
        """
        It answers with JSON, and with a sample if asked for one.
        """
        member = Member(ReadingClock(), {"double": lambda number: succeed(2 * number)})
        self.addCleanup(member.complaints.close)
        member.makeConnection(StringTransport())
        transport: Any = member.transport
        member.dataReceived(b'["double", [4]]\n')
        self.assertEqual(json.loads(transport.value()), 8)
        transport.clear()
        member.dataReceived(b'["sample", [true]]\n')
        said = json.loads(transport.value())
        self.assertEqual(said["complaints"], {})
        self.assertEqual(said["first"], said["types"])
        self.assertIn("timers", said["figures"])

    def test_data(self) -> None:
        """
        What is sent is always the same, and as long as is said.
        """
        self.assertEqual(data(5, 100), data(0, 200)[5:105])
        self.assertEqual(len(data(2 << 20, 4 << 20)), 4 << 20)


class LeaksTests(FilesMixin, SynchronousTestCase):
    """
    Copies of the package with leaks.
    """

    def test_places(self) -> None:
        """
        Each leak has its place in the package.
        """
        for leak in leaks.LEAKS:
            text = (ROOT / "txsslstream" / leak.path).read_text("utf-8")
            self.assertEqual(text.count(leak.old), 1, leak.what)
            compile(text.replace(leak.old, leak.new), leak.path, "exec")

    def test_build(self) -> None:
        """
        A copy has the leak, and what has no place in the package is an error.
        """
        leak = leaks.LEAKS[0]
        leaks.build(leak, self.directory / "one")
        text = (self.directory / "one" / "txsslstream" / leak.path).read_text("utf-8")
        self.assertIn(leak.new, text)
        with self.assertRaises(ValueError):
            leaks.damage(leak._replace(old="nowhere"), self.directory / "one")


class PageTests(SynchronousTestCase):
    """
    What the page says.
    """

    def test_words(self) -> None:
        """
        Every conversation and every form has words for the page.
        """
        for each in (*ROUND, *FORMS):
            self.assertGreater(len(_soak_page._words(each)), 10, each)

    def test_left(self) -> None:
        """
        That nothing is left is said in a word, and anything else stands out.
        """
        self.assertEqual(_soak_page._left(0), "none")
        self.assertEqual(_soak_page._left(1234), "**1,234**")
