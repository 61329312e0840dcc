"""
What a process holds at a moment.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from txsslstream import _cache, _openssl, _waiting
from txsslstream.sessions import SessionCache, sessions

from ...soak_memory import memory

#: Types whose living objects are counted, and under which names.
COUNTED = {
    "txsslstream.stream.SslStream": "streams",
    "txsslstream.protocol.SslStreamProtocol": "protocols",
    "txsslstream._openssl.TlsEngine": "engines",
    "OpenSSL.SSL.Connection": "OpenSSL connections",
    "OpenSSL.SSL.Context": "OpenSSL contexts",
    "txsslstream.options.SslClientAuthenticationOptions": "client options",
    "txsslstream.options.SslServerAuthenticationOptions": "server options",
    "txsslstream.crossing.ResumableSession": "sessions of clients",
    "twisted.internet.defer.Deferred": "Deferreds",
}


class _Mallinfo(ctypes.Structure):
    """
    See C{mallinfo2(3)}.
    """

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _heap() -> float | None:
    """
    @return: MiB that C{malloc} has given and not got back; L{None}: this is not
        the GNU C library's.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _Mallinfo
    found = library.mallinfo2()
    return float(found.uordblks + found.hblkhd) / (1 << 20)


def types() -> Counter[str]:
    """
    @return: how many objects there are of each type that the garbage collector
        knows.
    """
    counted = Counter(map(type, gc.get_objects()))
    return Counter({f"{each.__module__}.{each.__name__}": n for each, n in counted.items()})


def overLimit() -> list[str]:
    """
    @return: which caches hold more than they may.
    """
    kept = sessions._sessions
    found = []
    if len(kept) > SessionCache.LIMIT:
        found.append(f"sessions for {len(kept)} purposes, more than {SessionCache.LIMIT}")
    most = max(map(len, kept.values()), default=0)
    if most > SessionCache.EACH:
        found.append(f"{most} sessions for one purpose, more than {SessionCache.EACH}")
    files = [each for each in _cache.defaultDirectory().glob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in files)
    if size > _cache.DISK_BYTES:
        found.append(f"{size} bytes of revocation data on disk, more than {_cache.DISK_BYTES}")
    return found


def sample(reactor: Any) -> tuple[dict[str, float], Counter[str]]:
    """
    @return: the figures, and L{types}.
    """
    gc.collect()
    found = types()
    figures: dict[str, float] = {
        "resident memory, MiB": memory("VmRSS"),
        "blocks of Python's allocator": sys.getallocatedblocks(),
        "objects known to the collector": sum(found.values()),
        **{name: found[kind] for kind, name in COUNTED.items()},
        "descriptors": len(os.listdir("/proc/self/fd")),
        "readers of the reactor": len(reactor.getReaders()),
        "timers": len(reactor.getDelayedCalls()),
        "threads": threading.active_count(),
        "parked handshakes": len(_waiting._parked),
        "contexts for equal options": len(_openssl._contexts),
        "purposes with sessions": len(sessions._sessions),
        "temporary files": len(list(Path(tempfile.gettempdir()).iterdir())),
    }
    heap = _heap()
    if heap is not None:
        figures["memory from malloc, MiB"] = heap
    return figures, found
