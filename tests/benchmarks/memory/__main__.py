"""
A contestant's process in memory: C{python -m tests.benchmarks.memory CONTESTANT
DIRECTORY}.  Each line that it reads names a workload and how often the usual
amount is to be done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks.children import report
from tests.benchmarks.credentials import Credentials
from tests.benchmarks.memory.runs import run
from tests.benchmarks.workloads import WORKLOADS


def main(contestant: str, directory: str) -> None:
    """
    The command.
    """
    credentials = Credentials(Path(directory))
    for line in sys.stdin:
        name, factor = line.split()
        report(name, run(contestant, WORKLOADS[name].scaled(float(factor)), credentials))


if __name__ == "__main__":
    main(*sys.argv[1:])
