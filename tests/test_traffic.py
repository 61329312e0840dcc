"""
Records on their way: what is delivered and sent together, handed over directly,
and kept no longer than needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, IReadWriteDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementedBy, implementer, providedBy

from tests.applications import ProtocolMixin
from tests.garbage import withoutCollector
from tests.support import CLIENT, SERVER, clientOptions
from txsslstream import (
    AuthenticationError,
    HandshakeTimeout,
    ISslStream,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStreamFactory,
    TlsAlert,
    TlsError,
    TruncationError,
    _traffic,
)
from txsslstream._openssl import contextFor
from txsslstream._transports import Socket
from txsslstream._trimming import Trimmer, trimmerOf
from txsslstream.records import alertRecord
from txsslstream.testing.applications import Application, Link
from txsslstream.testing.cases import perVersion
from txsslstream.testing.messages import clientHello, inRecords
from txsslstream.testing.outcomes import failureOf

MIB = 1 << 20

_HEAP_FIELDS = [
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
]


class _HeapInfo(ctypes.Structure):
    """
    C{struct mallinfo2}.
    """

    _fields_ = [(name, ctypes.c_size_t) for name in _HEAP_FIELDS]


def _heap() -> Any:
    """
    What the C library's allocator has handed out.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _HeapInfo
    return mallinfo2()


def _saying(*pieces: bytes) -> Callable[[Any], None]:
    """
    @return: what writes these.
    """

    def say(application: Any) -> None:
        for piece in pieces:
            application.transport.write(piece)

    return say


