"""
Results as tables in Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from .figures import Summary
from .results import Results
from .targets import Target
from .workloads import WORKLOADS


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


def costs(results: Results, base: str) -> str:
    """
    @param base: the name of whom to compare with.
    @return: a table of what each workload cost each contestant: the median, in
        brackets the middle half, and how many times as much it cost the base.
    """
    rows = []
    for name, contestant in results:
        workload = WORKLOADS[name]
        cost = Summary.of(results.costs(workload, contestant))
        ratios = results.ratios((workload, base), (workload, contestant))
        wall = median(each.wall / each.amount for each in results.rounds(name, contestant))
        perWall = figure(workload.perSecond / wall) if wall else ""
        rows.append(
            (
                name,
                contestant,
                f"{figure(cost.median)} ({figure(cost.low)}-{figure(cost.high)})",
                workload.unit,
                f"{perWall} {workload.rate}" if perWall else "",
                _spread(ratios),
            )
        )
    return table(("workload", "contestant", "CPU", "", "by the clock", f"x {base}"), rows)


def _spread(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    ratio = Summary.of(ratios)
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def reached(results: Results, targets: Iterable[Target]) -> str:
    """
    @return: a table of what is to be reached, and whether it is.
    """
    words = {True: "reached", False: "**not reached**", None: "not measured"}
    rows = [
        (
            each.workload,
            each.medium,
            f"{each.base} {each.against}" if each.against != each.workload else each.base,
            each.tested,
            f"≥ {each.limit:.2f}",
            _spread(each.ratios(results)),
            words[each.verdict(results)],
        )
        for each in targets
    ]
    return table(("workload", "medium", "against", "tested", "limit", "x", ""), rows)
