"""
Tests for L{txsslstream.devcert}: the development certificate's files, their renewal, and what it
is good for.
"""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import trustme
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStreamCertificateContext,
    TlsAlert,
    X509ChainStatusFlags,
)
from txsslstream.devcert import RENEWAL, VALIDITY, DevelopmentCertificate, defaultDirectory
from txsslstream.testing import NOW, StreamPair, certificatePEM, keyPEM, perVersion
from txsslstream.testing.issuing import certificate

from .programs import temporaryDirectory
from .support import AUTHORITY

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

PUBLIC = "authority.pem"
PRIVATE = "authority-private.pem"
LEAF = "localhost.pem"
SECOND = datetime.timedelta(seconds=1)


class FilesTests(SynchronousTestCase):
    """
    Tests for the files of a L{DevelopmentCertificate}.
    """

    def setUp(self) -> None:
        """
        A directory that is not there yet.
        """
        self.directory = temporaryDirectory(self) / "new" / "development"

    def load(self, now: datetime.datetime = NOW) -> SslStreamCertificateContext:
        """
        Load as a program does that has just been started.
        """
        return DevelopmentCertificate(self.directory).load(now)

    def files(self) -> dict[str, bytes]:
        """
        All files with their content.
        """
        return {each.name: each.read_bytes() for each in self.directory.iterdir()}

    def assertReplaced(self, now: datetime.datetime = NOW) -> None:
        """
        The next start replaces the certificate, and nothing else.
        """
        before = self.files()
        made = self.load(now)
        after = self.files()
        self.assertNotEqual(after.pop(LEAF), before.pop(LEAF))
        self.assertEqual(after, before)
        self.assertEqual(self.load(now), made)
        made.certificate.verify_directly_issued_by(self.authority().certificate)

    def authority(self) -> SslStreamCertificateContext:
        """
        The authority with its key.
        """
        return SslStreamCertificateContext.fromPEM(self.directory / PRIVATE)

    def test_madeOnce(self) -> None:
        """
        The first start makes the files, and later ones use them.
        """
        made = self.load()
        files = self.files()
        self.assertEqual(set(files), {PUBLIC, PRIVATE, LEAF})
        self.assertEqual(self.load(), made)
        self.assertEqual(self.files(), files)

    def test_modes(self) -> None:
        """
        Only the user can read the files or list the directory, whatever the
        umask.
        """
        self.addCleanup(os.umask, os.umask(0))
        self.load()
        modes = {each: each.stat().st_mode & 0o7777 for each in self.directory.iterdir()}
        self.assertEqual(set(modes.values()), {0o600}, modes)
        self.assertEqual(self.directory.stat().st_mode & 0o7777, 0o700)

    def test_publicAuthority(self) -> None:
        """
        The file that clients trust holds the authority's certificate and no
        private key.
        """
        self.load()
        public = DevelopmentCertificate(self.directory).authorityPath.read_bytes()
        self.assertNotIn(b"PRIVATE KEY", public)
        self.assertEqual(
            SslCertificateTrust.fromPEM(self.directory / PUBLIC).certificates,
            (self.authority().certificate,),
        )

    def test_noAuthority(self) -> None:
        """
        A certificate with its key that cannot issue others is refused in the
        place of the authority, by name.
        """
        self.load()
        (self.directory / LEAF).unlink()
        path = self.directory / PRIVATE
        # Without an identifier of its key.
        nobody = certificate("nobody")
        own = SslStreamCertificateContext(nobody.certificate, nobody.key)
        path.write_bytes(certificatePEM(own.certificate) + keyPEM(own))
        error = self.assertRaises(CertificateError, self.load)
        self.assertEqual(str(error)[: len(str(path)) + 2], f"{path}: ")
        self.assertIn("no authority to issue certificates", str(error))
        self.assertFalse((self.directory / LEAF).exists())

    def test_lostPublicAuthority(self) -> None:
        """
        The authority's public file is put right if it is missing or another's.
        """
        self.load()
        files = self.files()
        path = self.directory / PUBLIC
        path.unlink()
        self.load()
        self.assertEqual(self.files(), files)
        path.write_bytes(trustme.CA().cert_pem.bytes())
        self.load()
        self.assertEqual(self.files(), files)

    def test_renewed(self) -> None:
        """
        A certificate is replaced when no more than 30 days are left of its 90,
        and kept before that.
        """
        made = self.load()
        end = made.certificate.not_valid_after_utc
        self.assertEqual((VALIDITY.days, RENEWAL.days), (90, 30))
        self.assertEqual(end, NOW + VALIDITY)
        self.assertEqual(self.load(end - RENEWAL - SECOND), made)
        self.assertReplaced(end - RENEWAL)
        renewed = self.load(end - RENEWAL).certificate
        self.assertEqual(renewed.not_valid_after_utc, end - RENEWAL + VALIDITY)

    def test_clock(self) -> None:
        """
        Without a time the system's clock decides.
        """
        self.load(datetime.datetime.now(datetime.timezone.utc) + RENEWAL - VALIDITY)
        before = self.files()[LEAF]
        DevelopmentCertificate(self.directory).load()
        self.assertNotEqual(self.files()[LEAF], before)

    def test_notYetValid(self) -> None:
        """
        A certificate that is not valid yet is replaced.
        """
        self.load()
        authority = (self.directory / PRIVATE).read_bytes()
        leaf = trustme.CA.from_pem(authority, authority).issue_cert(
            "localhost", not_before=NOW + SECOND, not_after=NOW + VALIDITY
        )
        (self.directory / LEAF).write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        kept = self.files()
        self.load(NOW + SECOND)
        self.assertEqual(self.files(), kept)
        self.assertReplaced()

    def test_leafOfAnotherAuthority(self) -> None:
        """
        A certificate that another authority has signed is replaced.
        """
        self.load()
        other = DevelopmentCertificate(temporaryDirectory(self))
        other.load(NOW)
        (self.directory / LEAF).write_bytes((other.authorityPath.parent / LEAF).read_bytes())
        self.assertReplaced()

    def test_damagedLeaf(self) -> None:
        """
        A certificate that is damaged, or whose key is lost, is replaced.
        """
        self.load()
        path = self.directory / LEAF
        whole = path.read_bytes()
        withoutKey = whole[whole.index(b"-----BEGIN CERTIFICATE") :]
        for damaged in (b"", b"nonsense", whole[:-100], withoutKey):
            path.write_bytes(damaged)
            self.assertReplaced()

    def test_lostLeaf(self) -> None:
        """
        A missing certificate is made by the authority that is there.
        """
        self.load()
        authority = self.authority()
        (self.directory / LEAF).unlink()
        self.load().certificate.verify_directly_issued_by(authority.certificate)

    def test_damagedAuthority(self) -> None:
        """
        An authority that cannot be used is reported by its file's name, and
        nothing is overwritten: clients may trust it.
        """
        self.load()
        path = self.directory / PRIVATE
        whole = path.read_bytes()
        certificate = whole.index(b"-----BEGIN CERTIFICATE")
        other = trustme.CA().cert_pem.bytes()
        damages = (
            b"",
            b"nonsense",
            whole[:-100],
            whole[:certificate],
            whole[certificate:],
            whole[:certificate] + other,
            other + whole,
        )
        for damaged in damages:
            path.write_bytes(damaged)
            files = self.files()
            self.assertIn(str(path), str(self.assertRaises(CertificateError, self.load)))
            self.assertEqual(self.files(), files)
        path.write_bytes(whole)
        self.load()

    def test_unusableDirectory(self) -> None:
        """
        A directory that cannot be made is reported by its name.
        """
        self.directory.parent.mkdir()
        self.directory.write_bytes(b"")
        error = self.assertRaises(CertificateError, self.load)
        self.assertEqual(str(error), f"{self.directory}: File exists")
        self.directory = self.directory / "below"
        error = self.assertRaises(CertificateError, self.load)
        self.assertEqual(str(error), f"{self.directory}: Not a directory")

    def test_unusableFile(self) -> None:
        """
        A file that cannot be put in its place is reported by its name, and
        leaves nothing else behind.
        """
        self.load()
        for name in (LEAF, PUBLIC, PRIVATE):
            path = self.directory / name
            path.unlink()
            path.mkdir()
            error = self.assertRaises(CertificateError, self.load)
            self.assertEqual(str(error), f"{path}: Is a directory")
            self.assertEqual(set(os.listdir(self.directory)), {PUBLIC, PRIVATE, LEAF})
            path.rmdir()
            self.load()


