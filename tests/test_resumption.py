"""
Tests for L{txsslstream.resumption}: when an earlier session goes on, and that it
is judged as a new one would be.
"""

from __future__ import annotations

import textwrap
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    TlsAlert,
    X509ChainPolicy,
    X509ChainTrustMode,
    X509RevocationMode,
)
from txsslstream.chain import X509Chain
from txsslstream.sessions import sessions
from txsslstream.testing import VERSIONS, Authority, StreamPair, perVersion

from .programs import runPython
from .streams import _Mixin
from .support import AUTHORITY, CLIENT, SERVER

LOWER = Authority("Lower Authority", AUTHORITY)
OTHER = Authority("Other Authority")
INDIRECT_SERVER = LOWER.issue("localhost")
INDIRECT_CLIENT = LOWER.issue("client@example.com")
MUTUAL: dict[str, Any] = {"clientCertificateRequired": True}

Sides = tuple["Deferred[SslStream]", "Deferred[SslStream]"]


class _Judge:
    """
    A validation callback.

    @ivar calls: what it was asked.
    """

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.calls: list[tuple[x509.Certificate | None, X509Chain | None, SslPolicyErrors]] = []

    def __call__(
        self,
        stream: SslStream,
        certificate: x509.Certificate | None,
        chain: X509Chain | None,
        errors: SslPolicyErrors,
    ) -> Any:
        self.calls.append((certificate, chain, errors))
        return self.answer


