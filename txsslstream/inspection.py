# -*- test-case-name: tests.test_protocol -*-
"""
What a TLS protocol tells of itself, in either of its lives
(L{txsslstream.protocol}).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ._deferreds import Occurrence, anew
from .authentication import Authentication
from .channelbinding import Bindable, Channel
from .errors import AuthenticationError, InvalidOperationError, StreamClosedError
from .inspectable import ISslStream
from .security import SecurityInfo, SecurityProperties, describeForeign, securityInfo
from .states import WireState


@implementer(ISslStream)
class InspectableProtocol(BufferingTLSTransport, SecurityProperties, Bindable):
    """
    A TLS protocol with the properties of L{ISslStream}.

    @ivar leaveInnerStreamOpen: what the property of that name says.
    """

    leaveInnerStreamOpen: bool = False

    _tlsConnection: Any = None
    _authentication: Authentication | None = None
    _isReadingOver = False
    _isWritingOver = False
    _state = WireState.fresh
    _security: SecurityInfo | None = None
    _failure: BaseException | None = None

    def __init__(self, factory: Any, wrappedProtocol: Any, _connectWrapped: bool = True) -> None:
        # Not BufferingTLSTransport's: what gathers writes is another's business.
        TLSMemoryBIOProtocol.__init__(self, factory, wrappedProtocol, _connectWrapped)
        self._authenticated: Occurrence[None] = Occurrence()
        self._closed: Occurrence[None] = Occurrence()

    def _fail(self, error: BaseException) -> None:
        """
        Remember why it ended, for C{connectionLost} and for later calls; the
        first reason stays.
        """
        if self._failure is None:
            self._failure = error
            self._reason = Failure(error)

    def whenAuthenticated(self) -> Deferred[Any]:
        """
        See L{ISslStream.whenAuthenticated}.
        """
        # Kept as the outcome, this protocol would be part of a cycle.
        return self._authenticated.when().addCallback(lambda _: self)

    def whenClosed(self) -> Deferred[None]:
        """
        See L{ISslStream.whenClosed}.
        """
        return self._closed.when()

    @property
    def security(self) -> SecurityInfo:
        security = self._securitySoFar()
        if security is not None:
            return security
        if isinstance(self._failure, AuthenticationError):
            raise anew(self._failure)
        raise InvalidOperationError("nothing is negotiated yet")

    @property
    def isServer(self) -> bool:
        if self._authentication is not None:
            return self._authentication.isServer
        security = self._securitySoFar()
        return security is not None and security.isServer

    @property
    def checkCertRevocationStatus(self) -> bool:
        return self._authentication is not None and self._authentication.checksRevocation

    @property
    def targetHostName(self) -> str:
        return "" if self._authentication is None else self._authentication.targetHostName

    def _securitySoFar(self) -> SecurityInfo | None:
        security = self._security
        if security is None:
            if self._authentication is not None:
                security = _describe(self._authentication, self.leaveInnerStreamOpen)
            elif self._handshakeDone and self._tlsConnection is not None:
                security = describeForeign(self._tlsConnection)
            if security is None or not security.isAuthenticated:
                return security
            self._security = security
        if self._authentication is not None:
            isOpen = self._state is WireState.open
        else:
            isOpen = bool(self.connected) and not self.disconnecting and not self._lostTLSConnection
        return replace(
            security,
            canRead=isOpen and not self._isReadingOver,
            canWrite=isOpen and not self._isWritingOver,
        )

    def _channel(self) -> Channel:
        security = self.security
        if not security.isAuthenticated:
            raise InvalidOperationError("the connection must be authenticated first")
        if self._tlsConnection is None:
            raise StreamClosedError("the connection is gone")
        return Channel(self._tlsConnection, security)

    @property
    def wireState(self) -> WireState:
        """
        How far the connection has come.
        """
        return self._state

    @property
    def isReadingOver(self) -> bool:
        """
        Whether the peer has sent C{close_notify}.
        """
        return self._isReadingOver

    @property
    def isOver(self) -> bool:
        """
        Whether both sides have.
        """
        return self._isReadingOver and self._isWritingOver

    @property
    def handshakeTimeout(self) -> float | None:
        """
        Seconds for the whole handshake, or L{None}.
        """
        return None if self._authentication is None else self._authentication.handshakeTimeout


def _describe(authentication: Authentication, leaveInnerStreamOpen: bool) -> SecurityInfo | None:
    """
    @return: the properties, without certificates while somebody decides about
        them.
    """
    facts = authentication.factsSoFar
    if facts is None:
        return None
    isAuthenticated = authentication.isAccepted
    judgement = authentication.judgement
    return securityInfo(
        facts,
        isAuthenticated=isAuthenticated,
        isServer=authentication.isServer,
        checkCertRevocationStatus=authentication.checksRevocation,
        localCertificate=authentication.localCertificate if isAuthenticated else None,
        remoteCertificate=judgement.remoteCertificate if isAuthenticated else None,
        remoteChain=judgement.remoteChain if isAuthenticated else None,
        targetHostName=authentication.targetHostName,
        leaveInnerStreamOpen=leaveInnerStreamOpen,
    )
