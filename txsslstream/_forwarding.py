# -*- test-case-name: tests.test_forward -*-
"""
One forwarding: a client's connection, the one to the target, and what passes
from each to the other.

What one end receives, the other writes; and each is the other's producer, so
that whoever is slow holds the other back, and no more is kept than the buffer
of one transport and what was read at once.

How one end ends, the other ends::

    one end                            the other
    its peer sends no more             sends no more behind what it has to
      (close_notify, or FIN)             (close_notify, or FIN), and receives
    both have been told so             is closed, as this one
    is lost after that                 is closed behind what it has to send
    is lost before (no close_notify,   is aborted: its peer must not take what
      a reset, an error of TLS's)        it got for all there was

To be closed means for either end to send what is left and the end, and to wait
for the peer's, for as long as L{LINGER} says.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ._deadline import Deadline
from ._patience import Patience
from ._proxied import headerOf
from ._transports import abort, unsentBytes
from .access import subjectOf
from .errors import TruncationError
from .inspectable import ISslStream

#: How long the peer of an end that is closed may make no progress, in seconds.
LINGER = 5


def nameOf(address: object) -> str:
    """
    @return: an address for the log.
    """
    if isinstance(address, UNIXAddress):
        return f"unix:{os.fsdecode(address.name)}" if address.name else "unix"
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    return f"{address.host}:{address.port}" if isinstance(address, IPv4Address) else str(address)


def _isSslStream(transport: Any) -> bool:
    return bool(ISslStream.providedBy(transport))


def _canHalfClose(transport: Any) -> bool:
    """
    Whether the end of what is sent can be told without closing the rest.
    """
    if _isSslStream(transport):
        return True
    # Twisted's own TLS would end the connection below it, without close_notify.
    isTls = isinstance(transport, TLSMemoryBIOProtocol) or getattr(transport, "TLS", False)
    return not isTls and hasattr(transport, "loseWriteConnection")


@implementer(IHalfCloseableProtocol, IPushProducer)
class End(Protocol):
    """
    One end of a forwarding, and the producer of what the other one sends.

    @ivar name: who is at the other side of the connection.
    @ivar received: how many bytes have come.
    @ivar isOpen: whether it is connected.
    @ivar hasEnded: whether no more will come, by the peer's own word.
    @ivar isClosing: whether nothing that comes is wanted any more.
    """

    transport: Any

    def __init__(self, forwarding: Forwarding, name: str, clock: IReactorTime) -> None:
        self._forwarding: Forwarding | None = forwarding
        self._clock = clock
        self.name = name
        self.received = 0
        self.isOpen = False
        self.hasEnded = False
        self.isClosing = False
        self._isShut = False
        self._early = b""
        self._patience: Patience | None = None

    # What the transport tells.

    def connectionMade(self) -> None:
        """
        Begin, or go on where the other end has begun.
        """
        if self._forwarding is None:
            # It was given up, and whoever connects has not heard.
            abort(self.transport)
            return
        self.isOpen = True
        # It is to be noticed when the peer has vanished; and what is to be handed on
        # is not to wait until the peer has acknowledged what was before.
        for name in ("setTcpKeepAlive", "setTcpNoDelay"):
            setTo = getattr(self.transport, name, None)
            if setTo is not None:
                setTo(True)
        self._forwarding.made(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Have the other end send it.
        """
        if not self.isClosing and self._forwarding is not None:
            self.received += len(data)
            self._forwarding.received(self, data)

    def readConnectionLost(self) -> None:
        """
        The peer sends no more.
        """
        if self.hasEnded:
            return
        self.hasEnded = True
        if _isSslStream(self.transport):
            # The connection below it goes on, and nobody else resumes it now.
            self.transport.resumeProducing()
        if self.isClosing:
            self.transport.loseConnection()
        elif self._forwarding is not None:
            self._forwarding.ended(self)

    def writeConnectionLost(self) -> None:
        """
        The peer was told the end.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone.
        """
        self.isOpen = False
        patience, self._patience = self._patience, None
        if patience is not None:
            patience.end()
        forwarding, self._forwarding = self._forwarding, None
        if forwarding is not None:
            forwarding.lost(self, reason)
        self.transport = None

    # What the transport of the other end asks for.

    def pauseProducing(self) -> None:
        """
        Receive no more for now.
        """
        if self.isOpen:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Receive more.
        """
        if self.isOpen:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        The other end tells of its loss itself.
        """

    # What the forwarding asks for.

    def forget(self) -> None:
        """
        Tell the forwarding no more.
        """
        self._forwarding = None

    def write(self, data: bytes) -> None:
        """
        Send it, or keep it until there is a connection.
        """
        if self.isOpen:
            self.transport.write(data)
        else:
            self._early += data

    def producedBy(self, other: End) -> None:
        """
        Begin to send what the other end receives, and has received before.
        """
        early, self._early = self._early, b""
        if early:
            self.transport.write(early)
        if other.hasEnded:
            self.endWriting()
        else:
            self.transport.registerProducer(other, True)
            other.resumeProducing()

    def endWriting(self) -> bool:
        """
        Send the end behind what is left, where that is possible without closing.

        @return: whether it is.
        """
        self.transport.unregisterProducer()
        if not self._isShut and _canHalfClose(self.transport):
            self._isShut = True
            self.transport.loseWriteConnection()
        return self._isShut

    def close(self) -> None:
        """
        Send the end behind what is left, and wait for the peer's.
        """
        if not self.isOpen or self.isClosing:
            return
        self.isClosing = True
        transport = self.transport
        self._patience = Patience(self._clock, LINGER, lambda: unsentBytes(transport), self._giveUp)
        if self.endWriting() and not self.hasEnded:
            # A socket that is closed with something unread resets.
            transport.resumeProducing()
        else:
            transport.loseConnection()

    def _giveUp(self) -> None:
        if self._forwarding is not None:
            self._forwarding.failed(f"the {self.name} does not take what is left")
        self.abort()

    def abort(self) -> None:
        """
        End it at once, so that the peer notices.
        """
        if self.isOpen:
            self.isClosing = True
            abort(self.transport)