class DefaultDirectoryTests(SynchronousTestCase):
    """
    Tests for L{defaultDirectory}.
    """

    def test_dataHome(self) -> None:
        """
        The files are in the user's data directory, which C{XDG_DATA_HOME} names.
        """
        home = temporaryDirectory(self)
        environment = patch.dict(os.environ, XDG_DATA_HOME=str(home))
        environment.start()
        self.addCleanup(environment.stop)
        directory = home / "txsslstream" / "development"
        self.assertEqual(defaultDirectory(), directory)
        self.assertEqual(DevelopmentCertificate().authorityPath, directory / PUBLIC)
        self.assertEqual(os.listdir(home), [])
        DevelopmentCertificate().load()
        self.assertEqual(set(os.listdir(directory)), {PUBLIC, PRIVATE, LEAF})


@perVersion()
class AcceptanceTests(Case):
    """
    Tests for what clients make of the certificate.
    """

    version: SslProtocols
    segment: int

    def setUp(self) -> None:
        """
        A certificate.
        """
        self.development = DevelopmentCertificate(temporaryDirectory(self))
        self.context = self.development.load()

    def authenticate(
        self, targetHost: str, trust: SslCertificateTrust
    ) -> tuple[Deferred[Any], Deferred[Any]]:
        """
        Have a client with no other options authenticate the certificate.
        """
        return StreamPair(self.segment).authenticate(
            self.version,
            {"targetHost": targetHost, "trust": trust},
            {"serverCertificate": self.context},
        )

    def trust(self) -> SslCertificateTrust:
        """
        Trust as users are told to.
        """
        return SslCertificateTrust.fromPEM(self.development.authorityPath)

    def assertRefused(
        self,
        sides: tuple[Deferred[Any], Deferred[Any]],
        errors: SslPolicyErrors,
        status: X509ChainStatusFlags,
        alert: TlsAlert,
    ) -> None:
        """
        The client has refused the certificate for one reason, and the server
        knows.
        """
        client, server = (self.failureResultOf(each, AuthenticationError).value for each in sides)
        self.assertEqual((client.sslPolicyErrors, client.chainStatus), (errors, status))
        self.assertEqual((client.alert, client.alertSent), (None, alert))
        self.assertEqual((server.alert, server.alertSent), (alert, None))

    def test_accepted(self) -> None:
        """
        A client that trusts the authority accepts the certificate for each of
        the machine's own names.
        """
        for name in ("localhost", "127.0.0.1", "::1"):
            client, server = self.authenticate(name, self.trust())
            self.assertTrue(self.successResultOf(client).isAuthenticated)
            self.assertTrue(self.successResultOf(server).isAuthenticated)

    def test_untrusted(self) -> None:
        """
        A client that trusts another authority refuses the certificate.
        """
        self.assertRefused(
            self.authenticate("localhost", AUTHORITY.trust),
            SslPolicyErrors.RemoteCertificateChainErrors,
            X509ChainStatusFlags.PartialChain,
            TlsAlert.unknown_ca,
        )

    def test_otherNames(self) -> None:
        """
        A client that trusts the authority refuses the certificate for any other
        machine.
        """
        for name in ("example.com", "127.0.0.2"):
            self.assertRefused(
                self.authenticate(name, self.trust()),
                SslPolicyErrors.RemoteCertificateNameMismatch,
                X509ChainStatusFlags.NoError,
                TlsAlert.bad_certificate,
            )
