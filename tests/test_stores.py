"""
Tests for L{txsslstream.stores} and L{txsslstream.storefiles}: certificate stores
on disk, where .NET has them and as it reads them.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from twisted.internet import ssl as twistedSsl
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.files import FilesMixin
from tests.support import AUTHORITY
from tests.test_finding import ZERO
from txsslstream import storefiles, stores
from txsslstream.certificates import SslStreamCertificateContext
from txsslstream.enums import StoreLocation, StoreName, X509FindType, X509KeyUsageFlags
from txsslstream.errors import CertificateError, NotSupportedError
from txsslstream.stores import (
    X509Store,
    disallowed,
    storesNow,
    systemRoots,
    userIntermediates,
)
from txsslstream.testing import DAY, NOW, Authority

#: Who owns nothing.
NOBODY = 65534

MIDDLE = Authority("Middle", AUTHORITY)
#: With a key, and an intermediate.
KEYED = MIDDLE.issue("keyed.example")
OTHER = AUTHORITY.issue("other.example")
ROOTS = [Authority(f"Root {number}").certificate for number in range(3)]
GARBAGE = b"\x30\x03garbage"


def pem(*certificates: x509.Certificate) -> bytes:
    """
    @return: the certificates as PEM.
    """
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def der(certificate: x509.Certificate) -> bytes:
    """
    @return: the certificate as DER.
    """
    return certificate.public_bytes(Encoding.DER)


def keyPEM(context: SslStreamCertificateContext, password: bytes | None = None) -> bytes:
    """
    @return: the private key as PEM.
    """
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return context.privateKey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def pfx(
    context: SslStreamCertificateContext, password: bytes | None = None, key: bool = True
) -> bytes:
    """
    @return: a PKCS#12 file.
    """
    return pkcs12.serialize_key_and_certificates(
        None,
        context.privateKey if key else None,  # type: ignore[arg-type]
        context.certificate,
        context.intermediates,
        BestAvailableEncryption(password) if password else NoEncryption(),
    )


def thumbprint(certificate: x509.Certificate) -> str:
    """
    @return: what .NET names the certificate's file.
    """
    return certificate.fingerprint(hashes.SHA1()).hex().upper()


def sha256(*certificates: x509.Certificate) -> set[bytes]:
    """
    @return: the certificates' fingerprints.
    """
    return {each.fingerprint(hashes.SHA256()) for each in certificates}


class EnumTests(SynchronousTestCase):
    """
    The vocabulary is .NET's.
    """

    def test_values(self) -> None:
        """
        Each enum has .NET's members with .NET's values and no others.
        """
        tables: dict[Any, str] = {
            StoreName: (
                "AddressBook 1 AuthRoot 2 CertificateAuthority 3 Disallowed 4 My 5 Root 6 "
                "TrustedPeople 7 TrustedPublisher 8"
            ),
            StoreLocation: "CurrentUser 1 LocalMachine 2",
            X509FindType: (
                "FindByThumbprint 0 FindBySubjectName 1 FindBySubjectDistinguishedName 2 "
                "FindByIssuerName 3 FindByIssuerDistinguishedName 4 FindBySerialNumber 5 "
                "FindByTimeValid 6 FindByTimeNotYetValid 7 FindByTimeExpired 8 "
                "FindByTemplateName 9 FindByApplicationPolicy 10 FindByCertificatePolicy 11 "
                "FindByExtension 12 FindByKeyUsage 13 FindBySubjectKeyIdentifier 14"
            ),
            X509KeyUsageFlags: (
                "None_ 0 EncipherOnly 1 CrlSign 2 KeyCertSign 4 KeyAgreement 8 "
                "DataEncipherment 16 KeyEncipherment 32 NonRepudiation 64 DigitalSignature 128 "
                "DecipherOnly 32768"
            ),
        }
        for enum, table in tables.items():
            found = [f"{name} {int(member)}" for name, member in enum.__members__.items()]
            self.assertEqual(" ".join(found), table)


class StoresTestCase(FilesMixin, SynchronousTestCase):
    """
    A home and a machine of our own.

    @ivar home: the home directory.
    @ivar bundle: the path of OpenSSL's file of roots, which does not exist yet.
    @ivar roots: a directory of roots, empty.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        super().setUp()
        # What others may write to is not used.
        self.addCleanup(os.umask, os.umask(0o022))
        self.home = self.directory / "home"
        self.bundle = self.directory / "bundle.pem"
        self.roots = self.directory / "certs"
        for each in (self.home, self.roots):
            each.mkdir()
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "SSL_CERT_FILE": str(self.bundle),
            "SSL_CERT_DIR": str(self.roots),
        }
        self.patch(os, "environ", environment)
        self.patch(stores, "MACHINE_STORES", self.directory / "machine")

    def put(self, name: str, data: bytes, store: X509Store | None = None) -> Path:
        """
        @param store: L{None} for the user's C{My}.
        @return: the path of a file with this data in a store.
        """
        directory = (store or X509Store()).path
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / name
        path.write_bytes(data)
        return path

    def replace(self, path: Path, data: bytes) -> None:
        """
        Put a file in the place of another, which differs for certain even if
        both have the same size and time.
        """
        self.file(data, "replacement").replace(path)

    def machine(self, name: StoreName | str) -> X509Store:
        """
        @return: one of the machine's stores.
        """
        return X509Store(name, StoreLocation.LocalMachine)

    def refused(self, call: Any, *args: Any) -> str:
        """
        @return: why a call failed with L{CertificateError}.
        """
        return str(self.assertRaises(CertificateError, call, *args))

    def files(self, store: X509Store) -> list[str]:
        """
        @return: the names of all files of a store.
        """
        return sorted(os.listdir(store.path))


