"""
Tests for L{txsslstream.testing}'s pairs of streams, and for what tells their
outcomes.
"""

from __future__ import annotations

import sys
import unittest
from types import ModuleType
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    HandshakeTimeout,
    ReadTimeout,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    TlsAlert,
    TlsCipherSuite,
    TlsError,
    TruncationError,
    X509ChainStatusFlags,
)
from txsslstream._waiting import _parked
from txsslstream.testing import (
    VERSIONS,
    Authority,
    Flaw,
    StreamPair,
    connectedStreams,
    failureOf,
    onlySuite,
    perVersion,
    randomSegments,
    refusalOf,
    resultOf,
    sharedAuthority,
)


class ConnectedTests(SynchronousTestCase):
    """
    L{connectedStreams}.
    """

    def talk(self, pair: StreamPair) -> None:
        """
        Say something in each direction.
        """
        for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
            one.write(b"something")
            pair.flush()
            self.assertEqual(resultOf(other.readExactly(9)), b"something")

    def test_default(self) -> None:
        """
        A line makes an authenticated pair, for each version and segmentation.
        """
        for version in VERSIONS:
            for segment in (0, 1, randomSegments(1)):
                pair = connectedStreams(version=version, segment=segment)
                self.assertEqual(
                    (pair.client.sslProtocol, pair.server.sslProtocol), (version, version)
                )
                self.assertFalse(pair.client.isMutuallyAuthenticated)
                self.talk(pair)

    def test_mutual(self) -> None:
        """
        Both are authenticated if that is asked for.
        """
        pair = connectedStreams(mutual=True)
        self.assertTrue(pair.server.isMutuallyAuthenticated)
        self.assertEqual(
            pair.server.remoteCertificate, sharedAuthority().clientCertificate.certificate
        )
        self.talk(pair)

    def test_options(self) -> None:
        """
        Options are options, or changes to the usual ones.
        """
        by = Authority()
        for client, server in (
            ({"applicationProtocols": ["h2"]}, {"applicationProtocols": ["h2"]}),
            (
                by.clientOptions(applicationProtocols=["h2"]),
                by.serverOptions(applicationProtocols=["h2"]),
            ),
        ):
            pair = connectedStreams(client, server, authority=by)
            self.assertEqual(str(pair.client.negotiatedApplicationProtocol), "h2")
        self.assertIsNone(connectedStreams().client.negotiatedApplicationProtocol)

    def test_ownCertificates(self) -> None:
        """
        What mutual authentication would choose gives way to what is given.
        """
        by = Authority()
        mine = by.issue("somebody@example.com")
        pair = connectedStreams({"clientCertificates": [mine]}, mutual=True, authority=by)
        self.assertEqual(pair.server.remoteCertificate, mine.certificate)
        given = by.clientOptions(clientCertificates=[mine])
        pair = connectedStreams(given, mutual=True, authority=by)
        self.assertEqual(pair.server.remoteCertificate, mine.certificate)

    def test_refused(self) -> None:
        """
        Who refuses whom is raised, and the twin of the error is not logged.
        """
        by = Authority()
        with self.assertRaises(AuthenticationError) as raised:
            connectedStreams({"targetHost": "elsewhere.example"}, authority=by)
        self.assertEqual(
            raised.exception.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNameMismatch
        )
        for version in VERSIONS:
            with self.assertRaises(AuthenticationError) as raised:
                connectedStreams(
                    {"clientCertificates": [by.issueBad(Flaw.Expired, "me@example.com")]},
                    {"clientCertificateRequired": True},
                    authority=by,
                    version=version,
                )
            error = raised.exception
            # In TLS 1.3 the client is done when the server refuses it.
            said = error.alert if version is SslProtocols.Tls12 else error.alertSent
            self.assertIs(said, TlsAlert.certificate_expired)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_pending(self) -> None:
        """
        A pair that waits for something is no pair yet, which is said, and nobody
        waits for it any longer.
        """
        cancelled: list[Deferred[bool]] = []
        decision: Deferred[bool] = Deferred(cancelled.append)
        waits: Any = {"remoteCertificateValidationCallback": lambda *_: decision}
        with self.assertRaisesRegex(AssertionError, "nothing has come of it"):
            connectedStreams(waits)
        self.assertEqual(cancelled, [decision])
        self.assertEqual(_parked, set())

    def test_clock(self) -> None:
        """
        All time is that of its clock, which may be given.
        """
        clock = Clock()
        pair = connectedStreams(clock=clock)
        self.assertIs(pair.clock, clock)
        pair.client.readTimeout = 5
        reading = pair.client.read()
        pair.advance(4.9)
        self.assertNoResult(reading)
        pair.advance(0.2)
        failureOf(reading, ReadTimeout)
        self.assertIsNot(connectedStreams().clock, clock)

    def test_arguments(self) -> None:
        """
        Streams are made with what else is asked for.
        """
        self.assertTrue(connectedStreams(leaveInnerStreamOpen=True).client.leaveInnerStreamOpen)
        self.assertFalse(connectedStreams().client.leaveInnerStreamOpen)

    def test_onlySuite(self) -> None:
        """
        Options for one suite have it negotiated.
        """
        for suite in (
            TlsCipherSuite.TLS_AES_256_GCM_SHA384,
            TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ):
            pair = connectedStreams(onlySuite(suite))
            self.assertIs(pair.server.negotiatedCipherSuite, suite)


