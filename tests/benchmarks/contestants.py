"""
Who is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from .workloads import MEMORY, Workload

#: What ends the name of a contestant's twin: the same program, run once more.
TWIN = "*"


@dataclass(frozen=True)
class Contestant:
    """
    One program to measure.

    @ivar name: what it is called on the command line.
    @ivar medium: of the workloads that are for it.
    @ivar title: what it is.
    @ivar needs: the modules that must be installed.
    @ivar handicap: how many times the time that it needs it is made to take.
    """

    name: str
    medium: str
    title: str
    needs: tuple[str, ...] = ()
    handicap: float = 1.0

    @property
    def program(self) -> str:
        """
        The name of who really runs.
        """
        return self.name.rstrip(TWIN)

    @property
    def package(self) -> str:
        """
        Whose TLS it is: the first part of its name.
        """
        return self.program.partition("-")[0]

    @property
    def missing(self) -> list[str]:
        """
        What it needs and is not installed.
        """
        return [each for each in self.needs if find_spec(each) is None]

    def takesPart(self, workload: Workload) -> bool:
        """
        Whether it can do that.
        """
        settings = workload.settings
        if workload.medium != self.medium:
            return False
        if settings.callback:
            return self.package == "ours"
        if settings.resumes and not settings.isServer:
            # Twisted's own clients go on with no session.
            return self.package in ("ours", "bare")
        return not settings.trustsPlatform or self.package in ("ours", "stock")


CONTESTANTS = (
    Contestant("stock", MEMORY, "Twisted's own TLS"),
    Contestant("ours", MEMORY, "txsslstream"),
    Contestant("bare", MEMORY, "OpenSSL, called from Python"),
)
