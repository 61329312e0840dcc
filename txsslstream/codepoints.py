# -*- test-case-name: tests.test_codepoints -*-
"""
The names that IANA has registered for numbers on the wire ("TLS Supported
Groups", "TLS SignatureScheme"), and the numbers that mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class NamedGroup(NamedTuple):
    """
    A group for the exchange of keys.

    @ivar code: its number on the wire.
    @ivar name: the registered name.
    @ivar bits: the size of the field that the Diffie-Hellman part works in.
        ML-KEM alone has no such part: its parameter set's number.
    @ivar aliases: what else OpenSSL calls it, in lower case.
    """

    code: int
    name: str
    bits: int
    aliases: tuple[str, ...] = ()


#: Those that OpenSSL implements.
_GROUPS = (
    NamedGroup(0x0017, "secp256r1", 256, ("prime256v1", "p-256")),
    NamedGroup(0x0018, "secp384r1", 384, ("p-384",)),
    NamedGroup(0x0019, "secp521r1", 521, ("p-521",)),
    NamedGroup(0x001A, "brainpoolP256r1", 256),
    NamedGroup(0x001B, "brainpoolP384r1", 384),
    NamedGroup(0x001C, "brainpoolP512r1", 512),
    NamedGroup(0x001D, "x25519", 255),
    NamedGroup(0x001E, "x448", 448),
    NamedGroup(0x001F, "brainpoolP256r1tls13", 256),
    NamedGroup(0x0020, "brainpoolP384r1tls13", 384),
    NamedGroup(0x0021, "brainpoolP512r1tls13", 512),
    NamedGroup(0x0029, "curveSM2", 256, ("sm2",)),
    NamedGroup(0x0100, "ffdhe2048", 2048),
    NamedGroup(0x0101, "ffdhe3072", 3072),
    NamedGroup(0x0102, "ffdhe4096", 4096),
    NamedGroup(0x0103, "ffdhe6144", 6144),
    NamedGroup(0x0104, "ffdhe8192", 8192),
    NamedGroup(0x0200, "MLKEM512", 512),
    NamedGroup(0x0201, "MLKEM768", 768),
    NamedGroup(0x0202, "MLKEM1024", 1024),
    NamedGroup(0x11EB, "SecP256r1MLKEM768", 256),
    NamedGroup(0x11EC, "X25519MLKEM768", 255),
    NamedGroup(0x11ED, "SecP384r1MLKEM1024", 384),
    NamedGroup(0x11EE, "curveSM2MLKEM768", 256),
)
_GROUPS_BY_CODE = {group.code: group.name for group in _GROUPS}
_GROUPS_BY_NAME = {
    name: group for group in _GROUPS for name in (group.name.lower(), *group.aliases)
}

_SIGNATURE_SCHEMES = {
    0x0201: "rsa_pkcs1_sha1",
    0x0203: "ecdsa_sha1",
    0x0401: "rsa_pkcs1_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0708: "sm2sig_sm3",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
    0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
    0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
    0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
    0x0904: "mldsa44",
    0x0905: "mldsa65",
    0x0906: "mldsa87",
}


def groupNamed(name: str | None) -> tuple[str | None, int]:
    """
    @param name: OpenSSL's name of a group.
    @return: its registered name and its size in bits; 0 if that is not known.
    """
    group = _GROUPS_BY_NAME.get((name or "").lower())
    return (name, 0) if group is None else (group.name, group.bits)


def groupName(code: int) -> str | int:
    """
    @return: the registered name of a group, or the number if that is not known.
    """
    return _GROUPS_BY_CODE.get(code, code)


def signatureName(code: int) -> str | int:
    """
    @return: the registered name of a signature scheme, or the number if that is
        not known.
    """
    return _SIGNATURE_SCHEMES.get(code, code)


def isGrease(code: int) -> bool:
    """
    Whether a number was sent only so that nobody gets used to those that there
    are (RFC 8701).
    """
    high, low = divmod(code, 256)
    return high == low and low % 16 == 0x0A
