"""
Whether streams keep their promises over such a transport, and such a stream its.

    python -m twisted.trial test_scrambled
"""

from scrambled import CountingStream, Scrambled
from twisted.internet.protocol import Factory
from twisted.protocols.policies import WrappingFactory

from txsslstream import SslProtocols
from txsslstream.testing.conformance import Conformance, MemoryTestWire, TCPTestWire, perRole


class ScrambledWire(MemoryTestWire):
    def connect(self, client, server):
        factory = WrappingFactory(Factory())
        self.scrambled = [Scrambled(factory, each) for each in (client, server)]
        super().connect(*self.scrambled)

    def inject(self, isServer, data):
        self.scrambled[isServer].write(data)

    def everSent(self, isServer):
        return None


@perRole(versions=[SslProtocols.Tls13])
class ScrambledTests(Conformance):
    def makeWire(self):
        return ScrambledWire()


@perRole(versions=[SslProtocols.Tls13])
class CountingTests(Conformance):
    def makeWire(self):
        return TCPTestWire()

    def makeStream(self, transport, clock, **arguments):
        return CountingStream(transport, clock=clock, **arguments)
