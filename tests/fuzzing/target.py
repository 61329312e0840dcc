"""
What a target is, and how one input is tried.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

#: In how many pieces an input is cut at most.
_MOST_PIECES = 4000


class Finding(Exception):
    """
    What must not be: the message says what.
    """


def require(isSo: object, what: str) -> None:
    """
    @raise Finding: it is not so.
    """
    if not isSo:
        raise Finding(what)


@dataclass(frozen=True)
class Target:
    """
    Something that takes bytes from somebody who may mean harm.

    @ivar name: what it is called on the command line and in files.
    @ivar title: what it is, in words.
    @ivar examine: takes an input, and returns in a word what came of it.
    @ivar seeds: makes inputs to begin with.
    @ivar errors: what C{examine} may raise: the documented errors, and none of
        their bases.
    @ivar words: what inputs are made of, if they are text.
    @ivar longest: bytes of the inputs that are searched for.
    @ivar largest: bytes to which inputs are grown.
    @ivar seconds: CPU time that an input may take, whatever it is.
    @ivar perByte: and for each of its bytes.
    @ivar memory: bytes of Python's memory that an input may take.
    @ivar memoryPerByte: and for each of its bytes.
    @ivar sampled: of so many inputs one has its memory measured.
    @ivar share: inputs of each thousand of a whole run.
    """

    name: str
    title: str
    examine: Callable[[bytes], str]
    seeds: Callable[[], Iterable[bytes]]
    errors: tuple[type[BaseException], ...] = ()
    words: Iterable[str] = ()
    longest: int = 2048
    largest: int = 1 << 16
    seconds: float = 0.1
    perByte: float = 5e-6
    memory: int = 2 << 20
    memoryPerByte: int = 64
    sampled: int = 1000
    share: int = 1


@dataclass
class Slowest:
    """
    @ivar seconds: of CPU time.
    @ivar data: the input.
    """

    seconds: float = 0
    data: bytes = b""


@dataclass
class Trial:
    """
    Tries inputs.

    @ivar inputs: how many were tried.
    @ivar outcomes: what came of them, and how often.
    @ivar slowest: which has taken longest.
    @ivar longest: bytes of the longest.
    @ivar memory: bytes of Python's memory that a measured one has taken at most.
    """

    target: Target
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: Slowest = field(default_factory=Slowest)
    longest: int = 0
    memory: int = 0
    _complaints: list[str] = field(default_factory=list)

    def run(self, data: bytes) -> None:
        """
        Try an input.

        @raise Finding: something came of it that must not.
        @raise BaseException: an error that is not documented.
        """
        self.inputs += 1
        self.longest = max(self.longest, len(data))
        began = time.perf_counter()
        outcome = self._outcome(data)
        took = time.perf_counter() - began
        self.outcomes[outcome] += 1
        if self._complaints:
            complaint, *_ = self._complaints
            self._complaints.clear()
            raise Finding(complaint)
        if took > self.slowest.seconds:
            # Others may have had the machine, or garbage was collected; and the
            # clock of CPU time takes long to read.
            seconds = min(self._timed(data), self._timed(data))
            most = self.target.seconds + self.target.perByte * len(data)
            words = f"{len(data)} bytes take {seconds:.3f} s, more than {most:.3f}"
            require(seconds <= most, words)
            if seconds > self.slowest.seconds:
                self.slowest = Slowest(seconds, data)
        if self.inputs % self.target.sampled == 1:
            self._measure(data)

    def _outcome(self, data: bytes) -> str:
        try:
            return self.target.examine(data)
        except self.target.errors as e:
            return type(e).__name__

    def _timed(self, data: bytes) -> float:
        began = time.thread_time()
        self._outcome(data)
        return time.thread_time() - began

    def _measure(self, data: bytes) -> None:
        tracemalloc.start()
        try:
            self._outcome(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.memory = max(self.memory, peak)
        most = self.target.memory + self.target.memoryPerByte * len(data)
        require(peak <= most, f"{len(data)} bytes take {peak} bytes of memory, more than {most}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """
        Have what is logged as an error, or raised where nobody could catch it,
        count as what came of the input.
        """

        @implementer(ILogObserver)
        def observe(event: Any) -> None:
            isCritical = event.get("log_level") is LogLevel.critical
            if isCritical or event.get("log_failure") is not None:
                failure = event.get("log_failure")
                trace = "" if failure is None else failure.getTraceback()
                self._complaints.append(f"in the log: {formatEvent(event)}\n{trace}")

        def ignored(what: Any) -> None:
            self._complaints.append(f"nobody could catch {what.exc_value!r} in {what.object!r}")

        before = sys.unraisablehook
        sys.unraisablehook = ignored
        globalLogPublisher.addObserver(observe)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observe)
            sys.unraisablehook = before


def grown(data: bytes, size: int, at: int, width: int) -> bytes:
    """
    @return: an input with a part of it repeated until it has so many bytes.
    """
    if not data:
        return bytes(size)
    start = at % len(data)
    part = data[start : start + width]
    times = max(0, size - len(data)) // len(part)
    return data[:start] + part * (times + 1) + data[start + len(part) :]


def pieces(data: bytes, size: int) -> list[bytes]:
    """
    @return: it in pieces of so many bytes, of more if they were too many; whole
        for 0.
    """
    size = max(size, len(data) // _MOST_PIECES) or max(len(data), 1)
    return [data[start : start + size] for start in range(0, len(data), size)]


def chosen(data: bytes) -> tuple[int, bytes]:
    """
    @return: the first byte, which chooses how the rest is read, and the rest.
    """
    return (data[0], data[1:]) if data else (0, b"")
