# -*- test-case-name: tests.test_conformance -*-
"""
What a stream of ours promises, as test cases that can be run over any transport,
and with any stream that is to do the same.

Each test shows behaviours, by the numbers that they have in the documentation:
see L{behavioursOf}.
"""

from __future__ import annotations

from .authenticating import Authenticating
from .cases import perRole
from .conforming import ConformanceCase, behaviour, behavioursOf
from .ending import Ending
from .interrupting import Interrupting
from .leaving import Leaving
from .pushing import Pushing
from .sockets import TCPTestWire, UNIXTestWire
from .transferring import Transferring
from .truncating import Truncating
from .wires import ITestWire, MemoryTestWire, TLSTestWire, oneByOne


class Conformance(Authenticating, Interrupting, Transferring, Pushing, Ending, Truncating, Leaving):
    """
    All of it.  Subclass it, override
    L{makeWire<txsslstream.testing.conforming.ConformanceCase.makeWire>},
    L{makeStream<txsslstream.testing.conforming.ConformanceCase.makeStream>} or
    L{makeProtocol<txsslstream.testing.conforming.ConformanceCase.makeProtocol>},
    and decorate it with L{perRole}.
    """


__all__ = [
    "Conformance",
    "ConformanceCase",
    "ITestWire",
    "MemoryTestWire",
    "TCPTestWire",
    "TLSTestWire",
    "UNIXTestWire",
    "behaviour",
    "behavioursOf",
    "oneByOne",
    "perRole",
]
