"""
Tests of greeter.py for pytest with pytest-twisted, in memory and on a port.

    python -m pytest test_pytest_twisted_example.py
"""

import pytest
from greeter import ask, serve
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from txsslstream import AuthenticationError, SslPolicyErrors, SslStreamClientEndpoint
from txsslstream.testing import Authority, Flaw, connectedStreams, resultOf

AUTHORITY = Authority()


@pytest.mark.parametrize("segment", [0, 1])
def test_inMemory(segment):
    pair = connectedStreams(segment=segment)
    pair.client.write(b"good morning")
    pair.flush()
    assert resultOf(pair.server.readExactly(12)) == b"good morning"


@async_yield_fixture()
async def port():
    from twisted.internet import reactor

    options = AUTHORITY.serverOptions(clientCertificateRequired=True)
    listening = await serve(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), options)
    yield listening.getHost().port
    await listening.stopListening()


def connect(port, certificate, **options):
    from twisted.internet import reactor

    return SslStreamClientEndpoint(
        TCP4ClientEndpoint(reactor, "127.0.0.1", port),
        AUTHORITY.clientOptions(clientCertificates=[certificate], **options),
    ).connectStream()


@ensureDeferred
async def test_greeting(port):
    async with await connect(port, AUTHORITY.issue("somebody@example.com")) as stream:
        answer = await ask(stream, b"good morning")
    assert answer == b"Hello CN=somebody@example.com, you said good morning\r\n"


@ensureDeferred
async def test_wrongName(port):
    with pytest.raises(AuthenticationError) as raised:
        await connect(port, AUTHORITY.clientCertificate, targetHost="elsewhere.example")
    assert raised.value.sslPolicyErrors is SslPolicyErrors.RemoteCertificateNameMismatch


@ensureDeferred
async def test_expired(port):
    expired = AUTHORITY.issueBad(Flaw.Expired, "somebody@example.com")
    with pytest.raises(AuthenticationError):
        async with await connect(port, expired) as stream:
            await ask(stream, b"good morning")
