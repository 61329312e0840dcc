from sslstreamagent import sslStreamAgent
from treq.client import HTTPClient
from twisted.internet.task import react
from twisted.web.client import HTTPConnectionPool, ResponseFailed

from txsslstream import AuthenticationError, SslCertificateTrust

trust = SslCertificateTrust.fromPEM("authority.pem")


async def fetch(reactor, pool=None, **options):
    client = HTTPClient(sslStreamAgent(reactor, pool, **options))
    try:
        response = await client.get("https://localhost:8443/")
        print(response.code, await response.text())
    except AuthenticationError as e:
        print(f"refused: {e}")
    except ResponseFailed as e:
        for failure in e.reasons:
            print(f"not answered: {failure.getErrorMessage()}")


async def main(reactor):
    pool = HTTPConnectionPool(reactor)
    await fetch(reactor, pool, clientCertificates=["alice.pem"], trust=trust)
    await pool.closeCachedConnections()
    # The server does not learn who this is; this does not know who the server is.
    await fetch(reactor, trust=trust)
    await fetch(reactor, clientCertificates=["alice.pem"])


react(main)
