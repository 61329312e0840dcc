"""
The checks of a wheel's list of files, and of a source distribution's.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.wheel import ROOT, missing, problems


class WheelTests(SynchronousTestCase):
    """
    L{problems}.
    """

    def setUp(self) -> None:
        package = [str(path.relative_to(ROOT)) for path in ROOT.glob("txsslstream/**/*.py")]
        self.names = {
            *package,
            "txsslstream/py.typed",
            "twisted/plugins/txsslstream_dropin.py",
            "txsslstream-0.1.0.dist-info/METADATA",
        }

    def test_complete(self) -> None:
        """
        A wheel with the package, its marker and the plugin has no problem.
        """
        self.assertEqual(problems(self.names), [])

    def test_withoutTesting(self) -> None:
        """
        A wheel that lacks what is for users' tests is refused.
        """
        self.names.remove("txsslstream/testing/wire.py")
        self.assertEqual(problems(self.names), ["missing: txsslstream/testing/wire.py"])

    def test_withoutPlugin(self) -> None:
        """
        A wheel that lacks the plugin is refused.
        """
        self.names.remove("twisted/plugins/txsslstream_dropin.py")
        self.assertIn("twistd would not find the plugin", problems(self.names))

    def test_initializer(self) -> None:
        """
        A wheel that would overwrite Twisted's own plugin package is refused.
        """
        self.names.add("twisted/plugins/__init__.py")
        self.assertIn("never ship twisted/plugins/__init__.py", problems(self.names))

    def test_superfluous(self) -> None:
        """
        A file that is not the package's is refused.
        """
        self.names.add("tests/__init__.py")
        self.assertEqual(problems(self.names), ["superfluous: tests/__init__.py"])


class SourceTests(SynchronousTestCase):
    """
    L{missing}.
    """

    def test_complete(self) -> None:
        """
        A source distribution with all of the repository lacks nothing, whatever
        setuptools adds.
        """
        names = {
            "txsslstream-1.0/README.md",
            "txsslstream-1.0/tests/a.py",
            "txsslstream-1.0/PKG-INFO",
        }
        self.assertEqual(missing(names, {"README.md", "tests/a.py"}), [])

    def test_missing(self) -> None:
        """
        A file of the repository that is not in it is named.
        """
        names = {"txsslstream-1.0/README.md", "txsslstream-1.0/other/tests/a.py"}
        self.assertEqual(missing(names, {"README.md", "tests/a.py"}), ["missing: tests/a.py"])
