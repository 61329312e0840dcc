# -*- test-case-name: tests.test_options -*-
"""
What a user asks of a connection, as frozen values.

Everything is checked when the value is built: files are read, certificates and
keys matched, contradictions refused, and the OpenSSL context made, so that
nothing of this can fail once there is a connection.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, reduce
from operator import or_
from typing import Any, TypeAlias, TypeVar

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from ._openssl import contextFor
from .algorithms import groupNamed, signatureNamed
from .certificatefacts import readableName
from .certificates import (
    CertificateSource,
    SomeIdentities,
    SomeIdentity,
    SslStreamCertificateContext,
    loadCertificates,
)
from .chain import X509Chain
from .clienthello import SslClientHelloInfo
from .enums import (
    EncryptionPolicy,
    SslPolicyErrors,
    SslProtocols,
    X509ChainTrustMode,
    X509RevocationMode,
)
from .errors import CertificateError, InvalidOperationError, NotSupportedError
from .names import serverNameFor
from .parameters import CipherSuitesPolicy, SslApplicationProtocol, TlsParameters
from .policy import X509ChainPolicy
from .stores import X509Store
from .trust import SslCertificateTrust

_Value = TypeVar("_Value")

#: What a callback answers with: a value, or a Deferred or coroutine of it.
#: (Written so because a C{Deferred} of something narrower will do as well.)
Answer: TypeAlias = _Value | Awaitable[_Value]

#: C{(stream, certificate or None, chain or None, sslPolicyErrors)}, answered
#: with whether to accept.  The stream, here and below, is whatever the
#: connection is to its user: an L{SslStream<txsslstream.SslStream>} or a
#: transport, both L{ISslStream<txsslstream.ISslStream>}.
RemoteCertificateValidationCallback: TypeAlias = Callable[
    [Any, x509.Certificate | None, X509Chain | None, SslPolicyErrors], Answer[bool]
]

#: C{(stream, targetHost, localCertificates, remoteCertificate or None,
#: acceptableIssuers)}, answered with a certificate and its key in any accepted
#: form or L{None}.  The issuers are names as RFC 4514 writes them.
LocalCertificateSelectionCallback: TypeAlias = Callable[
    [
        Any,
        str,
        tuple[SslStreamCertificateContext, ...],
        x509.Certificate | None,
        tuple[str, ...],
    ],
    Answer[SomeIdentity | None],
]

#: C{(stream, hostName)}, answered like the one above.
ServerCertificateSelectionCallback: TypeAlias = Callable[[Any, str], Answer[SomeIdentity | None]]

#: C{(stream, SslClientHelloInfo, state)}, answered with
#: L{SslServerAuthenticationOptions}, or with L{None} to refuse the client.
ServerOptionsSelectionCallback: TypeAlias = Callable[
    [Any, SslClientHelloInfo, Any], "Answer[SslServerAuthenticationOptions | None]"
]


_EVERY_VERSION = int(reduce(or_, SslProtocols.__members__.values()))

#: What is checked by its kind alone, where it is given;
_KINDS: dict[str, Any] = {
    "certificateChainPolicy": X509ChainPolicy,
    "trust": SslCertificateTrust,
    "cipherSuitesPolicy": CipherSuitesPolicy,
    "remoteCertificateValidationCallback": Callable,
    "localCertificateSelectionCallback": Callable,
    "serverCertificateSelectionCallback": Callable,
}
#: what is a member of an enum, or its number, which is not true or false;
_ENUMS: dict[str, Any] = {
    "enabledSslProtocols": SslProtocols,
    "certificateRevocationCheckMode": X509RevocationMode,
    "encryptionPolicy": EncryptionPolicy,
}
#: and what is true or false.
_FLAGS = (
    "clientCertificateRequired",
    "allowRenegotiation",
    "allowTlsResume",
    "requireCloseNotify",
    "allowRsaPssPadding",
    "allowRsaPkcs1Padding",
)

#: In bytes.  It is less than there could be (RFC 7301 section 3.1), since all
#: extensions of a hello together have 65,535.
_MOST_APPLICATION_PROTOCOLS = 1 << 15


def _set(options: object, name: str, value: object) -> None:
    """
    Normalize a field of a frozen value that is being built.
    """
    object.__setattr__(options, name, value)


def checkedTimeout(seconds: float | None, name: str) -> float | None:
    """
    @return: C{seconds}.
    @raise ValueError: it is not positive.
    @raise TypeError: it is no number.
    """
    if seconds is None:
        return None
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise TypeError(f"{name} is a number of seconds or None, not {seconds!r}")
    if not seconds > 0:
        raise ValueError(f"{name} is a positive number of seconds or None, not {seconds!r}")
    return seconds


# Some programs make options for each connection, most often the same.


@lru_cache(maxsize=8)
def _systemPolicy(revocationMode: X509RevocationMode) -> X509ChainPolicy:
    return X509ChainPolicy(revocationMode=revocationMode).frozen()


_sharedParameters = lru_cache(maxsize=256)(TlsParameters)


@dataclass(frozen=True)
class _AuthenticationOptions:
    """
    What both sides can ask for.  A dataclass takes the fields of its last base
    first: those of one side alone come before these.

    @ivar remoteCertificateValidationCallback: decides about the peer; its
        answer is final.
    @ivar applicationProtocols: the ALPN protocols, best first; a server's order
        decides.
    @ivar enabledSslProtocols: the permitted versions; C{None_} for TLS 1.2 and
        1.3.
    @ivar certificateRevocationCheckMode: whether revoked certificates, but the
        root's, are found out, and where that may be asked; one of unknown
        status is refused.
    @ivar certificateChainPolicy: what the peer's chain is judged by, instead of
        C{certificateRevocationCheckMode} and C{trust}; a copy is kept.
    @ivar trust: the trusted roots; L{None} for the system's.
    @ivar cipherSuitesPolicy: the permitted suites; L{None} for the default.
    @ivar encryptionPolicy: whether the connection may go unencrypted.
    @ivar allowRenegotiation: whether the peer may begin another handshake in
        mid-conversation (before TLS 1.3).  Its certificate must stay the same.
    @ivar allowTlsResume: whether an earlier session may go on.
    @ivar handshakeTimeout: seconds for the whole handshake, with all callbacks;
        L{None} for no limit.
    @ivar requireCloseNotify: whether an end without C{close_notify} is a
        L{txsslstream.TruncationError}.
    @ivar keyExchangeGroups: the only groups that keys are exchanged in, best
        first, by their registered names; empty for OpenSSL's default.  In TLS
        1.2 they are also the only curves that peers' certificates may be on
        (RFC 8422 section 5.1).
    @ivar signatureAlgorithms: the only ways to sign a handshake, on either
        side, best first, by their registered names (RFC 8446 section 4.2.3);
        empty for OpenSSL's default.
    @ivar allowRsaPssPadding: whether RSA keys may sign with RSASSA-PSS, which
        is their only way in TLS 1.3.
    @ivar allowRsaPkcs1Padding: whether RSA keys may sign with PKCS #1 v1.5.
    """

    remoteCertificateValidationCallback: RemoteCertificateValidationCallback | None = None
    applicationProtocols: Iterable[bytes | str] = ()
    enabledSslProtocols: SslProtocols = SslProtocols.None_
    certificateRevocationCheckMode: X509RevocationMode = X509RevocationMode.NoCheck
    certificateChainPolicy: X509ChainPolicy | None = None
    trust: SslCertificateTrust | None = None
    cipherSuitesPolicy: CipherSuitesPolicy | None = None
    encryptionPolicy: EncryptionPolicy = EncryptionPolicy.RequireEncryption
    allowRenegotiation: bool = False
    allowTlsResume: bool = True
    handshakeTimeout: float | None = 30
    requireCloseNotify: bool = True
    keyExchangeGroups: Iterable[str] = field(default=(), kw_only=True)
    signatureAlgorithms: Iterable[str] = field(default=(), kw_only=True)
    allowRsaPssPadding: bool = field(default=True, kw_only=True)
    allowRsaPkcs1Padding: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name, None)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} is a {kind.__name__}, not {type(value).__name__}")
            if kind is Callable:
                # So that options can be.
                hash(value)
        for name, kind in _ENUMS.items():
            value = getattr(self, name)
            if isinstance(value, bool):
                raise TypeError(f"{name} is a {kind.__name__}, not bool")
            _set(self, name, kind(value))
        for name in _FLAGS:
            value = getattr(self, name, False)
            if not isinstance(value, bool):
                raise TypeError(f"{name} is a bool, not {type(value).__name__}")
        protocols = _each(self.applicationProtocols, SslApplicationProtocol)
        if sum(1 + len(protocol) for protocol in protocols) > _MOST_APPLICATION_PROTOCOLS:
            raise ValueError(
                f"all applicationProtocols have at most {_MOST_APPLICATION_PROTOCOLS} bytes, "
                "with one more for each"
            )
        _set(self, "applicationProtocols", protocols)
        groups = _each(self.keyExchangeGroups, lambda name: groupNamed(name).name)
        _set(self, "keyExchangeGroups", groups)
        algorithms = _each(self.signatureAlgorithms, lambda name: signatureNamed(name).name)
        _set(self, "signatureAlgorithms", algorithms)
        checkedTimeout(self.handshakeTimeout, "handshakeTimeout")
        if int(self.enabledSslProtocols) & ~_EVERY_VERSION:
            raise ValueError(f"enabledSslProtocols has unknown bits: {self.enabledSslProtocols!r}")
        if self.certificateChainPolicy is not None:
            _set(self, "certificateChainPolicy", self.certificateChainPolicy.frozen())
        # Whatever OpenSSL has against it must show now, not in mid-handshake.
        contextFor(self.parameters)
        uses = [each.usedFor(self._bareParameters) for each in self._sources]
        if any(uses):
            self.__dict__["_uses"] = uses

    @property
    def parameters(self) -> TlsParameters:
        """
        What the OpenSSL context of a connection that begins now is built from;
        the same value until a certificate is reloaded.
        """
        presented = self._presented
        certificate = None if presented is None else presented.current
        last: TlsParameters | None = self.__dict__.get("parameters")
        if last is None or last.certificate is not certificate:
            last = self._bareParameters
            if certificate is not None:
                last = replace(last, certificate=certificate)
            self.__dict__["parameters"] = last
        return last

    @property
    def _bareParameters(self) -> TlsParameters:
        """
        The same without certificate.
        """
        raise NotImplementedError

    @property
    def _presented(self) -> CertificateSource | None:
        """
        What is presented unless something is chosen.
        """
        raise NotImplementedError

    @property
    def _sources(self) -> tuple[CertificateSource, ...]:
        """
        All that may be presented, but for what callbacks choose.
        """
        return () if self._presented is None else (self._presented,)

    @cached_property
    def chainPolicy(self) -> X509ChainPolicy:
        """
        What the peer's chain is judged by.
        """
        if self.certificateChainPolicy is not None:
            return self.certificateChainPolicy
        roots = None if self.trust is None else self.trust.certificates
        if roots is None:
            return _systemPolicy(self.certificateRevocationCheckMode)
        return X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=roots,
            revocationMode=self.certificateRevocationCheckMode,
        ).frozen()

    @property
    def keyLog(self) -> Callable[[IReactorTime, bytes], None] | None:
        """
        Told the secrets of the connection, if L{txsslstream.insecure} was asked
        for that.
        """
        return None

    def _parameters(self, isServer: bool, **more: Any) -> TlsParameters:
        suites = self.cipherSuitesPolicy
        return _sharedParameters(
            isServer=isServer,
            protocols=self.enabledSslProtocols,
            cipherSuites=None if suites is None else suites.allowedCipherSuites,
            encryptionPolicy=self.encryptionPolicy,
            applicationProtocols=tuple(map(bytes, self.applicationProtocols)),  # type: ignore[arg-type]
            renegotiates=self.allowRenegotiation,
            keyExchangeGroups=tuple(self.keyExchangeGroups),
            signatureAlgorithms=tuple(self.signatureAlgorithms),
            allowRsaPssPadding=self.allowRsaPssPadding,
            allowRsaPkcs1Padding=self.allowRsaPkcs1Padding,
            **more,
        )


@dataclass(frozen=True)
class _ClientChoices:
    """
    What only a client can ask for: see L{SslClientAuthenticationOptions}.
    """

    targetHost: str
    clientCertificates: SomeIdentities = ()
    clientCertificateContext: CertificateSource | None = None
    localCertificateSelectionCallback: LocalCertificateSelectionCallback | None = None


@dataclass(frozen=True)
class SslClientAuthenticationOptions(_AuthenticationOptions, _ClientChoices):
    """
    What a client asks for (.NET: C{SslClientAuthenticationOptions}).

    @ivar targetHost: the server's name or IP address; sent as server name, and
        looked for in the certificate.  Empty: no name is sent, and the
        certificate cannot match.
    @ivar clientCertificates: certificates to choose from when the server wants
        one, in any accepted form that holds the key, or without one whose key
        is in the store C{My}, or L{txsslstream.ReloadingCertificate}.  The
        first that comes from one of the issuers and is of one of the kinds that
        the server names is shown, or else none.
    @ivar clientCertificateContext: the one to show, instead of those; or a
        L{txsslstream.ReloadingCertificate}.
    @ivar localCertificateSelectionCallback: chooses instead.  It is asked
        before the hello, when nothing is known of the server, and again when
        the server wants a certificate; the last answer counts.

    @raise InvalidOperationError: options contradict each other.
    @raise NotSupportedError: this OpenSSL cannot do it.
    @raise ValueError: a value makes no sense; C{CertificateError} is one.
    """

    def __post_init__(self) -> None:
        if not isinstance(self.targetHost, str):
            raise TypeError(f"targetHost is a str, not {type(self.targetHost).__name__}")
        serverNameFor(self.targetHost)
        _set(self, "clientCertificates", _contexts(self.clientCertificates))
        if self.clientCertificateContext is not None:
            context = contextWithKey(self.clientCertificateContext)
            _set(self, "clientCertificateContext", context)
            if self.clientCertificates or self.localCertificateSelectionCallback:
                raise InvalidOperationError(
                    "clientCertificateContext leaves nothing to choose: give neither "
                    "clientCertificates nor localCertificateSelectionCallback with it"
                )
        super().__post_init__()
        for candidate in self.candidates:
            contextFor(replace(self.parameters, certificate=candidate))

    @property
    def candidates(self) -> tuple[SslStreamCertificateContext, ...]:
        """
        The certificates that may be presented now.
        """
        return tuple(each.current for each in self._sources)

    @property
    def _bareParameters(self) -> TlsParameters:
        return self._parameters(
            False,
            choosesCertificate=bool(self.clientCertificates),
            resumes=self.allowTlsResume,
        )

    @property
    def _presented(self) -> CertificateSource | None:
        return self.clientCertificateContext

    @property
    def _sources(self) -> tuple[CertificateSource, ...]:
        contexts: Any = self.clientCertificates
        return super()._sources or tuple(contexts)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """
        C{IOpenSSLClientConnectionCreator}: for
        L{txsslstream.SslStreamFactory}, and for nobody else's.
        """
        return _connectionFor(self, tlsProtocol)


@dataclass(frozen=True)
class _ServerChoices:
    """
    What only a server can ask for: see L{SslServerAuthenticationOptions}.
    """

    serverCertificate: SomeIdentity | None = None
    serverCertificateContext: CertificateSource | None = None
    serverCertificateSelectionCallback: ServerCertificateSelectionCallback | None = None
    clientCertificateRequired: bool = False


@dataclass(frozen=True)
class SslServerAuthenticationOptions(_AuthenticationOptions, _ServerChoices):
    """
    What a server asks for (.NET: C{SslServerAuthenticationOptions}).

    @ivar serverCertificate: what to present, in any accepted form that holds
        the key, or a L{txsslstream.ReloadingCertificate}.
    @ivar serverCertificateContext: the same, instead.
    @ivar serverCertificateSelectionCallback: chooses by the name that the
        client asked for, instead.
    @ivar clientCertificateRequired: whether to ask clients for a certificate.
        Without a validation callback, one that shows none is refused; with a
        callback, that decides.

    @raise InvalidOperationError: options contradict each other.
    @raise NotSupportedError: no certificate, or this OpenSSL cannot do it.
    @raise ValueError: a value makes no sense; C{CertificateError} is one.
    """

    def __post_init__(self) -> None:
        sources = ("serverCertificate", "serverCertificateContext")
        given = [name for name in sources if getattr(self, name) is not None]
        for name in given:
            _set(self, name, contextWithKey(getattr(self, name)))
        if self.serverCertificateSelectionCallback is not None:
            given.append("serverCertificateSelectionCallback")
        if len(given) > 1:
            raise InvalidOperationError(f"give only one of {', '.join(given)}")
        if not given:
            raise NotSupportedError("a server needs a certificate, or a callback that selects one")
        super().__post_init__()

    @property
    def _bareParameters(self) -> TlsParameters:
        return self._parameters(
            True,
            asksForCertificate=self.clientCertificateRequired,
            resumes=self.allowTlsResume,
            sessionScope=self._sessionScope,
            acceptableIssuers=self._acceptableIssuers,
            insistsOnCertificate=self.clientCertificateRequired
            and self.remoteCertificateValidationCallback is None,
        )

    @property
    def _sessionScope(self) -> X509ChainPolicy | None:
        # Who has been judged by one policy is nobody for another.
        hasIdentities = self.allowTlsResume and self.clientCertificateRequired
        return self.chainPolicy if hasIdentities else None

    @property
    def _presented(self) -> CertificateSource | None:
        # The latter was made a context.
        return self.serverCertificateContext or self.serverCertificate  # type: ignore[return-value]

    @property
    def _acceptableIssuers(self) -> tuple[x509.Certificate, ...]:
        if self.trust is None or not self.trust.sendTrustInHandshake:
            return ()
        return self.trust.certificates or ()

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """
        C{IOpenSSLServerConnectionCreator}: for
        L{txsslstream.SslStreamFactory}, and for nobody else's.
        """
        return _connectionFor(self, tlsProtocol)


@dataclass(frozen=True)
class ServerOptionsSelection:
    """
    A server's options, chosen for each client by its hello (.NET:
    C{ServerOptionsSelectionCallback}).  Takes the place of options wherever a
    server takes them.

    @ivar serverOptionsSelectionCallback: called as C{(stream,
        SslClientHelloInfo, state)} before a byte is answered; it may wait.  With
        the answer L{None} the client is refused with the alert
        C{unrecognized_name}.
    @ivar state: whatever the callback is to get as its third argument.
    @ivar handshakeTimeout: seconds for all until there are options; theirs
        counts from the beginning, too.
    """

    serverOptionsSelectionCallback: ServerOptionsSelectionCallback
    state: Any = field(default=None, hash=False)
    handshakeTimeout: float | None = 30

    def __post_init__(self) -> None:
        select: object = self.serverOptionsSelectionCallback
        if not callable(select):
            kind = type(select).__name__
            raise TypeError(f"serverOptionsSelectionCallback is a Callable, not {kind}")
        checkedTimeout(self.handshakeTimeout, "handshakeTimeout")

    def adapted(
        self, adapt: Callable[[SslServerAuthenticationOptions], SslServerAuthenticationOptions]
    ) -> ServerOptionsSelection:
        """
        @return: a selection of the same options, each of them changed so.
        """
        select = self.serverOptionsSelectionCallback

        def selected(answer: Any) -> Any:
            return adapt(answer) if isinstance(answer, SslServerAuthenticationOptions) else answer

        def choose(*arguments: Any) -> Deferred[Any]:
            return maybeDeferred(select, *arguments).addCallback(selected)

        return replace(self, serverOptionsSelectionCallback=choose)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """
        C{IOpenSSLServerConnectionCreator}: for
        L{txsslstream.SslStreamFactory}, and for nobody else's.
        """
        return _connectionFor(self, tlsProtocol)


#: What a server is given: options, or how to come by them.
ServerOptions: TypeAlias = SslServerAuthenticationOptions | ServerOptionsSelection

#: The options of either side.
AuthenticationOptions: TypeAlias = SslClientAuthenticationOptions | SslServerAuthenticationOptions


def _each(values: Iterable[Any], made: Callable[[Any], _Value]) -> tuple[_Value, ...]:
    """
    @param values: several, or one that is a text or bytes.
    @return: what is made of them, each once, in their order.
    """
    each = (values,) if isinstance(values, (bytes, str)) else values
    return tuple(dict.fromkeys(map(made, each)))


def _contexts(certificates: Any) -> tuple[CertificateSource, ...]:
    isOne = isinstance(certificates, (str, os.PathLike, CertificateSource))
    each = (certificates,) if isOne else tuple(certificates)
    return tuple(map(contextWithKey, each))


def contextWithKey(some: SomeIdentity) -> CertificateSource:
    """
    @param some: a certificate in any accepted form.
    @return: it with its key, which is looked for in the current user's store
        C{My} if it comes without; whatever changes by itself as it is.
    @raise CertificateError: there is no key, or it cannot be used.
    """
    if isinstance(some, CertificateSource):
        return some
    hasNone = isinstance(some, x509.Certificate) or (
        hasattr(some, "original") and not hasattr(some, "privateKey")
    )
    if not hasNone:
        return SslStreamCertificateContext.create(some, offline=True)
    store = X509Store()
    # Of the accepted forms those without a key are left.
    certificate = loadCertificates(some)[0]  # type: ignore[arg-type]
    found = store.contextFor(certificate)
    if found is None:
        raise CertificateError(
            f"no private key for {readableName(certificate)!r}: none is given, "
            f"and none is in {store.path}"
        )
    return found


def _connectionFor(
    options: AuthenticationOptions | ServerOptionsSelection, tlsProtocol: Any
) -> Any:
    connect = getattr(tlsProtocol, "connectionFromOptions", None)
    if connect is None:
        raise InvalidOperationError(
            "only SslStreamFactory authenticates as these options ask: use it instead of "
            f"the factory of {type(tlsProtocol).__name__}"
        )
    return connect(options)