@perVersion(segments=(0,))
class WakeUpTests(ProtocolMixin):
    """
    What happens together when the transport delivers.
    """

    def test_joined(self) -> None:
        """
        All records of one delivery reach the application in one piece; those of
        two in two.
        """
        for link in self.opened():
            deliveries: list[int] = []
            link.near.application.reactions["data"] = lambda application, deliveries=deliveries: (
                deliveries.append(len(application.received))
            )
            for piece in (b"one", b"two" * 9999, b"three"):
                link.far.tls.writeNow(piece)
            records = bytes(link.far.inner.written)
            link.far.inner.written.clear()
            link.near.tls.dataReceived(records)
            self.assertEqual(deliveries, [8 + 3 * 9999])
            for piece in (b"four", b"five"):
                link.far.tls.writeNow(piece)
                link.near.tls.dataReceived(bytes(link.far.inner.written))
                link.far.inner.written.clear()
            self.assertEqual(deliveries[1:], [8 + 3 * 9999 + 4, 8 + 3 * 9999 + 8])

    def test_answeredAtOnce(self) -> None:
        """
        What the application writes while it gets data is sent together when it
        has returned, without another turn of the reactor.
        """
        for link in self.opened():
            seen: list[int] = []

            def answer(application: Any, seen: list[int] = seen) -> None:
                _saying(b"an", b"swer")(application)
                seen.append(len(application.transport.transport.written))

            link.near.application.reactions["data"] = answer
            self.deliver(link, b"question")
            self.assertEqual(seen, [0])
            self.assertEqual(link.clock.getDelayedCalls(), [])
            self.assertOneRecord(link)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"answer")

    def test_unasked(self) -> None:
        """
        What it writes at any other time is sent together in the next turn.
        """
        for link in self.opened():
            _saying(b"un", b"asked")(link.near.application)
            self.assertEqual(bytes(link.near.inner.written), b"")
            self.assertEqual(len(link.clock.getDelayedCalls()), 1)
            link.clock.advance(0)
            self.assertOneRecord(link)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"unasked")
            self.deliver(link, b"question")
            _saying(b"!")(link.near.application)
            self.assertEqual(len(link.clock.getDelayedCalls()), 1)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"unasked!")

    def deliver(self, link: Link, data: bytes) -> None:
        """
        Have the far side say this, in one delivery.
        """
        link.far.tls.writeNow(data)
        records = bytes(link.far.inner.written)
        link.far.inner.written.clear()
        link.near.tls.dataReceived(records)

    def assertOneRecord(self, link: Link) -> None:
        """
        The near side has sent one record.
        """
        written = bytes(link.near.inner.written)
        self.assertEqual(len(written), 5 + int.from_bytes(written[3:5], "big"))

    def test_closedInside(self) -> None:
        """
        An application that writes and closes while it gets data has the last
        word: nothing written later is sent.
        """

        def close(application: Any) -> None:
            application.transport.write(b"last words")
            application.transport.loseConnection()
            application.transport.write(b"too late")

        for link in self.opened():
            link.near.application.reactions["data"] = close
            self.deliver(link, b"go" * 40_000)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"last words")
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)

    def test_abortedInside(self) -> None:
        """
        One that aborts hears no more, and what it wrote is not sent.
        """

        def abort(application: Any) -> None:
            application.transport.write(b"never")
            application.transport.abortConnection()

        for link in self.opened():
            link.near.application.reactions["data"] = abort
            self.deliver(link, b"go")
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"")
            self.assertLost(link.near, ConnectionAborted)
            self.assertLost(link.far, TruncationError)

    def test_raisesInside(self) -> None:
        """
        What one that raises wrote before is sent all the same, and later writes
        go their way.
        """

        def fail(application: Any) -> None:
            application.transport.write(b"before")
            raise ValueError("on purpose")

        for link in self.opened():
            link.near.application.reactions["data"] = fail
            self.assertRaises(ValueError, self.deliver, link, b"go")
            link.near.application.transport.write(b" and behind")
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"before and behind")

    def test_othersInside(self) -> None:
        """
        While an application gets data, other connections may send and receive:
        what it got stays what it is.
        """
        for link in self.opened():
            other = next(iter(self.opened()))
            kept: list[bytes] = []

            def meddle(application: Any, other: Link = other) -> None:
                other.near.tls.write(b"x" * 100_000)
                other.wire.flush()
                application.transport.write(bytes(application.received))

            link.near.application.reactions["data"] = meddle
            data = bytes(range(256)) * 400
            link.far.tls.write(data)
            link.wire.flush()
            self.assertEqual(kept, [])
            self.assertEqual(bytes(link.near.application.received), data)
            self.assertEqual(bytes(other.far.application.received), b"x" * 100_000)
            self.assertTrue(bytes(link.far.application.received).endswith(data))

    def test_memoryviews(self) -> None:
        """
        Any buffer can be written, large ones without a copy, and used again
        afterwards.
        """
        for link in self.opened():
            data = bytearray(b"abcd" * 50_000)
            for each in (data, memoryview(data)[4:8], memoryview(data)):
                link.near.tls.write(each)
            data[:] = b"?" * len(data)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"abcd" * 100_001)
            self.assertRaises(TypeError, link.near.tls.write, "text")

    def test_bufferEarly(self) -> None:
        """
        That holds for what is written before it can be sent, too.
        """
        for link in self.links():
            data = bytearray(b"abcd" * 50_000)
            link.near.tls.write(memoryview(data))
            data[:] = b"?" * len(data)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"abcd" * 50_000)

    def test_pausedInside(self) -> None:
        """
        A producer that writes from within C{pauseProducing}, and from within
        C{resumeProducing}, is heard in order and without loss.
        """

        @implementer(IPushProducer)
        class Counting:
            def __init__(self, transport: Any) -> None:
                self.transport = transport
                self.number = 0
                self.isPaused = False

            def say(self, size: int) -> None:
                self.number += 1
                self.transport.write(self.number.to_bytes(4, "big") * (size // 4))

            def pauseProducing(self) -> None:
                if not self.isPaused:
                    self.isPaused = True
                    self.say(100_000)

            def resumeProducing(self) -> None:
                self.isPaused = False
                while self.number < 30 and not self.isPaused:
                    self.say(40_000)

            def stopProducing(self) -> None:
                pass

        for link in self.opened():
            producer = Counting(link.near.tls)
            link.near.tls.registerProducer(producer, True)
            producer.resumeProducing()
            link.wire.flush()
            link.near.tls.unregisterProducer()
            got = bytes(link.far.application.received)
            numbers = [int.from_bytes(got[at : at + 4], "big") for at in range(0, len(got), 4)]
            self.assertEqual(numbers, sorted(numbers))
            self.assertEqual(set(numbers), set(range(1, producer.number + 1)))
            self.assertGreaterEqual(producer.number, 30)

    def test_trimmed(self) -> None:
        """
        When many connections have been busy, those that were so first are small
        again, and go on; with few there is no timer, nor afterwards.
        """
        for link in self.opened():
            trimmer = trimmerOf(link.clock)
            near, far = link.near.tls, link.far.tls
            far.write(b"x" * 70_000)
            link.wire.flush()
            before = near._tlsConnection._into_ssl, near._tlsConnection._from_ssl
            trimmer.note(near)
            with patch.object(Trimmer, "FEW", 1):
                trimmer.note(far)
            self.assertNotEqual(near._tlsConnection._into_ssl, before[0])
            self.assertNotEqual(near._tlsConnection._from_ssl, before[1])
            far.write(b"question")
            near.write(b"answer")
            link.wire.flush()
            self.assertTrue(link.near.application.received.endswith(b"xquestion"))
            self.assertEqual(link.far.application.received, b"answer")
            self.assertEqual(link.clock.getDelayedCalls(), [])
            self.assertIn(far, [each() for each in trimmer._few])
            near.abortConnection()
            link.wire.flush()
            self.assertNotIn(far, [each() for each in trimmer._few])

    def test_memoryFalls(self) -> None:
        """
        What is given back is really free again, though the connections stay.
        """
        links = [link for _ in range(4) for link in self.opened()]
        sides = [side.tls for link in links for side in (link.near, link.far)]

        def inUse() -> int:
            return int(_heap().uordblks)

        for link in links:
            for source in (link.near, link.far):
                source.tls.write(b"x" * 65_536)
                link.wire.flush()
        before = inUse()
        for each in sides:
            each.trim()
        freed = before - inUse()
        # In two buffers of each side was one such chunk at least.
        self.assertGreater(freed, len(sides) * 2 * 65_536)
        for each in sides:
            each.trim()
        self.assertLess(abs(before - inUse() - freed), 65_536)

    def test_nothing(self) -> None:
        """
        Who writes nothing sends nothing, in whatever way, and the conversation
        goes on.
        """
        for link in self.opened():
            ends = link.wire.client, link.wire.server
            sent = [len(end.everWritten) for end in ends]
            for nothing in (b"", bytearray(), memoryview(b"")):
                link.near.tls.write(nothing)
                link.clock.advance(0)
                link.near.tls.writeNow(nothing)
            link.near.tls.writeSequence([])
            link.near.tls.flush()
            link.wire.flush()
            self.assertEqual([len(end.everWritten) for end in ends], sent)
            link.near.tls.writeNow(b"something")
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"something")

    def test_brokenOnce(self) -> None:
        """
        Behind a damaged record OpenSSL is not bothered again, whatever comes or
        is written: the inner transport is closed once.
        """
        for link in self.opened():
            near = link.near.tls
            with patch.object(near.transport, "loseConnection") as close:
                for _ in range(2):
                    near.dataReceived(b"\x17\x03\x03\0\x20" + bytes(32))
                    near.write(b"late")
                    link.clock.advance(0)
            self.assertEqual(close.call_count, 1)
            self.assertEqual(link.near.application.received, b"")
            near.transport.loseConnection()
            link.wire.flush()
            self.assertLost(link.near, TlsError)

    def test_lostInside(self) -> None:
        """
        What is still gathered when the inner transport is gone is not sent into
        nothing, and what comes behind that is not read.
        """
        for link in self.opened():
            near = link.near.tls
            with patch.object(near.transport, "write") as write:
                near.write(b"late")
                near.transport.lost(ConnectionLost())
                near.dataReceived(b"late")
            self.assertEqual(write.call_count, 0)
            self.assertEqual(link.near.application.received, b"")
            self.assertLost(link.near, TruncationError)
            link.wire.cut()

    def test_grownAtOnce(self) -> None:
        """
        For what needs more than a record OpenSSL gets room for all that comes at
        once, until the connection is trimmed.
        """
        withoutCollector(self)
        for link in self.opened():
            near = link.near.tls

            def grown(size: int, near: Any = near, link: Link = link) -> int:
                before = int(_heap().uordblks)
                near.writeNow(bytes(size))
                link.wire.client.written.clear()
                link.wire.server.written.clear()
                link.wire.client.everWritten.clear()
                link.wire.server.everWritten.clear()
                return int(_heap().uordblks) - before

            for _ in range(2):
                near.trim()
                self.assertLess(grown(16_384), 32_768)
                self.assertGreater(grown(16_385), 50_000)
                self.assertLess(grown(65_536), 16_384)
            near.trim()
            with patch.object(_traffic, "growOutput"):
                self.assertLess(grown(16_385), 50_000)
            link.near.tls.abortConnection()

    def test_nothingKept(self) -> None:
        """
        What OpenSSL reads records into stays while much comes.  It is given back
        as well, and small records leave nothing behind then.
        """
        withoutCollector(self)
        links = [link for _ in range(4) for link in self.opened()]
        sides = [side for link in links for side in (link.near, link.far)]

        def grown(size: int) -> float:
            for link in links:
                for source in (link.near, link.far):
                    source.tls.writeNow(b"x" * size)
                    link.wire.flush()
                for end in (link.wire.client, link.wire.server):
                    end.everWritten.clear()
            for side in sides:
                self.assertEqual(len(side.application.received), size)
                side.application.received.clear()
            return (int(_heap().uordblks) - before) / len(sides)

        def trim() -> None:
            for side in sides:
                side.tls.trim()

        trim()
        before = int(_heap().uordblks)
        with patch.object(_traffic, "keepBuffer"):
            released = grown(65_536)
        trim()
        self.assertGreater(grown(65_536) - released, 16_384)
        trim()
        self.assertLess(grown(0), 4_000)
        self.assertLess(grown(1000), 8_000)

    def test_large(self) -> None:
        """
        Whoever receives or sends a large chunk is known to have grown, and
        after a small one is not.
        """
        for link in self.opened():
            trimmer = trimmerOf(link.clock)
            for size, isNoted in ((100, False), (5000, True)):
                for source, target in ((link.near, link.far), (link.far, link.near)):
                    trimmer.forget(link.near.tls)
                    trimmer.forget(link.far.tls)
                    trimmer.round = object()
                    source.tls.write(b"x" * size)
                    link.wire.flush()
                    noted = [each() for each in trimmer._few]
                    self.assertEqual(source.tls in noted, isNoted)
                    self.assertEqual(target.tls in noted, isNoted)

    def test_replaced(self) -> None:
        """
        A connection that somebody has put in the place of pyOpenSSL's own is
        used by its public methods.
        """
        for link in self.opened():
            real = link.near.tls._tlsConnection
            calls: list[str] = []

            class Replacement:
                def __getattr__(
                    self, name: str, real: Any = real, calls: list[str] = calls
                ) -> object:
                    calls.append(name)
                    return getattr(real, name)

            link.near.tls._tlsConnection = Replacement()
            link.far.tls.write(b"question")
            link.near.tls.write(b"answer")
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"question")
            self.assertEqual(link.far.application.received, b"answer")
            self.assertLessEqual({"bio_write", "recv", "sendall", "bio_read"}, set(calls))
            self.assertEqual({"_into_ssl", "_from_ssl"} & set(calls), set())
            link.near.tls._tlsConnection = real


