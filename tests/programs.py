"""
What the tests of the programs have in common: files on disk, and the programs
as processes.
"""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from txsslstream import SslStreamCertificateContext
from txsslstream.testing import pfx

from .interop._tools import Background, background, runTool

ROOT = Path(__file__).resolve().parent.parent

#: As C{twistd}, wherever that is installed.
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")

#: Where the server listens, and how its log tells of that.
LISTEN = "tcp:0:interface=127.0.0.1"
_SAID = r"^\S+ \[txsslstream\._tap\.SampleService#info\] "
_READY = _SAID + r"Waiting for a client to connect to IPv4Address\(.*, port=(\d+)\)\.\.\.$"


def temporaryDirectory(test: Any) -> Path:
    """
    Make a directory that is there as long as a test runs.
    """
    temporary = TemporaryDirectory(prefix="txsslstream-")
    test.addCleanup(temporary.cleanup)
    return Path(temporary.name)


@cache
def sharedDirectory() -> Path:
    """
    Make a directory that is there as long as the process of the tests.
    """
    temporary = TemporaryDirectory(prefix="txsslstream-")
    atexit.register(temporary.cleanup)
    return Path(temporary.name)


def sharedFile(name: str, data: bytes) -> str:
    """
    @return: the path of a file with this data in L{sharedDirectory}.
    """
    path = sharedDirectory() / name
    path.write_bytes(data)
    return str(path)


def monoPFX(context: SslStreamCertificateContext, password: bytes) -> bytes:
    """
    @return: a certificate, its intermediates and its key as PKCS#12, encrypted
        as Mono can read it.
    """
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2000)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(password)
    )
    return pfx(context, password, encryption)


def environment(home: Path) -> dict[str, str]:
    """
    @return: what a program's environment has to say for it to use the package
        of this checkout, and to keep its files in C{home}.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "PYTHONPATH": path}


def authorityPath(home: Path) -> Path:
    """
    @return: where a program has the development authority's certificate.
    """
    return home / "data" / "txsslstream" / "development" / "authority.pem"


class SampleServerProcess:
    """
    A running C{twistd -n sslecho}.

    @ivar tool: the process.
    @ivar port: where it listens, on 127.0.0.1.
    """

    def __init__(self, tool: Background) -> None:
        self.tool = tool
        self.port = int(tool.match[1])
        self._seen = tool.match.end()

    def said(self, last: str) -> list[str]:
        """
        Wait for a line.

        @param last: a regular expression for the whole line.
        @return: all lines since those that were returned before, up to this.
        """
        start = self._seen
        try:
            self._seen = self.tool.waitFor(_SAID + last + r"\n", timeout=15, start=start).end()
        except AssertionError:
            # It is not the next test's business.
            self._seen = len(self.tool.output())
            raise
        return re.findall(_SAID + "(.*)$", self.tool.output()[start : self._seen], re.MULTILINE)


@contextmanager
def sampleServerProcess(home: Path, *options: str) -> Iterator[SampleServerProcess]:
    """
    Run C{twistd -n sslecho} for as long as the C{with} block takes.
    """
    command = [*TWISTD, "--pidfile=", "-n", "sslecho", "--listen", LISTEN, *options]
    with background(command, _READY, environment=environment(home)) as tool:
        yield SampleServerProcess(tool)


@cache
def sharedServerProcess(*options: str) -> SampleServerProcess:
    """
    Run C{twistd -n sslecho} for all tests that need these options, until the
    process of the tests ends.  (Trial knows no C{setUpClass}.)
    """
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(sampleServerProcess(sharedDirectory(), *options))


#: How C{sslstream serve} tells where it listens.
_SERVING = r"^\S+ \[txsslstream\._serve\.ForwardService#info\] Listening on \S+:(\d+), forwarding"


@contextmanager
def serveProcess(home: Path, *options: str, isTwistd: bool = False) -> Iterator[Background]:
    """
    Run C{sslstream serve}, or C{twistd -n sslserve}, for as long as the C{with}
    block takes.

    @return: a context manager; group 1 of the match is the port on 127.0.0.1.
    """
    program = [sys.executable, "-m", "txsslstream", "serve"]
    # In the background a shell lets nobody hear of an interrupt.
    command = ["env", "--default-signal=INT"]
    command += [*TWISTD, "--pidfile=", "-n", "sslserve"] if isTwistd else program
    if "--listen" not in options:
        command += ["--listen", LISTEN]
    with background([*command, *options], _SERVING, environment=environment(home)) as tool:
        yield tool


def runTwistd(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run C{twistd} to its end.
    """
    return runTool([*TWISTD, *arguments], environment=environment(home))


def runPython(program: str) -> str:
    """
    Run a program of Python's to its end, which has to be a good one.

    @return: what it printed.
    """
    ended = runTool([sys.executable, "-c", program], environment=environment(sharedDirectory()))
    if ended.returncode or ended.stderr:
        raise AssertionError(f"{ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def runSslstream(*arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run C{sslstream} to its end.
    """
    command = [sys.executable, "-m", "txsslstream", *arguments]
    return runTool(command, environment=environment(sharedDirectory()))
