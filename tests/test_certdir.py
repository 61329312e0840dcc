"""
Tests for L{txsslstream.certdir}: the certificates of a directory, by name, while
files come, change and go.
"""

from __future__ import annotations

import gc
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives import hashes
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.files import TimedFilesMixin
from tests.garbage import withoutCollector
from tests.streams import StreamMixin
from tests.support import AUTHORITY
from tests.test_reload import ERROR, INFO, PASSWORD, SECONDS, WEAK, both
from txsslstream import (
    AuthenticationError,
    CertificateDirectory,
    CertificateError,
    HandshakeFailureReason,
    InvalidOperationError,
    ReloadingCertificate,
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    TlsAlert,
    certdir,
)
from txsslstream.reload import INTERVAL, PATIENCE, SETTLING
from txsslstream.testing import StreamPair, certificatePEM, keyPEM, perVersion, rsaKey

ONE = AUTHORITY.issue("one.example", "www.one.example", subject="one")
TWO = AUTHORITY.issue("two.example", "*.two.example", "192.0.2.2", subject="two")
#: The same names again, and others.
OTHER = AUTHORITY.issue("one.example", "other.example", subject="other")
MORE = AUTHORITY.issue("more.example", subject="more", key=rsaKey())
DEFAULT = AUTHORITY.issue("default.example", subject="default")
NAMELESS = AUTHORITY.issue("192.0.2.3", "somebody@example.com", subject="nameless")

NO_FILE = "No such file or directory"


class DirectoryMixin(TimedFilesMixin):
    """
    A directory with the files F{one.pem} and F{two.pem}, written long ago.
    """

    def setUp(self) -> None:
        """
        Write the files.
        """
        super().setUp()
        self.put("one.pem", both(ONE), age=100)
        self.put("two.pem", both(TWO), age=100)

    def selecting(self, *arguments: Any, **more: Any) -> CertificateDirectory:
        """
        @return: what selects among the files.
        """
        return CertificateDirectory(self.directory, *arguments, **{"clock": self.clock, **more})

    def pass_(self, seconds: float, directory: CertificateDirectory) -> None:
        """
        Let time pass, in which clients come often.
        """
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(SETTLING, end - self.clock.seconds()))
            for host in ("one.example", "anything.example"):
                found = directory(None, host)
                # As handshakes do.
                assert found is None or found.current is not None

    def assertServes(
        self, directory: CertificateDirectory, **expected: SslStreamCertificateContext | None
    ) -> None:
        """
        Check what is selected for some names, which are given without their
        C{.example}.
        """
        for label, context in expected.items():
            found = directory(None, f"{label.replace('_', '.')}.example")
            self.assertEqual(found and found.current, context, label)

    @contextmanager
    def logs(self, *expected: tuple[Any, str]) -> Iterator[None]:
        """
        Exactly this is logged, with these levels and texts behind the path of
        the directory; no secret among it.
        """
        with capturedLogs() as events:
            yield
        said = [(each["log_level"], formatEvent(each)) for each in events]
        self.assertEqual(said, [(level, f"{self.directory}{text}") for level, text in expected])
        self.assertNotIn(PASSWORD.decode(), repr(events))


