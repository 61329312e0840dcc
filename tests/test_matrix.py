"""
Tests for what the tests are run with.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from tests.matrix import lowest, reachable
from tests.wheel import ROOT

from .test_dependencies import canonical, declared


class LowestTests(SynchronousTestCase):
    """
    L{lowest}.
    """

    def test_everyDependency(self) -> None:
        """
        Everything that users install has a lower bound that is tried.
        """
        tried = {canonical(line.partition("==")[0]) for line in lowest()}
        self.assertEqual(tried, declared("prometheus"))


class ReachableTests(SynchronousTestCase):
    """
    L{reachable}.
    """

    def test_found(self) -> None:
        """
        What answers is tried, and a folder is.
        """
        sources = {"Twisted": (ROOT / "LICENSE").as_uri(), "pyOpenSSL": str(ROOT)}
        self.assertEqual(reachable(sources), sources)

    def test_notFound(self) -> None:
        """
        What does not answer is left out, and said to be.
        """
        nowhere = (ROOT / "nonesuch").as_uri()
        said = io.StringIO()
        with redirect_stdout(said):
            self.assertEqual(
                reachable({"Twisted": nowhere, "pyOpenSSL": str(ROOT)}), {"pyOpenSSL": str(ROOT)}
            )
        self.assertIn(f"Twisted: not reachable from here: {nowhere}", said.getvalue())

    def test_noFolder(self) -> None:
        """
        A folder that is not there is a mistake, not a failing network.
        """
        complaint = self.assertRaises(SystemExit, reachable, {"Twisted": "nonesuch"})
        self.assertEqual(str(complaint), "Twisted: no such folder: nonesuch")
