"""
Results as a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .contestants import Contestant
from .figures import Summary
from .results import Results
from .workloads import WORKLOADS

#: What the picture shows.
SHOWN = (
    "send-64k",
    "receive-16k",
    "echo-100b-x100",
    "handshake-server-ec",
    "handshake-client-ec",
    "rest-64k",
)


@dataclass(frozen=True)
class Panel:
    """
    One workload.

    @ivar bars: each contestant's name and costs, the best last.
    """

    title: str
    unit: str
    bars: Sequence[tuple[str, Summary]]


def panels(results: Results, contestants: Sequence[Contestant]) -> list[Panel]:
    """
    @return: one for each workload that is shown and was measured.
    """
    made = []
    for name in SHOWN:
        workload = WORKLOADS[name]
        bars = [
            (each.name, Summary.of(costs))
            for each in contestants
            if (costs := results.costs(workload, each.name))
        ]
        if bars:
            bars.sort(key=lambda bar: -bar[1].median)
            made.append(Panel(name, workload.unit, bars))
    return made


def draw(panels: Sequence[Panel], path: Path) -> None:
    """
    Draw horizontal bars; the file's ending tells its format.

    @raise ImportError: matplotlib is not installed.
    @raise ValueError: there is nothing to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not panels:
        raise ValueError("nothing was measured that the picture shows")
    rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(11, 3.4 * rows), layout="constrained")
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, 2, number)
        names = [name for name, _ in panel.bars]
        medians = [summary.median for _, summary in panel.bars]
        axes.barh(
            names,
            medians,
            xerr=(
                [summary.median - summary.low for _, summary in panel.bars],
                [summary.high - summary.median for _, summary in panel.bars],
            ),
            color=["#d95f02" if name.startswith("ours") else "#7f8fa6" for name in names],
            error_kw={"elinewidth": 1, "ecolor": "#333333"},
        )
        axes.set_title(f"{panel.title}, {panel.unit}", fontsize=10)
        axes.tick_params(labelsize=8)
    # Text stays text, and the same results make the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmarks"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
