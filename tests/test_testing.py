"""
Tests for L{txsslstream.testing} as a package.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import testing

from .programs import runPython

#: What tells whether a module was imported, as a line.
_WHETHER = "print([name for name in {names!r} if name in sys.modules])"


def importing(statement: str, *names: str) -> str:
    """
    @return: which of these modules are imported by a statement in a new process.
    """
    return runPython(f"import sys\n{statement}\n{_WHETHER.format(names=names)}").strip()


class ImportTests(SynchronousTestCase):
    """
    What comes along with what.
    """

    def test_notWithThePackage(self) -> None:
        """
        Programs do not load what is for tests.
        """
        name = "txsslstream.testing"
        self.assertEqual(importing("import txsslstream", name), "[]")
        self.assertEqual(importing("import txsslstream.testing", name), f"[{name!r}]")

    def test_noReactorNoRunner(self) -> None:
        """
        It installs no reactor and loads no runner, so that every runner can choose
        its own; not even when streams are connected.
        """
        names = ("twisted.internet.reactor", "twisted.trial.unittest", "unittest", "pytest")
        use = "import txsslstream.testing as t; t.connectedStreams(mutual=True)"
        self.assertEqual(importing(use, *names), "[]")
        self.assertEqual(
            importing(f"{use}\nfrom twisted.internet import reactor", *names), f"[{names[0]!r}]"
        )

    def test_perVersionLoadsTrial(self) -> None:
        """
        Trial is loaded by the decorator that makes test cases of it, and not
        before.
        """
        use = "from txsslstream.testing import perVersion"
        name = "twisted.trial.unittest"
        self.assertEqual(importing(use, name), "[]")
        self.assertEqual(importing(f"{use}\n@perVersion()\nclass Tests: pass", name), f"[{name!r}]")


class NamesTests(SynchronousTestCase):
    """
    What it exports.
    """

    def test_exported(self) -> None:
        """
        Every exported name is there and, if it is ours, says what it is.
        """
        for name in testing.__all__:
            value = getattr(testing, name)
            if getattr(value, "__module__", "").startswith("txsslstream."):
                self.assertTrue(value.__doc__, name)
        self.assertFalse(hasattr(testing, "noSuchName"))
