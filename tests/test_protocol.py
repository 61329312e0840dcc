"""
L{SslStreamProtocol} and L{SslStreamFactory} under push protocols: on this
package's options, and on Twisted's own connection creators.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL
from twisted.internet import _producer_helpers, ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IPullProducer,
    IPushProducer,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Cooperator
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.applications import ProtocolMixin
from tests.support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from txsslstream import (
    AuthenticationError,
    CipherSuitesPolicy,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    SslApplicationProtocol,
    SslPolicyErrors,
    SslProtocols,
    SslStreamCertificateContext,
    SslStreamFactory,
    TlsAlert,
    TlsCipherSuite,
    TlsError,
    TruncationError,
    X509ChainStatusFlags,
)
from txsslstream.records import ALERT, APPLICATION_DATA, HANDSHAKE, recordKinds
from txsslstream.states import WireState
from txsslstream.testing import (
    Application,
    Authority,
    HalfCloseableApplication,
    Link,
    Side,
    Wire,
    perVersion,
)

MIB = 1 << 20

STRANGER = Authority("Stranger")

#: A record that nobody has encrypted.
GARBAGE = b"\x17\x03\x03\x00\x20" + b"x" * 32


def _writes(data: bytes) -> Callable[[Any], None]:
    """
    @return: what writes without waiting to collect more.
    """

    def write(application: Any) -> None:
        application.transport.write(data)
        application.transport.flush()

    return write


def _pending() -> dict[str, Any]:
    """
    @return: a validation callback that is deciding, with its decision.
    """
    decision: Deferred[bool] = Deferred()
    return {
        "remoteCertificateValidationCallback": lambda *_: decision,
        "decision": decision,
    }


@perVersion()
class AuthenticationTests(ProtocolMixin):
    """
    An application hears of authenticated connections only.
    """

    def test_made(self) -> None:
        """
        C{connectionMade} runs once, on an authenticated connection, and
        C{handshakeCompleted} once behind it.
        """
        seen: list[object] = []

        def look(application: Application) -> None:
            transport = application.transport
            seen.append((transport.isAuthenticated, transport.sslProtocol))

        for link in self.links(near=lambda: Application(made=look, handshake=look)):
            self.assertEqual(link.near.application.events, [])
            link.wire.flush()
            self.assertEqual(link.near.application.events, ["made", "handshake"])
            self.assertEqual(seen, [(True, self.version)] * 2)
            self.assertIs(link.near.application.transport, link.near.tls)
            self.assertIs(link.near.tls.wireState, WireState.open)
            seen.clear()

    def decided(self, answer: bool) -> Iterable[Link]:
        """
        For each role a connection whose near side has decided late, while the
        far side sent data as soon as it could.
        """
        for isServer in (False, True):
            callback = _pending()
            decision = callback.pop("decision")
            link = self.link(
                isServer,
                far=Application(made=_writes(b"early")),
                client={"clientCertificates": [CLIENT], **({} if isServer else callback)},
                server={"clientCertificateRequired": True, **(callback if isServer else {})},
            )
            link.wire.flush()
            self.assertEqual(link.near.application.events, [])
            self.assertIs(link.near.tls.wireState, WireState.waiting)
            decision.callback(answer)
            link.wire.flush()
            yield link
            self.assertNothingLeft(link)

    def test_acceptedLate(self) -> None:
        """
        While the validation callback is deciding the application hears nothing,
        though the peer may have finished and sent data.  That comes once it has
        accepted.
        """
        for link in self.decided(True):
            self.assertEqual(link.near.application.events[:3], ["made", "handshake", "data"])
            self.assertEqual(link.near.application.received, b"early")

    def test_refusedLate(self) -> None:
        """
        Once it has refused the application never hears of the connection, and
        of the data least of all.
        """
        for link in self.decided(False):
            error = self.failure(link.near.tls.whenAuthenticated(), AuthenticationError)
            self.assertIs(error.alertSent, TlsAlert.bad_certificate)
            self.assertEqual(link.near.application.events, [])
            self.assertFalse(link.near.inner.connected)

    def test_clientRefuses(self) -> None:
        """
        A server with the wrong name is refused with an alert, and neither
        application ever hears of the connection.
        """
        for isServer in (False, True):
            link = self.link(isServer, client={"targetHost": "wrong.example"})
            ours = link.client.tls.whenAuthenticated()
            theirs = link.server.tls.whenAuthenticated()
            link.wire.flush()
            error = self.failure(ours, AuthenticationError)
            self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNameMismatch)
            self.assertEqual(error.chainStatus, X509ChainStatusFlags.NoError)
            self.assertIs(error.alertSent, TlsAlert.bad_certificate)
            self.assertIs(self.failure(theirs, AuthenticationError).alert, TlsAlert.bad_certificate)
            for side in (link.near, link.far):
                self.assertEqual(side.application.events, [])
                self.assertIs(side.tls.wireState, WireState.failed)
                self.assertFalse(side.inner.connected)
            self.assertNothingLeft(link)

    def test_serverRefuses(self) -> None:
        """
        A client with a certificate of an unknown authority is refused with an
        alert.  The server's application never hears of it; a client's in TLS
        1.3 has been connected by then and loses the connection for that reason.
        """
        link = self.link(
            True,
            client={"clientCertificates": [STRANGER.issue("somebody@example.com")]},
            server={"clientCertificateRequired": True},
        )
        refused = link.server.tls.whenAuthenticated()
        early = link.client.tls.whenAuthenticated()
        link.wire.flush()
        error = self.failure(refused, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(error.chainStatus, X509ChainStatusFlags.PartialChain)
        self.assertIs(error.alertSent, TlsAlert.unknown_ca)
        self.assertEqual(link.server.application.events, [])
        if self.version is SslProtocols.Tls13:
            self.assertIs(self.successResultOf(early), link.client.tls)
            reason = self.assertLost(link.client, AuthenticationError)
            self.assertEqual(link.client.application.events, ["made", "handshake", "lost"])
        else:
            reason = self.failure(early, AuthenticationError)
            self.assertEqual(link.client.application.events, [])
        self.assertIs(reason.alert, TlsAlert.unknown_ca)
        self.assertIsNone(reason.alertSent)
        self.assertNothingLeft(link)

    def test_writtenAtOnce(self) -> None:
        """
        What is written in C{connectionMade} arrives, both ways, after the
        peer's own C{connectionMade}.
        """
        for link in self.opened(
            near=lambda: Application(made=lambda each: each.transport.write(b"from near")),
            far=lambda: Application(
                made=lambda each: each.transport.writeSequence([b"fro", b"m far"])
            ),
        ):
            self.assertEqual(link.near.application.received, b"from far")
            self.assertEqual(link.far.application.received, b"from near")

    def test_writtenBefore(self) -> None:
        """
        What is written before authentication leaves with it, and if that fails
        never.
        """
        for host in ("localhost", "wrong.example"):
            for link in self.links(client={"targetHost": host}):
                for side in (link.near, link.far):
                    side.tls.whenAuthenticated().addErrback(lambda _: None)
                link.near.tls.write(b"secret")
                link.clock.advance(0)
                self.assertNotIn(b"secret", link.near.inner.everWritten)
                link.wire.flush()
                if host == "localhost":
                    self.assertEqual(link.far.application.events, ["made", "handshake", "data"])
                    self.assertEqual(link.far.application.received, b"secret")
                else:
                    self.assertEqual(link.far.application.events, [])
                    self.assertNotIn(b"secret", link.near.inner.everWritten)

    def test_endedAtOnce(self) -> None:
        """
        An application may close in C{connectionMade}: what it wrote before
        arrives, then the end.
        """

        def sayAndClose(application: Any) -> None:
            application.transport.write(b"goodbye")
            application.transport.loseConnection()

        for link in self.links(near=lambda: Application(made=sayAndClose)):
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"goodbye")
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)

    def test_abortedAtOnce(self) -> None:
        """
        It may abort there, too, and hears of nothing but the end.
        """
        for event in ("made", "handshake"):
            for link in self.links(
                near=lambda event=event: Application(
                    **{event: lambda each: each.transport.abortConnection()}
                ),
                far=lambda: Application(made=_writes(b"data")),
            ):
                link.wire.flush()
                self.assertLost(link.near, ConnectionAborted)
                self.assertEqual(link.near.application.received, b"")

    def test_inspection(self) -> None:
        """
        The application reads the negotiated properties and certificates from
        its transport as soon as it is connected.
        """
        certificates: list[object] = []

        def look(application: Any) -> None:
            transport = application.transport
            certificates.append((transport.localCertificate, transport.remoteCertificate))
            self.assertEqual(transport.negotiatedApplicationProtocol, SslApplicationProtocol.Http2)
            self.assertEqual(transport.negotiatedProtocol, b"h2")
            self.assertTrue(transport.canRead and transport.canWrite)
            self.assertEqual(transport.targetHostName, "localhost")

        h2 = {"applicationProtocols": [SslApplicationProtocol.Http2]}
        for link in self.opened(
            near=lambda: Application(made=look),
            client={"clientCertificates": [CLIENT], **h2},
            server={"clientCertificateRequired": True, **h2},
        ):
            ours, theirs = (SERVER, CLIENT) if link.near.tls.isServer else (CLIENT, SERVER)
            self.assertEqual(certificates, [(ours.certificate, theirs.certificate)])
            self.assertTrue(link.near.tls.isMutuallyAuthenticated)
            certificates.clear()


@perVersion(segments=(0,))
class LastFlightTests(ProtocolMixin):
    """
    Data may come with what ends the handshake.
    """

    def test_sameSegment(self) -> None:
        """
        Data in the segment that ends the handshake is delivered behind
        C{connectionMade}, at once.
        """
        # Whoever finishes last gets it: TLS 1.3's server, TLS 1.2's client.
        link = self.link(
            self.version is SslProtocols.Tls13, far=Application(made=_writes(b"early"))
        )
        while link.wire.step() and not link.near.application.events:
            pass
        self.assertEqual(link.near.application.events, ["made", "handshake", "data"])
        self.assertEqual(link.near.application.received, b"early")


@perVersion()
class UnauthenticatedEndTests(ProtocolMixin):
    """
    The many ends of a connection that was never authenticated.  The
    application hears of none.
    """

    def begun(self, **arguments: Any) -> Iterable[Link]:
        """
        For each role a connection that has begun, with nothing delivered yet.
        """
        for link in self.links(**arguments):
            link.near.inner.isPaused = link.far.inner.isPaused = True
            link.wire.flush()
            self.assertIs(link.near.tls.wireState, WireState.handshaking)
            yield link
            link.near.inner.isPaused = link.far.inner.isPaused = False
            link.wire.flush()
            self.assertEqual(link.near.application.events, [])
            self.assertEqual(link.far.application.events, [])
            self.assertIs(link.near.tls.wireState, WireState.failed)
            self.assertFalse(link.near.inner.connected)
            self.successResultOf(link.near.tls.whenClosed())

    def assertTold(self, theirs: Deferred[Any]) -> None:
        """
        The peer got the alert.  A server of TLS 1.3 goes on after that until
        the connection ends (RFC 8446 section 6.1).
        """
        error = self.failureResultOf(theirs, AuthenticationError).value
        self.assertIs(error.alert, TlsAlert.user_canceled)
        self.assertIn(type(error), (AuthenticationError, HandshakeInterrupted))

    def test_lost(self) -> None:
        """
        A lost connection is a L{HandshakeInterrupted} with its cause.
        """
        for link in self.begun():
            link.wire.cut(ConnectionLost)
            error = self.failure(link.near.tls.whenAuthenticated(), HandshakeInterrupted)
            self.assertIsInstance(error.__cause__, ConnectionLost)
            self.assertIsInstance(error, TruncationError)

    def test_closed(self) -> None:
        """
        Closing gives up the authentication, and the peer is told.
        """
        for link in self.begun():
            ours, theirs = link.near.tls.whenAuthenticated(), link.far.tls.whenAuthenticated()
            link.near.tls.loseConnection()
            error = self.failure(ours, HandshakeCancelled)
            self.assertIs(error.alertSent, TlsAlert.user_canceled)
            link.near.inner.isPaused = link.far.inner.isPaused = False
            link.wire.flush()
            self.assertTold(theirs)

    def test_cancelled(self) -> None:
        """
        So does cancelling it.
        """
        for link in self.begun():
            ours, theirs = link.near.tls.whenAuthenticated(), link.far.tls.whenAuthenticated()
            link.near.tls.cancelAuthentication()
            error = self.failure(ours, HandshakeCancelled)
            self.assertIsInstance(error, CancelledError)
            link.near.inner.isPaused = link.far.inner.isPaused = False
            link.wire.flush()
            self.assertTold(theirs)

    def test_aborted(self) -> None:
        """
        Aborting tells the peer nothing.
        """
        for link in self.begun():
            ours, theirs = link.near.tls.whenAuthenticated(), link.far.tls.whenAuthenticated()
            written = bytes(link.near.inner.everWritten)
            link.near.tls.abortConnection()
            error = self.failure(ours, HandshakeCancelled)
            self.assertIsNone(error.alertSent)
            link.near.inner.isPaused = link.far.inner.isPaused = False
            link.wire.flush()
            self.assertEqual(link.near.inner.everWritten, written)
            self.assertIsNone(self.failure(theirs, HandshakeInterrupted).alert)

    def test_beforeHello(self) -> None:
        """
        However it ends while a client's certificate is chosen before the hello,
        nothing has been said.
        """
        endings: tuple[tuple[Callable[[Any], object], type[AuthenticationError]], ...] = (
            (lambda link: link.near.tls.loseConnection(), HandshakeCancelled),
            (lambda link: link.near.tls.cancelAuthentication(), HandshakeCancelled),
            (lambda link: link.near.tls.abortConnection(), HandshakeCancelled),
            (lambda link: link.clock.advance(30), HandshakeTimeout),
        )
        for end, kind in endings:
            cancelled: list[Deferred[Any]] = []
            answer: Deferred[Any] = Deferred(cancelled.append)
            link = self.link(
                False,
                client={"localCertificateSelectionCallback": lambda *_, answer=answer: answer},
                server={"handshakeTimeout": None},
            )
            link.wire.flush()
            self.assertIs(link.near.tls.wireState, WireState.waiting)
            ours, theirs = link.near.tls.whenAuthenticated(), link.far.tls.whenAuthenticated()
            end(link)
            link.wire.flush()
            error = self.failure(ours, kind)
            self.assertEqual((error.alert, error.alertSent), (None, None))
            self.assertEqual(link.near.inner.everWritten, b"")
            self.failure(theirs, HandshakeInterrupted)
            for side in (link.near, link.far):
                self.assertEqual(side.application.events, [])
            self.assertEqual(cancelled, [answer])
            self.assertNothingLeft(link)

    def test_timedOut(self) -> None:
        """
        A handshake that takes too long is given up, and the peer is told.
        """
        slow = {"handshakeTimeout": 7}
        for link in self.begun(client=slow, server=slow):
            ours, theirs = link.near.tls.whenAuthenticated(), link.far.tls.whenAuthenticated()
            self.assertEqual(link.near.tls.handshakeTimeout, 7)
            link.clock.advance(6.9)
            self.assertNoResult(ours)
            link.clock.advance(0.1)
            error = self.failure(ours, HandshakeTimeout)
            self.assertIs(error.alertSent, TlsAlert.user_canceled)
            self.failure(theirs, HandshakeTimeout)

    def test_garbage(self) -> None:
        """
        A peer that does not speak TLS is refused.
        """
        for link in self.links():
            ours = link.near.tls.whenAuthenticated()
            link.near.tls.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
            error = self.failure(ours, AuthenticationError)
            self.assertIn("does not speak TLS", str(error))
            link.far.tls.whenAuthenticated().addErrback(lambda _: None)
            link.wire.flush()
            self.assertEqual(link.near.application.events, [])


class FactoryTests(SynchronousTestCase):
    """
    What the factory makes, and what it refuses to make.
    """

    def test_noProtocol(self) -> None:
        """
        A wrapped factory that refuses a connection is obeyed, in both lives.
        """

        class Refusing(Factory):
            def buildProtocol(self, addr: object) -> None:
                """
                No, thank you.
                """

        for creator, isClient in (
            (clientOptions(), True),
            (serverOptions(), False),
            (ssl.optionsForClientTLS("localhost"), True),
        ):
            factory = SslStreamFactory(creator, isClient, Refusing(), Wire().clock)
            self.assertIsNone(factory.buildProtocol(None))

    def test_brokenCreator(self) -> None:
        """
        If no connection can be created, the inner transport is ended at once,
        the application hears nothing and the reason is in the log.
        """

        @implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
        class Broken:
            def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
                """
                Fail.
                """
                raise ZeroDivisionError("broken creator")

            serverConnectionForTLS = clientConnectionForTLS

        for isServer in (False, True):
            sides: list[tuple[Any, Application]] = [
                (Broken(), Application()),
                (clientOptions() if isServer else serverOptions(), Application()),
            ]
            client, server = reversed(sides) if isServer else sides
            link = Link(isServer, client, server)
            ours = link.near.tls.whenAuthenticated()
            theirs = link.far.tls.whenAuthenticated()
            link.wire.flush()
            self.failureResultOf(ours, InvalidOperationError)
            self.failureResultOf(theirs, HandshakeInterrupted)
            self.successResultOf(link.near.tls.whenClosed())
            self.assertFalse(link.near.inner.connected)
            self.assertEqual(link.near.application.events, [])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(link.clock.getDelayedCalls(), [])

    def test_wrongRole(self) -> None:
        """
        Options are for their own side only.
        """
        for options, isClient in ((clientOptions(), False), (serverOptions(), True)):
            self.assertRaises(TypeError, SslStreamFactory, options, isClient, Factory())
        self.assertEqual(len(self.flushWarnings()), 2)

    def test_stockFactory(self) -> None:
        """
        Twisted's own factory cannot make the connections that our options ask
        for: it is refused before a byte is sent.
        """
        creators: tuple[Any, Any] = (clientOptions(), serverOptions())
        for options, isClient in zip(creators, (True, False), strict=True):
            factory = TLSMemoryBIOFactory(options, isClient, Factory.forProtocol(Protocol))
            transport = StringTransport()
            protocol: Any = factory.buildProtocol(None)
            self.assertRaises(InvalidOperationError, protocol.makeConnection, transport)
            self.assertEqual(transport.value(), b"")


@implementer(IPushProducer)
class Pusher:
    """
    Writes as long as it may, then ends the connection.
    """

    def __init__(self, side: Side, data: bytes) -> None:
        self._side = side
        self._rest = memoryview(data)
        self._mayWrite = False
        self.pauses = 0
        self.stops = 0
        #: The most that the inner transport ever had to keep.
        self.highWater = 0

    def start(self) -> None:
        """
        Begin.
        """
        self._side.tls.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._mayWrite = True
        while self._mayWrite and self._rest:
            self._side.tls.write(bytes(self._rest[:10_000]))
            self._rest = self._rest[10_000:]
            self.highWater = max(self.highWater, len(self._side.inner.written))
        if self._mayWrite:
            self._mayWrite = False
            self._side.tls.unregisterProducer()
            self._side.tls.loseConnection()

    def pauseProducing(self) -> None:
        self._mayWrite = False
        self.pauses += 1

    def stopProducing(self) -> None:
        self._mayWrite = False
        self.stops += 1


@implementer(IPullProducer)
class Puller:
    """
    Writes a piece when it is asked to, then ends the connection.
    """

    def __init__(self, side: Side, data: bytes) -> None:
        self._side = side
        self._rest = memoryview(data)
        self.highWater = 0

    def resumeProducing(self) -> None:
        self._side.tls.write(bytes(self._rest[:50_000]))
        self._rest = self._rest[50_000:]
        self.highWater = max(self.highWater, len(self._side.inner.written))
        if not self._rest:
            self._side.tls.unregisterProducer()
            self._side.tls.loseConnection()

    def stopProducing(self) -> None:
        """
        Never: it has ended before.
        """


@perVersion(segments=(0, 30_000))
class ProducerTests(ProtocolMixin):
    """
    Much data, with backpressure.
    """

    def transferred(self, produce: Callable[[Side, bytes], Any]) -> None:
        """
        Send 10 MiB from each role.

        @param produce: begins to send, and returns the producer.
        """
        data = bytes(range(256)) * (10 * MIB // 256 - 1) + b"the end" * 32
        for link in self.opened():
            producer = produce(link.near, data)
            link.wire.flush()
            self.assertEqual(len(link.far.application.received), len(data))
            self.assertEqual(
                hashlib.sha256(link.far.application.received).digest(),
                hashlib.sha256(data).digest(),
            )
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)
            self.assertLess(producer.highWater, 256 * 1024)

    def test_push(self) -> None:
        """
        A push producer's 10 MiB arrive whole, and only a small part of it is
        ever in memory.
        """

        def push(side: Side, data: bytes) -> Pusher:
            pusher = Pusher(side, data)
            pusher.start()
            self.assertEqual(pusher.pauses, 1)
            return pusher

        self.transferred(push)

    def test_pull(self) -> None:
        """
        So do a pull producer's.
        """

        def pull(side: Side, data: bytes) -> Puller:
            clock = side.tls.factory._clock
            cooperator = Cooperator(scheduler=lambda call: clock.callLater(0, call))
            self.patch(_producer_helpers, "cooperate", cooperator.cooperate)
            puller = Puller(side, data)
            side.tls.registerProducer(puller, False)
            return puller

        self.transferred(pull)

    def test_oneWrite(self) -> None:
        """
        Without a producer, 10 MiB in one call arrive whole, too.
        """
        data = bytes(range(251)) * (10 * MIB // 251)
        for link in self.opened():
            link.near.tls.write(data)
            link.near.tls.loseConnection()
            link.wire.flush()
            self.assertEqual(
                hashlib.sha256(link.far.application.received).digest(),
                hashlib.sha256(data).digest(),
            )

    def test_pauseAndResume(self) -> None:
        """
        The producer is paused while the inner transport is full, and resumed
        when it has room.
        """
        for link in self.opened():
            link.far.inner.isPaused = True
            pusher = Pusher(link.near, b"x" * 300_000)
            pusher.start()
            link.wire.flush()
            self.assertEqual(pusher.pauses, 1)
            waiting = len(link.near.inner.written)
            self.assertGreater(waiting, 64 * 1024)
            link.far.inner.isPaused = False
            while pusher.pauses == 1:
                self.assertTrue(link.wire.step())
            link.wire.flush()
            self.assertEqual(len(link.far.application.received), 300_000)
            self.assertEqual(pusher.stops, 0)

    def test_stopped(self) -> None:
        """
        A producer is stopped when the connection is lost, and one that comes
        later at once.
        """
        for link in self.opened():
            link.far.inner.isPaused = True
            pusher = Pusher(link.near, b"x" * 300_000)
            pusher.start()
            link.wire.cut()
            late = Pusher(link.near, b"late")
            link.near.tls.registerProducer(late, True)
            self.assertEqual((pusher.stops, late.stops), (1, 1))
            self.assertLost(link.near, TruncationError)

    def test_stoppedByError(self) -> None:
        """
        A producer is stopped as soon as the connection is broken, and does not
        keep the inner transport from closing.
        """
        for link in self.opened():
            link.far.inner.isPaused = True
            pusher = Pusher(link.near, b"x" * 300_000)
            pusher.start()
            link.near.tls.dataReceived(GARBAGE)
            self.assertEqual(pusher.stops, 1)
            self.assertIsNone(link.near.inner.producer)
            link.far.inner.isPaused = False
            link.wire.flush()
            self.assertEqual(pusher.stops, 1)
            self.assertLost(link.near, TlsError)

    def test_closedBehindProducer(self) -> None:
        """
        While there is a producer, closing waits for its end, and what it still
        writes arrives.
        """
        for link in self.opened():
            producer = Pusher(link.near, b"")
            link.near.tls.registerProducer(producer, True)
            link.near.tls.loseConnection()
            link.wire.flush()
            link.near.tls.write(b"still going")
            link.wire.flush()
            self.assertTrue(link.near.inner.connected)
            self.assertEqual(link.far.application.received, b"still going")
            link.near.tls.unregisterProducer()
            link.wire.flush()
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)

    def test_readingPaused(self) -> None:
        """
        An application that pauses its transport holds the peer back.
        """
        for link in self.opened():
            link.near.tls.pauseProducing()
            _writes(b"patience")(link.far.application)
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"")
            link.near.tls.resumeProducing()
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"patience")


@perVersion()
class ClosingTests(ProtocolMixin):
    """
    Orderly and disorderly ends of an authenticated connection.
    """

    def test_loseConnection(self) -> None:
        """
        C{loseConnection} sends what was written, then C{close_notify}; what is
        written later is dropped.
        """
        for link in self.opened():
            link.near.tls.write(b"last ")
            link.near.tls.writeSequence([b"wor", b"ds"])
            link.near.tls.loseConnection()
            link.near.tls.write(b"dropped")
            link.near.tls.loseConnection()
            self.assertIs(link.near.tls.wireState, WireState.closing)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"last words")
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)
            self.assertIs(link.near.tls.wireState, WireState.closed)
            self.assertIs(link.far.tls.wireState, WireState.closed)

    def test_bothClose(self) -> None:
        """
        Both sides may close at the same time.
        """
        for link in self.opened():
            for side in (link.near, link.far):
                side.tls.write(b"bye")
                side.tls.loseConnection()
            link.wire.flush()
            for side in (link.near, link.far):
                self.assertEqual(side.application.received, b"bye")
                self.assertLost(side, ConnectionDone)

    def test_closedInDataReceived(self) -> None:
        """
        An application may answer and close while data is delivered to it.
        """

        def answer(application: Any) -> None:
            application.transport.write(b"answer")
            application.transport.loseConnection()

        for link in self.opened(near=lambda: Application(data=answer)):
            _writes(b"?")(link.far.application)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"answer")
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)

    def test_abortedInDataReceived(self) -> None:
        """
        It may abort there, and gets nothing of what came with that data.
        """

        def abort(application: Any) -> None:
            application.transport.abortConnection()

        for link in self.opened(near=lambda: Application(data=abort)):
            _writes(b"1")(link.far.application)
            link.wire.flush()
            _writes(b"2")(link.far.application)
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"1")
            self.assertLost(link.near, ConnectionAborted)

    def test_receivedAfterAbort(self) -> None:
        """
        What the inner transport still delivers after an abort is dropped.
        """
        for link in self.opened():
            _writes(b"late")(link.far.application)
            late = bytes(link.far.inner.written)
            link.far.inner.written.clear()
            link.near.tls.abortConnection()
            link.near.tls.dataReceived(late)
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"")
            self.assertLost(link.near, ConnectionAborted)

    def test_abortConnection(self) -> None:
        """
        C{abortConnection} sends nothing, not even what was written, so that
        the peer learns that something may be missing.
        """
        for link in self.opened():
            sent = bytes(link.near.inner.everWritten)
            link.near.tls.write(b"never sent")
            link.near.tls.abortConnection()
            link.near.tls.abortConnection()
            link.wire.flush()
            self.assertEqual(link.near.inner.everWritten, sent)
            self.assertLost(link.near, ConnectionAborted)
            self.assertLost(link.far, TruncationError)
            self.assertEqual(link.far.application.received, b"")

    def test_afterTheEnd(self) -> None:
        """
        Whatever is called after the end does no harm.
        """
        for link in self.opened():
            link.near.tls.loseConnection()
            link.wire.flush()
            for side in (link.near, link.far):
                side.tls.write(b"late")
                side.tls.writeSequence([b"late"])
                side.tls.flush()
                side.tls.loseConnection()
                side.tls.loseWriteConnection()
                side.tls.abortConnection()
                side.tls.unregisterProducer()
                side.tls.cancelAuthentication()
                self.assertLost(side, ConnectionDone)

    def test_onlyBytes(self) -> None:
        """
        Text cannot be written.
        """
        for link in self.opened():
            self.assertRaises(TypeError, link.near.tls.write, "text")
            self.assertRaises(TypeError, link.near.tls.writeSequence, ["text"])

    def test_halves(self) -> None:
        """
        C{loseWriteConnection} sends what was written and C{close_notify}; a
        peer that can be closed by halves is told, and can still answer.
        """
        for link in self.opened(far=HalfCloseableApplication):
            link.near.tls.write(b"question")
            link.near.tls.loseWriteConnection()
            link.near.tls.loseWriteConnection()
            link.near.tls.write(b"dropped")
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"question")
            self.assertEqual(link.far.application.events[-1], "end")
            self.assertEqual(link.far.application.events.count("end"), 1)
            self.assertEqual((link.near.tls.canRead, link.near.tls.canWrite), (True, False))
            self.assertEqual((link.far.tls.canRead, link.far.tls.canWrite), (False, True))
            _writes(b"answer")(link.far.application)
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"answer")
            link.far.tls.loseConnection()
            link.wire.flush()
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)

    def test_wholes(self) -> None:
        """
        A peer that cannot be closed by halves answers with its own end.
        """
        for link in self.opened():
            link.near.tls.write(b"question")
            link.near.tls.loseWriteConnection()
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"question")
            self.assertNotIn("end", link.far.application.events)
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)

    def test_halvesThenAll(self) -> None:
        """
        After the one half the other can be closed by either side.
        """
        for byNear in (True, False):
            for link in self.opened(near=HalfCloseableApplication, far=HalfCloseableApplication):
                link.near.tls.loseWriteConnection()
                link.wire.flush()
                (link.near if byNear else link.far).tls.loseConnection()
                link.wire.flush()
                (link.far if byNear else link.near).tls.loseConnection()
                link.wire.flush()
                self.assertLost(link.near, ConnectionDone)
                self.assertLost(link.far, ConnectionDone)

    def test_flood(self) -> None:
        """
        What the peer sends behind its C{close_notify} is neither delivered nor
        kept, and writing goes on.
        """
        for link in self.opened(near=HalfCloseableApplication):
            link.far.tls.loseWriteConnection()
            link.wire.flush()
            for _ in range(16):
                link.near.tls.dataReceived(bytes(1 << 16))
            self.assertEqual(link.near.application.events[-1], "end")
            self.assertEqual(link.near.tls.takeTrailing(), b"")
            link.near.tls.write(b"message")
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"message")
            link.near.tls.loseConnection()
            link.wire.flush()
            self.assertLost(link.near, ConnectionDone)

    def test_noWaitForTheEnd(self) -> None:
        """
        Once both sides have sent C{close_notify} the inner transport is closed
        without waiting for the peer to do so.
        """
        for link in self.opened(near=HalfCloseableApplication):
            link.far.tls.loseWriteConnection()
            link.wire.flush()
            link.far.inner.isPaused = True
            self.assertIsNone(link.near.inner.closing)
            link.near.tls.loseConnection()
            self.assertIsInstance(link.near.inner.closing, ConnectionDone)
            link.far.inner.isPaused = False
            link.wire.flush()
            self.assertLost(link.near, ConnectionDone)

    def test_truncated(self) -> None:
        """
        The end of the inner connection without C{close_notify} is a
        L{TruncationError}, however orderly it ends or not.
        """
        for end in (ConnectionDone, ConnectionLost):
            for link in self.opened():
                link.wire.cut(end)
                self.assertLost(link.near, TruncationError)
                self.assertLost(link.far, TruncationError)
                self.assertIs(link.near.tls.wireState, WireState.failed)

    def test_truncationTolerated(self) -> None:
        """
        Without C{requireCloseNotify} an orderly end of the inner connection is
        an end; inside of a record it is a truncation all the same, and so is a
        reset.
        """
        half = b"\x17\x03\x03\x00\x20half"
        tolerant = {"requireCloseNotify": False}
        for begun, end, told in (
            (b"", ConnectionDone, ConnectionDone),
            (half, ConnectionDone, TruncationError),
            (b"", ConnectionLost, TruncationError),
        ):
            for link in self.opened(client=tolerant, server=tolerant):
                if begun:
                    link.near.tls.dataReceived(begun)
                link.wire.cut(end)
                self.assertLost(link.near, told)

    def test_resetAfterEnd(self) -> None:
        """
        Once the peer has sent C{close_notify} nothing can be missing, whatever
        happens to the inner connection.
        """
        for link in self.opened(near=HalfCloseableApplication):
            link.far.tls.loseWriteConnection()
            link.wire.flush()
            self.assertEqual(link.near.application.events[-1], "end")
            link.wire.cut(ConnectionLost)
            self.assertLost(link.near, ConnectionLost)

    def test_garbage(self) -> None:
        """
        A record that does not decrypt ends the connection: both sides lose it
        with the alert, as sent and as received.
        """
        for link in self.opened():
            link.near.tls.dataReceived(GARBAGE)
            link.wire.flush()
            ours = self.assertLost(link.near, TlsError)
            self.assertEqual((ours.alertSent, ours.alert), (TlsAlert.bad_record_mac, None))
            theirs = self.assertLost(link.far, TlsError)
            self.assertEqual((theirs.alertSent, theirs.alert), (None, TlsAlert.bad_record_mac))
            self.assertEqual(link.near.application.received, b"")
            self.assertIs(link.near.tls.wireState, WireState.failed)

    def test_dataBeforeGarbage(self) -> None:
        """
        What decrypts before that is delivered.
        """
        for link in self.opened():
            link.near.inner.isPaused = True
            _writes(b"good")(link.far.application)
            link.near.tls.dataReceived(bytes(link.far.inner.written) + GARBAGE)
            link.far.inner.written.clear()
            link.near.inner.isPaused = False
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"good")
            self.assertLost(link.near, TlsError)


@perVersion(segments=(0,))
class BoundedCloseTests(ProtocolMixin):
    """
    A peer cannot hold a closing connection open.
    """

    def closing(self, shutdownTimeout: float | None) -> Iterable[Link]:
        """
        For each role a connection that is closing while its peer reads nothing.
        """
        for link in self.opened():
            link.far.inner.isPaused = True
            link.near.tls.shutdownTimeout = shutdownTimeout
            # Where a real transport lets its progress be seen.
            link.near.inner.dataBuffer = link.near.inner.written  # type: ignore[attr-defined]
            link.near.tls.write(b"x" * 100_000)
            link.near.tls.loseConnection()
            link.wire.flush()
            yield link

    def test_timedOut(self) -> None:
        """
        Without progress the connection is aborted after C{shutdownTimeout}.
        """
        self.assertEqual(next(iter(self.opened())).near.tls.shutdownTimeout, 5)
        for link in self.closing(3):
            link.clock.advance(2.9)
            link.wire.flush()
            self.assertTrue(link.near.inner.connected)
            link.clock.advance(0.1)
            link.wire.flush()
            self.assertLost(link.near, ConnectionAborted)
            link.far.inner.isPaused = False
            link.wire.flush()
            self.assertLost(link.far, TruncationError)

    def test_progress(self) -> None:
        """
        As long as the peer takes what was written before, the time begins anew.
        """
        for link in self.closing(3):
            link.wire.segment = 1000
            for _ in range(10):
                link.clock.advance(2)
                link.far.inner.isPaused = False
                link.wire.step()
                link.far.inner.isPaused = True
            self.assertTrue(link.near.inner.connected)
            link.clock.advance(3)
            link.clock.advance(3)
            link.wire.flush()
            self.assertLost(link.near, ConnectionAborted)
            link.far.inner.isPaused = False

    def test_answered(self) -> None:
        """
        A peer that answers in time is not cut off.
        """
        for link in self.closing(3):
            link.clock.advance(2.9)
            link.far.inner.isPaused = False
            link.wire.flush()
            self.assertLost(link.near, ConnectionDone)
            self.assertEqual(len(link.far.application.received), 100_000)

    def test_unbounded(self) -> None:
        """
        With L{None} there is no limit.
        """
        for link in self.closing(None):
            self.assertEqual(link.clock.getDelayedCalls(), [])
            link.clock.advance(1_000_000)
            self.assertTrue(link.near.inner.connected)
            link.wire.cut()
            self.assertLost(link.near, ConnectionLost)


@perVersion(segments=(0,))
class ObserverTests(ProtocolMixin):
    """
    C{whenAuthenticated} and C{whenClosed}, for anybody who asks, at any time.
    """

    def test_success(self) -> None:
        """
        Early and late observers get the protocol, and L{None} at the end.
        """
        for link in self.links():
            tls = link.near.tls
            early = [tls.whenAuthenticated(), tls.whenAuthenticated()]
            closed = tls.whenClosed()
            link.wire.flush()
            for observer in (*early, tls.whenAuthenticated()):
                self.assertIs(self.successResultOf(observer), tls)
            self.assertNoResult(closed)
            tls.loseConnection()
            link.wire.flush()
            for observer in (closed, tls.whenClosed()):
                self.assertIsNone(self.successResultOf(observer))
            self.assertIs(self.successResultOf(tls.whenAuthenticated()), tls)

    def test_failure(self) -> None:
        """
        Early and late observers get the same error.
        """
        link = self.link(False, client={"targetHost": "wrong.example"})
        tls = link.near.tls
        early = [tls.whenAuthenticated(), tls.whenAuthenticated()]
        link.wire.flush()
        errors = {
            self.failure(each, AuthenticationError)
            for each in (*early, tls.whenAuthenticated(), tls.whenAuthenticated())
        }
        self.assertEqual(len(errors), 1)
        self.assertIsNone(self.successResultOf(tls.whenClosed()))

    def test_cancelled(self) -> None:
        """
        An observer that gives up concerns nobody but itself.
        """
        for link in self.links():
            impatient, patient = (
                link.near.tls.whenAuthenticated(),
                link.near.tls.whenAuthenticated(),
            )
            impatient.cancel()
            self.failure(impatient, CancelledError)
            link.wire.flush()
            self.assertIs(self.successResultOf(patient), link.near.tls)

    def test_notClosedByCancelling(self) -> None:
        """
        Nor does one that awaits the end close anything.
        """
        for link in self.opened():
            closed = link.near.tls.whenClosed()
            closed.cancel()
            self.failure(closed, CancelledError)
            link.wire.flush()
            self.assertTrue(link.near.inner.connected)


@perVersion(segments=(0,))
class LogTests(ProtocolMixin):
    """
    A refusal that nobody waits for is in the log.
    """

    def refused(self, isObserved: bool) -> list[Any]:
        """
        Let a client refuse its server.

        @return: what both protocols have logged.
        """
        events = EventLoggingObserver()
        globalLogPublisher.addObserver(events)
        self.addCleanup(globalLogPublisher.removeObserver, events)
        link = self.link(False, client={"targetHost": "wrong.example"})
        if isObserved:
            for side in (link.near, link.far):
                side.tls.whenAuthenticated().addErrback(lambda _: None)
        link.wire.flush()
        return [each for each in events if "txsslstream" in each["log_namespace"]]

    def test_unobserved(self) -> None:
        """
        Each side logs one line, with the peer and the reason, and no traceback.
        """
        events = self.refused(False)
        self.assertEqual([each["log_level"] for each in events], [LogLevel.info] * 2)
        self.assertEqual([each["peer"] for each in events], ["peer of client", "peer of server"])
        ours, theirs = (each["error"] for each in events)
        self.assertEqual(
            ours,
            "the remote certificate is invalid; RemoteCertificateNameMismatch; "
            "the certificate is for localhost, 127.0.0.1, not for 'wrong.example'; "
            "alert sent: bad_certificate",
        )
        self.assertRegex(
            theirs, "^the peer refused the handshake: .*; alert received: bad_certificate$"
        )
        self.assertIn(ours, formatEvent(events[0]))

    def test_observed(self) -> None:
        """
        Whoever waits is told, and the log is not.
        """
        self.assertEqual(self.refused(True), [])


class Direction:
    """
    One direction of a TLS 1.3 connection with AES-128-GCM, from outside of
    OpenSSL, which offers no way to update keys (RFC 8446 sections 5 and 7).
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._start()

    def _start(self) -> None:
        self._cipher = AESGCM(self._expand("key", 16))
        self._start_ = int.from_bytes(self._expand("iv", 12), "big")
        self._sequence = 0

    def _expand(self, label: str, size: int) -> bytes:
        name = f"tls13 {label}".encode()
        info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
        return HKDFExpand(hashes.SHA256(), size, info).derive(self._secret)

    def update(self) -> None:
        """
        Go on with the next keys.
        """
        self._secret = self._expand("traffic upd", 32)
        self._start()

    def finished(self, messages: bytes) -> bytes:
        """
        @return: what proves at the end of an authentication that these were its
            messages.
        """
        proof = hmac.HMAC(self._expand("finished", 32), hashes.SHA256())
        digest = hashes.Hash(hashes.SHA256())
        digest.update(messages)
        proof.update(digest.finalize())
        return proof.finalize()

    def _nonce(self) -> bytes:
        return (self._start_ ^ self._sequence).to_bytes(12, "big")

    def seal(self, kind: int, content: bytes) -> bytes:
        """
        @return: the next record.
        """
        size = len(content) + 1 + 16
        header = b"\x17\x03\x03" + size.to_bytes(2, "big")
        body = self._cipher.encrypt(self._nonce(), content + bytes([kind]), header)
        self._sequence += 1
        return header + body

    def open(self, records: bytes) -> list[tuple[int, bytes]]:
        """
        @return: the kind and content of those records that these keys open.
        """
        contents = []
        while records:
            end = 5 + int.from_bytes(records[3:5], "big")
            try:
                content = self._cipher.decrypt(self._nonce(), records[5:end], records[:5])
            except InvalidTag:
                pass
            else:
                self._sequence += 1
                contents.append((content[-1], content[:-1]))
            records = records[end:]
        return contents


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class RawCreator:
    """
    Connections whose secrets are told.
    """

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_keylog_callback(lambda _, line: tell(line))
        self._context.use_certificate(SERVER.certificate)
        self._context.use_privatekey(SERVER.privateKey)  # type: ignore[arg-type]

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """
        As a client.
        """
        return SSL.Connection(self._context, None)

    serverConnectionForTLS = clientConnectionForTLS


