"""
What is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .results import Result
from .settings import PLAIN, WAITING, Settings

KIB = 1 << 10
MIB = 1 << 20

#: So many handshakes are not measured at first: they fill caches.
WARM_UP = 20

#: So many messages are echoed at a time.
BATCH = 500

MEMORY = "memory"
SOCKETS = "sockets"


_DEFAULT = Settings()


@dataclass(frozen=True)
class Workload:
    """
    One kind of work.

    @ivar name: what it is called on the command line.
    @ivar medium: L{MEMORY} or L{SOCKETS}.
    @ivar kind: C{send}, C{receive}, C{echo}, C{handshake} or C{rest}, as seen
        from the tested side; the last is memory for each connection that has
        nothing more to do.
    @ivar size: of a write, a record or a message, in bytes.
    @ivar amount: how much of it makes one measurement: bytes of plaintext,
        messages, handshakes or connections.
    @ivar connections: at once.
    @ivar settings: of the tested side.
    @ivar isLong: whether it is measured only if asked for.
    """

    name: str
    medium: str
    kind: str
    size: int
    amount: int
    connections: int = 1
    settings: Settings = _DEFAULT
    isLong: bool = False

    def scaled(self, factor: float) -> Workload:
        """
        @return: the same, with so many times as much to do.
        """
        if self.kind == "rest":
            return self
        step = 10
        if self.kind == "echo":
            step = max(BATCH, self.connections)
        elif self.kind != "handshake":
            step = MIB
        return replace(self, amount=max(1, round(self.amount * factor / step)) * step)

    @property
    def group(self) -> str:
        """
        Those that it is shown beside.
        """
        title = {"send": "bulk send", "receive": "bulk receive", "rest": "memory"}.get(
            self.kind, self.kind
        )
        if self.kind == "handshake":
            title += ", server" if self.settings.isServer else ", client"
        if self.isLong:
            title += ", long"
        return title + (" (in memory)" if self.medium == MEMORY else "")

    @property
    def column(self) -> str:
        """
        The part of the name that tells it from others of its L{group}.
        """
        short = self.name.removeprefix("memory-")
        for each in ("handshake-server-", "handshake-client-", f"{self.kind}-"):
            short = short.removeprefix(each)
        return short

    @property
    def unit(self) -> str:
        """
        What the cost of one is counted in.
        """
        if self.kind in ("send", "receive"):
            return "s/GiB"
        if self.kind == "rest":
            return "KiB/connection"
        return "µs/handshake" if self.kind == "handshake" else "µs/message"

    @property
    def rate(self) -> str:
        """
        The unit of L{perSecond}.
        """
        return "MB/s" if self.kind in ("send", "receive") else "/s"

    @property
    def perSecond(self) -> float:
        """
        So many L{rate} is one unit of the amount in a second.
        """
        return 1e-6 if self.kind in ("send", "receive") else 1.0

    def cost(self, result: Result) -> float:
        """
        @return: what it cost, in L{unit}.
        """
        if result.memory is not None:
            return result.memory
        scale = 1 << 30 if self.kind in ("send", "receive") else 1e6
        return result.cpu / result.amount * scale


def _sizeName(size: int) -> str:
    for unit, name in ((MIB, "m"), (KIB, "k")):
        if size >= unit:
            return f"{size // unit}{name}"
    return f"{size}b"


def _handshakeName(settings: Settings) -> str:
    side = "server" if settings.isServer else "client"
    if settings.trustsPlatform:
        return f"handshake-{side}-platform"
    name = f"handshake-{side}-{settings.key}"
    if settings.resumes:
        name += "-resumed"
    return name + (f"-{settings.callback}" if settings.callback else "")


_HANDSHAKES = tuple(
    [
        Settings(isServer, key, resumes)
        for isServer in (True, False)
        for key in ("ec", "rsa")
        for resumes in (False, True)
    ]
    + [Settings(False, trustsPlatform=True)]
    + [
        Settings(isServer, callback=callback)
        for isServer in (True, False)
        for callback in (PLAIN, WAITING)
    ]
)

_MEMORY = (
    *(
        Workload(f"memory-send-{_sizeName(size)}", MEMORY, "send", size, amount * MIB)
        for size, amount in ((KIB, 64), (16 * KIB, 96), (64 * KIB, 128), (MIB, 128))
    ),
    *(
        Workload(f"memory-receive-{_sizeName(size)}", MEMORY, "receive", size, amount * MIB)
        for size, amount in ((KIB, 32), (16 * KIB, 128))
    ),
    *(
        Workload(f"memory-echo-{_sizeName(size)}", MEMORY, "echo", size, 6_000)
        for size in (100, KIB)
    ),
    *(
        Workload(f"memory-{_handshakeName(each)}", MEMORY, "handshake", 0, 150, settings=each)
        for each in _HANDSHAKES
    ),
)

_SOCKETS = (
    *(
        Workload(f"{kind}-{_sizeName(size)}", SOCKETS, kind, size, amount * MIB)
        for kind in ("send", "receive")
        for size, amount in ((KIB, 64), (16 * KIB, 256), (64 * KIB, 256), (MIB, 256))
    ),
    Workload("echo-64k", SOCKETS, "echo", 64 * KIB, 2_000),
    *(
        Workload(
            f"echo-{_sizeName(size)}-x{count}",
            SOCKETS,
            "echo",
            size,
            10_000 if count == 1 else 20_000,
            count,
            isLong=count > 1000,
        )
        for size in (100, KIB)
        for count in (1, 10, 100, 1_000, 10_000)
    ),
    *(
        Workload(_handshakeName(each), SOCKETS, "handshake", 1, 300, settings=each)
        for each in _HANDSHAKES
    ),
    *(
        Workload(f"rest-{_sizeName(size) if size else 'fresh'}", SOCKETS, "rest", size, 1_000)
        for size in (0, KIB, 16 * KIB, 64 * KIB)
    ),
    Workload("rest-fresh-10000", SOCKETS, "rest", 0, 9_900, isLong=True),
    *(
        Workload(f"{kind}-64k-{_sizeName(amount)}", SOCKETS, kind, 64 * KIB, amount, isLong=True)
        for kind in ("send", "receive")
        for amount in (MIB, 64 * MIB, 1024 * MIB, 4096 * MIB)
    ),
)

#: All of them, by name.
WORKLOADS = {each.name: each for each in (*_MEMORY, *_SOCKETS)}
