"""
What the tests of protocols and endpoints have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslProtocols
from txsslstream._waiting import _parked
from txsslstream.testing import Application, Link, Side, failureOf

from .support import clientOptions, serverOptions

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object


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

    failure = staticmethod(failureOf)
