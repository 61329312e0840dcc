# -*- test-case-name: tests.test_report -*-
"""
What was found out about a server: as one document of what JSON knows, and as
text made from that document, so that both tell the same.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

from cryptography import x509
from cryptography.x509 import ocsp

from ._probe import Inspection
from .certificatefacts import factsOf, keyTypesOf
from .chain import X509Chain
from .enums import SslPolicyErrors, X509ChainStatusFlags
from .errors import legible
from .finding import thumbprintOf
from .names import hostsOf, nameProblem
from .revocationdata import RevocationDataError, checkOcsp
from .security import flagNames, plain

#: Exit statuses.
ACCEPTED, REFUSED, UNREACHABLE = 0, 1, 2

#: The version of the document's shape; it changes when something in it is
#: renamed or removed.
FORMAT = 1

#: With so many days left a certificate is about to expire.
_SOON = 30

_MOST_NAMES = 20
_MOST_ISSUERS = 20
_WIDEST = 400

#: What of L{SecurityInfo.asdict} is about the connection itself.
_NEGOTIATED = (
    "sslProtocol",
    "negotiatedCipherSuite",
    "cipherAlgorithm",
    "cipherStrength",
    "hashAlgorithm",
    "hashStrength",
    "keyExchangeAlgorithm",
    "keyExchangeGroup",
    "keyExchangeStrength",
    "negotiatedApplicationProtocol",
)

_S = X509ChainStatusFlags
_UNROOTED = _S.UntrustedRoot | _S.PartialChain | _S.Cyclic


def statusOf(inspection: Inspection) -> int:
    """
    @return: the exit status that tells of it.
    """
    if inspection.error is not None:
        return UNREACHABLE
    return ACCEPTED if inspection.isAccepted else REFUSED


# The document.


def document(inspection: Inspection) -> dict[str, Any]:
    """
    @return: all of it, in the shape that C{docs/inspect.md} describes.
    """
    plan, sight = inspection.plan, inspection.sight
    connection = None
    if sight.security is not None:
        properties = sight.security.asdict()
        connection = {name: properties[name] for name in _NEGOTIATED}
        connection["isResumed"] = inspection.isResumed
    return {
        "format": FORMAT,
        "moment": inspection.moment.isoformat(timespec="seconds"),
        "host": plan.host,
        "port": plan.port,
        "address": sight.address or None,
        "serverName": plan.options.targetHost,
        "status": statusOf(inspection),
        "error": inspection.error,
        "connection": connection,
        "clientCertificate": {
            "isAsked": sight.isAsked,
            "acceptableIssuers": list(sight.acceptableIssuers),
        },
        **_shown(inspection),
        "verdict": None if inspection.error is not None else _verdict(inspection),
    }


def _verdict(inspection: Inspection) -> dict[str, Any]:
    verdict, failure = inspection.verdict, inspection.sight.failure
    errors = SslPolicyErrors.None_ if verdict is None else verdict.sslPolicyErrors
    alert = None if verdict is None else verdict.alert
    return {
        "isAccepted": inspection.isAccepted,
        "sslPolicyErrors": flagNames(errors),
        "problems": [] if verdict is None else list(verdict.problems),
        "alert": None if alert is None else alert.name,
        "failure": None if failure is None else str(failure),
        "alertReceived": None if failure is None or not failure.alert else failure.alert.name,
    }


def _shown(inspection: Inspection) -> dict[str, Any]:
    """
    @return: what the server has shown of itself.
    """
    chain = inspection.sight.chain
    if chain is None:
        return {"certificates": [], "unused": [], "staple": None}
    moment = inspection.moment
    used = [each.certificate for each in chain.chainElements]
    last = len(used) - 1
    certificates = []
    for depth, certificate in enumerate(used):
        isSent = certificate in chain.presentedCertificates
        isRoot = depth == last and not chain.flags & _UNROOTED
        told = {**_certificate(certificate, moment), "isSent": isSent, "isTrustedRoot": isRoot}
        certificates.append({**told, "findings": _findings(inspection, chain, depth)})
    return {
        "certificates": certificates,
        "unused": [
            _certificate(each, moment) for each in chain.presentedCertificates if each not in used
        ],
        "staple": None if chain.stapledResponse is None else _staple(chain, moment),
    }


def _findings(inspection: Inspection, chain: X509Chain, depth: int) -> list[dict[str, Any]]:
    element = chain.chainElements[depth]
    found = [
        {"status": flagNames(each.status), "information": each.statusInformation}
        for each in element.chainElementStatus
    ]
    wrongName = nameProblem(element.certificate, inspection.plan.options.targetHost)
    if wrongName and not depth:
        mismatch = flagNames(SslPolicyErrors.RemoteCertificateNameMismatch)
        found.append({"status": mismatch, "information": wrongName})
    return found


def _certificate(certificate: x509.Certificate, moment: datetime.datetime) -> dict[str, Any]:
    facts = factsOf(certificate)
    kinds = set() if facts.key is None else keyTypesOf(certificate)
    return {
        **plain(certificate),
        "sha1": thumbprintOf(certificate).hex(),
        "daysLeft": (certificate.not_valid_after_utc - moment).days,
        "names": hostsOf(certificate),
        "key": {
            # With its curve, if it has one.
            "kind": max(kinds, default=None),
            "bits": getattr(facts.key, "key_size", None),
        },
        "signatureHash": facts.digest or None,
    }


def _staple(chain: X509Chain, moment: datetime.datetime) -> dict[str, Any]:
    """
    What a stapled response says of the server's certificate, and why it proves
    nothing, if so.
    """
    data = chain.stapledResponse or b""
    told: dict[str, Any] = {"status": None, "thisUpdate": None, "nextUpdate": None}
    certificate, *issuers = (each.certificate for each in chain.chainElements)
    try:
        for each in ocsp.load_der_ocsp_response(data).responses:
            if each.serial_number == certificate.serial_number:
                told["status"] = each.certificate_status.name.lower()
                told["thisUpdate"] = each.this_update_utc.isoformat()
                if each.next_update_utc is not None:
                    told["nextUpdate"] = each.next_update_utc.isoformat()
    except Exception:
        # cryptography parses lazily and raises what it likes; below it is said.
        told["status"] = None
    problem = "cannot be checked: the issuer is missing"
    if issuers:
        try:
            checkOcsp(data, certificate, issuers[0], moment, nonce=None, source="the staple")
            problem = ""
        except RevocationDataError as e:
            problem = str(e)
    return {**told, "problem": problem or None}


# The text.

#: Escape sequences of terminals (ECMA-48 section 8.3.117).
_STYLES = {"bold": "1", "good": "32", "bad": "31", "warning": "33", "dim": "2"}

Paint = Callable[[str, str], str]


def colourless(style: str, text: str) -> str:
    """
    Paint nothing.
    """
    return text


def coloured(style: str, text: str) -> str:
    """
    Paint a text for a terminal.

    @param style: one of C{"bold"}, C{"good"}, C{"bad"}, C{"warning"} and
        C{"dim"}.
    """
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def text(told: dict[str, Any], paint: Paint = colourless) -> str:
    """
    @param told: what L{document} returns.
    @param paint: L{coloured} or L{colourless}.
    @return: it for people: lines, the last one with its end.
    """
    lines = [paint("bold", _clean(_target(told)))]
    if told["error"] is not None:
        lines += ["", paint("bad", _clean(told["error"]))]
    else:
        lines += ["", paint("bold", "Connection"), *_connectionLines(told, paint)]
        if told["certificates"]:
            lines += ["", paint("bold", "Certificates"), *_treeLines(told["certificates"], paint)]
        if told["unused"]:
            names = [f"  {_clean(each['subject'])}" for each in told["unused"]]
            lines += ["", paint("bold", "Sent as well, but of no use"), *names]
        lines += ["", paint("bold", "Verdict"), *_verdictLines(told["verdict"], paint)]
    return "".join(f"{line}\n" for line in lines)


def _clean(value: object) -> str:
    """
    @return: what the server may have chosen, harmless to terminals.
    """
    return legible(str(value), _WIDEST)


def placeOf(host: str, port: int) -> str:
    """
    @return: where a server is, for people.
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _target(told: dict[str, Any]) -> str:
    host, address = told["host"], told["address"]
    shown = placeOf(host, told["port"])
    if address is not None and address.strip("[]") != host:
        shown += f" ({address})"
    if told["serverName"] != host:
        shown += f" as {told['serverName'] or 'nobody'}"
    return shown


