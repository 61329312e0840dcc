"""
What is promised in F{docs/behaviour.md}, over every kind of transport, and
whether the tests for that notice when it is not so.
"""

from __future__ import annotations

import gc
import re
import unittest
from dataclasses import replace
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import InvalidOperationError, SslStream, TruncationError
from txsslstream._waiting import _parked
from txsslstream.testing import Wire, certificatePEM, keyPEM
from txsslstream.testing.conformance import (
    Conformance,
    MemoryTestWire,
    TCPTestWire,
    TLSTestWire,
    UNIXTestWire,
    behavioursOf,
    oneByOne,
    perRole,
)
from txsslstream.testing.conforming import expect

from .garbage import leaveAside
from .programs import ROOT as CHECKOUT
from .support import AUTHORITY, SERVER
from .test_behaviour import BEHAVIOUR, MANY

ROOT = Certificate.loadPEM(certificatePEM(AUTHORITY.certificate))

#: What the suite does not run, for no wire could make a difference.
ELSEWHERE = {
    69: "whose turn it is to produce the reactor of the process decides, not a wire",
    115: "secrets are logged where they are made, and never go over a wire",
}


class Everywhere(Conformance):
    """
    The suite, for our own streams.
    """

    def tearDown(self) -> None:
        """
        No handshake waits either.
        """
        super().tearDown()
        expect(_parked, set())


@perRole()
class InMemory(Everywhere):
    """
    In memory, with all bytes at once.
    """


@perRole()
class OneByOne(Everywhere):
    """
    In memory, byte by byte.
    """

    def makeWire(self) -> Any:
        return MemoryTestWire(oneByOne())


@perRole()
class OverTCP(Everywhere):
    """
    Over real TCP connections.
    """

    def makeWire(self) -> Any:
        return TCPTestWire()


@perRole()
class OverUNIX(Everywhere):
    """
    Over real UNIX sockets.
    """

    def makeWire(self) -> Any:
        return UNIXTestWire()


@perRole()
class OverTLS(Everywhere):
    """
    Over other streams, or under another protocol of ours.
    """

    def makeWire(self) -> Any:
        return TLSTestWire()


class CompletenessTests(SynchronousTestCase):
    """
    Whether the suite has everything.
    """

    def test_everything(self) -> None:
        """
        Each behaviour is shown by a test of the suite, or it is said why no wire
        could make a difference.
        """
        shown = set(behavioursOf(Conformance))
        self.assertEqual(shown & set(ELSEWHERE), set())
        self.assertEqual(shown | set(ELSEWHERE), set(range(1, MANY + 1)))

    def test_nothingHidden(self) -> None:
        """
        No test of one chapter has the name of another's, and each is about
        something.
        """
        names = [
            name for chapter in Conformance.__bases__ for name in vars(chapter) if "test_" in name
        ]
        self.assertEqual(len(names), len(set(names)))
        about = {name for names in behavioursOf(Conformance).values() for name in names}
        self.assertEqual(set(names), about)

    def test_page(self) -> None:
        """
        Users are told how many behaviours the suite has.
        """
        shown = len(behavioursOf(Conformance))
        page = (CHECKOUT / "docs" / "testing.md").read_text("utf-8")
        self.assertIn(f"The {shown} of the {MANY} [behaviours](behaviour.md)", page)

    def test_document(self) -> None:
        """
        Each line of the document names the tests of the suite that show it, and
        no others of it.
        """
        shown = behavioursOf(Conformance)
        for number, names in re.findall(r"^\| (\d+) \| .* \| (.*) \|$", BEHAVIOUR, re.MULTILINE):
            found = re.findall(r"`tests\.test_conformance\.Everywhere\.(\w+)`", names)
            self.assertEqual(sorted(found), sorted(shown.get(int(number), [])), number)


class Short(SslStream):
    """
    Loses a byte of what is long.
    """

    def write(self, data: Any) -> Deferred[None]:
        isLong = not isinstance(data, (str, int)) and data is not None and len(data) > 10_000
        return super().write(data[:-1] if isLong else data)


class Hasty(SslStream):
    """
    Lets what is short overtake what was written before.
    """

    def write(self, data: Any) -> Deferred[None]:
        if data == b"one, ":
            self._clock.callLater(0, super().write, data)
            return succeed(None)
        return super().write(data)


class Impolite(SslStream):
    """
    Leaves without a word.
    """

    def shutdown(self) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        self.abort()
        return self.whenClosed()


class Credulous(SslStream):
    """
    Takes a truncation for the end.
    """

    def read(self, n: int = 65536) -> Deferred[bytes]:
        return super().read(n).addErrback(lambda failure: failure.trap(TruncationError) and b"")


class Trusting(SslStream):
    """
    Accepts everybody.
    """

    def _authenticate(self, makeOptions: Any) -> Deferred[SslStream]:
        return super()._authenticate(
            lambda: replace(makeOptions(), remoteCertificateValidationCallback=lambda *_: True)
        )


class Unbounded(SslStream):
    """
    Never says that it is too much.
    """

    def write(self, data: Any) -> Deferred[None]:
        super().write(data).addErrback(lambda _: None)
        return succeed(None)


class Endless(SslStream):
    """
    Waits for ever.
    """

    readTimeout = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._shutdownTimeout = None


class Forward(SslStream):
    """
    Reads and writes whenever it is asked.
    """

    def _unusable(self) -> BaseException | None:
        error = super()._unusable()
        return None if isinstance(error, InvalidOperationError) else error


class Clinging(SslStream):
    """
    Is never forgotten.
    """

    known: ClassVar[list[SslStream]] = []

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.known.append(self)


class Talkative(SslStream):
    """
    Logs what nobody needs to know.
    """

    def close(self) -> Deferred[None]:
        Logger().info("closing")
        return super().close()


