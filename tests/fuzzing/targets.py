"""
All targets.
"""

from __future__ import annotations

from . import certificates, conversations, dialogues, files, messages, revocation, words
from .target import Target

TARGETS: dict[str, Target] = {
    each.name: each
    for room in (messages, words, certificates, revocation, files, dialogues, conversations)
    for each in room.TARGETS
}
