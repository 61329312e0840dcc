import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionClosed
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    startTLS,
)

options = SslClientAuthenticationOptions(
    "localhost", trust=SslCertificateTrust.fromPEM("authority.pem")
)


class Client(LineReceiver):
    def __init__(self):
        self.waiting = Deferred()

    def lineReceived(self, line):
        self.waiting.callback(line.decode())

    async def ask(self, line):
        self.waiting = Deferred()
        self.sendLine(line)
        return await self.waiting

    def connectionLost(self, reason):
        if not self.waiting.called:
            self.waiting.errback(reason)


async def main(reactor, behind=""):
    endpoint = HostnameEndpoint(reactor, "localhost", 8443)
    client = await endpoint.connect(Factory.forProtocol(Client))
    # What somebody in the middle may put behind the command.
    print(await client.ask(b"STARTTLS\r\n" + behind.encode() if behind else b"STARTTLS"))
    try:
        await startTLS(client, options)
        print(await client.ask(b"Alice"))
    except (AuthenticationError, ConnectionClosed) as error:
        print("refused:", error)
    client.transport.loseConnection()


react(main, sys.argv[1:])
