# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: connections that end without a word, and streams that end before
their connection does.
"""

from __future__ import annotations

from .._sides import Reader
from ..errors import (
    HandshakeInterrupted,
    InvalidOperationError,
    StreamClosedError,
    TlsError,
    TruncationError,
)
from .conforming import (
    GARBAGE,
    ConformanceCase,
    behaviour,
    expect,
    expectWaiting,
    forget,
    patterned,
)
from .outcomes import failureOf, resultOf

#: Who does without C{close_notify}.
_TOLERANT = {"requireCloseNotify": False}


class Truncating(ConformanceCase):
    """
    Tests for broken connections, and for what is left open.
    """

    @behaviour(83, 107)
    def test_truncated(self) -> None:
        """
        A connection that ends without C{close_notify} is truncated, for a read
        that waits and for all that follow, and for whoever writes.
        """
        for way in ("end", "reset"):
            talk = self.opened()
            talk.theirs.write(b"arrived")
            talk.flush()
            expect(resultOf(talk.ours.read(4)), b"arri")
            reading = talk.ours.readExactly(4)
            getattr(talk.wire, way)(talk.far)
            talk.flush()
            error = failureOf(reading, TruncationError)
            expect(resultOf(talk.ours.read()), b"ved")
            for later in (talk.ours.read(), talk.ours.readUntil(b"\n")):
                expect(failureOf(later, TruncationError) is error, True)
            failureOf(talk.ours.write(b"x"), TruncationError)
            talk.expectGone()

    @behaviour(84)
    def test_tolerated(self) -> None:
        """
        Who does without C{close_notify} takes an orderly end of the transport
        for the end, but can write no more; a reset is a truncation.
        """
        talk = self.opened(_TOLERANT)
        reading = talk.ours.read()
        talk.wire.end(talk.far)
        talk.flush()
        for each in (reading, talk.ours.read()):
            expect(resultOf(each), b"")
        failureOf(talk.ours.write(b"x"), TlsError)
        if talk.wire.hasResets:
            talk = self.opened(_TOLERANT)
            reading = talk.ours.read()
            talk.wire.reset(talk.far)
            talk.flush()
            failureOf(reading, TruncationError)

    @behaviour(85, 87)
    def test_table(self) -> None:
        """
        Each side decides for itself whether it needs C{close_notify}; an end
        with it is clean for everybody.
        """
        for ours, theirs in ((None, None), (None, _TOLERANT), (_TOLERANT, None)):
            for isPolite in (True, False):
                talk = self.opened(ours, theirs)
                reading = talk.ours.read()
                if isPolite:
                    talk.theirs.close()
                else:
                    talk.wire.end(talk.far)
                talk.flush()
                if isPolite or ours is not None:
                    expect(resultOf(reading), b"")
                else:
                    failureOf(reading, TruncationError)
                talk.ours.close()

    @behaviour(86)
    def test_noHandshake(self) -> None:
        """
        A handshake that is cut off is interrupted, also for those who do without
        C{close_notify}.
        """
        for ours in (None, _TOLERANT):
            talk, one, other = self.begun(ours)
            forget(other)
            talk.wire.stall(talk.near)
            talk.flush()
            talk.wire.end(talk.far)
            talk.wire.release(talk.near)
            talk.flush()
            failureOf(one, HandshakeInterrupted)
            failureOf(talk.ours.read(), HandshakeInterrupted)

    @behaviour(88)
    def test_insideRecord(self) -> None:
        """
        An end inside of a record is a truncation for everybody, and nothing of
        that record is read.
        """
        for ours in (None, _TOLERANT):
            for part in (1, 5, 20):
                talk = self.opened(ours)
                talk.wire.inject(talk.far, GARBAGE[:part])
                talk.flush()
                talk.wire.end(talk.far)
                talk.flush()
                failureOf(talk.ours.read(), TruncationError)

    @behaviour(96)
    def test_readToTheEnd(self) -> None:
        """
        When the connection ends, all that has come can be read, be it more than
        a stream takes unread, and then the end, clean or not.
        """
        data = patterned(2 * Reader.HIGH_WATER)
        for isPolite in (True, False):
            talk = self.opened()
            forget(talk.theirs.write(data))
            talk.flush()
            if isPolite:
                talk.theirs.close()
            else:
                talk.wire.end(talk.far)
            talk.flush()
            received = b""
            while len(received) < len(data):
                received += resultOf(talk.ours.read(50_000))
                talk.flush()
            expect(received == data, True)
            if isPolite:
                expect(resultOf(talk.ours.read()), b"")
            else:
                failureOf(talk.ours.read(), TruncationError)

    @behaviour(97, 98)
    def test_unwrap(self) -> None:
        """
        Unwrapping ends the stream and gives the inner transport back, with what
        the peer has sent behind its own end, and both go on in the clear.
        """
        talk = self.opened(leaveInnerStreamOpen=True)
        reading = talk.ours.read()
        other = talk.theirs.unwrap()
        talk.wire.inject(talk.far, b"trailing")
        talk.flush()
        expect(resultOf(reading), b"")
        expectWaiting(other)
        talk.wire.inject(talk.far, b", more")
        talk.flush()
        unwrapping = talk.ours.unwrap()
        talk.flush()
        _, trailing = resultOf(unwrapping)
        expect(trailing + talk.wire.heard(talk.near), b"trailing, more")
        expect(resultOf(other)[1], b"")
        for one, two in ((talk.near, talk.far), (talk.far, talk.near)):
            talk.wire.inject(one, b"in the clear")
            talk.flush()
            expect(talk.wire.heard(two).endswith(b"in the clear"), True)
        expect(talk.wire.isConnected(talk.near), True)

    @behaviour(99)
    def test_unwrapTogether(self) -> None:
        """
        Both may unwrap at once, and each as often as it likes; a stream that is
        closed, not authenticated or not to leave its transport open refuses.
        """
        talk = self.opened(leaveInnerStreamOpen=True)
        both = [talk.ours.unwrap(), talk.theirs.unwrap(), talk.ours.unwrap()]
        talk.flush()
        found = [resultOf(each) for each in (*both, talk.ours.unwrap())]
        expect([trailing for _, trailing in found], [b""] * 4)
        expect(all(each[0] is found[0][0] for each in (found[2], found[3])), True)
        failureOf(self.opened().ours.unwrap(), InvalidOperationError)
        talk = self.pair(leaveInnerStreamOpen=True)
        failureOf(talk.ours.unwrap(), InvalidOperationError)
        talk.ours.close()
        failureOf(talk.ours.unwrap(), StreamClosedError)

    @behaviour(100)
    def test_unwrapTruncated(self) -> None:
        """
        A connection that ends meanwhile fails it, also where reading does
        without C{close_notify}.
        """
        for ours in (None, _TOLERANT):
            talk = self.opened(ours, leaveInnerStreamOpen=True)
            unwrapping = talk.ours.unwrap()
            talk.flush()
            talk.wire.end(talk.far)
            talk.flush()
            failureOf(unwrapping, TruncationError)

    @behaviour(101)
    def test_garbageWhileClosing(self) -> None:
        """
        Bytes that are no TLS do not keep us from closing; an application hears
        of them as the reason of the end, once.
        """
        talk = self.opened()
        closing = talk.ours.close()
        talk.wire.inject(talk.far, GARBAGE)
        talk.flush()
        expect(resultOf(closing), None)
        failureOf(talk.ours.read(), StreamClosedError)
        both = self.connected()
        both.ours.transport.loseConnection()
        both.wire.inject(both.far, GARBAGE)
        both.flush()
        self.lost(both, both.ours, TlsError)

    @behaviour(102)
    def test_behindCloseNotify(self) -> None:
        """
        What the peer sends behind its C{close_notify} is nothing to the stream,
        on which we may still write.
        """
        talk = self.opened()
        talk.theirs.write(b"last words")
        resultOf(talk.theirs.shutdown())
        talk.wire.inject(talk.far, GARBAGE)
        talk.flush()
        expect(resultOf(talk.ours.readExactly(10)), b"last words")
        expect([resultOf(talk.ours.read()) for _ in range(2)], [b""] * 2)
        talk.say(talk.ours, talk.theirs, b"answer")
