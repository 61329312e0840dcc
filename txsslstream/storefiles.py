# -*- test-case-name: tests.test_stores -*-
"""
Files and directories of certificates, read once.

Nothing is read again unless a file or directory has changed, which takes one
C{stat} for each file of a store, and one for each place that OpenSSL reads.
"""

from __future__ import annotations

import errno
import os
import pwd
import ssl
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import pem
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.utils import CryptographyDeprecationWarning

from .certificates import SslStreamCertificateContext, certificatesFromPEM, itself, parsed
from .errors import CertificateError

#: Where a user's stores are, below the home directory, each in a directory of
#: its name in lower case (.NET: C{OpenSslDirectoryBasedStoreProvider}).
USER_STORES = Path(".dotnet/corefx/cryptography/x509stores")
#: Where .NET looks for roots if there are none where OpenSSL is set up to look.
DEFAULT_ROOTS = Path("/etc/ssl/certs")

#: In bytes: of a file in a store, and of one of OpenSSL's.
MAXIMUM_SIZE = 1 << 20
MAXIMUM_BUNDLE = 1 << 24
#: How many files a directory may have.
MAXIMUM_FILES = 10_000

#: Of descriptors, for this process or for all, and of memory.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_SUFFIXES = frozenset({".pfx", ".p12", ".pem", ".crt", ".cer"})
_PEM_MARKER = b"-----BEGIN "
_KEY_MARKER = b"PRIVATE KEY-----"


