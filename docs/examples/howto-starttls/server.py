from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.basic import LineReceiver

from txsslstream import AuthenticationError, SslServerAuthenticationOptions, startTLS

options = SslServerAuthenticationOptions("server.pem")


class Greeter(LineReceiver):
    isSecure = False

    def lineReceived(self, line):
        if line == b"STARTTLS" and not self.isSecure:
            self.sendLine(b"Go ahead.")
            startTLS(self, options).addCallbacks(self.started, self.refused)
        elif self.isSecure:
            self.sendLine(b"Hello, " + line + b".")
        else:
            self.sendLine(b"Say STARTTLS first.")

    def started(self, transport):
        self.isSecure = True

    def refused(self, failure):
        failure.trap(AuthenticationError)
        print(failure.getErrorMessage())


async def main(reactor):
    await TCP4ServerEndpoint(reactor, 8443).listen(Factory.forProtocol(Greeter))
    print("Listening.")
    await Deferred()


react(main)
