"""
Tests for L{txsslstream.serverflight}: what a server says in the clear.
"""

from __future__ import annotations

import contextlib
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from random import Random
from time import process_time

from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.trial.unittest import SynchronousTestCase

from tests.files import FilesMixin
from tests.support import AUTHORITY
from txsslstream.ciphersuites import TlsCipherSuite
from txsslstream.records import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE
from txsslstream.serverflight import ServerFlight
from txsslstream.testing import rsaKey
from txsslstream.testing.messages import inBytes, message, record

#: Groups of RFC 2409 section 6.2 and RFC 3526 section 2: none has a name in TLS.
_START = (
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879"
    "8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B"
    "0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE"
)
PRIMES = {
    1024: f"{_START}65381FFFFFFFFFFFFFFFF",
    1536: (
        f"{_START}45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356"
        "208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF"
    ),
}

SERVER_HELLO = 2
CERTIFICATE = 11
SERVER_KEY_EXCHANGE = 12
STATUS = 22

#: ServerHelloDone.
DONE = bytes((14, 0, 0, 0))

#: The random number of a HelloRetryRequest (RFC 8446 section 4.1.3).
RETRY = sha256(b"HelloRetryRequest").digest()

#: Where ServerHello names the suite if it names no session.
_SUITE_AT = 2 + 32 + 1


def handshake(
    ciphers: str, version: int = SSL.TLS1_2_VERSION, parameters: Path | None = None
) -> bytes:
    """
    @param parameters: the file of a server's Diffie-Hellman group.
    @return: all that a real server sends until the handshake is complete.
    """
    made = []
    for method in (SSL.TLS_CLIENT_METHOD, SSL.TLS_SERVER_METHOD):
        context = SSL.Context(method)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        context.set_cipher_list(f"{ciphers}:@SECLEVEL=0".encode())
        made.append(context)
    issued = AUTHORITY.issue("localhost", key=rsaKey())
    made[1].use_certificate(issued.certificate)
    made[1].use_privatekey(issued.privateKey)  # type: ignore[arg-type]
    if parameters is not None:
        made[1].load_tmp_dh(bytes(parameters))
        # OpenSSL 4 prefers the groups that have names (RFC 7919) if it may.
        lib.SSL_CTX_set1_curves_list(made[0]._context, b"P-256")
    client, server = (SSL.Connection(context, None) for context in made)
    client.set_connect_state()
    server.set_accept_state()
    sent = b""
    for side, other in ((client, server), (server, client)) * 3:
        with contextlib.suppress(SSL.WantReadError):
            side.do_handshake()
        try:
            data = side.bio_read(1 << 16)
        except SSL.WantReadError:
            continue
        other.bio_write(data)
        if side is server:
            sent += data
    return sent


def hello(suite: int, session: bytes = b"") -> bytes:
    """
    @return: a ServerHello.
    """
    random = bytes(32)
    body = b"\x03\x03" + random + bytes((len(session),)) + session + suite.to_bytes(2, "big")
    return message(SERVER_HELLO, body + b"\0")


def keyExchange(prime: bytes) -> bytes:
    """
    @return: a ServerKeyExchange of a finite-field group.
    """
    body = len(prime).to_bytes(2, "big") + prime + b"\x00\x01\x02" + b"\x00\x01\x05"
    return message(SERVER_KEY_EXCHANGE, body)


def status(response: bytes) -> bytes:
    """
    @return: a CertificateStatus with an OCSP response.
    """
    return message(STATUS, b"\x01" + len(response).to_bytes(3, "big") + response)


def read(*pieces: bytes) -> tuple[int | None, int | None]:
    """
    @return: suite and prime's size after these bytes.
    """
    flight = ServerFlight()
    for piece in pieces:
        flight.feed(piece)
    return flight.cipherSuite(), flight.dhePrimeBits()


#: A flight with both facts, and what they are.
FLIGHT = hello(0x009E) + message(CERTIFICATE, bytes(700)) + keyExchange(b"\x7f" + bytes(127))
FACTS = (0x009E, 1023)


