"""
What the tests of chains have in common.
"""

from __future__ import annotations

from cryptography import x509

from txsslstream.chainchecks import Criteria
from txsslstream.testing import NOW
from txsslstream.testing.damage import ECDSA_SHA256
from txsslstream.testing.encoding import BIT_STRING, SEQUENCE, der

#: What a path has to meet unless more is asked for.
NOTHING_MORE = Criteria(time=NOW)


def withLongSignature(certificate: x509.Certificate, size: int) -> x509.Certificate:
    """
    The certificate with a signature of that many bytes, which is none.
    """
    algorithm = der(SEQUENCE, ECDSA_SHA256)
    signature = der(BIT_STRING, bytes(size + 1))
    whole = der(SEQUENCE, certificate.tbs_certificate_bytes, algorithm, signature)
    return x509.load_der_x509_certificate(whole)
