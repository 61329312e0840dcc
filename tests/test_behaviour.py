"""
Tests for F{docs/behaviour.md}: whatever it promises is shown by tests that run.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from .test_dotnet import isCollected

BEHAVIOUR = (Path(__file__).parents[1] / "docs" / "behaviour.md").read_text("utf-8")

#: How many lines there are.
MANY = 120

_NAMES = re.compile(r"`([\w.]+)`(?:, |$)")


def problemWith(name: str) -> str | None:
    """
    @return: what is wrong with the name of a test, such as
        C{tests.test_module.Case.test_it}, or L{None} if it is one that runs.  A
        mixin stands for all the cases that are made of it.
    """
    if re.fullmatch(r"tests\.(?:\w+\.)?test_\w+\.\w+\.test_\w+", name) is None:
        return f"{name} is no test's name"
    if not isCollected(name):
        return f"{name} is not run"
    module, kind, test = name.rsplit(".", 2)
    promise = getattr(getattr(import_module(module), kind), test).__doc__
    return None if promise and promise.strip() else f"{name} promises nothing"


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
        for name, problem in (
            ("tests.test_nowhere.ReadingTests.test_read", "is not run"),
            ("tests.test_stream.NoTests.test_read", "is not run"),
            ("tests.test_stream.ReadingTests.test_nothing", "is not run"),
            (f"{__name__}._Unmade.test_nothing", "is not run"),
            ("tests.test_stream.ReadingTests", "is no test's name"),
            ("tests.test_stream.ReadingTests.bothRoles", "is no test's name"),
            ("tests.streams.StreamMixin.test_read", "is no test's name"),
            ("nonsense", "is no test's name"),
            (f"{__name__}.CheckTests.test_good", "promises nothing"),
        ):
            (found,) = problemsIn(f"| 1 | It is so. | `{name}` |\n", 1)
            self.assertIn(name, found)
            self.assertIn(problem, found)
