"""
Tests for L{txsslstream._probe}: what is seen of a server, however bad it is, that the verdict is
the one of a client with the default judgement, and that nothing else is said.
"""

from __future__ import annotations

from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    CertificateError,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslStreamCertificateContext,
    TlsAlert,
    X509Chain,
    X509RevocationMode,
)
from txsslstream._dialogues import SERVICES
from txsslstream._probe import LINGER, Inspection, Plan, Probe, Sight
from txsslstream.authentication import Authentication
from txsslstream.testing import DAY, MUST_STAPLE, NOW, Authority, StreamPair, perVersion
from txsslstream.testing.issuing import certificate, hosts
from txsslstream.testing.revocations import REVOKED, ocspResponse

from .servers import Script, ServedEndpoint
from .streams import _Mixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

SUB = Authority("Lower Authority", AUTHORITY)


def alone(context: SslStreamCertificateContext) -> SslStreamCertificateContext:
    """
    @return: a certificate without what has to be sent behind it.
    """
    return SslStreamCertificateContext(context.certificate, context.privateKey)


def badServers() -> dict[str, SslStreamCertificateContext]:
    """
    @return: certificates, each bad for another reason or for several.
    """
    own = certificate("localhost", extensions=(hosts("localhost"),))
    expired: Any = {"notBefore": NOW - 5 * DAY, "notAfter": NOW - DAY}
    return {
        "self-signed": SslStreamCertificateContext(own.certificate, own.key),
        "expired": AUTHORITY.issue("localhost", **expired),
        "not yet valid": AUTHORITY.issue("localhost", notBefore=NOW + DAY),
        "of another": AUTHORITY.issue("www.example.com"),
        "of nobody": AUTHORITY.issue(),
        "missing intermediate": alone(SUB.issue("localhost")),
        "wrong usage": AUTHORITY.issue("localhost", usages=[ExtendedKeyUsageOID.CLIENT_AUTH]),
        "untrusted": Authority("Stranger").issue("localhost"),
        "all of it": alone(Authority("Stranger").issue("www.example.com", **expired)),
    }


def planFor(options: SslClientAuthenticationOptions, service: str | None = None) -> Plan:
    """
    A plan for these options.
    """
    return Plan("localhost", 443, options, None if service is None else SERVICES[service], 10)


