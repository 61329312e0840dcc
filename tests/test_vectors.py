"""
Tests for L{txsslstream.vectors}: what handshake messages are made of.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from txsslstream.testing.messages import codes, vector
from txsslstream.vectors import codePoints, firstVector, labelled, vectors


class FirstVectorTests(SynchronousTestCase):
    """
    Tests for L{firstVector}.
    """

    def test_whole(self) -> None:
        """
        The vector is told from what is behind it, whatever its length's width.
        """
        for width in (1, 2, 3):
            for content in (b"", b"c", b"content" * 30):
                for behind in (b"", b"\0", b"behind"):
                    data = vector(content, width) + behind
                    self.assertEqual(firstVector(data, width), (content, behind))

    def test_notWhole(self) -> None:
        """
        Of one that ends too early, nothing is there, and nothing behind it.
        """
        for width in (1, 2, 3):
            data = vector(b"content", width)
            for size in range(len(data)):
                self.assertEqual(firstVector(data[:size], width), (b"", b""))


class VectorsTests(SynchronousTestCase):
    """
    Tests for L{vectors}.
    """

    def test_several(self) -> None:
        """
        All are found, empty ones too, in their order.
        """
        expected = [b"one", b"", b"three" * 40, b""]
        for width in (1, 2, 3):
            data = b"".join(vector(each, width) for each in expected)
            self.assertEqual(list(vectors(data, width)), expected)

    def test_notWhole(self) -> None:
        """
        The last one is not there if it ends too early.
        """
        data = vector(b"one", 2) + vector(b"two", 2)
        for size in range(5, len(data)):
            self.assertEqual(list(vectors(data[:size], 2)), [b"one"])
        for size in range(5):
            self.assertEqual(list(vectors(data[:size], 2)), [])

    def test_trailer(self) -> None:
        """
        What follows each is skipped, also where it ends too early.
        """
        data = vector(b"one", 1) + vector(b"more", 2) + vector(b"two", 1) + vector(b"rest", 2)
        self.assertEqual(list(vectors(data, 1, 2)), [b"one", b"two"])
        self.assertEqual(list(vectors(data[:-1], 1, 2)), [b"one", b"two"])


class CodePointsTests(SynchronousTestCase):
    """
    Tests for L{codePoints}.
    """

    def test_numbers(self) -> None:
        """
        Each has two bytes, the greater one first.
        """
        expected = [0, 1, 0x0100, 0x1301, 0xFFFF]
        self.assertEqual(codePoints(codes(*expected)[2:]), expected)
        self.assertEqual(codePoints(b""), [])

    def test_half(self) -> None:
        """
        Half a number at the end is none.
        """
        self.assertEqual(codePoints(b"\x13\x01\x13"), [0x1301])
        self.assertEqual(codePoints(b"\x13"), [])


class LabelledTests(SynchronousTestCase):
    """
    Tests for L{labelled}.
    """

    def test_several(self) -> None:
        """
        All are found, empty ones and doubles too, in their order.
        """
        expected = [(0x0A0A, b""), (13, b"content"), (0, b"\0" * 300), (13, b"again")]
        data = b"".join(label.to_bytes(2, "big") + vector(each, 2) for label, each in expected)
        self.assertEqual(list(labelled(data)), expected)

    def test_notWhole(self) -> None:
        """
        The last one is not there if it ends too early.
        """
        data = b"\0\1" + vector(b"one", 2) + b"\0\2" + vector(b"two", 2)
        for size in range(7, len(data)):
            self.assertEqual(list(labelled(data[:size])), [(1, b"one")])
        for size in range(7):
            self.assertEqual(list(labelled(data[:size])), [])


class NoiseTests(SynchronousTestCase):
    """
    What is no list at all.
    """

    def test_noise(self) -> None:
        """
        Whatever bytes come, nothing is raised, and no more is found than is
        there.
        """
        random = Random(2031)
        for _ in range(3000):
            data = random.randbytes(random.randrange(40)).replace(b"\xff", b"\0")
            for width in (1, 2, 3):
                content, behind = firstVector(data, width)
                self.assertLessEqual(len(content) + len(behind), len(data))
                self.assertLessEqual(sum(map(len, vectors(data, width, 2))), len(data))
            self.assertEqual(len(codePoints(data)), len(data) // 2)
            self.assertLessEqual(sum(4 + len(each) for _, each in labelled(data)), len(data))
