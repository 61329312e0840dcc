import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


async def main(reactor, *protocols):
    options = SslClientAuthenticationOptions(
        "localhost",
        applicationProtocols=protocols,
        trust=SslCertificateTrust.fromPEM("authority.pem"),
    )
    endpoint = SslStreamClientEndpoint(HostnameEndpoint(reactor, "localhost", 8443), options)
    try:
        stream = await endpoint.connectStream()
    except AuthenticationError as error:
        print("refused:", error.alert.name)
        return
    print("agreed:", stream.negotiatedApplicationProtocol)
    await stream.write(b"hello")
    await stream.close()


react(main, sys.argv[1:])
