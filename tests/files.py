"""
Files for tests, gone when the test is.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

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
