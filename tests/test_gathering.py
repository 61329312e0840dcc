"""
Tests for L{txsslstream._gathering}: small writes, gathered.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txsslstream._gathering import Gatherer, Octets


class GathererTests(SynchronousTestCase):
    """
    Tests for L{Gatherer}.
    """

    def setUp(self) -> None:
        """
        One that notes what it hands over.
        """
        self.clock = Clock()
        self.written: list[bytes] = []
        self.kinds: list[type] = []
        self.lost: list[BaseException] = []
        self.gatherer = Gatherer(self.take, self.clock, self.lost.append)

    def take(self, data: Octets) -> None:
        """
        Note it.
        """
        self.kinds.append(type(data))
        self.assertEqual(len(data), len(bytes(data)))
        self.written.append(bytes(data))

    def test_nextTurn(self) -> None:
        """
        What is written when nobody is going to flush goes out together in the
        next turn, on one timer.
        """
        for piece in (b"one", b"two"):
            self.gatherer.write(piece)
        self.assertEqual(self.written, [])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(self.written, [b"onetwo"])
        self.gatherer.write(b"three")
        self.clock.advance(0)
        self.assertEqual(self.written, [b"onetwo", b"three"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_awaited(self) -> None:
        """
        Where somebody is going to flush there is no timer.
        """
        self.gatherer.isAwaited = True
        self.gatherer.write(b"one")
        self.gatherer.write(b"two")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.gatherer.flush())
        self.assertEqual(self.written, [b"onetwo"])
        self.assertFalse(self.gatherer.flush())
        self.gatherer.sleep()
        self.gatherer.write(b"three")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.gatherer.close()

    def test_awaitedTwice(self) -> None:
        """
        With a timer from before, whoever flushes earlier leaves that as it is,
        and it is not started twice.
        """
        self.gatherer.write(b"one")
        self.gatherer.isAwaited = True
        self.gatherer.write(b"two")
        self.gatherer.sleep()
        self.gatherer.flush()
        self.gatherer.write(b"three")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(self.written, [b"onetwo", b"three"])

    def test_enough(self) -> None:
        """
        When there is enough to fill four records it goes out at once; with one
        byte less it does not.
        """
        self.gatherer.write(b"a" * 40_000)
        self.gatherer.write(b"b" * 25_535)
        self.assertFalse(self.written)
        self.gatherer.write(b"c")
        self.assertEqual(list(map(len, self.written)), [65_536])
        self.assertEqual(self.written[0], b"a" * 40_000 + b"b" * 25_535 + b"c")
        self.gatherer.write(b"d" * 65_535)
        self.assertEqual(len(self.written), 1)
        self.gatherer.close()
        self.assertEqual(list(map(len, self.written[1:])), [65_535])

    def test_large(self) -> None:
        """
        What is enough by itself goes out alone, behind what was there, and
        without a copy, be it bytes or another buffer.
        """
        large = b"x" * 65_536
        for data in (large, bytearray(large), memoryview(large)):
            self.gatherer.write(b"small")
            self.gatherer.write(data)
            self.assertEqual(self.written[-2:], [b"small", large])
        self.assertEqual(self.kinds[1::2], [bytes, memoryview, memoryview])

    def test_buffers(self) -> None:
        """
        A small buffer may be changed once it is written, and one with another
        format or with gaps is taken octet by octet.
        """
        data = bytearray(b"before")
        self.gatherer.write(data)
        data[:] = b"behind"
        self.gatherer.write(memoryview(b"a-b-c-")[::2])
        self.gatherer.write(memoryview(b"abcd").cast("H"))
        self.gatherer.flush()
        self.assertEqual(self.written, [b"beforeabcabcd"])
        gaps = memoryview(b"ab" * 70_000)[::2]
        self.gatherer.write(gaps)
        wide = memoryview(b"ab" * 70_000).cast("H")
        self.gatherer.write(wide)
        self.assertEqual(self.written[1:], [b"a" * 70_000, b"ab" * 70_000])

    def test_noOctets(self) -> None:
        """
        Anything else is refused at once, and nothing of it is kept.
        """
        for data in ("text", None, 5, [b"x"]):
            self.assertRaises(TypeError, self.gatherer.write, data)
        self.assertFalse(self.gatherer.flush())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reentered(self) -> None:
        """
        What is written while something is handed over comes behind it, in
        order, however large it is and whatever happens to it afterwards.
        """
        again = bytearray(b"b" * 70_000)
        more: list[Octets] = [again, b"c"]

        def take(data: Octets) -> None:
            self.take(data)
            while more:
                gatherer.write(more.pop(0))
                self.assertFalse(gatherer.flush())
            again[:] = b"?" * 70_000
            self.written.append(b"|")

        gatherer = Gatherer(take, self.clock, self.lost.append)
        gatherer.isAwaited = True
        gatherer.write(b"a" * 65_536)
        self.assertEqual(b"".join(self.written), b"a" * 65_536 + b"|" + b"b" * 70_000 + b"c" + b"|")

    def test_raises(self) -> None:
        """
        Where handing over fails whoever has to end the connection is told, nothing
        is written twice, and later writes go their way.
        """
        error = ValueError()
        failures = [error]

        def take(data: Octets) -> None:
            self.take(data)
            if failures:
                raise failures.pop()

        gatherer = Gatherer(take, self.clock, self.lost.append)
        gatherer.isAwaited = True
        gatherer.write(b"one")
        self.assertRaises(ValueError, gatherer.flush)
        self.assertEqual(self.lost, [error])
        gatherer.write(b"two")
        gatherer.flush()
        self.assertEqual(self.written, [b"one", b"two"])
        self.assertEqual(self.lost, [error])

    def test_close(self) -> None:
        """
        At the end what there is goes out, and no timer is left.
        """
        self.gatherer.write(b"last")
        self.gatherer.close()
        self.assertEqual(self.written, [b"last"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
