# -*- test-case-name: tests.test_testing_streams -*-
"""
Pairs of streams in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ..ciphersuites import TlsCipherSuite, propertiesOf
from ..enums import CipherAlgorithmType, EncryptionPolicy, SslProtocols
from ..options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from ..parameters import CipherSuitesPolicy
from ..stream import SslStream
from .authority import Authority, sharedAuthority
from .outcomes import resultOf
from .wire import Segments, Wire

#: Options of a client, or changes to L{Authority.clientOptions}.
ClientOptions = SslClientAuthenticationOptions | Mapping[str, Any] | None
#: Options of a server, or changes to L{Authority.serverOptions}.
ServerOptions = SslServerAuthenticationOptions | Mapping[str, Any] | None


class Bystander(Protocol):
    """
    The protocol that a transport had before a stream took it over.

    @ivar received: what it has been given.
    @ivar lost: why its connection ended.
    """

    lost: Failure | None = None
    received = b""

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it.
        """
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Keep the reason.
        """
        self.lost = reason


class StreamPair:
    """
    A client's and a server's stream in memory, not yet authenticated.

    @cvar wireClass: what is made for it.
    @ivar client: the client's stream.
    @ivar server: the server's stream.
    @ivar wire: what is between them.
    @ivar clock: the clock of both and of the wire.
    @ivar authority: whom the default options are about.
    @ivar bystanders: the protocols that the transports of both had before.
    """

    wireClass: type[Wire] = Wire

    def __init__(
        self,
        segment: Segments = 0,
        keepsSessions: bool = False,
        *,
        authority: Authority | None = None,
        clock: Clock | None = None,
        **arguments: Any,
    ) -> None:
        """
        @param segment: how the wire cuts what it carries: so many bytes at a
            time, 0 for all, or an iterator of such numbers.
        @param keepsSessions: whether the client may go on with a session that
            began on another wire.
        @param authority: L{sharedAuthority} unless given.
        @param clock: a new one unless given.
        @param arguments: of L{SslStream}, for both.
        """
        self.authority = sharedAuthority() if authority is None else authority
        self.wire = self.wireClass(segment, keepsSessions, clock)
        self.bystanders = (Bystander(), Bystander())
        self.wire.connect(*self.bystanders)
        self.clock = self.wire.clock
        self.client = SslStream(self.wire.client, clock=self.clock, **arguments)
        self.server = SslStream(self.wire.server, clock=self.clock, **arguments)

    def authenticate(
        self,
        version: SslProtocols = SslProtocols.None_,
        client: ClientOptions = None,
        server: ServerOptions = None,
        flush: bool = True,
    ) -> tuple[Deferred[SslStream], Deferred[SslStream]]:
        """
        Authenticate both.

        @param version: of TLS, where the options do not say.
        @param client: the client's options, or changes to
            L{Authority.clientOptions}.
        @param server: the server's options, or changes to
            L{Authority.serverOptions}.
        @param flush: whether to let it happen now.
        @return: the Deferreds of the client and of the server.
        """
        if not isinstance(client, SslClientAuthenticationOptions):
            client = self.authority.clientOptions(version, **(client or {}))
        if not isinstance(server, SslServerAuthenticationOptions):
            server = self.authority.serverOptions(version, **(server or {}))
        serverSide = self.server.authenticateAsServer(server)
        clientSide = self.client.authenticateAsClient(client)
        if flush:
            self.flush()
        return clientSide, serverSide

    def flush(self) -> None:
        """
        Let everything that is under way arrive, without any time passing.
        """
        self.wire.flush()

    def advance(self, seconds: float) -> None:
        """
        Let so much time pass, and everything happen at its time.
        """
        self.wire.advance(seconds)


def connectedStreams(
    clientOptions: ClientOptions = None,
    serverOptions: ServerOptions = None,
    *,
    version: SslProtocols = SslProtocols.None_,
    mutual: bool = False,
    segment: Segments = 0,
    authority: Authority | None = None,
    clock: Clock | None = None,
    **arguments: Any,
) -> StreamPair:
    """
    Connect and authenticate two streams in memory.

    @param clientOptions: the client's options, or changes to
        L{Authority.clientOptions}.
    @param serverOptions: the server's options, or changes to
        L{Authority.serverOptions}.
    @param version: of TLS, where the options do not say.
    @param mutual: whether the server wants a client certificate, and the client
        has L{Authority.clientCertificate}, where the options do not say.
    @param segment: how the wire cuts what it carries: so many bytes at a time, 0
        for all, or an iterator of such numbers.
    @param authority: L{sharedAuthority} unless given.
    @param clock: a new one unless given.
    @param arguments: of L{SslStream}, for both.
    @return: both, authenticated, on their wire.
    @raise AuthenticationError: they have refused each other; it is the client's
        if both have one.
    """
    pair = StreamPair(segment, authority=authority, clock=clock, **arguments)
    if mutual:
        certificates = (pair.authority.clientCertificate,)
        if not isinstance(clientOptions, SslClientAuthenticationOptions):
            clientOptions = {"clientCertificates": certificates, **(clientOptions or {})}
        if not isinstance(serverOptions, SslServerAuthenticationOptions):
            serverOptions = {"clientCertificateRequired": True, **(serverOptions or {})}
    client, server = pair.authenticate(version, clientOptions, serverOptions)
    # The server's error is the same story, told from the other side.
    errors: list[Failure] = []
    server.addErrback(errors.append)
    try:
        resultOf(client)
        for error in errors:
            error.raiseException()
    except BaseException:
        # Whoever gets no pair cannot end it, and a callback may be waited for.
        pair.client.abort()
        pair.server.abort()
        pair.flush()
        raise
    return pair


def onlySuite(suite: TlsCipherSuite) -> dict[str, Any]:
    """
    Options that permit one suite, even one that does not encrypt.
    """
    isNull = propertiesOf(suite).cipherAlgorithm is CipherAlgorithmType.Null
    policy = EncryptionPolicy.NoEncryption if isNull else EncryptionPolicy.RequireEncryption
    return {"cipherSuitesPolicy": CipherSuitesPolicy([suite]), "encryptionPolicy": policy}