class RawMixin(ProtocolMixin):
    """
    A peer made of OpenSSL alone.
    """

    segment = 0

    def raw(self, creator: RawCreator, **options: Any) -> Iterable[Link]:
        """
        For each role an open connection to such a peer.
        """
        for isServer in (False, True):
            near: Any = (serverOptions if isServer else clientOptions)(self.version, **options)
            sides: list[tuple[Any, Protocol]] = [(near, Application()), (creator, Application())]
            client, server = reversed(sides) if isServer else sides
            link = Link(isServer, client, server)
            link.wire.flush()
            self.assertEqual(link.near.application.events, ["made", "handshake"])
            yield link
            link.wire.cut()

    def scripted(self) -> Iterable[tuple[Link, Direction, Direction]]:
        """
        For each role an open connection of TLS 1.3, with its keys from the far
        side and to it.
        """
        suite = CipherSuitesPolicy([TlsCipherSuite.TLS_AES_128_GCM_SHA256])
        lines: list[bytes] = []
        for link in self.raw(RawCreator(lines.append), cipherSuitesPolicy=suite):
            secrets = {line.split()[0]: bytes.fromhex(line.split()[2].decode()) for line in lines}
            directions = [
                Direction(secrets[side + b"_TRAFFIC_SECRET_0"]) for side in (b"SERVER", b"CLIENT")
            ]
            incoming, outgoing = reversed(directions) if link.near.tls.isServer else directions
            # To count the records that have been sent.
            incoming.open(bytes(link.far.inner.everWritten))
            outgoing.open(bytes(link.near.inner.everWritten))
            link.near.inner.everWritten.clear()
            yield link, incoming, outgoing
            lines.clear()


