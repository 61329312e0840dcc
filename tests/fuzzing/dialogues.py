"""
What servers say before TLS begins: the dialogues of STARTTLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from txsslstream._dialogues import LIMIT, SERVICES, PlainText, StartTlsError, startTls
from txsslstream.testing import MemoryTransport

from .target import Target, chosen, pieces, require

_NAMES = tuple(SERVICES)
_SIZES = (0, 1, 7, 100)
_TIMEOUT = 10


def _dialogue(data: bytes) -> str:
    kind, rest = chosen(data)
    clock = Clock()
    plain = PlainText(clock)
    transport = MemoryTransport("client", clock)
    transport.protocol = plain
    plain.makeConnection(transport)
    service = SERVICES[_NAMES[kind % len(_NAMES)]]
    results: list[Any] = []
    startTls(plain, service, "example.com", _TIMEOUT, clock).addBoth(results.append)
    taken = 0
    for piece in pieces(rest, _SIZES[kind >> 3 & 3]):
        if results:
            break
        if not transport.isPaused:
            taken += len(piece)
            plain.dataReceived(piece)
    require(taken <= 2 * LIMIT or results, "more than the limit is waited for")
    if kind & 0x20:
        clock.advance(_TIMEOUT + 1)
    elif not results:
        transport.lost(ConnectionDone())
    require(len(results) == 1, "no end, or two")
    if transport.connected:
        transport.lost(ConnectionDone())
    require(not clock.getDelayedCalls(), "a timer is left")
    (result,) = results
    if result is None:
        return "TLS"
    require(str(result.value).isprintable(), "words that control terminals")
    result.raiseException()
    raise AssertionError


def _dialogueSeeds() -> Iterator[bytes]:
    tls = b"urn:ietf:params:xml:ns:xmpp-tls"
    opening = (
        b"<?xml version='1.0'?><stream:stream id='a>b' version='1.0' xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    said = {
        "smtp": b"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n",
        "ftp": b"220-a\r\n b\r\n220 c\r\n234 go\r\n",
        "imap": b"* OK a\r\n* OK b\r\na OK go\r\n",
        "pop3": b"+OK a\r\n+OK go\r\n",
        "ldap": bytes.fromhex("300c02010178070a010004000400"),
        "postgres": b"S",
        "xmpp": opening
        + b"<stream:features><starttls xmlns='%b'/></stream:features>" % tls
        + b"<proceed xmlns='%b'/>" % tls,
    }
    refusals = {
        "smtp": b"220 a\r\n250 STARTTLS\r\n454 no\x1b[31m\r\n",
        "imap": b"* BYE\r\n",
        "ldap": bytes.fromhex("3084000000100201017884000000070a0102040004046e6f7065"),
        "postgres": b"N",
        "xmpp": opening + b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    }
    for number, name in enumerate(_NAMES):
        for size in range(len(_SIZES)):
            yield bytes((number | size << 3,)) + said[name]
        yield bytes((number | 0x20,)) + said[name][:-3]
        yield bytes((number,)) + said[name] + b"more"
        if name in refusals:
            yield bytes((number,)) + refusals[name]


TARGETS = (
    Target(
        "starttls",
        "what a server says before TLS begins, of each kind of service",
        _dialogue,
        _dialogueSeeds,
        (StartTlsError,),
        words=(
            *(
                "220 ",
                "250-",
                "250 ",
                "STARTTLS",
                "234 ",
                "454 ",
                "* OK ",
                "* BYE",
                "a OK ",
                "+OK ",
            ),
            *("\r\n", "<stream:features>", "<starttls xmlns='", "</stream:features>"),
            *("urn:ietf:params:xml:ns:xmpp-tls", "<proceed xmlns='", "/>", "<stream:error>"),
            *("<!DOCTYPE ", "</stream:stream>", "xmlns:stream='http://etherx.jabber.org/streams'"),
        ),
        longest=600,
        largest=1 << 18,
        seconds=0.3,
        perByte=2e-5,
        memory=4 << 20,
        memoryPerByte=200,
        share=40,
    ),
)
