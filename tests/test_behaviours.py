"""
What one can rely on, as F{docs/behaviour.md} tells it, where the tests of the
single modules do not show it: whole conversations, and what happens at once.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from twisted.internet import _producer_helpers
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
)
from twisted.internet.interfaces import IPullProducer, IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock, Cooperator, deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    ServerOptionsSelection,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamClientEndpoint,
    SslStreamFactory,
    StreamClosedError,
    TlsAlert,
    TlsError,
    TruncationError,
)
from txsslstream._sides import Reader
from txsslstream.testing import (
    Application,
    Bystander,
    Link,
    StreamPair,
    Wire,
    leaving,
    perVersion,
    randomSegments,
)
from txsslstream.testing.conforming import patterned

from .applications import ProtocolMixin
from .garbage import withoutCollector
from .streams import LeakMixin, StreamMixin
from .support import AUTHORITY, CLIENT, clientOptions, serverOptions
from .test_stream import noteCalls
from .test_truncation import SERVER as STEADY_SERVER
from .test_truncation import recordEnds

MIB = 1 << 20

#: Bytes that are no record of any connection.
GARBAGE = b"\x17\x03\x03\x00\x20" + bytes(32)


@perVersion()
class HandshakeTests(StreamMixin):
    """
    Tests for handshakes of streams.
    """

    def test_hostNames(self) -> None:
        """
        The shortest and the longest labels reach a server's callbacks
        unchanged.
        """
        for host in ("a", "a" * 63, "a" * 63 + "." + "b" * 63 + ".c"):
            asked: list[str] = []

            def choose(_: SslStream, name: str, asked: list[str] = asked) -> object:
                asked.append(name)
                return AUTHORITY.issue(name, subject="somebody")

            def select(
                _: SslStream, hello: Any, __: object, asked: list[str] = asked, choose: Any = choose
            ) -> SslServerAuthenticationOptions:
                asked.append(hello.serverName)
                return serverOptions(serverCertificateSelectionCallback=choose)

            pair = StreamPair(self.segment)
            server = pair.server.authenticateAsServer(select)
            client = pair.client.authenticateAsClient(clientOptions(self.version, targetHost=host))
            pair.wire.flush()
            self.successResultOf(client)
            self.successResultOf(server)
            self.assertEqual(asked, [host, host])
            self.assertEqual(pair.server.targetHostName, host)

    def test_noServerName(self) -> None:
        """
        A client that names no host has the callback called once, with no name;
        if that has nothing for it, both sides are told so.
        """
        asked: list[str] = []

        def choose(_: SslStream, name: str) -> None:
            asked.append(name)

        pair = StreamPair(self.segment)
        client, server = pair.authenticate(
            self.version,
            {"targetHost": "127.0.0.1"},
            {"serverCertificateSelectionCallback": choose},
        )
        self.assertEqual(asked, [""])
        error = self.failure(server, AuthenticationError)
        self.assertIs(error.alertSent, TlsAlert.unrecognized_name)
        self.assertIs(self.failure(client, AuthenticationError).alert, TlsAlert.unrecognized_name)
        self.assertNothingLeft(pair)

    def test_cancelledInSilence(self) -> None:
        """
        An authentication that is cancelled ends the connection and its
        time-out, and logs nothing.
        """
        for isServer in (False, True):
            pair = StreamPair(self.segment)
            with capturedLogs() as logged:
                both = pair.authenticate(self.version, flush=False)
                pair.wire.client.isPaused = True
                pair.wire.flush()
                one, other = reversed(both) if isServer else both
                one.cancel()
                self.failure(one, HandshakeCancelled)
                pair.wire.client.isPaused = False
                pair.wire.flush()
                # A client of TLS 1.3 may have finished.
                other.addErrback(lambda failure: failure.trap(AuthenticationError))
                self.assertTrue(other.called)
            self.assertEqual(logged, [])
            self.assertFalse(pair.wire.client.connected)
            self.assertNothingLeft(pair)

    def lostInHandshake(self, isSending: bool) -> None:
        """
        The transport fails in the middle of the handshake, for a reason of its
        own, with something of ours still unsent or not.
        """
        for isServer in (False, True):
            pair = StreamPair(self.segment)
            both = pair.authenticate(self.version, flush=False)
            stream = pair.server if isServer else pair.client
            ends = (pair.wire.server, pair.wire.client)
            transport, other = ends if isServer else reversed(ends)
            transport.isPaused, other.isPaused = not isSending, isSending
            pair.wire.flush()
            self.assertIs(bool(transport.written), isSending)
            problem = ConnectError("the cable was pulled")
            transport.lost(problem)
            error = self.failure(both[isServer], HandshakeInterrupted)
            self.assertIs(error.__cause__, problem)
            for later in (
                stream.whenAuthenticated(),
                stream.read(),
                stream.write(b"x"),
                stream.flush(),
                stream.shutdown(),
            ):
                self.assertIs(self.failure(later, HandshakeInterrupted), error)
            self.successResultOf(stream.close())
            pair.wire.cut()
            self.failure(both[not isServer], HandshakeInterrupted)
            self.assertNothingLeft(pair)

    def test_lostWhileSending(self) -> None:
        """
        If the transport fails while our part of the handshake is being sent, its
        own error is the cause of ours, which everything later repeats.
        """
        self.lostInHandshake(isSending=True)

    def test_lostWhileReceiving(self) -> None:
        """
        The same holds if it fails while the peer's part is awaited.
        """
        self.lostInHandshake(isSending=False)

    def test_truncatedBefore(self) -> None:
        """
        Who does without C{close_notify} does not do without a handshake: an
        orderly end of the transport before its end has interrupted it.
        """
        tolerant = {"requireCloseNotify": False}
        for hasBegun in (False, True):
            pair = StreamPair(self.segment)
            both = pair.authenticate(self.version, tolerant, tolerant, flush=False)
            if hasBegun:
                pair.wire.client.isPaused = True
                pair.wire.flush()
            pair.wire.cut(ConnectionDone)
            for authenticated in both:
                self.failure(authenticated, HandshakeInterrupted)
            self.failure(pair.client.read(), HandshakeInterrupted)

    def test_attributes(self) -> None:
        """
        A stream has its own attributes and no other; the transport of an
        application has those of the transport below as well.
        """
        pair = StreamPair(self.segment)
        pair.authenticate(self.version)
        for stream, transport in (
            (pair.client, pair.wire.client),
            (pair.server, pair.wire.server),
        ):
            transport.oddity = 42  # type: ignore[attr-defined]
            tls: Any = stream._protocol
            self.assertEqual(tls.oddity, 42)
            self.assertEqual(tls.getPeer(), transport.getPeer())
            for each, name in ((stream, "oddity"), (stream, "everWritten"), (tls, "noSuchThing")):
                self.assertRaises(AttributeError, getattr, each, name)


@perVersion(segments=(0,))
class RaceTests(StreamMixin):
    """
    Tests for streams that are given up at any moment.
    """

    async def converse(self, stream: SslStream, authenticated: Deferred[SslStream]) -> str:
        """
        @return: the kind of the error that a conversation ends with.
        """
        try:
            await authenticated
            await stream.write(b"message")
            while await stream.read():
                pass
        except Exception as e:
            return type(e).__name__
        return "end"

    def race(self, seed: int) -> tuple[str, str, str]:
        """
        Let one side be ended at any moment of the handshake, or right behind
        it.

        @return: how it was ended, and how the conversation ended on this side
            and on the other.
        """
        random = Random(seed)
        pair = StreamPair()

        def decide(*_: object) -> object:
            return random.choice((True, deferLater(pair.clock, random.random(), lambda: True)))

        client, server = pair.authenticate(
            self.version,
            {"remoteCertificateValidationCallback": decide, "clientCertificates": [CLIENT]},
            {
                "remoteCertificateValidationCallback": decide,
                "clientCertificateRequired": random.random() < 0.5,
            },
            flush=False,
        )
        sides = [(pair.client, client), (pair.server, server)]
        if random.random() < 0.5:
            sides.reverse()
        (ours, authenticated), _ = sides
        talks = [Deferred.fromCoroutine(self.converse(*side)) for side in sides]
        for _ in range(random.randrange(25)):
            pair.wire.segment = random.choice((0, 1, 40, 700))
            pair.wire.step()
            pair.clock.advance(random.random() / 10)
        ends: dict[str, Callable[[], object]] = {
            "close": ours.close,
            "abort": ours.abort,
            "cancel": authenticated.cancel,
        }
        end = random.choice(list(ends))
        ends[end]()
        pair.wire.segment = 0
        for _ in range(4):
            pair.wire.flush()
            pair.clock.advance(0.5)
        one, other = (self.successResultOf(talk) if talk.called else "open" for talk in talks)
        for stream in (pair.client, pair.server):
            stream.close()
        for _ in range(3):
            pair.wire.flush()
            pair.clock.advance(5)
        for stream in (pair.client, pair.server):
            self.successResultOf(stream.whenClosed())
        self.assertNothingLeft(pair)
        return end, one, other

    def test_ended(self) -> None:
        """
        Whenever a stream is closed, aborted or its authentication cancelled,
        both sides end with one of the documented errors.
        """
        gaveUp = {
            ("HandshakeCancelled", theirs)
            for theirs in ("AuthenticationError", "HandshakeInterrupted", "TruncationError")
        }
        documented = {
            "close": gaveUp | {("StreamClosedError", "end")},
            "abort": gaveUp
            | {
                ("StreamClosedError", "TruncationError"),
                # A client of TLS 1.3 may have finished long before its server.
                ("StreamClosedError", "HandshakeInterrupted"),
            },
            # Too late for that.
            "cancel": gaveUp | {("open", "open")},
        }
        found: dict[str, set[tuple[str, str]]] = {end: set() for end in documented}
        for seed in range(250):
            end, *outcome = self.race(seed)
            self.assertIn(tuple(outcome), documented[end], seed)
            found[end].add((outcome[0], outcome[1]))
        for end, outcomes in found.items():
            # In the handshake as well as behind it.
            self.assertEqual(len({ours for ours, _ in outcomes}), 2, end)


@perVersion(segments=(0, 1000))
class TransferTests(StreamMixin):
    """
    Tests for much data between streams.
    """

    async def echo(self, stream: SslStream) -> None:
        """
        Send back what comes, to the end.
        """
        async for data in stream:
            await stream.write(data)
        await stream.close()

    def test_echo(self) -> None:
        """
        What is written and what is read at the same time do not get into each
        other's way: thirty pieces come back as they were.
        """

        async def send(stream: SslStream, data: bytes) -> None:
            for start in range(0, len(data), 1 << 15):
                await stream.write(data[start : start + (1 << 15)])
            await stream.shutdown()

        async def receive(stream: SslStream) -> bytes:
            return b"".join([each async for each in stream])

        data = patterned(30 << 15)
        for opened in self.bothRoles():
            doing = [
                Deferred.fromCoroutine(each)
                for each in (self.echo(opened.theirs), send(opened.ours, data))
            ]
            receiving = Deferred.fromCoroutine(receive(opened.ours))
            opened.flush()
            self.assertEqual(self.successResultOf(receiving), data)
            for each in doing:
                self.successResultOf(each)

    def test_largeWrite(self) -> None:
        """
        However much is written at once, no record is longer than TLS permits,
        and none shorter than need be.
        """
        data = patterned(10 * MIB // 4)
        for opened in self.bothRoles():
            before = len(opened.ourTransport.everWritten)
            reading = opened.theirs.readExactly(len(data))
            opened.ours.write(data)
            opened.flush()
            self.assertEqual(self.successResultOf(reading), data)
            ends = recordEnds(bytes(opened.ourTransport.everWritten[before:]))
            sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
            self.assertLessEqual(max(sizes), 5 + (1 << 14) + 256)
            self.assertGreater(min(sizes), 1 << 14)
            self.assertEqual(len(sizes), len(data) >> 14)

    def test_writtenAtOnce(self) -> None:
        """
        What is written in the moment of the authentication is held back as well,
        as long as the transport is full.
        """
        for isServer in (False, True):
            pair = StreamPair(self.segment)
            stream, peer = (pair.server, pair.client) if isServer else (pair.client, pair.server)
            writing = stream.whenAuthenticated().addCallback(SslStream.write, bytes(MIB))
            reading = peer.whenAuthenticated().addCallback(SslStream.readExactly, MIB)
            pair.authenticate(self.version, flush=False)
            transport = pair.wire.server if isServer else pair.wire.client
            most = 0
            while pair.wire.step():
                most = max(most, len(transport.written))
            self.assertLess(most, 1 << 18)
            self.assertIsNone(self.successResultOf(writing))
            self.assertEqual(self.successResultOf(reading), bytes(MIB))


@perVersion(segments=(0,))
class CrowdTests(StreamMixin):
    """
    Tests for many connections at once.
    """

    def test_crowd(self) -> None:
        """
        25 clients and their servers send each other 1 MiB at once; each gets
        its own.
        """
        options = clientOptions(self.version), serverOptions(self.version)
        waiting: list[tuple[Deferred[Any], object]] = []
        pairs = [StreamPair() for _ in range(25)]
        for seed, pair in enumerate(pairs):
            waiting.append((pair.client.authenticateAsClient(options[0]), pair.client))
            waiting.append((pair.server.authenticateAsServer(options[1]), pair.server))
            data = patterned(MIB, seed), patterned(MIB, ~seed)
            ends = (pair.client, pair.server)
            for one, other, each in zip(ends, reversed(ends), data, strict=True):
                one.whenAuthenticated().addCallback(SslStream.write, each)
                reading = other.whenAuthenticated().addCallback(SslStream.readExactly, MIB)
                waiting.append((reading, each))
        while sum(pair.wire.step() for pair in pairs):
            pass
        for deferred, expected in waiting:
            self.assertEqual(self.successResultOf(deferred), expected)


@perVersion()
class RecordTests(StreamMixin):
    """
    Tests for what records bring to a stream.
    """

    def test_together(self) -> None:
        """
        However many records come in a segment, all of them are read.
        """
        for opened in self.bothRoles():
            before = len(opened.theirTransport.everWritten)
            lines = [b"%d\n" % number for number in range(20)]
            for line in lines:
                self.successResultOf(opened.theirs.write(line))
            sent = bytes(opened.theirTransport.everWritten[before:])
            self.assertEqual(len(recordEnds(sent)), len(lines))
            opened.flush()
            read = [self.successResultOf(opened.ours.readUntil(b"\n")) for _ in lines]
            self.assertEqual(read, lines)

    def test_defaultSize(self) -> None:
        """
        Without a size a read gets what is there, but no more than 64 KiB.
        """
        for opened in self.bothRoles():
            opened.pair.wire.segment = 0
            for size in (1, 1 << 16, (1 << 16) + 1):
                data = patterned(size)
                opened.theirs.write(data)
                opened.flush()
                self.assertEqual(self.successResultOf(opened.ours.read()), data[: 1 << 16])
                rest = opened.ours.readExactly(max(0, size - (1 << 16)))
                self.assertEqual(self.successResultOf(rest), data[1 << 16 :])

    def test_behindCloseNotify(self) -> None:
        """
        What the peer sends behind its C{close_notify} is nothing to the stream,
        on which we may still write.
        """
        for opened in self.bothRoles():
            self.successResultOf(opened.theirs.write(b"last words"))
            self.successResultOf(opened.theirs.shutdown())
            opened.theirTransport.write(GARBAGE)
            opened.flush()
            self.assertEqual(self.successResultOf(opened.ours.readExactly(10)), b"last words")
            for _ in range(2):
                self.assertEqual(self.successResultOf(opened.ours.read()), b"")
            self.successResultOf(opened.ours.write(b"answer"))
            opened.flush()
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"answer")

    def test_behindGarbage(self) -> None:
        """
        Once a connection is broken, it stays so: every call repeats the error,
        good records that follow are not read, and nothing more is sent.
        """
        for opened in self.bothRoles():
            opened.theirTransport.write(GARBAGE)
            self.successResultOf(opened.theirs.write(b"good"))
            reading = opened.ours.read()
            opened.flush()
            error = self.failure(reading, TlsError)
            sent = len(opened.ourTransport.everWritten)
            for later in (
                opened.ours.read(),
                opened.ours.readExactly(4),
                opened.ours.write(b"x"),
                opened.ours.flush(),
                opened.ours.shutdown(),
            ):
                self.assertIs(self.failure(later, TlsError), error)
            opened.ours.close()
            self.assertEqual(len(opened.ourTransport.everWritten), sent)


@perVersion()
class EndTests(StreamMixin):
    """
    Tests for ends of streams.
    """

    def test_table(self) -> None:
        """
        Whether a connection that ends without C{close_notify} has ended cleanly
        each side decides for itself; one that ends with it always has.
        """
        strict, tolerant = {"requireCloseNotify": True}, {"requireCloseNotify": False}
        outcomes: dict[tuple[bool, bool, bool], tuple[object, ...]] = {}
        for ours in (strict, tolerant):
            for theirs in (strict, tolerant):
                for isPolite in (True, False):
                    for opened in self.bothRoles(ours=ours, theirs=theirs):
                        readings = [opened.ours.read()]
                        if isPolite:
                            opened.theirs.close()
                        else:
                            readings.append(opened.theirs.read())
                            opened.theirTransport.loseConnection()
                        opened.flush()
                        for reading in readings:
                            reading.addErrback(lambda failure: type(failure.value))
                        results = tuple(map(self.successResultOf, readings))
                        key = (ours is strict, theirs is strict, isPolite)
                        self.assertEqual(outcomes.setdefault(key, results), results)
                        opened.ours.close()
        self.assertEqual(
            outcomes,
            {
                (True, True, True): (b"",),
                (True, False, True): (b"",),
                (False, True, True): (b"",),
                (False, False, True): (b"",),
                (True, True, False): (TruncationError, TruncationError),
                (True, False, False): (TruncationError, b""),
                (False, True, False): (b"", TruncationError),
                (False, False, False): (b"", b""),
            },
        )

    def test_closeNotifyOnce(self) -> None:
        """
        C{close_notify} is sent once, however often and in whichever ways a side
        is ended, and also if both do that at once.
        """
        ends = (SslStream.shutdown, SslStream.close)

        def endAll(first: Callable[[SslStream], Deferred[None]], stream: SslStream) -> None:
            for end in (first, *ends):
                # One that is closed cannot be shut down any more.
                end(stream).addErrback(lambda failure: failure.trap(StreamClosedError))

        for first in ends:
            for isAtOnce in (False, True):
                for opened in self.bothRoles():
                    transports = (opened.ourTransport, opened.theirTransport)
                    before = [len(each.everWritten) for each in transports]
                    endAll(first, opened.ours)
                    if not isAtOnce:
                        opened.flush()
                    endAll(first, opened.theirs)
                    opened.flush()
                    for size, transport in zip(before, transports, strict=True):
                        sent = bytes(transport.everWritten[size:])
                        self.assertEqual(len(recordEnds(sent)), 1)
                        self.assertFalse(transport.connected)

    def test_transportClosed(self) -> None:
        """
        A stream that is closed in good order has its transport closed and not
        aborted, and whoever had that before hears of the end once.
        """
        heard: list[object] = []
        self.patch(Bystander, "connectionLost", lambda _, reason: heard.append(reason))
        for opened in self.bothRoles():
            heard.clear()
            aborted = [
                noteCalls(transport, "abortConnection")
                for transport in (opened.ourTransport, opened.theirTransport)
            ]
            opened.ours.close()
            opened.flush()
            self.assertEqual(heard, [])
            opened.theirs.close()
            opened.flush()
            self.assertEqual(len(heard), 2)
            self.assertEqual(aborted, [[], []])

    def test_behindCancelled(self) -> None:
        """
        Behind a cancelled read, or a cancelled write that had been handed over,
        a stream is closed in good order.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            reading, writing = opened.ours.read(), opened.ours.write(bytes(1 << 16))
            for each in (reading, writing):
                each.cancel()
                self.failure(each, CancelledError)
            closing = opened.ours.close()
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            received = opened.theirs.readExactly(1 << 16)
            opened.flush()
            self.successResultOf(received)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)

    def test_garbageWhileClosing(self) -> None:
        """
        Bytes that are no TLS, behind our C{close_notify}, do not keep a stream
        from closing.
        """
        for opened in self.bothRoles():
            with capturedLogs() as logged:
                closing = opened.ours.close()
                opened.theirTransport.write(GARBAGE)
                opened.flush()
                self.successResultOf(closing)
            self.assertEqual(logged, [])
            self.failure(opened.ours.read(), StreamClosedError)


