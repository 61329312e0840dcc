# -*- test-case-name: tests.test_endpoints -*-
"""
Endpoints that are connected when they are authenticated.

Each wraps another endpoint, of whatever kind, and runs TLS over its
connections.  Options are checked when the endpoint is made, so that nothing but
the network and the peer can fail later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionLost, TimeoutError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from ._deferreds import cancellable
from ._proxied import AcceptingFactory
from .admission import Admission, HandshakeLimit
from .errors import AuthenticationError
from .options import (
    ServerOptions,
    ServerOptionsSelection,
    ServerOptionsSelectionCallback,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)
from .protocol import SslStreamFactory
from .stream import SslStream


@implementer(IStreamClientEndpoint)
class SslStreamClientEndpoint:
    """
    Connect through another endpoint and authenticate as the client.
    """

    def __init__(
        self,
        wrappedEndpoint: IStreamClientEndpoint,
        options: SslClientAuthenticationOptions,
        clock: IReactorTime | None = None,
    ) -> None:
        """
        @param wrappedEndpoint: how to reach the peer.
        @param clock: for time-outs; by default the reactor.
        @raise TypeError: C{options} are not a client's.
        """
        if not isinstance(options, SslClientAuthenticationOptions):
            raise TypeError("a client endpoint needs SslClientAuthenticationOptions")
        self._wrapped = wrappedEndpoint
        self._options = options
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.

        @return: a Deferred that fires with the protocol once the connection is
            authenticated and the protocol connected to it.  It fails with what
            the wrapped endpoint's connecting fails with, or with
            L{AuthenticationError}.  Cancelled, either is given up.
        """
        connecting = self._wrapped.connect(
            SslStreamFactory(self._options, True, protocolFactory, self._clock)
        )

        def connected(protocol: Any) -> Deferred[IProtocol]:
            wrapped: IProtocol = protocol.wrappedProtocol
            return cancellable(
                lambda: protocol.whenAuthenticated().addCallback(lambda _: wrapped),
                protocol.cancelAuthentication,
            )

        return connecting.addCallback(connected)

    def connectStream(self) -> Deferred[SslStream]:
        """
        Connect, for use without a protocol.

        @return: a Deferred that fires with an authenticated stream, or fails
            like that of L{connect}.
        """
        connecting = self._wrapped.connect(Factory.forProtocol(Protocol))

        def connected(protocol: Any) -> Deferred[SslStream]:
            stream = SslStream(protocol.transport, clock=self._clock)
            return stream.authenticateAsClient(self._options)

        return connecting.addCallback(connected)


@implementer(IStreamServerEndpoint)
class SslStreamServerEndpoint:
    """
    Listen through another endpoint and authenticate as the server.
    """

    def __init__(
        self,
        wrappedEndpoint: IStreamServerEndpoint,
        options: ServerOptions | ServerOptionsSelectionCallback,
        clock: IReactorTime | None = None,
        *,
        handshakeLimit: HandshakeLimit | None = None,
        acceptProxy: bool = False,
    ) -> None:
        """
        @param wrappedEndpoint: where to listen.
        @param options: the options, or what chooses them for each client: a
            L{txsslstream.ServerOptionsSelection}, or its callback alone.
        @param clock: for time-outs; by default the reactor.
        @param handshakeLimit: how many clients may be unauthenticated at once.
            It may be shared with other endpoints.
        @param acceptProxy: whether every connection has to begin with the header
            of the PROXY protocol, version 1 or 2, in front of TLS; its addresses
            are those of the transport then.  Nobody but the proxy must be able
            to connect, for whoever does can say anything.
        @raise TypeError: C{options} are not a server's.
        """
        if callable(options):
            options = ServerOptionsSelection(options)
        if not isinstance(options, (SslServerAuthenticationOptions, ServerOptionsSelection)):
            raise TypeError("a server endpoint needs SslServerAuthenticationOptions or a selection")
        self._wrapped = wrappedEndpoint
        self._options = options
        self._clock = clock
        self._limit = handshakeLimit
        self._acceptProxy = acceptProxy

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}.

        The factory builds a protocol for each connection, and the protocol is
        connected once the connection is authenticated.  Of a refused one only
        the log tells.
        """
        return self._listen(SslStreamFactory(self._options, False, protocolFactory, self._clock))

    def _listen(self, factory: Factory[Any]) -> Deferred[IListeningPort]:
        listener: Any = factory if self._limit is None else self._limit.guard(factory)
        if self._acceptProxy:
            listener = AcceptingFactory(listener, self._clock)
        return self._wrapped.listen(listener)

    def listenStreams(self, handler: Callable[[SslStream], Any]) -> Deferred[IListeningPort]:
        """
        Listen, for use without protocols.

        @param handler: called with each authenticated stream.  When its
            Deferred or coroutine is done the stream is closed; if that failed,
            it is aborted and the error logged.
        """
        return self._listen(_Streams(self._options, handler, self._clock))


class _Streams(Factory):
    """
    Gives a stream for each connection to a handler.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        options: ServerOptions,
        handler: Callable[[SslStream], Any],
        clock: IReactorTime | None,
    ) -> None:
        self._options = options
        self._handler = handler
        self._clock = clock

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Handled(self)

    async def handle(self, transport: Any, admission: Admission | None) -> None:
        """
        See one connection through.

        @param admission: is released when it is authenticated or gone.
        """
        stream = SslStream(transport, clock=self._clock)
        try:
            await stream.authenticateAsServer(self._options)
        except AuthenticationError as e:
            self._tell("TLS with {peer} failed: {error}", transport, e)
            return
        finally:
            if admission is not None:
                admission.release()
        try:
            await maybeDeferred(self._handler, stream)
        except AuthenticationError as e:
            # In mid-conversation: the connection is over, and the peer told.
            self._tell("TLS with {peer} ended early: {error}", transport, e)
        except (ConnectionLost, TimeoutError) as e:
            # The peer's doing: no reason for a traceback.
            self._tell("TLS with {peer} ended early: {error}", transport, e)
            stream.abort()
        except GeneratorExit:
            # Nobody waits for us any more.
            stream.abort()
            return
        except BaseException:
            self._log.failure("the handler of a stream failed")
            stream.abort()
        await stream.close()

    def _tell(self, text: str, transport: Any, error: BaseException) -> None:
        # In words: a log event may be kept, and the error leads to the stream.
        self._log.info(text, peer=transport.getPeer(), error=str(error))


class _Handled(Protocol):
    """
    Hands over its transport.
    """

    admission: Admission | None = None

    def __init__(self, streams: _Streams) -> None:
        self._streams = streams

    def connectionMade(self) -> None:
        Deferred.fromCoroutine(self._streams.handle(self.transport, self.admission))
