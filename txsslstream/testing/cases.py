# -*- test-case-name: tests.test_testing_streams -*-
"""
Test cases for every version of TLS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..enums import SslProtocols

#: The versions that every behaviour is to be tested for.
VERSIONS = (SslProtocols.Tls12, SslProtocols.Tls13)


def perVersion(
    *, segments: Iterable[int] = (0, 1), versions: Iterable[SslProtocols] = VERSIONS
) -> Callable[[type], type]:
    """
    Run a test case for each version of TLS and each segmentation: a class
    decorator that replaces a mixin by one C{SynchronousTestCase} of trial's for
    each, with C{version} and C{segment} set, in the mixin's module.

    @param segments: in bytes; 0 is for whole.
    """
    return _per(
        {
            f"{version.name}_{segment or 'whole'}": {"version": version, "segment": segment}
            for version in versions
            for segment in segments
        }
    )


def perRole(*, versions: Iterable[SslProtocols] = VERSIONS) -> Callable[[type], type]:
    """
    Run a test case for each version of TLS and each role: a class decorator like
    that of L{perVersion}, with C{version} and C{isServer} set.
    """
    return _per(
        {
            f"{version.name}_{role}": {"version": version, "isServer": role == "server"}
            for version in versions
            for role in ("client", "server")
        }
    )


def _per(variations: dict[str, dict[str, Any]]) -> Callable[[type], type]:
    def decorate(mixin: type) -> type:
        # Nobody needs trial for anything else here.
        from twisted.trial.unittest import SynchronousTestCase

        module = sys.modules[mixin.__module__]
        for variation, attributes in variations.items():
            name = f"{mixin.__name__}_{variation}"
            made = type(
                name,
                (mixin, SynchronousTestCase),
                {**attributes, "__module__": mixin.__module__, "__doc__": mixin.__doc__},
            )
            setattr(module, name, made)
        return mixin

    return decorate