class PlaceTests(StoresTestCase):
    """
    Stores are where .NET has them.
    """

    def test_user(self) -> None:
        """
        A user's stores are .NET's directories, named in lower case.
        """
        names = {
            StoreName.AddressBook: "addressbook",
            StoreName.AuthRoot: "authroot",
            StoreName.CertificateAuthority: "ca",
            StoreName.Disallowed: "disallowed",
            StoreName.My: "my",
            StoreName.Root: "root",
            StoreName.TrustedPeople: "trustedpeople",
            StoreName.TrustedPublisher: "trustedpublisher",
        }
        self.assertEqual(set(names), set(StoreName))
        place = self.home / ".dotnet/corefx/cryptography/x509stores"
        for storeName, name in names.items():
            self.assertEqual(X509Store(storeName).path, place / name)
        for custom in ("Web Hosting", "My-Own-2"):
            self.assertEqual(X509Store(custom).path, place / custom.lower())
            self.assertEqual(X509Store(custom).name, custom)
        self.assertEqual(X509Store().path, place / "my")
        self.assertEqual(X509Store("MY").path, place / "my")
        self.assertEqual(X509Store(StoreName.CertificateAuthority).name, "CA")
        self.assertIs(X509Store().location, StoreLocation.CurrentUser)
        self.assertEqual(os.listdir(self.home), [])

    def test_machine(self) -> None:
        """
        The machine's stores are directories, but for the two that are OpenSSL's.
        """
        self.assertEqual(self.machine("My").path, self.directory / "machine/my")
        self.assertEqual(self.machine(StoreName.AuthRoot).path, self.directory / "machine/authroot")
        for name in ("Root", "CA", "ROOT", StoreName.CertificateAuthority):
            self.assertEqual(self.machine(name).path, self.bundle)
        self.assertEqual(X509Store("Root", StoreLocation.LocalMachine, self.roots).path, self.roots)
        self.assertEqual(X509Store("My", path=str(self.roots)).path, self.roots)

    def test_constant(self) -> None:
        """
        The directory of the machine's stores is the one that is documented.
        """
        command = "from txsslstream.stores import MACHINE_STORES; print(MACHINE_STORES)"
        said = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
        self.assertEqual(said.stdout, b"/etc/txsslstream/x509stores\n")

    def test_badNames(self) -> None:
        """
        A name cannot lead to another directory, or to none.
        """
        for name in ("", ".", "..", "a/b", "../my", "/etc", "a\\b", "a\n", "a\0", "-a", " a", "ä"):
            error = self.assertRaises(ValueError, X509Store, name)
            self.assertIn(repr(name), str(error))
        self.assertRaises(ValueError, X509Store, "a" * 65)
        self.assertRaises(ValueError, X509Store, "My", 3)

    def test_passwordDatabase(self) -> None:
        """
        Without C{HOME} the password database tells the home, if it does.
        """
        for absent in ({}, {"HOME": ""}):
            os.environ.pop("HOME", None)
            os.environ.update(absent)
            place = Path(pwd.getpwuid(os.geteuid()).pw_dir)
            self.assertEqual(X509Store().path.relative_to(place), storefiles.USER_STORES / "my")

    def test_homeless(self) -> None:
        """
        A user without home has no stores, which keeps nobody from trusting the
        machine's roots.
        """

        def unknown(uid: int) -> None:
            raise KeyError(uid)

        del os.environ["HOME"]
        self.patch(pwd, "getpwuid", unknown)
        said = self.refused(X509Store)
        self.assertEqual(said, f"the current user (uid {os.geteuid()}) has no home")
        self.bundle.write_bytes(pem(ROOTS[0]))
        self.assertEqual(systemRoots(), (ROOTS[0],))
        self.assertEqual(userIntermediates(), ())
        self.assertEqual(disallowed(), frozenset())


