"""
OpenSSL itself, called with as little Python as possible: the peer of whatever
is tested in memory, and the limit that nothing in Python can be faster than.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from tests.benchmarks.credentials import HOST, Credentials
from tests.benchmarks.settings import SUITE, Settings

#: As much as is encrypted or decrypted at once, in bytes.
PIECE = 1 << 16

#: Room for a piece, as records.
_SIZE = 1 << 17
_scratch = ffi.new("unsigned char[]", _SIZE)
_view = memoryview(ffi.buffer(_scratch))

#: Not among pyOpenSSL's names: a star stands for a whole label only.
_NO_PARTIAL_WILDCARDS = 0x4


def context(settings: Settings, credentials: Credentials) -> Any:
    """
    @return: an OpenSSL context for either side.
    """
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(SSL.TLS1_3_VERSION)
    made.set_tls13_ciphersuites(SUITE.encode())
    made.set_mode(lib.SSL_MODE_RELEASE_BUFFERS)
    lib.SSL_CTX_clear_mode(made._context, lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
    if settings.resumes:
        made.set_session_cache_mode(SSL.SESS_CACHE_BOTH | SSL.SESS_CACHE_NO_INTERNAL)
        made.set_session_id(b"benchmarks")
    else:
        made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        made.set_options(SSL.OP_NO_TICKET)
    if settings.isServer:
        made.use_certificate_chain_file(str(credentials.server(settings.key)))
        made.use_privatekey_file(str(credentials.server(settings.key)))
    else:
        made.set_verify(SSL.VERIFY_PEER)
        made.load_verify_locations(str(credentials.root))
    return made


class BareEnd:
    """
    One side of one connection.

    @ivar received: is told what was decrypted.
    @ivar isOpen: whether the handshake is over.
    """

    isOpen = False

    def __init__(self, context: Any, isServer: bool, received: Callable[[bytes], object]) -> None:
        self.received = received
        self.connection: Any = SSL.Connection(context, None)
        self._ssl = self.connection._ssl
        self._in = self.connection._into_ssl
        self._out = self.connection._from_ssl
        if isServer:
            self.connection.set_accept_state()
        else:
            self.connection.set_tlsext_host_name(HOST.encode())
            parameters = lib.SSL_get0_param(self._ssl)
            lib.X509_VERIFY_PARAM_set_hostflags(parameters, _NO_PARTIAL_WILDCARDS)
            lib.X509_VERIFY_PARAM_set1_host(parameters, HOST.encode(), len(HOST))
            self.connection.set_connect_state()

    def start(self) -> bytes:
        """
        @return: a client's first bytes.
        """
        return self.handshake(b"")

    def handshake(self, data: bytes) -> bytes:
        """
        @return: the answer to these bytes.
        """
        lib.BIO_write(self._in, data, len(data))
        result = lib.SSL_do_handshake(self._ssl)
        if result == 1:
            self.isOpen = True
            # Tickets come behind it.
            result = lib.SSL_read(self._ssl, _scratch, _SIZE)
        error = lib.SSL_get_error(self._ssl, result)
        assert error in (lib.SSL_ERROR_WANT_READ, lib.SSL_ERROR_ZERO_RETURN), error
        return self.output()

    def close(self) -> bytes:
        """
        @return: C{close_notify}.
        """
        lib.SSL_shutdown(self._ssl)
        return self.output()

    def output(self) -> bytes:
        """
        @return: what waits for the peer.
        """
        count = lib.BIO_read(self._out, _scratch, _SIZE)
        return bytes(_view[:count]) if count > 0 else b""

    def encrypt(self, data: bytes) -> bytes:
        """
        @param data: at most L{PIECE} bytes.
        @return: its records.
        """
        lib.SSL_write(self._ssl, ffi.from_buffer(data), len(data))
        return bytes(_view[: lib.BIO_read(self._out, _scratch, _SIZE)])

    def feed(self, data: bytes) -> None:
        """
        Decrypt, and tell L{received}.
        """
        lib.BIO_write(self._in, data, len(data))
        filled = 0
        while (count := lib.SSL_read(self._ssl, _scratch + filled, _SIZE - filled)) > 0:
            filled += count
        if filled:
            self.received(bytes(_view[:filled]))

    def session(self) -> Any:
        """
        @return: a client's session, to go on with.
        """
        return self.connection.get_session()

    @property
    def isResumed(self) -> bool:
        """
        Whether the session is an earlier one.
        """
        return bool(lib.SSL_session_reused(self._ssl))
