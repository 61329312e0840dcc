# -*- test-case-name: tests.test_forward -*-
"""
Forwarding connections to a target.

A L{Forwarder} is a factory for whatever listens.  Each connection of a client
gets one to the target, of a client endpoint's making, and the two are the ends
of one forwarding (L{txsslstream._forwarding}).  Either may be TLS, be it ours or
Twisted's, or not.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ._deadline import Deadline
from ._deferreds import Occurrence
from ._forwarding import End, Forwarding, Owner, nameOf
from ._proxied import ownHeader
from .access import subjectOf
from .enums import SslPolicyErrors
from .errors import AuthenticationError, HandshakeFailureReason
from .options import ServerOptions
from .protocol import SslStreamFactory, SslStreamProtocol

#: In seconds: how long the handshakes may take that go on when everything ends.
LAST_HANDSHAKES = 5.0


class Forwarder(Factory, Owner):
    """
    Connects whoever is let in to the target, and forwards.

    @ivar mostConnections: how many clients there may be at once, those included
        whose handshakes go on.
    @ivar isQuiet: whether the log has only what has not ended well.
    @ivar accepted: how many clients were let in.
    @ivar refused: how many were not authenticated.
    @ivar turnedAway: how many were too many.
    @ivar failed: how many of those that were let in have ended badly.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        target: IStreamClientEndpoint,
        clock: IReactorTime,
        *,
        connectTimeout: float = 10,
        idleTimeout: float | None = None,
        mostConnections: int = 500,
        proxyVersion: int = 0,
        isQuiet: bool = False,
    ) -> None:
        """
        @param target: how to reach the target.
        @param connectTimeout: see L{Owner}, as for C{idleTimeout} and
            C{proxyVersion}.
        """
        self._target = target
        self.clock = clock
        self.connectTimeout = connectTimeout
        self.idleTimeout = idleTimeout
        self.mostConnections = mostConnections
        self.proxyVersion = proxyVersion
        self.isQuiet = isQuiet
        self.accepted = self.refused = self.turnedAway = self.failed = 0
        self._forwardings: set[Forwarding] = set()
        self._front: _Front | None = None
        self._isFull = False
        self._isDraining = False
        self._drainDeadline = Deadline(clock)
        self._lastHandshakes = Deadline(clock)
        self._drained: Occurrence[None] = Occurrence()

    def secured(self, options: ServerOptions) -> SslStreamFactory:
        """
        @param options: how clients are authenticated.
        @return: the factory to listen with instead of this one, whose clients
            come by TLS.
        """
        self._front = _Front(options, False, self, self.clock)
        return self._front

    def buildProtocol(self, addr: object) -> End | None:
        """
        @return: the client's end of a forwarding, or L{None} if there are too
            many.
        """
        return Forwarding(self).client if self._hasRoom() else None

    def _hasRoom(self) -> bool:
        handshaking = 0 if self._front is None else len(self._front.protocols)
        if self._drained.hasHappened:
            return False
        isFull = max(handshaking, len(self._forwardings)) >= self.mostConnections
        if isFull:
            self.turnedAway += 1
            if not self._isFull:
                self._log.warn("{n} clients: no more are let in", n=self.mostConnections)
        self._isFull = isFull
        return not isFull

    @property
    def connections(self) -> int:
        """
        How many clients there are now, without those whose handshakes go on.
        """
        return len(self._forwardings)

    def admits(self, forwarding: Forwarding) -> bool:
        """
        See L{Owner.admits}.
        """
        # Where somebody else authenticates there may have been room for more.
        if self._drained.hasHappened or len(self._forwardings) >= self.mostConnections:
            self.turnedAway += 1
            return False
        self.accepted += 1
        self._forwardings.add(forwarding)
        return True

    def connect(self, end: End) -> Deferred[IProtocol]:
        """
        See L{Owner.connect}.
        """
        return self._target.connect(_Connecting(end))

    def refuse(self, address: object, error: object) -> None:
        """
        A client was not authenticated.
        """
        self.refused += 1
        who, why = nameOf(address), str(error)
        if isinstance(error, AuthenticationError):
            if error.chainElements:
                who += f" ({subjectOf(error.chainElements[0].certificate)})"
            if error.reason is HandshakeFailureReason.callbackRefused:
                why = "its names are not let in"
            elif error.sslPolicyErrors & SslPolicyErrors.RemoteCertificateNotAvailable:
                why = "it has shown no certificate"
        self._log.info("{client}: refused: {why}", client=who, why=why)

    def finished(self, forwarding: Forwarding) -> None:
        """
        See L{Owner.finished}.
        """
        if forwarding.hasFailed or not self.isQuiet:
            self._log.info(
                "{client}: {sent} bytes to the target, {back} back, {seconds:.1f} s; {outcome}",
                client=forwarding.who,
                sent=forwarding.client.received,
                back=forwarding.target.received,
                seconds=forwarding.seconds,
                outcome=forwarding.outcome,
            )
        self.failed += forwarding.hasFailed
        self._forwardings.discard(forwarding)
        self.noteDrained()

    def unable(self) -> Deferred[str]:
        """
        Connect to the target, and leave it alone.

        @return: a Deferred that fires with why that cannot be; empty if it can.
        """

        def failed(failure: Failure) -> str:
            if failure.check(TimeoutError):
                return f"no connection to the target within {self.connectTimeout} s"
            return f"no connection to the target: {failure.getErrorMessage()}"

        connecting: Deferred[Any] = self._target.connect(_Looking(self.proxyVersion))
        connecting.addTimeout(self.connectTimeout, self.clock)
        return connecting.addCallbacks(lambda _: "", failed)

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Let those who are there end in peace, and nobody in after that.  Whoever
        listens does so no more; those who have come before are there, and have
        L{LAST_HANDSHAKES} to be authenticated.

        @param seconds: for how long; then they are cut off.
        @return: a Deferred that fires with L{None} once nobody is there.
        """
        self._isDraining = True
        handshaking = self._handshaking
        if self._forwardings or handshaking:
            self._log.info(
                "{n} connections are left to end, for at most {seconds} s",
                n=len(self._forwardings) + handshaking,
                seconds=seconds,
            )
            self._drainDeadline.begin(seconds, self._cutOff)
        if self._front is not None and handshaking:
            self._lastHandshakes.begin(min(seconds, LAST_HANDSHAKES), self._front.giveUpHandshakes)
        self.noteDrained()
        return self._drained.when()

    @property
    def _handshaking(self) -> int:
        return 0 if self._front is None else len(self._front.handshaking)

    def _cutOff(self) -> None:
        for each in tuple(self._forwardings):
            each.cutOff("cut off by the shutdown")

    def noteDrained(self) -> None:
        """
        Somebody is gone, who may have been the last.
        """
        if self._isDraining and not self._forwardings and not self._handshaking:
            self._drainDeadline.end()
            self._lastHandshakes.end()
            self._drained.happened(None)


class _Connecting(Factory):
    """
    Has one end connected.
    """

    noisy = False

    def __init__(self, end: End) -> None:
        self._end = end

    def buildProtocol(self, addr: object) -> End:
        # Told of its factory, as usual, it would be part of a cycle.
        return self._end


class _Look(Protocol):
    """
    Is only there to see that the target is.
    """

    def __init__(self, header: bytes) -> None:
        self._header = header

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if self._header:
            transport.write(self._header)
        transport.loseConnection()


class _Looking(Factory):
    """
    Has a look at the target.
    """

    noisy = False

    def __init__(self, proxyVersion: int) -> None:
        self._header = ownHeader(proxyVersion) if proxyVersion else b""

    def buildProtocol(self, addr: object) -> _Look:
        return _Look(self._header)


class _Front(SslStreamFactory):
    """
    Authenticates the clients of a L{Forwarder}, and tells it of those that are
    refused.
    """

    noisy = False
    wrappedFactory: Forwarder

    def buildProtocol(self, addr: Any) -> SslStreamProtocol | None:  # type: ignore[override]
        """
        See L{SslStreamFactory.buildProtocol}.
        """
        protocol = super().buildProtocol(addr)
        if protocol is not None:
            protocol.whenAuthenticated().addErrback(self._refused, addr)
        return protocol

    def _refused(self, failure: Failure, address: object) -> None:
        self.wrappedFactory.refuse(address, failure.value)

    def unregisterProtocol(self, protocol: Any) -> None:
        """
        A connection is gone.
        """
        super().unregisterProtocol(protocol)
        self.wrappedFactory.noteDrained()

    @property
    def handshaking(self) -> list[SslStreamProtocol]:
        """
        The connections that are not authenticated yet.
        """
        return [each for each in self.protocols if not each.isAuthenticated]

    def giveUpHandshakes(self) -> None:
        """
        End those.
        """
        for each in self.handshaking:
            each.abortConnection()
