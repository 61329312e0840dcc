"""
Foreign TLS implementations to talk to: Mono's C{SslStream}, OpenSSL and GnuTLS.

Nothing here knows of Twisted, and everything here blocks: a test with its own
end in the reactor calls L{runTool} in a thread.  Everything is bounded in time.

Debian: C{mono-mcs} (it brings the runtime and the class libraries),
C{openssl}, C{gnutls-bin}.

Everything listens on and connects to 127.0.0.1, but for C{gnutls-serv}, see
L{gnutlsServer}.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import ipaddress
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import SystemRandom

LOOPBACK = "127.0.0.1"

#: What the two ends of the class page's sample say.
CLIENT_MESSAGE = "Hello from the client.<EOF>"
SERVER_MESSAGE = "Hello from the server.<EOF>"

#: The lines by which the servers say that they listen; group 1 is the port.
SAMPLE_SERVER_READY = r"^Listening on port (\d+)$"
OPENSSL_SERVER_READY = r"^ACCEPT(?: \S+:(\d+))?$"
GNUTLS_SERVER_READY = r"^\w+ Server listening on IPv4 \S+ port (\d+)\.\.\.done$"

#: For L{background}: have L{opensslServer} answer each client's message.
ANSWER = ((re.escape(CLIENT_MESSAGE), SERVER_MESSAGE + "\n"),)

_VERSIONS = ("1.2", "1.3")


def missing(*tools: str) -> str | None:
    """
    Say why a test that needs some tools cannot run.

    @param tools: names of commands, such as C{"mono"}.
    @return: the reason to skip the test, or L{None} if all of them are there.
    """
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if not absent:
        return None
    return "not installed: " + ", ".join(absent)


#: Below Linux' C{ip_local_port_range}.
_PORTS = 10_000, 32_000
_random = SystemRandom()


def freePort() -> int:
    """
    Find a TCP port of 127.0.0.1 that nothing listens on at the moment.  It is none of
    those that the system gives to whoever asks for any: somebody, such as the same
    tests beside these, would have it before it is listened on.

    @return: the port's number.
    """
    while True:
        port = _random.randrange(*_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def _start(
    args: Sequence[str | os.PathLike[str]],
    stderr: int,
    environment: Mapping[str, str] | None,
) -> subprocess.Popen[str]:
    """
    Start a tool in a process group of its own, with pipes.
    """
    settings = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
    return subprocess.Popen(
        [os.fspath(arg) for arg in args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="replace",
        env=settings,
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[str]) -> None:
    """
    Kill a tool and whatever it started, and wait for its end.
    """
    # As long as nothing has waited for the process, its number and that of its
    # group cannot be anybody else's.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def runTool(
    args: Sequence[str | os.PathLike[str]],
    input: str | None = None,
    timeout: float = 30,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """
    Run a tool to its end.

    @param args: the command.
    @param input: what it finds on its standard input, which ends after that.
    @param timeout: for how many seconds it may run.
    @param environment: variables to add to its environment.
    @return: its exit status, standard output and standard error.
    @raise subprocess.TimeoutExpired: if it took too long; it has been killed,
        and the exception has what it had written.
    """
    process = _start(args, subprocess.PIPE, environment)
    try:
        try:
            stdout, stderr = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            # With the whole group dead the pipes have ended.
            stdout, stderr = process.communicate(timeout=5)
            raise subprocess.TimeoutExpired(process.args, timeout, stdout, stderr) from None
    finally:
        _kill(process)
        _closePipes(process)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def _closePipes(process: subprocess.Popen[str]) -> None:
    """
    Close our ends of a tool's pipes.
    """
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


class Background:
    """
    A tool that runs beside the test.  Made by L{background}.

    @ivar args: the command.
    @ivar match: the match of the line by which it said that it was ready.
    """

    match: re.Match[str]

    def __init__(
        self,
        args: Sequence[str | os.PathLike[str]],
        answers: Sequence[tuple[str, str]],
        environment: Mapping[str, str] | None,
    ) -> None:
        """
        Start the tool.
        """
        self.args = [os.fspath(arg) for arg in args]
        self._answers = [(re.compile(pattern, re.MULTILINE), text) for pattern, text in answers]
        self._answered = [0] * len(self._answers)
        self._text = ""
        self._ended = False
        self._changed = threading.Condition()
        self._process = _start(args, subprocess.STDOUT, environment)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """
        Collect what the tool writes, and give the answers.  Runs in a thread.
        """
        assert self._process.stdout is not None
        try:
            # Not by lines: the messages of the conversations need not end in one.
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            while chunk := os.read(self._process.stdout.fileno(), 65536):
                with self._changed:
                    self._text += decoder.decode(chunk)
                    self._changed.notify_all()
                self._answer()
        except OSError:
            pass
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _answer(self) -> None:
        """
        Give the answers to what has been written since the last ones.
        """
        for index, (pattern, text) in enumerate(self._answers):
            for match in pattern.finditer(self._text, self._answered[index]):
                self._answered[index] = match.end()
                with contextlib.suppress(AssertionError, ValueError):
                    self.send(text)

    def output(self) -> str:
        """
        Say what the tool has written so far.

        @return: its standard output and standard error, as they came.
        """
        with self._changed:
            return self._text

    def waitFor(self, pattern: str, timeout: float = 30, start: int = 0) -> re.Match[str]:
        """
        Wait until the tool has written something.

        @param pattern: a regular expression, searched for in the whole output
            so far; C{^} and C{$} match at the ends of lines.
        @param timeout: for how many seconds to wait.
        @param start: where in the output to begin.
        @return: the first match.
        @raise AssertionError: if the tool ended or the time ran out before.
        """
        expression = re.compile(pattern, re.MULTILINE)
        return self._waitFor(expression, timeout, wholeLines=False, start=start)

    def _waitFor(
        self, expression: re.Pattern[str], timeout: float, wholeLines: bool, start: int = 0
    ) -> re.Match[str]:
        """
        Wait for a match in the output, or in the finished lines of it.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                text = self._text
                if wholeLines and not self._ended:
                    text = text[: text.rfind("\n") + 1]
                found = expression.search(text, start)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(
                        f"no {expression.pattern!r} from {self.args}"
                        f" {'to its end' if self._ended else f'in {timeout} s'}:\n{self._text}"
                    )
                self._changed.wait(left)

    def send(self, text: str) -> None:
        """
        Write to the tool's standard input.

        @param text: what to write.
        @raise AssertionError: if the tool has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError as error:
            raise AssertionError(f"{error} for {self.args}:\n{self.output()}") from error

    def closeInput(self) -> None:
        """
        End the tool's standard input.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, timeout: float = 30) -> int:
        """
        Wait for the tool's own end.

        @param timeout: for how many seconds to wait.
        @return: its exit status.
        @raise subprocess.TimeoutExpired: if it is still running then.
        """
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        return status

    def isRunning(self) -> bool:
        """
        @return: whether the tool itself has not ended.
        """
        return self._process.poll() is None

    def terminate(self) -> None:
        """
        Ask the tool to end (SIGTERM).
        """
        self._process.terminate()

    def signal(self, number: int) -> None:
        """
        Send the tool a signal.
        """
        self._process.send_signal(number)

    def stop(self) -> None:
        """
        Kill the tool if it still runs, and close its pipes.
        """
        _kill(self._process)
        # With the whole group dead the pipe has ended.
        self._reader.join(10)
        _closePipes(self._process)


