# -*- test-case-name: tests.test_cache -*-
"""
What has been fetched is kept until it expires: in memory, and on disk for the
next process.

Nothing in it is trusted.  Whoever takes something from it checks the signature,
as after fetching it; the checksums are against broken disks and halves of
files.  A disk that fails costs a retrieval, and is never an error.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import NamedTuple

import platformdirs
from twisted.logger import Logger

from .storefiles import writePrivately

#: Bytes of all that is kept in memory.
MEMORY_BYTES = 1 << 24
#: Bytes of all that is kept on disk, and of one file there.
DISK_BYTES = 1 << 26
MOST_FILE_BYTES = 1 << 26

#: What a file starts with; another form would get another one.
MAGIC = b"txsslstream-cache-1\n"
#: Behind it: the end in microseconds, and the checksum of the key's digest, of
#: that end and of the data, which is all the rest.
_HEADER = struct.Struct(">q32s")
_PREFIX = len(MAGIC) + _HEADER.size

#: The files in the directory that are ours: entries, and what is left of
#: interrupted writes.
_OURS = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.\w+")
#: What a file counts for at least, so that their number is limited, too.
_BLOCK = 4096

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_log = Logger()


def defaultDirectory() -> Path:
    """
    @return: where the files are kept, by the platform's custom.
    """
    return Path(platformdirs.user_cache_path("txsslstream", appauthor=False)) / "revocation"


@cache
def defaultCache() -> RevocationCache:
    """
    @return: the one of this process.
    """
    return RevocationCache(defaultDirectory())


class _Entry(NamedTuple):
    """
    @ivar end: when it expires, in microseconds since 1970.
    """

    end: int
    data: bytes


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _nameOf(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _checksum(name: str, entry: _Entry) -> bytes:
    checksum = hashlib.sha256(bytes.fromhex(name) + entry.end.to_bytes(8, "big", signed=True))
    checksum.update(entry.data)
    return checksum.digest()


def _opened(path: str, flags: int) -> int:
    # Neither a link nor a pipe makes us wait.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


class _Memory:
    """
    The entries that were used last, by name.
    """

    def __init__(self, entries: int, size: int) -> None:
        """
        @param size: bytes of their data, together.
        """
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._most = entries
        self._size = self._room = size

    def get(self, name: str, moment: int) -> _Entry | None:
        """
        @return: the entry, if it has not expired at that moment.
        """
        entry = self._entries.get(name)
        if entry is None:
            return None
        if entry.end <= moment:
            self.remove(name)
            return None
        self._entries.move_to_end(name)
        return entry

    def put(self, name: str, entry: _Entry) -> None:
        """
        Keep it, if need be instead of others; one that is too large is not kept.
        """
        self.remove(name)
        if len(entry.data) > self._size:
            return
        self._entries[name] = entry
        self._room -= len(entry.data)
        while self._room < 0 or len(self._entries) > self._most:
            self.remove(next(iter(self._entries)))

    def remove(self, name: str) -> None:
        """
        Forget it, if it is there.
        """
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._room += len(entry.data)


class _Directory:
    """
    Entries as files.  Everything raises L{OSError}.
    """

    def __init__(self, path: Path, size: int) -> None:
        """
        @param path: need not be there.
        @param size: bytes that all files may take together.
        """
        self._path = path
        self._size = size
        #: What may be written before the next look at what is there.
        self._room = 0

    def read(self, name: str, moment: int) -> _Entry | None:
        """
        @return: the entry, if it is sound and has not expired at that moment;
            otherwise it is gone.
        """
        if not self._isThere():
            return None
        with suppress(FileNotFoundError), open(self._path / name, "rb", opener=_opened) as file:
            header = file.read(_PREFIX)
            if header.startswith(MAGIC) and len(header) == _PREFIX:
                end, checksum = _HEADER.unpack_from(header, len(MAGIC))
                entry = _Entry(end, file.read(MOST_FILE_BYTES))
                if end > moment and checksum == _checksum(name, entry):
                    return entry
        self.remove(name)
        return None

    def write(self, name: str, entry: _Entry) -> None:
        """
        Keep it, unless it is too large.
        """
        # Should the new one not find its place, the old one is gone.
        self.remove(name)
        if len(entry.data) > min(self._size - _PREFIX, MOST_FILE_BYTES):
            return
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._makeRoom(max(_PREFIX + len(entry.data), _BLOCK))
        header = MAGIC + _HEADER.pack(entry.end, _checksum(name, entry))
        # The checksum tells what has not come to the disk, and the handshake that
        # waits for this should not wait for the disk.
        writePrivately(self._path / name, header + entry.data, isDurable=False)

    def remove(self, name: str) -> None:
        """
        Delete it, if it is there.
        """
        if self._isThere():
            (self._path / name).unlink(missing_ok=True)

    def _isThere(self) -> bool:
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(f"{self._path}: not a directory")
        if status.st_uid != os.geteuid():
            raise PermissionError(f"{self._path}: belongs to somebody else")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{self._path}: others may write there")
        return True

    def _makeRoom(self, size: int) -> None:
        if self._room < size:
            files = sorted(self._files())
            total = sum(taken for _, _, taken in files) + size
            # More than is needed, or the next one would have to look again.
            goal = self._size if total <= self._size else self._size - self._size // 8
            for _, path, taken in files:
                if total <= goal:
                    break
                with suppress(FileNotFoundError):
                    os.unlink(path)
                total -= taken
            # Other processes write there as well: one look is not for long.
            self._room = min(self._size - total, self._size // 8) + size
        self._room -= size

    def _files(self) -> Iterator[tuple[int, str, int]]:
        """
        @return: the times of the files, their paths, and what they take.
        """
        with os.scandir(self._path) as entries:
            for each in entries:
                if _OURS.fullmatch(each.name) and not each.is_dir(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        status = each.stat(follow_symlinks=False)
                        yield status.st_mtime_ns, each.path, max(status.st_size, _BLOCK)


class RevocationCache:
    """
    What has been fetched, until it expires.  A disk that fails is logged, once,
    and otherwise never noticed.
    """

    def __init__(
        self, path: Path | None, memoryEntries: int = 1000, diskBytes: int = DISK_BYTES
    ) -> None:
        """
        @param path: the directory, made when something is put there; L{None}:
            memory only.  A link, somebody else's directory or one that others
            may write to is not used.
        @param memoryEntries: how many to keep in memory, within
            L{MEMORY_BYTES}.
        @param diskBytes: what all files may take together.
        """
        self._memory = _Memory(memoryEntries, MEMORY_BYTES)
        self._disk = None if path is None else _Directory(path, diskBytes)
        self._hasComplained = False

    def get(self, key: str, now: datetime) -> bytes | None:
        """
        @param now: with a time zone.
        @return: what was put there, unless it has expired or is lost.
        """
        name, moment = _nameOf(key), _microseconds(now)
        entry = self._memory.get(name, moment)
        if entry is None and self._disk is not None:
            with self._complaining():
                entry = self._disk.read(name, moment)
            if entry is not None:
                self._memory.put(name, entry)
        return None if entry is None else entry.data

    def put(self, key: str, data: bytes, expires: datetime, now: datetime) -> None:
        """
        Keep it, instead of what was there.

        @param expires: from when on it is not given any more, with a time zone.
        @param now: with a time zone.
        """
        name, entry = _nameOf(key), _Entry(_microseconds(expires), data)
        with self._complaining():
            if entry.end > _microseconds(now):
                self._memory.put(name, entry)
                if self._disk is not None:
                    self._disk.write(name, entry)
            else:
                self._memory.remove(name)
                if self._disk is not None:
                    self._disk.remove(name)

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        # A path can have characters that no file name may have.
        except (OSError, ValueError) as e:
            if not self._hasComplained:
                self._hasComplained = True
                _log.warn(
                    "What was fetched about certificates is not kept on disk: {reason}",
                    reason=str(e),
                )
