"""
Tests for L{txsslstream._filewatch}: whatever makes a path lead to another file
is noticed.
"""

from __future__ import annotations

import os
import shutil
import sys
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet import inotify
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.files import FilesMixin
from tests.garbage import withoutCollector
from tests.watching import INOTIFY, ReadingClock, openFiles
from txsslstream._filewatch import FileWatch, placesOf


class PlacesTests(FilesMixin, SynchronousTestCase):
    """
    Tests for L{placesOf}.
    """

    def assertPlaces(self, path: str, *names: str) -> None:
        """
        Check the directories, which are given by their names below the test's.
        """
        base = self.base
        places = [os.path.relpath(each, base) for each in placesOf(f"{base}/{path}")]
        self.assertEqual(places, list(names))

    def setUp(self) -> None:
        """
        Make sure that no link leads to the test's own directory.
        """
        super().setUp()
        self.base = os.path.realpath(self.directory)
        os.makedirs(f"{self.base}/one/two")
        os.makedirs(f"{self.base}/other")

    def test_plain(self) -> None:
        """
        A file is where it is, however its path is written.
        """
        self.file(b"", "one/two/some.pem")
        for path in (
            "one/two/some.pem",
            "one//two/./some.pem",
            "one/two/../../one/two/some.pem",
        ):
            self.assertPlaces(path, "one/two")

    def test_root(self) -> None:
        """
        A file may be in the root directory, and what is above that is the same.
        """
        self.assertEqual(list(placesOf("/etc")), ["/"])
        self.assertEqual(list(placesOf("/../etc")), ["/"])

    def test_links(self) -> None:
        """
        Each link to the file is somewhere, and so is the file, be the links
        relative or not.
        """
        self.file(b"", "other/some.pem")
        os.symlink("two/link.pem", self.directory / "one" / "link.pem")
        os.symlink(f"{self.base}/other/some.pem", self.directory / "one" / "two" / "link.pem")
        self.assertPlaces("one/link.pem", "one", "one/two", "other")

    def test_linkedDirectory(self) -> None:
        """
        A directory on the way may be a link, and what is above it is then
        elsewhere.
        """
        self.file(b"", "one/two/some.pem")
        self.file(b"", "one/above.pem")
        os.symlink("../one/two/", self.directory / "other" / "link")
        self.assertPlaces("other/link/some.pem", "other", "one/two")
        self.assertPlaces("other/link/../above.pem", "other", "one")

    def test_missing(self) -> None:
        """
        Of what is not there, the place is where it would begin.
        """
        self.assertPlaces("one/two/none.pem", "one/two")
        self.assertPlaces("one/none/none/none.pem", "one")
        os.symlink("none/none.pem", self.directory / "other" / "link.pem")
        self.assertPlaces("other/link.pem", "other", "other")

    def test_noDirectory(self) -> None:
        """
        Behind a file there is nothing.
        """
        self.file(b"", "some.pem")
        self.assertPlaces("some.pem/none.pem", "some.pem")

    def test_circle(self) -> None:
        """
        Links that lead in a circle are followed for a while.
        """
        os.symlink("two/link.pem", self.directory / "one" / "link.pem")
        os.symlink("../link.pem", self.directory / "one" / "two" / "link.pem")
        places = list(placesOf(f"{self.base}/one/link.pem"))
        self.assertEqual(len(places), 41)
        self.assertEqual(set(places), {f"{self.base}/one", f"{self.base}/one/two"})