class ReadTests(StoresTestCase):
    """
    What is in a store.
    """

    def test_missing(self) -> None:
        """
        A directory that does not exist is an empty store, and is not made.
        """
        for store in (X509Store(), self.machine("My")):
            self.assertEqual(store.certificates, ())
            self.assertEqual(store.contexts, ())
            self.assertEqual(store.skipped, ())
            self.assertFalse(store.path.exists())

    def test_formats(self) -> None:
        """
        Certificates with and without key are read in every format, each once.
        """
        bare = SslStreamCertificateContext(OTHER.certificate, OTHER.privateKey)
        for name, data, isKeyed in (
            ("a.pfx", pfx(bare), True),
            ("a.P12", pfx(bare), True),
            ("a.pem", pem(OTHER.certificate) + keyPEM(OTHER), True),
            ("a.pfx", pfx(bare, key=False), False),
            ("a.pem", pem(OTHER.certificate), False),
            ("a.crt", der(OTHER.certificate), False),
            ("a.cer", pem(OTHER.certificate), False),
        ):
            path = self.put(name, data)
            store = X509Store()
            self.assertEqual(store.certificates, (OTHER.certificate,), name)
            self.assertEqual(
                [each.certificate for each in store.contexts], [OTHER.certificate] * isKeyed
            )
            self.assertEqual(store.skipped, ())
            path.unlink()

    def test_withoutPassword(self) -> None:
        """
        C{openssl} writes what is read: no password, and an empty one.
        """
        if shutil.which("openssl") is None:
            raise SkipTest("openssl is not installed")
        source = str(self.file(pem(OTHER.certificate) + keyPEM(OTHER)))
        for number, options in enumerate(([], ["-nomac", "-keypbe", "NONE", "-certpbe", "NONE"])):
            target = self.put(f"{number}.pfx", b"")
            command = ["openssl", "pkcs12", "-export", "-in", source, "-out", str(target)]
            subprocess.run([*command, "-passout", "pass:", *options], check=True)
            self.assertEqual(X509Store().skipped, ())
            self.assertEqual(
                [each.certificate for each in X509Store().contexts], [OTHER.certificate]
            )
            target.unlink()

    def test_bundle(self) -> None:
        """
        A file without key adds all of its certificates, in the order of the
        files' names, and none twice.
        """
        self.put("b.pem", pem(ROOTS[1], ROOTS[0]))
        self.put("c.crt", der(ROOTS[2]))
        self.put("a.cer", der(ROOTS[1]))
        self.assertEqual(X509Store().certificates, (ROOTS[1], ROOTS[0], ROOTS[2]))

    def test_key(self) -> None:
        """
        Of a file with a key, the certificate of that key is in the store; the
        others are its intermediates and nothing else: no root either.
        """
        chain = pem(AUTHORITY.certificate, MIDDLE.certificate, KEYED.certificate)
        for name, data in (("a.pem", chain + keyPEM(KEYED)), ("a.pfx", pfx(KEYED))):
            for storeName in (StoreName.My, StoreName.Root):
                store = X509Store(storeName)
                self.put(name, data, store)
                self.assertEqual(store.certificates, (KEYED.certificate,))
                (context,) = store.contexts
                self.assertEqual(context.intermediates, (MIDDLE.certificate,))
        self.assertNotIn(AUTHORITY.certificate, systemRoots())

    def test_contextFor(self) -> None:
        """
        The key is found for exactly its certificate, also if another file has
        the certificate alone.
        """
        self.put("a.crt", der(KEYED.certificate))
        store = X509Store()
        self.assertIsNone(store.contextFor(KEYED.certificate))
        self.put("b.pfx", pfx(KEYED))
        renewed = MIDDLE.issue("keyed.example", key=KEYED.privateKey)
        for form in (KEYED.certificate, KEYED, self.file(der(KEYED.certificate), "some.cer")):
            context = store.contextFor(form)
            assert context is not None
            self.assertEqual(context.certificate, KEYED.certificate)
            self.assertEqual(keyPEM(context), keyPEM(KEYED))
        for other in (renewed.certificate, MIDDLE.certificate):
            self.assertIsNone(store.contextFor(other))
        self.assertEqual(store.certificates, (KEYED.certificate,))

    def test_skipped(self) -> None:
        """
        What cannot be read is skipped, with the reason, and hides nothing else.
        """
        self.patch(storefiles, "MAXIMUM_SIZE", 5000)
        reasons = {
            "damaged.pem": "damaged certificate: it has no end",
            "empty.cer": "neither a certificate nor a PKCS#12 file without password",
            "encrypted.pem": "the private key is encrypted: a password is needed",
            "encrypted.pfx": "neither a certificate nor a PKCS#12 file without password",
            "foreign.pem": "no certificate belongs to the private key",
            "garbage.crt": "neither a certificate nor a PKCS#12 file without password",
            "keyonly.pem": "no certificate in it",
            "large.pem": "larger than 5000 bytes",
            "version.cer": "it cannot be read (InvalidVersion)",
        }
        self.put("damaged.pem", pem(ROOTS[1])[:200])
        self.put("empty.cer", b"")
        self.put("encrypted.pem", pem(KEYED.certificate) + keyPEM(KEYED, b"secret"))
        self.put("encrypted.pfx", pfx(KEYED, b"secret"))
        self.put("foreign.pem", pem(KEYED.certificate) + keyPEM(OTHER))
        self.put("garbage.crt", GARBAGE)
        self.put("keyonly.pem", keyPEM(KEYED))
        self.put("large.pem", pem(ROOTS[1]) + b" " * 5000)
        version = der(ROOTS[1]).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
        self.put("version.cer", version)
        self.put("zzz.pem", pem(ROOTS[0]))
        store = X509Store()
        self.assertEqual(store.certificates, (ROOTS[0],))
        self.assertEqual(store.contexts, ())
        self.assertEqual([path.name for path, _ in store.skipped], sorted(reasons))
        for path, reason in store.skipped:
            self.assertTrue(reason.startswith(f"{path}: "), reason)
            self.assertIn(reasons[path.name], reason)
            self.assertNotIn("secret", reason)

    def test_justFits(self) -> None:
        """
        A file of exactly the greatest size is read.
        """
        data = pem(ROOTS[0])
        self.patch(storefiles, "MAXIMUM_SIZE", len(data))
        self.put("a.pem", data)
        self.assertEqual(X509Store().certificates, (ROOTS[0],))

    def test_otherFiles(self) -> None:
        """
        Other files, directories, pipes and links to nowhere are none of the
        store's business.
        """
        for name in ("a.txt", "pfx", ".a.pfx.x1", "a.pem.bak"):
            self.put(name, pem(ROOTS[1]))
        store = X509Store()
        (store.path / "directory.pem").mkdir()
        os.mkfifo(store.path / "pipe.pem")
        (store.path / "nowhere.pem").symlink_to("missing.pem")
        (store.path / "link.pem").symlink_to(self.file(pem(ROOTS[0])))
        self.assertEqual(store.certificates, (ROOTS[0],))
        self.assertEqual(store.skipped, ())

    def test_tooMany(self) -> None:
        """
        A directory with too many files is refused, one with just enough is not.
        """
        self.patch(storefiles, "MAXIMUM_FILES", 3)
        for number, certificate in enumerate(ROOTS):
            self.put(f"{number}.pem", pem(certificate))
        self.assertEqual(X509Store().certificates, tuple(ROOTS))
        self.put("one-more", b"")
        said = self.refused(lambda: X509Store().certificates)
        self.assertEqual(said, f"{X509Store().path}: more than 3 files in it")

    def test_noDirectory(self) -> None:
        """
        A file in the place of the directory is an error, and not an empty
        store.
        """
        place = X509Store().path
        place.parent.mkdir(parents=True)
        place.write_bytes(b"")
        self.assertEqual(
            self.refused(lambda: X509Store().certificates), f"{place}: Not a directory"
        )

    def test_find(self) -> None:
        """
        Certificates are found in a store, or only those that are valid.
        """
        old = AUTHORITY.issue("old.example", notBefore=NOW - 2 * DAY, notAfter=NOW - DAY)
        self.put("a.pem", pem(OTHER.certificate))
        self.put("b.pem", pem(old.certificate))
        store = X509Store()
        both = (OTHER.certificate, old.certificate)
        self.assertEqual(store.find(X509FindType.FindBySubjectName, ".example"), both)
        self.assertEqual(store.find(X509FindType.FindBySubjectName, ".example", True), both[:1])
        found = store.find(X509FindType.FindByThumbprint, thumbprint(old.certificate).lower())
        self.assertEqual(found, both[1:])

    def test_repr(self) -> None:
        """
        The representation tells location, name and number, and never fails.
        """
        self.put("a.pfx", pfx(KEYED))
        self.assertEqual(repr(X509Store()), "<X509Store CurrentUser/My 1 certificates>")
        self.assertEqual(repr(self.machine("CA")), "<X509Store LocalMachine/CA 0 certificates>")
        shutil.rmtree(X509Store().path)
        X509Store().path.write_bytes(b"")
        self.assertEqual(repr(X509Store()), "<X509Store CurrentUser/My unreadable>")


