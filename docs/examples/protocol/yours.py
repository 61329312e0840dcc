from twisted.internet import reactor
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater


async def isKnown(certificate):
    print("asked for", certificate.subject.rfc4514_string())
    return await deferLater(reactor, 0.1, lambda: "client@" in str(certificate.subject))


class YourProtocol(Protocol):
    def connectionMade(self):
        print("connected to", self.transport.remoteCertificate.subject.rfc4514_string())
        self.transport.write(b"Hello.\n<EOF>")
        self.transport.loseConnection()