@perVersion(segments=(0,))
class QuietTests(ProtocolMixin):
    """
    Nobody waits where nothing can be asked.
    """

    def test_noGreenlet(self) -> None:
        """
        A client with certificates reads in TLS 1.3 without a greenlet, though
        it may be asked for one of them.
        """
        if self.version is not SslProtocols.Tls13:
            return
        link = self.link(False, client={"clientCertificates": [CLIENT]})
        link.wire.flush()
        self.assertIsNotNone(link.near.tls._reauthentication)
        with patch("txsslstream.reauthentication.PausableCall", side_effect=AssertionError):
            link.far.tls.write(b"data")
            link.wire.flush()
            self.assertEqual(link.near.application.received, b"data")
            answered = link.far.tls.negotiateClientCertificateAsync()
            self.assertRaises(AssertionError, link.wire.flush)
        answered.addErrback(lambda _: None)
        link.wire.cut()


class FakeSocket:
    """
    A socket with a script.

    @ivar room: how many bytes it takes; none when that is used up.
    @ivar sent: what it took, call by call.
    @ivar incoming: what is to be read, call by call.
    @ivar sizes: how much was asked for.
    @ivar error: what sending fails with.
    @ivar settings: the options that were set.
    """

    def __init__(self) -> None:
        self.room = 1 << 40
        self.sent: list[bytes] = []
        self.incoming: list[bytes] = []
        self.sizes: list[int] = []
        self.error: OSError | None = None
        self.settings: list[tuple[int, int, int]] = []

    def setblocking(self, isBlocking: bool) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.settings.append((level, option, value))

    def send(self, data: memoryview) -> int:
        if self.error is not None:
            raise self.error
        if not self.room:
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent.append(taken)
        return len(taken)

    def recv(self, size: int) -> bytes:
        self.sizes.append(size)
        return self.incoming.pop(0)

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        pass


