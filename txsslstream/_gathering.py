# -*- test-case-name: tests.test_gathering -*-
"""
Small writes, gathered to be encrypted together.

A TLS record costs the same few microseconds whether it holds ten bytes or ten
thousand.  So what an application writes is kept until it is enough, or until it
has had its say: at the end of the wake-up in which it writes, or else, where
nobody tells the end, in the next turn of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Anything with octets in it.
Octets = bytes | bytearray | memoryview


class Gatherer:
    """
    Keeps what is written for a while.

    @ivar isAwake: whether somebody will call L{flush} before the reactor's turn
        is over, so that no timer is needed.
    """

    #: With more than this, in bytes, there is nothing to wait for.
    LIMIT = 64_000

    __slots__ = ("_clock", "_isFlushing", "_pieces", "_scheduled", "_size", "_write", "isAwake")

    def __init__(self, write: Callable[[Octets], None], clock: IReactorTime) -> None:
        """
        @param write: takes what was gathered.  Another L{write} from inside of
            it is heeded behind what is being written.
        """
        self.isAwake = False
        self._write = write
        self._clock = clock
        self._pieces: list[Octets] = []
        self._size = 0
        self._scheduled: IDelayedCall | None = None
        self._isFlushing = False

    def write(self, data: Octets) -> None:
        """
        Take octets.  They are taken for good when this returns: a buffer may be
        used again.

        @raise TypeError: it is something else.
        """
        if type(data) is not bytes:
            data = self._owned(data)
        size = len(data)
        if size >= self.LIMIT:
            # Nothing is gained by joining it with what is there.
            self.flush()
        self._pieces.append(data)
        self._size += size
        if self._size > self.LIMIT:
            self.flush()
        elif not self.isAwake and self._scheduled is None:
            self._scheduled = self._clock.callLater(0, self._turned)

    def _owned(self, data: Octets) -> Octets:
        """
        @return: C{data} as octets that nobody changes as long as they are here.
        """
        view = memoryview(data)
        if view.nbytes > self.LIMIT and view.c_contiguous and not self._isFlushing:
            # It will be gone when the write returns.
            return view.cast("B")
        return view.tobytes()

    def _turned(self) -> None:
        self._scheduled = None
        self.flush()

    def close(self) -> None:
        """
        Hand over what there is, in vain or not; nothing more comes.
        """
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._turned()

    def flush(self) -> bool:
        """
        Hand over what there is.

        @return: whether there was anything.
        """
        pieces = self._pieces
        if not pieces or self._isFlushing:
            return False
        self._isFlushing = True
        try:
            while pieces:
                data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces.clear()
                self._size = 0
                self._write(data)
        finally:
            self._isFlushing = False
        return True
