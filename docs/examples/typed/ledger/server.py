"""
The servers: one of protocols, one of streams, one that begins in the clear.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from txsslstream import (
    AuthenticationError,
    ISslStream,
    ServerOptionsSelection,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamProtocol,
    SslStreamServerEndpoint,
    TruncationError,
    startTLS,
)

from .decisions import nameOf, optionsFor


class Accounts:
    """
    What everybody has.
    """

    def __init__(self) -> None:
        self._balances: Counter[str] = Counter()

    def answer(self, name: str, command: bytes) -> bytes:
        """
        @param command: an amount to add, or nothing.
        @return: the balance.
        """
        if command:
            self._balances[name] += int(command)
        return b"%s has %d\n" % (name.encode(), self._balances[name])


class AccountProtocol(LineReceiver):
    """
    A command in each line.
    """

    delimiter = b"\n"
    _log = Logger()

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._name = ""

    def connectionMade(self) -> None:
        stream = ISslStream(self.transport)
        version: SslProtocols = stream.security.sslProtocol
        certificate = stream.remoteCertificate
        self._name = "" if certificate is None else nameOf(certificate)
        self._log.info("{name} has come, {version.name}", name=self._name, version=version)

    def lineReceived(self, line: bytes) -> None:
        if self.transport is not None:
            self.transport.write(self._accounts.answer(self._name, line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(TruncationError):
            self._log.warn("{name} may have said more", name=self._name)


class UpgradingProtocol(AccountProtocol):
    """
    The same, which begins in the clear.
    """

    def __init__(self, accounts: Accounts, options: SslServerAuthenticationOptions) -> None:
        super().__init__(accounts)
        self._options = options
        self._isSecure = False

    def connectionMade(self) -> None:
        if self._isSecure:
            super().connectionMade()

    def lineReceived(self, line: bytes) -> None:
        if self._isSecure:
            super().lineReceived(line)
        elif line == b"STARTTLS":
            startTLS(self, self._options).addCallbacks(self._secured, self._refused)

    def _secured(self, transport: SslStreamProtocol) -> None:
        self._isSecure = transport.isAuthenticated
        super().connectionMade()

    def _refused(self, failure: Failure) -> None:
        failure.trap(AuthenticationError)


def serveProtocols(
    tcp: IStreamServerEndpoint, accounts: Accounts, options: SslServerAuthenticationOptions
) -> Deferred[IListeningPort]:
    """
    Give every authenticated connection a protocol.
    """
    factory = Factory.forProtocol(partial(AccountProtocol, accounts))
    return SslStreamServerEndpoint(tcp, options).listen(factory)


def serveStreams(
    tcp: IStreamServerEndpoint,
    accounts: Accounts,
    hosts: dict[str, SslServerAuthenticationOptions],
) -> Deferred[IListeningPort]:
    """
    Read from every authenticated connection.
    """

    async def handle(stream: SslStream) -> None:
        certificate = stream.remoteCertificate
        name = "" if certificate is None else nameOf(certificate)
        rest = b""
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await stream.write(accounts.answer(name, line))

    selection = ServerOptionsSelection(optionsFor, hosts)
    return SslStreamServerEndpoint(tcp, selection).listenStreams(handle)
