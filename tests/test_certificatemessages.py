"""
Tests for L{txsslstream.certificatemessages}: what the handshake says about
certificates.
"""

from __future__ import annotations

from random import Random
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY, CLIENT, SERVER
from txsslstream import SslProtocols, SslStreamCertificateContext, _openssl
from txsslstream.certificatemessages import certificateList, keyTypes
from txsslstream.testing import VERSIONS, Authority, StreamPair
from txsslstream.testing.messages import codes, vector

CERTIFICATE = 11
CERTIFICATE_REQUEST = 13
TLS12, TLS13 = VERSIONS
#: The kinds of keys that may be used at all.
EVERY_KIND = frozenset({"RSA", "ECDSA", "Ed25519", "Ed448"})
NIST_CURVES = frozenset({"ECDSA secp256r1", "ECDSA secp384r1", "ECDSA secp521r1"})
BRAINPOOL = frozenset(f"ECDSA brainpoolP{bits}r1" for bits in (256, 384, 512))
#: Likewise in TLS 1.3, by version.
KINDS = {TLS12: EVERY_KIND, TLS13: EVERY_KIND - {"ECDSA"} | NIST_CURVES | BRAINPOOL}
OLD = (SslProtocols.Tls, SslProtocols.Tls11)

#: The code point of each signature scheme (RFC 8446 section 4.2.3), and the kinds
#: of keys that make such signatures in TLS 1.2 and in TLS 1.3.
SCHEMES: tuple[tuple[str, int, str, str], ...] = (
    ("rsa_pkcs1_sha1", 0x0201, "RSA", ""),
    ("ecdsa_sha1", 0x0203, "ECDSA", ""),
    ("rsa_pkcs1_sha256", 0x0401, "RSA", ""),
    ("rsa_pkcs1_sha384", 0x0501, "RSA", ""),
    ("rsa_pkcs1_sha512", 0x0601, "RSA", ""),
    ("ecdsa_secp256r1_sha256", 0x0403, "ECDSA", "ECDSA secp256r1"),
    ("ecdsa_secp384r1_sha384", 0x0503, "ECDSA", "ECDSA secp384r1"),
    ("ecdsa_secp521r1_sha512", 0x0603, "ECDSA", "ECDSA secp521r1"),
    # RFC 8734.
    ("ecdsa_brainpoolP256r1tls13_sha256", 0x081A, "", "ECDSA brainpoolP256r1"),
    ("ecdsa_brainpoolP384r1tls13_sha384", 0x081B, "", "ECDSA brainpoolP384r1"),
    ("ecdsa_brainpoolP512r1tls13_sha512", 0x081C, "", "ECDSA brainpoolP512r1"),
    ("rsa_pss_rsae_sha256", 0x0804, "RSA", "RSA"),
    ("rsa_pss_rsae_sha384", 0x0805, "RSA", "RSA"),
    ("rsa_pss_rsae_sha512", 0x0806, "RSA", "RSA"),
    ("ed25519", 0x0807, "Ed25519", "Ed25519"),
    ("ed448", 0x0808, "Ed448", "Ed448"),
    # Of no use with the keys that are known here.
    ("rsa_pss_pss_sha256", 0x0809, "", ""),
    ("dsa_sha1", 0x0202, "", ""),
    ("dsa_sha256", 0x0402, "", ""),
    ("rsa_md5", 0x0101, "", ""),
    ("mldsa65", 0x0905, "", ""),
    ("grease", 0x0A0A, "", ""),
)


def request12(types: bytes, *schemes: int, rest: bytes = b"\0\0") -> bytes:
    """
    @return: a CertificateRequest of TLS 1.2.
    """
    return vector(types, 1) + codes(*schemes) + rest


def request13(*extensions: tuple[int, bytes], context: bytes = b"") -> bytes:
    """
    @return: a CertificateRequest of TLS 1.3.
    """
    block = b"".join(kind.to_bytes(2, "big") + vector(content, 2) for kind, content in extensions)
    return vector(context, 1) + vector(block, 2)


def recorded(
    version: SslProtocols, client: SslStreamCertificateContext = CLIENT
) -> dict[int, bytes]:
    """
    @return: the last message of each kind that a handshake with certificates on
        both sides had from the client (Certificate) and from the server
        (CertificateRequest).
    """
    found: dict[int, bytes] = {}
    original = _openssl.TlsEngine._noteMessage

    def note(engine: Any, kind: int, body: bytes) -> None:
        if kind == CERTIFICATE_REQUEST or engine.parameters.isServer:
            found[kind] = bytes(body)
        original(engine, kind, body)

    with patch.object(_openssl.TlsEngine, "_noteMessage", note):
        StreamPair().authenticate(
            version, {"clientCertificates": [client]}, {"clientCertificateRequired": True}
        )
    return found


