"""
The programs on the documentation's pages, run as they stand there.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from txsslstream.testing import certificatePEM, keyPEM

from ..programs import ROOT, environment
from ..support import AUTHORITY, SERVER
from ._tools import LOOPBACK, Background, background, freePort, runTool


@cache
def programs(page: str) -> dict[str, str]:
    """
    @return: the programs on a page of the documentation, by the name that their
        first line gives them.
    """
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    named = {re.match(r"# (\w+\.py)\n", block): block for block in blocks}
    return {name[1]: block for name, block in named.items() if name is not None}


class Place:
    """
    A directory with the programs of a page, and what they need.

    @ivar port: what their servers listen on instead of 8443, at 127.0.0.1.
    """

    def __init__(self, directory: Path, page: str, **replacements: str) -> None:
        """
        @param replacements: what else to put in the place of something in the
            programs.
        """
        self.directory = directory
        self.port = freePort()
        (directory / "server.pem").write_bytes(certificatePEM(SERVER) + keyPEM(SERVER))
        (directory / "authority.pem").write_bytes(certificatePEM(AUTHORITY.certificate))
        changes = {"8443": str(self.port), **replacements}
        for name, text in programs(page).items():
            for old, new in changes.items():
                text = text.replace(old, new)
            (directory / name).write_text(text)

    def path(self, name: str) -> Path:
        """
        @return: the path of a file in it.
        """
        return self.directory / name

    def command(self, name: str) -> list[str]:
        """
        @return: the command that runs a program.
        """
        start = f"import os; os.chdir({str(self.directory)!r}); exec(open({name!r}).read())"
        return [sys.executable, "-c", start]

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """
        Run a program to its end.
        """
        return runTool(self.command(name), environment=environment(self.directory))

    @contextmanager
    def serving(self, name: str, at: Path | None = None) -> Iterator[Background]:
        """
        Run a server for as long as the C{with} block takes.

        @param at: the UNIX socket that it listens on, instead of the port.
        """
        with background(self.command(name), "", environment=environment(self.directory)) as tool:
            address = (LOOPBACK, self.port) if at is None else str(at)
            awaitServer(tool, address)
            yield tool


def awaitServer(tool: Background, address: tuple[str, int] | str, timeout: float = 30) -> None:
    """
    Wait until somebody listens.

    @raise AssertionError: the time ran out.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    deadline = time.monotonic() + timeout
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(address)
            except OSError:
                if time.monotonic() > deadline:
                    raise AssertionError(f"nobody listens: {tool.output()}") from None
                time.sleep(0.05)
            else:
                return


@contextmanager
def place(page: str, **replacements: str) -> Iterator[Place]:
    """
    Such a directory, as long as the C{with} block takes.
    """
    with TemporaryDirectory(prefix="txsslstream-") as directory:
        yield Place(Path(directory), page, **replacements)
