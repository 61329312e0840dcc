"""
How much memory both sides of a connection need when one of them is slow.

C{python -m tests.soak_memory [MIB]} sends so many MiB, 1024 unless told
otherwise, over TCP to another process, and as many back.  In each direction the
reader stops for a moment again and again, so that everything on the way fills
up.  It prints how far the peak of the resident memory of both rises above what
was resident behind the handshake, and fails if that is more than L{LIMIT}.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.task import deferLater, react

from txsslstream import SslStream, SslStreamClientEndpoint, SslStreamServerEndpoint

from .support import clientOptions, serverOptions

MIB = 1 << 20

#: The most that the peak may rise, in MiB.
LIMIT = 16

#: How often the reader stops, in bytes read, and for how many seconds.
STOP_AFTER = 32 * MIB
STOP_FOR = 0.1


def memory(name: str) -> float:
    """
    @return: this process's C{VmRSS}, or C{VmHWM}, its peak, in MiB.
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s*(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


async def send(stream: SslStream, size: int) -> None:
    """
    Write so much as fast as the peer takes it.
    """
    chunk = bytes(MIB)
    for _ in range(size // MIB):
        await stream.write(chunk)
    await stream.shutdown()


async def receiveSlowly(reactor: Any, stream: SslStream) -> int:
    """
    Read to the end, with stops.

    @return: how many bytes there were.
    """
    received = 0
    async for chunk in stream:
        if (received + len(chunk)) // STOP_AFTER > received // STOP_AFTER:
            await deferLater(reactor, STOP_FOR)
        received += len(chunk)
    return received


async def measure(reactor: Any, stream: SslStream, size: int, isSending: bool) -> str:
    """
    Do one side's part.

    @return: the rise.
    """
    before = memory("VmRSS")
    if isSending:
        await send(stream, size)
        await stream.read()
    else:
        received = await receiveSlowly(reactor, stream)
        assert received == size, f"{received} bytes instead of {size}"
        await stream.shutdown()
    await stream.close()
    return f"{memory('VmHWM') - before:.1f}"


async def serve(reactor: Any, size: int, isSending: bool) -> None:
    """
    The child's part: tell the port, then the rise.
    """
    done: Deferred[str] = Deferred()

    async def handle(stream: SslStream) -> None:
        done.callback(await measure(reactor, stream, size, isSending))

    endpoint = SslStreamServerEndpoint(
        TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), serverOptions()
    )
    port: Any = await endpoint.listenStreams(handle)
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    sys.stdout.write(f"{await done}\n")


async def run(reactor: Any, size: int, isSending: bool) -> bool:
    """
    The parent's part of one direction.

    @return: whether the memory was bounded.
    """
    role = "receive" if isSending else "send"
    child = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(size // MIB), role],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        # The child makes its certificates of its own.
        options = clientOptions(remoteCertificateValidationCallback=lambda *_: True)
        endpoint = SslStreamClientEndpoint(
            TCP4ClientEndpoint(reactor, "127.0.0.1", int(child.stdout.readline())), options
        )
        stream = await endpoint.connectStream()
        started = reactor.seconds()
        ours = await measure(reactor, stream, size, isSending)
        seconds = reactor.seconds() - started
        theirs = child.stdout.readline().strip()
    what = "slow peer, we write" if isSending else "slow reader, we read"
    sys.stdout.write(
        f"{what}: {size // MIB} MiB in {seconds:.1f} s; peak memory rises by "
        f"{ours} MiB here, {theirs} MiB there\n"
    )
    return max(float(ours), float(theirs)) <= LIMIT


async def command(reactor: Any, mebibytes: str = "1024", role: str = "") -> None:
    """
    The command.

    @param role: the child's.
    """
    size = int(mebibytes) * MIB
    if role:
        await serve(reactor, size, role == "send")
        return
    bounded = [await run(reactor, size, isSending) for isSending in (True, False)]
    if not all(bounded):
        raise SystemExit(f"more than {LIMIT} MiB")


def main(reactor: Any, *arguments: str) -> Deferred[None]:
    """
    The command, for L{react}.
    """
    return Deferred.fromCoroutine(command(reactor, *arguments))


if __name__ == "__main__":
    react(main, sys.argv[1:])
