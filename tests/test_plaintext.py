"""
Tests for L{txsslstream.plaintext}: who speaks something else than TLS is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    HandshakeFailureReason,
    ServerOptionsSelection,
    SslProtocols,
    SslStream,
    SslStreamFactory,
)
from txsslstream.plaintext import OPENING_SIZE, spokenBy
from txsslstream.testing import Wire, perVersion
from txsslstream.testing.streams import Bystander

from .support import clientOptions, serverOptions

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

#: How clients begin, and what that is.
CLIENTS = (
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "plain HTTP"),
    (b"POST /form HTTP/1.1\r\n\r\n", "plain HTTP"),
    (b"OPTIONS * HTTP/1.1\r\n\r\n", "plain HTTP"),
    (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", "plain HTTP"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "plain HTTP/2"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "the PROXY protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12), "the PROXY protocol"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
    (b"EHLO example.com\r\n", "plain SMTP or FTP"),
    (b"<?xml version='1.0'?><stream:stream>", "plain XMPP"),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", "PostgreSQL, which asks for TLS first"),
    (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", "RDP"),
    (b"*1\r\n$4\r\nPING\r\n", "plain Redis"),
    (b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03abc", "plain MQTT"),
)

#: The same of servers.
SERVERS = (
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "plain HTTP"),
    (b"220 mail.example.com ESMTP\r\n", "plain SMTP or FTP"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
    (b"* OK IMAP4rev1\r\n", "plain IMAP"),
    (b"+OK POP3 ready\r\n", "plain POP3"),
    (b"RFB 003.008\n", "VNC"),
)


class SpokenByTests(SynchronousTestCase):
    """
    The beginnings alone.
    """

    def test_known(self) -> None:
        """
        What is known is named by its first bytes.
        """
        for opening, words in (*CLIENTS, *SERVERS):
            self.assertEqual(spokenBy(opening[:OPENING_SIZE]), words, opening)
        # CLIENT-HELLO of SSL 2.
        self.assertEqual(spokenBy(b"\x80\x2e\x01\0\x02"), "SSL 2")

    def test_unknown(self) -> None:
        """
        What may be anything is not named, TLS is not, and nothing is not.
        """
        for opening in (b"", b"GET", b"\0", b"\x80", b"\xff\xff", b"hello", b"\x16\x03\x01\x02\0"):
            self.assertIsNone(spokenBy(opening), opening)


@perVersion()
class StrangersTests(Case):
    """
    Peers that speak something else, to either role.
    """

    version: SslProtocols
    segment: int

    def refusal(self, words: bytes, isServer: bool, options: Any) -> AuthenticationError:
        """
        @return: what we say of a peer that begins with these words.
        """
        wire = Wire(self.segment)
        ours, peer = Bystander(), Bystander()
        wire.connect(*((peer, ours) if isServer else (ours, peer)))
        near, far = (wire.server, wire.client) if isServer else (wire.client, wire.server)
        stream = SslStream(near, clock=wire.clock)
        authenticate = stream.authenticateAsServer if isServer else stream.authenticateAsClient
        authenticated = authenticate(options)
        far.write(words)
        wire.flush()
        error = self.failureResultOf(authenticated, AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        return error

    def test_client(self) -> None:
        """
        A server's error says what the client speaks, whether or not options are
        chosen by the hello.
        """
        chosen = serverOptions(self.version)
        for options in (chosen, ServerOptionsSelection(lambda *_: chosen)):
            for words, spoken in CLIENTS:
                error = self.refusal(words, True, options)
                self.assertIn(f"the peer does not speak TLS but {spoken}: ", str(error), words)
                self.assertIs(error.reason, HandshakeFailureReason.notTls)

    def test_server(self) -> None:
        """
        A client's error says what the server speaks.
        """
        for words, spoken in SERVERS:
            error = self.refusal(words, False, clientOptions(self.version))
            self.assertIn(f"the peer does not speak TLS but {spoken}: ", str(error), words)
            self.assertIs(error.reason, HandshakeFailureReason.notTls)

    def test_stranger(self) -> None:
        """
        Of what is not known nothing is said but that it is not TLS.
        """
        error = self.refusal(b"hello, world\r\n" * 10, True, serverOptions(self.version))
        self.assertIn("the peer does not speak TLS: ", str(error))


class LogTests(SynchronousTestCase):
    """
    What an operator sees.
    """

    def test_line(self) -> None:
        """
        Plain HTTP to the TLS port is one line of the log, which says so and from
        whom.
        """
        from twisted.logger import formatEvent, globalLogPublisher

        events: list[Any] = []
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        wire = Wire()
        factory = SslStreamFactory(
            serverOptions(), False, Factory.forProtocol(Protocol), wire.clock
        )
        wire.connect(Bystander(), factory.buildProtocol(None))
        wire.client.write(b"GET / HTTP/1.1\r\n\r\n")
        wire.flush()
        lines = [formatEvent(each) for each in events]
        self.assertEqual(
            lines,
            [
                "TLS with peer of server failed: the peer does not speak TLS but plain HTTP: "
                "http request"
            ],
        )
