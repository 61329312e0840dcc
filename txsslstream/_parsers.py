# -*- test-case-name: tests.test_parsers -*-
"""
Endpoint descriptions: C{sslstream:…}, wherever Twisted takes such a string.

Whatever is wrong with an option is a C{ValueError} that begins with its name and
is raised while parsing; files are read then, too.  An option that would say
nothing is refused: whoever wrote it expects something of it.

What has no name is the description of the endpoint underneath, as in
C{haproxy:}, and so are the named parts that no option of ours could be.  Our own
host and port always have names: C{sslstream:tcp:8080} could mean either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial, reduce
from operator import or_
from typing import Any, TypeVar

import idna
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.interfaces import IReactorTime

from .admission import HandshakeLimit
from .algorithms import groupNamed, signatureNamed
from .certdir import CertificateDirectory
from .certificates import SslStreamCertificateContext, passwordFrom
from .ciphersuites import TlsCipherSuite
from .endpoints import SslStreamClientEndpoint, SslStreamServerEndpoint
from .enums import SslPolicyErrors, SslProtocols, X509RevocationMode
from .errors import InvalidOperationError, NotSupportedError
from .names import serverNameFor
from .options import SslClientAuthenticationOptions, SslServerAuthenticationOptions
from .parameters import CipherSuitesPolicy, SslApplicationProtocol
from .reload import ReloadingCertificate, absolute
from .trust import SslCertificateTrust

_Value = TypeVar("_Value")

#: Seconds between looks at the files of certificates, when connections begin.
INTERVAL = 5.0

#: As C{tcp:} has them: seconds, and connections.
_TIMEOUT = 30.0
_BACKLOG = 50


# How values are read: each raises ValueError for what is none.


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # int() takes more than anybody means.
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise ValueError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) is None or not float(text):
        raise ValueError(f"{text!r} is no positive number of seconds")
    return float(text)


def _oneOf(values: Mapping[str, _Value]) -> Callable[[str], _Value]:
    def read(text: str) -> _Value:
        if text not in values:
            raise ValueError(f"{text!r} is none of {', '.join(values)}")
        return values[text]

    return read


def _listOf(read: Callable[[str], _Value]) -> Callable[[str], tuple[_Value, ...]]:
    return lambda text: tuple(read(each.strip()) for each in text.split(","))


def _host(text: str) -> str:
    serverNameFor(text)
    return text


def _address(text: str) -> str:
    """
    @return: a host as C{HostnameEndpoint} takes it.
    """
    name = serverNameFor(text)
    if name is None:
        return text
    # That is stricter, and would find out when connecting only.
    idna.encode(name)
    return text if text.isascii() else name.decode("ascii")


def _suite(name: str) -> TlsCipherSuite:
    try:
        return TlsCipherSuite[name]
    except KeyError:
        raise ValueError(f"not a cipher suite: {name!r}") from None


def _trust(text: str) -> SslCertificateTrust:
    if text == "system":
        return SslCertificateTrust.system()
    return SslCertificateTrust.fromPEM(text)


class _Passphrase:
    """
    What is in a file whenever it is asked for.

    @ivar isAsked: whether it ever was.
    """

    def __init__(self, path: str) -> None:
        self.isAsked = False
        self._path = absolute(path)
        # Whatever is wrong with the file must show now.
        passwordFrom(path)

    def __call__(self, source: str) -> bytes:
        self.isAsked = True
        return passwordFrom(self._path)


_yesOrNo = _oneOf({"yes": True, "no": False})

_PROTOCOLS = {
    "tls1.0": SslProtocols.Tls,
    "tls1.1": SslProtocols.Tls11,
    "tls1.2": SslProtocols.Tls12,
    "tls1.3": SslProtocols.Tls13,
}

_REVOCATION = {
    "nocheck": X509RevocationMode.NoCheck,
    "offline": X509RevocationMode.Offline,
    "online": X509RevocationMode.Online,
}


def _nobodyOrFaultless(
    stream: object, certificate: object, chain: object, sslPolicyErrors: SslPolicyErrors
) -> bool:
    """
    The C{remoteCertificateValidationCallback} of a server that asks for a
    certificate without insisting on one.
    """
    return sslPolicyErrors in (
        SslPolicyErrors.None_,
        SslPolicyErrors.RemoteCertificateNotAvailable,
    )


_ASKING: Mapping[str, Mapping[str, Any]] = {
    "required": {"clientCertificateRequired": True},
    "optional": {
        "clientCertificateRequired": True,
        "remoteCertificateValidationCallback": _nobodyOrFaultless,
    },
    "none": {},
}

#: What becomes a field of the options, and how it is read.
_FIELDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "trustRoots": ("trust", _trust),
    "revocation": ("certificateRevocationCheckMode", _oneOf(_REVOCATION)),
    "protocols": (
        "enabledSslProtocols",
        lambda text: reduce(or_, _listOf(_oneOf(_PROTOCOLS))(text)),
    ),
    "alpn": ("applicationProtocols", _listOf(SslApplicationProtocol)),
    "ciphers": ("cipherSuitesPolicy", lambda text: CipherSuitesPolicy(_listOf(_suite)(text))),
    "groups": ("keyExchangeGroups", _listOf(lambda name: groupNamed(name).name)),
    "signatureAlgorithms": (
        "signatureAlgorithms",
        _listOf(lambda name: signatureNamed(name).name),
    ),
    "handshakeTimeout": ("handshakeTimeout", _seconds),
    "requireCloseNotify": ("requireCloseNotify", _yesOrNo),
    "tlsResume": ("allowTlsResume", _yesOrNo),
}

#: Where a certificate comes from, and what belongs to which of that.
_SOURCES = ("certificate", "pfx", "certificates")
_BELONGING: Mapping[str, Sequence[str]] = {
    "privateKey": ("certificate",),
    "passphraseFile": _SOURCES,
    "reload": _SOURCES,
    "default": ("certificates",),
}
_IDENTITY = (*_SOURCES, *_BELONGING)

#: What options must agree on with each other.
_AGREEING = (*_IDENTITY, "protocols", "alpn", "ciphers", "groups", "signatureAlgorithms")

#: Of our own endpoint underneath.
_CLIENT_ADDRESS = ("host", "port", "timeout", "bindAddress")
_SERVER_ADDRESS = ("port", "interface", "backlog")
_SERVER_LIMITS = ("maximumUnauthenticated", "maximumUnauthenticatedPerAddress")

_ONLY_OF_SERVERS = ("certificates", "default")
_OF_BOTH = (*(name for name in _IDENTITY if name not in _ONLY_OF_SERVERS), *_FIELDS)

#: All options, but for the parts of a description without a name.
CLIENT_OPTIONS = (*_CLIENT_ADDRESS, "endpoint", "serverName", *_OF_BOTH)
SERVER_OPTIONS = (
    *_SERVER_ADDRESS,
    "endpoint",
    *_ONLY_OF_SERVERS,
    *_SERVER_LIMITS,
    "acceptProxy",
    "clientCertificate",
    *_OF_BOTH,
)


class _Description:
    """
    The options of one description.
    """

    def __init__(
        self,
        known: Sequence[str],
        address: Sequence[str],
        args: Sequence[str],
        kwargs: Mapping[str, str],
    ) -> None:
        """
        @param known: the options that there are.
        @param address: those of them that tell where our own endpoint underneath
            is.  They are not ours if another one is described without a name.
        @raise TypeError: there is no such option.
        @raise ValueError: an option has no value.
        """
        ours = [name for name in known if not (args and name in address)]
        self._args = args
        self._texts = {name: text for name, text in kwargs.items() if name in ours}
        self._others = {name: text for name, text in kwargs.items() if name not in ours}
        for name in () if args else self._others:
            similar = get_close_matches(name, ours, 1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise TypeError(f"{name}: there is no such option{hint}")
        for name, text in self._texts.items():
            if not text:
                raise ValueError(f"{name}: it has no value")

    def __contains__(self, name: str) -> bool:
        return name in self._texts

    @contextmanager
    def blaming(self, *names: str) -> Iterator[None]:
        """
        Errors begin with the names of those of these options that are given.
        """
        try:
            yield
        except (ValueError, InvalidOperationError, NotSupportedError) as e:
            given = ", ".join(name for name in names if name in self)
            raise ValueError(f"{given}: {e}") from None

    def read(self, name: str, read: Callable[[str], _Value]) -> _Value | None:
        """
        @return: the value of an option, or L{None} if it is not given.
        """
        if name not in self:
            return None
        with self.blaming(name):
            return read(self._texts[name])

    def required(self, name: str, value: _Value | None) -> _Value:
        """
        @param value: of the option.
        @raise ValueError: it is not given.
        """
        if value is None:
            raise ValueError(f"{name}: it is missing")
        return value

    def needs(self, name: str, *others: str) -> None:
        """
        @raise ValueError: an option is given, and none of those without which it
            says nothing.
        """
        if name in self and not any(other in self for other in others):
            raise ValueError(f"{name}: it says nothing without {' or '.join(others)}")

    def excludes(self, what: str, *names: str) -> None:
        """
        @raise ValueError: one of these options is given, which says nothing
            beside C{what}.
        """
        for name in names:
            if name in self:
                raise ValueError(f"{name}: it says nothing beside {what}")

    @property
    def hasInner(self) -> bool:
        """
        Whether the endpoint underneath is described.
        """
        return bool(self._args) or "endpoint" in self

    def inner(self, parse: Callable[[str], _Value]) -> _Value:
        """
        @param parse: makes an endpoint of a description.
        @return: the endpoint that is described.
        """
        if self._args:
            self.excludes(self._args[0], "endpoint")
            description = _unparsed(self._args, self._others)
            hint = "; a host or port of sslstream's own is given by name"
        else:
            description = self._texts["endpoint"]
            hint = ""
        try:
            return parse(description)
        except Exception as e:
            # Not all of it: nobody knows what is in there.
            kind, _, _ = description.partition(":")
            raise ValueError(f"endpoint: {kind}: {e}{hint}") from None

    def fields(self) -> dict[str, Any]:
        """
        @return: the arguments for options that are given.
        """
        return {
            field: self.read(name, read) for name, (field, read) in _FIELDS.items() if name in self
        }

    def identity(self, clock: IReactorTime | None) -> Any:
        """
        @return: the certificate that is to be shown, with its key, or a
            L{CertificateDirectory} of some, or L{None}.
        """
        sources = [name for name in _SOURCES if name in self]
        if len(sources) > 1:
            raise ValueError(f"{', '.join(sources)}: only one of them can be given")
        for name, others in _BELONGING.items():
            self.needs(name, *others)
        passphrase = self.read("passphraseFile", _Passphrase)
        isReloaded = self.read("reload", _yesOrNo) is not False
        if not sources:
            return None
        with self.blaming(*_IDENTITY):
            found = self._found(passphrase, isReloaded, clock)
        if passphrase is not None and not passphrase.isAsked:
            raise ValueError(f"passphraseFile: nothing is encrypted in {sources[0]}")
        return found

    def _found(
        self, passphrase: _Passphrase | None, isReloaded: bool, clock: IReactorTime | None
    ) -> Any:
        texts = self._texts
        kind: Any = ReloadingCertificate if isReloaded else SslStreamCertificateContext
        more: dict[str, Any] = {"interval": INTERVAL, "clock": clock} if isReloaded else {}
        found: Any = None
        if "pfx" in self:
            found = kind.fromPFX(texts["pfx"], passphrase, **more)
        elif "certificate" in self:
            found = kind.fromPEM(texts["certificate"], texts.get("privateKey"), passphrase, **more)
        elif "default" in self:
            found = kind.fromPEM(texts["default"], None, passphrase, **more)
        if "certificates" not in self:
            return found
        if not isReloaded:
            raise ValueError("what is in a directory is always reloaded")
        return CertificateDirectory(texts["certificates"], found, passphrase, **more)


def _unparsed(args: Sequence[str], kwargs: Mapping[str, str]) -> str:
    """
    @return: the description that is parsed into these.
    """
    parts = [quoteStringArgument(each).replace("=", "\\=") for each in args]
    parts += [f"{quoteStringArgument(name)}={quoteStringArgument(kwargs[name])}" for name in kwargs]
    return ":".join(parts)


def _clockOf(reactor: Any) -> IReactorTime | None:
    # Some reactors of tests are none.
    return reactor if IReactorTime.providedBy(reactor) else None


def clientEndpoint(
    reactor: Any, args: Sequence[str], kwargs: Mapping[str, str]
) -> SslStreamClientEndpoint:
    """
    @param reactor: connects and measures time.
    @param args: the parts of a description without a name, but for the first.
    @param kwargs: those with a name.
    @return: the endpoint that is described.
    @raise ValueError: an option is missing or makes no sense.
    @raise TypeError: there is no such option.
    """
    given = _Description(CLIENT_OPTIONS, _CLIENT_ADDRESS, args, kwargs)
    clock = _clockOf(reactor)
    name = given.read("serverName", _host)
    host = given.read("host", _host)
    port = given.read("port", _number(1, 65535))
    timeout = given.read("timeout", _seconds)
    bindAddress = given.read("bindAddress", str)
    fields = given.fields()
    identity = given.identity(clock)
    wrapped: Any
    if given.hasInner:
        # As with tls:, a host says there who is to be verified, and a port, which
        # tls: even insists on, may be there.
        given.excludes("endpoint", "timeout", "bindAddress")
        if name is not None:
            given.excludes("endpoint and serverName", "host")
        wrapped = given.inner(partial(clientFromString, reactor))
    else:
        host = given.required("host", host)
        port = given.required("port", port)
        with given.blaming("host"):
            address = _address(host)
        wrapped = HostnameEndpoint(reactor, address, port, timeout or _TIMEOUT, bindAddress)
    target = given.required("serverName", name or host)
    with given.blaming(*_AGREEING):
        options = SslClientAuthenticationOptions(
            target, clientCertificateContext=identity, **fields
        )
    return SslStreamClientEndpoint(wrapped, options, clock)


def serverEndpoint(
    reactor: Any, args: Sequence[str], kwargs: Mapping[str, str]
) -> SslStreamServerEndpoint:
    """
    @param reactor: listens and measures time.
    @param args: the parts of a description without a name, but for the first.
    @param kwargs: those with a name.
    @return: the endpoint that is described.
    @raise ValueError: an option is missing or makes no sense.
    @raise TypeError: there is no such option.
    """
    given = _Description(SERVER_OPTIONS, _SERVER_ADDRESS, args, kwargs)
    clock = _clockOf(reactor)
    port = given.read("port", _number(0, 65535))
    interface = given.read("interface", str)
    backlog = given.read("backlog", _number(1, 65535))
    limits = [given.read(name, _number(1, 1_000_000)) for name in _SERVER_LIMITS]
    limit = None if limits == [None, None] else HandshakeLimit(*limits)
    acceptProxy = given.read("acceptProxy", _yesOrNo) or False
    fields = given.fields()
    asking = given.read("clientCertificate", _oneOf(_ASKING))
    if asking:
        if "trustRoots" not in given:
            # The system's authorities would vouch for anybody.
            raise ValueError("trustRoots: it is missing: who may issue certificates to clients?")
        fields.update(asking)
    else:
        given.excludes("clientCertificate=none", "trustRoots", "revocation")
    identity = given.identity(clock)
    if identity is None:
        raise ValueError("certificate: it is missing, as are pfx and certificates")
    wrapped: Any
    if given.hasInner:
        given.excludes("endpoint", *_SERVER_ADDRESS)
        wrapped = given.inner(partial(serverFromString, reactor))
    else:
        port = given.required("port", port)
        wrapped = TCP4ServerEndpoint(reactor, port, backlog or _BACKLOG, interface or "")
    with given.blaming(*_AGREEING):
        if isinstance(identity, CertificateDirectory):
            options = SslServerAuthenticationOptions(
                serverCertificateSelectionCallback=identity, **fields
            )
            identity.keepFitFor(options.parameters)
        else:
            options = SslServerAuthenticationOptions(identity, **fields)
    return SslStreamServerEndpoint(
        wrapped, options, clock, handshakeLimit=limit, acceptProxy=acceptProxy
    )
