"""
What people write, or programs for them: descriptions of endpoints, command
lines, names and URLs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet import endpoints
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError

from txsslstream.__main__ import ClientOptions
from txsslstream._parsers import CLIENT_OPTIONS, SERVER_OPTIONS, clientEndpoint, serverEndpoint
from txsslstream._serve import Options as ServeOptions
from txsslstream._serve import _staysHere, serviceFor
from txsslstream._tap import Options as EchoOptions
from txsslstream._tap import handshakeLimit
from txsslstream.access import AccessRule
from txsslstream.errors import CertificateError, legible, printable
from txsslstream.inspect import InspectOptions, targetOf
from txsslstream.names import asciiHostName, serverNameFor, unicodeHostName
from txsslstream.retrieval import HttpRetriever, _Problem
from txsslstream.servernames import nameKey
from txsslstream.testing import sharedAuthority, writePEM, writePFX

from ..programs import sharedDirectory
from .target import Target, chosen, require

#: Stands for the directory with the files.
_PLACE = "DIR"


@cache
def _home() -> str:
    home = Path(sharedDirectory())
    server = sharedAuthority().serverCertificate
    writePEM(home / "server.pem", server)
    writePEM(home / "locked.pem", server, b"secret")
    writePEM(home / "trust.pem", sharedAuthority().certificate)
    writePFX(home / "server.pfx", server, b"secret")
    (home / "password").write_text("secret\n")
    return str(home)


def _text(data: bytes) -> str:
    # As Python reads the command line.
    return data.decode("utf-8", "surrogateescape").replace(_PLACE, _home())


#: They are looked for in the file system, each time.
_plugins = cache(lambda interface: list(getPlugins(interface)))


def _withPlugins(work: Callable[[], object]) -> None:
    with patch.object(endpoints, "getPlugins", _plugins):
        work()


_BLAMED = re.compile(r"(\w+)(, \w+)*: ")


def _endpoint(data: bytes) -> str:
    kind, rest = chosen(data)
    try:
        args, kwargs = endpoints._parse(f"sslstream:{_text(rest)}")
    except Exception:
        # Twisted's parser has none of it.
        return "no description"
    parse, known = (
        (serverEndpoint, SERVER_OPTIONS) if kind & 1 else (clientEndpoint, CLIENT_OPTIONS)
    )
    make: Any = parse
    try:
        _withPlugins(lambda: make(MemoryReactorClock(), args[1:], kwargs))
    except ValueError as e:
        found = _BLAMED.match(str(e))
        require(found and found[1] in known, f"no option is blamed: {e}")
        return "ValueError"
    except TypeError as e:
        require("there is no such option" in str(e), f"another TypeError: {e}")
        return "TypeError"
    return "endpoint"


def _endpointSeeds() -> Iterator[bytes]:
    for text in (
        "host=example.com:port=443",
        "host=b\u00fccher.example:port=443:timeout=2.5:bindAddress=127.0.0.1",
        "tcp\\:example.com\\:443:serverName=example.com:trustRoots=DIR/trust.pem",
        "host=localhost:port=1:protocols=tls1.2,tls1.3:alpn=h2,http/1.1:groups=x25519",
        "host=localhost:port=1:ciphers=TLS_AES_256_GCM_SHA384:revocation=online",
        "host=localhost:port=1:signatureAlgorithms=ecdsa_secp256r1_sha256:tlsResume=no",
        "host=localhost:port=1:certificate=DIR/server.pem:reload=no:handshakeTimeout=5",
        "host=localhost:port=1:pfx=DIR/server.pfx:passphraseFile=DIR/password",
        "endpoint=tcp\\:localhost\\:443:host=localhost:port=443:requireCloseNotify=no",
        "unix:/run/socket:serverName=localhost",
    ):
        yield b"\0" + text.encode()
    for text in (
        "port=443:certificate=DIR/server.pem:interface=127.0.0.1:backlog=5",
        "tcp:0:certificate=DIR/locked.pem:passphraseFile=DIR/password",
        "port=0:certificate=DIR/server.pem:clientCertificate=optional:trustRoots=DIR/trust.pem",
        "port=0:certificates=DIR:default=DIR/server.pem:maximumUnauthenticated=5",
        "port=0:pfx=DIR/server.pfx:passphraseFile=DIR/password:reload=yes",
        "haproxy:tcp:0:certificate=DIR/server.pem:maximumUnauthenticatedPerAddress=1",
        "port=0:certificate=DIR/server.pem:privateKey=DIR/server.pem:protocols=tls1.3",
    ):
        yield b"\1" + text.encode()


def _command(data: bytes) -> str:
    kind, rest = chosen(data)
    words = _text(rest).split("\n")
    options: Any = (ServeOptions, InspectOptions, ClientOptions, EchoOptions)[kind % 4]()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            options.parseOptions(words)
        if isinstance(options, ServeOptions):
            _withPlugins(lambda: serviceFor(MemoryReactorClock(), options, "serve"))
        elif isinstance(options, EchoOptions):
            options.certificateContext()
            options.trusted()
            handshakeLimit(options)
    except SystemExit as e:
        # Words for the user, or the help that was asked for.
        isRead = not e.code or isinstance(e.code, str) or isinstance(e, Exception)
        require(isRead, f"an exit without a reason: {e!r}")
        return "exit"
    return "options"


_SERVE = (
    "--listen tcp:8443 --connect tcp:127.0.0.1:80 --certificate DIR/server.pem",
    "--listen tcp:0 --connect unix:/a --pfx DIR/server.pfx --password-file DIR/password "
    "--trust DIR/trust.pem --allow-cn a --allow-ou=b --allow-dns=c.example --allow-uri=spiffe://d",
    "--originate --listen tcp:0:interface=127.0.0.1 --connect tcp:host=a:port=1 "
    "--servername localhost --alpn h2 --tls 1.2,1.3 --quiet",
    "--listen tcp:0 --connect tcp:a:1 --certificate DIR/server.pem --unsafe-plaintext "
    "--proxy-protocol --require-client-certificate --trust DIR/trust.pem "
    "--ciphers TLS_AES_128_GCM_SHA256",
    "--listen tcp:0 --connect tls:a:1 --certificate DIR/server.pem --handshake-timeout 5 "
    "--connect-timeout=1.5 --idle-timeout 0 --max-connections 9 --max-handshakes 8 "
    "--max-handshakes-per-address 7 --drain 3",
    "--help",
    "--listen tcp:0 --connect tcp:[::1]:1 --certificate DIR/none.pem",
)
_OTHERS = (
    (1, "example.com:8443 --starttls smtp --servername b.example --json"),
    (1, "[::1]:1 --tls 1.3 --alpn h2,imap --revocation online -t 3"),
    (1, "a --certificate DIR/server.pem --trust DIR/trust.pem"),
    (2, "example.com b.example -p 443 -m hello -v --timeout 2"),
    (2, "--version"),
    (3, "--listen tcp:0 --echo --processes 4 --max-handshakes 3"),
    (3, "--pfx DIR/server.pfx --password-file DIR/password --verbose"),
)


def _commandSeeds() -> Iterator[bytes]:
    for kind, words in (*((0, each) for each in _SERVE), *_OTHERS):
        yield bytes((kind,)) + words.replace(" ", "\n").encode()


def _longOptions() -> set[str]:
    kinds: tuple[Any, ...] = (ServeOptions, InspectOptions, ClientOptions, EchoOptions)
    return {f"--{name.rstrip('=')}" for kind in kinds for name in kind().longOpt}


def _name(data: bytes) -> str:
    kind, rest = chosen(data)
    text = rest.decode("utf-8", "surrogateescape")
    return _NAMES[kind % len(_NAMES)](text)


def _host(text: str) -> str:
    sent = serverNameFor(text)
    if sent is None:
        return "none"
    require(asciiHostName(text).encode("ascii") == sent, "two forms of a name")
    require(len(sent) <= 253 and sent.isascii(), "a name that cannot be sent")
    unicodeHostName(sent.decode("ascii"))
    return "name"


def _key(text: str) -> str:
    require(nameKey(nameKey(text)) == nameKey(text), "another key of a key")
    return "key"


def _target(text: str) -> str:
    host, port = targetOf(text)
    require(host and (port is None or 0 < port < 1 << 16), "no target")
    return "target"


def _words(text: str) -> str:
    require(len(printable(text)) <= 200 and printable(text).isascii(), "not printable")
    require(len(legible(text, 50)) <= 50 and legible(text, 50).isprintable(), "not legible")
    unicodeHostName(text)
    _staysHere(text)
    return "words"


def _rule(text: str) -> str:
    names = text.split(",")
    return "rule" if AccessRule(names, names, names, names) else "none"


_RETRIEVER = HttpRetriever()


def _url(text: str) -> str:
    try:
        url = _RETRIEVER._checked(text, "http://a.example/b/c?d")
    except _Problem as e:
        require(str(e), "a problem without words")
        return "no URL"
    require(url.startswith("http://") and url.isascii(), "another kind of URL")
    require(_RETRIEVER._checked(url) == url, "another form of a form")
    return "URL"


_NAMES: tuple[Callable[[str], str], ...] = (_host, _key, _target, _words, _rule, _url)


def _nameSeeds() -> Iterator[bytes]:
    names = (
        *("example.com", "b\u00fccher.example.", "xn--bcher-kva.example", "*.example.com", "::1"),
        *("127.0.0.1", "fe80::1%eth0", "[::1]:443", "example.com:8443", "tcp:[::1]:1"),
        *("tcp:host=localhost:port=1", "http://a.example:81/b?c#d", "//b.example/", "../e"),
        *("http://[::1]/", "http://0x7f.1/", "a_b", "\u0661.\u0662.\u0663.\u0664", "a,b.example"),
    )
    for name in names:
        for kind in range(len(_NAMES)):
            yield bytes((kind,)) + name.encode()


_VALUES = ("DIR/server.pem", "DIR/trust.pem", "DIR/server.pfx", "DIR/password", "yes", "no")

TARGETS = (
    Target(
        "names",
        "names of hosts, targets, rules, URLs, and what is shown of others' words",
        _name,
        _nameSeeds,
        (ValueError,),
        words=("xn--", "://", "http://", "%", "[::1]", "127.0.0.1", ".example", "*.", "tcp:"),
        longest=300,
        largest=1 << 15,
        perByte=2e-5,
        share=450,
    ),
    Target(
        "endpoints",
        "descriptions of endpoints: a ValueError blames an option",
        _endpoint,
        _endpointSeeds,
        words=(*(f"{each}=" for each in {*CLIENT_OPTIONS, *SERVER_OPTIONS}), *_VALUES),
        longest=400,
        largest=1 << 14,
        seconds=0.4,
        perByte=2e-5,
        share=15,
    ),
    Target(
        "commands",
        "command lines of sslstream's serve, inspect and client, and of twistd sslecho",
        _command,
        _commandSeeds,
        (UsageError, CertificateError),
        words=(*sorted(_longOptions()), *_VALUES, "tcp:", "unix:/", "sslstream:"),
        longest=500,
        largest=1 << 14,
        seconds=0.4,
        perByte=2e-5,
        share=10,
    ),
)
