# -*- test-case-name: tests.test_names -*-
"""
Is this certificate the one of that host?  (RFC 9525; the comparison itself is
C{service_identity}'s.)
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any

import idna
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from publicsuffixlist import PublicSuffixList
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)

from .errors import printable

_MAXIMUM_LENGTH = 253

#: How many names of a certificate are told.
_MOST_NAMES = 10

#: How many certificates that were somebody's are remembered for that, and how
#: large they may be: peers choose them.
_MOST_MATCHES = 64
_SMALL_BYTES = 4096

#: Stands for the first label where it does not matter.
_ANY_LABEL = "a"

#: Labels of letters, digits and hyphens; underscores are no host's, but in use.
_HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*", re.ASCII)


class _NotThatHost(Exception):
    """
    A certificate is another host's.
    """


def _address(targetHost: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # A zone ("fe80::1%eth0") is nobody's business but this machine's.
    host, percent, zone = targetHost.partition("%")
    if not zone.isprintable():
        return None
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


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=1)
def _publicSuffixes() -> PublicSuffixList:
    # What companies have listed for their customers' sake is theirs to name.
    return PublicSuffixList(only_icann=True)


def _isTooBroad(pattern: str) -> bool:
    """
    Whether a wildcard stands for what different people register, such as
    C{*.co.uk}.
    """
    isPublic: bool = _publicSuffixes().is_public(pattern.lower().removeprefix("*."))
    return isPublic


def _patterns(certificate: x509.Certificate) -> tuple[list[Any], list[Any], list[Any]]:
    """
    @return: the hosts, wildcards and addresses that a certificate is for, each
        in C{service_identity}'s form.  A name that is no valid pattern is
        ignored (RFC 9525 section 6.3), and so is every kind of name that is no
        host's.
    """
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = []
    wildcards = []
    for name in names.get_values_for_type(x509.DNSName):
        with suppress(CertificateError):
            pattern = DNSPattern.from_bytes(name.encode("ascii"))
            if "*" not in name:
                hosts.append(pattern)
            elif not _isTooBroad(name):
                wildcards.append(pattern)
    addresses: list[Any] = names.get_values_for_type(x509.IPAddress)
    return hosts, wildcards, list(map(IPAddressPattern, addresses))


def _isOneOf(patterns: list[Any], wanted: Any) -> bool:
    if not patterns:
        return False
    try:
        verify_service_identity(patterns, [wanted], [])
    except VerificationError:
        return False
    return True


def certificateMatchesHost(certificate: x509.Certificate, targetHost: str) -> bool:
    """
    Whether one of the certificate's subject alternative names is that host: a
    DNS name, a wildcard for its first label, or an IP address.  The subject's
    common name is never looked at.  Whatever cannot be read does not match.

    @param targetHost: a DNS name, possibly in Unicode, or an IP address.
    """
    known = (id(certificate), targetHost)
    if known in _matching:
        return True
    try:
        # The next connection may well be to the same.
        isSmall = len(certificate.public_bytes(Encoding.DER)) <= _SMALL_BYTES
        require = _requireHost if isSmall else _requireHost.__wrapped__
        require(certificate, targetHost)
    except Exception:
        # service_identity raises more than VerificationError, and reading a
        # damaged certificate raises ValueError: no reason to let anybody in.
        return False
    if isSmall:
        if len(_matching) >= _MOST_MATCHES:
            _matching.clear()
        _matching[known] = certificate
    return True


#: What matches, by the addresses of certificates and their hosts: to compare
#: takes long.  They are kept, so that nothing else can have these addresses.
_matching: dict[tuple[int, str], x509.Certificate] = {}


@lru_cache(maxsize=_MOST_MATCHES)
def _requireHost(certificate: x509.Certificate, targetHost: str) -> None:
    """
    @raise _NotThatHost: it is another's.  This and other exceptions are not
        remembered, so that only what matches is.
    """
    hosts, wildcards, addresses = _patterns(certificate)
    address = _address(targetHost)
    if address is not None:
        isMatching = _isOneOf(addresses, IPAddress_ID(str(address)))
    else:
        name = asciiHostName(targetHost)
        # A wildcard stands for any first label, an international one too;
        # service_identity would refuse that.
        _, dot, rest = name.partition(".")
        isMatching = _isOneOf(hosts, DNS_ID(name)) or _isOneOf(
            wildcards, DNS_ID(f"{_ANY_LABEL}{dot}{rest}")
        )
    if not isMatching:
        raise _NotThatHost


def hostsOf(certificate: x509.Certificate) -> list[str]:
    """
    @return: the hosts and addresses that a certificate says it is for, as text
        for people; empty if there are none or they cannot be read.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [
            *names.get_values_for_type(x509.DNSName),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        ]
    except Exception:
        # As above: each extension has errors of its own.
        return []


def nameProblem(certificate: x509.Certificate, targetHost: str) -> str:
    """
    @return: what is wrong with the names of a certificate that ought to be that
        host's, as the end of a sentence that begins with the certificate; empty
        if nothing is.
    """
    if certificateMatchesHost(certificate, targetHost):
        return ""
    hosts = hostsOf(certificate)
    named = ", ".join(map(printable, hosts[:_MOST_NAMES]))
    if len(hosts) > _MOST_NAMES:
        named += ", …"
    return f"is for {named or 'no host'}, not for {targetHost!r}"
