from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)

WELCOME = {"alice@example.com"}


def addressesOf(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.RFC822Name)


def isWelcome(stream, certificate, chain, sslPolicyErrors):
    if sslPolicyErrors:
        return False
    return not WELCOME.isdisjoint(addressesOf(certificate))


options = SslServerAuthenticationOptions(
    "server.pem",
    clientCertificateRequired=True,
    remoteCertificateValidationCallback=isWelcome,
    trust=SslCertificateTrust.fromPEM("authority.pem"),
)


async def greet(stream):
    [address] = addressesOf(stream.remoteCertificate)
    await stream.write(f"Hello, {address}.\n".encode())


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
