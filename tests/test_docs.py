"""
Tests for what the documentation states as tables.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.chain import ALERTS, alertFor
from txsslstream.chainchecks import DEFAULT_DEPTH
from txsslstream.channelbinding import (
    LONGEST_CONTEXT,
    LONGEST_EXPORT,
    LONGEST_LABEL,
    ChannelBinding,
)
from txsslstream.enums import ChannelBindingKind, TlsAlert, X509ChainStatusFlags

DOCS = Path(__file__).parents[1] / "docs"
TRUST = (DOCS / "trust.md").read_text()
BINDING = (DOCS / "binding.md").read_text()


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


class BindingTests(SynchronousTestCase):
    """
    Tests for F{docs/binding.md}.
    """

    def test_kinds(self) -> None:
        """
        The table has every kind of channel binding with its number and its
        registered name.
        """
        rows = re.findall(r"^\| `(\w+)` \((\d+)\) \| `([a-z-]+)` \|", BINDING, re.MULTILINE)
        self.assertEqual(
            rows,
            [
                (kind.name, str(kind.value), ChannelBinding(b"", kind).registeredName)
                for kind in ChannelBindingKind
                if kind is not ChannelBindingKind.Unknown
            ],
        )
        self.assertIn(f"`Unknown` ({int(ChannelBindingKind.Unknown)})", BINDING)

    def test_bounds(self) -> None:
        """
        The bounds of exported keys are the documented ones.
        """
        for words in (
            f"1 to {LONGEST_LABEL} ASCII characters",
            f"up to {LONGEST_CONTEXT:,} bytes",
            f"1 to {LONGEST_EXPORT} bytes",
        ):
            self.assertIn(words, BINDING.replace("\n", " "))


def _sources() -> str:
    package = Path(__file__).parents[1] / "txsslstream"
    return "".join(each.read_text() for each in package.glob("*.py"))
