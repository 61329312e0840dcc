"""
The section of L{tests.campaigns.interleavings} on the page of results.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ._tables import table

#: What each step is, for the page.
_STEPS: Mapping[str, tuple[str, ...]] = {
    "bytes moved, in portions of any size": ("move", "moveAll", "pump"),
    "turns of the reactor, and time that passes": ("turn", "wait", "waitLong"),
    "authentication begun": ("authenticate",),
    "read": ("read", "readExactly", "readUntil"),
    "written": ("write", "writeMuch", "flush"),
    "one side ended, closed, aborted, unwrapped": (
        *("shutdown", "close", "abort", "unwrap", "end", "finish"),
    ),
    "the client asked for a certificate in mid-conversation": ("negotiate",),
    "a pending operation cancelled": ("cancel", "cancelRead"),
    "a callback's pending question answered": ("answer",),
    "lost, reset, stalled connections": ("cut", "reset", "hold", "release"),
    "bytes changed and lost, garbage, strangers' alerts": (
        *("corrupt", "drop", "garbage", "alert"),
    ),
    "another handshake (TLS 1.2), new keys, empty records, alerts under the keys": (
        *("handshake", "rekey", "idle", "secretAlert", "secretClose"),
    ),
    "properties read, ends awaited, reading paused": (
        *("inspect", "whenAuthenticated", "whenClosed", "pause", "resume"),
    ),
}


def section(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @return: the lines of the section.
    """
    counts: Mapping[str, int] = results["counts"]
    last = results["first"] + results["runs"] - 1
    yield (
        f"{results['runs']} runs, of the seeds {results['first']} to {last}, in "
        f"{results['processorSeconds']} seconds of one processor; {len(results['failed'])} have "
        "shown something that must not be. What must be is told at the top of "
        "tests/campaigns/interleavings.py. One run again, with all that happens in it: "
        "`python -m tests.campaigns.interleavings --seed NUMBER`; other seeds: `--from NUMBER "
        "--runs NUMBER`."
    )
    yield ""
    yield from table(
        ("what was done", "times"),
        ((name, sum(counts.get(each, 0) for each in steps)) for name, steps in _STEPS.items()),
    )
    outcomes: Counter[str] = Counter()
    for name, count in counts.items():
        found = re.fullmatch(r"(client|server): (\w+)", name)
        if found and found[2] != "None":
            outcomes[f"{found[1]}s with the outcome `{found[2]}`"] += count
    failures: Counter[str] = Counter()
    for name, count in counts.items():
        found = re.fullmatch(r"(?!client|server|lost)\w+: (\w+)", name)
        if found and not name.startswith("judged"):
            failures[f"operations that failed with `{found[1]}`"] += count
    judged = {
        "runs with an authentication that nothing disturbed, about which both had to agree": (
            counts.get("judged: authentication", 0)
        ),
        "directions in which nothing was disturbed at all, so that everything had to arrive": (
            counts.get("judged: everything arrived", 0)
        ),
    }
    yield from table(
        ("what came of it", "times"),
        (*sorted(outcomes.items()), *sorted(failures.items()), *judged.items()),
    )
