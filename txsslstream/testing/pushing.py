# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: applications that get their data pushed, and what they write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone

from ..errors import TlsError, TruncationError
from .applications import Application
from .conforming import (
    GARBAGE,
    ConformanceCase,
    Talk,
    behaviour,
    expect,
    patterned,
)
from .outcomes import failureOf, resultOf
from .transferring import recordSizes


class _Producer:
    """
    A producer that does nothing by itself.

    @ivar calls: what it was told, in order.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        """
        Note it.
        """
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """
        Note it.
        """
        self.calls.append("resume")

    def stopProducing(self) -> None:
        """
        Note it.
        """
        self.calls.append("stop")


class Pushing(ConformanceCase):
    """
    Tests for applications.
    """

    @behaviour(60)
    def test_sequence(self) -> None:
        """
        A sequence of pieces of all kinds arrives as one.
        """
        talk = self.connected()
        talk.ours.transport.writeSequence([b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3], b""])
        talk.flush()
        expect(bytes(talk.theirs.received), b"abcdef")

    @behaviour(61)
    def test_smallWrites(self) -> None:
        """
        Many small writes leave in one record, in the next turn or when they are
        flushed.
        """
        for isFlushed in (False, True):
            talk = self.connected()
            before = talk.wire.sent(talk.near)
            for number in range(500):
                talk.ours.transport.write(b"%d" % (number % 10))
            if isFlushed:
                talk.ours.transport.flush()
            talk.flush()
            expect(bytes(talk.theirs.received), b"0123456789" * 50)
            sent = talk.wire.everSent(talk.near)
            if sent is not None:
                expect(len(recordSizes(sent[before:])), 1)

    @behaviour(67)
    def test_crossings(self) -> None:
        """
        A producer is paused once each time that the transport becomes full, and
        resumed once when it has room; a stream that is not read holds its peer
        back until it is.
        """
        talk = self.connected()
        producer = _Producer()
        talk.ours.transport.registerProducer(producer, True)
        for times in range(1, 4):
            talk.wire.stall(talk.near)
            for _ in range(1000):
                talk.ours.transport.write(bytes(200_000))
                talk.flush()
                if producer.calls[-1:] == ["pause"]:
                    break
            # A socket may have taken something meanwhile, and more than once.
            crossings = len(producer.calls) // 2
            expect(producer.calls, ["pause", "resume"] * crossings + ["pause"])
            expect(crossings >= times - 1, True)
            talk.wire.release(talk.near)
            talk.flush()
            expect(producer.calls, ["pause", "resume"] * (crossings + 1))
        talk.ours.transport.unregisterProducer()
        streams = self.opened()
        data = patterned(self.much)
        writes = 0
        isHeldBack = False
        while not isHeldBack and writes < 100:
            writing = streams.theirs.write(data)
            streams.flush()
            writes += 1
            isHeldBack = not writing.called
        expect(isHeldBack, True)
        for _ in range(writes):
            reading = streams.ours.readExactly(len(data))
            streams.flush()
            expect(resultOf(reading) == data, True)
        expect(resultOf(writing), None)

    @behaviour(68)
    def test_pausedBefore(self) -> None:
        """
        A producer is paused as well while TLS cannot send, before the handshake
        is over: once, and resumed once.
        """
        talk = self.applications()
        talk.wire.stall(talk.far)
        producer = _Producer()
        self.tls[0].registerProducer(producer, True)
        for _ in range(4):
            self.tls[0].write(bytes(50_000))
        talk.flush()
        expect(producer.calls, ["pause"])
        talk.wire.release(talk.far)
        talk.flush()
        expect(producer.calls, ["pause", "resume"])
        expect(len(talk.theirs.received), 200_000)

    @behaviour(70)
    def test_tooLateToProduce(self) -> None:
        """
        A producer that is registered when the connection is lost is stopped at
        once.
        """
        talk = self.connected()
        talk.wire.reset(talk.far)
        talk.flush()
        producer = _Producer()
        talk.ours.transport.registerProducer(producer, True)
        expect(producer.calls, ["stop"])

    @behaviour(71, 72)
    def test_pausedReading(self) -> None:
        """
        An application that pauses its transport gets nothing until it resumes
        it, and then in a later turn, with nothing lost.
        """
        near = Application(data=lambda each: each.transport.pauseProducing())
        talk = self.connected(near=near)
        for number in range(1, 4):
            talk.theirs.transport.write(b"%d" % number)
            talk.theirs.transport.flush()
            talk.flush()
        expect(bytes(near.received), b"1")
        near.transport.resumeProducing()
        expect(bytes(near.received), b"1")
        for _ in range(3):
            talk.flush()
            near.transport.resumeProducing()
        expect(bytes(near.received), b"123")

    @behaviour(73)
    def test_writtenTooLate(self) -> None:
        """
        What is written to a transport whose connection is lost is dropped
        without a word; on a stream, the write fails.
        """
        talk = self.connected()
        talk.wire.reset(talk.far)
        talk.flush()
        before = talk.wire.sent(talk.near)
        for _ in range(20):
            talk.ours.transport.write(bytes(100_000))
            talk.ours.transport.writeSequence([b"late"])
        talk.flush()
        expect(talk.wire.sent(talk.near), before)
        streams = self.opened()
        streams.wire.reset(streams.far)
        streams.flush()
        failureOf(streams.ours.write(b"late"), TruncationError)

    @behaviour(105)
    def test_toldWhenGone(self) -> None:
        """
        However the connection ends, the application hears of that once, and not
        before the transport is gone.
        """
        ends: tuple[tuple[Callable[[Talk], object], tuple[type[BaseException], ...]], ...] = (
            (lambda talk: talk.ours.transport.loseConnection(), (ConnectionDone,)),
            (lambda talk: talk.theirs.transport.loseConnection(), (ConnectionDone,)),
            (lambda talk: talk.ours.transport.abortConnection(), (ConnectionAborted,)),
            (lambda talk: talk.theirs.transport.abortConnection(), (TruncationError,)),
            (lambda talk: talk.wire.inject(talk.far, GARBAGE), (TlsError,)),
            (lambda talk: talk.wire.reset(talk.far), (TruncationError,)),
        )
        for end, reasons in ends:
            connected: list[bool] = []
            talk = self.connected()
            talk.ours.reactions["lost"] = lambda _, it=talk, seen=connected: seen.append(
                it.wire.isConnected(it.near)
            )
            end(talk)
            if talk.wire.isConnected(talk.near):
                expect("lost" in talk.ours.events, False)
            talk.flush()
            self.lost(talk, talk.ours, *reasons)
            expect(connected, [False])

    @behaviour(114)
    def test_otherApplication(self) -> None:
        """
        An application may leave its transport to another one in
        mid-conversation, which hears of all that follows.
        """
        talk = self.connected()
        successor = Application()

        def leave(application: Any) -> None:
            application.transport.wrappedProtocol = successor
            successor.makeConnection(application.transport)

        talk.ours.reactions["data"] = leave
        for data in (b"1", b"2"):
            talk.theirs.transport.write(data)
            talk.flush()
        successor.transport.write(b"3")
        successor.transport.loseConnection()
        talk.flush()
        expect(bytes(talk.ours.received), b"1")
        expect("lost" in talk.ours.events, False)
        expect(successor.events, ["made", "data", "lost"])
        expect(bytes(talk.theirs.received), b"3")
        self.lost(talk, successor, ConnectionDone)
