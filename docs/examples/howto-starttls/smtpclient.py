from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.mail.smtp import ESMTPSenderFactory

from txsslstream import SslCertificateTrust, SslClientAuthenticationOptions, StartTLSFactory

trust = SslCertificateTrust.fromPEM("authority.pem")

MESSAGE = b"""\
Subject: Hello

Nobody has read this on the way.
"""


async def send(reactor, targetHost):
    sent = Deferred()
    sender = ESMTPSenderFactory(
        username=None,
        password=None,
        fromEmail="alice@example.com",
        toEmail="bob@example.com",
        file=BytesIO(MESSAGE),
        deferred=sent,
        retries=0,
        contextFactory=SslClientAuthenticationOptions(targetHost, trust=trust),
        requireAuthentication=False,
        requireTransportSecurity=True,
    )
    # Endpoints do not tell such a factory that its connection is lost.
    reactor.connectTCP("localhost", 8443, StartTLSFactory(sender))
    try:
        count, answers = await sent
        print(f"sent to {count}: {answers}")
    except Exception as e:
        print(f"{type(e).__name__}: {e}")


async def main(reactor):
    await send(reactor, "localhost")
    await send(reactor, "example.com")


react(main)
