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

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib
from twisted.logger import Logger

from .ciphersuites import TlsCipherSuite, propertiesOf
from .crossing import (
    Certificates,
    Decisions,
    Finding,
    Negotiated,
    PeerChain,
    Received,
    Step,
)
from .enums import (
    CipherAlgorithmType,
    EncryptionPolicy,
    SslProtocols,
    TlsAlert,
    X509ChainStatusFlags,
)
from .errors import CertificateError, InvalidOperationError, NotSupportedError
from .parameters import TlsParameters
from .records import APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, recordKinds
from .serverflight import ServerFlight

_log = Logger()

#: Lowest first.
_VERSIONS: dict[SslProtocols, int] = {
    SslProtocols.Tls: SSL.TLS1_VERSION,
    SslProtocols.Tls11: SSL.TLS1_1_VERSION,
    SslProtocols.Tls12: SSL.TLS1_2_VERSION,
    SslProtocols.Tls13: SSL.TLS1_3_VERSION,
}
_PROTOCOLS = {version: protocol for protocol, version in _VERSIONS.items()}

#: The suites of TLS 1.2 that are offered unless a policy names others: forward
#: secrecy and authenticated encryption first, nothing anonymous.
_DEFAULT_CIPHERS = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:"
    "RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS:!MD5:!AESCCM8"
)

#: In bits; a suite with less needs OpenSSL's lowest security level.
_LEAST_STRENGTH = 112

#: Not among pyOpenSSL's names.  Without it OpenSSL completes our chain from the
#: trusted roots in every handshake.
_MODE_NO_AUTO_CHAIN = 0x8
_FLAG_NO_CHECK_TIME = 0x200000

_S = X509ChainStatusFlags

#: OpenSSL's verification errors as .NET's statuses (.NET's own table for
#: Linux).  The bare numbers are those that the bindings have no name for.
_STATUSES: dict[int, X509ChainStatusFlags] = {
    code: status
    for status, codes in (
        (
            _S.NotTimeValid,
            (
                lib.X509_V_ERR_CERT_NOT_YET_VALID,
                lib.X509_V_ERR_CERT_HAS_EXPIRED,
                lib.X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD,
                lib.X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD,
            ),
        ),
        (_S.Revoked, (lib.X509_V_ERR_CERT_REVOKED,)),
        (
            _S.NotSignatureValid,
            (
                lib.X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE,
                lib.X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY,
                lib.X509_V_ERR_CERT_SIGNATURE_FAILURE,
            ),
        ),
        (
            _S.UntrustedRoot,
            (
                lib.X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                lib.X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                lib.X509_V_ERR_CERT_UNTRUSTED,
            ),
        ),
        (
            _S.PartialChain,
            (
                lib.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                lib.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                lib.X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
                lib.X509_V_ERR_CERT_CHAIN_TOO_LONG,
            ),
        ),
        (_S.NotValidForUsage, (lib.X509_V_ERR_INVALID_PURPOSE,)),
        (
            _S.InvalidBasicConstraints,
            (
                lib.X509_V_ERR_INVALID_CA,
                lib.X509_V_ERR_INVALID_NON_CA,
                lib.X509_V_ERR_PATH_LENGTH_EXCEEDED,
                lib.X509_V_ERR_KEYUSAGE_NO_CERTSIGN,
                lib.X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE,
            ),
        ),
        (
            _S.InvalidPolicyConstraints,
            (lib.X509_V_ERR_INVALID_POLICY_EXTENSION, lib.X509_V_ERR_NO_EXPLICIT_POLICY),
        ),
        (_S.HasNotSupportedCriticalExtension, (lib.X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,)),
        (_S.HasNotPermittedNameConstraint, (lib.X509_V_ERR_PERMITTED_VIOLATION,)),
        (_S.HasExcludedNameConstraint, (lib.X509_V_ERR_EXCLUDED_VIOLATION,)),
        (
            _S.HasNotSupportedNameConstraint,
            (
                lib.X509_V_ERR_SUBTREE_MINMAX,
                lib.X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE,
                lib.X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX,
            ),
        ),
        (_S.InvalidNameConstraints, (lib.X509_V_ERR_UNSUPPORTED_NAME_SYNTAX,)),
        (_S.ExplicitDistrust, (lib.X509_V_ERR_CERT_REJECTED,)),
        # EE_KEY_TOO_SMALL, CA_KEY_TOO_SMALL, CA_MD_TOO_WEAK
        (_S.HasWeakSignature, (66, 67, 68)),
    )
    for code in codes
}

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


