"""
anyio's TLSStream, on asyncio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
from anyio.streams.tls import TLSListener, TLSStream

from tests.benchmarks.children import say
from tests.benchmarks.credentials import HOST, Credentials

from .jobs import Job, converse
from .pythonssl import context


def _handler(job: Job) -> Any:
    async def handle(stream: Any) -> None:
        try:
            await converse(job, stream, stream.send)
            await stream.aclose()
        except anyio.BrokenResourceError:
            # The peer does not wait for close_notify.
            pass

    return handle


def serve(jobs: Sequence[Job], credentials: Credentials) -> None:
    """
    Listen on a port for each of the jobs.
    """

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            ports = []
            for job in jobs:
                plain = await anyio.create_tcp_listener(
                    local_host="127.0.0.1", local_port=0, backlog=1024
                )
                ports.append(plain.extra(anyio.abc.SocketAttribute.local_port))
                secure = context(job.workload.settings, credentials)
                tasks.start_soon(TLSListener(plain, secure).serve, _handler(job))
            say(ports)

    anyio.run(main)


def connect(job: Job, credentials: Credentials, port: int) -> None:
    """
    Connect again and again.
    """
    trusting = context(job.workload.settings, credentials)

    async def main() -> None:
        while True:
            plain = await anyio.connect_tcp("127.0.0.1", port)
            stream = await TLSStream.wrap(plain, hostname=HOST, ssl_context=trusting)
            await stream.send(b"x")
            job.received(len(await stream.receive()))
            await stream.aclose()

    anyio.run(main)
