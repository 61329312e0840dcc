# -*- test-case-name: tests.test_plaintext -*-
"""
What somebody speaks who does not speak TLS, by how they begin.
"""

from __future__ import annotations

#: So many bytes of a beginning tell.
OPENING_SIZE = 5

#: What each begins with: 5 bytes at most, for a peer that sends them one by one
#: is refused for no more (RFC 8446 section 5.1: the header of a record).
_OPENINGS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("plain HTTP/2", (b"PRI *",)),
    (
        "plain HTTP",
        (
            *(b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELET", b"OPTIO", b"TRACE", b"PATCH"),
            *(b"CONNE", b"PROPF", b"HTTP/"),
        ),
    ),
    ("the PROXY protocol", (b"PROXY", b"\r\n\r\n\0")),
    ("SSH", (b"SSH-",)),
    ("plain SMTP or FTP", (b"220 ", b"220-", b"EHLO ", b"HELO ", b"USER ")),
    ("plain IMAP", (b"* OK", b"* PRE")),
    ("plain POP3", (b"+OK",)),
    ("plain XMPP", (b"<?xml", b"<stre")),
    ("PostgreSQL, which asks for TLS first", (b"\0\0\0\x08\x04",)),
    ("RDP", (b"\x03\0\0",)),
    ("VNC", (b"RFB 0",)),
    ("plain Redis", (b"*1\r\n$", b"*2\r\n$", b"*3\r\n$")),
    ("plain MQTT", (b"\x10",)),
)


def spokenBy(opening: bytes) -> str | None:
    """
    @param opening: the first bytes of a peer that does not speak TLS, at most
        L{OPENING_SIZE} of them.
    @return: what it speaks, in words that fit behind "the peer does not
        speak TLS but", or
        L{None} if that is not known.
    """
    for words, beginnings in _OPENINGS:
        if opening.startswith(beginnings):
            return words
    # The length of a record of SSL 2, and CLIENT-HELLO.
    if len(opening) > 2 and opening[0] & 0x80 and opening[2] == 1:
        return "SSL 2"
    return None
