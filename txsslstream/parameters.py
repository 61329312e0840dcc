# -*- test-case-name: tests.test_parameters -*-
"""
Small values that options are made of, and the part of options that an OpenSSL
context is built from.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from cryptography import x509
from typing_extensions import Self

from .certificates import SslStreamCertificateContext
from .ciphersuites import TlsCipherSuite
from .enums import EncryptionPolicy, SslProtocols


class SslApplicationProtocol(bytes):
    """
    The name of an application protocol (RFC 7301; .NET:
    C{SslApplicationProtocol}): bytes, with names for the usual ones.
    """

    Http11: ClassVar[SslApplicationProtocol]
    Http2: ClassVar[SslApplicationProtocol]
    Http3: ClassVar[SslApplicationProtocol]

    def __new__(cls, protocol: bytes | str) -> Self:
        """
        @param protocol: 1 to 255 bytes, or a text that is that long in UTF-8.
        @raise ValueError: it is shorter or longer.
        @raise TypeError: it is neither.
        """
        octets = protocol.encode("utf-8") if isinstance(protocol, str) else memoryview(protocol)
        name = bytes(octets)
        if not 1 <= len(name) <= 255:
            raise ValueError("an application protocol has 1 to 255 bytes")
        return super().__new__(cls, name)

    @property
    def protocol(self) -> bytes:
        """
        The name on the wire.
        """
        return bytes(self)

    def __str__(self) -> str:
        return self.decode("utf-8", "backslashreplace")


SslApplicationProtocol.Http11 = SslApplicationProtocol(b"http/1.1")
SslApplicationProtocol.Http2 = SslApplicationProtocol(b"h2")
SslApplicationProtocol.Http3 = SslApplicationProtocol(b"h3")


@dataclass(frozen=True, init=False)
class CipherSuitesPolicy:
    """
    The only cipher suites that may be negotiated, best first (.NET:
    C{CipherSuitesPolicy}).  Naming a suite that OpenSSL regards as weak allows
    it.

    @ivar allowedCipherSuites: the suites, as a tuple.
    """

    allowedCipherSuites: tuple[TlsCipherSuite, ...]

    def __init__(self, allowedCipherSuites: Iterable[TlsCipherSuite]) -> None:
        """
        @raise ValueError: no suite, or a number that is none.
        """
        suites = tuple(dict.fromkeys(map(TlsCipherSuite, allowedCipherSuites)))
        if not suites:
            raise ValueError("a policy without cipher suites allows no connection")
        object.__setattr__(self, "allowedCipherSuites", suites)


@dataclass(frozen=True)
class TlsParameters:
    """
    What one OpenSSL context is built from; equal ones share it.

    @ivar protocols: the enabled versions; C{None_} for the default.
    @ivar cipherSuites: the permitted suites, or L{None} for the default.
    @ivar choosesCertificate: whether a client has to know what a server asks
        for.
    @ivar asksForCertificate: whether a server sends CertificateRequest.
    @ivar insistsOnCertificate: whether OpenSSL itself refuses a client that
        sends none.
    @ivar acceptableIssuers: whom a server names in CertificateRequest.
    @ivar renegotiates: whether the peer may begin another handshake (before TLS
        1.3).
    @ivar resumes: whether earlier sessions may go on.
    @ivar sessionScope: what else sessions must have in common that a server lets
        go on.
    @ivar logsSecrets: whether somebody wants the secrets of the connections
        (L{txsslstream.insecure}).
    @ivar keyExchangeGroups: registered names, best first; empty for the
        default.
    @ivar signatureAlgorithms: the same.
    @ivar allowRsaPssPadding: whether RSA keys may sign with RSASSA-PSS.
    @ivar allowRsaPkcs1Padding: whether RSA keys may sign with PKCS #1 v1.5.
    @ivar context: OpenSSL's, once it has been asked for: it lives as long as
        this does.  No part of the value.
    """

    isServer: bool
    protocols: SslProtocols = SslProtocols.None_
    cipherSuites: tuple[TlsCipherSuite, ...] | None = None
    encryptionPolicy: EncryptionPolicy = EncryptionPolicy.RequireEncryption
    applicationProtocols: tuple[bytes, ...] = ()
    certificate: SslStreamCertificateContext | None = None
    choosesCertificate: bool = False
    asksForCertificate: bool = False
    insistsOnCertificate: bool = False
    acceptableIssuers: tuple[x509.Certificate, ...] = ()
    renegotiates: bool = False
    resumes: bool = False
    sessionScope: Hashable = None
    logsSecrets: bool = False
    keyExchangeGroups: tuple[str, ...] = ()
    signatureAlgorithms: tuple[str, ...] = ()
    allowRsaPssPadding: bool = True
    allowRsaPkcs1Padding: bool = True
    context: Any = field(default=None, init=False, repr=False, compare=False)

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, each.name) for each in fields(self) if each.compare))

    def __hash__(self) -> int:
        # Each connection asks for it, and certificates make it slow.
        return self._hash
