from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, wrapServerTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import react


class Server(Protocol):
    def connectionMade(self):
        print("connectionMade:", self.transport.negotiatedProtocol)

    def dataReceived(self, data):
        print("dataReceived:", self.transport.negotiatedProtocol)
        self.transport.loseConnection()


async def main(reactor):
    with open("server.pem", "rb") as file:
        server = PrivateCertificate.loadPEM(file.read())
    options = CertificateOptions(
        server.privateKey.original, server.original, acceptableProtocols=[b"h2", b"http/1.1"]
    )
    endpoint = wrapServerTLS(options, TCP4ServerEndpoint(reactor, 8443))
    await endpoint.listen(Factory.forProtocol(Server))
    await Deferred()


react(main)
