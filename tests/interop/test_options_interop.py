"""
The groups and signature algorithms that our options choose are those that
foreign peers report, in both roles; and where there is nothing in common, both
sides know.

What is ours runs in processes of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority, rsaKey

from ._authority import ForeignCase, Identity, identity, ours, ourServer, rootFile
from ._ours import Outcome
from ._tools import (
    ANSWER,
    CLIENT_MESSAGE,
    GNUTLS_SERVER_READY,
    OPENSSL_SERVER_READY,
    SERVER_MESSAGE,
    Background,
    background,
    freePort,
    gnutlsClient,
    gnutlsServer,
    opensslClient,
    opensslServer,
    runTool,
)

VERSIONS = ("1.2", "1.3")

ROOT = Authority("Interop Root")

#: In OpenSSL's words and in GnuTLS'.
GROUPS = {
    "x25519": ("X25519", "X25519"),
    "secp256r1": ("P-256", "SECP256R1"),
    "secp384r1": ("P-384", "SECP384R1"),
}
#: Likewise; in TLS 1.2 a curve has no digest of its own.
SIGNATURES = {
    "rsa_pss_rsae_sha256": ("RSA-PSS+SHA256", "RSA-PSS-RSAE-SHA256"),
    "rsa_pss_rsae_sha512": ("RSA-PSS+SHA512", "RSA-PSS-RSAE-SHA512"),
    "ecdsa_secp256r1_sha256": ("ECDSA+SHA256", "ECDSA-SECP256R1-SHA256"),
}

#: Where the order matters: both sides can do all of them.
FIRST, SECOND = "secp384r1", "x25519"
FIRST_SIGNATURE, SECOND_SIGNATURE = "rsa_pss_rsae_sha512", "rsa_pss_rsae_sha256"
#: What the other side does not have where it is limited to the rest.
OTHER = "secp256r1"
OTHER_SIGNATURE = "ecdsa_secp256r1_sha256"


@cache
def server() -> Identity:
    """
    @return: a server's certificate with an RSA key.
    """
    return identity(ROOT.issue("localhost", key=rsaKey()))


@cache
def client() -> Identity:
    """
    @return: a client's certificate with an RSA key.
    """
    return identity(ROOT.issue("client@example.com", key=rsaKey(1)))


class OurServerCase(ForeignCase):
    """
    Our server with foreign clients.

    @cvar refused: how the client shows that it was sent C{handshake_failure}.
    """

    refused: ClassVar[str]

    def command(
        self, version: str, port: int, groups: Sequence[str], signatures: Sequence[str]
    ) -> list[str]:
        """
        @param groups: the only ones, best first.
        @param signatures: the same.
        @return: the command that runs the client.
        """
        raise NotImplementedError

    def reported(self, said: str, version: str) -> tuple[str, str]:
        """
        @return: the group and the signature algorithm that the client reports.
        """
        raise NotImplementedError

    def converse(
        self, tool: Background, version: str, groups: Sequence[str], signatures: Sequence[str]
    ) -> CompletedProcess[str]:
        """
        Have the client talk to our server.
        """
        command = self.command(version, int(tool.match[1]), groups, signatures)
        return runTool(command, CLIENT_MESSAGE)

    def test_ourOrder(self) -> None:
        """
        Of what the client offers our server uses what it likes best, which is
        not what the client does.
        """
        for version in VERSIONS:
            options = {
                "keyExchangeGroups": [FIRST, SECOND],
                "signatureAlgorithms": [FIRST_SIGNATURE, SECOND_SIGNATURE],
            }
            with ourServer(certificate=str(server().pem), version=version, options=options) as tool:
                done = self.converse(
                    tool, version, [SECOND, FIRST], [SECOND_SIGNATURE, FIRST_SIGNATURE]
                )
            self.assertIn(SERVER_MESSAGE, done.stdout, done)
            reported = self.reported(done.stdout + done.stderr, version)
            self.assertEqual(reported, (FIRST, FIRST_SIGNATURE))

    def test_theirChoice(self) -> None:
        """
        A client that offers one of ours only gets that.
        """
        for version in VERSIONS:
            options = {
                "keyExchangeGroups": [FIRST, SECOND],
                "signatureAlgorithms": [FIRST_SIGNATURE, SECOND_SIGNATURE],
            }
            with ourServer(certificate=str(server().pem), version=version, options=options) as tool:
                done = self.converse(tool, version, [OTHER, SECOND], [SECOND_SIGNATURE])
            self.assertIn(SERVER_MESSAGE, done.stdout, done)
            reported = self.reported(done.stdout + done.stderr, version)
            self.assertEqual(reported, (SECOND, SECOND_SIGNATURE))

    def test_nothingInCommon(self) -> None:
        """
        A client that offers none of our groups, or none of our signature
        algorithms, is refused with C{handshake_failure}, and both sides say so.
        """
        for version in VERSIONS:
            for options in (
                {"keyExchangeGroups": [FIRST]},
                {"signatureAlgorithms": [FIRST_SIGNATURE]},
            ):
                with ourServer(
                    certificate=str(server().pem), version=version, options=options
                ) as tool:
                    done = self.converse(tool, version, [SECOND], [SECOND_SIGNATURE])
                    tool.waitFor("; alert sent: handshake_failure$", 10)
                self.assertNotIn(SERVER_MESSAGE, done.stdout)
                self.assertIn(self.refused, done.stdout + done.stderr)


class OpenSSLClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with C{openssl s_client}.
    """

    tools = ("openssl",)
    refused = "SSL alert number 40"

    def command(
        self, version: str, port: int, groups: Sequence[str], signatures: Sequence[str]
    ) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        return opensslClient(
            port,
            rootFile(ROOT),
            version=version,
            extra=(
                *("-groups", ":".join(GROUPS[name][0] for name in groups)),
                *("-sigalgs", ":".join(SIGNATURES[name][0] for name in signatures)),
            ),
        )

    def reported(self, said: str, version: str) -> tuple[str, str]:
        """
        See L{OurServerCase.reported}.
        """
        names = {"X25519": "x25519", "prime256v1": "secp256r1", "secp384r1": "secp384r1"}
        lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
        key = next(value for name, value in lines.items() if name.endswith("Temp Key"))
        group = next(name for word, name in names.items() if word in key)
        kind = lines["Signature type"].lower().replace("-", "_")
        return group, f"{kind}_rsae_{lines['Hash used'].lower()}"