@perVersion(segments=(0, 1000))
class PausedEndTests(StreamMixin):
    """
    Tests for ends that come when too much is unread.
    """

    def test_pausedEnd(self) -> None:
        """
        What was not read when the peer ended the connection can all be read, be
        it as much as holds the peer back; then comes the end, clean or not.
        """
        data = patterned(2 * Reader.HIGH_WATER)
        for isPolite in (False, True):
            for opened in self.bothRoles():
                opened.theirs.write(data).addErrback(lambda _: None)
                opened.flush()
                self.assertTrue(opened.ourTransport.isPaused)
                if isPolite:
                    opened.theirs.close()
                else:
                    opened.theirTransport.loseConnection()
                opened.flush()
                received = b""
                while len(received) < len(data):
                    received += self.successResultOf(opened.ours.read(10_000))
                    opened.flush()
                self.assertEqual(received, data)
                if isPolite:
                    self.assertEqual(self.successResultOf(opened.ours.read()), b"")
                    opened.ours.close()
                else:
                    self.failure(opened.ours.read(), TruncationError)


@implementer(IPushProducer, IPullProducer)
class Producer:
    """
    One that does nothing by itself.

    @ivar calls: what it was told, in order.
    """

    def __init__(self, resumed: Callable[[], object] = bool) -> None:
        """
        @param resumed: what to do when it is told to produce.
        """
        self.calls: list[str] = []
        self._resumed = resumed

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self._resumed()

    def stopProducing(self) -> None:
        self.calls.append("stop")


