import sys

from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.internet.task import react
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer


@implementer(IPolicyForHTTPS)
class OurPolicy:
    def __init__(self, authority, client):
        with open(authority, "rb") as file:
            self.trust = trustRootFromCertificates([Certificate.loadPEM(file.read())])
        with open(client, "rb") as file:
            self.client = PrivateCertificate.loadPEM(file.read())

    def creatorForNetloc(self, hostname, port):
        return optionsForClientTLS(hostname.decode("ascii"), self.trust, self.client)


async def main(reactor, authority, client):
    agent = Agent(reactor, OurPolicy(authority, client))
    try:
        response = await agent.request(b"GET", b"https://localhost:8443/page.txt")
    except ResponseFailed as error:
        print("failed:", [reason.value for reason in error.reasons])
        return
    print(response.code, (await readBody(response)).decode().strip())


react(main, sys.argv[1:])
