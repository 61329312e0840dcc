"""
Channel bindings and exported keys, which foreign implementations at the other
end have to agree with.  (Python's own C{ssl} is in
L{tests.test_channelbinding}.)

What is ours runs in processes of its own.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority

from ._authority import ForeignCase, identity, ours, ourServer, rootFile
from ._ours import EXPORTED, EXPORTED_SIZE
from ._tools import (
    ANSWER,
    CLIENT_MESSAGE,
    GNUTLS_SERVER_READY,
    OPENSSL_SERVER_READY,
    Background,
    background,
    freePort,
    gnutlsClient,
    gnutlsServer,
    opensslClient,
    opensslServer,
)
from .test_interop import run

ROOT = Authority("Binding Root")
SERVER = identity(ROOT.issue("localhost"))

#: How the tools are told to export a key.
OPENSSL_EXPORT = ("-keymatexport", EXPORTED, "-keymatexportlen", str(EXPORTED_SIZE))
GNUTLS_EXPORT = (f"--keymatexport={EXPORTED}", f"--keymatexportsize={EXPORTED_SIZE}")


class BindingCase(ForeignCase):
    """
    One other implementation.

    @cvar names: what it tells.
    """

    versions = ("1.2", "1.3")
    names: ClassVar[dict[str, set[str]]]

    def server(self, version: str) -> tuple[Background, int]:
        """
        @return: its server, and the port.
        """
        raise NotImplementedError

    def client(self, version: str, port: int) -> list[str]:
        """
        @return: its client.
        """
        raise NotImplementedError

    def told(self, output: str) -> dict[str, str]:
        """
        @return: what it has told, by names.
        """
        raise NotImplementedError

    def assertEqualBindings(self, version: str, ours: dict[str, str], output: str) -> None:
        """
        Whatever it tells we tell, too.
        """
        theirs = self.told(output)
        self.assertEqual(set(theirs), self.names[version], output)
        self.assertEqual(theirs, {name: ours[name] for name in theirs})

    def test_server(self) -> None:
        """
        Our client has the same as its server.
        """
        for version in self.versions:
            server, port = self.server(version)
            (outcome,) = ours(
                {"port": port, "root": rootFile(ROOT), "version": version, "name": "localhost"}
            )
            self.assertTrue(outcome.isAccepted, outcome)
            server.waitFor(re.escape(CLIENT_MESSAGE))
            self.assertEqualBindings(version, outcome.bindings, server.output())

    def test_client(self) -> None:
        """
        Our server has the same as its client.
        """
        for version in self.versions:
            server = self.during(ourServer(certificate=SERVER.pem))
            client = run(self.client(version, int(server.match[1])), CLIENT_MESSAGE)
            self.assertEqual(client.returncode, 0, client)
            bindings = json.loads(server.waitFor(r"^Bindings: (.*)$")[1])
            self.assertEqualBindings(version, bindings, client.stdout + client.stderr)


class GnuTLSTests(BindingCase, SynchronousTestCase):
    """
    GnuTLS tells all three kinds.
    """

    tools = ("gnutls-cli", "gnutls-serv")
    names: ClassVar[dict[str, set[str]]] = {
        "1.2": {"tls-unique", "tls-server-end-point", "tls-exporter", EXPORTED},
        "1.3": {"tls-server-end-point", "tls-exporter", EXPORTED},
    }

    def server(self, version: str) -> tuple[Background, int]:
        """
        See L{BindingCase}.
        """
        port = freePort()
        command = gnutlsServer(
            SERVER.pem, SERVER.pem, port=port, version=version, extra=GNUTLS_EXPORT
        )
        return self.during(background(command, GNUTLS_SERVER_READY)), port

    def client(self, version: str, port: int) -> list[str]:
        """
        See L{BindingCase}.
        """
        extra = ("--verbose", *GNUTLS_EXPORT)
        return gnutlsClient(port, rootFile(ROOT), version=version, extra=extra)

    def told(self, output: str) -> dict[str, str]:
        """
        See L{BindingCase}.
        """
        found = dict(re.findall(r"^ - '(tls-[a-z-]+)': ([0-9a-f]+)$", output, re.MULTILINE))
        return {**found, EXPORTED: re.findall(r"^- Key material: (\w+)$", output, re.MULTILINE)[0]}


class OpenSSLTests(BindingCase, SynchronousTestCase):
    """
    OpenSSL's tools tell exported keys only.
    """

    tools = ("openssl",)
    names: ClassVar[dict[str, set[str]]] = {"1.2": {EXPORTED}, "1.3": {EXPORTED}}

    def server(self, version: str) -> tuple[Background, int]:
        """
        See L{BindingCase}.
        """
        command = opensslServer(SERVER.pem, SERVER.pem, version=version, extra=OPENSSL_EXPORT)
        server = self.during(background(command, OPENSSL_SERVER_READY, answers=ANSWER))
        return server, int(server.match[1])

    def client(self, version: str, port: int) -> list[str]:
        """
        See L{BindingCase}.
        """
        command = opensslClient(port, rootFile(ROOT), version=version, extra=OPENSSL_EXPORT)
        # It would not tell.
        return [each for each in command if each != "-brief"]

    def told(self, output: str) -> dict[str, str]:
        """
        See L{BindingCase}.
        """
        found = re.findall(r"^ *Label: '(.+)'\n.*\n *Keying material: (\w+)$", output, re.MULTILINE)
        return {label: key.lower() for label, key in found}
