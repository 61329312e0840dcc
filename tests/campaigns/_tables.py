"""
Tables of the page with the campaigns' results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """
    @return: the lines of a table.
    """
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    yield ""
