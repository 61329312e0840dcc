"""
CPython's sockets, with a thread for each connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence

from tests.benchmarks.children import say
from tests.benchmarks.credentials import HOST, Credentials

from .jobs import Job
from .pythonssl import context

#: What is read at most at a time, in bytes.
_READ = 1 << 18


def serve(jobs: Sequence[Job], credentials: Credentials) -> None:
    """
    Listen on a port for each of the jobs.
    """
    lock = threading.Lock()

    def handle(job: Job, connection: socket.socket) -> None:
        # The peer does not wait for close_notify.
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(_READ):
                if job.echoes:
                    connection.sendall(data)
                with lock:
                    begins = job.sends
                    answer = job.received(len(data))
                if answer:
                    connection.sendall(answer)
                for _ in range(job.writes if begins else 0):
                    connection.sendall(job.chunk)

    def accept(job: Job, listening: socket.socket) -> None:
        secure = context(job.workload.settings, credentials)
        while True:
            plain, _ = listening.accept()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def run(plain: socket.socket = plain) -> None:
                with contextlib.suppress(OSError):
                    handle(job, secure.wrap_socket(plain, server_side=True))

            threading.Thread(target=run, daemon=True).start()

    ports = []
    for job in jobs:
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports.append(listening.getsockname()[1])
        threading.Thread(target=accept, args=(job, listening), daemon=True).start()
    say(ports)
    threading.Event().wait()


def connect(job: Job, credentials: Credentials, port: int) -> None:
    """
    Connect again and again.
    """
    trusting = context(job.workload.settings, credentials)
    while True:
        plain = socket.create_connection(("127.0.0.1", port))
        with trusting.wrap_socket(plain, server_hostname=HOST) as connection:
            connection.sendall(b"x")
            job.received(len(connection.recv(_READ)))
            with contextlib.suppress(OSError):
                connection.unwrap()
