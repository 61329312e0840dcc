from pathlib import Path

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react

from txsslstream import (
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
    X509ChainPolicy,
    X509ChainTrustMode,
    X509RevocationMode,
)

CRL = Path("crl.pem")


class Options:
    """
    Options with the newest list of what is revoked.
    """

    changed = None

    def __call__(self, stream, hello, state):
        changed = CRL.stat().st_mtime_ns
        if changed != self.changed:
            self.options = self.load()
            self.changed = changed
        return self.options

    def load(self):
        policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore="ca.pem",
            revocationMode=X509RevocationMode.Offline,
            revocationLists=[x509.load_pem_x509_crl(CRL.read_bytes())],
        )
        return SslServerAuthenticationOptions(
            "site.pem", clientCertificateRequired=True, certificateChainPolicy=policy
        )


async def greet(stream):
    await stream.write(b"Hello.\n")


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, Options()).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
