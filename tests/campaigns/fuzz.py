"""
Fuzzing: millions of inputs, made by atheris out of those that are kept, for
whatever reads what others say; see L{tests.fuzzing}.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzzing.corpus import CORPUS, keep, kept, smallest
from tests.fuzzing.target import Target
from tests.fuzzing.targets import TARGETS
from txsslstream.errors import printable

from ._common import Campaign, NotHad, main

ROOT = Path(__file__).resolve().parent.parent.parent

#: Inputs of a whole run, and of a sample.
WHOLE, SAMPLE = 10_000_000, 40_000

#: A directory in memory, if there is one: the targets write files.
_MEMORY = Path("/dev/shm")


def shares(names: list[str], inputs: int) -> dict[str, int]:
    """
    @return: how many of so many inputs each target gets, all of them in all.
    """
    total = sum(TARGETS[name].share for name in names)
    given = {name: inputs * TARGETS[name].share // total for name in names}
    given[names[0]] += inputs - sum(given.values())
    return given


def _told(target: Target, place: Path, seed: int) -> dict[str, Any]:
    """
    @return: what came of the search in a target.
    """
    ended = json.loads((place / "ended.json").read_text("utf-8"))
    path = place / "told.json"
    told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    findings = [*told.pop("findings", ()), *ended.pop("findings")]
    if "broken" in ended:
        findings.append({"error": ended.pop("broken"), "trace": "", "input": "", "after": 0})
    if not told and not findings:
        words = (place / "log").read_text("utf-8", "replace")[-500:]
        findings.append({"error": f"ended: {words}", "trace": "", "input": "", "after": 0})
    return {
        "name": target.name,
        "seed": seed,
        **told,
        **ended,
        "kept": len(kept(target)),
        "findings": findings,
    }


def _searched(campaign: Campaign, plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    home = campaign.home / "fuzz"
    home.mkdir()
    told = home / "plan.json"
    told.write_text(json.dumps(plan), "utf-8")
    files = TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    with files as place, (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaigns._fuzzer", str(told)],
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(campaign.home),
                "TMPDIR": place,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.PIPE,
            # It tells of each module that it has instrumented.
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield _told(TARGETS[line.strip()], home / line.strip(), plan["seed"])
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError((home / "log").read_text("utf-8", "replace")[-2000:])


def _keep(target: Target, found: Path, findings: Iterable[Mapping[str, Any]]) -> None:
    """
    Keep one input of each kind, and all that have ever shown a defect.
    """
    defects = {data: defect for data, defect in kept(target).items() if defect}
    for each in findings:
        defects[b64decode(each["input"])] = printable(each["error"], 80)
    others = {*target.seeds(), *kept(target), *(each.read_bytes() for each in found.iterdir())}
    keep(target, {**dict.fromkeys(smallest(target, others), ""), **defects})


def together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """
    @return: what came of two searches in the same target.
    """
    return {
        **other,
        "inputs": one["inputs"] + other["inputs"],
        "seconds": round(one["seconds"] + other["seconds"], 1),
        "outcomes": dict(Counter(one["outcomes"]) + Counter(other["outcomes"])),
        "slowest": max(one["slowest"], other["slowest"], key=lambda each: each["seconds"]),
        **{key: max(one[key], other[key]) for key in ("longest", "memory", "peak", "seed")},
        "findings": [*one["findings"], *other["findings"]],
    }


def beside(
    targets: list[dict[str, Any]], before: Mapping[str, Any], isMore: bool
) -> list[dict[str, Any]]:
    """
    @param targets: what came of some targets now.
    @param before: what came of targets before, by their names.
    @param isMore: whether that is added to what came of the same one before.
    @return: what came of all, in their order.
    """
    found = dict(before)
    for each in targets:
        name = each["name"]
        found[name] = together(found[name], each) if isMore and name in found else each
    return [found[name] for name in TARGETS if name in found]


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    @raise NotHad: there is no atheris for this Python or platform.
    """
    if importlib.util.find_spec("atheris") is None:
        raise NotHad("atheris: not installed (pip install 'txsslstream[fuzz]')")
    arguments = campaign.arguments
    names = arguments.target.split(",") if arguments.target else list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise SystemExit(f"no target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    inputs = arguments.inputs or (SAMPLE if campaign.isShort else WHOLE)
    plan = {"inputs": shares(names, inputs), "seed": arguments.seed}
    targets = []
    for told in _searched(campaign, plan):
        targets.append(told)
        rate = told.get("inputs", 0) / max(told["seconds"], 0.1)
        print(
            f"{told['name']}: {told.get('inputs', 0)} inputs in {told['seconds']} s "
            f"({rate:.0f}/s), {len(told['findings'])} findings",
            flush=True,
        )
        for finding in told["findings"]:
            print(f"  after {finding['after']}: {finding['error']}\n{finding['trace']}")
            print(f"  {finding['input']} # of {len(b64decode(finding['input']))} bytes")
        if arguments.keep:
            found = campaign.home / "fuzz" / told["name"] / "found"
            _keep(TARGETS[told["name"]], found, told["findings"])
            told["kept"] = len(kept(TARGETS[told["name"]]))
    done = sum(told.get("inputs", 0) for told in targets)
    print(f"{done} inputs")
    path = None if arguments.results is None else arguments.results / "fuzz.json"
    if arguments.target and path is not None and path.exists():
        stored = json.loads(path.read_text("utf-8"))["targets"]
        targets = beside(targets, {each["name"]: each for each in stored}, arguments.more)
        done = sum(told.get("inputs", 0) for told in targets)
    results = {
        "atheris": metadata.version("atheris"),
        "inputs": done,
        "cpu": round(sum(told["seconds"] for told in targets)),
        "bytes": sum(path.stat().st_size for path in CORPUS.iterdir()),
        "targets": targets,
    }
    return results, done >= inputs and not any(told["findings"] for told in targets)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", help=f"names with commas between, of {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, help=f"how many in all [{WHOLE}]")
    parser.add_argument(
        "--more", action="store_true", help="add to the results that are there for these targets"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what is made by chance [1]")
    parser.add_argument(
        "--keep", action="store_true", help="write the inputs that are kept anew, with what is new"
    )


if __name__ == "__main__":
    sys.exit(main("fuzz", __doc__, conduct, _options))
