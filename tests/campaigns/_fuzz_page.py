"""
What the page of the campaigns says of fuzzing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fuzzing.targets import TARGETS

from ._tables import table

#: How many ends of inputs are told for each target.
_MOST = 5


def _outcomes(target: Mapping[str, Any]) -> str:
    counts = sorted(target["outcomes"].items(), key=lambda each: -each[1])
    told = [f"{100 * count / target['inputs']:.1f} % {name}" for name, count in counts[:_MOST]]
    return ", ".join([*told, *(["others"] if len(counts) > _MOST else [])])


def section(results: Mapping[str, Any]) -> Iterator[str]:
    """
    @return: the lines of the section.
    """
    targets = results["targets"]
    findings = sum(len(each["findings"]) for each in targets)
    yield (
        f"{results['inputs']:,} inputs for {len(targets)} targets, made by "
        f"[atheris](https://pypi.org/project/atheris/) {results['atheris']}, which goes on with "
        f"those that reach new parts of the package, in {results['cpu']} seconds of one "
        f"processor. {findings} of them were a fault: an error that is not documented, anything "
        "that is logged as a failure or raised where nobody could catch it, more time or memory "
        "than the bound for their length, or a broken promise, such as data that was changed on "
        "the way and is heard all the same. Some inputs are up to 256 KiB long, grown by "
        "repeating a part of others: what takes quadratic time shows there."
    )
    yield ""
    yield (
        "Another run, with the extra `fuzz` installed (Linux on x86-64), in one target or in all, "
        "with as many inputs as there is time for:"
    )
    yield ""
    yield (
        "    python -m tests.campaigns.fuzz --target hello,crl --inputs 1000000 --seed 2 --keep "
        "--more --results DIRECTORY"
    )
    yield ""
    yield (
        "Without `--inputs` it is ten million. `--more` adds to the results that are there. "
        "`--keep` adds what is new to the inputs in `tests/fuzzing/corpus/` "
        f"({results['bytes'] // 1024} KiB), of which one is kept for each part of the package "
        "that is reached, and each that has ever shown a defect. All of them are tried by "
        "`tests.test_fuzzing`. A fault is printed with its input in base64: such a line in the "
        "target's file there, with ` # ` and words behind it, stays for good."
    )
    yield ""
    rows = (
        (
            f"`{each['name']}`",
            TARGETS[each["name"]].title,
            f"{each['inputs']:,}",
            f"{each['inputs'] / each['seconds']:,.0f}",
            f"{1000 * each['slowest']['seconds']:.1f} ms, {each['slowest']['bytes']:,} bytes",
            f"{each['memory'] / 1024:,.0f} KiB",
            each["kept"],
            _outcomes(each),
        )
        for each in targets
    )
    head = (
        "target",
        "what",
        "inputs",
        "per second",
        "slowest",
        "memory",
        "kept",
        "what came of it",
    )
    yield from table(head, rows)
