# -*- test-case-name: tests.test_testing_wire -*-
"""
A wire in memory that does what it is told: how it cuts what it carries, when it
delivers it, what it damages, where it stalls and when it breaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from ..sessions import sessions

#: How a wire cuts what it carries: so many bytes at a time, 0 for all that there
#: is; or an iterator of such numbers, one for each delivery, and all that there
#: is from its end on.
Segments = int | Iterator[int]


def randomSegments(seed: int, largest: int = 1500) -> Iterator[int]:
    """
    @param seed: the same numbers come for the same seed.
    @param largest: in bytes.
    @return: numbers for C{segment} of a L{Wire}, without end; every other one is
        of very few bytes.
    """
    random = Random(seed)
    while True:
        yield random.randint(1, 5)
        yield random.randint(1, largest)


@implementer(ITransport)
class MemoryTransport:
    """
    One end of a L{Wire}, and what becomes of what this end sends.  Like a
    socket's, its buffer pauses a producer above 64 KiB, closing waits for the
    buffer, and everything that its protocol is told it is told by L{Wire.step},
    never from within a call.

    @ivar name: C{"client"} or C{"server"}.
    @ivar protocol: who is told what arrives.
    @ivar connected: whether the connection is there.
    @ivar clock: the wire's.
    @ivar delay: how many seconds pass before what is written from now on can
        arrive, and the end of the connection if this end closes it.
    @ivar written: what was written and not delivered.
    @ivar everWritten: all that was ever written.
    @ivar delivered: how many bytes were delivered.
    @ivar isPaused: whether its protocol wants no data.
    @ivar closing: what its protocol will be told when it is closed, if so.
    @ivar host: what C{getHost} returns.
    @ivar peer: what C{getPeer} returns.
    """

    bufferSize = 1 << 16
    disconnecting = False

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        """
        @param clock: tells when what was written can arrive; needed for a
            L{delay} only.
        """
        self.name = name
        self.clock = clock
        self.delay: float = 0
        self.delivered = 0
        self.host: Any = name
        self.peer: Any = f"peer of {name}"
        self.protocol: Any = None
        self.connected = True
        self.isPaused = False
        self.written = bytearray()
        self.everWritten = bytearray()
        self.closing: Exception | None = None
        self.producer: Any = None
        self.producerPaused = False
        # When the latest bytes can arrive, and how many of them then.
        self._underWay: deque[tuple[float, int]] = deque()
        self._closesAt: float | None = None
        self._isHeld = False
        self._stallsAt: int | None = None
        self._loss: tuple[int, type[Exception]] | None = None
        self._damage: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<MemoryTransport {self.name}>"

    def write(self, data: bytes) -> None:
        """
        Send data; see C{ITransport}.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"bytes, not {type(data).__name__}")
        if not self.connected or self.closing is not None:
            return
        self.written += data
        self.everWritten += data
        if self.delay or self._underWay:
            # In a queue, so that nothing overtakes what was written before.
            self._underWay.append((self._arrival(), len(data)))
        if self.producer is not None and len(self.written) > self.bufferSize:
            self._pauseProducer()

    # What becomes of it.

    def stallAt(self, offset: int) -> None:
        """
        Deliver no more than so many bytes of what this end sends, counted from
        the beginning, until L{release}.
        """
        self._stallsAt = offset

    def hold(self) -> None:
        """
        Deliver nothing of what this end sends, and not the end of the
        connection either, until L{release}.
        """
        self._isHeld = True

    def release(self) -> None:
        """
        Deliver everything again.
        """
        self._stallsAt = None
        self._isHeld = False

    def loseAt(self, offset: int, reason: type[Exception] = ConnectionLost) -> None:
        """
        Lose the connection at both ends, with all that is under way, once so
        many bytes of what this end sends have been delivered, counted from the
        beginning.

        @param reason: what both ends are told.
        """
        self._loss = offset, reason

    def damageAt(self, offset: int, mask: int = 1) -> None:
        """
        Deliver the byte at this offset, counted from the beginning, changed.

        @param mask: which of its bits are changed.
        """
        self._damage[offset] = mask

    @property
    def loss(self) -> type[Exception] | None:
        """
        With what the connection is to be lost now, if it is: see L{loseAt}.
        """
        if self._loss is None or self.delivered < self._loss[0]:
            return None
        return self._loss[1]

    @property
    def deliverable(self) -> int:
        """
        How many bytes can be delivered now.
        """
        size = len(self.written)
        if self._loss is None and self._stallsAt is None and not self._underWay:
            # As nearly always, and many times.
            return 0 if self._isHeld else size
        if self._isHeld:
            return 0
        if self._underWay:
            now = self._now()
            while self._underWay and self._underWay[0][0] <= now:
                self._underWay.popleft()
            size -= sum(count for _, count in self._underWay)
        limits = [self._stallsAt, None if self._loss is None else self._loss[0]]
        return min([size, *(limit - self.delivered for limit in limits if limit is not None)])

    @property
    def canEnd(self) -> bool:
        """
        Whether it has been closed and the other end can learn of it now.
        """
        if self.closing is None or self.written or self._isHeld:
            return False
        return self._closesAt is None or self._closesAt <= self._now()

    @property
    def dueTimes(self) -> list[float]:
        """
        When something that is under way can arrive.
        """
        times = [time for time, _ in self._underWay]
        return times if self._closesAt is None else [*times, self._closesAt]

    def taken(self, size: int) -> bytes:
        """
        Take so many bytes out of what was written, damaged as it may be.
        """
        data = self.written[:size]
        del self.written[:size]
        for offset in [each for each in self._damage if each < self.delivered + size]:
            data[offset - self.delivered] ^= self._damage.pop(offset)
        self.delivered += size
        return bytes(data)

    def _now(self) -> float:
        return 0 if self.clock is None else self.clock.seconds()

    def _arrival(self) -> float:
        return self._now() + self.delay

    # What a transport does.

    def _pauseProducer(self) -> None:
        if not self.producerPaused:
            self.producerPaused = True
            self.producer.pauseProducing()

    def drained(self) -> None:
        """
        The buffer has been sent.
        """
        if self.producer is not None and self.producerPaused and not self.written:
            self.producerPaused = False
            self.producer.resumeProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        Send data; see C{ITransport}.
        """
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """
        End the connection once all that was written has arrived.
        """
        if self.closing is None:
            self._close(ConnectionDone("closed"))

    def abortConnection(self) -> None:
        """
        End the connection at once, by a reset.
        """
        self.written.clear()
        self._underWay.clear()
        self._close(ConnectionAborted())

    def _close(self, reason: Exception) -> None:
        self.closing = reason
        self._closesAt = self._arrival() if self.delay else None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        See C{IConsumer}.
        """
        if self.producer is not None:
            raise RuntimeError("there is a producer")
        self.producer = producer
        self.producerPaused = False
        if not self.connected:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self.producer = None

    def pauseProducing(self) -> None:
        """
        Have nothing delivered to this end.
        """
        self.isPaused = True

    def resumeProducing(self) -> None:
        """
        Have data delivered to this end again.
        """
        self.isPaused = False

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.loseConnection()

    def lost(self, reason: Exception) -> None:
        """
        The connection is gone.
        """
        self.connected = False
        self.written.clear()
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Some applications insist on being able to say so.
        """

    def getPeer(self) -> Any:
        """
        See C{ITransport}.
        """
        return self.peer

    def getHost(self) -> Any:
        """
        See C{ITransport}.
        """
        return self.host


def passTime(
    clock: Clock,
    seconds: float,
    ends: Iterable[MemoryTransport],
    flush: Callable[[], object],
) -> None:
    """
    Let so much time pass, from one moment at which something is to happen to the
    next.

    @param ends: of all wires that have this clock.
    @param flush: lets happen what happens without time.
    """
    end = clock.seconds() + seconds
    flush()
    while True:
        now = clock.seconds()
        times = [call.getTime() for call in clock.getDelayedCalls()]
        times += [time for each in ends for time in each.dueTimes]
        ahead = [time for time in times if now < time <= end]
        if not ahead:
            break
        clock.advance(min(ahead) - now)
        flush()
    clock.advance(max(end - now, 0))
    flush()


class Wire:
    """
    Two transports in memory.

    @ivar client: the one end.
    @ivar server: the other.
    @ivar segment: see L{Segments}.
    @ivar observer: is told what is delivered: from which end, and what; or
        L{None}.
    """

    client: MemoryTransport
    server: MemoryTransport

    def __init__(
        self, segment: Segments = 0, keepsSessions: bool = False, clock: Clock | None = None
    ) -> None:
        """
        @param keepsSessions: whether a client on this wire may go on with a
            session that began on another; otherwise this process forgets all of
            them now.
        @param clock: a new one unless given.
        """
        if not keepsSessions:
            sessions.clear()
        self._clock = clock or Clock()
        self.client, self.server = self.makeEnds(self._clock)
        self.segment = segment
        self.observer: Callable[[MemoryTransport, bytes], object] | None = None

    def makeEnds(self, clock: Clock) -> tuple[MemoryTransport, MemoryTransport]:
        """
        @return: the transports of the client and of the server.
        """
        return MemoryTransport("client", clock), MemoryTransport("server", clock)

    @property
    def clock(self) -> Clock:
        """
        The clock of everything on this wire.
        """
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = self.client.clock = self.server.clock = clock

    @property
    def ends(self) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Both ends.
        """
        return self.client, self.server

    def connect(self, client: Any, server: Any) -> None:
        """
        Connect two protocols.
        """
        self.client.protocol = client
        self.server.protocol = server
        server.makeConnection(self.server)
        client.makeConnection(self.client)

    # How it goes on.

    def step(self) -> bool:
        """
        Let the clock do what is due, and move one segment each way.

        @return: whether anything moved.
        """
        self.clock.advance(0)
        ways = ((self.client, self.server), (self.server, self.client))
        for end in self.ends:
            if end.connected and end.loss is not None:
                self.cut(end.loss)
                return True
        moved = [self.deliver(one, other) for one, other in ways]
        moved += [self.close(one, other) for one, other in ways]
        return any(moved)

    def flush(self, limit: int = 10_000_000) -> None:
        """
        Go on until nothing moves any more.  What is delayed stays under way.

        @raise AssertionError: it moves still after so many steps.
        """
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the wire does not come to rest")

    def advance(self, seconds: float) -> None:
        """
        Let so much time pass, and everything happen at its time.
        """
        passTime(self.clock, seconds, self.ends, self.flush)

    def cut(self, reason: type[Exception] = ConnectionLost) -> None:
        """
        Lose the connection at both ends at once, with all that is under way.
        """
        for end in self.ends:
            if end.connected:
                end.lost(reason())

    # For subclasses.

    def deliver(self, source: Any, target: Any) -> bool:
        """
        Move one segment.

        @return: whether there was something to move.
        """
        if not source.written or target.isPaused or not target.connected:
            if source.written and not target.connected:
                source.written.clear()
            return False
        room = source.deliverable
        if room <= 0:
            return False
        segment = self.segment if isinstance(self.segment, int) else next(self.segment, 0)
        data = source.taken(min(segment or room, room))
        if self.observer is not None:
            self.observer(source, data)
        target.protocol.dataReceived(data)
        source.drained()
        return True

    def close(self, one: Any, other: Any) -> bool:
        """
        Tell both ends if one has been closed and all that it sent has arrived.

        @return: whether it was so.
        """
        if not one.connected or not one.canEnd:
            return False
        reason = one.closing
        one.lost(reason)
        if other.connected and not other.isPaused:
            isReset = isinstance(reason, ConnectionAborted)
            other.lost(ConnectionLost("reset") if isReset else ConnectionDone("closed by the peer"))
        elif other.connected:
            other.closing = other.closing or ConnectionDone("the other end closed")
        return True
