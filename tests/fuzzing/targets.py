"""
All targets.
"""

from __future__ import annotations

from . import (
    answers,
    certificates,
    conversations,
    dialogues,
    files,
    messages,
    presented,
    revocation,
    sealed,
    words,
)
from .target import Target

_ROOMS = (
    messages,
    words,
    certificates,
    presented,
    revocation,
    answers,
    files,
    dialogues,
    conversations,
    sealed,
)

TARGETS: dict[str, Target] = {each.name: each for room in _ROOMS for each in room.TARGETS}
