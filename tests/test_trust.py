"""
Tests for L{txsslstream.trust}: which roots are trusted, and that no others are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import ssl
from twisted.trial.unittest import SynchronousTestCase

from tests.files import FilesMixin
from tests.support import AUTHORITY, CLIENT, SERVER
from txsslstream import (
    AuthenticationError,
    CertificateError,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    StoreName,
    TlsAlert,
    X509ChainStatusFlags,
    X509Store,
)
from txsslstream.certificates import SomeCertificate
from txsslstream.testing import Authority, StreamPair, certificatePEM, perVersion

OTHERS = (Authority("Other Root"), Authority("Third Root"))


def certificates(*authorities: Authority) -> tuple[x509.Certificate, ...]:
    """
    @return: their certificates, as a trust has them.
    """
    return tuple(each.certificate for each in authorities)


class TrustTests(FilesMixin, SynchronousTestCase):
    """
    Tests for L{SslCertificateTrust}.
    """

    def test_system(self) -> None:
        """
        The system's trust names no certificates: they are looked up anew for
        each peer.
        """
        trust = SslCertificateTrust.system()
        self.assertIsNone(trust.certificates)
        self.assertFalse(trust.sendTrustInHandshake)
        self.assertEqual(trust, SslCertificateTrust.system())

    def test_noPlace(self) -> None:
        """
        A path that no file can have is refused as any other that cannot be read.
        """
        for path in ("x" * 5000, f"{self.directory}/a\0b", self.file(b"") / "below"):
            error = self.assertRaises(CertificateError, SslCertificateTrust.fromPEM, path)
            self.assertTrue(str(error))

    def test_everyForm(self) -> None:
        """
        A root is taken in every accepted form of a certificate.
        """
        path = self.file(certificatePEM(AUTHORITY.certificate))
        for form in (
            AUTHORITY.certificate,
            path,
            str(path),
            self.file(AUTHORITY.certificate.public_bytes(Encoding.DER), "root.cer"),
            ssl.Certificate.loadPEM(certificatePEM(AUTHORITY.certificate)),
        ):
            for argument in (form, [form]):
                trust = SslCertificateTrust.fromCertificates(argument)
                self.assertEqual(trust.certificates, certificates(AUTHORITY))

    def test_several(self) -> None:
        """
        All roots are kept in their order, also those that share a file, and any
        iterable will do.
        """
        path = self.file(certificatePEM(*certificates(*OTHERS)))
        roots: list[SomeCertificate] = [path, AUTHORITY.certificate]
        trust = SslCertificateTrust.fromCertificates(iter(roots))
        self.assertEqual(trust.certificates, certificates(*OTHERS, AUTHORITY))
        for each in (path, str(path)):
            trust = SslCertificateTrust.fromCertificates(each)
            self.assertEqual(trust.certificates, certificates(*OTHERS))

    def test_file(self) -> None:
        """
        A PEM file gives all of its certificates.
        """
        path = self.file(certificatePEM(*certificates(AUTHORITY, *OTHERS)))
        for each in (path, str(path)):
            trust = SslCertificateTrust.fromPEM(each)
            self.assertEqual(trust.certificates, certificates(AUTHORITY, *OTHERS))

    def test_directory(self) -> None:
        """
        A directory gives the certificates of its C{.pem} and C{.crt} files in
        the order of their names, and nothing else that is in it.
        """
        self.file(certificatePEM(OTHERS[0].certificate), "b.crt")
        self.file(certificatePEM(AUTHORITY.certificate), "a.pem")
        self.file(certificatePEM(OTHERS[1].certificate), "c.txt")
        self.file(b"no certificate", "README")
        for each in (self.directory, str(self.directory)):
            trust = SslCertificateTrust.fromPEM(each)
            self.assertEqual(trust.certificates, certificates(AUTHORITY, OTHERS[0]))

    def store(self, *authorities: Authority) -> X509Store:
        """
        @return: a store with their certificates.
        """
        store = X509Store(StoreName.Root, path=self.directory / "store")
        for each in authorities:
            store.add(each.certificate)
        return store

    def test_store(self) -> None:
        """
        A store gives the certificates that are in it at the time, and no
        later ones.
        """
        store = self.store(*OTHERS)
        trust = SslCertificateTrust.fromStore(store)
        self.assertEqual(set(trust.certificates or ()), set(certificates(*OTHERS)))
        store.add(AUTHORITY.certificate)
        self.assertEqual(set(trust.certificates or ()), set(certificates(*OTHERS)))
        self.assertEqual(
            set(SslCertificateTrust.fromStore(store).certificates or ()),
            set(certificates(*OTHERS, AUTHORITY)),
        )

    def test_emptyStore(self) -> None:
        """
        A store without certificates, or one that does not exist, is refused.
        """
        (self.directory / "empty").mkdir()
        for name in ("empty", "none"):
            store = X509Store(StoreName.Root, path=self.directory / name)
            error = self.assertRaises(CertificateError, SslCertificateTrust.fromStore, store)
            self.assertIn("an empty trust", str(error))

    def test_sendTrustInHandshake(self) -> None:
        """
        Whether the roots are named to clients is up to the caller, and not done
        unless asked for.
        """
        path = self.file(certificatePEM(AUTHORITY.certificate))
        makers: tuple[tuple[Callable[..., SslCertificateTrust], Any], ...] = (
            (SslCertificateTrust.fromCertificates, [AUTHORITY.certificate]),
            (SslCertificateTrust.fromPEM, path),
            (SslCertificateTrust.fromPEM, self.directory),
            (SslCertificateTrust.fromStore, self.store(AUTHORITY)),
        )
        for make, argument in makers:
            self.assertFalse(make(argument).sendTrustInHandshake)
            self.assertTrue(make(argument, sendTrustInHandshake=True).sendTrustInHandshake)

    def test_empty(self) -> None:
        """
        A trust in nobody is refused, however it is made.
        """
        for make in (
            lambda: SslCertificateTrust.fromCertificates([]),
            lambda: SslCertificateTrust(()),
        ):
            error = self.assertRaises(CertificateError, make)
            self.assertIn("an empty trust", str(error))

    def test_emptyDirectory(self) -> None:
        """
        A directory without certificates is refused, by name.
        """
        self.file(certificatePEM(AUTHORITY.certificate), "root.txt")
        error = self.assertRaises(CertificateError, SslCertificateTrust.fromPEM, self.directory)
        self.assertEqual(str(error), f"{self.directory}: no .pem or .crt file in it")

    def test_missing(self) -> None:
        """
        A file that does not exist is refused, by name.
        """
        path = self.directory / "none.pem"
        error = self.assertRaises(CertificateError, SslCertificateTrust.fromPEM, path)
        self.assertEqual(str(error), f"{path}: No such file or directory")

    def test_damaged(self) -> None:
        """
        One file that cannot be used spoils the directory: no root is silently
        left out.
        """
        self.file(certificatePEM(AUTHORITY.certificate), "a.pem")
        for data, reason in (
            (b"-----BEGIN nothing", "no certificate in it"),
            (certificatePEM(OTHERS[0].certificate)[:-30], "damaged certificate"),
        ):
            path = self.file(data, "b.pem")
            error = self.assertRaises(CertificateError, SslCertificateTrust.fromPEM, self.directory)
            self.assertIn(f"{path}: {reason}", str(error))

    def test_value(self) -> None:
        """
        Trusts of the same roots in the same order are equal and have the same
        hash; any difference makes them different.
        """
        path = self.file(certificatePEM(*certificates(AUTHORITY, *OTHERS)))
        one = SslCertificateTrust.fromCertificates(certificates(AUTHORITY, *OTHERS))
        same = SslCertificateTrust.fromPEM(path)
        self.assertEqual(one, same)
        self.assertEqual(hash(one), hash(same))
        different = {
            one,
            SslCertificateTrust.fromPEM(path, sendTrustInHandshake=True),
            SslCertificateTrust.fromCertificates(certificates(*OTHERS, AUTHORITY)),
            SslCertificateTrust.fromCertificates(certificates(AUTHORITY)),
            SslCertificateTrust.system(),
        }
        self.assertEqual(len(different), 5)

    def test_frozen(self) -> None:
        """
        A trust cannot be changed.
        """
        with self.assertRaises(FrozenInstanceError):
            AUTHORITY.trust.certificates = None  # type: ignore[misc]

    def test_repr(self) -> None:
        """
        A trust shows how much it is.
        """
        self.assertEqual(repr(SslCertificateTrust.system()), "<SslCertificateTrust system>")
        self.assertEqual(
            repr(SslCertificateTrust.fromCertificates(certificates(*OTHERS))),
            "<SslCertificateTrust 2 certificates>",
        )


@perVersion()
class TrustingHandshakeTests(FilesMixin):
    """
    What a trust means to a handshake.
    """

    version: SslProtocols
    segment: int

    def handshake(self, role: str, trust: SslCertificateTrust | None) -> tuple[Any, Any]:
        """
        Authenticate, each side with a certificate of L{AUTHORITY}.

        @param role: who has the trust.
        @return: the Deferreds of who has it, and of the other.
        """
        client: dict[str, Any] = {"clientCertificateContext": CLIENT}
        server: dict[str, Any] = {"clientCertificateRequired": True}
        (client if role == "client" else server)["trust"] = trust
        self.pair = StreamPair(self.segment)
        outcomes = self.pair.authenticate(self.version, client, server)
        return outcomes if role == "client" else outcomes[::-1]

    def assertUntrusted(self, role: str, trust: SslCertificateTrust | None) -> None:
        """
        Check that a handshake is refused for its trust alone.
        """
        decided, other = self.handshake(role, trust)
        error = self.failureResultOf(decided, AuthenticationError).value
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(error.chainStatus, X509ChainStatusFlags.PartialChain)
        self.assertEqual(error.alertSent, TlsAlert.unknown_ca)
        if role == "server" and self.version is SslProtocols.Tls13:
            # The client has finished before the server judges it.
            self.successResultOf(other)
            told = self.pair.client.read()
            self.pair.wire.flush()
        else:
            told = other
        error = self.failureResultOf(told, AuthenticationError).value
        self.assertEqual(error.alert, TlsAlert.unknown_ca)

    def test_theseRoots(self) -> None:
        """
        A certificate of any of the roots is accepted, wherever those are from.
        """
        roots = certificates(*OTHERS, AUTHORITY)
        store = X509Store(StoreName.Root, path=self.directory / "store")
        for root in roots:
            store.add(root)
        path = self.file(certificatePEM(*roots))
        for trust in (
            SslCertificateTrust.fromCertificates(roots),
            SslCertificateTrust.fromCertificates(str(path)),
            SslCertificateTrust.fromStore(store),
        ):
            for role in ("client", "server"):
                for each in self.handshake(role, trust):
                    self.successResultOf(each)

    def test_noOthers(self) -> None:
        """
        A certificate of none of the roots is refused as C{unknown_ca}.
        """
        trust = SslCertificateTrust.fromCertificates(certificates(*OTHERS))
        for role in ("client", "server"):
            self.assertUntrusted(role, trust)

    def test_environment(self) -> None:
        """
        The system's trust is what C{SSL_CERT_FILE} says at the time: the roots
        in that file and no others, with and without C{SslCertificateTrust}.
        """
        mine = self.file(certificatePEM(AUTHORITY.certificate), "mine.pem")
        others = self.file(certificatePEM(*certificates(*OTHERS)), "others.pem")
        before = os.environ.get("SSL_CERT_FILE")
        self.addCleanup(self.setFile, before)
        for trust in (None, SslCertificateTrust.system()):
            for role in ("client", "server"):
                self.setFile(str(mine))
                for each in self.handshake(role, trust):
                    self.successResultOf(each)
                self.setFile(str(others))
                self.assertUntrusted(role, trust)

    def setFile(self, path: str | None) -> None:
        """
        Set OpenSSL's variable.
        """
        if path is None:
            os.environ.pop("SSL_CERT_FILE", None)
        else:
            os.environ["SSL_CERT_FILE"] = path

    def test_sendTrustInHandshake(self) -> None:
        """
        A server names its roots to the client in their order if its trust says
        so, and nobody otherwise.
        """
        roots = certificates(*OTHERS, AUTHORITY)
        for isSent in (True, False):
            asked: list[Any] = []

            def select(*arguments: Any, asked: list[Any] = asked) -> Any:
                asked.append(arguments[4])
                return CLIENT

            pair = StreamPair(self.segment)
            for each in pair.authenticate(
                self.version,
                client={"localCertificateSelectionCallback": select},
                server={
                    "clientCertificateRequired": True,
                    "trust": SslCertificateTrust.fromCertificates(roots, isSent),
                },
            ):
                self.successResultOf(each)
            self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate)
            self.assertEqual(pair.client.remoteCertificate, SERVER.certificate)
            expected = tuple(root.subject.rfc4514_string() for root in roots) if isSent else ()
            # Before the hello nobody has been named.
            self.assertEqual(asked, [(), expected])