@contextlib.contextmanager
def background(
    args: Sequence[str | os.PathLike[str]],
    readyLine: str,
    *,
    answers: Sequence[tuple[str, str]] = (),
    timeout: float = 30,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Background]:
    """
    Run a tool, usually a server, for as long as the C{with} block takes.

    @param args: the command.
    @param readyLine: a regular expression for the line, on standard output or
        standard error, by which it says that it is ready.  An empty one waits
        for nothing, as befits clients: they read their standard input when
        they are ready to.
    @param answers: pairs of a regular expression and of what to write to the
        tool's standard input each time the expression turns up in its output.
    @param timeout: for how many seconds to wait for that line.
    @param environment: variables to add to its environment.
    @return: a context manager whose value is a L{Background}.
    @raise AssertionError: if the tool did not become ready.
    """
    tool = Background(args, answers, environment)
    try:
        expression = re.compile(readyLine, re.MULTILINE)
        tool.match = tool._waitFor(expression, timeout, wholeLines=True)
        yield tool
    finally:
        tool.stop()


def compileCSharp(source: Path, outDir: Path) -> Path:
    """
    Compile a C# program, or find it compiled already.

    @param source: the program.
    @param outDir: the directory for compiled programs, made if need be.  A
        program is compiled again only if its source has changed.
    @return: the compiled program, for C{mono} to run.
    @raise AssertionError: if it does not compile.
    """
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = outDir / f"{source.stem}-{digest}.exe"
    if program.exists():
        return program
    outDir.mkdir(parents=True, exist_ok=True)
    # Several test processes may share the directory: only finished programs
    # may be found under the final name.
    unfinished = outDir / f"{source.stem}-{digest}-{os.getpid()}-{threading.get_ident()}.tmp"
    compiled = runTool(
        ["mcs", "-warn:4", "-r:Mono.Security", f"-out:{unfinished}", source], timeout=120
    )
    if compiled.returncode != 0:
        unfinished.unlink(missing_ok=True)
        raise AssertionError(f"mcs {source}:\n{compiled.stdout}{compiled.stderr}")
    unfinished.replace(program)
    return program


