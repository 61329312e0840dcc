"""
An authority that is always the same, which signs whatever it is given.
"""

from __future__ import annotations

import datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from txsslstream.testing.encoding import BIT_STRING, SEQUENCE, der
from txsslstream.testing.issuing import (
    Issued,
    alternatives,
    authority,
    certificate,
    keyUsage,
)
from txsslstream.testing.revocations import access, distribution

#: When everything is judged, and before and after that.
BEFORE, MOMENT, AFTER = (
    datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc) for year in (2020, 2030, 2090)
)

#: Where the authority's OCSP responder and its CRL are.
RESPONDER, LIST, ISSUER = "http://a.example/o", "http://a.example/c", "http://a.example/i"

_ED25519 = bytes.fromhex("300506032b6570")


@cache
def key(number: int) -> Any:
    """
    @return: a private key, the same for a number in every process.
    """
    return ed25519.Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


@cache
def theAuthority() -> Issued:
    """
    @return: the authority.
    """
    usage = keyUsage("digital_signature", "key_cert_sign", "crl_sign")
    return authority("A", None, key(1), (usage,), serial=1, notBefore=BEFORE, notAfter=AFTER)


def issued(
    subject: str, *extensions: tuple[x509.ExtensionType, bool], serial: int = 2, **arguments: Any
) -> Issued:
    """
    @return: a certificate of the authority.
    """
    return certificate(
        subject,
        theAuthority(),
        extensions=extensions,
        **{
            "key": key(serial),
            "serial": serial,
            "notBefore": BEFORE,
            "notAfter": AFTER,
            **arguments,
        },
    )


@cache
def theServer() -> Issued:
    """
    @return: a server's certificate, which names everything that could be fetched.
    """
    return issued(
        "server",
        alternatives("localhost", "127.0.0.1", "*.a.example"),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        access([RESPONDER], [ISSUER]),
        distribution(LIST),
    )


def hasSigned(signature: bytes, content: bytes) -> bool:
    """
    @return: whether the authority has signed that.
    """
    try:
        key(1).public_key().verify(signature, content)
    except InvalidSignature:
        return False
    return True


def signed(content: bytes) -> bytes:
    """
    @param content: what is signed in a certificate, a CRL or the like, in DER.
    @return: the whole, with the authority's signature.
    """
    return der(SEQUENCE, content, _ED25519, der(BIT_STRING, b"\0", key(1).sign(content)))