class RealHandshakeTests(FilesMixin, SynchronousTestCase):
    """
    What OpenSSL's servers send.
    """

    def groupFile(self, bits: int) -> Path:
        """
        @return: the path of a file with the group.
        """
        prime = b"\0" + bytes.fromhex(PRIMES[bits])
        numbers = b"\x02\x82" + len(prime).to_bytes(2, "big") + prime + b"\x02\x01\x02"
        der = b"\x30\x82" + len(numbers).to_bytes(2, "big") + numbers
        begin, end = b"-----BEGIN DH PARAMETERS-----\n", b"\n-----END DH PARAMETERS-----\n"
        return self.file(begin + b64encode(der) + end)

    def test_ecdhe(self) -> None:
        """
        The suite of an ECDHE handshake is found, and no prime in it.
        """
        data = handshake("ECDHE-RSA-AES128-GCM-SHA256")
        expected = (TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, None)
        self.assertEqual(read(data), expected)
        self.assertEqual(read(*inBytes(data)), expected)

    def test_dhe(self) -> None:
        """
        The suite of a DHE handshake is found, and its group's size.
        """
        for bits in PRIMES:
            data = handshake("DHE-RSA-AES256-GCM-SHA384", parameters=self.groupFile(bits))
            expected = (TlsCipherSuite.TLS_DHE_RSA_WITH_AES_256_GCM_SHA384, bits)
            self.assertEqual(read(data), expected)
            self.assertEqual(read(*inBytes(data)), expected)

    def test_rsa(self) -> None:
        """
        A handshake without ServerKeyExchange has no prime.
        """
        self.assertEqual(
            read(handshake("AES128-SHA")), (TlsCipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA, None)
        )

    def test_tls13(self) -> None:
        """
        TLS 1.3 names the suite in the clear, and nothing else.
        """
        suite, bits = read(handshake("ALL", SSL.TLS1_3_VERSION))
        self.assertEqual(suite, TlsCipherSuite.TLS_AES_256_GCM_SHA384)
        self.assertIsNone(bits)

    def test_everyPrefix(self) -> None:
        """
        A fact is known as soon as its message is complete, stays the same from
        then on, and before that is L{None}.
        """
        data = handshake("DHE-RSA-AES256-GCM-SHA384", parameters=self.groupFile(1024))
        expected = read(data)
        flight = ServerFlight()
        known = [(flight.cipherSuite(), flight.dhePrimeBits())]
        for byte in inBytes(data):
            flight.feed(byte)
            facts = (flight.cipherSuite(), flight.dhePrimeBits())
            if facts != known[-1]:
                known.append(facts)
        self.assertEqual(known, [(None, None), (expected[0], None), expected])


