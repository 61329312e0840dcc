# -*- test-case-name: tests.test_algorithms -*-
"""
In what keys are exchanged, and how it is signed: the algorithms that can be
chosen, by the names that IANA has registered ("TLS Supported Groups", "TLS
SignatureScheme"), and which version of TLS has which.
"""

from __future__ import annotations

from typing import NamedTuple

from .enums import SslProtocols

_UNTIL_12 = SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12
_EVERY = _UNTIL_12 | SslProtocols.Tls13


class KeyExchangeGroup(NamedTuple):
    """
    A group that keys are exchanged in.

    @ivar name: the registered name.
    @ivar code: its number on the wire.
    @ivar bits: the size of the field that the Diffie-Hellman part works in.
        ML-KEM alone has no such part: its parameter set's number.
    @ivar exchange: the cipher suites before TLS 1.3 that make use of it:
        C{"ECDHE"}, C{"DHE"}, or C{"KEM"} for none: it is safe from quantum
        computers, alone or together with a curve.
    @ivar versions: those that have it.
    @ivar aliases: what else OpenSSL calls it, in lower case.
    """

    name: str
    code: int
    bits: int
    exchange: str
    versions: SslProtocols
    aliases: tuple[str, ...] = ()


class SignatureAlgorithm(NamedTuple):
    """
    A way to sign a handshake.

    @ivar name: the registered name.
    @ivar code: its number on the wire.
    @ivar keyIn12: the kind of key that makes such signatures in TLS 1.2, as
        L{txsslstream.certificatefacts.keyTypesOf} names it; empty if none of
        those does, L{None} if the version does not have them.
    @ivar keyIn13: the same in TLS 1.3, which binds each curve to one digest.
    """

    name: str
    code: int
    keyIn12: str | None
    keyIn13: str | None

    def keyIn(self, protocol: SslProtocols) -> str | None:
        """
        The kind of key that makes such signatures in TLS 1.2 or 1.3.
        """
        return self.keyIn13 if protocol is SslProtocols.Tls13 else self.keyIn12


#: What OpenSSL implements (RFC 8446 section 4.2.7, RFC 7919, RFC 8734, RFC 8998).
GROUPS = (
    KeyExchangeGroup("secp256r1", 0x0017, 256, "ECDHE", _EVERY, ("prime256v1", "p-256")),
    KeyExchangeGroup("secp384r1", 0x0018, 384, "ECDHE", _EVERY, ("p-384",)),
    KeyExchangeGroup("secp521r1", 0x0019, 521, "ECDHE", _EVERY, ("p-521",)),
    KeyExchangeGroup("x25519", 0x001D, 255, "ECDHE", _EVERY),
    KeyExchangeGroup("x448", 0x001E, 448, "ECDHE", _EVERY),
    KeyExchangeGroup("brainpoolP256r1", 0x001A, 256, "ECDHE", _UNTIL_12),
    KeyExchangeGroup("brainpoolP384r1", 0x001B, 384, "ECDHE", _UNTIL_12),
    KeyExchangeGroup("brainpoolP512r1", 0x001C, 512, "ECDHE", _UNTIL_12),
    KeyExchangeGroup("brainpoolP256r1tls13", 0x001F, 256, "ECDHE", SslProtocols.Tls13),
    KeyExchangeGroup("brainpoolP384r1tls13", 0x0020, 384, "ECDHE", SslProtocols.Tls13),
    KeyExchangeGroup("brainpoolP512r1tls13", 0x0021, 512, "ECDHE", SslProtocols.Tls13),
    KeyExchangeGroup("curveSM2", 0x0029, 256, "ECDHE", SslProtocols.Tls13, ("sm2",)),
    KeyExchangeGroup("ffdhe2048", 0x0100, 2048, "DHE", _EVERY),
    KeyExchangeGroup("ffdhe3072", 0x0101, 3072, "DHE", _EVERY),
    KeyExchangeGroup("ffdhe4096", 0x0102, 4096, "DHE", _EVERY),
    KeyExchangeGroup("ffdhe6144", 0x0103, 6144, "DHE", _EVERY),
    KeyExchangeGroup("ffdhe8192", 0x0104, 8192, "DHE", _EVERY),
    KeyExchangeGroup("MLKEM512", 0x0200, 512, "KEM", SslProtocols.Tls13),
    KeyExchangeGroup("MLKEM768", 0x0201, 768, "KEM", SslProtocols.Tls13),
    KeyExchangeGroup("MLKEM1024", 0x0202, 1024, "KEM", SslProtocols.Tls13),
    KeyExchangeGroup("X25519MLKEM768", 0x11EC, 255, "KEM", SslProtocols.Tls13),
    KeyExchangeGroup("SecP256r1MLKEM768", 0x11EB, 256, "KEM", SslProtocols.Tls13),
    KeyExchangeGroup("SecP384r1MLKEM1024", 0x11ED, 384, "KEM", SslProtocols.Tls13),
    KeyExchangeGroup("curveSM2MLKEM768", 0x11EE, 256, "KEM", SslProtocols.Tls13),
)

