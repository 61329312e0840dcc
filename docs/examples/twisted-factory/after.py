from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import SslServerAuthenticationOptions, SslStreamFactory


class Echo(Protocol):
    def dataReceived(self, data):
        print("dataReceived:", self.transport.sslProtocol.name)
        self.transport.write(data)


async def main(reactor):
    options = SslServerAuthenticationOptions("server.pem")
    factory = SslStreamFactory(options, False, Factory.forProtocol(Echo))
    await TCP4ServerEndpoint(reactor, 8443).listen(factory)
    await Deferred()


react(main)
