"""
Chromium as a client of C{twistd web}, which listens as an endpoint string says.

Debian: C{chromium}, C{libnss3-tools}.
"""

from __future__ import annotations

import struct
from pathlib import Path
from subprocess import CompletedProcess

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing import Authority

from ._authority import identity, rootFile
from ._tools import LOOPBACK, Background, runTool
from .test_parsers_interop import CONTENT, WebCase, described

ROOT = Authority("Browser Root")
STRANGER = Authority("Browser Stranger")
SERVER = identity(ROOT.issue("localhost"))

#: Says by itself how it came.
PAGE = f"""<!doctype html>
<html><head><title>{CONTENT}</title></head>
<body><h1>{CONTENT}</h1><p id="how"></p>
<script>
const [how] = performance.getEntriesByType("navigation");
document.getElementById("how").textContent = `over ${{how.nextHopProtocol}}`;
</script></body></html>
"""

#: Nothing but the page is of interest, and nobody is told of it.
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

WIDTH, HEIGHT = 640, 400

#: What a PNG file begins with, before its width and height.
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


class BrowserTests(WebCase, SynchronousTestCase):
    """
    Chromium, with the authorities in its user's database.
    """

    tools = ("chromium", "certutil")

    def setUp(self) -> None:
        """
        Write a page that runs.
        """
        super().setUp()
        (self.pages / "index.html").write_text(PAGE)

    def serve(self, alpn: str) -> Background:
        """
        Have C{twistd web} listen.
        """
        return self.twistd(described(port=0, interface=LOOPBACK, certificate=SERVER.pem, alpn=alpn))

    def trust(self, authority: Authority) -> None:
        """
        Have the browser's user trust somebody.
        """
        database = self.home / ".pki" / "nssdb"
        database.mkdir(parents=True)
        command = ["certutil", "-d", f"sql:{database}"]
        new = ["-N", "--empty-password"]
        added = ["-A", "-n", "root", "-t", "C,,", "-i", rootFile(authority)]
        for each in (new, added):
            done = runTool([*command, *each])
            self.assertEqual(done.returncode, 0, done)

    def browse(
        self, server: Background, *options: str | Path, host: str = "localhost"
    ) -> CompletedProcess[str]:
        """
        Have Chromium look at the page.
        """
        command = ["chromium", *QUIET, f"--user-data-dir={self.home / 'browser'}", *options]
        return runTool(
            [*command, f"https://{host}:{server.match[1]}/"],
            timeout=60,
            # Its own directories, wherever the user has them.
            environment={"HOME": str(self.home), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""},
        )

    def test_trusted(self) -> None:
        """
        It shows the page, over the protocol that the string offers, and what it
        shows can be looked at.
        """
        self.trust(ROOT)
        server = self.serve("h2,http/1.1")
        done = self.browse(server, "--dump-dom")
        self.assertIn(f"<h1>{CONTENT}</h1>", done.stdout, done)
        self.assertIn('<p id="how">over h2</p>', done.stdout, done)
        shot = self.home / "shot.png"
        size = f"--window-size={WIDTH},{HEIGHT}"
        done = self.browse(server, f"--screenshot={shot}", size)
        self.assertTrue(shot.exists(), done)
        data = shot.read_bytes()
        self.assertTrue(data.startswith(PNG), data[:40])
        self.assertEqual(struct.unpack(">II", data[len(PNG) :][:8]), (WIDTH, HEIGHT))
        self.assertIn('"GET / HTTP/2" 200', server.output())
        oldest = self.serve("http/1.1")
        done = self.browse(oldest, "--dump-dom")
        self.assertIn('<p id="how">over http/1.1</p>', done.stdout, done)

    def test_untrusted(self) -> None:
        """
        It shows nothing, and says why, if its user does not trust the authority;
        and so does the server, who is told.
        """
        self.trust(STRANGER)
        server = self.serve("h2,http/1.1")
        shot = self.home / "shot.png"
        done = self.browse(server, f"--screenshot={shot}")
        self.assertIn("net::ERR_CERT_AUTHORITY_INVALID", done.stderr, done)
        self.assertFalse(shot.exists())
        self.assertIn("alert received: certificate_unknown", server.output())
        self.assertNotIn('"GET /', server.output())

    def test_otherName(self) -> None:
        """
        It shows nothing if the certificate is for another name.
        """
        self.trust(ROOT)
        done = self.browse(self.serve("h2,http/1.1"), "--dump-dom", host=LOOPBACK)
        self.assertIn("net::ERR_CERT_COMMON_NAME_INVALID", done.stderr, done)
        self.assertNotIn(CONTENT, done.stdout)