#: What OpenSSL implements (RFC 8446 section 4.2.3, RFC 8734, RFC 8998), but for
#: DSA and SHA-224, whose numbers are reserved.
SIGNATURE_ALGORITHMS = (
    SignatureAlgorithm("rsa_pkcs1_sha1", 0x0201, "RSA", None),
    SignatureAlgorithm("rsa_pkcs1_sha256", 0x0401, "RSA", None),
    SignatureAlgorithm("rsa_pkcs1_sha384", 0x0501, "RSA", None),
    SignatureAlgorithm("rsa_pkcs1_sha512", 0x0601, "RSA", None),
    SignatureAlgorithm("ecdsa_sha1", 0x0203, "ECDSA", None),
    SignatureAlgorithm("ecdsa_secp256r1_sha256", 0x0403, "ECDSA", "ECDSA secp256r1"),
    SignatureAlgorithm("ecdsa_secp384r1_sha384", 0x0503, "ECDSA", "ECDSA secp384r1"),
    SignatureAlgorithm("ecdsa_secp521r1_sha512", 0x0603, "ECDSA", "ECDSA secp521r1"),
    SignatureAlgorithm("ecdsa_brainpoolP256r1tls13_sha256", 0x081A, None, "ECDSA brainpoolP256r1"),
    SignatureAlgorithm("ecdsa_brainpoolP384r1tls13_sha384", 0x081B, None, "ECDSA brainpoolP384r1"),
    SignatureAlgorithm("ecdsa_brainpoolP512r1tls13_sha512", 0x081C, None, "ECDSA brainpoolP512r1"),
    SignatureAlgorithm("rsa_pss_rsae_sha256", 0x0804, "RSA", "RSA"),
    SignatureAlgorithm("rsa_pss_rsae_sha384", 0x0805, "RSA", "RSA"),
    SignatureAlgorithm("rsa_pss_rsae_sha512", 0x0806, "RSA", "RSA"),
    SignatureAlgorithm("rsa_pss_pss_sha256", 0x0809, "", ""),
    SignatureAlgorithm("rsa_pss_pss_sha384", 0x080A, "", ""),
    SignatureAlgorithm("rsa_pss_pss_sha512", 0x080B, "", ""),
    SignatureAlgorithm("ed25519", 0x0807, "Ed25519", "Ed25519"),
    SignatureAlgorithm("ed448", 0x0808, "Ed448", "Ed448"),
    SignatureAlgorithm("mldsa44", 0x0904, None, ""),
    SignatureAlgorithm("mldsa65", 0x0905, None, ""),
    SignatureAlgorithm("mldsa87", 0x0906, None, ""),
    SignatureAlgorithm("sm2sig_sm3", 0x0708, None, ""),
)

_GROUPS = {each.name.lower(): each for each in GROUPS}
_SIGNATURE_ALGORITHMS = {each.name.lower(): each for each in SIGNATURE_ALGORITHMS}


def groupNamed(name: str) -> KeyExchangeGroup:
    """
    @param name: a registered name, in whichever case.
    @raise ValueError: no group has it.
    """
    group = _GROUPS.get(_text(name).lower())
    if group is None:
        raise ValueError(f"not a key exchange group: {name!r}")
    return group


def signatureNamed(name: str) -> SignatureAlgorithm:
    """
    @param name: a registered name, in whichever case.
    @raise ValueError: no signature algorithm has it.
    """
    algorithm = _SIGNATURE_ALGORITHMS.get(_text(name).lower())
    if algorithm is None:
        raise ValueError(f"not a signature algorithm: {name!r}")
    return algorithm


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of an algorithm is a str, not {type(name).__name__}")
    return name
