# -*- test-case-name: tests.test_stream -*-
"""
From the arguments that a stream was created and is authenticated with to its
options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .certificates import SomeIdentities
from .enums import EncryptionPolicy, SslProtocols, X509RevocationMode
from .errors import InvalidOperationError
from .options import (
    LocalCertificateSelectionCallback,
    RemoteCertificateValidationCallback,
    ServerOptions,
    ServerOptionsSelection,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
)

_Options = TypeVar("_Options", SslClientAuthenticationOptions, SslServerAuthenticationOptions)


@dataclass(frozen=True)
class GivenToStream:
    """
    What a stream is created with and options may have as well.

    @ivar validation: C{remoteCertificateValidationCallback}.
    @ivar selection: C{localCertificateSelectionCallback}.
    """

    validation: RemoteCertificateValidationCallback | None
    selection: LocalCertificateSelectionCallback | None
    encryptionPolicy: EncryptionPolicy

    def client(
        self,
        targetHost: str | SslClientAuthenticationOptions,
        clientCertificates: SomeIdentities = (),
        enabledSslProtocols: SslProtocols = SslProtocols.None_,
        checkCertificateRevocation: bool = False,
    ) -> SslClientAuthenticationOptions:
        """
        @return: options for the arguments of
            L{SslStream.authenticateAsClient<txsslstream.SslStream>}.
        @raise InvalidOperationError: they contradict each other or the stream.
        """
        if isinstance(targetHost, SslClientAuthenticationOptions):
            if clientCertificates or enabledSslProtocols or checkCertificateRevocation:
                raise InvalidOperationError("give either options or single arguments")
            options = targetHost
        else:
            options = SslClientAuthenticationOptions(
                targetHost,
                clientCertificates,
                enabledSslProtocols=enabledSslProtocols,
                certificateRevocationCheckMode=_revocation(checkCertificateRevocation),
            )
        if self.selection is not None:
            _agree(self.selection, options.localCertificateSelectionCallback)
            options = replace(options, localCertificateSelectionCallback=self.selection)
        return self._merged(options)

    def server(
        self,
        serverCertificate: Any = None,
        clientCertificateRequired: Any = False,
        enabledSslProtocols: SslProtocols = SslProtocols.None_,
        checkCertificateRevocation: bool = False,
        *,
        serverOptionsSelectionCallback: Any = None,
        state: Any = None,
    ) -> ServerOptions:
        """
        @return: options for the arguments of
            L{SslStream.authenticateAsServer<txsslstream.SslStream>}, of which
            the first two have two meanings.
        @raise InvalidOperationError: they contradict each other or the stream.
        """
        if callable(serverCertificate) and serverOptionsSelectionCallback is None:
            serverOptionsSelectionCallback, serverCertificate = serverCertificate, None
            if clientCertificateRequired is not False and state is None:
                state, clientCertificateRequired = clientCertificateRequired, False
        given = serverCertificate
        if serverOptionsSelectionCallback is not None:
            if given is not None:
                raise InvalidOperationError("a callback chooses the options: give no others")
            given = ServerOptionsSelection(serverOptionsSelectionCallback, state)
        elif state is not None:
            raise InvalidOperationError("there is no callback that would get the state")
        if isinstance(given, (SslServerAuthenticationOptions, ServerOptionsSelection)):
            if clientCertificateRequired or enabledSslProtocols or checkCertificateRevocation:
                raise InvalidOperationError("give either options or single arguments")
        else:
            given = SslServerAuthenticationOptions(
                given,
                clientCertificateRequired=clientCertificateRequired,
                enabledSslProtocols=enabledSslProtocols,
                certificateRevocationCheckMode=_revocation(checkCertificateRevocation),
            )
        if isinstance(given, SslServerAuthenticationOptions):
            return self._servers(given)
        selection: ServerOptionsSelection = given.adapted(self._servers)
        return selection

    def _servers(self, options: SslServerAuthenticationOptions) -> SslServerAuthenticationOptions:
        if self.selection is not None and options.serverCertificateSelectionCallback:
            raise InvalidOperationError(
                "either localCertificateSelectionCallback or serverCertificateSelectionCallback"
            )
        return self._merged(options)

    def _merged(self, options: _Options) -> _Options:
        if self.validation is not None:
            _agree(self.validation, options.remoteCertificateValidationCallback)
            options = replace(options, remoteCertificateValidationCallback=self.validation)
        if self.encryptionPolicy is not EncryptionPolicy.RequireEncryption:
            options = replace(options, encryptionPolicy=self.encryptionPolicy)
        return options


def _revocation(isChecked: bool) -> X509RevocationMode:
    return X509RevocationMode.Online if isChecked else X509RevocationMode.NoCheck


def _agree(ours: object, theirs: object) -> None:
    """
    A callback may be given to the stream and in the options if it is the same.
    """
    if theirs is not None and ours != theirs:
        raise InvalidOperationError("the stream and the options name different callbacks")
