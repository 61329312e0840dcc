# -*- test-case-name: tests.test_inspect -*-
"""
C{sslstream inspect}: what there is to know of a server, and what a client would
make of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TextIO, TypeVar

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python import usage

from ._dialogues import SERVICES
from ._probe import Plan, Probe
from ._report import UNREACHABLE, coloured, colourless, document, placeOf, statusOf, text
from ._tap import parameter
from ._usage import CommandOptions, fallSilent, portNumber
from .enums import SslProtocols, X509RevocationMode
from .errors import InvalidOperationError, NotSupportedError
from .names import serverNameFor
from .options import SslClientAuthenticationOptions, checkedTimeout

_T = TypeVar("_T")

#: Where TLS is spoken from the first byte.
HTTPS_PORT = 443
HTTPS_PROTOCOLS = ("h2", "http/1.1")

_VERSIONS = {"1.2": SslProtocols.Tls12, "1.3": SslProtocols.Tls13}
_REVOCATION = {"offline": X509RevocationMode.Offline, "online": X509RevocationMode.Online}

EXAMPLES = """
Examples:
  sslstream inspect example.com
  sslstream inspect '[2001:db8::1]:8443' --servername example.com
  sslstream inspect mail.example.com --starttls smtp
  sslstream inspect db.example.com --starttls postgres --trust roots.pem
  sslstream inspect example.com --certificate me.pem --revocation online
  sslstream inspect example.com --json | jq '.certificates[0].daysLeft'
