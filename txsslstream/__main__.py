# -*- test-case-name: tests.test_main -*-
"""
C{sslstream}, or C{python -m txsslstream}: the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react
from twisted.python import usage

from ._serve import Options as ServeOptions
from ._serve import runServe
from ._tap import VersionOptions, parameter
from ._usage import CommandOptions, fallSilent, portNumber
from .echo import MISFORTUNES, converse, reportFailure
from .errors import AuthenticationError, InvalidOperationError, NotSupportedError
from .inspect import InspectOptions, runInspect
from .options import SslClientAuthenticationOptions
from .stream import SslStream


class ClientOptions(CommandOptions):
    """
    C{sslstream client}.
    """

    synopsis = "[options] HOST [SERVERNAME]"

    longdesc = (
        "The client of the secure sample: connects to HOST, authenticates the "
        "server as SERVERNAME (HOST unless given), prints the connection's "
        "security, sends a message and prints the answer. Exit status: 0 if the "
        "server was authenticated and has answered, 1 if not, 2 if it could not "
        "be reached."
    )

    optParameters: ClassVar[list[Any]] = [
        parameter("port", "p", 8080, "Port of the server.", portNumber),
        ["message", "m", "Hello from the client.", "What to say."],
        parameter("timeout", "t", 30.0, "Seconds to connect, to authenticate and to read.", float),
    ]

    optFlags: ClassVar[list[Any]] = [["verbose", "v", "Tell more about the connection."]]

    def parseArgs(self, *names: str) -> None:
        """
        Take the arguments that are no options.
        """
        if not 1 <= len(names) <= 2:
            raise usage.UsageError(f"HOST is needed, or HOST and SERVERNAME, not {len(names)}")
        self["host"], self["serverName"] = names[0], names[-1]

    def postOptions(self) -> None:
        """
        Read the files, so that nothing of them can fail later.
        """
        try:
            self["authentication"] = SslClientAuthenticationOptions(
                self["serverName"],
                clientCertificateContext=self.certificateContext(),
                trust=self.trusted(),
                handshakeTimeout=self["timeout"],
            )
        except (ValueError, InvalidOperationError, NotSupportedError) as e:
            raise SystemExit(f"sslstream client: {e}") from None


async def runClient(reactor: Any, options: ClientOptions) -> int:
    """
    Run the sample's client.

    @return: the exit status.
    """
    endpoint = HostnameEndpoint(
        reactor, options["host"], options["port"], timeout=options["timeout"]
    )
    try:
        protocol: Any = await endpoint.connect(Factory.forProtocol(Protocol))
    except Exception as e:
        print(f"sslstream client: {options['host']}:{options['port']}: {e}", file=sys.stderr)
        return 2
    print("Client connected.")
    stream = SslStream(protocol.transport, clock=reactor)
    isAnswered = False
    try:
        await stream.authenticateAsClient(options["authentication"])
        stream.readTimeout = options["timeout"]
        isAnswered = await converse(stream, options["message"], print, bool(options["verbose"]))
    except AuthenticationError as e:
        reportFailure(e, print)
    except MISFORTUNES as e:
        print(f"Exception: {e}")
    await stream.close()
    print("Client closed.")
    return 0 if isAnswered else 1


class Options(VersionOptions):
    """
    C{sslstream}.
    """

    longdesc = "Streams that TLS authenticates and encrypts."

    subCommands: ClassVar[list[Any]] = [
        ["client", None, ClientOptions, "Talk to the secure sample server."],
        ["inspect", None, InspectOptions, "Show what there is to know of a server."],
        ["serve", None, ServeOptions, "Put TLS in front of any endpoint."],
    ]

    def getSynopsis(self) -> str:
        """
        @return: how it is called, which a command's own synopsis goes behind.
        """
        return "Usage: sslstream" if self.subCommand else "Usage: sslstream COMMAND [options]"

    def postOptions(self) -> None:
        """
        @raise UsageError: there is no command.
        """
        if self.subCommand is None:
            raise usage.UsageError("a command is needed")


#: How each command is run, with the reactor and its options; it returns the
#: exit status.
_RUN: dict[str | None, Callable[[Any, Any], Awaitable[int]]] = {
    "client": runClient,
    "inspect": runInspect,
    "serve": runServe,
}


def main(arguments: list[str] | None = None) -> None:
    """
    Run a command and exit with its status.
    """
    options = Options()
    try:
        try:
            options.parseOptions(sys.argv[1:] if arguments is None else arguments)
        finally:
            # Of the help, if that was asked for.
            sys.stdout.flush()
    except usage.UsageError as e:
        program = " ".join(filter(None, ["sslstream", options.subCommand]))
        raise SystemExit(f"{program}: {e}\nTry {program} --help.") from None
    except BrokenPipeError:
        fallSilent(sys.stdout)
        raise SystemExit(0) from None

    async def run(reactor: Any) -> None:
        status = await _RUN[options.subCommand](reactor, options.subOptions)
        if status:
            raise SystemExit(status)

    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))


if __name__ == "__main__":
    main()
