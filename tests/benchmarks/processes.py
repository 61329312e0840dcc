"""
The processes of contestants, as their parent sees them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from typing_extensions import Self

from .children import HANDICAP
from .contestants import Contestant
from .credentials import Credentials
from .results import Result
from .workloads import Workload

ROOT = Path(__file__).parent.parent.parent


class MeasurementFailed(Exception):
    """
    A process has ended before it told what was asked of it.
    """


class Child(ABC):
    """
    The process of a contestant in one round.
    """

    def __init__(self, contestant: Contestant, credentials: Credentials, *arguments: str) -> None:
        """
        @param arguments: a module to run, and what to tell it.
        """
        environment = {
            **os.environ,
            HANDICAP: str(contestant.handicap),
            "SSL_CERT_FILE": str(credentials.platform),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, line: str) -> None:
        """
        Send it a line.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """
        @return: what it says next.
        @raise MeasurementFailed: it ends instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise MeasurementFailed(f"{self._process.args!r} ended")
        return json.loads(line)

    @abstractmethod
    def measure(self, workload: Workload, factor: float) -> Result:
        """
        @param factor: how many times the usual amount is to be done.
        """


class MemoryChild(Child):
    """
    One that works in memory.
    """

    def __init__(self, contestant: Contestant, credentials: Credentials) -> None:
        super().__init__(
            contestant,
            credentials,
            "tests.benchmarks.memory",
            contestant.program,
            str(credentials.directory),
        )

    def measure(self, workload: Workload, factor: float) -> Result:
        self.tell(f"{workload.name} {factor}")
        return Result(**self.hear()["result"])
