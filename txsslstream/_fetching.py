# -*- test-case-name: tests.test_fetching -*-
"""
What fetches, and measures time meanwhile, unless somebody says otherwise.
"""

from __future__ import annotations

from functools import lru_cache

from twisted.internet.interfaces import IReactorTime

from .interfaces import IRetriever
from .retrieval import HttpRetriever


@lru_cache(maxsize=1)
def defaultRetriever() -> IRetriever:
    """
    @return: plain http from anywhere, one for the process.
    """
    return HttpRetriever()


def defaultClock() -> IReactorTime:
    """
    @return: the reactor, which is installed by that.
    """
    from twisted.internet import reactor

    clock: IReactorTime = reactor
    return clock