class ServerFlightTests(SynchronousTestCase):
    """
    Tests for L{ServerFlight}.
    """

    def test_nothing(self) -> None:
        """
        Before the first byte nothing is known.
        """
        self.assertEqual(read(), (None, None))

    def test_inOneRecord(self) -> None:
        """
        Messages that share a record are told apart.
        """
        self.assertEqual(read(record(HANDSHAKE, FLIGHT)), FACTS)

    def test_splitOverRecords(self) -> None:
        """
        Messages are read across records of any size, also in the middle of
        their own headers and with empty records between.
        """
        for size in (1, 2, 3, 7, 64, 500):
            pieces = [FLIGHT[start : start + size] for start in range(0, len(FLIGHT), size)]
            data = record(HANDSHAKE, b"").join(record(HANDSHAKE, piece) for piece in pieces)
            self.assertEqual(read(data), FACTS, size)
            self.assertEqual(read(*inBytes(data)), FACTS, size)

    def test_longMessage(self) -> None:
        """
        A message that is longer than any record is skipped as a whole.
        """
        long = message(CERTIFICATE, keyExchange(b"\xff\xff") * 8000)
        self.assertGreater(len(long), 1 << 16)
        data = long + keyExchange(b"\xff")
        size = 1 << 14
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        self.assertEqual(read(*(record(HANDSHAKE, piece) for piece in pieces)), (None, 8))

    def test_session(self) -> None:
        """
        The suite is found behind a session identifier of any length.
        """
        for size in (0, 1, 32, 255):
            data = record(HANDSHAKE, hello(0xC02F, bytes(size)))
            self.assertEqual(read(data), (0xC02F, None), size)

    def test_truncatedHello(self) -> None:
        """
        A ServerHello that ends before or within the suite names none.
        """
        body = hello(0xC02F)[4:]
        for size in range(len(body) + 1):
            suite, _ = read(record(HANDSHAKE, message(SERVER_HELLO, body[:size])))
            self.assertEqual(suite, 0xC02F if size >= _SUITE_AT + 2 else None, size)

    def test_overlongSession(self) -> None:
        """
        A session identifier that claims more than there is leaves no suite.
        """
        body = bytearray(hello(0xC02F)[4:])
        body[2 + 32] = 200
        self.assertEqual(read(record(HANDSHAKE, message(SERVER_HELLO, bytes(body)))), (None, None))

    def test_truncatedPrime(self) -> None:
        """
        A prime that is shorter than announced, or empty, has no size.
        """
        for body in (b"", b"\x00", b"\x00\x00", b"\x00\x02\xff", b"\xff\xff" + bytes(300)):
            data = record(HANDSHAKE, message(SERVER_KEY_EXCHANGE, body))
            self.assertEqual(read(data), (None, None), body)
        self.assertEqual(read(record(HANDSHAKE, keyExchange(b"\xff"))), (None, 8))

    def test_leadingZeros(self) -> None:
        """
        A prime's size is that of the number, whatever zeros precede it.
        """
        data = record(HANDSHAKE, keyExchange(bytes(20) + b"\x01" + bytes(96)))
        self.assertEqual(read(data), (None, 769))

    def test_otherRecords(self) -> None:
        """
        Nothing behind a record of another kind is looked at: it may be
        encrypted.
        """
        for kind in (CHANGE_CIPHER_SPEC, ALERT, APPLICATION_DATA, 0, 255):
            first = record(HANDSHAKE, hello(0x009E))
            other = record(kind, message(CERTIFICATE, b""))
            rest = record(HANDSHAKE, keyExchange(b"\xff"))
            self.assertEqual(read(first + other + rest), (0x009E, None), kind)
            self.assertEqual(read(other + first + rest), (None, None), kind)
            self.assertEqual(read(first + rest + other), (0x009E, 8), kind)

    def test_firstOfAKind(self) -> None:
        """
        Of two messages of a kind the first counts.
        """
        data = record(HANDSHAKE, hello(0x009E) + hello(0xC02F))
        self.assertEqual(read(data), (0x009E, None))

    def test_bounded(self) -> None:
        """
        No more than the limit is kept, what was before it stays readable, and
        what is beyond is not.
        """
        flight = ServerFlight()
        flight.feed(record(HANDSHAKE, hello(0x009E)))
        padding = record(HANDSHAKE, message(CERTIFICATE, bytes(10_000)))
        for _ in range(100):
            flight.feed(padding)
        flight.feed(record(HANDSHAKE, keyExchange(b"\xff")))
        self.assertEqual((flight.cipherSuite(), flight.dhePrimeBits()), (0x009E, None))
        self.assertTrue(flight.isComplete)

    def test_memory(self) -> None:
        """
        Of a message without end, no more than the limit is kept.
        """
        flight = ServerFlight()
        flight.feed(record(HANDSHAKE, b"\x0b\xff\xff\xff"))
        for _ in range(100):
            flight.feed(record(HANDSHAKE, bytes(1 << 14)))
        kept = [getattr(flight, each) for each in ServerFlight.__slots__]
        sizes = [len(each) for each in kept if isinstance(each, (bytes, bytearray))]
        self.assertLessEqual(sum(sizes), ServerFlight.LIMIT)

    def test_limit(self) -> None:
        """
        A flight of just the limit's size is read to its end; with one record
        more at its beginning, it is not.
        """
        last = record(HANDSHAKE, keyExchange(b"\xff"))
        overhead = len(record(HANDSHAKE, message(CERTIFICATE, b"")))
        records, rest = divmod(ServerFlight.LIMIT - len(last), 1 << 16)
        sizes = [1 << 16] * records + [rest]
        padding = b"".join(
            record(HANDSHAKE, message(CERTIFICATE, bytes(size - overhead))) for size in sizes
        )
        self.assertEqual(len(padding + last), ServerFlight.LIMIT)
        self.assertEqual(read(padding + last), (None, 8))
        self.assertEqual(read(record(HANDSHAKE, b""), padding, last), (None, None))


