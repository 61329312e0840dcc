# -*- test-case-name: tests.test_authentication -*-
"""
What comes of an authentication, for whoever wants to know.

What was negotiated in TLS 1.3 never changes: it is found out when somebody asks.
"""

from __future__ import annotations

from cryptography import x509
from twisted.internet.interfaces import IReactorTime

from ._openssl import TlsEngine
from .crossing import Negotiated, Presented
from .hello import HelloPhase
from .judgement import Judgement, Reason
from .options import AuthenticationOptions
from .policy import checksRevocation
from .resumption import Resumption


class Outcome:
    """
    What is known of a handshake, as far as it has come.

    @ivar options: what was asked for.
    @ivar engine: OpenSSL's side of it.
    @ivar reason: why the connection is refused.
    @ivar hello: as long as a server has to choose by the client's hello: there is
        neither engine nor judgement then, nor options if they are to be chosen.
    @ivar isServer: whether it is the server's side.
    @ivar isAccepted: whether it has succeeded.
    """

    options: AuthenticationOptions
    engine: TlsEngine
    hello: HelloPhase | None
    isServer: bool
    reason: Reason
    _sender: object
    _clock: IReactorTime

    isAccepted = False
    # Whether the version is one in which there is no other handshake.
    _isModern = False
    _offersLater = False
    _facts: Negotiated | None = None
    _resumption: Resumption | None = None
    _presented: Presented | None = None
    _judgement: Judgement | None = None

    @property
    def judgement(self) -> Judgement:
        """
        What is thought of the peer.  Most servers think nothing of anybody, and
        need none.
        """
        if self._judgement is None:
            self._judgement = Judgement(
                self.options, self.engine, self._sender, self._clock, self.reason
            )
        return self._judgement

    @judgement.setter
    def judgement(self, judgement: Judgement) -> None:
        self._judgement = judgement

    @property
    def _isEquipped(self) -> bool:
        """
        Whether there are options and an engine.
        """
        return hasattr(self, "engine")

    @property
    def facts(self) -> Negotiated | None:
        """
        What was negotiated, once it has succeeded.
        """
        if self._facts is None and self.isAccepted:
            self._facts = self.engine.negotiated()
        return self._facts

    @facts.setter
    def facts(self, facts: Negotiated) -> None:
        self._facts = facts

    def keepSession(self) -> None:
        """
        Let another connection go on with the session.  In TLS 1.3 there is a
        ticket for that when the engine has news after the handshake.
        """
        if self.engine.isRenegotiating:
            # It is not finished.
            return
        self.engine.hasNews = False
        if self._resumption is not None and self._presented is not None:
            self._resumption.keep(self._presented)

    @property
    def mayBeAsked(self) -> bool:
        """
        Whether OpenSSL may have questions in mid-conversation, once the peer
        wants to.
        """
        if not self.isAccepted:
            return False
        return self._offersLater if self._isModern else self.engine.parameters.renegotiates

    @property
    def targetHostName(self) -> str:
        """
        The server's name: what a client asked for, in Unicode; empty if it
        asked for none.
        """
        if self.hello is not None or not self._isEquipped:
            return "" if self.hello is None else self.hello.serverName
        return self.judgement.targetHost(self.facts or self.engine.negotiated())

    @property
    def checksRevocation(self) -> bool:
        """
        Whether the peer's certificate was to be checked for revocation.
        """
        return self._isEquipped and checksRevocation(self.options.chainPolicy)

    @property
    def localCertificate(self) -> x509.Certificate | None:
        """
        Our certificate, if the peer was shown one.
        """
        shown = self.engine.parameters.certificate
        if self._resumption is not None:
            shown = self._resumption.shown
        elif not self.isServer and not self.engine.wasAskedForCertificate:
            shown = None
        return None if shown is None else shown.certificate
