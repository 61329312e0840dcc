"""
What clients of ours and of OpenSSL's say first.
"""

from __future__ import annotations

import contextlib

from OpenSSL import SSL
from OpenSSL._util import lib

from txsslstream import AuthenticationError, SslProtocols
from txsslstream.testing import StreamPair

from .support import clientOptions


def ourHello(version: SslProtocols = SslProtocols.None_, **options: object) -> bytes:
    """
    @return: all that a client of ours sends before the server answers.
    """
    pair = StreamPair()
    authenticated = pair.client.authenticateAsClient(clientOptions(version, **options))
    authenticated.addErrback(lambda failure: failure.trap(AuthenticationError))
    sent = bytes(pair.wire.client.everWritten)
    pair.client.abort()
    pair.wire.flush()
    return sent


def openSSLHello(groups: str) -> bytes:
    """
    @return: what a client sends that knows these groups only, best first.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    assert lib.SSL_CTX_set1_curves_list(context._context, groups.encode()) == 1, groups
    client = SSL.Connection(context, None)
    client.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(1 << 16)
