"""
Tests for L{txsslstream.metrics}: what observers hear of every way in which
connections begin and end, and what is counted of it.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeFailureReason,
    HandshakeInterrupted,
    HandshakeTimeout,
    IHandshakeObserver,
    NotSupportedError,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamMetrics,
    TlsAlert,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationMode,
)
from txsslstream import metrics as metricsModule
from txsslstream.crossing import Negotiated
from txsslstream.judgement import Judgement
from txsslstream.metrics import (
    DURATION_BOUNDS,
    Counters,
    Durations,
    Watch,
    addObserver,
    reasonOf,
    removeObserver,
)
from txsslstream.sessions import sessions
from txsslstream.testing import (
    DAY,
    NOW,
    Application,
    Authority,
    Bystander,
    Link,
    StreamPair,
    Wire,
    perVersion,
)
from txsslstream.testing.revocations import crl

from .applications import ProtocolMixin
from .garbage import withoutCollector
from .support import AUTHORITY, SERVER, clientOptions, serverOptions

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object

R = HandshakeFailureReason
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
#: What Twisted's own client trusts.
TRUSTED = ssl.Certificate.loadPEM(AUTHORITY.certificate.public_bytes(Encoding.PEM))
ROLES = ("client", "server")


@implementer(IHandshakeObserver)
class Ledger:
    """
    Writes down what it hears, for each role.
    """

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[Any, ...]]] = {role: [] for role in ROLES}

    def _note(self, isServer: bool, *event: object) -> None:
        assert isinstance(isServer, bool)
        self.heard[ROLES[isServer]].append(event)

    def handshakeStarted(self, isServer: bool) -> None:
        self._note(isServer, "started")

    def handshakeCompleted(
        self, isServer: bool, protocol: SslProtocols, isResumed: bool, seconds: float
    ) -> None:
        self._note(isServer, "completed", protocol, isResumed, seconds)

    def handshakeFailed(
        self, isServer: bool, reason: HandshakeFailureReason, seconds: float
    ) -> None:
        self._note(isServer, "failed", reason, seconds)

    def connectionClosed(self, isServer: bool, protocol: SslProtocols) -> None:
        self._note(isServer, "closed", protocol)


@implementer(IHandshakeObserver)
class Broken:
    """
    Fails whatever it hears.
    """

    def handshakeStarted(self, isServer: bool) -> None:
        raise ZeroDivisionError

    def handshakeCompleted(
        self, isServer: bool, protocol: SslProtocols, isResumed: bool, seconds: float
    ) -> None:
        raise ZeroDivisionError

    def handshakeFailed(
        self, isServer: bool, reason: HandshakeFailureReason, seconds: float
    ) -> None:
        raise ZeroDivisionError

    def connectionClosed(self, isServer: bool, protocol: SslProtocols) -> None:
        raise ZeroDivisionError


class Observed(_Mixin):
    """
    What all tests of observed connections need.

    @ivar ledger: an observer.
    @ivar metrics: another.
    """

    version: SslProtocols
    segment: int

    def setUp(self) -> None:
        self.assertEqual(metricsModule._observers, ())
        self.ledger = self.observe(Ledger())
        self.metrics = self.observe(SslStreamMetrics())

    def observe(self, observer: Any) -> Any:
        """
        Let somebody observe as long as the test runs.
        """
        addObserver(observer)
        self.addCleanup(removeObserver, observer)
        return observer

    def completed(self, seconds: float = 0) -> list[tuple[Any, ...]]:
        """
        What is heard of a handshake that succeeds.
        """
        return [("started",), ("completed", self.version, False, seconds)]

    def lived(self, seconds: float = 0) -> list[tuple[Any, ...]]:
        """
        What is heard of a connection that was authenticated, from the beginning
        to the end.
        """
        return [*self.completed(seconds), ("closed", self.version)]

    def failed(self, reason: HandshakeFailureReason, seconds: float = 0) -> list[tuple[Any, ...]]:
        """
        What is heard of a handshake that fails.
        """
        return [("started",), ("failed", reason, seconds)]

    def late(self, judge: str, reason: HandshakeFailureReason) -> list[tuple[Any, ...]]:
        """
        What is heard of a side whose certificate, or lack of one, is refused by
        the other: a client of TLS 1.3 has finished before.
        """
        if judge == "server" and self.version is SslProtocols.Tls13:
            return self.lived()
        return self.failed(reason)

    def assertHeard(self, client: list[tuple[Any, ...]], server: list[tuple[Any, ...]]) -> None:
        """
        This has been heard since the last time, and all that has begun has
        ended.
        """
        self.assertEqual(self.ledger.heard, {"client": client, "server": server})
        self.ledger.heard = {role: [] for role in ROLES}
        for counters in (self.metrics, self.metrics.client, self.metrics.server):
            self.assertEqual(counters.currentHandshakes, 0)
            self.assertEqual(set(counters.openSessions.values()), {0})
        self.assertEqual(self.flushLoggedErrors(), [])

    def assertOf(self, role: str, one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
        """
        L{assertHeard}.

        @param one: of this role.
        @param other: of the other.
        """
        self.assertHeard(**{role: one, otherThan(role): other})

    def open(self, **arguments: Any) -> StreamPair:
        """
        @return: two authenticated streams.
        """
        pair = StreamPair(self.segment, **arguments)
        for authenticated in pair.authenticate(self.version):
            self.successResultOf(authenticated)
        return pair

    def close(self, pair: StreamPair, role: str = "client") -> None:
        """
        Close a connection, from this side.
        """
        for each in (role, otherThan(role)):
            getattr(pair, each).close()
            pair.wire.flush()

    def begin(self, role: str = "client", **options: Any) -> tuple[StreamPair, Deferred[Any]]:
        """
        Authenticate as far as it goes.

        @param role: the side that is looked at.
        @param options: its options; the other waits for ever.
        @return: the streams, and the Deferred of this side.
        """
        pair = StreamPair(self.segment)
        # Nothing begins with time.
        pair.clock.advance(1000)
        every: dict[str, Any] = {role: options, otherThan(role): {"handshakeTimeout": None}}
        sides = dict(zip(ROLES, pair.authenticate(self.version, **every), strict=True))
        sides[otherThan(role)].addErrback(lambda _: None)
        return pair, sides[role]


def otherThan(role: str) -> str:
    """
    @return: the other role.
    """
    return ROLES[role == "client"]


@perVersion(segments=(0, 1))
class OpenConnections(Observed):
    """
    Connections that were authenticated.
    """

    def test_closed(self) -> None:
        """
        One that is closed by either side is heard of three times by each, and
        counted as open until then.
        """
        for role in ROLES:
            pair = self.open()
            self.assertEqual(self.ledger.heard, dict.fromkeys(ROLES, self.completed()))
            self.assertEqual(self.metrics.openSessions[self.version], 2)
            self.assertEqual(self.metrics.currentHandshakes, 0)
            self.close(pair, role)
            self.assertHeard(self.lived(), self.lived())

    def test_data(self) -> None:
        """
        Nothing is heard of what is said in between.
        """
        pair = self.open()
        for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
            one.write(bytes(100_000 if self.segment == 0 else 100))
            pair.wire.flush()
            self.successResultOf(other.read())
        self.assertEqual(self.ledger.heard, dict.fromkeys(ROLES, self.completed()))


@perVersion(segments=(0,))
class Ends(Observed, ProtocolMixin):
    """
    All other ways in which an authenticated connection ends.
    """

    def test_halves(self) -> None:
        """
        One that is closed by halves is open until both are.
        """
        pair = self.open()
        for stream in (pair.client, pair.server):
            self.assertEqual(self.ledger.heard, dict.fromkeys(ROLES, self.completed()))
            stream.shutdown()
            pair.wire.flush()
        pair.client.close()
        pair.wire.flush()
        self.assertHeard(self.lived(), self.lived())

    def test_truncated(self) -> None:
        """
        One that is lost without C{close_notify}.
        """
        pair = self.open()
        pair.wire.cut()
        self.assertHeard(self.lived(), self.lived())

    def test_broken(self) -> None:
        """
        One that breaks because the peer sends no TLS any more.
        """
        for role in ROLES:
            pair = self.open()
            getattr(pair.wire, role).write(b"GET / HTTP/1.0\r\n\r\n")
            pair.wire.flush()
            self.assertHeard(self.lived(), self.lived())

    def test_aborted(self) -> None:
        """
        One that is aborted.
        """
        for role in ROLES:
            pair = self.open()
            getattr(pair, role).abort()
            pair.wire.flush()
            self.assertHeard(self.lived(), self.lived())

    def test_unansweredClose(self) -> None:
        """
        One whose peer does not answer C{close_notify} is open until patience
        ends.
        """
        for role in ROLES:
            pair = self.open()
            getattr(pair.wire, otherThan(role)).pauseProducing()
            getattr(pair, role).close()
            pair.wire.flush()
            self.assertEqual(self.metrics.openSessions[self.version], 2)
            pair.clock.advance(5)
            pair.wire.flush()
            self.assertHeard(self.lived(), self.lived())

    def test_leftOpen(self) -> None:
        """
        One that gives its transport back is gone, although the transport is
        not.
        """
        pair = self.open(leaveInnerStreamOpen=True)
        self.close(pair)
        self.assertHeard(self.lived(), self.lived())
        self.assertTrue(pair.wire.client.connected)
        self.assertIs(pair.wire.client.protocol, pair.bystanders[0])

    def test_streamInStream(self) -> None:
        """
        One inside of another is another one.
        """
        pair = self.open()
        sessions.clear()
        inner = [SslStream(each) for each in (pair.client, pair.server)]
        inner[0].authenticateAsClient(clientOptions(self.version))
        inner[1].authenticateAsServer(serverOptions(self.version))
        pair.wire.flush()
        self.assertEqual(self.metrics.openSessions[self.version], 4)
        for stream in inner:
            stream.close()
            pair.wire.flush()
        lived = [*self.completed(), *self.lived(), ("closed", self.version)]
        self.assertHeard(lived, lived)

    def connected(self, role: str, application: Application) -> Link:
        """
        @return: two applications over TLS that have gone as far as they go, seen
            from this role's.
        """
        link = self.link(role == "server", application)
        link.wire.flush()
        return link

    def abandoned(self, role: str) -> list[tuple[Any, ...]]:
        """
        What is heard of a side whose peer, in this role, aborts as soon as it
        has finished: whoever finishes first waits in vain for the other.
        """
        finishesLast = "client" if self.version is SslProtocols.Tls13 else "server"
        return self.failed(R.connectionLost) if role == finishesLast else self.lived()

    def test_applicationFails(self) -> None:
        """
        One whose application raises as it is connected was authenticated, and
        is gone.
        """
        for role in ROLES:
            self.connected(role, Application(made=lambda _: 1 / 0))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertOf(role, self.lived(), self.abandoned(role))

    def test_applicationCloses(self) -> None:
        """
        One that the application closes or aborts as it is connected.
        """
        for role in ROLES:
            self.connected(role, Application(made=lambda each: each.transport.loseConnection()))
            self.assertHeard(self.lived(), self.lived())
            self.connected(role, Application(made=lambda each: each.transport.abortConnection()))
            self.assertOf(role, self.lived(), self.abandoned(role))

    def test_applicationFailsAtTheEnd(self) -> None:
        """
        One whose application raises as it is told of the end.
        """
        for role in ROLES:
            link = self.connected(role, Application(lost=lambda _: 1 / 0))
            self.assertRaises(ZeroDivisionError, link.wire.cut)
            for side in (link.client, link.server):
                if side.inner.connected:
                    side.inner.lost(ConnectionDone())
            self.assertHeard(self.lived(), self.lived())

    def test_before(self) -> None:
        """
        Observers hear before the application does.
        """
        for role in ROLES:
            atThatTime: list[list[tuple[Any, ...]]] = []

            def note(_: Application, role: str = role, seen: list[Any] = atThatTime) -> None:
                seen.append(list(self.ledger.heard[role]))

            link = self.connected(role, Application(made=note, lost=note))
            link.wire.cut()
            self.assertEqual(atThatTime, [self.completed(), self.lived()])
            self.assertHeard(self.lived(), self.lived())


@perVersion(segments=(0,))
class Failures(Observed):
    """
    Handshakes that fail.
    """

    def assertWhy(
        self, authenticated: Deferred[Any], reason: HandshakeFailureReason
    ) -> AuthenticationError:
        """
        The handshake has failed, and its error tells the same.
        """
        error = self.failureResultOf(authenticated, AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        self.assertIs(error.reason, reason)
        return error

    def halfway(self, patient: str = "client") -> tuple[StreamPair, dict[str, Deferred[Any]]]:
        """
        @param patient: the side that waits for ever.
        @return: two streams in the middle of the handshake, and their
            Deferreds.
        """
        pair = StreamPair(self.segment)
        getattr(pair, patient).handshakeTimeout = None
        sides = dict(zip(ROLES, pair.authenticate(self.version, flush=False), strict=True))
        # The client's hello, and no answer.
        pair.wire.deliver(pair.wire.client, pair.wire.server)
        self.assertEqual(self.metrics.client.currentHandshakes, 1)
        self.assertEqual(self.metrics.server.currentHandshakes, 1)
        return pair, sides

    def test_lost(self) -> None:
        """
        The connection is lost.
        """
        pair, sides = self.halfway()
        pair.clock.advance(3)
        pair.wire.cut()
        for side in sides.values():
            self.assertWhy(side, R.connectionLost)
        lost = self.failed(R.connectionLost, 3)
        self.assertHeard(lost, lost)

    def test_timeout(self) -> None:
        """
        The peer is silent until time is over, by the connection's own clock.
        """
        for role in ROLES:
            pair, sides = self.halfway(otherThan(role))
            pair.clock.advance(30)
            self.assertWhy(sides[role], R.timeout)
            pair.wire.cut()
            self.assertWhy(sides[otherThan(role)], R.connectionLost)
            self.assertOf(role, self.failed(R.timeout, 30), self.failed(R.connectionLost, 30))

    def test_givenUp(self) -> None:
        """
        It is cancelled, or the stream closed; what the other side hears of it
        depends on how far that has come.
        """
        alert, lost = self.failed(R.alertReceived), self.failed(R.connectionLost)
        others = {
            (SslProtocols.Tls12, "client"): alert,
            (SslProtocols.Tls12, "server"): alert,
            # The alert says that nothing more will come, which is so.
            (SslProtocols.Tls13, "client"): lost,
            (SslProtocols.Tls13, "server"): self.lived(),
        }
        for giveUp in (
            lambda pair, sides, role: sides[role].cancel(),
            lambda pair, sides, role: getattr(pair, role).close(),
        ):
            for role in ROLES:
                pair, sides = self.halfway()
                giveUp(pair, sides, role)
                pair.wire.flush()
                self.assertWhy(sides[role], R.cancelled)
                sides[otherThan(role)].addErrback(lambda _: None)
                self.assertOf(role, self.failed(R.cancelled), others[self.version, role])

    def test_aborted(self) -> None:
        """
        The stream is aborted, and the other side is not told.
        """
        for role in ROLES:
            pair, sides = self.halfway()
            getattr(pair, role).abort()
            pair.wire.flush()
            self.assertWhy(sides[role], R.cancelled)
            self.assertWhy(sides[otherThan(role)], R.connectionLost)
            self.assertOf(role, self.failed(R.cancelled), self.failed(R.connectionLost))

    def test_whileDeciding(self) -> None:
        """
        Whatever ends a handshake for which a callback is deciding, it is one
        failure, whatever the callback's Deferred does later.
        """
        ways: dict[Callable[..., object], tuple[R, R]] = {
            lambda pair, side, stream: pair.clock.advance(27.5): (R.timeout, R.alertReceived),
            lambda pair, side, stream: side.cancel(): (R.cancelled, R.alertReceived),
            lambda pair, side, stream: stream.close(): (R.cancelled, R.alertReceived),
            lambda pair, side, stream: stream.abort(): (R.cancelled, R.connectionLost),
            lambda pair, side, stream: pair.wire.cut(): (R.connectionLost, R.connectionLost),
        }
        for role in ROLES:
            for end, (ours, theirs) in ways.items():
                answer: Deferred[bool] = Deferred()
                pair, side = self.begin(
                    role, remoteCertificateValidationCallback=lambda *_, x=answer: x
                )
                pair.clock.advance(2.5)
                end(pair, side, getattr(pair, role))
                pair.wire.flush()
                answer.callback(True)
                pair.wire.flush()
                self.assertWhy(side, ours)
                seconds = 30 if ours is R.timeout else 2.5
                self.assertOf(role, self.failed(ours, seconds), self.failed(theirs, seconds))

    def test_callbackFails(self) -> None:
        """
        A callback raises, gives no answer, or chooses what cannot be used.
        """
        for role in ROLES:
            for callback in (lambda *_: 1 / 0, lambda *_: None):
                _, side = self.begin(role, remoteCertificateValidationCallback=callback)
                self.assertWhy(side, R.internalError)
                self.assertOf(role, self.failed(R.internalError), self.failed(R.alertReceived))
        _, side = self.begin("server", serverCertificateSelectionCallback=lambda *_: 0)
        self.assertWhy(side, R.internalError)
        self.assertOf("server", self.failed(R.internalError), self.failed(R.alertReceived))

    def test_callbackRefuses(self) -> None:
        """
        A callback refuses a peer that has no fault.
        """
        for role in ROLES:
            _, side = self.begin(role, remoteCertificateValidationCallback=lambda *_: False)
            self.assertWhy(side, R.callbackRefused)
            self.assertOf(role, self.failed(R.callbackRefused), self.failed(R.alertReceived))

    def test_callbackRefusesFaults(self) -> None:
        """
        Where there is a fault, that counts, whoever refuses it.
        """
        _, side = self.begin(
            "client",
            remoteCertificateValidationCallback=lambda *_: False,
            targetHost="elsewhere.example",
        )
        self.assertWhy(side, R.certificateNameMismatch)
        self.assertHeard(self.failed(R.certificateNameMismatch), self.failed(R.alertReceived))

    def test_certificates(self) -> None:
        """
        The peer's certificate is refused, and each kind of fault counts apart.
        """
        past: dict[str, Any] = {"notBefore": NOW - 2 * DAY, "notAfter": NOW - DAY}
        offline = {"certificateRevocationCheckMode": X509RevocationMode.Offline}
        revoked = AUTHORITY.issue("localhost")
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=[AUTHORITY.certificate],
            revocationMode=X509RevocationMode.Offline,
            revocationLists=[crl(AUTHORITY, revoked.certificate)],
        )
        listed = {"certificateChainPolicy": policy, "trust": None}
        nothing: dict[str, Any] = {}
        for certificate, options, reason in (
            (Authority().issue("localhost"), nothing, R.certificateUntrusted),
            (AUTHORITY.issue("localhost", **past), nothing, R.certificateExpired),
            (AUTHORITY.issue("localhost", usages=[CODE_SIGNING]), nothing, R.certificateInvalid),
            (SERVER, offline, R.revocationUnknown),
            (revoked, listed, R.certificateRevoked),
        ):
            for judge in ROLES:
                shown: dict[str, Any] = {
                    "client": {"clientCertificates": [certificate]},
                    "server": {"clientCertificateRequired": True},
                }
                if judge == "client":
                    shown = {"client": {}, "server": {"serverCertificate": certificate}}
                shown[judge].update(options)
                pair = StreamPair(self.segment)
                sides = dict(zip(ROLES, pair.authenticate(self.version, **shown), strict=True))
                self.assertWhy(sides[judge], reason)
                sides[otherThan(judge)].addErrback(lambda _: None)
                self.assertOf(judge, self.failed(reason), self.late(judge, R.alertReceived))

    def test_name(self) -> None:
        """
        The certificate is for another host.
        """
        _, side = self.begin("client", targetHost="elsewhere.example")
        self.assertWhy(side, R.certificateNameMismatch)
        self.assertHeard(self.failed(R.certificateNameMismatch), self.failed(R.alertReceived))

    def test_leftOpen(self) -> None:
        """
        The transport is given back and not closed.
        """
        pair = StreamPair(self.segment, leaveInnerStreamOpen=True)
        for side in pair.authenticate(self.version, client={"targetHost": "elsewhere.example"}):
            self.failureResultOf(side, AuthenticationError)
        self.assertTrue(pair.wire.client.connected)
        self.assertHeard(self.failed(R.certificateNameMismatch), self.failed(R.alertReceived))

    def test_missing(self) -> None:
        """
        The client shows no certificate.
        """
        _, side = self.begin("server", clientCertificateRequired=True)
        self.assertWhy(side, R.certificateMissing)
        self.assertOf(
            "server", self.failed(R.certificateMissing), self.late("server", R.alertReceived)
        )

    def test_unknownServerName(self) -> None:
        """
        There is no certificate for the name that the client asks for.
        """
        _, side = self.begin("server", serverCertificateSelectionCallback=lambda *_: None)
        self.assertWhy(side, R.serverNameUnknown)
        self.assertHeard(self.failed(R.alertReceived), self.failed(R.serverNameUnknown))

    def test_nothingInCommon(self) -> None:
        """
        There is no common version.
        """
        other = {SslProtocols.Tls12: SslProtocols.Tls13, SslProtocols.Tls13: SslProtocols.Tls12}
        _, side = self.begin("server", enabledSslProtocols=other[self.version])
        self.assertWhy(side, R.protocolError)
        self.assertHeard(self.failed(R.alertReceived), self.failed(R.protocolError))

    def test_notTls(self) -> None:
        """
        The peer speaks something else.
        """
        for role, words in (("client", b"220 smtp\r\n"), ("server", b"GET / HTTP/1.0\r\n\r\n")):
            wire = Wire(self.segment)
            wire.connect(Bystander(), Bystander())
            stream = SslStream(getattr(wire, role), clock=wire.clock)
            if role == "client":
                side = stream.authenticateAsClient(clientOptions(self.version))
            else:
                side = stream.authenticateAsServer(serverOptions(self.version))
            getattr(wire, otherThan(role)).write(words)
            wire.flush()
            self.assertWhy(side, R.notTls)
            self.assertOf(role, self.failed(R.notTls), [])

    def test_internal(self) -> None:
        """
        What we do ourselves fails.
        """
        self.patch(Judgement, "_begin", lambda *_: 1 / 0)
        _, side = self.begin("client")
        self.assertWhy(side, R.internalError)
        self.assertHeard(self.failed(R.internalError), self.failed(R.alertReceived))

    def test_before(self) -> None:
        """
        Observers hear before whoever waits for the authentication does.
        """
        pair, sides = self.halfway()
        seen: list[object] = []
        sides["client"].addErrback(lambda _: seen.extend(self.ledger.heard["client"]))
        pair.wire.cut()
        self.assertEqual(seen, self.failed(R.connectionLost))
        self.failureResultOf(sides["server"])


@perVersion(segments=(0,))
class Durable(Observed):
    """
    The time that a handshake takes.
    """

    def test_waiting(self) -> None:
        """
        It includes the time that a callback takes.
        """
        for role in ROLES:
            answer: Deferred[bool] = Deferred()
            pair, side = self.begin(
                role, remoteCertificateValidationCallback=lambda *_, x=answer: x
            )
            pair.clock.advance(2.5)
            answer.callback(True)
            pair.wire.flush()
            self.successResultOf(side)
            pair.clock.advance(100)
            pair.wire.cut()
            self.assertHeard(self.lived(2.5), self.lived(2.5))
        self.assertEqual(self.metrics.allDurations.sum, 10)

    def test_setBack(self) -> None:
        """
        It is never negative, even if the machine's time is set back meanwhile.
        """
        answer: Deferred[bool] = Deferred()
        pair, side = self.begin(remoteCertificateValidationCallback=lambda *_: answer)
        pair.clock.rightNow -= 3600
        answer.callback(True)
        pair.wire.flush()
        self.successResultOf(side)
        pair.wire.cut()
        self.assertHeard(self.lived(0), self.lived(0))


@perVersion(segments=(0,))
class Observers(Observed):
    """
    Who hears, and who does not disturb.
    """

    def test_raising(self) -> None:
        """
        An observer that raises is logged for each failure, the others hear all
        the same, and the connection does not know.
        """
        self.observe(Broken())
        last = self.observe(Ledger())
        pair = self.open()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)
        pair.client.write(b"as ever")
        pair.wire.flush()
        self.assertEqual(self.successResultOf(pair.server.read()), b"as ever")
        self.close(pair)
        self.assertIsNone(self.successResultOf(pair.server.whenClosed()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(last.heard, self.ledger.heard)
        self.assertHeard(self.lived(), self.lived())
        _, side = self.begin("client", targetHost="elsewhere.example")
        self.failureResultOf(side, AuthenticationError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_lateComer(self) -> None:
        """
        An observer hears nothing of connections that have begun before, be it
        in the handshake or after it.
        """
        answer: Deferred[bool] = Deferred()
        pair, side = self.begin(remoteCertificateValidationCallback=lambda *_: answer)
        opened = self.open()
        late = self.observe(Ledger())
        answer.callback(True)
        pair.wire.flush()
        self.successResultOf(side)
        for wire in (pair.wire, opened.wire):
            wire.cut()
        self.assertEqual(late.heard, {"client": [], "server": []})
        self.open().wire.cut()
        self.assertEqual(late.heard, {"client": self.lived(), "server": self.lived()})

    def test_removed(self) -> None:
        """
        An observer that was removed hears how what it knows of ends, so that it
        can count down, and of nothing else.
        """
        answer: Deferred[bool] = Deferred()
        pair, side = self.begin(remoteCertificateValidationCallback=lambda *_: answer)
        removeObserver(self.ledger)
        removeObserver(self.metrics)
        self.open().wire.cut()
        answer.callback(True)
        pair.wire.flush()
        self.successResultOf(side)
        pair.wire.cut()
        self.assertHeard(self.lived(), self.lived())

    def test_removesItself(self) -> None:
        """
        An observer may add and remove observers as it hears; that is so for the
        next connection.
        """
        other = Ledger()
        self.addCleanup(removeObserver, other)

        class Changing(Ledger):
            def handshakeStarted(self, isServer: bool) -> None:
                super().handshakeStarted(isServer)
                removeObserver(self)
                addObserver(other)

        first = self.observe(Changing())
        pair = StreamPair(self.segment)
        pair.server.authenticateAsServer(serverOptions(self.version))
        pair.client.authenticateAsClient(clientOptions(self.version))
        pair.wire.flush()
        pair.wire.cut()
        self.assertEqual(first.heard, {"client": [], "server": self.lived()})
        self.assertEqual(other.heard, {"client": self.lived(), "server": []})
        self.assertHeard(self.lived(), self.lived())

    def test_nobody(self) -> None:
        """
        Where nobody observes, nothing is measured.
        """
        removeObserver(self.ledger)
        removeObserver(self.metrics)
        watch = Watch.started(True, NoTime())
        watch.ended(HandshakeCancelled("why"), None)
        watch.closed()
        self.assertRaises(AssertionError, NoTime().seconds)

    def test_foreign(self) -> None:
        """
        Connections that Twisted's own connection creators make are not counted.
        """
        link = Link(
            False,
            (ssl.optionsForClientTLS("localhost", TRUSTED), Application()),
            (serverOptions(self.version), Application()),
        )
        link.wire.flush()
        self.assertEqual(link.client.application.events, ["made", "handshake"])
        link.wire.cut()
        self.assertHeard([], self.lived())

    def test_neverBegun(self) -> None:
        """
        An authentication that is refused before it begins is none.
        """
        stream = StreamPair(self.segment).client
        self.failureResultOf(
            stream.authenticateAsClient("localhost", enabledSslProtocols=SslProtocols.Ssl3),
            NotSupportedError,
        )
        self.assertHeard([], [])

    def test_nothingLeft(self) -> None:
        """
        Observers keep no connection, neither one that has failed nor one that
        is gone.
        """
        withoutCollector(self)
        for options in ({}, {"targetHost": "elsewhere.example"}):
            pair, side = self.begin("client", **options)
            side.addErrback(lambda _: None)
            self.close(pair)
            left = [
                weakref.ref(part)
                for stream in (pair.client, pair.server)
                for part in (stream, stream._protocol._authentication.watch)  # type: ignore[union-attr]
            ]
            del pair, side
            self.assertEqual([each() for each in left], [None] * 4)


@implementer(IReactorTime)
class NoTime(Clock):
    """
    A clock that nobody may ask.
    """

    def seconds(self) -> float:
        raise AssertionError("somebody has asked")


class Registry(SynchronousTestCase):
    """
    Tests for L{addObserver} and L{removeObserver}.
    """

    def setUp(self) -> None:
        self.observer = Ledger()
        self.addCleanup(removeObserver, self.observer)

    def connect(self) -> list[tuple[Any, ...]]:
        """
        @return: what the observer hears of the next handshake.
        """
        self.observer.heard["client"] = []
        Watch.started(False, Clock())
        return self.observer.heard["client"]

    def test_once(self) -> None:
        """
        Who is added twice hears everything once, and is gone when removed once.
        """
        addObserver(self.observer)
        addObserver(self.observer)
        self.assertEqual(self.connect(), [("started",)])
        removeObserver(self.observer)
        self.assertEqual(self.connect(), [])

    def test_equal(self) -> None:
        """
        Observers that are equal are not the same.
        """

        class Equal(Ledger):
            def __eq__(self, other: object) -> bool:
                return isinstance(other, Equal)

            __hash__ = None  # type: ignore[assignment]

        self.observer, other = Equal(), Equal()
        addObserver(self.observer)
        addObserver(other)
        removeObserver(other)
        self.assertEqual(self.connect(), [("started",)])
        self.assertEqual(other.heard["client"], [])
        removeObserver(self.observer)

    def test_unknown(self) -> None:
        """
        Removing who is not there changes nothing.
        """
        addObserver(self.observer)
        removeObserver(Ledger())
        self.assertEqual(self.connect(), [("started",)])

    def test_resumed(self) -> None:
        """
        An observer hears that an earlier session went on, with the version.
        """
        addObserver(self.observer)
        watch = Watch.started(False, Clock())
        facts = Negotiated(SslProtocols.Tls11, None, None, None, None, "", True)
        watch.ended(None, facts)
        self.assertEqual(
            self.observer.heard["client"],
            [("started",), ("completed", SslProtocols.Tls11, True, 0)],
        )

    def test_closedOnce(self) -> None:
        """
        The end of a connection is told once, however often it is noticed.
        """
        addObserver(self.observer)
        watch = Watch.started(True, Clock())
        watch.ended(None, Negotiated(SslProtocols.Tls12, None, None, None, None, "", False))
        watch.closed()
        watch.closed()
        self.assertEqual(self.observer.heard["server"][2:], [("closed", SslProtocols.Tls12)])

    def test_noObserver(self) -> None:
        """
        Who does not say that it is an observer is none.
        """
        wrong: Any
        for wrong in (object(), None, Ledger):
            error = self.assertRaises(TypeError, addObserver, wrong)
            self.assertIn("not an IHandshakeObserver", str(error))
        self.assertEqual(metricsModule._observers, ())

    def test_interface(self) -> None:
        """
        What counts is an observer, and can all that one must.
        """
        self.assertTrue(verifyObject(IHandshakeObserver, SslStreamMetrics()))
        self.assertTrue(verifyObject(IHandshakeObserver, self.observer))
        self.assertFalse(IHandshakeObserver.providedBy(Counters()))


class Reasons(SynchronousTestCase):
    """
    Tests for L{reasonOf}.
    """

    def of(self, cause: BaseException | None = None, **arguments: Any) -> R:
        """
        @return: the reason of an error like this.
        """
        error = AuthenticationError("why", **arguments)
        error.__cause__ = cause
        return reasonOf(error)

    def test_kinds(self) -> None:
        """
        An error of a kind of its own has a reason of its own, whatever else it
        tells.
        """
        for kind, reason in (
            (HandshakeTimeout, R.timeout),
            (HandshakeCancelled, R.cancelled),
            (HandshakeInterrupted, R.connectionLost),
        ):
            error = kind("why", alert=TlsAlert.unknown_ca, alertSent=TlsAlert.internal_error)
            error.__cause__ = CancelledError()
            self.assertIs(error.reason, reason)
            self.assertIs(reasonOf(error), reason)

    def test_given(self) -> None:
        """
        A reason that was given is the one.
        """
        self.assertIs(self.of(reason=R.notTls, alert=TlsAlert.unknown_ca), R.notTls)
        self.assertIsNone(AuthenticationError("why").reason)

    def test_derived(self) -> None:
        """
        What is wrong with the peer comes before what it says, and what went
        wrong with us before both.
        """
        S, A, P = X509ChainStatusFlags, TlsAlert, SslPolicyErrors
        chain = {"sslPolicyErrors": P.RemoteCertificateChainErrors}
        nobody = {"sslPolicyErrors": P.RemoteCertificateNotAvailable}
        name = {"sslPolicyErrors": P.RemoteCertificateNameMismatch}
        both = {"sslPolicyErrors": P(6)}
        told = {"alert": A.handshake_failure}
        arguments: dict[str, Any]
        for arguments, reason in (
            ({}, R.protocolError),
            ({"alertSent": A.handshake_failure}, R.protocolError),
            ({"alertSent": A.protocol_version}, R.protocolError),
            ({"alertSent": A.no_application_protocol}, R.protocolError),
            ({"alertSent": A.unrecognized_name}, R.serverNameUnknown),
            (told, R.alertReceived),
            ({"alert": A.unrecognized_name}, R.alertReceived),
            ({"alert": A.close_notify}, R.alertReceived),
            ({"alertSent": A.internal_error}, R.internalError),
            ({"alert": A.internal_error}, R.alertReceived),
            ({**chain, "alertSent": A.internal_error}, R.internalError),
            ({**chain, "alertSent": A.unknown_ca, "cause": KeyError()}, R.internalError),
            ({**nobody, **told, "cause": KeyError()}, R.internalError),
            ({**nobody, **told, "alertSent": A.certificate_required}, R.certificateMissing),
            ({**name, **told, "alertSent": A.bad_certificate}, R.certificateNameMismatch),
            ({**chain, **told, "alertSent": A.bad_certificate}, R.certificateInvalid),
            ({**chain, "alertSent": A.unsupported_certificate}, R.certificateInvalid),
            ({**chain, "alertSent": A.unknown_ca}, R.certificateUntrusted),
            ({**chain, "alertSent": A.certificate_revoked}, R.certificateRevoked),
            ({**chain, "alertSent": A.certificate_expired}, R.certificateExpired),
            ({**chain, "alertSent": A.certificate_unknown}, R.revocationUnknown),
            ({**both, "alertSent": A.certificate_revoked}, R.certificateRevoked),
            # The alert is about what counts, and the status about everything.
            (
                {**chain, "alertSent": A.certificate_expired, "chainStatus": S.UntrustedRoot},
                R.certificateExpired,
            ),
            # A client that refuses a session which goes on sends none.
            ({**chain, "chainStatus": S.Revoked}, R.certificateRevoked),
            ({**chain, "chainStatus": S.NotTimeValid}, R.certificateExpired),
            ({**both, "chainStatus": S.HasWeakSignature}, R.certificateInvalid),
        ):
            self.assertIs(self.of(**arguments), reason, arguments)

    def test_plain(self) -> None:
        """
        Reasons are few, and each has its name for a value.
        """
        self.assertEqual([each.value for each in R], [each.name for each in R])
        self.assertLess(len(R), 20)


class Counting(SynchronousTestCase):
    """
    Tests for L{SslStreamMetrics}.
    """

    def setUp(self) -> None:
        self.metrics = SslStreamMetrics()

    def test_nothing(self) -> None:
        """
        In the beginning everything is there, and zero.
        """
        versions = ["Tls", "Tls11", "Tls12", "Tls13"]
        took = {"count": 0, "sum": 0.0, "buckets": {str(each): 0 for each in DURATION_BOUNDS}}
        counters = {
            "totalHandshakes": 0,
            "currentHandshakes": 0,
            "failedHandshakes": 0,
            "resumedHandshakes": 0,
            "failedByReason": {each.value: 0 for each in R},
            "allOpenSessions": 0,
            "openSessions": dict.fromkeys(versions, 0),
            "allDurations": took,
            "durations": dict.fromkeys(versions, took),
        }
        self.assertEqual(
            self.metrics.asdict(),
            {**counters, "turnedAway": 0, "client": counters, "server": counters},
        )

    def test_counts(self) -> None:
        """
        Everything is counted where it belongs, once for the role and once for
        all; C{totalHandshakes} counts what has ended, like .NET's.
        """
        metrics = self.metrics
        for isServer in (True, True, True, True, False):
            metrics.handshakeStarted(isServer)
        metrics.handshakeCompleted(True, SslProtocols.Tls13, True, 0.25)
        metrics.handshakeCompleted(True, SslProtocols.Tls12, False, 0.5)
        metrics.handshakeFailed(True, R.notTls, 0.125)
        metrics.handshakeCompleted(False, SslProtocols.Tls13, False, 1)
        metrics.connectionClosed(True, SslProtocols.Tls12)

        def numbers(counters: Counters) -> tuple[int, ...]:
            return (
                counters.totalHandshakes,
                counters.currentHandshakes,
                counters.failedHandshakes,
                counters.resumedHandshakes,
                counters.failedByReason[R.notTls],
                sum(counters.failedByReason.values()),
                counters.openSessions[SslProtocols.Tls12],
                counters.openSessions[SslProtocols.Tls13],
                counters.allOpenSessions,
            )

        self.assertEqual(numbers(metrics), (4, 1, 1, 1, 1, 1, 0, 2, 2))
        self.assertEqual(numbers(metrics.server), (3, 1, 1, 1, 1, 1, 0, 1, 1))
        self.assertEqual(numbers(metrics.client), (1, 0, 0, 0, 0, 0, 0, 1, 1))

        def times(counters: Counters) -> list[tuple[int, float]]:
            every = (*counters.durations.values(), counters.allDurations)
            return [(each.count, each.sum) for each in every if each.count]

        self.assertEqual(times(metrics), [(1, 0.5), (2, 1.25), (3, 1.75)])
        self.assertEqual(times(metrics.server), [(1, 0.5), (1, 0.25), (2, 0.75)])
        self.assertEqual(times(metrics.client), [(1, 1), (1, 1)])

    def test_asdict(self) -> None:
        """
        The dictionary is JSON as it is, and a reading of that moment.
        """
        self.metrics.handshakeStarted(False)
        self.metrics.handshakeCompleted(False, SslProtocols.Tls13, False, 0.03)
        read = self.metrics.asdict()
        self.metrics.connectionClosed(False, SslProtocols.Tls13)
        self.assertEqual(json.loads(json.dumps(read)), read)
        self.assertEqual(read["client"]["openSessions"]["Tls13"], 1)
        self.assertEqual(read["client"]["durations"]["Tls13"]["sum"], 0.03)
        self.assertEqual(read["allDurations"]["buckets"]["0.025"], 0)
        self.assertEqual(read["allDurations"]["buckets"]["0.05"], 1)
        self.assertEqual(self.metrics.asdict()["client"]["openSessions"]["Tls13"], 0)

    def test_buckets(self) -> None:
        """
        A bucket has what took as long as its bound or less; what took longer
        than the longest is in none, but counted.
        """
        self.assertEqual(sorted(set(DURATION_BOUNDS)), list(DURATION_BOUNDS))
        for index, bound in enumerate(DURATION_BOUNDS):
            for seconds, first in ((bound, index), (bound + 0.0001, index + 1)):
                durations = Durations()
                durations.add(seconds)
                expected = [0] * first + [1] * (len(DURATION_BOUNDS) - first)
                self.assertEqual(durations.buckets, expected, seconds)
                self.assertEqual((durations.count, durations.sum), (1, seconds))
