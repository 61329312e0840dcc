"""
What is between the two ends in L{tests.campaigns.interleavings}: a clock that
reorders turns, and a wire that does whatever a network or somebody in between
can do, and what a peer can do that knows its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from txsslstream import TlsAlert
from txsslstream.records import ALERT, APPLICATION_DATA, HANDSHAKE, alertRecord
from txsslstream.testing import MemoryTransport, Wire
from txsslstream.testing.messages import record

from ..forging import Forger, expandLabel

#: How long a turn of the reactor takes, in seconds; what is due at the same time
#: is done in any order within less.
TURN = 1e-6

#: So many messages without data may come in a row, and some more.
MOST_IDLE = 25

_KEY_UPDATE = 24
_CLOSE_NOTIFY = 0


class SeededClock(Clock):
    """
    One on which calls for the same time come in an order of its own.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """
        See C{IReactorTime}.
        """
        jitter = TURN * (0.01 + 0.9 * self._random.random())
        return super().callLater(delay + jitter, callable, *args, **kw)

    def isDue(self) -> bool:
        """
        Whether something is to be done in this turn.
        """
        end = self.seconds() + TURN
        return any(call.getTime() <= end for call in self.getDelayedCalls())


class Relay:
    """
    Has the keys of what one end sends (TLS 1.3), and puts something in between.

    @ivar idle: so many messages without data have been put in in a row.
    """

    def __init__(self, isServer: bool) -> None:
        self.idle = 0
        self._isServer = isServer
        self._label = b"%s_TRAFFIC_SECRET_0 " % (b"SERVER" if isServer else b"CLIENT")
        self._secret: bytes | None = None
        self._forger: Forger | None = None
        self._use(bytes(48))

    def _use(self, secret: bytes) -> None:
        self._number = 0
        self._current = secret
        self._aead = AESGCM(expandLabel(secret, b"key", 32))
        self._iv = int.from_bytes(expandLabel(secret, b"iv", 12), "big")

    def log(self, line: bytes) -> None:
        """
        Take a line of a key log.
        """
        if line.startswith(self._label):
            self._secret = bytes.fromhex(line.split()[2].decode("ascii"))
            self._use(self._secret)

    def passed(self, data: bytes) -> bytes:
        """
        @param data: whole records.
        @return: what goes on.
        """
        if self._secret is None:
            return data
        output = []
        while data:
            end = 5 + int.from_bytes(data[3:5], "big")
            output.append(self._passed(data[:end]))
            data = data[end:]
        return b"".join(output)

    def _passed(self, whole: bytes) -> bytes:
        if whole[0] != APPLICATION_DATA:
            return whole
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        try:
            inner = self._aead.decrypt(nonce, whole[5:], whole[:5]).rstrip(b"\0")
        except InvalidTag:
            # The handshake is not over.
            return whole
        self._number += 1
        if self._forger is None:
            self._forger = Forger(None, self._isServer, self._secret)
        kind, data = inner[-1], inner[:-1]
        if kind == APPLICATION_DATA and data:
            self.idle = 0
        forged = self._forger.record(kind, data)
        if kind == HANDSHAKE and data[0] == _KEY_UPDATE:
            self._use(expandLabel(self._current, b"traffic upd", 48))
            self._forger.update()
        return forged

    def said(self, what: str, number: int) -> bytes:
        """
        @return: records of the peer's.
        """
        forger = self._forger
        if forger is None:
            return b""
        if what == "secretAlert":
            alert = list(TlsAlert)[number % len(TlsAlert)]
            return forger.record(ALERT, bytes((2, alert)))
        if what == "secretClose":
            return forger.record(ALERT, bytes((1, _CLOSE_NOTIFY)))
        self.idle += number
        if what == "rekey":
            return forger.keyUpdates(number, bool(number % 2))
        return forger.records(APPLICATION_DATA, *[b""] * number)


