"""
The workloads in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.benchmarks.children import Watch
from tests.benchmarks.credentials import Credentials
from tests.benchmarks.memory.bare import PIECE, BareEnd, context
from tests.benchmarks.memory.ends import End, EndMaker, endsOf
from tests.benchmarks.results import Result
from tests.benchmarks.workloads import BATCH, MIB, Workload

#: What a socket hands over at a time, in bytes.
READ = 1 << 16


class Pairs:
    """
    Pairs of a tested side and of bare OpenSSL, connected.
    """

    def __init__(self, contestant: str, workload: Workload, credentials: Credentials) -> None:
        settings = workload.settings
        self._make: EndMaker = endsOf(contestant, settings, credentials)
        self._peerIsServer = not settings.isServer
        self._context = context(replace(settings, isServer=self._peerIsServer), credentials)

    def connect(
        self, watch: Watch, echoes: bool = False, session: Any = None
    ) -> tuple[End, BareEnd]:
        """
        @param watch: counts what the tested side's handshake takes.
        @param session: of the peer, to go on with.
        """
        peer = BareEnd(self._context, self._peerIsServer, len)
        if session is not None:
            peer.connection.set_session(session)
        with watch:
            tested = self._make(echoes)
            tested.start()
        data = tested.take() if self._peerIsServer else peer.start()
        if self._peerIsServer:
            data = peer.handshake(data)
        while data:
            with watch:
                tested.feed(data)
                tested.turn()
            data = tested.take()
            if data:
                data = peer.handshake(data)
        assert tested.isOpen, "the tested side has not finished its handshake"
        assert peer.isOpen, "the peer has not finished its handshake"
        return tested, peer


def send(pairs: Pairs, workload: Workload) -> Watch:
    """
    The tested side writes.
    """
    tested, _ = pairs.connect(Watch())
    watch = Watch()
    chunk = bytes(workload.size)
    # As many as a producer writes in a turn of the reactor.
    writes = max(1, PIECE // workload.size)
    turns = range(MIB // (writes * workload.size))
    for _ in range(workload.amount // MIB):
        size = 0
        with watch:
            for _ in turns:
                for _ in range(writes):
                    tested.write(chunk)
                tested.turn()
                size += tested.drop()
        assert size > MIB, f"{size} bytes of ciphertext for {MIB} of plaintext"
    return watch


def receive(pairs: Pairs, workload: Workload) -> Watch:
    """
    The tested side reads.
    """
    tested, peer = pairs.connect(Watch())
    watch = Watch()
    chunk = bytes(workload.size)
    for _ in range(workload.amount // MIB):
        data = b"".join(peer.encrypt(chunk) for _ in range(MIB // workload.size))
        reads = [data[start : start + READ] for start in range(0, len(data), READ)]
        with watch:
            for each in reads:
                tested.feed(each)
                tested.turn()
    return watch


def echo(pairs: Pairs, workload: Workload) -> Watch:
    """
    The tested side answers each message with the same.
    """
    tested, peer = pairs.connect(Watch(), echoes=True)
    watch = Watch()
    chunk = bytes(workload.size)
    expected = 0

    def received(data: bytes) -> None:
        nonlocal expected
        expected -= len(data)

    peer.received = received
    for _ in range(workload.amount // BATCH):
        messages = [peer.encrypt(chunk) for _ in range(BATCH)]
        with watch:
            for each in messages:
                tested.feed(each)
                tested.turn()
        answers = tested.take()
        expected = BATCH * workload.size
        for start in range(0, len(answers), PIECE):
            peer.feed(answers[start : start + PIECE])
        assert expected == 0, f"{expected} bytes were not sent back"
    return watch


def handshake(pairs: Pairs, workload: Workload) -> Watch:
    """
    Connections that do nothing, from their first byte to C{close_notify}.
    """
    isResumable = workload.settings.resumes
    session: Any = None
    watch = Watch()
    resumed = 0
    # The first ones fill caches, and bring a session to go on with.
    for index in range(workload.amount + 5):
        if index == 5:
            watch = Watch()
            resumed = 0
        tested, peer = pairs.connect(watch, session=session)
        resumed += peer.isResumed
        if isResumable and workload.settings.isServer:
            session = peer.session()
        end = peer.close()
        with watch:
            tested.feed(end)
            tested.lost()
    expected = workload.amount if isResumable else 0
    assert resumed == expected, f"{resumed} of {workload.amount} sessions went on"
    return watch


RUNS: dict[str, Callable[[Pairs, Workload], Watch]] = {
    "send": send,
    "receive": receive,
    "echo": echo,
    "handshake": handshake,
}


def run(contestant: str, workload: Workload, credentials: Credentials) -> Result:
    """
    Measure once.
    """
    pairs = Pairs(contestant, workload, credentials)
    return RUNS[workload.kind](pairs, workload).result(workload.amount)
