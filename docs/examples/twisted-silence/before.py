from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, wrapServerTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import react


async def main(reactor):
    with open("server.pem", "rb") as file:
        options = PrivateCertificate.loadPEM(file.read()).options()
    endpoint = wrapServerTLS(options, TCP4ServerEndpoint(reactor, 8443))
    await endpoint.listen(Factory.forProtocol(Protocol))
    await Deferred()


react(main)
