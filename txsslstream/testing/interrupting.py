# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: what comes between, and what is kept waiting, in a handshake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed

from ..enums import SslPolicyErrors, TlsAlert
from ..errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    InvalidOperationError,
    NotSupportedError,
    TlsError,
)
from ..starttls import startTLS
from .applications import Application
from .authority import sharedAuthority
from .conforming import (
    GARBAGE,
    ConformanceCase,
    Talk,
    behaviour,
    expect,
    expectRaises,
    expectWaiting,
    forget,
    troubleOf,
)
from .outcomes import failureOf, resultOf
from .peers import MisbehavingPeer
from .wires import Listener

#: The beginning of a hello that never ends, in records as long as may be.
_ENDLESS = b"\x16\x03\x01\x40\x00\x01\x01\xff\xfb" + bytes((1 << 14) - 4)
_MORE = b"\x16\x03\x01\x40\x00" + bytes(1 << 14)


class Interrupting(ConformanceCase):
    """
    Tests for handshakes that others disturb.
    """

    def facing(self, peer: Any, **arguments: Any) -> tuple[Talk, Deferred[Any]]:
        """
        A stream that authenticates somebody who is no stream.
        """
        talk = self.alone(peer, **arguments)
        authenticated = self.authenticate(talk.ours, self.options(self.isServer))
        talk.flush()
        return talk, authenticated

    @behaviour(23)
    def test_leftMidway(self) -> None:
        """
        A peer that goes away in the handshake has interrupted it, and an
        application that was not connected hears nothing.
        """
        for records, part in ((0, 3), (1, 0)):
            peer = MisbehavingPeer.truncatesAfter(self.options(not self.isServer), records, part)
            talk, authenticated = self.facing(peer)
            failureOf(authenticated, HandshakeInterrupted)
            failureOf(talk.ours.read(), HandshakeInterrupted)
            talk.expectGone()
        both = self.applications()
        both.wire.stall(both.near)
        both.flush()
        both.wire.reset(both.far)
        both.flush()
        expect(both.ours.events, [])

    @behaviour(24)
    def test_leftAtOnce(self) -> None:
        """
        The same holds for one that goes away before it has said anything.
        """
        for leave in ("end", "reset"):
            talk, authenticated = self.facing(Listener())
            expectWaiting(authenticated)
            getattr(talk.wire, leave)(talk.far)
            talk.flush()
            failureOf(authenticated, HandshakeInterrupted)
            talk.expectGone()

    @behaviour(25)
    def test_closed(self) -> None:
        """
        Closing in the handshake gives it up, which the peer hears.
        """
        if self.isServer:
            talk, ours, theirs, _ = self.deciding()
        else:
            talk, ours, theirs = self.begun()
            talk.wire.stall(talk.near)
            talk.flush()
        closing = talk.ours.close()
        expect(failureOf(ours, HandshakeCancelled).alertSent, TlsAlert.user_canceled)
        talk.wire.release(talk.near)
        talk.flush()
        expect(troubleOf(theirs).alert, TlsAlert.user_canceled)
        expect(resultOf(closing), None)
        talk.expectGone()

    @behaviour(26)
    def test_anyMoment(self) -> None:
        """
        Closed, aborted or cancelled at whichever moment of the handshake, both
        sides end with one of the documented errors, and nothing is left.
        """
        ends: tuple[Callable[[Talk, Deferred[Any]], Any], ...] = (
            lambda talk, _: talk.ours.close(),
            lambda talk, _: talk.ours.abort(),
            lambda _, ours: ours.cancel(),
        )
        for end in ends:
            for moment in ("at once", "stalled", "deciding"):
                decision: Deferred[bool] = Deferred()
                talk, ours, theirs = self.begun(
                    {"remoteCertificateValidationCallback": lambda *_, it=decision: it}
                )
                if moment == "stalled":
                    talk.wire.stall(talk.far)
                if moment != "at once":
                    talk.flush()
                end(talk, ours)
                talk.wire.release(talk.far)
                talk.flush()
                failureOf(ours, HandshakeCancelled)
                troubleOf(theirs)
                talk.expectGone()
                expect(resultOf(talk.ours.whenClosed()), None)

    @behaviour(27, 28)
    def test_lostMeanwhile(self) -> None:
        """
        If the transport fails while our part is being sent, or the peer's is
        awaited, its own error is the cause of ours, which everything repeats.
        """
        for isSent in (False, True):
            talk, ours, theirs = self.begun()
            forget(theirs)
            talk.wire.stall(talk.near)
            if isSent:
                talk.flush()
            talk.wire.reset(talk.far)
            talk.flush()
            error = failureOf(ours, HandshakeInterrupted)
            expect(isinstance(error.__cause__, ConnectionClosed), True)
            for later in (
                talk.ours.whenAuthenticated(),
                talk.ours.read(),
                talk.ours.write(b"x"),
                talk.ours.flush(),
                talk.ours.shutdown(),
            ):
                expect(failureOf(later, HandshakeInterrupted) is error, True)
            expect(resultOf(talk.ours.close()), None)

    @behaviour(29)
    def test_noTls(self) -> None:
        """
        A peer that speaks something else is told from one that refuses.
        """
        talk, authenticated = self.facing(MisbehavingPeer.says(atOnce=True))
        error = failureOf(authenticated, AuthenticationError)
        expect("does not speak TLS" in str(error), True)
        talk.expectGone()
        elsewhere = {"targetHost": "elsewhere.example"}
        talk, ours, theirs = self.begun(
            *((None, elsewhere) if self.isServer else (elsewhere, None))
        )
        talk.flush()
        for each in (ours, theirs):
            error = failureOf(each, AuthenticationError)
            expect("does not speak TLS" in str(error), False)

    @behaviour(30)
    def test_injected(self) -> None:
        """
        What was put in the clear in front of TLS reaches nobody: it fails the
        handshake.
        """
        for behind in (b"EVIL\r\n", b"EVIL"):
            talk, ours, theirs = self.begun(received=behind)
            forget(theirs)
            # It may be the beginning of a record as yet.
            talk.wire.advance(30)
            for failed in (ours, talk.ours.read()):
                troubleOf(failed)
            expect(talk.wire.isConnected(talk.near), False)

    @behaviour(31)
    def test_atOnce(self) -> None:
        """
        What the peer says as soon as it can is delivered when the application
        has been told that it is connected.
        """
        far = Application(made=lambda each: each.transport.write(b"at once"))
        talk = self.connected(far=far)
        expect(talk.ours.events[:3], ["made", "handshake", "data"])
        expect(bytes(talk.ours.received), b"at once")

    @behaviour(32)
    def test_writtenBefore(self) -> None:
        """
        What a protocol writes before it is authenticated arrives afterwards, in
        order.
        """
        talk = self.applications()
        for data in (b"one, ", b"two, ", b"three"):
            self.tls[0].write(data)
        talk.flush()
        expect(bytes(talk.theirs.received), b"one, two, three")

    @behaviour(33)
    def test_refusedByApplication(self) -> None:
        """
        An application that gives the connection up as it is connected has told
        the peer nothing.
        """
        for event in ("made", "handshake"):
            near = Application(**{event: lambda each: each.transport.abortConnection()})
            talk = self.applications(near=near)
            self.tls[0].write(b"secret")
            talk.flush()
            expect(bytes(talk.theirs.received), b"")
            expect(near.events.count("lost"), 1)
            talk.expectGone()

    @behaviour(34)
    def test_certificateAtOnce(self) -> None:
        """
        The peer's certificate can be read in C{connectionMade} and
        C{handshakeCompleted}.
        """
        seen: list[Any] = []

        def look(application: Any) -> None:
            seen.append(application.transport.remoteCertificate is not None)

        wanted = {"clientCertificateRequired": True} if self.isServer else {}
        has = {"clientCertificates": [sharedAuthority().clientCertificate]} if self.isServer else {}
        self.connected(ours=wanted, theirs=has, near=Application(made=look, handshake=look))
        expect(seen, [True, True])

    def deciding(self, **more: Any) -> tuple[Talk, Deferred[Any], Deferred[Any], Deferred[Any]]:
        """
        @return: a handshake in which we have not decided about the peer yet, and
            what that waits for.
        """
        decision: Deferred[Any] = Deferred()
        talk, ours, theirs = self.begun(
            {"remoteCertificateValidationCallback": lambda *_: decision, **more}
        )
        theirs.addCallback(lambda stream: stream.write(b"hasty").addBoth(lambda _: stream))
        talk.flush()
        expectWaiting(ours)
        return talk, ours, theirs, decision

    @behaviour(35)
    def test_deciding(self) -> None:
        """
        While a callback decides the handshake waits: nothing of ours leaves, and
        nothing can be read or written.
        """
        talk, ours, theirs, decision = self.deciding()
        before = talk.wire.sent(talk.near)
        talk.wire.advance(20)
        expect(talk.wire.sent(talk.near), before)
        failureOf(talk.ours.read(), InvalidOperationError)
        failureOf(talk.ours.write(b"x"), InvalidOperationError)
        expectWaiting(ours)
        decision.callback(True)
        talk.flush()
        expect(resultOf(ours), talk.ours)
        resultOf(theirs)
        expect(talk.wire.sent(talk.near) > before, True)

    @behaviour(36)
    def test_callbackFails(self) -> None:
        """
        A callback that fails, or answers what is no answer, refuses, and that is
        the cause.
        """
        for answer, cause in ((ZeroDivisionError(), ZeroDivisionError), (1, TypeError)):
            talk, ours, theirs, decision = self.deciding()
            if isinstance(answer, Exception):
                decision.errback(answer)
            else:
                decision.callback(answer)
            talk.flush()
            error = failureOf(ours, AuthenticationError)
            expect(type(error.__cause__), cause)
            expect(self.hears(talk, theirs).alert, error.alertSent)

    @behaviour(37)
    def test_hasty(self) -> None:
        """
        What a peer says before it is accepted is read afterwards, or never.
        """
        for isAccepted in (True, False):
            talk, ours, theirs, decision = self.deciding()
            decision.callback(isAccepted)
            talk.flush()
            if isAccepted:
                expect(resultOf(ours), talk.ours)
                expect(resultOf(talk.ours.readExactly(5)), b"hasty")
                resultOf(theirs)
            else:
                failureOf(ours, AuthenticationError)
                failureOf(talk.ours.read(), AuthenticationError)
                self.hears(talk, theirs)

    @behaviour(38)
    def test_nobody(self) -> None:
        """
        A server's validation callback is called for every handshake, and hears
        whether a client was not asked or has nothing.
        """
        for isAsked, errors in (
            (False, SslPolicyErrors.None_),
            (True, SslPolicyErrors.RemoteCertificateNotAvailable),
        ):
            heard: list[Any] = []

            def judge(stream: Any, *found: Any, heard: list[Any] = heard) -> bool:
                heard.append(found)
                return True

            server = {
                "clientCertificateRequired": isAsked,
                "remoteCertificateValidationCallback": judge,
            }
            talk = self.opened(*((server, None) if self.isServer else (None, server)))
            expect(heard, [(None, None, errors)])
            talk.expectUsable()

    @behaviour(39)
    def test_alertFirst(self) -> None:
        """
        A refusal reaches the peer as an alert before the transport is closed.
        """
        talk, ours, theirs = self.begun({"remoteCertificateValidationCallback": lambda *_: False})
        talk.flush()
        error = failureOf(ours, AuthenticationError)
        expect(error.alertSent is None, False)
        expect(self.hears(talk, theirs).alert, error.alertSent)
        talk.expectGone()

    @behaviour(40)
    def test_chosenByHello(self) -> None:
        """
        A server may choose its options by the client's hello and take its time:
        until then nothing of its leaves, and then they hold.
        """
        asked: list[Any] = []
        answer: Deferred[Any] = Deferred()

        def select(stream: Any, hello: Any, state: object) -> Any:
            asked.append((hello.serverName, [str(each) for each in hello.applicationProtocols]))
            return answer

        client = {"applicationProtocols": ["h2"]}
        talk, ours, theirs = self.begun(*((select, client) if self.isServer else (client, select)))
        before = talk.wire.sent(True)
        talk.flush()
        expect(asked, [("localhost", ["h2"])])
        expect(talk.wire.sent(True), before)
        expectWaiting(ours, theirs)
        answer.callback(self.options(True, {"applicationProtocols": ["h2"]}))
        talk.flush()
        expect([resultOf(ours), resultOf(theirs)], [talk.ours, talk.theirs])
        expect(str(talk.server.negotiatedApplicationProtocol), "h2")

    @behaviour(41)
    def test_longHello(self) -> None:
        """
        A long hello is understood however it arrives; one without an end, and
        what is none, are refused.
        """
        many = [f"protocol-{number}" for number in range(300)]
        asked: list[int] = []

        def select(stream: Any, hello: Any, state: object) -> Any:
            asked.append(len(hello.applicationProtocols))
            return self.options(True)

        client = {"applicationProtocols": many}
        self.opened(*((select, client) if self.isServer else (client, select)))
        expect(asked, [len(many)])
        for said in (_ENDLESS + _MORE * 8, b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"):
            talk = self.pair()
            accepting = self.authenticate(talk.server, select)
            talk.wire.inject(False, said)
            talk.flush()
            failureOf(accepting, AuthenticationError)
            talk.expectGone()
        expect(asked, [len(many)])

    @behaviour(42)
    def test_wrongArguments(self) -> None:
        """
        Arguments that make no sense are refused before the transport is touched,
        which stays its protocol's.
        """
        wire = self.wire()
        transports = wire.transports()
        near = transports[self.isServer]
        for wrong, kind in (
            ({"encryptionPolicy": 99}, ValueError),
            ({"received": "text"}, TypeError),
        ):
            expectRaises(
                kind,
                lambda wrong=wrong: self.makeStream(near, wire.clock, **wrong),
            )
        expectRaises(TypeError, self.makeStream, object(), wire.clock)
        wire.inject(not self.isServer, b"in the clear")
        wire.flush()
        expect(wire.heard(self.isServer), b"in the clear")

    @behaviour(43)
    def test_startTLS(self) -> None:
        """
        A protocol whose connection goes over to TLS is not connected a second
        time, and hears of the end once.
        """
        wire = self.wire()
        both = Application(), Application()
        wire.connect(*both)
        both[0].transport.write(b"STARTTLS")
        wire.flush()
        expect(bytes(both[1].received), b"STARTTLS")
        started = [
            startTLS(each, self.options(isServer), clock=wire.clock)
            for isServer, each in ((True, both[1]), (False, both[0]))
        ]
        wire.flush()
        for each in started:
            expect(resultOf(each).sslProtocol, self.version)
        near, far = both[self.isServer], both[not self.isServer]
        near.transport.write(b"in private")
        wire.flush()
        expect(bytes(far.received).endswith(b"in private"), True)
        near.transport.loseConnection()
        wire.flush()
        for application in both:
            expect([application.events.count(each) for each in ("made", "lost")], [1, 1])

    @behaviour(44)
    def test_notNow(self) -> None:
        """
        TLS does not begin on a transport that has a producer or a stream, nor on
        a stream on which somebody is reading, which is unharmed.
        """
        wire = self.wire()
        listeners = Listener(), Listener()
        wire.connect(*listeners)
        transport: Any = listeners[self.isServer].transport
        transport.registerProducer(_Idle(), True)
        expectRaises(InvalidOperationError, self.makeStream, transport, wire.clock)
        transport.unregisterProducer()
        self.makeStream(transport, wire.clock)
        expectRaises(InvalidOperationError, self.makeStream, transport, wire.clock)
        talk = self.opened()
        reading = talk.ours.read()
        expectRaises(NotSupportedError, self.makeStream, talk.ours, talk.wire.clock)
        talk.theirs.write(b"message")
        talk.flush()
        expect(resultOf(reading), b"message")
        talk.expectUsable()

    @behaviour(45)
    def test_changedRecord(self) -> None:
        """
        A record that no key of the connection has sealed breaks it: for whoever
        reads and whoever writes, with the alert that the peer gets, too.
        """
        talk = self.opened()
        talk.wire.inject(talk.far, GARBAGE)
        talk.flush()
        error = failureOf(talk.ours.read(), TlsError)
        expect(error.alertSent, TlsAlert.bad_record_mac)
        expect(failureOf(talk.ours.write(b"x"), TlsError) is error, True)
        expect(failureOf(talk.theirs.read(), TlsError).alert, TlsAlert.bad_record_mac)
        talk.expectGone()


class _Idle:
    """
    A producer that does nothing.
    """

    def pauseProducing(self) -> None:
        """
        Nothing.
        """

    def resumeProducing(self) -> None:
        """
        Nothing.
        """

    def stopProducing(self) -> None:
        """
        Nothing.
        """
