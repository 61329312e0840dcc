"""
Tests for F{docs/behaviour.md}: whatever it promises is shown by tests that run.
"""

from __future__ import annotations

import re
import sys
import unittest
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

BEHAVIOUR = (Path(__file__).parents[1] / "docs" / "behaviour.md").read_text()

#: How many lines there are.
MANY = 120

_NAMES = re.compile(r"`([\w.]+)`(?:, |$)")


def casesIn(suite: Any) -> Iterator[Any]:
    """
    @return: every test in a suite of suites.
    """
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from casesIn(each)
        else:
            yield each


@cache
def runIn(module: Any) -> list[tuple[object, str]]:
    """
    @return: the tests that a runner finds in a module: the case and the name of
        each.
    """
    if not module.__name__.rpartition(".")[2].startswith("test_"):
        # For pytest there is nothing in it.
        return []
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    return [(each, each.id().rpartition(".")[2]) for each in casesIn(loaded)]


def problemWith(name: str) -> str | None:
    """
    @return: what is wrong with the name of a test, such as C{module.Case.test},
        or L{None} if it is one that runs.  A name of a mixin stands for all the
        cases that are made of it.
    """
    *path, caseName, testName = ("", *name.split("."))
    try:
        module = import_module(".".join(path[1:]))
        case = getattr(module, caseName)
        test = getattr(case, testName)
    except (ImportError, AttributeError, ValueError):
        return f"there is no {name}"
    if not (test.__doc__ or "").strip():
        return f"{name} promises nothing"
    isRun = any(isinstance(each, case) and found == testName for each, found in runIn(module))
    return None if isRun else f"{name} is not run"


def problemsIn(text: str, many: int) -> list[str]:
    """
    @return: what is wrong with a document that should have so many lines.
    """
    rows = re.findall(r"^\| (\d+) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    problems = []
    if [number for number, _, _ in rows] != [str(number) for number in range(1, many + 1)]:
        problems.append(f"the lines are not those from 1 to {many}")
    for number, promise, shown in rows:
        if not re.match(r"[A-Z0-9`].+\.$", promise):
            problems.append(f"{number}: no sentence: {promise!r}")
        names = _NAMES.findall(shown)
        isReason = re.match(r"not ours, because \w.+\.$", shown) is not None
        if not isReason and (not names or _NAMES.sub("", shown)):
            problems.append(f"{number}: neither tests nor a reason: {shown!r}")
        problems += [f"{number}: {found}" for found in map(problemWith, names) if found]
    return problems


class BehaviourTests(SynchronousTestCase):
    """
    Tests for the document.
    """

    def test_shown(self) -> None:
        """
        Every line has tests that run, or a reason why there is none.
        """
        self.assertEqual(problemsIn(BEHAVIOUR, MANY), [])


class _Unmade:
    """
    A mixin that nobody makes a case of.
    """

    def test_nothing(self) -> None:
        """
        Nothing.
        """


class CheckTests(SynchronousTestCase):
    """
    Tests for how the document is checked.
    """

    #: A test that is run.
    GOOD = f"`{__name__}.BehaviourTests.test_shown`"

    def test_good(self) -> None:
        """
        Tests and a reason will do, also the test of a mixin of which cases are
        made, and of a case's base class.
        """
        text = (
            f"| 1 | It is so. | {self.GOOD} |\n"
            "| 2 | `x` is so. | not ours, because nobody wants it. |\n"
            f"| 3 | It is so, too. | {self.GOOD}, `tests.test_stream.ReadingTests.test_read`, "
            "`tests.interop.test_interop.OurClientCase.test_conversation` |\n"
        )
        self.assertEqual(problemsIn(text, 3), [])

    def test_lines(self) -> None:
        """
        A line too few, too many, doubled or in the wrong place is noticed.
        """
        lines = [f"| {number} | It is so. | {self.GOOD} |\n" for number in range(1, 6)]
        one, two, three, four, five = lines
        self.assertEqual(problemsIn("".join(lines[:4]), 4), [])
        for wrong in (
            [one, two, three],
            [one, two, four, five],
            lines,
            [one, two, two, three],
            [one, three, two, four],
            [],
        ):
            self.assertEqual(
                problemsIn("".join(wrong), 4), ["the lines are not those from 1 to 4"], wrong
            )

    def test_cells(self) -> None:
        """
        A line that says nothing, and one that is not shown, are noticed.
        """
        for promise in ("", "TODO", "it is so", "It is so"):
            self.assertEqual(len(problemsIn(f"| 1 | {promise} | {self.GOOD} |\n", 1)), 1, promise)
        for shown in (
            "",
            "…",
            "TODO",
            "not ours",
            "not ours, because",
            f"{self.GOOD} TODO",
            f"TODO {self.GOOD}",
            self.GOOD.strip("`"),
        ):
            (problem,) = problemsIn(f"| 1 | It is so. | {shown} |\n", 1)
            self.assertIn("neither tests nor a reason", problem)

    def test_tests(self) -> None:
        """
        A test that is not there, that promises nothing or that nobody runs is
        noticed.
        """
        self.patch(CheckTests.test_good, "__doc__", " ")
        # Not a name by which pytest looks for tests.
        untested: Any = ModuleType("tests.untested")
        untested.BehaviourTests = BehaviourTests
        sys.modules[untested.__name__] = untested
        self.addCleanup(sys.modules.pop, untested.__name__)
        for name, problem in (
            ("tests.test_nowhere.ReadingTests.test_read", "there is no"),
            ("tests.test_stream.NoTests.test_read", "there is no"),
            ("tests.test_stream.ReadingTests.test_nothing", "there is no"),
            ("tests.test_stream.ReadingTests", "is not run"),
            ("nonsense", "there is no"),
            ("tests.untested.BehaviourTests.test_shown", "is not run"),
            ("tests.test_stream.ReadingTests.bothRoles", "is not run"),
            (f"{__name__}.CheckTests.test_good", "promises nothing"),
            (f"{__name__}._Unmade.test_nothing", "is not run"),
        ):
            (found,) = problemsIn(f"| 1 | It is so. | `{name}` |\n", 1)
            self.assertIn(name, found)
            self.assertIn(problem, found)
