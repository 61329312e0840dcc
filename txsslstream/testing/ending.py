# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: how connections end.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone

from ..errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    InvalidOperationError,
    StreamClosedError,
)
from .applications import Application, HalfCloseableApplication
from .conforming import (
    ConformanceCase,
    Talk,
    behaviour,
    everything,
    expect,
    expectRaises,
    expectWaiting,
    forget,
)
from .outcomes import failureOf, resultOf
from .transferring import recordSizes


class Ending(ConformanceCase):
    """
    Tests for ends.
    """

    @behaviour(78)
    def test_cleanEnd(self) -> None:
        """
        A stream that the peer has closed in good order reads as ended, as often
        as one asks, and closing twice is closing.
        """
        talk = self.opened()
        talk.theirs.write(b"rest")
        answering = talk.theirs.close()
        talk.flush()
        expect(resultOf(talk.ours.readExactly(4)), b"rest")
        expect([resultOf(talk.ours.read()) for _ in range(3)], [b""] * 3)
        closing = [talk.ours.close(), talk.ours.close()]
        talk.flush()
        expect([resultOf(each) for each in (*closing, answering)], [None] * 3)
        talk.expectGone()

    @behaviour(79)
    def test_nothingAfterClosing(self) -> None:
        """
        On a stream that we have closed everything fails, even writing nothing.
        """
        talk = self.opened()
        talk.ours.close()
        for _ in range(2):
            for operation in everything(talk.ours):
                failureOf(operation, StreamClosedError)
            talk.theirs.close()
            talk.flush()

    @behaviour(80)
    def test_neverAuthenticated(self) -> None:
        """
        A stream that was never authenticated is closed as its transport is,
        without a handshake.
        """
        talk = self.pair()
        other = self.authenticate(talk.theirs, self.options(talk.far))
        waiting = talk.ours.whenAuthenticated()
        before = talk.wire.everSent(talk.near)
        closing = talk.ours.close()
        failureOf(waiting, HandshakeCancelled)
        talk.flush()
        expect(resultOf(closing), None)
        expect(talk.wire.everSent(talk.near), before)
        failureOf(other, HandshakeInterrupted)
        talk.expectGone()

    @behaviour(81)
    def test_closedAfterRefusal(self) -> None:
        """
        Closing does not fail, not even where the authentication has: the alert
        is sent all the same.
        """
        talk, ours, theirs = self.begun({"remoteCertificateValidationCallback": lambda *_: False})
        closed: list[object] = []
        errors: list[BaseException] = []

        def close(failure: Any) -> Any:
            errors.append(failure.value)
            return talk.ours.close().addCallback(closed.append)

        ours.addErrback(close)
        talk.flush()
        expect((closed, [type(each) for each in errors]), ([None], [AuthenticationError]))
        expect(self.hears(talk, theirs).alert is None, False)
        talk.expectGone()

    @behaviour(82)
    def test_transportClosed(self) -> None:
        """
        A closed stream closes its transport, and whoever had that before hears
        of the end once.
        """
        talk = self.opened()
        talk.ours.close()
        talk.flush()
        expect(talk.wire.losses(talk.near), [])
        talk.theirs.close()
        talk.flush()
        (reason,) = talk.wire.losses(talk.near)
        if talk.wire.hasResets:
            expect(reason.type, ConnectionDone)
        talk.expectGone()

    @behaviour(89)
    def test_closeNotifyOnce(self) -> None:
        """
        C{close_notify} is sent once, however often and by whichever way we end,
        and closing waits for the peer's.
        """
        shutdown, close = methodcaller("shutdown"), methodcaller("close")
        for first in (shutdown, close):
            talk = self.opened()
            before = talk.wire.sent(talk.near)
            for end in (first, shutdown, close, close):
                forget(end(talk.ours))
            closing = talk.ours.close()
            talk.flush()
            expectWaiting(closing)
            expect(resultOf(talk.theirs.read()), b"")
            talk.theirs.close()
            talk.flush()
            expect(resultOf(closing), None)
            sent = talk.wire.everSent(talk.near)
            if sent is not None:
                expect(len(recordSizes(sent[before:])), 1)

    @behaviour(90)
    def test_silentPeer(self) -> None:
        """
        A peer that makes no progress in time has the connection aborted: closing
        succeeds, and a write that was still waiting fails.
        """
        talk = self.opened()
        closing = talk.ours.close()
        talk.wire.advance(4.9)
        expectWaiting(closing)
        talk.wire.advance(0.2)
        expect(resultOf(closing), None)
        # It was told, so this is no truncation.
        expect(resultOf(talk.theirs.read()), b"")
        talk = self.opened()
        talk.ours.shutdownTimeout = 2
        _, writing = self.filled(talk)
        closing = talk.ours.close()
        talk.wire.advance(1.9)
        expectWaiting(writing, closing)
        talk.wire.advance(0.2)
        failureOf(writing, StreamClosedError)
        talk.wire.release(talk.near)
        talk.flush()
        expect(resultOf(closing), None)

    @behaviour(91)
    def test_slowPeer(self) -> None:
        """
        A peer that answers in time, or still takes data, is not cut off, and no
        timer is left.
        """
        talk = self.opened()
        data, writing = self.filled(talk)
        closing = talk.ours.close()
        half = len(data) // 2
        talk.wire.advance(4)
        self.drained(talk, data[:half])
        talk.wire.advance(4)
        expectWaiting(closing)
        self.drained(talk, data[half:])
        expect(resultOf(writing), None)
        # What a socket has taken is no progress that could be seen.
        talk.wire.advance(0.5)
        expectWaiting(closing)
        talk.theirs.close()
        talk.flush()
        expect(resultOf(closing), None)
        expect(talk.wire.clock.getDelayedCalls(), [])

    @behaviour(92)
    def test_fullAtTheEnd(self) -> None:
        """
        What was written is sent before C{close_notify}, also if the transport is
        full at the moment.
        """
        for end in (methodcaller("close"), methodcaller("shutdown")):
            talk = self.opened()
            data, writing = self.filled(talk)
            ending = end(talk.ours)
            expectWaiting(ending)
            self.drained(talk, data)
            expect(resultOf(writing), None)
            expect(resultOf(talk.theirs.read()), b"")
            talk.theirs.close()
            talk.flush()
            expect(resultOf(ending), None)

    @behaviour(93)
    def test_backlog(self) -> None:
        """
        A peer that has ended its side still gets everything, also the answer to
        the last that it has said.
        """
        talk = self.opened()
        data, writing = self.filled(talk)
        talk.theirs.shutdown()
        talk.flush()
        expect(resultOf(talk.ours.read()), b"")
        self.drained(talk, data)
        expect(resultOf(writing), None)
        near = Application(data=lambda each: each.transport.write(b"answer"))
        both = self.connected(near=near, far=HalfCloseableApplication())
        both.theirs.transport.write(b"question")
        both.theirs.transport.loseWriteConnection()
        both.flush()
        expect(bytes(near.received), b"question")
        expect(bytes(both.theirs.received)[:6], b"answer")
        both.expectGone()

    @behaviour(94)
    def test_discarded(self) -> None:
        """
        What the peer sends when we have closed is discarded, however much.
        """
        talk = self.opened()
        closing = talk.ours.close()
        writing = talk.theirs.write(bytes(self.much))
        talk.flush()
        expect(resultOf(writing), None)
        expectWaiting(closing)
        talk.theirs.close()
        talk.flush()
        expect(resultOf(closing), None)
        talk.expectGone()

    @behaviour(95)
    def test_unread(self) -> None:
        """
        Unread data does not keep a stream from being closed.
        """
        talk = self.opened()
        forget(talk.theirs.write(bytes(self.much)))
        talk.flush()
        closing = talk.ours.close()
        talk.flush()
        talk.theirs.close()
        talk.flush()
        expect(resultOf(closing), None)
        talk.expectGone()

    @behaviour(103)
    def test_halfClose(self) -> None:
        """
        A shutdown ends our side alone: reading goes on, writing fails, and doing
        it again changes nothing.
        """
        talk = self.opened()
        resultOf(talk.ours.write(b"last words"))
        expect(resultOf(talk.ours.shutdown()), None)
        talk.flush()
        expect(resultOf(talk.theirs.readExactly(10)), b"last words")
        expect(resultOf(talk.theirs.read()), b"")
        before = talk.wire.sent(talk.near)
        expect((talk.ours.canRead, talk.ours.canWrite), (True, False))
        for answer in (b"first", b"second"):
            talk.say(talk.theirs, talk.ours, answer)
        failureOf(talk.ours.write(b"more"), InvalidOperationError)
        expect(resultOf(talk.ours.shutdown()), None)
        talk.flush()
        expect(talk.wire.sent(talk.near), before)
        expect(talk.wire.isConnected(talk.near), True)

    @behaviour(104)
    def test_woken(self) -> None:
        """
        A read that waits fails when the stream is closed or aborted; a write
        that waits fails when it is aborted, and may end when it is closed.
        """
        for end in ("close", "abort"):
            talk = self.opened()
            reading = talk.ours.read()
            data, writing = self.filled(talk)
            methodcaller(end)(talk.ours)
            failureOf(reading, StreamClosedError)
            if end == "abort":
                failureOf(writing, StreamClosedError)
            else:
                self.drained(talk, data)
                expect(resultOf(writing), None)

    @behaviour(106)
    def test_tooLate(self) -> None:
        """
        Closing or aborting what is closed, aborted or lost does nothing.
        """
        ends: tuple[Callable[[Talk], Deferred[Any] | None], ...] = (
            lambda talk: talk.wire.reset(talk.far),
            lambda talk: talk.ours.abort(),
            lambda talk: talk.theirs.close() and talk.ours.close(),
        )
        for end in ends:
            talk = self.opened()
            end(talk)
            talk.flush()
            for _ in range(2):
                expect(resultOf(talk.ours.close()), None)
                talk.ours.abort()
            failureOf(talk.ours.read(), StreamClosedError)
            expect(resultOf(talk.ours.whenClosed()), None)
            talk.expectGone()

    @behaviour(108)
    def test_inspectedLate(self) -> None:
        """
        What was negotiated can be read when the connection has ended; what needs
        its secrets is refused then.
        """
        talk = self.opened()
        before = talk.ours.security.asdict()
        key = talk.ours.exportKeyingMaterial("EXPORTER-conformance", 32)
        expect(talk.theirs.exportKeyingMaterial("EXPORTER-conformance", 32), key)
        talk.ours.close()
        self.secretless(talk)
        talk.theirs.close()
        talk.expectGone()
        self.secretless(talk)
        expect(talk.ours.sslProtocol, self.version)
        after = talk.ours.security.asdict()
        expect((after.pop("canRead"), after.pop("canWrite")), (False, False))
        expect(after, {name: before[name] for name in after})

    def secretless(self, talk: Talk) -> None:
        """
        We have no secrets any more.
        """
        expectRaises(StreamClosedError, talk.ours.exportKeyingMaterial, "EXPORTER-conformance", 32)
