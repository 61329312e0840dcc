"""
Tests for L{txsslstream.reauthentication} and L{txsslstream.asking}: a server asks
for a client's certificate in mid-conversation.

What the peer may begin by itself is in L{tests.test_renegotiation}.
"""

from __future__ import annotations

import datetime
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from OpenSSL._util import lib
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    HandshakeCancelled,
    HandshakeFailureReason,
    HandshakeInterrupted,
    HandshakeTimeout,
    InvalidOperationError,
    NotSupportedError,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStream,
    SslStreamCertificateContext,
    StreamClosedError,
    TlsAlert,
    TlsError,
    TruncationError,
    X509ChainStatusFlags,
)
from txsslstream._openssl import TlsEngine
from txsslstream._waiting import _parked
from txsslstream.records import ALERT, APPLICATION_DATA, HANDSHAKE
from txsslstream.reauthentication import Reauthentication
from txsslstream.sessions import sessions

from .applications import Application, Link, ProtocolMixin
from .streams import Opened, StreamMixin
from .support import (
    AUTHORITY,
    CLIENT,
    DAY,
    NOW,
    SERVER,
    Authority,
    Pair,
    ofUnknownVersion,
    perVersion,
    resigned,
    rsaKey,
)
from .test_endpoints import EndpointMixin
from .test_protocol import Direction, RawCreator, RawMixin

Tls12, Tls13 = SslProtocols.Tls12, SslProtocols.Tls13

NOBODY = SslPolicyErrors.RemoteCertificateNotAvailable
CHAIN = SslPolicyErrors.RemoteCertificateChainErrors
NO_ERRORS = SslPolicyErrors.None_

#: What OpenSSL tells a client that shows no certificate.
NO_CERTIFICATE = {Tls12: TlsAlert.handshake_failure, Tls13: TlsAlert.certificate_required}

LOWER = Authority("Lower Authority", Authority("Upper Authority", AUTHORITY))
INDIRECT = LOWER.issue("client@example.com")
STRANGER = Authority("Stranger").issue("stranger@example.com")

#: Everything that reads or writes.
OPERATIONS: dict[str, Callable[[SslStream], Deferred[Any]]] = {
    "read": lambda stream: stream.read(),
    "readExactly": lambda stream: stream.readExactly(1),
    "readUntil": lambda stream: stream.readUntil(b"\n"),
    "write": lambda stream: stream.write(b"x"),
    "flush": lambda stream: stream.flush(),
    "shutdown": lambda stream: stream.shutdown(),
}


def whenAsked(callback: Callable[..., Any]) -> dict[str, Any]:
    """
    @return: a client's options: it shows what a callback says that is asked
        when the server wants a certificate.
    """

    def choose(stream: Any, host: str, candidates: Any, remote: Any, issuers: Any) -> object:
        return None if remote is None else callback(stream, host, candidates, remote, issuers)

    return {"localCertificateSelectionCallback": choose, "clientCertificates": ()}


#: A client that has nothing to show, but may be asked.
DECLINING = whenAsked(lambda *_: None)


class Judge:
    """
    A validation callback, which accepts everybody who was asked for nothing.

    @ivar calls: what it was asked about clients that had been asked.
    """

    def __init__(self, answer: Callable[[], Any] = lambda: True) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *arguments: Any) -> Any:
        _, certificate, _, errors = arguments
        if certificate is None and not errors:
            return True
        self.calls.append(arguments)
        return self.answer()

    @property
    def option(self) -> dict[str, Any]:
        """
        It, as an option.
        """
        return {"remoteCertificateValidationCallback": self}


def raiseError() -> None:
    """
    Somebody's mistake.
    """
    raise ZeroDivisionError("a mistake")


def say(stream: SslStream, data: bytes) -> None:
    """
    Write as a protocol does, without waiting for anything.
    """
    protocol: Any = stream._protocol
    protocol.write(data)
    protocol.flush()


