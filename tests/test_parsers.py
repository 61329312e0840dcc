"""
Tests for L{txsslstream._parsers} and its plugin: what descriptions of endpoints
are made into, and what is said of those that make no sense.
"""

from __future__ import annotations

import datetime
import os
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from twisted.application import strports
from twisted.application.internet import ClientService, StreamServerEndpointService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    clientFromString,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor, MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.files import FilesMixin
from tests.programs import runPython
from tests.support import AUTHORITY, CLIENT, SERVER
from tests.test_reload import WEAK, both
from twisted.plugins import txsslstream_dropin
from txsslstream import (
    AuthenticationError,
    CertificateDirectory,
    CipherSuitesPolicy,
    ReloadingCertificate,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStreamClientEndpoint,
    SslStreamServerEndpoint,
    TlsAlert,
    TlsCipherSuite,
    X509RevocationMode,
    _parsers,
    reload,
)
from txsslstream._parsers import CLIENT_OPTIONS, INTERVAL, SERVER_OPTIONS
from txsslstream._waiting import _parked
from txsslstream.testing import (
    NOW,
    Application,
    Authority,
    Wire,
    certificatePEM,
    keyPEM,
    perVersion,
    pfx,
    rsaKey,
)

PASSWORD = b"correct horse"
STRANGER = Authority("Stranger").issue("stranger@example.com")
OTHER = AUTHORITY.issue("other.example")
RSA = AUTHORITY.issue("rsa.example", key=rsaKey())


def described(*parts: str, **options: str) -> str:
    """
    @return: a description with these options.
    """
    named = [f"{name}={quoteStringArgument(text)}" for name, text in options.items()]
    return ":".join(["sslstream", *parts, *named])


class ParsingMixin(FilesMixin):
    """
    Descriptions, and files that they name.

    @ivar files: paths by names, for C{"{name}"} in texts.
    """

    def setUp(self) -> None:
        """
        Write the files.
        """
        super().setUp()
        self.reactor = MemoryReactorClock()
        (self.directory / "certificates").mkdir()
        (self.directory / "roots").mkdir()
        contents = {
            "both": both(SERVER),
            "certificate": certificatePEM(SERVER),
            "key": keyPEM(SERVER),
            "encrypted": keyPEM(SERVER, PASSWORD),
            "otherKey": keyPEM(OTHER),
            "weak": both(WEAK),
            "rsa": both(RSA),
            "client": both(CLIENT),
            "stranger": both(STRANGER),
            "pfx": pfx(SERVER, PASSWORD),
            "plainPfx": pfx(SERVER, None),
            "root": certificatePEM(AUTHORITY.certificate),
            "passphrase": PASSWORD + b"\r\nno more\n",
            "wrong": b"battery staple\n",
            "nothing": b"",
            "nonsense": b"nonsense",
            "certificates/localhost.pem": both(SERVER),
            "certificates/other.pem": both(OTHER),
            "roots/one.pem": certificatePEM(AUTHORITY.certificate),
        }
        self.files = {"missing": str(self.directory / "missing"), "here": str(self.directory)}
        for name, data in contents.items():
            self.files[name] = str(self.file(data, name))
        for name in ("certificates", "roots"):
            self.files[name] = str(self.directory / name)

    def client(self, /, *parts: str, **options: str) -> Any:
        """
        @return: a client's endpoint that is described so.
        """
        return clientFromString(self.reactor, described(*parts, **self.filled(options)))

    def server(self, /, *parts: str, **options: str) -> Any:
        """
        @return: a server's endpoint that is described so.
        """
        return serverFromString(self.reactor, described(*parts, **self.filled(options)))

    def filled(self, options: Mapping[str, str]) -> dict[str, str]:
        """
        @return: options with paths of files.
        """
        return {name: self.path(text) for name, text in options.items()}

    def path(self, text: str) -> str:
        """
        @return: a text with paths of files.
        """
        for name, path in self.files.items():
            text = text.replace(f"<{name}>", path)
        return text

    def refusal(self, parse: Callable[..., Any], /, *parts: str, **options: str) -> str:
        """
        @return: why there is no such endpoint.
        """
        return self.said(ValueError, partial(parse, *parts, **options))

    def said(self, kind: type[Exception], parse: Callable[[], Any]) -> str:
        """
        @return: what an error of exactly this kind says, which tells no secret.
        """
        error = self.assertRaises(kind, parse)
        self.assertIs(type(error), kind)
        everything = "".join(traceback.format_exception(error))
        # One is enough.
        self.assertEqual(everything.count("Traceback"), 1, everything)
        for secret in (PASSWORD.decode(), "battery", "PRIVATE KEY"):
            self.assertNotIn(secret, everything)
        return str(error)


#: Descriptions that are complete: what a test adds makes the difference.
CLIENT_PARTS = {"host": "example.com", "port": "443"}
SERVER_PARTS = {"port": "8443", "certificate": "<both>"}
ASKING = {"clientCertificate": "required", "trustRoots": "<root>"}

_SUITE = TlsCipherSuite.TLS_AES_128_GCM_SHA256
_OLD_SUITE = TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
_TRUST = SslCertificateTrust.fromCertificates(AUTHORITY.certificate)

#: Of both sides: what options become.  A server asks for certificates.
GOOD: Mapping[str, Mapping[str, tuple[str, Any]]] = {
    "trustRoots": {
        "<root>": ("trust", _TRUST),
        "<roots>": ("trust", _TRUST),
        "system": ("trust", SslCertificateTrust.system()),
    },
    "revocation": {
        "nocheck": ("certificateRevocationCheckMode", X509RevocationMode.NoCheck),
        "offline": ("certificateRevocationCheckMode", X509RevocationMode.Offline),
        "online": ("certificateRevocationCheckMode", X509RevocationMode.Online),
    },
    "protocols": {
        "tls1.2": ("enabledSslProtocols", SslProtocols.Tls12),
        "tls1.3": ("enabledSslProtocols", SslProtocols.Tls13),
        "tls1.3, tls1.2": ("enabledSslProtocols", SslProtocols.Tls12 | SslProtocols.Tls13),
        "tls1.0,tls1.1": ("enabledSslProtocols", SslProtocols.Tls | SslProtocols.Tls11),
    },
    "alpn": {
        "h2": ("applicationProtocols", (b"h2",)),
        "h2,http/1.1": ("applicationProtocols", (b"h2", b"http/1.1")),
    },
    "ciphers": {
        _SUITE.name: ("cipherSuitesPolicy", CipherSuitesPolicy([_SUITE])),
        f"{_OLD_SUITE.name},{_SUITE.name}": (
            "cipherSuitesPolicy",
            CipherSuitesPolicy([_OLD_SUITE, _SUITE]),
        ),
    },
    "groups": {
        "X25519MLKEM768,X25519": ("keyExchangeGroups", ("X25519MLKEM768", "x25519")),
    },
    "signatureAlgorithms": {
        "ecdsa_secp256r1_sha256,ed25519": (
            "signatureAlgorithms",
            ("ecdsa_secp256r1_sha256", "ed25519"),
        ),
    },
    "handshakeTimeout": {"5": ("handshakeTimeout", 5), "0.25": ("handshakeTimeout", 0.25)},
    "requireCloseNotify": {
        "yes": ("requireCloseNotify", True),
        "no": ("requireCloseNotify", False),
    },
    "tlsResume": {"yes": ("allowTlsResume", True), "no": ("allowTlsResume", False)},
}

