# -*- test-case-name: tests.test_proxied -*-
"""
The PROXY protocol in front of TLS: told by whoever is in front of us, and by us
to whomever we forward to.

What comes is not built for a connection before the header is there: whoever
limits, logs or refuses clients is told where they are, and not where the proxy
is.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from ._deadline import Deadline
from ._transports import abort, defaultClock
from .enums import SslProtocols
from .inspectable import ISslStream
from .plaintext import OPENING_SIZE, spokenBy
from .proxyheader import NoProxyHeader, Place, ProxyHeader, encoded, readHeader

#: In seconds: until a header has to be there.
HEADER_TIMEOUT = 10.0

#: What a record of TLS begins with that is a handshake's.
_TLS = b"\x16\x03"


class Proxied(ProtocolWrapper):
    """
    One connection, from its header on the transport of the protocol that is built
    for it then.
    """

    wrappedProtocol: Any
    transport: Any
    factory: AcceptingFactory

    def __init__(self, factory: AcceptingFactory) -> None:
        nobodyYet: Any = None
        super().__init__(factory, nobodyYet)
        self._received = bytearray()
        self._header: ProxyHeader | None = None
        self._isOver = False

    def logPrefix(self) -> str:
        """
        See C{ILoggingContext}.
        """
        return "PROXY"

    def makeConnection(self, transport: Any) -> None:
        """
        See C{IProtocol}.
        """
        directlyProvides(self, providedBy(transport))
        self.transport = transport
        self.connected = 1
        self.factory.registerProtocol(self)
        clock = self.factory.clock
        self._deadline = Deadline(defaultClock(transport) if clock is None else clock)
        self._deadline.begin(HEADER_TIMEOUT, self._timedOut)

    def _timedOut(self) -> None:
        said = "only a PROXY header of its own" if self._header else "no whole PROXY header"
        self._refuse(f"{said} within {HEADER_TIMEOUT:.0f} s")

    def _refuse(self, why: str) -> None:
        self._isOver = True
        self._deadline.end()
        self.factory.refused(self.transport.getPeer(), why)
        abort(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(data)
        elif not self._isOver:
            self._received += data
            self._begin()

    def _begin(self) -> None:
        """
        Go as far as what has come suffices for.
        """
        if self._header is None:
            try:
                found = readHeader(bytes(self._received))
            except NoProxyHeader as e:
                self._refuse(_explained(bytes(self._received), str(e)))
                return
            if found is None:
                return
            self._header, size = found
            del self._received[:size]
        if self._header.isLocal and not self._received:
            # The proxy has seen that we are here; it may want no more.
            return
        rest, self._received = bytes(self._received), bytearray()
        self._deadline.end()
        built = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if built is None:
            self._isOver = True
            abort(self.transport)
            return
        noDelay = getattr(self.transport, "setTcpNoDelay", None)
        if noDelay is not None:
            # As it is for those who come without a proxy.
            noDelay(True)
        self.wrappedProtocol = built
        built.makeConnection(self)
        # It may have ended at once.
        if rest and self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        self._deadline.end()
        if self.wrappedProtocol is not None:
            super().connectionLost(reason)
            return
        self.factory.unregisterProtocol(self)
        if self._received and not self._isOver:
            self.factory.refused(self.transport.getPeer(), "its PROXY header is cut off")

    def getPeer(self) -> IAddress:
        """
        @return: where the client is, by the header; without one, or if it does not
            tell, who is connected.
        """
        told = None if self._header is None else _addressOf(self._header.source)
        found: IAddress = self.transport.getPeer() if told is None else told
        return found

    def getHost(self) -> IAddress:
        """
        @return: what the client has connected to, in the same way.
        """
        told = None if self._header is None else _addressOf(self._header.destination)
        found: IAddress = self.transport.getHost() if told is None else told
        return found


def _explained(opening: bytes, what: str) -> str:
    spoken = "TLS" if opening.startswith(_TLS) else spokenBy(opening[:OPENING_SIZE])
    return what if spoken is None or "PROXY" in spoken else f"{what}, but speaks {spoken}"


class AcceptingFactory(WrappingFactory[Proxied]):
    """
    Listens for connections that begin with a header, of either version.
    """

    noisy = False
    protocol = Proxied
    _log = Logger()

    def __init__(self, wrappedFactory: Any, clock: IReactorTime | None = None) -> None:
        """
        @param wrappedFactory: builds protocols for the addresses that are told.
        @param clock: for the time that a header may take; by default the reactor.
        """
        super().__init__(wrappedFactory)
        self.clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Proxied:
        """
        @return: what waits for the header.
        """
        return Proxied(self)

    def refused(self, address: object, why: str) -> None:
        """
        Somebody has told no header.

        @param address: of whoever that is.
        """
        self._log.warn("{peer}: refused: {why}", peer=address, why=why)


def _addressOf(place: Place | bytes | None) -> IAddress | None:
    if place is None:
        return None
    if isinstance(place, bytes):
        return UNIXAddress(place)
    address, port = place
    kind = IPv4Address if address.version == 4 else IPv6Address
    told: IAddress = kind("TCP", str(address), port)
    return told


# What we tell

_ALPN, _AUTHORITY, _SSL = 0x01, 0x02, 0x20
_SSL_VERSION, _SSL_COMMON_NAME = 0x21, 0x22
_CLIENT_SSL, _CERTIFICATE_NOW, _CERTIFICATE_IN_SESSION = 0x01, 0x02, 0x04

#: As OpenSSL calls them.
_VERSIONS = {
    SslProtocols.Tls: b"TLSv1",
    SslProtocols.Tls11: b"TLSv1.1",
    SslProtocols.Tls12: b"TLSv1.2",
    SslProtocols.Tls13: b"TLSv1.3",
}


def headerOf(transport: Any, version: int) -> bytes:
    """
    @param transport: a client's.
    @param version: of the PROXY protocol.
    @return: from where to where it is connected; in version 2, if it is TLS of
        ours, with what is known by that as well.
    """
    header = ProxyHeader(_placeOf(transport.getPeer()), _placeOf(transport.getHost()))
    return header.version1() if version == 1 else header.version2(_secured(transport))


def ownHeader(version: int) -> bytes:
    """
    @param version: of the PROXY protocol.
    @return: the header of a connection that is nobody's but ours.
    """
    header = ProxyHeader(isLocal=True)
    return header.version1() if version == 1 else header.version2()


def _placeOf(address: object) -> Place | None:
    if not isinstance(address, (IPv4Address, IPv6Address)):
        return None
    # A zone means nothing to others.
    return ipaddress.ip_address(address.host.partition("%")[0]), address.port


def _secured(transport: Any) -> list[tuple[int, bytes]]:
    if not ISslStream.providedBy(transport):
        return []
    values = []
    application = transport.negotiatedApplicationProtocol
    if application is not None:
        values.append((_ALPN, application.protocol))
    if transport.targetHostName:
        values.append((_AUTHORITY, transport.targetHostName.encode("utf-8")))
    what, refuted, more = _CLIENT_SSL, 1, [(_SSL_VERSION, _VERSIONS[transport.sslProtocol])]
    certificate = transport.remoteCertificate
    if certificate is not None:
        what |= _CERTIFICATE_IN_SESSION | (0 if transport.isResumed else _CERTIFICATE_NOW)
        # Who is not let in is not forwarded.
        refuted = 0
        more += [(_SSL_COMMON_NAME, name) for name in _commonNames(certificate)[:1]]
    known = bytes((what,)) + refuted.to_bytes(4, "big") + encoded(more)
    return [*values, (_SSL, known)]


def _commonNames(certificate: x509.Certificate) -> list[bytes]:
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return []
    return [each.value.encode("utf-8") for each in found if isinstance(each.value, str)]
