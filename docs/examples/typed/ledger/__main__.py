"""
C{python -m ledger serve DIRECTORY [MEMBER...]} and C{python -m ledger ask
DIRECTORY PORT [AMOUNT...]}; the directory has C{server.pem} or C{client.pem}, and
C{authority.pem}.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.task import react

from txsslstream import (
    AuthenticationError,
    ReloadingCertificate,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
)

from .client import ask, why
from .decisions import Members, firstFitting
from .server import Accounts, serveStreams
from .watching import watch


async def serve(reactor: IReactorTCP, place: Path, members: set[str]) -> None:
    """
    Serve forever.
    """
    options = SslServerAuthenticationOptions(
        ReloadingCertificate.fromPEM(place / "server.pem"),
        clientCertificateRequired=True,
        remoteCertificateValidationCallback=Members(members).admit,
        trust=SslCertificateTrust.fromPEM(place / "authority.pem"),
    )
    failures = watch()
    tcp = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await serveStreams(tcp, Accounts(), {"localhost": options})
    address = port.getHost()
    assert isinstance(address, IPv4Address)
    print("Listening on", address.port, flush=True)
    try:
        await Deferred[None]()
    finally:
        print(failures.reasons, flush=True)


async def main(reactor: IReactorTCP, command: str, directory: str, *rest: str) -> None:
    """
    Do what the command line says.
    """
    place = Path(directory)
    if command == "serve":
        await serve(reactor, place, set(rest))
        return
    port, *amounts = map(int, rest)
    options = SslClientAuthenticationOptions(
        "localhost",
        clientCertificates=[SslStreamCertificateContext.fromPEM(place / "client.pem")],
        localCertificateSelectionCallback=firstFitting,
        trust=SslCertificateTrust.fromPEM(place / "authority.pem"),
    )
    tcp = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    try:
        for balance in await ask(tcp, options, amounts):
            print(balance.decode(), end="")
    except AuthenticationError as e:
        sys.exit(f"{why(e)}\n{e}")


if __name__ == "__main__":
    react(lambda reactor, *words: Deferred.fromCoroutine(main(reactor, *words)), sys.argv[1:])
