"""
tlsfuzzer's scripts against the sample server.

F{tlsfuzzer.json} has each of them: with which arguments it runs, against which
server, which of its conversations end otherwise than it expects, and why that
is right; or why it does not apply.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ._common import HOST, Campaign, NotHad, Target, main, program
from ._common import SAMPLE as SAMPLE_SERVER

SOURCE = "https://github.com/tlsfuzzer/tlsfuzzer"

#: A commit's name says what is in it.
COMMIT = "14555fe211456c46deccc4b2d94751dbd894aece"

PACKAGES = ("tlslite-ng==0.9.0b2", "ecdsa==0.19.2", "kyber-py==1.2.0")

SCRIPTS: Mapping[str, Mapping[str, Any]] = json.loads(
    Path(__file__).with_suffix(".json").read_text("utf-8")
)

#: Runs a script that chooses by chance, so that it chooses the same again.
_SEEDED = (
    "import random, runpy, sys; del sys.argv[0]; random.seed(int(sys.argv.pop(0))); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)

#: Of a short run: old and new versions, lengths, alerts, storms, certificates.
SAMPLE = (
    "test-tls13-conversation",
    "test-tls13-keyupdate",
    "test-tls13-empty-alert",
    "test-tls13-zero-length-data",
    "test-invalid-content-type",
    "test-renegotiation-disabled",
    "test-certificate-verify",
)

#: What a summary counts, and our words for it.
_COUNTS = {"TOTAL": "conversations", "SKIP": "skipped", "PASS": "passed", "FAIL": "failed"}


def summary(output: str) -> dict[str, Any] | None:
    """
    @param output: what a script has printed.
    @return: its counts, in words of ours, and the names of the conversations
        that have not ended as they should; L{None} if there is no summary.
    """
    found = [re.findall(rf"^{name}: (\d+)$", output, re.MULTILINE) for name in _COUNTS]
    if not all(found):
        return None
    counts = dict(zip(_COUNTS.values(), (int(each[-1]) for each in found), strict=True))
    end = output.rpartition("=" * 20)[2]
    names = {name for _, name in re.findall(r"""^\t(['"])(.*)\1$""", end, re.MULTILINE)}
    return {**counts, "names": sorted(names)}


def surprises(names: Iterable[str], entry: Mapping[str, Any]) -> list[str]:
    """
    @param names: of conversations that have not ended as tlsfuzzer expects.
    @param entry: of their script.
    @return: those of them that no exception is about.
    """
    patterns = [each["names"] for each in entry.get("except", ())]
    return [name for name in names if not any(re.fullmatch(each, name) for each in patterns)]


def _fetched(campaign: Campaign) -> Path:
    """
    @return: where tlsfuzzer is.
    """
    if campaign.arguments.source is not None:
        return Path(campaign.arguments.source)
    directory = campaign.home / "tlsfuzzer"
    git = program("git")
    campaign.run([git, "init", "-q", str(directory)], 60)
    fetch = [git, "fetch", "-q", "--depth", "1", SOURCE, COMMIT]
    status, said = campaign.run(fetch, 300, directory)
    if not status:
        status, said = campaign.run([git, "checkout", "-q", "FETCH_HEAD"], 60, directory)
    if status:
        shutil.rmtree(directory)
        raise NotHad(f"{SOURCE}: {said.strip()}")
    return directory


class _Run:
    """
    The scripts, one after the other.
    """

    def __init__(self, campaign: Campaign, source: Path, python: Path) -> None:
        self._campaign = campaign
        self._source = source
        self._python = python

    def one(self, target: Target, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """
        @return: what came of a script.
        """
        home = self._campaign.home
        arguments = [each.format(home=home) for each in entry["arguments"]]
        if not entry.get("isWhole"):
            arguments += ["-n", "5" if self._campaign.isShort else self._campaign.arguments.n]
        command = [str(self._python), "-c", _SEEDED, str(self._campaign.arguments.seed)]
        command += [f"scripts/{name}.py", "-h", HOST, "-p", str(target.port)]
        began = time.monotonic()
        status, output = self._campaign.run(
            [*command, *arguments], entry.get("timeout", 300), self._source
        )
        result: dict[str, Any] = {"name": name, "seconds": round(time.monotonic() - began, 1)}
        counts = summary(output)
        result.update(counts or {})
        result["complaints"] = target.complaints()
        result["surprises"] = surprises(result.get("names", ()), entry)
        result["isAsExpected"] = bool(
            counts
            and (not status or counts["failed"])
            and not result["surprises"]
            and not result["complaints"]
        )
        if not result["isAsExpected"]:
            self._keep(name, output)
        return result

    def _keep(self, name: str, output: str) -> None:
        directory: Path | None = self._campaign.arguments.results
        if directory is not None:
            (directory / "tlsfuzzer").mkdir(parents=True, exist_ok=True)
            (directory / "tlsfuzzer" / f"{name}.txt").write_text(output, "utf-8")


def _serverFor(entry: Mapping[str, Any]) -> tuple[str, str, bool]:
    return entry.get("server", SAMPLE_SERVER), entry.get("key", "RSA"), entry.get("asks", False)


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    Run the scripts that apply.
    """
    only = campaign.arguments.only or (SAMPLE if campaign.isShort else tuple(SCRIPTS))
    chosen = {name: SCRIPTS[name] for name in only if "why" not in SCRIPTS[name]}
    source = _fetched(campaign)
    missing = {path.stem for path in (source / "scripts").glob("test-*.py")} ^ set(SCRIPTS)
    if missing:
        raise NotHad(f"another version of tlsfuzzer, as for {sorted(missing)}")
    if campaign.arguments.python is not None:
        python = Path(campaign.arguments.python)
    else:
        python = campaign.python(*PACKAGES)
    run = _Run(campaign, source, python)
    results = []
    growth = []
    servers = {name: _serverFor(entry) for name, entry in chosen.items()}
    for server in sorted(set(servers.values())):
        with campaign.target(*server) as target:
            before = target.memory(), target.descriptors()
            for name, entry in chosen.items():
                if servers[name] != server:
                    continue
                result = run.one(target, name, entry)
                results.append(result)
                word = "as expected" if result["isAsExpected"] else "NOT AS EXPECTED"
                print(f"{name}: {word}, {result['seconds']} s, {result['surprises']}", flush=True)
            after = target.memory(), target.descriptors()
            growth.append(
                {
                    "server": server[0],
                    "key": server[1],
                    "asks": server[2],
                    "memory": [before[0], after[0]],
                    "descriptors": [before[1], after[1]],
                }
            )
    results.sort(key=lambda each: str(each["name"]))
    whole = {"source": SOURCE, "commit": COMMIT, "packages": PACKAGES, "servers": growth}
    return {**whole, "scripts": results}, all(each["isAsExpected"] for each in results)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", help="where tlsfuzzer is, instead of fetching it")
    parser.add_argument("--python", help="an interpreter that has what it needs")
    parser.add_argument(
        "--only", nargs="+", choices=list(SCRIPTS), metavar="SCRIPT", help="these scripts alone"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is chosen [%(default)s]")
    parser.add_argument(
        "-n", default="30", help="most conversations of a script, chosen at random [%(default)s]"
    )


if __name__ == "__main__":
    sys.exit(main("tlsfuzzer", str(__doc__).strip().splitlines()[0], conduct, _extend))
