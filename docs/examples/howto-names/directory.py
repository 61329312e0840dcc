from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    CertificateDirectory,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)

options = SslServerAuthenticationOptions(
    serverCertificateSelectionCallback=CertificateDirectory("sites")
)


async def greet(stream):
    await stream.write(b"Hello.\n")


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
