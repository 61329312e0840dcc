"""
The rules of the house, read from the sources: what may import what, how large a
room is, and what is public.

Every rule is a function from sources to complaints.  The package gives none;
beside each rule is a source that does.
"""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txsslstream
from txsslstream import ISslStream

ROOT = Path(__file__).parent.parent
PACKAGE = "txsslstream"

#: Who lives on which floor; dependencies point down.
FLOORS: tuple[tuple[str, ...], ...] = (
    # Vocabulary and readers of bytes.
    (
        "enums",
        "errors",
        "states",
        "ciphersuites",
        "algorithms",
        "codepoints",
        "records",
        "vectors",
        "plaintext",
        "proxyheader",
        "serverflight",
        "certificatemessages",
        "interfaces",
    ),
    # Values.
    (
        "certificates",
        "storefiles",
        "finding",
        "stores",
        "policy",
        "trust",
        "parameters",
        "names",
        "servernames",
        "clienthello",
        "suitability",
        "crossing",
        "certificatefacts",
    ),
    # What is to be thought of a chain, without asking anybody.
    (
        "selection",
        "nameconstraints",
        "certificatepolicies",
        "chainchecks",
        "paths",
        "knownpaths",
        "revocationdata",
    ),
    # The fence, and what can wait.
    ("_openssl", "_waiting", "_deferreds"),
    # Options, findings, verdicts.
    (
        "retrieval",
        "_cache",
        "_fetching",
        "sources",
        "issuers",
        "options",
        "_negotiation",
        "revocation",
        "stapling",
        "chain",
        "security",
        "channelbinding",
        "inspectable",
        "judgement",
        "hello",
        "failures",
        "_deadline",
        "sessions",
        "resumption",
        "metrics",
        "outcome",
        "authentication",
        "reauthentication",
    ),
    # The protocol and the stream.
    (
        "_transports",
        "_processes",
        "_slots",
        "_inner",
        "_gathering",
        "_trimming",
        "_traffic",
        "_patience",
        "_unwrapping",
        "inspection",
        "asking",
        "admission",
        "protocol",
        "_sides",
        "_readwrite",
        "_arguments",
        "stream",
        "starttls",
    ),
    (
        "_proxied",
        "endpoints",
        "prometheus",
        "_filewatch",
        "reload",
        "certdir",
        "_parsers",
        "access",
        "_forwarding",
        "forward",
    ),
    # Programs.
    (
        "echo",
        "devcert",
        "_workers",
        "_attended",
        "_tap",
        "_usage",
        "_serve",
        "_dialogues",
        "_probe",
        "_report",
        "inspect",
        "__main__",
    ),
    # Used by nobody here: users import it themselves, or do without.
    ("insecure",),
    # For users' tests.
    (
        "testing.encoding",
        "testing.issuing",
        "testing.damage",
        "testing.revocations",
        "testing.web",
        "testing.files",
        "testing.authority",
        "testing.outcomes",
        "testing.cases",
        "testing.wire",
        "testing.streams",
        "testing.endpoints",
        "testing.applications",
        "testing.messages",
        "testing.peers",
        "testing.foreign",
        "testing.wires",
        "testing.sockets",
        "testing.conforming",
        "testing.authenticating",
        "testing.interrupting",
        "testing.transferring",
        "testing.pushing",
        "testing.ending",
        "testing.truncating",
        "testing.leaving",
        "testing.conformance",
        "testing",
    ),
    # The names of all.
    ("__init__",),
)
LAYERS: Mapping[str, int] = {name: number for number, floor in enumerate(FLOORS) for name in floor}

#: The lowest floor on which Twisted is at home, and what may be used below.
TWISTED_FLOOR = 4
TWISTED_BELOW: Mapping[str, frozenset[str]] = {
    # Our errors are subclasses of Twisted's, as the contract says.
    "errors": frozenset(
        {
            "twisted.internet.defer.CancelledError",
            "twisted.internet.error.ConnectionLost",
            "twisted.internet.error.TimeoutError",
        }
    ),
    # A password may come by a callback, which may answer with a Deferred.
    "certificates": frozenset(
        {"twisted.internet.defer.maybeDeferred", "twisted.python.failure.Failure"}
    ),
    # In annotations.
    "interfaces": frozenset({"twisted.internet.defer.Deferred"}),
    # A C callback has nobody else to tell.
    "_openssl": frozenset({"twisted.logger.Logger"}),
    # Is about nothing else.
    "_deferreds": frozenset(
        {
            "twisted.internet.defer.Deferred",
            "twisted.internet.defer.fail",
            "twisted.internet.defer.succeed",
            "twisted.logger.Logger",
            "twisted.python.failure.Failure",
        }
    ),
}

