# -*- test-case-name: tests.test_insecure -*-
"""
What makes connections readable for others, and nothing that a program needs.

The secrets of TLS connections can be logged in NSS' format, with which tools
such as Wireshark decrypt what they have captured.  B{Whoever has such a log can
read all that was said on the connections that are in it, and who has it in time
can say more.}  Importing this module is the only way to get one.  It cannot be
got for connections that others have set up, such as Twisted's own connection
creators.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ._openssl import logAllSecrets
from .options import (
    AuthenticationOptions,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)

_log = Logger()

_Options = TypeVar("_Options", bound=AuthenticationOptions)


@dataclass(frozen=True)
class _FileLog:
    """
    Secrets in a file, which is opened for each: it may be moved, and there are
    few.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def __call__(self, _: IReactorTime | None, line: bytes) -> None:
        try:
            self.append(line + b"\n")
        except OSError as e:
            _log.error("no TLS secret was logged: {error}", error=str(e))

    def append(self, data: bytes) -> None:
        """
        @raise OSError: that is not possible.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        try:
            self._refuseForeign(os.fstat(descriptor))
            # One call, so that lines of other processes are not torn.
            written = os.write(descriptor, data)
            if written < len(data):
                self._takeBack(descriptor, written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        finally:
            os.close(descriptor)

    def _takeBack(self, descriptor: int, size: int) -> None:
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        # Unless somebody else has written behind it.
        if os.fstat(descriptor).st_size == end:
            os.ftruncate(descriptor, end - size)

    def _refuseForeign(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{self.path}: not a regular file")
        if status.st_uid != os.geteuid():
            raise PermissionError(f"{self.path}: belongs to somebody else")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PermissionError(f"{self.path}: not for the user alone (mode 0600)")


@dataclass(frozen=True)
class _CallableLog:
    """
    Secrets for a function of the user's.
    """

    sink: Callable[[bytes], object]

    def __str__(self) -> str:
        return repr(self.sink)

    def __call__(self, clock: IReactorTime, line: bytes) -> None:
        # OpenSSL is in the middle of its work, where nothing of the user's runs.
        # In a function of its own, for a delayed call shows its arguments.
        clock.callLater(0, lambda: self._tell(line))

    def _tell(self, line: bytes) -> None:
        try:
            self.sink(line)
        except BaseException as e:
            # The error itself may contain the line.
            _log.error(
                "no TLS secret was logged: {sink} raised {kind}",
                sink=str(self),
                kind=type(e).__name__,
            )


_KeyLog = Callable[[IReactorTime, bytes], None]


@dataclass(frozen=True)
class _LoggingClientOptions(SslClientAuthenticationOptions):
    keyLog: _KeyLog | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class _LoggingServerOptions(SslServerAuthenticationOptions):
    keyLog: _KeyLog | None = field(default=None, kw_only=True)


#: What has a key log instead of what has none.
_LOGGING: dict[type, Any] = {
    SslClientAuthenticationOptions: _LoggingClientOptions,
    _LoggingClientOptions: _LoggingClientOptions,
    SslServerAuthenticationOptions: _LoggingServerOptions,
    _LoggingServerOptions: _LoggingServerOptions,
}


def withKeyLog(
    options: _Options, sink: str | os.PathLike[str] | Callable[[bytes], object]
) -> _Options:
    """
    Have the secrets of connections logged.

    @param options: what the connections are to be like.
    @param sink: a file, which is made with mode 0600 if there is none, and must
        be the user's own and nobody else's to read or to write; lines are
        appended, each in one piece.  Or a function that is called with each line,
        without its end, soon after the secret was made; whatever it returns or
        raises has no effect.
    @return: the same options, but for this.
    @raise OSError: the file cannot be written, or is not the user's alone.
    @raise TypeError: these are no options, or it is neither file nor function.
    """
    kind = _LOGGING.get(type(options))
    if kind is None:
        raise TypeError(f"options of a client or server, not {type(options).__name__}")
    keyLog = _CallableLog(sink) if callable(sink) else _opened(sink)
    given = {each.name: getattr(options, each.name) for each in fields(options)}
    logging: _Options = kind(**{**given, "keyLog": keyLog})
    _warn("these options", keyLog)
    return logging


def obeySSLKEYLOGFILE() -> Path | None:
    """
    Have the secrets of all connections that begin from now on appended to the
    file that the environment variable C{SSLKEYLOGFILE} names at this moment, or
    to none any more if it names none.  What L{withKeyLog} was asked for goes on
    beside.

    @return: the file, or L{None}.
    @raise OSError: see L{withKeyLog}.
    """
    name = os.environ.get("SSLKEYLOGFILE")
    if not name:
        logAllSecrets(None)
        return None
    keyLog = _opened(name)
    logAllSecrets(partial(keyLog, None))
    _warn("this process", keyLog)
    return keyLog.path


def _opened(path: str | os.PathLike[str]) -> _FileLog:
    # A daemon may change its directory.
    keyLog = _FileLog(Path(path).absolute())
    keyLog.append(b"")
    return keyLog


def _warn(whose: str, keyLog: _FileLog | _CallableLog) -> None:
    _log.warn(
        "INSECURE: the TLS secrets of {whose} go to {sink}. "
        "Whoever reads them can read the connections.",
        whose=whose,
        # As a text: whoever keeps the event should not keep the function.
        sink=str(keyLog),
    )
