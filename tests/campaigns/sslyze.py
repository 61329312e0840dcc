"""
sslyze (from PyPI, in an environment of its own) against the sample server.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ._common import SAMPLE, Campaign, NotHad, main

PACKAGE = "sslyze==6.3.1"

#: What must be so in its results: where that is, and what there has to be.
EXPECTED: tuple[tuple[str, Any], ...] = (
    ("heartbleed.result.is_vulnerable_to_heartbleed", False),
    ("openssl_ccs_injection.result.is_vulnerable_to_ccs_injection", False),
    ("robot.result.robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
    ("session_renegotiation.result.is_vulnerable_to_client_renegotiation_dos", False),
    ("session_renegotiation.result.supports_secure_renegotiation", True),
    ("tls_compression.result.supports_compression", False),
    ("tls_fallback_scsv.result.supports_fallback_scsv", True),
    ("tls_extended_master_secret.result.supports_ems_extension", True),
    ("ssl_2_0_cipher_suites.result.accepted_cipher_suites", []),
    ("ssl_3_0_cipher_suites.result.accepted_cipher_suites", []),
    ("tls_1_0_cipher_suites.result.accepted_cipher_suites", []),
    ("tls_1_1_cipher_suites.result.accepted_cipher_suites", []),
)

#: Where we differ from Mozilla's "intermediate" recommendation, and why.
EXCEPTIONS: Mapping[str, str] = {
    "tls_curves": "X448 and secp521r1 are offered behind X25519: they are stronger, not weaker",
}


def _at(results: Any, path: str) -> Any:
    for name in path.split("."):
        results = results.get(name) if isinstance(results, dict) else None
        if results is None:
            return None
    return results


def findings(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @param results: sslyze's, of one server.
    @return: what is not as it must be.
    """
    for path, expected in EXPECTED:
        found = _at(results, path)
        if found != expected:
            yield f"{path}: {found!r}, not {expected!r}"
    deployments = _at(results, "certificate_info.result.certificate_deployments") or []
    if not deployments:
        yield "there is no certificate"
    for deployment in deployments:
        if not any(
            each.get("verified_certificate_chain") for each in deployment["path_validation_results"]
        ):
            yield "the certificate is not trusted"
    for version in ("tls_1_2", "tls_1_3"):
        suites = _at(results, f"{version}_cipher_suites.result.accepted_cipher_suites") or []
        if not suites:
            yield f"{version}: nothing is accepted"
        for suite in suites:
            name = suite["cipher_suite"]["name"]
            if not name.endswith(("_GCM_SHA256", "_GCM_SHA384", "_POLY1305_SHA256")):
                yield f"{version}: {name} is accepted"
            if version == "tls_1_2" and "DHE_" not in name:
                yield f"{version}: {name} has no forward secrecy"


def compliance(output: str) -> dict[str, str]:
    """
    @param output: what sslyze has printed.
    @return: in what the server differs from Mozilla's recommendation, by names.
    """
    lines = output.partition("COMPLIANCE AGAINST")[2].splitlines()
    pairs = [line.strip()[2:].split(": ", 1) for line in lines if line.strip().startswith("* ")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _scan(campaign: Campaign, python: Path, key: str, asks: bool) -> tuple[dict[str, Any], bool]:
    path = campaign.home / f"sslyze-{key}-{asks}.json"
    client = []
    if asks:
        client = ["--cert", str(campaign.home / f"client-{key}.pem")]
        client += ["--key", str(campaign.home / f"client-{key}.key")]
    with campaign.target(key=key, asks=asks) as target:
        status, said = campaign.run(
            [
                *(str(python), "-m", "sslyze", f"--json_out={path}"),
                *("--certinfo_ca_file", str(campaign.trust), *client),
                f"localhost:{target.port}",
            ],
            900,
        )
        complaints = target.complaints()
    if not path.exists():
        raise NotHad(f"sslyze: exit status {status}: {said[-1000:]}")
    scanned = json.loads(path.read_text("utf-8"))["server_scan_results"][0]
    worse = list(findings(scanned["scan_result"] or {}))
    differences = compliance(said)
    worse += [f"{name}: {text}" for name, text in differences.items() if name not in EXCEPTIONS]
    result = {
        "server": SAMPLE,
        "key": key,
        "asks": asks,
        "checks": len(EXPECTED),
        "worse": worse,
        "differences": {
            name: {"said": text, "why": EXCEPTIONS[name]}
            for name, text in differences.items()
            if name in EXCEPTIONS
        },
        "complaints": complaints,
    }
    return result, not worse and not complaints


def conduct(campaign: Campaign) -> tuple[Mapping[str, Any], bool]:
    """
    Have it look at the server, with and without certificates of clients.
    """
    chosen = campaign.arguments.python
    python = campaign.python(PACKAGE) if chosen is None else Path(chosen)
    kinds = [("RSA", False)] if campaign.isShort else [("RSA", False), ("EC", False), ("EC", True)]
    scans = [_scan(campaign, python, *kind) for kind in kinds]
    whole = {"tool": PACKAGE, "scans": [scan for scan, _ in scans]}
    return whole, all(isGood for _, isGood in scans)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", help="an interpreter that has sslyze")


if __name__ == "__main__":
    sys.exit(main("sslyze", str(__doc__).strip(), conduct, _extend))