_NO_FILE = "No such file or directory"
_NO_SECONDS = "is no positive number of seconds"

#: Of both sides: what is said of texts that make no sense, behind the name.
BAD: Mapping[str, Mapping[str, str]] = {
    "trustRoots": {
        "<missing>": f"<missing>: {_NO_FILE}",
        "<nonsense>": "<nonsense>: ",
        "<key>": "<key>: no certificate in it",
        "<certificates>/..": "<certificates>/..: no .pem or .crt file in it",
    },
    "revocation": {"Online": "'Online' is none of nocheck, offline, online"},
    "protocols": {
        "ssl3": "'ssl3' is none of tls1.0, tls1.1, tls1.2, tls1.3",
        "tls1.2,": "'' is none of tls1.0, tls1.1, tls1.2, tls1.3",
        "tls1.1,tls1.3": "the enabled protocols must not have a gap",
    },
    "alpn": {
        "h2,": "an application protocol has 1 to 255 bytes",
        "x" * 256: "an application protocol has 1 to 255 bytes",
    },
    "ciphers": {
        "TLS_NONSENSE": "not a cipher suite: 'TLS_NONSENSE'",
        "tls_aes_128_gcm_sha256": "not a cipher suite: 'tls_aes_128_gcm_sha256'",
        "AES128-SHA": "not a cipher suite: 'AES128-SHA'",
        "TLS_NULL_WITH_NULL_NULL": "TLS_NULL_WITH_NULL_NULL goes against RequireEncryption",
        "TLS_PSK_WITH_RC4_128_SHA": "this OpenSSL does not know TLS_PSK_WITH_RC4_128_SHA",
    },
    "groups": {"x25520": "not a key exchange group: 'x25520'", "x25519,": "exchange group: ''"},
    "signatureAlgorithms": {"rsa": "not a signature algorithm: 'rsa'"},
    "handshakeTimeout": {
        text: f"{text!r} {_NO_SECONDS}"
        for text in ("0", "-1", "0.0", "inf", "nan", "1e3", "1_0", "none", "5s", "\u0665")
    },
    "requireCloseNotify": {"true": "'true' is none of yes, no", "YES": "'YES' is none of yes, no"},
    "tlsResume": {"0": "'0' is none of yes, no"},
}


class OptionsTests(ParsingMixin, SynchronousTestCase):
    """
    What becomes of options that say how to authenticate.
    """

    def both(self) -> list[tuple[Callable[..., Any], dict[str, str]]]:
        """
        @return: for each side how to parse, and a complete description.
        """
        return [(self.client, CLIENT_PARTS), (self.server, {**SERVER_PARTS, **ASKING})]

    def test_good(self) -> None:
        """
        What options say arrives, and nothing else is changed.
        """
        for parse, parts in self.both():
            before = parse(**parts)._options
            for name, texts in GOOD.items():
                for text, (attribute, expected) in texts.items():
                    options = parse(**{**parts, name: text})._options
                    self.assertEqual(getattr(options, attribute), expected, text)
                    for other in ("trust", *(each for each, _ in _first(GOOD))):
                        if other != attribute:
                            self.assertEqual(
                                getattr(options, other), getattr(before, other), (text, other)
                            )

    def test_bad(self) -> None:
        """
        What makes no sense is refused with the option's name and the reason.
        """
        for parse, parts in self.both():
            for name, texts in BAD.items():
                for text, reason in texts.items():
                    said = self.refusal(parse, **{**parts, name: text})
                    blamed, _, rest = said.partition(": ")
                    self.assertIn(name, blamed.split(", "), said)
                    self.assertIn(self.path(reason), rest)

    def test_every(self) -> None:
        """
        Every option of that kind is here, and has a twin that fails.
        """
        self.assertEqual(set(GOOD), set(_parsers._FIELDS))
        self.assertEqual(set(GOOD), set(BAD))

    def test_empty(self) -> None:
        """
        No option may be left empty.
        """
        for parse, parts, names in (
            (self.client, CLIENT_PARTS, CLIENT_OPTIONS),
            (self.server, SERVER_PARTS, SERVER_OPTIONS),
        ):
            for name in names:
                said = self.refusal(parse, **{**parts, name: ""})
                self.assertEqual(said, f"{name}: it has no value")

    def test_unknown(self) -> None:
        """
        Options that there are not, or on the other side only, are refused by
        name, with one that it may have been meant for.
        """
        for parse, parts, name, hint in (
            (self.client, CLIENT_PARTS, "nonsense", ""),
            (self.client, CLIENT_PARTS, "trustRoot", "; did you mean trustRoots?"),
            (self.client, CLIENT_PARTS, "certificates", "; did you mean certificate?"),
            (self.client, CLIENT_PARTS, "interface", ""),
            (self.client, CLIENT_PARTS, "clientCertificate", "; did you mean certificate?"),
            (self.server, SERVER_PARTS, "Port", "; did you mean port?"),
            (self.server, SERVER_PARTS, "timeout", ""),
            (self.server, SERVER_PARTS, "host", ""),
            (self.server, SERVER_PARTS, "serverName", ""),
            (self.server, SERVER_PARTS, "passphrase", "; did you mean passphraseFile?"),
        ):
            said = self.said(TypeError, partial(parse, **{**parts, name: PASSWORD.decode()}))
            self.assertEqual(said, f"{name}: there is no such option{hint}")
        for name in ("self", "reactor"):
            # Python itself has something against these.
            parts = {**SERVER_PARTS, name: PASSWORD.decode()}
            self.assertIn(f"'{name}'", self.said(TypeError, partial(self.server, **parts)))

    def test_plainly(self) -> None:
        """
        Without options a side is what it is by default.
        """
        client = self.client(**CLIENT_PARTS)
        self.assertIsInstance(client, SslStreamClientEndpoint)
        self.assertEqual(client._options, SslClientAuthenticationOptions("example.com"))
        server = self.server(**SERVER_PARTS, reload="no")
        self.assertIsInstance(server, SslStreamServerEndpoint)
        self.assertEqual(server._options, SslServerAuthenticationOptions(SERVER))

    def test_agreement(self) -> None:
        """
        Options that do not go with each other are all named.
        """
        for options, named, reason in (
            (
                {"protocols": "tls1.2", "ciphers": _SUITE.name},
                "protocols, ciphers",
                "the cipher suites and the enabled protocols exclude each other",
            ),
            (
                {"protocols": "tls1.3", "groups": "brainpoolP256r1"},
                "protocols, groups",
                "exclude each other",
            ),
            (
                {"protocols": "tls1.1", "signatureAlgorithms": "ed25519"},
                "protocols, signatureAlgorithms",
                "before TLS 1.2",
            ),
        ):
            said = self.refusal(self.client, **CLIENT_PARTS, **options)
            self.assertTrue(said.startswith(f"{named}: "), said)
            self.assertIn(reason, said)
            said = self.refusal(self.server, **SERVER_PARTS, **options)
            self.assertTrue(said.startswith(f"certificate, {named}: "), said)
            self.assertIn(reason, said)


