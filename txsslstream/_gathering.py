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

    @ivar isAwaited: whether somebody is going to call L{flush}, be it in this
        turn of the reactor or in the next.
    """

    #: With so much, in bytes, there is nothing to wait for: it fills its records.
    LIMIT = 1 << 16

    __slots__ = (
        "_clock",
        "_isFlushing",
        "_lost",
        "_pieces",
        "_room",
        "_scheduled",
        "_write",
        "isAwaited",
    )

    def __init__(
        self,
        write: Callable[[Octets], None],
        clock: IReactorTime,
        lost: Callable[[BaseException], None],
    ) -> None:
        """
        @param write: takes what was gathered.  Another L{write} from inside of
            it is heeded behind what is being written.
        @param lost: called with what that raises: a part may be missing, which
            nothing may follow.
        """
        self.isAwaited = False
        self._write = write
        self._lost = lost
        self._clock = clock
        self._pieces: list[Octets] = []
        self._room = self.LIMIT
        self._scheduled: IDelayedCall | None = None
        self._isFlushing = False

    def write(self, data: Octets) -> None:
        """
        Take octets.  They are taken for good when this returns: a buffer may be
        used again.

        @raise TypeError: it is something else.
        """
        if data.__class__ is not bytes:
            data = self._owned(data)
        if not data:
            # Nothing would be sent by it, and what OpenSSL has to say not either.
            return
        self._room -= len(data)
        if self._room <= 0:
            self._fill(data)
            return
        self._pieces.append(data)
        if not self.isAwaited:
            self.isAwaited = True
            self._scheduled = self._clock.callLater(0, self._turned)

    def writeNow(self, data: Octets) -> None:
        """
        Take octets, and hand all over that there is.
        """
        isAwaited, self.isAwaited = self.isAwaited, True
        try:
            self.write(data)
        finally:
            self.isAwaited = isAwaited
        self.flush()

    def _owned(self, data: Octets) -> Octets:
        """
        @return: C{data} as octets that nobody changes as long as they are here.
        """
        view = memoryview(data)
        if view.nbytes >= self.LIMIT and view.c_contiguous and not self._isFlushing:
            # It will be gone when the write returns.
            return view.cast("B")
        return view.tobytes()

    def _fill(self, data: Octets) -> None:
        if self._pieces and len(data) >= self.LIMIT:
            # Nothing is gained by joining it with what is there.
            self.flush()
        self._pieces.append(data)
        self.flush()

    def sleep(self) -> None:
        """
        Whoever was going to call L{flush} is not any more.
        """
        self.isAwaited = self._scheduled is not None

    def _turned(self) -> None:
        self._scheduled = None
        self.isAwaited = False
        if self._pieces:
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
                self._room = self.LIMIT
                self._write(data)
        except BaseException as e:
            self._lost(e)
            raise
        finally:
            self._isFlushing = False
        return True


class NoMore(Gatherer):
    """
    Keeps nothing.
    """

    __slots__ = ()

    def write(self, data: Octets) -> None:
        """
        Forget octets that come behind the end.
        """
