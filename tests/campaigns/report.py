"""
The page of the campaigns' results: C{python -m tests.campaigns.report}.

It reads what the campaigns have written into F{docs/campaigns/} and writes
F{docs/campaigns.md}.  Each campaign has a section, made by a function in
L{SECTIONS}; one whose results are not there is left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _fuzz_page, _interleaving_page, _soak_page, faults_page, tlsfuzzer, workers
from ._tables import table

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
RESULTS = DOCS / "campaigns"
PAGE = DOCS / "campaigns.md"

_HEAD = """\
# Campaigns: what attacks have shown

Other people's programs against the sample server, inputs and orders of events that nobody would
think of, faults, and hours of traffic, and what came of it. This page is made of the results by
`python -m tests.campaigns.report`; each campaign runs again by the command that its section names,
from a checkout of the sources, and exits with 0 only if everything is as is said here. With
`--short` it is a sample, in seconds. What each limit is, and what happens at it, is in
[security.md](security.md#hostile-peers).

What the campaigns have found and this package has mended has tests of its own, without the
programs that have found it:
"""

#: What the campaigns have found, and the tests of that.
DEFECTS: Sequence[tuple[str, str]] = (
    (
        "A peer could ask for new keys (TLS 1.3), or for another handshake that was refused each "
        "time (TLS 1.2), without end, and was answered each time, although it need not read the "
        "answers. More than 32 in a row without data end the connection.",
        "tests.test_hostile.KeyUpdateTests.test_storm, "
        "tests.test_hostile.HostileTests.test_renegotiation",
    ),
    (
        "By default `sslecho` and `serve` took suites of TLS 1.2 with CBC, and with RSA for the "
        "exchange of keys (testssl.sh: `LUCKY13` and `cipherlist_AVERAGE`, both LOW). They take "
        "those with forward secrecy and authenticated encryption alone.",
        "tests.test_tap.MakeServiceTests.test_suites, tests.test_serve.ServiceForTests.test_suites",
    ),
    (
        "Nothing kept a flood of clients that never finish their handshakes from using up memory "
        "and descriptors.",
        "tests.test_admission.LimitTests, tests.test_admission.GuardTests",
    ),
    (
        "What `serve` handed on in small pieces, and what a worker behind a PROXY header sent, "
        "could wait 40 ms for an acknowledgement. `TCP_NODELAY` is set.",
        "tests.test_forward.DataTests.test_settings, tests.test_proxied.AcceptingTests.test_told",
    ),
    (
        "A certificate with a bit string in the place of a text in a name was an error of our own, "
        "with a traceback in the log, for whoever was shown it. It has a damaged name, and is "
        "refused with `bad_certificate`.",
        "tests.test_certificatefacts.NameTests.test_bitString, "
        "tests.test_access.AccessRuleTests.test_unreadableSubject",
    ),
    (
        "Files with certificates whose names cannot be read, with keys of unknown kinds, or with "
        "a private key that calls itself one of another kind raised errors of cryptography's that "
        "are not documented.",
        "tests.test_certificates.CertificatesFromPEMTests.test_unreadableNames, "
        "tests.test_certificates.FromPEMTests.test_keyOfAnotherKind, "
        "tests.test_certificates.FromPEMTests.test_unknownKeys",
    ),
    (
        "So did a development certificate's authority that is none, and a path that can be no "
        "file's or may not be looked at.",
        "tests.test_devcert.FilesTests.test_noAuthority, tests.test_trust.TrustTests.test_noPlace",
    ),
    (
        "A redirect could lead to a URL of more characters than a URL may have, by so many as the "
        "URL had to which it was relative.",
        "tests.test_retrieval.RequestTests.test_longRedirect",
    ),
    (
        "A client that was asked for its certificate in mid-conversation (TLS 1.3), and first went "
        "on with data: behind that its certificate, in one read, overwrote the beginning of the "
        "data. Never released.",
        "tests.test_reauthentication.Asking.test_dataAroundALateAnswer",
    ),
    (
        "An application that wrote nothing, as zero bytes, from within `connectionMade` kept the "
        "last message of its handshake from the peer. Never released.",
        "tests.test_endpoints.ConnectTests.test_nothingWritten",
    ),
    (
        "What an application wrote behind the end of its writing side, while a handshake in "
        "mid-conversation kept that from being told, was sent before it.",
        "tests.test_renegotiation.InTraffic.test_closeByHalves",
    ),
    (
        "A write that was cancelled half-way, and again by somebody who heard of that: an "
        "`AssertionError` came out of `cancel()`.",
        "tests.test_sides.WriterTests.test_cancelledTwice",
    ),
    (
        "A client that wrote while it read what came together with a request for its certificate "
        "(TLS 1.3) broke the connection. What it writes goes with its answer.",
        "tests.test_reauthentication.Asking.test_writesAsAsked",
    ),
    (
        "While `remoteCertificateValidationCallback` decided about a client that was asked in "
        "mid-conversation and had shown nothing, session tickets were sent.",
        "tests.test_reauthentication.Asking.test_nothingIsSaid",
    ),
    (
        "`connect()` and `startTLS()`, cancelled from within `connectionMade` or "
        "`handshakeCompleted`, and an authentication, cancelled by somebody who had heard of its "
        "end first: the Deferred was fired twice, and the connection stayed open.",
        "tests.test_endpoints.ConnectTests.test_cancelledTooLate, "
        "tests.test_starttls.FunctionTests.test_cancelledTooLate, "
        "tests.test_stream.AuthenticationTests.test_cancelTooLate",
    ),
    (
        "A refused connection whose properties had been read, a protocol whose callback had "
        "raised, and a server whose callback had chosen nothing, were left to the garbage "
        "collector.",
        "tests.test_stream.LeakTests.test_inspected, "
        "tests.test_behaviours.ApplicationLeakTests.test_callbacks, "
        "tests.test_deferreds.DismissalTests.test_frames",
    ),
    (
        "What failed behind the answer of a callback, or as a handshake began, for lack of memory "
        "above all, left the connection to its time-out, or to nobody.",
        "tests.test_faults.MemoryTests.test_behindAnswer, "
        "tests.test_faults.MemoryTests.test_beginning, "
        "tests.test_faults.MemoryTests.test_askedLater",
    ),
    (
        "Data that could not be encrypted for lack of memory was left out, and what came behind it "
        "sent.",
        "tests.test_faults.MemoryTests.test_unsent, tests.test_gathering.GathererTests.test_raises",
    ),
    (
        "Who read or wrote a stream as it was lost for lack of memory never heard of it.",
        "tests.test_faults.MemoryTests.test_sides, "
        "tests.test_sides.ReaderTests.test_releaseOfReader",
    ),
    (
        "OpenSSL without memory made the process crash where a response was to be stapled, or a "
        "connection made; and let a session go on that a callback had refused, or bytes be passed "
        "over.",
        "tests.test_faults.OpenSSLTests",
    ),
    (
        "A certificate store, the system's roots among them, that could not be read for want of "
        "descriptors stayed as good as empty until one of its files changed.",
        "tests.test_faults.DescriptorTests.test_stores, "
        "tests.test_faults.DescriptorTests.test_systemRoots",
    ),
    (
        "A handler of streams that raised `SystemExit` left its connection open; other hooks left "
        "a handshake, or a certificate that is watched, behind.",
        "tests.test_faults.CallbackTests.test_handler, "
        "tests.test_faults.CallbackTests.test_observers, "
        "tests.test_faults.CallbackTests.test_renewed",
    ),
    (
        "A worker that the parent had no descriptor for was never replaced, and the parent never "
        "ended.",
        "tests.test_workers.ParentTests.test_unheard",
    ),
    (
        "A client for whom no protocol could be made counted as unauthenticated ever after.",
        "tests.test_faults.DescriptorTests.test_admission",
    ),
    (
        "On a full disk a part of a line stayed in a log of secrets, and a part of several "
        "certificates in a store.",
        "tests.test_faults.DiskTests.test_secrets, tests.test_faults.DiskTests.test_store",
    ),
    (
        "A record without content before its hello, which OpenSSL takes, and whoever wanted to "
        "could have a server that chooses by hellos log an `AttributeError` of ours. It is "
        "refused with `decode_error`.",
        "tests.test_hello.BadHelloTests.test_emptyRecord",
    ),
    (
        "A worker that was told to end before it had begun was gone at once, and those who came "
        "within `--grace` were refused.",
        "tests.test_workers.ProcessTests.test_endsAsItBegins",
    ),
    (
        "A callback that was asked behind the late answer of another one, or behind a revocation "
        "list that came late, and cancelled the authentication: what it had begun itself, its "
        "Deferred, was not cancelled.",
        "tests.test_hello.GivingUp.test_cancelledAsked, "
        "tests.test_hello.GivingUp.test_askedNoMore, "
        "tests.test_authentication.WaitingForRevocation.test_cancelledAsked",
    ),
)


def _who(scan: Mapping[str, Any]) -> str:
    asks = ", insisting on certificates of clients" if scan["asks"] else ""
    return f"`{scan['server']}`, {scan['key']} key{asks}"


def _tlsfuzzer(results: Mapping[str, Any]) -> Iterator[str]:
    scripts = results["scripts"]
    total = sum(each.get("conversations", 0) for each in scripts)
    excepted = sum(each.get("failed", 0) for each in scripts if each["isAsExpected"])
    left = {name: each for name, each in tlsfuzzer.SCRIPTS.items() if "why" in each}
    yield (
        f"{len(scripts)} scripts with {total} conversations against the sample server; "
        f"{sum(each['isAsExpected'] for each in scripts)} scripts are as expected. In "
        f"{excepted} conversations the server does "
        "something else than the script expects, on purpose or by OpenSSL's choice; the tables "
        "say why. tlsfuzzer is "
        f"[{results['commit'][:12]}]({results['source']}/tree/{results['commit']}), with "
        f"{', '.join(f'`{each}`' for each in results['packages'])}."
    )
    yield ""
    yield (
        "Old scripts need old things: “everything enabled” is the same server with TLS 1.0 to "
        "1.3 and every suite that "
        "OpenSSL has, which is the harder target."
    )
    yield ""
    rows = []
    for each in scripts:
        entry = tlsfuzzer.SCRIPTS[each["name"]]
        asks = ", asks for certificates" if entry.get("asks") else ""
        server = f"{entry.get('server', 'the sample server')}, {entry.get('key', 'RSA')}{asks}"
        arguments = " ".join(entry["arguments"]).replace("{home}/", "")
        counts = f"{each.get('passed', 0)} of {each.get('conversations', 0)}"
        outcome = "as expected" if each["isAsExpected"] else "**not as expected**"
        rows.append(
            (f"`{each['name']}`", f"`{arguments}`" if arguments else "", server, counts, outcome)
        )
    yield from table(("script", "arguments", "server", "passed", "outcome"), rows)
    yield "What the server does otherwise, and why that is right:"
    yield ""
    exceptions = [
        (f"`{name}`", f"`{each['names']}`", each["why"])
        for name, entry in sorted(tlsfuzzer.SCRIPTS.items())
        for each in entry.get("except", ())
    ]
    yield from table(("script", "conversations", "why"), exceptions)
    yield f"The {len(left)} scripts that do not apply:"
    yield ""
    yield from table(("script", "why"), ((f"`{name}`", left[name]["why"]) for name in sorted(left)))
    yield "Memory and descriptors of the servers, before and after:"
    yield ""
    servers = (
        (
            f"{each['server']}, {each['key']}{', asks' if each['asks'] else ''}",
            *(f"{size / (1 << 20):.1f} MiB" for size in each["memory"]),
            *each["descriptors"],
        )
        for each in results["servers"]
    )
    head = ("server", "memory before", "after", "descriptors before", "after")
    yield from table(head, servers)


def _testssl(results: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{results['tool']}. Nothing about the server is worse than informational where the last "
        "column is empty."
    )
    yield ""
    rows = (
        (
            _who(scan),
            ", ".join(f"{scan['counts'][name]} {name}" for name in sorted(scan["counts"])),
            ", ".join(f"{each['severity']} {each['id']}" for each in scan["worse"]),
        )
        for scan in results["scans"]
    )
    yield from table(("server", "findings", "worse"), rows)
    elsewhere = {
        (each["id"], each["severity"], each["why"])
        for scan in results["scans"]
        for each in scan["elsewhere"]
    }
    yield "What is not about the server:"
    yield ""
    yield from table(("finding", "severity", "why"), sorted(elsewhere))


def _sslyze(results: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"`{results['tool']}`: its {results['scans'][0]['checks']} checks for vulnerabilities "
        f"and old versions, the certificate, "
        "the suites, and Mozilla's “intermediate” recommendation."
    )
    yield ""
    rows = ((_who(scan), "; ".join(scan["worse"]) or "none") for scan in results["scans"])
    yield from table(("server", "findings"), rows)
    differences = {
        (name, each["why"])
        for scan in results["scans"]
        for name, each in scan["differences"].items()
    }
    yield "Where the server differs from the recommendation on purpose:"
    yield ""
    yield from table(("in", "why"), sorted(differences))


#: For each campaign the title of its section, and what makes that of results.
SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Iterable[str]]]] = {
    "tlsfuzzer": ("tlsfuzzer", _tlsfuzzer),
    "testssl": ("testssl.sh", _testssl),
    "sslyze": ("sslyze", _sslyze),
    "workers": ("Workers, and HAProxy in front of them", workers.section),
    "soak": ("Soak", _soak_page.section),
    "leaks": ("Soak of leaks", _soak_page.leaks),
    "fuzz": ("Fuzzing", _fuzz_page.section),
    "interleavings": ("Interleavings", _interleaving_page.section),
    "faults": ("Faults", faults_page.section),
}


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """
    @param results: what each campaign has written.
    @return: the page.
    """
    lines = [_HEAD, *table(("defect", "tests"), ((what, f"`{tests}`") for what, tests in DEFECTS))]
    for name, (title, section) in SECTIONS.items():
        if name not in results:
            continue
        found = results[name]
        outcome = "Everything is as expected." if found["isAsExpected"] else "**Not as expected.**"
        lines += [
            f"## {title}",
            "",
            f"    {found['command']}",
            "",
            f"{outcome} Run on {found['date']} in {found['seconds']} seconds: {found['versions']}.",
            "",
            *section(found),
        ]
    return "\n".join(lines).rstrip("\n") + "\n"


def stored() -> dict[str, Any]:
    """
    @return: the results that are kept with the sources.
    """
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))
    }


if __name__ == "__main__":
    PAGE.write_text(page(stored()), "utf-8")
    sys.exit(0)
