from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

authority = SslCertificateTrust.fromPEM("authority.pem")


async def attempt(reactor, title, options):
    print(f"{title}:")
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    try:
        stream = await SslStreamClientEndpoint(tcp, options).connectStream()
    except AuthenticationError as e:
        print(f"  {e}")
        print(f"  {e.sslPolicyErrors!r}")
        for problem in e.problems:
            print(f"  - {problem}")
    else:
        print(f"  {stream.remoteCertificate.subject.rfc4514_string()}")
        await stream.close()


async def main(reactor):
    good = SslClientAuthenticationOptions("localhost", trust=authority)
    await attempt(reactor, "Our authority, the right name", good)
    system = SslClientAuthenticationOptions("localhost")
    await attempt(reactor, "The system's authorities", system)
    wrong = SslClientAuthenticationOptions("example.com", trust=authority)
    await attempt(reactor, "Another name", wrong)


react(main)
