from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import react
from twisted.protocols.tls import TLSMemoryBIOFactory


class Echo(Protocol):
    def dataReceived(self, data):
        print("dataReceived:", self.transport.getHandle().get_protocol_version_name())
        self.transport.write(data)


async def main(reactor):
    contexts = DefaultOpenSSLContextFactory("server.pem", "server.pem")
    factory = TLSMemoryBIOFactory(contexts, False, Factory.forProtocol(Echo))
    await TCP4ServerEndpoint(reactor, 8443).listen(factory)
    await Deferred()


react(main)