def encoded(context: SslStreamCertificateContext) -> list[bytes]:
    """
    @return: all certificates of a context, in DER.
    """
    return [
        each.public_bytes(Encoding.DER) for each in (context.certificate, *context.intermediates)
    ]


class RealMessagesTests(SynchronousTestCase):
    """
    What OpenSSL's sides send.
    """

    def setUp(self) -> None:
        middle = Authority("Middle", AUTHORITY)
        self.client = Authority("Lower", middle).issue("client@example.com")

    def test_certificates(self) -> None:
        """
        All certificates are found, in their order.
        """
        for version in VERSIONS:
            for client in (CLIENT, self.client):
                body = recorded(version, client)[CERTIFICATE]
                self.assertEqual(certificateList(body, version is TLS13), encoded(client))

    def test_request(self) -> None:
        """
        OpenSSL's server is content with all kinds, whatever it thinks of the
        Brainpool curves.
        """
        for version in VERSIONS:
            body = recorded(version)[CERTIFICATE_REQUEST]
            self.assertEqual(keyTypes(body, version) - BRAINPOOL, KINDS[version] - BRAINPOOL)

    def test_oldRequest(self) -> None:
        """
        Before TLS 1.2, there are types and no signature schemes.
        """
        for version in OLD:
            body = recorded(version)[CERTIFICATE_REQUEST]
            self.assertEqual(keyTypes(body, version), {"RSA", "ECDSA"})

    def test_oldVersions(self) -> None:
        """
        So a client that has a certificate shows it in every version.
        """
        for version in (*OLD, *VERSIONS):
            pair = StreamPair()
            for each in pair.authenticate(
                version, {"clientCertificates": [CLIENT]}, {"clientCertificateRequired": True}
            ):
                self.successResultOf(each)
            self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate, version)

    def test_truncated(self) -> None:
        """
        Of a message that ends anywhere what is whole is found, and never
        anything else.
        """
        whole = encoded(self.client)
        for version in VERSIONS:
            messages = recorded(version, self.client)
            body = messages[CERTIFICATE]
            counts = []
            for size in range(len(body) + 1):
                found = certificateList(body[:size], version is TLS13)
                self.assertEqual(found, whole[: len(found)])
                counts.append(len(found))
            self.assertEqual(counts, sorted(counts))
            self.assertEqual((counts[0], counts[-1]), (0, len(whole)))
            body = messages[CERTIFICATE_REQUEST]
            for size in range(len(body) + 1):
                self.assertLessEqual(keyTypes(body[:size], version), KINDS[version])

    def test_damaged(self) -> None:
        """
        Whatever bytes are changed, lost or doubled, nothing is raised, and no
        more is found than is there.
        """
        random = Random(2029)
        for version in VERSIONS:
            for kind, whole in recorded(version, self.client).items():
                for _ in range(1000):
                    body = bytearray(whole)
                    for _ in range(random.randrange(1, 6)):
                        position = random.randrange(len(body) + 1)
                        end = position + random.choice((0, 1, 1, 1, 4, 40))
                        body[position:end] = random.randbytes(random.choice((0, 1, 1, 1, 4)))
                    check(self, bytes(body), version, kind)


def check(
    case: SynchronousTestCase, body: bytes, version: SslProtocols, kind: int = CERTIFICATE
) -> None:
    """
    Whatever is in a message, nothing is raised, and all that is found is in it.
    """
    if kind == CERTIFICATE:
        found = certificateList(body, version is TLS13)
        case.assertLessEqual(sum(map(len, found)), len(body))
        for each in found:
            case.assertIn(each, body)
    else:
        case.assertLessEqual(keyTypes(body, version), KINDS.get(version, EVERY_KIND))


