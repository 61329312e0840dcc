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
from pathlib import Path

from .contestants import CONTESTANTS, TWIN
from .issuing import write
from .peer import Peer
from .processes import turn
from .results import Results
from .rounds import run
from .tables import costs, reached
from .targets import TARGETS
from .workloads import WORKLOADS


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
    add(
        "-w",
        "--workloads",
        default="*",
        metavar="PATTERNS",
        help="which to measure: names or patterns, with commas",
    )
    add(
        "-c",
        "--contestants",
        default="*",
        metavar="PATTERNS",
        help="whom to measure: names or patterns, with commas",
    )
    add("-r", "--rounds", type=int, default=9, help="how many rounds (%(default)s)")
    add(
        "--scale",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="how many times the usual amount is done in each round",
    )
    add("--base", default="stock", help="whom to compare with (%(default)s)")
    add("--twin", metavar="NAME", help="let a contestant run against itself: shows the noise")
    add("--handicap", type=float, default=1.0, metavar="FACTOR", help="slow the twin down")
    add("--targets", action="store_true", help="tell which targets are reached")
    add("--json", type=Path, metavar="FILE", help="write all results there")
    add("--from-json", type=Path, metavar="FILE", help="measure nothing, take these results")
    add("--markdown", type=Path, metavar="FILE", help="write the tables there")
    return made


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
    from importlib.metadata import version

    packages = ", ".join(f"{each} {version(each)}" for each in ("Twisted", "pyOpenSSL"))
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {packages}, "
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}"
    )


def main(arguments: Sequence[str]) -> int:
    """
    The command.

    @return: its exit status.
    """
    made = parser()
    options = made.parse_args(arguments)
    byName = {each.name: each for each in CONTESTANTS}
    if options.list:
        for each in WORKLOADS.values():
            print(f"{each.name:40} {each.unit}")
        for contestant in CONTESTANTS:
            print(f"{contestant.name:24} {contestant.title}")
        return 0
    try:
        workloads = [WORKLOADS[each] for each in chosen(options.workloads, list(WORKLOADS))]
        contestants = [byName[each] for each in chosen(options.contestants, list(byName))]
        if options.twin is not None:
            [name] = chosen(options.twin, list(byName))
            twin = replace(byName[name], name=name + TWIN, handicap=options.handicap)
            contestants = [byName[name], twin]
            options.base = name
    except ValueError as e:
        made.error(str(e))
    if options.from_json is not None:
        results = Results.read(options.from_json)
    else:
        with tempfile.TemporaryDirectory() as directory:
            credentials = write(Path(directory))
            peer = Peer(Path(directory))
            results = run(
                workloads,
                contestants,
                options.rounds,
                lambda contestant, own, stack: turn(
                    contestant, own, credentials, peer, options.scale, stack
                ),
                lambda line: print(line, file=sys.stderr, flush=True),
            )
        results.machine = machine()
    output = costs(results, options.base)
    if options.targets:
        output += "\n" + reached(results, TARGETS)
    print(output)
    if options.json is not None:
        results.write(options.json)
    if options.markdown is not None:
        options.markdown.write_text(f"{results.machine}\n\n{output}")
    return 0
