"""
A peer that knows its keys, and says under them what no implementation says: any
message in any record.
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from twisted.internet.error import ConnectionLost

from txsslstream import SslProtocols
from txsslstream.insecure import withKeyLog
from txsslstream.records import APPLICATION_DATA
from txsslstream.testing import Application, Link

from .support import clientOptions, serverOptions

#: All keys are for TLS_AES_256_GCM_SHA384 and its like in TLS 1.2.
_KEY_SIZE, _HASH_SIZE = 32, 48

_TLS12 = b"\x03\x03"


def expandLabel(secret: bytes, label: bytes, size: int) -> bytes:
    """
    C{HKDF-Expand-Label} without a context (RFC 8446 section 7.1).
    """
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(full),)) + full + b"\0"
    return HKDFExpand(hashes.SHA384(), size, info).derive(secret)


def pseudorandom(secret: bytes, seed: bytes, size: int) -> bytes:
    """
    C{P_SHA384} of TLS 1.2 (RFC 5246 section 5).
    """
    data, each = b"", seed
    while len(data) < size:
        each = hmac.digest(secret, each, "sha384")
        data += hmac.digest(secret, each + seed, "sha384")
    return data[:size]


class Forger:
    """
    Protects records as a peer would that has sent nothing since its handshake.
    """

    def __init__(
        self, connection: Any, isServer: bool, secret: bytes | None, sequence: int = 0
    ) -> None:
        """
        @param connection: the peer's, of pyOpenSSL.
        @param isServer: whether the peer is the server.
        @param secret: its traffic secret, in TLS 1.3 (RFC 8446 section 7.1).
        @param sequence: how many records it has sent under that.
        """
        self._secret = secret
        if secret is None:
            # Behind its Finished message.
            self._sequence = 1
            seed = b"key expansion" + connection.server_random() + connection.client_random()
            block = pseudorandom(connection.master_key(), seed, 2 * _KEY_SIZE + 8)
            start = _KEY_SIZE * isServer
            self._aead = AESGCM(block[start : start + _KEY_SIZE])
            start = 2 * _KEY_SIZE + 4 * isServer
            self._iv = block[start : start + 4]
        else:
            self._use(secret)
            self._sequence = sequence

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._sequence = 0
        self._aead = AESGCM(expandLabel(secret, b"key", _KEY_SIZE))
        self._iv = expandLabel(secret, b"iv", 12)

    def update(self) -> None:
        """
        Go on under the next keys (RFC 8446 section 7.2).
        """
        assert self._secret is not None
        self._use(expandLabel(self._secret, b"traffic upd", _HASH_SIZE))

    def record(self, kind: int, data: bytes, padding: int = 0) -> bytes:
        """
        @param kind: of what is inside.
        @param padding: so many zeros, in TLS 1.3.
        """
        number = self._sequence.to_bytes(8, "big")
        self._sequence += 1
        if self._secret is None:
            header = bytes((kind,)) + _TLS12
            protected = self._aead.encrypt(
                self._iv + number, data, number + header + len(data).to_bytes(2, "big")
            )
            return header + (8 + len(protected)).to_bytes(2, "big") + number + protected
        inner = data + bytes((kind,)) + bytes(padding)
        header = bytes((APPLICATION_DATA,)) + _TLS12 + (len(inner) + 16).to_bytes(2, "big")
        nonce = bytes(a ^ b for a, b in zip(self._iv, bytes(4) + number, strict=True))
        return header + self._aead.encrypt(nonce, inner, header)

    def records(self, kind: int, *messages: bytes) -> bytes:
        """
        @return: a record for each message.
        """
        return b"".join(self.record(kind, each) for each in messages)

    def keyUpdates(self, count: int, isRequested: bool = True) -> bytes:
        """
        @param isRequested: whether the other side is to do the same.
        @return: so many new keys in a row (RFC 8446 section 4.6.3).
        """
        data = b""
        for _ in range(count):
            data += self.record(22, b"\x18\0\0\x01" + bytes((isRequested,)))
            self.update()
        return data


class Forged:
    """
    A connection to a peer whose records are forged.

    @ivar link: its near side is ours.
    @ivar forger: forges what the far side sends.
    """

    def __init__(self, version: SslProtocols, isServer: bool, segment: int = 0) -> None:
        """
        @param isServer: whether we are the server.
        """
        lines: list[bytes] = []
        client = clientOptions(version, allowTlsResume=False)
        server = serverOptions(version, allowTlsResume=False)
        if isServer:
            client = withKeyLog(client, lines.append)
        else:
            server = withKeyLog(server, lines.append)
        self.link = Link(isServer, (client, Application()), (server, Application()))
        self.link.wire.flush()
        name = b"CLIENT_TRAFFIC_SECRET_0 " if isServer else b"SERVER_TRAFFIC_SECRET_0 "
        secrets = [bytes.fromhex(each.split()[2].decode()) for each in lines if name in each]
        # A server has sent two tickets by then.
        self.forger = Forger(
            self.link.far.tls.getHandle(),
            not isServer,
            secrets[0] if secrets else None,
            0 if isServer else 2,
        )
        self._segment = segment
        self.application: Any = self.link.near.application

    def send(self, data: bytes) -> int:
        """
        Have the peer send something, while it reads nothing.

        @return: how many bytes we want to send for that.
        """
        before = len(self.link.near.inner.everWritten)
        size = self._segment or 1 << 16
        for start in range(0, len(data), size):
            if self.link.near.inner.closing is None:
                self.link.near.tls.dataReceived(data[start : start + size])
        return len(self.link.near.inner.everWritten) - before

    def failure(self) -> Any:
        """
        @return: why the application has lost the connection.
        """
        self.link.near.inner.lost(ConnectionLost())
        self.link.far.inner.lost(ConnectionLost())
        return self.application.reason
