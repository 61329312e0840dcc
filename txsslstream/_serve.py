# -*- test-case-name: tests.test_serve -*-
"""
C{sslstream serve} and C{twistd sslserve}: TLS in front of any endpoint.

The one side speaks TLS, the other does not.  In terminate mode clients come by
TLS and the target is plain; in originate mode it is the other way round.
"""

from __future__ import annotations

import ipaddress
import re
import signal
import sys
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.python import usage
from twisted.python.failure import Failure

from ._attended import StartError, attended
from ._forwarding import nameOf
from ._proxied import AcceptingFactory
from ._tap import (
    ACCEPT_PROXY,
    LISTENING,
    CertificateOptions,
    draining,
    handshakeLimit,
    parameter,
    positive,
    secondsOrNone,
)
from ._workers import MakeService, Workers, checkShareable
from .access import AccessRule
from .ciphersuites import TlsCipherSuite
from .endpoints import SslStreamClientEndpoint
from .enums import SslProtocols
from .errors import InvalidOperationError, NotSupportedError
from .forward import Forwarder
from .options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from .parameters import CipherSuitesPolicy
from .reload import ReloadingCertificate
from .suitability import RECOMMENDED_SUITES

_VERSIONS = {"1.2": SslProtocols.Tls12, "1.3": SslProtocols.Tls13}

#: The kinds of clients' descriptions that lead to this machine, or that
#: authenticate whom they lead to.
_SAFE_KINDS = frozenset({"unix", "tls", "sslstream"})

#: In seconds: so long whoever is connected already may be about to tell a header.
SETTLING = 0.1

_EXAMPLES = """
Examples:
  TLS in front of a web server, with a certificate that is renewed on disk:
    sslstream serve --listen tcp:443 --connect tcp:127.0.0.1:8080 \\
        --certificate fullchain.pem --private-key privkey.pem
  Only clients with a certificate of our authority, of one unit, may come:
    sslstream serve --listen tcp:8443 --connect unix:/run/app.sock \\
        --certificate server.pem --trust clients-ca.pem --allow-ou engineers
  TLS for a client that speaks none, with a certificate of its own:
    sslstream serve --originate --listen tcp:5432:interface=127.0.0.1 \\
        --connect tcp:db.example.com:5433 --trust ca.pem --certificate me.pem
  Handshakes on four cores, with tickets that are good for all:
    sslstream serve --processes 4 --listen tcp:443 \\
        --connect unix:/run/app.sock --certificate server.pem
"""


