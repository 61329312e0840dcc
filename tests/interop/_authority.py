"""
An authority with its files, its OCSP responders and a web server, all on
127.0.0.1, and our side in processes that share nothing with each other.
"""

from __future__ import annotations

import atexit
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from txsslstream import SslStreamCertificateContext
from txsslstream.testing import Authority, certificatePEM, keyPEM
from txsslstream.testing.revocations import REVOKED_AT

from ..programs import environment, monoPFX, sharedDirectory, sharedFile
from . import _ours
from ._tools import CLIENT_MESSAGE, LOOPBACK, Background, background, runTool
from .test_interop import PASSWORD, ToolCase

T = TypeVar("T")

#: What the servers of our own say first; group 1 is the port.
READY = r"^Listening on port (\d+)$"
_RESPONDER_READY = r"^ocsp: waiting for OCSP client connections\.\.\.$"

#: Everything on disk has a name of its own, so that nothing is mistaken for
#: what a test before has left.
_numbers = count()


class Identity(NamedTuple):
    """
    A certificate with its key on disk.

    @ivar pem: certificate, intermediates and key.
    @ivar pfx: the same as PKCS#12, as Mono can read it.
    """

    context: SslStreamCertificateContext
    pem: Path
    pfx: Path

    @property
    def certificate(self) -> x509.Certificate:
        return self.context.certificate


class ForeignCase(ToolCase):
    """
    A test case with foreign tools that run beside it.
    """

    def during(self, manager: AbstractContextManager[T]) -> T:
        """
        @return: what a context manager gives, as long as the test runs.
        """
        stack = ExitStack()
        self.addCleanup(stack.close)
        return stack.enter_context(manager)


def stored(data: bytes, suffix: str = "der") -> Path:
    """
    @return: a new file with this data.
    """
    return Path(sharedFile(f"stored-{next(_numbers)}.{suffix}", data))


def identity(context: SslStreamCertificateContext) -> Identity:
    """
    Store a certificate with its key.
    """
    return Identity(
        context,
        stored(certificatePEM(context) + keyPEM(context), "pem"),
        stored(monoPFX(context, PASSWORD.encode()), "pfx"),
    )


@cache
def rootFile(authority: Authority) -> Path:
    """
    @return: the authority's certificate, PEM.
    """
    return stored(certificatePEM(authority.certificate), "pem")


@cache
def signerOf(authority: Authority) -> Identity:
    """
    @return: the authority's own certificate and key.
    """
    return identity(SslStreamCertificateContext(authority.certificate, authority.key))


def opensslIssued(authority: Authority, digest: str) -> Identity:
    """
    Have C{openssl} issue a server's certificate.

    @param digest: what it signs with.
    """
    key = identity(authority.issue("localhost"))
    signer = signerOf(authority).pem
    extensions = stored(
        b"subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n"
        b"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"
        b"basicConstraints=critical,CA:FALSE\n",
        "cnf",
    )
    request = _output("req", "-new", "-key", key.pem, "-subj", "/CN=localhost")
    issued = _output(
        *("x509", "-req", f"-{digest}", "-days", "1", "-extfile", extensions),
        *("-in", stored(request, "pem"), "-CA", signer, "-CAkey", signer),
    )
    certificate = x509.load_pem_x509_certificate(issued)
    return identity(SslStreamCertificateContext(certificate, key.context.privateKey))


def opensslList(authority: Authority, revoked: Iterable[x509.Certificate]) -> bytes:
    """
    @return: the authority's CRL, made by C{openssl ca}, PEM.
    """
    signer = signerOf(authority).pem
    settings = (
        "[ca]\ndefault_ca = here\n[here]\ndefault_md = sha256\ndefault_crl_days = 1\n"
        f"database = {databaseOf(revoked=revoked)}\n"
        f"certificate = {signer}\nprivate_key = {signer}\n"
    )
    return _output("ca", "-gencrl", "-config", stored(settings.encode(), "cnf"))


def opensslBundle(authority: Authority) -> bytes:
    """
    @return: the authority's certificate in PKCS #7, DER, made by C{openssl}.
    """
    path = stored(b"")
    options = ("-nocrl", "-outform", "DER", "-certfile", rootFile(authority), "-out", path)
    _output("crl2pkcs7", *options)
    return path.read_bytes()


def _output(*arguments: str | Path) -> bytes:
    done = runTool(["openssl", *arguments])
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stderr}")
    return done.stdout.encode("utf-8")


def derOf(certificate: x509.Certificate) -> bytes:
    """
    @return: a certificate as it is fetched.
    """
    return certificate.public_bytes(serialization.Encoding.DER)


# The web.


