from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import SslServerAuthenticationOptions, SslStreamServerEndpoint


async def main(reactor):
    options = SslServerAuthenticationOptions("server.pem", handshakeTimeout=0.5)
    endpoint = SslStreamServerEndpoint(TCP4ServerEndpoint(reactor, 8443), options)
    await endpoint.listen(Factory.forProtocol(Protocol))
    await Deferred()


react(main)
