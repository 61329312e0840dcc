# -*- test-case-name: tests.test_stores -*-
"""
Certificate stores as .NET keeps them on Linux: directories of files.

A user's stores are where .NET's are, so that both see the same certificates.
The machine's roots and intermediates are the files that OpenSSL is set up with;
of the other machine stores, which .NET does not have on Unix, each is a
directory below L{MACHINE_STORES}.
"""

from __future__ import annotations

import os
import re
import stat
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from .certificates import SomeCertificate, SslStreamCertificateContext, loadCertificates
from .enums import StoreLocation, StoreName, X509FindType
from .errors import CertificateError, NotSupportedError
from .finding import findIn, thumbprintOf
from .storefiles import (
    DEFAULT_ROOTS,
    NOTHING,
    Content,
    File,
    contentOf,
    described,
    load,
    refusal,
    settings,
    storeIn,
    systemContent,
    systemPlaces,
    union,
    userStores,
    withKey,
    writePrivately,
)

#: Where the machine's stores are, each in a directory of its name in lower
#: case.
MACHINE_STORES = Path("/etc/txsslstream/x509stores")

#: How many more names there are for certificates of one thumbprint.
_OTHER_NAMES = 9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,63}")
#: .NET's names of the stores where they are not the members' own.
_NAMES = {StoreName.CertificateAuthority: "CA"}


