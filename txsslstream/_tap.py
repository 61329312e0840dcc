# -*- test-case-name: tests.test_tap -*-
"""
C{twistd sslecho}: the sample server as a service.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from ._attended import StartError, attended
from ._openssl import libraryVersion
from ._workers import Workers, checkShareable
from .admission import HandshakeLimit
from .certificates import SslStreamCertificateContext, passwordFrom
from .devcert import DevelopmentCertificate
from .echo import TIMEOUT, SampleServer
from .errors import CertificateError, InvalidOperationError, NotSupportedError
from .options import SslServerAuthenticationOptions
from .reload import ReloadingCertificate
from .suitability import RECOMMENDED_SUITES
from .trust import SslCertificateTrust

_Certificate = TypeVar("_Certificate", SslStreamCertificateContext, ReloadingCertificate)


def parameter(
    name: str, short: str | None, default: Any, doc: str, coerce: Callable[[str], Any]
) -> list[Any]:
    """
    @param coerce: makes the option's value of a text, or raises L{ValueError}.
    @return: for C{optParameters}: an option whose errors name it.
    """

    def coerced(text: str) -> Any:
        try:
            return coerce(text)
        except ValueError as e:
            raise usage.UsageError(f"--{name}: {e}") from None

    return [name, short, default, doc, coerced]


def versions() -> str:
    """
    @return: the versions of this package and of what it builds on, a line.
    """

    def versionOf(name: str) -> str:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            return f"{name} (not installed)"

    packages = ", ".join(map(versionOf, ("txsslstream", "Twisted", "pyOpenSSL", "cryptography")))
    return f"{packages}, {libraryVersion()}"


class VersionOptions(usage.Options):
    """
    Options that tell more versions than Twisted's alone.
    """

    def opt_version(self) -> NoReturn:
        """
        Display the versions of this package and of what it builds on, and exit.
        """
        sys.stdout.write(f"{versions()}\n")
        raise SystemExit(0)


class CertificateOptions(VersionOptions):
    """
    Where a certificate with its key comes from: shared by the commands.
    """

    compData = usage.Completions(
        optActions={
            "certificate": usage.CompleteFiles(descr="PEM file"),
            "private-key": usage.CompleteFiles(descr="PEM file"),
            "trust": usage.CompleteFiles(descr="PEM file or directory"),
            "pfx": usage.CompleteFiles(descr="PKCS#12 file"),
            "password-file": usage.CompleteFiles(descr="file"),
        },
        mutuallyExclusive=[("certificate", "pfx"), ("private-key", "pfx")],
    )

    optParameters: ClassVar[list[Any]] = [
        ["certificate", None, None, "PEM file with the certificate (and its intermediates)."],
        ["private-key", None, None, "PEM file with the private key, if not in the other one."],
        ["pfx", None, None, "PKCS#12 file with both, instead."],
        ["password-file", None, None, "File whose first line is the password of the key."],
        ["trust", None, None, "PEM file or directory with the roots to trust."],
    ]

    def certificateContext(self) -> SslStreamCertificateContext | None:
        """
        @return: the certificate, or L{None} if none was named.
        @raise CertificateError: it cannot be used.
        """
        return self._certificate(SslStreamCertificateContext)

    def reloadingCertificate(self) -> ReloadingCertificate | None:
        """
        @return: the certificate and what it will be renewed to, or L{None} if
            none was named.
        @raise CertificateError: it cannot be used.
        """
        return self._certificate(ReloadingCertificate)

    def _certificate(self, kind: type[_Certificate]) -> _Certificate | None:
        password = passwordFrom(self["password-file"]) if self["password-file"] else None
        if self["pfx"]:
            if self["certificate"] or self["private-key"]:
                raise CertificateError("give either --pfx or --certificate and --private-key")
            return kind.fromPFX(self["pfx"], password)
        if self["certificate"]:
            return kind.fromPEM(self["certificate"], self["private-key"], password)
        if self["private-key"]:
            raise CertificateError("--private-key needs --certificate")
        return None

    def trusted(self) -> SslCertificateTrust | None:
        """
        @return: the roots named, or L{None} for the system's.
        @raise CertificateError: they cannot be used.
        """
        return SslCertificateTrust.fromPEM(self["trust"]) if self["trust"] else None


def positive(text: str) -> int:
    """
    @return: a number of something.
    @raise ValueError: it is less than 1.
    """
    count = int(text)
    if count < 1:
        raise ValueError("it must be at least 1")
    return count


def secondsOrNone(text: str) -> float:
    """
    @return: a number of seconds, or 0.
    @raise ValueError: it is none.
    """
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{text} is no number of seconds")
    return seconds


#: Options of commands that listen: see L{handshakeLimit}, L{Workers} and
#: L{attended}.
LISTENING: list[list[Any]] = [
    parameter(
        "max-handshakes",
        None,
        None,
        "Most clients at once that have yet to authenticate.",
        positive,
    ),
    parameter(
        "max-handshakes-per-address", None, None, "The same, of one address or /64.", positive
    ),
    parameter("processes", None, 1, "How many processes share the clients.", positive),
    ["health", None, None, "Endpoint description of where to tell by HTTP how we are."],
    parameter(
        "grace", None, 0.0, "Seconds to be told to be ending before that begins.", secondsOrNone
    ),
]

#: The flag of those.
ACCEPT_PROXY = ["accept-proxy", None, "Have each connection begin with a PROXY header."]


def draining(default: float) -> list[Any]:
    """
    @return: for C{optParameters}: how long connections may go on at the end.
    """
    return parameter(
        "drain", None, default, "Seconds for connections to end at the end.", secondsOrNone
    )


def handshakeLimit(options: usage.Options) -> HandshakeLimit | None:
    """
    @return: the limit that a command line asks for, if any.
    """
    limits = options["max-handshakes"], options["max-handshakes-per-address"]
    return None if limits == (None, None) else HandshakeLimit(*limits)


class Options(CertificateOptions):
    """
    The command line of C{twistd sslecho}.
    """

    synopsis = "[options]"

    longdesc = (
        "The secure sample server: TLS on port 8080. Without a certificate it "
        "makes itself one for localhost; its first lines say which file clients "
        "have to trust. With --processes 4 others share the handshakes: workers "
        "behind one socket, whose tickets are good for all."
    )

    optParameters: ClassVar[list[Any]] = [
        ["listen", None, "tcp:8080", "Endpoint description of where to listen."],
        *LISTENING,
        draining(0.0),
    ]

    optFlags: ClassVar[list[Any]] = [
        ["echo", None, "Send back whatever comes, until the client closes."],
        ["require-client-certificate", None, "Refuse clients without a trusted certificate."],
        ["verbose", None, "Tell more about each connection."],
        ACCEPT_PROXY,
    ]


def makeService(options: Options) -> Service:
    """
    See C{IServiceMaker}.

    @raise StartError: a file cannot be used or the description is none.
    """
    from twisted.internet import reactor

    try:
        certificate = options.certificateContext()
        authority = None
        if certificate is None:
            development = DevelopmentCertificate()
            certificate = development.load()
            authority = development.authorityPath
        server = SampleServer(
            SslServerAuthenticationOptions(
                serverCertificateContext=certificate,
                clientCertificateRequired=bool(options["require-client-certificate"]),
                trust=options.trusted(),
                cipherSuitesPolicy=RECOMMENDED_SUITES,
                # The client's end is the end of what there is to echo, and .NET
                # clients end without close_notify.
                requireCloseNotify=not options["echo"],
            ),
            SampleService.say,
            echoes=bool(options["echo"]),
            isVerbose=bool(options["verbose"]),
            handshakeLimit=handshakeLimit(options),
            acceptProxy=bool(options["accept-proxy"]),
        )
    except (ValueError, InvalidOperationError, NotSupportedError) as e:
        raise StartError(f"twistd sslecho: {e}") from None
    description = options["listen"]

    def endpointFor(reactor: Any) -> IStreamServerEndpoint:
        try:
            endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
            return endpoint
        except (ValueError, TypeError, LookupError) as e:
            raise StartError(f"twistd sslecho: --listen {description}: {e}") from None

    grace, drain = options["grace"], options["drain"]

    def make(reactor: Any, endpoint: IStreamServerEndpoint, announces: bool) -> SampleService:
        return SampleService(
            endpoint, description, server, authority, announces, reactor, grace, drain
        )

    program = "twistd sslecho"
    if options["processes"] == 1:
        return attended(make(reactor, endpointFor(reactor), True), reactor, options, program)
    try:
        checkShareable(description)
    except ValueError as e:
        raise StartError(f"twistd sslecho: {e}") from None
    workers = Workers(
        reactor, options["processes"], endpointFor, make, grace + drain + TIMEOUT, grace
    )
    return attended(workers, reactor, options, program)


class SampleService(Service):
    """
    Listens, and when it is stopped lets its connections end, or closes them.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        description: str,
        server: SampleServer,
        authority: Path | None,
        announces: bool = True,
        clock: IReactorTime | None = None,
        grace: float = 0,
        drain: float = 0,
    ) -> None:
        """
        @param authority: the file that clients may trust, if it is to be told.
        @param announces: whether to say where it listens.
        @param clock: for the two others, which need it.
        @param grace: how many seconds to go on when it is stopped.
        @param drain: how many seconds connections get then to end by themselves.
        """
        self._endpoint = endpoint
        self._description = description
        self._server = server
        self._authority = authority
        self._announces = announces
        self._clock = clock
        self._grace = grace
        self._drain = drain
        self._port: IListeningPort | None = None

    @classmethod
    def say(cls, line: str) -> None:
        """
        Print a line: C{twistd} decides where.
        """
        cls._log.info("{line}", line=line)

    def privilegedStartService(self) -> None:
        """
        Listen.

        @raise StartError: the address cannot be had.
        """
        failures: list[Failure] = []
        self._endpoint.listen(self._server.listener).addCallbacks(self._listening, failures.append)
        if failures:
            raise StartError(
                f"twistd sslecho: cannot listen on {self._description}: "
                f"{failures[0].getErrorMessage()}"
            )

    def _listening(self, port: IListeningPort) -> None:
        self._port = port
        if not self._announces:
            return
        self.say(f"Waiting for a client to connect to {port.getHost()}...")
        if self._authority is not None:
            self.say(f"Clients may trust the development authority in {self._authority}")

    def unable(self) -> str:
        """
        @return: see L{Attended<txsslstream._attended.Attended>}.
        """
        return ""

    @inlineCallbacks
    def stopService(self) -> Any:
        """
        Stop listening, and close every connection cleanly, each when it is time.
        """
        super().stopService()
        if self._clock is not None and self._grace:
            yield deferLater(self._clock, self._grace)
        if self._port is not None:
            yield self._port.stopListening()
        if self._clock is not None and self._drain:
            yield self._server.drain(self._clock, self._drain)
        yield self._server.closeAll()
