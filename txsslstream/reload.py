# -*- test-case-name: tests.test_reload -*-
"""
Certificates that change on disk while they are in use.

A certificate and its key are renewed by somebody else, at any time, in two files
one after the other, half of one at a time, or wrongly.  Whatever happens there,
there is always one whole certificate with its key in service: handshakes take
what is in service when they begin and end with that, and only what could be
read, fits together, is accepted by OpenSSL and is valid takes its place.
"""

from __future__ import annotations

import datetime
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives import hashes
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from typing_extensions import Self

from ._filewatch import FileWatch
from ._openssl import contextFor
from .certificatefacts import readableName
from .certificates import CertificateSource, SomePassword, SslStreamCertificateContext
from .chainchecks import timeProblems
from .errors import CertificateError, InvalidOperationError
from .interfaces import IRetriever
from .parameters import TlsParameters
from .storefiles import Identity, identityOf

# Not the class's: what has been logged would hold the instance.
_log = Logger()

#: Seconds between looks at the files, unless told otherwise.
INTERVAL = 60.0
#: Files younger than that, in seconds, may not be whole yet, and are left alone.
SETTLING = 1.0
#: For how many seconds what cannot be used may be on its way to something better.
PATIENCE = 5.0

_SomePath: TypeAlias = "str | os.PathLike[str]"

#: Of each file; L{None} if it is not there.
_Identities: TypeAlias = "tuple[Identity | None, ...]"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _timeProblem(context: SslStreamCertificateContext) -> str | None:
    """
    @return: why a certificate is not valid now, if so.
    """
    return next((words for _, words in timeProblems(context.certificate, _now())), None)


def reasonOf(error: BaseException, path: str) -> str:
    """
    @return: why a file cannot be used, for the log.
    """
    if isinstance(error, (CertificateError, InvalidOperationError)):
        return str(error)
    # cryptography raises more than that, and so may whoever loads; the words
    # may be anything.
    return f"{path}: it cannot be read ({type(error).__name__})"


def absolute(path: _SomePath) -> str:
    """
    @return: the path as it is from anywhere.
    """
    path = os.fspath(path)
    # Not abspath: what is behind a link has another parent.
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)


class _Use:
    """
    Kept by those who use a certificate for one thing.
    """