class NamesTests(DirectoryMixin, SynchronousTestCase):
    """
    What is selected for which name.
    """

    def test_names(self) -> None:
        """
        Each certificate is selected for its hosts and wildcards, in any case,
        and for nothing else; without a default, nothing is for other names.
        """
        with self.logs():
            directory = self.selecting()
            self.assertServes(
                directory,
                one=ONE,
                www_one=ONE,
                ONE=ONE,
                two=TWO,
                any_two=TWO,
                a_b_two=None,
                any_one=None,
                three=None,
            )
            self.assertIsNone(directory(None, ""))
            self.assertIsNone(directory(None, "192.0.2.2"))
        self.assertEqual(directory.problems, ())

    def test_default(self) -> None:
        """
        The default is for other names and for none, in any form that options
        take.
        """
        path = self.file(both(DEFAULT), "default")
        for default in (DEFAULT, str(path), ReloadingCertificate.fromPEM(path)):
            directory = self.selecting(default)
            self.assertServes(directory, one=ONE)
            for host in ("other.example", ""):
                found = directory(None, host)
                assert found is not None
                self.assertEqual(found.current.certificate, DEFAULT.certificate)

    def test_odd(self) -> None:
        """
        Names that no client could ask for are left out, the others count.
        """
        odd = AUTHORITY.issue("*", "w*.odd.example", "10.0.0.1", "odd.example", "Odd.example")
        self.put("odd.pem", both(odd))
        self.assertServes(self.selecting(), odd=odd, www_odd=None)

    def test_whichFiles(self) -> None:
        """
        Only files that end in C{.pem} and are not hidden are read.
        """
        for name in (".hidden.pem", "..data.pem", "one.pem.new", "one.PEM", "readme.txt"):
            self.put(name, b"nonsense")
        (self.directory / "sub").mkdir()
        self.put("sub/one.pem", b"nonsense")
        self.assertServes(self.selecting(), one=ONE)

    def test_intermediates(self) -> None:
        """
        What stands in the file behind the certificate is sent with it.
        """
        more = AUTHORITY.issue("more.example")
        between = AUTHORITY.issue("between")
        self.put("more.pem", both(more) + certificatePEM(between))
        found = self.selecting()(None, "more.example")
        assert found is not None
        self.assertEqual(found.current.intermediates, (between.certificate,))

    def test_password(self) -> None:
        """
        The password, or the callback for it, is for all keys that are
        encrypted.
        """
        self.put("more.pem", certificatePEM(MORE) + keyPEM(MORE, PASSWORD))
        asked: list[str] = []

        def password(path: str) -> bytes:
            asked.append(path)
            return PASSWORD

        self.assertServes(self.selecting(None, password), one=ONE, more=MORE)
        self.assertEqual(asked, [str(self.directory / "more.pem")])
        for name, context in (("one.pem", ONE), ("two.pem", TWO)):
            self.put(name, certificatePEM(context) + keyPEM(context, PASSWORD))
        self.assertServes(self.selecting(password=PASSWORD), one=ONE, more=MORE)

    def test_relative(self) -> None:
        """
        A relative path is below the working directory of the moment.
        """
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.directory.parent)
        directory = CertificateDirectory(self.directory.name, clock=self.clock)
        os.chdir("/")
        self.put("more.pem", both(MORE))
        self.clock.advance(INTERVAL)
        self.assertServes(directory, one=ONE, more=MORE)

    def test_repr(self) -> None:
        """
        It tells the path and the names.
        """
        names = "['*.two.example', 'one.example', 'two.example', 'www.one.example']"
        self.assertEqual(
            repr(self.selecting()),
            f"<CertificateDirectory {str(self.directory)!r} <ServerNames {names}>>",
        )


class FirstTests(DirectoryMixin, SynchronousTestCase):
    """
    What is refused at first.
    """

    def refusal(self, *arguments: Any, **more: Any) -> str:
        """
        @return: why nothing is made of the directory.
        """
        return str(self.assertRaises(CertificateError, self.selecting, *arguments, **more))

    def test_directory(self) -> None:
        """
        A directory that is missing, is none, or has no file to read is named.
        """
        path = self.directory
        self.directory = path / "missing"
        self.assertEqual(self.refusal(), f"{self.directory}: {NO_FILE}")
        self.directory = path / "one.pem"
        self.assertEqual(self.refusal(), f"{self.directory}: Not a directory")
        self.directory = path / "empty"
        self.directory.mkdir()
        self.assertEqual(self.refusal(), f"{self.directory}: no .pem file in it")

    def test_files(self) -> None:
        """
        A file that cannot be used is named with the reason.
        """
        for data, reason in (
            (b"nonsense", "no certificate in it"),
            (certificatePEM(MORE), "no private key in it"),
            (both(NAMELESS), "it is for no name that a client could ask for"),
            (
                certificatePEM(MORE) + keyPEM(MORE, PASSWORD),
                "the private key is encrypted: a password is needed",
            ),
        ):
            path = self.put("more.pem", data)
            self.assertEqual(self.refusal(), f"{path}: {reason}")

    def test_otherKey(self) -> None:
        """
        So is one with the key of another certificate, and one that OpenSSL does
        not take.
        """
        path = self.put("more.pem", certificatePEM(MORE) + keyPEM(ONE))
        self.assertIn(f"{path}: no certificate belongs to the private key", self.refusal())
        self.put("more.pem", both(WEAK))
        self.assertIn("OpenSSL refuses CN=weak: ", self.refusal())

    def test_twice(self) -> None:
        """
        Two files for one name are both named.
        """
        other = self.put("other.pem", both(OTHER))
        one = self.directory / "one.pem"
        self.assertEqual(self.refusal(), f"{other}: not used for one.example, which is in {one}")

    def test_default(self) -> None:
        """
        A default that cannot be used is an error.
        """
        missing = str(self.directory / "missing")
        self.assertEqual(self.refusal(missing), f"{missing}: {NO_FILE}")
        self.assertIn("no private key", self.refusal(DEFAULT.certificate))

    def test_interval(self) -> None:
        """
        An interval is a positive time.
        """
        for interval in (0, -1, float("nan"), float("inf")):
            error = self.assertRaises(ValueError, self.selecting, interval=interval)
            self.assertIn(repr(interval), str(error))


