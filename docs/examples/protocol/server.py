from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from yours import YourProtocol, isKnown

from txsslstream import SslServerAuthenticationOptions, SslStreamServerEndpoint


async def isWelcome(stream, certificate, chain, sslPolicyErrors):
    # Ask a database, another server, a person: the handshake waits.
    return not sslPolicyErrors and await isKnown(certificate)


options = SslServerAuthenticationOptions(
    "server.pem", clientCertificateRequired=True, remoteCertificateValidationCallback=isWelcome
)
endpoint = SslStreamServerEndpoint(TCP4ServerEndpoint(reactor, 8443), options)
endpoint.listen(Factory.forProtocol(YourProtocol))
reactor.run()
