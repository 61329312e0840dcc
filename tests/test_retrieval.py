"""
Tests for L{txsslstream.retrieval}: what is fetched over plain http, from
servers that answer, and from servers that do anything else.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.util import Redirect
from zope.interface.verify import verifyClass, verifyObject

from txsslstream.errors import RetrievalError, printable
from txsslstream.interfaces import IRetriever
from txsslstream.retrieval import (
    LONGEST_URL,
    MOST_AT_ONCE,
    MOST_HEADER_BYTES,
    MOST_PER_HOST,
    HttpRetriever,
    _Body,
    isCommonAddress,
)

URL = "http://crl.example/root.crl"
OTHER = "http://ocsp.example/"
LIMIT = 1000
#: Seconds.
TIMEOUT = 10.0
MEDIA_TYPE = "application/ocsp-request"

OK = b"HTTP/1.1 200 OK\r\n"

#: Where clouds tell machines their secrets.
METADATA = "169.254.169.254"


def at(host: int, path: str = "") -> str:
    """
    @return: a URL at one of many hosts.
    """
    return f"http://host{host}.example/{path}"


def whole(body: bytes) -> bytes:
    """
    @return: an answer with that body.
    """
    return OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def redirect(place: str, code: int = 302) -> bytes:
    """
    @return: an answer that it is there.
    """
    return b"HTTP/1.1 %d Elsewhere\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (
        code,
        place.encode("latin-1"),
    )


class Connection:
    """
    A connection as the server has it.
    """

    def __init__(self, protocol: Any) -> None:
        self.transport = StringTransport()
        self.isGone = False
        self._protocol = protocol
        protocol.makeConnection(self.transport)

    @property
    def request(self) -> bytes:
        """
        What has arrived.
        """
        return bytes(self.transport.value())

    @property
    def isAborted(self) -> bool:
        """
        Whether the other side has.
        """
        return bool(self.transport.disconnected)

    def send(self, data: bytes) -> None:
        """
        Send it, as long as somebody is there.
        """
        if data and not self.isAborted:
            self._protocol.dataReceived(data)
        if self.isAborted:
            self.lose(ConnectionLost())

    def lose(self, reason: Exception) -> None:
        """
        It is over, for that reason.
        """
        if not self.isGone:
            self.isGone = True
            self._protocol.connectionLost(Failure(reason))


class Patient:
    """
    A resolver that never answers.
    """

    receivers: list[IResolutionReceiver]

    def __init__(self) -> None:
        self.receivers = []

    def resolveHostName(self, receiver: IResolutionReceiver, *_: Any, **__: Any) -> Any:
        """
        Note it.
        """
        self.receivers.append(receiver)


class Ignorant:
    """
    A resolver that knows no name, and says so at once.
    """

    def resolveHostName(self, receiver: IResolutionReceiver, *_: Any, **__: Any) -> Any:
        """
        Say so.
        """
        receiver.resolutionComplete()


class RetrievalTestCase(SynchronousTestCase):
    """
    Has a retriever and all servers.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        self.reactor = MemoryReactorClock()
        self.asked: list[str] = []
        self.retriever = HttpRetriever(self.reactor, self.permits)
        self.connections: list[Connection] = []
        self.accepted = 0

    def permits(self, url: str) -> bool:
        """
        Everything is permitted.
        """
        self.asked.append(url)
        return True

    def retrieve(
        self,
        url: str = URL,
        body: bytes | None = None,
        limit: int = LIMIT,
        timeout: float = TIMEOUT,
    ) -> Deferred[bytes]:
        """
        Start a retrieval.
        """
        return self.retriever.retrieve(
            url,
            body=body,
            contentType=None if body is None else MEDIA_TYPE,
            limit=limit,
            timeout=timeout,
        )

    def accept(self) -> Connection:
        """
        @return: the next connection that somebody tries to make.
        """
        self.connections.append(Connection(self.connect("127.0.0.1")))
        return self.connections[-1]

    def connect(self, address: str) -> Any:
        """
        @param address: where the next connection is, that somebody tries to
            make.
        @return: its protocol; L{None} if nobody wants it any more.
        """
        _, port, factory, _, _ = self.reactor.tcpClients[self.accepted]
        self.accepted += 1
        kind = IPv6Address if ":" in address else IPv4Address
        return factory.buildProtocol(kind("TCP", address, port))

    @property
    def waiting(self) -> int:
        """
        How many connections nobody has accepted yet.
        """
        return len(self.reactor.tcpClients) - self.accepted

    def assertClean(self) -> None:
        """
        Nothing is left of any retrieval.
        """
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        for each in self.connections:
            self.assertTrue(each.isAborted or each.isGone)
        for connector in self.reactor.connectors[self.accepted :]:
            self.assertTrue(connector.stoppedConnecting)
        # What has ended neither occupies a place nor can be joined.
        self.assertEqual(self.retriever._places._all.tokens, MOST_AT_ONCE)
        self.assertEqual(dict(self.retriever._places._hosts), {})
        self.assertEqual(self.retriever._shared, {})

    def assertFails(self, retrieved: Deferred[bytes], reason: str, url: str = URL) -> None:
        """
        It has failed for that reason, and nothing is left of it.
        """
        error = self.failureResultOf(retrieved, RetrievalError).value
        self.assertEqual(str(error), f"{url}: {reason}")
        self.assertClean()

    def assertGot(self, retrieved: Deferred[bytes], data: bytes) -> None:
        """
        That is what was retrieved, and nothing is left of it.
        """
        self.assertEqual(self.successResultOf(retrieved), data)
        self.assertClean()


