"""
Tests for L{txsslstream.clienthello}: what a client asks for.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any
from unittest.mock import patch

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase
from typing_extensions import Self

import txsslstream
from tests.messages import openSSLHello, ourHello
from tests.support import SERVER
from tests.test_names import ALABEL, UNICODE
from tests.test_security import DEFAULT_GROUPS, OTHER_GROUPS
from txsslstream import (
    CipherSuitesPolicy,
    SslApplicationProtocol,
    SslClientHelloInfo,
    SslProtocols,
    TlsCipherSuite,
    clienthello,
)
from txsslstream.clienthello import ClientHelloReader, HelloState
from txsslstream.records import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE
from txsslstream.testing import StreamPair
from txsslstream.testing.messages import (
    CLIENT_HELLO,
    applicationProtocols,
    clientHello,
    codes,
    inBytes,
    inRecords,
    message,
    record,
    serverName,
    supportedVersions,
    vector,
)

OLD = SslProtocols.Tls | SslProtocols.Tls11
GREASE = (0x0A0A, 0x3A3A, 0xFAFA)
LIMIT = ClientHelloReader.LIMIT

#: Fingerprints that FoxIO has published, with what they are made of, in the
#: client's order: the version, the suites, the extensions, the signatures, and
#: the first protocol.  The first is from the definition of JA4, the others are
#: from the captures that come with it.
FINGERPRINTS = (
    (
        "t13d1516h2_8daaf6152771_e5627efa2ab1",
        0x0304,
        "1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035",
        "001b 0000 0033 0010 4469 0017 002d 000d 0005 0023 0012 002b ff01 000b 000a 0015",
        "0403 0804 0401 0503 0805 0501 0806 0601",
        b"h2",
    ),
    (
        "t13d1715h2_5b57614c22b0_3d5424432f57",
        0x0304,
        "1301 1303 1302 c02b c02f cca9 cca8 c02c c030 c00a c009 c013 c014 009c 009d 002f 0035",
        "0000 0017 ff01 000a 000b 0023 0010 0005 0022 0033 002b 000d 002d 001c 0015",
        "0403 0503 0603 0804 0805 0806 0401 0501 0601 0203 0201",
        b"h2",
    ),
    (
        "t12d190800_d83cc789557e_7af1ed941c26",
        0x0303,
        "c02c c02b c030 c02f c024 c023 c028 c027 c00a c009 c014 c013 009d 009c 003d 003c 0035 "
        "002f 000a",
        "0000 0005 000a 000b 000d 0023 0017 ff01",
        "0804 0805 0806 0401 0501 0201 0403 0503 0203 0202 0601 0603",
        b"",
    ),
    (
        "t10d230100_6a57a6f57151_000000000000",
        0x0301,
        "0039 0038 0035 0016 0013 000a 0033 0032 002f 009a 0099 0096 0005 0004 0015 0012 0009 "
        "0014 0011 0008 0006 0003 00ff",
        "0000",
        "",
        b"",
    ),
)


_JA4 = re.compile(r"t(1[0-3]|[sd]\d|00)[di]\d{4}[0-9A-Za-z]{2}(_[0-9a-f]{12}){2}\Z")


def read(*pieces: bytes) -> ClientHelloReader:
    """
    @return: a reader that was fed this.
    """
    reader = ClientHelloReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


def outcome(reader: ClientHelloReader) -> tuple[object, ...]:
    """
    @return: all that it says.
    """
    return reader.state, reader.reason, reader.info, reader.received


def info(*extensions: tuple[int, bytes], **parts: Any) -> SslClientHelloInfo:
    """
    @return: what is read of such a hello.
    """
    return SslClientHelloInfo.fromMessage(clientHello(*extensions, **parts))


def numbers(text: str) -> list[int]:
    """
    @return: numbers that are written in hexadecimal digits.
    """
    return [int(each, 16) for each in text.split()]


def randomPieces(random: Random, data: bytes) -> Iterator[bytes]:
    """
    @return: the same bytes, cut at random.
    """
    position = 0
    while position < len(data):
        size = random.choice((1, 1, 2, 5, 50, 1000))
        yield data[position : position + size]
        position += size


class RealHelloTests(SynchronousTestCase):
    """
    What OpenSSL's clients send.
    """

    def read(self, data: bytes) -> SslClientHelloInfo:
        """
        @return: what is read of it, however it is cut.
        """
        whole = read(data)
        self.assertIs(whole.state, HelloState.complete)
        self.assertEqual(whole.received, data)
        self.assertEqual(outcome(read(*inBytes(data))), outcome(whole))
        assert whole.info is not None
        self.assertEqual(whole.info.raw, data[5:])
        return whole.info

    def test_versions(self) -> None:
        """
        A client that lists versions offers those; one that knows only earlier
        ones offers all up to the one that it names.
        """
        both = SslProtocols.Tls12 | SslProtocols.Tls13
        for enabled, expected in (
            (SslProtocols.None_, both),
            (both, both),
            (SslProtocols.Tls13, SslProtocols.Tls13),
            (SslProtocols.Tls12, OLD | SslProtocols.Tls12),
            (OLD, OLD),
            (SslProtocols.Tls, SslProtocols.Tls),
        ):
            found = self.read(ourHello(enabled))
            self.assertEqual(found.sslProtocols, expected)
            self.assertIs(type(found.sslProtocols), SslProtocols)

    def test_serverName(self) -> None:
        """
        The server's name is shown as people read it.
        """
        for host, expected in (
            ("localhost", "localhost"),
            ("WWW.Example.com", "WWW.Example.com"),
            (UNICODE, UNICODE),
            (ALABEL, UNICODE),
            ("x", "x"),
            ("a" * 63 + ".example", "a" * 63 + ".example"),
        ):
            self.assertEqual(self.read(ourHello(targetHost=host)).serverName, expected)

    def test_noServerName(self) -> None:
        """
        A client that was given no name, or an address, asks for none.
        """
        for host in ("", "127.0.0.1", "::1"):
            found = self.read(ourHello(targetHost=host))
            self.assertEqual(found.serverName, "")
            self.assertNotIn(0, found.extensions)

    def test_applicationProtocols(self) -> None:
        """
        The protocols are those that were asked for, in that order, be they none
        or hundreds.
        """
        many = tuple(f"protocol/{number}".encode() for number in range(200))
        for names in ((), (b"h2", b"http/1.1"), (b"http/1.1", b"h2"), (b"\xff" * 255,), many):
            for version in (SslProtocols.Tls12, SslProtocols.Tls13):
                found = self.read(ourHello(version, applicationProtocols=names))
                self.assertEqual(found.applicationProtocols, names)
        found = self.read(ourHello(applicationProtocols=("h2",)))
        self.assertEqual(found.applicationProtocols, (SslApplicationProtocol.Http2,))
        self.assertIs(type(found.applicationProtocols[0]), SslApplicationProtocol)

    def test_cipherSuites(self) -> None:
        """
        The suites are those that were asked for, in that order.
        """
        suites = (
            TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256,
            TlsCipherSuite.TLS_AES_128_GCM_SHA256,
            TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        )
        found = self.read(ourHello(cipherSuitesPolicy=CipherSuitesPolicy(suites)))
        self.assertEqual(found.cipherSuites, suites)
        self.assertIs(type(found.cipherSuites[0]), TlsCipherSuite)

    def test_groups(self) -> None:
        """
        Every group that OpenSSL has goes by its registered name, as offered and
        with its key.
        """
        for name in {**DEFAULT_GROUPS, **OTHER_GROUPS}:
            found = self.read(openSSLHello(name))
            self.assertEqual((found.groups, found.keyShares), ((name,), (name,)))
        found = self.read(openSSLHello("secp384r1:X25519MLKEM768:x25519"))
        self.assertEqual(found.groups, ("secp384r1", "X25519MLKEM768", "x25519"))
        self.assertEqual(found.keyShares, ("secp384r1",))

    def test_hybrid(self) -> None:
        """
        A client of ours offers the hybrid group with ML-KEM first, and sends a
        key for it; in TLS 1.2 there is neither.
        """
        found = self.read(ourHello(SslProtocols.Tls13))
        self.assertEqual((found.groups[0], found.keyShares[0]), ("X25519MLKEM768",) * 2)
        found = self.read(ourHello(SslProtocols.Tls12))
        self.assertNotIn("X25519MLKEM768", found.groups)
        self.assertIn("x25519", found.groups)
        self.assertEqual(found.keyShares, ())

    def test_signatureAlgorithms(self) -> None:
        """
        The signatures go by their registered names; what TLS 1.3 alone knows is
        not offered for TLS 1.2, and none are before that.
        """
        modern = self.read(ourHello(SslProtocols.Tls13)).signatureAlgorithms
        self.assertEqual([each for each in modern if not isinstance(each, str)], [])
        self.assertIn("ecdsa_secp256r1_sha256", modern)
        self.assertIn("mldsa65", modern)
        older = self.read(ourHello(SslProtocols.Tls12)).signatureAlgorithms
        self.assertIn("rsa_pss_rsae_sha256", older)
        self.assertNotIn("mldsa65", older)
        self.assertEqual(self.read(ourHello(SslProtocols.Tls11)).signatureAlgorithms, ())

    def test_forOpenSSL(self) -> None:
        """
        OpenSSL takes the bytes as they were received, however many records they
        came in, and finds the same name.
        """
        hello = ourHello()[5:]
        for size in (1, 7, 1 << 14):
            reader = read(*inBytes(inRecords(hello, size)))
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            context.use_certificate(SERVER.certificate)
            context.use_privatekey(SERVER.privateKey)  # type: ignore[arg-type]
            server = SSL.Connection(context, None)
            server.set_accept_state()
            server.bio_write(reader.received)
            with contextlib.suppress(SSL.WantReadError):
                server.do_handshake()
            self.assertEqual(server.get_servername(), b"localhost")
            self.assertEqual(server.bio_read(1), bytes((HANDSHAKE,)))
            assert reader.info is not None
            self.assertEqual(reader.info.serverName, "localhost")

    def test_server(self) -> None:
        """
        What a server says is no hello of a client.
        """
        pair = StreamPair()
        pair.authenticate()
        reader = read(bytes(pair.wire.server.everWritten))
        self.assertIs(reader.state, HelloState.invalid)
        self.assertEqual(reader.reason, "a handshake message of type 2 instead of a ClientHello")


#: A hello with something of everything, and its name.
HELLO = clientHello(
    serverName(b"www.example.com"),
    supportedVersions(0x0304, 0x0303),
    applicationProtocols(b"h2", b"http/1.1"),
    (10, codes(0x11EC, 0x001D)),
    (13, codes(0x0403, 0x0804)),
    suites=(0x1301, 0xC02F),
    session=bytes(32),
)
INFO = SslClientHelloInfo(
    serverName="www.example.com",
    sslProtocols=SslProtocols.Tls12 | SslProtocols.Tls13,
    applicationProtocols=(SslApplicationProtocol.Http2, SslApplicationProtocol.Http11),
    cipherSuites=(
        TlsCipherSuite.TLS_AES_128_GCM_SHA256,
        TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    groups=("X25519MLKEM768", "x25519"),
    signatureAlgorithms=("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"),
    extensions=(0, 43, 16, 10, 13),
    raw=HELLO,
)


class ClientHelloReaderTests(SynchronousTestCase):
    """
    Tests for L{ClientHelloReader}.
    """

    def assertInvalid(self, data: bytes, reason: str, at: int | None = None) -> None:
        """
        These bytes are no hello, for this reason, however they are cut.

        @param at: after how many of them that is known; by default after all.
        """
        at = len(data) if at is None else at
        self.assertEqual(outcome(read(data)), (HelloState.invalid, reason, None, data))
        reader = ClientHelloReader()
        for index, byte in enumerate(inBytes(data)):
            expected = HelloState.incomplete if index < at else HelloState.invalid
            self.assertIs(reader.state, expected, index)
            reader.feed(byte)
        self.assertEqual(outcome(reader), outcome(read(data)))

    def test_fresh(self) -> None:
        """
        Before the first byte, and after no bytes, all is to come.
        """
        for reader in (read(), read(b"", b"")):
            self.assertEqual(outcome(reader), (HelloState.incomplete, "", None, b""))

    def test_whole(self) -> None:
        """
        A hello that comes at once is read at once.
        """
        data = inRecords(HELLO)
        self.assertEqual(outcome(read(data)), (HelloState.complete, "", INFO, data))

    def test_records(self) -> None:
        """
        It is read across records of any size, also in the middle of its own
        header.
        """
        for size in (1, 2, 3, 4, 5, 7, 64, len(HELLO) - 1, len(HELLO)):
            data = inRecords(HELLO, size)
            expected = (HelloState.complete, "", INFO, data)
            self.assertEqual(outcome(read(data)), expected, size)
            self.assertEqual(outcome(read(*inBytes(data))), expected, size)

    def test_everyCut(self) -> None:
        """
        However the bytes are cut in two, the outcome is the same.
        """
        data = inRecords(HELLO, 50)
        expected = outcome(read(data))
        for cut in range(len(data) + 1):
            self.assertEqual(outcome(read(data[:cut], data[cut:])), expected, cut)

    def test_everyPrefix(self) -> None:
        """
        It is there with its last byte, and not one byte before.
        """
        for size in (1, 50, 1 << 14):
            data = inRecords(HELLO, size)
            for end in range(len(data)):
                expected = (HelloState.incomplete, "", None, data[:end])
                self.assertEqual(outcome(read(data[:end])), expected)

    def test_recordVersions(self) -> None:
        """
        Whatever minor version the records are of, the hello is read (RFC 8446
        section 5.1).
        """
        for minor in (0, 1, 2, 3, 4, 255):
            data = bytes((HANDSHAKE, 3, minor)) + vector(HELLO, 2)
            self.assertEqual(read(data).info, INFO)

    def test_behind(self) -> None:
        """
        What comes behind it is kept, in the same record, in another or later,
        and is nothing to the hello.
        """
        for behind in (
            record(CHANGE_CIPHER_SPEC, b"\1"),
            record(APPLICATION_DATA, bytes(1 << 14)),
            record(HANDSHAKE, b""),
            b"GET / HTTP/1.1\r\n",
            inRecords(HELLO.replace(b"www", b"ftp")),
        ):
            data = inRecords(HELLO) + behind
            expected = (HelloState.complete, "", INFO, data)
            self.assertEqual(outcome(read(data)), expected)
            self.assertEqual(outcome(read(inRecords(HELLO), behind)), expected)
            self.assertEqual(outcome(read(*inBytes(data))), expected)
        data = inRecords(HELLO + message(16, b"more"))
        self.assertEqual(outcome(read(data)), (HelloState.complete, "", INFO, data))

    def test_http(self) -> None:
        """
        Requests in plain HTTP are recognized.
        """
        for request in (
            *(
                f"{method} /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH")
            ),
            b"GET http://localhost/ HTTP/1.1\r\n\r\n",
            b"CONNECT localhost:443 HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            self.assertInvalid(request, "plain-text HTTP instead of TLS", 5)

    def test_notTls(self) -> None:
        """
        What is no record at all is refused in words that show what it is.
        """
        for data in (
            b"SSH-2.0-OpenSSH_9.9\r\n",
            b"EHLO localhost\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            bytes(20),
            b"\xff" * 20,
            b"\x16\x02\0\0\x05hello",
            b"\x16\xfe\xff\0\0hello",
            b"\x18\x03\x03\0\x05hello",
        ):
            self.assertInvalid(data, f"no record of TLS: {data[:5]!r}", 5)

    def test_ssl2(self) -> None:
        """
        A hello of SSL 2.0 is recognized, whichever version it asks for.
        """
        for version in (b"\0\2", b"\3\0", b"\3\1", b"\3\3"):
            data = b"\x80\x2e\1" + version + b"\0\x15\0\0\0\x10" + bytes(37)
            self.assertInvalid(data, "a hello of SSL 2.0", 5)
        data = b"\x80\x2e\1\7\7" + bytes(43)
        self.assertInvalid(data, f"no record of TLS: {data[:5]!r}", 5)

    def test_otherRecords(self) -> None:
        """
        Records of other kinds are refused, at the beginning or within the
        hello.
        """
        for kind in (CHANGE_CIPHER_SPEC, ALERT, APPLICATION_DATA):
            other = record(kind, b"\1\0")
            reason = f"a record of type {kind} instead of a ClientHello"
            self.assertInvalid(other, reason, 5)
            begun = record(HANDSHAKE, HELLO[:40])
            self.assertInvalid(begun + other + record(HANDSHAKE, HELLO[40:]), reason, 50)

    def test_recordSizes(self) -> None:
        """
        A record may be empty as little as it may have more than 16 KiB (RFC
        8446 section 5.1); what is just inside may be.
        """
        large = clientHello((21, bytes(40_000)))
        largest = 1 << 14
        data = inRecords(large, largest)
        self.assertEqual(read(data).state, HelloState.complete)
        reason = f"a record of {largest + 1} bytes, not 1 to {largest}"
        self.assertInvalid(inRecords(large, largest + 1), reason, 5)
        reason = f"a record of 0 bytes, not 1 to {largest}"
        self.assertInvalid(record(HANDSHAKE, b"") + inRecords(HELLO), reason, 5)
        begun = record(HANDSHAKE, HELLO[:40])
        self.assertInvalid(begun + record(HANDSHAKE, b""), reason, 50)
        reason = f"a record of 65535 bytes, not 1 to {largest}"
        self.assertInvalid(begun + b"\x16\3\3\xff\xff", reason, 50)

    def test_otherMessages(self) -> None:
        """
        Any other message than a ClientHello is refused with its first byte.
        """
        for kind in (0, 2, 4, 11, 16, 20, 255):
            data = inRecords(message(kind, HELLO))
            reason = f"a handshake message of type {kind} instead of a ClientHello"
            self.assertInvalid(data, reason, 6)

    def test_largest(self) -> None:
        """
        A hello that takes up just the limit is read; one byte more, of whatever
        kind, and it is refused, and no more than the limit is kept.
        """
        suites = (0x1301,) * 32_760
        room = LIMIT - len(inRecords(clientHello((21, bytes(60_000)), suites=suites)))
        data = inRecords(clientHello((21, bytes(60_000 + room)), suites=suites))
        self.assertEqual(len(data), LIMIT)
        reader = read(data)
        self.assertEqual(outcome(reader)[:2], (HelloState.complete, ""))
        assert reader.info is not None
        self.assertEqual((reader.info.extensions, len(reader.info.cipherSuites)), ((21,), 32_760))
        reason = f"more than {LIMIT} bytes before any answer"
        expected = (HelloState.invalid, reason, None, data)
        for pieces in ((data + b"\0",), (data, b"\0"), (data[:9], data[9:] + b"\0" * 9)):
            self.assertEqual(outcome(read(*pieces)), expected)

    def test_endless(self) -> None:
        """
        Of what never becomes a hello, no more than the limit is kept.
        """
        endless = record(HANDSHAKE, b"\1\1\xff\0") + record(HANDSHAKE, b"\0") * 300_000
        reader = ClientHelloReader()
        for start in range(0, len(endless), 999):
            reader.feed(endless[start : start + 999])
            kept = [getattr(reader, each) for each in ClientHelloReader.__slots__]
            sizes = [len(each) for each in kept if isinstance(each, (bytes, bytearray))]
            self.assertLessEqual(sum(sizes), LIMIT + 4)
        reason = f"more than {LIMIT} bytes before any answer"
        expected = (HelloState.invalid, reason, None, endless[:LIMIT])
        self.assertEqual(outcome(reader), expected)

    def test_beyond(self) -> None:
        """
        What comes behind the limit is not even looked at.
        """
        begun = record(HANDSHAKE, b"\1\1\xff\0!")
        data = begun + record(HANDSHAKE, b"!") * ((LIMIT - len(begun)) // 6)
        self.assertEqual(len(data), LIMIT - 4)
        for behind in (b"SSH-2.0", bytes(1000)):
            reason = f"more than {LIMIT} bytes before any answer"
            expected = (HelloState.invalid, reason, None, (data + behind)[:LIMIT])
            self.assertEqual(outcome(read(data + behind)), expected)
            self.assertEqual(outcome(read(data, *inBytes(behind))), expected)

    def test_announced(self) -> None:
        """
        A hello that says that it is longer than the limit is refused at once.
        """
        for size in (LIMIT - 3, 0xFFFFFF):
            data = record(HANDSHAKE, b"\1" + size.to_bytes(3, "big"))
            reason = f"a ClientHello of {size + 4} bytes, of which at most {LIMIT} are read"
            self.assertInvalid(data, reason)
        data = record(HANDSHAKE, b"\1" + (LIMIT - 4).to_bytes(3, "big"))
        self.assertIs(read(data).state, HelloState.incomplete)

    def test_sticky(self) -> None:
        """
        What is invalid stays it, for the first reason, and what comes later is
        kept all the same.
        """
        for later in (inRecords(HELLO), record(ALERT, b"\2\0"), bytes(9)):
            data = b"SSH-2.0-X"
            expected = (HelloState.invalid, "no record of TLS: b'SSH-2'", None, data + later)
            self.assertEqual(outcome(read(data, later)), expected)
        reader = read(data, bytes(LIMIT))
        self.assertEqual(reader.reason, "no record of TLS: b'SSH-2'")
        self.assertEqual(len(reader.received), LIMIT)

    def test_malformed(self) -> None:
        """
        A hello that is malformed inside is a hello: OpenSSL will judge it.
        """
        for body in (b"", b"\3", b"\3\3", HELLO[4:-1], HELLO[4:] + b"!", bytes(900)):
            data = inRecords(message(CLIENT_HELLO, body))
            reader = read(data)
            self.assertIs(reader.state, HelloState.complete)
            assert reader.info is not None
            self.assertEqual(reader.info.raw, message(CLIENT_HELLO, body))
            self.assertEqual(outcome(read(*inBytes(data))), outcome(reader))


class _Counted(bytearray):
    """
    Bytes that count how many of them are moved.
    """

    moved = 0

    def __iadd__(self, other: Any) -> Self:  # type: ignore[misc]
        _Counted.moved += len(other)
        super().__iadd__(other)
        return self

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        _Counted.moved += len(found) if isinstance(index, slice) else 1
        return found

    def __delitem__(self, index: Any) -> None:
        _Counted.moved += len(self)
        super().__delitem__(index)

    def __bytes__(self) -> bytes:
        _Counted.moved += len(self)
        return bytes(memoryview(self))


class _CountedPiece(bytes):
    """
    A piece that counts what it is added to.
    """

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _CountedPiece(found) if isinstance(index, slice) else found

    def __radd__(self, other: bytes) -> bytes:
        _Counted.moved += len(other)
        return bytes(other) + bytes(self)


def work(do: Callable[[], object]) -> int:
    """
    @return: how many lines of the package are run, and how many bytes moved in
        buffers.
    """
    folder = str(Path(txsslstream.__file__).parent)
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(folder):
            return None
        lines += event == "line"
        return trace

    _Counted.moved = 0
    before = sys.gettrace()
    with patch.object(clienthello, "bytearray", _Counted, create=True):
        sys.settrace(trace)
        try:
            do()
        finally:
            sys.settrace(before)
    return lines + _Counted.moved


class EffortTests(SynchronousTestCase):
    """
    How much work is done for a byte.
    """

    def effort(self, size: int, padding: int) -> int:
        """
        @return: how much work it is to read a hello that is as long as this, and
            something, byte by byte from records of a size.
        """
        data = inRecords(clientHello((21, bytes(padding - 55))), size)
        pieces = [_CountedPiece(byte) for byte in inBytes(data)]
        readers = []
        done = work(lambda: readers.append(read(*pieces)))
        self.assertIs(readers[0].state, HelloState.complete)
        return done

    def test_linear(self) -> None:
        """
        Four times as many bytes take four times the work, one after the other
        and in the smallest records.
        """
        for size in (1, 1 << 14):
            once = self.effort(size, 200)
            self.assertTrue(3.6 * once < self.effort(size, 800) < 4.4 * once)

    def test_counted(self) -> None:
        """
        What moves all bytes again for each is found out.
        """

        def careless(count: int) -> None:
            kept = b""
            buffer = _Counted()
            for _ in range(count):
                kept += _CountedPiece(b"x")
                buffer += b"x"
                bytes(buffer)

        self.assertGreater(work(lambda: careless(400)), 15 * work(lambda: careless(100)))


class SslClientHelloInfoTests(SynchronousTestCase):
    """
    Tests for L{SslClientHelloInfo}.
    """

    def test_serverNames(self) -> None:
        """
        Whatever is not exactly one host name is none.
        """
        host = b"\0" + vector(b"www.example.com", 2)
        for content, expected in (
            (vector(host, 2), "www.example.com"),
            (serverName(ALABEL.encode())[1], UNICODE),
            (serverName(b"xn--\xff")[1], ""),
            (serverName(b"xn--zzzzzzzzz")[1], "xn--zzzzzzzzz"),
            (serverName(b"example.com.")[1], "example.com."),
            (serverName(b"a_b.example")[1], "a_b.example"),
            # Nothing, two, another kind.
            (b"", ""),
            (vector(b"", 2), ""),
            (vector(host * 2, 2), ""),
            (vector(host + b"\1" + vector(b"other", 2), 2), ""),
            (vector(b"\1" + vector(b"www.example.com", 2), 2), ""),
            # Lengths that do not fit.
            (host, ""),
            (vector(host, 2)[:-1], ""),
            (vector(host[:-1], 2), ""),
            (vector(host, 2) + b"!", ""),
            (vector(host + b"!", 2), ""),
            # No host name (RFC 6066 section 3).
            (serverName(b"")[1], ""),
            (serverName(b".")[1], ""),
            (serverName(b"a..b")[1], ""),
            (serverName(b"a b")[1], ""),
            (serverName(b"a\0b")[1], ""),
            (serverName(b"*.example.com")[1], ""),
            (serverName(b"192.0.2.1")[1], ""),
            (serverName(b"::1")[1], ""),
            (serverName(UNICODE.encode())[1], ""),
            (serverName(b"\xff\xfe")[1], ""),
            (serverName(b"a" * 64)[1], ""),
            (serverName(b"a." * 127 + b"a")[1], ""),
        ):
            self.assertEqual(info((0, content)).serverName, expected, content)
        self.assertEqual(info().serverName, "")

    def test_versions(self) -> None:
        """
        A list counts alone; without one, the version counts and the versions of
        TLS below it.  What nobody knows offers nothing.
        """
        tls12 = OLD | SslProtocols.Tls12
        for version, expected in (
            (0x0303, tls12),
            # Such a client has to be taken for one of TLS 1.2.
            (0x0304, tls12),
            (0x0399, tls12),
            (0xFFFF, tls12),
            (0x0302, OLD),
            (0x0301, SslProtocols.Tls),
            (0x0300, SslProtocols.Ssl3),
            (0x0002, SslProtocols.None_),
            (0x0000, SslProtocols.None_),
        ):
            self.assertEqual(info(version=version).sslProtocols, expected, hex(version))
        every = OLD | SslProtocols.Ssl3 | SslProtocols.Tls12 | SslProtocols.Tls13
        for versions, expected in (
            ((0x0304,), SslProtocols.Tls13),
            ((0x0303,), SslProtocols.Tls12),
            ((0x0304, 0x0301), SslProtocols.Tls13 | SslProtocols.Tls),
            ((0x0300, 0x0301, 0x0302, 0x0303, 0x0304), every),
            ((0x7F1C, 0x0305, 0x0000), SslProtocols.None_),
            ((*GREASE, 0x0304), SslProtocols.Tls13),
            ((), SslProtocols.None_),
        ):
            self.assertEqual(info(supportedVersions(*versions)).sslProtocols, expected, versions)
        self.assertEqual(info((43, b"")).sslProtocols, SslProtocols.None_)

    def test_grease(self) -> None:
        """
        Values that mean nothing are left out of every list, and those that
        signal something are not.
        """
        grease = codes(*GREASE, 0x001D)
        share = b"\x0a\x0a\0\1!" + b"\0\x1d\0\1!"
        found = info(
            (0x5A5A, b""),
            supportedVersions(*GREASE, 0x0303),
            (10, grease),
            (13, codes(0x0804, *GREASE)),
            (51, vector(share, 2)),
            (0xAAAA, b"\0"),
            suites=(*GREASE, 0x1301, 0x00FF, 0x5600, 0x9999),
        )
        self.assertEqual(found.extensions, (43, 10, 13, 51))
        self.assertEqual(found.sslProtocols, SslProtocols.Tls12)
        self.assertEqual((found.groups, found.keyShares), (("x25519",), ("x25519",)))
        self.assertEqual(found.signatureAlgorithms, ("rsa_pss_rsae_sha256",))
        suite = TlsCipherSuite.TLS_AES_128_GCM_SHA256
        self.assertEqual(found.cipherSuites, (suite, 0x00FF, 0x5600, 0x9999))
        self.assertEqual(
            [isinstance(each, TlsCipherSuite) for each in found.cipherSuites],
            [True, False, False, False],
        )

    def test_numbers(self) -> None:
        """
        What has no registered name stays a number.
        """
        found = info((10, codes(0x6399)), (13, codes(0x0202)), (51, vector(b"\x63\x99\0\0", 2)))
        self.assertEqual((found.groups, found.keyShares), ((0x6399,), (0x6399,)))
        self.assertEqual(found.signatureAlgorithms, (0x0202,))

    def test_emptyProtocol(self) -> None:
        """
        An empty protocol is a fault: what comes before it is used.
        """
        found = info(applicationProtocols(b"h2", b"", b"http/1.1"))
        self.assertEqual(found.applicationProtocols, (b"h2",))
        self.assertEqual(info(applicationProtocols(b"")).applicationProtocols, ())

    def test_beforeTheFault(self) -> None:
        """
        Of a hello that ends anywhere, what comes before the fault is used, and
        never anything else.
        """
        found = [
            SslClientHelloInfo.fromMessage(message(CLIENT_HELLO, HELLO[4:end]))
            for end in range(4, len(HELLO) + 1)
        ]
        nothing = SslClientHelloInfo()
        legacy = OLD | SslProtocols.Tls12
        suitesAt = 2 + 32 + 1 + 32 + 2 + 4
        for size, each in enumerate(found[:-1]):
            expected = replace(
                nothing,
                sslProtocols=legacy if size >= 2 else SslProtocols.None_,
                cipherSuites=INFO.cipherSuites if size >= suitesAt else (),
                raw=each.raw,
            )
            self.assertEqual(each, expected, size)
        self.assertEqual(found[-1], INFO)

    def test_fields(self) -> None:
        """
        An extension whose content is malformed takes nothing from the others.
        """
        good = (
            serverName(b"www.example.com"),
            supportedVersions(0x0304, 0x0303),
            applicationProtocols(b"h2", b"http/1.1"),
            (10, codes(0x11EC, 0x001D)),
            (13, codes(0x0403, 0x0804)),
        )
        lost = (
            {"serverName": ""},
            {"sslProtocols": SslProtocols.None_},
            {"applicationProtocols": ()},
            {"groups": ()},
            {"signatureAlgorithms": ()},
        )
        for index, changes in enumerate(lost):
            kind, content = good[index]
            bad = (*good[:index], (kind, content[:-1]), *good[index + 1 :])
            hello = clientHello(*bad, suites=(0x1301, 0xC02F), session=bytes(32))
            expected = replace(INFO, **changes, raw=hello)  # type: ignore[arg-type]
            self.assertEqual(SslClientHelloInfo.fromMessage(hello), expected)

    def test_doubled(self) -> None:
        """
        Of two extensions of a kind the first one counts; OpenSSL refuses them.
        """
        found = info(serverName(b"one.example"), serverName(b"two.example"))
        self.assertEqual((found.serverName, found.extensions), ("one.example", (0, 0)))

    def test_value(self) -> None:
        """
        It is a value: equal ones are equal, it cannot be changed, and its text
        does not show all bytes.
        """
        same = SslClientHelloInfo.fromMessage(HELLO)
        self.assertEqual(same, INFO)
        self.assertEqual(hash(same), hash(INFO))
        self.assertNotEqual(same, replace(INFO, serverName="ftp.example.com"))
        with self.assertRaises(FrozenInstanceError):
            same.serverName = "ftp.example.com"  # type: ignore[misc]
        self.assertIn("serverName='www.example.com'", repr(same))
        self.assertNotIn("raw", repr(same))
        self.assertEqual(SslClientHelloInfo().sslProtocols, SslProtocols.None_)


class Ja4Tests(SynchronousTestCase):
    """
    Tests for L{SslClientHelloInfo.ja4}.
    """

    def test_published(self) -> None:
        """
        Published fingerprints come out of what they are made of, with GREASE or
        without.
        """
        for expected, version, suites, kinds, schemes, protocol in FINGERPRINTS:
            for grease in ((), GREASE):
                contents = {
                    0: serverName(b"www.example.com")[1],
                    13: codes(*grease, *numbers(schemes)),
                    16: applicationProtocols(protocol)[1],
                    43: supportedVersions(*grease, 0x0303, version)[1],
                }
                extensions = [(kind, contents.get(kind, b"")) for kind in numbers(kinds)]
                extensions += [(kind, b"") for kind in grease]
                found = info(
                    *extensions,
                    version=min(version, 0x0303),
                    suites=(*grease, *numbers(suites)),
                )
                self.assertEqual(found.ja4, expected)

    def test_applicationProtocol(self) -> None:
        """
        The first protocol goes in by its ends, or those of its hexadecimal
        digits where an end is neither letter nor digit.
        """
        for names, expected in (
            ((), "00"),
            ((b"", b"h2"), "00"),
            ((b"h2", b"http/1.1"), "h2"),
            ((b"http/1.1", b"h2"), "h1"),
            ((b"a",), "aa"),
            ((b"Zx9",), "Z9"),
            ((b"a-_b",), "ab"),
            ((b"\xab",), "ab"),
            ((b"\x20",), "20"),
            ((b"\xab\xcd",), "ad"),
            ((b"\x20\x61",), "21"),
            ((b"\x30\xab",), "3b"),
            ((b"\x61\x20",), "60"),
            ((b"\x30\x31\xab\xcd",), "3d"),
            ((b"\x30\xab\xcd\x31",), "01"),
        ):
            found = info(applicationProtocols(*names)).ja4
            self.assertEqual(found[:10], f"t12i0101{expected}", names)
        self.assertEqual(info((16, b"\0")).ja4[:10], "t12i010100")

    def test_version(self) -> None:
        """
        The version is the highest in the list, or else the hello's own.
        """
        for version, expected in (
            (0x0300, "s3"),
            (0x0301, "10"),
            (0x0302, "11"),
            (0x0303, "12"),
            (0x0304, "13"),
            (0x0305, "00"),
            (0x0000, "00"),
        ):
            self.assertEqual(info(version=version).ja4[1:3], expected, hex(version))
            self.assertEqual(info(supportedVersions(version, 0)).ja4[1:3], expected, hex(version))
        self.assertEqual(info(supportedVersions(0x0301, 0x0304, *GREASE)).ja4[1:3], "13")
        self.assertEqual(info(supportedVersions(0x0304, 0x7F1C)).ja4[1:3], "00")
        self.assertEqual(info(supportedVersions(*GREASE)).ja4[1:3], "00")

    def test_counts(self) -> None:
        """
        More than 99 of a kind are 99, and signals among the suites count.
        """
        for count, expected in ((0, "00"), (9, "09"), (99, "99"), (100, "99"), (300, "99")):
            extensions = [(0x1000 + kind, b"") for kind in range(count)]
            found = info(*extensions, suites=(0x00FF, 0x5600, 0x1301)).ja4
            self.assertEqual(found[4:8], f"03{expected}")
            found = info(suites=range(0x2000, 0x2000 + count)).ja4
            self.assertEqual(found[4:8], f"{expected}00")

    def test_serverName(self) -> None:
        """
        It is the extension that says whether a host is asked for, whatever is
        in it.
        """
        for extension, expected in (
            (serverName(b"www.example.com"), "d"),
            ((0, b""), "d"),
            ((1, b""), "i"),
        ):
            self.assertEqual(info(extension).ja4[3], expected)

    def test_nothing(self) -> None:
        """
        What is not there has a hash of zeros.
        """
        nothing = "t00i000000_000000000000_000000000000"
        self.assertEqual(SslClientHelloInfo().ja4, nothing)
        self.assertEqual(SslClientHelloInfo.fromMessage(b"\1\0\0\0").ja4, nothing)
        found = info(serverName(b"www.example.com"), applicationProtocols(b"h2"), suites=()).ja4
        self.assertEqual(found, "t12d0002h2_000000000000_000000000000")

    def test_order(self) -> None:
        """
        The order of suites and extensions does not matter, and that of the
        signatures does.
        """
        one = info((13, codes(1, 2)), (10, b""), suites=(0x1301, 0x1302)).ja4
        self.assertEqual(info((10, b""), (13, codes(1, 2)), suites=(0x1302, 0x1301)).ja4, one)
        other = info((13, codes(2, 1)), (10, b""), suites=(0x1301, 0x1302)).ja4
        self.assertEqual((other[:23], other == one), (one[:23], False))

    def test_once(self) -> None:
        """
        It is made when it is asked for, and only once.
        """
        made = []
        original = clienthello._ja4

        def counted(hello: Any) -> str:
            made.append(hello)
            return original(hello)

        self.patch(clienthello, "_ja4", counted)
        reader = read(inRecords(HELLO))
        assert reader.info is not None
        self.assertEqual(made, [])
        self.assertEqual(reader.info.ja4, reader.info.ja4)
        self.assertEqual(len(made), 1)


class GarbageTests(SynchronousTestCase):
    """
    What a hostile client may send.
    """

    def check(self, random: Random, data: bytes) -> HelloState:
        """
        Nothing is raised, cutting changes nothing, and nothing is made up.
        """
        reader = read(data)
        self.assertEqual(outcome(read(*randomPieces(random, data))), outcome(reader))
        self.assertEqual(reader.received, data)
        self.assertEqual(bool(reader.reason), reader.state is HelloState.invalid)
        self.assertEqual(reader.info is not None, reader.state is HelloState.complete)
        if reader.info is not None:
            found = reader.info
            self.assertEqual(found.raw[:1], b"\1")
            self.assertEqual(len(found.raw), 4 + int.from_bytes(found.raw[1:4], "big"))
            for name in found.applicationProtocols:
                self.assertIn(name, found.raw)
            self.assertIsNotNone(
                re.fullmatch(
                    "t(1[0-3]|[sd]\\d|00)[di]\\d{4}[0-9A-Za-z]{2}(_[0-9a-f]{12}){2}", found.ja4
                )
            )
            self.assertEqual(SslClientHelloInfo.fromMessage(found.raw), found)
        return reader.state

    def test_noise(self) -> None:
        """
        Whatever bytes come.
        """
        random = Random(2032)
        for _ in range(2000):
            self.check(random, random.randbytes(random.randrange(300)))

    def test_noiseInRecords(self) -> None:
        """
        Whatever is inside of well-formed records.
        """
        random = Random(2033)
        for _ in range(1000):
            content = message(CLIENT_HELLO, random.randbytes(random.randrange(200)))
            size = random.randrange(1, 100)
            self.assertIs(self.check(random, inRecords(content, size)), HelloState.complete)

    def test_damaged(self) -> None:
        """
        Whatever bytes of a real hello are changed, lost or doubled.
        """
        random = Random(2034)
        whole = ourHello(applicationProtocols=("h2", "http/1.1"))
        states = set()
        for _ in range(1500):
            data = bytearray(whole)
            for _ in range(random.randrange(1, 6)):
                position = random.randrange(len(data))
                end = position + random.choice((0, 1, 1, 1, 4, 40))
                data[position:end] = random.randbytes(random.choice((0, 1, 1, 1, 4)))
            states.add(self.check(random, bytes(data)))
        self.assertEqual(states, set(HelloState))

    def test_damagedInside(self) -> None:
        """
        Whatever lengths inside of a real hello are changed.
        """
        random = Random(2035)
        whole = ourHello(SslProtocols.Tls12, applicationProtocols=("h2", "http/1.1"))[9:]
        for _ in range(1000):
            body = bytearray(whole)
            for _ in range(random.randrange(1, 4)):
                body[random.randrange(len(body))] = random.choice((0, 1, 2, 127, 255))
            data = inRecords(message(CLIENT_HELLO, bytes(body)), random.choice((1, 100, 1 << 14)))
            self.assertIs(self.check(random, data), HelloState.complete)
