"""
Our server with foreign clients, and our client with foreign servers: the sample's conversation,
with certificates of both kinds on both sides, and each refusal with its alert.

All of it runs in processes of their own, ours as users run it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslStreamCertificateContext
from txsslstream.testing import Authority, certificatePEM, keyPEM, rsaKey

from ..programs import monoPFX, runSslstream, sharedDirectory, sharedFile, sharedServerProcess
from ..support import AUTHORITY
from ._tools import (
    ANSWER,
    CLIENT_MESSAGE,
    GNUTLS_SERVER_READY,
    LOOPBACK,
    OPENSSL_SERVER_READY,
    SAMPLE_SERVER_READY,
    SERVER_MESSAGE,
    background,
    compileCSharp,
    freePort,
    gnutlsClient,
    gnutlsServer,
    missing,
    opensslClient,
    opensslServer,
    runTool,
    sampleClient,
    sampleServer,
)

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

#: How tools and reports call the versions.
VERSIONS = {"1.2": "Tls12", "1.3": "Tls13"}
#: What the certificates are made with.
KEYS = ("RSA", "ECDSA")
#: What a server that requires a certificate sends to clients without.
NO_CERTIFICATE = {"1.2": "handshake_failure", "1.3": "certificate_required"}

#: How C{gnutls-serv} shows any alert in a handshake.
GNUTLS_REFUSED = {
    "1.2": "Error in handshake: A TLS fatal alert has been received.",
    # In TLS 1.3, a client that is OpenSSL refuses in the clear, and GnuTLS cannot
    # read that.
    "1.3": "Error in handshake: Decryption has failed.",
}

PASSWORD = "secret"
ANSWERED = r"Sending hello message\."
REFUSED = r"Authentication failed - closing the connection\."


class Identity(NamedTuple):
    """
    The files of a certificate with its key: PEM, and PKCS#12 for Mono.
    """

    pem: Path
    pfx: Path


class Files:
    """
    The certificates of all servers and clients.
    """

    def __init__(self) -> None:
        stranger = Authority("Another Authority")
        self.root = self.store("root", certificatePEM(AUTHORITY.certificate))
        self.otherRoot = self.store("other-root", certificatePEM(stranger.certificate))
        self.stranger = self.identity("stranger", stranger.issue("stranger@example.com"))
        self.servers: dict[str, Identity] = {}
        self.clients: dict[str, Identity] = {}
        for number, kind in enumerate(KEYS):
            for names, stem, identities in (
                (("localhost", LOOPBACK), "server", self.servers),
                (("client@example.com",), "client", self.clients),
            ):
                key = rsaKey(number) if kind == "RSA" else None
                identities[kind] = self.identity(f"{stem}-{kind}", AUTHORITY.issue(*names, key=key))

    def store(self, stem: str, data: bytes) -> Path:
        """
        Store a PEM file.
        """
        return Path(sharedFile(f"{stem}.pem", data))

    def identity(self, stem: str, context: SslStreamCertificateContext) -> Identity:
        """
        Store a certificate with its key.
        """
        return Identity(
            self.store(stem, certificatePEM(context) + keyPEM(context)),
            Path(sharedFile(f"{stem}.pfx", monoPFX(context, PASSWORD.encode()))),
        )


@cache
def files() -> Files:
    """
    @return: the files, made at the first use.
    """
    return Files()


def compiled(name: str) -> Path:
    """
    @return: a program for Mono.
    """
    return compileCSharp(Path(__file__).with_name(f"{name}.cs"), sharedDirectory())


def run(command: Sequence[str], input: str = "") -> CompletedProcess[str]:
    """
    Run a tool that finds nothing of the user's.
    """
    return runTool(command, input, environment={"HOME": str(sharedDirectory())})


class ToolCase(Case):
    """
    A test case that needs foreign tools.

    @cvar tools: their names.
    @cvar versions: the versions of TLS that they speak.
    """

    tools: ClassVar[tuple[str, ...]]
    versions: ClassVar[tuple[str, ...]] = ("1.2", "1.3")

    def setUp(self) -> None:
        """
        Skip what cannot be run here.
        """
        reason = missing(*self.tools)
        if reason is not None:
            raise SkipTest(reason)

    def combinations(self) -> Iterator[tuple[str, str]]:
        """
        Each version with each kind of certificate.
        """
        return product(self.versions, KEYS)


class OurServerCase(ToolCase):
    """
    C{twistd sslecho} with a foreign client.

    @cvar shown: how the client shows an alert that it got.
    @cvar refusals: how the client tells that it refuses a server, and how our
        server tells of it: for the wrong authority and for the wrong name.
    """

    shown: ClassVar[dict[str, str]]
    refusals: ClassVar[dict[str, tuple[str, str]]]

    def command(
        self, version: str, port: int, root: Path, serverName: str, identity: Identity | None
    ) -> list[str]:
        """
        @return: the command that runs the client.
        """
        raise NotImplementedError

    def converse(
        self,
        version: str,
        kind: str,
        last: str = ANSWERED,
        *,
        isRequired: bool = False,
        identity: Identity | None = None,
        root: Path | None = None,
        serverName: str = "localhost",
    ) -> tuple[CompletedProcess[str], list[str]]:
        """
        Have the client talk to our server.

        @param last: the last line that our server prints.
        @return: the client, and what our server has printed.
        """
        requirement = ("--require-client-certificate", "--trust", str(files().root))
        server = sharedServerProcess(
            *("--certificate", str(files().servers[kind].pem)),
            *(requirement if isRequired else ()),
        )
        command = self.command(version, server.port, root or files().root, serverName, identity)
        client = run(command, CLIENT_MESSAGE)
        return client, server.said(last)

    def assertAnswered(
        self, client: CompletedProcess[str], said: list[str], version: str, certificate: str
    ) -> None:
        """
        The client was content, and our server printed what it has to.

        @param certificate: what is to be said of the client's.
        """
        self.assertEqual(client.returncode, 0, client)
        self.assertIn(SERVER_MESSAGE, client.stdout)
        # Nothing was left to say of the conversation before.
        self.assertTrue(said[0].startswith("Cipher: "), said)
        self.assertIn(f"Protocol: {VERSIONS[version]}", said)
        self.assertEqual(said[-4].partition(" and is valid ")[0], certificate)
        self.assertEqual(
            said[-3:],
            [
                "Waiting for client message...",
                f"Received: {CLIENT_MESSAGE}",
                "Sending hello message.",
            ],
        )

    def test_conversation(self) -> None:
        """
        The sample's conversation is had without a client's certificate.
        """
        for version, kind in self.combinations():
            client, said = self.converse(version, kind)
            self.assertAnswered(client, said, version, "Remote certificate is null.")

    def test_clientCertificate(self) -> None:
        """
        The sample's conversation is had with a client's certificate.
        """
        for version, kind in self.combinations():
            client, said = self.converse(
                version, kind, isRequired=True, identity=files().clients[kind]
            )
            self.assertAnswered(
                client, said, version, "Remote cert was issued to CN=client@example.com"
            )

    def assertRefused(self, version: str, identity: Identity | None, alert: str) -> None:
        """
        Our server has refused the client, and the client knows why.
        """
        client, said = self.converse(version, "ECDSA", REFUSED, isRequired=True, identity=identity)
        self.assertEqual(client.returncode, 1, client)
        self.assertNotIn(SERVER_MESSAGE, client.stdout)
        self.assertIn(self.shown[alert], client.stdout + client.stderr)
        self.assertEqual(said[0].partition("; alert sent: ")[2], alert)
        self.assertEqual(len(said), 2)

    def test_noClientCertificate(self) -> None:
        """
        A client that has no certificate is refused where one is required.
        """
        for version in self.versions:
            self.assertRefused(version, None, NO_CERTIFICATE[version])

    def test_strangersCertificate(self) -> None:
        """
        A client that has a stranger's certificate is refused.
        """
        for version in self.versions:
            self.assertRefused(version, files().stranger, "unknown_ca")

    def assertRefuses(self, refusal: str, root: Path, serverName: str) -> None:
        """
        The client has refused our server, and our server knows.
        """
        theirs, ours = self.refusals[refusal]
        for version in self.versions:
            client, said = self.converse(
                version, "ECDSA", REFUSED, root=root, serverName=serverName
            )
            self.assertEqual(client.returncode, 1, client)
            self.assertNotIn(SERVER_MESSAGE, client.stdout)
            self.assertIn(theirs, client.stdout + client.stderr)
            self.assertTrue(said[0].endswith(ours), said)

    def test_wrongAuthority(self) -> None:
        """
        A client that trusts another authority refuses our server.
        """
        self.assertRefuses("authority", files().otherRoot, "localhost")

    def test_wrongName(self) -> None:
        """
        A client that expects another name refuses our server.
        """
        self.assertRefuses("name", files().root, "example.com")


class OpenSSLClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with C{openssl s_client}.
    """

    tools = ("openssl",)
    shown: ClassVar[dict[str, str]] = {
        "handshake_failure": "SSL alert number 40",
        "unknown_ca": "SSL alert number 48",
        "certificate_required": "SSL alert number 116",
    }
    refusals: ClassVar[dict[str, tuple[str, str]]] = {
        "authority": ("unable to get local issuer certificate", "; alert received: unknown_ca"),
        "name": ("hostname mismatch", "; alert received: bad_certificate"),
    }

    def command(
        self, version: str, port: int, root: Path, serverName: str, identity: Identity | None
    ) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        pem = identity and identity.pem
        return opensslClient(
            port, root, serverName=serverName, certificate=pem, privateKey=pem, version=version
        )


class GnuTLSClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with C{gnutls-cli}.  At the end of its standard input it sends
    C{close_notify}, that is right behind its message, and gets its answer
    nevertheless.
    """

    tools = ("gnutls-cli",)
    shown: ClassVar[dict[str, str]] = {
        "handshake_failure": "*** Received alert [40]",
        "unknown_ca": "*** Received alert [48]",
        "certificate_required": "*** Received alert [116]",
    }
    refusals: ClassVar[dict[str, tuple[str, str]]] = {
        "authority": ("The certificate issuer is unknown.", "; alert received: bad_certificate"),
        "name": (
            "The name in the certificate does not match the expected.",
            "; alert received: bad_certificate",
        ),
    }

    def command(
        self, version: str, port: int, root: Path, serverName: str, identity: Identity | None
    ) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        pem = identity and identity.pem
        return gnutlsClient(
            port, root, serverName=serverName, certificate=pem, privateKey=pem, version=version
        )

    def test_halfClosed(self) -> None:
        """
        A message that ends only with C{close_notify} is answered as well.
        """
        server = sharedServerProcess("--certificate", str(files().servers["ECDSA"].pem))
        for version in self.versions:
            command = self.command(version, server.port, files().root, "localhost", None)
            client = run(command, "Hello without an end mark.")
            self.assertEqual(client.returncode, 0, client)
            self.assertIn(SERVER_MESSAGE, client.stdout)
            said = server.said(ANSWERED)
            self.assertEqual(said[-2], "Received: Hello without an end mark.")

    def test_openInput(self) -> None:
        """
        A client that does not end its side is answered, and sees our clean end.
        """
        server = sharedServerProcess("--certificate", str(files().servers["ECDSA"].pem))
        for version in self.versions:
            command = self.command(version, server.port, files().root, "localhost", None)
            with background(command, "") as client:
                client.send(CLIENT_MESSAGE)
                client.waitFor(SERVER_MESSAGE)
                # It has not been told to.
                self.assertEqual(client.wait(timeout=5), 0, client.output())
            server.said(ANSWERED)


class MonoClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with the C{SslStream} of Mono.
    """

    tools = ("mono", "mcs")
    versions = ("1.2",)
    shown: ClassVar[dict[str, str]] = {
        "handshake_failure": "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "unknown_ca": "TLSV1_ALERT_UNKNOWN_CA",
    }
    # It just closes the connection.
    refusals: ClassVar[dict[str, tuple[str, str]]] = {
        "authority": (
            "Certificate error: RemoteCertificateChainErrors",
            "Exception: the connection was lost in the handshake",
        ),
        "name": (
            "Certificate error: RemoteCertificateNameMismatch",
            "Exception: the connection was lost in the handshake",
        ),
    }
    isPolite = False

    def command(
        self, version: str, port: int, root: Path, serverName: str, identity: Identity | None
    ) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        return sampleClient(
            compiled("SampleClient"),
            port,
            root,
            serverName=serverName,
            pfxFile=identity and identity.pfx,
            password=PASSWORD,
            shutdown=self.isPolite,
        )

    def test_polite(self) -> None:
        """
        The same with C{close_notify}, which Mono does not send by itself.
        """
        self.isPolite = True
        self.test_conversation()


