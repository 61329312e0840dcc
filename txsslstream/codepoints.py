# -*- test-case-name: tests.test_codepoints -*-
"""
The names that IANA has registered for numbers on the wire ("TLS Supported
Groups", "TLS SignatureScheme"), and the numbers that mean nothing.
"""

from __future__ import annotations

from .algorithms import GROUPS, SIGNATURE_ALGORITHMS

_GROUPS_BY_CODE = {group.code: group.name for group in GROUPS}
_GROUPS_BY_NAME = {name: group for group in GROUPS for name in (group.name.lower(), *group.aliases)}
_SIGNATURES_BY_CODE = {algorithm.code: algorithm.name for algorithm in SIGNATURE_ALGORITHMS}


def groupNamed(name: str | None) -> tuple[str | None, int]:
    """
    @param name: OpenSSL's name of a group.
    @return: its registered name and its size in bits; 0 if that is not known.
    """
    group = _GROUPS_BY_NAME.get((name or "").lower())
    return (name, 0) if group is None else (group.name, group.bits)


def groupName(code: int) -> str | int:
    """
    @return: the registered name of a group, or the number if that is not known.
    """
    return _GROUPS_BY_CODE.get(code, code)


def signatureName(code: int) -> str | int:
    """
    @return: the registered name of a signature scheme, or the number if that is
        not known.
    """
    return _SIGNATURES_BY_CODE.get(code, code)


def isGrease(code: int) -> bool:
    """
    Whether a number was sent only so that nobody gets used to those that there
    are (RFC 8701).
    """
    high, low = divmod(code, 256)
    return high == low and low % 16 == 0x0A
