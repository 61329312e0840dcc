# -*- test-case-name: tests.test_metrics -*-
"""
What can be counted of all connections of this process (.NET: the counters of
C{System.Net.Security}).

A L{Watch} goes with each connection and tells the observers.  Whoever is an
observer when a handshake begins hears of that connection to its end, so that
what an observer counts up it counts down again; and nothing is measured where
nobody listens.

Connections that one of Twisted's own connection creators has made, not our
options, are not watched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from .chain import alertFor
from .crossing import Negotiated
from .enums import SslPolicyErrors, SslProtocols, TlsAlert
from .errors import AuthenticationError, HandshakeFailureReason
from .interfaces import IAdmissionObserver, IHandshakeObserver

_log = Logger()

_observers: tuple[IHandshakeObserver, ...] = ()


def addObserver(observer: IHandshakeObserver) -> None:
    """
    Let somebody hear of all connections that begin from now on.  Adding again
    who is there changes nothing.

    If it raises, that is logged, and concerns nobody else.

    @raise TypeError: it is no L{IHandshakeObserver}.
    """
    global _observers
    if not IHandshakeObserver.providedBy(observer):
        raise TypeError(f"not an IHandshakeObserver: {observer!r}")
    removeObserver(observer)
    _observers += (observer,)


def removeObserver(observer: IHandshakeObserver) -> None:
    """
    Let it hear of no more connections than those that it knows: how they end it
    is told still.  Removing who is not there changes nothing.
    """
    global _observers
    _observers = tuple(each for each in _observers if each is not observer)


def noteTurnedAway() -> None:
    """
    Tell those observers that want to know that a client was one too many.
    """
    for observer in _observers:
        if IAdmissionObserver.providedBy(observer):
            _tellOne(observer, lambda each: each.clientTurnedAway())


class Watch:
    """
    What observers are told of one connection.
    """

    __slots__ = ("__weakref__", "_began", "_clock", "_isServer", "_observers", "_open")

    def __init__(self, isServer: bool, clock: IReactorTime | None) -> None:
        self._isServer = isServer
        self._clock = clock
        self._observers: tuple[IHandshakeObserver, ...] = ()
        self._began = 0.0
        self._open: SslProtocols | None = None

    @classmethod
    def started(cls, isServer: bool, clock: IReactorTime) -> Watch:
        """
        A handshake begins.

        @return: what is to be told of it.
        """
        if not _observers:
            return UNWATCHED
        watch = cls(isServer, clock)
        watch._observers = _observers
        watch._began = clock.seconds()
        watch._tell(lambda each: each.handshakeStarted(isServer))
        return watch

    @property
    def isHeard(self) -> bool:
        """
        Whether anybody is told.
        """
        return bool(self._observers)

    def ended(self, error: AuthenticationError | None, facts: Negotiated | None) -> None:
        """
        The handshake has ended; called once.

        @param error: why it failed, if so.
        @param facts: what was negotiated, if not.
        """
        if self._clock is None:
            return
        # A reactor's time is the machine's, which can be set back.
        seconds = max(0.0, self._clock.seconds() - self._began)
        if error is not None:
            reason = reasonOf(error)
            self._tell(lambda each: each.handshakeFailed(self._isServer, reason, seconds))
        elif facts is not None:
            protocol, isResumed = facts.protocol, facts.isResumed
            self._open = protocol
            self._tell(
                lambda each: each.handshakeCompleted(self._isServer, protocol, isResumed, seconds)
            )

    def closed(self) -> None:
        """
        The connection is gone, with or without a handshake that has succeeded.
        """
        protocol, self._open = self._open, None
        if protocol is not None:
            self._tell(lambda each: each.connectionClosed(self._isServer, protocol))

    def _tell(self, event: Callable[[IHandshakeObserver], None]) -> None:
        for observer in self._observers:
            _tellOne(observer, event)


#: Of all connections that nobody wants to hear of.
UNWATCHED = Watch(False, None)


def _tellOne(observer: IHandshakeObserver, event: Callable[[Any], None]) -> None:
    try:
        event(observer)
    except BaseException:
        _log.failure("an observer of handshakes failed")


#: Why a certificate was refused, by the alert that tells the peer.
_REFUSALS = {
    TlsAlert.unknown_ca: HandshakeFailureReason.certificateUntrusted,
    TlsAlert.certificate_revoked: HandshakeFailureReason.certificateRevoked,
    TlsAlert.certificate_unknown: HandshakeFailureReason.revocationUnknown,
    TlsAlert.certificate_expired: HandshakeFailureReason.certificateExpired,
}


def reasonOf(error: AuthenticationError) -> HandshakeFailureReason:
    """
    @param error: what a handshake has failed with, with its alerts.
    @return: why, in one word.  What we have against the peer comes before what
        it says.
    """
    errors = error.sslPolicyErrors
    if error.reason is not None:
        return error.reason
    if error.__cause__ is not None or error.alertSent is TlsAlert.internal_error:
        return HandshakeFailureReason.internalError
    if errors & SslPolicyErrors.RemoteCertificateNotAvailable:
        return HandshakeFailureReason.certificateMissing
    if errors & SslPolicyErrors.RemoteCertificateChainErrors:
        # The alert is about what counts; but there need not be one.
        alert = alertFor(error.chainStatus) if error.alertSent is None else error.alertSent
        return _REFUSALS.get(alert, HandshakeFailureReason.certificateInvalid)
    if errors:
        return HandshakeFailureReason.certificateNameMismatch
    if error.alert is not None:
        return HandshakeFailureReason.alertReceived
    if error.alertSent is TlsAlert.unrecognized_name:
        return HandshakeFailureReason.serverNameUnknown
    return HandshakeFailureReason.protocolError


#: Up to how many seconds each bucket of a histogram of durations reaches.
DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_VERSIONS = (SslProtocols.Tls, SslProtocols.Tls11, SslProtocols.Tls12, SslProtocols.Tls13)


class Durations:
    """
    How long handshakes took.

    @ivar count: how many.
    @ivar sum: seconds, all together.
    @ivar buckets: for each of L{DURATION_BOUNDS}, how many took that long at
        most.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.buckets = [0] * len(DURATION_BOUNDS)

    def add(self, seconds: float) -> None:
        """
        Count one more.
        """
        self.count += 1
        self.sum += seconds
        for index in range(bisect_left(DURATION_BOUNDS, seconds), len(DURATION_BOUNDS)):
            self.buckets[index] += 1

    def asdict(self) -> dict[str, Any]:
        """
        @return: the same, ready for JSON, the buckets by their bounds.
        """
        buckets = {str(bound): n for bound, n in zip(DURATION_BOUNDS, self.buckets, strict=True)}
        return {"count": self.count, "sum": self.sum, "buckets": buckets}


