"""
A reactor for tests that watch files: time passes, and events are read, when the
test says so.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from zope.interface import implementer


@implementer(IReactorFDSet)
class ReadingClock(Clock):
    """
    A clock that can be told to read.

    @ivar readers: from what.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None:
        raise AssertionError("there is nothing to write")

    def removeWriter(self, writer: Any) -> None:
        pass

    def removeAll(self) -> list[Any]:
        raise AssertionError("nobody needs that")

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return []

    def read(self) -> bool:
        """
        Read what is there.

        @return: whether there was anything.
        """
        ready, _, _ = select(self.readers, [], [], 0)
        for reader in ready:
            reader.doRead()
        return bool(ready)


INOTIFY = "anon_inode:inotify"


def openFiles(kind: str) -> list[str]:
    """
    @param kind: how the names of those begin that are asked for: what other
        threads have open for a while, as those of the reactor that look for a
        host's address, is nobody's concern.

    @return: what this process has open, sorted.
    """
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # One is that of this directory, and gone.
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return sorted(each for each in found if each.startswith(kind))
