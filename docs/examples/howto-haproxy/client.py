# client.py
import sys

from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react


async def main(reactor, description):
    stream = await clientFromString(reactor, description).connectStream()
    await stream.write(b"Hello.\n")
    async for data in stream:
        sys.stdout.write(data.decode())
    await stream.close()


react(main, sys.argv[1:])