class RenegotiationTests(RawMixin, SynchronousTestCase):
    """
    Renegotiation, which TLS 1.2 still has (RFC 5246 section 7.2.2).
    """

    version = SslProtocols.Tls12

    def test_refused(self) -> None:
        """
        The peer is told at once that there is none, and the connection goes on.
        """
        for link in self.raw(RawCreator(lambda _: None)):
            far = link.far.tls.getHandle()
            self.assertTrue(far.renegotiate())
            with contextlib.suppress(SSL.WantReadError):
                far.do_handshake()
            sent = len(link.near.inner.everWritten)
            link.near.tls.dataReceived(far.bio_read(MIB))
            answer = bytes(link.near.inner.everWritten[sent:])
            self.assertEqual(recordKinds(answer), {ALERT})
            alerts: list[int] = []
            far.set_info_callback(
                lambda _, where, code, alerts=alerts: (
                    alerts.append(code & 0xFF) if where == SSL.SSL_CB_READ_ALERT else None
                )
            )
            far.bio_write(answer)
            with contextlib.suppress(SSL.Error):
                far.recv(1)
            self.assertEqual(alerts, [TlsAlert.no_renegotiation])
            self.assertIs(link.near.tls.wireState, WireState.open)
            _writes(b"still here")(link.near.application)
            self.assertGreater(len(link.near.inner.everWritten), sent + len(answer))


