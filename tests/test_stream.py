"""
Tests for L{txsslstream.stream}: streams over a wire in memory, and over real sockets.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, succeed
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    EncryptionPolicy,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    IncompleteReadError,
    InvalidOperationError,
    LimitExceededError,
    NotSupportedError,
    ReadTimeout,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamCertificateContext,
    StreamClosedError,
    TlsAlert,
    TlsError,
    TruncationError,
    WriteTimeout,
    X509ChainStatusFlags,
)
from txsslstream._sides import Reader
from txsslstream.testing import VERSIONS, Bystander, MemoryTransport, StreamPair, Wire, perVersion

from .files import FilesMixin
from .streams import LeakMixin, Opened, StreamMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

_T = TypeVar("_T")

#: Everything that needs an authenticated stream.
OPERATIONS: dict[str, Callable[[SslStream], Deferred[Any]]] = {
    "read": lambda stream: stream.read(),
    "readExactly": lambda stream: stream.readExactly(0),
    "readUntil": lambda stream: stream.readUntil(b"\n"),
    "write": lambda stream: stream.write(b"x"),
    "write nothing": lambda stream: stream.write(b""),
    "flush": lambda stream: stream.flush(),
    "shutdown": lambda stream: stream.shutdown(),
}

#: Everything that waits for data of which nothing but three letters comes.
READS: dict[str, Callable[[SslStream], Deferred[bytes]]] = {
    "read": lambda stream: stream.read(),
    "readExactly": lambda stream: stream.readExactly(4),
    "readUntil": lambda stream: stream.readUntil(b"\n"),
}

#: More than a transport takes that nobody empties.
MUCH = bytes(1 << 20)

#: As much as is handed over at once, and fills the transport.
FILLING = bytes(1 << 16)


def accept(*_: object) -> bool:
    """
    A validation callback.
    """
    return True


def noteCalls(target: object, *names: str) -> list[str]:
    """
    @return: the names of some methods of an object, as they are called.
    """
    calls: list[str] = []

    def noting(name: str, method: Callable[[], None]) -> Callable[[], None]:
        def noted() -> None:
            calls.append(name)
            method()

        return noted

    for name in names:
        setattr(target, name, noting(name, getattr(target, name)))
    return calls


def ending(end: Callable[[SslStream], object], stream: SslStream) -> Callable[[_T], _T]:
    """
    A callback and errback that ends a stream, and passes the result on.
    """

    def endIt(result: _T) -> _T:
        end(stream)
        return result

    return endIt


@perVersion()
class AuthenticationTests(StreamMixin, FilesMixin):
    """
    Tests for C{authenticateAsClient} and C{authenticateAsServer}.
    """

    def finish(self, pair: StreamPair, *authenticated: Deferred[SslStream]) -> None:
        """
        Both sides come to be authenticated.
        """
        pair.wire.flush()
        for stream, each in zip((pair.client, pair.server), authenticated, strict=True):
            self.assertIs(self.successResultOf(each), stream)
            self.assertTrue(stream.isAuthenticated)
            self.assertIs(stream.sslProtocol, self.version)

    def test_host(self) -> None:
        """
        A client that names nothing but the host trusts the system's roots, so
        that a server of our own authority is refused with unknown_ca.
        """
        pair = StreamPair(self.segment)
        client = pair.client.authenticateAsClient("localhost")
        server = pair.server.authenticateAsServer(SERVER, False, self.version)
        pair.wire.flush()
        error = self.failure(client, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(error.chainStatus, X509ChainStatusFlags.PartialChain)
        self.assertIs(error.alertSent, TlsAlert.unknown_ca)
        self.assertIsNone(error.alert)
        error = self.failure(server, AuthenticationError)
        self.assertIs(error.alert, TlsAlert.unknown_ca)
        self.assertIsNone(error.alertSent)

    def test_hostWithCallback(self) -> None:
        """
        The stream's own callback decides about a server that the system does
        not trust; on a server it hears that nobody was asked for.
        """
        asked: list[Any] = []

        def validate(*arguments: Any) -> bool:
            asked.append(arguments)
            return True

        pair = StreamPair(self.segment, remoteCertificateValidationCallback=validate)
        self.finish(
            pair,
            pair.client.authenticateAsClient("localhost"),
            pair.server.authenticateAsServer(SERVER, enabledSslProtocols=self.version),
        )
        byRole = {arguments[0].isServer: arguments for arguments in asked}
        self.assertEqual(len(asked), 2)
        stream, certificate, chain, errors = byRole[False]
        self.assertIs(stream, pair.client)
        self.assertEqual(certificate, SERVER.certificate)
        self.assertEqual(chain.chainElements[0].certificate, SERVER.certificate)
        self.assertEqual(errors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(byRole[True], (pair.server, None, None, SslPolicyErrors.None_))

    def certificateForms(self, context: SslStreamCertificateContext, name: str) -> Iterator[Any]:
        """
        A certificate and its key in every form.
        """
        certificate = context.certificate.public_bytes(Encoding.PEM)
        key: Any = context.privateKey
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        archive = pkcs12.serialize_key_and_certificates(
            b"name", key, context.certificate, None, NoEncryption()
        )
        yield context
        yield (context.certificate, key)
        yield self.file(certificate + pem, f"{name}.pem")
        yield self.file(archive, f"{name}.pfx")
        yield PrivateCertificate.loadPEM(certificate + pem)

    def test_certificateForms(self) -> None:
        """
        Certificates are taken as a context, a pair, a path of a PEM file, a
        path of a PFX file and one of Twisted's, on both sides.
        """
        servers = self.certificateForms(SERVER, "server")
        clients = self.certificateForms(CLIENT, "client")
        for server, client in zip(servers, clients, strict=True):
            pair = StreamPair(0, remoteCertificateValidationCallback=lambda *_: True)
            self.finish(
                pair,
                pair.client.authenticateAsClient("localhost", [client]),
                pair.server.authenticateAsServer(server, True, self.version),
            )
            self.assertEqual(pair.client.remoteCertificate, SERVER.certificate)
            self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate)

    def test_options(self) -> None:
        """
        All options may be given as one value.
        """
        pair = StreamPair(self.segment)
        self.finish(
            pair,
            pair.client.authenticateAsClient(
                SslClientAuthenticationOptions("localhost", trust=AUTHORITY.trust)
            ),
            pair.server.authenticateAsServer(
                SslServerAuthenticationOptions(SERVER, enabledSslProtocols=self.version)
            ),
        )

    def test_versions(self) -> None:
        """
        Sides without a version in common part with protocol_version.
        """
        other = SslProtocols.Tls12 if self.version is SslProtocols.Tls13 else SslProtocols.Tls13
        pair = StreamPair(self.segment)
        client = pair.client.authenticateAsClient("localhost", (), self.version)
        server = pair.server.authenticateAsServer(SERVER, False, other)
        pair.wire.flush()
        self.assertIs(self.failure(client, AuthenticationError).alert, TlsAlert.protocol_version)
        self.assertIs(
            self.failure(server, AuthenticationError).alertSent, TlsAlert.protocol_version
        )

    def test_clientCertificateRequired(self) -> None:
        """
        A server that asks for a certificate refuses a client that has none, and
        the connection is closed.
        """
        pair = StreamPair(self.segment)
        client = pair.client.authenticateAsClient(clientOptions(self.version))
        server = pair.server.authenticateAsServer(SERVER, True)
        pair.wire.flush()
        error = self.failure(server, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNotAvailable)
        if self.version is SslProtocols.Tls13:
            self.assertIs(error.alertSent, TlsAlert.certificate_required)
            # The client had finished already.
            refused: Deferred[Any] = self.successResultOf(client).read()
        else:
            self.assertIs(error.alertSent, TlsAlert.handshake_failure)
            refused = client
        self.assertIs(self.failure(refused, AuthenticationError).alert, error.alertSent)
        for transport in (pair.wire.client, pair.wire.server):
            self.assertFalse(transport.connected)

    def test_checkCertificateRevocation(self) -> None:
        """
        Only whoever wants revocation checked finds that nothing is known of the
        peer's certificate.
        """
        for isServer in (False, True):
            found: dict[SslStream, X509ChainStatusFlags] = {}

            def validate(
                stream: Any, _: Any, chain: Any, __: Any, found: dict[Any, Any] = found
            ) -> bool:
                found[stream] = chain.flags
                return True

            pair = StreamPair(self.segment, remoteCertificateValidationCallback=validate)
            self.finish(
                pair,
                pair.client.authenticateAsClient("localhost", [CLIENT], self.version, not isServer),
                pair.server.authenticateAsServer(SERVER, True, self.version, isServer),
            )
            unknown = X509ChainStatusFlags.RevocationStatusUnknown
            for stream in (pair.client, pair.server):
                isChecking = stream.isServer is isServer
                self.assertIs(stream.checkCertRevocationStatus, isChecking)
                self.assertIs(bool(found[stream] & unknown), isChecking)

    def test_encryptionPolicy(self) -> None:
        """
        The stream's own policy may ask for no encryption, which TLS 1.3 does
        not know.
        """
        pair = StreamPair(self.segment, encryptionPolicy=EncryptionPolicy.NoEncryption)
        both = pair.authenticate(self.version)
        if self.version is SslProtocols.Tls13:
            for authenticated in both:
                self.failure(authenticated, InvalidOperationError)
        else:
            self.finish(pair, *both)
            self.assertFalse(pair.client.isEncrypted)

    def test_conflicts(self) -> None:
        """
        Arguments that contradict each other or make no sense are refused, and
        the stream stays as it was.
        """
        wrong: dict[Callable[[SslStream], Deferred[SslStream]], type[Exception]] = {
            lambda s: s.authenticateAsClient(clientOptions(), [CLIENT]): InvalidOperationError,
            lambda s: s.authenticateAsClient(
                clientOptions(), (), SslProtocols.Tls12
            ): InvalidOperationError,
            lambda s: s.authenticateAsClient(
                clientOptions(), checkCertificateRevocation=True
            ): InvalidOperationError,
            lambda s: s.authenticateAsClient(
                clientOptions(remoteCertificateValidationCallback=print)
            ): InvalidOperationError,
            lambda s: s.authenticateAsClient(
                clientOptions(localCertificateSelectionCallback=print)
            ): InvalidOperationError,
            lambda s: s.authenticateAsServer(serverOptions(), True): InvalidOperationError,
            lambda s: s.authenticateAsServer(
                serverOptions(), enabledSslProtocols=SslProtocols.Tls12
            ): InvalidOperationError,
            lambda s: s.authenticateAsServer(
                serverOptions(), checkCertificateRevocation=True
            ): InvalidOperationError,
            lambda s: s.authenticateAsServer(
                serverOptions(remoteCertificateValidationCallback=print)
            ): InvalidOperationError,
            lambda s: s.authenticateAsServer(
                serverOptions(serverCertificateSelectionCallback=print)
            ): InvalidOperationError,
            lambda s: s.authenticateAsServer(SERVER.certificate): CertificateError,
            lambda s: s.authenticateAsServer("/nowhere"): CertificateError,
            lambda s: s.authenticateAsServer(SERVER, False, SslProtocols.Ssl3): NotSupportedError,
            lambda s: s.authenticateAsClient("no such host name"): ValueError,
        }
        pair = StreamPair(
            self.segment,
            remoteCertificateValidationCallback=accept,
            localCertificateSelectionCallback=lambda *_: SERVER,
        )
        for authenticate, kind in wrong.items():
            self.failure(authenticate(pair.client), kind)
        self.assertEqual(pair.wire.client.everWritten, b"")
        self.finish(
            pair,
            pair.client.authenticateAsClient(
                clientOptions(self.version, remoteCertificateValidationCallback=accept)
            ),
            pair.server.authenticateAsServer(SERVER),
        )

    def test_twice(self) -> None:
        """
        A stream is authenticated once: while that is under way and later it
        cannot be again, and is unharmed by the attempt.
        """
        pair = StreamPair(self.segment)
        both = pair.authenticate(self.version, flush=False)
        for _ in range(2):
            for stream in (pair.client, pair.server):
                self.failure(stream.authenticateAsClient(clientOptions()), InvalidOperationError)
                self.failure(stream.authenticateAsServer(serverOptions()), InvalidOperationError)
            self.finish(pair, *both)
            both = pair.client.whenAuthenticated(), pair.server.whenAuthenticated()

    def test_afterEnd(self) -> None:
        """
        A closed or aborted stream cannot be authenticated.
        """
        for end in (SslStream.close, SslStream.abort):
            pair = StreamPair(self.segment)
            end(pair.client)
            self.failure(pair.client.authenticateAsClient(clientOptions()), StreamClosedError)
            self.failure(pair.client.whenAuthenticated(), HandshakeCancelled)
            pair.wire.flush()
            self.successResultOf(pair.client.whenClosed())

    def test_lostBefore(self) -> None:
        """
        On a connection that was lost before, the authentication fails with the
        reason as its cause.
        """
        pair = StreamPair(self.segment)
        pair.wire.cut()
        error = self.failure(
            pair.client.authenticateAsClient(clientOptions()), HandshakeInterrupted
        )
        self.assertIsInstance(error.__cause__, ConnectionLost)
        self.successResultOf(pair.client.whenClosed())
        self.assertIs(self.failure(pair.client.read(), HandshakeInterrupted), error)

    def test_sticky(self) -> None:
        """
        After a failed authentication everything fails with its error, the same
        each time, until the stream is closed.
        """
        pair = StreamPair(self.segment)
        both = pair.authenticate(self.version, client={"targetHost": "elsewhere.example"})
        for stream, authenticated in zip((pair.client, pair.server), both, strict=True):
            error = self.failure(authenticated, AuthenticationError)
            for operation in (
                *OPERATIONS.values(),
                SslStream.whenAuthenticated,
                lambda stream: stream.authenticateAsClient(clientOptions()),
                lambda stream: stream.authenticateAsServer(serverOptions()),
            ):
                self.assertIs(self.failure(operation(stream), AuthenticationError), error)
            raised = self.assertRaises(AuthenticationError, getattr, stream, "security")
            self.assertIsNot(raised, error)
            self.assertEqual((type(raised), vars(raised)), (type(error), vars(error)))
            self.successResultOf(stream.close())
            for operation in OPERATIONS.values():
                self.failure(operation(stream), StreamClosedError)
        self.assertNothingLeft(pair)

    def test_tooEarly(self) -> None:
        """
        Until it is authenticated nothing can be done with a stream, which is
        unharmed by the attempt.
        """
        pair = StreamPair(self.segment)

        def tryAll() -> None:
            for stream in (pair.client, pair.server):
                for operation in OPERATIONS.values():
                    self.failure(operation(stream), InvalidOperationError)

        tryAll()
        both = pair.authenticate(self.version, flush=False)
        tryAll()
        self.finish(pair, *both)

    def test_whenAuthenticated(self) -> None:
        """
        Any number of observers hear of the authentication, early or late; one
        that gives up does so alone.
        """
        pair = StreamPair(self.segment)
        early = [pair.client.whenAuthenticated() for _ in range(3)]
        early[1].cancel()
        self.failure(early.pop(1), CancelledError)
        self.finish(pair, *pair.authenticate(self.version, flush=False))
        for each in (*early, pair.client.whenAuthenticated()):
            self.assertIs(self.successResultOf(each), pair.client)

    def test_cancel(self) -> None:
        """
        A cancelled authentication fails with an error that is a
        L{CancelledError}, too; the peer gets user_canceled and the connection
        is closed.
        """
        for isServer in (False, True):
            pair = StreamPair(self.segment)
            both = pair.authenticate(self.version, flush=False)
            streams = (pair.client, pair.server)
            ours, theirs = (1, 0) if isServer else (0, 1)
            both[ours].cancel()
            error = self.failure(both[ours], HandshakeCancelled)
            self.assertIsInstance(error, CancelledError)
            self.assertIs(error.alertSent, TlsAlert.user_canceled)
            pair.wire.flush()
            refused = self.failureResultOf(both[theirs], AuthenticationError).value
            self.assertIs(refused.alert, TlsAlert.user_canceled)
            self.assertIs(self.failure(streams[ours].read(), HandshakeCancelled), error)
            for stream in streams:
                self.successResultOf(stream.whenClosed())
            self.assertNothingLeft(pair)

    def test_cancelTooLate(self) -> None:
        """
        An authentication that is cancelled by somebody who has heard of its end
        has ended, well or badly; nobody complains, and a good stream is usable.
        """
        for host, error in (("localhost", None), ("elsewhere.example", AuthenticationError)):
            pair = StreamPair(self.segment)
            both: list[Any] = []

            def giveUp(_: object, number: int, both: list[Any] = both) -> None:
                both[number].cancel()

            for number, stream in enumerate((pair.client, pair.server)):
                stream.whenAuthenticated().addBoth(giveUp, number)
            both += pair.authenticate(self.version, client={"targetHost": host}, flush=False)
            pair.wire.flush()
            for authenticated, stream in zip(both, (pair.client, pair.server), strict=True):
                if error is None:
                    self.assertIs(self.successResultOf(authenticated), stream)
                else:
                    self.failure(authenticated, error)
            if error is None:
                reading = pair.server.readExactly(4)
                self.successResultOf(pair.client.write(b"data"))
                pair.wire.flush()
                self.assertEqual(self.successResultOf(reading), b"data")
            self.assertEqual(self.flushLoggedErrors(), [])


@perVersion()
class ReadingTests(StreamMixin):
    """
    Tests for C{read}, C{readExactly} and C{readUntil}.
    """

    def test_read(self) -> None:
        """
        A read gets what is there, at most as much as it asks for, and waits for
        the first byte.
        """
        for opened in self.bothRoles():
            reading = opened.ours.read(100)
            self.assertNoResult(reading)
            opened.theirs.write(b"first")
            opened.flush()
            self.assertEqual(self.successResultOf(reading), b"first")
            opened.theirs.write(b"second")
            opened.flush()
            for part in (b"sec", b"ond"):
                self.assertEqual(self.successResultOf(opened.ours.read(3)), part)

    def test_readExactly(self) -> None:
        """
        A read of an exact size joins records and leaves the rest.
        """
        for opened in self.bothRoles():
            reading = opened.ours.readExactly(8)
            for part in (b"abc", b"def", b"ghi"):
                self.assertNoResult(reading)
                opened.theirs.write(part)
                opened.flush()
            self.assertEqual(self.successResultOf(reading), b"abcdefgh")
            self.assertEqual(self.successResultOf(opened.ours.readExactly(0)), b"")
            self.assertEqual(self.successResultOf(opened.ours.read()), b"i")

    def test_readUntil(self) -> None:
        """
        A read up to a separator finds it across records and leaves the rest.
        """
        for opened in self.bothRoles():
            reading = opened.ours.readUntil(bytearray(b"<EOF>"))
            for part in (b"Hello<", b"EO", b"F>World"):
                self.assertNoResult(reading)
                opened.theirs.write(part)
                opened.flush()
            self.assertEqual(self.successResultOf(reading), b"Hello<EOF>")
            self.assertEqual(self.successResultOf(opened.ours.read()), b"World")

    def test_limit(self) -> None:
        """
        A separator beyond the limit consumes nothing; one at the limit is found.
        """
        for opened in self.bothRoles():
            opened.theirs.write(b"four\nfive!\n")
            opened.flush()
            self.failure(opened.ours.readUntil(b"\n", 4), LimitExceededError)
            self.assertEqual(self.successResultOf(opened.ours.readUntil(b"\n", 5)), b"four\n")
            self.assertEqual(self.successResultOf(opened.ours.readUntil(b"\n")), b"five!\n")

    def test_senseless(self) -> None:
        """
        Sizes, separators and limits that make no sense are refused, and the
        stream is unharmed.
        """
        for opened in self.bothRoles():
            stream: Any = opened.ours
            for size in (0, -1, True, 1.5, "1", None):
                self.failure(stream.read(size), ValueError)
            for size in (-1, False, 1.5, "1", None):
                self.failure(stream.readExactly(size), ValueError)
            for separator in ("\n", 10, None):
                self.failure(stream.readUntil(separator), TypeError)
            self.failure(stream.readUntil(b""), ValueError)
            for limit in (-1, 0, 1, True, 2.5, "2", None):
                self.failure(stream.readUntil(b"\r\n", limit), ValueError)
            self.assertUsable(opened)

    def test_cleanEnd(self) -> None:
        """
        At the peer's orderly end what is left is read first, then nothing, as
        often as one asks.
        """
        for opened in self.bothRoles():
            opened.theirs.write(b"rest")
            opened.theirs.shutdown()
            opened.flush()
            self.assertEqual(self.successResultOf(opened.ours.read(3)), b"res")
            self.assertEqual(self.successResultOf(opened.ours.read(3)), b"t")
            for _ in range(3):
                self.assertEqual(self.successResultOf(opened.ours.read()), b"")

    def test_incomplete(self) -> None:
        """
        At the peer's orderly end a read of more than there is fails with what
        there is.
        """
        for name in ("readExactly", "readUntil"):
            for opened in self.bothRoles():
                reading = READS[name](opened.ours)
                opened.theirs.write(b"abc")
                opened.theirs.shutdown()
                opened.flush()
                self.assertEqual(self.failure(reading, IncompleteReadError).partial, b"abc")
                again = READS[name](opened.ours)
                self.assertEqual(self.failure(again, IncompleteReadError).partial, b"")

    def test_second(self) -> None:
        """
        A second read fails while one is waiting, which is unharmed; a write at
        the same time is fine.
        """
        for first in READS.values():
            for opened in self.bothRoles():
                reading = first(opened.ours)
                for second in READS.values():
                    self.failure(second(opened.ours), NotSupportedError)
                self.successResultOf(opened.ours.write(b"question"))
                opened.flush()
                self.assertEqual(self.successResultOf(opened.theirs.read(8)), b"question")
                opened.theirs.write(b"abc\n")
                opened.flush()
                self.assertEqual(self.successResultOf(reading), b"abc\n")

    def test_notReentrant(self) -> None:
        """
        A waiting read never fires while another method of either stream runs.
        """
        for opened in self.bothRoles():
            reading = opened.ours.read()
            for stream in (opened.theirs, opened.ours):
                stream.write(b"abc")
                stream.flush()
            self.failure(opened.ours.read(), NotSupportedError)
            self.assertNoResult(reading)
            opened.flush()
            self.assertEqual(self.successResultOf(reading), b"abc")

    def test_readOn(self) -> None:
        """
        A whole conversation can be read from within the callbacks.
        """
        for opened in self.bothRoles():
            lines: list[bytes] = []

            def readOn(
                line: bytes, stream: SslStream = opened.ours, lines: list[bytes] = lines
            ) -> None:
                lines.append(line)
                if line != b"5\n":
                    stream.readUntil(b"\n").addCallback(readOn)

            opened.ours.readUntil(b"\n").addCallback(readOn)
            opened.theirs.write(b"1\n2\n3\n")
            opened.flush()
            opened.theirs.write(b"4\n5\n6\n")
            opened.flush()
            self.assertEqual(b"".join(lines), b"1\n2\n3\n4\n5\n")
            self.assertEqual(self.successResultOf(opened.ours.read()), b"6\n")

    def test_cancel(self) -> None:
        """
        A cancelled read loses nothing, and the stream stays usable.
        """
        for read in READS.values():
            for opened in self.bothRoles():
                reading = read(opened.ours)
                reading.cancel()
                self.failure(reading, CancelledError)
                opened.theirs.write(b"abc")
                opened.flush()
                self.assertEqual(self.successResultOf(opened.ours.read()), b"abc")
                self.assertUsable(opened)

    def test_timeout(self) -> None:
        """
        A read that takes longer than C{readTimeout} fails, loses nothing, and
        the stream stays usable.
        """
        for read in READS.values():
            for opened in self.bothRoles():
                opened.ours.readTimeout = 3
                reading = read(opened.ours)
                opened.pair.clock.advance(2.9)
                self.assertNoResult(reading)
                opened.pair.clock.advance(0.1)
                self.failure(reading, ReadTimeout)
                opened.theirs.write(b"abc")
                opened.flush()
                self.assertEqual(self.successResultOf(opened.ours.read()), b"abc")
                opened.ours.readTimeout = None
                self.assertUsable(opened)
                self.assertEqual(opened.pair.clock.getDelayedCalls(), [])

    def test_timeoutWithPart(self) -> None:
        """
        A read that gets only a part in time leaves that for the next one.
        """
        for name in ("readExactly", "readUntil"):
            for opened in self.bothRoles():
                opened.ours.readTimeout = 3
                reading = READS[name](opened.ours)
                opened.theirs.write(b"abc")
                opened.flush()
                self.assertNoResult(reading)
                opened.pair.clock.advance(3)
                self.failure(reading, ReadTimeout)
                self.assertEqual(self.successResultOf(opened.ours.read()), b"abc")


@perVersion()
class WritingTests(StreamMixin):
    """
    Tests for C{write} and C{flush}.
    """

    def test_kinds(self) -> None:
        """
        Bytes of every kind are written, in order.
        """
        for opened in self.bothRoles():
            for data in (b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3], b"", bytearray()):
                self.assertIsNone(self.successResultOf(opened.ours.write(data)))
            self.assertIsNone(self.successResultOf(opened.ours.flush()))
            opened.flush()
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"abcdef")

    def test_laterChanges(self) -> None:
        """
        What becomes of a buffer after the call does not change what is written.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            data = bytearray(b"a" * (1 << 17))
            writing = opened.ours.write(data)
            data[:] = b"b" * (1 << 17)
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            reading = opened.theirs.readExactly(1 << 17)
            opened.flush()
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(reading), b"a" * (1 << 17))

    def test_text(self) -> None:
        """
        Text and everything else is refused, and nothing of it is sent.
        """
        for opened in self.bothRoles():
            stream: Any = opened.ours
            before = len(opened.ourTransport.everWritten)
            for data in ("text", 5, None, [b"list"]):
                self.failure(stream.write(data), TypeError)
            opened.flush()
            self.assertEqual(len(opened.ourTransport.everWritten), before)
            self.assertUsable(opened)

    def test_nothing(self) -> None:
        """
        Writing nothing sends nothing, and is not the end.
        """
        for opened in self.bothRoles():
            before = len(opened.ourTransport.everWritten)
            for _ in range(2):
                self.successResultOf(opened.ours.write(b""))
            opened.flush()
            self.assertEqual(len(opened.ourTransport.everWritten), before)
            self.assertUsable(opened)

    def test_atOnce(self) -> None:
        """
        What is written has been handed over when the Deferred fires.
        """
        for opened in self.bothRoles():
            before = len(opened.ourTransport.everWritten)
            self.successResultOf(opened.ours.write(b"message"))
            self.assertGreater(len(opened.ourTransport.everWritten), before + 7)

    def stall(self, opened: Opened, data: bytes = MUCH) -> Deferred[None]:
        """
        A write to a peer that takes nothing.
        """
        opened.theirTransport.isPaused = True
        writing = opened.ours.write(data)
        self.assertNoResult(writing)
        return writing

    def goOn(self, opened: Opened) -> None:
        """
        The peer takes everything.
        """
        opened.theirTransport.isPaused = False
        opened.pair.wire.segment = 0
        opened.theirs.readExactly(len(MUCH)).addErrback(lambda _: None)
        opened.flush()

    def test_second(self) -> None:
        """
        A second write fails while one is waiting, and nothing of it is sent; the
        first is unharmed, and so is a read at the same time.
        """
        for opened in self.bothRoles():
            reading = opened.ours.readExactly(3)
            writing = self.stall(opened)
            self.failure(opened.ours.write(b"second"), NotSupportedError)
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            received = opened.theirs.readExactly(len(MUCH))
            opened.theirs.write(b"abc")
            opened.flush()
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(received), MUCH)
            self.assertEqual(self.successResultOf(reading), b"abc")
            self.assertUsable(opened)

    def test_flush(self) -> None:
        """
        Flushing waits for a write to be handed over; one who gives up does so
        alone.
        """
        for opened in self.bothRoles():
            writing = self.stall(opened)
            flushing = [opened.ours.flush() for _ in range(3)]
            flushing[1].cancel()
            self.failure(flushing.pop(1), CancelledError)
            for each in (*flushing, writing):
                self.assertNoResult(each)
            self.goOn(opened)
            for each in (*flushing, writing, opened.ours.flush()):
                self.assertIsNone(self.successResultOf(each))

    def assertAborted(self, opened: Opened) -> None:
        """
        Our stream is aborted: it is closed, and the peer reads a truncation.
        """
        for operation in OPERATIONS.values():
            self.failure(operation(opened.ours), StreamClosedError)
        opened.theirTransport.isPaused = False
        reading = opened.theirs.readExactly(2 * len(MUCH))
        opened.pair.wire.segment = 0
        opened.flush()
        self.failure(reading, TruncationError)
        self.failure(opened.theirs.write(b"x"), TruncationError)
        self.successResultOf(opened.ours.whenClosed())
        self.successResultOf(opened.theirs.whenClosed())

    def test_cancelWithRest(self) -> None:
        """
        A write cancelled before all of it was handed over aborts the
        connection, whatever waits behind it.
        """
        for opened in self.bothRoles():
            writing = self.stall(opened)
            flushing = opened.ours.flush()
            shutting = opened.ours.shutdown()
            # Whoever hears of it first may close: still that is no clean end.
            writing.addErrback(ending(SslStream.close, opened.ours))
            writing.cancel()
            self.failure(writing, CancelledError)
            self.failure(flushing, StreamClosedError)
            self.failure(shutting, StreamClosedError)
            self.assertAborted(opened)

    def test_timeoutWithRest(self) -> None:
        """
        A write that is not handed over within C{writeTimeout} aborts the
        connection, whatever waits behind it.
        """
        for opened in self.bothRoles():
            opened.ours.writeTimeout = 2
            writing = self.stall(opened)
            shutting = opened.ours.shutdown()
            writing.addErrback(ending(SslStream.close, opened.ours))
            opened.pair.clock.advance(1.9)
            self.assertNoResult(writing)
            opened.pair.clock.advance(0.1)
            error = self.failure(writing, WriteTimeout)
            self.assertIs(self.failure(shutting, WriteTimeout), error)
            self.assertAborted(opened)

    def test_givenUpIsSticky(self) -> None:
        """
        Once a write was given up half-way, everything fails for that reason:
        nobody has closed the stream.
        """
        for opened in self.bothRoles():
            opened.ours.writeTimeout = 2
            reading = opened.ours.read()
            writing = self.stall(opened)
            opened.pair.clock.advance(2)
            error = self.failure(writing, WriteTimeout)
            later = (opened.ours.read(), opened.ours.write(b"x"), opened.ours.flush())
            for each in (reading, *later):
                self.assertIs(self.failure(each, WriteTimeout), error)
            opened.flush()
            self.successResultOf(opened.ours.close())
            self.failure(opened.ours.read(), StreamClosedError)

    def test_giveUpWithoutRest(self) -> None:
        """
        A write that is cancelled or times out while it only waits for the peer
        to take what was handed over leaves the stream usable.
        """
        for opened in self.bothRoles():
            opened.ours.writeTimeout = 2
            writing = self.stall(opened, FILLING)
            writing.cancel()
            self.failure(writing, CancelledError)
            writing = opened.ours.write(b"")
            opened.pair.clock.advance(2)
            self.failure(writing, WriteTimeout)
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            opened.flush()
            self.assertEqual(self.successResultOf(opened.theirs.readExactly(len(FILLING))), FILLING)
            self.assertUsable(opened)
            self.assertEqual(opened.pair.clock.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """
        When the connection is lost a waiting write and flush fail with a
        truncation, and so does everything later.
        """
        for opened in self.bothRoles():
            waiting = (self.stall(opened), opened.ours.flush(), opened.ours.read())
            opened.pair.wire.cut()
            later = (opened.ours.write(b"x"), opened.ours.flush(), opened.ours.shutdown())
            for each in (*waiting, *later):
                self.failure(each, TruncationError)
            self.successResultOf(opened.ours.close())


@perVersion(segments=(0,))
class TransferTests(StreamMixin):
    """
    Tests for much data.
    """

    def test_oneWrite(self) -> None:
        """
        10 MiB in one write arrive whole.
        """
        data = bytes(range(251)) * (10 * (1 << 20) // 251)
        for opened in self.bothRoles():
            writing = opened.ours.write(data)
            reading = opened.theirs.readExactly(len(data))
            opened.flush()
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(reading), data)

    def test_bothWays(self) -> None:
        """
        Megabytes go both ways at once.
        """
        data = bytes(range(251)) * 10_000
        opened = self.opened()
        streams = (opened.ours, opened.theirs)
        writing = [stream.write(data) for stream in streams]
        reading = [stream.readExactly(len(data)) for stream in streams]
        opened.flush()
        for written in writing:
            self.successResultOf(written)
        for read in reading:
            self.assertEqual(self.successResultOf(read), data)

    def test_stalledPeer(self) -> None:
        """
        While the peer takes nothing a write is held back, with little more than
        the transport's buffer handed over; it ends when the peer has taken all.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(MUCH)
            opened.flush()
            self.assertNoResult(writing)
            self.assertLess(len(opened.ourTransport.written), 1 << 18)
            opened.theirTransport.isPaused = False
            reading = opened.theirs.readExactly(len(MUCH))
            opened.flush()
            self.successResultOf(writing)
            self.successResultOf(reading)

    def test_pausedOnce(self) -> None:
        """
        A slow reader pauses the transport once when too much is unread, and
        resumes it once when it has read enough.
        """
        for opened in self.bothRoles():
            calls = noteCalls(opened.ourTransport, "pauseProducing", "resumeProducing")
            opened.pair.wire.segment = 10_000
            opened.theirs.write(MUCH)
            once = ["pauseProducing", "resumeProducing"]
            for times in range(3):
                opened.flush()
                self.assertEqual(calls, once * times + once[:1])
                while len(opened.ours._reader._buffer) > Reader.HIGH_WATER:
                    self.successResultOf(opened.ours.read(1000))
                self.assertEqual(calls, once * (times + 1))

    def test_boundedMemory(self) -> None:
        """
        64 MiB go to a slow reader with never more than a fraction of a MiB on
        the way, in either direction.
        """
        total = 64 << 20

        async def send(stream: SslStream) -> None:
            for _ in range(total // len(MUCH)):
                await stream.write(MUCH)
            await stream.shutdown()

        for opened in self.bothRoles():
            sending = Deferred.fromCoroutine(send(opened.ours))
            peak = received = 0
            data = b"the first"
            while data:
                opened.flush()
                peak = max(
                    peak,
                    len(opened.ourTransport.written) + len(opened.theirs._reader._buffer),
                )
                data = self.successResultOf(opened.theirs.read(200_000))
                received += len(data)
            self.successResultOf(sending)
            self.assertEqual(received, total)
            self.assertLess(peak, 1 << 19)
            self.assertGreater(peak, Reader.HIGH_WATER)


@perVersion()
class ShutdownTests(StreamMixin):
    """
    Tests for C{shutdown}.
    """

    def test_halfClose(self) -> None:
        """
        After a shutdown the peer reads the end, and we still read what it
        writes, but write no more; another shutdown changes nothing.
        """
        for opened in self.bothRoles():
            self.successResultOf(opened.ours.write(b"last words"))
            self.assertIsNone(self.successResultOf(opened.ours.shutdown()))
            sent = len(opened.ourTransport.everWritten)
            opened.flush()
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"last words")
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            self.assertEqual((opened.ours.canRead, opened.ours.canWrite), (True, False))
            self.assertEqual((opened.theirs.canRead, opened.theirs.canWrite), (False, True))
            for answer in (b"first", b"second"):
                self.successResultOf(opened.theirs.write(answer))
                opened.flush()
                self.assertEqual(self.successResultOf(opened.ours.read()), answer)
            self.failure(opened.ours.write(b"more"), InvalidOperationError)
            self.successResultOf(opened.ours.flush())
            self.assertIsNone(self.successResultOf(opened.ours.shutdown()))
            self.assertEqual(len(opened.ourTransport.everWritten), sent)
            self.assertTrue(opened.ourTransport.connected)

    def test_bothSides(self) -> None:
        """
        When both sides are shut down the connection is closed in good order.
        """
        for opened in self.bothRoles():
            self.successResultOf(opened.ours.shutdown())
            opened.flush()
            closed = opened.ours.whenClosed()
            self.assertNoResult(closed)
            self.successResultOf(opened.theirs.shutdown())
            opened.flush()
            for each in (closed, opened.theirs.whenClosed()):
                self.successResultOf(each)
            for stream, original in (
                (opened.ours, opened.ourOriginal),
                (opened.theirs, opened.theirOriginal),
            ):
                for _ in range(2):
                    self.assertEqual(self.successResultOf(stream.read()), b"")
                self.failure(stream.write(b"more"), InvalidOperationError)
                self.successResultOf(stream.shutdown())
                self.successResultOf(stream.close())
                assert original.lost is not None
                self.assertTrue(original.lost.check(ConnectionDone))

    def test_atOnce(self) -> None:
        """
        Both sides may shut down at the same time.
        """
        opened = self.opened()
        for stream in (opened.ours, opened.theirs):
            self.successResultOf(stream.write(b"crossing"))
            self.successResultOf(stream.shutdown())
        opened.flush()
        for stream in (opened.ours, opened.theirs):
            self.assertEqual(self.successResultOf(stream.read()), b"crossing")
            self.assertEqual(self.successResultOf(stream.read()), b"")
            self.successResultOf(stream.whenClosed())

    def test_behindWrite(self) -> None:
        """
        A shutdown follows what is being written, even if whoever asked for it
        does not wait, and nothing can be written behind it.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(MUCH)
            shutting = [opened.ours.shutdown() for _ in range(2)]
            shutting[0].cancel()
            self.failure(shutting.pop(0), CancelledError)
            self.assertNoResult(shutting[0])
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            reading = opened.theirs.readExactly(len(MUCH))
            opened.flush()
            for each in (writing, *shutting):
                self.assertIsNone(self.successResultOf(each))
            self.assertEqual(self.successResultOf(reading), MUCH)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            self.failure(opened.ours.write(b"more"), InvalidOperationError)

    def test_cancelledAlone(self) -> None:
        """
        Cancelling the only Deferred of a shutdown does not cancel that.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            opened.ours.write(MUCH)
            shutting = opened.ours.shutdown()
            shutting.cancel()
            self.failure(shutting, CancelledError)
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            reading = opened.theirs.readExactly(len(MUCH))
            opened.flush()
            self.successResultOf(reading)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")

    def test_peerShutsDownWhileWeWrite(self) -> None:
        """
        A peer that has shut down still gets all that we write.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(MUCH)
            opened.theirs.shutdown()
            opened.pair.wire.segment = 0
            opened.flush()
            self.assertEqual(self.successResultOf(opened.ours.read()), b"")
            opened.theirTransport.isPaused = False
            reading = opened.theirs.readExactly(len(MUCH))
            opened.flush()
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(reading), MUCH)


