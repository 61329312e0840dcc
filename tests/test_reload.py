"""
Tests for L{txsslstream.reload}: certificates that are renewed on disk, rightly
and wrongly, while they are in use.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cryptography.hazmat.primitives import hashes
from twisted.internet import inotify
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.files import TimedFilesMixin
from tests.garbage import withoutCollector
from tests.streams import StreamMixin
from tests.support import AUTHORITY, SERVER, clientOptions, serverOptions
from tests.watching import INOTIFY, openFiles
from txsslstream import (
    AuthenticationError,
    CertificateError,
    HttpRetriever,
    InvalidOperationError,
    ReloadingCertificate,
    SslStreamCertificateContext,
    TlsAlert,
    _openssl,
    reload,
)
from txsslstream._openssl import contextFor
from txsslstream.reload import INTERVAL, PATIENCE, SETTLING
from txsslstream.storefiles import identityOf
from txsslstream.testing import (
    DAY,
    NOW,
    StreamPair,
    certificatePEM,
    keyPEM,
    perVersion,
    pfx,
    rsaKey,
)

if TYPE_CHECKING:
    _Mixin = SynchronousTestCase
else:
    _Mixin = object

OLD = AUTHORITY.issue("localhost", subject="old")
NEW = AUTHORITY.issue("localhost", subject="new")
NEWER = AUTHORITY.issue("localhost", subject="newer")
EXPIRED = AUTHORITY.issue("localhost", subject="expired", notAfter=NOW - DAY / 2)
COMING = AUTHORITY.issue("localhost", subject="coming", notBefore=NOW + DAY)
#: OpenSSL refuses such a key.
WEAK = AUTHORITY.issue("localhost", subject="weak", key=rsaKey(bits=1024))

#: How times are written.
SECONDS = "%Y-%m-%d %H:%M:%S UTC"

PASSWORD = b"correct horse"

#: What makes the content of two files.
WRITERS: dict[str, Callable[[SslStreamCertificateContext], bytes]] = {
    "cert.pem": certificatePEM,
    "key.pem": keyPEM,
}

INFO, WARN, ERROR = LogLevel.info, LogLevel.warn, LogLevel.error

_Context = SslStreamCertificateContext


def both(context: _Context) -> bytes:
    """
    @return: a certificate with its key as PEM.
    """
    return certificatePEM(context) + keyPEM(context)


class ReloadingMixin(TimedFilesMixin):
    """
    Files that are renewed.

    @ivar path: a file with L{OLD} and its key, written long ago.
    """

    def setUp(self) -> None:
        """
        Write the file.
        """
        super().setUp()
        self.path = self.put("cert.pem", both(OLD), age=100)
        self.made: list[ReloadingCertificate] = []
        self.addCleanup(self.checkNothingLeft)

    def checkNothingLeft(self) -> None:
        """
        Whoever stops watching leaves nothing behind.
        """
        for each in self.made:
            each.stopWatching()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.clock.readers, [])

    def link(self, name: str, target: str) -> None:
        """
        Have a link lead elsewhere, at once.
        """
        os.symlink(target, self.directory / f"{name}.new")
        os.replace(self.directory / f"{name}.new", self.directory / name)

    def reloading(self, *paths: Path, **more: Any) -> ReloadingCertificate:
        """
        @return: what serves from these files, or the one.
        """
        path, *key = paths or (self.path,)
        more = {"clock": self.clock, "privateKeyPath": key[0] if key else None, **more}
        made = ReloadingCertificate.fromPEM(path, **more)
        self.made.append(made)
        return made

    def assertServes(self, certificate: ReloadingCertificate, context: _Context) -> None:
        """
        Check what is in service, with its key.
        """
        current = certificate.current
        self.assertEqual(current.certificate, context.certificate)
        self.assertEqual(keyPEM(current), keyPEM(context))

    @contextmanager
    def logs(self, *expected: tuple[Any, str]) -> Iterator[None]:
        """
        Exactly this is logged, with these levels and texts behind the path; no
        secret among it.
        """
        with capturedLogs() as events:
            yield
        said = [(each["log_level"], formatEvent(each)) for each in events]
        self.assertEqual(said, [(level, f"{self.path}: {text}") for level, text in expected])
        self.assertNotIn(PASSWORD.decode(), repr(events))

    def silence(self) -> Any:
        """
        Nothing is logged.
        """
        return self.logs()

    def serving(self, context: _Context) -> tuple[Any, str]:
        """
        @return: how it is logged that a certificate is in service now.
        """
        certificate = context.certificate
        name = certificate.subject.rfc4514_string().removeprefix("CN=")
        return INFO, (
            f"now serving {name}, valid until {certificate.not_valid_after_utc:{SECONDS}}"
            f", SHA-256 {certificate.fingerprint(hashes.SHA256()).hex()}"
        )

    def unused(self, reason: str, name: str = "old") -> tuple[Any, str]:
        """
        @return: how it is logged that files cannot be used.
        """
        # The file is named once.
        reason = reason.removeprefix(f"{self.path}: ")
        return ERROR, f"not used, {name} stays in service: {reason}"

    def inOrder(self, name: str = "old") -> tuple[Any, str]:
        """
        @return: how it is logged that files hold what is in service, again.
        """
        return INFO, f"in order again, {name} stays in service"


class ByTimeTests(ReloadingMixin, SynchronousTestCase):
    """
    What is in service when nobody watches.
    """

    def test_unchanged(self) -> None:
        """
        As long as nothing changes, the same context is in service, the files
        are not read again, and nothing is logged.
        """
        reads: list[str] = []

        def load() -> _Context:
            reads.append("read")
            return OLD

        with self.silence():
            certificate = ReloadingCertificate(load, [self.path], clock=self.clock)
            for _ in range(5):
                self.assertIs(certificate.current, OLD)
                self.clock.advance(INTERVAL)
        self.assertEqual(reads, ["read"])
        self.assertIsNone(certificate.problem)

    def looks(self) -> list[object]:
        """
        @return: whatever is looked at from now on.
        """
        looks: list[object] = []
        stat = os.stat

        def looking(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
            looks.append(path)
            return stat(path, *arguments, **more)

        self.patch(os, "stat", looking)
        return looks

    def test_interval(self) -> None:
        """
        The files are looked at once in an interval, however many ask.
        """
        certificate = self.reloading(interval=10)
        looks = self.looks()
        for seconds, expected in ((0, 0), (9, 0), (1, 1), (0, 1), (9.5, 1), (0.5, 2), (1000, 3)):
            self.clock.advance(seconds)
            for _ in range(3):
                self.assertIsInstance(certificate.current, _Context)
            self.assertEqual(looks, [str(self.path)] * expected)

    def test_defaultClock(self) -> None:
        """
        Unless told otherwise, it is the system's monotonic clock that counts.
        """
        with patch.object(time, "monotonic", self.clock.seconds):
            certificate = self.reloading(clock=None)
            self.put("cert.pem", both(NEW))
            self.clock.advance(INTERVAL - 1)
            self.assertServes(certificate, OLD)
            self.clock.advance(1)
            self.assertServes(certificate, NEW)

    def test_clockSetBack(self) -> None:
        """
        A clock that is set back does not put the next look off.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(NEW), age=100)
        self.clock.rightNow -= 500
        self.assertServes(certificate, NEW)

    def test_written(self) -> None:
        """
        A file that is written to, be it of the same size, is served from after
        the interval, and the log says so, once.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(NEW))
        with self.silence():
            self.clock.advance(INTERVAL - 1)
            self.assertServes(certificate, OLD)
        with self.logs(self.serving(NEW)):
            self.clock.advance(1)
            for _ in range(5):
                self.assertServes(certificate, NEW)
                self.clock.advance(INTERVAL)
        self.assertIsNone(certificate.problem)

    def test_replaced(self) -> None:
        """
        A file that has got another's name is served from, though it be as old.
        """
        certificate = self.reloading()
        old = self.path.stat()
        self.replace("cert.pem", both(NEW))
        os.utime(self.path, ns=(old.st_atime_ns, old.st_mtime_ns))
        self.clock.advance(INTERVAL)
        with self.logs(self.serving(NEW)):
            self.assertServes(certificate, NEW)

    def test_touched(self) -> None:
        """
        A file that is written again with the same certificate changes nothing.
        """
        certificate = self.reloading()
        before = certificate.current
        self.replace("cert.pem", both(OLD))
        self.clock.advance(INTERVAL)
        with self.silence():
            self.assertIs(certificate.current, before)

    def test_kubernetes(self) -> None:
        """
        Files that are links through a link to a directory are served from when
        that link leads elsewhere.
        """
        for number, context in enumerate((OLD, NEW)):
            (self.directory / f"..{number}").mkdir()
            self.put(f"..{number}/tls.crt", certificatePEM(context), age=10)
            self.put(f"..{number}/tls.key", keyPEM(context), age=10)
        paths = [self.directory / name for name in ("tls.crt", "tls.key")]
        self.link("..data", "..0")
        for each in paths:
            each.symlink_to(f"..data/{each.name}")
        certificate = self.reloading(*paths)
        self.link("..data", "..1")
        shutil.rmtree(self.directory / "..0")
        self.clock.advance(INTERVAL)
        self.path = paths[0]
        with self.logs(self.serving(NEW)):
            self.assertServes(certificate, NEW)

    def test_certbot(self) -> None:
        """
        Links that lead to other files, one after the other, are followed once
        both do.
        """
        for number, context in enumerate((OLD, NEW)):
            self.put(f"chain{number}.pem", certificatePEM(context), age=10)
            self.put(f"key{number}.pem", keyPEM(context), age=10)
        self.link("chain.pem", "chain0.pem")
        self.link("key.pem", "key0.pem")
        self.path = self.directory / "chain.pem"
        certificate = self.reloading(self.path, self.directory / "key.pem")
        self.link("chain.pem", "chain1.pem")
        self.clock.advance(INTERVAL)
        with self.silence():
            self.assertServes(certificate, OLD)
            self.clock.advance(SETTLING)
            self.assertServes(certificate, OLD)
        self.link("key.pem", "key1.pem")
        self.clock.advance(SETTLING)
        with self.logs(self.serving(NEW)):
            self.assertServes(certificate, NEW)

    def test_eitherOrder(self) -> None:
        """
        Two files are served from once both are new, whichever is so first; in
        between the old ones stay in service, without a word.
        """
        files = WRITERS
        for names in (list(files), list(files)[::-1]):
            for name, write in files.items():
                self.put(name, write(OLD), age=10)
            certificate = self.reloading(*(self.directory / name for name in files))
            with self.silence():
                self.put(names[0], files[names[0]](NEW))
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, OLD)
                self.clock.advance(SETTLING)
                self.assertServes(certificate, OLD)
            with self.logs(self.serving(NEW)):
                self.put(names[1], files[names[1]](NEW))
                self.clock.advance(SETTLING)
                self.assertServes(certificate, NEW)
            self.assertIsNone(certificate.problem)

    def test_young(self) -> None:
        """
        A file that was written to in this moment may not be whole yet, and is
        left alone until it is older.
        """
        certificate = self.reloading()
        self.clock.advance(INTERVAL)
        with self.silence():
            self.put("cert.pem", both(NEW)[:-30])
            self.assertServes(certificate, OLD)
            self.clock.advance(SETTLING)
            self.put("cert.pem", both(NEW), age=SETTLING - 0.01)
            self.assertServes(certificate, OLD)
        with self.logs(self.serving(NEW)):
            self.clock.advance(SETTLING)
            self.assertServes(certificate, NEW)

    def test_fromTheFuture(self) -> None:
        """
        A file that claims to be written some time from now is no younger for
        that.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(NEW), age=-500)
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEW)

    def test_sameTick(self) -> None:
        """
        What was written right after the files had been read, so soon that
        nothing shows it, is found all the same.
        """
        same = identityOf(self.path.stat())
        self.patch(reload, "identityOf", lambda info: same)
        self.touch(self.path, age=SETTLING / 2)
        certificate = self.reloading()
        self.put("cert.pem", both(NEW), age=SETTLING / 2)
        self.clock.advance(SETTLING)
        self.assertServes(certificate, NEW)
        self.put("cert.pem", both(NEWER), age=100)
        with self.silence():
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)

    def test_backInTime(self) -> None:
        """
        A link that leads to a young file and soon back again is no reason to
        look more often from then on.
        """
        self.link("link.pem", "cert.pem")
        certificate = self.reloading(self.directory / "link.pem")
        self.clock.advance(INTERVAL)
        self.put("young.pem", both(NEW))
        self.link("link.pem", "young.pem")
        self.assertServes(certificate, OLD)
        self.link("link.pem", "cert.pem")
        looks = self.looks()
        for seconds, expected in ((SETTLING, 1), (INTERVAL - 1, 1), (1, 2)):
            self.clock.advance(seconds)
            self.assertServes(certificate, OLD)
            self.assertEqual(len(looks), expected)

    def test_brokenAllTheTime(self) -> None:
        """
        A file that keeps changing, but is never in order, is an error after the
        same while.
        """
        certificate = self.reloading()
        self.clock.advance(INTERVAL)
        reason = f"{self.path}: no certificate in it"
        with self.silence():
            for _ in range(int(PATIENCE / SETTLING)):
                self.put("cert.pem", b"", age=SETTLING)
                self.assertServes(certificate, OLD)
                self.clock.advance(SETTLING)
        with self.logs(self.unused(reason)):
            self.put("cert.pem", b"", age=SETTLING)
            self.assertServes(certificate, OLD)

    def test_brokenOnceMore(self) -> None:
        """
        Once a file has been repaired it is not read again for nothing, and when
        it breaks again there is again a while without a word.
        """
        certificate = self.reloading()
        for context in (NEW, NEWER):
            old = certificate.current
            name = old.certificate.subject.rfc4514_string().removeprefix("CN=")
            self.put("cert.pem", b"")
            with self.silence():
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, old)
            with self.logs(self.unused("no certificate in it", name)):
                self.clock.advance(PATIENCE)
                self.assertServes(certificate, old)
            self.put("cert.pem", both(context))
            with self.logs(self.serving(context)):
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, context)
            with patch.object(certificate, "_load", lambda: 1 / 0), self.silence():
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, context)

    def test_broken(self) -> None:
        """
        Of a broken file, nothing is said for a while; then there is one error
        that tells what is wrong and what stays in service, and no more until
        the file is repaired.
        """
        certificate = self.reloading()
        self.put("cert.pem", certificatePEM(NEW) + b"-----BEGIN PRIVATE KEY-----\n")
        reason = f"{self.path}: no private key in it"
        with self.silence():
            self.clock.advance(INTERVAL)
            for _ in range(int(PATIENCE)):
                self.assertServes(certificate, OLD)
                self.assertIsNone(certificate.problem)
                self.clock.advance(SETTLING)
        with self.logs(self.unused(reason)):
            for _ in range(5):
                self.assertServes(certificate, OLD)
                self.assertEqual(certificate.problem, reason)
                self.clock.advance(INTERVAL)
        self.put("cert.pem", both(NEW))
        self.clock.advance(INTERVAL)
        with self.logs(self.serving(NEW)):
            self.assertServes(certificate, NEW)
        self.assertIsNone(certificate.problem)

    def test_brokenInOtherWays(self) -> None:
        """
        A file that is broken in another way is another error, after the same
        while; the same way at another time is one, too.
        """
        certificate = self.reloading()
        for data, reason in (
            (certificatePEM(NEW), "no private key in it"),
            (keyPEM(NEW), "no certificate in it"),
            (keyPEM(NEW), "no certificate in it"),
        ):
            self.put("cert.pem", data)
            with self.silence():
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, OLD)
                self.clock.advance(PATIENCE - 0.5)
                self.assertServes(certificate, OLD)
            with self.logs(self.unused(f"{self.path}: {reason}")):
                self.clock.advance(SETTLING)
                self.assertServes(certificate, OLD)
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, OLD)

    def test_restored(self) -> None:
        """
        If the old file comes back, the log says that all is well; if it does
        soon, there is nothing to say.
        """
        certificate = self.reloading()
        self.put("cert.pem", b"")
        with self.silence():
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, OLD)
            self.put("cert.pem", both(OLD))
            self.clock.advance(PATIENCE)
            self.assertServes(certificate, OLD)
        self.put("cert.pem", b"")
        with self.logs(self.unused(f"{self.path}: no certificate in it")):
            for seconds in (INTERVAL, PATIENCE):
                self.clock.advance(seconds)
                self.assertServes(certificate, OLD)
        self.put("cert.pem", both(OLD))
        with self.logs(self.inOrder()):
            for _ in range(3):
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, OLD)
        self.assertIsNone(certificate.problem)

    def test_missing(self) -> None:
        """
        A file that is gone is an error, too, and when it is back it is served
        from.
        """
        certificate = self.reloading()
        self.path.unlink()
        with self.logs(self.unused(f"{self.path}: No such file or directory")):
            for seconds in (INTERVAL, PATIENCE, INTERVAL):
                self.clock.advance(seconds)
                self.assertServes(certificate, OLD)
        self.put("cert.pem", both(NEW))
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEW)

    def test_otherKey(self) -> None:
        """
        A key that does not fit is an error with both fingerprints, and none as
        soon as it fits.
        """
        key = self.put("key.pem", keyPEM(OLD), age=100)
        certificate = self.reloading(self.path, key)
        self.put("cert.pem", certificatePEM(NEW))
        self.put("key.pem", keyPEM(NEWER))
        try:
            _Context.fromPEM(self.path, key)
        except CertificateError as e:
            reason = str(e)
        self.assertRegex(reason, "[0-9a-f]{64} of the private key, [0-9a-f]{64} in the cert")
        with self.logs(self.unused(reason)):
            for seconds in (INTERVAL, PATIENCE, INTERVAL):
                self.clock.advance(seconds)
                self.assertServes(certificate, OLD)
        self.put("key.pem", keyPEM(NEW))
        with self.logs(self.serving(NEW)):
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)

    def test_refusedByOpenSSL(self) -> None:
        """
        What OpenSSL does not take is not put into service, not even at first.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(WEAK))
        with self.logs(self.unused("OpenSSL refuses CN=weak: ee key too small")):
            for seconds in (INTERVAL, PATIENCE):
                self.clock.advance(seconds)
                self.assertServes(certificate, OLD)
        error = self.assertRaises(CertificateError, self.reloading)
        self.assertEqual(str(error), "OpenSSL refuses CN=weak: ee key too small")

    def test_unexpectedError(self) -> None:
        """
        Whatever goes wrong when files are read, the connection that has looked
        at them does not suffer from it.
        """
        certificate = self.reloading()
        self.patch(certificate, "_load", lambda: 1 / 0)
        self.replace("cert.pem", both(NEW))
        reason = f"{self.path}: it cannot be read (ZeroDivisionError)"
        with self.logs(self.unused(reason)):
            for seconds in (INTERVAL, PATIENCE):
                self.clock.advance(seconds)
                self.assertServes(certificate, OLD)

    def test_firstError(self) -> None:
        """
        Files that cannot be used at first are no certificate: what is wrong is
        raised.
        """
        for data, reason in (
            (b"", "no certificate in it"),
            (certificatePEM(OLD), "no private key in it"),
        ):
            path = self.put("bad.pem", data)
            error = self.assertRaises(CertificateError, self.reloading, path)
            self.assertEqual(str(error), f"{path}: {reason}")
        missing = self.directory / "none.pem"
        error = self.assertRaises(CertificateError, self.reloading, missing)
        self.assertEqual(str(error), f"{missing}: No such file or directory")

    def test_badInterval(self) -> None:
        """
        An interval that is no time is refused.
        """
        for interval in (0, -1, float("inf"), float("nan")):
            error = self.assertRaises(ValueError, self.reloading, interval=interval)
            self.assertEqual(
                str(error), f"interval is a positive number of seconds, not {interval!r}"
            )

    def test_shortInterval(self) -> None:
        """
        Whoever wants to look more often than files settle may.
        """
        certificate = self.reloading(interval=0.25)
        self.put("cert.pem", both(NEW))
        for _ in range(3):
            self.clock.advance(0.25)
            self.assertServes(certificate, OLD)
        self.clock.advance(0.25)
        self.assertServes(certificate, NEW)

    def test_relative(self) -> None:
        """
        A relative path means the working directory of the beginning, and what
        is behind a link is not taken for what is before it.
        """
        self.addCleanup(os.chdir, os.getcwd())
        (self.directory / "one" / "two").mkdir(parents=True)
        (self.directory / "link").symlink_to("one/two")
        path = self.put("one/cert.pem", both(OLD), age=100)
        os.chdir(self.directory)
        certificate = self.reloading(Path("link/../cert.pem"))
        os.chdir("/")
        self.put("one/cert.pem", both(NEW))
        self.clock.advance(INTERVAL)
        self.path = self.directory / "link" / ".." / "cert.pem"
        with self.logs(self.serving(NEW)):
            self.assertServes(certificate, NEW)
        self.assertTrue(path.exists())

    def test_options(self) -> None:
        """
        What is fetched for the certificate, and by what, is as it is said, for
        each that is read.
        """
        retriever = HttpRetriever()
        pfxPath = self.put("cert.pfx", pfx(OLD, PASSWORD), age=100)
        for make, path, password in (
            (ReloadingCertificate.fromPEM, self.path, None),
            (ReloadingCertificate.fromPFX, pfxPath, PASSWORD),
        ):
            certificate = make(
                path, password=password, clock=self.clock, offline=True, retriever=retriever
            )
            for _ in range(2):
                current = certificate.current
                self.assertEqual((current.offline, current.retriever), (True, retriever))
                path.write_bytes(both(NEW) if path is self.path else pfx(NEW, PASSWORD))
                self.touch(path)
                self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)
            online = make(path, password=password)
            self.assertEqual((online.current.offline, online.current.retriever), (False, None))

    def test_repr(self) -> None:
        """
        It shows its file and whom it serves, and nothing of the key.
        """
        self.assertEqual(repr(self.reloading()), f"<ReloadingCertificate '{self.path}' 'CN=old'>")

    def test_noCycle(self) -> None:
        """
        Whoever forgets it sets it free, whatever has happened.
        """
        withoutCollector(self)
        certificate = self.reloading()
        self.made.clear()
        for data in (both(NEW), b"", both(OLD)):
            self.put("cert.pem", data)
            for seconds in (INTERVAL, PATIENCE):
                self.clock.advance(seconds)
                self.assertIsNotNone(certificate.current)
        left = weakref.ref(certificate)
        del certificate
        self.assertIsNone(left())


class ValidityTests(ReloadingMixin, SynchronousTestCase):
    """
    Certificates that are not valid now.
    """

    def look(self, certificate: ReloadingCertificate, context: _Context) -> None:
        """
        Let enough time pass for whatever there is to say.
        """
        for seconds in (INTERVAL, PATIENCE, INTERVAL):
            self.clock.advance(seconds)
            self.assertServes(certificate, context)

    def test_expired(self) -> None:
        """
        A new certificate that has expired does not replace one that is valid.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(EXPIRED))
        day = f"{EXPIRED.certificate.not_valid_after_utc:{SECONDS}}"
        with self.logs(self.unused(f"{self.path}: expired expired {day}")):
            self.look(certificate, OLD)

    def test_notYetValid(self) -> None:
        """
        A new certificate that is not valid yet does not replace one that is,
        until it is.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(COMING))
        day = f"{COMING.certificate.not_valid_before_utc:{SECONDS}}"
        with self.logs(self.unused(f"{self.path}: coming is not valid before {day}")):
            self.look(certificate, OLD)
        with self.logs(self.serving(COMING)):
            self.clock.advance(DAY.total_seconds())
            self.look(certificate, COMING)

    def test_neither(self) -> None:
        """
        A new certificate that is as little valid as the old one is taken, with
        a warning.
        """
        worse = AUTHORITY.issue("localhost", subject="worse", notAfter=NOW - DAY / 4)
        self.put("cert.pem", both(EXPIRED), age=100)
        certificate = self.reloading()
        self.put("cert.pem", both(worse))
        day = f"{worse.certificate.not_valid_after_utc:{SECONDS}}"
        with self.logs(self.serving(worse), (WARN, f"worse, which is in service, expired {day}")):
            self.look(certificate, worse)

    def test_notRenewed(self) -> None:
        """
        A certificate that expires in service is a warning, once.
        """
        short = AUTHORITY.issue("localhost", subject="short", notAfter=NOW + DAY)
        self.put("cert.pem", both(short), age=100)
        certificate = self.reloading()
        with self.silence():
            self.look(certificate, short)
        self.clock.advance(DAY.total_seconds())
        day = f"{short.certificate.not_valid_after_utc:{SECONDS}}"
        with self.logs((WARN, f"short, which is in service, expired {day}")):
            self.look(certificate, short)
            self.look(certificate, short)
        self.put("cert.pem", b"")
        with self.logs(self.unused("no certificate in it", "short")):
            self.look(certificate, short)
        self.put("cert.pem", both(NEW))
        with self.logs(self.serving(NEW)):
            self.look(certificate, NEW)

    def test_badlyRenewed(self) -> None:
        """
        One that expires in service while the new file is broken is a warning,
        too.
        """
        short = AUTHORITY.issue("localhost", subject="short", notAfter=NOW + DAY)
        self.put("cert.pem", both(short), age=100)
        certificate = self.reloading()
        self.put("cert.pem", b"")
        with self.logs(self.unused("no certificate in it", "short")):
            self.look(certificate, short)
        self.clock.advance(DAY.total_seconds())
        day = f"{short.certificate.not_valid_after_utc:{SECONDS}}"
        with self.logs((WARN, f"short, which is in service, expired {day}")):
            self.look(certificate, short)

    def test_atFirst(self) -> None:
        """
        With nothing else to serve, one that is not valid is served, with a
        warning.
        """
        for context, says in (
            (EXPIRED, f"expired {EXPIRED.certificate.not_valid_after_utc:{SECONDS}}"),
            (COMING, f"is not valid before {COMING.certificate.not_valid_before_utc:{SECONDS}}"),
        ):
            self.put("cert.pem", both(context), age=100)
            name = context.certificate.subject.rfc4514_string().removeprefix("CN=")
            with self.logs((WARN, f"{name}, which is in service, {says}")):
                certificate = self.reloading()
                self.assertServes(certificate, context)


class ReloadTests(ReloadingMixin, SynchronousTestCase):
    """
    Tests for L{ReloadingCertificate.reload}.
    """

    def test_changed(self) -> None:
        """
        What has changed is in service at once, be it just written.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(NEW))
        with self.logs(self.serving(NEW)):
            self.assertIs(certificate.reload(), True)
            self.assertServes(certificate, NEW)
            self.assertIs(certificate.reload(), False)

    def test_changedAgain(self) -> None:
        """
        What was written while it was read is found soon.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(NEW))
        certificate.reload()
        self.put("cert.pem", both(NEWER))
        self.clock.advance(SETTLING)
        self.assertServes(certificate, NEWER)

    def test_unchanged(self) -> None:
        """
        Files that have not changed are read all the same, and that is all.
        """
        certificate = self.reloading()
        before = certificate.current
        with self.silence():
            self.assertIs(certificate.reload(), False)
        self.assertIs(certificate.current, before)

    def test_broken(self) -> None:
        """
        What is wrong is logged at once, each time, and does not raise.
        """
        certificate = self.reloading()
        self.put("cert.pem", b"")
        for _ in range(2):
            with self.logs(self.unused(f"{self.path}: no certificate in it")):
                self.assertIs(certificate.reload(), False)
            self.assertEqual(certificate.problem, f"{self.path}: no certificate in it")
        with self.silence():
            for seconds in (SETTLING, PATIENCE, INTERVAL):
                self.clock.advance(seconds)
                self.assertServes(certificate, OLD)
        self.put("cert.pem", both(OLD))
        with self.logs(self.inOrder()):
            self.assertIs(certificate.reload(), False)

    def test_signal(self) -> None:
        """
        It may be what a signal does.
        """
        certificate = self.reloading()
        before = signal.signal(signal.SIGUSR1, lambda *arguments: certificate.reload())
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        self.put("cert.pem", both(NEW))
        signal.raise_signal(signal.SIGUSR1)
        self.assertServes(certificate, NEW)


class PasswordTests(ReloadingMixin, SynchronousTestCase):
    """
    Keys that are encrypted.
    """

    def setUp(self) -> None:
        """
        Encrypt the key.
        """
        super().setUp()
        self.asked: list[str] = []
        self.password: Any = PASSWORD
        self.write(OLD, age=100)

    def write(self, context: _Context, age: float = 0, password: bytes | None = PASSWORD) -> None:
        """
        Write an encrypted key with its certificate.
        """
        self.put("cert.pem", certificatePEM(context) + keyPEM(context, password), age)

    def ask(self, path: str) -> Any:
        """
        The callback.
        """
        self.asked.append(path)
        if isinstance(self.password, Exception):
            raise self.password
        return Deferred() if self.password is None else self.password

    def test_callback(self) -> None:
        """
        A callback is asked with the path, once for each key that is read.
        """
        certificate = self.reloading(password=self.ask)
        self.assertEqual(self.asked, [str(self.path)])
        with self.logs(self.serving(NEW)):
            self.write(NEW)
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)
        self.assertEqual(self.asked, [str(self.path)] * 2)
        self.write(NEWER, password=None)
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEWER)
        self.assertEqual(self.asked, [str(self.path)] * 2)

    def test_keyFile(self) -> None:
        """
        It is asked for the file in which the key is.
        """
        key = self.put("key.pem", keyPEM(OLD, PASSWORD), age=100)
        self.reloading(self.put("alone.pem", certificatePEM(OLD), age=100), key, password=self.ask)
        self.assertEqual(self.asked, [str(key)])

    def test_fixed(self) -> None:
        """
        A password that is given is used again.
        """
        certificate = self.reloading(password=PASSWORD)
        self.write(NEW)
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEW)

    def test_pfx(self) -> None:
        """
        A PKCS#12 file is read again like any other.
        """
        self.path = self.put("cert.pfx", pfx(OLD, PASSWORD), age=100)
        certificate = ReloadingCertificate.fromPFX(self.path, self.ask, clock=self.clock)
        self.assertServes(certificate, OLD)
        self.put("cert.pfx", pfx(NEW, PASSWORD))
        with self.logs(self.serving(NEW)):
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)
        self.assertEqual(self.asked, [str(self.path)] * 2)

    def test_failing(self) -> None:
        """
        A callback that fails, has no answer yet or a wrong one keeps the old
        certificate in service, and is asked again; nothing secret is logged.
        """
        certificate = self.reloading(password=self.ask)
        for password, reason in (
            (ValueError(PASSWORD), "the password callback failed: ValueError"),
            (None, "loading cannot wait for the password callback's answer"),
            (b"wrong", "the private key is damaged or the password is wrong"),
        ):
            self.password = password
            self.write(NEW)
            with self.logs(self.unused(f"{self.path}: {reason}")):
                for seconds in (INTERVAL, PATIENCE, INTERVAL):
                    self.clock.advance(seconds)
                    self.assertServes(certificate, OLD)
        self.password = PASSWORD
        with self.logs(self.serving(NEW)):
            self.clock.advance(INTERVAL)
            self.assertServes(certificate, NEW)

    def test_reentrant(self) -> None:
        """
        Whoever looks while the callback is asked sees the old certificate.
        """
        seen: list[_Context] = []

        def ask(path: str) -> bytes:
            seen.extend(each.current for each in self.made)
            return PASSWORD

        certificate = self.reloading(password=ask)
        self.write(NEW)
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEW)
        self.assertEqual([each.certificate for each in seen], [OLD.certificate])

    def test_stopping(self) -> None:
        """
        The callback may stop the watch that asks it.
        """
        stops: list[Callable[[], None]] = []

        def ask(path: str) -> bytes:
            for stop in stops:
                stop()
            return PASSWORD

        certificate = self.reloading(password=ask, reactor=self.clock)
        stops.append(certificate.stopWatching)
        self.write(NEW)
        self.clock.read()
        self.clock.advance(SETTLING)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.clock.readers, [])
        self.assertServes(certificate, NEW)


class WatchingMixin(ReloadingMixin):
    """
    With a reactor, nobody has to ask.
    """

    def watched(self, *paths: Path, **more: Any) -> ReloadingCertificate:
        """
        @return: what serves from these files.
        """
        certificate = self.reloading(*paths, reactor=self.clock, **more)
        # What has been made lately has settled.
        self.clock.advance(SETTLING)
        return certificate


class InotifyTests(WatchingMixin, SynchronousTestCase):
    """
    Where the system tells of changes.
    """

    def settle(self) -> None:
        """
        Read what the system tells, and let the files settle.
        """
        self.clock.read()
        self.clock.advance(SETTLING)

    def test_changes(self) -> None:
        """
        A file that is written to, replaced, or becomes a link is served from
        as soon as it has settled.
        """
        certificate = self.watched()
        (self.directory / "elsewhere").mkdir()

        def link() -> None:
            self.put("elsewhere/cert.pem", both(NEW))
            self.link("cert.pem", "elsewhere/cert.pem")

        for change, context in (
            (lambda: self.put("cert.pem", both(NEW)), NEW),
            (lambda: self.replace("cert.pem", both(NEWER)), NEWER),
            (link, NEW),
            (lambda: self.put("elsewhere/cert.pem", both(OLD)), OLD),
        ):
            change()
            with self.silence():
                self.clock.read()
                self.clock.advance(SETTLING - 0.1)
            with self.logs(self.serving(context)):
                self.clock.advance(0.1)
            self.assertServes(certificate, context)
            # A new directory is looked at once more.
            self.clock.advance(SETTLING)

    def test_kubernetes(self) -> None:
        """
        A swap of the link on the way to both files is noticed, again and again.
        """
        names = ("tls.crt", "tls.key")
        paths = [self.directory / name for name in names]
        certificate: ReloadingCertificate | None = None
        for number, context in enumerate((OLD, NEW, NEWER)):
            (self.directory / f"..{number}").mkdir()
            self.put(f"..{number}/tls.crt", certificatePEM(context))
            self.put(f"..{number}/tls.key", keyPEM(context))
            self.link("..data", f"..{number}")
            if certificate is None:
                for each in paths:
                    each.symlink_to(f"..data/{each.name}")
                certificate = self.watched(*paths)
                continue
            shutil.rmtree(self.directory / f"..{number - 1}")
            self.path = paths[0]
            with self.logs(self.serving(context)):
                self.settle()
                self.settle()
            self.assertServes(certificate, context)

    def test_eitherOrder(self) -> None:
        """
        Two files that are rewritten, whichever first, are served from once both
        are new.
        """
        files = WRITERS
        for name, write in files.items():
            self.put(name, write(OLD), age=10)
        certificate = self.watched(*(self.directory / name for name in files))
        for names, context in ((list(files), NEW), (list(files)[::-1], NEWER)):
            with self.silence():
                self.put(names[0], files[names[0]](context))
                self.settle()
                self.clock.advance(SETTLING)
                self.assertIsNone(certificate.problem)
            with self.logs(self.serving(context)):
                self.put(names[1], files[names[1]](context))
                self.settle()
            self.assertServes(certificate, context)

    def test_broken(self) -> None:
        """
        A broken file is an error after a while, once, and the repaired one is
        served from at once.
        """
        certificate = self.watched()
        self.put("cert.pem", b"")
        with self.silence():
            self.settle()
            self.clock.pump([SETTLING] * (int(PATIENCE) - 1))
        with self.logs(self.unused(f"{self.path}: no certificate in it")):
            self.clock.advance(SETTLING)
            self.clock.pump([INTERVAL] * 3)
        self.put("cert.pem", both(NEW))
        with self.logs(self.serving(NEW)):
            self.settle()
        self.assertServes(certificate, NEW)

    def test_otherKey(self) -> None:
        """
        A key that does not fit is an error after a while, and none once it
        does.
        """
        key = self.put("key.pem", keyPEM(OLD), age=10)
        certificate = self.watched(self.path, key)
        self.put("cert.pem", certificatePEM(NEW))
        self.settle()
        self.clock.pump([SETTLING] * (int(PATIENCE) - 1))
        self.assertIsNone(certificate.problem)
        self.clock.advance(SETTLING)
        self.assertIn("no certificate belongs to the private key", str(certificate.problem))
        self.put("key.pem", keyPEM(NEW))
        with self.logs(self.serving(NEW)):
            self.settle()
        self.assertServes(certificate, NEW)

    def test_deleted(self) -> None:
        """
        A file that is deleted is an error, and a new one is served from.
        """
        certificate = self.watched()
        self.path.unlink()
        with self.logs(self.unused(f"{self.path}: No such file or directory")):
            self.settle()
            self.clock.pump([SETTLING] * int(PATIENCE))
        self.put("cert.pem", both(NEW))
        with self.logs(self.serving(NEW)):
            self.settle()
        self.assertServes(certificate, NEW)

    def test_movedDirectory(self) -> None:
        """
        A directory may be moved away, and another one be put in its place.
        """
        place = self.directory / "place"
        place.mkdir()
        self.path = self.put("place/cert.pem", both(OLD), age=10)
        certificate = self.watched()
        place.rename(self.directory / "away")
        self.settle()
        self.put("away/cert.pem", both(NEWER))
        self.clock.read()
        (self.directory / "other").mkdir()
        self.put("other/cert.pem", both(NEW))
        (self.directory / "other").rename(place)
        with self.logs(self.serving(NEW)):
            self.settle()
        self.assertServes(certificate, NEW)
        self.clock.advance(SETTLING)
        self.put("place/cert.pem", both(OLD))
        with self.logs(self.serving(OLD)):
            self.settle()

    def test_deletedDirectory(self) -> None:
        """
        A directory may be deleted and made again.
        """
        place = self.directory / "place"
        place.mkdir()
        self.path = self.put("place/cert.pem", both(OLD), age=10)
        certificate = self.watched()
        shutil.rmtree(place)
        self.settle()
        place.mkdir()
        self.settle()
        self.put("place/cert.pem", both(NEW))
        with self.logs(self.serving(NEW)):
            self.settle()
        self.assertServes(certificate, NEW)

    def test_neighbors(self) -> None:
        """
        Whatever happens to other files in the directory, these are not read;
        and however often it does, they are looked at once a second.
        """
        certificate = self.watched()
        self.patch(certificate, "_load", lambda: 1 / 0)
        with self.silence():
            for _ in range(30):
                self.put("other.pem", b"")
                self.clock.read()
                self.clock.advance(SETTLING / 10)
                self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertIsNone(certificate.problem)

    def test_notPutOff(self) -> None:
        """
        Whoever keeps changing the directory does not keep a new file from being
        served.
        """
        certificate = self.watched()
        self.put("cert.pem", both(NEW))
        with self.logs(self.serving(NEW)):
            for _ in range(10):
                self.put("other.pem", b"")
                self.clock.read()
                self.clock.advance(SETTLING / 8)
        self.assertServes(certificate, NEW)

    def test_missedChange(self) -> None:
        """
        A change that the system does not tell of, as of files on another
        machine, is noticed after the interval.
        """
        certificate = self.watched()
        self.put("cert.pem", both(NEW))
        with self.silence():
            self.clock.advance(INTERVAL - 0.1)
        with self.logs(self.serving(NEW)):
            self.clock.advance(0.1)
        self.assertServes(certificate, NEW)

    def test_changedBefore(self) -> None:
        """
        What has changed before the watch began is noticed when it does.
        """
        certificate = self.reloading()
        self.put("cert.pem", both(NEW), age=10)
        with self.logs(self.serving(NEW)):
            certificate.watch(self.clock)

    def test_stop(self) -> None:
        """
        Whoever stops watching, once or twice, has no descriptor, reader or
        timer left; the files are then looked at by time, or watched again.
        """
        before = openFiles(INOTIFY)
        certificate = self.reloading()
        for _ in range(3):
            certificate.watch(self.clock)
            certificate.watch(self.clock)
            self.assertEqual(len(openFiles(INOTIFY)), len(before) + 1)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            for _ in range(2):
                certificate.stopWatching()
                self.assertEqual(openFiles(INOTIFY), before)
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.assertEqual(self.clock.readers, [])
        self.put("cert.pem", both(NEW))
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEW)

    def test_noCycle(self) -> None:
        """
        Whoever stops watching sets it free, whatever has happened.
        """
        withoutCollector(self)
        certificate = self.watched()
        self.made.clear()
        for data in (both(NEW), b"", both(OLD)):
            self.replace("cert.pem", data)
            self.settle()
            self.clock.pump([SETTLING] * int(PATIENCE))
        left = weakref.ref(certificate)
        certificate.stopWatching()
        del certificate
        self.assertIsNone(left())


class TimerTests(WatchingMixin, SynchronousTestCase):
    """
    Where the system does not tell of changes.
    """

    def test_otherReactor(self) -> None:
        """
        With a reactor that cannot read, the files are looked at by time, and
        the log says so once.
        """
        clock = Clock()
        with self.logs(
            (
                INFO,
                "looked at every 10 seconds, since not every change is told: the reactor "
                "cannot read from file descriptors",
            )
        ):
            certificate = self.reloading(reactor=clock, interval=10)
            clock.pump([10] * 10)
        self.put("cert.pem", both(NEW), age=5)
        with self.logs(self.serving(NEW)):
            clock.advance(10)
        self.assertServes(certificate, NEW)
        certificate.stopWatching()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_tooMany(self) -> None:
        """
        If the system has no more of it, the files are looked at by time, until
        it has; of that the log says each thing once.
        """

        def fail(*arguments: object) -> None:
            raise inotify.INotifyError("no more")

        told = (INFO, "looked at every 60 seconds, since not every change is told: no more")
        with patch.object(inotify, "INotify", fail):
            with self.logs(told):
                certificate = self.reloading(reactor=self.clock, interval=60)
                self.clock.pump([INTERVAL] * 3)
            self.put("cert.pem", both(NEW))
            with self.logs(self.serving(NEW)):
                self.clock.pump([INTERVAL])
            self.assertEqual(self.clock.readers, [])
        self.clock.advance(INTERVAL)
        self.put("cert.pem", both(NEWER))
        self.clock.read()
        with self.logs(self.serving(NEWER)):
            self.clock.advance(SETTLING)
        self.assertServes(certificate, NEWER)


class OptionsTests(ReloadingMixin, SynchronousTestCase):
    """
    How options hold what changes.
    """

    def test_everywhere(self) -> None:
        """
        It is taken, as it is, wherever a certificate is taken, and what
        connections begin with is what is in service at the time.
        """
        certificate = self.reloading()
        server = [
            serverOptions(serverCertificate=certificate),
            serverOptions(serverCertificate=None, serverCertificateContext=certificate),
        ]
        client = [
            clientOptions(clientCertificateContext=certificate),
            clientOptions(clientCertificates=certificate),
            clientOptions(clientCertificates=[certificate, SERVER]),
        ]
        self.assertIs(server[0].serverCertificate, certificate)
        self.assertIs(server[1].serverCertificateContext, certificate)
        self.assertIs(client[0].clientCertificateContext, certificate)
        self.assertEqual(client[1].clientCertificates, (certificate,))
        self.assertEqual(client[2].clientCertificates, (certificate, SERVER))
        for context in (OLD, NEW):
            self.put("cert.pem", both(context), age=5)
            self.clock.advance(INTERVAL)
            for each in server:
                self.assertEqual(each.parameters.certificate, context)
            self.assertEqual(client[0].parameters.certificate, context)
            self.assertEqual(client[0].candidates, (context,))
            self.assertEqual(client[1].candidates, (context,))
            self.assertEqual(client[2].candidates, (context, SERVER))
            self.assertIsNone(client[1].parameters.certificate)

    def test_equality(self) -> None:
        """
        Options are equal, and hash alike, if they hold the same one, whatever
        that serves; another one is another, though it be from the same file.
        """
        certificate = self.reloading()
        one, same = (serverOptions(serverCertificate=certificate) for _ in range(2))
        other = serverOptions(serverCertificate=self.reloading())
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        before = hash(one)
        self.put("cert.pem", both(NEW))
        self.clock.advance(INTERVAL)
        self.assertServes(certificate, NEW)
        self.assertEqual(one, same)
        self.assertEqual(hash(one), before)
        self.assertEqual(len({one, same, other}), 2)

    def test_fit(self) -> None:
        """
        What is not fit for options that hold it is not put into service, on
        either side, until there are no such options any more.
        """

        def picky(parameters: Any) -> Any:
            if parameters.applicationProtocols and parameters.certificate == NEW:
                raise InvalidOperationError("it is not fit")
            return contextFor(parameters)

        self.patch(reload, "contextFor", picky)
        alpn = {"applicationProtocols": [b"h2"]}
        for make in (
            lambda it, alpn: serverOptions(serverCertificate=it, **alpn),
            lambda it, alpn: serverOptions(
                serverCertificate=None, serverCertificateContext=it, **alpn
            ),
            lambda it, alpn: clientOptions(clientCertificateContext=it, **alpn),
            lambda it, alpn: clientOptions(clientCertificates=[SERVER, it], **alpn),
        ):
            self.put("cert.pem", both(OLD), age=100)
            certificate = self.reloading()
            held = [make(certificate, some) for some in ({}, alpn, alpn, alpn)]
            # Such as those of connections that have ended.
            del held[3], held[1]
            self.put("cert.pem", both(NEW))
            with self.logs(self.unused("it is not fit")):
                for seconds in (INTERVAL, PATIENCE, INTERVAL):
                    self.clock.advance(seconds)
                    self.assertServes(certificate, OLD)
            del held[1]
            with self.logs(self.serving(NEW)):
                self.clock.advance(INTERVAL)
                self.assertServes(certificate, NEW)

    def test_oneContext(self) -> None:
        """
        As long as nothing changes, connections have the very same parameters,
        and all options of the same certificate share one OpenSSL context,
        wherever that comes from.
        """
        certificate = self.reloading()
        options = serverOptions(serverCertificate=certificate)
        others = [
            serverOptions(serverCertificate=self.reloading()),
            serverOptions(serverCertificate=certificate),
        ]
        for context in (OLD, NEW):
            self.put("cert.pem", both(context), age=5)
            self.clock.advance(INTERVAL)
            parameters = options.parameters
            made = contextFor(parameters)
            misses = _openssl._sharedContext.cache_info().misses
            for _ in range(10):
                self.assertIs(options.parameters, parameters)
                self.assertIs(contextFor(options.parameters), made)
            for each in (*others, serverOptions(serverCertificate=context)):
                self.assertIs(contextFor(each.parameters), made)
            self.assertEqual(_openssl._sharedContext.cache_info().misses, misses)


@perVersion()
class HandshakeTests(ReloadingMixin, StreamMixin):
    """
    Connections before, while and after the certificate changes.
    """

    def setUp(self) -> None:
        """
        Let one end or the other present it.
        """
        super().setUp()
        self.certificate = self.reloading()

    def renew(self, context: _Context = NEW) -> None:
        """
        Change the file, and let the time pass after which that counts.
        """
        self.put("cert.pem", both(context), age=5)
        self.clock.advance(INTERVAL)

    def shown(self, pair: StreamPair, isServer: bool) -> Any:
        """
        @return: what the other end has seen, after checking that either end is
            of the same opinion.
        """
        ours, theirs = (pair.server, pair.client) if isServer else (pair.client, pair.server)
        self.assertEqual(ours.localCertificate, theirs.remoteCertificate)
        return theirs.remoteCertificate

    def assertShown(self, isServer: bool, context: _Context, **options: Any) -> None:
        """
        Check what a new connection shows.
        """
        client, server = options.get("client", {}), options.get("server", {})
        opened = self.opened(ours=client, theirs=server)
        self.assertEqual(self.shown(opened.pair, isServer), context.certificate)
        self.assertUsable(opened)

    def roles(self) -> Iterator[tuple[bool, dict[str, Any]]]:
        """
        All ways of presenting it, on both sides.
        """
        it = self.certificate
        required = {"clientCertificateRequired": True}
        yield True, {"server": {"serverCertificate": it}}
        yield True, {"server": {"serverCertificate": None, "serverCertificateContext": it}}
        yield True, {"server": {"serverCertificateSelectionCallback": lambda *_: it}}
        for client in (
            {"clientCertificateContext": it},
            {"clientCertificates": [it]},
            {"localCertificateSelectionCallback": lambda *_: it},
            {
                "clientCertificates": [it],
                "localCertificateSelectionCallback": lambda _, __, local, *___: local[0],
            },
        ):
            yield False, {"client": client, "server": required}

    def test_beforeAndAfter(self) -> None:
        """
        A connection shows what is in service when it begins, and goes on with
        that when another certificate is.
        """
        for isServer, options in self.roles():
            self.renew(OLD)
            before = self.opened(ours=options.get("client", {}), theirs=options.get("server", {}))
            self.assertShown(isServer, OLD, **options)
            self.renew(NEW)
            self.assertShown(isServer, NEW, **options)
            self.assertUsable(before)
            self.assertEqual(self.shown(before.pair, isServer), OLD.certificate)
            self.assertEqual(before.pair.server.isServer, True)

    def test_broken(self) -> None:
        """
        A broken file breaks no connection.
        """
        for isServer, options in self.roles():
            self.renew(OLD)
            self.assertShown(isServer, OLD, **options)
            self.put("cert.pem", b"broken", age=5)
            for seconds in (INTERVAL, PATIENCE):
                self.clock.advance(seconds)
                self.assertShown(isServer, OLD, **options)
            self.assertIsNotNone(self.certificate.problem)

    def test_whileWaiting(self) -> None:
        """
        A handshake in which somebody decides about the peer while the
        certificate changes ends with the one that it began with, and the key
        of that.
        """
        for isServer in (True, False):
            self.renew(OLD)
            decisions: list[Deferred[bool]] = []

            def decide(*arguments: object, made: Any = decisions) -> Deferred[bool]:
                made.append(Deferred())
                return made[-1]  # type: ignore[no-any-return]

            it = self.certificate
            server: dict[str, Any] = {"clientCertificateRequired": True}
            client: dict[str, Any] = {"clientCertificateContext": SERVER}
            if isServer:
                server["serverCertificate"] = it
            else:
                client["clientCertificateContext"] = it
            for options in (server, client):
                options["remoteCertificateValidationCallback"] = decide
            pair = StreamPair(self.segment)
            sides = pair.authenticate(self.version, client, server)
            self.assertEqual(len(decisions), 1)
            self.renew(NEW)
            self.assertServes(self.certificate, NEW)
            for each in decisions:
                each.callback(True)
                pair.wire.flush()
            for side in sides:
                self.successResultOf(side)
            self.assertEqual(self.shown(pair, isServer), OLD.certificate)

    def test_whileSelecting(self) -> None:
        """
        A handshake in which a certificate is being selected while it changes
        shows one or the other, with the key of that.
        """
        for answersLate in (True, False):
            self.renew(OLD)
            decision: Deferred[Any] = Deferred()
            pair = StreamPair(self.segment)
            sides = pair.authenticate(
                self.version,
                server={"serverCertificateSelectionCallback": lambda *_, d=decision: d},
            )
            answer = self.certificate if answersLate else self.certificate.current
            self.renew(NEW)
            decision.callback(answer)
            pair.wire.flush()
            for each in sides:
                self.successResultOf(each)
            expected = NEW if answersLate else OLD
            self.assertEqual(self.shown(pair, True), expected.certificate)

    def test_localSelection(self) -> None:
        """
        A server's callback chooses from what is current when the client has said
        what it wants.
        """
        given: list[Any] = []

        def select(stream: object, host: str, local: Any, *others: object) -> Any:
            given.extend(local)
            return local[0]

        self.renew(OLD)
        pair = StreamPair(self.segment)
        pair.server._given = replace(pair.server._given, selection=select)
        server = pair.server.authenticateAsServer(
            serverOptions(self.version, serverCertificate=self.certificate)
        )
        self.renew(NEW)
        client = pair.client.authenticateAsClient(clientOptions(self.version))
        pair.wire.flush()
        for each in (client, server):
            self.successResultOf(each)
        self.assertEqual(given, [NEW])
        self.assertEqual(self.shown(pair, True), NEW.certificate)

    def test_shortForms(self) -> None:
        """
        The streams' short forms take it as well.
        """
        for context in (OLD, NEW):
            self.renew(context)
            pair = StreamPair(self.segment, remoteCertificateValidationCallback=lambda *_: True)
            sides = (
                pair.server.authenticateAsServer(self.certificate, True, self.version),
                pair.client.authenticateAsClient("localhost", [self.certificate], self.version),
            )
            pair.wire.flush()
            for each in sides:
                self.successResultOf(each)
            for isServer in (True, False):
                self.assertEqual(self.shown(pair, isServer), context.certificate)

    def test_refused(self) -> None:
        """
        A selection callback's nothing is still nothing.
        """
        pair = StreamPair(self.segment)
        client, server = pair.authenticate(
            self.version, server={"serverCertificateSelectionCallback": lambda *_: None}
        )
        self.assertIs(self.failure(client, AuthenticationError).alert, TlsAlert.unrecognized_name)
        self.assertIs(
            self.failure(server, AuthenticationError).alertSent, TlsAlert.unrecognized_name
        )
