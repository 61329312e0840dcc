# -*- test-case-name: tests.test_testing -*-
"""
What tests of programs with L{SslStream<txsslstream.SslStream>} need, in memory
and without waiting: an authority for good and bad certificates, authenticated
streams with a C{Clock}, a wire that obeys, endpoints without ports, and peers
that misbehave.

For any test runner: nothing here imports one, nor a reactor.
"""

from .applications import Application, HalfCloseableApplication, Link, Side
from .authority import Authority, Flaw, sharedAuthority
from .cases import VERSIONS, perVersion
from .endpoints import MemoryEndpoint
from .files import certificatePEM, keyPEM, pfx, writePEM, writePFX
from .issuing import DAY, MUST_STAPLE, NOW, newKey, rsaKey
from .outcomes import failureOf, refusalOf, resultOf
from .peers import Confrontation, MisbehavingPeer, streamFacing
from .revocations import GOOD, REVOKED, UNKNOWN
from .streams import Bystander, StreamPair, connectedStreams, onlySuite
from .web import MemoryWeb
from .wire import MemoryTransport, Wire, randomSegments

__all__ = [
    "DAY",
    "GOOD",
    "MUST_STAPLE",
    "NOW",
    "REVOKED",
    "UNKNOWN",
    "VERSIONS",
    "Application",
    "Authority",
    "Bystander",
    "Confrontation",
    "Flaw",
    "HalfCloseableApplication",
    "Link",
    "MemoryEndpoint",
    "MemoryTransport",
    "MemoryWeb",
    "MisbehavingPeer",
    "Side",
    "StreamPair",
    "Wire",
    "certificatePEM",
    "connectedStreams",
    "failureOf",
    "keyPEM",
    "newKey",
    "onlySuite",
    "perVersion",
    "pfx",
    "randomSegments",
    "refusalOf",
    "resultOf",
    "rsaKey",
    "sharedAuthority",
    "streamFacing",
    "writePEM",
    "writePFX",
]
