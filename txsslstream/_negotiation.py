# -*- test-case-name: tests.test_negotiation -*-
"""
Which application protocols a connection negotiates (RFC 7301): those of its
options, or those that its factory can speak.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from twisted.internet.interfaces import IProtocolNegotiationFactory

from .options import (
    AuthenticationOptions,
    ServerOptions,
    ServerOptionsSelection,
    SslClientAuthenticationOptions,
)

_Options = TypeVar("_Options", bound=SslClientAuthenticationOptions | ServerOptions)


def negotiating(options: _Options, factory: Any) -> _Options:
    """
    @param factory: what makes the application's protocols.
    @return: the options, with the protocols of an
        C{IProtocolNegotiationFactory} unless they name any of their own; if they
        are to be chosen, that is so for those that will be.
    @raise TypeError: the factory's answer is no list of bytes.
    @raise ValueError: one of its protocols has no or too many bytes.
    @raise Exception: whatever the factory raises.
    """
    if not IProtocolNegotiationFactory.providedBy(factory):
        return options
    chosen: Any = options
    if isinstance(options, ServerOptionsSelection):
        chosen = options.adapted(lambda each: negotiating(each, factory))
    elif not chosen.applicationProtocols:
        names: Any = factory.acceptableProtocols()
        if isinstance(names, (bytes, str)):
            # Each of its letters would be a protocol.
            raise TypeError(f"acceptableProtocols() returns a list of bytes, not {names!r}")
        chosen = _with(chosen, tuple(names))
    complete: _Options = chosen
    return complete


@lru_cache(maxsize=64)
def _with(options: AuthenticationOptions, names: tuple[bytes, ...]) -> AuthenticationOptions:
    return replace(options, applicationProtocols=names) if names else options


class NoConnectionYet:
    """
    What Twisted's factory gets that asks for an OpenSSL connection too early.
    """

    def set_accept_state(self) -> None:
        """
        Only servers have something to choose.
        """

    def set_app_data(self, data: object) -> None:
        """
        Nobody asks for it.
        """
