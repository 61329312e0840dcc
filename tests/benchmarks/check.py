"""
Whether anything has become slower than Twisted's own TLS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .contestants import Contestant
from .figures import Summary, chanceOfLess, isSlower
from .results import Results
from .tables import spread, table
from .workloads import Workload

#: What is measured, how often, and how many times the usual amount of it: so that
#: all is done in a minute, and eleven rounds that go one way are no chance.
WORKLOADS = (
    "memory-send-1k,memory-send-16k,memory-send-64k,memory-receive-1k,memory-receive-16k,"
    "memory-echo-100b,memory-handshake-server-ec,memory-handshake-server-rsa,"
    "memory-handshake-client-ec,send-64k,receive-16k,echo-100b-x100"
)
CONTESTANTS = "stock,ours,stock-epoll,ours-epoll"
ROUNDS = 11
SCALE = 0.25

#: Where Twisted's own is still faster: at least so many times as much is it to cost, so
#: that what has been reached is kept.
OWING: Mapping[str, float] = {
    "memory-handshake-server-ec": 0.8,
    "memory-handshake-server-rsa": 0.87,
}


@dataclass(frozen=True)
class Verdict:
    """
    One comparison.

    @ivar ratios: how many times as much the base cost as who is tested, in each
        round.
    @ivar limit: how many times it is to be.
    @ivar isSlower: whether that is less, by more than chance.
    """

    workload: str
    tested: str
    base: str
    ratios: Sequence[float]
    limit: float
    isSlower: bool

    @classmethod
    def of(
        cls, workload: str, tested: str, base: str, ratios: Sequence[float], comparisons: int
    ) -> Verdict:
        """
        @param comparisons: how many there are.
        """
        limit = OWING.get(workload, 1)
        slower = isSlower([each / limit for each in ratios], comparisons)
        return cls(workload, tested, base, ratios, limit, slower)


def verdicts(
    results: Results, workloads: Sequence[Workload], contestants: Sequence[Contestant]
) -> list[Verdict]:
    """
    @return: one for each workload that somebody and whom it is compared with have
        done.
    """
    compared = [
        (workload, each, ratios)
        for workload in workloads
        for each in contestants
        if each.base != each.name
        and (ratios := results.ratios((workload, each.base), (workload, each.name)))
    ]
    return [
        Verdict.of(workload.name, each.name, each.base, ratios, len(compared))
        for workload, each, ratios in compared
    ]


def report(verdicts: Sequence[Verdict]) -> str:
    """
    @return: a table of them.
    """
    rows = [
        (
            each.workload,
            each.tested,
            each.base,
            spread(Summary.of(each.ratios)),
            f"{each.limit:.2f}",
            f"{chanceOfLess([ratio / each.limit for ratio in each.ratios]):.4f}",
            "**slower**" if each.isSlower else "",
        )
        for each in verdicts
    ]
    return table(("workload", "tested", "against", "x", "at least", "p", ""), rows)
