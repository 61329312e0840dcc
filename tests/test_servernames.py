"""
Tests for L{txsslstream.servernames}: what a server has for which name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.streams import StreamMixin
from tests.support import AUTHORITY, SERVER, serverOptions
from tests.test_names import ALABEL, UNICODE
from txsslstream import (
    AuthenticationError,
    ServerNames,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    TlsAlert,
)
from txsslstream.testing import StreamPair, perVersion

#: Entries, what is found for which names, and names that are for the default.
LOOKUPS: tuple[tuple[Mapping[str, str], Mapping[str, str], tuple[str, ...]], ...] = (
    ({}, {}, ("example.com", "localhost")),
    # Exactly that name, in any case, with a final dot or without.
    (
        {"example.com": "it", "Other.EXAMPLE.": "other"},
        {
            "example.com": "it",
            "EXAMPLE.com": "it",
            "example.com.": "it",
            "other.example": "other",
        },
        (
            "www.example.com",
            "com",
            "xample.com",
            "example.co",
            "example.com.evil.example",
            "example.com..",
            "example",
        ),
    ),
    (
        {"localhost": "it", "a_b.example": "odd"},
        {"localhost": "it", "a_b.example": "odd"},
        ("local", "localhost.example", "ab.example"),
    ),
    # A wildcard is for exactly one label more.
    (
        {"*.Example.com": "any"},
        {
            "www.example.com": "any",
            "WWW.EXAMPLE.COM.": "any",
            "xn--bcher-kva.example.com": "any",
            f"{UNICODE[:6]}.example.com": "any",
        },
        (
            "example.com",
            "a.b.example.com",
            "wwwexample.com",
            "www.example.org",
            "com",
            "*.example.com",
            ".example.com",
            "..example.com",
            "a b.example.com",
            "a\0.example.com",
            "\ufffd.example.com",
            f"{'a' * 64}.example.com",
        ),
    ),
    ({"*.com": "any"}, {"example.com": "any"}, ("com", "www.example.com")),
    # The name itself counts more, wherever it is.
    (
        {"*.example.com": "any", "www.example.com": "it", "*.www.example.com": "below"},
        {
            "www.example.com": "it",
            "ftp.example.com": "any",
            "a.www.example.com": "below",
        },
        ("example.com", "a.ftp.example.com", "b.a.www.example.com"),
    ),
    (
        {"www.example.com": "it", "*.example.com": "any"},
        {"www.example.com": "it", "ftp.example.com": "any"},
        ("example.com", "a.www.example.com"),
    ),
    # International names, in either form.
    (
        {UNICODE: "it"},
        {UNICODE: "it", ALABEL: "it", ALABEL.upper(): "it", UNICODE.upper(): "it"},
        ("bucher.example", f"www.{UNICODE}", "xn--.example"),
    ),
    (
        {ALABEL.upper(): "it"},
        {UNICODE: "it", ALABEL: "it", f"{UNICODE}.": "it"},
        ("bucher.example",),
    ),
    (
        {f"*.{UNICODE}": "any"},
        {f"www.{UNICODE}": "any", f"www.{ALABEL}": "any", f"{UNICODE[:6]}.{UNICODE}": "any"},
        (UNICODE, ALABEL, "www.bucher.example"),
    ),
    # The sharp s is a letter of its own.
    (
        {"fa\xdf.example": "it"},
        {"fa\xdf.example": "it", "xn--fa-hia.example": "it"},
        ("fass.example",),
    ),
)

#: What is nobody's name.
NO_NAMES = ("", ".", "..", " ", "*", "*.", "192.0.2.1", "::1", "a" * 64, "xn--", "xn--\ufffd")

#: What is no name for an entry.
BAD_NAMES = (
    "",
    ".",
    "*",
    "*.",
    "*.*",
    "*.*.com",
    "**.example.com",
    "a.*.b",
    "a.*",
    "w*.example.com",
    "*w.example.com",
    "..",
    ".example.com",
    "a..b",
    "example.com..",
    "*..example.com",
    "a b",
    "a\0b",
    "example.com:443",
    "https://example.com",
    "[::1]",
    "a" * 64,
    "a.\N{SNOWMAN}.example",
    # Addresses.
    "127.0.0.1",
    "127.0.0.1.",
    "*.127.0.0.1",
    "::1",
    "fe80::1%eth0",
    "\N{FULLWIDTH DIGIT ONE}92.0.2.1",
)

ONE = AUTHORITY.issue("one.example")
TWO = AUTHORITY.issue("*.two.example")


class ServerNamesTests(SynchronousTestCase):
    """
    Tests for L{ServerNames}.
    """

    def test_lookups(self) -> None:
        """
        What is found is that of the name, or else of the wildcard, or else the
        default, or nothing, however it is asked.
        """
        for entries, found, others in LOOKUPS:
            for default in ("default", None):
                names = ServerNames(entries, default)
                asked = {**found, **dict.fromkeys((*others, *NO_NAMES), default)}
                for name, expected in asked.items():
                    self.assertEqual(names.lookup(name), expected, (entries, name))
                    self.assertEqual(names(object(), name), expected)

    def test_nothing(self) -> None:
        """
        An entry may say that there is nothing for a name, whatever there is for
        others.
        """
        names = ServerNames({"*.example.com": "any", "old.example.com": None}, "default")
        self.assertIsNone(names.lookup("old.example.com"))
        self.assertEqual(names.lookup("new.example.com"), "any")

    def test_badNames(self) -> None:
        """
        What no client can ask for is refused when the map is built, with the
        name.
        """
        for name in BAD_NAMES:
            error = self.assertRaises(ValueError, ServerNames, {"good.example": 1, name: 2})
            self.assertIn(repr(name), str(error))

    def test_addresses(self) -> None:
        """
        It is said that an address is none, and that no name needs no entry.
        """
        for name in ("127.0.0.1", "127.0.0.1.", "::1", "fe80::1%eth0", "*.127.0.0.1"):
            error = self.assertRaises(ValueError, ServerNames, {name: 1})
            self.assertIn("no client sends an IP address", str(error), name)
        for name in ("", "*."):
            error = self.assertRaises(ValueError, ServerNames, {name: 1})
            self.assertIn("gets the default", str(error), name)

    def test_twice(self) -> None:
        """
        The same name in two forms is refused.
        """
        for one, other in (
            ("example.com", "EXAMPLE.com"),
            ("example.com", "example.com."),
            (UNICODE, ALABEL),
            ("*.example.com", "*.EXAMPLE.com."),
        ):
            error = self.assertRaises(ValueError, ServerNames, {one: 1, other: 1})
            self.assertIn("is there twice", str(error))

    def test_noStrings(self) -> None:
        """
        What is no text is no name.
        """
        for name in (b"example.com", None, 1):
            error = self.assertRaises(TypeError, ServerNames, {name: 1})
            self.assertIn(f"not {type(name).__name__}", str(error))

    def test_value(self) -> None:
        """
        Maps are equal if their names and values are, in whatever form and order
        they were given, and have the same hash then.
        """
        names = ServerNames({"one.example": ONE, "*.two.example": TWO}, SERVER)
        same = ServerNames({"*.TWO.example.": _copy(TWO), "One.example": _copy(ONE)}, _copy(SERVER))
        self.assertEqual(names, same)
        self.assertEqual(hash(names), hash(same))
        self.assertEqual(len({names, same}), 1)
        for other in (
            ServerNames({"one.example": ONE, "*.two.example": TWO}),
            ServerNames({"one.example": ONE, "*.two.example": TWO}, TWO),
            ServerNames({"one.example": TWO, "*.two.example": TWO}, SERVER),
            ServerNames({"one.example": ONE, "two.example": TWO}, SERVER),
            ServerNames({"one.example": ONE}, SERVER),
        ):
            self.assertNotEqual(names, other)

    def test_unchangeable(self) -> None:
        """
        A map stays as it is, also if that which it was made from does not.
        """
        entries = {"one.example": "one"}
        names = ServerNames(entries)
        entries["one.example"] = "other"
        entries["two.example"] = "two"
        self.assertEqual(names.lookup("one.example"), "one")
        self.assertIsNone(names.lookup("two.example"))
        for name in ("entries", "default", "other"):
            with self.assertRaises(FrozenInstanceError):
                setattr(names, name, ())

    def test_text(self) -> None:
        """
        Its text shows names, and no values.
        """
        names = ServerNames({UNICODE: "secret", "*.a.example": "secret"}, "secret")
        self.assertEqual(repr(names), f"<ServerNames ['*.a.example', '{ALABEL}'] and a default>")
        self.assertEqual(repr(ServerNames({})), "<ServerNames []>")

    def test_noise(self) -> None:
        """
        Whatever a client asks for, nothing is raised.
        """
        names = ServerNames({"*.example": "any", ALABEL: "it"}, "default")
        random = Random(2036)
        pieces = ["xn--", "a", "-", ".", "*", "\ufffd", "\0", " ", "example", "\xfc", "z" * 70]
        for _ in range(3000):
            name = "".join(random.choice(pieces) for _ in range(random.randrange(9)))
            self.assertIn(names.lookup(name), ("any", "it", "default"))


def _copy(context: SslStreamCertificateContext) -> SslStreamCertificateContext:
    return SslStreamCertificateContext(
        context.certificate, context.privateKey, context.intermediates
    )


@perVersion()
class SelectionTests(StreamMixin):
    """
    A map as C{serverCertificateSelectionCallback}.
    """

    def shown(self, host: str, names: ServerNames[Any]) -> Any:
        """
        @return: the certificate that a client is shown that asks for this host;
            it is accepted whatever it is for.
        """
        pair = StreamPair(self.segment)
        client, server = pair.authenticate(
            self.version,
            {
                "targetHost": host,
                "remoteCertificateValidationCallback": lambda *arguments: True,
            },
            {"serverCertificateSelectionCallback": names},
        )
        self.successResultOf(server)
        self.successResultOf(client)
        return pair.client.remoteCertificate

    def test_selected(self) -> None:
        """
        Each name has its own certificate, and any other the default.
        """
        names = ServerNames({"one.example": ONE, "*.two.example": TWO, ALABEL: TWO}, SERVER)
        for host, expected in (
            ("one.example", ONE),
            ("ONE.example", ONE),
            ("www.two.example", TWO),
            ("two.example", SERVER),
            (UNICODE, TWO),
            ("other.example", SERVER),
            ("", SERVER),
            ("127.0.0.1", SERVER),
        ):
            self.assertEqual(self.shown(host, names), expected.certificate, host)

    def test_accepted(self) -> None:
        """
        Clients that look for themselves accept what they are shown.
        """
        names = ServerNames({"one.example": ONE, "*.two.example": TWO}, SERVER)
        for host in ("one.example", "www.two.example", "localhost"):
            pair = StreamPair(self.segment)
            for side in pair.authenticate(
                self.version, {"targetHost": host}, {"serverCertificateSelectionCallback": names}
            ):
                self.successResultOf(side)

    def test_refused(self) -> None:
        """
        Without a default, a client that asks for another name, or for none, is
        refused with an alert that says so.
        """
        names = ServerNames({"one.example": ONE, "*.two.example": TWO, "old.two.example": None})
        for host in ("other.example", "two.example", "old.two.example", "a.b.two.example", ""):
            pair = StreamPair(self.segment)
            client, server = pair.authenticate(
                self.version, {"targetHost": host}, {"serverCertificateSelectionCallback": names}
            )
            error = self.failure(client, AuthenticationError)
            self.assertIs(error.alert, TlsAlert.unrecognized_name)
            error = self.failure(server, AuthenticationError)
            self.assertIs(error.alertSent, TlsAlert.unrecognized_name)
            self.assertIn(f"no certificate for the server name {host!r}", str(error))
            pair.wire.cut()
            self.assertNothingLeft(pair)
        self.assertEqual(self.shown("one.example", names), ONE.certificate)


class OptionsTests(SynchronousTestCase):
    """
    A map among options, and of options.
    """

    def test_equalOptions(self) -> None:
        """
        Options with equal maps are equal, and with others are not.
        """

        def made(**entries: SslStreamCertificateContext) -> SslServerAuthenticationOptions:
            names = ServerNames({f"{name}.example": value for name, value in entries.items()})
            return serverOptions(serverCertificateSelectionCallback=names)

        self.assertEqual(made(one=ONE, two=TWO), made(two=_copy(TWO), one=_copy(ONE)))
        self.assertEqual(hash(made(one=ONE)), hash(made(one=_copy(ONE))))
        self.assertNotEqual(made(one=ONE), made(one=TWO))

    def test_ofOptions(self) -> None:
        """
        What is mapped may be options.
        """
        one, two = serverOptions(serverCertificate=ONE), serverOptions(serverCertificate=TWO)
        names: ServerNames[SslServerAuthenticationOptions] = ServerNames({"one.example": one}, two)
        self.assertIs(names.lookup("one.example"), one)
        self.assertIs(names.lookup(""), two)
        self.assertEqual(hash(names), hash(ServerNames({"one.example": one}, two)))
