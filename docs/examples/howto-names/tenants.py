from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater, react

from txsslstream import (
    ServerOptionsSelection,
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)

public = SslServerAuthenticationOptions("sites/www.pem")
members = SslServerAuthenticationOptions(
    "sites/shops.pem",
    clientCertificateRequired=True,
    trust=SslCertificateTrust.fromPEM("authority.pem"),
)
TENANTS = {"www.example.com": public, "toys.shop.example.com": members}


async def choose(stream, hello, reactor):
    await deferLater(reactor, 0.1)  # Ask a database, say.
    return TENANTS.get(hello.serverName)


async def greet(stream):
    await stream.write(b"Hello.\n")


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    endpoint = SslStreamServerEndpoint(tcp, ServerOptionsSelection(choose, reactor))
    await endpoint.listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
