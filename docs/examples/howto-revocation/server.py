import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    SslStreamServerEndpoint,
)


async def greet(stream):
    await stream.write(b"Hello.\n")


async def main(reactor, path):
    # A context fetches the OCSP response for its certificate, and staples it.
    options = SslServerAuthenticationOptions(SslStreamCertificateContext.fromPEM(path))
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main, sys.argv[1:])
