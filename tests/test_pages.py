"""
Tests for the pages of the documentation as a whole: every piece of Python on them
is run, every name is in the reference, what is drawn and counted is so.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import os
import re
import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from xml.etree import ElementTree

import twisted.internet
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint, clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

import txsslstream
from txsslstream import (
    AuthenticationError,
    ChannelBindingKind,
    RetrievalError,
    SslClientAuthenticationOptions,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    SslStreamClientEndpoint,
    SslStreamProtocol,
    SslStreamServerEndpoint,
    TlsAlert,
    X509ChainPolicy,
    X509ChainTrustMode,
    X509RevocationMode,
    _cache,
    _openssl,
    _proxied,
    certificatefacts,
    chainchecks,
    issuers,
    judgement,
    nameconstraints,
    names,
    paths,
    retrieval,
    revocationdata,
    sources,
    stapling,
    states,
    storefiles,
)
from txsslstream._inner import InnerStream
from txsslstream._sides import Reader
from txsslstream.asking import MOST_IDLE_MESSAGES
from txsslstream.authentication import Authentication
from txsslstream.ciphersuites import TlsCipherSuite, propertiesOf
from txsslstream.clienthello import ClientHelloReader, SslClientHelloInfo
from txsslstream.enums import CipherAlgorithmType
from txsslstream.reauthentication import Reauthentication
from txsslstream.serverflight import ServerFlight
from txsslstream.sessions import SessionCache
from txsslstream.testing import (
    Authority,
    MemoryEndpoint,
    MisbehavingPeer,
    StreamPair,
    certificatePEM,
    keyPEM,
    pfx,
)

from .interop._pages import programs
from .programs import ROOT, temporaryDirectory
from .support import AUTHORITY, CLIENT, SERVER, clientOptions, serverOptions
from .test_architecture import FLOORS
from .test_docs import rowsOf
from .test_examples import EXAMPLES, examples, filesOf

DOCS = ROOT / "docs"

#: What runs a piece of Python that is not one of an example's files: by the page
#: and the line with which the piece begins.
RUN: Mapping[str, Mapping[str, str]] = {
    "binding.md": {
        "from txsslstream import ChannelBindingKind,": "FragmentTests.test_binding",
        "key = stream.exportKeyingMaterial(": "FragmentTests.test_exported",
        "from txsslstream.insecure import": "FragmentTests.test_keyLog",
    },
    "certificates.md": {
        "from txsslstream import SslStreamCertificateContext": "FragmentTests.test_files",
        "def password(path):": "FragmentTests.test_password",
        "from twisted.internet import reactor": "FragmentTests.test_reloading",
        "signal.signal(signal.SIGHUP,": "FragmentTests.test_signal",
        "from txsslstream import CertificateDirectory,": "FragmentTests.test_directory",
    },
    "endpoints.md": {
        "from twisted.internet.endpoints import clientFromString": "FragmentTests.test_string",
        "from twisted.internet.endpoints import HostnameEndpoint,": (
            "tests.test_docs.EndpointsTests.test_agent"
        ),
    },
    "hello.md": {
        "from txsslstream import ReloadingCertificate, ServerNames,": "FragmentTests.test_names",
        "async def choose(stream, hello, state):": "FragmentTests.test_choose",
    },
    "inplace.md": {"transport, trailing = await stream.unwrap()": "FragmentTests.test_unwrap"},
    "metrics.md": {
        "from prometheus_client.twisted": "tests.test_docs.MetricsTests.test_prometheus",
        "from txsslstream import SslProtocols,": "tests.test_docs.MetricsTests.test_counting",
        "from twisted.logger import Logger": "tests.test_docs.MetricsTests.test_observer",
    },
    "options.md": {"from txsslstream import (": "FragmentTests.test_options"},
    "porting.md": {
        "from txsslstream import SslStream, SslPolicyErrors": (
            "tests.test_dotnet.TableTests.test_example"
        )
    },
    "reauthentication.md": {
        "from twisted.internet": "tests.test_docs.ReauthenticationTests.test_example"
    },
    "security.md": {"from txsslstream import HandshakeLimit,": "FragmentTests.test_limit"},
    "speed.md": {"from txsslstream import SslStreamProtocol": "FragmentTests.test_notDirectly"},
    "testing.md": {
        "from txsslstream.testing import connectedStreams,": (
            "tests.test_testing_examples.PageTests.test_programs"
        ),
        "from txsslstream.testing import Authority, Flaw,": (
            "tests.test_testing_examples.PageTests.test_programs"
        ),
        "from twisted.internet.error import ConnectionLost": (
            "tests.test_testing_examples.PageTests.test_programs"
        ),
    },
    "trust.md": {
        "async def isWelcome(stream, certificate, chain, sslPolicyErrors):\n    if not": (
            "FragmentTests.test_findings"
        ),
        "from txsslstream import X509Chain,": "FragmentTests.test_chain",
        "async def isWelcome(stream, certificate, chain, sslPolicyErrors):\n    chain.": (
            "FragmentTests.test_rebuilt"
        ),
        "from txsslstream import HttpRetriever,": "FragmentTests.test_permits",
    },
}


def pagesOf(root: Path) -> list[Path]:
    """
    @return: the README and the documentation.
    """
    docs = root / "docs"
    return [root / "README.md", *sorted(set(docs.rglob("*.md")) - set(docs.glob("examples/**/*")))]


def blocksOf(page: Path) -> list[str]:
    """
    @return: the pieces of Python on a page.
    """
    found = re.findall(
        r"^( *)```python[^\n]*\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
    return [textwrap.dedent(block) for _, block in found]


@cache
def exampleTexts() -> tuple[list[str], ...]:
    """
    @return: the lines of each example's Python.
    """
    return tuple(
        path.read_text().splitlines()
        for example in examples()
        for path in filesOf(example)
        if path.suffix in (".py", ".tac")
    )


def isExample(block: str) -> bool:
    """
    @return: whether whole lines of an example that follow each other, indentation
        aside, are this.
    """
    wanted = block.splitlines()
    first = wanted[0]
    for lines in exampleTexts():
        for start, line in enumerate(lines):
            if line.strip() != first.strip():
                continue
            part = textwrap.dedent("\n".join(lines[start : start + len(wanted)]))
            if part.splitlines() == wanted:
                return True
    return False


class BlockTests(SynchronousTestCase):
    """
    Every piece of Python on every page is run by some test.
    """

    def unrun(self, page: Path) -> list[str]:
        """
        @return: the first lines of those on a page that are not.
        """
        known = RUN.get(page.name, {}) if page.parent == DOCS else {}
        program = set(programs(page.name).values()) if page.name == "inplace.md" else set()
        return [
            block.splitlines()[0]
            for block in blocksOf(page)
            if not isExample(block)
            and block not in program
            and not any(block.startswith(start) for start in known)
        ]

    def test_everything(self) -> None:
        """
        They are lines of an example's file, or are registered.
        """
        for page in pagesOf(ROOT):
            self.assertEqual(self.unrun(page), [], page.name)

    def test_unrun(self) -> None:
        """
        One that is changed by a letter, or is not whole lines, is found.
        """
        directory = temporaryDirectory(self)
        page = directory / "page.md"
        for block, found in (
            ("react(main)\n", []),
            ("react(main, 1)\n", ["react(main, 1)"]),
            ("react(main\n", ["react(main"]),
            ("react(main)\n\nreact(main)\n", ["react(main)"]),
        ):
            page.write_text(f"# Title\n\n```python\n{block}```\n")
            self.assertEqual(self.unrun(page), found)
            nested = textwrap.indent(f"```python\n{block}```\n", "  ")
            page.write_text(f"# Title\n\n- item\n\n{nested}")
            self.assertEqual(self.unrun(page), found)

    def test_registered(self) -> None:
        """
        What is registered is there, once, and the test that runs it as well.
        """
        for page, known in RUN.items():
            blocks = blocksOf(DOCS / page)
            for start, name in known.items():
                found = [block for block in blocks if block.startswith(start)]
                self.assertEqual(len(found), 1, f"{page}: {start}")
                where, _, method = (name if "tests." in name else f"{__name__}.{name}").rpartition(
                    "."
                )
                module, _, case = where.rpartition(".")
                self.assertTrue(
                    callable(getattr(getattr(importlib.import_module(module), case), method))
                )


class FragmentTests(SynchronousTestCase):
    """
    The pieces that are too small for a program.
    """

    def setUp(self) -> None:
        """
        Be where the files are that the pages name.
        """
        self.directory = temporaryDirectory(self)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        self.write("server.pem", certificatePEM(SERVER) + keyPEM(SERVER))
        self.write("fullchain.pem", certificatePEM(SERVER))
        self.write("privkey.pem", keyPEM(SERVER))
        self.write("roots.pem", certificatePEM(AUTHORITY.certificate))

    def write(self, name: str, data: bytes) -> None:
        """
        Write a file.
        """
        (self.directory / name).write_bytes(data)

    def test_limit(self) -> None:
        """
        An endpoint under a limit turns away who is one too many.
        """
        secured = self.run_("security.md", "test_limit")["secured"]
        memory = MemoryEndpoint()
        endpoint = secured(memory, serverOptions())
        self.successResultOf(endpoint.listen(Factory.forProtocol(Protocol)))
        # They have the same address, and say nothing.
        clients = [MisbehavingPeer.silent() for _ in range(21)]
        for client in clients:
            factory = Factory()
            factory.protocol = iter((client,)).__next__
            self.successResultOf(memory.connect(factory))
        memory.flush()
        gone = [each for each in clients if each.reason is not None]
        self.assertEqual(gone, clients[-1:])
        for client in clients[:-1]:
            client.transport.loseConnection()
        memory.flush()

    def run_(self, page: str, test: str, *replaced: str, **known: Any) -> dict[str, Any]:
        """
        Run what a test is registered for.

        @param replaced: what to put in the place of what.
        @param known: what there is already.
        @return: what there is then.
        """
        (start,) = [start for start, name in RUN[page].items() if name.endswith(f".{test}")]
        (block,) = [each for each in blocksOf(DOCS / page) if each.startswith(start)]
        if replaced:
            old, new = replaced
            self.assertIn(old, block)
            block = block.replace(old, new)
        code = compile(block, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, known)
        if inspect.iscoroutine(outcome):
            self.running = ensureDeferred(outcome)
        return known

    def opened(self, **arguments: Any) -> StreamPair:
        """
        @return: an authenticated pair.
        """
        pair = StreamPair(**arguments)
        for side in pair.authenticate():
            self.successResultOf(side)
        return pair

    def test_binding(self) -> None:
        """
        The strongest binding that there is, for SCRAM.
        """
        pair = self.opened()
        found = self.run_("binding.md", "test_binding", stream=pair.client)
        exporter = pair.server.transportContext.getChannelBinding(ChannelBindingKind.Exporter)
        assert exporter is not None
        self.assertEqual(found["channelBindingData"], b"p=tls-exporter,," + exporter)

    def test_exported(self) -> None:
        """
        Both ends get the same key.
        """
        pair = self.opened()
        one, other = (
            self.run_("binding.md", "test_exported", stream=each)["key"]
            for each in (pair.client, pair.server)
        )
        self.assertEqual(one, other)
        self.assertEqual(len(one), 32)

    def test_keyLog(self) -> None:
        """
        A file and a function are told the secrets of the options' connections.
        """
        self.patch(os, "environ", {})
        lines: list[bytes] = []
        path = self.directory / "keys.log"
        found = self.run_(
            "binding.md",
            "test_keyLog",
            "/home/me/keys.log",
            str(path),
            options=clientOptions(),
            lines=lines,
        )
        pair = StreamPair()
        server = pair.server.authenticateAsServer(serverOptions())
        client = pair.client.authenticateAsClient(found["options"])
        pair.wire.flush()
        self.successResultOf(client)
        self.successResultOf(server)
        self.assertEqual(len(lines), 5)

    def test_files(self) -> None:
        """
        Certificates are read from all kinds of files.
        """
        self.write("server.pfx", pfx(SERVER, b"password"))
        self.run_("certificates.md", "test_files")

    def test_password(self) -> None:
        """
        A password is asked for.
        """
        self.write("privkey.pem", keyPEM(SERVER, b"secret"))
        asked: list[str] = []

        def getpass(prompt: str) -> str:
            asked.append(prompt)
            return "secret"

        self.run_(
            "certificates.md",
            "test_password",
            getpass=SimpleNamespace(getpass=getpass),
            SslStreamCertificateContext=SslStreamCertificateContext,
        )
        self.assertEqual(asked, ["Password for privkey.pem: "])

    def test_reloading(self) -> None:
        """
        A certificate that follows its files.
        """
        self.assertIsNotNone(reactor)
        self.patch(twisted.internet, "reactor", MemoryReactorClock())
        found = self.run_("certificates.md", "test_reloading")
        self.assertEqual(found["certificate"].current, SERVER)
        self.assertIsInstance(found["options"], SslServerAuthenticationOptions)

    def test_signal(self) -> None:
        """
        A signal has it look at once.
        """
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        called: list[object] = []
        reload = object()
        self.run_(
            "certificates.md",
            "test_signal",
            signal=signal,
            reactor=SimpleNamespace(callFromThread=called.append),
            certificate=SimpleNamespace(reload=reload),
        )
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(called, [reload])

    def test_directory(self) -> None:
        """
        A directory of certificates.
        """
        self.write("www.pem", certificatePEM(SERVER) + keyPEM(SERVER))
        (self.directory / "sites").mkdir()
        self.write("sites/local.pem", certificatePEM(SERVER) + keyPEM(SERVER))
        found = self.run_("certificates.md", "test_directory", "/etc/ssl/sites", "sites")
        choose = found["options"].serverCertificateSelectionCallback
        self.assertEqual(choose.problems, ())

    def test_string(self) -> None:
        """
        A description is an endpoint of ours.
        """
        found = self.run_("endpoints.md", "test_string", reactor=MemoryReactorClock())
        self.assertIsInstance(found["endpoint"], SslStreamClientEndpoint)
        self.assertIs(found["clientFromString"], clientFromString)

    def test_names(self) -> None:
        """
        Certificates by the name of the server.
        """
        for name in ("example.com", "others", "books", "default"):
            self.write(f"{name}.pem", certificatePEM(SERVER) + keyPEM(SERVER))
        choose = self.run_("hello.md", "test_names")["options"].serverCertificateSelectionCallback
        self.assertIsNotNone(choose(None, "b\xfccher.example"))

    def test_choose(self) -> None:
        """
        All options by the hello.
        """
        found = self.run_(
            "hello.md",
            "test_choose",
            reactor=MemoryReactorClock(),
            SslStreamServerEndpoint=SslStreamServerEndpoint,
            TCP4ServerEndpoint=TCP4ServerEndpoint,
        )
        options = serverOptions()
        tenants = {"known.example": SimpleNamespace(options=options)}
        state = SimpleNamespace(find=lambda name: succeed(tenants.get(name)))
        for name, chosen in (("known.example", options), ("other.example", None)):
            hello = SimpleNamespace(serverName=name)
            choosing = ensureDeferred(found["choose"](None, hello, state))
            self.assertIs(self.successResultOf(choosing), chosen)

    def test_unwrap(self) -> None:
        """
        The transport below comes back.
        """
        pair = self.opened(leaveInnerStreamOpen=True)
        found = self.run_("inplace.md", "test_unwrap", stream=pair.client)
        theirs = pair.server.unwrap()
        pair.wire.flush()
        self.successResultOf(self.running)
        self.assertEqual((found["transport"], found["trailing"]), (pair.wire.client, b""))
        self.successResultOf(theirs)

    def test_notDirectly(self) -> None:
        """
        speed.md: data goes through the reactor on every connection.
        """
        self.patch(SslStreamProtocol, "handsOverDirectly", True)
        self.run_("speed.md", "test_notDirectly")
        self.assertFalse(SslStreamProtocol.handsOverDirectly)

    def test_options(self) -> None:
        """
        Options of both sides.
        """
        found = self.run_("options.md", "test_options")
        self.assertIsInstance(found["client"], SslClientAuthenticationOptions)
        self.assertEqual(found["server"].handshakeTimeout, 10)

    def judged(self, judge: Any, server: SslStreamCertificateContext) -> bool:
        """
        @return: whether a client that judges so has accepted a server.
        """
        client, answered = StreamPair().authenticate(
            client={"remoteCertificateValidationCallback": judge},
            server={"serverCertificate": server},
        )
        answered.addErrback(lambda failure: failure.trap(AuthenticationError))
        outcomes: list[object] = []
        client.addBoth(outcomes.append)
        (outcome,) = outcomes
        return not hasattr(outcome, "value")

    def test_findings(self) -> None:
        """
        A callback that tells all that is wrong.
        """
        told: list[object] = []
        found = self.run_("trust.md", "test_findings", print=lambda *words: told.extend(words))
        self.assertTrue(self.judged(found["isWelcome"], SERVER))
        self.assertEqual(told, [])
        self.assertFalse(self.judged(found["isWelcome"], Authority("Other").issue("localhost")))
        self.assertEqual(told[1], txsslstream.X509ChainStatusFlags.PartialChain)

    def test_chain(self) -> None:
        """
        A chain without a connection.
        """
        self.write("intermediates.pem", certificatePEM(AUTHORITY.certificate))
        told: list[object] = []
        for certificate, isGood in ((SERVER, True), (Authority("Other").issue("a.example"), False)):
            self.write("certificate.pem", certificatePEM(certificate))
            self.run_("trust.md", "test_chain", print=told.append)
            self.successResultOf(self.running)
            self.assertEqual(not told, isGood)

    def test_rebuilt(self) -> None:
        """
        A callback that builds the chain again with another root.
        """
        other = Authority("Other")

        async def rootFromDatabase() -> Any:
            return other.certificate

        found = self.run_(
            "trust.md",
            "test_rebuilt",
            X509ChainTrustMode=X509ChainTrustMode,
            rootFromDatabase=rootFromDatabase,
        )
        self.assertTrue(self.judged(found["isWelcome"], other.issue("localhost")))
        third = Authority("Third").issue("localhost")
        self.assertFalse(self.judged(found["isWelcome"], third))

    def test_permits(self) -> None:
        """
        A retriever that asks before it fetches.
        """
        policy = self.run_("trust.md", "test_permits")["policy"]
        self.assertIs(policy.revocationMode, X509RevocationMode.Online)
        retrieving = policy.retriever.retrieve("http://elsewhere.example/", limit=1, timeout=1)
        self.assertIn("permit", str(self.failureResultOf(retrieving, RetrievalError).value))


@cache
def diagrams() -> Any:
    """
    @return: what draws.
    """
    spec = spec_from_file_location("diagrams", DOCS / "_ext" / "diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Drawn(NamedTuple):
    """
    What is on a diagram.

    @ivar boxes: left, top, width and height of each state.
    @ivar paths: from where to where each arrow goes, by what it stands for.
    """

    boxes: dict[str, tuple[float, float, float, float]]
    paths: dict[tuple[str, str], tuple[tuple[float, float], tuple[float, float]]]
    heads: set[tuple[float, float]]

    @classmethod
    def read(cls, svg: str) -> Drawn:
        """
        Read it.
        """
        boxes, paths, heads = {}, {}, set()
        for element in ElementTree.fromstring(svg):
            attributes = element.attrib
            if "data-state" in attributes:
                boxes[attributes["data-state"]] = cast(
                    "tuple[float, float, float, float]",
                    tuple(float(attributes[each]) for each in ("x", "y", "width", "height")),
                )
            elif "data-from" in attributes:
                numbers = [float(each) for each in re.findall(r"[\d.]+", attributes["d"])]
                ends = (numbers[0], numbers[1]), (numbers[-2], numbers[-1])
                paths[attributes["data-from"], attributes["data-to"]] = ends
            elif element.tag.endswith("polygon"):
                x, y = attributes["points"].split()[0].split(",")
                heads.add((float(x), float(y)))
        return cls(boxes, paths, heads)

    def at(self, point: tuple[float, float]) -> list[str]:
        """
        @return: the states on whose borders a point is.
        """
        x, y = point
        return [
            name
            for name, (left, top, width, height) in self.boxes.items()
            if left - 0.2 <= x <= left + width + 0.2
            and top - 0.2 <= y <= top + height + 0.2
            and (
                min(abs(x - left), abs(x - left - width)) < 0.2
                or min(abs(y - top), abs(y - top - height)) < 0.2
            )
        ]


class DiagramTests(SynchronousTestCase):
    """
    The diagrams of states.
    """

    TABLES = ("WIRE_TRANSITIONS", "READER_TRANSITIONS", "WRITER_TRANSITIONS")

    def test_edges(self) -> None:
        """
        There is an arrow for each transition of a table, from the one state to the
        other, with a head, and no other.
        """
        for name in self.TABLES:
            table = getattr(states, name)
            drawn = Drawn.read(diagrams().svgOf(table, "title"))
            self.assertEqual(set(drawn.boxes), {state.name for state in table})
            self.assertEqual(
                set(drawn.paths),
                {(old.name, new.name) for old, following in table.items() for new in following},
            )
            for (old, new), (start, end) in drawn.paths.items():
                self.assertEqual((drawn.at(start), drawn.at(end)), ([old], [new]), name)
                self.assertIn(end, drawn.heads)
            # And one for the beginning.
            self.assertEqual(len(drawn.heads), len({e for _, e in drawn.paths.values()}) + 1)

    def test_changed(self) -> None:
        """
        Another table has other arrows, also back over several states.
        """
        table = dict(states.WIRE_TRANSITIONS)
        wire = states.WireState
        table[wire.closing] = frozenset({wire.fresh})
        drawn = Drawn.read(diagrams().svgOf(table, "title"))
        self.assertIn(("closing", "fresh"), drawn.paths)
        self.assertNotIn(("closing", "failed"), drawn.paths)
        start, end = drawn.paths["closing", "fresh"]
        self.assertEqual((drawn.at(start), drawn.at(end)), (["closing"], ["fresh"]))

    def test_page(self) -> None:
        """
        Every table is drawn on the page.
        """
        page = (DOCS / "internals.md").read_text()
        self.assertEqual(tuple(re.findall(r"^```{states} (\w+)$", page, re.MULTILINE)), self.TABLES)
        self.assertEqual(
            {name for name in vars(states) if name.endswith("_TRANSITIONS")}, set(self.TABLES)
        )

    def test_floors(self) -> None:
        """
        Every module is on the floor on which the tests have it.
        """
        rows = rowsOf((DOCS / "internals.md").read_text(), "Floors")
        self.assertEqual(
            [(floor, tuple(re.findall(r"`([\w.]+)`", modules))) for floor, _, modules in rows],
            [(str(floor), modules) for floor, modules in enumerate(FLOORS)],
        )


class ReferenceTests(SynchronousTestCase):
    """
    The page of names.
    """

    def test_names(self) -> None:
        """
        Every public name is in one row, and no other is; so is every module that
        has to be imported by name.
        """
        page = (DOCS / "reference" / "index.md").read_text()
        rows = re.findall(r"^\| (`[^|]*`) \| ", page, re.MULTILINE)
        named = [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]
        modules = [name for name in named if "." in name]
        for module in modules:
            importlib.import_module(module)
        plain = sorted(name for name in named if "." not in name)
        self.assertEqual(plain, sorted(txsslstream.__all__))


class PortingTests(SynchronousTestCase):
    """
    The sample that was ported.
    """

    def lines(self, name: str) -> Iterator[str]:
        """
        @return: the statements of a program, and the beginnings of those that have
            others inside, without what prints words, and without spaces.
        """
        source = (EXAMPLES / "porting" / name).read_text()
        tree = ast.parse(source)
        rows = source.splitlines(keepends=True)

        def position(node: Any) -> int:
            return sum(map(len, rows[: node.lineno - 1])) + int(node.col_offset)

        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            if not isinstance(node, (ast.stmt, ast.ExceptHandler)):
                continue
            text = ast.get_source_segment(source, node) or ""
            if body := getattr(node, "body", None):
                text = source[position(node) : position(body[0])]
            yield squeezed(text)

    def test_lines(self) -> None:
        """
        Every line of the programs is in the table, and the table has no others.
        """
        page = (DOCS / "porting.md").read_text().split("\n## The sample, ")[1]
        cells = re.findall(r"^\| [^|]*\| ([^|]*) \|", page, re.MULTILINE)
        told = {squeezed(span) for cell in cells for span in re.findall(r"`([^`]+)`", cell)}
        told -= {""}
        lines = {line for name in ("server.py", "client.py") for line in self.lines(name)}
        # What is not the sample's, or prints what that prints.
        rest = {
            line for line in lines - told if not re.match(r"print\(|sys\.exit|if__name__", line)
        }
        self.assertEqual(rest, set())
        whole = "".join(
            squeezed((EXAMPLES / "porting" / name).read_text())
            for name in ("server.py", "client.py")
        )
        self.assertEqual({each for each in told if each not in whole}, set())


def squeezed(text: str) -> str:
    """
    @return: the same without space, and without commas that end lists.
    """
    return re.sub(r",(?=[)\]])", "", re.sub(r"\s", "", text))


SECURITY = (DOCS / "security.md").read_text()


class SecurityTests(SynchronousTestCase):
    """
    The security notes.
    """

    def test_limits(self) -> None:
        """
        The limits are the ones in the code, in this order.
        """
        size, seconds = "{:,} bytes", "{:g} seconds"
        expected: list[tuple[str, Any]] = [
            (seconds, StreamPair().client.handshakeTimeout),
            (seconds, SslStreamProtocol.shutdownTimeout),
            (seconds, _proxied.HEADER_TIMEOUT),
            (size, ClientHelloReader.LIMIT),
            (size, Authentication.WITHHELD_LIMIT),
            (size, Reauthentication.WITHHELD_LIMIT),
            ("{:,}", _openssl.MOST_HANDSHAKES),
            ("{:,}", MOST_IDLE_MESSAGES),
            (size, ServerFlight.LIMIT),
            (size, Reader.HIGH_WATER),
            (size, InnerStream.LIMIT),
            ("{:,}", paths.MOST_CERTIFICATES),
            ("{:,}", paths.MOST_STEPS),
            ("{:,}", paths.MOST_SIGNATURES),
            ("{:,}", paths.MOST_PATHS),
            ("{:,}", paths.MOST_LENGTH),
            ("{:,}", nameconstraints.MOST_COMPARISONS),
            ("{:,}", nameconstraints.MOST_CHARACTERS),
            ("{:,}", sources.MOST_RETRIEVALS),
            (seconds, X509ChainPolicy().urlRetrievalTimeout),
            ("{:,}", revocationdata.MOST_URLS),
            ("{:,}", retrieval.LONGEST_URL),
            (size, retrieval.MOST_HEADER_BYTES),
            (size, issuers.LIMIT),
            ("{:,}", issuers.MOST_CERTIFICATES),
            ("{:,}", issuers.MOST_ANSWERS),
            (size, revocationdata.OCSP_LIMIT),
            ("{:,}", revocationdata._MOST_RESPONDERS),
            (size, revocationdata.CRL_LIMIT),
            ("{:,}", retrieval.MOST_AT_ONCE),
            ("{:,}", retrieval.MOST_PER_HOST),
            (size, _cache.MEMORY_BYTES),
            (size, _cache.DISK_BYTES),
            (size, _cache.MOST_FILE_BYTES),
            (size, stapling.LIMIT),
            (seconds, stapling.TIMEOUT),
            (seconds, stapling.PAUSE),
            (seconds, stapling.PATIENCE),
            ("{:,}", SessionCache.LIMIT),
            ("{:,}", SessionCache.EACH),
            (size, storefiles.MAXIMUM_SIZE),
            (size, storefiles.MAXIMUM_BUNDLE),
            ("{:,}", storefiles.MAXIMUM_FILES),
            ("{:,}", judgement._MOST_PROBLEMS),
            ("{:,}", names._MOST_NAMES),
        ]
        self.assertEqual(
            [limit for _, limit in rowsOf(SECURITY, "Limits")],
            [form.format(value) for form, value in expected],
        )
        # Constants that are limits, by their names, of what peers bring.
        modules = (
            *(paths, nameconstraints, sources, revocationdata, retrieval, issuers, stapling),
            *(_cache, storefiles, judgement),
        )
        values = {value for _, value in expected}
        named = re.compile(
            r"_?(MOST|LONGEST|MAXIMUM|LIMIT|\w+_LIMIT|TIMEOUT|PAUSE|PATIENCE|\w+_BYTES)"
        )
        for module in modules:
            for name, value in vars(module).items():
                if named.match(name) and isinstance(value, (int, float)):
                    self.assertIn(
                        value, values | {revocationdata._LONGEST_GET}, f"{module.__name__}.{name}"
                    )

    def default(self, what: str) -> str:
        """
        @return: what is said of something.
        """
        return dict(rowsOf(SECURITY, "Defaults"))[what]

    def hello(self) -> SslClientHelloInfo:
        """
        @return: what a client says that was told nothing.
        """
        pair = StreamPair()
        pair.client.authenticateAsClient("localhost").addErrback(lambda _: None)
        reader = ClientHelloReader()
        reader.feed(bytes(pair.wire.client.everWritten))
        pair.client.abort()
        assert reader.info is not None
        return reader.info

    def test_negotiation(self) -> None:
        """
        What a client offers by default is what is said.
        """
        hello = self.hello()
        self.assertEqual(hello.sslProtocols, SslProtocols.Tls12 | SslProtocols.Tls13)
        self.assertEqual(self.default("versions"), "TLS 1.2 and TLS 1.3")
        suites = [TlsCipherSuite(each) for each in hello.cipherSuites]
        modern = [each.name for each in suites if (each >> 8) == 0x13]
        self.assertEqual(re.findall(r"`(\w+)`", self.default("suites of TLS 1.3")), modern)
        others = suites[len(modern) :]
        forbidden = ("anon", "NULL", "RC4", "3DES", "PSK", "SRP", "DSS", "MD5")
        for suite in others:
            self.assertFalse(any(each in suite.name for each in forbidden), suite)
            self.assertGreaterEqual(propertiesOf(suite).cipherStrength, 112)
            self.assertIsNot(propertiesOf(suite).cipherAlgorithm, CipherAlgorithmType.Null)
        ranks = [2 if "TLS_RSA" in each.name else 1 if "CBC" in each.name else 0 for each in others]
        isRSA = [rank == 2 for rank in ranks]
        self.assertEqual(isRSA, sorted(isRSA))
        self.assertEqual(ranks[0], 0)
        if "X25519MLKEM768" in hello.groups:
            self.assertEqual(hello.groups[0], "X25519MLKEM768")
        self.assertFalse([each for each in hello.signatureAlgorithms if "sha1" in str(each)])
        # ecdsa_sha1 and rsa_pkcs1_sha1; early_data.
        self.assertFalse({0x0201, 0x0203} & set(hello.signatureAlgorithms))
        self.assertNotIn(42, hello.extensions)

    def test_defaults(self) -> None:
        """
        The other defaults are the ones in the code.
        """
        keys = self.default("keys in certificates")
        least, most = certificatefacts.LEAST_RSA_BITS, certificatefacts.MOST_RSA_BITS
        for said in (
            f"RSA from {least:,} to {most:,} bits",
            f"from {certificatefacts.LEAST_EC_BITS} bits",
        ):
            self.assertIn(said, keys)
        said = f"{chainchecks.DEFAULT_DEPTH} certificates between"
        self.assertTrue(self.default("length of chains").startswith(said))
        defaults = {
            field.name: field.default
            for options in (SslClientAuthenticationOptions, SslServerAuthenticationOptions)
            for field in fields(options)
        }
        for name, value in (
            ("certificateRevocationCheckMode", X509RevocationMode.NoCheck),
            ("clientCertificateRequired", False),
            ("allowTlsResume", True),
            ("allowRenegotiation", False),
            ("requireCloseNotify", True),
        ):
            self.assertEqual(defaults[name], value, name)
        self.assertTrue(X509ChainPolicy().disableCertificateDownloads)
        self.assertEqual(self.default("issuers that the peer has not sent"), "not fetched")

    def test_proof(self) -> None:
        """
        A callback is asked before the peer has proved that it has its key, and a
        peer that does not prove it is refused although the callback accepts.
        """
        self.assertIn("not proved yet that it has the key", SECURITY.replace("\n   ", " "))
        asked: list[bool] = []
        pair = StreamPair()

        def judge(*_: object) -> bool:
            asked.append(pair.client.isAuthenticated)
            return True

        pair.wire.client.isPaused = True
        client, server = pair.authenticate(
            SslProtocols.Tls12, {"remoteCertificateValidationCallback": judge}
        )
        # The last byte of the server's signature over the parameters of the key
        # exchange: of a message of type 12, which is in the clear in TLS 1.2.
        flight, start = pair.wire.server.written, 0
        while flight[start + 5] != 12:
            start += 5 + int.from_bytes(flight[start + 3 : start + 5], "big")
        flight[start + 4 + int.from_bytes(flight[start + 3 : start + 5], "big")] ^= 1
        pair.wire.client.isPaused = False
        pair.wire.flush()
        self.assertEqual(asked, [False])
        error = self.failureResultOf(client, AuthenticationError).value
        self.assertIs(error.alertSent, TlsAlert.decrypt_error)
        self.assertIs(
            self.failureResultOf(server, AuthenticationError).value.alert, TlsAlert.decrypt_error
        )

    def test_secrets(self) -> None:
        """
        Neither a key nor a password is in what our objects look like, nor in an
        error about them.
        """
        directory = temporaryDirectory(self)
        path = directory / "server.pem"
        path.write_bytes(certificatePEM(CLIENT) + keyPEM(CLIENT, b"correct horse"))
        context = SslStreamCertificateContext.fromPEM(path, password=b"correct horse")
        key: Any = context.privateKey
        private = key.private_numbers().private_value
        things: list[object] = [
            context,
            serverOptions(serverCertificate=context),
            clientOptions(clientCertificates=[context]),
            txsslstream.ReloadingCertificate.fromPEM(path, password=b"correct horse"),
            self.assertRaises(
                txsslstream.CertificateError,
                SslStreamCertificateContext.fromPEM,
                path,
                password=b"battery staple",
            ),
        ]
        for thing in things:
            for text in (repr(thing), str(thing)):
                for secret in ("horse", "staple", str(private), f"{private:x}", "PRIVATE"):
                    self.assertNotIn(secret, text)

    def test_alerts(self) -> None:
        """
        The names that are in code font and look like ours are ours.
        """
        told = set(re.findall(r"`([A-Z]\w+|[a-z]+[A-Z]\w+)(?:\(.*\))?`", SECURITY))
        known = {*txsslstream.__all__, *(each.name for each in TlsAlert), *dir(builtins)}
        for name in txsslstream.__all__:
            known |= set(dir(getattr(txsslstream, name)))
        known |= {"Root", "HttpRetriever", "X25519MLKEM768", "urlRetrievalTimeout"}
        known |= {"acceptProxy"}
        known |= {each.name for each in TlsCipherSuite}
        self.assertEqual(told - known, set())
