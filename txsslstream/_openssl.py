# -*- test-case-name: tests.test_openssl -*-
"""
The fence around OpenSSL.

This is the only module that imports C{OpenSSL}, touches its private bindings
or knows an OpenSSL error code.  What crosses the fence is a plain value: our
enums, C{cryptography}'s types, bytes, and the answers of a L{Decisions}.

OpenSSL asks its questions in C callbacks.  There is one static cffi callback
per kind for the whole process; the connection it is about is found by its
C{SSL*}, so that no connection owns a closure and none is part of a cycle.  A
callback that is asked about an unknown connection, or in which anything at all
goes wrong, refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from twisted.logger import Logger

from .algorithms import SIGNATURE_ALGORITHMS, SignatureAlgorithm, signatureNamed
from .certificatefacts import keyTypesOf
from .certificatemessages import certificateList, keyTypes
from .ciphersuites import TlsCipherSuite
from .clienthello import SslClientHelloInfo
from .crossing import (
    Decisions,
    KeyLog,
    Negotiated,
    Presented,
    Received,
    ResumableSession,
    Step,
    presentedOf,
    shared,
)
from .enums import (
    EncryptionPolicy,
    SslProtocols,
    TlsAlert,
)
from .errors import CertificateError, InvalidOperationError, NotSupportedError
from .parameters import TlsParameters
from .plaintext import OPENING_SIZE
from .records import APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_SIZE, recordKinds
from .serverflight import ServerFlight
from .suitability import (
    DEFAULT_SUITES,
    UNNEGOTIATED,
    agreeOnEncryption,
    agreeOnGroups,
    versionsOfKey,
    versionsSigned,
)

_log = Logger()

#: Lowest first.
_VERSIONS: dict[SslProtocols, int] = {
    SslProtocols.Tls: SSL.TLS1_VERSION,
    SslProtocols.Tls11: SSL.TLS1_1_VERSION,
    SslProtocols.Tls12: SSL.TLS1_2_VERSION,
    SslProtocols.Tls13: SSL.TLS1_3_VERSION,
}
_PROTOCOLS = {version: protocol for protocol, version in _VERSIONS.items()}

#: Whether a server heeds the groups for DHE before TLS 1.3, too (RFC 7919).
_HEEDS_GROUPS_OF_DHE = lib.OpenSSL_version_num() >= 0x40000000

#: In bits; a suite with less needs OpenSSL's lowest security level.
_LEAST_STRENGTH = 112

_CERTIFICATE, _CERTIFICATE_REQUEST = _MESSAGES = 11, 13

#: Not among pyOpenSSL's names.  Without it OpenSSL completes our chain from the
#: trusted roots in every handshake.
_MODE_NO_AUTO_CHAIN = 0x8

#: Nor are these.
_OP_ALLOW_CLIENT_RENEGOTIATION = 1 << 8
_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION = 1 << 16

#: The event that matters while the first handshake goes on, and those that do
#: behind it.
_ALERT = SSL.SSL_CB_ALERT
_OF_INTEREST = _ALERT | SSL.SSL_CB_HANDSHAKE_START

#: By their numbers, but for C{close_notify}.
_ALERTS = {each.value: each for each in TlsAlert if each is not TlsAlert.close_notify}

#: What OpenSSL calls the state between messages, in which it is told to be twice
#: for each that comes.
_LOOP, _QUIET = SSL.SSL_CB_LOOP, b"SSL negotiation finished successfully"

#: What OpenSSL calls the state behind the last message of an authentication.
_FINISHED = b"SSLv3/TLS read finished"

#: So many handshakes in one connection; more would be an attack on whoever
#: works the harder.
MOST_HANDSHAKES = 100

#: A verification error for each alert that we want OpenSSL to send.
_ERROR_FOR_ALERT: dict[TlsAlert, int] = {
    TlsAlert.bad_certificate: lib.X509_V_ERR_CERT_REJECTED,
    TlsAlert.unsupported_certificate: lib.X509_V_ERR_INVALID_PURPOSE,
    TlsAlert.certificate_revoked: lib.X509_V_ERR_CERT_REVOKED,
    TlsAlert.certificate_expired: lib.X509_V_ERR_CERT_HAS_EXPIRED,
    TlsAlert.unknown_ca: lib.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    TlsAlert.handshake_failure: lib.X509_V_ERR_APPLICATION_VERIFICATION,
    # X509_V_ERR_UNSPECIFIED
    TlsAlert.internal_error: 1,
    # Any number that OpenSSL's own table of alerts does not list.
    TlsAlert.certificate_unknown: 0x7FFF,
}


def libraryVersion() -> str:
    """
    @return: what OpenSSL says that it is, such as C{"OpenSSL 4.0.0 14 Apr 2026"}.
    """
    return SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii")


def _had(pointer: Any) -> Any:
    """
    @return: what OpenSSL has given.
    @raise MemoryError: it has given nothing.
    """
    if not pointer:
        raise MemoryError
    return pointer


def _drainErrors() -> list[str]:
    """
    Empty the thread's error queue.
    """
    reasons = []
    while code := lib.ERR_get_error():
        text = lib.ERR_reason_error_string(code)
        reasons.append(ffi.string(text).decode() if text else f"error {code:#x}")
    return reasons


@lru_cache(maxsize=1)
def _ciphers() -> dict[TlsCipherSuite, Any]:
    """
    The suites that OpenSSL implements, as the constants of its own.
    """
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    found = {
        suite: lib.SSL_CIPHER_find(
            connection._ssl, ffi.new("unsigned char[]", suite.to_bytes(2, "big"))
        )
        for suite in TlsCipherSuite
    }
    return {suite: cipher for suite, cipher in found.items() if cipher}


@lru_cache(maxsize=1)
def _suiteNames() -> dict[TlsCipherSuite, str]:
    """
    OpenSSL's names of the suites that it implements.
    """
    return {
        suite: ffi.string(lib.SSL_CIPHER_get_name(cipher)).decode()
        for suite, cipher in _ciphers().items()
    }


def _isWeak(suite: TlsCipherSuite) -> bool:
    """
    Whether OpenSSL's default security level forbids a suite.
    """
    bits: int = lib.SSL_CIPHER_get_bits(_ciphers()[suite], ffi.NULL)
    return bits < _LEAST_STRENGTH or "_anon_" in suite.name


@lru_cache(maxsize=1)
def _suitesByName() -> dict[str, TlsCipherSuite]:
    return {name: suite for suite, name in _suiteNames().items()}


def _chooseCiphers(context: SSL.Context, parameters: TlsParameters) -> tuple[SslProtocols, str]:
    """
    @return: the versions that are left to negotiate, and their suites before
        TLS 1.3, in OpenSSL's words.
    """
    asked = parameters.protocols & (SslProtocols.Ssl2 | SslProtocols.Ssl3)
    if asked:
        raise NotSupportedError("SSL 2 and SSL 3 do not exist in this OpenSSL")
    versions = parameters.protocols or SslProtocols.Tls12 | SslProtocols.Tls13
    ciphers = DEFAULT_SUITES
    if parameters.cipherSuites is not None:
        agreeOnEncryption(parameters.cipherSuites, parameters.encryptionPolicy)
        names = _suiteNames()
        unknown = [suite.name for suite in parameters.cipherSuites if suite not in names]
        if unknown:
            raise NotSupportedError(f"this OpenSSL does not know {', '.join(unknown)}")
        named = [names[suite] for suite in parameters.cipherSuites]
        modern = [name for name in named if name.startswith("TLS_")]
        classic = [name for name in named if name not in modern]
        if not modern:
            versions &= ~SslProtocols.Tls13
        else:
            context.set_tls13_ciphersuites(":".join(modern).encode())
        if not classic:
            versions &= SslProtocols.Tls13
        if not versions:
            raise InvalidOperationError(
                "the cipher suites and the enabled protocols exclude each other"
            )
        ciphers = ":".join(classic) or ciphers
    elif parameters.encryptionPolicy is EncryptionPolicy.NoEncryption:
        versions = parameters.protocols or SslProtocols.Tls12
        if versions & SslProtocols.Tls13:
            raise InvalidOperationError("TLS 1.3 cannot go unencrypted")
        ciphers = "eNULL:!aNULL:!PSK"
    elif parameters.encryptionPolicy is EncryptionPolicy.AllowNoEncryption:
        ciphers = f"{ciphers.replace('!eNULL:', '')}:eNULL:!aNULL:!PSK"
    return versions, ciphers


def _isLax(parameters: TlsParameters, versions: SslProtocols) -> bool:
    """
    Whether something was asked for that works at OpenSSL's lowest security
    level only.  The level concerns the certificates, too: a choice of strong
    suites must not lower it.
    """
    return bool(
        # The old versions sign with SHA-1 and MD5; whoever enables them has
        # decided.
        versions & UNNEGOTIATED
        or parameters.encryptionPolicy is not EncryptionPolicy.RequireEncryption
        or any(map(_isWeak, parameters.cipherSuites or ()))
        or any(name.endswith("_sha1") for name in parameters.signatureAlgorithms)
    )


@cache
def _defaultSignatures() -> tuple[str, ...]:
    """
    The registered names of the signature algorithms that OpenSSL offers by
    itself, best first, found out by letting it offer.
    """
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    connection.set_connect_state()
    lib.SSL_do_handshake(connection._ssl)
    lib.ERR_clear_error()
    hello = SslClientHelloInfo.fromMessage(takeOutput(connection)[HEADER_SIZE:])
    known = {each.name for each in SIGNATURE_ALGORITHMS}
    return tuple(str(name) for name in hello.signatureAlgorithms if name in known)


def _signaturesOf(parameters: TlsParameters) -> list[SignatureAlgorithm] | None:
    """
    The signature algorithms that were chosen; L{None} if there was no choice.
    """
    if (
        not parameters.signatureAlgorithms
        and parameters.allowRsaPssPadding
        and parameters.allowRsaPkcs1Padding
    ):
        return None
    return [
        signatureNamed(name)
        for name in parameters.signatureAlgorithms or _defaultSignatures()
        if (parameters.allowRsaPssPadding or not name.startswith("rsa_pss_"))
        and (parameters.allowRsaPkcs1Padding or not name.startswith("rsa_pkcs1_"))
    ]


def _chooseSignatures(
    context: SSL.Context, parameters: TlsParameters, versions: SslProtocols
) -> SslProtocols:
    """
    Sign with the chosen algorithms only.

    @return: the versions that are left to negotiate.
    """
    algorithms = _signaturesOf(parameters)
    if algorithms is not None:
        versions = versionsSigned(parameters, algorithms, versions)
        names = [each.name for each in algorithms]
        _tell(lib.SSL_CTX_set1_sigalgs_list, context, names, ":".join(names))
    if parameters.certificate is not None:
        kinds = keyTypesOf(parameters.certificate.certificate)
        versions = versionsOfKey(parameters, algorithms, versions, kinds)
    return versions


def _tell(
    choose: Callable[[Any, bytes], int], context: SSL.Context, names: Sequence[str], form: str
) -> None:
    """
    Give OpenSSL a list of names.

    @param form: the list as newer versions take it; older ones get a plain one.
    @raise NotSupportedError: it does not know a name.
    """
    unknown = [name for name in names if choose(context._context, name.encode()) != 1]
    if not unknown and choose(context._context, form.encode()) != 1:
        choose(context._context, ":".join(names).encode())
    lib.ERR_clear_error()
    if unknown:
        raise NotSupportedError(f"this OpenSSL does not know {', '.join(unknown)}")


def _chooseVersions(context: SSL.Context, versions: SslProtocols) -> None:
    numbers = list(_VERSIONS.values())
    enabled = [number for protocol, number in _VERSIONS.items() if protocol & versions]
    if enabled != numbers[numbers.index(enabled[0]) :][: len(enabled)]:
        # OpenSSL would negotiate the lowest of them.
        raise NotSupportedError(f"the enabled protocols must not have a gap: {versions!r}")
    context.set_min_proto_version(enabled[0])
    context.set_max_proto_version(enabled[-1])


#: Every context that somebody has, by parameters without it: what is no longer
#: used is forgotten, and the private key with it.
_contexts: WeakValueDictionary[TlsParameters, SSL.Context] = WeakValueDictionary()


def contextFor(parameters: TlsParameters) -> SSL.Context:
    """
    The OpenSSL context of these parameters; equal parameters share one.  It
    trusts nobody: judging is not OpenSSL's business here.

    @raise InvalidOperationError: the parameters contradict each other.
    @raise NotSupportedError: this OpenSSL cannot do it.
    @raise CertificateError: OpenSSL does not take the certificate.
    """
    if parameters.context is None:
        object.__setattr__(parameters, "context", _sharedContext(parameters))
    context: SSL.Context = parameters.context
    return context


# Those that were asked for last stay, for parameters that are made anew for
# every connection.
@lru_cache(maxsize=256)
def _sharedContext(parameters: TlsParameters) -> SSL.Context:
    context = _contexts.get(parameters)
    if context is None:
        context = _contexts[replace(parameters)] = _newContext(parameters)
    return context


def _newContext(parameters: TlsParameters) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if parameters.isServer else SSL.TLS_CLIENT_METHOD)
    versions, ciphers = _chooseCiphers(context, parameters)
    if parameters.keyExchangeGroups:
        versions, ciphers, ordered = agreeOnGroups(
            parameters, versions, ciphers, _HEEDS_GROUPS_OF_DHE
        )
        _tell(lib.SSL_CTX_set1_curves_list, context, parameters.keyExchangeGroups, ordered)
    isLax = _isLax(parameters, versions)
    try:
        context.set_cipher_list(f"{ciphers}:@SECLEVEL=0".encode() if isLax else ciphers.encode())
    except SSL.Error:
        raise InvalidOperationError(
            "the encryption policy and the key exchange groups exclude each other"
        ) from None
    _chooseVersions(context, _chooseSignatures(context, parameters, versions))
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | _renegotiation(parameters)
    )
    _chooseSessions(context, parameters)
    lib.SSL_CTX_set_info_callback(context._context, _infoCallback)
    context.set_mode(lib.SSL_MODE_RELEASE_BUFFERS | _MODE_NO_AUTO_CHAIN)
    # L{send} gives all it has, in as many records as it needs.
    context.clear_mode(lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
    for issuer in parameters.acceptableIssuers:
        context.add_client_ca(issuer)
    chosen = parameters.certificate
    if chosen is not None:
        try:
            context.use_certificate(chosen.certificate)
            context.use_privatekey(chosen.privateKey)  # type: ignore[arg-type]
            for issuer in chosen.intermediates:
                context.add_extra_chain_cert(issuer)
        except SSL.Error as e:
            reasons = ", ".join(reason for *_, reason in e.args[0]) or "no reason given"
            raise CertificateError(
                f"OpenSSL refuses {chosen.certificate.subject.rfc4514_string()}: {reasons}"
            ) from None
        except TypeError as e:
            # A key of a kind that pyOpenSSL does not know.
            raise CertificateError(
                f"OpenSSL refuses {chosen.certificate.subject.rfc4514_string()}: {e}"
            ) from None
    if parameters.applicationProtocols:
        if parameters.isServer:
            lib.SSL_CTX_set_alpn_select_cb(context._context, _alpnCallback, ffi.NULL)
        else:
            context.set_alpn_protos(list(parameters.applicationProtocols))
    if parameters.isServer:
        lib.SSL_CTX_set_tlsext_status_cb(context._context, _stapleCallback)
    if parameters.asksForCertificate or parameters.choosesCertificate:
        lib.SSL_CTX_set_msg_callback(context._context, _messageCallback)
    if parameters.logsSecrets:
        lib.SSL_CTX_set_keylog_callback(context._context, _keyLogCallback)
    return context


def _renegotiation(parameters: TlsParameters) -> int:
    """
    The option that tells who may begin another handshake.  OpenSSL's servers
    let no client do so unless told to, but must themselves be able to.
    """
    if parameters.isServer:
        return _OP_ALLOW_CLIENT_RENEGOTIATION if parameters.renegotiates else 0
    return 0 if parameters.renegotiates else int(SSL.OP_NO_RENEGOTIATION)


def _chooseSessions(context: SSL.Context, parameters: TlsParameters) -> None:
    """
    Which sessions may go on, and who remembers them.
    """
    if not parameters.resumes or (parameters.isServer and parameters.asksForCertificate):
        # A ticket has room for a client's own certificate, not for those that
        # lead to its root: such sessions are remembered here.
        context.set_options(SSL.OP_NO_TICKET)
    if not parameters.resumes:
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    elif parameters.isServer:
        context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
        # For a name that nobody accepts is forgotten with the handshake.
        lib.SSL_CTX_set_tlsext_servername_callback(context._context, _nameCallback)
        # Required by OpenSSL where clients have certificates.  No two contexts
        # know each other's sessions anyway.
        context.set_session_id(b"txsslstream")
    else:
        # Who takes the sessions is us.
        context.set_session_cache_mode(SSL.SESS_CACHE_CLIENT | SSL.SESS_CACHE_NO_INTERNAL)
        lib.SSL_CTX_set_tlsext_servername_callback(context._context, _resumptionCallback)


#: Whom every new connection tells its secrets; nobody unless asked.
_keyLogOfAll: KeyLog | None = None


def logAllSecrets(keyLog: KeyLog | None) -> None:
    """
    Have all connections that begin from now on tell their secrets, or none.
    """
    global _keyLogOfAll
    _keyLogOfAll = keyLog


#: Of a connection whose handshake is over: nothing.
_NO_FLIGHT = ServerFlight()


class TlsEngine:
    """
    One side of one TLS connection between two memory BIOs, from the first byte
    to the end of its handshake.

    @ivar connection: pyOpenSSL's object, for the record path.
    @ivar alertReceived: the last alert from the peer but C{close_notify}.
    @ivar alertSent: the last alert to the peer but C{close_notify}.
    @ivar idleMessages: how many messages have come since the last data, or since
        whoever reads has set this to 0, that ask for work and say nothing.
    @ivar isPeerUnreadable: whether the peer was refused because its certificate
        cannot be read.
    @ivar isPuttingOff: whether the question for our certificate is not to be
        asked now: then reading ends with L{Received.asking}.
    @ivar isRenegotiating: whether another handshake has begun than the first.
    @ivar keyTypes: the kinds of keys that the peer is content with when it asks
        for a certificate; L{None} if it has not asked.
    @ivar hasAnswered: whether a client has answered to L{requestCertificate}.
    @ivar hasNews: whether the peer has sent a message of the handshake's since
        that was over, such as a ticket.
    @ivar opening: what the peer has begun with.
    @ivar reasons: OpenSSL's words for a failure, outermost first.
    @ivar session: the earlier session that the server is offered to go on with.
    @ivar wasAskedForCertificate: whether the peer wanted a certificate of ours.
    """

    __slots__ = (
        "__weakref__",
        "_awaitsStaple",
        "_handshakes",
        "_held",
        "_keyLogs",
        "_outputs",
        "_received",
        "_sent",
        "_verdict",
        "_wantsStaple",
        "alertReceived",
        "alertSent",
        "connection",
        "decisions",
        "hasAnswered",
        "hasNews",
        "idleMessages",
        "isPeerUnreadable",
        "isPuttingOff",
        "isRenegotiating",
        "keyTypes",
        "opening",
        "parameters",
        "reasons",
        "session",
        "wasAskedForCertificate",
    )

    def __init__(
        self,
        parameters: TlsParameters,
        decisions: Decisions | None,
        serverName: bytes | None = None,
        wantsStaple: bool = False,
        offersLater: bool = False,
        keyLog: KeyLog | None = None,
        isSettled: bool = False,
    ) -> None:
        """
        @param decisions: answers OpenSSL's questions; L{None} refuses.
        @param serverName: what a client asks for (RFC 6066 section 3).
        @param wantsStaple: whether a client asks for an OCSP response (RFC 6066
            section 8).
        @param offersLater: whether a client may be asked for its certificate in
            mid-conversation (RFC 8446 section 4.2.6).
        @param keyLog: whom to tell the secrets.
        @param isSettled: whether a server shows the certificate of its
            parameters without asking.
        """
        self._keyLogs: Sequence[KeyLog] = ()
        if keyLog is not None or _keyLogOfAll is not None:
            self._keyLogs = [each for each in (keyLog, _keyLogOfAll) if each is not None]
            parameters = replace(parameters, logsSecrets=True)
        self.parameters = parameters
        self.decisions = decisions
        self.connection = SSL.Connection(contextFor(parameters), None)
        self.alertReceived: TlsAlert | None = None
        self.alertSent: TlsAlert | None = None
        self.wasAskedForCertificate = False
        self.isPeerUnreadable = False
        self.hasNews = self.hasAnswered = False
        self.idleMessages = 0
        self.isRenegotiating = self.isPuttingOff = False
        self.session: ResumableSession | None = None
        self.keyTypes: frozenset[str] | None = None
        self.opening = b""
        self.reasons: Sequence[str] = ()
        # What OpenSSL is told about the peer, once that is known.
        self._verdict: int | None = None
        self._handshakes = 1
        self._sent: Sequence[bytes] = ()
        self._wantsStaple = self._awaitsStaple = wantsStaple
        self._held = b""
        # What the server says in the clear; our own is looked at when somebody asks.
        self._received = _NO_FLIGHT if parameters.isServer else ServerFlight()
        # What has been handed out, for whoever asks what that was.
        self._outputs: tuple[bytes, ...] = ()
        # Which pyOpenSSL does not notice.
        ssl = _had(self.connection._ssl)
        _engines[_address(ssl)] = self
        if not isSettled:
            lib.SSL_set_cert_cb(ssl, _certificateCallback, ffi.NULL)
        if not parameters.isServer:
            lib.SSL_set_verify(ssl, SSL.VERIFY_PEER, _verifyCallback)
            if serverName is not None:
                self.connection.set_tlsext_host_name(serverName)
            if wantsStaple:
                lib.SSL_set_tlsext_status_type(ssl, lib.TLSEXT_STATUSTYPE_ocsp)
            if offersLater:
                lib.SSL_set_post_handshake_auth(ssl, 1)
            lib.SSL_set_connect_state(ssl)
        else:
            if parameters.asksForCertificate:
                mode = SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE
                if parameters.insistsOnCertificate:
                    mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
                lib.SSL_set_verify(ssl, mode, _verifyCallback)
            lib.SSL_set_accept_state(ssl)

    def resume(self, session: ResumableSession) -> None:
        """
        Offer a server to go on with an earlier session.  Called before the
        first step.
        """
        if lib.SSL_set_session(self.connection._ssl, session.handle):
            self.session = session
        lib.ERR_clear_error()

    @property
    def isResumed(self) -> bool:
        """
        Whether an earlier session goes on.
        """
        return bool(lib.SSL_session_reused(self.connection._ssl))

    def currentSession(self) -> Any:
        """
        @return: the session as it is now, with its secrets and the last ticket.
        """
        return ffi.gc(lib.SSL_get1_session(self.connection._ssl), lib.SSL_SESSION_free)

    def feed(self, data: bytes) -> None:
        """
        Take bytes from the peer.
        """
        self.opening += data[: OPENING_SIZE - len(self.opening)]
        if not self.parameters.isServer:
            self._received.feed(data)
        if self._awaitsStaple:
            # In TLS 1.2 the staple comes behind the certificate, but OpenSSL
            # asks about that as soon as it has seen it.
            self._held += data
            if not self._received.isComplete:
                return
            self._awaitsStaple = False
            data, self._held = self._held, b""
        _had(_bioWrite(self.connection._into_ssl, data, len(data)) == len(data))

    def handshake(self) -> Step:
        """
        Go on with the handshake as far as the bytes fed so far allow.
        """
        lib.ERR_clear_error()
        result = lib.SSL_do_handshake(self.connection._ssl)
        self._forgetVerdict()
        if result == 1:
            return Step.complete
        if lib.SSL_get_error(self.connection._ssl, result) == lib.SSL_ERROR_WANT_READ:
            return Step.incomplete
        self.reasons = _drainErrors()
        return Step.failed

    def requestCertificate(self, insists: bool) -> list[str]:
        """
        Ask a client for its certificate in mid-conversation (RFC 8446 section
        4.6.2; before TLS 1.3 by another handshake).

        @param insists: whether OpenSSL itself refuses a client that shows none.
        @return: OpenSSL's words if that is not possible.
        """
        ssl = self.connection._ssl
        mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if insists else 0)
        lib.SSL_set_verify(ssl, mode, _verifyCallback)
        self.hasAnswered = False
        lib.ERR_clear_error()
        if lib.SSL_version(ssl) == SSL.TLS1_3_VERSION:
            isPossible = lib.SSL_verify_client_post_handshake(ssl)
        else:
            # With the session that there is nobody would ask.
            lib.SSL_set_options(ssl, _OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION)
            isPossible = lib.SSL_renegotiate(ssl)
        if isPossible != 1:
            self.requestNothing()
            return _drainErrors() or ["no reason given"]
        lib.SSL_do_handshake(ssl)
        _asking.add(self)
        return _drainErrors()

    def requestNothing(self) -> None:
        """
        Ask a client for its certificate no more, whatever handshake comes.
        """
        _asking.discard(self)
        lib.SSL_set_verify(self.connection._ssl, SSL.VERIFY_NONE, _verifyCallback)

    def receive(self, pieces: list[bytes], isPatient: bool) -> tuple[Received, str]:
        """
        As the function of that name, where OpenSSL may have to ask: what it
        shares with others is not held meanwhile.

        @param pieces: where to put the plaintext.
        @param isPatient: whether to read all there is; if not, one record at
            most.
        @return: why there is no more, and OpenSSL's words if it is broken.
        """
        ssl = self.connection._ssl
        while True:
            count = lib.SSL_read(ssl, _scratch, _SIZE)
            self._forgetVerdict()
            if count > 0:
                pieces.append(_octets[:count])
                if isPatient:
                    continue
                return Received.starved, ""
            return _whyNothing(ssl, count)

    def output(self) -> bytes:
        """
        Take all bytes that wait for the peer.
        """
        data = takeOutput(self.connection)
        if data:
            self._outputs += (data,)
        return data

    @property
    def _flight(self) -> ServerFlight:
        """
        The server's, whoever that is.
        """
        if not self.parameters.isServer:
            return self._received
        flight = ServerFlight()
        for each in self._outputs:
            flight.feed(each)
        return flight

    @property
    def isEncrypting(self) -> bool:
        """
        Whether L{output} has handed out anything encrypted; before that, an
        alert may go in the clear.
        """
        kinds = {kind for each in self._outputs for kind in recordKinds(each)}
        # In TLS 1.3 the other means nothing (RFC 8446 section 5).
        isClassic = self.protocol is not SslProtocols.Tls13
        return APPLICATION_DATA in kinds or (CHANGE_CIPHER_SPEC in kinds and isClassic)

    @property
    def protocol(self) -> SslProtocols:
        """
        The version that is agreed on.
        """
        return _PROTOCOLS.get(lib.SSL_version(self.connection._ssl), SslProtocols.None_)

    def negotiated(self) -> Negotiated:
        """
        What is agreed on so far.
        """
        facts = describe(self.connection)
        if facts.cipherSuite is None:
            facts = replace(facts, cipherSuite=self.cipherSuite())
        if facts.group is None:
            facts = replace(facts, dhePrimeBits=self._flight.dhePrimeBits())
        return shared(facts)

    def cipherSuite(self) -> TlsCipherSuite | None:
        """
        The suite that is agreed on.
        """
        suite = _suiteOf(self.connection._ssl)
        if suite is None and self.protocol is not SslProtocols.Tls13:
            code = self._flight.cipherSuite()
            if code is not None and code in TlsCipherSuite._value2member_map_:
                return TlsCipherSuite(code)
        return suite

    def peerCertificate(self) -> x509.Certificate | None:
        """
        The peer's own certificate.
        """
        return self.connection.get_peer_certificate(as_cryptography=True)

    def acceptableIssuers(self) -> tuple[x509.Name, ...]:
        """
        The issuers that a server named when it asked for a certificate.
        """
        return tuple(self.connection.get_client_ca_list(as_cryptography=True))

    def release(self) -> None:
        """
        The handshake is over: answer no more questions.
        """
        lib.SSL_set_info_callback(self.connection._ssl, _laterInfoCallback)
        self.decisions = None
        self.session = None
        self._received = _NO_FLIGHT
        self._outputs = ()
        self.opening = b""
        self._sent = ()
        self._held = b""
        # Where Twisted has noted the protocol, which would keep all this alive.
        self.connection.set_app_data(None)

    def presented(self) -> Presented | None:
        """
        What the peer has shown of itself, now or when the session that goes on
        began; L{None} if nothing.

        @raise ValueError: its own certificate cannot be read.
        """
        if self.session is not None and self.isResumed:
            return self.session.presented
        ders = tuple(self._sent) or self._shown()
        return presentedOf(ders, self._staple()) if ders else None

    def _shown(self) -> tuple[bytes, ...]:
        """
        The same in DER, as far as OpenSSL has it.
        """
        ssl = self.connection._ssl
        stack = lib.SSL_get_peer_cert_chain(ssl)
        count = lib.sk_X509_num(stack) if stack else 0
        ders = tuple(_encoded(lib.sk_X509_value(stack, index)) for index in range(count))
        # A server's list lacks the peer's own one.
        own = lib.SSL_get_peer_certificate(ssl) if self.parameters.isServer else ffi.NULL
        if own:
            ders = tuple(dict.fromkeys((_encoded(own), *ders)))
        lib.X509_free(own)
        return ders

    def _staple(self) -> bytes | None:
        if not self._wantsStaple:
            return None
        start = ffi.new("unsigned char **")
        size = lib.SSL_get_tlsext_status_ocsp_resp(self.connection._ssl, start)
        if size > 0:
            return bytes(ffi.buffer(start[0], size))
        return self._flight.staple()

    def _judge(self, context: Any) -> int:
        """
        OpenSSL has something to say about the peer's certificates for the first
        time.  What it is does not matter: they are judged elsewhere, as a
        whole, and that is what OpenSSL is told now and from then on.
        """
        if self.decisions is None:
            # Zero would be X509_V_OK.
            return int(lib.X509_V_ERR_CERT_REJECTED)
        try:
            presented = self._presentedFor(lib.X509_STORE_CTX_get0_cert(context))
            presented = presented or self._compared(context)
        except (ValueError, x509.InvalidVersion):
            self.isPeerUnreadable = True
            return int(lib.X509_V_ERR_CERT_REJECTED)
        lib.ERR_clear_error()
        refusal = self.decisions.peerPresented(presented)
        return int(lib.X509_V_OK if refusal is None else _ERROR_FOR_ALERT[refusal])

    def _presentedFor(self, own: Any) -> Presented | None:
        """
        What a server has shown, if the first of it is the very certificate whose
        key OpenSSL goes by.
        """
        if self.parameters.isServer:
            return None
        stack = lib.SSL_get_peer_cert_chain(self.connection._ssl)
        if not stack or lib.sk_X509_value(stack, 0) != own:
            return None
        return presentedOf(self._shown(), self._staple())

    def _compared(self, context: Any) -> Presented:
        presented = self.presented() or _pathIn(context)
        own = _encoded(lib.X509_STORE_CTX_get0_cert(context))
        if own != presented.certificates[0].public_bytes(Encoding.DER):
            raise ValueError("another certificate than the one whose key OpenSSL goes by")
        return presented

    def _verify(self, context: Any) -> int:
        if self._verdict is None:
            self._verdict = self._judge(context)
        lib.X509_STORE_CTX_set_error(context, self._verdict)
        isAccepted = self._verdict == lib.X509_V_OK
        if self.parameters.isServer:
            return int(isAccepted)
        # A client whose question is answered can spare itself what OpenSSL would
        # look at all the same, signatures above all: the search fails at once,
        # and whether that matters is asked afterwards.
        self._heedOpenSSL(not isAccepted)
        return 0

    def _forgetVerdict(self) -> None:
        """
        What OpenSSL was told about the peer was about one handshake.  OpenSSL
        judges within one call, so that behind it nothing is accepted any more,
        not even if no callback finds its engine.
        """
        if self._verdict is not None and not self.parameters.isServer:
            self._heedOpenSSL(True)
        self._verdict = None

    def _heedOpenSSL(self, isHeeded: bool) -> None:
        mode = SSL.VERIFY_PEER if isHeeded else SSL.VERIFY_NONE
        lib.SSL_set_verify(self.connection._ssl, mode, _verifyCallback)

    def _judgeResumed(self) -> TlsAlert | None:
        """
        A server has answered: if a session goes on, nobody would ask any more
        what is to be thought of it.
        """
        if self._verdict is not None or not self.isResumed:
            return None
        presented = None if self.decisions is None else self.presented()
        if presented is None or self.decisions is None:
            return TlsAlert.internal_error
        refusal = self.decisions.peerPresented(presented)
        lib.ERR_clear_error()
        self._verdict = int(lib.X509_V_OK if refusal is None else lib.X509_V_ERR_CERT_REJECTED)
        return refusal

    def _presentCertificate(self) -> int:
        self.wasAskedForCertificate = True
        if self.decisions is None:
            return 0
        if self.isPuttingOff:
            return -1
        answer = self.decisions.certificateWanted()
        lib.ERR_clear_error()
        if isinstance(answer, TlsAlert):
            return 0
        if answer is not None:
            self.present(answer)
        return 1

    def present(self, parameters: TlsParameters) -> None:
        """
        Show the certificate of these parameters.
        """
        self.parameters = parameters
        self.connection.set_context(contextFor(parameters))
        # Taking over a context's certificate, OpenSSL has forgotten whom to ask.
        lib.SSL_set_cert_cb(self.connection._ssl, _certificateCallback, ffi.NULL)

    def _stapleOurs(self) -> int:
        """
        The client wants an OCSP response.
        """
        staple = None if self.decisions is None else self.decisions.stapleWanted()
        if not staple:
            return int(lib.SSL_TLSEXT_ERR_NOACK)
        # OpenSSL frees it.
        copy = _had(lib.OPENSSL_malloc(len(staple)))
        ffi.memmove(copy, staple, len(staple))
        lib.SSL_set_tlsext_status_ocsp_resp(self.connection._ssl, copy, len(staple))
        return int(lib.SSL_TLSEXT_ERR_OK)

    def _noteAlert(self, where: int, alert: int) -> None:
        description = _ALERTS[alert]
        self.idleMessages += description is TlsAlert.no_renegotiation
        if where & SSL.SSL_CB_READ:
            self.alertReceived = description
        else:
            self.alertSent = description

    def _noteBeginning(self) -> None:
        """
        Before TLS 1.3, another handshake begins.
        """
        # Who is accepted was so in the one before.
        self._forgetVerdict()
        self._handshakes += 1
        self.isRenegotiating = True
        if self._handshakes > MOST_HANDSHAKES:
            lib.SSL_set_options(self.connection._ssl, SSL.OP_NO_RENEGOTIATION)

    def _noteMove(self, state: bytes) -> None:
        """
        A client is about to look at a message, or a server has done so.
        """
        self.hasNews = not self.parameters.isServer
        self.idleMessages += b" read " in state and state.endswith(b" key update")
        if state == _FINISHED and self in _asking:
            _asking.discard(self)
            self.hasAnswered = True

    def _logSecret(self, line: bytes) -> None:
        for keyLog in self._keyLogs:
            keyLog(line)

    def _noteMessage(self, kind: int, body: bytes) -> None:
        """
        The peer sent a message that OpenSSL has not read yet.
        """
        protocol = self.protocol
        if kind == _CERTIFICATE_REQUEST:
            self.keyTypes = keyTypes(body, protocol)
            ours = _signaturesOf(self.parameters)
            if ours is not None:
                self.keyTypes &= {each.keyIn(protocol) for each in ours}
            return
        if not self.parameters.isServer:
            return
        self._sent = certificateList(body, protocol is SslProtocols.Tls13)
        # Without a certificate there will be no other question.
        if self._sent or self.parameters.insistsOnCertificate:
            return
        if self.decisions is None or not self.decisions.peerPresentedNothing():
            lib.SSL_set_verify(
                self.connection._ssl,
                SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
                _verifyCallback,
            )


def _suiteOf(ssl: Any) -> TlsCipherSuite | None:
    cipher = lib.SSL_get_current_cipher(ssl)
    return _suiteAt(_address(cipher)) if cipher else None


# OpenSSL has one of each for as long as it is there.
@cache
def _suiteAt(address: int) -> TlsCipherSuite | None:
    name = lib.SSL_CIPHER_get_name(ffi.cast("SSL_CIPHER *", address))
    return _suitesByName().get(ffi.string(name).decode())


def describe(connection: SSL.Connection) -> Negotiated:
    """
    What any pyOpenSSL connection has agreed on.
    """
    ssl = connection._ssl
    # Asked before there is a session, OpenSSL dereferences a null pointer.
    group = lib.SSL_get0_group_name(ssl) if lib.SSL_get_session(ssl) else None
    serverName = connection.get_servername()
    return Negotiated(
        protocol=_PROTOCOLS.get(lib.SSL_version(ssl), SslProtocols.None_),
        cipherSuite=_suiteOf(ssl),
        applicationProtocol=connection.get_alpn_proto_negotiated() or None,
        group=ffi.string(group).decode() if group else None,
        dhePrimeBits=None,
        serverName=(serverName or b"").decode("ascii", "replace"),
        isResumed=bool(lib.SSL_session_reused(ssl)),
    )


# What is above and the connection, tied together.


def isSecretUnique(connection: SSL.Connection) -> bool | None:
    """
    @param connection: any pyOpenSSL connection after its first handshake.
    @return: whether no other connection can have the same master secret: in TLS
        1.3, and before with the extended master secret (RFC 7627).  L{None}
        while another handshake is under way before TLS 1.3.
    """
    if lib.SSL_version(connection._ssl) == SSL.TLS1_3_VERSION:
        return True
    supported = lib.SSL_get_extms_support(connection._ssl)
    return None if supported < 0 else bool(supported)


def isRenegotiable(connection: SSL.Connection) -> bool:
    """
    @return: whether a further handshake may change the secrets.
    """
    ssl = connection._ssl
    if lib.SSL_version(ssl) == SSL.TLS1_3_VERSION:
        return False
    engine = _engines.get(_address(ssl))
    if engine is not None and engine.parameters.isServer:
        # One of ours does it when its application says so.
        return bool(engine.parameters.renegotiates or lib.SSL_total_renegotiations(ssl))
    return not lib.SSL_get_options(ssl) & SSL.OP_NO_RENEGOTIATION


def beginHandshake(connection: SSL.Connection) -> list[str]:
    """
    Begin another handshake (RFC 5246 section 7.4.1.1), whatever the peer thinks
    of that.

    @return: OpenSSL's words if it cannot be.
    """
    ssl = connection._ssl
    lib.ERR_clear_error()
    if lib.SSL_renegotiate(ssl) == 1:
        lib.SSL_do_handshake(ssl)
    return _drainErrors()


def firstFinished(connection: SSL.Connection, isServer: bool) -> bytes:
    """
    @return: the first Finished message of the latest handshake, before TLS 1.3
        (RFC 5929 section 3.1).
    @raise NotSupportedError: there is none.
    """
    # A client begins, unless an earlier session goes on.
    isOurs = isServer == bool(lib.SSL_session_reused(connection._ssl))
    finished = connection.get_finished() if isOurs else connection.get_peer_finished()
    if not finished:
        # Nothing would be equal on all connections.
        raise NotSupportedError("there is no Finished message")
    return finished


def exportKeyingMaterial(
    connection: SSL.Connection, label: bytes, length: int, context: bytes | None
) -> bytes:
    """
    @return: that many bytes (RFC 5705, RFC 8446 section 7.5).
    @raise NotSupportedError: OpenSSL refuses.
    """
    try:
        return connection.export_keying_material(label, length, context)
    except SSL.Error:
        raise NotSupportedError("OpenSSL does not export keying material here") from None


# The record path, without exceptions: what a call of OpenSSL's came to is a
# value.

#: Room for the largest chunk that a transport gives us, and another record.
#: Shared: nothing of it is used once a function here has returned, for whoever
#: is called then may come back in.
_room = ffi.new("unsigned char[]", 160 * 1024)
_SIZE = len(_room)
_octets = ffi.buffer(_room)
_view = memoryview(_octets)
# A pointer is handed over, and added to, faster than an array.
_scratch = _room + 0

#: The most plaintext in a record, and more than what else is in it (RFC 8446
#: section 5.2), in bytes.
_RECORD, _OVERHEAD = 1 << 14, 64
_FULL = _SIZE - _RECORD

# Found once: these are called for every record.
_Connection, _STARVED, _NULL = SSL.Connection, Received.starved, ffi.NULL
_sslRead, _sslWrite, _sslError = lib.SSL_read, lib.SSL_write, lib.SSL_get_error
_bioRead, _bioWrite, _bioSize = lib.BIO_read, lib.BIO_write, lib.BIO_get_mem_data
_EARLY = lib.SSL_ERROR_WANT_READ, lib.SSL_ERROR_WANT_X509_LOOKUP


def receive(connection: SSL.Connection, data: bytes = b"") -> tuple[bytes, Received, str]:
    """
    @param data: what has come from the peer.
    @return: all plaintext that is there, why it ends, and OpenSSL's words if it
        is broken.
    """
    if type(connection) is not _Connection:
        return _receiveForeign(connection, data)
    ssl, bio = connection._ssl, connection._into_ssl
    if data and _bioWrite(bio, data, len(data)) != len(data):
        # Without these bytes nothing can go on.
        raise MemoryError
    pieces = []
    filled = 0
    count = _sslRead(ssl, _scratch, _SIZE)
    if 0 < count > len(data) - _OVERHEAD and not _bioSize(bio, _NULL):
        # One record, and no need to be told that it was the last.
        return _octets[:count], _STARVED, ""
    while count > 0:
        filled += count
        if filled > _FULL:
            pieces.append(_octets[:filled])
            filled = 0
        count = _sslRead(ssl, _scratch + filled, _RECORD)
    plain = b"".join([*pieces, _octets[:filled]]) if pieces else _octets[:filled]
    return plain, *_whyNothing(ssl, count)


#: What ends what can be read without a fault.
_FAULTLESS = {
    lib.SSL_ERROR_WANT_READ: (Received.starved, ""),
    lib.SSL_ERROR_ZERO_RETURN: (Received.ended, ""),
    lib.SSL_ERROR_WANT_X509_LOOKUP: (Received.asking, ""),
}


def _whyNothing(ssl: Any, result: int) -> tuple[Received, str]:
    why = _FAULTLESS.get(_sslError(ssl, result))
    return why or (Received.broken, ", ".join(_drainErrors()) or "no reason given")


def hasUnread(connection: SSL.Connection) -> bool:
    """
    @return: whether there are bytes of the peer's, encrypted or not, that nobody
        has read.
    """
    return bool(_bioSize(connection._into_ssl, _NULL) or lib.SSL_pending(connection._ssl))


def send(
    connection: SSL.Connection,
    data: bytes | bytearray | memoryview,
    offer: Callable[[memoryview], int] | None = None,
) -> tuple[bytes, bool, str]:
    """
    Encrypt all of C{data}; not empty, at most 64 KiB: beyond, memory management
    costs more than it saves.

    @param offer: is offered what waits for the peer then, and tells how much of it has
        been taken; it must not keep it, nor come back here.
    @return: what else waits for the peer; whether C{data} was encrypted; and OpenSSL's
        words if the connection is broken.  If it was not, and there are none,
        the same bytes are to be given again later.
    """
    if type(connection) is not _Connection:
        _, why, reasons = _tried(connection.sendall, bytes(data))
        return takeOutput(connection), why is None, reasons
    ssl = connection._ssl
    count = _sslWrite(ssl, data if type(data) is bytes else ffi.from_buffer(data), len(data))
    if count <= 0:
        isEarly = _sslError(ssl, count) in _EARLY
        return b"", False, "" if isEarly else ", ".join(_drainErrors()) or "no reason given"
    count = _bioRead(connection._from_ssl, _scratch, _SIZE)
    taken = 0 if offer is None else offer(_view[:count])
    rest = _octets[taken:count] if taken else _octets[:count]
    return rest if count < _SIZE else rest + takeOutput(connection), True, ""


def takeOutput(connection: SSL.Connection) -> bytes:
    """
    @return: all bytes that wait for the peer.
    """
    if type(connection) is not _Connection:
        return _tried(connection.bio_read, _SIZE)[0] or b""
    return _emptied(connection._from_ssl)


def _tried(call: Callable[..., Any], *arguments: Any) -> tuple[Any, Received | None, str]:
    """
    A public method of a connection that is not pyOpenSSL's own, or no longer.

    @return: its result, and why there is none and OpenSSL's words if so.
    """
    try:
        return call(*arguments), None, ""
    except SSL.WantReadError:
        return None, Received.starved, ""
    except SSL.ZeroReturnError:
        return None, Received.ended, ""
    except SSL.Error as e:
        reasons = [str(each[-1]) for each in e.args[0]] if e.args and e.args[0] else []
        return None, Received.broken, ", ".join(reasons) or "no reason given"


def _receiveForeign(connection: Any, data: bytes) -> tuple[bytes, Received, str]:
    if data:
        connection.bio_write(data)
    pieces: list[bytes] = []
    while True:
        piece, why, reasons = _tried(connection.recv, _RECORD)
        if why is not None:
            return b"".join(pieces), why, reasons
        pieces.append(piece)


def keepBuffer(connection: SSL.Connection) -> None:
    """
    Much is coming: let OpenSSL keep what it reads a record into, 16 KiB, instead
    of making that anew for each, until L{renewBuffers}.
    """
    if type(connection) is _Connection:
        lib.SSL_clear_mode(connection._ssl, lib.SSL_MODE_RELEASE_BUFFERS)
        # Whatever is set, and this is anyway, tells what reads records of it.
        lib.SSL_set_mode(connection._ssl, lib.SSL_MODE_AUTO_RETRY)


def growOutput(connection: SSL.Connection) -> None:
    """
    Much goes out: let what OpenSSL writes to grow at once.  Step by step it would
    leave holes in memory that fit nobody.
    """
    if type(connection) is _Connection and not _bioSize(connection._from_ssl, _NULL):
        _bioWrite(connection._from_ssl, bytes(4 * _RECORD), 4 * _RECORD)
        _bioRead(connection._from_ssl, _scratch, _SIZE)


def renewBuffers(connection: SSL.Connection, isKept: bool = False) -> None:
    """
    Give the memory back that earlier traffic has taken, if nothing is in it.

    @param isKept: whether L{keepBuffer} was called.
    """
    isOurs = type(connection) is _Connection
    if isOurs and isKept:
        lib.SSL_set_mode(connection._ssl, lib.SSL_MODE_RELEASE_BUFFERS)
    if (
        isOurs
        and _address(connection._ssl) not in _occupied
        and not _bioSize(connection._into_ssl, _NULL)
        and not _bioSize(connection._from_ssl, _NULL)
        # Without memory for new ones the old ones stay.
        and (into := lib.BIO_new(lib.BIO_s_mem()))
        and (out := lib.BIO_new(lib.BIO_s_mem()))
    ):
        connection._into_ssl, connection._from_ssl = into, out
        # It frees those that it had.
        lib.SSL_set_bio(connection._ssl, into, out)
        if isKept and not lib.SSL_pending(connection._ssl):
            # What was kept goes as soon as there is nothing to read.
            lib.SSL_peek(connection._ssl, _scratch, 1)
            lib.ERR_clear_error()


def keepResumable(connection: SSL.Connection) -> None:
    """
    A connection is gone, as it may be, without any fault: its session may still
    go on (RFC 5246 section 7.2.1).
    """
    lib.SSL_set_shutdown(connection._ssl, lib.SSL_SENT_SHUTDOWN | lib.SSL_RECEIVED_SHUTDOWN)


def takeUnread(connection: SSL.Connection) -> bytes:
    """
    @return: all bytes from the peer that OpenSSL has not asked for: what came
        behind its C{close_notify}.
    """
    return _emptied(connection._into_ssl)


def _emptied(bio: Any) -> bytes:
    count = _bioRead(bio, _scratch, _SIZE)
    data: bytes = _octets[:count] if count > 0 else b""
    return data if count < _SIZE else data + _emptied(bio)


def sendCloseNotify(connection: SSL.Connection) -> bool | None:
    """
    End our side of the conversation.

    @return: whether the peer has ended its side, too; L{None} if that has to
        wait, for in the middle of another handshake OpenSSL says nothing.
    """
    if isSecretUnique(connection) is None:
        return None
    result: int = lib.SSL_shutdown(connection._ssl)
    if result < 0:
        lib.ERR_clear_error()
    return result == 1


def _pathIn(context: Any) -> Presented:
    """
    @return: what OpenSSL has made of the certificates that it was shown.
    """
    stack = lib.X509_STORE_CTX_get1_chain(context)
    certificates = [lib.sk_X509_value(stack, each) for each in range(lib.sk_X509_num(stack))]
    ders = [_encoded(each) for each in certificates]
    for each in certificates:
        lib.X509_free(each)
    lib.sk_X509_free(stack)
    return presentedOf(tuple(ders))


#: Shared, and empty whenever a function here has returned.
_encoding = ffi.gc(lib.BIO_new(lib.BIO_s_mem()), lib.BIO_free)


def _encoded(certificate: Any) -> bytes:
    """
    @return: the DER encoding of an C{X509*}.
    """
    lib.i2d_X509_bio(_encoding, certificate)
    # Not what is shared: OpenSSL may ask as it reads, when that holds plaintext.
    der = ffi.new("unsigned char[]", _bioSize(_encoding, _NULL))
    _bioRead(_encoding, der, len(der))
    return bytes(ffi.buffer(der))


# The callbacks.  Everything that OpenSSL calls is below; a raising callback
# would return cffi's default to OpenSSL, so none may raise.

_Result = TypeVar("_Result")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _callback(signature: str, refusal: int | None = None) -> Callable[[_Function], _Function]:
    """
    C{ffi.callback}, with a type.

    @param refusal: what OpenSSL gets should it raise all the same, such as for lack
        of memory; 0 unless given.
    """
    return cast("Callable[[_Function], _Function]", ffi.callback(signature, error=refusal))


_engines: WeakValueDictionary[int, TlsEngine] = WeakValueDictionary()

#: The C{SSL*} in whose calls somebody of us is deciding.
_occupied: set[int] = set()

#: The servers that wait for a client's answer in mid-conversation.
_asking: WeakSet[TlsEngine] = WeakSet()


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _guarded(ssl: Any, refusal: _Result, decide: Callable[[TlsEngine], _Result]) -> _Result:
    """
    Let the engine of a connection decide.

    @return: its decision, or C{refusal} where there is none to be had.
    """
    address = _address(ssl)
    isOutermost = address not in _occupied
    _occupied.add(address)
    try:
        engine = _engines.get(address)
        return refusal if engine is None else decide(engine)
    except BaseException:
        _log.failure("while OpenSSL waited for a decision")
        return refusal
    finally:
        if isOutermost:
            _occupied.discard(address)


@_callback("int (*)(int, X509_STORE_CTX *)")
def _verifyCallback(_: int, context: Any) -> int:
    ssl = lib.X509_STORE_CTX_get_ex_data(context, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
    return _guarded(ffi.cast("SSL *", ssl), 0, lambda engine: engine._verify(context))


@_callback("int (*)(SSL *, void *)")
def _certificateCallback(ssl: Any, _: Any) -> int:
    return _guarded(ssl, 0, TlsEngine._presentCertificate)


@_callback("int (*)(SSL *, void *)", lib.SSL_TLSEXT_ERR_NOACK)
def _stapleCallback(ssl: Any, _: Any) -> int:
    return _guarded(ssl, int(lib.SSL_TLSEXT_ERR_NOACK), TlsEngine._stapleOurs)


@_callback("int (*)(SSL *, int *, void *)", lib.SSL_TLSEXT_ERR_ALERT_FATAL)
def _resumptionCallback(ssl: Any, alert: Any, _: Any) -> int:
    # Meant for servers, but OpenSSL asks on clients, too: behind ServerHello, in
    # TLS 1.3 behind EncryptedExtensions.  No other callback can end a client's
    # resumption with an alert of ours.
    refused: TlsAlert | None = TlsAlert.internal_error
    refusal = _guarded(ssl, refused, TlsEngine._judgeResumed)
    if refusal is None:
        return int(lib.SSL_TLSEXT_ERR_OK)
    alert[0] = refusal.value
    return int(lib.SSL_TLSEXT_ERR_ALERT_FATAL)


@_callback("int (*)(SSL *, int *, void *)")
def _nameCallback(_ssl: Any, _alert: Any, _: Any) -> int:
    return int(lib.SSL_TLSEXT_ERR_OK)


@_callback("void (*)(const SSL *, int, int)")
def _infoCallback(ssl: Any, where: int, result: int) -> None:
    # More than twenty times in each first handshake: decide quickly.
    if where & _ALERT:
        _note(ssl, where, result)


@_callback("void (*)(const SSL *, int, int)")
def _laterInfoCallback(ssl: Any, where: int, result: int) -> None:
    if where & _OF_INTEREST:
        _note(ssl, where, result)
    elif where & _LOOP:
        state = ffi.string(lib.SSL_state_string_long(ssl))
        if state != _QUIET:
            _guarded(ssl, None, lambda engine: engine._noteMove(state))


def _note(ssl: Any, where: int, result: int) -> None:
    if where & SSL.SSL_CB_ALERT:
        alert = result & 0xFF
        # Each connection ends with two of the other kind.
        if alert in _ALERTS:
            _guarded(ssl, None, lambda engine: engine._noteAlert(where, alert))
    else:
        _guarded(ssl, None, TlsEngine._noteBeginning)


@_callback("void (*)(const SSL *, const char *)")
def _keyLogCallback(ssl: Any, line: Any) -> None:
    _guarded(ssl, None, lambda engine: engine._logSecret(ffi.string(line)))


@_callback("void (*)(int, int, int, const void *, size_t, SSL *, void *)")
def _messageCallback(
    isWrite: int, _version: int, kind: int, data: Any, size: int, ssl: Any, _: Any
) -> None:
    # This runs for every record of the connection: decide quickly.
    if kind == HANDSHAKE and not isWrite and size > 4:
        message = ffi.buffer(data, size)
        type_ = message[0][0]
        if type_ in _MESSAGES:
            _guarded(ssl, None, lambda engine: engine._noteMessage(type_, message[4:]))


@_callback(
    "int (*)(SSL *, const unsigned char **, unsigned char *, const unsigned char *, "
    "unsigned int, void *)",
    lib.SSL_TLSEXT_ERR_ALERT_FATAL,
)
def _alpnCallback(ssl: Any, out: Any, outSize: Any, offered: Any, size: int, _: Any) -> int:
    def choose(engine: TlsEngine) -> int:
        names = {}
        position = 0
        while position < size:
            names[bytes(ffi.buffer(offered + position + 1, offered[position]))] = position
            position += 1 + offered[position]
        for protocol in engine.parameters.applicationProtocols:
            if protocol in names:
                out[0] = offered + names[protocol] + 1
                outSize[0] = len(protocol)
                return int(lib.SSL_TLSEXT_ERR_OK)
        return int(lib.SSL_TLSEXT_ERR_ALERT_FATAL)

    return _guarded(ssl, int(lib.SSL_TLSEXT_ERR_ALERT_FATAL), choose)
