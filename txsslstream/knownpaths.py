# -*- test-case-name: tests.test_knownpaths -*-
"""
Ways to a trusted root that were found before.

Searching, comparing and verifying signatures takes longer than a handshake, and
comes to the same for the same certificates, the same trust and the same
criteria: all but the time.  So what is remembered is a way without a fault, and
from when until when nothing about it changes: the latest moment before, and the
first one after, at which a certificate that the search has looked at becomes
valid or expires.  Each time it is compared with the moment to judge for, and
outside of it, or with anything else different, the search begins anew.

What is wrong with a certificate is never remembered, nor is anything about
revocation, names of hosts or what callbacks think.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .chainchecks import Criteria
from .paths import Anchors, Path, bestPath


class _Key:
    """
    Some value, whose hash is computed once: certificates make it slow.
    """

    __slots__ = ("_hash", "_value")

    def __init__(self, value: Hashable) -> None:
        self._value = value
        self._hash = hash(value)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._value == other._value


class KnownPaths:
    """
    Remembers ways, those that were used last.

    @cvar LIMIT: so many.
    @cvar SIZE: so many bytes for the certificates that one was looked for with:
        peers choose them.
    """

    LIMIT = 128
    SIZE = 16 * 1024

    def __init__(self) -> None:
        self._paths: OrderedDict[_Key, Path] = OrderedDict()
        # Some of them by the addresses of what they were looked for with, since to
        # compare it takes long.  It is kept, so that nothing else can have them.
        self._near: dict[Hashable, tuple[object, _Key]] = {}

    def find(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        anchors: Anchors,
        criteria: Criteria,
    ) -> Path:
        """
        @return: what L{bestPath} comes to.
        """
        things = (certificate, *others, anchors)
        near = (*map(id, things), criteria.timeless)
        if near in self._near:
            _, key = self._near[near]
        else:
            key = _Key((certificate, tuple(others), anchors, criteria.timeless))
        known = self._paths.get(key)
        if known is None or not known.isSteadyAt(criteria.time):
            known = bestPath(certificate, others, anchors, criteria)
            if not known.isSteadyAt(criteria.time) or not self._isSmall(certificate, *others):
                return known
            self._paths[key] = known
            if len(self._paths) > self.LIMIT:
                self._paths.popitem(last=False)
        if near not in self._near:
            if len(self._near) >= self.LIMIT:
                self._near.clear()
            self._near[near] = things, key
        self._paths.move_to_end(key)
        return known

    def _isSmall(self, *certificates: x509.Certificate) -> bool:
        return sum(len(each.public_bytes(Encoding.DER)) for each in certificates) <= self.SIZE

    def clear(self) -> None:
        """
        Forget all.
        """
        self._paths.clear()
        self._near.clear()


#: Those of this process.
knownPaths = KnownPaths()
