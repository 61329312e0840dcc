# -*- test-case-name: tests.test_conformance -*-
"""
Conformance: how two streams come to be authenticated, and how they do not.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred

from ..enums import (
    ChannelBindingKind,
    SslPolicyErrors,
    SslProtocols,
    TlsAlert,
    X509ChainStatusFlags,
)
from ..errors import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeTimeout,
    InvalidOperationError,
    NotSupportedError,
)
from .authority import Authority, sharedAuthority
from .conforming import (
    ConformanceCase,
    Talk,
    behaviour,
    everything,
    expect,
    expectRaises,
    expectWaiting,
    forget,
    stranger,
)
from .foreign import PythonEcho, pythonContext
from .outcomes import failureOf, refusalOf, resultOf


class Authenticating(ConformanceCase):
    """
    Tests for handshakes that come to an end.
    """

    def facingPython(self) -> Talk:
        """
        @return: an authenticated stream, and another implementation.
        """
        context = pythonContext(sharedAuthority(), self.version, not self.isServer)
        talk = self.alone(PythonEcho(context, not self.isServer))
        authenticated = self.authenticate(talk.ours, self.options(self.isServer))
        talk.flush()
        expect(resultOf(authenticated), talk.ours)
        return talk

    @behaviour(1)
    def test_anotherImplementation(self) -> None:
        """
        What is written to another implementation comes back from it, and it
        answers when the stream is closed.
        """
        talk = self.facingPython()
        resultOf(talk.ours.write(b"x"))
        talk.flush()
        expect(resultOf(talk.ours.read()), b"x")
        closing = talk.ours.close()
        expect(talk.theirs.isEnded, False)
        talk.flush()
        expect(talk.theirs.isEnded, True)
        expect(resultOf(closing), None)
        talk.expectGone()

    @behaviour(4)
    def test_endOfAnotherImplementation(self) -> None:
        """
        Where another implementation unwraps its socket the stream ends.
        """
        talk = self.facingPython()
        reading = talk.ours.read()
        talk.theirs.end()
        talk.flush()
        for each in (reading, talk.ours.read()):
            expect(resultOf(each), b"")
        talk.ours.close()
        talk.expectGone()

    @behaviour(2)
    def test_unknownAuthority(self) -> None:
        """
        A peer from an authority that we do not trust is refused, with all that
        is wrong and the alert on the error, which the peer hears.
        """
        for authority, isGood in ((stranger(), False), (sharedAuthority(), True)):
            talk, ours, theirs = self.showing(authority)
            talk.flush()
            if isGood:
                expect([resultOf(each) for each in (ours, theirs)], [talk.ours, talk.theirs])
                continue
            error = refusalOf(
                ours,
                sslPolicyErrors=SslPolicyErrors.RemoteCertificateChainErrors,
                chainStatus=X509ChainStatusFlags.PartialChain,
                alertSent=TlsAlert.unknown_ca,
            )
            expect(error.alert, None)
            expect(self.hears(talk, theirs).alert, TlsAlert.unknown_ca)
            talk.expectGone()

    def showing(self, authority: Authority) -> tuple[Talk, Deferred[Any], Deferred[Any]]:
        """
        A peer with a certificate from this authority, and we want to see it.
        """
        if self.isServer:
            return self.begun(
                {"clientCertificateRequired": True},
                {"clientCertificates": [authority.clientCertificate]},
            )
        return self.begun(None, {"serverCertificate": authority.serverCertificate})

    @behaviour(3)
    def test_anotherHost(self) -> None:
        """
        A good certificate for another host is refused for its name alone.
        """
        elsewhere = {"targetHost": "elsewhere.example"}
        talk, ours, theirs = self.begun(*self.sides(client=elsewhere))
        talk.flush()
        client, server = (theirs, ours) if self.isServer else (ours, theirs)
        refusalOf(
            client,
            sslPolicyErrors=SslPolicyErrors.RemoteCertificateNameMismatch,
            chainStatus=X509ChainStatusFlags.NoError,
            alertSent=TlsAlert.bad_certificate,
        )
        refusalOf(server, sslPolicyErrors=SslPolicyErrors.None_, alert=TlsAlert.bad_certificate)
        talk.expectGone()

    @behaviour(5)
    def test_twice(self) -> None:
        """
        A stream is authenticated once: trying again fails and harms nothing.
        """
        talk = self.opened()
        for isServer in (False, True):
            again = self.authenticate(talk.ours, self.options(isServer))
            failureOf(again, InvalidOperationError)
        talk.expectUsable()

    @behaviour(6)
    def test_manyCallers(self) -> None:
        """
        There is one handshake, whoever else wants to begin one, read or write
        meanwhile, and however many wait for it.
        """
        talk, ours, theirs = self.begun()
        waiting = [talk.ours.whenAuthenticated() for _ in range(3)]
        for early in (
            self.authenticate(talk.ours, self.options(talk.near)),
            talk.ours.read(),
            talk.ours.write(b"x"),
        ):
            failureOf(early, InvalidOperationError)
        expectWaiting(ours, *waiting)
        talk.flush()
        for each in (ours, *waiting, talk.ours.whenAuthenticated()):
            expect(resultOf(each), talk.ours)
        expect(resultOf(theirs), talk.theirs)
        talk.expectUsable()

    @behaviour(7)
    def test_notByItself(self) -> None:
        """
        Reading and writing do not begin a handshake: they fail, and nothing is
        sent.
        """
        talk = self.pair()
        before = talk.wire.sent(talk.near)
        for early in everything(talk.ours):
            failureOf(early, InvalidOperationError)
        talk.flush()
        expect(talk.wire.sent(talk.near), before)

    @behaviour(8)
    def test_inspection(self) -> None:
        """
        What is negotiated can be read when it is, and not before; what there is
        not is C{None} then.
        """
        talk, ours, theirs = self.begun()
        for name in ("sslProtocol", "negotiatedCipherSuite", "remoteCertificate", "security"):
            expectRaises(InvalidOperationError, getattr, talk.ours, name)
        talk.flush()
        resultOf(ours), resultOf(theirs)
        expect(talk.ours.sslProtocol, self.version)
        expect(talk.ours.negotiatedApplicationProtocol, None)
        expect(talk.ours.localCertificate is None, not self.isServer)
        expect(talk.ours.security.asdict()["sslProtocol"], self.version.name)

    @behaviour(9)
    def test_attributes(self) -> None:
        """
        A stream has its own attributes alone; an application's transport has
        those of the transport below as well.
        """
        talk = self.opened()
        for name in ("loseConnection", "noSuchThing"):
            expectRaises(AttributeError, getattr, talk.ours, name)
        applications = self.connected()
        transport = applications.ours.transport
        expect(transport.getPeer(), transport.transport.getPeer())
        expectRaises(AttributeError, getattr, transport, "noSuchThing")

    def sides(self, client: Any = None, server: Any = None) -> tuple[Any, Any]:
        """
        @return: our options and the other end's.
        """
        return (server, client) if self.isServer else (client, server)

    @behaviour(10)
    def test_applicationProtocols(self) -> None:
        """
        Both sides tell the same application protocol, the server's favourite, or
        none if one has no list; lists without anything in common are refused.
        """
        for ask, answer, agreed in (
            (["http/1.1", "h2"], ["h2", "http/1.1"], "h2"),
            ([], ["h2"], None),
            (["h2"], [], None),
        ):
            talk = self.opened(
                *self.sides({"applicationProtocols": ask}, {"applicationProtocols": answer})
            )
            for stream in (talk.ours, talk.theirs):
                found = stream.negotiatedApplicationProtocol
                expect(None if found is None else str(found), agreed)
        talk, ours, theirs = self.begun(
            *self.sides({"applicationProtocols": ["h2"]}, {"applicationProtocols": ["http/1.1"]})
        )
        talk.flush()
        client, server = (theirs, ours) if self.isServer else (ours, theirs)
        refusalOf(server, alertSent=TlsAlert.no_application_protocol)
        refusalOf(client, alert=TlsAlert.no_application_protocol)

    @behaviour(11)
    def test_channelBindings(self) -> None:
        """
        Both ends have the same channel bindings, another connection has others,
        and what is unknown or not defined is refused.
        """
        kinds = [ChannelBindingKind.Exporter]
        if self.version is SslProtocols.Tls12:
            kinds.append(ChannelBindingKind.Unique)
        talks = self.opened(), self.opened()
        for kind in kinds:
            found = [
                bytes(stream.transportContext.getChannelBinding(kind))
                for talk in talks
                for stream in (talk.ours, talk.theirs)
            ]
            expect((found[0], found[2]), (found[1], found[3]))
            expect(found[0] == found[2], False)
        context = talks[0].ours.transportContext
        endpoint = ChannelBindingKind.Endpoint
        expect(
            context.getChannelBinding(endpoint),
            talks[1].theirs.transportContext.getChannelBinding(endpoint),
        )
        expectRaises(ValueError, context.getChannelBinding, 5)
        if self.version is SslProtocols.Tls13:
            expectRaises(NotSupportedError, context.getChannelBinding, ChannelBindingKind.Unique)

    @behaviour(12)
    def test_certificates(self) -> None:
        """
        A client knows the server's certificate, and a server none for which it
        has not asked.
        """
        authority = sharedAuthority()
        mine = {"clientCertificates": [authority.clientCertificate]}
        for isAsked, seen in ((False, None), (True, authority.clientCertificate.certificate)):
            talk = self.opened(*self.sides(mine, {"clientCertificateRequired": isAsked}))
            expect(talk.client.remoteCertificate, authority.serverCertificate.certificate)
            expect(talk.server.remoteCertificate, seen)
            expect(talk.client.localCertificate, seen)
            expect(talk.ours.isMutuallyAuthenticated, isAsked)

    def named(self, host: str, onWire: str) -> None:
        """
        A client names a host, and what arrives is what it should be.
        """
        asked: list[str] = []

        def choose(_: Any, name: str) -> Any:
            asked.append(name)
            return sharedAuthority().issue(onWire, subject="somebody")

        talk = self.opened(
            *self.sides({"targetHost": host}, {"serverCertificateSelectionCallback": choose})
        )
        expect(len(asked), 1)
        expect(talk.server.targetHostName, asked[0])
        names = talk.client.remoteCertificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        expect(names.value.get_values_for_type(x509.DNSName), [onWire])
        expect(asked[0], host)

    @behaviour(13)
    def test_internationalName(self) -> None:
        """
        An international name is looked for in its form on the wire, and shown as
        it is written.
        """
        self.named("b\xfccher.example", "xn--bcher-kva.example")
        talk, ours, theirs = self.begun(*self.sides({"targetHost": "b\xfccher.example"}))
        talk.flush()
        client, server = (theirs, ours) if self.isServer else (ours, theirs)
        refusalOf(client, sslPolicyErrors=SslPolicyErrors.RemoteCertificateNameMismatch)
        refusalOf(server, alert=TlsAlert.bad_certificate)

    @behaviour(14)
    def test_hostNames(self) -> None:
        """
        The shortest and the longest labels come to the server as they are.
        """
        for host in ("a", "a" * 63):
            self.named(host, host)

    @behaviour(15)
    def test_noHostName(self) -> None:
        """
        A client that names no host has the server's callback called once, with
        no name; if that has nothing, both are told so.
        """
        asked: list[str] = []
        talk, ours, theirs = self.begun(
            *self.sides(
                {"targetHost": "127.0.0.1"},
                {"serverCertificateSelectionCallback": lambda _, name: asked.append(name)},
            )
        )
        talk.flush()
        expect(asked, [""])
        client, server = (theirs, ours) if self.isServer else (ours, theirs)
        refusalOf(server, alertSent=TlsAlert.unrecognized_name)
        refusalOf(client, alert=TlsAlert.unrecognized_name)

    @behaviour(16)
    def test_conflicts(self) -> None:
        """
        Options that contradict each other are refused before anything is sent,
        and the stream can still be authenticated.
        """
        talk = self.pair()
        before = talk.wire.sent(talk.near)
        options = self.options(self.isServer)
        method = talk.ours.authenticateAsServer if self.isServer else talk.ours.authenticateAsClient
        again = (
            {"clientCertificateRequired": True} if self.isServer else {"clientCertificates": [1]}
        )
        failureOf(method(options, **again), InvalidOperationError)
        failureOf(method(options, enabledSslProtocols=self.version), InvalidOperationError)
        talk.flush()
        expect(talk.wire.sent(talk.near), before)
        both = method(options), self.authenticate(talk.theirs, self.options(talk.far))
        talk.flush()
        expect([resultOf(each) for each in both], [talk.ours, talk.theirs])

    @behaviour(17)
    def test_badCallbacks(self) -> None:
        """
        A server's callback may choose any options; if it raises, or answers
        something else, the client gets an alert.
        """

        def fails(*_: object) -> Any:
            raise ZeroDivisionError

        def garbage(*_: object) -> Any:
            return "no options"

        for select in (fails, garbage):
            for server in (select, {"serverCertificateSelectionCallback": select}):
                talk, ours, theirs = self.begun(*self.sides(None, server))
                talk.flush()
                one, other = (theirs, ours) if self.isServer else (ours, theirs)
                error = failureOf(other, AuthenticationError)
                expect((error.__cause__ is None, error.alertSent is None), (False, False))
                refusalOf(one, alert=error.alertSent)
                talk.expectGone()
        talk = self.opened(*self.sides(None, lambda *_: self.options(True)))
        talk.expectUsable()

    @behaviour(18)
    def test_missingCertificate(self) -> None:
        """
        A client without a certificate where one is required is refused: both
        fail, and the connection is gone.
        """
        talk, ours, theirs = self.begun(*self.sides(None, {"clientCertificateRequired": True}))
        talk.flush()
        client, server = (theirs, ours) if self.isServer else (ours, theirs)
        error = refusalOf(server, sslPolicyErrors=SslPolicyErrors.RemoteCertificateNotAvailable)
        if self.version is SslProtocols.Tls13:
            expect(error.alertSent, TlsAlert.certificate_required)
            # It had finished already.
            client = resultOf(client).read()
        else:
            expect(error.alertSent, TlsAlert.handshake_failure)
        refusalOf(client, alert=error.alertSent)
        talk.expectGone()

    @behaviour(19)
    def test_askedLater(self) -> None:
        """
        A server may ask for the client's certificate in mid-conversation: it
        gets one, or hears that there is none or that it cannot ask.
        """
        certificate = sharedAuthority().clientCertificate
        has = {"allowRenegotiation": True, "clientCertificates": [certificate]}
        for answer, shown in ((certificate, certificate.certificate), (None, None)):
            chosen = {**has, "localCertificateSelectionCallback": lambda *_: answer}  # noqa: B023
            talk = self.opened(*self.sides(chosen))
            talk.expectUsable()
            asking = talk.server.negotiateClientCertificateAsync()
            talk.flush()
            if shown is None:
                refusalOf(asking, sslPolicyErrors=SslPolicyErrors.RemoteCertificateNotAvailable)
                continue
            expect(resultOf(asking), None)
            expect(talk.server.remoteCertificate, shown)
            talk.expectUsable()
        if self.version is SslProtocols.Tls13:
            talk = self.opened()
            failureOf(talk.server.negotiateClientCertificateAsync(), NotSupportedError)
            talk.expectUsable()

    @behaviour(20)
    def test_timeouts(self) -> None:
        """
        A time-out that is not positive is refused where it is set.
        """
        talk = self.pair()
        names = ("readTimeout", "writeTimeout", "handshakeTimeout", "shutdownTimeout")
        for name in names:
            for wrong in (0, -1, float("nan")):
                expectRaises(ValueError, setattr, talk.ours, name, wrong)
            setattr(talk.ours, name, 0.5)
            expect(getattr(talk.ours, name), 0.5)
        expectRaises(ValueError, lambda: self.options(self.isServer, {"handshakeTimeout": 0}))

    @behaviour(21)
    def test_tooLong(self) -> None:
        """
        A handshake that takes too long fails with what it was allowed to take,
        and the connection is gone.
        """
        talk, ours, theirs = self.begun({"handshakeTimeout": 7})
        talk.wire.stall(talk.far)
        forget(theirs)
        talk.wire.advance(6.9)
        expectWaiting(ours)
        talk.wire.advance(0.1)
        expect("7 s" in str(failureOf(ours, HandshakeTimeout)), True)
        talk.wire.release(talk.far)
        talk.expectGone()

    @behaviour(22)
    def test_cancelled(self) -> None:
        """
        Cancelling an authentication ends the connection, and the time-out.
        """
        talk, ours, theirs = self.begun()
        talk.wire.stall(talk.far)
        talk.flush()
        ours.cancel()
        failureOf(ours, HandshakeCancelled)
        talk.wire.release(talk.far)
        talk.expectGone()
        # A client of TLS 1.3 may have finished before.
        theirs.addErrback(lambda failure: failure.trap(AuthenticationError))
        expect(theirs.called, True)
        expect(talk.wire.clock.getDelayedCalls(), [])
