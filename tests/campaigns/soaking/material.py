"""
The certificates of a soak, on disk, and the data that everybody sends.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

from txsslstream import (
    SslCertificateTrust,
    SslStream,
    SslStreamCertificateContext,
    X509ChainPolicy,
    X509ChainTrustMode,
    X509RevocationMode,
)
from txsslstream.testing import Authority, MemoryWeb, certificatePEM, writePEM
from txsslstream.testing.revocations import crlBytes, distribution

#: Where the certificates say that the CRL is.
CRL = "http://crl.invalid/soak.crl"
#: The domain of the many names that clients ask for.
DOMAIN = "soak.example"
_BLOCK = Random(6).randbytes(6 << 20)


def data(start: int, size: int) -> memoryview:
    """
    @return: so many bytes, at most 4 MiB, always the same for the same start,
        which is at most 2 MiB.
    """
    return memoryview(_BLOCK)[start : start + size]


async def expect(stream: SslStream, start: int, size: int) -> None:
    """
    Read that data.
    """
    while size:
        some = await stream.read(min(size, 1 << 17))
        if not some or some != data(start, len(some)):
            raise AssertionError(f"{len(some)} bytes at {start} are not those that were sent")
        start += len(some)
        size -= len(some)


class Issuer:
    """
    Writes certificates: of the server, and of clients, one of whom nobody knows.
    """

    _NAMES = ("localhost", "127.0.0.1", f"*.{DOMAIN}")

    def __init__(self, home: Path) -> None:
        """
        @param home: the directory for them.
        """
        self._home = home
        self._authority = authority = Authority("Soak")
        self._points = [distribution(CRL)]
        stranger = Authority("Strangers")
        revoked = self._issued(*self._NAMES)
        authority.revoke(revoked)
        writePEM(home / "revoked.pem", revoked)
        writePEM(home / "client.pem", self._issued("client@example.com"))
        writePEM(home / "stranger.pem", stranger.issue("stranger@example.com"))
        (home / "trust.pem").write_bytes(certificatePEM(authority.certificate))
        (home / "strangers.pem").write_bytes(certificatePEM(stranger.certificate))
        (home / "soak.crl").write_bytes(crlBytes(authority.crl()))
        self._taking = [self._issued(*self._NAMES) for _ in range(2)]
        self.renew(isNew=False)

    def _issued(self, *names: str) -> SslStreamCertificateContext:
        return self._authority.issue(*names, extensions=self._points)

    def renew(self, isNew: bool) -> None:
        """
        Put another certificate in the place of the server's.

        @param isNew: whether one that was never there, and not one of two.
        """
        self._taking.append(self._issued(*self._NAMES) if isNew else self._taking[0])
        path = self._home / "server.pem.new"
        writePEM(path, self._taking.pop(0))
        # Old enough not to be taken for one that is still being written.
        then = time.time() - 10
        os.utime(path, (then, then))
        os.replace(path, self._home / "server.pem")


class Material:
    """
    What is there, as options take it.

    @ivar trust: in the authority of all but strangers.
    @ivar strangers: in the other one.
    @ivar client: a client's certificate.
    @ivar stranger: that of a client whom nobody knows.
    @ivar revoked: a server's that is revoked.
    @ivar policy: by which certificates are judged that may be revoked; the CRL
        is in the cache as a rule.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.trust = SslCertificateTrust.fromPEM(home / "trust.pem")
        self.strangers = SslCertificateTrust.fromPEM(home / "strangers.pem")
        self.client = SslStreamCertificateContext.fromPEM(home / "client.pem")
        self.stranger = SslStreamCertificateContext.fromPEM(home / "stranger.pem")
        self.revoked = SslStreamCertificateContext.fromPEM(home / "revoked.pem")
        web = MemoryWeb({CRL: (home / "soak.crl").read_bytes()})
        self.policy = X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=self.trust.certificates or (),
            revocationMode=X509RevocationMode.Online,
            retriever=web,
        )
