# -*- test-case-name: tests.test_servernames -*-
"""
What a server has for which name: one address, many hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Generic, TypeVar

from .names import asciiHostName, serverNameFor

_Value = TypeVar("_Value")

_WILDCARD = "*."


@dataclass(frozen=True, init=False)
class ServerNames(Generic[_Value]):
    """
    An immutable map of server names to certificates, in any accepted form, or
    to options.  Maps of equal names to equal values are equal.

    It is a C{serverCertificateSelectionCallback} itself; in a
    C{serverOptionsSelectionCallback} it is asked by L{lookup}.

    @ivar entries: the names in the form in which they are compared, each with
        its value, sorted.
    @ivar default: what is for any other name, and for a client that gives none;
        L{None} for nothing, so that such a client is refused with the alert
        C{unrecognized_name}.
    """

    entries: tuple[tuple[str, _Value], ...]
    default: _Value | None

    def __init__(self, mapping: Mapping[str, _Value], default: _Value | None = None) -> None:
        """
        @param mapping: the names are hosts, possibly in Unicode, or wildcards:
            C{"*.example.com"} is every host with exactly one label more, for
            which there is no entry of its own.  Case and a final dot do not
            matter.
        @raise ValueError: a name is none, is an IP address, which no client
            sends as a name (RFC 6066 section 3), or is there twice.
        @raise TypeError: a name is no L{str}.
        """
        entries: dict[str, _Value] = {}
        for name, value in mapping.items():
            key = nameKey(name)
            if key in entries:
                raise ValueError(f"the server name {key!r} is there twice")
            entries[key] = value
        object.__setattr__(self, "entries", tuple(sorted(entries.items(), key=itemgetter(0))))
        object.__setattr__(self, "default", default)

    def __repr__(self) -> str:
        # Not the values: nobody knows what is in them.
        names = [name for name, _ in self.entries]
        return f"<ServerNames {names!r}{'' if self.default is None else ' and a default'}>"

    def __call__(self, stream: object, hostName: str) -> _Value | None:
        """
        Select: a C{serverCertificateSelectionCallback}.
        """
        return self.lookup(hostName)

    def lookup(self, hostName: str) -> _Value | None:
        """
        @param hostName: the name that a client asks for, in Unicode; empty if
            it gives none.
        @return: the value of that name, or of the wildcard for it, or the
            default.
        """
        try:
            name = asciiHostName(hostName).lower()
        except ValueError:
            return self.default
        _, _, parent = name.partition(".")
        values = self._values
        return values.get(name, values.get(_WILDCARD + parent, self.default))

    @cached_property
    def _values(self) -> dict[str, _Value]:
        return dict(self.entries)


def nameKey(name: str) -> str:
    """
    @return: the form in which a server's name, or a wildcard for some, is
        compared.
    @raise ValueError: it is neither, or an IP address.
    @raise TypeError: it is no L{str}.
    """
    if not isinstance(name, str):
        raise TypeError(f"a server name is a str, not {type(name).__name__}")
    host = name.removeprefix(_WILDCARD)
    try:
        sent = serverNameFor(host)
        # Digits of another script, or a final dot, may have hidden an address.
        sent = sent and serverNameFor(sent.decode("ascii"))
    except ValueError as error:
        raise ValueError(f"neither a host name nor a wildcard for one: {name!r}") from error
    if not host:
        raise ValueError(f"no host name in {name!r}: a client without one gets the default")
    if sent is None:
        raise ValueError(f"no client sends an IP address as server name: {name!r}")
    return name[: -len(host)] + sent.decode("ascii").lower()
