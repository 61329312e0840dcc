"""
What connections leave behind when the garbage collector does not help: nothing.

Both ends are in this process.  In memory each connection ends in one of
L{FORMS}; over sockets it is one of the soak's conversations.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from txsslstream import SslProtocols, _openssl
from txsslstream.sessions import sessions
from txsslstream.testing import VERSIONS, StreamPair, sharedAuthority

from .forms import FORMS
from .material import Material
from .member import run
from .rounds import ROUND, Asking
from .sampling import types
from .serving import Servers

#: The modules whose objects must be gone, and those of what is remembered for
#: other connections: there is not more of it for more connections.
_OURS = ("txsslstream.", "OpenSSL.")
_REMEMBERED = tuple(
    f"txsslstream.{each}." for each in ("chain", "crossing", "enums", "parameters", "policy")
)
#: Conversations with programs that are not there.
_ELSEWHERE = (Asking.python, Asking.openssl, Asking.foreign)
#: Those that are left of connections.
_timers: list[Any] = []
#: So many connections there are between two counts.
BATCH = 100


@contextmanager
def withoutCollector() -> Iterator[None]:
    """
    Nothing is collected meanwhile.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _connection(
    form: Callable[[StreamPair, SslProtocols], None], version: SslProtocols
) -> Iterator[tuple[str, weakref.ref[Any]]]:
    """
    Open a connection and end it.

    @return: references to what must not be left of it, and what that is.
    """
    pair = StreamPair()
    form(pair, version)
    pair.flush()
    for each in pair.clock.getDelayedCalls():
        # The clock would go as well.
        _timers.append(each)
        yield "timer", weakref.ref(each)
    for end in pair.wire.ends:
        if end.connected:
            raise AssertionError(f"{form.__name__}: {end} is connected")
        # As a socket of the reactor's does, which keeps no protocol then.
        end.protocol = None
    for stream in (pair.client, pair.server):
        protocol: Any = stream._protocol
        authentication = protocol._authentication
        engine = authentication.engine
        for part in (stream, protocol, authentication, engine, engine.connection):
            yield f"{type(part).__name__}", weakref.ref(part)


def inMemory(connections: int) -> dict[str, Any]:
    """
    Open and close so many connections in memory, with the collector disabled.

    @return: how many there were of each form; what was left of them, by the
        types of the objects; how many more objects there are altogether, by
        types that are not ours; and how many the collector finds in the end.
    """
    sharedAuthority()
    every = [(form, version) for form in FORMS for version in VERSIONS]
    for form, version in every * 2:
        list(_connection(form, version))
    turns = cycle(every)
    had: Counter[str] = Counter()
    left: Counter[str] = Counter()
    with withoutCollector():
        before = _count()
        for start in range(0, connections, BATCH):
            parts: list[tuple[str, weakref.ref[Any]]] = []
            for form, version in islice(turns, min(BATCH, connections - start)):
                had[form.__name__] += 1
                parts += [
                    (f"{kind} of {form.__name__}", part)
                    for kind, part in _connection(form, version)
                ]
            left.update(name for name, part in parts if part() is not None)
            del parts
        after = _count()
        found = gc.collect()
    return {"connections": dict(had), "collected": found, **_told(before, after, left)}


def _count() -> Counter[str]:
    """
    @return: L{types}, without what is kept for the connections to come.
    """
    sessions.clear()
    _openssl._sharedContext.cache_clear()
    return types()


def _told(
    before: Mapping[str, int], after: Mapping[str, int], left: Mapping[str, int]
) -> dict[str, Any]:
    more = {
        name: after[name] - before.get(name, 0)
        for name in sorted(after)
        if after[name] > before.get(name, 0)
    }
    ours = {
        name: count
        for name, count in more.items()
        if name.startswith(_OURS) and not name.startswith(_REMEMBERED)
    }
    return {
        "left": {**ours, **left},
        "objects": sum(after.values()) - sum(before.values()),
        "others": {name: count for name, count in more.items() if name not in ours},
    }


class _Sockets:
    """
    The same over sockets.
    """

    def __init__(self, reactor: Any, home: Path) -> None:
        self._reactor = reactor
        self._servers = Servers(reactor, home)
        self._material = Material(home)

    async def leave(self, connections: int) -> dict[str, Any]:
        """
        Open and close so many connections over sockets.

        @return: as L{inMemory}, without the forms.
        """
        asking = Asking(self._reactor, self._material, await self._servers.ports())
        every = [each for each in ROUND if each not in _ELSEWHERE]
        await self._have(asking, every * 2)
        opened = asking.opened
        with withoutCollector():
            before = _count()
            turns = cycle(every)
            while asking.opened - opened < connections:
                await self._have(asking, list(islice(turns, BATCH)))
            after = _count()
            found = gc.collect()
        told = _told(before, after, {})
        return {"connections": asking.opened - opened, "collected": found, **told}

    async def _have(
        self, asking: Asking, conversations: list[Callable[[Asking], Awaitable[None]]]
    ) -> None:
        few = DeferredSemaphore(8)

        def one(each: Callable[[Asking], Any]) -> Deferred[None]:
            return few.run(lambda: Deferred.fromCoroutine(each(asking)))

        await gatherResults(list(map(one, conversations)), consumeErrors=True)
        await self._servers.rest(0)
        # What is done in the next turn of the reactor is done.
        await deferLater(self._reactor, 0.1)


def begin(reactor: Any, home: Path) -> Mapping[str, Callable[..., Awaitable[Any]]]:
    """
    Make what answers the conductor.
    """
    Factory.noisy = False

    async def memory(connections: int) -> dict[str, Any]:
        return inMemory(connections)

    return {"memory": memory, "sockets": _Sockets(reactor, home).leave}


if __name__ == "__main__":
    run(begin)
