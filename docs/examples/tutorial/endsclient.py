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
    endpoint = SslStreamClientEndpoint(tcp, options)

    async with await endpoint.connectStream() as stream:
        await stream.write(b"all of it")

    stream = await endpoint.connectStream()
    await stream.write(b"a part")
    await stream.readUntil(b"\n")
    stream.abort()

    async with await endpoint.connectStream() as stream:
        await stream.write(b"a beginning")
        await stream.readUntil(b"\n")
        async for data in stream:
            print(data)


react(main)
