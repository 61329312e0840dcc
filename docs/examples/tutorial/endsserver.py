from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    ReadTimeout,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
    TruncationError,
)


async def receive(stream):
    stream.readTimeout = 1
    received = b""
    try:
        async for data in stream:
            received += data
            await stream.write(b"Go on.\n")
    except ReadTimeout as e:
        print(f"{received}, then nothing: {e}")
        await stream.write(b"Too slow.\n")
    except TruncationError as e:
        print(f"{received} is not all: {e}")
    else:
        print(f"{received} is all.")


async def main(reactor):
    options = SslServerAuthenticationOptions("server.pem")
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(receive)
    print("Listening.")
    await Deferred()


react(main)