class LaterTests(DirectoryMixin, SynchronousTestCase):
    """
    What becomes of files that come, change and go.
    """

    def test_interval(self) -> None:
        """
        The directory is looked at once in an interval, however many ask, and
        again if the clock was set back.
        """
        directory = self.selecting(interval=10)
        looks: list[str] = []
        listdir = os.listdir

        def looking(path: str) -> list[str]:
            looks.append(path)
            return listdir(path)

        self.patch(os, "listdir", looking)
        for seconds, expected in ((0, 0), (9, 0), (1, 1), (0, 1), (9.5, 1), (0.5, 2)):
            self.clock.advance(seconds)
            for _ in range(3):
                self.assertServes(directory, one=ONE)
            self.assertEqual(looks, [str(self.directory)] * expected)
        self.clock.rightNow -= 500
        self.assertServes(directory, one=ONE)
        self.assertEqual(len(looks), 3)

    def test_defaultClock(self) -> None:
        """
        Unless told otherwise, it is the system's monotonic clock that counts,
        and a minute.
        """
        with patch.object(time, "monotonic", self.clock.seconds):
            directory = self.selecting(clock=None)
            self.put("more.pem", both(MORE))
            self.clock.advance(59)
            self.assertServes(directory, more=None)
            self.clock.advance(1)
            self.assertServes(directory, more=MORE)

    def test_added(self) -> None:
        """
        A file that is added is served from, and the log says so, once.
        """
        directory = self.selecting()
        self.put("more.pem", both(MORE))
        with self.logs():
            self.clock.advance(INTERVAL - 1)
            self.assertServes(directory, more=None)
        with self.logs((INFO, "/more.pem: now serving more.example")):
            self.clock.advance(1)
            self.assertServes(directory, one=ONE, more=MORE)
            self.pass_(2 * INTERVAL, directory)

    def test_changed(self) -> None:
        """
        A file that is replaced is served from under its new names, and no longer
        under its old ones.
        """
        directory = self.selecting(interval=10)
        self.replace("one.pem", both(MORE))
        self.clock.advance(10)
        certificate = MORE.certificate
        said = (
            "/one.pem: now serving more, valid until "
            f"{certificate.not_valid_after_utc:{SECONDS}}, "
            f"SHA-256 {certificate.fingerprint(hashes.SHA256()).hex()}"
        )
        with self.logs((INFO, said)):
            self.assertServes(directory, one=None, www_one=None, more=MORE, two=TWO)

    def test_inUse(self) -> None:
        """
        What was selected stays what it is.
        """
        directory = self.selecting()
        found = directory(None, "one.example")
        assert found is not None
        before = found.current
        (self.directory / "one.pem").unlink()
        self.pass_(INTERVAL + PATIENCE, directory)
        self.assertServes(directory, one=None)
        self.assertEqual(before, ONE)

    def test_removed(self) -> None:
        """
        A file that is gone is served from for some time, in which it may be
        written anew, and then no more; the log says so.
        """
        directory = self.selecting()
        (self.directory / "one.pem").unlink()
        with self.logs():
            self.clock.advance(INTERVAL)
            self.assertServes(directory, one=ONE)
            self.pass_(PATIENCE - SETTLING, directory)
            self.assertServes(directory, one=ONE)
        said = "/one.pem: gone, and no longer serving one.example, www.one.example"
        with self.logs((INFO, said)):
            self.pass_(SETTLING, directory)
            self.assertServes(directory, one=None, two=TWO)
            self.pass_(INTERVAL, directory)
        with self.logs((INFO, "/one.pem: now serving one.example, www.one.example")):
            self.put("one.pem", both(ONE))
            self.pass_(INTERVAL, directory)
            self.assertServes(directory, one=ONE)

    def test_removedForAMoment(self) -> None:
        """
        One that is there again soon has never been gone.
        """
        directory = self.selecting()
        with self.logs():
            (self.directory / "one.pem").unlink()
            self.clock.advance(INTERVAL)
            self.assertServes(directory, one=ONE)
            self.put("one.pem", both(ONE))
            self.pass_(PATIENCE + INTERVAL, directory)
            self.assertServes(directory, one=ONE)
            # Nor does it add up.
            (self.directory / "one.pem").unlink()
            self.pass_(INTERVAL, directory)
            self.assertServes(directory, one=ONE)
        self.assertEqual(directory.problems, ())

    def test_bad(self) -> None:
        """
        A new file that cannot be used is an error in the log, once, after some
        time; the others are served, and so is it when it is repaired.
        """
        directory = self.selecting()
        self.put("more.pem", certificatePEM(MORE))
        with self.logs():
            self.clock.advance(INTERVAL)
            self.assertServes(directory, one=ONE, more=None)
            self.pass_(PATIENCE - SETTLING, directory)
            self.assertEqual(directory.problems, ())
        with self.logs((ERROR, "/more.pem: not used: no private key in it")):
            self.pass_(SETTLING, directory)
            self.pass_(3 * INTERVAL, directory)
        self.assertEqual(
            directory.problems, (f"{self.directory}/more.pem: not used: no private key in it",)
        )
        with self.logs((ERROR, "/more.pem: not used: no certificate in it")):
            self.put("more.pem", b"nonsense")
            self.pass_(INTERVAL + PATIENCE, directory)
        with self.logs((INFO, "/more.pem: now serving more.example")):
            self.put("more.pem", both(MORE))
            self.pass_(INTERVAL, directory)
            self.assertServes(directory, one=ONE, more=MORE)
        self.assertEqual(directory.problems, ())

    def test_written(self) -> None:
        """
        A new file that is not yet complete is served from as soon as it is, and
        nothing is said of what it was.
        """
        directory = self.selecting()
        self.put("more.pem", certificatePEM(MORE))
        self.clock.advance(INTERVAL)
        self.assertServes(directory, more=None)
        self.put("more.pem", both(MORE))
        with self.logs((INFO, "/more.pem: now serving more.example")):
            self.pass_(SETTLING, directory)
            self.assertServes(directory, more=MORE)

    def test_badNow(self) -> None:
        """
        A file that can no longer be used, or is for no name any more, keeps what
        it was in service; the log has an error.
        """
        for data, reason in (
            (b"nonsense", "no certificate in it"),
            (both(NAMELESS), "it is for no name that a client could ask for"),
        ):
            self.put("one.pem", both(ONE), age=100)
            directory = self.selecting()
            self.put("one.pem", data)
            said = f"/one.pem: not used, one stays in service: {reason}"
            with self.logs((ERROR, said)):
                self.pass_(2 * INTERVAL, directory)
                self.assertServes(directory, one=ONE, two=TWO)
            self.assertEqual(directory.problems, (f"{self.directory}/one.pem: {reason}",))

    def test_conflict(self) -> None:
        """
        A file that is for a name of another one is not used for that, but for
        its other names, and for all when the other is gone.
        """
        directory = self.selecting()
        self.put("a.pem", both(OTHER))
        said = f"/a.pem: not used for one.example, which is in {self.directory}/one.pem"
        with self.logs(
            (INFO, "/a.pem: now serving one.example, other.example"),
            (ERROR, said),
        ):
            self.pass_(INTERVAL + PATIENCE, directory)
            self.assertServes(directory, one=ONE, www_one=ONE, other=OTHER)
            self.pass_(INTERVAL, directory)
        self.assertEqual(directory.problems, (f"{self.directory}{said}",))
        (self.directory / "one.pem").unlink()
        self.pass_(INTERVAL + PATIENCE, directory)
        self.assertServes(directory, one=OTHER, www_one=None, other=OTHER)
        self.assertEqual(directory.problems, ())

    def test_directory(self) -> None:
        """
        A directory that is gone, or empty as if something were not mounted,
        keeps everything in service; the log has an error, once.
        """
        for isEmpty, reason in ((False, NO_FILE), (True, "no .pem file in it")):
            directory = self.selecting()
            away = self.directory.with_name(f"{self.directory.name}.away")
            os.rename(self.directory, away)
            if isEmpty:
                self.directory.mkdir()
            with patch.object(ReloadingCertificate, "_failed"):
                with self.logs((ERROR, f": not looked through: {reason}")):
                    self.pass_(3 * INTERVAL, directory)
                    self.assertServes(directory, one=ONE, two=TWO)
                self.assertEqual(
                    directory.problems, (f"{self.directory}: not looked through: {reason}",)
                )
            if isEmpty:
                self.directory.rmdir()
            os.rename(away, self.directory)
            self.pass_(INTERVAL, directory)
            self.assertServes(directory, one=ONE, two=TWO)
            self.assertEqual(directory.problems, ())

    def test_unexpected(self) -> None:
        """
        Whatever reading a file raises, the others are served; the log does not
        quote it.
        """
        directory = self.selecting()
        self.put("more.pem", both(MORE))

        def load(path: str, password: object) -> None:
            raise RuntimeError(PASSWORD.decode())

        self.patch(certdir, "_load", load)
        said = "/more.pem: not used: it cannot be read (RuntimeError)"
        with self.logs((ERROR, said)):
            self.pass_(INTERVAL + PATIENCE, directory)
            self.assertServes(directory, one=ONE, more=None)

    def test_gone(self) -> None:
        """
        Nothing holds what nobody uses any more.
        """
        withoutCollector(self)
        directory = self.selecting()
        directory.keepFitFor(parametersWith(directory))
        (self.directory / "one.pem").unlink()
        found = directory(None, "one.example")
        one, two = weakref.ref(found), weakref.ref(directory)
        del found
        self.pass_(INTERVAL + PATIENCE, directory)
        self.assertIsNone(one())
        del directory
        self.assertIsNone(two())


