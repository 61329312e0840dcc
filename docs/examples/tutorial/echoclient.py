from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


async def main(reactor):
    options = SslClientAuthenticationOptions(
        "localhost", trust=SslCertificateTrust.fromPEM("authority.pem")
    )
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    stream = await SslStreamClientEndpoint(tcp, options).connectStream()
    async with stream:
        await stream.write(b"Hello, echo.\n")
        print(await stream.readUntil(b"\n"))


react(main)
