"""
What a type checker tells the package's users, and the typed example project.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import venv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslStreamCertificateContext
from txsslstream.testing import Authority, certificatePEM, keyPEM

from .interop._tools import background, runTool
from .programs import environment, sharedDirectory, temporaryDirectory
from .support import AUTHORITY, SERVER
from .typed import PROJECT, Remark, remarks
from .wheel import ROOT

#: What follows has these names.
PREAMBLE = """\
# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import PrivateCertificate
from zope.interface import implementer

from txsslstream import *
from txsslstream.metrics import addObserver

context: SslStreamCertificateContext
certificate: x509.Certificate
tcp: IStreamClientEndpoint
client: SslClientAuthenticationOptions
server: SslServerAuthenticationOptions
several: ServerNames[SslStreamCertificateContext]
transport: ITransport
twisted: PrivateCertificate

def accepts(s: object, c: object, chain: object, errors: SslPolicyErrors) -> bool: ...
def acceptsLater(s: object, c: object, chain: object, e: object) -> Deferred[bool]: ...
async def acceptsAsync(s: SslStream, c: object, chain: object, e: object) -> bool: ...
async def acceptsMute(s: object, c: object, chain: object, e: object) -> None: ...
async def acceptsText(s: object, c: object, chain: object, e: object) -> str: ...
def text(s: object, c: object, chain: object, e: object) -> str: ...
def textLater(s: object, c: object, chain: object, e: object) -> Deferred[str]: ...
def demands(s: object, c: x509.Certificate, chain: object, e: object) -> bool: ...
def few(s: object, c: object) -> bool: ...
def names(s: object, hostName: str) -> Deferred[SslStreamCertificateContext]: ...
def numbers(s: object, hostName: str) -> int: ...
async def selects(
    s: object, hello: SslClientHelloInfo, state: Any
) -> SslServerAuthenticationOptions: ...
async def selectsClient(
    s: object, hello: SslClientHelloInfo, state: Any
) -> SslClientAuthenticationOptions: ...

class Forgetful:
    def handshakeStarted(self, isServer: bool) -> None: ...