class AskingMixin(StreamMixin):
    """
    A server's stream that asks its client.
    """

    def begun(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> Opened:
        """
        An authenticated pair, seen from the server; the client has a certificate
        and lets itself be asked, unless told otherwise.
        """
        theirs = {"allowRenegotiation": True, "clientCertificates": [CLIENT], **(client or {})}
        return self.opened(True, ours=server, theirs=theirs)

    def asked(
        self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
    ) -> tuple[Opened, Deferred[None]]:
        """
        The same, when the client was asked and everything has arrived.
        """
        opened = self.begun(client, server)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        return opened, asked

    def assertShown(self, opened: Opened, shown: SslStreamCertificateContext | None) -> None:
        """
        Both sides say that the client has shown this, or nothing.
        """
        certificate = None if shown is None else shown.certificate
        server, client = opened.ours, opened.theirs
        self.assertEqual(server.remoteCertificate, certificate)
        self.assertEqual(client.localCertificate, certificate)
        self.assertEqual(client.remoteCertificate, SERVER.certificate)
        self.assertEqual(server.localCertificate, SERVER.certificate)
        for stream in (server, client):
            isMutual = shown is not None
            self.assertIs(stream.isMutuallyAuthenticated, isMutual)
            self.assertIs(stream.security.asdict()["isMutuallyAuthenticated"], isMutual)

    def assertQuiet(self, opened: Opened) -> None:
        """
        Nobody waits for anything, and nobody has complained.
        """
        self.assertEqual(_parked, set())
        self.assertEqual(opened.pair.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def assertRefused(
        self,
        opened: Opened,
        asked: Deferred[None],
        alert: TlsAlert,
        errors: SslPolicyErrors = NO_ERRORS,
        status: X509ChainStatusFlags = X509ChainStatusFlags.NoError,
    ) -> AuthenticationError:
        """
        The server has refused the client; both know why, whenever they ask.
        """
        error = self.failure(asked, AuthenticationError)
        self.assertEqual((error.sslPolicyErrors, error.chainStatus), (errors, status))
        self.assertEqual((error.alert, error.alertSent), (None, alert))
        for name, operation in OPERATIONS.items():
            self.assertIs(self.failureResultOf(operation(opened.ours)).value, error, name)
        again = opened.ours.negotiateClientCertificateAsync()
        self.assertIs(self.failureResultOf(again).value, error)
        verdict = self.failure(opened.theirs.read(), AuthenticationError)
        self.assertEqual((verdict.alert, verdict.alertSent), (alert, None))
        self.assertFalse(opened.ourTransport.connected)
        self.assertFalse(opened.theirTransport.connected)
        self.assertQuiet(opened)
        return error

    def assertGone(self, opened: Opened) -> None:
        """
        The connection has ended, and left nothing behind.
        """
        opened.flush()
        for end in (opened.ourOriginal, opened.theirOriginal):
            self.assertIsNotNone(end.lost)
        self.assertQuiet(opened)


@perVersion()
class Asking(AskingMixin):
    """
    A client that answers.
    """

    def test_certificate(self) -> None:
        """
        The certificate is known on both sides, and the connection goes on, with
        nobody waiting and nothing logged.
        """
        opened, asked = self.asked()
        self.assertIsNone(self.successResultOf(asked))
        self.assertShown(opened, CLIENT)
        chain = opened.ours.remoteChain
        assert chain is not None
        self.assertEqual(
            [each.certificate for each in chain.chainElements],
            [CLIENT.certificate, AUTHORITY.certificate],
        )
        facts = opened.ours.security.asdict()
        self.assertEqual(facts["remoteCertificate"]["subject"], "CN=client@example.com")
        self.assertUsable(opened)
        self.assertQuiet(opened)

    def test_notBefore(self) -> None:
        """
        Until the answer is judged nobody is known.
        """
        opened = self.begun()
        self.assertShown(opened, None)
        asked = opened.ours.negotiateClientCertificateAsync()
        self.assertIsNone(opened.ours.remoteCertificate)
        self.assertFalse(opened.ours.isMutuallyAuthenticated)
        self.assertNoResult(asked)

    def test_context(self) -> None:
        """
        A client's C{clientCertificateContext} is shown to whoever asks.
        """
        opened, asked = self.asked({"clientCertificates": (), "clientCertificateContext": CLIENT})
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)

    def test_callback(self) -> None:
        """
        The validation callback gets the stream, the certificate, the chain with
        the intermediates that the client sent, and what is wrong; once.
        """
        judge = Judge()
        opened, asked = self.asked({"clientCertificates": [INDIRECT]}, judge.option)
        self.successResultOf(asked)
        ((stream, certificate, chain, errors),) = judge.calls
        self.assertIs(stream, opened.ours)
        self.assertEqual(certificate, INDIRECT.certificate)
        self.assertEqual(
            [each.certificate for each in chain.chainElements],
            [INDIRECT.certificate, *INDIRECT.intermediates, AUTHORITY.certificate],
        )
        self.assertEqual(errors, NO_ERRORS)
        self.assertIs(opened.ours.remoteChain, chain)
        self.assertShown(opened, INDIRECT)
        self.assertUsable(opened)

    def test_callbackAcceptsFaults(self) -> None:
        """
        The callback's word is final, whatever is wrong.
        """
        judge = Judge()
        opened, asked = self.asked({"clientCertificates": [STRANGER]}, judge.option)
        self.successResultOf(asked)
        ((_, _, chain, errors),) = judge.calls
        self.assertEqual(errors, CHAIN)
        self.assertEqual(chain.flags, X509ChainStatusFlags.PartialChain)
        self.assertShown(opened, STRANGER)
        self.assertUsable(opened)

    def test_declined(self) -> None:
        """
        A client that has nothing to show may be accepted by the callback, which
        hears of that once; nobody is known then, and the connection goes on.
        """
        judge = Judge()
        opened, asked = self.asked(DECLINING, judge.option)
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(judge.calls, [(opened.ours, None, None, NOBODY)])
        self.assertShown(opened, None)
        self.assertUsable(opened)
        self.assertQuiet(opened)

    def test_askedAtFirst(self) -> None:
        """
        A client that had nothing to show in the handshake may be asked again:
        it may have something then, or be refused for having nothing.
        """
        for answer, isAccepted in ((CLIENT, True), (None, True), (None, False)):
            answers: Iterator[Any] = iter([None, answer])
            judge = Judge(iter([True, isAccepted]).__next__)
            opened = self.begun(
                whenAsked(lambda *_, answers=answers: next(answers)),
                {"clientCertificateRequired": True, **judge.option},
            )
            self.assertEqual([each[1:] for each in judge.calls], [(None, None, NOBODY)])
            asked = opened.ours.negotiateClientCertificateAsync()
            opened.flush()
            self.assertEqual(len(judge.calls), 2)
            if isAccepted:
                self.successResultOf(asked)
                self.assertShown(opened, answer)
                self.assertUsable(opened)
            else:
                self.assertRefused(opened, asked, NO_CERTIFICATE[self.version], NOBODY)

    def test_selection(self) -> None:
        """
        The client's callback hears whom it talks to, and which authorities the
        server names.
        """
        calls: list[Any] = []

        def select(*arguments: Any) -> object:
            calls.append(arguments)
            return CLIENT

        named = SslCertificateTrust.fromCertificates(
            [AUTHORITY.certificate, LOWER.certificate], sendTrustInHandshake=True
        )
        opened, asked = self.asked(
            {**whenAsked(select), "clientCertificates": [INDIRECT]}, {"trust": named}
        )
        self.successResultOf(asked)
        self.assertEqual(
            calls,
            [
                (
                    opened.theirs,
                    "localhost",
                    (INDIRECT,),
                    SERVER.certificate,
                    ("CN=Test Authority", "CN=Lower Authority"),
                )
            ],
        )
        self.assertShown(opened, CLIENT)

    def test_bestCandidate(self) -> None:
        """
        Without a callback a client chooses by the authorities that the server
        names, as in a handshake.
        """
        named = SslCertificateTrust.fromCertificates(
            [AUTHORITY.certificate], sendTrustInHandshake=True
        )
        rsa = AUTHORITY.issue("rsa@example.com", key=rsaKey())
        opened, asked = self.asked({"clientCertificates": [STRANGER, rsa]}, {"trust": named})
        self.successResultOf(asked)
        self.assertShown(opened, rsa)
        self.assertUsable(opened)

    def test_serverSpeaksMeanwhile(self) -> None:
        """
        What the server has written before it asks arrives before, and what it
        writes behind arrives, too: the client answers as it reads.
        """
        opened = self.begun()
        self.successResultOf(opened.ours.write(b"before,"))
        asked = opened.ours.negotiateClientCertificateAsync()
        say(opened.ours, b"meanwhile,")
        opened.flush()
        self.successResultOf(asked)
        self.successResultOf(opened.ours.write(b"after"))
        opened.flush()
        self.assertEqual(self.successResultOf(opened.theirs.read()), b"before,meanwhile,after")

    def test_clientSpeaksBehind(self) -> None:
        """
        What the client says behind its answer is read when that is judged.
        """
        opened = self.begun()
        seen: list[object] = []
        asked = opened.ours.negotiateClientCertificateAsync()
        asked.addCallback(lambda _: seen.append(opened.ours._reader.isFilled))
        # The client answers as it reads.
        while not opened.theirTransport.written:
            opened.pair.wire.step()
        written = opened.theirs.write(b"behind")
        opened.flush()
        self.successResultOf(written)
        self.successResultOf(asked)
        self.assertEqual(seen, [False])
        self.assertEqual(self.successResultOf(opened.ours.read()), b"behind")

    def test_fromTheCallbackOfTheAnswer(self) -> None:
        """
        Whoever hears of the answer may read and write at once.
        """
        opened = self.begun()
        results: list[bytes] = []

        def goOn(_: None) -> Deferred[Any]:
            return opened.ours.write(b"welcome").addCallback(lambda _: opened.ours.read())

        asked = opened.ours.negotiateClientCertificateAsync().addCallback(goOn)
        asked.addCallback(results.append)
        opened.flush()
        self.assertEqual(self.successResultOf(opened.theirs.read()), b"welcome")
        self.successResultOf(opened.theirs.write(b"thanks"))
        opened.flush()
        self.assertEqual(results, [b"thanks"])

    def test_callbackMayLook(self) -> None:
        """
        In the callback the properties say what is known of the connection, and
        nobody is known yet.
        """
        seen: list[object] = []
        opened: Opened
        judge = Judge(
            lambda: (
                seen.append(
                    (
                        opened.ours.sslProtocol,
                        opened.ours.remoteCertificate,
                        opened.ours.isMutuallyAuthenticated,
                        opened.ours.security.asdict()["isAuthenticated"],
                    )
                )
                is None
            )
        )
        opened = self.begun(server=judge.option)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)
        self.assertEqual(seen, [(self.version, None, False, True)])

    def test_closedAfterwards(self) -> None:
        """
        What is known stays readable when the connection is closed.
        """
        opened, asked = self.asked()
        self.successResultOf(asked)
        closed = opened.ours.close()
        opened.flush()
        opened.theirs.close()
        opened.flush()
        self.successResultOf(closed)
        self.assertShown(opened, CLIENT)
        self.assertGone(opened)


