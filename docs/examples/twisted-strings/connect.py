import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react


class Greeter(Protocol):
    def connectionMade(self):
        print("connectionMade")
        self.transport.write(b"hello")

    def dataReceived(self, data):
        print("dataReceived:", data.decode())
        self.transport.loseConnection()

    def connectionLost(self, reason):
        print("connectionLost:", reason.type.__name__)
        self.factory.lost.callback(None)


async def main(reactor, description):
    factory = Factory.forProtocol(Greeter)
    factory.lost = Deferred()
    try:
        await clientFromString(reactor, description).connect(factory)
    except Exception as error:
        print("refused:", error)
        return
    await factory.lost


react(main, sys.argv[1:])
