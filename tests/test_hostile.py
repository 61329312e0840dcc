"""
Peers that know their keys and mean harm: storms, tiny and empty records, lengths that
promise too much, alerts of any size.

Each costs a bounded amount of memory and work, ends with the right alert, and
says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import TimeoutError
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    HandshakeFailureReason,
    HandshakeTimeout,
    ServerOptionsSelection,
    SslProtocols,
    SslStream,
    TlsAlert,
    TlsError,
)
from txsslstream.asking import MOST_IDLE_MESSAGES
from txsslstream.records import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE
from txsslstream.testing import (
    MisbehavingPeer,
    Wire,
    connectedStreams,
    perVersion,
    streamFacing,
)
from txsslstream.testing.messages import message, record, vector
from txsslstream.testing.streams import Bystander

from .forging import Forged
from .support import clientOptions, serverOptions

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

Tls12, Tls13 = SslProtocols.Tls12, SslProtocols.Tls13

HELLO_REQUEST = bytes(4)


@perVersion()
class HostileTests(Case):
    """
    Either role, and a peer that knows its keys.
    """

    version: SslProtocols
    segment: int

    def both(self, test: Callable[[Forged, bool], None]) -> None:
        """
        Do something in either role.
        """
        for isServer in (False, True):
            test(Forged(self.version, isServer, self.segment), isServer)

    def assertBroken(
        self, forged: Forged, data: bytes, words: str, alert: TlsAlert, most: int = 100
    ) -> None:
        """
        What the peer sends is the end of the connection, for less than so many
        bytes, and the application has got nothing of it.
        """
        self.assertLess(forged.send(data), most)
        self.assertIsNotNone(forged.link.near.inner.closing)
        error = forged.failure()
        self.assertIs(type(error), TlsError)
        self.assertIn(words, str(error))
        self.assertIs(error.alertSent, alert)
        self.assertEqual(bytes(forged.application.received), b"")

    def test_forger(self) -> None:
        """
        What is forged is taken for the peer's, so that these tests test
        something; what is damaged is not.
        """

        def check(forged: Forged, _: bool) -> None:
            for number in range(3):
                forged.send(forged.forger.record(APPLICATION_DATA, b"%d" % number))
            self.assertEqual(bytes(forged.application.received), b"012")
            whole = forged.forger.record(APPLICATION_DATA, b"3")
            forged.send(whole[:-1] + bytes((whole[-1] ^ 1,)))
            self.assertIs(forged.failure().alertSent, TlsAlert.bad_record_mac)

        self.both(check)

    def test_tinyRecords(self) -> None:
        """
        Records of one byte are delivered whole, at no cost but their own.
        """

        def check(forged: Forged, _: bool) -> None:
            text = bytes(range(256)) * 8
            forged.send(forged.forger.records(APPLICATION_DATA, *(b"%c" % each for each in text)))
            self.assertEqual(bytes(forged.application.received), text)
            forged.failure()

        self.both(check)

    def test_emptyRecords(self) -> None:
        """
        Some empty records mean nothing; 33 in a row are the end.
        """

        def some(forged: Forged, _: bool) -> None:
            empty = [b""] * 32
            for _round in range(2):
                forged.send(forged.forger.records(APPLICATION_DATA, *empty, b"x"))
            self.assertEqual(bytes(forged.application.received), b"xx")
            forged.failure()

        def many(forged: Forged, _: bool) -> None:
            data = forged.forger.records(APPLICATION_DATA, *[b""] * 10000)
            self.assertBroken(forged, data, "record too small", TlsAlert.unexpected_message)

        self.both(some)
        self.both(many)

    def test_warnings(self) -> None:
        """
        A few warnings mean nothing; many are the end.
        """
        warning = bytes((1, TlsAlert.user_canceled))

        def few(forged: Forged, _: bool) -> None:
            forged.send(forged.forger.records(ALERT, *[warning] * 3))
            forged.send(forged.forger.record(APPLICATION_DATA, b"x"))
            self.assertEqual(bytes(forged.application.received), b"x")
            forged.failure()

        def many(forged: Forged, _: bool) -> None:
            data = forged.forger.records(ALERT, *[warning] * 1000)
            self.assertBroken(forged, data, "too many warn alerts", TlsAlert.unexpected_message)

        self.both(few)
        self.both(many)

    def test_largeAlerts(self) -> None:
        """
        A record full of alerts is none, and one of 64 KiB is refused for its
        header alone.
        """

        def full(forged: Forged, _: bool) -> None:
            data = forged.forger.record(ALERT, bytes((1, TlsAlert.user_canceled)) * 8192)
            self.assertBroken(forged, data, "invalid alert", self.wrongAlert)

        def long(forged: Forged, _: bool) -> None:
            # Nothing behind the header is waited for.
            kind, expected = (
                (ALERT, TlsAlert.record_overflow)
                if self.version is Tls12
                else (APPLICATION_DATA, TlsAlert.record_overflow)
            )
            data = bytes((kind, 3, 3, 0xFF, 0xFF))
            self.assertBroken(forged, data, "encrypted length too long", expected)

        self.both(full)
        self.both(long)

    wrongAlert = TlsAlert.unexpected_message

    def test_longRecords(self) -> None:
        """
        A record that holds more than it may is refused.
        """

        def check(forged: Forged, _: bool) -> None:
            data = forged.forger.record(APPLICATION_DATA, bytes((1 << 14) + 1))
            self.assertBroken(forged, data, "length too long", TlsAlert.record_overflow)

        self.both(check)

    def test_longMessages(self) -> None:
        """
        A message that promises 16 MiB, whatever it is, is refused at its header:
        nothing is kept for the rest.
        """

        def check(kind: int) -> None:
            def test(forged: Forged, isServer: bool) -> None:
                header = bytes((kind, 0xFF, 0xFF, 0xFF))
                forged.send(forged.forger.record(HANDSHAKE, header + bytes(1000)))
                for _ in range(100):
                    forged.send(forged.forger.record(HANDSHAKE, bytes(1 << 14)))
                self.assertIsNotNone(forged.link.near.inner.closing, (kind, isServer))
                error = forged.failure()
                self.assertIs(type(error), TlsError)
                self.assertIn(
                    error.alertSent, (TlsAlert.illegal_parameter, TlsAlert.unexpected_message)
                )

            self.both(test)

        # ClientHello, NewSessionTicket, EncryptedExtensions, Certificate,
        # CertificateRequest, Finished, KeyUpdate, and nothing.
        for kind in (1, 4, 8, 11, 13, 20, 24, 99):
            check(kind)

    def test_foreignRecords(self) -> None:
        """
        ChangeCipherSpec, heartbeats and what is nothing are refused.
        """
        for kind in (CHANGE_CIPHER_SPEC, 24, 99):

            def check(forged: Forged, _: bool, kind: int = kind) -> None:
                self.assertBroken(
                    forged, forged.forger.record(kind, b"\1"), "", TlsAlert.unexpected_message
                )

            self.both(check)

    def test_renegotiation(self) -> None:
        """
        Before TLS 1.3 a peer that asks for another handshake and is refused may
        go on, but not with nothing but that; then there is no such thing.
        """

        def few(forged: Forged, isServer: bool) -> None:
            if isServer or self.version is Tls13:
                self.assertBroken(
                    forged,
                    forged.forger.record(HANDSHAKE, HELLO_REQUEST),
                    "unexpected message",
                    TlsAlert.unexpected_message,
                )
                return
            for _ in range(3):
                requests = [HELLO_REQUEST] * MOST_IDLE_MESSAGES
                forged.send(forged.forger.records(HANDSHAKE, *requests))
                forged.send(forged.forger.record(APPLICATION_DATA, b"x"))
            self.assertEqual(bytes(forged.application.received), b"xxx")
            forged.failure()

        def many(forged: Forged, isServer: bool) -> None:
            if isServer or self.version is Tls13:
                forged.failure()
                return
            data = forged.forger.records(HANDSHAKE, *[HELLO_REQUEST] * 100_000)
            # As much as was read at once is answered.
            self.assertBroken(
                forged, data, "for nothing but work", TlsAlert.bad_record_mac, 2 * (1 << 16)
            )

        self.both(few)
        self.both(many)


class KeyUpdateTests(SynchronousTestCase):
    """
    New keys in TLS 1.3 (RFC 8446 section 4.6.3).
    """

    def test_some(self) -> None:
        """
        As many new keys in a row as are allowed are taken, and given when they
        are asked for; data begins another row.
        """
        for isServer in (False, True):
            forged = Forged(Tls13, isServer)
            for _ in range(3):
                forged.send(forged.forger.keyUpdates(MOST_IDLE_MESSAGES))
                forged.send(forged.forger.record(APPLICATION_DATA, b"x"))
                # We have gone on under new keys, and the peer can read that.
                forged.link.near.tls.write(b"y")
                forged.link.wire.flush()
            self.assertEqual(bytes(forged.application.received), b"xxx")
            self.assertEqual(bytes(forged.link.far.application.received), b"yyy")
            forged.failure()

    def test_storm(self) -> None:
        """
        One more is the end, with an alert, whether or not we are asked for the
        same; the peer is not answered more than what was read at once.
        """
        for isServer in (False, True):
            for isRequested in (False, True):
                for segment in (0, 1):
                    forged = Forged(Tls13, isServer, segment)
                    forged.send(forged.forger.keyUpdates(MOST_IDLE_MESSAGES, isRequested))
                    self.assertIsNone(forged.link.near.inner.closing)
                    wanted = forged.send(
                        forged.forger.keyUpdates(1 if segment else 10_000, isRequested)
                    )
                    self.assertLess(wanted, 2 * (1 << 16))
                    self.assertIsNotNone(forged.link.near.inner.closing)
                    error = forged.failure()
                    self.assertIs(type(error), TlsError)
                    self.assertIn(f"more than {MOST_IDLE_MESSAGES} messages", str(error))
                    # In the middle of a record there is but this alert.
                    alerts = {TlsAlert.unexpected_message, TlsAlert.bad_record_mac}
                    self.assertIn(error.alertSent, alerts)

    def test_padding(self) -> None:
        """
        Records of nothing but padding count as empty.
        """
        for isServer in (False, True):
            forged = Forged(Tls13, isServer)
            for _ in range(40):
                forged.send(forged.forger.record(APPLICATION_DATA, b"", 16000))
            error = forged.failure()
            self.assertIn("record too small", str(error))
            self.assertIs(error.alertSent, TlsAlert.unexpected_message)


@perVersion(segments=(0,))
class HandshakeTests(Case):
    """
    Peers that mean harm before they have keys.
    """

    version: SslProtocols

    def drip(self, isServer: bool, seconds: int) -> Any:
        """
        Have a good peer's bytes come one by one, one in a second.

        @return: what has come of our side's authentication by then.
        """
        wire = Wire()
        ours, theirs = Bystander(), Bystander()
        wire.connect(*((theirs, ours) if isServer else (ours, theirs)))
        near, far = (wire.server, wire.client) if isServer else (wire.client, wire.server)
        stream, peer = (SslStream(each, clock=wire.clock) for each in (near, far))
        client, server = clientOptions(self.version), serverOptions(self.version)
        if isServer:
            authenticated = stream.authenticateAsServer(server)
            peer.authenticateAsClient(client).addErrback(lambda _: None)
        else:
            authenticated = stream.authenticateAsClient(client)
            peer.authenticateAsServer(server).addErrback(lambda _: None)
            far.protocol.dataReceived(bytes(near.written))
            near.written.clear()
        for _ in range(seconds):
            near.protocol.dataReceived(bytes(far.written[:1]))
            del far.written[:1]
            wire.clock.advance(1)
        outcome: list[Any] = []
        authenticated.addBoth(outcome.append)
        return outcome[0].value if outcome else None

    def test_slowly(self) -> None:
        """
        The whole handshake ends at C{handshakeTimeout}, however alive a peer is.
        """
        for isServer in (False, True):
            self.assertIsNone(self.drip(isServer, 29))
            self.assertIs(type(self.drip(isServer, 30)), HandshakeTimeout)

    def refusal(self, hello: bytes) -> list[AuthenticationError]:
        """
        @return: what servers say to a hello, with and without a choice by it,
            after which nothing more comes.
        """
        errors = []
        options = serverOptions(self.version)
        for chosen in (options, ServerOptionsSelection(lambda *_: options)):
            facing = streamFacing(MisbehavingPeer.silent(), True)
            authenticated = facing.stream.authenticateAsServer(chosen)
            facing.peer.send(hello)
            facing.flush()
            errors.append(self.failureResultOf(authenticated, AuthenticationError).value)
        return errors

    def hello(self, compressions: bytes) -> bytes:
        """
        @return: a record with a client's hello that offers these.
        """
        facing = streamFacing(MisbehavingPeer.silent())
        facing.stream.authenticateAsClient(clientOptions(self.version)).addErrback(lambda _: None)
        facing.flush()
        body = bytes(facing.peer.received[9:])
        facing.stream.abort()
        # Behind version, random, session and suites.
        session = 35 + body[34]
        place = session + 2 + int.from_bytes(body[session : session + 2], "big")
        self.assertEqual(body[place : place + 2], b"\1\0")
        body = body[:place] + vector(compressions, 1) + body[place + 2 :]
        return record(HANDSHAKE, message(1, body))

    def test_compression(self) -> None:
        """
        Compression that is offered is not used; who offers nothing else is
        refused, and so is who offers it in TLS 1.3 (RFC 8446 section 4.1.2).
        """
        deflate = self.hello(b"\1\0")
        if self.version is Tls13:
            for error in self.refusal(deflate):
                self.assertIs(error.alertSent, TlsAlert.illegal_parameter)
        else:
            facing = streamFacing(MisbehavingPeer.silent(), True)
            authenticated = facing.stream.authenticateAsServer(serverOptions(self.version))
            facing.peer.send(deflate)
            facing.flush()
            answer = bytes(facing.peer.received)
            # The server's hello: record, message, version, random, session, suite.
            session = 5 + 4 + 2 + 32
            self.assertEqual(answer[5], 2)
            self.assertEqual(answer[session + 1 + answer[session] + 2], 0)
            authenticated.addErrback(lambda _: None)
            facing.stream.abort()
        for error in self.refusal(self.hello(b"\1")):
            self.assertIn(error.alertSent, (TlsAlert.illegal_parameter, TlsAlert.decode_error))

    def test_lengths(self) -> None:
        """
        A hello that promises more than it may, or than is there, is refused at
        once, and of a record that is too long not even the content is awaited.
        """
        whole = self.hello(b"\0")
        alerts = {TlsAlert.illegal_parameter, TlsAlert.decode_error}
        for hello in (
            record(HANDSHAKE, b"\1\xff\xff\xff" + bytes(1000)),
            whole[:5] + b"\1" + b"\0\0\1" + whole[9:],
            # The session's length.
            whole[:43] + b"\xff" + whole[44:],
        ):
            for error in self.refusal(hello):
                self.assertIn(error.alertSent, alerts, hello[:20])
        # Nothing behind the header is waited for.
        self.refusal(b"\x16\3\1\xff\xff")

    def test_largeAlert(self) -> None:
        """
        An alert of 64 KiB is refused at its header, one of 16 KiB as it comes.
        """
        reasons = {HandshakeFailureReason.notTls, HandshakeFailureReason.protocolError}
        for data in (b"\x15\3\3\xff\xff", record(ALERT, bytes((1, 90)) * 8192)):
            for error in self.refusal(data):
                self.assertIn(error.reason, reasons)


class SlowReadersTests(SynchronousTestCase):
    """
    Records that come slowly.
    """

    def test_pull(self) -> None:
        """
        Reading from a stream ends after C{readTimeout}, however alive a peer is
        whose record is never whole.
        """
        for version in (Tls12, Tls13):
            pair = connectedStreams(version=version)
            pair.server.readTimeout = 10
            pair.client.write(b"x" * 1000)
            reading = pair.server.read(1)
            for _ in range(9):
                data = bytes(pair.wire.client.written[:1])
                del pair.wire.client.written[:1]
                pair.wire.server.protocol.dataReceived(data)
                pair.clock.advance(1)
            self.assertNoResult(reading)
            pair.clock.advance(1)
            self.failureResultOf(reading, TimeoutError)
            pair.wire.cut()
