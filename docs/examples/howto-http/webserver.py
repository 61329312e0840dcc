from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.web.resource import Resource
from twisted.web.server import Site

from txsslstream import (
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)

options = SslServerAuthenticationOptions(
    "server.pem",
    clientCertificateRequired=True,
    trust=SslCertificateTrust.fromPEM("authority.pem"),
)


class Hello(Resource):
    isLeaf = True

    def render_GET(self, request):
        certificate = request.transport.remoteCertificate
        return f"Hello, {certificate.subject.rfc4514_string()}.\n".encode()


async def main(reactor):
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listen(Site(Hello()))
    print("Listening.")
    await Deferred()


react(main)
