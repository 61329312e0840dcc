"""
The process that makes inputs: C{python -m tests.campaigns._fuzzer FILE}, for
L{tests.campaigns.fuzz}.

atheris must see the package before anybody imports it, and can search in one
target in each process alone; so this one loads everything and forks for each.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

if TYPE_CHECKING:
    from tests.fuzzing.target import Target, Trial

#: How many different findings are enough for one target.
_ENOUGH = 20

#: How many inputs are grown for each target, at most.
_GROWN = 60

#: Seconds after which an input is taken to have no end, and mebibytes of memory.
_TIMEOUT, _MEMORY = 60, 2048


class _Search:
    """
    The search in one target, in a process of its own.
    """

    def __init__(self, target: Target, trial: Trial, inputs: int, place: Path) -> None:
        self._target = target
        self._trial = trial
        self._inputs = inputs
        self._place = place
        self._findings: dict[str, dict[str, Any]] = {}

    def grow(self, starts: list[bytes], count: int) -> None:
        """
        Try inputs that are much longer than those that are searched for.
        """
        from tests.fuzzing.target import grown

        for _ in range(count):
            size = self._target.largest >> random.randrange(8)
            width = random.choice((1, 2, 4, 16, 60, 250, 1000))
            self.one(grown(random.choice(starts), size, random.randrange(1 << 16), width))

    def one(self, data: bytes) -> None:
        """
        Try an input; after the last one, end the process.
        """
        try:
            self._trial.run(data)
        except BaseException as e:
            self._note(data, e)
        if self._trial.inputs >= self._inputs or len(self._findings) >= _ENOUGH:
            self._end()

    def _note(self, data: bytes, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        where = [f"{frame.filename}:{frame.lineno}" for frame in frames]
        self._findings.setdefault(
            f"{type(error).__name__} {where}",
            {
                "error": f"{type(error).__name__}: {error}"[:500],
                "trace": "".join(traceback.format_tb(error.__traceback__)[-4:]),
                "input": b64encode(data).decode("ascii"),
                "after": self._trial.inputs,
            },
        )

    def _end(self) -> None:
        trial = self._trial
        told = {
            "inputs": trial.inputs,
            "outcomes": dict(trial.outcomes.most_common(30)),
            "slowest": {
                "seconds": round(trial.slowest.seconds, 4),
                "bytes": len(trial.slowest.data),
                "sha256": sha256(trial.slowest.data).hexdigest()[:16],
            },
            "longest": trial.longest,
            "memory": trial.memory,
            "findings": list(self._findings.values()),
        }
        (self._place / "told.json").write_text(json.dumps(told), "utf-8")
        sys.stdout.flush()
        os._exit(0)


def _quoted(word: str) -> str:
    plain = (
        chr(each) if 0x20 <= each < 0x7F and each not in b'"\\' else f"\\x{each:02x}"
        for each in word.encode()
    )
    return f'"{"".join(plain)}"'


def _search(target: Target, inputs: int, seed: int, place: Path) -> None:
    """
    Search, and end the process.
    """
    from twisted.logger import globalLogBeginner

    from tests.fuzzing.corpus import kept
    from tests.fuzzing.target import Trial

    starts = {*target.seeds(), *kept(target)}
    (place / "found").mkdir(parents=True)
    (place / "starts").mkdir()
    for data in starts:
        if len(data) <= target.longest:
            (place / "starts" / sha256(data).hexdigest()).write_bytes(data)
    words = place / "words"
    words.write_text("".join(f"{_quoted(each)}\n" for each in sorted(target.words)), "ascii")
    dictionary = [f"-dict={words}"] if target.words else []
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    random.seed(seed)
    trial = Trial(target)
    search = _Search(target, trial, inputs, place)
    arguments = [
        sys.argv[0],
        f"-seed={seed}",
        f"-max_len={target.longest}",
        # What is cut short is mostly refused for that.
        "-len_control=0",
        f"-timeout={_TIMEOUT}",
        f"-rss_limit_mb={_MEMORY}",
        *dictionary,
        f"-artifact_prefix={place}/",
        "-verbosity=0",
        f"{place}/found",
        f"{place}/starts",
    ]
    with trial.watched():
        search.grow(sorted(starts), min(_GROWN, inputs // 500))
        atheris.Setup(arguments, search.one)
        atheris.Fuzz()


def _abnormal(place: Path) -> Iterable[dict[str, Any]]:
    """
    @return: the inputs with which a process has ended that did not end itself.
    """
    for path in place.iterdir():
        kind, _, rest = path.name.partition("-")
        if rest and kind in ("crash", "timeout", "oom", "leak"):
            data = b64encode(path.read_bytes()).decode("ascii")
            yield {"error": kind, "trace": "", "input": data, "after": 0}


def main(told: Path) -> None:
    """
    Search in each target that a file names, one after the other.
    """
    plan = json.loads(told.read_text("utf-8"))
    with atheris.instrument_imports(include=["txsslstream"], enable_loader_override=False):
        from tests.fuzzing.targets import TARGETS
    for name, inputs in plan["inputs"].items():
        place = told.parent / name
        place.mkdir()
        child = os.fork()
        if not child:
            try:
                _search(TARGETS[name], inputs, plan["seed"], place)
            except BaseException:
                (place / "broken").write_text(traceback.format_exc(), "utf-8")
            finally:
                os._exit(1)
        _, status, usage = os.wait4(child, 0)
        ended = {
            "seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "peak": usage.ru_maxrss * 1024,
            "status": os.waitstatus_to_exitcode(status),
            "findings": list(_abnormal(place)),
        }
        with suppress(OSError):
            ended["broken"] = (place / "broken").read_text("utf-8")
        (place / "ended.json").write_text(json.dumps(ended), "utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
