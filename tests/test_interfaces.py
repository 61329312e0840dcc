"""
What the package's objects provide, for applications that ask.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import IServiceMaker
from twisted.internet import ssl
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    INegotiated,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    ISSLTransport,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ISystemHandle,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import (
    Interface,
    Invalid,
    implementedBy,
    implementer,
    implementer_only,
    providedBy,
)
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass, verifyObject

import txsslstream
from tests.processes import MemoryProcess, Parent
from tests.support import clientOptions, serverOptions
from twisted.plugins import txsslstream_dropin
from txsslstream import (
    HttpRetriever,
    ISslStream,
    ServerOptionsSelection,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamClientEndpoint,
    SslStreamFactory,
    SslStreamMetrics,
    SslStreamProtocol,
    SslStreamServerEndpoint,
    retrieval,
)
from txsslstream._fetching import NothingForStrangers
from txsslstream._forwarding import End
from txsslstream._processes import ProcessAddress, wireTo
from txsslstream._workers import SharedEndpoint, _Lifeline
from txsslstream.prometheus import PrometheusObserver
from txsslstream.testing import MemoryTransport, StreamPair, Wire


class IPeculiar(ITransport):
    """
    A transport that can more than others.
    """


class IOdd(Interface):
    """
    Something else that it can.
    """


@implementer_only(IPeculiar, IOdd)
class PeculiarTransport(MemoryTransport):
    """
    Such a transport.
    """


#: What Twisted's TLS protocols declare, and pass on to the transport below.
PASSED_ON = frozenset({INegotiated, ISSLTransport, ITCPTransport})


class OfTCP:
    """
    What a transport over TCP has in addition.
    """

    @staticmethod
    def getTcpNoDelay() -> bool:
        """
        Whether segments are sent at once.
        """
        return False

    @staticmethod
    def setTcpNoDelay(enabled: bool) -> None:
        """
        Have them sent so.
        """

    getTcpKeepAlive = getTcpNoDelay
    setTcpKeepAlive = setTcpNoDelay


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
        own does, such as all that the inner transport can, and L{ISslStream}.
        """

        def provided(factoryClass: type[TLSMemoryBIOFactory], creator: Any) -> set[Any]:
            factory = factoryClass(creator, True, Factory.forProtocol(Protocol), Clock())
            protocol: Any = factory.buildProtocol(None)
            protocol.makeConnection(PeculiarTransport("client"))
            return set(providedBy(protocol))

        twisteds = ssl.optionsForClientTLS("localhost")
        ours, stock = (provided(each, twisteds) for each in (SslStreamFactory, TLSMemoryBIOFactory))
        self.assertEqual(ours, stock | {ISslStream})
        self.assertNotIn(ISslStream, stock)
        self.assertLessEqual({IPeculiar, IOdd}, ours)
        self.assertEqual(provided(SslStreamFactory, clientOptions()), ours)

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


class EveryTests(SynchronousTestCase):
    """
    Whatever the package says that it provides, it does.
    """

    def test_classes(self) -> None:
        """
        Every class has what the interfaces demand that it, or a base of it,
        declares; but a TLS protocol has what concerns TCP from its transport.
        """
        for kind in implementers():
            passedOn = PASSED_ON if issubclass(kind, TLSMemoryBIOProtocol) else frozenset()
            for interface in set(implementedBy(kind).flattened()) - passedOn:
                self.assertTrue(verifyClass(interface, kind), (kind, interface))

    def test_objects(self) -> None:
        """
        So has an object of every class that declares an interface itself, and no
        other object is needed.
        """
        pair = StreamPair()
        pair.authenticate()
        tls = connected()[0].transport
        # Of TCP it has what is below it.
        for name in ("getTcpNoDelay", "setTcpNoDelay", "getTcpKeepAlive", "setTcpKeepAlive"):
            setattr(tls.transport, name, getattr(OfTCP, name))
        process = MemoryProcess(Parent(), Clock(), MemoryTransport("pipes"))
        live: tuple[object, ...] = (
            pair.client,
            pair.wire.client.protocol._target.wrappedProtocol,
            tls,
            SslStreamClientEndpoint(Anything(), clientOptions()),  # type: ignore[arg-type]
            SslStreamServerEndpoint(Anything(), serverOptions()),  # type: ignore[arg-type]
            clientOptions(),
            serverOptions(),
            ServerOptionsSelection(lambda stream, hello, state: None),
            SslStreamMetrics(),
            PrometheusObserver(CollectorRegistry()),
            HttpRetriever(),
            NothingForStrangers(),
            retrieval._Bytes(b""),
            retrieval._Exchange(None, None, None),  # type: ignore[arg-type]
            wireTo(process),
            ProcessAddress(None),
            End(None, "", Clock()),  # type: ignore[arg-type]
            SharedEndpoint(None, None),  # type: ignore[arg-type]
            _Lifeline(None, lambda: None),  # type: ignore[arg-type]
            txsslstream_dropin.sslstreamParser,
        )
        declaring = {kind for kind in implementers() if declared(kind)}
        for each in live:
            # A protocol's interfaces include those of what is below it.
            for interface in providedBy(each).flattened():
                self.assertTrue(verifyObject(interface, each), (each, interface))
            declaring.difference_update(type(each).__mro__)
        self.assertEqual(declaring, set())

    def test_interfaces(self) -> None:
        """
        Every interface of the package is provided by a class of the package, and
        public.
        """
        defined = {
            each
            for module in modules()
            for each in vars(module).values()
            if isinstance(each, InterfaceClass) and each.__module__.startswith("txsslstream.")
        }
        provided = {each for kind in implementers() for each in implementedBy(kind)}
        self.assertEqual(defined - provided, set())
        self.assertLessEqual({each.getName() for each in defined}, set(txsslstream.__all__))

    def test_plugins(self) -> None:
        """
        What twistd finds are makers of services.
        """
        for each in (txsslstream_dropin.sslecho, txsslstream_dropin.sslserve):
            for interface in (IPlugin, IServiceMaker):
                self.assertTrue(verifyObject(interface, each))

    def test_found(self) -> None:
        """
        A class that lacks something would be found.
        """

        @implementer(ISslStream)
        class Lacking:  # type: ignore[misc]
            pass

        self.assertTrue(declared(Lacking))
        with self.assertRaises(Invalid):
            verifyClass(ISslStream, Lacking)
        with self.assertRaises(Invalid):
            verifyObject(ISslStream, Lacking())


def modules() -> list[ModuleType]:
    """
    @return: those of the package, and its plugin.
    """
    names = [each.name for each in pkgutil.iter_modules(txsslstream.__path__, "txsslstream.")]
    return [*map(importlib.import_module, names), txsslstream_dropin]


def implementers() -> list[Any]:
    """
    @return: all classes of the package that provide anything.
    """
    return [
        each
        for module in modules()
        for each in vars(module).values()
        if isinstance(each, type)
        and each.__module__ == module.__name__
        and any(implementedBy(each))
    ]


def declared(kind: Any) -> bool:
    """
    @return: whether a class itself, not only a base, says what it provides.
    """
    return bool(kind.__dict__["__implemented__"].declared)


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
