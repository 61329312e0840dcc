"""
Certificates that all contestants share, in a directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: What the certificates are for.
HOST = "localhost"

#: The kinds of keys that servers have.
KEYS = ("ec", "rsa")


@dataclass(frozen=True)
class Credentials:
    """
    Where the certificates are.
    """

    directory: Path

    @property
    def root(self) -> Path:
        """
        The root that clients trust, in PEM.
        """
        return self.directory / "root.pem"

    @property
    def platform(self) -> Path:
        """
        The platform's roots and ours, in PEM: what C{SSL_CERT_FILE} names.
        """
        return self.directory / "platform.pem"

    @property
    def pfx(self) -> Path:
        """
        A server's RSA key and certificates in PKCS #12; its password is L{HOST}.
        """
        return self.directory / "rsa.pfx"

    def server(self, key: str) -> Path:
        """
        @param key: one of L{KEYS}.
        @return: the server's private key, its certificate and the intermediate
            one, in PEM.
        """
        return self.directory / f"{key}.pem"