@perVersion(segments=(0, 1000))
class ProducerTests(ProtocolMixin):
    """
    Tests for producers of applications.
    """

    def test_crossings(self) -> None:
        """
        A producer is paused once each time that the inner transport becomes
        full, however much is written then, and resumed once when that has room.
        """
        for link in self.opened():
            producer = Producer()
            link.near.tls.registerProducer(producer, True)
            for times in range(3):
                link.far.inner.isPaused = True
                for _ in range(4):
                    link.near.tls.write(bytes(50_000))
                link.wire.flush()
                self.assertEqual(producer.calls, ["pause", "resume"] * times + ["pause"])
                link.far.inner.isPaused = False
                link.wire.flush()
                self.assertEqual(producer.calls, ["pause", "resume"] * (times + 1))
            self.assertEqual(len(link.far.application.received), 3 * 4 * 50_000)

    def test_handshake(self) -> None:
        """
        What is written before the handshake is over cannot be sent: a producer
        is paused, once, until it is over, and the inner transport's being full
        then does not count as a second time.
        """
        for size in (1000, 50_000):
            for link in self.links():
                producer = Producer()
                link.near.tls.registerProducer(producer, True)
                self.assertEqual(producer.calls, [])
                for _ in range(4):
                    link.near.tls.write(bytes(size))
                link.clock.advance(0)
                self.assertEqual(producer.calls, ["pause"])
                link.wire.flush()
                self.assertEqual(producer.calls, ["pause", "resume"])
                self.assertEqual(len(link.far.application.received), 4 * size)

    def pulled(
        self, resumed: Callable[[], object] = bool, **arguments: Any
    ) -> Iterator[tuple[Link, Producer]]:
        """
        For each role one with a pull producer.
        """
        for link in self.opened(**arguments):
            # One at a time, and not at once: it would never come to an end.
            cooperator = Cooperator(
                terminationPredicateFactory=lambda: lambda: True,
                scheduler=partial(link.clock.callLater, 1),
            )
            self.patch(_producer_helpers, "cooperate", cooperator.cooperate)
            producer = Producer(resumed)
            link.near.tls.registerProducer(producer, False)
            yield link, producer

    def test_pausedPull(self) -> None:
        """
        A pull producer is asked for more again and again, but not while the
        inner transport is full.
        """
        for link, producer in self.pulled():
            link.clock.pump([1] * 5)
            self.assertEqual(producer.calls, ["resume"] * 5)
            link.far.inner.isPaused = True
            link.near.tls.write(bytes(100_000))
            link.clock.pump([1] * 5)
            self.assertEqual(producer.calls, ["resume"] * 5)
            link.far.inner.isPaused = False
            link.wire.flush()
            link.clock.pump([1] * 5)
            self.assertEqual(producer.calls, ["resume"] * 10)
            link.near.tls.unregisterProducer()
            link.clock.pump([1] * 5)
            self.assertEqual(producer.calls, ["resume"] * 10)

    def test_stoppedPull(self) -> None:
        """
        It is stopped once when the connection is lost, and asked no more.
        """
        for link, producer in self.pulled():
            link.clock.pump([1])
            link.wire.cut()
            link.clock.pump([1] * 5)
            self.assertEqual(producer.calls, ["resume", "stop"])

    def test_raisingPull(self) -> None:
        """
        One that raises is logged and asked no more; the connection goes on.
        """

        def raising() -> None:
            raise ZeroDivisionError

        for link, producer in self.pulled(raising):
            link.clock.pump([1] * 5)
            self.assertEqual(producer.calls, ["resume"])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertIsNone(link.near.inner.producer)
            link.near.tls.write(b"still here")
            link.near.tls.loseConnection()
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"still here")
            self.assertLost(link.near, ConnectionDone)


