"""
Who is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from shutil import which

from .settings import Settings
from .workloads import MEMORY, SOCKETS, Workload

#: What ends the name of a contestant's twin: the same program, run once more.
TWIN = "*"

#: What depends on the key of the server.
_CERTIFIED = ("handshake", "rest")


@dataclass(frozen=True)
class Contestant:
    """
    One program to measure.

    @ivar name: what it is called on the command line.
    @ivar medium: of the workloads that are for it.
    @ivar title: what it is.
    @ivar module: the name of its program, if it works over sockets.
    @ivar arguments: what that is told.
    @ivar needs: the modules or programs that must be installed.
    @ivar handicap: how many times the time that it needs it is made to take.
    @ivar isProfiled: whether it tells what that time goes to.
    """

    name: str
    medium: str
    title: str
    module: str = ""
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    handicap: float = 1.0
    isProfiled: bool = False

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
    def base(self) -> str:
        """
        The name of whom it is compared with: Twisted's own TLS on the same
        reactor, or the one that it is the twin of.
        """
        if self.name != self.program:
            return self.program
        if self.medium == MEMORY:
            return "stock"
        isOnTwisted = self.package in ("stock", "ours")
        return f"stock-{self.arguments[1]}" if isOnTwisted else "stock-epoll"

    @property
    def missing(self) -> list[str]:
        """
        What it needs and is not installed.
        """
        return [each for each in self.needs if not (find_spec(each) or which(each))]

    def takesPart(self, workload: Workload) -> bool:
        """
        Whether it can do that.
        """
        settings = workload.settings
        if workload.medium != self.medium:
            return False
        if self.package == "mono":
            # Its memory is that of a garbage collector, and of many connections
            # some do not end.
            isServer = settings == Settings(key=settings.key) and workload.connections == 1
            return isServer and (settings.key == "rsa" or workload.kind not in _CERTIFIED)
        if settings.callback:
            return self.package == "ours"
        if settings.resumes and not settings.isServer:
            # Others' clients go on with no session by themselves.
            return self.package in ("ours", "bare")
        if settings.trustsPlatform:
            return self.package in ("ours", "stock")
        # Without TLS there are no keys to choose from.
        return self.package != "tcp" or settings == Settings()


def _onTwisted(package: str, title: str) -> list[Contestant]:
    return [
        Contestant(
            f"{package}-{loop}",
            SOCKETS,
            f"{title}, {loop}",
            "twisted_",
            (package, loop),
            ("uvloop",) if loop == "uvloop" else (),
        )
        for loop in ("epoll", "asyncio", "uvloop")
    ]


CONTESTANTS = (
    Contestant("stock", MEMORY, "Twisted's own TLS"),
    Contestant("ours", MEMORY, "txsslstream"),
    Contestant("bare", MEMORY, "OpenSSL, called from Python"),
    *_onTwisted("stock", "Twisted's own TLS"),
    *_onTwisted("ours", "txsslstream"),
    *_onTwisted("tcp", "Twisted without TLS")[:1],
    *(
        Contestant(
            f"{loop}-{style}",
            SOCKETS,
            f"{loop}, {style}",
            "asyncio_",
            (style, loop),
            ("uvloop",) if loop == "uvloop" else (),
        )
        for loop in ("asyncio", "uvloop")
        for style in ("protocol", "streams")
    ),
    Contestant("trio", SOCKETS, "trio's SSLStream", "trio_", needs=("trio",)),
    Contestant("anyio", SOCKETS, "anyio's TLSStream on asyncio", "anyio_", needs=("anyio",)),
    Contestant("blocking", SOCKETS, "CPython's sockets, a thread for each", "blocking"),
    Contestant("mono", SOCKETS, ".NET's SslStream on Mono, TLS 1.2", "mono", (), ("mcs", "mono")),
)

_BY_NAME = {each.name: each for each in CONTESTANTS}


def byName(name: str) -> Contestant:
    """
    @return: the contestant that is called so.
    @raise KeyError: nobody is.
    """
    return _BY_NAME[name]
