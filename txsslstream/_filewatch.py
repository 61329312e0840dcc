# -*- test-case-name: tests.test_filewatch -*-
"""
Word of changes in files, where the system has it.

A file may become another one in many ways: by being written to, by another file
that takes its name, by another target of a link that leads to it, or by another
directory in the place of one on its way.  All of them are changes in one of a
few directories, which are what is watched.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.python.filepath import FilePath

if TYPE_CHECKING:
    from twisted.internet.inotify import INotify

#: As many links as Linux follows.
_MOST_LINKS = 40


def placesOf(path: str) -> Iterator[str]:
    """
    @param path: an absolute path.
    @return: the directories whose entries decide which file that is: those of
        links on the way, and the one where the file is or, if it is not there,
        where the first entry is missing.
    """
    ahead = path.split(os.sep)[::-1]
    place = os.sep
    links = 0
    while ahead:
        name = ahead.pop()
        if name in ("", os.curdir):
            continue
        if name == os.pardir:
            place = os.path.dirname(place)
            continue
        entry = os.path.join(place, name)
        try:
            target = os.readlink(entry)
        except OSError as e:
            if e.errno != errno.EINVAL:
                yield place
                return
            # It is no link.
            place = entry
            continue
        yield place
        links += 1
        if links > _MOST_LINKS:
            return
        ahead += target.split(os.sep)[::-1]
        if os.path.isabs(target):
            place = os.sep
    yield os.path.dirname(place)


class FileWatch:
    """
    Watches over files by C{inotify(7)}.

    @ivar problem: why some changes will not be noticed, or L{None}.
    """

    def __init__(self, reactor: Any, paths: Iterable[str], changed: Callable[[], None]) -> None:
        """
        @param reactor: reads from C{inotify}, if it provides L{IReactorFDSet}.
        @param paths: the files, by absolute paths.
        @param changed: called, often more than once, when one of them may have
            changed, or is about to.
        """
        self.problem: str | None = None
        self._reactor = reactor
        self._paths = tuple(paths)
        self._changed = changed
        self._places: dict[tuple[int, int], str] = {}
        self._inotify: INotify | None = None

    def refresh(self) -> bool:
        """
        Watch the directories that count now.

        @return: whether they are others than before.
        """
        places = self._currentPlaces()
        # One that was deleted has taken all with it.
        isWatching = self._inotify is not None and self._inotify.connected
        if isWatching and places == self._places:
            return False
        self.close()
        isChanged = places != self._places
        self._places = places
        self._open()
        return isChanged

    def _currentPlaces(self) -> dict[tuple[int, int], str]:
        """
        @return: the directories by what they are: C{inotify} knows each once,
            whatever its names.
        """
        found = {}
        for path in self._paths:
            for place in placesOf(path):
                try:
                    info = os.stat(place)
                except OSError:
                    # It was there a moment ago.
                    continue
                found[info.st_dev, info.st_ino] = place
        return found

    def _open(self) -> None:
        self.problem = None
        if not IReactorFDSet.providedBy(self._reactor):
            self.problem = "the reactor cannot read from file descriptors"
            return
        try:
            from twisted.internet import inotify
        except ImportError as e:
            self.problem = str(e)
            return
        mask = (
            inotify.IN_CLOSE_WRITE
            | inotify.IN_ATTRIB
            | inotify.IN_CREATE
            | inotify.IN_DELETE
            | inotify.IN_MOVED_FROM
            | inotify.IN_MOVED_TO
            | inotify.IN_MOVE_SELF
        )
        try:
            self._inotify = watcher = inotify.INotify(self._reactor)
        except inotify.INotifyError as e:
            self.problem = str(e)
            return
        for place in self._places.values():
            directory = FilePath(place)
            try:
                watcher.watch(directory, mask, callbacks=[self._noticed])
            except inotify.INotifyError as e:
                self.problem = str(e)
        watcher.startReading()

    def _noticed(self, *event: object) -> None:
        self._changed()

    def close(self) -> None:
        """
        Watch no more.
        """
        watcher, self._inotify = self._inotify, None
        if watcher is not None:
            watcher.loseConnection()
