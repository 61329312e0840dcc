from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)

trust = SslCertificateTrust.fromPEM("authority.pem")


async def converse(reactor, certificate):
    options = SslClientAuthenticationOptions("localhost", [certificate], trust=trust)
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    async with await SslStreamClientEndpoint(tcp, options).connectStream() as stream:
        stream.readTimeout = 10
        try:
            print(await stream.readUntil(b"\n"))
            for note in (b"buy milk\n", b"call Bob\n"):
                await stream.write(note)
                print(await stream.readUntil(b"\n"))
        except AuthenticationError as e:
            print(f"{certificate}: {e}")


async def main(reactor):
    await converse(reactor, "alice.pem")
    await converse(reactor, "bob.pem")
    await converse(reactor, "mallory.pem")


react(main)
