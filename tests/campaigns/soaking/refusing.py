"""
The conversations of a soak that do not go well, as clients have them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Factory

from txsslstream import (
    AuthenticationError,
    HandshakeTimeout,
    SslPolicyErrors,
    SslStreamClientEndpoint,
    TruncationError,
)

from .asking import BULK, Asker, Raw
from .material import expect
from .member import EXPECTED_WORDS
from .serving import HASTE


class Refusing(Asker):
    """
    Somebody who has them.
    """

    async def distrusting(self) -> None:
        """
        The client does not trust the server's authority.
        """
        await self.refused(
            "main",
            SslPolicyErrors.RemoteCertificateChainErrors,
            trust=self.material.strangers,
        )

    async def elsewhere(self) -> None:
        """
        The server has another name.
        """
        await self.refused(
            "main", SslPolicyErrors.RemoteCertificateNameMismatch, targetHost="other.example"
        )

    async def revoked(self) -> None:
        """
        The server's certificate is revoked, says the CRL.
        """
        await self.refused(
            "revoked",
            SslPolicyErrors.RemoteCertificateChainErrors,
            trust=None,
            certificateChainPolicy=self.material.policy,
        )

    async def saidNo(self) -> None:
        """
        The client's callback says no, or raises an error.
        """

        def refuses(*_: object) -> bool:
            if self.random.random() < 0.5:
                raise ValueError(EXPECTED_WORDS)
            return False

        await self.refused("main", None, remoteCertificateValidationCallback=refuses)

    async def heardNo(self) -> None:
        """
        The server's callback does so.
        """
        await self.refused("refusing", None)

    async def stranger(self) -> None:
        """
        The server does not know the client.
        """
        await self.refused("strict", None, clientCertificates=[self.material.stranger])

    async def silentServer(self) -> None:
        """
        The server never says anything.
        """
        try:
            await self.connect("silent", handshakeTimeout=HASTE)
        except HandshakeTimeout:
            return
        raise AssertionError("there was no time-out")

    async def silentClient(self) -> None:
        """
        The client never says anything.
        """
        protocol: Any = await self.endpoint("hasty").connect(Factory.forProtocol(Raw))
        await protocol.ended

    async def cancelled(self) -> None:
        """
        The client gives up in mid-handshake.
        """
        endpoint = SslStreamClientEndpoint(self.endpoint("mutual"), self.options())
        connecting = endpoint.connectStream()
        self.reactor.callLater(self.random.random() / 50, connecting.cancel)
        with suppress(AuthenticationError, ConnectingCancelledError):
            stream = await connecting
            stream.abort()

    async def aborted(self) -> None:
        """
        The client ends the connection in the middle of the server's data.
        """
        stream = await self.connect("main")
        start = await self.request(stream, "down", BULK)
        await expect(stream, start, 1 << 16)
        stream.abort()
        await stream.whenClosed()

    async def truncated(self) -> None:
        """
        The server ends the connection without saying so.
        """
        stream = await self.connect("dropping")
        assert await stream.readExactly(7) == b"half of"
        try:
            await stream.read()
        except TruncationError:
            await stream.close()
            return
        raise AssertionError("that it was truncated did not show")

    async def broken(self) -> None:
        """
        The server ends the connection in the middle of a record of the handshake.
        """
        await self.refused("breaking", None)
