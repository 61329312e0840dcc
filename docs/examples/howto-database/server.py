from cryptography.hazmat.primitives import hashes
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.logger import formatEvent, globalLogBeginner

from txsslstream import (
    SslCertificateTrust,
    SslServerAuthenticationOptions,
    SslStreamServerEndpoint,
)

database = ConnectionPool("sqlite3", "clients.db", check_same_thread=False)


async def find(certificate):
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    rows = await database.runQuery(
        "SELECT name, isActive FROM clients WHERE fingerprint = ?", (fingerprint,)
    )
    return rows[0] if rows else (None, False)


async def isKnown(stream, certificate, chain, sslPolicyErrors):
    if sslPolicyErrors:
        return False
    name, isActive = await find(certificate)
    print(f"{name} is active: {bool(isActive)}")
    return bool(isActive)


options = SslServerAuthenticationOptions(
    "server.pem",
    clientCertificateRequired=True,
    remoteCertificateValidationCallback=isKnown,
    trust=SslCertificateTrust.fromPEM("authority.pem"),
)


async def greet(stream):
    name, _ = await find(stream.remoteCertificate)
    await stream.write(f"Hello, {name}.\n".encode())


def say(event):
    if event["log_namespace"].startswith("txsslstream"):
        print(formatEvent(event))


async def main(reactor):
    globalLogBeginner.beginLoggingTo([say], redirectStandardIO=False)
    reactor.addSystemEventTrigger("during", "shutdown", database.close)
    tcp = TCP4ServerEndpoint(reactor, 8443)
    await SslStreamServerEndpoint(tcp, options).listenStreams(greet)
    print("Listening.")
    await Deferred()


react(main)
