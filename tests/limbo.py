"""
Judges the public x509-limbo vectors, BetterTLS among them, with our chain and
our name check: C{python -m tests.limbo [--only PATTERN] [--json FILE] [FILE or URL]}.

It prints how many verdicts agree in each group and every disagreement; the exit
status is 1 if L{DIFFERENCES} does not say exactly where we differ.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TextIO

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.chain import X509Chain, X509ChainStatus
from txsslstream.enums import X509ChainStatusFlags, X509ChainTrustMode, X509RevocationMode
from txsslstream.names import certificateMatchesHost
from txsslstream.policy import X509ChainPolicy

SOURCE = "https://raw.githubusercontent.com/C2SP/x509-limbo/main/limbo.json"

_ANCHOR = (
    "a root is trusted for its name and its key (RFC 5280 section 6.1.1 (d)); which other "
    "extensions it has is between its issuer and the CA/Browser Forum"
)
_IDENTIFIERS = (
    "key identifiers help to find issuers and prove nothing; private authorities made with common "
    "tools lack them, and .NET, OpenSSL and browsers accept that"
)
_FOR_ISSUERS = (
    "that it be critical is a duty of whoever issues (RFC 5280 section 4.2.1); it is heeded "
    "either way, as .NET, OpenSSL and browsers do"
)
_AUTHORITY = (
    "the peer's own certificate may be a CA's (RFC 5280 section 4.2.1.9), as that of a server "
    "with a self-signed certificate often is"
)

#: Where we differ from x509-limbo on purpose, and by which rule: patterns of
#: identifiers, of which every case must disagree.
DIFFERENCES: Mapping[str, str] = {
    "crl::crlnumber-missing": (
        "a CRL without a number is complete and says as much; private authorities issue such, and "
        ".NET, OpenSSL and browsers accept them"
    ),
    "rfc5280::aki::cross-signed-root-missing-aki": _IDENTIFIERS,
    "rfc5280::aki::intermediate-missing-aki": _IDENTIFIERS,
    "rfc5280::aki::leaf-missing-aki": _IDENTIFIERS,
    "rfc5280::nc::permitted-dns-match-noncritical": (
        "name constraints are heeded whether critical or not; limbo has the opposite rule as "
        "well: webpki::nc::permitted-dns-match-noncritical"
    ),
    "rfc5280::pc::ica-noncritical-pc": _FOR_ISSUERS,
    "rfc5280::root-non-critical-basic-constraints": _FOR_ISSUERS,
    "rfc5280::san::underscore-dns": "underscores are no host name's, but in use",
    "rfc5280::ski::*-missing-ski": _IDENTIFIERS,
    "webpki::aki::root-with-aki-all-fields": _ANCHOR,
    "webpki::ca-as-leaf": f"{_AUTHORITY}; limbo has the opposite rule as well: rfc5280::ca-as-leaf",
    "webpki::cn::*": "the common name is never looked at (RFC 9525 section 2)",
    "webpki::eku::ee-anyeku": (
        "it names server authentication as well; that it may not name any usage besides is a rule "
        "for the public web's issuers alone"
    ),
    "webpki::eku::ee-critical-eku": (
        "the extended key usage may be critical (RFC 5280 section 4.2.1.12)"
    ),
    "webpki::eku::ee-without-eku": (
        "a certificate without extended key usages is for every use (RFC 5280 section 4.2.1.12, "
        ".NET); limbo has the opposite rule as well: rfc5280::eku::ee-without-eku"
    ),
    "webpki::eku::root-has-eku": _ANCHOR,
    "webpki::san::public-suffix-private-namespace-wildcard-san": (
        "of the public suffix list only ICANN's part counts: whoever owns a private suffix may "
        "have a certificate for what is below"
    ),
    "webpki::san::san-critical-with-nonempty-subject": (
        "that the names are not critical then is no more than a SHOULD (RFC 5280 section 4.2.1.6)"
    ),
}

_USAGES: Mapping[str, x509.ObjectIdentifier] = {
    "anyExtendedKeyUsage": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "codeSigning": ExtendedKeyUsageOID.CODE_SIGNING,
    "emailProtection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timeStamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "OCSPSigning": ExtendedKeyUsageOID.OCSP_SIGNING,
}
#: What a peer must be good for where the vector does not say.
_ROLES: Mapping[str, Sequence[str]] = {"SERVER": ("serverAuth",), "CLIENT": ("clientAuth",)}

#: How many complaints are listed, and disagreements of BetterTLS' thousands of
#: cases.
_MOST_LISTED = 50


@dataclass(frozen=True)
class Case:
    """
    A vector.

    @ivar expected: whether the peer is to be accepted.
    @ivar host: the name that the peer must have, or L{None}: clients have none.
    @ivar maximumDepth: how many certificates may be between the peer's and the
        root, or L{None}.

    Certificates and revocation lists are PEM: not every one can be read.
    """

    identifier: str
    expected: bool
    peer: str
    intermediates: tuple[str, ...]
    roots: tuple[str, ...]
    revocationLists: tuple[str, ...]
    verificationTime: datetime.datetime | None
    applicationPolicy: tuple[x509.ObjectIdentifier, ...]
    maximumDepth: int | None
    host: str | None

    @property
    def group(self) -> str:
        """
        At most two parts of the identifier, without its last.
        """
        return "::".join(self.identifier.split("::")[:-1][:2])


@dataclass(frozen=True)
class Verdict:
    """
    What we say of a case.

    @ivar accepted: whether the peer is accepted; L{None} if there is no answer
        at all, which never agrees.
    @ivar statuses: everything that was found, in words.
    @ivar seconds: how long it took.
    """

    case: Case
    accepted: bool | None
    statuses: tuple[str, ...]
    seconds: float

    @property
    def agrees(self) -> bool:
        """
        Whether this is what was expected.
        """
        return self.accepted is self.case.expected

    @property
    def pattern(self) -> str | None:
        """
        The first entry of L{DIFFERENCES} for this case.
        """
        identifier = self.case.identifier
        return next((each for each in DIFFERENCES if fnmatchcase(identifier, each)), None)


def load(source: str) -> list[Case]:
    """
    @param source: a file's path or an http(s) URL.
    @raise OSError: it cannot be had.
    @raise ValueError: it is no JSON.
    @raise KeyError: it is no limbo.json.
    """
    if source.startswith(("https://", "http://")):
        with urllib.request.urlopen(source, timeout=60) as response:
            content = response.read()
    else:
        content = Path(source).read_bytes()
    return [_case(each) for each in json.loads(content)["testcases"]]


def _case(vector: Mapping[str, Any]) -> Case:
    moment = vector["validation_time"]
    name = vector["expected_peer_name"]
    usages = vector["extended_key_usage"] or _ROLES[vector["validation_kind"]]
    return Case(
        identifier=vector["id"],
        expected=vector["expected_result"] == "SUCCESS",
        peer=vector["peer_certificate"],
        intermediates=tuple(vector["untrusted_intermediates"]),
        roots=tuple(vector["trusted_certs"]),
        revocationLists=tuple(vector["crls"]),
        verificationTime=None if moment is None else datetime.datetime.fromisoformat(moment),
        applicationPolicy=tuple(_USAGES[each] for each in usages),
        maximumDepth=vector["max_chain_depth"],
        host=None if name is None else name["value"],
    )


def _certificates(texts: Sequence[str]) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        # Negative serial numbers are among the vectors.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return [x509.load_pem_x509_certificate(each.encode()) for each in texts]


def _described(where: str, status: X509ChainStatus) -> str:
    flags = "|".join(str(each.name) for each in X509ChainStatusFlags if each & status.status)
    return f"{where} {flags}: {status.statusInformation}"


def _statuses(chain: X509Chain) -> Iterator[str]:
    listed = set()
    for depth, element in enumerate(chain.chainElements):
        for status in element.chainElementStatus:
            listed.add(status)
            yield _described(f"certificate {depth}", status)
    yield from (_described("chain", each) for each in chain.chainStatus if each not in listed)


def _judged(case: Case) -> tuple[bool, tuple[str, ...]]:
    """
    @return: whether the peer is accepted, and what was found.
    """
    try:
        [peer] = _certificates([case.peer])
        roots = _certificates(case.roots)
        intermediates = _certificates(case.intermediates)
        lists = [x509.load_pem_x509_crl(each.encode()) for each in case.revocationLists]
    except (ValueError, x509.InvalidVersion) as e:
        return False, (f"unreadable: {e}",)
    mode = X509RevocationMode.Offline if lists else X509RevocationMode.NoCheck
    chain = X509Chain(
        X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=roots,
            extraStore=intermediates,
            applicationPolicy=case.applicationPolicy,
            revocationMode=mode,
            revocationLists=lists,
            verificationTime=case.verificationTime,
            maximumDepth=case.maximumDepth,
        )
    )
    # Nothing is fetched, so nothing is waited for.
    isGood: bool = SynchronousTestCase().successResultOf(chain.build(peer))
    statuses = tuple(_statuses(chain))
    if case.host is None or certificateMatchesHost(peer, case.host):
        return isGood, statuses
    return False, (*statuses, f"RemoteCertificateNameMismatch: not the certificate of {case.host}")


def judge(case: Case) -> Verdict:
    """
    Build the chain of a case and compare the name.  A certificate or revocation
    list that cannot be read is refused; an exception is no answer.
    """
    accepted: bool | None = None
    begin = time.perf_counter()
    try:
        accepted, statuses = _judged(case)
    except Exception as e:
        statuses = (f"raised {type(e).__name__}: {e}",)
    return Verdict(case, accepted, statuses, time.perf_counter() - begin)


def complaints(verdicts: Collection[Verdict], isComplete: bool) -> list[str]:
    """
    @param isComplete: whether all vectors were judged.
    @return: what is not as L{DIFFERENCES} says: disagreements that it does not
        have, cases that it has and that agree, entries for no case.
    """
    found = []
    for each in verdicts:
        if not each.agrees and (each.accepted is None or each.pattern is None):
            found.append(f"{each.case.identifier}: disagrees without a reason")
        elif each.agrees and each.pattern is not None:
            found.append(f"{each.case.identifier}: agrees, but {each.pattern} is in the table")
    if isComplete:
        used = {each.pattern for each in verdicts}
        found += [f"{each}: in the table, but no such case" for each in DIFFERENCES.keys() - used]
    return found


def _word(accepted: bool | None) -> str:
    return "no answer" if accepted is None else "SUCCESS" if accepted else "FAILURE"


def _reason(verdict: Verdict) -> str:
    if verdict.accepted is None or verdict.pattern is None:
        return "NO REASON"
    return DIFFERENCES[verdict.pattern]


def report(verdicts: Sequence[Verdict], out: TextIO) -> None:
    """
    Write the counts of every group, and the disagreements.
    """
    total = Counter(each.case.group for each in verdicts)
    agreed = Counter(each.case.group for each in verdicts if each.agrees)
    out.writelines(f"{agreed[each]:6} of {total[each]:5}  {each}\n" for each in sorted(total))
    out.write(f"{agreed.total():6} of {len(verdicts):5}  all\n")
    fromBetterTls = []
    for each in verdicts:
        if each.agrees:
            continue
        if each.case.group.startswith("bettertls"):
            fromBetterTls.append(each.case.identifier)
            continue
        out.write(
            f"\n{each.case.identifier}\n"
            f"    expected {_word(each.case.expected)}, ours {_word(each.accepted)}\n"
        )
        out.writelines(f"    {status}\n" for status in each.statuses or ("no statuses",))
        out.write(f"    because: {_reason(each)}\n")
    if fromBetterTls:
        some = ", ".join(fromBetterTls[:_MOST_LISTED])
        out.write(f"\nBetterTLS: {len(fromBetterTls)} disagree, as {some}\n")
    slowest = max(verdicts, key=lambda each: each.seconds, default=None)
    if slowest is not None:
        out.write(f"\nslowest: {slowest.case.identifier}, {slowest.seconds:.2f} s\n")


def _record(verdict: Verdict) -> dict[str, object]:
    fields = asdict(verdict)
    del fields["case"]
    return {
        "id": verdict.case.identifier,
        "expected": verdict.case.expected,
        "agrees": verdict.agrees,
        "reason": None if verdict.agrees else _reason(verdict),
        **fields,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.limbo")
    parser.add_argument("source", nargs="?", default=SOURCE, metavar="FILE or URL")
    parser.add_argument("--only", metavar="PATTERN", help="only the cases with such identifiers")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where all verdicts go")
    options = parser.parse_args(arguments)
    pattern = options.only or "*"
    verdicts = [
        judge(each) for each in load(options.source) if fnmatchcase(each.identifier, pattern)
    ]
    report(verdicts, sys.stdout)
    if options.json is not None:
        options.json.write_text(json.dumps([_record(each) for each in verdicts], indent=1) + "\n")
    wrong = complaints(verdicts, isComplete=options.only is None)
    if wrong:
        sys.stdout.write(f"\nnot as the table says: {len(wrong)}\n")
        sys.stdout.writelines(f"    {each}\n" for each in wrong[:_MOST_LISTED])
    return 1 if wrong or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
