"""
Tests for F{docs/porting.md}, and for what is as in .NET, or not, and has no test
elsewhere.
"""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import TestCase

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

import txsslstream
from txsslstream import (
    AuthenticationError,
    CipherAlgorithmType,
    CipherSuitesPolicy,
    EncryptionPolicy,
    ExchangeAlgorithmType,
    HashAlgorithmType,
    InvalidOperationError,
    NotSupportedError,
    SslApplicationProtocol,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamProtocol,
    StreamClosedError,
    TlsAlert,
    TlsCipherSuite,
    X509ChainPolicy,
    X509ChainTrustMode,
    X509RevocationMode,
)
from txsslstream._sides import Reader
from txsslstream.authentication import Authentication
from txsslstream.clienthello import ClientHelloReader
from txsslstream.records import APPLICATION_DATA, HEADER_SIZE, RecordBoundary
from txsslstream.sessions import SessionCache
from txsslstream.testing import Bystander, StreamPair, Wire, perVersion

from .applications import ProtocolMixin
from .streams import StreamMixin
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions

DOCS = Path(__file__).parents[1] / "docs"
#: The sample at the end is tested with the other examples.
PAGE = (DOCS / "porting.md").read_text("utf-8").split("\n## The sample, ")[0]

NOT_HERE = "\N{EM DASH}"

_OPTIONS = (
    "AllowRenegotiation AllowTlsResume AllowRsaPssPadding AllowRsaPkcs1Padding "
    "ApplicationProtocols CertificateRevocationCheckMode CertificateChainPolicy "
    "CipherSuitesPolicy EnabledSslProtocols EncryptionPolicy RemoteCertificateValidationCallback "
)

#: What .NET has, by heading.
DOTNET = {
    "SslStream": (
        # Constructors and properties, those of the base classes among them.
        "SslStream AuthenticatedStream InnerStream LeaveInnerStreamOpen IsAuthenticated "
        "IsMutuallyAuthenticated IsEncrypted IsSigned IsServer SslProtocol NegotiatedCipherSuite "
        "NegotiatedApplicationProtocol CipherAlgorithm CipherStrength HashAlgorithm HashStrength "
        "KeyExchangeAlgorithm KeyExchangeStrength LocalCertificate RemoteCertificate "
        "CheckCertRevocationStatus TargetHostName TransportContext CanRead CanWrite CanSeek "
        "CanTimeout ReadTimeout WriteTimeout Length Position "
        # Authentication.
        "AuthenticateAsClient AuthenticateAsClientAsync BeginAuthenticateAsClient "
        "EndAuthenticateAsClient AuthenticateAsServer AuthenticateAsServerAsync "
        "BeginAuthenticateAsServer EndAuthenticateAsServer NegotiateClientCertificateAsync "
        # Data.
        "Read ReadAsync ReadAtLeast ReadAtLeastAsync ReadExactly ReadExactlyAsync ReadByte "
        "BeginRead EndRead Write WriteAsync WriteByte BeginWrite EndWrite Flush FlushAsync "
        "CopyTo CopyToAsync Seek SetLength ShutdownAsync Close Dispose DisposeAsync"
    ),
    "SslClientAuthenticationOptions": _OPTIONS
    + "TargetHost ClientCertificates ClientCertificateContext LocalCertificateSelectionCallback",
    "SslServerAuthenticationOptions": _OPTIONS
    + "ClientCertificateRequired ServerCertificate ServerCertificateContext "
    "ServerCertificateSelectionCallback",
    "Small types": (
        "SslStreamCertificateContext.Create SslStreamCertificateContext.TargetCertificate "
        "SslStreamCertificateContext.IntermediateCertificates "
        "SslCertificateTrust.CreateForX509Store SslCertificateTrust.CreateForX509Collection "
        "CipherSuitesPolicy.CipherSuitesPolicy CipherSuitesPolicy.AllowedCipherSuites "
        "SslApplicationProtocol.Http11 SslApplicationProtocol.Http2 SslApplicationProtocol.Http3 "
        "SslApplicationProtocol.SslApplicationProtocol SslApplicationProtocol.Protocol "
        "SslApplicationProtocol.Equals SslApplicationProtocol.GetHashCode "
        "SslApplicationProtocol.ToString SslClientHelloInfo.ServerName "
        "SslClientHelloInfo.SslProtocols TransportContext.GetChannelBinding X509Chain "
        "X509ChainPolicy X509ChainElement X509ChainStatus X509Store TlsContext TlsSession "
        "TlsBufferSession TlsSocketSession"
    ),
    "Callbacks": (
        "RemoteCertificateValidationCallback LocalCertificateSelectionCallback "
        "ServerCertificateSelectionCallback ServerOptionsSelectionCallback"
    ),
}

#: Enums whose members are not listed: too many, not .NET's, or not in the same
#: words.
UNLISTED = {"TlsCipherSuite", "TlsAlert", "HandshakeFailureReason"}


