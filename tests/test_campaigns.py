"""
Tests for L{tests.campaigns}: how foreign programs' words are read and judged, and that the page
says what the results say.

That the programs are run is up to who has them; see the commands on the page.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .campaigns import faults, faults_page, report, sslyze, testssl, tlsfuzzer, workers
from .campaigns._common import KEYS, SERVERS

SUMMARY = """\
sanity ...
OK

Test end
====================
version: 6
====================
TOTAL: 5
SKIP: 1
PASS: 2
XFAIL: 0
FAIL: 2
XPASS: 0
====================
FAILED:
\t'one of "those"'
\t"another's"
"""


class TlsfuzzerTests(SynchronousTestCase):
    """
    tlsfuzzer's scripts.
    """

    def test_summary(self) -> None:
        """
        The counts at the end, and the names of what has failed, are read; without
        them there is nothing.
        """
        self.assertEqual(
            tlsfuzzer.summary(SUMMARY),
            {
                "conversations": 5,
                "skipped": 1,
                "passed": 2,
                "failed": 2,
                "names": ["another's", 'one of "those"'],
            },
        )
        for output in ("", "Traceback", SUMMARY.replace("TOTAL", "")):
            self.assertIsNone(tlsfuzzer.summary(output))

    def test_surprises(self) -> None:
        """
        What an exception names in full is no surprise; everything else is.
        """
        entry = {"except": [{"names": "max .*", "why": ""}, {"names": "sanity", "why": ""}]}
        names = ["max size", "a max size", "sanity", "sanity 2"]
        self.assertEqual(tlsfuzzer.surprises(names, entry), ["a max size", "sanity 2"])
        self.assertEqual(tlsfuzzer.surprises(names, {}), names)

    def test_scripts(self) -> None:
        """
        Each script either has arguments, a server and a key that there are, and
        reasons for its exceptions, or a reason why it does not apply.
        """
        for name, entry in tlsfuzzer.SCRIPTS.items():
            self.assertRegex(name, r"^test-[\w-]+$")
            if "why" in entry:
                self.assertEqual(set(entry), {"why"}, name)
                self.assertTrue(entry["why"], name)
                continue
            self.assertLessEqual(
                set(entry), {"arguments", "asks", "except", "isWhole", "key", "server"}, name
            )
            self.assertIn(entry.get("key", "RSA"), KEYS)
            self.assertIn(entry.get("server", next(iter(SERVERS))), SERVERS)
            for exception in entry.get("except", ()):
                re.compile(exception["names"])
                self.assertTrue(exception["why"], name)

    def test_references(self) -> None:
        """
        Where a reason names tests, there are such.
        """
        for entry in tlsfuzzer.SCRIPTS.values():
            for path in re.findall(r"tests/\w+\.py", entry.get("why", "")):
                self.assertTrue((report.DOCS.parent / path).exists(), path)
            for name in re.findall(r"\btest-[\w-]+", entry.get("why", "")):
                self.assertNotIn("why", tlsfuzzer.SCRIPTS[name])

    def test_sample(self) -> None:
        """
        What a short run takes applies.
        """
        for name in tlsfuzzer.SAMPLE:
            self.assertNotIn("why", tlsfuzzer.SCRIPTS[name])


class TestsslTests(SynchronousTestCase):
    """
    testssl.sh's findings.
    """

    def test_untried(self) -> None:
        """
        A check that could not be made, as is known of it, is no finding; what came
        of it when it could be made is one.
        """
        (name, untried), why = next(iter(testssl.UNTRIED.items()))
        found = [
            {"id": name, "severity": "WARN", "finding": finding} for finding in (untried, "other")
        ]
        _, worse, elsewhere = testssl.judged(found)
        self.assertEqual([each["finding"] for each in worse], ["other"])
        self.assertEqual([each["why"] for each in elsewhere], [why])

    def test_judged(self) -> None:
        """
        What is worse than informational counts, unless it is about something
        else than the server.
        """
        found = [
            {"id": name, "severity": severity, "finding": "", "port": "1"}
            for name, severity in (
                ("TLS1_3", "OK"),
                ("cert", "INFO"),
                ("LUCKY13", "LOW"),
                ("BEAST", "CRITICAL"),
                ("scanProblem", "FATAL"),
                ("DNS_CAArecord", "LOW"),
            )
        ]
        counts, worse, elsewhere = testssl.judged(found)
        self.assertEqual(counts, {"OK": 1, "INFO": 1})
        self.assertEqual([each["id"] for each in worse], ["LUCKY13", "BEAST", "scanProblem"])
        self.assertEqual([each["id"] for each in elsewhere], ["DNS_CAArecord"])


def scanned(**changes: Any) -> dict[str, Any]:
    """
    @return: sslyze's results of a faultless server, but for changes.
    """
    results: dict[str, Any] = {
        "certificate_info": {
            "result": {
                "certificate_deployments": [
                    {"path_validation_results": [{"verified_certificate_chain": [1]}]}
                ]
            }
        }
    }
    suites = {
        "tls_1_2": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "tls_1_3": "TLS_CHACHA20_POLY1305_SHA256",
    }
    expected = {
        **dict(sslyze.EXPECTED),
        **{
            f"{version}_cipher_suites.result.accepted_cipher_suites": [
                {"cipher_suite": {"name": name}}
            ]
            for version, name in suites.items()
        },
        **changes,
    }
    for path, value in expected.items():
        where = results
        *names, last = path.split(".")
        for name in names:
            where = where.setdefault(name, {})
        where[last] = value
    return results


class SslyzeTests(SynchronousTestCase):
    """
    sslyze's results.
    """

    def test_faultless(self) -> None:
        """
        A server without a fault has no findings.
        """
        self.assertEqual(list(sslyze.findings(scanned())), [])

    def test_findings(self) -> None:
        """
        Whatever is otherwise is found, and what sslyze has not looked at, too.
        """
        for path, _ in sslyze.EXPECTED:
            for value in (None, "other"):
                (found,) = sslyze.findings(scanned(**{path: value}))
                self.assertIn(path, found)
        self.assertIn("there is no certificate", list(sslyze.findings({})))
        self.assertIn("tls_1_3: nothing is accepted", list(sslyze.findings({})))

    def test_suites(self) -> None:
        """
        A suite without forward secrecy or authenticated encryption is found.
        """
        for name, words in (
            ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "is accepted"),
            ("TLS_RSA_WITH_AES_128_GCM_SHA256", "has no forward secrecy"),
        ):
            path = "tls_1_2_cipher_suites.result.accepted_cipher_suites"
            (found,) = sslyze.findings(scanned(**{path: [{"cipher_suite": {"name": name}}]}))
            self.assertEqual(found, f"tls_1_2: {name} {words}")

    def test_untrusted(self) -> None:
        """
        So is a certificate that no store trusts.
        """
        path = "certificate_info.result.certificate_deployments"
        untrusted = [{"path_validation_results": [{"verified_certificate_chain": None}]}]
        (found,) = sslyze.findings(scanned(**{path: untrusted}))
        self.assertEqual(found, "the certificate is not trusted")

    def test_compliance(self) -> None:
        """
        Differences from Mozilla's recommendation are read by their names.
        """
        output = """\
 * OpenSSL Heartbleed: no
 COMPLIANCE AGAINST TLS CONFIGURATION
    localhost:1: FAILED - Not compliant.
        * tls_curves: TLS curves {'X448'} are supported: why?
        * other: more
