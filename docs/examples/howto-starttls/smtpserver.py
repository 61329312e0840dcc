from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.mail.smtp import ESMTP, IMessage, IMessageDelivery, SMTPBadRcpt, SMTPFactory
from zope.interface import implementer

from txsslstream import ISslStream, SslServerAuthenticationOptions, StartTLSFactory

options = SslServerAuthenticationOptions("server.pem")


@implementer(IMessageDelivery, IMessage)
class Printer:
    """
    Takes messages that come by TLS, and prints them.
    """

    def __init__(self, protocol):
        self.protocol = protocol

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: from " + helo[0] + b" with ESMTPS"

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        if not ISslStream.providedBy(self.protocol.transport):
            raise SMTPBadRcpt(user)
        return lambda: self

    def lineReceived(self, line):
        print(line.decode(errors="replace"))

    def eomReceived(self):
        return succeed(None)

    def connectionLost(self):
        print("The message ended early.")


class Server(ESMTP):
    def __init__(self):
        super().__init__(contextFactory=options)
        self.delivery = Printer(self)


async def main(reactor):
    factory = SMTPFactory()
    factory.protocol = Server
    await TCP4ServerEndpoint(reactor, 8443).listen(StartTLSFactory(factory))
    print("Listening.")
    await Deferred()


react(main)
