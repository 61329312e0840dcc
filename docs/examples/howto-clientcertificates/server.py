from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)

options = SslServerAuthenticationOptions(
    "server.pem",
    clientCertificateRequired=True,
    # Clients are told whom we trust, so that they can choose.
    trust=SslCertificateTrust.fromPEM("club-authority.pem", sendTrustInHandshake=True),
)


async def greet(stream):
    name = stream.remoteCertificate.subject.rfc4514_string()
    await stream.write(f"Hello, {name}.\n".encode())


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
