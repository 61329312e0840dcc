import sys
from dataclasses import dataclass, replace

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from txsslstream import (
    AuthenticationError,
    SslCertificateTrust,
    SslClientAuthenticationOptions,
    SslStreamClientEndpoint,
)


@implementer(IAgentEndpointFactory)
@dataclass
class OurEndpoints:
    reactor: object
    options: SslClientAuthenticationOptions

    def endpointForURI(self, uri):
        host = uri.host.decode("ascii")
        endpoint = HostnameEndpoint(self.reactor, host, uri.port)
        if uri.scheme != b"https":
            return endpoint
        return SslStreamClientEndpoint(endpoint, replace(self.options, targetHost=host))


async def main(reactor, authority, client):
    options = SslClientAuthenticationOptions(
        "", [client], trust=SslCertificateTrust.fromPEM(authority)
    )
    agent = Agent.usingEndpointFactory(reactor, OurEndpoints(reactor, options))
    try:
        response = await agent.request(b"GET", b"https://localhost:8443/page.txt")
    except AuthenticationError as error:
        print("refused:", error.problems)
        return
    print(response.code, (await readBody(response)).decode().strip())


react(main, sys.argv[1:])
