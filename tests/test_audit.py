"""
Tests for the reading of pip-audit's report.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.audit import OURS, UNKNOWN, judge

CLEAN = {"name": "idna", "version": "3.20", "vulns": []}
SKIPPED = {"name": "pem", "skip_reason": "Dependency not found on PyPI"}
VULNERABLE = {
    "name": "h2",
    "version": "4.1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["4.3.0"], "aliases": [], "description": ""}],
}
OWN = {"name": OURS, "skip_reason": "Dependency not found on PyPI"}


class JudgeTests(SynchronousTestCase):
    """
    L{judge}.
    """

    def test_clean(self) -> None:
        """
        Distributions without anything known are clean, whatever is known of the
        package itself.
        """
        audit = judge({"dependencies": [CLEAN, OWN]})
        self.assertEqual((audit.clean, audit.status), (["idna"], 0))

    def test_vulnerable(self) -> None:
        """
        One advisory is a failure that names it and what mends it, whatever else
        is unknown.
        """
        audit = judge({"dependencies": [CLEAN, VULNERABLE, SKIPPED]})
        self.assertEqual(audit.vulnerable, ["h2 4.1.0: PYSEC-1, mended in 4.3.0"])
        self.assertEqual(audit.status, 1)

    def test_unknown(self) -> None:
        """
        What pip-audit skips counts as unknown, not as clean.
        """
        audit = judge({"dependencies": [CLEAN, SKIPPED]})
        self.assertEqual((audit.clean, audit.unknown, audit.status), (["idna"], ["pem"], UNKNOWN))

    def test_nothing(self) -> None:
        """
        An audit of nothing is none.
        """
        self.assertEqual(judge({"dependencies": [OWN]}).status, UNKNOWN)
