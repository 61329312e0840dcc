"""
HAProxy in front of C{twistd sslserve}, with the configuration that the documentation has: who the
clients are, and what ends whose connections; and HAProxy as who is told by C{--proxy-protocol-v2}.

Debian: C{haproxy}.  It runs as a process of the test's own; everything listens on 127.0.0.1.
"""

from __future__ import annotations

import atexit
import contextlib
import csv
import io
import os
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase
from typing_extensions import Self

from tests.programs import ROOT, environment, serveProcess, temporaryDirectory
from tests.support import AUTHORITY, CLIENT, SERVER
from txsslstream import SslStreamCertificateContext
from txsslstream.testing import certificatePEM, keyPEM

from ._authority import READY, ForeignCase, newHome, rootFile, stored
from ._tools import LOOPBACK, Background, background, freePort

CONFIGURATION = ROOT / "docs" / "examples" / "howto-haproxy" / "haproxy.cfg"

#: The ports in it.
_PORT = re.compile(r"\b(?:844\d|946\d)\b")

#: Seconds: far longer than anything takes.
PATIENCE = 60.0

#: Seconds that a worker says that it is about to end: longer than HAProxy needs to hear.
GRACE = 3

NOTHING = b""


def pem(context: SslStreamCertificateContext) -> bytes:
    """
    @return: a certificate with its key.
    """
    return certificatePEM(context) + keyPEM(context)