@perVersion()
class ApplicationTests(ProtocolMixin):
    """
    Tests for applications over TLS.
    """

    def test_refusedByApplication(self) -> None:
        """
        An application that gives the connection up as it is connected has told
        the peer nothing, be it written before: not a byte more leaves than
        without that.
        """
        for event in ("made", "handshake"):
            for isServer in (False, True):
                sent = set()
                for data in (b"", b"secret" * 100):
                    link = self.link(
                        isServer,
                        near=Application(**{event: lambda each: each.transport.abortConnection()}),
                        server={"serverCertificate": STEADY_SERVER},
                    )
                    link.near.tls.write(data)
                    link.wire.flush()
                    self.assertLost(link.near, ConnectionAborted)
                    self.assertEqual(link.far.application.received, b"")
                    sent.add(len(link.near.inner.everWritten))
                    self.assertNothingLeft(link)
                self.assertEqual(len(sent), 1)

    def test_sequence(self) -> None:
        """
        A sequence of pieces of all kinds arrives as one.
        """
        for link in self.opened():
            link.near.tls.writeSequence([b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3], b""])
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"abcdef")

    def test_smallWrites(self) -> None:
        """
        What is written in many little pieces leaves in one record, in the next
        turn of the reactor or when it is flushed.
        """
        for isFlushed in (False, True):
            for link in self.opened():
                before = len(link.near.inner.everWritten)
                for number in range(500):
                    link.near.tls.write(b"%d" % (number % 10))
                self.assertEqual(len(link.near.inner.everWritten), before)
                if isFlushed:
                    link.near.tls.flush()
                else:
                    link.clock.advance(0)
                sent = bytes(link.near.inner.everWritten[before:])
                self.assertEqual(len(recordEnds(sent)), 1)
                link.wire.flush()
                self.assertEqual(link.far.application.received, b"0123456789" * 50)
                self.assertEqual(len(link.near.inner.everWritten), before + len(sent))

    def test_pausedReading(self) -> None:
        """
        An application that pauses its transport, also while something is
        delivered, gets nothing more until it resumes that, and then all, in a
        call of its own.
        """

        def pause(application: Any) -> None:
            application.transport.pauseProducing()

        for link in self.opened(near=lambda: Application(data=pause)):
            far, near = link.far.tls, link.near
            expected = b""
            for data in (b"1", b"2", b"3"):
                far.write(data)
                far.flush()
                link.wire.flush()
                self.assertEqual(near.application.received, expected + data[:1])
                far.write(b"more")
                far.flush()
                link.wire.flush()
                self.assertEqual(near.application.received, expected + data)
                near.tls.resumeProducing()
                self.assertEqual(near.application.received, expected + data)
                link.wire.flush()
                expected += data + b"more"
                self.assertEqual(near.application.received, expected)
                near.tls.resumeProducing()

    def test_pausedAtOnce(self) -> None:
        """
        An application that pauses its transport as it is connected loses
        nothing of what has come by then.
        """
        for link in self.opened(
            near=lambda: Application(made=lambda each: each.transport.pauseProducing()),
            far=lambda: Application(made=lambda each: each.transport.write(b"early")),
        ):
            link.near.tls.resumeProducing()
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"early")

    def test_writtenTooLate(self) -> None:
        """
        What is written when the connection is lost is dropped, without a word,
        and not kept.
        """
        for link in self.opened():
            link.wire.cut()
            sent = len(link.near.inner.everWritten)
            with capturedLogs() as logged:
                for _ in range(20):
                    link.near.tls.write(bytes(100_000))
                    link.near.tls.writeSequence([b"late"])
            self.assertEqual(link.clock.getDelayedCalls(), [])
            self.assertEqual(link.near.tls._appSendBuffer, [])
            self.assertEqual(len(link.near.inner.everWritten), sent)
            self.assertEqual(logged, [])
            self.assertEqual(self.flushWarnings(), [])

    def test_otherApplication(self) -> None:
        """
        An application may leave its connection to another one, which gets what
        follows, and hears of the end alone.
        """
        for link in self.opened():
            successor = Application()

            def leave(application: Any, successor: Application = successor) -> None:
                application.transport.wrappedProtocol = successor
                successor.makeConnection(application.transport)

            link.near.application.reactions["data"] = leave
            for data in (b"1", b"2"):
                link.far.tls.write(data)
                link.wire.flush()
            successor.transport.write(b"3")
            successor.transport.loseConnection()
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"1")
            self.assertNotIn("lost", link.near.application.events)
            self.assertEqual(successor.events, ["made", "data", "lost"])
            self.assertEqual(successor.received, b"2")
            self.assertIs(successor.transport, link.near.tls)
            self.assertEqual(link.far.application.received, b"3")
            self.assertIs(type(successor.reason), ConnectionDone)

    def test_toldWhenGone(self) -> None:
        """
        However a connection ends, its application hears of that once, when the
        inner transport is gone.
        """
        ends: tuple[Callable[[Link], object], ...] = (
            lambda link: link.near.tls.loseConnection(),
            lambda link: link.far.tls.loseConnection(),
            lambda link: link.near.tls.abortConnection(),
            lambda link: link.far.tls.abortConnection(),
            lambda link: link.near.tls.dataReceived(GARBAGE),
            lambda link: link.far.tls.dataReceived(GARBAGE),
            lambda link: link.wire.cut(),
        )
        for end in ends:
            connected: list[bool] = []
            for link in self.opened():
                link.near.application.reactions["lost"] = (
                    lambda _, inner=link.near.inner, connected=connected: connected.append(
                        inner.connected
                    )
                )
                end(link)
                if link.near.inner.connected:
                    self.assertNotIn("lost", link.near.application.events)
                link.wire.flush()
                self.assertEqual(link.near.application.events.count("lost"), 1)
            self.assertEqual(connected, [False, False])

    def test_garbageWhileClosing(self) -> None:
        """
        Bytes that are no TLS, behind our C{close_notify}, are the reason that an
        application hears of, once.
        """
        for link in self.opened():
            link.near.tls.loseConnection()
            link.near.tls.dataReceived(GARBAGE)
            link.near.tls.dataReceived(GARBAGE)
            link.wire.flush()
            # Nothing can be sent behind close_notify, not even an alert.
            self.assertIsNone(self.assertLost(link.near, TlsError).alertSent)