def parametersWith(directory: CertificateDirectory, **options: Any) -> Any:
    """
    @return: what a server has that selects from a directory.
    """
    return SslServerAuthenticationOptions(
        serverCertificateSelectionCallback=directory, **options
    ).parameters


class FitTests(DirectoryMixin, SynchronousTestCase):
    """
    L{CertificateDirectory.keepFitFor}.
    """

    #: What no RSA key can.
    ALGORITHMS = ("ecdsa_secp256r1_sha256",)

    def test_atOnce(self) -> None:
        """
        A file, or the default, that is not fit is refused.
        """
        for default, files in ((MORE, {}), (DEFAULT, {"more.pem": both(MORE)})):
            for name, data in files.items():
                self.put(name, data)
            directory = self.selecting(default)
            directory.keepFitFor(parametersWith(directory))
            parameters = parametersWith(directory, signatureAlgorithms=self.ALGORITHMS)
            error = self.assertRaises(InvalidOperationError, directory.keepFitFor, parameters)
            self.assertIn("the key of CN=more cannot sign", str(error))

    def test_later(self) -> None:
        """
        So is one that comes, and what a file becomes, or the default: what was
        there stays.
        """
        default = ReloadingCertificate.fromPEM(
            self.put("default", both(DEFAULT), age=100), clock=self.clock
        )
        directory = self.selecting(default)
        directory.keepFitFor(parametersWith(directory, signatureAlgorithms=self.ALGORITHMS))
        gc.collect()
        for name in ("one.pem", "more.pem", "default"):
            self.put(name, both(MORE))
        self.pass_(INTERVAL + PATIENCE, directory)
        self.assertServes(directory, one=ONE, two=TWO, more=DEFAULT)
        reasons = [problem.rpartition(": ")[2] for problem in directory.problems]
        self.assertEqual(len(reasons), 2)
        for reason in reasons:
            self.assertIn("the key of CN=more cannot sign", reason)
        assert default.problem is not None
        self.assertIn("the key of CN=more cannot sign", default.problem)


