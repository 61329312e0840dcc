"""
Tests for L{txsslstream.stream}: streams over a wire in memory, and over real sockets.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import Clock
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase, TestCase

from txsslstream import (
    AuthenticationError,
    EncryptionPolicy,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    IncompleteReadError,
    InvalidOperationError,
    LimitExceededError,
    NotSupportedError,
    ReadTimeout,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamCertificateContext,
    StreamClosedError,
    TlsAlert,
    TlsError,
    TruncationError,
    WriteTimeout,
    X509ChainStatusFlags,
)
from txsslstream._sides import Reader

from .streams import Opened, StreamMixin
from .support import (
    AUTHORITY,
    CLIENT,
    SERVER,
    VERSIONS,
    MemoryTransport,
    Pair,
    clientOptions,
    perVersion,
    serverOptions,
)

#: Everything that needs an authenticated stream.
OPERATIONS: dict[str, Callable[[SslStream], Deferred[Any]]] = {
    "read": lambda stream: stream.read(),
    "readExactly": lambda stream: stream.readExactly(0),
    "readUntil": lambda stream: stream.readUntil(b"\n"),
    "write": lambda stream: stream.write(b"x"),
    "write nothing": lambda stream: stream.write(b""),
    "flush": lambda stream: stream.flush(),
    "shutdown": lambda stream: stream.shutdown(),
}

#: Everything that waits for data of which nothing but three letters comes.
READS: dict[str, Callable[[SslStream], Deferred[bytes]]] = {
    "read": lambda stream: stream.read(),
    "readExactly": lambda stream: stream.readExactly(4),
    "readUntil": lambda stream: stream.readUntil(b"\n"),
}

#: More than a transport takes that nobody empties.
MUCH = bytes(1 << 20)

#: As much as is handed over at once, and fills the transport.
FILLING = bytes(1 << 16)


@perVersion()
class AuthenticationTests(StreamMixin):
    """
    Tests for C{authenticateAsClient} and C{authenticateAsServer}.
    """

    def finish(self, pair: Pair, *authenticated: Deferred[SslStream]) -> None:
        """
        Both sides come to be authenticated.
        """
        pair.wire.flush()
        for stream, each in zip((pair.client, pair.server), authenticated, strict=True):
            self.assertIs(self.successResultOf(each), stream)
            self.assertTrue(stream.isAuthenticated)
            self.assertIs(stream.sslProtocol, self.version)

    def test_host(self) -> None:
        """
        A client that names nothing but the host trusts the system's roots, so
        that a server of our own authority is refused with unknown_ca.
        """
        pair = Pair(self.segment)
        client = pair.client.authenticateAsClient("localhost")
        server = pair.server.authenticateAsServer(SERVER, False, self.version)
        pair.wire.flush()
        error = self.failure(client, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(error.chainStatus, X509ChainStatusFlags.PartialChain)
        self.assertIs(error.alertSent, TlsAlert.unknown_ca)
        self.assertIsNone(error.alert)
        error = self.failure(server, AuthenticationError)
        self.assertIs(error.alert, TlsAlert.unknown_ca)
        self.assertIsNone(error.alertSent)

    def test_hostWithCallback(self) -> None:
        """
        The stream's own callback decides about a server that the system does
        not trust; on a server it hears that nobody was asked for.
        """
        asked: list[Any] = []

        def validate(*arguments: Any) -> bool:
            asked.append(arguments)
            return True

        pair = Pair(self.segment, remoteCertificateValidationCallback=validate)
        self.finish(
            pair,
            pair.client.authenticateAsClient("localhost"),
            pair.server.authenticateAsServer(SERVER, enabledSslProtocols=self.version),
        )
        byRole = {arguments[0].isServer: arguments for arguments in asked}
        self.assertEqual(len(asked), 2)
        stream, certificate, chain, errors = byRole[False]
        self.assertIs(stream, pair.client)
        self.assertEqual(certificate, SERVER.certificate)
        self.assertEqual(chain.chainElements[0].certificate, SERVER.certificate)
        self.assertEqual(errors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(byRole[True], (pair.server, None, None, SslPolicyErrors.None_))

    def certificateForms(self, context: SslStreamCertificateContext) -> Iterator[Any]:
        """
        A certificate and its key in every form.
        """
        pair = (context.certificate, context.privateKey)
        certificate = context.certificate.public_bytes(Encoding.PEM)
        key = context.privateKey.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        archive = pkcs12.serialize_key_and_certificates(
            b"name", context.privateKey, context.certificate, None, NoEncryption()  # type: ignore[arg-type]
        )
        directory = FilePath(self.mktemp())
        directory.makedirs()
        directory.child("both.pem").setContent(certificate + key)
        directory.child("both.pfx").setContent(archive)
        yield context
        yield pair
        yield directory.child("both.pem").path
        yield directory.child("both.pfx").path
        yield PrivateCertificate.loadPEM(certificate + key)

    def test_certificateForms(self) -> None:
        """
        Certificates are taken as a context, a pair, a path of a PEM file, a
        path of a PFX file and one of Twisted's, on both sides.
        """
        for server, client in zip(
            self.certificateForms(SERVER), self.certificateForms(CLIENT), strict=True
        ):
            pair = Pair(0, remoteCertificateValidationCallback=lambda *_: True)
            self.finish(
                pair,
                pair.client.authenticateAsClient("localhost", [client]),
                pair.server.authenticateAsServer(server, True, self.version),
            )
            self.assertEqual(pair.client.remoteCertificate, SERVER.certificate)
            self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate)

    def test_options(self) -> None:
        """
        All options may be given as one value.
        """
        pair = Pair(self.segment)
        self.finish(
            pair,
            pair.client.authenticateAsClient(
                SslClientAuthenticationOptions("localhost", trust=AUTHORITY.trust)
            ),
            pair.server.authenticateAsServer(
                SslServerAuthenticationOptions(SERVER, enabledSslProtocols=self.version)
            ),
        )

    def test_versions(self) -> None:
        """
        Sides without a version in common part with protocol_version.
        """
        other = SslProtocols.Tls12 if self.version is SslProtocols.Tls13 else SslProtocols.Tls13
        pair = Pair(self.segment)
        client = pair.client.authenticateAsClient("localhost", (), self.version)
        server = pair.server.authenticateAsServer(SERVER, False, other)
        pair.wire.flush()
        self.assertIs(
            self.failure(client, AuthenticationError).alert, TlsAlert.protocol_version
        )
        self.assertIs(
            self.failure(server, AuthenticationError).alertSent, TlsAlert.protocol_version
        )

    def test_clientCertificateRequired(self) -> None:
        """
        A server that asks for a certificate refuses a client that has none.
        """
        pair = Pair(self.segment)
        client = pair.client.authenticateAsClient(clientOptions(self.version))
        server = pair.server.authenticateAsServer(SERVER, True)
        pair.wire.flush()
        error = self.failure(server, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNotAvailable)
        if self.version is SslProtocols.Tls13:
            self.assertIs(error.alertSent, TlsAlert.certificate_required)
            # The client had finished already.
            client = self.successResultOf(client).read()
        else:
            self.assertIs(error.alertSent, TlsAlert.handshake_failure)
        self.assertIs(self.failure(client, AuthenticationError).alert, error.alertSent)

    def test_checkCertificateRevocation(self) -> None:
        """
        Whoever wants revocation checked refuses a certificate of which nothing
        is known; whoever does not accepts it.
        """
        for isServer in (False, True):
            pair = Pair(self.segment)
            checking, other = (
                (pair.server, pair.client) if isServer else (pair.client, pair.server)
            )
            noticed: list[SslPolicyErrors] = []

            def validate(*arguments: Any, noticed: list[Any] = noticed) -> bool:
                noticed.append(arguments[2].flags)
                return False

            for stream in (checking, other):
                stream._validation = validate if stream is checking else lambda *_: True
            client = pair.client.authenticateAsClient(
                "localhost", [CLIENT], self.version, not isServer
            )
            server = pair.server.authenticateAsServer(SERVER, isServer, self.version, isServer)
            pair.wire.flush()
            self.failure(server if isServer else client, AuthenticationError)
            self.assertTrue(noticed[0] & X509ChainStatusFlags.RevocationStatusUnknown)
            self.assertTrue(checking.checkCertRevocationStatus)
            self.assertFalse(other.checkCertRevocationStatus)
            (client if isServer else server).addErrback(lambda _: None)
