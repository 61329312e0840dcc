"""
Tests for L{txsslstream.insecure}: what is logged, where to, and that nothing is
unless asked.
"""

from __future__ import annotations

import os
import stat
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from greenlet import getcurrent, greenlet
from OpenSSL._util import ffi, lib
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    SslProtocols,
    SslStreamFactory,
    _openssl,
)
from txsslstream._openssl import TlsEngine, contextFor, logAllSecrets
from txsslstream.insecure import obeySSLKEYLOGFILE, withKeyLog
from txsslstream.testing import StreamPair, Wire, perVersion

from .files import FilesMixin
from .garbage import withoutCollector
from .interop._tools import runTool
from .programs import environment
from .streams import StreamMixin
from .support import SERVER, clientOptions, serverOptions
from .watching import openFiles

Tls13 = SslProtocols.Tls13

#: NSS' names of the secrets of one handshake.
SECRETS = {
    SslProtocols.Tls12: ["CLIENT_RANDOM"],
    SslProtocols.Tls13: [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
    ],
}
#: Bytes of each: in TLS 1.3 as many as the hash of the preferred suite has.
SIZE = 48


class KeyLogMixin(FilesMixin, StreamMixin):
    """
    What tests of key logs share.
    """

    def setUp(self) -> None:
        """
        Whatever a test asks of the process ends with it.
        """
        super().setUp()
        self.path = self.directory / "keys.log"
        self.addCleanup(logAllSecrets, None)

    def connected(self, client: Any, server: Any) -> StreamPair:
        """
        Authenticate streams with these options.
        """
        pair = StreamPair(self.segment)
        outcomes = (
            pair.server.authenticateAsServer(server),
            pair.client.authenticateAsClient(client),
        )
        pair.wire.flush()
        for outcome in outcomes:
            self.successResultOf(outcome)
        return pair

    def assertLogged(self, lines: list[bytes], *pairs: StreamPair) -> None:
        """
        These are the secrets of these connections, each once.
        """
        expected = []
        for pair in pairs:
            # The random comes behind the headers of record and message and the
            # version.
            random = bytes(pair.wire.client.everWritten[11:43]).hex()
            expected += [(name, random) for name in SECRETS[self.version]]
        found = [line.decode("ascii").split(" ") for line in lines]
        self.assertEqual(sorted((name, random) for name, random, _ in found), sorted(expected))
        sizes = {len(bytes.fromhex(secret)) for *_, secret in found}
        self.assertEqual(sizes, {SIZE})
        self.assertEqual(len({secret for *_, secret in found}), len(found))

    def linesIn(self, path: Path) -> list[bytes]:
        """
        @return: the lines of a key log.
        """
        data = path.read_bytes()
        self.assertTrue(data.endswith(b"\n"))
        return data.splitlines()


