"""
How connections in memory end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from twisted.internet.defer import Deferred

from txsslstream import SslProtocols
from txsslstream.testing import Authority, StreamPair

from .member import EXPECTED_WORDS


def _ignore(*deferreds: Deferred[Any]) -> None:
    for each in deferreds:
        each.addErrback(lambda _: None)


def _talk(pair: StreamPair) -> None:
    for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
        _ignore(one.write(b"some data"))
        reading = other.readExactly(9)
        pair.flush()
        assert reading.result == b"some data"


def _authenticated(pair: StreamPair, version: SslProtocols, **options: Any) -> None:
    outcomes = pair.authenticate(version, **options)
    for each in outcomes:
        assert each.result in (pair.client, pair.server), each


def success(pair: StreamPair, version: SslProtocols) -> None:
    """
    Data in both directions, and both close.
    """
    _authenticated(pair, version)
    _talk(pair)
    _ignore(pair.client.close(), pair.server.close())
    pair.flush()


def mutual(pair: StreamPair, version: SslProtocols) -> None:
    """
    Both have certificates, and decide later; one side closes, then the other.
    """
    asked: list[Deferred[bool]] = []

    def waits(*_: object) -> Deferred[bool]:
        asked.append(Deferred())
        return asked[-1]

    client = {
        "clientCertificates": [pair.authority.clientCertificate],
        "remoteCertificateValidationCallback": waits,
    }
    server = {"clientCertificateRequired": True, "remoteCertificateValidationCallback": waits}
    _ignore(*pair.authenticate(version, client, server))
    while asked:
        asked.pop().callback(True)
        pair.flush()
    _talk(pair)
    _ignore(pair.client.shutdown())
    pair.flush()
    _ignore(pair.server.close())
    pair.flush()


@cache
def _others() -> Authority:
    return Authority("Others")


def distrusted(pair: StreamPair, version: SslProtocols) -> None:
    """
    The client does not trust the server's authority.
    """
    refused = pair.authenticate(version, {"trust": _others().trust})
    _ignore(*refused)


def refused(pair: StreamPair, version: SslProtocols) -> None:
    """
    The server's callback says no.
    """
    no = {"remoteCertificateValidationCallback": lambda *_: False}
    _ignore(*pair.authenticate(version, server=no))
    _ignore(pair.client.read())


def raised(pair: StreamPair, version: SslProtocols) -> None:
    """
    The client's callback raises an error.
    """

    def raises(*_: object) -> bool:
        raise ValueError(EXPECTED_WORDS)

    _ignore(*pair.authenticate(version, {"remoteCertificateValidationCallback": raises}))


def unanswered(pair: StreamPair, version: SslProtocols) -> None:
    """
    A callback never answers, until the time is over.
    """
    never: Deferred[bool] = Deferred()
    waits = {"remoteCertificateValidationCallback": lambda *_: never}
    _ignore(*pair.authenticate(version, waits))
    pair.advance(31)


def silent(pair: StreamPair, version: SslProtocols) -> None:
    """
    The server's answer never comes, until the time is over.
    """
    pair.wire.server.hold()
    _ignore(*pair.authenticate(version))
    pair.advance(31)


def cancelled(pair: StreamPair, version: SslProtocols) -> None:
    """
    The client gives up in the middle.
    """
    pair.wire.server.stallAt(20)
    client, server = pair.authenticate(version)
    _ignore(client, server)
    client.cancel()


def aborted(pair: StreamPair, version: SslProtocols) -> None:
    """
    One side aborts while both read and data is under way.
    """
    _authenticated(pair, version)
    _ignore(pair.client.read(), pair.server.read(), pair.client.write(bytes(100_000)))
    pair.server.abort()


def lost(pair: StreamPair, version: SslProtocols) -> None:
    """
    The connection is lost in the middle of the handshake.
    """
    pair.wire.server.stallAt(20)
    _ignore(*pair.authenticate(version))
    pair.wire.cut()


def truncated(pair: StreamPair, version: SslProtocols) -> None:
    """
    The connection is lost in the middle of the data.
    """
    _authenticated(pair, version)
    _ignore(pair.client.read(), pair.server.readExactly(1000), pair.client.write(b"too little"))
    pair.flush()
    pair.wire.cut()


#: How connections end.
FORMS: tuple[Callable[[StreamPair, SslProtocols], None], ...] = (
    *(success, mutual, distrusted, refused, raised, unanswered),
    *(silent, cancelled, aborted, lost, truncated),
)
