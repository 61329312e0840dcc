# worker.tac
import os

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.internet.protocol import Factory, Protocol


class Greeting(Protocol):
    def dataReceived(self, data):
        # Behind sslserve there is no TLS here, and no certificate.
        certificate = getattr(self.transport, "remoteCertificate", None)
        name = certificate.subject.rfc4514_string() if certificate else "whoever you are"
        self.transport.write(f"Hello {name}, from {self.transport.getPeer().host}.\n".encode())
        self.transport.loseConnection()


application = Application("worker")
service(os.environ["LISTEN"], Factory.forProtocol(Greeting)).setServiceParent(application)
