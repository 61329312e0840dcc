"""
Checks what is in a wheel: C{python -m tests.wheel FILE}.
"""

from __future__ import annotations

import sys
import zipfile
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


def main() -> None:
    """
    Check the wheel that the command line names.
    """
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        lines = problems(set(wheel.namelist()))
    if lines:
        raise SystemExit("\n".join(lines))
    print("the wheel holds what it should")


if __name__ == "__main__":
    main()
