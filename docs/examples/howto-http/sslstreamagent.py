from twisted.internet.endpoints import HostnameEndpoint
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from txsslstream import SslClientAuthenticationOptions, SslStreamClientEndpoint


@implementer(IAgentEndpointFactory)
class SslStreamEndpoints:
    """
    Connects an Agent: by TLS with these options where the URL says https.
    """

    def __init__(self, reactor, **options):
        self.reactor = reactor
        self.options = options

    def endpointForURI(self, uri):
        host = uri.host.decode("ascii")
        tcp = HostnameEndpoint(self.reactor, host, uri.port)
        if uri.scheme != b"https":
            return tcp
        return SslStreamClientEndpoint(tcp, SslClientAuthenticationOptions(host, **self.options))


def sslStreamAgent(reactor, pool=None, **options):
    return Agent.usingEndpointFactory(reactor, SslStreamEndpoints(reactor, **options), pool)
