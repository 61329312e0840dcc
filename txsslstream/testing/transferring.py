# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: what is read and what is written.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from .._openssl import beginHandshake
from ..enums import SslProtocols
from ..errors import (
    NotSupportedError,
    ReadTimeout,
    StreamClosedError,
    TlsError,
    TruncationError,
    WriteTimeout,
)
from ..stream import SslStream
from .authority import sharedAuthority
from .conforming import (
    GARBAGE,
    ConformanceCase,
    Talk,
    behaviour,
    expect,
    expectWaiting,
    patterned,
)
from .outcomes import failureOf, resultOf

#: As long as a record may be (RFC 5246 section 6.2.3), with its header.
_LONGEST = 5 + (1 << 14) + 2048

#: As much as a record holds (RFC 8446 section 5.1).
_FULL = 1 << 14


def recordSizes(data: bytes) -> list[int]:
    """
    @param data: whole records.
    @return: how many bytes each has, with its header.
    """
    sizes = []
    position = 0
    while position < len(data):
        sizes.append(5 + int.from_bytes(data[position + 3 : position + 5], "big"))
        position += sizes[-1]
    return sizes


class Transferring(ConformanceCase):
    """
    Tests for data.
    """

    async def _echo(self, stream: Any) -> None:
        async for data in stream:
            await stream.write(data)
        await stream.close()

    async def _send(self, stream: Any, data: bytes) -> None:
        for start in range(0, len(data), 1 << 15):
            await stream.write(data[start : start + (1 << 15)])
        await stream.shutdown()

    async def _receive(self, stream: Any) -> bytes:
        return b"".join([each async for each in stream])

    @behaviour(46)
    def test_echo(self) -> None:
        """
        Reading and writing at the same time do not disturb each other.
        """
        talk = self.opened()
        data = patterned(self.much)
        doing = [
            Deferred.fromCoroutine(self._echo(talk.theirs)),
            Deferred.fromCoroutine(self._send(talk.ours, data)),
        ]
        receiving = Deferred.fromCoroutine(self._receive(talk.ours))
        talk.flush()
        expect(resultOf(receiving) == data, True)
        for each in doing:
            resultOf(each)

    @behaviour(47)
    def test_crowd(self) -> None:
        """
        Nor do many connections at once, whatever they carry.
        """
        talks = [self.opened() for _ in range(8)]
        waiting: list[tuple[Deferred[Any], object]] = []
        for seed, talk in enumerate(talks):
            for isOurs, one, other in ((0, talk.ours, talk.theirs), (1, talk.theirs, talk.ours)):
                data = patterned(40_000, 2 * seed + isOurs)
                waiting.append((one.write(data), None))
                waiting.append((other.readExactly(len(data)), data))
        for talk in talks:
            talk.flush()
        for each, result in waiting:
            expect(resultOf(each) == result, True)

    @behaviour(48)
    def test_second(self) -> None:
        """
        A second read or write while one waits fails, and the first is unharmed;
        any number may wait with C{flush}.
        """
        talk = self.opened()
        reading = talk.ours.read()
        for second in (talk.ours.read(), talk.ours.readExactly(1), talk.ours.readUntil(b"\n")):
            failureOf(second, NotSupportedError)
        data, writing = self.filled(talk)
        failureOf(talk.ours.write(b"second"), NotSupportedError)
        flushing = [talk.ours.flush() for _ in range(3)]
        expectWaiting(reading, writing, *flushing)
        self.drained(talk, data)
        for each in (writing, *flushing):
            expect(resultOf(each), None)
        talk.theirs.write(b"answer")
        talk.flush()
        expect(resultOf(reading), b"answer")
        talk.expectUsable()

    @behaviour(49)
    def test_handshakeMeanwhile(self) -> None:
        """
        What TLS has to say for itself in mid-conversation, another handshake or
        a question for a certificate, is never seen by whoever reads or writes.
        """
        may = {"allowRenegotiation": True}
        has = {**may, "clientCertificates": [sharedAuthority().clientCertificate]}
        talk = self.opened(*((may, has) if self.isServer else (has, may)))
        talk.expectUsable()
        reading = talk.client.read()
        asking = talk.server.negotiateClientCertificateAsync()
        talk.flush()
        expectWaiting(reading)
        expect(resultOf(asking), None)
        resultOf(talk.server.write(b"afterwards"))
        talk.flush()
        expect(resultOf(reading), b"afterwards")
        talk.expectUsable()

    @behaviour(50)
    def test_heldBack(self) -> None:
        """
        A write waits while the inner transport takes no more, and so does
        C{flush}; they end when it does.
        """
        talk = self.opened()
        data, writing = self.filled(talk)
        flushing = talk.ours.flush()
        talk.wire.advance(60)
        expectWaiting(writing, flushing)
        self.drained(talk, data)
        expect((resultOf(writing), resultOf(flushing)), (None, None))
        talk.expectUsable()

    @behaviour(51)
    def test_notReentrant(self) -> None:
        """
        What has come is read at once; a read that waits fires from no other call.
        """
        talk = self.opened()
        reading = talk.ours.read()
        for stream in (talk.theirs, talk.ours):
            stream.write(b"abc")
            stream.flush()
        expectWaiting(reading)
        talk.flush()
        reading.addCallback(lambda data: data + resultOf(talk.ours.readExactly(3 - len(data))))
        expect(resultOf(reading), b"abc")
        talk.theirs.write(b"more")
        talk.flush()
        expect(resultOf(talk.ours.readExactly(4)), b"more")

    @behaviour(52)
    def test_nothing(self) -> None:
        """
        Writing nothing sends nothing, and is not the end.
        """
        talk = self.opened()
        reading = talk.theirs.read()
        before = talk.wire.sent(talk.near)
        for _ in range(2):
            expect(resultOf(talk.ours.write(b"")), None)
        talk.flush()
        expect(talk.wire.sent(talk.near), before)
        expectWaiting(reading)
        talk.ours.write(b"x")
        talk.flush()
        expect(resultOf(reading), b"x")

    @behaviour(53)
    def test_nothingWaits(self) -> None:
        """
        Nothing has its place among other writes, and waits as they do.
        """
        talk = self.opened()
        for data in (b"one, ", b"", b"two"):
            expect(resultOf(talk.ours.write(data)), None)
        talk.flush()
        expect(resultOf(talk.theirs.readExactly(8)), b"one, two")
        data, writing = self.filled(talk)
        nothing = writing.addCallback(lambda _: talk.ours.write(b""))
        expectWaiting(nothing)
        self.drained(talk, data)
        expect(resultOf(nothing), None)

    @behaviour(54)
    def test_sizes(self) -> None:
        """
        The size of a read is positive; without one a read gets what is there,
        but no more than 64 KiB.
        """
        talk = self.opened()
        for wrong in (0, -1, 1.5, "1", None):
            failureOf(talk.ours.read(wrong), ValueError)
        data = patterned(100_000)
        talk.theirs.write(data)
        talk.flush()
        first = resultOf(talk.ours.read())
        expect(first == data[: 1 << 16], True)
        rest = talk.ours.readExactly(len(data) - len(first))
        talk.flush()
        expect(resultOf(rest) == data[1 << 16 :], True)

    @behaviour(55)
    def test_parts(self) -> None:
        """
        What a read leaves of a record is there for the next, at once.
        """
        talk = self.opened()
        talk.theirs.write(b"abcdef")
        talk.flush()
        expect(resultOf(talk.ours.read(2)), b"ab")
        expect(resultOf(talk.ours.readExactly(3)), b"cde")
        expect(resultOf(talk.ours.read(100)), b"f")
        expectWaiting(waiting := talk.ours.read())
        waiting.cancel()
        failureOf(waiting, CancelledError)

    @behaviour(56)
    def test_together(self) -> None:
        """
        All records that come together can be read.
        """
        talk = self.opened()
        talk.wire.stall(talk.far)
        lines = [b"%d\n" % number for number in range(20)]
        for line in lines:
            resultOf(talk.theirs.write(line))
        talk.flush()
        talk.wire.release(talk.far)
        talk.flush()
        expect([resultOf(talk.ours.readUntil(b"\n")) for _ in lines], lines)

    @behaviour(57, 58)
    def test_oneWrite(self) -> None:
        """
        However much is written at once arrives whole, in records as long as may
        be, and no longer.
        """
        talk = self.opened()
        before = talk.wire.sent(talk.near)
        data = patterned(10 * self.much)
        writing = talk.ours.write(data)
        reading = talk.theirs.readExactly(len(data))
        talk.flush()
        expect(resultOf(writing), None)
        expect(resultOf(reading) == data, True)
        sent = talk.wire.everSent(talk.near)
        if sent is not None:
            sizes = recordSizes(sent[before:])
            expect(max(sizes) <= _LONGEST, True)
            expect(len(sizes) <= -(-len(data) // _FULL), True)

    @behaviour(59)
    def test_kinds(self) -> None:
        """
        All kinds of bytes can be written, and changed afterwards; of text nothing
        is sent.
        """
        talk = self.opened()
        changing = bytearray(b"cd")
        for data in (b"ab", changing, memoryview(b"xefx")[1:3]):
            resultOf(talk.ours.write(data))
        changing[:] = b"??"
        before = talk.wire.sent(talk.near)
        for wrong in ("text", 5, None):
            failureOf(talk.ours.write(wrong), TypeError)
        if talk.wire.everSent(talk.near) is not None:
            expect(talk.wire.sent(talk.near), before)
        talk.flush()
        expect(resultOf(talk.theirs.readExactly(6)), b"abcdef")
        nothing = talk.theirs.read()
        expectWaiting(nothing)
        nothing.cancel()
        failureOf(nothing, CancelledError)

    @behaviour(62)
    def test_readAgain(self) -> None:
        """
        After a read that has failed one can read again: on, or to hear the same
        error if the connection is broken.
        """
        talk = self.opened()
        talk.ours.readTimeout = 3
        reading = talk.ours.readExactly(4)
        talk.theirs.write(b"abc")
        talk.wire.advance(2.9)
        expectWaiting(reading)
        talk.wire.advance(0.1)
        failureOf(reading, ReadTimeout)
        expect(resultOf(talk.ours.read()), b"abc")
        talk.expectUsable()
        talk.wire.inject(talk.far, GARBAGE)
        talk.flush()
        error = failureOf(talk.ours.read(), TlsError)
        for _ in range(2):
            expect(failureOf(talk.ours.read(), TlsError) is error, True)

    def readToTruncation(self, talk: Talk, data: bytes) -> None:
        """
        The peer reads a truncation, behind a beginning of what was written.
        """
        talk.wire.release(talk.near)
        received = b""

        def read(more: bytes) -> Any:
            nonlocal received
            received += more
            expect(len(more) > 0, True)
            return talk.theirs.read(1 << 20).addCallback(read)

        reading = talk.theirs.read(1 << 20).addCallback(read)
        talk.flush()
        failureOf(reading, TruncationError)
        expect(data.startswith(received) and len(received) < len(data), True)

    @behaviour(63)
    def test_writeTimeout(self) -> None:
        """
        A write that fails with a part unsent ends the stream: the peer reads a
        truncation, and everything later fails for the same reason.
        """
        talk = self.opened()
        reading = talk.ours.read()
        talk.ours.writeTimeout = 3
        data, writing = self.filled(talk)
        talk.wire.advance(3)
        error = failureOf(writing, WriteTimeout)
        for later in (reading, talk.ours.read(), talk.ours.write(b"x"), talk.ours.flush()):
            expect(failureOf(later, WriteTimeout) is error, True)
        self.readToTruncation(talk, data)

    @behaviour(64)
    def test_breaksMeanwhile(self) -> None:
        """
        The same holds if the connection breaks while data is handed over;
        closing succeeds all the same.
        """
        talk = self.opened()
        _, writing = self.filled(talk)
        talk.wire.reset(talk.far)
        talk.wire.release(talk.near)
        talk.flush()
        failureOf(writing, TruncationError)
        for later in (talk.ours.write(b"x"), talk.ours.flush(), talk.ours.read()):
            failureOf(later, TruncationError)
        expect(resultOf(talk.ours.close()), None)

    @behaviour(65)
    def test_givenUp(self) -> None:
        """
        A cancelled read loses nothing; a cancelled write ends the connection if
        a part of it was not handed over.
        """
        talk = self.opened()
        reading = talk.ours.readExactly(4)
        talk.theirs.write(b"abc")
        talk.flush()
        reading.cancel()
        failureOf(reading, CancelledError)
        expect(resultOf(talk.ours.read()), b"abc")
        talk.expectUsable()
        data, writing = self.filled(talk)
        writing.cancel()
        failureOf(writing, CancelledError)
        failureOf(talk.ours.write(b"x"), StreamClosedError)
        self.readToTruncation(talk, data)

    @behaviour(66)
    def test_closedBehindCancelled(self) -> None:
        """
        Behind what was cancelled and has ended nothing, a stream is closed in
        good order.
        """
        talk = self.opened()
        reading = talk.ours.read()
        reading.cancel()
        failureOf(reading, CancelledError)
        resultOf(talk.ours.write(b"last words"))
        closing = talk.ours.close()
        talk.flush()
        expect(resultOf(talk.theirs.readExactly(10)), b"last words")
        expect(resultOf(talk.theirs.read()), b"")
        talk.theirs.close()
        talk.flush()
        expect(resultOf(closing), None)

    @behaviour(74)
    def test_noRenegotiation(self) -> None:
        """
        Another handshake that the peer begins in the midst of traffic is refused
        where it is not allowed, and the traffic goes on; in TLS 1.3, which has
        none, a client that has not offered it cannot be asked for more.
        """
        talk = self.opened(None, {"allowRenegotiation": True})
        talk.expectUsable()
        reading = talk.ours.readExactly(2000)
        talk.theirs.write(bytes(2000))
        if self.version is SslProtocols.Tls13:
            failureOf(talk.server.negotiateClientCertificateAsync(), NotSupportedError)
        else:
            # OpenSSL itself does not go on where it is refused.
            talk.wire.stall(talk.near)
            before = talk.wire.sent(talk.near)
            beginHandshake(talk.theirs._protocol.getHandle())
            talk.theirs._protocol.flush()
            talk.flush()
            expect(talk.wire.sent(talk.near) > before, True)
        talk.flush()
        expect(resultOf(reading), bytes(2000))
        expectWaiting(talk.ours.read().addErrback(lambda _: None))
        expect(resultOf(talk.ours.write(b"message")), None)
        if self.version is SslProtocols.Tls13:
            talk.flush()
            expect(resultOf(talk.theirs.readExactly(7)), b"message")

    def nested(self, talk: Talk) -> Talk:
        """
        Another pair of streams, on these.
        """
        inner = Talk(
            talk.wire,
            talk.near,
            self.makeStream(talk.ours, talk.wire.clock),
            SslStream(talk.theirs, clock=talk.wire.clock),
        )
        both = [
            self.authenticate(stream, self.options(isServer))
            for stream, isServer in ((inner.ours, talk.near), (inner.theirs, talk.far))
        ]
        talk.flush()
        expect([resultOf(each) for each in both], [inner.ours, inner.theirs])
        return inner

    @behaviour(75)
    def test_nested(self) -> None:
        """
        Streams on streams carry much each way at once.
        """
        inner = self.nested(self.opened())
        waiting: list[tuple[Deferred[Any], object]] = []
        for one, other in ((inner.ours, inner.theirs), (inner.theirs, inner.ours)):
            waiting += [(one.write(bytes(self.much)), None)]
            waiting += [(other.readExactly(self.much), bytes(self.much))]
        inner.flush()
        for each, result in waiting:
            expect(resultOf(each) == result, True)

    @behaviour(76)
    def test_endBelow(self) -> None:
        """
        When the stream below ends, in order or not, the one on it is truncated,
        on both sides.
        """
        for end in (SslStream.close, SslStream.abort):
            talk = self.opened()
            inner = self.nested(talk)
            reading = [inner.ours.read(), inner.theirs.read()]
            end(talk.theirs)
            talk.flush()
            for each in reading:
                failureOf(each, TruncationError)
            talk.expectGone()

    @behaviour(77)
    def test_presented(self) -> None:
        """
        What the peer has sent of its chain can be seen in its order, apart from
        the chain that was built.
        """
        authority = sharedAuthority()
        middle = authority.intermediate("Middle")
        leaf = middle.issue("localhost" if not self.isServer else "somebody@example.com")
        talk = (
            self.opened({"clientCertificateRequired": True}, {"clientCertificateContext": leaf})
            if self.isServer
            else self.opened(None, {"serverCertificate": leaf})
        )
        chain = talk.ours.remoteChain
        expect(chain.presentedCertificates, (leaf.certificate, middle.certificate))
        expect(
            [each.certificate for each in chain.chainElements],
            [leaf.certificate, middle.certificate, authority.certificate],
        )
