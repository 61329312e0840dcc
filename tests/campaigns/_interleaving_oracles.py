"""
What has to be so in every run of L{tests.campaigns.interleavings}, whatever was
done: see there for it in words.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from txsslstream import (
    AuthenticationError,
    HandshakeCancelled,
    HandshakeTimeout,
    InvalidOperationError,
    ReadTimeout,
    SslPolicyErrors,
    SslProtocols,
    WriteTimeout,
)

from . import _interleaving_material as material
from ._interleaving_ends import ERRORS, Operation
from ._interleaving_ends import Witness as End

#: What a run's own callbacks and handlers give reason to log.
_OWN_REASONS = (
    "a callback's Deferred failed to be cancelled",
    "the handler of a stream failed",
)


class Judge:
    """
    Writes down what is not as it has to be.

    @ivar complaints: what that is.
    """

    def __init__(self, run: Any) -> None:
        self.complaints: list[str] = []
        self._run = run

    def release(self) -> None:
        """
        Forget the run.
        """
        self._run = None

    def complain(self, text: str) -> None:
        """
        Something is not as it has to be.
        """
        self._run.note(f"  VIOLATION: {text}")
        self.complaints.append(text)

    def logged(self, event: dict[str, Any]) -> None:
        """
        An error was logged.
        """
        text = str(event.get("log_format") or event.get("log_text") or event)
        if not any(reason in text for reason in _OWN_REASONS):
            failure = event.get("log_failure")
            what = "" if failure is None else f": {failure.type.__name__}: {failure.value}"
            self.complain(f"logged: {text}{what}")

    # While it runs.

    def failed(self, end: End, operation: Operation, error: Any) -> None:
        """
        An operation has failed: only with what is documented, and for a reason.
        """
        kind = type(error)
        name = f"{end.side}: {operation.name}"
        if kind is CancelledError:
            if not operation.isCancelled:
                self.complain(f"{name} failed with CancelledError, and nobody has cancelled it")
        elif kind not in ERRORS[operation.name]:
            self.complain(f"{name} failed with {kind.__name__}, which is not documented: {error}")
        now = self._run.clock.seconds()
        if kind is ReadTimeout and now - operation.began < (end.plan.readTimeout or 1e9):
            self.complain(f"{name} timed out early")
        if kind is WriteTimeout and now < (end.plan.writeTimeout or 1e9):
            self.complain(f"{name} timed out early")
        if kind is HandshakeTimeout and now - end.began < (end.plan.handshakeTimeout or 1e9):
            self.complain(f"{name}: the handshake timed out early")
        if kind is HandshakeCancelled and not (
            end.hasClosed
            or end.hasShut
            or any(each.isCancelled for each in end.operations)
            or any(each.name == "shutdown" for each in end.operations)
        ):
            self.complain(f"{name} was cancelled by nobody")
        if isinstance(error, (ReadTimeout, WriteTimeout, HandshakeTimeout)):
            self._run.disturbed(kind.__name__)
        if operation.name == "negotiate" and isinstance(error, AuthenticationError):
            self._run.disturbed("the client was refused in mid-conversation")

    def presented(self, end: End, certificate: Any, errors: SslPolicyErrors) -> None:
        """
        Somebody is asked about the peer: what that has shown is told, and what is
        wrong with it.
        """
        plan = self._run.plan
        expected = SslPolicyErrors.None_
        if certificate is None:
            wasAsked = plan.isMutual or end.outcome == "authenticated"
            if not end.isServer or wasAsked:
                expected = SslPolicyErrors.RemoteCertificateNotAvailable
        elif plan.isBad and not end.isServer:
            expected = SslPolicyErrors.RemoteCertificateNameMismatch
        # What was changed under way may still be a certificate, of somebody else.
        if errors != expected and "corrupt" not in self._run.disturbances:
            self.complain(f"{end.side}: asked about a peer with {errors!r}, not {expected!r}")

    def authenticated(self, end: End) -> None:
        """
        An end is authenticated: nobody objects, and nobody is still to be asked.
        """
        callbacks = end.callbacks
        plan = self._run.plan
        if callbacks.objections:
            self.complain(f"{end.side}: authenticated in spite of {callbacks.objections}")
        if any(each.isWanted for each in callbacks.decisions):
            self.complain(f"{end.side}: authenticated before a decision")
        validates = "validation" in end.plan.asks
        if validates and not callbacks.accepted:
            self.complain(f"{end.side}: authenticated without the callback's consent")
        if plan.isBad and not end.isServer and not validates:
            self.complain("client: a certificate for another name was accepted")
        isOwed = plan.isMutual and end.isServer and not validates
        if isOwed and end.stream is not None and end.stream.remoteCertificate is None:
            self.complain("server: no certificate was accepted for one")
        if end.hasClosed and end.plan.kind == "stream":
            self.complain(f"{end.side}: authenticated after it was closed")

    def heard(self, end: End, data: bytes) -> None:
        """
        Data was delivered: after the authentication, and what the other has said
        next.
        """
        if end.outcome != "authenticated":
            self.complain(f"{end.side}: data was delivered before the authentication")
        other = self._run.other(end)
        expected = material.said(other.side, end.heard, len(data))
        if data != expected:
            self.complain(f"{end.side}: something else was delivered than was written")
        elif end.heard + len(data) > other.said:
            self.complain(f"{end.side}: more was delivered than was written")
        if end.isCleanlyEnded:
            self.complain(f"{end.side}: data was delivered behind the end")

    def ended(self, end: End) -> None:
        """
        The end was said to be one without anything missing.
        """
        other = self._run.other(end)
        isAmbiguous = not end.plan.requiresCloseNotify or self._run.isImpersonated
        if end.heard != other.said and not isAmbiguous:
            self.complain(f"{end.side}: a clean end after {end.heard} bytes of {other.said}")

    def inspect(self, end: End) -> None:
        """
        The properties are true.
        """
        stream = end.stream
        if stream is None:
            return
        isAuthenticated = end.outcome == "authenticated"
        if stream.isAuthenticated and not isAuthenticated and end.outcome is not None:
            self.complain(f"{end.side}: isAuthenticated after {end.outcome.__name__}")
        if isAuthenticated != bool(stream.isAuthenticated) and end.outcome is not None:
            self.complain(f"{end.side}: isAuthenticated is {stream.isAuthenticated}")
        repr(stream)
        if not stream.isAuthenticated:
            self._inspectStranger(end, stream)
            return
        plan = self._run.plan
        security = stream.security
        remote, local = security.remoteCertificate, security.localCertificate
        certificates = [
            material.identity(name).certificate
            for name in (material.CLIENT, material.SERVER, material.ELSEWHERE)
        ]
        ours = material.serverIdentity(plan).certificate
        truths = {
            "isServer": end.isServer,
            "isEncrypted": True,
            "isSigned": True,
            "sslProtocol": plan.version,
            "isMutuallyAuthenticated": remote is not None and local is not None,
        }
        for name, value in truths.items():
            if getattr(security, name) != value:
                self.complain(f"{end.side}: {name} is {getattr(security, name)!r}")
        if end.isServer:
            isTrue = local == ours and remote in (None, certificates[0])
        else:
            isTrue = remote == ours and local in (None, certificates[0])
        if not isTrue:
            self.complain(f"{end.side}: the certificates are {local} and {remote}")
        if end.transport.losses and (stream.canRead or stream.canWrite):
            self.complain(f"{end.side}: can read or write without a connection")

    def _inspectStranger(self, end: End, stream: Any) -> None:
        if end.callbacks.decisions or end.outcome is None:
            # While somebody decides something is known.
            return
        try:
            stream.sslProtocol  # noqa: B018
        except (InvalidOperationError, AuthenticationError):
            return
        self.complain(f"{end.side}: properties without authentication")

    # At the end.

    def settled(self) -> None:
        """
        Everything has arrived, and every question that will be answered is.  If
        nobody has disturbed it, both are authenticated, or have been told why
        not.
        """
        run = self._run
        ends = run.client, run.server
        if run.disturbances or not all(end.hasBegun for end in ends):
            return
        if self._isAnsweredNever():
            return
        run.counts["judged: authentication"] += 1
        mayFail = run.plan.isBad or any(end.callbacks.objections for end in ends)
        owes = run.plan.isMutual and "validation" not in run.server.plan.asks
        mayFail = mayFail or (
            owes and (not run.plan.hasIdentity or "selection" in run.client.plan.asks)
        )
        for end in ends:
            if end.outcome != "authenticated" and not mayFail:
                self.complain(f"{end.side}: not authenticated, although nobody objects")
            other = run.other(end)
            isTold = end.plan.kind != "stream" and end.isServer
            # Who has said nothing yet, and keeps the transport, keeps silent.
            isLeft = other.plan.leavesOpen and other.error == (None, None)
            if end.outcome is None and not isTold and not isLeft:
                self.complain(f"{end.side}: the authentication hangs")
        self._toldEachOther(run.client, run.server)
        self._toldEachOther(run.server, run.client)
        if run.server.outcome == "authenticated" and run.client.outcome != "authenticated":
            self.complain("the server is authenticated, and the client is not")
        isOld = run.plan.version is SslProtocols.Tls12
        if isOld and run.client.outcome == "authenticated" != run.server.outcome:
            self.complain("the client is authenticated, and the server is not")
        if run.client.outcome == run.server.outcome == "authenticated":
            self._agree(run.client.stream, run.server.stream)

    def _isAnsweredNever(self) -> bool:
        return any(
            each.behaviour.when == "never"
            for end in self._run.ends
            for each in end.callbacks.decisions
        )

    def _agree(self, client: Any, server: Any) -> None:
        if self._run.server.negotiations:
            return
        for name in ("isMutuallyAuthenticated", "isResumed", "negotiatedCipherSuite"):
            if getattr(client, name) != getattr(server, name):
                self.complain(f"the two do not agree: {name}")
        if client.localCertificate != server.remoteCertificate:
            self.complain("the two do not agree about the client's certificate")

    def _toldEachOther(self, one: End, other: End) -> None:
        """
        Whom one has told, that has heard it.
        """
        if one.error is None or one.error[1] is None or other.outcome == "authenticated":
            return
        if other.error is not None and other.error[0] is None and other.error[1] is None:
            self.complain(f"{other.side}: was not told {one.error[1].name}")
        if other.error is not None and other.error[0] not in (None, one.error[1]):
            self.complain(f"{other.side}: was told {other.error[0].name}, not {one.error[1].name}")

    def heardAll(self) -> None:
        """
        Both have said all they want, and closed in good order.  If nobody has
        disturbed it, everything has arrived.
        """
        run = self._run
        # In mid-conversation, too, whoever objects ends it.
        if run.disturbances or any(end.callbacks.objections for end in run.ends):
            return
        if self._isAnsweredNever():
            return
        for end in run.ends:
            other = run.other(end)
            if end.outcome != "authenticated" or end.hasClosed or other.outcome != "authenticated":
                continue
            run.counts["judged: everything arrived"] += 1
            if end.heard != other.said:
                self.complain(f"{end.side}: only {end.heard} bytes of {other.said} have arrived")
            if not end.isCleanlyEnded:
                self.complain(f"{end.side}: no clean end, but {end.lastError}")

    def over(self) -> None:
        """
        The connection is gone: nothing is left.
        """
        run = self._run
        for end in (run.client, run.server):
            for operation in end.operations:
                if operation.firings != 1:
                    self.complain(
                        f"{end.side}: {operation.name} has fired {operation.firings} times"
                    )
            for decision in end.callbacks.decisions:
                if decision.isWanted:
                    self.complain(f"{end.side}: a question for {decision.what} is still open")
            self._overFor(end)
        for call in run.clock.getDelayedCalls():
            name = getattr(call.func, "__qualname__", call.func)
            self.complain(f"a timer is left: {name}")

    def _overFor(self, end: End) -> None:
        if end.transport.connected and end.transport.protocol is not None:
            self.complain(f"{end.side}: the transport is still connected")
        if end.transport.protocol is not None and end.transport.losses != 1:
            self.complain(f"{end.side}: the transport has ended {end.transport.losses} times")
        if end.plan.kind == "push" and end.losses != (end.outcome == "authenticated"):
            self.complain(f"{end.side}: the application was lost {end.losses} times")
        if end.plan.kind == "stream" and end.bystander.lost is None:
            self.complain(f"{end.side}: the former protocol has not heard of the end")
        self.inspect(end)