def sampleClient(
    program: Path,
    port: int,
    caFile: Path,
    *,
    serverName: str = "localhost",
    pfxFile: Path | None = None,
    password: str = "",
    shutdown: bool = False,
) -> list[str]:
    """
    The command for the class page's client, run by Mono: TLS 1.2 only.

    It connects, says L{CLIENT_MESSAGE} with no newline, reads up to C{<EOF>},
    prints C{Server says: ...} and closes; its exit status is 0 only if all of
    that went well.  It sends no alert, neither when it refuses the server nor,
    unless told to, a close_notify at the end.

    @param program: the compiled F{SampleClient.cs}.
    @param port: the server's port.
    @param caFile: the only authority to trust, PEM.
    @param serverName: the server's expected name.
    @param pfxFile: the client's certificate, chain and key.  Mono reads PKCS#12
        files in the old encryption only: PBESv1SHA1And3KeyTripleDESCBC.
    @param password: the password for that file.
    @param shutdown: whether to send a close_notify at the end.
    @return: the command.
    """
    args = ["mono", str(program), LOOPBACK, str(port), serverName, str(caFile)]
    if pfxFile is not None:
        args += [str(pfxFile), password]
    if shutdown:
        args.append("shutdown")
    return args


def sampleServer(
    program: Path,
    pfxFile: Path,
    password: str,
    *,
    port: int = 0,
    requireClientCertificate: bool = False,
    shutdown: bool = False,
) -> list[str]:
    """
    The command for the class page's server, run by Mono: TLS 1.2 only.

    It serves one client after the other: it reads up to C{<EOF>}, prints
    C{Received: ...}, says L{SERVER_MESSAGE} with no newline, closes and prints
    C{Connection closed.}.  It sends no alert, neither when it refuses a client
    nor, unless told to, a close_notify at the end.

    @param program: the compiled F{SampleServer.cs}.
    @param pfxFile: its certificate, chain and key, as for L{sampleClient}.
    @param password: the password for that file.
    @param port: where to listen, or 0 for L{SAMPLE_SERVER_READY} to tell.
    @param requireClientCertificate: whether to refuse clients that have none.
        It accepts any, and prints its subject.
    @param shutdown: whether to send a close_notify at the end.
    @return: the command.
    """
    args = ["mono", str(program), str(port), str(pfxFile), password]
    if requireClientCertificate:
        args.append("require-client-certificate")
    if shutdown:
        args.append("shutdown")
    return args


