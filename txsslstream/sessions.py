# -*- test-case-name: tests.test_sessions -*-
"""
The sessions that a client may go on with (RFC 8446 section 2.2, RFC 5077).

A session is used once and comes back, or a newer one, when the connection that
used it has gone well: whoever watches the network cannot tell by a ticket that
two connections have the same client (RFC 8446 appendix C.4).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from .crossing import ResumableSession


class SessionCache:
    """
    Keeps sessions by what they may be used for.

    @cvar LIMIT: for so many purposes; those go first that were not used for
        longest.
    @cvar EACH: so many sessions for one purpose; the oldest goes first.
    """

    LIMIT = 500
    EACH = 4

    def __init__(self) -> None:
        self._sessions: OrderedDict[Hashable, list[ResumableSession]] = OrderedDict()

    def keep(self, key: Hashable, session: ResumableSession) -> None:
        """
        @param key: all that connections must have in common to share it.
        """
        kept = self._sessions.setdefault(key, [])
        kept.append(session)
        del kept[: -self.EACH]
        self._sessions.move_to_end(key)
        if len(self._sessions) > self.LIMIT:
            self._sessions.popitem(last=False)

    def take(self, key: Hashable) -> ResumableSession | None:
        """
        @return: the newest session for that, which is not kept any more.
        """
        kept = self._sessions.get(key)
        if not kept:
            return None
        session = kept.pop()
        if not kept:
            del self._sessions[key]
        return session

    def clear(self) -> None:
        """
        Forget all.
        """
        self._sessions.clear()


#: The one of this process.
sessions = SessionCache()
