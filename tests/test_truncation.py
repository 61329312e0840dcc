"""
Tests for connections that are lost after every single byte of a conversation, in
both roles: the right error each time, and nothing left behind.
"""

from __future__ import annotations

from itertools import count
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from txsslstream import (
    HandshakeInterrupted,
    IncompleteReadError,
    SslProtocols,
    SslStream,
    TruncationError,
)
from txsslstream._waiting import _parked
from txsslstream.testing import Bystander, MemoryTransport, Wire, perVersion

from .streams import StreamMixin
from .support import AUTHORITY, clientOptions, serverOptions

#: Their signatures are all of one size, so that every handshake is.
SERVER = AUTHORITY.issue("localhost", key=Ed25519PrivateKey.generate())
CLIENT = AUTHORITY.issue("client@example.com", key=Ed25519PrivateKey.generate())

QUESTION = b"Hello from the client.<EOF>"
ANSWER = b"Hello from the server.<EOF>"


class Side:
    """
    One side of a conversation.

    @ivar name: its role.
    @ivar events: what it has come through.
    @ivar ended: its end.
    """

    def __init__(self, transport: MemoryTransport, wire: Wire, options: Any) -> None:
        self.stream = SslStream(transport, clock=wire.clock)
        self.name = transport.name
        self.events: list[object] = []
        converse = self._serve if self.name == "server" else self._ask
        self.ended = Deferred.fromCoroutine(converse(self.stream, options))

    async def _ask(self, stream: SslStream, options: Any) -> None:
        await stream.authenticateAsClient(options)
        self.events.append("authenticated")
        await stream.write(QUESTION)
        self.events.append(await stream.readUntil(b"<EOF>"))
        await stream.shutdown()
        self.events.append(await stream.read())
        await stream.close()

    async def _serve(self, stream: SslStream, options: Any) -> None:
        await stream.authenticateAsServer(options)
        self.events.append("authenticated")
        self.events.append(await stream.readUntil(b"<EOF>"))
        await stream.write(ANSWER)
        self.events.append(await stream.read())
        await stream.close()


def recordEnds(data: bytes) -> list[int]:
    """
    Where the records of a stream of bytes end.
    """
    ends = []
    position = 0
    while position < len(data):
        position += 5 + int.from_bytes(data[position + 3 : position + 5], "big")
        ends.append(position)
    return ends


class Severed:
    """
    A conversation that is cut off after so many bytes to one side.
    """

    def __init__(
        self, limited: str, limit: int, client: Any, server: Any, reason: type[Exception]
    ) -> None:
        self.wire = Wire()
        source = self.wire.server if limited == "client" else self.wire.client
        source.stallAt(limit)
        self.originals = (Bystander(), Bystander())
        self.wire.connect(*self.originals)
        self.sides = (
            Side(self.wire.client, self.wire, client),
            Side(self.wire.server, self.wire, server),
        )
        self.wire.flush()
        self.isComplete = not self.wire.client.connected
        self.wire.cut(reason)

    def received(self, name: str) -> int:
        """
        How many bytes one end has got.
        """
        source = self.wire.server if name == "client" else self.wire.client
        return source.delivered


@perVersion(segments=(0,))
class CutTests(StreamMixin):
    """
    Tests for connections that are cut after every byte.
    """

    def setUp(self) -> None:
        """
        Watch the log.
        """
        self.logged: list[LogEvent] = []
        observer = cast(ILogObserver, self.logged.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def cutEverywhere(
        self, limited: str, isMutual: bool = False, requireCloseNotify: bool = True
    ) -> None:
        """
        Cut the connection after each byte to one side.
        """
        client = clientOptions(
            self.version,
            requireCloseNotify=requireCloseNotify,
            clientCertificates=[CLIENT] if isMutual else (),
        )
        server = serverOptions(
            self.version,
            requireCloseNotify=requireCloseNotify,
            serverCertificate=SERVER,
            clientCertificateRequired=isMutual,
        )
        reason = ConnectionLost if isMutual else ConnectionDone
        whole = Severed(limited, 1_000_000, client, server, reason)
        self.assertTrue(whole.isComplete)
        ends = {
            "client": recordEnds(bytes(whole.wire.server.everWritten)),
            "server": recordEnds(bytes(whole.wire.client.everWritten)),
        }
        self.assertGreater(ends[limited][-1], 300)
        # Tolerance begins where the handshake ends.
        first = 0 if requireCloseNotify else self.milestones(limited, ends[limited])[0] - 1
        for limit in count(first):
            severed = Severed(limited, limit, client, server, reason)
            for side in severed.sides:
                self.checkSide(
                    side, severed.received(side.name), ends[side.name], requireCloseNotify
                )
            self.assertEqual(severed.received(limited), limit)
            self.assertEqual(severed.wire.clock.getDelayedCalls(), [])
            self.assertEqual(_parked, set())
            self.assertNotIn(None, [original.lost for original in severed.originals])
            if severed.isComplete:
                break
        self.assertEqual(limit, ends[limited][-1])
        self.assertEqual(self.logged, [])

    def milestones(self, name: str, ends: list[int]) -> tuple[int, ...]:
        """
        After how many bytes a side is authenticated, has the message, and the
        end.  The last record is close_notify, the one before it the message, and
        the one before that the last of the handshake, but for the two tickets
        that a server of TLS 1.3 sends behind its own.
        """
        tickets = 2 if name == "client" and self.version is SslProtocols.Tls13 else 0
        return (ends[-3 - tickets], *ends[-2:])

    def checkSide(
        self, side: Side, received: int, ends: list[int], requireCloseNotify: bool
    ) -> None:
        """
        A side that has received so many bytes has come as far as that allows,
        and has failed with the right error.
        """
        where = f"{side.name} after {received} bytes"
        events = ["authenticated", QUESTION if side.name == "server" else ANSWER, b""]
        expected: type[Exception] | None = None
        arrived = sum(received >= end for end in self.milestones(side.name, ends))
        if arrived == 0:
            expected = HandshakeInterrupted
        elif arrived < 3:
            expected = TruncationError
            if not requireCloseNotify and received in ends:
                expected = IncompleteReadError if arrived == 1 else None
                arrived += arrived == 2
        self.assertEqual(side.events, events[:arrived], where)
        if expected is None:
            self.successResultOf(side.ended)
        else:
            error = self.failureResultOf(side.ended).value
            self.assertIs(type(error), expected, where)
            if expected is not IncompleteReadError:
                self.assertIs(self.failureResultOf(side.stream.read()).value, error, where)
        self.successResultOf(side.stream.whenClosed())

    def test_towardsClient(self) -> None:
        """
        The connection may end after each byte to the client.
        """
        self.cutEverywhere("client")

    def test_towardsServer(self) -> None:
        """
        The connection may end after each byte to the server.
        """
        self.cutEverywhere("server")

    def test_towardsClientMutual(self) -> None:
        """
        The same where the client shows a certificate, and the connection is
        reset.
        """
        self.cutEverywhere("client", isMutual=True)

    def test_towardsServerMutual(self) -> None:
        """
        The same where the client shows a certificate, and the connection is
        reset.
        """
        self.cutEverywhere("server", isMutual=True)

    def test_towardsClientTolerant(self) -> None:
        """
        The same where an end between two records is a clean end.
        """
        self.cutEverywhere("client", requireCloseNotify=False)

    def test_towardsServerTolerant(self) -> None:
        """
        The same where an end between two records is a clean end.
        """
        self.cutEverywhere("server", requireCloseNotify=False)
