"""
testssl.sh (Debian package C{testssl.sh}) against the sample server.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._common import HOST, SAMPLE, Campaign, NotHad, main, program

#: What is no finding.
HARMLESS = frozenset({"OK", "INFO", "DEBUG"})

#: Findings that are about something else than the server, and why.
EXCEPTIONS: Mapping[str, str] = {
    "engine_problem": "about the OpenSSL that testssl.sh uses",
    "DNS_CAArecord": "about the DNS, which has no records for localhost",
    "scanTime": "about the time it took",
}

#: What could not be looked into, and why that says nothing of the server.
UNTRIED: Mapping[tuple[str, str], str] = {
    ("sessionresumption_ticket", "check failed because of connect problem"): (
        "about testssl.sh's client, which ends with its handshake: in TLS 1.3 the ticket comes "
        "behind that, often too late to be kept"
    ),
}


def judged(
    findings: Iterable[Mapping[str, str]],
) -> tuple[dict[str, int], list[Mapping[str, str]], list[Mapping[str, str]]]:
    """
    @param findings: all that testssl.sh has written.
    @return: how many there are of each severity; those that are worse than
        informational and about the server; and those about something else.
    """
    counts: dict[str, int] = {}
    worse: list[Mapping[str, str]] = []
    elsewhere: list[Mapping[str, str]] = []
    for each in findings:
        severity = each["severity"]
        if severity in HARMLESS:
            counts[severity] = counts.get(severity, 0) + 1
            continue
        short = {name: each[name] for name in ("id", "severity", "finding")}
        why = EXCEPTIONS.get(each["id"]) or UNTRIED.get((each["id"], each["finding"]))
        if why:
            elsewhere.append({**short, "why": why})
        else:
            worse.append(short)
    return counts, worse, elsewhere


def _scan(campaign: Campaign, key: str, asks: bool) -> tuple[dict[str, Any], bool]:
    path = campaign.home / f"testssl-{key}-{asks}.json"
    # A sample is about versions and kinds of suites.
    parts: Sequence[str] = ("-p", "-s") if campaign.isShort else ()
    with campaign.target(key=key, asks=asks) as target:
        status, said = campaign.run(
            [
                *(program("testssl"), "--quiet", "--warnings", "batch", "--color", "0"),
                *("--add-ca", str(campaign.trust), "--jsonfile", str(path), "--ip", HOST),
                *(*parts, f"localhost:{target.port}"),
            ],
            1800,
        )
        complaints = target.complaints()
    if not path.exists():
        raise NotHad(f"testssl.sh: exit status {status}: {said[-1000:]}")
    counts, worse, elsewhere = judged(json.loads(path.read_text("utf-8")))
    result = {
        "server": SAMPLE,
        "key": key,
        "asks": asks,
        "counts": counts,
        "worse": worse,
        "elsewhere": elsewhere,
        "complaints": complaints,
    }
    return result, bool(counts) and not worse and not complaints


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    Have it look at the server, with and without certificates of clients.
    """
    _, version = campaign.run([program("testssl"), "--version"], 60)
    kinds = [("RSA", False)] if campaign.isShort else [("RSA", False), ("EC", False), ("EC", True)]
    scans = [_scan(campaign, *kind) for kind in kinds]
    words = [word for word in version.split() if word[:1].isdigit()]
    whole = {
        "tool": f"testssl.sh {words[0] if words else ''}",
        "scans": [scan for scan, _ in scans],
    }
    return whole, all(isGood for _, isGood in scans)


if __name__ == "__main__":
    sys.exit(main("testssl", str(__doc__).strip(), conduct))
