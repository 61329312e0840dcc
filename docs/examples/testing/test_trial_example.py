"""
Tests of greeter.py for trial: nothing is waited for, no port is opened.

    python -m twisted.trial test_trial_example
"""

from greeter import ask, greet, serve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    ReadTimeout,
    SslPolicyErrors,
    SslProtocols,
    SslStreamClientEndpoint,
    TruncationError,
)
from txsslstream.testing import (
    Authority,
    Flaw,
    MemoryEndpoint,
    MisbehavingPeer,
    connectedStreams,
    failureOf,
    perVersion,
    refusalOf,
    streamFacing,
)


@perVersion(segments=(0, 1))
class Greetings:
    """
    One test case for TLS 1.2 and one for 1.3, each with bytes that arrive whole
    and one by one.
    """

    def test_greeting(self):
        pair = connectedStreams(mutual=True, version=self.version, segment=self.segment)
        greeting = Deferred.fromCoroutine(greet(pair.server))
        asking = Deferred.fromCoroutine(ask(pair.client, b"good morning"))
        pair.flush()
        self.assertEqual(
            self.successResultOf(asking), b"Hello CN=client@example.com, you said good morning\r\n"
        )
        pair.client.close()
        pair.flush()
        self.successResultOf(greeting)


class CertificateTests(SynchronousTestCase):
    """
    The server with its endpoint, and clients with every kind of certificate.
    """

    def setUp(self):
        self.authority = Authority()
        self.endpoint = MemoryEndpoint()
        options = self.authority.serverOptions(SslProtocols.Tls12, clientCertificateRequired=True)
        self.successResultOf(serve(self.endpoint, options, self.endpoint.clock))

    def connect(self, certificate):
        options = self.authority.clientOptions(clientCertificates=[certificate])
        endpoint = SslStreamClientEndpoint(self.endpoint, options, clock=self.endpoint.clock)
        connecting = endpoint.connectStream()
        self.endpoint.flush()
        return connecting

    def test_good(self):
        good = self.authority.issue("somebody@example.com")
        stream = self.successResultOf(self.connect(good))
        asking = Deferred.fromCoroutine(ask(stream, b"good morning"))
        self.endpoint.flush()
        self.assertIn(b"CN=somebody@example.com", self.successResultOf(asking))
        stream.close()
        self.endpoint.flush()

    def test_bad(self):
        for flaw in (Flaw.Expired, Flaw.SelfSigned, Flaw.InvalidSignature, Flaw.WrongUsage):
            bad = self.authority.issueBad(flaw, "somebody@example.com")
            self.failureResultOf(self.connect(bad), AuthenticationError)


class ClientTests(SynchronousTestCase):
    """
    The client, and servers that it has to get along with.
    """

    def setUp(self):
        self.authority = Authority()

    def ask(self, peer):
        facing = streamFacing(peer)

        async def conversation():
            await facing.stream.authenticateAsClient(self.authority.clientOptions())
            return await ask(facing.stream, b"good morning")

        asking = Deferred.fromCoroutine(conversation())
        facing.flush()
        return asking

    def test_wrongName(self):
        bad = self.authority.issueBad(Flaw.WrongName)
        peer = MisbehavingPeer(self.authority.serverOptions(serverCertificate=bad))
        asking = self.ask(peer)
        refusalOf(asking, sslPolicyErrors=SslPolicyErrors.RemoteCertificateNameMismatch)

    def test_truncated(self):
        asking = self.ask(MisbehavingPeer.drops(self.authority.serverOptions(), b"Hello"))
        failureOf(asking, TruncationError)

    def test_slow(self):
        pair = connectedStreams()
        pair.client.readTimeout = 10
        pair.wire.server.delay = 11
        reading = pair.client.read()
        pair.server.write(b"late")
        pair.advance(9)
        self.assertNoResult(reading)
        pair.advance(2)
        failureOf(reading, ReadTimeout)
