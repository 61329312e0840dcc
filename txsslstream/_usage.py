# -*- test-case-name: tests.test_main -*-
"""
What the command lines have in common.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TextIO

from twisted.python import usage

from ._tap import CertificateOptions


def portNumber(text: str) -> int:
    """
    @return: the number of a TCP port.
    @raise ValueError: it is none.
    """
    number = int(text)
    if not 0 < number < 1 << 16:
        # Such a number would be taken for another port.
        raise ValueError(f"{number} is no port")
    return number


def fallSilent(out: TextIO) -> None:
    """
    Write no more: whoever was reading has seen enough, and Python would complain
    at its end.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


class CommandOptions(CertificateOptions):
    """
    Options that may come before and behind the other arguments: Twisted's own
    parser takes the first argument for the end of the options.
    """

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse.
        """
        given = sys.argv[1:] if options is None else list(options)
        try:
            found, arguments = getopt.gnu_getopt(given, self.shortOpt, self.longOpt)
        except getopt.error as e:
            raise usage.UsageError(str(e)) from None
        takes = {f"--{name[:-1]}" for name in self.longOpt if name.endswith("=")}
        takes |= {f"-{name}" for name, mark in pairwise(self.shortOpt) if mark == ":"}
        inOrder = [
            word for name, value in found for word in ((name, value) if name in takes else (name,))
        ]
        super().parseOptions([*inOrder, "--", *arguments])
