"""
The program under test: a server that greets its clients by the name in their
certificate.
"""

from txsslstream import SslStreamServerEndpoint


async def greet(stream):
    async with stream:
        line = await stream.readUntil(b"\r\n", limit=1000)
        name = stream.remoteCertificate.subject.rfc4514_string()
        await stream.write(b"Hello " + name.encode() + b", you said " + line)


def serve(endpoint, options, clock=None):
    return SslStreamServerEndpoint(endpoint, options, clock=clock).listenStreams(greet)


async def ask(stream, words):
    await stream.write(words + b"\r\n")
    return await stream.readUntil(b"\r\n")
