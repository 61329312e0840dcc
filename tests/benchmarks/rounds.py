"""
Rounds in which everybody has a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from .contestants import Contestant
from .processes import Turn
from .results import Results
from .workloads import Workload

#: Begins the turn of a contestant that will do these workloads.
Starter = Callable[[Contestant, Sequence[Workload], ExitStack], Turn]


def present(
    contestants: Sequence[Contestant], results: Results, tell: Callable[[str], object]
) -> list[Contestant]:
    """
    @return: those that are installed; of the others a note is made.
    """
    able = []
    for each in contestants:
        if each.missing:
            results.skipped[each.name] = f"not installed: {', '.join(each.missing)}"
            tell(f"{each.name} is skipped, {results.skipped[each.name]}")
        else:
            able.append(each)
    return able


def run(
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    rounds: int,
    start: Starter,
    tell: Callable[[str], object],
) -> Results:
    """
    Measure.  In each round every contestant has fresh processes, and one
    workload is done by all before the next begins; who is first changes.

    @param tell: is told how it goes.
    """
    results = Results()
    able = present(contestants, results, tell)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        first = number % max(1, len(able))
        order = able[first:] + able[:first]
        with ExitStack() as stack:
            turns: dict[str, Turn] = {}
            for contestant in order:
                own = [each for each in workloads if contestant.takesPart(each)]
                if own:
                    turns[contestant.name] = start(contestant, own, stack)
            for workload in workloads:
                for contestant in order:
                    if contestant.takesPart(workload):
                        result = turns[contestant.name].measure(workload)
                        results.add(workload.name, contestant.name, result)
    return results