@perVersion(segments=(0, 10_000))
class BacklogTests(ProtocolMixin):
    """
    Tests for ends that come while much is under way.
    """

    def test_backlog(self) -> None:
        """
        A peer that ends its side still gets everything that was written before.
        """
        data = patterned(MIB)
        for link in self.opened():
            link.far.inner.isPaused = True
            link.near.tls.write(data)
            link.far.tls.loseWriteConnection()
            link.wire.flush()
            self.assertTrue(link.near.inner.connected)
            link.far.inner.isPaused = False
            link.wire.flush()
            self.assertEqual(link.far.application.received, data)
            self.assertLost(link.far, ConnectionDone)
            self.assertLost(link.near, ConnectionDone)

    def test_lastAnswer(self) -> None:
        """
        An application may still answer what comes together with the peer's end.
        """
        for link in self.opened(
            near=lambda: Application(data=lambda each: each.transport.write(b"answer"))
        ):
            link.far.tls.write(b"question")
            link.far.tls.loseWriteConnection()
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"question")
            self.assertEqual(link.far.application.received, b"answer")
            self.assertLost(link.far, ConnectionDone)


@perVersion(segments=(0,))
class LeakTests(LeakMixin):
    """
    Tests for what is left of streams that nobody looks after.
    """

    def test_silentPeer(self) -> None:
        """
        Nothing is left of a stream that is closed and forgotten, once the peer
        has been waited for in vain: not by the timer, either.
        """
        for isServer in (False, True):

            def scenario(
                pair: StreamPair, authenticate: Callable[..., Any], isServer: bool = isServer
            ) -> None:
                authenticate()
                (pair.server if isServer else pair.client).close()
                pair.wire.flush()
                self.assertNotEqual(pair.clock.getDelayedCalls(), [])
                pair.clock.advance(5)

            self.assertNothingSurvives(scenario)

    def test_dropped(self) -> None:
        """
        An open stream that nobody has any more goes on, for its transport has
        it, and nobody is warned; when the peer ends the connection nothing is
        left of it.
        """
        withoutCollector(self)
        for isServer in (False, True):
            pair = StreamPair()
            pair.authenticate(self.version)
            stream, peer = (pair.server, pair.client) if isServer else (pair.client, pair.server)
            dropped = weakref.ref(stream)
            wire, clock = pair.wire, pair.clock
            del stream, pair
            self.successResultOf(peer.write(b"is anybody there?"))
            wire.flush()
            clock.advance(1000)
            self.assertIsNotNone(dropped())
            self.assertTrue(wire.client.connected)
            peer.close()
            wire.flush()
            clock.advance(5)
            wire.flush()
            self.successResultOf(peer.whenClosed())
            self.assertIsNone(dropped())
            self.assertEqual(self.flushWarnings(), [])


