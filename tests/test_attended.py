"""
Tests for L{txsslstream._attended}: who asks how a service is hears it, before and while it ends.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import _serve, _tap
from txsslstream._attended import Attended, StartError, attended
from txsslstream.testing import writePEM

from .programs import temporaryDirectory
from .support import SERVER


class Inner(Service):
    """
    A service that is as the test says.

    @ivar why: what it has to say.
    @ivar events: what was called.
    @ivar stopping: when it has stopped.
    """

    def __init__(self) -> None:
        self.why: Any = ""
        self.events: list[str] = []
        self.stopping: Deferred[None] = Deferred()

    def unable(self) -> Any:
        """
        See L{Attended}.
        """
        return self.why

    def privilegedStartService(self) -> None:
        self.events.append("privileged")

    def startService(self) -> None:
        self.events.append("started")
        super().startService()

    def stopService(self) -> Any:
        self.events.append("stopped")
        super().stopService()
        return self.stopping


class AttendedTests(SynchronousTestCase):
    """
    Tests for L{Attended}.
    """

    def setUp(self) -> None:
        """
        One in memory.
        """
        self.reactor: Any = MemoryReactorClock()
        self.inner = Inner()
        description = "tcp:9461:interface=127.0.0.1"
        endpoint = serverFromString(self.reactor, description)
        self.service = Attended(self.inner, endpoint, description, "program")

    def ask(self, request: bytes = b"GET / HTTP/1.0\r\n\r\n") -> tuple[Any, StringTransport]:
        """
        Ask.
        """
        ((port, factory, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface), (9461, "127.0.0.1"))
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        return protocol, transport

    def answer(self, request: bytes = b"GET / HTTP/1.0\r\n\r\n") -> tuple[int, bytes]:
        """
        @return: the status and the text of the answer.
        """
        _, transport = self.ask(request)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body

    def test_answers(self) -> None:
        """
        The answer is yes once the service runs, unless it says otherwise, and no
        from the moment on in which it is to stop; whatever the request is.
        """
        self.service.privilegedStartService()
        self.assertEqual(self.answer(), (503, b"ending\n"))
        self.service.startService()
        self.assertEqual(self.inner.events, ["privileged", "started"])
        with capturedLogs() as logged:
            for request in (b"GET /", b"OPTIONS /", b"POST /x/y"):
                self.assertEqual(self.answer(request + b" HTTP/1.0\r\n\r\n"), (200, b"ready\n"))
            self.inner.why = "no reason"
            self.assertEqual(self.answer(), (503, b"no reason\n"))
            self.inner.why = succeed("")
            self.assertEqual(self.answer(), (200, b"ready\n"))
        self.assertEqual(logged, [])
        stopped: Any = self.service.stopService()
        self.inner.why = ""
        self.assertEqual(self.answer(), (503, b"ending\n"))
        self.assertNoResult(stopped)
        self.inner.stopping.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.inner.events[2:], ["stopped"])

    def test_gone(self) -> None:
        """
        Who does not wait for an answer gets none.
        """
        self.service.privilegedStartService()
        self.service.startService()
        self.inner.why = Deferred()
        protocol, transport = self.ask()
        protocol.connectionLost(Failure(ConnectionError()))
        self.inner.why.callback("")
        self.assertEqual(transport.value(), b"")

    def test_portInUse(self) -> None:
        """
        An address that cannot be had is told in one line, and the service does not
        listen then.
        """
        endpoint: Any = self.service._endpoint
        endpoint.listen = lambda factory: fail(
            CannotListenError("127.0.0.1", 9461, OSError("in use"))
        )
        error = self.assertRaises(StartError, self.service.privilegedStartService)
        begin = "program: cannot listen on tcp:9461:interface=127.0.0.1: "
        self.assertEqual(str(error)[: len(begin)], begin)
        self.assertEqual(self.inner.events, [])

    def test_unstarted(self) -> None:
        """
        One that never listened can be stopped.
        """
        self.inner.stopping.callback(None)
        self.successResultOf(self.service.stopService())

    def test_commands(self) -> None:
        """
        Both commands have an option for it, with one process or with more; what is
        no description is told in one line.
        """
        path = temporaryDirectory(self) / "server.pem"
        writePEM(path, SERVER)
        for program, kind in (("sslecho", _tap), ("sslserve", _serve)):
            for health in ((), ("--health", "tcp:9461"), ("--health", "tcp:x")):
                for processes in ("1", "2"):
                    options: Any = kind.Options()
                    more = ("--connect", "tcp:127.0.0.1:1") if program == "sslserve" else ()
                    options.parseOptions(
                        [
                            *("--certificate", str(path), "--processes", processes),
                            *("--listen", "tcp:0:interface=127.0.0.1", *health, *more),
                        ]
                    )
                    if "tcp:x" in health:
                        error = self.assertRaises(StartError, kind.makeService, options)
                        begin = f"twistd {program}: --health tcp:x: "
                        self.assertEqual(str(error)[: len(begin)], begin)
                        continue
                    service = kind.makeService(options)
                    self.assertEqual(isinstance(service, Attended), bool(health))

    def test_none(self) -> None:
        """
        Without an address a service is left alone.
        """
        self.assertIs(
            attended(self.inner, self.reactor, {"health": None}, "program"),  # type: ignore[arg-type]
            self.inner,
        )
