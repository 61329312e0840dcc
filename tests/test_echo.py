"""
Tests for L{txsslstream.echo}: what the sample's server and client say and print, and how each
conversation ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    SslProtocols,
    SslStream,
    StreamClosedError,
    TlsAlert,
    TruncationError,
)
from txsslstream.echo import MESSAGE_LIMIT, SampleServer, converse, readMessage

from .support import CLIENT, SERVER, Authority, Bystander, Pair, Wire, clientOptions, perVersion
from .support import serverOptions

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

HELLO = b"Hello from the server.<EOF>"
CLOSING = "Authentication failed - closing the connection."
KIBI = 1024


class Client:
    """
    A client of a L{SampleServer}, in memory.

    @ivar wire: the connection.
    @ivar stream: the client's end of it.
    """

    def __init__(self, server: SampleServer, wire: Wire) -> None:
        self.wire = wire
        wire.connect(Bystander(), server.buildProtocol(None))
        self.stream = SslStream(wire.client, clock=wire.clock)


class ServerCase(Case):
    """
    What the tests of the server have in common.

    @ivar server: the server, once started.
    @ivar lines: what it has printed.
    """

    version: SslProtocols
    segment: int

    def setUp(self) -> None:
        """
        Nothing is printed yet, and connections are made on one clock.
        """
        self.lines: list[str] = []
        self.wires: list[Wire] = []

    def start(self, isVerbose: bool = False, echoes: bool = False, **options: Any) -> None:
        """
        Start the server.
        """
        self.clock = Clock()
        self.server = SampleServer(
            serverOptions(self.version, **options),
            self.lines.append,
            self.clock,
            echoes=echoes,
            isVerbose=isVerbose,
        )
