from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineOnlyReceiver

from txsslstream import (
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

options = SslClientAuthenticationOptions(
    "localhost", trust=SslCertificateTrust.fromPEM("authority.pem")
)


class Client(LineOnlyReceiver):
    delimiter = b"\n"

    def connectionMade(self):
        print(f"connected by {self.transport.sslProtocol.name}")
        self.sendLine(b"Are you there?")

    def lineReceived(self, line):
        print(line)

    def connectionLost(self, reason):
        print(f"lost: {reason.getErrorMessage()}")


def failed(failure):
    print(f"not yet: {failure.type.__name__}")


async def main(reactor):
    endpoint = SslStreamClientEndpoint(HostnameEndpoint(reactor, "localhost", 8443), options)
    service = ClientService(
        endpoint, Factory.forProtocol(Client), retryPolicy=backoffPolicy(0.2, maxDelay=1)
    )
    service.startService()
    service.whenConnected(failAfterFailures=1).addErrback(failed)
    await Deferred()


react(main)