class CertificateListTests(SynchronousTestCase):
    """
    Tests for L{certificateList}.
    """

    def test_tls12(self) -> None:
        """
        A list of TLS 1.2 is certificates, each behind its length.
        """
        for expected in ([], [b"one"], [b"one", b"", b"three" * 100]):
            body = vector(b"".join(vector(each, 3) for each in expected), 3)
            self.assertEqual(certificateList(body, False), expected)

    def test_tls13(self) -> None:
        """
        In TLS 1.3 a context precedes the list, and extensions follow each
        certificate.
        """
        for context in (b"", b"c" * 7, bytes(255)):
            for extensions in (b"", b"e" * 9):
                for expected in ([], [b"one"], [b"one", b"", b"three" * 100]):
                    entries = (vector(each, 3) + vector(extensions, 2) for each in expected)
                    body = vector(context, 1) + vector(b"".join(entries), 3)
                    self.assertEqual(certificateList(body, True), expected)

    def test_overlong(self) -> None:
        """
        A certificate that says that it is longer than the message is not there.
        """
        for isTls13 in (False, True):
            head = b"\0" if isTls13 else b""
            tail = b"\0\0" if isTls13 else b""
            body = head + b"\0\0\x10" + vector(b"one", 3) + tail + b"\xff\xff\xff" + b"two"
            self.assertEqual(certificateList(body, isTls13), [b"one"])

    def test_noise(self) -> None:
        """
        Whatever bytes come, nothing is raised.
        """
        random = Random(2030)
        for _ in range(3000):
            body = random.randbytes(random.randrange(60)).replace(b"\xff", b"\0")
            for version in (*OLD, *VERSIONS):
                check(self, body, version)
                check(self, body, version, CERTIFICATE_REQUEST)


class KeyTypesTests(SynchronousTestCase):
    """
    Tests for L{keyTypes}.
    """

    def test_schemes(self) -> None:
        """
        Each signature scheme asks for the keys that make such signatures in the
        version that is spoken.
        """
        for name, code, modern12, modern13 in SCHEMES:
            body = request12(b"\x01\x40", code)
            self.assertEqual(keyTypes(body, TLS12), {modern12} - {""}, name)
            body = request13((13, codes(code)))
            self.assertEqual(keyTypes(body, TLS13), {modern13} - {""}, name)

    def test_several(self) -> None:
        """
        Several schemes ask for several kinds.
        """
        wanted = (0x0403, 0x0805, 0x0807)
        others = {"RSA", "Ed25519"}
        found = keyTypes(request12(b"\x40\x01", *wanted), TLS12)
        self.assertEqual(found, {"ECDSA", *others})
        found = keyTypes(request13((13, codes(*wanted))), TLS13)
        self.assertEqual(found, {"ECDSA secp256r1", *others})

    def test_types(self) -> None:
        """
        In TLS 1.2 a kind has to be among the certificate types as well; the
        Edwards curves go by ECDSA's (RFC 8422 section 5.5).
        """
        every = [code for _, code, *_ in SCHEMES]
        for types, expected in (
            (b"", set()),
            (b"\x01", {"RSA"}),
            (b"\x40", {"ECDSA", "Ed25519", "Ed448"}),
            (b"\x02\x01\x40", EVERY_KIND),
            (b"\x02\x03\x04\x05\x06\x14\x41\x42", set()),
        ):
            self.assertEqual(keyTypes(request12(types, *every), TLS12), expected, types)

    def test_oldTypes(self) -> None:
        """
        Before TLS 1.2 the types are all there is; authorities follow, which are
        no schemes.
        """
        authorities = vector(vector(SERVER.certificate.issuer.public_bytes(), 2), 2)
        for version in OLD:
            for types, expected in (
                (b"\x01", {"RSA"}),
                (b"\x40", {"ECDSA"}),
                (b"\x01\x02\x40", {"RSA", "ECDSA"}),
                (b"\x02", set()),
            ):
                body = vector(types, 1) + authorities
                self.assertEqual(keyTypes(body, version), expected)

    def test_amongOthers(self) -> None:
        """
        In TLS 1.3 the extension is found among others, and behind a context;
        that of the certificates' signatures (50) is another one.
        """
        wanted = (13, codes(0x0403))
        for extensions in (
            (wanted,),
            ((5, b""), wanted),
            ((50, codes(0x0804)), (47, bytes(300)), wanted, (0xFAFA, b"?")),
        ):
            for context in (b"", b"12345", bytes(255)):
                body = request13(*extensions, context=context)
                self.assertEqual(keyTypes(body, TLS13), {"ECDSA secp256r1"})
        self.assertEqual(keyTypes(request13((50, codes(0x0403))), TLS13), frozenset())

    def test_odd(self) -> None:
        """
        Half a code point at the end is none.
        """
        half = vector(b"\x04\x03\x08", 2)
        self.assertEqual(keyTypes(request13((13, half)), TLS13), {"ECDSA secp256r1"})
        self.assertEqual(keyTypes(vector(b"\x01\x40", 1) + half, TLS12), {"ECDSA"})
