"""
Tests for L{txsslstream.echo}: what the sample's server and client say and print, and how each
conversation ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    SslProtocols,
    SslStream,
    TlsAlert,
    TruncationError,
)
from txsslstream.echo import MESSAGE_LIMIT, SampleServer, converse
from txsslstream.testing import Authority, Bystander, StreamPair, Wire, perVersion

from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

HELLO = b"Hello from the server.<EOF>"
CLOSING = "Authentication failed - closing the connection."
TRUNCATED = "Exception: the connection ended without close_notify"


def reportOf(version: SslProtocols, isServer: bool, local: str, remote: str) -> list[str]:
    """
    The sample's report, in its words and order.  Both versions prefer the same
    algorithms.
    """
    return [
        "Cipher: Aes256 strength 256",
        "Hash: Sha384 strength 0",
        "Key exchange: DiffieHellman strength 255",
        f"Protocol: {version.name}",
        f"Is authenticated: True as server? {isServer}",
        "IsSigned: True",
        "Is Encrypted: True",
        "Can read: True, write True",
        "Can timeout: True",
        "Certificate revocation list checked: False",
        local,
        remote,
    ]


def issuedTo(context: Any, name: str) -> str:
    """
    The part of the report about a certificate, without whose it is.
    """
    certificate = context.certificate
    return (
        f"cert was issued to CN={name} and is valid "
        f"from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC "
        f"until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC."
    )


SERVER_REPORT = ("Local " + issuedTo(SERVER, "localhost"), "Remote certificate is null.")


class ServerCase(Case):
    """
    What the tests of the server have in common.

    @ivar lines: what it has printed.
    @ivar wire: the latest connection.
    """

    version: SslProtocols
    segment: int

    def setUp(self) -> None:
        """
        Start the server.
        """
        self.start()

    def start(self, isVerbose: bool = False, echoes: bool = False, **options: Any) -> None:
        """
        Start a server, in place of the one before.
        """
        self.clock = Clock()
        self.lines: list[str] = []
        self.server = SampleServer(
            serverOptions(self.version, **options),
            self.lines.append,
            self.clock,
            echoes=echoes,
            isVerbose=isVerbose,
        )

    def connect(self) -> SslStream:
        """
        @return: a client's stream, not yet authenticated.
        """
        self.wire = Wire(self.segment)
        self.wire.clock = self.clock
        self.wire.connect(Bystander(), self.server.buildProtocol(None))
        self.addCleanup(self.wire.cut)
        return SslStream(self.wire.client, clock=self.clock)

    def authenticated(self, **options: Any) -> SslStream:
        """
        @return: a client's stream, authenticated.
        """
        stream = self.connect()
        authenticated = stream.authenticateAsClient(clientOptions(self.version, **options))
        self.wire.flush()
        self.successResultOf(authenticated)
        return stream

    def say(self, stream: SslStream, data: bytes) -> None:
        """
        Say something to the server.
        """
        said = stream.write(data)
        self.wire.flush()
        self.successResultOf(said)

    def heard(self, stream: SslStream) -> bytes:
        """
        @return: all that the server has said up to the clean end that it made.
        """
        heard = b""
        while data := self.successResultOf(stream.read()):
            heard += data
        return heard

    def hear(self, stream: SslStream, count: int) -> bytes:
        """
        Take the server's next C{count} bytes.
        """
        heard = stream.readExactly(count)
        self.wire.flush()
        return self.successResultOf(heard)

    def close(self, stream: SslStream) -> None:
        """
        The client closes.
        """
        closed = stream.close()
        self.wire.flush()
        self.successResultOf(closed)
        self.assertOver()

    def assertOver(self) -> None:
        """
        Nothing is left of the connections.
        """
        self.assertFalse(self.wire.server.connected)
        self.assertEqual(self.successResultOf(self.server.closeAll()), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def received(self) -> list[str]:
        """
        @return: what it has printed after the report.
        """
        return self.lines[self.lines.index("Waiting for client message...") + 1 :]


@perVersion()
class ConversationTests(ServerCase):
    """
    Tests for the conversation of the sample.
    """

    def test_conversation(self) -> None:
        """
        The server prints its report, reads the message, answers and closes, and
        prints each step before it takes it.
        """
        stream = self.authenticated()
        printed = [
            *reportOf(self.version, True, *SERVER_REPORT),
            "Waiting for client message...",
        ]
        self.assertEqual(self.lines, printed)
        self.say(stream, b"Hello from the client.")
        self.assertEqual(self.lines, printed)
        self.say(stream, b"<EOF>")
        printed += ["Received: Hello from the client.<EOF>", "Sending hello message."]
        self.assertEqual(self.lines, printed)
        self.assertEqual(self.heard(stream), HELLO)
        self.close(stream)
        self.assertEqual(self.lines, printed)

    def test_clientCertificate(self) -> None:
        """
        The report tells of the client's certificate.
        """
        self.start(clientCertificateRequired=True)
        self.authenticated(clientCertificates=[CLIENT])
        report = reportOf(
            self.version, True, SERVER_REPORT[0], "Remote " + issuedTo(CLIENT, "client@example.com")
        )
        self.assertEqual(self.lines[:-1], report)

    def test_verbose(self) -> None:
        """
        A verbose server tells the suite, the protocol, the name and the chain
        as well.
        """
        self.start(isVerbose=True, clientCertificateRequired=True, applicationProtocols=["h2"])
        stream = self.authenticated(clientCertificates=[CLIENT], applicationProtocols=["h2"])
        suite = stream.negotiatedCipherSuite
        self.assertEqual(
            self.lines[12:-1],
            [
                f"Cipher suite: {suite!r}",
                f"Key exchange group: {stream.keyExchangeGroup}",
                "Application protocol: h2",
                "Server name: localhost",
                "Mutually authenticated: True",
                "Remote chain 0: CN=client@example.com",
                "Remote chain 1: CN=Test Authority",
            ],
        )

    def test_verboseAboutNobody(self) -> None:
        """
        A verbose server has no chain to tell of if the client is anonymous.
        """
        self.start(isVerbose=True)
        self.authenticated()
        self.assertEqual(
            self.lines[-4:],
            [
                "Application protocol: None",
                "Server name: localhost",
                "Mutually authenticated: False",
                "Waiting for client message...",
            ],
        )

    def test_splitCharacter(self) -> None:
        """
        A character and the end may arrive in pieces.
        """
        stream = self.authenticated()
        message = "Größe: 5 €, 👍<EOF>"
        for octet in message.encode():
            self.say(stream, bytes([octet]))
        self.assertEqual(self.received(), [f"Received: {message}", "Sending hello message."])
        self.assertEqual(self.heard(stream), HELLO)

    def test_splitByReading(self) -> None:
        """
        A character may lie across the bounds of what is read at a time.
        """
        stream = self.authenticated()
        message = "x" + "é" * 2000 + "<EOF>"
        self.say(stream, message.encode())
        self.assertEqual(self.received()[0], f"Received: {message}")

    def test_notUTF8(self) -> None:
        """
        What is not UTF-8 is replaced, also at the end of the stream.
        """
        stream = self.authenticated()
        self.say(stream, b"\xff<EOF>")
        self.assertEqual(self.received()[0], "Received: \N{REPLACEMENT CHARACTER}<EOF>")
        stream = self.authenticated()
        self.say(stream, "€".encode()[:2])
        stream.shutdown()
        self.wire.flush()
        self.assertEqual(self.lines[-2], "Received: \N{REPLACEMENT CHARACTER}")

    def test_almostEnds(self) -> None:
        """
        Only the whole end mark ends the message, and what comes behind it in
        one piece belongs to it.
        """
        stream = self.authenticated()
        self.say(stream, b"<EO")
        self.say(stream, b"<EOF")
        self.say(stream, b"<eof>")
        self.assertEqual(self.received(), [])
        self.say(stream, b"<EOF>!")
        self.assertEqual(self.received()[0], "Received: <EO<EOF<eof><EOF>!")

    def test_halfClosed(self) -> None:
        """
        A client that sends its message and C{close_notify} at once still gets
        the answer.
        """
        stream = self.authenticated()
        said = stream.write(b"Hello from the client.<EOF>")
        ended = stream.shutdown()
        self.wire.flush()
        self.successResultOf(said)
        self.successResultOf(ended)
        self.assertEqual(self.heard(stream), HELLO)
        self.assertEqual(self.received()[0], "Received: Hello from the client.<EOF>")
        self.assertOver()

    def test_endOfStream(self) -> None:
        """
        The client's C{close_notify} ends a message that has no end mark.
        """
        stream = self.authenticated()
        self.say(stream, b"Hello")
        self.assertEqual(self.received(), [])
        stream.shutdown()
        self.wire.flush()
        self.assertEqual(self.received(), ["Received: Hello", "Sending hello message."])
        self.assertEqual(self.heard(stream), HELLO)
        self.assertOver()

    def test_truncated(self) -> None:
        """
        A connection that breaks before the end of the message is no message.
        """
        stream = self.authenticated()
        self.say(stream, b"Hello")
        stream.abort()
        self.wire.flush()
        self.assertEqual(self.received(), [TRUNCATED])
        self.assertOver()

    def test_readTimeout(self) -> None:
        """
        A client that falls silent is left, cleanly, after five seconds.
        """
        stream = self.authenticated()
        self.clock.advance(4)
        self.say(stream, b"Hello")
        self.clock.advance(4.9)
        self.wire.flush()
        self.assertEqual(self.received(), [])
        self.clock.advance(0.1)
        self.wire.flush()
        self.assertEqual(self.received(), ["Exception: nothing was read within 5 s"])
        self.assertEqual(self.heard(stream), b"")
        self.close(stream)

    def test_writeTimeout(self) -> None:
        """
        A client that does not take the answer is left after five seconds.
        """
        stream = self.authenticated()
        # As if what came before filled the server's transport.
        self.wire.server.bufferSize = 0
        self.wire.client.isPaused = True
        self.say(stream, b"Hello<EOF>")
        self.clock.advance(4.9)
        self.assertEqual(self.received(), ["Received: Hello<EOF>", "Sending hello message."])
        self.clock.advance(0.1)
        self.assertEqual(
            self.received()[2:], ["Exception: the peer did not take the data within 5 s"]
        )
        self.clock.advance(5)
        self.wire.flush()
        self.assertOver()

    def test_mutePeer(self) -> None:
        """
        A client that has its answer and never closes is left after five more
        seconds.
        """
        stream = self.authenticated()
        self.say(stream, b"Hello<EOF>")
        self.assertEqual(self.heard(stream), HELLO)
        self.clock.advance(4.9)
        self.wire.flush()
        self.assertTrue(self.wire.server.connected)
        self.clock.advance(0.1)
        self.wire.flush()
        self.assertOver()
        self.assertEqual(self.lines[-1], "Sending hello message.")


@perVersion(segments=(0, 1000))
class LimitTests(ServerCase):
    """
    Tests for the limit of a message.
    """

    def test_longest(self) -> None:
        """
        A message of exactly 64 KiB with its end mark is answered.
        """
        self.assertEqual(MESSAGE_LIMIT, 65536)
        stream = self.authenticated()
        message = "x" * (MESSAGE_LIMIT - 5) + "<EOF>"
        self.say(stream, message.encode())
        self.assertEqual(self.received(), [f"Received: {message}", "Sending hello message."])
        self.assertEqual(self.heard(stream), HELLO)
        self.close(stream)

    def test_tooLong(self) -> None:
        """
        One byte more without an end, and the server gives up, with a clean end
        and without an answer.
        """
        stream = self.authenticated()
        self.say(stream, b"x" * MESSAGE_LIMIT)
        self.assertEqual(self.received(), [])
        self.say(stream, b"x")
        self.assertEqual(self.received(), ["Exception: no <EOF> within 65536 bytes"])
        self.assertEqual(self.heard(stream), b"")
        self.close(stream)


@perVersion()
class FailedAuthenticationTests(ServerCase):
    """
    Tests for what the server prints when an authentication has failed.
    """

    def attempt(self, **options: Any) -> Deferred[SslStream]:
        """
        Have a client try.
        """
        attempt = self.connect().authenticateAsClient(clientOptions(self.version, **options))
        self.wire.flush()
        return attempt

    def assertPrinted(self, begin: str, end: str = "", inner: str | None = None) -> None:
        """
        The server has said why, in the sample's words, and closed.
        """
        self.assertEqual(self.lines[0][: len(begin)], begin)
        self.assertEqual(self.lines[0][len(self.lines[0]) - len(end) :], end)
        innerLines = [] if inner is None else [f"Inner exception: {inner}"]
        self.assertEqual(self.lines[1:], [*innerLines, CLOSING])
        self.assertOver()

    def test_refused(self) -> None:
        """
        The alert of a client that does not trust the server is named.
        """
        attempt = self.attempt(trust=Authority("Another Authority").trust)
        self.assertEqual(
            self.failureResultOf(attempt, AuthenticationError).value.alertSent,
            TlsAlert.unknown_ca,
        )
        self.assertPrinted(
            "Exception: the peer refused the handshake: ", "; alert received: unknown_ca"
        )

    def test_noClientCertificate(self) -> None:
        """
        A client that shows no certificate is refused if one is required.
        """
        self.start(clientCertificateRequired=True)
        attempt: Deferred[Any] = self.attempt()
        alert = (
            TlsAlert.certificate_required
            if self.version is SslProtocols.Tls13
            else TlsAlert.handshake_failure
        )
        if self.version is SslProtocols.Tls13:
            # The client has finished before the server judges.
            attempt = self.successResultOf(attempt).read()
        self.assertEqual(self.failureResultOf(attempt, AuthenticationError).value.alert, alert)
        self.assertPrinted(
            "Exception: the handshake failed: peer did not return a certificate",
            f"; alert sent: {alert.name}",
        )

    def test_callback(self) -> None:
        """
        The exception of a callback is the inner one.
        """

        def decide(*_: object) -> bool:
            raise ZeroDivisionError("so much for that")

        self.start(remoteCertificateValidationCallback=decide)
        attempt = self.attempt()
        self.assertEqual(
            self.failureResultOf(attempt, AuthenticationError).value.alert,
            TlsAlert.internal_error,
        )
        self.assertPrinted(
            "Exception: a callback failed: ZeroDivisionError: so much for that",
            "; alert sent: internal_error",
            inner="so much for that",
        )

    def test_notTLS(self) -> None:
        """
        A client that does not speak TLS is told from others.
        """
        self.connect()
        self.wire.client.write(b"GET / HTTP/1.0\r\n\r\n")
        self.wire.flush()
        self.assertPrinted("Exception: the peer does not speak TLS but plain HTTP: ")

    def test_lost(self) -> None:
        """
        A connection that is lost in the handshake is reported with its cause.
        """
        self.connect()
        self.wire.client.write(b"\x16\x03\x01")
        self.wire.step()
        self.wire.cut()
        self.assertPrinted(
            "Exception: the connection was lost in the handshake",
            inner="Connection to the other side was lost in a non-clean fashion.",
        )

    def test_handshakeTimeout(self) -> None:
        """
        A client that does not authenticate is left after 30 seconds.
        """
        self.connect()
        self.clock.advance(29.9)
        self.wire.flush()
        self.assertEqual(self.lines, [])
        self.clock.advance(0.1)
        self.wire.flush()
        self.assertPrinted("Exception: no end of the handshake within 30 s")


@perVersion()
class EchoTests(ServerCase):
    """
    Tests for a server that echoes.
    """

    def setUp(self) -> None:
        """
        Start the server.
        """
        self.start(echoes=True)

    def test_echo(self) -> None:
        """
        Whatever comes goes back as it comes, until the client closes.
        """
        stream = self.authenticated()
        for data in (b"a", b"\x00\xff", b"Hello<EOF>", b"again"):
            self.say(stream, data)
            self.assertEqual(self.hear(stream, len(data)), data)
        self.close(stream)
        self.assertEqual(self.lines, reportOf(self.version, True, *SERVER_REPORT))

    def test_patience(self) -> None:
        """
        The client may be silent for as long as it likes.
        """
        stream = self.authenticated()
        self.clock.advance(86400)
        self.say(stream, b"still there")
        self.assertEqual(self.hear(stream, 11), b"still there")

    def test_halfClosed(self) -> None:
        """
        What was sent in front of C{close_notify} still goes back.
        """
        stream = self.authenticated()
        stream.write(b"Hello")
        stream.shutdown()
        self.wire.flush()
        self.assertEqual(self.heard(stream), b"Hello")
        self.assertOver()

    def test_lost(self) -> None:
        """
        A connection that breaks is reported.
        """
        stream = self.authenticated()
        self.say(stream, b"Hello")
        stream.abort()
        self.wire.flush()
        self.assertEqual(self.lines[-1], TRUNCATED)
        self.assertOver()


@perVersion(segments=(0, 5000))
class LargeEchoTests(ServerCase):
    """
    Tests for much data.
    """

    SIZE = 1 << 20

    def setUp(self) -> None:
        """
        Start the server, and have a client say more than it reads.
        """
        self.start(echoes=True)
        self.stream = self.authenticated()
        self.data = bytes(range(256)) * (self.SIZE // 256)
        self.said = self.stream.write(self.data)
        self.wire.flush()

    def test_held(self) -> None:
        """
        A client that does not read is held back, without much being kept, and
        gets everything once it does.
        """
        self.assertNoResult(self.said)
        kept = len(self.wire.client.written) + len(self.wire.server.written)
        self.assertLess(kept, self.SIZE // 2)
        self.assertEqual(self.hear(self.stream, self.SIZE), self.data)
        self.successResultOf(self.said)
        self.close(self.stream)

    def test_closeAll(self) -> None:
        """
        A client that takes nothing cannot hold up the end, and learns that
        something is missing.
        """
        self.wire.client.isPaused = True
        closed = self.server.closeAll()
        self.wire.flush()
        self.clock.advance(4.9)
        self.wire.flush()
        self.assertNoResult(closed)
        self.clock.advance(0.1)
        self.wire.flush()
        self.successResultOf(closed)
        self.assertOver()
        self.successResultOf(self.said)
        self.failureResultOf(self.stream.readExactly(self.SIZE), TruncationError)


@perVersion()
class CloseAllTests(ServerCase):
    """
    Tests for L{SampleServer.closeAll}.
    """

    def test_none(self) -> None:
        """
        Without connections there is nothing to wait for.
        """
        self.assertEqual(self.successResultOf(self.server.closeAll()), [])

    def test_clean(self) -> None:
        """
        Each client reads a clean end, and the Deferred fires when all are gone.
        """
        clients = [(self.authenticated(), self.wire) for _ in range(3)]
        closed = self.server.closeAll()
        for stream, wire in clients:
            self.assertNoResult(closed)
            wire.flush()
            self.assertEqual(self.heard(stream), b"")
            stream.close()
            wire.flush()
        self.successResultOf(closed)
        self.assertOver()
        self.assertEqual(self.lines[-3:], ["Exception: the stream is closed"] * 3)

    def test_handshaking(self) -> None:
        """
        A handshake that is under way is given up.
        """
        stream = self.connect()
        closed = self.server.closeAll()
        attempt = stream.authenticateAsClient(clientOptions(self.version))
        self.wire.flush()
        self.successResultOf(closed)
        error = self.failureResultOf(attempt, AuthenticationError).value
        self.assertEqual(error.alert, TlsAlert.user_canceled)
        self.assertEqual(self.lines[-1], CLOSING)
        self.assertOver()

    def test_mute(self) -> None:
        """
        A client that does not answer is waited for no longer than five seconds.
        """
        self.authenticated()
        closed = self.server.closeAll()
        self.wire.flush()
        self.clock.advance(4.9)
        self.wire.flush()
        self.assertNoResult(closed)
        self.clock.advance(0.1)
        self.wire.flush()
        self.successResultOf(closed)
        self.assertOver()


@perVersion()
class ConverseTests(Case):
    """
    Tests for L{converse}, the client's part.
    """

    version: SslProtocols
    segment: int

    def setUp(self) -> None:
        """
        An authenticated pair.
        """
        self.lines: list[str] = []
        self.pair = StreamPair(self.segment)
        self.addCleanup(self.pair.wire.cut)
        for authenticated in self.pair.authenticate(
            self.version,
            {"clientCertificates": [CLIENT]},
            {"clientCertificateRequired": True},
        ):
            self.successResultOf(authenticated)
        self.report = reportOf(
            self.version,
            False,
            "Local " + issuedTo(CLIENT, "client@example.com"),
            "Remote " + issuedTo(SERVER, "localhost"),
        )

    def converse(self, message: str, isVerbose: bool = False) -> Deferred[bool]:
        """
        Begin a conversation.
        """
        conversation = Deferred.fromCoroutine(
            converse(self.pair.client, message, self.lines.append, isVerbose)
        )
        self.pair.wire.flush()
        return conversation

    def answer(self, data: bytes) -> None:
        """
        The server answers.
        """
        self.pair.server.write(data)
        self.pair.wire.flush()

    def test_answered(self) -> None:
        """
        The client prints its report, says its message with an end mark, prints
        the answer, and is content.
        """
        conversation = self.converse("Grüße")
        self.assertEqual(self.successResultOf(self.pair.server.read()), "Grüße<EOF>".encode())
        self.assertEqual(self.lines, self.report)
        self.assertNoResult(conversation)
        self.answer(HELLO)
        self.assertTrue(self.successResultOf(conversation))
        self.assertEqual(self.lines, [*self.report, "Server says: Hello from the server.<EOF>"])

    def test_endMark(self) -> None:
        """
        A message that has its end mark gets no second one.
        """
        conversation = self.converse("Hello<EOF>")
        self.assertEqual(self.successResultOf(self.pair.server.read()), b"Hello<EOF>")
        self.answer(HELLO)
        self.assertTrue(self.successResultOf(conversation))

    def test_unanswered(self) -> None:
        """
        An answer without its end mark is printed, and is none.
        """
        conversation = self.converse("Hello")
        self.answer(b"Hell")
        self.pair.server.shutdown()
        self.pair.wire.flush()
        self.assertIs(self.successResultOf(conversation), False)
        self.assertEqual(self.lines[-1], "Server says: Hell")

    def test_truncated(self) -> None:
        """
        An answer that breaks off is an error.
        """
        conversation = self.converse("Hello")
        self.answer(b"Hell")
        self.pair.server.abort()
        self.pair.wire.flush()
        self.failureResultOf(conversation, TruncationError)
        self.assertEqual(self.lines, self.report)

    def test_verbose(self) -> None:
        """
        A verbose client tells the server's chain.
        """
        conversation = self.converse("Hello", isVerbose=True)
        self.answer(HELLO)
        self.successResultOf(conversation)
        self.assertEqual(
            self.lines[-4:-1],
            [
                "Mutually authenticated: True",
                "Remote chain 0: CN=localhost",
                f"Remote chain 1: {AUTHORITY.certificate.subject.rfc4514_string()}",
            ],
        )
