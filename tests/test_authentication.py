"""
Tests for L{txsslstream.authentication}: who is asked and with what, what stands
still meanwhile, and how every verdict and every interruption ends on both
sides.
"""

from __future__ import annotations

import gc
import random
import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherSuitesPolicy,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    SslApplicationProtocol,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    TlsAlert,
    TlsCipherSuite,
    TruncationError,
    X509ChainStatusFlags,
    X509RevocationMode,
    _waiting,
)
from txsslstream.authentication import Authentication

from .support import (
    AUTHORITY,
    CLIENT,
    DAY,
    NOW,
    SERVER,
    VERSIONS,
    Authority,
    Bystander,
    Pair,
    Wire,
    clientOptions,
    perVersion,
    serverOptions,
)

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
    pair: Pair
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
        self.pair = Pair(self.segment, **(streams or {}))
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

    def assertNothingLeft(self) -> None:
        """
        The connection is gone, and everything that was made for it.
        """
        pair = self.pair
        pair.wire.flush()
        for bystander in pair.bystanders:
            self.assertIsNotNone(bystander.lost)
        self.assertEqual(pair.clock.getDelayedCalls(), [])
        self.assertEqual(_waiting._parked, set())
        self.assertEqual(self.flushLoggedErrors(), [])
        left: list[weakref.ref[Any]] = []
        for stream in (pair.client, pair.server):
            protocol: Any = stream._protocol
            authentication = protocol._authentication
            for each in (stream, protocol, authentication, authentication.engine):
                left.append(weakref.ref(each))
            del each, protocol, authentication
        del pair, stream, self.pair
        self.sides.clear()
        self.assertEqual([each() for each in left if each() is not None], [])


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
    lambda callback: {"streams": {"localCertificateSelectionCallback": callback}},
    SERVER,
    None,
    both(TlsAlert.unrecognized_name),
    givenUp=both(TlsAlert.internal_error),
)
SERVER_CHOOSES_BY_NAME = Situation(
    "ServerChoosesByName",
    "server",
    lambda callback: {"server": {"serverCertificateSelectionCallback": callback}},
    SERVER,
    None,
    both(TlsAlert.unrecognized_name),
    givenUp=both(TlsAlert.internal_error),
)
#: A client that has no certificate goes on without, so its bad answer is one of
#: the wrong type.
CLIENT_CHOOSES = Situation(
    "ClientChooses",
    "client",
    lambda callback: {
        "client": {"localCertificateSelectionCallback": callback},
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
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

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
        An answer of that form, once given, lets both sides through.
        """
        self.ask(answer)
        self.assertAuthenticated()
        self.assertEqual(len(self.asked), 1)

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
        self.assertNothingLeft()


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
        raised = ZeroDivisionError("in the callback")

        def answer() -> object:
            raise raised

        self.ask(answer)
        self.assertIs(self.assertFailed(ZeroDivisionError), raised)
        self.assertNothingLeft()

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
        self.assertNothingLeft()

    def test_noAnswer(self) -> None:
        """
        What is no answer refuses, whatever its truth: 1 is not C{True}.
        """
        for answer in (1, "yes", [True], object()):
            self.ask(lambda answer=answer: answer)
            isVerdict = self.situation.good is True
            cause = self.assertFailed(TypeError if isVerdict else CertificateError)
            self.assertNothingLeft()
            del cause

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
        self.cancelled: list[Deferred[Any]] = []

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> Deferred[Any]:
        """
        Ask, and get no answer.

        @param meanwhile: what the callback itself does.
        """
        answer: Deferred[Any] = Deferred(self.cancelled.append)

        def ask() -> Deferred[Any]:
            meanwhile()
            return answer

        self.ask(ask)
        return answer

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
        self.assertEqual(self.cancelled, [answer])
        answer.callback(self.situation.good)
        self.pair.wire.flush()
        self.assertFalse(self.stream().isAuthenticated)
        self.assertEqual(len(self.asked), 1)
        self.asked.clear()
        self.cancelled.clear()

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
        self.assertNothingLeft()

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
        self.sides[self.asker].addErrback(
            lambda failure: (answer.callback(self.situation.good), failure)[1]
        )
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
        error = self.failureOf(self.asker, HandshakeCancelled)
        stream = self.stream()
        for later in (
            stream.read(),
            stream.readExactly(1),
            stream.write(b"x"),
            stream.flush(),
            stream.shutdown(),
            stream.whenAuthenticated(),
        ):
            self.assertIs(self.failureResultOf(later).value, error)
        self.assertIs(self.assertRaises(HandshakeCancelled, lambda: stream.security), error)
        again = stream.authenticateAsClient("localhost")
        self.failureResultOf(again, InvalidOperationError)

    def test_boundedMemory(self) -> None:
        """
        What a peer sends meanwhile is kept up to a limit; beyond, the transport
        is paused until there is an answer.
        """
        answer = self.wait()
        transport = getattr(self.pair.wire, self.asker)
        piece = b"\x17\x03\x03\x0f\xfb" + bytes(4091)
        taken = 0
        while not transport.isPaused:
            transport.protocol.dataReceived(piece)
            taken += len(piece)
            self.assertLessEqual(taken, Authentication.WITHHELD_LIMIT)
        self.assertEqual(taken, Authentication.WITHHELD_LIMIT)
        answer.errback(ZeroDivisionError("in the Deferred"))
        self.assertFalse(transport.isPaused)
        self.pair.wire.flush()
        self.assertAskerFailed(self.situation.failed)