@perVersion()
class CloseTests(StreamMixin):
    """
    Tests for C{close}.
    """

    def test_bothClose(self) -> None:
        """
        Closing ends the conversation in good order: the peer reads all and then
        the end, and once it has closed, too, the connection is gone.
        """
        for opened in self.bothRoles():
            self.successResultOf(opened.ours.write(b"last words"))
            closing = opened.ours.close()
            opened.flush()
            self.assertNoResult(closing)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"last words")
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            answering = opened.theirs.close()
            opened.flush()
            for each in (closing, answering, opened.ours.close(), opened.theirs.whenClosed()):
                self.assertIsNone(self.successResultOf(each))
            for original in (opened.ourOriginal, opened.theirOriginal):
                assert original.lost is not None
                self.assertTrue(original.lost.check(ConnectionDone))

    def test_pendingRead(self) -> None:
        """
        Closing wakes a waiting read, and everything later fails likewise.
        """
        for opened in self.bothRoles():
            reading = opened.ours.read()
            opened.ours.close()
            self.failure(reading, StreamClosedError)
            for operation in OPERATIONS.values():
                self.failure(operation(opened.ours), StreamClosedError)
            self.assertEqual((opened.ours.canRead, opened.ours.canWrite), (False, False))
            self.assertEqual(repr(opened.ours), "<SslStream closing>")

    def test_pendingWrite(self) -> None:
        """
        Closing lets a waiting write end first.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(MUCH)
            closing = opened.ours.close()
            opened.theirTransport.isPaused = False
            opened.pair.wire.segment = 0
            reading = opened.theirs.readExactly(len(MUCH))
            opened.flush()
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(reading), MUCH)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            self.assertNoResult(closing)
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)

    def test_slowPeer(self) -> None:
        """
        Closing is patient with a peer that keeps taking what was written, also
        if that takes longer than C{shutdownTimeout}.
        """
        for opened in self.bothRoles():
            opened.pair.wire.segment = 0
            writing = opened.ours.write(MUCH)
            closing = opened.ours.close()
            received = b""
            while len(received) < len(MUCH):
                opened.pair.clock.advance(4)
                opened.flush()
                received += self.successResultOf(opened.theirs.read())
            self.assertGreater(opened.pair.clock.seconds(), 20)
            self.successResultOf(writing)
            self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)

    def test_silentPeer(self) -> None:
        """
        A peer that does not answer C{close_notify} is waited for as long as
        C{shutdownTimeout} says, also if that was set late.
        """
        for seconds in (5.0, 1.5, 9.0):
            for opened in self.bothRoles():
                if seconds != 5:
                    opened.ours.shutdownTimeout = seconds
                self.assertEqual(opened.ours.shutdownTimeout, seconds)
                closing = opened.ours.close()
                opened.flush()
                opened.pair.clock.advance(seconds - 0.1)
                self.assertNoResult(closing)
                opened.pair.clock.advance(0.1)
                opened.flush()
                self.assertIsNone(self.successResultOf(closing))
                # It was told, so this is no truncation.
                self.assertEqual(self.successResultOf(opened.theirs.read()), b"")
                self.successResultOf(opened.theirs.whenClosed())

    def test_silentPeerFromTheBeginning(self) -> None:
        """
        C{shutdownTimeout} may be set before the authentication.
        """
        pair = StreamPair(self.segment)
        pair.client.shutdownTimeout = 1.5
        pair.authenticate(self.version)
        closing = pair.client.close()
        pair.wire.flush()
        pair.clock.advance(1.5)
        pair.wire.flush()
        self.successResultOf(closing)

    def test_endlessPatience(self) -> None:
        """
        Without C{shutdownTimeout} the peer is waited for until it answers.
        """
        for opened in self.bothRoles():
            opened.ours.shutdownTimeout = None
            closing = opened.ours.close()
            opened.flush()
            opened.pair.clock.advance(1_000_000)
            opened.flush()
            self.assertNoResult(closing)
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)

    def test_deafPeer(self) -> None:
        """
        A peer that takes nothing is waited for as long as C{shutdownTimeout}
        says, whether or not a write waits; the write fails then.
        """
        for data in (b"", FILLING, MUCH):
            for opened in self.bothRoles():
                opened.theirTransport.isPaused = True
                writing = opened.ours.write(data)
                closing = opened.ours.close()
                opened.pair.clock.advance(4.9)
                opened.flush()
                self.assertNoResult(closing)
                opened.pair.clock.advance(0.1)
                opened.flush()
                self.assertIsNone(self.successResultOf(closing))
                if data:
                    self.failure(writing, StreamClosedError)
                opened.theirTransport.isPaused = False
                opened.flush()
                self.failure(opened.theirs.read(), TruncationError)

    def test_deafPeerAfterShutdown(self) -> None:
        """
        A peer that has shut down and takes nothing any more does not make
        closing wait for ever, either.
        """
        for opened in self.bothRoles():
            opened.theirs.shutdown()
            opened.flush()
            opened.theirTransport.isPaused = True
            opened.ours.shutdown()
            closing = opened.ours.close()
            opened.pair.clock.advance(5)
            opened.flush()
            self.successResultOf(closing)

    def test_discards(self) -> None:
        """
        What the peer sends after we have closed is discarded, however much.
        """
        for opened in self.bothRoles():
            closing = opened.ours.close()
            opened.pair.wire.segment = 0
            self.successResultOf(opened.theirs.write(b"early"))
            writing = opened.theirs.write(MUCH)
            opened.flush()
            self.successResultOf(writing)
            self.assertNoResult(closing)
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)

    def test_whilePaused(self) -> None:
        """
        Unread data that has paused the transport does not keep a stream from
        closing.
        """
        for opened in self.bothRoles():
            opened.pair.wire.segment = 0
            writing = opened.theirs.write(MUCH)
            opened.flush()
            self.assertTrue(opened.ourTransport.isPaused)
            closing = opened.ours.close()
            opened.flush()
            self.successResultOf(writing)
            opened.theirs.close()
            opened.flush()
            self.successResultOf(closing)

    def test_impolitePeer(self) -> None:
        """
        A peer that answers our C{close_notify} by dropping the connection does
        us no harm: closing succeeds.
        """
        for reason in (ConnectionDone, ConnectionLost):
            for opened in self.bothRoles():
                closing = opened.ours.close()
                opened.flush()
                opened.pair.wire.cut(reason)
                self.assertIsNone(self.successResultOf(closing))
                self.assertEqual(self.successResultOf(opened.theirs.read()), b"")

    def test_afterLoss(self) -> None:
        """
        Closing and aborting what is lost succeed at once, any number of times.
        """
        for opened in self.bothRoles():
            opened.pair.wire.cut()
            self.failure(opened.ours.read(), TruncationError)
            for _ in range(2):
                self.assertIsNone(self.successResultOf(opened.ours.close()))
                opened.ours.abort()
            self.failure(opened.ours.read(), StreamClosedError)

    def test_observers(self) -> None:
        """
        Any number of observers hear of the end, early or late; one that gives
        up does so alone, and closing goes on.
        """
        for opened in self.bothRoles():
            early = [opened.ours.whenClosed(), opened.ours.whenClosed()]
            closing = opened.ours.close()
            for each in (early.pop(), closing):
                each.cancel()
                self.failure(each, CancelledError)
            opened.flush()
            opened.theirs.close()
            opened.flush()
            for each in (*early, opened.ours.whenClosed(), opened.ours.close()):
                self.assertIsNone(self.successResultOf(each))

    def test_neverAuthenticated(self) -> None:
        """
        A stream that nobody has authenticated yet is closed like its transport.
        """
        pair = StreamPair(self.segment)
        accepted = pair.server.authenticateAsServer(serverOptions(self.version))
        whenAuthenticated = pair.client.whenAuthenticated()
        closing = pair.client.close()
        self.assertNoResult(closing)
        self.failure(whenAuthenticated, HandshakeCancelled)
        pair.wire.flush()
        self.assertIsNone(self.successResultOf(closing))
        self.failure(accepted, HandshakeInterrupted)
        self.assertNothingLeft(pair)

    def test_whileAuthenticating(self) -> None:
        """
        Closing gives up an authentication that is under way, and the peer gets
        user_canceled.
        """
        for isServer in (False, True):
            pair = StreamPair(self.segment)
            both = pair.authenticate(self.version, flush=False)
            streams = (pair.client, pair.server)
            ours, theirs = (1, 0) if isServer else (0, 1)
            closing = streams[ours].close()
            self.assertIs(
                self.failure(both[ours], HandshakeCancelled).alertSent, TlsAlert.user_canceled
            )
            pair.wire.flush()
            error = self.failureResultOf(both[theirs], AuthenticationError).value
            self.assertIs(error.alert, TlsAlert.user_canceled)
            self.successResultOf(closing)
            self.assertNothingLeft(pair)

    def test_afterRefusal(self) -> None:
        """
        Closing a stream whose authentication has failed lets the alert out
        first.
        """
        for isServer in (False, True):
            refusing = {"remoteCertificateValidationCallback": lambda *_: False}
            pair = StreamPair(self.segment)
            both = pair.authenticate(
                self.version,
                {} if isServer else refusing,
                refusing if isServer else {},
                flush=False,
            )
            streams = (pair.client, pair.server)
            ours, theirs = (1, 0) if isServer else (0, 1)
            closed: list[None] = []
            both[ours].addErrback(
                lambda failure: streams[ours].close().addCallback(closed.append)  # noqa: B023
            )
            pair.wire.flush()
            self.assertEqual(closed, [None])
            error = self.failure(both[theirs], AuthenticationError)
            self.assertIs(
                error.alert,
                TlsAlert.handshake_failure if isServer else TlsAlert.bad_certificate,
            )
            self.assertNothingLeft(pair)


@perVersion()
class AbortTests(StreamMixin):
    """
    Tests for C{abort}.
    """

    def test_abort(self) -> None:
        """
        Aborting ends everything at once, and the peer reads a truncation.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            reading = opened.ours.read()
            writing = opened.ours.write(MUCH)
            flushing = opened.ours.flush()
            closed = opened.ours.whenClosed()
            opened.ours.abort()
            for each in (reading, writing, flushing):
                self.failure(each, StreamClosedError)
            self.assertNoResult(closed)
            for operation in OPERATIONS.values():
                self.failure(operation(opened.ours), StreamClosedError)
            opened.theirTransport.isPaused = False
            opened.flush()
            self.successResultOf(closed)
            self.successResultOf(opened.ours.close())
            opened.ours.abort()
            # Nothing has gone wrong for us, but for them.
            self.assertEqual(repr(opened.ours), "<SslStream closed>")
            self.assertEqual(repr(opened.theirs), "<SslStream failed>")
            self.failure(opened.theirs.read(), TruncationError)

    def test_whileClosing(self) -> None:
        """
        Aborting ends the patience of a close.
        """
        for opened in self.bothRoles():
            opened.theirTransport.isPaused = True
            writing = opened.ours.write(MUCH)
            closing = opened.ours.close()
            opened.ours.abort()
            self.failure(writing, StreamClosedError)
            opened.flush()
            self.successResultOf(closing)
            opened.theirTransport.isPaused = False
            opened.flush()
            self.failure(opened.theirs.read(), TruncationError)

    def test_neverAuthenticated(self) -> None:
        """
        A stream that nobody has authenticated yet, or whose authentication is
        under way, can be aborted: the peer sees the connection end.
        """
        for isUnderWay in (False, True):
            pair = StreamPair(self.segment)
            accepted = pair.server.authenticateAsServer(serverOptions(self.version))
            waiting = [pair.client.whenAuthenticated()]
            if isUnderWay:
                waiting.append(pair.client.authenticateAsClient(clientOptions(self.version)))
            pair.client.abort()
            for each in waiting:
                self.failure(each, HandshakeCancelled)
            pair.wire.flush()
            self.successResultOf(pair.client.whenClosed())
            self.failure(accepted, HandshakeInterrupted)
            self.assertNothingLeft(pair)

    def test_inCallback(self) -> None:
        """
        Closing or aborting from within a read's callback is the end, whatever
        came in the same segment.
        """
        for end in (SslStream.abort, SslStream.close):
            for opened in self.bothRoles():
                opened.ours.read().addCallback(ending(end, opened.ours))
                opened.theirs.write(b"some")
                opened.theirs.write(b"more")
                opened.theirs.shutdown()
                opened.flush()
                self.successResultOf(opened.ours.whenClosed())
                self.failure(opened.ours.read(), StreamClosedError)
                self.successResultOf(opened.theirs.whenClosed())

    def test_whenAuthenticated(self) -> None:
        """
        A stream may be closed or aborted in the moment when it is
        authenticated.
        """
        for isServer in (False, True):
            for end in (SslStream.abort, SslStream.close):
                pair = StreamPair(self.segment)
                both = pair.authenticate(self.version, flush=False)
                one, other = (1, 0) if isServer else (0, 1)
                both[one].addCallback(end)
                pair.wire.flush()
                theirs = (pair.client, pair.server)[other]
                # Whoever gets the last message of the handshake has kept nothing
                # from the other.
                isLast = isServer is (self.version is SslProtocols.Tls13)
                if end is SslStream.close:
                    self.assertEqual(self.successResultOf(theirs.read()), b"")
                    theirs.close()
                elif isLast:
                    self.failure(theirs.read(), TruncationError)
                else:
                    self.failure(both[other], HandshakeInterrupted)
                pair.wire.flush()
                self.successResultOf(both[one])
                self.successResultOf(theirs.whenClosed())
                self.assertNothingLeft(pair)


