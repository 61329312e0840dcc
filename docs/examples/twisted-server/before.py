from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    trustRootFromCertificates,
)
from twisted.internet.task import react


class Welcome(Protocol):
    def connectionMade(self):
        print("connectionMade")
        self.transport.write(b"welcome")
        self.transport.loseConnection()


async def main(reactor):
    with open("server.pem", "rb") as file:
        server = PrivateCertificate.loadPEM(file.read())
    with open("authority.pem", "rb") as file:
        authority = Certificate.loadPEM(file.read())
    options = CertificateOptions(
        privateKey=server.privateKey.original,
        certificate=server.original,
        trustRoot=trustRootFromCertificates([authority]),
    )
    endpoint = SSL4ServerEndpoint(reactor, 8443, options)
    await endpoint.listen(Factory.forProtocol(Welcome))
    await Deferred()


react(main)