class Web:
    """
    The web server.

    @ivar url: where it is, without a slash at the end.
    """

    def __init__(self, tool: Background, directory: Path) -> None:
        self.url = f"http://{LOOPBACK}:{tool.match[1]}"
        self.tool = tool
        self._directory = directory

    def publish(self, data: bytes, place: str = "files") -> str:
        """
        @param place: see L{tests.interop._web.Root}.
        @return: a new URL for this data.
        """
        name = f"published-{next(_numbers)}"
        (self._directory / name).write_bytes(data)
        return f"{self.url}/{place}/{name}"

    def replace(self, url: str, data: bytes) -> None:
        """
        Give this data at a URL that was published before.
        """
        (self._directory / url.rpartition("/")[2]).write_bytes(data)

    def place(self, name: str) -> str:
        """
        @return: a new URL of a place that behaves badly.
        """
        return f"{self.url}/{name}/{next(_numbers)}"

    def requests(self, url: str) -> list[str]:
        """
        @return: the methods of the requests for a URL, or for one below it.
        """
        path = re.escape(url.removeprefix(self.url))
        return re.findall(rf"^(\w+) {path}(?:/\S+)?$", self.tool.output(), re.MULTILINE)


@cache
def web() -> Web:
    """
    @return: the web server, which runs until the process of the tests ends.
    """
    directory = sharedDirectory() / "web"
    directory.mkdir(exist_ok=True)
    stack = ExitStack()
    atexit.register(stack.close)
    command = [sys.executable, "-m", "tests.interop._web", str(directory)]
    tool = background(command, READY, environment=environment(directory))
    return Web(stack.enter_context(tool), directory)


# OCSP.


@contextmanager
def ocspResponder(
    authority: Authority,
    port: int,
    good: Sequence[x509.Certificate] = (),
    revoked: Sequence[x509.Certificate] = (),
    signer: Identity | None = None,
    minutes: int = 60,
) -> Iterator[Background]:
    """
    Run C{openssl ocsp} for as long as the C{with} block takes.  Like
    C{gnutls-serv}, it listens on every address of the machine, and has no option
    to do otherwise.

    @param good: what it knows and has not revoked.
    @param revoked: what it has revoked.
    @param signer: who signs, if not the authority itself.
    @param minutes: how long its responses are valid.
    """
    signs = (signer or signerOf(authority)).pem
    command = [
        *("openssl", "ocsp", "-port", str(port), "-nmin", str(minutes)),
        *("-index", str(databaseOf(good, revoked))),
        *("-CA", str(rootFile(authority)), "-rsigner", str(signs), "-rkey", str(signs)),
    ]
    with background(command, _RESPONDER_READY) as tool:
        yield tool


def databaseOf(
    good: Iterable[x509.Certificate] = (), revoked: Iterable[x509.Certificate] = ()
) -> Path:
    """
    @return: the file in which C{openssl} keeps what an authority has issued.
    """
    lines = [_line("V", "", each) for each in good]
    lines += [_line("R", f"{REVOKED_AT:%y%m%d%H%M%SZ},keyCompromise", each) for each in revoked]
    return stored("".join(lines).encode("ascii"), "txt")


def _line(state: str, revocation: str, certificate: x509.Certificate) -> str:
    """
    What it says of one certificate.
    """
    end = f"{certificate.not_valid_after_utc:%y%m%d%H%M%SZ}"
    number = f"{certificate.serial_number:X}"
    # Bytes, two digits each.
    number = number.rjust(len(number) + len(number) % 2, "0")
    # Names of what is valid are unique there.
    return f"{state}\t{end}\t{revocation}\t{number}\tunknown\t/CN={number}\n"


def methods(responder: Background) -> list[str]:
    """
    @return: the methods of the requests that C{openssl ocsp} got.
    """
    return re.findall(r"Received request, 1st line: (\w+) ", responder.output())


# Ours.


def newHome() -> Path:
    """
    @return: a directory for processes that share what they cache.
    """
    home = sharedDirectory() / f"home-{next(_numbers)}"
    home.mkdir()
    return home


def _environment(home: Path | None) -> dict[str, str]:
    home = home or newHome()
    return {**environment(home), "XDG_CACHE_HOME": str(home / "cache")}


def _command(task: Mapping[str, Any]) -> list[str]:
    return [sys.executable, _ours.__file__, json.dumps(task, default=str)]


def ours(*cases: Mapping[str, Any], home: Path | None = None) -> list[_ours.Outcome]:
    """
    Have a process of ours judge certificates and authenticate servers.

    @param cases: see L{tests.interop._ours}.
    @param home: with what was cached before; L{None}: nothing was.
    """
    # Some servers send back whole lines.
    talking = [{"message": f"{CLIENT_MESSAGE}\n", **case} for case in cases]
    done = runTool(_command({"cases": talking}), environment=_environment(home))
    if done.returncode != 0:
        raise AssertionError(f"{done.stdout}{done.stderr}")
    return [_ours.Outcome(**each) for each in json.loads(done.stdout)]


@contextmanager
def ourServer(**case: Any) -> Iterator[Background]:
    """
    Run our server for as long as the C{with} block takes.

    @param case: see L{tests.interop._ours.serve}.
    @return: a context manager; group 1 of the match is the port.
    """
    with background(_command({"serve": case}), READY, environment=_environment(None)) as tool:
        yield tool
