"""
What is to be reached, as data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from .results import Results
from .workloads import WORKLOADS


@dataclass(frozen=True)
class Target:
    """
    How many times as much C{base} is to cost.

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
    def medium(self) -> str:
        """
        Where it is measured.
        """
        return WORKLOADS[self.workload].medium

    @property
    def against(self) -> str:
        """
        The workload of the base.
        """
        return self.baseWorkload or self.workload

    def ratios(self, results: Results) -> list[float]:
        """
        @return: those of the rounds; none if either has not run.
        """
        return results.ratios(
            (WORKLOADS[self.against], self.base), (WORKLOADS[self.workload], self.tested)
        )

    def verdict(self, results: Results) -> bool | None:
        """
        @return: whether it is reached; L{None} if it was not measured.
        """
        ratios = self.ratios(results)
        return median(ratios) >= self.limit if ratios else None


def _memory(base: str, limits: Iterable[tuple[str, float]]) -> list[Target]:
    return [Target(f"memory-{name}", "ours", base, limit) for name, limit in limits]


_SERVER = "memory-handshake-server-"
_CLIENT = "memory-handshake-client-"

TARGETS: tuple[Target, ...] = (
    *_memory(
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
    ),
    Target(f"{_CLIENT}ec-resumed", "ours", "ours", 2.2, f"{_CLIENT}ec"),
    Target(f"{_SERVER}rsa-resumed", "ours", "ours", 3.0, f"{_SERVER}rsa"),
    # A callback that waits costs at most 5 % more than one that does not.
    Target(f"{_SERVER}ec-waiting", "ours", "ours", 1 / 1.05, f"{_SERVER}ec-plain"),
    Target(f"{_CLIENT}ec-waiting", "ours", "ours", 1 / 1.05, f"{_CLIENT}ec-plain"),
    *_memory("bare", (("send-64k", 0.85), ("receive-16k", 0.87), ("echo-100b", 0.6))),
)
