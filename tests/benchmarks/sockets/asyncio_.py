"""
asyncio's TLS, with protocols and with streams, on its own loop and on uvloop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from tests.benchmarks.children import say
from tests.benchmarks.credentials import HOST, Credentials

from .jobs import Job, converse
from .pythonssl import context

#: What streams read at most at a time, in bytes.
_READ = 1 << 18


class _Server(asyncio.Protocol):
    """
    A server's application.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._left = 0
        self._isPaused = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        job = self._job
        begins = job.sends
        if job.echoes:
            self._transport.write(data)
        answer = job.received(len(data))
        if answer:
            self._transport.write(answer)
        if begins:
            self._left = job.workload.amount
            self.resume_writing()

    def pause_writing(self) -> None:
        self._isPaused = True

    def resume_writing(self) -> None:
        self._isPaused = False
        while self._left and not self._isPaused:
            self._left -= len(self._job.chunk)
            self._transport.write(self._job.chunk)


def _handler(job: Job) -> Callable[..., Any]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        async def received() -> AsyncIterator[bytes]:
            while data := await reader.read(_READ):
                yield data

        await converse(job, received(), send)
        writer.close()

    return handle


def run(loop: str, main: Any) -> None:
    """
    Run a coroutine.

    @param loop: C{asyncio} or C{uvloop}.
    """
    if loop == "uvloop":
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)


def serve(style: str, loop: str, jobs: Sequence[Job], credentials: Credentials) -> None:
    """
    Listen on a port for each of the jobs.

    @param style: C{protocol} or C{streams}.
    """

    async def main() -> None:
        servers = []
        for job in jobs:
            more: dict[str, Any] = {
                "ssl": context(job.workload.settings, credentials),
                "host": "127.0.0.1",
                "port": 0,
                "backlog": 1024,
            }
            if style == "streams":
                servers.append(await asyncio.start_server(_handler(job), **more))
            else:
                running = asyncio.get_running_loop()
                servers.append(await running.create_server(partial(_Server, job), **more))
        say([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    run(loop, main())


def connect(style: str, loop: str, job: Job, credentials: Credentials, port: int) -> None:
    """
    Connect again and again.
    """
    trusting = context(job.workload.settings, credentials)

    async def streams() -> None:
        while True:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusting, server_hostname=HOST
            )
            writer.write(b"x")
            job.received(len(await reader.read(_READ)))
            writer.close()
            await writer.wait_closed()

    async def protocols() -> None:
        running = asyncio.get_running_loop()

        class Client(asyncio.Protocol):
            def __init__(self) -> None:
                self.closed = running.create_future()

            def connection_made(self, transport: Any) -> None:
                self._transport = transport
                transport.write(b"x")

            def data_received(self, data: bytes) -> None:
                job.received(len(data))
                self._transport.close()

            def connection_lost(self, reason: Exception | None) -> None:
                self.closed.set_result(None)

        while True:
            _, client = await running.create_connection(
                Client, "127.0.0.1", port, ssl=trusting, server_hostname=HOST
            )
            await client.closed

    run(loop, streams() if style == "streams" else protocols())
