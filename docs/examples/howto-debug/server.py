from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import SslServerAuthenticationOptions, SslStreamServerEndpoint
from txsslstream.insecure import obeySSLKEYLOGFILE


async def answer(stream):
    await stream.readUntil(b"\r\n\r\n")
    await stream.write(b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\nVery secret.")


async def main(reactor):
    obeySSLKEYLOGFILE()
    tcp = TCP4ServerEndpoint(reactor, 8443)
    options = SslServerAuthenticationOptions("server.pem")
    await SslStreamServerEndpoint(tcp, options).listenStreams(answer)
    print("Listening.")
    await Deferred()


react(main)