@contextmanager
def withoutWarnings() -> Iterator[None]:
    """
    Pass over the warnings that C{cryptography} has for certificates which it
    will refuse one day: some roots of the public web are among them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


@dataclass(frozen=True)
class File:
    """
    @ivar certificates: what the file adds to its store: of one with a private
        key, the certificate that the key belongs to.
    @ivar context: that certificate with its key.
    @ivar problem: why something in it was skipped; or empty.
    @ivar isForbidden: whether it may not be read.
    """

    certificates: tuple[x509.Certificate, ...] = ()
    context: SslStreamCertificateContext | None = None
    problem: str = ""
    isForbidden: bool = False


class Identity(NamedTuple):
    """
    What changes when a file does.

    @ivar owner: the owner's number.
    @ivar mode: its mode.
    @ivar others: all that is only compared.
    """

    owner: int
    mode: int
    others: tuple[int, ...]


#: Identities that no file keeps.
_always = count()


@dataclass(frozen=True)
class Content:
    """
    What a store held when it was read.

    @ivar identities: what was looked at to know whether it has changed.
    @ivar files: what was found.
    """

    identities: Mapping[Path, Identity]
    files: Mapping[Path, File]

    @cached_property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """
        The certificates, each once.
        """
        return _unique(file.certificates for file in self.files.values())

    @cached_property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """
        Those that have issued themselves.
        """
        return tuple(each for each in self.certificates if each.subject == each.issuer)

    @cached_property
    def intermediates(self) -> tuple[x509.Certificate, ...]:
        """
        Those that others have issued.
        """
        return tuple(each for each in self.certificates if each.subject != each.issuer)

    @cached_property
    def contexts(self) -> Mapping[x509.Certificate, SslStreamCertificateContext]:
        """
        Those with a private key.
        """
        found: dict[x509.Certificate, SslStreamCertificateContext] = {}
        for file in self.files.values():
            if file.context is not None:
                found.setdefault(file.context.certificate, file.context)
        return found

    @cached_property
    def skipped(self) -> tuple[tuple[Path, str], ...]:
        """
        The files that have a problem, with the reason.
        """
        return tuple((path, file.problem) for path, file in self.files.items() if file.problem)

    @cached_property
    def forbidden(self) -> tuple[str, ...]:
        """
        The reasons why files may not be read.
        """
        return tuple(file.problem for file in self.files.values() if file.isForbidden)

    @cached_property
    def fingerprints(self) -> frozenset[bytes]:
        """
        The certificates' SHA-256 fingerprints.
        """
        return frozenset(each.fingerprint(hashes.SHA256()) for each in self.certificates)


NOTHING = Content({}, {})
#: What was read last, by directory, and by the places that OpenSSL reads.
_directories: dict[Path, Content] = {}
_systems: dict[tuple[Path, ...], Content] = {}


def union(*collections: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    """
    @param collections: in which each certificate is just once.
    @return: all certificates, each once; the very collection if only one has
        any.
    """
    filled = [each for each in collections if each]
    return filled[0] if len(filled) == 1 else _unique(filled)


def _unique(collections: Iterable[tuple[x509.Certificate, ...]]) -> tuple[x509.Certificate, ...]:
    return tuple(dict.fromkeys(each for collection in collections for each in collection))


def identityOf(info: os.stat_result) -> Identity:
    """
    @return: what changes when the file does.
    """
    # A file put in its place has another inode, and a change of who may read
    # it another mode or ctime.
    times = info.st_mtime_ns, info.st_ctime_ns
    others = (info.st_dev, info.st_ino, *times, info.st_size)
    return Identity(info.st_uid, info.st_mode, others)


def described(uid: int, mode: int) -> str:
    """
    @return: the owner and mode of a file, in words.
    """
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = f"uid {uid}"
    return f"owner {owner}, mode {stat.S_IMODE(mode):04o}"


def _refuseForeign(path: Path, uid: int, mode: int) -> None:
    """
    @raise CertificateError: somebody else than the current user and root may
        have put there what is in it.
    """
    if uid not in (0, os.geteuid()):
        problem = f"neither the current user (uid {os.geteuid()}) nor root owns it"
    elif mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "its group or everybody may write to it"
    else:
        return
    raise CertificateError(f"{path}: not used, as {problem} ({described(uid, mode)})")


def refusal(path: Path) -> CertificateError:
    """
    @return: who may not read what, and why.
    """
    for place in (path, *path.absolute().parents):
        with suppress(OSError):
            info = place.stat()
            break
    who = f"{path}: the current user (uid {os.geteuid()}) may not"
    why = described(info.st_uid, info.st_mode)
    if place != path:
        return CertificateError(f"{who} search {place} ({why})")
    what = "read and search it" if stat.S_ISDIR(info.st_mode) else "read it"
    return CertificateError(f"{who} {what} ({why})")


def _readLimited(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise CertificateError(f"{path}: larger than {limit} bytes")
    return data


@withoutWarnings()
def load(path: Path) -> File:
    """
    @return: what is in a file of certificates, of whatever format.
    @raise CertificateError: it cannot be used.
    @raise OSError: it cannot be read.
    """
    data = _readLimited(path, MAXIMUM_SIZE)
    if _PEM_MARKER in data:
        if _KEY_MARKER in data:
            return withKey(SslStreamCertificateContext.fromPEM(path))
        return File(tuple(certificatesFromPEM(data, str(path))))
    try:
        single = x509.load_der_x509_certificate(data)
    except ValueError:
        return _fromPFX(path, data)
    return File((parsed(itself, single, str(path)),))


def _fromPFX(path: Path, data: bytes) -> File:
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(data, None)
    except (ValueError, UnsupportedAlgorithm):
        # The cause may quote the file: not chained.
        raise CertificateError(
            f"{path}: neither a certificate nor a PKCS#12 file without password"
        ) from None
    if key is not None:
        return withKey(SslStreamCertificateContext.fromPFX(path))
    certificates = tuple(
        parsed(itself, each, str(path)) for each in (certificate, *others) if each is not None
    )
    if not certificates:
        raise CertificateError(f"{path}: no certificate in it")
    return File(certificates)


def withKey(context: SslStreamCertificateContext) -> File:
    """
    @return: what a file with a private key adds to its store.
    """
    # The others in the file are for the peer: they are not what the store is
    # for, such as trusted.
    return File((context.certificate,), context)


def _loadBundle(path: Path) -> File:
    """
    @return: the certificates of one of OpenSSL's files, as PEM or DER.
    @raise CertificateError: it is too large.
    @raise OSError: it cannot be read.
    """
    data = _readLimited(path, MAXIMUM_BUNDLE)
    # OpenSSL's trusted certificates, which are restricted to purposes, are not
    # for everything; .NET skips them as well.
    blocks = [each.as_bytes() for each in pem.parse(data) if type(each) is pem.Certificate]
    parse = x509.load_pem_x509_certificate if blocks else x509.load_der_x509_certificate
    found = [_parsed(parse, block) for block in blocks or [data]]
    certificates = tuple(each for each in found if not isinstance(each, Exception))
    problems = [each for each in found if isinstance(each, Exception)]
    problem = f"{path}: {len(problems)} unusable: {problems[0]}" if problems else ""
    return File(certificates, problem=problem)


def _parsed(
    parse: Callable[[bytes], x509.Certificate], data: bytes
) -> x509.Certificate | Exception:
    try:
        with withoutWarnings():
            # A name that cannot be read is a reason to skip it as well.
            return parsed(parse, data)
    except CertificateError as e:
        return e


def _attempt(load: Callable[[Path], File], path: Path) -> File:
    """
    @return: what is in a file; nothing, but the reason, if it cannot be read.
    @raise CertificateError: there is too little of something to read any.  That
        passes, and is not to be remembered of the file.
    """
    try:
        return load(path)
    except PermissionError:
        return File(problem=str(refusal(path)), isForbidden=True)
    except OSError as e:
        if e.errno in _SHORTAGES:
            raise CertificateError(f"{path}: {e.strerror}") from e
        return File(problem=f"{path}: {e.strerror}")
    except CertificateError as e:
        if getattr(e.__cause__, "errno", None) in _SHORTAGES:
            raise
        return File(problem=str(e))
    except MemoryError as e:
        raise CertificateError(f"{path}: {os.strerror(errno.ENOMEM)}") from e
    except Exception as e:
        # cryptography raises more than ValueError.  One bad file is no reason
        # to do without the others.
        return File(problem=f"{path}: it cannot be read ({type(e).__name__})")


def _filesIn(directory: Path) -> dict[Path, Identity]:
    """
    @return: the files of a directory in the order of their names.
    @raise CertificateError: there are too many.
    @raise OSError: the directory cannot be read.
    """
    # The dot has it searched as well.
    os.stat(f"{directory}/.")
    with os.scandir(directory) as entries:
        listed = list(islice(entries, MAXIMUM_FILES + 1))
    if len(listed) > MAXIMUM_FILES:
        raise CertificateError(f"{directory}: more than {MAXIMUM_FILES} files in it")
    identities = {Path(entry): _identityOfEntry(entry) for entry in listed}
    return {path: identity for path, identity in sorted(identities.items()) if identity}


def _identityOfEntry(entry: os.DirEntry[str]) -> Identity | None:
    """
    @return: what changes when this file does; L{None} if it is no file.
    """
    try:
        info = entry.stat()
    except PermissionError:
        # A link to where the user may not go, yet.
        return Identity(0, 0, (next(_always),))
    except OSError:
        # It has gone, or is a link to nowhere.
        return None
    return identityOf(info) if stat.S_ISREG(info.st_mode) else None


@contextmanager
def _explaining(directory: Path) -> Iterator[None]:
    """
    @raise CertificateError: for everything but that it is not there.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionError as e:
        raise refusal(directory) from e
    except OSError as e:
        raise CertificateError(f"{directory}: {e.strerror}") from e


