"""
Counts what fails.
"""

from __future__ import annotations

from collections import Counter

from zope.interface import implementer

from txsslstream import HandshakeFailureReason, IHandshakeObserver, SslProtocols
from txsslstream.metrics import addObserver


@implementer(IHandshakeObserver)
class FailureCounter:
    """
    Counts why handshakes fail.
    """

    def __init__(self) -> None:
        self.reasons: Counter[HandshakeFailureReason] = Counter()

    def handshakeStarted(self, isServer: bool) -> None:
        """
        Nothing has failed yet.
        """

    def handshakeCompleted(
        self, isServer: bool, protocol: SslProtocols, isResumed: bool, seconds: float
    ) -> None:
        """
        Nothing has failed.
        """

    def handshakeFailed(
        self, isServer: bool, reason: HandshakeFailureReason, seconds: float
    ) -> None:
        """
        Count it.
        """
        self.reasons[reason] += 1

    def connectionClosed(self, isServer: bool, protocol: SslProtocols) -> None:
        """
        That is no failure.
        """


def watch() -> FailureCounter:
    """
    @return: a counter that counts from now on.
    """
    counter = FailureCounter()
    addObserver(counter)
    return counter
