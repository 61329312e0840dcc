"""
The clients of a soak, a process of its own: C{python -m tests.campaigns.soaking.driving HOME}.

It begins conversations as long as both processes have used less than their
share of the processor, and can come to rest: then no connection is open but
those that are idle on purpose, so that what is counted can be compared.
"""

from __future__ import annotations

import os
import re
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client

from txsslstream import SslStream

from .asking import NAMES, opened
from .material import DOMAIN, Material
from .member import run, settled
from .rounds import ROUND, Asking

#: So many connections are idle, and wake up now and then.
IDLE = 12
#: Seconds for which one is idle, at most.
SLEEP = 8.0
#: After so many times that one was awake, another takes its place.
AWAKE = 5
#: So many conversations there are at once, at most.
AT_ONCE = 24
#: Seconds between two looks at what was used.
TICK = 0.02
#: Seconds of the processor that may be caught up with.
ARREARS = 0.2


def processorTime(pid: int) -> float:
    """
    @return: how many seconds of a processor that process has used.
    """
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Driver:
    """
    Has the conversations.
    """

    def __init__(self, reactor: Any, home: Path) -> None:
        self._reactor = reactor
        self._material = Material(home)
        self._random = Random(8)
        self._asking: Asking
        self._pids: tuple[int, ...] = ()
        self._share = 0.0
        self._budget = 0.0
        self._used = 0.0
        self._earnedAt = 0.0
        self._active: Counter[str] = Counter()
        self._isResting = True
        self._woken: list[Deferred[None]] = []
        self._had: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._round: list[Callable[[Asking], Awaitable[None]]] = []

    async def begin(self, ports: Mapping[str, int], server: int, share: float) -> int:
        """
        Fill the caches, open the idle connections, and begin.

        @param server: the other process that is counted.
        @param share: of one processor, for both.
        @return: how many connections there were.
        """
        self._asking = Asking(self._reactor, self._material, ports)
        self._pids = (os.getpid(), server)
        self._share = share
        self._isResting = False
        for number in range(NAMES):
            name = f"n{number}.{DOMAIN}"
            await self._asking.conversation("main", targetHost=name)
        for _ in range(IDLE):
            ensureDeferred(self._idle())
        self._account()
        self._tick()
        return self._asking.opened

    async def rest(self) -> dict[str, Any]:
        """
        Begin nothing more, and wait for the end of what has begun.

        @return: how it went so far, and how many connections are left.
        """
        self._isResting = True
        for _ in range(7500):
            if not self._active.total():
                break
            await deferLater(self._reactor, TICK)
        else:
            self._failed[f"do not end: {dict(+self._active)}"] += 1
        # Who was refused may still be telling the server so.
        await settled(self._reactor, Client, lambda count: count <= IDLE)
        return {
            "opened": self._asking.opened,
            "resumed": self._asking.resumed,
            "certificates": len(self._asking.serials),
            "conversations": dict(self._had),
            "failed": dict(self._failed),
            "idle": IDLE,
        }

    async def proceed(self) -> None:
        """
        Go on.
        """
        self._isResting = False
        self._account()
        woken, self._woken = self._woken, []
        for each in woken:
            each.callback(None)

    def _account(self) -> None:
        """
        What was used until now does not count.
        """
        self._used = sum(map(processorTime, self._pids))
        self._earnedAt = self._reactor.seconds()

    def _tick(self) -> None:
        self._reactor.callLater(TICK, self._tick)
        if self._isResting:
            return
        used = sum(map(processorTime, self._pids))
        now = self._reactor.seconds()
        earned = (now - self._earnedAt) * self._share
        self._budget = min(self._budget + earned - (used - self._used), ARREARS)
        self._used, self._earnedAt = used, now
        # What they cost shows later.
        for _ in range(4):
            if self._budget > 0 and self._active.total() < AT_ONCE:
                ensureDeferred(self._one())

    async def _one(self) -> None:
        if not self._round:
            self._round = [each for each, times in ROUND.items() for _ in range(times)]
            self._random.shuffle(self._round)
        conversation = self._round.pop()
        await self._counted(conversation.__name__, conversation(self._asking))

    async def _counted(self, name: str, doing: Awaitable[None]) -> None:
        self._active[name] += 1
        streams: list[SslStream] = []
        opened.set(streams)
        try:
            await doing
            self._had[name] += 1
        except Exception as e:
            for stream in streams:
                stream.abort()
            where = traceback.extract_tb(e.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            if len(self._failed) < 50:
                said = re.sub(r"\d{2,}", "N", f"{type(e).__name__}: {e}")
                self._failed[f"{name}: {said} ({place})"] += 1
        finally:
            self._active[name] -= 1

    async def _idle(self) -> None:
        """
        Be one of the idle connections, for ever.
        """
        streams: list[SslStream] = []

        async def again() -> None:
            # At once, so that at rest there is always the same number.
            while streams:
                await streams.pop().close()
            stream = await self._asking.connect("main")
            # For hours, if need be.
            stream.readTimeout = stream.writeTimeout = None
            streams.append(stream)

        while True:
            await self._isTime()
            await self._counted("idleBegins", again())
            for _ in range(AWAKE):
                await deferLater(self._reactor, self._random.random() * SLEEP)
                await self._isTime()
                if streams:
                    await self._counted("idleWakes", self._asking.echoed(streams[0]))

    async def _isTime(self) -> None:
        if self._isResting:
            woken: Deferred[None] = Deferred()
            self._woken.append(woken)
            await woken


def begin(reactor: Any, home: Path) -> Mapping[str, Callable[..., Awaitable[Any]]]:
    """
    Make what answers the conductor.
    """
    Factory.noisy = False
    driver = Driver(reactor, home)
    return {"begin": driver.begin, "rest": driver.rest, "proceed": driver.proceed}


if __name__ == "__main__":
    run(begin)