class Table(NamedTuple):
    """
    A table of the page.

    @ivar heading: what is above it.
    @ivar rows: their cells.
    """

    heading: str
    header: list[str]
    rows: list[list[str]]

    @property
    def classes(self) -> list[str]:
        """
        The classes whose members it is about.
        """
        return spansOf(self.heading)

    def members(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """
        @return: of each row, the class that it is about, if that is told; what
            .NET has, and what we have.
        """
        kind = self.classes[0] if self.classes else ""
        for theirs, ours, *_ in self.rows:
            names = [nameIn(span) for span in spansOf(theirs)]
            spans = [nameIn(span) for span in spansOf(ours)]
            if not self.classes:
                owners = [name for name in (*names, *spans) if "." in name]
                kind = owners[0].partition(".")[0] if owners else ""
            yield kind, names, [span.rpartition(".")[2] for span in spans]


def spansOf(cell: str) -> list[str]:
    """
    @return: what is in code font.
    """
    return re.findall(r"`([^`]+)`", cell)


def nameIn(span: str) -> str:
    """
    @return: the name that a piece of code begins with.
    """
    return re.split(r"[(:]", span)[0]


def tablesOf(text: str) -> list[Table]:
    """
    @return: the tables that end with tests.
    """
    tables: list[Table] = []
    heading = ""
    isInside = False
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            isInside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not isInside:
            isInside = True
            if cells[-1] == "test":
                tables.append(Table(heading, cells, []))
        elif tables and len(cells) == len(tables[-1].header) and set(cells[0]) != {"-"}:
            tables[-1].rows.append(cells)
    return tables


def vocabulary() -> set[str]:
    """
    @return: the names that our users know: classes, members, parameters, and
        those of Python and Twisted.
    """
    known = {*dir(builtins), *keyword.kwlist, "Deferred", "CancelledError", "ConnectionLost"}
    # What callbacks get is written nowhere else.
    known |= {"stream", "chain", "localCertificates", "acceptableIssuers", "clientHelloInfo"}
    for name in txsslstream.__all__:
        thing = getattr(txsslstream, name)
        known |= {name, *membersOf(thing), *parametersOf(thing)}
        for member in dir(thing):
            known |= parametersOf(inspect.getattr_static(thing, member, None))
    return known


def membersOf(thing: Any) -> set[str]:
    """
    @return: the names of what it has.
    """
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    return {*dir(thing), *(field.name for field in fields)}


def parametersOf(function: Any) -> set[str]:
    """
    @return: the names of what it takes, if it is a class or a function.
    """
    function = getattr(function, "__func__", function)
    if not inspect.isclass(function) and not inspect.isfunction(function):
        return set()
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:
        # It is an enum, or written in C.
        return set()


def isCollected(name: str) -> bool:
    """
    @return: whether there is such a test, be it in a test case or in a mixin
        that test cases of its module are made of.
    """
    module, kind, test = name.rsplit(".", 2)
    try:
        names = vars(import_module(module))
    except ImportError:
        return False
    mixin = names.get(kind)
    if not isinstance(mixin, type) or not callable(getattr(mixin, test, None)):
        return False
    cases = [each for each in names.values() if isinstance(each, type)]
    return any(issubclass(each, mixin) and issubclass(each, TestCase) for each in cases)


# The rules of the page.


def untested(text: str) -> list[str]:
    """
    Every row ends with tests, which exist and are run.
    """
    complaints = []
    for table in tablesOf(text):
        for row in table.rows:
            if re.fullmatch(r"`[\w.]+`(, `[\w.]+`)*", row[-1]) is None:
                complaints.append(f"{row[0]} has no test")
                continue
            complaints += [f"no {each}" for each in spansOf(row[-1]) if not isCollected(each)]
    return complaints


def unknown(text: str) -> list[str]:
    """
    What we are said to have, we have; and where it is a member, its class does.
    """
    complaints = []
    known = vocabulary()
    for table in tablesOf(text):
        for row in table.rows:
            words = {word for span in spansOf(row[1]) for word in re.findall(r"[A-Za-z_]\w*", span)}
            complaints += [f"no {word}" for word in sorted(words - known)]
        if len(table.header) != 4:
            continue
        classes = table.classes
        for kind, _, ours in table.members():
            owners = [getattr(txsslstream, each) for each in classes or filter(None, [kind])]
            for name in ours:
                special = {"async for": "__aiter__", "async with": "__aenter__"}.get(name, name)
                complaints += [
                    f"no {name} in {owner.__name__}"
                    for owner in owners
                    if special not in membersOf(owner) | parametersOf(owner) | {owner.__name__}
                ]
    return complaints


def renamed(text: str) -> list[str]:
    """
    What has another name than in .NET, says something about it.
    """
    complaints = []
    for table in tablesOf(text):
        if len(table.header) == 4:
            for row, (_, theirs, ours) in zip(table.rows, table.members(), strict=True):
                bare = {each.rpartition(".")[2].removesuffix("Async").lower() for each in theirs}
                isSame = not bare.isdisjoint(each.lower() for each in ours)
                if not isSame and not row[2] and theirs:
                    complaints.append(f"{row[0]} is not {row[1]}")
    return complaints


def hereAllTheSame(text: str) -> list[str]:
    """
    What is not here, is not here.
    """
    complaints = []
    for table in tablesOf(text):
        for row, (kind, theirs, _) in zip(table.rows, table.members(), strict=True):
            if row[1] == NOT_HERE:
                there = {*txsslstream.__all__}
                if kind:
                    there |= membersOf(getattr(txsslstream, kind))
                for name in theirs:
                    plain = f"{name[0].lower()}{name[1:]}"
                    forms = {name, plain, plain.removesuffix("Async")}
                    complaints += [f"{each} is here" for each in sorted(forms & there)]
    return complaints


def deadLinks(text: str) -> list[str]:
    """
    Links lead to headings of this page and of its neighbors.
    """
    complaints = []
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        path = DOCS / file
        page = text if not file else path.read_text("utf-8") if path.is_file() else ""
        headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
        if not page or (anchor and anchor not in slugs):
            complaints.append(f"no {target}")
    return complaints


_Rule = Callable[[str], list[str]]


_NO_BINDING = ["no getChannelBinding in SslStream"]


class TableTests(SynchronousTestCase):
    """
    The page obeys each rule, and one that does not is found out.
    """

    def check(self, rule: _Rule, *offenses: tuple[str, str, list[str]]) -> None:
        """
        @param offenses: headings, rows, and what is said of them.
        """
        self.assertEqual(rule(PAGE), [])
        for heading, row, complaints in offenses:
            cells = row.count("|") - 1
            header = ["here"] * (cells - 1) + ["test"]
            lines = (f"### {heading}", "", f"| {' | '.join(header)} |", "|---" * cells + "|", row)
            self.assertEqual(rule("\n".join(lines)), complaints, row)

    def test_rows(self) -> None:
        """
        All rows of all tables are looked at, but for the first table's.
        """
        intro, rest = PAGE.split("\n## ", 1)
        self.assertEqual(tablesOf(intro), [])
        tables = tablesOf(rest)
        lines = [line for line in rest.splitlines() if line.startswith("|")]
        self.assertEqual(sum(2 + len(table.rows) for table in tables), len(lines))
        self.assertGreater(len(lines), 200)
        for table in tables:
            self.assertIn(len(table.header), (3, 4), table.heading)
            self.assertNotEqual(table.rows, [], table.heading)

    def test_tested(self) -> None:
        """
        Every row ends with the names of tests that are run.
        """
        mixin = "tests.test_stream.ReadingTests.test_read"
        self.check(
            untested,
            ("A", f"| a | b | `{mixin}` |", []),
            ("A", f"| a | b | `{mixin}`, `{mixin}` |", []),
            ("A", f"| a | b | `{mixin}`, |", ["a has no test"]),
            ("A", "| a | b | |", ["a has no test"]),
            ("A", f"| a | b | `{mixin}s` |", [f"no {mixin}s"]),
            ("A", "| a | b | `tests.test_none.A.test_b` |", ["no tests.test_none.A.test_b"]),
            ("A", "| a | b | `tests.test_stream.A.test_b` |", ["no tests.test_stream.A.test_b"]),
            # What no test case is made of is not run.
            (
                "A",
                "| a | b | `tests.streams.StreamMixin.failure` |",
                ["no tests.streams.StreamMixin.failure"],
            ),
        )

    def test_known(self) -> None:
        """
        Whatever is said to be here is here.
        """
        self.check(
            unknown,
            ("A", "| `A` | `isServer` is `True` | t |", []),
            ("A", "| `A` | `isservant` | t |", ["no isservant"]),
            ("`SslStream`", "| `A` | `read(n)` | | t |", []),
            ("`SslStream`", "| `A` | `async for` | | t |", []),
            ("`SslStream`", "| `A` | `getChannelBinding` | | t |", _NO_BINDING),
            ("A", "| `SslStream.A` | `getChannelBinding` | | t |", _NO_BINDING),
            ("A", f"| {NOT_HERE} | `SslStream.read`, `getChannelBinding` | | t |", _NO_BINDING),
            (
                "`SslStream`",
                "| `A` | `read(length)`, `reed` | | t |",
                ["no reed", "no reed in SslStream"],
            ),
        )

    def test_everything(self) -> None:
        """
        Everything that .NET has is told, and nothing is said that it has not.
        """
        tables = tablesOf(PAGE)
        for heading, names in DOTNET.items():
            told = {
                name
                for table in tables
                if heading in table.classes or heading == table.heading
                for _, theirs, _ in table.members()
                for name in theirs
            }
            self.assertEqual(told ^ set(names.split()), set(), heading)

    def test_everythingOfOurs(self) -> None:
        """
        So is everything public of the stream and of the options.
        """
        for kind in (
            SslStream,
            SslClientAuthenticationOptions,
            SslServerAuthenticationOptions,
        ):
            told = {
                name
                for table in tablesOf(PAGE)
                if kind.__name__ in table.classes
                for _, _, ours in table.members()
                for name in ours
            }
            there = (
                {field.name for field in dataclasses.fields(kind)}
                if dataclasses.is_dataclass(kind)
                else {name for name in dir(kind) if not name.startswith("_")}
            )
            self.assertEqual(there - told, set(), kind.__name__)

    def test_sameNames(self) -> None:
        """
        Where nothing is said to differ, not even the name does.
        """
        self.check(
            renamed,
            ("`SslStream`", "| `IsServer` | `isServer` | | t |", []),
            ("`SslStream`", "| `ReadAsync` | `read(n)` | | t |", []),
            ("`SslStream`", "| `GetRole` | `isServer` | only the name | t |", []),
            ("`SslStream`", f"| {NOT_HERE} | `isServer` | | t |", []),
            ("`SslStream`", "| `GetRole` | `isServer` | | t |", ["`GetRole` is not `isServer`"]),
        )

    def test_notHere(self) -> None:
        """
        What is not here is not here by another spelling, either.
        """
        self.check(
            hereAllTheSame,
            ("`SslStream`", f"| `ReadByte` | {NOT_HERE} | | t |", []),
            ("`SslStream`", f"| `ReadAsync` | {NOT_HERE} | | t |", ["read is here"]),
            ("`SslStream`", f"| `IsServer` | {NOT_HERE} | | t |", ["isServer is here"]),
            ("A", f"| `X509Chain` | {NOT_HERE} | | t |", ["X509Chain is here"]),
        )

    def test_enums(self) -> None:
        """
        Every enum is told, with all of its members and their numbers.
        """
        (table,) = [each for each in tablesOf(PAGE) if each.heading == "Enums"]
        told: dict[str, list[tuple[str, int]]] = {}
        for enum, members, _ in table.rows:
            pairs = re.findall(r"(\w+) (\d+)(?: \N{MIDDLE DOT} |$| \()", members)
            told |= {
                name: [(each, int(number)) for each, number in pairs] for name in spansOf(enum)
            }
        enums = [
            each
            for each in map(txsslstream.__dict__.get, txsslstream.__all__)
            if isinstance(each, type) and issubclass(each, Enum) and each.__name__ not in UNLISTED
        ]
        self.assertEqual(
            {name: pairs for name, pairs in told.items() if name not in UNLISTED},
            {
                enum.__name__: [(name, each.value) for name, each in enum.__members__.items()]
                for enum in enums
            },
        )

    def test_links(self) -> None:
        """
        Links lead somewhere.
        """
        self.check(
            deadLinks,
            ("A b", "| [c](#a-b) | [d](trust.md) | [e](trust.md#callbacks) |", []),
            (
                "A b",
                "| [c](#a-c) | [d](truth.md) | [e](trust.md#callback) |",
                ["no #a-c", "no truth.md", "no trust.md#callback"],
            ),
        )

    def test_figures(self) -> None:
        """
        Sizes, numbers and times are the ones in the code.
        """
        handshake, end = StreamPair().client.handshakeTimeout, SslStreamProtocol.shutdownTimeout
        self.assertEqual(Authentication.WITHHELD_LIMIT, Reader.HIGH_WATER)
        for said in (
            f"{handshake:g} seconds, with all callbacks",
            f"for {end:g} seconds at most",
            f"{Authentication.WITHHELD_LIMIT >> 10} KiB are taken from the peer",
            f"with more than {Reader.HIGH_WATER >> 10} KiB unread",
            f"up to {ClientHelloReader.LIMIT >> 10} KiB",
            f"{SessionCache.LIMIT} of those",
        ):
            self.assertIn(said, PAGE)
        self.assertEqual(SessionCache.EACH, 4)
        self.assertIn("Four for each target and options", PAGE)

    def test_example(self) -> None:
        """
        The example has its conversation, and refuses a server that is not
        welcome.
        """
        code = PAGE.split("```python\n")[1].split("```")[0]
        for trusted in (True, False):
            printed: list[object] = []
            names: dict[str, Any] = {"print": lambda *values, to=printed: to.extend(values)}
            exec(compile(code, "porting.md", "exec"), names)
            wire = Wire()
            wire.connect(Bystander(), Bystander())
            wire.client.reactor = wire.clock  # type: ignore[attr-defined]
            if trusted:
                names["isWelcome"] = lambda *_: True
            talking = Deferred.fromCoroutine(names["talk"](wire.client))
            server = SslStream(wire.server, clock=wire.clock)
            authenticated = server.authenticateAsServer(SERVER)
            wire.flush()
            if not trusted:
                self.failureResultOf(talking, AuthenticationError)
                self.failureResultOf(authenticated, AuthenticationError)
                continue
            self.successResultOf(authenticated)
            self.assertEqual(printed, [server.sslProtocol, server.negotiatedCipherSuite])
            hello = self.successResultOf(server.readUntil(b"<EOF>"))
            self.assertEqual(hello, b"Hello from the client.<EOF>")
            server.write(b"Hello from the server.<EOF>")
            server.close()
            wire.flush()
            self.assertEqual(self.successResultOf(talking), b"Hello from the server.<EOF>")
            self.assertFalse(wire.client.connected)


SUITES = {
    SslProtocols.Tls12: TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    SslProtocols.Tls13: TlsCipherSuite.TLS_AES_128_GCM_SHA256,
}

#: What makes all that is negotiated certain.
CERTAIN = {
    "applicationProtocols": [SslApplicationProtocol.Http2],
    "cipherSuitesPolicy": CipherSuitesPolicy(SUITES.values()),
    "keyExchangeGroups": ["secp256r1"],
}

ELSEWHERE = "elsewhere.example"


class Told(NamedTuple):
    """
    What a property says in the life of a stream, or the type of what it raises.

    @ivar new: at first.
    @ivar deciding: in the validation callback.
    @ivar open: once authenticated.
    @ivar closed: when the connection is closed.
    @ivar failed: when the authentication of another stream has failed.
    """

    new: object
    deciding: object
    open: object
    closed: object
    failed: object


@perVersion(segments=(0,))
class PropertyTests(StreamMixin):
    """
    The properties of a stream, by their names.
    """

    def told(self, name: str, isServer: bool) -> Told:
        """
        @return: what a property says, where both sides show a certificate.
        """

        def says(stream: SslStream) -> object:
            try:
                return getattr(stream, name)
            except Exception as e:
                return type(e)

        deciding = []

        def judge(stream: SslStream, *_: object) -> bool:
            deciding.append(says(stream))
            return True

        judging = {"remoteCertificateValidationCallback": judge}
        client = {**CERTAIN, "clientCertificates": [CLIENT], **({} if isServer else judging)}
        server = {**CERTAIN, "clientCertificateRequired": True, **(judging if isServer else {})}
        pair = StreamPair()
        stream = pair.server if isServer else pair.client
        new = says(stream)
        for side in pair.authenticate(self.version, client, server):
            self.successResultOf(side)
        open_ = says(stream)
        for each in (pair.client, pair.server):
            each.close()
        pair.wire.flush()
        self.successResultOf(stream.whenClosed())
        refused = StreamPair()
        for side in refused.authenticate(self.version, {"targetHost": ELSEWHERE}):
            self.failure(side, AuthenticationError)
        failed = says(refused.server if isServer else refused.client)
        [decided] = deciding
        return Told(new, decided, open_, says(stream), failed)

    def assertTold(self, name: str, told: Told) -> None:
        """
        Each role says so.
        """
        for isServer in (False, True):
            self.assertEqual(self.told(name, isServer), told, f"{name} {isServer}")

    def assertFlag(self, name: str) -> None:
        """
        It is false until the peer is accepted, and then true for good.
        """
        self.assertTold(name, Told(False, False, True, True, False))

    def assertNegotiated(self, name: str, value: object) -> None:
        """
        It can be read from when a callback decides on, and repeats the error of
        an authentication that has failed.
        """
        error = InvalidOperationError
        self.assertTold(name, Told(error, value, value, value, AuthenticationError))

    def test_isAuthenticated(self) -> None:
        """
        It becomes true when the peer is accepted, and never before.
        """
        self.assertFlag("isAuthenticated")

    def test_isMutuallyAuthenticated(self) -> None:
        """
        It becomes true with the authentication if both have shown a certificate.
        """
        self.assertFlag("isMutuallyAuthenticated")

    def test_isEncrypted(self) -> None:
        """
        It becomes true with the authentication.
        """
        self.assertFlag("isEncrypted")

    def test_isSigned(self) -> None:
        """
        It becomes true with the authentication.
        """
        self.assertFlag("isSigned")

    def test_isServer(self) -> None:
        """
        It tells the role as soon as there is one.
        """
        self.assertEqual(self.told("isServer", False), Told(*[False] * 5))
        self.assertEqual(self.told("isServer", True), Told(False, *[True] * 4))

    def test_sslProtocol(self) -> None:
        """
        It is the one version that was negotiated.
        """
        self.assertNegotiated("sslProtocol", self.version)

    def test_negotiatedCipherSuite(self) -> None:
        """
        It is the suite that was negotiated.
        """
        self.assertNegotiated("negotiatedCipherSuite", SUITES[self.version])

    def test_negotiatedApplicationProtocol(self) -> None:
        """
        It is the protocol that was negotiated.
        """
        self.assertNegotiated("negotiatedApplicationProtocol", SslApplicationProtocol.Http2)

    def test_cipherAlgorithm(self) -> None:
        """
        It is the suite's cipher.
        """
        self.assertNegotiated("cipherAlgorithm", CipherAlgorithmType.Aes128)

    def test_cipherStrength(self) -> None:
        """
        It is the size of the cipher's key.
        """
        self.assertNegotiated("cipherStrength", 128)

    def test_hashAlgorithm(self) -> None:
        """
        It is the suite's hash, also where the cipher authenticates by itself.
        """
        self.assertNegotiated("hashAlgorithm", HashAlgorithmType.Sha256)

    def test_hashStrength(self) -> None:
        """
        It is 0 where there is no MAC.
        """
        self.assertNegotiated("hashStrength", 0)

    def test_keyExchangeAlgorithm(self) -> None:
        """
        It is known in TLS 1.3, too, whose suites do not tell it.
        """
        self.assertNegotiated("keyExchangeAlgorithm", ExchangeAlgorithmType.DiffieHellman)

    def test_keyExchangeStrength(self) -> None:
        """
        It is the size of the group; before TLS 1.3 a client judges the server
        before that has named one.
        """
        early, failed = InvalidOperationError, AuthenticationError
        for isServer in (False, True):
            isKnown = isServer or self.version is SslProtocols.Tls13
            told = self.told("keyExchangeStrength", isServer)
            self.assertEqual(told, Told(early, 256 if isKnown else 0, 256, 256, failed))

    def test_localCertificate(self) -> None:
        """
        It is what was shown to the peer, once that is accepted.
        """
        early, failed = InvalidOperationError, AuthenticationError
        for isServer, ours in ((False, CLIENT.certificate), (True, SERVER.certificate)):
            told = self.told("localCertificate", isServer)
            self.assertEqual(told, Told(early, early, ours, ours, failed))

    def test_remoteCertificate(self) -> None:
        """
        It is what the peer has shown, once that is accepted: before, only the
        callback gets it, as an argument.
        """
        early, failed = InvalidOperationError, AuthenticationError
        for isServer, theirs in ((False, SERVER.certificate), (True, CLIENT.certificate)):
            told = self.told("remoteCertificate", isServer)
            self.assertEqual(told, Told(early, early, theirs, theirs, failed))

    def test_checkCertRevocationStatus(self) -> None:
        """
        It tells whether revocation is checked, whichever option says so: a chain
        policy takes the place of the mode.
        """
        self.assertTold("checkCertRevocationStatus", Told(*[False] * 5))
        no, offline = X509RevocationMode.NoCheck, X509RevocationMode.Offline
        for mode, policy, isChecked in (
            (no, None, False),
            (offline, None, True),
            (no, no, False),
            (no, offline, True),
            (offline, no, False),
            (offline, offline, True),
        ):
            options = {
                "certificateRevocationCheckMode": mode,
                "certificateChainPolicy": None
                if policy is None
                else X509ChainPolicy(
                    trustMode=X509ChainTrustMode.CustomRootTrust,
                    customTrustStore=AUTHORITY.certificate,
                    revocationMode=policy,
                ),
                "remoteCertificateValidationCallback": lambda *_: True,
            }
            for opened in self.bothRoles(ours=options):
                self.assertIs(opened.ours.checkCertRevocationStatus, isChecked)
                self.assertIs(opened.ours.security.checkCertRevocationStatus, isChecked)
                self.assertFalse(opened.theirs.checkCertRevocationStatus)

    def test_targetHostName(self) -> None:
        """
        It is what the client has asked for, and can always be read.
        """
        host = "localhost"
        self.assertTold("targetHostName", Told("", host, host, host, ELSEWHERE))

    def test_canRead(self) -> None:
        """
        It is true while the connection is open.
        """
        self.assertTold("canRead", Told(False, False, True, False, False))

    def test_canWrite(self) -> None:
        """
        It is true while the connection is open.
        """
        self.assertTold("canWrite", Told(False, False, True, False, False))

    def test_canSeek(self) -> None:
        """
        It is never true.
        """
        self.assertTold("canSeek", Told(*[False] * 5))

    def test_canTimeout(self) -> None:
        """
        It is always true.
        """
        self.assertTold("canTimeout", Told(*[True] * 5))

    def test_length(self) -> None:
        """
        There is none, and it cannot be set.
        """
        self.assertTold("length", Told(*[NotSupportedError] * 5))
        for opened in self.bothRoles():
            self.assertRaises(NotSupportedError, opened.ours.setLength, 0)
            self.assertUsable(opened)

    def test_position(self) -> None:
        """
        There is none, and it can neither be set nor sought.
        """
        self.assertTold("position", Told(*[NotSupportedError] * 5))
        for opened in self.bothRoles():
            self.assertRaises(NotSupportedError, setattr, opened.ours, "position", 0)
            self.assertRaises(NotSupportedError, opened.ours.seek, 0)
            self.assertRaises(NotSupportedError, opened.ours.seek, 0, 2)
            self.assertUsable(opened)


class Constructed(NamedTuple):
    """
    Streams that were made with arguments by position.
    """

    wire: Wire
    originals: tuple[Bystander, Bystander]
    client: SslStream
    server: SslStream
    sides: tuple[Deferred[SslStream], Deferred[SslStream]]


@perVersion(segments=(0,))
class ConstructorTests(StreamMixin):
    """
    The constructor's arguments by position, as .NET's are given.
    """

    def constructed(self, *arguments: Any, **server: Any) -> Constructed:
        """
        Make and authenticate two streams.

        @param arguments: those behind the inner stream.
        @param server: the server's options.
        """
        wire = Wire()
        originals = (Bystander(), Bystander())
        wire.connect(*originals)
        client = SslStream(wire.client, *arguments, clock=wire.clock)
        server_ = SslStream(wire.server, *arguments, clock=wire.clock)
        sides = (
            client.authenticateAsClient(clientOptions(self.version)),
            server_.authenticateAsServer(serverOptions(self.version, **server)),
        )
        wire.flush()
        return Constructed(wire, originals, client, server_, sides)

    def closed(self, *arguments: Any) -> Constructed:
        """
        Authenticate two streams and close them.
        """
        made = self.constructed(*arguments)
        for side in made.sides:
            self.successResultOf(side)
        for stream in (made.client, made.server):
            stream.close()
        made.wire.flush()
        return made

    def test_inner(self) -> None:
        """
        With the inner stream alone, that is closed with the stream.
        """
        for arguments in ((), (False,)):
            made = self.closed(*arguments)
            for stream in (made.client, made.server):
                self.assertFalse(stream.leaveInnerStreamOpen)
            for transport, original in zip(
                (made.wire.client, made.wire.server), made.originals, strict=True
            ):
                self.assertFalse(transport.connected)
                self.assertIsNotNone(original.lost)

    def test_leaveOpen(self) -> None:
        """
        Left open, the inner stream is what it was before.
        """
        made = self.closed(True)
        for stream in (made.client, made.server):
            self.assertTrue(stream.leaveInnerStreamOpen)
        for transport, original in zip(
            (made.wire.client, made.wire.server), made.originals, strict=True
        ):
            self.assertTrue(transport.connected)
            self.assertIs(transport.protocol, original)
            self.assertIsNone(original.lost)

    def test_validation(self) -> None:
        """
        The validation callback is asked on either side with its stream, and its
        answer is final.
        """
        for refusing in (None, False, True):
            asked: list[SslStream] = []

            def judge(
                stream: SslStream,
                *_: object,
                refusing: bool | None = refusing,
                asked: list[SslStream] = asked,
            ) -> bool:
                asked.append(stream)
                return stream.isServer is not refusing

            made = self.constructed(False, judge)
            if refusing is None:
                for side in made.sides:
                    self.successResultOf(side)
                self.assertEqual({*asked}, {made.client, made.server})
                self.assertEqual(len(asked), 2)
            else:
                error = self.failure(made.sides[refusing], AuthenticationError)
                self.assertIn("refused by remoteCertificateValidationCallback", str(error))
                self.assertIs(
                    self.failure(made.sides[not refusing], AuthenticationError).alert,
                    error.alertSent,
                )

    def test_selection(self) -> None:
        """
        The selection callback chooses for either side.
        """
        other = AUTHORITY.issue("localhost")

        def choose(stream: SslStream, *_: object) -> object:
            return other if stream.isServer else CLIENT

        made = self.constructed(False, None, choose, clientCertificateRequired=True)
        for side in made.sides:
            self.successResultOf(side)
        for stream, ours in ((made.client, CLIENT), (made.server, other)):
            self.assertEqual(stream.localCertificate, ours.certificate)

    def test_policy(self) -> None:
        """
        The encryption policy is the last one; TLS 1.3 knows none without
        encryption.
        """
        made = self.constructed(False, None, None, EncryptionPolicy.RequireEncryption)
        self.assertTrue(self.successResultOf(made.sides[0]).isEncrypted)
        made = self.constructed(False, None, None, EncryptionPolicy.NoEncryption)
        for side in made.sides:
            if self.version is SslProtocols.Tls13:
                self.failure(side, InvalidOperationError)
            else:
                self.assertFalse(self.successResultOf(side).isEncrypted)

    def test_clock(self) -> None:
        """
        There is no sixth argument: who measures time is named.
        """
        wire = Wire()
        wire.connect(Bystander(), Bystander())
        arguments: tuple[Any, ...] = (False, None, None, EncryptionPolicy.RequireEncryption)
        for transport in (wire.client, wire.server):
            self.assertRaises(TypeError, SslStream, transport, *arguments, wire.clock)
            SslStream(transport, *arguments, clock=wire.clock)


@perVersion(segments=(0,))
class SenderTests(ProtocolMixin):
    """
    Whom callbacks get where there is no stream.
    """

    def test_transport(self) -> None:
        """
        They get the transport of the application's protocol, on either side.
        """
        asked: list[object] = []

        def judge(sender: object, *_: object) -> bool:
            asked.append(sender)
            return True

        judging = {"remoteCertificateValidationCallback": judge}
        for link in self.opened(client=judging, server=judging):
            self.assertEqual({*asked}, {link.near.tls, link.far.tls})
            self.assertIs(link.near.application.transport, link.near.tls)
            asked.clear()


@perVersion(segments=(0,))
class ErrorTests(StreamMixin):
    """
    What is refused, and in which moment.
    """

    def assertUntouched(self, pair: StreamPair) -> None:
        """
        Nothing was said, and both can still be authenticated.
        """
        for transport in (pair.wire.client, pair.wire.server):
            self.assertEqual(transport.everWritten, b"")
        for side in pair.authenticate(self.version):
            self.successResultOf(side)

    def test_threeArguments(self) -> None:
        """
        .NET's third argument says whether revocation is checked; here it is the
        versions, and a flag in their place is refused at once, be it true or
        not.
        """
        pair = StreamPair()
        flag: Any
        for flag in (True, False):
            self.failure(pair.client.authenticateAsClient("localhost", (), flag), TypeError)
            self.failure(pair.server.authenticateAsServer(SERVER, False, flag), TypeError)
        self.assertUntouched(pair)

    def test_noCertificate(self) -> None:
        """
        A server without any certificate is refused at once; if it was a callback
        that has chosen so, the client is told.
        """
        pair = StreamPair()
        nothing: Any = None
        self.failure(pair.server.authenticateAsServer(nothing), NotSupportedError)
        self.assertUntouched(pair)
        pair = StreamPair()
        server = pair.server.authenticateAsServer(lambda *_: SslServerAuthenticationOptions())
        client = pair.client.authenticateAsClient(clientOptions(self.version))
        self.assertNoResult(server)
        pair.wire.flush()
        error = self.failure(server, AuthenticationError)
        self.assertIs(type(error.__cause__), NotSupportedError)
        self.assertIs(error.alertSent, TlsAlert.internal_error)
        self.assertIs(self.failure(client, AuthenticationError).alert, TlsAlert.internal_error)

    def test_contextAndSelection(self) -> None:
        """
        A client's certificate context leaves the stream's selection callback
        nothing to choose: both are refused at once, and nobody is asked.
        """
        asked: list[SslStream] = []

        def choose(stream: SslStream, *_: object) -> object:
            asked.append(stream)
            return SERVER

        pair = StreamPair(localCertificateSelectionCallback=choose)
        self.failure(
            pair.client.authenticateAsClient(clientOptions(clientCertificateContext=CLIENT)),
            InvalidOperationError,
        )
        self.assertEqual(asked, [])
        self.assertUntouched(pair)

    def test_sameCallbacks(self) -> None:
        """
        The same callback may be given to the stream and in the options, on
        either side; another one is refused at once.
        """

        def judge(*_: object) -> bool:
            return True

        def choose(stream: SslStream, *_: object) -> object:
            return SERVER if stream.isServer else CLIENT

        def other(*_: object) -> bool:
            return False

        pair = StreamPair(
            remoteCertificateValidationCallback=judge, localCertificateSelectionCallback=choose
        )
        for authenticated in (
            pair.client.authenticateAsClient(
                clientOptions(remoteCertificateValidationCallback=other)
            ),
            pair.client.authenticateAsClient(
                clientOptions(localCertificateSelectionCallback=other)
            ),
            pair.server.authenticateAsServer(
                serverOptions(remoteCertificateValidationCallback=other)
            ),
        ):
            self.failure(authenticated, InvalidOperationError)
        same: dict[str, Any] = {"remoteCertificateValidationCallback": judge}
        for side in pair.authenticate(
            self.version,
            {**same, "localCertificateSelectionCallback": choose},
            {**same, "clientCertificateRequired": True},
        ):
            self.successResultOf(side)
        self.assertTrue(pair.server.isMutuallyAuthenticated)

    def test_inCallback(self) -> None:
        """
        While its peer is judged a stream can be neither read nor written, which
        does no harm.
        """
        operations = (
            SslStream.read,
            lambda stream: stream.write(b"x"),
            SslStream.flush,
            SslStream.shutdown,
        )
        for isServer in (False, True):
            errors: list[InvalidOperationError] = []

            def judge(stream: SslStream, *_: object, errors: list[Any] = errors) -> bool:
                errors.extend(
                    self.failure(operation(stream), InvalidOperationError)
                    for operation in operations
                )
                return True

            judging = {"remoteCertificateValidationCallback": judge}
            self.assertUsable(self.opened(isServer, judging))
            self.assertEqual(len(errors), len(operations))

    def test_afterClose(self) -> None:
        """
        A closed stream cannot be used, but can be inspected, and closed again.
        """
        for opened in self.bothRoles():
            stream = opened.ours
            for each in (stream, opened.theirs):
                each.close()
            opened.flush()
            for operation in (
                stream.read(),
                stream.write(b"x"),
                stream.flush(),
                stream.shutdown(),
                stream.negotiateClientCertificateAsync(),
                stream.authenticateAsClient("localhost"),
                stream.authenticateAsServer(SERVER),
            ):
                self.failure(operation, StreamClosedError)
            self.successResultOf(stream.close())
            self.assertTrue(stream.isAuthenticated)
            self.assertIs(stream.sslProtocol, self.version)
            self.assertEqual(stream.targetHostName, "localhost")


@perVersion(segments=(0,))
class TransferTests(StreamMixin):
    """
    How data is cut.
    """

    def test_severalRecords(self) -> None:
        """
        One read gets what several records have brought.
        """
        for opened in self.bothRoles():
            for part in (b"one ", b"two ", b"three"):
                self.successResultOf(opened.theirs.write(part))
            opened.flush()
            self.assertEqual(self.successResultOf(opened.ours.read()), b"one two three")

    def test_oneByte(self) -> None:
        """
        One byte is written and read like any number; at the end there is none.
        """
        for opened in self.bothRoles():
            for byte in range(256):
                self.successResultOf(opened.theirs.write(bytes([byte])))
            opened.theirs.shutdown()
            opened.flush()
            for byte in range(256):
                self.assertEqual(self.successResultOf(opened.ours.read(1)), bytes([byte]))
            self.assertEqual(self.successResultOf(opened.ours.read(1)), b"")

    def test_tickets(self) -> None:
        """
        Tickets, which a server sends behind the handshake in TLS 1.3, are
        nothing to read.
        """
        pair = StreamPair()
        pair.authenticate(self.version, flush=False)
        while not pair.client.isAuthenticated:
            self.assertTrue(pair.wire.step())
        sent = len(pair.wire.server.everWritten)
        reading = pair.client.read()
        pair.wire.flush()
        hasTickets = len(pair.wire.server.everWritten) > sent
        self.assertIs(hasTickets, self.version is SslProtocols.Tls13)
        self.assertNoResult(reading)
        self.successResultOf(pair.server.write(b"data"))
        pair.wire.flush()
        self.assertEqual(self.successResultOf(reading), b"data")

    def test_recordSize(self) -> None:
        """
        Records are as large as they may be, 16,384 bytes of data, and the inner
        transport gets four in one write.
        """
        for opened in self.bothRoles():
            written: list[bytes] = []
            self.patch(opened.ourTransport, "write", written.append)
            self.successResultOf(opened.ours.write(bytes(123_456)))
            sizes = []
            for each in written:
                boundary = RecordBoundary()
                for start, end in boundary.contents(each):
                    if end > start:
                        self.assertEqual(boundary.header[0], APPLICATION_DATA)
                        sizes.append(end - start)
                self.assertFalse(boundary.isInside)
            # An explicit nonce and a tag, or the type and a tag.
            overhead = 8 + 16 if self.version is SslProtocols.Tls12 else 1 + 16
            rest = 123_456 - 7 * 16_384
            self.assertEqual(sizes, [16_384 + overhead] * 7 + [rest + overhead])
            self.assertEqual(len(written), 2)
            self.assertEqual(sum(map(len, written)), sum(sizes) + 8 * HEADER_SIZE)


@perVersion(segments=(0,))
class ResumptionTests(StreamMixin):
    """
    What goes on with an earlier session.
    """

    def test_address(self) -> None:
        """
        A server that is known by its address is as good as one with a name.
        """
        # The session of one that is garbage does not go on.
        pairs = []
        for keepsSessions in (False, True):
            pair = StreamPair(keepsSessions=keepsSessions)
            pairs.append(pair)
            for side in pair.authenticate(self.version, {"targetHost": "127.0.0.1"}):
                self.successResultOf(side)
        resumed = [(pair.client.isResumed, pair.server.isResumed) for pair in pairs]
        self.assertEqual(resumed, [(False, False), (True, True)])


@perVersion(segments=(0,))
class LateCertificateTests(StreamMixin):
    """
    C{negotiateClientCertificateAsync}.
    """

    #: A client that can be asked, in either version.
    WILLING: Mapping[str, Any] = MappingProxyType(
        {"clientCertificates": [CLIENT], "allowRenegotiation": True}
    )

    def test_shown(self) -> None:
        """
        A server gets in mid-conversation what the client has to show, once, and
        meanwhile nothing can be read or written.
        """
        opened = self.opened(True, theirs=dict(self.WILLING))
        server = opened.ours
        self.assertIsNone(server.remoteCertificate)
        asked = server.negotiateClientCertificateAsync()
        self.failure(server.read(), NotSupportedError)
        self.failure(server.write(b"x"), NotSupportedError)
        opened.flush()
        self.assertIsNone(self.successResultOf(asked))
        self.assertEqual(server.remoteCertificate, CLIENT.certificate)
        self.assertTrue(server.isMutuallyAuthenticated)
        self.failure(server.negotiateClientCertificateAsync(), InvalidOperationError)
        self.assertUsable(opened)

    def test_nothing(self) -> None:
        """
        A client may show nothing if a callback accepts that, and is not asked
        again.
        """
        nobody = SslPolicyErrors.RemoteCertificateNotAvailable
        for isJudged in (True, False):
            found: list[SslPolicyErrors] = []

            def judge(*arguments: Any, found: list[SslPolicyErrors] = found) -> bool:
                found.append(arguments[3])
                return True

            opened = self.opened(
                True,
                ours={"remoteCertificateValidationCallback": judge} if isJudged else {},
                theirs={
                    "localCertificateSelectionCallback": lambda *_: None,
                    "allowRenegotiation": True,
                },
            )
            server = opened.ours
            asked = server.negotiateClientCertificateAsync()
            opened.flush()
            if isJudged:
                self.assertIsNone(self.successResultOf(asked))
                self.assertEqual(found, [SslPolicyErrors.None_, nobody])
                self.assertIsNone(server.remoteCertificate)
                self.failure(server.negotiateClientCertificateAsync(), InvalidOperationError)
                self.assertUsable(opened)
            else:
                error = self.failure(asked, AuthenticationError)
                self.assertEqual(error.sslPolicyErrors, nobody)

    def test_refused(self) -> None:
        """
        It is for authenticated servers that know of no certificate, have nothing
        unread, and neither read nor write.
        """
        invalid, unsupported = InvalidOperationError, NotSupportedError
        early = StreamPair().server
        self.failure(early.negotiateClientCertificateAsync(), invalid)
        client = self.opened(False, ours=dict(self.WILLING)).ours
        error = self.failure(client.negotiateClientCertificateAsync(), invalid)
        self.assertIn("only a server", str(error))
        known = self.opened(
            True, ours={"clientCertificateRequired": True}, theirs=dict(self.WILLING)
        )
        self.failure(known.ours.negotiateClientCertificateAsync(), invalid)
        opened = self.opened(True, theirs=dict(self.WILLING))
        self.successResultOf(opened.theirs.write(b"unread"))
        opened.flush()
        self.failure(opened.ours.negotiateClientCertificateAsync(), invalid)
        self.assertEqual(self.successResultOf(opened.ours.read()), b"unread")
        reading = opened.ours.read()
        self.failure(opened.ours.negotiateClientCertificateAsync(), unsupported)
        reading.cancel()
        self.failure(reading, CancelledError)
        opened.theirTransport.isPaused = True
        writing = opened.ours.write(bytes(1 << 20))
        self.failure(opened.ours.negotiateClientCertificateAsync(), unsupported)
        opened.theirTransport.isPaused = False
        received = opened.theirs.readExactly(1 << 20)
        opened.flush()
        self.successResultOf(writing)
        self.successResultOf(received)
        self.assertUsable(opened)
