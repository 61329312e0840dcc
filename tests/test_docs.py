"""
Tests for what the documentation states as tables.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txsslstream._inner import InnerStream
from txsslstream._processes import ProcessWire
from txsslstream._sides import Reader
from txsslstream.chain import ALERTS, alertFor
from txsslstream.chainchecks import DEFAULT_DEPTH
from txsslstream.enums import TlsAlert, X509ChainStatusFlags

from .interop._pages import programs

DOCS = Path(__file__).parents[1] / "docs"
TRUST = (DOCS / "trust.md").read_text()
INPLACE = (DOCS / "inplace.md").read_text()


class TrustTests(SynchronousTestCase):
    """
    Tests for F{docs/trust.md}.
    """

    def test_alerts(self) -> None:
        """
        The table of findings and alerts is the one in the code, row by row.
        """
        section = TRUST.split("## What the peer is told")[1].split("\n## ")[0]
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| `(\w+)` \|$", section, re.MULTILINE)
        documented = [
            (
                sum(X509ChainStatusFlags[name] for name in re.findall(r"\w+", findings)),
                TlsAlert[alert],
            )
            for findings, alert in rows
        ]
        self.assertEqual(documented, [(int(flags), alert) for flags, alert in ALERTS])
        self.assertIn("| any other, or the name", section)
        self.assertIs(alertFor(X509ChainStatusFlags.HasWeakSignature), TlsAlert.bad_certificate)

    def test_statuses(self) -> None:
        """
        Every status that exists here is explained, and no other.
        """
        section = TRUST.split("## What is checked")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (`.*`) \| ", section, re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"\w+", row)}
        self.assertEqual(named - set(X509ChainStatusFlags.__members__), set())
        found = set(re.findall(r"_S\.(\w+)", _sources()))
        self.assertEqual(
            {each for each in found if each != "NoError"} - named,
            {
                # Excused by flags or told by alerts, as .NET does, but never found.
                "NotTimeNested",
                "CtlNotTimeValid",
                "CtlNotValidForUsage",
                "HasNotDefinedNameConstraint",
            },
        )

    def test_depth(self) -> None:
        """
        The default depth is the one that is documented.
        """
        self.assertIn(f"between the first and the root; {DEFAULT_DEPTH} unless", TRUST)


class InPlaceTests(SynchronousTestCase):
    """
    Tests for F{docs/inplace.md}.
    """

    def test_programs(self) -> None:
        """
        Everything in Python is that, and every program is run by a test.
        """
        blocks = re.findall(r"^```python\n(.*?)^```$", INPLACE, re.MULTILINE | re.DOTALL)
        for block in blocks:
            compile(block, "inplace.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        interop = Path(__file__).parent / "interop"
        tests = "".join(each.read_text() for each in interop.glob("test_*.py"))
        names = list(programs("inplace.md"))
        self.assertEqual(len(names), sum("\nreact(main)\n" in block for block in blocks))
        # The one program is started by another.
        self.assertEqual([name for name in names if f'"{name}"' not in tests], ["stdioserver.py"])

    def test_limits(self) -> None:
        """
        The limits are those that are documented.
        """
        self.assertEqual((Reader.HIGH_WATER, InnerStream.LIMIT), (64 << 10, 64 << 10))
        self.assertIn("If more than 64 KiB\n  are unread", INPLACE)
        self.assertIn("keeps its transport, and up to 64 KiB of what comes", INPLACE)
        self.assertEqual(ProcessWire.LINGERING, 1)
        self.assertIn("has not ended a second later", INPLACE)


def _sources() -> str:
    package = Path(__file__).parents[1] / "txsslstream"
    return "".join(each.read_text() for each in package.glob("*.py"))
