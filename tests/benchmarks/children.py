"""
What the processes that are measured have in common.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time

from .profiling import begun, parts
from .results import Result

#: In the environment: how many times the time that it needs a process is to
#: take; to see whether that is noticed.
HANDICAP = "BENCHMARK_HANDICAP"

#: The same: anything if a process is to tell what its time goes to.
PROFILED = "BENCHMARK_PROFILED"


def memory(name: str, process: int | str = "self") -> int:
    """
    @param name: C{VmRSS}, or C{VmHWM} for its peak.  (What C{getrusage} tells
        begins with that of the parent.)
    @return: the memory of a process, in KiB.
    """
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(rf"^{name}:\s*(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


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
        self._profile = begun() if os.environ.get(PROFILED) else None

    def __enter__(self) -> None:
        self._started = process_time(), perf_counter()
        if self._profile is not None:
            self._profile.enable()

    def __exit__(self, *_: object) -> None:
        if self._profile is not None:
            self._profile.disable()
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
        found = None if self._profile is None else parts(self._profile)
        return Result(amount, self.cpu, self.wall, memory("VmHWM"), parts=found)


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
