"""
What becomes of connections when everything else fails: memory, descriptors, disks, clocks, and
callbacks.

What needs real processes is in L{tests.campaigns.faults}.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import gc
import io
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from twisted.internet.defer import AlreadyCalledError, CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from txsslstream import (
    AuthenticationError,
    CertificateError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeLimit,
    HandshakeTimeout,
    HttpRetriever,
    IAdmissionObserver,
    IHandshakeObserver,
    InvalidOperationError,
    ReloadingCertificate,
    RetrievalError,
    SslClientAuthenticationOptions,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    SslStreamClientEndpoint,
    SslStreamFactory,
    SslStreamServerEndpoint,
    TlsAlert,
    TruncationError,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationMode,
    X509Store,
    _openssl,
    _waiting,
    chain,
    storefiles,
    stores,
)
from txsslstream._cache import RevocationCache
from txsslstream.devcert import DevelopmentCertificate
from txsslstream.insecure import withKeyLog
from txsslstream.metrics import addObserver, removeObserver
from txsslstream.sessions import sessions
from txsslstream.testing import (
    DAY,
    NOW,
    Application,
    Bystander,
    Link,
    MemoryEndpoint,
    MemoryWeb,
    StreamPair,
    Wire,
    certificatePEM,
    connectedStreams,
    failureOf,
    resultOf,
    writePEM,
)

from .campaigns import faults
from .campaigns._common import Campaign
from .garbage import leaveAside
from .programs import temporaryDirectory
from .shortage import CONVERSATIONS, Conversation, ForgivingClock, ForgivingWire, Shortage
from .support import AUTHORITY, SERVER
from .watching import openFiles

#: One call of so many fails here; all of them in L{tests.campaigns.faults}.
STRIDE = 97

VERSIONS = (SslProtocols.Tls13, SslProtocols.Tls12)


def quiet(test: SynchronousTestCase) -> None:
    """
    Keep what is logged, and what cffi tells of callbacks, to ourselves for as long as
    a test runs.
    """
    observers = list(globalLogPublisher._observers)
    for each in observers:
        globalLogPublisher.removeObserver(each)

    leaveAside(test)

    def restore() -> None:
        # What nobody has heard of is logged now.
        gc.collect()
        for each in observers:
            globalLogPublisher.addObserver(each)

    test.addCleanup(restore)
    test.patch(sys, "unraisablehook", lambda _: None)


def failed(deferred: Deferred[Any]) -> Failure:
    """
    @return: what a Deferred has failed with.
    """
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    (failure,) = failures
    return failure


class MemoryTests(SynchronousTestCase):
    """
    Memory runs out.
    """

    def setUp(self) -> None:
        """
        Have it in silence.
        """
        quiet(self)

    def lacking(self, where: int | str, conversation: Conversation) -> tuple[list[str], Shortage]:
        """
        Have a conversation in which memory runs out once.

        @return: the problems, and where it did.
        """
        shortage = Shortage(where)
        with shortage:
            conversation.hold()
        return conversation.problems(shortage.where), shortage

    def assertSound(self, where: str, name: str) -> None:
        """
        Assert that nothing bad comes of it where one call fails, be it the first of
        its kind or a later one, with peers that are acceptable and with others.
        """
        for number in range(1, 5):
            for version in VERSIONS:
                for isGood in (True, False):
                    conversation = CONVERSATIONS[name](version, isGood)
                    problems, shortage = self.lacking(f"{where}#{number}", conversation)
                    self.assertEqual(problems, [], (where, number, version, isGood))
                    if isGood and number == 1:
                        self.assertEqual(shortage.where, where)

    def test_everywhere(self) -> None:
        """
        Wherever it runs out: whoever waits for something hears of it, at the latest
        when the time is up or the connection is lost; nobody is let in who is to be
        refused; no part of what was sent is taken for the whole or put together
        wrongly; nothing is left parked, and no timer.
        """
        for index, make in enumerate(CONVERSATIONS.values()):
            for isGood in (True, False):
                version = VERSIONS[(index + isGood) % 2]
                # What is remembered by the process is computed now.
                problems, shortage = self.lacking(-1, make(version, isGood))
                self.assertEqual(problems, [])
                for number in range(index, shortage.count, STRIDE):
                    problems, shortage = self.lacking(number, make(version, isGood))
                    self.assertEqual(problems, [], (version, isGood, shortage.where))

    def test_counted(self) -> None:
        """
        Without that the same conversations come to a good end, in some hundreds of
        calls, and a call that fails is noticed.
        """
        for make in CONVERSATIONS.values():
            conversation = make(SslProtocols.Tls13, True)
            problems, shortage = self.lacking(-1, conversation)
            self.assertEqual((problems, shortage.where), ([], ""))
            self.assertGreater(shortage.count, 500)
            self.assertEqual(b"".join(conversation.received), b"a" * 10 + b"b" * 70_000 + b"c" * 5)
            self.assertEqual(conversation.outcomes["end"], b"")

    def test_behindAnswer(self) -> None:
        """
        What fails behind the answer of a callback, where nobody waits for what it
        comes to, ends the handshake with an error that has it as its cause.
        """
        for where in (
            "authentication._stepped",
            "authentication._settle",
            "_openssl._forgetVerdict",
            "protocol._conclude",
            "_waiting._step",
        ):
            self.assertSound(where, "a client's certificate is judged by a callback")
        conversation = CONVERSATIONS["a client's certificate is judged by a callback"](
            SslProtocols.Tls13, True
        )
        self.lacking("authentication.decided", conversation)
        error: Any = conversation.outcomes["client"]
        self.assertIn("the handshake could not go on", str(error))
        self.assertIsInstance(error.__cause__, MemoryError)

    def test_beginning(self) -> None:
        """
        A connection whose handshake cannot even begin is ended: no time-out would
        be there to do that.
        """
        for where in ("authentication.begin", "_deadline.begin", "_transports.socketOf"):
            self.assertSound(where, "protocols that are pushed their data")
            wire = Wire()
            for options in (AUTHORITY.clientOptions(), AUTHORITY.serverOptions()):
                isClient = isinstance(options, SslClientAuthenticationOptions)
                factory = SslStreamFactory(options, isClient, Factory.forProtocol(Application))
                protocol: Any = factory.buildProtocol(None)
                end = wire.client if isClient else wire.server
                with Shortage(where) as shortage:
                    protocol.makeConnection(end)
                self.assertEqual(shortage.where, where)
                # At once, and nobody else has to see to it.
                self.assertIsInstance(end.closing, ConnectionAborted)

    def test_askedLater(self) -> None:
        """
        Whoever asks for a client's certificate in mid-conversation hears of the
        end.
        """
        for where in ("_openssl.requestNothing", "reauthentication._decided"):
            self.assertSound(where, "a client is asked later")

    def test_unsent(self) -> None:
        """
        Data that an application has written and that is lost before it is sent ends
        the connection: nothing follows it, least of all an orderly end.
        """
        for where in ("_traffic._sendGathered", "_openssl.send", "_openssl.SSL_write"):
            self.assertSound(where, "protocols that are pushed their data")

    def test_sides(self) -> None:
        """
        Who reads or writes as the connection is lost is told.
        """
        for where in (
            *("_sides._serve", "_sides._moved", "_sides._forgetData"),
            *("protocol.loseConnection", "protocol._shutdownTLS"),
        ):
            self.assertSound(where, "a server's is judged by what there is")


class Lacking:
    """
    OpenSSL, some of whose functions have no memory.
    """

    def __init__(self, **functions: Any) -> None:
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)


class OpenSSLTests(SynchronousTestCase):
    """
    Memory runs out for OpenSSL, and where it calls us.
    """

    def setUp(self) -> None:
        """
        Have it in silence.
        """
        quiet(self)

    def failing(self, decision: str) -> Any:
        """
        Have what answers OpenSSL raise in the end, in spite of everything.

        @param decision: the name of the function that decides.
        """
        guarded = _openssl._guarded

        def fail(ssl: Any, refusal: Any, decide: Any) -> Any:
            answer = guarded(ssl, refusal, decide)
            if decide.__name__ == decision:
                raise MemoryError
            return answer

        return patch.object(_openssl, "_guarded", fail)

    def test_resumption(self) -> None:
        """
        A session goes on only if that was decided: where the answer is lost, the
        server is refused.
        """
        answers: list[bool] = []
        options = {"remoteCertificateValidationCallback": lambda *_: answers.pop()}
        for version in VERSIONS:
            answers[:] = [False, True]
            shared = AUTHORITY.clientOptions(version, **options)
            pair = connectedStreams(shared, version=version)
            resultOf(pair.server.write(b"a ticket comes with this"))
            pair.flush()
            pair.client.close()
            pair.flush()
            with self.failing("_judgeResumed"):
                second = StreamPair(keepsSessions=True)
                client, server = second.authenticate(version, client=shared)
                failureOf(client, AuthenticationError)
                server.addErrback(lambda _: None)
            # It was the session that was asked about.
            self.assertEqual(answers, [])

    def test_applicationProtocol(self) -> None:
        """
        So is what the two sides talk about.
        """
        pair = StreamPair()
        protocols = {"applicationProtocols": (b"h2",)}
        with self.failing("choose"):
            client, server = pair.authenticate(client=protocols, server=protocols)
        for each in (client, server):
            failureOf(each, AuthenticationError)

    def test_staple(self) -> None:
        """
        A server without memory for the response that it staples shows none.
        """
        context = AUTHORITY.issueStapled("localhost", mustStaple=False)
        options = {"serverCertificateContext": context, "serverCertificate": None}
        policy = X509ChainPolicy(
            customTrustStore=[AUTHORITY.certificate],
            trustMode=X509ChainTrustMode.CustomRootTrust,
            revocationMode=X509RevocationMode.Offline,
        )
        client = {"certificateChainPolicy": policy, "trust": None}
        shown: Any = connectedStreams(client, options).client.remoteChain
        self.assertTrue(shown.stapledResponse)
        with patch.object(_openssl, "lib", Lacking(OPENSSL_malloc=lambda _: ffi.NULL)):
            # The client knows it, so that it does not matter here.
            shown = connectedStreams(client, options).client.remoteChain
        self.assertIsNone(shown.stapledResponse)

    def test_connection(self) -> None:
        """
        A connection for which OpenSSL has no memory at all is ended: pyOpenSSL goes on
        as if it had some.
        """
        wire = ForgivingWire(clock=ForgivingClock())
        for isClient in (True, False):
            options = AUTHORITY.clientOptions() if isClient else AUTHORITY.serverOptions()
            # Contexts are made before.
            options.parameters  # noqa: B018
            with patch.object(SSL, "_lib", Lacking(SSL_new=lambda _: ffi.NULL)):
                factory = SslStreamFactory(options, isClient, Factory.forProtocol(Application))
                protocol: Any = factory.buildProtocol(None)
                end = wire.client if isClient else wire.server
                end.protocol = protocol
                protocol.makeConnection(end)
            self.assertIsNotNone(end.closing)
            end.lost(ConnectionAborted())
            failureOf(protocol.whenAuthenticated(), InvalidOperationError)

    def test_received(self) -> None:
        """
        What OpenSSL cannot take is not passed over: in the handshake and behind it
        the connection ends.
        """
        for isEarly in (True, False):
            wire = ForgivingWire(clock=ForgivingClock())
            wire.connect(Bystander(), Bystander())
            client = SslStream(wire.client, clock=wire.clock)
            server = SslStream(wire.server, clock=wire.clock)
            outcomes: list[Deferred[Any]] = [
                server.authenticateAsServer(AUTHORITY.serverOptions()),
                client.authenticateAsClient(AUTHORITY.clientOptions()),
            ]
            if not isEarly:
                wire.flush()
                resultOf(server.write(b"some data"))
                outcomes = [client.read(100)]
            with patch.object(_openssl, "_bioWrite", lambda *_: -1):
                wire.flush()
            kinds = [type(each.value) for each in map(failed, outcomes)]
            expected = [HandshakeInterrupted] * 2 if isEarly else [TruncationError]
            self.assertEqual(kinds, expected)
            self.assertIsInstance(wire.raised[0], MemoryError)

    def test_buffers(self) -> None:
        """
        Where there is none for smaller buffers, the large ones stay in use.
        """
        pair = connectedStreams()
        made = [ffi.NULL, lib.BIO_new(lib.BIO_s_mem())]
        protocol: Any = pair.client._protocol
        before = protocol._tlsConnection._into_ssl
        with patch.object(_openssl, "lib", Lacking(BIO_new=lambda _: made.pop())):
            protocol.trim()
        self.assertEqual((made, protocol._tlsConnection._into_ssl), ([], before))
        protocol.trim()
        self.assertNotEqual(protocol._tlsConnection._into_ssl, before)
        resultOf(pair.server.write(b"goes on"))
        pair.flush()
        self.assertEqual(resultOf(pair.client.read()), b"goes on")


#: What a callback may raise that no C{except Exception} catches, and some more.
ERRORS: tuple[BaseException, ...] = (
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
    asyncio.CancelledError(),
    CancelledError(),
    MemoryError(),
    RecursionError(),
)

#: Each kind of callback, and whose option it is.
CALLBACKS = (
    ("client", "remoteCertificateValidationCallback"),
    ("client", "localCertificateSelectionCallback"),
    ("server", "remoteCertificateValidationCallback"),
    ("server", "serverCertificateSelectionCallback"),
    ("server", "serverOptionsSelectionCallback"),
)


def answering(answer: object) -> Callable[..., Any]:
    """
    @return: a callback that answers.
    """
    return lambda *_: answer


def raising(error: BaseException) -> Callable[..., Any]:
    """
    @return: a callback that raises.
    """

    def callback(*_: object) -> Any:
        raise error

    return callback


def raisingLater(error: BaseException) -> Callable[..., Any]:
    """
    @return: one that is a coroutine.
    """

    async def callback(*_: object) -> Any:
        raise error

    return callback


def failing(error: BaseException) -> Callable[..., Any]:
    """
    @return: one whose Deferred fails.
    """

    def callback(*_: object) -> Any:
        return fail(error)

    return callback


#: Where the list of revoked certificates is that L{revocable} names by default.
CRL = "http://crl.example/"


def revocable(host: str) -> SslStreamCertificateContext:
    """
    @return: a server's certificate with a list of revoked ones at a host.
    """
    place = x509.UniformResourceIdentifier(f"http://{host}/")
    points = x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])
    return AUTHORITY.issue("localhost", extensions=[(points, False)])


class CallbackTests(SynchronousTestCase):
    """
    Callbacks do what they must not.
    """

    def begin(
        self, whose: str, name: str, callback: Any, version: SslProtocols, **options: Any
    ) -> tuple[StreamPair, Deferred[Any], Deferred[Any]]:
        """
        Have a callback in a handshake.

        @return: the pair, the Deferred of the callback's side and that of the other.
        """
        pair = StreamPair()
        if name == "serverOptionsSelectionCallback":
            ours = pair.server.authenticateAsServer(callback, None)
            theirs = pair.client.authenticateAsClient(AUTHORITY.clientOptions(version))
            pair.flush()
        else:
            given: Any = {whose: {name: callback, **options}}
            client, server = pair.authenticate(version, **given)
            ours, theirs = (client, server) if whose == "client" else (server, client)
        return pair, ours, theirs

    def test_raises(self) -> None:
        """
        Whatever a callback raises, of whichever kind it is and however it answers,
        the peer is refused: this side is told what was raised, the peer by an alert,
        and nothing is left.
        """
        for whose, name in CALLBACKS:
            for number, error in enumerate(ERRORS):
                for make in (raising, raisingLater, failing):
                    version = VERSIONS[number % 2]
                    pair, ours, theirs = self.begin(whose, name, make(error), version)
                    told = failureOf(ours, AuthenticationError)
                    self.assertIs(told.__cause__, error)
                    self.assertIn(type(error).__name__, str(told))
                    if name == "localCertificateSelectionCallback":
                        # It is asked before anything is said.
                        failureOf(theirs, HandshakeInterrupted)
                        self.assertEqual(pair.wire.client.everWritten, b"")
                    else:
                        self.assertIs(told.alertSent, TlsAlert.internal_error)
                        heard = failureOf(theirs, AuthenticationError)
                        self.assertIs(heard.alert, TlsAlert.internal_error)
                    self.assertEqual(pair.clock.getDelayedCalls(), [])
        self.assertEqual(_waiting._parked, set())

    def test_neverAnswers(self) -> None:
        """
        One that never answers is waited for as long as the handshake may take; then
        the peer is refused, the Deferred is cancelled, and what it comes to after all
        matters to nobody.
        """
        for whose, name in CALLBACKS:
            for version in VERSIONS:
                cancelled: list[object] = []
                asked: Deferred[Any] = Deferred(cancelled.append)
                pair, ours, theirs = self.begin(whose, name, answering(asked), version)
                pair.advance(29)
                self.assertEqual(cancelled, [])
                pair.advance(1)
                error = failureOf(ours, HandshakeTimeout)
                self.assertIn("while a callback was deciding", str(error))
                theirs.addErrback(lambda failure: failure.trap(AuthenticationError))
                self.assertEqual(cancelled, [asked])
                if name != "localCertificateSelectionCallback":
                    self.assertIsNotNone(error.alertSent)
                asked.addErrback(lambda _: None)
                pair.advance(10)
                self.assertEqual(pair.clock.getDelayedCalls(), [])
                self.assertFalse(pair.server.isAuthenticated)
        self.assertEqual(_waiting._parked, set())

    def test_twice(self) -> None:
        """
        The first answer of two counts; the second is its owner's mistake, and told
        to him.
        """
        for first in (True, False):
            for whose in ("client", "server"):
                for version in VERSIONS:
                    asked: Deferred[Any] = Deferred()
                    name = "remoteCertificateValidationCallback"
                    pair, ours, theirs = self.begin(whose, name, answering(asked), version)
                    asked.callback(first)
                    self.assertRaises(AlreadyCalledError, asked.callback, not first)
                    pair.flush()
                    self.assertRaises(AlreadyCalledError, asked.errback, KeyError())
                    if first:
                        self.assertTrue(resultOf(ours).isAuthenticated)
                        resultOf(theirs)
                    else:
                        self.assertIn("was refused by", str(failureOf(ours, AuthenticationError)))
                        failureOf(theirs, AuthenticationError)

    def test_odd(self) -> None:
        """
        A Deferred that was cancelled before, one that two handshakes share, and one
        that fires with another that fires with another: only a plain C{True} lets
        anybody in.
        """
        name = "remoteCertificateValidationCallback"
        for version in VERSIONS:
            asked: Deferred[Any] = Deferred()
            asked.cancel()
            _, ours, theirs = self.begin("server", name, answering(asked), version)
            self.assertIsInstance(failureOf(ours, AuthenticationError).__cause__, CancelledError)
            failureOf(theirs, AuthenticationError)

            shared: Deferred[Any] = Deferred()
            each = [self.begin("server", name, answering(shared), version) for _ in range(2)]
            shared.callback(True)
            for pair, *_ in each:
                pair.flush()
            resultOf(each[0][1])
            resultOf(each[0][2])
            self.assertIn("not NoneType", str(failureOf(each[1][1], AuthenticationError)))
            failureOf(each[1][2], AuthenticationError)

            inner: Deferred[Any] = Deferred()
            outer = succeed(None).addCallback(answering(inner))
            pair, ours, theirs = self.begin("server", name, answering(outer), version)
            self.assertFalse(ours.called)
            inner.callback(True)
            pair.flush()
            resultOf(ours)
            resultOf(theirs)

    def test_canceller(self) -> None:
        """
        A canceller that raises, whatever it may be, is logged, and the end of the
        connection goes on.
        """
        for error in ERRORS:
            asked: Deferred[Any] = Deferred(raising(error))
            options = {"remoteCertificateValidationCallback": answering(asked)}
            pair = StreamPair()
            client, server = pair.authenticate(server=options)
            with capturedLogs() as events:
                pair.server.abort()
            (event,) = (each for each in events if each["log_level"] is LogLevel.critical)
            self.assertIn("failed to be cancelled", formatEvent(event))
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)
            pair.flush()
            failureOf(server, HandshakeCancelled)
            client.addErrback(lambda _: None)
            self.assertTrue(self.successResultOf(pair.server.whenClosed()) is None)

    def test_observers(self) -> None:
        """
        An observer of handshakes that raises, whatever it may be, concerns nobody
        else; it is logged.
        """
        for error in ERRORS:
            observer = Mock(
                **{
                    f"{name}.side_effect": error
                    for name in (
                        *("handshakeStarted", "handshakeCompleted", "handshakeFailed"),
                        *("connectionClosed", "clientTurnedAway"),
                    )
                }
            )
            directlyProvides(observer, IHandshakeObserver, IAdmissionObserver)
            addObserver(observer)
            self.addCleanup(removeObserver, observer)
            pair = connectedStreams()
            limit = HandshakeLimit(1)
            admission = limit.admit(None)
            self.assertIsNotNone(admission)
            self.assertIsNone(limit.admit(None))
            for each in (pair.client, pair.server):
                each.close()
            pair.flush()
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 7)
            removeObserver(observer)

    def test_retriever(self) -> None:
        """
        A retriever that raises, whatever it may be, has fetched nothing: the peer is
        refused where revocation is to be checked.
        """
        context = revocable("crl.example")
        for error in ERRORS:
            for make in (raising, failing):
                policy = X509ChainPolicy(
                    trustMode=X509ChainTrustMode.CustomRootTrust,
                    customTrustStore=[AUTHORITY.certificate],
                    revocationMode=X509RevocationMode.Online,
                    retriever=MemoryWeb({CRL: make(error)}),
                )
                pair = StreamPair()
                client, server = pair.authenticate(
                    client={"certificateChainPolicy": policy, "trust": None},
                    server={"serverCertificate": None, "serverCertificateContext": context},
                )
                told = failureOf(client, AuthenticationError)
                self.assertTrue(told.chainStatus & X509ChainStatusFlags.RevocationStatusUnknown)
                failureOf(server, AuthenticationError)

    def test_permits(self) -> None:
        """
        Who decides about URLs and raises, whatever it may be, permits nothing.
        """
        for error in ERRORS:
            retriever = HttpRetriever(MemoryReactorClock(), permits=raising(error))
            failed = retriever.retrieve("http://crl.invalid/", limit=1, timeout=1)
            self.assertIn("not permitted", str(failureOf(failed, RetrievalError)))
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)

    def test_renewed(self) -> None:
        """
        What reads renewed files and raises, or whoever is asked for their password,
        whatever it may be, leaves the certificate in service that there was, and the
        files are looked at again.
        """
        clock = Clock()
        path = temporaryDirectory(self) / "server.pem"
        writePEM(path, SERVER)
        os.utime(path, (1, 1))
        other = AUTHORITY.issue("localhost")
        for error in ERRORS:
            answers: list[Any] = [SERVER]

            def load(answers: list[Any] = answers) -> Any:
                if isinstance(answers[0], BaseException):
                    raise answers[0]
                return answers[0]

            source = ReloadingCertificate(load, [path], clock=clock, reactor=clock, interval=10)
            answers[0] = error
            os.utime(path, (2, source._lookedAt + 2))
            for _ in range(6):
                clock.advance(10)
                self.assertEqual(len(clock.getDelayedCalls()), 1)
            self.assertEqual(source.current, SERVER)
            self.assertIn(type(error).__name__, source.problem or "")
            answers[0] = other
            clock.advance(10)
            self.assertEqual(source.current, other)
            source.stopWatching()
            self.flushLoggedErrors()
        asked = Mock(return_value=Deferred(raising(SystemExit())))
        writePEM(path, SERVER, b"secret")
        self.assertRaises(CertificateError, SslStreamCertificateContext.fromPEM, path, None, asked)
        asked.assert_called_once()

    def test_handler(self) -> None:
        """
        What handles streams and raises, whatever it may be, has its stream ended; it
        is logged.
        """
        for error in ERRORS:
            memory = MemoryEndpoint()
            server = SslStreamServerEndpoint(memory, AUTHORITY.serverOptions())
            server.listenStreams(raising(error))
            client = SslStreamClientEndpoint(memory, AUTHORITY.clientOptions(), memory.clock)
            application = Application()
            client.connect(Factory.forProtocol(answering(application)))
            memory.flush()
            self.assertEqual(application.events[-1:], ["lost"])
            # That one is how Python ends what nobody waits for.
            isLogged = not isinstance(error, GeneratorExit)
            self.assertEqual(len(self.flushLoggedErrors(type(error))), isLogged)

    def test_keyLog(self) -> None:
        """
        What takes the secrets of connections and raises, whatever it may be, concerns
        nobody else, and its words, which may be the secrets, are not told.
        """
        for error in ERRORS:
            pair = StreamPair()
            with capturedLogs() as events:
                options = withKeyLog(AUTHORITY.clientOptions(), raising(error))
                client, server = pair.authenticate(client=options)
            resultOf(client)
            resultOf(server)
            told = [formatEvent(each) for each in events if each["log_level"] is LogLevel.error]
            self.assertTrue(told)
            for each in told:
                self.assertTrue(each.endswith(f"raised {type(error).__name__}"), each)

    def test_application(self) -> None:
        """
        An application that raises as it is connected, whatever it may be, behind the
        answer of a callback as well as without one, has its connection ended.
        """
        for error in ERRORS:
            for waits in (False, True):
                asked: Deferred[Any] = Deferred()
                judge = answering(asked if waits else True)
                options = AUTHORITY.serverOptions(remoteCertificateValidationCallback=judge)
                link = Link(
                    True,
                    (AUTHORITY.clientOptions(), Application()),
                    (options, Application(made=raising(error))),
                )
                authenticated = link.server.tls.whenAuthenticated()
                link.wire.flush()
                asked.callback(True)
                link.wire.flush()
                self.assertIs(failureOf(authenticated, type(error)), error)
                self.assertFalse(link.server.inner.connected)
                self.assertEqual(link.client.application.events[-1:], ["lost"])
                self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)


def without(number: int) -> Callable[..., Any]:
    """
    @return: a function that fails for want of something.
    """

    def fail(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


_FSYNC = os.fsync

#: What there can be too little of to open a file, and what then fails.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class DescriptorTests(SynchronousTestCase):
    """
    Descriptors run out.
    """

    def test_stores(self) -> None:
        """
        A store whose files cannot be opened for want of descriptors or memory says
        so, and is whole again as soon as they can be: that they could not be read is
        not remembered.
        """
        home = temporaryDirectory(self)
        store = X509Store("Test", path=home / "store")
        store.add(AUTHORITY.certificate)
        for number in SHORTAGES:
            storefiles._directories.clear()
            with patch.object(Path, "open", without(number)):
                error = self.assertRaises(CertificateError, lambda: store.certificates)
            self.assertIn(os.strerror(number), str(error))
            self.assertEqual(store.certificates, (AUTHORITY.certificate,))
        # In the second step of reading, and for want of memory in Python's sense.
        path = store.path / "other.pem"
        writePEM(path, SERVER)
        with patch.object(Path, "read_bytes", without(errno.EMFILE)):
            self.assertRaises(CertificateError, lambda: store.certificates)
        self.assertIn(SERVER.certificate, store.certificates)
        path.write_bytes(certificatePEM(SERVER.certificate))
        with patch.object(storefiles, "certificatesFromPEM", side_effect=MemoryError):
            self.assertRaises(CertificateError, lambda: store.certificates)
        self.assertIn(SERVER.certificate, store.certificates)

    def test_systemRoots(self) -> None:
        """
        So do the system's roots: without descriptors nobody is trusted, which is
        said, and with them again everybody is who was.
        """
        home = temporaryDirectory(self)
        bundle = home / "roots.pem"
        bundle.write_bytes(certificatePEM(AUTHORITY.certificate))
        storefiles._systems.clear()
        self.addCleanup(storefiles._systems.clear)
        environment = {"SSL_CERT_FILE": str(bundle), "SSL_CERT_DIR": "", "HOME": str(home)}
        with patch.dict(os.environ, environment):
            with patch.object(Path, "open", without(errno.EMFILE)):
                stores._changed()
                pair = StreamPair()
                client, server = pair.authenticate(client={"trust": None})
                error = failureOf(client, AuthenticationError)
                self.assertIn("Too many open files", str(error))
                self.assertIs(error.alertSent, TlsAlert.internal_error)
                server.addErrback(lambda _: None)
            stores._changed()
            connectedStreams({"trust": None})
        stores._changed()

    def test_admission(self) -> None:
        """
        A client for whom no protocol could be made does not count for a limit.
        """
        limit = HandshakeLimit(1)
        factory = limit.guard(Mock(buildProtocol=Mock(side_effect=MemoryError)))
        for _ in range(3):
            self.assertRaises(MemoryError, factory.buildProtocol, None)
        self.assertEqual((limit.unauthenticated, limit.turnedAway), (0, 0))

    def test_retrieval(self) -> None:
        """
        Without a descriptor nothing is fetched: where revocation is to be checked the
        peer is refused, and told so.
        """
        reactor = MemoryReactorClock()
        retriever = HttpRetriever(reactor)
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=[AUTHORITY.certificate],
            revocationMode=X509RevocationMode.Online,
            retriever=retriever,
        )
        pair = StreamPair()
        client, server = pair.authenticate(
            client={"certificateChainPolicy": policy, "trust": None},
            server={"serverCertificate": None, "serverCertificateContext": revocable("127.0.0.1")},
        )
        connector = reactor.connectors[0]
        connector.stopConnecting = lambda: None
        factory = reactor.tcpClients[0][2]
        factory.clientConnectionFailed(connector, Failure(OSError(errno.EMFILE, "too many")))
        reactor.advance(1)
        pair.flush()
        error = failureOf(client, AuthenticationError)
        self.assertEqual(
            error.chainStatus,
            X509ChainStatusFlags.RevocationStatusUnknown | X509ChainStatusFlags.OfflineRevocation,
        )
        self.assertIn("too many", str(error))
        self.assertIs(error.alertSent, TlsAlert.certificate_unknown)
        failureOf(server, AuthenticationError)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_reload(self) -> None:
        """
        Renewed files that cannot be opened for want of descriptors leave the old
        certificate in service, which the log says; they are read as soon as they can
        be.
        """
        clock = Clock()
        path = temporaryDirectory(self) / "server.pem"
        writePEM(path, SERVER)
        os.utime(path, (1, 1))
        source = ReloadingCertificate.fromPEM(path, clock=clock, interval=10)
        other = AUTHORITY.issue("localhost")
        writePEM(path, other)
        os.utime(path, (2, 2))
        options = AUTHORITY.serverOptions(serverCertificate=None, serverCertificateContext=source)
        with patch.object(Path, "read_bytes", without(errno.EMFILE)), capturedLogs() as events:
            for _ in range(20):
                clock.advance(1)
                pair = connectedStreams(serverOptions=options)
                self.assertEqual(pair.client.remoteCertificate, SERVER.certificate)
        (event,) = (each for each in events if each["log_level"] is LogLevel.error)
        self.assertIn("stays in service: Too many open files", formatEvent(event))
        clock.advance(10)
        pair = connectedStreams(serverOptions=options)
        self.assertEqual(pair.client.remoteCertificate, other.certificate)


class DiskTests(SynchronousTestCase):
    """
    The disk is full.
    """

    def setUp(self) -> None:
        """
        Have a directory.
        """
        self.home = temporaryDirectory(self)

    def full(self, at: str) -> Any:
        """
        Have no room.

        @param at: which step fails: C{"open"}, C{"write"}, C{"fsync"} or
            C{"replace"}.
        """
        refuse = without(errno.ENOSPC)
        if at == "open":
            return patch.object(tempfile, "mkstemp", refuse)
        if at == "write":
            return patch.object(os, "fdopen", _HalfFull)
        return patch.object(os, at, refuse)

    def files(self) -> dict[str, bytes]:
        """
        @return: every file there is, by its name.
        """
        return {
            str(each.relative_to(self.home)): each.read_bytes()
            for each in self.home.rglob("*")
            if each.is_file()
        }

    def test_replaced(self) -> None:
        """
        A file that is to be replaced stays whole, wherever the disk turns out to be
        full, and no other is left.
        """
        path = self.home / "file"
        storefiles.writePrivately(path, b"old" * 1000)
        for step in ("open", "write", "fsync", "replace"):
            with self.full(step):
                error = self.assertRaises(
                    OSError, storefiles.writePrivately, path, b"new" * 100_000
                )
            self.assertEqual(error.errno, errno.ENOSPC)
            self.assertEqual(self.files(), {"file": b"old" * 1000})
        self.assertEqual(openFiles(str(self.home.resolve())), [])

    def test_cache(self) -> None:
        """
        What was fetched about a certificate is used though it cannot be kept on disk,
        in this connection and in others of this process; it is logged once, and no
        part of it is left.
        """
        web = MemoryWeb({CRL: AUTHORITY.crl().public_bytes(Encoding.DER)})
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=[AUTHORITY.certificate],
            revocationMode=X509RevocationMode.Online,
            retriever=web,
        )
        context = revocable("crl.example")
        for step in ("open", "write", "replace"):
            cache = RevocationCache(self.home / "cache")
            asked = web.asked
            asked.clear()
            with (
                patch.object(chain, "defaultCache", answering(cache)),
                self.full(step),
                capturedLogs() as events,
            ):
                for _ in range(2):
                    connectedStreams(
                        {"certificateChainPolicy": policy, "trust": None},
                        {"serverCertificate": None, "serverCertificateContext": context},
                    )
            self.assertEqual(len(asked), 1)
            (event,) = (each for each in events if each["log_level"] is LogLevel.warn)
            self.assertIn("is not kept on disk", formatEvent(event))
            self.assertEqual(self.files(), {})

    def test_store(self) -> None:
        """
        Certificates that are added to a store are all in it, or none of them is.
        """
        both = self.home / "both.pem"
        intermediate = AUTHORITY.intermediate("Another")
        both.write_bytes(certificatePEM(AUTHORITY.certificate, intermediate.certificate))
        store = X509Store("Test", path=self.home / "store")
        before = self.files()
        for failing in (1, 2):
            calls: list[int] = []

            def limited(descriptor: int, calls: list[int] = calls, last: int = failing) -> None:
                calls.append(descriptor)
                if len(calls) == last:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                _FSYNC(descriptor)

            with patch.object(os, "fsync", limited):
                error = self.assertRaises(CertificateError, store.add, both)
            self.assertIn("No space left on device", str(error))
            self.assertEqual(self.files(), before)
            self.assertEqual(store.certificates, ())
        store.add(both)
        self.assertEqual(len(store.certificates), 2)
        # One that is only to get its key stays as it was.
        store.add(SERVER.certificate)
        before = self.files()
        with self.full("fsync"):
            self.assertRaises(CertificateError, store.add, SERVER)
        self.assertEqual(self.files(), before)
        self.assertIn(SERVER.certificate, store.certificates)

    def test_developmentCertificate(self) -> None:
        """
        A certificate for development that cannot be written whole is an error that
        says which file, and the next attempt makes what is missing.
        """
        for failing in range(3):
            directory = self.home / str(failing)
            calls: list[int] = []

            def limited(descriptor: int, calls: list[int] = calls, last: int = failing) -> None:
                calls.append(descriptor)
                if len(calls) > last:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                _FSYNC(descriptor)

            with patch.object(os, "fsync", limited):
                error = self.assertRaises(CertificateError, DevelopmentCertificate(directory).load)
            self.assertRegex(str(error), r"\.pem: No space left on device$")
            names = ["authority-private.pem", "authority.pem"][:failing]
            self.assertEqual(sorted(each.name for each in directory.iterdir()), names)
            context = DevelopmentCertificate(directory).load()
            self.assertEqual(context, DevelopmentCertificate(directory).load())
            self.assertEqual(len(list(directory.iterdir())), 3)

    def test_secrets(self) -> None:
        """
        A line of secrets for which there is no room, or only for a part, is not in
        the log, is told, and the connection goes on.
        """
        path = self.home / "secrets"
        options = withKeyLog(AUTHORITY.clientOptions(), path)
        resultOf(StreamPair().authenticate(client=options)[0])
        lines = path.read_bytes()
        self.assertTrue(lines.endswith(b"\n"))
        write = os.write
        for kept in (None, 10):

            def limited(descriptor: int, data: bytes, kept: int | None = kept) -> int:
                if kept is None:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(descriptor, data[:kept])

            with patch.object(os, "write", limited), capturedLogs() as events:
                resultOf(StreamPair().authenticate(client=options)[0])
            told = [formatEvent(each) for each in events if each["log_level"] is LogLevel.error]
            self.assertTrue(told)
            for each in told:
                self.assertIn("no TLS secret was logged", each)
                self.assertIn("No space left on device", each)
            self.assertEqual(path.read_bytes(), lines)
        resultOf(StreamPair().authenticate(client=options)[0])
        self.assertTrue(path.read_bytes().startswith(lines))
        self.assertGreater(len(path.read_bytes()), len(lines))

    def test_secretsBehind(self) -> None:
        """
        What somebody else has written behind such a part is not taken away.
        """
        path = self.home / "secrets"
        options = withKeyLog(AUTHORITY.clientOptions(), path)
        write = os.write

        def limited(descriptor: int, data: bytes) -> int:
            size = write(descriptor, data[:10])
            with path.open("ab") as other:
                other.write(b"\nOTHER\n")
            return size

        with patch.object(os, "write", limited):
            resultOf(StreamPair().authenticate(client=options)[0])
        self.assertIn(b"\nOTHER\n", path.read_bytes())


class _HalfFull(io.FileIO):
    """
    A file that takes the beginning.
    """

    def write(self, data: Any) -> int:
        """
        Take the beginning.
        """
        super().write(data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class ClockTests(SynchronousTestCase):
    """
    Clocks jump.
    """

    def setUp(self) -> None:
        """
        Have a calendar, at a time at which all certificates are valid.
        """
        self.now = AUTHORITY.now
        calendar = SimpleNamespace(
            datetime=SimpleNamespace(now=lambda _: self.now), timezone=datetime.timezone
        )
        self.patch(chain, "datetime", calendar)

    def meet(
        self, client: SslClientAuthenticationOptions, server: SslStreamCertificateContext
    ) -> X509ChainStatusFlags:
        """
        @return: what a client has against a server; nothing if both accept each
            other.
        """
        pair = StreamPair(keepsSessions=True)
        options = AUTHORITY.serverOptions(serverCertificate=None, serverCertificateContext=server)
        ours, theirs = pair.authenticate(client=client, server=options)
        theirs.addErrback(lambda _: None)
        try:
            stream = resultOf(ours)
        except AuthenticationError as e:
            self.assertFalse(pair.client.isAuthenticated)
            return e.chainStatus
        resultOf(pair.server.write(b"with a ticket"))
        pair.flush()
        for each in (stream, pair.server):
            each.close()
        pair.flush()
        return X509ChainStatusFlags.NoError

    def test_certificates(self) -> None:
        """
        A certificate that was accepted is refused from the moment on at which the
        calendar says that it has expired or is not valid yet, whatever is remembered
        of it, in the next handshake, be it a new session or one that goes on; and
        accepted again when the calendar is right again.
        """
        for resumes in (False, True):
            sessions.clear()
            server = AUTHORITY.issue("localhost", notBefore=NOW - DAY, notAfter=NOW + DAY)
            client = AUTHORITY.clientOptions(allowTlsResume=resumes)
            for days, expected in (
                (0, X509ChainStatusFlags.NoError),
                (2, X509ChainStatusFlags.NotTimeValid),
                (0, X509ChainStatusFlags.NoError),
                (-2, X509ChainStatusFlags.NotTimeValid),
                (10_000, X509ChainStatusFlags.NotTimeValid),
                (0, X509ChainStatusFlags.NoError),
            ):
                self.now = NOW + days * DAY
                for _ in range(2):
                    self.assertEqual(self.meet(client, server) & expected, expected, days)

    def test_revocation(self) -> None:
        """
        What was fetched about revocation is used while the calendar says that it is
        valid, and at no other time: then it is fetched anew, and what is no better
        refuses.
        """
        lists = [AUTHORITY.crl()]
        web = MemoryWeb({CRL: lambda *_: lists[-1].public_bytes(Encoding.DER)})
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=[AUTHORITY.certificate],
            revocationMode=X509RevocationMode.Online,
            retriever=web,
        )
        client = AUTHORITY.clientOptions(certificateChainPolicy=policy, trust=None)
        server = revocable("crl.example")
        begins, ends = lists[0].last_update_utc, lists[0].next_update_utc
        assert ends is not None
        second = datetime.timedelta(seconds=1)
        cache = RevocationCache(temporaryDirectory(self) / "cache")
        self.patch(chain, "defaultCache", lambda: cache)
        for moment, isGood, fetched in (
            (NOW, True, 1),
            (NOW, True, 1),
            # Forwards, and back.
            (ends + second, False, 2),
            (NOW, True, 3),
            (NOW, True, 3),
            # Backwards, and on.
            (begins - DAY, False, 4),
            (NOW, True, 4),
        ):
            self.now = moment
            found = self.meet(client, server)
            isUnknown = X509ChainStatusFlags.RevocationStatusUnknown in found
            self.assertEqual((not isUnknown, len(web.asked)), (isGood, fetched), moment)

    def test_forwards(self) -> None:
        """
        Where the reactor's time jumps forwards, handshakes that are waiting are refused
        as if the time had passed; connections that are open stay so, and new ones are
        not concerned.
        """
        clock = Clock()
        asked: Deferred[Any] = Deferred()
        waiting = StreamPair(clock=clock)
        undecided = {"remoteCertificateValidationCallback": answering(asked)}
        client, server = waiting.authenticate(server=undecided)
        opened = connectedStreams(clock=clock)
        clock.advance(3600)
        waiting.flush()
        for each in (server, client):
            failureOf(each, HandshakeTimeout)
        for pair in (opened, connectedStreams(clock=clock)):
            resultOf(pair.client.write(b"still here"))
            pair.flush()
            self.assertEqual(resultOf(pair.server.read()), b"still here")
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_backwards(self) -> None:
        """
        Where it jumps backwards, handshakes that are waiting wait for longer, and are
        refused in the end; a time-out that begins then is as long as ever, and nobody
        is let in meanwhile.
        """
        clock = Clock()
        clock.advance(10_000)
        undecided: dict[str, Any] = {"remoteCertificateValidationCallback": lambda *_: Deferred()}
        before, after = StreamPair(clock=clock), StreamPair(clock=clock)
        theirs, first = before.authenticate(server=undecided)
        clock.rightNow -= 3600
        others, second = after.authenticate(server=undecided)
        for each in (theirs, others):
            each.addErrback(lambda failure: failure.trap(AuthenticationError))
        clock.advance(30)
        after.flush()
        failureOf(second, HandshakeTimeout)
        self.assertFalse(first.called)
        self.assertFalse(before.server.isAuthenticated)
        clock.advance(3600)
        before.flush()
        failureOf(first, HandshakeTimeout)
        for pair in (before, after):
            pair.client.abort()
            pair.flush()
        self.assertEqual(clock.getDelayedCalls(), [])


class ShutdownTests(SynchronousTestCase):
    """
    The process ends.
    """

    def test_waiting(self) -> None:
        """
        Where connections are lost because the reactor stops, all handshakes that wait
        end at once: each Deferred is cancelled, nothing is parked, no timer is left,
        and what is still answered matters to nobody.
        """
        clock = Clock()
        cancelled: list[object] = []
        pairs = []
        for number in range(60):
            asked: Deferred[Any] = Deferred(cancelled.append)
            pair = StreamPair(clock=clock, keepsSessions=True)
            answer = {"remoteCertificateValidationCallback": answering(asked)}
            # At the one side or the other.
            isServer = number % 2
            outcomes = pair.authenticate(
                VERSIONS[number % 4 // 2],
                client=None if isServer else answer,
                server=answer if isServer else None,
            )
            pairs.append((pair, outcomes[isServer], outcomes[not isServer]))
        # A server that asks for no certificate waits outside of OpenSSL.
        self.assertEqual(len(_waiting._parked), 30)
        for pair, ours, theirs in pairs:
            pair.wire.cut()
            failureOf(ours, HandshakeInterrupted)
            theirs.addErrback(lambda failure: failure.trap(AuthenticationError))
        self.assertEqual(len(cancelled), 60)
        self.assertEqual(_waiting._parked, set())
        self.assertEqual(clock.getDelayedCalls(), [])


class ProcessTests(SynchronousTestCase):
    """
    A part of L{tests.campaigns.faults}.
    """

    def test_campaign(self) -> None:
        """
        Without descriptors, and with handshakes that wait as it ends, a server does
        what it should.
        """
        campaign = Campaign(Namespace(short=True), temporaryDirectory(self))
        with redirect_stdout(io.StringIO()):
            results, isAsExpected = faults.conduct(campaign, ("descriptors", "stopped"))
        self.assertTrue(isAsExpected, results)
