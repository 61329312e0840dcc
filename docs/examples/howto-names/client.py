from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

trust = SslCertificateTrust.fromPEM("names-authority.pem")
NAMES = ["www.example.com", "toys.shop.example.com", "bücher.example", "mail.example.com"]


async def ask(reactor, name):
    options = SslClientAuthenticationOptions(name, trust=trust)
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    try:
        stream = await SslStreamClientEndpoint(tcp, options).connectStream()
        async with stream:
            await stream.readUntil(b"\n")
            print(f"{name}: {stream.remoteCertificate.subject.rfc4514_string()}")
    except AuthenticationError as e:
        print(f"{name}: {e}")


async def main(reactor):
    for name in NAMES:
        await ask(reactor, name)


react(main)
