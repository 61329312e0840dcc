from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

trust = SslCertificateTrust.fromPEM("authority.pem")


async def attempt(reactor, certificate):
    options = SslClientAuthenticationOptions("localhost", [certificate], trust=trust)
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    async with await SslStreamClientEndpoint(tcp, options).connectStream() as stream:
        try:
            print(await stream.readUntil(b"\n"))
        except AuthenticationError as e:
            print(f"{e} ({e.alert!r})")


async def main(reactor):
    for certificate in ("alice.pem", "bob.pem", "mallory.pem"):
        await attempt(reactor, certificate)


react(main)