def _row(name: str, value: str) -> str:
    return f"  {name:<20}{value}"


def _version(name: str) -> str:
    return f"TLS {name[-2]}.{name[-1]}" if name[-2:].isdigit() else name


def _connectionLines(told: dict[str, Any], paint: Paint) -> Iterator[str]:
    if told["connection"] is not None:
        yield from _negotiatedLines(told["connection"], paint)
    yield _row("OCSP staple", _stapleText(told["staple"], paint))
    wanted = told["clientCertificate"]
    yield _row("Client certificate", "asked for" if wanted["isAsked"] else "not asked for")
    issuers = wanted["acceptableIssuers"]
    yield from (_row("", f"from {_clean(each)}") for each in issuers[:_MOST_ISSUERS])
    yield from _more(len(issuers) - _MOST_ISSUERS, _row("", ""))


def _negotiatedLines(facts: dict[str, Any], paint: Paint) -> Iterator[str]:
    yield _row("Protocol", _version(facts["sslProtocol"]))
    yield _row("Cipher suite", str(facts["negotiatedCipherSuite"]))
    exchange, bits = facts["keyExchangeGroup"], facts["keyExchangeStrength"]
    yield _row("Key exchange", f"{exchange or facts['keyExchangeAlgorithm']}, {bits} bits")
    yield _row("ALPN", _clean(facts["negotiatedApplicationProtocol"] or "nothing agreed"))
    resumption = {
        True: "a session goes on in another connection",
        False: "each connection begins anew",
        None: paint("warning", "could not be tried"),
    }
    yield _row("Resumption", resumption[facts["isResumed"]])


