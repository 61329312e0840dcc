"""
Tests for L{txsslstream._fetching}: what fetches unless somebody says otherwise.
"""

from __future__ import annotations

import sys
from subprocess import run

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txsslstream import HttpRetriever, IRetriever, RetrievalError
from txsslstream._fetching import NothingForStrangers, defaultClock, defaultRetriever


class DefaultTests(SynchronousTestCase):
    """
    Tests for L{defaultRetriever} and L{defaultClock}.
    """

    def test_retriever(self) -> None:
        """
        There is one for the process, which shares what is under way.
        """
        retriever = defaultRetriever()
        self.assertIsInstance(retriever, HttpRetriever)
        self.assertIs(defaultRetriever(), retriever)
        verifyObject(IRetriever, retriever)

    def test_clock(self) -> None:
        """
        The reactor measures the time.
        """
        from twisted.internet import reactor

        self.assertIs(defaultClock(), reactor)

    def test_noReactor(self) -> None:
        """
        Neither importing this nor making the retriever installs a reactor;
        asking for the clock does.
        """
        script = (
            "import sys\n"
            "from txsslstream import _fetching\n"
            "_fetching.defaultRetriever()\n"
            "before = 'twisted.internet.reactor' in sys.modules\n"
            "_fetching.defaultClock()\n"
            "print(before, 'twisted.internet.reactor' in sys.modules)\n"
        )
        done = run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
        self.assertEqual(done.stdout, "False True\n")


class NothingForStrangersTests(SynchronousTestCase):
    """
    Tests for L{NothingForStrangers}.
    """

    def test_nothing(self) -> None:
        """
        Every retrieval fails at once, for the reason that it gives.
        """
        retriever = NothingForStrangers()
        verifyObject(IRetriever, retriever)
        for body in (None, b"request"):
            failed: Deferred[bytes] = retriever.retrieve(
                "http://ocsp.example/", body=body, contentType="text/plain", limit=10, timeout=1
            )
            error = self.failureResultOf(failed, RetrievalError).value
            self.assertEqual(error.url, "http://ocsp.example/")
            self.assertIn("untrusted chain", str(error))
