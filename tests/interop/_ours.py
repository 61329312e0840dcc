"""
Our side in a process of its own, so that what it caches, and what it finds at
home, is one test's alone.

    python tests/interop/_ours.py TASK

It is no part of the tests' package then, which would give it another cache.

The task is JSON: C{{"cases": [...]}} judges certificates and authenticates
servers, one after the other, and prints the L{Outcome}s as JSON;
C{{"serve": {...}}} prints on which port of 127.0.0.1 it listens, and serves the
sample's conversation until it is killed.
"""

from __future__ import annotations

import datetime
import json
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react
from twisted.logger import globalLogPublisher, textFileLogObserver

from txsslstream import (
    AuthenticationError,
    ChannelBindingKind,
    NotSupportedError,
    ReloadingCertificate,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamCertificateContext,
    X509Chain,
    X509ChainPolicy,
    X509ChainTrustMode,
    X509RevocationMode,
)
from txsslstream.chain import joinedFlags
from txsslstream.echo import ANSWER, END, SampleServer, converse, readMessage

#: Where everything listens and connects.
HOST = "127.0.0.1"

#: What a key is exported for, and its bytes.
EXPORTED = "EXPORTER-interop"
EXPORTED_SIZE = 40

_VERSIONS = {
    None: SslProtocols.None_,
    "1.2": SslProtocols.Tls12,
    "1.3": SslProtocols.Tls13,
}


@dataclass
class Outcome:
    """
    What became of one case.

    @ivar isAccepted: whether the certificate was.
    @ivar names: the common names of the chain.
    @ivar flags: the C{X509ChainStatusFlags} of its elements, as numbers.
    @ivar problems: what counts of that, in words.
    @ivar error: why the authentication failed.
    @ivar policyErrors: the C{SslPolicyErrors} of that, as a number.
    @ivar sent: the alert that was sent.
    @ivar received: the alert that was received.
    @ivar shown: the issuer of the certificate that was shown to the server.
    @ivar group: the group that keys were exchanged in.
    @ivar isResumed: whether an earlier session went on.
    @ivar isAnswered: whether the conversation was had.
    @ivar bindings: see L{bindingsOf}.
    @ivar seconds: how long it took.
    @ivar growth: by how many bytes the most memory ever used has grown.
    """

    isAccepted: bool = False
    names: list[str] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    error: str = ""
    policyErrors: int = 0
    sent: str = ""
    received: str = ""
    shown: str = ""
    group: str = ""
    isResumed: bool = False
    isAnswered: bool = False
    bindings: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    growth: int = 0

    def takeElements(self, elements: Any) -> None:
        """
        @param elements: those of a chain.
        """
        self.names = [
            str(each.certificate.subject.rfc4514_string().removeprefix("CN=")) for each in elements
        ]
        self.flags = [int(joinedFlags(each.chainElementStatus)) for each in elements]


def policyFor(case: Mapping[str, Any]) -> X509ChainPolicy:
    """
    @return: what a case says to judge by.
    """
    moment = None
    if "later" in case:
        now = datetime.datetime.now(datetime.timezone.utc)
        moment = now + datetime.timedelta(seconds=case["later"])
    return X509ChainPolicy(
        trustMode=X509ChainTrustMode.CustomRootTrust,
        customTrustStore=case["root"],
        revocationMode=X509RevocationMode[case.get("mode", "NoCheck")],
        revocationLists=[
            x509.load_der_x509_crl(Path(each).read_bytes()) for each in case.get("lists", ())
        ],
        urlRetrievalTimeout=case.get("timeout", 10),
        disableCertificateDownloads=not case.get("downloads", False),
        verificationTime=moment,
    )


async def judge(case: Mapping[str, Any], outcome: Outcome) -> None:
    """
    Build the chain of a certificate.
    """
    chain = X509Chain(policyFor(case))
    outcome.isAccepted = await chain.build(case["certificate"])
    outcome.takeElements(chain.chainElements)
    outcome.problems = list(chain.problems)