class StapleTests(SynchronousTestCase):
    """
    Tests for L{ServerFlight.staple}.
    """

    def staple(self, *pieces: bytes) -> bytes | None:
        """
        @return: the OCSP response after these bytes.
        """
        flight = ServerFlight()
        for piece in pieces:
            flight.feed(piece)
        return flight.staple()

    def test_staple(self) -> None:
        """
        It is found wherever it is in the flight, however that is cut.
        """
        for response in (b"r", b"response" * 1000):
            content = hello(0xC02F) + message(CERTIFICATE, bytes(9)) + status(response)
            data = record(HANDSHAKE, content + keyExchange(b"\xff"))
            self.assertEqual(self.staple(data), response)
            self.assertEqual(self.staple(*inBytes(data)), response)
            self.assertIsNone(self.staple(data[: 5 + len(content) - 1]))

    def test_none(self) -> None:
        """
        Without a message about it, there is none.
        """
        self.assertIsNone(self.staple())
        self.assertIsNone(self.staple(record(HANDSHAKE, FLIGHT)))

    def test_otherKinds(self) -> None:
        """
        What is not an OCSP response is none: another type, a wrong length, half
        a header.
        """
        body = status(b"response")[4:]
        self.assertEqual(self.staple(record(HANDSHAKE, message(STATUS, body))), b"response")
        for bad in (
            b"\x02" + body[1:],
            b"\x00" + body[1:],
            body + b"!",
            body[:-1],
            body[:4],
            b"\x01\x00\x00\x00",
            body[:1],
            b"",
        ):
            self.assertIsNone(self.staple(record(HANDSHAKE, message(STATUS, bad))), bad)

    def test_behindOthers(self) -> None:
        """
        Behind the beginning of encryption there is none.
        """
        begun = record(CHANGE_CIPHER_SPEC, b"\1")
        data = record(HANDSHAKE, status(b"response"))
        self.assertIsNone(self.staple(record(HANDSHAKE, hello(0xC02F)), begun, data))