def until(true: Callable[[], object], what: str) -> None:
    """
    Wait for something.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {PATIENCE} s: {what}")
        time.sleep(0.05)


@contextmanager
def haproxy(directory: Path, configuration: str, *options: str) -> Iterator[Background]:
    """
    Run HAProxy for as long as the C{with} block takes.

    @param directory: where its files are.
    """
    (directory / "haproxy.cfg").write_text(configuration)
    command = ["env", "-C", str(directory), "haproxy", "-f", "haproxy.cfg", *options]
    with background(command, "") as tool:
        port = int(re.findall(r"bind \S+?:(\d+)", configuration)[-1])
        until(lambda: isListening(port) or not tool.isRunning(), "HAProxy listens")
        if not tool.isRunning():
            raise AssertionError(tool.output())
        yield tool


def isListening(port: int) -> bool:
    """
    @return: whether somebody does.
    """
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


class Worker:
    """
    One C{twistd sslserve} after another, on one port.

    @ivar name: what HAProxy calls it.
    """

    def __init__(self, name: str, options: Sequence[str]) -> None:
        self.name = name
        self._options = options
        self._stack = ExitStack()
        self.tool = self.begin()

    def begin(self) -> Background:
        """
        Begin, or begin anew.
        """
        self.tool = self._stack.enter_context(
            serveProcess(newHome(), *self._options, isTwistd=True)
        )
        return self.tool

    def end(self) -> None:
        """
        End it for good.
        """
        self._stack.close()


class Deployment:
    """
    HAProxy and two workers, as documented, and what they forward to.

    @ivar port: where clients come.
    """

    def __init__(self) -> None:
        self.stack = ExitStack()
        atexit.register(self.stack.close)
        self.directory = newHome()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "server.pem"
        self.certificate.write_bytes(pem(SERVER))
        command = [sys.executable, "-m", "tests.interop._echo"]
        echo = background(command, READY, environment=environment(self.directory))
        target = self.stack.enter_context(echo).match[1]
        ports: dict[str, str] = {}
        text = _PORT.sub(
            lambda match: ports.setdefault(match[0], str(freePort())), CONFIGURATION.read_text()
        )
        self.port = int(ports["8444"])
        self.workers = [
            Worker(
                name,
                (
                    *("--listen", f"tcp:{ports[port]}:interface={LOOPBACK}", "--accept-proxy"),
                    *("--health", f"tcp:{ports[health]}:interface={LOOPBACK}"),
                    *("--connect", f"tcp:{LOOPBACK}:{target}"),
                    *("--certificate", str(self.certificate)),
                    *("--grace", str(GRACE), "--drain", "30"),
                ),
            )
            for name, port, health in (("one", "8445", "9461"), ("two", "8446", "9462"))
        ]
        for worker in self.workers:
            self.stack.callback(worker.end)
        self.haproxy = self.stack.enter_context(haproxy(self.directory, text, "-W"))

    def status(self) -> dict[str, dict[str, str]]:
        """
        @return: what HAProxy knows of each worker.
        """
        said: list[dict[str, dict[str, str]]] = []

        def answered() -> bool:
            # It listens there a little later than for clients.
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                said.append(self._status())
            return bool(said)

        until(answered, "HAProxy's answer")
        return said[0]

    def _status(self) -> dict[str, dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.directory / "admin.sock"))
            connection.sendall(b"show stat\n")
            said = b"".join(iter(lambda: connection.recv(65536), NOTHING))
        rows = csv.DictReader(io.StringIO(said.decode().removeprefix("# ")))
        return {row["svname"]: row for row in rows if row["pxname"] == "served"}

    def awaitUp(self, worker: Worker, isUp: bool = True) -> None:
        """
        Wait until HAProxy sends clients there, or sends none.
        """
        # In between it is "UP 1/2" or "DOWN 1/2", with and without clients.
        wanted = "UP" if isUp else "DOWN"
        until(lambda: self.status()[worker.name]["status"] == wanted, f"{worker.name} is {wanted}")

    def connect(self) -> ssl.SSLSocket:
        """
        @return: a client's connection, which is used.
        """
        context = ssl.create_default_context(cafile=str(rootFile(AUTHORITY)))
        plain = socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE)
        try:
            secure = context.wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False
            )
        except BaseException:
            plain.close()
            raise
        exchange(secure)
        return secure

    def converse(self) -> bytes:
        """
        Have one whole conversation, which ends in order.

        @return: the certificate that was shown.
        """
        with self.connect() as client:
            shown = client.getpeercert(binary_form=True)
            client.unwrap().close()
        return shown or NOTHING


def exchange(client: ssl.SSLSocket) -> None:
    """
    Say something, and hear it.

    @raise OSError: that does not work.
    """
    client.sendall(b"ping")
    heard = NOTHING
    while len(heard) < 4:
        data = client.recv(4)
        if not data:
            raise ConnectionError(f"the end, after {heard!r}")
        heard += data


def isAlive(client: ssl.SSLSocket) -> bool:
    """
    @return: whether it still has somebody to talk to.
    """
    try:
        exchange(client)
    except OSError:
        return False
    return True


class Traffic:
    """
    Clients that come one after the other, in two threads.

    @ivar failures: what has gone wrong.
    @ivar shown: the certificates that were shown, in order.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.failures: list[BaseException] = []
        self.shown: list[bytes] = []
        self._deployment = deployment
        self._isOver = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(2)]

    def _run(self) -> None:
        while not self._isOver.wait(0.01):
            self._visit()

    def _visit(self) -> None:
        try:
            self.shown.append(self._deployment.converse())
        except BaseException as e:
            self.failures.append(e)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._isOver.set()
        for thread in self._threads:
            thread.join()

    def flow(self, count: int = 20) -> None:
        """
        Wait until so many more have come.
        """
        wanted = len(self.shown) + count
        until(lambda: len(self.shown) >= wanted or self.failures, f"{count} clients")


@cache
def deployment() -> Deployment:
    """
    @return: the one of all tests of this process.
    """
    return Deployment()