def _first(texts: Mapping[str, Mapping[str, tuple[str, Any]]]) -> list[tuple[str, Any]]:
    return [next(iter(each.values())) for each in texts.values()]


class IdentityTests(ParsingMixin, SynchronousTestCase):
    """
    Whose certificate is shown.
    """

    FORMS: tuple[Mapping[str, str], ...] = (
        {"certificate": "<both>"},
        {"certificate": "<certificate>", "privateKey": "<key>"},
        {
            "certificate": "<certificate>",
            "privateKey": "<encrypted>",
            "passphraseFile": "<passphrase>",
        },
        {"pfx": "<pfx>", "passphraseFile": "<passphrase>"},
        {"pfx": "<plainPfx>"},
    )

    def shown(self, endpoint: Any) -> Any:
        """
        @return: what an endpoint shows.
        """
        options = endpoint._options
        if isinstance(options, SslClientAuthenticationOptions):
            return options.clientCertificateContext
        return options.serverCertificate

    def test_forms(self) -> None:
        """
        A certificate comes from one PEM file, from two, or from a PKCS#12 file,
        and is reloaded unless that is not wanted.
        """
        for parse, parts in (
            (self.client, CLIENT_PARTS),
            (self.server, {"port": "8443"}),
        ):
            for form in self.FORMS:
                for more in ({}, {"reload": "yes"}):
                    shown = self.shown(parse(**parts, **form, **more))
                    self.assertIsInstance(shown, ReloadingCertificate)
                    self.assertEqual(shown.current, SERVER, form)
                self.assertEqual(self.shown(parse(**parts, **form, reload="no")), SERVER)

    def test_none(self) -> None:
        """
        A client need not have one; a server must.
        """
        self.assertIsNone(self.shown(self.client(**CLIENT_PARTS)))
        self.assertEqual(
            self.refusal(self.server, port="8443"),
            "certificate: it is missing, as are pfx and certificates",
        )

    def test_bad(self) -> None:
        """
        A file that cannot be used is named, with the options that it is of.
        """
        for options, named, reason in (
            ({"certificate": "<missing>"}, "certificate", f"<missing>: {_NO_FILE}"),
            ({"certificate": "<nonsense>"}, "certificate", "<nonsense>: no certificate in it"),
            (
                {"certificate": "<certificate>"},
                "certificate",
                "<certificate>: no private key in it",
            ),
            (
                {"certificate": "<certificate>", "privateKey": "<missing>"},
                "certificate, privateKey",
                f"<missing>: {_NO_FILE}",
            ),
            (
                {"certificate": "<certificate>", "privateKey": "<otherKey>"},
                "certificate, privateKey",
                "<certificate>: no certificate belongs to the private key of <otherKey>: ",
            ),
            ({"certificate": "<weak>"}, "certificate", "OpenSSL refuses CN=weak: "),
            (
                {"certificate": "<weak>", "reload": "no"},
                "certificate, reload",
                "OpenSSL refuses CN=weak: ",
            ),
            ({"pfx": "<missing>"}, "pfx", f"<missing>: {_NO_FILE}"),
            ({"pfx": "<both>"}, "pfx", "<both>: not a PKCS#12 file, or the password is wrong"),
            ({"pfx": "<pfx>"}, "pfx", "<pfx>: not a PKCS#12 file, or the password is wrong"),
            (
                {"pfx": "<pfx>", "passphraseFile": "<wrong>"},
                "pfx, passphraseFile",
                "<pfx>: not a PKCS#12 file, or the password is wrong",
            ),
            (
                {"certificate": "<certificate>", "privateKey": "<encrypted>"},
                "certificate, privateKey",
                "<encrypted>: the private key is encrypted: a password is needed",
            ),
            (
                {
                    "certificate": "<certificate>",
                    "privateKey": "<encrypted>",
                    "passphraseFile": "<wrong>",
                },
                "certificate, privateKey, passphraseFile",
                "<encrypted>: the private key is damaged or the password is wrong",
            ),
            (
                {"pfx": "<pfx>", "passphraseFile": "<missing>"},
                "passphraseFile",
                f"<missing>: {_NO_FILE}",
            ),
            (
                {"pfx": "<pfx>", "passphraseFile": "<nothing>"},
                "passphraseFile",
                "<nothing>: no password in the first line",
            ),
            ({"certificate": "<both>", "reload": "maybe"}, "reload", "'maybe' is none of yes, no"),
        ):
            for parse, parts in ((self.client, CLIENT_PARTS), (self.server, {"port": "8443"})):
                for more in ({}, {"reload": "no"}):
                    if more and "reload" in options:
                        continue
                    said = self.refusal(parse, **parts, **options, **more)
                    begin = self.path(f"{named}: {reason}")
                    if more:
                        said = said.replace(", reload: ", ": ", 1)
                    self.assertEqual(said[: len(begin)], begin)

    def test_contradictions(self) -> None:
        """
        Options that exclude each other, or say nothing alone, are refused.
        """
        for options, said in (
            (
                {"certificate": "<both>", "pfx": "<pfx>"},
                "certificate, pfx: only one of them can be given",
            ),
            ({"privateKey": "<key>"}, "privateKey: it says nothing without certificate"),
            (
                {"pfx": "<pfx>", "privateKey": "<key>"},
                "privateKey: it says nothing without certificate",
            ),
            (
                {"certificate": "<both>", "passphraseFile": "<passphrase>"},
                "passphraseFile: nothing is encrypted in certificate",
            ),
            (
                {"pfx": "<plainPfx>", "passphraseFile": "<passphrase>"},
                "passphraseFile: nothing is encrypted in pfx",
            ),
            (
                {"passphraseFile": "<passphrase>"},
                "passphraseFile: it says nothing without certificate or pfx or certificates",
            ),
            (
                {"reload": "yes"},
                "reload: it says nothing without certificate or pfx or certificates",
            ),
        ):
            for parse, parts in ((self.client, CLIENT_PARTS), (self.server, {"port": "8443"})):
                self.assertEqual(self.refusal(parse, **parts, **options), said)
        for options, said in (
            (
                {"certificate": "<both>", "certificates": "<certificates>"},
                "certificate, certificates: only one of them can be given",
            ),
            (
                {"pfx": "<pfx>", "certificates": "<certificates>"},
                "pfx, certificates: only one of them can be given",
            ),
            (
                {"certificate": "<both>", "default": "<both>"},
                "default: it says nothing without certificates",
            ),
            (
                {"certificates": "<certificates>", "reload": "no"},
                "certificates, reload: what is in a directory is always reloaded",
            ),
            (
                {"certificates": "<certificates>", "passphraseFile": "<passphrase>"},
                "passphraseFile: nothing is encrypted in certificates",
            ),
        ):
            self.assertEqual(self.refusal(self.server, port="8443", **options), said)