def _drainErrors() -> list[str]:
    """
    Empty the thread's error queue.
    """
    reasons = []
    while code := lib.ERR_get_error():
        text = lib.ERR_reason_error_string(code)
        reasons.append(ffi.string(text).decode() if text else f"error {code:#x}")
    return reasons


@lru_cache(maxsize=8)
def _systemStore(certFile: str | None, certDir: str | None) -> crypto.X509Store:
    """
    The platform's roots, loaded once per process for each setting of OpenSSL's
    environment variables: parsing them takes longer than ten handshakes.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_default_verify_paths()
    store = context.get_cert_store()
    if store is None:
        raise NotSupportedError("this OpenSSL keeps no store of trusted certificates")
    # pyOpenSSL holds no reference of its own: the store would die with the context.
    lib.X509_STORE_up_ref(store._store)
    store._store = ffi.gc(store._store, lib.X509_STORE_free)
    return store


@lru_cache(maxsize=64)
def _storeOf(certificates: tuple[x509.Certificate, ...]) -> crypto.X509Store:
    store = crypto.X509Store()
    for certificate in certificates:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    return store


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


def _chooseCiphers(context: SSL.Context, parameters: TlsParameters) -> SslProtocols:
    """
    @return: the versions that are left to negotiate.
    """
    asked = parameters.protocols & (SslProtocols.Ssl2 | SslProtocols.Ssl3)
    if asked:
        raise NotSupportedError("SSL 2 and SSL 3 do not exist in this OpenSSL")
    versions = parameters.protocols or SslProtocols.Tls12 | SslProtocols.Tls13
    ciphers = _DEFAULT_CIPHERS
    if parameters.cipherSuites is not None:
        _agreeOnEncryption(parameters.cipherSuites, parameters.encryptionPolicy)
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
    # The old versions sign with SHA-1 and MD5, which OpenSSL's default level
    # forbids; whoever enables them has decided.  The level concerns the
    # certificates, too: a choice of strong suites must not lower it.
    weak = (
        versions & (SslProtocols.Tls | SslProtocols.Tls11)
        or parameters.encryptionPolicy is not EncryptionPolicy.RequireEncryption
        or any(map(_isWeak, parameters.cipherSuites or ()))
    )
    context.set_cipher_list(f"{ciphers}:@SECLEVEL=0".encode() if weak else ciphers.encode())
    return versions


def _agreeOnEncryption(suites: tuple[TlsCipherSuite, ...], policy: EncryptionPolicy) -> None:
    """
    @raise InvalidOperationError: a suite encrypts, or does not, against the
        policy.
    """
    for suite in suites:
        isNull = propertiesOf(suite).cipherAlgorithm is CipherAlgorithmType.Null
        if policy is (
            EncryptionPolicy.RequireEncryption if isNull else EncryptionPolicy.NoEncryption
        ):
            raise InvalidOperationError(f"{suite.name} goes against {policy.name}")


def _chooseVersions(context: SSL.Context, versions: SslProtocols) -> None:
    numbers = list(_VERSIONS.values())
    enabled = [number for protocol, number in _VERSIONS.items() if protocol & versions]
    if enabled != numbers[numbers.index(enabled[0]) :][: len(enabled)]:
        # OpenSSL would negotiate the lowest of them.
        raise NotSupportedError(f"the enabled protocols must not have a gap: {versions!r}")
    context.set_min_proto_version(enabled[0])
    context.set_max_proto_version(enabled[-1])


def contextFor(parameters: TlsParameters) -> SSL.Context:
    """
    The OpenSSL context of these parameters; equal parameters share one.

    @raise InvalidOperationError: the parameters contradict each other.
    @raise NotSupportedError: this OpenSSL cannot do it.
    @raise CertificateError: OpenSSL does not take the certificate.
    """
    places: tuple[str | None, str | None] = (None, None)
    if parameters.trust.certificates is None:
        places = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return _context(parameters, places)


@lru_cache(maxsize=256)
def _context(parameters: TlsParameters, places: tuple[str | None, str | None]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if parameters.isServer else SSL.TLS_CLIENT_METHOD)
    _chooseVersions(context, _chooseCiphers(context, parameters))
    context.set_options(
        SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | SSL.OP_NO_TICKET
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(lib.SSL_MODE_RELEASE_BUFFERS | _MODE_NO_AUTO_CHAIN)
    roots = parameters.trust.certificates
    store = _systemStore(*places) if roots is None else _storeOf(roots)
    lib.X509_STORE_up_ref(store._store)
    lib.SSL_CTX_set_cert_store(context._context, store._store)
    if roots is not None and parameters.trust.sendTrustInHandshake:
        for root in roots:
            context.add_client_ca(root)
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
    if parameters.applicationProtocols:
        if parameters.isServer:
            lib.SSL_CTX_set_alpn_select_cb(context._context, _alpnCallback, ffi.NULL)
        else:
            context.set_alpn_protos(list(parameters.applicationProtocols))
    if parameters.asksForCertificate and not parameters.insistsOnCertificate:
        lib.SSL_CTX_set_msg_callback(context._context, _messageCallback)
    return context


class TlsEngine:
    """
    One side of one TLS connection between two memory BIOs, from the first byte
    to the end of its handshake.

    @ivar connection: pyOpenSSL's object, for the record path.
    @ivar alertReceived: the last alert from the peer but C{close_notify}.
    @ivar alertSent: the last alert to the peer but C{close_notify}.
    @ivar isEncrypting: whether L{output} has handed out anything encrypted;
        before that, an alert may go in the clear.
    @ivar lateFindings: problems of the peer's chain that refused it after it had
        been judged, or made it unjudgeable.
    @ivar reasons: OpenSSL's words for a failure, outermost first.
    @ivar wasAskedForCertificate: whether the peer wanted a certificate of ours.
    """

    __slots__ = (
        "__weakref__",
        "_accepted",
        "_findings",
        "_flight",
        "alertReceived",
        "alertSent",
        "connection",
        "decisions",
        "isEncrypting",
        "lateFindings",
        "parameters",
        "reasons",
        "wasAskedForCertificate",
    )

    def __init__(
        self, parameters: TlsParameters, decisions: Decisions, serverName: bytes | None = None
    ) -> None:
        """
        @param serverName: what a client asks for (RFC 6066 section 3).
        """
        self.parameters = parameters
        self.decisions: Decisions | None = decisions
        self.connection = SSL.Connection(contextFor(parameters), None)
        self.alertReceived: TlsAlert | None = None
        self.alertSent: TlsAlert | None = None
        self.wasAskedForCertificate = False
        self.lateFindings: list[Finding] = []
        self.reasons: list[str] = []
        self._findings: list[Finding] = []
        self._accepted: frozenset[Finding] | None = None
        self._flight = ServerFlight()
        self.isEncrypting = False
        ssl = self.connection._ssl
        _engines[_address(ssl)] = self
        lib.SSL_set_info_callback(ssl, _infoCallback)
        lib.SSL_set_cert_cb(ssl, _certificateCallback, ffi.NULL)
        if not parameters.isServer:
            lib.SSL_set_verify(ssl, SSL.VERIFY_PEER, _verifyCallback)
            if serverName is not None:
                self.connection.set_tlsext_host_name(serverName)
            self.connection.set_connect_state()
        else:
            if parameters.asksForCertificate:
                mode = SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE
                if parameters.insistsOnCertificate:
                    mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
                lib.SSL_set_verify(ssl, mode, _verifyCallback)
            self.connection.set_accept_state()

    def feed(self, data: bytes) -> None:
        """
        Take bytes from the peer.
        """
        if not self.parameters.isServer:
            self._flight.feed(data)
        self.connection.bio_write(data)

    def handshake(self) -> Step:
        """
        Go on with the handshake as far as the bytes fed so far allow.
        """
        lib.ERR_clear_error()
        result = lib.SSL_do_handshake(self.connection._ssl)
        if result == 1:
            return Step.complete
        if lib.SSL_get_error(self.connection._ssl, result) == lib.SSL_ERROR_WANT_READ:
            return Step.incomplete
        self.reasons = _drainErrors()
        return Step.failed

    def output(self) -> bytes:
        """
        Take all bytes that wait for the peer.
        """
        data = takeOutput(self.connection)
        if self.parameters.isServer:
            self._flight.feed(data)
        kinds = recordKinds(data)
        if APPLICATION_DATA in kinds:
            self.isEncrypting = True
        elif CHANGE_CIPHER_SPEC in kinds:
            # In TLS 1.3 it means nothing (RFC 8446 section 5).
            self.isEncrypting = lib.SSL_version(self.connection._ssl) != SSL.TLS1_3_VERSION
        return data

    def negotiated(self) -> Negotiated:
        """
        What is agreed on so far.
        """
        facts = describe(self.connection)
        if facts.cipherSuite is None and facts.protocol is not SslProtocols.Tls13:
            code = self._flight.cipherSuite()
            if code is not None and code in TlsCipherSuite._value2member_map_:
                facts = replace(facts, cipherSuite=TlsCipherSuite(code))
        if facts.group is None:
            facts = replace(facts, dhePrimeBits=self._flight.dhePrimeBits())
        return facts

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
        self.decisions = None
        self._flight = ServerFlight()
        # Where Twisted has noted the protocol, which would keep all this alive.
        self.connection.set_app_data(None)

    def _judge(self, ok: int, context: Any) -> int:
        """
        OpenSSL has checked one thing about one certificate.

        Everything is noted until the peer's own certificate has passed the
        signature checks, which come last but for name constraints and
        policies; those are looked up before the question is asked.
        """
        depth = lib.X509_STORE_CTX_get_error_depth(context)
        code = lib.X509_STORE_CTX_get_error(context)
        if not ok:
            finding = _finding(depth, code)
            if self._accepted is not None:
                if finding in self._accepted:
                    return 1
                # Nobody was asked about this one.
                self.lateFindings.append(finding)
                return 0
            if finding not in self._findings:
                self._findings.append(finding)
            return 1
        if depth or self._accepted is not None or self.decisions is None:
            return 0 if self.decisions is None else 1
        try:
            built = _certificatesOf(lib.X509_STORE_CTX_get1_chain(context))
            stack = lib.SSL_get_peer_cert_chain(self.connection._ssl)
            presented = _certificatesOf(stack, owned=False) if stack else built
            findings = (*self._findings, *_lateFindings(built))
        except (ValueError, x509.InvalidVersion):
            self.lateFindings.append(Finding(0, _S.InvalidExtension, "cannot be parsed"))
            lib.X509_STORE_CTX_set_error(context, lib.X509_V_ERR_CERT_REJECTED)
            return 0
        lib.ERR_clear_error()
        refusal = self.decisions.peerPresented(PeerChain(built, presented, findings))
        if refusal is None:
            self._accepted = frozenset(findings)
            lib.X509_STORE_CTX_set_error(context, lib.X509_V_OK)
            return 1
        lib.X509_STORE_CTX_set_error(context, _ERROR_FOR_ALERT[refusal])
        return 0

    def _presentCertificate(self) -> int:
        self.wasAskedForCertificate = True
        if self.decisions is None:
            return 0
        answer = self.decisions.certificateWanted()
        lib.ERR_clear_error()
        if isinstance(answer, TlsAlert):
            return 0
        if answer is not None:
            self.parameters = answer
            self.connection.set_context(contextFor(answer))
        return 1

    def _noteAlert(self, where: int, alert: int) -> None:
        try:
            description = TlsAlert(alert)
        except ValueError:
            return
        if description is TlsAlert.close_notify:
            return
        if where & SSL.SSL_CB_READ:
            self.alertReceived = description
        else:
            self.alertSent = description

    def _noteMessage(self, body: bytes) -> None:
        """
        The client sent Certificate.  Its list is empty if nothing but lengths
        is in it; only then is the answer to be known before OpenSSL reads it.
        """
        if lib.SSL_version(self.connection._ssl) == SSL.TLS1_3_VERSION:
            # The context comes first, behind its length.
            body = body[1 + body[0] :]
        if any(body):
            return
        if self.decisions is None or not self.decisions.peerPresentedNothing():
            lib.SSL_set_verify(
                self.connection._ssl,
                SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
                _verifyCallback,
            )


def describe(connection: SSL.Connection) -> Negotiated:
    """
    What any pyOpenSSL connection has agreed on.
    """
    ssl = connection._ssl
    cipher = lib.SSL_get_current_cipher(ssl)
    name = ffi.string(lib.SSL_CIPHER_get_name(cipher)).decode() if cipher else ""
    # Asked before there is a session, OpenSSL dereferences a null pointer.
    group = lib.SSL_get0_group_name(ssl) if lib.SSL_get_session(ssl) else None
    serverName = connection.get_servername()
    return Negotiated(
        protocol=_PROTOCOLS.get(lib.SSL_version(ssl), SslProtocols.None_),
        cipherSuite=_suitesByName().get(name),
        applicationProtocol=connection.get_alpn_proto_negotiated() or None,
        group=ffi.string(group).decode() if group else None,
        dhePrimeBits=None,
        serverName=(serverName or b"").decode("ascii", "replace"),
        isResumed=bool(lib.SSL_session_reused(ssl)),
    )


def certificatesOf(connection: SSL.Connection) -> Certificates:
    """
    @param connection: any pyOpenSSL connection after its handshake.
    """
    remote = connection.get_peer_certificate(as_cryptography=True)
    presented = connection.get_peer_cert_chain(as_cryptography=True)
    return Certificates(
        # OpenSSL does not tell the role; a server's list of the peer's
        # certificates lacks the peer's own one.
        isServer=remote is None or not presented or presented[0] != remote,
        local=connection.get_certificate(as_cryptography=True),
        remote=remote,
        verified=tuple(connection.get_verified_chain(as_cryptography=True) or ()),
    )


# The record path, without exceptions: what a call of OpenSSL's came to is a
# value.

#: One record's worth at least; shared, since nothing of it outlives a call.
_scratch = ffi.new("unsigned char[]", 1 << 17)
_scratchView = memoryview(ffi.buffer(_scratch))


def enableWholeWrites(connection: SSL.Connection) -> None:
    """
    Let L{send} take all it is given, in as many records as it needs.
    """
    lib.SSL_clear_mode(connection._ssl, lib.SSL_MODE_ENABLE_PARTIAL_WRITE)


def receive(connection: SSL.Connection) -> tuple[bytes, Received, str]:
    """
    @return: all plaintext that is there, why it ends, and OpenSSL's words if it
        is broken.
    """
    ssl = connection._ssl
    pieces = []
    filled = 0
    while True:
        count = lib.SSL_read(ssl, _scratch + filled, len(_scratchView) - filled)
        if count > 0:
            filled += count
            if len(_scratchView) - filled < 1 << 14:
                pieces.append(bytes(_scratchView[:filled]))
                filled = 0
            continue
        if filled:
            pieces.append(bytes(_scratchView[:filled]))
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        error = lib.SSL_get_error(ssl, count)
        if error == lib.SSL_ERROR_WANT_READ:
            return data, Received.starved, ""
        if error == lib.SSL_ERROR_ZERO_RETURN:
            return data, Received.ended, ""
        return data, Received.broken, ", ".join(_drainErrors()) or "no reason given"


def send(connection: SSL.Connection, data: bytes) -> tuple[bool, str]:
    """
    Encrypt all of C{data}; not empty, at most 64 KiB: beyond, memory management
    costs more than it saves.

    @return: whether that succeeded, and OpenSSL's words if the connection is
        broken; if there are none, the same bytes are to be given again later.
    """
    count = lib.SSL_write(connection._ssl, ffi.from_buffer(data), len(data))
    if count > 0:
        return True, ""
    if lib.SSL_get_error(connection._ssl, count) == lib.SSL_ERROR_WANT_READ:
        return False, ""
    return False, ", ".join(_drainErrors()) or "no reason given"


def takeOutput(connection: SSL.Connection) -> bytes:
    """
    @return: all bytes that wait for the peer.
    """
    pieces = []
    while (count := lib.BIO_read(connection._from_ssl, _scratch, len(_scratchView))) > 0:
        pieces.append(bytes(_scratchView[:count]))
        if count < len(_scratchView):
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def takeUnread(connection: SSL.Connection) -> bytes:
    """
    @return: all bytes from the peer that OpenSSL has not asked for: what came
        behind its C{close_notify}.
    """
    pieces = []
    while (count := lib.BIO_read(connection._into_ssl, _scratch, len(_scratchView))) > 0:
        pieces.append(bytes(_scratchView[:count]))
    return b"".join(pieces)


def sendCloseNotify(connection: SSL.Connection) -> bool:
    """
    End our side of the conversation.

    @return: whether the peer has ended its side, too.
    """
    result: int = lib.SSL_shutdown(connection._ssl)
    _drainErrors()
    return result == 1


def certificateError(code: int) -> str:
    """
    @return: OpenSSL's words for a verification error.
    """
    text: str = ffi.string(lib.X509_verify_cert_error_string(code)).decode()
    return text


def _finding(depth: int, code: int) -> Finding:
    return Finding(depth, _STATUSES.get(code, _S.InvalidExtension), certificateError(code))


def _certificatesOf(stack: Any, owned: bool = True) -> tuple[x509.Certificate, ...]:
    if not stack:
        return ()
    try:
        return tuple(SSL.Connection._cert_stack_to_cryptography_list(stack))
    finally:
        if owned:
            for index in range(lib.sk_X509_num(stack)):
                lib.X509_free(lib.sk_X509_value(stack, index))
            lib.sk_X509_free(stack)


#: The DER encoding of id-ce-nameConstraints.
_NAME_CONSTRAINTS = bytes((6, 3, 0x55, 0x1D, 0x1E))


def _lateFindings(built: tuple[x509.Certificate, ...]) -> list[Finding]:
    """
    Name constraints, which OpenSSL checks only after its last question about
    the peer's own certificate.  The chain is taken as it is, its end as
    trusted, and its times are left alone: all that has been judged.
    """
    issuers = [each.public_bytes(Encoding.DER) for each in built[1:]]
    if not any(_NAME_CONSTRAINTS in issuer for issuer in issuers):
        return []
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(built[-1]))
    store.set_flags(lib.X509_V_FLAG_PARTIAL_CHAIN | _FLAG_NO_CHECK_TIME)
    leaf, *rest = map(crypto.X509.from_cryptography, built[:-1])
    try:
        crypto.X509StoreContext(store, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError as e:
        code, depth, _ = e.errors
        return [_finding(depth, code)]
    return []


# The callbacks.  Everything that OpenSSL calls is below; a raising callback
# would return cffi's default to OpenSSL, so none may raise.

_Result = TypeVar("_Result")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _callback(signature: str) -> Callable[[_Function], _Function]:
    """
    C{ffi.callback}, with a type.
    """
    decorator: Callable[[_Function], _Function] = ffi.callback(signature)
    return decorator


_engines: WeakValueDictionary[int, TlsEngine] = WeakValueDictionary()


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _guarded(ssl: Any, refusal: _Result, decide: Callable[[TlsEngine], _Result]) -> _Result:
    """
    Let the engine of a connection decide.

    @return: its decision, or C{refusal} where there is none to be had.
    """
    try:
        engine = _engines.get(_address(ssl))
        return refusal if engine is None else decide(engine)
    except BaseException:
        _log.failure("while OpenSSL waited for a decision")
        return refusal


@_callback("int (*)(int, X509_STORE_CTX *)")
def _verifyCallback(ok: int, context: Any) -> int:
    ssl = lib.X509_STORE_CTX_get_ex_data(context, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
    return _guarded(ffi.cast("SSL *", ssl), 0, lambda engine: engine._judge(ok, context))


@_callback("int (*)(SSL *, void *)")
def _certificateCallback(ssl: Any, _: Any) -> int:
    return _guarded(ssl, 0, TlsEngine._presentCertificate)


@_callback("void (*)(const SSL *, int, int)")
def _infoCallback(ssl: Any, where: int, result: int) -> None:
    if where & SSL.SSL_CB_ALERT:
        _guarded(ssl, None, lambda engine: engine._noteAlert(where, result & 0xFF))


@_callback("void (*)(int, int, int, const void *, size_t, SSL *, void *)")
def _messageCallback(
    isWrite: int, _version: int, kind: int, data: Any, size: int, ssl: Any, _: Any
) -> None:
    # This runs for every record of the connection: decide quickly.
    if kind == HANDSHAKE and not isWrite and size > 4:
        message = ffi.buffer(data, size)
        if message[0] == b"\x0b":
            _guarded(ssl, None, lambda engine: engine._noteMessage(message[4:]))


@_callback(
    "int (*)(SSL *, const unsigned char **, unsigned char *, const unsigned char *, "
    "unsigned int, void *)"
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
                ok: int = lib.SSL_TLSEXT_ERR_OK
                return ok
        return refusal

    refusal: int = lib.SSL_TLSEXT_ERR_ALERT_FATAL
    return _guarded(ssl, refusal, choose)
