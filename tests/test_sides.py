"""
Tests for L{txsslstream._sides}: the reading and the writing side of a stream, without TLS.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    IncompleteReadError,
    InvalidOperationError,
    LimitExceededError,
    NotSupportedError,
    ReadTimeout,
    StreamClosedError,
    TruncationError,
    WriteTimeout,
)
from txsslstream._sides import Reader, Writer

FULL = Reader.HIGH_WATER + 1


class ReaderTests(SynchronousTestCase):
    """
    Tests for L{Reader}.
    """

    def setUp(self) -> None:
        """
        A reader whose pausing is noted.
        """
        self.clock = Clock()
        self.pauses: list[bool] = []
        self.reader = Reader(self.clock, self.pauses.append)

    def upTo(self, size: int) -> Deferred[bytes]:
        """
        Read as L{SslStream.read} does.
        """
        return self.reader.request(lambda: self.reader.upTo(size))

    def exactly(self, size: int) -> Deferred[bytes]:
        """
        Read as L{SslStream.readExactly} does.
        """
        return self.reader.request(lambda: self.reader.exactly(size))

    def until(self, separator: bytes, limit: int = 100) -> Deferred[bytes]:
        """
        Read as L{SslStream.readUntil} does.
        """
        searched = [0]
        return self.reader.request(lambda: self.reader.until(separator, limit, searched))

    def everyRead(self) -> dict[str, Callable[[], Deferred[bytes]]]:
        """
        A read of each kind that ten bytes without an end of line do not
        satisfy.
        """
        return {
            "upTo": lambda: self.upTo(4),
            "exactly": lambda: self.exactly(20),
            "until": lambda: self.until(b"\n"),
        }

    def test_whatIsThere(self) -> None:
        """
        A read gets what is there, at most as much as it asks for, in order.
        """
        self.reader.received(b"abc")
        self.reader.received(b"defg")
        self.assertEqual(self.successResultOf(self.upTo(5)), b"abcde")
        self.assertEqual(self.successResultOf(self.upTo(5)), b"fg")

    def test_noCopies(self) -> None:
        """
        A delivery that is read whole is handed on as it is; one of which a part
        is read, or that is joined with another, is copied once.
        """
        for size in (5, 99):
            data = b"abcde"
            self.reader.received(data)
            self.assertIs(self.successResultOf(self.upTo(size)), data)
            reading = self.upTo(size)
            self.reader.received(data)
            self.assertIs(self.successResultOf(reading), data)
        self.reader.received(b"abcde")
        self.assertEqual(self.successResultOf(self.upTo(2)), b"ab")
        self.assertEqual(self.successResultOf(self.upTo(9)), b"cde")

    def test_anyCut(self) -> None:
        """
        However deliveries and reads of all kinds alternate, what is read is what
        has come, in order, as bytes.
        """
        data = bytes(range(1, 256)) * 4
        for step in range(1, 40):
            came = gone = 0
            turn = 0
            while gone < len(data):
                turn += 1
                if came < len(data):
                    size = step * (turn % 3)
                    self.reader.received(data[came : came + size] or b"")
                    came = min(came + size, len(data))
                if came == gone:
                    continue
                wanted = min(1 + (turn * 7) % 19, came - gone)
                separator = data[gone + wanted - 1 : gone + wanted]
                read = [
                    lambda wanted=wanted: self.upTo(wanted),
                    lambda wanted=wanted: self.exactly(wanted),
                    lambda separator=separator: self.until(separator),
                ][turn % 3]()
                got = self.successResultOf(read)
                self.assertIs(type(got), bytes)
                self.assertEqual(got, data[gone : gone + wanted])
                gone += wanted
            self.assertFalse(self.reader.isFilled)

    def test_waits(self) -> None:
        """
        A read of an empty buffer waits for the next data, and leaves what it
        did not ask for.
        """
        reading = self.upTo(2)
        self.assertNoResult(reading)
        self.reader.received(b"abc")
        self.assertEqual(self.successResultOf(reading), b"ab")
        self.assertEqual(self.successResultOf(self.upTo(2)), b"c")

    def test_exactly(self) -> None:
        """
        A read of an exact size waits until all of it is there.
        """
        reading = self.exactly(4)
        for piece in (b"ab", b"c"):
            self.reader.received(piece)
            self.assertNoResult(reading)
        self.reader.received(b"de")
        self.assertEqual(self.successResultOf(reading), b"abcd")
        self.assertEqual(self.successResultOf(self.exactly(1)), b"e")

    def test_exactlyNothing(self) -> None:
        """
        A read of exactly no bytes succeeds at once, even at the end.
        """
        self.assertEqual(self.successResultOf(self.exactly(0)), b"")
        self.reader.ended(TruncationError("cut"))
        self.assertEqual(self.successResultOf(self.exactly(0)), b"")

    def test_separatorInPieces(self) -> None:
        """
        A separator is found wherever the pieces that bring it were cut.
        """
        for cut in range(1, 10):
            self.reader.received(b"line\r\n\r\nXY"[:cut])
            reading = self.until(b"\r\n\r\n")
            self.reader.received(b"line\r\n\r\nXY"[cut:])
            self.assertEqual(self.successResultOf(reading), b"line\r\n\r\n")
            self.assertEqual(self.successResultOf(self.exactly(2)), b"XY")

    def test_separatorByteByByte(self) -> None:
        """
        A separator that repeats its own beginning is found byte by byte.
        """
        reading = self.until(b"aab")
        for byte in b"aaab":
            self.assertNoResult(reading)
            self.reader.received(bytes((byte,)))
        self.assertEqual(self.successResultOf(reading), b"aaab")

    def test_limit(self) -> None:
        """
        What ends with its separator exactly at the limit is read; one byte more
        exceeds it, and then nothing is consumed.
        """
        self.reader.received(b"123;1234;")
        self.assertEqual(self.successResultOf(self.until(b";", 4)), b"123;")
        self.failureResultOf(self.until(b";", 4), LimitExceededError)
        self.assertEqual(self.successResultOf(self.until(b";", 5)), b"1234;")

    def test_limitWhileWaiting(self) -> None:
        """
        As soon as no separator can come within the limit, a waiting read fails,
        with nothing consumed, and the next read gets it all.
        """
        reading = self.until(b";", 4)
        self.reader.received(b"123")
        self.assertNoResult(reading)
        self.reader.received(b"4")
        self.failureResultOf(reading, LimitExceededError)
        self.assertEqual(self.successResultOf(self.upTo(10)), b"1234")

    def test_cleanEnd(self) -> None:
        """
        At a clean end a waiting read gets nothing, and so does each later one.
        """
        reading = self.upTo(1)
        self.reader.ended(None)
        self.assertEqual(self.successResultOf(reading), b"")
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.upTo(1)), b"")

    def test_restBeforeEnd(self) -> None:
        """
        What came before the end is read before it, whatever kind of end.
        """
        for error in (None, TruncationError("cut")):
            reader = self.reader = Reader(self.clock, self.pauses.append)
            reader.received(b"abc")
            reader.ended(error)
            self.assertEqual(self.successResultOf(self.exactly(2)), b"ab")
            self.assertEqual(self.successResultOf(self.upTo(2)), b"c")

    def test_incomplete(self) -> None:
        """
        At a clean end a read of more than there is fails with the rest, which
        is consumed.
        """
        for read in (lambda: self.exactly(4), lambda: self.until(b"\n")):
            self.reader = Reader(self.clock, self.pauses.append)
            self.reader.received(b"abc")
            reading = read()
            self.reader.ended(None)
            error = self.failureResultOf(reading, IncompleteReadError).value
            self.assertEqual(error.partial, b"abc")
            self.assertEqual(self.successResultOf(self.upTo(9)), b"")
            self.assertEqual(self.failureResultOf(read(), IncompleteReadError).value.partial, b"")

    def test_brokenEnd(self) -> None:
        """
        At an end that is an error every read fails with it, again and again,
        and the beginning of an item stays to be read.
        """
        for name, read in self.everyRead().items():
            self.reader = Reader(self.clock, self.pauses.append)
            reading = read()
            if name != "upTo":
                self.reader.received(b"abc")
            error = TruncationError("cut")
            self.reader.ended(error)
            for _ in range(2):
                self.assertIs(self.failureResultOf(reading).value, error)
                if name != "upTo":
                    self.assertEqual(self.successResultOf(self.upTo(9)), b"abc")
                    name = "upTo"
                reading = read()
            self.assertIs(self.failureResultOf(reading).value, error)

    def test_firstEndStays(self) -> None:
        """
        Of two ends the first counts.
        """
        self.reader.ended(None)
        self.reader.ended(TruncationError("cut"))
        self.assertEqual(self.successResultOf(self.upTo(1)), b"")

    def test_nothingAfterEnd(self) -> None:
        """
        What comes behind the end is not read.
        """
        self.reader.ended(None)
        self.reader.received(b"abc")
        self.assertEqual(self.successResultOf(self.upTo(9)), b"")

    def test_second(self) -> None:
        """
        While one read waits another fails, and the first gets the data.
        """
        for name, read in self.everyRead().items():
            first = self.upTo(9)
            self.failureResultOf(read(), NotSupportedError)
            self.reader.received(name.encode())
            self.assertEqual(self.successResultOf(first), name.encode())

    def test_readInCallback(self) -> None:
        """
        Whoever gets data may read on from there.
        """
        both: list[bytes] = []
        reading = self.exactly(2)
        reading.addCallback(both.append).addCallback(lambda _: self.exactly(2))
        reading.addCallback(both.append)
        self.reader.received(b"abcd")
        self.assertEqual(both, [b"ab", b"cd"])

    def test_cancel(self) -> None:
        """
        A cancelled read consumes nothing, and the next one gets what has come.
        """
        for read in self.everyRead().values():
            self.reader = Reader(self.clock, self.pauses.append)
            reading = read()
            reading.cancel()
            self.failureResultOf(reading, CancelledError)
            self.reader.received(b"abc")
            self.assertEqual(self.successResultOf(self.upTo(9)), b"abc")

    def test_timeout(self) -> None:
        """
        A read that takes too long fails, consumes nothing, and leaves the side
        usable; the time counts from the read's beginning.
        """
        self.reader.timeout = 3
        self.clock.advance(2)
        reading = self.exactly(4)
        self.clock.advance(2)
        self.reader.received(b"abc")
        self.assertNoResult(reading)
        self.clock.advance(1)
        error = self.failureResultOf(reading, ReadTimeout).value
        self.assertEqual(str(error), "nothing was read within 3 s")
        self.assertEqual(self.successResultOf(self.upTo(9)), b"abc")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timeoutIsOver(self) -> None:
        """
        However a read ends, its time-out ends with it.
        """
        ends: tuple[Callable[[Deferred[bytes]], object], ...] = (
            lambda reading: self.reader.received(b"abc"),
            lambda reading: reading.cancel(),
            lambda reading: self.reader.ended(None),
            lambda reading: self.reader.close(StreamClosedError("closed")),
        )
        for end in ends:
            self.reader = Reader(self.clock, self.pauses.append)
            self.reader.timeout = 3
            end(self.upTo(1).addErrback(lambda _: b""))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_holdsBackOnce(self) -> None:
        """
        The peer is held back when more than the high-water mark is unread, once,
        and let go on, once, when a read brings it below.
        """
        self.reader.received(bytes(FULL - 1))
        self.assertEqual(self.pauses, [])
        for _ in range(3):
            self.reader.received(b"x")
        self.assertEqual(self.pauses, [True])
        self.successResultOf(self.upTo(2))
        self.assertEqual(self.pauses, [True])
        self.successResultOf(self.upTo(1))
        self.successResultOf(self.upTo(1))
        self.assertEqual(self.pauses, [True, False])
        self.reader.received(bytes(2))
        self.assertEqual(self.pauses, [True, False, True])

    def test_letsGoForReader(self) -> None:
        """
        A read of more than the high-water mark lets the peer go on until it has
        it, and holds it back again if it is given up.
        """
        self.reader.received(bytes(FULL))
        reading = self.exactly(3 * FULL)
        self.assertEqual(self.pauses, [True, False])
        self.reader.received(bytes(FULL))
        self.assertEqual(self.pauses, [True, False])
        reading.addErrback(lambda _: None).cancel()
        self.assertEqual(self.pauses, [True, False, True])

    def test_holdsBackAfterTimeout(self) -> None:
        """
        A read of more than the high-water mark that times out leaves the peer
        held back.
        """
        self.reader.timeout = 1
        reading = self.exactly(3 * FULL)
        self.reader.received(bytes(FULL))
        self.clock.advance(1)
        self.failureResultOf(reading, ReadTimeout)
        self.assertEqual(self.pauses, [True])

    def test_holdsBackBehindReader(self) -> None:
        """
        When a read is satisfied with too much left over the peer is held back
        before the reader hears of it.
        """
        reading = self.upTo(1).addCallback(lambda _: list(self.pauses))
        self.reader.received(bytes(FULL + 1))
        self.assertEqual(self.successResultOf(reading), [True])

    def test_close(self) -> None:
        """
        Closing wakes a waiting read with the error given, discards what is
        there and what comes, and lets the peer go on.
        """
        for full in (True, False):
            self.reader = Reader(self.clock, self.pauses.append)
            self.pauses.clear()
            reading = self.upTo(1)
            if full:
                self.reader.received(bytes(FULL + 1))
                self.successResultOf(reading)
            error = StreamClosedError("closed")
            self.reader.close(error)
            if not full:
                self.assertIs(self.failureResultOf(reading).value, error)
            self.reader.received(bytes(FULL))
            self.failureResultOf(self.upTo(1), StreamClosedError)
            self.assertEqual(self.pauses, [True, False] if full else [])

    def test_closeAtEnd(self) -> None:
        """
        What has ended can be closed, twice; nothing changes but the error.
        """
        self.reader.ended(None)
        for _ in range(2):
            self.reader.close(StreamClosedError("closed"))
            self.failureResultOf(self.upTo(1), StreamClosedError)
        self.reader.ended(None)
        self.failureResultOf(self.upTo(1), StreamClosedError)

    def test_takeAll(self) -> None:
        """
        All that is unread can be taken at once, which lets the peer go on.
        """
        self.reader.received(bytes(FULL))
        self.assertEqual(self.reader.takeAll(), bytes(FULL))
        self.assertEqual(self.pauses, [True, False])
        self.assertNoResult(self.upTo(1))

    def test_busy(self) -> None:
        """
        The side is busy while a read waits.
        """
        self.assertFalse(self.reader.isBusy)
        reading = self.upTo(1)
        self.assertTrue(self.reader.isBusy)
        self.reader.received(b"abc")
        self.successResultOf(reading)
        self.assertFalse(self.reader.isBusy)

    def test_release(self) -> None:
        """
        Whoever was held back is not any more once the transport is gone or
        somebody else's, nor ever again, and what was received stays.
        """
        self.reader.received(bytes(FULL))
        self.reader.release()
        self.assertEqual(self.pauses, [True, False])
        self.reader.received(b"more")
        self.assertEqual(len(self.successResultOf(self.upTo(2 * FULL))), FULL + 4)
        self.assertEqual(self.pauses, [True, False])

    def test_releaseOfReader(self) -> None:
        """
        Whoever still reads then, as he could not be told of the end, is told.
        """
        reading = self.upTo(1)
        self.reader.release()
        self.failureResultOf(reading, StreamClosedError)
        self.assertFalse(self.reader.isBusy)


class WriterTests(SynchronousTestCase):
    """
    Tests for L{Writer}.
    """

    def setUp(self) -> None:
        """
        A writer whose calls are noted, and which takes C{self.room} chunks.
        """
        self.clock = Clock()
        self.calls: list[bytes | str] = []
        self.kinds: list[type] = []
        self.brokenBy: list[BaseException] = []
        self.room = 1_000_000
        self.writer = Writer(self.clock, self.write, self.breakOff)

    def write(self, chunk: bytes | memoryview) -> None:
        """
        Take a chunk; hold back when there is no more room.
        """
        self.kinds.append(type(chunk))
        self.calls.append(bytes(chunk))
        self.room -= 1
        if self.room <= 0:
            self.writer.heldBack(True)

    def breakOff(self, error: BaseException) -> None:
        """
        End the connection.
        """
        self.calls.append("abort")
        self.brokenBy.append(error)

    def taken(self) -> bytes:
        """
        All that was handed over.
        """
        return b"".join(each for each in self.calls if isinstance(each, bytes))

    def test_noCopies(self) -> None:
        """
        What is handed over whole is handed over as it is, and what is too large
        for that in views.
        """
        self.writer.request(b"small")
        self.assertEqual(self.kinds, [bytes])
        self.writer.request(bytes(2 * Writer.CHUNK + 1))
        self.assertEqual(self.kinds[1:], [memoryview] * 3)
        self.assertEqual(len(self.taken()), 5 + 2 * Writer.CHUNK + 1)

    def stalled(self, room: int = 1) -> Deferred[None]:
        """
        A write of three chunks of which C{room} are taken.
        """
        self.room = room
        return self.writer.request(bytes(3 * Writer.CHUNK))

    def test_handsOver(self) -> None:
        """
        What there is room for is handed over at once, in order, in bounded
        chunks.
        """
        data = bytes(range(256)) * 1000
        self.assertIsNone(self.successResultOf(self.writer.request(data)))
        self.assertIsNone(self.successResultOf(self.writer.request(b"end")))
        self.assertEqual(self.taken(), data + b"end")
        self.assertEqual(max(map(len, self.calls)), Writer.CHUNK)

    def test_nothing(self) -> None:
        """
        Writing nothing hands nothing over.
        """
        self.successResultOf(self.writer.request(b""))
        self.assertEqual(self.calls, [])

    def test_waits(self) -> None:
        """
        A write waits while the transport takes no more, and hands over no more
        than there is room for each time.
        """
        writing = self.stalled()
        for chunks in (2, 3):
            self.assertEqual(len(self.calls), chunks - 1)
            self.assertNoResult(writing)
            self.room = 1
            self.writer.heldBack(False)
        self.assertEqual(len(self.taken()), 3 * Writer.CHUNK)
        # The last chunk has filled the transport again.
        self.assertNoResult(writing)
        self.writer.heldBack(False)
        self.assertIsNone(self.successResultOf(writing))

    def test_nothingWaits(self) -> None:
        """
        Even writing nothing waits while the transport takes no more.
        """
        self.writer.heldBack(True)
        writing = self.writer.request(b"")
        self.assertNoResult(writing)
        self.writer.heldBack(False)
        self.successResultOf(writing)

    def test_second(self) -> None:
        """
        While one write waits another fails and none of it is handed over; the
        first goes on.
        """
        writing = self.stalled()
        self.failureResultOf(self.writer.request(b"second"), NotSupportedError)
        self.room = 3
        self.writer.heldBack(False)
        self.successResultOf(writing)
        self.assertEqual(self.taken(), bytes(3 * Writer.CHUNK))

    def test_writeInCallback(self) -> None:
        """
        Whoever's write has ended may write on from there.
        """
        writing = self.stalled().addCallback(lambda _: self.writer.request(b"more"))
        self.room = 9
        self.writer.heldBack(False)
        self.successResultOf(writing)
        self.assertEqual(self.calls[-1], b"more")

    def test_cancelWithRest(self) -> None:
        """
        A write of which a part is missing can only be cancelled with the
        connection, which is aborted before anybody hears of it.
        """
        heard: list[object] = []
        writing = self.stalled()
        finished = self.writer.whenFinished().addErrback(lambda _: heard.extend(self.calls[1:]))
        writing.cancel()
        self.failureResultOf(writing, CancelledError)
        self.successResultOf(finished)
        self.assertEqual(heard, ["abort"])
        self.assertEqual([type(error) for error in self.brokenBy], [StreamClosedError])
        self.writer.heldBack(False)
        self.assertEqual(len(self.taken()), Writer.CHUNK)

    def test_cancelledTwice(self) -> None:
        """
        Who hears that the connection is broken off may cancel the write that is
        being cancelled, or was given up.
        """
        for giveUp in ("cancel", "wait"):
            self.setUp()
            self.writer.timeout = 2
            writing = self.stalled()
            self.patch(self, "breakOff", lambda _, writing=writing: writing.cancel())
            self.writer._breakOff = self.breakOff
            finished = self.writer.whenFinished()
            if giveUp == "cancel":
                writing.cancel()
            else:
                self.clock.advance(2)
            self.failureResultOf(writing, CancelledError)
            kind = StreamClosedError if giveUp == "cancel" else WriteTimeout
            self.assertIs(type(self.failureResultOf(finished).value), kind)
            self.assertIs(type(self.writer.error), kind)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelWithoutRest(self) -> None:
        """
        A write that only waits for room can be cancelled, and the side stays
        usable.
        """
        writing = self.stalled(3)
        writing.cancel()
        self.failureResultOf(writing, CancelledError)
        self.assertNotIn("abort", self.calls)
        self.room = 9
        self.writer.heldBack(False)
        self.successResultOf(self.writer.request(b"next"))
        self.assertEqual(self.taken(), bytes(3 * Writer.CHUNK) + b"next")

    def test_timeoutWithRest(self) -> None:
        """
        A write of which a part is missing in time aborts the connection before
        anybody hears of it.
        """
        self.writer.timeout = 2
        writing = self.stalled()
        self.clock.advance(1.9)
        self.assertNoResult(writing)
        heard: list[object] = []
        writing.addErrback(lambda failure: heard.extend((failure.value, *self.calls[1:])))
        self.clock.advance(0.1)
        error, *calls = heard
        self.assertIsInstance(error, WriteTimeout)
        self.assertEqual(str(error), "the peer did not take the data within 2 s")
        self.assertEqual(calls, ["abort"])
        self.assertEqual(self.brokenBy, [error])

    def test_timeoutWithoutRest(self) -> None:
        """
        A write that has waited for room too long fails, and the side stays
        usable.
        """
        self.writer.timeout = 2
        writing = self.stalled(3)
        self.clock.advance(2)
        self.failureResultOf(writing, WriteTimeout)
        self.assertNotIn("abort", self.calls)
        self.room = 9
        self.writer.heldBack(False)
        self.successResultOf(self.writer.request(b"next"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timeoutIsOver(self) -> None:
        """
        However a write ends, its time-out ends with it.
        """

        def goOn() -> None:
            self.room = 9
            self.writer.heldBack(False)

        for end in (goOn, lambda: self.writer.broke(Exception())):
            self.writer.timeout = 2
            self.stalled().addErrback(lambda _: None)
            end()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_busy(self) -> None:
        """
        The side is busy while a write waits.
        """
        self.assertFalse(self.writer.isBusy)
        writing = self.stalled()
        self.assertTrue(self.writer.isBusy)
        self.room = 9
        self.writer.heldBack(False)
        self.successResultOf(writing)
        self.assertFalse(self.writer.isBusy)

    def test_finished(self) -> None:
        """
        It can be waited for, any number of times, that nothing is being
        written; when nothing is that is at once.
        """
        self.successResultOf(self.writer.whenFinished())
        writing = self.stalled()
        waiting = [self.writer.whenFinished() for _ in range(2)]
        self.room = 9
        for each in (writing, *waiting):
            self.assertNoResult(each)
        self.writer.heldBack(False)
        for each in (writing, *waiting, self.writer.whenFinished()):
            self.assertIsNone(self.successResultOf(each))

    def test_finishedIncompletely(self) -> None:
        """
        Who waits for the end of a write that comes to nothing gets the error,
        and so does who comes later.
        """
        self.stalled().addErrback(lambda _: None)
        waiting = self.writer.whenFinished()
        error = TruncationError("cut")
        self.writer.broke(error)
        for each in (waiting, self.writer.whenFinished()):
            self.assertIs(self.failureResultOf(each).value, error)

    def test_shut(self) -> None:
        """
        A side that is shut finishes what is being written and takes no more.
        """
        writing = self.stalled()
        self.writer.shut()
        self.room = 9
        self.writer.heldBack(False)
        self.successResultOf(writing)
        self.failureResultOf(self.writer.request(b"more"), InvalidOperationError)
        self.writer.shut()
        self.assertEqual(self.taken(), bytes(3 * Writer.CHUNK))

    def test_brokeWhenShut(self) -> None:
        """
        A side that was shut and has finished stays so when the connection ends.
        """
        self.writer.shut()
        self.writer.broke(TruncationError("cut"))
        self.failureResultOf(self.writer.request(b"more"), InvalidOperationError)
        self.successResultOf(self.writer.whenFinished())

    def test_broke(self) -> None:
        """
        When the connection breaks a waiting write fails with the reason, and so
        does each later one, with nothing handed over.
        """
        for isShut in (False, True):
            self.setUp()
            writing = self.stalled()
            if isShut:
                self.writer.shut()
            error = TruncationError("cut")
            self.writer.broke(error)
            self.writer.broke(Exception("another"))
            for each in (writing, self.writer.request(b"more")):
                self.assertIs(self.failureResultOf(each).value, error)
            self.writer.heldBack(False)
            self.assertEqual(len(self.taken()), Writer.CHUNK)

    def test_breaksMeanwhile(self) -> None:
        """
        When the connection breaks while data is handed over, the write fails
        with the reason and hands over no more.
        """
        error = TruncationError("cut")

        def write(chunk: bytes | memoryview) -> None:
            self.calls.append(bytes(chunk))
            self.writer.broke(error)

        self.writer = Writer(self.clock, write, lambda _: None)
        writing = self.writer.request(bytes(3 * Writer.CHUNK))
        self.assertIs(self.failureResultOf(writing).value, error)
        self.assertEqual(len(self.calls), 1)

    def test_release(self) -> None:
        """
        Once the transport is gone whoever still writes, as he could not be told,
        is told; nothing is handed over and nobody aborted.
        """
        writing = self.stalled()
        self.writer.release()
        self.failureResultOf(writing, StreamClosedError)
        self.assertNotIn("abort", self.calls)
