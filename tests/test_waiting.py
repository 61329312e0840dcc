"""
Tests for L{txsslstream._waiting}: calls that stop in the middle to ask.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import ROOT
from txsslstream._waiting import (
    _MOST_IDLE,
    PausableCall,
    _idle,
    _parked,
    _refuseParked,
    pause,
)


class Asker:
    """
    A call that asks its questions one after the other.

    @ivar asked: the questions that came out so far.
    @ivar results: what the call ended with: the answers in a list, once.
    @ivar answers: what the function got so far.
    @ivar isUnwound: whether the function has been left.
    """

    def __init__(
        self,
        *questions: object,
        respond: Callable[[PausableCall[Any], object], None] | None = None,
        refusal: object = "refused",
    ) -> None:
        """
        @param respond: what to do with a question.
        """
        self.questions = questions
        self.asked: list[object] = []
        self.results: list[list[object]] = []
        self.answers: list[object] = []
        self.isUnwound = False
        self._respond = respond
        self.call: PausableCall[list[object]] = PausableCall(
            self.run, self.ask, self.finish, refusal
        )

    def run(self) -> list[object]:
        """
        The function.
        """
        try:
            for question in self.questions:
                self.answers.append(pause(question, "nobody to ask"))
            return self.answers
        finally:
            self.isUnwound = True

    def ask(self, question: object) -> None:
        """
        Take a question.
        """
        self.asked.append(question)
        if self._respond is not None:
            self._respond(self.call, question)

    def finish(self, result: list[object]) -> None:
        """
        Take the result.
        """
        self.results.append(result)


class WaitingTestCase(SynchronousTestCase):
    """
    No test leaves a parked call behind.
    """

    def setUp(self) -> None:
        """
        Look for parked calls when the test is over.
        """
        self.addCleanup(lambda: self.assertEqual(set(_parked), set()))

    def assertParked(self, asker: Asker, *asked: object) -> None:
        """
        Check that the call waits for the answer to the last of its questions.
        """
        self.assertTrue(asker.call.isParked)
        self.assertIn(asker.call, _parked)
        self.assertEqual(asker.asked, list(asked))
        self.assertEqual(asker.results, [])
        self.assertFalse(asker.isUnwound)

    def assertFinished(self, asker: Asker, *answers: object) -> None:
        """
        Check that the call has ended, once, with these answers.
        """
        self.assertFalse(asker.call.isParked)
        self.assertNotIn(asker.call, _parked)
        self.assertEqual(asker.results, [list(answers)])
        self.assertTrue(asker.isUnwound)


class PausableCallTests(WaitingTestCase):
    """
    Tests for L{PausableCall}.
    """

    def test_immediateEnd(self) -> None:
        """
        A call that asks nothing ends at once.
        """
        asker = Asker()
        self.assertFalse(asker.call.isParked)
        asker.call.start()
        self.assertFinished(asker)
        self.assertEqual(asker.asked, [])

    def test_greenlets(self) -> None:
        """
        One greenlet does for calls that come one after the other, and keeps
        nothing of them; calls that are parked have one each, of which some stay.
        """

        class Function:
            def __call__(self) -> greenlet:
                return getcurrent()

        results: list[Any] = []
        for _ in range(3):
            function = Function()
            PausableCall(function, self.fail, results.append, None).start()
            function, gone = None, weakref.ref(function)  # type: ignore[assignment]
            self.assertIsNone(gone())
        self.assertEqual(len(set(results)), 1)
        askers = [Asker("one") for _ in range(3 * _MOST_IDLE)]
        for asker in askers:
            asker.call.start()
        self.assertEqual(len({asker.call._greenlet for asker in askers}), len(askers))
        for asker in askers:
            asker.call.answer(1)
            self.assertFinished(asker, 1)
        self.assertEqual(len(_idle.greenlets), _MOST_IDLE)
        self.assertFalse(any(each.dead for each in _idle.greenlets))

    def test_threads(self) -> None:
        """
        Each thread has greenlets of its own: others cannot be switched to.
        """
        Asker().call.start()
        self.assertTrue(_idle.greenlets)
        asker = Asker("one", respond=lambda call, question: call.answer(question))
        thread = threading.Thread(target=asker.call.start)
        thread.start()
        thread.join()
        self.assertFinished(asker, "one")

    def test_endOfThread(self) -> None:
        """
        With a thread go its greenlets.
        """
        runners: list[Any] = []
        call = PausableCall(lambda: weakref.ref(getcurrent()), self.fail, runners.append, None)
        thread = threading.Thread(target=call.start)
        thread.start()
        thread.join()
        self.assertIsNone(runners[0]())

    def test_contextVariables(self) -> None:
        """
        What a call sets the next one in the same greenlet does not see.
        """
        variable: ContextVar[int] = ContextVar("variable", default=0)
        found: list[tuple[int, greenlet]] = []

        def function() -> None:
            found.append((variable.get(), getcurrent()))
            variable.set(1)

        for _ in range(2):
            PausableCall(function, self.fail, lambda _: None, None).start()
        self.assertEqual([value for value, _ in found], [0, 0])
        self.assertIs(found[0][1], found[1][1])

    def test_applicationsGreenlet(self) -> None:
        """
        A greenlet that an application has called in is not kept.
        """
        callers: list[Any] = []

        def application() -> None:
            callers.append(weakref.ref(getcurrent()))
            PausableCall(lambda: None, self.fail, lambda _: None, None).start()

        for _ in range(2):
            greenlet(application).switch()
        self.assertEqual([caller() for caller in callers], [None, None])

    def test_notStarted(self) -> None:
        """
        Nothing runs before the start, and an answer before it is ignored.
        """
        asker = Asker("one")
        asker.call.answer(1)
        asker.call.refuse()
        self.assertEqual((asker.asked, asker.results), ([], []))
        asker.call.start()
        self.assertParked(asker, "one")
        asker.call.answer(2)
        self.assertFinished(asker, 2)

    def test_answeredLater(self) -> None:
        """
        A call waits for the answer to its question, and goes on with it.
        """
        for answer in (True, False, None, "answer", ValueError("an object like others")):
            asker = Asker("one")
            asker.call.start()
            self.assertParked(asker, "one")
            asker.call.answer(answer)
            self.assertFinished(asker, answer)

    def test_answeredAtOnce(self) -> None:
        """
        An answer that is given while the question is being asked will do, for
        any number of questions.
        """
        asker = Asker(*range(50), respond=lambda call, question: call.answer((question, "!")))
        asker.call.start()
        self.assertEqual(asker.asked, list(range(50)))
        self.assertFinished(asker, *((question, "!") for question in range(50)))

    def test_several(self) -> None:
        """
        Questions come one at a time, each after the answer to the one before.
        """
        asker = Asker("one", "two", "three")
        asker.call.start()
        self.assertParked(asker, "one")
        asker.call.answer(1)
        self.assertParked(asker, "one", "two")
        asker.call.answer(2)
        self.assertParked(asker, "one", "two", "three")
        asker.call.answer(3)
        self.assertFinished(asker, 1, 2, 3)

    def test_mixed(self) -> None:
        """
        Answers at once and later may alternate.
        """

        def respond(call: PausableCall[Any], question: object) -> None:
            if question != "later":
                call.answer(question)

        asker = Asker("now", "later", "soon", "later", respond=respond)
        asker.call.start()
        self.assertParked(asker, "now", "later")
        asker.call.answer(1)
        self.assertParked(asker, "now", "later", "soon", "later")
        asker.call.answer(2)
        self.assertFinished(asker, "now", 1, "soon", 2)

    def test_answeredTwice(self) -> None:
        """
        A second answer, or a refusal behind the answer, is ignored.
        """
        asker = Asker("one")
        asker.call.start()
        asker.call.answer("first")
        asker.call.answer("second")
        asker.call.refuse()
        self.assertFinished(asker, "first")

    def test_answeredTwiceAtOnce(self) -> None:
        """
        A second answer from within the same question is ignored as well.
        """

        def respond(call: PausableCall[Any], question: object) -> None:
            call.answer("first")
            call.answer("second")

        asker = Asker("one", respond=respond)
        asker.call.start()
        self.assertFinished(asker, "first")

    def test_answeredWhileRunning(self) -> None:
        """
        An answer that comes while the function runs is ignored: no question is
        open.
        """
        results: list[object] = []

        def function() -> object:
            call.answer("too early")
            first = pause("one", None)
            call.answer("too late")
            return first

        call: PausableCall[object] = PausableCall(
            function, lambda question: None, results.append, None
        )
        call.start()
        call.answer("in time")
        self.assertEqual(results, ["in time"])

    def test_refuse(self) -> None:
        """
        A refused question gets the call's refusal; the next one is asked all
        the same.
        """
        asker = Asker("one", "two", refusal="no")
        asker.call.start()
        asker.call.refuse()
        self.assertParked(asker, "one", "two")
        asker.call.refuse()
        self.assertFinished(asker, "no", "no")

    def test_context(self) -> None:
        """
        Questions and the end are told where the call was started or answered,
        never inside of the function's stack.
        """
        here = getcurrent()
        inside: list[object] = []

        def function() -> object:
            inside.append(getcurrent())
            return pause("one", None)

        contexts: list[object] = []

        def told(_: object) -> None:
            contexts.append(getcurrent())

        call: PausableCall[object] = PausableCall(function, told, told, None)
        call.start()
        self.assertEqual(contexts, [here])
        elsewhere = greenlet(call.answer)
        elsewhere.switch([])
        self.assertEqual(contexts, [here, elsewhere])
        self.assertNotIn(inside[0], contexts)
        self.assertTrue(elsewhere.dead)

    def test_failingQuestion(self) -> None:
        """
        What the taker of a question raises reaches who went on with the call,
        which stays parked and can still be refused.
        """

        def respond(call: PausableCall[Any], question: object) -> None:
            raise KeyError(question)

        asker = Asker("one", respond=respond)
        self.assertRaises(KeyError, asker.call.start)
        self.assertParked(asker, "one")
        asker.call.refuse()
        self.assertFinished(asker, "refused")


class NestingTests(WaitingTestCase):
    """
    Calls that start, answer and refuse each other.
    """

    def test_answeredFromQuestion(self) -> None:
        """
        A parked call goes on from within another one's question.
        """
        parked = Asker("one", "two")
        parked.call.start()
        other = Asker("other", respond=lambda call, question: parked.call.answer(1))
        other.call.start()
        self.assertParked(parked, "one", "two")
        self.assertParked(other, "other")
        other.call.answer(2)
        parked.call.answer(3)
        self.assertFinished(other, 2)
        self.assertFinished(parked, 1, 3)

    def test_answeredFromAnswer(self) -> None:
        """
        A parked call goes on from within another parked call's answer: while
        that one's end is told, and inside of its function.
        """
        first, second = Asker("first"), Asker("second")
        first.call.start()
        second.call.start()
        results: list[object] = []

        def function() -> object:
            answer = pause("third", None)
            first.call.answer(answer)
            return answer

        def finished(result: object) -> None:
            second.call.answer(result)
            results.append(result)

        third = PausableCall(function, lambda question: None, finished, None)
        third.start()
        third.answer("go on")
        self.assertFinished(first, "go on")
        self.assertFinished(second, "go on")
        self.assertEqual(results, ["go on"])

    def test_chain(self) -> None:
        """
        Many parked calls, each of which answers the next one, all end.
        """
        ended: list[int] = []
        calls: list[PausableCall[int]] = []

        def make(number: int) -> PausableCall[int]:
            def finished(result: int) -> None:
                ended.append(result)
                if number:
                    calls[number - 1].answer(number - 1)

            return PausableCall(
                lambda: int(pause(number, None)), lambda question: None, finished, None
            )

        calls += map(make, range(50))
        for call in calls:
            call.start()
        calls[-1].answer(49)
        self.assertEqual(ended, list(range(49, -1, -1)))

    def test_startedInside(self) -> None:
        """
        A call that is started inside of another one's function parks alone: the
        other goes on, and either can end first.
        """
        for isInnerFirst in (True, False):
            inner = Asker("inner")

            def function(inner: Asker = inner) -> object:
                inner.call.start()
                return (inner.call.isParked, pause("outer", None))

            asked: list[object] = []
            results: list[object] = []
            call: PausableCall[object] = PausableCall(function, asked.append, results.append, None)
            call.start()
            self.assertEqual(asked, ["outer"])
            self.assertParked(inner, "inner")
            for each in (inner.call, call) if isInnerFirst else (call, inner.call):
                each.answer(1)
            self.assertFinished(inner, 1)
            self.assertEqual(results, [(True, 1)])

    def test_refusedFromQuestion(self) -> None:
        """
        A call may refuse others, and itself.
        """
        parked = Asker("one")
        parked.call.start()

        def respond(call: PausableCall[Any], question: object) -> None:
            parked.call.refuse()
            call.refuse()

        other = Asker("other", respond=respond)
        other.call.start()
        self.assertFinished(parked, "refused")
        self.assertFinished(other, "refused")

    def test_thousandInRandomOrder(self) -> None:
        """
        A thousand calls wait at once for two answers each, which come in random
        order, and each gets its own.
        """
        random = Random(2026)
        askers = [Asker((number, 1), (number, 2)) for number in range(1000)]
        for asker in askers:
            asker.call.start()
        self.assertEqual(len(_parked), 1000)
        pending = [*askers, *askers]
        random.shuffle(pending)
        for asker in pending:
            asker.call.answer(("answer", asker.asked[-1]))
        for number, asker in enumerate(askers):
            self.assertFinished(asker, ("answer", (number, 1)), ("answer", (number, 2)))


class LifeTests(WaitingTestCase):
    """
    How long calls live.
    """

    def test_parkedIsNotCollected(self) -> None:
        """
        A parked call that nobody knows any more is not collected, which would
        unwind its function; once answered it is.
        """
        asker: Asker | None = Asker("one")
        assert asker is not None
        asker.call.start()
        call = weakref.ref(asker.call)
        state = asker.__dict__
        del asker
        gc.collect()
        parked = call()
        assert parked is not None
        self.assertTrue(parked.isParked)
        self.assertFalse(state["isUnwound"])
        parked.answer(1)
        self.assertEqual(state["results"], [[1]])
        del parked, state
        gc.collect()
        self.assertIsNone(call())

    def test_finishedIsReleased(self) -> None:
        """
        Nothing here keeps a call that has ended, or was never started.
        """
        for isStarted in (True, False):
            asker: Asker | None = Asker()
            assert asker is not None
            if isStarted:
                asker.call.start()
            call = weakref.ref(asker.call)
            del asker
            gc.collect()
            self.assertIsNone(call())

    def test_refuseParked(self) -> None:
        """
        At the end of the process every question that is open, or is asked then,
        is refused.
        """
        askers = [Asker("one", "two"), Asker("one"), Asker("one", "two", "three")]
        for asker in askers:
            asker.call.start()
        _refuseParked()
        for asker in askers:
            self.assertFinished(asker, *["refused"] * len(asker.questions))

    def test_refuseNothing(self) -> None:
        """
        Without parked calls the end of the process is no occasion.
        """
        asker = Asker()
        asker.call.start()
        _refuseParked()
        self.assertFinished(asker)

    def test_atExit(self) -> None:
        """
        A process that ends while a call is parked refuses it first.
        """
        program = (
            "from txsslstream._waiting import PausableCall, pause\n"
            "call = PausableCall(lambda: pause('?', None), print, print, 'refused')\n"
            "call.start()\n"
            "print('end')\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
        )
        self.assertEqual(ended.stdout.split(), ["?", "end", "refused"])
        self.assertEqual(ended.stderr, "")


class PauseTests(WaitingTestCase):
    """
    Tests for L{pause} where there is nobody to ask.
    """

    def test_outside(self) -> None:
        """
        Outside of every call it refuses at once.
        """
        self.assertEqual(pause("question", "refused"), "refused")

    def test_otherGreenlet(self) -> None:
        """
        In a greenlet of the application's it refuses at once, though a call be
        further down.
        """
        answers: list[object] = []
        greenlet(lambda: answers.append(pause("question", "refused"))).switch()

        def function() -> object:
            return greenlet(lambda: pause("question", "refused")).switch()

        call = PausableCall(function, self.fail, answers.append, "call's refusal")
        call.start()
        self.assertEqual(answers, ["refused", "refused"])

    def test_inQuestion(self) -> None:
        """
        While a question is told, nobody can ask another: that is outside.
        """
        answers: list[object] = []
        asker = Asker("one", respond=lambda call, question: answers.append(pause("two", "refused")))
        asker.call.start()
        self.assertEqual(answers, ["refused"])
        self.assertParked(asker, "one")
        asker.call.answer(1)
        self.assertFinished(asker, 1)