class ReloadingCertificate(CertificateSource):
    """
    A certificate with its key in files that somebody renews.  Options take it
    wherever they take a certificate for a server or a client, and so does
    whatever selects one.

    When the files change they are read again.  Until they can be used, what was
    in service before stays so, and the log has an error that says why.
    Connections keep what they began with.

    The files are looked at when a connection begins, but not more often than
    every C{interval} seconds; with L{watch} also if none does, and at once where
    the system tells of changes.  Reading them blocks.
    """

    def __init__(
        self,
        load: Callable[[], SslStreamCertificateContext],
        paths: Iterable[_SomePath],
        *,
        interval: float = INTERVAL,
        clock: IReactorTime | None = None,
        reactor: Any = None,
    ) -> None:
        """
        @param load: reads the certificate.
        @param paths: the files that it reads, at least one; the first stands
            for all in the log.
        @param interval: seconds between two looks.
        @param clock: measures them; L{None} for the system's monotonic clock.
        @param reactor: to L{watch} with from now on, if given.
        @raise CertificateError: the files cannot be used.
        @raise ValueError: C{interval} is no time.
        """
        if not 0 < interval < math.inf:
            raise ValueError(f"interval is a positive number of seconds, not {interval!r}")
        self._load = load
        self._paths = tuple(map(absolute, paths))
        self._interval = interval
        self._seconds = time.monotonic if clock is None else clock.seconds
        self._uses: WeakValueDictionary[TlsParameters, _Use] = WeakValueDictionary()
        # With nothing else asked for, OpenSSL is at its strictest.
        self._use = self.usedFor(TlsParameters(isServer=True))
        self._reactor: Any = None
        self._watch: FileWatch | None = None
        self._timer: IDelayedCall | None = None
        # What the log has as an error, and since when there is one to come.
        self._reported: tuple[_Identities, str] | None = None
        self._brokenSince: float | None = None
        self._warnedOf: SslStreamCertificateContext | None = None
        self._lookedAt = self._seconds()
        self._note(*self._inspect())
        self._inService = self._read()
        self._warnIfInvalid()
        if reactor is not None:
            self.watch(reactor)

    @classmethod
    def fromPEM(
        cls,
        path: _SomePath,
        privateKeyPath: _SomePath | None = None,
        password: SomePassword = None,
        *,
        interval: float = INTERVAL,
        clock: IReactorTime | None = None,
        reactor: Any = None,
        offline: bool = False,
        retriever: IRetriever | None = None,
    ) -> Self:
        """
        Keep to one PEM file with certificates and a private key, or to two, as
        L{SslStreamCertificateContext.fromPEM} reads them.  A relative path is
        below the working directory of this moment.

        @param password: for an encrypted key; a callback is asked whenever one
            is read.
        @param interval: as for the class.
        @param clock: as for the class.
        @param reactor: as for the class.
        @param offline: as L{SslStreamCertificateContext} has it.
        @param retriever: as L{SslStreamCertificateContext} has it.
        @raise CertificateError: the files cannot be used.
        @raise ValueError: C{interval} is no time.
        """
        some = (path,) if privateKeyPath is None else (path, privateKeyPath)
        paths = tuple(map(absolute, some))
        load = partial(
            SslStreamCertificateContext.fromPEM,
            paths[0],
            paths[-1],
            password,
            offline=offline,
            retriever=retriever,
        )
        return cls(load, paths, interval=interval, clock=clock, reactor=reactor)

    @classmethod
    def fromPFX(
        cls,
        path: _SomePath,
        password: SomePassword = None,
        *,
        interval: float = INTERVAL,
        clock: IReactorTime | None = None,
        reactor: Any = None,
        offline: bool = False,
        retriever: IRetriever | None = None,
    ) -> Self:
        """
        Keep to a PKCS#12 file.

        The parameters and errors are those of L{fromPEM}.
        """
        place = absolute(path)
        load = partial(
            SslStreamCertificateContext.fromPFX,
            place,
            password,
            offline=offline,
            retriever=retriever,
        )
        return cls(load, (place,), interval=interval, clock=clock, reactor=reactor)

    @property
    def current(self) -> SslStreamCertificateContext:
        """
        What is in service, after a look at the files if it is time for one.
        """
        # Some clocks are set back.
        if not 0 <= self._seconds() - self._lookedAt < self._delay:
            self._look()
        return self._inService

    def usedFor(self, parameters: TlsParameters) -> object:
        """
        See L{CertificateSource.usedFor}.
        """
        return self._uses.setdefault(parameters, _Use())

    @property
    def problem(self) -> str | None:
        """
        Why the files, as they are now, are not what is in service; L{None} if
        they are, or nothing is known yet.
        """
        return None if self._reported is None else self._reported[1]

    def reload(self) -> bool:
        """
        Read the files now, whether or not they have changed, such as upon
        C{SIGHUP}.  What is wrong with them goes to the log and into L{problem}.

        @return: whether there is another certificate in service now.
        """
        return self._look(isForced=True)

    def watch(self, reactor: Any) -> None:
        """
        Look at the files whenever the system tells of a change (by
        C{inotify(7)}), and every C{interval} seconds in any case, until
        L{stopWatching}.

        @param reactor: provides C{IReactorTime}, and C{IReactorFDSet} for
            C{inotify}.
        """
        self.stopWatching()
        self._reactor = reactor
        self._watch = FileWatch(reactor, self._paths, self._changed)
        self._tick()

    def stopWatching(self) -> None:
        """
        End what L{watch} began, if it did.  The files are still looked at when
        connections begin.
        """
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        self._timer = None
        watch = self._watch
        assert watch is not None
        before = watch.problem
        isElsewhere = watch.refresh()
        if watch.problem not in (None, before):
            _log.info(
                "{path}: looked at every {interval} seconds, since not every change is told: "
                "{problem}",
                path=self._paths[0],
                interval=self._interval,
                problem=watch.problem,
            )
        self._look()
        # The callback for the password may have ended it.
        if self._watch is watch:
            # What has moved may have moved again before it was watched.
            delay = min(self._delay, SETTLING) if isElsewhere else self._delay
            self._timer = self._reactor.callLater(delay, self._tick)

    def _changed(self) -> None:
        timer = self._timer
        if timer is not None and timer.getTime() - self._reactor.seconds() > SETTLING:
            timer.reset(SETTLING)

    def _inspect(self) -> tuple[_Identities, bool]:
        """
        @return: what changes when the files do, and whether they did just now.
        """
        identities: list[Identity | None] = []
        isYoung = False
        now = _now().timestamp()
        for path in self._paths:
            try:
                info = os.stat(path)
            except OSError:
                identities.append(None)
                continue
            identities.append(identityOf(info))
            isYoung |= abs(now - info.st_mtime) < SETTLING
        return tuple(identities), isYoung

    def _note(self, identities: _Identities, isYoung: bool) -> None:
        """
        The files are about to be read.
        """
        # What is written within the same tick of the file system's clock would
        # be as if it had not been: the young are read twice.
        self._known = () if isYoung else identities
        self._delay = min(SETTLING, self._interval) if isYoung else self._interval

    def _read(self) -> SslStreamCertificateContext:
        """
        @raise CertificateError: the files cannot be used.
        @raise InvalidOperationError: not for what they are used for.
        """
        found = self._load()
        for parameters in list(self._uses):
            contextFor(replace(parameters, certificate=found))
        return found

    def _readBetter(self) -> SslStreamCertificateContext:
        """
        @raise CertificateError: the files cannot be used, or what is in service
            is better.
        """
        found = self._read()
        problem = _timeProblem(found)
        if problem is not None and _timeProblem(self._inService) is None:
            raise CertificateError(f"{self._paths[0]}: {readableName(found.certificate)} {problem}")
        return found

    def _look(self, isForced: bool = False) -> bool:
        """
        Read the files if they have changed.

        @param isForced: in any case.
        @return: whether there is another certificate in service now.
        """
        self._lookedAt = self._seconds()
        identities, isYoung = self._inspect()
        isChanged = identities != self._known
        if not isForced:
            if not isChanged and self._brokenSince is None:
                self._delay = self._interval
                self._warnIfInvalid()
                return False
            if isChanged and isYoung:
                self._delay = min(SETTLING, self._interval)
                return False
        self._note(identities, isYoung)
        try:
            found = self._readBetter()
        except BaseException as e:
            reason = reasonOf(e, self._paths[0])
        else:
            return self._take(found)
        self._failed((identities, reason), isChanged, isForced)
        return False

    def _failed(self, what: tuple[_Identities, str], isChanged: bool, isForced: bool) -> None:
        """
        The files cannot be used: after some time, that is an error.
        """
        self._warnIfInvalid()
        isNew = isChanged and self._reported is not None
        if self._brokenSince is None or isNew:
            self._brokenSince = self._lookedAt
        if not isForced:
            if self._lookedAt - self._brokenSince < PATIENCE:
                self._delay = min(SETTLING, self._interval)
                return
            if what == self._reported:
                return
        self._reported = what
        path = self._paths[0]
        _log.error(
            "{path}: not used, {name} stays in service: {reason}",
            path=path,
            name=readableName(self._inService.certificate),
            reason=what[1].removeprefix(f"{path}: "),
        )

    def _take(self, found: SslStreamCertificateContext) -> bool:
        """
        @return: whether it is another one than before.
        """
        isNew = found != self._inService
        if isNew:
            self._inService = found
            certificate = found.certificate
            _log.info(
                "{path}: now serving {name}, valid until {until:%Y-%m-%d %H:%M:%S} UTC, "
                "SHA-256 {fingerprint}",
                path=self._paths[0],
                name=readableName(certificate),
                until=certificate.not_valid_after_utc,
                fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            )
        elif self._reported is not None:
            _log.info(
                "{path}: in order again, {name} stays in service",
                path=self._paths[0],
                name=readableName(found.certificate),
            )
        self._brokenSince = self._reported = None
        self._warnIfInvalid()
        return isNew

    def _warnIfInvalid(self) -> None:
        problem = _timeProblem(self._inService)
        if problem is not None and self._warnedOf is not self._inService:
            self._warnedOf = self._inService
            _log.warn(
                "{path}: {name}, which is in service, {problem}",
                path=self._paths[0],
                name=readableName(self._inService.certificate),
                problem=problem,
            )

    def __repr__(self) -> str:
        subject = self._inService.certificate.subject.rfc4514_string()
        return f"<ReloadingCertificate {self._paths[0]!r} {subject!r}>"
