from pathlib import Path

from pin import pinOf
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


class Pinned:
    """
    Accepts a server that is in order and has one of some keys.
    """

    def __init__(self, path):
        self.pins = set(Path(path).read_text().split())

    def __call__(self, stream, certificate, chain, sslPolicyErrors):
        return not sslPolicyErrors and pinOf(certificate) in self.pins


async def attempt(reactor, path):
    options = SslClientAuthenticationOptions(
        "localhost",
        remoteCertificateValidationCallback=Pinned(path),
        trust=SslCertificateTrust.fromPEM("authority.pem"),
    )
    tcp = HostnameEndpoint(reactor, "localhost", 8443)
    try:
        stream = await SslStreamClientEndpoint(tcp, options).connectStream()
    except AuthenticationError as e:
        print(f"{path}: {e.reason.name}; {e}")
    else:
        print(f"{path}: accepted")
        await stream.close()


async def main(reactor):
    await attempt(reactor, "pins.txt")
    await attempt(reactor, "otherpins.txt")


react(main)
