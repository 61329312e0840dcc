"""
Tests for L{txsslstream.options}: what is asked of a connection is checked when
it is built, and then stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from inspect import Parameter, signature
from math import inf, nan
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import ssl
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.files import FilesMixin
from tests.support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from txsslstream import (
    AuthenticationError,
    CertificateError,
    CipherAlgorithmType,
    CipherSuitesPolicy,
    EncryptionPolicy,
    InvalidOperationError,
    NotSupportedError,
    SslApplicationProtocol,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    StoreName,
    TlsAlert,
    TlsCipherSuite,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationFlag,
    X509RevocationMode,
    X509Store,
    X509VerificationFlags,
)
from txsslstream._openssl import contextFor
from txsslstream.options import AuthenticationOptions, checkedTimeout
from txsslstream.testing import (
    DAY,
    NOW,
    Authority,
    StreamPair,
    certificatePEM,
    keyPEM,
    perVersion,
    rsaKey,
)

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object

MODERN = TlsCipherSuite.TLS_AES_128_GCM_SHA256
CLASSIC = TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
#: In no OpenSSL.
EXOTIC = TlsCipherSuite.TLS_KRB5_WITH_DES_CBC_MD5

PEM = certificatePEM(CLIENT) + keyPEM(CLIENT)

#: What is made of L{CLIENT} where it is not given as a context: for that one
#: nothing is fetched.
OFFLINE = SslStreamCertificateContext(CLIENT.certificate, CLIENT.privateKey, offline=True)

#: A policy that trusts L{AUTHORITY} and nobody else.
POLICY = X509ChainPolicy(
    trustMode=X509ChainTrustMode.CustomRootTrust, customTrustStore=AUTHORITY.certificate
)

MAKERS: tuple[Callable[..., AuthenticationOptions], ...] = (clientOptions, serverOptions)


def callback(*arguments: object) -> None:
    """
    Any callback.
    """


def otherCallback(*arguments: object) -> None:
    """
    Any other callback.
    """


#: For each option of both sides, a value that is not its default.
COMMON: dict[str, Any] = {
    "remoteCertificateValidationCallback": callback,
    "applicationProtocols": (SslApplicationProtocol.Http2,),
    "enabledSslProtocols": SslProtocols.Tls13,
    "certificateRevocationCheckMode": X509RevocationMode.Online,
    "certificateChainPolicy": POLICY,
    "trust": Authority("Other").trust,
    "cipherSuitesPolicy": CipherSuitesPolicy([MODERN]),
    "encryptionPolicy": EncryptionPolicy.AllowNoEncryption,
    "allowRenegotiation": True,
    "allowTlsResume": False,
    "handshakeTimeout": 7,
    "requireCloseNotify": False,
    "keyExchangeGroups": ("x25519",),
    "signatureAlgorithms": ("ecdsa_secp256r1_sha256",),
    "allowRsaPssPadding": False,
    "allowRsaPkcs1Padding": False,
}
#: The same for those of one side; some exclude others that it was built with.
OF_CLIENT: dict[str, Any] = {
    "targetHost": "example.com",
    "clientCertificates": (CLIENT,),
    "clientCertificateContext": CLIENT,
    "localCertificateSelectionCallback": callback,
}
OF_SERVER: dict[str, Any] = {
    "serverCertificate": CLIENT,
    "serverCertificateContext": CLIENT,
    "serverCertificateSelectionCallback": callback,
    "clientCertificateRequired": True,
}
WITHOUT_CERTIFICATE = {"serverCertificate": None}

#: The options that OpenSSL is told of, on either side.  Who is trusted, who is
#: asked, how long and how often is no matter of it.
TOLD = {
    "applicationProtocols",
    "enabledSslProtocols",
    "cipherSuitesPolicy",
    "encryptionPolicy",
    "allowRenegotiation",
    "allowTlsResume",
    "keyExchangeGroups",
    "signatureAlgorithms",
    "allowRsaPssPadding",
    "allowRsaPkcs1Padding",
}

#: The arguments in the order of the contract, and those that are named only.
POSITIONS_OF_CLIENT = (
    "targetHost",
    "clientCertificates",
    "clientCertificateContext",
    "localCertificateSelectionCallback",
)
POSITIONS_OF_SERVER = (
    "serverCertificate",
    "serverCertificateContext",
    "serverCertificateSelectionCallback",
    "clientCertificateRequired",
)
POSITIONS_OF_BOTH = (
    "remoteCertificateValidationCallback",
    "applicationProtocols",
    "enabledSslProtocols",
    "certificateRevocationCheckMode",
    "certificateChainPolicy",
    "trust",
    "cipherSuitesPolicy",
    "encryptionPolicy",
    "allowRenegotiation",
    "allowTlsResume",
    "handshakeTimeout",
    "requireCloseNotify",
)
NAMED = (
    "keyExchangeGroups",
    "signatureAlgorithms",
    "allowRsaPssPadding",
    "allowRsaPkcs1Padding",
)


def variants() -> dict[str, list[AuthenticationOptions]]:
    """
    @return: for the client and the server, options that differ in one thing
        from the first of them.
    """
    client = [clientOptions()]
    client += [clientOptions(**{name: value}) for name, value in {**COMMON, **OF_CLIENT}.items()]
    server = [serverOptions()]
    server += [serverOptions(**{name: value}) for name, value in COMMON.items()]
    for name, value in OF_SERVER.items():
        others = {} if name == "clientCertificateRequired" else WITHOUT_CERTIFICATE
        server.append(serverOptions(**{**others, name: value}))
    return {"client": list(client), "server": list(server)}


class DefaultTests(SynchronousTestCase):
    """
    What options are unless something else is asked for.
    """

    COMMON_DEFAULTS = (
        ("remoteCertificateValidationCallback", None),
        ("applicationProtocols", ()),
        ("enabledSslProtocols", SslProtocols.None_),
        ("certificateRevocationCheckMode", X509RevocationMode.NoCheck),
        ("certificateChainPolicy", None),
        ("trust", None),
        ("cipherSuitesPolicy", None),
        ("encryptionPolicy", EncryptionPolicy.RequireEncryption),
        ("allowRenegotiation", False),
        ("allowTlsResume", True),
        ("handshakeTimeout", 30),
        ("requireCloseNotify", True),
        ("keyExchangeGroups", ()),
        ("signatureAlgorithms", ()),
        ("allowRsaPssPadding", True),
        ("allowRsaPkcs1Padding", True),
    )

    def assertDefaults(self, options: object, *expected: tuple[str, object]) -> None:
        """
        Check that options are these and no others.
        """
        have = {name: value for name, value in vars(options).items() if name != "parameters"}
        self.assertEqual(have, dict((*self.COMMON_DEFAULTS, *expected)))

    def test_client(self) -> None:
        """
        A client needs a target's name and nothing else.
        """
        self.assertDefaults(
            SslClientAuthenticationOptions("example.com"),
            ("targetHost", "example.com"),
            ("clientCertificates", ()),
            ("clientCertificateContext", None),
            ("localCertificateSelectionCallback", None),
        )
        self.assertRaises(TypeError, SslClientAuthenticationOptions)

    def test_server(self) -> None:
        """
        A server needs a certificate and nothing else.
        """
        self.assertDefaults(
            SslServerAuthenticationOptions(SERVER),
            ("serverCertificate", SERVER),
            ("serverCertificateContext", None),
            ("serverCertificateSelectionCallback", None),
            ("clientCertificateRequired", False),
        )

    def test_positions(self) -> None:
        """
        Options may be given by position in the order of the contract, or by
        name; what was added to it is named.
        """
        for options, own in (
            (SslClientAuthenticationOptions, POSITIONS_OF_CLIENT),
            (SslServerAuthenticationOptions, POSITIONS_OF_SERVER),
        ):
            parameters = signature(options).parameters.values()
            self.assertEqual([each.name for each in parameters], [*own, *POSITIONS_OF_BOTH, *NAMED])
            self.assertEqual(
                [each.kind for each in parameters],
                [Parameter.POSITIONAL_OR_KEYWORD] * (len(own) + len(POSITIONS_OF_BOTH))
                + [Parameter.KEYWORD_ONLY] * len(NAMED),
            )

    def test_givenByPosition(self) -> None:
        """
        Each position is the option of that name.
        """
        values = [COMMON[name] for name in POSITIONS_OF_BOTH if name != "allowRenegotiation"]
        values.insert(POSITIONS_OF_BOTH.index("allowRenegotiation"), False)
        named = dict(zip(POSITIONS_OF_BOTH, values, strict=True))
        self.assertEqual(
            SslClientAuthenticationOptions("example.com", (), CLIENT, None, *values),
            SslClientAuthenticationOptions(
                targetHost="example.com", clientCertificateContext=CLIENT, **named
            ),
        )
        self.assertEqual(
            SslServerAuthenticationOptions(None, None, callback, True, *values),
            SslServerAuthenticationOptions(
                serverCertificateSelectionCallback=callback,
                clientCertificateRequired=True,
                **named,
            ),
        )
        tooMany: Any = [*values, ()]
        self.assertRaises(TypeError, SslClientAuthenticationOptions, "", (), None, None, *tooMany)
        self.assertRaises(TypeError, SslServerAuthenticationOptions, SERVER, None, None, *tooMany)


class CertificateOptionTests(FilesMixin, SynchronousTestCase):
    """
    Certificates among the options.
    """

    def forms(self) -> list[Any]:
        """
        @return: L{CLIENT} in every form that holds a key.
        """
        path = self.file(PEM)
        return [
            CLIENT,
            path,
            str(path),
            (CLIENT.certificate, CLIENT.privateKey),
            ssl.PrivateCertificate.loadPEM(PEM),
        ]

    def test_everyForm(self) -> None:
        """
        A certificate is taken in every form that holds its key, and kept as a
        certificate context: as the one that it is, or as one that fetches
        nothing.
        """
        for form in self.forms():
            kept = CLIENT if form is CLIENT else OFFLINE
            collected = clientOptions(clientCertificates=[form])
            self.assertEqual(collected.clientCertificates, (kept,))
            self.assertEqual(collected.candidates, (kept,))
            for options in (
                clientOptions(clientCertificateContext=form),
                serverOptions(serverCertificate=form),
                serverOptions(serverCertificate=None, serverCertificateContext=form),
            ):
                self.assertEqual(options.parameters.certificate, kept)

    def test_single(self) -> None:
        """
        One path or one context in the place of a collection is one certificate.
        """
        path = self.file(PEM)
        for form, kept in ((path, OFFLINE), (str(path), OFFLINE), (CLIENT, CLIENT)):
            self.assertEqual(clientOptions(clientCertificates=form).clientCertificates, (kept,))

    def test_collections(self) -> None:
        """
        Any collection will do, and is read once.
        """
        for collection in (
            [CLIENT, SERVER],
            (CLIENT, SERVER),
            iter([CLIENT, SERVER]),
            {CLIENT: 1, SERVER: 2},
        ):
            options = clientOptions(clientCertificates=collection)
            self.assertEqual(options.clientCertificates, (CLIENT, SERVER))
            self.assertEqual(options.candidates, (CLIENT, SERVER))

    def test_candidates(self) -> None:
        """
        What may be presented is the context or the certificates.  Without a
        callback it is the context; what of a collection, be it of one, the
        server decides by what it asks for.
        """
        for options, candidates, presented, chooses in (
            (clientOptions(), (), None, False),
            (clientOptions(clientCertificateContext=CLIENT), (CLIENT,), CLIENT, False),
            (clientOptions(clientCertificates=[CLIENT]), (CLIENT,), None, True),
            (clientOptions(clientCertificates=[CLIENT, SERVER]), (CLIENT, SERVER), None, True),
            (
                clientOptions(
                    clientCertificates=[CLIENT], localCertificateSelectionCallback=callback
                ),
                (CLIENT,),
                None,
                True,
            ),
            (clientOptions(localCertificateSelectionCallback=callback), (), None, False),
        ):
            self.assertEqual(options.candidates, candidates)
            self.assertEqual(options.parameters.certificate, presented)
            self.assertIs(options.parameters.choosesCertificate, chooses)

    def keyless(self) -> list[Callable[[], AuthenticationOptions]]:
        """
        @return: what makes options with L{CLIENT}, but without its key, in
            every form and place.
        """
        made: list[Callable[[], AuthenticationOptions]] = []
        for form in (CLIENT.certificate, ssl.Certificate.loadPEM(certificatePEM(CLIENT))):
            made += [
                lambda form=form: clientOptions(clientCertificates=[form]),  # type: ignore[misc]
                lambda form=form: clientOptions(clientCertificateContext=form),  # type: ignore[misc]
                lambda form=form: serverOptions(serverCertificate=form),  # type: ignore[misc]
            ]
        return made

    def test_noKey(self) -> None:
        """
        A certificate without its key is refused on either side, if the user's
        store C{My} does not have that: the message names both.
        """
        self.patchHome()
        X509Store(StoreName.My).add(SERVER)
        for make in self.keyless():
            error = self.assertRaises(CertificateError, make)
            self.assertEqual(
                str(error),
                "no private key for 'client@example.com': none is given, and none is in "
                f"{X509Store(StoreName.My).path}",
            )
            self.assertIn(str(self.directory), str(error))

    def test_keyInTheStore(self) -> None:
        """
        The key of a certificate without one is looked for in the user's store
        C{My}, when options are built.
        """
        self.patchHome()
        store = X509Store(StoreName.My)
        store.add(CLIENT)
        built = [make() for make in self.keyless()]
        store.remove(CLIENT)
        for options in built:
            kept = (
                options.candidates[0]
                if isinstance(options, SslClientAuthenticationOptions)
                else options.parameters.certificate
            )
            assert kept is not None
            self.assertEqual(kept.certificate, CLIENT.certificate)
            self.assertEqual(keyPEM(kept), keyPEM(CLIENT))

    def patchHome(self) -> None:
        """
        Let the user's home be a directory of the test's own.
        """
        environment = patch.dict(os.environ, HOME=str(self.directory))
        environment.start()
        self.addCleanup(environment.stop)

    def test_unreadable(self) -> None:
        """
        A file is read when options are built; what is wrong with it shows then.
        """
        path = self.directory / "none.pem"
        for make in (
            lambda: clientOptions(clientCertificates=path),
            lambda: clientOptions(clientCertificateContext=str(path)),
            lambda: serverOptions(serverCertificate=str(path)),
        ):
            error = self.assertRaises(CertificateError, make)
            self.assertEqual(str(error), f"{path}: No such file or directory")

    def test_fileIsReadOnce(self) -> None:
        """
        Options do not look at the file again.
        """
        path = self.file(PEM)
        options = serverOptions(serverCertificate=path)
        path.unlink()
        self.assertEqual(replace(options, handshakeTimeout=1).serverCertificate, OFFLINE)

    def test_refusedByOpenSSL(self) -> None:
        """
        A certificate that OpenSSL does not take is refused when options are
        built, also if it is one of several.
        """
        weak = AUTHORITY.issue("weak.example", key=rsaKey(bits=1024))
        for make in (
            lambda: clientOptions(clientCertificateContext=weak),
            lambda: clientOptions(clientCertificates=[weak]),
            lambda: clientOptions(clientCertificates=[CLIENT, weak]),
            lambda: clientOptions(
                clientCertificates=[CLIENT, weak], localCertificateSelectionCallback=callback
            ),
            lambda: serverOptions(serverCertificate=weak),
        ):
            error = self.assertRaises(CertificateError, make)
            self.assertEqual(str(error), "OpenSSL refuses CN=weak.example: ee key too small")


class ValidationTests(SynchronousTestCase):
    """
    What is refused when options are built.
    """

    def refused(self, error: type[Exception], make: Callable[..., object], **options: Any) -> str:
        """
        Check that options are refused with exactly this error.

        @return: its text.
        """
        raised = self.assertRaises(error, make, **options)
        self.assertIs(type(raised), error)
        return str(raised)

    def test_timeouts(self) -> None:
        """
        A time-out is a positive number of seconds or none.
        """
        for make in MAKERS:
            for seconds in (None, 0.001, 1, 30, inf):
                self.assertIs(make(handshakeTimeout=seconds).handshakeTimeout, seconds)
            for seconds in (0, 0.0, -1, -0.001, nan, -inf):
                self.assertEqual(
                    self.refused(ValueError, make, handshakeTimeout=seconds),
                    f"handshakeTimeout is a positive number of seconds or None, not {seconds!r}",
                )
            for value in (True, False, "30", b"30", [30]):
                self.assertEqual(
                    self.refused(TypeError, make, handshakeTimeout=value),
                    f"handshakeTimeout is a number of seconds or None, not {value!r}",
                )

    def test_checkedTimeout(self) -> None:
        """
        Other time-outs are checked in the same way, by their own names.
        """
        self.assertEqual(checkedTimeout(5, "readTimeout"), 5)
        self.assertIsNone(checkedTimeout(None, "readTimeout"))
        error = self.assertRaises(ValueError, checkedTimeout, 0, "readTimeout")
        self.assertIn("readTimeout", str(error))

    def test_hostNames(self) -> None:
        """
        A target is a host name, an address or nothing.
        """
        longest = ".".join(["a" * 63] * 3 + ["a" * 61])
        for host in (
            *("example.com", "b\xfccher.example", "localhost.", "127.0.0.1", "::1", ""),
            *("fe80::1%eth0", longest, f"{longest}."),
        ):
            self.assertEqual(clientOptions(targetHost=host).targetHost, host)
        for host in (
            *("a b", "example.com:443", "https://example.com/", "*.example.com", "."),
            *("[::1]", "127.0.0.1:443", "a..b", ".example.com", "user@example.com"),
            *("example.com\0", "\0", "exam\0ple.com", "example.com\n", "example.com\r\nHost:", " "),
            *("example.com\x7f", "::1%\0", "fe80::1%eth0\n", "127.0.0.1\0"),
            *(f"{longest}a", f"{longest}.a", "a" * 64, f"{'a' * 64}.example.com"),
        ):
            self.assertEqual(
                self.refused(ValueError, clientOptions, targetHost=host),
                f"not a host name: {host!r}",
            )
        self.assertRaises(ValueError, clientOptions, targetHost="\N{SNOWMAN}\N{SOFT HYPHEN}-.")
        self.assertRaises(ValueError, clientOptions, targetHost="\xfc" * 64)
        for value in (b"example.com", None, 1):
            self.assertEqual(
                self.refused(TypeError, clientOptions, targetHost=value),
                f"targetHost is a str, not {type(value).__name__}",
            )

    def test_oldVersions(self) -> None:
        """
        SSL 2 and 3 are refused, also beside better versions; the old versions
        of TLS are not, when named.
        """
        for make in MAKERS:
            for versions in (
                SslProtocols.Ssl2,
                SslProtocols.Ssl3,
                SslProtocols.Default,
                SslProtocols.Ssl3 | SslProtocols.Tls12,
                SslProtocols.Ssl2 | SslProtocols.Tls13,
            ):
                self.assertEqual(
                    self.refused(NotSupportedError, make, enabledSslProtocols=versions),
                    "SSL 2 and SSL 3 do not exist in this OpenSSL",
                )
            for versions in (SslProtocols.Tls, SslProtocols.Tls11 | SslProtocols.Tls12):
                self.assertEqual(make(enabledSslProtocols=versions).parameters.protocols, versions)

    def test_gap(self) -> None:
        """
        Versions with a gap between them are refused: OpenSSL would negotiate
        the lowest.
        """
        for make in MAKERS:
            for versions in (
                SslProtocols.Tls | SslProtocols.Tls12,
                SslProtocols.Tls11 | SslProtocols.Tls13,
                SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls13,
            ):
                message = self.refused(NotSupportedError, make, enabledSslProtocols=versions)
                self.assertIn("the enabled protocols must not have a gap", message)

    def test_versionNumbers(self) -> None:
        """
        Versions may be numbers, but none that stands for nothing.
        """
        for make in MAKERS:
            options = make(enabledSslProtocols=3072)
            self.assertIsInstance(options.enabledSslProtocols, SslProtocols)
            self.assertEqual(options.enabledSslProtocols, SslProtocols.Tls12)
            for number in (1, 3073, 1 << 20):
                self.assertIn(
                    "enabledSslProtocols has unknown bits",
                    self.refused(ValueError, make, enabledSslProtocols=number),
                )

    def test_enums(self) -> None:
        """
        Other numbers are members of their enums or refused.
        """
        for make in MAKERS:
            options = make(certificateRevocationCheckMode=1, encryptionPolicy=1)
            self.assertIs(options.certificateRevocationCheckMode, X509RevocationMode.Online)
            self.assertIs(options.encryptionPolicy, EncryptionPolicy.AllowNoEncryption)
            self.refused(ValueError, make, certificateRevocationCheckMode=3)
            self.refused(ValueError, make, encryptionPolicy=-1)
            for name, kind in (
                ("enabledSslProtocols", "SslProtocols"),
                ("certificateRevocationCheckMode", "X509RevocationMode"),
                ("encryptionPolicy", "EncryptionPolicy"),
            ):
                self.refused(ValueError, make, **{name: "RequireEncryption"})
                self.refused(ValueError, make, **{name: None})
                # These were meant for another option.
                for value in (False, True):
                    self.assertEqual(
                        self.refused(TypeError, make, **{name: value}),
                        f"{name} is a {kind}, not bool",
                    )

    def test_types(self) -> None:
        """
        A value of another kind is refused by name, not in mid-handshake.
        """
        for make, name, value, kind in (
            *((make, "trust", "roots.pem", "SslCertificateTrust") for make in MAKERS),
            *((make, "certificateChainPolicy", "x", "X509ChainPolicy") for make in MAKERS),
            *((make, "cipherSuitesPolicy", [MODERN], "CipherSuitesPolicy") for make in MAKERS),
            *((make, "remoteCertificateValidationCallback", True, "Callable") for make in MAKERS),
            (clientOptions, "localCertificateSelectionCallback", CLIENT, "Callable"),
            (serverOptions, "serverCertificateSelectionCallback", SERVER, "Callable"),
        ):
            self.assertEqual(
                self.refused(TypeError, make, **{name: value}),
                f"{name} is a {kind}, not {type(value).__name__}",
            )

    def test_unhashableCallbacks(self) -> None:
        """
        A callback that cannot be hashed would make the options so, too, and is
        refused.
        """

        class Unhashable:
            __hash__ = None  # type: ignore[assignment]

            def __call__(self, *arguments: object) -> None:
                pass

            def method(self, *arguments: object) -> None:
                pass

        for make, name in (
            *((make, "remoteCertificateValidationCallback") for make in MAKERS),
            (clientOptions, "localCertificateSelectionCallback"),
            (serverOptions, "serverCertificateSelectionCallback"),
        ):
            self.assertIn("unhashable", self.refused(TypeError, make, **{name: Unhashable()}))
            hash(make(**{name: Unhashable().method}))

    def test_flags(self) -> None:
        """
        A flag is true or false; what merely counts as one of them was meant for
        another option.
        """
        flags = [name for name in COMMON if name.startswith("allow")]
        self.assertEqual(len(flags), 4)
        for make, name in (
            *((make, name) for make in MAKERS for name in (*flags, "requireCloseNotify")),
            (serverOptions, "clientCertificateRequired"),
        ):
            for value in (0, 1, None, "no", callback):
                self.assertEqual(
                    self.refused(TypeError, make, **{name: value}),
                    f"{name} is a bool, not {type(value).__name__}",
                )

    def test_applicationProtocols(self) -> None:
        """
        Application protocols are kept in their order, each once; text, bytes
        and a single one will do.
        """
        for make in MAKERS:
            for given, kept in (
                (["h2", b"http/1.1", "h2"], (b"h2", b"http/1.1")),
                (iter([SslApplicationProtocol.Http2]), (b"h2",)),
                ("h2", (b"h2",)),
                (b"h2", (b"h2",)),
                (SslApplicationProtocol.Http2, (b"h2",)),
            ):
                options = make(applicationProtocols=given)
                self.assertEqual(options.applicationProtocols, kept)
                for each in options.applicationProtocols:
                    self.assertIsInstance(each, SslApplicationProtocol)
                self.assertEqual(options.parameters.applicationProtocols, kept)
            self.refused(ValueError, make, applicationProtocols=[""])
            self.refused(ValueError, make, applicationProtocols=["h" * 256])
            self.refused(TypeError, make, applicationProtocols=[2])

    def test_applicationProtocolsSize(self) -> None:
        """
        All application protocols together fit in a hello.
        """
        most = [bytes([number]) * 255 for number in range(128)]
        pair = StreamPair()
        for each in pair.authenticate(
            client={"applicationProtocols": most}, server={"applicationProtocols": most[-1]}
        ):
            self.successResultOf(each)
        self.assertEqual(pair.server.negotiatedApplicationProtocol, most[-1])
        for make in MAKERS:
            make(applicationProtocols=most)
            for more in ([*most, b"h"], [*most, *(bytes([200, number]) for number in range(99))]):
                self.assertEqual(
                    self.refused(ValueError, make, applicationProtocols=more),
                    "all applicationProtocols have at most 32768 bytes, with one more for each",
                )
            # It is counted what is kept.
            make(applicationProtocols=most * 3)

    def test_oneShot(self) -> None:
        """
        What can be gone through only once is, and then kept: options can be
        copied, compared and used again.  For other options it is used up.
        """
        for make in MAKERS:
            for name, values in (
                ("applicationProtocols", ["h2", "http/1.1"]),
                ("keyExchangeGroups", ["x25519", "secp256r1"]),
                ("signatureAlgorithms", ["ed25519", "ecdsa_secp256r1_sha256"]),
            ):
                once = iter(values)
                options = make(**{name: once})
                self.assertEqual(options, make(**{name: values}))
                self.assertEqual(options, replace(options))
                self.assertEqual(hash(options), hash(make(**{name: tuple(values)})))
                self.assertEqual(make(**{name: once}), make())
                # A list is no part of the options that were made of it.
                options = make(**{name: values})
                values.clear()
                self.assertNotEqual(options, make())

    def test_algorithms(self) -> None:
        """
        Groups and signature algorithms are kept in their order, each once and
        by its registered name; a single one will do.
        """
        for make in MAKERS:
            for name, given, kept in (
                ("keyExchangeGroups", ["X25519", "SECP256R1", "x25519"], ("x25519", "secp256r1")),
                ("keyExchangeGroups", "x25519mlkem768", ("X25519MLKEM768",)),
                (
                    "signatureAlgorithms",
                    ["ED25519", "ECDSA_secp256r1_SHA256", "ed25519"],
                    ("ed25519", "ecdsa_secp256r1_sha256"),
                ),
                ("signatureAlgorithms", "Ecdsa_Secp256r1_Sha256", ("ecdsa_secp256r1_sha256",)),
            ):
                options = make(**{name: given})
                self.assertEqual(getattr(options, name), kept)
                self.assertEqual(getattr(options.parameters, name), kept)
            for name, good, kind in (
                ("keyExchangeGroups", "x25519", "key exchange group"),
                ("signatureAlgorithms", "ed25519", "signature algorithm"),
            ):
                for bad in ("nonsense", "", f"{good}:{good}", "RSA+SHA256", "DEFAULT"):
                    for names in (bad, [bad], [good, bad]):
                        self.assertEqual(
                            self.refused(ValueError, make, **{name: names}),
                            f"not a {kind}: {bad!r}",
                        )
                for value in (good.encode(), [29], [None], None, 29):
                    self.refused(TypeError, make, **{name: value})

    def test_algorithmsAndVersions(self) -> None:
        """
        Groups and signature algorithms that go with none of the enabled
        versions are refused, on either side; what remains of the versions is
        not.
        """
        groups = (
            "the key exchange groups, the cipher suites and the enabled protocols "
            "exclude each other"
        )
        signatures = "the signature algorithms and the enabled protocols exclude each other"
        for make in MAKERS:
            for version, options, message in (
                (SslProtocols.Tls12, {"keyExchangeGroups": "X25519MLKEM768"}, groups),
                (SslProtocols.None_, {"keyExchangeGroups": "X25519MLKEM768"}, None),
                (SslProtocols.Tls12, {"keyExchangeGroups": ["X25519MLKEM768", "x25519"]}, None),
                (SslProtocols.Tls13, {"signatureAlgorithms": "ecdsa_sha1"}, signatures),
                (SslProtocols.Tls12, {"signatureAlgorithms": "ecdsa_sha1"}, None),
                (
                    SslProtocols.None_,
                    {"signatureAlgorithms": "rsa_pss_rsae_sha256", "allowRsaPssPadding": False},
                    signatures,
                ),
                (
                    SslProtocols.Tls11,
                    {"signatureAlgorithms": "ecdsa_sha1"},
                    "before TLS 1.2 signatures are made with MD5, SHA-1 and PKCS #1, "
                    "whatever is chosen",
                ),
            ):
                if message is None:
                    make(enabledSslProtocols=version, **options)
                    continue
                self.assertEqual(
                    self.refused(
                        InvalidOperationError, make, enabledSslProtocols=version, **options
                    ),
                    message,
                )

    def test_algorithmsAndKeys(self) -> None:
        """
        A certificate whose key cannot sign as it is asked to is refused, in
        whichever place, also if it is one of several.
        """
        rsaOne = AUTHORITY.issue("rsa.example", key=rsaKey())
        forms: tuple[tuple[Callable[..., AuthenticationOptions], dict[str, Any]], ...] = (
            (serverOptions, {"serverCertificate": rsaOne}),
            (serverOptions, {"serverCertificate": None, "serverCertificateContext": rsaOne}),
            (clientOptions, {"clientCertificateContext": rsaOne}),
            (clientOptions, {"clientCertificates": [rsaOne]}),
            (clientOptions, {"clientCertificates": [CLIENT, rsaOne]}),
            (
                clientOptions,
                {
                    "clientCertificates": [CLIENT, rsaOne],
                    "localCertificateSelectionCallback": callback,
                },
            ),
        )
        for make, form in forms:
            for options, isPossible in (
                ({"allowRsaPssPadding": False, "allowRsaPkcs1Padding": False}, False),
                (
                    {"allowRsaPssPadding": False, "enabledSslProtocols": SslProtocols.Tls13},
                    False,
                ),
                ({"allowRsaPssPadding": False, "enabledSslProtocols": SslProtocols.Tls12}, True),
                ({"allowRsaPssPadding": False}, True),
                ({"allowRsaPkcs1Padding": False}, True),
                ({"signatureAlgorithms": "ecdsa_secp256r1_sha256"}, False),
                ({"signatureAlgorithms": ["ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"]}, True),
            ):
                if isPossible:
                    make(**form, **options)
                else:
                    self.assertIn(
                        "the key of CN=rsa.example cannot sign with",
                        self.refused(InvalidOperationError, make, **form, **options),
                    )

    def test_serverCertificate(self) -> None:
        """
        A server has one source of certificates, not none and not two.
        """
        sources: dict[str, Any] = {
            "serverCertificate": SERVER,
            "serverCertificateContext": SERVER,
            "serverCertificateSelectionCallback": callback,
        }
        self.assertEqual(
            self.refused(NotSupportedError, SslServerAuthenticationOptions),
            "a server needs a certificate, or a callback that selects one",
        )
        names = list(sources)
        for index, name in enumerate(names):
            SslServerAuthenticationOptions(**{name: sources[name]})
            for other in names[index + 1 :]:
                self.assertEqual(
                    self.refused(
                        InvalidOperationError,
                        SslServerAuthenticationOptions,
                        **{name: sources[name], other: sources[other]},
                    ),
                    f"give only one of {name}, {other}",
                )

    def test_clientCertificate(self) -> None:
        """
        A client's context leaves nothing to choose; certificates and a callback
        that chooses one of them go together.
        """
        for others in (
            {"clientCertificates": [CLIENT]},
            {"localCertificateSelectionCallback": callback},
            {"clientCertificates": [CLIENT], "localCertificateSelectionCallback": callback},
        ):
            self.assertIn(
                "clientCertificateContext leaves nothing to choose",
                self.refused(
                    InvalidOperationError,
                    clientOptions,
                    clientCertificateContext=CLIENT,
                    **others,
                ),
            )
            clientOptions(**others)

    def test_clientCertificateRequired(self) -> None:
        """
        A server that requires a certificate asks for one, and has OpenSSL insist
        on it unless somebody judges who shows none.
        """
        for options, asks, insists in (
            (serverOptions(), False, False),
            (serverOptions(remoteCertificateValidationCallback=callback), False, False),
            (serverOptions(clientCertificateRequired=True), True, True),
            (
                serverOptions(
                    clientCertificateRequired=True, remoteCertificateValidationCallback=callback
                ),
                True,
                False,
            ),
        ):
            self.assertIs(options.parameters.asksForCertificate, asks)
            self.assertIs(options.parameters.insistsOnCertificate, insists)

    def test_cipherSuites(self) -> None:
        """
        Cipher suites and versions that exclude each other are refused, on
        either side; what remains of them is not.
        """
        for make in MAKERS:
            for versions, suites, isPossible in (
                (SslProtocols.Tls13, [CLASSIC], False),
                (SslProtocols.Tls12, [MODERN], False),
                (SslProtocols.Tls13, [MODERN], True),
                (SslProtocols.Tls12, [CLASSIC], True),
                (SslProtocols.Tls13, [CLASSIC, MODERN], True),
                (SslProtocols.Tls12, [MODERN, CLASSIC], True),
                (SslProtocols.None_, [CLASSIC], True),
                (SslProtocols.None_, [MODERN], True),
            ):
                options: dict[str, Any] = {
                    "enabledSslProtocols": versions,
                    "cipherSuitesPolicy": CipherSuitesPolicy(suites),
                }
                if isPossible:
                    self.assertEqual(make(**options).parameters.cipherSuites, tuple(suites))
                else:
                    self.assertEqual(
                        self.refused(InvalidOperationError, make, **options),
                        "the cipher suites and the enabled protocols exclude each other",
                    )

    def test_unknownCipherSuite(self) -> None:
        """
        A suite that this OpenSSL does not know is refused by name, though it
        knows others.
        """
        for make in MAKERS:
            self.assertEqual(
                self.refused(
                    NotSupportedError,
                    make,
                    cipherSuitesPolicy=CipherSuitesPolicy([MODERN, CLASSIC, EXOTIC]),
                ),
                "this OpenSSL does not know TLS_KRB5_WITH_DES_CBC_MD5",
            )

    def test_encryptionPolicy(self) -> None:
        """
        Suites that encrypt, or do not, against the encryption policy are
        refused, and going unencrypted excludes TLS 1.3.
        """
        null = TlsCipherSuite.TLS_RSA_WITH_NULL_SHA256
        require, allow, refuse = EncryptionPolicy
        for make in MAKERS:
            for suite, policy, isPossible in (
                (CLASSIC, require, True),
                (CLASSIC, allow, True),
                (CLASSIC, refuse, False),
                (MODERN, require, True),
                (MODERN, allow, True),
                (MODERN, refuse, False),
                (null, require, False),
                (null, allow, True),
                (null, refuse, True),
            ):
                asked = {
                    "encryptionPolicy": policy,
                    "cipherSuitesPolicy": CipherSuitesPolicy([suite]),
                }
                if isPossible:
                    make(**asked)
                else:
                    self.assertEqual(
                        self.refused(InvalidOperationError, make, **asked),
                        f"{suite.name} goes against {policy.name}",
                    )
            for versions in (SslProtocols.Tls13, SslProtocols.Tls12 | SslProtocols.Tls13):
                self.assertEqual(
                    self.refused(
                        InvalidOperationError,
                        make,
                        encryptionPolicy=EncryptionPolicy.NoEncryption,
                        enabledSslProtocols=versions,
                    ),
                    "TLS 1.3 cannot go unencrypted",
                )
            make(
                encryptionPolicy=EncryptionPolicy.AllowNoEncryption,
                enabledSslProtocols=SslProtocols.Tls13,
            )


class ValueTests(FilesMixin, SynchronousTestCase):
    """
    Options are values.
    """

    def test_equality(self) -> None:
        """
        Options that ask for the same are equal, have the same hash and share
        one OpenSSL context, however their values were given.
        """
        path = self.file(PEM)
        roots = self.file(certificatePEM(AUTHORITY.certificate), "roots.pem")
        common: dict[str, Any] = {
            "trust": SslCertificateTrust.fromPEM(roots),
            "applicationProtocols": ["h2"],
            "enabledSslProtocols": 12288,
        }
        same: dict[str, Any] = {
            "applicationProtocols": (b"h2",),
            "enabledSslProtocols": SslProtocols.Tls13,
        }
        for one, other in (
            (clientOptions(), clientOptions()),
            (serverOptions(), serverOptions()),
            (
                clientOptions(clientCertificates=[path], **common),
                clientOptions(clientCertificates=OFFLINE, **same),
            ),
            (
                serverOptions(serverCertificate=str(path), **common),
                serverOptions(serverCertificate=OFFLINE, **same),
            ),
        ):
            self.assertIsNot(one, other)
            self.assertEqual(one, other)
            self.assertEqual(hash(one), hash(other))
            self.assertIs(contextFor(one.parameters), contextFor(other.parameters))

    def test_difference(self) -> None:
        """
        Options that differ in one thing are different; a client's are never a
        server's.
        """
        each = variants()
        self.assertEqual(len(each["client"]), 1 + len(COMMON) + len(OF_CLIENT))
        self.assertEqual(len(each["server"]), 1 + len(COMMON) + len(OF_SERVER))
        together = each["client"] + each["server"]
        self.assertEqual(len(set(together)), len(together))
        for options in together:
            self.assertEqual([options == other for other in together].count(True), 1)

    def test_everyOption(self) -> None:
        """
        The tests that compare options vary every option that there is.
        """
        for options, own in ((clientOptions(), OF_CLIENT), (serverOptions(), OF_SERVER)):
            names = {field.name for field in fields(options)}
            self.assertEqual(names, {*COMMON, *own})

    def test_contexts(self) -> None:
        """
        Options have the OpenSSL context of others exactly if they tell OpenSSL
        the same.
        """
        for make in MAKERS:
            default = contextFor(make().parameters)
            for name, value in COMMON.items():
                isSame = contextFor(make(**{name: value}).parameters) is default
                self.assertEqual(isSame, name not in TOLD, name)

    def test_contextsOfClients(self) -> None:
        """
        A client's OpenSSL context depends on what it presents; for whom it
        looks, and who chooses, is no matter of it.
        """
        default = contextFor(clientOptions().parameters)
        for name, value in OF_CLIENT.items():
            isSame = contextFor(clientOptions(**{name: value}).parameters) is default
            presents = name in ("clientCertificates", "clientCertificateContext")
            self.assertEqual(isSame, not presents, name)

    def test_contextsOfServers(self) -> None:
        """
        A server's OpenSSL context depends on its certificate and on whether it
        asks for one; and if so, on who judges a client that shows none, and on
        the authorities that it names.
        """
        asks: dict[str, Any] = {"clientCertificateRequired": True}
        judges: dict[str, Any] = {"remoteCertificateValidationCallback": callback}
        different = [
            serverOptions(),
            serverOptions(serverCertificate=CLIENT),
            serverOptions(serverCertificate=None, serverCertificateSelectionCallback=callback),
            serverOptions(**asks),
            serverOptions(**asks, **judges),
        ]
        # Whom it trusts is no matter of it, but whom it names is.
        named = SslCertificateTrust.fromCertificates(AUTHORITY.certificate, True)
        different.append(serverOptions(**asks, trust=named))
        contexts = [contextFor(options.parameters) for options in different]
        self.assertEqual(len(set(map(id, contexts))), len(different))
        for one, same in (
            (serverOptions(), serverOptions(**judges)),
            (
                serverOptions(**asks, **judges),
                serverOptions(**asks, remoteCertificateValidationCallback=otherCallback),
            ),
            (
                serverOptions(),
                serverOptions(serverCertificate=None, serverCertificateContext=SERVER),
            ),
        ):
            self.assertIs(contextFor(one.parameters), contextFor(same.parameters))

    def test_rolesDoNotShare(self) -> None:
        """
        A client and a server with the same certificate and trust have OpenSSL
        contexts of their own.
        """
        client = clientOptions(clientCertificateContext=SERVER)
        server = serverOptions()
        self.assertEqual(client.parameters.certificate, server.parameters.certificate)
        self.assertIsNot(contextFor(client.parameters), contextFor(server.parameters))

    def test_frozen(self) -> None:
        """
        No option can be changed.
        """
        for options in (clientOptions(), serverOptions()):
            for field in fields(options):
                with self.assertRaises(FrozenInstanceError):
                    setattr(options, field.name, None)

    def test_replace(self) -> None:
        """
        Options can be copied with changes, which are checked like any others.
        """
        for each in variants().values():
            for options in each:
                self.assertEqual(replace(options), options)
                changed = replace(options, handshakeTimeout=1)
                self.assertEqual(changed.handshakeTimeout, 1)
                self.assertNotEqual(changed, options)
                self.assertRaises(ValueError, replace, options, handshakeTimeout=0)


class FactoryTests(SynchronousTestCase):
    """
    Options as connection creators.
    """

    def test_interfaces(self) -> None:
        """
        Options provide Twisted's interface of their own side, and not of the
        other.
        """
        client, server = clientOptions(), serverOptions()
        self.assertTrue(verifyObject(IOpenSSLClientConnectionCreator, client))
        self.assertTrue(verifyObject(IOpenSSLServerConnectionCreator, server))
        self.assertFalse(IOpenSSLServerConnectionCreator.providedBy(client))
        self.assertFalse(IOpenSSLClientConnectionCreator.providedBy(server))

    def test_twistedsFactory(self) -> None:
        """
        Twisted's own factory, which would not authenticate as options ask, gets
        a clear error from them, and the peer not a byte.
        """
        creators: tuple[tuple[Any, bool], ...] = (
            (clientOptions(), True),
            (serverOptions(), False),
        )
        for options, isClient in creators:
            factory = TLSMemoryBIOFactory(options, isClient, Factory.forProtocol(Protocol))
            protocol = factory.buildProtocol(None)
            transport = StringTransport()
            error = self.assertRaises(InvalidOperationError, protocol.makeConnection, transport)
            self.assertEqual(
                str(error),
                "only SslStreamFactory authenticates as these options ask: use it instead of "
                f"the factory of {type(protocol).__name__}",
            )
            self.assertEqual(transport.value(), b"")


@perVersion()
class UseTests(_Mixin):
    """
    What connections make of options.
    """

    version: SslProtocols
    segment: int

    def test_neverMutated(self) -> None:
        """
        However often options are used, they stay as they are, and so does their
        OpenSSL context.
        """
        client = clientOptions(
            self.version,
            clientCertificates=[CLIENT, SERVER],
            applicationProtocols=["h2"],
            remoteCertificateValidationCallback=lambda *arguments: True,
            localCertificateSelectionCallback=lambda *arguments: CLIENT,
        )
        server = serverOptions(
            self.version,
            serverCertificate=None,
            serverCertificateSelectionCallback=lambda *arguments: SERVER,
            clientCertificateRequired=True,
            applicationProtocols=["h2"],
            remoteCertificateValidationCallback=lambda *arguments: True,
        )
        both = (client, server)
        for options in both:
            # Made when it is first looked at.
            self.assertEqual(options.chainPolicy, POLICY)
        before = [(dict(vars(each)), hash(each), contextFor(each.parameters)) for each in both]
        for _ in range(2):
            pair = StreamPair(self.segment)
            authenticated = (
                pair.server.authenticateAsServer(server),
                pair.client.authenticateAsClient(client),
            )
            pair.wire.flush()
            for each in authenticated:
                self.successResultOf(each)
            self.assertEqual(pair.server.remoteCertificate, CLIENT.certificate)
            self.assertEqual(pair.client.remoteCertificate, SERVER.certificate)
        after = [(dict(vars(each)), hash(each), contextFor(each.parameters)) for each in both]
        self.assertEqual(before, after)


class ChainPolicyTests(SynchronousTestCase):
    """
    Tests for C{certificateChainPolicy} (.NET: C{CertificateChainPolicy}).
    """

    def test_default(self) -> None:
        """
        Without it the policy is made of the trust and the revocation mode; the
        root's own revocation is not looked at.
        """
        other = Authority("Other")
        for make in MAKERS:
            for trust, mode, roots in (
                (None, X509ChainTrustMode.System, ()),
                (SslCertificateTrust.system(), X509ChainTrustMode.System, ()),
                (other.trust, X509ChainTrustMode.CustomRootTrust, (other.certificate,)),
            ):
                policy = make(trust=trust, certificateRevocationCheckMode=2).chainPolicy
                self.assertIs(policy.trustMode, mode)
                self.assertEqual(policy.customTrustStore, roots)
                self.assertIs(policy.revocationMode, X509RevocationMode.Offline)
                self.assertIs(policy.revocationFlag, X509RevocationFlag.ExcludeRoot)
                self.assertEqual(policy.verificationFlags, X509VerificationFlags.NoFlag)

    def test_copied(self) -> None:
        """
        Options have a copy: later changes of the policy have no effect on them,
        and theirs cannot be changed.
        """
        policy = POLICY.clone()
        for make in MAKERS:
            options = make(certificateChainPolicy=policy)
            before = hash(options)
            policy.trustMode = X509ChainTrustMode.System
            policy.extraStore = [SERVER.certificate]
            assert options.certificateChainPolicy is not None
            self.assertEqual(options.certificateChainPolicy, POLICY)
            self.assertEqual(options.chainPolicy, POLICY)
            self.assertEqual(hash(options), before)
            with self.assertRaises(InvalidOperationError):
                options.certificateChainPolicy.trustMode = X509ChainTrustMode.System
            with self.assertRaises((AttributeError, TypeError)):
                options.certificateChainPolicy.customTrustStore.append(  # type: ignore[attr-defined]
                    SERVER.certificate
                )
            self.assertEqual(replace(options, handshakeTimeout=1).certificateChainPolicy, POLICY)
            policy = POLICY.clone()

    def test_equality(self) -> None:
        """
        Options with equal policies are equal and have the same hash; whatever
        the policy, they share one OpenSSL context.
        """
        different = POLICY.clone()
        different.revocationMode = X509RevocationMode.Offline
        for make in MAKERS:
            one = make(certificateChainPolicy=POLICY)
            same = make(certificateChainPolicy=POLICY.clone())
            other = make(certificateChainPolicy=different)
            self.assertEqual(one, same)
            self.assertEqual(hash(one), hash(same))
            self.assertEqual(len({make(), one, same, other}), 3)
            for options in (make(), same, other):
                self.assertIs(contextFor(one.parameters), contextFor(options.parameters))


@perVersion(segments=(0,))
class PolicyUseTests(_Mixin):
    """
    What connections make of C{certificateChainPolicy}.
    """

    version: SslProtocols
    segment: int

    def judged(self, role: str, **options: Any) -> AuthenticationError | None:
        """
        @param role: whose options these are.
        @return: why that side has refused the other, if it has.
        """
        ours: dict[str, dict[str, Any]] = {
            "client": {"clientCertificateContext": CLIENT},
            "server": {"clientCertificateRequired": True},
        }
        ours[role].update(options)
        pair = StreamPair(self.segment)
        both: Any = pair.authenticate(self.version, ours["client"], ours["server"])
        client, server = both
        decided, other = (client, server) if role == "client" else (server, client)
        errors: list[AuthenticationError] = []
        decided.addErrback(lambda failure: errors.append(failure.value))
        # What becomes of the other is no matter here.
        other.addErrback(lambda _: None)
        self.successResultOf(decided)
        return errors[0] if errors else None

    def assertRefused(
        self, role: str, status: X509ChainStatusFlags, **options: Any
    ) -> AuthenticationError:
        """
        Check that the other's chain is refused for exactly this.
        """
        error = self.judged(role, **options)
        assert error is not None
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateChainErrors)
        self.assertEqual(error.chainStatus, status)
        return error

    def test_overridesTrust(self) -> None:
        """
        The policy says who is trusted, whatever C{trust} says.
        """
        other = Authority("Other")
        stranger = POLICY.clone()
        stranger.customTrustStore = [other.certificate]
        for role in ("client", "server"):
            self.assertRefused(role, X509ChainStatusFlags.PartialChain, trust=other.trust)
            self.assertIsNone(self.judged(role, trust=other.trust, certificateChainPolicy=POLICY))
            self.assertRefused(
                role,
                X509ChainStatusFlags.PartialChain,
                trust=AUTHORITY.trust,
                certificateChainPolicy=stranger,
            )

    def test_overridesRevocationMode(self) -> None:
        """
        The policy says whether revocation is checked, whatever
        C{certificateRevocationCheckMode} says.
        """
        unknown = (
            X509ChainStatusFlags.RevocationStatusUnknown | X509ChainStatusFlags.OfflineRevocation
        )
        checking = POLICY.clone()
        checking.revocationMode = X509RevocationMode.Offline
        offline = X509RevocationMode.Offline
        for role in ("client", "server"):
            self.assertRefused(role, unknown, certificateRevocationCheckMode=offline)
            self.assertIsNone(
                self.judged(
                    role, certificateRevocationCheckMode=offline, certificateChainPolicy=POLICY
                )
            )
            self.assertRefused(role, unknown, certificateChainPolicy=checking)

    def test_laterChanges(self) -> None:
        """
        What is done to the policy after the options were built changes nothing
        about a connection.
        """
        policy = POLICY.clone()
        policy.customTrustStore = [Authority("Other").certificate]
        for role, make in zip(("client", "server"), MAKERS, strict=True):
            options = make(self.version, certificateChainPolicy=policy)
            policy.customTrustStore = [AUTHORITY.certificate]
            self.assertRefused(
                role,
                X509ChainStatusFlags.PartialChain,
                certificateChainPolicy=options.certificateChainPolicy,
            )
            policy.customTrustStore = [Authority("Other").certificate]

    def test_verification(self) -> None:
        """
        The policy's time and flags hold.
        """
        longAgo = POLICY.clone()
        longAgo.verificationTime = NOW - 3 * DAY
        forgiving = longAgo.clone()
        forgiving.verificationFlags = X509VerificationFlags.IgnoreNotTimeValid
        for role in ("client", "server"):
            self.assertRefused(
                role, X509ChainStatusFlags.NotTimeValid, certificateChainPolicy=longAgo
            )
            self.assertIsNone(self.judged(role, certificateChainPolicy=forgiving))

    def test_excused(self) -> None:
        """
        What the policy excuses is no reason for a refusal, not for its alert
        and not for its words either, but is still reported.
        """
        policy = POLICY.clone()
        policy.verificationTime = NOW - 3 * DAY
        policy.verificationFlags = X509VerificationFlags.IgnoreNotTimeValid
        policy.applicationPolicy = [ExtendedKeyUsageOID.CODE_SIGNING]
        for role in ("client", "server"):
            error = self.assertRefused(
                role,
                X509ChainStatusFlags.NotTimeValid | X509ChainStatusFlags.NotValidForUsage,
                certificateChainPolicy=policy,
            )
            self.assertEqual(error.alertSent, TlsAlert.unsupported_certificate)
            [problem] = error.problems
            self.assertIn("is not for 1.3.6.1.5.5.7.3.3", problem)

    def test_extraStore(self) -> None:
        """
        The policy's further certificates fill a gap in what the peer sends.
        """
        middle = Authority("Middle", AUTHORITY)
        leaf = middle.issue("localhost")
        gap = SslStreamCertificateContext(leaf.certificate, leaf.privateKey)
        filling = POLICY.clone()
        filling.extraStore = [middle.certificate]
        for policy, isGood in ((POLICY, False), (filling, True)):
            pair = StreamPair(self.segment)
            client, server = pair.authenticate(
                self.version,
                {"certificateChainPolicy": policy},
                {"serverCertificate": gap},
            )
            if isGood:
                self.successResultOf(client)
                self.successResultOf(server)
            else:
                error = self.failureResultOf(client, AuthenticationError).value
                self.assertEqual(error.chainStatus, X509ChainStatusFlags.PartialChain)
                self.failureResultOf(server, AuthenticationError)

    def test_names(self) -> None:
        """
        The server's name does not count if the policy says so.
        """
        nameless = POLICY.clone()
        nameless.verificationFlags = X509VerificationFlags.IgnoreInvalidName
        elsewhere = {"targetHost": "elsewhere.example"}
        error = self.judged("client", certificateChainPolicy=POLICY, **elsewhere)
        assert error is not None
        self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.RemoteCertificateNameMismatch)
        self.assertIsNone(self.judged("client", certificateChainPolicy=nameless, **elsewhere))

    def test_usages(self) -> None:
        """
        The policy's usages take the place of the role's own.
        """
        swapped = POLICY.clone()
        swapped.applicationPolicy = [ExtendedKeyUsageOID.CODE_SIGNING]
        for role in ("client", "server"):
            self.assertRefused(
                role, X509ChainStatusFlags.NotValidForUsage, certificateChainPolicy=swapped
            )

    def test_callbacksCopy(self) -> None:
        """
        A callback may change the policy of the chain that it gets, which has
        what the peer sent as further certificates, and build anew; the next
        connection is judged as the options say.
        """
        seen: list[tuple[SslPolicyErrors, list[Any]]] = []
        stranger = Authority("Stranger")
        middle = Authority("Middle", stranger)

        async def judge(stream: Any, certificate: Any, chain: Any, errors: Any) -> bool:
            seen.append((errors, list(chain.chainPolicy.extraStore)))
            chain.chainPolicy.customTrustStore = [stranger.certificate]
            isGood: bool = await chain.build(certificate)
            return isGood

        options = clientOptions(
            self.version, certificateChainPolicy=POLICY, remoteCertificateValidationCallback=judge
        )
        for _ in range(2):
            pair = StreamPair(self.segment)
            server = pair.server.authenticateAsServer(
                serverOptions(self.version, serverCertificate=middle.issue("localhost"))
            )
            client = pair.client.authenticateAsClient(options)
            pair.wire.flush()
            self.successResultOf(client)
            self.successResultOf(server)
        wrong = SslPolicyErrors.RemoteCertificateChainErrors
        self.assertEqual(seen, [(wrong, [middle.certificate])] * 2)
        self.assertEqual(options.chainPolicy, POLICY)


class EncryptionPolicyTests(SynchronousTestCase):
    """
    What connections make of an encryption policy, which is a matter of TLS 1.2.
    """

    def test_unencrypted(self) -> None:
        """
        Without encryption a connection is authenticated all the same, and says
        so, if both sides allow it and one insists.
        """
        allow, never = EncryptionPolicy.AllowNoEncryption, EncryptionPolicy.NoEncryption
        for ours, theirs in ((never, never), (never, allow), (allow, never)):
            pair = StreamPair()
            for each in pair.authenticate(
                SslProtocols.Tls12, {"encryptionPolicy": ours}, {"encryptionPolicy": theirs}
            ):
                self.successResultOf(each)
            for stream in (pair.client, pair.server):
                self.assertEqual(stream.cipherAlgorithm, CipherAlgorithmType.Null)
                self.assertEqual(stream.cipherStrength, 0)
                self.assertFalse(stream.isEncrypted)
                self.assertTrue(stream.isSigned)

    def test_encrypted(self) -> None:
        """
        A connection is encrypted if both sides can.
        """
        allow, require = EncryptionPolicy.AllowNoEncryption, EncryptionPolicy.RequireEncryption
        for ours, theirs in ((allow, allow), (allow, require), (require, allow)):
            pair = StreamPair()
            for each in pair.authenticate(
                SslProtocols.Tls12, {"encryptionPolicy": ours}, {"encryptionPolicy": theirs}
            ):
                self.successResultOf(each)
            for stream in (pair.client, pair.server):
                self.assertTrue(stream.isEncrypted)
                self.assertNotEqual(stream.cipherAlgorithm, CipherAlgorithmType.Null)

    def test_refused(self) -> None:
        """
        Who requires encryption does not talk to who refuses it.
        """
        never, require = EncryptionPolicy.NoEncryption, EncryptionPolicy.RequireEncryption
        for ours, theirs in ((never, require), (require, never)):
            pair = StreamPair()
            client, server = pair.authenticate(
                SslProtocols.Tls12, {"encryptionPolicy": ours}, {"encryptionPolicy": theirs}
            )
            refusal = self.failureResultOf(server, AuthenticationError).value
            self.assertEqual(refusal.alertSent, TlsAlert.handshake_failure)
            told = self.failureResultOf(client, AuthenticationError).value
            self.assertEqual(told.alert, TlsAlert.handshake_failure)
            for error in (refusal, told):
                self.assertEqual(error.sslPolicyErrors, SslPolicyErrors.None_)