"""
        self.assertEqual(
            sslyze.compliance(output),
            {"tls_curves": "TLS curves {'X448'} are supported: why?", "other": "more"},
        )
        self.assertEqual(sslyze.compliance(" * a: b\n"), {})


class WorkersTests(SynchronousTestCase):
    """
    Tests for L{tests.campaigns.workers}.
    """

    def row(self, name: str = "one worker", **kinds: dict[str, Any]) -> dict[str, Any]:
        """
        @return: what was measured of workers with which all is well, but for this.
        """
        full = {"amount": 100, "wentOn": 0, "failures": []}
        row: dict[str, Any] = {"name": name, "full": full, "echo": full}
        row["resumed"] = {"amount": 100, "wentOn": 100, "failures": []}
        return row | {kind: row[kind] | more for kind, more in kinds.items()}

    def test_expected(self) -> None:
        """
        Every client has been served, and sessions went on where that can be, and
        nowhere else.
        """
        two = "two workers behind HAProxy"
        for row, isAsExpected in (
            (self.row(), True),
            (self.row(two, resumed={"wentOn": 50}), True),
            (self.row(full={"failures": ["refused"]}), False),
            (self.row(echo={"failures": ["refused"]}), False),
            (self.row(full={"wentOn": 1}), False),
            (self.row(resumed={"wentOn": 50}), False),
            (self.row(two), False),
        ):
            self.assertIs(workers._isAsExpected(row), isAsExpected, row)

    def test_told(self) -> None:
        """
        What the guide says of what a worker needs is what was measured.
        """
        guide = (report.DOCS / "howto" / "haproxy.md").read_text("utf-8")
        self.assertIn(workers.summary(report.stored()["workers"]), " ".join(guide.split()))


class FaultsTests(SynchronousTestCase):
    """
    What is said about faults.
    """

    def test_rows(self) -> None:
        """
        What shows it is there: the parts of the campaign, each of which is named, and
        the tests.
        """
        shown = " ".join(each[2] for each in faults_page.ROWS)
        self.assertEqual(set(re.findall(r"campaign `(\w+)`", shown)), set(faults.FAULTS))
        for module, names in re.findall(r"`tests\.(\w+)\.([\w.]+)`", shown):
            text = (report.DOCS.parent / "tests" / f"{module}.py").read_text("utf-8")
            for name in names.split("."):
                self.assertRegex(text, rf"(class|def) {name}\b")

    def test_section(self) -> None:
        """
        What was wrong is in the section.
        """
        wrong = {"faults": [{"name": "disk", "figures": {"files": 1}, "wrong": ["it is full"]}]}
        lines = list(faults_page.section(wrong))
        self.assertIn("| `disk` | files: 1 **it is full** |", lines)
        self.assertEqual(len([each for each in lines if "**" in each]), 1)


class PageTests(SynchronousTestCase):
    """
    The page.
    """

    def test_generated(self) -> None:
        """
        It is what the results that are kept make.
        """
        self.assertEqual(report.PAGE.read_text("utf-8"), report.page(report.stored()))

    def test_complete(self) -> None:
        """
        The results are of whole runs, in which everything was as expected, of
        all scripts that apply.
        """
        stored = report.stored()
        self.assertLessEqual(set(report.SECTIONS), set(stored))
        for name in report.SECTIONS:
            self.assertTrue(stored[name]["isAsExpected"], name)
            self.assertNotIn("--short", stored[name]["command"])
        self.assertEqual(
            {each["name"] for each in stored["tlsfuzzer"]["scripts"]},
            {name for name, entry in tlsfuzzer.SCRIPTS.items() if "why" not in entry},
        )

    def test_missing(self) -> None:
        """
        A campaign without results has no section.
        """
        page = report.page({"sslyze": report.stored()["sslyze"]})
        self.assertIn("## sslyze", page)
        self.assertNotIn("## tlsfuzzer", page)

    def test_defects(self) -> None:
        """
        The tests that the page names for each defect are there.
        """
        for _, tests in report.DEFECTS:
            for test in re.split(", ", tests):
                module, *names = test.removeprefix("tests.").split(".")
                text = (report.DOCS.parent / "tests" / f"{module}.py").read_text("utf-8")
                for name in names:
                    self.assertRegex(text, rf"(class|def) {name}\b")
