from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import deferLater, react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamCertificateContext,
    SslStreamClientEndpoint,
)

trust = SslCertificateTrust.fromPEM("authority.pem")
work = SslStreamCertificateContext.fromPEM("work.pem")
club = SslStreamCertificateContext.fromPEM("club.pem")


async def converse(reactor, title, options):
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    async with await SslStreamClientEndpoint(tcp, options).connectStream() as stream:
        try:
            print(title, await stream.readUntil(b"\n"))
        except AuthenticationError as e:
            print(title, e)


async def main(reactor):
    async def choose(stream, targetHost, localCertificates, remoteCertificate, acceptableIssuers):
        if remoteCertificate is None:
            return None  # Before the handshake: we shall be asked again.
        print(f"{targetHost} takes certificates of", *acceptableIssuers)
        await deferLater(reactor, 0.1)  # Ask the user, a smart card, a keychain.
        for context in localCertificates:
            if context.certificate.issuer.rfc4514_string() in acceptableIssuers:
                return context
        return None

    both = SslClientAuthenticationOptions("localhost", [work, club], trust=trust)
    await converse(reactor, "by itself:", both)
    asking = SslClientAuthenticationOptions(
        "localhost", [work, club], localCertificateSelectionCallback=choose, trust=trust
    )
    await converse(reactor, "callback:", asking)
    one = SslClientAuthenticationOptions("localhost", [work], trust=trust)
    await converse(reactor, "nothing fits:", one)


react(main)
