from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import (
    SslApplicationProtocol,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)


class Server(Protocol):
    def connectionMade(self):
        print("connectionMade:", self.transport.negotiatedApplicationProtocol)

    def dataReceived(self, data):
        print("dataReceived:", self.transport.negotiatedProtocol)
        self.transport.loseConnection()


async def main(reactor):
    options = SslServerAuthenticationOptions(
        "server.pem",
        applicationProtocols=[SslApplicationProtocol.Http2, SslApplicationProtocol.Http11],
    )
    endpoint = SslStreamServerEndpoint(TCP4ServerEndpoint(reactor, 8443), options)
    await endpoint.listen(Factory.forProtocol(Server))
    await Deferred()


react(main)
