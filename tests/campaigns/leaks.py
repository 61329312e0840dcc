"""
The soak against copies of the package with a leak each: it finds every one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..programs import ROOT
from ._common import Campaign, main


class Leak(NamedTuple):
    """
    @ivar what: it is.
    @ivar path: of the module, in the package.
    @ivar old: what is there, once.
    @ivar new: what is there instead.
    @ivar signs: of what the soak says there must be each of these.
    """

    what: str
    path: str
    old: str
    new: str
    signs: tuple[str, ...]


LEAKS: tuple[Leak, ...] = (
    Leak(
        "a list that keeps one stream in a hundred",
        "stream.py",
        "        self._isLent = False\n\n    # Authentication",
        "        self._isLent = False\n"
        "        if id(self) // 64 % 100 == 0:\n"
        "            SslStream.__init__.__dict__.setdefault('kept', []).append(self)\n\n"
        "    # Authentication",
        (
            "without the collector, memory: [0-9]+ of SslStream of",
            "server: streams grows",
            "clients: streams grows",
        ),
    ),
    Leak(
        "time-outs that are not cancelled",
        "_deadline.py",
        "            timer.cancel()",
        "            pass",
        (
            "without the collector, memory: [0-9]+ of timer of",
            "server: timers",
            "clients: timers",
        ),
    ),
    Leak(
        "a cycle",
        "protocol.py",
        "        self._producer = None\n        self.callbackSender = None\n",
        "        self._producer = None\n        self.itself = self\n",
        (
            "without the collector, memory: [0-9]+ of SslStreamProtocol of success",
            "without the collector, sockets: [0-9]+ of txsslstream.protocol.SslStreamProtocol",
        ),
    ),
    Leak(
        "a descriptor in fifty that is not closed",
        "_inner.py",
        "        early = self._takeEarly()\n        if early:\n            target",
        "        early = self._takeEarly()\n"
        "        if id(self) // 64 % 50 == 0:\n"
        "            __import__('os').open('/dev/null', 0)\n"
        "        if early:\n            target",
        ("server: descriptors grows", "clients: descriptors grows"),
    ),
    Leak(
        "a cache without limit",
        "sessions.py",
        "        if len(self._sessions) > self.LIMIT:\n"
        "            self._sessions.popitem(last=False)\n",
        "",
        ("clients: sessions for [0-9]+ purposes, more than 500",),
    ),
    Leak(
        "16 KiB of OpenSSL's memory for each connection",
        "_openssl.py",
        "        self.decisions = None\n        self.session = None\n",
        "        self.decisions = None\n        self.session = None\n"
        "        lib.BIO_write(lib.BIO_new(lib.BIO_s_mem()), bytes(1 << 14), 1 << 14)\n",
        ("server: memory from malloc, MiB grows", "clients: memory from malloc, MiB grows"),
    ),
)


def build(leak: Leak, directory: Path) -> None:
    """
    Make a copy of the package, and of what tests it, that has the leak.
    """
    for name in ("txsslstream", "tests", "twisted"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, directory / name, ignore=ignored)
    damage(leak, directory)


def damage(leak: Leak, directory: Path) -> None:
    """
    Put the leak into a copy.

    @raise ValueError: it has no place there.
    """
    path = directory / "txsslstream" / leak.path
    text = path.read_text("utf-8")
    if text.count(leak.old) != 1:
        raise ValueError(f"{leak.what}: it has no place in {leak.path}")
    path.write_text(text.replace(leak.old, leak.new), "utf-8")


def _try(leak: Leak, home: Path) -> tuple[dict[str, Any], bool]:
    directory = home / f"leak-{LEAKS.index(leak)}"
    build(leak, directory)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.soak", "--short"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    said = [
        line.removeprefix("soak: ")[:300]
        for line in ended.stdout.splitlines()
        if line.startswith("soak: ")
    ]
    missing = [sign for sign in leak.signs if not any(re.match(sign, line) for line in said)]
    isFound = ended.returncode == 1 and not missing
    print(f"{leak.what}: {'found' if isFound else 'NOT FOUND'}", *said, sep="\n    ", flush=True)
    if ended.returncode not in (0, 1):
        print(ended.stderr[-2000:])
    signs = [
        next((line for line in said if re.match(sign, line)), f"missing: {sign}")
        for sign in leak.signs
    ]
    return {"what": leak.what, "signs": signs, "lines": len(said), "isFound": isFound}, isFound


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    Try them all, or a sample.
    """
    leaks = LEAKS[:1] if campaign.isShort else LEAKS
    if campaign.arguments.only:
        leaks = tuple(each for each in LEAKS if campaign.arguments.only in each.what)
    tried = [_try(each, campaign.home) for each in leaks]
    return {"leaks": [each for each, _ in tried]}, all(isFound for _, isFound in tried)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", help="those with these words")


if __name__ == "__main__":
    sys.exit(main("leaks", str(__doc__).strip(), conduct, _extend))
