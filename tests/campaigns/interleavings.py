"""
Two ends, a clock and a wire that do whatever a seed says, in every order.

A run is planned from its seed alone (L{tests.campaigns._interleaving_plan}): the
version, who asks for certificates, which callbacks there are and what each of
them does (answers at once, later, never, twice, with something that is no
answer, raises, raises a C{BaseException}, objects to being cancelled), whether
each end is an L{SslStream<txsslstream.SslStream>} put on a connection, one that
an endpoint makes, or a protocol; the time-outs; what the applications do from
within callbacks and Deferreds; and then a schedule of steps: bytes that move in
any portions, turns of the reactor in any order, time that passes, calls of
C{authenticate}, C{read}, C{write}, C{shutdown}, C{close}, C{abort}, C{unwrap},
cancellation, the question for a client's certificate in mid-conversation,
answers of callbacks, and what goes wrong: lost connections, resets, stalls,
changed and lost bytes, garbage, alerts of strangers, and, under the keys of one
end, new keys, empty records, alerts and an early C{close_notify}.

What has to be so, whatever was done:

  1. Every Deferred fires exactly once, at the latest when the connection is
     gone, and at once if it is cancelled; it fails with documented errors only,
     with a time-out not before its time, and with a cancellation only if
     somebody has cancelled or closed.
  2. What is read is what the other has written, from its beginning, without a
     gap; nothing is read before the authentication or behind the end.  If the
     end is said to be a clean one, nothing is missing.
  3. Nobody is authenticated as long as a callback has not answered, after one
     has refused, failed or given an answer that is none, without the consent of
     the validation callback if there is one, with a certificate for another name
     unless that has consented, or after C{close}.
  4. Nothing is sent while somebody decides.
  5. The properties are true, before, during and after the connection, and the
     two ends agree on them; so is what the validation callback is told.
  6. If nothing was disturbed, both are authenticated unless somebody objects;
     who is refused is told so by the alert that the other one says it has sent;
     if the server is authenticated so is the client, and before TLS 1.3 the
     other way round; everything that was written arrives, and then a clean end.
  7. When the peer is gone and the time-outs are over, nothing waits any more: no
     operation, no question to a callback, no timer of the clock.  The transport
     has ended, once; who had it before has heard of that, and so has an
     application that was connected, once, and no other.
  8. Nothing is logged as an error but what a callback or a handler has done
     wrong, and nothing is raised into the transport or the clock.
  9. Stream, protocol, authentication and OpenSSL's connection are gone when the
     run is, without the garbage collector (unless the Deferred of a callback has
     raised as it was cancelled: it waits for ever then).

A failure prints the seed, the steps, and a plan from which steps were taken as
long as it fails in the same way.  An interrupt (Control-C) ends the campaign with
the results of what was run.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import LimitedHistoryLogObserver, globalLogBeginner

from . import _common
from ._interleaving_plan import Plan, planFor
from ._interleaving_run import conducted, shrunk

SHORT, LONG = 10_000, 200_000


def command(seed: int) -> str:
    """
    @return: what repeats a run.
    """
    return f"python -m tests.campaigns.interleavings --seed {seed}"


def told(plan: Plan, complaints: list[str]) -> str:
    """
    @return: a failure in words.
    """
    details = [f"  {each}" for each in complaints]
    return "\n".join(
        [f"seed {plan.seed} fails:", *details, str(plan), f"again: {command(plan.seed)}"]
    )


@dataclass
class Tally:
    """
    What came of many runs.

    @ivar counts: what was done, and what came of it.
    @ivar failed: the seeds of the runs in which something is not as it has to be.
    @ivar seconds: of processor time.
    """

    runs: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    seconds: float = 0


def campaign(
    first: int, count: int, most: int = 5, isOver: Callable[[], object] = lambda: False
) -> Tally:
    """
    Conduct so many runs.

    @param most: so many failures are told.
    @param isOver: asked before each whether it is to be the end.
    """
    tally = Tally()
    began = time.process_time()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for seed in range(first, first + count):
            if isOver():
                break
            plan = planFor(seed)
            complaints, run = conducted(plan)
            tally.runs += 1
            tally.counts.update(run.counts)
            if complaints:
                tally.failed.append(seed)
                if len(tally.failed) <= most:
                    print(told(plan, complaints))
                    print("less of it:", shrunk(plan, complaints[0]), sep="\n", flush=True)
            if seed % 1000 == 999:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    tally.seconds = time.process_time() - began
    return tally


def one(seed: int) -> bool:
    """
    Conduct one run, and tell all that happens.

    @return: whether it is as it has to be.
    """
    plan = planFor(seed)
    complaints, run = conducted(plan, isVerbose=True)
    print(plan, *(run.lines or ()), *complaints or ("as it has to be",), sep="\n")
    return not complaints


def _conduct(given: _common.Campaign) -> tuple[Mapping[str, Any], bool]:
    arguments = given.arguments
    if arguments.seed is not None:
        return {}, one(arguments.seed)
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    count = arguments.runs or (SHORT if given.isShort else LONG)
    tally = campaign(arguments.start, count, isOver=lambda: interrupts)
    done = sum(number for name, number in tally.counts.items() if ":" not in name)
    print(
        f"interleavings: {tally.runs} runs from seed {arguments.start}, {done} steps, "
        f"{len(tally.failed)} failed, {tally.seconds:.0f} s of processor time"
    )
    for seed in tally.failed[:20]:
        print(f"again: {command(seed)}")
    results = {
        "first": arguments.start,
        "runs": tally.runs,
        "failed": tally.failed,
        "processorSeconds": round(tally.seconds),
        "counts": dict(sorted(tally.counts.items())),
    }
    return results, not tally.failed


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, help="how many, instead")
    parser.add_argument("--from", type=int, default=0, dest="start", help="the first seed")
    parser.add_argument("--seed", type=int, help="one run only, with all that happens")


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([LimitedHistoryLogObserver(0)], redirectStandardIO=False)
    sys.exit(
        _common.main("interleavings", "Interleavings of everything, by seed.", _conduct, _extend)
    )
