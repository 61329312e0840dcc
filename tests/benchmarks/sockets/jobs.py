"""
What every contestant's program has to do, however it does it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable, Callable

from tests.benchmarks.children import Watch, report
from tests.benchmarks.workloads import WARM_UP, Workload

#: What a producer writes from.
_ZEROS = bytes(1 << 20)


class Job:
    """
    One workload, as the tested side sees it.

    @ivar echoes: whether what comes is sent back.
    @ivar chunk: what is written at a time if it is this side that sends.
    """

    def __init__(self, workload: Workload, finished: Callable[[], object] | None = None) -> None:
        """
        @param finished: called when it is done; otherwise the process goes on.
        """
        self.workload = workload
        self.echoes = workload.kind in ("echo", "handshake", "rest")
        self.chunk = _ZEROS[: workload.size]
        self._finished = finished
        self._watch = Watch()
        # In bytes that are received.
        self._count = 0
        self._start, self._end = {
            "receive": (0, workload.amount),
            "send": (0, 2),
            "echo": (0, workload.amount * workload.size),
            "handshake": (WARM_UP, WARM_UP + workload.amount),
        }.get(workload.kind, (-1, -1))

    @property
    def writes(self) -> int:
        """
        How many times it writes if it is this side that sends.
        """
        return self.workload.amount // self.workload.size

    @property
    def sends(self) -> bool:
        """
        Whether this side sends, once it has heard anything.
        """
        return self.workload.kind == "send" and self._count == 0

    @property
    def words(self) -> tuple[object, ...]:
        """
        All that a program in another language has to know of it.
        """
        workload = self.workload
        numbers = workload.size, workload.amount, self._start, self._end
        return workload.name, workload.kind, *numbers

    def received(self, size: int) -> bytes:
        """
        Note that so many bytes have come.

        @return: what to answer: a byte when all has come that is only read, so
            that the peer does not close what is still being read.
        """
        if self._count == 0 == self._start:
            self._watch.__enter__()
        self._count += size
        if self._count == self._start:
            self._watch.__enter__()
        elif self._count == self._end:
            self._watch.__exit__()
            report(self.workload.name, self._watch.result(self.workload.amount))
            if self._finished is not None:
                self._finished()
            if self.workload.kind == "receive":
                return b"x"
        return b""


async def converse(
    job: Job, received: AsyncIterable[bytes], send: Callable[[bytes], Awaitable[object]]
) -> None:
    """
    Do a job on one connection, for programs that are coroutines.

    @param received: what comes.
    @param send: writes, and waits until more may be written.
    """
    async for data in received:
        begins = job.sends
        if job.echoes:
            await send(data)
        answer = job.received(len(data))
        if answer:
            await send(answer)
        for _ in range(job.writes if begins else 0):
            await send(job.chunk)


def leave() -> None:
    """
    End the process at once.
    """
    os._exit(0)
