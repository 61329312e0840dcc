# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: what is left of connections, and what is the same in all of them.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from ..errors import HandshakeTimeout, TlsError
from .authority import sharedAuthority
from .conforming import (
    GARBAGE,
    ConformanceCase,
    Talk,
    behaviour,
    expect,
    forget,
    patterned,
    troubleOf,
)
from .outcomes import failureOf, resultOf
from .wires import Listener, MemoryTestWire


async def answer(stream: Any, authenticated: Deferred[Any], seen: list[Any]) -> None:
    """
    Have a server's part of a conversation.

    @param seen: where to put what it sees.
    """
    await authenticated
    seen.append(stream.remoteCertificate)
    seen.append(await stream.readUntil(b"\r\n"))
    await stream.write(b"WELCOME\r\n")
    seen.append(b"".join([data async for data in stream]))
    for seed in range(3):
        await stream.write(patterned(1000, seed))
    await stream.close()


class Leaving(ConformanceCase):
    """
    Tests for what remains.
    """

    def leavesNothing(self, live: Callable[[], tuple[Any, list[Any]]]) -> None:
        """
        Once a scenario is over and forgotten, no object of it is left, without
        the help of the garbage collector.

        @param live: lets it happen; returns its wire, and whatever is to go.
        """

        def lived() -> list[weakref.ref[Any]]:
            wire, objects = live()
            self._wires.remove(wire)
            wire.close()
            expect(wire.clock.getDelayedCalls(), [])
            return [weakref.ref(each) for each in objects]

        gc.disable()
        try:
            references = lived()
            expect([each() for each in references], [None] * len(references))
        finally:
            gc.enable()

    def ended(self, end: Callable[[Talk], object]) -> Callable[[], tuple[Any, list[Any]]]:
        """
        Two streams whose connection is ended in this way.
        """

        def live() -> tuple[Any, list[Any]]:
            talk = self.opened()
            talk.expectUsable()
            end(talk)
            talk.flush()
            return talk.wire, [talk.ours, talk.theirs]

        return live

    @behaviour(109)
    def test_nothingLeft(self) -> None:
        """
        Nothing is left of a connection that has ended, in order or not.
        """
        ends: tuple[Callable[[Talk], object], ...] = (
            lambda talk: (talk.ours.close(), talk.theirs.close()),
            lambda talk: talk.wire.reset(talk.far),
            lambda talk: talk.ours.abort(),
            lambda talk: talk.wire.inject(talk.far, GARBAGE),
        )
        for end in ends:
            self.leavesNothing(self.ended(end))

    @behaviour(110)
    def test_nothingLeftOfHandshake(self) -> None:
        """
        Nor of a handshake that took too long, or was cancelled.
        """

        def live(isCancelled: bool) -> tuple[Any, list[Any]]:
            talk, ours, theirs = self.begun()
            talk.wire.stall(talk.far)
            talk.flush()
            if isCancelled:
                ours.cancel()
                troubleOf(ours)
            else:
                talk.wire.advance(30)
                failureOf(ours, HandshakeTimeout)
            talk.wire.release(talk.far)
            talk.flush()
            troubleOf(theirs)
            return talk.wire, [talk.ours, talk.theirs]

        for isCancelled in (False, True):
            self.leavesNothing(partial(live, isCancelled))

    @behaviour(111)
    def test_nothingLeftOfApplications(self) -> None:
        """
        Nor of applications and their protocols.
        """
        ends: tuple[Callable[[Talk], object], ...] = (
            lambda talk: talk.ours.transport.loseConnection(),
            lambda talk: talk.wire.reset(talk.far),
        )

        def live(end: Callable[[Talk], object]) -> tuple[Any, list[Any]]:
            talk = self.connected()
            end(talk)
            talk.flush()
            self.bothLost(talk)
            objects = [talk.ours, talk.theirs, *self.tls]
            del self.tls
            return talk.wire, objects

        for end in ends:
            self.leavesNothing(partial(live, end))

    def bothLost(self, talk: Talk) -> None:
        """
        Both applications have heard of the end.
        """
        expect([each.events.count("lost") for each in (talk.ours, talk.theirs)], [1, 1])

    @behaviour(112)
    def test_nothingLeftOfPatience(self) -> None:
        """
        The timer that waits for a silent peer holds nothing when its time is
        over.
        """

        def live() -> tuple[Any, list[Any]]:
            talk = self.opened()
            talk.ours.close()
            talk.flush()
            expect(talk.wire.clock.getDelayedCalls() == [], False)
            talk.wire.advance(5)
            expect(talk.wire.clock.getDelayedCalls(), [])
            return talk.wire, [talk.ours, talk.theirs]

        self.leavesNothing(live)

    @behaviour(113)
    def test_dropped(self) -> None:
        """
        An open stream that nobody has any more goes on until the peer ends it.
        """
        gc.disable()
        try:
            talk = self.opened()
            dropped = weakref.ref(talk.ours)
            talk.ours = None
            expect(resultOf(talk.theirs.write(b"is anybody there?")), None)
            talk.flush()
            talk.wire.advance(1000)
            expect(dropped() is None, False)
            expect(talk.wire.isConnected(talk.near), True)
            closing = talk.theirs.close()
            talk.wire.advance(5)
            expect(resultOf(closing), None)
            talk.expectGone()
            expect(dropped(), None)
        finally:
            gc.enable()

    @behaviour(116)
    def test_silentLog(self) -> None:
        """
        Nothing is logged of a conversation in which nothing goes wrong.
        """
        talk, ours, theirs = self.begun()
        with capturedLogs() as logged:
            talk.flush()
            expect([resultOf(ours), resultOf(theirs)], [talk.ours, talk.theirs])
            talk.expectUsable()
            talk.ours.close()
            talk.theirs.close()
            talk.expectGone()
        expect([each.get("log_text", each) for each in logged], [])

    @behaviour(117)
    def test_sticky(self) -> None:
        """
        A broken connection stays broken: every call repeats the error, good
        records that follow are not read, and nothing more is sent.
        """
        talk = self.opened()
        talk.wire.inject(talk.far, GARBAGE)
        forget(talk.theirs.write(b"good"))
        reading = talk.ours.read()
        talk.flush()
        error = failureOf(reading, TlsError)
        before = talk.wire.sent(talk.near)
        for later in (
            talk.ours.read(),
            talk.ours.readExactly(4),
            talk.ours.write(b"x"),
            talk.ours.flush(),
            talk.ours.shutdown(),
        ):
            expect(failureOf(later, TlsError) is error, True)
        talk.ours.close()
        talk.flush()
        expect(talk.wire.sent(talk.near), before)

    async def _ask(self, stream: Any, authenticated: Deferred[Any], seen: list[Any]) -> None:
        await authenticated
        seen.append(str(stream.negotiatedApplicationProtocol))
        await stream.write(b"HELLO\r")
        await stream.write(b"\n")
        seen.append(await stream.readUntil(b"\r\n"))
        await stream.write(patterned(2000))
        await stream.shutdown()
        seen.append(await stream.readExactly(3000))
        seen.append([data async for data in stream])
        await stream.close()

    def conversation(self) -> list[list[Any]]:
        """
        @return: what client and server have seen.
        """
        h2 = {"applicationProtocols": ["h2"]}
        client = {"clientCertificates": [sharedAuthority().clientCertificate], **h2}
        server = {"clientCertificateRequired": True, **h2}
        talk, ours, theirs = self.begun(*((server, client) if self.isServer else (client, server)))
        one, other = (theirs, ours) if self.isServer else (ours, theirs)
        seen: list[list[Any]] = [[], []]
        talks = [
            Deferred.fromCoroutine(self._ask(talk.client, one, seen[0])),
            Deferred.fromCoroutine(answer(talk.server, other, seen[1])),
        ]
        talk.flush()
        for each in talks:
            resultOf(each)
        talk.expectGone()
        return seen

    @behaviour(118)
    def test_anyWire(self) -> None:
        """
        However bytes come, a conversation goes as it does when they come whole.
        """
        found = self.conversation()
        expect([len(each) for each in found], [4, 3])
        self.makeWire = MemoryTestWire  # type: ignore[method-assign]
        expect(self.conversation() == found, True)

    @behaviour(119)
    def test_noise(self) -> None:
        """
        Whatever is sent in place of a handshake fails as documented, in bounded
        time, and the next connection is served.
        """
        for seed in range(8):
            random = Random(seed)
            content = random.randbytes(random.choice((1, 50, 5000)))
            header = bytes((random.choice((20, 21, 22, 23, 24)), 3, random.randrange(5)))
            noise = random.choice((content, header + len(content).to_bytes(2, "big") + content))
            talk = self.alone(Listener())
            authenticated = self.authenticate(talk.ours, self.options(self.isServer))
            talk.wire.inject(talk.far, noise)
            talk.wire.advance(30)
            troubleOf(authenticated)
            expect(talk.wire.isConnected(talk.near), False)
            expect(talk.wire.clock.getDelayedCalls(), [])
        self.opened().expectUsable()

    @behaviour(120)
    def test_resumed(self) -> None:
        """
        Where an earlier session goes on, the certificates of both sides are known
        as in the first; it never does with other options.
        """
        authority = sharedAuthority()
        client = {"clientCertificates": [authority.clientCertificate]}
        server = {"clientCertificateRequired": True}
        seen = []
        for options, isResumed in (
            (client, False),
            (client, True),
            ({**client, "targetHost": "127.0.0.1"}, False),
        ):
            talk = self.opened(*((server, options) if self.isServer else (options, server)))
            expect((talk.ours.isResumed, talk.theirs.isResumed), (isResumed, isResumed))
            seen.append((talk.client.remoteCertificate, talk.server.remoteCertificate))
            talk.expectUsable()
            talk.ours.close()
            talk.theirs.close()
            talk.expectGone()
        certificates = authority.serverCertificate, authority.clientCertificate
        expect(seen, [tuple(each.certificate for each in certificates)] * 3)
