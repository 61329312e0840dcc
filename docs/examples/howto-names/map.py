from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    ServerNames,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    SslStreamServerEndpoint,
)

load = SslStreamCertificateContext.fromPEM
certificates = ServerNames(
    {
        "example.com": load("sites/www.pem"),
        "www.example.com": load("sites/www.pem"),
        "*.shop.example.com": load("sites/shops.pem"),
        "bücher.example": load("sites/books.pem"),
    }
)
options = SslServerAuthenticationOptions(serverCertificateSelectionCallback=certificates)


async def greet(stream):
    await stream.write(b"Hello.\n")


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
