"""
Runs Twisted's own tests with this package's classes in place of the stock ones:
C{python -m tests.upstream [--stock] MODULE...}

Trial reports as ever; the last line tells how many connections our class had
and how many of them finished their handshake.  With C{--stock} everything is
left as it is, to compare.
"""

from __future__ import annotations

import atexit
import sys
import tempfile
from types import SimpleNamespace
from typing import Any

from twisted.protocols import tls
from twisted.scripts import trial

from txsslstream import SslStreamFactory, SslStreamProtocol


class Counted(SslStreamProtocol):
    """
    Ours, and how often it was used.
    """

    made = 0
    handshaken = 0

    def makeConnection(self, transport: Any) -> None:
        Counted.made += 1
        self.whenAuthenticated().addCallbacks(_handshaken, lambda _: None)
        super().makeConnection(transport)


def _handshaken(_: object) -> None:
    Counted.handshaken += 1


class _Both(type):
    """
    Of the stock classes the unbuffered one is the base of the buffered one.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Counted)


class CountedUnbuffered(Counted, metaclass=_Both):
    """
    Ours without the aggregation of small writes, which the stock base class
    does not have: its tests look for the bytes at once, and make it without a
    clock.
    """

    writeSequence = tls.TLSMemoryBIOProtocol.writeSequence

    def __init__(self, factory: Any, wrappedProtocol: Any, _connectWrapped: bool = True) -> None:
        super().__init__(SimpleNamespace(_clock=None), wrappedProtocol, _connectWrapped)
        self.factory = factory
        self._aggregator = tls._NullAggregator()
        del self.write


class CountedFactory(SslStreamFactory):
    """
    Our factory.
    """

    protocol = Counted


REPLACEMENTS: dict[type, type] = {
    tls.TLSMemoryBIOProtocol: CountedUnbuffered,
    tls.BufferingTLSTransport: Counted,
    tls.TLSMemoryBIOFactory: CountedFactory,
}


def replaceEverywhere() -> None:
    """
    Put our classes wherever a module of Twisted's that is loaded by now names a
    stock one; those loaded later get them from there.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "twisted":
            for attribute, value in list(vars(module).items()):
                if isinstance(value, type) and value in REPLACEMENTS:
                    setattr(module, attribute, REPLACEMENTS[value])


def main(arguments: list[str]) -> None:
    """
    Run trial; it exits the process.
    """
    if "--stock" in arguments:
        arguments = [each for each in arguments if each != "--stock"]
    else:
        replaceEverywhere()
    directory = tempfile.TemporaryDirectory()
    atexit.register(
        lambda: sys.stdout.write(f"carried: made={Counted.made} handshaken={Counted.handshaken}\n")
    )
    sys.argv = ["trial", f"--temp-directory={directory.name}/trial", *arguments]
    trial.run()


if __name__ == "__main__":
    main(sys.argv[1:])
