"""
The garbage collector, and tests that do without it.
"""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase


def leaveAside(test: SynchronousTestCase) -> None:
    """
    Have the garbage collector look at what a test makes alone: to look at all that
    thousands of tests have made takes longer than most of them.
    """
    gc.freeze()
    test.addCleanup(gc.unfreeze)


def withoutCollector(test: SynchronousTestCase) -> None:
    """
    Let nothing become free by the garbage collector for the rest of a test.
    """
    gc.disable()
    test.addCleanup(gc.enable)
    leaveAside(test)
