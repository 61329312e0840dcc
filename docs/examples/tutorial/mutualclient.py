from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

trust = SslCertificateTrust.fromPEM("authority.pem")


async def attempt(reactor, *certificates):
    options = SslClientAuthenticationOptions("localhost", certificates, trust=trust)
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    stream = await SslStreamClientEndpoint(tcp, options).connectStream()
    async with stream:
        try:
            said = await stream.readUntil(b"\n")
        except AuthenticationError as e:
            said = e
    print(f"{', '.join(certificates) or 'nothing'}: {said}")


async def main(reactor):
    await attempt(reactor, "alice.pem")
    await attempt(reactor, "bob.pem")
    await attempt(reactor, "mallory.pem")
    await attempt(reactor)


react(main)
