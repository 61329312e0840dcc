"""
trio's SSLStream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from tests.benchmarks.children import say
from tests.benchmarks.credentials import HOST, Credentials

from .jobs import Job, converse
from .pythonssl import context


def _handler(job: Job) -> Any:
    async def handle(stream: Any) -> None:
        try:
            await converse(job, stream, stream.send_all)
            await stream.aclose()
        except trio.BrokenResourceError:
            # The peer does not wait for close_notify.
            pass

    return handle


def serve(jobs: Sequence[Job], credentials: Credentials) -> None:
    """
    Listen on a port for each of the jobs.
    """

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            ports = []
            listener: Any
            for job in jobs:
                secure = context(job.workload.settings, credentials)
                [listener] = await trio.open_ssl_over_tcp_listeners(
                    0, secure, host="127.0.0.1", backlog=1024
                )
                ports.append(listener.transport_listener.socket.getsockname()[1])
                nursery.start_soon(trio.serve_listeners, _handler(job), [listener])
            say(ports)

    trio.run(main)


def connect(job: Job, credentials: Credentials, port: int) -> None:
    """
    Connect again and again.
    """
    trusting = context(job.workload.settings, credentials)

    async def main() -> None:
        while True:
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            stream = trio.SSLStream(plain, trusting, server_hostname=HOST)
            await stream.send_all(b"x")
            job.received(len(await stream.receive_some()))
            await stream.aclose()

    trio.run(main)
