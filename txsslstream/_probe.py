# -*- test-case-name: tests.test_probe -*-
"""
Looking at a server: connections that are accepted whatever is wrong, and what a
client with the default judgement would have made of them.

Nothing but the dialogue of STARTTLS and the handshake is ever said: the
connections are closed as soon as they are authenticated.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, TimeoutError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from ._dialogues import PlainText, Service, StartTlsError, startTls
from .certificates import SslStreamCertificateContext
from .chain import X509Chain, alertFor
from .enums import SslPolicyErrors, TlsAlert, X509RevocationMode
from .errors import AuthenticationError, HandshakeFailureReason
from .names import nameProblem
from .options import SslClientAuthenticationOptions
from .security import SecurityInfo
from .stream import SslStream

_T = TypeVar("_T")

#: Seconds that a server may take to say after the handshake that it refuses the
#: client, to send tickets, and to answer to C{close_notify}.
LINGER = 2.0

#: Bytes that it may send of its own accord meanwhile, such as a greeting.
_MOST_UNASKED = 64 * 1024

#: Why a handshake fails with somebody who may not be there at all.
_ABSENT = frozenset(
    {
        HandshakeFailureReason.timeout,
        HandshakeFailureReason.connectionLost,
        HandshakeFailureReason.notTls,
    }
)


class Unreachable(Exception):
    """
    There is no connection, or no TLS on it; the message says why.
    """


@dataclass(frozen=True)
class Plan:
    """
    What is to be looked at.

    @ivar host: where it is, for people.
    @ivar port: the TCP port.
    @ivar options: a client's, whose judgement is wanted.
    @ivar service: what is spoken before TLS, if anything.
    @ivar timeout: seconds to connect; and as many for the dialogue before TLS,
        and for the handshake.
    """

    host: str
    port: int
    options: SslClientAuthenticationOptions
    service: Service | None
    timeout: float


@dataclass
class Sight:
    """
    What was seen of one connection.

    @ivar address: the peer's.
    @ivar certificate: the server's, if it has shown one.
    @ivar chain: the chain that was built for it.
    @ivar isAsked: whether the server wanted a certificate.
    @ivar acceptableIssuers: whom it wanted that from.
    @ivar security: what was negotiated, if the handshake was finished.
    @ivar failure: why it was not, or why the server refused the client after
        it.
    """

    address: str = ""
    certificate: x509.Certificate | None = None
    chain: X509Chain | None = None
    isAsked: bool = False
    acceptableIssuers: Sequence[str] = ()
    security: SecurityInfo | None = None
    failure: AuthenticationError | None = None

    def validate(
        self,
        stream: object,
        certificate: x509.Certificate | None,
        chain: X509Chain | None,
        sslPolicyErrors: SslPolicyErrors,
    ) -> bool:
        """
        A C{remoteCertificateValidationCallback} that refuses nobody.
        """
        self.certificate = certificate
        self.chain = chain
        return True

    def select(
        self,
        stream: object,
        targetHost: str,
        localCertificates: Sequence[SslStreamCertificateContext],
        remoteCertificate: x509.Certificate | None,
        acceptableIssuers: Sequence[str],
    ) -> SslStreamCertificateContext | None:
        """
        A C{localCertificateSelectionCallback} that shows what there is.
        """
        # Before the hello it is asked as well.
        if remoteCertificate is not None:
            self.isAsked = True
            self.acceptableIssuers = tuple(acceptableIssuers)
        return localCertificates[0] if localCertificates else None


@dataclass(frozen=True)
class Verdict:
    """
    What a client with the default judgement would decide.

    @ivar sslPolicyErrors: what is wrong, in one word.
    @ivar problems: what is wrong, in sentences.
    @ivar alert: what it would tell the server; L{None} if nothing is wrong.
    """

    sslPolicyErrors: SslPolicyErrors
    problems: tuple[str, ...]
    alert: TlsAlert | None


_NOBODY = Verdict(
    SslPolicyErrors.RemoteCertificateNotAvailable,
    ("the server has shown no certificate",),
    TlsAlert.handshake_failure,
)


@dataclass(frozen=True)
class Inspection:
    """
    All that was found out.

    @ivar moment: when.
    @ivar error: why nothing was, if so.
    @ivar sight: the connection that all but resumption is told of.
    @ivar verdict: on the server, unless it was gone before it was known.
    @ivar isResumed: whether another connection has gone on with the session of
        one before; L{None} if that could not be tried.
    """

    plan: Plan
    moment: datetime.datetime
    error: str | None = None
    sight: Sight = field(default_factory=Sight)
    verdict: Verdict | None = None
    isResumed: bool | None = None

    @property
    def isAccepted(self) -> bool:
        """
        Whether a client with the default judgement and the server accept each
        other.
        """
        isGood = self.verdict is not None and self.verdict.alert is None
        return isGood and self.sight.failure is None


class Probe:
    """
    Looks at one server.
    """

    def __init__(
        self,
        plan: Plan,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        say: Callable[[str], None],
    ) -> None:
        """
        @param endpoint: where the server is.
        @param say: told what is going on, when that takes its time.
        """
        self._plan = plan
        self._endpoint = endpoint
        self._clock = clock
        self._say = say

    async def inspect(self) -> Inspection:
        """
        Look.  It never fails for anything that the server does.
        """
        nothing = Inspection(self._plan, datetime.datetime.now(datetime.timezone.utc))
        try:
            # Only who checks revocation asks for a staple.
            sight = await self._look(X509RevocationMode.Offline)
        except Unreachable as e:
            return replace(nothing, error=str(e))
        seen = replace(nothing, sight=sight)
        if sight.certificate is not None and sight.chain is not None:
            judging = Deferred.fromCoroutine(self._judge(sight.certificate, sight.chain))
            verdict = await self._during("checking certificates", judging)
            seen = replace(seen, verdict=verdict)
        elif sight.failure is None:
            seen = replace(seen, verdict=_NOBODY)
        if sight.failure is None:
            seen = replace(seen, isResumed=await self._isResumed())
        return seen

    async def _judge(self, certificate: x509.Certificate, chain: X509Chain) -> Verdict:
        """
        Judge by what the client's options say, and leave the chain as they have
        it.
        """
        options = self._plan.options
        errors = SslPolicyErrors.None_
        chain.chainPolicy.revocationMode = options.certificateRevocationCheckMode
        try:
            isFaultless = await chain.build(certificate)
        except Exception as e:
            return Verdict(
                SslPolicyErrors.RemoteCertificateChainErrors,
                (f"the certificate could not be judged: {e}",),
                TlsAlert.internal_error,
            )
        problems = list(chain.problems)
        if not isFaultless:
            errors |= SslPolicyErrors.RemoteCertificateChainErrors
        wrongName = nameProblem(certificate, options.targetHost)
        if wrongName:
            errors |= SslPolicyErrors.RemoteCertificateNameMismatch
            problems.append(f"the certificate {wrongName}")
        return Verdict(errors, tuple(problems), alertFor(chain.countingFlags) if errors else None)

    async def _isResumed(self) -> bool | None:
        """
        Who asks for a staple goes on with no session, and so two connections are
        needed that do not.
        """
        if not self._plan.options.targetHost:
            return None
        with suppress(Unreachable):
            await self._look(X509RevocationMode.NoCheck)
            sight = await self._look(X509RevocationMode.NoCheck)
            if sight.security is not None and sight.failure is None:
                return sight.security.isResumed
        return None

    async def _look(self, revocation: X509RevocationMode) -> Sight:
        """
        Have one connection.
        """
        plan = self._plan
        plain = await self._connect()
        transport: Any = plain.transport
        sight = Sight(_addressOf(transport.getPeer()))
        if plan.service is not None:
            name = plan.options.targetHost
            begun = startTls(plain, plan.service, name, plan.timeout, self._clock)
            try:
                await self._during("asking for TLS", begun)
            except StartTlsError as e:
                transport.abortConnection()
                raise Unreachable(str(e)) from None
        stream = SslStream(
            transport,
            remoteCertificateValidationCallback=sight.validate,
            localCertificateSelectionCallback=sight.select,
            clock=self._clock,
        )
        options = replace(
            plan.options, certificateRevocationCheckMode=revocation, requireCloseNotify=False
        )
        try:
            await self._during("authenticating", stream.authenticateAsClient(options))
            sight.security = stream.security
            await self._during("closing", Deferred.fromCoroutine(_afterwards(stream)))
        except AuthenticationError as e:
            sight.failure = e
            if sight.certificate is None and e.reason in _ABSENT:
                raise Unreachable(str(e)) from None
        finally:
            stream.abort()
        return sight

    async def _connect(self) -> PlainText:
        def tooLate(_: object, seconds: float) -> NoReturn:
            raise Unreachable(f"no connection within {seconds} s")

        factory = Factory.forProtocol(lambda: PlainText(self._clock))
        factory.noisy = False
        connecting = self._endpoint.connect(factory)
        connecting.addTimeout(self._plan.timeout, self._clock, tooLate)
        try:
            protocol: Any = await self._during("connecting", connecting)
        except Exception as e:
            raise Unreachable(str(e)) from None
        plain: PlainText = protocol
        return plain

    def _during(self, what: str, waiting: Deferred[_T]) -> Deferred[_T]:
        """
        Say what is going on, if it takes longer than a second.
        """
        timer = self._clock.callLater(1, self._say, what)

        def ended(result: _T) -> _T:
            if timer.active():
                timer.cancel()
            return result

        return waiting.addBoth(ended)


async def _afterwards(stream: SslStream) -> None:
    """
    Say good-bye, and hear what the server has to say yet: its refusal of the
    client, which in TLS 1.3 comes after the handshake, and tickets.

    @raise AuthenticationError: the server has refused the client.
    """
    stream.readTimeout = LINGER
    left = _MOST_UNASKED
    with suppress(ConnectionLost, TimeoutError):
        await stream.shutdown()
        while left > 0 and (data := await stream.read()):
            left -= len(data)


def _addressOf(address: Any) -> str:
    host = str(getattr(address, "host", ""))
    return f"[{host}]" if ":" in host else host