class PairTests(SynchronousTestCase):
    """
    L{StreamPair}.
    """

    def test_later(self) -> None:
        """
        Its streams are authenticated when that is asked for, and not before.
        """
        pair = StreamPair()
        self.assertFalse(pair.client.isAuthenticated)
        client, server = pair.authenticate(SslProtocols.Tls12, flush=False)
        self.assertNoResult(client)
        pair.flush()
        self.assertIs(resultOf(client), pair.client)
        self.assertIs(resultOf(server), pair.server)
        self.assertIs(pair.client.sslProtocol, SslProtocols.Tls12)

    def test_slow(self) -> None:
        """
        With delays the handshake takes the time of its flights.
        """
        for version, flights in ((SslProtocols.Tls13, 2), (SslProtocols.Tls12, 4)):
            pair = StreamPair()
            for end in pair.wire.ends:
                end.delay = 1
            client, server = pair.authenticate(version)
            server.addErrback(lambda _: None)
            pair.advance(flights - 0.5)
            self.assertNoResult(client)
            pair.advance(0.5)
            self.assertIs(resultOf(client), pair.client)

    def test_tooSlow(self) -> None:
        """
        With more delay than there is time for, it fails.
        """
        pair = StreamPair()
        pair.wire.server.delay = 31
        client, server = pair.authenticate()
        server.addErrback(lambda _: None)
        pair.advance(29)
        self.assertNoResult(client)
        pair.advance(2)
        failureOf(client, HandshakeTimeout)

    def test_truncated(self) -> None:
        """
        A connection that is lost inside of a record is told as such; one that is
        closed is not.
        """
        for offset in (1, 10):
            pair = connectedStreams()
            pair.wire.server.loseAt(pair.wire.server.delivered + offset, ConnectionDone)
            pair.server.write(b"a message")
            pair.flush()
            failureOf(pair.client.read(), TruncationError)
        pair = connectedStreams()
        pair.server.close()
        pair.flush()
        self.assertEqual(resultOf(pair.client.read()), b"")

    def test_damaged(self) -> None:
        """
        A record that is damaged on its way is found out.
        """
        for isDamaged in (True, False):
            pair = connectedStreams()
            if isDamaged:
                pair.wire.server.damageAt(pair.wire.server.delivered + 10)
            pair.server.write(b"a message")
            pair.flush()
            reading = pair.client.read()
            if isDamaged:
                self.assertIn("bad record mac", str(failureOf(reading, TlsError)))
            else:
                self.assertEqual(resultOf(reading), b"a message")

    def test_bystanders(self) -> None:
        """
        The protocols that the transports had are told of the end.
        """
        pair = connectedStreams()
        self.assertIsNone(pair.bystanders[0].lost)
        pair.client.close()
        pair.flush()
        pair.advance(10)
        self.assertIsNotNone(pair.bystanders[0].lost)
        self.assertEqual(pair.bystanders[0].received, b"")

    def test_sessions(self) -> None:
        """
        Sessions go on where that is asked for, and nowhere else.
        """
        by = Authority()
        options = by.clientOptions(), by.serverOptions()
        for keeps, isResumed in ((False, False), (True, True), (False, False)):
            pair = StreamPair(keepsSessions=keeps, authority=by)
            for side in pair.authenticate(client=options[0], server=options[1]):
                resultOf(side)
            self.assertIs(pair.client.isResumed, isResumed)
            pair.client.close()
            pair.server.close()
            pair.flush()