class LateAlertTests(RawMixin, SynchronousTestCase):
    """
    A TLS 1.3 server refuses a client's certificate when the client has finished
    its handshake (RFC 8446 section 4.4.2.4).
    """

    version = SslProtocols.Tls13

    def test_meaning(self) -> None:
        """
        An alert about a certificate is a refusal to a client that has received
        nothing yet.  To others, like any other alert, it is an error of the
        connection.
        """
        for first, alert, isRefusal in (
            (b"", TlsAlert.certificate_unknown, True),
            (b"data", TlsAlert.certificate_unknown, False),
            (b"", TlsAlert.decode_error, False),
        ):
            for link, incoming, _ in self.scripted():
                if first:
                    link.near.tls.dataReceived(incoming.seal(APPLICATION_DATA, first))
                link.near.tls.dataReceived(incoming.seal(ALERT, bytes((2, alert))))
                link.wire.flush()
                isRefused = isRefusal and not link.near.tls.isServer
                error = self.assertLost(link.near, AuthenticationError if isRefused else TlsError)
                self.assertEqual((error.alert, error.alertSent), (alert, None))
                self.assertEqual(link.near.application.received, first)


class KeyUpdateTests(RawMixin, SynchronousTestCase):
    """
    The peer may change its keys at any time, and ask for ours to change (RFC
    8446 section 4.6.3).
    """

    version = SslProtocols.Tls13

    #: KeyUpdate with update_requested, and the answer.
    REQUEST, ANSWER = b"\x18\x00\x00\x01\x01", b"\x18\x00\x00\x01\x00"

    def test_update(self) -> None:
        """
        Data before and after an update is delivered, and a requested update of
        ours is sent before our next data, which comes under the new keys.
        """
        for link, incoming, outgoing in self.scripted():
            records = incoming.seal(APPLICATION_DATA, b"before,") + incoming.seal(
                HANDSHAKE, self.REQUEST
            )
            incoming.update()
            records += incoming.seal(APPLICATION_DATA, b"after")
            link.near.application.reactions["data"] = _writes(b"answer")
            link.near.tls.dataReceived(records)
            self.assertEqual(link.near.application.received, b"before,after")
            written = bytes(link.near.inner.everWritten)
            self.assertEqual(outgoing.open(written), [(HANDSHAKE, self.ANSWER)])
            outgoing.update()
            self.assertEqual(outgoing.open(written), [(APPLICATION_DATA, b"answer")])

    def test_silentUpdate(self) -> None:
        """
        An update that asks for none of ours gets none.
        """
        for link, incoming, outgoing in self.scripted():
            link.near.tls.dataReceived(incoming.seal(HANDSHAKE, self.ANSWER))
            incoming.update()
            link.near.tls.dataReceived(incoming.seal(APPLICATION_DATA, b"after"))
            self.assertEqual(link.near.application.received, b"after")
            _writes(b"same keys")(link.near.application)
            written = bytes(link.near.inner.everWritten)
            self.assertEqual(outgoing.open(written), [(APPLICATION_DATA, b"same keys")])

    def test_oldKeys(self) -> None:
        """
        After an update the old keys are no longer taken.
        """
        for link, incoming, _ in self.scripted():
            link.near.tls.dataReceived(
                incoming.seal(HANDSHAKE, self.REQUEST) + incoming.seal(APPLICATION_DATA, b"old")
            )
            link.wire.flush()
            error = self.assertLost(link.near, TlsError)
            self.assertIs(error.alertSent, TlsAlert.bad_record_mac)
            self.assertEqual(link.near.application.received, b"")


