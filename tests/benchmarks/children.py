"""
What the processes that are measured have in common.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict
from time import perf_counter, process_time

from .results import Result

#: In the environment: how many times the time that it needs a process is to
#: take; to see whether that is noticed.
HANDICAP = "BENCHMARK_HANDICAP"


class Watch:
    """
    Adds up what the tested side takes.

    @ivar cpu: on a processor, in seconds.
    @ivar wall: by the clock, in seconds.
    """

    def __init__(self) -> None:
        self.cpu = 0.0
        self.wall = 0.0
        self._handicap = float(os.environ.get(HANDICAP, "1"))

    def __enter__(self) -> None:
        self._started = process_time(), perf_counter()

    def __exit__(self, *_: object) -> None:
        cpu, wall = self._started
        if self._handicap > 1:
            end = cpu + (process_time() - cpu) * self._handicap
            while process_time() < end:
                pass
        self.cpu += process_time() - cpu
        self.wall += perf_counter() - wall

    def result(self, amount: int) -> Result:
        """
        @param amount: of what was done.
        """
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Result(amount, self.cpu, self.wall, peak)


def say(content: object) -> None:
    """
    Tell the parent something, in one line.
    """
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def report(workload: str, result: Result) -> None:
    """
    Tell the parent what was measured.
    """
    say({"workload": workload, "result": asdict(result)})
