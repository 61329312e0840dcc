"""
The inputs that are kept: for each target a text file, an input a line, in
base64.  A comment behind one says which defect it has shown.
"""

from __future__ import annotations

import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import txsslstream

from .target import Target, Trial

CORPUS = Path(__file__).resolve().parent / "corpus"

_PACKAGE = str(Path(txsslstream.__file__).parent)

#: Bytes of an input that is kept for what it reaches, how many are, and how many
#: are looked at for that, in at most so many seconds.
LONGEST = 4096
MOST = 60
_CANDIDATES = 300
_PATIENCE = 20


def kept(target: Target) -> dict[bytes, str]:
    """
    @return: the inputs of a target, each with the defect that it has shown, if
        it was one.
    """
    path = CORPUS / f"{target.name}.txt"
    lines = path.read_text("ascii").splitlines() if path.exists() else []
    parts = (line.partition(" # ") for line in lines)
    return {b64decode(encoded): defect for encoded, _, defect in parts}


def keep(target: Target, inputs: Mapping[bytes, str]) -> None:
    """
    Write the file of a target.
    """
    lines = [
        b64encode(data).decode("ascii") + (f" # {defect}" if defect else "")
        for data, defect in sorted(inputs.items(), key=lambda each: _order(each[0]))
    ]
    (CORPUS / f"{target.name}.txt").write_text("".join(f"{line}\n" for line in lines), "ascii")


def reached(target: Target, data: bytes) -> set[tuple[str, int, int]]:
    """
    @return: which lines of the package follow upon which when this input is
        tried, and what comes of it.
    """
    arcs: set[tuple[str, int, int]] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE):
            return None
        last = 0

        def within(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                arcs.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return within

        return within

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        trial = Trial(target)
        trial.run(data)
    finally:
        sys.settrace(before)
    return arcs | {(outcome, 0, 0) for outcome in trial.outcomes}


def _order(data: bytes) -> tuple[int, bytes]:
    return len(data), data


def smallest(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """
    @return: of these inputs, beginning with the shortest, those that reach what
        none before has.
    """
    short = sorted({each for each in inputs if len(each) <= LONGEST}, key=_order)
    # Of too many some, of every length.
    step = max(1, len(short) // _CANDIDATES)
    end = time.process_time() + _PATIENCE
    known: set[tuple[str, int, int]] = set()
    found: list[bytes] = []
    for data in short[::step]:
        if len(found) == MOST or time.process_time() > end:
            break
        try:
            arcs = reached(target, data)
        except Exception:
            # A finding, which is told and kept elsewhere.
            continue
        if not arcs <= known:
            known |= arcs
            found.append(data)
    return found