"""


class Checked(NamedTuple):
    """
    One statement, and what mypy has to say of it: the code of an error, or
    C{"revealed TYPE"}, or nothing.
    """

    statement: str
    said: str = ""


def revealed(expression: str, kind: str) -> Checked:
    """
    @return: that an expression has a type.
    """
    return Checked(f"reveal_type({expression})", f"revealed {kind}")


#: What is inferred.
INFERRED = (
    revealed("await stream.read()", "bytes"),
    revealed("await stream.readExactly(4)", "bytes"),
    revealed('await stream.readUntil(b"x")', "bytes"),
    revealed('stream.write(b"x")', "Deferred[None]"),
    revealed("await stream.unwrap()", "tuple[Any, bytes]"),
    revealed("SslStreamClientEndpoint(tcp, client).connectStream()", "Deferred[SslStream]"),
    revealed("await stream.authenticateAsClient(client)", "SslStream"),
    revealed("await stream.authenticateAsServer(selects, None)", "SslStream"),
    revealed("[each async for each in stream]", "list[bytes]"),
    revealed("await stream.whenAuthenticated()", "SslStream"),
    revealed("stream.whenClosed()", "Deferred[None]"),
    revealed("ISslStream(transport).security", "SecurityInfo"),
    revealed("ISslStream(transport).negotiatedCipherSuite", "TlsCipherSuite | None"),
    revealed("ISslStream(transport).remoteCertificate", "Certificate | None"),
    revealed("stream.security.remoteChain", "X509Chain | None"),
    revealed("stream.transportContext", "TransportContext"),
    revealed("await X509Chain().build(certificate)", "bool"),
    revealed("X509Store().certificates", "tuple[Certificate, ...]"),
    revealed("await startTLS(Protocol(), client)", "SslStreamProtocol"),
    revealed(
        'ServerNames({"a.example": context}).lookup("a.example")',
        "SslStreamCertificateContext | None",
    ),
    revealed('SslStreamCertificateContext.fromPEM("a.pem")', "SslStreamCertificateContext"),
)

#: What is right.
RIGHT = tuple(
    map(
        Checked,
        (
            'SslClientAuthenticationOptions("h", remoteCertificateValidationCallback=accepts)',
            'SslClientAuthenticationOptions("h", remoteCertificateValidationCallback=acceptsLater)',
            'SslClientAuthenticationOptions("h", remoteCertificateValidationCallback=acceptsAsync)',
            "SslServerAuthenticationOptions(serverCertificateSelectionCallback=names)",
            "SslServerAuthenticationOptions(serverCertificateSelectionCallback=several)",
            'SslServerAuthenticationOptions(ReloadingCertificate.fromPEM("a.pem"))',
            'SslServerAuthenticationOptions(Path("a.pem"))',
            "SslServerAuthenticationOptions(twisted)",
            "SslServerAuthenticationOptions((certificate, context.privateKey))",
            'SslClientAuthenticationOptions("h", clientCertificates="a.pem")',
            'SslClientAuthenticationOptions("h", [context, "a.pem", twisted])',
            'SslClientAuthenticationOptions("h", applicationProtocols=["h2", b"http/1.1"])',
            "ServerOptionsSelection(selects)",
            'stream.write(memoryview(b"x"))',
            "SslStream(transport, False, accepts)",
            "SslStream(stream)",
        ),
    )
)

_OPTION = "SslClientAuthenticationOptions('h', remoteCertificateValidationCallback={})"

#: What is a mistake.
WRONG = (
    *(
        Checked(_OPTION.format(name), "arg-type")
        for name in ("text", "textLater", "acceptsText", "acceptsMute", "demands", "few", "True")
    ),
    Checked("SslStream(transport, False, text)", "arg-type"),
    Checked("SslClientAuthenticationOptions(443)", "arg-type"),
    Checked("SslClientAuthenticationOptions()", "call-arg"),
    Checked("SslClientAuthenticationOptions('h', trusts=None)", "call-arg"),
    Checked("SslClientAuthenticationOptions('h', trust='roots.pem')", "arg-type"),
    Checked("SslClientAuthenticationOptions('h', clientCertificates=[5])", "list-item"),
    Checked("SslClientAuthenticationOptions('h', handshakeTimeout='5')", "arg-type"),
    Checked("SslServerAuthenticationOptions(5)", "arg-type"),
    Checked(
        "SslServerAuthenticationOptions(serverCertificateSelectionCallback=numbers)", "arg-type"
    ),
    Checked("ServerOptionsSelection(selectsClient)", "arg-type"),
    Checked("ServerOptionsSelection(server)", "arg-type"),
    Checked("SslStreamClientEndpoint(tcp, server)", "arg-type"),
    Checked("SslStreamServerEndpoint(tcp, server)", "arg-type"),
    Checked("startTLS(Protocol(), twisted)", "arg-type"),
    Checked("stream.authenticateAsServer(client)", "call-overload"),
    Checked("stream.authenticateAsClient(server)", "arg-type"),
    Checked("stream.write('text')", "arg-type"),
    Checked("stream.readExactly('4')", "arg-type"),
    Checked("await stream.read() + 'text'", "operator"),
    Checked("stream.read().decode()", "attr-defined"),
    Checked("assert stream.read() != b''", "comparison-overlap"),
    Checked("stream.isAuthenticated()", "operator"),
    Checked("stream.sslProtocol = SslProtocols.Tls13", "misc"),
    Checked("ISslStream(transport).securty", "attr-defined"),
    Checked("ISslStream(transport).remoteCertificate.subject", "union-attr"),
    Checked("certificateMatchesHost('a.pem', 'h')", "arg-type"),
    Checked("addObserver(Forgetful())", "arg-type"),
)


def interpreter(name: str, isMarked: bool = True) -> Path:
    """
    @param name: of the directory for it.
    @param isMarked: whether the package says that it has types.
    @return: an interpreter for which the package is installed as a wheel would
        do it, with all it needs.
    """
    place = sharedDirectory() / name
    venv.EnvBuilder(symlinks=True).create(place)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        # Where the tests are run the package may be installed as well.
        if not each.name.startswith("txsslstream"):
            (packages / each.name).symlink_to(each)
    # That a wheel has the marker is another test's business.
    without = shutil.ignore_patterns(*([] if isMarked else ["py.typed"]))
    shutil.copytree(ROOT / "txsslstream", packages / "txsslstream", ignore=without)
    return place / "bin" / "python"


@cache
def everything() -> tuple[dict[int, Checked], list[Remark]]:
    """
    Check the project, and statements, in one go.

    @return: each statement's line, and all that is said.
    """
    path = sharedDirectory() / "statements.py"
    lines = PREAMBLE.splitlines()
    numbers = {}
    for index, each in enumerate((*INFERRED, *RIGHT, *WRONG)):
        lines += [
            f"async def statement{index}(stream: SslStream) -> None:",
            f"    {each.statement}",
        ]
        numbers[len(lines)] = each
    path.write_text("\n".join(lines) + "\n")
    return numbers, remarks(interpreter("typed"), [path])


class TypesTests(SynchronousTestCase):
    """
    What mypy says with C{strict} and the plugin for interfaces, where the package
    is installed.
    """

    maxDiff = None

    def said(self, some: tuple[Checked, ...]) -> None:
        """
        Of these statements that is said which should be, and nothing else.
        """
        numbers, found = everything()
        expected, said = {}, {}
        for line, statement in numbers.items():
            if statement in some:
                expected[statement.statement] = [statement.said] if statement.said else []
                said[statement.statement] = [
                    each.short
                    for each in found
                    if each.line == line and each.file.endswith("statements.py") and each.short
                ]
        self.assertEqual(said, expected)
        self.assertEqual(len(said), len(some))

    def test_project(self) -> None:
        """
        The example project has no mistake.
        """
        numbers, found = everything()
        places = {("statements.py", line) for line in numbers}
        others = [each for each in found if (Path(each.file).name, each.line) not in places]
        self.assertEqual(others, [])

    def test_withoutMarker(self) -> None:
        """
        Without its marker the package would have no types for others.
        """
        found = remarks(interpreter("untyped", isMarked=False))
        self.assertIn("import-untyped", {each.code for each in found})

    def test_inferred(self) -> None:
        """
        The types of what operations give are known.
        """
        self.said(INFERRED)

    def test_right(self) -> None:
        """
        Every form of an argument or a callback is accepted.
        """
        self.said(RIGHT)

    def test_wrong(self) -> None:
        """
        Mistakes are found, each where it is and as what it is.
        """
        self.said(WRONG)


class RunningTests(SynchronousTestCase):
    """
    The example project does what it says.
    """

    def setUp(self) -> None:
        """
        Serve one member.
        """
        self.home = temporaryDirectory(self)
        (self.home / "authority.pem").write_bytes(certificatePEM(AUTHORITY.certificate))
        (self.home / "server.pem").write_bytes(certificatePEM(SERVER) + keyPEM(SERVER))
        command = [sys.executable, "-m", "ledger", "serve", str(self.home), "member"]
        serving = background(command, r"^Listening on (\d+)$", environment=self.environment)
        self.server = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)

    @property
    def environment(self) -> dict[str, str]:
        """
        Where the project and the package are.
        """
        given = environment(self.home)
        return {**given, "PYTHONPATH": f"{PROJECT}{os.pathsep}{given['PYTHONPATH']}"}

    def ask(self, identity: SslStreamCertificateContext, *amounts: str) -> tuple[int, str, str]:
        """
        @return: what a client with this certificate ends with and says.
        """
        (self.home / "client.pem").write_bytes(certificatePEM(identity) + keyPEM(identity))
        command = [sys.executable, "-m", "ledger", "ask", str(self.home), self.server.match[1]]
        done = runTool([*command, *amounts], environment=self.environment)
        return done.returncode, done.stdout, done.stderr

    def test_member(self) -> None:
        """
        A member's amounts are added up; who is none, or from elsewhere, is
        refused, and told so.
        """
        member = AUTHORITY.issue("member")
        self.assertEqual(self.ask(member, "5", "-2"), (0, "member has 5\nmember has 3\n", ""))
        for other in (AUTHORITY.issue("guest"), Authority("Stranger").issue("member")):
            code, said, why = self.ask(other, "5")
            self.assertEqual((code, said), (1, ""))
            self.assertRegex(why, r"^the server said (bad_certificate|unknown_ca)\n")
        self.assertEqual(self.ask(member, "0"), (0, "member has 3\n", ""))
