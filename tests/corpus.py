"""
Chains of certificates, good and bad, and what is to be thought of each.

Every function that L{entry} decorates makes one: the certificates that a peer
sends, and what they are judged by.  Its docstring is the entry's description,
its decorator the expected verdict.  They are made when they are needed, and
once.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import CertificatePoliciesOID, ExtendedKeyUsageOID, NameOID

from txsslstream import SslStreamCertificateContext
from txsslstream.enums import (
    SslPolicyErrors,
    TlsAlert,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationFlag,
    X509RevocationMode,
    X509VerificationFlags,
)
from txsslstream.policy import X509ChainPolicy
from txsslstream.testing import DAY, MUST_STAPLE, NOW, Authority, newKey, rsaKey
from txsslstream.testing.damage import ECDSA_SHA256, ECDSA_UNKNOWN, RSA_MD5, RSA_SHA1, RSA_SHA256
from txsslstream.testing.encoding import SEQUENCE, der
from txsslstream.testing.issuing import (
    Extension,
    alternatives,
    certificate,
    distinguishedName,
    keyUsage,
)
from txsslstream.testing.issuing import (
    unknownExtension as unknown,
)
from txsslstream.testing.revocations import crl

A = TlsAlert
S = X509ChainStatusFlags
V = X509VerificationFlags

#: What is said of a certificate about which nobody can be asked.
UNKNOWN = S.RevocationStatusUnknown | S.OfflineRevocation


# What an entry is.


@dataclass(frozen=True)
class Wrong:
    """
    One problem of a chain.

    @ivar depth: of which element.
    @ivar words: a part of the sentence about it.
    @ivar isCounted: whether the policy's flags do not excuse it.
    """

    depth: int
    status: X509ChainStatusFlags
    words: str
    isCounted: bool = True


@dataclass(frozen=True)
class Verdict:
    """
    What is thought of a chain.

    @ivar alert: what a peer is told, or L{None} if it is accepted.
    @ivar length: how many elements there are.
    @ivar wrongs: all problems, in the order of the elements.
    @ivar isMisnamed: whether the names do not fit.
    """

    alert: TlsAlert | None
    length: int
    wrongs: tuple[Wrong, ...] = ()
    isMisnamed: bool = False

    @property
    def isBuilt(self) -> bool:
        """
        Whether C{X509Chain.build} is content.
        """
        return not any(each.isCounted for each in self.wrongs)

    @property
    def errors(self) -> SslPolicyErrors:
        """
        What a validation callback is told.
        """
        errors = SslPolicyErrors.None_
        if not self.isBuilt:
            errors |= SslPolicyErrors.RemoteCertificateChainErrors
        if self.isMisnamed:
            errors |= SslPolicyErrors.RemoteCertificateNameMismatch
        return errors


def good(length: int, *excused: Wrong) -> Verdict:
    """
    Acceptance, though there may be something that does not count.
    """
    return Verdict(None, length, tuple(replace(each, isCounted=False) for each in excused))


def bad(alert: TlsAlert, length: int, *wrongs: Wrong) -> Verdict:
    """
    Refusal.
    """
    return Verdict(alert, length, wrongs)


def misnamed(verdict: Verdict) -> Verdict:
    """
    The same with names that do not fit.
    """
    return replace(verdict, alert=verdict.alert or A.bad_certificate, isMisnamed=True)


@dataclass(frozen=True)
class Case:
    """
    @ivar presented: what the peer sends, with the key of the first.
    @ivar policy: what it is judged by.
    @ivar targetHost: what a server is expected to be.
    @ivar disallowed: what the user has in the store C{Disallowed}.
    """

    presented: SslStreamCertificateContext
    policy: X509ChainPolicy
    targetHost: str = "localhost"
    disallowed: tuple[x509.Certificate, ...] = ()


def case(
    presented: SslStreamCertificateContext,
    *roots: Authority | x509.Certificate,
    targetHost: str = "localhost",
    disallowed: tuple[x509.Certificate, ...] = (),
    **policy: Any,
) -> Case:
    """
    @param roots: what is trusted.
    @param policy: the other parts of the policy.
    """
    trusted = [each.certificate if isinstance(each, Authority) else each for each in roots]
    return Case(
        presented,
        X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust, customTrustStore=trusted, **policy
        ),
        targetHost,
        disallowed,
    )


@dataclass(frozen=True)
class Entry:
    """
    @ivar name: in one word.
    @ivar description: what is special about it.
    @ivar make: makes it, once.
    @ivar alone: what is thought of it by a chain that nobody has asked for.
    @ivar server: the same, as a server's.
    @ivar client: the same, as a client's.
    @ivar isWeak: whether only those send it who have lowered their standards.
    """

    name: str
    description: str
    make: Callable[[], Case]
    alone: Verdict
    server: Verdict
    client: Verdict
    isWeak: bool = False


ENTRIES: dict[str, Entry] = {}


def add(
    name: str,
    description: str,
    make: Callable[[], Case],
    alone: Verdict,
    server: Verdict | None = None,
    client: Verdict | None = None,
    **more: Any,
) -> None:
    """
    Add an entry.

    @param server: L{None}: as C{alone}.
    @param client: L{None}: as C{alone}.
    """
    assert name not in ENTRIES, name
    ENTRIES[name] = Entry(name, description, make, alone, server or alone, client or alone, **more)


def entry(alone: Verdict, **more: Any) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """
    A decorator: what the function makes is an entry.

    @param more: arguments of L{add}.
    """

    def register(make: Callable[[], Case]) -> Callable[[], Case]:
        cached = cache(make)
        description = " ".join((make.__doc__ or "").split())
        add(make.__name__, description, cached, alone, **more)
        return cached

    return register


# What certificates are made of.


@cache
def smallKey() -> rsa.RSAPrivateKey:
    """
    An RSA key that is too small.
    """
    return rsaKey(bits=1024)


@cache
def oddKey() -> rsa.RSAPrivateKey:
    """
    An RSA key whose modulus is not whole bytes.
    """
    return rsaKey(bits=2052)


def isAuthority(is_: bool = True, pathLength: int | None = None) -> Extension:
    """
    Basic constraints.
    """
    return x509.BasicConstraints(is_, pathLength), True


def usages(*identifiers: x509.ObjectIdentifier, isCritical: bool = False) -> Extension:
    """
    Extended key usages.
    """
    return x509.ExtendedKeyUsage(identifiers), isCritical


def constraints(
    permitted: Iterable[x509.GeneralName] = (), excluded: Iterable[x509.GeneralName] = ()
) -> Extension:
    """
    Name constraints.
    """
    return x509.NameConstraints(list(permitted) or None, list(excluded) or None), True


def network(text: str) -> x509.IPAddress:
    """
    Addresses, as a constraint has them.
    """
    return x509.IPAddress(ipaddress.ip_network(text))


def policies(*identifiers: x509.ObjectIdentifier, isCritical: bool = False) -> Extension:
    """
    Certificate policies.
    """
    return (
        x509.CertificatePolicies([x509.PolicyInformation(each, None) for each in identifiers]),
        isCritical,
    )


SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
ANY_USAGE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
ANY_POLICY = CertificatePoliciesOID.ANY_POLICY
OUR_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
OTHER_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.2")

_BOTH_IDENTIFIERS = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)


def signed(
    key: Any,
    subject: x509.Name,
    issuer: x509.Name,
    issuerKey: Any,
    extensions: Iterable[Extension],
    *,
    lacks: tuple[type[x509.ExtensionType], ...] = (),
    notBefore: datetime.datetime = NOW - DAY,
    notAfter: datetime.datetime = NOW + 10 * DAY,
    pss: padding.PSS | None = None,
) -> x509.Certificate:
    """
    @param key: whose public half is certified.
    @param extensions: of one type, the last counts.
    @param lacks: extensions that are left out.
    @param pss: how an RSA key signs, if not with PKCS#1.
    """
    identifiers: list[Extension] = [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuerKey.public_key()), False),
    ]
    everything = {each.oid: (each, isCritical) for each, isCritical in (*identifiers, *extensions)}
    return certificate(
        subject,
        None,
        key,
        [each for each in everything.values() if not isinstance(each[0], lacks)],
        notBefore=notBefore,
        notAfter=notAfter,
        issuerName=issuer,
        signingKey=issuerKey,
        padding=pss,
    ).certificate


class Issuer(Authority):
    """
    An authority such as there should be none, or seldom.
    """

    def __init__(
        self,
        called: str | x509.Name = "Root",
        issuer: Authority | None = None,
        *extensions: Extension,
        key: Any = None,
        **how: Any,
    ) -> None:
        """
        @param extensions: more of them, or others of their type.
        @param how: arguments of L{signed}.
        """
        self.key = key or newKey()
        self.issuer = issuer
        self.now = NOW
        self.revoked = []
        subject = distinguishedName(called) if isinstance(called, str) else called
        self.certificate = signed(
            self.key,
            subject,
            subject if issuer is None else issuer.certificate.subject,
            (issuer or self).key,
            (
                isAuthority(),
                keyUsage("digital_signature", "key_cert_sign", "crl_sign"),
                *extensions,
            ),
            **{"notBefore": NOW - 10 * DAY, "notAfter": NOW + 100 * DAY, **how},
        )


def leaf(
    issuer: Authority,
    *extensions: Extension,
    subject: x509.Name | None = None,
    key: Any = None,
    **how: Any,
) -> SslStreamCertificateContext:
    """
    A certificate for localhost, with what has to be sent behind it.

    @param extensions: more of them, or others of their type.
    @param how: arguments of L{signed}.
    """
    key = key or newKey()
    certificate = signed(
        key,
        distinguishedName("localhost") if subject is None else subject,
        issuer.certificate.subject,
        issuer.key,
        (
            isAuthority(False),
            alternatives("localhost", "127.0.0.1"),
            usages(SERVER_AUTH, CLIENT_AUTH),
            *extensions,
        ),
        **how,
    )
    return SslStreamCertificateContext(certificate, key, issuer.chain)


def selfSigned(*extensions: Extension) -> SslStreamCertificateContext:
    """
    A certificate for localhost that nobody else has signed.
    """
    key = newKey()
    own = (isAuthority(False), alternatives("localhost"), *extensions)
    itself = distinguishedName("localhost")
    return SslStreamCertificateContext(signed(key, itself, itself, key, own), key)


def sending(
    presented: SslStreamCertificateContext, *others: Authority | x509.Certificate
) -> SslStreamCertificateContext:
    """
    The same certificate with others behind it.
    """
    behind = [each.certificate if isinstance(each, Authority) else each for each in others]
    return SslStreamCertificateContext(presented.certificate, presented.privateKey, behind)


def changed(
    certificate: x509.Certificate,
    issuerKey: Any,
    old: bytes,
    new: bytes,
    digest: hashes.HashAlgorithm = hashes.SHA256(),  # noqa: B008
) -> x509.Certificate:
    """
    A certificate such as C{cryptography} does not make: it is patched, and
    signed again.

    @param old: what is replaced, wherever it is; a whole field if C{new} is
        longer or shorter.
    @param digest: what is signed with; of RSA with PKCS#1 padding.
    """
    whole = certificate.public_bytes(Encoding.DER)
    body = certificate.tbs_certificate_bytes
    # The algorithm of the signature comes behind what is signed.
    start = whole.index(body) + len(body)
    algorithm = whole[start : start + 2 + whole[start + 1]].replace(old, new)
    content = body[2 + (body[1] & 0x7F if body[1] & 0x80 else 0) :]
    assert old in content
    signable = der(SEQUENCE, content.replace(old, new))
    isRsa = isinstance(issuerKey, rsa.RSAPrivateKey)
    how = (padding.PKCS1v15(), digest) if isRsa else (ec.ECDSA(digest),)
    signature = issuerKey.sign(signable, *how)
    return x509.load_der_x509_certificate(
        der(SEQUENCE, signable, algorithm, der(0x03, b"\x00", signature))
    )


def damaged(certificate: x509.Certificate) -> x509.Certificate:
    """
    The same with another signature.
    """
    encoded = bytearray(certificate.public_bytes(Encoding.DER))
    encoded[-1] ^= 1
    return x509.load_der_x509_certificate(bytes(encoded))


def with_(
    presented: SslStreamCertificateContext, certificate: x509.Certificate
) -> SslStreamCertificateContext:
    """
    The same key and intermediates with another certificate.
    """
    return SslStreamCertificateContext(certificate, presented.privateKey, presented.intermediates)


#: Object identifiers that mean nothing.
_NOTHING = bytes.fromhex("06032a0304")
_NOTHING_ELSE = bytes.fromhex("06032a0305")


@cache
def root() -> Issuer:
    """
    What most entries trust.
    """
    return Issuer("Root")


@cache
def middle() -> Issuer:
    """
    What most entries are issued by.
    """
    return Issuer("Middle", root())


@cache
def stranger() -> Issuer:
    """
    A root that nobody trusts.
    """
    return Issuer("Stranger")


def row(count: int, start: Authority) -> Authority:
    """
    @return: the last of some authorities, each issued by the one before.
    """
    last = start
    for number in range(count):
        last = Issuer(f"Middle {number}", last)
    return last


# Ways to a root.


@entry(good(2))
def noIntermediate() -> Case:
    """
    The root has issued the certificate itself.
    """
    return case(leaf(root()), root())


@entry(good(3))
def oneIntermediate() -> Case:
    """
    There is one authority between.
    """
    return case(leaf(middle()), root())


@entry(good(5))
def threeIntermediates() -> Case:
    """
    There are three authorities between.
    """
    return case(leaf(row(3, root())), root())


@entry(good(10))
def deepestPermitted() -> Case:
    """
    There are as many authorities between as may be.
    """
    return case(leaf(row(8, root())), root())


@entry(good(5))
def wrongOrder() -> Case:
    """
    The intermediates are sent in the wrong order.
    """
    presented = leaf(row(3, root()))
    return case(sending(presented, *reversed(presented.intermediates)), root())


@entry(good(3))
def unneeded() -> Case:
    """
    Certificates are sent that have nothing to do with it.
    """
    others = (Issuer("Other", stranger()), stranger(), middle(), leaf(stranger()).certificate)
    return case(sending(leaf(middle()), *others), root())


@entry(good(3))
def hundredUnneeded() -> Case:
    """
    A hundred certificates are sent that have nothing to do with it.
    """
    others = [Issuer(f"Other {number}", stranger()) for number in range(100)]
    return case(sending(leaf(middle()), *others, middle()), root())


@entry(good(3))
def duplicates() -> Case:
    """
    Every certificate is sent more than once.
    """
    presented = leaf(middle())
    return case(
        sending(presented, middle(), presented.certificate, middle(), middle()), root(), root()
    )


@entry(good(3))
def rootSentToo() -> Case:
    """
    The root is sent as well.
    """
    return case(sending(leaf(middle()), middle(), root()), root())


@entry(good(4))
def crossSigned() -> Case:
    """
    The new root is sent first, which is not trusted, and then the old one's
    certificate of its key.
    """
    old = Issuer("Old Root")
    new = Issuer("New Root")
    crossed = Issuer("New Root", old, key=new.key)
    between = Issuer("Middle", new)
    return case(sending(leaf(between), between, new, crossed), old)


@entry(good(3))
def crossSignedWithoutNeed() -> Case:
    """
    The new root is trusted; the old one's certificate of its key is not needed.
    """
    new = Issuer("New Root")
    crossed = Issuer("New Root", Issuer("Old Root"), key=new.key)
    between = Issuer("Middle", new)
    return case(sending(leaf(between), between, crossed), new)


@entry(good(3))
def expiredAlternative() -> Case:
    """
    An expired certificate of the intermediate is sent before the valid one.
    """
    expired = Issuer("Middle", root(), key=middle().key, notAfter=NOW - DAY)
    return case(sending(leaf(middle()), expired, middle()), root())


@entry(good(3))
def deadEnd() -> Case:
    """
    There is a way that leads nowhere, and one that leads to the root.
    """
    astray = Issuer("Middle", stranger(), key=middle().key)
    return case(sending(leaf(middle()), astray, middle()), root())


@entry(good(3))
def sameNameOtherKey() -> Case:
    """
    Another authority of the same name is sent first, and no key identifier
    tells which it was.
    """
    between, other = (Issuer("Middle", root(), lacks=_BOTH_IDENTIFIERS) for _ in range(2))
    return case(sending(leaf(between, lacks=_BOTH_IDENTIFIERS), other, between), root())


@entry(good(3))
def sameNamedRoots() -> Case:
    """
    Two trusted roots have the same name.
    """
    return case(leaf(middle()), Issuer("Root"), root(), Issuer("Root"))


@entry(good(1))
def trustedSelfSigned() -> Case:
    """
    A self-signed certificate is trusted.
    """
    presented = selfSigned()
    return case(presented, presented.certificate)


@entry(good(1))
def trustedLeaf() -> Case:
    """
    A certificate is itself trusted, although somebody else has issued it.
    """
    presented = leaf(stranger())
    return case(presented, presented.certificate)


@entry(good(2))
def trustedIntermediate() -> Case:
    """
    The intermediate is trusted and its issuer is not.
    """
    return case(leaf(middle()), middle())


@entry(good(4))
def selfIssuedIntermediate() -> Case:
    """
    An authority has certified its own new key, which counts for no length.
    """
    old = Issuer("Middle", root(), isAuthority(True, 0))
    new = Issuer("Middle", old)
    return case(leaf(new), root())


@entry(good(3))
def fromExtraStore() -> Case:
    """
    The intermediate is not sent, but at hand.
    """
    return case(sending(leaf(middle())), root(), extraStore=[middle().certificate])


@entry(good(3))
def withoutKeyIdentifiers() -> Case:
    """
    No certificate identifies a key.
    """
    own = Issuer("Root", lacks=_BOTH_IDENTIFIERS)
    between = Issuer("Middle", own, lacks=_BOTH_IDENTIFIERS)
    return case(leaf(between, lacks=_BOTH_IDENTIFIERS), own)


@entry(good(3))
def pathLengthKept() -> Case:
    """
    No authority may be below the intermediate, and there is none.
    """
    return case(leaf(Issuer("Middle", root(), isAuthority(True, 0))), root())


_NOT_AT_HAND = "was issued by a certificate that is not at hand"


@entry(bad(A.unknown_ca, 1, Wrong(0, S.PartialChain, _NOT_AT_HAND)))
def missingIntermediate() -> Case:
    """
    The intermediate is not sent.
    """
    return case(sending(leaf(middle())), root())


@entry(bad(A.unknown_ca, 2, Wrong(1, S.PartialChain, _NOT_AT_HAND)))
def unknownRoot() -> Case:
    """
    The root is neither trusted nor sent.
    """
    return case(leaf(Issuer("Middle", stranger())), root())


_NOT_TRUSTED = "is a root that is not trusted"


@entry(bad(A.unknown_ca, 3, Wrong(2, S.UntrustedRoot, _NOT_TRUSTED)))
def untrustedRoot() -> Case:
    """
    The root is sent and not trusted.
    """
    between = Issuer("Middle", stranger())
    return case(sending(leaf(between), between, stranger()), root())


@entry(bad(A.unknown_ca, 1, Wrong(0, S.UntrustedRoot, _NOT_TRUSTED)))
def untrustedSelfSigned() -> Case:
    """
    A self-signed certificate is not trusted.
    """
    return case(selfSigned(), root())


@entry(bad(A.unknown_ca, 3, Wrong(2, S.UntrustedRoot, _NOT_TRUSTED)))
def nothingTrusted() -> Case:
    """
    Nothing is trusted.
    """
    return case(sending(leaf(middle()), middle(), root()))


@entry(
    bad(
        A.unknown_ca,
        3,
        Wrong(2, S.PartialChain, _NOT_AT_HAND),
        Wrong(2, S.Cyclic, "was issued by a certificate that it issued"),
    )
)
def cyclic() -> Case:
    """
    Two authorities have issued one another.
    """
    key = newKey()
    one = Issuer("One", key=key)
    two = Issuer("Two", one)
    closing = Issuer("One", two, key=key)
    return case(sending(leaf(closing), closing, two), root())


@entry(bad(A.unknown_ca, 9, Wrong(8, S.PartialChain, "further than 8 intermediates")))
def tooDeep() -> Case:
    """
    There is one authority too many between.
    """
    return case(leaf(row(9, root())), root())


@entry(bad(A.unknown_ca, 9, Wrong(8, S.PartialChain, "further than 8 intermediates")))
def hundredCertificates() -> Case:
    """
    There are a hundred authorities between.
    """
    return case(leaf(row(100, root())), root())


@entry(bad(A.unknown_ca, 1, Wrong(0, S.PartialChain, "further than 0 intermediates")))
def noneBetween() -> Case:
    """
    The policy permits no intermediate.
    """
    return case(leaf(middle()), root(), maximumDepth=0)


# Keys and signatures.


@entry(good(3))
def rsaChain() -> Case:
    """
    All keys are RSA.
    """
    own = Issuer("Root", key=rsaKey())
    return case(leaf(Issuer("Middle", own, key=rsaKey(1)), key=rsaKey(2)), own)


@entry(good(3))
def rsaPssChain() -> Case:
    """
    RSA keys have signed with PSS.
    """
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    own = Issuer("Root", key=rsaKey(), pss=pss)
    between = Issuer("Middle", own, key=rsaKey(1), pss=pss)
    return case(leaf(between, pss=pss), own)


@entry(good(3))
def ed25519Chain() -> Case:
    """
    All keys are Ed25519.
    """
    own = Issuer("Root", key=ed25519.Ed25519PrivateKey.generate())
    between = Issuer("Middle", own, key=ed25519.Ed25519PrivateKey.generate())
    return case(leaf(between, key=ed25519.Ed25519PrivateKey.generate()), own)


@entry(good(3))
def ed448Issuers() -> Case:
    """
    The authorities' keys are Ed448.
    """
    own = Issuer("Root", key=ed448.Ed448PrivateKey.generate())
    return case(leaf(Issuer("Middle", own, key=ed448.Ed448PrivateKey.generate())), own)


@entry(good(3))
def p384Chain() -> Case:
    """
    All keys are on the curve P-384.
    """
    own = Issuer("Root", key=ec.generate_private_key(ec.SECP384R1()))
    between = Issuer("Middle", own, key=ec.generate_private_key(ec.SECP384R1()))
    return case(leaf(between, key=ec.generate_private_key(ec.SECP384R1())), own)


@entry(good(3))
def mixedKeys() -> Case:
    """
    The root's key is RSA, the intermediate's Ed25519, the last one's ECDSA.
    """
    own = Issuer("Root", key=rsaKey())
    return case(leaf(Issuer("Middle", own, key=ed25519.Ed25519PrivateKey.generate())), own)


@entry(good(3))
def sha1Root() -> Case:
    """
    The root is signed with SHA-1, on which nothing relies.
    """
    own = Issuer("Root", key=rsaKey())
    old = changed(own.certificate, own.key, RSA_SHA256, RSA_SHA1, hashes.SHA1())
    return case(leaf(Issuer("Middle", own)), old)


_NOT_SIGNED = "is not signed with the key of certificate 2"
_SMALL = "has an RSA key of 1024 bits, less than 2048"


@entry(bad(A.bad_certificate, 3, Wrong(0, S.HasWeakSignature, _SMALL)), isWeak=True)
def weakLeaf() -> Case:
    """
    The key is RSA of 1024 bits.
    """
    return case(leaf(middle(), key=smallKey()), root())


@entry(bad(A.bad_certificate, 3, Wrong(1, S.HasWeakSignature, _SMALL)), isWeak=True)
def weakIntermediate() -> Case:
    """
    The intermediate's key is RSA of 1024 bits.
    """
    return case(leaf(Issuer("Middle", root(), key=smallKey())), root())


@entry(bad(A.bad_certificate, 2, Wrong(1, S.HasWeakSignature, _SMALL)))
def weakRoot() -> Case:
    """
    The root's key is RSA of 1024 bits.
    """
    own = Issuer("Root", key=smallKey())
    return case(leaf(own), own)


@entry(
    bad(A.bad_certificate, 3, Wrong(0, S.HasWeakSignature, "has an RSA key of 2052 bits, no whole"))
)
def oddBits() -> Case:
    """
    The key's size is not whole bytes.
    """
    return case(leaf(middle(), key=oddKey()), root())


@entry(
    bad(A.bad_certificate, 3, Wrong(1, S.HasWeakSignature, "has an EC key of 192 bits")),
    isWeak=True,
)
def smallCurve() -> Case:
    """
    The intermediate's key is on a curve that is too small.
    """
    key = ec.generate_private_key(ec.SECP192R1())
    return case(leaf(Issuer("Middle", root(), key=key)), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(1, S.HasWeakSignature, "has a DSA key, which TLS has no use for"),
    )
)
def dsaIntermediate() -> Case:
    """
    The intermediate's key is DSA.
    """
    key = dsa.generate_private_key(2048)
    return case(leaf(Issuer("Middle", root(), key=key)), root())


@entry(
    bad(A.bad_certificate, 3, Wrong(0, S.HasWeakSignature, "is signed with SHA-1")),
    isWeak=True,
)
def sha1Leaf() -> Case:
    """
    The certificate is signed with SHA-1.
    """
    between = Issuer("Middle", root(), key=rsaKey())
    presented = leaf(between)
    old = changed(presented.certificate, between.key, RSA_SHA256, RSA_SHA1, hashes.SHA1())
    return case(with_(presented, old), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(1, S.HasWeakSignature, "is signed with MD5"),
    ),
    isWeak=True,
)
def md5Intermediate() -> Case:
    """
    The intermediate is signed with MD5.
    """
    own = Issuer("Root", key=rsaKey())
    between = Issuer("Middle", own)
    old = changed(between.certificate, own.key, RSA_SHA256, RSA_MD5, hashes.MD5())
    return case(sending(leaf(between), old), own)


@entry(
    bad(
        A.bad_certificate,
        2,
        Wrong(0, S.HasWeakSignature, "is signed with an unknown algorithm: 1.2.840.10045.4.3.127"),
        Wrong(0, S.NotSignatureValid, _NOT_SIGNED),
    ),
    isWeak=True,
)
def unknownAlgorithm() -> Case:
    """
    Nobody knows the algorithm of the signature.
    """
    presented = leaf(root())
    odd = changed(presented.certificate, root().key, ECDSA_SHA256, ECDSA_UNKNOWN)
    return case(with_(presented, odd), root())


@entry(bad(A.bad_certificate, 2, Wrong(0, S.NotSignatureValid, _NOT_SIGNED)))
def badSignature() -> Case:
    """
    The root's signature is wrong.
    """
    presented = leaf(root())
    return case(with_(presented, damaged(presented.certificate)), root())


@entry(bad(A.bad_certificate, 3, Wrong(0, S.NotSignatureValid, _NOT_SIGNED)))
def badSignatureBelow() -> Case:
    """
    The intermediate's signature is wrong.
    """
    presented = leaf(middle())
    return case(with_(presented, damaged(presented.certificate)), root())


@entry(bad(A.unknown_ca, 1, Wrong(0, S.PartialChain, _NOT_AT_HAND)))
def rightNameWrongIntermediate() -> Case:
    """
    Somebody uses the intermediate's name and an own key, and sends its
    certificate.
    """
    return case(sending(leaf(Issuer("Middle", root())), middle()), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(1, S.NotSignatureValid, "is not signed with the key of certificate 3"),
    )
)
def badSignatureOfIntermediate() -> Case:
    """
    The root's signature of the intermediate is wrong.
    """
    return case(sending(leaf(middle()), damaged(middle().certificate)), root())


@entry(bad(A.unknown_ca, 1, Wrong(0, S.PartialChain, _NOT_AT_HAND)))
def rightNameWrongKey() -> Case:
    """
    Somebody uses the root's name and an own key.
    """
    return case(leaf(Issuer("Root")), root())


@entry(bad(A.unknown_ca, 2, Wrong(1, S.UntrustedRoot, _NOT_TRUSTED)))
def rightNameWrongRoot() -> Case:
    """
    Somebody uses the root's name, and sends a root of that name.
    """
    false = Issuer("Root")
    return case(sending(leaf(false), false), root())


# Time.


@entry(good(3))
def longValidity() -> Case:
    """
    The certificates are valid for centuries.
    """
    late = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
    early = datetime.datetime(1951, 1, 1, tzinfo=datetime.timezone.utc)
    own = Issuer("Root", notBefore=early, notAfter=late)
    between = Issuer("Middle", own, notBefore=early, notAfter=late)
    return case(leaf(between, notBefore=early, notAfter=late), own)


@entry(good(3))
def judgedForThen() -> Case:
    """
    What has expired was valid at the time that it is judged for.
    """
    presented = leaf(middle(), notBefore=NOW - 9 * DAY, notAfter=NOW - 5 * DAY)
    return case(presented, root(), verificationTime=NOW - 6 * DAY)


_EXPIRED = f"expired {NOW - DAY / 2:%Y-%m-%d}"


@entry(bad(A.certificate_expired, 3, Wrong(0, S.NotTimeValid, _EXPIRED)))
def expiredLeaf() -> Case:
    """
    The certificate has expired.
    """
    return case(leaf(middle(), notAfter=NOW - DAY / 2), root())


@entry(bad(A.certificate_expired, 3, Wrong(1, S.NotTimeValid, _EXPIRED)))
def expiredIntermediate() -> Case:
    """
    The intermediate has expired.
    """
    return case(leaf(Issuer("Middle", root(), notAfter=NOW - DAY / 2)), root())


@entry(bad(A.certificate_expired, 3, Wrong(2, S.NotTimeValid, _EXPIRED)))
def expiredRoot() -> Case:
    """
    The root has expired.
    """
    own = Issuer("Root", notAfter=NOW - DAY / 2)
    return case(leaf(Issuer("Middle", own)), own)


_EARLY = f"is not valid before {NOW + DAY:%Y-%m-%d}"


@entry(bad(A.certificate_expired, 3, Wrong(0, S.NotTimeValid, _EARLY)))
def earlyLeaf() -> Case:
    """
    The certificate is not valid yet.
    """
    return case(leaf(middle(), notBefore=NOW + DAY), root())


@entry(bad(A.certificate_expired, 3, Wrong(1, S.NotTimeValid, _EARLY)))
def earlyIntermediate() -> Case:
    """
    The intermediate is not valid yet.
    """
    return case(leaf(Issuer("Middle", root(), notBefore=NOW + DAY)), root())


@entry(
    bad(
        A.certificate_expired,
        3,
        Wrong(0, S.NotTimeValid, f"expired {NOW + 10 * DAY:%Y-%m-%d}"),
    )
)
def judgedForLater() -> Case:
    """
    What is valid now is not valid any more at the time that it is judged for.
    """
    return case(leaf(middle()), root(), verificationTime=NOW + 11 * DAY)


# Usage.


@entry(good(3))
def noUsages() -> Case:
    """
    No extended key usage is named, so that it is for all.
    """
    return case(leaf(middle(), lacks=(x509.ExtendedKeyUsage,)), root())


@entry(good(3))
def criticalUsages() -> Case:
    """
    The extended key usages are critical.
    """
    return case(leaf(middle(), usages(CLIENT_AUTH, SERVER_AUTH, isCritical=True)), root())


@entry(good(3))
def constrainedUsages() -> Case:
    """
    The intermediate is for both usages.
    """
    return case(leaf(Issuer("Middle", root(), usages(SERVER_AUTH, CLIENT_AUTH))), root())


@entry(good(3))
def anyUsageOfIntermediate() -> Case:
    """
    The intermediate is for any usage.
    """
    return case(leaf(Issuer("Middle", root(), usages(ANY_USAGE))), root())


@entry(good(3))
def usagesOfRoot() -> Case:
    """
    What a root says that it is for does not bind who trusts it.
    """
    own = Issuer("Root", None, usages(CODE_SIGNING))
    return case(leaf(Issuer("Middle", own)), own)


@entry(good(3))
def signingKey() -> Case:
    """
    The key is for signatures, and that is critical.
    """
    return case(leaf(middle(), keyUsage("digital_signature")), root())


@entry(good(3))
def askedForUsage() -> Case:
    """
    The policy asks for another usage, which is there.
    """
    return case(leaf(middle(), usages(CODE_SIGNING)), root(), applicationPolicy=[CODE_SIGNING])


def _notFor(what: str, depth: int = 0) -> Verdict:
    return bad(A.unsupported_certificate, 3, Wrong(depth, S.NotValidForUsage, f"is not for {what}"))


_NOT_FOR_SERVERS = _notFor("server authentication")
_NOT_FOR_CLIENTS = _notFor("client authentication")


@entry(good(3), client=_NOT_FOR_CLIENTS)
def onlyForServers() -> Case:
    """
    The certificate is for servers alone.
    """
    return case(leaf(middle(), usages(SERVER_AUTH)), root())


@entry(good(3), server=_NOT_FOR_SERVERS)
def onlyForClients() -> Case:
    """
    The certificate is for clients alone.
    """
    return case(leaf(middle(), usages(CLIENT_AUTH)), root())


@entry(good(3), server=_NOT_FOR_SERVERS, client=_NOT_FOR_CLIENTS)
def onlyForCode() -> Case:
    """
    The certificate is for something else.
    """
    return case(leaf(middle(), usages(CODE_SIGNING)), root())


@entry(good(3), server=_NOT_FOR_SERVERS, client=_NOT_FOR_CLIENTS)
def anyUsage() -> Case:
    """
    The certificate is for any usage, which is not what a peer's must be for.
    """
    return case(leaf(middle(), usages(ANY_USAGE)), root())


@entry(
    good(3),
    server=_notFor("server authentication", 1),
    client=_notFor("client authentication", 1),
)
def intermediateForCode() -> Case:
    """
    The intermediate is for something else.
    """
    return case(leaf(Issuer("Middle", root(), usages(CODE_SIGNING))), root())


@entry(_notFor(CODE_SIGNING.dotted_string))
def lacksAskedForUsage() -> Case:
    """
    The policy asks for another usage, which is not there.
    """
    return case(leaf(middle()), root(), applicationPolicy=[SERVER_AUTH, CODE_SIGNING])


_NO_HANDSHAKES = bad(
    A.unsupported_certificate, 3, Wrong(0, S.NotValidForUsage, "has a key that is not for sign")
)


@entry(good(3), server=_NO_HANDSHAKES, client=_NO_HANDSHAKES)
def wrongKeyUsage() -> Case:
    """
    The key is for signing revocation lists alone.
    """
    # A server does not even show an ECDSA certificate of this kind in TLS 1.2.
    return case(leaf(middle(), keyUsage("crl_sign"), key=rsaKey()), root())


# Authorities.


_NO_AUTHORITY = "is no certificate of an authority, but issued one"


def _noAuthority(depth: int, words: str, length: int = 3) -> Verdict:
    return bad(A.bad_certificate, length, Wrong(depth, S.InvalidBasicConstraints, words))


@entry(good(3))
def authorityAsLeaf() -> Case:
    """
    An authority uses its own certificate in a handshake.
    """
    own = (isAuthority(), keyUsage("digital_signature", "key_cert_sign"))
    return case(leaf(middle(), *own), root())


@entry(_noAuthority(1, _NO_AUTHORITY))
def notAnAuthority() -> Case:
    """
    The intermediate says that it is no authority.
    """
    return case(leaf(Issuer("Middle", root(), isAuthority(False))), root())


@entry(_noAuthority(1, _NO_AUTHORITY))
def notSaidToBeAnAuthority() -> Case:
    """
    The intermediate does not say that it is an authority.
    """
    return case(leaf(Issuer("Middle", root(), lacks=(x509.BasicConstraints,))), root())


@entry(_noAuthority(1, "has a key that is not for signing certificates"))
def keyNotForSigning() -> Case:
    """
    The intermediate's key is not for signing certificates.
    """
    return case(leaf(Issuer("Middle", root(), keyUsage("digital_signature", "crl_sign"))), root())


@entry(_noAuthority(2, "permits at most 0 authorities below it, not 1", 4))
def pathLength() -> Case:
    """
    An authority is below another that permits none.
    """
    upper = Issuer("Upper", root(), isAuthority(True, 0))
    return case(leaf(Issuer("Lower", upper)), root())


@entry(_noAuthority(3, "permits at most 1 authorities below it, not 2", 4))
def pathLengthOfRoot() -> Case:
    """
    More authorities are below the root than it permits.
    """
    own = Issuer("Root", None, isAuthority(True, 1))
    return case(leaf(row(2, own)), own)


@entry(_noAuthority(0, "has a key for signing certificates, but is no authority's"))
def signingLeaf() -> Case:
    """
    The key is for signing certificates, although it is no authority's.
    """
    return case(leaf(middle(), keyUsage("digital_signature", "key_cert_sign")), root())


@entry(_noAuthority(0, "is an authority's, but has no key for signing certificates"))
def authorityWithoutKey() -> Case:
    """
    An authority whose key is not for that uses its own certificate.
    """
    return case(leaf(middle(), isAuthority(), keyUsage("digital_signature")), root())


# The form of certificates.


@entry(good(3))
def unknownExtension() -> Case:
    """
    There is an extension that nobody knows, and that is not critical.
    """
    return case(leaf(middle(), unknown(False)), root())


@entry(good(3))
def noSubject() -> Case:
    """
    There is no subject, and the alternative names are critical.
    """
    names = alternatives("localhost", isCritical=True)
    return case(leaf(middle(), names, subject=x509.Name([])), root())


def _malformed(depth: int, words: str, length: int = 3) -> Verdict:
    return bad(A.bad_certificate, length, Wrong(depth, S.InvalidExtension, words))


def _unsupported(depth: int) -> Verdict:
    return bad(
        A.bad_certificate,
        3,
        Wrong(
            depth,
            S.HasNotSupportedCriticalExtension,
            "has a critical extension that is not supported: 1.2.3.4",
        ),
    )


@entry(_unsupported(0))
def unknownCritical() -> Case:
    """
    There is a critical extension that nobody knows.
    """
    return case(leaf(middle(), unknown(True)), root())


@entry(_unsupported(1))
def unknownCriticalOfIntermediate() -> Case:
    """
    The intermediate has a critical extension that nobody knows.
    """
    return case(leaf(Issuer("Middle", root(), unknown(True))), root())


@entry(_unsupported(2))
def unknownCriticalOfRoot() -> Case:
    """
    The root has a critical extension that nobody knows.
    """
    own = Issuer("Root", None, unknown(True))
    return case(leaf(Issuer("Middle", own)), own)


def _twice(certificate: x509.Certificate, issuer: Authority) -> x509.Certificate:
    """
    @return: what has two unknown extensions, with one and the same twice.
    """
    return changed(certificate, issuer.key, _NOTHING_ELSE, _NOTHING)


_TWO = (unknown(False), unknown(False, "1.2.3.5"))
_UNREADABLE = "Duplicate 1.2.3.4 extension"


@entry(_malformed(0, _UNREADABLE), server=misnamed(_malformed(0, _UNREADABLE)))
def duplicateExtension() -> Case:
    """
    There are two extensions of one kind, so that none is believed.
    """
    presented = leaf(middle(), *_TWO)
    return case(with_(presented, _twice(presented.certificate, middle())), root())


@entry(_malformed(1, _UNREADABLE))
def duplicateExtensionOfIntermediate() -> Case:
    """
    The intermediate has two extensions of one kind.
    """
    between = Issuer("Middle", root(), *_TWO)
    return case(sending(leaf(between), _twice(between.certificate, root())), root())


@entry(_malformed(0, "has no positive serial number of at most 20 bytes"))
def longSerialNumber() -> Case:
    """
    The serial number has more bytes than it may.
    """
    presented = leaf(middle())
    certificate = presented.certificate
    number = certificate.serial_number.to_bytes(20, "big").lstrip(b"\x00")
    if number[0] & 0x80:
        number = b"\x00" + number
    longer = changed(certificate, middle().key, der(2, number), der(2, b"\x01" + bytes(20)))
    return case(with_(presented, longer), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(0, S.InvalidExtension, "has no issuer's name"),
        Wrong(1, S.InvalidExtension, "has neither a subject nor a critical subjectAltName"),
    )
)
def nameless() -> Case:
    """
    The intermediate has no name.
    """
    return case(leaf(Issuer(x509.Name([]), root())), root())


@entry(_malformed(0, "has neither a subject nor a critical subjectAltName"))
def noSubjectAndNotCritical() -> Case:
    """
    There is no subject, and the alternative names are not critical.
    """
    return case(leaf(middle(), subject=x509.Name([])), root())


@entry(_malformed(0, "has a critical subjectKeyIdentifier, which must not be"))
def criticalKeyIdentifier() -> Case:
    """
    The key's identifier is critical.
    """
    key = newKey()
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return case(leaf(middle(), (identifier, True), key=key), root())


@entry(_malformed(0, "has an authorityKeyIdentifier that identifies nothing"))
def emptyKeyIdentifier() -> Case:
    """
    The issuer's key is identified by nothing.
    """
    empty = x509.AuthorityKeyIdentifier(None, None, None)
    return case(leaf(middle(), (empty, False)), root())


@entry(_malformed(2, "is self-signed, but names another key as its issuer's"))
def contradictoryRoot() -> Case:
    """
    The root says that another key has signed it.
    """
    another = x509.AuthorityKeyIdentifier(b"another", None, None)
    own = Issuer("Root", None, (another, False))
    return case(leaf(Issuer("Middle", own)), own)


# Names of hosts.


@entry(good(2))
def addressName() -> Case:
    """
    The server is known by its address.
    """
    return case(leaf(root(), alternatives("192.0.2.1")), root(), targetHost="192.0.2.1")


@entry(good(2))
def address6Name() -> Case:
    """
    The server is known by its IPv6 address.
    """
    return case(leaf(root(), alternatives("2001:db8::1")), root(), targetHost="2001:db8::1")


@entry(good(2))
def wildcardName() -> Case:
    """
    A wildcard stands for the server's first label.
    """
    return case(leaf(root(), alternatives("*.example.com")), root(), targetHost="www.example.com")


@entry(good(2))
def internationalName() -> Case:
    """
    The server's name is international.
    """
    names = alternatives("xn--bcher-kva.example.com")
    return case(leaf(root(), names), root(), targetHost="bücher.example.com")


@entry(good(2))
def oneOfManyNames() -> Case:
    """
    The server's name comes after many others.
    """
    others = [f"{number}.example.com" for number in range(200)]
    return case(leaf(root(), alternatives(*others, "LOCALHOST")), root())


def _nameCase(name: str, description: str, target: str, *names: str | x509.GeneralName) -> None:
    """
    Add an entry whose names do not fit.
    """

    def make() -> Case:
        lacks = () if names else (x509.SubjectAlternativeName,)
        given = (alternatives(*names),) if names else ()
        return case(leaf(root(), *given, lacks=lacks), root(), targetHost=target)

    add(name, description, cache(make), good(2), server=misnamed(good(2)))


_nameCase("wrongName", "It is for another host.", "localhost", "example.com", "192.0.2.1")
_nameCase("noNames", "There is a common name and nothing else.", "localhost")
_nameCase("mailName", "There is an e-mail address and nothing else.", "localhost", "me@localhost")
_nameCase(
    "directoryName",
    "The name is in a directory's form.",
    "localhost",
    x509.DirectoryName(distinguishedName("localhost")),
)
_nameCase("deepWildcard", "A wildcard is no dot.", "a.b.example.com", "*.example.com")
_nameCase("bareWildcard", "A wildcard is something.", "example.com", "*.example.com")
_nameCase("broadWildcard", "A wildcard is for all in a country.", "example.co.uk", "*.co.uk")
_nameCase("partialWildcard", "A wildcard is a whole label.", "www.example.com", "w*.example.com")
_nameCase("addressAsName", "An address is no name.", "192.0.2.1", x509.DNSName("192.0.2.1"))
_nameCase("otherAddress", "It is for another address.", "192.0.2.1", "192.0.2.2")


# Name constraints.

_LOCALHOST = x509.DNSName("localhost")
_EXAMPLE = x509.DNSName("example.com")


def _constrained(*extensions: Extension, **how: Any) -> Issuer:
    return Issuer("Middle", root(), *extensions, **how)


@entry(good(3))
def permittedName() -> Case:
    """
    The name is one that the intermediate may give.
    """
    return case(leaf(_constrained(constraints([_EXAMPLE, _LOCALHOST], [_EXAMPLE]))), root())


@entry(good(3))
def permittedAddress() -> Case:
    """
    The address is one that the intermediate may give.
    """
    extension = constraints([network("127.0.0.0/8")], [network("127.1.0.0/16")])
    return case(leaf(_constrained(extension)), root())


@entry(good(3))
def permittedDirectoryName() -> Case:
    """
    The subject is below the name that the intermediate may give.
    """
    company = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")
    own = x509.NameAttribute(NameOID.COMMON_NAME, "localhost")
    extension = constraints([x509.DirectoryName(x509.Name([company]))])
    return case(leaf(_constrained(extension), subject=x509.Name([company, own])), root())


@entry(good(3))
def otherKindConstrained() -> Case:
    """
    Only names of other kinds are constrained.
    """
    extension = constraints([x509.RFC822Name("example.com"), network("127.0.0.0/8")])
    return case(leaf(_constrained(extension)), root())


def _notPermitted(name: str, above: int = 2) -> Wrong:
    words = f"has the name {name!r}, which is not among those permitted by certificate {above}"
    return Wrong(0, S.HasNotPermittedNameConstraint, words)


def _excluded(name: str) -> Wrong:
    words = f"has the name {name!r}, which is excluded by certificate 2"
    return Wrong(0, S.HasExcludedNameConstraint, words)


@entry(bad(A.bad_certificate, 3, _notPermitted("localhost")))
def notPermittedName() -> Case:
    """
    The name is not one that the intermediate may give.
    """
    return case(leaf(_constrained(constraints([_EXAMPLE]))), root())


@entry(bad(A.bad_certificate, 3, _excluded("localhost")))
def excludedName() -> Case:
    """
    The name is one that the intermediate may not give.
    """
    return case(leaf(_constrained(constraints([], [_LOCALHOST]))), root())


@entry(bad(A.bad_certificate, 3, _notPermitted("127.0.0.1")))
def notPermittedAddress() -> Case:
    """
    The address is not one that the intermediate may give.
    """
    return case(leaf(_constrained(constraints([network("10.0.0.0/8")]))), root())


@entry(bad(A.bad_certificate, 3, _excluded("127.0.0.1")))
def excludedAddress() -> Case:
    """
    The address is one that the intermediate may not give.
    """
    return case(leaf(_constrained(constraints([], [network("127.0.0.0/8")]))), root())


@entry(bad(A.bad_certificate, 3, _notPermitted("me@example.org")))
def notPermittedMail() -> Case:
    """
    The e-mail address is not one that the intermediate may give.
    """
    names = alternatives("localhost", "me@example.org")
    extension = constraints([x509.RFC822Name("example.com")])
    return case(leaf(_constrained(extension), names), root())


@entry(bad(A.bad_certificate, 3, _excluded("https://www.example.com/")))
def excludedUri() -> Case:
    """
    The URI is one that the intermediate may not give.
    """
    names = alternatives("localhost", x509.UniformResourceIdentifier("https://www.example.com/"))
    extension = constraints([], [x509.UniformResourceIdentifier(".example.com")])
    return case(leaf(_constrained(extension), names), root())


@entry(bad(A.bad_certificate, 3, _notPermitted("CN=localhost")))
def notPermittedDirectoryName() -> Case:
    """
    The subject is not below the name that the intermediate may give.
    """
    extension = constraints([x509.DirectoryName(distinguishedName("Example"))])
    return case(leaf(_constrained(extension)), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(1, S.HasNotPermittedNameConstraint, "has the name 'CN=Middle', which is not among"),
        Wrong(0, S.HasNotPermittedNameConstraint, "has the name 'CN=localhost', which is not"),
    )
)
def notPermittedIntermediate() -> Case:
    """
    The root permits neither the intermediate's subject nor its peer's.
    """
    own = Issuer("Root", None, constraints([x509.DirectoryName(distinguishedName("Example"))]))
    return case(leaf(Issuer("Middle", own)), own)


@entry(bad(A.bad_certificate, 3, _notPermitted("localhost"), _notPermitted("127.0.0.1", 3)))
def twoConstraints() -> Case:
    """
    Intermediate and root both have given what they may not.
    """
    own = Issuer("Root", None, constraints([network("10.0.0.0/8")]))
    return case(leaf(Issuer("Middle", own, constraints([_EXAMPLE]))), own)


_IDENTIFIER = x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4"))


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(0, S.HasNotSupportedNameConstraint, "has a name of a kind (RegisteredID)"),
    )
)
def unsupportedConstraint() -> Case:
    """
    A name is of a kind whose constraints cannot be checked.
    """
    names = alternatives("localhost", _IDENTIFIER)
    return case(leaf(_constrained(constraints([_IDENTIFIER])), names), root())


@entry(bad(A.bad_certificate, 3, Wrong(0, S.InvalidNameConstraints, "malformed DNS name 'a..b'")))
def malformedName() -> Case:
    """
    A name that is constrained is none.
    """
    names = alternatives("localhost", x509.DNSName("a..b"))
    return case(leaf(_constrained(constraints([], [_EXAMPLE])), names), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(0, S.InvalidNameConstraints, "constrains names, but is no authority's"),
    )
)
def constrainingLeaf() -> Case:
    """
    Who is no authority constrains names.
    """
    return case(leaf(middle(), constraints([_LOCALHOST])), root())


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(0, S.InvalidNameConstraints, "has too many names and constraints to compare"),
    )
)
def tooManyNames() -> Case:
    """
    There are more names and constraints than anybody should compare.
    """
    names = ["localhost"] + [f"{number}.example.com" for number in range(1000)]
    others = [x509.DNSName(f"{number}.example.org") for number in range(1000)]
    return case(leaf(_constrained(constraints([], others)), alternatives(*names)), root())


# Certificate policies.


@entry(good(3))
def wantedPolicy() -> Case:
    """
    The policy that is asked for is valid.
    """
    between = Issuer("Middle", root(), policies(OUR_POLICY, OTHER_POLICY))
    return case(leaf(between, policies(OUR_POLICY)), root(), certificatePolicy=[OUR_POLICY])


@entry(good(3))
def anyPolicy() -> Case:
    """
    The intermediate permits any policy.
    """
    between = Issuer("Middle", root(), policies(ANY_POLICY))
    presented = leaf(between, policies(OUR_POLICY, isCritical=True))
    return case(presented, root(), certificatePolicy=[OTHER_POLICY, OUR_POLICY])


@entry(good(3))
def explicitPolicy() -> Case:
    """
    The intermediate insists on a policy, and there is one.
    """
    insisting = (x509.PolicyConstraints(0, None), True)
    between = Issuer("Middle", root(), insisting, policies(OUR_POLICY))
    return case(leaf(between, policies(OUR_POLICY)), root())


_NO_POLICY = "has no certificate policy that is valid for the whole path"
_NOT_WANTED = "is valid for none of the certificate policies that are asked for"


def _policy(words: str, status: X509ChainStatusFlags = S.InvalidPolicyConstraints) -> Verdict:
    return bad(A.bad_certificate, 3, Wrong(0, status, words))


@entry(_policy(_NO_POLICY))
def noExplicitPolicy() -> Case:
    """
    The intermediate insists on a policy, and there is none.
    """
    insisting = (x509.PolicyConstraints(0, None), True)
    return case(leaf(Issuer("Middle", root(), insisting, policies(OUR_POLICY))), root())


@entry(_policy(_NO_POLICY))
def inhibitedPolicy() -> Case:
    """
    Any policy would do, but for the intermediate's.
    """
    between = Issuer(
        "Middle",
        root(),
        (x509.PolicyConstraints(0, None), True),
        (x509.InhibitAnyPolicy(0), True),
        policies(OUR_POLICY),
    )
    return case(leaf(between, policies(ANY_POLICY)), root())


@entry(_policy(_NOT_WANTED, S.NoIssuanceChainPolicy))
def lacksPolicies() -> Case:
    """
    A policy is asked for, and the certificate has none.
    """
    between = Issuer("Middle", root(), policies(OUR_POLICY))
    return case(leaf(between), root(), certificatePolicy=[OUR_POLICY])


@entry(_policy(_NOT_WANTED, S.NoIssuanceChainPolicy))
def otherPolicy() -> Case:
    """
    Another policy is asked for than the one that is valid.
    """
    between = Issuer("Middle", root(), policies(ANY_POLICY))
    presented = leaf(between, policies(OUR_POLICY))
    return case(presented, root(), certificatePolicy=[OTHER_POLICY])


@entry(
    bad(
        A.bad_certificate,
        3,
        Wrong(1, S.HasNotSupportedCriticalExtension, "is not supported: 2.5.29.33"),
    )
)
def mappedPolicies() -> Case:
    """
    The intermediate maps policies, which is not supported.
    """
    pair = der(SEQUENCE, _NOTHING, _NOTHING_ELSE)
    mappings = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), der(SEQUENCE, pair))
    return case(leaf(Issuer("Middle", root(), (mappings, True))), root())


# Revocation.

_OFFLINE: dict[str, Any] = {"revocationMode": X509RevocationMode.Offline}
_NOBODY = "it names no OCSP responder and no CRL"


def _unknownAt(depth: int, words: str = _NOBODY) -> Wrong:
    return Wrong(depth, UNKNOWN, words)


@entry(good(3))
def notRevoked() -> Case:
    """
    The lists have neither the certificate nor the intermediate.
    """
    other = leaf(middle()).certificate
    lists = [crl(middle(), other), crl(root())]
    return case(leaf(middle()), root(), revocationLists=lists, **_OFFLINE)


@entry(good(3))
def onlyEndChecked() -> Case:
    """
    Only the certificate itself is checked, and its list is at hand.
    """
    return case(
        leaf(middle()),
        root(),
        revocationLists=[crl(middle())],
        revocationFlag=X509RevocationFlag.EndCertificateOnly,
        **_OFFLINE,
    )


@entry(good(3))
def entireChainChecked() -> Case:
    """
    The root is checked as well, and has not revoked itself.
    """
    return case(
        leaf(middle()),
        root(),
        revocationLists=[crl(middle()), crl(root())],
        revocationFlag=X509RevocationFlag.EntireChain,
        **_OFFLINE,
    )


@entry(good(3))
def revokedButNotChecked() -> Case:
    """
    A list has the certificate, but nobody asked for it.
    """
    presented = leaf(middle())
    return case(presented, root(), revocationLists=[crl(middle(), presented.certificate)])


@entry(bad(A.certificate_revoked, 3, Wrong(0, S.Revoked, "says given CRL")))
def revokedLeaf() -> Case:
    """
    The certificate is on the intermediate's list.
    """
    presented = leaf(middle())
    lists = [crl(root()), crl(middle(), presented.certificate)]
    return case(presented, root(), revocationLists=lists, **_OFFLINE)


@entry(bad(A.certificate_revoked, 3, Wrong(1, S.Revoked, "says given CRL")))
def revokedIntermediate() -> Case:
    """
    The intermediate is on the root's list.
    """
    lists = [crl(middle()), crl(root(), middle().certificate)]
    return case(leaf(middle()), root(), revocationLists=lists, **_OFFLINE)


@entry(bad(A.certificate_revoked, 2, Wrong(1, S.Revoked, "says given CRL")))
def revokedRoot() -> Case:
    """
    The root has revoked itself.
    """
    own = Issuer("Root")
    return case(
        leaf(own),
        own,
        revocationLists=[crl(own, own.certificate)],
        revocationFlag=X509RevocationFlag.EntireChain,
        **_OFFLINE,
    )


@entry(bad(A.certificate_unknown, 3, _unknownAt(0), _unknownAt(1)))
def noList() -> Case:
    """
    Nobody can be asked.
    """
    return case(leaf(middle()), root(), **_OFFLINE)


@entry(bad(A.certificate_unknown, 3, _unknownAt(1)))
def noListOfRoot() -> Case:
    """
    There is a list for the certificate, and none for the intermediate.
    """
    return case(leaf(middle()), root(), revocationLists=[crl(middle())], **_OFFLINE)


@entry(bad(A.certificate_unknown, 2, _unknownAt(0, "given CRL")))
def staleList() -> Case:
    """
    The list is too old.
    """
    stale = crl(root(), thisUpdate=NOW - 9 * DAY, nextUpdate=NOW - DAY)
    return case(leaf(root()), root(), revocationLists=[stale], **_OFFLINE)


@entry(bad(A.certificate_unknown, 2, _unknownAt(0, "given CRL")))
def forgedList() -> Case:
    """
    The list is signed with another key.
    """
    forged = crl(root(), key=stranger().key)
    return case(leaf(root()), root(), revocationLists=[forged], **_OFFLINE)


@entry(bad(A.certificate_unknown, 4, replace(_unknownAt(0), isCounted=False), _unknownAt(1)))
def selfIssuedIsNoRoot() -> Case:
    """
    What excuses a root does not excuse an authority that has certified its own
    new key.
    """
    old = Issuer("Middle", root())
    new = Issuer("Middle", old)
    return case(
        leaf(new),
        root(),
        revocationLists=[crl(root())],
        verificationFlags=V.IgnoreRootRevocationUnknown | V.IgnoreEndRevocationUnknown,
        **_OFFLINE,
    )


@entry(good(2))
def trustedIntermediateChecked() -> Case:
    """
    What is trusted is a root here, though somebody else has issued it.
    """
    return case(leaf(middle()), middle(), revocationLists=[crl(middle())], **_OFFLINE)


@entry(bad(A.certificate_unknown, 2, Wrong(1, S.RevocationStatusUnknown, "issuer is missing")))
def trustedIntermediateEntirelyChecked() -> Case:
    """
    But of an entire chain it is checked as well, for which its issuer lacks.
    """
    return case(
        leaf(middle()),
        middle(),
        revocationLists=[crl(middle())],
        **{**_OFFLINE, "revocationFlag": X509RevocationFlag.EntireChain},
    )


@entry(
    bad(
        A.unknown_ca,
        1,
        Wrong(0, S.PartialChain, _NOT_AT_HAND),
        Wrong(0, S.RevocationStatusUnknown, "its issuer is missing"),
    )
)
def missingIssuerOfRevoked() -> Case:
    """
    Without its issuer, nothing is known of a certificate's revocation.
    """
    presented = leaf(middle())
    lists = [crl(middle(), presented.certificate)]
    return case(sending(presented), root(), revocationLists=lists, **_OFFLINE)


@entry(
    good(2),
    server=bad(
        A.certificate_unknown,
        2,
        Wrong(0, S.RevocationStatusUnknown, "requires a stapled OCSP response, and none was sent"),
    ),
)
def lacksStaple() -> Case:
    """
    The certificate demands a staple of servers.
    """
    return case(leaf(root(), MUST_STAPLE), root(), revocationLists=[crl(root())], **_OFFLINE)


@entry(good(2))
def stapleNotChecked() -> Case:
    """
    The certificate demands a staple, but nobody asked for revocation.
    """
    return case(leaf(root(), MUST_STAPLE), root())


# Distrust.


def _disallowed(depth: int) -> Verdict:
    return bad(A.bad_certificate, 3, Wrong(depth, S.ExplicitDistrust, "is disallowed"))


@entry(_disallowed(0))
def disallowedLeaf() -> Case:
    """
    The user has disallowed the certificate.
    """
    presented = leaf(middle())
    return case(presented, root(), disallowed=(presented.certificate,))


@entry(_disallowed(1))
def disallowedIntermediate() -> Case:
    """
    The user has disallowed the intermediate.
    """
    return case(leaf(middle()), root(), disallowed=(middle().certificate,))


@entry(_disallowed(2))
def disallowedRoot() -> Case:
    """
    The user has disallowed the root, although it is trusted.
    """
    return case(leaf(middle()), root(), disallowed=(root().certificate,))


@entry(good(3))
def disallowedOther() -> Case:
    """
    The user has disallowed another.
    """
    return case(leaf(middle()), root(), disallowed=(stranger().certificate,))


# Several at once.


def _everything(*wrongs: Wrong) -> Verdict:
    return bad(
        A.unknown_ca,
        2,
        Wrong(0, S.NotTimeValid, _EXPIRED),
        *wrongs,
        Wrong(1, S.UntrustedRoot, _NOT_TRUSTED),
    )


@entry(
    _everything(),
    server=misnamed(_everything(Wrong(0, S.NotValidForUsage, "is not for server authentication"))),
    client=_everything(Wrong(0, S.NotValidForUsage, "is not for client authentication")),
)
def everythingWrong() -> Case:
    """
    It is expired, for another host and another usage, and nobody trusts it.
    """
    names = alternatives("example.com")
    presented = leaf(stranger(), names, usages(CODE_SIGNING), notAfter=NOW - DAY / 2)
    return case(sending(presented, stranger()), root())


@entry(
    bad(
        A.certificate_revoked,
        3,
        Wrong(0, S.NotTimeValid, _EXPIRED),
        Wrong(0, S.HasNotSupportedCriticalExtension, "is not supported: 1.2.3.4"),
        Wrong(0, S.Revoked, "says given CRL"),
        Wrong(1, S.NotTimeValid, _EXPIRED),
        Wrong(1, S.InvalidBasicConstraints, _NO_AUTHORITY),
        _unknownAt(1),
    )
)
def manyWrong() -> Case:
    """
    Certificate and intermediate each have problems of several kinds.
    """
    between = Issuer("Middle", root(), isAuthority(False), notAfter=NOW - DAY / 2)
    presented = leaf(between, unknown(True), notAfter=NOW - DAY / 2)
    lists = [crl(between, presented.certificate)]
    return case(presented, root(), revocationLists=lists, **_OFFLINE)


# Flags that excuse.


def _excusing(
    flag: X509VerificationFlags,
    make: Callable[[V], Case],
    *wrongs: Wrong,
    alert: TlsAlert,
    length: int = 3,
    inRole: tuple[Verdict, Verdict] | None = None,
    isMisnamed: bool = False,
) -> None:
    """
    Add an entry that a flag makes good, and another that all other flags
    together do not.

    @param make: makes the case with some flags.
    @param inRole: what is thought of it as a server's and as a client's, if
        that is more.
    """
    server, client = inRole or (bad(alert, length, *wrongs),) * 2
    name = str(flag.name)[0].lower() + str(flag.name)[1:]
    add(
        name,
        f"{flag.name} excuses it, and it is listed all the same.",
        cache(lambda: make(flag)),
        good(length, *wrongs),
        good(length, *server.wrongs),
        good(length, *client.wrongs),
    )
    add(
        f"{name}Twin",
        f"All flags but {flag.name} do not excuse it.",
        cache(lambda: make(V.AllFlags & ~flag)),
        bad(alert, length, *wrongs) if wrongs else good(length),
        misnamed(server) if isMisnamed else server,
        client,
    )


_excusing(
    V.IgnoreNotTimeValid,
    lambda flags: case(leaf(middle(), notAfter=NOW - DAY / 2), root(), verificationFlags=flags),
    Wrong(0, S.NotTimeValid, _EXPIRED),
    alert=A.certificate_expired,
)
_excusing(
    V.IgnoreInvalidBasicConstraints,
    lambda flags: case(
        leaf(Issuer("Middle", root(), isAuthority(False))), root(), verificationFlags=flags
    ),
    Wrong(1, S.InvalidBasicConstraints, _NO_AUTHORITY),
    alert=A.bad_certificate,
)
_excusing(
    V.AllowUnknownCertificateAuthority,
    lambda flags: case(sending(leaf(stranger()), stranger()), root(), verificationFlags=flags),
    Wrong(1, S.UntrustedRoot, _NOT_TRUSTED),
    alert=A.unknown_ca,
    length=2,
)
_excusing(
    V.IgnoreWrongUsage,
    lambda flags: case(leaf(middle(), usages(CODE_SIGNING)), root(), verificationFlags=flags),
    alert=A.unsupported_certificate,
    inRole=(_NOT_FOR_SERVERS, _NOT_FOR_CLIENTS),
)
_excusing(
    V.IgnoreInvalidName,
    lambda flags: case(
        leaf(_constrained(constraints([_EXAMPLE]))),
        root(),
        targetHost="example.com",
        verificationFlags=flags,
    ),
    _notPermitted("localhost"),
    alert=A.bad_certificate,
    isMisnamed=True,
)
_excusing(
    V.IgnoreInvalidPolicy,
    lambda flags: case(
        leaf(Issuer("Middle", root(), policies(OUR_POLICY))),
        root(),
        certificatePolicy=[OUR_POLICY],
        verificationFlags=flags,
    ),
    Wrong(0, S.NoIssuanceChainPolicy, _NOT_WANTED),
    alert=A.bad_certificate,
)
_excusing(
    V.IgnoreEndRevocationUnknown,
    lambda flags: case(
        leaf(middle()), root(), revocationLists=[crl(root())], verificationFlags=flags, **_OFFLINE
    ),
    _unknownAt(0),
    alert=A.certificate_unknown,
)
_excusing(
    V.IgnoreCertificateAuthorityRevocationUnknown,
    lambda flags: case(
        leaf(middle()), root(), revocationLists=[crl(middle())], verificationFlags=flags, **_OFFLINE
    ),
    _unknownAt(1),
    alert=A.certificate_unknown,
)
_excusing(
    V.IgnoreRootRevocationUnknown,
    lambda flags: case(
        leaf(own := Issuer("Root")),
        own,
        revocationLists=[crl(own, nextUpdate=NOW - DAY / 2)],
        revocationFlag=X509RevocationFlag.EntireChain,
        # The list that would tell of the root tells of the other as well.
        verificationFlags=flags | V.IgnoreEndRevocationUnknown,
        **_OFFLINE,
    ),
    replace(_unknownAt(0, "given CRL"), isCounted=False),
    _unknownAt(1, "given CRL"),
    alert=A.certificate_unknown,
    length=2,
)


def _vain(flag: X509VerificationFlags) -> None:
    """
    Add an entry that a flag cannot make good: what it excuses is never found.
    """
    name = str(flag.name)[0].lower() + str(flag.name)[1:]
    add(
        name,
        f"{flag.name} is about trust lists and nesting, and excuses nothing else.",
        cache(lambda: case(leaf(middle(), notAfter=NOW - DAY / 2), root(), verificationFlags=flag)),
        bad(A.certificate_expired, 3, Wrong(0, S.NotTimeValid, _EXPIRED)),
    )


_vain(V.IgnoreCtlNotTimeValid)
_vain(V.IgnoreNotTimeNested)
_vain(V.IgnoreCtlSignerRevocationUnknown)


@entry(
    good(1, Wrong(0, S.PartialChain, _NOT_AT_HAND)),
)
def missingIssuerAllowed() -> Case:
    """
    AllowUnknownCertificateAuthority excuses that the issuer is missing.
    """
    return case(
        sending(leaf(middle())), root(), verificationFlags=V.AllowUnknownCertificateAuthority
    )


@entry(
    bad(
        A.certificate_expired,
        2,
        Wrong(0, S.NotTimeValid, _EXPIRED),
        Wrong(1, S.UntrustedRoot, _NOT_TRUSTED, isCounted=False),
    )
)
def partlyExcused() -> Case:
    """
    Of two problems one is excused, and the alert tells of the other.
    """
    return case(
        sending(leaf(stranger(), notAfter=NOW - DAY / 2), stranger()),
        root(),
        verificationFlags=V.AllowUnknownCertificateAuthority,
    )


def _allExcused(usage: str) -> Verdict:
    return good(
        2,
        Wrong(0, S.NotTimeValid, _EXPIRED),
        *([Wrong(0, S.NotValidForUsage, f"is not for {usage}")] if usage else []),
        _unknownAt(0),
        Wrong(1, S.UntrustedRoot, _NOT_TRUSTED),
    )


@entry(
    _allExcused(""),
    server=_allExcused("server authentication"),
    client=_allExcused("client authentication"),
)
def allFlags() -> Case:
    """
    AllFlags excuses all that can be excused.
    """
    presented = leaf(
        stranger(), alternatives("example.com"), usages(CODE_SIGNING), notAfter=NOW - DAY / 2
    )
    return case(sending(presented, stranger()), root(), verificationFlags=V.AllFlags, **_OFFLINE)


def _inexcusable(name: str) -> None:
    """
    Add an entry that is as bad with all flags.
    """
    model = ENTRIES[name]

    @cache
    def make() -> Case:
        original = model.make()
        policy = original.policy.clone()
        policy.verificationFlags = V.AllFlags
        return replace(original, policy=policy)

    def unnamed(verdict: Verdict) -> Verdict:
        return replace(verdict, isMisnamed=False)

    add(
        f"{name}AllFlags",
        f"Not even AllFlags excuses it. {model.description}",
        make,
        unnamed(model.alone),
        unnamed(model.server),
        unnamed(model.client),
        isWeak=model.isWeak,
    )


for _name in (
    "badSignature",
    "badSignatureOfIntermediate",
    "revokedLeaf",
    "revokedIntermediate",
    "weakLeaf",
    "md5Intermediate",
    "unknownCritical",
    "duplicateExtension",
    "disallowedLeaf",
):
    _inexcusable(_name)