async def authenticate(reactor: Any, case: Mapping[str, Any], outcome: Outcome) -> None:
    """
    Have the conversation with a server; before it, give it a C{command} if there
    is one, which it answers with a line.
    """
    chosen = {"clientCertificates": case.get("certificates", ()), **case.get("options", {})}
    options = SslClientAuthenticationOptions(
        case.get("name", "localhost"),
        certificateChainPolicy=policyFor(case),
        enabledSslProtocols=_VERSIONS[case.get("version")],
        **chosen,
    )
    endpoint = TCP4ClientEndpoint(reactor, HOST, case["port"])
    protocol: Any = await endpoint.connect(Factory.forProtocol(Protocol))
    stream = SslStream(protocol.transport)
    stream.readTimeout = 10
    try:
        await stream.authenticateAsClient(options)
        outcome.isAccepted = True
        outcome.bindings = bindingsOf(stream)
        outcome.group = stream.keyExchangeGroup or ""
        outcome.isResumed = stream.isResumed
        if "command" in case:
            await stream.write(case["command"].encode())
            await stream.readUntil(b"\n")
        outcome.isAnswered = await converse(stream, case["message"], lambda _: None)
        # It may have been shown in the middle of that.
        local = stream.localCertificate
        outcome.shown = "" if local is None else local.issuer.rfc4514_string().removeprefix("CN=")
    except AuthenticationError as e:
        outcome.error = str(e)
        outcome.policyErrors = int(e.sslPolicyErrors)
        outcome.sent = e.alertSent.name if e.alertSent else ""
        outcome.received = e.alert.name if e.alert else ""
        outcome.problems = list(e.problems)
        outcome.takeElements(e.chainElements)
    await stream.close()


def bindingsOf(stream: SslStream) -> dict[str, str]:
    """
    @return: the channel bindings that there are by their names, and the key for
        L{EXPORTED} without context, in hexadecimal.
    """
    found = {EXPORTED: stream.exportKeyingMaterial(EXPORTED, EXPORTED_SIZE).hex()}
    for kind in ChannelBindingKind:
        with suppress(NotSupportedError):
            binding = stream.transportContext.getChannelBinding(kind)
            if binding is not None:
                found[binding.registeredName] = binding.hex()
    return found


class TellingServer(SampleServer):
    """
    The sample's server, which tells of channel bindings, and may ask clients for
    their certificate before it answers.
    """

    asksLater = False

    async def _answer(self, stream: SslStream) -> None:
        say(f"Bindings: {json.dumps(bindingsOf(stream))}")
        say(f"Resumed: {stream.isResumed}")
        if not self.asksLater:
            await super()._answer(stream)
            return
        await readMessage(stream)
        try:
            await stream.negotiateClientCertificateAsync()
        except NotSupportedError as e:
            say(f"Exception: {e}")
            return
        remote = stream.remoteCertificate
        say(f"Shown: {None if remote is None else remote.subject.rfc4514_string()}")
        await stream.write(f"{ANSWER}{END}".encode())


async def run(reactor: Any, case: Mapping[str, Any]) -> Outcome:
    """
    See one case through.
    """
    outcome = Outcome()
    before = _peak()
    started = time.monotonic()
    if "port" in case:
        await authenticate(reactor, case, outcome)
    else:
        await judge(case, outcome)
    outcome.seconds = time.monotonic() - started
    outcome.growth = _peak() - before
    return outcome


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def say(line: str) -> None:
    """
    Print a line at once.
    """
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(reactor: Any, case: Mapping[str, Any]) -> None:
    """
    Listen.  What C{reloads} has its log printed as well.
    """
    path, offline = case["certificate"], case.get("offline", True)
    certificate: Any
    if case.get("reloads", False):
        globalLogPublisher.addObserver(textFileLogObserver(sys.stdout))
        certificate = ReloadingCertificate.fromPEM(path, reactor=reactor, offline=offline)
    else:
        certificate = SslStreamCertificateContext.fromPEM(path, offline=offline)
    root = case.get("root")
    options = SslServerAuthenticationOptions(
        serverCertificateContext=certificate,
        clientCertificateRequired=root is not None and not case.get("asksLater", False),
        trust=root
        and SslCertificateTrust.fromPEM(root, sendTrustInHandshake=case.get("sendsTrust", False)),
        certificateChainPolicy=root and policyFor(case),
        enabledSslProtocols=_VERSIONS[case.get("version")],
        **case.get("options", {}),
    )
    server = TellingServer(options, say)
    server.asksLater = case.get("asksLater", False)
    port = reactor.listenTCP(0, server, interface=HOST)
    say(f"Listening on port {port.getHost().port}")


async def main(reactor: Any, task: str) -> None:
    """
    Do a task.
    """
    wanted = json.loads(task)
    if "serve" in wanted:
        serve(reactor, wanted["serve"])
        await Deferred()
    outcomes = [asdict(await run(reactor, case)) for case in wanted["cases"]]
    say(json.dumps(outcomes))


if __name__ == "__main__":
    react(lambda reactor, task: Deferred.fromCoroutine(main(reactor, task)), sys.argv[1:])
