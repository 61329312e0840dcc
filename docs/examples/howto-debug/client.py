from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)
from txsslstream.insecure import withKeyLog

options = SslClientAuthenticationOptions(
    "localhost", trust=SslCertificateTrust.fromPEM("authority.pem")
)


async def main(reactor):
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    endpoint = SslStreamClientEndpoint(tcp, withKeyLog(options, "keys.log"))
    async with await endpoint.connectStream() as stream:
        await stream.write(b"GET /secret HTTP/1.0\r\n\r\n")
        async for data in stream:
            print(data)


react(main)