class ProbeCase(_Mixin):
    """
    Inspections of servers in memory.

    @ivar said: the lines about progress.
    """

    version: SslProtocols = SslProtocols.None_
    segment = 0

    def setUp(self) -> None:
        """
        Nothing was said.
        """
        self.said: list[str] = []

    def begin(self, endpoint: ServedEndpoint, plan: Plan) -> Deferred[Inspection]:
        """
        Begin an inspection, and let it go as far as it goes.
        """
        probe = Probe(plan, endpoint, endpoint.clock, self.said.append)
        inspecting = Deferred.fromCoroutine(probe.inspect())
        endpoint.flush()
        return inspecting

    def end(self, endpoint: ServedEndpoint, inspecting: Deferred[Inspection]) -> Inspection:
        """
        @return: what was found out.  There is nothing left behind.
        """
        inspection = self.successResultOf(inspecting)
        endpoint.flush()
        self.assertEqual(endpoint.clock.getDelayedCalls(), [])
        for wire in endpoint.wires:
            self.assertFalse(wire.client.connected)
        return inspection

    def inspect(
        self,
        server: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Inspection:
        """
        Inspect a server in memory.

        @ivar endpoint: what led there.
        """
        options = serverOptions(self.version, **(server or {}))
        self.endpoint = ServedEndpoint.authenticating(options, **arguments)
        plan = planFor(clientOptions(self.version, **(client or {})))
        return self.end(self.endpoint, self.begin(self.endpoint, plan))

    def refusal(self, server: dict[str, Any], client: dict[str, Any]) -> AuthenticationError:
        """
        @return: why a client with the default judgement refuses a server.
        """
        pair = StreamPair()
        refused, unfinished = pair.authenticate(self.version, client, server)
        unfinished.addErrback(lambda _: None)
        error = self.failureResultOf(refused, AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        return error


@perVersion(segments=(0,))
class Probing(ProbeCase):
    """
    What is seen of servers.
    """

    def test_good(self) -> None:
        """
        A good server is accepted, and what was negotiated and shown is known.
        """
        inspection = self.inspect({"serverCertificate": SUB.issue("localhost")})
        self.assertTrue(inspection.isAccepted)
        sight, verdict = inspection.sight, inspection.verdict
        assert sight.security is not None
        assert sight.chain is not None
        assert verdict is not None
        self.assertEqual(sight.address, "192.0.2.1")
        self.assertIs(sight.security.sslProtocol, self.version)
        self.assertEqual(len(sight.chain.chainElements), 3)
        self.assertEqual((verdict.sslPolicyErrors, verdict.problems, verdict.alert), (0, (), None))
        self.assertEqual((sight.isAsked, sight.failure, inspection.error), (False, None, None))
        self.assertEqual(self.said, [])

    def test_bad(self) -> None:
        """
        Bad servers are shown as well as good ones, and the verdict has all that
        a client with the default judgement says of them.
        """
        for what, bad in badServers().items():
            server = {"serverCertificate": bad}
            inspection = self.inspect(server)
            self.assertFalse(inspection.isAccepted, what)
            self.assertIsNotNone(inspection.sight.security, what)
            error, verdict = self.refusal(server, {}), inspection.verdict
            assert verdict is not None
            assert inspection.sight.chain is not None
            self.assertEqual(verdict.sslPolicyErrors, error.sslPolicyErrors, what)
            self.assertEqual(verdict.problems, error.problems, what)
            self.assertEqual(verdict.alert, error.alertSent, what)
            self.assertEqual(inspection.sight.chain.chainElements, error.chainElements, what)

    def test_revocation(self) -> None:
        """
        Where revocation is checked the verdict has that, too, and where not, it
        does not, although the connection was there to see the staple.
        """
        for mode in X509RevocationMode:
            client = {"certificateRevocationCheckMode": mode}
            inspection = self.inspect(client=client)
            verdict = inspection.verdict
            assert verdict is not None
            if mode is X509RevocationMode.NoCheck:
                self.assertTrue(inspection.isAccepted)
                continue
            error = self.refusal({}, client)
            self.assertEqual(verdict.problems, error.problems)
            self.assertEqual(verdict.sslPolicyErrors, error.sslPolicyErrors)
            self.assertEqual(verdict.alert, TlsAlert.certificate_unknown)

    def test_staple(self) -> None:
        """
        The stapled response is seen, whether revocation is checked or not.
        """
        context = AUTHORITY.issue("localhost", extensions=[MUST_STAPLE])
        staple = ocspResponse(AUTHORITY, context.certificate, status=REVOKED)
        self.patch(Authentication, "stapleWanted", lambda _: staple)
        for mode in (X509RevocationMode.NoCheck, X509RevocationMode.Offline):
            inspection = self.inspect(
                {"serverCertificate": context}, {"certificateRevocationCheckMode": mode}
            )
            chain = inspection.sight.chain
            assert chain is not None
            self.assertEqual(chain.stapledResponse, staple)
            self.assertIs(inspection.isAccepted, mode is X509RevocationMode.NoCheck)

    def test_silence(self) -> None:
        """
        The server's application hears nothing, and the end as one.
        """
        self.inspect()
        self.assertEqual(self.endpoint.received, [])
        self.assertEqual(len(self.endpoint.wires), 3)

    def test_resumption(self) -> None:
        """
        Whether another connection goes on with the session of one before is
        found out.
        """
        self.assertIs(self.inspect().isResumed, True)
        self.assertIs(self.inspect({"allowTlsResume": False}).isResumed, False)
        # A refused one as well.
        own = {"serverCertificate": Authority("Stranger").issue("localhost")}
        self.assertIs(self.inspect(own).isResumed, True)

    def test_resumptionUnknown(self) -> None:
        """
        It is not known of a server without name, and of one that is gone by
        then.
        """
        inspection = self.inspect(client={"targetHost": ""})
        self.assertIsNone(inspection.isResumed)
        self.assertEqual(len(self.endpoint.wires), 1)
        for index in (1, 2):
            options = serverOptions(self.version)
            endpoint = Vanishing.authenticating(options)
            assert isinstance(endpoint, Vanishing)
            endpoint.left = index
            inspection = self.end(endpoint, self.begin(endpoint, planFor(clientOptions())))
            self.assertTrue(inspection.isAccepted)
            self.assertIsNone(inspection.isResumed)

    def test_clientCertificate(self) -> None:
        """
        A server that wants a certificate says from whom; shown one, it accepts.
        """
        trust = type(AUTHORITY.trust).fromCertificates([AUTHORITY.certificate], True)
        server = {"clientCertificateRequired": True, "trust": trust}
        inspection = self.inspect(server, {"clientCertificates": [CLIENT]})
        self.assertTrue(inspection.isAccepted)
        self.assertTrue(inspection.isResumed)
        self.assertTrue(inspection.sight.isAsked)
        self.assertEqual(inspection.sight.acceptableIssuers, ("CN=Test Authority",))
        security = inspection.sight.security
        assert security is not None
        self.assertEqual(security.localCertificate, CLIENT.certificate)

    def test_clientCertificateMissing(self) -> None:
        """
        A server that insists on one is shown with all its certificates and its
        refusal, which in TLS 1.3 comes after the handshake.
        """
        inspection = self.inspect({"clientCertificateRequired": True})
        self.assertFalse(inspection.isAccepted)
        sight, verdict = inspection.sight, inspection.verdict
        assert sight.failure is not None
        assert verdict is not None
        isModern = self.version is SslProtocols.Tls13
        alert = TlsAlert.certificate_required if isModern else TlsAlert.handshake_failure
        self.assertEqual(sight.failure.alert, alert)
        self.assertIsNone(verdict.alert)
        self.assertTrue(sight.isAsked)
        self.assertEqual(sight.certificate, SERVER.certificate)
        self.assertIsNone(inspection.isResumed)
        self.assertEqual(len(self.endpoint.wires), 1)

    def test_otherVersion(self) -> None:
        """
        A server that speaks no common version refuses, and is no absent one.
        """
        other = SslProtocols.Tls12 if self.version is SslProtocols.Tls13 else SslProtocols.Tls13
        inspection = self.inspect({"enabledSslProtocols": other})
        self.assertIsNone(inspection.error)
        self.assertFalse(inspection.isAccepted)
        assert inspection.sight.failure is not None
        self.assertIsNone(inspection.verdict)

    def test_greeting(self) -> None:
        """
        What the server says of its own accord does not matter.
        """
        self.assertTrue(self.inspect(greeting=b"220 welcome").isAccepted)

    def test_talkative(self) -> None:
        """
        A server that talks without end is left at once, before it has said all.
        """
        inspection = self.inspect(application=Talkative)
        self.assertTrue(inspection.isAccepted)
        self.assertEqual(self.said, [])

    def test_rude(self) -> None:
        """
        A server that does not answer to the end is left after a while, three
        times.
        """
        options = serverOptions(self.version)
        endpoint = ServedEndpoint.authenticating(options, application=Rude)
        inspecting = self.begin(endpoint, planFor(clientOptions(self.version)))
        for _ in range(3):
            self.assertNoResult(inspecting)
            endpoint.clock.advance(LINGER)
            endpoint.flush()
        self.assertTrue(self.successResultOf(inspecting).isAccepted)
        self.assertEqual(self.said, ["closing"] * 3)

    def test_startTls(self) -> None:
        """
        The dialogue comes first, on each connection, and TLS is judged by the
        same rules behind it.
        """
        for bad in (None, Authority("Stranger").issue("localhost")):
            options = serverOptions(self.version, **({"serverCertificate": bad} if bad else {}))
            endpoint = Upgrading.authenticating(options)
            plan = planFor(clientOptions(self.version), "pop3")
            inspection = self.end(endpoint, self.begin(endpoint, plan))
            self.assertIs(inspection.isAccepted, bad is None)
            self.assertIs(inspection.isResumed, True)
            self.assertEqual(len(endpoint.wires), 3)


@implementer(IHalfCloseableProtocol)
class Rude(Protocol):
    """
    An application that does not care whether its peer has ended.
    """

    def readConnectionLost(self) -> None:
        """
        Say nothing.
        """

    def writeConnectionLost(self) -> None:
        """
        Say nothing.
        """


class Talkative(Rude):
    """
    One that has much to say.
    """

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"x" * 200_000)


class Vanishing(ServedEndpoint):
    """
    Leads nowhere after some connections.
    """

    left = 0

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if not self.left:
            self.error = ConnectionRefusedError()
        self.left -= 1
        return super().connect(protocolFactory)


class _Upgrade(Protocol):
    """
    A POP3 server that goes over to TLS.
    """

    def __init__(self, tls: Any) -> None:
        self._tls = tls

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(b"+OK\r\n")

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        assert data == b"STLS\r\n", data
        transport.write(b"+OK\r\n")
        transport.protocol = self._tls
        self._tls.makeConnection(transport)


class Upgrading(ServedEndpoint):
    """
    Leads to a POP3 server.
    """

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        build = self.build
        assert build is not None
        self.build = lambda: _Upgrade(build())
        try:
            return super().connect(protocolFactory)
        finally:
            self.build = build


class AbsentTests(ProbeCase, SynchronousTestCase):
    """
    Servers that are not there, or do not speak TLS.
    """

    def assertAbsent(
        self, endpoint: ServedEndpoint, inspecting: Deferred[Inspection], words: str
    ) -> None:
        """
        There is nothing to be told but why.
        """
        inspection = self.end(endpoint, inspecting)
        assert inspection.error is not None
        self.assertEqual(inspection.error, words)
        self.assertFalse(inspection.isAccepted)
        self.assertIsNone(inspection.verdict)
        self.assertIsNone(inspection.sight.certificate)

    def script(self, *lines: bytes, service: str | None = None) -> Any:
        """
        Begin an inspection of a server that says this.

        @return: the endpoint, and what becomes of the inspection.
        """
        endpoint = ServedEndpoint(lambda: Script(*lines))
        return endpoint, self.begin(endpoint, planFor(clientOptions(handshakeTimeout=5), service))

    def test_refused(self) -> None:
        """
        A server that cannot be reached is told in the endpoint's words.
        """
        endpoint = ServedEndpoint(Script)
        endpoint.error = ConnectionRefusedError()
        words = "Connection was refused by other side."
        self.assertAbsent(endpoint, self.begin(endpoint, planFor(clientOptions())), words)

    def test_unconnected(self) -> None:
        """
        A connection that does not come about is given up.
        """
        endpoint = ServedEndpoint(Script)
        endpoint.hangs = True
        inspecting = self.begin(endpoint, planFor(clientOptions()))
        endpoint.clock.advance(9.9)
        self.assertNoResult(inspecting)
        endpoint.clock.advance(0.1)
        self.assertAbsent(endpoint, inspecting, "no connection within 10 s")
        self.assertEqual(self.said, ["connecting"])

    def test_notTls(self) -> None:
        """
        A server that speaks something else is told.
        """
        for lines, what in (
            ((b"SSH-2.0-OpenSSH_9.2\r\n",), "SSH"),
            ((b"", b"HTTP/1.1 400 Bad Request\r\n"), "plain HTTP"),
        ):
            endpoint, inspecting = self.script(*lines)
            words = f"the peer does not speak TLS but {what}: wrong version number"
            self.assertAbsent(endpoint, inspecting, words)

    def test_silent(self) -> None:
        """
        A server that says nothing is left after the time for the handshake, and
        progress is told after a second.
        """
        endpoint, inspecting = self.script()
        endpoint.clock.advance(0.9)
        self.assertEqual(self.said, [])
        endpoint.clock.advance(0.1)
        self.assertEqual(self.said, ["authenticating"])
        endpoint.clock.advance(4)
        endpoint.flush()
        words = "no end of the handshake within 5 s; alert sent: user_canceled"
        self.assertAbsent(endpoint, inspecting, words)

    def test_lost(self) -> None:
        """
        A server that closes in the handshake is told.
        """
        endpoint, inspecting = self.script()
        endpoint.wires[0].cut()
        words = "the connection was lost in the handshake"
        self.assertAbsent(endpoint, inspecting, words)

    def test_startTls(self) -> None:
        """
        A service that does not go over to TLS is told, in time, and the
        connection given up.
        """
        endpoint, inspecting = self.script(b"+OK\r\n", b"-ERR no\r\n", service="pop3")
        self.assertAbsent(endpoint, inspecting, "the server says: -ERR no")
        endpoint, inspecting = self.script(b"+OK\r\n", service="pop3")
        endpoint.clock.advance(10)
        words = "the server does not go over to TLS within 10 s"
        self.assertAbsent(endpoint, inspecting, words)
        self.assertEqual(self.said, ["asking for TLS"])

    def test_pipelined(self) -> None:
        """
        Whoever puts something behind the go-ahead is not talked to in TLS.
        """
        endpoint, inspecting = self.script(b"+OK\r\n", b"+OK\r\n+OK\r\n", service="pop3")
        words = "the server sends more in plain text behind its go-ahead"
        self.assertAbsent(endpoint, inspecting, words)
        server: Any = endpoint.wires[0].server.protocol
        self.assertEqual(server.received, b"STLS\r\n")


class JudgingTests(ProbeCase, SynchronousTestCase):
    """
    Verdicts that take their time or cannot be reached.
    """

    def test_slow(self) -> None:
        """
        Checking certificates may take its time, and progress is told then.
        """
        building: Deferred[bool] = Deferred()
        self.patch(X509Chain, "build", _twice(X509Chain.build, building))
        endpoint = ServedEndpoint.authenticating(serverOptions())
        inspecting = self.begin(endpoint, planFor(clientOptions()))
        endpoint.clock.advance(1)
        self.assertEqual(self.said, ["checking certificates"])
        building.callback(True)
        endpoint.flush()
        self.assertTrue(self.end(endpoint, inspecting).isAccepted)

    def test_failed(self) -> None:
        """
        What cannot be judged is refused, with the reason.
        """
        building: Deferred[bool] = Deferred()
        building.errback(CertificateError("the store is locked"))
        self.patch(X509Chain, "build", _twice(X509Chain.build, building))
        inspection = self.inspect()
        self.assertFalse(inspection.isAccepted)
        verdict = inspection.verdict
        assert verdict is not None
        self.assertEqual(
            verdict.problems, ("the certificate could not be judged: the store is locked",)
        )
        self.assertIs(verdict.alert, TlsAlert.internal_error)
        self.assertEqual(verdict.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)

    def test_nobody(self) -> None:
        """
        A server without a certificate is refused.
        """

        def shownNothing(sight: Sight, *_: object) -> bool:
            return True

        self.patch(Sight, "validate", shownNothing)
        inspection = self.inspect()
        self.assertFalse(inspection.isAccepted)
        verdict = inspection.verdict
        assert verdict is not None
        self.assertEqual(verdict.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNotAvailable)
        self.assertIs(verdict.alert, TlsAlert.handshake_failure)


def _twice(build: Any, second: Deferred[bool]) -> Any:
    """
    @return: a replacement of L{X509Chain.build} that does what it should, but
        for the second time.
    """
    calls = []

    def replacement(chain: X509Chain, certificate: Any) -> Any:
        calls.append(chain)
        return second if len(calls) == 2 else build(chain, certificate)

    return replacement
