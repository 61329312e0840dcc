"""
Twisted's own TLS, ours, and TCP without TLS, on three reactors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zope.interface import implementer

from tests.benchmarks.children import say
from tests.benchmarks.credentials import Credentials
from tests.benchmarks.settings import FactoryMaker, Settings, ourFactories, stockFactories

from .jobs import Job


def _install(loop: str) -> Any:
    """
    @param loop: C{epoll}, C{asyncio} or C{uvloop}.
    @return: the reactor.
    """
    if loop == "epoll":
        from twisted.internet import epollreactor

        epollreactor.install()
    else:
        from twisted.internet import asyncioreactor

        if loop == "uvloop":
            import uvloop

            asyncioreactor.install(uvloop.new_event_loop())
        else:
            asyncioreactor.install()
    from twisted.internet import reactor

    return reactor


def _factories(package: str, settings: Settings, credentials: Credentials, clock: Any) -> Any:
    makers: dict[str, FactoryMaker] = {"tcp": lambda application: application}
    if package in makers:
        return makers[package]
    make = ourFactories if package == "ours" else stockFactories
    return make(settings, credentials, clock)


def _protocols(job: Job) -> Any:
    """
    @return: the class of a server's application.
    """
    from twisted.internet.interfaces import IPushProducer
    from twisted.internet.protocol import Protocol

    class Receiver(Protocol):
        def dataReceived(self, data: bytes) -> None:
            answer = job.received(len(data))
            if answer:
                transport: Any = self.transport
                transport.write(answer)

    class Echo(Protocol):
        def dataReceived(self, data: bytes) -> None:
            transport: Any = self.transport
            transport.write(data)
            job.received(len(data))

    @implementer(IPushProducer)
    class Sender(Protocol):
        left = job.workload.amount
        isPaused = False

        def dataReceived(self, data: bytes) -> None:
            begins = job.sends
            job.received(len(data))
            if begins:
                transport: Any = self.transport
                transport.registerProducer(self, True)
                self.resumeProducing()

        def pauseProducing(self) -> None:
            self.isPaused = True

        def resumeProducing(self) -> None:
            self.isPaused = False
            transport: Any = self.transport
            while self.left and not self.isPaused:
                self.left -= len(job.chunk)
                transport.write(job.chunk)
            if not self.left:
                transport.unregisterProducer()

        def stopProducing(self) -> None:
            self.left = 0

    return Echo if job.echoes else Sender if job.workload.kind == "send" else Receiver


def serve(package: str, loop: str, jobs: Sequence[Job], credentials: Credentials) -> None:
    """
    Listen on a port for each of the jobs.
    """
    reactor = _install(loop)
    from twisted.internet.protocol import Factory

    ports = []
    for job in jobs:
        factories = _factories(package, job.workload.settings, credentials, reactor)
        factory = factories(Factory.forProtocol(_protocols(job)))
        port = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
        ports.append(port.getHost().port)
    say(ports)
    reactor.run()


def connect(package: str, loop: str, job: Job, credentials: Credentials, port: int) -> None:
    """
    Connect again and again.
    """
    reactor = _install(loop)
    from twisted.internet.interfaces import IHandshakeListener
    from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
    from twisted.python.failure import Failure

    factories = _factories(package, job.workload.settings, credentials, reactor)

    @implementer(IHandshakeListener)
    class Client(Protocol):
        def handshakeCompleted(self) -> None:
            transport: Any = self.transport
            transport.write(b"x")

        def dataReceived(self, data: bytes) -> None:
            transport: Any = self.transport
            job.received(len(data))
            transport.loseConnection()

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            dial()

    application = ClientFactory.forProtocol(Client)
    application.noisy = False

    def dial() -> None:
        factory = factories(application)
        factory.noisy = False
        reactor.connectTCP("127.0.0.1", port, factory)

    reactor.callWhenRunning(dial)
    reactor.run()
