# -*- test-case-name: tests.test_certificates -*-
"""
Certificates and keys from wherever users keep them.

Wherever this package takes a certificate it takes a
L{cryptography.x509.Certificate}, one of Twisted's C{ssl.Certificate} and
C{ssl.PrivateCertificate}, or the path of a PEM or PKCS#12 file.  The functions
here turn all of these into C{cryptography}'s types, once, when options are
built.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import pkcs12
from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from .errors import CertificateError
from .interfaces import IRetriever

#: A private key that can sign handshakes.
PrivateKey = CertificateIssuerPrivateKeyTypes

_SomePath: TypeAlias = str | os.PathLike[str]


class TwistedWrapper(Protocol):
    """
    One of Twisted's C{ssl.Certificate}, C{ssl.PrivateCertificate} and
    C{ssl.KeyPair}.
    """

    @property
    def original(self) -> Any:
        """
        The object of pyOpenSSL's that it wraps.
        """


#: A private key in any accepted form.
SomePrivateKey: TypeAlias = PrivateKey | TwistedWrapper

#: A password, or a callback that is asked for it with the path of a file that is
#: encrypted.  It answers with the password, L{None} if there is none, or a
#: Deferred or coroutine of that whose result is there at once: loading cannot
#: wait.
SomePassword: TypeAlias = "str | bytes | Callable[[str], Any] | None"

_PEM_MARKER = b"-----BEGIN "
_CERTIFICATE_MARKER = _PEM_MARKER + b"CERTIFICATE-----"


def _fingerprint(key: PublicKeyTypes) -> str:
    """
    @return: the SHA-256 digest of a public key, in hexadecimal.
    """
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return digest.finalize().hex()


def itself(certificate: x509.Certificate) -> x509.Certificate:
    """
    @return: C{certificate}: for L{parsed}, where somebody else has parsed it.
    """
    return certificate


def _fingerprintOf(certificate: x509.Certificate) -> str:
    """
    @return: that of a certificate's key, or in words that it cannot be read.
    """
    try:
        return _fingerprint(certificate.public_key())
    except Exception as e:
        # There are kinds of keys that cryptography does not know, and damaged
        # ones; the certificate next to it may be the right one.
        return f"a key that cannot be read ({type(e).__name__})"


def _read(path: _SomePath) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as e:
        raise CertificateError(f"{os.fspath(path)}: {e.strerror or e}") from e
    except ValueError as e:
        raise CertificateError(f"{os.fspath(path)!r}: no path: {e}") from e


def passwordFrom(path: _SomePath) -> bytes:
    """
    @return: the first line of a file.
    @raise CertificateError: it cannot be read, or the line is empty.
    """
    lines = _read(path).splitlines()
    if not lines or not lines[0]:
        raise CertificateError(f"{os.fspath(path)}: no password in the first line")
    return lines[0]


def _passwordBytes(password: str | bytes | None) -> bytes | None:
    """
    @return: the password; L{None} for an empty one, which protects nothing.
    """
    return (password.encode("utf-8") if isinstance(password, str) else password) or None


def _given(password: SomePassword) -> tuple[bytes | None, Callable[[str], Any] | None]:
    """
    @return: the password, and the callback that may be asked for one.
    """
    if password is None or isinstance(password, (str, bytes)):
        return _passwordBytes(password), None
    return None, password


def _asked(callback: Callable[[str], Any], source: str) -> bytes | None:
    """
    @return: the password that a callback has for a file.
    @raise CertificateError: it has none, or not yet.
    """
    outcome: list[Any] = []
    answer = maybeDeferred(callback, source).addBoth(outcome.append)
    if not outcome:
        with suppress(BaseException):
            answer.cancel()
        raise CertificateError(f"{source}: loading cannot wait for the password callback's answer")
    (password,) = outcome
    if isinstance(password, Failure):
        # Its words may quote the password: neither told nor chained.
        raise CertificateError(
            f"{source}: the password callback failed: {type(password.value).__name__}"
        )
    if password is not None and not isinstance(password, (str, bytes)):
        raise CertificateError(
            f"{source}: the password callback must answer with text or bytes, "
            f"not {type(password).__name__}"
        )
    return _passwordBytes(password)


def certificatesFromPEM(data: bytes, source: str = "PEM data") -> list[x509.Certificate]:
    """
    @param source: the name to use in errors.
    @return: all certificates of a PEM text, in its order.
    @raise CertificateError: there is none, or one of them is damaged.
    """
    blocks = [block for block in pem.parse(data) if isinstance(block, pem.Certificate)]
    if data.count(_CERTIFICATE_MARKER) > len(blocks):
        raise CertificateError(f"{source}: damaged certificate: it has no end")
    if not blocks:
        raise CertificateError(f"{source}: no certificate in it")
    return [parsed(x509.load_pem_x509_certificate, each.as_bytes(), source) for each in blocks]


def parsed(
    parse: Callable[[Any], x509.Certificate], data: Any, source: str = "certificate"
) -> x509.Certificate:
    """
    @param parse: makes a certificate of C{data}.
    @param source: the name to use in errors.
    @return: the certificate, whose names can be read.
    @raise CertificateError: there is none.
    """
    try:
        certificate = parse(data)
        # By them it is known which has issued which.
        _ = certificate.subject, certificate.issuer
    except Exception as e:
        # cryptography raises ValueError, TypeError, x509.InvalidVersion and more.
        raise CertificateError(f"{source}: damaged certificate: {e}") from e
    return certificate


def _isEncrypted(key: bytes) -> bool:
    try:
        serialization.load_pem_private_key(key, None)
    except TypeError:
        return True
    except Exception:
        # That will be told when it is loaded.
        return False
    return False


def _keyFromPEM(data: bytes, password: SomePassword, source: str) -> PrivateKey:
    for block in pem.parse(data):
        if isinstance(block, pem.Key) and not isinstance(block, pem.PublicKey):
            text = block.as_bytes()
            given, callback = _given(password)
            if callback is not None and _isEncrypted(text):
                given = _asked(callback, source)
            try:
                key = serialization.load_pem_private_key(text, given)
            except TypeError as e:
                wanted = (
                    "is encrypted: a password is needed"
                    if given is None
                    else ("is not encrypted: no password must be given")
                )
                raise CertificateError(f"{source}: the private key {wanted}") from e
            except Exception:
                # ValueError, UnsupportedAlgorithm, and InternalError for numbers
                # of which OpenSSL makes no key.  They may quote the file: not
                # chained.
                raise CertificateError(
                    f"{source}: the private key is damaged or the password is wrong"
                ) from None
            return _signingKey(key, source)
    raise CertificateError(f"{source}: no private key in it")


def _signingKey(key: object, source: str) -> PrivateKey:
    if not hasattr(key, "public_key") or not hasattr(key, "sign"):
        raise CertificateError(f"{source}: the private key cannot sign")
    signing: PrivateKey = key  # type: ignore[assignment]
    return signing


def _loadPFX(data: bytes, password: SomePassword, source: str) -> Any:
    given, callback = _given(password)
    try:
        return pkcs12.load_key_and_certificates(data, given)
    except Exception as e:
        # The same.
        isProtected = "password" in str(e)
    if callback is not None and isProtected:
        return _loadPFX(data, _asked(callback, source), source)
    raise CertificateError(f"{source}: not a PKCS#12 file, or the password is wrong")


def loadCertificates(value: SomeCertificate) -> list[x509.Certificate]:
    """
    @param value: a certificate in any accepted form; a path may hold several.
    @return: its certificates, at least one.
    @raise CertificateError: the file cannot be read or is damaged.
    @raise TypeError: the value is none of the accepted forms.
    """
    if isinstance(value, x509.Certificate):
        return [value]
    if isinstance(value, SslStreamCertificateContext):
        return [value.certificate, *value.intermediates]
    if isinstance(value, (str, os.PathLike)):
        data = _read(value)
        if _PEM_MARKER in data:
            return certificatesFromPEM(data, os.fspath(value))
        try:
            return [parsed(x509.load_der_x509_certificate, data, os.fspath(value))]
        except CertificateError:
            context = SslStreamCertificateContext.fromPFX(value)
            return [context.certificate, *context.intermediates]
    original: Any = getattr(value, "original", None)
    if hasattr(original, "to_cryptography"):
        return [original.to_cryptography()]
    raise TypeError(f"not a certificate: {type(value).__name__}")


class CertificateSource:
    """
    What has a certificate with its key for each handshake, be it always the
    same.  Options hold it as it is.
    """

    __slots__ = ()

    @property
    def current(self) -> SslStreamCertificateContext:
        """
        What a handshake that begins now presents.
        """
        raise NotImplementedError

    def usedFor(self, parameters: Any) -> object | None:
        """
        Note what it is used for: whatever is presented later will be fit for
        that.

        @param parameters: L{TlsParameters<txsslstream.parameters.TlsParameters>}
            without certificate.
        @return: to be kept as long as it is used for that; L{None} for what
            never changes.
        """
        return None


@dataclass(frozen=True, init=False, repr=False, slots=True)
class SslStreamCertificateContext(CertificateSource):
    """
    A certificate with its private key and the intermediates that are sent with
    it (.NET: C{SslStreamCertificateContext}).  A value: equal if the
    certificates are equal, and never changed.

    @ivar certificate: what is presented to the peer.
    @ivar privateKey: its key.
    @ivar intermediates: the certificates sent after it, issuers in order, as a
        tuple.
    @ivar offline: whether nothing is fetched.  If not, a server fetches OCSP
        responses from where the certificate says, keeps them fresh as long as
        it is used, and staples them (RFC 6066 section 8).
    @ivar retriever: fetches them, as an
        L{IRetriever<txsslstream.interfaces.IRetriever>}; L{None}: plain http.
    @ivar roots: roots that came along, as a tuple.  They are not sent, since the
        peer has to have them anyway (RFC 8446 section 4.4.2), but may be who
        has signed those responses.
    """

    certificate: x509.Certificate
    privateKey: PrivateKey = field(compare=False)
    intermediates: tuple[x509.Certificate, ...]
    offline: bool
    retriever: IRetriever | None
    roots: tuple[x509.Certificate, ...]

    def __hash__(self) -> int:
        # Each connection asks for it, and a certificate's takes long.
        return hash(self.certificate.signature)

    def __init__(
        self,
        certificate: SomeCertificate,
        privateKey: SomePrivateKey,
        intermediates: Iterable[SomeCertificate] = (),
        *,
        offline: bool = False,
        retriever: IRetriever | None = None,
        roots: Iterable[SomeCertificate] = (),
    ) -> None:
        """
        @raise CertificateError: the key does not belong to the certificate.
        """
        leaf, *extra = loadCertificates(certificate)
        parsed(itself, leaf)
        original: Any = getattr(privateKey, "original", None)
        if hasattr(original, "to_cryptography_key"):
            privateKey = original.to_cryptography_key()
        key = _signingKey(privateKey, "private key")
        rest = (each for some in intermediates for each in loadCertificates(some))
        ours = _fingerprintOf(leaf)
        keys = _fingerprint(key.public_key())
        if ours != keys:
            raise CertificateError(
                "the private key does not belong to the certificate: public key "
                f"SHA-256 {keys} of the private key, {ours} in the certificate of "
                f"{leaf.subject.rfc4514_string()}"
            )
        object.__setattr__(self, "certificate", leaf)
        object.__setattr__(self, "privateKey", key)
        object.__setattr__(self, "intermediates", (*extra, *rest))
        object.__setattr__(self, "offline", offline)
        object.__setattr__(self, "retriever", retriever)
        anchors = tuple(each for some in roots for each in loadCertificates(some))
        object.__setattr__(self, "roots", anchors)

    @property
    def current(self) -> SslStreamCertificateContext:
        """
        This one.
        """
        return self

    @classmethod
    def fromPEM(
        cls,
        path: _SomePath,
        privateKeyPath: _SomePath | None = None,
        password: SomePassword = None,
        *,
        offline: bool = False,
        retriever: IRetriever | None = None,
    ) -> SslStreamCertificateContext:
        """
        Read certificates and a private key from one PEM file, or from two.  The
        leaf is found by its key, whatever the order in the file.

        @param privateKeyPath: where the key is, if not in C{path}.
        @param password: for an encrypted key; a callback is asked only if the
            key is encrypted.
        @param offline: as the attribute.
        @param retriever: as the attribute.
        @raise CertificateError: something is missing, damaged or does not fit.
        """
        source = os.fspath(path)
        keySource = source if privateKeyPath is None else os.fspath(privateKeyPath)
        certificates = certificatesFromPEM(_read(path), source)
        key = _keyFromPEM(_read(keySource), password, keySource)
        wanted = _fingerprint(key.public_key())
        for leaf in certificates:
            if _fingerprintOf(leaf) == wanted:
                return cls(
                    leaf,
                    key,
                    _issuersInOrder(leaf, certificates),
                    offline=offline,
                    retriever=retriever,
                    roots=_rootsAmong(leaf, certificates),
                )
        theirs = ", ".join(map(_fingerprintOf, certificates))
        raise CertificateError(
            f"{source}: no certificate belongs to the private key of {keySource}: "
            f"public key SHA-256 {wanted} of the private key, {theirs} in the certificates"
        )

    @classmethod
    def fromPFX(
        cls,
        path: _SomePath,
        password: SomePassword = None,
        *,
        offline: bool = False,
        retriever: IRetriever | None = None,
    ) -> SslStreamCertificateContext:
        """
        Read a PKCS#12 (C{.pfx}, C{.p12}) file.

        @param password: for an encrypted file; a callback is asked only if it
            is.
        @param offline: as the attribute.
        @param retriever: as the attribute.
        @raise CertificateError: something is missing, damaged or does not fit.
        """
        source = os.fspath(path)
        key, certificate, others = _loadPFX(_read(path), password, source)
        if key is None or certificate is None:
            raise CertificateError(f"{source}: it must hold a certificate and its private key")
        for each in (certificate, *others):
            parsed(itself, each, source)
        return cls(
            certificate,
            _signingKey(key, source),
            _issuersInOrder(certificate, others),
            offline=offline,
            retriever=retriever,
            roots=_rootsAmong(certificate, others),
        )

    @classmethod
    def create(
        cls,
        target: SomeCertificate | tuple[SomeCertificate, SomePrivateKey],
        additionalCertificates: Iterable[SomeCertificate] = (),
        *,
        offline: bool = False,
        retriever: IRetriever | None = None,
    ) -> SslStreamCertificateContext:
        """
        Make a context of anything that holds a certificate with its private key
        (.NET: C{SslStreamCertificateContext.Create}): a context, Twisted's
        C{ssl.PrivateCertificate}, a pair of certificate and key, the path of a
        PEM file with both, or of a PKCS#12 file without password.

        @param additionalCertificates: intermediates to send as well.
        @param offline: as the attribute; a context stays as it is.
        @param retriever: as the attribute; a context keeps its own.
        @raise CertificateError: it holds no private key, or cannot be used.
        """
        additional = tuple(additionalCertificates)
        roots: tuple[x509.Certificate, ...] = ()
        if isinstance(target, cls):
            if not additional:
                return target
            offline, retriever = target.offline, target.retriever
        elif isinstance(target, (str, os.PathLike)):
            load = cls.fromPEM if _PEM_MARKER in _read(target) else cls.fromPFX
            target = load(target)
        if isinstance(target, cls):
            key: Any = target.privateKey
            roots = target.roots
            additional = (*target.intermediates, *additional)
            target = target.certificate
        elif isinstance(target, tuple) and len(target) == 2:
            target, key = target
        else:
            key = getattr(target, "privateKey", None)
        if key is None:
            raise CertificateError(f"no private key in a {type(target).__name__}")
        return cls(target, key, additional, offline=offline, retriever=retriever, roots=roots)

    def __repr__(self) -> str:
        return f"<SslStreamCertificateContext {self.certificate.subject.rfc4514_string()!r}>"


#: What is taken for a certificate: see the module's docstring.
SomeCertificate: TypeAlias = (
    x509.Certificate | SslStreamCertificateContext | TwistedWrapper | _SomePath
)

#: What is taken for a certificate with its private key: anything that holds
#: both, or the two as a pair, or what gives another one later.
SomeIdentity: TypeAlias = (
    SomeCertificate | CertificateSource | tuple[SomeCertificate, SomePrivateKey]
)

#: Several of these; what is taken for a single one, too.
SomeIdentities: TypeAlias = Iterable[SomeIdentity] | CertificateSource | _SomePath


def _issuersInOrder(
    leaf: x509.Certificate, others: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """
    @return: what is sent behind C{leaf}: its issuer, that one's issuer and so
        on, then what else there is; without roots.
    """
    rest = [each for each in others if each != leaf and each.subject != each.issuer]
    ordered: list[x509.Certificate] = []
    last = leaf
    while True:
        issuer = next((each for each in rest if each.subject == last.issuer), None)
        if issuer is None:
            return ordered + rest
        rest.remove(issuer)
        ordered.append(issuer)
        last = issuer


def _rootsAmong(
    leaf: x509.Certificate, others: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    return [each for each in others if each != leaf and each.subject == each.issuer]
