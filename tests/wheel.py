"""
Checks what is in a wheel or in a source distribution:
C{python -m tests.wheel FILE...}.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent


def problems(names: set[str]) -> list[str]:
    """
    @param names: the files of a wheel.
    @return: what is wrong with them, a line each.
    """
    wanted = {
        str(path.relative_to(ROOT))
        for path in (
            *ROOT.glob("txsslstream/**/*.py"),
            ROOT / "txsslstream/py.typed",
            *ROOT.glob("twisted/plugins/*.py"),
        )
    }
    found = {name for name in names if ".dist-info/" not in name}
    lines = [f"missing: {name}" for name in sorted(wanted - found)]
    lines += [f"superfluous: {name}" for name in sorted(found - wanted)]
    if "twisted/plugins/__init__.py" in names:
        # It would take the place of Twisted's own.
        lines.append("never ship twisted/plugins/__init__.py")
    if "twisted/plugins/txsslstream_dropin.py" not in names:
        lines.append("twistd would not find the plugin")
    return lines


def missing(names: Iterable[str], tracked: set[str]) -> list[str]:
    """
    @param names: the files of a source distribution, which are all in one folder.
    @param tracked: the files of the repository.
    @return: what the distribution lacks of them, a line each.
    """
    found = {name.partition("/")[2] for name in names}
    return [f"missing: {name}" for name in sorted(tracked - found)]


def main() -> None:
    """
    Check the files that the command line names.
    """
    for name in sys.argv[1:]:
        if name.endswith(".whl"):
            with zipfile.ZipFile(name) as wheel:
                lines = problems(set(wheel.namelist()))
        else:
            listed = subprocess.run(
                ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
            )
            with tarfile.open(name) as source:
                lines = missing(source.getnames(), set(listed.stdout.decode().split("\0")) - {""})
        if lines:
            raise SystemExit("\n".join([name, *lines]))
        print(f"{Path(name).name} holds what it should")


if __name__ == "__main__":
    main()
