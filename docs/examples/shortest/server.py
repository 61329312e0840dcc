from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import SslServerAuthenticationOptions, SslStreamServerEndpoint


async def echo(stream):
    async for data in stream:
        await stream.write(data)


async def main(reactor):
    options = SslServerAuthenticationOptions("server.pem")
    await SslStreamServerEndpoint(TCP4ServerEndpoint(reactor, 8443), options).listenStreams(echo)
    await Deferred()


react(main)
