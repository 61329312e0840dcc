# -*- test-case-name: tests.test_testing_certificates -*-
"""
Certificates that no authority would make: damaged, or signed as is not done any
more.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from .encoding import BIT_STRING, INTEGER, SEQUENCE, der, elements
from .issuing import SHA256, Issued, Signer

#: The identifiers of signature algorithms, in DER, and one that there is not.
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
ECDSA_SHA1 = bytes.fromhex("06072a8648ce3d0401")
ECDSA_UNKNOWN = bytes.fromhex("06082a8648ce3d04037f")
RSA_SHA256 = bytes.fromhex("06092a864886f70d01010b")
RSA_SHA1 = bytes.fromhex("06092a864886f70d010105")
RSA_MD5 = bytes.fromhex("06092a864886f70d010104")

_NULL = b"\x05\x00"


def patched(issued: Issued, *changes: tuple[bytes, bytes]) -> Issued:
    """
    A certificate with other bytes of the same number.  Its signature is no
    longer valid.

    @param changes: what each is, and what it becomes, wherever it is.
    @raise ValueError: what is to be changed is not there, or the numbers of
        bytes differ.
    """
    data = issued.certificate.public_bytes(Encoding.DER)
    for old, new in changes:
        if len(old) != len(new) or old not in data:
            raise ValueError(f"{old.hex()} cannot become {new.hex()}")
        data = data.replace(old, new)
    return Issued(x509.load_der_x509_certificate(data), issued.key)


def unreadable(issued: Issued) -> Issued:
    """
    A certificate whose subjectKeyIdentifier, which it must have, is damaged.
    """
    identifier = bytes.fromhex("0603551d0e0416")
    return patched(issued, (identifier + b"\x04\x14", identifier + b"\x05\x14"))


def resigned(content: bytes, key: Any, digest: Any = SHA256) -> bytes:
    """
    @param content: the part of a certificate that is signed, in DER.
    @param key: whatever private key fits the algorithm that it names.
    @return: the certificate that an authority with that key makes of it, in DER.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(content, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(content, ec.ECDSA(digest))
    else:
        signature = key.sign(content)
    algorithm = elements(content)[2]
    return der(SEQUENCE, content, algorithm, der(BIT_STRING, b"\0", signature))


def signedAgain(issued: Issued, key: Any) -> Issued:
    """
    A certificate, L{patched} as it may be, whose signature is valid again.

    @param key: the issuer's.
    """
    return _loaded(resigned(issued.certificate.tbs_certificate_bytes, key), issued)


def withSerial(issued: Issued, issuer: Signer, serial: bytes) -> Issued:
    """
    A certificate with these bytes for its serial number, signed again.

    @param issuer: who signs.
    """
    version, _, *rest = elements(issued.certificate.tbs_certificate_bytes)
    content = der(SEQUENCE, version, der(INTEGER, serial), *rest)
    return _loaded(resigned(content, issuer.key), issued)


def weaklySigned(issued: Issued, key: Any, digest: Literal["sha1", "md5"] = "sha1") -> Issued:
    """
    A certificate validly signed again with a digest that is not safe any more.

    @param key: the issuer's; an EC one (SHA-1 only) or an RSA one.
    """
    weak: Any = {"sha1": hashes.SHA1(), "md5": hashes.MD5()}[digest]
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = der(SEQUENCE, RSA_SHA1 if digest == "sha1" else RSA_MD5, _NULL)
    else:
        algorithm = der(SEQUENCE, ECDSA_SHA1)
    version, serial, _, *rest = elements(issued.certificate.tbs_certificate_bytes)
    content = der(SEQUENCE, version, serial, algorithm, *rest)
    return _loaded(resigned(content, key, weak), issued)


def _loaded(data: bytes, issued: Issued) -> Issued:
    return Issued(x509.load_der_x509_certificate(data), issued.key)


def ofUnknownVersion(certificate: x509.Certificate, key: Any) -> bytes:
    """
    @param key: the issuer's.
    @return: the certificate as one of a version that there is not, in DER.
        Nothing can read that.
    """
    _, *rest = elements(certificate.tbs_certificate_bytes)
    version = bytes.fromhex("a003020107")
    return resigned(der(SEQUENCE, version, *rest), key)


def withBadTime(certificate: x509.Certificate, key: Any) -> bytes:
    """
    @param key: the issuer's.
    @return: the certificate with a time that is none, in DER.  Nothing can read
        that.
    """
    content = certificate.tbs_certificate_bytes
    return resigned(re.sub(rb"(\x17\x0d\d{12})Z", rb"\1+", content, count=1), key)
