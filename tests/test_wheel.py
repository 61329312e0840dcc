"""
The check of a wheel's list of files, and of the oldest dependencies.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.matrix import oldest
from tests.wheel import ROOT, problems


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


class OldestTests(SynchronousTestCase):
    """
    L{oldest}.
    """

    def test_everyDependency(self) -> None:
        """
        Every dependency has a lower bound that can be tried.
        """
        names = {line.partition("==")[0] for line in oldest()}
        self.assertLessEqual({"Twisted", "pyOpenSSL", "cryptography", "greenlet"}, names)
