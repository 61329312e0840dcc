"""
Issues the certificates of all contestants.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES, serialize_key_and_certificates

from txsslstream.testing import Authority, rsaKey

from .credentials import HOST, KEYS, Credentials

_AS_MONO_READS_IT = (
    PrivateFormat.PKCS12.encryption_builder()
    .key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
    .hmac_hash(hashes.SHA1())
    .build(HOST.encode())
)


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
        issued: Any = intermediate.issue(HOST, key=key)
        content = issued.privateKey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for each in (issued.certificate, intermediate.certificate):
            content += each.public_bytes(Encoding.PEM)
        credentials.server(kind).write_bytes(content)
        if kind == "rsa":
            chain = [intermediate.certificate]
            credentials.pfx.write_bytes(
                serialize_key_and_certificates(
                    None, issued.privateKey, issued.certificate, chain, _AS_MONO_READS_IT
                )
            )
    return credentials