@perVersion()
class TruncationTests(StreamMixin):
    """
    Tests for connections that end without C{close_notify}.
    """

    def test_pending(self) -> None:
        """
        Every waiting read and every later one fails with a truncation.
        """
        for read in READS.values():
            for reason in (ConnectionDone, ConnectionLost):
                for opened in self.bothRoles():
                    reading = read(opened.ours)
                    opened.pair.wire.cut(reason)
                    error = self.failure(reading, TruncationError)
                    self.assertIsInstance(error, ConnectionLost)
                    for again in READS.values():
                        self.assertIs(self.failure(again(opened.ours), TruncationError), error)
                    self.failure(opened.ours.write(b"x"), TruncationError)

    def test_buffered(self) -> None:
        """
        What had arrived is read before the truncation.
        """
        for opened in self.bothRoles():
            opened.theirs.write(b"arrived")
            opened.flush()
            opened.pair.wire.cut()
            self.assertEqual(self.successResultOf(opened.ours.read(3)), b"arr")
            self.failure(opened.ours.readExactly(5), TruncationError)
            self.failure(opened.ours.readUntil(b"\n"), TruncationError)
            self.assertEqual(self.successResultOf(opened.ours.read()), b"ived")
            self.failure(opened.ours.read(), TruncationError)

    def test_tolerated(self) -> None:
        """
        With C{requireCloseNotify=False} a connection that ends between two
        records has ended cleanly, if it was not reset.
        """
        tolerant = {"requireCloseNotify": False}
        for reason, isClean in ((ConnectionDone, True), (ConnectionLost, False)):
            for opened in self.bothRoles(ours=tolerant):
                opened.theirs.write(b"arrived")
                opened.flush()
                reading = opened.ours.readExactly(8)
                theirs = opened.theirs.read()
                opened.pair.wire.cut(reason)
                if isClean:
                    error = self.failure(reading, IncompleteReadError)
                    self.assertEqual(error.partial, b"arrived")
                    self.assertEqual(self.successResultOf(opened.ours.read()), b"")
                    self.failure(opened.ours.write(b"x"), TlsError)
                else:
                    self.failure(reading, TruncationError)
                # The other side tolerates nothing.
                self.failure(theirs, TruncationError)

    def test_insideRecord(self) -> None:
        """
        With C{requireCloseNotify=False}, too, a connection that ends inside of
        a record is truncated, wherever in the record.
        """
        for opened in self.bothRoles():
            opened.theirs.write(b"message")
            size = len(opened.theirTransport.written)
            opened.pair.wire.cut()
        for missing in range(1, size):
            for opened in self.bothRoles(ours={"requireCloseNotify": False}):
                opened.theirs.write(b"message")
                del opened.theirTransport.written[size - missing :]
                opened.flush()
                opened.pair.wire.cut(ConnectionDone)
                self.failure(opened.ours.read(), TruncationError)

    def test_afterCloseNotify(self) -> None:
        """
        Once the peer has ended the conversation, the loss of the connection is
        none of data: the end is clean, but a write that waits fails.
        """
        for reason in (ConnectionDone, ConnectionLost):
            for opened in self.bothRoles():
                opened.theirs.shutdown()
                opened.flush()
                opened.theirTransport.isPaused = True
                writing = opened.ours.write(MUCH)
                opened.pair.wire.cut(reason)
                self.assertEqual(self.successResultOf(opened.ours.read()), b"")
                self.failure(writing, TlsError)
                self.failure(opened.ours.write(b"x"), TlsError)

    def test_whileClosing(self) -> None:
        """
        A connection that is lost while closing waits for a write fails that,
        whatever the peer has said before, and closing succeeds.
        """
        for isHalfClosed, error in ((False, TruncationError), (True, TlsError)):
            for reason in (ConnectionDone, ConnectionLost):
                for opened in self.bothRoles():
                    if isHalfClosed:
                        opened.theirs.shutdown()
                        opened.flush()
                    opened.theirTransport.isPaused = True
                    writing = opened.ours.write(MUCH)
                    closing = opened.ours.close()
                    opened.pair.wire.cut(reason)
                    self.failure(writing, error)
                    self.successResultOf(closing)

    def test_garbage(self) -> None:
        """
        Bytes that are no record of the connection break it: the reader gets a
        L{TlsError} with the alert that the peer gets, too.
        """
        for opened in self.bothRoles():
            opened.theirTransport.write(b"\x17\x03\x03\x00\x20" + bytes(32))
            opened.flush()
            error = self.failure(opened.ours.read(), TlsError)
            self.assertIs(error.alertSent, TlsAlert.bad_record_mac)
            self.assertIs(self.failure(opened.ours.write(b"x"), TlsError), error)
            error = self.failure(opened.theirs.read(), TlsError)
            self.assertIs(error.alert, TlsAlert.bad_record_mac)
            self.assertFalse(opened.ourTransport.connected)

    def test_garbageFromDeafPeer(self) -> None:
        """
        A peer that breaks the connection and takes nothing does not keep us
        from hearing of it in bounded time.
        """
        for opened in self.bothRoles():
            opened.theirTransport.write(b"\x17\x03\x03\x00\x20" + bytes(32))
            opened.theirTransport.isPaused = True
            reading = opened.ours.read()
            opened.flush()
            opened.pair.clock.advance(5)
            opened.flush()
            self.failure(reading, TlsError)