def _isAddress(name: str) -> bool:
    """
    Say whether a name is an IP address.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _opensslVersion(version: str | None) -> list[str]:
    """
    The options of OpenSSL's tools for one version of TLS.
    """
    if version is None:
        return []
    assert version in _VERSIONS, version
    return ["-tls" + version.replace(".", "_")]


def _gnutlsVersion(version: str | None) -> list[str]:
    """
    The options of GnuTLS' tools for one version of TLS.
    """
    if version is None:
        return []
    assert version in _VERSIONS, version
    return [f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}"]


def opensslClient(
    port: int,
    caFile: Path,
    *,
    serverName: str = "localhost",
    certificate: Path | None = None,
    privateKey: Path | None = None,
    chain: Path | None = None,
    version: str | None = None,
    ignoreEOF: bool = True,
    extra: Sequence[str] = (),
) -> list[str]:
    """
    The command for OpenSSL's client, which sends its standard input.

    It writes what it receives to standard output and a summary of the
    handshake (C{Protocol version: TLSv1.3}, C{Ciphersuite: ...}) to standard
    error.  It exits with 0 if the server ended the connection with a
    close_notify, with 1 if there was none or the handshake failed.  In TLS 1.3
    a server's refusal of the client's certificate comes after the summary.

    @param port: the server's port.
    @param caFile: the authority to trust, PEM.
    @param serverName: the server's expected name.
    @param certificate: the client's certificate, PEM (only the first of a file).
    @param privateKey: the key for it.
    @param chain: intermediate certificates to send with it, PEM.
    @param version: C{"1.2"} or C{"1.3"}, or L{None} for both.
    @param ignoreEOF: whether to wait for the server to end the connection.
        Otherwise the end of standard input makes it send a close_notify and
        exit with 0 at once, and lines that begin with Q or R are commands.
    @param extra: more options.
    @return: the command.
    """
    args = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{port}"]
    args += ["-no-CApath", "-no-CAstore", "-CAfile", str(caFile), "-verify_return_error"]
    if _isAddress(serverName):
        args += ["-noservername", "-verify_ip", serverName]
    else:
        args += ["-servername", serverName, "-verify_hostname", serverName]
    if certificate is not None:
        args += ["-cert", str(certificate)]
    if privateKey is not None:
        args += ["-key", str(privateKey)]
    if chain is not None:
        args += ["-cert_chain", str(chain)]
    args += ["-brief"]
    if ignoreEOF:
        args += ["-ign_eof"]
    return [*args, *_opensslVersion(version), *extra]


def opensslServer(
    certificate: Path,
    privateKey: Path,
    *,
    port: int = 0,
    chain: Path | None = None,
    clientCA: Path | None = None,
    version: str | None = None,
    connections: int | None = None,
    extra: Sequence[str] = (),
) -> list[str]:
    """
    The command for OpenSSL's server, which sends its standard input.

    It writes a description of the session (C{CIPHER is ...}) and what it
    receives to standard output, and C{ERROR} where a handshake failed.  Lines of
    its standard input that begin with one of C, K, P, Q, R and S in either case
    are commands: C{R} renegotiates and C{c} authenticates after the handshake,
    both asking for the client's certificate.  At the end of its standard input,
    and at the command Q, it breaks the connection without a close_notify and
    exits.  It answers a client's close_notify with its own at once, and goes on
    to the next client.

    @param certificate: its certificate, PEM (only the first of a file).
    @param privateKey: the key for it.
    @param port: where to listen, or 0 for L{OPENSSL_SERVER_READY} to tell.
    @param chain: intermediate certificates to send with it, PEM.
    @param clientCA: require a certificate by this authority, PEM.
    @param version: C{"1.2"} or C{"1.3"}, or L{None} for both.
    @param connections: after how many clients to exit.
    @param extra: more options.
    @return: the command.
    """
    args = ["openssl", "s_server", "-accept", f"{LOOPBACK}:{port}"]
    args += ["-cert", str(certificate), "-key", str(privateKey)]
    if chain is not None:
        args += ["-cert_chain", str(chain)]
    if clientCA is not None:
        args += ["-no-CApath", "-no-CAstore", "-CAfile", str(clientCA)]
        args += ["-Verify", "5", "-verify_return_error"]
    if connections is not None:
        args += ["-naccept", str(connections)]
    return [*args, *_opensslVersion(version), *extra]


def gnutlsClient(
    port: int,
    caFile: Path,
    *,
    serverName: str = "localhost",
    certificate: Path | None = None,
    privateKey: Path | None = None,
    version: str | None = None,
    logFile: Path | str = "/dev/stderr",
    extra: Sequence[str] = (),
) -> list[str]:
    """
    The command for GnuTLS' client, which sends its standard input.

    It writes what it receives to standard output.  At the end of its standard
    input it sends a close_notify at once, and goes on reading until the server
    has sent its own.  It exits with 0 if the connection ended well (even
    without an answer), with 1 if the handshake failed or the server sent no
    close_notify; the latter goes unnoticed if standard input had ended.

    @param port: the server's port.
    @param caFile: the authority to trust, PEM.
    @param serverName: the server's expected name.
    @param certificate: the client's certificate and chain, PEM.
    @param privateKey: the key for it.
    @param version: C{"1.2"} or C{"1.3"}, or L{None} for both.
    @param logFile: where to write the description of the session.
    @param extra: more options.
    @return: the command.
    """
    args = ["gnutls-cli", f"--port={port}", f"--x509cafile={caFile}"]
    args += [f"--verify-hostname={serverName}", f"--logfile={logFile}"]
    args += ["--disable-sni" if _isAddress(serverName) else f"--sni-hostname={serverName}"]
    if certificate is not None:
        args += [f"--x509certfile={certificate}"]
    if privateKey is not None:
        args += [f"--x509keyfile={privateKey}"]
    return [*args, *_gnutlsVersion(version), *extra, LOOPBACK]


def gnutlsServer(
    certificate: Path,
    privateKey: Path,
    *,
    port: int,
    clientCA: Path | None = None,
    httpData: Path | None = None,
    version: str | None = None,
    extra: Sequence[str] = (),
) -> list[str]:
    """
    The command for GnuTLS' server, which echoes lines.

    It listens on every address of the machine, and has no option to do
    otherwise.  It must be given a port.

    @param certificate: its certificate and chain, PEM.
    @param privateKey: the key for it.
    @param port: where to listen.
    @param clientCA: require a certificate by this authority, PEM.
    @param httpData: do not echo, but answer HTTP requests with this file, and
        close.
    @param version: C{"1.2"} or C{"1.3"}, or L{None} for both.
    @param extra: more options.
    @return: the command.
    """
    args = ["gnutls-serv", f"--port={port}"]
    args += [f"--x509certfile={certificate}", f"--x509keyfile={privateKey}"]
    if clientCA is not None:
        args += [f"--x509cafile={clientCA}", "--require-client-cert", "--verify-client-cert"]
    else:
        args += ["--disable-client-cert"]
    if httpData is not None:
        args += ["--http", f"--httpdata={httpData}"]
    else:
        args += ["--echo"]
    return [*args, *_gnutlsVersion(version), *extra]
