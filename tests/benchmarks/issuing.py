"""
Issues the certificates of all contestants.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.support import Authority, rsaKey

from .credentials import HOST, KEYS, Credentials


def write(directory: Path) -> Credentials:
    """
    Issue and write all of them.
    """
    credentials = Credentials(directory)
    root = Authority("Benchmark Root")
    intermediate = Authority("Benchmark Intermediate", root)
    pem = root.certificate.public_bytes(Encoding.PEM)
    credentials.root.write_bytes(pem)
    platform = ssl.get_default_verify_paths().cafile
    content = Path(platform).read_bytes() if platform is not None else b""
    credentials.platform.write_bytes(content + b"\n" + pem)
    for kind in KEYS:
        key: Any = rsaKey() if kind == "rsa" else None
        issued = intermediate.issue(HOST, key=key)
        content = issued.privateKey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for each in (issued.certificate, intermediate.certificate):
            content += each.public_bytes(Encoding.PEM)
        credentials.server(kind).write_bytes(content)
    return credentials
