from pathlib import Path

from cryptography import x509
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin

from txsslstream import (
    ReloadingCertificate,
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
    welcome = await deferToThread(members)
    return not welcome.isdisjoint(addressesOf(certificate))


class Notes(LineOnlyReceiver, TimeoutMixin):
    """
    Keeps what each member says, and tells it back.
    """

    delimiter = b"\n"

    def connectionMade(self):
        # Nobody gets here who is not welcome.
        [address] = addressesOf(self.transport.remoteCertificate)
        self.notes = self.factory.notes.setdefault(address, [])
        self.sendLine(f"Hello, {address}.".encode())
        self.setTimeout(60)

    def lineReceived(self, line):
        self.resetTimeout()
        self.notes.append(line)
        self.sendLine(b"Noted: " + b", ".join(self.notes))

    def connectionLost(self, reason):
        self.setTimeout(None)


factory = Factory.forProtocol(Notes)
factory.notes = {}
options = SslServerAuthenticationOptions(
    ReloadingCertificate.fromPEM("server.pem", reactor=reactor),
    clientCertificateRequired=True,
    remoteCertificateValidationCallback=isWelcome,
    handshakeTimeout=10,
    trust=SslCertificateTrust.fromPEM("authority.pem"),
)
endpoint = SslStreamServerEndpoint(TCP4ServerEndpoint(reactor, 8443), options)
application = Application("notes")
StreamServerEndpointService(endpoint, factory).setServiceParent(application)
