# -*- test-case-name: tests.test_echo -*-
"""
The conversation of SslStream's classic sample, both sides of it.

The client sends a message that ends with C{<EOF>}; the server answers with
C{Hello from the server.<EOF>}.  Each prints what it knows of the connection's
security.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ConnectionLost, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol

from ._deadline import Deadline
from ._deferreds import Occurrence
from ._proxied import AcceptingFactory
from .admission import Admission, HandshakeLimit
from .errors import AuthenticationError, LimitExceededError, StreamClosedError
from .options import SslServerAuthenticationOptions
from .security import SecurityInfo
from .stream import SslStream

END = "<EOF>"
ANSWER = "Hello from the server."

#: The longest message, in bytes.
MESSAGE_LIMIT = 64 * 1024

#: How long the sample waits to read and to write, in seconds.
TIMEOUT = 5

#: What can go wrong on an authenticated stream through no fault of ours.
MISFORTUNES = (ConnectionLost, TimeoutError, LimitExceededError, StreamClosedError)


async def readMessage(stream: SslStream) -> str:
    """
    Read a UTF-8 message up to and with C{<EOF>}, or to the end of the stream.
    A character may arrive in two pieces; what is not UTF-8 is replaced.

    @raise LimitExceededError: more than L{MESSAGE_LIMIT} bytes came without an
        end.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = []
    tail = ""
    size = 0
    while True:
        data = await stream.read(2048)
        size += len(data)
        if size > MESSAGE_LIMIT:
            raise LimitExceededError(f"no {END} within {MESSAGE_LIMIT} bytes")
        text = decoder.decode(data, final=not data)
        pieces.append(text)
        # The end may have begun in what came before, but not further back.
        tail = tail[-len(END) :] + text
        if not data or END in tail:
            return "".join(pieces)


def reportFailure(error: BaseException, write: Callable[[str], None]) -> None:
    """
    Say why an authentication failed, in the sample's words.
    """
    write(f"Exception: {error}")
    if error.__cause__ is not None:
        write(f"Inner exception: {error.__cause__}")
    write("Authentication failed - closing the connection.")


def report(security: SecurityInfo, write: Callable[[str], None], isVerbose: bool = False) -> None:
    """
    Print the security report, line by line.
    """
    for line in str(security).splitlines():
        write(line)
    if isVerbose:
        write(f"Cipher suite: {security.negotiatedCipherSuite!r}")
        write(f"Key exchange group: {security.keyExchangeGroup}")
        write(f"Application protocol: {security.negotiatedApplicationProtocol}")
        write(f"Server name: {security.targetHostName}")
        write(f"Mutually authenticated: {security.isMutuallyAuthenticated}")
        chain = () if security.remoteChain is None else security.remoteChain.chainElements
        for depth, element in enumerate(chain):
            write(f"Remote chain {depth}: {element.certificate.subject.rfc4514_string()}")


async def converse(
    stream: SslStream, message: str, write: Callable[[str], None], isVerbose: bool = False
) -> bool:
    """
    The client's part, on an authenticated stream.

    @param message: what to say; C{<EOF>} is added.
    @return: whether the server has answered.
    """
    report(stream.security, write, isVerbose)
    stream.writeTimeout = TIMEOUT
    await stream.write((message.removesuffix(END) + END).encode("utf-8"))
    answer = await readMessage(stream)
    write(f"Server says: {answer}")
    return END in answer


class SampleServer(Factory):
    """
    The server's part, for each connection.
    """

    noisy = False

    def __init__(
        self,
        options: SslServerAuthenticationOptions,
        write: Callable[[str], None],
        clock: IReactorTime | None = None,
        *,
        echoes: bool = False,
        isVerbose: bool = False,
        handshakeLimit: HandshakeLimit | None = None,
        acceptProxy: bool = False,
    ) -> None:
        """
        @param write: prints a line.
        @param echoes: whether to send back what comes until the client closes,
            instead of the sample's conversation.
        @param handshakeLimit: how many clients may be unauthenticated at once.
        @param acceptProxy: see L{SslStreamServerEndpoint
            <txsslstream.SslStreamServerEndpoint>}.
        """
        self._options = options
        self._write = write
        self._clock = clock
        self._echoes = echoes
        self._isVerbose = isVerbose
        self._limit = handshakeLimit
        self._acceptProxy = acceptProxy
        self._streams: set[SslStream] = set()
        self._drained: Occurrence[None] | None = None

    @property
    def listener(self) -> Factory:
        """
        What to listen with: this, under its limit, behind its proxy.
        """
        listener: Any = self if self._limit is None else self._limit.guard(self)
        listener = AcceptingFactory(listener, self._clock) if self._acceptProxy else listener
        found: Factory = listener
        return found

    def buildProtocol(self, addr: Any) -> Protocol:
        """
        @return: what lets L{process} have the connection.
        """
        return _Connection(self)

    async def process(self, transport: Any, admission: Admission | None = None) -> None:
        """
        See one connection through, from the handshake to the end.

        @param admission: is released when it is authenticated or gone.
        """
        stream = SslStream(transport, clock=self._clock)
        self._streams.add(stream)
        try:
            try:
                await stream.authenticateAsServer(self._options)
            finally:
                if admission is not None:
                    admission.release()
            report(stream.security, self._write, self._isVerbose)
            stream.readTimeout = stream.writeTimeout = None if self._echoes else TIMEOUT
            await (self._echo(stream) if self._echoes else self._answer(stream))
        except AuthenticationError as e:
            reportFailure(e, self._write)
        except MISFORTUNES as e:
            self._write(f"Exception: {e}")
        finally:
            await stream.close()
            self._streams.discard(stream)
            if self._drained is not None and not self._streams:
                self._drained.happened(None)

    async def _answer(self, stream: SslStream) -> None:
        self._write("Waiting for client message...")
        self._write(f"Received: {await readMessage(stream)}")
        self._write("Sending hello message.")
        await stream.write(f"{ANSWER}{END}".encode())

    async def _echo(self, stream: SslStream) -> None:
        async for data in stream:
            await stream.write(data)

    def drain(self, clock: IReactorTime, seconds: float) -> Deferred[None]:
        """
        Wait for those who are there to end.

        @param seconds: for how long.
        @return: a Deferred that fires with L{None} once they have, or it is time.
        """
        drained = self._drained = Occurrence()
        deadline = Deadline(clock)
        deadline.begin(seconds, lambda: drained.happened(None))
        if not self._streams:
            drained.happened(None)
        return drained.when().addCallback(lambda _: deadline.end())

    def closeAll(self) -> Deferred[Any]:
        """
        Close every connection.

        @return: a Deferred that fires once they are gone.
        """
        return DeferredList([stream.close() for stream in tuple(self._streams)])


class _Connection(Protocol):
    """
    Hands its transport to the server.
    """

    admission: Admission | None = None

    def __init__(self, server: SampleServer) -> None:
        self._server = server

    def connectionMade(self) -> None:
        Deferred.fromCoroutine(self._server.process(self.transport, self.admission))
