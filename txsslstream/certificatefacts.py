# -*- test-case-name: tests.test_certificatefacts -*-
"""
What a certificate says of itself, read once.

An extension that cannot be read is a fact as well: nothing else that the
certificate says is believed then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from .errors import legible
from .storefiles import withoutWarnings

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

#: The extensions whose meaning is heeded where they are critical (RFC 5280
#: section 4.2), or that ask nothing of whoever judges a chain.
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.TLS_FEATURE,
    }
)

#: In bits.
LEAST_RSA_BITS = 2048
LEAST_EC_BITS = 224
#: OpenSSL verifies nothing with more.
MOST_RSA_BITS = 16384

_KEY_TYPES: tuple[tuple[type, str], ...] = (
    (rsa.RSAPublicKey, "RSA"),
    (ec.EllipticCurvePublicKey, "ECDSA"),
    (ed25519.Ed25519PublicKey, "Ed25519"),
    (ed448.Ed448PublicKey, "Ed448"),
)

#: How many certificates and signatures are remembered.  Peers choose them, and
#: what was read of a large one takes megabytes.
_SMALL_BYTES = 4096
_MOST_SMALL = 128
_MOST_LARGE = 8
_MOST_SIGNATURES = 1024

_WEAK_DIGESTS = {"md5": "MD5", "sha1": "SHA-1"}


@dataclass(frozen=True, eq=False)
class CertificateFacts:
    """
    @ivar problem: why extensions or names cannot be read, or L{None}.
    @ivar extensions: the extensions by type.
    @ivar unknownCritical: the critical extensions that are not understood, in
        dotted form.
    @ivar mapsPolicies: whether it declares certificate policies equal.
    @ivar key: the public key, or L{None} if it cannot be read.
    @ivar keyProblem: why the key is no good, or L{None}.
    @ivar digest: the name of the digest that is signed; empty if the algorithm
        has none, L{None} if it is unknown.
    @ivar subject: whose it is, or L{None} if that cannot be read.
    @ivar issuer: who has issued it, likewise.
    @ivar serialNumber: its number, which may be any.
    """

    certificate: x509.Certificate
    problem: str | None
    extensions: dict[type[x509.ExtensionType], x509.Extension[x509.ExtensionType]]
    unknownCritical: tuple[str, ...]
    mapsPolicies: bool
    key: PublicKeyTypes | None
    keyProblem: str | None
    digest: str | None
    subject: x509.Name | None
    issuer: x509.Name | None
    serialNumber: int

    def get(self, kind: type[_Extension]) -> _Extension | None:
        """
        @return: the extension of this type, if there is one.
        """
        extension = self.extensions.get(kind)
        return None if extension is None else extension.value  # type: ignore[return-value]

    def isCritical(self, kind: type[x509.ExtensionType]) -> bool:
        """
        @return: whether there is an extension of this type that is critical.
        """
        extension = self.extensions.get(kind)
        return extension is not None and extension.critical

    @cached_property
    def isSelfIssued(self) -> bool:
        """
        Whether subject and issuer are the same.
        """
        return self.subject is not None and self.subject == self.issuer

    @property
    def signatureProblem(self) -> str | None:
        """
        Why the signature's algorithm is no good, or L{None}.
        """
        if self.digest is None:
            identifier = self.certificate.signature_algorithm_oid.dotted_string
            return f"is signed with an unknown algorithm: {identifier}"
        return (
            f"is signed with {_WEAK_DIGESTS[self.digest]}" if self.digest in _WEAK_DIGESTS else None
        )

    @property
    def verifyingKey(self) -> PublicKeyTypes | None:
        """
        The key, unless it cannot be read or is so large that it can only be
        meant to keep us busy.
        """
        key = self.key
        isEnormous = isinstance(key, rsa.RSAPublicKey) and key.key_size > MOST_RSA_BITS
        return None if isEnormous else key

    @property
    def isAuthority(self) -> bool:
        """
        Whether the certificate says that it is a CA's.
        """
        constraints = self.get(x509.BasicConstraints)
        return constraints is not None and constraints.ca

    @property
    def subjectKeyIdentifier(self) -> bytes | None:
        """
        The identifier that certificates of this issuer name.
        """
        identifier = self.get(x509.SubjectKeyIdentifier)
        return None if identifier is None else identifier.digest

    @property
    def authorityKeyIdentifier(self) -> bytes | None:
        """
        The identifier of the issuer's key.
        """
        identifier = self.get(x509.AuthorityKeyIdentifier)
        return None if identifier is None else identifier.key_identifier

    @property
    def requiresStaple(self) -> bool:
        """
        Whether a TLS server has to show a stapled OCSP response with it (RFC
        7633).
        """
        feature = self.get(x509.TLSFeature)
        return feature is not None and x509.TLSFeatureType.status_request in feature

    @property
    def name(self) -> str:
        """
        The common name, or else the whole subject; shortened, and without
        control characters.
        """
        return readableName(self.certificate)


def readableName(certificate: x509.Certificate) -> str:
    """
    @return: the subject's common name, or else the whole subject, in at most 64
        printable characters.
    """
    try:
        subject = certificate.subject
        common = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        name = str(common[-1].value) if common else subject.rfc4514_string()
    except Exception:
        # As below.
        return "with an unreadable name"
    return legible(name, 64)


def _keyProblem(key: PublicKeyTypes) -> str | None:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            return f"has an RSA key of {key.key_size} bits, less than {LEAST_RSA_BITS}"
        if key.key_size > MOST_RSA_BITS:
            return f"has an RSA key of {key.key_size} bits, more than {MOST_RSA_BITS}"
        return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.key_size < LEAST_EC_BITS:
            return f"has an EC key of {key.key_size} bits, less than {LEAST_EC_BITS}"
        return None
    if isinstance(key, dsa.DSAPublicKey):
        return "has a DSA key, which TLS has no use for"
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return None
    return f"has a key that cannot sign: {type(key).__name__}"


def keyTypesOf(certificate: x509.Certificate) -> set[str]:
    """
    @return: the kind of its key: C{"RSA"}, C{"ECDSA"}, C{"Ed25519"},
        C{"Ed448"}; for ECDSA also with the curve, such as
        C{"ECDSA secp256r1"}.  Empty if it is another one.
    """
    key = certificate.public_key()
    kinds = {name for kind, name in _KEY_TYPES if isinstance(key, kind)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        kinds.add(f"ECDSA {key.curve.name}")
    return kinds


def _digest(certificate: x509.Certificate) -> str | None:
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return "" if digest is None else digest.name


def _nameOrNone(read: Callable[[], x509.Name]) -> x509.Name | None:
    try:
        return read()
    except Exception:
        # ValueError for what is no name, TypeError for a bit string in one.
        return None


def factsOf(certificate: x509.Certificate) -> CertificateFacts:
    """
    Read a certificate.  Nothing that is in it makes this raise.
    """
    isSmall = len(certificate.public_bytes(Encoding.DER)) <= _SMALL_BYTES
    return _readSmall(certificate) if isSmall else _readLarge(certificate)


@withoutWarnings()
def _read(certificate: x509.Certificate) -> CertificateFacts:
    problem = None
    extensions = {}
    unknown: tuple[str, ...] = ()
    mapsPolicies = False
    try:
        found = certificate.extensions
    except Exception as e:
        # Each extension's class has errors of its own, TypeError among them.
        problem = " ".join(str(e).split())[:200] or type(e).__name__
    else:
        extensions = {type(each.value): each for each in found}
        unknown = tuple(
            each.oid.dotted_string
            for each in found
            if each.critical and each.oid not in _UNDERSTOOD
        )
        mapsPolicies = any(each.oid == ExtensionOID.POLICY_MAPPINGS for each in found)
    key: PublicKeyTypes | None = None
    try:
        key = certificate.public_key()
        keyProblem = _keyProblem(key)
    except Exception as e:
        keyProblem = f"has an unreadable key: {' '.join(str(e).split())[:200]}"
    subject = _nameOrNone(lambda: certificate.subject)
    issuer = _nameOrNone(lambda: certificate.issuer)
    if subject is None or issuer is None:
        problem = problem or "a name is damaged"
    return CertificateFacts(
        certificate,
        problem,
        extensions,
        unknown,
        mapsPolicies,
        key,
        keyProblem,
        _digest(certificate),
        subject,
        issuer,
        certificate.serial_number,
    )


_readSmall = lru_cache(maxsize=_MOST_SMALL)(_read)
_readLarge = lru_cache(maxsize=_MOST_LARGE)(_read)

_Comparison = Callable[[x509.Certificate, x509.Certificate], bool]


def _remembering(compare: _Comparison) -> _Comparison:
    """
    Remember what was found, but not the certificates.
    """
    known: OrderedDict[tuple[bytes, bytes], bool] = OrderedDict()

    @wraps(compare)
    def remembered(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        pair = (certificate.fingerprint(SHA256()), issuer.fingerprint(SHA256()))
        if pair not in known:
            known[pair] = compare(certificate, issuer)
        known.move_to_end(pair)
        if len(known) > _MOST_SIGNATURES:
            known.popitem(last=False)
        return known[pair]

    return remembered


@_remembering
def isSignedBy(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """
    Whether a certificate says that it is the issuer's, and the issuer's key has
    made its signature, which is not a weak one.
    """
    if factsOf(issuer).verifyingKey is None:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        # Whatever this is (ValueError, TypeError, InvalidSignature,
        # UnsupportedAlgorithm): it is no valid signature.
        return False
    return True


@_remembering
def comesFrom(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """
    The same, but a weak signature is one all the same: it is weak, and not
    another's.
    """
    facts = factsOf(certificate)
    if facts.digest not in _WEAK_DIGESTS or facts.issuer != factsOf(issuer).subject:
        return isSignedBy(certificate, issuer)
    key = factsOf(issuer).verifyingKey
    digest = certificate.signature_hash_algorithm
    signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        # What C{cryptography} does not verify in certificates any more.
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(*signed, padding.PKCS1v15(), digest)
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(*signed, ec.ECDSA(digest))
            return True
    except Exception:
        # As above, and this OpenSSL may not know the digest.
        return False
    return False
