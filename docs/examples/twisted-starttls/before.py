from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

with open("server.pem", "rb") as file:
    options = PrivateCertificate.loadPEM(file.read()).options()


class Greeter(LineReceiver):
    isSecure = False

    def lineReceived(self, line):
        print("lineReceived:", line.decode(), "secure" if self.isSecure else "clear")
        if line == b"STARTTLS":
            self.sendLine(b"Go ahead.")
            self.transport.startTLS(options)
            self.isSecure = True
        else:
            self.sendLine(b"Hello " + line)


async def main(reactor):
    await TCP4ServerEndpoint(reactor, 8443).listen(Factory.forProtocol(Greeter))
    await Deferred()


react(main)
