"""
What the package's objects provide, for applications that ask.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import ssl
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    INegotiated,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ISystemHandle,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer_only, providedBy
from zope.interface.verify import verifyClass, verifyObject

from tests.support import clientOptions, serverOptions
from txsslstream import (
    ISslStream,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamClientEndpoint,
    SslStreamFactory,
    SslStreamProtocol,
    SslStreamServerEndpoint,
)
from txsslstream.testing import MemoryTransport, StreamPair, Wire


class IPeculiar(ITransport):
    """
    A transport that can more than others.
    """


@implementer_only(IPeculiar)
class PeculiarTransport(MemoryTransport):
    """
    Such a transport.
    """


class Anything:
    """
    Stands for an endpoint that is never used.
    """


class StreamTests(SynchronousTestCase):
    """
    The stream and the transport of an application protocol are L{ISslStream}s.
    """

    def test_stream(self) -> None:
        """
        An authenticated L{SslStream} has everything that L{ISslStream} names,
        on both sides.
        """
        verifyClass(ISslStream, SslStream)
        pair = StreamPair()
        pair.authenticate()
        self.assertTrue(verifyObject(ISslStream, pair.client))
        self.assertTrue(verifyObject(ISslStream, pair.server))

    def test_transport(self) -> None:
        """
        The transport that an application protocol gets has everything that
        L{ISslStream} names and is still the transport, system handle and
        negotiated transport that Twisted's own is.
        """
        verifyClass(ISslStream, SslStreamProtocol)
        for end in connected():
            transport = end.transport
            self.assertIsInstance(transport, SslStreamProtocol)
            for interface in (ISslStream, ITransport, ISystemHandle, IProtocol):
                self.assertTrue(verifyObject(interface, transport), interface)
            self.assertTrue(INegotiated.providedBy(transport))
            self.assertEqual(transport.negotiatedProtocol, None)

    def test_unauthenticatedStream(self) -> None:
        """
        Before authentication a stream says that it is an L{ISslStream}, too.
        """
        self.assertTrue(ISslStream.providedBy(StreamPair().client))
        self.assertFalse(ISslStream.providedBy(object()))

    def test_inherited(self) -> None:
        """
        On the same inner transport the TLS transport provides what Twisted's
        own does, such as what the inner transport can, and L{ISslStream}.
        """

        def provided(factoryClass: type[TLSMemoryBIOFactory]) -> set[Any]:
            creator = ssl.optionsForClientTLS("localhost")
            factory = factoryClass(creator, True, Factory.forProtocol(Protocol), Clock())
            protocol: Any = factory.buildProtocol(None)
            protocol.makeConnection(PeculiarTransport("client"))
            return set(providedBy(protocol))

        ours, stock = provided(SslStreamFactory), provided(TLSMemoryBIOFactory)
        self.assertEqual(ours, stock | {ISslStream})
        self.assertNotIn(ISslStream, stock)
        self.assertIn(IPeculiar, ours)

    def test_application(self) -> None:
        """
        The protocol that a stream is to the TLS protocol can be told of the end
        of one direction.
        """
        pair = StreamPair()
        pair.authenticate()
        application = pair.wire.client.protocol._target.wrappedProtocol
        for interface in (IHalfCloseableProtocol, IProtocol):
            self.assertTrue(verifyObject(interface, application), interface)


class EndpointTests(SynchronousTestCase):
    """
    Endpoints, factories and options are what Twisted takes for such.
    """

    def test_clientEndpoint(self) -> None:
        """
        L{SslStreamClientEndpoint} is a client endpoint and no server's.
        """
        endpoint = SslStreamClientEndpoint(Anything(), clientOptions())  # type: ignore[arg-type]
        self.assertTrue(verifyObject(IStreamClientEndpoint, endpoint))
        self.assertTrue(verifyClass(IStreamClientEndpoint, SslStreamClientEndpoint))
        self.assertFalse(IStreamServerEndpoint.providedBy(endpoint))

    def test_serverEndpoint(self) -> None:
        """
        L{SslStreamServerEndpoint} is a server endpoint and no client's.
        """
        endpoint = SslStreamServerEndpoint(Anything(), serverOptions())  # type: ignore[arg-type]
        self.assertTrue(verifyObject(IStreamServerEndpoint, endpoint))
        self.assertTrue(verifyClass(IStreamServerEndpoint, SslStreamServerEndpoint))
        self.assertFalse(IStreamClientEndpoint.providedBy(endpoint))

    def test_factory(self) -> None:
        """
        L{SslStreamFactory} is a protocol factory.
        """
        factory = SslStreamFactory(clientOptions(), True, Factory())
        self.assertTrue(verifyObject(IProtocolFactory, factory))

    def test_options(self) -> None:
        """
        Options are connection creators for their own side only.
        """
        self.assertTrue(verifyObject(IOpenSSLClientConnectionCreator, clientOptions()))
        self.assertTrue(verifyObject(IOpenSSLServerConnectionCreator, serverOptions()))
        verifyClass(IOpenSSLClientConnectionCreator, SslClientAuthenticationOptions)
        verifyClass(IOpenSSLServerConnectionCreator, SslServerAuthenticationOptions)
        self.assertFalse(IOpenSSLServerConnectionCreator.providedBy(clientOptions()))
        self.assertFalse(IOpenSSLClientConnectionCreator.providedBy(serverOptions()))


def connected(wire: Wire | None = None) -> tuple[Any, Any]:
    """
    Connect two application protocols over TLS.

    @return: the client's and the server's.
    """
    wire = wire or Wire()
    factories = (
        SslStreamFactory(clientOptions(), True, Factory.forProtocol(Protocol), wire.clock),
        SslStreamFactory(serverOptions(), False, Factory.forProtocol(Protocol), wire.clock),
    )
    client, server = (factory.buildProtocol(None) for factory in factories)
    wire.connect(client, server)
    wire.flush()
    assert client is not None
    assert server is not None
    return client.wrappedProtocol, server.wrappedProtocol
