"""
The section about faults on the page of the campaigns' results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CAMPAIGN = "campaign"
_HERE = "tests.test_faults"

#: Each fault, what happens, and what shows it: a part of the campaign, or tests.
ROWS: Sequence[tuple[str, str, str]] = (
    (
        "More clients than descriptors at `sslecho`",
        "Who is connected is served on. Who comes is accepted and closed at once, or waits in the "
        "queue, and the log says `EMFILE encountered` each time; the server is idle meanwhile. As "
        "soon as some have gone, others are let in.",
        f"{_CAMPAIGN} `descriptors`",
    ),
    (
        "No descriptor for the connection to the target of `serve`",
        "The client's connection is closed in order, with no byte sent, and the log says why.",
        f"{_CAMPAIGN} `descriptorsOfForwarder`",
    ),
    (
        "No descriptor for files of certificates, for fetching, for a worker's line",
        "A renewed certificate waits, and the old one stays in service; a store that cannot be "
        "read refuses, and is read again the next time; where revocation was to be checked, the "
        "peer is refused; a worker that cannot be heard is replaced.",
        f"`{_HERE}.DescriptorTests`, `tests.test_workers.ParentTests.test_unheard`, "
        "`tests.test_workers.ParentTests.test_noDescriptors`",
    ),
    (
        "`ulimit -v`, in a flood of clients with data",
        "Some clients are refused or cut off, others served, and nobody gets anything but what was "
        "sent; clients without a certificate stay outside. Afterwards everybody is served again.",
        f"{_CAMPAIGN} `memory`",
    ),
    (
        "`ulimit -v`, while handshakes wait for callbacks",
        "The same, as long as there is memory for the reactor itself. Without, the process ends "
        "with a `MemoryError`, not with a crash, or can do nothing until there is memory again, "
        "and goes on then.",
        f"{_CAMPAIGN} `memoryOfWaiting`",
    ),
    (
        "`MemoryError` in any call of the package's",
        "The handshake is refused, or the connection ended; nobody is let in, no data is left out, "
        "everybody who waits is told (unless it is the call itself that tells which fails; "
        "`tests/shortage.py` lists those), no timer is left. One call of five is tried.",
        f"{_CAMPAIGN} `allocations`, `{_HERE}.MemoryTests`",
    ),
    (
        "OpenSSL has no memory",
        "The connection ends, or goes on without what was optional (a stapled response, smaller "
        "buffers).",
        f"`{_HERE}.OpenSSLTests`",
    ),
    (
        "A disk that is full",
        "Files are replaced whole or not at all, and no other is left. What was fetched about "
        "revocation is used all the same; certificates are in a store all together or not; "
        "`sslecho` ends with an error if it cannot write its certificate; secrets are not logged "
        "by half.",
        f"{_CAMPAIGN} `disk`, `{_HERE}.DiskTests`",
    ),
    (
        "SIGKILL for a worker, in handshakes and conversations",
        "Its own connections are lost, and no others; nobody is refused; another one begins.",
        f"{_CAMPAIGN} `killedWorkers`, `tests.test_workers.ProcessTests.test_echo`",
    ),
    (
        "SIGKILL for the parent",
        "The workers end, and nobody listens any more.",
        f"{_CAMPAIGN} `killedWorkers`, `tests.test_workers.ProcessTests.test_orphans`",
    ),
    (
        "The reactor stops while 1,000 handshakes wait for callbacks",
        "The process ends with status 0 and has nothing to say; the callbacks' Deferreds are "
        "cancelled.",
        f"{_CAMPAIGN} `stopped`, `{_HERE}.ShutdownTests`",
    ),
    (
        "A callback never answers",
        "The peer is refused with an alert at `handshakeTimeout`, and the callback's Deferred is "
        "cancelled.",
        f"`{_HERE}.CallbackTests.test_neverAnswers`",
    ),
    (
        "A callback answers twice",
        "The first answer counts; the second is its owner's `AlreadyCalledError`.",
        f"`{_HERE}.CallbackTests.test_twice`",
    ),
    (
        "A callback raises anything, be it `SystemExit`, `KeyboardInterrupt` or `GeneratorExit`",
        "The peer is refused with `internal_error`; the error that this side gets has it as its "
        "cause. It does not end the process, as anywhere in Twisted. What other hooks raise is "
        "logged.",
        f"`{_HERE}.CallbackTests`",
    ),
    (
        "The calendar jumps",
        "Each judgement is about the time at which it is made: what has expired is refused in the "
        "next handshake, remembered or not, resumed or not.",
        f"`{_HERE}.ClockTests.test_certificates`, `{_HERE}.ClockTests.test_revocation`",
    ),
    (
        "The reactor's time jumps",
        "Forwards, handshakes that wait are refused early. Backwards, those that were waiting wait "
        "longer, and nobody is let in for that.",
        f"`{_HERE}.ClockTests.test_forwards`, `{_HERE}.ClockTests.test_backwards`",
    ),
)


def section(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @param results: what the campaign has written.
    @return: the lines of the section.
    """
    yield "| fault | what happens | shown by |"
    yield "|---|---|---|"
    for row in ROWS:
        yield f"| {' | '.join(row)} |"
    yield ""
    yield "The campaign's figures:"
    yield ""
    yield "| part | figures |"
    yield "|---|---|"
    for each in results["faults"]:
        figures = ", ".join(f"{name}: {value}" for name, value in each["figures"].items())
        wrong = f" **{'; '.join(each['wrong'])}**" if each["wrong"] else ""
        yield f"| `{each['name']}` | {figures}{wrong} |"
    yield ""
