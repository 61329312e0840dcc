from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    startTLS,
)

trust = SslCertificateTrust.fromPEM("authority.pem")


class Client(LineReceiver):
    """
    Sends a line, and waits for the answer.
    """

    answer = None

    def ask(self, line):
        self.answer = Deferred()
        self.sendLine(line)
        return self.answer

    def lineReceived(self, line):
        answer, self.answer = self.answer, None
        answer.callback(line)


async def converse(reactor, targetHost):
    options = SslClientAuthenticationOptions(targetHost, trust=trust)
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    client = await connectProtocol(tcp, Client())
    print(await client.ask(b"alice"))
    print(await client.ask(b"STARTTLS"))
    try:
        await startTLS(client, options)
    except AuthenticationError as e:
        print(e)
        return
    print(client.transport.sslProtocol.name)
    print(await client.ask(b"alice"))
    client.transport.loseConnection()


async def main(reactor):
    await converse(reactor, "localhost")
    await converse(reactor, "example.com")


react(main)
