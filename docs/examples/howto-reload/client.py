import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import deferLater, react
from twisted.internet.utils import getProcessValue

from txsslstream import (
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


def shown(stream):
    return stream.remoteCertificate.subject.rfc4514_string()


async def main(reactor):
    options = SslClientAuthenticationOptions(
        "localhost", trust=SslCertificateTrust.fromPEM("reload-authority.pem")
    )
    endpoint = SslStreamClientEndpoint(HostnameEndpoint(reactor, "localhost", 8443), options)
    async with await endpoint.connectStream() as old:
        print("before:", shown(old))
        await getProcessValue(sys.executable, ["renew.py"], env=None)
        before = after = shown(old)
        while after == before:
            await deferLater(reactor, 0.1)
            async with await endpoint.connectStream() as new:
                after = shown(new)
        print("after:", after)
        await old.write(b"and the old connection goes on\n")
        print(await old.readUntil(b"\n"))


react(main)
