"""
Rounds in which everybody has a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from .contestants import Contestant
from .processes import Child, MeasurementFailed
from .results import Results
from .workloads import Workload

#: Starts the process of a contestant for a round.
Starter = Callable[[Contestant, Sequence[Workload]], Child]


def run(
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    rounds: int,
    factor: float,
    start: Starter,
    tell: Callable[[str], object],
) -> Results:
    """
    Measure.  In each round every contestant has a fresh process, and one
    workload is done by all before the next begins; who is first changes.

    @param factor: how many times the usual amount is to be done.
    @param tell: is told how it goes.
    """
    results = Results()
    able = []
    for each in contestants:
        if each.missing:
            results.skipped[each.name] = f"not installed: {', '.join(each.missing)}"
            tell(f"{each.name} is skipped, {results.skipped[each.name]}")
        else:
            able.append(each)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        turn = number % max(1, len(able))
        order = able[turn:] + able[:turn]
        with ExitStack() as stack:
            children: dict[str, Child] = {}
            for contestant in order:
                own = [each for each in workloads if contestant.takesPart(each)]
                if own:
                    children[contestant.name] = stack.enter_context(start(contestant, own))
            for workload in workloads:
                for contestant in order:
                    if contestant.takesPart(workload):
                        child = children[contestant.name]
                        try:
                            result = child.measure(workload, factor)
                        except MeasurementFailed as e:
                            message = f"{contestant.name} failed at {workload.name}: {e}"
                            raise MeasurementFailed(message) from e
                        results.add(workload.name, contestant.name, result)
    return results