def _versions(text: str) -> SslProtocols:
    unknown = [name for name in text.split(",") if name not in _VERSIONS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is neither 1.2 nor 1.3")
    return reduce(or_, (_VERSIONS[name] for name in text.split(",")))


def _suites(text: str) -> CipherSuitesPolicy:
    names = text.split(",")
    unknown = [name for name in names if name not in TlsCipherSuite.__members__]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no cipher suite, such as TLS_AES_256_GCM_SHA384")
    return CipherSuitesPolicy(TlsCipherSuite[name] for name in names)


def _seconds(text: str) -> float:
    seconds = secondsOrNone(text)
    if not seconds:
        raise ValueError("it must be more than 0")
    return seconds


class Options(CertificateOptions):
    """
    The command line of C{sslstream serve} and C{twistd sslserve}.
    """

    synopsis = "[options] --listen ENDPOINT --connect ENDPOINT"

    longdesc = (
        "Puts TLS in front of a target that speaks none: whoever connects by TLS to "
        "--listen is forwarded to --connect. With --originate it is the other way "
        "round: who connects without is forwarded by TLS. --certificate and --trust "
        "are for the side with TLS: the own certificate, and whom to trust. The "
        "--allow options and --alpn may be repeated; a client needs one of the names "
        "that are allowed. Certificates are read again when they change, and at SIGHUP; "
        "SIGTERM lets connections end."
    )

    optParameters: ClassVar[list[Any]] = [
        ["listen", None, None, "Endpoint description of where to listen."],
        ["connect", None, None, "Endpoint description of the target."],
        ["servername", None, None, "Name of the target, if not the host in --connect."],
        parameter("tls", None, None, "Versions of TLS, such as 1.3. [default: 1.2,1.3]", _versions),
        parameter("ciphers", None, None, "The only cipher suites, best first: NAME,NAME.", _suites),
        parameter("handshake-timeout", None, 30.0, "Seconds for a TLS handshake.", _seconds),
        parameter("connect-timeout", None, 10.0, "Seconds to connect to the target.", _seconds),
        parameter(
            "idle-timeout", None, 43200.0, "Seconds without data; 0 for ever.", secondsOrNone
        ),
        parameter("max-connections", None, 500, "Most clients at once, of each process.", positive),
        *LISTENING,
        draining(30.0),
    ]

    optFlags: ClassVar[list[Any]] = [
        ["originate", None, "Speak TLS to the target instead of to clients."],
        ["require-client-certificate", None, "Refuse clients without a trusted certificate."],
        ["proxy-protocol", None, "Tell the target the client's address (PROXY, version 1)."],
        ["proxy-protocol-v2", None, "The same by version 2, with what is known by TLS."],
        ACCEPT_PROXY,
        ["unsafe-plaintext", None, "Let the side without TLS be another machine."],
        ["quiet", None, "Log nothing of connections that end well."],
    ]

    compData = usage.Completions(
        optActions={
            "tls": usage.CompleteMultiList(list(_VERSIONS)),
            "ciphers": usage.CompleteMultiList([suite.name for suite in TlsCipherSuite]),
            "servername": usage.CompleteHostnames(),
        },
        multiUse=["allow-cn", "allow-ou", "allow-dns", "allow-uri", "alpn"],
    )

    def __init__(self) -> None:
        super().__init__()
        for name in ("allow-cn", "allow-ou", "allow-dns", "allow-uri", "alpn"):
            self[name] = []

    def opt_allow_cn(self, name: str) -> None:
        """
        Let in clients with this common name.
        """
        self["allow-cn"].append(name)

    def opt_allow_ou(self, name: str) -> None:
        """
        Let in clients of this organizational unit.
        """
        self["allow-ou"].append(name)

    def opt_allow_dns(self, name: str) -> None:
        """
        Let in clients with this DNS name.
        """
        self["allow-dns"].append(name)

    def opt_allow_uri(self, name: str) -> None:
        """
        Let in clients with this URI, such as a SPIFFE ID.
        """
        self["allow-uri"].append(name)

    def opt_alpn(self, name: str) -> None:
        """
        Offer this application protocol (ALPN), such as h2.
        """
        self["alpn"].append(name)

    def getUsage(self, width: int | None = None) -> str:
        """
        @return: the help, with examples.
        """
        return super().getUsage(width) + _EXAMPLES

    def rule(self) -> AccessRule:
        """
        @return: whom to let in by name.
        @raise ValueError: a name cannot be anybody's.
        """
        kinds = (self[f"allow-{kind}"] for kind in ("cn", "ou", "dns", "uri"))
        return AccessRule(*kinds)

    def common(self) -> dict[str, Any]:
        """
        @return: the options of TLS that both modes have.
        """
        return {
            "trust": self.trusted(),
            "applicationProtocols": self["alpn"],
            "enabledSslProtocols": self["tls"] or SslProtocols.None_,
            "cipherSuitesPolicy": self["ciphers"],
            "handshakeTimeout": self["handshake-timeout"],
        }


def _hostIn(description: str) -> str:
    """
    @return: the host in a client's description of the kind C{tcp}, or nothing.
    """
    kind, *parts = (re.sub(r"\\(.)", r"\1", each) for each in re.split(r"(?<!\\):", description))
    if kind.lower() != "tcp":
        return ""
    named = [each.removeprefix("host=") for each in parts if each.startswith("host=")]
    return (named or [each for each in parts if "=" not in each] or [""])[0]


def _isLoopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _staysHere(description: str) -> bool:
    """
    @return: whether nobody but this machine gets in clear what is sent to a
        target.
    """
    kind = description.partition(":")[0].lower()
    return kind in _SAFE_KINDS or _isLoopback(_hostIn(description))


def _proxyVersion(options: Options) -> int:
    return 2 if options["proxy-protocol-v2"] else int(options["proxy-protocol"])


def _complaint(options: Options) -> str | None:
    """
    @return: what is wrong with options as a whole.
    """
    rule = any(options[f"allow-{kind}"] for kind in ("cn", "ou", "dns", "uri"))
    asks = bool(options["require-client-certificate"]) or rule
    proxyVersion = _proxyVersion(options)
    missing = [name for name in ("listen", "connect") if not options[name]]
    if missing:
        return f"--{missing[0]} is needed"
    if options["proxy-protocol"] and options["proxy-protocol-v2"]:
        return "--proxy-protocol: give it in one version"
    if options["originate"]:
        if asks:
            return "--originate: clients without TLS have no certificates to require or allow"
        if proxyVersion:
            return "--originate: --proxy-protocol would be inside of TLS"
        if options["accept-proxy"]:
            return "--originate: --accept-proxy is for clients with TLS"
        if handshakeLimit(options) is not None:
            return "--originate: clients without TLS have no handshakes to limit"
        return None
    if options["servername"]:
        return "--servername needs --originate"
    if not options["certificate"] and not options["pfx"]:
        return "a certificate is needed: --certificate or --pfx, or --originate"
    if asks and not options["trust"]:
        return "clients' certificates need --trust: every authority of the system would do"
    if options["trust"] and not asks:
        return "--trust is for clients' certificates: --require-client-certificate or --allow-..."
    return None


def serviceFor(reactor: Any, options: Options, program: str) -> Service:
    """
    @param program: what the user has called.
    @return: a L{ForwardService}, or what runs several.
    @raise StartError: a file cannot be used, a description is none, or options
        contradict each other.
    """
    complaint = _complaint(options)
    if complaint is not None:
        raise StartError(f"{program}: {complaint}")

    def parsed(parse: Callable[[Any, str], Any], reactor: Any, name: str) -> Any:
        try:
            return parse(reactor, options[name])
        except (ValueError, TypeError, LookupError) as e:
            raise StartError(f"{program}: --{name} {options[name]}: {e}") from None

    def listening(reactor: Any) -> Any:
        return parsed(serverFromString, reactor, "listen")

    def target(reactor: Any) -> Any:
        return parsed(clientFromString, reactor, "connect")

    endpoint = listening(reactor)
    target(reactor)
    mayLeave = options["originate"] or options["unsafe-plaintext"]
    if not mayLeave and not _staysHere(options["connect"]):
        raise StartError(
            f"{program}: --connect {options['connect']}: what TLS protects would leave this "
            "machine without: use TLS there as well, or say --unsafe-plaintext"
        )
    try:
        make = _maker(options, program, target)
        if options["processes"] == 1:
            return attended(make(reactor, endpoint, True), reactor, options, program)
        checkShareable(options["listen"])
    except (ValueError, InvalidOperationError, NotSupportedError) as e:
        raise StartError(f"{program}: {e}") from None
    grace = options["grace"]
    workers = Workers(
        reactor, options["processes"], listening, make, grace + options["drain"], grace
    )
    return attended(workers, reactor, options, program)


def _maker(options: Options, program: str, target: Callable[[Any], Any]) -> MakeService:
    """
    Do once what several processes share: read files, and make options.

    @param target: makes the endpoint of the target, for a reactor.
    @return: what makes the service of each.
    """
    certificate = options.reloadingCertificate()
    client = _client(options, certificate) if options["originate"] else None
    server = None if options["originate"] else _server(options, certificate)

    def make(reactor: Any, endpoint: IStreamServerEndpoint, announces: bool) -> ForwardService:
        connecting = target(reactor)
        if client is not None:
            connecting = SslStreamClientEndpoint(connecting, client, reactor)
        forwarder = Forwarder(
            connecting,
            reactor,
            connectTimeout=options["connect-timeout"],
            idleTimeout=options["idle-timeout"] or None,
            mostConnections=options["max-connections"],
            proxyVersion=_proxyVersion(options),
            isQuiet=bool(options["quiet"]),
        )
        listener: Factory[Any] = forwarder if server is None else forwarder.secured(server)
        limit = handshakeLimit(options)
        listener = listener if limit is None else limit.guard(listener)
        if options["accept-proxy"]:
            listener = AcceptingFactory(listener, reactor)
        return ForwardService(
            reactor, options, program, endpoint, forwarder, listener, certificate, announces
        )

    return make


def _client(
    options: Options, certificate: ReloadingCertificate | None
) -> SslClientAuthenticationOptions:
    name = options["servername"] or _hostIn(options["connect"])
    if not name:
        raise ValueError("--originate needs --servername: there is no host in --connect")
    return SslClientAuthenticationOptions(
        name, clientCertificateContext=certificate, **options.common()
    )


def _server(
    options: Options, certificate: ReloadingCertificate | None
) -> SslServerAuthenticationOptions:
    rule = options.rule()
    common = options.common()
    common["cipherSuitesPolicy"] = common["cipherSuitesPolicy"] or RECOMMENDED_SUITES
    return SslServerAuthenticationOptions(
        serverCertificateContext=certificate,
        clientCertificateRequired=bool(options["require-client-certificate"]) or bool(rule),
        remoteCertificateValidationCallback=rule or None,
        **common,
    )


def makeService(options: Options) -> Service:
    """
    See C{IServiceMaker}.

    @raise StartError: see L{serviceFor}.
    """
    from twisted.internet import reactor

    return serviceFor(reactor, options, "twistd sslserve")


class ForwardService(Service):
    """
    Listens and forwards, and lets connections end when it is stopped.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        options: Options,
        program: str,
        endpoint: IStreamServerEndpoint,
        forwarder: Forwarder,
        listener: Factory[Any],
        certificate: ReloadingCertificate | None,
        announces: bool = True,
    ) -> None:
        """
        @param program: what the user has called.
        @param listener: what listens, for the forwarder.
        @param certificate: what to watch.
        @param announces: whether to say where it listens.
        """
        self.forwarder = forwarder
        self._reactor = reactor
        self._options = options
        self._program = program
        self._endpoint = endpoint
        self._listener = listener
        self._certificate = certificate
        self._announces = announces
        self._port: IListeningPort | None = None
        self._restoreSignal: Callable[[], object] | None = None

    def privilegedStartService(self) -> None:
        """
        Listen.

        @raise StartError: the address cannot be had, or must not.
        """
        listening = self._endpoint.listen(self._listener).addCallback(self._listening)
        if not listening.called:
            listening.addErrback(
                lambda failure: self._log.error("{why}", why=self._refusal(failure))
            )
            return
        failures: list[Failure] = []
        listening.addErrback(failures.append)
        if failures:
            raise StartError(self._refusal(failures[0]))

    def _refusal(self, failure: Failure) -> str:
        description = self._options["listen"]
        return f"{self._program}: cannot listen on {description}: {failure.getErrorMessage()}"

    def _listening(self, port: IListeningPort) -> Any:
        host = port.getHost()
        if self._options["originate"] and not self._options["unsafe-plaintext"]:
            isHere = isinstance(host, UNIXAddress) or _isLoopback(getattr(host, "host", ""))
            if not isHere:
                port.stopListening()
                raise ValueError(
                    "what TLS protects would come to this machine without, and whoever can "
                    "would come in our name: choose an interface such as 127.0.0.1, or say "
                    "--unsafe-plaintext"
                )
        self._port = port
        if not self._announces:
            return
        self._log.info(
            "Listening on {host}, forwarding to {target}",
            host=nameOf(host),
            target=self._options["connect"],
        )

    def startService(self) -> None:
        """
        Watch the certificate, and read it again at C{SIGHUP} as well.
        """
        super().startService()
        if self._certificate is not None:
            self._certificate.watch(self._reactor)
        before = signal.signal(signal.SIGHUP, self._hungUp)
        self._restoreSignal = lambda: signal.signal(signal.SIGHUP, before)

    def _hungUp(self, *signalAndFrame: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        certificate = self._certificate
        if certificate is not None and not certificate.reload() and certificate.problem is None:
            self._log.info("SIGHUP: the certificate is the same")

    def unable(self) -> Deferred[str]:
        """
        @return: see L{Attended<txsslstream._attended.Attended>}.
        """
        return self.forwarder.unable()

    @inlineCallbacks
    def stopService(self) -> Any:
        """
        Have clients sent elsewhere, stop listening, and let connections end in
        peace, each for the time that is given.
        """
        super().stopService()
        if self._options["grace"]:
            yield deferLater(self._reactor, self._options["grace"])
        if self._port is not None:
            yield self._port.stopListening()
        if isinstance(self._listener, AcceptingFactory):
            # Headers that have been sent are to be read: those clients are there, too.
            yield deferLater(self._reactor, SETTLING)
        yield self.forwarder.drain(self._options["drain"])
        if self._certificate is not None:
            self._certificate.stopWatching()
        restore, self._restoreSignal = self._restoreSignal, None
        if restore is not None:
            restore()
        forwarder = self.forwarder
        self._log.info(
            "{accepted} clients were let in ({failed} did not end well), {refused} refused, "
            "{turnedAway} too many",
            accepted=forwarder.accepted,
            failed=forwarder.failed,
            refused=forwarder.refused,
            turnedAway=forwarder.turnedAway,
        )


async def runServe(reactor: Any, options: Options) -> int:
    """
    Run C{sslstream serve} until a signal ends it.

    @raise SystemExit: it cannot start.
    """
    try:
        service = serviceFor(reactor, options, "sslstream serve")
        observer = textFileLogObserver(sys.stderr)
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
        service.privilegedStartService()
    except StartError as e:
        # For react this would be an Exception, with a traceback.
        raise SystemExit(str(e)) from None
    service.startService()
    # Who interrupts once more has no patience.
    interrupt = (signal.SIGINT, signal.SIG_DFL)
    reactor.addSystemEventTrigger("before", "shutdown", signal.signal, *interrupt)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    await Deferred()
    return 0
