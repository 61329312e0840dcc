"""
What was measured.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .figures import ratios

if TYPE_CHECKING:
    from .workloads import Workload


@dataclass(frozen=True)
class Result:
    """
    One measurement.

    @ivar amount: of what was done: bytes, messages or handshakes.
    @ivar cpu: the tested process's time on a processor for it, in seconds; if it
        is memory that is measured, 0.
    @ivar wall: the time it took, in seconds.
    @ivar peak: the most memory that the process had, in KiB.
    @ivar memory: of each connection, in KiB, if that is measured.
    @ivar parts: what the time has gone to, in seconds, if that is measured.
    """

    amount: int
    cpu: float
    wall: float
    peak: int = 0
    memory: float | None = None
    parts: dict[str, float] | None = None


@dataclass
class Results:
    """
    All rounds of all contestants.

    @ivar skipped: why a contestant did not run, by its name.
    """

    machine: str = ""
    skipped: dict[str, str] = field(default_factory=dict)
    _rounds: dict[tuple[str, str], list[Result]] = field(default_factory=lambda: defaultdict(list))

    def add(self, workload: str, contestant: str, result: Result) -> None:
        """
        Note a contestant's next round.
        """
        self._rounds[workload, contestant].append(result)

    def rounds(self, workload: str, contestant: str) -> list[Result]:
        """
        @return: a contestant's rounds, in order; none if it has not run.
        """
        return self._rounds.get((workload, contestant), [])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """
        @return: each workload and contestant that has run.
        """
        return iter(self._rounds)

    def costs(self, workload: Workload, contestant: str) -> list[float]:
        """
        @return: what each round cost, in the workload's unit.
        """
        return [workload.cost(each) for each in self.rounds(workload.name, contestant)]

    def ratios(self, base: tuple[Workload, str], tested: tuple[Workload, str]) -> list[float]:
        """
        @param base: a workload and a contestant.
        @param tested: the same or another.
        @return: how many times as much the first cost, for each round; none if
            either has not run.
        """
        costs = [self.costs(*each) for each in (base, tested)]
        return ratios(*costs) if all(costs) else []

    def write(self, path: Path) -> None:
        """
        Write all as JSON.
        """
        rounds = [
            {"workload": workload, "contestant": contestant, "rounds": list(map(asdict, results))}
            for (workload, contestant), results in self._rounds.items()
        ]
        content = {"machine": self.machine, "skipped": self.skipped, "results": rounds}
        path.write_text(json.dumps(content, indent=1) + "\n")

    def read(self, path: Path) -> None:
        """
        Add what L{write} has written.
        """
        content: dict[str, Any] = json.loads(path.read_text())
        self.machine = content["machine"]
        self.skipped.update(content["skipped"])
        for each in content["results"]:
            for one in each["rounds"]:
                self.add(each["workload"], each["contestant"], Result(**one))
