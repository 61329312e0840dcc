"""
Every chain of L{tests.corpus} is judged as it should be: by itself, and in
handshakes as a server's and as a client's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.corpus import ENTRIES, Case, Entry, Verdict, Wrong
from tests.files import HomeMixin
from tests.test_authentication import Conversation
from txsslstream.certificatefacts import readableName
from txsslstream.chain import X509Chain, X509ChainElement
from txsslstream.enums import EncryptionPolicy, StoreName, X509ChainStatusFlags
from txsslstream.stores import X509Store
from txsslstream.testing import perVersion

_Case = TypeVar("_Case", bound=type)


def perEntry(case: _Case) -> _Case:
    """
    A class decorator: C{judge} becomes a test for each entry.
    """

    def testFor(entry: Entry) -> Any:
        def test(self: Any) -> None:
            self.judge(entry)

        test.__name__ = f"test_{entry.name}"
        test.__doc__ = entry.description
        return test

    for entry in ENTRIES.values():
        setattr(case, f"test_{entry.name}", testFor(entry))
    return case


class Judging(HomeMixin):
    """
    For a test case that judges an entry.
    """

    def settle(self, case: Case) -> None:
        """
        Disallow what the entry disallows.
        """
        store = X509Store(StoreName.Disallowed)
        for each in case.disallowed:
            store.add(each)

    def assertElements(
        self, elements: Sequence[X509ChainElement], case: Case, verdict: Verdict
    ) -> None:
        """
        The elements have exactly the expected problems.
        """
        found = [
            (depth, status.status, status.statusInformation)
            for depth, element in enumerate(elements)
            for status in element.chainElementStatus
        ]
        expected = sorted(verdict.wrongs, key=lambda wrong: wrong.depth)
        self.assertEqual(
            [(depth, status) for depth, status, _ in found],
            [(each.depth, each.status) for each in expected],
            found,
        )
        for (_, _, words), wrong in zip(found, expected, strict=True):
            self.assertIn(wrong.words, words)
        self.assertEqual(len(elements), verdict.length)
        self.assertEqual(elements[0].certificate, case.presented.certificate)

    def assertProblems(
        self, problems: Sequence[str], elements: Sequence[X509ChainElement], verdict: Verdict
    ) -> None:
        """
        Every problem that counts is told, with the certificate that has it.
        """
        counted = [each for each in verdict.wrongs if each.isCounted]
        self.assertEqual(len(problems), len(counted) + verdict.isMisnamed)
        # What is wrong with the names comes last.
        ofChain = problems[: len(counted)]
        counted.sort(key=lambda wrong: wrong.depth)
        for problem, wrong in zip(ofChain, counted, strict=True):
            name = readableName(elements[wrong.depth].certificate)
            start = f"certificate {wrong.depth + 1} of {len(elements)} {name!r} "
            self.assertEqual(problem[: len(start)], start)
            self.assertIn(wrong.words, problem)


def joined(wrongs: Sequence[Wrong]) -> X509ChainStatusFlags:
    """
    @return: all flags of these.
    """
    flags = X509ChainStatusFlags.NoError
    for each in wrongs:
        flags |= each.status
    return flags


@perEntry
class AloneTests(Judging, SynchronousTestCase):
    """
    L{X509Chain} by itself.
    """

    def judge(self, entry: Entry) -> None:
        """
        Build the chain.
        """
        made = entry.make()
        self.settle(made)
        policy = made.policy.clone()
        policy.extraStore = [*policy.extraStore, *made.presented.intermediates]
        chain = X509Chain(policy)
        verdict = entry.alone
        self.assertIs(
            self.successResultOf(chain.build(made.presented.certificate)),
            verdict.isBuilt,
            chain.problems,
        )
        self.assertElements(chain.chainElements, made, verdict)
        self.assertProblems(chain.problems, chain.chainElements, verdict)
        self.assertEqual(chain.flags, joined(verdict.wrongs))


class Handshake(Judging, Conversation):
    """
    A chain in a handshake.

    @ivar judge_: the side that judges.
    """

    judge_: str

    def handshake(self, entry: Entry, callback: Any = None) -> Case:
        """
        Authenticate as far as it goes.

        @param callback: of whoever judges.
        """
        made = entry.make()
        self.settle(made)
        judge = {
            "certificateChainPolicy": made.policy,
            "remoteCertificateValidationCallback": callback,
        }
        lenient = {"encryptionPolicy": EncryptionPolicy.AllowNoEncryption} if entry.isWeak else {}
        if self.judge_ == "client":
            self.begin(
                {"targetHost": made.targetHost, **judge},
                {"serverCertificate": made.presented, **lenient},
            )
        else:
            self.begin(
                {"clientCertificateContext": made.presented, **lenient},
                {"clientCertificateRequired": True, **judge},
            )
        for side in self.sides.values():
            # A test that fails must not make others fail.
            self.addCleanup(side.addErrback, lambda _: None)
        return made

    def verdictFor(self, entry: Entry) -> Verdict:
        """
        @return: what this judge has to think.
        """
        return entry.server if self.judge_ == "client" else entry.client


class Told(Handshake):
    """
    A validation callback is told what is wrong, and accepts.
    """

    def judge(self, entry: Entry) -> None:
        """
        Accept, and look at what the callback was told.
        """
        told: list[tuple[Any, ...]] = []

        def accept(*arguments: Any) -> bool:
            told.append(arguments)
            return True

        made = self.handshake(entry, accept)
        verdict = self.verdictFor(entry)
        ((stream, certificate, chain, errors),) = told
        self.assertIs(stream, getattr(self.pair, self.judge_))
        self.assertEqual(certificate, made.presented.certificate)
        self.assertEqual(errors, verdict.errors)
        self.assertElements(chain.chainElements, made, verdict)
        self.assertEqual(
            chain.presentedCertificates, (made.presented.certificate, *made.presented.intermediates)
        )
        self.assertEqual(chain.flags, joined(verdict.wrongs))
        self.assertAuthenticated()
        self.assertEqual(stream.remoteCertificate, certificate)


class Untold(Handshake):
    """
    Nobody is asked.
    """

    def judge(self, entry: Entry) -> None:
        """
        Accept or refuse.
        """
        made = self.handshake(entry)
        verdict = self.verdictFor(entry)
        if verdict.alert is None:
            self.assertAuthenticated()
            return
        error = self.assertRefused(
            self.judge_, verdict.errors, joined(verdict.wrongs), verdict.alert
        )
        self.assertElements(error.chainElements, made, verdict)
        self.assertProblems(error.problems, error.chainElements, verdict)
        for problem in error.problems:
            self.assertIn(problem, str(error))


@perVersion(segments=(0,))
@perEntry
class ServerTold(Told):
    """
    A server is judged by a client with a callback.
    """

    judge_ = "client"


@perVersion(segments=(0,))
@perEntry
class ServerUntold(Untold):
    """
    A server is judged by a client without callback.
    """

    judge_ = "client"


@perVersion(segments=(0,))
@perEntry
class ClientTold(Told):
    """
    A client is judged by a server with a callback.
    """

    judge_ = "server"


@perVersion(segments=(0,))
@perEntry
class ClientUntold(Untold):
    """
    A client is judged by a server without callback.
    """

    judge_ = "server"
