"""
Tests for L{txsslstream.sessions}: which sessions are kept, and for how long.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.crossing import Presented, ResumableSession
from txsslstream.sessions import SessionCache

from .support import SERVER


def session(number: int) -> ResumableSession:
    """
    A session that is unlike others.
    """
    return ResumableSession(b"secret %d" % number, Presented((SERVER.certificate,)), None)


class SessionCacheTests(SynchronousTestCase):
    """
    Tests for L{SessionCache}.
    """

    def setUp(self) -> None:
        self.cache = SessionCache()

    def test_once(self) -> None:
        """
        A session is taken once, the newest first.
        """
        for number in (1, 2):
            self.cache.keep("purpose", session(number))
        taken = [self.cache.take("purpose") for _ in range(3)]
        self.assertEqual(taken, [session(2), session(1), None])

    def test_purpose(self) -> None:
        """
        What is kept for one purpose is not there for another.
        """
        self.cache.keep("purpose", session(1))
        self.assertIsNone(self.cache.take("another purpose"))
        self.assertEqual(self.cache.take("purpose"), session(1))

    def test_each(self) -> None:
        """
        Of one purpose's sessions only the newest are kept.
        """
        for number in range(SessionCache.EACH + 2):
            self.cache.keep("purpose", session(number))
        taken = [self.cache.take("purpose") for _ in range(SessionCache.EACH + 1)]
        newest = [session(number) for number in range(SessionCache.EACH + 1, 1, -1)]
        self.assertEqual(taken, [*newest, None])

    def test_limit(self) -> None:
        """
        With too many purposes the one goes that has had no new session for
        longest.
        """
        for number in range(SessionCache.LIMIT):
            self.cache.keep(number, session(number))
        self.cache.keep(0, session(1000))
        self.cache.keep("new", session(1001))
        self.assertIsNone(self.cache.take(1))
        self.assertEqual(self.cache.take(0), session(1000))
        self.assertEqual(self.cache.take(2), session(2))
        self.assertEqual(self.cache.take("new"), session(1001))

    def test_nothingLeft(self) -> None:
        """
        A purpose whose sessions are all taken takes no place.
        """
        for number in range(3):
            self.cache.keep(number, session(number))
            self.cache.take(number)
        self.assertEqual(len(self.cache._sessions), 0)

    def test_clear(self) -> None:
        """
        All can be forgotten.
        """
        self.cache.keep("purpose", session(1))
        self.cache.clear()
        self.assertIsNone(self.cache.take("purpose"))

    def test_secret(self) -> None:
        """
        A session's secrets are in no text about it.
        """
        self.assertNotIn("secret", repr(session(1)))