class DirectoryTests(ParsingMixin, SynchronousTestCase):
    """
    Certificates by name.
    """

    def selected(self, host: str, **options: str) -> Any:
        """
        @return: what a server selects.
        """
        server = self.server(port="8443", certificates="<certificates>", **options)
        select = server._options.serverCertificateSelectionCallback
        self.assertIsInstance(select, CertificateDirectory)
        found = select(None, host)
        return found and found.current

    def test_names(self) -> None:
        """
        Each file is for its names; for others there is the default, if one is
        named.
        """
        self.assertEqual(self.selected("localhost"), SERVER)
        self.assertEqual(self.selected("other.example"), OTHER)
        self.assertIsNone(self.selected("rsa.example"))
        self.assertIsNone(self.selected(""))
        for host in ("rsa.example", "else.example", ""):
            self.assertEqual(self.selected(host, default="<rsa>"), RSA)

    def test_passphrase(self) -> None:
        """
        One passphrase is for all keys that are encrypted, the default's, too.
        """
        data = certificatePEM(RSA) + keyPEM(RSA, PASSWORD)
        passphrase = {"passphraseFile": "<passphrase>"}
        self.files["secret"] = str(self.file(data, "secret"))
        self.assertEqual(self.selected("rsa.example", default="<secret>", **passphrase), RSA)
        self.file(data, "certificates/rsa.pem")
        self.assertEqual(self.selected("rsa.example", **passphrase), RSA)

    def test_bad(self) -> None:
        """
        A directory, a file in it or a default that cannot be used is named.
        """
        bad = self.directory / "certificates" / "bad.pem"
        directory = {"certificates": "<certificates>"}
        for options, reason in (
            ({"certificates": "<missing>"}, f"certificates: <missing>: {_NO_FILE}"),
            ({"certificates": "<both>"}, "certificates: <both>: Not a directory"),
            ({"certificates": "<here>"}, "certificates: <here>: no .pem file in it"),
            (
                {**directory, "default": "<missing>"},
                f"certificates, default: <missing>: {_NO_FILE}",
            ),
            (
                {**directory, "default": "<key>"},
                "certificates, default: <key>: no certificate in it",
            ),
        ):
            said = self.refusal(self.server, port="8443", **options)
            self.assertEqual(said, self.path(reason))
        bad.write_bytes(b"nonsense")
        said = self.refusal(self.server, port="8443", **directory)
        self.assertEqual(said, f"certificates: {bad}: no certificate in it")
        bad.write_bytes(both(SERVER))
        said = self.refusal(self.server, port="8443", **directory)
        self.assertIn(f"not used for localhost, which is in {bad}", said)

    def test_agreement(self) -> None:
        """
        A certificate that does not go with other options is refused, be it the
        default.
        """
        algorithms = {"signatureAlgorithms": "ecdsa_secp256r1_sha256"}
        directory = {"port": "8443", "certificates": "<certificates>"}
        self.server(**directory, **algorithms)
        reason = "signatureAlgorithms: the key of CN=rsa.example cannot sign"
        said = self.refusal(self.server, **directory, **algorithms, default="<rsa>")
        self.assertIn(f"certificates, default, {reason}", said)
        self.file(both(RSA), "certificates/rsa.pem")
        said = self.refusal(self.server, **directory, **algorithms)
        self.assertIn(f"certificates, {reason}", said)


class AskingTests(ParsingMixin, SynchronousTestCase):
    """
    Whether clients are asked for certificates.
    """

    def test_trust(self) -> None:
        """
        Whoever asks for certificates says who may issue them, and only then that
        says something.
        """
        for text in ("required", "optional"):
            self.assertEqual(
                self.refusal(self.server, **SERVER_PARTS, clientCertificate=text),
                "trustRoots: it is missing: who may issue certificates to clients?",
            )
            options = self.server(
                **SERVER_PARTS, clientCertificate=text, trustRoots="<root>"
            )._options
            self.assertTrue(options.clientCertificateRequired)
            self.assertEqual(options.trust, _TRUST)
        for more in ({}, {"clientCertificate": "none"}):
            options = self.server(**SERVER_PARTS, **more)._options
            self.assertFalse(options.clientCertificateRequired)
            for name, text in (("trustRoots", "<root>"), ("revocation", "online")):
                self.assertEqual(
                    self.refusal(self.server, **SERVER_PARTS, **more, **{name: text}),
                    f"{name}: it says nothing beside clientCertificate=none",
                )

    def test_bad(self) -> None:
        """
        There is no other way to ask.
        """
        self.assertEqual(
            self.refusal(self.server, **{**SERVER_PARTS, **ASKING, "clientCertificate": "yes"}),
            "clientCertificate: 'yes' is none of required, optional, none",
        )


