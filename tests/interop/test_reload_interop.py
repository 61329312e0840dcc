"""
What a foreign client sees of our server when its certificate is renewed on disk.
"""

from __future__ import annotations

import os
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY
from txsslstream.testing import certificatePEM, keyPEM

from ._authority import ForeignCase, ourServer, rootFile, stored
from ._tools import (
    CLIENT_MESSAGE,
    SERVER_MESSAGE,
    background,
    opensslClient,
    runTool,
)


class OpenSSLTests(ForeignCase, SynchronousTestCase):
    """
    C{openssl s_client}.
    """

    tools = ("openssl",)

    def test_renewed(self) -> None:
        """
        Clients see the new certificate as soon as the log tells of it, and a
        connection that was open before has its conversation.
        """
        old, new = (
            stored(certificatePEM(each) + keyPEM(each), "pem")
            for each in (AUTHORITY.issue("localhost", subject=name) for name in ("old", "new"))
        )
        server = self.during(ourServer(certificate=str(old), reloads=True))
        port = int(server.match[1])
        root = rootFile(AUTHORITY)

        def seen(version: str) -> str:
            client = runTool(opensslClient(port, root, version=version), CLIENT_MESSAGE)
            self.assertEqual(client.returncode, 0, client)
            self.assertIn(SERVER_MESSAGE, client.stdout)
            return "".join(re.findall("Peer certificate: CN ?= ?(.*)", client.stderr))

        self.assertEqual([seen(version) for version in self.versions], ["old", "old"])
        before = [
            self.during(background(opensslClient(port, root, version=version), "^Verification: OK"))
            for version in self.versions
        ]
        os.replace(new, old)
        server.waitFor(f"{old}: now serving new, valid until ")
        self.assertEqual([seen(version) for version in self.versions], ["new", "new"])
        for client in before:
            client.send(CLIENT_MESSAGE)
            client.waitFor(SERVER_MESSAGE)
            self.assertEqual(client.wait(), 0)
