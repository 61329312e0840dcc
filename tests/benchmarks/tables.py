"""
Results as tables in Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from .contestants import Contestant
from .figures import Summary
from .results import Results
from .targets import Ceiling, Target
from .workloads import MIB, Workload


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    @return: a table in Markdown; the first column is text, the others are
        figures.
    """
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(each)} |\n" for each in lines)


def figure(value: float) -> str:
    """
    @return: it with three digits, or with all before its point.
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(summary: Summary) -> str:
    """
    @return: the median, and in brackets the middle half.
    """
    return f"{figure(summary.median)} ({figure(summary.low)}-{figure(summary.high)})"


def costs(
    results: Results, workloads: Sequence[Workload], contestants: Sequence[Contestant]
) -> str:
    """
    @return: a table of what each workload cost each contestant: the median, in
        brackets the middle half, and how many times as much it cost the one that
        it is compared with.
    """
    rows = []
    for workload in workloads:
        for each in contestants:
            rounds = results.rounds(workload.name, each.name)
            if not rounds:
                continue
            ratios = results.ratios((workload, each.base), (workload, each.name))
            wall = median(one.wall / one.amount for one in rounds)
            rows.append(
                (
                    workload.name,
                    each.name,
                    spread(Summary.of(results.costs(workload, each.name))),
                    workload.unit,
                    f"{figure(workload.perSecond / wall)} {workload.rate}",
                    spread(Summary.of(ratios)) if ratios and each.base != each.name else "",
                    f"{max(one.peak for one in rounds) * 1024 / MIB:.0f}",
                )
            )
    header = ("workload", "contestant", "CPU", "", "by the clock", "x stock", "peak MiB")
    return table(header, rows)


def groups(
    results: Results, workloads: Sequence[Workload], contestants: Sequence[Contestant]
) -> str:
    """
    @return: tables with a column for each workload and a line for each
        contestant: the median, and in brackets how many times as much it cost
        the one that it is compared with.
    """
    done = {workload for workload, _ in results}
    workloads = [each for each in workloads if each.name in done]
    titles = list(dict.fromkeys(each.group for each in workloads))
    parts = []
    for title in titles:
        columns = [each for each in workloads if each.group == title]
        rows = []
        for contestant in contestants:
            cells = [_cell(results, each, contestant) for each in columns]
            if any(cells):
                rows.append((contestant.name, *cells))
        if rows:
            header = (f"{title}, {columns[0].unit}", *(each.column for each in columns))
            parts.append(table(header, rows))
    return "\n".join(parts)


def _cell(results: Results, workload: Workload, contestant: Contestant) -> str:
    costs = results.costs(workload, contestant.name)
    if not costs:
        return ""
    ratios = results.ratios((workload, contestant.base), (workload, contestant.name))
    compared = f" ({median(ratios):.2f}x)" if ratios and contestant.base != contestant.name else ""
    return figure(median(costs)) + compared


def reached(results: Results, targets: Iterable[Target | Ceiling]) -> str:
    """
    @return: a table of what is to be reached, and whether it is.
    """
    rows = []
    for each in targets:
        summary = each.measured(results)
        rows.append(
            (
                each.workload,
                each.tested,
                each.against,
                each.demand,
                "" if summary is None else spread(summary),
                "not measured"
                if summary is None
                else "reached"
                if each.isReached(summary)
                else "**not reached**",
            )
        )
    return table(("workload", "tested", "against", "limit", "measured", ""), rows)


_PAGE = """# Performance: figures

Made by `python -m tests.benchmarks --markdown`; [Performance](../performance.md) tells what is
measured and how.

Measured with {machine}; {rounds}.

In each cell there is the median of the rounds, in processor time or, for memory, in KiB; and in
brackets how many times as much Twisted's own TLS needs on the same reactor in the same round
(contestants that are not on Twisted: on epoll), again the median. More is better. The names are
those of `python -m tests.benchmarks --list`.

{groups}"""

_GOALS = """
## What is to be reached

Beside each limit is the median of the rounds, and in brackets the middle half of them.

{reached}"""


def page(
    results: Results,
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    targets: Iterable[Target | Ceiling],
) -> str:
    """
    @param targets: those that are told about.
    @return: a page of the documentation.
    """
    counts = {len(results.rounds(*each)) for each in results}
    rounds = " to ".join(map(str, sorted({min(counts), max(counts)}))) + (
        " round" if counts == {1} else " rounds"
    )
    text = _PAGE.format(
        machine=results.machine, rounds=rounds, groups=groups(results, workloads, contestants)
    )
    goals = reached(results, targets)
    return text + _GOALS.format(reached=goals) if targets else text
