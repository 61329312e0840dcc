"""
Tests for L{txsslstream.testing.applications}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import AuthenticationError, SslProtocols
from txsslstream.testing import (
    Application,
    Authority,
    HalfCloseableApplication,
    Link,
    perVersion,
)


@perVersion()
class Links:
    """
    L{Link}.
    """

    version: SslProtocols
    segment: int

    def link(self, *applications: Any, nearIsServer: bool = False, **client: Any) -> Link:
        """
        Two applications, of which nothing has moved yet.
        """
        by = Authority()
        near, far = applications or (Application(), Application())
        clientSide, serverSide = (far, near) if nearIsServer else (near, far)
        return Link(
            nearIsServer,
            (by.clientOptions(self.version, **client), clientSide),
            (by.serverOptions(self.version), serverSide),
            self.segment,
        )

    def test_conversation(self: Any) -> None:
        """
        Applications are told what happens, in order, on whichever side.
        """
        for nearIsServer in (False, True):
            link = self.link(nearIsServer=nearIsServer)
            self.assertEqual(link.near.application.events, [])
            link.wire.flush()
            self.assertIs(link.near.tls.isServer, nearIsServer)
            link.far.application.transport.write(b"hello")
            link.wire.flush()
            self.assertEqual(link.near.application.events, ["made", "handshake", "data"])
            self.assertEqual(link.near.application.received, b"hello")
            self.assertEqual(link.far.application.received, b"")
            link.far.application.transport.loseConnection()
            link.wire.flush()
            self.assertEqual(link.near.application.events[-1], "lost")
            self.assertIsInstance(link.near.application.reason, ConnectionDone)

    def test_refused(self: Any) -> None:
        """
        An application that is refused is not connected.
        """
        link = self.link(targetHost="elsewhere.example")
        link.wire.flush()
        self.assertNotIn("made", link.near.application.events)
        self.assertNotIn("data", link.far.application.events)
        self.failureResultOf(link.near.tls.whenAuthenticated(), AuthenticationError)

    def test_reactions(self: Any) -> None:
        """
        They do what they are to do when something happens.
        """
        link = self.link(
            Application(made=lambda each: each.transport.write(b"question")),
            Application(data=lambda each: each.transport.loseConnection()),
        )
        link.wire.flush()
        self.assertEqual(link.far.application.received[:1], b"q")
        self.assertEqual(link.near.application.events[-1], "lost")
        self.assertEqual(link.near.application.received, b"")

    def test_halves(self: Any) -> None:
        """
        One that can be closed by halves is told the end of what it is sent, and
        can go on; another is told that all is over.
        """
        for kind, event in ((HalfCloseableApplication, "end"), (Application, "lost")):
            link = self.link(kind(), HalfCloseableApplication())
            link.wire.flush()
            link.far.application.transport.loseWriteConnection()
            link.wire.flush()
            self.assertEqual(link.near.application.events, ["made", "handshake", event])
            if kind is HalfCloseableApplication:
                link.near.application.transport.write(b"still")
                link.wire.flush()
                self.assertEqual(link.far.application.received, b"still")
            link.wire.cut()

    def test_stepUntil(self: Any) -> None:
        """
        It goes on until something is so, or says that it never will be.
        """
        link = self.link()
        link.stepUntil(lambda: "made" in link.near.application.events)
        with self.assertRaisesRegex(AssertionError, "nothing moves"):
            link.stepUntil(lambda: "data" in link.near.application.events)


class ApplicationTests(SynchronousTestCase):
    """
    L{Application} alone.
    """

    def test_begins(self) -> None:
        """
        Nothing has happened to it, and nothing was received.
        """
        application = Application()
        self.assertEqual((application.events, application.received), ([], b""))
        self.assertIsNone(application.reason)
