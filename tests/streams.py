"""
What the tests of streams have in common: open pairs, and what one asserts of
them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.garbage import withoutCollector
from txsslstream import SslProtocols, SslStream
from txsslstream._waiting import _parked
from txsslstream.testing import Bystander, MemoryTransport, StreamPair, failureOf

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


class Opened(NamedTuple):
    """
    An authenticated pair, seen from one side.

    @ivar ours: the stream under test.
    @ivar ourTransport: what is below it.
    @ivar ourOriginal: the protocol that had that before.
    """

    pair: StreamPair
    ours: SslStream
    theirs: SslStream
    ourTransport: MemoryTransport
    theirTransport: MemoryTransport
    ourOriginal: Bystander
    theirOriginal: Bystander

    def flush(self) -> None:
        """
        Let everything that is under way arrive.
        """
        self.pair.wire.flush()

    def reversed(self) -> Opened:
        """
        The same, seen from the other side.
        """
        return Opened(
            self.pair,
            self.theirs,
            self.ours,
            self.theirTransport,
            self.ourTransport,
            self.theirOriginal,
            self.ourOriginal,
        )


class StreamMixin(_Mixin):
    """
    For test cases made by L{perVersion}.  The handshake is
    delivered whole; the segmentation begins behind it.
    """

    version: SslProtocols
    segment: int

    def opened(
        self,
        isServer: bool = False,
        ours: dict[str, Any] | None = None,
        theirs: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> Opened:
        """
        An authenticated pair.

        @param isServer: the role of the stream under test.
        @param ours: its options.
        @param theirs: the other's options.
        """
        pair = StreamPair(**arguments)
        options = (theirs, ours) if isServer else (ours, theirs)
        for authenticated in pair.authenticate(self.version, *options):
            self.successResultOf(authenticated)
        pair.wire.segment = self.segment
        client = (pair.client, pair.wire.client, pair.bystanders[0])
        server = (pair.server, pair.wire.server, pair.bystanders[1])
        one, other = (server, client) if isServer else (client, server)
        return Opened(pair, one[0], other[0], one[1], other[1], one[2], other[2])

    def bothRoles(self, **options: Any) -> Iterator[Opened]:
        """
        An authenticated pair for each role of the stream under test.  When the
        test is done with it, it is checked that nothing is left behind.
        """
        for isServer in (False, True):
            opened = self.opened(isServer, **options)
            yield opened
            opened.pair.wire.flush()
            self.assertNothingLeft(opened.pair)

    def assertNothingLeft(self, pair: StreamPair) -> None:
        """
        No timer runs once the connection is gone, and no handshake is parked.
        """
        if not pair.wire.client.connected:
            self.assertEqual(pair.clock.getDelayedCalls(), [])
        self.assertEqual(_parked, set())

    def assertUsable(self, opened: Opened) -> None:
        """
        Data arrives in both directions.
        """
        for one, other in ((opened.ours, opened.theirs), (opened.theirs, opened.ours)):
            self.successResultOf(one.write(b"still usable"))
            opened.flush()
            self.assertEqual(self.successResultOf(other.readExactly(12)), b"still usable")

    failure = staticmethod(failureOf)


class LeakMixin(StreamMixin):
    """
    For tests of what is left of a connection: nothing, without the help of the
    garbage collector.
    """

    def assertNothingSurvives(
        self, scenario: Callable[[StreamPair, Callable[..., Any]], object]
    ) -> None:
        """
        Once a scenario is over and its pair forgotten, no object of it is left.

        @param scenario: called with a pair and with what authenticates it.
        """
        references: dict[str, weakref.ref[Any]] = {}

        def live() -> None:
            pair = StreamPair()
            scenario(pair, lambda **options: pair.authenticate(self.version, **options))
            pair.wire.flush()
            self.assertNothingLeft(pair)
            for stream in (pair.client, pair.server):
                protocol: Any = stream._protocol
                engine = protocol._authentication.engine
                for each in (stream, protocol, protocol._authentication, engine):
                    references[f"{type(each).__name__} of {stream.isServer}"] = weakref.ref(each)
                references[f"connection of {stream.isServer}"] = weakref.ref(engine.connection)

        withoutCollector(self)
        live()
        self.assertEqual(len(references), 10)
        alive = [name for name, reference in references.items() if reference() is not None]
        self.assertEqual(alive, [])