class SinkMixin(KeyLogMixin):
    """
    Key logs of single connections.
    """

    def sides(self, isServer: bool, sink: Any) -> tuple[Any, Any]:
        """
        @return: options for client and server, of which one logs.
        """
        client, server = clientOptions(self.version), serverOptions(self.version)
        return (
            (client, withKeyLog(server, sink)) if isServer else (withKeyLog(client, sink), server)
        )

    def bothSides(self, sink: Any) -> Iterator[tuple[Any, Any]]:
        """
        The same with either.
        """
        for isServer in (False, True):
            yield self.sides(isServer, sink)

    def test_function(self) -> None:
        """
        A function is told every secret of a connection once, on either side,
        both sides' are the same, and it has nothing to do with other
        connections.
        """
        ours: list[bytes] = []
        theirs: list[bytes] = []
        pair = self.connected(
            withKeyLog(clientOptions(self.version), ours.append),
            withKeyLog(serverOptions(self.version), theirs.append),
        )
        self.connected(clientOptions(self.version), serverOptions(self.version))
        self.assertLogged(ours, pair)
        self.assertEqual(sorted(ours), sorted(theirs))

    def test_functionsApart(self) -> None:
        """
        Functions of connections that share a context are told their own
        connection's secrets.
        """
        first: list[bytes] = []
        second: list[bytes] = []
        for one, other in zip(
            self.bothSides(first.append), self.bothSides(second.append), strict=True
        ):
            pairs = self.connected(*one), self.connected(*other)
            self.assertLogged(first, pairs[0])
            self.assertLogged(second, pairs[1])
            first.clear()
            second.clear()

    def test_file(self) -> None:
        """
        In a file, which is the user's alone, are the secrets of all connections
        that it was asked for, behind what was there before.
        """
        for options in self.bothSides(self.path):
            self.assertEqual(self.path.read_bytes(), b"")
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
            pairs = [self.connected(*options) for _ in range(2)]
            self.assertLogged(self.linesIn(self.path), *pairs)
            self.path.unlink()
        self.path.write_bytes(b"# before\n")
        self.path.chmod(0o600)
        for options in self.bothSides(str(self.path)):
            pair = self.connected(*options)
            before, *lines = self.linesIn(self.path)
            self.assertEqual(before, b"# before")
            self.assertLogged(lines, pair)
            self.path.write_bytes(b"# before\n")

    def test_wholeLines(self) -> None:
        """
        Each line is written in one piece, to the end of the file.
        """
        written = []
        write = os.write

        def note(descriptor: int, data: bytes) -> int:
            # Others may write elsewhere meanwhile.
            if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                written.append(data)
            return write(descriptor, data)

        for options in self.bothSides(self.path):
            with patch.object(os, "write", note):
                self.connected(*options)
        self.assertEqual([each.count(b"\n") for each in written], [1] * len(written))
        self.assertEqual(b"".join(written), self.path.read_bytes())

    def test_moved(self) -> None:
        """
        A file that was moved away is made anew.
        """
        for options in self.bothSides(self.path):
            self.connected(*options)
            self.path.unlink()
            pair = self.connected(*options)
            self.assertLogged(self.linesIn(self.path), pair)
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
            self.path.unlink()

    def test_otherDirectory(self) -> None:
        """
        A path is meant from where the process is at that time.
        """
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        options = self.sides(True, "keys.log")
        os.chdir("/")
        pair = self.connected(*options)
        self.assertLogged(self.linesIn(self.path), pair)

    def test_fileFails(self) -> None:
        """
        If the file cannot be written any more, or others may read it, the
        connections go on, and the log tells why without the secret.
        """
        for options in self.bothSides(self.path):
            self.path.chmod(0o640)
            with capturedLogs() as events:
                self.assertTrue(self.connected(*options).client.isAuthenticated)
            self.assertEqual(self.path.read_bytes(), b"")
            count = len(SECRETS[self.version])
            self.assertEqual(
                [each["error"] for each in events if each["log_level"] is LogLevel.error],
                [f"{self.path}: not for the user alone (mode 0600)"] * count,
            )
            self.path.chmod(0o600)

    def test_functionFails(self) -> None:
        """
        If the function raises, the connections go on, and the log tells of the
        kind of error without what it says, which may be the secret.
        """

        def fail(line: bytes) -> None:
            raise ValueError(line)

        for options in self.bothSides(fail):
            with capturedLogs() as events:
                pair = self.connected(*options)
            errors = [each for each in events if each["log_level"] is LogLevel.error]
            self.assertEqual(
                [(each["kind"], each["sink"]) for each in errors],
                [("ValueError", repr(fail))] * len(SECRETS[self.version]),
            )
            random = bytes(pair.wire.client.everWritten[11:43]).hex()
            self.assertNotIn(random, str(events))

    def test_outside(self) -> None:
        """
        The function is called by the reactor, not from within the handshake.
        """
        stacks: list[greenlet] = []
        for isServer in (False, True):
            pair = StreamPair()
            client, server = self.sides(isServer, lambda _: stacks.append(getcurrent()))
            pair.server.authenticateAsServer(server)
            pair.client.authenticateAsClient(client)
            # Without the clock.
            while pair.wire.client.written or pair.wire.server.written:
                for one, other in (("client", "server"), ("server", "client")):
                    source = getattr(pair.wire, one)
                    data = bytes(source.written)
                    source.written.clear()
                    getattr(pair.wire, other).protocol.dataReceived(data)
            self.assertTrue(pair.client.isAuthenticated)
            self.assertEqual(stacks, [])
            pair.wire.flush()
            self.assertEqual(stacks, [getcurrent()] * len(SECRETS[self.version]))
            stacks.clear()

    def test_functionEndsIt(self) -> None:
        """
        The function is called from outside of the handshake: it may end the
        connection, whose authentication has then failed.  A server of TLS 1.2
        has nothing to tell before it has succeeded.
        """
        for isServer in (False, True):
            pair = StreamPair(1)
            stream = pair.server if isServer else pair.client
            client, server = self.sides(isServer, lambda _, stream=stream: stream.abort())
            outcomes = (
                pair.client.authenticateAsClient(client),
                pair.server.authenticateAsServer(server),
            )
            pair.wire.flush()
            if isServer and self.version is not Tls13:
                self.successResultOf(outcomes[isServer])
            else:
                self.failure(outcomes[isServer], HandshakeCancelled)
            self.failureResultOf(outcomes[not isServer], AuthenticationError)
            self.assertFalse(pair.wire.client.connected or pair.wire.server.connected)
            self.assertNothingLeft(pair)

    def test_chosenCertificate(self) -> None:
        """
        Nothing is missing where a callback chooses the certificate in the
        middle of the handshake.
        """
        lines: list[bytes] = []
        options = serverOptions(
            self.version, serverCertificateSelectionCallback=lambda stream, name: SERVER
        )
        pair = self.connected(clientOptions(self.version), withKeyLog(options, lines.append))
        self.assertLogged(lines, pair)

    def test_applications(self) -> None:
        """
        Factories take such options, too.
        """
        lines: list[bytes] = []
        wire = Wire(self.segment)
        ends = [
            SslStreamFactory(options, isClient, Factory.forProtocol(Protocol), wire.clock)
            for isClient, options in zip((True, False), self.sides(True, lines.append), strict=True)
        ]
        client, server = (each.buildProtocol(None) for each in ends)
        wire.connect(client, server)
        wire.flush()
        self.assertEqual(len(lines), len(SECRETS[self.version]))

    def test_streamsOwnCallback(self) -> None:
        """
        A stream that adds its own callback to the options still logs.
        """
        lines: list[bytes] = []
        pair = StreamPair(self.segment, remoteCertificateValidationCallback=lambda *_: True)
        client, server = self.sides(False, lines.append)
        pair.server.authenticateAsServer(server)
        pair.client.authenticateAsClient(client)
        pair.wire.flush()
        self.assertLogged(lines, pair)

    def test_noCycle(self) -> None:
        """
        Streams that log are gone when nobody has them any more, and so is the
        function.
        """

        class Sink:
            def __call__(self, line: bytes) -> None: ...

        withoutCollector(self)
        for isServer in (False, True):
            sink = Sink()
            pair = self.connected(*self.sides(isServer, sink))
            kept = [weakref.ref(each) for each in (sink, pair.client, pair.server)]
            pair.client.close()
            pair.server.close()
            pair.wire.flush()
            del sink, pair
            self.assertEqual([each() for each in kept], [None] * 3)


