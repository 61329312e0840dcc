"""
Renegotiation (RFC 5246 section 7.4.1.1, RFC 5746), begun by either side and in
the middle of anything.

That a server begins one to ask for a certificate is in
L{tests.test_reauthentication}; that nobody else may unless it is allowed, in
L{tests.test_protocol}.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import product
from random import Random
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    ChannelBinding,
    ChannelBindingKind,
    InvalidOperationError,
    NotSupportedError,
    SslProtocols,
    TlsAlert,
    TlsCipherSuite,
    TlsError,
    _openssl,
)
from txsslstream._openssl import (
    _OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION,
    MOST_HANDSHAKES,
    TlsEngine,
    isSecretUnique,
)
from txsslstream.records import ALERT, RecordBoundary, recordKinds
from txsslstream.sessions import sessions
from txsslstream.states import WireState
from txsslstream.testing import Application, HalfCloseableApplication, Link, Side, perVersion

from .streams import StreamMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from .test_channelbinding import bindings, digestOf, exportedBy
from .test_protocol import RawCreator, RawMixin

Tls12, Tls13 = SslProtocols.Tls12, SslProtocols.Tls13
Unknown, Unique, Endpoint, Exporter = ChannelBindingKind

OTHER_SERVER = AUTHORITY.issue("localhost")
OTHER_CLIENT = AUTHORITY.issue("other@example.com")

ALLOWED: dict[str, Any] = {"allowRenegotiation": True}


def renegotiate(tls: Any) -> None:
    """
    Begin another handshake, as no application of ours can.
    """
    connection = tls.getHandle()
    assert connection.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    tls._flushSendBIO()


def isUnderWay(side: Side) -> bool:
    """
    Whether a side is in the middle of a handshake.
    """
    return isSecretUnique(side.tls.getHandle()) is None


def say(side: Side, data: bytes) -> None:
    """
    Write, and wait for nothing more to write.
    """
    side.tls.write(data)
    side.tls.flush()


class RenegotiationMixin(RawMixin):
    """
    Connections in which either side may renegotiate.
    """

    version = Tls12

    def setUp(self) -> None:
        """
        Have no sessions.
        """
        sessions.clear()

    def allowing(self, **options: Any) -> Iterator[Link]:
        """
        For each role, a connection to one of OpenSSL's own, which shows its
        certificate in each handshake; it is cut at the end, and has left nothing.
        """
        creator = RawCreator(lambda _: None)
        for link in self.raw(creator, **ALLOWED, **options):
            lib.SSL_set_options(
                link.far.tls.getHandle()._ssl, _OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION
            )
            yield link
            self.assertNothingLeft(link)
            self.assertEqual(self.flushLoggedErrors(), [])

    def ours(
        self,
        nearIsServer: bool = False,
        near: Application | None = None,
        far: Application | None = None,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
    ) -> Link:
        """
        A connection between two of ours, both of which allow it.
        """
        link = self.link(
            nearIsServer, near, far, {**ALLOWED, **(client or {})}, {**ALLOWED, **(server or {})}
        )
        link.wire.flush()
        return link

    def assertTalking(self, link: Link) -> None:
        """
        What one side says the other hears.
        """
        for one, other in ((link.near, link.far), (link.far, link.near)):
            del other.application.received[:]
            say(one, b"hello")
            link.wire.flush()
            self.assertEqual(other.application.received, b"hello")


class Allowed(RenegotiationMixin, SynchronousTestCase):
    """
    A peer that may, and does.
    """

    def test_allowed(self) -> None:
        """
        On either role another handshake is had, any number of times, however the
        bytes come; nothing that is known changes, and both go on.
        """
        for segment in (0, 1):
            for link in self.allowing():
                link.wire.segment = segment
                before = link.near.tls.security.asdict()
                connection = link.near.tls.getHandle()
                finished = {connection.get_finished()}
                for _ in range(3):
                    renegotiate(link.far.tls)
                    link.wire.flush()
                    finished.add(connection.get_finished())
                    self.assertTalking(link)
                    self.assertEqual(link.near.tls.security.asdict(), before)
                self.assertEqual(len(finished), 4)
                self.assertIs(link.near.tls.wireState, WireState.open)
                self.assertEqual(link.clock.getDelayedCalls(), [])

    def test_ours(self) -> None:
        """
        So it is between two of ours, where a client has shown a certificate,
        too; the server does not ask for it again.
        """
        for isServer in (False, True):
            link = self.ours(
                isServer,
                client={"clientCertificates": [CLIENT]},
                server={"clientCertificateRequired": True},
            )
            for _ in range(3):
                renegotiate(link.far.tls)
                link.wire.flush()
                self.assertTalking(link)
                self.assertEqual(link.server.tls.remoteCertificate, CLIENT.certificate)
                self.assertEqual(link.client.tls.localCertificate, CLIENT.certificate)
            link.wire.cut()
            self.assertNothingLeft(link)

    def test_anotherServer(self) -> None:
        """
        A server that shows another certificate in a later handshake is refused,
        however good that is, and whether or not it has shown its own once more
        before.
        """
        for isAgain in (False, True):
            for link in self.allowing():
                if link.near.tls.isServer:
                    continue
                far = link.far.tls.getHandle()
                if isAgain:
                    renegotiate(link.far.tls)
                    link.wire.flush()
                    self.assertTalking(link)
                far.use_certificate(OTHER_SERVER.certificate)
                far.use_privatekey(OTHER_SERVER.privateKey)
                renegotiate(link.far.tls)
                link.wire.flush()
                error = self.assertLost(link.near, TlsError)
                self.assertIs(error.alertSent, TlsAlert.bad_certificate)
                self.assertEqual(link.near.tls.remoteCertificate, SERVER.certificate)

    def test_nobodyToAsk(self) -> None:
        """
        Where the beginning of a later handshake is not noticed, or nobody is
        found who could judge, another server is refused all the same, be it in
        the second handshake or in the third.
        """

        def forget(client: Any) -> None:
            del _openssl._engines[_openssl._address(client._ssl)]

        def fail(_: Any) -> None:
            self.patch(TlsEngine, "_noteBeginning", lambda _: 1 // 0)

        for break_, isAgain in product((forget, fail), (False, True)):
            creator = RawCreator(lambda _: None)
            near = (clientOptions(Tls12, **ALLOWED, allowTlsResume=False), Application())
            link = Link(False, near, (creator, Application()))
            link.wire.flush()
            far = link.far.tls.getHandle()
            lib.SSL_set_options(far._ssl, _OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION)
            if isAgain:
                renegotiate(link.far.tls)
                link.wire.flush()
                self.assertTalking(link)
            far.use_certificate(OTHER_SERVER.certificate)
            far.use_privatekey(OTHER_SERVER.privateKey)
            noteBeginning = TlsEngine._noteBeginning
            break_(link.near.tls.getHandle())
            renegotiate(link.far.tls)
            link.wire.flush()
            self.patch(TlsEngine, "_noteBeginning", noteBeginning)
            self.assertLost(link.near, TlsError)
            self.assertEqual(bool(self.flushLoggedErrors(ZeroDivisionError)), break_ is fail)

    def test_anotherServerInTheSession(self) -> None:
        """
        In a connection that goes on with an earlier session, it is the
        certificate of that.
        """
        for certificate in (SERVER, OTHER_SERVER):
            creator = RawCreator(lambda _: None)
            sessions.clear()
            # The session of one that is garbage does not go on.
            links = []
            for isResumed in (False, True):
                near = (clientOptions(Tls12, **ALLOWED), Application())
                link = Link(False, near, (creator, Application()), keepsSessions=True)
                links.append(link)
                link.wire.flush()
                self.assertEqual(link.near.tls.isResumed, isResumed)
            far = link.far.tls.getHandle()
            lib.SSL_set_options(far._ssl, _OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION)
            far.use_certificate(certificate.certificate)
            far.use_privatekey(certificate.privateKey)
            renegotiate(link.far.tls)
            link.wire.flush()
            if certificate is SERVER:
                self.assertTalking(link)
            else:
                error = self.assertLost(link.near, TlsError)
                self.assertIs(error.alertSent, TlsAlert.bad_certificate)

    def test_anotherClient(self) -> None:
        """
        A client that was asked in mid-conversation stays who it is: in later
        handshakes, which are the client's wish, it is not asked again.
        """
        shown: list[Any] = [OTHER_CLIENT, CLIENT]
        link = self.ours(
            True,
            client={
                "clientCertificates": (),
                "localCertificateSelectionCallback": lambda *arguments: (
                    shown.pop() if arguments[3] is not None else None
                ),
            },
        )
        asked = link.near.tls.negotiateClientCertificateAsync()
        link.wire.flush()
        self.successResultOf(asked)
        for _ in range(2):
            renegotiate(link.far.tls)
            link.wire.flush()
            self.assertTalking(link)
            self.assertEqual(link.near.tls.remoteCertificate, CLIENT.certificate)
            self.assertEqual(link.far.tls.localCertificate, CLIENT.certificate)
        self.assertEqual(shown, [OTHER_CLIENT])

    def test_suite(self) -> None:
        """
        What is known of the suite and of the group is that of the latest
        handshake.
        """
        for link in self.allowing():
            context = link.far.tls.getHandle().get_context()
            for suite, name in (
                (TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, b"AES128-GCM-SHA256"),
                (TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, b"AES256-GCM-SHA384"),
            ):
                # As long as a connection has no list of its own.
                lib.SSL_CTX_set_cipher_list(context._context, b"ECDHE-ECDSA-" + name)
                renegotiate(link.far.tls)
                link.wire.flush()
                self.assertIs(link.near.tls.negotiatedCipherSuite, suite)
                self.assertIsNotNone(link.near.tls.keyExchangeGroup)
                self.assertTalking(link)
            link.wire.cut()
            self.assertIs(link.near.tls.negotiatedCipherSuite, suite)

    def test_limit(self) -> None:
        """
        A peer that does nothing else is refused at some point, and the connection
        goes on.
        """
        for link in self.allowing():
            alerts: list[int] = []
            link.far.tls.getHandle().set_info_callback(
                lambda _, where, code, alerts=alerts: (
                    alerts.append(code & 0xFF) if where == SSL.SSL_CB_READ_ALERT else None
                )
            )
            for _ in range(MOST_HANDSHAKES - 2):
                renegotiate(link.far.tls)
                link.wire.flush()
            self.assertEqual(alerts, [])
            self.assertTalking(link)
            for _ in range(2):
                renegotiate(link.far.tls)
                link.near.tls.dataReceived(bytes(link.far.inner.written))
                link.far.inner.written.clear()
                if recordKinds(bytes(link.near.inner.written)) == {ALERT}:
                    break
                link.wire.flush()
            self.assertIs(link.near.tls.wireState, WireState.open)
            if link.near.tls.isServer:
                # Nor is there another for our own sake.
                asked = link.near.tls.negotiateClientCertificateAsync()
                error = self.failure(asked, NotSupportedError)
                self.assertIn("the client cannot be asked: no renegotiation", str(error))
            link.wire.flush()
            # What OpenSSL makes of it is its own affair.
            self.assertEqual(alerts[:1], [TlsAlert.no_renegotiation])


class InTraffic(RenegotiationMixin, SynchronousTestCase):
    """
    Renegotiation in the middle of a conversation.
    """

    def mayBegin(self, side: Side, other: Side) -> bool:
        """
        Whether OpenSSL can begin a handshake now: not in the middle of another,
        nor of a record.
        """
        boundary = RecordBoundary()
        written = other.inner.everWritten
        boundary.feed(bytes(written[: len(written) - len(other.inner.written)]))
        isPending = side.tls.getHandle().renegotiate_pending()
        return not (boundary.isInside or isPending or isUnderWay(side))

    def test_interleaved(self) -> None:
        """
        Whenever either side begins another handshake, whatever both say and
        however it is delivered, nothing is lost and nothing overtakes.
        """
        handshakes = 0
        for seed in range(200):
            random = Random(seed)
            link = self.ours()
            said: dict[Any, bytes] = {link.near: b"", link.far: b""}
            for _ in range(25):
                side = random.choice((link.near, link.far))
                what = random.random()
                if what < 0.45:
                    data = random.randbytes(random.choice((1, 100, 5_000, 40_000)))
                    side.tls.write(data)
                    if random.random() < 0.5:
                        side.tls.flush()
                    said[side] += data
                elif what < 0.6:
                    if self.mayBegin(side, link.far if side is link.near else link.near):
                        renegotiate(side.tls)
                        handshakes += 1
                else:
                    link.wire.segment = random.choice((1, 7, 100, 3_000, 0))
                    for _ in range(random.randrange(40)):
                        link.wire.step()
            link.wire.segment = 0
            link.wire.flush()
            for one, other in ((link.near, link.far), (link.far, link.near)):
                self.assertEqual(bytes(other.application.received), said[one], seed)
                self.assertFalse(isUnderWay(one), seed)
                self.assertEqual(one.tls._appSendBuffer, [])
            link.near.tls.loseConnection()
            link.wire.flush()
            self.assertLost(link.near, ConnectionDone)
            self.assertLost(link.far, ConnectionDone)
            self.assertNothingLeft(link)
        self.assertGreater(handshakes, 300)

    def halfway(self, link: Link) -> None:
        """
        Let the far side's handshake come so far that the near side waits for its
        end.
        """
        renegotiate(link.far.tls)
        link.stepUntil(lambda: isUnderWay(link.near))

    def test_writes(self) -> None:
        """
        What is written meanwhile waits, with its producer, and comes in order.
        """
        for isServer in (False, True):
            link = self.ours(isServer)
            self.halfway(link)
            sent = len(link.near.inner.everWritten)
            for number in range(5):
                say(link.near, b"%d," % number)
            self.assertEqual(len(link.near.inner.everWritten), sent)
            link.wire.flush()
            self.assertEqual(link.far.application.received, b"0,1,2,3,4,")

    def test_close(self) -> None:
        """
        Whoever closes meanwhile has all sent first that was written, and then
        C{close_notify}, when the handshake is over.
        """
        for isServer in (False, True):
            for data in (b"", b"the last word"):
                link = self.ours(isServer)
                self.halfway(link)
                if data:
                    link.near.tls.write(data)
                link.near.tls.loseConnection()
                link.wire.flush()
                self.assertEqual(link.far.application.received, data)
                self.assertLost(link.far, ConnectionDone)
                self.assertLost(link.near, ConnectionDone)
                self.assertNothingLeft(link)

    def test_closeByHalves(self) -> None:
        """
        So it is with the end of the writing side; what is written behind that is
        nothing to anybody.
        """
        for isServer in (False, True):
            for data in (b"", b"the last word"):
                link = self.ours(
                    isServer, near=HalfCloseableApplication(), far=HalfCloseableApplication()
                )
                self.halfway(link)
                if data:
                    say(link.near, data)
                link.near.tls.loseWriteConnection()
                say(link.near, b"too late")
                link.near.tls.writeNow(b"x" * 100_000)
                link.wire.flush()
                self.assertEqual(link.far.application.received, data)
                self.assertEqual(link.far.application.events[-1], "end")
                say(link.far, b"answer")
                link.wire.flush()
                self.assertEqual(link.near.application.received, b"answer")

    def test_stalled(self) -> None:
        """
        A peer that begins a handshake and does not end it cannot keep the
        connection from being closed.
        """
        for isServer in (False, True):
            for data in (b"", b"the last word"):
                link = self.ours(isServer)
                self.halfway(link)
                if data:
                    say(link.near, data)
                link.far.inner.written.clear()
                link.far.inner.pauseProducing()
                link.near.tls.loseConnection()
                link.wire.flush()
                self.assertTrue(link.near.inner.connected)
                link.clock.advance(5)
                link.wire.flush()
                self.assertFalse(link.near.inner.connected)
                link.far.inner.resumeProducing()
                self.assertNothingLeft(link)

    def test_lost(self) -> None:
        """
        A connection that is lost meanwhile leaves nothing.
        """
        for isServer in (False, True):
            link = self.ours(isServer)
            self.halfway(link)
            say(link.near, b"data")
            link.wire.cut()
            self.assertNothingLeft(link)
            self.assertEqual(link.clock.getDelayedCalls(), [])

    def test_noAsking(self) -> None:
        """
        While the client renegotiates it cannot be asked; afterwards it can.
        """
        link = self.ours(True, client={"clientCertificates": [CLIENT]})
        self.halfway(link)
        error = self.failure(link.near.tls.negotiateClientCertificateAsync(), InvalidOperationError)
        self.assertIn("another handshake is under way", str(error))
        link.wire.flush()
        self.assertTalking(link)
        asked = link.near.tls.negotiateClientCertificateAsync()
        link.wire.flush()
        self.successResultOf(asked)
        self.assertEqual(link.near.tls.remoteCertificate, CLIENT.certificate)

    def test_crossing(self) -> None:
        """
        A client that begins a handshake of its own when it is being asked answers
        in that.
        """
        link = self.ours(True, client={"clientCertificates": [CLIENT]})
        renegotiate(link.far.tls)
        asked = link.near.tls.negotiateClientCertificateAsync()
        link.wire.flush()
        self.successResultOf(asked)
        self.assertEqual(link.near.tls.remoteCertificate, CLIENT.certificate)
        self.assertTalking(link)


@perVersion()
class Bindings(StreamMixin):
    """
    Channel bindings after a client was asked.
    """

    def test_bindings(self) -> None:
        """
        Both ends have the same.  In TLS 1.3 nothing has changed; before, the
        latest handshake counts, and the server, which has shown that it
        renegotiates, has no C{Exporter} any more.
        """
        opened = self.opened(True, theirs={**ALLOWED, "clientCertificates": [CLIENT]})
        ends = (opened.ours, opened.theirs)
        before = bindings(Unique, *ends), bindings(Exporter, *ends), [*map(exportedBy, ends)]
        asked = opened.ours.negotiateClientCertificateAsync()
        opened.flush()
        self.successResultOf(asked)
        after = bindings(Unique, *ends), bindings(Exporter, *ends), [*map(exportedBy, ends)]
        self.assertEqual(bindings(Endpoint, *ends), [digestOf(SERVER)] * 2)
        for one, other in (after[0], after[2]):
            self.assertEqual(one, other)
        self.assertIsInstance(after[2][0], bytes)
        if self.version is Tls13:
            self.assertEqual(after, before)
            self.assertIsInstance(after[1][0], ChannelBinding)
        else:
            self.assertIsInstance(before[1][0], ChannelBinding)
            self.assertEqual(after[1], [NotSupportedError] * 2)
            self.assertIsInstance(after[0][0], ChannelBinding)
            self.assertNotEqual(after[0], before[0])
            self.assertNotEqual(after[2], before[2])


class Sessions(RenegotiationMixin, SynchronousTestCase):
    """
    The sessions of renegotiated connections.
    """

    def connected(self) -> Link:
        """
        A connection to a server that keeps its sessions.
        """
        link = Link(
            False,
            (clientOptions(Tls12, **ALLOWED), Application()),
            (serverOptions(Tls12, **ALLOWED), Application()),
            self.segment,
            keepsSessions=True,
        )
        link.wire.flush()
        return link

    def test_kept(self) -> None:
        """
        Whenever a renegotiated connection ends, the next goes on with a session
        of it that is whole.
        """
        for size in range(0, 4000, 50):
            sessions.clear()
            link = self.connected()
            renegotiate(link.far.tls)
            link.wire.segment = 50
            for _ in range(size // 50):
                link.wire.step()
            isOver = not link.wire.client.written and not link.wire.server.written
            link.wire.cut(ConnectionDone)
            ((purpose, kept),) = sessions._sessions.items()
            if isOver:
                # That of the first handshake, and that of the second.
                self.assertEqual(len(kept), 2)
            for session in tuple(kept):
                sessions.clear()
                sessions.keep(purpose, session)
                link = self.connected()
                self.assertTrue(link.near.tls.isResumed)
                self.assertTrue(link.far.tls.isResumed)
                link.wire.cut(ConnectionDone)
        self.assertTrue(isOver)
