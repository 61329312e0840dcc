"""
Tests for L{tests.fuzzing}: each input that is kept, and what finds fault with one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import fail
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns import fuzz, report
from tests.fuzzing import corpus
from tests.fuzzing.corpus import CORPUS, LONGEST, keep, kept, reached, smallest
from tests.fuzzing.meddling import Change, changesIn
from tests.fuzzing.target import Finding, Target, Trial, grown, pieces
from tests.fuzzing.targets import TARGETS

#: Bytes of all that is kept.
LIMIT = 1 << 20

#: How many of the first inputs of a target are tried, at most.
_MOST_SEEDS = 40


class KeptTests(SynchronousTestCase):
    """
    What is kept.
    """

    def test_all(self) -> None:
        """
        Nothing comes of any input but what is documented, in bounded time and
        memory, nor of those that everything begins with, which come to more than
        one end.
        """
        for target in TARGETS.values():
            seeds = list(target.seeds())
            inputs = [*kept(target), *seeds[:: 1 + len(seeds) // _MOST_SEEDS]]
            trial = Trial(target)
            with trial.watched():
                for data in inputs:
                    trial.run(data)
            self.assertGreater(len(trial.outcomes), 1, target.name)

    def test_small(self) -> None:
        """
        It is small, and of these targets alone.
        """
        files = list(CORPUS.iterdir())
        self.assertEqual({path.stem for path in files}, set(TARGETS))
        self.assertLess(sum(path.stat().st_size for path in files), LIMIT)

    def test_changing(self) -> None:
        """
        What can be done to records is written and read alike.
        """
        changes = [Change(1, 2, 0x0304, 5, b"data"), Change(6, 7, 8, 9, b"")]
        data = b"".join(each.encoded() for each in changes)
        self.assertEqual(list(changesIn(data)), changes)
        self.assertEqual(list(changesIn(data[:-1])), changes[:1])


def target(examine: Callable[[bytes], str], **arguments: object) -> Target:
    """
    @return: something to try.
    """
    known: dict[str, object] = {"seconds": 10.0, "seeds": lambda: [b""], **arguments}
    return Target("some", "something", examine, **known)  # type: ignore[arg-type]


class TrialTests(SynchronousTestCase):
    """
    What comes of one input.
    """

    def test_documented(self) -> None:
        """
        An error that is documented is an outcome, as is a word.
        """

        def examine(data: bytes) -> str:
            if data:
                raise KeyError(data)
            return "word"

        trial = Trial(target(examine, errors=(LookupError,)))
        for data in (b"", b"a", b"b"):
            trial.run(data)
        self.assertEqual(trial.outcomes, {"word": 1, "KeyError": 2})
        self.assertEqual((trial.inputs, trial.longest), (3, 1))

    def test_undocumented(self) -> None:
        """
        Any other is raised, even one of its bases.
        """

        def examine(data: bytes) -> str:
            raise LookupError

        for error in (KeyError, ValueError):
            trial = Trial(target(examine, errors=(error,)))
            self.assertRaises(LookupError, trial.run, b"")

    def test_logged(self) -> None:
        """
        What is logged as an error counts, and so does an error that nobody has
        taken; what is logged otherwise does not.
        """
        log = Logger()

        def critical(data: bytes) -> None:
            try:
                raise KeyError
            except KeyError:
                log.failure("a failure")

        def lost(data: bytes) -> None:
            fail(KeyError())

        for speak, words in ((critical, "a failure"), (lost, "Unhandled error in Deferred")):
            trial = Trial(target(lambda data, speak=speak: str(speak(data))))  # type: ignore[misc]
            with trial.watched():
                error = self.assertRaises(Finding, trial.run, b"")
            self.assertIn(words, str(error))
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

        def known(data: bytes) -> str:
            log.error("it is so")
            return ""

        trial = Trial(target(known))
        with trial.watched():
            trial.run(b"")

    def test_uncaught(self) -> None:
        """
        An error where nobody can catch it counts.
        """

        class Dying:
            def __del__(self) -> None:
                raise KeyError("in vain")

        trial = Trial(target(lambda data: Dying().__class__.__name__))
        with trial.watched():
            error = self.assertRaises(Finding, trial.run, b"")
        self.assertIn("in vain", str(error))

    def test_slow(self) -> None:
        """
        An input that takes too long for its size counts; a longer one may take
        that long, and one that does so but once has met with the collector of
        garbage.
        """

        def examine(data: bytes) -> str:
            # Zeros are slow each time, others once.
            if data not in known:
                sum(range(300_000))
            if any(data):
                known.add(data)
            return ""

        known: set[bytes] = set()
        for data, isFound in ((bytes(1), True), (b"\1", False), (bytes(10_000), False)):
            trial = Trial(target(examine, seconds=1e-3, perByte=1e-3))
            if isFound:
                self.assertRaises(Finding, trial.run, data)
            else:
                trial.run(data)

    def test_large(self) -> None:
        """
        An input that takes too much memory for its size counts, if it is one of
        those whose memory is measured.
        """
        for size, isFound in ((1, True), (1000, False)):
            trial = Trial(
                target(
                    lambda data: bytes(100_000).hex()[:1],
                    memory=10_000,
                    memoryPerByte=1000,
                    sampled=3,
                )
            )
            if isFound:
                self.assertRaises(Finding, trial.run, bytes(size))
                trial.run(bytes(size))
                trial.run(bytes(size))
                self.assertRaises(Finding, trial.run, bytes(size))
            else:
                trial.run(bytes(size))
                self.assertGreater(trial.memory, 100_000)

    def test_grown(self) -> None:
        """
        Inputs are grown by repeating a part of them.
        """
        self.assertEqual(grown(b"abcd", 10, 1, 2), b"abcbcbcbcd")
        self.assertEqual(grown(b"abcd", 2, 5, 9), b"abcd")
        self.assertEqual(grown(b"", 3, 5, 9), bytes(3))
        self.assertEqual(pieces(b"abc", 2), [b"ab", b"c"])
        self.assertEqual(pieces(b"", 0), [])


class CorpusTests(SynchronousTestCase):
    """
    How inputs are kept.
    """

    def test_files(self) -> None:
        """
        What is kept is read again, with the defects that it has shown.
        """
        some = target(str)
        inputs = {b"": "", b"\0\xff": "a defect", bytes(100): ""}
        with TemporaryDirectory() as place, patch.object(corpus, "CORPUS", Path(place)):
            self.assertEqual(kept(some), {})
            keep(some, inputs)
            self.assertEqual(kept(some), inputs)

    def test_smallest(self) -> None:
        """
        Of inputs that reach the same, the shortest is kept, and none that is too
        long.
        """
        found = smallest(TARGETS["flight"], [b"\0", b"\0\x15", b"\0\x14", bytes(LONGEST + 1)])
        self.assertEqual(found, [b"\0", b"\0\x14"])
        self.assertTrue(reached(TARGETS["flight"], b"\0"))


class CampaignTests(SynchronousTestCase):
    """
    The campaign.
    """

    def test_shares(self) -> None:
        """
        All inputs are given to targets, as many as is their share.
        """
        given = fuzz.shares(list(TARGETS), fuzz.WHOLE)
        self.assertEqual(sum(given.values()), fuzz.WHOLE)
        self.assertGreater(given["hello"], given["conversations"])
        self.assertEqual(fuzz.shares(["crl"], 5), {"crl": 5})

    def test_together(self) -> None:
        """
        What came of searches in the same target is added up, or the latest
        counts; others stay.
        """

        def told(name: str, inputs: int, seconds: float) -> dict[str, Any]:
            return {
                "name": name,
                "inputs": inputs,
                "seconds": seconds,
                "outcomes": {"one": inputs - 1, "two": 1},
                "slowest": {"seconds": seconds, "bytes": inputs},
                "findings": [],
                **dict.fromkeys(("longest", "memory", "peak", "seed", "kept"), inputs),
            }

        before = {"names": told("names", 10, 2.5), "crl": told("crl", 7, 1.0)}
        now = [told("names", 5, 0.5), told("hello", 3, 1.0)]
        whole = fuzz.beside(now, before, True)
        self.assertEqual([each["name"] for each in whole], ["hello", "names", "crl"])
        names = whole[1]
        self.assertEqual((names["inputs"], names["seconds"], names["kept"]), (15, 3.0, 5))
        self.assertEqual(names["outcomes"], {"one": 13, "two": 2})
        self.assertEqual(names["slowest"], {"seconds": 2.5, "bytes": 10})
        self.assertEqual((names["longest"], names["memory"]), (10, 10))
        self.assertEqual(fuzz.beside(now, before, False)[1], now[0])

    def test_stored(self) -> None:
        """
        The results that are kept are of every target, of more inputs than a sample
        has, and each has come to more than one end.
        """
        stored = json.loads((report.RESULTS / "fuzz.json").read_text("utf-8"))
        self.assertGreater(stored["inputs"], 10 * fuzz.SAMPLE)
        self.assertEqual([each["name"] for each in stored["targets"]], list(TARGETS))
        for each in stored["targets"]:
            self.assertEqual(each["findings"], [], each["name"])
            self.assertGreater(len(each["outcomes"]), 1, each["name"])