perVersion(segments=(0,))(SinkMixin)


class ProcessMixin(KeyLogMixin):
    """
    The key log of the process.
    """

    def setUp(self) -> None:
        """
        Nothing is said by the environment at first.
        """
        super().setUp()
        self.addCleanup(os.environ.pop, "SSLKEYLOGFILE", None)
        os.environ.pop("SSLKEYLOGFILE", None)

    def forgetContexts(self) -> None:
        """
        Let new contexts be made for all options.
        """
        _openssl._sharedContext.cache_clear()
        _openssl._contexts.clear()

    def ordinary(self) -> StreamPair:
        """
        Authenticate with options that say nothing of it.
        """
        return self.connected(clientOptions(self.version), serverOptions(self.version))

    def test_variableAlone(self) -> None:
        """
        The variable alone does nothing, neither to contexts that are made when
        it is set nor to others.
        """
        self.forgetContexts()
        self.addCleanup(self.forgetContexts)
        self.ordinary()
        os.environ["SSLKEYLOGFILE"] = str(self.path)
        self.ordinary()
        self.forgetContexts()
        self.ordinary()
        self.assertFalse(self.path.exists())

    def test_obeyed(self) -> None:
        """
        Once it is obeyed, both sides of every connection that begins are in the
        file, whenever their options were made, and those of earlier ones are
        not.
        """
        options = clientOptions(self.version), serverOptions(self.version)
        self.connected(*options)
        early = StreamPair(self.segment)
        early.authenticate(self.version, flush=False)
        os.environ["SSLKEYLOGFILE"] = str(self.path)
        self.assertEqual(obeySSLKEYLOGFILE(), self.path)
        early.wire.flush()
        self.assertEqual(self.path.read_bytes(), b"")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        pairs = self.connected(*options), self.ordinary()
        lines = self.linesIn(self.path)
        self.assertLogged(list(dict.fromkeys(lines)), *pairs)
        self.assertEqual(sorted(lines), sorted([*dict.fromkeys(lines)] * 2))

    def test_notAnyMore(self) -> None:
        """
        When it is obeyed again and names no file, nothing is logged from then
        on.
        """
        os.environ["SSLKEYLOGFILE"] = str(self.path)
        obeySSLKEYLOGFILE()
        for name in (None, ""):
            os.environ.pop("SSLKEYLOGFILE")
            if name is not None:
                os.environ["SSLKEYLOGFILE"] = name
            self.assertIsNone(obeySSLKEYLOGFILE())
            self.ordinary()
            self.assertEqual(self.path.read_bytes(), b"")
            os.environ["SSLKEYLOGFILE"] = str(self.path)

    def test_impossible(self) -> None:
        """
        If the file cannot be had, the caller hears of it, and nothing changes.
        """
        os.environ["SSLKEYLOGFILE"] = str(self.path)
        obeySSLKEYLOGFILE()
        os.environ["SSLKEYLOGFILE"] = str(self.directory / "none" / "keys.log")
        self.assertRaises(FileNotFoundError, obeySSLKEYLOGFILE)
        self.assertLogged(list(dict.fromkeys(self.logged())), self.last)

    def logged(self) -> list[bytes]:
        """
        @return: what a connection adds to the file.
        """
        self.last = self.ordinary()
        return self.linesIn(self.path)

    def test_both(self) -> None:
        """
        A connection's own key log goes on beside that of the process.
        """
        os.environ["SSLKEYLOGFILE"] = str(self.path)
        obeySSLKEYLOGFILE()
        lines: list[bytes] = []
        pair = self.connected(
            withKeyLog(clientOptions(self.version), lines.append), serverOptions(self.version)
        )
        self.assertLogged(lines, pair)
        self.assertEqual(sorted(self.linesIn(self.path)), sorted(lines * 2))