class IsCompleteTests(SynchronousTestCase):
    """
    Tests for L{ServerFlight.isComplete}.
    """

    def at(self, data: bytes) -> int | None:
        """
        @return: after how many bytes the flight is complete, and stays it;
            L{None} if it is not.
        """
        flight = ServerFlight()
        whole = ServerFlight()
        whole.feed(data)
        found = None
        for count in range(len(data) + 1):
            if flight.isComplete and found is None:
                found = count
            self.assertEqual(flight.isComplete, found is not None)
            flight.feed(data[count : count + 1])
        self.assertEqual(whole.isComplete, found is not None)
        return found

    def test_nothing(self) -> None:
        """
        Before the first byte it is not.
        """
        self.assertIsNone(self.at(b""))

    def test_done(self) -> None:
        """
        It is with the last byte of the message that says so, however the
        messages are distributed to records.
        """
        data = record(HANDSHAKE, FLIGHT + DONE)
        self.assertEqual(self.at(data), len(data))
        self.assertIsNone(self.at(data[:-1]))
        data = record(HANDSHAKE, FLIGHT) + record(HANDSHAKE, DONE[:3]) + record(HANDSHAKE, DONE[3:])
        self.assertEqual(self.at(data), len(data))
        self.assertIsNone(self.at(record(HANDSHAKE, FLIGHT)))

    def test_within(self) -> None:
        """
        What looks like that message inside of another one is not it.
        """
        self.assertIsNone(self.at(record(HANDSHAKE, message(CERTIFICATE, DONE))))

    def test_otherRecords(self) -> None:
        """
        It is as soon as a record of another kind begins.
        """
        for kind in (CHANGE_CIPHER_SPEC, ALERT, APPLICATION_DATA, ord("H"), 0):
            self.assertEqual(self.at(record(kind, b"content") + record(HANDSHAKE, FLIGHT)), 1)
            first = record(HANDSHAKE, hello(0x1301))
            self.assertEqual(self.at(first + record(kind, b"content")), len(first) + 1)

    def test_retry(self) -> None:
        """
        It is when the server wants another hello, whatever follows.
        """
        data = bytearray(record(HANDSHAKE, hello(0x1301)))
        self.assertIsNone(self.at(bytes(data)))
        data[11:43] = RETRY
        self.assertEqual(self.at(bytes(data)), len(data))
        data[42] ^= 1
        self.assertIsNone(self.at(bytes(data)))

    def test_limit(self) -> None:
        """
        It is when it is too long, and not one byte before.
        """
        endless = record(HANDSHAKE, b"\x0b\xff\xff\xff") + record(HANDSHAKE, bytes(60000)) * 3
        flight = ServerFlight()
        flight.feed(endless[: ServerFlight.LIMIT - 1])
        self.assertFalse(flight.isComplete)
        flight.feed(b"\0")
        self.assertTrue(flight.isComplete)

    def test_real(self) -> None:
        """
        In a real handshake it is with the server's first flight.
        """
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            data = handshake("ALL", version)
            complete = self.at(data)
            assert complete is not None
            isTls13 = version == SSL.TLS1_3_VERSION
            end = data.index(DONE) + 4 if not isTls13 else 5 + int.from_bytes(data[3:5], "big") + 1
            self.assertEqual(complete, end)

    def test_effort(self) -> None:
        """
        Every byte is looked at once: one after the other they take no more than
        some microseconds each, also if they are many tiny records or messages.
        """
        for unit in (record(HANDSHAKE, b""), record(HANDSHAKE, message(0, b""))):
            flight = ServerFlight()
            start = process_time()
            for _ in range(ServerFlight.LIMIT // len(unit)):
                for byte in inBytes(unit):
                    flight.feed(byte)
                    self.assertFalse(flight.isComplete)
            self.assertLess(process_time() - start, 10)


class GarbageTests(SynchronousTestCase):
    """
    What a hostile server may send.
    """

    def check(self, random: Random, data: bytes) -> None:
        """
        Read C{data} in random pieces.
        """
        flight = ServerFlight()
        position = 0
        while position < len(data):
            size = random.choice((1, 2, 5, 50, len(data)))
            flight.feed(data[position : position + size])
            position += size
        self.assertIn(flight.isComplete, (True, False))
        staple = flight.staple()
        self.assertTrue(staple is None or staple in data)
        suite, bits = flight.cipherSuite(), flight.dhePrimeBits()
        self.assertTrue(suite is None or 0 <= suite < 1 << 16, suite)
        self.assertTrue(bits is None or 0 <= bits < 8 << 16, bits)

    def test_noise(self) -> None:
        """
        Whatever bytes come, nothing is raised.
        """
        random = Random(2026)
        for _ in range(3000):
            self.check(random, random.randbytes(random.randrange(300)))

    def test_noiseInRecords(self) -> None:
        """
        Whatever is inside of well-formed records, nothing is raised.
        """
        random = Random(2027)
        kinds = (SERVER_HELLO, SERVER_KEY_EXCHANGE, CERTIFICATE, STATUS, 14, 0)
        for _ in range(3000):
            content = b"".join(
                message(random.choice(kinds), random.randbytes(random.randrange(80)))
                for _ in range(random.randrange(4))
            )
            self.check(random, record(HANDSHAKE, content))

    def test_damaged(self) -> None:
        """
        Whatever bytes of a real flight are changed, lost or doubled, nothing is
        raised.
        """
        random = Random(2028)
        whole = handshake("ECDHE-RSA-AES128-GCM-SHA256")
        for _ in range(3000):
            data = bytearray(whole)
            for _ in range(random.randrange(1, 6)):
                position = random.randrange(len(data))
                end = position + random.choice((0, 1, 1, 1, 4, 40))
                data[position:end] = random.randbytes(random.choice((0, 1, 1, 1, 4)))
            self.check(random, bytes(data))
