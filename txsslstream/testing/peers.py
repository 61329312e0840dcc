# -*- test-case-name: tests.test_testing_peers -*-
"""
Peers that misbehave on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from .._openssl import beginHandshake
from ..enums import TlsAlert
from ..options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from ..protocol import SslStreamFactory
from ..records import APPLICATION_DATA, HANDSHAKE, HEADER_SIZE, alertRecord
from ..stream import SslStream
from .applications import HalfCloseableApplication
from .messages import record
from .streams import Bystander
from .wire import Segments, Wire

Options = SslClientAuthenticationOptions | SslServerAuthenticationOptions

#: What a web server says to somebody who speaks TLS where it expects a request.
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@implementer(ITransport)
class _Filter:
    """
    The transport of a misbehaving peer's TLS, which puts its records into the
    hands of the peer.
    """

    def __init__(self, transport: Any, send: Callable[[bytes], None]) -> None:
        self._transport = transport
        self._send = send
        self._pending = b""

    def write(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= HEADER_SIZE:
            size = HEADER_SIZE + int.from_bytes(self._pending[3:HEADER_SIZE], "big")
            if len(self._pending) < size:
                break
            whole, self._pending = self._pending[:size], self._pending[size:]
            self._send(whole)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class MisbehavingPeer(Protocol):
    """
    Somebody who misbehaves in one way.  The class methods say in which; each
    makes a protocol for one connection, on a L{Wire}, from a L{MemoryEndpoint}
    or, in a C{Factory}, on a port of a reactor's.

    Where a method takes options, the peer is their client or server, and proper
    but for what the method says.

    @ivar received: all that came over the wire.
    @ivar application: what its TLS has told, if it has any.
    @ivar reason: why the connection ended; L{None}: it has not.
    """

    transport: Any

    def __init__(
        self,
        options: Options | None = None,
        *,
        send: Callable[[MisbehavingPeer, int, bytes], None] | None = None,
        react: Callable[[MisbehavingPeer], object] | None = None,
        atOnce: bool = False,
    ) -> None:
        """
        @param options: for a peer with TLS.
        @param send: does something with a record that TLS wants to send, which
            it gets with the number of those before: L{send} as a rule.
        @param react: does something when the peer is authenticated; without
            options when something has come.
        @param atOnce: whether that is done as soon as there is a connection.
        """
        self.received = bytearray()
        self.reason: Failure | None = None
        self.application = HalfCloseableApplication()
        self._options = options
        self._change = send
        self._react = react
        self._isAtOnce = atOnce
        self._records = 0
        self._tls: Any = None

    # Without TLS.

    @classmethod
    def silent(cls) -> MisbehavingPeer:
        """
        Never says anything.
        """
        return cls()

    @classmethod
    def closes(cls, reset: bool = False, atOnce: bool = False) -> MisbehavingPeer:
        """
        Ends the connection when something has come.

        @param reset: whether by a reset.
        @param atOnce: whether as soon as there is a connection.
        """
        return cls(
            react=lambda peer: (
                peer.transport.abortConnection() if reset else peer.transport.loseConnection()
            ),
            atOnce=atOnce,
        )

    @classmethod
    def says(cls, data: bytes = HTTP, atOnce: bool = False) -> MisbehavingPeer:
        """
        Says something that is no TLS when something has come.

        @param atOnce: whether as soon as there is a connection.
        """
        return cls(react=lambda peer: peer.transport.write(data), atOnce=atOnce)

    @classmethod
    def sendsAlert(cls, alert: TlsAlert, atOnce: bool = False) -> MisbehavingPeer:
        """
        Sends a fatal alert when something has come.

        @param atOnce: whether as soon as there is a connection.
        """
        return cls.says(alertRecord(alert), atOnce)

    @classmethod
    def sendsGarbage(cls, size: int = 1000, seed: int = 0, atOnce: bool = False) -> MisbehavingPeer:
        """
        Sends a handshake record of random bytes when something has come.

        @param size: in bytes, at most 16384.
        @param seed: the same bytes come for the same seed.
        @param atOnce: whether as soon as there is a connection.
        """
        return cls.says(record(HANDSHAKE, Random(seed).randbytes(size)), atOnce)

    @classmethod
    def sendsOverlongRecord(cls, atOnce: bool = False) -> MisbehavingPeer:
        """
        Sends a record that is longer than any may be when something has come.

        @param atOnce: whether as soon as there is a connection.
        """
        return cls.says(record(HANDSHAKE, bytes(0xFFFF)), atOnce)

    # In the handshake.

    @classmethod
    def stopsAfter(cls, options: Options, records: int) -> MisbehavingPeer:
        """
        Sends so many records and then nothing more.
        """

        def send(peer: MisbehavingPeer, number: int, data: bytes) -> None:
            if number < records:
                peer.send(data)

        return cls(options, send=send)

    @classmethod
    def truncatesAfter(cls, options: Options, records: int, part: int = 0) -> MisbehavingPeer:
        """
        Sends so many records and then ends the connection.

        @param part: how many bytes of the next record it sends before.
        """

        def send(peer: MisbehavingPeer, number: int, data: bytes) -> None:
            peer.send(data if number < records else data[:part])
            if number == records:
                peer.transport.loseConnection()

        return cls(options, send=send)

    @classmethod
    def damages(cls, options: Options, number: int) -> MisbehavingPeer:
        """
        Sends a record of which the last bit is wrong.

        @param number: how many records go before.
        """

        def send(peer: MisbehavingPeer, at: int, data: bytes) -> None:
            peer.send(data[:-1] + bytes((data[-1] ^ 1,)) if at == number else data)

        return cls(options, send=send)

    @classmethod
    def sendsDataEarly(cls, options: Options, data: bytes = b"early") -> MisbehavingPeer:
        """
        Sends application data, not encrypted, before the handshake is over.
        """

        def send(peer: MisbehavingPeer, number: int, whole: bytes) -> None:
            peer.send(whole)
            if number == 0:
                peer.send(record(APPLICATION_DATA, data))

        return cls(options, send=send)

    # When it is authenticated.

    @classmethod
    def drops(cls, options: Options, data: bytes = b"") -> MisbehavingPeer:
        """
        Ends the connection without C{close_notify} once it is authenticated.

        @param data: what it says before.
        """

        def react(peer: MisbehavingPeer) -> None:
            peer.say(data)
            peer.transport.loseConnection()

        return cls(options, react=react)

    @classmethod
    def neverCloses(cls, options: Options, data: bytes = b"") -> MisbehavingPeer:
        """
        Never answers C{close_notify}.

        @param data: what it says when it is authenticated.
        """
        return cls(options, react=lambda peer: peer.say(data))

    @classmethod
    def sendsTinyRecords(cls, options: Options, data: bytes) -> MisbehavingPeer:
        """
        Says something in records of one byte each once it is authenticated.
        """

        def react(peer: MisbehavingPeer) -> None:
            for start in range(len(data)):
                peer.say(data[start : start + 1])

        return cls(options, react=react)

    @classmethod
    def floods(cls, options: Options, size: int) -> MisbehavingPeer:
        """
        Sends so many bytes once it is authenticated, whether or not they are
        read.
        """
        return cls(options, react=lambda peer: peer.say(bytes(size)))

    @classmethod
    def renegotiates(cls, options: Options) -> MisbehavingPeer:
        """
        Begins another handshake once it is authenticated, before TLS 1.3 (RFC
        5246 section 7.4.1.1).
        """

        def react(peer: MisbehavingPeer) -> None:
            beginHandshake(peer._tls.getHandle())
            peer._tls.flush()

        return cls(replace(options, allowRenegotiation=True), react=react)

    # For behaviours of one's own.

    def send(self, data: bytes) -> None:
        """
        Send bytes as they are.
        """
        self.transport.write(data)

    def say(self, data: bytes) -> None:
        """
        Send data through TLS, in records of its own.
        """
        self._tls.write(data)
        self._tls.flush()

    # The protocol.

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        if self._options is not None:
            self._begin(self._options)
        elif self._isAtOnce:
            self._now()

    def _begin(self, options: Options) -> None:
        self.application.reactions["handshake"] = lambda _: self._now()
        factory = SslStreamFactory(
            options,
            isinstance(options, SslClientAuthenticationOptions),
            Factory.forProtocol(lambda: self.application),
            getattr(self.transport, "clock", None),
        )
        self._tls = factory.buildProtocol(None)
        self._tls.makeConnection(_Filter(self.transport, self._sends))

    def _sends(self, data: bytes) -> None:
        number = self._records
        self._records += 1
        if self._change is None:
            self.send(data)
        else:
            self._change(self, number, data)

    def _now(self) -> None:
        react, self._react = self._react, None
        if react is not None:
            react(self)

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        self.received += data
        if self._tls is None:
            self._now()
        else:
            self._tls.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        self.reason = reason
        if self._tls is not None:
            self._tls.connectionLost(reason)


@dataclass(frozen=True)
class Confrontation:
    """
    A stream and who misbehaves to it.

    @ivar stream: not authenticated yet.
    @ivar peer: the other end.
    @ivar wire: what is between them.
    """

    stream: SslStream
    peer: Any
    wire: Wire

    @property
    def clock(self) -> Clock:
        """
        The clock of all three.
        """
        return self.wire.clock

    def flush(self) -> None:
        """
        Let everything that is under way arrive, without any time passing.
        """
        self.wire.flush()

    def advance(self, seconds: float) -> None:
        """
        Let so much time pass, and everything happen at its time.
        """
        self.wire.advance(seconds)


def streamFacing(
    peer: Any,
    isServer: bool = False,
    *,
    segment: Segments = 0,
    clock: Clock | None = None,
    **arguments: Any,
) -> Confrontation:
    """
    Connect a stream with somebody in memory.

    @param peer: a protocol, such as a L{MisbehavingPeer}.
    @param isServer: whether the stream will be the server.
    @param segment: see L{Wire}.
    @param clock: a new one unless given.
    @param arguments: of L{SslStream}.
    """
    wire = Wire(segment, clock=clock)
    ours = Bystander()
    wire.connect(*((peer, ours) if isServer else (ours, peer)))
    stream = SslStream(wire.server if isServer else wire.client, clock=wire.clock, **arguments)
    return Confrontation(stream, peer, wire)