class OutcomeTests(SynchronousTestCase):
    """
    L{resultOf}, L{failureOf} and L{refusalOf}.
    """

    def test_result(self) -> None:
        """
        A result is returned, a failure is raised, and nothing is an error.
        """
        self.assertEqual(resultOf(succeed(5)), 5)
        self.assertRaises(ZeroDivisionError, resultOf, fail(ZeroDivisionError()))
        self.assertRaises(AssertionError, resultOf, Deferred())

    def test_failure(self) -> None:
        """
        An error of exactly that kind is returned; anything else is an error.
        """
        error = ZeroDivisionError("x")
        self.assertIs(failureOf(fail(error), ZeroDivisionError), error)
        for other in (succeed(5), Deferred(), fail(KeyError()), fail(error)):
            kind: Any = ArithmeticError
            self.assertRaises(AssertionError, failureOf, other, kind)

    def test_refusal(self) -> None:
        """
        An authentication's error has to say what is wanted, and no more.
        """

        def refused() -> Deferred[Any]:
            return fail(
                AuthenticationError(
                    "no",
                    sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
                    chainStatus=X509ChainStatusFlags.Revoked,
                    alertSent=TlsAlert.certificate_revoked,
                )
            )

        self.assertEqual(str(refusalOf(refused()).args[0]), "no")
        refusalOf(
            refused(),
            sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
            chainStatus=X509ChainStatusFlags.Revoked,
            alertSent=TlsAlert.certificate_revoked,
        )
        wrong: tuple[tuple[dict[str, Any], str], ...] = (
            ({"sslPolicyErrors": SslPolicyErrors.None_}, "sslPolicyErrors is"),
            ({"chainStatus": X509ChainStatusFlags.NoError}, "chainStatus is"),
            ({"alert": TlsAlert.unknown_ca}, "alert is None"),
            ({"alertSent": TlsAlert.unknown_ca}, "alertSent is"),
        )
        for wanted, words in wrong:
            with self.assertRaisesRegex(AssertionError, f"^{words}[^;]*$"):
                refusalOf(refused(), **wanted)
        self.assertRaises(AssertionError, refusalOf, succeed(None))


class PerVersionTests(SynchronousTestCase):
    """
    L{perVersion}.
    """

    def run_(self, **arguments: Any) -> tuple[ModuleType, unittest.TestResult]:
        """
        Make test cases in a module of their own, and run them.
        """
        module = ModuleType("made")
        self.patch(sys, "modules", {**sys.modules, "made": module})

        class Mixin:
            """
            A docstring.
            """

            version: SslProtocols
            segment: int

            def test_connected(self) -> None:
                """
                Every one but one is good.
                """
                pair = connectedStreams(version=self.version, segment=self.segment)
                good: Any = self
                good.assertIs(pair.client.sslProtocol, self.version)
                good.assertFalse(self.version is SslProtocols.Tls12 and self.segment == 5)

        Mixin.__module__ = "made"
        Mixin.__name__ = "Tests"
        self.assertIs(perVersion(**arguments)(Mixin), Mixin)
        result = unittest.TestResult()
        suite = unittest.TestSuite(
            unittest.defaultTestLoader.loadTestsFromTestCase(each)
            for each in vars(module).values()
            if isinstance(each, type)
        )
        suite.run(result)
        return module, result

    def test_cases(self) -> None:
        """
        There is a test case for each version and segmentation, and it runs.
        """
        module, result = self.run_()
        names = [name for name in vars(module) if name.startswith("Tests")]
        self.assertEqual(
            names, ["Tests_Tls12_whole", "Tests_Tls12_1", "Tests_Tls13_whole", "Tests_Tls13_1"]
        )
        self.assertEqual((result.testsRun, len(result.failures)), (4, 0))

    def test_chosen(self) -> None:
        """
        Versions and segmentations may be chosen, and each fails for itself.
        """
        _, result = self.run_(segments=[5])
        self.assertEqual((result.testsRun, len(result.failures)), (2, 1))
        _, result = self.run_(segments=[5], versions=[SslProtocols.Tls13])
        self.assertEqual((result.testsRun, len(result.failures)), (1, 0))


def test_anyRunner() -> None:
    """
    None of this needs a test case.
    """
    pair = connectedStreams()
    assert isinstance(pair.client, SslStream)
