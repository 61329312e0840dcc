"""
What is promised, over every kind of transport.
"""

from __future__ import annotations

from typing import Any

from txsslstream.testing.conformance import Conformance, perRole
from txsslstream.testing.sockets import TCPTestWire, UNIXTestWire
from txsslstream.testing.wires import MemoryTestWire, TLSTestWire, oneByOne


@perRole()
class Memory(Conformance):
    """
    In memory.
    """


@perRole()
class OneByte(Conformance):
    def makeWire(self) -> Any:
        return MemoryTestWire(oneByOne())


@perRole()
class TCP(Conformance):
    def makeWire(self) -> Any:
        return TCPTestWire()


@perRole()
class UNIX(Conformance):
    def makeWire(self) -> Any:
        return UNIXTestWire()


@perRole()
class TLSInTLS(Conformance):
    def makeWire(self) -> Any:
        return TLSTestWire()