#: The only module that knows OpenSSL, and what else would know it.
FENCE = "_openssl"
PRIVATE_TO_FENCE = frozenset({"_ssl", "_from_ssl", "_into_ssl", "_lib", "_ffi"})

#: What is an extra, and the only module that knows it; nothing imports that.
EXTRAS: Mapping[str, str] = {"prometheus": "prometheus_client"}

#: What is for users' tests; nothing else imports that, and it imports none of
#: the runners that it is used with.
TESTING = "testing"
RUNNERS = ("pytest", "pytest_twisted", "twisted.trial", "unittest")

#: Lines of code in a room, and the rooms that may be larger.
ROOM_SIZE = 400
LARGER: Mapping[str, int] = {
    # One fence: two would be a hole.
    "_openssl": 900,
    # A table of more than 300 suites.
    "ciphersuites": 500,
}

#: What plugins may import at once: every program that looks for any does.
PLUGIN_IMPORTS = frozenset(
    {
        "twisted.application.service.ServiceMaker",
        "twisted.internet.interfaces.IStreamClientEndpointStringParserWithReactor",
        "twisted.internet.interfaces.IStreamServerEndpointStringParser",
        "twisted.plugin.IPlugin",
        "typing.Any",
        "zope.interface.implementer",
    }
)

#: The contract.  A new name is added here by intention only.
PUBLIC = [
    "AuthenticationError",
    "CertificateDirectory",
    "CertificateError",
    "ChannelBinding",
    "ChannelBindingKind",
    "CipherAlgorithmType",
    "CipherSuitesPolicy",
    "EncryptionPolicy",
    "ExchangeAlgorithmType",
    "HandshakeCancelled",
    "HandshakeFailureReason",
    "HandshakeInterrupted",
    "HandshakeLimit",
    "HandshakeTimeout",
    "HashAlgorithmType",
    "HttpRetriever",
    "IAdmissionObserver",
    "IHandshakeObserver",
    "IRetriever",
    "ISslStream",
    "IncompleteReadError",
    "InvalidOperationError",
    "LimitExceededError",
    "NotSupportedError",
    "ReadTimeout",
    "ReloadingCertificate",
    "RetrievalError",
    "SecurityInfo",
    "ServerNames",
    "ServerOptionsSelection",
    "ShutdownTimeout",
    "SslApplicationProtocol",
    "SslCertificateTrust",
    "SslClientAuthenticationOptions",
    "SslClientHelloInfo",
    "SslPolicyErrors",
    "SslProtocols",
    "SslServerAuthenticationOptions",
    "SslStream",
    "SslStreamCertificateContext",
    "SslStreamClientEndpoint",
    "SslStreamFactory",
    "SslStreamMetrics",
    "SslStreamProtocol",
    "SslStreamServerEndpoint",
    "StartTLSFactory",
    "StoreLocation",
    "StoreName",
    "StreamClosedError",
    "TlsAlert",
    "TlsCipherSuite",
    "TlsError",
    "TransportContext",
    "TruncationError",
    "WriteTimeout",
    "X509CertificateCollection",
    "X509Chain",
    "X509ChainElement",
    "X509ChainPolicy",
    "X509ChainStatus",
    "X509ChainStatusFlags",
    "X509ChainTrustMode",
    "X509FindType",
    "X509RevocationFlag",
    "X509RevocationMode",
    "X509Store",
    "X509VerificationFlags",
    "certificateMatchesHost",
    "startTLS",
]


@dataclass(frozen=True)
class Import:
    """
    One imported thing.

    @ivar target: where it comes from, dotted, with its name.
    @ivar isAtOnce: whether importing the module imports it.
    """

    target: str
    isAtOnce: bool

    def isFrom(self, place: str) -> bool:
        """
        Whether it is that package, module or name, or comes from it.
        """
        return f"{self.target}.".startswith(f"{place}.")