class CacheTests(StoresTestCase):
    """
    Nothing is read twice, and every change is seen.
    """

    def setUp(self) -> None:
        """
        Count what is read.
        """
        super().setUp()
        self.read: list[str] = []
        for name in ("load", "_loadBundle"):
            original = getattr(storefiles, name)

            def counting(path: Path, original: Any = original) -> Any:
                self.read.append(path.name)
                return original(path)

            self.patch(storefiles, name, counting)

    def wasRead(self, *names: str) -> None:
        """
        Check what has been read since the last time.
        """
        self.assertEqual(self.read, list(names))
        self.read.clear()

    def test_store(self) -> None:
        """
        Of a store, only new and changed files are read again.
        """
        first = self.put("a.pem", pem(ROOTS[0]))
        self.put("b.pem", pem(ROOTS[1]))
        certificates = X509Store().certificates
        self.wasRead("a.pem", "b.pem")
        self.assertIs(X509Store().certificates, certificates)
        self.wasRead()

        self.put("c.pem", pem(ROOTS[2]))
        self.assertEqual(X509Store().certificates, tuple(ROOTS))
        self.wasRead("c.pem")

        self.put("new", pem(OTHER.certificate)).replace(first)
        self.assertEqual(X509Store().certificates, (OTHER.certificate, *ROOTS[1:]))
        self.wasRead("a.pem")

        first.unlink()
        self.assertEqual(X509Store().certificates, tuple(ROOTS[1:]))
        self.wasRead()

    def test_everyChange(self) -> None:
        """
        A change of time, size or permissions is one, and so is another file of
        the same time and size.
        """
        path = self.put("a.pem", pem(ROOTS[0]))
        _ = X509Store().certificates
        self.wasRead("a.pem")
        info = path.stat()
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 1))
        _ = X509Store().certificates
        self.wasRead("a.pem")
        path.write_bytes(pem(ROOTS[0]) + b"\n")
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 1))
        _ = X509Store().certificates
        self.wasRead("a.pem")
        path.chmod(0o400)
        _ = X509Store().certificates
        self.wasRead("a.pem")
        info = path.stat()
        copy = self.put("copy", path.read_bytes())
        os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))
        copy.replace(path)
        _ = X509Store().certificates
        self.wasRead("a.pem")

    def test_directory(self) -> None:
        """
        A store that is made later is seen, and one that is gone as well.
        """
        self.assertEqual(X509Store().certificates, ())
        self.put("a.pem", pem(ROOTS[0]))
        self.assertEqual(X509Store().certificates, (ROOTS[0],))
        shutil.rmtree(X509Store().path)
        self.assertEqual(X509Store().certificates, ())

    def test_system(self) -> None:
        """
        The machine's roots are read once, until the file or directory changes.
        """
        self.bundle.write_bytes(pem(ROOTS[0]))
        (self.roots / "0a0b0c0d.0").write_bytes(pem(ROOTS[1]))
        roots = systemRoots()
        self.assertEqual(roots, (ROOTS[0], ROOTS[1]))
        self.wasRead("bundle.pem", "0a0b0c0d.0")
        for _ in range(3):
            self.assertIs(systemRoots(), roots)
            userIntermediates()
            disallowed()
        self.wasRead()
        self.replace(self.bundle, pem(ROOTS[2]))
        self.assertEqual(systemRoots(), (ROOTS[2], ROOTS[1]))
        (self.roots / "0a0b0c0d.0").unlink()
        self.assertEqual(systemRoots(), (ROOTS[2],))
        self.bundle.unlink()
        self.assertEqual(systemRoots(), ())

    def test_moment(self) -> None:
        """
        For a second what all stores say is not looked at again, then it is.
        """
        now = 100.0
        self.patch(stores, "monotonic", lambda: now)
        self.bundle.write_bytes(pem(ROOTS[0]))
        said = storesNow()
        for _ in range(2):
            self.assertEqual(said.roots, (ROOTS[0],))
            self.assertEqual(said.intermediates, ())
            self.assertEqual(said.disallowed, frozenset())
            self.replace(self.bundle, pem(ROOTS[1], MIDDLE.certificate))
            self.put("a.pem", pem(ROOTS[2]), X509Store("Disallowed"))
        now = 100.99
        self.assertIs(storesNow(), said)
        now = 101.0
        self.assertIsNot(storesNow(), said)
        self.assertEqual(storesNow().roots, (ROOTS[1],))
        self.assertEqual(storesNow().intermediates, (MIDDLE.certificate,))
        self.assertEqual(storesNow().disallowed, sha256(ROOTS[2]))

    def test_momentPasses(self) -> None:
        """
        What this process changes is seen at once: what is in a store, where
        stores are, and who it is that asks.
        """
        self.patch(stores, "monotonic", lambda: 100.0)
        store = X509Store("Root")
        self.assertEqual(storesNow().roots, ())
        store.add(ROOTS[0])
        self.assertEqual(storesNow().roots, (ROOTS[0],))
        store.remove(ROOTS[0])
        self.assertEqual(storesNow().roots, ())
        self.bundle.write_bytes(pem(ROOTS[1]))
        (self.roots / "0a0b0c0d.0").write_bytes(pem(ROOTS[2]))
        X509Store("Root", path=self.home / "elsewhere").add(ROOTS[0])
        self.assertEqual(storesNow().roots, (ROOTS[1], ROOTS[2]))
        for name, left in (("SSL_CERT_FILE", ROOTS[2]), ("SSL_CERT_DIR", ROOTS[1])):
            with patch.dict(os.environ, {name: "/nowhere"}):
                self.assertEqual(storesNow().roots, (left,))
        with patch.dict(os.environ, {"HOME": str(self.directory)}):
            said = storesNow()
            self.assertIs(storesNow(), said)
        self.assertIsNot(storesNow(), said)
        said = storesNow()
        self.patch(os, "geteuid", lambda: NOBODY)
        self.assertIsNot(storesNow(), said)

    def test_momentOfFailure(self) -> None:
        """
        That a store cannot be read is found out each time.
        """
        self.patch(stores, "monotonic", lambda: 100.0)
        bad = self.put("bad.pem", GARBAGE, X509Store("Disallowed"))
        said = storesNow()
        for _ in range(2):
            self.assertIn("bad.pem", self.refused(lambda: said.disallowed))
        bad.unlink()
        self.assertEqual(said.disallowed, frozenset())

    def test_momentOfChange(self) -> None:
        """
        Another thread may change a store while somebody looks: what is looked at
        from then on is new.
        """
        self.patch(stores, "monotonic", lambda: 100.0)

        class User:
            def __ne__(self, _: object) -> bool:
                X509Store("Root").add(ROOTS[0])
                return False

        self.patch(stores, "_now", None)
        self.patch(stores, "settings", User)
        said = storesNow()
        self.assertEqual(said.roots, ())
        self.assertIs(storesNow(), said)
        self.assertEqual(storesNow().roots, (ROOTS[0],))


