"""
Tests for L{txsslstream.records}: records from the outside.
"""

from __future__ import annotations

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from txsslstream.enums import TlsAlert
from txsslstream.records import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    RecordBoundary,
    alertRecord,
    recordKinds,
)


def record(kind: int, size: int) -> bytes:
    """
    @return: a record with this many bytes in it, each of them a content type.
    """
    return bytes((kind, 3, 3)) + size.to_bytes(2, "big") + bytes((ALERT,)) * size


class ContentTypeTests(SynchronousTestCase):
    """
    Tests for the content types.
    """

    def test_numbers(self) -> None:
        """
        They have the numbers that RFC 8446 section 5.1 gives them.
        """
        self.assertEqual((CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA), (20, 21, 22, 23))


class RecordKindsTests(SynchronousTestCase):
    """
    Tests for L{recordKinds}.
    """

    def test_nothing(self) -> None:
        """
        No bytes are no records.
        """
        self.assertEqual(recordKinds(b""), set())

    def test_each(self) -> None:
        """
        The content types of all records are found, and nothing that is inside
        of one is taken for a header.
        """
        data = record(HANDSHAKE, 300) + record(CHANGE_CIPHER_SPEC, 1) + record(HANDSHAKE, 40)
        self.assertEqual(recordKinds(data), {HANDSHAKE, CHANGE_CIPHER_SPEC})
        self.assertEqual(
            recordKinds(data + record(APPLICATION_DATA, 17)),
            {HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA},
        )

    def test_empty(self) -> None:
        """
        A record of no bytes is a record.
        """
        self.assertEqual(
            recordKinds(record(HANDSHAKE, 0) + record(APPLICATION_DATA, 0)),
            {HANDSHAKE, APPLICATION_DATA},
        )

    def test_largest(self) -> None:
        """
        A record of the greatest size is skipped as a whole.
        """
        data = record(APPLICATION_DATA, 0xFFFF) + record(HANDSHAKE, 1)
        self.assertEqual(recordKinds(data), {APPLICATION_DATA, HANDSHAKE})


class AlertRecordTests(SynchronousTestCase):
    """
    Tests for L{alertRecord}.
    """

    def test_bytes(self) -> None:
        """
        The record is a fatal alert in a record of TLS 1.2's form.
        """
        self.assertEqual(alertRecord(TlsAlert.unknown_ca), bytes.fromhex("15 0303 0002 02 30"))

    def test_understood(self) -> None:
        """
        OpenSSL reads it as the alert that it is.
        """
        for alert, reason in (
            (TlsAlert.handshake_failure, "handshake failure"),
            (TlsAlert.certificate_revoked, "certificate revoked"),
            (TlsAlert.user_canceled, "user cancelled"),
        ):
            connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
            connection.set_connect_state()
            self.assertRaises(SSL.WantReadError, connection.do_handshake)
            connection.bio_write(alertRecord(alert))
            error = self.assertRaises(SSL.Error, connection.do_handshake)
            self.assertIn(f"alert {reason}", error.args[0][0][2])


class RecordBoundaryTests(SynchronousTestCase):
    """
    Tests for L{RecordBoundary}.
    """

    def test_fresh(self) -> None:
        """
        Before the first byte, and after no bytes, nothing has been begun.
        """
        boundary = RecordBoundary()
        self.assertFalse(boundary.isInside)
        boundary.feed(b"")
        self.assertFalse(boundary.isInside)

    def test_everyByte(self) -> None:
        """
        Fed byte by byte, it is inside everywhere but behind each record's last
        byte.
        """
        sizes = (0, 1, 5, 0, 300, 2)
        ends = []
        position = 0
        for size in sizes:
            position += 5 + size
            ends.append(position)
        boundary = RecordBoundary()
        outside = []
        for index, byte in enumerate(b"".join(record(HANDSHAKE, size) for size in sizes)):
            boundary.feed(bytes((byte,)))
            if not boundary.isInside:
                outside.append(index + 1)
        self.assertEqual(outside, ends)

    def test_everyCut(self) -> None:
        """
        However the bytes are cut in two, the verdict is the same.
        """
        data = record(HANDSHAKE, 7) + record(APPLICATION_DATA, 0) + record(APPLICATION_DATA, 260)
        for end in range(len(data) + 1):
            expected = end not in (0, 12, 17, len(data))
            for cut in (0, 1, 3, 5, 8, 12, 14, end):
                boundary = RecordBoundary()
                boundary.feed(data[: min(cut, end)])
                boundary.feed(data[min(cut, end) : end])
                self.assertEqual(boundary.isInside, expected, (cut, end))