@perVersion(segments=(0,))
class ApplicationLeakTests(ProtocolMixin):
    """
    Tests for what is left of applications and their protocols.
    """

    def test_nothingLeft(self) -> None:
        """
        However a connection of an application's has ended, and whenever, nothing
        is left of it, without the help of the garbage collector; not in the log
        either, where nobody else has asked.
        """
        ends: tuple[Callable[[Any, Wire], object], ...] = (
            lambda tls, _: tls.loseConnection(),
            lambda tls, _: tls.abortConnection(),
            lambda tls, _: tls.dataReceived(GARBAGE),
            lambda _, wire: wire.cut(),
        )

        def live(end: Callable[[Any, Wire], object], isAuthenticated: bool, isServer: bool) -> None:
            wire = Wire()
            client, server = (
                SslStreamFactory(
                    options, isClient, Factory.forProtocol(Application), wire.clock
                ).buildProtocol(None)
                for options, isClient in (
                    (clientOptions(self.version), True),
                    (serverOptions(self.version), False),
                )
            )
            wire.connect(client, server)
            for tls in (client, server):
                assert tls is not None
                for each in (tls, tls.wrappedProtocol, tls.transport, tls.getHandle()):
                    references.append(weakref.ref(each))
            del tls, each
            if isAuthenticated:
                wire.flush()
            end(server if isServer else client, wire)
            wire.flush()
            for transport in (wire.client, wire.server):
                self.assertFalse(transport.connected)
                # As those of a reactor do when they are lost.
                transport.protocol = None

        withoutCollector(self)
        for end in ends:
            for isAuthenticated in (False, True):
                for isServer in (False, True):
                    references: list[weakref.ref[Any]] = []
                    with capturedLogs() as logged:
                        live(end, isAuthenticated, isServer)
                    self.assertEqual(bool(logged), not isAuthenticated)
                    self.assertEqual([each() for each in references], [None] * 8)

    def test_callbacks(self) -> None:
        """
        Nothing is left where a callback has raised, at once or by a Deferred, or
        has chosen nothing, whichever callback, whatever was asked before, and be
        it for somebody who has given up meanwhile.
        """

        def raises(*_: object) -> object:
            raise ZeroDivisionError("a mistake")

        def answers(answer: object, givesUp: bool, isLater: bool) -> Callable[..., Any]:
            def select(tls: Any, *_: object) -> Any:
                if givesUp:
                    tls.cancelAuthentication()
                failing: Any = raises if answer is None else lambda: None
                return maybeDeferred(failing) if isLater else failing()

            return select

        def live(choice: Callable[..., Any], which: str) -> list[weakref.ref[Any]]:
            wire = Wire()
            client: Any = clientOptions(self.version)
            server: Any = serverOptions(self.version)
            if which == "server's":
                server = serverOptions(self.version, serverCertificateSelectionCallback=choice)
            elif which == "server's, behind options":
                chosen = serverOptions(self.version, serverCertificateSelectionCallback=choice)
                server = ServerOptionsSelection(lambda *_: succeed(chosen))
            else:
                client = clientOptions(self.version, localCertificateSelectionCallback=choice)
            both = [
                SslStreamFactory(
                    options, isClient, Factory.forProtocol(Application), wire.clock
                ).buildProtocol(None)
                for options, isClient in ((client, True), (server, False))
            ]
            wire.connect(*both)
            wire.flush()
            wire.advance(30)
            wire.cut()
            for transport in (wire.client, wire.server):
                transport.protocol = None
            return [weakref.ref(each) for each in both]

        withoutCollector(self)
        for which in ("client's", "server's", "server's, behind options"):
            for answer in (None, "nothing"):
                for givesUp in (False, True):
                    for isLater in (False, True):
                        references = live(answers(answer, givesUp, isLater), which)
                        what = (which, answer, givesUp, isLater)
                        self.assertEqual([each() for each in references], [None] * 2, what)


