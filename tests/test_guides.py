"""
Tests for the tutorial and the guides in F{docs/howto}: what they show of terminals
is what the sessions of their examples, which L{tests.test_examples} runs, have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from .programs import ROOT
from .test_examples import EXAMPLES, SESSION

DOCS = ROOT / "docs"
GUIDES = [DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md"))]

#: What readers do for themselves, and the tests have done already.
_INSTALLATION = {"python3 -m venv .venv", ". .venv/bin/activate", "pip install ~/txsslstream"}

_ANYTHING = "..."


@dataclass
class Typed:
    """
    A command, and what is seen then.

    @ivar goesOn: whether it is a program that goes on, of which only some lines
        are told.
    """

    command: str
    seen: list[str] = field(default_factory=list)
    goesOn: bool = False


def typedIn(example: Path) -> Iterator[Typed]:
    """
    @return: what a session has, with regular expressions of lines.
    """
    running: dict[str, Typed] = {}
    last = Typed("")
    for line in (example / SESSION).read_text().splitlines():
        if line.startswith("$ "):
            last = Typed(line[2:])
            yield last
        elif match := re.fullmatch(r"(\w+)& (.+)", line):
            running[match[1]] = Typed(match[2], goesOn=True)
            yield running[match[1]]
        elif match := re.fullmatch(r"(\w+)> (.+)", line):
            running[match[1]].seen.append(match[2])
        elif line == _ANYTHING or re.match(r">( |$)", line):
            last.seen.append(line.removeprefix(">").removeprefix(" "))


def shownIn(text: str) -> Iterator[Typed]:
    """
    @return: what a page has.
    """
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *seen = part.splitlines()
            yield Typed(command, seen)


def examplesOf(text: str) -> list[Path]:
    """
    @return: the examples that a page names files of.
    """
    names = sorted(set(re.findall(r"\((?:\.\./)?examples/([\w-]+)", text)))
    return [EXAMPLES / name for name in names]


def isSeen(shown: Sequence[str], seen: Sequence[str]) -> bool:
    """
    @return: whether lines of a page are those of a session; either may have left
        out some.
    """
    if not shown or not seen:
        return all(each == _ANYTHING for each in (*shown, *seen))
    if shown[0] == _ANYTHING or seen[0] == _ANYTHING:
        return isSeen(shown[1:], seen[1:]) or isSeen(shown[1:], seen) or isSeen(shown, seen[1:])
    return re.fullmatch(seen[0], shown[0]) is not None and isSeen(shown[1:], seen[1:])


def isTrue(shown: Typed, typed: Typed) -> bool:
    """
    @return: whether a page shows this.
    """
    if shown.command != typed.command:
        return False
    if not typed.goesOn:
        return isSeen(shown.seen, typed.seen)
    patterns = iter(typed.seen)
    return all(
        any(re.fullmatch(pattern, line) for pattern in patterns)
        for line in shown.seen
        if line != _ANYTHING
    )


def lies(text: str) -> list[str]:
    """
    @return: the commands of a page with which something else is seen.
    """
    typed = [each for example in examplesOf(text) for each in typedIn(example)]
    return [
        shown.command
        for shown in shownIn(text)
        if shown.command not in _INSTALLATION and not any(isTrue(shown, each) for each in typed)
    ]


class GuidesTests(SynchronousTestCase):
    """
    Pages that lead to a goal.
    """

    def test_terminals(self) -> None:
        """
        What is typed and seen on a page is what the session of its example has.
        """
        for page in GUIDES:
            text = page.read_text()
            self.assertEqual(lies(text), [], page.name)
            self.assertGreater(len(list(shownIn(text))), 1, page.name)

    def test_configuration(self) -> None:
        """
        Units and configuration are shown as they are in the files of the example.
        """
        found = 0
        for page in GUIDES:
            text = page.read_text()
            files = {
                path.read_text()
                for example in examplesOf(text)
                for path in example.iterdir()
                if path.is_file()
            }
            for block in re.findall(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
                self.assertIn(block, files, page.name)
                found += 1
        self.assertGreater(found, 4)

    def test_lies(self) -> None:
        """
        Another command, another line, one that is missing and one too many are
        found out.
        """
        page = (DOCS / "howto" / "database.md").read_text()
        for old, new, command in (
            ("$ python database.py", "$ python base.py", "python base.py"),
            ("Made clients.db.", "Made clients.", "python database.py"),
            ("b'Hello, alice.\\n'\n", "", "python client.py"),
            ("Made clients.db.\n", "Made clients.db.\nDone.\n", "python database.py"),
            ("bob is active: False", "bob is active: True", "python server.py"),
        ):
            self.assertIn(old, page)
            self.assertEqual(lies(page.replace(old, new)), [command])

    def test_everyFile(self) -> None:
        """
        A guide has a link to each file of its example, and the example has a
        guide.
        """
        texts = "".join(page.read_text() for page in GUIDES)
        examples = [EXAMPLES / "tutorial", *EXAMPLES.glob("howto-*")]
        self.assertEqual(len(examples), len(GUIDES))
        for example in examples:
            for path in example.iterdir():
                # A link has its own place.
                place = path.resolve().relative_to(DOCS)
                if path.name not in (SESSION, "__pycache__", "members.txt"):
                    self.assertIn(f"{place})", texts)