class Talk:
    """
    Half of a conversation at random, seen from the side that writes.

    @ivar written: all that was accepted.
    @ivar received: what the peer has read of it.
    @ivar isEnded: whether the peer has read the end.
    """

    def __init__(self, opened: Opened, random: Random) -> None:
        self._opened = opened
        self._random = random
        self._writing: Deferred[None] = succeed(None)
        self.written = bytearray()
        self.received = bytearray()
        self.isEnded = False

    def act(self) -> None:
        """
        Do anything.
        """
        acts = (self.write, self.write, self.read, self.read, self.stall, self.step, self.wait)
        # Seldom, for it is the end of it.
        self._random.choice(acts if self._random.random() < 0.97 else (self.giveUp, self.end))()

    def write(self) -> None:
        """
        Write, unless that is under way.
        """
        if self._writing.called:
            data = self._random.randbytes(self._random.choice((1, 5_000, 200_000)))
            accepted = self._opened.ours._unusable() is None and self._opened.ours.canWrite
            self._writing = self._opened.ours.write(data).addErrback(lambda _: None)
            if accepted:
                self.written += data

    def giveUp(self) -> None:
        """
        Cancel what is being written.
        """
        self._writing.cancel()

    def end(self) -> None:
        """
        Make an end of it.
        """
        end = self._random.choice((SslStream.shutdown, SslStream.close, SslStream.abort))
        ended: Deferred[None] | None = end(self._opened.ours)
        if ended is not None:
            ended.addErrback(lambda _: None)

    def read(self) -> None:
        """
        Read what the peer can read now.
        """
        reading = self._opened.theirs.read(self._random.choice((1, 3_000, 100_000)))
        reading.addCallbacks(self._received, lambda _: None)
        reading.cancel()

    def _received(self, data: bytes) -> None:
        self.received += data
        self.isEnded = not data

    def stall(self) -> None:
        """
        Let the peer take data or not.
        """
        self._opened.theirTransport.isPaused = self._random.random() < 0.5

    def step(self) -> None:
        """
        Let something arrive.
        """
        self._opened.pair.wire.segment = self._random.choice((0, 7, 1_000, 20_000))
        self._opened.pair.wire.step()

    def wait(self) -> None:
        """
        Let time go by.
        """
        self._opened.pair.clock.advance(self._random.random())

    def readAll(self) -> None:
        """
        Let everything arrive, and read it.
        """
        self._opened.theirTransport.isPaused = False
        self._opened.pair.wire.segment = 0
        before = -1
        while len(self.received) > before:
            before = len(self.received)
            self._opened.flush()
            self.read()