perVersion(segments=(0,))(ProcessMixin)


class OptionsTests(FilesMixin, SynchronousTestCase):
    """
    Tests for the options that L{withKeyLog} makes.
    """

    def sink(self, line: bytes) -> None:
        """
        Takes a line.
        """

    def test_same(self) -> None:
        """
        They are the same but for the log, and equal ones are equal; the given
        ones do not change.
        """
        for make in (clientOptions, serverOptions):
            options = make(SslProtocols.Tls12, handshakeTimeout=7, applicationProtocols=[b"h2"])
            before = dict(vars(options))
            logging = withKeyLog(options, self.sink)
            self.assertEqual(dict(vars(options)), before)
            self.assertIsInstance(logging, type(options))
            self.assertNotEqual(logging, options)
            self.assertEqual(logging, withKeyLog(options, self.sink))
            self.assertEqual(hash(logging), hash(withKeyLog(options, self.sink)))
            self.assertNotEqual(logging, withKeyLog(options, print))
            self.assertEqual(logging.handshakeTimeout, 7)
            self.assertEqual(logging.parameters, options.parameters)
            self.assertIsNone(options.keyLog)

    def test_again(self) -> None:
        """
        The last log takes the place of the one before, and survives other
        changes.
        """
        for make in (clientOptions, serverOptions):
            logging = withKeyLog(withKeyLog(make(), print), self.sink)
            self.assertEqual(logging, withKeyLog(make(), self.sink))
            changed: Any = replace(logging, handshakeTimeout=3)
            self.assertEqual(changed, withKeyLog(make(handshakeTimeout=3), self.sink))

    def test_kinds(self) -> None:
        """
        What are no options, and what is neither file nor function, is refused.
        """
        for value in (None, "localhost", object()):
            error = self.assertRaises(TypeError, withKeyLog, value, self.sink)
            self.assertIn(type(value).__name__, str(error))
        self.assertRaises(TypeError, withKeyLog, clientOptions(), None)
        self.assertRaises(TypeError, withKeyLog, clientOptions(), 5)

    def test_files(self) -> None:
        """
        What is no regular file of the user's own, or what others may read or
        write, is refused at once, and waits for nobody.
        """
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        for path, kind, reason in (
            (self.directory, IsADirectoryError, "Is a directory"),
            (self.directory / "none" / "keys.log", FileNotFoundError, "No such file"),
            (fifo, OSError, "No such device"),
            (Path("/dev/null"), PermissionError, "not a regular file"),
        ):
            error = self.assertRaises(kind, withKeyLog, clientOptions(), path)
            self.assertIn(reason, str(error))
            self.assertIn(str(path), str(error))
        for mode in (0o640, 0o620, 0o604, 0o602, 0o610, 0o601):
            path = self.file(b"", "keys.log")
            path.chmod(mode)
            error = self.assertRaises(PermissionError, withKeyLog, clientOptions(), path)
            self.assertEqual(str(error), f"{path}: not for the user alone (mode 0600)")
        path.chmod(0o600)
        withKeyLog(clientOptions(), path)
        with patch.object(os, "geteuid", lambda: path.stat().st_uid + 1):
            error = self.assertRaises(PermissionError, withKeyLog, clientOptions(), path)
        self.assertEqual(str(error), f"{path}: belongs to somebody else")

    def test_nothingOpen(self) -> None:
        """
        No file stays open.
        """
        path = self.file(b"", "keys.log")
        path.chmod(0o600)
        pair = StreamPair()
        pair.server.authenticateAsServer(serverOptions())
        pair.client.authenticateAsClient(withKeyLog(clientOptions(), path))
        pair.wire.flush()
        self.assertNotEqual(path.read_bytes(), b"")
        path.chmod(0o644)
        self.assertRaises(PermissionError, withKeyLog, clientOptions(), path)
        self.assertEqual(openFiles(str(self.directory.resolve())), [])

    def test_warning(self) -> None:
        """
        Whenever it is turned on, the log says so.
        """
        path = self.directory / "keys.log"
        with capturedLogs() as events:
            withKeyLog(clientOptions(), path)
            withKeyLog(serverOptions(), self.sink)
        self.addCleanup(logAllSecrets, None)
        with patch.dict(os.environ, {"SSLKEYLOGFILE": str(path)}), capturedLogs() as more:
            obeySSLKEYLOGFILE()
        self.assertEqual(
            [(each["log_level"], each["whose"], each["sink"]) for each in (*events, *more)],
            [
                (LogLevel.warn, "these options", str(path)),
                (LogLevel.warn, "these options", repr(self.sink)),
                (LogLevel.warn, "this process", str(path)),
            ],
        )
        self.assertIn("INSECURE", str(events[0]["log_format"]))


