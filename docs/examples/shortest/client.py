from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import SslClientAuthenticationOptions, SslStreamClientEndpoint


async def main(reactor):
    tcp = HostnameEndpoint(reactor, "example.com", 443)
    stream = await SslStreamClientEndpoint(
        tcp, SslClientAuthenticationOptions("example.com")
    ).connectStream()
    async with stream:
        print(stream.security)
        await stream.write(b"HEAD / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        print(await stream.readUntil(b"\r\n\r\n"))


react(main)
