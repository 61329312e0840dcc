"""
Tests for L{txsslstream.authentication}: who is asked and with what, what stands
still meanwhile, and how every verdict and every interruption ends on both
sides.
"""

from __future__ import annotations

import datetime
import gc
import os
import random
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from OpenSSL._util import lib
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherSuitesPolicy,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    IRetriever,
    RetrievalError,
    SslApplicationProtocol,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    StoreName,
    TlsAlert,
    TlsCipherSuite,
    TruncationError,
    X509Chain,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationMode,
    X509Store,
    _waiting,
    authentication,
)
from txsslstream._openssl import contextFor
from txsslstream._waiting import PausableCall
from txsslstream.authentication import Authentication
from txsslstream.testing import (
    DAY,
    NOW,
    VERSIONS,
    Authority,
    Bystander,
    MemoryTransport,
    StreamPair,
    Wire,
    issuing,
    perVersion,
    rsaKey,
)
from txsslstream.testing.damage import ofUnknownVersion, resigned, withBadTime

from .garbage import withoutCollector
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

if TYPE_CHECKING:
    _Tests = SynchronousTestCase
else:
    # What perVersion makes of a mixin is a test case; the mixin itself is none.
    _Tests = object

NOBODY = SslPolicyErrors.RemoteCertificateNotAvailable
NAME = SslPolicyErrors.RemoteCertificateNameMismatch
CHAIN = SslPolicyErrors.RemoteCertificateChainErrors
NO_ERRORS = SslPolicyErrors.None_
NO_ERROR = X509ChainStatusFlags.NoError

#: The trust in the authority that a server names to its clients.
NAMED_TRUST = SslCertificateTrust.fromCertificates(
    [AUTHORITY.certificate], sendTrustInHandshake=True
)


