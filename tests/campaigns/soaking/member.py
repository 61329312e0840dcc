"""
A process of a soak: what it is asked on its standard input, line by line, and
what it answers.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater, react
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from .sampling import overLimit, sample

#: What may be in the log as more than information: callbacks raise on purpose.
EXPECTED_WORDS = "on purpose"


async def settled(reactor: Any, kind: type, isSo: Callable[[int], bool]) -> int:
    """
    Wait for the ends of connections, for a few seconds.

    @param kind: of the transports.
    @param isSo: whether that number of them is right.
    @return: how many there are.
    """

    def number() -> int:
        return sum(isinstance(each, kind) for each in reactor.getReaders())

    for _ in range(150):
        if isSo(number()):
            break
        await deferLater(reactor, 0.03)
    return number()


@implementer(ILogObserver)
class Complaints:
    """
    Keeps what is logged and should not be.

    @ivar counts: how often each was said.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        globalLogPublisher.addObserver(self)

    def close(self) -> None:
        """
        Keep no more.
        """
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """
        See L{ILogObserver}.
        """
        if event.get("log_level", LogLevel.info) < LogLevel.warn and not event.get("isError"):
            return
        failure = event.get("log_failure")
        said = formatEvent(event)
        if failure is not None:
            said += f": {failure.getErrorMessage()}\n{failure.getTraceback()}"
        if EXPECTED_WORDS not in said and len(self.counts) < 20:
            self.counts[said] += 1


class Member(LineOnlyReceiver):
    """
    Answers the conductor.

    @ivar commands: what it can be asked, besides for samples.
    @ivar complaints: what was logged and should not be.
    """

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, reactor: Any, commands: Mapping[str, Callable[..., Awaitable[Any]]]) -> None:
        self.done: Deferred[None] = Deferred()
        self.commands = {**commands, "sample": self._sample}
        self._reactor = reactor
        self.complaints = Complaints()
        self._first: Counter[str] | None = None

    async def _sample(self, isFirst: bool) -> dict[str, Any]:
        figures, types = sample(self._reactor)
        if isFirst or self._first is None:
            self._first = types
        return {
            "figures": figures,
            "first": dict(self._first),
            "types": dict(types),
            "overLimit": overLimit(),
            "complaints": dict(self.complaints.counts),
        }

    def lineReceived(self, line: bytes) -> None:
        """
        Answer.
        """
        name, arguments = json.loads(line)
        answering = maybeDeferred(self.commands[name], *arguments)
        answering.addCallbacks(lambda said: self.sendLine(json.dumps(said).encode()), self._failed)

    def _failed(self, failure: Failure) -> None:
        sys.stderr.write(failure.getTraceback())
        self.done.callback(None)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        That was all.
        """
        if not self.done.called:
            self.done.callback(None)


def run(begin: Callable[[Any, Path], Mapping[str, Callable[..., Awaitable[Any]]]]) -> None:
    """
    Be a member: C{python -m MODULE HOME}.

    @param begin: called with the reactor and the directory of the soak; returns
        the commands.
    """
    warnings.simplefilter("always", ResourceWarning)

    def main(reactor: Any, home: str) -> Deferred[None]:
        member = Member(reactor, begin(reactor, Path(home)))
        StandardIO(member, reactor=reactor)
        return member.done

    react(main, sys.argv[1:])
