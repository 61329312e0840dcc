"""
Tests for L{txsslstream._cache}: what has been fetched, kept until it expires.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.files import FilesMixin
from txsslstream import _cache
from txsslstream._cache import MAGIC, RevocationCache, defaultCache, defaultDirectory
from txsslstream.storefiles import writePrivately
from txsslstream.testing import DAY, NOW

KEY = "http://crl.example/1.crl"
OTHER = "http://crl.example/2.crl"
INSTANT = timedelta(microseconds=1)
#: Who owns nothing.
NOBODY = 65534
#: Bytes before the data.
PREFIX = len(MAGIC) + 40
#: What each small file counts for.
BLOCK = 4096


class MemoryTests(SynchronousTestCase):
    """
    What is kept without a disk.
    """

    def setUp(self) -> None:
        """
        Make a cache.
        """
        self.cache = RevocationCache(None, memoryEntries=3)

    def put(self, key: str, data: bytes = b"data") -> None:
        """
        Put it there for a day.
        """
        self.cache.put(key, data, NOW + DAY, NOW)

    def test_kept(self) -> None:
        """
        What was put is given, to its key only.
        """
        self.put(KEY, b"one")
        self.assertEqual(self.cache.get(KEY, NOW), b"one")
        self.assertIsNone(self.cache.get(OTHER, NOW))

    def test_replaced(self) -> None:
        """
        What was put last is given.
        """
        self.put(KEY, b"one")
        self.put(KEY, b"two")
        self.assertEqual(self.cache.get(KEY, NOW), b"two")

    def test_expired(self) -> None:
        """
        It is given until just before it expires, and never again afterwards,
        though the clock be put back.
        """
        self.put(KEY)
        self.assertEqual(self.cache.get(KEY, NOW + DAY - INSTANT), b"data")
        self.assertIsNone(self.cache.get(KEY, NOW + DAY))
        self.assertIsNone(self.cache.get(KEY, NOW))

    def test_putExpired(self) -> None:
        """
        What has expired when it is put is not given, nor is what it replaced.
        """
        self.put(KEY)
        self.cache.put(KEY, b"old", NOW, NOW)
        self.assertIsNone(self.cache.get(KEY, NOW - DAY))
        self.assertIsNone(self.cache.get(KEY, NOW))

    def test_entries(self) -> None:
        """
        Of too many, the one that has not been used for the longest time goes.
        """
        for key in "abc":
            self.put(key)
        self.cache.get("a", NOW)
        self.put("d")
        kept = [key for key in "abcd" if self.cache.get(key, NOW) is not None]
        self.assertEqual(kept, ["a", "c", "d"])

    def test_size(self) -> None:
        """
        The data is never larger than the limit, and what is larger on its own
        does not drive out the others.
        """
        self.patch(_cache, "MEMORY_BYTES", 10)
        self.cache = RevocationCache(None)
        self.put("a", b"1234")
        self.put("b", b"123456")
        self.assertIsNotNone(self.cache.get("a", NOW))
        self.put("c", b"1")
        self.assertIsNone(self.cache.get("b", NOW))
        self.put("d", bytes(11))
        self.assertIsNone(self.cache.get("d", NOW))
        self.assertEqual((self.cache.get("a", NOW), self.cache.get("c", NOW)), (b"1234", b"1"))

    def test_sizeAgain(self) -> None:
        """
        What is replaced, removed or expired takes no room any more.
        """
        self.patch(_cache, "MEMORY_BYTES", 10)
        self.cache = RevocationCache(None)
        for _ in range(5):
            self.put("a", bytes(8))
            self.cache.put("a", b"", NOW, NOW)
            self.put("a", bytes(8))
            self.put("a", bytes(8))
            self.assertEqual(self.cache.get("a", NOW), bytes(8))
            self.assertIsNone(self.cache.get("a", NOW + DAY))
        self.put("a", bytes(4))
        self.put("b", bytes(6))
        self.assertIsNotNone(self.cache.get("a", NOW))

    def test_strangeKeys(self) -> None:
        """
        Any text is a key.
        """
        for key in ("", "\0", "/../..", "\udc80", "x" * 100_000):
            self.put(key, key[:5].encode("utf-8", "replace"))
            self.assertEqual(self.cache.get(key, NOW), key[:5].encode("utf-8", "replace"))

    def test_default(self) -> None:
        """
        A process has one default cache, in the user's directory for such.
        """
        environment = {**os.environ, "XDG_CACHE_HOME": "/nowhere"}
        program = "from txsslstream._cache import defaultDirectory; print(defaultDirectory())"
        said = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        if sys.platform == "linux":
            self.assertEqual(said, "/nowhere/txsslstream/revocation\n")
        self.assertEqual(defaultDirectory().name, "revocation")
        self.assertIs(defaultCache(), defaultCache())


class DiskTests(FilesMixin, SynchronousTestCase):
    """
    What is kept on disk.
    """

    def setUp(self) -> None:
        """
        Name a directory that is not there yet.
        """
        super().setUp()
        self.path = self.directory / "deep" / "revocation"

    def cache(self, diskBytes: int = 1 << 20) -> RevocationCache:
        """
        @return: a cache as of a new process.
        """
        return RevocationCache(self.path, diskBytes=diskBytes)

    def put(self, key: str = KEY, data: bytes = b"data", expires: datetime = NOW + DAY) -> None:
        """
        Put it there as one process.
        """
        self.cache().put(key, data, expires, NOW)

    def get(self, key: str = KEY, now: datetime = NOW) -> bytes | None:
        """
        Get it as another.
        """
        return self.cache().get(key, now)

    @property
    def files(self) -> list[Path]:
        """
        What is in the directory.
        """
        return sorted(self.path.iterdir())

    def onlyFile(self) -> Path:
        """
        @return: the only file there.
        """
        (file,) = self.files
        return file

    def complaints(self, cache: RevocationCache) -> list[str]:
        """
        Use a cache as always, of which memory alone has to remain.

        @return: the reasons that it logs, as warnings.
        """
        with capturedLogs() as events:
            self.assertIsNone(cache.get(KEY, NOW))
            for _ in range(3):
                cache.put(KEY, b"data", NOW + DAY, NOW)
                self.assertEqual(cache.get(KEY, NOW), b"data")
                self.assertIsNone(cache.get(OTHER, NOW))
        self.assertEqual({event["log_level"] for event in events} - {LogLevel.warn}, set())
        return [event["reason"] for event in events]

    def test_lazy(self) -> None:
        """
        The directory is made by the first that is put there, and not before.
        """
        cache = self.cache()
        self.assertIsNone(cache.get(KEY, NOW))
        cache.put(KEY, b"old", NOW, NOW)
        self.assertFalse(self.path.parent.exists())
        cache.put(KEY, b"data", NOW + DAY, NOW)
        self.assertTrue(self.path.is_dir())

    def test_kept(self) -> None:
        """
        Another process finds what was put, to its key only.
        """
        with capturedLogs() as events:
            self.put(KEY, b"one")
            self.put(OTHER, b"")
            self.assertEqual(self.get(KEY), b"one")
            self.assertEqual(self.get(OTHER), b"")
            self.assertIsNone(self.get("else"))
        self.assertEqual(events, [])

    def test_private(self) -> None:
        """
        Directory and files are the user's alone, and nothing else is left.
        """
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        self.put()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.onlyFile().stat().st_mode), 0o600)
        self.assertRegex(self.onlyFile().name, "^[0-9a-f]{64}$")

    def test_expired(self) -> None:
        """
        What has expired is removed, and not given though the clock be put back.
        """
        self.put()
        self.assertEqual(self.get(now=NOW + DAY - INSTANT), b"data")
        self.assertIsNone(self.get(now=NOW + DAY))
        self.assertEqual(self.files, [])
        self.assertIsNone(self.get(now=NOW))

    def test_putExpired(self) -> None:
        """
        What has expired when it is put removes what it replaces.
        """
        self.put()
        self.put(data=b"old", expires=NOW)
        self.assertEqual(self.files, [])
        self.assertIsNone(self.get(now=NOW - DAY))

    def test_newerOnDisk(self) -> None:
        """
        When what is in memory has expired, what another process has put on disk
        meanwhile is given.
        """
        cache = self.cache()
        cache.put(KEY, b"one", NOW + DAY, NOW)
        self.put(data=b"two", expires=NOW + 2 * DAY)
        self.assertEqual(cache.get(KEY, NOW), b"one")
        self.assertEqual(cache.get(KEY, NOW + DAY), b"two")

    def test_extremes(self) -> None:
        """
        The first and the last moments that there are expire as well.
        """
        last = datetime.max.replace(tzinfo=NOW.tzinfo)
        self.put(expires=last)
        self.assertEqual(self.get(now=last - INSTANT), b"data")
        self.assertIsNone(self.get(now=last))
        first = datetime.min.replace(tzinfo=NOW.tzinfo)
        self.put(expires=first)
        self.assertIsNone(self.get(now=NOW))

    def test_readOnce(self) -> None:
        """
        What has been read is in memory.
        """
        self.put()
        cache = self.cache()
        cache.get(KEY, NOW)
        self.onlyFile().unlink()
        self.assertEqual(cache.get(KEY, NOW), b"data")

    def test_damaged(self) -> None:
        """
        A file of which any byte has changed, or that was cut off or lengthened
        anywhere, is not given, and is removed.
        """
        self.put()
        whole = self.onlyFile().read_bytes()
        self.assertEqual(len(whole), PREFIX + len(b"data"))
        changed = [
            whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
            for at in range(len(whole))
            for bit in (1, 0x80)
        ]
        cut = [whole[:length] for length in range(len(whole))]
        for content in [*changed, *cut, whole + b"x"]:
            (self.path / self.nameOf(KEY)).write_bytes(content)
            self.assertIsNone(self.get(), content)
            self.assertEqual(self.files, [])
        (self.path / self.nameOf(KEY)).write_bytes(whole)
        self.assertEqual(self.get(), b"data")

    def nameOf(self, key: str) -> str:
        """
        @return: the name of the key's file, found by putting it elsewhere.
        """
        elsewhere = self.directory / "elsewhere"
        RevocationCache(elsewhere).put(key, b"", NOW + DAY, NOW)
        (file,) = elsewhere.iterdir()
        return file.name

    def test_moved(self) -> None:
        """
        A file under another's name is not given.
        """
        self.put()
        self.onlyFile().rename(self.path / self.nameOf(OTHER))
        self.assertIsNone(self.get(OTHER))
        self.assertEqual(self.files, [])

    def test_largeFile(self) -> None:
        """
        No more is read of a file than a file may have.
        """
        self.put()
        file = self.onlyFile()
        self.patch(_cache, "MOST_FILE_BYTES", 3)
        self.assertIsNone(self.get())
        self.assertFalse(file.exists())
        self.put()
        self.assertEqual(self.files, [])
        self.put(data=b"dat")
        self.assertEqual(self.get(), b"dat")

    def test_tooLarge(self) -> None:
        """
        What is larger than the directory may be stays in memory, and what it
        replaces does not stay on disk.
        """
        cache = self.cache(2 * BLOCK)
        cache.put(KEY, b"data", NOW + DAY, NOW)
        cache.put(KEY, bytes(2 * BLOCK - PREFIX + 1), NOW + DAY, NOW)
        self.assertEqual(self.files, [])
        self.assertIsNotNone(cache.get(KEY, NOW))
        cache.put(KEY, bytes(2 * BLOCK - PREFIX), NOW + DAY, NOW)
        self.assertEqual(self.onlyFile().stat().st_size, 2 * BLOCK)

    def fill(self, cache: RevocationCache, numbers: range) -> None:
        """
        Put small data there, at a second each.
        """
        for number in numbers:
            cache.put(str(number), b"%d" % number, NOW + DAY, NOW)
            newest = max(self.files, key=lambda each: each.stat().st_mtime_ns)
            os.utime(newest, (number, number))

    def test_bounded(self) -> None:
        """
        The directory does not grow over its size, in which the smallest file
        counts as a block; the oldest go first.
        """
        cache = self.cache(32 * BLOCK)
        self.fill(cache, range(200))
        self.assertLessEqual(len(self.files), 32)
        self.assertGreaterEqual(len(self.files), 27)
        kept = [number for number in range(200) if self.get(str(number)) is not None]
        self.assertEqual(kept, list(range(200 - len(kept), 200)))

    def test_seldomLooked(self) -> None:
        """
        The files are not looked through for each that is written, be there room
        or not.
        """
        looks: list[Path] = []
        scandir = os.scandir

        def counting(path: Path) -> object:
            looks.append(path)
            return scandir(path)

        self.patch(os, "scandir", counting)
        cache = self.cache(64 * BLOCK)
        for number in range(256):
            cache.put(str(number), b"", NOW + DAY, NOW)
        self.assertLessEqual(len(looks), 256 // 8 + 1)

    def test_boundedTogether(self) -> None:
        """
        What other processes have written counts as well.
        """
        caches = [self.cache(32 * BLOCK) for _ in range(2)]
        for number in range(100):
            self.fill(caches[number % 2], range(number, number + 1))
            self.assertLessEqual(len(self.files), 32 + 4)

    def test_foreignFiles(self) -> None:
        """
        Files that are not ours are never removed, while the rest of our
        interrupted writes is.
        """
        self.put()
        name = self.onlyFile().name
        foreign = ["precious", name[:-1], f"{name}.bak", f"x.{name}.a", name.upper()]
        for each in [*foreign, f".{name}.abc_123"]:
            (self.path / each).write_bytes(bytes(BLOCK))
            os.utime(self.path / each, (1, 1))
        (self.path / ("f" * 64)).mkdir()
        os.utime(self.path / ("f" * 64), (1, 1))
        self.fill(self.cache(2 * BLOCK), range(10))
        self.assertEqual(self.get("9"), b"9")
        left = {each.name for each in self.files}
        self.assertLess({*foreign, "f" * 64}, left)
        self.assertNotIn(f".{name}.abc_123", left)

    def test_link(self) -> None:
        """
        A directory behind a link is not used, whoever made it.
        """
        real = self.directory / "real"
        real.mkdir(mode=0o700)
        self.path.parent.mkdir()
        self.path.symlink_to(real)
        (reason,) = self.complaints(self.cache())
        self.assertEqual(reason, f"{self.path}: not a directory")
        self.assertEqual(list(real.iterdir()), [])

    def test_writableByOthers(self) -> None:
        """
        A directory that others may write to is not used, neither for writing
        nor for reading.
        """
        self.put(OTHER)
        for mode in (0o720, 0o702, 0o777):
            self.path.chmod(mode)
            (reason,) = self.complaints(self.cache())
            self.assertEqual(reason, f"{self.path}: others may write there")
            self.assertEqual(len(self.files), 1)
        self.path.chmod(0o755)
        self.assertEqual(self.get(OTHER), b"data")

    def test_foreignDirectory(self) -> None:
        """
        Somebody else's directory is not used.
        """
        if os.geteuid() != 0:
            raise SkipTest("only root can give a directory away")
        self.put(OTHER)
        os.chown(self.path, NOBODY, NOBODY)
        (reason,) = self.complaints(self.cache())
        self.assertEqual(reason, f"{self.path}: belongs to somebody else")
        self.assertEqual(len(self.files), 1)

    def test_file(self) -> None:
        """
        Where the directory, or one above it, is a file, memory does it.
        """
        self.path.parent.mkdir()
        self.path.write_bytes(b"precious")
        self.assertEqual(len(self.complaints(self.cache())), 1)
        self.assertEqual(self.path.read_bytes(), b"precious")
        self.path = self.path / "below"
        self.assertEqual(len(self.complaints(self.cache())), 1)

    def test_impossiblePath(self) -> None:
        """
        A path that cannot exist is no error.
        """
        for name in ("a\0b", "x" * 300):
            self.path = self.directory / name
            self.assertEqual(len(self.complaints(self.cache())), 1, name)

    def test_noEntry(self) -> None:
        """
        Where there is no file under its name, but a link, a pipe or a
        directory, nothing is given, and nobody waits.
        """
        self.put()
        file = self.onlyFile()
        precious = self.file(file.read_bytes())
        file.unlink()
        os.mkfifo(file)
        self.assertIsNone(self.get())
        self.assertFalse(file.exists())
        file.symlink_to(precious)
        self.assertIsNone(self.get())
        self.put(data=b"new")
        self.assertFalse(file.is_symlink())
        self.assertEqual(self.get(), b"new")
        file.unlink()
        file.mkdir()
        self.assertEqual(len(self.complaints(self.cache())), 1)
        self.assertTrue(precious.exists())

    def test_quick(self) -> None:
        """
        Nobody waits until it is on the disk, as nobody depends on it; a key is
        on the disk before it is in its place.
        """
        synced: list[int] = []
        self.patch(os, "fsync", synced.append)
        self.put()
        self.assertEqual(self.get(), b"data")
        self.assertEqual(synced, [])
        writePrivately(self.directory / "key", b"key")
        self.assertEqual(len(synced), 1)
        self.assertEqual((self.directory / "key").read_bytes(), b"key")

    def test_full(self) -> None:
        """
        On a full disk memory does it, what was there before is gone, and once
        there is space again the disk is used again.
        """
        self.put(data=b"old")

        def writePrivately(path: Path, data: bytes, *, isDurable: bool) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        cache = self.cache()
        patched = self.patch(_cache, "writePrivately", writePrivately)
        with capturedLogs() as events:
            for _ in range(3):
                cache.put(KEY, b"new", NOW + DAY, NOW)
        self.assertEqual(len(events), 1)
        self.assertEqual(cache.get(KEY, NOW), b"new")
        self.assertIsNone(self.get())
        patched.restore()
        cache.put(KEY, b"new", NOW + DAY, NOW)
        self.assertEqual(self.get(), b"new")
