"""
An echo server without TLS, for what forwards to it.

    python -m tests.interop._echo

It prints on which port of 127.0.0.1 it listens.  A process of its own: those
that it is for go on connecting to see whether it is there, which no test that
looks at its own process is to see.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

from ._web import say


def main(reactor: Any) -> Deferred[None]:
    """
    Listen.

    @return: a Deferred that never fires.
    """
    port = reactor.listenTCP(0, Factory.forProtocol(Echo), backlog=128, interface="127.0.0.1")
    say(f"Listening on port {port.getHost().port}")
    return Deferred()


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
