import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import react


class Greeter(Protocol):
    def connectionMade(self):
        print("connectionMade:", self.transport.getPeerCertificate())
        self.transport.write(b"hello")

    def dataReceived(self, data):
        print("dataReceived:", self.transport.negotiatedProtocol, data.decode())
        self.transport.loseConnection()

    def connectionLost(self, reason):
        print("connectionLost:", reason.type.__name__, reason.value)
        self.factory.lost.callback(None)


async def main(reactor, authority):
    with open(authority, "rb") as file:
        root = Certificate.loadPEM(file.read())
    options = optionsForClientTLS(
        "localhost", trustRootFromCertificates([root]), acceptableProtocols=[b"greeting"]
    )
    endpoint = wrapClientTLS(options, HostnameEndpoint(reactor, "localhost", 8443))
    factory = Factory.forProtocol(Greeter)
    factory.lost = Deferred()
    await endpoint.connect(factory)
    print("connected")
    await factory.lost


react(main, sys.argv[1:])
