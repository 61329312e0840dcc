"""
A server that never decides about anybody: C{python -m tests.campaigns.waiting}.

It prints where it listens, and then, when it is sent C{SIGUSR1}, how many handshakes wait at the
moment; C{SIGUSR2} lets all of them in.  With any other signal it ends as any server does.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from txsslstream import (
    SslServerAuthenticationOptions,
    SslStreamCertificateContext,
    SslStreamServerEndpoint,
)

from ..programs import LISTEN

reactor: Any = _reactor


class Echo(Protocol):
    """
    Sends back what comes.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Send it.
        """
        transport: Any = self.transport
        transport.write(data)


class Undecided:
    """
    Validation callbacks that wait, one in two of them a coroutine.
    """

    def __init__(self) -> None:
        self._waiting: set[Deferred[bool]] = set()
        self._asked = 0

    def judge(self, *_: object) -> Any:
        """
        See L{SslServerAuthenticationOptions}.
        """
        self._asked += 1
        answer: Deferred[bool] = Deferred(self._waiting.discard)
        self._waiting.add(answer)
        return answer if self._asked % 2 else self._later(answer)

    async def _later(self, answer: Deferred[bool]) -> bool:
        return await answer

    def tell(self, *_: object) -> None:
        """
        Say how many wait.
        """
        print(f"waiting: {len(self._waiting)}", flush=True)

    def letIn(self, *_: object) -> None:
        """
        Let everybody in.
        """
        while self._waiting:
            self._waiting.pop().callback(True)


def main() -> None:
    """
    Listen.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", required=True)
    arguments = parser.parse_args()
    observer = FilteringLogObserver(
        textFileLogObserver(sys.stdout), [LogLevelFilterPredicate(LogLevel.warn)]
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    undecided = Undecided()
    options = SslServerAuthenticationOptions(
        SslStreamCertificateContext.fromPEM(arguments.certificate),
        remoteCertificateValidationCallback=undecided.judge,
        handshakeTimeout=120,
    )
    endpoint = SslStreamServerEndpoint(serverFromString(reactor, LISTEN), options)
    ports: list[Any] = []
    endpoint.listen(Factory.forProtocol(Echo)).addCallback(ports.append)
    for number, act in ((signal.SIGUSR1, undecided.tell), (signal.SIGUSR2, undecided.letIn)):
        signal.signal(number, lambda *_, act=act: reactor.callFromThread(act))
    print(f"Listening on port {ports[0].getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
