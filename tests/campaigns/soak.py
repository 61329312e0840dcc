"""
An hour of mixed traffic with churn, and 100,000 connections without the garbage
collector: nothing grows, and nothing is left.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..interop._tools import OPENSSL_SERVER_READY, background, opensslServer
from ._common import Campaign, main, program
from .soaking.conducting import Member, conducted, outcome
from .soaking.material import Issuer
from .soaking.rounds import ROUND

#: Minutes, connections in memory and over sockets, and MiB for somebody slow, of
#: a whole run and of a sample.
WHOLE, SHORT = (60.0, 100_000, 2000, 1024), (0.7, 2200, 200, 64)
#: So many objects may be made once, however many connections there are.
ONCE = 500
#: So many certificates fill all caches that hold something about each, and so
#: many seconds are between them.
FILLING = 1100, 0.1
#: Seconds between two samples.
INTERVALS = (10.0, 3.0)
#: How much of one processor both processes use together.
SHARE = 0.6


def _progress(server: Member, clients: Member, connections: int, kept: Path | None) -> None:
    if kept is not None:
        with kept.open("a", encoding="utf-8") as file:
            last = {each.name: each.samples[-1]._asdict() for each in (server, clients)}
            file.write(json.dumps(last) + "\n")

    def told(member: Member) -> str:
        found = member.samples[-1].figures
        names = ("resident memory, MiB", "objects known to the collector", "descriptors")
        return f"{member.name} {' '.join(f'{found[name]:.0f}' for name in names)}"

    seconds = server.samples[-1].seconds
    print(f"{seconds:6.0f} s {connections:8d} {told(server)}, {told(clients)}", flush=True)


def _share(isShort: bool) -> float:
    return SHARE * (2 if isShort else 1)


def traffic(
    home: Path, minutes: float, isShort: bool, kept: Path | None
) -> tuple[dict[str, Any], list[str]]:
    """
    Have the traffic.

    An interrupt ends it early.

    @param kept: where every sample is written, if anywhere.

    @return: how it went, and what is wrong with that.
    """
    issuer = Issuer(home)
    program("openssl")
    wrong: list[str] = []
    certificate = home / "server.pem"
    foreign = opensslServer(certificate, certificate, extra=["-rev"])
    processes = ("server", "serving"), ("clients", "driving")
    with background(foreign, OPENSSL_SERVER_READY) as tool, conducted(home, *processes) as members:
        server, clients = members
        ports = {**server.ask("ports"), "foreign": int(tool.match[1])}
        clients.ask("begin", ports, server.process.pid, _share(isShort))
        for _ in range(0 if isShort else FILLING[0]):
            issuer.renew(isNew=True)
            server.ask("reload")
            time.sleep(FILLING[1])
        began = time.monotonic()
        rested: dict[str, Any] = {}
        number = 0
        interrupted: list[int] = []
        signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
        while (seconds := time.monotonic() - began) < minutes * 60 or number < 6:
            if interrupted and number >= 6:
                break
            interval = INTERVALS[isShort]
            time.sleep(interval / 2)
            number += 1
            issuer.renew(isNew=not isShort)
            time.sleep(interval / 2)
            rested = clients.ask("rest")
            accepted = server.ask("rest", rested["idle"])
            if accepted != rested["idle"]:
                wrong.append(f"server: {accepted} connections where {rested['idle']} are idle")
            for each in (server, clients):
                each.sample(seconds, rested["opened"])
            clients.ask("proceed")
            _progress(server, clients, rested["opened"], kept)
        clients.ask("rest")
        outcomes = {each.name: outcome(each, rested["idle"]) for each in (server, clients)}
    wrong += [line for _, lines in outcomes.values() for line in lines]
    wrong += [f"{times} times {what}" for what, times in rested["failed"].items()]
    missing = [each.__name__ for each in ROUND if not rested["conversations"].get(each.__name__)]
    if missing:
        wrong.append(f"there were none of {', '.join(missing)}")
    if rested["certificates"] < 2:
        wrong.append("no client has seen a certificate change")
    wrong += [line for each in members for line in each.said()]
    result = {
        "minutes": round(seconds / 60, 1),
        "connections": rested["opened"],
        "resumed": rested["resumed"],
        "certificates": rested["certificates"],
        "conversations": rested["conversations"],
        **{name: each for name, (each, _) in outcomes.items()},
    }
    return result, wrong


def leaving(home: Path, inMemory: int, overSockets: int) -> tuple[dict[str, Any], list[str]]:
    """
    Open and close connections while nothing is collected.

    @return: what was left, and what is wrong with that.
    """
    issued = home / "leaving-material"
    issued.mkdir()
    Issuer(issued)
    with conducted(issued, ("without the collector", "leaving")) as (member,):
        found = {
            "memory": member.ask("memory", inMemory, timeout=3600),
            "sockets": member.ask("sockets", overSockets, timeout=600),
        }
    wrong = [
        f"without the collector, {where}: {count} of {name} are left"
        for where, each in found.items()
        for name, count in each["left"].items()
    ]
    # Not more of anything, but for what is made once.
    for name in ("objects", "collected"):
        if found["memory"][name] > ONCE:
            more = found["memory"]["others"]
            wrong.append(f"without the collector: {name}: {found['memory'][name]}: {more}")
    return found, wrong


def _slowly(mebibytes: int) -> tuple[list[str], list[str]]:
    """
    Send much to somebody slow.

    @return: what was said of that, and what is wrong.
    """
    command = [sys.executable, "-m", "tests.soak_memory", str(mebibytes)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    said = ended.stdout.splitlines()
    return said, [] if ended.returncode == 0 else [*said, ended.stderr[-1000:]]


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    Open and close connections without the collector, send much to somebody slow,
    and have the traffic.
    """
    arguments = campaign.arguments
    minutes, connections, sockets, mebibytes = SHORT if campaign.isShort else WHOLE
    if arguments.minutes is not None:
        minutes = arguments.minutes
    if arguments.connections is not None:
        connections = arguments.connections
    wrong: dict[str, list[str]] = {}
    results: dict[str, Any] = {}
    parts: tuple[tuple[str, Callable[[], tuple[Any, list[str]]]], ...] = (
        ("leaving", lambda: leaving(campaign.home, connections, sockets)),
        ("slowly", lambda: _slowly(mebibytes)),
        ("traffic", lambda: traffic(campaign.home, minutes, campaign.isShort, arguments.samples)),
    )
    earlier: dict[str, Any] = {}
    if arguments.part is not None:
        earlier = json.loads((arguments.results / "soak.json").read_text("utf-8"))
    for name, part in parts:
        if arguments.part not in (None, name):
            results[name], wrong[name] = earlier[name], earlier["wrong"][name]
            continue
        began = time.monotonic()
        try:
            results[name], wrong[name] = part()
        except RuntimeError as e:
            wrong[name] = [f"{name}: {e}"]
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        for line in wrong[name]:
            print(f"soak: {line}")
    told = {"share": _share(campaign.isShort), "interval": INTERVALS[campaign.isShort]}
    return {**results, **told, "wrong": wrong}, not any(wrong.values())


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, help="of traffic")
    parser.add_argument("--part", choices=("leaving", "slowly", "traffic"), help="that alone")
    parser.add_argument("--samples", type=Path, help="file for every sample, a line of JSON each")
    parser.add_argument("--connections", type=int, help="in memory, without the collector")


if __name__ == "__main__":
    sys.exit(main("soak", str(__doc__).strip(), conduct, _extend))