class UnderneathTests(ParsingMixin, SynchronousTestCase):
    """
    The endpoint underneath.
    """

    def listening(self, endpoint: Any) -> tuple[Any, ...]:
        """
        @return: where an endpoint listens: port, backlog and interface.
        """
        self.successResultOf(endpoint.listen(Factory.forProtocol(Application)))
        port, _, backlog, interface = self.reactor.tcpServers.pop()
        return port, backlog, interface

    def connecting(self, endpoint: Any) -> tuple[Any, ...]:
        """
        @return: where an endpoint connects to: port, time-out and address to
            bind to.
        """
        self.assertNoResult(endpoint.connect(Factory.forProtocol(Application)))
        _, port, _, timeout, bindAddress = self.reactor.tcpClients.pop()
        return port, timeout, bindAddress

    def test_handshakeLimit(self) -> None:
        """
        A server's clients may be limited, in all or per address, and are not by
        default.
        """
        certificate = SERVER_PARTS
        self.assertIsNone(self.server(**certificate)._limit)
        for options, expected in (
            ({"maximumUnauthenticated": "2"}, (2, None)),
            ({"maximumUnauthenticatedPerAddress": "3"}, (None, 3)),
            ({"maximumUnauthenticated": "2", "maximumUnauthenticatedPerAddress": "3"}, (2, 3)),
        ):
            limit = self.server(**certificate, **options)._limit
            self.assertEqual((limit.maximum, limit.maximumPerAddress), expected)
            self.successResultOf(
                self.server(**certificate, **options).listen(Factory.forProtocol(Application))
            )
            _, factory, _, _ = self.reactor.tcpServers.pop()
            client = IPv4Address("TCP", "192.0.2.1", 1)
            built = [factory.buildProtocol(client) for _ in range(4)]
            wanted = min(each for each in expected if each)
            self.assertEqual(
                [hasattr(each, "admission") for each in built], [n < wanted for n in range(4)]
            )
        for name in ("maximumUnauthenticated", "maximumUnauthenticatedPerAddress"):
            for value in ("0", "many", "-1"):
                with self.assertRaisesRegex(ValueError, f"^{name}: "):
                    self.server(**certificate, **{name: value})

    def test_server(self) -> None:
        """
        A server listens on its port, at all addresses or one, with a backlog.
        """
        for options, expected in (
            ({}, (8443, 50, "")),
            ({"port": "0"}, (0, 50, "")),
            ({"interface": "127.0.0.1"}, (8443, 50, "127.0.0.1")),
            ({"interface": "::1", "backlog": "7"}, (8443, 7, "::1")),
        ):
            endpoint = self.server(**{**SERVER_PARTS, **options})
            self.assertIsInstance(endpoint._wrapped, TCP4ServerEndpoint)
            self.assertEqual(self.listening(endpoint), expected)

    def test_client(self) -> None:
        """
        A client connects to its host and port.
        """
        for options, expected in (
            ({}, (443, 30, None)),
            ({"port": "65535", "timeout": "2.5"}, (65535, 2.5, None)),
            ({"bindAddress": "127.0.0.2"}, (443, 30, ("127.0.0.2", 0))),
        ):
            endpoint = self.client(**{**CLIENT_PARTS, **options})
            self.assertIsInstance(endpoint._wrapped, HostnameEndpoint)
            self.assertIn("example.com", repr(endpoint._wrapped))
            self.assertEqual(self.connecting(endpoint), expected)

    def test_targetHost(self) -> None:
        """
        The host is verified, or C{serverName} instead; either may be an address
        or in Unicode.
        """
        for host in ("example.com", "127.0.0.1", "::1", "b\xfccher.example", "localhost"):
            endpoint = self.client(host=host, port="443")
            self.assertEqual(endpoint._options.targetHost, host)
            endpoint = self.client(**CLIENT_PARTS, serverName=host)
            self.assertEqual(endpoint._options.targetHost, host)
            self.assertIn("example.com", repr(endpoint._wrapped))

    def test_unicode(self) -> None:
        """
        A host in Unicode is connected to by its A-label, whatever its case is.
        """
        for host in ("b\xfccher.example", "B\xdcCHER.example", "xn--bcher-kva.example"):
            endpoint = self.client(host=host, port="443")
            self.assertIn("xn--bcher-kva.example", repr(endpoint._wrapped).lower())
            self.connecting(endpoint)

    def test_unreachable(self) -> None:
        """
        A name that may be in a certificate, but that Twisted does not connect to,
        is refused as host, and accepted as C{serverName}.
        """
        self.assertIn("host: ", self.refusal(self.client, host="a_b.example", port="443"))
        endpoint = HostnameEndpoint(self.reactor, "a_b.example", 443)
        connecting = endpoint.connect(Factory.forProtocol(Application))
        self.failureResultOf(connecting, ValueError)
        self.client(**CLIENT_PARTS, serverName="a_b.example")

    def test_bad(self) -> None:
        """
        What is no host, port or number is refused by name.
        """
        for parse, parts, name, texts, reason in (
            (self.client, CLIENT_PARTS, "host", ("a b", "*.example", "a..b"), "not a host name: "),
            (self.client, CLIENT_PARTS, "serverName", ("a b", "https://x"), "not a host name: "),
            (
                self.client,
                CLIENT_PARTS,
                "port",
                ("0", "65536", "https", "-1", "1_0", " 1", "4.5", "\u0661"),
                "no number from 1 to 65535",
            ),
            (self.client, CLIENT_PARTS, "timeout", ("0", "-3", "soon"), _NO_SECONDS),
            (self.server, SERVER_PARTS, "port", ("65536", "https"), "no number from 0 to 65535"),
            (self.server, SERVER_PARTS, "backlog", ("0", "many"), "no number from 1 to 65535"),
        ):
            for text in texts:
                said = self.refusal(parse, **{**parts, name: text})
                self.assertEqual(said.partition(": ")[0], name)
                self.assertIn(reason, said)
                self.assertIn(repr(text), said)

    def test_missing(self) -> None:
        """
        Host and port have to be there.
        """
        for parse, parts, names in (
            (self.client, CLIENT_PARTS, ("host", "port")),
            (self.server, SERVER_PARTS, ("port",)),
        ):
            for name in names:
                rest = {each: text for each, text in parts.items() if each != name}
                self.assertEqual(self.refusal(parse, **rest), f"{name}: it is missing")

    def test_endpointOfServer(self) -> None:
        """
        C{endpoint=} and what has no name both describe the endpoint underneath.
        """
        certificate = {"certificate": "<both>"}
        for endpoint in (
            self.server(endpoint="tcp:1234:interface=127.0.0.1:backlog=3", **certificate),
            self.server("tcp", "1234", interface="127.0.0.1", backlog="3", **certificate),
            self.server("tcp", port="1234", interface="127.0.0.1", backlog="3", **certificate),
        ):
            self.assertEqual(self.listening(endpoint), (1234, 3, "127.0.0.1"))
        odd = self.path("<here>/a=b:c\\d")
        for endpoint in (
            self.server(
                endpoint=f"unix:{quoteStringArgument(odd)}".replace("=", "\\="), **certificate
            ),
            self.server("unix", quoteStringArgument(odd).replace("=", "\\="), **certificate),
            self.server("unix", address=odd, **certificate),
        ):
            self.assertIsInstance(endpoint._wrapped, UNIXServerEndpoint)
            self.assertEqual(endpoint._wrapped._address, odd)

    def test_endpointOfClient(self) -> None:
        """
        So they do for a client; who is to be verified is said by C{serverName},
        or by C{host} beside C{endpoint=}, where a port may be, as with C{tls:}.
        """
        inner = "tcp:127.0.0.1:1234:timeout=3"
        for endpoint in (
            self.client(endpoint=inner, serverName="example.com"),
            self.client(endpoint=inner, host="example.com"),
            self.client(endpoint=inner, host="example.com", port="443"),
            self.client("tcp", "127.0.0.1", "1234", timeout="3", serverName="example.com"),
            self.client(
                "tcp", host="127.0.0.1", port="1234", timeout="3", serverName="example.com"
            ),
        ):
            self.assertIsInstance(endpoint._wrapped, TCP4ClientEndpoint)
            self.assertEqual(endpoint._options.targetHost, "example.com")
            self.assertEqual(self.connecting(endpoint), (1234, 3, None))
        endpoint = self.client("unix", "/run/some", serverName="example.com")
        self.assertIsInstance(endpoint._wrapped, UNIXClientEndpoint)

    def test_nested(self) -> None:
        """
        An endpoint of ours may be underneath another one, and TLS in TLS.
        """
        inner = described(**self.filled(SERVER_PARTS))
        for endpoint in (
            serverFromString(self.reactor, f"haproxy:{inner}"),
            self.server(endpoint=inner, certificate="<both>"),
            self.server("haproxy", "tcp", "8443", certificate="<both>"),
        ):
            self.assertEqual(self.listening(endpoint), (8443, 50, ""))

    def test_badEndpoint(self) -> None:
        """
        What describes no endpoint is refused, but not quoted.
        """
        secret = PASSWORD.decode()
        certificate = {"certificate": "<both>"}
        hint = "; a host or port of sslstream's own is given by name"
        for parse, parts, options, said in (
            (self.server, ("8443",), certificate, "8443: Unknown endpoint type: '8443'" + hint),
            (
                self.server,
                (),
                {"endpoint": f"nonsense:{secret}", **certificate},
                "nonsense: Unknown endpoint type: 'nonsense'",
            ),
            (
                self.client,
                ("example.com", "443"),
                {},
                "example.com: Unknown endpoint type: 'EXAMPLE.COM'" + hint,
            ),
            (
                self.server,
                ("tcp", "8443"),
                {"certificat": secret, **certificate},
                "tcp: _parseTCP() got an unexpected keyword argument 'certificat'" + hint,
            ),
            (
                self.server,
                (),
                {"endpoint": "systemd:domain=INET:index=0", **certificate},
                "systemd: ",
            ),
        ):
            error = self.refusal(parse, *parts, **options).lower()
            self.assertEqual(error[: len(said) + 10], f"endpoint: {said}".lower())

    def test_contradictions(self) -> None:
        """
        What says nothing beside another endpoint is refused; so are two of them,
        and a client that does not know whom to verify.
        """
        inner = {"endpoint": "tcp:127.0.0.1:1234"}
        beside = "it says nothing beside endpoint"
        for options, said in (
            ({"timeout": "3", "serverName": "a"}, f"timeout: {beside}"),
            ({"bindAddress": "127.0.0.1", "host": "a"}, f"bindAddress: {beside}"),
            ({"host": "a", "serverName": "b"}, f"host: {beside} and serverName"),
            ({}, "serverName: it is missing"),
            ({"port": "443"}, "serverName: it is missing"),
        ):
            self.assertEqual(self.refusal(self.client, **inner, **options), said)
        self.assertEqual(
            self.refusal(self.client, "tcp", host="a", port="1"), "serverName: it is missing"
        )
        self.assertEqual(
            self.refusal(self.client, "tcp", "a", "1", serverName="b", **inner),
            "endpoint: it says nothing beside tcp",
        )
        inner = {"endpoint": "tcp:1234", "certificate": "<both>"}
        for options in ({"port": "1"}, {"interface": "::1"}, {"backlog": "1"}):
            self.assertEqual(
                self.refusal(self.server, **inner, **options), f"{next(iter(options))}: {beside}"
            )
        self.assertEqual(
            self.refusal(self.server, "tcp", "1", **inner), "endpoint: it says nothing beside tcp"
        )