class UnreachableTests(SynchronousTestCase):
    """
    Tests for endpoints that have nobody to talk to.
    """

    def test_nothingLeft(self) -> None:
        """
        Nothing is left of a connecting that fails or is given up.
        """

        @implementer(IStreamClientEndpoint)
        class Endpoint:
            connecting: Deferred[Any]

            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                references.append(weakref.ref(protocolFactory))
                return self.connecting

        def live(end: Callable[[Any], object], isStream: bool) -> None:
            wrapped = Endpoint()
            wrapped.connecting = Deferred()
            endpoint = SslStreamClientEndpoint(wrapped, clientOptions(), Clock())
            connecting: Deferred[Any]
            if isStream:
                connecting = endpoint.connectStream()
            else:
                factory = Factory.forProtocol(Application)
                references.append(weakref.ref(factory))
                connecting = endpoint.connect(factory)
            end(wrapped.connecting if end is not Deferred.cancel else connecting)
            self.failureResultOf(connecting, ConnectError, CancelledError)

        def refuse(connecting: Deferred[Any]) -> None:
            connecting.errback(ConnectError())

        references: list[weakref.ref[Any]] = []
        withoutCollector(self)
        for end in (refuse, Deferred.cancel):
            for isStream in (False, True):
                live(end, isStream)
        self.assertEqual(len(references), 6)
        self.assertEqual([each() for each in references], [None] * 6)


