"""
All conversations of a soak.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from .agreeing import Agreeing
from .refusing import Refusing


class Asking(Agreeing, Refusing):
    """
    Somebody who has all of them.
    """


#: The conversations, and how many of each there are in a round.
ROUND: Mapping[Callable[[Asking], Awaitable[None]], int] = {
    Asking.full: 10,
    Asking.resuming: 10,
    Asking.named: 6,
    Asking.mutual: 6,
    Asking.mutualResuming: 4,
    Asking.chosen: 6,
    Asking.asked: 4,
    Asking.upgraded: 4,
    Asking.pushed: 4,
    Asking.halfClosed: 4,
    Asking.bulk: 3,
    Asking.python: 3,
    Asking.distrusting: 3,
    Asking.elsewhere: 3,
    Asking.revoked: 3,
    Asking.saidNo: 4,
    Asking.heardNo: 4,
    Asking.stranger: 4,
    Asking.silentServer: 3,
    Asking.silentClient: 3,
    Asking.cancelled: 5,
    Asking.aborted: 4,
    Asking.truncated: 4,
    Asking.broken: 4,
    Asking.foreign: 2,
    Asking.openssl: 1,
}
