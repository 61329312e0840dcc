"""
The two ends in L{tests.campaigns.interleavings}: an application that calls what
there is to call, in any order.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txsslstream import (
    ServerOptionsSelection,
    SslProtocols,
    SslStreamClientEndpoint,
    SslStreamServerEndpoint,
    TlsError,
)

from . import _interleaving_material as material
from ._interleaving_ends import Witness


class End(Witness):
    """
    One end.
    """

    # What an application does.

    def doAuthenticate(self, _: int) -> None:
        """
        Authenticate; with endpoints, connect.
        """
        if self.plan.kind != "stream":
            if not self.hasBegun:
                self._begin()
                self._connect()
            return
        if not self.isServer:
            options = self._clientOptions()
            deferred = self.stream.authenticateAsClient(options)
        else:
            deferred = self.stream.authenticateAsServer(self._serverOptions())
        if not self.hasBegun and self.stream._protocol is not None:
            self.hasProtocol(self.stream._protocol)
        self._begin()
        self.wait("authenticate", deferred)

    def _begin(self) -> None:
        if not self.hasBegun:
            self.hasBegun = True
            self.began = self._run.clock.seconds()

    def _clientOptions(self) -> Any:
        named = self.callbacks.named
        relay = self.transport.relay or self._run.other(self).transport.relay
        keyLog = None if relay is None else relay.log
        return material.clientOptions(self._plan, named("validation"), named("selection"), keyLog)

    def _serverOptions(self) -> Any:
        callbacks = self.callbacks
        options = material.serverOptions(
            self._plan, callbacks.named("validation"), callbacks.named("selection")
        )
        select = callbacks.named("options")
        if select is None:
            return options
        callbacks.options = options
        return ServerOptionsSelection(select, handshakeTimeout=self.plan.handshakeTimeout)

    def _connect(self) -> None:
        port = _Port(self)
        clock = self._run.clock
        isPush = self.plan.kind == "push"
        application = _Halves if self.plan.isHalfCloseable else _Application
        factory = Factory.forProtocol(lambda: application(self))
        if not self.isServer:
            client = SslStreamClientEndpoint(port, self._clientOptions(), clock)
            connecting: Any = client.connect(factory) if isPush else client.connectStream()
            if not isPush:
                connecting.addCallback(self._connected)
            else:
                connecting.addCallback(lambda _: None)
            self.wait("authenticate", connecting)
            return
        server = SslStreamServerEndpoint(port, self._serverOptions(), clock)
        if isPush:
            server.listen(factory)
        else:
            server.listenStreams(self._handle)
        port.accept()

    def _connected(self, stream: Any) -> Any:
        self.has(stream)
        self.hasProtocol(stream._protocol)
        return stream

    def _handle(self, stream: Any) -> Deferred[None]:
        self._connected(stream)
        self.handled = Deferred()
        handled = self.handled
        self.authenticated(stream)
        return handled

    def doFinish(self, number: int) -> None:
        """
        Be done with what an endpoint listens for.
        """
        handled, self.handled = self.handled, None
        if handled is not None and not handled.called:
            self.hasClosed = True
            if number % 3:
                handled.callback(None)
            else:
                self._run.disturbed("a handler has failed")
                handled.errback(TlsError("what a handler may fail with"))

    def _on(self, name: str, method: str, *arguments: Any) -> None:
        if self.stream is not None:
            self.wait(name, getattr(self.stream, method)(*arguments))

    def doRead(self, number: int) -> None:
        """
        Read something.
        """
        if self.plan.kind != "push":
            self._on("read", "read", number + 1)

    def doReadExactly(self, number: int) -> None:
        """
        Read so much.
        """
        if self.plan.kind != "push":
            self._on("readExactly", "readExactly", number)

    def doReadUntil(self, number: int) -> None:
        """
        Read until there is a certain byte.
        """
        if self.plan.kind != "push":
            self._on("readUntil", "readUntil", bytes((number % 256,)), number + 1)

    def doWrite(self, number: int) -> None:
        """
        Write so much.
        """
        if self.stream is None:
            return
        data = material.said(self.side, self.said, number)
        before = len(self.transport.everWritten)
        if self.plan.kind == "push":
            if self.stream.canWrite and not self.hasClosed and not self.hasShut:
                self.said += number
            self.stream.write(data)
            return
        self.said += number
        deferred = self.stream.write(data)
        failed = deferred.called and isinstance(deferred.result, Failure)
        if failed and len(self.transport.everWritten) == before:
            self.said -= number
        self.wait("write", deferred)

    doWriteMuch = doWrite

    def doFlush(self, _: int) -> None:
        """
        Wait for everything to be handed over.
        """
        if self.plan.kind != "push":
            self._on("flush", "flush")

    def doShutdown(self, _: int) -> None:
        """
        End this side.
        """
        if self.plan.kind != "push":
            self._on("shutdown", "shutdown")
        elif self.stream is not None:
            self.hasShut = True
            self.stream.loseWriteConnection()

    def doClose(self, _: int) -> None:
        """
        Close.
        """
        if self.stream is not None:
            self.hasClosed = True
            if self.outcome is None:
                self._run.disturbed("an end was closed early")
            if self.plan.kind == "push":
                self.stream.loseConnection()
            else:
                self._on("close", "close")

    def doAbort(self, _: int) -> None:
        """
        Abort.
        """
        if self.stream is not None:
            self.hasClosed = True
            self._run.disturbed("an end was aborted")
            if self.plan.kind == "push":
                self.stream.abortConnection()
            else:
                self.stream.abort()

    def doCancel(self, number: int) -> None:
        """
        Cancel something that is waited for.
        """
        self._cancel(number, "")

    def doCancelRead(self, number: int) -> None:
        """
        The same, of reads alone: nothing is lost by that.
        """
        self._cancel(number, "read")

    def _cancel(self, number: int, what: str) -> None:
        waiting = [
            each
            for each in self.operations
            if each.deferred is not None and each.name.startswith(what)
        ]
        if not waiting:
            return
        operation = waiting[number % len(waiting)]
        operation.isCancelled = True
        if operation.name in ("authenticate", "write", "negotiate"):
            self._run.disturbed(f"{operation.name} was cancelled")
        assert operation.deferred is not None
        self._run.note(f"  {self.side}: cancels {operation.name}")
        operation.deferred.cancel()
        if operation.firings != 1:
            self._run.judge.complain(
                f"{self.side}: {operation.name} has fired {operation.firings} times when cancelled"
            )

    def doNegotiate(self, _: int) -> None:
        """
        Ask the client for its certificate.
        """
        if self.stream is not None and self.isServer:
            self.negotiations += 1
            if self._plan.rekeyed == "client" or self._plan.version is SslProtocols.Tls12:
                # The answer would have to be made with the keys that are not its
                # own; a client that refuses another handshake ends the connection.
                self._run.disturbed("the client is asked, which it may not stand")
            self._on("negotiate", "negotiateClientCertificateAsync")

    def doUnwrap(self, _: int) -> None:
        """
        End the stream, and have the transport back.
        """
        if self.plan.kind == "stream":
            self._on("unwrap", "unwrap")

    def doWhenAuthenticated(self, _: int) -> None:
        """
        See C{ISslStream}.
        """
        self._on("whenAuthenticated", "whenAuthenticated")

    def doWhenClosed(self, _: int) -> None:
        """
        See C{ISslStream}.
        """
        self._on("whenClosed", "whenClosed")

    def doPause(self, _: int) -> None:
        """
        Want nothing for a while.
        """
        # In the end it wants all there is, for nobody would resume it.
        isKept = self.isDraining or self.stream is None or self.losses
        if self.plan.kind == "push" and not isKept:
            self.stream.pauseProducing()

    def doResume(self, _: int) -> None:
        """
        Want data again.
        """
        if self.plan.kind == "push" and self.stream is not None and not self.losses:
            self.stream.resumeProducing()

    def doAnswer(self, _: int) -> None:
        """
        Answer a question.
        """
        self.answer()

    def answer(self) -> bool:
        """
        Answer the oldest question.

        @return: whether there was one.
        """
        written = len(self.transport.everWritten)
        for decision in self.callbacks.decisions:
            if decision.behaviour.when != "never":
                isOver = self.outcome not in (None, "authenticated")
                if decision.isWanted and not isOver and written != decision.written:
                    self._run.judge.complain(f"{self.side}: something was sent during a decision")
                break
        return self.callbacks.answerOldest()

    def doInspect(self, _: int) -> None:
        """
        Look at the properties.
        """
        self._run.judge.inspect(self)


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class _Port:
    """
    An endpoint for one connection.
    """

    def __init__(self, end: End) -> None:
        self._end = end
        self._factory: Any = None

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        See C{IStreamClientEndpoint}.
        """
        self._factory = protocolFactory
        return succeed(self.accept())

    def listen(self, protocolFactory: Any) -> Deferred[Any]:
        """
        See C{IStreamServerEndpoint}.
        """
        self._factory = protocolFactory
        return succeed(self)

    def accept(self) -> Any:
        """
        Connect.
        """
        end, factory = self._end, self._factory
        protocol = factory.buildProtocol(None)
        end.transport.protocol = protocol
        protocol.makeConnection(end.transport)
        if end.plan.kind == "push":
            end.hasProtocol(protocol)
        return protocol


class _Application(Protocol):
    """
    The application of an L{End} that is pushed.
    """

    def __init__(self, end: End) -> None:
        self._end: End | None = end

    def connectionMade(self) -> None:
        end = self._end
        if end is not None:
            end.has(self.transport)
            end.authenticated(self.transport)

    def dataReceived(self, data: bytes) -> None:
        end = self._end
        if end is not None:
            end.arrived(data)
            end.happened("data")

    def readConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """
        if self._end is not None:
            self._end.arrived(b"", isEnd=True)
            self._end.happened("ended")

    def writeConnectionLost(self) -> None:
        """
        Never called.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        end, self._end = self._end, None
        if end is None or end._run is None:
            return
        end.losses += 1
        if end.outcome != "authenticated":
            end._run.judge.complain(f"{end.side}: an application that was never connected is lost")
        error: Any = reason.value
        if isinstance(error, ConnectionDone):
            if not end.hasClosed:
                end.arrived(b"", isEnd=True)
        else:
            end.lastError = (type(error), getattr(error, "alert", None))
        end._run.counts[f"lost: {type(error).__name__}"] += 1
        end.happened("lost")


@implementer(IHalfCloseableProtocol)
class _Halves(_Application):
    """
    The same, which can be closed by halves.
    """