class Counters:
    """
    The counters of .NET, for connections of some kind.

    @ivar totalHandshakes: handshakes that have ended, well or not
        (C{total-tls-handshakes}).
    @ivar currentHandshakes: those that are under way
        (C{current-tls-handshakes}).
    @ivar failedHandshakes: those that have failed (C{failed-tls-handshakes}).
    @ivar failedByReason: the same for each L{HandshakeFailureReason}.
    @ivar resumedHandshakes: those in which an earlier session went on.
    @ivar openSessions: connections that are open, for each version
        (C{tls13-sessions-open} and so on).
    @ivar durations: the L{Durations} of the handshakes that have succeeded, for
        each version (C{tls13-handshake-duration} and so on).
    @ivar allDurations: those of all versions (C{all-tls-handshake-duration}).
    """

    def __init__(self) -> None:
        self.totalHandshakes = 0
        self.currentHandshakes = 0
        self.failedHandshakes = 0
        self.resumedHandshakes = 0
        self.failedByReason = dict.fromkeys(HandshakeFailureReason, 0)
        self.openSessions = dict.fromkeys(_VERSIONS, 0)
        self.durations = {version: Durations() for version in _VERSIONS}
        self.allDurations = Durations()

    @property
    def allOpenSessions(self) -> int:
        """
        Connections that are open, of all versions (C{all-tls-sessions-open}).
        """
        return sum(self.openSessions.values())

    def _started(self) -> None:
        self.currentHandshakes += 1

    def _ended(self) -> None:
        self.currentHandshakes -= 1
        self.totalHandshakes += 1

    def _completed(self, protocol: SslProtocols, isResumed: bool, seconds: float) -> None:
        self._ended()
        self.resumedHandshakes += isResumed
        self.openSessions[protocol] += 1
        self.durations[protocol].add(seconds)
        self.allDurations.add(seconds)

    def _failed(self, reason: HandshakeFailureReason) -> None:
        self._ended()
        self.failedHandshakes += 1
        self.failedByReason[reason] += 1

    def _closed(self, protocol: SslProtocols) -> None:
        self.openSessions[protocol] -= 1

    def asdict(self) -> dict[str, Any]:
        """
        @return: all of it as it is now, ready for JSON: numbers by the names of
            the attributes, of the reasons and of the versions.
        """
        return {
            "totalHandshakes": self.totalHandshakes,
            "currentHandshakes": self.currentHandshakes,
            "failedHandshakes": self.failedHandshakes,
            "resumedHandshakes": self.resumedHandshakes,
            "failedByReason": {each.value: n for each, n in self.failedByReason.items()},
            "allOpenSessions": self.allOpenSessions,
            "openSessions": {str(each.name): n for each, n in self.openSessions.items()},
            "allDurations": self.allDurations.asdict(),
            "durations": {str(each.name): took.asdict() for each, took in self.durations.items()},
        }