@perVersion()
class HandshakeTests(DirectoryMixin, StreamMixin):
    """
    Servers that select from a directory.
    """

    def handshake(self, host: str, directory: CertificateDirectory) -> tuple[StreamPair, Any, Any]:
        """
        Have a client ask for a host.
        """
        pair = StreamPair(self.segment)
        client, server = pair.authenticate(
            self.version,
            {"targetHost": host},
            {"serverCertificateSelectionCallback": directory},
        )
        return pair, client, server

    def test_selected(self) -> None:
        """
        Each client gets the certificate of the host that it asks for.
        """
        directory = self.selecting()
        for host, context in (("one.example", ONE), ("www.two.example", TWO)):
            pair, *sides = self.handshake(host, directory)
            for side in sides:
                self.successResultOf(side)
            self.assertEqual(pair.client.remoteCertificate, context.certificate)

    def test_unknown(self) -> None:
        """
        One that asks for another host is refused with C{unrecognized_name}, and
        accepted when there is a file for it.
        """
        directory = self.selecting()
        _, client, server = self.handshake("more.example", directory)
        error = self.failure(client, AuthenticationError)
        self.assertIs(error.alert, TlsAlert.unrecognized_name)
        error = self.failure(server, AuthenticationError)
        self.assertIs(error.reason, HandshakeFailureReason.serverNameUnknown)
        self.put("more.pem", both(MORE))
        self.clock.advance(INTERVAL)
        pair, *sides = self.handshake("more.example", directory)
        for side in sides:
            self.successResultOf(side)
        self.assertEqual(pair.client.remoteCertificate, MORE.certificate)