_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """
    A module's source.
    """

    name: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        """
        The source, parsed.
        """
        return ast.parse(self.source)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """
        All it imports, wherever it does so.
        """
        path = [PACKAGE, *self.name.split(".")]
        return tuple(_importsOf(self.tree, True, path if self.isPackage else path[:-1]))

    @property
    def isPackage(self) -> bool:
        """
        Whether there are modules in it.
        """
        return any(name.startswith(f"{self.name}.") for name in LAYERS)

    @property
    def isForTests(self) -> bool:
        """
        Whether it is for users' tests.
        """
        return self.name.partition(".")[0] == TESTING

    @property
    def neighbors(self) -> set[str]:
        """
        The modules of the package that it imports.
        """
        inside = [each.target.split(".")[1:] for each in self.imports if each.isFrom(PACKAGE)]
        return {_moduleIn(path) for path in inside}

    @property
    def linesOfCode(self) -> int:
        """
        How many lines are neither blank nor comment nor docstring.
        """
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.source).readline):
            if token.type not in _NO_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Module, _Definition)) and ast.get_docstring(node) is not None:
                docstring = node.body[0]
                lines.difference_update(
                    range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1)
                )
        return len(lines)


_NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)


def _moduleIn(path: list[str]) -> str:
    """
    The module that a name is in, by its path within the package.
    """
    for length in range(len(path), 0, -1):
        name = ".".join(path[:length])
        if name in LAYERS:
            return name
    # What is no module is a name of the package itself.
    return "__init__"


