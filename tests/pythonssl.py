"""
The other end of a connection, made with Python's own C{ssl}, which binds
another OpenSSL than we do.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from txsslstream import SslProtocols
from txsslstream.testing import certificatePEM, keyPEM

from .programs import sharedFile
from .support import AUTHORITY, SERVER

_VERSIONS = {
    SslProtocols.Tls12: ssl.TLSVersion.TLSv1_2,
    SslProtocols.Tls13: ssl.TLSVersion.TLSv1_3,
}


def pythonContext(version: SslProtocols, isServer: bool) -> ssl.SSLContext:
    """
    @return: the context of a server that shows L{SERVER}, or of a client that
        trusts L{AUTHORITY}.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if isServer else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = _VERSIONS[version]
    if isServer:
        context.load_cert_chain(
            sharedFile("python-server.pem", certificatePEM(SERVER) + keyPEM(SERVER))
        )
    else:
        context.load_verify_locations(cadata=certificatePEM(AUTHORITY.certificate).decode("ascii"))
    return context


class PythonPeer(Protocol):
    """
    A protocol that shakes hands and keeps what it is told.

    @ivar tls: Python's object.
    @ivar received: what it was told.
    """

    def __init__(
        self, context: ssl.SSLContext, isServer: bool, session: ssl.SSLSession | None = None
    ) -> None:
        """
        @param session: which a client wants to go on.
        """
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.received = b""
        self.tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=isServer,
            server_hostname=None if isServer else "localhost",
            session=session,
        )

    def connectionMade(self) -> None:
        """
        A client begins.
        """
        self._proceed()

    def dataReceived(self, data: bytes) -> None:
        """
        Go on.
        """
        self._incoming.write(data)
        self._proceed()

    def _proceed(self) -> None:
        transport: Any = self.transport
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self.received += self.tls.read()
        if self._outgoing.pending:
            transport.write(self._outgoing.read())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Nothing is to be done.
        """

    @property
    def unique(self) -> bytes | None:
        """
        C{tls-unique}, as Python tells it.
        """
        return self.tls.get_channel_binding("tls-unique")