class CurlTests(ToolCase, SynchronousTestCase):
    """
    Our server with C{curl}, which offers application protocols to a server that
    has none.
    """

    tools = ("curl",)
    limits: ClassVar[dict[str, str]] = {"1.2": "TLSv1.2", "1.3": "TLSv1.3"}

    def curl(self, version: str, root: Path, last: str) -> tuple[CompletedProcess[str], list[str]]:
        """
        Have C{curl} post the end mark to our server.
        """
        server = sharedServerProcess("--certificate", str(files().servers["ECDSA"].pem))
        client = run(
            [
                *("curl", "-q", "--noproxy", "*", "-sSv", "--max-time", "20"),
                *(f"--tlsv{version}", "--tls-max", version, "--cacert", str(root)),
                *("--resolve", f"localhost:{server.port}:{LOOPBACK}"),
                # The answer has no header: that was HTTP once.
                *("--http0.9", "--data", "<EOF>", f"https://localhost:{server.port}/"),
            ]
        )
        return client, server.said(last)

    def test_served(self) -> None:
        """
        It is served with no application protocol, and gets our answer.
        """
        for version in self.versions:
            client, said = self.curl(version, files().root, ANSWERED)
            self.assertEqual((client.returncode, client.stdout), (0, SERVER_MESSAGE), client)
            self.assertRegex(client.stderr, "ALPN.* h2")
            self.assertIn(f"SSL connection using TLSv{version}", client.stderr)
            self.assertIn(f"Protocol: {VERSIONS[version]}", said)

    def test_wrongAuthority(self) -> None:
        """
        It refuses our server if it trusts another authority.
        """
        for version in self.versions:
            client, said = self.curl(version, files().otherRoot, REFUSED)
            self.assertEqual((client.returncode, client.stdout), (60, ""), client)
            self.assertTrue(said[0].endswith("; alert received: unknown_ca"), said)


