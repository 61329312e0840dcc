from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

trust = SslCertificateTrust.fromPEM("ca.pem")


async def main(reactor):
    for certificate in ("alice.pem", "bob.pem"):
        options = SslClientAuthenticationOptions("localhost", [certificate], trust=trust)
        tcp = HostnameEndpoint(reactor, "localhost", 8443)
        async with await SslStreamClientEndpoint(tcp, options).connectStream() as stream:
            try:
                print(certificate, await stream.readUntil(b"\n"))
            except AuthenticationError as e:
                print(certificate, e)


react(main)
