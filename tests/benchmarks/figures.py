"""
What is made of measurements: medians, ratios inside a round, and whether one
contestant is slower than another by more than chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import log
from statistics import median, quantiles


@dataclass(frozen=True)
class Summary:
    """
    The middle of some figures, and between which two the middle half of them is.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Summary:
        """
        @raise ValueError: there are none.
        """
        if not figures:
            raise ValueError("nothing was measured")
        if len(figures) == 1:
            return cls(figures[0], figures[0], figures[0])
        low, _, high = quantiles(figures, n=4, method="inclusive")
        return cls(median(figures), low, high)


def ratios(base: Sequence[float], tested: Sequence[float]) -> list[float]:
    """
    @param base: what each round cost the one.
    @param tested: what it cost the other.
    @return: how many times as much the first cost, for each round.
    @raise ValueError: they have not run the same rounds.
    """
    if len(base) != len(tested):
        raise ValueError(f"{len(base)} rounds are not {len(tested)}")
    return [one / other for one, other in zip(base, tested, strict=True)]


def chanceOfLess(ratios: Sequence[float]) -> float:
    """
    Wilcoxon's signed-rank test of the logarithms, one-sided and exact.

    @param ratios: see L{ratios}.
    @return: how probable it is that they would be as far below 1 as they are,
        or farther, if there were no difference but chance; from 0 to 1.
    """
    # Rounded, so that 0.8 and 1.25 are as far from 1.
    logs = sorted((round(log(each), 12) for each in ratios if each != 1), key=abs)
    # Of figures that are as far from zero each has the middle of their ranks;
    # they are doubled to be integers.
    ranks: list[tuple[int, bool]] = []
    for _, group in groupby(logs, abs):
        same = list(group)
        rank = 2 * len(ranks) + len(same) + 1
        ranks += [(rank, each > 0) for each in same]
    above = sum(rank for rank, isAbove in ranks if isAbove)
    # How many of all choices of signs have a sum of at most this.
    ways = {0: 1}
    for rank, _ in ranks:
        more = dict(ways)
        for total, count in ways.items():
            more[total + rank] = more.get(total + rank, 0) + count
        ways = more
    likely = sum(count for total, count in ways.items() if total <= above)
    return float(likely / 2 ** len(ranks))


def isSlower(ratios: Sequence[float], comparisons: int = 1, error: float = 0.01) -> bool:
    """
    @param comparisons: how many are made at the same time.
    @param error: how probable a false alarm in any of them may be.
    @return: whether the tested side is slower than the base by more than chance.
    """
    return chanceOfLess(ratios) <= error / comparisons
