# -*- test-case-name: tests.test_testing_wires -*-
"""
Real sockets that a test drives by hand, in a time of its own, for
L{txsslstream.testing.conformance}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import repeat
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.selectreactor import SelectReactor
from zope.interface import implementer

from .wire import Segments
from .wires import ITestWire, TransportWire


class PumpedReactor(SelectReactor):
    """
    Twisted's reactor for C{select}, which nobody runs: sockets are looked at when
    L{turn} is called, and time passes when L{advance} is.
    """

    def __init__(self) -> None:
        self._time = 0.0
        self._held: set[Any] = set()
        self._wanted: set[Any] = set()
        super().__init__()

    def installWaker(self) -> None:
        """
        Nobody wakes it: there are no threads and no signals.
        """

    def seconds(self) -> float:
        """
        See C{IReactorTime}.
        """
        return self._time

    def hold(self, transport: Any) -> None:
        """
        Read nothing from a transport, whether or not it wants to be read, until
        L{letGo}.
        """
        wantsReading = transport in self.getReaders()
        self._held.add(transport)
        if wantsReading:
            self.removeReader(transport)
            self._wanted.add(transport)

    def letGo(self, transport: Any) -> None:
        """
        Read from it again, if it wants to be read.
        """
        self._held.discard(transport)
        if transport in self._wanted:
            self._wanted.discard(transport)
            self.addReader(transport)

    def addReader(self, reader: Any) -> None:
        """
        See C{IReactorFDSet}.
        """
        if reader in self._held:
            self._wanted.add(reader)
        else:
            super().addReader(reader)

    def removeReader(self, reader: Any) -> None:
        """
        See C{IReactorFDSet}.
        """
        self._wanted.discard(reader)
        super().removeReader(reader)

    @property
    def isDue(self) -> bool:
        """
        Whether a call is due now.
        """
        return self.timeout() == 0

    def turn(self, patience: float = 0) -> None:
        """
        Do what is due, and look at the sockets once.

        @param patience: how many seconds of real time to wait for one of them at
            most.
        """
        self.iterate(0 if self.isDue else patience)

    def advance(self, seconds: float, flush: Callable[[], object]) -> None:
        """
        Let so much time pass, from one moment at which something is to happen to
        the next.

        @param flush: lets happen what happens without time.
        """
        flush()
        for moment in self._moments(self._time + seconds):
            self._time = moment
            flush()

    def _moments(self, end: float) -> Iterator[float]:
        while times := [each.getTime() for each in self.getDelayedCalls()]:
            if min(times) > end:
                break
            yield min(times)
        yield end


class _Tap:
    """
    In the place of a socket: notes what goes through it.
    """

    def __init__(self, tapped: socket, segment: Callable[[], int]) -> None:
        self._socket = tapped
        self._segment = segment
        self.sent = bytearray()
        self.received = 0

    def send(self, data: Any) -> int:
        size = self._socket.send(data)
        self.sent += memoryview(data)[:size]
        return size

    def recv(self, size: int) -> bytes:
        data = self._socket.recv(min(size, self._segment() or size))
        self.received += len(data)
        return data

    def recvmsg(self, size: int, *more: int) -> Any:
        got = self._socket.recvmsg(min(size, self._segment() or size), *more)
        self.received += len(got[0])
        return got

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@implementer(ITestWire)
class SocketTestWire(TransportWire):
    """
    Two real sockets, and Twisted's own transports for them, on a
    L{PumpedReactor}.

    @cvar PATIENCE: after how many seconds of real time what was sent has to be
        there; nothing waits as long if all is well.
    @cvar TURNS: within how many turns of the reactor there has to be a connection.
    """

    PATIENCE = 10
    TURNS = 100

    def __init__(self, segment: Segments = 0) -> None:
        """
        @param segment: how many bytes are read at a time; see L{Segments}.
        """
        super().__init__()
        self.clock: Any = PumpedReactor()
        sizes = repeat(segment) if isinstance(segment, int) else segment
        self._segment = lambda: next(sizes, 0)
        self._taps: list[_Tap] = []

    def dial(self, client: Any, server: Any) -> Any:
        """
        Listen, and begin to connect.

        @return: the port.
        """
        raise NotImplementedError

    def connect(self, client: Any, server: Any) -> None:
        """
        See L{ITestWire}.

        @raise AssertionError: there is no connection.
        """
        # Who are there before anything is sent.
        first = Protocol(), Protocol()
        dialling, listening = ClientFactory(), Factory()
        for factory, protocol in ((dialling, first[0]), (listening, first[1])):
            factory.noisy = False
            factory.protocol = [protocol].pop
        port = self.dial(dialling, listening)
        turns = 0
        while not all(each.connected for each in first):
            self.clock.turn(self.PATIENCE)
            turns += 1
            if turns > self.TURNS:
                raise AssertionError("nobody is connected")
        port.stopListening()
        self.clock.turn()
        for each in first:
            transport: Any = each.transport
            transport.socket = _Tap(transport.socket, self._segment)
            self.ends.append(transport)
            self._taps.append(transport.socket)
        for transport, protocol in ((self.ends[1], server), (self.ends[0], client)):
            transport.protocol = protocol
            protocol.makeConnection(transport)

    def flush(self) -> None:
        """
        See L{ITestWire}.

        @raise AssertionError: something does not arrive.
        """
        isSure = False
        while True:
            before = self._state()
            self.clock.turn(self.PATIENCE if isSure else 0)
            if self.clock.isDue or self._state() != before:
                isSure = False
            elif not self._isUnderWay():
                return
            elif isSure:
                raise AssertionError("what was sent does not arrive")
            else:
                isSure = True

    def _state(self) -> list[object]:
        return [
            (len(tap.sent), tap.received, end.connected)
            for tap, end in zip(self._taps, self.ends, strict=True)
        ]

    def _isUnderWay(self) -> bool:
        """
        Whether somebody waits for what was sent, or for the end.
        """
        readers, writers = self.clock.getReaders(), self.clock.getWriters()
        return any(
            self.ends[not one] in readers
            and (
                len(self._taps[one].sent) > self._taps[not one].received
                or not self.ends[one].connected
                or self.ends[one] in writers
            )
            for one in (False, True)
        )

    def advance(self, seconds: float) -> None:
        """
        See L{ITestWire}.
        """
        self.clock.advance(seconds, self.flush)

    def stall(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self.clock.hold(self.ends[not isServer])

    def release(self, isServer: bool) -> None:
        """
        See L{ITestWire}.
        """
        self.clock.letGo(self.ends[not isServer])

    def sent(self, isServer: bool) -> int:
        """
        See L{ITestWire}.
        """
        return len(self._taps[isServer].sent)

    def everSent(self, isServer: bool) -> bytes | None:
        """
        See L{ITestWire}.
        """
        return bytes(self._taps[isServer].sent)

    def close(self) -> None:
        """
        See L{ITestWire}.
        """
        for isServer, transport in enumerate(self.ends):
            self.release(bool(isServer))
            if transport.connected:
                transport.abortConnection()
        self.flush()


class TCPTestWire(SocketTestWire):
    """
    A TCP connection from this machine to itself.
    """

    def dial(self, client: Any, server: Any) -> Any:
        """
        See L{SocketTestWire}.
        """
        port = self.clock.listenTCP(0, server, interface="127.0.0.1")
        self.clock.connectTCP("127.0.0.1", port.getHost().port, client)
        return port


class UNIXTestWire(SocketTestWire):
    """
    A connection through a UNIX socket, which knows no resets.
    """

    hasResets = False

    def __init__(self, segment: Segments = 0) -> None:
        """
        @param segment: how many bytes are read at a time; see L{Segments}.
        """
        super().__init__(segment)
        self._directory = TemporaryDirectory(prefix="txsslstream")

    def dial(self, client: Any, server: Any) -> Any:
        """
        See L{SocketTestWire}.
        """
        path = os.path.join(self._directory.name, "socket")
        port = self.clock.listenUNIX(path, server)
        self.clock.connectUNIX(path, client)
        return port

    def close(self) -> None:
        """
        See L{SocketTestWire}.
        """
        super().close()
        self._directory.cleanup()
