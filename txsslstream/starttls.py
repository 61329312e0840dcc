# -*- test-case-name: tests.test_starttls -*-
"""
TLS that begins in the middle of a protocol's conversation, and the protocol goes
on (STARTTLS: RFC 3207, 2595, 6120).

What the peer has put behind the command to start TLS, in the clear, anybody on
the way may have put there.  It must never be taken for what the authenticated
peer has said (CVE-2011-0411), but the protocol that reads the command may have
received it already.  So it is taken as the beginning of the peer's TLS, which is
what an honest peer can have sent: anything else fails the handshake.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, ITLSTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from ._deferreds import cancellable
from ._inner import InnerStream
from ._slots import Slot
from ._transports import defaultClock
from .errors import InvalidOperationError
from .options import (
    AuthenticationOptions,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)
from .protocol import SslStreamFactory, SslStreamProtocol


def startTLS(
    protocol: Any,
    options: AuthenticationOptions,
    *,
    received: bytes = b"",
    clock: IReactorTime | None = None,
) -> Deferred[SslStreamProtocol]:
    """
    Put TLS between a connected protocol and its transport.  From now on that is
    the protocol's C{transport}, and what the protocol writes is sent once the
    peer is authenticated; what it has written before is sent first, in the
    clear.  C{connectionMade} is not called again.

    The former transport still writes in the clear: whoever else keeps it must
    let go of it.

    @param protocol: an C{IProtocol} with its C{transport}.
    @param options: those of the client or of the server.
    @param received: what it has received and not used, behind the command.
        What a C{LineReceiver} has in its buffer is taken by itself.
    @param clock: for time-outs; by default the transport's reactor.

    @return: a Deferred that fires with the new transport, an
        L{txsslstream.ISslStream}, once the peer is authenticated.  It fails with
        L{AuthenticationError<txsslstream.AuthenticationError>}; the connection
        is closed then, and the protocol hears of the same error.  Cancelled,
        the authentication is given up.

    @raise TypeError: the protocol is not connected, or the options are none.
    @raise InvalidOperationError: the transport has a producer, a stream or a
        C{startTLS} like this; or the protocol is a C{LineOnlyReceiver}, which
        cannot be kept from reading on: it needs a L{StartTLSFactory}.
    """
    isClient = _isClient(options)
    received = bytes(memoryview(received))
    transport = getattr(protocol, "transport", None)
    if isinstance(protocol, LineOnlyReceiver):
        raise InvalidOperationError(
            "a LineOnlyReceiver goes on with the lines behind the command: use StartTLSFactory"
        )
    if isinstance(transport, StartTLSProtocol) and not transport.hasStarted:
        raise InvalidOperationError("the transport is StartTLSFactory's: call its own startTLS")
    slot = Slot(transport)
    occupant = slot.occupant
    if isinstance(occupant, InnerStream):
        raise InvalidOperationError("another stream has the transport")
    slot.requireNoProducer()
    if hasattr(protocol, "clearLineBuffer"):
        received += protocol.clearLineBuffer()
    tls = _around(occupant, options, isClient, clock or defaultClock(transport))
    authenticated = cancellable(tls.whenAuthenticated, tls.cancelAuthentication)
    slot.occupant = tls
    # Some endpoints' protocols only pass on what they hear.
    for each in (protocol, occupant):
        if getattr(each, "transport", None) is transport:
            each.transport = tls
    _begin(tls, slot.transport, received)
    return authenticated


def _isClient(options: object) -> bool:
    if not isinstance(options, (SslClientAuthenticationOptions, SslServerAuthenticationOptions)):
        raise TypeError(
            "TLS starts with SslClientAuthenticationOptions or SslServerAuthenticationOptions, "
            f"not {type(options).__name__}"
        )
    return isinstance(options, SslClientAuthenticationOptions)


def _around(
    protocol: Any, options: AuthenticationOptions, isClient: bool, clock: IReactorTime
) -> SslStreamProtocol:
    return SslStreamProtocol(
        SslStreamFactory(options, isClient, Factory(), clock), protocol, _connectWrapped=False
    )


def _begin(tls: SslStreamProtocol, transport: Any, received: bytes) -> None:
    tls.makeConnection(transport)
    if received:
        tls.dataReceived(received)


class StartTLSProtocol(ProtocolWrapper):
    """
    A transport whose C{startTLS} takes our options, between another and a
    protocol.  Made by L{StartTLSFactory}.

    It delivers the end of a line at a time, as long as there is no TLS, so that
    what is behind the command to start TLS never reaches the protocol.

    @ivar hasStarted: whether there is TLS, authenticated or not.
    """

    factory: Any
    transport: Any
    wrappedProtocol: Any

    def __init__(self, factory: Any, wrappedProtocol: IProtocol) -> None:
        super().__init__(factory, wrappedProtocol)
        self._undelivered: deque[bytes] = deque()
        self._isDelivering = False
        self._isPaused = False
        self.hasStarted = False

    def makeConnection(self, transport: Any) -> None:
        """
        Connect the protocol, in the clear.
        """
        directlyProvides(self, providedBy(transport), ITLSTransport)
        self.transport = transport
        self.factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Deliver, line by line until TLS starts.
        """
        if self.hasStarted:
            self.wrappedProtocol.dataReceived(data)
        elif not self.disconnecting:
            end = self.factory.lineEnd
            *lines, rest = data.split(end)
            self._undelivered.extend(line + end for line in lines)
            if rest:
                self._undelivered.append(rest)
            self._deliver()

    def _deliver(self) -> None:
        if self._isDelivering:
            return
        self._isDelivering = True
        try:
            while self._undelivered and not self._isPaused and not self.disconnecting:
                self.wrappedProtocol.dataReceived(self._undelivered.popleft())
        finally:
            self._isDelivering = False

    def startTLS(self, options: AuthenticationOptions, normal: bool = True) -> None:
        """
        See C{ITLSTransport.startTLS}.  The protocol keeps this transport, which
        is an L{txsslstream.ISslStream} then.  If the authentication fails the
        protocol hears of the end of the connection, with an
        L{AuthenticationError<txsslstream.AuthenticationError>} as the reason.

        @param options: our own.
        @param normal: has no meaning: the options say which side this is.

        @raise TypeError: the options are Twisted's.
        @raise InvalidOperationError: there is TLS already, or a producer.
        """
        isClient = _isClient(options)
        if self.hasStarted:
            raise InvalidOperationError("there is TLS already")
        Slot(self).requireNoProducer()
        inner = self.transport
        tls = _around(
            self.wrappedProtocol, options, isClient, self.factory.clock or defaultClock(inner)
        )
        self.hasStarted = True
        received = b"".join(self._undelivered)
        self._undelivered.clear()
        self.transport = self.wrappedProtocol = tls
        _begin(tls, inner, received)
        directlyProvides(self, providedBy(tls))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The transport is gone.
        """
        self._undelivered.clear()
        super().connectionLost(reason)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._isPaused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._isPaused = False
        self.transport.resumeProducing()
        self._deliver()


class StartTLSFactory(WrappingFactory):
    """
    Gives the protocols of another factory transports whose C{startTLS} takes
    our options: those of C{twisted.mail}, for example.

    @ivar lineEnd: the byte that ends each command of the protocol.
    """

    protocol = StartTLSProtocol
    noisy = False

    def __init__(
        self,
        wrappedFactory: IProtocolFactory,
        *,
        lineEnd: bytes = b"\n",
        clock: IReactorTime | None = None,
    ) -> None:
        """
        @param lineEnd: the byte that ends each command of the protocol, and is
            delivered with it; C{b">"} for XML.
        @param clock: for time-outs; by default the transport's reactor.
        @raise ValueError: C{lineEnd} is not one byte.
        """
        if len(lineEnd) != 1:
            # Of more, a part could come later than the rest.
            raise ValueError(f"lineEnd is one byte, not {lineEnd!r}")
        super().__init__(wrappedFactory)
        self.lineEnd = lineEnd
        self.clock = clock

    def buildProtocol(self, addr: Any) -> Any:
        """
        @return: the protocol, or L{None} if the wrapped factory refuses.
        """
        wrapped = self.wrappedFactory.buildProtocol(addr)
        return None if wrapped is None else self.protocol(self, wrapped)
