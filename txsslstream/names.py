# -*- test-case-name: tests.test_names -*-
"""
Is this certificate the one of that host?  (RFC 9525; the comparison itself is
C{service_identity}'s.)
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

import idna
from cryptography import x509
from service_identity import CertificateError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)

_MAXIMUM_LENGTH = 253

#: Labels of letters, digits and hyphens; underscores are no host's, but in use.
_HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*", re.ASCII)


def _address(targetHost: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # A zone ("fe80::1%eth0") is nobody's business but this machine's.
    host, percent, _ = targetHost.partition("%")
    try:
        return ipaddress.IPv6Address(host) if percent else ipaddress.ip_address(host)
    except ValueError:
        return None


def asciiHostName(targetHost: str) -> str:
    """
    @param targetHost: a DNS name, possibly in Unicode or with a final dot.
    @return: its form on the wire (IDNA 2008), without a final dot.
    @raise ValueError: it is no host name.
    """
    name = targetHost
    if not name.isascii():
        name = idna.encode(name, uts46=True).decode("ascii")
    name = name.removesuffix(".")
    if len(name) > _MAXIMUM_LENGTH or _HOST_NAME.fullmatch(name) is None:
        raise ValueError(f"not a host name: {targetHost!r}")
    return name


def serverNameFor(targetHost: str) -> bytes | None:
    """
    @return: what a client sends as server name: nothing if it was given no
        name, or an address (RFC 6066 section 3).
    @raise ValueError: C{targetHost} is neither.
    """
    if not targetHost or _address(targetHost) is not None:
        return None
    return asciiHostName(targetHost).encode("ascii")


def unicodeHostName(serverName: str) -> str:
    """
    @param serverName: a name as a client sent it.
    @return: the name as people read it, or unchanged where it is not IDNA.
    """
    try:
        return idna.decode(serverName) if "xn--" in serverName.lower() else serverName
    except idna.IDNAError:
        return serverName


def _patterns(certificate: x509.Certificate) -> list[CertificatePattern]:
    """
    @return: the hosts and addresses that a certificate is for.  A name that is
        no valid pattern is ignored (RFC 9525 section 6.3), and so is every kind
        of name that is no host's.
    """
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    patterns: list[CertificatePattern] = [
        IPAddressPattern(address)  # type: ignore[arg-type]
        for address in names.get_values_for_type(x509.IPAddress)
    ]
    for name in names.get_values_for_type(x509.DNSName):
        with suppress(CertificateError):
            patterns.append(DNSPattern.from_bytes(name.encode("ascii")))
    return patterns


def certificateMatchesHost(certificate: x509.Certificate, targetHost: str) -> bool:
    """
    Whether one of the certificate's subject alternative names is that host: a
    DNS name, a wildcard for its first label, or an IP address.  The subject's
    common name is never looked at.  Whatever cannot be read does not match.

    @param targetHost: a DNS name, possibly in Unicode, or an IP address.
    """
    try:
        address = _address(targetHost)
        wanted = (
            DNS_ID(asciiHostName(targetHost)) if address is None else IPAddress_ID(str(address))
        )
        verify_service_identity(_patterns(certificate), [wanted], [])
    except Exception:
        # service_identity raises more than VerificationError, and reading a
        # damaged certificate raises ValueError: no reason to let anybody in.
        return False
    return True
