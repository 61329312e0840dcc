# -*- test-case-name: tests.test_dialogues -*-
"""
How a client gets from a service's plain text to TLS: the dialogues of STARTTLS.

Nobody has authenticated what the server says here.  All of it together has a
limit in bytes and in seconds, and nothing may follow the server's go-ahead:
whoever is in between would have put it there to be taken for something that
came by TLS (CVE-2011-0411, CVE-2021-23222).
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ._sides import Reader
from .errors import LimitExceededError, legible

#: Bytes that a server may say in all.
LIMIT = 64 * 1024

_TOO_MUCH = f"the server says more than {LIMIT} bytes in plain text"

#: How much of what it says is told.
_MOST_WORDS = 300


class StartTlsError(Exception):
    """
    The server does not go over to TLS; the message says why.
    """


class PlainText(Protocol):
    """
    A connection before TLS.  Nothing is read but what is waited for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._reader = Reader(clock, self._hold)
        self._left = LIMIT

    def _hold(self, isFull: bool) -> None:
        transport: Any = self.transport
        if isFull:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """
        Keep what has come.
        """
        self._reader.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Whoever waits hears of it.
        """
        self._reader.ended(StartTlsError("the server has closed the connection"))
        self._reader.release()

    def say(self, data: bytes) -> None:
        """
        Write.
        """
        transport: Any = self.transport
        transport.write(data)

    def until(self, separator: bytes) -> Deferred[bytes]:
        """
        @return: a Deferred of all up to the separator, and that.  It fails with
            L{StartTlsError}.
        """
        searched = [0]
        return self._read(lambda: self._reader.until(separator, self._left, searched))

    def exactly(self, size: int) -> Deferred[bytes]:
        """
        @return: a Deferred of so many bytes.  It fails with L{StartTlsError}.
        """
        if size > self._left:
            return fail(StartTlsError(_TOO_MUCH))
        return self._read(lambda: self._reader.exactly(size))

    def _read(self, take: Callable[[], bytes | BaseException | None]) -> Deferred[bytes]:
        def taken(data: bytes) -> bytes:
            self._left -= len(data)
            return data

        def failed(failure: Failure) -> NoReturn:
            failure.trap(LimitExceededError)
            raise StartTlsError(_TOO_MUCH)

        return self._reader.request(take).addCallbacks(taken, failed)

    def line(self) -> Deferred[str]:
        """
        @return: a Deferred of a line, without its end.
        """
        return self.until(b"\n").addCallback(
            lambda line: line.rstrip(b"\r\n").decode("utf-8", "replace")
        )

    @property
    def ownName(self) -> str:
        """
        What this client calls itself where it has to: its address (RFC 5321
        section 4.1.3).
        """
        transport: Any = self.transport
        host = str(getattr(transport.getHost(), "host", "")).partition("%")[0]
        if isIPAddress(host):
            return f"[{host}]"
        return f"[IPv6:{host}]" if isIPv6Address(host) else "localhost"

    def finish(self) -> None:
        """
        The server has said to go ahead.

        @raise StartTlsError: it has said more.
        """
        if self._reader.isFilled:
            raise StartTlsError("the server sends more in plain text behind its go-ahead")


def _refused(answer: object) -> StartTlsError:
    return StartTlsError(f"the server says: {legible(str(answer), _MOST_WORDS)}")


async def _reply(plain: PlainText, *good: str) -> list[str]:
    """
    Read a reply of one or several lines (RFC 5321 section 4.2.1, RFC 959 section
    4.2).

    @param good: the codes that are welcome.
    """
    lines = [await plain.line()]
    code = lines[0][:3]
    if lines[0][3:4] == "-":
        while lines[-1][:4].rstrip() != code:
            lines.append(await plain.line())
    if code not in good:
        raise _refused(" ".join(lines))
    return lines


async def _smtp(plain: PlainText, _: str) -> None:
    """
    RFC 3207.
    """
    await _reply(plain, "220")
    plain.say(b"EHLO %s\r\n" % plain.ownName.encode("ascii"))
    offers = await _reply(plain, "250")
    if "STARTTLS" not in (each[4:].strip().upper() for each in offers):
        raise StartTlsError("the server does not offer STARTTLS")
    plain.say(b"STARTTLS\r\n")
    await _reply(plain, "220")


async def _ftp(plain: PlainText, _: str) -> None:
    """
    RFC 4217 section 4.
    """
    await _reply(plain, "220")
    plain.say(b"AUTH TLS\r\n")
    await _reply(plain, "234")


async def _imap(plain: PlainText, _: str) -> None:
    """
    RFC 9051 section 6.2.1.
    """
    greeting = await plain.line()
    # Whom the server knows already may not begin TLS any more.
    if not greeting.upper().startswith("* OK"):
        raise _refused(greeting)
    plain.say(b"a STARTTLS\r\n")
    answer = "*"
    while answer.startswith("*"):
        answer = await plain.line()
    if not answer.upper().startswith("A OK"):
        raise _refused(answer)


async def _pop3(plain: PlainText, _: str) -> None:
    """
    RFC 2595 section 4.
    """
    await _ok(plain)
    plain.say(b"STLS\r\n")
    await _ok(plain)


async def _ok(plain: PlainText) -> None:
    answer = await plain.line()
    if not answer.upper().startswith("+OK"):
        raise _refused(answer)


#: An ExtendedRequest for 1.3.6.1.4.1.1466.20037, the first message.
_LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
_LDAP_RESPONSE = 0x78
_SEQUENCE, _INTEGER = 0x30, 0x02
_NO_LDAP = "the server's answer is no LDAP"

#: Bytes of the size of something in BER.
_LONGEST_SIZE = 8


async def _ldap(plain: PlainText, _: str) -> None:
    """
    RFC 4511 section 4.14.
    """
    plain.say(_LDAP_REQUEST)
    head = await plain.exactly(2)
    if head[0] != _SEQUENCE:
        raise StartTlsError(_NO_LDAP)
    if head[1] > 0x80:
        head += await plain.exactly(min(head[1] & 0x7F, _LONGEST_SIZE))
    size = _header(head)[1]
    number, (kind, response), *_rest = _values(await plain.exactly(size), 2)
    if number != (_INTEGER, b"\x01") or kind != _LDAP_RESPONSE:
        raise StartTlsError("the server says something else than its answer")
    (_tag, code), _name, (_tag, words), *_rest = _values(response, 3)
    if any(code):
        said = words.decode("utf-8", "replace")
        raise _refused(f"result {int.from_bytes(code, 'big')} {said}")


def _header(data: bytes) -> tuple[int, int]:
    """
    @return: how long the header of the first value in BER is, and what comes
        behind it.
    @raise StartTlsError: it is none, or of a kind that LDAP does without (RFC
        4511 section 5.1).
    """
    with suppress(IndexError):
        if data[1] < 0x80:
            return 2, data[1]
        length = 2 + (data[1] & 0x7F)
        if 2 < length <= min(len(data), 2 + _LONGEST_SIZE):
            return length, int.from_bytes(data[2:length], "big")
    raise StartTlsError(_NO_LDAP)


def _values(data: bytes, count: int) -> list[tuple[int, bytes]]:
    """
    @param count: how many values there have to be.
    @return: the tags and the contents of values in BER.
    @raise StartTlsError: these are none.
    """
    values: list[tuple[int, bytes]] = []
    while data or len(values) < count:
        start, size = _header(data)
        if start + size > len(data):
            raise StartTlsError("the server's answer is cut off")
        values.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return values


_SSL_REQUEST = struct.pack(">II", 8, 80877103)


async def _postgres(plain: PlainText, _: str) -> None:
    """
    PostgreSQL's documentation, section "SSL Session Encryption".
    """
    plain.say(_SSL_REQUEST)
    answer = await plain.exactly(1)
    if answer == b"N":
        raise StartTlsError("the server does without TLS")
    if answer != b"S":
        raise StartTlsError("the server does not know the request for TLS")


_STREAM = "http://etherx.jabber.org/streams"
_XMPP_TLS = "urn:ietf:params:xml:ns:xmpp-tls"


class _Elements:
    """
    The elements of an XML stream as they end, each with its namespace in front.
    """

    def __init__(self) -> None:
        self._ended: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.EndElementHandler = self._ended.append
        # RFC 6120 section 11.1; entities could be large.
        self._parser.StartDoctypeDeclHandler = self._forbidden
        with suppress(AttributeError):
            # Newer parsers may wait for more before they tell of an element.
            self._parser.SetReparseDeferralEnabled(False)

    @staticmethod
    def _forbidden(*_: object) -> NoReturn:
        raise StartTlsError("the server sends a document type declaration")

    async def until(self, plain: PlainText, *wanted: str) -> list[str]:
        """
        Read until one of these elements has ended.

        @return: all that have ended meanwhile.
        """
        self._ended.clear()
        while not self._ended or self._ended[-1] not in wanted:
            # Every element ends with this, so that nothing behind it is taken.
            piece = await plain.until(b">")
            try:
                self._parser.Parse(piece, False)
            except expat.ExpatError as e:
                raise StartTlsError(f"the server's answer is no XML: {e}") from None
        return list(self._ended)


async def _xmpp(plain: PlainText, serverName: str) -> None:
    """
    RFC 6120 section 5.4.2.
    """
    header = (
        f"<?xml version='1.0'?><stream:stream to={quoteattr(serverName)} version='1.0' "
        f"xmlns='jabber:client' xmlns:stream='{_STREAM}'>"
    )
    plain.say(header.encode("utf-8"))
    elements = _Elements()
    ends = (f"{_STREAM} error", f"{_STREAM} stream")
    offers = await elements.until(plain, f"{_STREAM} features", *ends)
    if f"{_XMPP_TLS} starttls" not in offers:
        what = "does not offer STARTTLS" if offers[-1] not in ends else "has ended the stream"
        raise StartTlsError(f"the server {what}")
    plain.say(f"<starttls xmlns='{_XMPP_TLS}'/>".encode())
    answer = await elements.until(plain, f"{_XMPP_TLS} proceed", f"{_XMPP_TLS} failure", *ends)
    if answer[-1] != f"{_XMPP_TLS} proceed":
        raise StartTlsError("the server refuses to begin TLS")


@dataclass(frozen=True)
class Service:
    """
    A service that begins in plain text.

    @ivar port: where it usually is.
    @ivar applicationProtocols: the names that it has in ALPN.  A server may
        refuse whoever offers others only (RFC 7301 section 3.2).
    @ivar dialogue: given the connection and the server's name, has the server
        go ahead; it fails with L{StartTlsError}.
    """

    port: int
    applicationProtocols: tuple[str, ...]
    dialogue: Callable[[PlainText, str], Awaitable[None]]


SERVICES: Mapping[str, Service] = {
    "smtp": Service(25, (), _smtp),
    "imap": Service(143, ("imap",), _imap),
    "pop3": Service(110, ("pop3",), _pop3),
    "ftp": Service(21, ("ftp",), _ftp),
    "ldap": Service(389, (), _ldap),
    "postgres": Service(5432, ("postgresql",), _postgres),
    "xmpp": Service(5222, ("xmpp-client",), _xmpp),
}


def startTls(
    plain: PlainText, service: Service, serverName: str, timeout: float, clock: IReactorTime
) -> Deferred[None]:
    """
    Have the dialogue.

    @param timeout: seconds for all of it.
    @return: a Deferred that fires with L{None} when TLS can begin, and fails
        with L{StartTlsError}.
    """

    async def begin() -> None:
        await service.dialogue(plain, serverName)
        plain.finish()

    def tooLate(_: object, seconds: float) -> NoReturn:
        raise StartTlsError(f"the server does not go over to TLS within {seconds} s")

    return Deferred.fromCoroutine(begin()).addTimeout(timeout, clock, tooLate)
