# -*- test-case-name: tests.test_certificatemessages -*-
"""
The two handshake messages about certificates that OpenSSL shows only in part:
Certificate and CertificateRequest (RFC 5246 sections 7.4.2 and 7.4.4, RFC 8446
sections 4.4.2 and 4.3.2).

No I/O.  OpenSSL reads the same messages and refuses what is malformed, so that
what cannot be read here is merely left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from .algorithms import SIGNATURE_ALGORITHMS
from .enums import SslProtocols
from .vectors import codePoints, firstVector, labelled, vectors

_SIGNATURE_ALGORITHMS = 13

#: The first certificate types of TLS 1.2 (RFC 5246 section 7.4.4, RFC 8422
#: section 5.5), as kinds of keys.
_CERTIFICATE_TYPES = {1: "RSA", 64: "ECDSA"}

#: Which kinds of keys make which signatures.
_SIGNATURE_KEYS_12 = {each.code: each.keyIn12 for each in SIGNATURE_ALGORITHMS if each.keyIn12}
_SIGNATURE_KEYS_13 = {each.code: each.keyIn13 for each in SIGNATURE_ALGORITHMS if each.keyIn13}


def _behindContext(body: bytes, isTls13: bool) -> bytes:
    return body[1 + body[0] :] if isTls13 and body else body


def certificateList(body: bytes, isTls13: bool) -> list[bytes]:
    """
    @param body: of a Certificate message.
    @return: the certificates in it, in DER.
    """
    entries = _behindContext(body, isTls13)[3:]
    return list(vectors(entries, 3, 2 if isTls13 else 0))


def keyTypes(body: bytes, protocol: SslProtocols) -> frozenset[str]:
    """
    @param body: of a CertificateRequest message.
    @param protocol: the version that is spoken.
    @return: the kinds of keys that are good for an answer: C{"RSA"},
        C{"ECDSA"}, C{"Ed25519"}, C{"Ed448"}; in TLS 1.3, in the place of
        C{"ECDSA"}, one for each curve, such as C{"ECDSA secp256r1"}.
    """
    if protocol is SslProtocols.Tls13:
        extensions, _ = firstVector(_behindContext(body, True), 2)
        content = dict(labelled(extensions)).get(_SIGNATURE_ALGORITHMS, b"")
        return _keysFor(content, _SIGNATURE_KEYS_13)
    count = body[0] if body else 0
    types = {_CERTIFICATE_TYPES[each] for each in body[1 : 1 + count] if each in _CERTIFICATE_TYPES}
    if protocol is not SslProtocols.Tls12:
        # What may sign is fixed in the versions before (RFC 4346 section 7.4.4).
        return frozenset(types)
    if "ECDSA" in types:
        types |= {"Ed25519", "Ed448"}
    return _keysFor(body[1 + count :], _SIGNATURE_KEYS_12) & types


def _keysFor(data: bytes, kinds: Mapping[int, str]) -> frozenset[str]:
    """
    @param data: begins with a list of signature schemes.
    """
    algorithms, _ = firstVector(data, 2)
    return frozenset(kinds[each] for each in codePoints(algorithms) if each in kinds)
