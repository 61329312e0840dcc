# -*- test-case-name: tests.test_certdir -*-
"""
A directory of certificates, by the names that they are for.

Each file is a certificate that is reloaded on its own, with all that
L{txsslstream.reload} promises.  What is decided here is which files there are,
and which of them is for which name.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from cryptography import x509
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ._openssl import contextFor
from .certificates import (
    CertificateSource,
    SomeIdentity,
    SomePassword,
    SslStreamCertificateContext,
)
from .errors import CertificateError
from .names import hostsOf
from .options import contextWithKey
from .parameters import TlsParameters
from .reload import INTERVAL, PATIENCE, SETTLING, ReloadingCertificate, absolute, reasonOf
from .servernames import ServerNames, nameKey

# Not the class's: what has been logged would hold the instance.
_log = Logger()

_SUFFIX = ".pem"


def _namesOf(certificate: x509.Certificate) -> list[str]:
    """
    @return: the hosts and wildcards that clients may ask for to get it.
    """
    found: dict[str, None] = {}
    for name in hostsOf(certificate):
        # An address, or nothing that could be asked for.
        with suppress(ValueError):
            found[nameKey(name)] = None
    return list(found)


def _load(path: str, password: SomePassword) -> SslStreamCertificateContext:
    """
    @raise CertificateError: the file cannot be used.
    """
    context = SslStreamCertificateContext.fromPEM(path, None, password)
    if not _namesOf(context.certificate):
        raise CertificateError(f"{path}: it is for no name that a client could ask for")
    return context


def _use(source: CertificateSource, parameters: TlsParameters) -> object | None:
    """
    @return: to be kept as long as the certificate has to be fit for that.
    @raise CertificateError: OpenSSL does not take it.
    @raise InvalidOperationError: it is not fit.
    """
    contextFor(replace(parameters, certificate=source.current))
    return source.usedFor(parameters)


class _File(NamedTuple):
    """
    A file of ours.

    @ivar uses: what is kept so that it stays fit for what it is used for.
    """

    source: ReloadingCertificate
    uses: list[object | None]


class CertificateDirectory:
    """
    The certificates in the files of a directory: a
    C{serverCertificateSelectionCallback}.

    Each C{*.pem} file has a certificate with its key and intermediates, and is
    for the hosts and wildcards among its subject alternative names.  Hidden
    files, whose names begin with a dot, do not count.

    The directory and its files are looked at when a connection begins, but not
    more often than every C{interval} seconds.  Reading them blocks.  What cannot
    be used is not taken: what was in service before stays so, and the log has an
    error that says why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        default: SomeIdentity | None = None,
        password: SomePassword = None,
        *,
        interval: float = INTERVAL,
        clock: IReactorTime | None = None,
    ) -> None:
        """
        @param path: the directory; a relative one is below the working directory
            of this moment.
        @param default: what clients get that want another name or give none, in
            any accepted form that holds the key, or a L{ReloadingCertificate}.
            L{None}: they are refused with the alert C{unrecognized_name}.
        @param password: for encrypted keys; a callback is asked whenever one is
            read.
        @param interval: seconds between two looks.
        @param clock: measures them; L{None} for the system's monotonic clock.
        @raise CertificateError: the directory or a file in it cannot be used, or
            two are for the same name.
        @raise ValueError: C{interval} is no time.
        """
        self._path = absolute(path)
        self._default = None if default is None else contextWithKey(default)
        self._password = password
        self._interval = self._delay = interval
        self._clock = clock
        self._seconds = time.monotonic if clock is None else clock.seconds
        # Who came first has the first right to a name.
        self._files: dict[str, _File] = {}
        self._parameters: list[TlsParameters] = []
        self._usesOfDefault: list[object | None] = []
        self._served: dict[str, x509.Certificate] = {}
        self._conflicts: dict[str, str] = {}
        # Since when something is so; of problems None if the log has it.
        self._goneSince: dict[str, float] = {}
        self._problemSince: dict[tuple[str, str], float | None] = {}
        self._lookedAt = self._seconds()
        for each in self._paths():
            self._open(each)
        self._names: ServerNames[CertificateSource]
        self._giveNames()
        if self._conflicts:
            path, problem = next(iter(self._conflicts.items()))
            raise CertificateError(f"{path}: {problem}")

    def __call__(self, stream: object, hostName: str) -> CertificateSource | None:
        """
        Select: a C{serverCertificateSelectionCallback}.
        """
        # Some clocks are set back.
        if not 0 <= self._seconds() - self._lookedAt < self._delay:
            self._look()
        return self._names.lookup(hostName)

    @property
    def problems(self) -> tuple[str, ...]:
        """
        What the log has as errors and is still so, a sentence each.
        """
        each = [file.source.problem for file in self._files.values()]
        told = [
            f"{path}: {problem}"
            for (path, problem), since in self._problemSince.items()
            if since is None
        ]
        return (*told, *filter(None, each))

    def keepFitFor(self, parameters: TlsParameters) -> None:
        """
        Have every certificate, and whatever will be in service later, be fit for
        what it is used for.

        @param parameters: of a server's options, without certificate.
        @raise CertificateError: OpenSSL does not take one of them.
        @raise InvalidOperationError: one does not go with the parameters.
        """
        for source, uses in self._files.values():
            uses.append(_use(source, parameters))
        if self._default is not None:
            self._usesOfDefault.append(_use(self._default, parameters))
        self._parameters.append(parameters)

    def _paths(self) -> list[str]:
        """
        @raise CertificateError: the directory cannot be read, or is as empty as
            one where something should be mounted.
        """
        try:
            names = sorted(os.listdir(self._path))
        except OSError as e:
            raise CertificateError(f"{self._path}: {e.strerror or e}") from e
        found = [
            os.path.join(self._path, name)
            for name in names
            if name.endswith(_SUFFIX) and not name.startswith(".")
        ]
        if not found:
            raise CertificateError(f"{self._path}: no {_SUFFIX} file in it")
        return found

    def _open(self, path: str) -> None:
        """
        Take another file.

        @raise CertificateError: it cannot be used.
        @raise InvalidOperationError: not for what the others are used for.
        """
        load = partial(_load, path, self._password)
        source = ReloadingCertificate(load, [path], interval=self._interval, clock=self._clock)
        self._files[path] = _File(source, [_use(source, each) for each in self._parameters])

    def _giveNames(self) -> None:
        """
        Find out who is for which name now.
        """
        served = {path: each.source.current.certificate for path, each in self._files.items()}
        if served == self._served:
            return
        self._served = served
        self._conflicts = {}
        owners: dict[str, str] = {}
        for path, certificate in served.items():
            for name in _namesOf(certificate):
                owner = owners.setdefault(name, path)
                if owner != path:
                    self._conflicts[path] = f"not used for {name}, which is in {owner}"
        self._names = ServerNames(
            {name: self._files[path].source for name, path in owners.items()}, self._default
        )

    def _look(self) -> None:
        """
        See what there is now.
        """
        self._lookedAt = self._seconds()
        problems: dict[str, str] = {}
        try:
            paths = self._paths()
        except CertificateError as e:
            problems[self._path] = f"not looked through: {_without(self._path, str(e))}"
            paths = list(self._files)
        self._drop(set(self._files).difference(paths))
        opened = []
        for path in paths:
            if path not in self._files:
                try:
                    self._open(path)
                except Exception as e:
                    problems[path] = f"not used: {_without(path, reasonOf(e, path))}"
                else:
                    opened.append(path)
        self._giveNames()
        for path in opened:
            names = ", ".join(_namesOf(self._served[path]))
            _log.info("{path}: now serving {names}", path=path, names=names)
        self._complain({**problems, **self._conflicts})
        isWaiting = bool(self._goneSince) or any(
            since is not None for since in self._problemSince.values()
        )
        self._delay = min(SETTLING, self._interval) if isWaiting else self._interval

    def _drop(self, gone: set[str]) -> None:
        """
        Let go of files that have been gone for some time: before, they may be
        about to be written anew.
        """
        before, self._goneSince = self._goneSince, {}
        for path in sorted(gone):
            since = before.get(path, self._lookedAt)
            if self._lookedAt - since < PATIENCE:
                self._goneSince[path] = since
                continue
            del self._files[path]
            names = ", ".join(_namesOf(self._served[path]))
            _log.info("{path}: gone, and no longer serving {names}", path=path, names=names)

    def _complain(self, problems: dict[str, str]) -> None:
        """
        What has been wrong for some time is an error, once.
        """
        before, self._problemSince = self._problemSince, {}
        for path, problem in problems.items():
            since = before.get((path, problem), self._lookedAt)
            if since is not None and self._lookedAt - since >= PATIENCE:
                _log.error("{path}: {problem}", path=path, problem=problem)
                since = None
            self._problemSince[path, problem] = since

    def __repr__(self) -> str:
        return f"<CertificateDirectory {self._path!r} {self._names!r}>"


def _without(path: str, reason: str) -> str:
    # The log has it already.
    return reason.removeprefix(f"{path}: ")
