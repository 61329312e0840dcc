import sys

from server import readMessage
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from txsslstream import AuthenticationError, SslPolicyErrors, SslStream


def validateServerCertificate(sender, certificate, chain, sslPolicyErrors):
    if sslPolicyErrors == SslPolicyErrors.None_:
        return True
    print(f"Certificate error: {sslPolicyErrors!r}")
    return False


async def runClient(reactor, machineName, serverName):
    endpoint = HostnameEndpoint(reactor, machineName, 8080)
    client = await endpoint.connect(Factory.forProtocol(Protocol))
    print("Client connected.")
    sslStream = SslStream(client.transport, False, validateServerCertificate, None)
    try:
        await sslStream.authenticateAsClient(serverName)
    except AuthenticationError as e:
        print(f"Exception: {e}")
        if e.__cause__ is not None:
            print(f"Inner exception: {e.__cause__}")
        print("Authentication failed - closing the connection.")
        await sslStream.close()
        return
    message = b"Hello from the client.<EOF>"
    await sslStream.write(message)
    await sslStream.flush()
    serverMessage = await readMessage(sslStream)
    print(f"Server says: {serverMessage}")
    await sslStream.close()
    print("Client closed.")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("To start the client specify:\nclient.py machineName [serverName]")
    machineName, serverName = sys.argv[1], sys.argv[-1]
    react(runClient, [machineName, serverName])
