"""
Tests for L{txsslstream._unwrapping}: streams that give their transport back for
more than TLS.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, TimeoutError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.garbage import withoutCollector
from txsslstream import (
    AuthenticationError,
    InvalidOperationError,
    ShutdownTimeout,
    SslStream,
    StreamClosedError,
    TlsError,
    TruncationError,
)
from txsslstream._inner import InnerStream
from txsslstream._sides import Reader
from txsslstream._unwrapping import Unwrapping
from txsslstream.testing import StreamPair, perVersion

from .streams import Opened, StreamMixin
from .support import clientOptions, serverOptions

#: More than a stream keeps unread.
MUCH = bytes(Reader.HIGH_WATER + 1)


class UnwrappingTests(SynchronousTestCase):
    """
    Tests for L{Unwrapping}.
    """

    def setUp(self) -> None:
        """
        One that there is something to do for.
        """
        self.clock = Clock()
        self.remaining = 10
        self.givenUp: list[float] = []

    def unwrapping(self, seconds: float | None = 5) -> Unwrapping:
        """
        Begin.
        """
        return Unwrapping(
            self.clock,
            seconds,
            lambda: self.remaining,
            lambda: self.givenUp.append(self.clock.seconds()),
        )

    def test_success(self) -> None:
        """
        Everybody who has asked gets the outcome, and no timer is left.
        """
        unwrapping = self.unwrapping()
        early = unwrapping.when()
        self.assertNoResult(early)
        unwrapping.succeeded(self, b"trailing")
        for waiting in (early, unwrapping.when()):
            self.assertEqual(self.successResultOf(waiting), (self, b"trailing"))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.givenUp, [])

    def test_failure(self) -> None:
        """
        Everybody gets the error, without the frames that it was raised through.
        """
        unwrapping = self.unwrapping()
        early = unwrapping.when()
        try:
            raise TruncationError("the end")
        except TruncationError as e:
            error = e
        unwrapping.failed(error)
        self.assertIs(self.failureResultOf(early).value, error)
        self.assertIsNone(error.__traceback__)
        self.assertIs(self.failureResultOf(unwrapping.when()).value, error)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timeout(self) -> None:
        """
        After so many seconds without progress it gives up, then fails, with a
        time-out that names the limit.
        """
        unwrapping = self.unwrapping(3)
        waiting = unwrapping.when()
        self.clock.advance(2)
        self.remaining = 9
        self.clock.pump([1, 2.9])
        self.assertNoResult(waiting)
        waiting.addErrback(lambda failure: (failure.value, list(self.givenUp)))
        self.clock.advance(0.1)
        error, givenUp = self.successResultOf(waiting)
        self.assertIs(type(error), ShutdownTimeout)
        self.assertIsInstance(error, TimeoutError)
        self.assertEqual(str(error), "the peer has not ended its side within 3 s")
        self.assertEqual(givenUp, [6])
        unwrapping.succeeded(self, b"")
        self.failureResultOf(unwrapping.when(), ShutdownTimeout)

    def test_endless(self) -> None:
        """
        It may wait for ever.
        """
        self.unwrapping(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class UnwrapMixin(StreamMixin):
    """
    For tests of streams that are to leave their transport open.
    """

    def pairs(self, **options: Any) -> Iterator[Opened]:
        """
        One for each role.
        """
        return self.bothRoles(leaveInnerStreamOpen=True, **options)

    def assertUnwrapped(
        self, opened: Opened, unwrapping: Deferred[tuple[Any, bytes]], trailing: bytes = b""
    ) -> None:
        """
        Our transport is the former protocol's again, which got nothing of it.
        """
        transport, rest = self.successResultOf(unwrapping)
        self.assertIs(transport, opened.ourTransport)
        self.assertEqual(rest, trailing)
        self.assertIs(opened.ourTransport.protocol, opened.ourOriginal)
        self.assertTrue(opened.ourTransport.connected)
        self.assertFalse(opened.ourTransport.isPaused)
        self.assertIsNone(opened.ourTransport.producer)
        self.assertIsNone(opened.ourOriginal.lost)
        self.assertEqual(opened.ourOriginal.received, b"")
        self.successResultOf(opened.ours.whenClosed())

    def assertAborted(self, opened: Opened) -> None:
        """
        Our transport is lost, and its former protocol knows.
        """
        opened.flush()
        self.assertFalse(opened.ourTransport.connected)
        self.assertIsNotNone(opened.ourOriginal.lost)
        self.successResultOf(opened.ours.whenClosed())


@perVersion()
class UnwrapTests(UnwrapMixin):
    """
    Tests for L{SslStream.unwrap}.
    """

    def test_simultaneous(self) -> None:
        """
        When both sides unwrap at once both have their transports back, and the
        conversation goes on in the clear.
        """
        for opened in self.pairs():
            both = opened.ours.unwrap(), opened.theirs.unwrap()
            opened.flush()
            for side, unwrapping in zip((opened, opened.reversed()), both, strict=True):
                self.assertUnwrapped(side, unwrapping)
            self.assertEqual(opened.pair.clock.getDelayedCalls(), [])
            for side in (opened, opened.reversed()):
                side.ourTransport.write(b"in the clear")
                self.assertEqual(side.ourTransport.written, b"in the clear")
                opened.flush()
                self.assertEqual(side.theirOriginal.received, b"in the clear")

    def test_oneAfterTheOther(self) -> None:
        """
        The other side reads the end, and unwraps then.
        """
        for opened in self.pairs():
            reading = opened.theirs.read()
            unwrapping = opened.ours.unwrap()
            opened.flush()
            self.assertEqual(self.successResultOf(reading), b"")
            self.assertNoResult(unwrapping)
            other = opened.theirs.unwrap()
            self.assertNoResult(other)
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)
            self.assertUnwrapped(opened.reversed(), other)

    def test_closedByPeer(self) -> None:
        """
        It does not matter how the other side ends the stream.
        """
        for end in (SslStream.close, SslStream.shutdown):
            for opened in self.pairs():
                unwrapping = opened.ours.unwrap()
                end(opened.theirs)
                opened.flush()
                self.assertUnwrapped(opened, unwrapping)

    def test_trailing(self) -> None:
        """
        What the peer sends behind its C{close_notify} is returned, whether it
        was there before or comes while we unwrap; what comes later goes to the
        former protocol.
        """
        for isBefore in (False, True):
            for opened in self.pairs():
                unwrapping = None if isBefore else opened.ours.unwrap()
                opened.theirs.shutdown()
                opened.theirTransport.write(b"trailing")
                if unwrapping is None:
                    opened.flush()
                    unwrapping = opened.ours.unwrap()
                if isBefore:
                    # In another turn, before the transport is given back.
                    opened.ourTransport.protocol.dataReceived(b", more")
                opened.flush()
                rest = self.successResultOf(unwrapping)[1]
                self.assertEqual(
                    rest + opened.ourOriginal.received,
                    b"trailing, more" if isBefore else b"trailing",
                )
                if isBefore or not self.segment:
                    self.assertEqual(opened.ourOriginal.received, b"")
                before = opened.ourOriginal.received
                opened.theirs.close()
                opened.flush()
                opened.theirTransport.write(b"later")
                opened.flush()
                self.assertEqual(opened.ourOriginal.received, before + b"later")

    def test_unread(self) -> None:
        """
        What came before the peer's C{close_notify} and was not read can be read
        before, during and after it, and then the end; it is never taken for
        what is in the clear.
        """
        for opened in self.pairs():
            opened.theirs.write(b"before")
            opened.flush()
            unwrapping = opened.ours.unwrap()
            opened.flush()
            opened.theirs.write(b" and after our close_notify")
            opened.flush()
            self.assertEqual(self.successResultOf(opened.ours.readExactly(6)), b"before")
            other = opened.theirs.unwrap()
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)
            self.assertUnwrapped(opened.reversed(), other)
            self.assertEqual(
                self.successResultOf(opened.ours.read()), b" and after our close_notify"
            )
            for _ in range(2):
                self.assertEqual(self.successResultOf(opened.ours.read()), b"")

    def test_pendingRead(self) -> None:
        """
        A read that waits reads the end.
        """
        for opened in self.pairs():
            reading = opened.ours.read()
            both = opened.ours.unwrap(), opened.theirs.unwrap()
            opened.flush()
            self.assertEqual(self.successResultOf(reading), b"")
            self.assertUnwrapped(opened, both[0])

    def unwrap(self, read: bytes, stream: SslStream) -> Deferred[tuple[Any, bytes]]:
        """
        Unwrap at the end.
        """
        self.assertEqual(read, b"")
        return stream.unwrap()

    def test_unwrapInRead(self) -> None:
        """
        One may unwrap as soon as one reads the end, before that call returns.
        """
        for opened in self.pairs():
            unwrapping: Deferred[Any] = opened.ours.read()
            unwrapping.addCallback(self.unwrap, opened.ours)
            other = opened.theirs.unwrap()
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)
            self.assertUnwrapped(opened.reversed(), other)

    def test_pendingWrite(self) -> None:
        """
        What is being written arrives before the end, and nothing can be written
        any more.
        """
        data = bytes(1 << 17)
        for opened in self.pairs():
            opened.pair.wire.segment = 0
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(data)
            self.assertNoResult(writing)
            unwrapping = opened.ours.unwrap()
            opened.theirTransport.isPaused = False
            reading = opened.theirs.readExactly(len(data))
            opened.flush()
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(reading), data)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            opened.theirs.unwrap()
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)

    def test_afterShutdown(self) -> None:
        """
        A stream that both sides have shut down keeps its transport until it is
        unwrapped or closed; what comes meanwhile is returned by the one, and
        goes to the former protocol with the other.
        """
        for isUnwrapped in (False, True):
            for opened in self.pairs():
                opened.ours.shutdown()
                opened.theirs.shutdown()
                opened.theirTransport.write(b"trailing")
                opened.flush()
                opened.pair.clock.advance(60)
                self.assertNoResult(opened.ours.whenClosed())
                self.assertEqual(opened.ourOriginal.received, b"")
                self.assertEqual(self.successResultOf(opened.ours.read()), b"")
                if isUnwrapped:
                    unwrapping = opened.ours.unwrap()
                    opened.flush()
                    self.assertUnwrapped(opened, unwrapping, b"trailing")
                else:
                    closing = opened.ours.close()
                    opened.flush()
                    self.successResultOf(closing)
                    self.assertIs(opened.ourTransport.protocol, opened.ourOriginal)
                    self.assertEqual(opened.ourOriginal.received, b"trailing")
                    self.failure(opened.ours.unwrap(), StreamClosedError)
                self.assertEqual(opened.pair.clock.getDelayedCalls(), [])

    def test_twice(self) -> None:
        """
        Whoever unwraps again, before or after the end, gets the same outcome.
        """
        for opened in self.pairs():
            several = [opened.ours.unwrap() for _ in range(2)]
            opened.theirs.unwrap()
            opened.flush()
            several.append(opened.ours.unwrap())
            for unwrapping in several:
                self.assertUnwrapped(opened, unwrapping)

    def test_cancelled(self) -> None:
        """
        Cancelled, only the waiting ends: the transport is given back, and
        whoever asks again gets it with what is left over.
        """
        for opened in self.pairs():
            unwrapping = opened.ours.unwrap()
            unwrapping.cancel()
            self.failure(unwrapping, CancelledError)
            opened.theirs.shutdown()
            opened.pair.wire.segment = 0
            opened.theirTransport.write(b"trailing")
            opened.flush()
            self.assertUnwrapped(opened, opened.ours.unwrap(), b"trailing")

    def test_afterwards(self) -> None:
        """
        An unwrapped stream takes nothing to write, and has nothing to close.
        """
        for opened in self.pairs():
            opened.theirs.write(b"message")
            both = opened.ours.unwrap(), opened.theirs.unwrap()
            opened.flush()
            stream = opened.ours
            self.failure(stream.write(b"x"), InvalidOperationError)
            self.assertRaises(InvalidOperationError, SslStream, stream)
            for deferred in (stream.shutdown(), stream.flush(), stream.close()):
                self.successResultOf(deferred)
            self.failure(stream.read(), StreamClosedError)
            stream.abort()
            opened.flush()
            self.assertUnwrapped(opened, both[0])

    def test_again(self) -> None:
        """
        The transport can have another stream at once, which gets what the peer
        has sent for that right behind its C{close_notify}.
        """
        for opened in self.pairs():
            client, server = opened.ours, opened.theirs
            if client.isServer:
                client, server = server, client

            def anew(result: tuple[Any, bytes], clock: Clock = opened.pair.clock) -> SslStream:
                transport, trailing = result
                return SslStream(transport, received=trailing, clock=clock)

            server.shutdown()
            opened.flush()
            connecting: Deferred[SslStream] = client.unwrap().addCallback(anew)
            connecting.addCallback(
                lambda stream: stream.authenticateAsClient(clientOptions(self.version))
            )
            opened.flush()
            accepting: Deferred[SslStream] = server.unwrap().addCallback(anew)
            accepting.addCallback(
                lambda stream: stream.authenticateAsServer(serverOptions(self.version))
            )
            opened.flush()
            second: Any = [self.successResultOf(each) for each in (connecting, accepting)]
            self.assertIsNot(second[0], client)
            self.assertUsable(opened._replace(ours=second[0], theirs=second[1]))


@perVersion()
class FailureTests(UnwrapMixin):
    """
    Tests for L{SslStream.unwrap} where there is no transport to go on with.
    """

    def test_silentPeer(self) -> None:
        """
        A peer that does not end its side is waited for as long as
        C{shutdownTimeout} says; then the connection is aborted.
        """
        for seconds in (5, 2):
            for opened in self.pairs():
                if seconds != 5:
                    opened.ours.shutdownTimeout = seconds
                unwrapping = opened.ours.unwrap()
                opened.flush()
                opened.pair.clock.advance(seconds - 0.1)
                self.assertNoResult(unwrapping)
                self.assertIsNone(opened.ourTransport.closing)
                opened.pair.clock.advance(0.1)
                error = self.failure(unwrapping, ShutdownTimeout)
                self.assertIn(f"{seconds} s", str(error))
                self.assertIsInstance(opened.ourTransport.closing, ConnectionAborted)
                self.assertAborted(opened)
                self.assertIs(self.failure(opened.ours.unwrap(), ShutdownTimeout), error)

    def test_endlessPatience(self) -> None:
        """
        Without C{shutdownTimeout} it waits for ever.
        """
        for opened in self.pairs():
            opened.ours.shutdownTimeout = None
            unwrapping = opened.ours.unwrap()
            opened.flush()
            opened.pair.clock.advance(1e6)
            self.assertNoResult(unwrapping)
            opened.theirs.shutdown()
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)
            opened.theirs.close()

    def test_progress(self) -> None:
        """
        As long as the peer goes on sending, or takes what was written, it is
        waited for.
        """
        for opened in self.pairs():
            unwrapping = opened.ours.unwrap()
            for _ in range(4):
                opened.flush()
                opened.pair.clock.advance(4)
                opened.theirs.write(b"x")
            opened.flush()
            self.assertNoResult(unwrapping)
            opened.theirs.shutdown()
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)
            self.assertEqual(self.successResultOf(opened.ours.read()), b"xxxx")
            opened.theirs.close()

    def test_slowPeer(self) -> None:
        """
        A peer that takes slowly what is written is waited for.
        """
        for opened in self.pairs():
            opened.pair.wire.segment = 0
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(bytes(1 << 20))
            unwrapping = opened.ours.unwrap()
            opened.theirs.readExactly(1 << 20)
            opened.pair.wire.segment = 1 << 17
            for _ in range(4):
                opened.pair.clock.advance(4)
                opened.theirTransport.isPaused = False
                opened.pair.wire.step()
                opened.theirTransport.isPaused = True
            self.assertNoResult(unwrapping)
            opened.theirTransport.isPaused = False
            opened.theirs.shutdown()
            opened.flush()
            self.successResultOf(writing)
            self.assertUnwrapped(opened, unwrapping)
            opened.theirs.close()

    def test_tooMuchUnread(self) -> None:
        """
        While too much is unread the peer is held back, and with it its end.
        """
        for isRead in (False, True):
            for opened in self.pairs():
                opened.pair.wire.segment = 0
                opened.theirs.write(MUCH)
                opened.flush()
                self.assertTrue(opened.ourTransport.isPaused)
                unwrapping = opened.ours.unwrap()
                opened.theirs.shutdown()
                opened.flush()
                self.assertNoResult(unwrapping)
                if isRead:
                    reading = opened.ours.readExactly(len(MUCH))
                    opened.flush()
                    self.successResultOf(reading)
                    self.assertUnwrapped(opened, unwrapping)
                    opened.theirs.close()
                else:
                    opened.pair.clock.advance(5)
                    self.failure(unwrapping, ShutdownTimeout)
                    self.assertEqual(len(self.successResultOf(opened.ours.read(len(MUCH)))), 65537)

    def test_unreadWithEnd(self) -> None:
        """
        Where much that is unread came together with the end, the transport is
        given back unpaused, and all of it can still be read.
        """
        for opened in self.pairs():
            opened.pair.wire.segment = 0
            opened.theirs.write(MUCH)
            opened.theirs.shutdown()
            unwrapping = opened.ours.unwrap()
            opened.flush()
            self.assertUnwrapped(opened, unwrapping)
            self.assertEqual(self.successResultOf(opened.ours.readExactly(len(MUCH))), MUCH)
            self.assertEqual(self.successResultOf(opened.ours.read()), b"")
            opened.theirs.close()

    def test_truncated(self) -> None:
        """
        A connection that ends without the peer's C{close_notify}, by a FIN or
        otherwise, fails it, also where that is no truncation to a reader.
        """
        for required in (True, False):
            for reason in (ConnectionDone, ConnectionLost):
                for opened in self.pairs(ours={"requireCloseNotify": required}):
                    unwrapping = opened.ours.unwrap()
                    opened.flush()
                    opened.pair.wire.cut(reason)
                    error = self.failure(unwrapping, TruncationError)
                    self.assertIn("without close_notify", str(error))
                    if not required and reason is ConnectionDone:
                        self.assertEqual(self.successResultOf(opened.ours.read()), b"")
                    else:
                        self.assertIs(self.failure(opened.ours.read(), TruncationError), error)
                    self.failure(opened.ours.unwrap(), TruncationError)

    def test_truncatedBefore(self) -> None:
        """
        What was truncated before cannot be unwrapped, whatever we have sent, and
        also where that is no truncation to a reader.
        """
        for isShut in (False, True):
            for required in (False, True):
                for opened in self.pairs(ours={"requireCloseNotify": required}):
                    if isShut:
                        opened.ours.shutdown()
                    opened.pair.wire.cut(ConnectionDone)
                    self.failure(opened.ours.unwrap(), TruncationError)

    def test_lostBefore(self) -> None:
        """
        A transport that was lost after both sides had shut the stream down
        cannot be had any more.
        """
        for opened in self.pairs():
            opened.ours.shutdown()
            opened.theirs.shutdown()
            opened.flush()
            opened.pair.wire.cut()
            error = self.failure(opened.ours.unwrap(), TruncationError)
            self.assertIn("before the transport was free", str(error))

    def test_lostWhileGivenBack(self) -> None:
        """
        A connection that is lost when both sides have ended the stream, but the
        transport was not yet given back, cannot be gone on with.
        """
        for opened in self.pairs():
            opened.theirs.shutdown()
            opened.flush()
            unwrapping = opened.ours.unwrap()
            opened.pair.wire.cut()
            error = self.failure(unwrapping, TruncationError)
            self.assertIn("before the transport was free", str(error))
            self.assertAborted(opened)

    def test_garbage(self) -> None:
        """
        A peer that goes on in the clear without C{close_notify} breaks the
        stream, and nothing of it reaches anybody: the connection is aborted.
        """
        for opened in self.pairs():
            unwrapping = opened.ours.unwrap()
            opened.flush()
            opened.theirTransport.write(b"\x17\x03\x03\x00\x20" + bytes(32) + b"in the clear")
            opened.flush()
            error = self.failure(unwrapping, TlsError)
            self.assertAborted(opened)
            self.assertEqual(opened.ourOriginal.received, b"")
            self.assertIs(self.failure(opened.ours.read(), TlsError), error)

    def test_closed(self) -> None:
        """
        Closed meanwhile, it succeeds if the peer ends its side in time; if not,
        or aborted, it fails, the transport being given back as ever.
        """
        for opened in self.pairs():
            unwrapping = opened.ours.unwrap()
            closing = opened.ours.close()
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)
            self.assertUnwrapped(opened, unwrapping)
        for opened in self.pairs():
            opened.ours.shutdownTimeout = 9
            unwrapping = opened.ours.unwrap()
            opened.ours.shutdownTimeout = 5
            opened.ours.close()
            opened.flush()
            opened.pair.clock.advance(5)
            opened.pair.clock.advance(0)
            self.failure(unwrapping, StreamClosedError)
            self.assertIs(opened.ourTransport.protocol, opened.ourOriginal)
            self.assertIsNone(opened.ourTransport.closing)
            opened.theirs.close()
        for opened in self.pairs():
            unwrapping = opened.ours.unwrap()
            opened.ours.abort()
            opened.flush()
            self.failure(unwrapping, StreamClosedError)
            self.assertIs(opened.ourTransport.protocol, opened.ourOriginal)
            opened.theirs.abort()

    def test_givenUpWrite(self) -> None:
        """
        When a write is given up half-way the connection is broken, and so is
        its unwrapping.
        """
        for opened in self.pairs():
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(bytes(1 << 20))
            unwrapping = opened.ours.unwrap()
            writing.cancel()
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            self.assertAborted(opened)
            self.failure(writing, CancelledError)
            self.failure(unwrapping, StreamClosedError)

    def test_notLeftOpen(self) -> None:
        """
        A stream whose transport is not to be left open is not unwrapped, and is
        unharmed.
        """
        for opened in self.bothRoles():
            error = self.failure(opened.ours.unwrap(), InvalidOperationError)
            self.assertIn("not to be left open", str(error))
            self.assertUsable(opened)

    def test_notNow(self) -> None:
        """
        A stream is not unwrapped before it is authenticated, after that has
        failed, while another stream uses it, or when it is closed.
        """
        pair = StreamPair(leaveInnerStreamOpen=True)
        self.failure(pair.client.unwrap(), InvalidOperationError)
        both = pair.authenticate(self.version, client={"targetHost": "elsewhere"})
        error = self.failure(both[0], AuthenticationError)
        self.failure(both[1], AuthenticationError)
        self.assertIs(self.failure(pair.client.unwrap(), AuthenticationError), error)
        for opened in self.pairs():
            inner = SslStream(opened.ours)
            self.failure(opened.ours.unwrap(), InvalidOperationError)
            inner.abort()
            opened.flush()
            self.failure(opened.ours.unwrap(), TruncationError)
        for opened in self.pairs():
            opened.ours.close()
            self.failure(opened.ours.unwrap(), StreamClosedError)
            opened.ours.abort()


@perVersion(segments=(0,))
class FloodTests(UnwrapMixin):
    """
    Tests for a peer that sends without end behind its C{close_notify}.
    """

    def flood(self, opened: Opened) -> None:
        """
        Send a lot of it.
        """
        opened.theirs.shutdown()
        opened.flush()
        for _ in range(64):
            if not opened.ourTransport.isPaused:
                opened.ourTransport.protocol.dataReceived(bytes(1 << 14))

    def test_leftOpen(self) -> None:
        """
        It is held back when there is more than a little, until somebody has
        that.
        """
        for opened in self.pairs():
            self.flood(opened)
            self.assertTrue(opened.ourTransport.isPaused)
            unwrapping = opened.ours.unwrap()
            opened.pair.clock.advance(0)
            self.assertUnwrapped(opened, unwrapping, bytes(InnerStream.LIMIT))
            opened.theirs.close()

    def test_resumed(self) -> None:
        """
        It is held back again when reading has resumed the transport.
        """
        for opened in self.pairs():
            opened.theirs.write(MUCH)
            opened.theirs.shutdown()
            opened.flush()
            self.assertTrue(opened.ourTransport.isPaused)
            opened.ourTransport.protocol.dataReceived(bytes(InnerStream.LIMIT))
            self.successResultOf(opened.ours.read(len(MUCH)))
            self.assertFalse(opened.ourTransport.isPaused)
            self.flood(opened)
            self.assertTrue(opened.ourTransport.isPaused)
            self.assertLess(len(opened.ourTransport.protocol._early), 2 * InnerStream.LIMIT)
            opened.ours.close()
            opened.theirs.close()

    def test_notLeftOpen(self) -> None:
        """
        Nothing of it is kept where nobody will ever want it.
        """
        for opened in self.bothRoles():
            self.flood(opened)
            self.assertFalse(opened.ourTransport.isPaused)
            self.assertEqual(len(opened.ourTransport.protocol._early), 0)
            protocol: Any = opened.ours._protocol
            self.assertEqual(protocol.takeTrailing(), b"")
            self.assertEqual(self.successResultOf(opened.ours.read()), b"")
            opened.ours.close()
            opened.theirs.close()


@perVersion()
class NestedTests(UnwrapMixin):
    """
    Tests for unwrapping a stream on another stream.
    """

    def test_unwrap(self) -> None:
        """
        The other stream is given back, to be used again; what came in it behind
        the C{close_notify} is returned and not read from it.
        """
        for outer in self.bothRoles():
            pair = outer.pair
            pair.client, pair.server = (
                SslStream(each, leaveInnerStreamOpen=True) for each in (pair.client, pair.server)
            )
            for authenticated in pair.authenticate(self.version):
                self.successResultOf(authenticated)
            ours, theirs = pair.client, pair.server
            if outer.ours.isServer:
                ours, theirs = theirs, ours
            theirs.shutdown()
            outer.flush()
            protocol: Any = outer.theirs._protocol
            protocol.write(b"trailing")
            outer.flush()
            unwrapping = ours.unwrap()
            outer.flush()
            stream, trailing = self.successResultOf(unwrapping)
            self.assertIs(stream, outer.ours)
            self.assertEqual(trailing, b"trailing")
            theirs.close()
            outer.flush()
            self.assertUsable(outer)

    def test_failure(self) -> None:
        """
        Where there is nothing to go on with, the other stream is aborted, too.
        """
        for outer in self.bothRoles():
            pair = outer.pair
            pair.client, pair.server = (
                SslStream(each, leaveInnerStreamOpen=True) for each in (pair.client, pair.server)
            )
            for authenticated in pair.authenticate(self.version):
                self.successResultOf(authenticated)
            self.assertFalse(pair.client.isServer)
            unwrapping = pair.client.unwrap()
            outer.flush()
            pair.clock.advance(5)
            self.failure(unwrapping, ShutdownTimeout)
            outer.flush()
            for stream in (outer.ours, outer.theirs, pair.client, pair.server):
                self.successResultOf(stream.whenClosed())
            other = outer.theirs if outer.theirs.isServer else outer.ours
            self.failure(other.read(), TruncationError)


@perVersion(segments=(0,))
class LeakTests(UnwrapMixin):
    """
    Tests for what is left of streams that were unwrapped: nothing, without the
    help of the garbage collector.
    """

    def assertNothingSurvives(self, isSilent: bool) -> None:
        """
        Both sides unwrap in coroutines, which see the outcome.

        @param isSilent: whether the other side does not.
        """
        references: list[weakref.ref[Any]] = []

        async def unwrap(stream: SslStream) -> bytes:
            try:
                _, trailing = await stream.unwrap()
            except (ShutdownTimeout, TruncationError):
                return b"failed"
            return trailing

        def live() -> None:
            opened = self.opened(leaveInnerStreamOpen=True)
            both = [
                Deferred.fromCoroutine(unwrap(stream))
                for stream in (opened.ours, opened.theirs)[: 1 if isSilent else 2]
            ]
            opened.flush()
            if isSilent:
                opened.pair.clock.advance(5)
                opened.flush()
                opened.theirs.close()
            expected = b"failed" if isSilent else b""
            self.assertEqual([self.successResultOf(each) for each in both], [expected] * len(both))
            for stream in (opened.ours, opened.theirs):
                references.extend(map(weakref.ref, (stream, stream._protocol)))
            references.append(weakref.ref(opened.ours._unwrapping))
            if not isSilent:
                # A lost transport in memory keeps its protocol.
                references.append(weakref.ref(opened.ours._inner))

        withoutCollector(self)
        live()
        alive = [each() for each in references if each() is not None]
        self.assertEqual(alive, [])
        self.assertEqual(len(references), 5 if isSilent else 6)

    def test_success(self) -> None:
        """
        Nothing is left after success.
        """
        self.assertNothingSurvives(isSilent=False)

    def test_failure(self) -> None:
        """
        Nothing is left after a time-out.
        """
        self.assertNothingSurvives(isSilent=True)
