# -*- test-case-name: tests.test_conformance -*-
"""
The other end of a connection, made with Python's own C{ssl}, which binds another
OpenSSL than we do.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.protocol import Protocol

from ..enums import SslProtocols
from .authority import Authority
from .files import certificatePEM, writePEM

_VERSIONS = {
    SslProtocols.Tls12: ssl.TLSVersion.TLSv1_2,
    SslProtocols.Tls13: ssl.TLSVersion.TLSv1_3,
}


def pythonContext(authority: Authority, version: SslProtocols, isServer: bool) -> ssl.SSLContext:
    """
    @return: the context of a server that shows the authority's certificate, or
        of a client that trusts the authority.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if isServer else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = _VERSIONS[version]
    if isServer:
        with TemporaryDirectory() as directory:
            # It takes no certificate but from a file.
            path = Path(directory) / "server.pem"
            writePEM(path, authority.serverCertificate)
            context.load_cert_chain(path)
    else:
        context.load_verify_locations(cadata=certificatePEM(authority.certificate).decode("ascii"))
    return context


class PythonPeer(Protocol):
    """
    Shakes hands and keeps what it is told.

    @ivar tls: Python's object.
    @ivar received: what it was told.
    """

    transport: Any

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
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self._converse()
        self.send()

    def _converse(self) -> None:
        self.received += self.tls.read()

    def send(self) -> None:
        """
        Send what there is to be sent.
        """
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    @property
    def unique(self) -> bytes | None:
        """
        C{tls-unique}, as Python tells it.
        """
        return self.tls.get_channel_binding("tls-unique")


class PythonEcho(PythonPeer):
    """
    Sends back what it gets, and ends when the other end does.

    @ivar isEnded: whether the other end has sent C{close_notify}.
    """

    isEnded = False

    def _converse(self) -> None:
        while data := self._read():
            self.tls.write(data)
        self.isEnded = True
        self.end()

    def _read(self) -> bytes:
        # Python tells the end as an error once our own side has ended.
        with suppress(ssl.SSLZeroReturnError):
            return bytes(self.tls.read())
        return b""

    def end(self) -> None:
        """
        Send C{close_notify}.
        """
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.send()