class Greedy(SslStream):
    """
    Keeps what comes behind the peer's end.
    """

    def unwrap(self) -> Deferred[tuple[Any, bytes]]:
        return super().unwrap().addCallback(lambda result: (result[0], b""))


class Forgetful(SslStream):
    """
    Loses what a cancelled read had got.
    """

    def readExactly(self, n: int) -> Deferred[bytes]:
        reading = super().readExactly(n)

        def forget(_: object) -> None:
            reading.cancel()
            self._reader.takeAll()

        seen: Deferred[bytes] = Deferred(forget)
        reading.addCallbacks(seen.callback, seen.errback)
        return seen


class Leaky(Wire):
    """
    Loses a byte.
    """

    def deliver(self, source: Any, target: Any) -> bool:
        if source.delivered < 5000 <= source.delivered + len(source.written):
            del source.written[-1]
        return super().deliver(source, target)


class Shuffling(Wire):
    """
    Delivers the second half of what is long first.
    """

    def deliver(self, source: Any, target: Any) -> bool:
        half = len(source.written) // 2
        if half > 5000:
            source.written[:] = source.written[half:] + source.written[:half]
        return super().deliver(source, target)


class Secretive(Wire):
    """
    Does not tell that the other end has left.
    """

    def close(self, one: Any, other: Any) -> bool:
        if one.connected and one.canEnd:
            one.lost(one.closing)
        return False


class FlawTests(SynchronousTestCase):
    """
    Whether the suite notices when something is wrong.
    """

    def setUp(self) -> None:
        leaveAside(self)

    def outcome(self, case: type[Conformance], test: str, isServer: bool) -> bool:
        """
        @return: whether a test of a case passes.
        """
        made = type("Case", (case, SynchronousTestCase), {"isServer": isServer})
        result = unittest.TestResult()
        made(test).run(result)
        self.assertEqual(result.testsRun, 1)
        isGood = result.wasSuccessful()
        # What has failed may leave failures that nobody looks at.
        del made, result
        gc.collect()
        self.flushLoggedErrors()
        return isGood

    def assertNoticed(self, case: type[Conformance], *tests: str) -> None:
        """
        Each of these tests fails, which passes without the flaw, for a client
        and for a server; one that has nothing to do with it passes.
        """
        for isServer in (False, True):
            for test in tests:
                self.assertFalse(self.outcome(case, test, isServer), test)
                self.assertTrue(self.outcome(Everywhere, test, isServer), test)
            self.assertTrue(self.outcome(case, "test_applicationProtocols", isServer))

    def streams(self, kind: type[SslStream]) -> type[Conformance]:
        """
        The suite for another kind of streams.
        """

        class Case(Conformance):
            def makeStream(self, transport: Any, clock: Any, **arguments: Any) -> Any:
                return kind(transport, clock=clock, **arguments)

        return Case

    def wires(self, kind: type[Wire]) -> type[Conformance]:
        """
        The suite for another kind of wire.
        """

        class Flawed(MemoryTestWire):
            wireClass = kind

        class Case(Conformance):
            def makeWire(self) -> Any:
                return Flawed()

        return Case

    def test_streams(self) -> None:
        """
        Whatever a stream does wrong is noticed.
        """
        for kind, tests in FLAWS.items():
            self.assertNoticed(self.streams(kind), *tests)
        Clinging.known.clear()

    def test_wires(self) -> None:
        """
        A wire that loses, changes or conceals something is noticed.
        """
        for kind, tests in (
            (Leaky, ("test_echo", "test_oneWrite", "test_heldBack")),
            (Shuffling, ("test_echo", "test_oneWrite", "test_heldBack")),
            (Secretive, ("test_truncated", "test_leftAtOnce", "test_toldWhenGone")),
        ):
            self.assertNoticed(self.wires(kind), *tests)

    def test_anotherProtocol(self) -> None:
        """
        Twisted's own TLS, whose applications are connected before anybody is
        authenticated, is no substitute.
        """

        class Case(Conformance):
            def makeProtocol(
                self, options: Any, isClient: bool, application: Any, clock: Any
            ) -> Any:
                context = (
                    optionsForClientTLS("localhost", trustRootFromCertificates([ROOT]))
                    if isClient
                    else PrivateCertificate.loadPEM(
                        certificatePEM(SERVER) + keyPEM(SERVER)
                    ).options()
                )
                applications = Factory.forProtocol([application].pop)
                return TLSMemoryBIOFactory(context, isClient, applications, clock).buildProtocol(
                    None
                )

        self.assertNoticed(Case, "test_leftMidway", "test_certificateAtOnce")


#: What is wrong, and which tests notice it.
FLAWS: dict[type[SslStream], tuple[str, ...]] = {
    Short: ("test_echo", "test_oneWrite", "test_crowd", "test_heldBack"),
    Hasty: ("test_nothingWaits",),
    Impolite: ("test_closeNotifyOnce", "test_fullAtTheEnd", "test_halfClose"),
    Credulous: ("test_truncated", "test_table", "test_insideRecord", "test_readToTheEnd"),
    Trusting: ("test_unknownAuthority", "test_alertFirst", "test_callbackFails"),
    Unbounded: ("test_heldBack", "test_second", "test_breaksMeanwhile"),
    Endless: ("test_timeouts", "test_readAgain", "test_silentPeer", "test_nothingLeftOfPatience"),
    Forward: ("test_notByItself", "test_deciding", "test_manyCallers"),
    Clinging: ("test_nothingLeft", "test_nothingLeftOfHandshake", "test_dropped"),
    Talkative: ("test_silentLog",),
    Greedy: ("test_unwrap",),
    Forgetful: ("test_givenUp",),
}
