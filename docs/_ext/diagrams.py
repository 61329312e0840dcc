"""
Tables of transitions as diagrams, in SVG.

The states stand in a row, in the order in which they are declared.  What follows
its neighbour is reached by a straight arrow, everything else by an arc; a state in
which every other one may end lies below all of them.  The colors are those of the
text around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from html import escape
from typing import Any

_CHARACTER = 8.4
_HEIGHT = 34.0
_GAP = 54.0
_MARGIN = 16.0
#: How high an arc is, and how much more for each state that it leaps.
_ARC = 34.0
_LEAP = 17.0
#: Between two arrows that would be one, and the drop to the state below.
_APART = 7.0
_DROP = 44.0
_HEAD = 7.0


@dataclass(frozen=True)
class Box:
    """
    Where a state is.
    """

    left: float
    top: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def middle(self) -> float:
        return self.left + self.width / 2

    @property
    def bottom(self) -> float:
        return self.top + _HEIGHT


def lowest(table: Mapping[Any, frozenset[Any]]) -> Enum | None:
    """
    @return: the state in which every one may end that does not end by itself.
    """
    going = [state for state, following in table.items() if following]
    for state in reversed(list(table)):
        if not table[state] and all(state in table[each] for each in going):
            found: Enum = state
            return found
    return None


def svgOf(table: Mapping[Any, frozenset[Any]], title: str) -> str:
    """
    @return: the diagram of a table, as an element C{svg}.
    """
    return _Drawing(table, title).text()


class _Drawing:
    def __init__(self, table: Mapping[Any, frozenset[Any]], title: str) -> None:
        self._table = table
        self._title = title
        self._below = lowest(table)
        self._row = [state for state in type(next(iter(table))) if state is not self._below]
        arcs = [
            abs(self._row.index(old) - self._row.index(new))
            for old in self._row
            for new in table[old]
            if new is not self._below
        ]
        # A Bezier curve rises to three quarters of its handles.
        top = _MARGIN + max(self._rise(leap) for leap in arcs) * 0.75
        self._boxes: dict[Any, Box] = {}
        left = _MARGIN + _GAP / 2
        for state in self._row:
            width = len(state.name) * _CHARACTER + 22
            self._boxes[state] = Box(left, top, width)
            left += width + _GAP
        self._width = left - _GAP + _MARGIN
        self._height = top + _HEIGHT + _MARGIN
        if self._below is not None:
            first = self._boxes[self._row[0]]
            self._boxes[self._below] = Box(
                first.left, first.bottom + _DROP, self._width - _MARGIN - first.left
            )
            self._height += _DROP + _HEIGHT

    def _rise(self, leap: int) -> float:
        return _ARC + _LEAP * leap if leap > 1 else 0.0

    def text(self) -> str:
        """
        All of it.
        """
        words = "; ".join(
            f"{state.name}: {', '.join(sorted(each.name for each in self._table[state])) or 'end'}"
            for state in self._boxes
        )
        size = f"{self._width:.0f} {self._height:.0f}"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" '
                f'style="max-width: {self._width:.0f}px; width: 100%" font-size="14" '
                'font-family="monospace" stroke="currentColor" fill="none">',
                f"<title>{escape(self._title)}</title>",
                f"<desc>{escape(words)}</desc>",
                self._start(),
                *(self._state(state) for state in self._boxes),
                *(self._edge(old, new) for old in self._boxes for new in self._following(old)),
                "</svg>",
            ]
        )

    def _following(self, state: Any) -> list[Any]:
        return [each for each in self._boxes if each in self._table[state]]

    def _start(self) -> str:
        box = self._boxes[self._row[0]]
        y = box.top + _HEIGHT / 2
        return (
            f'<circle cx="{_MARGIN:.1f}" cy="{y:.1f}" r="4" fill="currentColor"/>'
            f'<path d="M {_MARGIN:.1f} {y:.1f} L {box.left:.1f} {y:.1f}"/>'
            + _head(box.left, y, "right")
        )

    def _state(self, state: Any) -> str:
        box = self._boxes[state]
        thick = "" if self._table[state] else ' stroke-width="3"'
        return (
            f'<rect data-state="{state.name}" x="{box.left:.1f}" y="{box.top:.1f}" '
            f'width="{box.width:.1f}" height="{_HEIGHT:.1f}" rx="8"{thick}/>'
            f'<text x="{box.middle:.1f}" y="{box.top + _HEIGHT / 2 + 5:.1f}" stroke="none" '
            f'fill="currentColor" text-anchor="middle">{state.name}</text>'
        )

    def _edge(self, old: Any, new: Any) -> str:
        path, head = self._path(old, new)
        return f'<path data-from="{old.name}" data-to="{new.name}" d="{path}"/>{head}'

    def _path(self, old: Any, new: Any) -> tuple[str, str]:
        start, end = self._boxes[old], self._boxes[new]
        if new is self._below:
            path = f"M {start.middle:.1f} {start.bottom:.1f} L {start.middle:.1f} {end.top:.1f}"
            return path, _head(start.middle, end.top, "down")
        leap = self._row.index(new) - self._row.index(old)
        side = 1 if leap > 0 else -1
        if abs(leap) == 1:
            isBoth = old in self._table[new]
            y = start.top + _HEIGHT / 2 - (_APART * side if isBoth else 0)
            one, other = (start.right, end.left) if leap > 0 else (start.left, end.right)
            direction = "right" if leap > 0 else "left"
            return f"M {one:.1f} {y:.1f} L {other:.1f} {y:.1f}", _head(other, y, direction)
        # What goes and what comes keep apart.
        one, other = start.middle + side * _APART, end.middle - side * _APART
        top = start.top - self._rise(abs(leap))
        path = (
            f"M {one:.1f} {start.top:.1f} C {one:.1f} {top:.1f} "
            f"{other:.1f} {top:.1f} {other:.1f} {end.top:.1f}"
        )
        return path, _head(other, end.top, "down")


def _head(x: float, y: float, direction: str) -> str:
    back, half = _HEAD, _HEAD / 2
    corners = {
        "right": ((x - back, y - half), (x - back, y + half)),
        "left": ((x + back, y - half), (x + back, y + half)),
        "down": ((x - half, y - back), (x + half, y - back)),
    }[direction]
    points = " ".join(f"{across:.1f},{down:.1f}" for across, down in ((x, y), *corners))
    return f'<polygon points="{points}" fill="currentColor" stroke="none"/>'
