"""
Tests for L{txsslstream.testing.peers} and the messages that they are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    HandshakeInterrupted,
    HandshakeTimeout,
    SslProtocols,
    TlsAlert,
    TlsError,
    TruncationError,
)
from txsslstream.records import APPLICATION_DATA
from txsslstream.testing import (
    VERSIONS,
    Authority,
    Confrontation,
    MisbehavingPeer,
    failureOf,
    refusalOf,
    resultOf,
    streamFacing,
)
from txsslstream.testing.messages import clientHello, inRecords, serverName

AUTHORITY = Authority()

Tls12, Tls13 = SslProtocols.Tls12, SslProtocols.Tls13


class PeerCase(SynchronousTestCase):
    """
    A stream and a peer.
    """

    def begin(
        self,
        peer: MisbehavingPeer,
        isServer: bool = False,
        version: SslProtocols = SslProtocols.None_,
        segment: int = 0,
    ) -> tuple[Confrontation, Any]:
        """
        Authenticate to it.

        @return: both, and what becomes of it.
        """
        facing = streamFacing(peer, isServer, segment=segment)
        if isServer:
            authenticated = facing.stream.authenticateAsServer(AUTHORITY.serverOptions(version))
        else:
            authenticated = facing.stream.authenticateAsClient(AUTHORITY.clientOptions(version))
        facing.flush()
        return facing, authenticated

    def theirs(self, isServer: bool, version: SslProtocols = SslProtocols.None_) -> Any:
        """
        @param isServer: whether the stream is the server.
        @return: options for its peer.
        """
        make = AUTHORITY.clientOptions if isServer else AUTHORITY.serverOptions
        return make(version)

    def open(
        self, peer: MisbehavingPeer, isServer: bool = False, version: SslProtocols = Tls13
    ) -> Confrontation:
        """
        @return: a stream that has been authenticated.
        """
        facing, authenticated = self.begin(peer, isServer, version)
        self.assertIs(resultOf(authenticated), facing.stream)
        return facing

    def roles(self) -> list[tuple[bool, SslProtocols]]:
        """
        Each role of the stream, and each version.
        """
        return [(isServer, version) for isServer in (False, True) for version in VERSIONS]


class WithoutTlsTests(PeerCase):
    """
    Peers that speak no TLS.
    """

    def test_silent(self) -> None:
        """
        Who says nothing is given up when the time is over.
        """
        for isServer in (False, True):
            facing, authenticated = self.begin(MisbehavingPeer.silent(), isServer)
            self.assertEqual(bool(facing.peer.received), not isServer)
            facing.advance(29)
            self.assertNoResult(authenticated)
            facing.advance(2)
            failureOf(authenticated, HandshakeTimeout)
            sent = facing.wire.client if isServer else facing.wire.server
            self.assertEqual(sent.everWritten, b"")

    def test_closes(self) -> None:
        """
        Who closes the connection is told as such, and how.
        """
        for reset, kind in ((False, ConnectionDone), (True, ConnectionAborted)):
            facing, authenticated = self.begin(MisbehavingPeer.closes(reset))
            failureOf(authenticated, HandshakeInterrupted)
            self.assertIs(facing.peer.reason.type, kind)
        _, authenticated = self.begin(MisbehavingPeer.closes(), isServer=True)
        self.assertNoResult(authenticated)
        _, authenticated = self.begin(MisbehavingPeer.closes(atOnce=True), isServer=True)
        failureOf(authenticated, HandshakeInterrupted)

    def test_says(self) -> None:
        """
        Who says something else is told as such, by whichever side and however it
        is cut.
        """
        for segment in (0, 1):
            _, authenticated = self.begin(MisbehavingPeer.says(), segment=segment)
            self.assertIn("does not speak TLS", str(refusalOf(authenticated)))
            peer = MisbehavingPeer.says(b"GET / HTTP/1.1\r\n\r\n", atOnce=True)
            _, authenticated = self.begin(peer, isServer=True, segment=segment)
            self.assertIn("does not speak TLS", str(refusalOf(authenticated)))

    def test_alert(self) -> None:
        """
        An alert that it sends arrives, and is this one.
        """
        for alert in (TlsAlert.handshake_failure, TlsAlert.unrecognized_name):
            _, authenticated = self.begin(MisbehavingPeer.sendsAlert(alert))
            refusalOf(authenticated, alert=alert)

    def test_garbage(self) -> None:
        """
        Random bytes are no handshake; the same come again for the same seed.
        """
        sent = []
        for seed in (1, 1, 2):
            facing, authenticated = self.begin(MisbehavingPeer.sendsGarbage(seed=seed))
            refusalOf(authenticated, alertSent=TlsAlert.unexpected_message)
            sent.append(bytes(facing.wire.server.everWritten))
        self.assertEqual(sent[0], sent[1])
        self.assertNotEqual(sent[0], sent[2])

    def test_overlong(self) -> None:
        """
        A record that is too long is refused.
        """
        _, authenticated = self.begin(MisbehavingPeer.sendsOverlongRecord())
        refusalOf(authenticated, alertSent=TlsAlert.record_overflow)

    def test_once(self) -> None:
        """
        It does so once for a connection.
        """
        peer = MisbehavingPeer.says(b"?")
        facing = streamFacing(peer, isServer=True)
        for _ in range(2):
            peer.dataReceived(b"x")
        facing.flush()
        self.assertEqual(facing.wire.client.everWritten, b"?")
        self.assertEqual(peer.received, b"xx")


class HandshakeTests(PeerCase):
    """
    Peers that misbehave in the handshake.
    """

    def test_stops(self) -> None:
        """
        Who stops in the middle is given up when the time is over; who has said
        all before that is authenticated.
        """
        for isServer, version in self.roles():
            peer = MisbehavingPeer.stopsAfter(self.theirs(isServer, version), 1)
            facing, authenticated = self.begin(peer, isServer, version)
            self.assertNoResult(authenticated)
            facing.advance(31)
            failureOf(authenticated, HandshakeTimeout)
            self.open(
                MisbehavingPeer.stopsAfter(self.theirs(isServer, version), 1000), isServer, version
            )

    def test_truncates(self) -> None:
        """
        Who leaves in the middle, or inside of a record, is told as such.
        """
        for isServer, version in self.roles():
            for part in (0, 3):
                theirs = self.theirs(isServer, version)
                peer = MisbehavingPeer.truncatesAfter(theirs, 1, part)
                facing, authenticated = self.begin(peer, isServer, version)
                failureOf(authenticated, HandshakeInterrupted)
                sent = facing.wire.client if isServer else facing.wire.server
                size = 5 + int.from_bytes(sent.everWritten[3:5], "big")
                self.assertEqual(len(sent.everWritten), size + part)

    def test_damages(self) -> None:
        """
        A record that is damaged fails the handshake; one that never comes does
        not.
        """
        for version in VERSIONS:
            for number, isGood in ((1, False), (1000, True)):
                peer = MisbehavingPeer.damages(self.theirs(False, version), number)
                _, authenticated = self.begin(peer, False, version)
                if isGood:
                    resultOf(authenticated)
                else:
                    self.assertIsNotNone(refusalOf(authenticated).alertSent)

    def test_early(self) -> None:
        """
        Application data that comes too early is no application's.
        """
        for isServer, version in self.roles():
            peer = MisbehavingPeer.sendsDataEarly(self.theirs(isServer, version))
            facing, authenticated = self.begin(peer, isServer, version)
            self.assertIsNotNone(refusalOf(authenticated).alertSent)
            sent = facing.wire.client if isServer else facing.wire.server
            record = bytes((APPLICATION_DATA, 3, 3, 0, 5)) + b"early"
            self.assertIn(record, bytes(sent.everWritten))

    def test_early_refusedAsSuch(self) -> None:
        """
        It is the early data for which the handshake fails: the same peer without
        is authenticated.
        """
        for isServer, version in self.roles():
            self.open(MisbehavingPeer(self.theirs(isServer, version)), isServer, version)


class AuthenticatedTests(PeerCase):
    """
    Peers that misbehave when they are authenticated.
    """

    def each(self, make: Callable[[Any], MisbehavingPeer]) -> Any:
        """
        For each role and version, a stream and an authenticated peer.
        """
        for isServer, version in self.roles():
            yield self.open(make(self.theirs(isServer, version)), isServer, version)

    def test_drops(self) -> None:
        """
        What it said before it left is read, and then that the end is missing.
        """
        for facing in self.each(lambda options: MisbehavingPeer.drops(options, b"hello")):
            self.assertEqual(resultOf(facing.stream.read()), b"hello")
            failureOf(facing.stream.read(), TruncationError)

    def test_neverCloses(self) -> None:
        """
        Who never answers C{close_notify} is waited for as long as it may take,
        and no longer.
        """
        for facing in self.each(lambda options: MisbehavingPeer.neverCloses(options, b"hello")):
            self.assertEqual(resultOf(facing.stream.read()), b"hello")
            closing = facing.stream.close()
            facing.flush()
            self.assertEqual(facing.peer.application.events[-1], "end")
            facing.advance(4.9)
            self.assertNoResult(closing)
            facing.advance(0.2)
            resultOf(closing)

    def test_closesProperly(self) -> None:
        """
        Who answers is not waited for.
        """
        for isServer, version in self.roles():
            peer = MisbehavingPeer(self.theirs(isServer, version))
            peer.application.reactions["end"] = lambda each: each.transport.loseConnection()
            facing = self.open(peer, isServer, version)
            closing = facing.stream.close()
            facing.flush()
            resultOf(closing)

    def test_tinyRecords(self) -> None:
        """
        Records of one byte each are read as what they are.
        """
        for facing in self.each(lambda options: MisbehavingPeer.sendsTinyRecords(options, b"abc")):
            sent = facing.wire.client if facing.stream.isServer else facing.wire.server
            self.assertEqual(resultOf(facing.stream.readExactly(3)), b"abc")
            # Each is as long as one byte and what goes with it.
            sizes = [len(each) for each in self.recordsIn(bytes(sent.everWritten))[-3:]]
            self.assertEqual(len(set(sizes)), 1)
            self.assertLess(sizes[0], 40)

    def recordsIn(self, data: bytes) -> list[bytes]:
        """
        @return: each record.
        """
        records = []
        while data:
            size = 5 + int.from_bytes(data[3:5], "big")
            records.append(data[:size])
            data = data[size:]
        return records

    def test_floods(self) -> None:
        """
        However much it sends, a stream that is not read takes no more than its
        share, and what is read is all.
        """
        size = 1 << 20
        for isServer, version in self.roles():
            peer = MisbehavingPeer.floods(self.theirs(isServer, version), size)
            facing, authenticated = self.begin(peer, isServer, version, segment=1 << 14)
            resultOf(authenticated)
            sent = facing.wire.client if facing.stream.isServer else facing.wire.server
            self.assertGreater(len(sent.written), size // 2)
            reading = facing.stream.readExactly(size)
            facing.flush()
            self.assertEqual(len(resultOf(reading)), size)

    def test_renegotiates(self) -> None:
        """
        Another handshake is refused, unless it is allowed.
        """
        for isServer in (False, True):
            facing = self.open(
                MisbehavingPeer.renegotiates(self.theirs(isServer, Tls12)), isServer, Tls12
            )
            reading = facing.stream.read()
            if isServer:
                self.assertIn("handshake failure", str(failureOf(reading, TlsError)))
            else:
                refusalOf(reading, alert=TlsAlert.handshake_failure)
        peer = MisbehavingPeer.renegotiates(AUTHORITY.serverOptions(Tls12))
        facing = streamFacing(peer)
        options = AUTHORITY.clientOptions(Tls12, allowRenegotiation=True)
        authenticated = facing.stream.authenticateAsClient(options)
        facing.flush()
        resultOf(authenticated)
        reading = facing.stream.read()
        peer.say(b"all is well")
        facing.flush()
        self.assertEqual(resultOf(reading), b"all is well")

    def test_own(self) -> None:
        """
        Misbehaviour of one's own needs a function.
        """
        peer = MisbehavingPeer(
            AUTHORITY.serverOptions(), react=lambda peer: peer.send(b"not TLS any more")
        )
        facing = self.open(peer)
        reading = facing.stream.read()
        self.assertIn("bad record type", str(failureOf(reading, TlsError)))


class FacingTests(PeerCase):
    """
    L{streamFacing}.
    """

    def test_nothingLeft(self) -> None:
        """
        When it is over no timer runs, on either side.
        """
        for isServer, version in self.roles():
            facing = self.open(
                MisbehavingPeer.drops(self.theirs(isServer, version)), isServer, version
            )
            self.assertEqual(facing.clock.getDelayedCalls(), [])
            self.assertIsNotNone(facing.peer.reason)

    def test_anyProtocol(self) -> None:
        """
        The peer may be any protocol; what is lost on the way is lost.
        """
        facing = streamFacing(MisbehavingPeer.silent(), segment=1)
        facing.wire.client.loseAt(5)
        authenticated = facing.stream.authenticateAsClient(AUTHORITY.clientOptions())
        facing.flush()
        failureOf(authenticated, HandshakeInterrupted)
        self.assertEqual(len(facing.peer.received), 5)
        self.assertIs(facing.peer.reason.type, ConnectionLost)

    def test_madeByHand(self) -> None:
        """
        A ClientHello that is made by hand is understood by a server that looks
        at it.
        """
        hello = inRecords(clientHello(serverName(b"example.com")), 7)
        seen: list[Any] = []

        def choose(stream: Any, info: Any, state: Any) -> Any:
            seen.append(info.serverName)
            return AUTHORITY.serverOptions()

        facing = streamFacing(MisbehavingPeer.says(hello, atOnce=True), isServer=True)
        authenticated = facing.stream.authenticateAsServer(choose)
        facing.flush()
        self.assertEqual(seen, ["example.com"])
        failureOf(authenticated, AuthenticationError)