class OurClientCase(ToolCase):
    """
    C{sslstream client} with a foreign server.

    @cvar answer: what our client gets back.
    @cvar received: how the server shows our message.
    @cvar presented: how the server shows our certificate.
    @cvar unwelcome: how the server's refusal of a client without a certificate
        ends at our client, by version.
    @cvar shown: how the server shows an alert that it got, by version.
    """

    answer: ClassVar[str] = SERVER_MESSAGE
    message: ClassVar[str] = CLIENT_MESSAGE
    received: ClassVar[str]
    presented: ClassVar[str]
    unwelcome: ClassVar[dict[str, str]]
    shown: ClassVar[dict[str, dict[str, str]]]

    def server(
        self, version: str, identity: Identity, root: Path | None
    ) -> tuple[list[str], str, Sequence[tuple[str, str]]]:
        """
        @param root: whence clients need a certificate, if they do.
        @return: the arguments for L{background}.
        """
        raise NotImplementedError

    def converse(
        self,
        version: str,
        kind: str,
        expected: Sequence[str],
        *,
        isRequired: bool = False,
        identity: Identity | None = None,
        root: Path | None = None,
        serverName: str = "localhost",
    ) -> CompletedProcess[str]:
        """
        Have our client talk to the server.

        @param expected: what the server writes, in any order.
        """
        command, ready, answers = self.server(
            version, files().servers[kind], files().root if isRequired else None
        )
        home = {"HOME": str(sharedDirectory())}
        with background(command, ready, answers=answers, environment=home) as tool:
            client = runSslstream(
                *("client", LOOPBACK, serverName, "--port", tool.match[1]),
                *("--trust", str(root or files().root), "--message", self.message),
                *(() if identity is None else ("--certificate", str(identity.pem))),
            )
            for pattern in expected:
                tool.waitFor(pattern, timeout=10)
        self.assertEqual(client.stderr, "")
        return client

    def assertAnswered(self, client: CompletedProcess[str], version: str, certificate: str) -> None:
        """
        Our client was content, and printed what it has to.

        @param certificate: what is to be said of its own.
        """
        self.assertEqual(client.returncode, 0, client)
        lines = client.stdout.splitlines()
        self.assertIn(f"Protocol: {VERSIONS[version]}", lines)
        self.assertEqual(lines[11].partition(" and is valid ")[0], certificate)
        self.assertTrue(lines[12].startswith("Remote cert was issued to CN=localhost "), lines)
        self.assertTrue(lines[13].startswith(f"Server says: {self.answer}"), lines)
        self.assertEqual(lines[-1], "Client closed.")

    def assertFailed(self, client: CompletedProcess[str], *parts: str) -> None:
        """
        Our client was not content, and printed why.
        """
        self.assertEqual(client.returncode, 1, client)
        lines = client.stdout.splitlines()
        self.assertEqual(
            lines[-2:], ["Authentication failed - closing the connection.", "Client closed."]
        )
        exception = next(line for line in lines if line.startswith("Exception: "))
        for part in parts:
            self.assertIn(part, exception)

    def test_conversation(self) -> None:
        """
        The sample's conversation is had without a client's certificate.
        """
        for version, kind in self.combinations():
            client = self.converse(version, kind, [self.received])
            self.assertAnswered(client, version, "Local certificate is null.")

    def test_clientCertificate(self) -> None:
        """
        The sample's conversation is had with a client's certificate.
        """
        for version, kind in self.combinations():
            client = self.converse(
                version,
                kind,
                [self.presented, self.received],
                isRequired=True,
                identity=files().clients[kind],
            )
            self.assertAnswered(client, version, "Local cert was issued to CN=client@example.com")

    def test_noClientCertificate(self) -> None:
        """
        Without a certificate where one is required, our client learns that it
        was refused.
        """
        for version in self.versions:
            client = self.converse(version, "ECDSA", [], isRequired=True)
            self.assertFailed(client, self.unwelcome[version])

    def test_wrongAuthority(self) -> None:
        """
        Our client refuses a server that comes from another authority.
        """
        for version in self.versions:
            client = self.converse(
                version, "ECDSA", [self.shown["unknown_ca"][version]], root=files().otherRoot
            )
            self.assertFailed(client, "; RemoteCertificateChainErrors;", "; alert sent: unknown_ca")

    def test_wrongName(self) -> None:
        """
        Our client refuses a server that has another name.
        """
        for version in self.versions:
            client = self.converse(
                version,
                "ECDSA",
                [self.shown["bad_certificate"][version]],
                serverName="example.com",
            )
            self.assertFailed(
                client, "; RemoteCertificateNameMismatch;", "; alert sent: bad_certificate"
            )


