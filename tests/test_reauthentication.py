"""
Tests for L{txsslstream.reauthentication} and L{txsslstream.asking}: a server asks
for a client's certificate in mid-conversation.

What the peer may begin by itself is in L{tests.test_renegotiation}.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from OpenSSL._util import lib
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherSuitesPolicy,
    HandshakeCancelled,
    HandshakeFailureReason,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    NotSupportedError,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    StreamClosedError,
    TlsAlert,
    TlsCipherSuite,
    TlsError,
    TruncationError,
    X509ChainStatusFlags,
    asking,
)
from txsslstream._openssl import TlsEngine
from txsslstream._waiting import _parked
from txsslstream.reauthentication import Reauthentication
from txsslstream.records import ALERT, APPLICATION_DATA, HANDSHAKE
from txsslstream.sessions import sessions
from txsslstream.testing import (
    DAY,
    NOW,
    Application,
    Authority,
    HalfCloseableApplication,
    Link,
    StreamPair,
    perVersion,
    rsaKey,
)
from txsslstream.testing.damage import ofUnknownVersion

from .applications import ProtocolMixin
from .garbage import withoutCollector
from .streams import Opened, StreamMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from .test_endpoints import EndpointMixin
from .test_protocol import Direction, RawCreator, RawMixin
from .test_stream import ending

Tls12, Tls13 = SslProtocols.Tls12, SslProtocols.Tls13

NOBODY = SslPolicyErrors.RemoteCertificateNotAvailable
CHAIN = SslPolicyErrors.RemoteCertificateChainErrors
NO_ERRORS = SslPolicyErrors.None_

#: What OpenSSL tells a client that shows no certificate.
NO_CERTIFICATE = {Tls12: TlsAlert.handshake_failure, Tls13: TlsAlert.certificate_required}

LOWER = Authority("Lower Authority", Authority("Upper Authority", AUTHORITY))
INDIRECT = LOWER.issue("client@example.com")
STRANGER = Authority("Stranger").issue("stranger@example.com")

#: Everything that reads or writes.
OPERATIONS: dict[str, Callable[[SslStream], Deferred[Any]]] = {
    "read": lambda stream: stream.read(),
    "readExactly": lambda stream: stream.readExactly(1),
    "readUntil": lambda stream: stream.readUntil(b"\n"),
    "write": lambda stream: stream.write(b"x"),
    "flush": lambda stream: stream.flush(),
    "shutdown": lambda stream: stream.shutdown(),
}


def _answerTo(arguments: tuple[object, ...], answer: object) -> object:
    """
    @param answer: what somebody answers, or a function that does.
    """
    return answer(*arguments) if callable(answer) else answer


def whenAsked(*answers: object) -> dict[str, Any]:
    """
    @param answers: what to answer when the server wants a certificate, one after
        the other, or functions of the callback's arguments; the last one stays.
    @return: a client's options for that.
    """
    left = list(answers)

    def choose(*arguments: Any) -> object:
        _, _, _, remote, _ = arguments
        if remote is None:
            return None
        return _answerTo(arguments, left.pop(0) if left[1:] else left[0])

    return {"localCertificateSelectionCallback": choose, "clientCertificates": ()}


#: What a client needs to be asked before TLS 1.3.
ALLOWED: dict[str, Any] = {"allowRenegotiation": True}

#: A client that has nothing to show, but may be asked.
DECLINING = whenAsked(None)


class Judge:
    """
    A validation callback, which accepts everybody who was asked for nothing.

    @ivar calls: what it was asked about clients that had been asked.
    """

    def __init__(self, *answers: object) -> None:
        """
        @param answers: what to answer about clients that had been asked, as for
            L{whenAsked}.
        """
        self._answers = list(answers)
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> Any:
        _, certificate, _, errors = arguments
        if certificate is None and not errors:
            return True
        self.calls.append(arguments)
        answers = self._answers
        return _answerTo(arguments, answers.pop(0) if answers[1:] else answers[0])

    @property
    def option(self) -> dict[str, Any]:
        """
        It, as an option.
        """
        return {"remoteCertificateValidationCallback": self}


def raiseError(*_: object) -> None:
    """
    Somebody's mistake.
    """
    raise ZeroDivisionError("a mistake")


def say(stream: SslStream, data: bytes) -> None:
    """
    Write as a protocol does, without waiting for anything.
    """
    protocol: Any = stream._protocol
    protocol.write(data)
    protocol.flush()


class AskingMixin(StreamMixin):
    """
    A server's stream that asks its client.
    """

    def begun(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> Opened:
        """
        An authenticated pair, seen from the server; the client has a certificate
        and lets itself be asked, unless told otherwise.
        """
        theirs = {**ALLOWED, "clientCertificates": [CLIENT], **(client or {})}
        return self.opened(True, ours=server, theirs=theirs)

    def asked(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> tuple[Opened, Deferred[None]]:
        """
        The same, when the client was asked and everything has arrived.
        """
        opened = self.begun(client, server)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        return opened, asked

    def assertShown(self, opened: Opened, shown: SslStreamCertificateContext | None) -> None:
        """
        Both sides say that the client has shown this, or nothing.
        """
        certificate = None if shown is None else shown.certificate
        server, client = opened.ours, opened.theirs
        self.assertEqual(server.remoteCertificate, certificate)
        self.assertEqual(client.localCertificate, certificate)
        self.assertEqual(client.remoteCertificate, SERVER.certificate)
        self.assertEqual(server.localCertificate, SERVER.certificate)
        for stream in (server, client):
            isMutual = shown is not None
            self.assertIs(stream.isMutuallyAuthenticated, isMutual)
            self.assertIs(stream.security.asdict()["isMutuallyAuthenticated"], isMutual)

    def assertQuiet(self, opened: Opened) -> None:
        """
        Nobody waits for anything, and nobody has complained.
        """
        self.assertEqual(_parked, set())
        self.assertEqual(opened.pair.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def assertRefused(
        self,
        opened: Opened,
        asked: Deferred[None],
        alert: TlsAlert,
        errors: SslPolicyErrors = NO_ERRORS,
        status: X509ChainStatusFlags = X509ChainStatusFlags.NoError,
    ) -> AuthenticationError:
        """
        The server has refused the client; both know why, whenever they ask.
        """
        error = self.failure(asked, AuthenticationError)
        self.assertEqual((error.sslPolicyErrors, error.chainStatus), (errors, status))
        self.assertEqual((error.alert, error.alertSent), (None, alert))
        for name, operation in OPERATIONS.items():
            self.assertIs(self.failureResultOf(operation(opened.ours)).value, error, name)
        again = opened.ours.negotiateClientCertificateAsync()
        self.assertIs(self.failureResultOf(again).value, error)
        verdict = self.failure(opened.theirs.read(), AuthenticationError)
        self.assertEqual((verdict.alert, verdict.alertSent), (alert, None))
        self.assertFalse(opened.ourTransport.connected)
        self.assertFalse(opened.theirTransport.connected)
        self.assertQuiet(opened)
        return error

    def assertGone(self, opened: Opened) -> None:
        """
        The connection has ended, and left nothing behind.
        """
        opened.flush()
        for end in (opened.ourOriginal, opened.theirOriginal):
            self.assertIsNotNone(end.lost)
        self.assertQuiet(opened)


@perVersion()
class Asking(AskingMixin):
    """
    A client that answers.
    """

    def test_certificate(self) -> None:
        """
        The certificate is known on both sides, and the connection goes on, with
        nobody waiting and nothing logged.
        """
        opened, asked = self.asked()
        self.assertIsNone(self.successResultOf(asked))
        self.assertShown(opened, CLIENT)
        chain = opened.ours.remoteChain
        assert chain is not None
        self.assertEqual(
            [each.certificate for each in chain.chainElements],
            [CLIENT.certificate, AUTHORITY.certificate],
        )
        facts = opened.ours.security.asdict()
        self.assertEqual(facts["remoteCertificate"]["subject"], "CN=client@example.com")
        self.assertUsable(opened)
        self.assertQuiet(opened)

    def test_dataAroundALateAnswer(self) -> None:
        """
        What the client has said before it answers too late is delivered as it was
        said, and what it says behind, too, be it all at once.
        """
        opened = self.begun()
        asked = opened.ours.negotiateClientCertificateAsync()
        say(opened.theirs, b"something else")
        opened.pair.wire.deliver(opened.theirTransport, opened.ourTransport)
        while self.segment and opened.pair.wire.deliver(opened.theirTransport, opened.ourTransport):
            pass
        self.failure(asked, InvalidOperationError)
        before, behind = bytes(range(256)) * 100, bytes(range(255, -1, -1)) * 100
        say(opened.theirs, before)
        opened.theirTransport.hold()
        opened.flush()
        say(opened.theirs, behind)
        opened.theirTransport.release()
        opened.flush()
        if self.version is Tls13:
            said = b"something else" + before + behind
            self.assertEqual(self.successResultOf(opened.ours.readExactly(len(said))), said)
            self.assertUsable(opened)

    def test_writesAsAsked(self) -> None:
        """
        What the client says to what came with the request goes with its answer (TLS
        1.3).
        """
        if self.version is Tls12 or self.segment:
            # There it is said before the answer, which is an error.
            return

        def answer(client: SslStream, said: bytes) -> None:
            client.read().addCallback(lambda _: client.write(said))

        for size in (5, 100_000):
            opened = self.begun()
            answer(opened.theirs, b"x" * size)
            opened.ourTransport.hold()
            say(opened.ours, b"question")
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.ourTransport.release()
            opened.flush()
            self.assertIsNone(self.successResultOf(asked))
            self.assertEqual(self.successResultOf(opened.ours.readExactly(size)), b"x" * size)
            self.assertShown(opened, CLIENT)
            self.assertUsable(opened)

    def test_nothingIsSaid(self) -> None:
        """
        While somebody decides about the client, with a certificate or without,
        nothing is sent: no tickets either, and not because something comes.
        """
        for client in ({}, DECLINING):
            sent: list[int] = []
            answer: Deferred[bool] = Deferred()

            def decide(stream: Any, *_: object, answer: Any = answer, sent: Any = sent) -> Any:
                sent.append(len(stream._inner.inner.everWritten))
                return answer

            opened = self.begun(client, Judge(decide).option)
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.flush()
            self.assertNoResult(asked)
            more = b"more" if self.version is Tls13 else b""
            if more:
                say(opened.theirs, more)
                opened.flush()
            self.assertEqual(sent, [len(opened.ourTransport.everWritten)])
            answer.callback(True)
            self.assertIsNone(self.successResultOf(asked))
            opened.flush()
            self.assertEqual(self.successResultOf(opened.ours.readExactly(len(more))), more)
            self.assertUsable(opened)

    def test_notBefore(self) -> None:
        """
        Until the answer is judged nobody is known.
        """
        opened = self.begun()
        self.assertShown(opened, None)
        asked = opened.ours.negotiateClientCertificateAsync()
        self.assertIsNone(opened.ours.remoteCertificate)
        self.assertFalse(opened.ours.isMutuallyAuthenticated)
        self.assertNoResult(asked)

    def test_context(self) -> None:
        """
        A client's C{clientCertificateContext} is shown to whoever asks.
        """
        opened, asked = self.asked({"clientCertificates": (), "clientCertificateContext": CLIENT})
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)

    def test_callback(self) -> None:
        """
        The validation callback gets the stream, the certificate, the chain with
        the intermediates that the client sent, and what is wrong; once.
        """
        judge = Judge(True)
        opened, asked = self.asked({"clientCertificates": [INDIRECT]}, judge.option)
        self.successResultOf(asked)
        ((stream, certificate, chain, errors),) = judge.calls
        self.assertIs(stream, opened.ours)
        self.assertEqual(certificate, INDIRECT.certificate)
        self.assertEqual(
            [each.certificate for each in chain.chainElements],
            [INDIRECT.certificate, *INDIRECT.intermediates, AUTHORITY.certificate],
        )
        self.assertEqual(errors, NO_ERRORS)
        self.assertIs(opened.ours.remoteChain, chain)
        self.assertShown(opened, INDIRECT)
        self.assertUsable(opened)

    def test_optionsSelected(self) -> None:
        """
        A server whose options were chosen by the hello asks as they say.
        """
        judge = Judge(True)
        pair = StreamPair(self.segment)
        options = serverOptions(self.version, **judge.option)
        server = pair.server.authenticateAsServer(lambda *_: options)
        client = pair.client.authenticateAsClient(
            clientOptions(self.version, **ALLOWED, clientCertificates=[CLIENT])
        )
        pair.wire.flush()
        self.successResultOf(client)
        self.successResultOf(server)
        asked = pair.server.negotiateClientCertificateAsync()
        pair.wire.flush()
        self.successResultOf(asked)
        self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate)
        self.assertEqual([each[0] for each in judge.calls], [pair.server])

    def test_inATunnel(self) -> None:
        """
        A stream on another stream asks, too; the outer one, which is lent, does
        not.
        """
        outer = self.begun()
        inner = [SslStream(stream, clock=outer.pair.clock) for stream in (outer.ours, outer.theirs)]
        authenticated = [
            inner[0].authenticateAsServer(serverOptions(self.version)),
            inner[1].authenticateAsClient(
                clientOptions(self.version, **ALLOWED, clientCertificates=[INDIRECT])
            ),
        ]
        outer.flush()
        for each in authenticated:
            self.successResultOf(each)
        self.failure(outer.ours.negotiateClientCertificateAsync(), InvalidOperationError)
        asked = inner[0].negotiateClientCertificateAsync()
        outer.flush()
        self.successResultOf(asked)
        self.assertEqual(inner[0].remoteCertificate, INDIRECT.certificate)
        self.assertShown(outer, None)

    def test_callbackAcceptsFaults(self) -> None:
        """
        The callback's word is final, whatever is wrong.
        """
        judge = Judge(True)
        opened, asked = self.asked({"clientCertificates": [STRANGER]}, judge.option)
        self.successResultOf(asked)
        ((_, _, chain, errors),) = judge.calls
        self.assertEqual(errors, CHAIN)
        self.assertEqual(chain.flags, X509ChainStatusFlags.PartialChain)
        self.assertShown(opened, STRANGER)
        self.assertUsable(opened)

    def test_declined(self) -> None:
        """
        A client that has nothing to show may be accepted by the callback, which
        hears of that once; nobody is known then, and the connection goes on.
        """
        judge = Judge(True)
        opened, asked = self.asked(DECLINING, judge.option)
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(judge.calls, [(opened.ours, None, None, NOBODY)])
        self.assertShown(opened, None)
        self.assertUsable(opened)
        self.assertQuiet(opened)

    def test_askedAtFirst(self) -> None:
        """
        A client that had nothing to show in the handshake may be asked again:
        it may have something then, or be refused for having nothing.
        """
        for answer, isAccepted in ((CLIENT, True), (None, True), (None, False)):
            judge = Judge(True, isAccepted)
            opened = self.begun(
                whenAsked(None, answer), {"clientCertificateRequired": True, **judge.option}
            )
            self.assertEqual([each[1:] for each in judge.calls], [(None, None, NOBODY)])
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.flush()
            self.assertEqual(len(judge.calls), 2)
            if isAccepted:
                self.successResultOf(asked)
                self.assertShown(opened, answer)
                self.assertUsable(opened)
            else:
                self.assertRefused(opened, asked, NO_CERTIFICATE[self.version], NOBODY)

    def test_selection(self) -> None:
        """
        The client's callback hears whom it talks to, and which authorities the
        server names.
        """
        calls: list[Any] = []

        def select(*arguments: Any) -> object:
            calls.append(arguments)
            return CLIENT

        named = SslCertificateTrust.fromCertificates(
            [AUTHORITY.certificate, LOWER.certificate], sendTrustInHandshake=True
        )
        opened, asked = self.asked(
            {**whenAsked(select), "clientCertificates": [INDIRECT]}, {"trust": named}
        )
        self.successResultOf(asked)
        self.assertEqual(
            calls,
            [
                (
                    opened.theirs,
                    "localhost",
                    (INDIRECT,),
                    SERVER.certificate,
                    ("CN=Test Authority", "CN=Lower Authority"),
                )
            ],
        )
        self.assertShown(opened, CLIENT)

    def test_bestCandidate(self) -> None:
        """
        Without a callback a client chooses by the authorities that the server
        names, as in a handshake.
        """
        named = SslCertificateTrust.fromCertificates(
            [AUTHORITY.certificate], sendTrustInHandshake=True
        )
        rsa = AUTHORITY.issue("rsa@example.com", key=rsaKey())
        opened, asked = self.asked({"clientCertificates": [STRANGER, rsa]}, {"trust": named})
        self.successResultOf(asked)
        self.assertShown(opened, rsa)
        self.assertUsable(opened)

    def test_serverSpeaksMeanwhile(self) -> None:
        """
        What the server has written before it asks arrives before, and what it
        writes behind arrives, too: the client answers as it reads.
        """
        opened = self.begun()
        self.successResultOf(opened.ours.write(b"before,"))
        asked = opened.ours.negotiateClientCertificateAsync()
        say(opened.ours, b"meanwhile,")
        opened.flush()
        self.successResultOf(asked)
        self.successResultOf(opened.ours.write(b"after"))
        opened.flush()
        self.assertEqual(self.successResultOf(opened.theirs.read()), b"before,meanwhile,after")

    def test_clientSpeaksBehind(self) -> None:
        """
        What the client says behind its answer is read when that is judged.
        """
        opened = self.begun()
        seen: list[object] = []
        asked = opened.ours.negotiateClientCertificateAsync()
        asked.addCallback(lambda _: seen.append(opened.ours._reader.isFilled))
        # The client answers as it reads.
        while not opened.theirTransport.written:
            opened.pair.wire.step()
        written = opened.theirs.write(b"behind")
        opened.flush()
        self.successResultOf(written)
        self.successResultOf(asked)
        self.assertEqual(seen, [False])
        self.assertEqual(self.successResultOf(opened.ours.read()), b"behind")

    def test_inOneBreath(self) -> None:
        """
        So it is if all of it comes together with the answer.
        """
        for client in ({}, DECLINING):
            decision: Deferred[bool] = Deferred()
            opened = self.begun(client, Judge(decision).option)
            asked = opened.ours.negotiateClientCertificateAsync()
            while not opened.theirTransport.written:
                opened.pair.wire.step()
            opened.ourTransport.pauseProducing()
            for number in range(5):
                say(opened.theirs, b"%d," % number)
            opened.flush()
            opened.ourTransport.resumeProducing()
            opened.flush()
            self.assertNoResult(asked)
            self.assertFalse(opened.ours._reader.isFilled)
            decision.callback(True)
            opened.flush()
            self.successResultOf(asked)
            self.assertEqual(self.successResultOf(opened.ours.readExactly(10)), b"0,1,2,3,4,")
            self.assertUsable(opened)

    def test_fromTheCallbackOfTheAnswer(self) -> None:
        """
        Whoever hears of the answer may read and write at once.
        """
        opened = self.begun()
        results: list[bytes] = []

        def goOn(_: None) -> Deferred[Any]:
            self.assertShown(opened, CLIENT)
            return opened.ours.write(b"welcome").addCallback(lambda _: opened.ours.read())

        asked = opened.ours.negotiateClientCertificateAsync().addCallback(goOn)
        asked.addCallback(results.append)
        opened.flush()
        self.assertEqual(self.successResultOf(opened.theirs.read()), b"welcome")
        self.successResultOf(opened.theirs.write(b"thanks"))
        opened.flush()
        self.assertEqual(results, [b"thanks"])

    def test_callbackMayLook(self) -> None:
        """
        In the callback the properties say what is known of the connection, and
        nobody is known yet.
        """
        seen: list[object] = []

        def look(stream: SslStream, *_: object) -> bool:
            seen.append((stream.sslProtocol, stream.remoteCertificate))
            seen.append((stream.isMutuallyAuthenticated, stream.isAuthenticated))
            return True

        judge = Judge(look)
        opened = self.begun(server=judge.option)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)
        self.assertEqual(seen, [(self.version, None), (False, True)])

    def test_closedAfterwards(self) -> None:
        """
        What is known stays readable when the connection is closed.
        """
        opened, asked = self.asked()
        self.successResultOf(asked)
        closed = opened.ours.close()
        opened.flush()
        opened.theirs.close()
        opened.flush()
        self.successResultOf(closed)
        self.assertShown(opened, CLIENT)
        self.assertGone(opened)


@perVersion()
class Rules(AskingMixin):
    """
    When a client may be asked, and what is not possible meanwhile.
    """

    def invalid(self, opened: Opened, words: str) -> None:
        """
        Asking is not possible now, and does no harm.
        """
        sent = len(opened.ourTransport.everWritten)
        error = self.failure(opened.ours.negotiateClientCertificateAsync(), InvalidOperationError)
        self.assertIn(words, str(error))
        self.assertEqual(len(opened.ourTransport.everWritten), sent)

    def test_unauthenticated(self) -> None:
        """
        The stream must be authenticated.
        """
        pair = StreamPair(self.segment)
        for begin in (lambda: None, lambda: pair.server.authenticateAsServer(SERVER)):
            begin()
            asked = pair.server.negotiateClientCertificateAsync()
            self.assertIn("authenticated first", str(self.failure(asked, InvalidOperationError)))

    def test_client(self) -> None:
        """
        A client asks for nothing.
        """
        opened = self.begun().reversed()
        self.invalid(opened, "only a server asks for certificates")
        self.assertUsable(opened)

    def test_known(self) -> None:
        """
        A client that has shown its certificate in the handshake is not asked
        again.
        """
        opened = self.begun(server={"clientCertificateRequired": True})
        self.invalid(opened, "the client has shown its certificate")
        self.assertUsable(opened)

    def test_twice(self) -> None:
        """
        A client is asked once, be it that it has shown something, that it has
        not, or that it has not answered yet.
        """
        for client, server in (({}, {}), (DECLINING, Judge(True).option)):
            opened = self.begun(client, server)
            asked = opened.ours.negotiateClientCertificateAsync()
            self.invalid(opened, "the client is being asked")
            opened.flush()
            self.successResultOf(asked)
            self.invalid(opened, "the client has been asked before")
            self.assertUsable(opened)

    def test_unread(self) -> None:
        """
        What the client has sent must be read first.
        """
        opened = self.begun()
        self.successResultOf(opened.theirs.write(b"request"))
        opened.flush()
        self.invalid(opened, "read first what the client has sent")
        self.assertEqual(self.successResultOf(opened.ours.read(3)), b"req")
        self.invalid(opened, "read first what the client has sent")
        self.assertEqual(self.successResultOf(opened.ours.read()), b"uest")
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)

    def test_halfARecord(self) -> None:
        """
        So must be a record that has come in part; when the rest comes, the client
        has said something else first.
        """
        for size in (1, 5, 6, 20):
            opened = self.begun()
            self.successResultOf(opened.theirs.write(b"request"))
            record = bytes(opened.theirTransport.written)
            opened.theirTransport.written.clear()
            opened.ourTransport.protocol.dataReceived(record[:size])
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.ourTransport.protocol.dataReceived(record[size:])
            self.failure(asked, InvalidOperationError)
            self.assertEqual(self.successResultOf(opened.ours.read()), b"request")
            opened.flush()
            self.assertIsNone(opened.ours.remoteCertificate)
            self.assertUsable(opened)

    def test_unreadBehindTheHandshake(self) -> None:
        """
        So must be what came together with the end of the handshake, when
        nobody has had a chance to read it.
        """
        pair = StreamPair()
        clientSide, serverSide = pair.authenticate(
            self.version, {**ALLOWED, "clientCertificates": [CLIENT]}, flush=False
        )
        clientSide.addCallback(lambda stream: stream.write(b"early"))
        outcome = serverSide.addCallback(lambda stream: stream.negotiateClientCertificateAsync())
        pair.wire.flush()
        if self.version is Tls13:
            error = self.failure(outcome, InvalidOperationError)
            self.assertIn("read first what the client has sent", str(error))
        else:
            # There the server is the last, and has asked before that came.
            self.failure(outcome, InvalidOperationError)
        self.assertEqual(self.successResultOf(pair.server.read()), b"early")

    def test_ended(self) -> None:
        """
        A client that has sent its last word does not answer, and a server that
        has sent its own does not ask.
        """
        for isOurs in (False, True):
            opened = self.begun()
            self.successResultOf((opened.ours if isOurs else opened.theirs).shutdown())
            opened.flush()
            self.invalid(opened, "one side of the connection has ended")

    def test_closed(self) -> None:
        """
        Nor does one that is closed.
        """
        opened = self.begun()
        opened.ours.close()
        self.failure(opened.ours.negotiateClientCertificateAsync(), StreamClosedError)

    def test_broken(self) -> None:
        """
        After the connection has broken, that is what asking fails with.
        """
        opened = self.begun()
        opened.theirTransport.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        opened.flush()
        error = self.failure(opened.ours.negotiateClientCertificateAsync(), TlsError)
        self.assertIs(error.alertSent, TlsAlert.bad_record_mac)
        opened = self.begun()
        opened.pair.wire.cut()
        self.failure(opened.ours.negotiateClientCertificateAsync(), TruncationError)

    def test_reading(self) -> None:
        """
        A read in progress must end first.
        """
        opened = self.begun()
        reading = opened.ours.read()
        self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
        self.successResultOf(opened.theirs.write(b"x"))
        opened.flush()
        self.assertEqual(self.successResultOf(reading), b"x")
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)

    def test_writing(self) -> None:
        """
        A write in progress must end first.
        """
        opened = self.begun()
        # More than the transport takes at once, whole whatever the segments.
        opened.pair.wire.segment = 0
        opened.theirTransport.pauseProducing()
        writing = opened.ours.write(bytes(1 << 18))
        self.assertNoResult(writing)
        self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
        reading = opened.theirs.readExactly(1 << 18)
        opened.theirTransport.resumeProducing()
        opened.flush()
        self.successResultOf(writing)
        self.successResultOf(reading)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)

    def test_meanwhile(self) -> None:
        """
        Until the client has answered, and while somebody decides, there is no
        reading and no writing; that does no harm.
        """
        decision: Deferred[bool] = Deferred()
        opened = self.begun(server=Judge(decision).option)
        asked = opened.ours.negotiateClientCertificateAsync()
        for _ in range(2):
            for name, operation in OPERATIONS.items():
                error = self.failureResultOf(operation(opened.ours)).value
                self.assertIs(type(error), NotSupportedError, name)
            self.assertRaises(NotSupportedError, SslStream, opened.ours)
            opened.flush()
        self.assertNoResult(asked)
        decision.callback(True)
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)
        self.assertUsable(opened)

    def test_notOffered(self) -> None:
        """
        A client that does not let itself be asked is not: in TLS 1.3 nothing
        happens; before, where it can refuse when it is asked, that ends the
        connection.
        """
        refusing = {"allowRenegotiation": False, "clientCertificates": ()}
        opened, asked = self.asked(refusing)
        if self.version is Tls13:
            error = self.failure(asked, NotSupportedError)
            self.assertIn("the client cannot be asked: extension not received", str(error))
            self.assertUsable(opened)
            self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
            self.assertQuiet(opened)
            server: Any = opened.ours._protocol
            self.assertEqual(lib.SSL_get_verify_mode(server.getHandle()._ssl), SSL.VERIFY_NONE)
            self.assertShown(opened, None)
        else:
            refusal = self.failure(asked, AuthenticationError)
            self.assertIn("the peer refused the handshake: no renegotiation", str(refusal))
            self.assertIs(refusal.alert, TlsAlert.no_renegotiation)
            self.assertIs(refusal.alertSent, TlsAlert.handshake_failure)
            self.assertIs(refusal.reason, HandshakeFailureReason.alertReceived)
            self.assertIs(self.failureResultOf(opened.ours.read()).value, refusal)
            self.assertGone(opened)

    def test_somethingElseFirst(self) -> None:
        """
        A client that says something else before it answers has not answered:
        what it says can be read, and its answer, when it comes, makes it nobody
        else and is judged by nobody, whatever it is.
        """
        judge = Judge(True)
        for client, server in (
            ({}, {}),
            ({}, judge.option),
            ({"clientCertificates": [STRANGER]}, {}),
            (DECLINING, {}),
            (DECLINING, judge.option),
            (DECLINING, {"clientCertificateRequired": True, **judge.option}),
        ):
            opened = self.begun(client, server)
            judge.calls.clear()
            asked = opened.ours.negotiateClientCertificateAsync()
            self.successResultOf(opened.theirs.write(b"request"))
            while not opened.ours._reader.isFilled:
                self.assertTrue(opened.pair.wire.step())
            error = self.failure(asked, InvalidOperationError)
            self.assertIn("did not answer first", str(error))
            self.assertEqual(self.successResultOf(opened.ours.readExactly(7)), b"request")
            opened.flush()
            self.assertIsNone(opened.ours.remoteCertificate)
            self.assertFalse(opened.ours.isMutuallyAuthenticated)
            self.assertUsable(opened)
            self.invalid(opened, "has been asked before")
            self.assertEqual(judge.calls, [])
            self.assertQuiet(opened)

    def test_somethingElseInOneBreath(self) -> None:
        """
        So it is if that comes together with the answer.
        """
        judge = Judge(raiseError)
        for client in ({}, DECLINING):
            opened = self.begun(client, judge.option)
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.ourTransport.pauseProducing()
            say(opened.theirs, b"request")
            opened.flush()
            self.assertNoResult(asked)
            opened.ourTransport.resumeProducing()
            opened.flush()
            self.failure(asked, InvalidOperationError)
            self.assertEqual(self.successResultOf(opened.ours.read()), b"request")
            self.assertIsNone(opened.ours.remoteCertificate)
            self.assertEqual(judge.calls, [])
            self.assertUsable(opened)

    def test_endFirst(self) -> None:
        """
        A client that ends the conversation instead has not answered either.
        """
        opened = self.begun()
        asked = opened.ours.negotiateClientCertificateAsync()
        self.successResultOf(opened.theirs.shutdown())
        opened.flush()
        self.failure(asked, InvalidOperationError)
        self.assertEqual(self.successResultOf(opened.ours.read()), b"")
        self.assertQuiet(opened)


def _refusals() -> Iterator[tuple[str, dict[str, Any], TlsAlert, X509ChainStatusFlags]]:
    """
    @return: what is wrong with clients, their options, and what they are told.
    """
    expired = AUTHORITY.issue("client@example.com", notBefore=NOW - 5 * DAY, notAfter=NOW - DAY)
    server = AUTHORITY.issue("client@example.com", usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    flags = X509ChainStatusFlags
    for what, context, alert, status in (
        ("authority", STRANGER, TlsAlert.unknown_ca, flags.PartialChain),
        ("time", expired, TlsAlert.certificate_expired, flags.NotTimeValid),
        ("usage", server, TlsAlert.unsupported_certificate, flags.NotValidForUsage),
    ):
        yield what, {"clientCertificates": [context]}, alert, status


@perVersion()
class Refusing(AskingMixin):
    """
    A client that is refused.
    """

    def test_faults(self) -> None:
        """
        Whatever is wrong with the certificate, the client gets the alert for
        that, and the error tells all of it.
        """
        for what, client, alert, status in _refusals():
            opened, asked = self.asked(client)
            error = self.assertRefused(opened, asked, alert, CHAIN, status)
            self.assertIn("the remote certificate is invalid", str(error), what)
            self.assertEqual(error.chainElements[0].chainElementStatus[0].status, status)
            self.assertIsNotNone(error.reason)

    def test_inTheMiddle(self) -> None:
        """
        A refusal is one to the client, however much it has been told before it was
        asked; not any more when it has been told something since.
        """
        refused = {"clientCertificates": [STRANGER]}
        for client, isAccepted in ((refused, False), ({}, True)):
            opened = self.begun(client)
            self.assertUsable(opened)
            say(opened.ours, b"before")
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.flush()
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"before")
            if isAccepted:
                self.successResultOf(asked)
                self.assertUsable(opened)
                protocol: Any = opened.theirs._protocol
                protocol._authentication.engine.alertReceived = TlsAlert.unknown_ca
                # As if that had been the reason.
                opened.ourTransport.write(b"\x17\x03\x03\x00\x20" + bytes(32))
                opened.flush()
                self.failure(opened.theirs.read(), TlsError)
            else:
                self.failure(asked, AuthenticationError)
                error = self.failure(opened.theirs.read(), AuthenticationError)
                self.assertIs(error.alert, TlsAlert.unknown_ca)

    def test_unreadable(self) -> None:
        """
        A certificate that cannot be read is refused before anybody is asked.
        """
        opened = self.begun(server=Judge(raiseError).option)
        self.patch(TlsEngine, "_presentCertificate", _presentUnreadable)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        error = self.assertRefused(
            opened,
            asked,
            TlsAlert.bad_certificate,
            CHAIN,
            X509ChainStatusFlags.InvalidExtension,
        )
        self.assertIn("the remote certificate cannot be read", str(error))

    def test_callback(self) -> None:
        """
        The callback may refuse a faultless certificate.
        """
        for answer in (False, succeed(False)):
            judge = Judge(answer)
            opened, asked = self.asked(server=judge.option)
            error = self.assertRefused(opened, asked, TlsAlert.bad_certificate)
            self.assertIn("refused by remoteCertificateValidationCallback", str(error))
            self.assertIs(error.reason, HandshakeFailureReason.callbackRefused)
            self.assertEqual(len(judge.calls), 1)

    def test_callbackFails(self) -> None:
        """
        A callback that fails, or does not answer with a boolean, refuses; the
        error tells what it was.
        """
        for answer, kind in (
            (raiseError, ZeroDivisionError),
            (lambda *_: fail(ZeroDivisionError()), ZeroDivisionError),
            (None, TypeError),
            (1, TypeError),
        ):
            for client, errors in (({}, NO_ERRORS), (DECLINING, NOBODY)):
                # Nobody but OpenSSL can tell a client that has shown nothing.
                alert = NO_CERTIFICATE[self.version] if errors else TlsAlert.internal_error
                opened, asked = self.asked(client, Judge(answer).option)
                error = self.assertRefused(opened, asked, alert, errors)
                self.assertIs(type(error.__cause__), kind)
                self.assertIs(error.reason, HandshakeFailureReason.internalError)

    def test_none(self) -> None:
        """
        Without a callback, a client that has nothing to show is refused by
        OpenSSL.
        """
        opened, asked = self.asked(DECLINING)
        error = self.assertRefused(opened, asked, NO_CERTIFICATE[self.version], NOBODY)
        self.assertIn("peer did not return a certificate", str(error))
        self.assertIs(error.reason, HandshakeFailureReason.certificateMissing)

    def test_noneByCallback(self) -> None:
        """
        With a callback, that refuses it; the callback is asked once.
        """
        judge = Judge(False)
        opened, asked = self.asked(DECLINING, judge.option)
        error = self.assertRefused(opened, asked, NO_CERTIFICATE[self.version], NOBODY)
        self.assertIn("refused by remoteCertificateValidationCallback", str(error))
        self.assertEqual(len(judge.calls), 1)

    def test_nothingOfTheRefused(self) -> None:
        """
        What a client says behind the answer for which it is refused is never
        read, however much it is, and nothing is said to it.
        """
        for client in ({}, DECLINING):
            decision: Deferred[bool] = Deferred()
            opened = self.begun(client, Judge(decision).option)
            asked = opened.ours.negotiateClientCertificateAsync()
            while not opened.theirTransport.written:
                opened.pair.wire.step()
            for _ in range(20):
                say(opened.theirs, b"of a stranger" * 50)
            opened.flush()
            say(opened.ours, b"for a friend")
            received: list[bytes] = []
            self.patch(opened.ours._reader, "received", received.append)
            decision.callback(False)
            say(opened.ours, b"for a friend")
            opened.flush()
            self.failure(asked, AuthenticationError)
            self.assertEqual(received, [])
            verdict = self.failure(opened.theirs.read(), AuthenticationError)
            self.assertIsNotNone(verdict.alert)
            self.assertGone(opened)

    def test_refusedAnswersLate(self) -> None:
        """
        A client that was refused for showing nothing is not accepted for what it
        shows when it is asked once more to be told.
        """
        judge = Judge(False)
        opened, asked = self.asked(whenAsked(None, CLIENT), judge.option)
        error = self.assertRefused(opened, asked, TlsAlert.handshake_failure, NOBODY)
        self.assertIn("refused by remoteCertificateValidationCallback", str(error))
        self.assertEqual(opened.theirs.localCertificate, CLIENT.certificate)
        self.assertEqual(len(judge.calls), 1)

    def refusedSilently(self) -> tuple[Opened, Deferred[None]]:
        """
        @return: a client that was refused for showing nothing, and has not been
            told yet.
        """
        opened = self.begun(DECLINING, Judge(False).option)
        asked = opened.ours.negotiateClientCertificateAsync()
        reauthentication: Any = opened.ours._protocol._reauthentication  # type: ignore[union-attr]
        while reauthentication.error is None:
            self.assertTrue(opened.pair.wire.step())
        return opened, asked

    def test_refusedIsSilent(self) -> None:
        """
        A client that was refused, and then does not answer any more, is gone
        when the time is up; the error is why it was refused.
        """
        opened, asked = self.refusedSilently()
        opened.theirTransport.pauseProducing()
        opened.theirTransport.written.clear()
        opened.flush()
        opened.pair.clock.advance(29.9)
        self.assertNoResult(asked)
        opened.pair.clock.advance(0.1)
        opened.flush()
        error = self.failure(asked, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, NOBODY)
        opened.theirTransport.resumeProducing()
        self.assertGone(opened)

    def test_refusedEnds(self) -> None:
        """
        So it is if the client ends the conversation, or we do.
        """
        for end in (
            lambda opened: opened.theirs.shutdown(),
            lambda opened: opened.theirs.abort(),
            lambda opened: opened.ours.close(),
            lambda opened: opened.ours.abort(),
        ):
            opened, asked = self.refusedSilently()
            end(opened)
            opened.flush()
            self.assertEqual(self.failure(asked, AuthenticationError).sslPolicyErrors, NOBODY)
            self.assertGone(opened)

    def test_clientsCallbackFails(self) -> None:
        """
        A client whose callback fails tells the server, which has an error then;
        its own error tells what it was.
        """
        for answer, kind in (
            (raiseError, ZeroDivisionError),
            (lambda *_: fail(ZeroDivisionError()), ZeroDivisionError),
            ("a certificate", CertificateError),
        ):
            opened, asked = self.asked(whenAsked(answer))
            error = self.failure(asked, AuthenticationError)
            self.assertIs(error.alert, TlsAlert.internal_error)
            self.assertIn("the peer refused the handshake", str(error))
            ours = self.failure(opened.theirs.read(), AuthenticationError)
            self.assertIn("a callback failed", str(ours))
            self.assertIsInstance(ours.__cause__, kind)
            self.assertEqual((ours.alert, ours.alertSent), (None, TlsAlert.internal_error))
            self.assertIs(ours.reason, HandshakeFailureReason.internalError)
            self.assertGone(opened)


def _presentUnreadable(engine: TlsEngine) -> int:
    """
    Have a client show a certificate that cannot be read.
    """
    if not engine.parameters.isServer:
        engine.wasAskedForCertificate = True
        der = ofUnknownVersion(CLIENT.certificate, AUTHORITY.key)
        certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
        lib.SSL_use_certificate(engine.connection._ssl, certificate._x509)
        engine.connection.use_privatekey(CLIENT.privateKey)  # type: ignore[arg-type]
    return 1


@perVersion()
class Waiting(AskingMixin):
    """
    Somebody takes time to decide.
    """

    def assertStands(self, opened: Opened, asked: Deferred[None], isServer: bool) -> None:
        """
        Nothing of what either side says now arrives.

        @param isServer: whether it is the server that is deciding.
        """
        decider = opened.ours if isServer else opened.theirs
        other = opened.theirs if isServer else opened.ours
        transport = opened.ourTransport if isServer else opened.theirTransport
        sent = len(transport.everWritten)
        for number in range(10):
            say(other, b"a%d," % number)
            say(decider, b"b%d," % number)
            opened.flush()
        self.assertNoResult(asked)
        self.assertEqual(len(_parked), 1)
        self.assertEqual(len(transport.everWritten), sent)
        self.assertFalse(decider._reader.isFilled)

    def assertGoesOn(self, opened: Opened, isServer: bool) -> None:
        """
        All of it arrives, in order.
        """
        opened.flush()
        decider = opened.ours if isServer else opened.theirs
        other = opened.theirs if isServer else opened.ours
        for stream, letter in ((decider, b"a"), (other, b"b")):
            expected = b"".join(letter + b"%d," % number for number in range(10))
            self.assertEqual(self.successResultOf(stream.readExactly(30)), expected)
        self.assertUsable(opened)
        self.assertQuiet(opened)

    def test_verdict(self) -> None:
        """
        While the server's callback decides, nothing that the client says is
        delivered, and nothing is said to it; then all of it is.
        """
        decision: Deferred[bool] = Deferred()
        judge = Judge(decision)
        opened, asked = self.asked(server=judge.option)
        self.assertStands(opened, asked, True)
        self.assertIsNone(opened.ours.remoteCertificate)
        decision.callback(True)
        # The server's end has it already.
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)
        self.assertGoesOn(opened, True)
        self.assertEqual(len(judge.calls), 1)

    def test_verdictOnNobody(self) -> None:
        """
        So it is when the client has shown nothing.
        """
        for isAskedAtFirst in (False, True):
            decision: Deferred[bool] = Deferred()
            judge = Judge(True, decision) if isAskedAtFirst else Judge(decision)
            opened, asked = self.asked(
                DECLINING, {"clientCertificateRequired": isAskedAtFirst, **judge.option}
            )
            if isAskedAtFirst:
                self.assertStands(opened, asked, True)
            else:
                for number in range(10):
                    say(opened.theirs, b"a%d," % number)
                    say(opened.ours, b"b%d," % number)
                    opened.flush()
                self.assertNoResult(asked)
                self.assertFalse(opened.ours._reader.isFilled)
                self.assertFalse(opened.theirs._reader.isFilled)
            decision.callback(True)
            self.successResultOf(asked)
            self.assertShown(opened, None)
            self.assertGoesOn(opened, True)

    def test_selection(self) -> None:
        """
        While the client's callback decides, nothing that the server says is
        delivered, and nothing is said to it.
        """
        choice: Deferred[SslStreamCertificateContext] = Deferred()
        opened, asked = self.asked(whenAsked(choice))
        reading = opened.theirs.read(3)
        client: Any = opened.theirs._protocol
        self.assertEqual(len(_parked), 1)
        say(opened.ours, b"b0,")
        say(opened.theirs, b"a0,")
        opened.flush()
        self.assertNoResult(reading)
        self.assertNoResult(asked)
        self.assertTrue(client._isDeciding)
        choice.callback(CLIENT)
        opened.flush()
        self.successResultOf(asked)
        self.assertEqual(self.successResultOf(reading), b"b0,")
        self.assertEqual(self.successResultOf(opened.ours.read()), b"a0,")
        self.assertShown(opened, CLIENT)
        self.assertUsable(opened)
        self.assertQuiet(opened)

    def test_before(self) -> None:
        """
        What the server has said before it asks does not wait for the client's
        callback, however it comes; whoever reads it may make an end of all.
        """
        for end in (None, SslStream.close, SslStream.abort):
            choice: Deferred[SslStreamCertificateContext] = Deferred()
            opened = self.begun(whenAsked(choice))
            reading = opened.theirs.read()
            self.successResultOf(opened.ours.write(b"before"))
            asked = opened.ours.negotiateClientCertificateAsync()
            if self.version is Tls13:
                # Before, nobody asks until the next handshake has come that far.
                say(opened.ours, b"behind")
            if end is not None:
                reading.addCallback(ending(end, opened.theirs))
            opened.flush()
            if end is None:
                self.assertEqual(self.successResultOf(reading), b"before")
                self.assertEqual(len(_parked), 1)
                choice.callback(CLIENT)
                opened.flush()
                self.successResultOf(asked)
            else:
                opened.pair.clock.advance(5)
                opened.flush()
                self.failureResultOf(asked)
                self.assertGone(opened)

    def test_both(self) -> None:
        """
        Both may take their time, one after the other.
        """
        choice: Deferred[SslStreamCertificateContext] = Deferred()
        decision: Deferred[bool] = Deferred()
        opened, asked = self.asked(whenAsked(choice), Judge(decision).option)
        choice.callback(CLIENT)
        opened.flush()
        self.assertNoResult(asked)
        decision.callback(True)
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)
        self.assertUsable(opened)

    def test_write(self) -> None:
        """
        What a client writes while its callback decides has not been handed over,
        so that the write waits.
        """
        choice: Deferred[SslStreamCertificateContext] = Deferred()
        opened, asked = self.asked(whenAsked(choice))
        writing = opened.theirs.write(b"request")
        opened.flush()
        self.assertNoResult(writing)
        choice.callback(CLIENT)
        opened.flush()
        self.successResultOf(writing)
        self.successResultOf(asked)
        self.assertEqual(self.successResultOf(opened.ours.read()), b"request")

    def test_coroutines(self) -> None:
        """
        Callbacks may be coroutines.
        """
        pause: Deferred[None] = Deferred()

        async def select(*_: object) -> SslStreamCertificateContext:
            await pause
            return CLIENT

        async def validate(*_: object) -> bool:
            await pause
            return True

        opened, asked = self.asked(whenAsked(select), Judge(validate).option)
        pause.callback(None)
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)

    def test_bounded(self) -> None:
        """
        No more than 64 KiB are taken from a client while somebody decides about
        it, and a bit; then all that it has sent is read.
        """
        sent = bytes(range(256)) * 1024
        for client in ({}, DECLINING):
            decision: Deferred[bool] = Deferred()
            judge = Judge(decision)
            opened = self.begun(client, judge.option)
            opened.pair.wire.segment = 4096
            asked = opened.ours.negotiateClientCertificateAsync()
            while not judge.calls:
                self.assertTrue(opened.pair.wire.step())
            if self.version is Tls13:
                say(opened.theirs, sent)
            else:
                # In the middle of another handshake our client sends nothing else.
                opened.theirTransport.write(b"\x17\x03\x03" + sent)
            opened.flush()
            protocol: Any = opened.ours._protocol
            self.assertTrue(opened.ourTransport.isPaused)
            self.assertGreaterEqual(len(protocol._withheld), Reauthentication.WITHHELD_LIMIT)
            self.assertLess(len(protocol._withheld), Reauthentication.WITHHELD_LIMIT + 4096)
            decision.callback(True)
            reading = opened.ours.readExactly(len(sent))
            opened.flush()
            self.assertFalse(opened.ourTransport.isPaused)
            self.assertEqual(protocol._withheld, b"")
            self.successResultOf(asked)
            if self.version is Tls13:
                self.assertEqual(self.successResultOf(reading), sent)
                self.assertUsable(opened)
            else:
                self.failure(reading, TlsError)

    def test_answeredTwice(self) -> None:
        """
        A decision that comes when it was given up is nobody's business.
        """
        decision: Deferred[bool] = Deferred(lambda _: None)
        opened, asked = self.asked(server=Judge(decision).option)
        opened.pair.clock.advance(30)
        opened.flush()
        self.failure(asked, HandshakeTimeout)
        # Cancelled, and answered all the same.
        self.assertTrue(decision.called)
        self.assertGone(opened)


class Phase(NamedTuple):
    """
    A moment to give up in.

    @ivar client: the options of the client.
    @ivar server: those of the server.
    @ivar isServer: whether it is the server who decides; L{None} if nobody does.
    @ivar decision: what is being decided.
    """

    name: str
    client: dict[str, Any]
    server: dict[str, Any]
    isServer: bool | None
    decision: Deferred[Any]


def phases() -> Iterator[Phase]:
    """
    @return: every moment of the way from the question to the verdict.
    """
    decision: Deferred[Any] = Deferred()
    yield Phase("asked", {}, {}, None, decision)
    decision = Deferred()
    yield Phase("judged", {}, Judge(decision).option, True, decision)
    decision = Deferred()
    yield Phase("nobody", DECLINING, Judge(decision).option, True, decision)
    decision = Deferred()
    again = {"clientCertificateRequired": True, **Judge(True, decision).option}
    yield Phase("nobody again", DECLINING, again, True, decision)
    decision = Deferred()
    yield Phase("selected", whenAsked(decision), {}, False, decision)


@perVersion()
class GivenUp(AskingMixin):
    """
    The end, at any moment.
    """

    def moments(self, **more: Any) -> Iterator[tuple[Phase, Opened, Deferred[None]]]:
        """
        A connection for every moment; it is checked that it is gone when the
        test has dealt with it, and that whatever was being decided is cancelled.

        @param more: options of both sides.
        """
        for phase in phases():
            cancelled: list[Failure] = []
            phase.decision.addErrback(cancelled.append)
            opened = self.begun({**phase.client, **more}, {**phase.server, **more})
            asked = opened.ours.negotiateClientCertificateAsync()
            if phase.isServer is None:
                opened.theirTransport.pauseProducing()
            opened.flush()
            self.assertNoResult(asked)
            yield phase, opened, asked
            opened.theirTransport.resumeProducing()
            self.assertGone(opened)
            if phase.isServer is not None:
                (failure,) = cancelled
                self.assertIs(type(failure.value), CancelledError, phase.name)

    def test_timeout(self) -> None:
        """
        The client has C{handshakeTimeout} to answer, and so have the callbacks,
        as long as it takes; that is sticky.
        """
        for phase, opened, asked in self.moments(handshakeTimeout=7):
            opened.pair.clock.advance(6.9)
            opened.flush()
            self.assertNoResult(asked)
            opened.pair.clock.advance(0.1)
            opened.flush()
            if phase.isServer is False:
                # The client's clock runs, too, and its end is told first.
                self.assertIn(
                    "within 7 s", str(self.failure(opened.theirs.read(), HandshakeTimeout))
                )
                self.failureResultOf(asked, AuthenticationError)
                continue
            error = self.failure(asked, HandshakeTimeout)
            self.assertIn("no end of the authentication within 7 s", str(error))
            self.assertIs(error.reason, HandshakeFailureReason.timeout)
            for name, operation in OPERATIONS.items():
                self.assertIs(self.failureResultOf(operation(opened.ours)).value, error, name)
            isParked = phase.name in ("judged", "nobody again")
            self.assertEqual(error.alertSent is not None, isParked, phase.name)

    def test_clientsTimeout(self) -> None:
        """
        A client's callback has no more time in mid-conversation than in the
        handshake; the server hears of it.
        """
        opened, asked = self.asked(
            {**whenAsked(lambda *_: Deferred()), "handshakeTimeout": 7}, {"handshakeTimeout": 100}
        )
        opened.pair.clock.advance(7)
        opened.flush()
        error = self.failure(opened.theirs.read(), HandshakeTimeout)
        self.assertEqual((error.alert, error.alertSent), (None, TlsAlert.internal_error))
        self.assertIs(self.failure(asked, AuthenticationError).alert, TlsAlert.internal_error)
        self.assertGone(opened)

    def test_noTimeout(self) -> None:
        """
        Without a limit there is none.
        """
        opened = self.begun(server={"handshakeTimeout": None})
        opened.theirTransport.pauseProducing()
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        opened.pair.clock.advance(1e9)
        opened.theirTransport.resumeProducing()
        opened.flush()
        self.successResultOf(asked)

    def test_cancelled(self) -> None:
        """
        Cancelling ends the connection: nobody knows any more who the client is.
        """
        for _, opened, asked in self.moments():
            asked.cancel()
            error = self.failure(asked, HandshakeCancelled)
            self.assertIs(error.reason, HandshakeFailureReason.cancelled)
            opened.flush()
            self.assertIs(self.failureResultOf(opened.ours.read()).value, error)

    def test_closed(self) -> None:
        """
        So does closing; a client that was only asked is taken leave of politely.
        """
        for phase, opened, asked in self.moments():
            closed = opened.ours.close()
            opened.theirTransport.resumeProducing()
            opened.flush()
            if phase.isServer is None:
                # Our client answers the close_notify, and reads the end.
                self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
                opened.theirs.close()
                opened.flush()
                self.successResultOf(closed)
            if phase.isServer is False:
                # Nothing is read as long as the callback decides.
                opened.pair.clock.advance(5)
                opened.flush()
            self.successResultOf(closed)
            self.failure(asked, HandshakeCancelled)
            self.failure(opened.ours.read(), StreamClosedError)

    def test_closedByTheOther(self) -> None:
        """
        So does the client's closing, in whatever way.
        """
        for close in (SslStream.close, SslStream.abort):
            for _, opened, asked in self.moments():
                close(opened.theirs)
                opened.theirTransport.resumeProducing()
                opened.flush()
                opened.pair.clock.advance(5)
                opened.flush()
                self.failureResultOf(asked, AuthenticationError, InvalidOperationError)
                opened.ours.close()

    def test_aborted(self) -> None:
        """
        So does aborting; the peer is told nothing.
        """
        for phase, opened, asked in self.moments():
            sent = len(opened.theirTransport.written)
            opened.ours.abort()
            error = self.failure(asked, HandshakeCancelled)
            self.assertIsNone(error.alertSent, phase.name)
            self.assertEqual(bytes(opened.ourTransport.written), b"", phase.name)
            self.assertEqual(len(opened.theirTransport.written), sent)

    def test_lost(self) -> None:
        """
        The connection may be lost; that is sticky.
        """
        for phase, opened, asked in self.moments():
            opened.pair.wire.cut()
            error = self.failure(asked, HandshakeInterrupted)
            self.assertIs(type(error.__cause__), ConnectionLost)
            self.assertEqual((error.alert, error.alertSent), (None, None), phase.name)
            self.assertIs(self.failureResultOf(opened.ours.read()).value, error)
            self.assertIs(self.failureResultOf(opened.ours.write(b"x")).value, error)
            if phase.isServer is False:
                self.failure(opened.theirs.read(), HandshakeInterrupted)

    def test_fromWithin(self) -> None:
        """
        The callback itself may be what makes an end of it, and its Deferred is
        cancelled all the same.
        """
        ends: tuple[Callable[[Opened, Deferred[None]], object], ...] = (
            lambda opened, _: opened.ours.close(),
            lambda opened, _: opened.ours.abort(),
            lambda opened, _: opened.theirs.close(),
            lambda opened, _: opened.theirs.abort(),
            lambda opened, _: opened.pair.wire.cut(),
            lambda _, asked: asked.cancel(),
        )
        for end in ends:
            for client, isServer in (({}, True), (DECLINING, True), ({}, False)):
                self.endFromWithin(end, client, isServer)

    def endFromWithin(
        self,
        end: Callable[[Opened, Deferred[None]], object],
        client: dict[str, Any],
        isServer: bool,
    ) -> None:
        """
        @param isServer: whose callback it is.
        """
        cancelled: list[Failure] = []

        def decide(*_: object) -> Deferred[Any]:
            decision: Deferred[Any] = Deferred()
            decision.addErrback(cancelled.append)
            end(opened, asked)
            return decision

        if isServer:
            opened = self.begun(client, Judge(decide).option)
        else:
            opened = self.begun(whenAsked(decide))
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        opened.pair.clock.advance(30)
        opened.flush()
        self.failureResultOf(asked, AuthenticationError)
        (failure,) = cancelled
        self.assertIs(type(failure.value), CancelledError)
        opened.theirs.close()
        opened.ours.close()
        self.assertGone(opened)

    def test_onceOnly(self) -> None:
        """
        Whoever hears of the end may make an end of it himself.
        """
        for _, opened, asked in self.moments():
            heard: list[object] = []

            def hear(failure: Any, opened: Opened = opened, heard: Any = heard) -> None:
                heard.append(type(failure.value))
                opened.ours.close()
                opened.ours.abort()
                opened.theirs.abort()

            asked.addErrback(hear)
            opened.pair.clock.advance(30)
            opened.flush()
            self.assertEqual(len(heard), 1)
            self.assertTrue(issubclass(heard[0], AuthenticationError))  # type: ignore[arg-type]

    def test_clientShutsDown(self) -> None:
        """
        A client that says its last word while its callback decides has it sent
        when that has decided.
        """
        choice: Deferred[SslStreamCertificateContext] = Deferred()
        opened, asked = self.asked(whenAsked(choice))
        self.successResultOf(opened.theirs.shutdown())
        opened.flush()
        self.assertNoResult(asked)
        choice.callback(CLIENT)
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)
        self.assertEqual(self.successResultOf(opened.ours.read()), b"")
        self.successResultOf(opened.ours.write(b"still read"))
        opened.flush()
        self.assertEqual(self.successResultOf(opened.theirs.read()), b"still read")


@perVersion(segments=(0,))
class Cut(AskingMixin):
    """
    The connection is lost anywhere.
    """

    def test_everywhere(self) -> None:
        """
        Wherever the connection is cut, the Deferred fires once, and nothing is
        left.
        """
        for client, server in (({}, {}), (DECLINING, Judge(True).option)):
            # 7 bytes are fewer than any message has, and lead everywhere in one.
            for size in range(0, 100_000, 7):
                opened = self.begun(client, server)
                asked = opened.ours.negotiateClientCertificateAsync()
                results: list[object] = []
                asked.addBoth(results.append)
                opened.pair.wire.segment = size or 1
                isOver = not self.moveOnce(opened, size)
                opened.pair.wire.cut(ConnectionDone)
                opened.flush()
                (result,) = results
                if result is not None:
                    assert isinstance(result, Failure)
                    self.assertIs(type(result.value), HandshakeInterrupted)
                self.assertGone(opened)
                if isOver:
                    self.assertIsNone(result)
                    break
            self.assertTrue(isOver)

    def moveOnce(self, opened: Opened, size: int) -> bool:
        """
        Let so many bytes arrive, one direction after the other.

        @return: whether there were more.
        """
        for _ in range(10):
            for source, target in (
                (opened.ourTransport, opened.theirTransport),
                (opened.theirTransport, opened.ourTransport),
            ):
                data = bytes(source.written[:size])
                del source.written[:size]
                size -= len(data)
                if data:
                    target.protocol.dataReceived(data)
                if size == 0:
                    return True
        return False


@perVersion(segments=(0,))
class Memory(AskingMixin):
    """
    What was made for a connection goes with it, without the garbage collector.
    """

    def setUp(self) -> None:
        """
        Do without the garbage collector.
        """
        withoutCollector(self)

    def parts(self, opened: Opened) -> list[Any]:
        """
        @return: weak references to what two streams are made of.
        """
        parts: list[object] = []
        for stream in (opened.ours, opened.theirs):
            protocol: Any = stream._protocol
            authentication = protocol._authentication
            parts += [stream, protocol, authentication, authentication.engine]
            reauthentication = protocol._reauthentication
            if reauthentication is not None:
                parts += [reauthentication, authentication.judgement]
                if reauthentication._judgement is not None:
                    parts.append(reauthentication._judgement)
        return [weakref.ref(each) for each in parts]

    def assertForgotten(self, left: list[Any], server: Mapping[str, Any]) -> None:
        """
        None of it is there any more, once the callbacks have forgotten it.
        """
        for callback in server.values():
            callback.calls.clear()
        self.assertEqual([each() for each in left if each() is not None], [])
        self.assertEqual(_parked, set())

    def test_closed(self) -> None:
        """
        After an orderly end, whatever the client had answered.
        """
        for client, server in (
            ({}, {}),
            ({}, Judge(True).option),
            (DECLINING, Judge(True).option),
            (whenAsked(CLIENT), {}),
        ):
            opened, asked = self.asked(client, server)
            self.successResultOf(asked)
            for stream in (opened.ours, opened.theirs):
                stream.close()
            opened.flush()
            left = self.parts(opened)
            self.assertGreaterEqual(len(left), 11 if self.version is Tls13 else 10)
            del opened, asked, stream
            self.assertForgotten(left, server)

    def test_notAsked(self) -> None:
        """
        Where somebody might have been asked.
        """
        opened = self.begun(server={"allowRenegotiation": True})
        opened.ours.close()
        opened.theirs.close()
        opened.flush()
        left = self.parts(opened)
        del opened
        self.assertForgotten(left, {})

    def test_refused(self) -> None:
        """
        After a refusal, and after anything that was given up.
        """
        for client, server in (
            ({"clientCertificates": [STRANGER]}, {}),
            (DECLINING, {}),
            (DECLINING, Judge(False).option),
            ({}, Judge(lambda *_: Deferred()).option),
            (DECLINING, Judge(lambda *_: Deferred()).option),
            (whenAsked(lambda *_: Deferred()), {}),
        ):
            opened, asked = self.asked(client, server)
            left = self.parts(opened)
            opened.pair.clock.advance(30)
            opened.flush()
            # It holds the stream whose time-out it was.
            self.failureResultOf(asked).cleanFailure()
            self.assertGone(opened)
            del opened, asked
            self.assertForgotten(left, server)

    def test_lost(self) -> None:
        """
        After the loss of the connection at any moment.
        """
        for phase in phases():
            phase.decision.addErrback(lambda _: None)
            opened = self.begun(phase.client, phase.server)
            asked = opened.ours.negotiateClientCertificateAsync()
            if phase.isServer is None:
                opened.theirTransport.pauseProducing()
            opened.flush()
            left = self.parts(opened)
            opened.pair.wire.cut()
            self.failureResultOf(asked).cleanFailure()
            self.assertGone(opened)
            del opened, asked
            phase.server.pop("clientCertificateRequired", None)
            self.assertForgotten(left, phase.server)


@perVersion(segments=(0,))
class Later(AskingMixin):
    """
    Sessions, and who one is in the connections that go on with them.
    """

    def connected(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> Opened:
        """
        As L{begun}, with the sessions that there are.
        """
        theirs = {**ALLOWED, "clientCertificates": [CLIENT], **(client or {})}
        return self.opened(True, ours=server, theirs=theirs, keepsSessions=True)

    def end(self, opened: Opened) -> None:
        """
        Close both ends.
        """
        opened.ours.close()
        opened.theirs.close()
        opened.flush()

    def askedIn(self, opened: Opened) -> None:
        """
        Ask, and have an answer.
        """
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)

    def test_nobodyInTheNext(self) -> None:
        """
        Who was asked in one connection is nobody in the next, until asked there;
        both ends say so, and so does the callback hear.
        """
        for client in ({}, whenAsked(CLIENT)):
            sessions.clear()
            heard: list[object] = []

            def judge(*arguments: object, heard: list[object] = heard) -> bool:
                heard.append(arguments[1:])
                return True

            server = {"remoteCertificateValidationCallback": judge}
            opened = self.connected(client, server)
            self.askedIn(opened)
            self.assertShown(opened, CLIENT)
            self.end(opened)
            heard.clear()
            opened = self.connected(client, server)
            self.assertTrue(opened.ours.isResumed)
            self.assertShown(opened, None)
            self.assertEqual(heard, [(None, None, NO_ERRORS)])
            self.askedIn(opened)
            self.assertShown(opened, CLIENT)
            self.assertUsable(opened)
            self.end(opened)

    def test_clientThatKeeps(self) -> None:
        """
        So it is for a client that goes on with the session in which it was asked,
        although OpenSSL knows it then.
        """
        sessions.clear()
        opened = self.connected()
        ((purpose, kept),) = sessions._sessions.items()
        self.askedIn(opened)
        self.assertUsable(opened)
        client: Any = opened.theirs._protocol
        session = replace(kept[0], handle=client._authentication.engine.currentSession())
        self.end(opened)
        sessions.clear()
        sessions.keep(purpose, session)
        opened = self.connected()
        self.assertTrue(opened.ours.isResumed)
        server: Any = opened.ours._protocol
        known = server.getHandle().get_peer_certificate(as_cryptography=True)
        self.assertEqual(known, CLIENT.certificate)
        self.assertShown(opened, None)
        self.askedIn(opened)
        self.assertShown(opened, CLIENT)

    def test_notKept(self) -> None:
        """
        A session in which the client was asked is not kept: whoever went on with
        it would be known without being asked.  Those of before are.
        """
        sessions.clear()
        opened = self.connected()
        before = {key: list(kept) for key, kept in sessions._sessions.items()}
        self.assertEqual(len(before), 1)
        self.askedIn(opened)
        self.assertUsable(opened)
        self.end(opened)
        self.assertEqual(dict(sessions._sessions), before)

    def test_declinedIsNotKept(self) -> None:
        """
        Nor is one in which it had nothing to show.
        """
        sessions.clear()
        opened = self.connected(DECLINING, Judge(True).option)
        before = {key: list(kept) for key, kept in sessions._sessions.items()}
        self.askedIn(opened)
        self.end(opened)
        self.assertEqual(dict(sessions._sessions), before)
        opened = self.connected(DECLINING, Judge(True).option)
        self.assertTrue(opened.ours.isResumed)
        self.assertShown(opened, None)

    def test_serverThatAsks(self) -> None:
        """
        A server that asks in the handshake does not go on with a session of one
        that asked later.
        """
        sessions.clear()
        opened = self.connected()
        self.askedIn(opened)
        self.end(opened)
        opened = self.connected(server={"clientCertificateRequired": True})
        self.assertFalse(opened.ours.isResumed)
        self.assertShown(opened, CLIENT)

    def test_withoutExtendedMasterSecret(self) -> None:
        """
        Before TLS 1.3, in a session that goes on without the extended master
        secret, nobody is asked: somebody else may have said what was said before.
        In the first connection of the session there is nothing to fear.
        """
        sessions.clear()
        self.patch(asking, "isSecretUnique", lambda _: False)
        opened = self.connected()
        self.assertFalse(opened.ours.isResumed)
        self.askedIn(opened)
        self.end(opened)
        opened = self.connected()
        self.assertTrue(opened.ours.isResumed)
        error = self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
        self.assertIn("without the extended master secret", str(error))
        self.assertUsable(opened)


class Crowd(AskingMixin, SynchronousTestCase):
    """
    Many connections in one thread.
    """

    segment = 0

    def test_interleaved(self) -> None:
        """
        What connections read into is theirs alone, however many stand still
        while they read, and in whatever order they go on.
        """
        for version in (Tls12, Tls13):
            self.version = version
            crowd = []
            for number in range(6):
                decision: Deferred[bool] = Deferred()
                choice: Deferred[SslStreamCertificateContext] = Deferred()
                opened, asked = self.asked(whenAsked(choice), Judge(decision).option)
                # Behind the question, and behind the answer.
                say(opened.ours, b"%d" % number * 20_000)
                say(opened.theirs, b"%d" % (9 - number) * 20_000)
                opened.flush()
                crowd.append((number, opened, asked, decision, choice))
            self.assertEqual(len(_parked), len(crowd))
            busy = self.begun()
            for order, index in (((3, 0, 5, 1, 4, 2), 4), ((5, 2, 0, 4, 1, 3), 3)):
                for each in order:
                    answer: Any = CLIENT if index == 4 else True
                    crowd[each][index].callback(answer)  # type: ignore[union-attr]
                    writing = busy.theirs.write(b"x" * 100_000)
                    reading = busy.ours.readExactly(100_000)
                    busy.flush()
                    self.successResultOf(writing)
                    self.assertEqual(self.successResultOf(reading), b"x" * 100_000)
                    crowd[each][1].flush()
            for number, opened, asked, *_ in crowd:
                self.successResultOf(asked)
                self.assertShown(opened, CLIENT)
                for stream, digit in ((opened.theirs, number), (opened.ours, 9 - number)):
                    reading = stream.readExactly(20_000)
                    opened.flush()
                    self.assertEqual(self.successResultOf(reading), b"%d" % digit * 20_000)
                self.assertUsable(opened)
            self.assertEqual(_parked, set())


class Requesting(Application):
    """
    A server's application that asks when it hears something that is not for
    everybody.
    """

    def __init__(self, **reactions: Callable[[Any], object]) -> None:
        super().__init__(data=Requesting.ask, **reactions)
        self.results: list[object] = []

    def ask(self) -> None:
        """
        Ask, and answer.
        """
        if self.received.endswith(b"secret?"):
            asked = self.transport.negotiateClientCertificateAsync()
            asked.addCallbacks(self._answer, self.results.append)

    def _answer(self, _: None) -> None:
        self.results.append(self.transport.remoteCertificate)
        self.transport.write(b"the answer")
        self.transport.flush()


@perVersion()
class Pushing(ProtocolMixin):
    """
    Protocols that ask.
    """

    def conversation(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> tuple[Link, Requesting]:
        """
        A client that has asked for something that is not for everybody.
        """
        application = Requesting()
        link = self.link(
            True,
            near=application,
            client={**ALLOWED, "clientCertificates": [CLIENT], **(client or {})},
            server=server,
        )
        link.wire.flush()
        link.far.tls.write(b"may I have the secret?")
        link.wire.flush()
        return link, application

    def test_asked(self) -> None:
        """
        Asking from C{dataReceived} works, and the answer comes behind.
        """
        link, application = self.conversation()
        self.assertEqual(application.results, [CLIENT.certificate])
        self.assertEqual(link.far.application.received, b"the answer")
        self.assertEqual(link.far.tls.localCertificate, CLIENT.certificate)
        self.assertTrue(link.near.tls.isMutuallyAuthenticated)
        self.assertNothingLeft(link)
        self.assertEqual(link.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_refused(self) -> None:
        """
        A refusal is what the application's connection is lost for.
        """
        link, application = self.conversation({"clientCertificates": [STRANGER]})
        error = self.assertLost(link.near, AuthenticationError)
        self.assertIs(error.alertSent, TlsAlert.unknown_ca)
        (failure,) = application.results
        assert isinstance(failure, Failure)
        self.assertIs(failure.value, error)
        refusal = self.assertLost(link.far, AuthenticationError)
        self.assertIs(refusal.alert, TlsAlert.unknown_ca)
        self.assertEqual(link.far.application.received, b"")
        self.assertNothingLeft(link)

    def test_callbackSender(self) -> None:
        """
        Callbacks get the protocol as stream.
        """
        judge = Judge(True)
        link, _ = self.conversation(server=judge.option)
        self.assertIs(judge.calls[0][0], link.near.tls)

    def test_writesWait(self) -> None:
        """
        What the application writes while somebody decides is sent behind, in
        order, and before what it writes when it hears of the verdict.
        """
        decision: Deferred[bool] = Deferred()
        link, application = self.conversation(server=Judge(decision).option)
        for number in range(5):
            link.near.tls.write(b"%d," % number)
            link.wire.flush()
        self.assertEqual(link.far.application.received, b"")
        decision.callback(True)
        link.wire.flush()
        self.assertEqual(application.results, [CLIENT.certificate])
        self.assertEqual(link.far.application.received, b"0,1,2,3,4,the answer")

    def test_writtenBefore(self) -> None:
        """
        What was written before arrives before the client is asked.
        """
        choice: Deferred[SslStreamCertificateContext] = Deferred()
        link = self.link(True, client={**ALLOWED, **whenAsked(choice)})
        link.wire.flush()
        link.near.tls.write(b"before")
        asked = link.near.tls.negotiateClientCertificateAsync()
        link.far.tls.dataReceived(bytes(link.near.inner.written))
        self.assertEqual(link.far.application.received, b"before")
        link.wire.cut()
        self.failure(asked, HandshakeInterrupted)

    def test_producer(self) -> None:
        """
        A producer is paused while nothing can be sent, and goes on afterwards.
        """
        decision: Deferred[bool] = Deferred()
        link, _ = self.conversation(server=Judge(decision).option)
        calls: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                calls.append("pause")

            def resumeProducing(self) -> None:
                calls.append("resume")

            def stopProducing(self) -> None:
                calls.append("stop")

        link.near.tls.registerProducer(Producer(), True)
        link.near.tls.write(b"x")
        link.near.tls.flush()
        self.assertEqual(calls, ["pause"])
        decision.callback(True)
        link.wire.flush()
        self.assertEqual(calls, ["pause", "resume"])
        self.assertEqual(link.far.application.received, b"xthe answer")

    def test_end(self) -> None:
        """
        A client that asks for something and ends the conversation in one breath
        does not answer.
        """
        for far in (Application(), HalfCloseableApplication()):
            application = Requesting()
            link = self.link(
                True,
                near=application,
                far=far,
                client={**ALLOWED, "clientCertificates": [CLIENT]},
            )
            link.wire.flush()
            link.wire.segment = 0
            link.far.tls.write(b"secret?")
            link.far.tls.loseConnection()
            link.wire.flush()
            (failure,) = application.results
            assert isinstance(failure, Failure)
            self.assertIs(type(failure.value), InvalidOperationError)
            self.assertNothingLeft(link)

    def test_closing(self) -> None:
        """
        Whoever closes while the client is asked parts politely; what was written
        before arrives.
        """
        application = Requesting()
        link = self.link(True, near=application, client={**ALLOWED, "clientCertificates": [CLIENT]})
        link.wire.flush()
        link.far.tls.write(b"secret?")
        link.stepUntil(lambda: link.near.tls.isAsking)
        link.near.tls.write(b"on second thought")
        link.near.tls.loseConnection()
        link.wire.flush()
        self.assertEqual(link.far.application.received, b"on second thought")
        self.assertLost(link.far, ConnectionDone)
        self.assertLost(link.near, ConnectionDone)
        (failure,) = application.results
        assert isinstance(failure, Failure)
        self.assertIs(type(failure.value), HandshakeCancelled)
        self.assertNothingLeft(link)

    def test_notOurs(self) -> None:
        """
        On Twisted's own connection creators nobody is asked.
        """
        link = Link(
            True,
            (RawCreator(lambda _: None), Application()),
            (RawCreator(lambda _: None), Application()),
        )
        link.wire.flush()
        self.failure(link.near.tls.negotiateClientCertificateAsync(), InvalidOperationError)


class Nested(ProtocolMixin, SynchronousTestCase):
    """
    Transports that deliver from within.
    """

    version = Tls13
    segment = 0

    def test_deliveredFromWithin(self) -> None:
        """
        What comes while the application hears what was said before the question
        waits for the decision.
        """
        choice: Deferred[SslStreamCertificateContext] = Deferred()
        rest: list[bytes] = []
        far = Application(
            data=lambda application: rest and application.transport.dataReceived(rest.pop())
        )
        link = self.link(True, far=far, client=whenAsked(choice))
        link.wire.flush()
        link.near.tls.write(b"before,")
        asked = link.near.tls.negotiateClientCertificateAsync()
        first = bytes(link.near.inner.written)
        link.near.inner.written.clear()
        link.near.tls.write(b"behind")
        link.near.tls.flush()
        rest.append(bytes(link.near.inner.written))
        link.near.inner.written.clear()
        link.far.tls.dataReceived(first)
        self.assertEqual(rest, [])
        self.assertEqual(far.received, b"before,")
        self.assertEqual(len(_parked), 1)
        choice.callback(CLIENT)
        link.wire.flush()
        self.successResultOf(asked)
        self.assertEqual(far.received, b"before,behind")
        self.assertNothingLeft(link)


@perVersion(segments=(0,))
class Endpoints(EndpointMixin):
    """
    Over endpoints.
    """

    def test_endpoint(self) -> None:
        """
        The transport that an endpoint gives to a protocol can ask.
        """
        self.server = Requesting()
        self.listen()
        self.connect(**ALLOWED, clientCertificates=[CLIENT])
        self.endpoint.establish()
        self.wire.flush()
        self.client.transport.write(b"secret?")
        self.wire.flush()
        self.assertEqual(self.server.results, [CLIENT.certificate])
        self.assertEqual(self.client.received, b"the answer")
        self.assertEqual(self.logged(), [])

    def test_streams(self) -> None:
        """
        A client that is refused in the middle of what a handler does is told, and
        the log tells of it in a line.
        """

        async def handle(stream: SslStream) -> None:
            await stream.readExactly(7)
            await stream.negotiateClientCertificateAsync()

        self.wire.server.reactor = self.wire.clock  # type: ignore[attr-defined]
        self.successResultOf(self.serverEndpoint().listenStreams(handle))
        self.connect(**ALLOWED, clientCertificates=[STRANGER])
        self.endpoint.establish()
        self.wire.flush()
        self.client.transport.write(b"secret?")
        self.wire.flush()
        assert isinstance(self.client.reason, AuthenticationError)
        self.assertIs(self.client.reason.alert, TlsAlert.unknown_ca)
        self.assertEqual(self.logged(), [(LogLevel.info, "TLS with {peer} ended early: {error}")])


class AskableCreator(RawCreator):
    """
    A client of OpenSSL's that may be asked, and shows L{SERVER}.
    """

    def clientConnectionForTLS(self, tlsProtocol: object) -> Any:
        """
        As a client.
        """
        connection = super().clientConnectionForTLS(tlsProtocol)
        lib.SSL_set_post_handshake_auth(connection._ssl, 1)
        return connection

    serverConnectionForTLS = RawCreator.serverConnectionForTLS


class Messages(RawMixin, SynchronousTestCase):
    """
    A client that does not keep to the rules, in TLS 1.3.
    """

    version = Tls13

    #: KeyUpdate, which asks for none of ours (RFC 8446 section 4.6.3).
    KEY_UPDATE = b"\x18\x00\x00\x01\x00"

    def askedClient(self) -> tuple[Link, Direction, list[tuple[int, bytes]], list[object]]:
        """
        @return: a connection whose client has been asked, the direction from it,
            the messages of its answer, which have not been sent, and what has
            come of the question.
        """
        suite = CipherSuitesPolicy([TlsCipherSuite.TLS_AES_128_GCM_SHA256])
        lines: list[bytes] = []
        server = serverOptions(self.version, cipherSuitesPolicy=suite)
        link = Link(True, (AskableCreator(lines.append), Application()), (server, Application()))
        link.wire.flush()
        self.secrets = {line.split()[0]: bytes.fromhex(line.split()[2].decode()) for line in lines}
        incoming = self.direction(b"CLIENT_TRAFFIC_SECRET_0")
        incoming.open(bytes(link.far.inner.everWritten))
        results: list[object] = []
        link.near.tls.negotiateClientCertificateAsync().addBoth(results.append)
        while not link.far.inner.written:
            self.assertTrue(link.wire.step())
        link.far.inner.written.clear()
        messages = self.direction(b"CLIENT_TRAFFIC_SECRET_0").open(
            bytes(link.far.inner.everWritten)
        )
        self.assertEqual({kind for kind, _ in messages}, {HANDSHAKE})
        return link, incoming, messages, results

    def direction(self, secret: bytes) -> Direction:
        """
        @param secret: its name in the key log.
        """
        return Direction(self.secrets[secret])

    def transcript(self, link: Link) -> bytes:
        """
        @return: the messages from the first hello to the question (RFC 8446
            section 4.4).
        """
        client, server = bytes(link.far.inner.everWritten), bytes(link.near.inner.everWritten)
        # Before everything else comes a hello in the clear.
        clear = [data[5 : 5 + int.from_bytes(data[3:5], "big")] for data in (client, server)]
        hidden = [
            content
            for secret, data in (
                (b"SERVER_HANDSHAKE_TRAFFIC_SECRET", server),
                (b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", client),
            )
            for _, content in self.direction(secret).open(data)
        ]
        # Behind the tickets.
        (_, question) = self.direction(b"SERVER_TRAFFIC_SECRET_0").open(server)[-1]
        return b"".join((*clear, *hidden, question))

    def send(self, link: Link, incoming: Direction, messages: list[tuple[int, bytes]]) -> None:
        """
        Have the server receive messages.
        """
        for kind, content in messages:
            link.near.tls.dataReceived(incoming.seal(kind, content))

    def test_answer(self) -> None:
        """
        The messages of the answer are an answer.
        """
        link, incoming, messages, results = self.askedClient()
        self.send(link, incoming, messages)
        self.assertEqual(results, [None])
        self.assertEqual(link.near.tls.remoteCertificate, SERVER.certificate)
        self.send(link, incoming, [(APPLICATION_DATA, b"data")])
        self.assertEqual(link.near.application.received, b"data")

    def test_keyUpdate(self) -> None:
        """
        New keys in between are no answer, and the answer has to be made with
        them.
        """
        for isMadeAnew in (False, True):
            link, incoming, messages, results = self.askedClient()
            self.send(link, incoming, [(HANDSHAKE, self.KEY_UPDATE)])
            incoming.update()
            self.assertEqual(results, [])
            self.assertTrue(link.near.tls.isAsking)
            answer = b"".join(content for _, content in messages)
            if isMadeAnew:
                # Behind the header, it was made with the old keys.
                said = self.transcript(link) + answer[: -4 - 32]
                answer = answer[:-32] + incoming.finished(said)
            self.send(link, incoming, [(HANDSHAKE, answer)])
            if isMadeAnew:
                self.assertEqual(results, [None])
                self.assertEqual(link.near.tls.remoteCertificate, SERVER.certificate)
            else:
                self.assertIsInstance(results[0], Failure)
                self.assertIsNone(link.near.tls.remoteCertificate)
                self.assertBroken(link, TlsAlert.decrypt_error, AuthenticationError)

    def test_partOfTheAnswer(self) -> None:
        """
        Only all of the answer is one.
        """
        link, incoming, messages, results = self.askedClient()
        whole = b"".join(content for _, content in messages)
        for octet in whole[:-1]:
            self.send(link, incoming, [(HANDSHAKE, bytes([octet]))])
        self.assertEqual(results, [])
        self.assertIsNone(link.near.tls.remoteCertificate)
        self.send(link, incoming, [(HANDSHAKE, whole[-1:])])
        self.assertEqual(results, [None])
        self.assertEqual(link.near.tls.remoteCertificate, SERVER.certificate)

    def assertBroken(self, link: Link, alert: TlsAlert, kind: type[Exception]) -> None:
        """
        The server has ended the connection, for what the client said.
        """
        link.near.inner.lost(ConnectionDone())
        error = self.assertLost(link.near, kind)
        self.assertEqual((error.alert, error.alertSent), (None, alert))

    def test_dataInTheAnswer(self) -> None:
        """
        Other data in the middle of the answer breaks the connection, and is not
        delivered.
        """
        link, incoming, messages, results = self.askedClient()
        whole = b"".join(content for _, content in messages)
        # Certificate is there, the proof of it is not.
        self.send(link, incoming, [(HANDSHAKE, whole[: 4 + int.from_bytes(whole[1:4], "big")])])
        self.send(link, incoming, [(APPLICATION_DATA, b"data")])
        (failure,) = results
        assert isinstance(failure, Failure)
        self.assertIs(type(failure.value), AuthenticationError)
        self.assertEqual(link.near.application.received, b"")
        self.assertIsNone(link.near.tls.remoteCertificate)
        self.assertBroken(link, TlsAlert.unexpected_message, AuthenticationError)

    def test_noProof(self) -> None:
        """
        A certificate without the proof of its key is refused.
        """
        link, incoming, messages, results = self.askedClient()
        whole = bytearray(b"".join(content for _, content in messages))
        certificateEnd = 4 + int.from_bytes(whole[1:4], "big")
        # Somewhere in the signature.
        whole[certificateEnd + 30] ^= 1
        self.send(link, incoming, [(HANDSHAKE, bytes(whole))])
        (failure,) = results
        assert isinstance(failure, Failure)
        self.assertIs(type(failure.value), AuthenticationError)
        self.assertIsNone(link.near.tls.remoteCertificate)
        self.assertIsNotNone(link.near.tls._failure.alertSent)

    def test_twice(self) -> None:
        """
        An answer to no question breaks the connection, be it another or the
        first.
        """
        link, incoming, messages, results = self.askedClient()
        self.send(link, incoming, messages)
        self.assertEqual(results, [None])
        self.send(link, incoming, messages)
        self.assertBroken(link, TlsAlert.unexpected_message, TlsError)
        for other, incoming, _ in self.scripted():
            if other.near.tls.isServer:
                self.send(other, incoming, messages)
                self.assertBroken(other, TlsAlert.unexpected_message, TlsError)

    def test_alert(self) -> None:
        """
        A client may answer with an alert.
        """
        link, incoming, _, results = self.askedClient()
        self.send(link, incoming, [(ALERT, bytes((2, TlsAlert.access_denied)))])
        (failure,) = results
        assert isinstance(failure, Failure)
        error = failure.value
        assert isinstance(error, AuthenticationError)
        self.assertEqual((error.alert, error.alertSent), (TlsAlert.access_denied, None))
        self.assertIs(error.reason, HandshakeFailureReason.alertReceived)