class GnuTLSClientTests(OurServerCase, SynchronousTestCase):
    """
    Our server with C{gnutls-cli}.
    """

    tools = ("gnutls-cli",)
    refused = "*** Received alert [40]"

    def command(
        self, version: str, port: int, groups: Sequence[str], signatures: Sequence[str]
    ) -> list[str]:
        """
        See L{OurServerCase.command}.
        """
        return gnutlsClient(port, rootFile(ROOT), extra=[priority(version, groups, signatures)])

    def reported(self, said: str, version: str) -> tuple[str, str]:
        """
        See L{OurServerCase.reported}.
        """
        return described(said)


def priority(version: str, groups: Sequence[str], signatures: Sequence[str]) -> str:
    """
    @return: the option of GnuTLS' tools for these and no others.
    """
    words = [f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-GROUP-ALL"]
    words += [f"+GROUP-{GROUPS[name][1]}" for name in groups]
    # Certificates are signed with one of these, too.
    words += ["-SIGN-ALL", *(f"+SIGN-{SIGNATURES[name][1]}" for name in signatures)]
    return f"--priority={':'.join([*words, '+SIGN-ECDSA-SHA256'])}"


def described(said: str) -> tuple[str, str]:
    """
    @return: the group and the signature algorithm that a tool of GnuTLS'
        reports.
    """
    line = next(line for line in said.splitlines() if line.startswith("- Description: "))
    _, group, signature, _ = line.removeprefix("- Description: ").split(")-(")
    return (
        next(name for name, (_, word) in GROUPS.items() if group == f"ECDHE-{word}"),
        next(name for name, (_, word) in SIGNATURES.items() if signature == word),
    )


class OurClientCase(ForeignCase):
    """
    Our client with foreign servers.

    @cvar refused: how the server shows that it refuses a client that has none
        of its groups, and one that has none of its signature algorithms, by
        version.
    """

    refused: ClassVar[dict[str, tuple[str, str]]]

    def server(
        self, version: str, groups: Sequence[str], clientCA: Path | None = None
    ) -> tuple[Background, int]:
        """
        Run a server that has these groups only.

        @return: it, and its port.
        """
        raise NotImplementedError

    def talk(self, *talks: tuple[int, str, dict[str, Any]]) -> list[Outcome]:
        """
        Have our client talk to servers, one after the other.

        @param talks: for each its port, the version, and the options.
        """
        return ours(
            *(
                {"root": str(rootFile(ROOT)), "port": port, "version": version, "options": options}
                for port, version, options in talks
            )
        )

    def test_group(self) -> None:
        """
        Keys are exchanged in the group that both have, and our side reports it.
        """
        expected = [(version, group) for version in VERSIONS for group in GROUPS]
        outcomes = self.talk(
            *(
                (self.server(version, [group])[1], version, {"keyExchangeGroups": list(GROUPS)})
                for version, group in expected
            )
        )
        for (_, group), outcome in zip(expected, outcomes, strict=True):
            self.assertTrue(outcome.isAnswered, outcome)
            self.assertEqual(outcome.group, group)

    def test_nothingInCommon(self) -> None:
        """
        A server that has none of our groups, or a key that makes none of our
        signatures, refuses us with C{handshake_failure}, and both sides say so.
        """
        choices = ({"keyExchangeGroups": [FIRST]}, {"signatureAlgorithms": [OTHER_SIGNATURE]})
        tools = {version: self.server(version, [OTHER, SECOND]) for version in VERSIONS}
        for outcome in self.talk(
            *((tools[version][1], version, options) for version in VERSIONS for options in choices)
        ):
            self.assertFalse(outcome.isAccepted)
            self.assertEqual(outcome.received, "handshake_failure", outcome)
        for version in VERSIONS:
            end = 0
            for said in self.refused[version]:
                end = tools[version][0].waitFor(said, 10, end).end()


class OpenSSLServerTests(OurClientCase, SynchronousTestCase):
    """
    Our client with C{openssl s_server}.
    """

    tools = ("openssl",)
    refused: ClassVar[dict[str, tuple[str, str]]] = {
        "1.2": ("no shared cipher", "no shared cipher"),
        "1.3": ("no suitable key share", "no suitable signature algorithm"),
    }

    def server(
        self, version: str, groups: Sequence[str], clientCA: Path | None = None
    ) -> tuple[Background, int]:
        """
        See L{OurClientCase.server}.
        """
        names = ":".join(GROUPS[name][0] for name in groups)
        command = opensslServer(
            server().pem,
            server().pem,
            version=version,
            clientCA=clientCA,
            extra=("-groups", names),
        )
        tool = self.during(background(command, OPENSSL_SERVER_READY, answers=ANSWER))
        return tool, int(tool.match[1])

    def test_offered(self) -> None:
        """
        What we offer arrives as it was chosen, in that order, and nothing else.
        """
        options = {
            "keyExchangeGroups": ["x25519", "secp384r1", "secp256r1"],
            "signatureAlgorithms": [FIRST_SIGNATURE, OTHER_SIGNATURE, SECOND_SIGNATURE],
        }
        tools = {version: self.server(version, list(GROUPS)) for version in VERSIONS}
        for outcome in self.talk(*((tools[each][1], each, options) for each in VERSIONS)):
            self.assertTrue(outcome.isAnswered, outcome)
        for tool, _ in tools.values():
            tool.waitFor(
                "^Signature Algorithms: RSA-PSS[+]SHA512:ECDSA[+]SHA256:RSA-PSS[+]SHA256$", 10
            )
            tool.waitFor("^Supported groups: x25519:secp384r1:(secp256r1|prime256v1)$", 10)

    def test_padding(self) -> None:
        """
        Without one of RSA's paddings the server signs with the other, or, in
        TLS 1.3, which has no other, refuses.
        """
        choices = ({"allowRsaPkcs1Padding": False}, {"allowRsaPssPadding": False})
        tools = {version: self.server(version, [SECOND]) for version in VERSIONS}
        outcomes = self.talk(
            *((tools[version][1], version, options) for version in VERSIONS for options in choices)
        )
        for outcome in outcomes[:-1]:
            self.assertTrue(outcome.isAnswered, outcome)
        self.assertEqual(outcomes[-1].received, "handshake_failure", outcomes[-1])
        ends = {}
        for version, (tool, _) in tools.items():
            match = tool.waitFor("^Shared Signature Algorithms: (.*)$", 10)
            ends[version] = match.end()
            self.assertIn("RSA-PSS+", match[1])
            self.assertNotIn("RSA+", match[1])
        match = tools["1.2"][0].waitFor("^Shared Signature Algorithms: (.*)$", 10, ends["1.2"])
        self.assertNotIn("PSS", match[1].upper())
        self.assertIn("RSA+", match[1])

    def test_clientsSignature(self) -> None:
        """
        Our certificate is shown with a signature of the first kind that we
        chose.
        """
        digests = {FIRST_SIGNATURE: "SHA512", SECOND_SIGNATURE: "SHA256"}
        tools = {version: self.server(version, [SECOND], rootFile(ROOT)) for version in VERSIONS}
        options = [{"signatureAlgorithms": names} for names in (list(digests), list(digests)[::-1])]
        for outcome in self.talk(
            *(
                (tools[version][1], version, {**each, "clientCertificates": str(client().pem)})
                for version in VERSIONS
                for each in options
            )
        ):
            self.assertTrue(outcome.isAnswered, outcome)
        for tool, _ in tools.values():
            end = 0
            for digest in digests.values():
                end = tool.waitFor(f"^Peer signing digest: {digest}$", 10, end).end()
            tool.waitFor("^Peer signature type: (RSA-PSS|rsa_pss_rsae_.*)$", 10)


class GnuTLSServerTests(OurClientCase, SynchronousTestCase):
    """
    Our client with C{gnutls-serv}.
    """

    tools = ("gnutls-serv",)
    refused: ClassVar[dict[str, tuple[str, str]]] = {
        "1.2": (
            r"^Error in handshake: No supported cipher suites have been found\.$",
            r"^Error in handshake: No supported cipher suites have been found\.$",
        ),
        "1.3": (
            r"^Error in handshake: No common key share with peer\.$",
            r"^Error in handshake: No supported cipher suites have been found\.$",
        ),
    }

    def server(
        self, version: str, groups: Sequence[str], clientCA: Path | None = None
    ) -> tuple[Background, int]:
        """
        See L{OurClientCase.server}.
        """
        port = freePort()
        command = gnutlsServer(
            server().pem,
            server().pem,
            port=port,
            clientCA=clientCA,
            extra=[priority(version, groups, list(SIGNATURES))],
        )
        return self.during(background(command, GNUTLS_SERVER_READY)), port

    def test_reported(self) -> None:
        """
        The server reports what we chose.
        """
        choices = [
            (group, signature)
            for group in GROUPS
            for signature in (FIRST_SIGNATURE, SECOND_SIGNATURE)
        ]
        tools = {version: self.server(version, list(GROUPS)) for version in VERSIONS}
        for outcome in self.talk(
            *(
                (
                    tools[version][1],
                    version,
                    {"keyExchangeGroups": [group], "signatureAlgorithms": [signature]},
                )
                for version in VERSIONS
                for group, signature in choices
            )
        ):
            self.assertTrue(outcome.isAnswered, outcome)
        for tool, _ in tools.values():
            end = 0
            for choice in choices:
                match = tool.waitFor("^- Description: .*$", 10, end)
                end = match.end()
                self.assertEqual(described(match[0]), choice)
