"""
Tests for what the documentation states as tables.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txsslstream
from txsslstream import (
    ReloadingCertificate,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    reload,
)
from txsslstream.chain import ALERTS, alertFor
from txsslstream.chainchecks import DEFAULT_DEPTH
from txsslstream.enums import TlsAlert, X509ChainStatusFlags

DOCS = Path(__file__).parents[1] / "docs"
TRUST = (DOCS / "trust.md").read_text()
CERTIFICATES = (DOCS / "certificates.md").read_text()


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


class CertificatesTests(SynchronousTestCase):
    """
    Tests for F{docs/certificates.md}.
    """

    def test_figures(self) -> None:
        """
        The times are the ones in the code.
        """
        for said in (
            f"every `interval` seconds ({reload.INTERVAL:g} unless you say otherwise)",
            f"written less than {reload.SETTLING:g} second ago",
            f"It is tried again for {reload.PATIENCE:g} seconds",
        ):
            self.assertIn(said, CERTIFICATES)

    def test_logLines(self) -> None:
        """
        Whatever goes to the log is told, with its level, and nothing else.
        """
        source = Path(inspect.getfile(reload)).read_text()
        logged = [
            (call.func.attr, re.sub(":%[^}]*", "", str(call.args[0].value)))
            for call in ast.walk(ast.parse(source))
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and ast.unparse(call.func.value) == "_log"
            and isinstance(call.args[0], ast.Constant)
        ]
        section = CERTIFICATES.split("### What the log says")[1]
        rows = re.findall(r"^\| (\w+) \| `(.*)` \|$", section, re.MULTILINE)
        self.assertEqual(sorted(rows), sorted(logged))
        self.assertEqual(len(rows), 5)

    def test_names(self) -> None:
        """
        Every name that the text has in code font and that looks like one of
        ours is one.
        """
        options = {
            each.name
            for some in (SslClientAuthenticationOptions, SslServerAuthenticationOptions)
            for each in fields(some)
        }
        members = options.union(*map(dir, (ReloadingCertificate, SslStreamCertificateContext)))
        members |= {"interval", "password", "reactor", "live", "inotify", "stat"}
        said = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", CERTIFICATES)) - {"None", "My"}
        self.assertEqual(said - members - set(txsslstream.__all__), set())


def _sources() -> str:
    package = Path(__file__).parents[1] / "txsslstream"
    return "".join(each.read_text() for each in package.glob("*.py"))