class Owner:
    """
    Whom a forwarding is for.

    @ivar clock: for time-outs.
    @ivar connectTimeout: how long it may take until there is a connection to
        the target, with its handshake, in seconds.
    @ivar idleTimeout: how long a forwarding may go on without anything coming
        from either side, in seconds; L{None} for ever.
    @ivar proxyVersion: the version of the PROXY protocol by which the target is
        told first of all who the client is; 0 if it is not.
    """

    clock: IReactorTime
    connectTimeout: float
    idleTimeout: float | None
    proxyVersion: int

    def admits(self, forwarding: Forwarding) -> bool:
        """
        A client is connected, and authenticated if that is asked for.

        @return: whether it may stay.
        """
        raise NotImplementedError

    def connect(self, end: End) -> Deferred[IProtocol]:
        """
        Connect an end to the target.

        @return: a Deferred that fires once that is so.
        """
        raise NotImplementedError

    def finished(self, forwarding: Forwarding) -> None:
        """
        Both ends of a forwarding are gone.
        """
        raise NotImplementedError


class Forwarding:
    """
    A client's connection and the one to the target.

    @ivar client: the end at the client.
    @ivar target: the other.
    @ivar who: the client's address and the subject of its certificate, for the
        log.
    @ivar outcome: who has ended it, or why it has ended badly.
    @ivar hasFailed: whether the latter.
    @ivar seconds: how long it took.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._clock = owner.clock
        self.client = End(self, "client", self._clock)
        self.target = End(self, "target", self._clock)
        self._connecting: Deferred[IProtocol] | None = None
        self._deadline = Deadline(self._clock)
        self._idleTimer: IDelayedCall | None = None
        self._began = self._touched = self._clock.seconds()
        self.who = ""
        self.outcome = ""
        self.hasFailed = False
        self.seconds = 0.0
        self._isOver = False

    # Beginning

    def made(self, end: End) -> None:
        """
        An end is connected.
        """
        if end is self.client:
            self._accepted()
        else:
            self._joined()

    def _accepted(self) -> None:
        transport = self.client.transport
        self.who = nameOf(transport.getPeer())
        certificate = transport.remoteCertificate if _isSslStream(transport) else None
        if certificate is not None:
            self.who += f" ({subjectOf(certificate)})"
        # Nothing is wanted before there is somewhere to send it.
        self.client.pauseProducing()
        if not self._owner.admits(self):
            self.client.forget()
            self.client.abort()
            return
        if self._owner.proxyVersion:
            self.target.write(headerOf(transport, self._owner.proxyVersion))
        seconds = self._owner.connectTimeout
        self._deadline.begin(seconds, self._connectTimedOut)
        # Either may happen at once.
        connecting = self._connecting = self._owner.connect(self.target)
        connecting.addCallbacks(self._connected, self._unreachable)

    def _connectTimedOut(self) -> None:
        self.failed(f"no connection to the target within {self._owner.connectTimeout} s")
        if self._connecting is not None:
            self._connecting.cancel()

    def _connected(self, _: object) -> None:
        self._connecting = None

    def _unreachable(self, failure: Failure) -> None:
        self._deadline.end()
        self._connecting = None
        if self.client.isOpen:
            self.failed(f"no connection to the target: {failure.getErrorMessage()}")
            self.client.close()
        self._finish()

    def _joined(self) -> None:
        self._deadline.end()
        self._touched = self._clock.seconds()
        self._awaitActivity()
        self.target.producedBy(self.client)
        self.client.producedBy(self.target)

    # Forwarding

    def _other(self, end: End) -> End:
        return self.target if end is self.client else self.client

    def received(self, end: End, data: bytes) -> None:
        """
        An end has received something.
        """
        self._touched = self._clock.seconds()
        self._other(end).write(data)

    def _awaitActivity(self) -> None:
        limit = self._owner.idleTimeout
        if limit is None:
            return
        left = self._touched + limit - self._clock.seconds()
        if left > 0:
            self._idleTimer = self._clock.callLater(left, self._awaitActivity)
            return
        self._idleTimer = None
        self.cutOff(f"idle for {limit} s")

    # Ending

    def ended(self, end: End) -> None:
        """
        The peer of an end sends no more.
        """
        self.outcome = self.outcome or f"ended by the {end.name}"
        other = self._other(end)
        if not other.isOpen:
            # It is told as it is connected.
            return
        if other.hasEnded:
            # The other follows when this is gone.
            end.close()
        else:
            other.endWriting()

    def lost(self, end: End, reason: Failure) -> None:
        """
        The connection of an end is gone.
        """
        isDone = reason.check(ConnectionDone) is not None
        # What it sent is complete if its peer has said so.
        isComplete = end.hasEnded or isDone
        # Nobody has to say anything more who was told the end.
        isExpected = isDone or (end.isClosing and reason.check(TruncationError) is not None)
        if not isExpected:
            self.failed(f"the {end.name}: {reason.getErrorMessage()}")
        self.outcome = self.outcome or f"ended by the {end.name}"
        other = self._other(end)
        if self._connecting is not None:
            self._connecting.cancel()
        elif isComplete:
            other.close()
        else:
            other.abort()
        self._finish()

    def failed(self, what: str) -> None:
        """
        Note why this does not end well; the first reason stays.
        """
        if not self.hasFailed:
            self.hasFailed = True
            self.outcome = what

    def cutOff(self, why: str) -> None:
        """
        End it at once.
        """
        self.failed(why)
        self.target.abort()
        self.client.abort()

    def _finish(self) -> None:
        isOver = not (self.client.isOpen or self.target.isOpen or self._connecting)
        if not isOver or self._isOver:
            return
        self._isOver = True
        timer, self._idleTimer = self._idleTimer, None
        if timer is not None:
            timer.cancel()
        for end in (self.client, self.target):
            end.forget()
        self.seconds = self._clock.seconds() - self._began
        self._owner.finished(self)
