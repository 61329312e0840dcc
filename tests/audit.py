"""
Whether any installed distribution has a known vulnerability, by pip-audit:
C{python -m tests.audit SITE_PACKAGES}.

Exits with 0 if none has, with 1 if one has, and with 3 if that could not be found
out for all of them.  pip-audit itself calls it a success when it finds nothing
out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Its own advisories would be with its maintainers first.
OURS = "txsslstream"

UNKNOWN = 3


@dataclass(frozen=True)
class Audit:
    """
    What an audit found.

    @ivar clean: the distributions about which nothing is known.
    @ivar vulnerable: what is known about others, a line each.
    @ivar unknown: those about which nothing could be found out.
    """

    clean: Sequence[str]
    vulnerable: Sequence[str]
    unknown: Sequence[str]

    @property
    def status(self) -> int:
        """
        The exit status; nothing is clean of which nothing was audited.
        """
        if self.vulnerable:
            return 1
        return UNKNOWN if self.unknown or not self.clean else 0


def judge(report: Mapping[str, Any]) -> Audit:
    """
    @param report: pip-audit's JSON.
    """
    clean, vulnerable, unknown = [], [], []
    for each in report["dependencies"]:
        name = each["name"]
        if name == OURS:
            continue
        if "skip_reason" in each:
            unknown.append(name)
        elif not each["vulns"]:
            clean.append(name)
        for known in each.get("vulns", ()):
            mended = ", ".join(known["fix_versions"]) or "no version"
            vulnerable.append(f"{name} {each['version']}: {known['id']}, mended in {mended}")
    return Audit(clean, vulnerable, unknown)


def main() -> None:
    """
    Audit the folder that the command line names.
    """
    command = ["-m", "pip_audit", "--progress-spinner", "off", "-f", "json", "--path", sys.argv[1]]
    run = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    try:
        audit = judge(json.loads(run.stdout))
    except ValueError:
        print(*run.stderr.splitlines()[-1:], sep="\n")
        print("NOT AUDITED: the advisories cannot be reached from here")
        raise SystemExit(UNKNOWN) from None
    for line in audit.vulnerable:
        print(line)
    print(f"{len(audit.clean)} distributions without a known vulnerability")
    if audit.unknown:
        print(f"NOT AUDITED, no advisories to be had from here: {', '.join(audit.unknown)}")
    raise SystemExit(audit.status)


if __name__ == "__main__":
    main()