class ResumptionMixin(_Mixin):
    """
    Connections one after the other.
    """

    version: SslProtocols = SslProtocols.None_
    segment = 0
    pair: StreamPair
    sides: Sides

    def setUp(self) -> None:
        sessions.clear()

    def begin(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> None:
        """
        Begin a connection, and let it go as far as it goes.
        """
        self.pair = StreamPair(self.segment, keepsSessions=True)
        self.sides = self.pair.authenticate(self.version, client, server)

    def connect(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> StreamPair:
        """
        Authenticate a connection, and close it.
        """
        self.begin(client, server)
        for side in self.sides:
            self.successResultOf(side)
        pair = self.pair
        self.assertEqual(pair.client.isResumed, pair.server.isResumed)
        pair.client.close()
        pair.server.close()
        pair.wire.flush()
        return pair

    def refusal(self, index: int) -> AuthenticationError:
        """
        Why a side (0 is the client) has failed.
        """
        error = self.failureResultOf(self.sides[index], AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        return error


@perVersion()
class Resumption(ResumptionMixin):
    """
    Connections with the same options.
    """

    def test_resumed(self) -> None:
        """
        From the second on they go on with the session of the one before.
        """
        resumed = [self.connect().client.isResumed for _ in range(4)]
        self.assertEqual(resumed, [False, True, True, True])

    def test_usable(self) -> None:
        """
        Data goes both ways on a session that goes on.
        """
        self.connect()
        self.begin()
        self.pair.client.write(b"ping")
        self.pair.server.write(b"pong")
        self.pair.wire.flush()
        self.assertEqual(self.successResultOf(self.pair.server.read()), b"ping")
        self.assertEqual(self.successResultOf(self.pair.client.read()), b"pong")
        self.assertTrue(self.pair.client.isResumed)

    def test_properties(self) -> None:
        """
        All that can be inspected is as in the first connection.
        """
        client = {"clientCertificates": [INDIRECT_CLIENT], "applicationProtocols": ["h2"]}
        server = {
            **MUTUAL,
            "serverCertificate": INDIRECT_SERVER,
            "applicationProtocols": ["http/1.1", "h2"],
        }
        first, second = (self.connect(client, server) for _ in range(2))
        self.assertFalse(first.client.isResumed)
        self.assertTrue(second.client.isResumed)
        for name in ("client", "server"):
            before, after = (getattr(pair, name).security.asdict() for pair in (first, second))
            self.assertTrue(after.pop("isResumed"))
            self.assertFalse(before.pop("isResumed"))
            if self.version is SslProtocols.Tls12:
                # Keys are not exchanged again.
                for each in (before, after):
                    del each["keyExchangeGroup"], each["keyExchangeStrength"]
            self.assertEqual(before, after)
            self.assertTrue(after["isMutuallyAuthenticated"])
            self.assertEqual(len(after["remoteChain"]), 3)

    def test_judgedAgain(self) -> None:
        """
        Each side is asked about the other each time, with the same certificate,
        a chain as long, and the same findings.
        """
        ours, theirs = _Judge(), _Judge()
        for _ in range(2):
            self.connect(
                {
                    "clientCertificates": [INDIRECT_CLIENT],
                    "remoteCertificateValidationCallback": ours,
                    "targetHost": "elsewhere",
                },
                {
                    **MUTUAL,
                    "serverCertificate": INDIRECT_SERVER,
                    "remoteCertificateValidationCallback": theirs,
                },
            )
        self.assertTrue(self.pair.client.isResumed)
        for judge, certificate, expected in (
            (ours, INDIRECT_SERVER, SslPolicyErrors.RemoteCertificateNameMismatch),
            (theirs, INDIRECT_CLIENT, SslPolicyErrors.None_),
        ):
            self.assertEqual(len(judge.calls), 2)
            for seen, chain, errors in judge.calls:
                self.assertEqual(seen, certificate.certificate)
                assert chain is not None
                self.assertEqual(
                    [each.certificate for each in chain.chainElements],
                    [certificate.certificate, LOWER.certificate, AUTHORITY.certificate],
                )
                self.assertEqual(errors, expected)

    def test_nobodyIsJudgedAgain(self) -> None:
        """
        A server that asked for no certificate is asked about nobody each time.
        """
        judge = _Judge()
        for _ in range(2):
            self.connect(None, {"remoteCertificateValidationCallback": judge})
        self.assertTrue(self.pair.server.isResumed)
        self.assertEqual(judge.calls, [(None, None, SslPolicyErrors.None_)] * 2)

    def test_clientRefuses(self) -> None:
        """
        A client that accepted a server may refuse it now, and the server is told.
        """
        judge = _Judge()
        client = {"remoteCertificateValidationCallback": judge}
        self.connect(client)
        judge.answer = False
        self.begin(client)
        error = self.refusal(0)
        self.assertIn("was refused by remoteCertificateValidationCallback", str(error))
        self.assertIs(error.alertSent, TlsAlert.bad_certificate)
        self.assertIs(self.refusal(1).alert, TlsAlert.bad_certificate)
        self.assertFalse(self.pair.client.isAuthenticated)

    def test_serverRefuses(self) -> None:
        """
        A server that accepted a client may refuse it now, and the client is told
        before it is authenticated.
        """
        judge = _Judge()
        client = {"clientCertificates": [INDIRECT_CLIENT]}
        server = {**MUTUAL, "remoteCertificateValidationCallback": judge}
        self.connect(client, server)
        judge.answer = False
        self.begin(client, server)
        self.assertIs(self.refusal(1).alertSent, TlsAlert.bad_certificate)
        self.assertIs(self.refusal(0).alert, TlsAlert.bad_certificate)
        self.assertEqual(len(judge.calls), 2)

    def test_serverRefusesNobody(self) -> None:
        """
        The same where there is no client's certificate.
        """
        judge = _Judge()
        server = {"remoteCertificateValidationCallback": judge}
        self.connect(None, server)
        judge.answer = False
        self.begin(None, server)
        self.assertIs(self.refusal(1).alertSent, TlsAlert.handshake_failure)
        self.assertIs(self.refusal(0).alert, TlsAlert.handshake_failure)

    def test_waiting(self) -> None:
        """
        Each side may take its time, and nothing is readable or written before.
        """
        ours, theirs = _Judge(), _Judge()
        client = {
            "clientCertificates": [CLIENT],
            "remoteCertificateValidationCallback": ours,
        }
        server = {**MUTUAL, "remoteCertificateValidationCallback": theirs}
        self.connect(client, server)
        ours.answer, theirs.answer = Deferred[bool](), Deferred[bool]()
        self.begin(client, server)
        for side in self.sides:
            self.assertNoResult(side)
        self.assertEqual(self.pair.wire.server.everWritten, b"")
        theirs.answer.callback(True)
        self.pair.wire.flush()
        self.assertNoResult(self.sides[0])
        ours.answer.callback(True)
        self.pair.wire.flush()
        for side in self.sides:
            self.successResultOf(side)
        self.assertTrue(self.pair.client.isResumed)

    def test_late(self) -> None:
        """
        Who does not answer in time refuses.
        """
        for index, name in enumerate(("client", "server")):
            sessions.clear()
            judge = _Judge()
            options: list[dict[str, Any]] = [{"clientCertificates": [CLIENT]}, {**MUTUAL}]
            options[index] |= {"remoteCertificateValidationCallback": judge, "handshakeTimeout": 3}
            self.connect(*options)
            judge.answer = Deferred[bool]()
            self.begin(*options)
            self.pair.clock.advance(3)
            self.pair.wire.flush()
            self.assertIn("while a callback was deciding", str(self.refusal(index)), name)
            other = self.refusal(1 - index)
            expected = (TlsAlert.certificate_unknown, TlsAlert.user_canceled)[index]
            self.assertIs(other.alert, expected, name)

    def test_failing(self) -> None:
        """
        A callback that fails refuses, with the alert for that.
        """
        judge = _Judge()
        client = {"remoteCertificateValidationCallback": judge}
        self.connect(client)
        judge.answer = 1
        self.begin(client)
        self.assertIsInstance(self.refusal(0).__cause__, TypeError)
        self.assertIs(self.refusal(1).alert, TlsAlert.internal_error)

    def test_lost(self) -> None:
        """
        After a connection that broke off its session may still go on, on either
        side.
        """
        for server in ({}, MUTUAL):
            sessions.clear()
            client = {"clientCertificates": [CLIENT]}
            self.begin(client, server)
            self.pair.wire.cut()
            self.begin(client, server)
            self.assertTrue(self.pair.client.isResumed)
            self.assertTrue(self.pair.server.isResumed)

    def test_atOnce(self) -> None:
        """
        Of two connections at once, one goes on with the only session.
        """
        self.connect()
        # In TLS 1.3 there may be two tickets.
        for kept in sessions._sessions.values():
            del kept[1:]
        pairs = [StreamPair(self.segment, keepsSessions=True) for _ in range(2)]
        for pair in pairs:
            pair.authenticate(self.version, flush=False)
        for pair in pairs:
            pair.wire.flush()
        self.assertEqual([pair.client.isResumed for pair in pairs], [True, False])
        self.assertTrue(all(pair.server.isAuthenticated for pair in pairs))


@perVersion(segments=(0,))
class Anew(ResumptionMixin):
    """
    Connections that do not go on with the session of the one before.
    """

    def assertAnew(
        self,
        first: tuple[dict[str, Any], dict[str, Any]],
        second: tuple[dict[str, Any], dict[str, Any]],
    ) -> None:
        """
        The first connection's session does not go on in the second, but would in
        one like the first.
        """
        sessions.clear()
        self.connect(*first)
        self.assertFalse(self.connect(*second).client.isResumed)
        self.assertTrue(self.connect(*first).client.isResumed)

    def test_clientsOptions(self) -> None:
        """
        A client's session is for one target, trust, policy, certificate, set of
        protocols and suites.
        """
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=[AUTHORITY.certificate],
            maximumDepth=1,
        )
        both = [AUTHORITY.certificate, OTHER.certificate]
        mine = {"clientCertificates": [CLIENT]}
        for first, second in (
            ({}, {"targetHost": "127.0.0.1"}),
            ({"targetHost": "127.0.0.1"}, {}),
            ({}, {"trust": type(AUTHORITY.trust).fromCertificates(both)}),
            ({}, {"certificateChainPolicy": policy}),
            (mine, {"clientCertificates": [AUTHORITY.issue("another@example.com")]}),
            (mine, {"clientCertificateContext": CLIENT}),
            (mine, {}),
            ({}, mine),
            ({}, {"applicationProtocols": ["h2"]}),
        ):
            self.assertAnew((first, {}), (second, {}))

    def test_case(self) -> None:
        """
        In whichever case a target is written, it is the same.
        """
        self.connect({"targetHost": "localhost"})
        self.assertTrue(self.connect({"targetHost": "LocalHost"}).client.isResumed)

    def test_callbacks(self) -> None:
        """
        Another callback about the server is asked in its place: it is no reason
        to begin anew.
        """
        self.connect()
        judge = _Judge()
        self.connect({"remoteCertificateValidationCallback": judge})
        self.assertTrue(self.pair.client.isResumed)
        self.assertEqual(len(judge.calls), 1)

    def test_serversOptions(self) -> None:
        """
        A server's session is for one certificate, demand and judgement of
        clients.
        """
        client = {"clientCertificates": [CLIENT]}
        roots = [AUTHORITY.certificate, OTHER.certificate]
        wider = type(AUTHORITY.trust).fromCertificates(roots)
        for first, second in (
            ({}, {"serverCertificate": AUTHORITY.issue("localhost")}),
            (MUTUAL, {**MUTUAL, "trust": wider}),
            (MUTUAL, {}),
            ({}, MUTUAL),
            ({}, {"applicationProtocols": ["h2"]}),
        ):
            sessions.clear()
            self.connect(client, first)
            self.assertFalse(self.connect(client, second).client.isResumed)

    def test_switchedOff(self) -> None:
        """
        Nothing goes on unless both sides allow it.
        """
        off = {"allowTlsResume": False}
        for client, server in ((off, {}), ({}, off), (off, off)):
            sessions.clear()
            for _ in range(3):
                self.assertFalse(self.connect(client, server).client.isResumed)

    def test_revocation(self) -> None:
        """
        A client that checks revocation begins anew: only so it gets a fresh
        response.
        """
        options = {
            "certificateRevocationCheckMode": X509RevocationMode.Offline,
            "remoteCertificateValidationCallback": lambda *_: True,
        }
        for _ in range(2):
            self.assertFalse(self.connect(options).client.isResumed)

    def test_noName(self) -> None:
        """
        A server without a name cannot be told from another.
        """
        options = {"targetHost": "", "remoteCertificateValidationCallback": lambda *_: True}
        for _ in range(2):
            self.assertFalse(self.connect(options).client.isResumed)

    def test_broken(self) -> None:
        """
        A session whose connection broke with a fatal alert does not go on; one
        whose connection was only lost does.
        """
        for data, isResumed in ((bytes((23, 3, 3, 0, 20)) + bytes(20), False), (b"", True)):
            sessions.clear()
            self.begin()
            for side in self.sides:
                self.successResultOf(side)
            self.assertTrue(sessions._sessions)
            client: Any = self.pair.client
            if data:
                client._protocol.dataReceived(data)
            self.pair.wire.cut()
            self.assertIs(self.connect().client.isResumed, isResumed)
            self.assertTrue(self.connect().client.isResumed)


@perVersion(segments=(0,))
class Selection(ResumptionMixin):
    """
    Clients whose certificate a callback chooses.
    """

    answers: list[SslStreamCertificateContext | None]

    def select(
        self, stream: SslStream, host: str, ours: Any, remote: Any, issuers: Any
    ) -> SslStreamCertificateContext | None:
        """
        The next answer.
        """
        return self.answers.pop(0)

    def shown(self, *answers: SslStreamCertificateContext | None, asks: bool = True) -> bool:
        """
        Connect, with these answers of the callback.

        @return: whether the session went on.
        """
        self.answers = list(answers)
        self.connect(
            {"localCertificateSelectionCallback": self.select},
            {
                "clientCertificateRequired": asks,
                "remoteCertificateValidationCallback": lambda *_: True,
            },
        )
        self.assertEqual(self.answers, [])
        last = answers[-1] if asks else None
        self.assertEqual(
            self.pair.server.remoteCertificate, None if last is None else last.certificate
        )
        self.assertEqual(self.pair.client.localCertificate, self.pair.server.remoteCertificate)
        return self.pair.client.isResumed

    def test_same(self) -> None:
        """
        A session goes on if the callback wants to show, before the hello, what
        was shown in it; then it is not asked again.
        """
        self.assertFalse(self.shown(CLIENT, CLIENT))
        self.assertTrue(self.shown(CLIENT))
        self.assertTrue(self.shown(CLIENT))

    def test_different(self) -> None:
        """
        It does not if the callback wants to show anything else.
        """
        self.assertFalse(self.shown(CLIENT, CLIENT))
        self.assertFalse(self.shown(INDIRECT_CLIENT, INDIRECT_CLIENT))
        self.assertFalse(self.shown(None, CLIENT))
        self.assertTrue(self.shown(CLIENT))
        self.assertTrue(self.shown(INDIRECT_CLIENT))

    def test_chosenWithout(self) -> None:
        """
        It does not, either, if the client has chosen by itself in it: the
        callback is asked.
        """
        asking = {
            "clientCertificateRequired": True,
            "remoteCertificateValidationCallback": lambda *_: True,
        }
        self.connect({"clientCertificates": [CLIENT]}, asking)
        self.answers = [None, None]
        self.connect(
            {
                "clientCertificates": [CLIENT],
                "localCertificateSelectionCallback": self.select,
            },
            asking,
        )
        self.assertEqual(self.answers, [])
        self.assertFalse(self.pair.client.isResumed)
        self.assertIsNone(self.pair.server.remoteCertificate)

    def test_unasked(self) -> None:
        """
        Where the server did not ask, the answer before the hello is what has to
        be the same.
        """
        self.assertFalse(self.shown(CLIENT, asks=False))
        self.assertFalse(self.shown(None, asks=False))
        self.assertTrue(self.shown(CLIENT, asks=False))


class ForkTests(SynchronousTestCase):
    """
    Servers in several processes.
    """

    def test_inherited(self) -> None:
        """
        A process that was forked after the options were built goes on with
        sessions that began in another.
        """
        program = textwrap.dedent(
            """
            import os
            from tests.support import serverOptions
            from txsslstream.testing import StreamPair

            options = serverOptions()
            pairs = [StreamPair(), StreamPair(keepsSessions=True)]
            for number, pair in enumerate(pairs):
                pair.authenticate()
                print(pair.server.isResumed, flush=True)
                if number == 0 and os.fork():
                    os.wait()
                    break
            """
        )
        self.assertEqual(runPython(program).split(), ["False", "True"])


class VersionTests(ResumptionMixin, SynchronousTestCase):
    """
    Sessions of one version in connections that permit others.
    """

    def test_either(self) -> None:
        """
        A session goes on with a server that has ceased to speak its version only
        as a new one.
        """
        for first, second in (VERSIONS, VERSIONS[::-1]):
            sessions.clear()
            self.connect(None, {"enabledSslProtocols": first})
            self.connect(None, {"enabledSslProtocols": second})
            self.assertFalse(self.pair.client.isResumed)
            self.assertIs(self.pair.client.sslProtocol, second)

    def test_server(self) -> None:
        """
        A client that never saw a session of the server's begins one.
        """
        self.connect()
        sessions.clear()
        self.assertFalse(self.connect().client.isResumed)
        self.assertIs(self.pair.server.localCertificate, SERVER.certificate)
