from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

options = SslClientAuthenticationOptions(
    "localhost", ["alice.pem"], trust=SslCertificateTrust.fromPEM("authority.pem")
)


async def main(reactor):
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    stream = await SslStreamClientEndpoint(tcp, options).connectStream()
    async with stream:
        await stream.readUntil(b"\n")
        print(stream.sslProtocol.name, stream.negotiatedCipherSuite.name)
        print(f"mutual: {stream.isMutuallyAuthenticated}, resumed: {stream.isResumed}")
        for element in stream.remoteChain.chainElements:
            print(f"- {element.certificate.subject.rfc4514_string()}")
        print()
        print(stream.security)


react(main)
