"""
What is to be reached, as data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .figures import Summary
from .results import Results
from .workloads import WORKLOADS


@dataclass(frozen=True)
class Target:
    """
    How many times as much another is to cost.

    @ivar workload: of who is tested.
    @ivar tested: the name of a contestant.
    @ivar base: the name of the one that it is compared with.
    @ivar limit: what the median of the rounds' ratios is to reach.
    @ivar baseWorkload: what the other does, if not the same.
    """

    workload: str
    tested: str
    base: str
    limit: float
    baseWorkload: str = ""

    @property
    def against(self) -> str:
        """
        What it is compared with, in words.
        """
        return f"{self.base}, {self.baseWorkload}" if self.baseWorkload else self.base

    @property
    def demand(self) -> str:
        """
        The limit, in words.
        """
        return f"≥ {self.limit:.2f}"

    def measured(self, results: Results) -> Summary | None:
        """
        @return: the ratios of the rounds; L{None} if there are none.
        """
        base = WORKLOADS[self.baseWorkload or self.workload], self.base
        ratios = results.ratios(base, (WORKLOADS[self.workload], self.tested))
        return Summary.of(ratios) if ratios else None

    def isReached(self, summary: Summary) -> bool:
        """
        @param summary: what was L{measured}.
        """
        return summary.median >= self.limit


@dataclass(frozen=True)
class Ceiling:
    """
    How much something may cost.

    @ivar limit: what the median is to stay below, in the workload's unit.
    """

    workload: str
    tested: str
    limit: float
    against: str = ""

    @property
    def demand(self) -> str:
        """
        The limit, in words.
        """
        return f"≤ {self.limit:g} {WORKLOADS[self.workload].unit}"

    def measured(self, results: Results) -> Summary | None:
        """
        @return: the costs of the rounds; L{None} if there are none.
        """
        costs = results.costs(WORKLOADS[self.workload], self.tested)
        return Summary.of(costs) if costs else None

    def isReached(self, summary: Summary) -> bool:
        """
        @param summary: what was L{measured}.
        """
        return summary.median <= self.limit


def _each(
    tested: str, base: str, limits: Iterable[tuple[str, float]], prefix: str = ""
) -> list[Target]:
    return [Target(prefix + name, tested, base, limit) for name, limit in limits]


_SERVER = "memory-handshake-server-"
_CLIENT = "memory-handshake-client-"
_BULK = ("send-16k", "send-64k", "send-1m", "receive-16k", "receive-64k")

TARGETS: tuple[Target | Ceiling, ...] = (
    *_each(
        "ours",
        "stock",
        (
            ("send-1k", 1.9),
            ("send-16k", 1.9),
            ("send-64k", 2.0),
            ("receive-16k", 1.5),
            ("receive-1k", 2.5),
            ("echo-100b", 2.4),
            ("handshake-server-ec", 1.1),
            ("handshake-server-rsa", 1.1),
            ("handshake-client-ec", 1.3),
            ("handshake-client-rsa", 1.3),
        ),
        "memory-",
    ),
    Target(f"{_CLIENT}ec-resumed", "ours", "ours", 2.2, f"{_CLIENT}ec"),
    Target(f"{_SERVER}rsa-resumed", "ours", "ours", 3.0, f"{_SERVER}rsa"),
    # A callback that waits costs at most 5 % more than one that does not.
    Target(f"{_SERVER}ec-waiting", "ours", "ours", 1 / 1.05, f"{_SERVER}ec-plain"),
    Target(f"{_CLIENT}ec-waiting", "ours", "ours", 1 / 1.05, f"{_CLIENT}ec-plain"),
    *_each(
        "ours",
        "bare",
        (("send-64k", 0.85), ("receive-16k", 0.87), ("echo-100b", 0.6)),
        "memory-",
    ),
    *_each(
        "ours-epoll",
        "stock-epoll",
        (
            ("send-1k", 1.4),
            ("send-16k", 2.2),
            ("send-64k", 2.1),
            ("send-1m", 3.5),
            ("receive-16k", 2.0),
            ("echo-100b-x1", 1.6),
            ("echo-100b-x100", 1.6),
            ("handshake-server-ec", 1.0),
            ("handshake-server-rsa", 1.0),
            ("handshake-client-ec", 1.3),
            ("handshake-client-rsa", 1.3),
            ("handshake-client-platform", 8.0),
        ),
    ),
    Ceiling("rest-fresh", "ours-epoll", 24.5),
    Ceiling("rest-16k", "ours-epoll", 27),
    Ceiling("rest-64k", "ours-epoll", 30),
    *_each("ours-epoll", "uvloop-protocol", ((name, 0.9) for name in _BULK)),
    *_each("ours-uvloop", "uvloop-protocol", ((name, 1.0) for name in _BULK)),
)