class AddTests(StoresTestCase):
    """
    Tests for L{X509Store.add}.
    """

    def test_file(self) -> None:
        """
        A certificate becomes a PKCS#12 file of .NET's name that only the user
        may read, in a directory for the user alone.
        """
        store = X509Store()
        store.add(KEYED)
        path = store.path / f"{thumbprint(KEYED.certificate)}.pfx"
        self.assertEqual(self.files(store), [path.name])
        self.assertEqual(path.stat().st_mode & 0o7777, 0o600)
        self.assertEqual(store.path.stat().st_mode & 0o7777, 0o700)
        (context,) = X509Store().contexts
        self.assertEqual(context, KEYED)
        self.assertEqual(keyPEM(context), keyPEM(KEYED))

    def test_foreignReader(self) -> None:
        """
        C{openssl} reads what is written, with its key or without, given an
        empty password.
        """
        if shutil.which("openssl") is None:
            raise SkipTest("openssl is not installed")
        store = X509Store()
        for added, count, hasKey in ((KEYED, 2, True), (OTHER.certificate, 1, False)):
            store.add(added)
            (name,) = self.files(store)
            path = str(store.path / name)
            command = ["openssl", "pkcs12", "-in", path, "-passin", "pass:", "-nodes"]
            said = subprocess.run(command, capture_output=True, check=True).stdout
            self.assertEqual(said.count(b"BEGIN CERTIFICATE"), count)
            self.assertEqual(b"BEGIN PRIVATE KEY" in said, hasKey)
            store.remove(added)

    def test_everyForm(self) -> None:
        """
        A certificate is taken in every accepted form, with the key that it has.
        """
        certificate = OTHER.certificate
        both = pem(certificate) + keyPEM(OTHER)
        for number, (form, isKeyed) in enumerate(
            (
                (certificate, False),
                (SslStreamCertificateContext(certificate, OTHER.privateKey), True),
                (twistedSsl.Certificate.loadPEM(pem(certificate)), False),
                (twistedSsl.PrivateCertificate.loadPEM(both), True),
                (self.file(der(certificate), "a.cer"), False),
                (str(self.file(pem(certificate), "b.pem")), False),
                (self.file(both, "c.pem"), True),
                (self.file(pfx(OTHER), "d.pfx"), True),
                (self.file(pfx(OTHER, key=False), "e"), False),
            )
        ):
            store = X509Store(f"Store {number}")
            store.add(form)
            self.assertEqual(store.certificates, (certificate,))
            self.assertEqual(store.contextFor(certificate) is not None, isKeyed, number)
        self.assertRaises(TypeError, X509Store().add, 7)

    def test_bundle(self) -> None:
        """
        All certificates of a file without key are added.
        """
        store = X509Store("Root")
        store.add(self.file(pem(*ROOTS)))
        self.assertEqual(set(store.certificates), set(ROOTS))
        self.assertEqual(self.files(store), sorted(f"{thumbprint(each)}.pfx" for each in ROOTS))

    def test_present(self) -> None:
        """
        Adding what is there does nothing, unless a key comes with it, which
        then stays.
        """
        store = X509Store()
        store.add(KEYED.certificate)
        (name,) = self.files(store)
        path = store.path / name

        def isSame(call: Any) -> bool:
            before = path.stat()
            call()
            self.assertEqual(self.files(store), [name])
            after = path.stat()
            # Not when it was read, which is something else a second later.
            return (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

        self.assertTrue(isSame(lambda: store.add(KEYED.certificate)))
        self.assertFalse(isSame(lambda: store.add(KEYED)))
        self.assertIsNotNone(store.contextFor(KEYED.certificate))
        self.assertTrue(isSame(lambda: store.add(KEYED)))
        self.assertTrue(isSame(lambda: store.add(KEYED.certificate)))
        self.assertIsNotNone(store.contextFor(KEYED.certificate))

    def test_presentElsewhere(self) -> None:
        """
        A key does not replace a file that holds other certificates as well.
        """
        data = pem(KEYED.certificate, ROOTS[0])
        path = self.put(f"{thumbprint(KEYED.certificate)}.pfx", data)
        X509Store().add(KEYED)
        self.assertEqual(path.read_bytes(), data)
        self.assertIsNotNone(X509Store().contextFor(KEYED.certificate))

    def test_otherNames(self) -> None:
        """
        When a name is taken the next of nine others is, and then no more.
        """
        stem = thumbprint(KEYED.certificate)
        names = [f"{stem}.pfx", *(f"{stem}.{number}.pfx" for number in range(1, 10))]
        store = X509Store()
        for name in names:
            self.put(name, GARBAGE)
        said = self.refused(store.add, KEYED)
        self.assertIn("all names for this thumbprint are taken", said)
        for free in (names[9], names[1]):
            (store.path / free).unlink()
            store.add(KEYED)
            self.assertEqual([path.name for path in store.path.iterdir()].count(free), 1)
            self.assertIsNotNone(store.contextFor(KEYED.certificate))
            self.put(free, GARBAGE)

    def test_atomic(self) -> None:
        """
        A file is there whole or not at all, and nothing is left behind.
        """

        def broken(*args: Any) -> None:
            raise OSError(28, "No space left on device")

        store = X509Store()
        self.patch(os, "replace", broken)
        self.assertEqual(self.refused(store.add, KEYED), f"{store.path}: No space left on device")
        self.assertEqual(self.files(store), [])
        self.assertEqual(store.certificates, ())

    def test_mode(self) -> None:
        """
        To be written, the directory must permit its owner everything.
        """
        store = X509Store()
        store.path.mkdir(parents=True)
        for mode in (0o500, 0o600, 0o300):
            store.path.chmod(mode)
            said = self.refused(store.add, KEYED)
            self.assertIn(f"{store.path}: to write to it", said)
            self.assertIn(f"must own it with mode u+rwx (owner {store.path.owner()}, ", said)
            self.assertIn(f"mode {mode:04o})", said)
        store.path.chmod(0o700)
        store.add(KEYED)
        self.assertEqual(store.certificates, (KEYED.certificate,))

    def test_owner(self) -> None:
        """
        To be written, the directory must be the current user's.
        """
        store = X509Store()
        store.path.mkdir(parents=True)
        self.patch(os, "geteuid", lambda: store.path.stat().st_uid + 1)
        said = self.refused(store.add, KEYED)
        self.assertIn(f"the current user (uid {os.geteuid()}) must own it", said)
        self.assertEqual(self.files(store), [])

    def test_noDirectory(self) -> None:
        """
        A directory that cannot be made is an error that names it.
        """
        (self.home / ".dotnet").write_bytes(b"")
        store = X509Store()
        self.assertEqual(self.refused(store.add, KEYED), f"{store.path}: Not a directory")

    def test_badFile(self) -> None:
        """
        A file that cannot be read is not added, and is told.
        """
        missing = self.directory / "missing.pem"
        self.assertEqual(
            self.refused(X509Store().add, missing), f"{missing}: No such file or directory"
        )
        self.refused(X509Store().add, self.file(GARBAGE))
        self.assertFalse(X509Store().path.exists())

    def test_readOnly(self) -> None:
        """
        OpenSSL's own stores are read only; given a path, they are not OpenSSL's.
        """
        self.bundle.write_bytes(pem(*ROOTS))
        for name in ("Root", "CA"):
            store = self.machine(name)
            for change in (store.add, store.remove):
                error = self.assertRaises(NotSupportedError, change, ROOTS[0])
                self.assertIn(f"LocalMachine/{name}", str(error))
        self.assertEqual(systemRoots(), tuple(ROOTS))
        own = X509Store("Root", StoreLocation.LocalMachine, self.directory / "own")
        own.add(ROOTS[0])
        self.assertEqual(own.certificates, (ROOTS[0],))


class RemoveTests(StoresTestCase):
    """
    Tests for L{X509Store.remove}.
    """

    def test_remove(self) -> None:
        """
        A certificate goes with its key and from every file, and no other does.
        """
        store = X509Store()
        store.add(OTHER)
        for form in (KEYED, KEYED.certificate, self.file(pfx(KEYED))):
            store.add(KEYED)
            self.put("again.crt", der(KEYED.certificate))
            store.remove(form)
            self.assertEqual(store.certificates, (OTHER.certificate,))
            self.assertEqual(self.files(store), [f"{thumbprint(OTHER.certificate)}.pfx"])

    def test_unknown(self) -> None:
        """
        Nothing happens to a store that does not have it, or does not exist.
        """
        store = X509Store()
        store.remove(KEYED)
        self.assertFalse(store.path.exists())
        store.add(KEYED)
        # Its issuer is in the file, but not in the store.
        store.remove(MIDDLE.certificate)
        store.remove(OTHER)
        self.assertEqual(store.certificates, (KEYED.certificate,))

    def test_shared(self) -> None:
        """
        A file with other certificates is not removed, which is told: they would
        go as well, or what was to be removed would stay.
        """
        path = self.put("a.pem", pem(*ROOTS))
        self.put("b.crt", der(ROOTS[0]))
        store = X509Store()
        said = self.refused(store.remove, ROOTS[0])
        self.assertEqual(said, f"{path}: other certificates are in it as well: 2")
        self.assertEqual(store.certificates, tuple(ROOTS))
        self.assertEqual(self.files(store), ["a.pem", "b.crt"])
        store.remove(path)
        self.assertEqual(self.files(store), [])

    def test_failing(self) -> None:
        """
        A file that cannot be removed is an error that names it.
        """
        path = self.put("a.crt", der(ROOTS[0]))

        def broken(path: Path, missing_ok: bool) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        self.patch(Path, "unlink", broken)
        self.assertEqual(self.refused(X509Store().remove, ROOTS[0]), f"{path}: Permission denied")


class SystemTests(StoresTestCase):
    """
    What all stores together say.
    """

    def test_classes(self) -> None:
        """
        What has issued itself is a root, all else an intermediate.
        """
        self.bundle.write_bytes(pem(ROOTS[0], MIDDLE.certificate, ROOTS[1], ROOTS[0]))
        self.assertEqual(systemRoots(), (ROOTS[0], ROOTS[1]))
        self.assertEqual(userIntermediates(), (MIDDLE.certificate,))
        self.assertEqual(self.machine("Root").certificates, (ROOTS[0], ROOTS[1]))
        self.assertEqual(
            self.machine(StoreName.CertificateAuthority).certificates, (MIDDLE.certificate,)
        )
        self.assertEqual(self.machine("Root").contexts, ())

    def test_unusable(self) -> None:
        """
        What cannot be used in a bundle is skipped: damaged certificates, and
        those that are trusted for some purposes only.  What C{cryptography}
        warns of is used without a warning.
        """
        damaged = pem(ROOTS[1]).replace(b"MII", b"NII", 1)
        restricted = pem(ROOTS[2]).replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE")
        self.bundle.write_bytes(
            b"# A comment.\n" + damaged + pem(ROOTS[0], ZERO) + restricted + pem(MIDDLE.certificate)
        )
        self.assertEqual(systemRoots(), (ROOTS[0], ZERO))
        self.assertEqual(userIntermediates(), (MIDDLE.certificate,))
        ((path, reason),) = self.machine("Root").skipped
        self.assertEqual(path, self.bundle)
        self.assertTrue(reason.startswith(f"{self.bundle}: 1 unusable: "), reason)
        self.assertEqual(self.flushWarnings(), [])

    def test_directories(self) -> None:
        """
        All files of all directories count, in PEM and DER.
        """
        other = self.directory / "other"
        other.mkdir()
        (self.roots / "0a0b0c0d.0").write_bytes(pem(ROOTS[0]))
        (self.roots / "named.whatever").write_bytes(der(ROOTS[1]))
        (self.roots / "README").write_bytes(b"Nothing here.")
        (other / "a.pem").write_bytes(pem(ROOTS[2], ROOTS[0]))
        os.environ["SSL_CERT_DIR"] = f"{self.roots}:{self.directory / 'none'}::{other}"
        self.assertEqual(systemRoots(), tuple(ROOTS))

    def test_nowhere(self) -> None:
        """
        Without file and directory there are no roots, not those of another
        place.
        """
        self.assertEqual(systemRoots(), ())
        for empty in ("", os.devnull, str(self.directory)):
            os.environ["SSL_CERT_FILE"] = empty
            os.environ["SSL_CERT_DIR"] = ""
            self.assertEqual(systemRoots(), ())
            self.assertEqual(self.machine("Root").skipped, ())
            self.assertEqual(
                repr(self.machine("Root")), "<X509Store LocalMachine/Root 0 certificates>"
            )

    def test_defaults(self) -> None:
        """
        Without variables OpenSSL's defaults count, and .NET's own if there is
        nothing; but not if there is something.
        """
        del os.environ["SSL_CERT_FILE"], os.environ["SSL_CERT_DIR"]
        usual = self.directory / "usual"
        usual.mkdir()
        (usual / "a.pem").write_bytes(pem(ROOTS[2]))
        self.patch(storefiles, "DEFAULT_ROOTS", usual)
        self.patch(
            storefiles,
            "_verifyPaths",
            lambda: ssl.DefaultVerifyPaths(
                "", "", "SSL_CERT_FILE", str(self.bundle), "SSL_CERT_DIR", str(self.roots)
            ),
        )
        self.assertEqual(systemRoots(), (ROOTS[2],))
        (self.roots / "a.pem").write_bytes(pem(ROOTS[0]))
        self.assertEqual(systemRoots(), (ROOTS[0],))
        self.bundle.write_bytes(pem(ROOTS[1]))
        self.assertEqual(systemRoots(), (ROOTS[1], ROOTS[0]))
        os.environ["SSL_CERT_DIR"] = str(self.directory / "none")
        self.assertEqual(systemRoots(), (ROOTS[1],))
        self.bundle.unlink()
        self.assertEqual(systemRoots(), ())

    def test_thisMachine(self) -> None:
        """
        The bundle of this machine is read without a warning.
        """
        paths = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
        bundle = next((each for each in paths if os.path.exists(each)), None)
        if bundle is None:
            raise SkipTest("no bundle where it usually is")
        os.environ["SSL_CERT_FILE"] = bundle
        self.assertGreater(len(systemRoots()), 20)
        self.assertEqual(self.flushWarnings(), [])

    def test_large(self) -> None:
        """
        A bundle may be larger than other files, but not endless.
        """
        data = pem(ROOTS[0]) + b" " * storefiles.MAXIMUM_SIZE
        self.bundle.write_bytes(data)
        self.assertEqual(systemRoots(), (ROOTS[0],))
        self.patch(storefiles, "MAXIMUM_BUNDLE", len(data) - 1)
        self.replace(self.bundle, data)
        self.assertEqual(systemRoots(), ())
        ((_, reason),) = self.machine("Root").skipped
        self.assertEqual(reason, f"{self.bundle}: larger than {len(data) - 1} bytes")

    def test_noDirectory(self) -> None:
        """
        A file where a directory of roots should be is an error.
        """
        os.environ["SSL_CERT_DIR"] = str(self.file(b"", "no-directory"))
        self.assertIn("no-directory: Not a directory", self.refused(systemRoots))

    def test_user(self) -> None:
        """
        A user's own roots and intermediates count as well, each once; what is
        in other stores does not.
        """
        self.bundle.write_bytes(pem(ROOTS[0]))
        X509Store("Root").add(self.file(pem(ROOTS[0], ROOTS[1])))
        X509Store("CA").add(MIDDLE.certificate)
        for name in StoreName:
            if name not in (StoreName.Root, StoreName.CertificateAuthority):
                X509Store(name).add(ROOTS[2])
        self.assertEqual(systemRoots(), (ROOTS[0], ROOTS[1]))
        self.assertEqual(userIntermediates(), (MIDDLE.certificate,))
        X509Store("Root").remove(ROOTS[1])
        self.assertEqual(systemRoots(), (ROOTS[0],))

    def test_disallowed(self) -> None:
        """
        What the user or the machine does not allow is told by fingerprint, and
        nothing else is.
        """
        self.assertEqual(disallowed(), frozenset())
        for name in ("My", "Root", "TrustedPeople"):
            X509Store(name).add(ROOTS[2])
        X509Store("Disallowed").add(KEYED)
        self.assertEqual(disallowed(), sha256(KEYED.certificate))
        self.machine(StoreName.Disallowed).add(ROOTS[0])
        self.assertEqual(disallowed(), sha256(KEYED.certificate, ROOTS[0]))
        self.put("odd.cer", der(ZERO), X509Store("Disallowed"))
        self.assertEqual(disallowed(), sha256(KEYED.certificate, ROOTS[0], ZERO))
        self.assertEqual(self.flushWarnings(), [])

    def test_notKnown(self) -> None:
        """
        When anything in a store of disallowed certificates cannot be read it is
        not known who is disallowed: an error, and not nobody.
        """
        for store in (X509Store("Disallowed"), self.machine("Disallowed")):
            path = self.put("a.cer", GARBAGE, store)
            self.assertIn(f"disallowed certificates: {path}: ", self.refused(disallowed))
            path.unlink()
            self.assertEqual(disallowed(), frozenset())
            store.path.rmdir()
            store.path.write_bytes(b"")
            self.assertIn(f"{store.path}: Not a directory", self.refused(disallowed))
            store.path.unlink()


class ForeignTests(StoresTestCase):
    """
    What others have put into a store, or might have.
    """

    def asked(self) -> list[tuple[X509Store, list[Any]]]:
        """
        @return: the stores that may not be others', and whatever asks them.
        """
        return [
            (X509Store("Root"), [systemRoots]),
            (X509Store("CA"), [userIntermediates]),
            (X509Store("Disallowed"), [disallowed]),
            (X509Store("My"), []),
            (self.machine("My"), []),
            (self.machine("Disallowed"), [disallowed]),
        ]

    def check(self, store: X509Store, calls: list[Any], expected: str) -> None:
        """
        The store is refused with these words, by whatever asks it.
        """
        for call in (
            *calls,
            lambda: store.certificates,
            lambda: store.contexts,
            lambda: store.contextFor(KEYED),
            lambda: store.add(ROOTS[0]),
        ):
            self.assertEqual(self.refused(call), expected)
        self.assertIn("unreadable", repr(store))

    def test_writable(self) -> None:
        """
        A directory or file that its group or everybody may write to is an error
        with its name, its owner and mode, even if it was read before; without
        that permission it is used.
        """
        for store, calls in self.asked():
            path = self.put("a.pfx", pfx(KEYED), store)
            for place, good in ((store.path, 0o755), (path, 0o644)):
                for writable in (0o020, 0o002, 0o1002):
                    place.chmod(good)
                    self.assertEqual(store.certificates, (KEYED.certificate,))
                    place.chmod(good | writable)
                    self.check(
                        store,
                        calls,
                        f"{place}: not used, as its group or everybody may write to it "
                        f"(owner {place.owner()}, mode {good | writable:04o})",
                    )
                place.chmod(good)
            self.assertEqual([each.certificate for each in store.contexts], [KEYED.certificate])
            self.assertEqual(self.files(store), ["a.pfx"])
            for call in calls:
                call()
            shutil.rmtree(store.path)

    def test_foreign(self) -> None:
        """
        So is a directory or file that belongs to somebody else, also by way of a
        link; what is root's is used.
        """
        if os.geteuid() != 0:
            raise SkipTest("only root can give files away")
        for store, calls in self.asked():
            path = self.put("a.pfx", pfx(KEYED), store)
            target = self.file(pfx(KEYED), "target")
            link = store.path / "b.pfx"
            link.symlink_to(target)
            for place, told in ((store.path, store.path), (path, path), (target, link)):
                os.chown(place, 12345, 12345)
                mode = place.stat().st_mode & 0o7777
                with patch.object(os, "geteuid", lambda: 12345):
                    self.assertEqual(store.certificates, (KEYED.certificate,))
                for call in calls or [lambda store=store: store.certificates]:
                    self.assertEqual(
                        self.refused(call),
                        f"{told}: not used, as neither the current user (uid 0) nor root owns it "
                        f"(owner uid 12345, mode {mode:04o})",
                    )
                os.chown(place, 0, 0)
                with patch.object(os, "geteuid", lambda: 12345):
                    self.assertEqual(store.certificates, (KEYED.certificate,))
            self.assertEqual(store.certificates, (KEYED.certificate,))
            shutil.rmtree(store.path)

    def test_above(self) -> None:
        """
        Who may write to a directory above, as to C{/tmp}, does not matter.
        """
        X509Store("Root").add(ROOTS[0])
        for place in (X509Store("Root").path.parent, self.home):
            place.chmod(0o1777)
        self.assertEqual(systemRoots(), (ROOTS[0],))

    def test_otherFiles(self) -> None:
        """
        Nor does it with files that are none of the store's business.
        """
        X509Store("Root").add(ROOTS[0])
        self.put("notes.txt", b"", X509Store("Root")).chmod(0o666)
        self.assertEqual(systemRoots(), (ROOTS[0],))

    def test_exempt(self) -> None:
        """
        Nor does it with OpenSSL's files and directories, nor with a directory
        that was given by its path; but it does if that is the user's own store
        as well.
        """
        self.bundle.write_bytes(pem(ROOTS[0]))
        (self.roots / "a.pem").write_bytes(pem(ROOTS[1]))
        for place in (self.bundle, self.roots, self.roots / "a.pem"):
            place.chmod(0o777)
        self.assertEqual(systemRoots(), (ROOTS[0], ROOTS[1]))
        for location in StoreLocation:
            store = X509Store("Root", location, self.roots)
            self.assertEqual(store.certificates, (ROOTS[1],))
        own = X509Store("Root")
        self.put("a.pem", pem(ROOTS[2]), own).chmod(0o666)
        self.assertEqual(X509Store("Root", path=own.path).certificates, (ROOTS[2],))
        self.assertIn("a.pem: not used", self.refused(systemRoots))


class PermissionTests(StoresTestCase):
    """
    What the current user may not read: tried as somebody who may not, in
    another process where this one is root's.
    """

    def attempt(self, code: str, *args: object) -> Any:
        """
        @param code: sets C{said}; has L{stores}, and the arguments as C{args}.
        @return: what it set.
        """
        script = f"""
        import json, os, sys
        from pathlib import Path
        from txsslstream import stores
        from txsslstream.stores import *
        args = sys.argv[1:]
        stores.MACHINE_STORES = Path(args.pop(0))
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid({NOBODY})
            os.setuid({NOBODY})
        def reason(call):
            try:
                return repr(call())
            except CertificateError as e:
                return str(e)
        """
        script = textwrap.dedent(script) + code + "\nprint(json.dumps(said))"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, stores.MACHINE_STORES, *map(str, args)],
            capture_output=True,
            check=False,
            cwd=Path(__file__).parent.parent,
            env=os.environ,
        )
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout)

    def setUp(self) -> None:
        """
        Let everybody in, up to what is forbidden.
        """
        super().setUp()
        self.isRoot = os.geteuid() == 0
        self.who = f"the current user (uid {NOBODY if self.isRoot else os.geteuid()}) may not"
        self.directory.chmod(0o755)

    def forbid(self, path: Path) -> str:
        """
        Make something unreadable.

        @return: what has to be said of it.
        """
        mode = 0o600 if self.isRoot else 0
        path.chmod(mode)
        return f"(owner {path.owner()}, mode {mode:04o})"

    def test_machineFile(self) -> None:
        """
        A machine's file that the user may not read is an error with its name,
        its owner and mode, and who may not; the machine's administrator reads
        it.
        """
        store = self.machine("My")
        path = self.put("server.pfx", pfx(KEYED), store)
        self.put("public.crt", der(OTHER.certificate), store)
        self.assertEqual(len(store.certificates), 2)
        why = self.forbid(path)
        said = self.attempt(
            "store = X509Store('My', StoreLocation.LocalMachine)\n"
            "said = [reason(lambda: store.certificates), reason(lambda: store.contexts),"
            "        reason(lambda: store.contextFor(args[0])), repr(store)]",
            self.file(der(KEYED.certificate), "leaf.cer"),
        )
        expected = f"{path}: {self.who} read it {why}"
        self.assertEqual(said[:3], [expected] * 3)
        self.assertEqual(said[3], "<X509Store LocalMachine/My unreadable>")

    def test_userFile(self) -> None:
        """
        A user's file that the user may not read is skipped, with that reason.
        """
        path = self.put("a.pfx", pfx(KEYED))
        self.put("b.pem", pem(ROOTS[0]))
        why = self.forbid(path)
        said = self.attempt(
            "store = X509Store()\n"
            "said = [len(store.certificates), [[str(p), why] for p, why in store.skipped]]"
        )
        self.assertEqual(said, [1, [[str(path), f"{path}: {self.who} read it {why}"]]])

    def test_link(self) -> None:
        """
        A link to where the user may not go is a file that may not be read, and
        is told as such.
        """
        closed = self.directory / "closed"
        closed.mkdir()
        target = closed / "a.pem"
        target.write_bytes(pem(ROOTS[0]))
        link = self.put("a.pem", b"")
        link.unlink()
        link.symlink_to(target)
        self.forbid(closed)
        said = self.attempt(
            "store = X509Store()\nsaid = [len(store.certificates), store.skipped[0][1]]"
        )
        self.assertEqual(said[0], 0)
        self.assertIn(f"{link}: {self.who}", said[1])

    def test_directory(self) -> None:
        """
        A store whose directory may not be read or searched is an error, also
        where only roots, intermediates or disallowed certificates are wanted.
        """
        for location in StoreLocation:
            for name in ("My", "Disallowed"):
                store = X509Store(name, location)
                self.put("a.pem", pem(ROOTS[0]), store)
                why = self.forbid(store.path)
                said = self.attempt(
                    "said = [reason(lambda: X509Store(args[0], StoreLocation(int(args[1])))"
                    ".certificates), reason(disallowed)]",
                    name,
                    int(location),
                )
                expected = f"{store.path}: {self.who} read and search it {why}"
                self.assertEqual(said[0], expected)
                self.assertEqual(said[1], "frozenset()" if name == "My" else expected)
                store.path.chmod(0o700)
                shutil.rmtree(store.path)
        for name, function in (("Root", "systemRoots"), ("CA", "userIntermediates")):
            store = X509Store(name)
            self.put("a.pem", pem(ROOTS[0]), store)
            why = self.forbid(store.path)
            said = self.attempt(f"said = reason({function})")
            self.assertEqual(said, f"{store.path}: {self.who} read and search it {why}")
            store.path.chmod(0o700)

    def test_notSearchable(self) -> None:
        """
        A directory that may be listed but not searched is an error, and not a
        store without certificates.
        """
        store = X509Store("Root")
        self.put("a.pem", pem(ROOTS[0]), store)
        store.path.chmod(0o744 if self.isRoot else 0o600)
        said = self.attempt("said = reason(systemRoots)")
        self.assertIn(f"{store.path}: {self.who} read and search it (owner ", said)
        store.path.chmod(0o700)

    def test_above(self) -> None:
        """
        When it is a directory above that may not be searched, that one is
        named.
        """
        store = self.machine("Disallowed")
        self.put("a.pem", pem(ROOTS[0]), store)
        why = self.forbid(store.path.parent)
        said = self.attempt("said = reason(disallowed)")
        self.assertEqual(said, f"{store.path}: {self.who} search {store.path.parent} {why}")

    def test_bundle(self) -> None:
        """
        A bundle of roots that may not be read is an error; a single root in a
        directory is skipped.
        """
        self.bundle.write_bytes(pem(ROOTS[0]))
        single = self.roots / "a.pem"
        single.write_bytes(pem(ROOTS[1]))
        self.forbid(single)
        self.assertEqual(self.attempt("said = len(systemRoots())"), 1)
        why = self.forbid(self.bundle)
        said = self.attempt("said = [reason(systemRoots), reason(systemRoots)]")
        self.assertEqual(said, [f"{self.bundle}: {self.who} read it {why}"] * 2)

    def test_formerHome(self) -> None:
        """
        A daemon that has changed its user, and may not enter the former one's
        home, has the stores of its own.
        """
        X509Store("Root").add(ROOTS[0])
        self.forbid(self.home)
        said = self.attempt("said = [str(X509Store().path), len(systemRoots())]")
        place = Path(pwd.getpwuid(NOBODY if self.isRoot else os.geteuid()).pw_dir)
        self.assertEqual(said, [str(place / storefiles.USER_STORES / "my"), 0])

    def test_addedFile(self) -> None:
        """
        A file that may not be read is not added, and its mode is told.
        """
        path = self.file(pfx(KEYED))
        why = self.forbid(path)
        said = self.attempt("said = reason(lambda: X509Store().add(args[0]))", path)
        self.assertEqual(said, f"{path}: {self.who} read it {why}")
