"""
What the time of a process goes to, as it is measured in that.
"""

from __future__ import annotations

import pstats
import re
from collections import defaultdict
from cProfile import Profile
from functools import cache
from time import process_time
from typing import Any

REST = "everything else"

#: So many calls tell what a call takes by being measured.
_CALLS = 20_000

#: What no Python function can make take less.
OUTSIDE = ("OpenSSL: ", "kernel: ")

_OPENSSL = re.compile(r"<built-in method _openssl\.(\w+)>")
_KERNEL = re.compile(r"<method '(?!fileno)(\w+)' of '(?:_socket\.socket|select\.epoll)' objects>")
_PLACES = re.compile(r"-packages/(?=twisted/|OpenSSL/)(.+)|/(txsslstream/.+)|/(tests/benchmarks)/")

#: As cProfile names a function: file, line, name.
Function = tuple[str, int, str]


def partOf(function: Function) -> str:
    """
    @return: what a function belongs to; nothing if to whoever calls it.
    """
    file, _, name = function
    if file == "~":
        for kind, pattern in zip(OUTSIDE, (_OPENSSL, _KERNEL), strict=True):
            if found := pattern.fullmatch(name):
                return kind + found[1]
        return ""
    if found := _PLACES.search(file):
        return str(next(filter(None, found.groups())))
    return ""


def begun() -> Profile:
    """
    @return: a profile that counts a processor's time, not yet enabled.
    """
    return Profile(process_time)


def _statsOf(profile: Profile) -> Any:
    return pstats.Stats(profile).stats  # type: ignore[attr-defined]


@cache
def _bias() -> float:
    """
    @return: the seconds that a call of a function in C takes by being measured.
    """
    profile = begun()
    profile.enable()
    for _ in range(_CALLS):
        ord("x")
    profile.disable()
    [own] = [own for (*_, name), (_, _, own, *_) in _statsOf(profile).items() if "ord" in name]
    return float(own / _CALLS)


def parts(profile: Profile) -> dict[str, float]:
    """
    @return: the seconds for each part.
    """
    found: defaultdict[str, float] = defaultdict(float)
    for function, (_, calls, own, _, callers) in _statsOf(profile).items():
        part = partOf(function)
        if part.startswith(OUTSIDE):
            found[part] += max(0.0, own - calls * _bias())
        elif part or not callers:
            found[part or REST] += own
        else:
            for caller, (_, _, ofIt, _) in callers.items():
                found[partOf(caller) or REST] += ofIt
    return dict(found)
