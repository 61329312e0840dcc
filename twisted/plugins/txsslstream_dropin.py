"""
What C{twistd}, and whatever makes endpoints of strings, finds of txsslstream.
Every program that looks for any plugin imports this: it must import next to
nothing.
"""

from typing import Any

from twisted.application.service import ServiceMaker
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

sslecho = ServiceMaker(
    "txsslstream echo",
    "txsslstream._tap",
    "The secure sample server of SslStream.",
    "sslecho",
)

sslserve = ServiceMaker(
    "txsslstream serve",
    "txsslstream._serve",
    "TLS in front of any endpoint.",
    "sslserve",
)


@implementer(
    IPlugin, IStreamClientEndpointStringParserWithReactor, IStreamServerEndpointStringParser
)
class SslStreamParser:
    """
    Endpoints of descriptions that begin with C{sslstream:}.
    """

    prefix = "sslstream"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> Any:
        """
        See C{IStreamClientEndpointStringParserWithReactor}.
        """
        from txsslstream._parsers import clientEndpoint

        return clientEndpoint(reactor, args, kwargs)

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> Any:
        """
        See C{IStreamServerEndpointStringParser}.
        """
        from txsslstream._parsers import serverEndpoint

        return serverEndpoint(reactor, args, kwargs)


sslstreamParser = SslStreamParser()