class Talk(NamedTuple):
    """
    What came of a conversation.

    @ivar client: the client's application.
    @ivar server: the server's, which gets a greeting.
    @ivar error: what the client's hears of a refusal.
    """

    client: Application
    server: Application
    error: Any


class TalkingMixin(ParsingMixin):
    """
    Conversations of endpoints that are described.
    """

    version: SslProtocols
    segment: int

    def talk(self, server: Mapping[str, str], **client: str) -> Talk:
        """
        @param server: the options of the server.
        @param client: more options of the client.
        """
        protocols = {"protocols": "tls1.3" if self.version is SslProtocols.Tls13 else "tls1.2"}
        parts = {"host": "localhost", "port": "1", "trustRoots": "<root>", **protocols}
        ours = Application(made=lambda application: application.transport.write(b"hello"))
        theirs = Application()
        listening = self.server(**server).listen(Factory.forProtocol(lambda: theirs))
        self.successResultOf(listening)
        connecting = self.client(**{**parts, **client}).connect(Factory.forProtocol(lambda: ours))
        outcome: list[Any] = []
        connecting.addBoth(outcome.append)
        wire = connect(self.reactor, self.segment)
        error = ours.reason if outcome == [ours] else outcome[0].value
        if wire.client.connected:
            wire.cut()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(_parked, set())
        return Talk(ours, theirs, error)

    def assertTalked(self, talk: Talk) -> None:
        """
        The greeting arrived.
        """
        self.assertIsNone(talk.error)
        self.assertEqual(talk.server.received, b"hello")
        self.assertIs(talk.server.transport.sslProtocol, self.version)

    def assertRefused(self, talk: Talk, **expected: TlsAlert) -> None:
        """
        The server's application was not connected, and there was this alert.

        @param expected: the alert, as C{alert} or C{alertSent} of the client.
        """
        self.assertIsInstance(talk.error, AuthenticationError)
        self.assertEqual(
            {name: getattr(talk.error, name) for name in expected}, expected, talk.error
        )
        self.assertEqual(talk.server.events, [])


