import codecs
import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import AuthenticationError, SslStream, SslStreamCertificateContext


async def runServer(reactor, certificate):
    serverCertificate = SslStreamCertificateContext.fromPEM(certificate)

    class Client(Protocol):
        def connectionMade(self):
            Deferred.fromCoroutine(processClient(self.transport, serverCertificate))

    listener = TCP4ServerEndpoint(reactor, 8080)
    await listener.listen(Factory.forProtocol(Client))
    print("Waiting for a client to connect...")
    await Deferred()


async def processClient(client, serverCertificate):
    sslStream = SslStream(client, False)
    try:
        await sslStream.authenticateAsServer(
            serverCertificate, clientCertificateRequired=False, checkCertificateRevocation=True
        )
        displaySecurityLevel(sslStream)
        displaySecurityServices(sslStream)
        displayCertificateInformation(sslStream)
        displayStreamProperties(sslStream)

        sslStream.readTimeout = 5
        sslStream.writeTimeout = 5
        print("Waiting for client message...")
        messageData = await readMessage(sslStream)
        print(f"Received: {messageData}")

        message = b"Hello from the server.<EOF>"
        print("Sending hello message.")
        await sslStream.write(message)
    except AuthenticationError as e:
        print(f"Exception: {e}")
        if e.__cause__ is not None:
            print(f"Inner exception: {e.__cause__}")
        print("Authentication failed - closing the connection.")
    finally:
        await sslStream.close()


async def readMessage(sslStream):
    decoder = codecs.getincrementaldecoder("utf-8")()
    messageData = ""
    async for buffer in sslStream:
        messageData += decoder.decode(buffer)
        if "<EOF>" in messageData:
            break
    return messageData


def displaySecurityLevel(stream):
    print(f"Cipher: {stream.cipherAlgorithm.name} strength {stream.cipherStrength}")
    print(f"Hash: {stream.hashAlgorithm.name} strength {stream.hashStrength}")
    print(f"Key exchange: {stream.keyExchangeAlgorithm.name} strength {stream.keyExchangeStrength}")
    print(f"Protocol: {stream.sslProtocol.name}")


def displaySecurityServices(stream):
    print(f"Is authenticated: {stream.isAuthenticated} as server? {stream.isServer}")
    print(f"IsSigned: {stream.isSigned}")
    print(f"Is Encrypted: {stream.isEncrypted}")


def displayStreamProperties(stream):
    print(f"Can read: {stream.canRead}, write {stream.canWrite}")
    print(f"Can timeout: {stream.canTimeout}")


def displayCertificateInformation(stream):
    print(f"Certificate revocation list checked: {stream.checkCertRevocationStatus}")
    for side, certificate in (
        ("Local", stream.localCertificate),
        ("Remote", stream.remoteCertificate),
    ):
        if certificate is not None:
            print(
                f"{side} cert was issued to {certificate.subject.rfc4514_string()} and is valid"
                f" from {certificate.not_valid_before_utc} until {certificate.not_valid_after_utc}."
            )
        else:
            print(f"{side} certificate is null.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("To start the server specify:\nserver.py certificateFile.pem")
    react(runServer, sys.argv[1:2])
