"""
Contexts of CPython's own ssl module.
"""

from __future__ import annotations

import ssl

from tests.benchmarks.credentials import Credentials
from tests.benchmarks.settings import Settings


def context(settings: Settings, credentials: Credentials) -> ssl.SSLContext:
    """
    @return: for either side.
    """
    if not settings.isServer:
        return ssl.create_default_context(cafile=str(credentials.root))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(credentials.server(settings.key))
    return made