def _statOf(place: Path) -> os.stat_result | None:
    """
    @return: L{None} if it is not there.
    @raise CertificateError: nobody can tell.
    """
    # Of all places where something could be most have nothing, and each judgement
    # looks there: a context manager would be as expensive as the rest.
    try:
        return os.stat(place)
    except FileNotFoundError:
        return None
    except OSError:
        with _explaining(place):
            raise


def contentOf(directory: Path, isAnybodys: bool = False) -> Content:
    """
    @param isAnybodys: whether it does not matter who owns the directory and its
        files and who may write to them.
    @return: what is in the directory of a store; nothing if there is none.
    @raise CertificateError: it cannot be read; or it, or one of its files, is
        neither the current user's nor root's, or others may write to it.
    """
    info = _statOf(directory)
    if info is None:
        return NOTHING
    try:
        with _explaining(directory):
            found = _filesIn(directory)
    except FileNotFoundError:
        return NOTHING
    identities = {path: it for path, it in found.items() if path.suffix.lower() in _SUFFIXES}
    if not isAnybodys:
        # Each time: who the current user is may change as well.
        _refuseForeign(directory, info.st_uid, info.st_mode)
        for path, identity in identities.items():
            _refuseForeign(path, identity.owner, identity.mode)
    last = _directories.get(directory, NOTHING)
    if last.identities != identities:
        files = {
            path: last.files[path]
            if last.identities.get(path) == identity
            else _attempt(load, path)
            for path, identity in identities.items()
        }
        last = _directories[directory] = Content(identities, files)
    return last


