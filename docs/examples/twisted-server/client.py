import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


async def main(reactor, *certificates):
    options = SslClientAuthenticationOptions(
        "localhost", certificates, trust=SslCertificateTrust.fromPEM("authority.pem")
    )
    endpoint = SslStreamClientEndpoint(HostnameEndpoint(reactor, "localhost", 8443), options)
    stream = await endpoint.connectStream()
    try:
        print((await stream.read()).decode())
    except AuthenticationError as error:
        print("refused:", error.alert.name)
    await stream.close()


react(main, sys.argv[1:])
