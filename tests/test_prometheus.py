"""
Tests for L{txsslstream.prometheus}: what Prometheus reads.
"""

from __future__ import annotations

import inspect
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txsslstream import (
    AuthenticationError,
    HandshakeFailureReason,
    IHandshakeObserver,
    SslProtocols,
)
from txsslstream.metrics import DURATION_BOUNDS, addObserver, removeObserver
from txsslstream.prometheus import PrometheusObserver
from txsslstream.testing import VERSIONS, StreamPair

ROLES = ("client", "server")


class PrometheusTests(SynchronousTestCase):
    """
    Tests for L{PrometheusObserver}.
    """

    def setUp(self) -> None:
        """
        Observe for a registry of our own.
        """
        self.registry = CollectorRegistry()
        self.observer = PrometheusObserver(self.registry)
        addObserver(self.observer)
        self.addCleanup(removeObserver, self.observer)

    def families(self) -> dict[str, Metric]:
        """
        @return: what a scraper reads, by name.
        """
        text = generate_latest(self.registry).decode()
        return {each.name: each for each in text_string_to_metric_families(text)}

    def read(self, name: str, **labels: str) -> float | None:
        """
        @return: one value of what a scraper reads, if it is there.
        """
        values = [
            sample.value
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        self.assertLessEqual(len(values), 1)
        return values[0] if values else None

    def test_interface(self) -> None:
        """
        It is an observer.
        """
        self.assertTrue(verifyObject(IHandshakeObserver, self.observer))

    def test_kinds(self) -> None:
        """
        Everything is of its kind, explained, and there from the beginning.
        """
        families = {
            name: each
            for name, each in self.families().items()
            # When each was first there, which the library adds.
            if not name.endswith("_created")
        }
        self.assertEqual(
            {name: each.type for name, each in families.items()},
            {
                "txsslstream_handshakes": "counter",
                "txsslstream_handshakes_resumed": "counter",
                "txsslstream_handshake_failures": "counter",
                "txsslstream_handshake_duration_seconds": "histogram",
                "txsslstream_handshakes_current": "gauge",
                "txsslstream_open_connections": "gauge",
                "txsslstream_clients_turned_away": "counter",
            },
        )
        for each in families.values():
            self.assertIn("TLS", each.documentation)

    def test_turnedAway(self) -> None:
        """
        Clients that are turned away are counted.
        """
        self.observer.clientTurnedAway()
        self.observer.clientTurnedAway()
        self.assertEqual(
            self.registry.get_sample_value(
                "txsslstream_clients_turned_away_total", {"role": "server"}
            ),
            2,
        )

    def test_zeros(self) -> None:
        """
        What has not happened yet has happened no times: all but what depends on
        the version is there.
        """
        for role in ROLES:
            for name in ("handshakes_total", "handshakes_resumed_total", "handshakes_current"):
                self.assertEqual(self.read(f"txsslstream_{name}", role=role), 0)
            for reason in HandshakeFailureReason:
                self.assertEqual(
                    self.read(
                        "txsslstream_handshake_failures_total", role=role, reason=reason.value
                    ),
                    0,
                )

    def test_connection(self) -> None:
        """
        A connection is counted as current, then as open, then no more, for
        either role by its version; the handshake's seconds are in a histogram.
        """
        for version in VERSIONS:
            protocol = str(version.name)
            answer: Deferred[bool] = Deferred()
            asking = {"remoteCertificateValidationCallback": lambda *_, x=answer: x}
            pair = StreamPair()
            before = {role: self.read("txsslstream_handshakes_total", role=role) for role in ROLES}
            pair.authenticate(version, client=asking)
            for role in ROLES:
                self.assertEqual(self.read("txsslstream_handshakes_current", role=role), 1)
            pair.clock.advance(0.2)
            answer.callback(True)
            pair.wire.flush()
            duration = "txsslstream_handshake_duration_seconds"
            for role in ROLES:
                labels = {"role": role, "protocol": protocol}
                self.assertEqual(self.read("txsslstream_handshakes_current", role=role), 0)
                self.assertEqual(self.read("txsslstream_open_connections", **labels), 1)
                total = self.read("txsslstream_handshakes_total", role=role)
                self.assertEqual(total, (before[role] or 0) + 1)
                self.assertEqual(self.read(f"{duration}_count", **labels), 1)
                self.assertEqual(self.read(f"{duration}_sum", **labels), 0.2)
                for bound in (*DURATION_BOUNDS, float("inf")):
                    le = "+Inf" if bound == float("inf") else str(bound)
                    n = self.read(f"{duration}_bucket", le=le, **labels)
                    self.assertEqual(n, int(bound >= 0.2), bound)
            pair.wire.cut()
            for role in ROLES:
                labels = {"role": role, "protocol": protocol}
                self.assertEqual(self.read("txsslstream_open_connections", **labels), 0)

    def test_failure(self) -> None:
        """
        A handshake that fails is counted by its reason, and has no duration.
        """
        for authenticated in StreamPair().authenticate(client={"targetHost": "elsewhere.example"}):
            self.failureResultOf(authenticated, AuthenticationError)
        for role, reason in (("client", "certificateNameMismatch"), ("server", "alertReceived")):
            failures = "txsslstream_handshake_failures_total"
            self.assertEqual(self.read(failures, role=role, reason=reason), 1)
            self.assertEqual(self.read("txsslstream_handshakes_total", role=role), 1)
            self.assertEqual(self.read("txsslstream_handshakes_current", role=role), 0)
        family = self.families()["txsslstream_handshake_failures"]
        self.assertEqual(sum(s.value for s in family.samples if s.name.endswith("_total")), 2)
        self.assertEqual(self.families()["txsslstream_handshake_duration_seconds"].samples, [])

    def test_resumed(self) -> None:
        """
        A handshake in which an earlier session went on counts as such, too.
        """
        for isResumed in (True, False):
            self.observer.handshakeStarted(True)
            self.observer.handshakeCompleted(True, SslProtocols.Tls13, isResumed, 0.1)
        self.assertEqual(self.read("txsslstream_handshakes_resumed_total", role="server"), 1)
        self.assertEqual(self.read("txsslstream_handshakes_total", role="server"), 2)

    def test_registries(self) -> None:
        """
        One registry has the metrics once, another may have them as well; they
        are in the library's own unless told otherwise.
        """
        self.assertRaises(ValueError, PrometheusObserver, self.registry)
        PrometheusObserver(CollectorRegistry())
        parameters: Any = inspect.signature(PrometheusObserver).parameters
        self.assertIs(parameters["registry"].default, REGISTRY)
