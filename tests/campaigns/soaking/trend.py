"""
What is flat: whether figures grow, judged by their median slope.

A figure goes up and down with what happens to be under way.  The slope by Theil
and Sen, the median of the slopes between any two samples, does not heed such
noise, nor single outliers, but a steady growth is what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import Any, NamedTuple

#: This part of the samples is from the time in which caches fill up.
WARM_UP = 0.2

#: By how much each figure may grow from then on, whatever the time: what
#: is not named may not grow by one.
LIMITS: Mapping[str, float] = {
    # With the holes between what is in use, of which there are more with time.
    "resident memory, MiB": 32,
    # With the sessions that servers remember for some time: more of them if there
    # is more traffic of late than before.
    "memory from malloc, MiB": 8,
    "blocks of Python's allocator": 2000,
    "objects known to the collector": 500,
    "Deferreds": 8,
    "timers": 8,
    "descriptors": 4,
    "readers of the reactor": 4,
    "sessions of clients": 40,
    "purposes with sessions": 10,
    "client options": 4,
    # A pool's, for blocking clients of others.
    "threads": 4,
}

_OTHERWISE = 1.0

#: How much of some things there may be at rest at all, besides what idle
#: connections have: what is given back late does not grow, either.
CEILINGS: Mapping[str, float] = {
    "streams": 0,
    "protocols": 0,
    "engines": 0,
    "OpenSSL connections": 0,
    "parked handshakes": 0,
    "timers": 20,
    "threads": 20,
    "descriptors": 60,
    "temporary files": 4,
}


class Sample(NamedTuple):
    """
    @ivar seconds: since the beginning.
    @ivar connections: so many have been opened and closed.
    """

    seconds: float
    connections: int
    figures: Mapping[str, float]


class Trend(NamedTuple):
    """
    @ivar start: median of the first samples behind the warm-up.
    @ivar end: median of the last samples.
    @ivar least: of all samples behind the warm-up.
    @ivar most: of the same.
    @ivar perHour: the slope.
    @ivar perTenThousand: the slope by connections.
    @ivar growth: over the time behind the warm-up, by the slope.
    @ivar limit: of the growth.
    """

    start: float
    end: float
    least: float
    most: float
    perHour: float
    perTenThousand: float
    growth: float
    limit: float

    @property
    def isFlat(self) -> bool:
        """
        Whether the growth is within its limit.
        """
        return self.growth < self.limit


def slope(points: Sequence[tuple[float, float]]) -> float:
    """
    @return: the median of the slopes between any two points (Theil 1950, Sen
        1968).
    """
    return median((b - a) / (y - x) for (x, a), (y, b) in combinations(points, 2) if y != x)


def trends(samples: Sequence[Sample]) -> dict[str, Trend]:
    """
    @param samples: of one process, at least 6, in their order.
    @return: for each figure how it went.
    """
    kept = samples[int(len(samples) * WARM_UP) :]
    seconds = kept[-1].seconds - kept[0].seconds
    some = max(1, len(kept) // 10)
    found = {}
    for name in kept[0].figures:
        values = [each.figures[name] for each in kept]
        perSecond = slope([(each.seconds, each.figures[name]) for each in kept])
        perConnection = slope([(each.connections, each.figures[name]) for each in kept])
        found[name] = Trend(
            median(values[:some]),
            median(values[-some:]),
            min(values),
            max(values),
            perSecond * 3600,
            perConnection * 10000,
            perSecond * seconds,
            LIMITS.get(name, _OTHERWISE),
        )
    return found


def growing(found: Mapping[str, Trend]) -> list[str]:
    """
    @return: a line for each figure that grows.
    """
    return [
        f"{name} grows by {each.growth:.1f}, from {each.start:.1f} to {each.end:.1f}: "
        f"{each.perTenThousand:+.1f} per 10,000 connections, limit {each.limit:g}"
        for name, each in found.items()
        if not each.isFlat
    ]


def tooMany(found: Mapping[str, Trend], idle: int) -> list[str]:
    """
    @param idle: so many connections are idle.
    @return: a line for each figure that is above its ceiling.
    """
    return [
        f"{name}: {found[name].most:.0f}, more than {ceiling:.0f} at rest with {idle} connections"
        for name, ceiling in CEILINGS.items()
        if found[name].most > idle + ceiling
    ]


def newcomers(before: Mapping[str, int], after: Mapping[str, int]) -> list[tuple[str, int]]:
    """
    @return: the types of which there are most more objects than before, and how
        many.
    """
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    ranked: list[Any] = sorted(more.items(), key=lambda each: -each[1])
    return [(name, count) for name, count in ranked[:10] if count > 0]
