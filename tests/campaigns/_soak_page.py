"""
What the page of the campaigns' results says of soaks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from ._tables import table
from .soaking import driving, trend
from .soaking.forms import FORMS
from .soaking.rounds import ROUND

#: Figures that need no line of their own.
_ELSEWHERE = frozenset({"protocols", "engines", "contexts for equal options"})


def _words(value: object) -> str:
    """
    @return: the first sentence of a docstring, without the full stop.
    """
    return " ".join(str(inspect.getdoc(value)).split(".")[0].split())


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.2f}"


def _process(found: Mapping[str, Any]) -> Iterator[str]:
    rows = (
        (
            name,
            *(_number(each[key]) for key in ("start", "end", "least", "most")),
            *(f"{each[key]:+.2f}" for key in ("perHour", "perTenThousand")),
            f"{each['limit']:g}",
        )
        for name, each in sorted(found["figures"].items())
        if name not in _ELSEWHERE
    )
    head = ("figure", "start", "end", "least", "most", "per hour", "per 10,000 connections")
    yield from table((*head, "may grow by"), rows)


def section(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @param results: of L{tests.campaigns.soak}.
    @return: the lines of the section.
    """
    traffic = results["traffic"]
    yield (
        f"A server and its clients, both of this package, in a process each, over TCP, for "
        f"{traffic['minutes']:g} minutes: {traffic['connections']:,} connections, of which "
        f"{traffic['resumed']:,} went on with an earlier session. The server's certificate was "
        f"renewed all the time: clients have seen {traffic['certificates']:,}. Every byte is "
        "compared. Both processes together may use "
        f"{results['share']:.0%} of one processor."
    )
    yield ""
    yield (
        f"Every {results['interval']:g} seconds the clients come to rest: nothing is open then but "
        f"{driving.IDLE} connections that are idle and wake up now and then "
        f"({traffic['conversations']['idleWakes']:,} times), and both processes "
        "count what they hold. Growth is judged by the median slope (Theil and Sen) of all samples "
        f"behind the first {trend.WARM_UP:.0%}, in which caches fill up; “start” and “end” are "
        "medians of the first and last tenth of them. Nothing may be logged as more than "
        "information, and no conversation may go otherwise than it should. “Memory from malloc” is "
        "what is in use; resident memory has the holes between that, too, which the C library "
        "keeps, and of which there are more with time."
    )
    yield ""
    for note in results.get("notes", ()):
        yield note
        yield ""
    for name in ("server", "clients"):
        found = traffic[name]
        yield (
            f"The {name}, in {found['samples']} samples; most resident memory: "
            f"{found['peak']:.0f} MiB."
        )
        yield ""
        yield from _process(found)
    yield "The conversations:"
    yield ""
    had = traffic["conversations"]
    known = {each.__name__: each for each in ROUND}
    rows = ((f"{had.get(name, 0):,}", _words(each)) for name, each in known.items())
    yield from table(("how many", "what"), rows)
    memory, sockets = results["leaving"]["memory"], results["leaving"]["sockets"]
    total = sum(memory["connections"].values())
    left = sum(memory["left"].values())
    yield (
        f"Without the garbage collector, {total:,} connections in memory, with both ends, each "
        f"with options of its own, leave {_left(left)} of the streams, protocols, OpenSSL "
        "connections, options and timers, by weak references and by counting all objects; "
        f"altogether there are {memory['objects']:,} more objects than before, however many "
        f"connections there were, and the collector finds {memory['collected']:,} to collect:"
    )
    yield ""
    forms = {each.__name__: each for each in FORMS}
    rows = ((f"{memory['connections'][name]:,}", _words(each)) for name, each in forms.items())
    yield from table(("how many", "how they end"), rows)
    yield (
        f"{sockets['connections']:,} of the conversations over TCP, with the collector disabled, "
        f"leave {_left(sum(sockets['left'].values()))} either. (What Twisted's client endpoints "
        "leave to the collector, a `Connector` for each connection, is not counted. Coroutines "
        "that await a Deferred which has failed already, and such that are cancelled, are part of "
        "cycles of Twisted's, too, with all that they refer to: there are none of these here.)"
    )
    yield ""
    yield "With a slow peer (`python -m tests.soak_memory`):"
    yield ""
    yield from (f"- {line}" for line in results["slowly"])
    yield ""


def _left(count: int) -> str:
    return "none" if not count else f"**{count:,}**"


def leaks(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @param results: of L{tests.campaigns.leaks}.
    @return: the lines of the section.
    """
    yield (
        "That the soak can fail: copies of the package with a leak each, and what the short soak "
        "says of them."
    )
    yield ""
    rows = (
        (each["what"], "found" if each["isFound"] else "**not found**", "; ".join(each["signs"]))
        for each in results["leaks"]
    )
    yield from table(("leak", "outcome", "by what"), rows)