@perVersion()
class Rules(AskingMixin):
    """
    When a client may be asked, and what is not possible meanwhile.
    """

    def invalid(self, opened: Opened, words: str) -> None:
        """
        Asking is not possible now, and does no harm.
        """
        sent = len(opened.ourTransport.everWritten)
        error = self.failure(opened.ours.negotiateClientCertificateAsync(), InvalidOperationError)
        self.assertIn(words, str(error))
        self.assertEqual(len(opened.ourTransport.everWritten), sent)

    def test_unauthenticated(self) -> None:
        """
        The stream must be authenticated.
        """
        pair = Pair(self.segment)
        for begin in (lambda: None, lambda: pair.server.authenticateAsServer(SERVER)):
            begin()
            asked = pair.server.negotiateClientCertificateAsync()
            self.assertIn("authenticated first", str(self.failure(asked, InvalidOperationError)))

    def test_client(self) -> None:
        """
        A client asks for nothing.
        """
        opened = self.begun().reversed()
        self.invalid(opened, "only a server asks for certificates")
        self.assertUsable(opened)

    def test_known(self) -> None:
        """
        A client that has shown its certificate in the handshake is not asked
        again.
        """
        opened = self.begun(server={"clientCertificateRequired": True})
        self.invalid(opened, "the client has shown its certificate")
        self.assertUsable(opened)

    def test_twice(self) -> None:
        """
        A client is asked once, be it that it has shown something, that it has
        not, or that it has not answered yet.
        """
        for client, server in (({}, {}), (DECLINING, Judge().option)):
            opened = self.begun(client, server)
            asked = opened.ours.negotiateClientCertificateAsync()
            self.invalid(opened, "the client is being asked")
            opened.flush()
            self.successResultOf(asked)
            self.invalid(opened, "the client has been asked before")
            self.assertUsable(opened)

    def test_unread(self) -> None:
        """
        What the client has sent must be read first.
        """
        opened = self.begun()
        self.successResultOf(opened.theirs.write(b"request"))
        opened.flush()
        self.invalid(opened, "read first what the client has sent")
        self.assertEqual(self.successResultOf(opened.ours.read(3)), b"req")
        self.invalid(opened, "read first what the client has sent")
        self.assertEqual(self.successResultOf(opened.ours.read()), b"uest")
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)

    def test_unreadBehindTheHandshake(self) -> None:
        """
        So must be what came together with the end of the handshake, when
        nobody has had a chance to read it.
        """
        pair = Pair()
        clientSide, serverSide = pair.authenticate(
            self.version, {"clientCertificates": [CLIENT], "allowRenegotiation": True}, flush=False
        )
        clientSide.addCallback(lambda stream: stream.write(b"early"))
        outcome = serverSide.addCallback(lambda stream: stream.negotiateClientCertificateAsync())
        pair.wire.flush()
        if self.version is Tls13:
            error = self.failure(outcome, InvalidOperationError)
            self.assertIn("read first what the client has sent", str(error))
        else:
            # There the server is the last, and has asked before that came.
            self.failure(outcome, InvalidOperationError)
        self.assertEqual(self.successResultOf(pair.server.read()), b"early")

    def test_ended(self) -> None:
        """
        A client that has sent its last word does not answer, and a server that
        has sent its own does not ask.
        """
        for isOurs in (False, True):
            opened = self.begun()
            self.successResultOf((opened.ours if isOurs else opened.theirs).shutdown())
            opened.flush()
            self.invalid(opened, "one side of the connection has ended")

    def test_closed(self) -> None:
        """
        Nor does one that is closed.
        """
        opened = self.begun()
        opened.ours.close()
        self.failure(opened.ours.negotiateClientCertificateAsync(), StreamClosedError)

    def test_broken(self) -> None:
        """
        After the connection has broken, that is what asking fails with.
        """
        opened = self.begun()
        opened.theirTransport.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        opened.flush()
        error = self.failure(opened.ours.negotiateClientCertificateAsync(), TlsError)
        self.assertIs(error.alertSent, TlsAlert.bad_record_mac)
        opened = self.begun()
        opened.pair.wire.cut()
        self.failure(opened.ours.negotiateClientCertificateAsync(), TruncationError)

    def test_reading(self) -> None:
        """
        A read in progress must end first.
        """
        opened = self.begun()
        reading = opened.ours.read()
        self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
        self.successResultOf(opened.theirs.write(b"x"))
        opened.flush()
        self.assertEqual(self.successResultOf(reading), b"x")
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)

    def test_writing(self) -> None:
        """
        A write in progress must end first.
        """
        opened = self.begun()
        # More than the transport takes at once, whole whatever the segments.
        opened.pair.wire.segment = 0
        opened.theirTransport.pauseProducing()
        writing = opened.ours.write(bytes(1 << 18))
        self.assertNoResult(writing)
        self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
        reading = opened.theirs.readExactly(1 << 18)
        opened.theirTransport.resumeProducing()
        opened.flush()
        self.successResultOf(writing)
        self.successResultOf(reading)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)

    def test_meanwhile(self) -> None:
        """
        Until the client has answered, and while somebody decides, there is no
        reading and no writing; that does no harm.
        """
        decision: Deferred[bool] = Deferred()
        opened = self.begun(server=Judge(lambda: decision).option)
        asked = opened.ours.negotiateClientCertificateAsync()
        for _ in range(2):
            for name, operation in OPERATIONS.items():
                error = self.failureResultOf(operation(opened.ours)).value
                self.assertIs(type(error), NotSupportedError, name)
            self.assertRaises(NotSupportedError, SslStream, opened.ours)
            opened.flush()
        self.assertNoResult(asked)
        decision.callback(True)
        opened.flush()
        self.successResultOf(asked)
        self.assertShown(opened, CLIENT)
        self.assertUsable(opened)

    def test_notOffered(self) -> None:
        """
        A client that does not let itself be asked is not: in TLS 1.3 nothing
        happens; before, where it can refuse when it is asked, that ends the
        connection.
        """
        refusing = {"allowRenegotiation": False, "clientCertificates": ()}
        opened, asked = self.asked(refusing)
        if self.version is Tls13:
            error = self.failure(asked, NotSupportedError)
            self.assertIn("the client cannot be asked: extension not received", str(error))
            self.assertUsable(opened)
            self.failure(opened.ours.negotiateClientCertificateAsync(), NotSupportedError)
            self.assertQuiet(opened)
            self.assertShown(opened, None)
        else:
            refusal = self.failure(asked, AuthenticationError)
            self.assertIn("the peer refused the handshake: no renegotiation", str(refusal))
            self.assertIs(refusal.alert, TlsAlert.no_renegotiation)
            self.assertIs(refusal.alertSent, TlsAlert.handshake_failure)
            self.assertIs(refusal.reason, HandshakeFailureReason.alertReceived)
            self.assertIs(self.failureResultOf(opened.ours.read()).value, refusal)
            self.assertGone(opened)

    def test_somethingElseFirst(self) -> None:
        """
        A client that says something else before it answers has not answered:
        what it says can be read, and its answer, when it comes, makes it nobody
        else and is judged by nobody, whatever it is.
        """
        judge = Judge()
        for client, server in (
            ({}, {}),
            ({}, judge.option),
            ({"clientCertificates": [STRANGER]}, {}),
            (DECLINING, {}),
            (DECLINING, judge.option),
            (DECLINING, {"clientCertificateRequired": True, **judge.option}),
        ):
            opened = self.begun(client, server)
            judge.calls.clear()
            asked = opened.ours.negotiateClientCertificateAsync()
            self.successResultOf(opened.theirs.write(b"request"))
            while not opened.ours._reader.isFilled:
                self.assertTrue(opened.pair.wire.step())
            error = self.failure(asked, InvalidOperationError)
            self.assertIn("did not answer first", str(error))
            self.assertEqual(self.successResultOf(opened.ours.readExactly(7)), b"request")
            opened.flush()
            self.assertIsNone(opened.ours.remoteCertificate)
            self.assertFalse(opened.ours.isMutuallyAuthenticated)
            self.assertUsable(opened)
            self.invalid(opened, "has been asked before")
            self.assertEqual(judge.calls, [])
            self.assertQuiet(opened)

    def test_endFirst(self) -> None:
        """
        A client that ends the conversation instead has not answered either.
        """
        opened = self.begun()
        asked = opened.ours.negotiateClientCertificateAsync()
        self.successResultOf(opened.theirs.shutdown())
        opened.flush()
        self.failure(asked, InvalidOperationError)
        self.assertEqual(self.successResultOf(opened.ours.read()), b"")
        self.assertQuiet(opened)