class Conversation(_Tests):
    """
    What all tests of a handshake between two streams need.

    @ivar pair: the streams.
    @ivar sides: the Deferreds of the client's and the server's authentication.
    """

    version: SslProtocols
    segment: int
    pair: StreamPair
    sides: dict[str, Deferred[Any]]

    def begin(
        self,
        client: Mapping[str, Any] | None = None,
        server: Mapping[str, Any] | None = None,
        streams: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Authenticate as far as it goes.

        @param streams: arguments of both streams.
        """
        self.pair = StreamPair(self.segment, **(streams or {}))
        clientSide, serverSide = self.pair.authenticate(
            self.version, dict(client or {}), dict(server or {}), flush=False
        )
        self.sides = {"client": clientSide, "server": serverSide}
        self.pair.wire.flush()

    def assertAuthenticated(self) -> None:
        """
        Both sides are authenticated, and what one says the other hears.
        """
        for name, side in self.sides.items():
            stream = getattr(self.pair, name)
            self.assertIs(self.successResultOf(side), stream)
            self.assertTrue(stream.isAuthenticated)
        for one, other in (("client", "server"), ("server", "client")):
            said = getattr(self.pair, one).write(one.encode())
            self.pair.wire.flush()
            self.successResultOf(said)
            heard = getattr(self.pair, other).read()
            self.assertEqual(self.successResultOf(heard), one.encode())

    def failureOf(
        self, side: str, kind: type[AuthenticationError] = AuthenticationError
    ) -> AuthenticationError:
        """
        @return: what a side's authentication failed with, of exactly that type.
        """
        error = self.failureResultOf(self.sides[side], kind).value
        self.assertIs(type(error), kind)
        self.assertFalse(getattr(self.pair, side).isAuthenticated)
        assert isinstance(error, AuthenticationError)
        return error

    def verdictOn(self, side: str, isLate: bool = False) -> AuthenticationError:
        """
        @param isLate: whether the peer has judged a client that is
            authenticated for itself.
        @return: how a side learns that its peer has refused it.
        """
        if not isLate:
            return self.failureOf(side)
        stream = getattr(self.pair, side)
        self.assertIs(self.successResultOf(self.sides[side]), stream)
        error = self.failureResultOf(stream.read(), AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        return error

    def isLate(self, judge: str) -> bool:
        """
        Whether the judge's verdict about a certificate, or about none where one
        was asked for, comes after the other side has finished.
        """
        return judge == "server" and self.version is SslProtocols.Tls13

    def assertRefused(
        self,
        judge: str,
        errors: SslPolicyErrors,
        status: X509ChainStatusFlags,
        alert: TlsAlert,
    ) -> AuthenticationError:
        """
        One side has refused the other's certificate; both know why.
        """
        error = self.failureOf(judge)
        self.assertEqual((error.sslPolicyErrors, error.chainStatus), (errors, status))
        self.assertEqual((error.alert, error.alertSent), (None, alert))
        judged = "server" if judge == "client" else "client"
        verdict = self.verdictOn(judged, self.isLate(judge))
        self.assertEqual((verdict.alert, verdict.alertSent), (alert, None))
        self.assertEqual((verdict.sslPolicyErrors, verdict.chainStatus), (NO_ERRORS, NO_ERROR))
        return error

    def assertNothingLeft(self, hasTraceback: bool = False) -> None:
        """
        The connection is gone, and everything that was made for it.

        @param hasTraceback: whether the error has one, which holds the stream
            that holds the error, so that it takes the garbage collector.
        """
        pair = self.pair
        pair.wire.flush()
        for bystander in pair.bystanders:
            self.assertIsNotNone(bystander.lost)
        self.assertEqual(pair.clock.getDelayedCalls(), [])
        self.assertEqual(_waiting._parked, set())
        self.assertEqual(self.flushLoggedErrors(), [])
        left = [weakref.ref(each) for each in _partsOf(pair)]
        del pair, self.pair
        self.sides.clear()
        if hasTraceback:
            gc.collect()
        self.assertEqual([each() for each in left if each() is not None], [])


def _partsOf(pair: StreamPair) -> list[object]:
    """
    @return: what two streams are made of.
    """
    parts: list[object] = []
    for stream in (pair.client, pair.server):
        protocol: Any = stream._protocol
        authentication = protocol._authentication
        parts += [stream, protocol, authentication]
        if hasattr(authentication, "engine"):
            parts.append(authentication.engine)
    return parts


def both(alert: TlsAlert) -> dict[SslProtocols, TlsAlert]:
    """
    The same alert in either version.
    """
    return dict.fromkeys(VERSIONS, alert)


#: What OpenSSL tells a client that shows no certificate.
NO_CERTIFICATE = {
    SslProtocols.Tls12: TlsAlert.handshake_failure,
    SslProtocols.Tls13: TlsAlert.certificate_required,
}

Callback = Callable[..., Any]


def whenWanted(callback: Callback) -> Callback:
    """
    @return: a client's selection callback that shows nothing before the hello,
        and asks another as soon as the server wants a certificate.
    """

    def choose(stream: SslStream, host: str, candidates: Any, remote: Any, issuers: Any) -> object:
        return None if remote is None else callback(stream, host, candidates, remote, issuers)

    return choose


def whenFirst(answer: Callable[[], object]) -> Callback:
    """
    @return: a client's selection callback that is only answered so before the
        hello, and shows nothing later.
    """

    def choose(stream: SslStream, host: str, candidates: Any, remote: Any, issuers: Any) -> object:
        return answer() if remote is None else None

    return choose


def ofServers(callback: Callback) -> Callback:
    """
    @return: a selection callback for both streams that asks another for the
        server's.
    """

    def choose(stream: SslStream, *arguments: Any) -> object:
        return callback(stream, *arguments) if stream.isServer else None

    return choose


@dataclass(frozen=True)
class Situation:
    """
    One callback that a handshake may wait for.

    @ivar asker: the side that asks.
    @ivar arrange: what L{Conversation.begin} takes, for a callback.
    @ivar good: an answer with which both sides are authenticated.
    @ivar bad: an answer that refuses.
    @ivar refused: the alert for that.
    @ivar failed: the alert for a callback that fails.
    @ivar givenUp: the alert for one that has not answered in time.
    @ivar errors: what is wrong with the peer.
    @ivar isJudging: whether it is about the peer, which has finished in TLS 1.3
        if it is a client that was asked for a certificate.
    @ivar isBeforeAll: whether nothing is negotiated yet.
    """

    name: str
    asker: str
    arrange: Callable[[Callback], dict[str, dict[str, Any]]]
    good: object
    bad: object
    refused: Mapping[SslProtocols, TlsAlert]
    failed: Mapping[SslProtocols, TlsAlert] = field(
        default_factory=lambda: both(TlsAlert.internal_error)
    )
    givenUp: Mapping[SslProtocols, TlsAlert] = field(
        default_factory=lambda: both(TlsAlert.certificate_unknown)
    )
    errors: SslPolicyErrors = NO_ERRORS
    isJudging: bool = False
    isBeforeAll: bool = False


CLIENT_JUDGES = Situation(
    "ClientJudges",
    "client",
    lambda callback: {"client": {"remoteCertificateValidationCallback": callback}},
    True,
    False,
    both(TlsAlert.bad_certificate),
)
SERVER_JUDGES_CLIENT = Situation(
    "ServerJudgesClient",
    "server",
    lambda callback: {
        "client": {"clientCertificates": [CLIENT]},
        "server": {
            "clientCertificateRequired": True,
            "remoteCertificateValidationCallback": callback,
        },
    },
    True,
    False,
    both(TlsAlert.bad_certificate),
    isJudging=True,
)
SERVER_JUDGES_NONE = Situation(
    "ServerJudgesNone",
    "server",
    lambda callback: {
        "server": {
            "clientCertificateRequired": True,
            "remoteCertificateValidationCallback": callback,
        },
    },
    True,
    False,
    NO_CERTIFICATE,
    NO_CERTIFICATE,
    NO_CERTIFICATE,
    NOBODY,
    isJudging=True,
)
SERVER_JUDGES_NOBODY = Situation(
    "ServerJudgesNobody",
    "server",
    lambda callback: {"server": {"remoteCertificateValidationCallback": callback}},
    True,
    False,
    both(TlsAlert.handshake_failure),
    givenUp=both(TlsAlert.user_canceled),
)
SERVER_CHOOSES = Situation(
    "ServerChooses",
    "server",
    lambda callback: {"streams": {"localCertificateSelectionCallback": ofServers(callback)}},
    SERVER,
    None,
    both(TlsAlert.unrecognized_name),
    givenUp=both(TlsAlert.internal_error),
    isBeforeAll=True,
)
SERVER_CHOOSES_BY_NAME = Situation(
    "ServerChoosesByName",
    "server",
    lambda callback: {"server": {"serverCertificateSelectionCallback": callback}},
    SERVER,
    None,
    both(TlsAlert.unrecognized_name),
    givenUp=both(TlsAlert.internal_error),
    isBeforeAll=True,
)
#: A client that has no certificate goes on without, so its bad answer is one of
#: the wrong type.  For the call before the hello see L{BeforeHello}.
CLIENT_CHOOSES = Situation(
    "ClientChooses",
    "client",
    lambda callback: {
        "client": {"localCertificateSelectionCallback": whenWanted(callback)},
        "server": {"clientCertificateRequired": True},
    },
    CLIENT,
    0,
    both(TlsAlert.internal_error),
    givenUp=both(TlsAlert.internal_error),
)
SITUATIONS = (
    CLIENT_JUDGES,
    SERVER_JUDGES_CLIENT,
    SERVER_JUDGES_NONE,
    SERVER_JUDGES_NOBODY,
    SERVER_CHOOSES,
    SERVER_CHOOSES_BY_NAME,
    CLIENT_CHOOSES,
)


def perSituation(*, segments: tuple[int, ...]) -> Callable[[type], type]:
    """
    Run a test case for each of L{SITUATIONS}, and L{perVersion}.
    """

    def decorate(mixin: type) -> type:
        for situation in SITUATIONS:
            name = f"{mixin.__name__}_{situation.name}"
            namespace = {
                "situation": situation,
                "__module__": mixin.__module__,
                "__doc__": mixin.__doc__,
            }
            perVersion(segments=segments)(type(name, (mixin,), namespace))
        return mixin

    return decorate


class Question(Conversation):
    """
    What all tests of a callback need.

    @ivar asked: the arguments of each call.
    """

    situation: Situation
    asked: list[tuple[Any, ...]]

    def setUp(self) -> None:
        """
        Nothing may depend on the garbage collector.
        """
        withoutCollector(self)

    def ask(self, answer: Callable[[], object]) -> None:
        """
        Authenticate as far as it goes, with a callback that answers so.
        """
        self.asked = []

        def callback(*arguments: Any) -> object:
            self.asked.append(arguments)
            return answer()

        arranged = self.situation.arrange(callback)
        # Only the asker's own limit is looked at.
        patient = arranged.setdefault(self.peer, {})
        patient["handshakeTimeout"] = None
        self.begin(**arranged)
        self.assertEqual(len(self.asked), 1)
        self.assertIs(self.asked[0][0], getattr(self.pair, self.asker))

    def assertNothingLeft(self, hasTraceback: bool = False) -> None:
        self.asked.clear()
        super().assertNothingLeft(hasTraceback)

    @property
    def asker(self) -> str:
        """
        The side that asks.
        """
        return self.situation.asker

    @property
    def peer(self) -> str:
        """
        The side that waits to be served.
        """
        return "server" if self.asker == "client" else "client"

    @property
    def isPeerDone(self) -> bool:
        """
        Whether the peer has finished when the question is asked.
        """
        return self.situation.isJudging and self.isLate(self.asker)

    def assertAskerFailed(
        self,
        alert: Mapping[SslProtocols, TlsAlert],
        kind: type[AuthenticationError] = AuthenticationError,
    ) -> AuthenticationError:
        """
        The asker has failed and said so to its peer; both connections end.
        """
        error = self.failureOf(self.asker, kind)
        self.assertEqual((error.alert, error.alertSent), (None, alert[self.version]))
        verdict = self.verdictOn(self.peer, self.isPeerDone)
        self.assertEqual((verdict.alert, verdict.alertSent), (alert[self.version], None))
        return error


@perSituation(segments=(0, 1))
class Waiting(Question):
    """
    A handshake that waits for a callback's answer.
    """

    def wait(self) -> Deferred[Any]:
        """
        @return: the answer that is waited for.
        """
        answer: Deferred[Any] = Deferred()
        self.ask(lambda: answer)
        return answer

    def test_accepted(self) -> None:
        """
        Nothing of the asker's leaves and nothing reaches either application
        until the answer is there; then both are authenticated.
        """
        writtenWhenAsked = []
        answer: Deferred[Any] = Deferred()

        def ask() -> Deferred[Any]:
            writtenWhenAsked.append(len(transport().everWritten))
            return answer

        def transport() -> Any:
            return getattr(self.pair.wire, self.asker)

        self.ask(ask)
        asker = getattr(self.pair, self.asker)
        for _ in range(29):
            self.pair.clock.advance(1)
            self.pair.wire.flush()
        self.assertEqual(writtenWhenAsked, [len(transport().everWritten)])
        self.assertNoResult(self.sides[self.asker])
        if not self.isPeerDone:
            self.assertNoResult(self.sides[self.peer])
        self.assertFalse(asker.isAuthenticated)
        if self.situation.isBeforeAll:
            self.assertRaises(InvalidOperationError, lambda: asker.sslProtocol)
        else:
            self.assertIs(asker.sslProtocol, self.version)
        self.assertRaises(InvalidOperationError, lambda: asker.remoteCertificate)
        self.failureResultOf(asker.read(), InvalidOperationError)
        self.failureResultOf(asker.write(b"early"), InvalidOperationError)
        answer.callback(self.situation.good)
        self.pair.wire.flush()
        self.assertAuthenticated()
        self.assertEqual(len(self.asked), 1)

    def test_refused(self) -> None:
        """
        A refusal fails the authentication and reaches the peer as an alert.
        """
        answer = self.wait()
        answer.callback(self.situation.bad)
        self.pair.wire.flush()
        error = self.assertAskerFailed(self.situation.refused)
        self.assertEqual(error.sslPolicyErrors, self.situation.errors)
        self.assertEqual(error.chainStatus, NO_ERROR)


@perSituation(segments=(0,))
class Answering(Question):
    """
    The forms that a callback's answer may have.
    """

    def assertAnswered(self, answer: Callable[[], object]) -> None:
        """
        An answer of that form lets both sides through, and nothing of it is
        left in the end.
        """
        self.ask(answer)
        self.assertAuthenticated()
        self.assertEqual(len(self.asked), 1)
        for stream in (self.pair.client, self.pair.server):
            stream.close()
        del stream
        self.assertNothingLeft()

    def test_plainValue(self) -> None:
        """
        A plain value is an answer.
        """
        self.assertAnswered(lambda: self.situation.good)

    def test_firedDeferred(self) -> None:
        """
        A Deferred that has fired is an answer.
        """
        self.assertAnswered(lambda: succeed(self.situation.good))

    def test_coroutine(self) -> None:
        """
        A coroutine that awaits nothing is an answer.
        """

        async def answer() -> object:
            return self.situation.good

        self.assertAnswered(answer)

    def test_waitingCoroutine(self) -> None:
        """
        A coroutine that awaits something is an answer once that is there.
        """
        awaited: Deferred[Any] = Deferred()

        async def answer() -> object:
            return await awaited

        self.ask(answer)
        self.assertNoResult(self.sides[self.asker])
        awaited.callback(self.situation.good)
        self.pair.wire.flush()
        self.assertAuthenticated()

    def test_refusingPlainValue(self) -> None:
        """
        A plain value refuses as well as a Deferred.
        """
        self.ask(lambda: self.situation.bad)
        self.assertAskerFailed(self.situation.refused)
        self.assertNothingLeft(hasTraceback=self.situation is CLIENT_CHOOSES)


@perSituation(segments=(0,))
class Failing(Question):
    """
    Callbacks that fail, and answers that are none.
    """

    def assertFailed(self, kind: type[Exception]) -> BaseException:
        """
        The callback's failure is the cause of the authentication's.
        """
        error = self.assertAskerFailed(self.situation.failed)
        cause = error.__cause__
        assert cause is not None
        self.assertIs(type(cause), kind)
        self.assertIn(kind.__name__, str(error))
        return cause

    def test_raises(self) -> None:
        """
        An exception of the callback refuses, and is the cause.
        """
        raised = [ZeroDivisionError("in the callback")]

        def answer() -> object:
            raise raised[0]

        self.ask(answer)
        self.assertIs(self.assertFailed(ZeroDivisionError), raised[0])
        raised.clear()
        self.assertNothingLeft(hasTraceback=True)

    def test_deferredFails(self) -> None:
        """
        A Deferred that fails refuses, and its error is the cause.
        """
        answer: Deferred[Any] = Deferred()
        self.ask(lambda: answer)
        answer.errback(ZeroDivisionError("in the Deferred"))
        self.pair.wire.flush()
        self.assertFailed(ZeroDivisionError)
        self.assertNothingLeft()

    def test_failedDeferred(self) -> None:
        """
        A Deferred that has failed before refuses at once.
        """
        self.ask(lambda: fail(ZeroDivisionError("in the Deferred")))
        self.assertFailed(ZeroDivisionError)
        self.assertNothingLeft()

    def test_coroutineRaises(self) -> None:
        """
        A coroutine that raises refuses, and its exception is the cause.
        """

        async def answer() -> object:
            raise ZeroDivisionError("in the coroutine")

        self.ask(answer)
        self.assertFailed(ZeroDivisionError)
        self.assertNothingLeft(hasTraceback=True)

    def test_noAnswer(self) -> None:
        """
        What is no answer refuses, whatever its truth: 1 is not C{True}.
        """
        for answer in (1, "yes", [True], object()):
            self.ask([answer].pop)
            isVerdict = self.situation.good is True
            self.assertFailed(TypeError if isVerdict else CertificateError)
            self.assertNothingLeft(hasTraceback=not isVerdict)

    def test_none(self) -> None:
        """
        C{None} is no verdict, and no certificate.
        """
        self.ask(lambda: None)
        if self.situation.good is True:
            self.assertFailed(TypeError)
        elif self.asker == "server":
            self.assertAskerFailed(both(TlsAlert.unrecognized_name))
        else:
            error = self.verdictOn("client", self.isLate("server"))
            self.assertEqual(error.alert, NO_CERTIFICATE[self.version])
            self.assertEqual(self.failureOf("server").sslPolicyErrors, NOBODY)
        self.assertNothingLeft()


@perSituation(segments=(0,))
class Interrupted(Question):
    """
    Handshakes that end while a callback is deciding.
    """

    def setUp(self) -> None:
        super().setUp()
        self.cancelled: list[type[BaseException] | None] = []
        self.written = 0

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> Deferred[Any]:
        """
        Ask, and get no answer.

        @param meanwhile: what the callback itself does.
        """
        answer: Deferred[Any] = Deferred()

        def failed(failure: Failure) -> Failure:
            self.cancelled.append(failure.type)
            return failure

        answer.addErrback(failed)

        def ask() -> Deferred[Any]:
            self.written = len(self.transport.everWritten)
            meanwhile()
            return answer

        self.ask(ask)
        return answer

    @property
    def transport(self) -> MemoryTransport:
        """
        The asker's transport.
        """
        transport: MemoryTransport = getattr(self.pair.wire, self.asker)
        return transport

    def stream(self) -> SslStream:
        """
        The asker's stream.
        """
        stream: SslStream = getattr(self.pair, self.asker)
        return stream

    def assertDropped(self, answer: Deferred[Any]) -> None:
        """
        Nobody waits for the answer any more, and nobody takes it.
        """
        self.assertEqual(self.cancelled, [CancelledError])
        answer.callback(self.situation.good)
        self.pair.wire.flush()
        self.assertFalse(self.stream().isAuthenticated)
        self.assertEqual(len(self.asked), 1)

    def assertGivenUp(
        self, answer: Deferred[Any], kind: type[AuthenticationError]
    ) -> AuthenticationError:
        """
        The asker has given up and said so.
        """
        self.pair.wire.flush()
        error = self.assertAskerFailed(self.situation.givenUp, kind)
        self.assertDropped(answer)
        self.assertNothingLeft()
        return error

    def assertSilent(
        self, answer: Deferred[Any], kind: type[AuthenticationError]
    ) -> AuthenticationError:
        """
        The connection is gone without a word.
        """
        self.pair.wire.flush()
        self.assertEqual(len(self.transport.everWritten), self.written)
        error = self.failureOf(self.asker, kind)
        self.assertEqual((error.alert, error.alertSent), (None, None))
        if self.isPeerDone:
            peer = self.pair.client
            self.assertIs(self.successResultOf(self.sides["client"]), peer)
            self.failureResultOf(peer.read(), TruncationError)
            del peer
        else:
            lost = self.failureOf(self.peer, HandshakeInterrupted)
            self.assertEqual((lost.alert, lost.alertSent), (None, None))
        self.assertDropped(answer)
        self.assertNothingLeft()
        return error

    def test_timeout(self) -> None:
        """
        The time for the handshake covers its callbacks: 30 seconds.
        """
        answer = self.wait()
        self.pair.clock.advance(29.9)
        self.assertNoResult(self.sides[self.asker])
        self.pair.clock.advance(0.1)
        error = self.assertGivenUp(answer, HandshakeTimeout)
        self.assertIn("within 30 s while a callback was deciding", str(error))

    def test_cancelled(self) -> None:
        """
        Cancelling the Deferred of the authentication ends it.
        """
        answer = self.wait()
        self.sides[self.asker].cancel()
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_cancelledFromWithin(self) -> None:
        """
        The callback may cancel the authentication that it is asked for.
        """
        answer = self.wait(lambda: self.sides[self.asker].cancel())
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_closed(self) -> None:
        """
        Closing the stream ends the authentication.
        """
        answer = self.wait()
        closed = self.stream().close()
        self.pair.wire.flush()
        self.assertIsNone(self.successResultOf(closed))
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_closedFromWithin(self) -> None:
        """
        The callback may close its stream.
        """
        answer = self.wait(lambda: self.stream().close())
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_aborted(self) -> None:
        """
        Aborting the stream ends the authentication, and the peer is told
        nothing.
        """
        answer = self.wait()
        self.stream().abort()
        self.assertSilent(answer, HandshakeCancelled)

    def test_abortedFromWithin(self) -> None:
        """
        The callback may abort its stream.
        """
        answer = self.wait(lambda: self.stream().abort())
        self.assertSilent(answer, HandshakeCancelled)

    def test_lost(self) -> None:
        """
        A lost connection ends the authentication; why is the cause.
        """
        answer = self.wait()
        self.pair.wire.cut()
        lost = self.assertSilent(answer, HandshakeInterrupted)
        self.assertIs(type(lost.__cause__), ConnectionLost)

    def test_lostFromWithin(self) -> None:
        """
        The connection may be lost in mid-question.
        """
        answer = self.wait(lambda: self.pair.wire.cut())
        self.assertSilent(answer, HandshakeInterrupted)

    def test_answeredByCancelling(self) -> None:
        """
        An answer that only the cancellation brings about is none.
        """
        self.ask(lambda: Deferred(lambda answer: answer.callback(self.situation.good)))
        self.sides[self.asker].cancel()
        self.pair.wire.flush()
        self.assertAskerFailed(self.situation.givenUp, HandshakeCancelled)
        self.assertNothingLeft()

    def test_failedByCancelling(self) -> None:
        """
        An error that only the cancellation brings about is swallowed.
        """
        self.ask(lambda: Deferred(lambda answer: answer.errback(ZeroDivisionError())))
        self.sides[self.asker].cancel()
        self.pair.wire.flush()
        error = self.assertAskerFailed(self.situation.givenUp, HandshakeCancelled)
        self.assertIsNone(error.__cause__)
        self.assertNothingLeft()

    def test_failsToCancel(self) -> None:
        """
        A canceller that raises is logged, and hurts nobody else.
        """

        def cancel(_: object) -> None:
            raise ZeroDivisionError("in the canceller")

        self.ask(lambda: Deferred(cancel))
        self.sides[self.asker].cancel()
        self.pair.wire.flush()
        self.assertAskerFailed(self.situation.givenUp, HandshakeCancelled)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_coroutineCancelled(self) -> None:
        """
        A coroutine that is deciding is told that nobody waits for it.
        """
        told = []

        async def answer() -> object:
            try:
                return await Deferred()
            except CancelledError:
                told.append(True)
                raise

        self.ask(answer)
        self.sides[self.asker].cancel()
        self.pair.wire.flush()
        self.assertEqual(told, [True])
        self.assertAskerFailed(self.situation.givenUp, HandshakeCancelled)

    def test_answeredByWhoHearsOfTheEnd(self) -> None:
        """
        Whoever is told of the failure may still answer, in vain.
        """
        answer: Deferred[Any] = Deferred()
        self.ask(lambda: answer)

        def failed(failure: Failure) -> Failure:
            answer.callback(self.situation.good)
            return failure

        self.sides[self.asker].addErrback(failed)
        self.sides[self.asker].cancel()
        self.pair.wire.flush()
        self.assertAskerFailed(self.situation.givenUp, HandshakeCancelled)
        self.assertNothingLeft()

    def test_sticky(self) -> None:
        """
        Later calls repeat the very error.
        """
        self.wait()
        self.sides[self.asker].cancel()
        self.pair.wire.flush()
        error = self.assertAskerFailed(self.situation.givenUp, HandshakeCancelled)
        stream = self.stream()
        for later in (
            stream.read(),
            stream.readExactly(1),
            stream.write(b"x"),
            stream.flush(),
            stream.shutdown(),
            stream.whenAuthenticated(),
            stream.authenticateAsClient("localhost"),
            stream.authenticateAsServer(SERVER),
        ):
            self.assertIs(self.failureResultOf(later).value, error)
        raised = self.assertRaises(HandshakeCancelled, lambda: stream.security)
        self.assertEqual((str(raised), vars(raised)), (str(error), vars(error)))
        self.assertIs(raised.__cause__, error.__cause__)

    def test_boundedMemory(self) -> None:
        """
        What a peer sends meanwhile is kept up to a limit; beyond, the transport
        is paused until there is an answer.
        """
        answer = self.wait()
        transport = self.transport
        piece = b"\x17\x03\x03\x0f\xfb" + bytes(4091)
        taken = 0
        while not transport.isPaused:
            transport.protocol.dataReceived(piece)
            taken += len(piece)
            self.assertLessEqual(taken, Authentication.WITHHELD_LIMIT)
        self.assertEqual(taken, Authentication.WITHHELD_LIMIT)
        self.assertEqual(taken, 64 * 1024)
        answer.errback(ZeroDivisionError("in the Deferred"))
        self.assertFalse(transport.isPaused)
        self.pair.wire.flush()
        self.assertAskerFailed(self.situation.failed)


class Recorder:
    """
    A callback that notes its arguments, and what the stream tells meanwhile.

    @ivar calls: the arguments behind the stream.
    @ivar seen: what the stream told at each call.
    """

    PROPERTIES = (
        "sslProtocol",
        "negotiatedCipherSuite",
        "negotiatedApplicationProtocol",
        "targetHostName",
    )
    CERTIFICATES = ("remoteCertificate", "remoteChain", "localCertificate")

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.calls: list[tuple[Any, ...]] = []
        self.senders: list[Any] = []
        self.seen: list[tuple[object, ...]] = []
        self.withheld: list[str] = []

    def __call__(self, stream: Any, *arguments: Any) -> object:
        self.senders.append(stream)
        self.calls.append(arguments)
        self.seen.append(self.propertiesOf(stream))
        self.withheld += [name for name in self.CERTIFICATES if self.isWithheld(stream, name)]
        return self._answer

    def isWithheld(self, stream: Any, name: str) -> bool:
        """
        Whether a property must not be read yet.
        """
        try:
            getattr(stream, name)
        except InvalidOperationError:
            return True
        return False

    def propertiesOf(self, stream: Any) -> tuple[object, ...]:
        """
        @return: what a stream tells of what is negotiated; L{None} for what it
            does not.
        """
        return tuple(
            None if self.isWithheld(stream, name) else getattr(stream, name)
            for name in self.PROPERTIES
        )


@perVersion(segments=(0,))
class Asking(Conversation):
    """
    What callbacks are called with, how often, and when.
    """

    #: With these there is something to read in every property.
    protocols: Mapping[str, Any] = {"applicationProtocols": [SslApplicationProtocol.Http2]}

    def assertRead(self, recorder: Recorder, stream: SslStream) -> None:
        """
        Inside of the callback the stream told what it tells now, but for
        certificates.
        """
        self.assertEqual(recorder.senders, [stream])
        self.assertEqual(recorder.seen, [recorder.propertiesOf(stream)])
        protocol, suite, application, host = recorder.seen[0]
        self.assertIs(protocol, self.version)
        self.assertIsInstance(suite, TlsCipherSuite)
        self.assertEqual((application, host), (b"h2", "localhost"))
        self.assertEqual(recorder.withheld, list(recorder.CERTIFICATES))

    def test_clientValidation(self) -> None:
        """
        A client's validation callback gets the certificate, the chain as built
        and as sent, and what is wrong.
        """
        middle = Authority("Middle", AUTHORITY)
        certificate = middle.issue("localhost")
        asked = Recorder(True)
        self.begin(
            {"remoteCertificateValidationCallback": asked, **self.protocols},
            {"serverCertificate": certificate, **self.protocols},
        )
        self.assertAuthenticated()
        self.assertRead(asked, self.pair.client)
        [(remote, chain, errors)] = asked.calls
        self.assertEqual(remote, certificate.certificate)
        self.assertEqual(
            [element.certificate for element in chain.chainElements],
            [certificate.certificate, middle.certificate, AUTHORITY.certificate],
        )
        self.assertEqual(chain.presentedCertificates, (certificate.certificate, middle.certificate))
        self.assertEqual((chain.chainStatus, errors), ((), NO_ERRORS))
        self.assertEqual(self.pair.client.remoteCertificate, remote)
        self.assertIs(self.pair.client.remoteChain, chain)

    def test_clientValidationOfABadServer(self) -> None:
        """
        The callback learns everything that is wrong, and its answer is final.
        """
        stranger = Authority("Stranger").issue(
            "elsewhere.example", notBefore=NOW - 3 * DAY, notAfter=NOW - DAY
        )
        asked = Recorder(True)
        self.begin({"remoteCertificateValidationCallback": asked}, {"serverCertificate": stranger})
        self.assertAuthenticated()
        [(remote, chain, errors)] = asked.calls
        self.assertEqual(remote, stranger.certificate)
        self.assertEqual(errors, CHAIN | NAME)
        self.assertEqual(
            chain.flags, X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotTimeValid
        )
        [element] = chain.chainElements
        self.assertEqual(element.chainElementStatus, chain.chainStatus)

    def test_serverValidation(self) -> None:
        """
        A server's validation callback gets the client's certificate.
        """
        asked = Recorder(True)
        self.begin(
            {"clientCertificates": [CLIENT], **self.protocols},
            {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": asked,
                **self.protocols,
            },
        )
        self.assertAuthenticated()
        self.assertRead(asked, self.pair.server)
        [(remote, chain, errors)] = asked.calls
        self.assertEqual(remote, CLIENT.certificate)
        self.assertEqual(
            [element.certificate for element in chain.chainElements],
            [CLIENT.certificate, AUTHORITY.certificate],
        )
        self.assertEqual((chain.chainStatus, errors), ((), NO_ERRORS))
        self.assertTrue(self.pair.server.isMutuallyAuthenticated)
        self.assertTrue(self.pair.client.isMutuallyAuthenticated)

    def test_serverValidationOfNone(self) -> None:
        """
        If the client shows none of the certificates that it was asked for, the
        callback learns that, and may let it in.
        """
        asked = Recorder(True)
        self.begin(
            self.protocols,
            {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": asked,
                **self.protocols,
            },
        )
        self.assertAuthenticated()
        self.assertRead(asked, self.pair.server)
        self.assertEqual(asked.calls, [(None, None, NOBODY)])
        self.assertIsNone(self.pair.server.remoteCertificate)
        self.assertFalse(self.pair.server.isMutuallyAuthenticated)

    def test_serverValidationOfNobody(self) -> None:
        """
        If no client certificate was asked for nothing is wrong with that, and
        the callback is called all the same.
        """
        asked = Recorder(True)
        self.begin(
            {"clientCertificates": [CLIENT], **self.protocols},
            {"remoteCertificateValidationCallback": asked, **self.protocols},
        )
        self.assertAuthenticated()
        self.assertRead(asked, self.pair.server)
        self.assertEqual(asked.calls, [(None, None, NO_ERRORS)])
        self.assertIsNone(self.pair.client.localCertificate)

    def test_validationGivenToTheStream(self) -> None:
        """
        A validation callback may be given to the stream.
        """
        asked = Recorder(True)
        self.begin(streams={"remoteCertificateValidationCallback": asked})
        self.assertAuthenticated()
        byStream = dict(zip(asked.senders, asked.calls, strict=True))
        self.assertEqual(len(asked.senders), 2)
        self.assertEqual(byStream[self.pair.server], (None, None, NO_ERRORS))
        self.assertEqual(byStream[self.pair.client][0], SERVER.certificate)

    def test_clientSelection(self) -> None:
        """
        A client's selection callback gets the host, the candidates, the
        server's certificate and the issuers that the server names; what it
        answers is presented.
        """
        other = AUTHORITY.issue("other@example.com")
        asked = Recorder(CLIENT)
        self.begin(
            {
                "clientCertificates": [other, CLIENT],
                "localCertificateSelectionCallback": whenWanted(asked),
                **self.protocols,
            },
            {"clientCertificateRequired": True, "trust": NAMED_TRUST, **self.protocols},
        )
        self.assertAuthenticated()
        self.assertRead(asked, self.pair.client)
        self.assertEqual(
            asked.calls,
            [("localhost", (other, CLIENT), SERVER.certificate, ("CN=Test Authority",))],
        )
        self.assertEqual(self.pair.client.localCertificate, CLIENT.certificate)
        self.assertEqual(self.pair.server.remoteCertificate, CLIENT.certificate)

    def test_clientSelectionOfNone(self) -> None:
        """
        C{None} shows no certificate; a server that does not insist goes on.
        """
        self.begin(
            {"clientCertificates": [CLIENT], "localCertificateSelectionCallback": lambda *_: None},
            {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": Recorder(True),
            },
        )
        self.assertAuthenticated()
        self.assertIsNone(self.pair.client.localCertificate)
        self.assertIsNone(self.pair.server.remoteCertificate)

    def test_clientSelectionNotAsked(self) -> None:
        """
        If the server wants no certificate nobody is asked for one that it
        should see.
        """
        asked = Recorder(CLIENT)
        self.begin({"localCertificateSelectionCallback": whenWanted(asked)})
        self.assertAuthenticated()
        self.assertEqual(asked.calls, [])
        self.assertIsNone(self.pair.client.localCertificate)

    def test_clientSelectionComesAfterValidation(self) -> None:
        """
        A server is judged before it gets a certificate; a refused one gets
        none.
        """
        for verdict, order in ((True, ["judge", "choose"]), (False, ["judge"])):
            calls: list[str] = []

            def judge(*_: Any, calls: list[str] = calls, verdict: bool = verdict) -> bool:
                calls.append("judge")
                return verdict

            def choose(*_: Any, calls: list[str] = calls) -> object:
                calls.append("choose")
                return CLIENT

            self.begin(
                {
                    "remoteCertificateValidationCallback": judge,
                    "localCertificateSelectionCallback": whenWanted(choose),
                },
                {"clientCertificateRequired": True},
            )
            self.assertEqual(calls, order)
            if verdict:
                self.assertAuthenticated()
            else:
                self.assertRefused("client", NO_ERRORS, NO_ERROR, TlsAlert.bad_certificate)

    def test_selectionGivenToTheStream(self) -> None:
        """
        A selection callback given to the stream serves either role.  A server's
        is called once, with the configured certificate and no name.
        """
        calls: dict[SslStream, list[object]] = {}

        def choose(stream: SslStream, *arguments: Any) -> object:
            calls.setdefault(stream, []).append(arguments)
            return SERVER if stream.isServer else CLIENT

        other = AUTHORITY.issue("elsewhere.example")
        self.begin(
            {},
            {"clientCertificateRequired": True, "serverCertificate": other},
            {"localCertificateSelectionCallback": choose},
        )
        self.assertAuthenticated()
        self.assertEqual(
            calls,
            {
                self.pair.client: [
                    ("localhost", (), None, ()),
                    ("localhost", (), SERVER.certificate, ()),
                ],
                self.pair.server: [("", (other,), None, ())],
            },
        )
        self.assertEqual(self.pair.client.remoteCertificate, SERVER.certificate)
        self.assertEqual(self.pair.server.remoteCertificate, CLIENT.certificate)
        self.assertEqual(self.pair.server.localCertificate, SERVER.certificate)

    def test_serverSelection(self) -> None:
        """
        A server's selection callback gets the name that the client asked for,
        in Unicode, and nothing if it asked for none; the stream tells it, too.
        """
        certificate = AUTHORITY.issue("xn--bcher-kva.example", "127.0.0.1", "localhost")
        for host, name in (
            ("localhost", "localhost"),
            ("b\xfccher.example", "b\xfccher.example"),
            ("xn--bcher-kva.example", "b\xfccher.example"),
            ("127.0.0.1", ""),
        ):
            asked = Recorder(certificate)
            self.begin({"targetHost": host}, {"serverCertificateSelectionCallback": asked})
            self.assertAuthenticated()
            self.assertEqual(asked.senders, [self.pair.server])
            self.assertEqual(asked.calls, [(name,)])
            self.assertEqual(asked.seen, [(None, None, None, name)])
            self.assertEqual(self.pair.server.targetHostName, name)
            self.assertEqual(self.pair.client.targetHostName, host)
            self.assertEqual(self.pair.server.localCertificate, certificate.certificate)

    def test_severalQuestions(self) -> None:
        """
        A handshake may wait several times: both sides for a certificate and for
        a verdict, and a client before it says anything.
        """
        answers: list[tuple[str, Deferred[Any]]] = []

        def asking(what: str) -> Callback:
            def ask(*_: Any) -> Deferred[Any]:
                answers.append((what, Deferred()))
                return answers[-1][1]

            return ask

        self.begin(
            {
                "remoteCertificateValidationCallback": asking("client judges"),
                "localCertificateSelectionCallback": asking("client chooses"),
            },
            {
                "clientCertificateRequired": True,
                "serverCertificateSelectionCallback": asking("server chooses"),
                "remoteCertificateValidationCallback": asking("server judges"),
            },
        )
        for question, answer in (
            ("client chooses", None),
            ("server chooses", SERVER),
            ("client judges", True),
            ("client chooses", CLIENT),
            ("server judges", True),
        ):
            [(asked, pending)] = answers
            self.assertEqual(asked, question)
            answers.clear()
            pending.callback(answer)
            self.pair.wire.flush()
        self.assertEqual(answers, [])
        self.assertAuthenticated()

    def test_earlyData(self) -> None:
        """
        What a TLS 1.3 client says before the server has accepted it is held
        back, the transport paused, and all delivered afterwards; of a TLS 1.2
        client nothing can come.
        """
        answer: Deferred[bool] = Deferred()
        self.begin(
            {"clientCertificates": [CLIENT]},
            {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": lambda *_: answer,
            },
        )
        data = random.Random(2).randbytes(300_000)
        if self.version is SslProtocols.Tls13:
            written = self.pair.client.write(data)
            self.pair.wire.flush()
            self.assertTrue(self.pair.wire.server.isPaused)
            self.failureResultOf(self.pair.server.read(), InvalidOperationError)
            answer.callback(True)
        else:
            self.failureResultOf(self.pair.client.write(data), InvalidOperationError)
            answer.callback(True)
            self.pair.wire.flush()
            written = self.pair.client.write(data)
        received = self.pair.server.readExactly(len(data))
        self.pair.wire.flush()
        self.assertEqual(self.successResultOf(received), data)
        self.successResultOf(written)
        self.assertFalse(self.pair.wire.server.isPaused)

    def test_unusableChoice(self) -> None:
        """
        A certificate that OpenSSL refuses to present fails like any other wrong
        answer.
        """
        weak = AUTHORITY.issue("localhost", key=rsaKey(bits=1024))
        self.begin({}, {"serverCertificateSelectionCallback": Recorder(weak)})
        error = self.failureOf("server")
        self.assertIsInstance(error.__cause__, CertificateError)
        self.assertIn("key too small", str(error))
        self.assertEqual(error.alertSent, TlsAlert.internal_error)
        self.assertEqual(self.verdictOn("client").alert, TlsAlert.internal_error)


@perVersion(segments=(0,))
class BeforeHello(Conversation):
    """
    A client's selection callback is asked first when nothing is known of the
    server (.NET does so, too).
    """

    def setUp(self) -> None:
        """
        Nothing may depend on the garbage collector.
        """
        withoutCollector(self)
        self.cancelled: list[type[BaseException] | None] = []

    def choose(self, callback: Callback, **server: Any) -> None:
        """
        Authenticate as far as it goes, with a callback of the client's.
        """
        self.begin(
            {"localCertificateSelectionCallback": callback}, {"handshakeTimeout": None, **server}
        )

    def wait(self, meanwhile: Callback = lambda stream: None) -> Deferred[Any]:
        """
        Ask, and get no answer.

        @param meanwhile: what the callback itself does, with its stream.
        """
        answer: Deferred[Any] = Deferred()

        def failed(failure: Failure) -> Failure:
            self.cancelled.append(failure.type)
            return failure

        answer.addErrback(failed)

        def choose(stream: SslStream, *arguments: Any) -> Deferred[Any]:
            meanwhile(stream)
            return answer

        self.choose(choose)
        return answer

    def assertSilent(self, kind: type[AuthenticationError]) -> AuthenticationError:
        """
        The client has failed without having said anything.
        """
        self.pair.wire.flush()
        self.assertEqual(self.pair.wire.client.everWritten, b"")
        error = self.failureOf("client", kind)
        self.assertEqual((error.alert, error.alertSent), (None, None))
        self.assertEqual((error.sslPolicyErrors, error.chainStatus), (NO_ERRORS, NO_ERROR))
        lost = self.failureOf("server", HandshakeInterrupted)
        self.assertEqual((lost.alert, lost.alertSent), (None, None))
        return error

    def assertGivenUp(self, answer: Deferred[Any], kind: type[AuthenticationError]) -> Any:
        """
        The client has given up without a word, and takes no answer any more.
        """
        error = self.assertSilent(kind)
        self.assertEqual(self.cancelled, [CancelledError])
        answer.callback(CLIENT)
        self.pair.wire.flush()
        self.assertEqual(self.pair.wire.client.everWritten, b"")
        self.assertFalse(self.pair.client.isAuthenticated)
        self.assertNothingLeft()
        return error

    def test_arguments(self) -> None:
        """
        At first the callback gets the host and the candidates, and no server;
        it may read whom it talks to, and nothing that is still to be agreed on.
        """
        calls = []
        readable = []

        def choose(stream: SslStream, *arguments: Any) -> None:
            calls.append(arguments)
            readable.append([each for each in properties if not asked.isWithheld(stream, each)])
            self.assertEqual((stream.isServer, stream.targetHostName), (False, "localhost"))
            self.assertFalse(stream.isAuthenticated)
            self.failureResultOf(stream.read(), InvalidOperationError)
            self.failureResultOf(stream.write(b"early"), InvalidOperationError)

        asked = Recorder(None)
        properties = (*asked.PROPERTIES, *asked.CERTIFICATES)
        for isWanted, agreed in ((False, []), (True, [list(asked.PROPERTIES)])):
            self.begin(
                {"clientCertificates": [CLIENT], "localCertificateSelectionCallback": choose},
                {
                    "clientCertificateRequired": isWanted,
                    "trust": NAMED_TRUST,
                    "remoteCertificateValidationCallback": lambda *_: True,
                },
            )
            self.assertAuthenticated()
            known = ("localhost", (CLIENT,), SERVER.certificate, ("CN=Test Authority",))
            self.assertEqual(
                calls, [("localhost", (CLIENT,), None, ()), *([known] if isWanted else [])]
            )
            self.assertEqual(readable, [["targetHostName"], *agreed])
            calls.clear()
            readable.clear()

    def test_notWanted(self) -> None:
        """
        If the server wants no certificate there is one call, and what it
        answers is not shown.
        """
        answers: list[object] = [CLIENT]
        self.choose(lambda *_: answers.pop())
        self.assertAuthenticated()
        self.assertEqual(answers, [])
        self.assertIsNone(self.pair.client.localCertificate)
        self.assertFalse(self.pair.client.isMutuallyAuthenticated)
        self.assertIsNone(self.pair.server.remoteCertificate)

    def test_lastAnswerCounts(self) -> None:
        """
        If the server wants a certificate there are two calls, and what the
        second answers is shown, be it nothing.
        """
        other = Authority("Middle", AUTHORITY).issue("other")
        for first, last in (
            (None, CLIENT),
            (other, CLIENT),
            (CLIENT, other),
            (CLIENT, CLIENT),
            (CLIENT, None),
            (None, None),
        ):
            for wrap in (lambda answer: answer, succeed):
                answers = [last, first]
                self.choose(
                    lambda *_, answers=answers, wrap=wrap: wrap(answers.pop()),
                    clientCertificateRequired=True,
                    remoteCertificateValidationCallback=lambda *_: True,
                )
                self.assertAuthenticated()
                self.assertEqual(answers, [])
                expected = None if last is None else last.certificate
                self.assertEqual(self.pair.client.localCertificate, expected)
                self.assertEqual(self.pair.server.remoteCertificate, expected)
                chain = self.pair.server.remoteChain
                if last is not None:
                    assert chain is not None
                    self.assertEqual(
                        chain.presentedCertificates, (last.certificate, *last.intermediates)
                    )

    def test_noCandidates(self) -> None:
        """
        Without a callback nobody is asked, and a collection waits for what the
        server wants.
        """
        self.begin({"clientCertificates": [CLIENT]}, {"clientCertificateRequired": True})
        self.assertAuthenticated()
        self.assertEqual(self.pair.client.localCertificate, CLIENT.certificate)

    def test_waits(self) -> None:
        """
        Not a byte leaves until the answer is there; then both are
        authenticated.
        """

        async def awaiting(awaited: Deferred[Any]) -> object:
            return await awaited

        for wrap in (None, awaiting):
            answer: Deferred[Any] = Deferred()
            answered = answer if wrap is None else wrap(answer)
            self.choose(whenFirst([answered].pop))
            for _ in range(29):
                self.pair.clock.advance(1)
                self.pair.wire.flush()
            self.assertEqual(self.pair.wire.client.everWritten, b"")
            for side in self.sides.values():
                self.assertNoResult(side)
            self.assertEqual(_waiting._parked, set())
            self.assertRaises(InvalidOperationError, lambda: self.pair.client.sslProtocol)
            answer.callback(CLIENT)
            self.pair.wire.flush()
            self.assertAuthenticated()

    def test_waitsTwice(self) -> None:
        """
        Both calls may wait.
        """
        answers: list[Deferred[Any]] = []

        def choose(*_: Any) -> Deferred[Any]:
            answers.append(Deferred())
            return answers[-1]

        self.choose(choose, clientCertificateRequired=True)
        for count in (1, 2):
            self.assertEqual(len(answers), count)
            self.assertNoResult(self.sides["client"])
            answers[-1].callback(CLIENT)
            self.pair.wire.flush()
        self.assertAuthenticated()
        self.assertEqual(self.pair.server.remoteCertificate, CLIENT.certificate)

    def test_nothingLeft(self) -> None:
        """
        Nothing is left behind by an answer.
        """
        self.choose(lambda *_: succeed(CLIENT), clientCertificateRequired=True)
        self.assertAuthenticated()
        for stream in (self.pair.client, self.pair.server):
            stream.close()
        del stream
        self.assertNothingLeft()

    def test_fails(self) -> None:
        """
        A callback that fails, or an answer that is none, ends the connection
        before anything was said; the failure is the cause.
        """

        async def coroutine() -> object:
            raise ZeroDivisionError("in the coroutine")

        answers: list[tuple[Callable[[], object], type[Exception]]] = [
            (lambda: 1 // 0, ZeroDivisionError),
            (lambda: fail(ZeroDivisionError("in the Deferred")), ZeroDivisionError),
            (coroutine, ZeroDivisionError),
            (lambda: 0, CertificateError),
            (lambda: succeed("none.pem"), CertificateError),
            (lambda: True, CertificateError),
        ]
        for answer, kind in answers:
            self.choose(lambda *_, answer=answer: answer())
            error = self.assertSilent(AuthenticationError)
            self.assertIs(type(error.__cause__), kind)
            self.assertIn(f"a callback failed: {kind.__name__}: ", str(error))
            self.assertNotIn("alert", str(error))
            del error
            self.assertNothingLeft(hasTraceback=True)

    def test_deferredFails(self) -> None:
        """
        A Deferred that fails later does the same.
        """
        answer = self.wait()
        answer.errback(ZeroDivisionError("in the Deferred"))
        error = self.assertSilent(AuthenticationError)
        self.assertIs(type(error.__cause__), ZeroDivisionError)
        del error
        self.assertNothingLeft()

    def test_timeout(self) -> None:
        """
        The time for the handshake covers this call, too.
        """
        answer = self.wait()
        self.pair.clock.advance(29.9)
        self.assertNoResult(self.sides["client"])
        self.pair.clock.advance(0.1)
        error = self.assertGivenUp(answer, HandshakeTimeout)
        self.assertIn("within 30 s while a callback was deciding", str(error))

    def test_cancelled(self) -> None:
        """
        Cancelling the Deferred of the authentication ends it.
        """
        answer = self.wait()
        self.sides["client"].cancel()
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_closed(self) -> None:
        """
        Closing the stream ends the authentication, also from within.
        """
        answer = self.wait()
        closed = self.pair.client.close()
        self.pair.wire.flush()
        self.assertIsNone(self.successResultOf(closed))
        self.assertGivenUp(answer, HandshakeCancelled)
        self.cancelled.clear()
        self.assertGivenUp(self.wait(lambda stream: stream.close()), HandshakeCancelled)

    def test_aborted(self) -> None:
        """
        Aborting the stream ends the authentication, also from within.
        """
        answer = self.wait()
        self.pair.client.abort()
        self.assertGivenUp(answer, HandshakeCancelled)
        self.cancelled.clear()
        self.assertGivenUp(self.wait(lambda stream: stream.abort()), HandshakeCancelled)

    def test_lost(self) -> None:
        """
        A lost connection ends the authentication, also in mid-question; why is
        the cause.
        """
        answer = self.wait()
        self.pair.wire.cut()
        error = self.assertGivenUp(answer, HandshakeInterrupted)
        self.assertIs(type(error.__cause__), ConnectionLost)
        self.cancelled.clear()
        answer = self.wait(lambda _: self.pair.wire.cut())
        error = self.assertGivenUp(answer, HandshakeInterrupted)
        self.assertIs(type(error.__cause__), ConnectionLost)

    def test_boundedMemory(self) -> None:
        """
        What a server says too early is kept up to the limit, and looked at
        behind our hello.
        """
        answer: Deferred[Any] = Deferred()
        wire = Wire()
        stranger = Bystander()
        wire.connect(Bystander(), stranger)
        client = SslStream(wire.client, clock=wire.clock)
        authenticated = client.authenticateAsClient(
            clientOptions(self.version, localCertificateSelectionCallback=whenFirst(lambda: answer))
        )
        taken = 0
        while not wire.client.isPaused:
            wire.client.protocol.dataReceived(bytes(4096))
            taken += 4096
            self.assertLessEqual(taken, Authentication.WITHHELD_LIMIT)
        self.assertEqual(taken, Authentication.WITHHELD_LIMIT)
        self.assertNoResult(authenticated)
        answer.callback(None)
        self.assertFalse(wire.client.isPaused)
        wire.flush()
        error = self.failureResultOf(authenticated, AuthenticationError).value
        self.assertIn("the peer does not speak TLS", str(error))


class RetriedHello(Question, SynchronousTestCase):
    """
    Servers whose first answer in TLS 1.3 is HelloRetryRequest (RFC 8446 section
    4.1.4), so that they have said something before anything is encrypted.
    """

    version = SslProtocols.Tls13
    segment = 0
    #: Nobody else uses the context of these options, which is to be changed.
    marker: Mapping[str, Any] = {"applicationProtocols": ["retried hello"]}

    def setUp(self) -> None:
        super().setUp()
        context = contextFor(clientOptions(self.version, **self.marker).parameters)
        # A server would rather have the second, which comes without a key.
        self.assertEqual(lib.SSL_CTX_set1_curves_list(context._context, b"P-521:X25519"), 1)

    def answer(self, situation: Situation, answer: object) -> None:
        """
        A server that asks so is answered so.
        """
        arrange = situation.arrange

        def arranged(callback: Callback) -> dict[str, dict[str, Any]]:
            options = arrange(callback)
            options["client"] = {**options.get("client", {}), **self.marker}
            return options

        self.situation = replace(situation, arrange=arranged)
        self.ask(lambda: answer)

    def test_answers(self) -> None:
        """
        Every callback is asked once, for both hellos, and honored as ever.
        """
        for situation in (SERVER_JUDGES_NOBODY, SERVER_CHOOSES, SERVER_CHOOSES_BY_NAME):
            self.answer(situation, situation.good)
            self.assertAuthenticated()
            self.assertEqual(self.pair.server.keyExchangeGroup, "x25519")
            self.answer(situation, situation.bad)
            self.assertAskerFailed(situation.refused)

    def test_silentClient(self) -> None:
        """
        A client that does not come back is told so when it is given up.
        """
        self.pair = StreamPair()
        client, server = self.pair.authenticate(
            self.version, {**self.marker, "handshakeTimeout": None}, flush=False
        )
        self.sides = {"client": client, "server": server}
        self.pair.wire.step()
        self.assertNotEqual(self.pair.wire.server.everWritten, b"")
        self.pair.wire.client.written.clear()
        self.pair.clock.advance(30)
        self.pair.wire.flush()
        error = self.failureOf("server", HandshakeTimeout)
        self.assertEqual(error.alertSent, TlsAlert.user_canceled)
        self.assertEqual(self.failureOf("client").alert, TlsAlert.user_canceled)


class Crowd(SynchronousTestCase):
    """
    Many handshakes that wait in one process.
    """

    def test_thousand(self) -> None:
        """
        A thousand handshakes wait at once, for every kind of callback, in
        either role and version, and every verdict is honored, whatever the
        order of the answers.
        """
        order = random.Random(1000)
        waiting = []
        for number in range(1000):
            situation = SITUATIONS[number % len(SITUATIONS)]
            version = VERSIONS[number // len(SITUATIONS) % 2]
            answer: Deferred[Any] = Deferred()
            arranged: dict[str, Any] = situation.arrange(lambda *_, answer=answer: answer)
            pair = StreamPair(**arranged.pop("streams", {}))
            sides = dict(
                zip(("client", "server"), pair.authenticate(version, **arranged), strict=True)
            )
            waiting.append((situation, version, pair, sides, answer))
        held = sum(
            situation is SERVER_JUDGES_NOBODY or situation.isBeforeAll for situation, *_ in waiting
        )
        self.assertEqual(len(_waiting._parked), 1000 - held)
        order.shuffle(waiting)
        verdicts = [number >= 300 for number in range(1000)]
        order.shuffle(verdicts)
        for (situation, version, pair, sides, answer), isGood in zip(
            waiting, verdicts, strict=True
        ):
            asker = sides[situation.asker]
            self.assertNoResult(asker)
            answer.callback(situation.good if isGood else situation.bad)
            pair.wire.flush()
            peer = "server" if situation.asker == "client" else "client"
            if isGood:
                self.assertIs(self.successResultOf(asker), getattr(pair, situation.asker))
                self.assertIs(self.successResultOf(sides[peer]), getattr(pair, peer))
                continue
            alert = situation.refused[version]
            error = self.failureResultOf(asker, AuthenticationError).value
            self.assertEqual(error.alertSent, alert)
            told: Any = sides[peer]
            if situation.isJudging and version is SslProtocols.Tls13:
                told = self.successResultOf(told).read()
            self.assertEqual(self.failureResultOf(told, AuthenticationError).value.alert, alert)
        self.assertEqual(_waiting._parked, set())


#: X509ChainStatusFlags, often.
S = X509ChainStatusFlags

PERMITTED = S.HasNotPermittedNameConstraint
EXCLUDED = S.HasExcludedNameConstraint

#: Whoever enables TLS 1.1 may present what OpenSSL otherwise refuses to.
LAX = SslProtocols.Tls11 | SslProtocols.Tls12 | SslProtocols.Tls13

AES_128_GCM = TlsCipherSuite.TLS_AES_128_GCM_SHA256
AES_256_GCM = TlsCipherSuite.TLS_AES_256_GCM_SHA384
ECDHE_128 = TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
ECDHE_256 = TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384

SERVER_ONLY = [ExtendedKeyUsageOID.SERVER_AUTH]
CLIENT_ONLY = [ExtendedKeyUsageOID.CLIENT_AUTH]


def constrained(
    permitted: str | None = None, excluded: str | None = None
) -> list[tuple[x509.ExtensionType, bool]]:
    """
    @return: an authority's extension that constrains the names of its
        certificates.
    """

    def names(name: str | None) -> list[x509.GeneralName] | None:
        return None if name is None else [x509.DNSName(name)]

    return [(x509.NameConstraints(names(permitted), names(excluded)), True)]


def selfSigned(name: str) -> SslStreamCertificateContext:
    """
    @return: a certificate that is its own authority.
    """
    made = issuing.certificate(name, extensions=[issuing.hosts(name)])
    return SslStreamCertificateContext(made.certificate, made.key)


def foreignServer(certificate: bytes, wire: Wire) -> Protocol:
    """
    @return: a server of Twisted's own with L{SERVER}'s key.
    """
    key: Any = SERVER.privateKey
    creator = CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(key),
        certificate=crypto.load_certificate(crypto.FILETYPE_ASN1, certificate),
    )
    factory = TLSMemoryBIOFactory(creator, False, Factory.forProtocol(Protocol), wire.clock)
    return factory.buildProtocol(None)


@perVersion(segments=(0,))
class JudgingServers(Conversation):
    """
    What a client without a callback thinks of servers.
    """

    def present(self, certificate: SslStreamCertificateContext, **client: Any) -> None:
        """
        A server presents this certificate.
        """
        self.begin(client, {"serverCertificate": certificate})

    def assertRefuses(
        self,
        certificate: SslStreamCertificateContext,
        errors: SslPolicyErrors,
        status: X509ChainStatusFlags,
        alert: TlsAlert,
        **client: Any,
    ) -> AuthenticationError:
        """
        The client refuses such a server, and both know why.
        """
        self.present(certificate, **client)
        return self.assertRefused("client", errors, status, alert)

    def assertAccepts(self, certificate: SslStreamCertificateContext, **client: Any) -> None:
        """
        The client accepts such a server.
        """
        self.present(certificate, **client)
        self.assertAuthenticated()

    def test_good(self) -> None:
        """
        A valid certificate for the host is accepted.
        """
        self.assertAccepts(SERVER)

    def waysToWait(self, **options: Any) -> int:
        """
        @return: how often one was made for these options of both sides.
        """
        made: list[object] = []

        def call(*arguments: Any) -> PausableCall[Any]:
            made.append(arguments)
            return PausableCall(*arguments)

        self.patch(authentication, "PausableCall", call)
        self.begin(options, options)
        self.assertAuthenticated()
        return len(made)

    def test_nobodyAsked(self) -> None:
        """
        Where nobody can be asked the call into OpenSSL has no way to wait, whoever
        the peer is.
        """
        self.assertEqual(self.waysToWait(), 0)
        self.present(Authority("Stranger").issue("localhost"))
        self.assertRefused("client", CHAIN, S.PartialChain, TlsAlert.unknown_ca)

    def test_somebodyAsked(self) -> None:
        """
        Where somebody can, it has one on both sides.
        """
        steps = 4 if self.version is SslProtocols.Tls13 else 5
        asking = {"remoteCertificateValidationCallback": lambda *_: succeed(True)}
        self.assertEqual(self.waysToWait(**asking), steps)

    def test_described(self) -> None:
        """
        What was negotiated can be asked for when the connection is gone, for the
        first time.
        """
        self.begin()
        self.pair.client.close()
        self.pair.server.close()
        self.pair.wire.flush()
        for stream in (self.pair.client, self.pair.server):
            self.assertIs(stream.sslProtocol, self.version)
            self.assertIsNotNone(stream.negotiatedCipherSuite)
            self.assertEqual(stream.targetHostName, "localhost")

    def test_unknownAuthority(self) -> None:
        """
        A certificate of an authority that is not trusted is refused.
        """
        error = self.assertRefuses(
            Authority("Stranger").issue("localhost"), CHAIN, S.PartialChain, TlsAlert.unknown_ca
        )
        self.assertIn("RemoteCertificateChainErrors", str(error))
        self.assertIn(
            "certificate 1 of 1 'localhost' was issued by a certificate that is not at hand",
            str(error),
        )

    def test_sameNameOfAuthority(self) -> None:
        """
        The name of a trusted authority is not enough: its key and the signature
        decide.
        """
        self.assertRefuses(
            Authority().issue("localhost"), CHAIN, S.PartialChain, TlsAlert.unknown_ca
        )
        forged = resigned(SERVER.certificate.tbs_certificate_bytes, Authority().key)
        self.assertRefuses(
            SslStreamCertificateContext(x509.load_der_x509_certificate(forged), SERVER.privateKey),
            CHAIN,
            S.NotSignatureValid,
            TlsAlert.bad_certificate,
        )

    def test_untrustedRoot(self) -> None:
        """
        A chain that ends in a root that is not trusted is refused, even if the
        root is sent.
        """
        stranger = Authority("Stranger")
        leaf = stranger.issue("localhost")
        self.assertRefuses(
            SslStreamCertificateContext(leaf, leaf.privateKey, [stranger.certificate]),
            CHAIN,
            S.UntrustedRoot,
            TlsAlert.unknown_ca,
        )

    def test_selfSigned(self) -> None:
        """
        A self-signed certificate is refused, unless it is trusted itself.
        """
        certificate = selfSigned("localhost")
        self.assertRefuses(certificate, CHAIN, S.UntrustedRoot, TlsAlert.unknown_ca)
        trust = SslCertificateTrust.fromCertificates([certificate])
        self.assertAccepts(certificate, trust=trust)

    def test_systemTrust(self) -> None:
        """
        The platform does not trust the tests' authority.
        """
        for trust in (SslCertificateTrust.system(), None):
            self.assertRefuses(SERVER, CHAIN, S.PartialChain, TlsAlert.unknown_ca, trust=trust)

    def test_time(self) -> None:
        """
        A certificate is valid from its beginning to its end.
        """
        for start, end in ((-2, -1), (1, 2)):
            self.assertRefuses(
                AUTHORITY.issue("localhost", notBefore=NOW + start * DAY, notAfter=NOW + end * DAY),
                CHAIN,
                S.NotTimeValid,
                TlsAlert.certificate_expired,
            )
        self.assertAccepts(AUTHORITY.issue("localhost", notBefore=NOW - DAY, notAfter=NOW + DAY))

    def test_expiredAuthority(self) -> None:
        """
        Every certificate of the chain has to be valid.
        """
        old = Authority("Old", notBefore=NOW - 2 * DAY, notAfter=NOW - DAY)
        self.assertRefuses(
            old.issue("localhost"),
            CHAIN,
            S.NotTimeValid,
            TlsAlert.certificate_expired,
            trust=old.trust,
        )

    def test_usage(self) -> None:
        """
        A certificate for clients only is none for a server; one for servers
        is, and one that does not say.
        """
        self.assertRefuses(
            AUTHORITY.issue("localhost", usages=CLIENT_ONLY),
            CHAIN,
            S.NotValidForUsage,
            TlsAlert.unsupported_certificate,
        )
        self.assertAccepts(AUTHORITY.issue("localhost", usages=SERVER_ONLY))
        self.assertAccepts(AUTHORITY.issue("localhost", usages=()))

    def test_otherName(self) -> None:
        """
        A certificate for another host is refused.
        """
        error = self.assertRefuses(
            AUTHORITY.issue("elsewhere.example"), NAME, S.NoError, TlsAlert.bad_certificate
        )
        problem = "the certificate is for elsewhere.example, not for 'localhost'"
        self.assertEqual(error.problems, (problem,))
        self.assertIn(f"RemoteCertificateNameMismatch; {problem}; alert sent", str(error))

    def test_manyNames(self) -> None:
        """
        What a certificate says it is for makes one line of bounded length,
        whatever it says.
        """
        names = [f"{number}.example" for number in range(1000)]
        error = self.assertRefuses(
            AUTHORITY.issue("a\nb.example", "x" * 5000, *names, subject="odd"),
            NAME,
            S.NoError,
            TlsAlert.bad_certificate,
        )
        self.assertIn("a\\nb.example", str(error))
        self.assertIn("7.example, …, not for 'localhost'", str(error))
        self.assertNotIn("8.example", str(error))
        self.assertLess(len(str(error)), 1000)
        nobody = self.assertRefuses(
            AUTHORITY.issue(subject="odd"), NAME, S.NoError, TlsAlert.bad_certificate
        )
        self.assertIn("the certificate is for no host, not for 'localhost'", str(nobody))

    def test_everyProblem(self) -> None:
        """
        Each problem is told in a sentence that says which certificate it is
        about, together with the chain as it was found.
        """
        end = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
        old = Authority("Old", AUTHORITY, notBefore=end - DAY, notAfter=end)
        certificate = old.issue("elsewhere.example", usages=CLIENT_ONLY)
        error = self.assertRefuses(
            certificate,
            CHAIN | NAME,
            S.NotTimeValid | S.NotValidForUsage,
            TlsAlert.certificate_expired,
        )
        self.assertEqual(
            error.problems,
            (
                "certificate 1 of 3 'elsewhere.example' is not for server authentication",
                "certificate 2 of 3 'Old' expired 2026-01-02",
                "the certificate is for elsewhere.example, not for 'localhost'",
            ),
        )
        self.assertEqual(
            [element.certificate for element in error.chainElements],
            [certificate.certificate, old.certificate, AUTHORITY.certificate],
        )
        self.assertEqual(
            [
                [each.status for each in element.chainElementStatus]
                for element in error.chainElements
            ],
            [[S.NotValidForUsage], [S.NotTimeValid], []],
        )
        for problem in error.problems:
            self.assertIn(problem, str(error))

    def test_nameAndChain(self) -> None:
        """
        All that is wrong is told, and the chain decides the alert.
        """
        self.assertRefuses(
            Authority("Stranger").issue("elsewhere.example"),
            CHAIN | NAME,
            S.PartialChain,
            TlsAlert.unknown_ca,
        )

    def test_commonNameOnly(self) -> None:
        """
        A certificate without a subjectAltName fits no host, whatever its
        subject says.
        """
        for host in ("localhost", "127.0.0.1"):
            self.assertRefuses(
                AUTHORITY.issue(subject=host),
                NAME,
                S.NoError,
                TlsAlert.bad_certificate,
                targetHost=host,
            )

    def test_mailAddressOnly(self) -> None:
        """
        A certificate for an e-mail address fits no host.
        """
        for host in ("localhost", "127.0.0.1"):
            self.assertRefuses(
                AUTHORITY.issue("root@localhost", subject=host),
                NAME,
                S.NoError,
                TlsAlert.bad_certificate,
                targetHost=host,
            )

    def test_address(self) -> None:
        """
        An address is looked for among the certificate's addresses, and not
        among its names.
        """
        for address in ("127.0.0.1", "::1"):
            certificate = AUTHORITY.issue(address, subject="elsewhere.example")
            self.assertAccepts(certificate, targetHost=address)
            self.assertRefuses(
                certificate, NAME, S.NoError, TlsAlert.bad_certificate, targetHost="127.0.0.2"
            )
        named = AUTHORITY.issue("localhost")
        self.assertRefuses(named, NAME, S.NoError, TlsAlert.bad_certificate, targetHost="127.0.0.1")

    def test_wildcard(self) -> None:
        """
        A wildcard stands for one label, of whatever script.
        """
        certificate = AUTHORITY.issue("*.example.org")
        for host in ("www.example.org", "b\xfccher.example.org", "xn--bcher-kva.example.org"):
            self.assertAccepts(certificate, targetHost=host)
        for host in ("a.www.example.org", "example.org"):
            self.assertRefuses(
                certificate, NAME, S.NoError, TlsAlert.bad_certificate, targetHost=host
            )

    def test_broadWildcard(self) -> None:
        """
        A wildcard for what different people register stands for nothing.
        """
        self.assertRefuses(
            AUTHORITY.issue("*.co.uk"),
            NAME,
            S.NoError,
            TlsAlert.bad_certificate,
            targetHost="example.co.uk",
        )
        self.assertAccepts(AUTHORITY.issue("*.example.co.uk"), targetHost="www.example.co.uk")

    def test_internationalName(self) -> None:
        """
        A name in Unicode is looked for in its form on the wire.
        """
        certificate = AUTHORITY.issue("xn--bcher-kva.example")
        self.assertAccepts(certificate, targetHost="b\xfccher.example")
        self.assertRefuses(
            certificate, NAME, S.NoError, TlsAlert.bad_certificate, targetHost="bucher.example"
        )

    def test_noName(self) -> None:
        """
        Without a host there is none that could match.
        """
        self.assertRefuses(SERVER, NAME, S.NoError, TlsAlert.bad_certificate, targetHost="")

    def test_intermediate(self) -> None:
        """
        Intermediates are sent with the certificate; without them the chain has
        a gap.
        """
        leaf = Authority("Lower", Authority("Upper", AUTHORITY)).issue("localhost")
        self.assertAccepts(leaf)
        self.assertRefuses(
            SslStreamCertificateContext(leaf.certificate, leaf.privateKey),
            CHAIN,
            S.PartialChain,
            TlsAlert.unknown_ca,
        )

    def test_noAuthority(self) -> None:
        """
        Not every certificate may sign others.
        """
        impostor = Authority("Impostor", AUTHORITY, isAuthority=False)
        self.assertRefuses(
            impostor.issue("localhost"),
            CHAIN,
            S.InvalidBasicConstraints,
            TlsAlert.bad_certificate,
        )

    def test_nameConstraints(self) -> None:
        """
        An authority that may not sign for a name does not, be it a root or not;
        for others it does.
        """
        for constraint, good, bad, status in (
            (constrained(permitted="a.example"), "a.example", "b.example", PERMITTED),
            (constrained(excluded="b.example"), "a.example", "b.example", EXCLUDED),
        ):
            root = Authority("Root", extensions=constraint)
            middle = Authority("Middle", AUTHORITY, extensions=constraint)
            for authority, trust in ((root, root.trust), (middle, AUTHORITY.trust)):
                self.assertAccepts(authority.issue(good), targetHost=good, trust=trust)
                self.assertRefuses(
                    authority.issue(bad),
                    CHAIN,
                    status,
                    TlsAlert.bad_certificate,
                    targetHost=bad,
                    trust=trust,
                )

    def test_nameConstraintsSeenByCallback(self) -> None:
        """
        A callback is told of names that the authority may not sign for before
        it decides, and its answer is final.
        """
        for constraint, status in (
            (constrained(permitted="a.example"), PERMITTED),
            (constrained(excluded="localhost"), EXCLUDED),
        ):
            certificate = Authority("Middle", AUTHORITY, extensions=constraint).issue("localhost")
            for verdict in (True, False):
                asked = Recorder(verdict)
                self.present(certificate, remoteCertificateValidationCallback=asked)
                [(_, chain, errors)] = asked.calls
                self.assertEqual((chain.flags, errors), (status, CHAIN))
                if verdict:
                    self.assertAuthenticated()
                else:
                    self.assertRefused("client", CHAIN, status, TlsAlert.bad_certificate)

    def test_revocation(self) -> None:
        """
        As long as nothing can be learned about revocation, asking for it
        refuses everybody.
        """
        for mode in (X509RevocationMode.Online, X509RevocationMode.Offline):
            self.assertRefuses(
                SERVER,
                CHAIN,
                S.RevocationStatusUnknown | S.OfflineRevocation,
                TlsAlert.certificate_unknown,
                certificateRevocationCheckMode=mode,
            )

    def test_weakKey(self) -> None:
        """
        A certificate with a weak key is refused, also by a client that has
        chosen its cipher suites.
        """
        policy = CipherSuitesPolicy(
            [TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, AES_128_GCM]
        )
        for chosen in (None, policy):
            self.begin(
                {"cipherSuitesPolicy": chosen},
                {
                    "serverCertificate": AUTHORITY.issue("localhost", key=rsaKey(bits=1024)),
                    "enabledSslProtocols": LAX,
                },
            )
            self.assertRefused("client", CHAIN, S.HasWeakSignature, TlsAlert.bad_certificate)

    def test_unreadable(self) -> None:
        """
        A certificate that cannot be read is refused, whatever a callback would
        say: it has nothing to look at.
        """
        for damage in (ofUnknownVersion, withBadTime):
            asked = Recorder(True)
            for callback in (None, asked):
                wire = Wire(self.segment)
                server = foreignServer(damage(SERVER.certificate, AUTHORITY.key), wire)
                wire.connect(Bystander(), server)
                client = SslStream(wire.client, clock=wire.clock)
                authenticated = client.authenticateAsClient(
                    clientOptions(self.version, remoteCertificateValidationCallback=callback)
                )
                wire.flush()
                error = self.failureResultOf(authenticated, AuthenticationError).value
                self.assertEqual(
                    (error.sslPolicyErrors, error.chainStatus), (CHAIN, S.InvalidExtension)
                )
                self.assertEqual(error.alertSent, TlsAlert.bad_certificate)
                self.assertEqual(self.flushLoggedErrors(), [])
                self.assertEqual(asked.calls, [])


@perVersion(segments=(0,))
class JudgingClients(Conversation):
    """
    What a server without a callback thinks of clients.
    """

    def assertRefuses(
        self,
        certificates: Iterable[SslStreamCertificateContext],
        errors: SslPolicyErrors,
        status: X509ChainStatusFlags,
        alert: TlsAlert,
        **server: Any,
    ) -> AuthenticationError:
        """
        The server refuses a client with these certificates, and both know why.
        """
        self.begin(
            {"clientCertificates": certificates}, {"clientCertificateRequired": True, **server}
        )
        return self.assertRefused("server", errors, status, alert)

    def test_good(self) -> None:
        """
        A valid certificate is accepted; its name does not matter.
        """
        for certificate in (CLIENT, AUTHORITY.issue(subject="nobody")):
            self.begin({"clientCertificates": [certificate]}, {"clientCertificateRequired": True})
            self.assertAuthenticated()
            self.assertEqual(self.pair.server.remoteCertificate, certificate.certificate)
            self.assertTrue(self.pair.server.isMutuallyAuthenticated)

    def test_none(self) -> None:
        """
        A client that shows none is refused.
        """
        error = self.assertRefuses((), NOBODY, S.NoError, NO_CERTIFICATE[self.version])
        self.assertIn("peer did not return a certificate", str(error))

    def test_notAsked(self) -> None:
        """
        A client that was not asked for one shows none, and is accepted.
        """
        self.begin(
            {"clientCertificates": [CLIENT]},
            {"certificateRevocationCheckMode": X509RevocationMode.Online},
        )
        self.assertAuthenticated()
        self.assertIsNone(self.pair.server.remoteCertificate)
        self.assertIsNone(self.pair.client.localCertificate)
        self.assertFalse(self.pair.client.isMutuallyAuthenticated)

    def test_bad(self) -> None:
        """
        Untrusted, expired, premature, of the wrong usage, weak and forbidden
        certificates are refused.
        """
        constrainedMiddle = Authority("Middle", AUTHORITY, constrained(permitted="a.example"))
        for certificate, status, alert in (
            (Authority("Stranger").issue("client"), S.PartialChain, TlsAlert.unknown_ca),
            (selfSigned("client"), S.UntrustedRoot, TlsAlert.unknown_ca),
            (
                AUTHORITY.issue("client", notBefore=NOW - 2 * DAY, notAfter=NOW - DAY),
                S.NotTimeValid,
                TlsAlert.certificate_expired,
            ),
            (
                AUTHORITY.issue("client", notBefore=NOW + DAY, notAfter=NOW + 2 * DAY),
                S.NotTimeValid,
                TlsAlert.certificate_expired,
            ),
            (
                AUTHORITY.issue("client", usages=SERVER_ONLY),
                S.NotValidForUsage,
                TlsAlert.unsupported_certificate,
            ),
            (constrainedMiddle.issue("b.example"), PERMITTED, TlsAlert.bad_certificate),
        ):
            self.assertRefuses([certificate], CHAIN, status, alert)
        self.begin(
            {"clientCertificates": [AUTHORITY.issue("client", usages=CLIENT_ONLY)]},
            {"clientCertificateRequired": True},
        )
        self.assertAuthenticated()

    def test_revocation(self) -> None:
        """
        As long as nothing can be learned about revocation, asking for it
        refuses every certificate.
        """
        self.assertRefuses(
            [CLIENT],
            CHAIN,
            S.RevocationStatusUnknown | S.OfflineRevocation,
            TlsAlert.certificate_unknown,
            certificateRevocationCheckMode=X509RevocationMode.Offline,
        )

    def test_weakKey(self) -> None:
        """
        A certificate with a weak key is refused.
        """
        self.begin(
            {
                "clientCertificates": [AUTHORITY.issue("client", key=rsaKey(bits=1024))],
                "enabledSslProtocols": LAX,
            },
            {"clientCertificateRequired": True},
        )
        self.assertRefused("server", CHAIN, S.HasWeakSignature, TlsAlert.bad_certificate)

    def test_lateFirstWrite(self) -> None:
        """
        A TLS 1.3 client that was refused late learns it from each call after
        the alert has come, always the same; a TLS 1.2 client from the
        handshake.
        """
        self.assertRefuses((), NOBODY, S.NoError, NO_CERTIFICATE[self.version])
        if self.version is SslProtocols.Tls13:
            client = self.pair.client
            first = self.failureResultOf(client.read(), AuthenticationError).value
            self.assertIs(self.failureResultOf(client.read()).value, first)
            self.assertIs(self.failureResultOf(client.write(b"x")).value, first)

    def test_waitingReader(self) -> None:
        """
        A TLS 1.3 client's pending read fails with the server's refusal.
        """
        answer: Deferred[bool] = Deferred()
        self.begin(
            {"clientCertificates": [CLIENT]},
            {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": lambda *_: answer,
            },
        )
        if self.version is SslProtocols.Tls13:
            reading = self.pair.client.read()
            self.assertNoResult(reading)
        else:
            reading = self.sides["client"]
        answer.callback(False)
        self.pair.wire.flush()
        error = self.failureResultOf(reading, AuthenticationError).value
        self.assertEqual(error.alert, TlsAlert.bad_certificate)
        self.assertEqual(self.failureOf("server").alertSent, TlsAlert.bad_certificate)


@perVersion(segments=(0,))
class ClientCertificates(Conversation):
    """
    Which certificate a client shows.
    """

    def shown(self, client: Mapping[str, Any], **server: Any) -> X509Chain | None:
        """
        @return: the chain that a server gets to see from such a client.
        """
        asked = Recorder(True)
        self.begin(
            client,
            {
                "clientCertificateRequired": True,
                "remoteCertificateValidationCallback": asked,
                **server,
            },
        )
        self.assertAuthenticated()
        [(remote, chain, errors)] = asked.calls
        self.assertEqual(errors == NOBODY, chain is None)
        self.assertEqual(self.pair.client.localCertificate, remote)
        self.assertEqual(self.pair.client.isMutuallyAuthenticated, remote is not None)
        assert chain is None or isinstance(chain, X509Chain)
        return chain

    def assertShown(
        self,
        certificates: Iterable[SslStreamCertificateContext],
        expected: SslStreamCertificateContext | None,
        **server: Any,
    ) -> None:
        """
        Of these certificates a client shows this one, or none, to such a
        server.
        """
        chain = self.shown({"clientCertificates": certificates}, **server)
        if expected is None:
            self.assertIsNone(chain)
        else:
            assert chain is not None
            self.assertEqual(
                chain.presentedCertificates, (expected.certificate, *expected.intermediates)
            )

    def test_byIssuer(self) -> None:
        """
        Of several certificates the first is shown that comes from an authority
        the server names, directly or through intermediates; none, if none does.
        If the server names nobody, the first is shown.
        """
        stranger = Authority("Stranger")
        first, second = stranger.issue("first"), stranger.issue("second")
        below = Authority("Middle", AUTHORITY).issue("below")
        for certificates, trust, expected in (
            ([first, CLIENT], NAMED_TRUST, CLIENT),
            ([CLIENT, first], NAMED_TRUST, CLIENT),
            ([first, below, CLIENT], NAMED_TRUST, below),
            ([first, second], NAMED_TRUST, None),
            ([first], NAMED_TRUST, None),
            ([CLIENT], NAMED_TRUST, CLIENT),
            ([first, CLIENT], AUTHORITY.trust, first),
            ([first], AUTHORITY.trust, first),
        ):
            self.assertShown(certificates, expected, trust=trust)

    def test_byIssuers(self) -> None:
        """
        A server may name several authorities; any of them will do.
        """
        other, stranger = Authority("Other"), Authority("Stranger")
        trust = SslCertificateTrust.fromCertificates(
            [AUTHORITY.certificate, other.certificate], sendTrustInHandshake=True
        )
        ours, theirs = other.issue("ours"), stranger.issue("theirs")
        for certificates, expected in (
            ([theirs, ours, CLIENT], ours),
            ([theirs, CLIENT, ours], CLIENT),
            ([theirs], None),
        ):
            self.assertShown(certificates, expected, trust=trust)

    def servedWith(
        self, algorithms: bytes, certificate: SslStreamCertificateContext, **more: Any
    ) -> Any:
        """
        @param algorithms: the only signatures that the server knows, as OpenSSL
            names them.
        @return: the options of such a server.
        """
        options = {
            **more,
            "serverCertificate": certificate,
            # Nobody else uses the context of these options, which is changed.
            "applicationProtocols": [algorithms.decode()],
            "cipherSuitesPolicy": CipherSuitesPolicy(
                [ECDHE_128, TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, AES_128_GCM]
            ),
        }
        parameters = serverOptions(
            self.version,
            clientCertificateRequired=True,
            remoteCertificateValidationCallback=Recorder(True),
            **options,
        ).parameters
        context = contextFor(parameters)
        self.assertEqual(lib.SSL_CTX_set1_sigalgs_list(context._context, algorithms), 1)
        return options

    def test_byKeyType(self) -> None:
        """
        The first certificate is shown whose key makes signatures that the
        server knows; none, if there is none.
        """
        rsa, ecdsa = AUTHORITY.issue("rsa", key=rsaKey()), CLIENT
        edwards = AUTHORITY.issue("edwards", key=ed25519.Ed25519PrivateKey.generate())
        everything = [edwards, ecdsa, rsa]
        onlyRsa = self.servedWith(
            b"rsa_pss_rsae_sha256:RSA+SHA256", AUTHORITY.issue("localhost", key=rsaKey())
        )
        onlyEcdsa = self.servedWith(b"ECDSA+SHA256", SERVER)
        for certificates, server, expected in (
            (everything, onlyRsa, rsa),
            (everything[::-1], onlyRsa, rsa),
            ([edwards, ecdsa], onlyRsa, None),
            ([ecdsa], onlyRsa, None),
            ([rsa], onlyRsa, rsa),
            (everything, onlyEcdsa, ecdsa),
            (everything[::-1], onlyEcdsa, ecdsa),
            ([edwards, rsa], onlyEcdsa, None),
            ([rsa], onlyEcdsa, None),
            ([ecdsa], onlyEcdsa, ecdsa),
            (everything, {}, edwards),
            (everything[::-1], {}, rsa),
        ):
            self.assertShown(certificates, expected, **server)

    def test_byIssuerAndKeyType(self) -> None:
        """
        The certificate has to meet both demands.
        """
        stranger = Authority("Stranger")
        server = self.servedWith(b"ECDSA+SHA256:ECDSA+SHA384", SERVER, trust=NAMED_TRUST)
        wrongKey, wrongIssuer = AUTHORITY.issue("rsa", key=rsaKey()), stranger.issue("stranger")
        self.assertShown([wrongKey, wrongIssuer], None, **server)
        self.assertShown([wrongKey, wrongIssuer, CLIENT], CLIENT, **server)

    def test_doubtful(self) -> None:
        """
        A certificate that is out of date or for servers only is shown if there
        is no better one.
        """
        old = AUTHORITY.issue("old", notBefore=NOW - 2 * DAY, notAfter=NOW - DAY)
        serving = AUTHORITY.issue("serving", usages=SERVER_ONLY)
        for doubtful in (old, serving):
            self.assertShown([doubtful], doubtful)
            self.assertShown([doubtful, CLIENT], CLIENT)

    def test_keyInTheStore(self) -> None:
        """
        A certificate may come without its key if the store C{My} has that; it
        is shown with it.
        """
        home = TemporaryDirectory()
        self.addCleanup(home.cleanup)
        with patch.dict(os.environ, HOME=home.name):
            X509Store(StoreName.My).add(CLIENT)
            for options in (
                {"clientCertificates": [CLIENT.certificate]},
                {"clientCertificateContext": CLIENT.certificate},
                {"localCertificateSelectionCallback": lambda *_: CLIENT.certificate},
            ):
                chain = self.shown(options)
                assert chain is not None
                self.assertEqual(chain.presentedCertificates, (CLIENT.certificate,))
                self.assertEqual(chain.chainStatus, ())

    def test_keyNowhere(self) -> None:
        """
        A callback's certificate whose key is nowhere ends the handshake; the
        message names the certificate and the store.
        """
        home = TemporaryDirectory()
        self.addCleanup(home.cleanup)
        with patch.dict(os.environ, HOME=home.name):
            self.begin(
                {
                    "localCertificateSelectionCallback": whenWanted(
                        Recorder(AUTHORITY.issue("keyless").certificate)
                    )
                },
                {"clientCertificateRequired": True},
            )
        error = self.failureOf("client")
        self.assertIs(type(error.__cause__), CertificateError)
        self.assertIn("no private key for 'keyless': none is given, and none is in", str(error))
        self.assertIn(home.name, str(error))
        self.assertEqual(error.alertSent, TlsAlert.internal_error)
        self.assertEqual(self.verdictOn("server").alert, TlsAlert.internal_error)

    def test_allPresented(self) -> None:
        """
        The server's callback gets every certificate that the client has sent,
        in its order, also those that belong to no chain.
        """
        middle = Authority("Lower", Authority("Upper", AUTHORITY))
        leaf = middle.issue("client")
        stray = Authority("Stray").certificate
        sent = (stray, *leaf.intermediates[::-1], SERVER.certificate)
        chain = self.shown(
            {
                "clientCertificateContext": SslStreamCertificateContext(
                    leaf.certificate, leaf.privateKey, sent
                )
            }
        )
        assert chain is not None
        self.assertEqual(chain.presentedCertificates, (leaf.certificate, *sent))
        self.assertEqual(
            [element.certificate for element in chain.chainElements],
            [leaf.certificate, *leaf.intermediates, AUTHORITY.certificate],
        )
        self.assertEqual(chain.chainStatus, ())

    def test_intermediates(self) -> None:
        """
        The intermediates are sent with the certificate.
        """
        middle = Authority("Middle", AUTHORITY)
        leaf = middle.issue("below")
        for client in ({"clientCertificates": [leaf]}, {"clientCertificates": [CLIENT, leaf]}):
            chain = self.shown({**client, "localCertificateSelectionCallback": lambda *_: leaf})
            assert chain is not None
            self.assertEqual(
                [element.certificate for element in chain.chainElements],
                [leaf.certificate, middle.certificate, AUTHORITY.certificate],
            )
            self.assertEqual(chain.chainStatus, ())

    def test_context(self) -> None:
        """
        C{clientCertificateContext} is shown to whoever asks.
        """
        certificate = Authority("Middle", AUTHORITY).issue("below")
        for trust in (NAMED_TRUST, AUTHORITY.trust, Authority("Stranger").trust):
            chain = self.shown({"clientCertificateContext": certificate}, trust=trust)
            assert chain is not None
            self.assertEqual(chain.chainElements[0].certificate, certificate.certificate)


@perVersion()
class Negotiating(Conversation):
    """
    What two sides agree on, and what happens if they do not.
    """

    def assertDisagree(self, alert: TlsAlert, reason: str) -> None:
        """
        The server has found nothing in common, and both say so.
        """
        error = self.failureOf("server")
        self.assertEqual((error.alert, error.alertSent), (None, alert))
        self.assertIn(reason, str(error))
        verdict = self.failureOf("client")
        self.assertEqual((verdict.alert, verdict.alertSent), (alert, None))

    def test_serversOrder(self) -> None:
        """
        Of the application protocols both have, the server's favorite is used.
        """
        self.begin(
            {"applicationProtocols": ["a", "b", "c"]}, {"applicationProtocols": ["x", "c", "b"]}
        )
        self.assertAuthenticated()
        self.assertEqual(self.pair.client.negotiatedApplicationProtocol, b"c")
        self.assertEqual(self.pair.server.negotiatedApplicationProtocol, b"c")

    def test_noApplicationProtocols(self) -> None:
        """
        If one side has no list of application protocols none is agreed on, and
        nobody minds.
        """
        offers: Mapping[str, Any] = {"applicationProtocols": ["h2", "http/1.1"]}
        for client, server in ((offers, {}), ({}, offers), ({}, {})):
            self.begin(client, server)
            self.assertAuthenticated()
            self.assertIsNone(self.pair.client.negotiatedApplicationProtocol)
            self.assertIsNone(self.pair.server.negotiatedApplicationProtocol)

    def test_noCommonApplicationProtocol(self) -> None:
        """
        Two lists without a common application protocol end the handshake.
        """
        self.begin({"applicationProtocols": ["a", "bb"]}, {"applicationProtocols": ["b", "aa"]})
        self.assertDisagree(TlsAlert.no_application_protocol, "no application protocol")

    def test_noCommonVersion(self) -> None:
        """
        If a server does not have the client's version the handshake ends.
        """
        [other] = set(VERSIONS) - {self.version}
        self.begin({"enabledSslProtocols": other})
        self.assertDisagree(TlsAlert.protocol_version, "unsupported protocol")

    def test_bestCommonVersion(self) -> None:
        """
        The newest version that both have is used.
        """
        self.begin({"enabledSslProtocols": LAX})
        self.assertAuthenticated()
        self.assertIs(self.pair.client.sslProtocol, self.version)
        self.assertIs(self.pair.server.sslProtocol, self.version)

    def test_commonSuite(self) -> None:
        """
        A cipher suite that both policies allow is used, and the server's order
        decides.
        """
        for suites, expected in (
            ([ECDHE_128, AES_128_GCM], (ECDHE_128, AES_128_GCM)),
            ([ECDHE_128, AES_128_GCM, ECDHE_256, AES_256_GCM], (ECDHE_128, AES_128_GCM)),
            ([ECDHE_256, AES_256_GCM, ECDHE_128, AES_128_GCM], (ECDHE_256, AES_256_GCM)),
        ):
            self.begin(
                {
                    "cipherSuitesPolicy": CipherSuitesPolicy(
                        [ECDHE_128, ECDHE_256, AES_128_GCM, AES_256_GCM]
                    )
                },
                {"cipherSuitesPolicy": CipherSuitesPolicy(suites)},
            )
            self.assertAuthenticated()
            for stream in (self.pair.client, self.pair.server):
                self.assertIs(stream.negotiatedCipherSuite, expected[VERSIONS.index(self.version)])

    def test_noCommonSuite(self) -> None:
        """
        Policies without a common cipher suite end the handshake.
        """
        self.begin(
            {"cipherSuitesPolicy": CipherSuitesPolicy([ECDHE_128, AES_128_GCM])},
            {"cipherSuitesPolicy": CipherSuitesPolicy([ECDHE_256, AES_256_GCM])},
        )
        self.assertDisagree(TlsAlert.handshake_failure, "no shared cipher")


@perVersion()
class Strangers(_Tests):
    """
    Peers that do not speak TLS, or not at all.
    """

    version: SslProtocols
    segment: int

    def meet(self, role: str) -> Deferred[Any]:
        """
        Let a stream authenticate with a peer that is no stream.
        """
        self.wire = Wire(self.segment)
        self.stranger, bystander = Bystander(), Bystander()
        if role == "client":
            self.wire.connect(bystander, self.stranger)
            self.transport = self.wire.server
            stream = SslStream(self.wire.client, clock=self.wire.clock)
            return stream.authenticateAsClient(clientOptions(self.version))
        self.wire.connect(self.stranger, bystander)
        self.transport = self.wire.client
        stream = SslStream(self.wire.server, clock=self.wire.clock)
        return stream.authenticateAsServer(serverOptions(self.version))

    def test_notTls(self) -> None:
        """
        A peer that speaks something else is told apart from one that refuses,
        and gets no alert.
        """
        for role, words in (
            ("server", b"GET / HTTP/1.0\r\n\r\n"),
            ("server", b"CONNECT example.com:443 HTTP/1.0\r\n\r\n"),
            ("server", b"EHLO example.com\r\n"),
            ("server", bytes(100)),
            ("client", b"220 smtp\r\n"),
            ("client", b"HTTP/1.0 400 Bad Request\r\n\r\n"),
            ("client", b"SSH-2.0-OpenSSH\r\n"),
        ):
            authenticated = self.meet(role)
            self.wire.flush()
            heard = self.stranger.received
            self.transport.write(words)
            self.wire.flush()
            error = self.failureResultOf(authenticated, AuthenticationError).value
            self.assertIn("the peer does not speak TLS", str(error))
            self.assertEqual((error.alert, error.alertSent), (None, None))
            self.assertEqual(self.stranger.received, heard)
            self.assertIsNotNone(self.stranger.lost)

    def test_refusing(self) -> None:
        """
        A peer that answers with an alert refuses.
        """
        authenticated = self.meet("client")
        self.transport.write(b"\x15\x03\x01\x00\x02\x02\x28")
        self.wire.flush()
        error = self.failureResultOf(authenticated, AuthenticationError).value
        self.assertIn("the peer refused the handshake", str(error))
        self.assertEqual((error.alert, error.alertSent), (TlsAlert.handshake_failure, None))

    def test_silent(self) -> None:
        """
        A peer that says nothing for 30 seconds is given up, and told so.
        """
        for role in ("client", "server"):
            authenticated = self.meet(role)
            self.wire.flush()
            self.wire.clock.advance(29.9)
            self.wire.flush()
            self.assertNoResult(authenticated)
            self.wire.clock.advance(0.1)
            self.wire.flush()
            error = self.failureResultOf(authenticated, HandshakeTimeout).value
            self.assertIn("within 30 s", str(error))
            self.assertEqual((error.alert, error.alertSent), (None, TlsAlert.user_canceled))
            self.assertTrue(self.stranger.received.endswith(b"\x15\x03\x03\x00\x02\x02\x5a"))
            self.assertIsNotNone(self.stranger.lost)
            self.assertEqual(self.wire.clock.getDelayedCalls(), [])

    def test_dripping(self) -> None:
        """
        The time is for the whole handshake: a peer does not gain any by going
        on slowly.
        """
        authenticated = self.meet("server")
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        for octet in hello[:29]:
            self.transport.write(bytes([octet]))
            self.wire.flush()
            self.wire.clock.advance(1)
        self.assertNoResult(authenticated)
        self.wire.clock.advance(1)
        self.failureResultOf(authenticated, HandshakeTimeout)

    def test_gone(self) -> None:
        """
        A peer that leaves before the end has interrupted the handshake.
        """
        for role in ("client", "server"):
            authenticated = self.meet(role)
            self.wire.flush()
            self.transport.loseConnection()
            self.wire.flush()
            error = self.failureResultOf(authenticated, HandshakeInterrupted).value
            self.assertIs(type(error.__cause__), ConnectionDone)
            self.assertEqual((error.alert, error.alertSent), (None, None))
            self.assertEqual(self.wire.clock.getDelayedCalls(), [])


@perVersion(segments=(0,))
class WaitingForRevocation(Conversation):
    """
    A handshake in which revocation is being asked about.
    """

    def setUp(self) -> None:
        """
        Nothing may depend on the garbage collector.
        """
        withoutCollector(self)

    def test_givenUp(self) -> None:
        """
        Giving up cancels what is under way and leaves nothing behind.
        """
        for giveUp in (
            lambda: self.pair.client.abort(),
            lambda: self.pair.wire.cut(),
            lambda: self.sides["client"].cancel(),
            lambda: self.pair.client.close(),
        ):
            retriever = self.beginAsking()
            giveUp()
            self.pair.wire.flush()
            for name in ("client", "server"):
                self.failureResultOf(self.sides[name], AuthenticationError)
            self.assertEqual(retriever.cancelled, 1)
            # Their results have the frames of whoever has cancelled.
            retriever.answers.clear()
            self.assertNothingLeft()

    def beginAsking(self, **client: Any) -> _Silent:
        """
        Begin, and have the client ask about the server's certificate.

        @return: whom it asks.
        """
        authority = Authority("Asked About")
        url = x509.DistributionPoint(
            [x509.UniformResourceIdentifier("http://crl.example/")], None, None, None
        )
        server = authority.issue(
            "localhost", extensions=[(x509.CRLDistributionPoints([url]), False)]
        )
        retriever = _Silent()
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=authority.certificate,
            revocationMode=X509RevocationMode.Online,
            urlRetrievalTimeout=100,
            retriever=retriever,
        )
        self.begin(
            {"certificateChainPolicy": policy, "trust": None, **client},
            {"serverCertificate": server, "handshakeTimeout": None},
        )
        self.assertEqual(len(retriever.answers), 1)
        return retriever

    def test_cancelledAsked(self) -> None:
        """
        Whoever is asked about the certificate behind that, and cancels the
        authentication, has what it has begun cancelled as well.
        """
        cancelled: list[Any] = []
        answer: Deferred[bool] = Deferred(cancelled.append)

        def judge(*_: object) -> Deferred[bool]:
            self.sides["client"].cancel()
            return answer

        retriever = self.beginAsking(remoteCertificateValidationCallback=judge)
        retriever.answers[0].errback(RetrievalError("http://crl.example/", "there is nobody"))
        self.pair.wire.flush()
        self.failureResultOf(self.sides["client"], HandshakeCancelled)
        self.failureResultOf(self.sides["server"], AuthenticationError)
        self.assertEqual(cancelled, [answer])


@implementer(IRetriever)
class _Silent:
    """
    Never answers.
    """

    def __init__(self) -> None:
        self.answers: list[Deferred[bytes]] = []
        self.cancelled = 0

    def retrieve(self, url: str, **how: Any) -> Deferred[bytes]:
        """
        See L{IRetriever}.
        """

        def cancelled(_: Deferred[bytes]) -> None:
            self.cancelled += 1

        self.answers.append(Deferred(cancelled))
        return self.answers[-1]
