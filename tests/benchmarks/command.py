"""
The command line.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

from . import check, profiles
from .contestants import CONTESTANTS, TWIN, Contestant
from .issuing import write
from .plots import draw, panels
from .processes import turn
from .results import Results
from .rounds import run
from .standin import peerIn
from .tables import costs, page, reached
from .targets import TARGETS
from .workloads import WORKLOADS, Workload


def parser() -> argparse.ArgumentParser:
    """
    @return: what reads the arguments.
    """
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measures txsslstream against others: see docs/performance.md.",
    )
    add = made.add_argument
    add("--list", action="store_true", help="list workloads and contestants, and end")
    add("-w", "--workloads", metavar="PATTERNS", help="names or patterns, with commas")
    add("-c", "--contestants", metavar="PATTERNS", help="names or patterns, with commas")
    add("-r", "--rounds", type=_positive, help="how many rounds (9)")
    add(
        "--scale",
        type=float,
        metavar="FACTOR",
        help="do so many times the usual amount in each round (1)",
    )
    add("--long", action="store_true", help="those workloads, too, that take long")
    add("--twin", metavar="NAME", help="let this one run against itself: shows the noise")
    add("--handicap", type=float, default=1.0, metavar="FACTOR", help="slow the twin down")
    add("--check", action="store_true", help="be quick, and fail if anything is slower than stock")
    add("--targets", action="store_true", help="tell which targets are reached")
    add("--json", type=Path, metavar="FILE", help="write all results there")
    add(
        "--from-json",
        type=Path,
        action="append",
        metavar="FILE",
        help="measure nothing, take these results; more than once for those of more files",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the tables there")
    add("--plot", type=Path, metavar="FILE", help="draw a picture there, *.svg or *.png")
    add("--profile", type=Path, metavar="FILE", help="write there what the time goes to")
    return made


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def chosen(patterns: str, names: Sequence[str]) -> list[str]:
    """
    @return: the names that match any of the patterns, in their order.
    @raise ValueError: a pattern matches none.
    """
    wanted = patterns.split(",")
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"there is no {pattern}: see --list")
    return [name for name in names if any(fnmatchcase(name, each) for each in wanted)]


def machine() -> str:
    """
    @return: what the figures are from, in one line.
    """
    packages = ", ".join(f"{each} {version(each)}" for each in ("Twisted", "pyOpenSSL"))
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {packages}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"a load of {os.getloadavg()[0]:.1f} before it began"
    )


def complete(options: argparse.Namespace) -> tuple[list[Workload], list[Contestant]]:
    """
    Fill in what was not said.

    @return: what is to be measured, and who.
    @raise ValueError: a name is unknown.
    """
    quick = options.check
    options.rounds = options.rounds or (check.ROUNDS if quick else 9)
    options.scale = options.scale or (check.SCALE if quick else 1.0)
    isAllowed = options.long or options.workloads or options.from_json
    names = [each.name for each in WORKLOADS.values() if isAllowed or not each.isLong]
    patterns = options.workloads or (check.WORKLOADS if quick else "*")
    workloads = [WORKLOADS[each] for each in chosen(patterns, names)]
    people = {each.name: each for each in CONTESTANTS}
    patterns = options.twin or options.contestants or (check.CONTESTANTS if quick else "*")
    contestants = [people[each] for each in chosen(patterns, list(people))]
    if options.twin:
        contestants += [
            replace(each, name=each.name + TWIN, handicap=options.handicap) for each in contestants
        ]
    return workloads, contestants


def measure(
    options: argparse.Namespace,
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    rounds: int,
) -> Results:
    """
    @return: what comes out.
    """

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    description = machine()
    with tempfile.TemporaryDirectory() as directory:
        credentials = write(Path(directory))
        peer = peerIn(Path(directory), tell)
        results = run(
            workloads,
            contestants,
            rounds,
            lambda contestant, own, stack: turn(
                contestant, own, credentials, peer, options.scale, stack
            ),
            peer.can,
            tell,
        )
    results.machine = description
    return results


def main(arguments: Sequence[str]) -> int:
    """
    The command.

    @return: its exit status.
    """
    made = parser()
    options = made.parse_args(arguments)
    if options.list:
        for each in WORKLOADS.values():
            print(f"{each.name:42} {each.unit:16} {'long' if each.isLong else ''}".rstrip())
        for contestant in CONTESTANTS:
            print(f"{contestant.name:42} {contestant.title}")
        return 0
    if options.profile is not None and options.from_json is not None:
        made.error("--profile has to measure")
    try:
        workloads, contestants = complete(options)
    except ValueError as e:
        made.error(str(e))
    if options.from_json is not None:
        results = Results()
        for path in options.from_json:
            results.read(path)
    else:
        results = measure(options, workloads, contestants, options.rounds)
    if options.profile is not None:
        watched = [replace(each, isProfiled=True) for each in contestants]
        profiled = measure(options, workloads, watched, 1)
        options.profile.write_text(profiles.page(workloads, results, profiled, contestants))
    if options.json is not None:
        results.write(options.json)
    verdicts = check.verdicts(results, workloads, contestants) if options.check else []
    if options.check:
        print(check.report(verdicts))
    else:
        print(costs(results, workloads, contestants))
    if options.targets:
        print(reached(results, TARGETS))
    if options.markdown is not None:
        targets = TARGETS if options.targets else ()
        options.markdown.write_text(page(results, workloads, contestants, targets))
    if options.plot is not None:
        draw(panels(results, contestants), options.plot)
    return 1 if any(each.isSlower for each in verdicts) else 0
