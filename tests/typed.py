"""
What a type checker tells the package's users: C{python -m tests.typed PYTHON}
checks the example project with the package as it is installed for that
interpreter.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.wheel import ROOT

#: The example project.
PROJECT = ROOT / "docs" / "examples" / "typed"

_LINE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): \w+: (?P<text>.*?)(  \[(?P<code>.+)\])?")


class Remark(NamedTuple):
    """
    Something that mypy says.

    @ivar code: the kind of error, such as C{"arg-type"}; empty for a note.
    """

    file: str
    line: int
    text: str
    code: str

    @property
    def short(self) -> str:
        """
        The code of an error, or C{"revealed TYPE"} without modules; empty for
        other notes.
        """
        revealed = re.fullmatch('Revealed type is "(.*)"', self.text)
        if revealed is None:
            return self.code
        return "revealed " + re.sub(r"\b(?:\w+\.)+(?=\w)", "", revealed[1])


def remarks(python: str | Path, more: Iterable[Path] = ()) -> list[Remark]:
    """
    Check the example project, as its own configuration says.

    @param python: an interpreter for which the package is installed.
    @param more: other files to be checked with it.
    @return: all that mypy says.
    @raise AssertionError: mypy did not come to its end.
    """
    with TemporaryDirectory(prefix="txsslstream-") as cache:
        command = [sys.executable, "-m", "mypy", "--cache-dir", cache, "--no-error-summary"]
        command += ["--python-executable", str(python), "ledger", *map(str, more)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    matches = [_LINE.fullmatch(line) for line in done.stdout.splitlines()]
    if done.stderr or done.returncode > 1 or None in matches:
        raise AssertionError(f"{done.returncode}:\n{done.stdout}{done.stderr}")
    return [
        Remark(each["file"], int(each["line"]), each["text"], each["code"] or "")
        for each in matches
        if each is not None
    ]


def main() -> None:
    """
    Check for the interpreter that the command line names.
    """
    found = remarks(sys.argv[1])
    if found:
        raise SystemExit("\n".join(map(str, found)))
    print("the typed example is")


if __name__ == "__main__":
    main()
