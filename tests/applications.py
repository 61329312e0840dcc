"""
What the tests of protocols and endpoints have in common: applications that
write down what they are told, and two of them over TLS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsslstream import SslProtocols, SslStreamFactory
from txsslstream._waiting import _parked

from .support import MemoryTransport, Wire, clientOptions, serverOptions

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


@implementer(IHandshakeListener)
class Application(Protocol):
    """
    A protocol that writes down what it is told.

    @ivar events: what was called, in order.
    @ivar received: all data.
    @ivar reason: why the connection ended.
    @ivar reactions: what to do when something is called, by its name in
        C{events}.
    """

    transport: Any

    def __init__(self, **reactions: Callable[[Any], object]) -> None:
        self.events: list[str] = []
        self.received = bytearray()
        self.reason: BaseException | None = None
        self.reactions = reactions

    def _happened(self, event: str) -> None:
        self.events.append(event)
        if event in self.reactions:
            self.reactions[event](self)

    def connectionMade(self) -> None:
        self._happened("made")

    def handshakeCompleted(self) -> None:
        self._happened("handshake")

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._happened("data")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value
        self._happened("lost")


@implementer(IHalfCloseableProtocol)
class Halves(Application):
    """
    One that can be closed by halves.
    """

    def readConnectionLost(self) -> None:
        self._happened("end")

    def writeConnectionLost(self) -> None:
        """
        Never called by a TLS protocol.
        """


class Side(NamedTuple):
    """
    One end of a connection.

    @ivar tls: the protocol under test.
    @ivar inner: what is below it.
    """

    application: Any
    tls: Any
    inner: MemoryTransport


class Link:
    """
    Two applications over TLS in memory, seen from one side.

    @ivar near: the side that the test looks at.
    @ivar far: the other.
    """

    def __init__(
        self,
        nearIsServer: bool,
        client: tuple[Any, Protocol],
        server: tuple[Any, Protocol],
        segment: int = 0,
        factories: tuple[type[TLSMemoryBIOFactory], type[TLSMemoryBIOFactory]] = (
            SslStreamFactory,
            SslStreamFactory,
        ),
        keepsSessions: bool = False,
    ) -> None:
        """
        @param client: what creates its connection, and its application.
        @param server: the same.
        @param keepsSessions: see L{Wire.__init__}.
        """
        self.wire = Wire(segment, keepsSessions)
        self.clock = self.wire.clock
        self.client = self._side(factories[0], True, *client, self.wire.client)
        self.server = self._side(factories[1], False, *server, self.wire.server)
        self.near, self.far = (
            (self.server, self.client) if nearIsServer else (self.client, self.server)
        )
        self.wire.connect(self.client.tls, self.server.tls)

    def _side(
        self,
        factoryClass: type[TLSMemoryBIOFactory],
        isClient: bool,
        creator: Any,
        application: Protocol,
        inner: MemoryTransport,
    ) -> Side:
        wrapped = Factory.forProtocol(lambda: application)
        factory = factoryClass(creator, isClient, wrapped, self.clock)
        return Side(application, factory.buildProtocol(None), inner)

    def stepUntil(self, condition: Callable[[], object]) -> None:
        """
        Go on until something is so.
        """
        while not condition():
            assert self.wire.step(), "nothing moves any more"


class ProtocolMixin(_Mixin):
    """
    For test cases made by L{perVersion}.
    """

    version: SslProtocols
    segment: int

    def link(
        self,
        nearIsServer: bool,
        near: Application | None = None,
        far: Application | None = None,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
    ) -> Link:
        """
        Two applications on our options, with nothing moved yet.

        @param client: the client's options.
        @param server: the server's options.
        """
        pair = (near or Application(), far or Application())
        clientSide, serverSide = reversed(pair) if nearIsServer else pair
        return Link(
            nearIsServer,
            (clientOptions(self.version, **(client or {})), clientSide),
            (serverOptions(self.version, **(server or {})), serverSide),
            self.segment,
        )

    def links(self, **arguments: Any) -> Iterator[Link]:
        """
        One for each role; it is checked that the test has left nothing behind.

        @param arguments: C{near} and C{far} make applications.
        """
        for nearIsServer in (False, True):
            applications: dict[str, Any] = {
                name: arguments[name]() for name in ("near", "far") if name in arguments
            }
            link = self.link(nearIsServer, **{**arguments, **applications})
            yield link
            self.assertNothingLeft(link)

    def opened(self, **arguments: Any) -> Iterator[Link]:
        """
        The same, authenticated.
        """
        for link in self.links(**arguments):
            link.wire.flush()
            self.assertEqual(link.near.application.events[:2], ["made", "handshake"])
            self.assertEqual(link.far.application.events[:2], ["made", "handshake"])
            yield link

    def assertNothingLeft(self, link: Link) -> None:
        """
        No timer runs, no handshake is parked and no factory knows a protocol
        once the connection is gone.
        """
        link.wire.flush()
        if not link.wire.client.connected:
            self.assertEqual(link.clock.getDelayedCalls(), [])
            for side in (link.near, link.far):
                self.assertNotIn(side.tls, side.tls.factory.protocols)
        self.assertEqual(_parked, set())

    def assertLost(self, side: Side, kind: type[Exception]) -> Any:
        """
        The application was told once of the end, with exactly this kind of
        reason.
        """
        self.assertEqual(side.application.events.count("lost"), 1)
        self.assertEqual(side.application.events[-1], "lost")
        self.assertIs(type(side.application.reason), kind)
        return side.application.reason

    def failure(self, deferred: Deferred[Any], kind: type[Exception]) -> Any:
        """
        The error, of exactly this kind, that a Deferred has failed with.
        """
        error = self.failureResultOf(deferred).value
        self.assertIs(type(error), kind)
        return error