class RequestTests(RetrievalTestCase):
    """
    What servers are asked.
    """

    def test_interface(self) -> None:
        """
        An L{HttpRetriever} is an L{IRetriever}.
        """
        verifyClass(IRetriever, HttpRetriever)
        verifyObject(IRetriever, self.retriever)

    def test_get(self) -> None:
        """
        A GET goes to the host and port of the URL, on a connection of its own,
        with what is needed and nothing else.
        """
        retrieved = self.retrieve("http://crl.example:8080/a/b.crl?c=d#e")
        self.assertEqual(self.reactor.tcpClients[0][1], 8080)
        connection = self.accept()
        first, *headers, end, body = connection.request.split(b"\r\n")
        self.assertEqual(first, b"GET /a/b.crl?c=d HTTP/1.1")
        self.assertEqual(
            sorted(headers),
            [
                b"Accept-Encoding: identity",
                b"Connection: close",
                b"Host: crl.example:8080",
                b"User-Agent: txsslstream",
            ],
        )
        self.assertEqual((end, body), (b"", b""))
        connection.send(whole(b"data"))
        self.assertGot(retrieved, b"data")

    def test_post(self) -> None:
        """
        With a body it is a POST of that body and media type, even if the body
        is empty.
        """
        for sent in (b"asked", b""):
            retrieved = self.retrieve(OTHER, sent)
            connection = self.accept()
            head, _, body = connection.request.partition(b"\r\n\r\n")
            self.assertEqual(body, sent)
            first, *headers = head.split(b"\r\n")
            self.assertEqual(first, b"POST / HTTP/1.1")
            self.assertIn(b"Content-Length: %d" % len(sent), headers)
            self.assertIn(b"Content-Type: application/ocsp-request", headers)
            self.assertIn(b"Host: ocsp.example", headers)
            connection.send(whole(b"data"))
            self.assertGot(retrieved, b"data")

    def test_address(self) -> None:
        """
        An address is a host as well.
        """
        for url, host in (
            ("http://[2001:DB8::1]:81/x", b"[2001:db8::1]:81"),
            ("http://192.0.2.1", b"192.0.2.1"),
        ):
            retrieved = self.retrieve(url)
            connection = self.accept()
            self.assertIn(b"\r\nHost: %b\r\n" % host, connection.request)
            connection.send(whole(b"data"))
            self.assertGot(retrieved, b"data")

    def test_noProxy(self) -> None:
        """
        The environment does not tell where to connect.
        """
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            self.patch(os, "environ", {**os.environ, name: "http://proxy.example:3128"})
        self.retrieve().addErrback(lambda _: None)
        self.assertEqual(self.reactor.tcpClients[0][1], 80)
        self.assertTrue(self.accept().request.startswith(b"GET /root.crl "))

    def test_noCookies(self) -> None:
        """
        What a server wants to be remembered is not sent to it.
        """
        retrieved = self.retrieve()
        cookie = b"HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: a=b; Path=/\r\n\r\n"
        self.accept().send(cookie)
        connection = self.accept()
        self.assertNotIn(b"ookie", connection.request)
        connection.send(OK + b"Set-Cookie: a=b; Path=/\r\n\r\n")
        connection.lose(ConnectionDone())
        self.assertGot(retrieved, b"")
        self.retrieve().addErrback(lambda _: None)
        self.assertNotIn(b"ookie", self.accept().request)

    def test_refusedURLs(self) -> None:
        """
        What is not plain http or not sound is not asked for, and the reason
        says what is wrong.
        """
        scheme = "only http is retrieved, not "
        host = "the URL has no sound host"
        characters = "no URL has such characters"
        user = "the URL has a user in it"
        for url, reason in (
            ("https://crl.example/", f"{scheme}https"),
            ("file:///etc/passwd", f"{scheme}file"),
            ("ldap://ldap.example/cn=x", f"{scheme}ldap"),
            ("ftp://crl.example/", f"{scheme}ftp"),
            ("crl.example/x", f"{scheme}a URL without scheme"),
            ("//crl.example/x", f"{scheme}a URL without scheme"),
            ("http:crl.example/x", host),
            ("http:///x", host),
            ("http://:80/x", host),
            ("http://a..b/", host),
            ("http://a b/", characters),
            ("http://a_\\b/", host),
            ("http://a%00b/", host),
            ("http://*.example/", host),
            (f"http://{'a' * 64}/", host),
            ("http://[::1%25eth0]/", host),
            ("http://127.1/", host),
            ("http://2130706433/", host),
            ("http://0x7f.1/", host),
            ("http://0177.0.0.1/", host),
            ("http://127.0.0.1./", host),
            ("http://x.0x7f000001/", host),
            ("http://user@crl.example/", user),
            ("http://user:secret@crl.example/", user),
            ("http://crl.example\\@other.example/", user),
            ("http://crl.example:0/", "the URL has port 0"),
            ("", characters),
            (" http://crl.example/", characters),
            ("http://crl.example/\r\nHost:x", characters),
            ("http://crl.example/\tx", characters),
            ("http://crl.example/\x00", characters),
            ("http://crl.example/\N{LATIN SMALL LETTER A WITH DIAERESIS}", characters),
            ("http://crl.ex\N{KELVIN SIGN}mple/", characters),
        ):
            self.assertFails(self.retrieve(url), reason, printable(url))
        for url in ("http://crl.example:x/", "http://crl.example:65536/", "http://crl.example:-1/"):
            error = self.failureResultOf(self.retrieve(url), RetrievalError).value
            self.assertIn(": the URL is damaged (", str(error))
        error = self.failureResultOf(self.retrieve("http://[::1/"), RetrievalError).value
        self.assertIn(": the URL is damaged (", str(error))
        self.assertEqual((self.asked, self.reactor.tcpClients), ([], []))

    def test_longURL(self) -> None:
        """
        A URL may be long, but not longer than that.
        """
        longest = URL + "x" * (LONGEST_URL - len(URL))
        retrieved = self.retrieve(longest)
        self.accept().send(whole(b"data"))
        self.assertGot(retrieved, b"data")
        reason = f"the URL has more than {LONGEST_URL} characters"
        self.assertFails(self.retrieve(longest + "x"), reason, printable(longest))

    def test_longRedirect(self) -> None:
        """
        Nor is one that is longer than that where it is relative to another.
        """
        reason = f"the URL has more than {LONGEST_URL} characters"
        host = len(URL) - len("/root.crl")
        for size, isPermitted in ((LONGEST_URL - host, True), (LONGEST_URL - host + 1, False)):
            retrieved = self.retrieve()
            place = "/".ljust(size, "x")
            self.accept().send(redirect(place))
            if isPermitted:
                self.accept().send(whole(b"data"))
                self.assertGot(retrieved, b"data")
            else:
                self.assertFails(retrieved, f"redirected to {printable(place, 100)}: {reason}")

    def test_permits(self) -> None:
        """
        The policy is asked about the URL as it is used, before anything is
        sent.
        """
        retrieved = self.retrieve("HTTP://CRL.Example:80?x#y")
        self.assertEqual(self.asked, ["http://crl.example/?x"])
        self.accept().send(whole(b"data"))
        self.assertGot(retrieved, b"data")
        self.assertEqual(len(self.asked), 1)

    def test_forbidden(self) -> None:
        """
        What the policy does not permit, or cannot decide about, is not asked
        for.
        """
        self.retriever = HttpRetriever(self.reactor, lambda url: url != URL)
        self.assertFails(self.retrieve(), "it is not permitted")
        retrieved = self.retrieve(OTHER)
        self.accept().send(whole(b"data"))
        self.assertGot(retrieved, b"data")

        def fails(url: str) -> bool:
            raise ZeroDivisionError

        self.retriever = HttpRetriever(self.reactor, fails)
        self.assertFails(self.retrieve(OTHER), "it is not permitted", OTHER)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.reactor.tcpClients), 1)