@perVersion(segments=(0,))
class RandomTests(StreamMixin):
    """
    Tests for conversations at random.
    """

    def test_integrity(self) -> None:
        """
        Whatever happens in which order, each side reads the beginning of what
        the other has written, and a clean end only behind all of it; when both
        are closed nothing is left.
        """
        ends = set()
        for seed in range(150):
            random = Random(seed)
            opened = self.opened(isServer=seed % 2 == 1)
            talks = (Talk(opened, random), Talk(opened.reversed(), random))
            for _ in range(random.randrange(80)):
                random.choice(talks).act()
            for talk in (*talks, *talks):
                talk.readAll()
            for talk in talks:
                self.assertTrue(talk.written.startswith(talk.received), seed)
                if talk.isEnded:
                    self.assertEqual(len(talk.received), len(talk.written), seed)
                ends.add((talk.isEnded, len(talk.received) == len(talk.written)))
            closing = [stream.close() for stream in (opened.ours, opened.theirs)]
            opened.flush()
            opened.pair.clock.pump([5, 5])
            opened.flush()
            for closed in closing:
                self.successResultOf(closed)
            self.assertNothingLeft(opened.pair)
        self.assertEqual(ends, {(True, True), (False, True), (False, False)})


@perVersion(segments=(0,))
class HandshakeTimeoutTests(StreamMixin):
    """
    Tests for C{handshakeTimeout}.
    """

    def timedOut(
        self, pair: StreamPair, authenticated: Deferred[SslStream], seconds: float
    ) -> None:
        """
        The authentication fails after exactly so many seconds.
        """
        pair.wire.flush()
        pair.clock.advance(seconds - 0.1)
        self.assertNoResult(authenticated)
        pair.clock.advance(0.1)
        error = self.failure(authenticated, HandshakeTimeout)
        self.assertIn(f"{seconds:g} s", str(error))

    def test_default(self) -> None:
        """
        A handshake may take 30 seconds.
        """
        pair = StreamPair()
        self.assertEqual(pair.client.handshakeTimeout, 30)
        self.timedOut(pair, pair.client.authenticateAsClient(clientOptions(self.version)), 30)

    def test_options(self) -> None:
        """
        The options may give it another time.
        """
        pair = StreamPair()
        server = pair.server.authenticateAsServer(serverOptions(self.version, handshakeTimeout=7))
        self.assertEqual(pair.server.handshakeTimeout, 7)
        self.timedOut(pair, server, 7)

    def test_setter(self) -> None:
        """
        What is set on the stream counts more than the options.
        """
        pair = StreamPair()
        pair.server.handshakeTimeout = 4
        self.assertEqual(pair.server.handshakeTimeout, 4)
        server = pair.server.authenticateAsServer(serverOptions(self.version, handshakeTimeout=7))
        self.assertEqual(pair.server.handshakeTimeout, 4)
        self.timedOut(pair, server, 4)

    def test_none(self) -> None:
        """
        Without a time-out a handshake may take for ever.
        """
        pair = StreamPair()
        pair.server.handshakeTimeout = None
        server = pair.server.authenticateAsServer(serverOptions(self.version))
        self.assertIsNone(pair.server.handshakeTimeout)
        self.assertEqual(pair.clock.getDelayedCalls(), [])
        self.assertNoResult(server)

    def test_over(self) -> None:
        """
        An authenticated stream has no time-out running.
        """
        for opened in self.bothRoles():
            self.assertEqual(opened.pair.clock.getDelayedCalls(), [])
            opened.pair.clock.advance(100)
            self.assertUsable(opened)


