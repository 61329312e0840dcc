"""
The tests on every supported Python, and with the oldest dependencies that
setup.cfg admits: C{python -m tests.matrix [DIRECTORY]}.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.wheel import ROOT

PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def interpreters() -> Iterator[tuple[str, str]]:
    """
    The supported versions and an interpreter for each that this machine has.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in PYTHONS:
        candidates = [*map(str, sorted(pyenv.glob(f"{version}.*/bin/python"))), f"python{version}"]
        for candidate in candidates:
            found = shutil.which(candidate)
            if found is not None:
                yield version, found
                break
        else:
            print(f"Python {version}: not on this machine")


def oldest() -> list[str]:
    """
    The lower bounds of setup.cfg, as constraints.
    """
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    requirements = parser["options"]["install_requires"]
    return [
        f"{name}=={version}"
        for name, version in re.findall(r"^([\w.-]+)>=([\w.]+)$", requirements, re.MULTILINE)
    ]


def passes(python: str, place: Path, constraints: list[str]) -> bool:
    """
    Run the tests in a new virtual environment.
    """
    subprocess.run([python, "-m", "venv", place], check=True)
    bounds = place / "constraints.txt"
    bounds.write_text("".join(f"{line}\n" for line in constraints))
    own = place / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "-q", "-c", bounds, f"{ROOT}[test]"], check=True)
    return subprocess.run([own, "-m", "pytest", "-q"], cwd=ROOT, check=False).returncode == 0


def main() -> None:
    """
    Try everything; exit with 1 if something fails.
    """
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    failed = []
    for version, python in interpreters():
        print(f"== Python {version}", flush=True)
        if not passes(python, place / f"python{version}", []):
            failed.append(f"Python {version}")
        if version == PYTHONS[0]:
            print(f"== Python {version}, oldest dependencies", flush=True)
            if not passes(python, place / "oldest", oldest()):
                failed.append("the oldest dependencies")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
