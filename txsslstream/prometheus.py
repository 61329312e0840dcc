# -*- test-case-name: tests.test_prometheus -*-
"""
The metrics of this process for Prometheus, by its own client library: an extra,
C{pip install txsslstream[prometheus]}.  Nothing else here imports this module.
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from zope.interface import implementer

from .enums import SslProtocols
from .errors import HandshakeFailureReason
from .interfaces import IAdmissionObserver, IHandshakeObserver
from .metrics import DURATION_BOUNDS

_ROLES = ("client", "server")


@implementer(IHandshakeObserver, IAdmissionObserver)
class PrometheusObserver:
    """
    Keeps Prometheus' metrics of all connections, which are

      - C{txsslstream_handshakes_total{role}}: handshakes that have ended;
      - C{txsslstream_handshakes_resumed_total{role}}: those of them in which an
        earlier session went on;
      - C{txsslstream_handshake_failures_total{role,reason}}: those that have
        failed, by L{HandshakeFailureReason};
      - C{txsslstream_handshake_duration_seconds{role,protocol}}: a histogram of
        those that have not;
      - C{txsslstream_handshakes_current{role}}: a gauge of those under way;
      - C{txsslstream_open_connections{role,protocol}}: a gauge of the
        connections that are open;
      - C{txsslstream_clients_turned_away_total{role}}: a counter of clients that were
        too many (L{HandshakeLimit<txsslstream.admission.HandshakeLimit>}).

    The role is C{client} or C{server}; the protocol has the name that it has in
    L{SslProtocols}.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """
        @param registry: where the metrics are registered, once.

        @raise ValueError: they are registered there.
        """
        self._handshakes = Counter(
            "txsslstream_handshakes_total",
            "TLS handshakes that have ended, well or not",
            ["role"],
            registry=registry,
        )
        self._resumed = Counter(
            "txsslstream_handshakes_resumed_total",
            "TLS handshakes in which an earlier session went on",
            ["role"],
            registry=registry,
        )
        self._failures = Counter(
            "txsslstream_handshake_failures_total",
            "TLS handshakes that have failed",
            ["role", "reason"],
            registry=registry,
        )
        self._durations = Histogram(
            "txsslstream_handshake_duration_seconds",
            "How long successful TLS handshakes took, with all callbacks",
            ["role", "protocol"],
            buckets=DURATION_BOUNDS,
            registry=registry,
        )
        self._current = Gauge(
            "txsslstream_handshakes_current",
            "TLS handshakes that are under way",
            ["role"],
            registry=registry,
        )
        self._open = Gauge(
            "txsslstream_open_connections",
            "Authenticated TLS connections that are open",
            ["role", "protocol"],
            registry=registry,
        )
        self._turnedAway = Counter(
            "txsslstream_clients_turned_away_total",
            "Clients that were too many to begin a TLS handshake",
            ["role"],
            registry=registry,
        )
        self._turnedAway.labels(_ROLES[True])
        # What is not there before it first happens has no rate when it does.
        for role in _ROLES:
            self._handshakes.labels(role)
            self._resumed.labels(role)
            self._current.labels(role)
            for reason in HandshakeFailureReason:
                self._failures.labels(role, reason.value)

    def _ended(self, isServer: bool) -> str:
        role = _ROLES[isServer]
        self._current.labels(role).dec()
        self._handshakes.labels(role).inc()
        return role

    def handshakeStarted(self, isServer: bool) -> None:
        """
        See L{IHandshakeObserver}.
        """
        self._current.labels(_ROLES[isServer]).inc()

    def handshakeCompleted(
        self, isServer: bool, protocol: SslProtocols, isResumed: bool, seconds: float
    ) -> None:
        """
        See L{IHandshakeObserver}.
        """
        role = self._ended(isServer)
        self._resumed.labels(role).inc(isResumed)
        self._durations.labels(role, protocol.name).observe(seconds)
        self._open.labels(role, protocol.name).inc()

    def handshakeFailed(
        self, isServer: bool, reason: HandshakeFailureReason, seconds: float
    ) -> None:
        """
        See L{IHandshakeObserver}.
        """
        self._failures.labels(self._ended(isServer), reason.value).inc()

    def connectionClosed(self, isServer: bool, protocol: SslProtocols) -> None:
        """
        See L{IHandshakeObserver}.
        """
        self._open.labels(_ROLES[isServer], protocol.name).dec()

    def clientTurnedAway(self) -> None:
        """
        See L{IAdmissionObserver}.
        """
        self._turnedAway.labels(_ROLES[True]).inc()