def _refusals() -> Iterator[tuple[str, dict[str, Any], TlsAlert, X509ChainStatusFlags]]:
    """
    @return: what is wrong with clients, their options, and what they are told.
    """
    expired = AUTHORITY.issue("client@example.com", notBefore=NOW - 5 * DAY, notAfter=NOW - DAY)
    server = AUTHORITY.issue("client@example.com", usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    flags = X509ChainStatusFlags
    for what, context, alert, status in (
        ("authority", STRANGER, TlsAlert.unknown_ca, flags.PartialChain),
        ("time", expired, TlsAlert.certificate_expired, flags.NotTimeValid),
        ("usage", server, TlsAlert.unsupported_certificate, flags.NotValidForUsage),
    ):
        yield what, {"clientCertificates": [context]}, alert, status


@perVersion()
class Refusing(AskingMixin):
    """
    A client that is refused.
    """

    def test_faults(self) -> None:
        """
        Whatever is wrong with the certificate, the client gets the alert for
        that, and the error tells all of it.
        """
        for what, client, alert, status in _refusals():
            opened, asked = self.asked(client)
            error = self.assertRefused(opened, asked, alert, CHAIN, status)
            self.assertIn("the remote certificate is invalid", str(error), what)
            self.assertEqual(error.chainElements[0].chainElementStatus[0].status, status)
            self.assertIsNotNone(error.reason)

    def test_unreadable(self) -> None:
        """
        A certificate that cannot be read is refused before anybody is asked.
        """
        opened = self.begun(server=Judge(raiseError).option)
        self.patch(TlsEngine, "_presentCertificate", _presentUnreadable)
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        error = self.assertRefused(
            opened,
            asked,
            TlsAlert.bad_certificate,
            CHAIN,
            X509ChainStatusFlags.InvalidExtension,
        )
        self.assertIn("the remote certificate cannot be read", str(error))

    def test_callback(self) -> None:
        """
        The callback may refuse a faultless certificate.
        """
        for answer in (False, succeed(False)):
            judge = Judge(lambda answer=answer: answer)
            opened, asked = self.asked(server=judge.option)
            error = self.assertRefused(opened, asked, TlsAlert.bad_certificate)
            self.assertIn("refused by remoteCertificateValidationCallback", str(error))
            self.assertIs(error.reason, HandshakeFailureReason.callbackRefused)
            self.assertEqual(len(judge.calls), 1)

    def test_callbackFails(self) -> None:
        """
        A callback that fails, or does not answer with a boolean, refuses; the
        error tells what it was.
        """
        for answer, kind in (
            (raiseError, ZeroDivisionError),
            (lambda: fail(ZeroDivisionError()), ZeroDivisionError),
            (lambda: None, TypeError),
            (lambda: 1, TypeError),
        ):
            for client, errors in (({}, NO_ERRORS), (DECLINING, NOBODY)):
                # Nobody but OpenSSL can tell a client that has shown nothing.
                alert = NO_CERTIFICATE[self.version] if errors else TlsAlert.internal_error
                opened, asked = self.asked(client, Judge(answer).option)
                error = self.assertRefused(opened, asked, alert, errors)
                self.assertIs(type(error.__cause__), kind)
                self.assertIs(error.reason, HandshakeFailureReason.internalError)

    def test_none(self) -> None:
        """
        Without a callback, a client that has nothing to show is refused by
        OpenSSL.
        """
        opened, asked = self.asked(DECLINING)
        error = self.assertRefused(opened, asked, NO_CERTIFICATE[self.version], NOBODY)
        self.assertIn("peer did not return a certificate", str(error))
        self.assertIs(error.reason, HandshakeFailureReason.certificateMissing)

    def test_noneByCallback(self) -> None:
        """
        With a callback, that refuses it; the callback is asked once.
        """
        judge = Judge(lambda: False)
        opened, asked = self.asked(DECLINING, judge.option)
        error = self.assertRefused(opened, asked, NO_CERTIFICATE[self.version], NOBODY)
        self.assertIn("refused by remoteCertificateValidationCallback", str(error))
        self.assertEqual(len(judge.calls), 1)

    def test_nothingOfTheRefused(self) -> None:
        """
        What a client says behind the answer for which it is refused is never
        read, however much it is, and nothing is said to it.
        """
        for client, answer in (({}, False), (DECLINING, False)):
            decision: Deferred[bool] = Deferred()
            opened = self.begun(client, Judge(lambda decision=decision: decision).option)
            asked = opened.ours.negotiateClientCertificateAsync()
            while not opened.theirTransport.written:
                opened.pair.wire.step()
            for _ in range(20):
                say(opened.theirs, b"of a stranger" * 50)
            opened.flush()
            say(opened.ours, b"for a friend")
            received: list[bytes] = []
            self.patch(opened.ours._reader, "received", received.append)
            decision.callback(answer)
            say(opened.ours, b"for a friend")
            opened.flush()
            self.failure(asked, AuthenticationError)
            self.assertEqual(received, [])
            verdict = self.failure(opened.theirs.read(), AuthenticationError)
            self.assertIsNotNone(verdict.alert)
            self.assertGone(opened)

    def test_refusedAnswersLate(self) -> None:
        """
        A client that was refused for showing nothing is not accepted for what it
        shows when it is asked once more to be told.
        """
        answers: Iterator[Any] = iter([None, CLIENT])
        judge = Judge(lambda: False)
        opened, asked = self.asked(whenAsked(lambda *_: next(answers)), judge.option)
        error = self.assertRefused(opened, asked, TlsAlert.handshake_failure, NOBODY)
        self.assertIn("refused by remoteCertificateValidationCallback", str(error))
        self.assertEqual(list(answers), [])
        self.assertEqual(len(judge.calls), 1)

    def refusedSilently(self) -> tuple[Opened, Deferred[None]]:
        """
        @return: a client that was refused for showing nothing, and has not been
            told yet.
        """
        opened = self.begun(DECLINING, Judge(lambda: False).option)
        asked = opened.ours.negotiateClientCertificateAsync()
        reauthentication: Any = opened.ours._protocol._reauthentication  # type: ignore[union-attr]
        while reauthentication.error is None:
            self.assertTrue(opened.pair.wire.step())
        return opened, asked

    def test_refusedIsSilent(self) -> None:
        """
        A client that was refused, and then does not answer any more, is gone
        when the time is up; the error is why it was refused.
        """
        opened, asked = self.refusedSilently()
        opened.theirTransport.pauseProducing()
        opened.theirTransport.written.clear()
        opened.flush()
        opened.pair.clock.advance(29.9)
        self.assertNoResult(asked)
        opened.pair.clock.advance(0.1)
        opened.flush()
        error = self.failure(asked, AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, NOBODY)
        opened.theirTransport.resumeProducing()
        self.assertGone(opened)

    def test_refusedEnds(self) -> None:
        """
        So it is if the client ends the conversation, or we do.
        """
        for end in (
            lambda opened: opened.theirs.shutdown(),
            lambda opened: opened.theirs.abort(),
            lambda opened: opened.ours.close(),
            lambda opened: opened.ours.abort(),
        ):
            opened, asked = self.refusedSilently()
            end(opened)
            opened.flush()
            self.assertEqual(self.failure(asked, AuthenticationError).sslPolicyErrors, NOBODY)
            self.assertGone(opened)

    def test_clientsCallbackFails(self) -> None:
        """
        A client whose callback fails tells the server, which has an error then;
        its own error tells what it was.
        """
        for answer, kind in (
            (raiseError, ZeroDivisionError),
            (lambda: fail(ZeroDivisionError()), ZeroDivisionError),
            (lambda: "a certificate", CertificateError),
        ):
            opened, asked = self.asked(whenAsked(lambda *_, answer=answer: answer()))
            error = self.failure(asked, AuthenticationError)
            self.assertIs(error.alert, TlsAlert.internal_error)
            self.assertIn("the peer refused the handshake", str(error))
            ours = self.failure(opened.theirs.read(), AuthenticationError)
            self.assertIn("a callback failed", str(ours))
            self.assertIsInstance(ours.__cause__, kind)
            self.assertEqual((ours.alert, ours.alertSent), (None, TlsAlert.internal_error))
            self.assertIs(ours.reason, HandshakeFailureReason.internalError)
            self.assertGone(opened)


def _presentUnreadable(engine: TlsEngine) -> int:
    """
    Have a client show a certificate that cannot be read.
    """
    if not engine.parameters.isServer:
        engine.wasAskedForCertificate = True
        der = ofUnknownVersion(CLIENT.certificate)
        certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
        lib.SSL_use_certificate(engine.connection._ssl, certificate._x509)
        engine.connection.use_privatekey(CLIENT.privateKey)  # type: ignore[arg-type]
    return 1
