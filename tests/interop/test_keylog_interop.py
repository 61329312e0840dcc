"""
Key logs, which C{tshark} reads what was said from.

Both ends are ours and in memory; what they exchange is written down as what
would have been captured.  Debian: C{tshark}.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from txsslstream import SslProtocols
from txsslstream._openssl import logAllSecrets
from txsslstream.insecure import obeySSLKEYLOGFILE, withKeyLog
from txsslstream.testing import VERSIONS, StreamPair

from ..files import FilesMixin
from ..support import clientOptions, serverOptions
from .test_interop import ToolCase, run

#: Where C{tshark} expects HTTP over TLS.
_PORTS = {True: (40000, 443), False: (443, 40000)}

REQUEST = b"GET /secret HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
#: What C{tshark} says of the two.
READ = ["/secret\t", "\t403"]


def captured(packets: list[tuple[bool, bytes]]) -> bytes:
    """
    @param packets: what was delivered, and whether the client has sent it.
    @return: a capture file (pcap) with IPv4 packets.
    """

    def big(size: int, *numbers: int) -> bytes:
        return b"".join(each.to_bytes(size, "big") for each in numbers)

    # Magic number, version, time zone, accuracy, longest packet, raw IP.
    out = big(4, 0xA1B2C3D4) + big(2, 2, 4) + big(4, 0, 0, 0xFFFF, 101)
    positions = {True: 1, False: 1}
    sizes = 16000
    pieces = [
        (isClient, data[start : start + sizes])
        for isClient, data in packets
        for start in range(0, len(data), sizes)
    ]
    for number, (isClient, data) in enumerate(pieces):
        # A header of 5 words; acknowledged, to be pushed; no checksum.
        tcp = big(2, *_PORTS[isClient]) + big(4, positions[isClient], positions[not isClient])
        tcp += big(2, 0x5018, 0xFFFF, 0, 0) + data
        addresses = [(10, 0, 0, 1), (10, 0, 0, 2)]
        ends = b"".join(bytes(each) for each in addresses[:: 1 if isClient else -1])
        # A header of 5 words, 64 hops, TCP, no checksum.
        packet = big(2, 0x4500, 20 + len(tcp), number, 0, 0x4006, 0) + ends + tcp
        out += big(4, 0, number, len(packet), len(packet)) + packet
        positions[isClient] += len(data)
    return out


class TsharkTests(FilesMixin, ToolCase, SynchronousTestCase):
    """
    What C{tshark} reads with the help of a log.
    """

    tools: ClassVar[tuple[str, ...]] = ("tshark",)

    def converse(self, client: Any, server: Any) -> Path:
        """
        Ask and answer.

        @return: the file with what was captured.
        """
        pair = StreamPair()
        packets: list[tuple[bool, bytes]] = []
        pair.wire.observer = lambda end, data: packets.append((end is pair.wire.client, data))
        pair.server.authenticateAsServer(server)
        pair.client.authenticateAsClient(client)
        pair.wire.flush()
        for stream, words in ((pair.client, REQUEST), (pair.server, ANSWER)):
            self.successResultOf(stream.write(words))
            pair.wire.flush()
        return self.file(captured(packets), "captured.pcap")

    def read(self, capture: Path, keys: Path) -> list[str]:
        """
        @return: what C{tshark} reads with these keys, a line for each message.
        """
        command = ["tshark", "-r", str(capture), "-o", f"tls.keylog_file:{keys}", "-Y", "http"]
        fields = ["-T", "fields", "-e", "http.request.uri", "-e", "http.response.code"]
        done = run([*command, *fields])
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.splitlines()

    def both(self, version: SslProtocols) -> tuple[Any, Any]:
        """
        @return: options for both sides.
        """
        return clientOptions(version), serverOptions(version)

    def test_eitherSide(self) -> None:
        """
        The log of either side makes everything readable; without one, or with
        that of another connection, nothing is.
        """
        for version in VERSIONS:
            client, server = self.both(version)
            keys = self.directory / f"client-{version}.log"
            capture = self.converse(withKeyLog(client, keys), server)
            self.assertEqual(self.read(capture, keys), READ)
            self.assertEqual(self.read(capture, Path("/dev/null")), [])
            other = self.directory / f"server-{version}.log"
            self.converse(client, withKeyLog(server, other))
            self.assertEqual(self.read(self.directory / "captured.pcap", other), READ)
            self.assertEqual(self.read(self.directory / "captured.pcap", keys), [])

    def test_process(self) -> None:
        """
        So does the log of the process, which the environment names.
        """
        keys = self.directory / "keys.log"
        self.addCleanup(logAllSecrets, None)
        self.addCleanup(os.environ.pop, "SSLKEYLOGFILE", None)
        os.environ["SSLKEYLOGFILE"] = str(keys)
        obeySSLKEYLOGFILE()
        for version in VERSIONS:
            self.assertEqual(self.read(self.converse(*self.both(version)), keys), READ)
