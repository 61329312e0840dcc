"""
A web server for what certificates name: CRLs, issuers' certificates, prepared
OCSP responses, and places that behave badly.

    python -m tests.interop._web DIRECTORY

It prints on which port of 127.0.0.1 it listens, and each request.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import NOT_ALLOWED
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import File
from zope.interface import implementer

#: Bytes of what F{/flood} sends, and of each piece.
FLOOD = 50 << 20
_PIECE = b"\x30" * (1 << 16)


def say(line: str) -> None:
    """
    Print a line at once.
    """
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Root(Resource):
    """
    Everything, and a line for each request.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        # F{/files/NAME} is the file; F{/answer/NAME} is it below that and for
        # POST as well, F{/post/NAME} for POST alone.
        self.putChild(b"files", File(str(directory)))
        self.putChild(b"answer", Answer(directory, (b"GET", b"POST")))
        self.putChild(b"post", Answer(directory, (b"POST",)))
        self.putChild(b"loop", Loop())
        self.putChild(b"flood", Flood())
        self.putChild(b"silent", Silent())

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """
        Tell of the request.
        """
        say(f"{request.method.decode()} {request.uri.decode()}")
        found: IResource = super().getChildWithDefault(path, request)
        return found


class Answer(Resource):
    """
    An OCSP responder with prepared responses.
    """

    isLeaf = True

    def __init__(self, directory: Path, methods: tuple[bytes, ...]) -> None:
        super().__init__()
        self._directory = directory
        self._methods = methods

    def render(self, request: Request) -> bytes:
        """
        @return: the response.
        """
        if request.method not in self._methods:
            request.setResponseCode(NOT_ALLOWED)
            return b""
        assert request.postpath is not None
        name = request.postpath[0].decode("ascii")
        return (self._directory / name).read_bytes()


class Loop(Resource):
    """
    It is elsewhere, and elsewhere is here.
    """

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """
        @return: nothing.
        """
        request.redirect(request.uri)
        return b""


class Silent(Resource):
    """
    Never answers.
    """

    isLeaf = True

    def render(self, request: Request) -> int:
        """
        @return: that it is not done yet.
        """
        request.notifyFinish().addErrback(lambda _: say("given up on"))
        return NOT_DONE_YET


class Flood(Resource):
    """
    More than anybody wants.
    """

    isLeaf = True

    def render(self, request: Request) -> int:
        """
        @return: that it is not done yet.
        """
        _Pouring(request)
        return NOT_DONE_YET


@implementer(IPushProducer)
class _Pouring:
    """
    A flood on its way.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._sent = 0
        self._isPaused = False
        request.notifyFinish().addBoth(self._ended)
        request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """
        Go on until there is no room.
        """
        self._isPaused = False
        while not self._isPaused and self._sent < FLOOD:
            self._sent += len(_PIECE)
            self._request.write(_PIECE)
        if self._sent >= FLOOD and not self._isPaused:
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        """
        There is no room.
        """
        self._isPaused = True

    def stopProducing(self) -> None:
        """
        Nobody listens any more.
        """
        self._isPaused = True

    def _ended(self, _: object) -> None:
        say(f"flood ended after {self._sent} bytes")


def main(reactor: Any, directory: str) -> Deferred[None]:
    """
    Listen.

    @return: a Deferred that never fires.
    """
    port = reactor.listenTCP(0, Site(Root(Path(directory))), interface="127.0.0.1")
    say(f"Listening on port {port.getHost().port}")
    return Deferred()


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