@perVersion(segments=(0,))
class SegmentTests(StreamMixin):
    """
    Tests for bytes that arrive anyhow.
    """

    async def ask(self, stream: SslStream, authenticated: Deferred[Any], seen: list[Any]) -> None:
        """
        A client's part of a conversation.
        """
        await authenticated
        seen.append(stream.security.asdict()["negotiatedApplicationProtocol"])
        await stream.write(b"HELLO\r")
        await stream.write(b"\n")
        seen.append(await stream.readUntil(b"\r\n"))
        await stream.write(patterned(2000))
        await stream.write(b"")
        await stream.shutdown()
        seen.append(await stream.readExactly(3000))
        seen.append([data async for data in stream])
        await stream.close()

    def conversation(self, pair: StreamPair) -> tuple[list[Any], list[Any]]:
        """
        @return: what both sides have seen.
        """
        h2 = {"applicationProtocols": ["h2"]}
        both = pair.authenticate(
            self.version,
            {"clientCertificates": [CLIENT], **h2},
            {"clientCertificateRequired": True, **h2},
            flush=False,
        )
        seen: tuple[list[Any], list[Any]] = ([], [])
        talks = [
            Deferred.fromCoroutine(self.ask(pair.client, both[0], seen[0])),
            Deferred.fromCoroutine(leaving.answer(pair.server, both[1], seen[1])),
        ]
        pair.wire.flush()
        for talk in talks:
            self.successResultOf(talk)
        self.assertNothingLeft(pair)
        self.assertFalse(pair.wire.client.connected)
        return seen

    def test_anySegments(self) -> None:
        """
        However bytes are cut on their way, in either direction, a conversation
        goes as it does when they come whole.
        """
        whole = self.conversation(StreamPair())
        self.assertEqual(len(whole[0]), 4)
        self.assertEqual(len(whole[1]), 3)
        self.assertEqual(self.conversation(StreamPair(1)), whole)
        for seed in range(10):
            pair = StreamPair(randomSegments(seed))
            self.assertEqual(self.conversation(pair), whole, seed)

    def test_silentLog(self) -> None:
        """
        Nothing at all is logged of a conversation in which nothing goes wrong.
        """
        with capturedLogs() as logged:
            self.conversation(StreamPair())
        self.assertEqual(logged, [])


@perVersion(segments=(0,))
class NoiseTests(StreamMixin):
    """
    Tests for peers that send anything.
    """

    def flight(self, isServer: bool) -> bytes:
        """
        @return: what a peer says first.
        """
        pair = StreamPair()
        both = pair.authenticate(self.version, flush=False)
        if not isServer:
            pair.wire.client.isPaused = True
            pair.wire.flush()
        transport = pair.wire.client if isServer else pair.wire.server
        said = bytes(transport.everWritten)
        pair.wire.cut()
        for authenticated in both:
            self.failure(authenticated, HandshakeInterrupted)
        return said

    def noise(self, random: Random, said: bytes) -> bytes:
        """
        @return: something, or something that looks like what was said.
        """
        size = random.choice((1, 5, 50, 500, 5000))
        content = random.randbytes(size)
        record = bytes((random.choice((20, 21, 22, 23, 24)), 3, random.randrange(5)))
        damaged = bytearray(said)
        for _ in range(random.randrange(1, 5)):
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        kinds = (
            content,
            record + size.to_bytes(2, "big") + content,
            bytes(damaged),
            said[: random.randrange(len(said))] + content,
            said + content,
        )
        return random.choice(kinds)

    def test_noise(self) -> None:
        """
        Whatever is sent to a client or a server in place of a handshake, that
        fails as is documented, in bounded time, and nothing is logged or left;
        whoever comes later with the same options is served.
        """
        for isServer in (False, True):
            said = self.flight(isServer)
            outcomes = set()
            for seed in range(100):
                random = Random(seed)
                wire = Wire(random.choice((0, 1, 100)))
                wire.connect(Bystander(), Bystander())
                ours, theirs = (
                    (wire.server, wire.client) if isServer else (wire.client, wire.server)
                )
                stream = SslStream(ours, clock=wire.clock)
                with capturedLogs() as logged:
                    authenticated = (
                        stream.authenticateAsServer(serverOptions(self.version))
                        if isServer
                        else stream.authenticateAsClient(clientOptions(self.version))
                    )
                    theirs.write(self.noise(random, said))
                    wire.flush()
                    wire.clock.advance(30)
                    wire.flush()
                    error = self.failureResultOf(authenticated, AuthenticationError).value
                self.assertEqual(logged, [], seed)
                self.assertFalse(ours.connected, seed)
                self.assertEqual(wire.clock.getDelayedCalls(), [], seed)
                self.successResultOf(stream.whenClosed())
                outcomes.add(type(error).__name__)
            self.assertEqual(outcomes, {"AuthenticationError", "HandshakeTimeout"})
        pair = StreamPair()
        for authenticated in pair.authenticate(self.version):
            self.successResultOf(authenticated)
