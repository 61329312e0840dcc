"""
.NET's SslStream, as Mono has it: TLS 1.2, servers with RSA keys.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.credentials import HOST, Credentials

from .jobs import Job

_SOURCE = Path(__file__).parent / "Servers.cs"


def serve(jobs: Sequence[Job], credentials: Credentials) -> None:
    """
    Become the program in C#.
    """
    program = credentials.directory / "Servers.exe"
    if not program.exists():
        command = ["mcs", "-langversion:latest", f"-out:{program}", str(_SOURCE)]
        subprocess.run(command, stdout=sys.stderr, check=True)
    words = [str(word) for job in jobs for word in job.words]
    os.execvp("mono", ["mono", str(program), str(credentials.pfx), HOST, *words])