class WatchTests(FilesMixin, SynchronousTestCase):
    """
    Tests for L{FileWatch}.
    """

    def setUp(self) -> None:
        """
        Watch a file.
        """
        super().setUp()
        self.before = openFiles(INOTIFY)
        self.place = self.directory.resolve() / "place"
        self.place.mkdir()
        self.path = self.file(b"old", "place/some.pem")
        self.reactor = ReadingClock()
        self.changes = 0
        self.watch = FileWatch(self.reactor, [str(self.path)], self.changed)
        self.addCleanup(self.checkFiles)
        self.addCleanup(lambda: self.watch.close())
        self.assertTrue(self.watch.refresh())

    def changed(self) -> None:
        """
        Count.
        """
        self.changes += 1

    def checkFiles(self) -> None:
        """
        Nothing is open that was not before.
        """
        self.assertEqual(openFiles(INOTIFY), self.before)

    def assertNoticed(self, change: Callable[[], object], isOne: bool = True) -> None:
        """
        Check that a change is noticed, and that it is nothing new later.
        """
        self.reactor.read()
        self.changes = 0
        change()
        self.reactor.read()
        self.assertEqual(self.changes > 0, isOne)
        self.assertFalse(self.reactor.read())

    def test_changes(self) -> None:
        """
        A file is noticed that is written to, replaced, deleted, made, moved
        away, or gets other permissions.
        """
        path = self.path
        for change in (
            lambda: path.write_bytes(b"new"),
            lambda: os.replace(self.file(b"newer", "new.pem"), path),
            path.unlink,
            lambda: path.write_bytes(b"made"),
            lambda: path.chmod(0o600),
            lambda: path.rename(self.directory / "elsewhere.pem"),
            lambda: path.symlink_to("../elsewhere.pem"),
        ):
            self.assertNoticed(change)
        self.assertIsNone(self.watch.problem)

    def test_quiet(self) -> None:
        """
        What only reads, or changes something elsewhere, is not noticed.
        """
        for change in (
            self.path.read_bytes,
            lambda: self.file(b"", "elsewhere.pem"),
            lambda: list(self.place.iterdir()),
        ):
            self.assertNoticed(change, isOne=False)

    def test_refresh(self) -> None:
        """
        As long as the path leads through the same directories nothing has to be
        done; as soon as it leads through others, those count.
        """
        watching = list(self.reactor.readers)
        self.path.write_bytes(b"new")
        self.assertFalse(self.watch.refresh())
        self.assertEqual(self.reactor.readers, watching)
        other = self.directory / "other"
        other.mkdir()
        (other / "real.pem").write_bytes(b"")
        self.path.unlink()
        self.path.symlink_to("../other/real.pem")
        self.assertTrue(self.watch.refresh())
        self.assertEqual(len(self.reactor.readers), 1)
        self.assertNoticed(lambda: (other / "real.pem").write_bytes(b"new"))
        self.assertNoticed(self.path.unlink)
        self.assertTrue(self.watch.refresh())
        self.assertNoticed(lambda: (other / "real.pem").write_bytes(b"newer"), isOne=False)

    def test_manyNames(self) -> None:
        """
        A directory that paths lead to by several names is watched once.
        """
        (self.directory / "alias").symlink_to("place")
        paths = [str(self.path), str(self.directory / "alias" / "some.pem")]
        self.watch.close()
        self.watch = FileWatch(self.reactor, paths, self.changed)
        self.watch.refresh()
        self.path.write_bytes(b"new")
        self.reactor.read()
        self.assertEqual(self.changes, 1)

    def test_movedDirectory(self) -> None:
        """
        A directory that is moved away is noticed, and so is another one in its
        place.
        """
        self.assertNoticed(lambda: self.place.rename(self.directory / "old"))
        self.assertTrue(self.watch.refresh())
        self.assertNoticed(self.place.mkdir)
        self.assertTrue(self.watch.refresh())
        self.assertNoticed(lambda: self.path.write_bytes(b"new"))
        self.assertNoticed(
            lambda: (self.directory / "old" / "some.pem").write_bytes(b""), isOne=False
        )

    def test_deletedDirectories(self) -> None:
        """
        Directories that are deleted, even several at once, are noticed, and so
        are others in their places.
        """
        real = self.directory / "real"
        real.mkdir()
        self.path.unlink()
        self.path.symlink_to("../real/some.pem")
        for _ in range(3):
            (real / "some.pem").write_bytes(b"")
            self.watch.refresh()

            def delete() -> None:
                shutil.rmtree(real)
                shutil.rmtree(self.place)

            self.assertNoticed(delete)
            self.assertEqual(self.reactor.readers, [])
            self.watch.refresh()
            self.assertNoticed(self.place.mkdir)
            real.mkdir()
            self.watch.refresh()
            self.assertNoticed(lambda: self.path.symlink_to("../real/some.pem"))
            self.watch.refresh()

    def test_deletedAndMade(self) -> None:
        """
        A directory that is there again before anybody looks is watched again.
        """
        shutil.rmtree(self.place)
        self.place.mkdir()
        self.reactor.read()
        self.watch.refresh()
        self.assertNoticed(lambda: self.path.write_bytes(b"new"))

    def test_close(self) -> None:
        """
        A watch that is closed, once or twice, has nothing open and notices
        nothing, but can be taken up again.
        """
        for _ in range(2):
            self.watch.close()
            self.assertEqual(self.reactor.readers, [])
            self.checkFiles()
        self.path.write_bytes(b"new")
        self.reactor.read()
        self.assertEqual(self.changes, 0)
        self.watch.refresh()
        self.assertNoticed(lambda: self.path.write_bytes(b"newer"))

    def test_noLeaks(self) -> None:
        """
        However often the directories change, one descriptor is open.
        """
        for number in range(5):
            target = self.directory / str(number)
            target.mkdir()
            self.path.unlink()
            self.path.symlink_to(target / "some.pem")
            self.watch.refresh()
            self.assertEqual(len(openFiles(INOTIFY)), len(self.before) + 1)

    def test_noCycle(self) -> None:
        """
        Once it is closed, nothing holds it.
        """
        withoutCollector(self)
        reactor = ReadingClock()
        watch = FileWatch(reactor, [str(self.path)], self.changed)
        watch.refresh()
        watch.refresh()
        self.path.unlink()
        reactor.read()
        watch.close()
        left = weakref.ref(watch)
        del watch
        self.assertIsNone(left())

    def test_otherReactor(self) -> None:
        """
        Without a reactor that reads, nothing is watched, and it is said why.
        """
        watch = FileWatch(Clock(), [str(self.path)], self.changed)
        self.assertTrue(watch.refresh())
        self.assertFalse(watch.refresh())
        self.assertEqual(watch.problem, "the reactor cannot read from file descriptors")
        watch.close()

    def test_otherSystem(self) -> None:
        """
        On a system without inotify, nothing is watched, and it is said why.
        """
        self.watch.close()
        with patch.dict(sys.modules, {"twisted.internet.inotify": None}):
            self.patch(sys.modules["twisted.internet"], "inotify", None)
            del sys.modules["twisted.internet"].inotify
            self.watch.refresh()
        self.assertIn("inotify", str(self.watch.problem))
        self.assertEqual(self.reactor.readers, [])

    def test_tooMany(self) -> None:
        """
        If the system has no more of it, nothing is watched and it is said why;
        it is tried again.
        """
        self.watch.close()

        def fail(*arguments: object) -> None:
            raise inotify.INotifyError("no more")

        with patch.object(inotify, "INotify", fail):
            self.watch.refresh()
            self.watch.refresh()
        self.assertEqual(self.watch.problem, "no more")
        self.assertEqual(self.reactor.readers, [])
        self.watch.refresh()
        self.assertIsNone(self.watch.problem)
        self.assertNoticed(lambda: self.path.write_bytes(b"new"))

    def test_someNot(self) -> None:
        """
        A directory that cannot be watched is no obstacle for others.
        """
        real = self.directory / "real"
        real.mkdir()
        self.path.unlink()
        self.path.symlink_to("../real/some.pem")
        add = inotify.INotify._inotify.add

        def some(descriptor: int, path: Any, mask: int) -> int:
            if str(path).count("place"):
                raise inotify.INotifyError("not there")
            return add(descriptor, path, mask)

        self.patch(inotify.INotify._inotify, "add", some)
        self.watch.refresh()
        self.assertEqual(self.watch.problem, "not there")
        self.assertNoticed(lambda: (real / "some.pem").write_bytes(b"new"))

    def test_vanishing(self) -> None:
        """
        A directory that vanishes while it is looked for is not watched.
        """
        stat = os.stat

        def gone(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
            if path == str(self.place):
                raise FileNotFoundError
            return stat(path, *arguments, **more)

        with patch.object(os, "stat", gone):
            self.assertTrue(self.watch.refresh())
        self.assertNoticed(lambda: self.path.write_bytes(b"new"), isOne=False)
        self.assertTrue(self.watch.refresh())
        self.assertNoticed(lambda: self.path.write_bytes(b"newer"))