def connect(reactor: Any, segment: int = 0) -> Wire:
    """
    Connect whoever listens in a C{MemoryReactorClock} with whoever connects.
    """
    _, server, *_ = reactor.tcpServers.pop()
    _, _, client, *_ = reactor.tcpClients.pop()
    wire = Wire(segment)
    wire.clock = reactor
    wire.connect(client.buildProtocol(None), server.buildProtocol(None))
    wire.flush()
    return wire


@perVersion()
class TalkTests(TalkingMixin):
    """
    What endpoints that are described do.
    """

    def test_talk(self) -> None:
        """
        A client is connected to the server whose name it has, and whose issuer
        it trusts.
        """
        talk = self.talk(SERVER_PARTS)
        self.assertTalked(talk)
        self.assertEqual(talk.client.transport.remoteCertificate, SERVER.certificate)
        self.assertFalse(talk.client.transport.isMutuallyAuthenticated)

    def test_refusals(self) -> None:
        """
        It refuses one with another name or from another issuer.
        """
        strangers = self.file(certificatePEM(STRANGER), "strangers")
        for options, alert in (
            ({"serverName": "other.example"}, TlsAlert.bad_certificate),
            ({"host": "127.0.0.2"}, TlsAlert.bad_certificate),
            ({"trustRoots": str(strangers)}, TlsAlert.unknown_ca),
        ):
            self.assertRefused(self.talk(SERVER_PARTS, **options), alertSent=alert)

    def test_serverName(self) -> None:
        """
        C{serverName} is what the client asks for and verifies, whatever the host
        is.
        """
        talk = self.talk(SERVER_PARTS, host="somewhere.example", serverName="localhost")
        self.assertTalked(talk)
        self.assertEqual(talk.server.transport.targetHostName, "localhost")

    def test_noTrust(self) -> None:
        """
        Without C{trustRoots}, or with C{system}, a client trusts the system's
        alone.
        """
        environment = {**os.environ, "SSL_CERT_FILE": "", "SSL_CERT_DIR": "", "HOME": "/missing"}
        self.patch(os, "environ", environment)
        self.assertRefused(
            self.talk(SERVER_PARTS, trustRoots="system"), alertSent=TlsAlert.unknown_ca
        )

    def test_required(self) -> None:
        """
        C{clientCertificate=required} refuses clients without a certificate, or
        with one from another issuer.
        """
        server = {**SERVER_PARTS, **ASKING}
        talk = self.talk(server, certificate="<client>")
        self.assertTalked(talk)
        self.assertEqual(talk.server.transport.remoteCertificate, CLIENT.certificate)
        self.assertTrue(talk.server.transport.isMutuallyAuthenticated)
        isModern = self.version is SslProtocols.Tls13
        missing = TlsAlert.certificate_required if isModern else TlsAlert.handshake_failure
        self.assertRefused(self.talk(server), alert=missing)
        self.assertRefused(self.talk(server, certificate="<stranger>"), alert=TlsAlert.unknown_ca)

    def test_optional(self) -> None:
        """
        C{clientCertificate=optional} accepts clients without one, and refuses
        those with one from another issuer.
        """
        server = {**SERVER_PARTS, **ASKING, "clientCertificate": "optional"}
        talk = self.talk(server)
        self.assertTalked(talk)
        self.assertIsNone(talk.server.transport.remoteCertificate)
        talk = self.talk(server, certificate="<client>")
        self.assertTalked(talk)
        self.assertEqual(talk.server.transport.remoteCertificate, CLIENT.certificate)
        self.assertRefused(self.talk(server, certificate="<stranger>"), alert=TlsAlert.unknown_ca)

    def test_notAsked(self) -> None:
        """
        Without it nobody is asked.
        """
        talk = self.talk(SERVER_PARTS, certificate="<stranger>")
        self.assertTalked(talk)
        self.assertIsNone(talk.server.transport.remoteCertificate)

    def test_alpn(self) -> None:
        """
        The first protocol of the server's that the client has is negotiated, and
        none in common ends the handshake.
        """
        server = {**SERVER_PARTS, "alpn": "h2,http/1.1"}
        talk = self.talk(server, alpn="http/1.1,h2")
        self.assertTalked(talk)
        self.assertEqual(talk.client.transport.negotiatedApplicationProtocol, b"h2")
        self.assertRefused(self.talk(server, alpn="ftp"), alert=TlsAlert.no_application_protocol)

    def test_directory(self) -> None:
        """
        A server with a directory shows each client the certificate that it asks
        for, and refuses it if there is none.
        """
        server = {"port": "1", "certificates": "<certificates>"}
        for host, context in (("localhost", SERVER), ("other.example", OTHER)):
            talk = self.talk(server, host=host)
            self.assertTalked(talk)
            self.assertEqual(talk.client.transport.remoteCertificate, context.certificate)
        self.assertRefused(self.talk(server, host="rsa.example"), alert=TlsAlert.unrecognized_name)
        self.assertTalked(self.talk({**server, "default": "<rsa>"}, host="rsa.example"))

    def test_inner(self) -> None:
        """
        TLS runs over whatever endpoint is underneath, be it TLS again.
        """
        inner = described(host="localhost", port="1", trustRoots=self.files["root"])
        server = {"endpoint": described(**self.filled(SERVER_PARTS)), "certificate": "<rsa>"}
        talk = self.talk(server, endpoint=inner, host="rsa.example")
        self.assertTalked(talk)
        self.assertEqual(talk.client.transport.remoteCertificate, RSA.certificate)