class OffTests(SynchronousTestCase):
    """
    Nothing is logged, and nothing done for it, unless asked.
    """

    def hasCallback(self, stream: Any) -> bool:
        """
        @return: whether OpenSSL would tell a stream's secrets.
        """
        engine = self.engineOf(stream)
        context = contextFor(engine.parameters)
        self.assertIs(engine.connection.get_context(), context)
        return bool(lib.SSL_CTX_get_keylog_callback(context._context) != ffi.NULL)

    def engineOf(self, stream: Any) -> TlsEngine:
        """
        @return: OpenSSL's side of a stream.
        """
        engine: TlsEngine = stream._protocol._authentication.engine
        return engine

    def test_contexts(self) -> None:
        """
        Connections that log have a context of their own, which they share
        whatever their log; OpenSSL does nothing for the others.
        """
        streams = []
        for wrap in (lambda each: each, lambda each: withKeyLog(each, print)):
            pair = StreamPair()
            pair.server.authenticateAsServer(wrap(serverOptions()))
            pair.client.authenticateAsClient(wrap(clientOptions()))
            streams += [pair.client, pair.server]
        self.assertEqual([*map(self.hasCallback, streams)], [False, False, True, True])
        pair = StreamPair()
        pair.client.authenticateAsClient(withKeyLog(clientOptions(), repr))
        contexts = [
            self.engineOf(each).connection.get_context() for each in (streams[2], pair.client)
        ]
        self.assertIs(*contexts)

    def test_notImported(self) -> None:
        """
        The package does not import the module, nor name it.
        """
        program = "import sys, txsslstream, txsslstream.echo; print([*sys.modules])"
        found = runTool([sys.executable, "-c", program], environment=environment(Path("/nowhere")))
        self.assertIn("'txsslstream.options'", found.stdout)
        self.assertNotIn("insecure", found.stdout)