class StreamTests(SynchronousTestCase):
    """
    Tests for what needs no handshake.
    """

    def test_timeouts(self) -> None:
        """
        Time-outs are positive numbers or L{None}; anything else is refused and
        changes nothing.
        """
        stream = StreamPair().client
        defaults = {
            "readTimeout": None,
            "writeTimeout": None,
            "handshakeTimeout": 30,
            "shutdownTimeout": 5,
        }
        for name, default in defaults.items():
            self.assertEqual(getattr(stream, name), default)
            for wrong in (0, -1, float("nan"), -0.0):
                self.assertRaises(ValueError, setattr, stream, name, wrong)
            self.assertRaises(TypeError, setattr, stream, name, "1")
            self.assertEqual(getattr(stream, name), default)
            for right in (1, 0.5, None):
                setattr(stream, name, right)
                self.assertEqual(getattr(stream, name), right)

    def test_notATransport(self) -> None:
        """
        What is not a connected transport is refused.
        """
        for wrong in (object(), None, MemoryTransport("alone"), Protocol()):
            self.assertRaises(TypeError, SslStream, wrong)

    def test_nothingTakenInVain(self) -> None:
        """
        A transport stays its protocol's if the stream cannot be made.
        """
        transport = MemoryTransport("alone")
        protocol = transport.protocol = Protocol()
        wrong: Any = 99
        self.assertRaises(ValueError, SslStream, transport, encryptionPolicy=wrong)
        self.assertIs(transport.protocol, protocol)

    def test_properties(self) -> None:
        """
        A new stream tells what can be told.
        """
        for isLeftOpen in (False, True):
            stream = StreamPair(leaveInnerStreamOpen=isLeftOpen).client
            self.assertIs(stream.leaveInnerStreamOpen, isLeftOpen)
            self.assertEqual(repr(stream), "<SslStream unauthenticated>")
            self.assertEqual(stream.targetHostName, "")
            for name in (
                "isAuthenticated",
                "isServer",
                "checkCertRevocationStatus",
                "canRead",
                "canWrite",
                "canSeek",
            ):
                self.assertIs(getattr(stream, name), False)
            self.assertTrue(stream.canTimeout)
            self.assertRaises(InvalidOperationError, getattr, stream, "security")

    def test_clock(self) -> None:
        """
        Unless one is given, the clock is the transport's reactor.
        """
        wire = Wire()
        wire.connect(Bystander(), Bystander())
        clock = Clock()
        wire.client.reactor = clock  # type: ignore[attr-defined]
        stream = SslStream(wire.client)
        stream.authenticateAsClient(clientOptions()).addErrback(lambda _: None)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        stream.abort()


