# -*- test-case-name: tests.test_slots -*-
"""
Where a connected transport has its protocol, so that another can take its
place.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.policies import ProtocolWrapper

from ._processes import isProcess, wireTo
from .errors import InvalidOperationError


class Slot:
    """
    The place of the protocol of a transport.

    @ivar transport: what delivers to whoever is there, and is written to; not
        always the one that was given.
    """

    def __init__(self, transport: Any) -> None:
        """
        @raise TypeError: the transport is not connected to a protocol.
        """
        self.transport = _deliverer(transport)
        # A protocol wrapper delivers to what it wraps, whatever else it has.
        isWrapper = isinstance(self.transport, ProtocolWrapper)
        self._name = "wrappedProtocol" if isWrapper else "protocol"
        if getattr(self.transport, self._name, None) is None:
            raise TypeError(f"not a connected transport: {transport!r}")

    def requireNoProducer(self) -> None:
        """
        @raise InvalidOperationError: somebody writes to the transport whenever
            it takes more.
        """
        if getattr(self.transport, "producer", None) is not None:
            raise InvalidOperationError("the transport has a producer: unregister it first")

    @property
    def occupant(self) -> Any:
        """
        The protocol.
        """
        return getattr(self.transport, self._name)

    @occupant.setter
    def occupant(self, protocol: Any) -> None:
        setattr(self.transport, self._name, protocol)


def _deliverer(transport: Any) -> Any:
    if isProcess(transport):
        return wireTo(transport)
    if isinstance(transport, ProtocolWrapper):
        wrapped: Any = transport.wrappedProtocol
        # L{StartTLSFactory}'s write to whom they deliver to once TLS has begun.
        isAside = wrapped is not None and wrapped is transport.transport
        return wrapped if isAside else transport
    if getattr(transport, "TLS", False) and isinstance(transport.protocol, ProtocolWrapper):
        # After Twisted's startTLS the transport writes through its protocol.
        return transport.protocol
    return transport
