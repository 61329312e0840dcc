import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
    X509RevocationMode,
)


async def main(reactor, mode):
    options = SslClientAuthenticationOptions(
        "localhost",
        certificateRevocationCheckMode=X509RevocationMode[mode],
        trust=SslCertificateTrust.fromPEM("ca.pem"),
    )
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    try:
        stream = await SslStreamClientEndpoint(tcp, options).connectStream()
    except AuthenticationError as e:
        print(e)
        print(f"{e.chainStatus!r}, {e.reason.name}")
    else:
        async with stream:
            print(await stream.readUntil(b"\n"))


react(main, sys.argv[1:])
