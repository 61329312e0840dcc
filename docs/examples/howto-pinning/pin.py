"""
Print the pins of certificates: the SHA-256 of their public keys.
"""

import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def pinOf(certificate):
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(sha256(spki).digest()).decode("ascii")


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(pinOf(x509.load_pem_x509_certificate(Path(path).read_bytes())))
