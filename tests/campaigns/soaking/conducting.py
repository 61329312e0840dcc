"""
The processes of a soak, as they are conducted.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...programs import environment
from .trend import Sample, growing, newcomers, tooMany, trends

_PACKAGE = "tests.campaigns.soaking"


class Member:
    """
    One of the processes.

    @ivar name: what it is called in results.
    @ivar samples: of it, so far.
    @ivar last: the last answer about it.
    """

    def __init__(self, name: str, module: str, home: Path) -> None:
        """
        @param module: what it runs.
        @param home: where the certificates are.
        """
        self.name = name
        self._log = home / f"{module}.log"
        self.samples: list[Sample] = []
        self.last: dict[str, Any] = {}
        directory = home / module
        directory.mkdir()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{_PACKAGE}.{module}", str(home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env={
                    **os.environ,
                    **environment(home),
                    "TMPDIR": str(directory),
                    "XDG_CACHE_HOME": str(home / f"{module}-cache"),
                },
            )

    def said(self) -> list[str]:
        """
        @return: what it has written that is no answer, as a line or none.
        """
        text = self._log.read_text("utf-8", "replace")
        return [f"{self.name} said: {text[-2000:]}"] if text else []

    def ask(self, command: str, *arguments: object, timeout: float = 400) -> Any:
        """
        @return: what it answers.
        @raise RuntimeError: nothing, within so many seconds.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        answer = b""
        until = time.monotonic() + timeout
        while not answer.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise RuntimeError(f"{self.name}: no answer to {command}")
            some = self.process.stdout.read(1 << 16)
            if not some:
                said = self._log.read_text("utf-8", "replace")[-3000:]
                raise RuntimeError(f"{self.name}: it has ended: {said}")
            answer += some
        return json.loads(answer)

    def sample(self, seconds: float, connections: int) -> None:
        """
        Count what it holds.
        """
        # The first one behind the warm-up is whom the last is compared with.
        self.last = self.ask("sample", len(self.samples) < 5)
        self.samples.append(Sample(seconds, connections, self.last["figures"]))

    def end(self) -> None:
        """
        Have it end.
        """
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def conducted(home: Path, *modules: tuple[str, str]) -> Iterator[list[Member]]:
    """
    Run processes, by their names and modules, as long as the C{with} block takes.
    """
    members: list[Member] = []
    try:
        for name, module in modules:
            members.append(Member(name, module, home))
        yield members
    finally:
        for each in reversed(members):
            each.end()


def outcome(member: Member, idle: int) -> tuple[dict[str, Any], list[str]]:
    found = trends(member.samples)
    lines = [
        *growing(found),
        *tooMany(found, idle),
        *member.last["overLimit"],
        *(f"logged {times} times: {said}" for said, times in member.last["complaints"].items()),
    ]
    more = newcomers(member.last["first"], member.last["types"])
    if any(not each.isFlat for each in found.values()):
        lines.append("more objects of the types " + ", ".join(f"{n} ({c})" for n, c in more))
    figures = {name: each._asdict() for name, each in found.items()}
    peak = max(each.figures["resident memory, MiB"] for each in member.samples)
    result = {"figures": figures, "peak": peak, "samples": len(member.samples)}
    return result, [f"{member.name}: {line}" for line in lines]
