"""
Files for tests, gone when the test is.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import stores

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
