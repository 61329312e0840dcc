# -*- test-case-name: tests.test_testing_wires -*-
"""
What carries bytes between a client and a server that are put to the test, for
L{txsslstream.testing.conformance}: in memory, or through another TLS.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface, implementer

from ..protocol import SslStreamFactory
from ..stream import SslStream
from .authority import sharedAuthority
from .outcomes import resultOf
from .wire import Segments, Wire


class ITestWire(Interface):
    """
    One connection between a client and a server, which does what a test tells
    it, and moves nothing by itself.  C{isServer} says which end is meant.
    """

    clock: IReactorTime = Attribute("The time of both ends, as C{IReactorTime}.")
    hasResets: bool = Attribute("Whether a reset and an orderly end can be told apart.")

    def connect(client: Any, server: Any) -> None:
        """
        Connect two protocols: each gets its transport by C{makeConnection}, the
        server first.  Called once, unless L{transports} is.
        """

    def transports() -> tuple[Any, Any]:
        """
        Connect two protocols that do nothing but listen: what they hear is told
        by L{heard} and L{losses}.

        @return: the client's transport and the server's, on which streams can be
            made.
        """

    def heard(isServer: bool) -> bytes:
        """
        @return: what has arrived at that end of L{transports} and was no
            stream's.
        """

    def losses(isServer: bool) -> list[Failure]:
        """
        @return: each reason with which that end of L{transports} has heard that
            its connection is gone.
        """

    def flush() -> None:
        """
        Let everything that is under way arrive, without any time passing.
        """

    def advance(seconds: float) -> None:
        """
        Let so much time pass, and everything happen at its time.
        """

    def stall(isServer: bool) -> None:
        """
        Deliver nothing of what that end sends, until L{release}.
        """

    def release(isServer: bool) -> None:
        """
        Deliver everything that it sends again.
        """

    def inject(isServer: bool, data: bytes) -> None:
        """
        Send bytes as they are from that end, behind what it has sent.
        """

    def end(isServer: bool) -> None:
        """
        End the connection from that end, in order, once what it has sent is out.
        """

    def reset(isServer: bool) -> None:
        """
        End it from that end at once.
        """

    def isConnected(isServer: bool) -> bool:
        """
        @return: whether that end has its connection.
        """

    def sent(isServer: bool) -> int:
        """
        @return: how many bytes that end has given away so far.
        """

    def everSent(isServer: bool) -> bytes | None:
        """
        @return: which; L{None}: that cannot be looked at.
        """

    def close() -> None:
        """
        Abort what is left, and give back what was taken from the system.
        """


def oneByOne(many: int = 10_000, then: int = 997) -> Segments:
    """
    @param many: how many deliveries are of one byte each.
    @param then: of how many bytes those that follow are.
    @return: for a C{segment}: handshakes and conversations arrive byte by byte,
        and the rest of what is large before the tests are given up.
    """
    return chain(repeat(1, many), repeat(then))


class Listener(Protocol):
    """
    The protocol that a transport has before a stream is made on it.

    @ivar received: what it has been given.
    @ivar losses: why its connection ended, each time that it was told so.
    """

    def __init__(self) -> None:
        self.received = b""
        self.losses: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it.
        """
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Keep the reason.
        """
        self.losses.append(reason)


class TransportWire:
    """
    What wires have in common whose ends are transports that can be written to,
    closed and aborted.

    @ivar ends: those transports, once they are there: the client's, the
        server's.
    """

    hasResets = True

    def __init__(self) -> None:
        self.ends: list[Any] = []
        self._listeners = Listener(), Listener()

    def connect(self, client: Any, server: Any) -> None:
        """
        See L{ITestWire}.
        """
        raise NotImplementedError

    def transports(self) -> tuple[Any, Any]:
        """
        See L{ITestWire}.
        """
        self.connect(*self._listeners)
        client, server = (each.transport for each in self._listeners)
        return client, server

    def heard(self, isServer: bool) -> bytes:
        """
        See L{ITestWire}.
        """
        return self._listeners[isServer].received

    def losses(self, isServer: bool) -> list[Failure]:
        """
        See L{ITestWire}.
        """
        return self._listeners[isServer].losses

    def inject(self, isServer: bool, data: bytes) -> None:
        """
        See L{ITestWire}.
        """
        self.ends[isServer].write(data)

    def end(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self.ends[isServer].loseConnection()

    def reset(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self.ends[isServer].abortConnection()

    def isConnected(self, isServer: bool) -> bool:
        """
        See L{ITestWire}.
        """
        return bool(self.ends[isServer].connected)


@implementer(ITestWire)
class MemoryTestWire(TransportWire):
    """
    A L{Wire}.

    @cvar wireClass: what is made for it.
    @ivar wire: that.
    """

    wireClass: type[Wire] = Wire

    def __init__(self, segment: Segments = 0) -> None:
        """
        @param segment: see L{Wire}.
        """
        super().__init__()
        self.wire = self.wireClass(segment, keepsSessions=True)
        self.clock = self.wire.clock
        self.ends = list(self.wire.ends)

    def connect(self, client: Any, server: Any) -> None:
        """
        See L{ITestWire}.
        """
        self.wire.connect(client, server)

    def flush(self) -> None:
        """
        See L{ITestWire}.
        """
        self.wire.flush()

    def advance(self, seconds: float) -> None:
        """
        See L{ITestWire}.
        """
        self.wire.advance(seconds)

    def stall(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self.ends[isServer].hold()

    def release(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self.ends[isServer].release()

    def sent(self, isServer: bool) -> int:
        """
        See L{ITestWire}.
        """
        return len(self.ends[isServer].everWritten)

    def everSent(self, isServer: bool) -> bytes | None:
        """
        See L{ITestWire}.
        """
        return bytes(self.ends[isServer].everWritten)

    def close(self) -> None:
        """
        See L{ITestWire}.
        """
        self.wire.cut()
        self.wire.flush()
        for end in self.wire.ends:
            # As those of a reactor do when they are lost.
            end.protocol = None


class TLSTestWire(MemoryTestWire):
    """
    Another TLS, on a wire in memory: streams are made on its streams, and
    protocols get the transport that any application gets.  What it is told
    about an end it does to that TLS.
    """

    def __init__(self, segment: Segments = 0) -> None:
        """
        @param segment: see L{Wire}.
        """
        super().__init__(segment)
        self._tls: list[Any] = []
        self._streams: list[SslStream] = []
        self._taken = [b"", b""]

    def connect(self, client: Any, server: Any) -> None:
        """
        See L{ITestWire}.
        """
        authority = sharedAuthority()
        factories = [
            SslStreamFactory(options, isClient, Factory.forProtocol(Protocol), self.clock)
            for options, isClient in (
                (authority.clientOptions(allowTlsResume=False), True),
                (authority.serverOptions(allowTlsResume=False), False),
            )
        ]
        self._tls = [factory.buildProtocol(None) for factory in factories]
        super().connect(*self._tls)
        self.flush()
        for tls, protocol in ((self._tls[1], server), (self._tls[0], client)):
            tls.wrappedProtocol = protocol
            protocol.makeConnection(tls)

    def transports(self) -> tuple[Any, Any]:
        """
        See L{ITestWire}.
        """
        super().connect(*self._listeners)
        client, server = (SslStream(end, clock=self.clock) for end in self.ends)
        authority = sharedAuthority()
        both = (
            server.authenticateAsServer(authority.serverOptions(allowTlsResume=False)),
            client.authenticateAsClient(authority.clientOptions(allowTlsResume=False)),
        )
        self.flush()
        for authenticated in both:
            resultOf(authenticated)
        self._streams = [client, server]
        self._tls = [each._protocol for each in self._streams]
        return client, server

    def heard(self, isServer: bool) -> bytes:
        """
        See L{ITestWire}.
        """
        reading = self._streams[isServer].read()
        reading.addCallbacks(lambda data: self._take(isServer, data), lambda _: None)
        reading.cancel()
        return self._taken[isServer]

    def _take(self, isServer: bool, data: bytes) -> None:
        self._taken[isServer] += data

    def inject(self, isServer: bool, data: bytes) -> None:
        """
        See L{ITestWire}.
        """
        self._tls[isServer].write(data)

    def end(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        # Whoever produces for it would keep it open.
        self._tls[isServer].unregisterProducer()
        self._tls[isServer].loseConnection()

    def reset(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self._tls[isServer].abortConnection()

    def everSent(self, isServer: bool) -> bytes | None:
        """
        See L{ITestWire}.
        """
        return None