@perVersion()
class CoroutineTests(StreamMixin):
    """
    Tests for streams in coroutines.
    """

    def test_conversation(self) -> None:
        """
        C{async with} closes a stream at its end, and C{async for} reads one to
        the end.
        """

        async def send(stream: SslStream) -> None:
            async with stream as same:
                self.assertIs(same, stream)
                for part in (b"one ", b"two ", b"three"):
                    await stream.write(part)

        async def receive(stream: SslStream) -> bytes:
            async with stream:
                return b"".join([chunk async for chunk in stream])

        for opened in self.bothRoles():
            sending = Deferred.fromCoroutine(send(opened.ours))
            receiving = Deferred.fromCoroutine(receive(opened.theirs))
            opened.flush()
            self.successResultOf(sending)
            self.assertEqual(self.successResultOf(receiving), b"one two three")
            self.successResultOf(opened.ours.whenClosed())

    def test_exception(self) -> None:
        """
        C{async with} closes the stream and lets an exception pass.
        """

        async def fail(stream: SslStream) -> None:
            async with stream:
                raise ZeroDivisionError

        for opened in self.bothRoles():
            failing = Deferred.fromCoroutine(fail(opened.ours))
            opened.flush()
            opened.theirs.close()
            opened.flush()
            self.failure(failing, ZeroDivisionError)
            self.successResultOf(opened.ours.whenClosed())

    def test_truncation(self) -> None:
        """
        C{async for} ends with an error if the stream does.
        """

        async def receive(stream: SslStream, chunks: list[bytes]) -> None:
            async for chunk in stream:
                # Not as a whole: what comes before the error counts.
                chunks.append(chunk)  # noqa: PERF401

        for opened in self.bothRoles():
            chunks: list[bytes] = []
            receiving = Deferred.fromCoroutine(receive(opened.ours, chunks))
            opened.theirs.write(b"part")
            opened.flush()
            opened.pair.wire.cut()
            self.failure(receiving, TruncationError)
            self.assertEqual(b"".join(chunks), b"part")