class FakeReactor(Clock):
    """
    A clock that knows who wants to write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        pass

    def removeReader(self, reader: Any) -> None:
        pass

    def addWriter(self, writer: Any) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        if writer in self.writers:
            self.writers.remove(writer)


class Subclass(tcp.Server):
    """
    Not exactly Twisted's own.
    """


class Unabortable(tcp.Server):
    """
    Nor can it be aborted.
    """

    @property
    def abortConnection(self) -> Any:
        raise AttributeError("abortConnection")


class HandOverTests(SynchronousTestCase):
    """
    What is encrypted goes straight to the socket where that is possible.
    """

    tls: Any

    def connected(
        self,
        transportClass: type[tcp.Server] = tcp.Server,
        isDirect: bool = True,
        factory: type[TLSMemoryBIOFactory] = SslStreamFactory,
        options: Any = None,
    ) -> None:
        """
        A server on such a transport, or a client with such options.
        """
        self.reactor = FakeReactor()
        self.socket = FakeSocket()
        self.application = Application()
        chosen: Any = options or SslServerAuthenticationOptions(SERVER)
        self.tls = factory(
            chosen,
            options is not None,
            Factory.forProtocol(lambda: self.application),
            self.reactor,
        ).buildProtocol(None)
        self.tls.handsOverDirectly = isDirect
        self.transport = transportClass(
            self.socket,  # type: ignore[arg-type]
            self.tls,
            ("192.0.2.1", 1),
            None,  # type: ignore[arg-type]
            0,
            self.reactor,  # type: ignore[arg-type]
        )
        self.tls.makeConnection(self.transport)

    def opened(self, transportClass: type[tcp.Server] = tcp.Server, isDirect: bool = True) -> None:
        """
        Such a server, with a client that is a bare connection.
        """
        self.connected(transportClass, isDirect)
        self.shake()
        self.turn()
        self.client.bio_write(b"".join(self.socket.sent))
        self.socket.sent.clear()
        self.assertEqual(self.reactor.writers, [])

    def shake(self) -> None:
        """
        Have the client make the handshake, up to the server's last words.
        """
        self.client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        self.client.set_connect_state()
        while not self.application.events:
            with contextlib.suppress(SSL.WantReadError):
                self.client.do_handshake()
            self.receive(self.client.bio_read(MIB))
            if not self.application.events:
                self.turn()
                self.client.bio_write(b"".join(self.socket.sent))
                self.socket.sent.clear()

    def receive(self, data: bytes) -> None:
        """
        The socket has this to read.
        """
        self.socket.incoming.append(data)
        self.transport.doRead()

    def turn(self) -> None:
        """
        One turn of the reactor.
        """
        self.reactor.advance(0)
        for each in list(self.reactor.writers):
            why = each.doWrite()
            if why is not None:
                self.reactor.removeWriter(each)
                each.connectionLost(Failure(why))

    def clientGot(self) -> bytes:
        """
        What the client can decrypt.
        """
        self.client.bio_write(b"".join(self.socket.sent))
        self.socket.sent.clear()
        got = b""
        try:
            while True:
                got += self.client.recv(1 << 16)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return got

    def write(self, data: bytes) -> None:
        """
        Write without waiting for more.
        """
        self.tls.writeNow(data)

    def test_directly(self) -> None:
        """
        Nothing waits for the reactor when the socket takes it.
        """
        self.opened()
        self.write(b"data")
        self.assertEqual(len(self.socket.sent), 1)
        self.assertEqual(self.reactor.writers, [])
        self.assertEqual(self.clientGot(), b"data")

    def test_noDelay(self) -> None:
        """
        Nor does it wait in the kernel for the peer to acknowledge what was sent
        before; what the reactor sends is left as it was.
        """
        noDelay = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for isDirect in (True, False):
            self.opened(isDirect=isDirect)
            self.assertEqual(self.socket.settings, [noDelay] * isDirect)

    def test_together(self) -> None:
        """
        What a server says first is one packet, with its tickets, and goes at
        once; so does the end.
        """
        for isDirect in (True, False):
            self.connected(isDirect=isDirect)
            self.application.reactions["handshake"] = lambda application: (
                application.transport.write(b"wel"),
                application.transport.write(b"come"),
            )
            self.shake()
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.assertEqual(len(self.socket.sent), isDirect)
            self.tls.loseConnection()
            self.assertEqual(len(self.socket.sent), 2 * isDirect)
            self.turn()
            self.assertEqual(len([each for each in self.socket.sent if each]), 1 + isDirect)
            self.assertEqual(self.clientGot(), b"welcome")
            self.assertEqual(self.client.get_shutdown(), SSL.RECEIVED_SHUTDOWN)

    def test_handshake(self) -> None:
        """
        No turn of the reactor is waited for in a handshake, where it is not
        switched off.
        """
        for isDirect in (True, False):
            self.connected(isDirect=isDirect)
            client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
            client.set_connect_state()
            self.assertRaises(SSL.WantReadError, client.do_handshake)
            self.receive(client.bio_read(MIB))
            self.assertEqual(len(self.socket.sent), isDirect)
            self.assertEqual(len(self.reactor.writers), not isDirect)

    def greeted(self) -> SSL.Connection:
        """
        @return: a server that has answered the hello of the client.
        """
        self.turn()
        server = SSL.Connection(contextFor(SslServerAuthenticationOptions(SERVER).parameters))
        server.set_accept_state()
        server.bio_write(b"".join(self.socket.sent))
        self.socket.sent.clear()
        self.assertRaises(SSL.WantReadError, server.do_handshake)
        self.receive(server.bio_read(MIB))
        return server

    def test_client(self) -> None:
        """
        A client's hello is out at once, and its last message, in TLS 1.3, in one
        packet with what its application says first.
        """
        for isDirect in (True, False):
            self.connected(isDirect=isDirect, options=clientOptions())
            self.application.reactions["handshake"] = _saying(b"ques", b"tion")
            self.assertEqual(len(self.socket.sent), isDirect)
            self.assertEqual(len(self.reactor.writers), not isDirect)
            server = self.greeted()
            self.assertEqual(len(self.socket.sent), isDirect)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.turn()
            server.bio_write(b"".join(self.socket.sent))
            server.do_handshake()
            self.assertEqual(server.get_protocol_version(), SSL.TLS1_3_VERSION)
            self.assertEqual(server.recv(MIB), b"question")

    def test_refusingClient(self) -> None:
        """
        A client that refuses its server says that at once, and nothing else.
        """
        for isDirect in (True, False):
            self.connected(isDirect=isDirect, options=clientOptions(targetHost="elsewhere.example"))
            server = self.greeted()
            error = failureOf(self.tls.whenAuthenticated(), AuthenticationError)
            self.assertIs(error.alertSent, TlsAlert.bad_certificate)
            self.assertEqual(self.application.events, [])
            self.assertEqual(len(self.socket.sent), isDirect)
            self.turn()
            server.bio_write(b"".join(self.socket.sent))
            refused = self.assertRaises(SSL.Error, server.do_handshake)
            self.assertIn("bad certificate", str(refused))

    def test_interfaces(self) -> None:
        """
        Over TCP the transport provides what Twisted's own TLS does, thus all that
        TCP does, in either life.
        """
        twisteds = optionsForClientTLS("localhost")
        self.connected(factory=TLSMemoryBIOFactory, options=twisteds)
        stock = set(providedBy(self.tls))
        self.assertLess(set(implementedBy(tcp.Server)), stock)
        for options in (twisteds, clientOptions()):
            self.connected(options=options)
            self.assertEqual(set(providedBy(self.tls)), stock | {ISslStream})
        self.assertFalse(IReadWriteDescriptor.implementedBy(SslStreamFactory.protocol))
        self.assertTrue(IReadWriteDescriptor.providedBy(self.tls))

    def test_nothingToSay(self) -> None:
        """
        A server whose application says nothing sends its tickets all the same.
        """
        self.connected()
        self.shake()
        self.assertEqual(len(self.socket.sent), 1)
        self.assertEqual(self.clientGot(), b"")
        self.assertEqual(self.reactor.writers, [])

    def test_failingApplication(self) -> None:
        """
        Of an application that fails as it is connected nothing is sent, nor
        anything else.
        """

        def fail(application: Any) -> None:
            application.transport.write(b"welcome")
            raise RuntimeError("no")

        for transportClass in (tcp.Server, Unabortable):
            self.connected(transportClass)
            self.application.reactions["handshake"] = fail
            self.shake()
            self.turn()
            self.assertEqual([each for each in self.socket.sent if each], [])
            self.assertFalse(self.transport.connected)
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_ended(self) -> None:
        """
        The answer to a peer that has ended goes with the end of the connection.
        """
        self.opened()
        self.client.shutdown()
        self.receive(self.client.bio_read(MIB))
        self.assertEqual(self.socket.sent, [])
        self.turn()
        self.assertFalse(self.transport.connected)
        self.assertEqual(self.clientGot(), b"")
        self.assertEqual(self.client.get_shutdown(), SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)

    def test_answer(self) -> None:
        """
        That includes the answer to what has just been read.
        """
        self.opened()
        self.application.reactions["data"] = _saying(b"answer")
        self.client.send(b"question")
        self.receive(self.client.bio_read(MIB))
        self.assertEqual(self.reactor.writers, [])
        self.assertEqual(self.clientGot(), b"answer")

    def test_alert(self) -> None:
        """
        That includes the alert for a peer that is refused, and close_notify: they
        are out even if the process ends at once.
        """
        for isDirect in (True, False):
            self.connected(isDirect=isDirect)
            self.receive(inRecords(clientHello(suites=(0x1234,))))
            error = failureOf(self.tls.whenAuthenticated(), AuthenticationError)
            self.assertIs(error.alertSent, TlsAlert.handshake_failure)
            self.assertEqual(len(self.socket.sent), isDirect)
            self.turn()
            self.assertEqual(b"".join(self.socket.sent), alertRecord(TlsAlert.handshake_failure))
            self.opened(isDirect=isDirect)
            self.tls.loseConnection()
            self.assertEqual(len(self.socket.sent), isDirect)
            self.turn()
            self.assertEqual(self.clientGot(), b"")
            self.assertEqual(self.client.get_shutdown(), SSL.RECEIVED_SHUTDOWN)

    def test_notDirectly(self) -> None:
        """
        On any other class of transport, and where it is switched off, the
        reactor does it.
        """
        for arguments in ((Subclass, True), (tcp.Server, False)):
            self.opened(*arguments)
            self.write(b"data")
            self.assertEqual(self.socket.sent, [])
            self.assertEqual(self.reactor.writers, [self.transport])
            self.turn()
            self.assertEqual(self.clientGot(), b"data")

    def test_full(self) -> None:
        """
        What the socket does not take waits for the reactor, and what is written
        meanwhile waits behind it.
        """
        for room in (0, 10, 40_000):
            self.opened()
            self.socket.room = room
            self.write(b"a" * 65_536)
            self.write(b"b" * 10)
            self.assertEqual(sum(map(len, self.socket.sent)), room)
            self.assertEqual(self.reactor.writers, [self.transport])
            self.socket.room = 1 << 40
            self.write(b"c")
            self.assertEqual(sum(map(len, self.socket.sent)), room)
            self.turn()
            self.assertEqual(self.clientGot(), b"a" * 65_536 + b"b" * 10 + b"c")
            self.assertEqual(self.reactor.writers, [])
            self.write(b"d")
            self.assertEqual(self.clientGot(), b"d")

    def test_error(self) -> None:
        """
        An error is the reactor's to find: the application hears of it once, and
        not from within its own call.
        """
        self.opened()
        self.socket.error = ConnectionResetError(errno.ECONNRESET, "reset")
        self.write(b"data")
        self.assertNotIn("lost", self.application.events)
        self.assertEqual(self.reactor.writers, [self.transport])
        self.turn()
        self.assertEqual(self.application.events.count("lost"), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_budget(self) -> None:
        """
        One that writes much gives the reactor a turn for others in between.
        """
        self.opened()
        count = Socket.BUDGET // 65_536 + 1
        for _ in range(count):
            self.write(b"x" * 65_536)
        direct = sum(map(len, self.socket.sent))
        self.assertGreaterEqual(direct, Socket.BUDGET)
        self.assertLess(direct, Socket.BUDGET + 70_000)
        self.assertEqual(self.reactor.writers, [self.transport])
        self.turn()
        self.assertEqual(self.reactor.writers, [])
        self.write(b"y")
        self.assertEqual(self.reactor.writers, [])
        self.assertEqual(self.clientGot(), b"x" * count * 65_536 + b"y")

    def test_aborted(self) -> None:
        """
        Nothing goes to a socket whose connection was aborted or closed for
        writing.
        """
        for end in ("abortConnection", "connectionLost"):
            self.opened()
            if end == "abortConnection":
                self.transport.abortConnection()
            else:
                self.transport.connectionLost(Failure(ConnectionLost()))
            self.assertEqual(Socket(self.transport).offer(memoryview(b"data")), 0)
            self.assertEqual(self.socket.sent, [])
        self.opened()
        self.transport._writeDisconnected = True
        self.assertEqual(Socket(self.transport).offer(memoryview(b"data")), 0)
        self.opened()
        self.transport.TLS = True
        self.assertEqual(Socket(self.transport).offer(memoryview(b"data")), 0)
        self.opened()
        self.assertEqual(Socket(self.transport).offer(memoryview(b"data")), 4)

    def test_gone(self) -> None:
        """
        A connection that is gone before TLS begins is as silent as any other
        transport of the kind, and ends with the time.
        """
        for options in (None, clientOptions()):
            self.connected(options=options)
            self.socket.sent.clear()
            self.socket.settings.clear()
            gone, self.transport.protocol = self.transport, Application()
            gone.connectionLost(Failure(ConnectionLost()))
            self.tls = self.tls.factory.buildProtocol(None)
            self.tls.makeConnection(gone)
            authenticated = self.tls.whenAuthenticated()
            self.assertNoResult(authenticated)
            self.reactor.advance(30)
            failureOf(authenticated, HandshakeTimeout)
            self.assertEqual((self.socket.sent, self.socket.settings), ([], []))

    def test_readsMuch(self) -> None:
        """
        While much is read more is read at once; when the connection is trimmed
        it is as much as on any other.
        """
        self.opened()
        self.client.send(b"little")
        self.receive(self.client.bio_read(MIB))
        self.client.sendall(b"x" * 70_000)
        self.receive(self.client.bio_read(65_536))
        self.receive(self.client.bio_read(MIB))
        self.assertEqual(self.socket.sizes[-3:], [65_536, 65_536, Socket.BULK])
        self.assertLess(Socket.BULK, 128 * 1024)
        self.tls.trim()
        self.client.send(b"little")
        self.receive(self.client.bio_read(MIB))
        self.assertEqual(self.socket.sizes[-1], 65_536)
        self.assertEqual(len(self.application.received), 70_012)

    def test_producer(self) -> None:
        """
        A producer is paused when the socket takes no more, and goes on when
        what is left has been sent.
        """
        calls: list[str] = []

        @implementer(IPushProducer)
        class Noting:
            def pauseProducing(self) -> None:
                calls.append("pause")

            def resumeProducing(self) -> None:
                calls.append("resume")

            def stopProducing(self) -> None:
                calls.append("stop")

        self.opened()
        self.tls.registerProducer(Noting(), True)
        self.write(b"x" * 65_536)
        self.assertEqual(calls, [])
        self.socket.room = 100
        self.write(b"x" * 70_000)
        self.assertEqual(calls, ["pause"])
        self.turn()
        self.assertEqual(calls, ["pause"])
        self.socket.room = 1 << 40
        self.turn()
        self.assertEqual(calls, ["pause", "resume"])
        self.tls.unregisterProducer()
        self.assertEqual(len(self.clientGot()), 65_536 + 70_000)