class X509Store:
    """
    A certificate store (.NET: C{X509Store}, opened for reading and writing).

    In a directory, the files C{*.pfx}, C{*.p12}, C{*.pem}, C{*.crt} and
    C{*.cer} count that are not encrypted and at most 1 MiB large; there may be
    10,000.  .NET reads C{*.pfx} alone, which is what L{add} writes.

    A directory or file that is neither the current user's nor root's, or that
    its group or everybody may write to, is not used, unless the directory was
    given by its path: somebody else would decide about trust.

    The stores C{Root} and C{CA} of L{StoreLocation.LocalMachine} are what
    OpenSSL is set up with: the certificates in C{SSL_CERT_FILE} and in all files
    of C{SSL_CERT_DIR}, or in their defaults.  Those that have issued themselves
    are roots.  A change in one file of a directory is seen when the directory
    changes.

    @ivar name: the name, such as C{"My"}; .NET's is C{"CA"} for
        L{StoreName.CertificateAuthority}.
    @ivar location: whose it is.
    @ivar path: the directory, whether or not it exists; of the two stores that
        are OpenSSL's, its file or directory.
    """

    def __init__(
        self,
        storeName: StoreName | str = StoreName.My,
        storeLocation: StoreLocation = StoreLocation.CurrentUser,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        """
        @param storeName: one of .NET's, or any name of ASCII letters, digits,
            spaces and dashes.
        @param path: another directory than that of the location.
        @raise ValueError: it is no such name.
        @raise CertificateError: the user has no home directory.
        """
        if isinstance(storeName, StoreName):
            storeName = _NAMES.get(storeName, storeName.name)
        if _NAME.fullmatch(storeName) is None:
            raise ValueError(f"not the name of a store: {storeName!r}")
        self.name = storeName
        self.location = StoreLocation(storeLocation)
        isMachine = self.location is StoreLocation.LocalMachine
        lowered = storeName.lower()
        self._isGiven = path is not None
        self._isSystem = path is None and isMachine and lowered in ("root", "ca")
        if path is not None:
            self.path = Path(path)
        elif self._isSystem:
            bundles, directories, _ = systemPlaces()
            self.path = [*bundles, *directories, DEFAULT_ROOTS][0]
        else:
            stores = MACHINE_STORES if isMachine else userStores()
            if stores is None:
                raise CertificateError(f"the current user (uid {os.geteuid()}) has no home")
            self.path = stores / lowered

    def _content(self) -> Content:
        if self._isSystem:
            return systemContent()
        content = contentOf(self.path, self._isGiven)
        if self.location is StoreLocation.LocalMachine and content.forbidden:
            raise CertificateError(content.forbidden[0])
        return content

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """
        The certificates, each once, in the order of the files' names; none if
        the directory does not exist (.NET: C{Certificates}).  Files that cannot
        be read are L{skipped}.

        @raise CertificateError: the directory exists and may not be read; or,
            of L{StoreLocation.LocalMachine}, one of its files, whose name,
            owner and mode are told; or there are too many; or the directory or
            a file is another user's, or others may write to it.
        """
        content = self._content()
        if not self._isSystem:
            return content.certificates
        return content.roots if self.name.lower() == "root" else content.intermediates

    @property
    def skipped(self) -> tuple[tuple[Path, str], ...]:
        """
        Files that were skipped, or parts of them, each with the reason.

        @raise CertificateError: as for L{certificates}.
        """
        return self._content().skipped

    @property
    def contexts(self) -> tuple[SslStreamCertificateContext, ...]:
        """
        The certificates with a private key, each with the others of its file as
        intermediates.

        @raise CertificateError: as for L{certificates}.
        """
        return tuple(self._content().contexts.values())

    def contextFor(self, certificate: SomeCertificate) -> SslStreamCertificateContext | None:
        """
        @param certificate: in any accepted form.
        @return: exactly this certificate with its private key, if the store has
            both.
        @raise CertificateError: as for L{certificates}.
        """
        return self._content().contexts.get(loadCertificates(certificate)[0])

    def find(
        self, findType: X509FindType, value: Any, validOnly: bool = False
    ) -> tuple[x509.Certificate, ...]:
        """
        Look for certificates (.NET: C{X509Certificate2Collection.Find}).

          - C{FindByThumbprint}, C{FindBySubjectKeyIdentifier}: hexadecimal;
            spaces and colons are ignored.
          - C{FindBySubjectName}, C{FindByIssuerName}: a part of the name's
            values, joined by commas, in either case.
          - C{FindBySubjectDistinguishedName}, C{FindByIssuerDistinguishedName}:
            the whole name in either case, as C{rfc4514_string} or .NET write
            it (C{"CN=Example, O=Company"}).
          - C{FindBySerialNumber}: a L{str}, hexadecimal or decimal.
          - C{FindByTimeValid}, C{FindByTimeNotYetValid}, C{FindByTimeExpired}: a
            L{datetime.datetime}, local time if it has no time zone.
          - C{FindByApplicationPolicy}, C{FindByCertificatePolicy},
            C{FindByExtension}: an object identifier in dotted form.
            Certificates that name no application policy have each.
          - C{FindByKeyUsage}: L{X509KeyUsageFlags}, or the name of one.
            Certificates that name no usage have each.

        What cannot be read in a certificate does not match.

        @param validOnly: only what is valid at this time.  No chain is built,
            as .NET does here.
        @raise TypeError: the value is of another type.
        @raise ValueError: the value is no such thing.
        @raise NotSupportedError: for C{FindByTemplateName}.
        @raise CertificateError: as for L{certificates}.
        """
        return findIn(self.certificates, findType, value, validOnly)

    def add(self, certificate: SomeCertificate) -> None:
        """
        Add a certificate, with its private key if it has one (.NET: C{Add}), as
        a PKCS#12 file without password that only the user may read.  Adding
        what is there does nothing, unless it now has a private key.  A
        directory that has to be made is for the user alone as well: what others
        shall read in a machine's store needs its owner's permission.

        @param certificate: in any accepted form; of a file without private key,
            all certificates are added.
        @raise CertificateError: it cannot be read; or the directory cannot be
            written, or is not the current user's with mode u+rwx; or the ten
            names for its thumbprint are taken; or as for L{certificates}.
        @raise NotSupportedError: the store is OpenSSL's, and read only.
        """
        added = self._fileOf(certificate)
        new: list[Path] = []
        try:
            self._makeDirectory()
            for each in added.certificates:
                new += self._write(each, added.context)
        except OSError as e:
            # All of them or none.
            for path in new:
                path.unlink(missing_ok=True)
            raise CertificateError(f"{self.path}: {e.strerror}") from e
        finally:
            _changed()

    def remove(self, certificate: SomeCertificate) -> None:
        """
        Remove a certificate, with its private key if that is there as well
        (.NET: C{Remove}).  Nothing happens if the store does not have it.

        @param certificate: as for L{add}.
        @raise CertificateError: the file cannot be removed, or holds other
            certificates as well; or as for L{certificates}.
        @raise NotSupportedError: the store is OpenSSL's, and read only.
        """
        unwanted = set(self._fileOf(certificate).certificates)
        holders = {
            path: file.certificates
            for path, file in self._content().files.items()
            if not unwanted.isdisjoint(file.certificates)
        }
        for path, certificates in holders.items():
            others = len(set(certificates) - unwanted)
            if others:
                raise CertificateError(f"{path}: other certificates are in it as well: {others}")
        try:
            for path in holders:
                path.unlink(missing_ok=True)
        except OSError as e:
            raise CertificateError(f"{e.filename}: {e.strerror}") from e
        finally:
            _changed()

    def _fileOf(self, certificate: SomeCertificate) -> File:
        """
        @return: what is to be added or removed, as if from a file.
        """
        if self._isSystem:
            raise NotSupportedError(f"{self!r} is what OpenSSL is set up with, and read only")
        if isinstance(certificate, (str, os.PathLike)):
            path = Path(certificate)
            try:
                return load(path)
            except PermissionError as e:
                raise refusal(path) from e
            except OSError as e:
                raise CertificateError(f"{path}: {e.strerror}") from e
        if hasattr(certificate, "privateKey"):
            return withKey(SslStreamCertificateContext.create(certificate))
        return File(tuple(loadCertificates(certificate)))

    def _makeDirectory(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = self.path.stat()
        if info.st_uid != os.geteuid() or info.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            raise CertificateError(
                f"{self.path}: to write to it, the current user (uid {os.geteuid()}) must own "
                f"it with mode u+rwx ({described(info.st_uid, info.st_mode)})"
            )

    def _write(
        self, certificate: x509.Certificate, context: SslStreamCertificateContext | None
    ) -> list[Path]:
        """
        @return: the file, if it is new.
        """
        content = self._content()
        if certificate in (content.certificates if context is None else content.contexts):
            return []
        data = pkcs12.serialize_key_and_certificates(
            None,
            None if context is None else context.privateKey,  # type: ignore[arg-type]
            certificate,
            None if context is None else context.intermediates,
            NoEncryption(),
        )
        path = self._pathFor(certificate, content)
        writePrivately(path, data)
        return [] if path in content.files else [path]

    def _pathFor(self, certificate: x509.Certificate, content: Content) -> Path:
        """
        @return: the file that has this certificate alone and no key, or else a
            new one.
        """
        thumbprint = thumbprintOf(certificate).hex().upper()
        suffixes = ["", *(f".{number}" for number in range(1, _OTHER_NAMES + 1))]
        paths = [self.path / f"{thumbprint}{suffix}.pfx" for suffix in suffixes]
        for path in paths:
            if path in content.files and content.files[path].certificates == (certificate,):
                return path
        for path in paths:
            if not os.path.lexists(path):
                return path
        raise CertificateError(f"{paths[-1]}: all names for this thumbprint are taken")

    def __repr__(self) -> str:
        try:
            count = f"{len(self.certificates)} certificates"
        except CertificateError:
            count = "unreadable"
        return f"<X509Store {self.location.name}/{self.name} {count}>"


# What all stores together say.


def _contentOfUser(name: str) -> Content:
    stores = userStores()
    return NOTHING if stores is None else contentOf(storeIn(stores, name))


class Stores:
    """
    What all stores say, each looked at once, when somebody asks.
    """

    @cached_property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """
        See L{systemRoots}.
        """
        return systemRoots()

    @cached_property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """
        See L{userIntermediates}.
        """
        return userIntermediates()

    @cached_property
    def disallowed(self) -> frozenset[bytes]:
        """
        See L{disallowed}.
        """
        return disallowed()


#: For so many seconds L{storesNow} does not look again.
MOMENT = 1.0

#: What it has said, for whom, and until when.
_now: tuple[Stores, object, float] | None = None


def storesNow() -> Stores:
    """
    @return: for a L{MOMENT} the same, for looking at all places takes longer than
        anything else that there is to do about a peer who is known.  What this
        process itself changes in a store is seen at once.
    """
    global _now
    user = settings()
    now = monotonic()
    # Read once: it is forgotten by whatever thread changes a store.
    last = _now
    if last is None or last[1] != user or now >= last[2]:
        _now = last = Stores(), user, now + MOMENT
    return last[0]


def _changed() -> None:
    global _now
    _now = None


def systemRoots() -> tuple[x509.Certificate, ...]:
    """
    @return: what is trusted (.NET on Linux): the machine's roots and the
        user's, each once; the same object as long as nothing changes, if there
        are only the machine's.
    @raise CertificateError: a store cannot be read, or others may write to it.
    """
    return union(systemContent().roots, _contentOfUser("root").certificates)


def userIntermediates() -> tuple[x509.Certificate, ...]:
    """
    @return: what may be on the way to a root: the user's intermediates, and
        those among the machine's certificates.
    @raise CertificateError: a store cannot be read, or others may write to it.
    """
    return union(_contentOfUser("ca").certificates, systemContent().intermediates)


def disallowed() -> frozenset[bytes]:
    """
    @return: the SHA-256 fingerprints of the certificates that the user or the
        machine trusts in no case.  (In .NET on Linux this store must be empty.)
    @raise CertificateError: a store, or any file of one, cannot be read, or
        others may write to it: what is not known cannot be refused.
    """
    fingerprints: frozenset[bytes] = frozenset()
    for content in (_contentOfUser("disallowed"), contentOf(storeIn(MACHINE_STORES, "disallowed"))):
        if content.skipped:
            raise CertificateError(f"disallowed certificates: {content.skipped[0][1]}")
        fingerprints |= content.fingerprints
    return fingerprints