class AddressTests(RetrievalTestCase):
    """
    Which addresses are connected to, whatever the name.
    """

    def refused(self, address: str) -> None:
        """
        A connection to there is refused before anything can be sent.
        """
        retrieved = self.retrieve()
        self.assertIsNone(self.connect(address))
        self.reactor.advance(1)
        self.assertFails(retrieved, f"its address is not permitted: {address}")

    def test_default(self) -> None:
        """
        Unless told otherwise, link-local, unspecified and multicast addresses
        are refused, in every notation, and the others are not.
        """
        for address in (
            METADATA,
            "169.254.0.0",
            "169.254.255.255",
            "fe80::1",
            "fe80::1%eth0",
            "febf:ffff::1",
            f"::ffff:{METADATA}",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "224.0.0.1",
            "::ffff:224.0.0.1",
            "ff02::1",
        ):
            self.assertFalse(isCommonAddress(address), address)
            self.refused(address)
        for address in (
            "169.253.255.255",
            "169.255.0.0",
            "192.0.2.1",
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "::1",
            "fd00::1",
            "fec0::1",
            "2001:db8::1",
            "::ffff:10.1.2.3",
        ):
            self.assertTrue(isCommonAddress(address), address)
            retrieved = self.retrieve()
            connection = Connection(self.connect(address))
            connection.send(whole(b"data"))
            self.assertGot(retrieved, b"data")

    def test_noAddress(self) -> None:
        """
        What is no address in numbers is refused.
        """
        self.refused("localhost")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_permitsAddress(self) -> None:
        """
        The application says itself which addresses are permitted; if it cannot
        decide, none is.
        """
        asked: list[str] = []

        def permits(address: str) -> bool:
            asked.append(address)
            if address == "10.0.0.1":
                raise ZeroDivisionError
            return address == METADATA

        self.retriever = HttpRetriever(self.reactor, permitsAddress=permits)
        self.refused("10.0.0.1")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.refused("10.0.0.2")
        retrieved = self.retrieve()
        connection = Connection(self.connect(METADATA))
        self.assertTrue(connection.request.startswith(b"GET /root.crl "))
        connection.send(whole(b"data"))
        self.assertGot(retrieved, b"data")
        self.assertEqual(asked, ["10.0.0.1", "10.0.0.2", METADATA])

    def test_otherAddress(self) -> None:
        """
        A name that has a permitted address as well is connected to there.
        """
        resolver = Patient()
        self.reactor.installNameResolver(resolver)  # type: ignore[arg-type]
        retrieved = self.retrieve()
        for address in (METADATA, "192.0.2.1"):
            resolver.receivers[0].addressResolved(IPv4Address("TCP", address, 80))
        resolver.receivers[0].resolutionComplete()
        self.assertIsNone(self.connect(METADATA))
        self.reactor.advance(1)
        connection = Connection(self.connect("192.0.2.1"))
        connection.send(whole(b"data"))
        self.assertGot(retrieved, b"data")

    def test_redirected(self) -> None:
        """
        Where a redirect leads is looked at as well.
        """
        retrieved = self.retrieve()
        self.accept().send(redirect(OTHER))
        self.assertIsNone(self.connect(METADATA))
        self.reactor.advance(1)
        reason = f"redirected to {OTHER}: its address is not permitted: {METADATA}"
        self.assertFails(retrieved, reason)