def _privateCertificate(context: SslStreamCertificateContext) -> ssl.PrivateCertificate:
    key = context.privateKey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(
        _pem(context.certificate) + key
    )
    return certificate


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@perVersion()
class StockTests(ProtocolMixin):
    """
    With Twisted's own connection creators our classes are Twisted's, and tell
    more.
    """

    def creators(self, host: str = "localhost", isMutual: bool = False) -> tuple[Any, Any]:
        """
        @return: Twisted's creators for the client and the server.
        """
        authority = ssl.Certificate.loadPEM(_pem(AUTHORITY.certificate))
        versions: dict[str, Any] = (
            {"raiseMinimumTo": ssl.TLSVersion.TLSv1_3}
            if self.version is SslProtocols.Tls13
            else {"lowerMaximumSecurityTo": ssl.TLSVersion.TLSv1_2}
        )
        if self.version is SslProtocols.Tls12:
            versions["insecurelyLowerMinimumTo"] = ssl.TLSVersion.TLSv1_2
        client = ssl.optionsForClientTLS(
            host,
            trustRoot=authority,
            clientCertificate=_privateCertificate(CLIENT),
            extraCertificateOptions=versions,
        )
        server = _privateCertificate(SERVER).options(*([authority] if isMutual else []))
        return client, server

    def stock(
        self,
        creators: tuple[Any, Any],
        factories: tuple[type[TLSMemoryBIOFactory], type[TLSMemoryBIOFactory]],
        client: Application | None = None,
        server: Application | None = None,
    ) -> Link:
        """
        Two applications on Twisted's creators, with nothing moved yet.
        """
        return Link(
            False,
            (creators[0], client or Application()),
            (creators[1], server or Application()),
            self.segment,
            factories,
        )

    def ours(self, isMutual: bool = False, **applications: Any) -> Link:
        """
        The same, both on our classes.
        """
        return self.stock(
            self.creators(isMutual=isMutual), (SslStreamFactory, SslStreamFactory), **applications
        )

    def transcript(
        self,
        factories: tuple[type[TLSMemoryBIOFactory], type[TLSMemoryBIOFactory]],
        host: str,
        isMutual: bool,
        happen: Callable[[Link], object],
    ) -> list[object]:
        """
        @param happen: what happens to a connection over which both have
            written at once.
        @return: all that both applications have seen and sent.
        """
        link = self.stock(
            self.creators(host, isMutual),
            factories,
            Application(made=lambda each: each.transport.write(b"from client")),
            Application(made=lambda each: each.transport.write(b"from server")),
        )
        link.wire.flush()
        if link.client.inner.connected:
            happen(link)
            link.wire.flush()
        self.assertEqual(link.clock.getDelayedCalls(), [])
        return [
            (
                side.application.events,
                bytes(side.application.received),
                type(side.application.reason),
                str(side.application.reason),
                side.inner.connected,
            )
            for side in (link.client, link.server)
        ]

    def test_likeTwisted(self) -> None:
        """
        In good and bad conversations applications see from our classes exactly
        what they see from Twisted's, also where the peer has Twisted's.
        """

        def closed(link: Link) -> None:
            link.client.tls.write(b"last words")
            link.client.tls.loseConnection()

        happenings: dict[str, Callable[[Link], object]] = {
            "closed": closed,
            "aborted": lambda link: link.client.tls.abortConnection(),
            "cut": lambda link: link.wire.cut(),
            "ended": lambda link: link.wire.cut(ConnectionDone),
            "garbage": lambda link: (
                link.client.inner.connected and link.client.tls.dataReceived(GARBAGE)
            ),
        }
        factories = (TLSMemoryBIOFactory, SslStreamFactory)
        for isMutual in (False, True):
            for host, name, happen in (
                *(("localhost", *each) for each in happenings.items()),
                ("wrong.example", "refused", lambda _: None),
            ):
                wanted, *got = (
                    self.transcript((ours, theirs), host, isMutual, happen)
                    for ours in factories
                    for theirs in factories
                )
                self.assertEqual(got, [wanted] * 3, f"{name}, {isMutual}")

    def test_order(self) -> None:
        """
        C{connectionMade} runs before the handshake, and what is written there
        arrives behind it.
        """
        link = self.ours(client=Application(made=lambda each: each.transport.write(b"early")))
        self.assertEqual(link.client.application.events, ["made"])
        self.assertEqual(link.server.application.events, ["made"])
        self.assertFalse(link.client.tls.isAuthenticated)
        link.wire.flush()
        self.assertEqual(link.client.application.events, ["made", "handshake"])
        self.assertEqual(link.server.application.events, ["made", "handshake", "data"])
        self.assertEqual(link.server.application.received, b"early")

    def test_properties(self) -> None:
        """
        After the handshake, and after the end, the transport tells what was
        negotiated and shown; not before.
        """
        for isMutual in (False, True):
            for isEnded in (False, True):
                link = self.ours(isMutual)
                for side in (link.client, link.server):
                    self.assertRaises(InvalidOperationError, getattr, side.tls, "sslProtocol")
                    self.assertRaises(InvalidOperationError, getattr, side.tls, "security")
                    self.assertFalse(side.tls.isEncrypted)
                link.wire.flush()
                if isEnded:
                    link.client.tls.loseConnection()
                    link.wire.flush()
                self.assertDescribed(link.client, CLIENT, SERVER, not isEnded)
                self.assertDescribed(link.server, SERVER, CLIENT if isMutual else None, not isEnded)

    def assertDescribed(
        self,
        side: Side,
        local: SslStreamCertificateContext,
        remote: SslStreamCertificateContext | None,
        isOpen: bool,
    ) -> None:
        """
        All properties of a connection that others have set up are true.
        """
        tls = side.tls
        self.assertTrue(tls.isAuthenticated and tls.isEncrypted and tls.isSigned)
        self.assertEqual(tls.isServer, local is SERVER)
        self.assertIs(tls.sslProtocol, self.version)
        self.assertIsInstance(tls.negotiatedCipherSuite, TlsCipherSuite)
        self.assertEqual(tls.localCertificate, local.certificate)
        self.assertEqual(tls.remoteCertificate, None if remote is None else remote.certificate)
        self.assertGreaterEqual(tls.keyExchangeStrength, 255)
        self.assertEqual(tls.security.targetHostName, "localhost")
        self.assertEqual((tls.canRead, tls.canWrite), (isOpen, isOpen))

    def test_observers(self) -> None:
        """
        C{whenAuthenticated} and C{whenClosed} work there, too.
        """
        link = self.ours()
        authenticated, closed = link.client.tls.whenAuthenticated(), link.client.tls.whenClosed()
        self.assertNoResult(authenticated)
        link.wire.flush()
        self.assertIs(self.successResultOf(authenticated), link.client.tls)
        self.assertNoResult(closed)
        link.client.tls.loseConnection()
        link.wire.flush()
        self.assertIsNone(self.successResultOf(closed))

    def test_failure(self) -> None:
        """
        A failed handshake is what C{whenAuthenticated} fails with, and nothing
        can be read.
        """
        link = self.stock(self.creators("wrong.example"), (SslStreamFactory, SslStreamFactory))
        authenticated = link.client.tls.whenAuthenticated()
        link.server.tls.whenAuthenticated().addErrback(lambda _: None)
        link.wire.flush()
        self.assertIs(self.failureResultOf(authenticated).value, link.client.application.reason)
        self.assertFalse(link.client.tls.isAuthenticated)
        self.assertRaises(InvalidOperationError, getattr, link.client.tls, "security")
