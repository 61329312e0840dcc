"""
The tests with the lowest, latest and development versions of what the package
depends on, on every supported Python: C{python -m tests.matrix --help}.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.wheel import ROOT

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
VERSIONS = ("lowest", "latest", "development")

#: Where the versions that come next are from.
DEVELOPMENT: Mapping[str, str] = {
    "Twisted": "https://github.com/twisted/twisted/archive/trunk.zip",
    "pyOpenSSL": "https://github.com/pyca/pyopenssl/archive/main.zip",
}

#: Seconds that a host has to answer.
PATIENCE = 30


def interpreters(versions: Iterable[str]) -> Iterator[tuple[str, str]]:
    """
    Those of the versions that this machine has, and an interpreter for each.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in versions:
        candidates = [*map(str, sorted(pyenv.glob(f"{version}.*/bin/python"))), f"python{version}"]
        found = next(filter(None, map(shutil.which, candidates)), None)
        if found is None:
            print(f"Python {version}: not on this machine", flush=True)
        else:
            yield version, found


def lowest() -> list[str]:
    """
    The lower bounds of setup.cfg for all that users install, as constraints.
    """
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    requirements = (
        parser["options"]["install_requires"],
        parser["options.extras_require"]["prometheus"],
    )
    return [
        f"{name}=={version}"
        for name, version in re.findall(
            r"^([\w.-]+)>=([\w.]+)$", "\n".join(requirements), re.MULTILINE
        )
    ]


def reachable(sources: Mapping[str, str]) -> dict[str, str]:
    """
    Those of the sources that can be had from here; says which cannot.

    @param sources: an address or a folder for each distribution.
    """
    found = {}
    for name, source in sources.items():
        if "://" in source:
            request = urllib.request.Request(source, method="HEAD")
            try:
                urllib.request.urlopen(request, timeout=PATIENCE).close()
            except OSError as error:
                print(f"{name}: not reachable from here: {source} ({error})", flush=True)
                continue
        elif not Path(source).is_dir():
            raise SystemExit(f"{name}: no such folder: {source}")
        found[name] = source
    return found


def passes(python: str, place: Path, constraints: Sequence[str], sources: Iterable[str]) -> bool:
    """
    Run the tests in a new virtual environment.

    @param constraints: versions, as pip writes them.
    @param sources: what is installed in place of its release.
    """
    subprocess.run([python, "-m", "venv", place], check=True)
    bounds = place / "constraints.txt"
    bounds.write_text("".join(f"{line}\n" for line in constraints))
    own = place / "bin" / "python"

    def install(*what: object) -> bool:
        command = [str(own), "-m", "pip", "install", "-q", *map(str, what)]
        return any(subprocess.run(command, check=False).returncode == 0 for _ in range(2))

    if not install("-c", bounds, f"{ROOT}[test]"):
        print("cannot be installed", flush=True)
        return False
    # Their own bounds may be ahead of what the release of the other admits.
    if not all(install("--force-reinstall", "--no-deps", source) for source in sources):
        print("a development version cannot be installed", flush=True)
        return False
    subprocess.run([own, "-m", "pip", "list"], check=True)
    return subprocess.run([own, "-m", "pytest", "-q"], cwd=ROOT, check=False).returncode == 0


def main() -> None:
    """
    Try what the command line names, everything otherwise; exit with 1 if
    something fails, or if nothing was tried.
    """
    parser = argparse.ArgumentParser(prog="tests.matrix", description=__doc__)
    parser.add_argument("place", nargs="?", type=Path, help="for virtual environments")
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--versions", action="append", choices=VERSIONS)
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help=f"a development version that is here already; of {', '.join(DEVELOPMENT)}",
    )
    options = parser.parse_args()
    place = options.place or Path(tempfile.mkdtemp())
    kinds = options.versions or VERSIONS
    sources: dict[str, str] = {}
    if "development" in kinds:
        own = dict(each.partition("=")[::2] for each in options.source)
        if not own.keys() <= DEVELOPMENT.keys():
            parser.error("--source names a distribution that has no development version here")
        sources = reachable({**DEVELOPMENT, **own})

    tried, failed = [], []
    for version, python in interpreters(options.python or PYTHONS):
        for kind in kinds:
            name = f"Python {version}, {kind}"
            if kind == "development":
                if not sources:
                    print(f"== {name}: not tried, none is reachable", flush=True)
                    continue
                name = f"{name} ({', '.join(sources)})"
            print(f"== {name}", flush=True)
            bounds = lowest() if kind == "lowest" else []
            chosen = sources.values() if kind == "development" else ()
            tried.append(name)
            if not passes(python, place / f"{version}-{kind}", bounds, chosen):
                failed.append(name)
    for name in tried:
        print(f"{'failed' if name in failed else 'passed'}: {name}")
    if failed or not tried:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
