"""
A contestant's process over sockets: C{python -m tests.benchmarks.sockets
CONTESTANT DIRECTORY FACTOR PORT WORKLOAD...}.

Without a port, 0, it listens on one for each workload, and tells them; with one
it connects to that, and ends when it is done.
"""

from __future__ import annotations

import resource
import sys
from importlib import import_module
from pathlib import Path
from threading import Thread

from tests.benchmarks.contestants import byName
from tests.benchmarks.credentials import Credentials
from tests.benchmarks.workloads import WORKLOADS

from .jobs import Job, leave


def _endWithParent() -> None:
    """
    End when nobody holds the other end of our input any more.
    """
    sys.stdin.read()
    leave()


def main(contestant: str, directory: str, factor: str, port: str, *names: str) -> None:
    """
    The command.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    program = byName(contestant)
    Thread(target=_endWithParent, daemon=True).start()
    module = import_module(f"tests.benchmarks.sockets.{program.module}")
    credentials = Credentials(Path(directory))
    workloads = [WORKLOADS[each].scaled(float(factor)) for each in names]
    if int(port):
        [workload] = workloads
        job = Job(workload, leave)
        module.connect(*program.arguments, job, credentials, int(port))
    else:
        module.serve(*program.arguments, list(map(Job, workloads)), credentials)


if __name__ == "__main__":
    main(*sys.argv[1:])
