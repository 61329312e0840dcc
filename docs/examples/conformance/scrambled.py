"""
What is put to the test: a transport that scrambles whatever goes through it, and
a stream that counts what is written.
"""

from twisted.protocols.policies import ProtocolWrapper

from txsslstream import SslStream

SCRAMBLED = bytes(255 - each for each in range(256))


class Scrambled(ProtocolWrapper):
    def write(self, data):
        self.transport.write(bytes(data).translate(SCRAMBLED))

    def writeSequence(self, data):
        self.write(b"".join(data))

    def dataReceived(self, data):
        self.wrappedProtocol.dataReceived(data.translate(SCRAMBLED))


class CountingStream(SslStream):
    written = 0

    def write(self, data):
        return super().write(data).addCallback(self.wrote, data)

    def wrote(self, _, data):
        self.written += len(data)
