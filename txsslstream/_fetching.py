# -*- test-case-name: tests.test_fetching -*-
"""
What fetches, and measures time meanwhile, unless somebody says otherwise.
"""

from __future__ import annotations

from functools import lru_cache

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from .errors import RetrievalError
from .interfaces import IRetriever
from .retrieval import HttpRetriever


@lru_cache(maxsize=1)
def defaultRetriever() -> IRetriever:
    """
    @return: plain http from anywhere, one for the process.
    """
    return HttpRetriever()


@implementer(IRetriever)
class NothingForStrangers:
    """
    Fetches nothing: what a certificate of unknown origin names may be anything.
    """

    def retrieve(
        self,
        url: str,
        *,
        body: bytes | None = None,
        contentType: str | None = None,
        limit: int,
        timeout: float,
    ) -> Deferred[bytes]:
        """
        See L{IRetriever}.
        """
        return fail(RetrievalError(url, "nothing is fetched for an untrusted chain"))


def defaultClock() -> IReactorTime:
    """
    @return: the reactor, which is installed by that.
    """
    from twisted.internet import reactor

    clock: IReactorTime = reactor
    return clock