class FaultyTransport(MemoryTransport):
    """
    One end of a L{FaultyWire}.

    @ivar losses: how often its protocol has been told of its end.
    @ivar isHeldUp: whether nothing that it sends arrives, nor its end.
    @ivar relay: see L{Relay}; L{None}: everything goes as it is.
    @ivar ending: what its protocol is still to be told, for the other end is
        gone.
    """

    relay: Relay | None = None
    losses = 0
    isHeldUp = False
    ending: Exception | None = None
    _latest = 0

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        if self.relay is not None and self.closing is None:
            data = self.relay.passed(data)
        self._latest = len(data)
        super().write(data)

    def lost(self, reason: Exception) -> None:
        """
        The connection is gone.
        """
        self.losses += 1
        self.closing = self.closing or reason
        super().lost(reason)

    def inject(self, data: bytes) -> None:
        """
        Put something behind what was written.
        """
        if self.connected and self.closing is None:
            self.written += data

    def forget(self) -> None:
        """
        Lose what was written last.
        """
        if self._latest:
            del self.written[-self._latest :]
            self._latest = 0


class FaultyWire(Wire):
    """
    What is between the two ends.

    @ivar random: for what is garbage.
    """

    client: Any
    server: Any

    def __init__(self, seed: int, clock: SeededClock) -> None:
        super().__init__(keepsSessions=True, clock=clock)
        self.random = Random(seed)

    def makeEnds(self, clock: Clock) -> tuple[MemoryTransport, MemoryTransport]:
        """
        See C{Wire}.
        """
        return FaultyTransport("client", clock), FaultyTransport("server", clock)

    def other(self, end: Any) -> Any:
        """
        @return: the other end.
        """
        return self.server if end is self.client else self.client

    def move(self, source: Any, size: int) -> bool:
        """
        Deliver at most so many bytes, 0 for all.

        @return: whether there were any.
        """
        target = self.other(source)
        if source.isHeldUp or target.protocol is None:
            return False
        self.segment = size
        return self.deliver(source, target)

    def end(self, one: Any) -> bool:
        """
        Let an end be gone that is closed and has sent everything, and learn of
        the other's end.

        @return: whether it was so.
        """
        other = self.other(one)
        if one.protocol is None or not one.connected:
            return False
        if one.ending is not None and not one.isPaused and not other.isHeldUp:
            one.lost(one.ending)
            return True
        if one.closing is None or one.written:
            return False
        isReset = isinstance(one.closing, ConnectionAborted)
        other.ending = ConnectionLost("reset") if isReset else ConnectionDone("closed")
        one.lost(one.closing)
        return True

    def pump(self) -> None:
        """
        Go on until nothing moves and nothing is due.

        @raise AssertionError: that takes too long.
        """
        clock: Any = self.clock
        for _ in range(20_000):
            moved = [self.move(end, 0) for end in self.ends] + [self.end(end) for end in self.ends]
            if not any(moved) and not clock.isDue():
                return
            clock.advance(TURN)
        raise AssertionError("it does not come to rest")

    def fault(self, source: Any, what: str, number: int) -> None:
        """
        Do what a network, or somebody in between, may do.
        """
        if what == "cut":
            self.lose()
        elif what == "reset":
            if source.connected and source.protocol is not None:
                self.other(source).ending = ConnectionLost("reset")
                source.lost(ConnectionLost("reset"))
        elif what == "corrupt":
            ahead = number % len(source.written) if source.written else number
            source.damageAt(source.delivered + ahead, 1 << number % 8)
        elif what == "drop":
            source.forget()
        elif what == "alert":
            alerts = list(TlsAlert)
            source.inject(alertRecord(alerts[number % len(alerts)]))
        elif what == "garbage":
            source.inject(self._garbage(number))
        elif what == "hold":
            source.isHeldUp = True
        else:
            source.isHeldUp = False

    def _garbage(self, number: int) -> bytes:
        kinds = (HANDSHAKE, APPLICATION_DATA, ALERT, self.random.randrange(256))
        data = self.random.randbytes(1 + number)
        return data if number % 5 == 0 else record(kinds[number % 4], data)

    def lose(self) -> None:
        """
        Lose the connection at both ends.
        """
        for end in self.ends:
            if end.connected and end.protocol is not None:
                end.lost(ConnectionLost())
