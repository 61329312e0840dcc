from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    ReloadingCertificate,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)


async def echo(stream):
    async for data in stream:
        await stream.write(data)


async def main(reactor):
    certificate = ReloadingCertificate.fromPEM("site.pem", reactor=reactor)
    options = SslServerAuthenticationOptions(certificate)
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(echo)
    print("Listening.")
    await Deferred()


react(main)