"""


class Target(NamedTuple):
    """
    Where to connect to.

    @ivar host: a name or an address, without brackets.
    @ivar port: the port, if there is one.
    """

    host: str
    port: int | None


def targetOf(argument: str) -> Target:
    """
    @param argument: C{HOST}, C{HOST:PORT}, C{[IPV6]:PORT} or an IPv6 address.
    @raise ValueError: it is something else.
    """
    if argument.startswith("["):
        host, bracket, rest = argument[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        isGood = bool(bracket) and isIPv6Address(host) and colon in ("", ":")
    elif isIPv6Address(argument):
        host, colon, port = argument, "", ""
        isGood = True
    else:
        host, colon, port = argument.partition(":")
        isGood = bool(host)
    if not isGood:
        raise ValueError(f"not HOST or HOST:PORT: {argument!r}")
    serverNameFor(host)
    return Target(host, portNumber(port) if colon else None)


def _oneOf(choices: Mapping[str, _T]) -> Callable[[str], _T]:
    def choose(given: str) -> _T:
        if given not in choices:
            raise ValueError(f"{given!r} is none of {', '.join(choices)}")
        return choices[given]

    return choose


def _protocols(given: str) -> tuple[str, ...]:
    return tuple(filter(None, given.split(",")))


class InspectOptions(CommandOptions):
    """
    C{sslstream inspect}.

    @ivar plan: what is asked for.
    """

    synopsis = "[options] HOST[:PORT]"

    longdesc = (
        "Connects to a server, whatever is wrong with it, and shows what it has "
        "agreed to, its certificates with everything that is wrong with each, and "
        "what a client would decide. Nothing is said but what --starttls calls for "
        "and the handshake. Without PORT it is 443, or that of the service that "
        "--starttls names. Exit status: 0 if a client would accept the server, 1 "
        "if not, 2 if it could not be reached or does not speak TLS."
    )

    optParameters: ClassVar[list[Any]] = [
        ["servername", None, None, "Name to ask for and to look for, if it is not HOST."],
        parameter(
            "starttls",
            None,
            None,
            f"Begin in plain text, as one of these: {', '.join(SERVICES)}.",
            _oneOf(SERVICES),
        ),
        [
            *("alpn", None, None),
            "Application protocols to offer, with commas between; by default "
            f"{','.join(HTTPS_PROTOCOLS)}, or what --starttls calls for.",
            _protocols,
        ],
        parameter("tls", None, None, "Only this version: 1.2 or 1.3.", _oneOf(_VERSIONS)),
        parameter(
            "revocation",
            None,
            None,
            "Check whether certificates are revoked: offline (with what is at hand) or online.",
            _oneOf(_REVOCATION),
        ),
        parameter("timeout", "t", 10.0, "Seconds to connect, and to authenticate.", float),
    ]

    optFlags: ClassVar[list[Any]] = [["json", "j", "Print JSON."]]

    compData = usage.Completions(
        optActions={
            "starttls": usage.CompleteList(list(SERVICES)),
            "tls": usage.CompleteList(list(_VERSIONS)),
            "revocation": usage.CompleteList(list(_REVOCATION)),
            "alpn": usage.CompleteMultiList([*HTTPS_PROTOCOLS, "imap", "pop3", "postgresql"]),
            "servername": usage.CompleteHostnames(),
        },
        extraActions=[usage.CompleteHostnames(descr="server")],
    )

    plan: Plan

    def getUsage(self, width: int | None = None) -> str:
        """
        Help, with examples as they are typed.
        """
        return super().getUsage(width) + EXAMPLES

    def parseArgs(self, *targets: str) -> None:
        """
        Take where to connect to.
        """
        if len(targets) != 1:
            raise usage.UsageError(f"one HOST[:PORT] is needed, not {len(targets)}")
        try:
            self["host"], self["port"] = targetOf(targets[0])
        except ValueError as e:
            raise usage.UsageError(str(e)) from None

    def postOptions(self) -> None:
        """
        Read the files, so that nothing of them can fail later.
        """
        service = self["starttls"]
        protocols = HTTPS_PROTOCOLS if service is None else service.applicationProtocols
        name = self["servername"]
        try:
            checkedTimeout(self["timeout"], "timeout")
            own = self.certificateContext()
            options = SslClientAuthenticationOptions(
                self["host"] if name is None else name,
                clientCertificates=() if own is None else (own,),
                applicationProtocols=protocols if self["alpn"] is None else self["alpn"],
                enabledSslProtocols=self["tls"] or SslProtocols.None_,
                certificateRevocationCheckMode=self["revocation"] or X509RevocationMode.NoCheck,
                trust=self.trusted(),
                handshakeTimeout=self["timeout"],
            )
        except (ValueError, InvalidOperationError, NotSupportedError) as e:
            raise SystemExit(f"sslstream inspect: {e}") from None
        port = self["port"] or (HTTPS_PORT if service is None else service.port)
        self.plan = Plan(self["host"], port, options, service, self["timeout"])


def isColourful(output: TextIO, environment: Mapping[str, str]) -> bool:
    """
    @return: whether colours are welcome: on terminals that know some, unless
        C{NO_COLOR} says otherwise (no-color.org).
    """
    isPlain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return output.isatty() and not isPlain


def endpointFor(reactor: Any, plan: Plan) -> IStreamClientEndpoint:
    """
    @return: where the server is.
    """
    name = serverNameFor(plan.host)
    host = plan.host if name is None else name.decode("ascii")
    return HostnameEndpoint(reactor, host, plan.port, timeout=plan.timeout)


async def runInspect(
    reactor: Any,
    options: InspectOptions,
    endpoint: IStreamClientEndpoint | None = None,
    output: TextIO | None = None,
    errors: TextIO | None = None,
) -> int:
    """
    Look at a server and tell.

    @param endpoint: where it is; L{None}: where the options say.
    @param output: where the report goes; L{None}: standard output.
    @param errors: where progress and misfortunes go; L{None}: standard error.
    @return: the exit status.
    """
    out = sys.stdout if output is None else output
    err = sys.stderr if errors is None else errors
    plan = options.plan

    def say(line: str) -> None:
        err.write(f"sslstream inspect: {line}\n")
        err.flush()

    probe = Probe(
        plan, endpoint or endpointFor(reactor, plan), reactor, lambda what: say(f"{what} ...")
    )
    inspection = await probe.inspect()
    told = document(inspection)
    status = statusOf(inspection)
    if options["json"]:
        _print(out, json.dumps(told, indent=2) + "\n")
    elif status == UNREACHABLE:
        say(f"{placeOf(plan.host, plan.port)}: {inspection.error}")
    else:
        _print(out, text(told, coloured if isColourful(out, os.environ) else colourless))
    return status


def _print(out: TextIO, report: str) -> None:
    # Names come in any script, and not every terminal has all of them.
    encoding = out.encoding or "utf-8"
    try:
        out.write(report.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
    except BrokenPipeError:
        fallSilent(out)
