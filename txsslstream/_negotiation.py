# -*- test-case-name: tests.test_negotiation -*-
"""
Which application protocols a connection negotiates (RFC 7301): those of its
options, or those that its factory can speak.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from twisted.internet.interfaces import IProtocolNegotiationFactory

from .options import AuthenticationOptions


def negotiating(options: AuthenticationOptions, factory: Any) -> AuthenticationOptions:
    """
    @param factory: what makes the application's protocols.
    @return: the options, with the protocols of an
        C{IProtocolNegotiationFactory} unless they name any of their own.
    @raise TypeError: the factory's answer is no list of bytes.
    @raise ValueError: one of its protocols has no or too many bytes.
    @raise Exception: whatever the factory raises.
    """
    speaker = IProtocolNegotiationFactory(factory, None)
    if options.applicationProtocols or speaker is None:
        return options
    names: Any = speaker.acceptableProtocols()
    if isinstance(names, (bytes, str)):
        # Each of its letters would be a protocol.
        raise TypeError(f"acceptableProtocols() returns a list of bytes, not {names!r}")
    return _with(options, tuple(names))


@lru_cache(maxsize=64)
def _with(options: AuthenticationOptions, names: tuple[bytes, ...]) -> AuthenticationOptions:
    return replace(options, applicationProtocols=names) if names else options
