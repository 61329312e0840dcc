"""
Tests for L{txsslstream._dialogues}: each dialogue with scripted servers, good ones, those that
refuse, and those that are up to no good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream._dialogues import LIMIT, SERVICES, PlainText, StartTlsError, startTls
from txsslstream.testing import MemoryTransport

#: What the server says, as bytes, or what the client has to say by then.
Line: TypeAlias = bytes | str

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
STREAMS = "http://etherx.jabber.org/streams"
HEADER = (
    "<?xml version='1.0'?><stream:stream to=\"example.com\" version='1.0' "
    f"xmlns='jabber:client' xmlns:stream='{STREAMS}'>"
)
ASK = f"<starttls xmlns='{TLS}'/>"
OPENING = (
    b"<?xml version='1.0'?><stream:stream from='example.com' id='a>b' version='1.0' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
OFFER = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    b"</stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
LDAP_ASK = "0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037"
LDAP_ANSWER = bytes.fromhex("300c020101 78070a0100 0400 0400")

#: How each service goes over to TLS.
GOOD: dict[str, Sequence[Sequence[Line]]] = {
    "smtp": [
        [
            b"220 mail.example.com ESMTP\r\n",
            "EHLO localhost\r\n",
            b"250-mail.example.com\r\n250-PIPELINING\r\n250 starttls \r\n",
            "STARTTLS\r\n",
            b"220 2.0.0 Ready\r\n",
        ],
        [
            b"220-mail.example.com\r\n220-welcomes you\r\n220 today\r\n",
            "EHLO localhost\r\n",
            b"250-mail.example.com\n250-STARTTLS\n250\n",
            "STARTTLS\r\n",
            b"220-Go\r\n220 ahead\r\n",
        ],
    ],
    "ftp": [
        [b"220 ready\r\n", "AUTH TLS\r\n", b"234 go ahead\r\n"],
        # Lines within need no code (RFC 959 section 4.2).
        [
            b"220-Welcome\r\n to all\r\n221 of you\r\n220-\r\n220 here\r\n",
            "AUTH TLS\r\n",
            b"234 go ahead\r\n",
        ],
    ],
    "imap": [
        [b"* OK ready\r\n", "a STARTTLS\r\n", b"a OK begin\r\n"],
        [
            b"* ok [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
            "a STARTTLS\r\n",
            b"* CAPABILITY IMAP4rev1\r\n* OK patience\r\nA ok\r\n",
        ],
    ],
    "pop3": [[b"+OK POP3 ready\r\n", "STLS\r\n", b"+OK begin\r\n"]],
    "ldap": [
        [LDAP_ASK, LDAP_ANSWER],
        # Sizes need not be short (RFC 4511 section 5.1), and more may follow.
        [
            LDAP_ASK,
            bytes.fromhex("308400000015 020101 78840000000c 0a0100 0400 0400 8a0378797a"),
        ],
    ],
    "postgres": [["\0\0\0\x08\x04\xd2\x16/", b"S"]],
    "xmpp": [
        [HEADER, OPENING + OFFER, ASK, PROCEED],
        [
            HEADER,
            OPENING + OFFER,
            ASK,
            b"\n<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>",
        ],
    ],
}

#: How each does not, and what is said of that.
BAD: dict[str, Sequence[tuple[Sequence[Line], str]]] = {
    "smtp": [
        ([b"554 no service\r\n"], "the server says: 554 no service"),
        ([b"421-too\r\n421 busy\r\n"], "the server says: 421-too 421 busy"),
        (
            [b"220 x\r\n", "EHLO localhost\r\n", b"250-x\r\n250 STARTTLSX\r\n"],
            "the server does not offer STARTTLS",
        ),
        ([b"220 x\r\n", "EHLO localhost\r\n", b"502 what?\r\n"], "the server says: 502 what?"),
        (
            [
                b"220 x\r\n",
                "EHLO localhost\r\n",
                b"250 STARTTLS\r\n",
                "STARTTLS\r\n",
                b"454 not\x1b[31m now\r\n",
            ],
            "the server says: 454 not?[31m now",
        ),
        ([b"HTTP/1.1 400 Bad Request\r\n"], "the server says: HTTP/1.1 400 Bad Request"),
        ([b"\r\n"], "the server says: "),
    ],
    "ftp": [
        ([b"220 x\r\n", "AUTH TLS\r\n", b"500 what?\r\n"], "the server says: 500 what?"),
        ([b"120 later\r\n"], "the server says: 120 later"),
    ],
    "imap": [
        ([b"* PREAUTH you are known\r\n"], "the server says: * PREAUTH you are known"),
        ([b"* BYE\r\n"], "the server says: * BYE"),
        (
            [b"* OK\r\n", "a STARTTLS\r\n", b"* OK a\r\na NO never\r\n"],
            "the server says: a NO never",
        ),
        ([b"* OK\r\n", "a STARTTLS\r\n", b"+ what\r\n"], "the server says: + what"),
    ],
    "pop3": [
        ([b"-ERR busy\r\n"], "the server says: -ERR busy"),
        ([b"+OK\r\n", "STLS\r\n", b"-ERR no\r\n"], "the server says: -ERR no"),
    ],
    "ldap": [
        (
            [LDAP_ASK, bytes.fromhex("3010 020101 780b 0a0102 0400 0404 6e6f7065")],
            "the server says: result 2 nope",
        ),
        # What nobody asked for, such as a notice of disconnection.
        (
            [LDAP_ASK, bytes.fromhex("300c020100 78070a0100 0400 0400")],
            "the server says something else than its answer",
        ),
        (
            [LDAP_ASK, bytes.fromhex("300c020101 61070a0100 0400 0400")],
            "the server says something else than its answer",
        ),
        ([LDAP_ASK, b"HT"], "the server's answer is no LDAP"),
        ([LDAP_ASK, b"\x30\x80"], "the server's answer is no LDAP"),
        ([LDAP_ASK, b"\x30\x8fxxxxxxxx"], "the server's answer is no LDAP"),
        ([LDAP_ASK, b"\x30\x00"], "the server's answer is no LDAP"),
        ([LDAP_ASK, bytes.fromhex("3005020101 7807")], "the server's answer is cut off"),
        ([LDAP_ASK, bytes.fromhex("3006020101 780182")], "the server's answer is no LDAP"),
        ([LDAP_ASK, bytes.fromhex("3006020101 780181")], "the server's answer is no LDAP"),
    ],
    "postgres": [
        (["\0\0\0\x08\x04\xd2\x16/", b"N"], "the server does without TLS"),
        (
            ["\0\0\0\x08\x04\xd2\x16/", b"E"],
            "the server does not know the request for TLS",
        ),
    ],
    "xmpp": [
        (
            [HEADER, OPENING + b"<stream:features/>"],
            "the server does not offer STARTTLS",
        ),
        # Of that name, but not that.
        (
            [HEADER, OPENING + b"<stream:features><starttls/></stream:features>"],
            "the server does not offer STARTTLS",
        ),
        (
            [HEADER, OPENING + b"<stream:error><host-unknown/></stream:error>"],
            "the server has ended the stream",
        ),
        ([HEADER, OPENING + b"</stream:stream>"], "the server has ended the stream"),
        (
            [
                HEADER,
                OPENING + OFFER,
                ASK,
                b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            ],
            "the server refuses to begin TLS",
        ),
        (
            [HEADER, OPENING + OFFER, ASK, b"</stream:stream>"],
            "the server refuses to begin TLS",
        ),
        ([HEADER, b"</html>"], "the server's answer is no XML: not well-formed (invalid token)"),
        (
            [HEADER, b"<!DOCTYPE a [<!ENTITY b 'c'>]>"],
            "the server sends a document type declaration",
        ),
    ],
}


class Dialogue:
    """
    A dialogue with a server that keeps to a script.

    @ivar result: what becomes of it.
    """

    def __init__(self, service: str, serverName: str = "example.com", timeout: float = 10) -> None:
        self.clock = Clock()
        self.transport = MemoryTransport("client")
        self.plain = PlainText(self.clock)
        self.transport.protocol = self.plain
        self.plain.makeConnection(self.transport)
        self.result = startTls(self.plain, SERVICES[service], serverName, timeout, self.clock)

    def said(self) -> str:
        """
        @return: what the client has said since this was asked before.
        """
        said = bytes(self.transport.written)
        self.transport.written.clear()
        return said.decode("latin-1")

    def play(self, test: Any, script: Iterable[Line], segment: int = 0) -> None:
        """
        Have the dialogue.

        @param segment: how many bytes come at a time; 0 for all.
        """
        for line in script:
            if isinstance(line, bytes):
                test.assertEqual(self.said(), "")
                size = segment or len(line)
                for start in range(0, len(line), size):
                    self.plain.dataReceived(line[start : start + size])
            else:
                test.assertEqual(self.said(), line)


class DialogueTests(SynchronousTestCase):
    """
    Tests for L{startTls}.
    """

    def refusal(self, dialogue: Dialogue) -> str:
        """
        Why there is no TLS.
        """
        error = self.failureResultOf(dialogue.result, StartTlsError).value
        self.assertEqual(dialogue.clock.getDelayedCalls(), [])
        return str(error)

    def test_good(self) -> None:
        """
        A service that goes over to TLS is led there, however its answers are cut,
        and nothing more is said.
        """
        self.assertEqual(set(GOOD), set(SERVICES))
        for service, scripts in GOOD.items():
            for script in scripts:
                for segment in (0, 1):
                    dialogue = Dialogue(service)
                    dialogue.play(self, script[:-1], segment)
                    self.assertNoResult(dialogue.result)
                    dialogue.play(self, script[-1:], segment)
                    self.assertIsNone(self.successResultOf(dialogue.result), (service, script))
                    self.assertEqual(dialogue.said(), "")
                    self.assertEqual(dialogue.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """
        A service that does not is an error with its own words, harmless ones.
        """
        self.assertEqual(set(BAD), set(SERVICES))
        for service, cases in BAD.items():
            for script, words in cases:
                for segment in (0, 1):
                    dialogue = Dialogue(service)
                    dialogue.play(self, script, segment)
                    self.assertEqual(self.refusal(dialogue).partition(": line")[0], words)

    def test_pipelined(self) -> None:
        """
        Whatever is behind the go-ahead in the same segment, one byte or a whole
        hello, is refused.
        """
        for service, ((*script, goAhead), *_) in GOOD.items():
            assert isinstance(goAhead, bytes)
            for more in (b"\n", b"\x16\x03\x03\0\0", b" "):
                dialogue = Dialogue(service)
                dialogue.play(self, [*script, goAhead + more])
                self.assertEqual(
                    self.refusal(dialogue),
                    "the server sends more in plain text behind its go-ahead",
                    service,
                )

    def test_lost(self) -> None:
        """
        A server that closes at any point of the dialogue is an error.
        """
        for service, (script, *_) in GOOD.items():
            for index in range(len(script)):
                dialogue = Dialogue(service)
                dialogue.play(self, script[:index])
                self.assertNoResult(dialogue.result)
                dialogue.transport.lost(ConnectionError())
                self.assertEqual(self.refusal(dialogue), "the server has closed the connection")

    def test_silent(self) -> None:
        """
        A server that says nothing more is left after the time for the whole
        dialogue, even if it has said something every now and then.
        """
        for service, ((*script, goAhead), *_) in GOOD.items():
            dialogue = Dialogue(service)
            for line in script:
                dialogue.play(self, [line])
                dialogue.clock.advance(2)
            dialogue.clock.advance(9.9 - 2 * len(script))
            self.assertNoResult(dialogue.result)
            dialogue.clock.advance(0.1)
            words = "the server does not go over to TLS within 10 s"
            self.assertEqual(self.refusal(dialogue), words)
            # It is too late then.
            assert isinstance(goAhead, bytes)
            dialogue.plain.dataReceived(goAhead)
            self.assertEqual(dialogue.said(), "")

    def test_endless(self) -> None:
        """
        A server that talks without end is an error, be it in one line, in many
        lines, in one reply or in XML; so is what only announces that.
        """
        words = f"the server says more than {LIMIT} bytes in plain text"
        line = b"220-" + b"x" * 1000 + b"\r\n"
        for service, start, endless in (
            ("smtp", b"", b"2" * 1000),
            ("smtp", b"", line),
            ("ftp", b"220-x\r\n", b"x\r\n" * 300),
            ("imap", b"* OK\r\n", b"* OK\r\n" * 200),
            ("pop3", b"", b"+" * 1000),
            ("xmpp", OPENING, b"<a/>" * 250),
            ("xmpp", OPENING, b"x" * 1000),
        ):
            dialogue = Dialogue(service)
            dialogue.plain.dataReceived(start)
            for _ in range(LIMIT // len(endless) + 2):
                dialogue.plain.dataReceived(endless)
            self.assertEqual(self.refusal(dialogue), words, service)
        dialogue = Dialogue("ldap")
        dialogue.plain.dataReceived(b"\x30\x83\x01\x00\x00")
        self.assertEqual(self.refusal(dialogue), words)

    def test_limit(self) -> None:
        """
        What just keeps within the limit is no error.
        """
        dialogue = Dialogue("pop3")
        ready, done = b"+OK\r\n", b"+OK\r\n"
        filler = LIMIT - len(ready) - len(done)
        dialogue.plain.dataReceived(ready[:-2] + b"x" * filler + b"\r\n")
        dialogue.plain.dataReceived(done)
        self.successResultOf(dialogue.result)

    def test_unread(self) -> None:
        """
        What nobody waits for is held back by pausing the server.
        """
        dialogue = Dialogue("smtp")
        dialogue.plain.dataReceived(b"500 no\r\n" + b"x" * LIMIT)
        self.assertEqual(self.refusal(dialogue), "the server says: 500 no")
        self.assertFalse(dialogue.transport.isPaused)
        dialogue.plain.dataReceived(b"y")
        self.assertTrue(dialogue.transport.isPaused)

    def test_cancelled(self) -> None:
        """
        Whoever gives up leaves no timer.
        """
        dialogue = Dialogue("smtp")
        dialogue.result.cancel()
        self.failureResultOf(dialogue.result)
        self.assertEqual(dialogue.clock.getDelayedCalls(), [])

    def test_serverName(self) -> None:
        """
        Whatever the server's name, it stays one attribute of XML.
        """
        said = Dialogue("xmpp", "a'b\"<c>&").said()
        self.assertIn(' to="a\'b&quot;&lt;c&gt;&amp;" version', said)

    def test_ownName(self) -> None:
        """
        The client calls itself by its address, without the name of its own
        interface.
        """
        plain = PlainText(Clock())
        transport: Any = MemoryTransport("client")
        plain.makeConnection(transport)
        for address, name in (
            (IPv4Address("TCP", "192.0.2.1", 1), "[192.0.2.1]"),
            (IPv6Address("TCP", "2001:db8::1", 1), "[IPv6:2001:db8::1]"),
            (IPv6Address("TCP", "fe80::1%eth0", 1), "[IPv6:fe80::1]"),
            ("somewhere", "localhost"),
        ):
            transport.getHost = lambda address=address: address
            self.assertEqual(plain.ownName, name)

    def test_services(self) -> None:
        """
        Each service has its registered port, and its own name in ALPN or none.
        """
        self.assertEqual(
            {name: (each.port, each.applicationProtocols) for name, each in SERVICES.items()},
            {
                "smtp": (25, ()),
                "imap": (143, ("imap",)),
                "pop3": (110, ("pop3",)),
                "ftp": (21, ("ftp",)),
                "ldap": (389, ()),
                "postgres": (5432, ("postgresql",)),
                "xmpp": (5222, ("xmpp-client",)),
            },
        )