class AnswerTests(RetrievalTestCase):
    """
    What servers answer.
    """

    def answered(self, answer: bytes, closing: bool = True, **options: Any) -> Deferred[bytes]:
        """
        @param closing: whether the server closes after it.
        @return: what becomes of a retrieval with that answer.
        """
        retrieved = self.retrieve(**options)
        connection = self.accept()
        connection.send(answer)
        if closing:
            connection.lose(ConnectionDone())
        return retrieved

    def test_bodies(self) -> None:
        """
        A body ends where its length, its last chunk or the connection says so;
        what comes behind it is ignored.
        """
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\n\r\n"
        for answer in (whole(b"data"), whole(b"data") + b"more", chunked):
            self.assertGot(self.answered(answer, closing=False), b"data")
        for answer in (OK + b"\r\ndata", b"HTTP/1.0 200 OK\r\n\r\ndata"):
            self.assertGot(self.answered(answer), b"data")
        self.assertGot(self.answered(whole(b""), closing=False), b"")

    def test_bytewise(self) -> None:
        """
        It does not matter in which pieces an answer arrives.
        """
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\n"
        for answer in (whole(b"abcd"), interim * 2 + OK + chunked):
            retrieved = self.retrieve()
            connection = self.accept()
            for at in range(len(answer)):
                connection.send(answer[at : at + 1])
            self.assertGot(retrieved, b"abcd")

    def test_codes(self) -> None:
        """
        Only a 200 answer has what was asked for; of others the number is told,
        never what the server calls it, and none of them leaves a connection.
        """
        for code, said in (
            (201, "201 Created"),
            (204, "204 No Content"),
            (206, "206 Partial Content"),
            (300, "300 Multiple Choices"),
            (304, "304 Not Modified"),
            (305, "305 Use Proxy"),
            (404, "404 Not Found"),
            (503, "503 Service Unavailable"),
            (777, "777"),
        ):
            for rest in (b"", b"Content-Length: 0\r\n", b"Content-Length: 4\r\n"):
                answer = b"HTTP/1.1 %d \x1b[31mFine\r\nLocation: /\r\n%b\r\n" % (code, rest)
                self.assertFails(self.answered(answer, False), f"the answer is {said}")

    def test_limit(self) -> None:
        """
        A body of as many bytes as are permitted is taken, whoever says where it
        ends; one more, and the connection is aborted.
        """
        reason = f"the answer has more than {LIMIT} bytes"
        chunk = b"%x\r\n%b\r\n"

        def answers(size: int) -> Iterator[tuple[bytes, bool]]:
            body = bytes(size)
            yield OK + b"\r\n" + body, True
            yield whole(body), False
            half = size // 2
            chunks = chunk % (half, body[:half]) + chunk % (size - half, body[half:])
            yield OK + b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks, False

        for answer, closing in answers(LIMIT):
            self.assertGot(self.answered(answer, closing), bytes(LIMIT))
        for answer, _ in answers(LIMIT + 1):
            self.assertFails(self.answered(answer, False), reason)
            self.assertTrue(self.connections[-1].isAborted)
        self.assertGot(self.answered(whole(b""), False, limit=0), b"")
        self.assertFails(
            self.answered(whole(b"x"), False, limit=0), "the answer has more than 0 bytes"
        )

    def test_limitAtOnce(self) -> None:
        """
        What exceeds the limit is not read first: the length that the server
        says is enough, and so is the first byte too many.
        """
        reason = f"the answer has more than {LIMIT} bytes"
        announced = OK + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1)
        self.assertFails(self.answered(announced, False), reason)
        retrieved = self.answered(OK + b"\r\n" + bytes(LIMIT), False)
        self.assertNoResult(retrieved)
        self.connections[-1].send(b"x")
        self.assertFails(retrieved, reason)
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + bytes(LIMIT)
        retrieved = self.answered(chunked, False)
        self.assertNoResult(retrieved)
        self.connections[-1].send(b"x")
        self.assertFails(retrieved, reason)

    def test_afterLimit(self) -> None:
        """
        What was already on its way when the limit was exceeded is ignored.
        """
        body = _Body(3)
        for piece in (b"ab", b"cd", b"e", b"fghi"):
            body.dataReceived(piece)
        body.connectionLost(Failure(ConnectionLost()))
        error = self.failureResultOf(body.whole).value
        self.assertEqual(str(error), "the answer has more than 3 bytes")

    def test_limitedHeaders(self) -> None:
        """
        A server that sends headers for ever, in lines, in one line, in one
        header of many lines or as interim answers, is stopped.
        """
        reason = f"its headers have more than {MOST_HEADER_BYTES} bytes"
        for start, more in (
            (OK, b"X: y\r\n"),
            (OK + b"X: ", b"y"),
            (OK + b"X: y\r\n", b" z\r\n"),
            (b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"),
            (b"", b"x"),
        ):
            for pieces in (1, 100, 100_000):
                retrieved = self.retrieve()
                connection = self.accept()
                connection.send(start)
                sent = len(start)
                while not connection.isAborted:
                    self.assertLess(sent, MOST_HEADER_BYTES)
                    connection.send(more * pieces)
                    sent += len(more) * pieces
                self.assertFails(retrieved, reason)

    def test_headersAsAllowed(self) -> None:
        """
        Headers of almost that size are taken, and what follows them in the same
        breath is not counted as headers.
        """
        body = bytes(2 * MOST_HEADER_BYTES)
        end = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        filling = b"X: y\r\n" * ((MOST_HEADER_BYTES - 100) // 6)
        padding = b"X: " + b"y" * (MOST_HEADER_BYTES - len(OK + filling + b"X: " + end))
        headers = OK + filling + padding + end
        self.assertEqual(len(headers), MOST_HEADER_BYTES)
        self.assertGot(self.answered(headers + body, False, limit=len(body)), body)
        longer = headers.replace(b"X: y", b"X: yy", 1)
        reason = f"its headers have more than {MOST_HEADER_BYTES} bytes"
        self.assertFails(self.answered(longer + body, False, limit=len(body)), reason)

    def test_encoded(self) -> None:
        """
        A body with a content encoding, which was not asked for, is not taken.
        """
        for name in (b"gzip", b"identity, gzip", b"identity\r\nContent-Encoding: gzip"):
            answer = OK + b"Content-Encoding: %b\r\nContent-Length: 4\r\n\r\ndata" % name
            self.assertFails(
                self.answered(answer, False),
                "the answer is encoded, without being asked: "
                + name.decode().replace("\r\nContent-Encoding:", ","),
            )
        answer = OK + b"Content-Encoding: \xff\r\nContent-Length: 4\r\n\r\ndata"
        self.assertFails(
            self.answered(answer, False), "the answer is encoded, without being asked: \\xff"
        )
        answer = OK + b"Content-Encoding: Identity\r\nContent-Length: 4\r\n\r\ndata"
        self.assertGot(self.answered(answer, False), b"data")

    def test_broken(self) -> None:
        """
        An answer that is not whole, or none at all, is never taken for one.
        """
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
        for answer, reason in (
            (b"", "the connection was closed without an answer"),
            (b"HTTP/1.1 200", "the answer is damaged or incomplete ("),
            (OK, "the answer is damaged or incomplete ("),
            (OK + b"Content-Length: 5\r\n\r\ndata", "the answer is damaged or incomplete ("),
            (chunked + b"4\r\ndata\r\n", "the answer is damaged or incomplete ("),
            (chunked + b"5\r\ndata", "the answer is damaged or incomplete ("),
            (chunked + b"4\r\ndata\r\n0\r\n", "the answer is damaged or incomplete ("),
        ):
            retrieved = self.answered(answer)
            error = self.failureResultOf(retrieved, RetrievalError).value
            self.assertIn(f"{URL}: {reason}", str(error))
            self.assertClean()

    def test_garbage(self) -> None:
        """
        What is not HTTP ends the connection at once.
        """
        for answer in (
            b"\x00\xff\x1b[2J\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/x 200 OK\r\n\r\n",
            OK + b"no header\r\n\r\n",
            OK + b" folded\r\n\r\n",
            OK + b"Content-Length: x\r\n\r\n",
            OK + b"Content-Length: -1\r\n\r\n",
            OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            OK + b"Content-Length: %b\r\n\r\n" % (b"9" * 5000),
            OK + b"Transfer-Encoding: gzip\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 2000,
        ):
            error = self.failureResultOf(self.answered(answer, False), RetrievalError).value
            self.assertIn(f"{URL}: the answer is damaged or incomplete (", str(error))
            self.assertTrue(str(error).isascii() and str(error).isprintable())
            self.assertLess(len(str(error)), 500)
            self.assertClean()

    def test_abortedAlways(self) -> None:
        """
        Even after a good answer the connection is aborted, as the server could
        keep it by not reading.
        """
        self.assertGot(self.answered(whole(b"data"), False), b"data")
        self.assertTrue(self.connections[0].isAborted)

    def test_unreachable(self) -> None:
        """
        A server that cannot be reached, or a name that is nobody's, is told.
        """
        retrieved = self.retrieve()
        factory: Any = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.accepted = 1
        self.reactor.advance(1)
        self.assertFails(retrieved, "Connection was refused by other side.")
        resolver = Patient()
        self.reactor.installNameResolver(resolver)  # type: ignore[arg-type]
        retrieved = self.retrieve()
        resolver.receivers[0].resolutionComplete()
        error = self.failureResultOf(retrieved, RetrievalError).value
        self.assertIn("no results for hostname lookup: crl.example", str(error))
        self.assertClean()

    def test_badName(self) -> None:
        """
        A name that cannot be looked up is told.
        """
        error = self.failureResultOf(self.retrieve("http://a_b/"), RetrievalError).value
        self.assertEqual(str(error), "http://a_b/: invalid hostname: a_b")
        self.assertClean()


class RedirectTests(RetrievalTestCase):
    """
    What is elsewhere.
    """

    def test_followed(self) -> None:
        """
        A GET follows each kind of redirect, to wherever it leads, with the same
        limit; the policy is asked about each target.
        """
        for code in (301, 302, 303, 307, 308):
            for place, target in (
                ("http://other.example:81/x?y#z", "http://other.example:81/x?y"),
                ("//other.example/x", "http://other.example/x"),
                ("/x", "http://crl.example/x"),
                ("x", "http://crl.example/x"),
                ("?x", "http://crl.example/root.crl?x"),
                ("../../x", "http://crl.example/x"),
            ):
                self.asked = []
                retrieved = self.retrieve()
                self.accept().send(redirect(place, code))
                self.assertTrue(self.connections[-1].isAborted)
                self.assertEqual(self.asked, [URL, target])
                host, _, path = target.removeprefix("http://").partition("/")
                connection = self.accept()
                self.assertTrue(connection.request.startswith(b"GET /%b " % path.encode()))
                self.assertIn(b"\r\nHost: %b\r\n" % host.encode(), connection.request)
                connection.send(whole(b"data"))
                self.assertGot(retrieved, b"data")

    def test_limited(self) -> None:
        """
        Three redirects are followed, or as many as were asked for; with one more
        nothing else is asked.
        """
        for most, retriever in (
            (3, self.retriever),
            (0, HttpRetriever(self.reactor, maximumRedirects=0)),
        ):
            self.retriever = retriever
            retrieved = self.retrieve()
            for _ in range(most):
                self.accept().send(redirect("/"))
            self.accept().send(whole(b"data"))
            self.assertGot(retrieved, b"data")
            retrieved = self.retrieve()
            for _ in range(most):
                self.accept().send(redirect(URL))
            self.accept().send(redirect(URL))
            self.assertEqual(self.waiting, 0)
            self.assertFails(retrieved, f"there are more than {most} redirects")

    def test_post(self) -> None:
        """
        A POST is sent again where 307 and 308 say, and to no other place.
        """
        for code in (307, 308):
            retrieved = self.retrieve(OTHER, b"asked")
            self.accept().send(redirect("/there", code))
            connection = self.accept()
            self.assertTrue(connection.request.startswith(b"POST /there "))
            self.assertTrue(connection.request.endswith(b"\r\n\r\nasked"))
            connection.send(whole(b"data"))
            self.assertGot(retrieved, b"data")
        for code, said in (
            (301, "301 Moved Permanently"),
            (302, "302 Found"),
            (303, "303 See Other"),
        ):
            retrieved = self.retrieve(OTHER, b"asked")
            self.accept().send(redirect("/there", code))
            self.assertEqual(self.waiting, 0)
            self.assertFails(retrieved, f"the answer to a POST is {said}", OTHER)

    def test_refused(self) -> None:
        """
        A redirect to what would not be retrieved itself is not followed, and
        the error names it.
        """
        scheme = "only http is retrieved, not "
        for place, reason in (
            ("https://crl.example/", f"https://crl.example/: {scheme}https"),
            ("file:///etc/passwd", f"file:///etc/passwd: {scheme}file"),
            ("ldap://x/y", f"ldap://x/y: {scheme}ldap"),
            ("http://user@x/", "http://user@x/: the URL has a user in it"),
            ("http://x:0/", "http://x:0/: the URL has port 0"),
            ("http://127.1/", "http://127.1/: the URL has no sound host"),
            ("ht\ttp://x/", "ht\\ttp://x/: no URL has such characters"),
            ("\xe4", "\\xe4: no URL has such characters"),
            ("", ": no URL has such characters"),
        ):
            retrieved = self.retrieve()
            self.accept().send(redirect(place))
            self.assertEqual(self.waiting, 0)
            self.assertFails(retrieved, f"redirected to {reason}")
        retrieved = self.retrieve()
        self.accept().send(redirect("http://[::1/"))
        error = self.failureResultOf(retrieved, RetrievalError).value
        self.assertIn("redirected to http://[::1/: the URL is damaged (", str(error))

    def test_forbidden(self) -> None:
        """
        A redirect to where the policy does not permit is not followed.
        """
        self.retriever = HttpRetriever(self.reactor, lambda url: url in (URL, OTHER))
        retrieved = self.retrieve()
        self.accept().send(redirect(OTHER))
        self.accept().send(redirect("http://10.0.0.1/"))
        self.assertEqual(self.waiting, 0)
        self.assertFails(
            retrieved,
            f"redirected to {OTHER}: redirected to http://10.0.0.1/: it is not permitted",
        )

    def test_nowhere(self) -> None:
        """
        A redirect to nowhere, or to two places, is none.
        """
        start, end = b"HTTP/1.1 302 Found\r\n", b"Content-Length: 0\r\n\r\n"
        for places, number in ((b"", 0), (b"Location: /a\r\nLocation: /b\r\n", 2)):
            retrieved = self.retrieve()
            self.accept().send(start + places + end)
            self.assertFails(retrieved, f"the answer is 302 Found, with {number} places")

    def test_laterFailure(self) -> None:
        """
        What goes wrong at the other place is told with that place.
        """
        retrieved = self.retrieve()
        self.accept().send(redirect(OTHER))
        self.accept().send(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
        self.assertFails(retrieved, f"redirected to {OTHER}: the answer is 404 Not Found")


class EndTests(RetrievalTestCase):
    """
    How retrievals end before they are done.
    """

    def stages(self) -> Iterator[tuple[str, Deferred[bytes]]]:
        """
        @return: a retrieval in each stage that it can be in, with its name.
        """
        resolver = Patient()
        previous = self.reactor.installNameResolver(resolver)  # type: ignore[arg-type]
        yield "resolving", self.retrieve()
        self.reactor.installNameResolver(previous)
        # An answer that nobody waits for any more.
        resolver.receivers[0].addressResolved(IPv4Address("TCP", "127.0.0.1", 80))
        resolver.receivers[0].resolutionComplete()
        yield "connecting", self.retrieve()
        self.accepted = len(self.reactor.tcpClients)
        for name, answer in (
            ("asking", b""),
            ("status", b"HTTP/1.1 20"),
            ("headers", OK + b"X: "),
            ("interim", b"HTTP/1.1 100 Continue\r\n\r\n"),
            ("body", OK + b"Content-Length: 5\r\n\r\ndata"),
            ("chunks", OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n"),
            ("closing", OK + b"\r\ndata"),
        ):
            for body in (None, b"asked"):
                retrieved = self.retrieve(body=body)
                self.accept().send(answer)
                yield name, retrieved
        retrieved = self.retrieve()
        self.accept().send(redirect("/"))
        yield "connecting again", retrieved
        self.accepted = len(self.reactor.tcpClients)
        retrieved = self.retrieve()
        self.accept().send(redirect("/"))
        self.accept().send(OK)
        yield "redirected", retrieved

    def test_cancel(self) -> None:
        """
        A retrieval can be cancelled at any time, which leaves nothing.
        """
        for name, retrieved in self.stages():
            self.assertNoResult(retrieved)
            retrieved.cancel()
            self.failureResultOf(retrieved, CancelledError)
            with self.subTest(name):
                self.assertClean()

    def test_timeout(self) -> None:
        """
        A retrieval that takes too long is told so, exactly then, in whatever
        stage it is, and nothing is left.
        """
        for name, retrieved in self.stages():
            self.reactor.advance(TIMEOUT - 0.5)
            self.assertNoResult(retrieved)
            self.reactor.advance(0.5)
            with self.subTest(name):
                self.assertFails(retrieved, "no whole answer within 10 seconds")

    def test_slow(self) -> None:
        """
        The time is that of the whole retrieval, however lively the server, and
        redirects do not give more of it.
        """
        retrieved = self.retrieve()
        connection = self.accept()
        connection.send(OK + b"\r\n")
        for _ in range(9):
            self.reactor.advance(1)
            connection.send(b"x")
        self.assertNoResult(retrieved)
        self.reactor.advance(1)
        self.assertFails(retrieved, "no whole answer within 10 seconds")
        retrieved = self.retrieve()
        for _ in range(3):
            self.reactor.advance(3)
            self.accept().send(redirect("/"))
        self.reactor.advance(0.5)
        self.assertNoResult(retrieved)
        self.reactor.advance(0.5)
        self.accepted = len(self.reactor.tcpClients)
        self.assertFails(retrieved, "no whole answer within 10 seconds")

    def test_noTime(self) -> None:
        """
        Without time nothing is asked.
        """
        for timeout in (0, -1, float("nan")):
            self.assertFails(self.retrieve(timeout=timeout), "no time is left")
        self.assertEqual(self.reactor.tcpClients, [])

    def test_doneInTime(self) -> None:
        """
        What has arrived in time is not touched by the time's end.
        """
        retrieved = self.retrieve()
        self.accept().send(whole(b"data"))
        self.reactor.advance(TIMEOUT)
        self.assertGot(retrieved, b"data")

    def test_lateAnswer(self) -> None:
        """
        What arrives on an aborted connection, and that it is lost then, is no
        concern of anybody's.
        """
        retrieved = self.retrieve()
        connection = self.accept()
        retrieved.cancel()
        self.failureResultOf(retrieved, CancelledError)
        connection._protocol.dataReceived(whole(b"data"))
        connection.lose(ConnectionLost())
        self.assertClean()


class TogetherTests(RetrievalTestCase):
    """
    Several retrievals.
    """

    def test_shared(self) -> None:
        """
        Those who GET the same at the same time share one request, its success
        and its failure, but nothing is remembered.
        """
        retrieved = [self.retrieve() for _ in range(3)]
        retrieved.append(self.retrieve(URL.upper().replace("/ROOT.CRL", "/root.crl#x")))
        self.accept().send(whole(b"data"))
        for each in retrieved:
            self.assertGot(each, b"data")
        retrieved = [self.retrieve() for _ in range(3)]
        self.accept().send(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
        for each in retrieved:
            self.assertFails(each, "the answer is 404 Not Found")
        self.assertEqual(self.waiting, 0)

    def test_notShared(self) -> None:
        """
        Requests that differ in anything, and all POSTs, are not shared.
        """
        retrieved = [
            self.retrieve(),
            self.retrieve(f"{URL}?x"),
            self.retrieve(OTHER),
            self.retrieve(limit=LIMIT + 1),
            self.retrieve(OTHER, b"asked"),
            self.retrieve(OTHER, b"asked"),
            self.retrieve(f"{OTHER}x", b"asked"),
            self.retrieve(f"{OTHER}x"),
        ]
        for number in range(len(retrieved)):
            self.accept().send(whole(b"%d" % number))
        for number, each in enumerate(retrieved):
            self.assertEqual(self.successResultOf(each), b"%d" % number)
        self.assertClean()

    def test_sharedForbidden(self) -> None:
        """
        The policy is asked for each of them.
        """
        self.retrieve().addErrback(lambda _: None)
        self.retriever._permits = lambda url: False
        refused = self.failureResultOf(self.retrieve(), RetrievalError).value
        self.assertEqual(str(refused), f"{URL}: it is not permitted")

    def test_cancelShared(self) -> None:
        """
        Who cancels does so for himself; when the last has, the request ends.
        """
        first, second, third = (self.retrieve() for _ in range(3))
        connection = self.accept()
        for each in (second, first):
            each.cancel()
            self.failureResultOf(each, CancelledError)
            self.assertFalse(connection.isAborted)
        fourth = self.retrieve()
        self.assertEqual(self.waiting, 0)
        fourth.cancel()
        self.failureResultOf(fourth, CancelledError)
        connection.send(whole(b"data"))
        self.assertGot(third, b"data")
        first, second = self.retrieve(), self.retrieve()
        connection = self.accept()
        first.cancel()
        second.cancel()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, CancelledError)
        self.assertTrue(connection.isAborted)
        self.assertClean()

    def test_timeoutShared(self) -> None:
        """
        Each has its own time, and who comes after one of them has run out of it
        gets a request of his own.
        """
        first = self.retrieve(timeout=2)
        self.reactor.advance(1)
        second = self.retrieve(timeout=5)
        connection = self.accept()
        self.reactor.advance(1)
        failure = self.failureResultOf(first, RetrievalError)
        self.assertEqual(str(failure.value), f"{URL}: no whole answer within 2 seconds")
        self.assertFalse(connection.isAborted)
        third = self.retrieve(timeout=5)
        another = self.accept()
        connection.send(whole(b"second"))
        self.assertEqual(self.successResultOf(second), b"second")
        fourth = self.retrieve(timeout=5)
        self.assertEqual(self.waiting, 0)
        another.send(whole(b"third"))
        self.assertGot(third, b"third")
        self.assertGot(fourth, b"third")

    def test_again(self) -> None:
        """
        Whoever is told of the end may ask for the same again, and others may be
        cancelled meanwhile.
        """
        again: list[Deferred[bytes]] = []
        first, second = self.retrieve(), self.retrieve()

        def onFirst(data: bytes) -> bytes:
            second.cancel()
            again.append(self.retrieve())
            return data

        first.addCallback(onFirst)
        self.accept().send(whole(b"one"))
        self.assertEqual(self.successResultOf(first), b"one")
        self.failureResultOf(second, CancelledError)
        self.accept().send(whole(b"two"))
        self.assertGot(again[0], b"two")

    def test_cancelWhileDeciding(self) -> None:
        """
        A policy that cancels the very retrieval that it is asked about has the
        last word.
        """
        retrieved: list[Deferred[bytes]] = []

        def permits(url: str) -> bool:
            for each in retrieved:
                each.cancel()
            return True

        self.retriever = HttpRetriever(self.reactor, permits)
        retrieved.append(self.retrieve())
        self.accept().send(redirect("/"))
        self.failureResultOf(retrieved[0], CancelledError)
        self.assertEqual(self.waiting, 0)
        self.assertClean()

    def test_places(self) -> None:
        """
        No more than so many are under way at once; the others follow in their
        order, one for each that ends in whatever way.
        """
        retrieved = [self.retrieve(at(number)) for number in range(MOST_AT_ONCE + 4)]
        self.assertEqual(self.waiting, MOST_AT_ONCE)
        connections = [self.accept() for _ in range(MOST_AT_ONCE)]
        connections[3].send(whole(b"data"))
        self.assertEqual(self.waiting, 1)
        self.assertIn(b"Host: host8.", self.accept().request)
        retrieved[4].cancel()
        self.assertIn(b"Host: host9.", self.accept().request)
        connections[5].lose(ConnectionLost())
        self.assertIn(b"Host: host10.", self.accept().request)
        connections[6].send(redirect("/x"))
        # Where it leads may be another host.
        self.assertIn(b"Host: host11.", self.accept().request)
        self.assertEqual(self.waiting, 0)
        connections[7].send(whole(b"data"))
        self.assertIn(b"GET /x ", self.accept().request)
        self.assertEqual(self.waiting, 0)
        for each in retrieved:
            each.addErrback(lambda _: None)
            each.cancel()
        self.assertClean()

    def test_placesOfHost(self) -> None:
        """
        No more than so many are under way at one host, whatever the port, so
        that others are served though it never answers; the others for it follow
        in their order.
        """
        many = range(MOST_PER_HOST + MOST_AT_ONCE)
        retrieved = [self.retrieve(f"http://pit.example:{80 + each}/{each}") for each in many]
        self.assertEqual(self.waiting, MOST_PER_HOST)
        connections = [self.accept() for _ in range(MOST_PER_HOST)]
        for number in range(2):
            other = self.retrieve(at(number))
            self.accept().send(whole(b"data"))
            self.assertEqual(self.successResultOf(other), b"data")
        retrieved[MOST_PER_HOST].cancel()
        self.assertEqual(self.waiting, 0)
        connections[1].send(whole(b"data"))
        self.assertIn(b"GET /%d " % (MOST_PER_HOST + 1), self.accept().request)
        retrieved[0].cancel()
        self.assertIn(b"GET /%d " % (MOST_PER_HOST + 2), self.accept().request)
        retrieved.append(self.retrieve("http://pit.example/late"))
        self.assertEqual(self.waiting, 0)
        for each in retrieved:
            each.addErrback(lambda _: None)
            each.cancel()
        self.assertClean()

    def test_placesOfHostAgain(self) -> None:
        """
        They are no more when the last one at a host ends while others begin.
        """
        retrieved = [self.retrieve(at(1, str(each))) for each in range(MOST_PER_HOST + 1)]
        connections = [self.accept() for _ in range(MOST_PER_HOST)]
        previous = self.reactor.installNameResolver(Ignorant())  # type: ignore[arg-type]
        again: list[Deferred[bytes]] = []

        def onFailure(_: Failure) -> None:
            for each in retrieved[1:MOST_PER_HOST]:
                each.addErrback(lambda _: None)
                each.cancel()
            self.reactor.installNameResolver(previous)
            again.extend(self.retrieve(at(1, f"again{each}")) for each in range(MOST_PER_HOST))

        retrieved[-1].addErrback(onFailure)
        connections[0].send(whole(b"data"))
        self.assertEqual(self.successResultOf(retrieved[0]), b"data")
        self.assertEqual(self.waiting, MOST_PER_HOST)
        again.append(self.retrieve(at(1, "late")))
        self.assertEqual(self.waiting, MOST_PER_HOST)
        for each in again:
            each.addErrback(lambda _: None)
            each.cancel()
        # Twisted's own Failures hold the frames of this test.
        retrieved.clear()
        again.clear()
        del each
        gc.collect()
        self.assertClean()

    def test_placesOfRedirects(self) -> None:
        """
        Who is sent to a host by others waits for it like anybody else, and
        takes no place from those who want to go elsewhere.
        """
        retrieved = [self.retrieve(at(number)) for number in range(MOST_AT_ONCE)]
        for _ in range(MOST_AT_ONCE):
            self.accept().send(redirect("http://pit.example/"))
        self.assertEqual(self.waiting, MOST_PER_HOST)
        pits = [self.accept() for _ in range(MOST_PER_HOST)]
        for pit in pits:
            self.assertIn(b"Host: pit.example", pit.request)
        other = self.retrieve(OTHER)
        self.accept().send(whole(b"data"))
        self.assertEqual(self.successResultOf(other), b"data")
        for each in retrieved:
            each.addErrback(lambda _: None)
            each.cancel()
        self.assertClean()

    def test_waitingCounts(self) -> None:
        """
        Waiting for a place takes from the time, and can be cancelled; a place
        that nobody waits for any more is not taken.
        """
        busy = [self.retrieve(at(number), timeout=2 * TIMEOUT) for number in range(MOST_AT_ONCE)]
        connections = [self.accept() for _ in range(MOST_AT_ONCE)]
        late, cancelled = self.retrieve(), self.retrieve(OTHER)
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.reactor.advance(TIMEOUT)
        error = self.failureResultOf(late, RetrievalError).value
        self.assertEqual(str(error), f"{URL}: no whole answer within 10 seconds")
        for each in connections:
            each.send(whole(b"data"))
        self.assertEqual(self.waiting, 0)
        for retrieved in busy:
            self.assertGot(retrieved, b"data")


class MessageTests(SynchronousTestCase):
    """
    What errors say.
    """

    def test_message(self) -> None:
        """
        URL and reason are shortened to 200 characters each, and in printable
        ASCII, whatever they are.
        """
        self.assertEqual(str(RetrievalError(URL, "why")), f"{URL}: why")
        self.assertEqual(RetrievalError(URL, "why").url, URL)
        for evil in ("\x1b[2J\r\n", "\N{RIGHT-TO-LEFT OVERRIDE}", "\udc80", "\0", "x"):
            error = RetrievalError(evil * 1000, evil * 1000)
            self.assertTrue(str(error).isascii() and str(error).isprintable())
            self.assertEqual(len(error.url), 200)
            self.assertEqual(len(str(error)), 602)
        self.assertEqual(printable("a\nb"), "a\\nb")
        self.assertEqual(printable("a\\nb"), "a\\nb")
        self.assertEqual(printable("x" * 200), "x" * 200)
        self.assertEqual(printable("x" * 201), "x" * 197 + "...")


class ReactorTests(SynchronousTestCase):
    """
    Which reactor is used.
    """

    def test_late(self) -> None:
        """
        The global reactor is not touched before it is needed.
        """
        program = (
            "import sys; from txsslstream.retrieval import HttpRetriever; r = HttpRetriever();"
            "r.retrieve('ftp://x', limit=1, timeout=1).addErrback(lambda _: None);"
            "assert 'twisted.internet.reactor' not in sys.modules;"
            "r.retrieve('http://x', limit=1, timeout=1).addErrback(lambda _: None);"
            "assert 'twisted.internet.reactor' in sys.modules"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


class Chatter(Protocol):
    """
    A server that sends the same again and again, to whoever reads it.
    """

    factory: Talk

    def connectionMade(self) -> None:
        """
        Start.
        """
        self.factory.connections.append(self)
        transport: Any = self.transport
        transport.write(self.factory.start)
        if self.factory.again:
            transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """
        Go on.
        """
        assert self.transport is not None
        self.factory.sent += len(self.factory.again)
        self.transport.write(self.factory.again)

    def stopProducing(self) -> None:
        """
        The connection is gone.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Tell it.
        """
        self.factory.connections.remove(self)
        if self.factory.onLost is not None:
            self.factory.onLost.callback(None)


class Talk(Factory[Chatter]):
    """
    Makes them.

    @ivar connections: those that are open.
    @ivar onLost: fires when one is lost.
    """

    protocol = Chatter

    def __init__(self, start: bytes, again: bytes) -> None:
        self.start = start
        self.again = again
        self.sent = 0
        self.connections: list[Chatter] = []
        self.onLost: Deferred[None] | None = Deferred()


class Silent(Resource):
    """
    Never answers.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.isLost: Deferred[None] = Deferred()

    def render_GET(self, request: Request) -> int:
        """
        Wait until the client has gone.
        """
        request.notifyFinish().addErrback(lambda _: self.isLost.callback(None))
        return NOT_DONE_YET


class Echo(Resource):
    """
    Has something to GET, and gives back what is POSTed.
    """

    isLeaf = True

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def render_GET(self, request: Request) -> bytes:
        """
        Give it.
        """
        return self._data

    def render_POST(self, request: Request) -> bytes:
        """
        Give it back.
        """
        assert request.content is not None
        return bytes(request.content.read())


class SocketTests(TestCase):
    """
    With sockets, on the loopback.
    """

    timeout = 20

    def setUp(self) -> None:
        """
        Make a retriever for the global reactor.
        """
        self.retriever = HttpRetriever()

    def open(self, factory: Any) -> Any:
        """
        @return: the port of that server.
        """
        from twisted.internet import reactor

        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port

    def listen(self, factory: Any) -> str:
        """
        @return: the URL of that server.
        """
        return f"http://127.0.0.1:{self.open(factory).getHost().port}/"

    def site(self, name: bytes, resource: Resource) -> str:
        """
        @return: the URL of that resource.
        """
        root = Resource()
        root.putChild(name, resource)
        return self.listen(Site(root)) + name.decode()

    async def failing(self, url: str, timeout: float = 15) -> str:
        """
        @return: what a retrieval fails with.
        """
        retrieved = self.retriever.retrieve(url, limit=100_000, timeout=timeout)
        error = await self.assertFailure(retrieved, RetrievalError)
        return str(error).removeprefix(f"{url}: ")

    async def test_normal(self) -> None:
        """
        What a server has is retrieved, by GET and by POST.
        """
        data = bytes(range(256)) * 300
        url = self.site(b"crl", Echo(data))
        with capturedLogs() as events:
            got = await self.retriever.retrieve(url, limit=len(data), timeout=15)
        self.assertEqual(got, data)
        # The server tells of itself.
        said = [formatEvent(each) for each in events]
        self.assertFalse([each for each in said if "_Connections" in each], said)
        asked = b"asked" * 10_000
        answered = await self.retriever.retrieve(
            url, body=asked, contentType=MEDIA_TYPE, limit=len(asked), timeout=15
        )
        self.assertEqual(answered, asked)

    async def test_redirectLoop(self) -> None:
        """
        Redirects without end come to one.
        """
        url = self.site(b"loop", Redirect(b"/loop"))
        self.assertEqual(await self.failing(url), "there are more than 3 redirects")

    async def check(self, start: bytes, again: bytes, reason: str, timeout: float = 15) -> Talk:
        """
        A server that sends that for ever is stopped, and loses its connection.
        """
        talk = Talk(start, again)
        lost = talk.onLost
        assert lost is not None
        self.assertEqual(await self.failing(self.listen(talk), timeout), reason)
        await lost
        self.assertEqual(talk.connections, [])
        return talk

    async def test_endlessBody(self) -> None:
        """
        A body without end comes to one.
        """
        reason = "the answer has more than 100000 bytes"
        await self.check(OK + b"\r\n", bytes(10_000), reason)

    async def test_endlessHeaders(self) -> None:
        """
        Headers and interim answers without end come to one.
        """
        reason = f"its headers have more than {MOST_HEADER_BYTES} bytes"
        await self.check(OK, b"X: y\r\n" * 1000, reason)
        await self.check(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, reason)

    async def test_neverAnswering(self) -> None:
        """
        A server that does not answer, or only says so much, is left alone after
        the time, and sees the connection end.
        """
        silent = Silent()
        reason = "no whole answer within 0.1 seconds"
        self.assertEqual(await self.failing(self.site(b"silent", silent), 0.1), reason)
        await silent.isLost
        await self.check(OK + b"Content-Length: 5\r\n\r\ndata", b"", reason, 0.1)

    async def test_address(self) -> None:
        """
        A server at an address that is not permitted sees its connection end
        without a request.
        """
        heard: list[bytes] = []
        self.patch(Chatter, "dataReceived", lambda _, data: heard.append(data))
        asked: list[str] = []
        self.retriever = HttpRetriever(permitsAddress=asked.append)  # type: ignore[arg-type]
        await self.check(b"", b"", "its address is not permitted: 127.0.0.1")
        self.assertEqual((heard, asked), ([], ["127.0.0.1"]))

    async def test_nobody(self) -> None:
        """
        Where nobody listens nothing is retrieved.
        """
        port = self.open(Talk(b"", b""))
        url = f"http://127.0.0.1:{port.getHost().port}/"
        await port.stopListening()
        self.assertIn("Connection was refused by other side", await self.failing(url))
