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
    can: Callable[[Workload, str], bool],
    tell: Callable[[str], object],
) -> Results:
    """
    Measure.  In each round every contestant has fresh processes, and one
    workload is done by all before the next begins; who is first changes.

    @param can: tells whether there is a peer for a workload and the package of a
        contestant.
    @param tell: is told how it goes.
    """
    results = Results()
    able = present(contestants, results, tell)
    plan = {
        each.name: [
            workload
            for workload in workloads
            if each.takesPart(workload) and can(workload, each.package)
        ]
        for each in able
    }
    for workload in workloads:
        if not any(workload in own for own in plan.values()):
            tell(f"{workload.name} is skipped: nobody can do it")
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        first = number % max(1, len(able))
        order = able[first:] + able[:first]
        with ExitStack() as stack:
            turns: dict[str, Turn] = {}
            for contestant in order:
                own = plan[contestant.name]
                if own:
                    turns[contestant.name] = start(contestant, own, stack)
            for workload in workloads:
                for contestant in order:
                    if workload in plan[contestant.name]:
                        result = turns[contestant.name].measure(workload)
                        results.add(workload.name, contestant.name, result)
    return results
