"""
Tests for L{txsslstream.hello}: what a server chooses by a client's hello.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    ServerNames,
    ServerOptionsSelection,
    SslApplicationProtocol,
    SslClientHelloInfo,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamFactory,
    TlsAlert,
)
from txsslstream._waiting import _parked
from txsslstream.clienthello import ClientHelloReader
from txsslstream.testing import StreamPair, perVersion

from .streams import StreamMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

OTHER = AUTHORITY.issue("other.example")


class HelloMixin(StreamMixin):
    """
    Servers that choose.
    """

    pair: StreamPair
    client: Deferred[SslStream]
    server: Deferred[SslStream]

    def begin(self, select: Callable[..., Any], state: object = None, **client: Any) -> None:
        """
        Authenticate a client with a server whose options this callback selects.
        """
        self.pair = StreamPair(self.segment)
        self.server = self.pair.server.authenticateAsServer(select, state)
        self.client = self.pair.client.authenticateAsClient(clientOptions(self.version, **client))
        self.pair.wire.flush()

    def assertAuthenticated(self) -> None:
        """
        Both sides are.
        """
        self.assertIs(self.successResultOf(self.client), self.pair.client)
        self.assertIs(self.successResultOf(self.server), self.pair.server)
        self.assertEqual(_parked, set())

    def refused(self, side: Deferred[SslStream]) -> AuthenticationError:
        """
        The error of a side.
        """
        error = self.failureResultOf(side, AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        self.assertNothingLeft(self.pair)
        return error


@perVersion()
class Selecting(HelloMixin):
    """
    Tests for C{serverOptionsSelectionCallback}.
    """

    def test_called(self) -> None:
        """
        It is called once with the stream, what the client asks for, and the
        state, before a byte is answered; and what it chooses holds.
        """
        calls = []

        def select(stream: SslStream, info: SslClientHelloInfo, state: object) -> Any:
            calls.append((stream, state))
            self.assertEqual(self.pair.wire.server.everWritten, b"")
            self.assertEqual((info.serverName, stream.targetHostName), ("localhost",) * 2)
            self.assertTrue(info.sslProtocols & self.version)
            self.assertEqual(info.applicationProtocols, (SslApplicationProtocol.Http2,))
            self.assertEqual(info.ja4[:3], "t" + str(self.version.name)[-2:])
            self.assertEqual((stream.isServer, stream.isAuthenticated), (True, False))
            self.assertRaises(InvalidOperationError, lambda: stream.sslProtocol)
            self.failureResultOf(stream.read(), InvalidOperationError)
            return serverOptions(applicationProtocols=["h2"])

        self.begin(select, "a state", applicationProtocols=["h2"])
        self.assertAuthenticated()
        self.assertEqual(calls, [(self.pair.server, "a state")])
        self.assertEqual(self.pair.server.negotiatedApplicationProtocol, b"h2")
        self.assertIs(self.pair.server.sslProtocol, self.version)

    def test_usable(self) -> None:
        """
        Data goes both ways afterwards.
        """
        self.begin(lambda *_: serverOptions())
        self.pair.client.write(b"ping")
        self.pair.server.write(b"pong")
        self.pair.wire.flush()
        self.assertEqual(self.successResultOf(self.pair.server.read()), b"ping")
        self.assertEqual(self.successResultOf(self.pair.client.read()), b"pong")

    def test_everything(self) -> None:
        """
        Versions, certificate, protocols and the demand for a client's
        certificate can be chosen.
        """
        other = next(iter({SslProtocols.Tls12, SslProtocols.Tls13} - {self.version}))
        self.begin(lambda *_: serverOptions(other), enabledSslProtocols=SslProtocols.None_)
        self.assertAuthenticated()
        self.assertIs(self.pair.client.sslProtocol, other)
        self.begin(
            lambda *_: serverOptions(serverCertificate=OTHER, clientCertificateRequired=True),
            targetHost="other.example",
            clientCertificates=[CLIENT],
        )
        self.assertAuthenticated()
        self.assertEqual(self.pair.client.remoteCertificate, OTHER.certificate)
        self.assertEqual(self.pair.server.localCertificate, OTHER.certificate)
        self.assertEqual(self.pair.server.remoteCertificate, CLIENT.certificate)

    def test_waits(self) -> None:
        """
        It may wait: nothing is said meanwhile.
        """
        answer: Deferred[SslServerAuthenticationOptions] = Deferred()
        self.begin(lambda *_: answer)
        self.pair.clock.advance(29)
        self.pair.wire.flush()
        self.assertNoResult(self.client)
        self.assertNoResult(self.server)
        self.assertEqual(self.pair.wire.server.everWritten, b"")
        self.assertEqual(self.pair.server.targetHostName, "localhost")
        answer.callback(serverOptions())
        self.pair.wire.flush()
        self.assertAuthenticated()

    def test_coroutine(self) -> None:
        """
        It may be a coroutine.
        """

        async def select(*_: Any) -> SslServerAuthenticationOptions:
            return serverOptions()

        self.begin(select)
        self.assertAuthenticated()

    def test_nothing(self) -> None:
        """
        A client for whom there is nothing is told so.
        """
        self.begin(lambda *_: None, targetHost="unknown.example")
        error = self.refused(self.server)
        self.assertEqual(
            str(error),
            "no options for the server name 'unknown.example'; alert sent: unrecognized_name",
        )
        self.assertIs(self.refused(self.client).alert, TlsAlert.unrecognized_name)

    def test_failing(self) -> None:
        """
        A callback that raises, fails or gives anything else than a server's
        options refuses.
        """
        problem = RuntimeError("no database")

        def raising(*_: Any) -> None:
            raise problem

        async def failing(*_: Any) -> None:
            raise problem

        for select, kind in (
            (raising, RuntimeError),
            (failing, RuntimeError),
            (lambda *_: True, TypeError),
            (lambda *_: clientOptions(), TypeError),
            (lambda *_: SERVER, TypeError),
        ):
            self.begin(select)
            error = self.refused(self.server)
            self.assertIs(type(error.__cause__), kind)
            self.assertIn("a callback failed", str(error))
            self.assertIs(error.alertSent, TlsAlert.internal_error)
            self.assertIs(self.refused(self.client).alert, TlsAlert.internal_error)

    def test_certificateByName(self) -> None:
        """
        The options that it chooses may choose the certificate by name.
        """
        names = ServerNames({"other.example": OTHER}, default=SERVER)
        self.begin(
            lambda *_: serverOptions(serverCertificateSelectionCallback=names),
            targetHost="other.example",
        )
        self.assertAuthenticated()
        self.assertEqual(self.pair.client.remoteCertificate, OTHER.certificate)

    def test_optionsByName(self) -> None:
        """
        A map of names to options is all that is needed to serve many names.
        """
        names = ServerNames({"localhost": serverOptions(), "*.example": None})
        for host, isKnown in (("localhost", True), ("other.example", False)):
            self.begin(lambda _, info, state: state.lookup(info.serverName), names, targetHost=host)
            if isKnown:
                self.assertAuthenticated()
            else:
                self.assertIs(self.refused(self.server).alertSent, TlsAlert.unrecognized_name)
                self.refused(self.client)

    def test_resumed(self) -> None:
        """
        Sessions go on, and only with the options that they began with; the
        callback is asked each time.
        """
        chosen = [serverOptions(), serverOptions(), serverOptions(serverCertificate=OTHER)]
        accept = {"remoteCertificateValidationCallback": lambda *_: True}
        resumed: list[bool] = []
        for options in chosen:
            self.pair = StreamPair(self.segment, keepsSessions=bool(resumed))
            self.pair.server.authenticateAsServer(lambda *_, options=options: options)
            self.pair.client.authenticateAsClient(clientOptions(self.version, **accept))
            self.pair.wire.flush()
            resumed.append(self.pair.server.isResumed)
            expected: Any = options.serverCertificate
            self.assertEqual(self.pair.server.localCertificate, expected.certificate)
            self.pair.wire.cut()
        self.assertEqual(resumed, [False, True, False])

    def test_closeNotify(self) -> None:
        """
        Options that do without C{close_notify} are obeyed, whatever came before
        they were chosen.
        """
        self.begin(lambda *_: serverOptions(requireCloseNotify=False))
        reading = self.pair.server.read()
        self.pair.wire.client.loseConnection()
        self.pair.wire.flush()
        self.assertEqual(self.successResultOf(reading), b"")


@perVersion(segments=(0,))
class GivingUp(HelloMixin):
    """
    Servers whose choice never comes about.
    """

    def waiting(self) -> Deferred[Any]:
        """
        Let the server wait for an answer.

        @return: the answer.
        """
        self.cancelled: list[Any] = []
        answer: Deferred[Any] = Deferred(self.cancelled.append)
        self.begin(lambda *_: answer, handshakeTimeout=None)
        return answer

    def assertGivenUp(
        self, answer: Deferred[Any], kind: type[AuthenticationError]
    ) -> AuthenticationError:
        """
        The server has failed, and takes no answer any more.

        @return: the client's error.
        """
        self.pair.wire.flush()
        self.assertIs(type(self.refused(self.server)), kind)
        self.assertEqual(self.cancelled, [answer])
        self.assertFalse(self.pair.server.isAuthenticated)
        return self.refused(self.client)

    def test_timeout(self) -> None:
        """
        A callback that does not answer in time refuses.
        """
        answer = self.waiting()
        self.pair.clock.advance(30)
        error = self.assertGivenUp(answer, HandshakeTimeout)
        self.assertIs(error.alert, TlsAlert.internal_error)

    def test_cancelledAsked(self) -> None:
        """
        Whoever is asked for a certificate behind a late answer with the options, and
        cancels the authentication, has what it has begun cancelled as well.
        """
        options: Deferred[Any] = Deferred()
        self.cancelled = []
        answer: Deferred[Any] = Deferred(self.cancelled.append)

        def choose(*_: object) -> Deferred[Any]:
            self.server.cancel()
            return answer

        self.begin(lambda *_: options)
        options.callback(serverOptions(serverCertificateSelectionCallback=choose))
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_askedNoMore(self) -> None:
        """
        Whoever has cancelled as the options were asked for is not asked for a
        certificate.
        """
        asked: list[object] = []

        def select(*_: object) -> Any:
            self.server.cancel()
            return serverOptions(serverCertificateSelectionCallback=lambda *_: asked.append(_))

        self.begin(select)
        self.refused(self.server)
        self.refused(self.client)
        self.assertEqual(asked, [])

    def test_silentClient(self) -> None:
        """
        A client that does not say what it wants is given up in time, and told.
        """
        pair = StreamPair()
        server = pair.server.authenticateAsServer(lambda *_: serverOptions())
        pair.wire.server.protocol.dataReceived(b"\x16\x03\x01\x02\x00\x01")
        pair.clock.advance(30)
        error = self.failureResultOf(server, HandshakeTimeout).value
        self.assertIs(error.alertSent, TlsAlert.user_canceled)

    def test_chosenTimeout(self) -> None:
        """
        The time-out of the options that were chosen counts from the beginning.
        """
        for timeout, isOver in ((40, False), (10, True), (None, False)):
            answer = self.waiting()
            self.pair.clock.advance(20)
            self.pair.wire.client.isPaused = True
            answer.callback(serverOptions(handshakeTimeout=timeout))
            self.pair.wire.flush()
            self.pair.clock.advance(15)
            if isOver:
                self.failureResultOf(self.server, HandshakeTimeout)
                self.pair.wire.client.isPaused = False
                self.pair.wire.flush()
                self.refused(self.client)
            else:
                self.assertNoResult(self.server)
                self.pair.wire.client.isPaused = False
                self.pair.wire.flush()
                self.successResultOf(self.server)

    def test_streamTimeout(self) -> None:
        """
        The time-out that the stream was given counts for all.
        """
        pair = StreamPair()
        pair.server.handshakeTimeout = 3
        answer: Deferred[Any] = Deferred()
        server = pair.server.authenticateAsServer(lambda *_: answer)
        client = pair.client.authenticateAsClient(clientOptions())
        pair.wire.flush()
        pair.clock.advance(2)
        self.assertNoResult(server)
        pair.clock.advance(1)
        pair.wire.flush()
        self.failureResultOf(server, HandshakeTimeout)
        self.failureResultOf(client, AuthenticationError)

    def test_cancelled(self) -> None:
        """
        Who waits for the authentication may cancel it.
        """
        answer = self.waiting()
        self.server.cancel()
        self.assertGivenUp(answer, HandshakeCancelled)

    def test_closed(self) -> None:
        """
        Closing and aborting the stream end it.
        """
        for end in (SslStream.close, SslStream.abort):
            answer = self.waiting()
            end(self.pair.server)
            self.assertGivenUp(answer, HandshakeCancelled)

    def test_lost(self) -> None:
        """
        So does the end of the connection, before and after the hello.
        """
        answer = self.waiting()
        self.pair.wire.cut()
        self.assertGivenUp(answer, HandshakeInterrupted)
        pair = StreamPair()
        server = pair.server.authenticateAsServer(lambda *_: self.fail("there is no hello"))
        pair.wire.cut()
        self.failureResultOf(server, HandshakeInterrupted)

    def test_late(self) -> None:
        """
        An answer that comes too late changes nothing.
        """
        answer: Deferred[Any] = Deferred()
        self.begin(lambda *_: answer)
        self.pair.clock.advance(30)
        self.pair.wire.flush()
        self.refused(self.server)
        self.refused(self.client)
        answer.callback(serverOptions())
        self.pair.wire.flush()
        self.assertFalse(self.pair.server.isAuthenticated)

    def test_flood(self) -> None:
        """
        What a client sends while it waits is kept up to a limit.
        """
        self.waiting()
        transport = self.pair.wire.server
        taken = 0
        while not transport.isPaused and taken < 1 << 20:
            transport.protocol.dataReceived(bytes(4096))
            taken += 4096
        self.assertEqual(taken, 64 * 1024)
        self.pair.server.abort()
        self.pair.wire.flush()
        self.refused(self.server)
        self.refused(self.client)


class BadHelloTests(StreamMixin, SynchronousTestCase):
    """
    Clients whose first bytes are no hello.
    """

    def answered(self, *data: bytes) -> tuple[AuthenticationError, bytes]:
        """
        @return: a server's error after these segments, and what it has said.
        """
        pair = StreamPair()
        server = pair.server.authenticateAsServer(lambda *_: self.fail("asked about no hello"))
        for each in data:
            pair.wire.server.protocol.dataReceived(each)
        error = self.failureResultOf(server, AuthenticationError).value
        assert isinstance(error, AuthenticationError)
        answer = bytes(pair.wire.server.everWritten)
        pair.wire.flush()
        self.assertNothingLeft(pair)
        self.assertIsNotNone(pair.wire.server.closing)
        return error, answer

    def test_notTls(self) -> None:
        """
        Bytes that are no TLS are named, and refused as OpenSSL would.
        """
        for data, name in (
            (b"GET / HTTP/1.0\r\n\r\n", "plain-text HTTP"),
            (b"\x15\x03\x01\x00\x02\x01\x00", "a record of type 21"),
            (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "a handshake message of type 2"),
        ):
            error, _ = self.answered(data)
            self.assertIn("the peer does not speak TLS", str(error))
            self.assertIn(name, str(error))

    def test_alert(self) -> None:
        """
        The alert for them is OpenSSL's.
        """
        error, answer = self.answered(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00")
        self.assertIs(error.alertSent, TlsAlert.unexpected_message)
        self.assertEqual(answer, bytes((21, 3, 3, 0, 2, 2, TlsAlert.unexpected_message)))

    def test_emptyRecord(self) -> None:
        """
        A record without content, that OpenSSL takes, before a faultless hello ends
        in an alert of ours, and in nothing that is logged.
        """
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        error, answer = self.answered(b"\x16\x03\x01\0\0" + client.bio_read(1 << 14))
        self.assertIn("a record of 0 bytes", str(error))
        self.assertIs(error.alertSent, TlsAlert.decode_error)
        self.assertEqual(answer, bytes((21, 3, 3, 0, 2, 2, TlsAlert.decode_error)))

    def test_endless(self) -> None:
        """
        A hello without an end is refused at the limit.
        """
        record = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes((1 << 14) - 4)
        self.answered(record)
        record = b"\x16\x03\x01\x40\x00" + b"\x01\x01\xff\xfb" + bytes((1 << 14) - 4)
        more = b"\x16\x03\x01\x40\x00" + bytes(1 << 14)
        error, _ = self.answered(record, *[more] * (ClientHelloReader.LIMIT // len(more)))
        self.assertIn(str(ClientHelloReader.LIMIT), str(error))

    def test_incomplete(self) -> None:
        """
        One that OpenSSL refuses although there is a choice fails as ever.
        """
        pair = StreamPair()
        server = pair.server.authenticateAsServer(lambda *_: serverOptions())
        pair.wire.server.protocol.dataReceived(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00")
        error = self.failureResultOf(server, AuthenticationError).value
        self.assertIs(error.alertSent, TlsAlert.decode_error)


class ArgumentsTests(SynchronousTestCase):
    """
    How a selection is given.
    """

    def authenticated(self, **streams: Any) -> Callable[..., StreamPair]:
        """
        @return: a function that authenticates a server with its arguments.
        """

        def authenticate(*arguments: Any, **named: Any) -> StreamPair:
            pair = StreamPair(**streams)
            server: Any = pair.server
            self.result = server.authenticateAsServer(*arguments, **named)
            pair.client.authenticateAsClient(clientOptions()).addErrback(lambda _: None)
            pair.wire.flush()
            return pair

        return authenticate

    def test_forms(self) -> None:
        """
        By position, by name, or as a value.
        """
        states = []

        def select(_stream: Any, _info: Any, state: object) -> SslServerAuthenticationOptions:
            states.append(state)
            return serverOptions()

        authenticate = self.authenticated()
        for pair in (
            authenticate(select),
            authenticate(select, 1),
            authenticate(select, state=2),
            authenticate(serverOptionsSelectionCallback=select, state=3),
            authenticate(ServerOptionsSelection(select, 4)),
            authenticate(select, False),
        ):
            self.assertTrue(pair.server.isAuthenticated)
        self.assertEqual(states, [None, 1, 2, 3, 4, None])

    def test_conflicts(self) -> None:
        """
        A selection together with anything that it chooses is refused at once.
        """

        def select(*_: Any) -> None:
            self.fail("asked in vain")

        authenticate = self.authenticated()
        for arguments, named in (
            ((select,), {"enabledSslProtocols": SslProtocols.Tls12}),
            ((select,), {"checkCertificateRevocation": True}),
            ((select, 1), {"clientCertificateRequired": True}),
            ((SERVER,), {"serverOptionsSelectionCallback": select}),
            ((serverOptions(),), {"serverOptionsSelectionCallback": select}),
            ((SERVER,), {"state": 1}),
            ((ServerOptionsSelection(select), True), {}),
        ):
            pair = authenticate(*arguments, **named)
            self.failureResultOf(self.result, InvalidOperationError, TypeError)
            self.assertEqual(pair.wire.server.everWritten, b"")

    def test_streamsCallbacks(self) -> None:
        """
        What the stream was created with belongs to the chosen options, too, and
        must not contradict them.
        """
        seen = []

        def validate(*arguments: Any) -> bool:
            seen.append(arguments)
            return True

        authenticate = self.authenticated(remoteCertificateValidationCallback=validate)
        self.assertTrue(authenticate(lambda *_: serverOptions()).server.isAuthenticated)
        # The client's, and the server's.
        self.assertEqual(len(seen), 2)
        authenticate(lambda *_: serverOptions(remoteCertificateValidationCallback=lambda *_: True))
        error = self.failureResultOf(self.result, AuthenticationError).value
        self.assertIsInstance(error.__cause__, InvalidOperationError)
        authenticate = self.authenticated(localCertificateSelectionCallback=lambda *_: SERVER)
        authenticate(lambda *_: serverOptions(serverCertificateSelectionCallback=lambda *_: SERVER))
        error = self.failureResultOf(self.result, AuthenticationError).value
        self.assertIsInstance(error.__cause__, InvalidOperationError)

    def test_checked(self) -> None:
        """
        A selection is checked when it is made.
        """
        self.assertRaises(TypeError, ServerOptionsSelection, 1)
        self.assertRaises(ValueError, ServerOptionsSelection, print, None, 0)
        self.assertEqual(ServerOptionsSelection(print), ServerOptionsSelection(print))
        self.assertEqual(len({ServerOptionsSelection(print, []), ServerOptionsSelection(print)}), 2)

    def test_protocol(self) -> None:
        """
        A factory takes a selection where it takes options, and its protocol is
        connected once the client is authenticated.
        """
        wrapped = Protocol()
        factory = Factory.forProtocol(lambda: wrapped)
        pair = StreamPair()
        protocol: Any = SslStreamFactory(
            ServerOptionsSelection(lambda *_: serverOptions()), False, factory, pair.clock
        ).buildProtocol(None)
        pair.wire.server.protocol = protocol
        protocol.makeConnection(pair.wire.server)
        self.assertIsNone(protocol.getHandle())
        self.assertIsNone(protocol.negotiatedProtocol)
        self.assertEqual(wrapped.connected, 0)
        pair.client.authenticateAsClient(clientOptions())
        pair.wire.flush()
        self.assertEqual(wrapped.connected, 1)
        transport: Any = wrapped.transport
        self.assertTrue(transport.isAuthenticated)

    def test_negotiating(self) -> None:
        """
        Chosen options that name no application protocols have the factory's.
        """

        @implementer(IProtocolNegotiationFactory)
        class Speaker(Factory):
            def acceptableProtocols(self) -> list[bytes]:
                return [b"spoken"]

        for options, expected in (
            (serverOptions(), b"spoken"),
            (serverOptions(applicationProtocols=["named"]), b"named"),
        ):
            pair = StreamPair()
            protocol: Any = SslStreamFactory(
                ServerOptionsSelection(lambda *_, options=options: options),
                False,
                Speaker.forProtocol(Protocol),
                pair.clock,
            ).buildProtocol(None)
            pair.wire.server.protocol = protocol
            protocol.makeConnection(pair.wire.server)
            pair.client.authenticateAsClient(
                clientOptions(applicationProtocols=["named", "spoken"])
            )
            pair.wire.flush()
            self.assertEqual(pair.client.negotiatedApplicationProtocol, expected)
            self.assertEqual(protocol.negotiatedProtocol, expected)

    def test_elsewhere(self) -> None:
        """
        Twisted's own factory cannot do what a selection asks for.
        """
        selection: Any = ServerOptionsSelection(print)
        self.assertRaises(
            InvalidOperationError, selection.serverConnectionForTLS, StringTransport()
        )