def _more(count: int, start: str) -> Iterator[str]:
    if count > 0:
        yield f"{start}and {count} more"


def _stapleText(staple: dict[str, Any] | None, paint: Paint) -> str:
    if staple is None:
        return "none"
    said = staple["status"] or "no answer"
    style = {"good": "good", "revoked": "bad"}.get(said, "warning")
    parts = [paint(style, said)]
    if staple["thisUpdate"] is not None:
        parts.append(f"from {_moment(staple['thisUpdate'])}")
    if staple["nextUpdate"] is not None:
        parts.append(f"until {_moment(staple['nextUpdate'])}")
    line = " ".join(parts)
    if staple["problem"] is None:
        return line
    return f"{line}; {paint('bad', 'it ' + _clean(staple['problem']))}"


def _moment(isoformat: str) -> str:
    return isoformat[:16].replace("T", " ")


def _treeLines(certificates: list[dict[str, Any]], paint: Paint) -> Iterator[str]:
    """
    Each certificate below the one that it has issued.
    """
    for depth, each in enumerate(certificates):
        isLast = depth == len(certificates) - 1
        start = "  " + "   " * max(depth - 1, 0) + ("└─ " if depth else "")
        yield start + paint("bold", _clean(each["subject"])) + paint("dim", _origin(each))
        rest = "  " + "   " * depth + ("   " if isLast else "│  ")
        if isLast and each["issuer"] != each["subject"]:
            yield f"{rest}issuer  {_clean(each['issuer'])}"
        yield from (rest + line for line in _certificateLines(each, paint))


def _origin(told: dict[str, Any]) -> str:
    where = [] if told["isSent"] else ["not sent"]
    if told["isTrustedRoot"]:
        where.insert(0, "trusted")
    return f" ({', '.join(where)})" if where else ""


def _certificateLines(told: dict[str, Any], paint: Paint) -> Iterator[str]:
    names = told["names"]
    if names:
        shown = ", ".join(map(_clean, names[:_MOST_NAMES]))
        yield "for     " + "".join([shown, *_more(len(names) - _MOST_NAMES, ", ")])
    isTimely = not any("NotTimeValid" in each["status"] for each in told["findings"])
    yield f"valid   {_moment(told['notBefore'])} to {_moment(told['notAfter'])} " + (
        paint("bad", "(not yet)")
        if told["daysLeft"] >= 0 and not isTimely
        else _days(told["daysLeft"], paint)
    )
    kind, bits = told["key"]["kind"] or "unknown", told["key"]["bits"]
    size = "" if bits is None else f", {bits} bits"
    signed = "" if told["signatureHash"] is None else f"; signed with {told['signatureHash']}"
    yield f"key     {kind}{size}{signed}"
    yield f"serial  {told['serialNumber']}"
    yield f"sha256  {told['sha256']}"
    yield f"sha1    {told['sha1']}"
    for finding in told["findings"]:
        information = f"{_clean(finding['information'])} ({', '.join(finding['status'])})"
        yield paint("bad", f"✗ {information}")


def _days(left: int, paint: Paint) -> str:
    # Rounded down, so that the day after the end is the first one below zero.
    number = left if left >= 0 else -left - 1
    words = f"{number} day{'' if number == 1 else 's'} {'left' if left >= 0 else 'ago'}"
    style = "bad" if left < 0 else "warning" if left < _SOON else "good"
    return paint(style, f"({words})")


def _verdictLines(verdict: dict[str, Any], paint: Paint) -> Iterator[str]:
    problems = verdict["problems"]
    if problems:
        errors = ", ".join(verdict["sslPolicyErrors"])
        yield "  " + paint("bad", f"✗ A default client would refuse this server: {errors}")
        yield from (f"    {_clean(each)}" for each in problems)
        yield f"    It would send the alert {verdict['alert']}."
    if verdict["failure"] is not None:
        yield "  " + paint("bad", f"✗ There is no connection: {_clean(verdict['failure'])}")
    if verdict["isAccepted"]:
        yield "  " + paint("good", "✓ A default client would accept this server.")
