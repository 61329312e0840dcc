"""
What the campaigns have in common: a server to attack, and how results are kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509

from txsslstream._tap import versions
from txsslstream.testing import DAY, NOW, Authority, certificatePEM, keyPEM, writePEM

from ..programs import LISTEN, TWISTD, environment

#: Exit statuses.
AS_EXPECTED, OTHERWISE, NOT_HAD = 0, 1, 3

HOST = "127.0.0.1"

_READY = re.compile(r"Waiting for a client to connect to IPv4Address\(.*, port=(\d+)\)")
#: What is in a log through no doing of a peer's.
_COMPLAINT = re.compile(r"^.*(?:Traceback|#critical|Unhandled).*$", re.MULTILINE)


#: The servers under attack, by their names in results.
SAMPLE = "twistd -n sslecho --echo"
LAX = "the same, everything enabled"
RENEGOTIATING = "the same, and renegotiation allowed"
ANSWERING = "everything enabled, answers to whole requests"
_LAX = (sys.executable, "-m", "tests.campaigns.lax")
SERVERS: Mapping[str, Sequence[str]] = {
    SAMPLE: (*TWISTD, "--pidfile=", "-n", "sslecho", "--listen", LISTEN, "--echo"),
    LAX: _LAX,
    RENEGOTIATING: (*_LAX, "--renegotiates"),
    ANSWERING: (*_LAX, "--answers"),
}

#: The kinds of keys that servers and clients have certificates for.
KEYS = ("RSA", "EC", "Ed25519")


class NotHad(Exception):
    """
    Something that a campaign needs is neither here nor can be fetched.
    """


def end(process: subprocess.Popen[bytes]) -> None:
    """
    End a process, whether it wants to or not.
    """
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Target:
    """
    A server that runs on 127.0.0.1.

    @ivar port: where it listens.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._seen = 0
        self.port = self._whereReady()

    def _whereReady(self) -> int:
        for _ in range(300):
            found = _READY.search(self._log.read_text("utf-8", "replace"))
            if found:
                return int(found[1])
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise NotHad(f"the server did not start:\n{self._log.read_text('utf-8', 'replace')}")

    def complaints(self) -> list[str]:
        """
        @return: the lines of its log since the last time that no peer may cause,
            and its end.
        """
        with self._log.open("rb") as log:
            log.seek(self._seen)
            data = log.read()
        self._seen += len(data)
        lines = _COMPLAINT.findall(data.decode("utf-8", "replace"))
        if self._process.poll() is not None:
            lines.append("the server has ended")
        return lines

    def memory(self) -> int:
        """
        @return: its resident memory, in bytes.
        """
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        return 1024 * int(found[1]) if found else 0

    def descriptors(self) -> int:
        """
        @return: how many descriptors it has open.
        """
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))


class Campaign:
    """
    One run of a campaign.

    @ivar arguments: what the command line says.
    @ivar isShort: whether it is a sample.
    @ivar home: a directory that is there as long as the run takes.
    @ivar trust: the root of everybody's certificate.
    """

    def __init__(self, arguments: argparse.Namespace, home: Path) -> None:
        self.arguments = arguments
        self.isShort: bool = arguments.short
        self.home = home
        self.trust = home / "trust.pem"
        self._targets = 0
        # With an RSA key: clients of old know no other signatures.
        authority = Authority("Campaigns", key="RSA")
        self.trust.write_bytes(certificatePEM(authority.certificate))
        crl = x509.UniformResourceIdentifier("http://crl.invalid/campaigns.crl")
        points = x509.CRLDistributionPoints([x509.DistributionPoint([crl], None, None, None)])
        for kind in KEYS:
            server = authority.issue(
                *("localhost", HOST),
                key=kind,
                extensions=[(points, False)],
                notAfter=NOW + 90 * DAY,
            )
            writePEM(home / f"server-{kind}.pem", server)
            client = authority.issue("client@example.com", key=kind)
            (home / f"client-{kind}.key").write_bytes(keyPEM(client))
            (home / f"client-{kind}.pem").write_bytes(certificatePEM(client.certificate))

    @contextmanager
    def target(
        self, server: str = SAMPLE, key: str = "RSA", asks: bool = False
    ) -> Iterator[Target]:
        """
        Run a server for as long as the C{with} block takes.

        @param server: one of L{SERVERS}.
        @param key: one of L{KEYS}.
        @param asks: whether it insists on certificates of clients.
        """
        self._targets += 1
        log = self.home / f"server-{self._targets}.log"
        command = [*SERVERS[server], "--certificate", str(self.home / f"server-{key}.pem")]
        if asks:
            command += ["--require-client-certificate", "--trust", str(self.trust)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/bin:/bin", **environment(self.home)},
            )
        try:
            yield Target(process, log)
        finally:
            end(process)

    def run(
        self, command: Sequence[str], timeout: float, cwd: Path | None = None
    ) -> tuple[int, str]:
        """
        Run a program to its end.

        @param timeout: seconds; then it is killed.
        @return: its exit status, -1 if it was killed, and what it has printed.
        """
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                cwd=cwd,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            return -1, (e.stdout or b"").decode("utf-8", "replace")
        return ended.returncode, ended.stdout.decode("utf-8", "replace")

    def python(self, *packages: str) -> Path:
        """
        Make a virtual environment.

        @param packages: what to install in it, for C{pip}.
        @return: its interpreter.
        @raise NotHad: that cannot be installed.
        """
        directory = self.home / "venv"
        venv.create(directory, with_pip=True)
        python = directory / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        status, said = self.run([*install, *packages], 600)
        if status:
            raise NotHad(f"{' '.join(packages)}: not installed: {said.strip()[-500:]}")
        return python


def program(name: str) -> str:
    """
    @return: the path of a program.
    @raise NotHad: there is none.
    """
    path = shutil.which(name)
    if path is None:
        raise NotHad(f"{name}: not installed")
    return path


def main(
    name: str,
    description: str,
    conduct: Callable[[Campaign], tuple[Mapping[str, Any], bool]],
    extend: Callable[[argparse.ArgumentParser], object] = lambda _: None,
) -> int:
    """
    Conduct a campaign as a program.

    @param conduct: does it, and returns what came of it, for JSON, and whether
        that is what was expected.
    @param extend: adds options.
    @return: the exit status.
    """
    parser = argparse.ArgumentParser(prog=f"python -m tests.campaigns.{name}")
    parser.description = description
    parser.add_argument("--results", type=Path, help="directory for the results")
    parser.add_argument("--short", action="store_true", help="a sample only, in seconds")
    extend(parser)
    arguments = parser.parse_args()
    began = time.monotonic()
    with TemporaryDirectory(prefix="txsslstream-") as home:
        try:
            results, isAsExpected = conduct(Campaign(arguments, Path(home)))
        except NotHad as e:
            print(f"{name}: not run: {e}")
            return NOT_HAD
    if arguments.results is not None:
        arguments.results.mkdir(parents=True, exist_ok=True)
        whole = {
            "campaign": name,
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "command": " ".join(
                [parser.prog, *(["--short"] if arguments.short else []), "--results DIRECTORY"]
            ),
            "versions": f"Python {sys.version.split()[0]}, {versions().partition(', ')[2]}",
            "seconds": round(time.monotonic() - began),
            "isAsExpected": isAsExpected,
            **results,
        }
        text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False)
        (arguments.results / f"{name}.json").write_text(text + "\n", "utf-8")
    return AS_EXPECTED if isAsExpected else OTHERWISE
