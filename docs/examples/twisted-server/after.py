from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import (
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)


class Welcome(Protocol):
    def connectionMade(self):
        print("connectionMade:", self.transport.remoteCertificate.subject.rfc4514_string())
        self.transport.write(b"welcome")
        self.transport.loseConnection()


async def main(reactor):
    options = SslServerAuthenticationOptions(
        "server.pem",
        clientCertificateRequired=True,
        trust=SslCertificateTrust.fromPEM("authority.pem"),
    )
    endpoint = SslStreamServerEndpoint(TCP4ServerEndpoint(reactor, 8443), options)
    await endpoint.listen(Factory.forProtocol(Welcome))
    await Deferred()


react(main)
