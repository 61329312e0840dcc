import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


class Greeter(Protocol):
    def connectionMade(self):
        subject = self.transport.remoteCertificate.subject.rfc4514_string()
        print("connectionMade:", subject, self.transport.negotiatedApplicationProtocol)
        self.transport.write(b"hello")

    def dataReceived(self, data):
        print("dataReceived:", data.decode())
        self.transport.loseConnection()

    def connectionLost(self, reason):
        print("connectionLost:", reason.type.__name__, reason.value)
        self.factory.lost.callback(None)


async def main(reactor, authority):
    options = SslClientAuthenticationOptions(
        "localhost", trust=SslCertificateTrust.fromPEM(authority), applicationProtocols=["greeting"]
    )
    endpoint = SslStreamClientEndpoint(HostnameEndpoint(reactor, "localhost", 8443), options)
    factory = Factory.forProtocol(Greeter)
    factory.lost = Deferred()
    try:
        await endpoint.connect(factory)
    except AuthenticationError as error:
        print("refused:", error.sslPolicyErrors.name, error.alertSent.name, error.problems)
        return
    print("connected")
    await factory.lost


react(main, sys.argv[1:])
