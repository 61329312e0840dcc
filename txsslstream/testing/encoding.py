# -*- test-case-name: tests.test_testing_certificates -*-
"""
Data in DER, put together and taken apart by hand: for what no library makes
because it is wrong.
"""

from __future__ import annotations

#: The tags of what is needed most (X.690 section 8).
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30


def der(tag: int, *parts: bytes) -> bytes:
    """
    @param tag: of one byte.
    @param parts: the content.
    @return: one value in DER.
    """
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def elements(sequence: bytes) -> list[bytes]:
    """
    Take a C{SEQUENCE} apart; C{der(SEQUENCE, *elements(data))} is C{data} again.

    @return: its elements, each whole, with tag and length.
    """
    content = sequence[_headerSize(sequence) :]
    found = []
    while content:
        header = _headerSize(content)
        size = header + _contentSize(content)
        found.append(content[:size])
        content = content[size:]
    return found


def _headerSize(value: bytes) -> int:
    return 2 if value[1] < 0x80 else 2 + (value[1] & 0x7F)


def _contentSize(value: bytes) -> int:
    return value[1] if value[1] < 0x80 else int.from_bytes(value[2 : _headerSize(value)], "big")