class StrictServerCase(OurClientCase):
    """
    A server that looks at its clients' certificates.

    @cvar stranger: the alert that it sends to a stranger.
    """

    stranger: ClassVar[str]

    def test_strangersCertificate(self) -> None:
        """
        With a stranger's certificate, our client learns that it was refused.
        """
        for version in self.versions:
            client = self.converse(version, "ECDSA", [], isRequired=True, identity=files().stranger)
            self.assertFailed(client, f"; alert received: {self.stranger}")


class OpenSSLServerTests(StrictServerCase, SynchronousTestCase):
    """
    Our client with C{openssl s_server}.
    """

    tools = ("openssl",)
    received = CLIENT_MESSAGE
    presented = "^subject=.*client@example.com$"
    unwelcome: ClassVar[dict[str, str]] = {
        version: f"; alert received: {alert}" for version, alert in NO_CERTIFICATE.items()
    }
    stranger = "unknown_ca"
    shown: ClassVar[dict[str, dict[str, str]]] = {
        "unknown_ca": dict.fromkeys(VERSIONS, "SSL alert number 48$"),
        "bad_certificate": dict.fromkeys(VERSIONS, "SSL alert number 42$"),
    }

    def server(
        self, version: str, identity: Identity, root: Path | None
    ) -> tuple[list[str], str, Sequence[tuple[str, str]]]:
        """
        See L{OurClientCase.server}.
        """
        command = opensslServer(identity.pem, identity.pem, clientCA=root, version=version)
        return command, OPENSSL_SERVER_READY, ANSWER


