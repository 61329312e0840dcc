# -*- test-case-name: tests.test_hello -*-
"""
What a server chooses by a client's hello, before OpenSSL sees a byte of it: all
of its options, or the certificate.

Later is too late: versions, the demand for a client's certificate and the
sessions that may go on belong to the OpenSSL context that a connection begins
with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed

from ._deferreds import unless
from ._openssl import TlsEngine, contextFor
from .clienthello import ClientHelloReader, HelloState
from .enums import TlsAlert
from .options import (
    LocalCertificateSelectionCallback,
    ServerOptions,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    contextWithKey,
)
from .parameters import TlsParameters
from .records import alertRecord


class ChoiceRefused(Exception):
    """
    There is nothing for this client.

    @ivar alert: what it is told.
    """

    def __init__(self, reason: str, alert: TlsAlert) -> None:
        super().__init__(reason)
        self.alert = alert


@dataclass(frozen=True)
class Choice:
    """
    What was chosen.

    @ivar parameters: of the options, with the certificate to present.
    """

    options: SslServerAuthenticationOptions
    parameters: TlsParameters


class HelloPhase:
    """
    The time from a client's first byte to the choice.

    @ivar reader: reads the hello.
    """

    def __init__(
        self,
        options: ServerOptions,
        sender: object,
        localSelection: LocalCertificateSelectionCallback | None,
    ) -> None:
        """
        @param sender: the stream, as callbacks get it.
        """
        self.reader = ClientHelloReader()
        self._options = options
        self._sender = sender
        self._localSelection = localSelection
        self._isOver = False

    @property
    def serverName(self) -> str:
        """
        The name that the client asks for, in Unicode; empty if it is not known,
        or there is none.
        """
        return "" if self.reader.info is None else self.reader.info.serverName

    @property
    def isChoosing(self) -> bool:
        """
        Whether the hello is there.
        """
        return self.reader.state is HelloState.complete

    def feed(self, data: bytes) -> HelloState:
        """
        Take bytes from the client.

        @return: what has become of the hello.
        """
        self.reader.feed(data)
        return self.reader.state

    def choose(self) -> Deferred[Choice]:
        """
        Let the callbacks choose.

        @return: a Deferred of the choice.  It fails with L{ChoiceRefused} if they
            have nothing for this client, and with whatever they raise.
        """
        options = self._options
        if isinstance(options, SslServerAuthenticationOptions):
            return self._chooseCertificate(options)
        select: Callable[..., object] = options.serverOptionsSelectionCallback
        return self._ask(select, self.reader.info, options.state).addCallback(
            self._chooseCertificate
        )

    def _ask(self, callback: Callable[..., object], *arguments: object) -> Deferred[Any]:
        if self._isOver:
            raise CancelledError
        answer: Deferred[Any] = maybeDeferred(callback, self._sender, *arguments)
        return unless(self._isOver, answer)

    def _chooseCertificate(self, options: Any) -> Deferred[Choice]:
        if options is None:
            raise self._nothing("options")
        if not isinstance(options, SslServerAuthenticationOptions):
            raise TypeError(
                "the answer must be SslServerAuthenticationOptions or None, not "
                + type(options).__name__
            )
        configured = options.parameters.certificate
        select = options.serverCertificateSelectionCallback
        if select is not None:
            answer = self._ask(select, self.serverName)
        elif self._localSelection is not None:
            ours = () if configured is None else (configured,)
            answer = self._ask(self._localSelection, "", ours, None, ())
        else:
            return succeed(Choice(options, options.parameters))
        return answer.addCallback(self._chosen, options)

    def _chosen(self, certificate: Any, options: SslServerAuthenticationOptions) -> Choice:
        if certificate is None:
            raise self._nothing("certificate")
        parameters = replace(options.parameters, certificate=contextWithKey(certificate).current)
        # Whatever OpenSSL has against it must show now.
        contextFor(parameters)
        return Choice(options, parameters)

    def release(self) -> None:
        """
        Forget what leads back to the stream: nobody will be asked any more.
        """
        self._isOver = True
        self._sender = None
        self._localSelection = None

    def _nothing(self, what: str) -> ChoiceRefused:
        return ChoiceRefused(
            f"no {what} for the server name {self.serverName!r}", TlsAlert.unrecognized_name
        )


def helloPhase(
    options: SslClientAuthenticationOptions | ServerOptions,
    sender: object,
    localSelection: LocalCertificateSelectionCallback | None,
) -> HelloPhase | None:
    """
    @return: L{None} if there is nothing to choose by a client's hello.
    """
    if isinstance(options, SslClientAuthenticationOptions):
        return None
    isCertain = isinstance(options, SslServerAuthenticationOptions) and not (
        options.serverCertificateSelectionCallback or localSelection
    )
    return None if isCertain else HelloPhase(options, sender, localSelection)


def judgeHello(received: bytes) -> tuple[bytes, TlsAlert | None]:
    """
    Have OpenSSL say what is to be said of a bad hello.  Without a certificate it
    can come to no other end.

    @return: what to send, and the alert in it, if there is one.
    """
    engine = TlsEngine(TlsParameters(isServer=True), None)
    engine.feed(received)
    engine.handshake()
    if engine.wasAskedForCertificate:
        # OpenSSL sees nothing wrong, such as in a record without content.
        return alertRecord(TlsAlert.decode_error), TlsAlert.decode_error
    return engine.output(), engine.alertSent
