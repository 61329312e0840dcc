# -*- test-case-name: tests.test_retrieval -*-
"""
How CRLs, OCSP responses and issuer certificates are fetched while a handshake
waits: over plain http (RFC 5280 section 4.2.1.13, RFC 6960 appendix A), as
fetching them over TLS would need them already.

The URLs come from certificates that are not verified yet, so that every target
may be hostile.  Each wait and each buffer that a server can fill has a limit of
its own, and however a retrieval ends, its connection is gone then.

Twisted's agent limits neither the header section nor the number of interim
answers, and what it gives to the reader of a body cannot abort the connection.
Hence the L{_Connection} between the two.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit
from weakref import WeakValueDictionary

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredSemaphore,
    fail,
    maybeDeferred,
    succeed,
)
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IConsumer, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import OK, RESPONSES, PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from ._deferreds import Occurrence
from .errors import RetrievalError, printable
from .interfaces import IRetriever
from .names import asciiHostName

#: How many requests of one retriever are under way at once, and how many of
#: them at one host: one that never answers leaves places for others.
MOST_AT_ONCE = 8
MOST_PER_HOST = 3
#: Bytes of all header sections of one answer, interim ones included.
MOST_HEADER_BYTES = 1 << 14
#: Characters of a URL.
LONGEST_URL = 4096

#: Which answers say that it is elsewhere, and whether a POST goes there as a
#: POST (RFC 9110 section 15.4).
_REDIRECTS = {301: False, 302: False, 303: False, 307: True, 308: True}
_PRINTABLE = re.compile(r"[!-~]+")
#: What some resolvers take for an address in another notation.
_NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")

_log = Logger()

_Result = TypeVar("_Result")


def isCommonAddress(address: str) -> bool:
    """
    @param address: of IPv4 or IPv6, in numbers.
    @return: whether it is anything but link-local (there clouds tell machines
        their secrets), unspecified or multicast.  Loopback and private networks
        are common, as private PKIs are there.
    """
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    actual = mapped or parsed
    return not (actual.is_link_local or actual.is_unspecified or actual.is_multicast)


class _Problem(Exception):
    """
    Why the retrieval ends here, for a person.
    """


def _canonical(url: str, base: str = "") -> str:
    """
    @param base: what the URL is relative to, if it is.
    @return: the URL as everybody reads it: without fragment, with a path.
    @raise _Problem: it is not of plain http, or not a sound URL.
    """
    _checkLength(url)
    # Some of the others urlsplit drops without a word.
    if _PRINTABLE.fullmatch(url) is None:
        raise _Problem("no URL has such characters")
    try:
        parts = urlsplit(urljoin(base, url))
        port = parts.port
    except ValueError as e:
        raise _Problem(f"the URL is damaged ({e})") from e
    if parts.scheme != "http":
        raise _Problem(f"only http is retrieved, not {parts.scheme or 'a URL without scheme'}")
    if "@" in parts.netloc:
        raise _Problem("the URL has a user in it")
    if port == 0:
        raise _Problem("the URL has port 0")
    host = _checkedHost(parts.hostname or "")
    netloc = host if port in (None, 80) else f"{host}:{port}"
    whole = urlunsplit(("http", netloc, parts.path or "/", parts.query, ""))
    # What is relative to another URL may be longer now.
    _checkLength(whole)
    return whole


def _checkLength(url: str) -> None:
    if len(url) > LONGEST_URL:
        raise _Problem(f"the URL has more than {LONGEST_URL} characters")


def _checkedHost(host: str) -> str:
    try:
        if ":" in host and "%" not in host:
            return f"[{ipaddress.IPv6Address(host)}]"
        if _NUMBER.fullmatch(host):
            return str(ipaddress.IPv4Address(host))
        asciiHostName(host)
    except ValueError as e:
        raise _Problem("the URL has no sound host") from e
    return host


@dataclass(frozen=True)
class _Request:
    """
    @ivar body: what to POST; L{None}: it is a GET.
    @ivar contentType: of C{body}.
    @ivar limit: bytes of the answer's body.
    """

    body: bytes | None
    contentType: str | None
    limit: int

    @property
    def headers(self) -> Headers:
        """
        What is sent beside C{Host}, C{Connection} and C{Content-Length}.
        """
        headers = Headers({"User-Agent": ["txsslstream"], "Accept-Encoding": ["identity"]})
        if self.contentType is not None:
            headers.addRawHeader("Content-Type", self.contentType)
        return headers


@implementer(IBodyProducer)
class _Bytes:
    """
    The body of a request.  Twisted's own producer needs the global reactor.
    """

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """
        All has been written.
        """

    resumeProducing = stopProducing = pauseProducing


class _Body(Protocol):
    """
    Reads the body of an answer.

    @ivar whole: fires with it, or fails.
    """

    def __init__(self, limit: int) -> None:
        self.whole: Deferred[bytes] = Deferred()
        self._limit = limit
        # A list of chunks would need many times the memory of tiny ones.
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it, within the limit.
        """
        if self.whole.called:
            return
        if len(self._data) + len(data) > self._limit:
            self.whole.errback(_tooLong(self._limit))
        else:
            self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The body has ended.  Where only the end of the connection says so, the
        signature of what was fetched tells whether it is whole.
        """
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._data))
        else:
            self.whole.errback(reason)


def _tooLong(limit: int) -> _Problem:
    return _Problem(f"the answer has more than {limit} bytes")


class _Connection(ProtocolWrapper):
    """
    A connection with a limited header section.

    @ivar giveUp: called when it gets too long.
    @ivar isAnswered: whether the header section has ended.
    """

    giveUp: Callable[[], None]
    isAnswered = False
    _room = MOST_HEADER_BYTES

    def dataReceived(self, data: bytes) -> None:
        """
        Pass it on.
        """
        if not self.isAnswered:
            headers, data = data[: self._room], data[self._room :]
            self._room -= len(headers)
            super().dataReceived(headers)
            if not self.isAnswered:
                if self._room == 0:
                    self.giveUp()
                return
        if data:
            super().dataReceived(data)


class _Connections(WrappingFactory[_Connection]):
    """
    Makes them, to permitted addresses.
    """

    protocol = _Connection
    noisy = False

    def __init__(self, factory: IProtocolFactory, checkAddress: Callable[[str], None]) -> None:
        """
        @param checkAddress: see L{HttpRetriever._checkAddress}.
        """
        super().__init__(factory)
        self._checkAddress = checkAddress

    def buildProtocol(self, addr: Any) -> Any:
        """
        A name may lead anywhere, and elsewhere each time it is looked up: what
        counts is where the connection is.  An error closes it.
        """
        self._checkAddress(addr.host)
        return super().buildProtocol(addr)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Exchange:
    """
    One request and its answer, on a connection of their own.
    """

    def __init__(
        self, reactor: Any, request: _Request, checkAddress: Callable[[str], None]
    ) -> None:
        """
        @param checkAddress: see L{HttpRetriever._checkAddress}.
        """
        self._reactor = reactor
        self._request = request
        self._checkAddress = checkAddress
        self._connection: _Connection | None = None
        self._answer: Deferred[Any] = Deferred()
        self._problem: _Problem | None = None

    def run(self, target: str) -> Deferred[bytes | str]:
        """
        @return: a Deferred that fires with the body as L{bytes}, or, if it is
            elsewhere, with where as L{str}.  Cancelling it ends the exchange.
        """
        body = self._request.body
        self._answer = maybeDeferred(
            Agent.usingEndpointFactory(self._reactor, self).request,
            b"GET" if body is None else b"POST",
            target.encode("ascii"),
            self._request.headers,
            None if body is None else _Bytes(body),
        )
        return self._answer.addCallback(self._answered).addBoth(self._ended)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        self._endpoint = HostnameEndpoint(self._reactor, uri.host.decode("ascii"), uri.port)
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        def connected(connection: Any) -> Any:
            connection.giveUp = self._giveUp
            self._connection = connection
            return connection.wrappedProtocol

        connections = _Connections(protocolFactory, self._checkAddress)
        return self._endpoint.connect(connections).addCallback(connected)

    def _giveUp(self) -> None:
        self._problem = _Problem(f"its headers have more than {MOST_HEADER_BYTES} bytes")
        self._answer.cancel()

    def _answered(self, response: IResponse) -> Deferred[bytes] | str:
        assert self._connection is not None
        self._connection.isAnswered = True
        if response.code in _REDIRECTS:
            return self._elsewhere(response)
        if response.code != OK:
            raise _Problem(f"the answer is {_status(response.code)}")
        encodings: list[bytes] = response.headers.getRawHeaders(b"Content-Encoding", [])
        if any(each.lower() != b"identity" for each in encodings):
            told = b", ".join(encodings).decode("latin-1")
            raise _Problem(f"the answer is encoded, without being asked: {told}")
        if isinstance(response.length, int) and response.length > self._request.limit:
            raise _tooLong(self._request.limit)
        body = _Body(self._request.limit)
        response.deliverBody(body)
        return body.whole

    def _elsewhere(self, response: IResponse) -> str:
        if self._request.body is not None and not _REDIRECTS[response.code]:
            raise _Problem(f"the answer to a POST is {_status(response.code)}")
        places: list[bytes] = response.headers.getRawHeaders(b"Location", [])
        if len(places) != 1:
            raise _Problem(f"the answer is {_status(response.code)}, with {len(places)} places")
        return places[0].decode("latin-1")

    def _ended(self, result: Any) -> Any:
        # Twisted's own way out is to wait until all is written, which a server
        # may put off for ever; and after other answers than 200 it stays.
        if self._connection is not None:
            self._connection.abortConnection()
        return result if self._problem is None else Failure(self._problem)


def _status(code: int) -> str:
    # What the server calls it is of no interest.
    return f"{code} {RESPONSES.get(code, b'').decode('ascii')}".rstrip()


def _words(failure: Failure) -> str:
    error = failure.value
    if isinstance(error, ResponseNeverReceived):
        return "the connection was closed without an answer"
    if isinstance(error, ResponseFailed):
        return f"the answer is damaged or incomplete ({error.reasons[0].getErrorMessage()})"
    return failure.getErrorMessage() or type(error).__name__


class _Places:
    """
    For so many requests at once: L{MOST_AT_ONCE}, and L{MOST_PER_HOST} of them
    at one host.
    """

    def __init__(self) -> None:
        self._all = DeferredSemaphore(MOST_AT_ONCE)
        # Each lives as long as anybody has a place or waits for one.
        self._hosts: WeakValueDictionary[str, DeferredSemaphore] = WeakValueDictionary()

    def run(self, target: str, work: Callable[[str], Deferred[_Result]]) -> Deferred[_Result]:
        """
        @param work: is called with the target, once there is a place.
        @return: a Deferred of its result.
        """
        host = urlsplit(target).hostname or ""
        places = self._hosts.get(host)
        if places is None:
            places = self._hosts[host] = DeferredSemaphore(MOST_PER_HOST)
        # Whoever waits for a host must not take the place of others meanwhile.
        return places.run(self._all.run, work, target)


class _Retrieval:
    """
    One retrieval, for all who wait for its outcome.
    """

    def __init__(
        self,
        url: str,
        request: _Request,
        reactor: Any,
        forget: Callable[[_Retrieval], None],
    ) -> None:
        """
        @param forget: called when nobody else may join.
        """
        #: Whoever asks for the same may join.
        self.key = (url, request.limit)
        self._url = url
        self._target = url
        self._request = request
        self._reactor = reactor
        self._forget = forget
        self._outcome: Occurrence[bytes] = Occurrence()
        self._work: Deferred[bytes] = Deferred()

    def join(self, timeout: float) -> Deferred[bytes]:
        """
        @return: a Deferred that fires with the outcome, whether or not others
            still wait; when nobody does any more, the retrieval ends.
        """
        waiter = self._outcome.when()
        waiter.addTimeout(timeout, self._reactor, self._tooLate)
        return waiter.addBoth(self._left)

    def start(
        self,
        places: _Places,
        checked: Callable[[str, str], str],
        checkAddress: Callable[[str], None],
        redirects: int,
    ) -> None:
        """
        @param places: each request needs one; a redirect waits for another,
            as it may be at another host.
        @param checked: see L{HttpRetriever._checked}.
        @param checkAddress: see L{HttpRetriever._checkAddress}.
        @param redirects: how many are followed.
        """

        def attempt(left: int) -> Deferred[bytes]:
            exchange = _Exchange(self._reactor, self._request, checkAddress)
            return places.run(self._target, exchange.run).addCallback(proceed, left)

        def proceed(result: bytes | str, left: int) -> bytes | Deferred[bytes]:
            if isinstance(result, bytes):
                return result
            if left == 0:
                raise _Problem(f"there are more than {redirects} redirects")
            try:
                target = checked(result, self._target)
            except _Problem as e:
                raise _Problem(f"redirected to {printable(result, 100)}: {e}") from e
            if not self._outcome.isObserved:
                # Whoever decides about targets has let go of this retrieval.
                raise CancelledError
            self._target = target
            return attempt(left - 1)

        self._work = attempt(redirects)
        self._work.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, data: bytes) -> None:
        self._forget(self)
        self._outcome.happened(data)

    def _failed(self, failure: Failure) -> None:
        self._forget(self)
        words = _words(failure)
        if self._target != self._url:
            words = f"redirected to {printable(self._target, 100)}: {words}"
        self._outcome.failed(RetrievalError(self._url, words))

    def _tooLate(self, result: object, seconds: float) -> Failure:
        # For those who come now a new attempt is better than what is left of
        # one that has taken too long.
        self._forget(self)
        return Failure(RetrievalError(self._url, f"no whole answer within {seconds:g} seconds"))

    def _left(self, result: Any) -> Any:
        if not self._outcome.isObserved and not self._outcome.hasHappened:
            self._work.cancel()
        return result


def _decided(permits: Callable[[str], bool], target: str) -> bool:
    """
    @return: whether somebody permits it.
    """
    try:
        return permits(target)
    except BaseException:
        _log.failure("Whether {target} is permitted could not be decided", target=printable(target))
        return False


@implementer(IRetriever)
class HttpRetriever:
    """
    Fetches over plain http: without proxies, cookies, content encodings and
    persistent connections, at most L{MOST_AT_ONCE} at once, and of those
    L{MOST_PER_HOST} at one host.
    """

    def __init__(
        self,
        reactor: Any = None,
        permits: Callable[[str], bool] | None = None,
        maximumRedirects: int = 3,
        permitsAddress: Callable[[str], bool] | None = None,
    ) -> None:
        """
        @param reactor: what connects and measures the time; the global reactor
            unless given, from the first retrieval on.
        @param permits: is asked about every URL before anything is sent there,
            those of redirects included, and says whether to go on.  It gets the
            canonical form, without fragment.  One that raises permits nothing.
        @param maximumRedirects: how many redirects one retrieval follows.
        @param permitsAddress: is asked about the address, in numbers, of every
            connection before anything is sent there, and says whether to go on;
            L{isCommonAddress} unless given.  One that raises permits nothing.
        """
        self._reactor = reactor
        self._permits = permits
        self._permitsAddress = permitsAddress or isCommonAddress
        self._maximumRedirects = maximumRedirects
        self._places = _Places()
        self._shared: dict[tuple[str, int], _Retrieval] = {}

    def retrieve(
        self,
        url: str,
        *,
        body: bytes | None = None,
        contentType: str | None = None,
        limit: int,
        timeout: float,
    ) -> Deferred[bytes]:
        """
        See L{IRetriever.retrieve}.  Those who GET the same with the same limit
        share one request; each has its own time, in which waiting for others
        counts.
        """
        try:
            if not timeout > 0:
                raise _Problem("no time is left")
            target = self._checked(url)
        except _Problem as e:
            return fail(RetrievalError(url, str(e)))
        shared = self._shared.get((target, limit)) if body is None else None
        if shared is not None:
            return shared.join(timeout)
        request = _Request(body, contentType, limit)
        retrieval = _Retrieval(target, request, self._theReactor(), self._forget)
        waiter = retrieval.join(timeout)
        if body is None:
            self._shared[retrieval.key] = retrieval
        retrieval.start(self._places, self._checked, self._checkAddress, self._maximumRedirects)
        return waiter

    def _forget(self, retrieval: _Retrieval) -> None:
        if self._shared.get(retrieval.key) is retrieval:
            del self._shared[retrieval.key]

    def _checked(self, url: str, base: str = "") -> str:
        """
        @param base: what the URL is relative to, if it is.
        @return: the URL in canonical form.
        @raise _Problem: it is unsound or not permitted.
        """
        target = _canonical(url, base)
        if self._permits is not None and not _decided(self._permits, target):
            raise _Problem("it is not permitted")
        return target

    def _checkAddress(self, address: str) -> None:
        """
        @raise _Problem: nothing may be sent to this address.
        """
        if not _decided(self._permitsAddress, address):
            raise _Problem(f"its address is not permitted: {printable(address)}")

    def _theReactor(self) -> Any:
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        return self._reactor
