"""
What the time of a workload goes to.

One more round is run under C{cProfile}.  What OpenSSL and the kernel take is as
measured there.  Calls of Python's, which take longer when they are measured,
share the rest of what the workload takes otherwise, in proportion.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from .contestants import Contestant
from .profiling import OUTSIDE, REST
from .results import Results
from .tables import figure, table
from .workloads import Workload

#: What is less than this part of the time of every contestant is told together.
_SMALL = 0.02

#: What the files of a folder are called together.
_FILES = {
    "txsslstream": "txsslstream, other files",
    "twisted": "Twisted, other files",
    "OpenSSL": "pyOpenSSL",
}


def scaled(parts: Mapping[str, float], total: float) -> dict[str, float]:
    """
    @param parts: with what the profile itself has taken.
    @param total: without.
    @return: the parts of the total.
    """
    outside = {name: each for name, each in parts.items() if name.startswith(OUTSIDE)}
    inside = {name: each for name, each in parts.items() if name not in outside}
    left = max(0.0, total - sum(outside.values()))
    factor = left / (sum(inside.values()) or 1.0)
    return {**outside, **{name: each * factor for name, each in inside.items()}}


def merged(costs: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """
    @param costs: for each contestant what each part costs.
    @return: the same, with the parts that are small for everybody as one for
        each kind; what is outside Python first, the larger before the smaller.
    """
    shares: defaultdict[str, float] = defaultdict(float)
    for own in costs.values():
        total = sum(own.values())
        for name, cost in own.items():
            shares[name] = max(shares[name], cost / total)
    found: dict[str, defaultdict[str, float]] = {who: defaultdict(float) for who in costs}
    for who, own in costs.items():
        for name, cost in own.items():
            found[who][name if shares[name] >= _SMALL else _kindOf(name)] += cost
    largest = {
        name: max(own.get(name, 0.0) for own in found.values())
        for name in {name for own in found.values() for name in own}
    }
    order = sorted(
        largest, key=lambda name: (name == REST, not name.startswith(OUTSIDE), -largest[name])
    )
    return {name: {who: own[name] for who, own in found.items() if name in own} for name in order}


def _kindOf(part: str) -> str:
    kind, colon, _ = part.partition(": ")
    return f"{kind}: others" if colon else _FILES.get(part.partition("/")[0], REST)


def _table(
    workload: Workload, plain: Results, profiled: Results, contestants: Sequence[Contestant]
) -> str:
    totals: dict[str, float] = {}
    costs: dict[str, dict[str, float]] = {}
    for each in contestants:
        rounds = profiled.rounds(workload.name, each.name)
        if not rounds or rounds[0].parts is None:
            continue
        total = median(plain.costs(workload, each.name))
        unit = workload.cost(rounds[0]) / rounds[0].cpu
        measured = {name: seconds * unit for name, seconds in rounds[0].parts.items()}
        totals[each.name], costs[each.name] = total, scaled(measured, total)
    if not costs:
        return ""
    rows = [("altogether", *map(figure, totals.values()))]
    for name, own in merged(costs).items():
        rows.append((name, *(figure(own[who]) if who in own else "" for who in costs)))
    return table((f"{workload.name}, {workload.unit}", *costs), rows)


_PAGE = """# Performance: profiles

Made by `python -m tests.benchmarks --profile`; [Performance](../performance.md) tells what is
measured, and what follows from it.

Measured with {machine}.

The first line of each table is the median of the rounds. Below it is what that time goes to:
OpenSSL's functions, without what they call back, and those of the kernel, as `cProfile` measures
them; then the files whose Python functions share what is left, in proportion to what `cProfile`
says of them. `tests/benchmarks` is the application, and in memory the reactor.

{tables}"""


def page(
    workloads: Sequence[Workload],
    plain: Results,
    profiled: Results,
    contestants: Sequence[Contestant],
) -> str:
    """
    @param plain: the results of rounds without a profile.
    @param profiled: those of one with it.
    @return: a page of the documentation.
    """
    tables = (_table(each, plain, profiled, contestants) for each in workloads)
    return _PAGE.format(machine=plain.machine, tables="\n".join(filter(None, tables)))