class GnuTLSServerTests(StrictServerCase, SynchronousTestCase):
    """
    Our client with C{gnutls-serv}, which sends back what comes, line by line.
    """

    tools = ("gnutls-serv",)
    answer = CLIENT_MESSAGE
    # Its end mark has to be within the line that comes back.
    message = CLIENT_MESSAGE + "\n"
    received = f"received cmd: {CLIENT_MESSAGE}"
    presented = "client@example.com"
    unwelcome: ClassVar[dict[str, str]] = {
        "1.2": "; alert received: decode_error",
        "1.3": "; alert received: certificate_required",
    }
    stranger = "access_denied"
    shown: ClassVar[dict[str, dict[str, str]]] = {
        "unknown_ca": GNUTLS_REFUSED,
        "bad_certificate": GNUTLS_REFUSED,
    }

    def server(
        self, version: str, identity: Identity, root: Path | None
    ) -> tuple[list[str], str, Sequence[tuple[str, str]]]:
        """
        See L{OurClientCase.server}.
        """
        command = gnutlsServer(
            identity.pem, identity.pem, port=freePort(), clientCA=root, version=version
        )
        return command, GNUTLS_SERVER_READY, ()


class MonoServerTests(OurClientCase, SynchronousTestCase):
    """
    Our client with the C{SslStream} of Mono, which accepts any certificate of
    a client.
    """

    tools = ("mono", "mcs")
    versions = ("1.2",)
    received = f"^Received: {CLIENT_MESSAGE}$"
    presented = "^Client certificate: CN=client@example.com;"
    # It just closes the connection.
    unwelcome: ClassVar[dict[str, str]] = {"1.2": "the connection was lost in the handshake"}
    shown: ClassVar[dict[str, dict[str, str]]] = {
        "unknown_ca": {"1.2": "TLSV1_ALERT_UNKNOWN_CA"},
        "bad_certificate": {"1.2": "SSLV3_ALERT_BAD_CERTIFICATE"},
    }
    isPolite = False

    def server(
        self, version: str, identity: Identity, root: Path | None
    ) -> tuple[list[str], str, Sequence[tuple[str, str]]]:
        """
        See L{OurClientCase.server}.
        """
        command = sampleServer(
            compiled("SampleServer"),
            identity.pfx,
            PASSWORD,
            requireClientCertificate=root is not None,
            shutdown=self.isPolite,
        )
        return command, SAMPLE_SERVER_READY, ()

    def test_polite(self) -> None:
        """
        The same with C{close_notify}, which Mono does not send by itself.
        """
        self.isPolite = True
        self.test_conversation()
