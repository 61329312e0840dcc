# -*- test-case-name: tests.test_resumption -*-
"""
How a client goes on with an earlier session.

It offers one only to the server that it had it from, with options that would
have led to the same session, and with the certificate that was shown then.
"""

from __future__ import annotations

from ._openssl import TlsEngine
from .certificates import SslStreamCertificateContext
from .crossing import Presented, ResumableSession
from .options import SslClientAuthenticationOptions
from .policy import checksRevocation
from .sessions import sessions


class Resumption:
    """
    A client's sessions, in one handshake.
    """

    def __init__(self, options: SslClientAuthenticationOptions, engine: TlsEngine) -> None:
        self._isChosenByCallback = options.localCertificateSelectionCallback is not None
        self._purpose = (
            options.targetHost.lower(),
            engine.parameters,
            options.chainPolicy,
            options.candidates,
            # What was chosen without a callback is not what one has answered.
            self._isChosenByCallback,
        )
        self._engine = engine
        self._choice: SslStreamCertificateContext | None = None
        self._session: ResumableSession | None = None

    def offer(self, choice: SslStreamCertificateContext | None) -> None:
        """
        Offer the server an earlier session if there is one.

        @param choice: what a callback wants to show.
        """
        self._choice = choice
        self._session = sessions.take((self._purpose, choice))
        if self._session is not None:
            self._engine.resume(self._session)

    @property
    def shown(self) -> SslStreamCertificateContext | None:
        """
        What the server has been shown, now or when the session began.
        """
        if self._session is not None and self._engine.isResumed:
            return self._session.shown
        return self._engine.parameters.certificate if self._engine.wasAskedForCertificate else None

    def keep(self, presented: Presented) -> None:
        """
        Keep the session, as it is now, for another connection.

        @param presented: what the server has shown.
        """
        shown = self.shown
        choice = self._choice
        if self._isChosenByCallback and shown is not None:
            choice = shown
        session = ResumableSession(self._engine.currentSession(), presented, shown)
        sessions.keep((self._purpose, choice), session)


def resumptionFor(options: SslClientAuthenticationOptions, engine: TlsEngine) -> Resumption | None:
    """
    @return: L{None} if there is nothing to go on with: it is not wanted, the
        server has no name, or a fresh OCSP response is wanted, which a session
        that goes on does not bring.
    """
    wantsStaple = checksRevocation(options.chainPolicy)
    if not engine.parameters.resumes or not options.targetHost or wantsStaple:
        return None
    return Resumption(options, engine)
