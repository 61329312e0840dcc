"""
Tests for L{txsslstream.certificates}: certificates and keys from wherever users
keep them, and what is said of those that cannot be used.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from functools import partial
from hashlib import sha256
from itertools import permutations
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from twisted.internet import ssl
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.files import FilesMixin
from txsslstream import HttpRetriever
from txsslstream.certificates import (
    SslStreamCertificateContext,
    certificatesFromPEM,
    loadCertificates,
    passwordFrom,
)
from txsslstream.errors import CertificateError
from txsslstream.testing import Authority, rsaKey
from txsslstream.testing.damage import patched
from txsslstream.testing.issuing import certificate

ROOT = Authority("Root")
MIDDLE = Authority("Middle", ROOT)
LOWER = Authority("Lower", MIDDLE)
#: A leaf three steps below its root.
LEAF = LOWER.issue("leaf.example")
ISSUERS = (LOWER.certificate, MIDDLE.certificate, ROOT.certificate)
#: Somebody else's, with another key.
OTHER = ROOT.issue("other.example")

PASSWORD = "correct horse \N{BLACK CHESS KNIGHT}"
WRONG = "incorrect donkey"

PEM_FORMATS = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)


def encryption(password: str | None) -> KeySerializationEncryption:
    """
    @return: how a key is protected by this password.
    """
    return NoEncryption() if password is None else BestAvailableEncryption(password.encode())


def certificatePEM(*certificates: x509.Certificate) -> bytes:
    """
    @return: the certificates as PEM.
    """
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def keyPEM(
    key: Any, password: str | None = None, format: PrivateFormat = PrivateFormat.PKCS8
) -> bytes:
    """
    @return: the private key as PEM.
    """
    made: bytes = key.private_bytes(Encoding.PEM, format, encryption(password))
    return made


def pfx(
    context: SslStreamCertificateContext,
    password: str | None = None,
    *others: x509.Certificate,
    key: bool = True,
    certificate: bool = True,
) -> bytes:
    """
    @return: a PKCS#12 file.
    """
    return pkcs12.serialize_key_and_certificates(
        b"name",
        context.privateKey if key else None,  # type: ignore[arg-type]
        context.certificate if certificate else None,
        others,
        encryption(password),
    )


def keyFingerprint(key: Any) -> str:
    """
    @return: what C{openssl pkey -pubout -outform DER | sha256sum} says.
    """
    public: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(public).hexdigest()


class CertificatesTestCase(FilesMixin, SynchronousTestCase):
    """
    Helpers for what all tests here check.
    """

    def refused(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> str:
        """
        Check that a call fails with a L{CertificateError}, and that neither it
        nor what led to it tells a secret.

        @return: its text.
        """
        error = self.assertRaises(CertificateError, call, *args, **kwargs)
        numbers = LEAF.privateKey.private_numbers()  # type: ignore[union-attr]
        secrets = [
            PASSWORD,
            WRONG,
            str(numbers.private_value),  # type: ignore[union-attr]
            *keyPEM(LEAF.privateKey).decode().splitlines()[1:-1],
            *keyPEM(LEAF.privateKey, None, PrivateFormat.TraditionalOpenSSL)
            .decode()
            .splitlines()[1:-1],
        ]
        each: BaseException | None = error
        while each is not None:
            for secret in secrets:
                self.assertNotIn(secret, f"{each} {each!r} {each.args!r}")
            each = each.__cause__ or each.__context__
        return str(error)

    def assertContext(
        self,
        context: SslStreamCertificateContext,
        expected: SslStreamCertificateContext = LEAF,
        intermediates: tuple[x509.Certificate, ...] = (),
    ) -> None:
        """
        Check everything about a context.
        """
        self.assertEqual(context.certificate, expected.certificate)
        self.assertEqual(keyPEM(context.privateKey), keyPEM(expected.privateKey))
        self.assertEqual(context.intermediates, intermediates)


class CertificatesFromPEMTests(CertificatesTestCase):
    """
    Tests for L{certificatesFromPEM}.
    """

    def test_order(self) -> None:
        """
        All certificates are found, in the order of the text.
        """
        for each in permutations((LEAF.certificate, ROOT.certificate, OTHER.certificate)):
            self.assertEqual(certificatesFromPEM(certificatePEM(*each)), list(each))

    def test_comments(self) -> None:
        """
        Text around the certificates, Windows line ends and other PEM objects are
        no obstacle.
        """
        pem = certificatePEM(LEAF.certificate)
        parameters = (
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        )
        for data in (
            b"subject: leaf\n" + pem + b"the end",
            pem.replace(b"\n", b"\r\n"),
            parameters + keyPEM(LEAF.privateKey) + pem,
        ):
            self.assertEqual(certificatesFromPEM(data), [LEAF.certificate])

    def test_none(self) -> None:
        """
        A text without a certificate is refused, by name.
        """
        for data in (b"", b"nothing here", keyPEM(LEAF.privateKey)):
            self.assertEqual(
                self.refused(certificatesFromPEM, data, "some file"),
                "some file: no certificate in it",
            )
        self.assertEqual(self.refused(certificatesFromPEM, b""), "PEM data: no certificate in it")

    def test_damaged(self) -> None:
        """
        A certificate whose content is no certificate is refused, by name,
        though another one be fine.
        """
        good = certificatePEM(LEAF.certificate)
        for content in (b"!!!!", b"AAAA", b64encode(b"0\x03\x02\x01\x01"), b64encode(b"0\x82")):
            bad = b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----\n"
            for data in (bad, good + bad, bad + good):
                message = self.refused(certificatesFromPEM, data, "some file")
                self.assertTrue(message.startswith("some file: damaged certificate: "), message)

    def test_unreadableNames(self) -> None:
        """
        So is one with a name that cannot be read: by names it is known which has
        issued which.
        """
        issued = certificate("\0name", issuerName="\0other")
        for text in (b"\x0c\5\0name", b"\x0c\6\0other"):
            for damage in (b"\x03" + text[1:], text[:-1] + b"\xff"):
                bad = patched(issued, (text, damage))
                whole = certificatePEM(bad.certificate)
                for data in (whole, certificatePEM(LEAF.certificate) + whole):
                    message = self.refused(certificatesFromPEM, data, "some file")
                    self.assertTrue(message.startswith("some file: damaged certificate: "))
                alone = self.file(bad.certificate.public_bytes(Encoding.DER))
                self.refused(loadCertificates, alone)
                self.refused(SslStreamCertificateContext, bad.certificate, bad.key)
                path = self.file(pfx(LEAF, None, bad.certificate))
                self.refused(SslStreamCertificateContext.fromPFX, path)

    def test_truncated(self) -> None:
        """
        A certificate that ends too early is damaged, and not overlooked because
        another one is fine.
        """
        good = certificatePEM(LEAF.certificate)
        for size in (28, 200, len(good) - 30):
            bad = good[:size] + b"\n"
            for data in (bad, good + bad, bad + good, bad + keyPEM(LEAF.privateKey) + good):
                message = self.refused(certificatesFromPEM, data, "some file")
                self.assertTrue(message.startswith("some file: damaged certificate: "), message)


class LoadCertificatesTests(CertificatesTestCase):
    """
    Tests for L{loadCertificates}.
    """

    def test_everyForm(self) -> None:
        """
        Every accepted form gives the same certificate.
        """
        pem = certificatePEM(LEAF.certificate)
        path = self.file(pem)
        for form in (
            LEAF.certificate,
            SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey),
            path,
            str(path),
            self.file(LEAF.certificate.public_bytes(Encoding.DER), "der.cer"),
            self.file(pfx(LEAF), "some.pfx"),
            ssl.Certificate.loadPEM(pem),
            ssl.PrivateCertificate.loadPEM(pem + keyPEM(LEAF.privateKey)),
        ):
            self.assertEqual(loadCertificates(form), [LEAF.certificate], form)

    def test_several(self) -> None:
        """
        A context and files that hold several certificates give them all, in
        order.
        """
        every = [LEAF.certificate, *ISSUERS]
        context = SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey, ISSUERS)
        self.assertEqual(loadCertificates(context), every)
        self.assertEqual(loadCertificates(self.file(certificatePEM(*every))), every)
        data = pfx(LEAF, None, MIDDLE.certificate, LOWER.certificate)
        self.assertEqual(
            loadCertificates(self.file(data, "some.pfx")),
            [LEAF.certificate, LOWER.certificate, MIDDLE.certificate],
        )

    def test_missing(self) -> None:
        """
        A file that does not exist is named, with the system's reason.
        """
        path = self.directory / "none.pem"
        self.assertEqual(self.refused(loadCertificates, path), f"{path}: No such file or directory")

    def test_directory(self) -> None:
        """
        A directory is no file of certificates.
        """
        self.assertEqual(
            self.refused(loadCertificates, str(self.directory)),
            f"{self.directory}: Is a directory",
        )

    def test_neither(self) -> None:
        """
        A file that is neither PEM nor DER nor PKCS#12 is refused, by name.
        """
        path = self.file(b"junk")
        self.assertIn(f"{path}: not a PKCS#12 file", self.refused(loadCertificates, path))

    def test_otherTypes(self) -> None:
        """
        What is no accepted form is a L{TypeError}, that names the type.
        """
        for value in (None, 5, b"bytes", [LEAF.certificate], LEAF.privateKey):
            error = self.assertRaises(TypeError, loadCertificates, value)
            self.assertEqual(str(error), f"not a certificate: {type(value).__name__}")


class ContextTests(CertificatesTestCase):
    """
    Tests for L{SslStreamCertificateContext} itself.
    """

    def test_parts(self) -> None:
        """
        A context has the certificate, the key and the intermediates that it was
        given, in that order.
        """
        context = SslStreamCertificateContext(
            LEAF.certificate, LEAF.privateKey, [LOWER.certificate, MIDDLE.certificate]
        )
        self.assertContext(context, intermediates=(LOWER.certificate, MIDDLE.certificate))

    def test_intermediateForms(self) -> None:
        """
        Intermediates are taken in every accepted form, and a file may hold
        several.
        """
        path = self.file(certificatePEM(LOWER.certificate, MIDDLE.certificate))
        root = ssl.Certificate.loadPEM(certificatePEM(ROOT.certificate))
        context = SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey, [path, root])
        self.assertContext(
            context, intermediates=(LOWER.certificate, MIDDLE.certificate, ROOT.certificate)
        )

    def test_certificateWithIntermediates(self) -> None:
        """
        What follows the certificate in its file are intermediates, before those
        that are given.
        """
        path = self.file(certificatePEM(LEAF.certificate, LOWER.certificate))
        context = SslStreamCertificateContext(path, LEAF.privateKey, [MIDDLE.certificate])
        self.assertContext(context, intermediates=(LOWER.certificate, MIDDLE.certificate))

    def test_twistedKey(self) -> None:
        """
        One of Twisted's C{ssl.KeyPair} is a private key.
        """
        pem = certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey)
        pair = ssl.PrivateCertificate.loadPEM(pem).privateKey
        self.assertIsInstance(pair, ssl.KeyPair)
        self.assertContext(SslStreamCertificateContext(LEAF.certificate, pair))

    def test_everyKindOfKey(self) -> None:
        """
        RSA, elliptic-curve and Edwards-curve keys fit their certificates.
        """
        for key in (
            rsaKey(),
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
        ):
            issued = ROOT.issue("leaf.example", key=key)
            path = self.file(certificatePEM(issued.certificate) + keyPEM(key))
            self.assertContext(SslStreamCertificateContext.fromPEM(path), issued)

    def test_wrongKey(self) -> None:
        """
        A key that belongs to another certificate is refused, and the error has
        the fingerprints of both public keys.
        """
        self.assertEqual(
            self.refused(SslStreamCertificateContext, OTHER.certificate, LEAF.privateKey),
            "the private key does not belong to the certificate: public key SHA-256 "
            f"{keyFingerprint(LEAF.privateKey.public_key())} of the private key, "
            f"{keyFingerprint(OTHER.certificate.public_key())} in the certificate of "
            "CN=other.example",
        )

    def test_noSigningKey(self) -> None:
        """
        What cannot sign is no private key: a public key, a key for key
        exchange, anything else.
        """
        for key in (
            LEAF.certificate.public_key(),
            x25519.X25519PrivateKey.generate(),
            "key.pem",
            None,
        ):
            self.assertEqual(
                self.refused(SslStreamCertificateContext, LEAF.certificate, key),
                "private key: the private key cannot sign",
            )

    def test_equality(self) -> None:
        """
        Contexts are equal if all their certificates are, wherever they came
        from, and then have the same hash.
        """
        path = self.file(keyPEM(LEAF.privateKey) + certificatePEM(LEAF.certificate))
        one = SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey)
        same = SslStreamCertificateContext.fromPEM(path)
        self.assertEqual(one, same)
        self.assertEqual(hash(one), hash(same))
        self.assertEqual(len({one, same}), 1)

    def test_inequality(self) -> None:
        """
        Contexts of other certificates, of other intermediates or of the same in
        another order are different, and so are those that fetch and staple
        something else; none equals its certificate.
        """
        extra = (LOWER.certificate, MIDDLE.certificate)
        alone = (LEAF.certificate, LEAF.privateKey)
        every = [
            SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey, extra),
            SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey, extra[::-1]),
            SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey, extra[:1]),
            SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey),
            SslStreamCertificateContext(OTHER.certificate, OTHER.privateKey),
            SslStreamCertificateContext(*alone, offline=True),
            SslStreamCertificateContext(*alone, retriever=HttpRetriever()),
        ]
        self.assertEqual(len(set(every)), len(every))
        for one in every:
            self.assertEqual([one == each for each in every].count(True), 1)
            self.assertNotEqual(one, one.certificate)

    def test_frozen(self) -> None:
        """
        Nothing of a context can be changed: options and OpenSSL contexts are
        found by it.
        """
        for name in ("certificate", "privateKey", "intermediates"):
            with self.assertRaises(FrozenInstanceError):
                setattr(LEAF, name, getattr(OTHER, name))

    def test_repr(self) -> None:
        """
        A context shows whose it is, and nothing of its key.
        """
        self.assertEqual(repr(LEAF), "<SslStreamCertificateContext 'CN=leaf.example'>")


class FromPEMTests(CertificatesTestCase):
    """
    Tests for L{SslStreamCertificateContext.fromPEM}.
    """

    def test_everyOrder(self) -> None:
        """
        The leaf is found by its key, its issuers are put in order, and the root
        is left out, whatever the order in the file.
        """
        blocks = [
            keyPEM(LEAF.privateKey),
            *map(certificatePEM, (LEAF.certificate, *ISSUERS)),
        ]
        for each in permutations(blocks):
            context = SslStreamCertificateContext.fromPEM(self.file(b"".join(each)))
            self.assertContext(context, intermediates=(LOWER.certificate, MIDDLE.certificate))

    def test_keyOfAnotherKind(self) -> None:
        """
        A private key that calls itself one of another kind, for which it is too
        long, is damaged.
        """
        der = ed448.Ed448PrivateKey.generate().private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
        )
        own, other = bytes.fromhex("06032b6571"), bytes.fromhex("06032b6570")
        text = b64encode(der.replace(own, other))
        key = b"-----BEGIN PRIVATE KEY-----\n" + text + b"\n-----END PRIVATE KEY-----\n"
        path = self.file(certificatePEM(LEAF.certificate) + key)
        for password in (None, lambda source: PASSWORD):
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPEM, path, None, password),
                f"{path}: the private key is damaged or the password is wrong",
            )

    def test_unknownKeys(self) -> None:
        """
        A certificate with a key of a kind that nobody knows is no obstacle; alone
        it belongs to no private key.
        """
        key = ed25519.Ed25519PrivateKey.generate()
        spki = bytes.fromhex("300506032b6570032100")
        strange = certificate("strange", LOWER, key)
        bad = patched(strange, (spki, spki.replace(b"\x2b\x65\x70", b"\x2b\x65\x60"))).certificate
        self.assertContext(
            SslStreamCertificateContext.fromPEM(
                self.file(certificatePEM(bad, LEAF.certificate) + keyPEM(LEAF.privateKey))
            ),
            intermediates=(bad,),
        )
        message = self.refused(
            SslStreamCertificateContext.fromPEM,
            self.file(certificatePEM(bad) + keyPEM(LEAF.privateKey)),
        )
        self.assertIn("a key that cannot be read (UnsupportedAlgorithm)", message)
        message = self.refused(SslStreamCertificateContext, bad, key)
        self.assertIn("a key that cannot be read (UnsupportedAlgorithm)", message)

    def test_strangers(self) -> None:
        """
        Certificates that are no issuers of the leaf follow in the file's order,
        but no roots.
        """
        stranger = Authority("Strange Root")
        path = self.file(
            keyPEM(LEAF.privateKey)
            + certificatePEM(
                OTHER.certificate,
                stranger.certificate,
                MIDDLE.certificate,
                LEAF.certificate,
                LOWER.certificate,
            )
        )
        self.assertContext(
            SslStreamCertificateContext.fromPEM(path),
            intermediates=(LOWER.certificate, MIDDLE.certificate, OTHER.certificate),
        )

    def test_issuersInCircle(self) -> None:
        """
        Authorities that have signed each other are each sent once.
        """
        one = Authority("One")
        two = Authority("Two", one)
        back = two.issue(subject="One", key=one.key)
        leaf = two.issue("leaf.example")
        path = self.file(
            keyPEM(leaf.privateKey)
            + certificatePEM(back.certificate, leaf.certificate, two.certificate)
        )
        self.assertContext(
            SslStreamCertificateContext.fromPEM(path),
            leaf,
            (two.certificate, back.certificate),
        )

    def test_selfSigned(self) -> None:
        """
        A leaf that is its own root is the leaf and no intermediate.
        """
        path = self.file(keyPEM(ROOT.key) + certificatePEM(ROOT.certificate))
        context = SslStreamCertificateContext.fromPEM(path)
        self.assertEqual(context.certificate, ROOT.certificate)
        self.assertEqual(context.intermediates, ())

    def test_twoFiles(self) -> None:
        """
        The key may be in a file of its own, and then one beside the certificate
        is not looked at.
        """
        key = self.file(keyPEM(LEAF.privateKey), "key.pem")
        for data in (b"", keyPEM(OTHER.privateKey)):
            path = self.file(data + certificatePEM(LEAF.certificate))
            self.assertContext(SslStreamCertificateContext.fromPEM(path, key))
            self.assertContext(SslStreamCertificateContext.fromPEM(str(path), str(key)))

    def test_password(self) -> None:
        """
        An encrypted key is read with its password, as text or bytes, in either
        format.
        """
        for format in PEM_FORMATS:
            path = self.file(
                certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey, PASSWORD, format)
            )
            for password in (PASSWORD, PASSWORD.encode()):
                self.assertContext(SslStreamCertificateContext.fromPEM(path, password=password))

    def test_wrongPassword(self) -> None:
        """
        A wrong password is refused.
        """
        for format in PEM_FORMATS:
            path = self.file(
                certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey, PASSWORD, format)
            )
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPEM, path, password=WRONG),
                f"{path}: the private key is damaged or the password is wrong",
            )

    def test_missingPassword(self) -> None:
        """
        Without a password, or with an empty one, an encrypted key is refused
        with that reason, in the name of the key's file.
        """
        certificate = self.file(certificatePEM(LEAF.certificate))
        for format in PEM_FORMATS:
            key = self.file(keyPEM(LEAF.privateKey, PASSWORD, format), "key.pem")
            for password in (None, "", b""):
                self.assertEqual(
                    self.refused(SslStreamCertificateContext.fromPEM, certificate, key, password),
                    f"{key}: the private key is encrypted: a password is needed",
                )

    def test_superfluousPassword(self) -> None:
        """
        A password for a key that has none is refused: somebody believes that it
        is protected.
        """
        for format in PEM_FORMATS:
            path = self.file(
                certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey, None, format)
            )
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPEM, path, password=PASSWORD),
                f"{path}: the private key is not encrypted: no password must be given",
            )

    def test_noKey(self) -> None:
        """
        A file without private key is refused; a public key is none.
        """
        public = LEAF.certificate.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        for data in (b"", public):
            path = self.file(certificatePEM(LEAF.certificate) + data)
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPEM, path),
                f"{path}: no private key in it",
            )

    def test_noCertificate(self) -> None:
        """
        A file without certificate is refused, though the key's file has one.
        """
        path = self.file(keyPEM(LEAF.privateKey))
        both = self.file(keyPEM(LEAF.privateKey) + certificatePEM(LEAF.certificate), "both.pem")
        self.assertEqual(
            self.refused(SslStreamCertificateContext.fromPEM, path, both),
            f"{path}: no certificate in it",
        )

    def test_missing(self) -> None:
        """
        Either file, if it does not exist, is named.
        """
        missing = self.directory / "none.pem"
        path = self.file(keyPEM(LEAF.privateKey) + certificatePEM(LEAF.certificate))
        for arguments in ((missing,), (missing, path), (path, missing)):
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPEM, *arguments),
                f"{missing}: No such file or directory",
            )

    def test_damagedKey(self) -> None:
        """
        A key whose content is no key is refused, and nothing of it is shown.
        """
        lines = keyPEM(LEAF.privateKey).splitlines(keepends=True)
        for damaged in (
            [lines[0], *lines[2:]],
            [lines[0], b"!" + lines[1], *lines[2:]],
            [lines[0], b"AAAA\n", *lines[1:]],
        ):
            path = self.file(certificatePEM(LEAF.certificate) + b"".join(damaged))
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPEM, path),
                f"{path}: the private key is damaged or the password is wrong",
            )

    def test_damagedCertificate(self) -> None:
        """
        A damaged certificate is refused, and nothing of the key beside it is
        shown.
        """
        for damaged in (
            certificatePEM(LEAF.certificate)[:-30] + b"\n",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ):
            for data in (damaged + keyPEM(LEAF.privateKey), keyPEM(LEAF.privateKey) + damaged):
                path = self.file(data)
                message = self.refused(SslStreamCertificateContext.fromPEM, path)
                self.assertTrue(message.startswith(f"{path}: damaged certificate: "), message)

    def test_noSigningKey(self) -> None:
        """
        A key that cannot sign is refused, in the name of its file.
        """
        path = self.file(
            certificatePEM(LEAF.certificate) + keyPEM(x25519.X25519PrivateKey.generate())
        )
        self.assertEqual(
            self.refused(SslStreamCertificateContext.fromPEM, path),
            f"{path}: the private key cannot sign",
        )

    def test_wrongKey(self) -> None:
        """
        A key that belongs to none of the certificates is refused, and the error
        names both files and the fingerprints of all public keys.
        """
        path = self.file(certificatePEM(OTHER.certificate, ROOT.certificate))
        key = self.file(keyPEM(LEAF.privateKey), "key.pem")
        theirs = [
            keyFingerprint(each.public_key()) for each in (OTHER.certificate, ROOT.certificate)
        ]
        self.assertEqual(
            self.refused(SslStreamCertificateContext.fromPEM, path, key),
            f"{path}: no certificate belongs to the private key of {key}: public key SHA-256 "
            f"{keyFingerprint(LEAF.privateKey.public_key())} of the private key, "
            f"{', '.join(theirs)} in the certificates",
        )


class PasswordCallbackTests(CertificatesTestCase):
    """
    Tests for callbacks that are asked for passwords, of either kind of file.
    """

    def setUp(self) -> None:
        """
        Nobody has been asked yet.
        """
        super().setUp()
        self.asked: list[str] = []

    def loaders(self, password: str | None = PASSWORD) -> Iterator[tuple[Path, Callable[..., Any]]]:
        """
        @param password: what protects the keys.
        @return: each file with a key, and what loads it with a callback.
        """
        load = SslStreamCertificateContext.fromPEM
        for format in PEM_FORMATS:
            key = keyPEM(LEAF.privateKey, password, format)
            path = self.file(certificatePEM(LEAF.certificate) + key)
            yield path, partial(load, path, None)
            path = self.file(key, "key.pem")
            yield path, partial(load, self.file(certificatePEM(LEAF.certificate)), path)
        path = self.file(pfx(LEAF, password), "some.pfx")
        yield path, partial(SslStreamCertificateContext.fromPFX, path)

    def answer(self, answer: Any) -> Callable[[str], Any]:
        """
        @return: a callback with this answer.
        """

        def callback(path: str) -> Any:
            self.asked.append(path)
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer

        return callback

    def test_answers(self) -> None:
        """
        A callback is asked once, with the path of the file that is encrypted,
        and answers with text or bytes, or a Deferred or coroutine of them.
        """

        async def late() -> str:
            return PASSWORD

        answers: tuple[Any, ...] = (PASSWORD, PASSWORD.encode(), lambda: succeed(PASSWORD), late)
        for answer in answers:
            for path, load in self.loaders():
                self.asked.clear()
                self.assertContext(load(self.answer(answer)))
                self.assertEqual(self.asked, [str(path)])

    def test_notEncrypted(self) -> None:
        """
        For a file that is not encrypted nobody is asked.
        """
        for _, load in self.loaders(None):
            self.assertContext(load(self.answer(PASSWORD)))
        self.assertEqual(self.asked, [])

    def test_damaged(self) -> None:
        """
        For a file that cannot be read with any password nobody is asked.
        """
        for path, load in self.loaders():
            good = path.read_bytes()
            marker = good.find(b"-----BEGIN ") == 0
            damaged = good[: len(good) // 2]
            if marker:
                key = keyPEM(LEAF.privateKey).splitlines(keepends=True)
                damaged = certificatePEM(LEAF.certificate) + b"".join([key[0], *key[2:]])
            path.write_bytes(damaged)
            message = self.refused(load, self.answer(PASSWORD))
            self.assertTrue(message.startswith(f"{path}: "), message)
        self.assertEqual(self.asked, [])

    def test_wrong(self) -> None:
        """
        A wrong answer is refused.
        """
        for path, load in self.loaders():
            self.assertRegex(
                self.refused(load, self.answer(WRONG)), f"^{path}: .*the password is wrong$"
            )

    def test_nothing(self) -> None:
        """
        No answer, or an empty one, is no password.
        """
        for answer in (None, "", b""):
            for path, load in self.loaders():
                message = self.refused(load, self.answer(answer))
                self.assertRegex(message, f"^{path}: .*a password is needed|the password is wrong$")

    def test_fails(self) -> None:
        """
        A callback that fails is refused with the kind of its error, whose words
        are kept back: they may quote the password.
        """
        error = OSError(f"{PASSWORD} {WRONG}")
        answers: tuple[Any, ...] = (error, lambda: fail(error))
        for answer in answers:
            for path, load in self.loaders():
                self.assertEqual(
                    self.refused(load, self.answer(answer)),
                    f"{path}: the password callback failed: OSError",
                )

    def test_late(self) -> None:
        """
        A callback whose answer is not there at once is refused, and its
        Deferred is cancelled.
        """
        cancelled: list[object] = []

        async def late() -> str:
            await Deferred(cancelled.append)
            raise AssertionError("cancelled")

        def resist(deferred: object) -> None:
            cancelled.append(deferred)
            raise AssertionError("not me")

        answers: tuple[Any, ...] = (
            lambda: Deferred(cancelled.append),
            lambda: Deferred(resist),
            late,
        )
        for answer in answers:
            for path, load in self.loaders():
                cancelled.clear()
                self.assertEqual(
                    self.refused(load, self.answer(answer)),
                    f"{path}: loading cannot wait for the password callback's answer",
                )
                self.assertEqual(len(cancelled), 1)

    def test_otherTypes(self) -> None:
        """
        An answer that is no password is refused, with its type.
        """
        for answer in (5, True, [PASSWORD]):
            for path, load in self.loaders():
                self.assertEqual(
                    self.refused(load, self.answer(answer)),
                    f"{path}: the password callback must answer with text or bytes, "
                    f"not {type(answer).__name__}",
                )


class PasswordFromTests(CertificatesTestCase):
    """
    L{passwordFrom}.
    """

    def test_firstLine(self) -> None:
        """
        A password is the first line of its file, without the line's end.
        """
        password = PASSWORD.encode()
        for end in (b"", b"\n", b"\r\n", b"\nno more\n", b"\n\n"):
            self.assertEqual(passwordFrom(self.file(password + end)), password)
        self.assertEqual(passwordFrom(self.file(b" a b \n")), b" a b ")

    def test_bad(self) -> None:
        """
        A file that cannot be read, or begins with an empty line, is refused by
        name.
        """
        missing = self.directory / "missing"
        said = self.refused(passwordFrom, missing)
        self.assertEqual(said, f"{missing}: No such file or directory")
        for data in (b"", b"\n", f"\n{PASSWORD}\n".encode()):
            path = self.file(data)
            said = self.refused(passwordFrom, path)
            self.assertEqual(said, f"{path}: no password in the first line")


class FetchingTests(CertificatesTestCase):
    """
    Tests for what is fetched for contexts from files.
    """

    def test_options(self) -> None:
        """
        Whether something is fetched, and by what, is as it is said, online with
        the default otherwise.
        """
        retriever = HttpRetriever()
        pem = self.file(certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey))
        for load, path in (
            (SslStreamCertificateContext.fromPEM, pem),
            (SslStreamCertificateContext.fromPFX, self.file(pfx(LEAF), "some.pfx")),
        ):
            context = load(path)
            self.assertEqual((context.offline, context.retriever), (False, None))
            told = load(path, offline=True, retriever=retriever)
            self.assertEqual((told.offline, told.retriever), (True, retriever))


class FromPFXTests(CertificatesTestCase):
    """
    Tests for L{SslStreamCertificateContext.fromPFX}.
    """

    def test_password(self) -> None:
        """
        A file is read with its password, as text or bytes.
        """
        path = self.file(pfx(LEAF, PASSWORD))
        for password in (PASSWORD, PASSWORD.encode()):
            self.assertContext(SslStreamCertificateContext.fromPFX(path, password))

    def test_noPassword(self) -> None:
        """
        A file without password is read without, or with an empty one.
        """
        path = self.file(pfx(LEAF))
        for password in (None, "", b""):
            self.assertContext(SslStreamCertificateContext.fromPFX(str(path), password))

    def test_wrongPassword(self) -> None:
        """
        A wrong, a missing and a superfluous password are refused.
        """
        for protection, password in (
            (PASSWORD, WRONG),
            (PASSWORD, None),
            (PASSWORD, ""),
            (None, PASSWORD),
        ):
            path = self.file(pfx(LEAF, protection))
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPFX, path, password),
                f"{path}: not a PKCS#12 file, or the password is wrong",
            )

    def test_everyOrder(self) -> None:
        """
        The issuers are put in order, and the root is left out.
        """
        for others in permutations(ISSUERS):
            path = self.file(pfx(LEAF, None, *others))
            self.assertContext(
                SslStreamCertificateContext.fromPFX(path),
                intermediates=(LOWER.certificate, MIDDLE.certificate),
            )

    def test_incomplete(self) -> None:
        """
        A file that lacks the key or the certificate is refused.
        """
        for data in (pfx(LEAF, key=False), pfx(LEAF, certificate=False)):
            path = self.file(data)
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPFX, path),
                f"{path}: it must hold a certificate and its private key",
            )

    def test_damaged(self) -> None:
        """
        A file that is cut short, changed or something else is refused.
        """
        good = pfx(LEAF)
        for data in (
            b"",
            b"junk",
            good[:-1],
            good[: len(good) // 2],
            good[:100] + b"\0" + good[101:],
            keyPEM(LEAF.privateKey) + certificatePEM(LEAF.certificate),
        ):
            path = self.file(data)
            self.assertEqual(
                self.refused(SslStreamCertificateContext.fromPFX, path),
                f"{path}: not a PKCS#12 file, or the password is wrong",
            )

    def test_missing(self) -> None:
        """
        A file that does not exist is not blamed on the password.
        """
        path = self.directory / "none.pfx"
        self.assertEqual(
            self.refused(SslStreamCertificateContext.fromPFX, path, PASSWORD),
            f"{path}: No such file or directory",
        )


class CreateTests(CertificatesTestCase):
    """
    Tests for L{SslStreamCertificateContext.create}.
    """

    def forms(self) -> list[Any]:
        """
        @return: everything that holds L{LEAF}'s certificate and key alone.
        """
        pem = certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey)
        private = ssl.PrivateCertificate.loadPEM(pem)
        path = self.file(pem)
        return [
            SslStreamCertificateContext(LEAF.certificate, LEAF.privateKey),
            private,
            (LEAF.certificate, LEAF.privateKey),
            (private, private.privateKey),
            (path, LEAF.privateKey),
            path,
            str(path),
            self.file(pfx(LEAF), "some.pfx"),
        ]

    def test_everyForm(self) -> None:
        """
        Everything that holds a certificate with its key makes the same context.
        """
        for form in self.forms():
            self.assertContext(SslStreamCertificateContext.create(form))

    def test_additional(self) -> None:
        """
        Additional certificates are sent as well.
        """
        for form in self.forms():
            context = SslStreamCertificateContext.create(form, [LOWER.certificate])
            self.assertContext(context, intermediates=(LOWER.certificate,))

    def test_additionalAfter(self) -> None:
        """
        Additional certificates follow those that a context has, which itself
        stays as it is.
        """
        context = SslStreamCertificateContext(
            LEAF.certificate, LEAF.privateKey, [LOWER.certificate]
        )
        more = SslStreamCertificateContext.create(context, iter([MIDDLE.certificate]))
        self.assertContext(more, intermediates=(LOWER.certificate, MIDDLE.certificate))
        self.assertContext(context, intermediates=(LOWER.certificate,))

    def test_same(self) -> None:
        """
        A context is taken as it is, and is what it presents.
        """
        self.assertIs(LEAF.current, LEAF)
        self.assertIs(SslStreamCertificateContext.create(LEAF), LEAF)
        self.assertIs(SslStreamCertificateContext.create(LEAF, offline=True), LEAF)

    def test_offline(self) -> None:
        """
        Whether something is fetched, and by what, is as it is said, online with
        the default otherwise; a context stays as it is, also with additional
        certificates.
        """
        retriever = HttpRetriever()
        for form in self.forms():
            context = SslStreamCertificateContext.create(form)
            self.assertEqual((context.offline, context.retriever), (False, None))
            told = SslStreamCertificateContext.create(form, offline=True, retriever=retriever)
            isOne = isinstance(form, SslStreamCertificateContext)
            self.assertEqual(
                (told.offline, told.retriever), (False, None) if isOne else (True, retriever)
            )
        more = SslStreamCertificateContext.create(
            SslStreamCertificateContext(
                LEAF.certificate, LEAF.privateKey, offline=True, retriever=retriever
            ),
            [LOWER.certificate],
        )
        self.assertEqual((more.offline, more.retriever), (True, retriever))

    def test_noKey(self) -> None:
        """
        A certificate without a key is refused, in every form.
        """
        pem = certificatePEM(LEAF.certificate)
        for form, name in (
            (LEAF.certificate, "Certificate"),
            (ssl.Certificate.loadPEM(pem), "Certificate"),
            ((LEAF.certificate, LEAF.privateKey, ISSUERS), "tuple"),
            (None, "NoneType"),
        ):
            self.assertEqual(
                self.refused(SslStreamCertificateContext.create, form),
                f"no private key in a {name}",
            )
        path = self.file(pem)
        self.assertEqual(
            self.refused(SslStreamCertificateContext.create, path), f"{path}: no private key in it"
        )

    def test_encrypted(self) -> None:
        """
        A file that needs a password is refused.
        """
        pem = self.file(certificatePEM(LEAF.certificate) + keyPEM(LEAF.privateKey, PASSWORD))
        self.assertIn("a password is needed", self.refused(SslStreamCertificateContext.create, pem))
        path = self.file(pfx(LEAF, PASSWORD), "some.pfx")
        self.assertIn(
            "the password is wrong", self.refused(SslStreamCertificateContext.create, path)
        )

    def test_missing(self) -> None:
        """
        A file that does not exist is named.
        """
        for path in (Path("none.pem"), "none.pfx"):
            self.assertEqual(
                self.refused(SslStreamCertificateContext.create, path),
                f"{path}: No such file or directory",
            )

    def test_wrongPair(self) -> None:
        """
        A pair whose key belongs to another certificate is refused.
        """
        self.assertIn(
            "the private key does not belong to the certificate",
            self.refused(SslStreamCertificateContext.create, (OTHER.certificate, LEAF.privateKey)),
        )