class DeploymentTests(ForeignCase, SynchronousTestCase):
    """
    HAProxy in front of two workers.
    """

    tools: ClassVar[tuple[str, ...]] = ("haproxy",)

    def setUp(self) -> None:
        """
        Everything is well.
        """
        super().setUp()
        self.deployment = deployment()
        self.one, self.two = self.deployment.workers
        for worker in self.deployment.workers:
            self.deployment.awaitUp(worker)

    def connected(self, count: int) -> list[ssl.SSLSocket]:
        """
        @return: so many connections.
        """
        clients = [self.deployment.connect() for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def test_address(self) -> None:
        """
        The log of the worker has the client's address and port, and nothing of
        HAProxy's own connections.
        """
        seen = [len(worker.tool.output()) for worker in self.deployment.workers]
        (client,) = self.connected(1)
        port = client.getsockname()[1]
        client.unwrap().close()
        told = rf"\[txsslstream\.forward\.Forwarder#info\] {LOOPBACK}:{port}: 4 bytes to the target"

        def logs() -> list[str]:
            return [
                worker.tool.output()[start:]
                for worker, start in zip(self.deployment.workers, seen, strict=True)
            ]

        until(lambda: any(re.search(told, log) for log in logs()), "a line of the client's")
        # Each has been asked since.
        said = [line for log in logs() for line in re.findall(r"\[txsslstream\..*", log)]
        self.assertEqual([line for line in said if not re.search(told, line)], [])

    def test_killed(self) -> None:
        """
        With a worker that is killed its own connections are lost, and no others;
        nobody who comes then is refused, and its successor has clients again.
        """
        clients = self.connected(8)
        before = int(self.deployment.status()["one"]["scur"])
        self.assertTrue(0 < before < 8, before)
        self.one.tool.signal(signal.SIGKILL)
        self.one.tool.wait()
        for _ in range(4):
            self.deployment.converse()
        self.assertEqual([isAlive(client) for client in clients].count(False), before)
        self.one.begin()
        self.deployment.awaitUp(self.one)
        total = int(self.deployment.status()["one"]["stot"])
        self.connected(4)
        self.assertGreater(int(self.deployment.status()["one"]["stot"]), total)

    def test_sick(self) -> None:
        """
        A worker that says nothing any more has no more clients, although it
        listens; when it says something again it has.
        """
        self.one.tool.signal(signal.SIGSTOP)
        try:
            self.deployment.awaitUp(self.one, False)
            self.assertTrue(self.one.tool.isRunning())
            total = int(self.deployment.status()["one"]["stot"])
            for _ in range(4):
                self.deployment.converse()
            self.assertEqual(int(self.deployment.status()["one"]["stot"]), total)
        finally:
            self.one.tool.signal(signal.SIGCONT)
        self.deployment.awaitUp(self.one)
        self.connected(4)
        self.assertGreater(int(self.deployment.status()["one"]["stot"]), total)

    def test_rolling(self) -> None:
        """
        No client is refused while a worker is ended and replaced, HAProxy reads
        its configuration again, and certificates are renewed; who is connected
        stays so until it is done.
        """
        clients = self.connected(4)
        renewed = AUTHORITY.issue("localhost", LOOPBACK)
        with Traffic(self.deployment) as traffic:
            traffic.flow()
            # A worker.
            tool = self.one.tool
            seen = len(tool.output())
            tool.terminate()
            self.deployment.awaitUp(self.one, False)
            traffic.flow()
            tool.waitFor("connections are left to end, for at most 30", PATIENCE, seen)
            self.assertEqual([isAlive(client) for client in clients], [True] * 4)
            for client in clients:
                client.unwrap().close()
            # Twisted ends in the end as the signal would have ended it.
            self.assertEqual(tool.wait(), -signal.SIGTERM)
            self.one.begin()
            self.deployment.awaitUp(self.one)
            traffic.flow()
            # HAProxy.
            (client,) = self.connected(1)
            seen = len(self.deployment.haproxy.output())
            self.deployment.haproxy.signal(signal.SIGUSR2)
            self.deployment.haproxy.waitFor(r"Loading success", PATIENCE, seen)
            traffic.flow()
            self.assertTrue(isAlive(client))
            # The certificate.
            before = self.deployment.certificate.read_bytes()
            following = self.deployment.certificate.with_suffix(".new")
            following.write_bytes(pem(renewed))
            os.replace(following, self.deployment.certificate)
            for worker in self.deployment.workers:
                worker.tool.signal(signal.SIGHUP)
            der = renewed.certificate.public_bytes(Encoding.DER)
            until(lambda: set(traffic.shown[-20:]) == {der} or traffic.failures, "the new one")
            self.assertTrue(isAlive(client))
        self.assertEqual(traffic.failures, [])
        self.assertNotIn(der, traffic.shown[:60])
        self.assertNotEqual(before, pem(renewed))


def readHeader(connection: socket.socket) -> bytes:
    """
    @return: the header of version 2 with which a connection begins.
    """

    def exactly(size: int) -> bytes:
        data = NOTHING
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise AssertionError(f"the end, after {data!r}")
            data += more
        return data

    head = exactly(16)
    return head + exactly(struct.unpack_from("!H", head, 14)[0])


def valuesIn(header: bytes) -> dict[int, bytes]:
    """
    @return: what is behind the addresses of IPv4.
    """
    found = {}
    rest = header[28:]
    while rest:
        kind, length = struct.unpack_from("!BH", rest)
        found[kind], rest = rest[3 : 3 + length], rest[3 + length :]
    return found


class ToldTests(ForeignCase, SynchronousTestCase):
    """
    HAProxy as a judge of what is told to targets.
    """

    tools: ClassVar[tuple[str, ...]] = ("haproxy",)

    def setUp(self) -> None:
        """
        Have files.
        """
        super().setUp()
        self.directory = temporaryDirectory(self)
        self.server = stored(pem(SERVER), "pem")
        self.client = stored(pem(CLIENT), "pem")

    def serve(self, port: int, *options: str) -> int:
        """
        Run C{sslstream serve}.

        @param port: of the target.
        @return: where it listens.
        """
        own = ("--certificate", str(self.server), "--connect", f"tcp:{LOOPBACK}:{port}")
        return int(self.during(serveProcess(newHome(), *own, *options)).match[1])

    def visit(self, port: int, hasCertificate: bool = True) -> ssl.SSLSocket:
        """
        @return: a client's connection.
        """
        context = ssl.create_default_context(cafile=str(rootFile(AUTHORITY)))
        context.set_alpn_protocols(["http/1.1"])
        if hasCertificate:
            context.load_cert_chain(self.client)
        plain = socket.create_connection((LOOPBACK, port), timeout=PATIENCE)
        self.addCleanup(plain.close)
        secure = context.wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(secure.close)
        return secure

    def test_read(self) -> None:
        """
        HAProxy understands the addresses, and the name that the client has asked
        for.
        """
        port = freePort()
        said = "%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_authority]"
        text = f"""
defaults
    mode http
    timeout client 1m
listen told
    bind {LOOPBACK}:{port} accept-proxy
    http-request return content-type text/plain lf-string "{said}"
"""
        self.during(haproxy(self.directory, text, "-db"))
        front = self.serve(port, "--proxy-protocol-v2", "--alpn", "http/1.1")
        client = self.visit(front)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = NOTHING
        while data := client.recv(65536):
            answer += data
        own = client.getsockname()[1]
        self.assertEqual(
            answer.partition(b"\r\n\r\n")[2].decode().strip(),
            f"{LOOPBACK}:{own} {LOOPBACK}:{front} localhost",
        )

    def test_same(self) -> None:
        """
        What is told of TLS and of the client's certificate is byte by byte what
        HAProxy tells (C{send-proxy-v2-ssl-cn}).
        """
        listening = socket.create_server((LOOPBACK, 0))
        self.addCleanup(listening.close)
        listening.settimeout(PATIENCE)
        target = listening.getsockname()[1]
        port = freePort()
        tls = f"ssl crt {self.server} ca-file {rootFile(AUTHORITY)} verify optional alpn http/1.1"
        text = f"""
defaults
    mode tcp
    timeout client 1m
    timeout server 1m
    timeout connect 10s
listen told
    bind {LOOPBACK}:{port} {tls}
    server target {LOOPBACK}:{target} send-proxy-v2-ssl-cn proxy-v2-options authority
"""
        self.during(haproxy(self.directory, text, "-db"))
        trust = ("--trust", str(rootFile(AUTHORITY)), "--require-client-certificate")
        ours = self.serve(target, "--proxy-protocol-v2", "--alpn", "http/1.1", *trust)
        asksNobody = self.serve(target, "--proxy-protocol-v2", "--alpn", "http/1.1")

        def told(port: int, hasCertificate: bool) -> dict[int, bytes]:
            self.visit(port, hasCertificate)
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(PATIENCE)
                return valuesIn(readHeader(connection))

        theirs = told(port, True)
        self.assertEqual(theirs, told(ours, True))
        names = CLIENT.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        self.assertIn(str(names[0].value).encode(), theirs[0x20])
        # HAProxy tells of a success as well where nothing was shown; the protocol
        # has it otherwise.
        theirs = told(port, False)
        own = told(asksNobody, False)
        self.assertEqual((own[1], own[2]), (theirs[1], theirs[2]))
        self.assertEqual((own[0x20][:1], own[0x20][5:]), (theirs[0x20][:1], theirs[0x20][5:]))
        self.assertEqual(own[0x20][1:5], b"\0\0\0\x01")
