"""
Whole conversations over streams in memory, with strangers that know no key, and
with somebody on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txsslstream import (
    AuthenticationError,
    ServerOptionsSelection,
    SslProtocols,
    SslStream,
    TlsError,
    TruncationError,
)
from txsslstream.records import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE
from txsslstream.testing import (
    MemoryTransport,
    MisbehavingPeer,
    StreamPair,
    Wire,
    sharedAuthority,
    streamFacing,
)
from txsslstream.testing.messages import clientHello, inRecords, record, supportedVersions

from .meddling import KINDS, Change, Meddler, changesIn, clearHandshake, recordsIn
from .target import Target, chosen, pieces, require

VERSIONS = (SslProtocols.Tls12, SslProtocols.Tls13)
_SIZES = (0, 1, 7, 1000)

#: What each end says, in so many writes.
_MESSAGES = (b"first", bytes(range(256)) * 80, b"last")
_MESSAGE = b"".join(_MESSAGES)

#: Seconds after which nothing waits any more.
LONG = 1000

#: What reading and writing may fail with, once a peer or the network is bad.
BROKEN = (AuthenticationError, TlsError, TruncationError)


def segments(kind: int, size: int) -> int:
    return _SIZES[kind % len(_SIZES)] if size < 2000 or kind % len(_SIZES) != 1 else 0


def _atRest(clock: Clock, wire: Wire) -> None:
    wire.advance(LONG)
    require(not clock.getDelayedCalls(), f"a timer is left: {clock.getDelayedCalls()}")
    for end in wire.ends:
        require(not end.connected or end.closing is not None, f"{end} is still connected")


# Strangers.


def _stranger(data: bytes) -> str:
    kind, rest = chosen(data)
    isServer = bool(kind & 1)
    version = VERSIONS[kind >> 1 & 1]
    authority = sharedAuthority()
    peer = MisbehavingPeer.says(b"", atOnce=True)
    facing = streamFacing(peer, isServer)
    stream, ours = facing.stream, facing.wire.server if isServer else facing.wire.client
    if isServer:
        options: Any = authority.serverOptions(version)
        if kind & 0x20:
            options = ServerOptionsSelection(lambda stream, hello, state: authority.serverOptions())
        elif kind & 0x40:
            options = authority.serverOptions(
                serverCertificateSelectionCallback=lambda stream, name: authority.serverCertificate
            )
        waiting = stream.authenticateAsServer(options)
    else:
        waiting = stream.authenticateAsClient(authority.clientOptions(version))
    results: list[Any] = []
    waiting.addBoth(results.append)
    facing.flush()
    theirs = facing.wire.client if isServer else facing.wire.server
    for piece in pieces(rest, segments(kind >> 3, len(rest))):
        theirs.write(piece)
        facing.flush()
    said = bytes(ours.everWritten)
    theirs.loseConnection()
    facing.flush()
    require(len(results) == 1, "no end of the authentication")
    _atRest(facing.clock, facing.wire)
    _, incomplete = recordsIn(said)
    require(not incomplete, "what is answered are no whole records")
    (result,) = results
    require(not isinstance(result, SslStream), "a stranger is authenticated")
    result.raiseException()
    raise AssertionError


def _strangerSeeds() -> Iterator[bytes]:
    hello13 = inRecords(clientHello(supportedVersions(0x0304)))
    pair = StreamPair()
    pair.authenticate(SslProtocols.Tls13, flush=False)
    for _ in range(2):
        pair.wire.step()
    client, server = (bytes(each.everWritten) for each in pair.wire.ends)
    pair.client.abort()
    pair.flush()
    old = StreamPair()
    old.authenticate(SslProtocols.Tls12, flush=False)
    for _ in range(2):
        old.wire.step()
    client12, server12 = (bytes(each.everWritten) for each in old.wire.ends)
    old.client.abort()
    old.flush()
    for kind in (1, 3, 9, 0x21, 0x41):
        for each in (hello13, client, client12):
            yield bytes((kind,)) + each
    for kind, each in ((2, server), (0, server12), (8, server12)):
        yield bytes((kind,)) + each[:4000]
    for kind in range(4):
        yield bytes((kind,)) + record(ALERT, b"\2\x28")
        yield bytes((kind,)) + b"GET / HTTP/1.1\r\n\r\n"
        yield bytes((kind,)) + record(APPLICATION_DATA, b"data")
        yield bytes((kind,)) + record(CHANGE_CIPHER_SPEC, b"\1") + record(HANDSHAKE, bytes(4))


# Somebody on the way.


class _MeddledWire(Wire):
    """
    A wire whose ends can be meddled with.
    """

    def makeEnds(self, clock: Clock) -> tuple[MemoryTransport, MemoryTransport]:
        """
        @return: both.
        """
        return Meddler("client", clock), Meddler("server", clock)


class _MeddledPair(StreamPair):
    """
    Streams on that wire.
    """

    wireClass = _MeddledWire


class _End:
    """
    One end of a conversation: it says what it has to say, and hears the other.

    @ivar heard: what it has heard.
    @ivar outcome: how it has ended, L{None} before.
    """

    def __init__(self, stream: SslStream, authenticated: Deferred[SslStream]) -> None:
        self.heard = b""
        self.outcome: str | None = None
        self.isAuthenticated = False
        self._stream = stream
        self._errors: list[Any] = []
        Deferred.fromCoroutine(self._talk(authenticated)).addErrback(self._errors.append)

    async def _talk(self, authenticated: Deferred[SslStream]) -> None:
        try:
            await authenticated
            self.isAuthenticated = True
            for each in _MESSAGES:
                await self._stream.write(each)
            await self._stream.shutdown()
        except BROKEN as e:
            self.outcome = type(e).__name__
            if not self.isAuthenticated:
                return
        try:
            while data := await self._stream.read():
                self.heard += data
        except BROKEN as e:
            self.outcome = type(e).__name__
        else:
            self.outcome = self.outcome or "clean"

    def check(self) -> None:
        """
        @raise Finding: it has not ended as it must.
        """
        for error in self._errors:
            error.raiseException()
        require(self.outcome, "it has no end")
        require(_MESSAGE.startswith(self.heard), "something else is heard than was said")
        isWhole = self.heard == _MESSAGE
        require(isWhole or self.outcome != "clean", "less is heard than was said")


def _conversation(data: bytes) -> str:
    kind, rest = chosen(data)
    version = VERSIONS[kind & 1]
    isTls13 = bool(kind & 1)
    pair = _MeddledPair(segments(kind >> 3, 5000))
    meddled: Any = pair.wire.server if kind & 2 else pair.wire.client
    for change in changesIn(rest):
        meddled.changes[change.number].append(change)
    authority = sharedAuthority()
    isMutual = kind & 4
    server: dict[str, Any] = {"clientCertificateRequired": True} if isMutual else {}
    client = {"clientCertificates": (authority.clientCertificate,)} if isMutual else {}
    if kind & 0x20:
        server["serverCertificate"] = None
        server["serverCertificateSelectionCallback"] = lambda *_: authority.serverCertificate
    waiting = pair.authenticate(version, client, server, flush=False)
    ends = [_End(each, it) for each, it in zip((pair.client, pair.server), waiting, strict=True)]
    pair.flush()
    if kind & 0x40:
        pair.advance(LONG)
    if not all(end.outcome for end in ends):
        # What is still waited for never comes.
        pair.wire.cut()
    for stream in (pair.client, pair.server):
        stream.close()
    pair.advance(LONG)
    for end in ends:
        end.check()
    _atRest(pair.clock, pair.wire)
    received = bytes(meddled.everWritten)
    if received == meddled.said and not meddled.isLate:
        outcomes = [end.outcome for end in ends]
        require(outcomes == ["clean", "clean"], f"nothing was changed, and still: {outcomes}")
        return "unchanged"
    if all(end.isAuthenticated for end in ends):
        said, heard = (clearHandshake(each, isTls13) for each in (meddled.said, received))
        require(said == heard[: len(said)], "a handshake is accepted, changed")
    return ", ".join(str(end.outcome) for end in ends)


def _conversationSeeds() -> Iterator[bytes]:
    for kind in range(4):
        yield bytes((kind,))
        yield bytes((kind | 4 | 0x20,)) + Change(0, 9, 50, 0, b"").encoded()
        for change in range(KINDS):
            for number in (0, 1, 2, 4, 5, 6):
                done = Change(number, change, 40 + 7 * number, 22, b"\1\0\0\2ab")
                yield bytes((kind | (change % 4) << 3,)) + done.encoded()


TARGETS = (
    Target(
        "strangers",
        "records before a handshake, to servers and clients, by somebody who knows no key",
        _stranger,
        _strangerSeeds,
        (AuthenticationError,),
        longest=2500,
        largest=1 << 17,
        seconds=0.5,
        perByte=2e-5,
        memory=8 << 20,
        memoryPerByte=200,
        sampled=200,
        share=2,
    ),
    Target(
        "conversations",
        "records in a handshake and behind it that somebody on the way changes, inserts, repeats, "
        "drops, delays and cuts: what is heard is what was said, or the end is an error",
        _conversation,
        _conversationSeeds,
        longest=300,
        largest=1 << 12,
        seconds=1.0,
        memory=16 << 20,
        sampled=200,
        share=2,
    ),
)
