# -*- test-case-name: tests.test_attended -*-
"""
A service of which others ask whether clients may be sent to it.

Whoever sends them, such as a load balancer, has to hear of the end before it
begins: a connection that is in the queue of a socket as it is closed is lost, and
nobody is told.  So there is an address at which anybody may ask by HTTP, and a
time in which the answer is no already, and clients are still let in.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.web.http import OK, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


class StartError(SystemExit, Exception):
    """
    The service cannot start: one line for the user, and exit status 1.

    C{twistd} tidies up for an C{Exception} and prints no traceback for a
    C{SystemExit}.
    """


class Attended(Service):
    """
    Runs another service, and tells whoever asks whether that has clients.

    @ivar service: the other one.  Its C{unable} tells why it can have none: it
        returns a text, or a Deferred that fires with one, empty if it can.
    """

    def __init__(
        self, service: Any, endpoint: IStreamServerEndpoint, description: str, program: str
    ) -> None:
        """
        @param endpoint: where to be asked.
        @param description: of that, for errors.
        @param program: what the user has called.
        """
        self.service = service
        self._endpoint = endpoint
        self._description = description
        self._program = program
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """
        Listen, for either.

        @raise StartError: an address cannot be had.
        """
        super().privilegedStartService()
        failures: list[Failure] = []
        self._endpoint.listen(_HealthSite(self)).addCallbacks(self._listening, failures.append)
        if failures:
            raise StartError(
                f"{self._program}: cannot listen on {self._description}: "
                f"{failures[0].getErrorMessage()}"
            )
        IService(self.service).privilegedStartService()

    def _listening(self, port: IListeningPort) -> None:
        self._port = port

    def startService(self) -> None:
        """
        Start the other one.
        """
        super().startService()
        self.service.startService()

    def health(self) -> Deferred[str]:
        """
        @return: a Deferred that fires with why no clients are to be sent; empty:
            they are.
        """
        return maybeDeferred(self.service.unable if self.running else lambda: "ending")

    @inlineCallbacks
    def stopService(self) -> Any:
        """
        Say so, and then stop the other one.
        """
        super().stopService()
        yield maybeDeferred(self.service.stopService)
        if self._port is not None:
            yield self._port.stopListening()


class _Health(Resource):
    """
    The answer, whatever is asked for.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, attended: Attended) -> None:
        super().__init__()
        self._attended = attended

    def render(self, request: Request) -> Any:
        """
        See C{IResource}.
        """
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def answer(why: str) -> None:
            if gone:
                return
            request.setResponseCode(SERVICE_UNAVAILABLE if why else OK)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            request.setHeader(b"cache-control", b"no-store")
            request.write(f"{why or 'ready'}\n".encode())
            request.finish()

        self._attended.health().addCallback(answer)
        return NOT_DONE_YET


class _HealthSite(Site):
    """
    Has one resource, and no log of who asks for it.
    """

    noisy = False

    def __init__(self, attended: Attended) -> None:
        super().__init__(_Health(attended))

    def log(self, request: object) -> None:
        """
        They ask every second.
        """


def attended(service: Service, reactor: Any, options: usage.Options, program: str) -> Service:
    """
    @param program: what the user has called.
    @return: a service, or an L{Attended} around it, if the command line has an
        address for that.
    @raise StartError: the address is none.
    """
    description = options["health"]
    if description is None:
        return service
    try:
        endpoint = serverFromString(reactor, description)
    except (ValueError, TypeError, LookupError) as e:
        raise StartError(f"{program}: --health {description}: {e}") from None
    return Attended(service, endpoint, description, program)
