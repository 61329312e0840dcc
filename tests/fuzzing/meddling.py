"""
Somebody on the way who changes, inserts, repeats, drops, delays and cuts the
records of one end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from txsslstream.records import CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_SIZE
from txsslstream.testing.messages import record
from txsslstream.testing.wire import MemoryTransport

#: How many changes one input can make.
_MOST = 6


@dataclass(frozen=True)
class Change:
    """
    What is done to one record.

    @ivar number: of the record, from 0.
    @ivar kind: what is done.
    @ivar a: a number of 16 bits for it.
    @ivar b: a number of 8 bits for it.
    @ivar data: bytes for it.
    """

    number: int
    kind: int
    a: int
    b: int
    data: bytes

    def encoded(self) -> bytes:
        """
        @return: it as a part of an input.
        """
        head = bytes((self.number, self.kind, self.a >> 8, self.a & 0xFF, self.b, len(self.data)))
        return head + self.data


def changesIn(data: bytes) -> Iterator[Change]:
    """
    @return: the changes that an input consists of.
    """
    for _ in range(_MOST):
        if len(data) < 6:
            return
        number, kind, high, low, b, size = data[:6]
        yield Change(number, kind % len(_KINDS), high << 8 | low, b, data[6 : 6 + size])
        data = data[6 + size :]


def recordsIn(data: bytes) -> tuple[list[bytes], bytes]:
    """
    @return: the whole records, and the rest.
    """
    found = []
    while len(data) >= HEADER_SIZE:
        size = HEADER_SIZE + int.from_bytes(data[3:HEADER_SIZE], "big")
        if len(data) < size:
            break
        found.append(data[:size])
        data = data[size:]
    return found, data


def clearHandshake(data: bytes, isTls13: bool) -> bytes:
    """
    @return: the messages in the clear.
    """
    content = b""
    for each in recordsIn(data)[0]:
        if each[0] == CHANGE_CIPHER_SPEC and not isTls13:
            break
        if each[0] == HANDSHAKE:
            content += each[HEADER_SIZE:]
    return content


class Meddler(MemoryTransport):
    """
    The transport of the end whose records are meddled with.

    @ivar said: what this end has sent.
    @ivar isLate: whether something may come too late or never.
    """

    def __init__(self, name: str, clock: Any) -> None:
        super().__init__(name, clock)
        self.said = b""
        self.isLate = False
        self.changes: dict[int, list[Change]] = defaultdict(list)
        self._rest = b""
        self._all: list[bytes] = []
        self._held = b""

    def write(self, data: bytes) -> None:
        """
        Send what becomes of it.
        """
        if not self.connected or self.closing is not None:
            return
        self.said += data
        records, self._rest = recordsIn(self._rest + data)
        for each in records:
            changed = [each]
            for change in self.changes.get(len(self._all), ()):
                changed = _KINDS[change.kind](self, changed, change)
            self._all.append(each)
            super().write(b"".join(changed))

    def loseConnection(self) -> None:
        """
        What is held comes too late, but it comes.
        """
        if self._held:
            super().write(self._held)
            self._held = b""
        super().loseConnection()

    # What can be done.  Each gets what there is in place of one record.

    def flip(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Change bits of one byte.
        """
        whole = bytearray(b"".join(given))
        if whole:
            whole[change.a % len(whole)] ^= change.b or 1
        return [bytes(whole)]

    def truncate(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Leave out the end, without changing the length.
        """
        whole = b"".join(given)
        return [whole[: change.a % (len(whole) + 1)]]

    def drop(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Leave it out.
        """
        return []

    def double(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Send it twice.
        """
        return given * 2

    def insertBytes(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Send other bytes first.
        """
        return [change.data, *given]

    def insertRecord(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Send another record first.
        """
        return [record(change.b, change.data), *given]

    def append(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Send another record behind it.
        """
        return [*given, record(change.b, change.data)]

    def retype(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Make it one of another type.
        """
        return [bytes((change.b,)) + b"".join(given)[1:]]

    def resize(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Have it promise another length.
        """
        whole = b"".join(given)
        return [whole[:3] + change.a.to_bytes(2, "big") + whole[5:]]

    def split(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Make two records of it.
        """
        whole = b"".join(given)
        content = whole[HEADER_SIZE:]
        at = change.a % (len(content) + 1)
        head = whole[:3]
        return [head + len(each).to_bytes(2, "big") + each for each in (content[:at], content[at:])]

    def overwrite(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Put other bytes in the middle, without changing the length.
        """
        whole = b"".join(given)
        at = change.a % (len(whole) + 1)
        return [(whole[:at] + change.data + whole[at + len(change.data) :])[: len(whole)]]

    def extend(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Make it longer.
        """
        whole = b"".join(given) + change.data
        size = len(whole) - HEADER_SIZE
        return [whole[:3] + max(0, size).to_bytes(2, "big") + whole[HEADER_SIZE:]]

    def postpone(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Let the next one go first.
        """
        self.isLate = True
        before, self._held = self._held, b"".join(given)
        self.changes[len(self._all) + 1].append(Change(0, _RELEASE, 0, 0, b""))
        return [before]

    def letGo(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Send what was held behind it.
        """
        held, self._held = self._held, b""
        return [*given, held]

    def repeat(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Send an earlier record once more.
        """
        again = self._all[change.b % len(self._all)] if self._all else b""
        return [*given, again]

    def cutOff(self, given: list[bytes], change: Change) -> list[bytes]:
        """
        Lose the connection in the middle of it.
        """
        self.isLate = True
        whole = b"".join(given)
        self.loseAt(len(self.everWritten) + change.a % (len(whole) + 1))
        return given


_KINDS: Any = (
    *(Meddler.flip, Meddler.truncate, Meddler.drop, Meddler.double, Meddler.insertBytes),
    *(Meddler.insertRecord, Meddler.append, Meddler.retype, Meddler.resize, Meddler.split),
    *(Meddler.overwrite, Meddler.extend, Meddler.postpone, Meddler.letGo, Meddler.repeat),
    Meddler.cutOff,
)
_RELEASE = _KINDS.index(Meddler.letGo)

#: How many kinds of changes there are.
KINDS = len(_KINDS)