@implementer(IHandshakeObserver, IAdmissionObserver)
class SslStreamMetrics(Counters):
    """
    Counts all connections, and those of either role apart.

    @ivar turnedAway: clients that a
        L{HandshakeLimit<txsslstream.admission.HandshakeLimit>} has turned away.
    @ivar client: those where we are the client, as L{Counters}.
    @ivar server: those where we are the server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turnedAway = 0
        self.client = Counters()
        self.server = Counters()

    def _of(self, isServer: bool) -> tuple[Counters, Counters]:
        return self, self.server if isServer else self.client

    def handshakeStarted(self, isServer: bool) -> None:
        """
        See L{IHandshakeObserver}.
        """
        for each in self._of(isServer):
            each._started()

    def handshakeCompleted(
        self, isServer: bool, protocol: SslProtocols, isResumed: bool, seconds: float
    ) -> None:
        """
        See L{IHandshakeObserver}.
        """
        for each in self._of(isServer):
            each._completed(protocol, isResumed, seconds)

    def handshakeFailed(
        self, isServer: bool, reason: HandshakeFailureReason, seconds: float
    ) -> None:
        """
        See L{IHandshakeObserver}.
        """
        for each in self._of(isServer):
            each._failed(reason)

    def connectionClosed(self, isServer: bool, protocol: SslProtocols) -> None:
        """
        See L{IHandshakeObserver}.
        """
        for each in self._of(isServer):
            each._closed(protocol)

    def clientTurnedAway(self) -> None:
        """
        See L{IAdmissionObserver}.
        """
        self.turnedAway += 1

    def asdict(self) -> dict[str, Any]:
        """
        @return: as L{Counters.asdict}, with C{turnedAway}, and the same of
            C{client} and C{server}.
        """
        return {
            **super().asdict(),
            "turnedAway": self.turnedAway,
            "client": self.client.asdict(),
            "server": self.server.asdict(),
        }
