"""
HTTP/2 over our endpoint: Twisted's web server with foreign clients, as the
documentation shows it.
"""

from __future__ import annotations

from subprocess import CompletedProcess

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import H2_ENABLED

from ._pages import Place, place
from ._tools import LOOPBACK, runTool
from .test_interop import ToolCase

#: How curl is asked for one version of TLS, in our words for it.
VERSIONS = {"1.2": ("--tls-max", "1.2"), "1.3": ("--tlsv1.3",)}


class HttpCase(ToolCase):
    """
    A test case with the server on the page.
    """

    def setUp(self) -> None:
        """
        Skip what cannot be run here, and start it.
        """
        super().setUp()
        self.assertTrue(H2_ENABLED)
        page = place("inplace.md")
        self.place: Place = page.__enter__()
        self.addCleanup(page.__exit__, None, None, None)
        serving = self.place.serving("http2server.py")
        self.server = serving.__enter__()
        self.addCleanup(serving.__exit__, None, None, None)

    @property
    def url(self) -> str:
        """
        Where it is.
        """
        return f"https://localhost:{self.place.port}/"


class CurlTests(HttpCase, SynchronousTestCase):
    """
    C{curl}.
    """

    tools = ("curl",)

    def curl(self, *options: str) -> CompletedProcess[str]:
        """
        Fetch the page; the last line is what curl says of it.
        """
        command = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]
        command += ["--cacert", str(self.place.path("authority.pem")), "--ipv4"]
        command += ["--write-out", r"\n%{http_version} %{ssl_verify_result}\n"]
        return runTool([*command, *options, self.url])

    def test_http2(self) -> None:
        """
        It speaks HTTP/2 where it may.
        """
        for version, options in VERSIONS.items():
            done = self.curl("--http2", *options)
            self.assertEqual((done.returncode, done.stderr), (0, ""), version)
            self.assertEqual(done.stdout, "Hello over HTTP/2.\n\n2 0\n")

    def test_http11(self) -> None:
        """
        It speaks HTTP/1.1 where it offers nothing else, or nothing at all.
        """
        for version, options in VERSIONS.items():
            for offered in ("--http1.1", "--no-alpn"):
                done = self.curl(offered, *options)
                self.assertEqual((done.returncode, done.stderr), (0, ""), version)
                self.assertEqual(done.stdout, "Hello over HTTP/1.1.\n\n1.1 0\n")

    def test_much(self) -> None:
        """
        1 MiB goes to the server and back, in either version of HTTP.
        """
        data = self.place.path("data")
        data.write_bytes(b"0123456789abcdef" * 65536)
        for version in ("--http2", "--http1.1"):
            answer = self.place.path("answer")
            done = self.curl(version, "--data-binary", f"@{data}", "--output", str(answer))
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(answer.read_bytes(), data.read_bytes())

    def test_nothingInCommon(self) -> None:
        """
        A client that wants something else is refused with the alert for that.
        """
        command = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{self.place.port}"]
        done = runTool([*command, "-alpn", "something/else", "-brief"], "")
        self.assertEqual(done.returncode, 1)
        self.assertIn("SSL alert number 120", done.stderr)


class NghttpTests(HttpCase, SynchronousTestCase):
    """
    C{nghttp}.
    """

    tools = ("nghttp",)

    def test_requests(self) -> None:
        """
        It negotiates h2, and gets many answers on one connection.
        """
        done = runTool(
            ["nghttp", "--verbose", "--no-dep", "--multiply=50", "--timeout=20", self.url]
        )
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("The negotiated protocol: h2", done.stdout)
        self.assertEqual(done.stdout.count(":status: 200"), 50)
        self.assertEqual(done.stdout.count("Hello over HTTP/2."), 50)