class ReloadTests(TalkingMixin, SynchronousTestCase):
    """
    Files that are renewed.
    """

    version = SslProtocols.Tls13
    segment = 0

    def setUp(self) -> None:
        """
        Have files be as old as they have to be.
        """
        super().setUp()
        self.patch(reload, "_now", lambda: NOW + datetime.timedelta(seconds=60))

    def shown(self, side: str, server: Any, client: Any) -> Any:
        """
        @return: the certificate that a side shows.
        """
        ours, theirs = Application(), Application()
        self.successResultOf(server.listen(Factory.forProtocol(lambda: theirs)))
        client.connect(Factory.forProtocol(lambda: ours)).addErrback(lambda _: None)
        connect(self.reactor).cut()
        other = ours if side == "server" else theirs
        return other.transport.remoteCertificate

    def test_reload(self) -> None:
        """
        A certificate that is renewed is shown after some seconds, on either
        side, with C{reload=no} never; an endpoint that is not used has no timer.
        """
        asking = {**ASKING, "clientCertificate": "optional"}
        for isReloaded in ("yes", "no"):
            for side, first, second in (
                ("server", SERVER, AUTHORITY.issue("localhost")),
                ("client", CLIENT, AUTHORITY.issue("client@example.com")),
            ):
                path = self.file(both(first), "renewed")
                renewed = {"certificate": str(path), "reload": isReloaded}
                server = self.server(
                    **{**SERVER_PARTS, **asking, **(renewed if side == "server" else {})}
                )
                client = self.client(
                    **{**CLIENT_PARTS, "host": "localhost", "trustRoots": "<root>"},
                    **({} if side == "server" else renewed),
                )
                self.assertEqual(self.shown(side, server, client), first.certificate)
                self.file(both(second), "renewed")
                self.reactor.advance(INTERVAL - 1)
                self.assertEqual(self.shown(side, server, client), first.certificate)
                self.reactor.advance(1)
                expected = second if isReloaded == "yes" else first
                self.assertEqual(self.shown(side, server, client), expected.certificate)
                self.assertEqual(self.reactor.getDelayedCalls(), [])
                self.assertEqual(self.reactor.readers, set())

    def test_passphrase(self) -> None:
        """
        A passphrase that is renewed with the key is read again, wherever the
        process is by then.
        """
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.directory)
        new = AUTHORITY.issue("localhost")
        server = self.server(port="1", pfx="pfx", passphraseFile="passphrase")
        os.chdir("/")
        client = self.client(host="localhost", port="1", trustRoots="<root>")
        self.assertEqual(self.shown("server", server, client), SERVER.certificate)
        self.file(pfx(new, b"battery staple"), "pfx")
        self.file(b"battery staple", "passphrase")
        self.reactor.advance(INTERVAL)
        self.assertEqual(self.shown("server", server, client), new.certificate)

    def test_directory(self) -> None:
        """
        A file that comes into a directory is noticed after some seconds.
        """
        server = self.server(port="1", certificates="<certificates>")
        client = self.client(host="rsa.example", port="1", trustRoots="<root>")
        self.file(both(RSA), "certificates/rsa.pem")
        self.reactor.advance(INTERVAL)
        self.assertEqual(self.shown("server", server, client), RSA.certificate)


class PlaceTests(ParsingMixin, SynchronousTestCase):
    """
    Places where Twisted takes descriptions, or what is made of them.
    """

    def setUp(self) -> None:
        """
        Have two descriptions.
        """
        super().setUp()
        self.forServer = described(**self.filled(SERVER_PARTS))
        parts = {"host": "localhost", "port": "1", "trustRoots": "<root>"}
        self.forClient = described(**self.filled(parts))

    def test_services(self) -> None:
        """
        C{strports.service} listens, and a C{ClientService} connects, again when
        the connection is lost.
        """
        application = Application()
        service = strports.service(
            self.forServer, Factory.forProtocol(lambda: application), self.reactor
        )
        self.assertIsInstance(service, StreamServerEndpointService)
        service.privilegedStartService()
        service.startService()
        clients = ClientService(
            clientFromString(self.reactor, self.forClient),
            Factory.forProtocol(Application),
            clock=self.reactor,
            retryPolicy=lambda attempts: 1,
        )
        clients.startService()
        listening = list(self.reactor.tcpServers)
        for _ in range(2):
            connected = clients.whenConnected()
            self.assertNoResult(connected)
            wire = connect(self.reactor)
            client: Any = self.successResultOf(connected)
            self.assertTrue(client.transport.isAuthenticated)
            wire.cut()
            self.assertEqual(client.events[-1], "lost")
            self.reactor.tcpServers += listening
            self.reactor.advance(1)
        for each in (service, clients):
            self.successResultOf(maybeDeferred(each.stopService))

    def test_interfaces(self) -> None:
        """
        What is made of a description is an endpoint, on any reactor.
        """
        for reactor in (MemoryReactor(), MemoryReactorClock()):
            verifyObject(IStreamClientEndpoint, clientFromString(reactor, self.forClient))
            verifyObject(IStreamServerEndpoint, serverFromString(reactor, self.forServer))


class PluginTests(SynchronousTestCase):
    """
    The plugin.
    """

    def test_found(self) -> None:
        """
        One object is found for both sides.
        """
        interfaces: tuple[Any, ...] = (
            IStreamClientEndpointStringParserWithReactor,
            IStreamServerEndpointStringParser,
        )
        for interface in interfaces:
            found = [each for each in getPlugins(interface) if each.prefix == "sslstream"]
            self.assertEqual(found, [txsslstream_dropin.sslstreamParser])
            verifyObject(interface, found[0])
        self.assertTrue(IPlugin.providedBy(txsslstream_dropin.sslstreamParser))

    def test_light(self) -> None:
        """
        Whoever looks for plugins of any kind, or for C{twistd}'s help, imports
        nothing of this package, nor what it needs; whoever parses a description does.
        """
        program = """
import sys
from twisted.application.service import IServiceMaker
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import getPlugins
from twisted.scripts.twistd import ServerOptions

def heavy():
    heavy = {"OpenSSL", "cryptography", "greenlet", "service_identity", "txsslstream"}
    return sorted(heavy & {each.partition(".")[0] for each in sys.modules})

import twisted.plugins.txsslstream_dropin

assert not heavy(), heavy()
assert "sslecho" in [each.tapname for each in getPlugins(IServiceMaker)]
assert "sslecho" in str(ServerOptions())
assert not heavy(), heavy()
prefixes = [each.prefix for each in getPlugins(IStreamServerEndpointStringParser)]
assert "sslstream" in prefixes
assert "txsslstream" not in heavy(), heavy()

# These import others themselves.
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

try:
    serverFromString(MemoryReactor(), "sslstream:port=1")
except ValueError as error:
    print(error)
assert {"OpenSSL", "txsslstream"} <= set(heavy()), heavy()
"""
        self.assertEqual(
            runPython(program), "certificate: it is missing, as are pfx and certificates\n"
        )
