"""
Files for tests, gone when the test is.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from tests.watching import ReadingClock
from txsslstream import reload, stores
from txsslstream.testing import NOW

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


class FilesMixin(_Mixin):
    """
    For a test case that needs files.

    @ivar directory: a new directory for them.
    """

    def setUp(self) -> None:
        """
        Make the directory.
        """
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def file(self, data: bytes, name: str = "some.pem") -> Path:
        """
        @return: the path of a file with this data.
        """
        path = self.directory / name
        path.write_bytes(data)
        return path


class TimedFilesMixin(FilesMixin):
    """
    For a test case with files that change in a time that passes when the test
    says so.

    @ivar clock: that time, in seconds.
    """

    def setUp(self) -> None:
        """
        Begin.
        """
        super().setUp()
        self.clock = ReadingClock()
        self.clock.advance(1000)
        self.start = NOW - datetime.timedelta(seconds=1000)
        self.patch(reload, "_now", lambda: self.now)

    @property
    def now(self) -> datetime.datetime:
        """
        The time of day.
        """
        return self.start + datetime.timedelta(seconds=self.clock.seconds())

    def touch(self, path: Path, age: float = 0) -> None:
        """
        Have a file written some seconds ago, and never before or again.
        """
        then = self.now.timestamp() - age
        os.utime(path, (then, then))

    def put(self, name: str, data: bytes, age: float = 0) -> Path:
        """
        Write to a file.
        """
        path = self.file(data, name)
        self.touch(path, age)
        return path

    def replace(self, name: str, data: bytes) -> None:
        """
        Put another file in the place of one.
        """
        os.replace(self.put(f"{name}.new", data), self.directory / name)


class HomeMixin(FilesMixin):
    """
    For a test case with a user who has no certificates, on a machine that
    trusts nothing.

    @ivar bundle: the path of OpenSSL's file of roots, which does not exist yet.
    """

    def setUp(self) -> None:
        """
        Make the home.
        """
        super().setUp()
        self.bundle = self.directory / "bundle.pem"
        environment = {
            **os.environ,
            "HOME": str(self.directory),
            "SSL_CERT_FILE": str(self.bundle),
            "SSL_CERT_DIR": str(self.directory / "certs"),
        }
        self.patch(os, "environ", environment)
        self.patch(stores, "MACHINE_STORES", self.directory / "machine")