@perVersion(segments=(0,))
class LeakTests(LeakMixin):
    """
    Tests for what is left of a connection: nothing, without the help of the
    garbage collector.
    """

    def test_cleanClose(self) -> None:
        """
        Nothing is left after a conversation that both sides have closed.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            authenticate()
            pair.client.write(b"message")
            reading = pair.server.readExactly(7)
            pair.wire.flush()
            self.successResultOf(reading)
            closing = [pair.client.close(), pair.server.close()]
            pair.wire.flush()
            for each in closing:
                self.successResultOf(each)

        self.assertNothingSurvives(scenario)

    def test_mutual(self) -> None:
        """
        Nothing is left where both sides showed a certificate and a callback
        decided.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            authenticate(
                client={
                    "clientCertificates": [CLIENT],
                    "remoteCertificateValidationCallback": accept,
                },
                server={
                    "clientCertificateRequired": True,
                    "remoteCertificateValidationCallback": accept,
                },
            )
            self.assertTrue(pair.client.isMutuallyAuthenticated)
            self.assertIsNotNone(pair.server.security)
            pair.client.close()
            pair.server.close()

        self.assertNothingSurvives(scenario)

    def test_refused(self) -> None:
        """
        Nothing is left after an authentication that was refused, and whose
        error has been seen again and again.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            both = authenticate(client={"targetHost": "elsewhere.example"})
            for stream, failed in zip((pair.client, pair.server), both, strict=True):
                self.failure(failed, AuthenticationError)
                self.failure(stream.read(), AuthenticationError)

        self.assertNothingSurvives(scenario)

    def test_inspected(self) -> None:
        """
        Nothing is left after an authentication that was refused, of whose
        properties the error was raised again and again.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            both = authenticate(client={"targetHost": "elsewhere.example"})
            for stream, failed in zip((pair.client, pair.server), both, strict=True):
                self.failure(failed, AuthenticationError)
                for name in ("security", "sslProtocol", "remoteCertificate"):
                    with self.assertRaises(AuthenticationError):
                        getattr(stream, name)
                with self.assertRaises(AuthenticationError):
                    SslStream(stream)

        self.assertNothingSurvives(scenario)

    def test_aborted(self) -> None:
        """
        Nothing is left after a connection that was aborted in the middle of
        reads and writes.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            authenticate()
            pair.wire.server.isPaused = True
            for waiting in (pair.client.write(MUCH), pair.client.read(), pair.server.read()):
                waiting.addErrback(lambda _: None)
            pair.client.abort()
            pair.wire.server.isPaused = False

        self.assertNothingSurvives(scenario)

    def test_truncated(self) -> None:
        """
        Nothing is left after a truncation that was read again and again.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            authenticate()
            waiting: list[Deferred[Any]] = [pair.client.read(), pair.server.readUntil(b"\n")]
            pair.wire.cut()
            for each in (*waiting, pair.client.readExactly(1), pair.server.write(b"x")):
                self.failure(each, TruncationError)

        self.assertNothingSurvives(scenario)

    def test_cancelled(self) -> None:
        """
        Nothing is left after an authentication that was cancelled.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            both = authenticate(flush=False)
            both[0].cancel()
            self.failure(both[0], HandshakeCancelled)
            both[1].addErrback(lambda _: None)

        self.assertNothingSurvives(scenario)

    def test_cutInHandshake(self) -> None:
        """
        Nothing is left after a handshake in which the connection was lost, not
        even while a callback was deciding.
        """
        undecided: list[Deferred[bool]] = []

        def decide(*_: object) -> Deferred[bool]:
            undecided.append(Deferred())
            return undecided[-1]

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            both = authenticate(
                client={"remoteCertificateValidationCallback": decide},
            )
            self.assertEqual(len(undecided), 1)
            pair.wire.cut()
            for each in both:
                self.failure(each, HandshakeInterrupted)

        self.assertNothingSurvives(scenario)

    def test_raisedInCoroutines(self) -> None:
        """
        Nothing is left where errors were raised in coroutines, whose frames hold
        the stream, and in a callback, whose frame does, too.
        """

        def validate(stream: SslStream, *_: object) -> bool:
            raise ZeroDivisionError(f"about {stream}")

        async def converse(stream: SslStream, authenticated: Deferred[SslStream]) -> None:
            try:
                await authenticated
                await stream.read()
            except (AuthenticationError, TruncationError):
                return
            raise AssertionError("it should have failed")

        def scenario(pair: StreamPair, authenticate: Callable[..., Any], **options: Any) -> None:
            both = authenticate(client=options, flush=False)
            conversing = [
                Deferred.fromCoroutine(converse(stream, authenticated))
                for stream, authenticated in zip((pair.client, pair.server), both, strict=True)
            ]
            pair.wire.flush()
            pair.wire.cut()
            for each in conversing:
                self.successResultOf(each)

        self.assertNothingSurvives(scenario)
        self.assertNothingSurvives(
            lambda *arguments: scenario(*arguments, remoteCertificateValidationCallback=validate)
        )

    def test_frames(self) -> None:
        """
        The frames of an error do not pile up, however often it is raised.
        """

        async def count(stream: SslStream) -> int:
            try:
                await stream.read()
            except TruncationError as e:
                return len(traceback.extract_tb(e.__traceback__))
            return 0

        opened = self.opened()
        opened.pair.wire.cut()
        counted = [Deferred.fromCoroutine(count(opened.ours)) for _ in range(5)]
        lengths = [self.successResultOf(each) for each in counted]
        self.assertGreater(lengths[0], 0)
        self.assertEqual(lengths, lengths[:1] * 5)

    def test_timedOut(self) -> None:
        """
        Nothing is left after a handshake that took too long.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            pair.wire.server.isPaused = True
            both = authenticate()
            pair.clock.advance(30)
            pair.wire.server.isPaused = False
            for each in both:
                self.failureResultOf(each, AuthenticationError)

        self.assertNothingSurvives(scenario)

    def test_nested(self) -> None:
        """
        Nothing is left of streams that had other streams on them.
        """

        def scenario(pair: StreamPair, authenticate: Callable[..., Any]) -> None:
            authenticate()
            outer = pair.client, pair.server
            pair.client, pair.server = map(SslStream, outer)
            authenticate()
            pair.client.close()
            pair.server.close()
            pair.wire.flush()
            pair.client, pair.server = outer

        self.assertNothingSurvives(scenario)


class _Handing(Protocol):
    """
    Hands its transport over as a stream.
    """

    def __init__(self, connected: Callable[[SslStream], object]) -> None:
        self._connected = connected

    def connectionMade(self) -> None:
        """
        Hand over.
        """
        self._connected(SslStream(self.transport))


class _HandingFactory(Factory):
    """
    Makes L{_Handing}s.
    """

    noisy = False

    def __init__(self, connected: Callable[[SslStream], object]) -> None:
        self._connected = connected

    def buildProtocol(self, _: object) -> _Handing:
        """
        Make one.
        """
        return _Handing(self._connected)


class SocketTests(FilesMixin, TestCase):
    """
    Tests for streams over real sockets.
    """

    async def converse(self, listening: Any, connecting: Callable[[Any], Any]) -> None:
        """
        A client and a server have a conversation in each version.

        @param listening: where the server listens.
        @param connecting: makes the client's endpoint from the port's address.
        """
        accepted: DeferredQueue[SslStream] = DeferredQueue()
        port = await listening.listen(_HandingFactory(accepted.put))
        self.addCleanup(port.stopListening)
        for version in VERSIONS:
            made: Deferred[SslStream] = Deferred()
            await connecting(port.getHost()).connect(_HandingFactory(made.callback))
            client, server = await made, await accepted.get()
            serving = Deferred.fromCoroutine(self.serve(server, version))
            await client.authenticateAsClient(clientOptions(version))
            self.assertIs(client.sslProtocol, version)
            async with client:
                await client.write(b"Hello from the client.<EOF>")
                self.assertEqual(await client.readUntil(b"<EOF>"), b"Hello from the server.<EOF>")
                echoed = client.readExactly(len(MUCH))
                await client.write(MUCH)
                await client.shutdown()
                self.assertEqual(await echoed, MUCH)
                self.assertEqual(await client.read(), b"")
            await serving
            for stream in (client, server):
                await stream.whenClosed()

    async def serve(self, stream: SslStream, version: SslProtocols) -> None:
        """
        The server's side of it.
        """
        await stream.authenticateAsServer(serverOptions(version))
        async with stream:
            self.assertEqual(await stream.readUntil(b"<EOF>"), b"Hello from the client.<EOF>")
            await stream.write(b"Hello from the server.<EOF>")
            async for chunk in stream:
                await stream.write(chunk)

    def test_tcp(self) -> Deferred[None]:
        """
        Streams work over TCP.
        """
        return Deferred.fromCoroutine(
            self.converse(
                TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
                lambda address: TCP4ClientEndpoint(reactor, "127.0.0.1", address.port),
            )
        )

    def test_unix(self) -> Deferred[None]:
        """
        Streams work over UNIX sockets.
        """
        path = str(self.directory / "socket")
        return Deferred.fromCoroutine(
            self.converse(
                UNIXServerEndpoint(reactor, path),
                lambda _: UNIXClientEndpoint(reactor, path),
            )
        )