def systemPlaces() -> tuple[tuple[Path, ...], tuple[Path, ...], bool]:
    """
    @return: OpenSSL's files of roots, of which there may be one; its
        directories; and whether the directories are the default.
    """
    paths = _verifyPaths()
    file = os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile)
    directories = os.environ.get(paths.openssl_capath_env)
    listed = paths.openssl_capath if directories is None else directories
    return *_placesIn(file, listed), directories is None


def settings() -> tuple[object, ...]:
    """
    @return: what decides where certificates are looked for.
    """
    paths = _verifyPaths()
    get = os.environ.get
    return (
        os.geteuid(),
        get("HOME"),
        get(paths.openssl_cafile_env),
        get(paths.openssl_capath_env),
    )


#: What is built into OpenSSL, and the names of the variables that count instead.
_verifyPaths = cache(ssl.get_default_verify_paths)


@lru_cache(maxsize=16)
def _placesIn(file: str, directories: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    return (
        tuple(Path(each) for each in [file] if each),
        tuple(Path(each) for each in directories.split(os.pathsep) if each),
    )


def systemContent() -> Content:
    """
    @return: what OpenSSL is set up with (.NET:
        C{OpenSslCachedSystemStoreProvider}).
    @raise CertificateError: the file or a directory may not be read.
    """
    bundles, directories, isDefault = systemPlaces()
    places = (*bundles, *directories, *([DEFAULT_ROOTS] if isDefault else []))
    identities: dict[Path, Identity] = {}
    for place in places:
        info = _statOf(place)
        if info is not None:
            identities[place] = identityOf(info)
    last = _systems.get(places)
    if last is None or last.identities != identities:
        files = {path: _attempt(_loadBundle, path) for path in bundles if path.is_file()}
        for directory in directories:
            files |= _bundlesIn(directory)
        if isDefault and not any(file.certificates for file in files.values()):
            files |= _bundlesIn(DEFAULT_ROOTS)
        last = _systems[places] = Content(identities, files)
    for path in bundles:
        if path in last.files and last.files[path].isForbidden:
            raise CertificateError(last.files[path].problem)
    return last


def _bundlesIn(directory: Path) -> dict[Path, File]:
    with suppress(FileNotFoundError), _explaining(directory):
        return {path: _attempt(_loadBundle, path) for path in _filesIn(directory)}
    return {}


def writePrivately(path: Path, data: bytes, *, isDurable: bool = True) -> None:
    """
    Put a file in place, whole, and for the user alone (mode 0600).

    @param isDurable: whether to wait until it is on the disk.  Without, it may
        be there only in part after the power has failed.
    @raise OSError: it cannot be written.
    """
    # mkstemp's files have mode 0600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if isDurable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def userStores() -> Path | None:
    """
    @return: where the user's stores are; L{None} for a user without home.
    """
    home = os.environ.get("HOME")
    if home:
        try:
            os.stat(f"{home}/.")
        except PermissionError:
            # A daemon that has changed its user still has the former one's.
            home = None
        except OSError:
            pass
    if not home:
        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            return None
    return _storesIn(home)


@lru_cache(maxsize=16)
def _storesIn(home: str) -> Path:
    return Path(home) / USER_STORES


@lru_cache(maxsize=64)
def storeIn(stores: Path, name: str) -> Path:
    """
    @return: where a store is that is among those.
    """
    return stores / name
