# -*- test-case-name: tests.test_admission -*-
"""
How many clients may be unauthenticated at once.

A handshake costs a server more than it costs a client, and a connection that
never begins one costs a descriptor for as long as C{handshakeTimeout}.  A
L{HandshakeLimit} turns away who is too many: at once, before anything is spent
on it.  Those that are authenticated do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Any

from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from ._transports import abort
from .metrics import noteTurnedAway

#: At most once in so many seconds the log tells of those that are turned away.
LOG_INTERVAL = 10

#: So many bits of an IPv6 address are one client's (RFC 6177).
_IPV6_PREFIX = 64


def _clientOf(address: Any) -> str | None:
    """
    @return: whom connections from an address are counted for; L{None}: there is
        no telling.
    """
    host = getattr(address, "host", "")
    try:
        parsed = ip_address(str(host).partition("%")[0])
    except ValueError:
        return None
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - _IPV6_PREFIX):x}/{_IPV6_PREFIX}"


def _checked(name: str, limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ValueError(f"{name} must be at least 1: {limit}")
    return limit


class Admission:
    """
    One client's that is not authenticated yet.
    """

    def __init__(self, limit: HandshakeLimit, client: str | None) -> None:
        self._limit: HandshakeLimit | None = limit
        self._client = client

    def release(self) -> None:
        """
        It is authenticated, or gone.  Only the first call counts.
        """
        limit, self._limit = self._limit, None
        if limit is not None:
            limit._left(self._client)


class HandshakeLimit:
    """
    How many clients may be unauthenticated at once, of everything that it
    guards.

    @ivar maximum: how many, or L{None} for any number.
    @ivar maximumPerAddress: how many of one IPv4 address, or of one IPv6
        network of 64 bits; L{None} for any number.  Clients without an address
        (UNIX sockets) do not count for this.
    @ivar unauthenticated: how many there are now.
    @ivar turnedAway: how many were too many so far.
    """

    _log = Logger()

    def __init__(
        self,
        maximum: int | None = None,
        maximumPerAddress: int | None = None,
        *,
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        """
        @param seconds: tells the time, for the log.
        @raise ValueError: a limit is less than 1.
        """
        self.maximum = _checked("the maximum", maximum)
        self.maximumPerAddress = _checked("the maximum per address", maximumPerAddress)
        self.unauthenticated = 0
        self.turnedAway = 0
        self._perClient: Counter[str] = Counter()
        self._seconds = seconds
        self._toldAt: float | None = None
        self._untold = 0

    def admit(self, address: object) -> Admission | None:
        """
        @param address: of a client that has connected.
        @return: what tells us when it is authenticated or gone; L{None}: it is
            one too many.
        """
        client = None if self.maximumPerAddress is None else _clientOf(address)
        if self.maximum is not None and self.unauthenticated >= self.maximum:
            self._turnAway(address, f"{self.unauthenticated} clients")
            return None
        if client is not None and self._perClient[client] >= (self.maximumPerAddress or 0):
            self._turnAway(address, f"{self._perClient[client]} of its clients")
            return None
        self.unauthenticated += 1
        if client is not None:
            self._perClient[client] += 1
        return Admission(self, client)

    def _turnAway(self, address: object, why: str) -> None:
        self.turnedAway += 1
        self._untold += 1
        noteTurnedAway()
        now = self._seconds()
        if self._toldAt is not None and 0 <= now - self._toldAt < LOG_INTERVAL:
            return
        self._log.warn(
            "{n} turned away, {peer} the last: {why} are not authenticated yet",
            n=self._untold,
            peer=address,
            why=why,
        )
        self._toldAt = now
        self._untold = 0

    def _left(self, client: str | None) -> None:
        self.unauthenticated -= 1
        if client is not None:
            self._perClient[client] -= 1
            if not self._perClient[client]:
                del self._perClient[client]

    def guard(self, factory: Any) -> Factory[Any]:
        """
        @param factory: an L{SslStreamFactory<txsslstream.SslStreamFactory>} with a
            server's options, or another whose protocols release what they are
            given as C{admission}.
        @return: a factory to listen with instead.
        """
        return _Guarded(factory, self)


class _TurnedAway(Protocol):
    """
    One too many.
    """

    def connectionMade(self) -> None:
        # Not refused by the factory: wrappers of factories do not expect that.
        abort(self.transport)


class _Guarded(Factory[Any]):
    """
    Lets in whom a limit admits.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, limit: HandshakeLimit) -> None:
        self._factory = factory
        self._limit = limit

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def buildProtocol(self, addr: Any) -> IProtocol | None:
        admission = self._limit.admit(addr)
        if admission is None:
            return _TurnedAway()
        protocol: Any = None
        try:
            protocol = self._factory.buildProtocol(addr)
        finally:
            if protocol is None:
                admission.release()
        if protocol is None:
            return None
        protocol.admission = admission
        result: IProtocol = protocol
        return result
