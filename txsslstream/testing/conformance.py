# -*- test-case-name: tests.test_conformance -*-
"""
What a stream of ours promises, as test cases that can be run over any transport,
and with any stream that is to do the same.

Each test shows lines of F{docs/behaviour.md}, by their numbers; see
L{behavioursOf}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from ..enums import SslProtocols
from .authenticating import Authenticating
from .cases import VERSIONS
from .conforming import behavioursOf
from .ending import Ending
from .interrupting import Interrupting
from .leaving import Leaving
from .pushing import Pushing
from .transferring import Transferring


class Conformance(Authenticating, Interrupting, Transferring, Pushing, Ending, Leaving):
    """
    All of it.  Subclass it, override
    L{makeWire<txsslstream.testing.conforming.ConformanceCase.makeWire>},
    L{makeStream<txsslstream.testing.conforming.ConformanceCase.makeStream>} or
    L{makeProtocol<txsslstream.testing.conforming.ConformanceCase.makeProtocol>},
    and decorate it with L{perRole}.
    """


def perRole(
    *, versions: Iterable[SslProtocols] = VERSIONS
) -> Callable[[type[Conformance]], type[Conformance]]:
    """
    Run a conformance case as client and as server in each version of TLS: a
    class decorator that puts one C{SynchronousTestCase} of trial's for each
    beside the class, in its module.
    """

    def decorate(mixin: type[Conformance]) -> type[Conformance]:
        # Nobody needs trial for anything else here.
        from twisted.trial.unittest import SynchronousTestCase

        module = sys.modules[mixin.__module__]
        for version in versions:
            for isServer in (False, True):
                name = f"{mixin.__name__}_{version.name}_{'server' if isServer else 'client'}"
                made = type(
                    name,
                    (mixin, SynchronousTestCase),
                    {
                        "version": version,
                        "isServer": isServer,
                        "__module__": mixin.__module__,
                        "__doc__": mixin.__doc__,
                    },
                )
                setattr(module, name, made)
        return mixin

    return decorate


__all__ = ["Conformance", "behavioursOf", "perRole"]
