"""
Tests of greeter.py for unittest and asyncio, with Twisted on the same event loop.

    python -m unittest test_asyncio_example
"""

import asyncio
import unittest

from twisted.internet import asyncioreactor

# Twisted's reactor runs on the loop of all tests; before anything imports it.
LOOP = asyncio.new_event_loop()
asyncioreactor.install(LOOP)

from greeter import serve  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint  # noqa: E402

from txsslstream import AuthenticationError, SslStreamClientEndpoint  # noqa: E402
from txsslstream.testing import Authority, Flaw, connectedStreams, resultOf  # noqa: E402

# From now on it does what it is asked to while the loop runs.
reactor.startRunning(installSignalHandlers=False)


class GreeterTests(unittest.TestCase):
    def setUp(self):
        self.authority = Authority()

    def run_(self, coroutine):
        asyncio.set_event_loop(LOOP)
        return LOOP.run_until_complete(asyncio.wait_for(coroutine, 20))

    async def serving(self, certificate):
        """
        Serve, and ask with a client certificate.
        """
        options = self.authority.serverOptions(clientCertificateRequired=True)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await serve(endpoint, options).asFuture(LOOP)
        try:
            client = SslStreamClientEndpoint(
                TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port),
                self.authority.clientOptions(clientCertificates=[certificate]),
            )
            stream = await client.connectStream().asFuture(LOOP)
            await stream.write(b"good morning\r\n").asFuture(LOOP)
            answer = await stream.readUntil(b"\r\n").asFuture(LOOP)
            await stream.close().asFuture(LOOP)
            return answer
        finally:
            await port.stopListening().asFuture(LOOP)

    def test_greeting(self):
        answer = self.run_(self.serving(self.authority.issue("somebody@example.com")))
        self.assertEqual(answer, b"Hello CN=somebody@example.com, you said good morning\r\n")

    def test_expired(self):
        expired = self.authority.issueBad(Flaw.Expired, "somebody@example.com")
        with self.assertRaises(AuthenticationError):
            self.run_(self.serving(expired))

    def test_inMemory(self):
        pair = connectedStreams(authority=self.authority)
        pair.client.write(b"good morning")
        pair.flush()
        self.assertEqual(resultOf(pair.server.readExactly(12)), b"good morning")
