# -*- test-case-name: tests.test_states -*-
"""
The states of a connection and of the two sides of a stream, as data.

The tables are the whole truth about which state may follow which: code asks
L{checkedTransition} and never compares booleans, and the diagrams in the
documentation are drawn from the same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar


class WireState(Enum):
    """
    Where a connection is on its one way through.
    """

    #: No byte was exchanged.
    fresh = "fresh"
    #: A server reads the client's hello before it is answered, to choose by it.
    hello = "hello"
    #: Handshake messages are exchanged.
    handshaking = "handshaking"
    #: The handshake stands still while somebody decides.
    waiting = "waiting"
    #: Authenticated; application data flows.
    open = "open"
    #: We have said that we close; the peer's answer is awaited.
    closing = "closing"
    #: The transport is gone after an orderly life.
    closed = "closed"
    #: Refused, broken or truncated; sticky.
    failed = "failed"

    #: Each member is there once: Enum's own hashes the name, in Python.
    __hash__ = object.__hash__


class ReaderState(Enum):
    """
    The reading side of a stream.
    """

    idle = "idle"
    reading = "reading"
    #: Nothing more will come: a clean end or an error, told to every reader.
    ended = "ended"
    #: Closed by us; whatever arrives is discarded.
    closed = "closed"


class WriterState(Enum):
    """
    The writing side of a stream.
    """

    idle = "idle"
    writing = "writing"
    #: C{close_notify} follows whatever is still being written.
    shut = "shut"
    #: The connection takes no more data.
    broken = "broken"


WIRE_TRANSITIONS: Mapping[WireState, frozenset[WireState]] = {
    WireState.fresh: frozenset({WireState.hello, WireState.handshaking, WireState.failed}),
    WireState.hello: frozenset({WireState.waiting, WireState.handshaking, WireState.failed}),
    WireState.handshaking: frozenset({WireState.waiting, WireState.open, WireState.failed}),
    WireState.waiting: frozenset({WireState.handshaking, WireState.failed}),
    WireState.open: frozenset({WireState.closing, WireState.closed, WireState.failed}),
    WireState.closing: frozenset({WireState.closed, WireState.failed}),
    WireState.closed: frozenset(),
    WireState.failed: frozenset(),
}

READER_TRANSITIONS: Mapping[ReaderState, frozenset[ReaderState]] = {
    ReaderState.idle: frozenset({ReaderState.reading, ReaderState.ended, ReaderState.closed}),
    ReaderState.reading: frozenset({ReaderState.idle, ReaderState.ended, ReaderState.closed}),
    ReaderState.ended: frozenset({ReaderState.closed}),
    ReaderState.closed: frozenset(),
}

WRITER_TRANSITIONS: Mapping[WriterState, frozenset[WriterState]] = {
    WriterState.idle: frozenset({WriterState.writing, WriterState.shut, WriterState.broken}),
    WriterState.writing: frozenset({WriterState.idle, WriterState.shut, WriterState.broken}),
    WriterState.shut: frozenset({WriterState.broken}),
    WriterState.broken: frozenset(),
}

_State = TypeVar("_State", bound=Enum)


def checkedTransition(
    table: Mapping[_State, frozenset[_State]], old: _State, new: _State
) -> _State:
    """
    Return C{new} if the table lets it follow C{old}.

    @raise AssertionError: the move is not in the table, which is a defect of
        this package and never the peer's or the user's doing.
    """
    if new not in table[old]:
        raise AssertionError(f"{old} must not be followed by {new}")
    return new
