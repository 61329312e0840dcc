"""
Tests for L{txsslstream._negotiation}: which application protocols are
negotiated.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    InvalidOperationError,
    SslApplicationProtocol,
    SslStreamFactory,
    TlsAlert,
    _openssl,
)
from txsslstream._negotiation import negotiating
from txsslstream._openssl import contextFor
from txsslstream.testing import Application, Link, perVersion

from .applications import ProtocolMixin
from .support import clientOptions, serverOptions


@implementer(IProtocolNegotiationFactory)
class Speaker(Factory):
    """
    A factory that says what its protocols speak.

    @ivar asked: how often it was asked.
    """

    noisy = False

    def __init__(self, speaks: Any) -> None:
        self.speaks = speaks
        self.asked = 0
        self.application = Application()

    def buildProtocol(self, addr: object) -> Application:
        return self.application

    def acceptableProtocols(self) -> Any:
        """
        @return: what it was given, or raise that.
        """
        self.asked += 1
        if isinstance(self.speaks, Exception):
            raise self.speaks
        return self.speaks


class NegotiatingTests(SynchronousTestCase):
    """
    Tests for L{negotiating}.
    """

    def test_named(self) -> None:
        """
        Protocols that the options name are negotiated whatever the factory
        speaks, which is not even asked.
        """
        for options in (
            clientOptions(applicationProtocols=["foo"]),
            serverOptions(applicationProtocols=["foo"]),
        ):
            factory = Speaker([b"h2"])
            self.assertIs(negotiating(options, factory), options)
            self.assertEqual(factory.asked, 0)

    def test_spoken(self) -> None:
        """
        If they name none, those are negotiated that the factory speaks, in its
        order; nothing else changes.
        """
        for options in (clientOptions(), serverOptions()):
            chosen = negotiating(options, Speaker([b"h2", b"http/1.1"]))
            self.assertEqual(
                chosen.applicationProtocols,
                (SslApplicationProtocol.Http2, SslApplicationProtocol.Http11),
            )
            self.assertEqual(options.applicationProtocols, ())
            self.assertIs(type(chosen), type(options))
            self.assertEqual(negotiating(chosen, Speaker([])), chosen)

    def test_shared(self) -> None:
        """
        Equal options with equal protocols are one value with one context, for
        any number of connections and factories.
        """
        for make in (clientOptions, serverOptions):
            one = negotiating(make(), Speaker([b"shared"]))
            builds = _openssl._sharedContext.cache_info().misses
            two = negotiating(make(), Speaker((b"shared",)))
            self.assertIs(one, two)
            self.assertIs(contextFor(one.parameters), contextFor(two.parameters))
            self.assertEqual(_openssl._sharedContext.cache_info().misses, builds)
            self.assertIsNot(negotiating(make(), Speaker([b"other"])), one)

    def test_askedEachTime(self) -> None:
        """
        The factory is asked for each connection, and may change its mind.
        """
        factory = Speaker([b"a"])
        options = serverOptions()
        for name in (b"a", b"b"):
            factory.speaks = [name]
            self.assertEqual(negotiating(options, factory).applicationProtocols, (name,))
        self.assertEqual(factory.asked, 2)

    def test_nothing(self) -> None:
        """
        A factory that speaks nothing in particular, or does not say, leaves the
        options as they are.
        """
        options = serverOptions()
        for factory in (Speaker([]), Factory(), None, object()):
            self.assertIs(negotiating(options, factory), options)

    def test_nonsense(self) -> None:
        """
        An answer that is no list of protocols is refused, and an error is the
        factory's own.
        """
        options = serverOptions()
        kinds: tuple[Any, ...] = (None, 5, b"h2", "h2", [None], [5], [[]])
        for nonsense in kinds:
            self.assertRaises(TypeError, negotiating, options, Speaker(nonsense))
        for names in ([b""], [b"x" * 256], [b"fine", b""]):
            self.assertRaises(ValueError, negotiating, options, Speaker(names))
        error = RuntimeError("not today")
        self.assertIs(self.assertRaises(RuntimeError, negotiating, options, Speaker(error)), error)


@perVersion()
class ConnectionTests(ProtocolMixin):
    """
    Tests for connections of factories that say what they speak.
    """

    def between(self, client: Any, server: Any, **options: Any) -> Link:
        """
        A client's and a server's factory over TLS.

        @param options: the server's.
        """
        link = Link(
            False,
            (clientOptions(self.version), client.application),
            (serverOptions(self.version, **options), server.application),
            self.segment,
            (self.making(client), self.making(server)),
        )
        link.wire.flush()
        return link

    def making(self, factory: Speaker) -> Any:
        """
        What makes our factory around that one.
        """

        def make(creator: Any, isClient: bool, _: object, clock: Any) -> SslStreamFactory:
            return SslStreamFactory(creator, isClient, factory, clock)

        return make

    def assertNegotiated(self, link: Link, protocol: bytes | None) -> None:
        """
        Both sides know what they speak, also as Twisted calls it.
        """
        for side in (link.client, link.server):
            self.assertEqual(side.application.events[:2], ["made", "handshake"])
            self.assertEqual(side.application.transport.negotiatedProtocol, protocol)
            self.assertEqual(side.application.transport.negotiatedApplicationProtocol, protocol)
        link.client.application.transport.abortConnection()
        self.assertNothingLeft(link)

    def test_preference(self) -> None:
        """
        The server's preference decides.
        """
        link = self.between(Speaker([b"a", b"b", b"c"]), Speaker([b"x", b"c", b"b"]))
        self.assertNegotiated(link, b"c")

    def test_oneSide(self) -> None:
        """
        Where one side speaks nothing in particular nothing is negotiated.
        """
        for one, other in (([b"a"], []), ([], [b"a"])):
            self.assertNegotiated(self.between(Speaker(one), Speaker(other)), None)

    def test_optionsWin(self) -> None:
        """
        What the options name is negotiated, not what the factory speaks.
        """
        link = self.between(Speaker([b"a", b"b"]), Speaker([b"a"]), applicationProtocols=["b"])
        self.assertNegotiated(link, b"b")

    def test_noOverlap(self) -> None:
        """
        Without a protocol in common the server refuses the client with
        C{no_application_protocol}, and neither application is connected.
        """
        link = self.between(Speaker([b"a"]), Speaker([b"b"]))
        errors = [
            self.failure(side.tls.whenAuthenticated(), AuthenticationError)
            for side in (link.client, link.server)
        ]
        self.assertIs(errors[0].alert, TlsAlert.no_application_protocol)
        self.assertIs(errors[1].alertSent, TlsAlert.no_application_protocol)
        for side in (link.client, link.server):
            self.assertEqual(side.application.events, [])
        self.assertNothingLeft(link)

    def test_site(self) -> None:
        """
        Twisted's web server speaks what it says.
        """
        site = Site(Resource())
        speaks = site.acceptableProtocols()
        self.assertIn(b"http/1.1", speaks)
        options = negotiating(serverOptions(), site)
        self.assertEqual(list(options.applicationProtocols), speaks)

    def test_raising(self) -> None:
        """
        A factory that does not know what it speaks refuses the connection: its
        error is logged, its protocol never connected, and the other side's
        handshake interrupted.
        """
        for nonsense, logged in ((RuntimeError("not today"), RuntimeError), (None, TypeError)):
            for isServer in (False, True):
                broken, fine = Speaker(nonsense), Speaker([])
                pair = (fine, broken) if isServer else (broken, fine)
                link = self.between(*pair)
                side, other = (link.server, link.client) if isServer else (link.client, link.server)
                self.failure(side.tls.whenAuthenticated(), InvalidOperationError)
                self.assertIsInstance(side.inner.closing, ConnectionAborted)
                self.failureResultOf(other.tls.whenAuthenticated(), AuthenticationError)
                for each in (side, other):
                    self.assertEqual(each.application.events, [])
                self.assertEqual(len(self.flushLoggedErrors(logged)), 1)
                self.assertNothingLeft(link)

    def test_whenConnected(self) -> None:
        """
        Nothing is asked of the factory before there is a connection.
        """
        factory = Speaker([b"a"])
        tls = SslStreamFactory(serverOptions(), False, factory, Clock())
        protocol: Any = tls.buildProtocol(None)
        self.assertEqual(factory.asked, 0)
        protocol.makeConnection(StringTransport())
        self.assertEqual(factory.asked, 1)
