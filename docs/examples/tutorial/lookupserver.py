from pathlib import Path

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from txsslstream import (
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)


def addressesOf(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.RFC822Name)


def members():
    return set(Path("members.txt").read_text().split())


async def isWelcome(stream, certificate, chain, sslPolicyErrors):
    if sslPolicyErrors:
        return False
    # However long this takes: nobody is served before the answer.
    welcome = await deferToThread(members)
    return not welcome.isdisjoint(addressesOf(certificate))


options = SslServerAuthenticationOptions(
    "server.pem",
    clientCertificateRequired=True,
    remoteCertificateValidationCallback=isWelcome,
    handshakeTimeout=10,
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