def _importsOf(node: ast.AST, isAtOnce: bool, package: list[str]) -> Iterator[Import]:
    """
    @param package: what relative imports are relative to.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(each.name, isAtOnce) for each in child.names)
        elif isinstance(child, ast.ImportFrom):
            start = package[: len(package) - child.level + 1] if child.level else []
            place = ".".join([*start, child.module or ""]).rstrip(".")
            yield from (Import(f"{place}.{each.name}", isAtOnce) for each in child.names)
        isFunction = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from _importsOf(child, isAtOnce and not isFunction, package)


def package() -> list[Module]:
    """
    The modules of the package.
    """
    return [*modulesIn(ROOT / PACKAGE), *modulesIn(ROOT / PACKAGE / TESTING, TESTING)]


def modulesIn(folder: Path, package: str = "") -> list[Module]:
    """
    The modules in a folder.

    @param package: what it is within ours.
    """

    def nameOf(stem: str) -> str:
        if not package:
            return stem
        return package if stem == "__init__" else f"{package}.{stem}"

    return [
        Module(nameOf(path.stem), path.read_text("utf-8")) for path in sorted(folder.glob("*.py"))
    ]


# The rules.


def unplaced(modules: Iterable[Module]) -> list[str]:
    """
    Every module has its floor, and no floor has rooms that are gone.
    """
    return [
        f"{name} has no floor, or is gone"
        for name in sorted({module.name for module in modules} ^ set(LAYERS))
    ]


def upward(modules: Iterable[Module]) -> list[str]:
    """
    No module imports from a floor above.
    """
    return [
        f"{module.name} imports {neighbor} from above"
        for module in modules
        for neighbor in sorted(module.neighbors)
        if LAYERS[neighbor] > LAYERS[module.name]
    ]


def circular(modules: Iterable[Module]) -> list[str]:
    """
    No module imports itself, by whatever way.
    """
    graph = {module.name: module.neighbors for module in modules}

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        ahead = list(graph[name])
        while ahead:
            each = ahead.pop()
            if each not in found:
                found.add(each)
                ahead += graph.get(each, ())
        return found

    return [f"{name} imports itself in the end" for name in graph if name in reached(name)]


def unfenced(modules: Iterable[Module]) -> list[str]:
    """
    Only the fence knows OpenSSL.
    """
    complaints = []
    for module in modules:
        if module.name != FENCE:
            complaints += [
                f"{module.name} imports {each.target}"
                for each in module.imports
                if each.isFrom("OpenSSL")
            ]
            complaints += [
                f"{module.name} reaches for {node.attr}"
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Attribute) and node.attr in PRIVATE_TO_FENCE
            ]
    return complaints


def twistedTooLow(modules: Iterable[Module]) -> list[str]:
    """
    The lower floors do without Twisted, but for named exceptions.
    """
    return [
        f"{module.name} imports {each.target}"
        for module in modules
        if LAYERS[module.name] < TWISTED_FLOOR
        for each in module.imports
        if each.isFrom("twisted") and each.target not in TWISTED_BELOW.get(module.name, ())
    ]


def reactorAtOnce(modules: Iterable[Module]) -> list[str]:
    """
    Importing a module installs no reactor.
    """
    return [
        f"{module.name} imports the reactor"
        for module in modules
        if any(each.isAtOnce and each.isFrom("twisted.internet.reactor") for each in module.imports)
    ]


def unasked(modules: Iterable[Module]) -> list[str]:
    """
    Nobody gets an extra who has not asked for it.
    """
    return [
        f"{module.name} imports {each.target}"
        for module in modules
        for name, package in EXTRAS.items()
        for each in module.imports
        if each.isFrom(f"{PACKAGE}.{name}") or (each.isFrom(package) and module.name != name)
    ]


def outsideTests(modules: Iterable[Module]) -> list[str]:
    """
    What is for tests is used by nothing else, and is for every runner of tests.
    """
    return [
        f"{module.name} imports {each.target}"
        for module in modules
        for each in module.imports
        if (
            each.isAtOnce and any(map(each.isFrom, RUNNERS))
            if module.isForTests
            else each.isFrom(f"{PACKAGE}.{TESTING}")
        )
    ]


def tooLarge(modules: Iterable[Module]) -> list[str]:
    """
    No room outgrows its size.
    """
    return [
        f"{module.name} has {module.linesOfCode} lines of code"
        for module in modules
        if module.linesOfCode > LARGER.get(module.name, ROOM_SIZE)
    ]


def undocumented(modules: Iterable[Module]) -> list[str]:
    """
    Everything public says what it is; the properties of L{ISslStream} say it
    there.
    """

    def missing(scope: ast.Module | ast.ClassDef, path: str) -> Iterator[str]:
        if ast.get_docstring(scope) is None:
            yield f"{path} has no docstring"
        for node in scope.body:
            if not isinstance(node, _Definition) or node.name.startswith("_"):
                continue
            if "overload" in [ast.unparse(each) for each in node.decorator_list]:
                continue
            if isinstance(node, ast.ClassDef):
                yield from missing(node, f"{path}.{node.name}")
            elif not isExplained(node):
                yield f"{path}.{node.name} has no docstring"

    def isExplained(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        decorators = [ast.unparse(each) for each in node.decorator_list]
        return (
            ast.get_docstring(node) is not None
            or f"{node.name}.setter" in decorators
            or (node.name in documented and "property" in decorators)
        )

    documented = set(ISslStream.names())
    return [each for module in modules for each in missing(module.tree, module.name)]


def heavyPlugins(modules: Iterable[Module]) -> list[str]:
    """
    A plugin imports next to nothing before it is used.
    """
    return [
        f"{module.name} imports {each.target}"
        for module in modules
        for each in module.imports
        if each.isAtOnce and each.target not in PLUGIN_IMPORTS
    ]


_Rule = Callable[[Iterable[Module]], list[str]]


class HouseTests(SynchronousTestCase):
    """
    The package obeys each rule, and a source that does not is found out.
    """

    def check(self, rule: _Rule, *offenses: tuple[str, str, list[str]]) -> None:
        """
        @param offenses: names and sources of modules, and what is said of them.
        """
        self.assertEqual(rule(package()), [])
        for name, source, complaints in offenses:
            self.assertEqual(rule([Module(name, textwrap.dedent(source))]), complaints, source)

    def test_floors(self) -> None:
        """
        The table of floors has every module, and no other.
        """
        self.check(unplaced)
        self.assertEqual(
            unplaced([*package(), Module("shed", "")]), ["shed has no floor, or is gone"]
        )
        self.assertEqual(unplaced(package()[1:]), ["__init__ has no floor, or is gone"])

    def test_downward(self) -> None:
        """
        No import points upward, in whichever form and wherever it is written.
        """
        said = ["enums imports stream from above"]
        self.check(
            upward,
            ("enums", "from .stream import SslStream", said),
            ("enums", "from . import stream", said),
            ("enums", "import txsslstream.stream", said),
            ("enums", "from txsslstream.stream import SslStream", said),
            ("enums", "def f():\n    from .stream import SslStream", said),
            ("enums", "if TYPE_CHECKING:\n    from .stream import SslStream", said),
            ("echo", "from . import SslStream", ["echo imports __init__ from above"]),
            ("echo", "import txsslstream", ["echo imports __init__ from above"]),
            ("stream", "from .enums import SslProtocols", []),
        )

    def test_noCycles(self) -> None:
        """
        No module imports itself by way of its neighbors.
        """
        self.check(
            circular,
            ("stream", "from .stream import SslStream", ["stream imports itself in the end"]),
        )
        ring = [("trust", "names"), ("names", "parameters"), ("parameters", "trust")]
        modules = [Module(one, f"from . import {other}") for one, other in ring]
        self.assertEqual(
            circular([*modules, Module("options", "from . import trust")]),
            [f"{one} imports itself in the end" for one, _ in ring],
        )

    def test_fence(self) -> None:
        """
        Only one module imports OpenSSL or reaches into pyOpenSSL's objects.
        """
        self.check(
            unfenced,
            ("security", "import OpenSSL", ["security imports OpenSSL"]),
            ("security", "from OpenSSL import SSL", ["security imports OpenSSL.SSL"]),
            (
                "security",
                "def f():\n    from OpenSSL._util import lib",
                ["security imports OpenSSL._util.lib"],
            ),
            ("security", "connection._ssl", ["security reaches for _ssl"]),
            (FENCE, "from OpenSSL._util import lib", []),
        )

    def test_twistedAbove(self) -> None:
        """
        Below options Twisted is not imported, except for what is named here.
        """
        self.check(
            twistedTooLow,
            (
                "names",
                "from twisted.python.failure import Failure",
                ["names imports twisted.python.failure.Failure"],
            ),
            ("errors", "import twisted", ["errors imports twisted"]),
            (
                "errors",
                "from twisted.internet.error import ConnectionDone",
                ["errors imports twisted.internet.error.ConnectionDone"],
            ),
            ("errors", "from twisted.internet.error import ConnectionLost", []),
            ("options", "import twisted", []),
        )

    def test_exceptionsAreNeeded(self) -> None:
        """
        What is excepted from the rule about Twisted is imported, and the rooms
        that may be larger are.
        """
        modules = {module.name: module for module in package()}
        for name, targets in TWISTED_BELOW.items():
            imported = {each.target for each in modules[name].imports}
            self.assertEqual(targets - imported, set(), name)
        for name in LARGER:
            self.assertGreater(modules[name].linesOfCode, ROOM_SIZE)

    def test_noReactorAtOnce(self) -> None:
        """
        No module installs the reactor by being imported.
        """
        said = ["stream imports the reactor"]
        self.check(
            reactorAtOnce,
            ("stream", "from twisted.internet import reactor", said),
            ("stream", "import twisted.internet.reactor", said),
            ("stream", "class A:\n    from twisted.internet import reactor as clock", said),
            ("stream", "try:\n    from twisted.internet import reactor\nfinally:\n    pass", said),
            ("stream", "def f():\n    from twisted.internet import reactor", []),
            ("stream", "async def f():\n    from twisted.internet import reactor", []),
        )

    def test_extras(self) -> None:
        """
        What is an extra is known to one module each, which no other imports.
        """
        self.check(
            unasked,
            (
                "metrics",
                "def f():\n    from prometheus_client import Counter",
                ["metrics imports prometheus_client.Counter"],
            ),
            ("metrics", "import prometheus_client", ["metrics imports prometheus_client"]),
            (
                "__init__",
                "from .prometheus import PrometheusObserver",
                ["__init__ imports txsslstream.prometheus.PrometheusObserver"],
            ),
            ("__init__", "from . import prometheus", ["__init__ imports txsslstream.prometheus"]),
            ("prometheus", "from prometheus_client import Counter", []),
        )

    def test_testing(self) -> None:
        """
        What is for users' tests is imported by nothing else, and imports no
        runner of tests before it has to.
        """
        self.check(
            outsideTests,
            ("stream", "from .testing import Wire", ["stream imports txsslstream.testing.Wire"]),
            (
                "__init__",
                "def f():\n    from .testing.wire import Wire",
                ["__init__ imports txsslstream.testing.wire.Wire"],
            ),
            ("testing.cases", "import pytest", ["testing.cases imports pytest"]),
            (
                "testing.cases",
                "from twisted.trial import unittest",
                ["testing.cases imports twisted.trial.unittest"],
            ),
            ("testing.cases", "def f():\n    from twisted.trial import unittest", []),
            ("testing.cases", "from .wire import Wire", []),
        )

    def test_relativeImports(self) -> None:
        """
        An import is understood relative to the package that it is in.
        """
        for name, source, neighbors in (
            ("testing.wire", "from ..stream import SslStream", {"stream"}),
            ("testing.wire", "from .. import stream", {"stream"}),
            ("testing.wire", "from . import cases", {"testing.cases"}),
            ("testing.wire", "from .cases import perVersion", {"testing.cases"}),
            ("testing", "from .cases import perVersion", {"testing.cases"}),
            ("testing", "from ..stream import SslStream", {"stream"}),
            ("testing.wire", "from . import Wire", {"testing"}),
            ("testing.wire", "from .. import SslStream", {"__init__"}),
            ("stream", "from .enums import SslProtocols", {"enums"}),
        ):
            self.assertEqual(Module(name, source).neighbors, neighbors, source)

    def test_size(self) -> None:
        """
        A room has 400 lines of code at most, not counting what explains them.
        """
        self.check(
            tooLarge,
            ("names", "a = 1\n" * 401, ["names has 401 lines of code"]),
            ("names", "a = 1\n" * 400, []),
            ("names", "a = 1\n" * 400 + '"""\nNo docstring.\n"""', ["names has 403 lines of code"]),
            (
                "names",
                '"""\nA docstring.\n"""\n# A comment.\n\n' + "a = 1\n" * 400,
                [],
            ),
            ("_openssl", "a = 1\n" * 901, ["_openssl has 901 lines of code"]),
        )

    def test_documented(self) -> None:
        """
        Whatever is public has a docstring, or one in the interface.
        """
        self.check(
            undocumented,
            ("names", "", ["names has no docstring"]),
            ("names", '"A"\ndef f(): pass', ["names.f has no docstring"]),
            ("names", '"A"\nasync def f(): pass', ["names.f has no docstring"]),
            ("names", '"A"\nclass C: pass', ["names.C has no docstring"]),
            (
                "names",
                """
                "A"
                class C:
                    "B"
                    def f(self): pass
                    @property
                    def isServer(self): pass
                    @property
                    def other(self): pass
                    def isSigned(self): pass
                    @property
                    def timeout(self):
                        "D"
                    @timeout.setter
                    def timeout(self, seconds): pass
                    def _private(self): pass
                class _Private:
                    def f(self): pass
                """,
                [f"names.C.{name} has no docstring" for name in ("f", "other", "isSigned")],
            ),
        )

    def test_plugins(self) -> None:
        """
        The plugin modules import no more than they need for being found, and
        C{twisted.plugins} stays a package that everybody may add to.
        """
        folder = ROOT / "twisted" / "plugins"
        plugins = modulesIn(folder)
        self.assertEqual([plugin.name for plugin in plugins], ["txsslstream_dropin"])
        self.assertEqual(heavyPlugins(plugins), [])
        self.assertFalse((folder.parent / "__init__.py").exists())
        self.assertEqual(
            heavyPlugins([Module("plugin", "import txsslstream\nfrom OpenSSL import SSL")]),
            ["plugin imports txsslstream", "plugin imports OpenSSL.SSL"],
        )
        self.assertEqual(heavyPlugins([Module("plugin", "def f():\n    import txsslstream")]), [])

    def test_publicNames(self) -> None:
        """
        The package exports the names of the contract, sorted, and each is
        there.
        """
        self.assertEqual(txsslstream.__all__, PUBLIC)
        self.assertEqual(PUBLIC, sorted(set(PUBLIC)))
        missing = object()
        for name in PUBLIC:
            self.assertIsNot(getattr(txsslstream, name, missing), missing, name)
