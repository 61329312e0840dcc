"""
Tests for L{txsslstream.states}: the tables are complete and consistent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.states import (
    READER_TRANSITIONS,
    WIRE_TRANSITIONS,
    WRITER_TRANSITIONS,
    ReaderState,
    WireState,
    WriterState,
    checkedTransition,
)

#: Each table with its states, the first one, and those that nothing follows.
TABLES: list[tuple[Mapping[Any, frozenset[Any]], type[Enum], Enum, set[Enum]]] = [
    (WIRE_TRANSITIONS, WireState, WireState.fresh, {WireState.closed, WireState.failed}),
    (READER_TRANSITIONS, ReaderState, ReaderState.idle, {ReaderState.closed}),
    (WRITER_TRANSITIONS, WriterState, WriterState.idle, {WriterState.broken}),
]


class TableTests(SynchronousTestCase):
    """
    Tests for the tables.
    """

    def test_closed(self) -> None:
        """
        A table says of every state what may follow it, and names no other
        states.
        """
        for table, states, _, _ in TABLES:
            self.assertEqual(set(table), set(states))
            self.assertLessEqual(frozenset().union(*table.values()), set(states))

    def test_values(self) -> None:
        """
        A state's value, as it is logged and drawn, is its name.
        """
        for _, states, _, _ in TABLES:
            for state in states:
                self.assertEqual(state.value, state.name)

    def test_reachable(self) -> None:
        """
        Every state can be reached from the first.
        """
        for table, states, first, _ in TABLES:
            reached: set[Enum] = set()
            pending = {first}
            while pending:
                state = pending.pop()
                reached.add(state)
                pending |= table[state] - reached
            self.assertEqual(reached, set(states))

    def test_terminal(self) -> None:
        """
        Nothing follows the terminal states, and only those.
        """
        for table, _, _, terminal in TABLES:
            self.assertEqual({state for state in table if not table[state]}, terminal)

    def test_noStandstill(self) -> None:
        """
        No state follows itself.
        """
        for table, _, _, _ in TABLES:
            self.assertEqual([state for state in table if state in table[state]], [])

    def test_failedFromAnywhere(self) -> None:
        """
        A connection that has not ended can fail in every state.
        """
        for state in set(WireState) - {WireState.closed, WireState.failed}:
            self.assertIn(WireState.failed, WIRE_TRANSITIONS[state])

    def test_openOnlyAuthenticated(self) -> None:
        """
        A connection opens from handshaking alone: never while somebody still
        decides, nor without a handshake.
        """
        before = {state for state in WireState if WireState.open in WIRE_TRANSITIONS[state]}
        self.assertEqual(before, {WireState.handshaking})


class CheckedTransitionTests(SynchronousTestCase):
    """
    Tests for L{checkedTransition}.
    """

    def test_everyPair(self) -> None:
        """
        A move in the table gives the new state, and every other one is a defect
        that names both states.
        """
        for table, states, _, _ in TABLES:
            for old in states:
                for new in states:
                    if new in table[old]:
                        self.assertIs(checkedTransition(table, old, new), new)
                        continue
                    with self.assertRaises(AssertionError) as context:
                        checkedTransition(table, old, new)
                    self.assertEqual(str(context.exception), f"{old} must not be followed by {new}")
